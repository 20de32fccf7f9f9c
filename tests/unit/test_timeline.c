/* test_timeline.c - tests of the timeline: it keeps what it is told, and is held against every list of small sites */
#include "broker/planner/timeline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    STEPS_MOST = 40,
    HOSTS = 4,
    SLOTS = 2 * HOSTS + 1, /* away from each host, to each host, and the site */
    SMALL = 6,             /* steps whose lists are all tried */
    BUDGET = 20000,
    MANY = 20000,
};

/* A site that is filled by a test. */
struct field {
    struct timeline_step steps[STEPS_MOST];
    struct timeline_use uses[STEPS_MOST][3];
    size_t after[STEPS_MOST][STEPS_MOST];
    uint64_t slots[SLOTS], free[HOSTS];
    struct timeline_site site;
    uint32_t seed;
};

static struct field *field_new(uint32_t seed)
{
    struct field *field = calloc(1, sizeof(*field));
    assert_non_null(field);
    for (int i = 0; i < 2 * HOSTS; i++)
        field->slots[i] = 1;
    field->slots[SLOTS - 1] = STEPS_MOST;
    field->site = (struct timeline_site){
        .steps = field->steps, .resources = field->slots, .n_resources = SLOTS, .n_hosts = HOSTS};
    field->seed = seed;
    return field;
}

static uint32_t chance(struct field *field, uint32_t below)
{
    field->seed = field->seed * 1103515245u + 12345u;
    return (field->seed >> 8) % below;
}

static size_t add(struct field *field, uint32_t from, uint32_t to, uint64_t took)
{
    size_t i = field->site.n_steps++;

    field->uses[i][0] = (struct timeline_use){from, 1};
    field->uses[i][1] = (struct timeline_use){HOSTS + to, 1};
    field->uses[i][2] = (struct timeline_use){SLOTS - 1, 1};
    field->steps[i] = (struct timeline_step){.took = took,
                                             .uses = field->uses[i],
                                             .n_uses = 3,
                                             .after = field->after[i],
                                             .from = from,
                                             .to = to};
    return i;
}

static void add_after(struct field *field, size_t i, size_t before)
{
    field->after[i][field->steps[i].n_after++] = before;
}

static void fill(struct field *field, size_t n, bool chains)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t from = chance(field, HOSTS);
        uint32_t to = (from + 1 + chance(field, HOSTS - 1)) % HOSTS;
        add(field, from, to, 1 + chance(field, 100));
        if (chains && i > 0 && chance(field, 4) == 0)
            add_after(field, i, chance(field, (uint32_t)i));
    }
}

static uint64_t over(const struct field *field, const struct timeline *timeline, size_t i)
{
    return timeline->starts[i] + field->steps[i].took;
}

/* By another hand: at no moment is more taken than there is, nobody begins too early, and the end is the end. */
static void assert_kept(const struct field *field, const struct timeline *timeline)
{
    uint64_t last = 0;

    for (size_t i = 0; i < field->site.n_steps; i++) {
        uint64_t now = timeline->starts[i];
        last = over(field, timeline, i) > last ? over(field, timeline, i) : last;
        for (size_t k = 0; k < field->steps[i].n_after; k++)
            assert_true(over(field, timeline, field->steps[i].after[k]) <= now);
        for (uint32_t slot = 0; slot < SLOTS; slot++) {
            uint64_t taken = 0;
            for (size_t k = 0; k < field->site.n_steps; k++)
                for (size_t use = 0; use < field->steps[k].n_uses; use++)
                    if (field->steps[k].uses[use].resource == slot && timeline->starts[k] <= now &&
                        now < over(field, timeline, k))
                        taken += field->steps[k].uses[use].much;
            assert_true(taken <= field->slots[slot]);
        }
        for (uint32_t host = 0; field->site.free && host < HOSTS; host++) {
            uint64_t free = field->free[host], taken = 0;
            for (size_t k = 0; k < field->site.n_steps; k++) {
                if (field->steps[k].to == host && timeline->starts[k] <= now)
                    taken += field->steps[k].memory;
                if (field->steps[k].from == host && over(field, timeline, k) <= now)
                    free += field->steps[k].memory;
            }
            assert_true(taken <= free);
        }
    }
    assert_int_equal(timeline->end, last);
    assert_true(timeline->end >= timeline->bound);
}

static void no_step_takes_no_time(void **state)
{
    (void)state;
    struct field *field = field_new(1);
    struct timeline timeline = timeline_make(&field->site, BUDGET);

    assert_int_equal(timeline.end, 0);
    timeline_done(&timeline);
    free(field);
}

