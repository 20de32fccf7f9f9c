/* test_stall.c - when a migration must be stopped, and calls that do not come back in time */
#include "worker/async_call.h"
#include "worker/stall.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

static RmStats figures(uint64_t remaining)
{
    RmStats stats = RM_STATS__INIT;
    stats.total = 64 * MIB;
    stats.remaining = remaining;
    stats.rate = 11 * MIB;
    stats.dirty_rate = 24 * MIB;
    stats.iterations = 7;
    return stats;
}

static struct stall begun(usec_t timeout, usec_t longest, usec_t now)
{
    static struct hv_migration migration;
    struct stall stall;
    migration.timeout = timeout;
    migration.stall = longest;
    stall_begin(&stall, &migration, now);
    return stall;
}

static void a_timeout_ends_it_whatever_the_figures(void **state)
{
    (void)state;
    struct stall stall = begun(30 * USEC_PER_SEC, 0, 1000);
    char text[256];
    RmStats stats = figures(MIB);
    stall_figures(&stall, &stats, 1000 + 29 * USEC_PER_SEC);
    assert_false(stall_is_over(&stall, 999 + 30 * USEC_PER_SEC, text, sizeof(text)));
    assert_true(stall_is_over(&stall, 1000 + 30 * USEC_PER_SEC, text, sizeof(text)));
    assert_string_equal(text, "not finished after 30 s (setting timeout), stopped");
}

static void limits_that_change_on_the_way_count_from_the_beginning(void **state)
{
    (void)state;
    struct hv_migration migration = {.timeout = 30 * USEC_PER_SEC, .stall = 10 * USEC_PER_SEC};
    struct stall stall;
    char text[256];
    stall_begin(&stall, &migration, 1000);
    migration.timeout = 60 * USEC_PER_SEC;
    migration.stall = 45 * USEC_PER_SEC;
    assert_false(stall_is_over(&stall, 999 + 45 * USEC_PER_SEC, text, sizeof(text)));
    assert_true(stall_is_over(&stall, 1000 + 45 * USEC_PER_SEC, text, sizeof(text)));
    migration.stall = 0;
    assert_false(stall_is_over(&stall, 999 + 60 * USEC_PER_SEC, text, sizeof(text)));
    migration.timeout = 20 * USEC_PER_SEC;
    assert_true(stall_is_over(&stall, 1000 + 50 * USEC_PER_SEC, text, sizeof(text)));
    assert_string_equal(text, "not finished after 20 s (setting timeout), stopped");
}

static void only_a_new_minimum_is_progress(void **state)
{
    (void)state;
    struct stall stall = begun(0, 180 * USEC_PER_SEC, 0);
    char text[256];
    RmStats stats = figures(14 * MIB);
    stall_figures(&stall, &stats, 10 * USEC_PER_SEC);
    stats = figures(60 * MIB); /* the next round: more remains, much is sent */
    stats.processed = 900 * MIB;
    stall_figures(&stall, &stats, 100 * USEC_PER_SEC);
    assert_false(stall_is_over(&stall, 189 * USEC_PER_SEC, text, sizeof(text)));
    assert_true(stall_is_over(&stall, 190 * USEC_PER_SEC, text, sizeof(text)));
    assert_string_equal(text,
                        "no progress for 3 min: 14.0 MiB remain after 7 rounds, 11.0 MiB/s are "
                        "sent while the guest writes 24.0 MiB/s, stopped");
    stats = figures(13 * MIB);
    stall_figures(&stall, &stats, 189 * USEC_PER_SEC);
    assert_false(stall_is_over(&stall, 190 * USEC_PER_SEC, text, sizeof(text)));
}

static void figures_without_a_total_are_no_progress(void **state)
{
    (void)state;
    struct stall stall = begun(0, 10 * USEC_PER_SEC, 0);
    char text[256];
    RmStats nothing = RM_STATS__INIT;
    stall_figures(&stall, &nothing, 9 * USEC_PER_SEC);
    assert_int_equal(stall.minimum, UINT64_MAX);
    assert_true(stall_is_over(&stall, 10 * USEC_PER_SEC, text, sizeof(text)));
    assert_string_equal(text, "no progress for 10 s: no memory was copied yet, stopped");
}

static void without_limits_it_goes_on_for_ever(void **state)
{
    (void)state;
    struct stall stall = begun(0, 0, 0);
    char text[256];
    assert_false(stall_is_over(&stall, UINT64_MAX / 2, text, sizeof(text)));
}

/* Figures each second from then on; more is sent each time until the path is dead. */
static enum stall_end copied(const struct hv_migration *migration, usec_t dead_at, char *text,
                             size_t size)
{
    struct stall stall;
    enum stall_end end = STALL_GOES_ON;
    usec_t now = 0;
    stall_begin(&stall, migration, now);
    while (end == STALL_GOES_ON) {
        RmStats stats = figures(14 * MIB);
        now += USEC_PER_SEC;
        stats.processed = (now < dead_at ? now : dead_at) / USEC_PER_SEC * 11 * MIB;
        stall_figures(&stall, &stats, now);
        end = stall_is_over(&stall, now, text, size);
    }
    return end;
}

