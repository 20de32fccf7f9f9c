/* job_control.h - requests that change live jobs: cancel, pause, resume, retry, modify, release */
#ifndef BROKER_JOB_CONTROL_H
#define BROKER_JOB_CONTROL_H

#include "broker/request.h"

void job_control_cancel(struct core *core, struct request *request);
void job_control_pause(struct core *core, struct request *request);
void job_control_resume(struct core *core, struct request *request);
void job_control_retry(struct core *core, struct request *request);
void job_control_modify(struct core *core, struct request *request);
/* Of guests that are locked, or whose jobs are in doubt. */
void job_control_release(struct core *core, struct request *request);

#endif
