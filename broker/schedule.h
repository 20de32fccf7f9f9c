/* schedule.h - which job starts next, and when
 *
 * Each source has its own queue (queue.h). A job starts when its source's worker has a slot free, and
 * the limits of source, destination and site allow one more; a job whose destination is busy does not
 * hold up those behind it that go elsewhere. Hosts take turns. */
#ifndef BROKER_SCHEDULE_H
#define BROKER_SCHEDULE_H

#include "broker/host.h"
#include "broker/model.h"

/* Queues what has waited long enough, gives up what cannot be reached, starts what may start. */
void schedule_tick(struct core *core);
usec_t schedule_deadline(const struct core *core);
void schedule_again(struct core *core); /* what kept jobs may not keep them any more: settings */

/* Why a live job waits; "" or NULL when nothing keeps it. In core->arena, or the job's. */
const char *schedule_job_why(struct core *core, const struct job *job);

/* Why the next job of the host waits; "" when nothing waits. In core->arena. */
const char *schedule_why(struct core *core, struct host *host);

#endif
