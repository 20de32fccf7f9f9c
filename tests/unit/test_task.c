/* test_task.c - the threads of a worker over a scripted hypervisor: what they report, and in which
 * order */
#include "worker/task.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* ---- the hypervisor: one guest, two sides */

enum side_state { SIDE_NOTHING, SIDE_RUNS, SIDE_COPIES, SIDE_SILENT, SIDE_STANDS };

static struct {
    atomic_int source, destination; /* enum side_state */
    atomic_int check_result;
    atomic_int migrations, aborts, repairs;
    atomic_int repair_result;
    atomic_int modify_result;
    atomic_uint_fast64_t bandwidth; /* as modify() had it */
    _Atomic usec_t timeout;         /* of the migration that runs, as it was seen last */
    atomic_bool works;              /* the migration does, or else stays until it is aborted */
    atomic_bool splits;             /* it ends with both sides running */
    atomic_bool loses;              /* the call breaks, the migration goes on */
    atomic_bool stopped;            /* by abort */
} fake;

struct hv {
    int unused;
};

static struct hv *fake_open(const struct conf_hypervisor *conf, const struct conf_worker *worker,
                            const struct env *env, struct rm_err *err)
{
    (void)err;
    (void)conf;
    (void)worker;
    (void)env;
    return calloc(1, sizeof(struct hv));
}

static void fake_close(struct hv *hv)
{
    free(hv);
}

static int fake_inventory(struct hv *hv, struct arena *arena, RmInventory **ret_inventory)
{
    (void)hv;
    RmInventory *inventory = arena_alloc(arena, sizeof(*inventory));
    rm_inventory__init(inventory);
    inventory->host = arena_strdup(arena, "hyp01");
    inventory->reachable = true;
    *ret_inventory = inventory;
    return 0;
}

static int fake_wait_change(struct hv *hv, usec_t wait_for)
{
    (void)hv;
    poll(NULL, 0, wait_for > 50000 ? 50 : (int)(wait_for / 1000));
    return 0;
}

static int fake_look(struct hv *hv, const char *peer, const char *uuid, struct hv_look *ret_look,
                     struct rm_err *err)
{
    (void)hv;
    (void)uuid;
    enum side_state side = (enum side_state)atomic_load(peer ? &fake.destination : &fake.source);
    *ret_look = (struct hv_look){.answered = side != SIDE_SILENT};
    if (side == SIDE_SILENT)
        rm_err_set(err, "no answer");
    if (side == SIDE_STANDS) {
        ret_look->defined = ret_look->active = true;
        ret_look->state = RM_GUEST_STATE__GUEST_PAUSED;
        ret_look->reason = HV_REASON_MIGRATING;
    }
    if (side == SIDE_RUNS || side == SIDE_COPIES) {
        ret_look->defined = ret_look->active = true;
        ret_look->state = RM_GUEST_STATE__GUEST_RUNNING;
        ret_look->outgoing = side == SIDE_COPIES;
    }
    return 0;
}

static int fake_check(struct hv *hv, const struct hv_migration *migration,
                      struct hv_outcome *outcome)
{
    (void)hv;
    (void)migration;
    *outcome = (struct hv_outcome){.stats = RM_STATS__INIT, .fence = "paused"};
    int r = atomic_load(&fake.check_result);
    if (r < 0) {
        outcome->class_ = RM_CLASS__CLASS_UNFIT;
        outcome->code = 91;
        snprintf(outcome->text, sizeof(outcome->text), "the CPU does not fit");
    }
    return r;
}

