/* test_agent.c - the decisions of a worker: when a job may begin, what is repeated, what is refused */
#include "conf/env.h"
#include "wire/msg.h"
#include "worker/agent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { SESSION = 5, INSTANCE = 77, SLOTS = 2 };

#define HEARTBEAT (2 * USEC_PER_SEC)
#define LEASE     (8 * USEC_PER_SEC)
#define AGAIN     (2 * USEC_PER_SEC) /* a hello or a result that nobody answers */

static struct agent *agent;
static struct arena *arena;
static usec_t now;

static const struct agent_host hosts[] = {
    {.name = "hyp01", .peer = "qemu://hyp01", .migration = "tcp://hyp01", .slots = SLOTS},
    {.name = "hyp02", .peer = "", .migration = "", .slots = 1, .kind = RM_KIND__KIND_ZVM},
};

static int set_up(void **state)
{
    (void)state;
    now = 1000 * USEC_PER_SEC;
    arena = arena_new(0);
    agent = agent_new(hosts, 2, "mgmt", 42, "1.0", INSTANCE);
    return agent && arena ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    agent_free(agent);
    arena_free(arena);
    return 0;
}

/* ---- the broker's side */

static RmMessage *next(void)
{
    agent_tick(agent, now);
    return agent_next_message(agent, arena);
}

/* The next message must be of that kind. */
static RmMessage *expect(RmMessage__BodyCase body)
{
    RmMessage *message = next();
    assert_non_null(message);
    assert_int_equal(message->body_case, body);
    return message;
}

static void expect_silence(void)
{
    assert_null(next());
}

static void welcome_with(uint64_t session, bool turns, uint64_t job, uint64_t turn)
{
    RmTask kept = RM_TASK__INIT, *list[] = {&kept};
    RmWelcome body = RM_WELCOME__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    kept.job = job;
    kept.turn = turn;
    body.session = session;
    body.heartbeat_for = HEARTBEAT;
    body.lease_for = LEASE;
    body.turns = turns;
    body.n_kept = job != 0 ? 1 : 0;
    body.kept = list;
    message.body_case = RM_MESSAGE__BODY_WELCOME;
    message.welcome = &body;
    agent_message(agent, now, &message);
}

/* From a broker that gives no turns. */
static void welcome(uint64_t session)
{
    welcome_with(session, /* turns = */ false, 0, 0);
}

/* That of the one job goes on, if it is not 0. */
static void welcome_with_turns(uint64_t session, uint64_t job, uint64_t turn)
{
    welcome_with(session, /* turns = */ true, job, turn);
}

static void heard(usec_t at)
{
    RmOrders body = RM_ORDERS__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    body.heard = at;
    message.body_case = RM_MESSAGE__BODY_ORDERS;
    message.orders = &body;
    agent_message(agent, now, &message);
}

static void order_turn(RmOrderKind kind, uint64_t job, uint32_t attempt, uint64_t turn)
{
    RmOrder one = RM_ORDER__INIT, *list[] = {&one};
    RmOrders body = RM_ORDERS__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    one.kind = kind;
    one.job = job;
    one.attempt = attempt;
    one.turn = turn;
    body.n_orders = 1;
    body.orders = list;
    message.body_case = RM_MESSAGE__BODY_ORDERS;
    message.orders = &body;
    agent_message(agent, now, &message);
}

static void order(RmOrderKind kind, uint64_t job, uint32_t attempt)
{
    order_turn(kind, job, attempt, 0);
}

static RmAssignment assignment_of(uint64_t job, uint32_t attempt, bool settle)
{
    RmAssignment one = RM_ASSIGNMENT__INIT;
    one.job = job;
    one.attempt = attempt;
    one.number = job;
    one.guest = "kvm1";
    one.uuid = "u1";
    one.host = "hyp01";
    one.destination = "hyp09";
    one.settle = settle;
    return one;
}

static void assign_in(uint64_t session, RmAssignment one)
{
    RmAssignment *list[] = {&one};
    RmAssign body = RM_ASSIGN__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    body.session = session;
    body.n_jobs = 1;
    body.jobs = list;
    message.body_case = RM_MESSAGE__BODY_ASSIGN;
    message.assign = &body;
    agent_message(agent, now, &message);
}

static void assign(uint64_t job, uint32_t attempt, bool settle)
{
    assign_in(SESSION, assignment_of(job, attempt, settle));
}

static void assign_turn(uint64_t session, uint64_t job, uint64_t turn, bool settle)
{
    RmAssignment one = assignment_of(job, 1, settle);
    one.turn = turn;
    assign_in(session, one);
}

/* Hello, welcome, the first pull. */
static RmPull *connect_only(void)
{
    expect(RM_MESSAGE__BODY_HELLO);
    welcome(SESSION);
    return expect(RM_MESSAGE__BODY_PULL)->pull;
}

