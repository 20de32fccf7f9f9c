/* agent.c - the decisions of a worker */
#include "worker/agent_parts.h"

#include <stdlib.h>
#include <string.h>
#include <utlist.h>

enum { HELLOS_MOST = 5 }; /* unanswered ones, until the connection itself is replaced */

/* ---- begin and end */

struct agent *agent_new(const struct agent_host *hosts, size_t n_hosts, const char *machine,
                        uint32_t pid, const char *version, uint64_t instance)
{
    struct agent *agent = calloc(1, sizeof(*agent));
    if (!agent)
        return NULL;
    agent->hosts = calloc(n_hosts + 1, sizeof(*agent->hosts));
    if (!agent->hosts) {
        free(agent);
        return NULL;
    }
    agent->n_hosts = n_hosts;
    for (size_t i = 0; i < n_hosts; i++)
        agent->hosts[i].conf = &hosts[i];
    agent->machine = machine;
    agent->version = version;
    agent->pid = pid;
    agent->instance = instance;
    agent->heartbeat = 2 * USEC_PER_SEC; /* until the broker's welcome names another */
    agent->pull_at = USEC_NEVER;
    return agent;
}

static void task_free(struct agent *agent, struct agent_task *task)
{
    HASH_DEL(agent->tasks, task);
    if (task->assignment)
        rm_assignment__free_unpacked(task->assignment, NULL);
    if (task->accepted)
        rm_report__free_unpacked(task->accepted, NULL);
    if (task->result)
        rm_report__free_unpacked(task->result, NULL);
    free(task);
}

static void action_free(struct action *action)
{
    if (action && action->ask)
        rm_ask__free_unpacked(action->ask, NULL);
    free(action);
}

/* Whoever asked in a session that is over waits no more. */
static void drop_answers(struct agent *agent)
{
    while (agent->answers) {
        struct answer *answer = agent->answers;
        LL_DELETE(agent->answers, answer);
        agent_answer_free(answer);
    }
}

void agent_free(struct agent *agent)
{
    if (!agent)
        return;
    struct agent_task *task, *next;
    HASH_ITER (hh, agent->tasks, task, next)
        task_free(agent, task);
    while (agent->actions) {
        struct action *action = agent->actions;
        LL_DELETE(agent->actions, action);
        action_free(action);
    }
    action_free(agent->taken);
    drop_answers(agent);
    while (agent->reports) {
        struct report *report = agent->reports;
        LL_DELETE(agent->reports, report);
        rm_report__free_unpacked(report->report, NULL);
        free(report);
    }
    for (size_t i = 0; i < agent->n_hosts; i++)
        if (agent->hosts[i].inventory)
            rm_inventory__free_unpacked(agent->hosts[i].inventory, NULL);
    free(agent->hosts);
    free(agent);
}

/* ---- small things */

static struct agent_view *find_host(struct agent *agent, const char *name)
{
    for (size_t i = 0; i < agent->n_hosts; i++)
        if (strcmp(agent->hosts[i].conf->name, name) == 0)
            return &agent->hosts[i];
    return NULL;
}

static struct agent_task *find_task(struct agent *agent, uint64_t job)
{
    struct agent_task *task;
    HASH_FIND(hh, agent->tasks, &job, sizeof(job), task);
    return task;
}

static void act(struct agent *agent, enum agent_what what, uint64_t job, uint32_t attempt)
{
    struct action *action = calloc(1, sizeof(*action));
    if (!action)
        return; /* the broker asks again */
    action->what = what;
    action->job = job;
    action->attempt = attempt;
    LL_APPEND(agent->actions, action);
}

/* Puts it in the queue and owns it. A newer progress replaces one that has not left yet. */
static void send_report(struct agent *agent, RmReport *report)
{
    if (!report)
        return;
    struct report *one;
    LL_FOREACH (agent->reports, one) {
        if (one->report->job == report->job && one->report->attempt == report->attempt &&
            one->report->kind == RM_REPORT_KIND__REPORT_PROGRESS &&
            report->kind == RM_REPORT_KIND__REPORT_PROGRESS) {
            rm_report__free_unpacked(one->report, NULL);
            one->report = report;
            return;
        }
    }
    one = calloc(1, sizeof(*one));
    if (!one) {
        rm_report__free_unpacked(report, NULL);
        return;
    }
    one->report = report;
    LL_APPEND(agent->reports, one);
}

