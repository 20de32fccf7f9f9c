/* state.h - what the broker holds in memory: live jobs, guests, hosts, sessions, batches, followers
 *
 * Inside broker/ only. Everything here is either rebuilt from the store at start (jobs, guests,
 * hosts, batches) or told anew by the peers (sessions, inventories, followers). Only the owner
 * named at a field changes it. */
#ifndef BROKER_STATE_H
#define BROKER_STATE_H

#define HASH_NONFATAL_OOM 1

#include "broker/core.h"
#include "conf/env.h"
#include "conf/log.h"
#include "store/noderange.h"
#include "store/record.h"
#include "store/table.h"
#include "wire/job.h"
#include "wire/msg.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum {
    STATE_STATES = 10, /* RmState values */
    STATE_FINISHED_MAX =
        65536, /* finished jobs that followers can be told of without reading the store */
    STATE_FOLLOWERS_MAX = 10000,
    STATE_OUT_MAX = 256 * 1024 * 1024, /* bytes that wait to be sent at the end of one turn */
};

struct job {
    uint64_t id;
    RmJob *ask;  /* as submitted; owned, from malloc */
    RmLive live; /* as on disk; its strings are owned by the job (see job_set) */
    struct guest *guest;
    struct host *source;
    struct host *destination; /* NULL until chosen */
    struct batch *batch;
    RmStats stats;     /* of the running try; volatile */
    const char *phase; /* static */
    char *why;         /* why it waits, for people; owned, may be NULL; volatile */
    uint64_t changed;  /* core->version of its last change */
    usec_t ready_at;   /* WAITING: when it is queued again, USEC_NEVER = paused */
    usec_t order_at;   /* CANCELLING: when the wish is repeated; ASSIGNED: when it counts as lost */
    usec_t settle_at;  /* DOUBT: when somebody is asked (again) */
    uint64_t holder;   /* session that has it in hand; 0 = not known, after a start */
    uint64_t settler;  /* DOUBT: session that was asked; 0 = none */
    usec_t quiet_at;   /* DOUBT: until then an older worker may still begin what it was given */
    UT_hash_handle hh; /* core->jobs by id */
    struct job *q_prev,
        *q_next; /* source->queue (QUEUED) or core->waiting (WAITING) or core->doubt (DOUBT) */
    struct job *s_prev, *s_next; /* source->leaving: every live job away from it */
    struct job *d_prev, *d_next; /* destination->coming: every live job to it */
    struct job *r_prev, *r_next; /* core->recent: the last changed first */
};

/* A domain as one hypervisor shows it. */
struct sighting {
    struct guest *guest;
    struct host *host;
    char uuid[40];
    RmGuestState state;
    uint64_t memory;
    unsigned vcpus;
    bool migrating;
    bool counted;                     /* its memory is part of host->used */
    struct sighting *g_prev, *g_next; /* guest->sightings */
    struct sighting *h_prev, *h_next; /* host->sightings */
};

struct guest {
    RmGuest *rec;    /* as on disk; owned, from malloc */
    struct job *job; /* the live one, or NULL */
    struct sighting *sightings;
    usec_t settled_at; /* when its last job moved it; 0 = none has since the start */
    usec_t double_at;  /* seen running on two hosts since; 0 = not */
    bool double_told;
    usec_t tidy_at;    /* when its host is asked again to remove a copy that was left */
    bool stored;       /* rec is in the store; false: known from inventories only */
    UT_hash_handle hh; /* core->guests by name */
};