/* The same, and the broker has confirmed it: the lease holds from here. */
static void connect_with_lease(void)
{
    connect_only();
    heard(now);
}

/* ---- the worker's side */

static struct agent_action action;

static void expect_action(enum agent_what what, uint64_t job, uint32_t attempt)
{
    assert_true(agent_next_action(agent, &action));
    assert_int_equal(action.what, what);
    assert_int_equal(action.job, job);
    assert_int_equal(action.attempt, attempt);
}

static void expect_no_action(void)
{
    assert_false(agent_next_action(agent, &action));
}

static void report(RmReportKind kind, uint64_t job, uint32_t attempt, const char *text)
{
    RmReport one = RM_REPORT__INIT;
    one.kind = kind;
    one.job = job;
    one.attempt = attempt;
    one.text = (char *)text;
    one.verdict = kind == RM_REPORT_KIND__REPORT_FINISHED ? RM_VERDICT__VERDICT_DESTINATION
                                                          : RM_VERDICT__NO_VERDICT;
    agent_report(agent, now, &one);
}

static void finish(uint64_t job, uint32_t attempt)
{
    report(RM_REPORT_KIND__REPORT_FINISHED, job, attempt, "");
}

/* The next message holds this report alone. */
static const RmReport *expect_report(RmReportKind kind, uint64_t job, uint32_t attempt)
{
    const RmReports *reports = expect(RM_MESSAGE__BODY_REPORTS)->reports;
    assert_int_equal(reports->session, SESSION);
    assert_int_equal(reports->n_reports, 1);
    assert_int_equal(reports->reports[0]->kind, kind);
    assert_int_equal(reports->reports[0]->job, job);
    assert_int_equal(reports->reports[0]->attempt, attempt);
    return reports->reports[0];
}

/* What a pull gives to the broker; one that is not due yet is waited for. */
static const RmCredit *credit_of(size_t host)
{
    for (;;) {
        RmMessage *message = next();
        if (message && message->body_case == RM_MESSAGE__BODY_PULL)
            return message->pull->credits[host];
        if (!message)
            now += HEARTBEAT;
    }
}

static void inventory(const char *host, usec_t taken_at, const char *migrating_uuid)
{
    RmDomain guest = RM_DOMAIN__INIT, *list[] = {&guest};
    RmInventory one = RM_INVENTORY__INIT;
    guest.name = "kvm8";
    guest.uuid = (char *)(migrating_uuid ? migrating_uuid : "u8");
    guest.migrating = !!migrating_uuid;
    one.host = (char *)host;
    one.reachable = true;
    one.taken_at = taken_at;
    one.n_domains = 1;
    one.domains = list;
    agent_inventory(agent, now, &one);
}

/* ---- sessions */

static void hello_names_what_the_worker_serves(void **state)
{
    (void)state;
    const RmHello *hello = expect(RM_MESSAGE__BODY_HELLO)->hello;
    assert_int_equal(hello->instance, INSTANCE);
    assert_int_equal(hello->pid, 42);
    assert_string_equal(hello->machine, "mgmt");
    assert_string_equal(hello->version, "1.0");
    assert_int_equal(hello->n_tasks, 0);
    assert_int_equal(hello->n_hosts, 2);
    assert_string_equal(hello->hosts[0]->name, "hyp01");
    assert_string_equal(hello->hosts[0]->peer, "qemu://hyp01");
    assert_string_equal(hello->hosts[0]->migration, "tcp://hyp01");
    assert_int_equal(hello->hosts[0]->slots, SLOTS);
    assert_int_equal(hello->hosts[0]->kind, RM_KIND__KIND_LIBVIRT);
    assert_int_equal(hello->hosts[1]->kind, RM_KIND__KIND_ZVM);
}

static void hello_is_repeated_until_it_is_answered(void **state)
{
    (void)state;
    expect(RM_MESSAGE__BODY_HELLO);
    expect_silence();
    assert_int_equal(agent_deadline(agent), now + AGAIN);
    now += AGAIN - 1;
    expect_silence();
    now += 1;
    expect(RM_MESSAGE__BODY_HELLO);
    welcome(SESSION);
    expect(RM_MESSAGE__BODY_PULL);
    now += AGAIN - 1;
    expect_silence();
}

static void a_connection_without_answers_is_replaced(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_false(agent_wants_reconnect(agent));
        expect(RM_MESSAGE__BODY_HELLO);
        now += AGAIN;
    }
    next();
    assert_true(agent_wants_reconnect(agent));
    assert_false(agent_wants_reconnect(agent)); /* once */
}

static void a_broker_that_is_silent_for_a_lease_is_greeted_again(void **state)
{
    (void)state;
    connect_with_lease();
    usec_t end = now + LEASE;
    while (now + HEARTBEAT < end) {
        now += HEARTBEAT;
        expect(RM_MESSAGE__BODY_PULL);
        assert_false(agent_wants_reconnect(agent));
    }
    assert_true(agent_deadline(agent) <= end);
    now = end;
    expect(RM_MESSAGE__BODY_HELLO);
    assert_true(agent_wants_reconnect(agent));
}

