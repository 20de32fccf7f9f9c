/* test_thread.c - the end of a process whose threads may be in a library's call */
#include "worker/thread.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define LONG (60 * USEC_PER_SEC)

static usec_t in(usec_t span)
{
    return env_now(env_system()) + span;
}

/* ---- a library that keeps something for each thread, as OpenSSL its errors */

static pthread_key_t library;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool open_gate, waiting;
static unsigned freed;

static void library_free(void *kept)
{
    env_sleep(env_system(), 20 * USEC_PER_MSEC); /* else it has gone before anybody can look */
    free(kept);
    pthread_mutex_lock(&lock);
    freed++;
    pthread_mutex_unlock(&lock);
}

static void *use_library(void *arg)
{
    (void)arg;
    pthread_setspecific(library, malloc(904));
    return NULL;
}

static void *hang(void *arg)
{
    pthread_mutex_lock(&lock);
    waiting = true;
    pthread_cond_broadcast(&changed);
    while (!open_gate)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return use_library(arg);
}

static void *stay(void *arg)
{
    thread_stays();
    return hang(arg);
}

static void begin(void *(*run)(void *))
{
    pthread_mutex_lock(&lock);
    open_gate = waiting = false;
    freed = 0;
    assert_int_equal(thread_start(run, NULL), 0);
    while (run != use_library && !waiting)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

static void let_go(void)
{
    pthread_mutex_lock(&lock);
    open_gate = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static unsigned freed_now(void)
{
    pthread_mutex_lock(&lock);
    unsigned n = freed;
    pthread_mutex_unlock(&lock);
    return n;
}

/* ---- tests */

static void without_threads_all_have_ended(void **state)
{
    (void)state;
    assert_true(thread_all_ended(0));
}

static void a_thread_has_ended_when_its_libraries_have_freed_what_they_kept(void **state)
{
    (void)state;
    begin(use_library);
    assert_true(thread_all_ended(in(LONG)));
    assert_int_equal(freed_now(), 1);
}

static void a_thread_that_hangs_is_not_waited_for(void **state)
{
    (void)state;
    begin(hang);
    assert_false(thread_all_ended(in(USEC_PER_MSEC)));
    let_go();
    assert_true(thread_all_ended(in(LONG)));
    assert_int_equal(freed_now(), 1);
}

static void a_thread_that_stays_is_not_counted(void **state)
{
    (void)state;
    begin(stay);
    assert_true(thread_all_ended(0));
    let_go();
    while (freed_now() == 0)
        env_sleep(env_system(), USEC_PER_MSEC);
    assert_true(thread_all_ended(0)); /* nor when it ends after all */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_threads_all_have_ended),
        cmocka_unit_test(a_thread_has_ended_when_its_libraries_have_freed_what_they_kept),
        cmocka_unit_test(a_thread_that_hangs_is_not_waited_for),
        cmocka_unit_test(a_thread_that_stays_is_not_counted),
    };
    if (pthread_key_create(&library, library_free) != 0)
        return EXIT_FAILURE;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
