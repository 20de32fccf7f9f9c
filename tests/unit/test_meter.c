/* test_meter.c - what the broker counts: the histograms as such, and what each thing that happens adds */
#include "broker/core.h"
#include "broker/guest.h"
#include "broker/meter.h"
#include "broker/model.h"
#include "store/record.h"
#include "tests/unit/scratch.h"
#include "wire/msg.h"

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* ---- counts and histograms as such */

static const RmHistogram *histogram_of(const RmMetrics *metrics, RmMeasure measure)
{
    for (size_t i = 0; i < metrics->n_histograms; i++)
        if (metrics->histograms[i]->measure == measure)
            return metrics->histograms[i];
    fail_msg("there is no histogram of measure %d", (int)measure);
    return NULL;
}

static uint64_t observed(const RmMetrics *metrics, RmMeasure measure)
{
    const RmHistogram *histogram = histogram_of(metrics, measure);
    uint64_t n = 0;
    for (size_t i = 0; i < histogram->n_counts; i++)
        n += histogram->counts[i];
    return n;
}

static void each_measure_has_one_histogram_whose_bounds_rise(void **state)
{
    struct meter meter = {0};
    struct arena *arena = arena_new(0);
    RmMetrics metrics = RM_METRICS__INIT;
    (void)state;
    meter_show(&meter, arena, &metrics);
    assert_int_equal(METER_MEASURES, rm_measure__descriptor.n_values);
    assert_int_equal(metrics.n_histograms, METER_MEASURES - 1); /* but for NO_MEASURE */
    for (unsigned i = 0; i < rm_measure__descriptor.n_values; i++) {
        RmMeasure measure = (RmMeasure)rm_measure__descriptor.values[i].value;
        if (measure == RM_MEASURE__NO_MEASURE)
            continue;
        const RmHistogram *histogram = histogram_of(&metrics, measure);
        assert_true(histogram->n_bounds >= 2 && histogram->n_bounds < METER_BUCKETS);
        assert_int_equal(histogram->n_counts, histogram->n_bounds + 1);
        for (size_t k = 1; k < histogram->n_bounds; k++)
            assert_true(histogram->bounds[k - 1] < histogram->bounds[k]);
        assert_int_equal(observed(&metrics, measure), 0);
        assert_int_equal(histogram->sum, 0);
    }
    arena_free(arena);
}

static void a_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed(void **state)
{
    struct arena *arena = arena_new(0);
    (void)state;
    for (int measure = 1; measure < METER_MEASURES; measure++) {
        struct meter meter = {0};
        RmMetrics metrics = RM_METRICS__INIT;
        uint64_t sum = 0;
        meter_show(&meter, arena, &metrics);
        const RmHistogram *histogram = histogram_of(&metrics, (RmMeasure)measure);
        size_t n = histogram->n_bounds;
        for (size_t i = 0; i < n; i++) {
            meter_observe(&meter, (RmMeasure)measure, histogram->bounds[i]);
            meter_observe(&meter, (RmMeasure)measure, histogram->bounds[i] + 1);
            sum += 2 * histogram->bounds[i] + 1;
        }
        meter_observe(&meter, (RmMeasure)measure, 0);
        metrics = (RmMetrics)RM_METRICS__INIT;
        meter_show(&meter, arena, &metrics);
        histogram = histogram_of(&metrics, (RmMeasure)measure);
        assert_int_equal(histogram->counts[0], 2); /* 0, and the first bound */
        for (size_t i = 1; i < n; i++)
            assert_int_equal(histogram->counts[i], 2);
        assert_int_equal(histogram->counts[n], 1);
        assert_int_equal(histogram->sum, sum);
        for (int other = 1; other < METER_MEASURES; other++)
            assert_int_equal(observed(&metrics, (RmMeasure)other),
                             other == measure ? 2 * n + 1 : 0);
    }
    arena_free(arena);
}

