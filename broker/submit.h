/* submit.h - from what was asked to jobs
 *
 * Every guest is looked at on its own: one that cannot become a job gets its reason, the others go
 * on. Destinations are chosen for all of a request together (place.h). */
#ifndef BROKER_SUBMIT_H
#define BROKER_SUBMIT_H

#include "broker/place.h"
#include "broker/request.h"

/* One request on its way to jobs. */
struct submission {
    const RmOptions *options;
    const char *reason;
    uint32_t priority;
    struct host **to; /* owned */
    size_t n_to;
    char **to_names;     /* borrowed, for the job's record */
    struct host **never; /* being emptied */
    size_t n_never;
    bool evacuation;
    bool no_room;                    /* nobody else is moved to make room */
    const RmEvacuate *asked;         /* of an evacuation that gets an account; NULL: of none */
    uint64_t again_of;               /* the job that is tried again; 0: none */
    uint64_t first_job, first_batch; /* as in RmJob */
    bool waits;             /* there is a batch even without jobs: somebody waits for its account */
    bool look_only;         /* dry run or plan: answer, submit nothing */
    usec_t wait_for;        /* dry run: for what hypervisors say; 0: they are not asked */
    uint64_t batch;         /* that gets the jobs; 0: a new one */
    struct place_ask *asks; /* guests that may become jobs */
    size_t n_asks;
};

/* Is nothing seen of that guest yet because the worker of the host that had it last is still on its way,
 * after a start of the broker? */
bool submission_must_wait(struct core *core, const char *name);

/* Those of a noderange; the caller frees the array. */
struct host **submission_hosts(struct core *core, const struct noderange *range);
/* False: it is not to be moved, and the reply says why (or that it is there already). */
bool submission_may_move(struct core *core, struct request *request, const struct submission *sub,
                         const char *name, struct place_ask *ask);
/* Of vm.migrationdest, where no destination was named. False: nobody knows where the guest may go,
 * and the reply says why. */
bool submission_destinations(struct core *core, struct request *request, struct place_ask *ask);
/* May a guest be moved that is on a host that stays, so that others have room there? As if it was nobody's
 * wish: false without a word, and only if nothing at all is in doubt about it. */
bool submission_may_make_room(struct core *core, const struct submission *sub, struct guest *guest,
                              struct host *host, struct place_ask *ask);
/* Has it a place, or may it wait for one? */
bool submission_has_place(const struct submission *sub, const struct place_ask *ask);
/* After place_joint(), before anything is done: has the store room for the jobs, and for their ends? False: the
 * request is refused. */
bool submission_has_room(struct core *core, struct request *request, const struct submission *sub);
/* Then: makes the jobs of those that have a place, or answers; the reply says why the others have none. */
void submission_carry_out(struct core *core, struct request *request, struct submission *sub);

/* Makes nothing, and says why none has a place. */
void submission_refuse(struct core *core, struct request *request, const struct submission *sub);

void submit_guests(struct core *core, struct request *request);
/* The same again, for a job that failed or was cancelled. batch: that gets the job; 0: a new one, request->reply->batch
 * then. */
void submit_again(struct core *core, struct request *request, const RmJob *old, uint64_t batch);

#endif
