/* test_retention.c - what has ended is forgotten, the oldest first, and never what is still needed */
#include "broker/batch.h"
#include "broker/core.h"
#include "broker/guest.h"
#include "broker/host.h"
#include "broker/model.h"
#include "broker/retention.h"
#include "store/key.h"
#include "store/record.h"
#include "store/tool/check.h"
#include "tests/unit/scratch.h"

#define MINUTE (60 * USEC_PER_SEC)
#define DAY    (24 * 60 * MINUTE)

/* Times are in days: job n ended on day n. */
enum { TODAY = 100 };

static struct conf_broker conf;

static void put_batch(struct store *store, uint64_t id, uint64_t first, uint64_t n, uint64_t day)
{
    RmRange range = RM_RANGE__INIT, *ranges[] = {&range};
    RmBatch batch = RM_BATCH__INIT;
    range.first = first;
    range.count = n;
    batch.id = id;
    batch.jobs = ranges;
    batch.n_jobs = n > 0;
    batch.submitted_at = day * DAY;
    assert_int_equal(record_batch_put(store, &batch), 0);
}

static void put_event(struct store *store, uint64_t job, uint64_t sequence)
{
    RmEvent event = RM_EVENT__INIT;
    event.job = job;
    event.sequence = sequence;
    event.kind = RM_EVENT_KIND__NOTE;
    assert_int_equal(record_event_put(store, &event), 0);
}

static void put_ended(struct store *store, uint64_t id, uint64_t batch, const char *guest)
{
    RmJob job = RM_JOB__INIT;
    RmResult result = RM_RESULT__INIT;
    job.id = result.id = id;
    job.batch = batch;
    job.guest = (char *)(uintptr_t)guest;
    result.state = RM_STATE__DONE;
    result.finished_at = id * DAY;
    result.events = 2;
    assert_int_equal(record_job_put(store, &job), 0);
    assert_int_equal(record_result_put(store, &result), 0);
    put_event(store, id, 1);
    put_event(store, id, 2);
}

static void put_guest(struct store *store, const char *name, uint64_t last_job)
{
    RmGuest guest = RM_GUEST__INIT;
    guest.name = (char *)(uintptr_t)name;
    guest.last_job = last_job;
    assert_int_equal(record_guest_put(store, &guest), 0);
}

/* Batch 1: nothing became a job. Batch 2: jobs 11 to 20 of a; batch 3: 21 to 30 of b; event n that concerns
 * no job is of day n. */
static struct core *core_with_history(struct scratch *scratch)
{
    struct store *store = scratch->store;
    struct rm_err err = {""};
    struct core *core;
    uint64_t first;
    assert_int_equal(record_open(store, &err), 0);
    assert_int_equal(record_next_id(store, 40, &first), 0);
    put_batch(store, 1, 0, 0, 1);
    put_batch(store, 2, 11, 10, 10);
    put_batch(store, 3, 21, 10, 20);
    for (uint64_t id = 11; id <= 30; id++)
        put_ended(store, id, id <= 20 ? 2 : 3, id <= 20 ? "a" : "b");
    put_guest(store, "a", 20);
    put_guest(store, "b", 30);
    for (uint64_t i = 1; i <= 30; i++) {
        RmEvent event = RM_EVENT__INIT;
        event.at = i * DAY;
        assert_int_equal(record_site_event_put(store, &event), 0);
    }
    assert_int_equal(store_commit(store, &err), 0);
    assert_int_equal(store_check(store, stderr), 0);
    assert_int_equal(core_new(&conf, store, 1, 1, TODAY * DAY, &core, &err), 0);
    return core;
}

/* A look, and all steps of it. */
static void look(struct core *core)
{
    struct rm_err err = {""};
    usec_t at = retention_deadline(core) > core->now ? retention_deadline(core) : core->now;
    for (unsigned i = 0; i < 1000 && at < core->now + MINUTE; i++) {
        core_begin(core, at, core->wall);
        retention_tick(core);
        assert_int_equal(core_commit(core, &err), 0);
        at = retention_deadline(core);
    }
    assert_int_equal(at, core->now + MINUTE);
    core_begin(core, at, core->wall);
}

