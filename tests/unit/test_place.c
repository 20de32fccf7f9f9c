/* test_place.c - tests of placement: which host a guest gets, and why it gets none
 *
 * Everything is in memory: there is no store, and nothing asks for one. */
#include "broker/host.h"
#include "broker/instance.h"
#include "broker/joint.h"
#include "broker/model.h"
#include "broker/session.h"
#include "conf/conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GIB ((uint64_t)1 << 30)

struct site {
    struct conf_broker conf;
    struct core core;
    struct session *session;
};

static int set_up(void **state)
{
    struct site *site = calloc(1, sizeof(*site));
    struct net_peer peer = {.role = ROLE_WORKER};
    RmHello hello = RM_HELLO__INIT;
    site->conf.vcpus_per_cpu = 2;
    site->conf.session_timeout = 10 * USEC_PER_SEC;
    site->core.conf = &site->conf;
    site->core.now = site->core.wall = 1000 * USEC_PER_SEC; /* long after the start */
    site->core.arena = arena_new(0);
    core_turn_drop(&site->core);
    site->session = session_open(&site->core, &peer, &hello);
    *state = site;
    return 0;
}

static int tear_down(void **state)
{
    struct site *site = *state;
    guest_free_all(&site->core);
    host_free_all(&site->core);
    session_free_all(&site->core);
    core_turn_drop(&site->core);
    arena_free(site->core.arena);
    free(site);
    return 0;
}

static struct host *add_host(struct site *site, const char *name, uint64_t memory, uint32_t cpus)
{
    struct host *host = host_make(&site->core, name);
    RmHyp hyp = RM_HYP__INIT;
    hyp.kind = RM_KIND__KIND_LIBVIRT;
    hyp.peer = (char *)"qemu+tls://there/system";
    host_set_worker(&site->core, host, &hyp);
    host_set_figures(host, memory, cpus);
    host_link_open(&host->link, site->session, 2);
    host_link_answers(&site->core, &host->link, true, "");
    return host;
}

static struct host *add_closed_host(struct site *site, const char *name, const char *why)
{
    RmHost *rec = calloc(1, sizeof(*rec));
    rm_host__init(rec);
    text_set(&rec->name, name);
    text_set(&rec->why, why);
    rec->state = RM_HOST_STATE__HOST_CLOSED;
    host_restore(&site->core, rec);
    return add_host(site, name, 64 * GIB, 16);
}

static struct guest *add_guest(struct site *site, const char *name, uint64_t memory, uint32_t vcpus)
{
    RmGuest *rec = calloc(1, sizeof(*rec));
    rm_guest__init(rec);
    text_set(&rec->name, name);
    rec->memory = memory;
    rec->vcpus = vcpus;
    guest_restore(&site->core, rec);
    return guest_find(&site->core, name);
}

/* That of one guest, which is at source. */
static struct place_ask place(struct site *site, struct guest *guest, struct host *source)
{
    struct place_ask ask = {.guest = guest, .source = source};
    place_joint(&site->core, &ask, 1, NULL);
    return ask;
}

static void a_guest_goes_where_most_is_left(void **state)
{
    struct site *site = *state;
    struct host *from = add_host(site, "hyp1", 64 * GIB, 16);
    add_host(site, "hyp2", 16 * GIB, 16);
    struct host *big = add_host(site, "hyp3", 32 * GIB, 16);
    struct place_ask ask = place(site, add_guest(site, "vm1", 4 * GIB, 2), from);
    assert_ptr_equal(ask.chosen, big);
    assert_string_equal(ask.why, "");
}

static void of_equal_hosts_the_first_by_name_is_taken_in_whatever_order_they_came(void **state)
{
    struct site *site = *state;
    add_host(site, "hyp4", 32 * GIB, 16);
    struct host *first = add_host(site, "hyp2", 32 * GIB, 16);
    add_host(site, "hyp3", 32 * GIB, 16);
    struct place_ask ask = place(site, add_guest(site, "vm1", 4 * GIB, 2), NULL);
    assert_ptr_equal(ask.chosen, first);
}

