/* vm_host.h - the column vm.host: where the tables have a guest, compared with where it is
 *
 * The broker keeps it true for guests that it moves; for others it repairs it when asked to. */
#ifndef BROKER_VM_HOST_H
#define BROKER_VM_HOST_H

#include "broker/guest.h"
#include "broker/host.h"

/* What the table says, through groups and patterns; in core->arena. NULL: nothing, or it cannot be
 * evaluated: err (may be NULL) says why. */
const char *vm_host_said(struct core *core, const char *name, struct rm_err *err);
/* The guest runs on that host: makes the tables say so. who: whoever asked for it, for the history;
 * NULL: a job's own result, which needs no event, and no row that was there before. True when
 * something was wrong. */
bool vm_host_repair(struct core *core, const struct guest *guest, const struct host *host,
                    const char *who);

#endif
