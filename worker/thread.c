/* thread.c - threads of a worker: begun without anybody who joins them, and how they wait */
#include "worker/thread.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

/* Threads that have not ended. */
static struct {
    pthread_once_t once;
    pthread_key_t key;
    int key_result;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned running;
} all = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

struct start {
    void *(*run)(void *);
    void *arg;
};

static void count(int by)
{
    pthread_mutex_lock(&all.lock);
    all.running += (unsigned)by;
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.lock);
}

/* Of a thread's key, in the first round of destructors and, as the value is set again, in the second:
 * by then what libraries keep for each thread (OpenSSL its errors) has gone. pthread_key_create(3) */
static void end_key(void *value)
{
    static char second;
    if (value == &second || pthread_setspecific(all.key, &second) != 0)
        count(-1);
}

static void all_init(void)
{
    thread_cond_init(&all.changed);
    all.key_result = -pthread_key_create(&all.key, end_key);
}

static void *run_counted(void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    if (pthread_setspecific(all.key, &all) != 0) {
        start.run(start.arg);
        count(-1);
        return NULL;
    }
    return start.run(start.arg);
}

void thread_stays(void)
{
    pthread_setspecific(all.key, NULL);
    count(-1);
}

bool thread_all_ended(usec_t until_at)
{
    pthread_once(&all.once, all_init);
    pthread_mutex_lock(&all.lock);
    int r = 0;
    while (all.running > 0 && r == 0)
        r = thread_cond_wait(&all.changed, &all.lock, until_at);
    bool ended = all.running == 0;
    pthread_mutex_unlock(&all.lock);
    return ended;
}

int thread_start(void *(*run)(void *), void *arg)
{
    pthread_once(&all.once, all_init);
    struct start *start = malloc(sizeof(*start));
    if (!start)
        return -ENOMEM;
    if (all.key_result < 0) {
        free(start);
        return all.key_result;
    }
    *start = (struct start){.run = run, .arg = arg};
    count(1);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int r = -pthread_create(&thread, &attributes, run_counted, start);
    pthread_attr_destroy(&attributes);
    if (r < 0) {
        free(start);
        count(-1);
    }
    return r;
}

void thread_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

int thread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, usec_t until_at)
{
    struct timespec until = {.tv_sec = (time_t)(until_at / USEC_PER_SEC),
                             .tv_nsec = (long)(until_at % USEC_PER_SEC) * 1000};
    return -pthread_cond_timedwait(cond, lock, &until);
}
