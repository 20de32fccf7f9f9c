/* retention.h - what has ended is kept for a time and up to a number, then forgotten
 *
 * The settings keep and keep_jobs. Forgotten are, the oldest first: jobs that have ended, with their
 * results and events; batches none of whose jobs is kept; events that concern no job. Never a job of
 * a batch that is held (batch.h) or that such a one tries again, nor one of an evacuation that goes
 * on: their accounts need it. In small steps, so that a turn stays short; looked at once a minute. By
 * age nothing is forgotten in the first hour after a start and after the clock was set ahead. */
#ifndef BROKER_RETENTION_H
#define BROKER_RETENTION_H

#include "conf/env.h"

enum {
    RETENTION_STEP = 256, /* records of each kind in a turn; fewer in a store that is full */
};

struct core;
struct retention;

/* At the start: who waits for a batch has one session time-out to say so again. */
void retention_begin(struct core *core);
/* At a start in the same process: the clock is the one of before. */
void retention_go_on(struct core *core, const struct retention *before);
/* `keep` may be another one. */
void retention_again(struct core *core);
void retention_tick(struct core *core);
usec_t retention_deadline(const struct core *core);

#endif
