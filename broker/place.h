/* place.h - where a guest can go, and why not
 *
 * Memory is a hard limit: what guests have, and what is promised to those on their way, may not
 * exceed what the host gives to guests (capacity.h), of which a reserve is kept free. vCPUs may be given out several times
 * (`vcpus_per_cpu`). Among the hosts that fit, the one with the largest share of both left is taken.
 *
 * Rules between guests (rules.h) are kept unless the ask says otherwise.
 *
 * Many guests together are placed by joint.h.
 *
 * Reads jobs, guests and hosts, and changes none but in place_take_along(). why: filled when the answer is no. */
#ifndef BROKER_PLACE_H
#define BROKER_PLACE_H

#include "broker/capacity.h"
#include "broker/guest.h"
#include "broker/host.h"
#include "broker/rules.h"

struct job;

/* It does not answer yet, but may in a moment: the broker has just begun, or its worker has come and
 * has not yet reported what is there. A job may wait for it. */
bool place_may_come(const struct core *core, const struct host *host);
/* May guests go there at all: it is open, and answers or may in a moment? */
bool place_usable(const struct core *core, const struct host *host, char *why, size_t size);
/* Is there capacity for it? CAPACITY_NOW: its way begins now; what is promised to jobs that have not
 * begun does not count. */
bool place_fits(const struct core *core, const struct guest *guest, const struct host *host,
                enum capacity_when when, char *why, size_t size);
/* Bytes that nobody has, nobody is promised, and that are not kept free. */
uint64_t place_free_memory(const struct core *core, const struct host *host);
/* Bytes that are kept free. */
uint64_t place_reserve(const struct core *core, const struct host *host);
/* What it gives: all but the reserve. */
struct figures place_figures(const struct core *core, const struct host *host);
bool place_listed(struct host *const *list, size_t n, const struct host *host);

/* One guest that looks for a host. */
struct place_ask {
    struct guest *guest;
    struct host *source;    /* where it is: never chosen */
    struct host *const *to; /* one of these; n_to 0: any open one */
    size_t n_to;
    char *const *unfit; /* names of hosts that could not take it */
    size_t n_unfit;
    char *const *tried; /* names of hosts where it failed: taken last, the last one last of all */
    size_t n_tried;
    struct host *const *never; /* hosts that are being emptied */
    size_t n_never;
    bool free;                     /* no rule holds it (rules.h) */
    const struct rules_plan *plan; /* all that are placed with it, by guest */
    size_t n_plan;
    struct figures more;    /* what those need that have to go with it */
    bool may_stay;          /* it leaves its host only if that makes room for others */
    struct host *chosen;    /* the answer */
    struct guest *room_for; /* may_stay: the guest that gets its room */
    const char *rule; /* room_for: it is this one that keeps that guest from where it is; or NULL */
    struct guest **after; /* those that have to leave `chosen` before. In core->arena */
    size_t n_after;
    uint32_t step;         /* of the plan, from 1; 0: none */
    uint32_t *after_steps; /* of those in `after`. In core->arena */
    bool usable;           /* there is a host that it may go to, has it room or not */
    bool may_wait;         /* and one that has room but for what is promised to others */
    bool ruled;            /* a rule stands in its way */
    bool own;              /* a host was passed over for a reason that another guest may not have */
    char why[1024];        /* nothing is chosen: why, of each host */
    char room[200];        /* may_wait: names of the hosts whose room may become free */
};

/* Leaving aside whether it is open and has room: may it go to a host of its kind? why: filled if not. */
bool place_suits(struct core *core, const struct place_ask *ask, const struct host *host, char *why,
                 size_t size);
/* One guest alone, as things are: where it goes, or NULL, and the ask says why. */
struct host *place_choose(struct core *core, struct place_ask *ask);
/* Another job waits for a place. */
bool place_is_wanted(const struct core *core, const struct job *but);
/* Does the job take another destination where one is better? */
bool place_may_choose(const struct job *job);
/* What was found for a job that looked for a destination. */
struct place_answer {
    struct host *chosen; /* NULL: none; then why says why, and the rest is told */
    bool may_wait;       /* room may become free where it may go */
    bool own;            /* for a reason of its own: another guest might have one */
    char why[1100];
};

/* The host is chosen for the job: those that a rule holds together with it, and that wait where it does, go
 * there too. */
void place_take_along(struct core *core, const struct job *job, struct host *host);
/* Is its destination one that its rules keep it from now, when its way begins? */
bool place_breaks_rule(struct core *core, const struct job *job, char *why, size_t size);
/* A new destination for a job, where it has not failed if there is one, and on a host that is not
 * suspect. */
struct host *place_again(struct core *core, const struct job *job, struct place_answer *ret);

/* Nothing was found for `other`, and not for a reason of its own: so will nothing be found for this
 * job, which leaves the same host, may go to no other ones and needs no less? */
bool place_as_before(const struct job *other, const struct job *job);

/* Is one of the hosts that it may go to one that guests may go to (place_usable)? why: of the only
 * one that it may go to, or in general. */
bool place_has_way(struct core *core, const struct job *job, char *why, size_t size);

#endif
