/* task.c - what the threads of a worker do, as steps on the virtual clock: worker/task.c, played
 *
 * The same questions in the same order with the same pauses between them, through the same hv_ops
 * and with the real table of decisions (worker/settle.c). A process that stands still takes none of
 * these steps. */
#include "tests/sim/world.h"
#include "worker/settle.h"

#include <stdlib.h>
#include <string.h>

#define SETTLE_EVERY (500 * USEC_PER_MSEC)
#define SETTLE_FOR   (20 * USEC_PER_SEC)
#define FOLLOW_EVERY (500 * USEC_PER_MSEC)
#define ABORT_EVERY  (500 * USEC_PER_MSEC)
#define CALL_MOST    (100 * USEC_PER_MSEC) /* a call that is answered */
#define CALL_FAILS   (2 * USEC_PER_SEC)    /* one that is not */
#define BEGIN_MOST   (USEC_PER_SEC)        /* from the check to the start: connections are made */

enum { NOTES_MAX = 1024 };

enum step { STEP_START, STEP_CHECK, STEP_BEGIN, STEP_MOVING, STEP_SETTLE, STEP_FOLLOW };

struct task {
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
    usec_t until_at, abort_at;
    usec_t begin_by; /* the lease, by the clock of the site */
    struct task *next;
};

static void task_free(struct task *task)
{
    struct world *world = task->yard->world;

    sim_forget(world->sim, task);
    alarm_stop(world, &task->alarm);
    rm_assignment__free_unpacked(task->assignment, NULL);
    free(task);
}

static void remove_task(struct task *task)
{
    struct task **at = &task->yard->tasks;

    while (*at != task)
        at = &(*at)->next;
    *at = task->next;
    task_free(task);
}

void tasks_drop(struct yard *yard)
{
    while (yard->tasks != NULL)
        remove_task(yard->tasks);
}

unsigned tasks_moving(const struct yard *yard, unsigned host)
{
    unsigned n = 0;

    for (const struct task *task = yard->tasks; task != NULL; task = task->next)
        if (task->step == STEP_MOVING && !task->returned && sim_host_of(task->hv) == host)
            n++;
    return n;
}

/* ---- reports */

static RmReport report_of(struct task *task, RmReportKind kind)
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
    return report;
}

static void report_progress(struct task *task, const char *phase)
{
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_PROGRESS);

    report.phase = (char *)phase;
    yard_report(task->yard, &report);
}

static void report_accepted(struct task *task)
{
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_ACCEPTED);

    if (task->accepted)
        return;
    task->accepted = true;
    yard_report(task->yard, &report);
}

static void report_refused(struct task *task, RmClass class_, int code, const char *text)
{
    RmReport report = report_of(task, RM_REPORT_KIND__REPORT_REFUSED);

    world_tell(task->yard->world, "%s: job %llu/%u refused: %s", task->yard->machine,
               (unsigned long long)task->assignment->job, task->assignment->attempt, text);
    report.class_ = class_;
    report.code = code;
    report.text = (char *)text;
    yard_report(task->yard, &report);
    remove_task(task);
}

static void report_finished(struct task *task, bool already)
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
    yard_report(task->yard, &report);
    remove_task(task);
}

static void add_note(struct task *task, const char *text)
{
    size_t length = strlen(task->notes);

    if (*text != '\0')
        snprintf(task->notes + length, sizeof(task->notes) - length, "%s%s", length > 0 ? "; " : "",
                 text);
}

/* ---- steps */

static void next_step(struct task *task, enum step step, usec_t wait_for)
{
    struct world *world = task->yard->world;

    task->step = step;
    alarm_set(world, &task->alarm, world_now(world) + wait_for);
}

static usec_t call_time(const struct task *task)
{
    return world_between(task->yard->world, USEC_PER_MSEC, CALL_MOST);
}

static void begin_settling(struct task *task, bool tried)
{
    task->tried = tried;
    task->last = RM_VERDICT__NO_VERDICT;
    task->until_at = world_now(task->yard->world) + SETTLE_FOR;
    next_step(task, STEP_SETTLE, call_time(task));
}

