/* thread.c - threads of a worker: begun without anybody who joins them, and how they wait */
#include "worker/thread.h"

#include <time.h>

int thread_start(void *(*run)(void *), void *arg)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    int r = -pthread_create(&thread, &attributes, run, arg);
    pthread_attr_destroy(&attributes);
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