static void a_guest_never_goes_where_it_is_nor_to_a_host_that_is_emptied(void **state)
{
    struct site *site = *state;
    struct host *from = add_host(site, "hyp1", 64 * GIB, 16);
    struct host *emptied = add_host(site, "hyp2", 64 * GIB, 16);
    struct place_ask ask = {
        .guest = add_guest(site, "vm1", GIB, 1), .source = from, .never = &emptied, .n_never = 1};
    assert_int_equal(place_joint(&site->core, &ask, 1, NULL), 1);
    assert_null(ask.chosen);
    assert_string_equal(ask.why, "there is no other open host");
}

static void only_hosts_that_were_named_are_looked_at(void **state)
{
    struct site *site = *state;
    add_host(site, "hyp1", 64 * GIB, 16);
    struct host *named = add_host(site, "hyp2", 8 * GIB, 16);
    struct place_ask ask = {.guest = add_guest(site, "vm1", GIB, 1), .to = &named, .n_to = 1};
    place_joint(&site->core, &ask, 1, NULL);
    assert_ptr_equal(ask.chosen, named);
}

static void a_host_that_could_not_take_it_is_left_out(void **state)
{
    struct site *site = *state;
    char *unfit = (char *)"hyp1";
    struct host *hosts[] = {add_host(site, "hyp1", 64 * GIB, 16)};
    struct place_ask ask = {.guest = add_guest(site, "vm1", GIB, 1),
                            .to = hosts,
                            .n_to = 1,
                            .unfit = &unfit,
                            .n_unfit = 1};
    place_joint(&site->core, &ask, 1, NULL);
    assert_null(ask.chosen);
    assert_string_equal(ask.why, "hyp1 could not take it");
}

static void memory_is_a_hard_limit(void **state)
{
    struct site *site = *state;
    struct host *host = add_host(site, "hyp1", 8 * GIB, 16);
    char why[600];
    assert_true(place_fits(&site->core, add_guest(site, "vm1", 8 * GIB, 1), host, CAPACITY_LATER,
                           why, sizeof(why)));
    assert_false(place_fits(&site->core, add_guest(site, "vm2", 8 * GIB + 1, 1), host,
                            CAPACITY_LATER, why, sizeof(why)));
    assert_non_null(strstr(why, "hyp1 has too little memory: "));
}

static void vcpus_are_given_out_as_often_as_the_settings_say(void **state)
{
    struct site *site = *state;
    struct host *host = add_host(site, "hyp1", 64 * GIB, 4);
    char why[600];
    assert_true(place_fits(&site->core, add_guest(site, "vm1", GIB, 8), host, CAPACITY_LATER, why,
                           sizeof(why)));
    assert_false(place_fits(&site->core, add_guest(site, "vm2", GIB, 9), host, CAPACITY_LATER, why,
                            sizeof(why)));
    assert_string_equal(why, "hyp1 has too few vCPUs: 8 free (4 CPUs, 2 vCPUs for each), 9 needed");
}

static void what_is_promised_stands_in_the_way_of_others_but_not_of_what_begins_now(void **state)
{
    struct site *site = *state;
    struct host *host = add_host(site, "hyp1", 8 * GIB, 16);
    struct guest *guest = add_guest(site, "vm1", 8 * GIB, 1);
    static const struct figures promised = {.memory = GIB, .vcpus = 1};
    char why[600];
    capacity_promise(&host->load, &promised);
    assert_false(place_fits(&site->core, guest, host, CAPACITY_LATER, why, sizeof(why)));
    assert_true(place_fits(&site->core, guest, host, CAPACITY_NOW, why, sizeof(why)));
    assert_int_equal(place_free_memory(&site->core, host), 7 * GIB);
}

/* Its job waits for room there, and somebody has brought it by hand. */
static void a_guest_that_is_there_needs_no_more_room(void **state)
{
    struct site *site = *state;
    struct host *host = add_host(site, "hyp1", 8 * GIB, 16),
                *other = add_host(site, "hyp2", GIB, 16);
    struct guest *guest = add_guest(site, "vm1", 5 * GIB, 1);
    struct instance_look look = {
        .uuid = "", .state = RM_GUEST_STATE__GUEST_RUNNING, .has = {.memory = 5 * GIB, .vcpus = 1}};
    char why[600];
    instance_add(host, guest, &look);
    assert_int_equal(place_free_memory(&site->core, host), 3 * GIB);
    assert_true(place_fits(&site->core, guest, host, CAPACITY_NOW, why, sizeof(why)));
    struct place_ask ask = {.guest = guest, .source = other};
    assert_ptr_equal(place_choose(&site->core, &ask), host);
    assert_false(place_fits(&site->core, add_guest(site, "vm2", 5 * GIB, 1), host, CAPACITY_NOW,
                            why, sizeof(why)));
    instance_drop_all(host);
}

