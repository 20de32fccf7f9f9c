/* history.h - how the site has fared in the last hour, as far as this program has seen it
 *
 * Kept in memory alone: who starts rmigrate-watch anew begins with nothing. Any thread may call all of it. */
#ifndef SUBMIT_WATCH_HISTORY_H
#define SUBMIT_WATCH_HISTORY_H

#include "submit/watch/board.h"

#define HISTORY_EVERY (10 * USEC_PER_SEC) /* between two samples at least */

enum { HISTORY_SAMPLES_MAX = 360 }; /* an hour */

struct history_sample {
    usec_t at; /* by the wall clock */
    uint64_t queued, waiting, running, doubt;
    uint64_t done, failed; /* since the store began */
    uint64_t rate;         /* bytes a second of all that run; 0: not known */
};

/* Notes a sight, if it is worth a sample: what the board calls with each one that it brings. */
void history_see(const struct sight *sight);

/* The samples, the oldest first. Returns how many. */
size_t history_samples(struct history_sample ret_samples[static HISTORY_SAMPLES_MAX]);

/* When the last guest of a host that is being emptied will have left it, by the wall clock, if the others go as those
 * that were seen going: 0 where fewer than HISTORY_MOVES_LEAST were, or where none has gone for long. */
enum { HISTORY_MOVES_LEAST = 3 };
usec_t history_expected_at(const RmHostView *view, usec_t wall);

/* Guests that have left it since its evacuation began. */
uint64_t history_moved(const RmHostView *view);

/* Sums over all hosts of a sight that has some. */
struct history_sample history_sums(const struct sight *sight);

#endif
