/* test_estimate.c - tests of what a migration is expected to take */
#include "broker/planner/estimate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define SECOND 1000000ULL
#define MB     1000000ULL
#define GB     1000000000ULL

enum { MANY = 40 };

static struct estimate_ask ask_of(uint64_t guest, uint64_t from, uint64_t to, uint64_t memory)
{
    return (struct estimate_ask){.guest = guest, .from = from, .to = to, .memory = memory};
}

static struct estimate_past past_of(struct estimate_ask as, uint64_t took)
{
    return (struct estimate_past){.as = as, .took = took};
}

static struct estimate expect(const struct estimate_past *past, size_t n, struct estimate_ask ask)
{
    struct estimator *estimator = estimator_new(past, n);
    struct estimate estimate = estimator_ask(estimator, &ask);

    estimator_free(estimator);
    assert_true(estimate.low <= estimate.took && estimate.took <= estimate.high);
    return estimate;
}

static void assert_near(uint64_t value, uint64_t wanted, unsigned per_cent)
{
    if (value * 100 < wanted * (100 - per_cent) || value * 100 > wanted * (100 + per_cent))
        fail_msg("%llu is not within %u %% of %llu", (unsigned long long)value, per_cent,
                 (unsigned long long)wanted);
}

static void where_nothing_is_known_it_is_a_guess_with_a_wide_band(void **state)
{
    (void)state;
    struct estimate guess = expect(NULL, 0, ask_of(1, 1, 2, 2 * GB));

    assert_int_equal(guess.known, ESTIMATE_GUESS);
    assert_int_equal(guess.pause, 0);
    assert_near(guess.took, 20 * SECOND, 10);
    assert_near(guess.high, 2 * guess.took, 1);
    assert_near(guess.low, guess.took / 2, 1);
}

static void more_memory_takes_longer_and_a_faster_link_is_faster(void **state)
{
    (void)state;
    struct estimate_ask ask = ask_of(1, 1, 2, 2 * GB);
    uint64_t plain = expect(NULL, 0, ask).took;

    ask.memory = 4 * GB;
    assert_true(expect(NULL, 0, ask).took > plain);
    ask.speed = 1250 * MB;
    assert_true(expect(NULL, 0, ask).took < plain);
}

static void who_writes_faster_takes_longer_and_never_for_ever(void **state)
{
    (void)state;
    struct estimate_ask ask = ask_of(1, 1, 2, 2 * GB);
    uint64_t idle = expect(NULL, 0, ask).took, busy, mad;

    ask.dirty = 50 * MB;
    busy = expect(NULL, 0, ask).took;
    ask.dirty = 100 * GB;
    mad = expect(NULL, 0, ask).took;
    assert_true(idle < busy && busy < mad);
    assert_true(mad < 10 * idle);
}

static void others_teach_how_fast_the_site_is(void **state)
{
    (void)state;
    struct estimate_past past[MANY];

    for (uint64_t i = 0; i < MANY; i++)
        past[i] = past_of(ask_of(i, i % 3, 3 + i % 2, 1 * GB), 40 * SECOND);
    struct estimate estimate = expect(past, MANY, ask_of(100, 7, 8, 2 * GB));
    assert_int_equal(estimate.known, ESTIMATE_SITE);
    assert_near(estimate.took, 80 * SECOND, 10);
}

static void a_slow_path_is_known_from_other_guests(void **state)
{
    (void)state;
    struct estimate_past past[MANY];

    for (uint64_t i = 0; i < MANY; i++)
        past[i] = past_of(ask_of(i, i % 2, 2, 1 * GB), (i % 2 ? 100 : 10) * SECOND);
    struct estimate slow = expect(past, MANY, ask_of(100, 1, 2, 1 * GB));
    struct estimate fast = expect(past, MANY, ask_of(100, 0, 2, 1 * GB));
    assert_int_equal(slow.known, ESTIMATE_PART);
    assert_near(slow.took, 100 * SECOND, 25);
    assert_near(fast.took, 10 * SECOND, 25);
}

static void a_guest_that_takes_longer_than_others_is_known_on_other_paths(void **state)
{
    (void)state;
    struct estimate_past past[MANY];

    for (uint64_t i = 0; i < MANY; i++)
        past[i] = past_of(ask_of(i % 2, 1, 2 + i / 2 % 4, 1 * GB), (i % 2 ? 30 : 10) * SECOND);
    assert_true(expect(past, MANY, ask_of(1, 8, 9, 1 * GB)).took >
                expect(past, MANY, ask_of(0, 8, 9, 1 * GB)).took * 3 / 2);
}

static void the_same_guest_on_the_same_path_takes_as_long_as_it_did(void **state)
{
    (void)state;
    struct estimate_past past[MANY];

    for (uint64_t i = 0; i < MANY; i++)
        past[i] = past_of(ask_of(i % 4, 1, 2, 1 * GB), (10 + 5 * (i % 4)) * SECOND);
    for (uint64_t guest = 0; guest < 4; guest++) {
        struct estimate estimate = expect(past, MANY, ask_of(guest, 1, 2, 1 * GB));
        assert_int_equal(estimate.known, ESTIMATE_SAME);
        assert_near(estimate.took, (10 + 5 * guest) * SECOND, 8);
    }
}

