/* task.c - what the threads of a worker do, as steps on the virtual clock: worker/task.c, played
 *
 * The same questions in the same order with the same pauses between them, through a driver
 * and with the real table of decisions (worker/settle.c). A process that stands still takes none of
 * these steps. */
#include "tests/sim/world.h"
#include "worker/settle.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SETTLE_EVERY (500 * USEC_PER_MSEC)
#define SETTLE_FOR   (20 * USEC_PER_SEC)
#define FOLLOW_EVERY (500 * USEC_PER_MSEC)
#define ABORT_EVERY  (500 * USEC_PER_MSEC)
#define CALL_MOST    (100 * USEC_PER_MSEC) /* a call that is answered */
#define CALL_FAILS   (2 * USEC_PER_SEC)    /* one that is not */

enum {
    NOTES_MAX = 1024,
    BOTH_LOOKS = 2,
    NOWHERE_LOOKS = 10,
};

enum step { STEP_START, STEP_CHECK, STEP_BEGIN, STEP_MOVING, STEP_SETTLE, STEP_FOLLOW };

struct sim_task {
    struct yard *yard;
    struct hv *hv;
    RmAssignment *assignment; /* owned */
    bool settle, at_source, stop, accepted, returned, tried, following, may_have_left;
    enum step step;
    struct alarm alarm;
    struct hv_outcome outcome;
    char fence[64];
    bool guest_paused;
    char notes[NOTES_MAX];
    struct settle_case one;
    RmVerdict last, verdict;
    RmClass class_;
    int code;
    char text[RM_ERR_MAX];
    unsigned times;
    usec_t until_at, abort_at, calm_at;
    uint64_t session; /* in which it may act */
    bool off;         /* it was called off */
    bool ghost;       /* it was, and has said that it is, and goes on: BREAK_OFF */
    const char *unanswered[2];
    size_t n_unanswered;
    struct sim_task *next;
};

static void task_free(struct sim_task *task)
{
    struct world *world = task->yard->world;
    sim_forget(world->sim, task);
    alarm_stop(world, &task->alarm);
    rm_assignment__free_unpacked(task->assignment, NULL);
    free(task);
}

static void remove_task(struct sim_task *task)
{
    struct sim_task **at = &task->yard->tasks;
    while (*at != task)
        at = &(*at)->next;
    *at = task->next;
    task_free(task);
}

void tasks_drop(struct yard *yard)
{
    while (yard->tasks)
        remove_task(yard->tasks);
}

unsigned tasks_moving(const struct yard *yard, unsigned host)
{
    unsigned n = 0;
    for (const struct sim_task *task = yard->tasks; task; task = task->next)
        if (task->step == STEP_MOVING && !task->returned && sim_host_of(task->hv) == host)
            n++;
    return n;
}

/* ---- who may act */

static usec_t lease_until(const struct sim_task *task)
{
    const struct yard *yard = task->yard;
    bool mine = task->session == yard->lease_session && yard->lease_until > yard->clock_offset;
    return mine ? yard->lease_until - yard->clock_offset : 0;
}

static enum hv_may may(void *ctx)
{
    const struct sim_task *task = ctx;
    const struct world *world = task->yard->world;
    if (task->ghost)
        return HV_MAY;
    return task->off                                                ? HV_MAY_NEVER
           : task->settle && world->options.broken == BREAK_SETTLER ? HV_MAY
           : world_now(world) >= lease_until(task)                  ? HV_MAY_NOT_NOW
                                                                    : HV_MAY;
}

static void add_unanswered(struct sim_task *task, const char *host)
{
    for (size_t i = 0; i < task->n_unanswered; i++)
        if (task->unanswered[i] == host)
            return;
    task->unanswered[task->n_unanswered++] = host;
}

unsigned tasks_acting(const struct yard *yard, const char *guest)
{
    unsigned n = 0;
    for (struct sim_task *task = yard->tasks; task; task = task->next)
        if (strcmp(task->assignment->guest, guest) == 0 && may(task) == HV_MAY)
            n++;
    return n;
}

/* ---- reports */

static void post(struct sim_task *task, const RmReport *report)
{
    if (!task->ghost)
        yard_report(task->yard, report);
}

static RmReport report_of(struct sim_task *task, RmReportKind kind)
{
    RmReport report = RM_REPORT__INIT;
    report.job = task->assignment->job;
    report.attempt = task->assignment->attempt;
    report.kind = kind;
    report.host = task->assignment->host;
    report.fence = task->fence;
    report.may_have_left = task->may_have_left;
    report.guest_paused = task->guest_paused;
    report.notes = task->notes;
    report.n_unanswered = task->n_unanswered;
    report.unanswered = (char **)task->unanswered;
    return report;
}

