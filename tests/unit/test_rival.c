/* test_rival.c - workers that want a hypervisor which another one serves: what that makes the broker say has a bound */
#include "broker/core.h"
#include "broker/host.h"
#include "broker/model.h"
#include "broker/session.h"
#include "store/record.h"
#include "tests/unit/scratch.h"
#include "wire/msg.h"

enum { CREDITS = 256, RIVALS = 300, VICTIM = 1 };

struct site {
    struct scratch *scratch;
    struct conf_broker conf;
    struct core *core;
    usec_t now;
    size_t orders, lines; /* RIVAL orders, and lines of the log that tell of a rival */
};

static struct net_peer peer_of(uint32_t n)
{
    struct net_peer peer = {.role = ROLE_WORKER, .user = "work", .route_length = sizeof(n)};
    memcpy(peer.route, &n, sizeof(n));
    return peer;
}

static void say(struct site *site, uint32_t n, RmMessage *message)
{
    static char *hosts[] = {(char *)"hyp01", (char *)"hyp02", NULL};
    const struct net_peer peer = peer_of(n);
    core_input(site->core, &peer, hosts, message);
}

static void hello(struct site *site, uint32_t n)
{
    RmHyp hyp = RM_HYP__INIT, *hyps[] = {&hyp};
    RmHello body = RM_HELLO__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    hyp.name = (char *)"hyp01";
    hyp.peer = (char *)"";
    hyp.slots = 1;
    body.hosts = hyps;
    body.n_hosts = 1;
    body.instance = n;
    body.machine = (char *)"machine";
    message.body_case = RM_MESSAGE__BODY_HELLO;
    message.hello = &body;
    say(site, n, &message);
}

/* Names the host so many times. */
static void pull(struct site *site, uint32_t n, size_t times)
{
    const struct net_peer peer = peer_of(n);
    static RmCredit credit, *credits[CREDITS];
    RmPull body = RM_PULL__INIT;
    RmMessage message = RM_MESSAGE__INIT;
    rm_credit__init(&credit);
    credit.host = (char *)"hyp01";
    for (size_t i = 0; i < times; i++)
        credits[i] = &credit;
    body.session = session_of_peer(site->core, &peer)->id;
    body.credits = credits;
    body.n_credits = times;
    message.body_case = RM_MESSAGE__BODY_PULL;
    message.pull = &body;
    say(site, n, &message);
}

static void end_turn(struct site *site)
{
    const struct net_peer victim = peer_of(VICTIM);
    struct arena *arena = arena_new(0);
    struct rm_err err = {""};
    struct core_out out;
    struct core_line line;
    core_tick(site->core);
    assert_int_equal(core_commit(site->core, &err), 0);
    while (core_next_out(site->core, &out)) {
        RmMessage *message;
        if (!peer_is(out.peer, &victim))
            continue;
        assert_int_equal(msg_unpack(arena, out.frame, out.length, &message, &err), 0);
        for (size_t i = 0;
             message->body_case == RM_MESSAGE__BODY_ORDERS && i < message->orders->n_orders; i++)
            site->orders += message->orders->orders[i]->kind == RM_ORDER_KIND__ORDER_RIVAL;
        arena_reset(arena);
    }
    while (core_next_note(site->core, &line))
        site->lines += strstr(line.text, "is refused: worker") != NULL;
    arena_free(arena);
    site->now += USEC_PER_MSEC;
    core_begin(site->core, site->now, site->now);
}

static int set_up(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    struct rm_err err = {""};
    scratch_setup((void **)&site->scratch);
    assert_int_equal(record_open(site->scratch->store, &err), 0);
    assert_int_equal(store_commit(site->scratch->store, &err), 0);
    site->conf.session_timeout = 60 * USEC_PER_SEC;
    site->now = 1;
    assert_int_equal(core_new(&site->conf, site->scratch->store, 1, 1, 1, &site->core, &err), 0);
    core_begin(site->core, 1, 1);
    hello(site, VICTIM);
    end_turn(site);
    *state = site;
    return 0;
}

static int tear_down(void **state)
{
    struct site *site = *state;
    core_free(site->core);
    scratch_teardown((void **)&site->scratch);
    free(site);
    return 0;
}

static void who_waits_is_told_of_once_however_often_it_names_the_host(void **state)
{
    struct site *site = *state;
    hello(site, 2);
    end_turn(site);
    pull(site, VICTIM, 1);
    pull(site, 2, CREDITS);
    end_turn(site);
    pull(site, VICTIM, 1);
    pull(site, 2, CREDITS);
    end_turn(site);
    assert_int_equal(site->orders, 1);
    assert_int_equal(site->lines, 1);
}

static void however_many_wait_the_other_one_is_told_a_few_times(void **state)
{
    struct site *site = *state;
    for (uint32_t i = 0; i < RIVALS; i++)
        hello(site, VICTIM + 1 + i);
    end_turn(site);
    pull(site, VICTIM, 1);
    for (uint32_t i = 0; i < RIVALS; i++)
        pull(site, VICTIM + 1 + i, CREDITS);
    end_turn(site);
    assert_int_equal(site->orders, HOST_RIVALS);
    assert_int_equal(site->lines, HOST_RIVALS);
}

static void a_new_hello_begins_no_new_count(void **state)
{
    struct site *site = *state;
    for (int i = 0; i < 20; i++) {
        hello(site, 2);
        end_turn(site);
        pull(site, VICTIM, 1);
        pull(site, 2, 1);
        end_turn(site);
    }
    assert_int_equal(site->orders, HOST_RIVALS);
    assert_int_equal(site->lines, HOST_RIVALS);
    site->now += HOST_EVENTS_SPAN;
    core_begin(site->core, site->now, site->now);
    hello(site, VICTIM);
    hello(site, 2);
    end_turn(site);
    pull(site, VICTIM, 1);
    pull(site, 2, 1);
    end_turn(site);
    assert_int_equal(site->lines, HOST_RIVALS + 1); /* in the next hour again */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(who_waits_is_told_of_once_however_often_it_names_the_host),
        TEST(however_many_wait_the_other_one_is_told_a_few_times),
        TEST(a_new_hello_begins_no_new_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