static void a_sum_does_not_wrap_round(void **state)
{
    struct arena *arena = arena_new(0);
    struct meter meter = {0};
    RmMetrics metrics = RM_METRICS__INIT;
    (void)state;
    meter_observe(&meter, RM_MEASURE__MEASURE_BYTES, UINT64_MAX - 5);
    meter_observe(&meter, RM_MEASURE__MEASURE_BYTES, 3);
    meter_show(&meter, arena, &metrics);
    assert_true(metrics.bytes_moved == UINT64_MAX - 2);
    meter_observe(&meter, RM_MEASURE__MEASURE_BYTES, 3);
    metrics = (RmMetrics)RM_METRICS__INIT;
    meter_show(&meter, arena, &metrics);
    assert_true(metrics.bytes_moved == UINT64_MAX);
    assert_int_equal(observed(&metrics, RM_MEASURE__MEASURE_BYTES), 3);
    arena_free(arena);
}

static void each_count_is_told_as_what_it_is(void **state)
{
    struct arena *arena = arena_new(0);
    struct meter meter = {0};
    RmMetrics metrics = RM_METRICS__INIT;
    (void)state;
    for (unsigned what = 0; what < METER_COUNTS; what++)
        for (unsigned i = 0; i <= what; i++)
            meter_count(&meter, (enum meter_count)what);
    meter_show(&meter, arena, &metrics);
    assert_int_equal(metrics.jobs_submitted, METER_SUBMITTED + 1);
    assert_int_equal(metrics.jobs_done, METER_DONE + 1);
    assert_int_equal(metrics.jobs_failed, METER_FAILED + 1);
    assert_int_equal(metrics.jobs_cancelled, METER_CANCELLED + 1);
    assert_int_equal(metrics.jobs_retried, METER_RETRIED + 1);
    assert_int_equal(metrics.jobs_lost, METER_LOST + 1);
    assert_int_equal(metrics.requests, METER_REQUESTS + 1);
    assert_int_equal(metrics.denied, METER_DENIED + 1);
    arena_free(arena);
}

/* ---- the broker: a worker of two hypervisors, three guests on the first, and those who ask */

struct site {
    struct scratch *scratch;
    struct conf_broker conf;
    struct core *core;
    struct arena *arena; /* of what was sent in the last turn */
    usec_t now;
    RmReply *reply;         /* to the last request */
    RmAssignment *assigned; /* the last one; valid for that turn */
    uint64_t session, requests;
    uint64_t number; /* of the last assignment */
    bool wrote;      /* the last turn changed the store */
};

static const struct net_peer viewer = {
    .role = ROLE_VIEWER, .user = "view", .route = {1}, .route_length = 1};
static const struct net_peer operator= {
    .role = ROLE_OPERATOR, .user = "oper", .route = {2}, .route_length = 1};
static const struct net_peer worker = {
    .role = ROLE_WORKER, .user = "work", .route = {9}, .route_length = 1};

static void begin_turn(struct site *site, usec_t after)
{
    site->now += after;
    core_begin(site->core, site->now, site->now);
}

static void end_turn(struct site *site)
{
    struct rm_err err = {""};
    struct core_out out;
    core_tick(site->core);
    site->wrote = store_is_dirty(site->scratch->store);
    assert_int_equal(core_commit(site->core, &err), 0);
    arena_reset(site->arena);
    site->reply = NULL;
    site->assigned = NULL;
    while (core_next_out(site->core, &out)) {
        RmMessage *message;
        assert_int_equal(msg_unpack(site->arena, out.frame, out.length, &message, &err), 0);
        if (message->body_case == RM_MESSAGE__BODY_REPLY)
            site->reply = message->reply;
        else if (message->body_case == RM_MESSAGE__BODY_WELCOME)
            site->session = message->welcome->session;
        else if (message->body_case == RM_MESSAGE__BODY_ASSIGN)
            site->assigned = message->assign->jobs[message->assign->n_jobs - 1];
    }
    if (site->assigned)
        site->number = site->assigned->number;
}