static void report_progress(struct sim_task *task, const char *phase)
{
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_PROGRESS);
    report.phase = (char *)phase;
    post(task, &report);
}

static void report_accepted(struct sim_task *task)
{
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_ACCEPTED);
    if (task->accepted)
        return;
    task->accepted = true;
    post(task, &report);
}

static void report_refused(struct sim_task *task, RmClass class_, int code, const char *text)
{
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_REFUSED);
    world_tell(task->yard->world, "%s: job %llu/%u refused: %s", task->yard->machine,
               (unsigned long long)task->assignment->job, task->assignment->attempt, text);
    report.class_ = class_;
    report.code = code;
    report.text = (char *)text;
    post(task, &report);
    remove_task(task);
}

static void report_finished(struct sim_task *task, bool already)
{
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_FINISHED);
    world_tell(task->yard->world, "%s: job %llu/%u verdict %u: %s (%s)", task->yard->machine,
               (unsigned long long)task->assignment->job, task->assignment->attempt,
               (unsigned)task->verdict, task->text, task->notes);
    report.verdict = task->verdict;
    report.class_ = task->class_;
    report.code = task->code;
    report.text = task->text;
    report.already = already;
    post(task, &report);
    remove_task(task);
}

static void add_note(struct sim_task *task, const char *text)
{
    size_t length = strlen(task->notes);
    if (*text != '\0')
        snprintf(task->notes + length, sizeof(task->notes) - length, "%s%s", length > 0 ? "; " : "",
                 text);
}

/* ---- steps */

static void next_step(struct sim_task *task, enum step step, usec_t wait_for)
{
    struct world *world = task->yard->world;
    task->step = step;
    alarm_set(world, &task->alarm, world_now(world) + wait_for);
}

static usec_t call_time(const struct sim_task *task)
{
    return world_between(task->yard->world, USEC_PER_MSEC, CALL_MOST);
}

static void begin_settling(struct sim_task *task, bool tried, bool unseen)
{
    task->tried = tried;
    unseen = unseen && task->yard->world->options.broken != BREAK_CALM;
    task->calm_at = unseen ? USEC_NEVER : 0;
    task->one.may = may;
    task->one.ctx = task;
    task->last = RM_VERDICT__NO_VERDICT;
    task->until_at = world_now(task->yard->world) + SETTLE_FOR;
    next_step(task, STEP_SETTLE, call_time(task));
}

/* In one go: the worker's loop makes no pauses either. */
static void remove_leftover(struct sim_task *task)
{
    struct settle_case one = task->one;
    struct settle_round round;
    struct rm_err err = {""};
    one.fenced = one.had_definition = true;
    one.fence_unknown = false;
    one.may = may;
    one.ctx = task;
    for (int i = 0; i < 8; i++) {
        settle_step(&sim_driver, task->hv, &one, task->notes, sizeof(task->notes), &err, &round);
        if (round.destination_unanswered)
            add_unanswered(task, task->assignment->destination);
        if (round.decision.verdict != RM_VERDICT__NO_VERDICT || err.text[0] != '\0')
            return;
    }
}

static void step_start(struct sim_task *task)
{
    const RmAssignment *a = task->assignment;
    struct hv_look source, destination;
    struct rm_err err = {""};
    if (task->settle) {
        begin_settling(task, /* tried = */ true, /* unseen = */ true);
        return;
    }
    sim_driver.look(task->hv, NULL, a->uuid, &source, &err);
    if (source.answered)
        sim_driver.look(task->hv, a->peer, a->uuid, &destination, &err);
    if (!source.answered || !destination.answered) {
        report_refused(task, RM_CLASS__CLASS_RETRY, 0, err.text);
        return;
    }
    if (!source.active && destination.active && !destination.incoming &&
        destination.reason != HV_REASON_MIGRATING) {
        task->verdict = RM_VERDICT__VERDICT_DESTINATION;
        report_finished(task, /* already = */ true);
        return;
    }
    report_progress(task, "checking");
    if (a->may_be_left && source.active && !source.outgoing &&
        source.state == RM_GUEST_STATE__GUEST_RUNNING && destination.active &&
        destination.state == RM_GUEST_STATE__GUEST_PAUSED)
        remove_leftover(task);
    next_step(task, STEP_CHECK, call_time(task));
}

