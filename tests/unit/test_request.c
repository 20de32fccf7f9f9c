/* test_request.c - requests at the end of the store, and requests that are repeated */
#include "broker/core.h"
#include "broker/guest.h"
#include "broker/host.h"
#include "broker/model.h"
#include "broker/session.h"
#include "store/record.h"
#include "tests/unit/scratch.h"

static struct conf_broker conf = {.session_timeout = USEC_PER_SEC};
static const struct net_peer admin = {.role = ROLE_ADMIN, .user = "root", .route_length = 1};

/* Closes a host that a worker has reported once. */
static void ask_to_close(struct core *core, const char *token, uint64_t tag)
{
    RmHostChange change = RM_HOST_CHANGE__INIT;
    RmRequest request = RM_REQUEST__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    change.hosts = (char *)"hyp01";
    change.state = RM_HOST_STATE__HOST_CLOSED;
    request.token = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)token, .len = RECORD_TOKEN};
    request.ask_case = RM_REQUEST__ASK_HOST_CHANGE;
    request.host_change = &change;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.tag = tag;
    message.request = &request;
    core_input(core, &admin, NULL, &message);
}

static RmCode code_of_answer(struct core *core, uint64_t tag)
{
    struct arena *arena = arena_new(0);
    struct core_out out;
    RmMessage *message;
    struct rm_err err;
    assert_true(core_next_out(core, &out));
    assert_int_equal(msg_unpack(arena, out.frame, out.length, &message, &err), 0);
    assert_int_equal(message->tag, tag);
    RmCode code = message->reply->code;
    arena_free(arena);
    assert_false(core_next_out(core, &out));
    return code;
}

static struct core *core_with_host(struct scratch *scratch)
{
    struct rm_err err = {""};
    struct core *core;
    RmHost host = RM_HOST__INIT;
    host.name = (char *)"hyp01";
    assert_int_equal(record_open(scratch->store, &err), 0);
    assert_int_equal(record_host_put(scratch->store, &host), 0);
    assert_int_equal(store_commit(scratch->store, &err), 0);
    assert_int_equal(core_new(&conf, scratch->store, 1, 1, 1, &core, &err), 0);
    return core;
}

/* Whatever is put there, the map has no room for it. */
static void fill(struct core *core)
{
    static uint8_t bytes[64 * 1024];
    int r = 0;
    for (uint64_t i = 1; r == 0; i++)
        r = store_put(core->store, STORE_META, &i, sizeof(i), bytes, sizeof(bytes), false);
    assert_int_equal(r, -ENOSPC);
    core_fail(core, r, "test");
}

static void
a_turn_that_meets_the_end_of_the_store_did_not_happen_and_who_asked_hears_it(void **state)
{
    struct core *core = core_with_host(*state);
    struct rm_err err = {""};
    core_begin(core, 2, 2);
    ask_to_close(core, "0123456789abcdef", 7);
    fill(core);
    core_tick(core);
    assert_int_equal(core_commit(core, &err), -ENOSPC);
    assert_int_equal(core_begin_anew(&core, 2, &err), 0);
    assert_int_equal(code_of_answer(core, 7), RM_CODE__CODE_TRY_AGAIN);
    assert_int_equal(host_find(core, "hyp01")->rec->state, RM_HOST_STATE__HOST_OPEN);
    /* The same request is carried out when there is room. */
    core_begin(core, 3, 3);
    ask_to_close(core, "0123456789abcdef", 8);
    core_tick(core);
    assert_int_equal(core_commit(core, &err), 0);
    assert_int_equal(code_of_answer(core, 8), RM_CODE__CODE_OK);
    assert_int_equal(host_find(core, "hyp01")->rec->state, RM_HOST_STATE__HOST_CLOSED);
    core_free(core);
}

static void a_full_store_that_nobody_asked_to_fill_ends_the_broker_with_what_to_do(void **state)
{
    struct core *core = core_with_host(*state);
    struct rm_err err = {""};
    core_begin(core, 2, 2);
    fill(core);
    assert_int_equal(core_commit(core, &err), -ENOSPC);
    assert_int_equal(core_begin_anew(&core, 2, &err), -ENOSPC);
    assert_null(core);
    assert_non_null(strstr(err.text, "raise store_size and start the broker again"));
}