static void fake_migrate(struct hv *hv, const struct hv_migration *migration,
                         struct hv_outcome *outcome)
{
    (void)hv;
    *outcome = (struct hv_outcome){.stats = RM_STATS__INIT, .fence = "paused"};
    assert_int_equal(migration->fence, FENCE_ALWAYS); /* as check() said */
    atomic_fetch_add(&fake.migrations, 1);
    atomic_store(&fake.source, SIDE_COPIES);
    RmStats stats = RM_STATS__INIT;
    stats.total = 64;
    stats.remaining = 7;
    migration->progress(migration->ctx, &stats);
    if (atomic_load(&fake.loses)) {
        outcome->class_ = RM_CLASS__CLASS_AMBIGUOUS;
        snprintf(outcome->text, sizeof(outcome->text), "the connection is lost");
        return;
    }
    if (atomic_load(&fake.works)) {
        atomic_store(&fake.source, SIDE_NOTHING);
        atomic_store(&fake.destination, SIDE_RUNS);
        outcome->ok = true;
        outcome->resumed = true;
        snprintf(outcome->resumed_by, sizeof(outcome->resumed_by), "source process gone");
        return;
    }
    if (!atomic_load(&fake.splits))
        while (!atomic_load(&fake.stopped)) {
            fake.timeout = migration->timeout;
            poll(NULL, 0, 5);
        }
    atomic_store(&fake.source, SIDE_RUNS);
    if (atomic_load(&fake.splits))
        atomic_store(&fake.destination, SIDE_RUNS);
    outcome->class_ =
        atomic_load(&fake.splits) ? RM_CLASS__CLASS_AMBIGUOUS : RM_CLASS__CLASS_ABORTED;
    snprintf(outcome->text, sizeof(outcome->text), "it broke");
}

static int fake_abort(struct hv *hv, const char *uuid, struct rm_err *err)
{
    (void)hv;
    (void)uuid;
    (void)err;
    atomic_fetch_add(&fake.aborts, 1);
    atomic_store(&fake.stopped, true);
    return 0;
}

static int fake_modify(struct hv *hv, const char *uuid, const RmOptions *limits, struct rm_err *err)
{
    (void)hv;
    (void)uuid;
    if (atomic_load(&fake.modify_result) < 0)
        return rm_fail(err, atomic_load(&fake.modify_result), "it says no");
    atomic_store(&fake.bandwidth, limits->bandwidth);
    return 0;
}

/* A migration that nobody here began: it ends when it is stopped, or after some questions. */
static int fake_progress(struct hv *hv, const char *uuid, RmStats *ret_stats)
{
    (void)hv;
    (void)uuid;
    if (atomic_load(&fake.source) != SIDE_COPIES)
        return -ENOENT;
    ret_stats->total = 64;
    ret_stats->remaining = 9;
    if (atomic_load(&fake.stopped)) {
        atomic_store(&fake.source, SIDE_RUNS);
    } else if (atomic_load(&fake.works)) {
        atomic_store(&fake.source, SIDE_NOTHING);
        atomic_store(&fake.destination, SIDE_RUNS);
    }
    return 0;
}

static int fake_repair(struct hv *hv, const char *peer, const char *uuid, enum hv_repair what,
                       struct rm_err *err)
{
    (void)hv;
    (void)uuid;
    if (peer || what != HV_RESUME)
        return rm_fail(err, -EPERM, "nothing is to be repaired here");
    atomic_fetch_add(&fake.repairs, 1);
    atomic_store(&fake.source, SIDE_RUNS);
    return atomic_load(&fake.repair_result);
}

static const struct driver fake_driver = {
    .open = fake_open,
    .close = fake_close,
    .inventory = fake_inventory,
    .wait_change = fake_wait_change,
    .look = fake_look,
    .check = fake_check,
    .migrate = fake_migrate,
    .abort = fake_abort,
    .modify = fake_modify,
    .progress = fake_progress,
    .repair = fake_repair,
};

/* ---- a worker's shell */

enum { SESSION = 3 };

static struct tasks *tasks;
static struct arena *arena;

