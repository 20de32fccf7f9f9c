/* agent.h - the decisions of a worker: messages and reports in, messages and actions out; no I/O
 *
 * main.c (or the simulation) feeds it and carries out what it asks for. It keeps the session with
 * the broker, knows which tasks are in progress, repeats results until they are acknowledged, and
 * gives credit. What it knows is lost when the worker dies, and that is harmless: the broker
 * settles by looking.
 *
 * The lease: an assignment counts, and a task may change a domain, only while the broker has confirmed
 * a message that was sent less than lease_for ago, and has confirmed in the same session that the
 * task's turn is the newest. So a worker that slept, or whose network did, or that was replaced,
 * never does what others have settled since. */
#ifndef WORKER_AGENT_H
#define WORKER_AGENT_H

#include "conf/env.h"
#include "conf/word.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>

struct agent_host { /* borrowed from the settings for the agent's life */
    const char *name;
    const char *peer;      /* "" = none */
    const char *migration; /* "" = the hypervisor's own choice */
    unsigned slots;
    RmKind kind;
    struct conf_reserve reserve;
};

struct agent;
struct agent *agent_new(const struct agent_host *hosts, size_t n_hosts, const char *machine,
                        uint32_t pid, const char *version, uint64_t instance);
void agent_free(struct agent *agent);

/* What came in. The message and the reports are borrowed. */
void agent_message(struct agent *agent, usec_t now, const RmMessage *message);
void agent_inventory(struct agent *agent, usec_t now, const RmInventory *inventory);
/* From a task: accepted, progress, refused, finished or off. */
void agent_report(struct agent *agent, usec_t now, const RmReport *report);
/* To a question. One of a session that is over goes nowhere. */
void agent_answer(struct agent *agent, usec_t now, const RmAnswer *answer);
void agent_tick(struct agent *agent, usec_t now);
usec_t
agent_deadline(const struct agent *agent); /* when agent_tick() wants to be called at the latest */

/* Until when tasks may act, and in which session; 0: they may not. To be told to them after every
 * action that came before. */
usec_t agent_lease_until(const struct agent *agent, uint64_t *ret_session);

/* The broker seems to be gone (heartbeats unanswered for a lease): the shell may drop the
 * connection and make a new one. True once for each such time. */
bool agent_wants_reconnect(struct agent *agent);

/* What it asks for. */
enum agent_what {
    AGENT_MIGRATE, /* begin the task of `assignment` */
    AGENT_SETTLE,  /* find out, adopt or repair */
    AGENT_ABORT,   /* stop the migration of job */
    AGENT_OFF,     /* call the task of job off: it ends as it is, and reports that */
    AGENT_GO_ON,   /* the task of job may act in this session */
    AGENT_ASK,     /* carry out `ask`, and pass what came of it to agent_answer() */
};
struct agent_action {
    enum agent_what what;
    uint64_t job;
    uint32_t attempt;
    uint64_t
        session; /* MIGRATE, SETTLE, GO_ON: in which the task may act, as long as its lease lasts */
    const RmAssignment
        *assignment;  /* borrowed until the next call of agent_x() other than agent_next_x() */
    bool abort;       /* OFF: what the task has begun is stopped */
    const RmAsk *ask; /* the same */
};
bool agent_next_action(struct agent *agent, struct agent_action *ret_action);

/* The next message to the broker, unpacked form, in the arena; NULL: none. */
RmMessage *agent_next_message(struct agent *agent, struct arena *arena);

/* On the way out: takes no more jobs, and says goodbye when nothing is in progress: true then. */
bool agent_leave(struct agent *agent, usec_t now);

size_t agent_tasks(const struct agent *agent);

#endif
