/* core.h - the decisions of the broker: messages and time in, record changes and messages out; no I/O
 *
 * loop.c (or the simulation) runs it turn by turn:
 *
 *     core_begin(core, now, wall);       the time of this turn
 *     core_input(core, peer, message);   for each message that has arrived
 *     core_tick(core);                   deadlines, assignments, answers that waited for something
 *     core_commit(core, err);            one durable commit; a failure is fatal, but for a full store
 *     core_next_out(core, ...);          only now may anyone hear
 *
 * It reads and writes the store that it is given and nothing else: no clock, no socket, no log.
 * What a person should see in the log it leaves as notes (core_next_note). */
#ifndef BROKER_CORE_H
#define BROKER_CORE_H

#include "conf/conf.h"
#include "conf/log.h"
#include "store/store.h"
#include "wire/net.h"
#include "wire/rmigrate.pb-c.h"

struct core;

/* Both borrowed. epoch: random, new at each start. Reads what is unfinished from the store. */
int core_new(const struct conf_broker *conf, struct store *store, uint64_t epoch, usec_t now,
             usec_t wall, struct core **ret_core, struct rm_err *err);
void core_free(struct core *core);
/* What core_new() would refuse of the settings: exclude_nodes, hierarchical_attrs. */
int core_try(const struct conf_broker *conf, struct rm_err *err);

void core_begin(struct core *core, usec_t now, usec_t wall);
/* hosts: that the peer's key may speak for, NULL-terminated (net_peer_hosts). NULL: none, or any where the
 * peer is an admin. */
void core_input(struct core *core, const struct net_peer *peer, char *const *hosts,
                RmMessage *message); /* what is too long in it is cut (wire/bounds.h) */
void core_tick(struct core *core);
/* When core_tick() wants to be called at the latest. */
usec_t core_deadline(const struct core *core);
int core_commit(struct core *core, struct rm_err *err);

/* After core_commit() has returned -ENOSPC: nothing of the turn has happened, the memory is made anew of
 * what the store has, as at a start, and whoever asked for a change in this turn hears that it was not
 * done: so that nobody asks for it again and again. -ENOSPC: nobody has asked; what runs cannot be
 * written any more, and err says what to do. The core is gone after an error. */
int core_begin_anew(struct core **core, uint64_t epoch, struct rm_err *err);

/* Inside a turn: other settings from now on, in the place of those of core_new(), which are not looked at any
 * more; core_try() has found nothing wrong with them. They are borrowed. */
void core_settings(struct core *core, const struct conf_broker *conf);
/* Inside a turn: this peer is now somebody else, or may do something else (ROLE_NONE: nothing), and his
 * connection is gone. A worker that may not speak any more for what it serves is lost. hosts: as of
 * core_input(). */
void core_peer_changed(struct core *core, const struct net_peer *peer, char *const *hosts);
/* Inside a turn: an event that concerns no guest and no host, as long as the store has room for what may wait. */
void core_tell(struct core *core, const char *who, const char *text);

struct core_out {
    const struct net_peer *peer; /* borrowed until the next core_begin() */
    const uint8_t *frame;
    size_t length;
};
bool core_next_out(struct core *core, struct core_out *ret_out);

/* What MEASURE_COMMIT or MEASURE_TURN took by the clock of whoever runs it; it is only told to who asks. */
void core_took(struct core *core, RmMeasure measure, usec_t span);

/* The connection of that peer is gone (a send failed). */
void core_gone(struct core *core, const struct net_peer *peer);

/* A line for the log. */
struct core_line {
    enum notice notice;
    enum log_level level;
    const char *text; /* borrowed until the next core_begin() */
};
bool core_next_note(struct core *core, struct core_line *ret_line);

#endif