static void what_shares_a_slot_comes_one_after_the_other(void **state)
{
    (void)state;
    struct field *field = field_new(1);
    add(field, 0, 1, 10);
    add(field, 0, 2, 20);
    add(field, 3, 1, 5);
    struct timeline timeline = timeline_make(&field->site, BUDGET);

    assert_kept(field, &timeline);
    assert_int_equal(timeline.end, 30);
    assert_int_equal(timeline.bound, 30);
    timeline_done(&timeline);
    free(field);
}

static void a_link_is_shared_by_those_that_fit_on_it_together(void **state)
{
    (void)state;
    struct field *field = field_new(1);
    field->slots[0] = 1000;
    for (int i = 0; i < 3; i++) {
        add(field, 0, (uint32_t)i + 1, 10);
        field->uses[i][0].much = 500;
    }
    struct timeline timeline = timeline_make(&field->site, BUDGET);

    assert_kept(field, &timeline);
    assert_int_equal(timeline.end, 20);
    timeline_done(&timeline);
    free(field);
}

static void who_needs_more_than_there_is_has_all_of_it(void **state)
{
    (void)state;
    struct field *field = field_new(1);
    add(field, 0, 1, 10);
    add(field, 0, 2, 10);
    field->uses[0][0].much = 7;
    field->slots[1] = 0;
    struct timeline timeline = timeline_make(&field->site, BUDGET);

    assert_int_equal(timeline.end, 20);
    timeline_done(&timeline);
    free(field);
}

static void a_step_waits_for_those_before_it(void **state)
{
    (void)state;
    struct field *field = field_new(1);
    add(field, 0, 1, 10);
    add_after(field, 0, 1);
    add(field, 2, 3, 7);
    struct timeline timeline = timeline_make(&field->site, BUDGET);

    assert_int_equal(timeline.starts[0], 7);
    assert_int_equal(timeline.end, 17);
    timeline_done(&timeline);
    free(field);
}

static void what_runs_has_begun(void **state)
{
    (void)state;
    struct field *field = field_new(1);
    add(field, 0, 1, 100);
    add(field, 0, 2, 10);
    field->steps[1].runs = true;
    struct timeline timeline = timeline_make(&field->site, BUDGET);

    assert_int_equal(timeline.starts[1], 0);
    assert_int_equal(timeline.starts[0], 10);
    timeline_done(&timeline);
    free(field);
}

static void a_guest_comes_when_another_has_left_its_memory(void **state)
{
    (void)state;
    struct field *field = field_new(1);
    add(field, 0, 1, 10);
    add(field, 1, 2, 30);
    field->site.free = field->free;
    field->free[2] = 8;
    field->steps[0].memory = field->steps[1].memory = 8;
    struct timeline timeline = timeline_make(&field->site, BUDGET);

    assert_kept(field, &timeline);
    assert_int_equal(timeline.starts[0], 30);
    timeline_done(&timeline);
    free(field);
}

static void without_memory_it_has_a_time_all_the_same(void **state)
{
    (void)state;
    struct field *field = field_new(1);
    add(field, 0, 1, 10);
    add(field, 1, 0, 30);
    field->site.free = field->free;
    field->steps[0].memory = field->steps[1].memory = 8;
    struct timeline timeline = timeline_make(&field->site, BUDGET);

    assert_int_equal(timeline.end, 40);
    timeline_done(&timeline);
    free(field);
}

static void a_fixed_list_is_begun_as_it_comes(void **state)
{
    (void)state;
    struct field *field = field_new(1);
    add(field, 0, 1, 1);
    add(field, 0, 2, 50);
    add(field, 3, 1, 50);
    field->site.fixed = true;
    struct timeline timeline = timeline_make(&field->site, BUDGET);

    assert_int_equal(timeline.starts[0], 0);
    assert_int_equal(timeline.end, 51);
    timeline_done(&timeline);
    free(field);
}

static void limits_memory_and_order_are_kept(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 60; seed++) {
        struct field *field = field_new(seed);
        fill(field, 10 + chance(field, STEPS_MOST - 10), /* chains = */ true);
        field->slots[SLOTS - 1] = 2 + chance(field, 4);
        struct timeline timeline = timeline_make(&field->site, BUDGET);
        assert_kept(field, &timeline);
        timeline_done(&timeline);
        /* With memory that lets all move one after the other in some order: each host has room for one. */
        field->site.free = field->free;
        for (size_t i = 0; i < field->site.n_steps; i++) {
            field->steps[i].n_after = 0;
            field->steps[i].memory = 1 + chance(field, 8);
            field->free[field->steps[i].to] += i % 2 == 0 ? field->steps[i].memory : 1;
        }
        for (int host = 0; host < HOSTS; host++)
            field->free[host] += 8 * STEPS_MOST / 4;
        timeline = timeline_make(&field->site, BUDGET);
        assert_kept(field, &timeline);
        timeline_done(&timeline);
        free(field);
    }
}

