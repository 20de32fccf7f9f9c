/* agent.c - the decisions of a worker */
#define HASH_NONFATAL_OOM 1

#include "worker/agent.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum {
    HELLO_AGAIN_MSEC = 2000,  /* a hello that nobody answers */
    RESULT_AGAIN_MSEC = 2000, /* a result that nobody acknowledges */
    HELLOS_MOST = 5,          /* unanswered ones, before the connection itself is made anew */
};

struct host {
    const struct agent_host *conf;
    uint64_t seen;    /* number of the last assignment */
    unsigned foreign; /* outgoing migrations that are not ours */
    usec_t
        ended_at; /* when the last task here ended: an older inventory may still show its guest */
    RmInventory *inventory; /* the newest; owned */
    bool inventory_due;     /* to be sent */
};

struct task {
    uint64_t job;
    uint32_t attempt;
    bool settling;
    struct host *host;
    RmAssignment *assignment; /* owned */
    usec_t begin_by;          /* the lease under which it was taken */
    RmReport *accepted;       /* said once; owned; NULL: not yet */
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
    struct host *hosts;
    size_t n_hosts;
    const char *machine, *version;
    uint32_t pid;
    uint64_t instance;
    uint64_t session; /* 0 = none */
    usec_t heartbeat, lease;
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
    struct task *tasks;
    struct action *actions;
    struct action *taken; /* the one handed out last */
    struct report *reports;
    struct answer *answers;
};

/* ---- begin and end */

