/* test_capacity.c - tests of capacity: what a host holds, what is promised there, what is left */
#include "broker/capacity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct figures host = {.memory = 1000, .vcpus = 16};
static const struct figures guest = {.memory = 100, .vcpus = 2};

static void assert_left(const struct load *load, enum capacity_when when, uint64_t memory,
                        uint64_t vcpus)
{
    struct figures left = capacity_left(load, &host, NULL, when);
    assert_int_equal(left.memory, memory);
    assert_int_equal(left.vcpus, vcpus);
}

static void assert_untouched(const struct load *load)
{
    static const struct load none;
    assert_memory_equal(load, &none, sizeof(none));
}

static void an_empty_host_has_everything_left(void **state)
{
    (void)state;
    struct load load = {0};
    assert_left(&load, CAPACITY_LATER, 1000, 16);
    assert_left(&load, CAPACITY_NOW, 1000, 16);
}

static void what_is_active_or_coming_in_counts_and_what_is_off_does_not(void **state)
{
    static const struct {
        RmGuestState state;
        bool counts, active;
    } cases[] = {
        {RM_GUEST_STATE__GUEST_RUNNING, true, true},
        {RM_GUEST_STATE__GUEST_PAUSED, true, true},
        {RM_GUEST_STATE__GUEST_SUSPENDED, true, true},
        {RM_GUEST_STATE__GUEST_POSTCOPY, true, true},
        {RM_GUEST_STATE__GUEST_IN_SHUTDOWN, true, true},
        {RM_GUEST_STATE__GUEST_INCOMING, true, false},
        {RM_GUEST_STATE__GUEST_SHUTOFF, false, false},
        {RM_GUEST_STATE__GUEST_CRASHED, false, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct load load = {0};
        bool counted = capacity_show(&load, cases[i].state, false, &guest);
        assert_int_equal(counted, cases[i].counts);
        assert_int_equal(load.active, cases[i].active ? 1 : 0);
        assert_left(&load, CAPACITY_NOW, cases[i].counts ? 900 : 1000, cases[i].counts ? 14 : 16);
        capacity_hide(&load, cases[i].state, counted, &guest);
        assert_untouched(&load);
    }
}

static void a_guest_that_a_job_brings_counts_once(void **state)
{
    (void)state;
    struct load load = {0};
    capacity_promise(&load, &guest);
    capacity_arrive(&load, &guest);
    bool counted = capacity_show(&load, RM_GUEST_STATE__GUEST_INCOMING, true, &guest);
    assert_false(counted);
    assert_left(&load, CAPACITY_LATER, 900, 14);
    assert_left(&load, CAPACITY_NOW, 900, 14);
    /* the job ends there: first its promise, then the guest is counted as what it is */
    capacity_arrive_end(&load, &guest);
    capacity_release(&load, &guest);
    capacity_hide(&load, RM_GUEST_STATE__GUEST_INCOMING, counted, &guest);
    capacity_show(&load, RM_GUEST_STATE__GUEST_RUNNING, false, &guest);
    assert_left(&load, CAPACITY_LATER, 900, 14);
    assert_int_equal(load.n_in, 0);
}

static void what_is_promised_counts_later_and_what_is_on_its_way_now(void **state)
{
    (void)state;
    struct load load = {0};
    capacity_promise(&load, &guest);
    capacity_promise(&load, &guest);
    capacity_arrive(&load, &guest);
    assert_left(&load, CAPACITY_LATER, 800, 12);
    assert_left(&load, CAPACITY_NOW, 900, 14);
    assert_int_equal(load.n_in, 1);
    capacity_arrive_end(&load, &guest);
    capacity_release(&load, &guest);
    capacity_release(&load, &guest);
    assert_untouched(&load);
}

static void its_own_promise_does_not_stand_in_a_guests_way(void **state)
{
    (void)state;
    struct load load = {0};
    capacity_promise(&load, &host);
    assert_left(&load, CAPACITY_LATER, 0, 0);
    struct figures left = capacity_left(&load, &host, &host, CAPACITY_LATER);
    assert_int_equal(left.memory, host.memory);
    assert_int_equal(left.vcpus, host.vcpus);
}

static void a_host_that_holds_more_than_it_has_has_nothing_left(void **state)
{
    (void)state;
    static const struct figures giant = {.memory = 5000, .vcpus = 64};
    struct load load = {0};
    capacity_show(&load, RM_GUEST_STATE__GUEST_RUNNING, false, &giant);
    assert_left(&load, CAPACITY_LATER, 0, 0);
}

static void a_supposed_placement_counts_until_it_is_forgotten(void **state)
{
    (void)state;
    struct load load = {0};
    capacity_suppose(&load, &guest);
    capacity_suppose(&load, &guest);
    assert_left(&load, CAPACITY_LATER, 800, 12);
    assert_left(&load, CAPACITY_NOW, 1000, 16); /* nothing of it begins now */
    assert_int_equal(capacity_guests(&load), 2);
    assert_int_equal(load.promised.memory, 0);
    capacity_forget(&load);
    assert_untouched(&load);
}

static void migrations_from_a_host_are_counted(void **state)
{
    (void)state;
    struct load load = {0};
    capacity_leave(&load);
    capacity_leave(&load);
    assert_int_equal(load.n_out, 2);
    capacity_leave_end(&load);
    capacity_leave_end(&load);
    assert_untouched(&load);
}

static void guests_are_counted_by_number_where_nothing_else_is_known(void **state)
{
    (void)state;
    static const struct figures nothing = {0};
    struct load load = {0};
    capacity_show(&load, RM_GUEST_STATE__GUEST_RUNNING, false, &nothing);
    capacity_show(&load, RM_GUEST_STATE__GUEST_SHUTOFF, false, &nothing);
    capacity_promise(&load, &nothing);
    assert_int_equal(capacity_guests(&load), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_host_has_everything_left),
        cmocka_unit_test(what_is_active_or_coming_in_counts_and_what_is_off_does_not),
        cmocka_unit_test(a_guest_that_a_job_brings_counts_once),
        cmocka_unit_test(what_is_promised_counts_later_and_what_is_on_its_way_now),
        cmocka_unit_test(its_own_promise_does_not_stand_in_a_guests_way),
        cmocka_unit_test(a_host_that_holds_more_than_it_has_has_nothing_left),
        cmocka_unit_test(a_supposed_placement_counts_until_it_is_forgotten),
        cmocka_unit_test(migrations_from_a_host_are_counted),
        cmocka_unit_test(guests_are_counted_by_number_where_nothing_else_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