/* One message, in a turn of its own, and what follows from it. body: every body is a pointer in the same place. */
static void say(struct site *site, const struct net_peer *peer, RmMessage__BodyCase kind,
                void *body)
{
    static char *hosts[] = {(char *)"hyp01", (char *)"hyp02", NULL};
    RmMessage message = RM_MESSAGE__INIT;
    message.body_case = kind;
    message.request = body;
    begin_turn(site, USEC_PER_MSEC);
    core_input(site->core, peer, peer->role == ROLE_WORKER ? hosts : NULL, &message);
    end_turn(site);
}

static RmReply *ask(struct site *site, const struct net_peer *peer, RmRequest__AskCase ask_case,
                    void *what)
{
    RmRequest request = RM_REQUEST__INIT;
    uint8_t token[RECORD_TOKEN] = {(uint8_t)++site->requests};
    request.ask_case = ask_case;
    request.submit = what;
    request.token = (ProtobufCBinaryData){.data = token, .len = sizeof(token)};
    request.command = (char *)"test";
    say(site, peer, RM_MESSAGE__BODY_REQUEST, &request);
    assert_non_null(site->reply);
    return site->reply;
}

static const RmMetrics *metrics(struct site *site)
{
    RmAskMetrics what = RM_ASK_METRICS__INIT;
    const RmReply *reply = ask(site, &viewer, RM_REQUEST__ASK_METRICS, &what);
    assert_int_equal(reply->code, RM_CODE__CODE_OK);
    assert_non_null(reply->metrics);
    assert_int_equal(reply->metrics->requests, site->requests);
    return reply->metrics;
}

/* Serves these, of which the worker's key may speak for hyp01 and hyp02 alone. */
static void hello(struct site *site, const char *const *names, size_t n)
{
    RmHyp hyps[3], *list[3];
    RmHello body = RM_HELLO__INIT;
    for (size_t i = 0; i < n; i++) {
        rm_hyp__init(&hyps[i]);
        hyps[i].name = (char *)(uintptr_t)names[i];
        hyps[i].peer = (char *)"qemu+tls://there/system";
        hyps[i].slots = 1;
        list[i] = &hyps[i];
    }
    body.hosts = list;
    body.n_hosts = n;
    body.instance = 1;
    body.turns = true;
    body.machine = (char *)"machine";
    say(site, &worker, RM_MESSAGE__BODY_HELLO, &body);
}

static void show_guests(struct site *site, const char *host, unsigned n)
{
    RmDomain domains[3], *list[3];
    char names[3][16], uuids[3][48];
    RmInventory body = RM_INVENTORY__INIT;
    for (unsigned i = 0; i < n; i++) {
        snprintf(names[i], sizeof(names[i]), "vm%u", i + 1);
        snprintf(uuids[i], sizeof(uuids[i]), "00000000-0000-4000-8000-00000000000%u", i + 1);
        rm_domain__init(&domains[i]);
        domains[i].name = names[i];
        domains[i].uuid = uuids[i];
        domains[i].state = RM_GUEST_STATE__GUEST_RUNNING;
        domains[i].memory = GIB;
        domains[i].vcpus = 1;
        list[i] = &domains[i];
    }
    body.host = (char *)(uintptr_t)host;
    body.reachable = true;
    body.domains = list;
    body.n_domains = n;
    body.memory = 64 * GIB;
    body.memory_free = 32 * GIB;
    body.vcpus = 16;
    body.sequence = site->now;
    say(site, &worker, RM_MESSAGE__BODY_INVENTORY, &body);
}

/* hyp01 has so many slots free. */
static void pull(struct site *site, uint32_t slots)
{
    RmCredit credit = RM_CREDIT__INIT, *list[] = {&credit};
    RmPull body = RM_PULL__INIT;
    credit.host = (char *)"hyp01";
    credit.free = slots;
    credit.seen = site->number;
    body.session = site->session;
    body.credits = list;
    body.n_credits = 1;
    body.sent = site->now;
    say(site, &worker, RM_MESSAGE__BODY_PULL, &body);
}