struct host {
    RmHost *rec;             /* as on disk; owned */
    bool dirty;              /* rec changed in this turn */
    struct session *session; /* NULL: no worker serves it */
    usec_t lost_at;          /* since when; the start of the broker at first */
    bool reachable;          /* its hypervisor answers its worker */
    bool seen;               /* an inventory came in this session */
    char *text;              /* why it does not answer; owned */
    RmInventory *last;       /* z/VM: the newest, read again when the tables name other user ids */
    unsigned others;         /* z/VM: user ids that are logged on and no guests */
    struct ask *asks;        /* questions that wait for its worker */
    unsigned n_asked;        /* those that its worker has in hand */
    uint64_t inventory;      /* sequence of the newest inventory */
    struct sighting *sightings;
    unsigned active; /* sightings that are active */
    uint64_t used;   /* bytes of its active guests, but for those that `promised` counts */
    unsigned used_vcpus;
    uint64_t promised; /* bytes of guests that live jobs bring here */
    unsigned promised_vcpus;
    unsigned promised_guests; /* how many */
    uint64_t arriving;        /* the part of it that active jobs bring */
    unsigned arriving_vcpus;
    struct job *queue;                                  /* QUEUED, by priority and id */
    struct job *leaving;                                /* all live jobs away from here */
    struct job *coming;                                 /* all live jobs with this destination */
    unsigned n_queued, n_waiting, n_doubt, n_out, n_in; /* n_out, n_in: active migrations */
    unsigned n_sent; /* ASSIGNED or CANCELLING: the assignment may still be on its way */
    unsigned slots;
    unsigned credit;   /* assignments that its worker will take now */
    uint64_t number;   /* of the last assignment in this session */
    bool evacuating;   /* live jobs of an evacuation leave it */
    UT_hash_handle hh; /* core->hosts by name */
};

struct session {
    uint64_t id;
    uint64_t instance;
    struct net_peer peer;
    char *machine, *version; /* owned */
    uint32_t pid;
    usec_t connected_wall;
    usec_t heard_at, heard_wall;
    uint64_t heard; /* RmPull.sent of the newest pull */
    bool answer;    /* a pull came in this turn: confirm it */
    struct session *prev, *next;
};

struct batch {
    RmBatch *rec;
    uint64_t counts[STATE_STATES]; /* its jobs by state, all of them */
    uint64_t live;
    UT_hash_handle hh;
};

struct follower {
    struct net_peer peer;
    uint64_t tag;
    uint64_t *ids; /* owned, sorted; NULL: see batch and host */
    size_t n_ids;
    uint64_t batch;    /* 0 = any */
    struct host *host; /* NULL = any */
    uint64_t version;
    usec_t until;      /* answered then in any case */
    usec_t not_before; /* and no sooner than this */
    struct follower *prev, *next;
};

/* A client's request whose answer waits for hypervisors. */
struct question {
    struct net_peer peer;
    uint64_t tag;
    RmReply *reply; /* owned */
    unsigned open;  /* asks that are not answered */
    usec_t until;   /* then it is answered in any case */
    struct question *prev, *next;
};

struct ask {
    uint64_t id;
    struct question *question;
    size_t outcome;              /* of the reply, that the answer goes into */
    char *lead;                  /* what stands before why it failed; owned, may be NULL */
    struct host *host;           /* whose worker is asked */
    RmAsk *message;              /* owned */
    uint64_t session;            /* that was asked; 0: not yet */
    struct ask *h_prev, *h_next; /* host->asks, until it is asked */
    UT_hash_handle hh;           /* core->asks by id */
};

struct out {
    struct net_peer peer;
    uint8_t *frame; /* owned */
    size_t length;
    struct out *next;
};

struct note {
    int level;
    char *text;
    struct note *next;
};

struct finished {
    uint64_t version;
    uint64_t id, batch;
    struct host *source;
};

