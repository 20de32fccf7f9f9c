/* retention.h - what has ended is kept for a time and up to a number, then forgotten
 *
 * The settings keep and keep_jobs. Forgotten are, the oldest first: jobs that have ended, with their
 * results and events; batches none of whose jobs is kept; events that concern no job. Never a job of
 * a batch that is held (batch.h) or that such a one tries again, nor one of an evacuation that goes
 * on: their accounts need it. In small steps, so that a turn stays short; looked at once a minute. */
#ifndef BROKER_RETENTION_H
#define BROKER_RETENTION_H

#include "conf/env.h"

enum {
    RETENTION_STEP = 256, /* records of each kind in a turn; fewer in a store that is full */
};

struct core;

/* At the start: who waits for a batch has one session time-out to say so again. */
void retention_begin(struct core *core);
void retention_tick(struct core *core);
usec_t retention_deadline(const struct core *core);

#endif
