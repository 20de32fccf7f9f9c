/* followed.h - what is known of jobs that are followed: each as it was last heard of
 *
 * The broker answers what has changed since the version that it gave last. After a restart its epoch differs and it
 * tells everything again; who is not named then has ended meanwhile, or is forgotten. */
#ifndef SUBMIT_FOLLOWED_H
#define SUBMIT_FOLLOWED_H

#define HASH_NONFATAL_OOM 1

#include "conf/env.h"
#include "submit/client.h"

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

struct followed {
    uint64_t id;
    RmJobView *view; /* the last one; owned */
    int percent;     /* -1: not known */
    usec_t ran_at;   /* since when the migration runs, by this clock; 0 = it does not */
    usec_t ended_at; /* heard of its end, by this clock; 0 = it has not ended */
    bool printed;    /* for who prints how each ended */
    uint64_t round;  /* of the last full answer that named it */
    UT_hash_handle hh;
};

/* Zeros at first. */
struct followed_jobs {
    struct followed *jobs; /* uthash by id; none has the view NULL */
    uint64_t epoch, version;
    uint64_t round; /* of full answers */
};

/* Asks for what has changed, which is held back for wait_for at most as long as nothing has. 1: it was a full
 * answer; 0: it told changes; errors of client_ask(), -ENOENT (there is no such batch or job), -EPERM, and -ETIMEDOUT
 * also where the broker says that it cannot answer yet. Its jobs are not learned yet. */
int followed_ask(struct followed_jobs *followed, struct client *client, const RmSelect *what,
                 usec_t wait_for, struct arena *arena, RmReply **ret_reply, struct rm_err *err);

/* Takes over what an answer says of one job; what is borrowed is copied. NULL: no memory. */
struct followed *followed_learn(struct followed_jobs *followed, const RmJobView *view);

/* NULL: not known. */
struct followed *followed_find(const struct followed_jobs *followed, uint64_t id);

void followed_forget(struct followed_jobs *followed, struct followed *job);
void followed_done(struct followed_jobs *followed); /* forgets all of them */

#endif