static struct hv_migration migration_of(const struct sim_task *task)
{
    const RmAssignment *a = task->assignment;
    struct hv_migration migration = {.uuid = a->uuid,
                                     .destination = a->destination,
                                     .peer = a->peer,
                                     .address = a->migration,
                                     .fence = FENCE_ALWAYS,
                                     .begin_by = lease_until(task)};
    if (a->options && a->options->fence >= 1)
        migration.fence = (enum fence_mode)(a->options->fence - 1);
    if (strcmp(task->fence, "paused") == 0)
        migration.fence = FENCE_ALWAYS;
    return migration;
}

static void step_check(struct sim_task *task)
{
    struct world *world = task->yard->world;
    struct hv_migration migration = migration_of(task);
    if (sim_driver.check(task->hv, &migration, &task->outcome) < 0) {
        report_refused(task, task->outcome.class_, task->outcome.code, task->outcome.text);
        return;
    }
    if (!world->peace && world_random(world, 100) < world->luck.refuse_percent) {
        static const RmClass classes[] = {RM_CLASS__CLASS_RETRY, RM_CLASS__CLASS_RETRY,
                                          RM_CLASS__CLASS_UNFIT, RM_CLASS__CLASS_FATAL};
        report_refused(task, classes[world_random(world, 4)], 0, "this hypervisor is in a mood");
        return;
    }
    if (task->stop || task->assignment->cancel_wanted) {
        report_refused(task, RM_CLASS__CLASS_ABORTED, 0, "stopped on request before it began");
        return;
    }
    if (may(task) != HV_MAY) {
        report_refused(task, RM_CLASS__CLASS_RETRY, 0, "the lease was over before it began");
        return;
    }
    snprintf(task->fence, sizeof(task->fence), "%s", task->outcome.fence);
    task->guest_paused = task->outcome.guest_paused;
    report_accepted(task);
    next_step(task, STEP_BEGIN, world_between(world, USEC_PER_MSEC, world->begin_most));
}

/* The call has returned; whoever waits for it goes on as soon as its process does. */
static void returned(void *ctx, const struct hv_outcome *outcome)
{
    struct sim_task *task = ctx;
    task->outcome = *outcome;
    task->returned = true;
    alarm_set(task->yard->world, &task->alarm, world_now(task->yard->world));
}

static void step_begin(struct sim_task *task)
{
    struct hv_migration migration = migration_of(task);
    if (migration.begin_by == 0)
        migration.begin_by = 1; /* long ago */
    if (sim_begin(task->hv, &migration, returned, task, &task->outcome)) {
        world_tell(task->yard->world, "%s: job %llu/%u migrates %s to %s", task->yard->machine,
                   (unsigned long long)task->assignment->job, task->assignment->attempt,
                   task->assignment->guest, task->assignment->destination);
        next_step(task, STEP_MOVING, ABORT_EVERY);
        return;
    }
    task->returned = true;
    next_step(task, STEP_MOVING, 0);
}

static void step_moving(struct sim_task *task)
{
    const RmAssignment *a = task->assignment;
    const struct hv_outcome *outcome = &task->outcome;
    bool fenced = strcmp(outcome->fence, "paused") == 0;
    if (!task->returned) {
        if (task->stop && may(task) == HV_MAY)
            sim_driver.abort(task->hv, a->uuid, NULL);
        if (!task->returned) {
            report_progress(task, "copying");
            next_step(task, STEP_MOVING, ABORT_EVERY);
        }
        return;
    }
    /* What migrate() itself does behind the fence. */
    if (outcome->ok && fenced && !outcome->guest_paused && may(task) != HV_MAY_NEVER &&
        sim_driver.repair(task->hv, a->peer, a->uuid, HV_RESUME, NULL) == -ETIMEDOUT)
        add_unanswered(task, a->destination);
    if (!outcome->ok) {
        task->class_ = outcome->class_;
        task->code = outcome->code;
        snprintf(task->text, sizeof(task->text), "%s", outcome->text);
    }
    snprintf(task->fence, sizeof(task->fence), "%s", outcome->fence);
    task->one.fenced = fenced;
    task->one.handed_over = outcome->ok;
    task->one.guest_paused = outcome->guest_paused;
    task->one.had_definition = outcome->had_definition;
    if (task->yard->world->options.broken == BREAK_LOOK) {
        task->verdict = outcome->ok ? RM_VERDICT__VERDICT_DESTINATION : RM_VERDICT__VERDICT_SOURCE;
        if (task->class_ == RM_CLASS__CLASS_AMBIGUOUS)
            task->class_ = RM_CLASS__CLASS_RETRY;
        report_finished(task, /* already = */ false);
        return;
    }
    report_progress(task, "settling");
    begin_settling(task, /* tried = */ outcome->fence[0] != '\0', outcome->given_up);
}

