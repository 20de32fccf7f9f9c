/* assignment.h - what a worker gets to know of a job: its options, and the defaults of the settings */
#ifndef BROKER_ASSIGNMENT_H
#define BROKER_ASSIGNMENT_H

#include "broker/job.h"

/* The next or the present try of the job, with its options and, where it asks for nothing, those of
 * the settings; in core->arena. */
RmAssignment *assignment_of(struct core *core, const struct job *job);

/* What the job asks for, and the settings where it asks for nothing: here 0 means none. Texts: borrowed. */
void assignment_options(const struct core *core, const struct job *job, RmOptions *ret);

#endif