static void report_short(struct agent *agent, const RmAssignment *assignment, RmReportKind kind,
                         RmVerdict verdict, RmClass class_, const char *text)
{
    RmReport report = RM_REPORT__INIT;
    report.job = assignment->job;
    report.attempt = assignment->attempt;
    report.turn = assignment->turn;
    report.kind = kind;
    report.verdict = verdict;
    report.class_ = class_;
    report.text = (char *)text;
    report.host = assignment->host;
    send_report(agent, (RmReport *)msg_copy(NULL, &report.base));
}

/* Does a task concern that guest? */
static bool is_ours(const struct agent *agent, const char *uuid)
{
    for (const struct agent_task *task = agent->tasks; task; task = task->hh.next)
        if (strcmp(task->assignment->uuid, uuid) == 0)
            return true;
    return false;
}

static bool lease_holds(const struct agent *agent)
{
    return agent->session != 0 && agent->now < agent->confirmed_at + agent->lease;
}

usec_t agent_lease_until(const struct agent *agent, uint64_t *ret_session)
{
    *ret_session = agent->session;
    return agent->session != 0 && agent->confirmed_at != 0 ? agent->confirmed_at + agent->lease : 0;
}

/* ---- turns */

/* It does nothing any more under this turn or an older one. */
static void report_off(struct agent *agent, const RmOrder *order, const RmReport *last)
{
    RmReport report = RM_REPORT__INIT;
    report.job = order->job;
    report.attempt = order->attempt;
    report.turn = order->turn;
    report.kind = RM_REPORT_KIND__REPORT_OFF;
    if (last) {
        report.n_unanswered = last->n_unanswered;
        report.unanswered = last->unanswered;
    }
    send_report(agent, (RmReport *)msg_copy(NULL, &report.base));
}

static void call_off(struct agent *agent, struct agent_task *task)
{
    if (!task->off)
        act(agent, AGENT_OFF, task->job, task->attempt);
    task->off = true;
}

static void go_on(struct agent *agent, struct agent_task *task)
{
    task->session = agent->session;
    if (!task->result)
        act(agent, AGENT_GO_ON, task->job, task->attempt);
}

/* What the broker has to know of it. */
static void tell_again(struct agent *agent, struct agent_task *task)
{
    if (task->result)
        task->again_at = agent->now;
    else if (task->accepted)
        send_report(agent, (RmReport *)msg_copy(NULL, &task->accepted->base));
}

static bool is_kept(const RmWelcome *welcome, const struct agent_task *task)
{
    for (size_t i = 0; i < welcome->n_kept; i++)
        if (welcome->kept[i]->job == task->job && welcome->kept[i]->turn == task->turn)
            return true;
    return !welcome->turns;
}

/* ---- messages of the broker */

static void on_welcome(struct agent *agent, const RmWelcome *welcome)
{
    drop_answers(agent);
    agent->session = welcome->session;
    if (welcome->heartbeat_for > 0)
        agent->heartbeat = welcome->heartbeat_for;
    agent->lease = welcome->lease_for;
    agent->turns = welcome->turns;
    agent->hello_at = USEC_NEVER;
    agent->confirmed_at = 0; /* nothing of this session is confirmed yet: no lease */
    agent->answered_at = agent->now;
    agent->hellos = 0;
    agent->pull_at = agent->now;
    for (size_t i = 0; i < agent->n_hosts; i++) {
        agent->hosts[i].seen = 0;
        agent->hosts[i].inventory_due = agent->hosts[i].inventory;
    }
    /* A task that is not kept waits to be called off, or to be told to go on. */
    for (struct agent_task *task = agent->tasks; task; task = task->hh.next) {
        if (is_kept(welcome, task))
            go_on(agent, task);
        tell_again(agent, task);
    }
}

static bool is_newer(const struct agent *agent, const RmAssignment *assignment,
                     const struct agent_task *task)
{
    return agent->turns ? assignment->turn > task->turn : assignment->attempt > task->attempt;
}

