/* task.c - the threads of a worker: one for each running migration, one for each hypervisor's
 * inventory
 *
 * Logs. A task never says where a guest is before both sides were asked; an error alone proves
 * nothing. */
#include "worker/task.h"

#include "conf/log.h"
#include "worker/news.h"
#include "worker/pace.h"
#include "worker/question.h"
#include "worker/settle.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define INVENTORY_EVERY   (5 * USEC_PER_SEC)
#define UNREACHABLE_EVERY USEC_PER_SEC
#define COALESCE_FOR      (200 * USEC_PER_MSEC)
#define SETTLE_EVERY      (500 * USEC_PER_MSEC)
#define SETTLE_FOR        (20 * USEC_PER_SEC) /* how long a side may leave us without an answer */
#define FOLLOW_EVERY      (500 * USEC_PER_MSEC)
#define ABORT_EVERY       (500 * USEC_PER_MSEC)
#define ARENA_LIMIT       ((size_t)64 * 1024 * 1024)
#define NOTES_MAX         1024

enum { ASKERS_MAX = 64 }; /* questions at once */

struct served { /* a hypervisor */
    struct tasks *tasks;
    const struct hv_ops *ops;
    struct hv *hv;
    char *name;
};

struct tasks {
    atomic_uint refs; /* the owner, and each thread */
    const struct env *env;
    struct news news; /* to the main thread */
    struct served *served;
    size_t n_served;
    atomic_bool leaving;
    atomic_uint askers;            /* questions under way */
    atomic_uint_fast64_t sequence; /* of inventories */
    pthread_mutex_t lock;          /* of the list */
    struct task *list;
};

struct task {
    atomic_uint refs; /* its thread, the list, its aborter */
    struct tasks *tasks;
    struct served *served;
    RmAssignment *assignment; /* own copy */
    usec_t begin_by;          /* the lease */
    bool settle;
    bool at_source;     /* the served hypervisor is the source; otherwise the destination */
    atomic_bool stop;   /* somebody wants it stopped */
    atomic_bool moving; /* there is something to abort */
    atomic_bool ended;
    bool has_aborter;  /* under the lock */
    struct task *next; /* under the lock */
    /* Of its own thread: */
    bool accepted; /* said so */
    RmStats stats; /* the last figures */
    char fence[64];
    bool guest_paused;
    bool had_definition; /* the destination, before the try */
    bool may_have_left;
    char notes[NOTES_MAX];
};

static void sleep_for(usec_t span)
{
    struct timespec ts = {.tv_sec = (time_t)(span / USEC_PER_SEC),
                          .tv_nsec = (long)(span % USEC_PER_SEC) * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
}

static void tasks_unref(struct tasks *tasks)
{
    if (atomic_fetch_sub(&tasks->refs, 1) != 1)
        return;
    for (size_t i = 0; i < tasks->n_served; i++) {
        tasks->served[i].ops->close(tasks->served[i].hv);
        free(tasks->served[i].name);
    }
    free(tasks->served);
    news_close(&tasks->news);
    pthread_mutex_destroy(&tasks->lock);
    free(tasks);
}

static void task_unref(struct task *task)
{
    if (atomic_fetch_sub(&task->refs, 1) != 1)
        return;
    tasks_unref(task->tasks);
    rm_assignment__free_unpacked(task->assignment, NULL);
    free(task);
}

static int start_thread(void *(*run)(void *), void *arg)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int r = -pthread_create(&thread, &attributes, run, arg);
    pthread_attr_destroy(&attributes);
    return r;
}

/* ---- reports */

static RmReport report_of(const struct task *task, RmReportKind kind)
{
    RmReport report = RM_REPORT__INIT;
    report.job = task->assignment->job;
    report.attempt = task->assignment->attempt;
    report.kind = kind;
    report.host = task->assignment->host;
    report.fence = (char *)task->fence;
    report.guest_paused = task->guest_paused;
    report.had_definition = task->had_definition;
    report.may_have_left = task->may_have_left;
    report.notes = (char *)task->notes;
    if (task->stats.total || task->stats.elapsed_for)
        report.stats = (RmStats *)&task->stats;
    return report;
}