static bool look_again(const struct sim_task *task, const struct settle_round *round, bool calm)
{
    usec_t now = world_now(task->yard->world);
    switch (round->decision.verdict) {
    case RM_VERDICT__VERDICT_BOTH:
        return task->times < BOTH_LOOKS;
    case RM_VERDICT__VERDICT_NOWHERE:
        return task->times < NOWHERE_LOOKS;
    case RM_VERDICT__NO_VERDICT:
    case RM_VERDICT__VERDICT_UNKNOWN:
        return now < task->until_at;
    case RM_VERDICT__VERDICT_SOURCE:
        return !calm || (task->tried && !round->facts.destination.answered && now < task->until_at);
    default:
        return false;
    }
}

static bool is_open(const struct sim_task *task)
{
    return task->class_ == RM_CLASS__NO_CLASS || task->class_ == RM_CLASS__CLASS_AMBIGUOUS;
}

static void settled(struct sim_task *task, const struct settle_round *round,
                    const struct rm_err *err)
{
    char before[RM_ERR_MAX];
    task->verdict = task->last == RM_VERDICT__NO_VERDICT ? RM_VERDICT__VERDICT_UNKNOWN : task->last;
    memcpy(before, task->text, sizeof(before));
    if (task->verdict == RM_VERDICT__VERDICT_DESTINATION) {
        add_note(task, before);
        add_note(task, err->text);
        task->class_ = RM_CLASS__NO_CLASS;
        task->text[0] = '\0';
        task->code = 0;
    } else if (task->verdict == RM_VERDICT__VERDICT_SOURCE) {
        if (!round->facts.destination.answered && task->tried) {
            task->may_have_left = task->one.fenced;
            add_note(task, "the destination did not answer");
        }
        if (is_open(task))
            task->class_ = RM_CLASS__CLASS_RETRY;
        if (task->text[0] == '\0')
            snprintf(task->text, sizeof(task->text), "%s", round->decision.text);
    } else {
        snprintf(task->text, sizeof(task->text), "%.800s: %.600s; %.600s", round->decision.text,
                 err->text, before);
    }
    report_finished(task, /* already = */ false);
}

static void step_settle(struct sim_task *task)
{
    struct world *world = task->yard->world;
    struct rm_err err = {""};
    struct settle_round round;
    usec_t began_at = world_now(world);
    RmVerdict verdict = settle_step(&sim_driver, task->hv, &task->one, task->notes,
                                    sizeof(task->notes), &err, &round);
    bool calm = began_at >= task->calm_at;
    task->times = verdict == task->last ? task->times + 1 : 1;
    task->last = verdict;
    if (round.source_unanswered)
        add_unanswered(task, task->assignment->host);
    if (round.destination_unanswered)
        add_unanswered(task, task->assignment->destination);
    if (task->calm_at != 0 && !round.facts.source.answered)
        task->calm_at = USEC_NEVER;
    else if (task->calm_at == USEC_NEVER)
        task->calm_at = world_now(world) + sim_driver.late;
    if (verdict == RM_VERDICT__VERDICT_MIGRATING) {
        task->following = true;
        task->calm_at = 0; /* it did begin */
        task->abort_at = 0;
        report_accepted(task);
        next_step(task, STEP_FOLLOW, call_time(task));
    } else if (round.held) {
        report_progress(task, "settling");
        task->until_at = world_now(world) + SETTLE_FOR;
        next_step(task, STEP_SETTLE, SETTLE_EVERY);
    } else if (look_again(task, &round, calm)) {
        bool answered = round.facts.source.answered && round.facts.destination.answered;
        next_step(task, STEP_SETTLE, SETTLE_EVERY + (answered ? 0 : CALL_FAILS));
    } else {
        settled(task, &round, &err);
    }
}

static void step_follow(struct sim_task *task)
{
    struct world *world = task->yard->world;
    RmStats stats;
    if (task->off || !task->at_source ||
        sim_driver.progress(task->hv, task->assignment->uuid, &stats) < 0) {
        task->until_at = world_now(world) + SETTLE_FOR;
        next_step(task, STEP_SETTLE, SETTLE_EVERY);
        return;
    }
    report_progress(task, "copying");
    if (task->stop && is_open(task)) {
        task->class_ = RM_CLASS__CLASS_ABORTED;
        snprintf(task->text, sizeof(task->text), "stopped on request");
    }
    if (!is_open(task) && world_now(world) >= task->abort_at && may(task) == HV_MAY) {
        sim_driver.abort(task->hv, task->assignment->uuid, NULL);
        task->abort_at = world_now(world) + USEC_PER_SEC;
    }
    next_step(task, STEP_FOLLOW, FOLLOW_EVERY);
}

