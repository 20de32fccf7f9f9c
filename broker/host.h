/* host.h - hypervisors: the record of each, and its parts, each with an owner of its own
 *
 * A host is known for ever once a worker has reported it or a job has named it. */
#ifndef BROKER_HOST_H
#define BROKER_HOST_H

#include "broker/capacity.h"
#include "broker/hash.h"
#include "broker/model.h"
#include "broker/queue.h"
#include "broker/session.h"

struct instance;

/* Its live jobs, in lists and numbers. */
/* Written by job.c only. */
struct host_jobs {
    struct job *leaving; /* all that move a guest away from here */
    struct job *coming;  /* all with this destination */
    unsigned n_waiting, n_doubt;
    unsigned n_sent; /* ASSIGNED or CANCELLING: the assignment may still be on its way */
};

/* Written by inventory.c only. */
struct host_shown {
    RmInventory *last; /* the newest, where the tables list the guests: read again with them */
    unsigned others;   /* that it shows and that are no guests */
    uint64_t look;     /* id of the newest request to look that the inventory came after */
};

/* Written by emptied.c only. */
struct host_emptying {
    uint64_t look;  /* id of the request to look at it, and when it was first made; 0: none */
    usec_t ask_at;  /* when it is made again */
    usec_t wait_by; /* a guest in shutdown that has not ended by then is left; 0: none was found */
};

/* Written by host_query.c only. */
struct host_asks {
    struct host_ask *waiting; /* questions that its worker has not got yet */
    unsigned n_asked;         /* those that it has and has not answered */
};

enum {
    SUSPECT_GUESTS = 3,   /* that could not come one after the other make a host suspect */
    SUSPECT_MINUTES = 10, /* since the last one of them */
};

/* Guests that could not come here, none of which has come since. */
/* Written by host.c only. */
struct host_trouble {
    uint64_t jobs[SUSPECT_GUESTS];
    unsigned n;
    usec_t until; /* it is suspect till then; 0: it is not */
    char *text;   /* why the last one could not; owned, may be NULL */
};

/* Written by host.c only. */
struct host {
    RmHost *rec; /* as on disk; owned, from malloc */
    bool dirty;  /* rec has changed in this turn */
    usec_t
        seen_at; /* wall time: newer than rec->seen_at, by a minute at most; 0: not since the start */
    struct host_link link; /* session.h: its worker */
    struct load load;      /* capacity.h */
    struct queue queue;
    struct host_jobs jobs;
    struct host_shown shown;
    struct host_asks asks;
    struct host_emptying emptying;
    struct host_trouble trouble;
    struct log_limit events;    /* that its worker has caused */
    struct log_limit rivals;    /* workers that want it as well and were told of */
    uint64_t rival;             /* the session that was told of last */
    struct instance *instances; /* domains that it shows; linked by instance.c */
    UT_hash_handle hh;          /* core->hosts by name */
};

struct host *host_find(struct core *core, const char *name);
struct host *host_make(struct core *core, const char *name); /* finds it, or makes it */
void host_restore(struct core *core, RmHost *rec);           /* from the store; taken */
void host_free_all(struct core *core);
void host_sort(struct core *core); /* core->hosts by name */

/* Records change in memory; those that did are written at the end of the turn. */
void host_write_all(struct core *core);

/* An event that its worker has caused, by what it shows or by coming and going. What that makes the
 * history grow has a bound: HOST_EVENTS in HOST_EVENTS_SPAN; the last of them says so. False: it is not
 * recorded, nor worth a line in the log. guest may be NULL. */
enum { HOST_EVENTS = 2000 };
#define HOST_EVENTS_SPAN (3600 * USEC_PER_SEC)
bool host_event(struct core *core, struct host *host, RmEventKind kind, const char *who,
                const char *guest, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* The worker of another session wants to serve it as well: an event and a line for the log, HOST_RIVALS of them in
 * HOST_EVENTS_SPAN, whoever comes how often; the last one says so. False: it was told of often enough. */
enum { HOST_RIVALS = 5 };
bool host_rival(struct core *core, struct host *host, const struct session *session,
                const char *text);

/* What its worker reports of it in a Hello. */
void host_set_worker(struct core *core, struct host *host, const RmHyp *hyp);
/* It has answered its worker just now. On disk at most a minute later. */
void host_set_seen(struct core *core, struct host *host);
usec_t host_seen_at(const struct host *host); /* wall time; 0: never */
/* What it gives to guests. */
void host_set_figures(struct host *host, uint64_t memory, uint32_t vcpus);
void host_set_cluster(struct host *host, const char *cluster);
/* As if it were open or closed, for a question: returns what it is. */
RmHostState host_suppose(struct host *host, RmHostState state);
/* Opens or closes it, with its line in the history. why: may be empty. */
void host_set_state(struct core *core, struct host *host, RmHostState state, const char *who,
                    const char *why);
/* An evacuation of it begins, or one that has begun goes on as that batch has asked; a batch waits for its end, instead of
 * another one with the same `first` (RmBatch.first, or itself); guests that were found later leave it; it is over. why:
 * as in host_set_state(), NULL: as it is. */
void host_begin_emptying(struct host *host, uint64_t of);
void host_empty_for(struct host *host, uint64_t batch, uint64_t first);
/* Nothing more is to be moved. */
void host_cancel_emptying(struct host *host, const char *who);
void host_empty_more(struct host *host);
/* That job makes room elsewhere for one of its guests. */
void host_empty_by(struct host *host, uint64_t job);
void host_end_emptying(struct host *host, const char *why);
/* Its standing holds, to be changed: hold.h. */
RmHolds *host_holds(struct host *host);
/* The guest of that job could not come here, or one has come. A host where several could not is
 * suspect: jobs that may choose go there last. The history and the log say so. */
void host_refuses(struct core *core, struct host *host, uint64_t job, const char *text);
void host_takes(struct core *core, struct host *host);
bool host_is_suspect(const struct core *core, const struct host *host);
/* A job away from it has ended. */
void host_count_end(struct host *host, RmState state);

#endif