static void report_progress(struct task *task, const char *phase)
{
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_PROGRESS);
    report.phase = (char *)phase;
    news_post(&task->tasks->news, NEWS_REPORT, &report.base);
}

static void report_accepted(struct task *task)
{
    if (task->accepted)
        return;
    task->accepted = true;
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_ACCEPTED);
    news_post(&task->tasks->news, NEWS_REPORT, &report.base);
}

static void report_refused(struct task *task, RmClass class_, int code, const char *text)
{
    const RmAssignment *a = task->assignment;
    log_info("job=%" PRIu64 " attempt=%u guest=%s host=%s destination=%s: refused: %s", a->job,
             a->attempt, a->guest, a->host, a->destination, text);
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_REFUSED);
    report.class_ = class_;
    report.code = code;
    report.text = (char *)text;
    news_post(&task->tasks->news, NEWS_REPORT, &report.base);
}

/* How a task ended. */
struct ending {
    RmVerdict verdict;
    RmClass class_;
    int code;
    bool already;
    char text[RM_ERR_MAX];
};

static const char *verdict_name(RmVerdict verdict)
{
    static const char *const names[] = {"none",    "destination", "source", "migrating",
                                        "unknown", "nowhere",     "both",   "ended"};
    return (unsigned)verdict < sizeof(names) / sizeof(names[0]) ? names[verdict] : "?";
}

static void report_finished(struct task *task, const struct ending *ending)
{
    const RmAssignment *a = task->assignment;
    bool well = ending->verdict == RM_VERDICT__VERDICT_DESTINATION;
    log_write(well ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
              "job=%" PRIu64
              " attempt=%u guest=%s host=%s destination=%s verdict=%s fence=%s%s%s%s%s",
              a->job, a->attempt, a->guest, a->host, a->destination, verdict_name(ending->verdict),
              task->fence[0] ? task->fence : "unknown", ending->text[0] ? ": " : "", ending->text,
              task->notes[0] ? "; " : "", task->notes);
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_FINISHED);
    report.verdict = ending->verdict;
    report.class_ = ending->class_;
    report.code = ending->code;
    report.text = (char *)ending->text;
    report.already = ending->already;
    news_post(&task->tasks->news, NEWS_REPORT, &report.base);
}

static void add_note(struct task *task, const char *text)
{
    size_t length = strlen(task->notes);
    if (text[0])
        snprintf(task->notes + length, sizeof(task->notes) - length, "%s%s", length ? "; " : "",
                 text);
}

/* ---- a migration that runs without a call of ours */

/* Nothing has decided yet how it ends. The loss of the call that began it decides nothing. */
static bool is_open(const struct ending *ending)
{
    return ending->class_ == RM_CLASS__NO_CLASS || ending->class_ == RM_CLASS__CLASS_AMBIGUOUS;
}

/* Follows it until it has ended or cannot be followed. Fills ending's text and class when it was
 * stopped. */
static void follow(struct task *task, struct pace *pace, struct ending *ending)
{
    const struct hv_ops *ops = task->served->ops;
    const struct env *env = task->tasks->env;
    const char *uuid = task->assignment->uuid;
    usec_t abort_at = 0;
    atomic_store(&task->moving, true);
    for (;;) {
        RmStats stats = RM_STATS__INIT;
        if (!task->at_source || ops->progress(task->served->hv, uuid, &stats) < 0)
            break;
        usec_t now = env_now(env);
        task->stats = stats;
        pace_figures(pace, &stats, now);
        report_progress(task, "copying");
        if (is_open(ending)) {
            if (atomic_load(&task->stop)) {
                ending->class_ = RM_CLASS__CLASS_ABORTED;
                snprintf(ending->text, sizeof(ending->text), "stopped on request");
            } else if (pace_is_over(pace, now, ending->text, sizeof(ending->text))) {
                ending->class_ = RM_CLASS__CLASS_RETRY;
            }
        }
        if (!is_open(ending) && now >= abort_at) {
            ops->abort(task->served->hv, uuid, NULL);
            abort_at = now + USEC_PER_SEC;
        }
        sleep_for(FOLLOW_EVERY);
    }
    atomic_store(&task->moving, false);
}

/* ---- settling */

/* True when one more look may bring more. late_at: until then a migration may begin that its dead
 * worker asked for. */
