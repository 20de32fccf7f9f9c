/* question.h - what a client wants to hear from a hypervisor at once: could this guest be moved,
 * let its relocation have other limits, stop it */
#ifndef WORKER_QUESTION_H
#define WORKER_QUESTION_H

#include "worker/hv.h"

/* What an assignment asks of a migration. Its strings are borrowed. */
struct hv_migration question_migration(const RmAssignment *assignment);

/* Blocks until it is known. 0, or -errno with the text for the client. notes (of RM_ERR_MAX bytes):
 * what was mended on the way; "" = nothing. */
int question_put(const struct hv_ops *ops, struct hv *hv, const struct env *env, const RmAsk *ask,
                 char notes[static RM_ERR_MAX], struct rm_err *err);

#endif
