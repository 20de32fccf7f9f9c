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
/* A job of an evacuation is tried again by `job`, of the batch that the reply has by now: while its host is still
 * closed that is an evacuation again, whose account the old batch gets as well as the new one. */
void evacuation_again(struct core *core, const struct request *request, const RmJob *old,
                      const struct job *job);
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