static void forget(struct core *core)
{
    look(core);
    assert_int_equal(store_check(core->store, stderr), 0);
}

/* ---- what is there */

static bool has_job(struct core *core, uint64_t id)
{
    RmJob *job;
    RmResult *result;
    int r = record_job_get(core->store, id, core->arena, &job);
    assert_int_equal(record_result_get(core->store, id, core->arena, &result), r);
    return r == 0;
}

static bool has_result(struct core *core, uint64_t id)
{
    RmResult *result;
    return record_result_get(core->store, id, core->arena, &result) == 0;
}

static void jobs_are(struct core *core, uint64_t first, uint64_t last)
{
    for (uint64_t id = 11; id <= 30; id++)
        assert_int_equal(has_job(core, id), id >= first && id <= last);
    uint64_t n = last >= first ? last - first + 1 : 0;
    assert_int_equal(store_count(core->store, STORE_RESULT), n);
}

static bool has_batch(struct core *core, uint64_t id)
{
    RmBatch *batch;
    return record_batch_get(core->store, id, core->arena, &batch) == 0;
}

static int see_event(void *ctx, const ProtobufCMessage *record)
{
    uint64_t *seen = ctx; /* the newest, and how many */
    if (seen[1]++ == 0)
        seen[0] = ((const RmEvent *)record)->sequence;
    return 0;
}

static void events_are(struct core *core, uint64_t newest, uint64_t n)
{
    uint64_t seen[2] = {0};
    assert_int_equal(record_walk_events(core->store, 0, 0, see_event, seen), 0);
    assert_int_equal(seen[0], newest);
    assert_int_equal(seen[1], n);
}

static void pass_time(struct core *core, usec_t span)
{
    core->now += span;
    core->wall += span;
}

/* ---- tests */

static void without_settings_all_is_kept(void **state)
{
    struct core *core = core_with_history(*state);
    conf.keep = conf.keep_jobs = 0;
    forget(core);
    jobs_are(core, 11, 30);
    events_are(core, 30, 30);
    assert_true(has_batch(core, 1));
    core_free(core);
}

static void what_is_older_than_keep_goes_with_events_and_batches(void **state)
{
    struct core *core = core_with_history(*state);
    conf = (struct conf_broker){.keep = 75 * DAY + 60 * MINUTE};
    pass_time(core, 60 * MINUTE);
    forget(core);
    jobs_are(core, 25, 30);
    events_are(core, 30, 6);
    assert_false(has_batch(core, 1));
    assert_false(has_batch(core, 2));
    assert_true(has_batch(core, 3));
    assert_int_equal(guest_find(core, "a")->rec->last_job, 0);
    assert_int_equal(guest_find(core, "b")->rec->last_job, 30);
    pass_time(core, 10 * DAY);
    forget(core);
    jobs_are(core, 31, 30);
    assert_false(has_batch(core, 3));
    events_are(core, 30, 1); /* it tells the next number */
    core_free(core);
}

/* Their days are a bound, and no setting. */
static void plans_go_when_their_days_are_over(void **state)
{
    struct core *core = core_with_history(*state);
    RmPlan plan = RM_PLAN__INIT;
    conf.keep = conf.keep_jobs = 0;
    for (plan.id = 1; plan.id <= 3; plan.id++) {
        plan.made_at = core->wall - (30 - plan.id) * DAY; /* 29, 28, 27 days ago */
        assert_int_equal(record_plan_put(core->store, &plan), 0);
    }
    pass_time(core, 60 * MINUTE);
    forget(core);
    assert_int_equal(store_count(core->store, STORE_PLAN), 3);
    pass_time(core, 2 * DAY - 59 * MINUTE);
    forget(core);
    assert_int_equal(store_count(core->store, STORE_PLAN), 1);
    jobs_are(core, 11, 30);
    core_free(core);
}