static void the_broker_may_ask_for_a_hello(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    assign(2, 3, true);
    order(RM_ORDER_KIND__ORDER_HELLO, 0, 0);
    const RmHello *hello = expect(RM_MESSAGE__BODY_HELLO)->hello;
    assert_int_equal(hello->n_tasks, 2); /* in any order */
    for (size_t i = 0; i < 2; i++) {
        bool second = hello->tasks[i]->job == 2;
        assert_int_equal(hello->tasks[i]->attempt, second ? 3 : 1);
        assert_int_equal(hello->tasks[i]->settling, second);
        assert_string_equal(hello->tasks[i]->host, "hyp01");
    }
}

/* ---- the lease */

static void nothing_begins_before_a_pull_was_confirmed(void **state)
{
    (void)state;
    connect_only();
    assign(1, 1, false);
    expect_no_action();
    assert_int_equal(agent_tasks(agent), 0);
}

static void a_job_begins_within_the_lease(void **state)
{
    (void)state;
    connect_with_lease();
    usec_t confirmed_at = now;
    uint64_t session;
    now += LEASE - 1;
    assign(1, 1, false);
    expect_action(AGENT_MIGRATE, 1, 1);
    assert_int_equal(action.session, SESSION);
    assert_int_equal(agent_lease_until(agent, &session), confirmed_at + LEASE);
    assert_int_equal(session, SESSION);
    assert_string_equal(action.assignment->guest, "kvm1");
    expect_no_action();
    assert_int_equal(agent_tasks(agent), 1);
}

static void a_job_does_not_begin_after_the_lease(void **state)
{
    (void)state;
    connect_with_lease();
    now += LEASE;
    assign(1, 1, false);
    expect_no_action();
}

static void finding_out_needs_no_lease_but_acting_does(void **state)
{
    (void)state;
    uint64_t session;
    connect_only();
    assign(1, 1, true);
    expect_action(AGENT_SETTLE, 1, 1);
    assert_int_equal(action.session, SESSION);
    assert_int_equal(agent_lease_until(agent, &session), 0);
}

static void the_newest_confirmation_counts(void **state)
{
    (void)state;
    connect_with_lease();
    usec_t first_at = now;
    uint64_t session;
    now += HEARTBEAT;
    heard(now);
    heard(first_at); /* late */
    assign(1, 1, false);
    expect_action(AGENT_MIGRATE, 1, 1);
    assert_int_equal(agent_lease_until(agent, &session), now + LEASE);
}

static void a_confirmation_from_the_future_does_not_count(void **state)
{
    (void)state;
    connect_only();
    heard(now + 1);
    assign(1, 1, false);
    expect_no_action();
}

static void a_new_session_has_no_lease_yet(void **state)
{
    (void)state;
    connect_with_lease();
    welcome(SESSION + 1);
    assign_in(SESSION + 1, assignment_of(1, 1, false));
    expect_no_action();
}

static void assignments_of_another_session_are_ignored(void **state)
{
    (void)state;
    connect_with_lease();
    assign_in(SESSION - 1, assignment_of(1, 1, false));
    assign_in(SESSION - 1, assignment_of(2, 1, true));
    expect_no_action();
}

/* ---- credit */

static void a_pull_names_free_slots_and_the_last_assignment(void **state)
{
    (void)state;
    const RmPull *pull = connect_only();
    assert_int_equal(pull->session, SESSION);
    assert_int_equal(pull->sent, now);
    assert_int_equal(pull->n_credits, 2);
    assert_string_equal(pull->credits[0]->host, "hyp01");
    assert_int_equal(pull->credits[0]->free, SLOTS);
    assert_int_equal(pull->credits[0]->seen, 0);
    assert_int_equal(pull->credits[1]->free, 1);
    heard(now);
    assign(3, 1, false);
    expect_action(AGENT_MIGRATE, 3, 1);
    const RmCredit *credit = credit_of(0);
    assert_int_equal(credit->free, SLOTS - 1);
    assert_int_equal(credit->seen, 3);
    assert_int_equal(credit_of(1)->free, 1);
}

static void a_pull_comes_at_once_when_something_changed(void **state)
{
    (void)state;
    connect_with_lease();
    expect_silence();
    assign(1, 1, false);
    expect(RM_MESSAGE__BODY_PULL);
    now += HEARTBEAT - 1;
    expect_silence();
    now += 1;
    expect(RM_MESSAGE__BODY_PULL);
}

static void a_result_gives_its_slot_back(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    assert_int_equal(credit_of(0)->free, SLOTS - 1);
    finish(1, 1);
    assert_int_equal(credit_of(0)->free, SLOTS);
}