static int set_up(void **state)
{
    (void)state;
    /* One by one: the inventory thread of the test before may still be on its way out. */
    atomic_store(&fake.source, SIDE_RUNS);
    atomic_store(&fake.destination, SIDE_NOTHING);
    atomic_store(&fake.check_result, 0);
    atomic_store(&fake.migrations, 0);
    atomic_store(&fake.aborts, 0);
    atomic_store(&fake.repairs, 0);
    atomic_store(&fake.repair_result, 0);
    atomic_store(&fake.modify_result, 0);
    atomic_store(&fake.bandwidth, 0);
    fake.timeout = 0;
    atomic_store(&fake.works, false);
    atomic_store(&fake.splits, false);
    atomic_store(&fake.loses, false);
    atomic_store(&fake.stopped, false);
    static struct conf_hypervisor hypervisor = {.name = "hyp01", .connect = "fake"};
    static struct conf_worker conf = {.hypervisors = &hypervisor, .n_hypervisors = 1};
    static const struct driver *const drivers[] = {&fake_driver};
    struct rm_err err = {""};
    arena = arena_new(0);
    int r = tasks_new(&conf, drivers, env_system(), &tasks, &err);
    if (r == 0)
        tasks_lease(tasks, SESSION, USEC_NEVER);
    return r;
}

static int tear_down(void **state)
{
    (void)state;
    tasks_free(tasks);
    arena_free(arena);
    return 0;
}

static int start(bool settle, bool cancel)
{
    RmAssignment assignment = RM_ASSIGNMENT__INIT;
    assignment.job = 7;
    assignment.attempt = 2;
    assignment.guest = "kvm1";
    assignment.uuid = "u";
    assignment.host = "hyp01";
    assignment.destination = "hyp02";
    assignment.peer = "peer";
    assignment.cancel_wanted = cancel;
    assignment.fence = settle ? "paused" : "";
    return tasks_start(tasks, &assignment, settle, SESSION);
}

/* The next report of a kind other than progress; the borrowed message stays until the next call. */
static const RmReport *next_report(unsigned *progress)
{
    struct mail mail;
    for (;;) {
        struct pollfd fd = {.fd = tasks_fd(tasks), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 60000), 1);
        arena_reset(arena);
        if (!tasks_next(tasks, arena, &mail) || !mail.report)
            continue;
        assert_int_equal(mail.report->job, 7);
        assert_int_equal(mail.report->attempt, 2);
        if (mail.report->kind != RM_REPORT_KIND__REPORT_PROGRESS)
            return mail.report;
        if (progress)
            ++*progress;
    }
}

static const RmReport *expect(RmReportKind kind, unsigned *progress)
{
    const RmReport *report = next_report(progress);
    assert_int_equal(report->kind, kind);
    return report;
}

static void a_migration_that_works_is_accepted_followed_and_finished(void **state)
{
    (void)state;
    unsigned progress = 0;
    atomic_store(&fake.works, true);
    assert_int_equal(start(false, false), 0);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_ACCEPTED, NULL);
    assert_string_equal(report->fence, "paused");
    report = expect(RM_REPORT_KIND__REPORT_FINISHED, &progress);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_DESTINATION);
    assert_int_equal(report->class_, RM_CLASS__NO_CLASS);
    assert_string_equal(report->notes, "resumed behind the fence: source process gone");
    assert_false(report->already);
    assert_true(progress >= 2); /* copying, settling */
}

static void a_guest_that_is_there_already_is_left_alone(void **state)
{
    (void)state;
    atomic_store(&fake.source, SIDE_NOTHING);
    atomic_store(&fake.destination, SIDE_RUNS);
    assert_int_equal(start(false, false), 0);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_FINISHED, NULL);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_DESTINATION);
    assert_true(report->already);
    assert_int_equal(atomic_load(&fake.migrations), 0);
}

