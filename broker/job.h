/* job.h - a job's life: how it begins, every move, how it ends
 *
 * A job is moved by these verbs and by nothing else; each asks the table of legal moves (wire/job.h),
 * keeps every index true, writes record and event, and appends to the journal. A verb takes what goes
 * with its move as arguments: nobody else writes a job, so nobody can forget a timer.
 *
 * who: name of whoever did it. text: goes into the event and, where it says why a job failed or
 * waits, into the record; NULL or empty: nothing. Times: core->now. */
#ifndef BROKER_JOB_H
#define BROKER_JOB_H

#include "broker/batch.h"
#include "broker/capacity.h"
#include "broker/guest.h"
#include "broker/hash.h"
#include "broker/host.h"
#include "broker/model.h"
#include "broker/queue.h"
#include "wire/job.h"

struct session;

/* Written by job.c only. */
struct job {
    uint64_t id;
    RmJob *ask;  /* as submitted; owned, from malloc */
    RmLive live; /* as on disk; its strings are owned by the job (text_set) */
    struct guest *guest;
    struct host *source;
    struct host *destination; /* NULL until chosen */
    struct batch *batch;      /* NULL: the store does not have it */
    struct figures promised;  /* what its destination keeps for its guest */
    RmStats stats;            /* of the running try; volatile */
    const char *phase;        /* static */
    char *why;                /* why it waits, for people; owned, may be NULL; volatile */
    usec_t no_way_since;      /* QUEUED: no destination of it is usable since; 0: one is */
    uint64_t changed;         /* position in the journal of the newest change that people see */
    usec_t ready_at;          /* WAITING: when it is queued again, USEC_NEVER = paused */
    usec_t
        order_at; /* when its holder is told (again) to stop it, to let go of it or to go on; ASSIGNED: when
                                   it counts as lost */
    usec_t settle_at; /* DOUBT: when somebody is asked (again) */
    uint64_t
        holder; /* session that has the newest turn; 0 = none has, or after a start none has said so */
    usec_t free_at;     /* no holder: when the turn before is over at the latest */
    uint64_t returning; /* session that began the migration and gets the turn as soon as nobody has
                           it; 0 = none */
    char *release_by;   /* DOUBT: who released it by hand; owned, NULL: nobody has */
    bool letting_go;    /* its holder is called off */
    bool unheard;       /* its holder got the turn back and has not spoken of it since */
    UT_hash_handle hh;  /* core->jobs.by_id */
    struct queue_item queued;    /* source->queue: QUEUED */
    struct job *l_prev, *l_next; /* core->jobs.waiting (WAITING) or core->jobs.doubt (DOUBT) */
    struct job *s_prev, *s_next; /* source->jobs.leaving: every live job away from it */
    struct job *d_prev, *d_next; /* destination->jobs.coming: every live job to it */
    struct job *w_prev, *w_next; /* core->jobs.dirty: live is to be written */
    bool is_dirty, is_stored;    /* in that list; the store has a record of it */
};

/* Bytes of the store that are kept back for each live job: its result, its events, its guest. */
enum { JOB_END_ROOM = 2 * STORE_PAGE };

struct job *job_find(struct core *core, uint64_t id); /* NULL: it is not live */

/* How long all its tries took, the running one up to now. */
usec_t job_tried_for(const struct core *core, const struct job *job);

/* ---- begin */

/* Makes a job from what was asked (taken; from malloc): QUEUED. destination may be NULL. */
struct job *job_submit(struct core *core, RmJob *ask, struct guest *guest, struct host *source,
                       struct host *destination, struct batch *batch);
/* From the store, at start. Takes both. */
void job_restore(struct core *core, RmJob *ask, RmLive *live);
void job_free_all(struct core *core);
/* At the end of each turn: what has changed of live jobs, each once. */
void job_write_all(struct core *core);

/* ---- moves; in parentheses the states in which each is legal
 *
 * The turn (tests/model/README.md) is the right to act on the guest: its holder alone has it. */

/* Its worker is sent it (QUEUED): the next attempt, and a turn. paused: its guest is, before the try.
 * answer_by: when the assignment counts as lost. */
void job_assign(struct core *core, struct job *job, const struct session *holder, bool paused,
                usec_t answer_by);
