/* thread.h - threads of a worker: begun without anybody who joins them, and how they wait
 *
 * Points in time are as env_system() counts. */
#ifndef WORKER_THREAD_H
#define WORKER_THREAD_H

#include "conf/env.h"

#include <pthread.h>
#include <stdbool.h>

/* A detached thread. 0 or a negative errno. */
int thread_start(void *(*run)(void *), void *arg);

/* Said by a thread that lives as long as the process: nobody waits for it. Once. */
void thread_stays(void);

/* Whether all threads have ended, with what libraries keep for each, by until_at; waits. If not, exit()
 * would take the libraries down under them: the process ends by _exit(). */
bool thread_all_ended(usec_t until_at);

/* A condition whose waits have deadlines on the monotonic clock. */
void thread_cond_init(pthread_cond_t *cond);

/* With the lock held: until somebody signals, or without a reason. 0, or -ETIMEDOUT. */
int thread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, usec_t until_at);

#endif
