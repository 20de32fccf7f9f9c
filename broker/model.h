/* model.h - the memory of the broker: where everything hangs, and what every part of it needs
 *
 * struct core holds the indexes; each part of it, and each struct that hangs on them, has one file
 * that writes it, named right before it. Everybody may read. What is here is either rebuilt from the
 * store at start (jobs, guests, hosts, batches) or reported again by the peers (sessions, inventories,
 * subscribers).
 *
 * Bookkeeping that finds no memory ends the broker (conf/array.h: must), which loses nothing by it.
 * core->arena is for one input or tick; it has a limit, since answers grow with what was asked: what
 * grows with an answer takes NULL for "no more", all else comes from core_alloc() and its like. */
#ifndef BROKER_MODEL_H
#define BROKER_MODEL_H

#include "broker/journal.h"
#include "broker/meter.h"
#include "conf/conf.h"
#include "conf/env.h"
#include "conf/err.h"
#include "conf/log.h"
#include "store/store.h"
#include "wire/msg.h"
#include "wire/net.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct attr_site;
struct batch;
struct guest;
struct host;
struct host_ask;
struct host_query;
struct job;
struct learned;
struct names;
struct rules;
struct session;
struct subscriber;

enum {
    STATE_COUNT = 10, /* RmState values */
};

/* A message that leaves when the turn is on disk. */
/* Written by model.c only. */
struct out {
    struct net_peer peer;
    uint8_t *frame; /* owned */
    size_t length;
    struct out *prev, *next;
};

/* A line for the log. */
/* Written by model.c only. */
struct note {
    enum notice notice;
    enum log_level level;
    char *text; /* owned */
    struct note *prev, *next;
};

/* Who asked for a change in this turn, to be told when that cannot be written. */
/* Written by model.c only. */
struct asked {
    struct net_peer peer;
    uint64_t tag;
    struct asked *prev, *next;
};

/* What one turn leaves behind. */
/* Written by model.c only. */
struct turn {
    int failed; /* a store error in this turn: the commit will fail with it */
    struct rm_err failure;
    struct asked *asked;
    struct out *outs, *sent; /* sent: the one that was handed out last */
    size_t out_bytes;
    struct note *notes, *noted; /* noted: as sent */
};

/* Whose refusals were written into the history lately. */
/* Written by model.c only. */
struct denials {
    struct denied *by_user; /* uthash */
};

/* Guests that are forgotten. */
/* Written by inventory.c only. */
struct forgetting {
    size_t kept; /* how many there were when that was done last */
};

/* The live jobs. */
/* Written by job.c only. */
struct jobs {
    struct job *by_id;   /* uthash */
    struct job *waiting; /* WAITING by ready_at */
    struct job *doubt;   /* DOUBT */
    struct job *dirty;   /* whose record is to be written */
    unsigned n_active;   /* active migrations of the whole site */
    unsigned n_doubt;    /* those in DOUBT */
    usec_t order_at;     /* no job's order_at is earlier */
};

/* Written by session.c only. */
struct sessions {
    struct session *first, *by_peer, *by_id;
    uint64_t last_id;
};

/* Written by host_query.c only. */
struct host_queries {
    struct host_query *first;
    struct host_ask *asks; /* uthash by id */
    uint64_t last_id;
};

/* Requests that wait until hypervisors have shown themselves after a start. */
/* Written by dispatch.c only. */
struct held {
    struct net_peer peer;
    uint64_t tag;
    RmRequest *message; /* owned, from malloc */
    struct held *prev, *next;
};
/* Written by dispatch.c only. */
struct held_requests {
    struct held *first;
    unsigned n;
    usec_t again_at; /* when they are tried again */
};

/* Written by tidy.c only. */
struct tidies {
    uint64_t last_id;
};

/* Written by subscribe.c only. */
struct subscribers {
    struct subscriber *first; /* whose turn it is first */
    unsigned n;
    size_t n_ids;   /* that all of them keep */
    uint64_t looks; /* that answering them took in this turn */
    bool more;      /* there was more to do than one turn may take */
};

/* Written by hold.c only. */
struct holds {
    RmHolds *site; /* standing holds of the whole site; owned, NULL until there is one */
};

/* Written by schedule.c only. */
struct schedule {
    uint64_t read;     /* position in the journal: what may let a job start is seen up to here */
    struct host *turn; /* whose queue is looked at first */
    usec_t check_at;   /* hosts that stay away */
};

/* Written by batch.c only. */
struct idle_batches {
    struct batch *first; /* DL, the longest idle first */
    size_t n;
};

/* Written by retention.c only. */
struct retention {
    usec_t next_at;                /* when something is forgotten, or looked for */
    uint64_t next_job, next_batch; /* where that goes on */
    uint64_t n_kept;               /* jobs before next_job that are still needed */
    usec_t began_at; /* the clock as it was then is believed in, and what has passed since */
    usec_t began_wall;
    usec_t by_age_at; /* before that nothing is old */
};

