/* test_subscribe.c - clients that wait for jobs: what they cost in a turn, and what they keep, has a bound */
#include "broker/core.h"
#include "broker/model.h"
#include "broker/page.h"
#include "broker/subscribe.h"
#include "store/record.h"
#include "tests/unit/scratch.h"
#include "wire/msg.h"

enum {
    BATCHES = 20, /* each tries the jobs of the one before again */
    JOBS = 1000,  /* of each, all ended */
    FIRST = 1,    /* batch n: id FIRST + n * (JOBS + 1), then its jobs */
    LAST_JOB = FIRST + (BATCHES - 1) * (JOBS + 1) + 1,
    LINES = 70000, /* more than the journal holds */
    WAITING = 50,
    NAMED = 100000, /* jobs of one request */
};

struct site {
    struct scratch *scratch;
    struct conf_broker conf;
    struct core *core;
    struct arena *arena; /* of what was answered */
    uint64_t epoch;
    usec_t now;
};

static uint64_t batch_id(uint64_t n)
{
    return FIRST + n * (JOBS + 1);
}

static void put_batch(struct site *site, uint64_t n)
{
    RmRange range = RM_RANGE__INIT, *ranges[] = {&range};
    RmBatch batch = RM_BATCH__INIT;
    uint64_t next[] = {batch_id(n + 1)};
    bool again = n + 1 < BATCHES;
    batch.id = batch_id(n);
    batch.jobs = ranges;
    batch.n_jobs = 1;
    batch.again = next;
    batch.n_again = again ? 1 : 0;
    range.first = batch.id + 1;
    range.count = JOBS;
    assert_int_equal(record_batch_put(site->scratch->store, &batch), 0);
    for (uint64_t i = range.first; i < range.first + JOBS; i++) {
        RmJob job = RM_JOB__INIT;
        RmResult result = RM_RESULT__INIT;
        job.id = result.id = i;
        job.batch = batch.id;
        job.guest = (char *)"vm1";
        result.state = RM_STATE__CANCELLED;
        result.again = again ? i + JOBS + 1 : 0;
        assert_int_equal(record_job_put(site->scratch->store, &job), 0);
        assert_int_equal(record_result_put(site->scratch->store, &result), 0);
    }
}