static void submit(struct site *site, const char *guest, uint32_t priority)
{
    RmSubmit what = RM_SUBMIT__INIT;
    what.guests = (char *)(uintptr_t)guest;
    what.to = (char *)"hyp02";
    what.priority = priority;
    assert_int_equal(ask(site, &operator, RM_REQUEST__ASK_SUBMIT, &what)->code, RM_CODE__CODE_OK);
}

static void cancel(struct site *site)
{
    RmSelect what = RM_SELECT__INIT;
    what.all = true;
    assert_int_equal(ask(site, &operator, RM_REQUEST__ASK_CANCEL, &what)->code, RM_CODE__CODE_OK);
}

/* What the worker reports of the try that it was assigned. */
static RmReport report_of(const RmAssignment *assigned, RmReportKind kind, RmVerdict verdict)
{
    RmReport report = RM_REPORT__INIT;
    report.job = assigned->job;
    report.attempt = assigned->attempt;
    report.turn = assigned->turn;
    report.host = (char *)"hyp01";
    report.kind = kind;
    report.verdict = verdict;
    return report;
}

static void send_report(struct site *site, RmReport *report)
{
    RmReport *list[] = {report};
    RmReports body = RM_REPORTS__INIT;
    body.reports = list;
    body.n_reports = 1;
    say(site, &worker, RM_MESSAGE__BODY_REPORTS, &body);
}

/* A slot is free, and the next queued job gets it. */
static RmAssignment assign(struct site *site)
{
    pull(site, 1);
    assert_non_null(site->assigned);
    RmAssignment assigned =
        *site->assigned; /* its texts are gone after this turn: nobody reads them */
    RmReport accepted =
        report_of(&assigned, RM_REPORT_KIND__REPORT_ACCEPTED, RM_VERDICT__VERDICT_UNKNOWN);
    accepted.fence = (char *)"paused";
    send_report(site, &accepted);
    return assigned;
}

static const char *const both[] = {"hyp01", "hyp02"};

static int set_up(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    struct rm_err err = {""};
    scratch_setup((void **)&site->scratch);
    assert_int_equal(record_open(site->scratch->store, &err), 0);
    assert_int_equal(store_commit(site->scratch->store, &err), 0);
    site->conf.session_timeout = 10 * USEC_PER_SEC;
    site->conf.heartbeat = USEC_PER_SEC;
    site->conf.attempts = 3;
    site->conf.retry_wait = USEC_PER_SEC;
    site->conf.vcpus_per_cpu = 4;
    site->now = 1000 * USEC_PER_SEC;
    site->arena = arena_new(0);
    assert_int_equal(
        core_new(&site->conf, site->scratch->store, 7, site->now, site->now, &site->core, &err), 0);
    hello(site, both, 2);
    show_guests(site, "hyp01", 3);
    show_guests(site, "hyp02", 0);
    *state = site;
    return 0;
}

static int tear_down(void **state)
{
    struct site *site = *state;
    core_free(site->core);
    arena_free(site->arena);
    scratch_teardown((void **)&site->scratch);
    free(site);
    return 0;
}

static void a_new_broker_has_counted_nothing_and_tells_what_there_is(void **state)
{
    struct site *site = *state;
    const RmMetrics *m = metrics(site);
    assert_int_equal(m->jobs_submitted + m->jobs_done + m->jobs_failed + m->jobs_cancelled, 0);
    assert_int_equal(m->jobs_retried + m->jobs_lost + m->denied + m->bytes_moved, 0);
    assert_int_equal(m->live + m->in_doubt + m->guests_locked, 0);
    assert_int_equal(m->n_hosts, 0);
    assert_int_equal(m->guests, 3);
    assert_int_equal(m->sessions, 1);
    assert_int_equal(m->epoch, 7);
    assert_int_equal(m->started_at, 1000 * USEC_PER_SEC);
    assert_int_equal(m->store_size, SCRATCH_SIZE);
    assert_true(m->store_used > 0 && m->store_used < m->store_size);
    for (int i = 1; i < METER_MEASURES; i++)
        assert_int_equal(observed(m, (RmMeasure)i), 0);
}

