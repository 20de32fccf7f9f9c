/* test_query.c - lists of jobs: many that have ended, few that are wanted */
#include "broker/core.h"
#include "broker/model.h"
#include "broker/query.h"
#include "broker/request.h"
#include "store/record.h"
#include "tests/unit/scratch.h"

enum { JOBS = 25000, EACH = 6000 /* each so manieth is one to the host that is asked for */ };

static int set_up(void **state)
{
    struct rm_err err = {""};
    int r = scratch_setup(state);
    struct scratch *scratch = *state;
    assert_int_equal(record_open(scratch->store, &err), 0);
    for (uint64_t id = 1; id <= JOBS; id++) {
        RmJob job = RM_JOB__INIT;
        RmResult result = RM_RESULT__INIT;
        job.id = result.id = id;
        result.destination = (char *)(id % EACH == 0 ? "rare" : "common");
        result.state = RM_STATE__DONE;
        assert_int_equal(record_job_put(scratch->store, &job), 0);
        assert_int_equal(record_result_put(scratch->store, &result), 0);
    }
    assert_int_equal(store_commit(scratch->store, &err), 0);
    return r;
}

/* A filter leaves out what it should and nothing else, and no page costs more than a bounded look. */
static void jobs_to_a_host_are_found_among_many_that_ended(void **state)
{
    struct scratch *scratch = *state;
    struct conf_broker conf = {.session_timeout = USEC_PER_SEC};
    struct rm_err err = {""};
    struct core *core;
    struct net_peer peer = {.role = ROLE_ADMIN};
    uint64_t before = 0;
    unsigned found = 0, pages = 0;
    assert_int_equal(core_new(&conf, scratch->store, 1, 1, 1, &core, &err), 0);
    do {
        RmSelect what = RM_SELECT__INIT;
        RmListJobs ask = RM_LIST_JOBS__INIT;
        RmRequest message = RM_REQUEST__INIT;
        RmReply reply = RM_REPLY__INIT;
        struct request request;
        what.to = (char *)"rare";
        ask.what = &what;
        ask.finished = true;
        ask.before = before;
        message.ask_case = RM_REQUEST__ASK_LIST_JOBS;
        message.list_jobs = &ask;
        core_begin(core, 2, 2);
        request_init(core, &request, &peer, 0, &message, &reply);
        query_jobs(core, &request);
        for (size_t i = 0; i < reply.n_jobs; i++) {
            assert_string_equal(reply.jobs[i]->destination, "rare");
            assert_int_equal(reply.jobs[i]->job->id, (JOBS / EACH - found) * EACH);
            found++;
        }
        assert_true(reply.next == 0 || before == 0 || reply.next < before);
        before = reply.next;
        request_done(&request);
        pages++;
    } while (before != 0);
    assert_int_equal(found, JOBS / EACH);
    assert_true(pages > 2);
    core_free(core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(jobs_to_a_host_are_found_among_many_that_ended, set_up,
                                        scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
