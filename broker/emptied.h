/* emptied.h - the end of an evacuation: the hypervisor is looked at, and the account given
 *
 * An evacuation of a host (RmHost.emptying) lasts until no job takes a guest away from it any more and
 * the hypervisor itself has been looked at after that. Guests that were not seen before become jobs of
 * the same batch; then it is over, and its account, "is empty" or what is left and why, goes into the
 * history and to everybody who waits for the batch. */
#ifndef BROKER_EMPTIED_H
#define BROKER_EMPTIED_H

#include "broker/host.h"

/* Why a host is closed of which nobody said it. */
#define WHY_BEGUN "being evacuated"
#define WHY_EMPTY "evacuated"
#define WHY_LEFT  "guests are left from its evacuation"
#define WHY_MUTE  "to be evacuated, but its hypervisor does not answer"

/* The account of a host of which nobody can tell what is left, in the arena. */
const char *emptied_nobody_sees(struct core *core, const struct host *host, uint64_t moved);
/* Somebody has opened it: it is not emptied any further. */
void emptied_opened(struct core *core, struct host *host);
/* What is to be said now of a host of which that account was given: guests may have come since, and somebody may have
 * opened it. In the arena. */
RmOutcome *emptied_since(struct core *core, RmOutcome *account);
void emptied_tick(struct core *core);
usec_t emptied_deadline(const struct core *core);

#endif
