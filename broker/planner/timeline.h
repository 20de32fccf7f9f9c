/* timeline.h - when each step of a plan is expected to begin and to end, and in which order they are best begun
 *
 * Steps and how long each takes in, times out: no I/O, no clock, nothing global; equal input has equal output.
 *
 * The times are those of a list: whenever something is over, the first of the list begins that has all it needs.
 * There are no waves. That is also how the broker begins jobs, so who hands it steps in the order of their
 * starts gets these times. Which list is best is searched for: longest first, busiest resource first, and each
 * list that gave a good timeline once more from its end to its beginning (what is late is moved as late as it may
 * be, then all as early as they may), until one takes no longer than the busiest resource has to do, or
 * the looks are used up.
 *
 * One list costs n log n: a step that has to wait does so at the one resource that it lacks, and a
 * resource that becomes free is asked for a bounded number of those that wait there. */
#ifndef BROKER_PLANNER_TIMELINE_H
#define BROKER_PLANNER_TIMELINE_H

#include "broker/planner/site.h"

/* What a step has of a resource while it runs: a slot of a host or of the site, or the speed of a link. */
struct timeline_use {
    uint32_t resource;
    uint64_t much; /* of more than there is it has all */
};

struct timeline_step {
    uint64_t took; /* microseconds that it takes, or that are left of it if it runs */
    const struct timeline_use *uses;
    size_t n_uses;
    const size_t *after; /* steps that have to be over before; the whole has no circle */
    size_t n_after;
    uint32_t from, to; /* hosts; not looked at if no memory is */
    uint64_t memory;   /* that it has at `to` from its beginning, and at `from` until its end */
    bool runs;         /* it has begun already */
};

struct timeline_site {
    const struct timeline_step *steps;
    size_t n_steps;
    const uint64_t *resources; /* how much there is of each */
    size_t n_resources;
    const uint64_t *free; /* memory of each host; NULL: it is not looked at */
    size_t n_hosts;
    bool fixed; /* steps are listed as they come: no other list is searched for */
};

struct timeline {
    uint64_t *starts; /* of each step, microseconds from now. Owned */
    uint64_t end;     /* of the last one */
    uint64_t bound;   /* no list can end earlier */
    uint64_t work;    /* looks that it took */
};

/* budget: looks at a step after which no further list is tried (some 10 million a second); the first list is
 * always whole. Steps for which there is no memory even when nothing else runs begin all the same: a
 * timeline is about time. Freed with timeline_done(). */
struct timeline timeline_make(const struct timeline_site *site, uint64_t budget);
void timeline_done(struct timeline *timeline);

#endif
