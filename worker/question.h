/* question.h - what an assignment asks of a migration, for a task as for a question; and what a client
 * wants to hear from a hypervisor at once: could this guest be moved, let what moves it have other
 * limits, stop it */
#ifndef WORKER_QUESTION_H
#define WORKER_QUESTION_H

#include "worker/driver.h"

/* What an assignment asks of a migration. Its strings are borrowed. */
struct hv_migration question_migration(const RmAssignment *assignment);

/* Blocks until it is known. 0, or -errno with the text for the client. may: asked right before a copy
 * is removed. notes (of RM_ERR_MAX bytes): what was repaired on the way; "" = nothing. ret_unanswered: a
 * copy may still be removed although nobody has answered. */
int question_put(const struct driver *driver, struct hv *hv, const struct env *env,
                 const RmAsk *ask, enum hv_may (*may)(void *ctx), void *ctx,
                 char notes[static RM_ERR_MAX], bool *ret_unanswered, struct rm_err *err);

#endif
