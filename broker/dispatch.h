/* dispatch.h - client requests: who may ask what, and each thing once
 *
 * One table says for each request the least role that may ask, whether it changes something, and who
 * carries it out. What changes something carries a token: the same token gets the same answer. */
#ifndef BROKER_DISPATCH_H
#define BROKER_DISPATCH_H

#include "broker/model.h"

void dispatch_input(struct core *core, const struct net_peer *peer, uint64_t tag,
                    const RmRequest *message);

/* Requests that depend on hypervisors whose workers are on their way after a start are carried out as soon as
 * those have shown themselves, or their time is over. */
void dispatch_tick(struct core *core);
usec_t dispatch_deadline(const struct core *core);
void dispatch_gone(struct core *core, const struct net_peer *peer); /* NULL: all are */

#endif
