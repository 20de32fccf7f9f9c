/* attempt.c - what one task does: checks, migrates, settles, and reports */
#include "worker/attempt.h"

#include "conf/log.h"
#include "worker/question.h"
#include "worker/settle.h"
#include "worker/stall.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SETTLE_EVERY (500 * USEC_PER_MSEC)
#define SETTLE_FOR   (20 * USEC_PER_SEC) /* how long a side may leave us without an answer */
#define RESUME_FOR   (60 * USEC_PER_SEC) /* how long it may refuse to let the guest run */
#define FOLLOW_EVERY (500 * USEC_PER_MSEC)

enum {
    BOTH_LOOKS = 2,     /* that say the same, one after the other */
    NOWHERE_LOOKS = 10, /* a daemon that has just started may let the guest go on a moment later */
};

/* ---- who may act */

enum hv_may attempt_may(void *ctx)
{
    struct task *task = ctx;
    struct tasks *tasks = task->tasks;
    pthread_mutex_lock(&tasks->lock);
    bool off = task->off;
    usec_t until_at = lease_of(tasks, task->session);
    pthread_mutex_unlock(&tasks->lock);
    return off ? HV_MAY_NEVER : env_now(tasks->env) >= until_at ? HV_MAY_NOT_NOW : HV_MAY;
}

static usec_t lease_until(struct task *task)
{
    struct tasks *tasks = task->tasks;
    pthread_mutex_lock(&tasks->lock);
    usec_t until_at = lease_of(tasks, task->session);
    pthread_mutex_unlock(&tasks->lock);
    return until_at;
}

static bool is_off(struct task *task)
{
    return attempt_may(task) == HV_MAY_NEVER;
}

static void add_unanswered(struct task *task, const char *host)
{
    for (size_t i = 0; i < task->n_unanswered; i++)
        if (task->unanswered[i] == host)
            return;
    task->unanswered[task->n_unanswered++] = host;
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
    report.autostart = task->autostart;
    report.may_have_left = task->may_have_left;
    report.n_unanswered = task->n_unanswered;
    report.unanswered = (char **)task->unanswered;
    report.notes = (char *)task->notes;
    if (task->stats.total || task->stats.elapsed_for)
        report.stats = (RmStats *)&task->stats;
    return report;
}

static void report_progress(struct task *task, const char *phase)
{
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_PROGRESS);
    report.phase = (char *)phase;
    mailbox_post(&task->tasks->mailbox, MAIL_REPORT, &report.base);
}

static void report_accepted(struct task *task)
{
    if (task->accepted)
        return;
    task->accepted = true;
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_ACCEPTED);
    mailbox_post(&task->tasks->mailbox, MAIL_REPORT, &report.base);
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
    mailbox_post(&task->tasks->mailbox, MAIL_REPORT, &report.base);
}