static void a_job_that_is_done_counts_with_its_figures(void **state)
{
    struct site *site = *state;
    RmStats stats = RM_STATS__INIT;
    submit(site, "vm1", 0);
    assert_int_equal(metrics(site)->jobs_submitted, 1);
    site->now += 5 * USEC_PER_SEC;
    RmAssignment assigned = assign(site);
    site->now += 4 * USEC_PER_SEC;
    RmReport report =
        report_of(&assigned, RM_REPORT_KIND__REPORT_FINISHED, RM_VERDICT__VERDICT_DESTINATION);
    report.stats = &stats;
    stats.elapsed_for = USEC_PER_SEC;
    stats.processed = 40 * MIB;
    stats.downtime_for = 12 * USEC_PER_MSEC;
    stats.measured_downtime = true;
    send_report(site, &report);
    const RmMetrics *m = metrics(site);
    assert_int_equal(m->jobs_done, 1);
    assert_int_equal(m->jobs_failed + m->jobs_cancelled + m->jobs_retried + m->jobs_lost, 0);
    assert_int_equal(m->live, 0);
    assert_int_equal(m->bytes_moved, 40 * MIB);
    for (int i = 1; i < METER_MEASURES; i++)
        assert_int_equal(observed(m, (RmMeasure)i), i <= RM_MEASURE__MEASURE_WAIT ? 1 : 0);
    assert_int_equal(histogram_of(m, RM_MEASURE__MEASURE_DOWNTIME)->sum, 12 * USEC_PER_MSEC);
    /* The turns between have a millisecond each: submit, metrics, pull; accepted, finished. */
    assert_int_equal(histogram_of(m, RM_MEASURE__MEASURE_WAIT)->sum,
                     5 * USEC_PER_SEC + 2 * USEC_PER_MSEC);
    assert_int_equal(histogram_of(m, RM_MEASURE__MEASURE_MIGRATION)->sum,
                     4 * USEC_PER_SEC + USEC_PER_MSEC);
}

static void a_guest_that_was_there_already_is_done_without_a_time(void **state)
{
    struct site *site = *state;
    submit(site, "vm1", 0);
    RmAssignment assigned = assign(site);
    RmReport report =
        report_of(&assigned, RM_REPORT_KIND__REPORT_FINISHED, RM_VERDICT__VERDICT_DESTINATION);
    report.already = true;
    send_report(site, &report);
    const RmMetrics *m = metrics(site);
    assert_int_equal(m->jobs_done, 1);
    assert_int_equal(observed(m, RM_MEASURE__MEASURE_MIGRATION), 0);
    assert_int_equal(observed(m, RM_MEASURE__MEASURE_WAIT), 1);
}

static void what_is_not_known_of_a_migration_is_not_counted(void **state)
{
    struct site *site = *state;
    RmStats stats = RM_STATS__INIT;
    submit(site, "vm1", 0);
    RmAssignment assigned = assign(site);
    RmReport report =
        report_of(&assigned, RM_REPORT_KIND__REPORT_FINISHED, RM_VERDICT__VERDICT_DESTINATION);
    report.stats = &stats;
    stats.elapsed_for = USEC_PER_SEC;
    stats.downtime_for = 300 * USEC_PER_MSEC; /* expected */
    send_report(site, &report);
    const RmMetrics *m = metrics(site);
    assert_int_equal(observed(m, RM_MEASURE__MEASURE_MIGRATION), 1);
    assert_int_equal(observed(m, RM_MEASURE__MEASURE_DOWNTIME), 0);
    assert_int_equal(observed(m, RM_MEASURE__MEASURE_BYTES), 0);
}

