/* guest.h - guests: what the store remembers of each, and the job that moves it
 *
 * A guest's record follows what hypervisors show, unless a job has the last word; inventory.c decides
 * that, here it is written. */
#ifndef BROKER_GUEST_H
#define BROKER_GUEST_H

#include "broker/capacity.h"
#include "broker/hash.h"
#include "broker/model.h"

struct instance;

/* Of a guest that is seen active on two hosts. */
/* Written by inventory.c only. */
struct guest_watch {
    usec_t double_at;     /* since when; 0 = it is not */
    bool double_reported; /* that was written into the history */
};

/* The turn, without a job, in which what earlier tries left is removed. */
/* Written by tidy.c only. */
struct guest_tidy {
    uint64_t id;       /* of the question; 0 = nobody has a turn */
    uint64_t session;  /* that has it */
    usec_t free_at;    /* nobody has: when the one before is over at the latest */
    usec_t at;         /* when somebody may be asked again */
    struct host *host; /* where it removes */
};

/* Written by guest.c only. */
struct guest {
    RmGuest *rec;               /* as on disk; owned, from malloc */
    struct job *job;            /* the live one, or NULL */
    struct host *promised_to;   /* where that brings it: its promise counts there; NULL: nowhere */
    struct instance *instances; /* what hypervisors show of it; linked by instance.c */
    usec_t settled_at;          /* when its last job moved it; 0 = none has since the start */
    bool stored;                /* rec is in the store; false: known from inventories only */
    usec_t marked_at;           /* when a request was last marked */
    struct guest_watch watch;
    struct guest_tidy tidy;
    bool listed;                   /* in core->marked */
    struct guest *m_prev, *m_next; /* core->marked */
    UT_hash_handle hh;             /* core->guests by name */
};

/* By its name, or as NAME@HOST: the one of that name that is on that host. */
struct guest *guest_find(struct core *core, const char *name);
/* The one of exactly that name, which is made if there is none. */
struct guest *guest_make(struct core *core, const char *name);
void guest_restore(struct core *core, RmGuest *rec); /* from the store; taken */
void guest_free_all(struct core *core);
void guest_sort(struct core *core); /* core->guests by name */

/* ---- its job */

/* A live job moves it from now on. Memory only; guest_job_begins() writes it. */
void guest_take(struct guest *guest, struct job *job);
void guest_job_begins(struct core *core, struct guest *guest, uint64_t id);
/* Where the job's promise counts. */
void guest_promise(struct guest *guest, struct host *host);
/* The job is not its job any more. Memory only. */
void guest_drop(struct guest *guest, const struct job *job);
/* An evacuation has taken it away from `from`, its home unless it was away already. Written by
 * guest_job_ended(). */
void guest_goes_away(struct guest *guest, const char *from, const char *to);
/* It is not away any more. */
void guest_is_home(struct core *core, struct guest *guest);
/* id: the job that has ended. host: where the guest is now, NULL: as the record says. moved: that job
 * brought it there. locked: why nobody may move it, or NULL. */
void guest_job_ended(struct core *core, struct guest *guest, uint64_t id, const char *host,
                     bool moved, const char *locked);
/* Nobody moves it before it is released. */
void guest_lock(struct core *core, struct guest *guest, const char *why);
void guest_unlock(struct core *core, struct guest *guest);

/* ---- marks: where something of earlier tries may be left (RmMark)
 *
 * Guests that have some are few: core->marked. One whose marks are gone stays there until it rests. */

const RmMark *guest_mark(const struct guest *guest, const char *host); /* or NULL */
/* Something more may be left there. */
void guest_mark_set(struct core *core, struct guest *guest, const char *host, bool copy,
                    bool request);
/* At start: a copy may be left there. Memory only. */
void guest_mark_restore(struct core *core, struct guest *guest, const char *host);
/* What is said there is not so any more. */
void guest_mark_clear(struct core *core, struct guest *guest, const char *host, bool copy,
                      bool request);
/* It leaves core->marked if it has no mark and nobody has a turn for it. */
void guest_mark_rest(struct core *core, struct guest *guest);

/* No hypervisor shows it, no job has ever moved it, and nothing of it may be left anywhere. */
bool guest_is_idle(const struct guest *guest);
void guest_forget(struct core *core, struct guest *guest); /* an idle one; frees it */
/* None of its jobs that have ended is kept. */
void guest_forget_jobs(struct core *core, struct guest *guest);

/* ---- what is seen of it */

struct guest_look {
    const char *uuid;
    const char *host; /* NULL: as the record says */
    RmGuestState state;
    struct figures has;
};
/* Writes the record when that is news, or is not written yet. */
void guest_see(struct core *core, struct guest *guest, const struct guest_look *look);
/* What it is called on hypervisors, and of which kind they are. */
void guest_name_domain(struct core *core, struct guest *guest, const char *domain, RmKind kind);

/* ---- another name */

/* Two guests of one name on two hosts: one is called NAME, the other NAME@HOST (RmGuest.shares). Finds
 * or makes that one; finds it by uuid, wherever it was; NULL. */
struct guest *guest_twin_make(struct core *core, const char *name, const struct host *host);
struct guest *guest_twin_find(struct core *core, const char *name, const char *uuid);
bool guest_has_twin(struct core *core, const struct guest *guest);
/* "web@hyp01 or web@hyp02", in core->arena. */
const char *guest_twin_names(struct core *core, const struct guest *guest);
/* It is on that host now, and called so. Neither has a live job, here and below. */
void guest_twin_moved(struct core *core, struct guest *twin, const struct host *host);
/* The one that has the name for itself and the other one change places. host: where that one is. */
void guest_twin_swap(struct core *core, struct guest *guest, struct guest *twin, const char *host);

/* Takes it out of core->guests and of the store; guest_rename() puts it in again. */
void guest_take_out(struct core *core, struct guest *guest);
void guest_rename(struct core *core, struct guest *guest, const char *name);
/* The guest, which was taken out, is the other one now, and is freed. Neither has a live job; its
 * instances are the other's already. */
void guest_merge(struct core *core, struct guest *guest, struct guest *into);

struct figures guest_figures(const struct guest *guest);

#endif