/* How a task ended. */
struct task_end {
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

static void report_finished(struct task *task, const struct task_end *end)
{
    const RmAssignment *a = task->assignment;
    bool well = end->verdict == RM_VERDICT__VERDICT_DESTINATION;
    log_write(well ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
              "job=%" PRIu64
              " attempt=%u guest=%s host=%s destination=%s verdict=%s fence=%s%s%s%s%s",
              a->job, a->attempt, a->guest, a->host, a->destination, verdict_name(end->verdict),
              task->fence[0] ? task->fence : "unknown", end->text[0] ? ": " : "", end->text,
              task->notes[0] ? "; " : "", task->notes);
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_FINISHED);
    report.verdict = end->verdict;
    report.class_ = end->class_;
    report.code = end->code;
    report.text = (char *)end->text;
    report.already = end->already;
    mailbox_post(&task->tasks->mailbox, MAIL_REPORT, &report.base);
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
static bool is_open(const struct task_end *end)
{
    return end->class_ == RM_CLASS__NO_CLASS || end->class_ == RM_CLASS__CLASS_AMBIGUOUS;
}

/* There is something to abort, whose limits may be changed; NULL: not any more. */
static void set_moving(struct task *task, struct hv_migration *migration)
{
    pthread_mutex_lock(&task->tasks->lock);
    task->migration = migration;
    pthread_mutex_unlock(&task->tasks->lock);
    atomic_store(&task->moving, migration != NULL);
}

/* Follows it until it has ended or cannot be followed. Fills text and class of *end when it was
 * stopped. */
static void follow(struct task *task, struct hv_migration *migration, struct stall *stall,
                   struct task_end *end)
{
    const struct driver *driver = task->served->driver;
    const struct env *env = task->tasks->env;
    const char *uuid = task->assignment->uuid;
    usec_t abort_at = 0;
    set_moving(task, migration);
    for (;;) {
        RmStats stats = RM_STATS__INIT;
        if (is_off(task) || !task->at_source ||
            driver->progress(task->served->hv, uuid, &stats) < 0)
            break;
        usec_t now = env_now(env);
        stall_figures(stall, &stats, now);
        task->stats = stall->last;
        report_progress(task, "copying");
        if (is_open(end)) {
            if (atomic_load(&task->stop)) {
                end->class_ = RM_CLASS__CLASS_ABORTED;
                snprintf(end->text, sizeof(end->text), "stopped on request");
            } else {
                enum stall_end over = stall_is_over(stall, now, end->text, sizeof(end->text));
                if (over != STALL_GOES_ON)
                    end->class_ = stall_class(over);
            }
        }
        if (!is_open(end) && now >= abort_at && attempt_may(task) == HV_MAY) {
            driver->abort(task->served->hv, uuid, NULL);
            abort_at = now + USEC_PER_SEC;
        }
        env_sleep(env, FOLLOW_EVERY);
    }
    set_moving(task, NULL);
}

/* ---- settling */

/* True when one more look may bring more. calm: the look began when no migration could begin any more that
 * somebody else has asked for. */
static bool look_again(const struct settle_round *round, bool tried, unsigned times, usec_t now,
                       usec_t until_at, bool calm)
{
    switch (round->decision.verdict) {
    case RM_VERDICT__VERDICT_BOTH: /* an alarm: not on one look */
        return times < BOTH_LOOKS;
    case RM_VERDICT__VERDICT_NOWHERE:
        return times < NOWHERE_LOOKS;
    case RM_VERDICT__NO_VERDICT:
    case RM_VERDICT__VERDICT_UNKNOWN:
        return now < until_at;
    case RM_VERDICT__VERDICT_SOURCE:
        if (!calm)
            return true;
        /* Known already, but a copy may be left where nobody answers. */
        return tried && !round->facts.destination.answered && now < until_at;
    default:
        return false;
    }
}

/* The guest starts with its new hypervisor as it did with the old one, or the history says that it
 * does not. */
static void carry_autostart(struct task *task, const struct settle_case *one)
{
    struct rm_err err = {""};
    char text[RM_ERR_MAX];
    if (!task->autostart || task->served->driver->repair(task->served->hv, one->destination_peer,
                                                         one->uuid, HV_AUTOSTART, &err) >= 0)
        return;
    snprintf(text, sizeof(text), "autostart could not be set on %s: %.1800s", one->destination,
             err.text);
    add_note(task, text);
}

/* When no migration can begin any more that somebody else has asked for: so long after the source has
 * answered. */
static usec_t calm_at(const struct task *task, const struct settle_round *round, usec_t before)
{
    usec_t late = task->served->driver->late;
    if (late == 0 || before == 0)
        return 0;
    if (!round->facts.source.answered)
        return USEC_NEVER;
    return before == USEC_NEVER ? env_now(task->tasks->env) + late : before;
}

/* What settling has found. */
struct found {
    struct settle_round round; /* the last one */
    struct rm_err err;
    bool following; /* the migration ran, and was followed */
};

/* Asks and repairs until it is known where the guest is, or for as long as that makes sense. */
static RmVerdict ask_and_repair(struct task *task, struct settle_case *one, bool tried, bool unseen,
                                struct found *found, struct task_end *end)
{
    struct tasks *tasks = task->tasks;
    struct hv_migration migration = question_migration(task->assignment);
    struct settle_round *round = &found->round;
    struct stall stall;
    RmVerdict last = RM_VERDICT__NO_VERDICT;
    unsigned times = 0;
    usec_t refused_at = 0; /* since when it may not go on over there; 0: it may */
    usec_t until_at = env_now(tasks->env) + SETTLE_FOR;
    usec_t late_at = unseen ? USEC_NEVER : 0;
    one->may = attempt_may;
    one->ctx = task;
    for (;;) {
        usec_t began_at = env_now(tasks->env);
        RmVerdict verdict = settle_step(task->served->driver, task->served->hv, one, task->notes,
                                        sizeof(task->notes), &found->err, round);
        if (!round->refused || !(round->decision.repairs & SETTLE_RESUME_DESTINATION)) {
            refused_at = 0;
        } else {
            if (refused_at == 0)
                refused_at = env_now(tasks->env);
            if (is_off(task) || env_now(tasks->env) >= refused_at + RESUME_FOR)
                break;
            env_sleep(tasks->env, SETTLE_EVERY);
            continue;
        }
        times = verdict == last ? times + 1 : 1;
        last = verdict;
        if (round->source_unanswered)
            add_unanswered(task, task->assignment->host);
        if (round->destination_unanswered)
            add_unanswered(task, task->assignment->destination);
        if (is_off(task))
            break;
        bool calm = began_at >= late_at;
        late_at = calm_at(task, round, late_at);
        if (verdict == RM_VERDICT__VERDICT_MIGRATING) {
            if (!found->following)
                stall_begin(&stall, &migration, env_now(tasks->env));
            found->following = true;
            report_accepted(task);
            follow(task, &migration, &stall, end);
            until_at = env_now(tasks->env) + SETTLE_FOR;
            late_at = 0; /* it did */
        } else if (round->held) {
            report_progress(task, "settling"); /* the answer may be that it is called off */
            until_at = env_now(tasks->env) + SETTLE_FOR;
        } else if (!look_again(round, tried, times, env_now(tasks->env), until_at, calm)) {
            break;
        }
        env_sleep(tasks->env, SETTLE_EVERY);
    }
    /* It has arrived, and the source has given it away: a person must see to it. */
    if (refused_at != 0 && !is_off(task))
        last = RM_VERDICT__VERDICT_NOWHERE;
    return last == RM_VERDICT__NO_VERDICT ? RM_VERDICT__VERDICT_UNKNOWN : last;
}

/* The guest stayed at its source. text: how it stands. */
static void conclude_stayed(struct task *task, const struct settle_case *one,
                            const struct found *found, bool tried, const char *text,
                            struct task_end *end)
{
    if (found->round.facts.destination.active) { /* a start that is not complete */
        task->may_have_left = one->fenced;
        add_note(task, found->round.decision.text);
    }
    if (!found->round.facts.destination.answered && tried && !task->served->driver->single) {
        task->may_have_left = one->fenced;
        add_note(task, "the destination did not answer: a paused copy or a definition may be "
                       "left there");
    } else
        add_note(task, found->err.text);
    if (is_open(end))
        end->class_ = RM_CLASS__CLASS_RETRY; /* it is known now that nothing changed */
    if (!end->text[0])
        snprintf(end->text, sizeof(end->text), "%s",
                 found->following
                     ? "the migration did not work; its error is not known, since it was "
                       "followed, not begun, by this worker"
                     : text);
}

/* Finds out where the guest is. unseen: a migration was asked for by a call whose return nobody has
 * seen. */
static void settle(struct task *task, struct settle_case *one, bool tried, bool unseen,
                   struct task_end *end)
{
    struct found found = {.following = false};
    char text[RM_ERR_MAX], before[RM_ERR_MAX];
    end->verdict = ask_and_repair(task, one, tried, unseen, &found, end);
    snprintf(text, sizeof(text), "%s%s%.1800s", found.round.decision.text,
             found.err.text[0] ? ": " : "", found.err.text);
    if (end->verdict == RM_VERDICT__VERDICT_DESTINATION) {
        /* What went wrong on the way belongs to the history, not to the result. */
        add_note(task, end->text);
        add_note(task, found.err.text);
        carry_autostart(task, one);
        *end = (struct task_end){.verdict = end->verdict};
        return;
    }
    if (end->verdict == RM_VERDICT__VERDICT_SOURCE) {
        conclude_stayed(task, one, &found, tried, text, end);
        return;
    }
    if (end->verdict == RM_VERDICT__VERDICT_ENDED && end->class_ == RM_CLASS__CLASS_AMBIGUOUS)
        end->class_ = RM_CLASS__CLASS_FATAL; /* there is nothing to be moved any more */
    memcpy(before, end->text, sizeof(before));
    snprintf(end->text, sizeof(end->text), "%.900s%s%.1100s", text, before[0] ? "; " : "", before);
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
        .fenced = strcmp(fence, "paused") == 0 || task->served->driver->single,
        .fence_unknown = fence[0] == '\0' && !task->served->driver->single,
    };
}

