/* core.h - the decisions of the broker: messages and time in, record changes and messages out; no
 * I/O
 *
 * loop.c (or the simulation) runs it turn by turn:
 *
 *     core_begin(core, now, wall);       the time of this turn
 *     core_input(core, peer, message);   for each message that has arrived
 *     core_tick(core);                   deadlines, assignments, answers that waited for something
 *     core_commit(core, err);            one durable commit; a failure is fatal
 *     core_next_out(core, ...);          only now may anyone hear
 *
 * It reads and writes the store that it is given and nothing else: no clock, no socket, no log.
 * What a person should see in the log it leaves as notes (core_next_note). */
#ifndef BROKER_CORE_H
#define BROKER_CORE_H

#include "conf/conf.h"
#include "store/store.h"
#include "wire/net.h"
#include "wire/rmigrate.pb-c.h"

struct core;

/* Both borrowed. epoch: random, new at each start. Reads what is unfinished from the store. */
int core_new(const struct conf_broker *conf, struct store *store, uint64_t epoch, usec_t now,
             usec_t wall, struct core **ret_core, struct rm_err *err);
void core_free(struct core *core);

void core_begin(struct core *core, usec_t now, usec_t wall);
void core_input(struct core *core, const struct net_peer *peer, char *const *hosts,
                const RmMessage *message);
/* hosts: that the peer's key may speak for, NULL: any (net_peer_hosts) */
void core_tick(struct core *core);
usec_t
core_deadline(const struct core *core); /* when core_tick() wants to be called at the latest */
int core_commit(struct core *core, struct rm_err *err);

struct core_out {
    const struct net_peer *peer; /* borrowed until the next core_begin() */
    const uint8_t *frame;
    size_t length;
};
bool core_next_out(struct core *core, struct core_out *ret_out);

/* The connection of that peer is gone (a send said so). */
void core_gone(struct core *core, const struct net_peer *peer);

/* A line for the log: 0 = none, else its enum log_level + 1. Borrowed until the next core_begin().
 */
int core_next_note(struct core *core, const char **ret_text);

/* For tests: every index against the records; returns the number of complaints, written to file. */
#include <stdio.h>
int core_check(struct core *core, FILE *complaints);

#endif
