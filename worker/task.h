/* task.h - the threads of a worker: one for each running migration, one for each hypervisor's
 * inventory
 *
 * They share nothing with the main thread: what they find comes as messages through one descriptor.
 * A task thread runs check, migrate, settle (worker/settle.h) and reports REPORT_ACCEPTED,
 * REPORT_PROGRESS..., REPORT_FINISHED or REPORT_REFUSED. Logs. */
#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include "worker/hv.h"
#include "worker/news.h"

struct tasks;

/* Starts an inventory thread for each hypervisor. choose: the seam to each. */
int tasks_new(const struct conf_worker *conf,
              const struct hv_ops *(*choose)(const struct conf_hypervisor *hypervisor),
              const struct env *env, struct tasks **ret_tasks, struct rm_err *err);
/* Waits for nothing: threads that hang in a call are left behind; the process is about to end. */
void tasks_free(struct tasks *tasks);

/* Readable when tasks_next() has something. */
int tasks_fd(const struct tasks *tasks);

/* The next message; false: none now. In the arena. */
bool tasks_next(struct tasks *tasks, struct arena *arena, struct task_news *ret_news);

/* Takes a copy of the assignment. settle: find out where the guest is; adopt a migration that runs,
 * mend, report. begin_by: a migration does not begin later (agent.h, the lease); USEC_NEVER:
 * whenever. */
int tasks_start(struct tasks *tasks, const RmAssignment *assignment, bool settle, usec_t begin_by);

/* Asks the hypervisor in a thread of its own; takes a copy. What came of it is always told by
 * tasks_next(). */
void tasks_ask(struct tasks *tasks, const RmAsk *ask);

/* Stops the task of that job: its migration is aborted, or it is told not to begin. 0, -ENOENT. */
int tasks_abort(struct tasks *tasks, uint64_t job);

#endif
