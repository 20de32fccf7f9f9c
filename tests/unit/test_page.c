/* test_page.c - answers in pages: each row comes once, whatever the answer is, and no page is too large */
#include "broker/core.h"
#include "broker/host_query.h"
#include "broker/model.h"
#include "broker/page.h"
#include "store/record.h"
#include "tests/unit/scratch.h"
#include "wire/msg.h"

enum {
    BATCH = 1,
    JOBS =
        12000, /* that ended, all of one guest, each with HOSTS hosts in it as an older broker wrote it */
    HOSTS = 300,
    LISTED = 6000, /* of another batch, which has the list once */
    EVENTS = 11000,
    TAG = 9,
};

struct site {
    struct scratch *scratch;
    struct conf_broker conf;
    struct core *core;
    struct arena *arena; /* of what was answered */
    size_t pages, largest;
    char *hosts[HOSTS];
};

static void put_batch(struct site *site, uint64_t id, uint64_t n, bool listed)
{
    RmRange range = RM_RANGE__INIT, *ranges[] = {&range};
    RmHostList list = RM_HOST_LIST__INIT, *lists[] = {&list};
    RmBatch batch = RM_BATCH__INIT;
    batch.id = id;
    batch.jobs = ranges;
    batch.n_jobs = 1;
    range.first = id + 1;
    range.count = n;
    list.hosts = site->hosts;
    list.n_hosts = HOSTS;
    batch.lists = lists;
    batch.n_lists = listed ? 1 : 0;
    assert_int_equal(record_batch_put(site->scratch->store, &batch), 0);
    for (uint64_t i = id + 1; i <= id + n; i++) {
        RmJob job = RM_JOB__INIT;
        RmResult result = RM_RESULT__INIT;
        job.id = result.id = i;
        job.batch = id;
        job.guest = (char *)"vm1";
        job.previous = i == 2 ? 0 : i == BATCH + JOBS + 2 ? i - 2 : i - 1;
        job.to = site->hosts;
        job.n_to = listed ? 1 : HOSTS;
        job.to_list = listed ? 1 : 0;
        result.state = RM_STATE__DONE;
        assert_int_equal(record_job_put(site->scratch->store, &job), 0);
        assert_int_equal(record_result_put(site->scratch->store, &result), 0);
    }
}

static int set_up(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    struct rm_err err = {""};
    RmGuest guest = RM_GUEST__INIT;
    scratch_setup((void **)&site->scratch);
    assert_int_equal(record_open(site->scratch->store, &err), 0);
    for (size_t i = 0; i < HOSTS; i++)
        assert_true(asprintf(&site->hosts[i], "compute-node-%04zu", i) > 0);
    put_batch(site, BATCH, JOBS, false);
    put_batch(site, BATCH + JOBS + 1, LISTED, true);
    guest.name = (char *)"vm1";
    guest.uuid = (char *)"0b5e2b8c-0000-4000-8000-000000000001";
    guest.last_job = BATCH + JOBS + 1 + LISTED;
    assert_int_equal(record_guest_put(site->scratch->store, &guest), 0);
    for (uint64_t i = 1; i <= EVENTS; i++) {
        RmEvent event = RM_EVENT__INIT;
        event.job = i % 2 ? 0 : BATCH + 1;
        event.sequence = i;
        event.text = (char *)"x";
        assert_int_equal(record_event_put(site->scratch->store, &event), 0);
    }
    assert_int_equal(store_commit(site->scratch->store, &err), 0);
    site->conf.session_timeout = USEC_PER_SEC;
    assert_int_equal(core_new(&site->conf, site->scratch->store, 1, 1, 1, &site->core, &err), 0);
    site->arena = arena_new(0);
    *state = site;
    return 0;
}

static int tear_down(void **state)
{
    struct site *site = *state;
    core_free(site->core);
    arena_free(site->arena);
    for (size_t i = 0; i < HOSTS; i++)
        free(site->hosts[i]);
    scratch_teardown((void **)&site->scratch);
    free(site);
    return 0;
}

/* What is answered at once. */
static RmReply *ask_once(struct site *site, RmRequest *request)
{
    const struct net_peer peer = {.role = ROLE_ADMIN, .user = "root"};
    RmMessage message = RM_MESSAGE__INIT, *answer;
    struct core_out out;
    struct rm_err err = {""};
    message.tag = TAG;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = request;
    core_begin(site->core, 2, 2);
    core_input(site->core, &peer, NULL, &message);
    assert_int_equal(core_commit(site->core, &err), 0);
    assert_true(core_next_out(site->core, &out));
    assert_int_equal(msg_unpack(site->arena, out.frame, out.length, &answer, &err), 0);
    if (out.length > site->largest)
        site->largest = out.length;
    site->pages++;
    assert_false(core_next_out(site->core, &out));
    assert_int_equal(answer->tag, TAG);
    return answer->reply;
}