static void room_is_claimed_once_and_comes_back_with_the_commit(void **state)
{
    struct store *store = ((struct scratch *)*state)->store;
    uint64_t left, then;
    struct rm_err err;
    assert_int_equal(store_claim(store, 0, &left), 0);
    assert_int_equal(store_claim(store, left / 2 + 1, NULL), 0);
    assert_int_equal(store_claim(store, left / 2 + 1, &then), -ENOSPC);
    assert_int_equal(then, left - left / 2 - 1);
    assert_int_equal(store_commit(store, &err), 0);
    assert_int_equal(store_claim(store, left, NULL), 0);
    store_abort(store);
    store_keep_back(store, left);
    assert_int_equal(store_claim(store, 1, NULL), -ENOSPC);
}

/* A claim that was granted is kept: pages that were freed just now cannot be used again at once. */
static void what_was_claimed_fits_also_after_much_was_freed(void **state)
{
    static uint8_t bytes[2000]; /* each in a page that is half full */
    struct store *store = ((struct scratch *)*state)->store;
    struct rm_err err;
    for (unsigned round = 0; round < 20; round++) {
        uint64_t left, n = 0;
        assert_int_equal(store_claim(store, 0, &left), 0);
        for (; (n + 1) * (STORE_PAGE + 100) <= left; n++) {
            uint8_t key[] = {(uint8_t)(round % 2), (uint8_t)(n >> 8), (uint8_t)n};
            assert_int_equal(
                store_put(store, STORE_META, key, sizeof(key), bytes, sizeof(bytes), false), 0);
        }
        assert_int_equal(store_commit(store, &err), 0);
        uint8_t other = (uint8_t)((round + 1) % 2);
        assert_int_equal(store_delete_prefix(store, STORE_META, &other, 1), 0);
        assert_int_equal(store_commit(store, &err), 0);
    }
}

/* Rows that nobody reads, until more than so many percent of the store are in use. */
static void use(struct store *store, unsigned percent)
{
    static uint8_t bytes[1024 * 1024];
    struct store_usage usage = {0};
    struct rm_err err;
    for (uint64_t key = 1ULL << 60; usage.used <= usage.size / 100 * percent; key++) {
        assert_int_equal(
            store_put(store, STORE_META, &key, sizeof(key), bytes, sizeof(bytes), false), 0);
        assert_int_equal(store_commit(store, &err), 0);
        assert_int_equal(store_usage(store, &usage), 0);
    }
}

/* Of worker process n, each over a connection of its own. */
static void say_hello(struct core *core, uint32_t n)
{
    static char name[] = "hyp01", *const hosts[] = {name, NULL};
    struct net_peer worker = {.role = ROLE_WORKER, .user = "hyp01", .key = 1};
    RmHyp hyp = RM_HYP__INIT, *hyps[] = {&hyp};
    RmHello hello = RM_HELLO__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    hyp.name = name;
    hyp.peer = (char *)"peer of the worker";
    hello.hosts = hyps;
    hello.n_hosts = 1;
    hello.instance = n;
    worker.route_length = sizeof(n);
    memcpy(worker.route, &n, sizeof(n));
    message.body_case = RM_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    core_input(core, &worker, hosts, &message);
}

static void ask_what_changes_nothing(struct core *core, uint64_t tag)
{
    RmPing ping = RM_PING__INIT;
    RmRequest request = RM_REQUEST__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    request.ask_case = RM_REQUEST__ASK_PING;
    request.ping = &ping;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.tag = tag;
    message.request = &request;
    core_input(core, &admin, NULL, &message);
}

static void turn(struct core *core, usec_t now)
{
    struct rm_err err = {""};
    core_tick(core);
    int r = core_commit(core, &err);
    if (r < 0)
        fail_msg("%s", err.text);
    core_begin(core, now, now);
}

/* CHANGE_PERCENT of broker/dispatch.c: what is above is for what runs. */
static void
a_store_that_is_full_but_for_a_little_takes_what_workers_say_and_no_request(void **state)
{
    struct scratch *scratch = *state;
    struct core *core = core_with_host(scratch);
    struct rm_err err = {""};
    core_begin(core, 2, 2);
    use(scratch->store, 91); /* nothing that makes it grow; but closing a host does not */
    ask_to_close(core, "0123456789abcdef", 7);
    core_tick(core);
    assert_int_equal(core_commit(core, &err), 0);
    assert_int_equal(code_of_answer(core, 7), RM_CODE__CODE_OK);
    use(scratch->store, 95);
    core_begin(core, 3, 3);
    ask_to_close(core, "fedcba9876543210", 8);
    core_tick(core);
    assert_int_equal(core_commit(core, &err), 0);
    assert_int_equal(code_of_answer(core, 8), RM_CODE__CODE_TRY_AGAIN);
    core_begin(core, 4, 4);
    ask_what_changes_nothing(core, 9);
    core_tick(core);
    assert_int_equal(core_commit(core, &err), 0);
    assert_int_equal(code_of_answer(core, 9), RM_CODE__CODE_OK);
    core_begin(core, 5, 5);
    say_hello(core, 1);
    turn(core, 6);
    core_free(core);
    assert_int_equal(core_new(&conf, scratch->store, 2, 7, 7, &core, &err), 0);
    assert_string_equal(host_find(core, "hyp01")->rec->peer, "peer of the worker");
    core_free(core);
}