static void assign_known(struct agent *agent, struct agent_task *task,
                         const RmAssignment *assignment)
{
    if (is_newer(agent, assignment, task)) {
        /* Its turn is over: it ends, and the broker asks again. */
        if (agent->turns)
            call_off(agent, task);
        report_short(agent, assignment, RM_REPORT_KIND__REPORT_REFUSED, RM_VERDICT__NO_VERDICT,
                     RM_CLASS__CLASS_RETRY, "an older try of this job is still in progress");
    } else if (assignment->attempt == task->attempt && assignment->turn == task->turn) {
        if (task->result || task->accepted)
            tell_again(agent, task);
        else if (assignment->settle && !task->settling)
            /* It is still being looked into: the broker may count on it. */
            report_short(agent, assignment, RM_REPORT_KIND__REPORT_ACCEPTED, RM_VERDICT__NO_VERDICT,
                         RM_CLASS__NO_CLASS, "");
    }
}

static void assign_one(struct agent *agent, const RmAssignment *assignment)
{
    /* A settling worker may serve the destination only. */
    struct agent_view *host = find_host(agent, assignment->host);
    struct agent_task *task = find_task(agent, assignment->job);

    if (!host && assignment->settle)
        host = find_host(agent, assignment->destination);
    if (!host) {
        report_short(agent, assignment, RM_REPORT_KIND__REPORT_REFUSED, RM_VERDICT__NO_VERDICT,
                     RM_CLASS__CLASS_RETRY, "this worker does not serve that hypervisor");
        return;
    }
    if (!assignment->settle && assignment->number > host->seen)
        host->seen = assignment->number;
    agent->pull_at = agent->now;
    /* A result of an older try that was never acknowledged: the broker knows better by now. */
    if (task && task->result && is_newer(agent, assignment, task)) {
        task_free(agent, task);
        task = NULL;
    }
    if (task) {
        assign_known(agent, task, assignment);
        return;
    }
    task = calloc(1, sizeof(*task));
    if (!task)
        return; /* nothing was begun; the broker asks again */
    task->job = assignment->job;
    task->attempt = assignment->attempt;
    task->turn = assignment->turn;
    task->session = agent->session;
    task->settling = assignment->settle;
    task->host = host;
    task->again_at = USEC_NEVER;
    task->assignment = (RmAssignment *)msg_copy(NULL, &assignment->base);
    HASH_ADD(hh, agent->tasks, job, sizeof(task->job), task);
    if (!task->assignment) {
        task_free(agent, task);
        return;
    }
    act(agent, assignment->settle ? AGENT_SETTLE : AGENT_MIGRATE, task->job, task->attempt);
}

static void on_assign(struct agent *agent, const RmAssign *assign)
{
    if (assign->session != agent->session)
        return;
    for (size_t i = 0; i < assign->n_jobs; i++) {
        const RmAssignment *one = assign->jobs[i];
        /* Without a lease others may have settled this since. Looking harms nothing. */
        if (one->settle || (lease_holds(agent) && !agent->leaving))
            assign_one(agent, one);
    }
}

/* Ends what it has of that turn or an older one. */
static void on_stop(struct agent *agent, const RmOrder *order, struct agent_task *task)
{
    if (!task || task->turn > order->turn) {
        report_off(agent, order, NULL);
    } else if (task->result) {
        report_off(agent, order, task->result);
        task_free(agent, task);
        agent->pull_at = agent->now;
    } else {
        task->abort = task->abort || order->abort;
        call_off(agent, task);
    }
}

static void on_go_on(struct agent *agent, const RmOrder *order, struct agent_task *task)
{
    if (!task || task->attempt != order->attempt || task->off) {
        report_off(agent, order, NULL);
        return;
    }
    task->turn = order->turn;
    go_on(agent, task);
    if (task->accepted)
        task->accepted->turn = task->turn;
    if (task->result)
        task->result->turn = task->turn;
    else if (!task->accepted) /* the broker waits for a word of it */
        report_short(agent, task->assignment, RM_REPORT_KIND__REPORT_PROGRESS,
                     RM_VERDICT__NO_VERDICT, RM_CLASS__NO_CLASS, "");
    tell_again(agent, task);
}

