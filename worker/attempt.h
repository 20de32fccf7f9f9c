/* attempt.h - what one task does: checks, migrates, settles, and reports
 *
 * On the task's own thread. It never reports where a guest is before both sides were asked; an error alone
 * proves nothing. Logs. */
#ifndef WORKER_ATTEMPT_H
#define WORKER_ATTEMPT_H

#include "worker/task_parts.h"

/* Migrates, or finds out where the guest is (task->settle). The last report has been posted when it
 * returns. */
void attempt_run(struct task *task);

/* Of a struct task: may it change a domain now? Asked right before each such request. */
enum hv_may attempt_may(void *ctx);

#endif