/* As after a start without a battery, until the clock is set right; or it was wrong before. */
static void a_clock_that_is_ahead_for_a_while_takes_nothing_with_it(void **state)
{
    conf = (struct conf_broker){.keep = 95 * DAY};
    struct core *core = core_with_history(*state);
    core->wall += 1000 * DAY;
    forget(core);
    jobs_are(core, 11, 30);
    core->wall -= 1000 * DAY;
    pass_time(core, 60 * MINUTE);
    forget(core);
    jobs_are(core, 11, 30);
    core->wall += 1000 * DAY;
    forget(core);
    jobs_are(core, 11, 30);
    pass_time(core, 60 * MINUTE); /* it stays there */
    forget(core);
    jobs_are(core, 31, 30);
    core_free(core);
}

static void beyond_keep_jobs_the_oldest_go(void **state)
{
    struct core *core = core_with_history(*state);
    conf = (struct conf_broker){.keep_jobs = 3};
    forget(core);
    jobs_are(core, 28, 30);
    events_are(core, 30, 3);
    assert_false(has_batch(core, 2));
    assert_true(has_batch(core, 3));
    core_free(core);
}

static void a_batch_that_somebody_waits_for_is_kept_whole(void **state)
{
    struct core *core = core_with_history(*state);
    conf = (struct conf_broker){.keep_jobs = 1};
    batch_watch(batch_restore(core, 2));
    forget(core);
    assert_int_equal(store_count(core->store, STORE_RESULT), 11);
    assert_true(has_job(core, 11) && has_job(core, 20) && has_job(core, 30));
    assert_true(has_batch(core, 2));
    assert_int_equal(guest_find(core, "a")->rec->last_job, 20);
    batch_unwatch(core, batch_find(core, 2));
    core->now += MINUTE;
    batch_tick(core);
    forget(core);
    jobs_are(core, 30, 30);
    assert_false(has_batch(core, 2));
    assert_true(has_batch(core, 3));
    core_free(core);
}

/* A client that follows a batch and does not read yet. */
static void follow(struct core *core, uint64_t batch)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmRequest request = RM_REQUEST__INIT;
    RmFollow ask = RM_FOLLOW__INIT;
    RmSelect what = RM_SELECT__INIT;
    struct net_peer peer = {.role = ROLE_VIEWER, .user = "alice"};
    struct rm_err err = {""};
    what.batch = batch;
    ask.what = &what;
    request.ask_case = RM_REQUEST__ASK_FOLLOW;
    request.follow = &ask;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = &request;
    core_begin(core, core->now, core->wall);
    core_input(core, &peer, NULL, &message);
    assert_int_equal(core_commit(core, &err), 0);
}

/* Between two questions of who waits nobody is there; what is waited for is both batches. */
static void a_batch_that_somebody_waits_for_is_kept_between_two_questions(void **state)
{
    struct core *core = core_with_history(*state);
    RmJob job = RM_JOB__INIT;
    conf = (struct conf_broker){.keep_jobs = 1};
    job.id = 11;
    job.batch = 2;
    batch_tries_again(core, &job, 21, 3);
    follow(core, 2);
    forget(core);
    jobs_are(core, 11, 30);
    batch_tick(core); /* it does not come again */
    forget(core);
    jobs_are(core, 30, 30);
    core_free(core);
}

/* What a job tries again is part of the same wait. */
static void a_batch_is_kept_while_another_one_tries_its_jobs_again(void **state)
{
    struct core *core = core_with_history(*state);
    RmJob job = RM_JOB__INIT;
    conf = (struct conf_broker){.keep_jobs = 1};
    job.id = 11;
    job.batch = 2;
    batch_tries_again(core, &job, 21, 3);
    batch_watch(batch_restore(core, 3));
    forget(core);
    jobs_are(core, 11, 30);
    batch_unwatch(core, batch_find(core, 3));
    core_free(core);
}