static void on_order(struct agent *agent, const RmOrder *order)
{
    struct agent_task *task = find_task(agent, order->job);
    RmAssignment unknown = RM_ASSIGNMENT__INIT;
    if (order->kind == RM_ORDER_KIND__ORDER_STOP && agent->turns) {
        on_stop(agent, order, task);
        return;
    }
    if (order->kind == RM_ORDER_KIND__ORDER_GO_ON) {
        on_go_on(agent, order, task);
        return;
    }
    if (task && (task->attempt != order->attempt || task->turn != order->turn))
        task = NULL;
    switch (order->kind) {
    case RM_ORDER_KIND__ORDER_ACKNOWLEDGED:
        if (task && task->result) {
            task_free(agent, task);
            agent->pull_at = agent->now;
        }
        break;
    case RM_ORDER_KIND__ORDER_CANCEL:
        if (!task) {
            unknown.job = order->job;
            unknown.attempt = order->attempt;
            unknown.turn = order->turn;
            report_short(agent, &unknown, RM_REPORT_KIND__REPORT_FINISHED,
                         RM_VERDICT__VERDICT_UNKNOWN, RM_CLASS__CLASS_AMBIGUOUS,
                         "this worker does not know of the job");
        } else if (!task->result) {
            act(agent, AGENT_ABORT, task->job, task->attempt);
        }
        break;
    case RM_ORDER_KIND__ORDER_STOP: /* of a broker that gives no turns */
        if (task && !task->result)
            act(agent, AGENT_ABORT, task->job, task->attempt);
        break;
    case RM_ORDER_KIND__ORDER_HELLO:
        agent->session = 0;
        agent->hello_at = agent->now;
        break;
    default:
        break;
    }
}

static void answer_not_now(struct agent *agent, const RmAsk *ask)
{
    RmAnswer answer = RM_ANSWER__INIT;
    answer.session = ask->session;
    answer.id = ask->id;
    answer.text = "its worker has a task of the guest, to be asked again";
    agent_answer(agent, agent->now, &answer);
}

/* Looks, and what a person asks for at once: needs no lease. */
static void on_ask(struct agent *agent, const RmAsk *ask)
{
    if (ask->session != agent->session || !ask->about || !find_host(agent, ask->about->host))
        return;
    if (ask->kind == RM_ASK_KIND__ASK_TIDY && is_ours(agent, ask->about->uuid)) {
        answer_not_now(agent, ask); /* its task sees to that, or the broker asks again */
        return;
    }
    struct action *action = calloc(1, sizeof(*action));
    if (!action)
        return; /* the client hears that nobody answered */
    action->what = AGENT_ASK;
    action->ask = (RmAsk *)msg_copy(NULL, &ask->base);
    if (!action->ask) {
        free(action);
        return;
    }
    LL_APPEND(agent->actions, action);
}

void agent_message(struct agent *agent, usec_t now, const RmMessage *message)
{
    agent->now = now;
    switch (message->body_case) {
    case RM_MESSAGE__BODY_WELCOME:
        on_welcome(agent, message->welcome);
        break;
    case RM_MESSAGE__BODY_ASSIGN:
        on_assign(agent, message->assign);
        break;
    case RM_MESSAGE__BODY_ORDERS:
        /* `heard` is the time of ours that the broker read: the lease counts from there. */
        if (agent->session != 0 && message->orders->heard <= now &&
            message->orders->heard > agent->confirmed_at)
            agent->confirmed_at = agent->answered_at = message->orders->heard;
        for (size_t i = 0; i < message->orders->n_orders; i++)
            on_order(agent, message->orders->orders[i]);
        break;
    case RM_MESSAGE__BODY_ASK:
        on_ask(agent, message->ask);
        break;
    default:
        break;
    }
}

/* ---- what happens here */

void agent_inventory(struct agent *agent, usec_t now, const RmInventory *inventory)
{
    struct agent_view *host = find_host(agent, inventory->host);
    agent->now = now;
    /* What was looked at before a task ended would bring its guest back to life at the source; the
     * change itself brings a newer one. */
    if (!host || (inventory->taken_at != 0 && inventory->taken_at < host->ended_at))
        return;
    if (host->inventory)
        rm_inventory__free_unpacked(host->inventory, NULL);
    host->inventory = (RmInventory *)msg_copy(NULL, &inventory->base);
    if (!host->inventory)
        return;
    host->inventory->sequence = ++agent->sequence;
    host->inventory_due = true;
    host->foreign = 0;
    for (size_t i = 0; i < inventory->n_domains; i++)
        if (inventory->domains[i]->migrating && !is_ours(agent, inventory->domains[i]->uuid))
            host->foreign++;
}

