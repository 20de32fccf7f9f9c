/* platforms.h - which kinds of hypervisors this broker knows, and what is asked of any of them */
#ifndef BROKER_PLATFORMS_H
#define BROKER_PLATFORMS_H

#include "broker/platform.h"

/* Never NULL: of a kind that is not known, or that it was built without, none is a guest and
 * nothing may go there. */
const struct platform *platform_of(RmKind kind);
/* Why a hypervisor of that kind cannot be served; NULL: it can. */
const char *platform_missing(RmKind kind);
const struct platform *platform_at(size_t i); /* NULL behind the last one */

/* The host that a person or a table means, in whatever case its platform takes its name; or NULL. */
struct host *platform_host(struct core *core, const char *name);
/* May a guest go from one host to the other, as far as their kinds decide? False: why not. */
bool platform_may_go(const struct host *from, const struct host *to, char *why, size_t size);

#endif