static void settling_takes_a_slot_once_a_migration_is_adopted(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, true);
    const RmCredit *credit = credit_of(0);
    assert_int_equal(credit->free, SLOTS);
    assert_int_equal(credit->seen, 0); /* credit is for migrations */
    report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1, "");
    assert_int_equal(credit_of(0)->free, SLOTS - 1);
}

static void migrations_of_others_take_slots(void **state)
{
    (void)state;
    connect_with_lease();
    inventory("hyp01", 0, "u7");
    assert_int_equal(credit_of(0)->free, SLOTS - 1);
    inventory("hyp01", 0, NULL);
    assert_int_equal(credit_of(0)->free, SLOTS);
    assign(1, 1, false); /* of guest u1 */
    inventory("hyp01", 0, "u1");
    assert_int_equal(credit_of(0)->free, SLOTS - 1); /* not counted twice */
}

static void credit_is_never_negative(void **state)
{
    (void)state;
    connect_with_lease();
    inventory("hyp02", 0, "u7");
    RmAssignment one = assignment_of(1, 1, false);
    one.host = "hyp02";
    assign_in(SESSION, one);
    expect_action(AGENT_MIGRATE, 1, 1);
    assert_int_equal(credit_of(1)->free, 0);
}

/* ---- reports */

static void a_result_is_repeated_until_it_is_acknowledged(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    expect(RM_MESSAGE__BODY_PULL);
    finish(1, 1);
    const RmReport *result = expect_report(RM_REPORT_KIND__REPORT_FINISHED, 1, 1);
    assert_int_equal(result->verdict, RM_VERDICT__VERDICT_DESTINATION);
    expect(RM_MESSAGE__BODY_PULL);
    now += AGAIN - 1;
    expect_silence();
    now += 1;
    heard(now);
    expect_report(RM_REPORT_KIND__REPORT_FINISHED, 1, 1);
    expect(RM_MESSAGE__BODY_PULL);
    assert_int_equal(agent_tasks(agent), 1);
    order(RM_ORDER_KIND__ORDER_ACKNOWLEDGED, 1, 1);
    assert_int_equal(agent_tasks(agent), 0);
    expect(RM_MESSAGE__BODY_PULL);
    now += HEARTBEAT;
    expect(RM_MESSAGE__BODY_PULL); /* and no report */
    expect_silence();
}

static void an_acknowledgement_of_another_attempt_is_none(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 2, false);
    finish(1, 2);
    order(RM_ORDER_KIND__ORDER_ACKNOWLEDGED, 1, 1);
    assert_int_equal(agent_tasks(agent), 1);
    order(RM_ORDER_KIND__ORDER_ACKNOWLEDGED, 1, 3);
    assert_int_equal(agent_tasks(agent), 1);
}

static void what_runs_is_not_forgotten_by_an_acknowledgement(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    order(RM_ORDER_KIND__ORDER_ACKNOWLEDGED, 1, 1);
    assert_int_equal(agent_tasks(agent), 1);
}

static void a_new_session_hears_everything_again(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    expect(RM_MESSAGE__BODY_PULL);
    report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1, "");
    expect_report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1);
    inventory("hyp01", 0, NULL);
    expect(RM_MESSAGE__BODY_INVENTORY);
    expect_silence();
    welcome(SESSION);
    const RmInventory *again = expect(RM_MESSAGE__BODY_INVENTORY)->inventory;
    assert_string_equal(again->host, "hyp01");
    expect_report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1);
    finish(1, 1);
    expect_report(RM_REPORT_KIND__REPORT_FINISHED, 1, 1);
    expect(RM_MESSAGE__BODY_PULL);
    expect_silence();
    welcome(SESSION);
    expect(RM_MESSAGE__BODY_INVENTORY);
    expect_report(RM_REPORT_KIND__REPORT_FINISHED, 1, 1);
}

static void only_the_newest_progress_is_sent(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    report(RM_REPORT_KIND__REPORT_PROGRESS, 1, 1, "first");
    report(RM_REPORT_KIND__REPORT_PROGRESS, 1, 1, "second");
    assert_string_equal(expect_report(RM_REPORT_KIND__REPORT_PROGRESS, 1, 1)->text, "second");
}

static void progress_without_a_session_goes_nowhere(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    order(RM_ORDER_KIND__ORDER_HELLO, 0, 0);
    report(RM_REPORT_KIND__REPORT_PROGRESS, 1, 1, "");
    connect_only();
    expect_silence();
}

static void reports_of_what_is_not_known_are_ignored(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 2, false);
    expect(RM_MESSAGE__BODY_PULL);
    finish(1, 1);
    finish(9, 2);
    report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1, "");
    expect_silence();
}

/* ---- the same job again */

