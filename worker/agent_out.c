/* agent_out.c - what a worker says to the broker */
#include "worker/agent_parts.h"

#include <utlist.h>

static unsigned slots_free(const struct agent *agent, const struct agent_view *host)
{
    unsigned taken = host->foreign;
    if (agent->leaving)
        return 0;
    for (const struct agent_task *task = agent->tasks; task; task = task->hh.next)
        if (task->host == host && !task->result && !task->settling)
            taken++;
    return host->conf->slots > taken ? host->conf->slots - taken : 0;
}

/* ---- messages out, in the order in which they make sense to the broker */

static RmMessage *new_message(struct arena *arena, RmMessage__BodyCase body)
{
    RmMessage *message = arena_alloc(arena, sizeof(*message));
    if (message) {
        rm_message__init(message);
        message->body_case = body;
    }
    return message;
}

static RmMessage *make_hello(struct agent *agent, struct arena *arena)
{
    RmMessage *message = new_message(arena, RM_MESSAGE__BODY_HELLO);
    RmHello *hello = arena_alloc(arena, sizeof(*hello));
    if (!message || !hello)
        return NULL;
    rm_hello__init(hello);
    hello->instance = agent->instance;
    hello->version = (char *)agent->version;
    hello->machine = (char *)agent->machine;
    hello->pid = agent->pid;
    hello->turns = true;
    for (size_t i = 0; i < agent->n_hosts; i++) {
        RmHyp *hyp = arena_alloc(arena, sizeof(*hyp));
        if (!hyp)
            return NULL;
        rm_hyp__init(hyp);
        hyp->name = (char *)agent->hosts[i].conf->name;
        hyp->peer = (char *)agent->hosts[i].conf->peer;
        hyp->migration = (char *)agent->hosts[i].conf->migration;
        hyp->slots = agent->hosts[i].conf->slots;
        hyp->kind = agent->hosts[i].conf->kind;
        if (agent->hosts[i].conf->reserve.set) {
            if (!(hyp->reserve = arena_alloc(arena, sizeof(*hyp->reserve))))
                return NULL;
            rm_reserve__init(hyp->reserve);
            hyp->reserve->bytes = agent->hosts[i].conf->reserve.bytes;
            hyp->reserve->per_cent = agent->hosts[i].conf->reserve.per_cent;
        }
        ARENA_PUSH(arena, hello->n_hosts, hello->hosts, hyp);
    }
    for (struct agent_task *task = agent->tasks; task; task = task->hh.next) {
        RmTask *one = arena_alloc(arena, sizeof(*one));
        if (!one)
            return NULL;
        rm_task__init(one);
        one->job = task->job;
        one->attempt = task->attempt;
        one->settling = task->settling;
        one->turn = task->turn;
        one->ended = task->result != NULL;
        one->host = (char *)task->host->conf->name;
        ARENA_PUSH(arena, hello->n_tasks, hello->tasks, one);
    }
    message->hello = hello;
    return message;
}

static RmMessage *make_pull(struct agent *agent, struct arena *arena)
{
    RmMessage *message = new_message(arena, RM_MESSAGE__BODY_PULL);
    RmPull *pull = arena_alloc(arena, sizeof(*pull));
    if (!message || !pull)
        return NULL;
    rm_pull__init(pull);
    pull->session = agent->session;
    pull->sent = agent->now;
    for (size_t i = 0; i < agent->n_hosts; i++) {
        RmCredit *credit = arena_alloc(arena, sizeof(*credit));
        if (!credit)
            return NULL;
        rm_credit__init(credit);
        credit->host = (char *)agent->hosts[i].conf->name;
        credit->free = slots_free(agent, &agent->hosts[i]);
        credit->seen = agent->hosts[i].seen;
        ARENA_PUSH(arena, pull->n_credits, pull->credits, credit);
    }
    message->pull = pull;
    return message;
}

static RmMessage *make_reports(struct agent *agent, struct arena *arena)
{
    RmMessage *message = new_message(arena, RM_MESSAGE__BODY_REPORTS);
    RmReports *reports = arena_alloc(arena, sizeof(*reports));
    if (!message || !reports)
        return NULL;
    rm_reports__init(reports);
    reports->session = agent->session;
    while (agent->reports) {
        struct report *one = agent->reports;
        RmReport *copy = (RmReport *)msg_copy(arena, &one->report->base);
        LL_DELETE(agent->reports, one);
        rm_report__free_unpacked(one->report, NULL);
        free(one);
        if (copy)
            ARENA_PUSH(arena, reports->n_reports, reports->reports, copy);
    }
    for (struct agent_task *task = agent->tasks; task; task = task->hh.next) {
        if (!task->result || task->again_at > agent->now)
            continue;
        task->again_at = agent->now + RESULT_AGAIN_FOR;
        ARENA_PUSH(arena, reports->n_reports, reports->reports, task->result);
    }
    if (reports->n_reports == 0)
        return NULL;
    message->reports = reports;
    return message;
}

static RmMessage *make_answer(struct agent *agent, struct arena *arena)
{
    struct answer *one = agent->answers;
    if (!one)
        return NULL;
    RmMessage *message = new_message(arena, RM_MESSAGE__BODY_ANSWER);
    if (message)
        message->answer = (RmAnswer *)msg_copy(arena, &one->answer->base);
    LL_DELETE(agent->answers, one);
    agent_answer_free(one);
    return message && message->answer ? message : NULL;
}

RmMessage *agent_next_message(struct agent *agent, struct arena *arena)
{
    if (agent->bye) {
        RmBye *bye = arena_alloc(arena, sizeof(*bye));
        RmMessage *message = new_message(arena, RM_MESSAGE__BODY_BYE);
        agent->bye = false;
        if (!message || !bye)
            return NULL;
        rm_bye__init(bye);
        bye->session = agent->session;
        message->bye = bye;
        agent->session = 0;
        agent->hello_at = USEC_NEVER;
        return message;
    }
    if (agent->session == 0) {
        if (agent->hello_at > agent->now)
            return NULL;
        agent->hello_at = agent->now + HELLO_AGAIN_FOR;
        agent->hellos++;
        return make_hello(agent, arena);
    }
    for (size_t i = 0; i < agent->n_hosts; i++) {
        struct agent_view *host = &agent->hosts[i];
        if (!host->inventory_due)
            continue;
        host->inventory_due = false;
        RmMessage *message = new_message(arena, RM_MESSAGE__BODY_INVENTORY);
        if (message)
            message->inventory = host->inventory;
        return message;
    }
    RmMessage *message = make_reports(agent, arena);
    if (message)
        return message;
    message = make_answer(agent, arena);
    if (message)
        return message;
    if (agent->pull_at <= agent->now) {
        agent->pull_at = agent->now + agent->heartbeat;
        return make_pull(agent, arena);
    }
    return NULL;
}
