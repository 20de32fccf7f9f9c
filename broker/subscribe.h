/* subscribe.h - clients that wait for jobs: an answer is held until something of theirs has changed
 *
 * A subscriber is forgotten when it is answered; it asks again with the version that it got, a
 * position in the journal. So nothing is lost when the broker restarts: the epoch differs, and the
 * client gets everything again.
 *
 * What they cost has a bound for each turn, in looks (TURN_LOOKS); whose turn it was not comes first in the
 * next one. */
#ifndef BROKER_SUBSCRIBE_H
#define BROKER_SUBSCRIBE_H

#include "broker/model.h"

enum {
    HELD_IDS_MAX = 4000000, /* numbers of jobs that all keep together; beyond: answered at once */
    HELD_IDS_PERCENT = 25,  /* of them for one user */
    /* What answering may take in one turn. One look is one at a line of the journal, or at a job in memory; a
     * record counts as RECORD_LOOKS, a job that is told of as ROW_LOOKS. The last answer may go beyond it. */
    TURN_LOOKS = 400000,
};

/* Written by subscribe.c only. */
struct subscriber {
    struct net_peer peer;
    uint64_t tag;
    uint64_t *ids; /* owned, sorted; NULL: none by number */
    size_t n_ids;
    uint64_t batch;    /* and all of this one; 0, and no ids: any */
    uint64_t *batches; /* owned: the batch, and those that try its jobs again */
    size_t n_batches;
    uint64_t n_again;        /* core->n_again when they were read */
    const struct host *host; /* NULL = any */
    bool pages;              /* it reads pages */
    uint64_t version;        /* what it knows: the journal up to there */
    uint64_t read;           /* nothing of it has changed from `version` up to there */
    usec_t until;            /* answered then in any case */
    usec_t not_before;       /* and no sooner than this */
    struct subscriber *prev, *next;
};

void subscribe_request(struct core *core, const struct net_peer *peer, uint64_t tag,
                       const RmRequest *message);
void subscribe_tick(struct core *core);
usec_t subscribe_deadline(const struct core *core);
/* Nobody waits there any more; NULL: nowhere. */
void subscribe_gone(struct core *core, const struct net_peer *peer);

#endif
