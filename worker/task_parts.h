/* task_parts.h - what the threads of a worker share: hypervisors, tasks, and who may act
 *
 * For task.c, which begins, stops and ends tasks, and attempt.c, which is what one of them does. */
#ifndef WORKER_TASK_PARTS_H
#define WORKER_TASK_PARTS_H

#include "worker/driver.h"
#include "worker/mailbox.h"

#include <pthread.h>
#include <stdatomic.h>

enum { TASK_NOTES_MAX = 1024 /* bytes of what a task tells the history */ };

struct served { /* a hypervisor */
    struct tasks *tasks;
    const struct driver *driver;
    struct hv *hv;
    char *name;
    atomic_uint_fast64_t look; /* id of the newest request to look at it now */
};

struct tasks {
    atomic_uint refs; /* the owner, and each thread */
    const struct env *env;
    struct mailbox mailbox; /* to the main thread */
    struct served *served;
    size_t n_served;
    atomic_bool leaving;
    atomic_uint askers;            /* questions under way */
    atomic_uint_fast64_t sequence; /* of inventories */
    pthread_mutex_t lock;          /* of the list, and of the lease */
    struct task *list;
    uint64_t lease_session;
    usec_t lease_until;
};

struct task {
    atomic_uint refs; /* its thread, the list, its aborter */
    struct tasks *tasks;
    struct served *served;
    RmAssignment *assignment; /* own copy */
    bool settle;
    bool at_source;     /* the served hypervisor is the source; otherwise the destination */
    atomic_bool stop;   /* somebody wants it stopped */
    atomic_bool moving; /* there is something to abort */
    atomic_bool ended;
    bool has_aborter; /* under the lock */
    uint64_t session; /* in which it may act; under the lock */
    bool off;         /* it was called off; under the lock */
    struct hv_migration
        *migration;    /* that runs, its limits may be changed; NULL: none; under the lock */
    atomic_bool abort; /* and what it has begun is not wanted */
    struct task *next; /* under the lock */
    /* Of its own thread: */
    bool accepted; /* reported */
    RmStats stats; /* the last figures */
    char fence[64];
    bool guest_paused;
    bool had_definition; /* the destination, before the try */
    bool autostart;      /* at the source, before the try */
    bool may_have_left;
    const char *unanswered[2]; /* hosts that may still carry out a request of it */
    size_t n_unanswered;
    char notes[TASK_NOTES_MAX];
};

/* Under the lock: until when what belongs to that session may act; 0: it may not. */
static inline usec_t lease_of(const struct tasks *tasks, uint64_t session)
{
    return session != 0 && session == tasks->lease_session ? tasks->lease_until : 0;
}

#endif