struct agent *agent_new(const struct agent_host *hosts, size_t n_hosts, const char *machine,
                        uint32_t pid, const char *version, uint64_t instance)
{
    struct agent *agent = calloc(1, sizeof(*agent));

    if (agent == NULL)
        return NULL;
    agent->hosts = calloc(n_hosts + 1, sizeof(*agent->hosts));
    if (agent->hosts == NULL) {
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
    agent->heartbeat = 2 * USEC_PER_SEC; /* until the broker's welcome says better */
    agent->pull_at = USEC_NEVER;
    return agent;
}

static void task_free(struct agent *agent, struct task *task)
{
    HASH_DEL(agent->tasks, task);
    if (task->assignment != NULL)
        rm_assignment__free_unpacked(task->assignment, NULL);
    if (task->accepted != NULL)
        rm_report__free_unpacked(task->accepted, NULL);
    if (task->result != NULL)
        rm_report__free_unpacked(task->result, NULL);
    free(task);
}

static void action_free(struct action *action)
{
    if (action != NULL && action->ask != NULL)
        rm_ask__free_unpacked(action->ask, NULL);
    free(action);
}

static void answer_free(struct answer *answer)
{
    rm_answer__free_unpacked(answer->answer, NULL);
    free(answer);
}

/* Whoever asked in a session that is over waits no more. */
static void drop_answers(struct agent *agent)
{
    while (agent->answers != NULL) {
        struct answer *answer = agent->answers;
        LL_DELETE(agent->answers, answer);
        answer_free(answer);
    }
}

void agent_free(struct agent *agent)
{
    struct task *task, *next;

    if (agent == NULL)
        return;
    HASH_ITER (hh, agent->tasks, task, next)
        task_free(agent, task);
    while (agent->actions != NULL) {
        struct action *action = agent->actions;
        LL_DELETE(agent->actions, action);
        action_free(action);
    }
    action_free(agent->taken);
    drop_answers(agent);
    while (agent->reports != NULL) {
        struct report *report = agent->reports;
        LL_DELETE(agent->reports, report);
        rm_report__free_unpacked(report->report, NULL);
        free(report);
    }
    for (size_t i = 0; i < agent->n_hosts; i++)
        if (agent->hosts[i].inventory != NULL)
            rm_inventory__free_unpacked(agent->hosts[i].inventory, NULL);
    free(agent->hosts);
    free(agent);
}

/* ---- small things */

static struct host *find_host(struct agent *agent, const char *name)
{
    for (size_t i = 0; i < agent->n_hosts; i++)
        if (strcmp(agent->hosts[i].conf->name, name) == 0)
            return &agent->hosts[i];
    return NULL;
}

static struct task *find_task(struct agent *agent, uint64_t job)
{
    struct task *task;
    HASH_FIND(hh, agent->tasks, &job, sizeof(job), task);
    return task;
}

static void act(struct agent *agent, enum agent_what what, uint64_t job, uint32_t attempt)
{
    struct action *action = calloc(1, sizeof(*action));

    if (action == NULL)
        return; /* the broker asks again */
    action->what = what;
    action->job = job;
    action->attempt = attempt;
    LL_APPEND(agent->actions, action);
}

/* Takes the report. A newer progress replaces one that has not left yet. */
static void say(struct agent *agent, RmReport *report)
{
    struct report *one;

    if (report == NULL)
        return;
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
    if (one == NULL) {
        rm_report__free_unpacked(report, NULL);
        return;
    }
    one->report = report;
    LL_APPEND(agent->reports, one);
}

static void say_short(struct agent *agent, const RmAssignment *assignment, RmReportKind kind,
                      RmVerdict verdict, RmClass class_, const char *text)
{
    RmReport report = RM_REPORT__INIT;

    report.job = assignment->job;
    report.attempt = assignment->attempt;
    report.kind = kind;
    report.verdict = verdict;
    report.class_ = class_;
    report.text = (char *)text;
    report.host = assignment->host;
    say(agent, (RmReport *)msg_copy(NULL, &report.base));
}

/* Does a task concern that guest? */
static bool is_ours(const struct agent *agent, const char *uuid)
{
    for (const struct task *task = agent->tasks; task != NULL; task = task->hh.next)
        if (strcmp(task->assignment->uuid, uuid) == 0)
            return true;
    return false;
}

static bool lease_holds(const struct agent *agent)
{
    return agent->session != 0 && agent->now < agent->confirmed_at + agent->lease;
}

static unsigned slots_free(const struct agent *agent, const struct host *host)
{
    unsigned taken = host->foreign;

    if (agent->leaving)
        return 0;
    for (const struct task *task = agent->tasks; task != NULL; task = task->hh.next)
        if (task->host == host && task->result == NULL && !task->settling)
            taken++;
    return host->conf->slots > taken ? host->conf->slots - taken : 0;
}

/* ---- messages of the broker */

static void on_welcome(struct agent *agent, const RmWelcome *welcome)
{
    struct task *task;

    drop_answers(agent);
    agent->session = welcome->session;
    if (welcome->heartbeat_for > 0)
        agent->heartbeat = welcome->heartbeat_for;
    agent->lease = welcome->lease_for;
    agent->hello_at = USEC_NEVER;
    agent->confirmed_at = 0; /* nothing of this session is confirmed yet: no lease */
    agent->answered_at = agent->now;
    agent->hellos = 0;
    agent->pull_at = agent->now;
    for (size_t i = 0; i < agent->n_hosts; i++) {
        agent->hosts[i].seen = 0;
        agent->hosts[i].inventory_due = agent->hosts[i].inventory != NULL;
    }
    for (task = agent->tasks; task != NULL; task = task->hh.next)
        if (task->result != NULL)
            task->again_at = agent->now;
        else if (task->accepted != NULL)
            say(agent, (RmReport *)msg_copy(NULL, &task->accepted->base));
}

static void assign_known(struct agent *agent, struct task *task, const RmAssignment *assignment)
{
    if (assignment->attempt == task->attempt) {
        if (task->result != NULL)
            task->again_at = agent->now;
        else if (task->accepted != NULL)
            say(agent, (RmReport *)msg_copy(NULL, &task->accepted->base));
        else if (assignment->settle && !task->settling)
            /* It is still being looked into: the broker may count on it. */
            say_short(agent, assignment, RM_REPORT_KIND__REPORT_ACCEPTED, RM_VERDICT__NO_VERDICT,
                      RM_CLASS__NO_CLASS, "");
        return;
    }
    if (assignment->attempt < task->attempt)
        return;
    say_short(agent, assignment, RM_REPORT_KIND__REPORT_REFUSED, RM_VERDICT__NO_VERDICT,
              RM_CLASS__CLASS_RETRY, "an older try of this job is still in hand");
}

static void assign_one(struct agent *agent, const RmAssignment *assignment)
{
    /* A settling worker may serve the destination only. */
    struct host *host = find_host(agent, assignment->host);
    struct task *task = find_task(agent, assignment->job);

    if (host == NULL && assignment->settle)
        host = find_host(agent, assignment->destination);
    if (host == NULL) {
        say_short(agent, assignment, RM_REPORT_KIND__REPORT_REFUSED, RM_VERDICT__NO_VERDICT,
                  RM_CLASS__CLASS_RETRY, "this worker does not serve that hypervisor");
        return;
    }
    if (!assignment->settle && assignment->number > host->seen)
        host->seen = assignment->number;
    agent->pull_at = agent->now;
    /* A result of an older try that was never acknowledged: the broker knows better by now. */
    if (task != NULL && task->result != NULL && task->attempt < assignment->attempt) {
        task_free(agent, task);
        task = NULL;
    }
    if (task != NULL) {
        assign_known(agent, task, assignment);
        return;
    }
    task = calloc(1, sizeof(*task));
    if (task == NULL)
        return; /* nothing was begun; the broker asks again */
    task->job = assignment->job;
    task->attempt = assignment->attempt;
    task->settling = assignment->settle;
    task->begin_by = assignment->settle ? USEC_NEVER : agent->confirmed_at + agent->lease;
    task->host = host;
    task->again_at = USEC_NEVER;
    task->assignment = (RmAssignment *)msg_copy(NULL, &assignment->base);
    HASH_ADD(hh, agent->tasks, job, sizeof(task->job), task);
    if (task->assignment == NULL) {
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
        /* Without a lease others may have settled this since. Finding out harms nothing. */
        if (one->settle || (lease_holds(agent) && !agent->leaving))
            assign_one(agent, one);
    }
}

static void on_order(struct agent *agent, const RmOrder *order)
{
    struct task *task = find_task(agent, order->job);
    RmAssignment unknown = RM_ASSIGNMENT__INIT;

    if (task != NULL && task->attempt != order->attempt)
        task = NULL;
    switch (order->kind) {
    case RM_ORDER_KIND__ORDER_ACKNOWLEDGED:
        if (task != NULL && task->result != NULL) {
            task_free(agent, task);
            agent->pull_at = agent->now;
        }
        break;
    case RM_ORDER_KIND__ORDER_CANCEL:
        if (task == NULL) {
            unknown.job = order->job;
            unknown.attempt = order->attempt;
            say_short(agent, &unknown, RM_REPORT_KIND__REPORT_FINISHED, RM_VERDICT__VERDICT_UNKNOWN,
                      RM_CLASS__CLASS_AMBIGUOUS, "this worker does not know of the job");
        } else if (task->result == NULL) {
            act(agent, AGENT_ABORT, task->job, task->attempt);
        }
        break;
    case RM_ORDER_KIND__ORDER_STOP:
        if (task != NULL && task->result == NULL)
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

/* Looks, and what a person asks for at once: needs no lease. */
static void on_ask(struct agent *agent, const RmAsk *ask)
{
    struct action *action;

    if (ask->session != agent->session || ask->about == NULL ||
        find_host(agent, ask->about->host) == NULL)
        return;
    if (ask->kind == RM_ASK_KIND__ASK_TIDY && is_ours(agent, ask->about->uuid))
        return; /* its task sees to that */
    action = calloc(1, sizeof(*action));
    if (action == NULL)
        return; /* the client hears that nobody answered */
    action->what = AGENT_ASK;
    action->ask = (RmAsk *)msg_copy(NULL, &ask->base);
    if (action->ask == NULL) {
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
    struct host *host = find_host(agent, inventory->host);

    agent->now = now;
    /* What was looked at before a task ended would bring its guest back to life at the source; the
     * change itself brings a newer one. */
    if (host == NULL || (inventory->taken_at != 0 && inventory->taken_at < host->ended_at))
        return;
    if (host->inventory != NULL)
        rm_inventory__free_unpacked(host->inventory, NULL);
    host->inventory = (RmInventory *)msg_copy(NULL, &inventory->base);
    if (host->inventory == NULL)
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
    struct task *task = find_task(agent, report->job);

    agent->now = now;
    if (task == NULL || task->attempt != report->attempt)
        return;
    if (report->kind == RM_REPORT_KIND__REPORT_PROGRESS) {
        if (agent->session != 0)
            say(agent, (RmReport *)msg_copy(NULL, &report->base));
        return;
    }
    if (report->kind == RM_REPORT_KIND__REPORT_ACCEPTED) {
        if (task->accepted != NULL)
            rm_report__free_unpacked(task->accepted, NULL);
        task->accepted = (RmReport *)msg_copy(NULL, &report->base);
        /* An adopted migration is a task like any other from here on. */
        task->settling = false;
        say(agent, (RmReport *)msg_copy(NULL, &report->base));
        return;
    }
    if (task->result != NULL)
        rm_report__free_unpacked(task->result, NULL);
    task->result = (RmReport *)msg_copy(NULL, &report->base);
    task->again_at = now;
    task->host->ended_at = now;
    agent->pull_at = now;
}

void agent_answer(struct agent *agent, usec_t now, const RmAnswer *answer)
{
    struct answer *one;

    agent->now = now;
    if (agent->session == 0 || answer->session != agent->session)
        return;
    one = calloc(1, sizeof(*one));
    if (one == NULL)
        return;
    one->answer = (RmAnswer *)msg_copy(NULL, &answer->base);
    if (one->answer == NULL) {
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
    for (const struct task *task = agent->tasks; task != NULL; task = task->hh.next)
        if (task->result != NULL && task->again_at < first)
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
    struct task *task;

    action_free(agent->taken);
    agent->taken = NULL;
    while (agent->actions != NULL) {
        struct action *action = agent->actions;
        LL_DELETE(agent->actions, action);
        if (action->ask != NULL) {
            agent->taken = action;
            *ret_action = (struct agent_action){.what = action->what, .ask = action->ask};
            return true;
        }
        task = find_task(agent, action->job);
        if (task == NULL) {
            action_free(action);
            continue;
        }
        agent->taken = action;
        *ret_action = (struct agent_action){.what = action->what,
                                            .job = action->job,
                                            .attempt = action->attempt,
                                            .begin_by = task->begin_by,
                                            .assignment = task->assignment};
        return true;
    }
    return false;
}

/* ---- messages out, in the order in which they make sense to the broker */

static RmMessage *new_message(struct arena *arena, RmMessage__BodyCase body)
{
    RmMessage *message = arena_alloc(arena, sizeof(*message));

    if (message != NULL) {
        rm_message__init(message);
        message->body_case = body;
    }
    return message;
}

static RmMessage *make_hello(struct agent *agent, struct arena *arena)
{
    RmMessage *message = new_message(arena, RM_MESSAGE__BODY_HELLO);
    RmHello *hello = arena_alloc(arena, sizeof(*hello));

    if (message == NULL || hello == NULL)
        return NULL;
    rm_hello__init(hello);
    hello->instance = agent->instance;
    hello->version = (char *)agent->version;
    hello->machine = (char *)agent->machine;
    hello->pid = agent->pid;
    for (size_t i = 0; i < agent->n_hosts; i++) {
        RmHyp *hyp = arena_alloc(arena, sizeof(*hyp));
        if (hyp == NULL)
            return NULL;
        rm_hyp__init(hyp);
        hyp->name = (char *)agent->hosts[i].conf->name;
        hyp->peer = (char *)agent->hosts[i].conf->peer;
        hyp->migration = (char *)agent->hosts[i].conf->migration;
        hyp->slots = agent->hosts[i].conf->slots;
        hyp->kind = agent->hosts[i].conf->kind;
        ARENA_PUSH(arena, hello->n_hosts, hello->hosts, hyp);
    }
    for (struct task *task = agent->tasks; task != NULL; task = task->hh.next) {
        RmTask *one = arena_alloc(arena, sizeof(*one));
        if (one == NULL)
            return NULL;
        rm_task__init(one);
        one->job = task->job;
        one->attempt = task->attempt;
        one->settling = task->settling;
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

    if (message == NULL || pull == NULL)
        return NULL;
    rm_pull__init(pull);
    pull->session = agent->session;
    pull->sent = agent->now;
    for (size_t i = 0; i < agent->n_hosts; i++) {
        RmCredit *credit = arena_alloc(arena, sizeof(*credit));
        if (credit == NULL)
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

    if (message == NULL || reports == NULL)
        return NULL;
    rm_reports__init(reports);
    reports->session = agent->session;
    while (agent->reports != NULL) {
        struct report *one = agent->reports;
        RmReport *copy = (RmReport *)msg_copy(arena, &one->report->base);
        LL_DELETE(agent->reports, one);
        rm_report__free_unpacked(one->report, NULL);
        free(one);
        if (copy != NULL)
            ARENA_PUSH(arena, reports->n_reports, reports->reports, copy);
    }
    for (struct task *task = agent->tasks; task != NULL; task = task->hh.next) {
        if (task->result == NULL || task->again_at > agent->now)
            continue;
        task->again_at = agent->now + RESULT_AGAIN_MSEC * USEC_PER_MSEC;
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
    RmMessage *message;

    if (one == NULL)
        return NULL;
    message = new_message(arena, RM_MESSAGE__BODY_ANSWER);
    if (message != NULL)
        message->answer = (RmAnswer *)msg_copy(arena, &one->answer->base);
    LL_DELETE(agent->answers, one);
    answer_free(one);
    return message != NULL && message->answer != NULL ? message : NULL;
}

RmMessage *agent_next_message(struct agent *agent, struct arena *arena)
{
    RmMessage *message;

    if (agent->bye) {
        RmBye *bye = arena_alloc(arena, sizeof(*bye));
        message = new_message(arena, RM_MESSAGE__BODY_BYE);
        agent->bye = false;
        if (message == NULL || bye == NULL)
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
        agent->hello_at = agent->now + HELLO_AGAIN_MSEC * USEC_PER_MSEC;
        agent->hellos++;
        return make_hello(agent, arena);
    }
    for (size_t i = 0; i < agent->n_hosts; i++) {
        struct host *host = &agent->hosts[i];
        if (!host->inventory_due)
            continue;
        host->inventory_due = false;
        message = new_message(arena, RM_MESSAGE__BODY_INVENTORY);
        if (message != NULL)
            message->inventory = host->inventory;
        return message;
    }
    message = make_reports(agent, arena);
    if (message != NULL)
        return message;
    message = make_answer(agent, arena);
    if (message != NULL)
        return message;
    if (agent->pull_at <= agent->now) {
        agent->pull_at = agent->now + agent->heartbeat;
        return make_pull(agent, arena);
    }
    return NULL;
}

bool agent_leave(struct agent *agent, usec_t now)
{
    agent->now = now;
    if (!agent->leaving)
        agent->pull_at = now; /* no more credit */
    agent->leaving = true;
    if (agent->tasks != NULL)
        return false;
    if (agent->session != 0)
        agent->bye = true;
    return true;
}

size_t agent_tasks(const struct agent *agent)
{
    return HASH_COUNT(agent->tasks);
}
