/* agent_parts.h - what agent.c, which decides, and agent_out.c, which says it, have in common
 *
 * For these two alone; everybody else includes agent.h. */
#ifndef WORKER_AGENT_PARTS_H
#define WORKER_AGENT_PARTS_H

#define HASH_NONFATAL_OOM 1

#include "worker/agent.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define HELLO_AGAIN_FOR  (2 * USEC_PER_SEC) /* until a hello that nobody answers is repeated */
#define RESULT_AGAIN_FOR (2 * USEC_PER_SEC) /* until a result that nobody acknowledges is */

struct agent_view {
    const struct agent_host *conf;
    uint64_t seen;    /* number of the last assignment */
    unsigned foreign; /* outgoing migrations that are not ours */
    usec_t
        ended_at; /* when the last task here ended: an older inventory may still show its guest */
    RmInventory *inventory; /* the newest; owned */
    bool inventory_due;     /* to be sent */
};

struct agent_task {
    uint64_t job;
    uint32_t attempt;
    uint64_t turn;    /* the right to act */
    uint64_t session; /* in which the broker has confirmed that turn */
    bool settling;
    bool off;   /* it was called off, and is about to end */
    bool abort; /* and what it has begun */
    struct agent_view *host;
    RmAssignment *assignment; /* owned */
    RmReport *accepted;       /* owned; NULL: not reported yet */
    RmReport *result;         /* owned; NULL: it runs */
    usec_t again_at;          /* result: when it is repeated */
    UT_hash_handle hh;
};

struct action {
    enum agent_what what;
    uint64_t job;
    uint32_t attempt;
    RmAsk *ask; /* owned; NULL: concerns a task */
    struct action *next;
};

struct report {       /* on its way out */
    RmReport *report; /* owned */
    struct report *next;
};

struct answer {       /* on its way out */
    RmAnswer *answer; /* owned */
    struct answer *next;
};

struct agent {
    struct agent_view *hosts;
    size_t n_hosts;
    const char *machine, *version;
    uint32_t pid;
    uint64_t instance;
    uint64_t session; /* 0 = none */
    usec_t heartbeat, lease;
    bool turns; /* the broker gives them */
    usec_t now;
    usec_t hello_at; /* when a hello is (again) due; USEC_NEVER: not */
    usec_t pull_at;
    usec_t confirmed_at; /* when the newest message was sent that the broker has confirmed; 0: none
                            yet */
    usec_t answered_at;  /* the same, or when its welcome came: since then it is silent */
    unsigned hellos;     /* since the broker answered one */
    bool reconnect;
    bool leaving, bye;
    uint64_t sequence; /* of inventories */
    struct agent_task *tasks;
    struct action *actions;
    struct action *taken; /* the one handed out last */
    struct report *reports;
    struct answer *answers;
};

static inline void agent_answer_free(struct answer *answer)
{
    rm_answer__free_unpacked(answer->answer, NULL);
    free(answer);
}

#endif
