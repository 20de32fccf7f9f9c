/* estimate.h - how long a migration takes, and how long its guest stands still
 *
 * Past migrations in, expectations out: no I/O, no clock, nothing global; equal input has equal output.
 *
 * A migration takes a set-up time and the time of what it sends: its bytes divided by the speed of its path. What
 * it sends is the guest's memory times a share that was learned from the guest, or else from all: what
 * is empty is not sent, what is written meanwhile is sent again, and the more so the slower the path is
 * for the rate at which the guest writes. The speed is the one that is known of the path, times a factor
 * that was learned: of all, corrected by that of the path, by the guest's deviation from it, and
 * by the guest's on this very path, each as far as there are figures for it; later ones count more. All are
 * logarithms, so that twice as long and half as long weigh the same.
 *
 * The band is that of errors which were made: each past migration is expected from those before it, and
 * nine of ten took no longer than `high`, and nine of ten no shorter than `low`, of those of which as much
 * was known. */
#ifndef BROKER_PLANNER_ESTIMATE_H
#define BROKER_PLANNER_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Guests and hosts are numbers that tell them apart. */
struct estimate_ask {
    uint64_t guest, from, to;
    uint64_t memory; /* bytes; 0: not known, as with z/VM: all guests count as equal */
    uint64_t dirty;  /* bytes a second that it writes; 0: as it last was, if that is known */
    uint64_t speed;  /* bytes a second of the path at most; 0: not known */
};

/* One that worked. */
struct estimate_past {
    struct estimate_ask as;
    uint64_t sent;  /* bytes; 0: not known */
    uint64_t took;  /* microseconds, more than 0 */
    uint64_t pause; /* microseconds; 0: not known */
};

enum estimate_known {
    ESTIMATE_GUESS, /* nothing is */
    ESTIMATE_SITE,  /* only others, on other paths */
    ESTIMATE_PART,  /* the guest, or the path */
    ESTIMATE_BOTH,  /* the guest and the path, but not together */
    ESTIMATE_SAME,  /* this guest on this path */
    ESTIMATE_KNOWN, /* how many there are */
};

struct estimate {
    uint64_t took, low, high; /* microseconds */
    uint64_t pause;           /* microseconds; 0: not known */
    enum estimate_known known;
};

struct estimator;

/* The oldest one first. Costs n log n. */
struct estimator *estimator_new(const struct estimate_past *past, size_t n);
void estimator_free(struct estimator *estimator); /* NULL is fine */

struct estimate estimator_ask(const struct estimator *estimator, const struct estimate_ask *ask);

#endif
