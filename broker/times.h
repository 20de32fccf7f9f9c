/* times.h - what many migrations are expected to take together, and in which order they begin
 *
 * learned.h says what each takes, planner/timeline.h the rest: limits, the slots of workers, steps that wait for
 * others, and what runs already. That guests queue behind jobs that have not begun, and holds, are not
 * counted. */
#ifndef BROKER_TIMES_H
#define BROKER_TIMES_H

#include "broker/submit.h"

enum {
    TIMES_BUDGET = 200000, /* looks for a better order: some 20 ms */
};

/* After leave_find_places(): those that leave are put in the order in which the whole is over the earliest; where
 * no other order gains anything, they stay as they are. */
void times_order(struct core *core, struct submission *sub);
/* The reply's steps, which are those of the asks, and the whole say when they are expected. */
void times_tell(struct core *core, RmReply *reply, const struct submission *sub);

#endif
