/* host_query.h - answers that wait for hypervisors: could this guest be moved, other limits, stop
 *
 * The client's reply is held until the workers have answered, or its time is over. Nothing is stored
 * but an answer of several pages: after a restart of the broker the client asks again, and so are they. */
#ifndef BROKER_HOST_QUERY_H
#define BROKER_HOST_QUERY_H

#include "broker/hash.h"
#include "broker/host.h"
#include "broker/model.h"
#include "store/record.h"

/* A client's request whose answer waits for hypervisors. */
/* Written by host_query.c only. */
struct host_query {
    struct net_peer peer;
    uint64_t tag;
    RmReply *reply; /* owned */
    bool pages;     /* the client reads pages */
    uint8_t token[RECORD_TOKEN];
    unsigned open; /* asks that are not answered */
    usec_t until;  /* then it is answered in any case */
    struct host_query *prev, *next;
};

/* One question to one worker. */
/* Written by host_query.c only. */
struct host_ask {
    uint64_t id;
    struct host_query *query;
    size_t outcome;                   /* of the reply, that the answer goes into */
    char *lead;                       /* what stands before why it failed; owned, may be NULL */
    struct host *host;                /* whose worker is asked */
    RmAsk *message;                   /* owned */
    uint64_t session;                 /* that was asked; 0: not yet */
    struct host_ask *h_prev, *h_next; /* host->asks.waiting, until it is asked */
    UT_hash_handle hh;                /* core->host_queries.asks by id */
};

/* What a handler wants to hear, in core->arena. */
struct host_ask_draft {
    size_t outcome;
    const char *lead;
    struct host *host;
    RmAsk *message; /* id and session are filled in later */
};

/* Takes over: the reply is sent when all have answered, or the time is over. */
void host_query_begin(struct core *core, const struct net_peer *peer, uint64_t tag,
                      const RmRequest *message, const RmReply *reply,
                      struct host_ask_draft *const *drafts, size_t n, usec_t wait_for);
void host_query_answer(struct core *core, const struct session *session, const RmAnswer *answer);
/* The session has ended, or knows nothing of what it was asked. */
void host_query_lost(struct core *core, uint64_t session);
void host_query_tick(struct core *core);
usec_t host_query_deadline(const struct core *core);
/* Nobody waits for the answers: the peer is gone; NULL: all of them are. */
void host_query_gone(struct core *core, const struct net_peer *peer);

#endif