/* SESSIONS_WAITING_MAX of broker/worker.c: processes that say hello and vanish, while another one serves. */
static void workers_that_wait_for_a_hypervisor_of_another_one_have_a_bound(void **state)
{
    enum { SERVES = 1, WAIT_MAX = 1000 };
    struct core *core = core_with_host(*state);
    core_begin(core, 2, 2);
    say_hello(core, SERVES);
    for (uint32_t n = SERVES + 1; n <= 2 * WAIT_MAX; n++) {
        say_hello(core, n);
        if (n % 100 == 0)
            turn(core, 3);
    }
    assert_int_equal(host_find(core, "hyp01")->link.session->instance, SERVES);
    assert_int_equal(HASH_CNT(hh_id, core->sessions.by_id), 1 + WAIT_MAX);
    core_free(core);
}

static void a_hypervisor_has_so_many_events_in_an_hour(void **state)
{
    struct scratch *scratch = *state;
    struct core *core = core_with_host(scratch);
    struct host *host = host_find(core, "hyp01");
    uint64_t before = store_count(scratch->store, STORE_EVENT);
    core_begin(core, 2, 2);
    for (unsigned i = 0; i < HOST_EVENTS; i++)
        assert_true(host_event(core, host, RM_EVENT_KIND__NOTE, "hyp01", NULL, "event %u", i));
    for (unsigned i = 0; i < HOST_EVENTS; i++)
        assert_false(host_event(core, host, RM_EVENT_KIND__NOTE, "hyp01", NULL, "more"));
    turn(core, 2 + HOST_EVENTS_SPAN);
    /* One besides says that there are no more. */
    assert_int_equal(store_count(scratch->store, STORE_EVENT), before + HOST_EVENTS + 1);
    assert_true(host_event(core, host, RM_EVENT_KIND__NOTE, "hyp01", NULL, "an hour later"));
    turn(core, 3 + HOST_EVENTS_SPAN);
    assert_int_equal(store_count(scratch->store, STORE_EVENT), before + HOST_EVENTS + 2);
    core_free(core);
}

/* It may have been carried out. */
static void a_request_whose_answer_cannot_be_read_is_not_carried_out_again(void **state)
{
    struct scratch *scratch = *state;
    struct core *core = core_with_host(scratch);
    struct rm_err err = {""};
    assert_int_equal(store_put(scratch->store, STORE_TOKEN, "0123456789abcdef", RECORD_TOKEN,
                               "\xff\xff", 2, false),
                     0);
    assert_int_equal(store_commit(scratch->store, &err), 0);
    core_begin(core, 2, 2);
    ask_to_close(core, "0123456789abcdef", 7);
    core_tick(core);
    assert_int_equal(core_commit(core, &err), 0);
    assert_int_equal(code_of_answer(core, 7), RM_CODE__CODE_TRY_AGAIN);
    assert_int_equal(host_find(core, "hyp01")->rec->state, RM_HOST_STATE__HOST_OPEN);
    core_free(core);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_turn_that_meets_the_end_of_the_store_did_not_happen_and_who_asked_hears_it,
            scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            a_full_store_that_nobody_asked_to_fill_ends_the_broker_with_what_to_do, scratch_setup,
            scratch_teardown),
        cmocka_unit_test_setup_teardown(room_is_claimed_once_and_comes_back_with_the_commit,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(what_was_claimed_fits_also_after_much_was_freed,
                                        scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            a_store_that_is_full_but_for_a_little_takes_what_workers_say_and_no_request,
            scratch_setup, scratch_teardown),
        cmocka_unit_test_setup_teardown(
            workers_that_wait_for_a_hypervisor_of_another_one_have_a_bound, scratch_setup,
            scratch_teardown),
        cmocka_unit_test_setup_teardown(a_hypervisor_has_so_many_events_in_an_hour, scratch_setup,
                                        scratch_teardown),
        cmocka_unit_test_setup_teardown(
            a_request_whose_answer_cannot_be_read_is_not_carried_out_again, scratch_setup,
            scratch_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