static int set_up(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    struct rm_err err = {""};
    scratch_setup((void **)&site->scratch);
    assert_int_equal(record_open(site->scratch->store, &err), 0);
    for (uint64_t n = 0; n < BATCHES; n++)
        put_batch(site, n);
    assert_int_equal(store_commit(site->scratch->store, &err), 0);
    site->conf.session_timeout = USEC_PER_SEC;
    site->epoch = 7;
    site->now = 1;
    assert_int_equal(
        core_new(&site->conf, site->scratch->store, site->epoch, 1, 1, &site->core, &err), 0);
    core_begin(site->core, 1, 1);
    site->arena = arena_new(0);
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

/* A request of that user; what is NULL: everything; page NULL: the client reads none. It knows all that has
 * changed until now. */
static void follow(struct site *site, const char *user, uint64_t tag, RmSelect *what, usec_t hold,
                   const char *page)
{
    struct net_peer peer = {.role = ROLE_VIEWER};
    RmMessage message = RM_MESSAGE__INIT;
    RmRequest request = RM_REQUEST__INIT;
    RmFollow ask = RM_FOLLOW__INIT;
    snprintf(peer.user, sizeof(peer.user), "%s", user);
    ask.what = what;
    ask.epoch = site->epoch;
    ask.version = journal_end(site->core->journal);
    ask.wait_for = hold;
    request.pages = page != NULL;
    if (page)
        request.page = (char *)(uintptr_t)page;
    request.ask_case = RM_REQUEST__ASK_FOLLOW;
    request.follow = &ask;
    message.tag = tag;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = &request;
    core_input(site->core, &peer, NULL, &message);
}

static void follow_chain(struct site *site, uint64_t tag, const char *page)
{
    RmSelect what = RM_SELECT__INIT;
    what.batch = batch_id(0);
    follow(site, "alice", tag, &what, USEC_PER_SEC, page);
}

/* So many changes of nothing that anybody follows. */
static void change_much(struct site *site, unsigned lines)
{
    for (unsigned i = 0; i < lines; i++)
        core_changed(site->core, CHANGE_HOST_SHOWN, NULL);
}

static void end_turn(struct site *site)
{
    struct rm_err err = {""};
    core_tick(site->core);
    assert_int_equal(core_commit(site->core, &err), 0);
}

static void begin_turn(struct site *site, usec_t after)
{
    site->now += after;
    core_begin(site->core, site->now, site->now);
}

/* NULL: there is none more in this turn. */
static const RmMessage *next_answer(struct site *site)
{
    struct core_out out;
    RmMessage *message;
    struct rm_err err = {""};
    if (!core_next_out(site->core, &out))
        return NULL;
    assert_int_equal(msg_unpack(site->arena, out.frame, out.length, &message, &err), 0);
    return message;
}

/* The pages behind the first one: each job that is not tried again once, and none else. */
static void read_pages(struct site *site, const RmReply *first)
{
    const char *page = first->page;
    size_t n = first->n_jobs;
    for (unsigned pages = 1; *page != '\0'; pages++) {
        assert_true(pages < 100);
        begin_turn(site, 1);
        follow_chain(site, 9, page);
        end_turn(site);
        const RmReply *reply = next_answer(site)->reply;
        for (size_t i = 0; i < reply->n_jobs; i++)
            assert_int_equal(reply->jobs[i]->job->id, LAST_JOB + n++);
        page = reply->page;
    }
    assert_int_equal(n, JOBS);
}

/* They know less than the journal says at the time when all of them are to be answered. */
static void who_waited_for_a_long_chain_is_answered_in_turns_that_have_a_bound(void **state)
{
    struct site *site = *state;
    const uint64_t most = TURN_LOOKS + (SCAN_MAX + 100 * BATCHES) * 100;
    const RmMessage *answer;
    const RmReply *first = NULL;
    uint64_t answered = 0;
    for (uint64_t tag = 1; tag <= WAITING; tag++)
        follow_chain(site, tag, "");
    assert_null(next_answer(site));
    change_much(site, LINES);
    begin_turn(site, 2 * USEC_PER_SEC);
    for (unsigned turns = 1; answered < WAITING; turns++) {
        assert_true(turns <= WAITING);
        end_turn(site);
        assert_true(site->core->subscribers.looks < most);
        uint64_t before = answered;
        while ((answer = next_answer(site))) {
            assert_int_equal(answer->tag, ++answered); /* in order */
            first = answer->reply;
            assert_string_not_equal(first->page, "");
            assert_int_equal(first->n_tallies, 1);
            assert_int_equal(first->tallies[0]->count, JOBS);
        }
        assert_true(answered > before);
        if (turns == 1)
            assert_true(answered < WAITING);
        if (answered < WAITING)
            assert_int_equal(subscribe_deadline(site->core), site->now); /* there is more to do */
        begin_turn(site, 1);
    }
    assert_true(subscribe_deadline(site->core) > site->now);
    read_pages(site, first);
}

/* Nothing of theirs has changed, and that was looked at in time. */
static void who_has_missed_nothing_does_not_get_everything_again(void **state)
{
    struct site *site = *state;
    follow_chain(site, 1, "");
    for (unsigned i = 0; i < 10; i++) {
        begin_turn(site, USEC_PER_SEC / 20);
        change_much(site, LINES / 10);
        end_turn(site);
        assert_null(next_answer(site));
    }
    begin_turn(site, USEC_PER_SEC);
    end_turn(site);
    assert_true(site->core->subscribers.looks < 10000);
    const RmReply *reply = next_answer(site)->reply;
    assert_int_equal(reply->n_jobs, 0);
    assert_string_equal(reply->page, "");
    assert_int_equal(reply->version, journal_end(site->core->journal));
    assert_int_equal(reply->tallies[0]->count, JOBS);
}

/* What has changed before it asked is read then, where each peer has its turn, and not in what all share. */
static void who_is_far_behind_is_brought_near_when_it_asks(void **state)
{
    struct site *site = *state;
    RmSelect what = RM_SELECT__INIT;
    struct net_peer peer = {.role = ROLE_VIEWER, .user = "alice"};
    RmRequest request = RM_REQUEST__INIT;
    RmFollow ask = RM_FOLLOW__INIT;
    what.batch = batch_id(0);
    ask.what = &what;
    ask.epoch = site->epoch;
    ask.version = journal_end(site->core->journal);
    ask.wait_for = USEC_PER_SEC;
    request.pages = true;
    request.ask_case = RM_REQUEST__ASK_FOLLOW;
    request.follow = &ask;
    change_much(site, 60000);
    for (uint64_t tag = 1; tag <= WAITING; tag++)
        subscribe_request(site->core, &peer, tag, &request);
    begin_turn(site, USEC_PER_SEC / 2);
    end_turn(site);
    assert_int_equal(site->core->subscribers.n, WAITING);
    assert_int_equal(site->core->subscribers.looks, 0);
}

static void a_client_without_pages_gets_it_at_once(void **state)
{
    struct site *site = *state;
    follow_chain(site, 1, NULL);
    change_much(site, LINES);
    begin_turn(site, 2 * USEC_PER_SEC);
    end_turn(site);
    const RmReply *reply = next_answer(site)->reply;
    assert_int_equal(reply->n_jobs, JOBS);
    assert_int_equal(reply->jobs[0]->job->id, LAST_JOB);
    assert_string_equal(reply->page, "");
}

static void a_job_that_is_named_again_counts_once(void **state)
{
    struct site *site = *state;
    static uint64_t ids[NAMED];
    RmSelect what = RM_SELECT__INIT;
    for (size_t i = 0; i < NAMED; i++)
        ids[i] = i % 2 ? LAST_JOB : LAST_JOB + 1;
    what.jobs = ids;
    what.n_jobs = NAMED;
    follow(site, "alice", 1, &what, USEC_PER_SEC, "");
    assert_int_equal(site->core->subscribers.n, 1);
    assert_int_equal(site->core->subscribers.n_ids, 2);
    begin_turn(site, USEC_PER_SEC);
    end_turn(site);
    const RmReply *reply = next_answer(site)->reply;
    assert_int_equal(reply->tallies[0]->count, 2);
    assert_int_equal(site->core->subscribers.n_ids, 0);
}

static void who_names_more_than_all_may_keep_is_answered_at_once(void **state)
{
    struct site *site = *state;
    static uint64_t ids[NAMED];
    const size_t share = (size_t)HELD_IDS_MAX / 100 * HELD_IDS_PERCENT / NAMED;
    char user[] = "user0";
    RmSelect what = RM_SELECT__INIT;
    for (size_t i = 0; i < NAMED; i++)
        ids[i] = i + 1;
    what.jobs = ids;
    what.n_jobs = NAMED;
    for (; site->core->subscribers.n_ids < HELD_IDS_MAX; user[4]++) {
        for (size_t i = 0; i < share; i++)
            follow(site, user, i, &what, USEC_PER_SEC, "");
        assert_null(next_answer(site));
        follow(site, user, 99, &what, USEC_PER_SEC, ""); /* more than its share */
        assert_int_equal(next_answer(site)->tag, 99);
        begin_turn(site, 1);
    }
    what.n_jobs = 1;
    follow(site, user, 100, &what, USEC_PER_SEC, "");
    assert_int_equal(next_answer(site)->tag, 100);
    begin_turn(site, 1);
    assert_int_equal(site->core->subscribers.n_ids, HELD_IDS_MAX);
    what.n_jobs = 0; /* a batch takes none of it */
    what.batch = batch_id(0);
    follow(site, user, 101, &what, USEC_PER_SEC, "");
    assert_null(next_answer(site));
    subscribe_gone(site->core, NULL);
    assert_int_equal(site->core->subscribers.n_ids, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_waited_for_a_long_chain_is_answered_in_turns_that_have_a_bound),
        TEST(who_has_missed_nothing_does_not_get_everything_again),
        TEST(who_is_far_behind_is_brought_near_when_it_asks),
        TEST(a_client_without_pages_gets_it_at_once),
        TEST(a_job_that_is_named_again_counts_once),
        TEST(who_names_more_than_all_may_keep_is_answered_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