static bool look_again(const struct settle_round *round, bool tried, unsigned times, usec_t now,
                       usec_t until_at, usec_t late_at)
{
    switch (round->decision.verdict) {
    case RM_VERDICT__VERDICT_BOTH: /* an alarm: not on one look */
        return times < 2;
    case RM_VERDICT__NO_VERDICT:
    case RM_VERDICT__VERDICT_UNKNOWN:
        return now < until_at;
    case RM_VERDICT__VERDICT_SOURCE:
        if (now < late_at)
            return true;
        /* Known already, but a copy may be left where nobody answers. */
        return tried && !round->facts.destination.answered && now < until_at;
    default:
        return false;
    }
}

/* Asks and mends until it is known where the guest is, or for as long as that makes sense. */
static void settle(struct task *task, struct settle_case *one, bool tried, struct ending *ending)
{
    struct tasks *tasks = task->tasks;
    const RmOptions *options = task->assignment->options;
    struct rm_err err = {""};
    struct settle_round round;
    struct pace pace;
    RmVerdict last = RM_VERDICT__NO_VERDICT;
    unsigned times = 0;
    bool following = false;
    usec_t until_at = env_now(tasks->env) + SETTLE_FOR;
    usec_t late_at = task->settle ? env_now(tasks->env) + task->served->ops->late : 0;
    for (;;) {
        RmVerdict verdict = settle_step(task->served->ops, task->served->hv, one, task->notes,
                                        sizeof(task->notes), &err, &round);
        times = verdict == last ? times + 1 : 1;
        last = verdict;
        if (verdict == RM_VERDICT__VERDICT_MIGRATING) {
            if (!following)
                pace_begin(&pace, options ? options->timeout_for : 0,
                           options ? options->stall_for : 0, env_now(tasks->env));
            following = true;
            report_accepted(task);
            follow(task, &pace, ending);
            until_at = env_now(tasks->env) + SETTLE_FOR;
            late_at = 0; /* it did */
        } else if (!look_again(&round, tried, times, env_now(tasks->env), until_at, late_at)) {
            break;
        }
        sleep_for(SETTLE_EVERY);
    }
    ending->verdict = last == RM_VERDICT__NO_VERDICT ? RM_VERDICT__VERDICT_UNKNOWN : last;
    char text[RM_ERR_MAX];
    snprintf(text, sizeof(text), "%s%s%.1800s", round.decision.text, err.text[0] ? ": " : "",
             err.text);
    if (ending->verdict == RM_VERDICT__VERDICT_DESTINATION) {
        /* What went wrong on the way belongs to the history, not to the result. */
        add_note(task, ending->text);
        add_note(task, err.text);
        *ending = (struct ending){.verdict = ending->verdict};
        return;
    }
    if (ending->verdict == RM_VERDICT__VERDICT_SOURCE) {
        if (!round.facts.destination.answered && tried && !task->served->ops->single) {
            task->may_have_left = one->fenced;
            add_note(task, "the destination did not answer: a paused copy or a definition may be "
                           "left there");
        } else
            add_note(task, err.text);
        if (is_open(ending))
            ending->class_ = RM_CLASS__CLASS_RETRY; /* it is known now that nothing changed */
        if (!ending->text[0])
            snprintf(ending->text, sizeof(ending->text), "%s",
                     following ? "the migration did not work; its error is not known, since it was "
                                 "followed, not begun, by this worker"
                               : text);
        return;
    }
    if (ending->verdict == RM_VERDICT__VERDICT_ENDED && ending->class_ == RM_CLASS__CLASS_AMBIGUOUS)
        ending->class_ = RM_CLASS__CLASS_FATAL; /* there is nothing to be moved any more */
    char before[RM_ERR_MAX];
    memcpy(before, ending->text, sizeof(before));
    snprintf(ending->text, sizeof(ending->text), "%.900s%s%.1100s", text, before[0] ? "; " : "",
             before);
}