static void a_repeated_assignment_is_answered_not_begun(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    expect_action(AGENT_MIGRATE, 1, 1);
    expect(RM_MESSAGE__BODY_PULL);
    assign(1, 1, false);
    expect_no_action();
    expect(RM_MESSAGE__BODY_PULL); /* nothing to report yet */
    report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1, "");
    expect_report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1);
    assign(1, 1, false);
    expect_report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1);
    finish(1, 1);
    expect_report(RM_REPORT_KIND__REPORT_FINISHED, 1, 1);
    assign(1, 1, false);
    expect_report(RM_REPORT_KIND__REPORT_FINISHED, 1, 1);
    expect_no_action();
}

static void settling_what_runs_here_is_accepted(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    expect_action(AGENT_MIGRATE, 1, 1);
    assign(1, 1, true);
    expect_no_action();
    expect_report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1);
}

static void an_older_attempt_is_ignored(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 2, false);
    expect_action(AGENT_MIGRATE, 1, 2);
    expect(RM_MESSAGE__BODY_PULL);
    assign(1, 1, false);
    expect_no_action();
    expect(RM_MESSAGE__BODY_PULL);
    expect_silence();
}

static void a_newer_attempt_waits_for_the_older_one(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    expect_action(AGENT_MIGRATE, 1, 1);
    assign(1, 2, false);
    expect_no_action();
    const RmReport *refused = expect_report(RM_REPORT_KIND__REPORT_REFUSED, 1, 2);
    assert_int_equal(refused->class_, RM_CLASS__CLASS_RETRY);
    assert_string_equal(refused->text, "an older try of this job is still in progress");
}

static void a_newer_attempt_replaces_a_result_that_nobody_acknowledged(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    expect_action(AGENT_MIGRATE, 1, 1);
    finish(1, 1);
    assign(1, 2, false);
    expect_action(AGENT_MIGRATE, 1, 2);
    assert_int_equal(agent_tasks(agent), 1);
    expect(RM_MESSAGE__BODY_PULL); /* the old result is not sent any more */
    expect_silence();
}

static void a_hypervisor_that_is_not_served_is_refused(void **state)
{
    (void)state;
    connect_with_lease();
    RmAssignment one = assignment_of(1, 1, false);
    one.host = "hyp07";
    one.destination = "hyp02";
    assign_in(SESSION, one);
    expect_no_action();
    const RmReport *refused = expect_report(RM_REPORT_KIND__REPORT_REFUSED, 1, 1);
    assert_string_equal(refused->text, "this worker does not serve that hypervisor");
    assert_int_equal(agent_tasks(agent), 0);
}

static void the_worker_of_the_destination_settles_too(void **state)
{
    (void)state;
    connect_with_lease();
    RmAssignment one = assignment_of(1, 1, true);
    one.host = "hyp07";
    one.destination = "hyp02";
    assign_in(SESSION, one);
    expect_action(AGENT_SETTLE, 1, 1);
}

/* ---- turns */

/* A session of a broker that gives turns, with a job under its first one. */
static void connect_with_turn(bool settle)
{
    expect(RM_MESSAGE__BODY_HELLO);
    welcome_with_turns(SESSION, 0, 0);
    expect(RM_MESSAGE__BODY_PULL);
    heard(now);
    assign_turn(SESSION, 1, 1, settle);
    expect_action(settle ? AGENT_SETTLE : AGENT_MIGRATE, 1, 1);
    expect(RM_MESSAGE__BODY_PULL);
}

static const RmReport *expect_off(uint64_t turn)
{
    const RmReport *off = expect_report(RM_REPORT_KIND__REPORT_OFF, 1, 1);
    assert_int_equal(off->turn, turn);
    return off;
}

static void reports_and_hello_carry_the_turn(void **state)
{
    (void)state;
    connect_with_turn(/* settle = */ false);
    report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1, "");
    assert_int_equal(expect_report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1)->turn, 1);
    order(RM_ORDER_KIND__ORDER_HELLO, 0, 0);
    const RmHello *hello = expect(RM_MESSAGE__BODY_HELLO)->hello;
    assert_true(hello->turns);
    assert_int_equal(hello->n_tasks, 1);
    assert_int_equal(hello->tasks[0]->turn, 1);
    assert_false(hello->tasks[0]->ended);
    finish(1, 1);
    now += AGAIN;
    assert_true(expect(RM_MESSAGE__BODY_HELLO)->hello->tasks[0]->ended);
}

static void stop_calls_a_task_off_and_is_answered_when_that_has_ended(void **state)
{
    (void)state;
    char *unanswered[] = {"hyp09"};
    RmReport last = RM_REPORT__INIT;
    connect_with_turn(/* settle = */ true);
    order_turn(RM_ORDER_KIND__ORDER_STOP, 1, 1, 1);
    expect_action(AGENT_OFF, 1, 1);
    order_turn(RM_ORDER_KIND__ORDER_STOP, 1, 1, 1); /* again: it is at it */
    expect_no_action();
    report(RM_REPORT_KIND__REPORT_PROGRESS, 1, 1, "");
    expect_silence();
    last.job = last.attempt = 1;
    last.kind = RM_REPORT_KIND__REPORT_FINISHED;
    last.n_unanswered = 1;
    last.unanswered = unanswered;
    agent_report(agent, now, &last);
    const RmReport *off = expect_off(1);
    assert_int_equal(off->n_unanswered, 1);
    assert_string_equal(off->unanswered[0], "hyp09");
    assert_int_equal(agent_tasks(agent), 0);
}

