/* doubt.h - jobs in doubt: somebody is asked to look at both hypervisors
 *
 * The worker of the source is asked, or, when it has none, the one of the destination, which reaches
 * the source's hypervisor by its peer address. Whoever looks may also repair (worker/settle.h).
 * Nothing is decided here: the report says where the guest is. As long as nobody can look, the job
 * stays in doubt and its guest locked. */
#ifndef BROKER_DOUBT_H
#define BROKER_DOUBT_H

#include "broker/model.h"

/* Somebody has found out by hand: it ends, at once when nobody may act for it any more (true), or as soon
 * as that is so. */
bool doubt_release(struct core *core, struct job *job, const char *who);
/* Nobody has its turn any more: ends it if it is to be released. */
bool doubt_is_released(struct core *core, struct job *job);

void doubt_tick(struct core *core);
usec_t doubt_deadline(const struct core *core);

#endif
