/* capacity.h - what a host holds and what is promised there: memory, vCPUs, migrations
 *
 * The one place of the formula:
 *
 *     taken = used + promised            for a guest that shall come some time
 *     taken = used + arriving            for one that shall begin its way now
 *
 * used: instances that are active there or just coming in, whoever brings them. promised: guests of
 * live jobs with this destination. arriving: the part of it whose migration has begun. A guest that
 * a job brings counts once, by the promise, also when the hypervisor shows it already. supposed: as
 * promised, for the time of a look at several placements together; nothing real is changed by it.
 *
 * Pure: figures in, figures out. Memory in bytes. */
#ifndef BROKER_CAPACITY_H
#define BROKER_CAPACITY_H

#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

/* What a guest needs, or what is left. */
struct figures {
    uint64_t memory; /* bytes */
    uint64_t vcpus;
};

/* Written by capacity.c only. */
struct load {
    unsigned active; /* instances that are active */
    struct figures used;
    struct figures promised;
    unsigned n_promised; /* guests */
    struct figures arriving;
    unsigned n_in;  /* active migrations to here */
    unsigned n_out; /* and from here */
    struct figures supposed;
    unsigned n_supposed;
};

/* An instance is shown. promised: a live job brings its guest here. True: it is part of `used`; give
 * that back to capacity_hide(). */
bool capacity_show(struct load *load, RmGuestState state, bool promised,
                   const struct figures *figures);
void capacity_hide(struct load *load, RmGuestState state, bool counted,
                   const struct figures *figures);

/* A live job has this destination; has it no longer. Figures: those of the promise, also then. */
void capacity_promise(struct load *load, const struct figures *figures);
void capacity_release(struct load *load, const struct figures *figures);
/* A promised guest is on its way; is no longer. */
void capacity_arrive(struct load *load, const struct figures *figures);
void capacity_arrive_end(struct load *load, const struct figures *figures);
/* A guest is on its way from here; is no longer. */
void capacity_leave(struct load *load);
void capacity_leave_end(struct load *load);

/* As if it had been promised, until capacity_forget(). */
void capacity_suppose(struct load *load, const struct figures *figures);
void capacity_forget(struct load *load);

enum capacity_when {
    CAPACITY_LATER, /* with all that is promised */
    CAPACITY_NOW,   /* with what is on its way */
    CAPACITY_EVER,  /* with what is there: if all that is promised went elsewhere */
};
/* What is left of `all`. own: a part of what is promised (or arriving) that is the guest's own and
 * does not stand in its way; NULL: none. */
struct figures capacity_left(const struct load *load, const struct figures *all,
                             const struct figures *own, enum capacity_when when);
/* What is used and promised. */
struct figures capacity_taken(const struct load *load);
/* How many guests it has or will have, for hosts that are filled by number. */
unsigned capacity_guests(const struct load *load);

#endif