static void later_figures_count_more(void **state)
{
    (void)state;
    struct estimate_past past[MANY];

    for (uint64_t i = 0; i < MANY; i++)
        past[i] = past_of(ask_of(1, 1, 2, 1 * GB), (i < MANY / 2 ? 10 : 40) * SECOND);
    assert_near(expect(past, MANY, ask_of(1, 1, 2, 1 * GB)).took, 40 * SECOND, 25);
}

static void a_guest_that_sends_little_is_expected_to_send_little(void **state)
{
    (void)state;
    struct estimate_past past[MANY];

    for (uint64_t i = 0; i < MANY; i++) {
        uint64_t sent = i % 2 ? 10 * GB : 1 * GB; /* of 10 GB each, at 100 MB/s */
        past[i] = past_of(ask_of(i % 2, 1, 2, 10 * GB), sent / 100);
        past[i].sent = sent;
    }
    /* On a path that is ten times as slow it is still a tenth. */
    for (uint64_t i = MANY / 2; i < MANY; i++) {
        past[i].as.guest += 2;
        past[i].as.to = 9;
        past[i].took *= 10;
    }
    struct estimate little = expect(past, MANY, ask_of(0, 1, 9, 10 * GB));
    struct estimate all = expect(past, MANY, ask_of(1, 1, 9, 10 * GB));
    assert_true(little.took * 4 < all.took);
}

static void the_band_is_as_wide_as_the_errors_were(void **state)
{
    (void)state;
    struct estimate_past calm[MANY], wild[MANY];

    for (uint64_t i = 0; i < MANY; i++) {
        calm[i] = past_of(ask_of(1, 1, 2, 1 * GB), (20 + i % 2) * SECOND);
        wild[i] = past_of(ask_of(1, 1, 2, 1 * GB), (i % 3 ? 15 : 60) * SECOND);
    }
    struct estimate narrow = expect(calm, MANY, ask_of(1, 1, 2, 1 * GB));
    struct estimate wide = expect(wild, MANY, ask_of(1, 1, 2, 1 * GB));
    assert_true(narrow.high - narrow.low < narrow.took / 5);
    assert_true(wide.high - wide.low > wide.took / 2);
    assert_true(wide.low <= 16 * SECOND && wide.high >= 55 * SECOND);
}

static void pauses_are_learned_of_the_guest_or_else_of_all(void **state)
{
    (void)state;
    struct estimate_past past[MANY];

    for (uint64_t i = 0; i < MANY; i++) {
        past[i] = past_of(ask_of(i % 2, 1, 2, 1 * GB), 20 * SECOND);
        past[i].pause = i % 2 ? 400000 : 100000;
    }
    assert_near(expect(past, MANY, ask_of(0, 1, 2, 1 * GB)).pause, 100000, 2);
    assert_near(expect(past, MANY, ask_of(1, 5, 6, 1 * GB)).pause, 400000, 2);
    assert_near(expect(past, MANY, ask_of(7, 1, 2, 1 * GB)).pause, 200000, 10);
}

static void guests_without_figures_count_as_equal(void **state)
{
    (void)state;
    struct estimate_past past[MANY];

    for (uint64_t i = 0; i < MANY; i++)
        past[i] = past_of(ask_of(i, 1, 2, 0), 12 * SECOND);
    assert_near(expect(past, MANY, ask_of(100, 1, 2, 0)).took, 12 * SECOND, 5);
}

static void a_known_speed_is_not_learned_from_where_none_was(void **state)
{
    (void)state;
    struct estimate_past past[MANY];
    struct estimate_ask ask = ask_of(100, 1, 2, 1 * GB);

    for (uint64_t i = 0; i < MANY; i++)
        past[i] = past_of(ask_of(i, 1, 2, 1 * GB), SECOND); /* 10 Gbit/s, nobody said so */
    ask.speed = 10 * MB;
    assert_true(expect(past, MANY, ask).took >= 100 * SECOND);
}

static void the_shortest_migration_is_learned_from_as_well(void **state)
{
    (void)state;
    struct estimate_past past = past_of(ask_of(1, 1, 2, 1), 1);

    past.sent = 1;
    past.pause = 1;
    assert_true(expect(&past, 1, ask_of(1, 1, 2, 1)).took < SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_nothing_is_known_it_is_a_guess_with_a_wide_band),
        cmocka_unit_test(more_memory_takes_longer_and_a_faster_link_is_faster),
        cmocka_unit_test(who_writes_faster_takes_longer_and_never_for_ever),
        cmocka_unit_test(others_teach_how_fast_the_site_is),
        cmocka_unit_test(a_slow_path_is_known_from_other_guests),
        cmocka_unit_test(a_guest_that_takes_longer_than_others_is_known_on_other_paths),
        cmocka_unit_test(the_same_guest_on_the_same_path_takes_as_long_as_it_did),
        cmocka_unit_test(later_figures_count_more),
        cmocka_unit_test(a_guest_that_sends_little_is_expected_to_send_little),
        cmocka_unit_test(the_band_is_as_wide_as_the_errors_were),
        cmocka_unit_test(pauses_are_learned_of_the_guest_or_else_of_all),
        cmocka_unit_test(guests_without_figures_count_as_equal),
        cmocka_unit_test(a_known_speed_is_not_learned_from_where_none_was),
        cmocka_unit_test(the_shortest_migration_is_learned_from_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