static void another_try_counts_when_it_begins_and_the_wait_before_the_first_alone(void **state)
{
    struct site *site = *state;
    submit(site, "vm1", 0);
    RmAssignment assigned = assign(site);
    RmReport report =
        report_of(&assigned, RM_REPORT_KIND__REPORT_FINISHED, RM_VERDICT__VERDICT_SOURCE);
    report.class_ = RM_CLASS__CLASS_RETRY;
    report.text = (char *)"did not work";
    send_report(site, &report);
    assert_int_equal(metrics(site)->jobs_retried, 0);
    begin_turn(site, 2 * USEC_PER_SEC);
    end_turn(site); /* it is queued again */
    assigned = assign(site);
    assert_int_equal(assigned.attempt, 2);
    const RmMetrics *m = metrics(site);
    assert_int_equal(m->jobs_retried, 1);
    assert_int_equal(observed(m, RM_MEASURE__MEASURE_WAIT), 1);
    report = report_of(&assigned, RM_REPORT_KIND__REPORT_FINISHED, RM_VERDICT__VERDICT_SOURCE);
    report.class_ = RM_CLASS__CLASS_FATAL;
    send_report(site, &report);
    m = metrics(site);
    assert_int_equal(m->jobs_failed, 1);
    assert_int_equal(m->jobs_done + m->jobs_cancelled, 0);
    assert_int_equal(observed(m, RM_MEASURE__MEASURE_MIGRATION), 0);
}

static void a_try_whose_worker_is_lost_counts_once_and_is_in_doubt(void **state)
{
    struct site *site = *state;
    submit(site, "vm1", 0);
    assign(site);
    begin_turn(site, site->conf.session_timeout + 1);
    end_turn(site);
    const RmMetrics *m = metrics(site);
    assert_int_equal(m->jobs_lost, 1);
    assert_int_equal(m->in_doubt, 1);
    assert_int_equal(m->live, 1);
    assert_int_equal(m->sessions, 0);
    /* A worker comes, is asked to find out, and is lost as well: that was no try. */
    hello(site, both, 2);
    assert_true(site->assigned && site->assigned->settle);
    begin_turn(site, site->conf.session_timeout + 1);
    end_turn(site);
    m = metrics(site);
    assert_int_equal(m->sessions, 0);
    assert_int_equal(m->in_doubt, 1);
    assert_int_equal(m->jobs_lost, 1);
}

static void a_guest_that_is_on_both_is_locked_and_its_job_failed(void **state)
{
    struct site *site = *state;
    submit(site, "vm1", 0);
    RmAssignment assigned = assign(site);
    RmReport report =
        report_of(&assigned, RM_REPORT_KIND__REPORT_FINISHED, RM_VERDICT__VERDICT_BOTH);
    report.fence = (char *)"paused";
    send_report(site, &report);
    const RmMetrics *m = metrics(site);
    assert_int_equal(m->jobs_failed, 1);
    assert_int_equal(m->guests_locked, 1);
    assert_int_equal(m->jobs_lost, 0); /* its worker is there */
    assert_int_equal(m->in_doubt, 0);
}

static void a_lock_is_counted_where_its_guest_goes(void **state)
{
    struct site *site = *state;
    struct guest *guest = guest_make(site->core, "old"), *into = guest_make(site->core, "new");
    guest_lock(site->core, guest, "for a reason");
    guest_lock(site->core, guest, "for another one");
    assert_int_equal(metrics(site)->guests_locked, 1);
    guest_take_out(site->core, guest);
    guest_merge(site->core, guest, into);
    assert_int_equal(metrics(site)->guests_locked, 1);
    guest_unlock(site->core, into);
    assert_int_equal(metrics(site)->guests_locked, 0);
}

static void the_oldest_queued_job_of_a_host_is_told_whatever_comes_first(void **state)
{
    struct site *site = *state;
    submit(site, "vm1", 200);
    usec_t first = site->now;
    site->now += USEC_PER_SEC;
    submit(site, "vm2", 10);
    const RmMetrics *m = metrics(site);
    assert_int_equal(m->n_hosts, 1); /* nothing is queued at the other one */
    assert_string_equal(m->hosts[0]->name, "hyp01");
    assert_int_equal(m->hosts[0]->oldest_at, first);
    assert_int_equal(assign(site).job, guest_find(site->core, "vm2")->rec->active_job);
    assert_int_equal(metrics(site)->hosts[0]->oldest_at, first); /* still */
    cancel(site);
    m = metrics(site);
    assert_int_equal(m->jobs_cancelled, 1); /* the other one is asked to stop */
    assert_int_equal(m->live, 1);
    assert_int_equal(m->n_hosts, 0);
}