static void run_settle(struct task *task)
{
    const RmAssignment *a = task->assignment;
    struct task_end end = {.verdict = RM_VERDICT__NO_VERDICT};
    struct settle_case one = case_of(task, a->fence);
    snprintf(task->fence, sizeof(task->fence), "%s", a->fence);
    task->guest_paused = a->guest_paused;
    task->had_definition = a->had_definition;
    task->autostart = a->autostart;
    one.guest_paused = a->guest_paused;
    /* Without the word of who tried, a definition over there may be somebody's own: it stays. */
    one.had_definition = a->had_definition || one.fence_unknown;
    one.may_be_left = a->may_be_left;
    if (a->cancel_wanted)
        atomic_store(&task->stop, true);
    log_info("job=%" PRIu64 " attempt=%u guest=%s host=%s destination=%s: settling", a->job,
             a->attempt, a->guest, a->host, a->destination);
    settle(task, &one, /* tried = */ true, /* unseen = */ true, &end);
    report_finished(task, &end);
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
    migration.may = attempt_may;
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
 * check has the reason why the guest cannot come. */
static void remove_leftover(struct task *task)
{
    struct settle_case one = case_of(task, "paused");
    struct settle_round round;
    struct rm_err err = {""};
    usec_t until_at = env_now(task->tasks->env) + SETTLE_FOR;
    one.had_definition = true; /* a definition does not stand in the way */
    one.may = attempt_may;
    one.ctx = task;
    for (;;) {
        settle_step(task->served->driver, task->served->hv, &one, task->notes, sizeof(task->notes),
                    &err, &round);
        if (round.destination_unanswered)
            add_unanswered(task, task->assignment->destination);
        if (is_off(task) || round.decision.verdict != RM_VERDICT__NO_VERDICT || err.text[0] ||
            env_now(task->tasks->env) >= until_at)
            return;
        if (!round.decision.repairs)
            env_sleep(task->tasks->env, SETTLE_EVERY);
    }
}

/* Is the desired state reached already? -errno with the text when a side cannot be asked. */
static int is_there(struct task *task, struct rm_err *err)
{
    const RmAssignment *a = task->assignment;
    const struct driver *driver = task->served->driver;
    struct hv_look source, destination;
    driver->look(task->served->hv, NULL, a->uuid, &source, err);
    if (!source.answered)
        return rm_prefix(err, -EIO, "%s", a->host);
    driver->look(task->served->hv, a->peer, a->uuid, &destination, err);
    if (!destination.answered)
        return rm_prefix(err, -EIO, "%s", a->destination);
    if (is_leftover(task, &source, &destination))
        remove_leftover(task);
    return !source.active && destination.active && !destination.incoming &&
           destination.reason != HV_REASON_MIGRATING;
}

static void take_outcome(struct task *task, const struct hv_outcome *outcome, struct task_end *end)
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
    end->class_ = outcome->class_;
    end->code = outcome->code;
    snprintf(end->text, sizeof(end->text), "%s", outcome->text);
}