/* Its worker has begun (ASSIGNED), at that wall time. */
void job_accept(struct core *core, struct job *job, const struct session *by, uint64_t started_at,
                const char *text);
/* It runs, and its holder is at it (DOUBT). A cancel that was asked for follows at once. */
void job_go_on(struct core *core, struct job *job, const struct session *by, const char *text);
/* Its guest is at the source, and it is queued again at that time; USEC_NEVER: when somebody resumes
 * it (PAUSE). event: why, RETRY, REFUSED, AT_SOURCE or PAUSE. */
void job_wait(struct core *core, struct job *job, RmEventKind event, usec_t until, const char *who,
              const char *text);
/* It is queued again (WAITING). event: READY or RESUME. */
void job_queue(struct core *core, struct job *job, RmEventKind event, const char *who);
/* Nobody knows where its guest is, or still nobody (any active state), and nobody has its turn any more:
 * somebody is asked in settle_in, but not before free_at, when the turn is over at the latest; 0: it is. */
void job_doubt(struct core *core, struct job *job, const char *who, const char *text,
               usec_t settle_in, usec_t free_at);
/* Its worker shall stop it (ASSIGNED, RUNNING), or, when it is found out that it runs, shall stop it
 * then (DOUBT). A job that nobody has begun is ended by job_finish(). */
void job_cancel(struct core *core, struct job *job, const char *who);

/* Into a final state. The job is freed; its result is on disk with this turn. */
struct job_end {
    const char *text;
    const RmReport *report; /* may be NULL: nobody reported */
    bool locked;            /* nobody may move the guest before it is released */
    bool already;           /* it was at its destination when the job began */
    struct host *place;     /* where the guest is now; NULL: as the record says */
};
void job_finish(struct core *core, struct job *job, RmEventKind event, const char *who,
                const struct job_end *end);

/* ---- what moves nothing */

/* That session has the newest turn, as it has said itself. */
void job_hold(struct core *core, struct job *job, const struct session *session);
/* In doubt: that session gets a turn to find out. Nobody may have one. */
void job_settle(struct core *core, struct job *job, const struct session *session);
/* In doubt: somebody is asked, its holder again, in settle_in. */
void job_settle_later(struct core *core, struct job *job, usec_t settle_in);
/* That session, which began the migration, is to go on with it under a new turn. Nobody may have one. */
void job_give_back(struct core *core, struct job *job, const struct session *session);
/* Its holder has spoken of it under its turn. */
void job_heard(struct job *job);
/* Its holder shall let go of it. */
void job_call_off(struct core *core, struct job *job);
/* It is to end as soon as nobody may act for it. */
void job_release(struct job *job, const char *who);
/* That session waits for the turn; NULL: none does. */
void job_return(struct job *job, const struct session *session);
/* When the job wants to be thought of: see order_at. */
void job_remind(struct core *core, struct job *job, usec_t at);
/* Before all jobs that have an order_at are looked at, and reminded of again. */
void job_remind_none(struct core *core);

/* Sets or changes the destination (NULL: none) with everything that is promised there. Memory only:
 * it is written with the next move. */
void job_set_destination(struct core *core, struct job *job, struct host *host);
/* Its present destination cannot take it. Memory only. */
void job_unfit(struct job *job);
/* A try failed there: another destination comes first the next time. Memory only. */
void job_tried(struct job *job);
/* How the try is made, as settling must know it. False: that was known, or fence is empty: the worker
 * does not know it either. Memory only. */
bool job_learn(struct job *job, const RmReport *report);
void job_progress(struct core *core, struct job *job, const RmStats *stats, const char *phase);

/* It is asked for with these limits of a migration and this priority, where they are not 0. */
void job_modify(struct core *core, struct job *job, const RmOptions *limits, uint32_t priority,
                const char *who, const char *text);
/* An event that moves nothing. */
void job_note(struct core *core, struct job *job, const char *who, const char *text);
/* In doubt: why it is still not known, when that has changed. */
void job_explain(struct core *core, struct job *job, const char *who, const char *text);
/* Why it waits, for people; "": nothing. Volatile. */
void job_why(struct core *core, struct job *job, const char *text);
/* Is a destination of it usable? Since when not is kept. Volatile. */
void job_set_way(const struct core *core, struct job *job, bool has_way);

#endif