static void
a_guest_that_outruns_its_copy_would_do_so_again_and_the_text_says_what_may_help(void **state)
{
    (void)state;
    struct hv_migration migration = {.stall = 60 * USEC_PER_SEC};
    char text[512];
    assert_int_equal(copied(&migration, USEC_NEVER, text, sizeof(text)), STALL_OUTRUN);
    assert_non_null(strstr(text, "stopped; what may help: --auto-converge, a longer --downtime"));
    migration = (struct hv_migration){
        .timeout = 60 * USEC_PER_SEC, .auto_converge = true, .bandwidth = MIB};
    assert_int_equal(copied(&migration, USEC_NEVER, text, sizeof(text)), STALL_OUTRUN);
    assert_string_equal(text, "not finished after 1 min (setting timeout), stopped; what may help: "
                              "a longer --timeout, a higher --bandwidth, a longer --downtime");
    assert_int_equal(stall_class(STALL_OUTRUN), RM_CLASS__CLASS_UNFIT);
}

static void a_copy_whose_data_ceased_to_flow_may_be_tried_again(void **state)
{
    (void)state;
    struct hv_migration migration = {.stall = 60 * USEC_PER_SEC};
    char text[512];
    assert_int_equal(copied(&migration, 50 * USEC_PER_SEC, text, sizeof(text)), STALL_BROKEN);
    assert_null(strstr(text, "what may help"));
    migration = (struct hv_migration){.timeout = 60 * USEC_PER_SEC};
    assert_int_equal(copied(&migration, 50 * USEC_PER_SEC, text, sizeof(text)), STALL_BROKEN);
    assert_int_equal(stall_class(STALL_BROKEN), RM_CLASS__CLASS_RETRY);
}

/* ---- calls */

struct gate { /* a call that hangs until it is opened */
    struct call call;
    pthread_mutex_t *lock;
    pthread_cond_t *condition;
    bool *open;
    int answer;
};

static void gate_run(struct call *call)
{
    struct gate *gate = (struct gate *)call;
    pthread_mutex_lock(gate->lock);
    while (!*gate->open)
        pthread_cond_wait(gate->condition, gate->lock);
    pthread_mutex_unlock(gate->lock);
    gate->answer = 42;
}

static pthread_mutex_t gate_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t gate_condition = PTHREAD_COND_INITIALIZER;
static int released; /* under the lock */

static void gate_release(struct call *call)
{
    free(call);
    pthread_mutex_lock(&gate_lock);
    released++;
    pthread_cond_broadcast(&gate_condition);
    pthread_mutex_unlock(&gate_lock);
}

static struct gate *gate_new(bool *open)
{
    struct gate *gate = calloc(1, sizeof(*gate));
    assert_non_null(gate);
    call_init(&gate->call, gate_run, gate_release);
    gate->lock = &gate_lock;
    gate->condition = &gate_condition;
    gate->open = open;
    return gate;
}

static usec_t in(usec_t span)
{
    return env_now(env_system()) + span;
}

static void wait_for_bell(struct bell *bell)
{
    struct pollfd fd = {.fd = bell_fd(bell), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 20000), 1);
    bell_clear(bell);
    assert_int_equal(poll(&fd, 1, 0), 0);
}

static int count_released(void)
{
    pthread_mutex_lock(&gate_lock);
    int n = released;
    pthread_mutex_unlock(&gate_lock);
    return n;
}

/* A thread lets go of its call after it rang. */
static void wait_for_release(int n)
{
    pthread_mutex_lock(&gate_lock);
    while (released < n)
        pthread_cond_wait(&gate_condition, &gate_lock);
    pthread_mutex_unlock(&gate_lock);
}

static void a_call_that_ends_gives_its_answer(void **state)
{
    (void)state;
    static bool open = true;
    struct gate *gate = gate_new(&open);
    struct bell *bell = bell_new();
    int before = count_released();
    assert_int_equal(call_start(&gate->call, bell), 0);
    assert_int_equal(call_wait(&gate->call, in(20 * USEC_PER_SEC)), 0);
    assert_true(call_ended(&gate->call));
    assert_int_equal(gate->answer, 42);
    wait_for_bell(bell);
    call_unref(&gate->call);
    wait_for_release(before + 1);
    bell_unref(bell);
}

static void a_call_that_hangs_is_left_behind_and_frees_itself_later(void **state)
{
    (void)state;
    static bool open;
    struct gate *gate = gate_new(&open);
    struct bell *bell = bell_new();
    int before = count_released();
    assert_int_equal(call_start(&gate->call, bell), 0);
    assert_int_equal(call_wait(&gate->call, in(20 * USEC_PER_MSEC)), -ETIMEDOUT);
    assert_false(call_ended(&gate->call));
    call_unref(&gate->call); /* an orphan now */
    assert_int_equal(count_released(), before);
    pthread_mutex_lock(&gate_lock);
    open = true;
    pthread_cond_broadcast(&gate_condition);
    pthread_mutex_unlock(&gate_lock);
    wait_for_bell(bell);
    wait_for_release(before + 1);
    bell_unref(bell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timeout_ends_it_whatever_the_figures),
        cmocka_unit_test(limits_that_change_on_the_way_count_from_the_beginning),
        cmocka_unit_test(only_a_new_minimum_is_progress),
        cmocka_unit_test(figures_without_a_total_are_no_progress),
        cmocka_unit_test(without_limits_it_goes_on_for_ever),
        cmocka_unit_test(
            a_guest_that_outruns_its_copy_would_do_so_again_and_the_text_says_what_may_help),
        cmocka_unit_test(a_copy_whose_data_ceased_to_flow_may_be_tried_again),
        cmocka_unit_test(a_call_that_ends_gives_its_answer),
        cmocka_unit_test(a_call_that_hangs_is_left_behind_and_frees_itself_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
