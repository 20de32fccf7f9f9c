/* report.h - what workers report of jobs, and what follows: done, another try, failed, in doubt
 *
 * The verdict of a report says where the guest is; it was found by looking at both hypervisors. The
 * class says what the failure means for another try. Reports of an older attempt change nothing. */
#ifndef BROKER_REPORT_H
#define BROKER_REPORT_H

#include "broker/session.h"

/* That session has a task that is worth nothing any more: it ends. What it has begun is stopped where no
 * job of the guest is left that could see to it (somebody has released it by hand). */
void report_stop(struct core *core, struct session *session, uint64_t job, uint32_t attempt,
                 uint64_t turn);

void report_input(struct core *core, struct session *session, const RmReport *report);

#endif