/* Written by core.c only. */
struct core {
    const struct conf_broker *conf;
    struct store *store;
    usec_t now, wall;
    uint64_t epoch;
    usec_t started_wall;
    usec_t started_at;
    usec_t trim_at;
    uint64_t names_read;    /* position in the journal: jobs that have ended, for names.h */
    struct arena *arena;    /* of one input or tick */
    struct attr_site *attr; /* the site tables: nodes, groups, attributes */
    struct journal *journal;
    struct meter meter; /* what has happened since core_new(): meter.h */
    struct turn turn;
    struct denials denials;
    struct jobs jobs;
    struct guest *guests; /* uthash by name; linked by guest.c */
    struct forgetting forgetting;
    struct guest *marked;  /* those with marks; linked by guest.c */
    unsigned n_twins;      /* guests with RmGuest.shares; written by guest.c */
    unsigned n_locked;     /* guests that are locked; written by guest.c */
    struct host *hosts;    /* uthash by name; linked by host.c */
    struct batch *batches; /* uthash by id; linked by batch.c */
    struct idle_batches idle_batches;
    uint64_t
        n_again; /* jobs tried again since the start: batch_all() may say more; written by batch.c */
    struct sessions sessions;
    struct host_queries host_queries;
    struct held_requests held;
    struct tidies tidies;
    struct subscribers subscribers;
    struct holds holds;
    struct log_limit no_room; /* requests that the store had no room for; written by request.c */
    struct schedule schedule;
    struct retention retention;
    struct names *names;     /* what guests are called: names.h */
    struct rules *rules;     /* what holds them: rules.h */
    struct learned *learned; /* how long migrations took: learned.h */
};

/* Drops what the last turn left behind, before the next one, the first one and the end. */
void core_turn_drop(struct core *core);
/* The next message and the next line for the log of this turn, each once; NULL: there is none. */
const struct out *core_turn_out(struct core *core);
const struct note *core_turn_note(struct core *core);

/* A record could not be written: the turn will fail. */
void core_fail(struct core *core, int r, const char *what);
/* core_fail() if r is negative. */
void core_check_write(struct core *core, int r, const char *what);
/* The peer has asked for a change in this turn. */
void core_asked(struct core *core, const struct net_peer *peer, uint64_t tag);
struct asked *core_take_asked(struct core *core); /* all of them, to be freed one by one */
/* A line for the log. */
void core_notice(struct core *core, enum notice notice, enum log_level level, const char *format,
                 ...) __attribute__((format(printf, 4, 5)));
#define core_note(core, level, ...) core_notice((core), NOTICE_NONE, (level), __VA_ARGS__)
/* Queues a message for the end of the turn; packed at once. */
void core_send(struct core *core, const struct net_peer *peer, uint64_t tag, RmMessage *message);
/* The same for the reply to a request. */
void core_reply(struct core *core, const struct net_peer *peer, uint64_t tag, RmReply *reply);
/* An event that concerns no job. host and guest may be NULL. */
void core_event(struct core *core, RmEventKind kind, const char *who, const char *host,
                const char *guest, const char *format, ...) __attribute__((format(printf, 6, 7)));
/* The same of a host whose evacuation, which that batch asked for, is over; text: its account. */
void core_event_emptied(struct core *core, const char *host, uint64_t batch, bool empty,
                        const char *text);
/* Somebody was refused what he may not do: an event, and a line for the log. What one peer can make
 * grow by it has bounds: DENIED_BURST events in DENIED_SPAN for each user, of DENIED_TEXT bytes; the last
 * of them says that no more follow. host may be NULL. */
enum { DENIED_BURST = 20, DENIED_TEXT = 1000, DENIED_USERS = 256 /* that are told apart */ };
#define DENIED_SPAN (3600 * USEC_PER_SEC)
void core_denied(struct core *core, const char *who, const char *host, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void core_denials_drop(struct core *core); /* at the end */
/* A line in the journal; returns its position. */
uint64_t core_changed(struct core *core, enum change_kind kind, const struct host *host);

/* From core->arena; never NULL. For what is small and bounded. */
void *core_alloc(struct core *core, size_t size); /* zeroed */
char *core_strdup(struct core *core, const char *text);
char *core_printf(struct core *core, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* ARENA_PUSH of wire/msg.h in core->arena, that cannot fail. */
#define CORE_PUSH(core, n, list, item) core_push((core), &(n), (void ***)(void *)&(list), (item))
void core_push(struct core *core, size_t *n, void ***list, void *item);

/* The string of a record that is freed with its x__free_unpacked(), or that a struct owns in the same
 * way: text (may be NULL or the present one's own) is copied, what was there is freed. */
void text_set(char **field, const char *text);

static inline bool peer_is(const struct net_peer *a, const struct net_peer *b)
{
    return a->socket == b->socket && a->route_length == b->route_length &&
           memcmp(a->route, b->route, a->route_length) == 0;
}

#endif