static void a_reserve_is_kept_free_the_hosts_own_or_that_of_all(void **state)
{
    struct site *site = *state;
    struct host *host = add_host(site, "hyp1", 10 * GIB, 16);
    struct guest *guest = add_guest(site, "vm1", 9 * GIB, 1);
    RmHyp hyp = RM_HYP__INIT;
    RmReserve reserve = RM_RESERVE__INIT;
    char why[600];
    site->conf.reserve = (struct conf_reserve){.set = true, .per_cent = 15};
    assert_int_equal(place_reserve(&site->core, host), 10 * GIB * 15 / 100);
    assert_false(place_fits(&site->core, guest, host, CAPACITY_NOW, why, sizeof(why)));
    assert_string_equal(why, "hyp1 has too little memory: 8.50 GiB free besides a reserve of "
                             "1.50 GiB, 9.00 GiB needed");
    hyp.reserve = &reserve;
    reserve.bytes = GIB;
    host_set_worker(&site->core, host, &hyp);
    assert_true(place_fits(&site->core, guest, host, CAPACITY_NOW, why, sizeof(why)));
    reserve.bytes = 0;
    reserve.per_cent = 4000; /* whatever a worker says */
    host_set_worker(&site->core, host, &hyp);
    assert_int_equal(place_free_memory(&site->core, host), 0);
    hyp.reserve = NULL;
    host_set_worker(&site->core, host, &hyp);
    site->conf.reserve = (struct conf_reserve){.set = true, .bytes = 11 * GIB};
    assert_int_equal(place_reserve(&site->core, host), 10 * GIB);
}

static void several_are_placed_together_so_that_none_counts_on_what_another_gets(void **state)
{
    struct site *site = *state;
    struct host *one = add_host(site, "hyp1", 8 * GIB, 16);
    struct host *two = add_host(site, "hyp2", 8 * GIB, 16);
    struct place_ask asks[3] = {{.guest = add_guest(site, "vm1", 5 * GIB, 1)},
                                {.guest = add_guest(site, "vm2", 5 * GIB, 1)},
                                {.guest = add_guest(site, "vm3", 5 * GIB, 1)}};
    assert_int_equal(place_joint(&site->core, asks, 3, NULL), 1);
    assert_ptr_equal(asks[0].chosen, one);
    assert_ptr_equal(asks[1].chosen, two);
    assert_null(asks[2].chosen);
    assert_non_null(strstr(asks[2].why, "has too little memory"));
}

static void they_are_packed_tightly_where_that_places_more(void **state)
{
    struct site *site = *state;
    struct host *big = add_host(site, "hyp1", 10 * GIB, 16);
    struct host *small = add_host(site, "hyp2", 6 * GIB, 16);
    struct place_ask asks[3] = {{.guest = add_guest(site, "vm1", 5 * GIB, 1)},
                                {.guest = add_guest(site, "vm2", 6 * GIB, 1)},
                                {.guest = add_guest(site, "vm3", 5 * GIB, 1)}};
    assert_int_equal(place_joint(&site->core, asks, 3, NULL), 0);
    assert_ptr_equal(asks[1].chosen, small); /* spread evenly it would be on the big one */
    assert_ptr_equal(asks[0].chosen, big);
    assert_ptr_equal(asks[2].chosen, big);
}

static void a_look_at_several_placements_leaves_nothing_behind(void **state)
{
    struct site *site = *state;
    struct host *host = add_host(site, "hyp1", 8 * GIB, 16);
    struct load before = host->load;
    struct place_ask asks[2] = {{.guest = add_guest(site, "vm1", 5 * GIB, 1)},
                                {.guest = add_guest(site, "vm2", 5 * GIB, 1)}};
    place_joint(&site->core, asks, 2, NULL);
    assert_memory_equal(&host->load, &before, sizeof(before));
}

static void that_an_open_host_is_too_small_is_said_rather_than_that_another_is_closed(void **state)
{
    struct site *site = *state;
    add_host(site, "hyp1", GIB, 16);
    add_closed_host(site, "hyp2", "kernel update");
    struct place_ask ask = place(site, add_guest(site, "vm1", 4 * GIB, 1), NULL);
    assert_null(ask.chosen);
    assert_non_null(strstr(ask.why, "hyp1 has too little memory"));
}

