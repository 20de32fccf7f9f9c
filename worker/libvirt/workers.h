/* workers.h - how many calls a daemon of libvirt carries out at once, and how many of them may be
 * migrations
 *
 * A migration keeps one of its source's workers (max_workers of its settings) from its begin to its
 * end, and needs one of the destination's again and again. Two hypervisors that empty themselves
 * into one another with all their workers wait for each other for ever, their guests stopped at the
 * hand-over. So half of the workers stay free for what comes in, for looks and for aborts. */
#ifndef WORKER_LIBVIRT_WORKERS_H
#define WORKER_LIBVIRT_WORKERS_H

#include "conf/conf.h"

/* How many migrations may run at once from that hypervisor, at least 1: by the settings of its
 * daemon where it is on this machine, else by what libvirt takes without settings. */
unsigned lv_slots_max(const struct conf_hypervisor *conf);

#endif