/* All pages of the answer together. */
static RmReply *ask(struct site *site, RmRequest *request)
{
    request->pages = true;
    RmReply *whole = ask_once(site, request);
    while (*whole->page != '\0') {
        request->page = whole->page;
        RmReply *page = ask_once(site, request);
        assert_int_equal(msg_append(site->arena, &whole->base, &page->base), 0);
        assert_string_not_equal(page->page, whole->page);
        whole->page = page->page;
    }
    assert_true(site->pages > 1);
    assert_true(site->largest < PAGE_BYTES + 64 * 1024);
    return whole;
}

static void whoever_waits_for_a_batch_hears_of_each_job_once(void **state)
{
    struct site *site = *state;
    RmSelect what = RM_SELECT__INIT;
    RmFollow follow = RM_FOLLOW__INIT;
    RmRequest request = RM_REQUEST__INIT;
    what.batch = BATCH;
    follow.what = &what;
    follow.wait_for = 1000;
    request.ask_case = RM_REQUEST__ASK_FOLLOW;
    request.follow = &follow;
    const RmReply *reply = ask(site, &request);
    assert_int_equal(reply->n_jobs, JOBS);
    for (size_t i = 0; i < JOBS; i++) {
        assert_int_equal(reply->jobs[i]->job->id, BATCH + 1 + i);
        assert_int_equal(reply->jobs[i]->job->n_to, HOSTS); /* as it is stored */
    }
    assert_int_equal(reply->n_tallies, 1);
    assert_int_equal(reply->tallies[0]->count, JOBS);
}

static void a_list_of_hosts_is_sent_once_in_each_page(void **state)
{
    struct site *site = *state;
    RmSelect what = RM_SELECT__INIT;
    RmFollow follow = RM_FOLLOW__INIT;
    RmRequest request = RM_REQUEST__INIT;
    what.batch = BATCH + JOBS + 1;
    follow.what = &what;
    request.ask_case = RM_REQUEST__ASK_FOLLOW;
    request.follow = &follow;
    const RmReply *reply = ask(site, &request);
    assert_int_equal(reply->n_jobs, LISTED);
    assert_int_equal(reply->n_lists, site->pages);
    assert_int_equal(reply->lists[0]->lists[0]->n_hosts, HOSTS);
    assert_int_equal(reply->jobs[LISTED - 1]->job->to_list, 1);
    assert_true(site->largest < 1024 * 1024);
}

/* Who reads no pages gets jobs as before, with all their hosts, or hears that it is too much. */
static void an_older_client_gets_everything_or_hears_that_it_is_too_long(void **state)
{
    struct site *site = *state;
    RmSelect what = RM_SELECT__INIT;
    RmFollow follow = RM_FOLLOW__INIT;
    RmRequest request = RM_REQUEST__INIT;
    uint64_t few[] = {2, BATCH + JOBS + 2};
    follow.what = &what;
    request.ask_case = RM_REQUEST__ASK_FOLLOW;
    request.follow = &follow;
    what.batch = BATCH;
    const RmReply *reply = ask_once(site, &request);
    assert_int_equal(reply->n_jobs, 0);
    assert_int_equal(reply->code, RM_CODE__CODE_SOME_FAILED);
    assert_non_null(strstr(reply->text, "ask for less at once"));
    what.batch = 0;
    what.jobs = few;
    what.n_jobs = 2;
    reply = ask_once(site, &request);
    assert_int_equal(reply->n_jobs, 2);
    assert_int_equal(reply->jobs[0]->job->n_to, HOSTS);
    assert_int_equal(reply->jobs[1]->job->n_to, HOSTS);
    assert_string_equal(reply->jobs[1]->job->to[HOSTS - 1], site->hosts[HOSTS - 1]);
    assert_int_equal(reply->n_lists, 0);
}

static void a_history_comes_in_pages(void **state)
{
    struct site *site = *state;
    RmHistory history = RM_HISTORY__INIT;
    RmRequest request = RM_REQUEST__INIT;
    history.guest = (char *)"vm1";
    history.limit = 9000;
    request.ask_case = RM_REQUEST__ASK_HISTORY;
    request.history = &history;
    const RmReply *reply = ask(site, &request);
    assert_int_equal(reply->n_jobs, 9000);
    for (size_t i = 1; i < reply->n_jobs; i++)
        assert_int_equal(reply->jobs[i]->job->id, reply->jobs[i - 1]->job->previous);
}

static void jobs_that_are_asked_for_by_number_come_in_pages(void **state)
{
    struct site *site = *state;
    static uint64_t ids[LISTED];
    RmSelect what = RM_SELECT__INIT;
    RmListJobs list = RM_LIST_JOBS__INIT;
    RmRequest request = RM_REQUEST__INIT;
    for (size_t i = 0; i < LISTED; i++)
        ids[i] = i + 2;
    what.jobs = ids;
    what.n_jobs = LISTED;
    list.what = &what;
    request.ask_case = RM_REQUEST__ASK_LIST_JOBS;
    request.list_jobs = &list;
    const RmReply *reply = ask(site, &request);
    assert_int_equal(reply->n_jobs, LISTED);
    assert_int_equal(reply->jobs[LISTED - 1]->job->id, ids[LISTED - 1]);
}

