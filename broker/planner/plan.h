/* plan.h - where the guests of hosts that are emptied go, and which others make room for them
 *
 * A snapshot in, a plan out: no I/O, no clock, no store, nothing global. Equal input has equal output.
 *
 * Guests that leave are placed largest first, spread evenly if all find a place, tightly packed if that
 * places more. Where some find none and others may be moved (PLAN_MAY_MOVE), room is made: with as few
 * moves of others as the search finds within its budget, and of equally many with the fewest bytes.
 *
 * Rules are kept: whoever is under PLAN_APART comes to a host only when the others of that rule have left it;
 * those that PLAN_TOGETHER holds on one host are moved as one. A rule that is broken already keeps nobody
 * where he is, and no step breaks it further.
 *
 * The steps are in an order in which no host ever has more than it gives to guests, and keep to that
 * under every order in which each step begins only when those in its `after` are over and its
 * destination has room at that time; whoever keeps to it never gets stuck. No guest is moved twice.
 *
 * The cost is n log n for what fits directly (an index of free room); the search for more is bounded by the
 * caller's budget, in looks at a guest or a host (some 50 million a second). */
#ifndef BROKER_PLANNER_PLAN_H
#define BROKER_PLANNER_PLAN_H

#include "broker/planner/site.h"

/* Looks that the making of room takes at most: a fifth of a second, in which the broker serves nobody else. */
enum { PLAN_BUDGET = 10000000 };

struct plan_step {
    uint32_t guest, from, to;
    uint32_t
        room_for; /* the guest that gets its room; PLAN_NONE: it leaves a host that is emptied */
    uint32_t
        rule; /* room_for waits for it not only for room: PLAN_APART, this one; PLAN_NONE: else */
    size_t *after; /* steps that have to be over before: their guests leave `to`. Owned */
    size_t n_after;
};

struct plan {
    struct plan_step *steps;
    size_t n_steps;
    size_t n_room;     /* steps that make room: the first ones */
    uint32_t *without; /* guests that are to leave and have no place */
    size_t n_without;
    uint32_t *
        bundle; /* of each guest the first one that PLAN_TOGETHER holds with it; NULL: nobody is held */
    uint64_t work; /* looks that it took */
};

/* budget: looks that the making of room may take; 0: no room is made. Freed with plan_done(). */
struct plan plan_make(const struct plan_site *site, uint64_t budget);
void plan_done(struct plan *plan);

#endif