static void stop_of_what_is_not_there_is_answered_at_once(void **state)
{
    (void)state;
    connect_with_turn(/* settle = */ true);
    finish(1, 1);
    expect_report(RM_REPORT_KIND__REPORT_FINISHED, 1, 1);
    order_turn(RM_ORDER_KIND__ORDER_STOP, 1, 1, 2);
    expect_off(2); /* the result is worth nothing any more */
    assert_int_equal(agent_tasks(agent), 0);
    order_turn(RM_ORDER_KIND__ORDER_STOP, 1, 1, 2);
    expect(RM_MESSAGE__BODY_REPORTS);
    expect_no_action();
}

static void stop_of_an_older_turn_leaves_a_newer_one_alone(void **state)
{
    (void)state;
    expect(RM_MESSAGE__BODY_HELLO);
    welcome_with_turns(SESSION, 0, 0);
    expect(RM_MESSAGE__BODY_PULL);
    heard(now);
    assign_turn(SESSION, 1, 3, true);
    expect_action(AGENT_SETTLE, 1, 1);
    order_turn(RM_ORDER_KIND__ORDER_STOP, 1, 1, 2);
    expect_no_action();
    expect_off(2);
    assert_int_equal(agent_tasks(agent), 1);
}

static void a_task_acts_in_a_new_session_only_when_its_turn_was_kept(void **state)
{
    (void)state;
    connect_with_turn(/* settle = */ false);
    order(RM_ORDER_KIND__ORDER_HELLO, 0, 0);
    expect(RM_MESSAGE__BODY_HELLO);
    welcome_with_turns(SESSION + 1, 1, 2); /* another turn of it */
    expect_no_action();
    order(RM_ORDER_KIND__ORDER_HELLO, 0, 0);
    expect(RM_MESSAGE__BODY_HELLO);
    welcome_with_turns(SESSION + 2, 1, 1);
    expect_action(AGENT_GO_ON, 1, 1);
    assert_int_equal(action.session, SESSION + 2);
}

static void a_task_goes_on_under_the_turn_that_it_gets_back(void **state)
{
    (void)state;
    connect_with_turn(/* settle = */ false);
    report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1, "");
    expect(RM_MESSAGE__BODY_REPORTS);
    order(RM_ORDER_KIND__ORDER_HELLO, 0, 0);
    expect(RM_MESSAGE__BODY_HELLO);
    welcome_with_turns(SESSION, 0, 0);
    expect(RM_MESSAGE__BODY_REPORTS);
    expect_no_action();
    order_turn(RM_ORDER_KIND__ORDER_GO_ON, 1, 1, 3);
    expect_action(AGENT_GO_ON, 1, 1);
    assert_int_equal(expect_report(RM_REPORT_KIND__REPORT_ACCEPTED, 1, 1)->turn, 3);
    finish(1, 1);
    assert_int_equal(expect_report(RM_REPORT_KIND__REPORT_FINISHED, 1, 1)->turn, 3);
}

static void nobody_goes_on_with_what_is_not_there(void **state)
{
    (void)state;
    connect_with_turn(/* settle = */ false);
    order_turn(RM_ORDER_KIND__ORDER_STOP, 1, 1, 1);
    expect_action(AGENT_OFF, 1, 1);
    order_turn(RM_ORDER_KIND__ORDER_GO_ON, 1, 1, 2);
    expect_no_action();
    expect_off(2);
}

static void a_newer_turn_calls_the_older_one_off(void **state)
{
    (void)state;
    connect_with_turn(/* settle = */ false);
    assign_turn(SESSION, 1, 2, true);
    expect_action(AGENT_OFF, 1, 1);
    expect_no_action();
    const RmReport *refused = expect_report(RM_REPORT_KIND__REPORT_REFUSED, 1, 1);
    assert_int_equal(refused->turn, 2);
    finish(1, 1);
    expect_off(1);
    assign_turn(SESSION, 1, 3, true);
    expect_action(AGENT_SETTLE, 1, 1);
}

/* ---- orders */

static void cancel_and_stop_abort_what_runs(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    expect_action(AGENT_MIGRATE, 1, 1);
    order(RM_ORDER_KIND__ORDER_CANCEL, 1, 1);
    expect_action(AGENT_ABORT, 1, 1);
    order(RM_ORDER_KIND__ORDER_STOP, 1, 1);
    expect_action(AGENT_ABORT, 1, 1);
    finish(1, 1);
    order(RM_ORDER_KIND__ORDER_CANCEL, 1, 1);
    order(RM_ORDER_KIND__ORDER_STOP, 1, 1);
    expect_no_action();
}

