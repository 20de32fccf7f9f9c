/* session.h - workers connected now, and what each hypervisor's worker reported of itself
 * last
 *
 * A session is one worker process from its Hello on. Its link to a host (struct host_link, a part of each
 * struct host) is who serves that host, whether the hypervisor answers, and credit: how many
 * assignments its worker will take now, absolute figures of its last Pull less what was sent since.
 *
 * Nothing here knows of jobs: what a session's end means for them is worker.c. */
#ifndef BROKER_SESSION_H
#define BROKER_SESSION_H

#include "broker/hash.h"
#include "broker/model.h"

/* What tells peers apart; unused bytes are zero. */
struct session_peer {
    uint8_t route[NET_ROUTE_MAX];
    uint32_t socket;
};

/* Written by session.c only. */
struct session {
    uint64_t id;       /* never 0; a new one for each Hello, and none that an older broker gave */
    uint64_t instance; /* of the worker's process */
    struct net_peer peer;
    char *machine, *version; /* owned */
    char *refused;           /* hypervisors that it may not serve, joined by commas; owned */
    uint32_t pid;
    usec_t connected_at; /* core->now */
    usec_t connected_wall;
    usec_t heard_at, heard_wall;
    uint64_t heard;  /* RmPull.sent of the newest pull */
    bool answer;     /* a pull came in this turn: confirm it */
    RmOrder *orders; /* of this turn, not sent yet; owned */
    size_t n_orders, orders_room;
    bool gone;  /* what was sent to it could not be delivered, and nothing has come since */
    bool waits; /* for a host that another session serves */
    bool told;  /* of it was told that it waits: once for each Hello */
    struct log_limit rivals; /* that it was told of; a new Hello begins no new interval */
    bool turns;              /* it keeps to turns (RmHello.turns) */
    unsigned n_hosts;        /* whose link is to it */
    struct session_peer key;
    UT_hash_handle hh, hh_id; /* core->sessions.by_peer, by_id */
    struct session *prev, *next;
};

/* Written by session.c only. */
struct host_link {
    struct session *session; /* NULL: no worker serves it */
    usec_t lost_at;          /* since when it is away; the start of the broker at first */
    usec_t answers_at;       /* since when its hypervisor has always answered; 0 = it does not */
    bool reachable;          /* its hypervisor answers its worker */
    bool seen;               /* an inventory came in this session */
    char *text;              /* why it does not answer; owned, may be NULL */
    uint64_t inventory;      /* sequence of the newest inventory */
    unsigned slots;
    unsigned credit; /* assignments that its worker will take now */
    uint64_t number; /* of the last assignment in this session */
};

/* ---- sessions */

/* A Hello: the peer's session, a new one or, with a new id, the one that it had. */
struct session *session_open(struct core *core, const struct net_peer *peer, const RmHello *hello);
/* It said Hello with a hypervisor that it may not serve. */
void session_refuse(struct session *session, const char *host);
/* Frees it. Nothing may be linked to it any more. */
void session_close(struct core *core, struct session *session);
void session_free_all(struct core *core);

struct session *session_of_peer(struct core *core, const struct net_peer *peer);
struct session *session_by_id(struct core *core, uint64_t id); /* NULL: it has ended */

void session_heard(struct core *core, struct session *session);
/* Its connection is no more. */
void session_gone(struct session *session);
/* Does another process serve hosts that are linked to this session? NULL as a session, one that is gone, and one that
 * has been silent for the time-out, serve none. */
bool session_is_rival(const struct core *core, const struct session *session, uint64_t instance);
/* `other` wants a host of it, and waits until it is gone: something is sent to it, by which that is found out. */
void session_probe(struct session *session, struct session *other);
/* It was told of it that it waits, or was told of others often enough. */
void session_set_told(struct session *session);
/* It was heard after another one came: it lives, and is told, but of RIVAL_ORDERS in RIVAL_SPAN at most,
 * whoever waits. text: who wants which host. */
enum { RIVAL_ORDERS = 256 /* each of its hypervisors once */ };
#define RIVAL_SPAN (3600 * USEC_PER_SEC)
void session_tell_rival(struct core *core, struct session *session, const char *text);
void session_pulled(struct session *session, const RmPull *pull);
/* For how long a worker may act, after its last confirmed Pull. */
usec_t session_lease(const struct core *core);
/* When that is over for certain, of one that ends now. */
usec_t session_over_at(const struct core *core, const struct session *session);

/* Orders of a turn go out as one message, together with the confirmation of the pull that came in it, if
 * one did: by session_send_orders() at the end of the turn, or before anything else to that worker. */
void session_order(struct session *session, RmOrderKind kind, uint64_t job, uint32_t attempt,
                   uint64_t turn);
/* ORDER_STOP. abort: what the task has begun is stopped too. */
void session_stop(struct session *session, uint64_t job, uint32_t attempt, uint64_t turn,
                  bool abort);
/* A worker that has no session, or should report again which hypervisors it serves. */
void session_order_hello(struct core *core, struct session *session, const struct net_peer *peer);
void session_assign(struct core *core, struct session *session, RmAssignment **jobs, size_t n);
void session_ask(struct core *core, struct session *session, RmAsk *ask);
void session_send_orders(struct core *core); /* of all sessions */

/* ---- links */

void host_link_init(struct host_link *link, usec_t now);
void host_link_done(struct host_link *link);
void host_link_open(struct host_link *link, struct session *session, unsigned slots);
/* The host has no worker any more. */
void host_link_close(struct core *core, struct host_link *link);
/* Its worker's connection is gone: an assignment would go nowhere. */
void host_link_hold(struct host_link *link);

/* Is that inventory newer than all before in this session? Notes it. */
bool host_link_is_newer(struct host_link *link, uint64_t sequence);
/* What its worker reports of the hypervisor. */
void host_link_answers(struct core *core, struct host_link *link, bool reachable, const char *text);

/* A Pull. sent: assignments that may still be on their way. True: its worker takes some. */
bool host_link_credit(struct host_link *link, const RmCredit *credit, unsigned sent);
/* One slot is used: the number of the assignment that goes out for it. */
uint64_t host_link_take(struct host_link *link);

/* "it has no worker", "it does not answer its worker", or why it does not: what stands behind a
 * colon. Borrowed. */
const char *host_link_trouble(const struct host_link *link);
/* Both the worker and the hypervisor answer. */
bool host_link_is_up(const struct host_link *link);

#endif