/* The earliest end of all lists: n_left steps of `list` from `at` on are put in every order. */
static void try_all(struct field *field, struct timeline_step *list, size_t at, uint64_t *best)
{
    size_t n = field->site.n_steps;

    if (at == n) {
        struct timeline_site site = field->site;
        site.steps = list;
        site.fixed = true;
        struct timeline timeline = timeline_make(&site, 0);
        *best = timeline.end < *best ? timeline.end : *best;
        timeline_done(&timeline);
        return;
    }
    for (size_t i = at; i < n; i++) {
        struct timeline_step one = list[at];
        list[at] = list[i];
        list[i] = one;
        try_all(field, list, at + 1, best);
        one = list[at];
        list[at] = list[i];
        list[i] = one;
    }
}

static void of_few_steps_no_list_is_better(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 25; seed++) {
        struct field *field = field_new(seed);
        struct timeline_step list[SMALL];
        uint64_t best = UINT64_MAX;
        fill(field, SMALL, /* chains = */ false);
        memcpy(list, field->steps, sizeof(list));
        try_all(field, list, 0, &best);
        struct timeline timeline = timeline_make(&field->site, BUDGET);
        assert_kept(field, &timeline);
        assert_true(timeline.end <= best);
        timeline_done(&timeline);
        free(field);
    }
}

static void equal_sites_have_equal_timelines(void **state)
{
    (void)state;
    struct field *field = field_new(5);
    fill(field, STEPS_MOST, /* chains = */ true);
    struct timeline one = timeline_make(&field->site, BUDGET);
    struct timeline other = timeline_make(&field->site, BUDGET);

    assert_int_equal(one.end, other.end);
    assert_memory_equal(one.starts, other.starts, STEPS_MOST * sizeof(*one.starts));
    timeline_done(&one);
    timeline_done(&other);
    free(field);
}

/* All want the same slot, or their own two; a list looks at each step a bounded number of times. */
static void the_looks_of_a_list_grow_with_the_steps(void **state)
{
    (void)state;
    enum { LOOKS_EACH = 200 };
    struct timeline_step *steps = calloc(MANY, sizeof(*steps));
    struct timeline_use(*uses)[2] = calloc(MANY, sizeof(*uses));
    uint64_t slots[2 * HOSTS] = {1, 1, 1, 1, 1, 1, 1, 1};
    struct field *field = field_new(3);
    assert_non_null(steps);
    assert_non_null(uses);

    for (size_t i = 0; i < MANY; i++) {
        uses[i][0] = (struct timeline_use){chance(field, HOSTS), 1};
        uses[i][1] = (struct timeline_use){HOSTS + chance(field, HOSTS), 1};
        steps[i] =
            (struct timeline_step){.took = 1 + chance(field, 100), .uses = uses[i], .n_uses = 2};
    }
    struct timeline_site site = {
        .steps = steps, .n_steps = MANY, .resources = slots, .n_resources = 2 * HOSTS};
    struct timeline timeline = timeline_make(&site, 0);
    assert_true(timeline.work < (uint64_t)LOOKS_EACH * MANY);
    timeline_done(&timeline);
    free(field);
    free(steps);
    free(uses);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_step_takes_no_time),
        cmocka_unit_test(what_shares_a_slot_comes_one_after_the_other),
        cmocka_unit_test(a_link_is_shared_by_those_that_fit_on_it_together),
        cmocka_unit_test(who_needs_more_than_there_is_has_all_of_it),
        cmocka_unit_test(a_step_waits_for_those_before_it),
        cmocka_unit_test(what_runs_has_begun),
        cmocka_unit_test(a_guest_comes_when_another_has_left_its_memory),
        cmocka_unit_test(without_memory_it_has_a_time_all_the_same),
        cmocka_unit_test(a_fixed_list_is_begun_as_it_comes),
        cmocka_unit_test(limits_memory_and_order_are_kept),
        cmocka_unit_test(of_few_steps_no_list_is_better),
        cmocka_unit_test(equal_sites_have_equal_timelines),
        cmocka_unit_test(the_looks_of_a_list_grow_with_the_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
