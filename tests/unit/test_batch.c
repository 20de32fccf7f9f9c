/* test_batch.c - tests of batches: held while somebody needs them, counted from the store afterwards */
#include "broker/batch.h"
#include "store/record.h"
#include "tests/unit/scratch.h"

#include <errno.h>

enum { ID = 10, JOBS = 3 };

struct site {
    struct scratch *scratch;
    struct core core;
};

static int set_up(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    struct rm_err err = {0};
    scratch_setup((void **)&site->scratch);
    site->core.store = site->scratch->store;
    assert_int_equal(record_open(site->core.store, &err), 0);
    site->core.arena = arena_new(0);
    core_turn_drop(&site->core);
    *state = site;
    return 0;
}

static int tear_down(void **state)
{
    struct site *site = *state;
    assert_int_equal(site->core.turn.failed, 0);
    batch_free_all(&site->core);
    core_turn_drop(&site->core);
    arena_free(site->core.arena);
    scratch_teardown((void **)&site->scratch);
    free(site);
    return 0;
}

/* A batch of JOBS jobs, ids from ID + 1, all queued. */
static struct batch *make(struct site *site)
{
    RmRange range = RM_RANGE__INIT;
    RmRange *ranges[] = {&range};
    RmBatch rec = RM_BATCH__INIT;
    range.first = ID + 1;
    range.count = JOBS;
    rec.id = ID;
    rec.n_jobs = 1;
    rec.jobs = ranges;
    struct batch *batch = batch_make(&site->core, &rec);
    for (unsigned i = 0; i < JOBS; i++) {
        batch_begin(batch);
        batch_move(batch, RM_STATE__NO_STATE, RM_STATE__QUEUED);
    }
    return batch;
}

static void end(struct site *site, struct batch *batch, uint64_t id, RmState state)
{
    RmResult result = RM_RESULT__INIT;
    result.id = id;
    result.state = state;
    assert_int_equal(record_result_put(site->core.store, &result), 0);
    batch_move(batch, RM_STATE__QUEUED, state);
    batch_end(&site->core, batch);
}

static void assert_counts(struct site *site, uint64_t queued, uint64_t done, uint64_t failed)
{
    uint64_t counts[STATE_COUNT];
    assert_int_equal(batch_count(&site->core, ID, counts), 0);
    assert_int_equal(counts[RM_STATE__QUEUED], queued);
    assert_int_equal(counts[RM_STATE__DONE], done);
    assert_int_equal(counts[RM_STATE__FAILED], failed);
}

/* Whoever waits asks again after a moment, and finds it. */
static void assert_held_for_a_while(struct site *site, const struct batch *batch)
{
    const usec_t kept = (usec_t)BATCH_IDLE_SECONDS * USEC_PER_SEC;
    site->core.now += kept - 1;
    batch_tick(&site->core);
    assert_ptr_equal(batch_find(&site->core, ID), batch);
    site->core.now += 1;
    batch_tick(&site->core);
    assert_null(batch_find(&site->core, ID));
}

static void a_batch_is_held_until_its_last_job_has_ended(void **state)
{
    struct site *site = *state;
    struct batch *batch = make(site);
    assert_ptr_equal(batch_find(&site->core, ID), batch);
    end(site, batch, ID + 1, RM_STATE__DONE);
    end(site, batch, ID + 2, RM_STATE__FAILED);
    assert_ptr_equal(batch_find(&site->core, ID), batch);
    assert_counts(site, 1, 1, 1);
    end(site, batch, ID + 3, RM_STATE__DONE);
    assert_held_for_a_while(site, batch);
}

static void afterwards_the_store_says_the_same(void **state)
{
    struct site *site = *state;
    struct batch *batch = make(site);
    for (unsigned i = 1; i <= JOBS; i++)
        end(site, batch, ID + i, i == 2 ? RM_STATE__FAILED : RM_STATE__DONE);
    assert_counts(site, 0, 2, 1);
    assert_held_for_a_while(site, batch);
    assert_counts(site, 0, 2, 1);
    assert_null(batch_find(&site->core, ID)); /* being asked does not bring it back */
}

static void whoever_waits_for_its_jobs_keeps_it(void **state)
{
    struct site *site = *state;
    struct batch *batch = make(site);
    batch_watch(batch);
    batch_watch(batch);
    for (unsigned i = 1; i <= JOBS; i++)
        end(site, batch, ID + i, RM_STATE__DONE);
    assert_ptr_equal(batch_find(&site->core, ID), batch);
    assert_counts(site, 0, 3, 0);
    batch_unwatch(&site->core, batch);
    assert_ptr_equal(batch_find(&site->core, ID), batch);
    batch_unwatch(&site->core, batch);
    assert_held_for_a_while(site, batch);
    assert_counts(site, 0, 3, 0);
}

static void who_stops_waiting_does_not_take_it_from_live_jobs(void **state)
{
    struct site *site = *state;
    struct batch *batch = make(site);
    batch_watch(batch);
    batch_unwatch(&site->core, batch);
    assert_ptr_equal(batch_find(&site->core, ID), batch);
}

static void after_a_restart_it_counts_what_had_ended_before(void **state)
{
    struct site *site = *state;
    struct batch *batch = make(site);
    end(site, batch, ID + 1, RM_STATE__FAILED);
    batch_free_all(&site->core);
    batch = batch_restore(&site->core, ID);
    assert_non_null(batch);
    batch_begin(batch);
    batch_move(batch, RM_STATE__NO_STATE, RM_STATE__QUEUED);
    assert_counts(site, 1, 0, 1);
    assert_ptr_equal(batch_restore(&site->core, ID), batch); /* the next job finds the same */
}