static void cancel_of_what_is_not_known_is_answered(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 2, false);
    expect_action(AGENT_MIGRATE, 1, 2);
    expect(RM_MESSAGE__BODY_PULL);
    order(RM_ORDER_KIND__ORDER_CANCEL, 1, 1); /* another attempt is another thing */
    expect_no_action();
    const RmReport *answer = expect_report(RM_REPORT_KIND__REPORT_FINISHED, 1, 1);
    assert_int_equal(answer->verdict, RM_VERDICT__VERDICT_UNKNOWN);
    assert_int_equal(answer->class_, RM_CLASS__CLASS_AMBIGUOUS);
    order(RM_ORDER_KIND__ORDER_STOP, 9, 1); /* nothing to stop is what it wants */
    expect_silence();
}

static void an_action_for_a_job_that_is_gone_is_dropped(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    finish(1, 1);
    order(RM_ORDER_KIND__ORDER_ACKNOWLEDGED, 1, 1);
    expect_no_action();
}

/* ---- inventories */

static void an_inventory_from_before_a_task_ended_is_dropped(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    expect(RM_MESSAGE__BODY_PULL);
    usec_t before = now;
    now += USEC_PER_SEC;
    finish(1, 1);
    expect_report(RM_REPORT_KIND__REPORT_FINISHED, 1, 1);
    expect(RM_MESSAGE__BODY_PULL);
    inventory("hyp01", before, NULL);
    expect_silence();
    inventory("hyp02", before, NULL); /* nothing ended there */
    assert_string_equal(expect(RM_MESSAGE__BODY_INVENTORY)->inventory->host, "hyp02");
    inventory("hyp01", now, NULL);
    assert_string_equal(expect(RM_MESSAGE__BODY_INVENTORY)->inventory->host, "hyp01");
}

static void inventories_are_numbered_and_the_newest_is_sent(void **state)
{
    (void)state;
    connect_with_lease();
    inventory("hyp01", 0, NULL);
    uint64_t first = expect(RM_MESSAGE__BODY_INVENTORY)->inventory->sequence;
    inventory("hyp01", 0, NULL);
    inventory("hyp01", 0, NULL);
    assert_true(expect(RM_MESSAGE__BODY_INVENTORY)->inventory->sequence > first + 1);
    expect_silence();
    inventory("hyp07", 0, NULL); /* not served */
    expect_silence();
}

/* ---- questions */

static void ask(uint64_t session, RmAskKind kind, const char *host)
{
    RmAssignment about = assignment_of(0, 0, false);
    RmAsk body = RM_ASK__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    about.host = (char *)host;
    body.session = session;
    body.id = 11;
    body.kind = kind;
    body.about = &about;
    message.body_case = RM_MESSAGE__BODY_ASK;
    message.ask = &body;
    agent_message(agent, now, &message);
}

static void answer(uint64_t session)
{
    RmAnswer one = RM_ANSWER__INIT;
    one.session = session;
    one.id = 11;
    one.ok = true;
    agent_answer(agent, now, &one);
}

static void a_question_is_carried_out_and_answered(void **state)
{
    (void)state;
    connect_only(); /* needs no lease */
    ask(SESSION, RM_ASK_KIND__ASK_TEST, "hyp01");
    assert_true(agent_next_action(agent, &action));
    assert_int_equal(action.what, AGENT_ASK);
    assert_int_equal(action.ask->id, 11);
    assert_string_equal(action.ask->about->uuid, "u1");
    answer(SESSION);
    const RmAnswer *sent = expect(RM_MESSAGE__BODY_ANSWER)->answer;
    assert_int_equal(sent->id, 11);
    assert_true(sent->ok);
    expect_silence();
}

static void questions_of_others_and_about_others_are_ignored(void **state)
{
    (void)state;
    connect_with_lease();
    ask(SESSION - 1, RM_ASK_KIND__ASK_TEST, "hyp01");
    ask(SESSION, RM_ASK_KIND__ASK_TEST, "hyp07");
    expect_no_action();
}

static void answers_of_a_session_that_is_over_go_nowhere(void **state)
{
    (void)state;
    connect_with_lease();
    answer(SESSION - 1);
    expect_silence();
    answer(SESSION);
    welcome(SESSION + 1);
    expect(RM_MESSAGE__BODY_PULL);
    expect_silence();
}