void agent_report(struct agent *agent, usec_t now, const RmReport *report)
{
    struct agent_task *task = find_task(agent, report->job);
    agent->now = now;
    if (!task || task->attempt != report->attempt)
        return;
    RmReport *own = (RmReport *)msg_copy(NULL, &report->base);
    if (!own)
        return;
    own->turn = task->turn;
    if (report->kind == RM_REPORT_KIND__REPORT_PROGRESS) {
        if (agent->session != 0 && !task->off)
            send_report(agent, own);
        else
            rm_report__free_unpacked(own, NULL);
        return;
    }
    if (report->kind == RM_REPORT_KIND__REPORT_ACCEPTED) {
        if (task->accepted)
            rm_report__free_unpacked(task->accepted, NULL);
        task->accepted = own;
        /* An adopted migration is a task like any other from here on. */
        task->settling = false;
        send_report(agent, (RmReport *)msg_copy(NULL, &own->base));
        return;
    }
    if (task->off) { /* however it ended: that was not known when it was called off */
        own->kind = RM_REPORT_KIND__REPORT_OFF;
        send_report(agent, own);
        task->host->ended_at = now;
        agent->pull_at = now;
        task_free(agent, task);
        return;
    }
    if (task->result)
        rm_report__free_unpacked(task->result, NULL);
    task->result = own;
    task->again_at = now;
    task->host->ended_at = now;
    agent->pull_at = now;
}

void agent_answer(struct agent *agent, usec_t now, const RmAnswer *answer)
{
    agent->now = now;
    if (agent->session == 0 || answer->session != agent->session)
        return;
    struct answer *one = calloc(1, sizeof(*one));
    if (!one)
        return;
    one->answer = (RmAnswer *)msg_copy(NULL, &answer->base);
    if (!one->answer) {
        free(one);
        return;
    }
    LL_APPEND(agent->answers, one);
}

static void hello_due(struct agent *agent)
{
    agent->session = 0;
    agent->hello_at = agent->now;
}

void agent_tick(struct agent *agent, usec_t now)
{
    agent->now = now;
    /* Nothing was confirmed for a whole lease: the broker, or the way to it, is gone. */
    if (agent->session != 0 && now >= agent->answered_at + agent->lease) {
        hello_due(agent);
        agent->reconnect = true;
    }
    if (agent->hellos >= HELLOS_MOST) {
        agent->hellos = 0;
        agent->reconnect = true;
    }
}

usec_t agent_deadline(const struct agent *agent)
{
    usec_t first = agent->hello_at;
    if (agent->session == 0)
        return first;
    if (agent->pull_at < first)
        first = agent->pull_at;
    if (agent->answered_at + agent->lease < first)
        first = agent->answered_at + agent->lease;
    for (const struct agent_task *task = agent->tasks; task; task = task->hh.next)
        if (task->result && task->again_at < first)
            first = task->again_at;
    return first;
}

bool agent_wants_reconnect(struct agent *agent)
{
    bool wants = agent->reconnect;
    agent->reconnect = false;
    return wants;
}

bool agent_next_action(struct agent *agent, struct agent_action *ret_action)
{
    action_free(agent->taken);
    agent->taken = NULL;
    while (agent->actions) {
        struct action *action = agent->actions;
        LL_DELETE(agent->actions, action);
        if (action->ask) {
            agent->taken = action;
            *ret_action = (struct agent_action){.what = action->what, .ask = action->ask};
            return true;
        }
        const struct agent_task *task = find_task(agent, action->job);
        if (!task) {
            action_free(action);
            continue;
        }
        agent->taken = action;
        *ret_action = (struct agent_action){.what = action->what,
                                            .job = action->job,
                                            .attempt = action->attempt,
                                            .session = task->session,
                                            .abort = task->abort,
                                            .assignment = task->assignment};
        return true;
    }
    return false;
}

bool agent_leave(struct agent *agent, usec_t now)
{
    agent->now = now;
    if (!agent->leaving)
        agent->pull_at = now; /* no more credit */
    agent->leaving = true;
    if (agent->tasks)
        return false;
    if (agent->session != 0)
        agent->bye = true;
    return true;
}

size_t agent_tasks(const struct agent *agent)
{
    return HASH_COUNT(agent->tasks);
}
