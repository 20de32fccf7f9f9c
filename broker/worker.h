/* worker.h - messages of workers, and what follows for the jobs that they have
 *
 * A worker says Hello with its hypervisors and its tasks, which are compared with the jobs that
 * it should have; then it pulls, shows inventories, reports and answers. One that is silent for too long
 * is given up, and what it had is in doubt. */
#ifndef BROKER_WORKER_H
#define BROKER_WORKER_H

#include "broker/model.h"

/* hosts: that the peer's key may speak for, NULL-terminated; NULL: any. */
void worker_input(struct core *core, const struct net_peer *peer, char *const *hosts,
                  const RmMessage *message);
/* Its connection is gone. The session ends when the worker comes back or stays away for too long; what
 * it migrates goes on meanwhile. */
void worker_gone(struct core *core, const struct net_peer *peer);
/* By other settings the peer is somebody else, or may do something else: core_peer_changed(). */
void worker_changed(struct core *core, const struct net_peer *peer, char *const *hosts);
void worker_tick(struct core *core);
usec_t worker_deadline(const struct core *core);

#endif