static void each_refusal_counts_also_those_that_leave_no_event(void **state)
{
    static const char *const hosts[] = {"hyp01", "hyp02", "hyp03"};
    struct site *site = *state;
    RmSubmit what = RM_SUBMIT__INIT;
    RmFollow follow = RM_FOLLOW__INIT;
    RmPing ping = RM_PING__INIT;
    RmPull body = RM_PULL__INIT;
    for (unsigned i = 0; i < DENIED_BURST + 5; i++)
        assert_int_equal(ask(site, &viewer, RM_REQUEST__ASK_SUBMIT, &what)->code,
                         RM_CODE__CODE_NOT_PERMITTED);
    assert_int_equal(metrics(site)->denied, DENIED_BURST + 5);
    hello(site, hosts, 3); /* the third is not its own */
    assert_int_equal(metrics(site)->denied, DENIED_BURST + 6);
    say(site, &operator, RM_MESSAGE__BODY_PULL, &body); /* nor is he a worker */
    const RmMetrics *m = metrics(site);
    assert_int_equal(m->denied, DENIED_BURST + 7);
    assert_int_equal(m->jobs_submitted, 0);
    assert_int_equal(ask(site, &worker, RM_REQUEST__ASK_FOLLOW, &follow)->code,
                     RM_CODE__CODE_NOT_PERMITTED);
    assert_int_equal(metrics(site)->denied, DENIED_BURST + 8);
    assert_int_equal(ask(site, &viewer, RM_REQUEST__ASK_PING, &ping)->code, RM_CODE__CODE_OK);
    assert_int_equal(metrics(site)->denied, DENIED_BURST + 8);
}

static void what_the_loop_measures_is_told(void **state)
{
    struct site *site = *state;
    core_took(site->core, RM_MEASURE__MEASURE_COMMIT, 7 * USEC_PER_MSEC);
    core_took(site->core, RM_MEASURE__MEASURE_TURN, 9 * USEC_PER_MSEC);
    const RmMetrics *m = metrics(site);
    assert_int_equal(histogram_of(m, RM_MEASURE__MEASURE_COMMIT)->sum, 7 * USEC_PER_MSEC);
    assert_int_equal(histogram_of(m, RM_MEASURE__MEASURE_TURN)->sum, 9 * USEC_PER_MSEC);
}

static void asking_writes_nothing(void **state)
{
    struct site *site = *state;
    submit(site, "vm1", 0);
    assert_true(site->wrote);
    metrics(site);
    assert_false(site->wrote);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_measure_has_one_histogram_whose_bounds_rise),
        cmocka_unit_test(a_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed),
        cmocka_unit_test(a_sum_does_not_wrap_round),
        cmocka_unit_test(each_count_is_told_as_what_it_is),
        TEST(a_new_broker_has_counted_nothing_and_tells_what_there_is),
        TEST(a_job_that_is_done_counts_with_its_figures),
        TEST(a_guest_that_was_there_already_is_done_without_a_time),
        TEST(what_is_not_known_of_a_migration_is_not_counted),
        TEST(another_try_counts_when_it_begins_and_the_wait_before_the_first_alone),
        TEST(a_try_whose_worker_is_lost_counts_once_and_is_in_doubt),
        TEST(a_guest_that_is_on_both_is_locked_and_its_job_failed),
        TEST(a_lock_is_counted_where_its_guest_goes),
        TEST(the_oldest_queued_job_of_a_host_is_told_whatever_comes_first),
        TEST(each_refusal_counts_also_those_that_leave_no_event),
        TEST(what_the_loop_measures_is_told),
        TEST(asking_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