static struct settle_case case_of(const struct task *task, const char *fence)
{
    const RmAssignment *a = task->assignment;
    return (struct settle_case){
        .uuid = a->uuid,
        .source_peer = task->at_source ? NULL : a->source_peer,
        .destination_peer = task->at_source ? a->peer : NULL,
        .source = a->host,
        .destination = a->destination,
        .fenced = strcmp(fence, "paused") == 0 || task->served->ops->single,
        .locked = strcmp(fence, "image lock") == 0,
        .fence_unknown = fence[0] == '\0' && !task->served->ops->single,
    };
}

static void run_settle(struct task *task)
{
    const RmAssignment *a = task->assignment;
    struct ending ending = {.verdict = RM_VERDICT__NO_VERDICT};
    struct settle_case one = case_of(task, a->fence);
    snprintf(task->fence, sizeof(task->fence), "%s", a->fence);
    task->guest_paused = a->guest_paused;
    task->had_definition = a->had_definition;
    one.guest_paused = a->guest_paused;
    /* Without the word of who tried, a definition over there may be somebody's own: it stays. */
    one.had_definition = a->had_definition || one.fence_unknown;
    if (a->cancel_wanted)
        atomic_store(&task->stop, true);
    log_info("job=%" PRIu64 " attempt=%u guest=%s host=%s destination=%s: settling", a->job,
             a->attempt, a->guest, a->host, a->destination);
    settle(task, &one, /* tried = */ true, &ending);
    report_finished(task, &ending);
}

/* ---- migrating */

static void on_progress(void *ctx, const RmStats *stats)
{
    struct task *task = ctx;
    task->stats = *stats;
    report_progress(task, "copying");
}

static struct hv_migration migration_of(struct task *task)
{
    struct hv_migration migration = question_migration(task->assignment);
    migration.begin_by = task->begin_by;
    migration.progress = on_progress;
    migration.ctx = task;
    return migration;
}

/* A paused copy of a guest that runs at the source, where an earlier try was made behind the fence:
 * nobody else would come to remove it. */
static bool is_leftover(const struct task *task, const struct hv_look *source,
                        const struct hv_look *destination)
{
    return task->assignment->may_be_left && source->active && !source->outgoing &&
           source->state == RM_GUEST_STATE__GUEST_RUNNING && destination->active &&
           destination->state == RM_GUEST_STATE__GUEST_PAUSED;
}

/* What settling would have done then, had the destination answered. Where it does not work the
 * check says why the guest cannot come. */
static void remove_leftover(struct task *task)
{
    struct settle_case one = case_of(task, "paused");
    struct settle_round round;
    struct rm_err err = {""};
    usec_t until_at = env_now(task->tasks->env) + SETTLE_FOR;
    one.had_definition = true; /* a definition does not stand in the way */
    for (;;) {
        settle_step(task->served->ops, task->served->hv, &one, task->notes, sizeof(task->notes),
                    &err, &round);
        if (round.decision.verdict != RM_VERDICT__NO_VERDICT || err.text[0] ||
            env_now(task->tasks->env) >= until_at)
            return;
        if (!round.decision.mends)
            sleep_for(SETTLE_EVERY);
    }
}

/* Is the wish fulfilled already? -errno with the text when a side cannot be asked. */
static int is_there(struct task *task, struct rm_err *err)
{
    const RmAssignment *a = task->assignment;
    const struct hv_ops *ops = task->served->ops;
    struct hv_look source, destination;
    ops->look(task->served->hv, NULL, a->uuid, &source, err);
    if (!source.answered)
        return rm_prefix(err, -EIO, "%s", a->host);
    ops->look(task->served->hv, a->peer, a->uuid, &destination, err);
    if (!destination.answered)
        return rm_prefix(err, -EIO, "%s", a->destination);
    if (is_leftover(task, &source, &destination))
        remove_leftover(task);
    return !source.active && destination.active && !destination.incoming &&
           destination.reason != HV_REASON_MIGRATING;
}

static void take_outcome(struct task *task, const struct hv_outcome *outcome, struct ending *ending)
{
    if (outcome->fence[0])
        snprintf(task->fence, sizeof(task->fence), "%s", outcome->fence);
    if (outcome->stats.total || outcome->stats.elapsed_for)
        task->stats = outcome->stats;
    if (outcome->resumed) {
        char note[128];
        snprintf(note, sizeof(note), "resumed behind the fence: %s", outcome->resumed_by);
        add_note(task, note);
    }
    if (outcome->ok)
        return;
    ending->class_ = outcome->class_;
    ending->code = outcome->code;
    snprintf(ending->text, sizeof(ending->text), "%s", outcome->text);
}