struct core {
    const struct conf_broker *conf;
    struct store *store;
    usec_t now, wall;
    uint64_t epoch;
    usec_t started_wall;
    usec_t started_at;
    struct arena *arena; /* of one input or tick */
    int failed;          /* a store error in this turn: the commit will fail with it */
    struct rm_err failure;
    struct job *jobs;    /* uthash by id */
    struct job *waiting; /* WAITING by ready_at */
    struct job *doubt;   /* DOUBT */
    struct job *recent;  /* all live jobs, the last changed first */
    struct guest *guests;
    struct host *hosts;
    struct batch *batches;
    struct session *sessions;
    uint64_t last_session;
    unsigned n_active;         /* active migrations of the whole site */
    uint64_t version;          /* counts changes, for followers */
    struct finished *finished; /* ring of STATE_FINISHED_MAX */
    uint64_t n_finished;       /* since the start */
    struct follower *followers;
    unsigned n_followers;
    struct question *questions;
    struct ask *asks;
    uint64_t last_ask;
    struct out *outs, **outs_end, *sent;
    size_t out_bytes;
    struct note *notes, **notes_end, *told;
    bool assign;     /* something changed that may let a job start */
    usec_t order_at; /* when wishes are repeated */
    usec_t trim_at;
    usec_t check_at;   /* hosts that stay away */
    struct host *turn; /* whose queue is looked at first */
    struct log_limit denied;
    struct attr_site *attr;   /* the site tables: nodes, groups, attributes */
    struct names *names;      /* guests that are called otherwise than their nodes; see names.c */
    struct zvm *zvm;          /* user ids of z/VM that are nodes; see zvm.c */
    bool names_stale;         /* the tables may say something else of both now */
    struct noderange exclude; /* exclude_nodes, as of the last request_exclude() */
};

static inline bool peer_is(const struct net_peer *a, const struct net_peer *b)
{
    return a->socket == b->socket && a->route_length == b->route_length &&
           memcmp(a->route, b->route, a->route_length) == 0;
}

/* ---- core.c */