static void after_a_start_nothing_is_forgotten_until_who_waits_can_be_back(void **state)
{
    conf = (struct conf_broker){.keep_jobs = 1, .session_timeout = 10 * USEC_PER_SEC};
    struct core *core = core_with_history(*state);
    struct rm_err err = {""};
    core_begin(core, core->now + 10 * USEC_PER_SEC - 1, core->wall);
    core_tick(core);
    assert_int_equal(core_commit(core, &err), 0);
    jobs_are(core, 11, 30);
    forget(core);
    jobs_are(core, 30, 30);
    core_free(core);
}

static void a_batch_whose_evacuation_goes_on_is_kept_whole(void **state)
{
    struct core *core = core_with_history(*state);
    struct rm_err err = {""};
    RmHost host = RM_HOST__INIT;
    RmEmptying emptying = RM_EMPTYING__INIT;
    uint64_t batches[] = {2};
    conf = (struct conf_broker){.keep_jobs = 1};
    core_free(core);
    host.name = (char *)"hyp01";
    host.emptying = &emptying;
    emptying.batches = batches;
    emptying.n_batches = 1;
    assert_int_equal(record_host_put(((struct scratch *)*state)->store, &host), 0);
    assert_int_equal(store_commit(((struct scratch *)*state)->store, &err), 0);
    assert_int_equal(
        core_new(&conf, ((struct scratch *)*state)->store, 1, 1, TODAY * DAY, &core, &err), 0);
    forget(core);
    assert_int_equal(store_count(core->store, STORE_RESULT), 11);
    assert_true(has_job(core, 11) && has_job(core, 20) && has_job(core, 30));
    core_free(core);
}

static void damage(struct core *core, enum store_table table, uint64_t id)
{
    uint8_t key[16];
    key_u64(key, table == STORE_EVENT ? 0 : id);
    key_u64(key + 8, id);
    assert_int_equal(store_put(core->store, table, key, table == STORE_EVENT ? 16 : 8,
                               "\xff\xff\xff", 3, /* append = */ false),
                     0);
}

/* rmigrate-store check names it; the broker does not end because of it, whatever came before or after. */
static void what_is_damaged_is_passed_over(void **state)
{
    struct core *core = core_with_history(*state);
    conf = (struct conf_broker){.keep = 75 * DAY + 60 * MINUTE};
    pass_time(core, 60 * MINUTE);
    damage(core, STORE_RESULT, 11);
    damage(core, STORE_JOB, 12);
    damage(core, STORE_RESULT, 15);
    damage(core, STORE_BATCH, 1);
    damage(core, STORE_EVENT, 1);
    damage(core, STORE_EVENT, 9);
    look(core);
    for (uint64_t id = 11; id <= 30; id++)
        assert_int_equal(has_result(core, id), id >= 25);
    assert_int_equal(store_count(core->store, STORE_RESULT), 6 + 2);
    assert_true(has_batch(core, 2)); /* of two jobs nobody knows when they ended */
    assert_true(has_batch(core, 3));
    core_free(core);
}

/* One turn forgets no more than a step. */
static void much_goes_in_steps(void **state)
{
    struct scratch *scratch = *state;
    enum { MANY = 3000 };
    struct rm_err err = {""};
    struct core *core;
    uint64_t first;
    conf = (struct conf_broker){.keep_jobs = 10};
    assert_int_equal(record_open(scratch->store, &err), 0);
    assert_int_equal(record_next_id(scratch->store, MANY + 100, &first), 0);
    put_batch(scratch->store, 1, 2, MANY, 1);
    for (uint64_t id = 2; id < 2 + MANY; id++)
        put_ended(scratch->store, id, 1, "a");
    assert_int_equal(store_commit(scratch->store, &err), 0);
    assert_int_equal(core_new(&conf, scratch->store, 1, 1, TODAY * DAY, &core, &err), 0);
    core_begin(core, retention_deadline(core), TODAY * DAY);
    retention_tick(core);
    assert_int_equal(core_commit(core, &err), 0);
    assert_int_equal(store_count(core->store, STORE_RESULT), MANY - RETENTION_STEP);
    assert_true(retention_deadline(core) < core->now + USEC_PER_SEC);
    forget(core);
    assert_int_equal(store_count(core->store, STORE_RESULT), 10);
    assert_int_equal(store_count(core->store, STORE_EVENT), 20);
    core_free(core);
}