static void events_come_in_pages(void **state)
{
    struct site *site = *state;
    RmList list = RM_LIST__INIT;
    RmShow show = RM_SHOW__INIT;
    RmRequest request = RM_REQUEST__INIT;
    list.limit = 5400;
    request.ask_case = RM_REQUEST__ASK_EVENTS;
    request.events = &list;
    const RmReply *reply = ask(site, &request);
    assert_int_equal(reply->n_events, 5400);
    for (size_t i = 0; i < reply->n_events; i++)
        assert_int_equal(reply->events[i]->sequence, EVENTS - 1 - 2 * i);
    show.job = BATCH + 1;
    site->pages = 0;
    rm_request__init(&request);
    request.ask_case = RM_REQUEST__ASK_SHOW;
    request.show = &show;
    reply = ask(site, &request);
    assert_int_equal(reply->n_jobs, 1);
    assert_int_equal(reply->n_events, EVENTS / 2);
    for (size_t i = 0; i < reply->n_events; i++)
        assert_int_equal(reply->events[i]->sequence, 2 * i + 2);
}

/* It is carried out once, and its pages are of that answer. */
static void the_outcomes_of_a_change_come_in_pages(void **state)
{
    struct site *site = *state;
    static uint64_t ids[JOBS];
    RmSelect what = RM_SELECT__INIT;
    RmRequest request = RM_REQUEST__INIT;
    for (size_t i = 0; i < JOBS; i++)
        ids[i] = i + 2;
    what.jobs = ids;
    what.n_jobs = JOBS;
    request.token = (ProtobufCBinaryData){RECORD_TOKEN, (uint8_t *)"0123456789abcdef"};
    request.ask_case = RM_REQUEST__ASK_CANCEL;
    request.cancel = &what;
    const RmReply *reply = ask(site, &request);
    assert_int_equal(reply->n_outcomes, JOBS);
    for (size_t i = 0; i < JOBS; i++)
        assert_int_equal(strtoull(reply->outcomes[i]->name + strlen("job "), NULL, 10), ids[i]);
    assert_true(site->pages >= JOBS / PAGE_ROWS);
    request.token.data = (uint8_t *)"another token...";
    request.page = (char *)"5000";
    reply = ask_once(site, &request);
    assert_int_equal(reply->n_outcomes, 0);
    assert_string_equal(reply->text, "the rest of the answer is not kept any more");
}

/* An answer that waited for hypervisors is kept as well, if it has more than one page. */
static void an_answer_that_waited_comes_in_pages(void **state)
{
    struct site *site = *state;
    static RmOutcome outcomes[JOBS], *list[JOBS];
    const struct net_peer peer = {.role = ROLE_ADMIN, .user = "root"};
    RmAsk about = RM_ASK__INIT;
    RmReply reply = RM_REPLY__INIT, *first, *second;
    RmRequest request = RM_REQUEST__INIT;
    RmSubmit submit = RM_SUBMIT__INIT;
    RmMessage *answer;
    struct core_out out;
    struct rm_err err = {""};
    for (size_t i = 0; i < JOBS; i++) {
        rm_outcome__init(list[i] = &outcomes[i]);
        outcomes[i].name = (char *)"vm1";
    }
    reply.outcomes = list;
    reply.n_outcomes = JOBS;
    request.pages = true;
    request.token = (ProtobufCBinaryData){RECORD_TOKEN, (uint8_t *)"0123456789abcdef"};
    request.ask_case = RM_REQUEST__ASK_SUBMIT;
    request.submit = &submit;
    core_begin(site->core, 2, 2);
    struct host_ask_draft draft = {.outcome = JOBS - 1,
                                   .host = host_make(site->core, "hyp-a"),
                                   .message = &about},
                          *drafts = &draft;
    host_query_begin(site->core, &peer, TAG, &request, &reply, &drafts, 1, 0);
    core_tick(site->core);
    assert_int_equal(core_commit(site->core, &err), 0);
    assert_true(core_next_out(site->core, &out));
    assert_int_equal(msg_unpack(site->arena, out.frame, out.length, &answer, &err), 0);
    first = answer->reply;
    assert_int_equal(first->n_outcomes, PAGE_ROWS);
    request.page = first->page;
    second = ask_once(site, &request);
    assert_int_equal(second->n_outcomes, PAGE_ROWS);
    request.page = second->page;
    const RmReply *third = ask_once(site, &request);
    assert_int_equal(third->n_outcomes, JOBS - 2 * PAGE_ROWS);
    assert_string_equal(third->page, "");
    assert_non_null(strstr(third->outcomes[third->n_outcomes - 1]->text, "has not come to it"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(whoever_waits_for_a_batch_hears_of_each_job_once),
        TEST(a_list_of_hosts_is_sent_once_in_each_page),
        TEST(an_older_client_gets_everything_or_hears_that_it_is_too_long),
        TEST(a_history_comes_in_pages),
        TEST(jobs_that_are_asked_for_by_number_come_in_pages),
        TEST(events_come_in_pages),
        TEST(the_outcomes_of_a_change_come_in_pages),
        TEST(an_answer_that_waited_comes_in_pages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
