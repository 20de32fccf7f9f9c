/* hold.h - standing holds: no migration begins until each of them is lifted
 *
 * A hold is on the whole site, or on a hypervisor, for what leaves it. It is for the jobs that are there and for those that
 * come, and survives the broker. What runs goes on. Each user has one hold of a thing, so nobody lifts another's by
 * mistake. host NULL: the site. */
#ifndef BROKER_HOLD_H
#define BROKER_HOLD_H

#include "broker/host.h"
#include "broker/model.h"

int hold_restore(struct core *core); /* that of the site from the store, at start */
void hold_free(struct core *core);

/* Is the thing itself held? By whom and why: "alice: a new switch, and by bob", in core->arena; NULL: it is not. */
const char *hold_holders(struct core *core, const struct host *host);
/* Does one keep the jobs of that host from starting, its own or the site's? Says which. */
bool hold_keeps(const struct core *core, const struct host *host, char *why, size_t size);
/* All that there are: "the site by alice, hyp01 by bob", in core->arena; NULL: there is none. */
const char *hold_list(struct core *core);

enum hold_news { HOLD_NEW, HOLD_OTHER_REASON, HOLD_SAME };
/* With its line in the history. */
enum hold_news hold_put(struct core *core, struct host *host, const char *who, const char *reason);
/* That of who; where he has none, all of them. False: there was none. The history says so, that of each queued job too.
 * reason: may be empty. */
bool hold_lift(struct core *core, struct host *host, const char *who, const char *reason);

#endif