static void run_migration(struct task *task)
{
    const RmAssignment *a = task->assignment;
    const struct driver *driver = task->served->driver;
    struct task_end end = {.verdict = RM_VERDICT__NO_VERDICT};
    struct hv_migration migration = migration_of(task);
    struct hv_outcome outcome;
    struct rm_err err = {""};
    int r = is_there(task, &err);
    if (r < 0) {
        report_refused(task, RM_CLASS__CLASS_RETRY, 0, err.text);
        return;
    }
    if (r > 0) {
        end.verdict = RM_VERDICT__VERDICT_DESTINATION;
        end.already = true;
        report_finished(task, &end);
        return;
    }
    report_progress(task, "checking");
    r = driver->check(task->served->hv, &migration, &outcome);
    if (r < 0) {
        report_refused(task, outcome.class_, outcome.code, outcome.text);
        return;
    }
    if (atomic_load(&task->stop) || a->cancel_wanted) {
        report_refused(task, RM_CLASS__CLASS_ABORTED, 0, "stopped on request before it began");
        return;
    }
    migration.begin_by = lease_until(task);
    if (migration.begin_by == 0 || attempt_may(task) != HV_MAY) {
        report_refused(task, RM_CLASS__CLASS_RETRY, 0,
                       "the preparations took longer than the lease of this worker");
        return;
    }
    snprintf(task->fence, sizeof(task->fence), "%s", outcome.fence);
    task->guest_paused = outcome.guest_paused;
    task->had_definition = outcome.had_definition;
    task->autostart = outcome.autostart;
    if (strcmp(outcome.fence, "paused") == 0)
        migration.fence = FENCE_ALWAYS; /* what is announced is what is done */
    report_accepted(task);
    log_info("job=%" PRIu64 " attempt=%u guest=%s host=%s destination=%s fence=%s: migrating",
             a->job, a->attempt, a->guest, a->host, a->destination, outcome.fence);
    set_moving(task, &migration);
    driver->migrate(task->served->hv, &migration, &outcome);
    set_moving(task, NULL);
    if (outcome.given_up && atomic_load(&task->abort))
        driver->abort(task->served->hv, a->uuid, NULL);
    take_outcome(task, &outcome, &end);
    report_progress(task, "settling");
    struct settle_case one = case_of(task, outcome.fence[0] ? outcome.fence : "none");
    one.handed_over = outcome.ok;
    one.guest_paused = outcome.guest_paused;
    one.had_definition = outcome.had_definition;
    if (outcome.unanswered)
        add_unanswered(task, a->destination);
    settle(task, &one, /* tried = */ outcome.fence[0] != '\0', /* unseen = */ outcome.given_up,
           &end);
    /* Behind the fence, and nobody could let it go on before settling did. */
    if (outcome.ok && one.fenced && !outcome.resumed && !outcome.guest_paused &&
        outcome.suspended_at) {
        task->stats.downtime_for = env_now(task->tasks->env) - outcome.suspended_at;
        task->stats.measured_downtime = true;
    }
    report_finished(task, &end);
}

void attempt_run(struct task *task)
{
    if (task->settle)
        run_settle(task);
    else
        run_migration(task);
}