static void a_closed_host_says_why_it_is_closed(void **state)
{
    struct site *site = *state;
    struct host *host = add_closed_host(site, "hyp2", "kernel update");
    char why[600];
    assert_false(place_usable(&site->core, host, why, sizeof(why)));
    assert_string_equal(why, "hyp2 is closed: kernel update");
}

static void a_host_whose_hypervisor_does_not_answer_is_of_no_use(void **state)
{
    struct site *site = *state;
    struct host *host = add_host(site, "hyp1", 8 * GIB, 16);
    char why[600];
    host_link_answers(&site->core, &host->link, false, "libvirtd is gone");
    assert_false(place_usable(&site->core, host, why, sizeof(why)));
    assert_string_equal(why, "hyp1 does not answer its worker: libvirtd is gone");
    host_link_close(&site->core, &host->link);
    assert_false(place_usable(&site->core, host, why, sizeof(why)));
    assert_string_equal(why, "hyp1 has no worker");
}

static void right_after_the_start_a_known_host_may_still_come(void **state)
{
    struct site *site = *state;
    struct host *host = add_host(site, "hyp1", 8 * GIB, 16);
    char why[600];
    host_link_close(&site->core, &host->link);
    assert_false(place_may_come(&site->core, host));
    site->core.started_at = site->core.now;
    assert_true(place_may_come(&site->core, host));
    assert_true(place_usable(&site->core, host, why, sizeof(why)));
}

static void a_host_that_others_cannot_reach_gets_no_guests(void **state)
{
    struct site *site = *state;
    struct host *host = add_host(site, "hyp1", 8 * GIB, 16);
    RmHyp hyp = RM_HYP__INIT;
    char why[600];
    host_set_worker(&site->core, host, &hyp);
    assert_false(place_usable(&site->core, host, why, sizeof(why)));
    assert_non_null(strstr(why, "hyp1 has no `peer` in its worker's settings"));
}

static void hosts_without_figures_are_filled_by_the_number_of_their_guests(void **state)
{
    struct site *site = *state;
    struct host *full = add_host(site, "hyp1", 0, 0), *other = add_host(site, "hyp2", 0, 0);
    static const struct figures none = {0};
    capacity_show(&full->load, RM_GUEST_STATE__GUEST_RUNNING, false, &none);
    struct place_ask asks[3] = {{.guest = add_guest(site, "vm1", 0, 0)},
                                {.guest = add_guest(site, "vm2", 0, 0)},
                                {.guest = add_guest(site, "vm3", 0, 0)}};
    assert_int_equal(place_joint(&site->core, asks, 3, NULL), 0);
    unsigned there = 0;
    for (unsigned i = 0; i < 3; i++)
        there += asks[i].chosen == other ? 1 : 0;
    assert_int_equal(there, 2);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_guest_goes_where_most_is_left),
        TEST(of_equal_hosts_the_first_by_name_is_taken_in_whatever_order_they_came),
        TEST(a_guest_never_goes_where_it_is_nor_to_a_host_that_is_emptied),
        TEST(only_hosts_that_were_named_are_looked_at),
        TEST(a_host_that_could_not_take_it_is_left_out),
        TEST(memory_is_a_hard_limit),
        TEST(vcpus_are_given_out_as_often_as_the_settings_say),
        TEST(what_is_promised_stands_in_the_way_of_others_but_not_of_what_begins_now),
        TEST(a_guest_that_is_there_needs_no_more_room),
        TEST(a_reserve_is_kept_free_the_hosts_own_or_that_of_all),
        TEST(several_are_placed_together_so_that_none_counts_on_what_another_gets),
        TEST(they_are_packed_tightly_where_that_places_more),
        TEST(a_look_at_several_placements_leaves_nothing_behind),
        TEST(that_an_open_host_is_too_small_is_said_rather_than_that_another_is_closed),
        TEST(a_closed_host_says_why_it_is_closed),
        TEST(a_host_whose_hypervisor_does_not_answer_is_of_no_use),
        TEST(right_after_the_start_a_known_host_may_still_come),
        TEST(a_host_that_others_cannot_reach_gets_no_guests),
        TEST(hosts_without_figures_are_filled_by_the_number_of_their_guests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
