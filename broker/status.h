/* status.h - records and memory as people see them
 *
 * Everything lives in core->arena, strings may be borrowed from what is shown. NULL: there is no such
 * thing, or the answer is too long. */
#ifndef BROKER_STATUS_H
#define BROKER_STATUS_H

#include "broker/model.h"

RmJobView *status_job(struct core *core, const struct job *job);
RmJobView *status_finished(struct core *core, uint64_t id);
/* The one or the other. */
RmJobView *status_of(struct core *core, uint64_t id);
RmHostView *status_host(struct core *core, struct host *host);
RmWorkerView *status_worker(struct core *core, const struct session *session);

#endif