static void what_the_check_finds_is_refused_with_its_class(void **state)
{
    (void)state;
    atomic_store(&fake.check_result, -EOPNOTSUPP);
    assert_int_equal(start(false, false), 0);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_REFUSED, NULL);
    assert_int_equal(report->class_, RM_CLASS__CLASS_UNFIT);
    assert_int_equal(report->code, 91);
    assert_string_equal(report->text, "the CPU does not fit");
    assert_int_equal(atomic_load(&fake.migrations), 0);
}

static void a_silent_destination_is_refused_before_anything_begins(void **state)
{
    (void)state;
    atomic_store(&fake.destination, SIDE_SILENT);
    assert_int_equal(start(false, false), 0);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_REFUSED, NULL);
    assert_int_equal(report->class_, RM_CLASS__CLASS_RETRY);
    assert_string_equal(report->text, "hyp02: no answer");
}

static void a_wish_to_cancel_comes_before_the_start(void **state)
{
    (void)state;
    assert_int_equal(start(false, true), 0);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_REFUSED, NULL);
    assert_int_equal(report->class_, RM_CLASS__CLASS_ABORTED);
    assert_int_equal(atomic_load(&fake.migrations), 0);
}

static void a_call_that_breaks_while_the_migration_goes_on_stops_nothing(void **state)
{
    (void)state;
    atomic_store(&fake.works, true);
    atomic_store(&fake.loses, true);
    assert_int_equal(start(false, false), 0);
    expect(RM_REPORT_KIND__REPORT_ACCEPTED, NULL);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_FINISHED, NULL);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_DESTINATION);
    assert_int_equal(atomic_load(&fake.aborts), 0);
    assert_non_null(strstr(report->notes, "the connection is lost"));
}

static void an_abort_stops_the_migration_and_leaves_the_guest(void **state)
{
    (void)state;
    assert_int_equal(start(false, false), 0);
    expect(RM_REPORT_KIND__REPORT_ACCEPTED, NULL);
    assert_int_equal(tasks_abort(tasks, 7), 0);
    assert_int_equal(tasks_abort(tasks, 8), -ENOENT);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_FINISHED, NULL);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_SOURCE);
    assert_int_equal(report->class_, RM_CLASS__CLASS_ABORTED);
    assert_string_equal(report->text, "it broke");
    assert_true(atomic_load(&fake.aborts) > 0);
}

static void a_guest_on_both_sides_is_an_alarm(void **state)
{
    (void)state;
    atomic_store(&fake.splits, true);
    assert_int_equal(start(false, false), 0);
    expect(RM_REPORT_KIND__REPORT_ACCEPTED, NULL);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_FINISHED, NULL);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_BOTH);
    assert_string_equal(report->text, "the guest runs on both sides; it broke");
}

static void a_migration_that_runs_is_adopted(void **state)
{
    (void)state;
    unsigned progress = 0;
    atomic_store(&fake.source, SIDE_COPIES);
    atomic_store(&fake.works, true);
    assert_int_equal(start(true, false), 0);
    expect(RM_REPORT_KIND__REPORT_ACCEPTED, NULL);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_FINISHED, &progress);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_DESTINATION);
    assert_true(progress > 0);
    assert_int_equal(atomic_load(&fake.migrations), 0);
}

static void an_adopted_migration_is_stopped_when_that_is_wanted(void **state)
{
    (void)state;
    atomic_store(&fake.source, SIDE_COPIES);
    assert_int_equal(start(true, true), 0);
    expect(RM_REPORT_KIND__REPORT_ACCEPTED, NULL);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_FINISHED, NULL);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_SOURCE);
    assert_int_equal(report->class_, RM_CLASS__CLASS_ABORTED);
    assert_string_equal(report->text, "stopped on request");
}

static void settling_says_where_the_guest_is(void **state)
{
    (void)state;
    assert_int_equal(start(true, false), 0);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_FINISHED, NULL);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_SOURCE);
    assert_int_equal(report->class_, RM_CLASS__CLASS_RETRY);
}