static void a_guest_with_a_task_is_not_cleaned_up_beside_it(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    expect_action(AGENT_MIGRATE, 1, 1);
    ask(SESSION, RM_ASK_KIND__ASK_TIDY, "hyp01");
    expect_no_action();
    RmAnswer *not_now = expect(RM_MESSAGE__BODY_ANSWER)->answer; /* nobody waits in vain */
    assert_int_equal(not_now->id, 11);
    assert_false(not_now->ok);
    assert_false(not_now->unanswered);
    assert_string_equal(not_now->text, "its worker has a task of the guest, to be asked again");
    finish(1, 1);
    order(RM_ORDER_KIND__ORDER_ACKNOWLEDGED, 1, 1);
    ask(SESSION, RM_ASK_KIND__ASK_TIDY, "hyp01");
    assert_true(agent_next_action(agent, &action));
    assert_int_equal(action.what, AGENT_ASK);
}

/* ---- leaving */

static void who_leaves_takes_nothing_new_and_waits_for_what_runs(void **state)
{
    (void)state;
    connect_with_lease();
    assign(1, 1, false);
    expect_action(AGENT_MIGRATE, 1, 1);
    assert_false(agent_leave(agent, now));
    assert_int_equal(credit_of(0)->free, 0);
    assign(2, 1, false);
    expect_no_action();
    assert_int_equal(credit_of(1)->free, 0);
    finish(1, 1);
    assert_false(agent_leave(agent, now)); /* the result is not acknowledged */
    order(RM_ORDER_KIND__ORDER_ACKNOWLEDGED, 1, 1);
    assert_true(agent_leave(agent, now));
    assert_int_equal(expect(RM_MESSAGE__BODY_BYE)->bye->session, SESSION);
    now += 10 * AGAIN;
    expect_silence();
}

static void who_was_never_welcome_leaves_without_a_word(void **state)
{
    (void)state;
    expect(RM_MESSAGE__BODY_HELLO);
    assert_true(agent_leave(agent, now));
    expect_silence();
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hello_names_what_the_worker_serves),
        TEST(hello_is_repeated_until_it_is_answered),
        TEST(a_connection_without_answers_is_replaced),
        TEST(a_broker_that_is_silent_for_a_lease_is_greeted_again),
        TEST(the_broker_may_ask_for_a_hello),
        TEST(nothing_begins_before_a_pull_was_confirmed),
        TEST(a_job_begins_within_the_lease),
        TEST(a_job_does_not_begin_after_the_lease),
        TEST(finding_out_needs_no_lease_but_acting_does),
        TEST(the_newest_confirmation_counts),
        TEST(a_confirmation_from_the_future_does_not_count),
        TEST(a_new_session_has_no_lease_yet),
        TEST(assignments_of_another_session_are_ignored),
        TEST(a_pull_names_free_slots_and_the_last_assignment),
        TEST(a_pull_comes_at_once_when_something_changed),
        TEST(a_result_gives_its_slot_back),
        TEST(settling_takes_a_slot_once_a_migration_is_adopted),
        TEST(migrations_of_others_take_slots),
        TEST(credit_is_never_negative),
        TEST(a_result_is_repeated_until_it_is_acknowledged),
        TEST(an_acknowledgement_of_another_attempt_is_none),
        TEST(what_runs_is_not_forgotten_by_an_acknowledgement),
        TEST(a_new_session_hears_everything_again),
        TEST(only_the_newest_progress_is_sent),
        TEST(progress_without_a_session_goes_nowhere),
        TEST(reports_of_what_is_not_known_are_ignored),
        TEST(a_repeated_assignment_is_answered_not_begun),
        TEST(settling_what_runs_here_is_accepted),
        TEST(an_older_attempt_is_ignored),
        TEST(a_newer_attempt_waits_for_the_older_one),
        TEST(a_newer_attempt_replaces_a_result_that_nobody_acknowledged),
        TEST(a_hypervisor_that_is_not_served_is_refused),
        TEST(the_worker_of_the_destination_settles_too),
        TEST(reports_and_hello_carry_the_turn),
        TEST(stop_calls_a_task_off_and_is_answered_when_that_has_ended),
        TEST(stop_of_what_is_not_there_is_answered_at_once),
        TEST(stop_of_an_older_turn_leaves_a_newer_one_alone),
        TEST(a_task_acts_in_a_new_session_only_when_its_turn_was_kept),
        TEST(a_task_goes_on_under_the_turn_that_it_gets_back),
        TEST(nobody_goes_on_with_what_is_not_there),
        TEST(a_newer_turn_calls_the_older_one_off),
        TEST(cancel_and_stop_abort_what_runs),
        TEST(cancel_of_what_is_not_known_is_answered),
        TEST(an_action_for_a_job_that_is_gone_is_dropped),
        TEST(an_inventory_from_before_a_task_ended_is_dropped),
        TEST(inventories_are_numbered_and_the_newest_is_sent),
        TEST(a_question_is_carried_out_and_answered),
        TEST(questions_of_others_and_about_others_are_ignored),
        TEST(answers_of_a_session_that_is_over_go_nowhere),
        TEST(a_guest_with_a_task_is_not_cleaned_up_beside_it),
        TEST(who_leaves_takes_nothing_new_and_waits_for_what_runs),
        TEST(who_was_never_welcome_leaves_without_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