/* A store of that size, filled with jobs, each of a guest of its own, until no more than `room` bytes are left. */
static struct core *core_in_small_store(struct scratch *scratch, size_t size, size_t room)
{
    static char name[40], text[1800];
    struct rm_err err = {""};
    struct store_usage usage = {.size = size};
    struct core *core;
    uint64_t first, id = 1;
    memset(text, 'x', sizeof(text) - 1);
    store_close(scratch->store);
    scratch->store = NULL;
    assert_int_equal(
        store_open(scratch->path, size, STORE_CREATE | STORE_NO_SYNC, &scratch->store, &err), 0);
    assert_int_equal(record_open(scratch->store, &err), 0);
    assert_int_equal(record_next_id(scratch->store, 10000, &first), 0);
    put_batch(scratch->store, 1, 2, 9000, 1);
    while (size - usage.used > room) {
        RmGuest guest = RM_GUEST__INIT;
        snprintf(name, sizeof(name), "guest%05llu", (unsigned long long)++id);
        put_ended(scratch->store, id, 1, name);
        guest.name = name;
        guest.last_job = id;
        guest.lock_text = text; /* so that few of them are on one page */
        assert_int_equal(record_guest_put(scratch->store, &guest), 0);
        assert_int_equal(store_commit(scratch->store, &err), 0);
        assert_int_equal(store_usage(scratch->store, &usage), 0);
    }
    assert_int_equal(core_new(&conf, scratch->store, 1, 1, TODAY * DAY, &core, &err), 0);
    return core;
}

/* Nothing new is taken by then: a history that stays would keep it so for ever. */
static void what_is_too_much_goes_from_a_small_store_that_is_full(void **state)
{
    enum { SIZE = 4 * 1024 * 1024 };
    conf = (struct conf_broker){.keep_jobs = 10};
    struct core *core = core_in_small_store(*state, SIZE, SIZE / 100 * 5);
    forget(core);
    assert_int_equal(store_count(core->store, STORE_RESULT), 10);
    core_free(core);
}

/* To forget is to write: a turn that finds no room for it ends the broker, and the next one, too. */
static void a_turn_forgets_no_more_than_there_is_room_to_write(void **state)
{
    enum { SIZE = 8 * 1024 * 1024, ROOM = 1050 * 1024 };
    conf = (struct conf_broker){.keep_jobs = 10};
    struct core *core = core_in_small_store(*state, SIZE, ROOM);
    forget(core);
    assert_int_equal(store_count(core->store, STORE_RESULT), 10);
    core_free(core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plans_go_when_their_days_are_over, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_is_ahead_for_a_while_takes_nothing_with_it,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(without_settings_all_is_kept, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(what_is_older_than_keep_goes_with_events_and_batches,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(beyond_keep_jobs_the_oldest_go, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(a_batch_that_somebody_waits_for_is_kept_whole,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_batch_whose_evacuation_goes_on_is_kept_whole,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            a_batch_that_somebody_waits_for_is_kept_between_two_questions, scratch_setup,
            scratch_teardown),
        cmocka_unit_test_setup_teardown(a_batch_is_kept_while_another_one_tries_its_jobs_again,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            after_a_start_nothing_is_forgotten_until_who_waits_can_be_back, scratch_setup,
            scratch_teardown),
        cmocka_unit_test_setup_teardown(what_is_damaged_is_passed_over, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(what_is_too_much_goes_from_a_small_store_that_is_full,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(a_turn_forgets_no_more_than_there_is_room_to_write,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(much_goes_in_steps, scratch_setup, scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