static void run_migration(struct task *task)
{
    const RmAssignment *a = task->assignment;
    const struct hv_ops *ops = task->served->ops;
    struct ending ending = {.verdict = RM_VERDICT__NO_VERDICT};
    struct hv_migration migration = migration_of(task);
    struct hv_outcome outcome;
    struct rm_err err = {""};
    int r = is_there(task, &err);
    if (r < 0) {
        report_refused(task, RM_CLASS__CLASS_RETRY, 0, err.text);
        return;
    }
    if (r > 0) {
        ending.verdict = RM_VERDICT__VERDICT_DESTINATION;
        ending.already = true;
        report_finished(task, &ending);
        return;
    }
    report_progress(task, "checking");
    r = ops->check(task->served->hv, &migration, &outcome);
    if (r < 0) {
        report_refused(task, outcome.class_, outcome.code, outcome.text);
        return;
    }
    if (atomic_load(&task->stop) || a->cancel_wanted) {
        report_refused(task, RM_CLASS__CLASS_ABORTED, 0, "stopped on request before it began");
        return;
    }
    if (env_now(task->tasks->env) >= task->begin_by) {
        report_refused(task, RM_CLASS__CLASS_RETRY, 0,
                       "the preparations took longer than the lease of this worker");
        return;
    }
    snprintf(task->fence, sizeof(task->fence), "%s", outcome.fence);
    task->guest_paused = outcome.guest_paused;
    task->had_definition = outcome.had_definition;
    if (strcmp(outcome.fence, "paused") == 0)
        migration.fence = FENCE_ALWAYS; /* what is announced is what is done */
    report_accepted(task);
    log_info("job=%" PRIu64 " attempt=%u guest=%s host=%s destination=%s fence=%s: migrating",
             a->job, a->attempt, a->guest, a->host, a->destination, outcome.fence);
    atomic_store(&task->moving, true);
    ops->migrate(task->served->hv, &migration, &outcome);
    atomic_store(&task->moving, false);
    take_outcome(task, &outcome, &ending);
    report_progress(task, "settling");
    struct settle_case one = case_of(task, outcome.fence[0] ? outcome.fence : "none");
    one.handed_over = outcome.ok;
    one.guest_paused = outcome.guest_paused;
    one.had_definition = outcome.had_definition;
    settle(task, &one, /* tried = */ outcome.fence[0] != '\0', &ending);
    report_finished(task, &ending);
}

/* ---- threads of tasks */

static void *task_thread(void *arg)
{
    struct task *task = arg;
    struct tasks *tasks = task->tasks;
    if (task->settle)
        run_settle(task);
    else
        run_migration(task);
    atomic_store(&task->ended, true);
    pthread_mutex_lock(&tasks->lock);
    struct task **at = &tasks->list;
    while (*at != task)
        at = &(*at)->next;
    *at = task->next;
    pthread_mutex_unlock(&tasks->lock);
    task_unref(task); /* of the list */
    task_unref(task); /* of this thread */
    return NULL;
}

/* Says it again until the task has ended: a migration that is just being begun does not hear the
 * first time. */
static void *abort_thread(void *arg)
{
    struct task *task = arg;
    while (!atomic_load(&task->ended)) {
        if (atomic_load(&task->moving) && task->at_source)
            task->served->ops->abort(task->served->hv, task->assignment->uuid, NULL);
        sleep_for(ABORT_EVERY);
    }
    task_unref(task);
    return NULL;
}

/* ---- questions */

static struct served *find_served(struct tasks *tasks, const char *name)
{
    for (size_t i = 0; i < tasks->n_served; i++)
        if (strcmp(tasks->served[i].name, name) == 0)
            return &tasks->served[i];
    return NULL;
}

struct asker {
    struct tasks *tasks;
    struct served *served;
    RmAsk *ask; /* owned */
};

static void answer(struct tasks *tasks, const RmAsk *ask, bool ok, const char *text)
{
    RmAnswer message = RM_ANSWER__INIT;
    message.session = ask->session;
    message.id = ask->id;
    message.ok = ok;
    message.text = (char *)text;
    news_post(&tasks->news, NEWS_ANSWER, &message.base);
}

