/* evacuation.h - hypervisors are to be emptied: the request, and what is tried again of it
 *
 * Which guests leave, and where to, is leave.h; how it ends is emptied.h. */
#ifndef BROKER_EVACUATION_H
#define BROKER_EVACUATION_H

#include "broker/submit.h"

void evacuation_request(struct core *core, struct request *request);
/* A plan that was kept is carried out as it is; or the reply says what has changed since, and nothing is done, but
 * where that is asked for a new plan is made. */
void evacuation_apply(struct core *core, struct request *request);
/* Somebody wants a job of an evacuation tried again: may one more batch wait for the end of that of its host? */
bool evacuation_has_room(struct core *core, const RmJob *old);
/* While an evacuation has its host closed still, it is an evacuation again. Its account goes to `batch`, that of the new
 * job, in which those before it look for it as well; 0: there is none, and the host is looked at all the same. */
void evacuation_again(struct core *core, const RmJob *old, uint64_t batch, const char *who);
/* After the jobs of a batch, 0: all there are, were cancelled: hosts that only it waits for are not emptied any further. The
 * reply says so where there was no job. */
void evacuation_cancel(struct core *core, struct request *request, uint64_t id);
/* Is that host being emptied, so that what the batch has of it is overtaken? */
bool evacuation_is_of(struct core *core, const RmBatch *batch, const char *host);
/* Does somebody's wait for this batch go on although its jobs have ended? */
bool evacuation_is_open(struct core *core, const RmBatch *batch);

#endif