static void task_ring(void *ctx)
{
    struct sim_task *task = ctx;
    struct world *world = task->yard->world;
    if (task->yard->hung_until > world_now(world)) {
        alarm_set(world, &task->alarm, task->yard->hung_until);
        return;
    }
    if (task->off) { /* what it has asked for goes on, and the agent knows what this report means */
        task->verdict = RM_VERDICT__VERDICT_UNKNOWN;
        report_finished(task, /* already = */ false);
        return;
    }
    switch (task->step) {
    case STEP_START:
        step_start(task);
        break;
    case STEP_CHECK:
        step_check(task);
        break;
    case STEP_BEGIN:
        step_begin(task);
        break;
    case STEP_MOVING:
        step_moving(task);
        break;
    case STEP_SETTLE:
        step_settle(task);
        break;
    case STEP_FOLLOW:
        step_follow(task);
        break;
    }
}

/* ---- what the main thread asks for */

static RmAssignment *copy_assignment(const RmAssignment *assignment)
{
    size_t size = rm_assignment__get_packed_size(assignment);
    uint8_t *bytes = malloc(size + 1);
    if (!bytes)
        abort();
    rm_assignment__pack(assignment, bytes);
    RmAssignment *copy = rm_assignment__unpack(NULL, size, bytes);
    free(bytes);
    if (!copy)
        abort();
    return copy;
}

void task_start(struct yard *yard, const RmAssignment *assignment, bool settle, uint64_t session)
{
    struct sim_task *task = calloc(1, sizeof(*task));
    int source = yard_find_host(yard, assignment->host);
    int destination = settle ? yard_find_host(yard, assignment->destination) : -1;
    if (!task)
        abort();
    task->yard = yard;
    task->assignment = copy_assignment(assignment);
    task->settle = settle;
    task->session = session;
    task->at_source = source >= 0 && (*assignment->peer != '\0' || destination < 0 ||
                                      *assignment->source_peer == '\0');
    task->hv = yard->hv[task->at_source ? source : destination];
    task->stop = settle && assignment->cancel_wanted;
    task->one =
        (struct settle_case){.uuid = task->assignment->uuid,
                             .source_peer = task->at_source ? NULL : task->assignment->source_peer,
                             .destination_peer = task->at_source ? task->assignment->peer : NULL,
                             .source = task->assignment->host,
                             .destination = task->assignment->destination};
    if (settle) {
        snprintf(task->fence, sizeof(task->fence), "%s", assignment->fence);
        task->guest_paused = assignment->guest_paused;
        task->one.fenced = strcmp(assignment->fence, "paused") == 0;
        task->one.fence_unknown = assignment->fence[0] == '\0';
        task->one.guest_paused = assignment->guest_paused;
        task->one.had_definition = true;
        task->one.may_be_left = assignment->may_be_left;
    }
    task->next = yard->tasks;
    yard->tasks = task;
    alarm_init(&task->alarm, task_ring, task);
    world_tell(yard->world, "%s: job %llu/%u %s", yard->machine,
               (unsigned long long)assignment->job, assignment->attempt,
               settle ? "settles" : "begins");
    next_step(task, STEP_START, call_time(task));
}

void task_stop(struct yard *yard, uint64_t job)
{
    for (struct sim_task *task = yard->tasks; task; task = task->next)
        if (task->assignment->job == job)
            task->stop = true;
}

void task_off(struct yard *yard, uint64_t job, bool abort)
{
    for (struct sim_task *task = yard->tasks; task; task = task->next) {
        if (task->assignment->job != job || task->ghost)
            continue;
        if (task->settle && yard->world->options.broken == BREAK_OFF) {
            RmReport report = report_of(task, RM_REPORT_KIND__REPORT_FINISHED);
            yard_report(yard, &report);
            task->ghost = true;
            continue;
        }
        task->off = true;
        if (abort && task->step == STEP_MOVING && !task->returned)
            sim_driver.abort(task->hv, task->assignment->uuid, NULL);
        alarm_sooner(yard->world, &task->alarm, world_now(yard->world));
    }
}

void task_go_on(struct yard *yard, uint64_t job, uint64_t session)
{
    for (struct sim_task *task = yard->tasks; task; task = task->next)
        if (task->assignment->job == job)
            task->session = session;
}
