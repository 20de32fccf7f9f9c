/* task.h - the threads of a worker: one for each running migration, one for each hypervisor's
 * inventory
 *
 * They share nothing with the main thread: what they find comes as messages, and a descriptor says
 * that there are some. A task thread runs check, migrate, settle (worker/attempt.h) and reports
 * REPORT_ACCEPTED, REPORT_PROGRESS..., REPORT_FINISHED or REPORT_REFUSED. Logs. */
#ifndef WORKER_TASK_H
#define WORKER_TASK_H

#include "worker/driver.h"
#include "worker/mailbox.h"

struct tasks;

/* Starts an inventory thread for each hypervisor. drivers: of each, in the order of conf. */
int tasks_new(const struct conf_worker *conf, const struct driver *const *drivers,
              const struct env *env, struct tasks **ret_tasks, struct rm_err *err);
/* Waits for nothing: threads that hang in a call are left behind; the process is about to end. */
void tasks_free(struct tasks *tasks);

/* Readable when tasks_next() has something. */
int tasks_fd(const struct tasks *tasks);

/* The next message; false: none now. In the arena. */
bool tasks_next(struct tasks *tasks, struct arena *arena, struct mail *ret_mail);

/* Takes a copy of the assignment. settle: find out where the guest is; adopt a migration that runs,
 * repair, report. session: in which it may act, see tasks_lease(). */
int tasks_start(struct tasks *tasks, const RmAssignment *assignment, bool settle, uint64_t session);

/* Tasks and questions of that session may change domains until then. Until it says so again those of other
 * sessions, and all of them when the time is over, send nothing: they wait, or end. */
void tasks_lease(struct tasks *tasks, uint64_t session, usec_t until_at);
/* The task of that job may act in that session from now on. */
void tasks_go_on(struct tasks *tasks, uint64_t job, uint64_t session);
/* The task of that job sends nothing any more, and ends, with a last report whose verdict says
 * nothing, as soon as it has no request open that it waits for. abort: the migration that it has begun is
 * stopped first. */
void tasks_off(struct tasks *tasks, uint64_t job, bool abort);

/* Asks the hypervisor in a thread of its own; takes a copy. What came of it always comes by
 * tasks_next(); of ASK_LOOK it is the next inventory. ASK_MODIFY changes the limits of the task as well. */
void tasks_ask(struct tasks *tasks, const RmAsk *ask);

/* Stops the task of that job: its migration is aborted, or it does not begin. 0, -ENOENT. */
int tasks_abort(struct tasks *tasks, uint64_t job);

#endif
