/* evacuation.h - hypervisors are emptied: the request, and its end
 *
 * An evacuation of a host (RmHost.emptying) lasts until no job takes a guest away from it any more and
 * the hypervisor itself has been looked at after that. Guests that were not seen before become jobs of
 * the same batch; then it is over, and its account, "is empty" or what is left and why, goes into the
 * history and to everybody who waits for the batch. */
#ifndef BROKER_EVACUATION_H
#define BROKER_EVACUATION_H

#include "broker/submit.h"

void evacuation_request(struct core *core, struct request *request);
/* Somebody wants a job of an evacuation tried again: while that has its host closed still, it is an evacuation again. Its
 * account goes to the old batch, to those that this one has tried again, and to `batch`, that of the new job; 0: there
 * is none, and the host is looked at all the same. */
void evacuation_again(struct core *core, const RmJob *old, uint64_t batch, const char *who);
/* Chooses places for all asks of a submission, and who makes room for them: those are put first. since: who was
 * tried in vain by a job above this number makes none; 0: whoever can may. */
void evacuation_find_places(struct core *core, const struct request *request,
                            struct submission *sub, uint64_t since);
void evacuation_tick(struct core *core);
usec_t evacuation_deadline(const struct core *core);
/* Is that host being emptied, so that what the batch has of it is overtaken? */
bool evacuation_is_of(struct core *core, const RmBatch *batch, const char *host);
/* Does somebody's wait for this batch go on although its jobs have ended? */
bool evacuation_is_open(struct core *core, const RmBatch *batch);

#endif