static void nothing_begins_without_a_lease(void **state)
{
    (void)state;
    tasks_lease(tasks, SESSION, env_now(env_system()));
    assert_int_equal(start(false, false), 0);
    assert_int_equal(expect(RM_REPORT_KIND__REPORT_REFUSED, NULL)->class_, RM_CLASS__CLASS_RETRY);
    tasks_lease(tasks, SESSION + 1, USEC_NEVER); /* not this one's */
    assert_int_equal(start(false, false), 0);
    assert_int_equal(expect(RM_REPORT_KIND__REPORT_REFUSED, NULL)->class_, RM_CLASS__CLASS_RETRY);
    assert_int_equal(atomic_load(&fake.migrations), 0);
}

/* Settling needs to resume the guest, and may not. */
static void await_held(void)
{
    struct mail mail = {0};
    while (!mail.report || mail.report->kind != RM_REPORT_KIND__REPORT_PROGRESS) {
        struct pollfd fd = {.fd = tasks_fd(tasks), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 60000), 1);
        arena_reset(arena);
        mail.report = NULL;
        tasks_next(tasks, arena, &mail);
    }
    assert_int_equal(atomic_load(&fake.repairs), 0);
}

static void a_settler_without_a_lease_waits_until_it_has_one_again(void **state)
{
    (void)state;
    atomic_store(&fake.source, SIDE_STANDS);
    tasks_lease(tasks, SESSION + 1, USEC_NEVER);
    assert_int_equal(start(true, false), 0);
    await_held();
    tasks_go_on(tasks, 7, SESSION + 1);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_FINISHED, NULL);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_SOURCE);
    assert_int_equal(atomic_load(&fake.repairs), 1);
}

static void a_settler_that_is_called_off_ends_and_does_nothing(void **state)
{
    (void)state;
    atomic_store(&fake.source, SIDE_STANDS);
    tasks_lease(tasks, SESSION, 0);
    assert_int_equal(start(true, false), 0);
    await_held();
    tasks_off(tasks, 7, /* abort = */ false);
    tasks_lease(tasks, SESSION, USEC_NEVER);
    assert_int_equal(expect(RM_REPORT_KIND__REPORT_FINISHED, NULL)->verdict,
                     RM_VERDICT__VERDICT_UNKNOWN);
    assert_int_equal(atomic_load(&fake.repairs), 0);
}

static void a_request_without_an_answer_is_named(void **state)
{
    (void)state;
    atomic_store(&fake.source, SIDE_STANDS);
    atomic_store(&fake.repair_result, -ETIMEDOUT);
    assert_int_equal(start(true, false), 0);
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_FINISHED, NULL);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_SOURCE);
    assert_int_equal(report->n_unanswered, 1);
    assert_string_equal(report->unanswered[0], "hyp01");
}

/* Asks for other limits; what came of it is said, and NULL when it was done. */
static const char *modify(uint64_t job, usec_t timeout)
{
    RmAsk ask = RM_ASK__INIT;
    RmAssignment about = RM_ASSIGNMENT__INIT;
    RmOptions limits = RM_OPTIONS__INIT;
    limits.bandwidth = 5;
    limits.timeout_for = timeout;
    about.job = job;
    about.attempt = 2;
    about.host = "hyp01";
    about.uuid = "u";
    about.options = &limits;
    ask.session = SESSION;
    ask.kind = RM_ASK_KIND__ASK_MODIFY;
    ask.about = &about;
    tasks_ask(tasks, &ask);
    for (;;) {
        struct mail mail;
        struct pollfd fd = {.fd = tasks_fd(tasks), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 60000), 1);
        arena_reset(arena);
        if (tasks_next(tasks, arena, &mail) && mail.answer)
            return mail.answer->ok ? NULL : mail.answer->text;
    }
}

