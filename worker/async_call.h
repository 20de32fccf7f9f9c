/* async_call.h - a blocking call with a deadline: it runs in a thread of its own, the caller waits
 * as long as it likes
 *
 * A library that may block for ever (libvirt, when a daemon is stopped) is called like this:
 *
 *     struct ask {
 *         struct call call; first member
 *         ... what is asked, what came back ...
 *     };
 *     call_init(&ask->call, run, release);
 *     r = call_start(&ask->call, bell);
 *     if (r == 0)
 *         r = call_wait(&ask->call, env_now(env_system()) + timeout);
 *     call_unref(&ask->call);
 *
 * When the wait ends with -ETIMEDOUT the call is an orphan: it goes on in its thread until the
 * library lets it return, and what it was given must stay valid that long. So a call owns all that
 * it touches: copies of strings, references to the rest, given back in release(), which runs when
 * the last of caller and thread lets go. The caller may read what came back only after call_wait()
 * gave 0 or call_ended() gave true. */
#ifndef WORKER_ASYNC_CALL_H
#define WORKER_ASYNC_CALL_H

#include "conf/env.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum { CALLS_MAX = 2048 }; /* of this process at once, orphans included */

/* Rings when something has ended: a descriptor for poll(2). Shared by reference, since an orphan
 * may ring late. */
struct bell;
struct bell *bell_new(void);        /* NULL: no memory, no descriptors */
void bell_unref(struct bell *bell); /* NULL is fine */
void bell_ring(struct bell *bell);
void bell_clear(struct bell *bell);
int bell_fd(const struct bell *bell);

struct call {                           /* private, apart from its address */
    void (*run)(struct call *call);     /* in the thread */
    void (*release)(struct call *call); /* frees it */
    struct bell *bell;                  /* rung at the end; NULL: none */
    atomic_uint refs;
    pthread_mutex_t lock;
    pthread_cond_t condition;
    bool ended;
};

void call_init(struct call *call, void (*run)(struct call *), void (*release)(struct call *));
struct call *call_ref(struct call *call);
void call_unref(struct call *call); /* NULL is fine */

/* 0, or -EAGAIN: CALLS_MAX are under way, or no thread could be made. bell may be NULL. */
int call_start(struct call *call, struct bell *bell);
int call_wait(struct call *call,
              usec_t until_at); /* 0, or -ETIMEDOUT; until_at as env_system() counts */
bool call_ended(struct call *call);

/* How many are under way in this process, orphans included. */
unsigned calls_active(void);

#endif
