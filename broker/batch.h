/* batch.h - the jobs of one request: how many are in which state
 *
 * A batch is held while it has live jobs or somebody waits for its jobs, and for BATCH_IDLE_SECONDS after
 * that: who waits asks again and again, and between two questions nobody seems to. Afterwards it is
 * counted from the store when somebody asks. */
#ifndef BROKER_BATCH_H
#define BROKER_BATCH_H

#include "broker/hash.h"
#include "broker/model.h"

enum {
    BATCH_IDLE_SECONDS = 60,
    BATCH_IDLE_MAX = 4096, /* more are not held for so long: anybody may ask for any batch */
};

/* Written by batch.c only. */
struct batch {
    uint64_t id;
    uint64_t counts[STATE_COUNT]; /* its jobs by state, all of them; NO_STATE: forgotten */
    uint64_t live;                /* its live jobs that are in memory */
    unsigned n_subscribers;
    RmHostList **lists; /* as in its record; owned */
    size_t n_lists, lists_room;
    uint64_t again; /* the newest batch that tries its jobs again, if any did since it is held */
    bool is_idle; /* in core->idle_batches, the longest idle first; it may have become busy there */
    usec_t idle_since;
    struct batch *i_prev, *i_next;
    UT_hash_handle hh; /* core->batches by id */
};

struct batch *batch_find(struct core *core, uint64_t id); /* NULL: it is not held */
/* A new one: writes its record. Without jobs it is not held: NULL. */
struct batch *batch_make(struct core *core, const RmBatch *rec);
/* One that is there gets n more jobs. NULL: the store has no such batch. */
struct batch *batch_extend(struct core *core, uint64_t id, uint64_t first, uint64_t n);
/* Hosts that jobs of it may go to, kept once for all of them: RmJob.to_list. 0: the job keeps them itself,
 * since there are few of them, or the batch has BATCH_LISTS_MAX different lists. batch may be NULL. */
enum { BATCH_LISTS_MAX = 16 };
uint32_t batch_list(struct core *core, struct batch *batch, char *const *hosts, size_t n);
/* The lists of a batch: how many there are. Borrowed as below. */
size_t batch_lists(struct core *core, uint64_t id, RmHostList ***ret_lists);
/* All hosts that a job may go to; none: any. Borrowed: as long as the batch is held, or else in core->arena. */
struct batch_hosts {
    char *const *names;
    size_t n;
};
struct batch_hosts batch_hosts_of(struct core *core, const RmJob *ask);
/* The same of a job in memory; batch as job->batch. */
struct batch_hosts batch_hosts(const struct batch *batch, const RmJob *ask);
/* An evacuation of that host is over: what is to be said of it to those who wait for the batch. left: guests on it,
 * as far as that is known. */
void batch_account(struct core *core, uint64_t id, const struct host *host, bool ok, uint64_t left,
                   const char *text);
/* For a live job of it, at start: with what the store has of its other jobs. NULL: the store has no
 * such batch. */
struct batch *batch_restore(struct core *core, uint64_t id);
void batch_free_all(struct core *core);

/* A job of it is made; has another state (from or to may be NO_STATE); has ended. batch may be NULL. */
void batch_begin(struct batch *batch);
void batch_move(struct batch *batch, RmState from, RmState to);
void batch_end(struct core *core, struct batch *batch);

/* Somebody waits for its jobs; does no longer. batch may be NULL. */
void batch_watch(struct batch *batch);
void batch_unwatch(struct core *core, struct batch *batch);

/* Those that were idle for long enough are held no longer. */
void batch_tick(struct core *core);

/* A job that has ended is tried again: its batch does not count it any more, and has the other one.
 */
void batch_tries_again(struct core *core, const RmJob *old, uint64_t job, uint64_t batch);
/* There was nothing to do any more: its batch does not count it any more. */
void batch_settles(struct core *core, const RmJob *old);
/* Is that host one of those that the batch's jobs empty? */
bool batch_is_of_host(const RmBatch *rec, const char *host);
/* It becomes one. */
void batch_evacuates(struct core *core, uint64_t id, const struct host *host);
/* The batch and those that try its jobs again, and theirs, each once. Owned by the caller. */
uint64_t *batch_all(struct core *core, uint64_t id, size_t *ret_n);

/* Its jobs by state (NO_STATE: forgotten), but for those that are tried again, from memory or from the store.
 * -ENOENT: there is no such batch. */
int batch_count(struct core *core, uint64_t id, uint64_t counts[static STATE_COUNT]);

#endif