static void a_migration_that_runs_goes_on_with_other_limits(void **state)
{
    (void)state;
    assert_string_equal(modify(7, USEC_PER_SEC), "its copy has not begun, or is over");
    assert_int_equal(start(false, false), 0);
    expect(RM_REPORT_KIND__REPORT_ACCEPTED, NULL);
    while (atomic_load(&fake.migrations) == 0)
        poll(NULL, 0, 5);
    assert_null(modify(7, 1234));
    assert_int_equal(atomic_load(&fake.bandwidth), 5);
    while (fake.timeout != 1234)
        poll(NULL, 0, 5);
    assert_string_equal(modify(8, USEC_PER_SEC), "its copy has not begun, or is over");
    atomic_store(&fake.modify_result, -EIO);
    assert_string_equal(modify(7, USEC_PER_SEC), "it says no");
    assert_int_equal(fake.timeout, 1234);
    assert_int_equal(tasks_abort(tasks, 7), 0);
    expect(RM_REPORT_KIND__REPORT_FINISHED, NULL);
}

static void an_adopted_migration_ends_by_its_new_limits(void **state)
{
    (void)state;
    atomic_store(&fake.source, SIDE_COPIES);
    assert_int_equal(start(true, false), 0);
    expect(RM_REPORT_KIND__REPORT_ACCEPTED, NULL);
    const char *why;
    while ((why = modify(7, 1)))
        assert_string_equal(why, "its copy has not begun, or is over");
    const RmReport *report = expect(RM_REPORT_KIND__REPORT_FINISHED, NULL);
    assert_int_equal(report->verdict, RM_VERDICT__VERDICT_SOURCE);
    assert_memory_equal(report->text, "not finished after 1 us (setting timeout), stopped", 50);
}

static void inventories_come_by_themselves_in_order(void **state)
{
    (void)state;
    uint64_t last = 0;
    for (int i = 0; i < 3;) {
        struct mail mail;
        struct pollfd fd = {.fd = tasks_fd(tasks), .events = POLLIN};
        assert_int_equal(poll(&fd, 1, 60000), 1);
        arena_reset(arena);
        if (!tasks_next(tasks, arena, &mail))
            continue;
        assert_non_null(mail.inventory);
        assert_string_equal(mail.inventory->host, "hyp01");
        assert_true(mail.inventory->sequence > last);
        last = mail.inventory->sequence;
        i++;
    }
}

static void a_hypervisor_that_is_not_served_is_not_touched(void **state)
{
    (void)state;
    RmAssignment assignment = RM_ASSIGNMENT__INIT;
    assignment.host = "hyp09";
    assignment.destination = "hyp01";
    assert_int_equal(tasks_start(tasks, &assignment, /* settle = */ false, SESSION), -ENOENT);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_migration_that_works_is_accepted_followed_and_finished),
        TEST(a_guest_that_is_there_already_is_left_alone),
        TEST(what_the_check_finds_is_refused_with_its_class),
        TEST(a_silent_destination_is_refused_before_anything_begins),
        TEST(a_wish_to_cancel_comes_before_the_start),
        TEST(a_call_that_breaks_while_the_migration_goes_on_stops_nothing),
        TEST(an_abort_stops_the_migration_and_leaves_the_guest),
        TEST(a_guest_on_both_sides_is_an_alarm),
        TEST(a_migration_that_runs_is_adopted),
        TEST(an_adopted_migration_is_stopped_when_that_is_wanted),
        TEST(settling_says_where_the_guest_is),
        TEST(nothing_begins_without_a_lease),
        TEST(a_settler_without_a_lease_waits_until_it_has_one_again),
        TEST(a_settler_that_is_called_off_ends_and_does_nothing),
        TEST(a_request_without_an_answer_is_named),
        TEST(a_migration_that_runs_goes_on_with_other_limits),
        TEST(an_adopted_migration_ends_by_its_new_limits),
        TEST(inventories_come_by_themselves_in_order),
        TEST(a_hypervisor_that_is_not_served_is_not_touched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