/* A record could not be written: the turn will fail. */
void core_fail(struct core *core, int r, const char *what);
void core_note(struct core *core, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Queues a message for the end of the turn; packed at once. */
void core_send(struct core *core, const struct net_peer *peer, uint64_t tag, RmMessage *message);

struct host *host_find(struct core *core, const char *name);
struct host *host_called(struct core *core, const char *name); /* z/VM: in any case of letters */
struct host *host_make(struct core *core, const char *name); /* NULL: no memory (the turn fails) */
void host_changed(struct core *core,
                  struct host *host); /* its record is written at the end of the turn */
struct guest *guest_find(struct core *core, const char *name);
struct guest *guest_make(struct core *core, const char *name);
void guest_write(struct core *core, struct guest *guest);
struct job *job_find(struct core *core, uint64_t id);
struct batch *batch_find(struct core *core, uint64_t id);

/* An event that concerns no job. */
void site_event(struct core *core, RmEventKind kind, const char *who, const char *host,
                const char *guest, const char *format, ...) __attribute__((format(printf, 6, 7)));

/* ---- job life: life.c */

/* The one function that moves a job: asserts the table, writes record and event, keeps every index
 * true. who: name of whoever did it. text (may be NULL) goes into the event and, when it says why a
 * job failed or waits, into the record. Set the fields of job->live that go with the move before.
 * After a move to a final state the job is gone: use job_finish() for those. */
void job_move(struct core *core, struct job *job, RmEventKind event, const char *who,
              const char *text);

/* The same into a final state; fills the result from report (may be NULL). The job is freed. */
struct ending {
    const char *text;
    const RmReport *report;
    bool locked;
    bool already;
    struct host *place; /* where the guest is now; NULL: as the record says */
};
void job_finish(struct core *core, struct job *job, RmEventKind event, const char *who,
                const struct ending *ending);

/* An event that moves nothing. */
void job_note(struct core *core, struct job *job, const char *who, const char *text);

/* Sets or changes the destination (NULL: none) with everything that is promised there. Memory only.
 */
void job_set_destination(struct core *core, struct job *job, struct host *host);
void job_set(char **field, const char *text);                       /* owned string of live */
void job_why(struct core *core, struct job *job, const char *text); /* volatile; tells followers */
void job_touch(struct core *core, struct job *job);                 /* followers are told */

/* Makes a job from what was asked (taken; from malloc). destination may be NULL. */
struct job *job_submit(struct core *core, RmJob *ask, struct guest *guest, struct host *source,
                       struct host *destination, struct batch *batch);
/* From the store, at start. Takes both. */
int job_restore(struct core *core, RmJob *ask, RmLive *live);
void job_free(struct core *core, struct job *job);

/* ---- session.c: workers */
void session_input(struct core *core, const struct net_peer *peer, char *const *hosts,
                   const RmMessage *message);
void session_tick(struct core *core);
usec_t session_deadline(const struct core *core);
void session_end(struct core *core, struct session *session, const char *why);
struct session *session_of_peer(struct core *core, const struct net_peer *peer);
/* The host lost its worker, or its worker forgot it: what it had in hand is in doubt. quiet_at: see
 * struct job. */
void session_lose_job(struct core *core, struct job *job, const char *why, usec_t settle_in,
                      usec_t quiet_at);
/* A job in doubt is in somebody's hands, and goes on. */
void session_goes_on(struct core *core, struct session *session, struct job *job, const char *text);
struct session *session_by_id(struct core *core, uint64_t id); /* NULL: it has ended */

/* ---- sightings and inventories: sight.c */
void sight_inventory(struct core *core, struct host *host, const RmInventory *inventory);
void sight_clear(struct core *core, struct host *host);
/* The members of z/VM, after their user ids have got other names. */
void sight_again(struct core *core);
/* The guest was moved by a job: shown at its destination before the next inventory comes. paused:
 * as it was before. */
void sight_moved(struct core *core, struct guest *guest, struct host *from, struct host *to,
                 bool paused);
/* Where the guest is: the host that shows it active, or NULL with a text why there is none or not
 * one. */
struct host *sight_place(struct core *core, struct guest *guest, char *why, size_t size);
const struct sighting *sight_at(const struct guest *guest, const struct host *host);
/* A paused copy where a try behind the fence may have left one (RmLive.left), while the guest runs
 * elsewhere: it never ran, and is nothing but a leftover. */
bool sight_is_left(struct core *core, const struct guest *guest, const struct sighting *s);
/* vm.host of the table against the truth: 1 when it was wrong and was mended, 0 when right or
 * nothing is known. */
int sight_mend_table(struct core *core, struct guest *guest, const struct host *host,
                     const char *who);
/* What the table says of vm.host, through groups and patterns; in the arena, or NULL. */
const char *sight_table_host(struct core *core, const char *name);

/* ---- names.c: nodes whose guests have another name
 *
 * A node whose vm.othersettings holds `domain:NAME` has the domain NAME for its guest. Everywhere a
 * guest is called like its node; only hypervisors know the domain's name. */
int names_new(struct core *core);
void names_free(struct names *names); /* NULL is fine */
/* Brings everything up to date when the tables have changed; guests get their new names then. */
void names_tick(struct core *core);
/* A job has ended, which may have kept an old name alive. */
void names_job_ended(struct core *core);
/* The node whose guest that domain is; a domain whose name belongs to a node with another domain is
 * called %NAME. In core->arena or borrowed. */
const char *names_node(struct core *core, const char *domain);
/* The name of the node's domain. Borrowed. */
const char *names_domain(struct core *core, const char *node);
/* A domain that is no node's guest is called so. */
bool names_is_nobodys(const char *name);
/* What there is to say of a name that has no guest: "", ", its domain is vm7" and so on. In
 * core->arena. */
const char *names_remark(struct core *core, const char *node);
/* Calls f for each node that the table gives a domain which another node has already. */
void names_each_clash(struct core *core,
                      void (*f)(void *ctx, const char *node, const char *domain, const char *other),
                      void *ctx);

/* ---- zvm.c: what is special about z/VM */
int zvm_refresh(struct core *core); /* reads the tables anew */
void zvm_free(struct zvm *zvm);     /* NULL is fine */
bool zvm_keeps(const struct core *core);
/* The node whose guest a user id on that member is, or NULL: it is no guest. */
const char *zvm_node(struct core *core, const char *userid, const struct host *host);
const char *zvm_userid(struct core *core, const char *node); /* or NULL: no guest of z/VM */
const char *zvm_name(const RmGuest *guest);                  /* its user id */
const char *zvm_speech(const struct host *host); /* through what its worker speaks to it */
bool zvm_may_go(const struct host *from, const struct host *to, char *why, size_t size);
/* zvm.hcp of a member, in core->arena, or NULL. */
const char *zvm_hcp(struct core *core, const struct host *host);
bool zvm_needs_hcp(struct core *core, const char *node);
/* What the table zvm says wrongly of a guest that runs on the host, in core->arena; or NULL. says:
 * the word for it. */
const char *zvm_wrong(struct core *core, const char *node, const struct host *host,
                      const char *says);
void zvm_mend(struct core *core, const char *node, const struct host *host);

/* ---- question.c: answers that wait for hypervisors */
struct asking { /* what a handler wants to hear, in core->arena */
    size_t outcome;
    const char *lead;
    struct host *host;
    RmAsk *message; /* id and session are filled in later */
};
/* Takes over: the reply is sent when all have answered, or the time is over. */
void question_begin(struct core *core, const struct net_peer *peer, uint64_t tag,
                    const RmReply *reply, struct asking *const *askings, size_t n, usec_t wait_for);
void question_answer(struct core *core, struct session *session, const RmAnswer *answer);
/* The session has ended, or has no hold of what it had. */
void question_lost(struct core *core, uint64_t session);
void question_tick(struct core *core);
usec_t question_deadline(const struct core *core);
void question_gone(struct core *core, const struct net_peer *peer); /* NULL: all of them */

/* ---- report.c: what workers say of jobs */
void report_input(struct core *core, struct session *session, const RmReport *report);

/* ---- recover.c: jobs in doubt */
void recover_tick(struct core *core);
usec_t recover_deadline(const struct core *core);

/* ---- queue.c: which job starts */
void queue_insert(struct host *host, struct job *job);
void queue_remove(struct host *host, struct job *job);
void queue_tick(struct core *core);
usec_t queue_deadline(const struct core *core);
/* What its worker is told of the job, in core->arena; NULL: no memory. */
RmAssignment *queue_assignment(struct core *core, struct job *job);
/* Why the next job of the host waits; "" when nothing waits. */
const char *queue_why(struct core *core, struct host *host);

/* ---- place.c: where a guest can go */
/* It does not answer yet, but may in a moment: the broker has just begun, or its worker has come
 * and not yet said what is there. A job may wait for it. */
bool place_may_come(const struct core *core, const struct host *host);
bool place_usable(struct core *core, const struct host *host, char *why, size_t size);
bool place_fits(struct core *core, const struct guest *guest, const struct host *host, char *why,
                size_t size);
/* The same, but for what is promised to jobs that have not begun: may it come now? */
bool place_fits_now(struct core *core, const struct guest *guest, const struct host *host,
                    char *why, size_t size);
uint64_t place_free(const struct host *host); /* bytes */
/* The best host of the list (n = 0: any open one) but source and the unfit ones; NULL with why. */
struct place_ask {
    struct guest *guest;
    struct host *source;
    struct host *const *to;
    size_t n_to;
    char *const *unfit;
    size_t n_unfit;
    struct host *const *never; /* being emptied */
    size_t n_never;
    struct host *chosen; /* answer of place_joint() */
    char why[512];
};
struct host *place_choose(struct core *core, struct place_ask *ask);
/* All together: places the big ones first; what one takes the next cannot have. Fills chosen and
 * why. Returns how many have no place. */
size_t place_joint(struct core *core, struct place_ask *asks, size_t n);
/* A new destination for a job after a try; NULL: there is none. */
struct host *place_again(struct core *core, struct job *job, char *why, size_t size);

/* ---- request.c: clients */
void request_input(struct core *core, const struct net_peer *peer, uint64_t tag,
                   const RmRequest *request);

/* ---- follow.c */
void follow_request(struct core *core, const struct net_peer *peer, uint64_t tag,
                    const RmFollow *follow);
void follow_tick(struct core *core);
usec_t follow_deadline(const struct core *core);
void follow_finished(struct core *core, const struct job *job);

/* ---- status.c: records and memory as people see them; all in core->arena */
RmJobView *status_job(struct core *core, const struct job *job);
RmJobView *status_finished(struct core *core, uint64_t id); /* NULL: no such result */
RmHostView *status_host(struct core *core, struct host *host);
RmWorkerView *status_worker(struct core *core, const struct session *session);

#endif