static void *ask_thread(void *arg)
{
    struct asker *asker = arg;
    struct tasks *tasks = asker->tasks;
    const RmAsk *ask = asker->ask;
    struct rm_err err = {""};
    char notes[RM_ERR_MAX];
    int r = question_put(asker->served->ops, asker->served->hv, tasks->env, ask, notes, &err);
    if (notes[0])
        log_info("guest=%s host=%s destination=%s: %s", ask->about->guest, ask->about->host,
                 ask->about->destination, notes);
    answer(tasks, ask, r >= 0, err.text);
    atomic_fetch_sub(&tasks->askers, 1);
    rm_ask__free_unpacked(asker->ask, NULL);
    free(asker);
    tasks_unref(tasks);
    return NULL;
}

void tasks_ask(struct tasks *tasks, const RmAsk *ask)
{
    struct served *served = find_served(tasks, ask->about->host);
    struct asker *asker;
    if (!served || atomic_load(&tasks->askers) >= ASKERS_MAX) {
        answer(tasks, ask, false,
               served ? "its worker is busy with other questions, ask again later"
                      : "its worker does not serve that hypervisor");
        return;
    }
    asker = calloc(1, sizeof(*asker));
    if (asker)
        *asker = (struct asker){
            .tasks = tasks, .served = served, .ask = (RmAsk *)msg_copy(NULL, &ask->base)};
    atomic_fetch_add(&tasks->refs, 1);
    atomic_fetch_add(&tasks->askers, 1);
    if (asker && asker->ask && start_thread(ask_thread, asker) == 0)
        return;
    answer(tasks, ask, false, "its worker has no memory for questions");
    if (asker && asker->ask)
        rm_ask__free_unpacked(asker->ask, NULL);
    free(asker);
    atomic_fetch_sub(&tasks->askers, 1);
    atomic_fetch_sub(&tasks->refs, 1); /* the owner holds one: not the last */
}

/* ---- beginning and stopping */

/* From which side the task is done. Settling can be done from either; the source is the better one,
 * since a migration that runs is followed there. */
static struct served *choose_side(struct tasks *tasks, const RmAssignment *a, bool settling,
                                  bool *ret_at_source)
{
    struct served *source = find_served(tasks, a->host);
    struct served *destination = settling ? find_served(tasks, a->destination) : NULL;
    *ret_at_source = source && (a->peer[0] || !destination || !a->source_peer[0]);
    return *ret_at_source ? source : destination;
}

int tasks_start(struct tasks *tasks, const RmAssignment *assignment, bool settling, usec_t begin_by)
{
    bool at_source;
    struct served *served = choose_side(tasks, assignment, settling, &at_source);
    if (!served)
        return -ENOENT;
    struct task *task = calloc(1, sizeof(*task));
    if (!task)
        return -ENOMEM;
    task->assignment = (RmAssignment *)msg_copy(NULL, &assignment->base);
    if (!task->assignment) {
        free(task);
        return -ENOMEM;
    }
    atomic_fetch_add(&tasks->refs, 1);
    atomic_init(&task->refs, 2);
    task->tasks = tasks;
    task->served = served;
    task->settle = settling;
    task->begin_by = begin_by;
    task->at_source = at_source;
    task->stats = (RmStats)RM_STATS__INIT;
    pthread_mutex_lock(&tasks->lock);
    task->next = tasks->list;
    tasks->list = task;
    int r = start_thread(task_thread, task);
    if (r < 0)
        tasks->list = task->next;
    pthread_mutex_unlock(&tasks->lock);
    if (r < 0) {
        task_unref(task);
        task_unref(task);
    }
    return r;
}

int tasks_abort(struct tasks *tasks, uint64_t job)
{
    int r = -ENOENT;
    pthread_mutex_lock(&tasks->lock);
    for (struct task *task = tasks->list; task; task = task->next) {
        if (task->assignment->job != job)
            continue;
        r = 0;
        atomic_store(&task->stop, true);
        if (task->has_aborter)
            continue;
        atomic_fetch_add(&task->refs, 1);
        task->has_aborter = start_thread(abort_thread, task) == 0;
        if (!task->has_aborter)
            atomic_fetch_sub(&task->refs, 1); /* the list holds one: not the last */
    }
    pthread_mutex_unlock(&tasks->lock);
    return r;
}