static void a_list_of_hosts_is_kept_once_and_outlives_the_batch(void **state)
{
    struct site *site = *state;
    struct batch *batch = make(site);
    char *ab[] = {"hyp-a", "hyp-b"}, *ac[] = {"hyp-a", "hyp-c"};
    RmJob job = RM_JOB__INIT;
    RmHostList **lists;
    assert_int_equal(batch_list(&site->core, batch, ab, 1), 0); /* one host stands in the job */
    assert_int_equal(batch_list(&site->core, batch, ab, 2), 1);
    assert_int_equal(batch_list(&site->core, batch, ac, 2), 2);
    assert_int_equal(batch_list(&site->core, batch, ab, 2), 1);
    assert_int_equal(batch_lists(&site->core, ID, &lists), 2);
    job.batch = ID;
    job.to_list = 2;
    job.to = ac;
    job.n_to = 1;
    assert_int_equal(batch_hosts(batch, &job).n, 2);
    batch_free_all(&site->core);
    struct batch_hosts hosts = batch_hosts_of(&site->core, &job);
    assert_int_equal(hosts.n, 2);
    assert_string_equal(hosts.names[1], "hyp-c");
    batch = batch_restore(&site->core, ID);
    assert_string_equal(batch_hosts(batch, &job).names[1], "hyp-c");
}

static void a_job_of_an_older_store_names_its_hosts_itself(void **state)
{
    struct site *site = *state;
    char *to[] = {"hyp-a", "hyp-b"};
    RmJob job = RM_JOB__INIT;
    make(site);
    job.batch = ID;
    job.to = to;
    job.n_to = 2;
    assert_int_equal(batch_hosts_of(&site->core, &job).n, 2);
    assert_string_equal(batch_hosts_of(&site->core, &job).names[1], "hyp-b");
}

static void a_batch_that_never_was_is_said_to_be_none(void **state)
{
    struct site *site = *state;
    uint64_t counts[STATE_COUNT];
    assert_int_equal(batch_count(&site->core, ID, counts), -ENOENT);
    assert_null(batch_restore(&site->core, ID));
}

/* Whoever may look may ask for every batch there ever was. */
static void of_very_many_idle_ones_the_newest_are_held(void **state)
{
    struct site *site = *state;
    RmBatch rec = RM_BATCH__INIT;
    for (uint64_t id = 1; id <= BATCH_IDLE_MAX + 10; id++) {
        rec.id = id;
        assert_int_equal(record_batch_put(site->core.store, &rec), 0);
        struct batch *batch = batch_restore(&site->core, id);
        batch_watch(batch);
        batch_unwatch(&site->core, batch);
    }
    batch_tick(&site->core);
    assert_int_equal(HASH_COUNT(site->core.batches), BATCH_IDLE_MAX);
    assert_null(batch_find(&site->core, 10));
    assert_non_null(batch_find(&site->core, 11));
}

static void put_again(struct site *site, uint64_t id, uint64_t first, size_t n)
{
    static uint64_t again[3000];
    RmBatch rec = RM_BATCH__INIT;
    for (size_t i = 0; i < n; i++)
        again[i] = first + i;
    rec.id = id;
    rec.again = again;
    rec.n_again = n;
    assert_int_equal(record_batch_put(site->core.store, &rec), 0);
}

/* Two jobs that are tried again one by one, and then together. */
static void a_batch_that_follows_two_others_is_there_once(void **state)
{
    struct site *site = *state;
    size_t n;
    put_again(site, 10, 11, 2);
    put_again(site, 11, 20, 1);
    put_again(site, 12, 20, 1);
    uint64_t *all = batch_all(&site->core, 10, &n);
    assert_int_equal(n, 4);
    assert_int_equal(all[3], 20);
    free(all);
}

static void of_very_many_that_follow_the_first_are_followed(void **state)
{
    struct site *site = *state;
    RmJob job = RM_JOB__INIT;
    RmBatch *rec;
    size_t n;
    put_again(site, 10, 11, 3000);
    uint64_t *all = batch_all(&site->core, 10, &n);
    assert_int_equal(n, 1000);
    free(all);
    job.id = 5;
    job.batch = 10;
    batch_tries_again(&site->core, &job, 5001, 5000);
    assert_int_equal(record_batch_get(site->core.store, 10, site->core.arena, &rec), 0);
    assert_int_equal(rec->n_again, 3000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_batch_that_follows_two_others_is_there_once),
        TEST(of_very_many_idle_ones_the_newest_are_held),
        TEST(of_very_many_that_follow_the_first_are_followed),
        TEST(a_batch_is_held_until_its_last_job_has_ended),
        TEST(afterwards_the_store_says_the_same),
        TEST(whoever_waits_for_its_jobs_keeps_it),
        TEST(who_stops_waiting_does_not_take_it_from_live_jobs),
        TEST(after_a_restart_it_counts_what_had_ended_before),
        TEST(a_list_of_hosts_is_kept_once_and_outlives_the_batch),
        TEST(a_job_of_an_older_store_names_its_hosts_itself),
        TEST(a_batch_that_never_was_is_said_to_be_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
