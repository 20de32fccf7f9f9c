/* agent.h - the decisions of a worker: messages and reports in, messages and actions out; no I/O
 *
 * main.c (or the simulation) feeds it and carries out what it asks for. It keeps the session with
 * the broker, knows which tasks are in hand, repeats results until they are acknowledged, and gives
 * credit. What it knows is lost when the worker dies, and that is harmless: the broker settles by
 * looking.
 *
 * The lease: an assignment counts only while the broker has confirmed a message that was sent less
 * than lease_for ago, and its migration must begin before that time is over (begin_by). So a worker
 * that slept, or whose network did, or that was replaced, never begins what others have settled
 * since. */
#ifndef WORKER_AGENT_H
#define WORKER_AGENT_H

#include "conf/env.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>

struct agent_host { /* borrowed from the settings for the agent's life */
    const char *name;
    const char *peer;      /* "" = none */
    const char *migration; /* "" = the hypervisor's own choice */
    unsigned slots;
    RmKind kind;
};

struct agent;
struct agent *agent_new(const struct agent_host *hosts, size_t n_hosts, const char *machine,
                        uint32_t pid, const char *version, uint64_t instance);
void agent_free(struct agent *agent);

/* What came in. The message and the reports are borrowed. */
void agent_message(struct agent *agent, usec_t now, const RmMessage *message);
void agent_inventory(struct agent *agent, usec_t now, const RmInventory *inventory);
/* From a task: accepted, progress, refused or finished. */
void agent_report(struct agent *agent, usec_t now, const RmReport *report);
/* To a question. One of a session that is over goes nowhere. */
void agent_answer(struct agent *agent, usec_t now, const RmAnswer *answer);
void agent_tick(struct agent *agent, usec_t now);
usec_t
agent_deadline(const struct agent *agent); /* when agent_tick() wants to be called at the latest */

/* The broker seems to be gone (heartbeats unanswered for a lease): the shell may drop the
 * connection and make a new one. True once for each such time. */
bool agent_wants_reconnect(struct agent *agent);

/* What it asks for. */
enum agent_what {
    AGENT_MIGRATE, /* begin the task of `assignment` */
    AGENT_SETTLE,  /* find out, adopt or mend */
    AGENT_ABORT,   /* stop the task of job */
    AGENT_ASK,     /* carry out `ask`, and tell agent_answer() */
};
struct agent_action {
    enum agent_what what;
    uint64_t job;
    uint32_t attempt;
    usec_t begin_by; /* MIGRATE: the lease. What has not begun by then must not begin any more:
                      * others may have settled it. USEC_NEVER for the rest */
    const RmAssignment
        *assignment;  /* borrowed until the next call of agent_x() other than agent_next_x() */
    const RmAsk *ask; /* the same */
};
bool agent_next_action(struct agent *agent, struct agent_action *ret_action);

/* The next message to the broker, unpacked form, in the arena; NULL: none. */
RmMessage *agent_next_message(struct agent *agent, struct arena *arena);

/* On the way out: says goodbye. True when no task is in hand. */
bool agent_leave(struct agent *agent, usec_t now);

size_t agent_tasks(const struct agent *agent);

#endif
