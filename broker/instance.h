/* instance.h - domains as hypervisors show them: which guest, where, in which state
 *
 * A guest has an instance on each host that shows it, at most one on each. Adding and dropping one
 * keeps the host's load true (capacity.h). */
#ifndef BROKER_INSTANCE_H
#define BROKER_INSTANCE_H

#include "broker/guest.h"
#include "broker/host.h"

/* A domain as one hypervisor shows it. */
/* Written by instance.c only. */
struct instance {
    struct guest *guest;
    struct host *host;
    char uuid[40];
    RmGuestState state;
    struct figures has;
    bool migrating;
    bool counted;                     /* it is part of its host's load.used */
    struct instance *g_prev, *g_next; /* guest->instances */
    struct instance *h_prev, *h_next; /* host->instances */
};

struct instance_look {
    const char *uuid;
    RmGuestState state;
    struct figures has;
    bool migrating;
};
/* Where a hypervisor shows two domains for one guest the active one stays, else the first. */
void instance_add(struct host *host, struct guest *guest, const struct instance_look *look);
void instance_drop(struct instance *instance);
void instance_drop_all(struct host *host);
const struct instance *instance_at(const struct guest *guest,
                                   const struct host *host); /* or NULL */
/* A paused copy, where an earlier try may have left one: not where the guest is. */
bool instance_may_be_left(const struct instance *instance);

/* A job has moved the guest: it is shown at its destination before the next inventory comes. paused:
 * as it was before. */
void instance_moved(struct guest *guest, const struct host *from, struct host *to, bool paused);
/* It is promised to another host: an instance of it may be counted by a promise now, or no longer. */
void instance_recount(struct guest *guest);
/* All instances of the one are the other's, but for those on a host that shows the other as well. */
void instance_pass_on(struct guest *from, struct guest *to);

#endif