/* ---- inventory */

static void *inventory_thread(void *arg)
{
    struct served *served = arg;
    struct tasks *tasks = served->tasks;
    struct arena *arena = arena_new(ARENA_LIMIT);
    bool reachable = true;
    while (arena && !atomic_load(&tasks->leaving)) {
        RmInventory *inventory = NULL;
        arena_reset(arena);
        usec_t taken_at = env_now(tasks->env);
        int r = served->ops->inventory(served->hv, arena, &inventory);
        if (r < 0) {
            log_error("host=%s: no inventory: %s, will retry", served->name, strerror(-r));
        } else {
            if (inventory->reachable != reachable)
                log_write(inventory->reachable ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "host=%s: %s%s",
                          served->name,
                          inventory->reachable ? "answers" : "does not answer: ", inventory->text);
            reachable = inventory->reachable;
            inventory->sequence = atomic_fetch_add(&tasks->sequence, 1) + 1;
            inventory->taken_at = taken_at;
            news_post(&tasks->news, NEWS_INVENTORY, &inventory->base);
        }
        bool well = r >= 0 && reachable;
        if (served->ops->wait_change(served->hv, well ? INVENTORY_EVERY : UNREACHABLE_EVERY) > 0)
            sleep_for(COALESCE_FOR); /* changes come in groups */
    }
    arena_free(arena);
    tasks_unref(tasks);
    return NULL;
}

/* ---- all together */

int tasks_fd(const struct tasks *tasks)
{
    return news_fd(&tasks->news);
}

bool tasks_next(struct tasks *tasks, struct arena *arena, struct task_news *ret_news)
{
    return news_next(&tasks->news, arena, ret_news);
}

static int open_all(struct tasks *tasks, const struct conf_worker *conf,
                    const struct hv_ops *(*choose)(const struct conf_hypervisor *hypervisor),
                    struct rm_err *err)
{
    tasks->served = calloc(conf->n_hypervisors ? conf->n_hypervisors : 1, sizeof(*tasks->served));
    if (!tasks->served)
        return rm_fail(err, -ENOMEM, "no memory");
    for (size_t i = 0; i < conf->n_hypervisors; i++) {
        struct served *one = &tasks->served[i];
        one->tasks = tasks;
        one->ops = choose(&conf->hypervisors[i]);
        one->hv = one->ops->open(&conf->hypervisors[i], conf, tasks->env, err);
        if (!one->hv)
            return rm_prefix(err, -EIO, "hypervisor %s", conf->hypervisors[i].name);
        tasks->n_served++;
        one->name = strdup(conf->hypervisors[i].name);
        if (!one->name)
            return rm_fail(err, -ENOMEM, "no memory");
    }
    return 0;
}

int tasks_new(const struct conf_worker *conf,
              const struct hv_ops *(*choose)(const struct conf_hypervisor *hypervisor),
              const struct env *env, struct tasks **ret_tasks, struct rm_err *err)
{
    struct tasks *tasks = calloc(1, sizeof(*tasks));
    if (!tasks)
        return rm_fail(err, -ENOMEM, "no memory");
    atomic_init(&tasks->refs, 1);
    tasks->env = env;
    pthread_mutex_init(&tasks->lock, NULL);
    int r = news_open(&tasks->news, err);
    if (r >= 0)
        r = open_all(tasks, conf, choose, err);
    for (size_t i = 0; i < tasks->n_served && r >= 0; i++) {
        atomic_fetch_add(&tasks->refs, 1);
        r = start_thread(inventory_thread, &tasks->served[i]);
        if (r < 0) {
            atomic_fetch_sub(&tasks->refs, 1);
            rm_fail(err, r, "no thread for %s", tasks->served[i].name);
        }
    }
    if (r < 0) {
        tasks_free(tasks);
        return r;
    }
    *ret_tasks = tasks;
    return 0;
}

void tasks_free(struct tasks *tasks)
{
    if (!tasks)
        return;
    atomic_store(&tasks->leaving, true);
    tasks_unref(tasks);
}