/* In one go: the worker's loop makes no pauses either. */
static void remove_leftover(struct task *task)
{
    struct settle_case one = task->one;
    struct settle_round round;
    struct rm_err err = {""};

    one.fenced = one.had_definition = true;
    one.locked = one.fence_unknown = false;
    for (int i = 0; i < 8; i++) {
        settle_step(&hv_sim, task->hv, &one, task->notes, sizeof(task->notes), &err, &round);
        if (round.decision.verdict != RM_VERDICT__NO_VERDICT || err.text[0] != '\0')
            return;
    }
}

static void step_start(struct task *task)
{
    const RmAssignment *a = task->assignment;
    struct hv_look source, destination;
    struct rm_err err = {""};

    if (task->settle) {
        begin_settling(task, /* tried = */ true);
        return;
    }
    hv_sim.look(task->hv, NULL, a->uuid, &source, &err);
    if (source.answered)
        hv_sim.look(task->hv, a->peer, a->uuid, &destination, &err);
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

static struct hv_migration migration_of(const struct task *task)
{
    const RmAssignment *a = task->assignment;
    struct hv_migration migration = {.uuid = a->uuid,
                                     .destination = a->destination,
                                     .peer = a->peer,
                                     .address = a->migration,
                                     .fence = FENCE_AUTO,
                                     .begin_by = task->begin_by};

    if (a->options != NULL && a->options->fence >= 1)
        migration.fence = (enum fence_mode)(a->options->fence - 1);
    if (strcmp(task->fence, "paused") == 0)
        migration.fence = FENCE_ALWAYS;
    return migration;
}

static void step_check(struct task *task)
{
    struct world *world = task->yard->world;
    struct hv_migration migration = migration_of(task);

    if (hv_sim.check(task->hv, &migration, &task->outcome) < 0) {
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
    if (world_now(world) >= task->begin_by) {
        report_refused(task, RM_CLASS__CLASS_RETRY, 0, "the lease was over before it began");
        return;
    }
    snprintf(task->fence, sizeof(task->fence), "%s", task->outcome.fence);
    task->guest_paused = task->outcome.guest_paused;
    report_accepted(task);
    next_step(task, STEP_BEGIN, world_between(world, USEC_PER_MSEC, BEGIN_MOST));
}

/* The call has returned; whoever waits for it goes on as soon as its process does. */
static void returned(void *ctx, const struct hv_outcome *outcome)
{
    struct task *task = ctx;

    task->outcome = *outcome;
    task->returned = true;
    alarm_set(task->yard->world, &task->alarm, world_now(task->yard->world));
}

static void step_begin(struct task *task)
{
    struct hv_migration migration = migration_of(task);

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

static void step_moving(struct task *task)
{
    const RmAssignment *a = task->assignment;
    const struct hv_outcome *outcome = &task->outcome;
    bool fenced = strcmp(outcome->fence, "paused") == 0;

    if (!task->returned) {
        if (task->stop)
            hv_sim.abort(task->hv, a->uuid, NULL);
        if (!task->returned) {
            report_progress(task, "copying");
            next_step(task, STEP_MOVING, ABORT_EVERY);
        }
        return;
    }
    /* What migrate() itself does behind the fence. */
    if (outcome->ok && fenced && !outcome->guest_paused)
        hv_sim.mend(task->hv, a->peer, a->uuid, HV_RESUME, NULL);
    if (!outcome->ok) {
        task->class_ = outcome->class_;
        task->code = outcome->code;
        snprintf(task->text, sizeof(task->text), "%s", outcome->text);
    }
    snprintf(task->fence, sizeof(task->fence), "%s", outcome->fence);
    task->one.fenced = fenced;
    task->one.locked = strcmp(outcome->fence, "image lock") == 0;
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
    begin_settling(task, /* tried = */ outcome->fence[0] != '\0');
}

static bool look_again(const struct task *task, const struct settle_round *round)
{
    usec_t now = world_now(task->yard->world);

    switch (round->decision.verdict) {
    case RM_VERDICT__VERDICT_BOTH:
        return task->times < 2;
    case RM_VERDICT__NO_VERDICT:
    case RM_VERDICT__VERDICT_UNKNOWN:
        return now < task->until_at;
    case RM_VERDICT__VERDICT_SOURCE:
        return task->tried && !round->facts.destination.answered && now < task->until_at;
    default:
        return false;
    }
}

static bool is_open(const struct task *task)
{
    return task->class_ == RM_CLASS__NO_CLASS || task->class_ == RM_CLASS__CLASS_AMBIGUOUS;
}

static void settled(struct task *task, const struct settle_round *round, const struct rm_err *err)
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

static void step_settle(struct task *task)
{
    struct rm_err err = {""};
    struct settle_round round;
    RmVerdict verdict =
        settle_step(&hv_sim, task->hv, &task->one, task->notes, sizeof(task->notes), &err, &round);

    task->times = verdict == task->last ? task->times + 1 : 1;
    task->last = verdict;
    if (verdict == RM_VERDICT__VERDICT_MIGRATING) {
        task->following = true;
        task->abort_at = 0;
        report_accepted(task);
        next_step(task, STEP_FOLLOW, call_time(task));
    } else if (look_again(task, &round)) {
        bool answered = round.facts.source.answered && round.facts.destination.answered;
        next_step(task, STEP_SETTLE, SETTLE_EVERY + (answered ? 0 : CALL_FAILS));
    } else {
        settled(task, &round, &err);
    }
}

static void step_follow(struct task *task)
{
    struct world *world = task->yard->world;
    RmStats stats;

    if (!task->at_source || hv_sim.progress(task->hv, task->assignment->uuid, &stats) < 0) {
        task->until_at = world_now(world) + SETTLE_FOR;
        next_step(task, STEP_SETTLE, SETTLE_EVERY);
        return;
    }
    report_progress(task, "copying");
    if (task->stop && is_open(task)) {
        task->class_ = RM_CLASS__CLASS_ABORTED;
        snprintf(task->text, sizeof(task->text), "stopped on request");
    }
    if (!is_open(task) && world_now(world) >= task->abort_at) {
        hv_sim.abort(task->hv, task->assignment->uuid, NULL);
        task->abort_at = world_now(world) + USEC_PER_SEC;
    }
    next_step(task, STEP_FOLLOW, FOLLOW_EVERY);
}

static void task_ring(void *ctx)
{
    struct task *task = ctx;
    struct world *world = task->yard->world;

    if (task->yard->hung_until > world_now(world)) {
        alarm_set(world, &task->alarm, task->yard->hung_until);
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
    RmAssignment *copy;

    if (bytes == NULL)
        abort();
    rm_assignment__pack(assignment, bytes);
    copy = rm_assignment__unpack(NULL, size, bytes);
    free(bytes);
    if (copy == NULL)
        abort();
    return copy;
}

void task_start(struct yard *yard, const RmAssignment *assignment, bool settle, usec_t begin_by)
{
    struct task *task = calloc(1, sizeof(*task));
    int source = yard_find_host(yard, assignment->host);
    int destination = settle ? yard_find_host(yard, assignment->destination) : -1;

    if (task == NULL)
        abort();
    task->yard = yard;
    task->assignment = copy_assignment(assignment);
    task->settle = settle;
    task->begin_by = begin_by == USEC_NEVER ? begin_by : begin_by - yard->clock_offset;
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
        task->one.locked = strcmp(assignment->fence, "image lock") == 0;
        task->one.fence_unknown = assignment->fence[0] == '\0';
        task->one.guest_paused = assignment->guest_paused;
        task->one.had_definition = true;
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
    for (struct task *task = yard->tasks; task != NULL; task = task->next)
        if (task->assignment->job == job)
            task->stop = true;
}
