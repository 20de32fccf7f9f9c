/* site.c - a simulated site: workers, clients, and somebody who looks */
#include "tests/bench/site.h"

#include "tests/bench/zmtp.h"
#include "wire/msg.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#define GUEST_MEMORY (1ULL << 30)
#define HOST_MEMORY  (1ULL << 50)

enum {
    EVENTS = 256,
    TICK_MSEC = 20,       /* how often those are looked for who have something to do by the clock */
    AGAIN_MSEC = 2000,    /* until a hello or a report is repeated; as worker/agent.c */
    RECONNECT_MSEC = 100, /* at least; up to ten times that */
};

enum kind { WORKER, CLIENT, ASKER };

/* What every connection belongs to: its first member. */
struct end {
    enum kind kind;
    struct zmtp conn;
    usec_t retry_at; /* it is not connected: not before */
};

enum guest_state { FREE, ASKED, REPORTED };

struct guest {
    uint64_t job, turn; /* of the newest assignment */
    usec_t asked_at, reported_at;
    unsigned host; /* where it runs */
    uint32_t attempt;
    enum guest_state state;
    unsigned by;   /* worker that has the task, while REPORTED */
    bool moved;    /* that job has taken it away */
    bool settling; /* the task is to find out where it is */
};

struct group {
    unsigned home, host, to;
    unsigned unfinished; /* jobs */
    uint32_t round;
    bool asked; /* and not answered */
    usec_t asked_at;
};

struct worker {
    struct end end;
    uint64_t instance, session, sequence;
    unsigned n_hosts;
    uint64_t *seen;    /* of each of its hosts */
    uint32_t *reports; /* guests to be reported in the next write */
    size_t n_reports, reports_size;
    usec_t pulled_at, hello_at;
    usec_t pull_sent; /* the newest */
    bool wants_pull, is_up;
    bool must_greet; /* the broker does not know it */
};

struct client {
    struct end end;
    uint32_t *free; /* groups that may be submitted: a ring */
    size_t first, n, size;
    unsigned waiting;
};

struct asker {
    struct end end;
    struct site_look *look; /* NULL: it asks once */
    RmRequest *request;     /* that is not answered yet */
    uint64_t token[2];
    usec_t every_for, due_at, sent_at;
    uint64_t tag;
    RmReply *reply;
};

static struct site {
    struct site_options options;
    const struct env *env;
    usec_t now, ticked_at;
    int epoll;
    struct arena *arena, *kept; /* of one message; of the reply that was asked for */
    struct worker *workers;
    struct client *clients;
    struct asker asker, looks[SITE_LOOKS];
    struct guest *guests;
    struct group *groups;
    size_t n_groups;
    unsigned n_hosts;   /* those that are full too */
    uint64_t to_submit; /* groups */
    usec_t pull_for, heartbeat_for;
    uint64_t salt;
    struct site_counts counts;
} site;

static void die(const char *format, const char *text)
{
    fprintf(stderr, "bench: ");
    fprintf(stderr, format, text);
    fprintf(stderr, "\n");
    exit(1);
}

static void *fresh(size_t n, size_t size)
{
    size_t all = (n > 0 ? n : 1) * size;
    return memset(must_grow(NULL, all), 0, all);
}

struct site_counts *site_counts(void)
{
    return &site.counts;
}

const struct env *site_env(void)
{
    return site.env ? site.env : env_system();
}

/* ---- names */

static char *host_name(unsigned host)
{
    return arena_printf(site.arena, "h%04u", host);
}

static char *guest_name(size_t guest)
{
    return arena_printf(site.arena, "g%07zu", guest);
}

static size_t guest_of(const char *name)
{
    size_t guest = (size_t)strtoull(name + 1, NULL, 10);
    if (*name != 'g' || guest >= site.n_groups * site.options.list)
        die("the broker names a guest that is not ours: %s", name);
    return guest;
}

/* A list as somebody would type it. */
static char *range_of(size_t group)
{
    size_t list = site.options.list, first = group * list;
    return list == 1 ? guest_name(first)
                     : arena_printf(site.arena, "g[%07zu-%07zu]", first, first + list - 1);
}

/* ---- workers: what they say */

static void worker_send(struct worker *worker, RmMessage__BodyCase body, void *what)
{
    RmMessage message = RM_MESSAGE__INIT;
    message.body_case = body;
    message.hello = what; /* whichever it is: a union of pointers */
    zmtp_send(&worker->end.conn, &message);
}

static unsigned host_of(const struct worker *worker, unsigned i)
{
    return (unsigned)(worker - site.workers) + i * site.options.workers;
}

static RmTask *task_of(size_t at)
{
    const struct guest *guest = &site.guests[at];
    RmTask *task = arena_alloc(site.arena, sizeof(*task));
    rm_task__init(task);
    task->job = guest->job;
    task->attempt = guest->attempt;
    task->turn = guest->turn;
    task->host = host_name(site.groups[at / site.options.list].host);
    task->settling = guest->settling;
    task->ended = true;
    return task;
}

static void say_hello(struct worker *worker)
{
    RmHello hello = RM_HELLO__INIT;
    unsigned self = (unsigned)(worker - site.workers);

    hello.instance = worker->instance;
    hello.version = (char *)"bench";
    hello.machine = (char *)"bench";
    hello.turns = true;
    for (unsigned i = 0; i < worker->n_hosts; i++) {
        RmHyp *hyp = arena_alloc(site.arena, sizeof(*hyp));
        rm_hyp__init(hyp);
        hyp->name = host_name(host_of(worker, i));
        hyp->peer = arena_printf(site.arena, "qemu+tls://%s/system", hyp->name);
        hyp->slots = site.options.slots;
        ARENA_PUSH(site.arena, hello.n_hosts, hello.hosts, hyp);
    }
    for (size_t i = 0; i < site.n_groups * site.options.list; i++)
        if (site.guests[i].state == REPORTED && site.guests[i].by == self)
            ARENA_PUSH(site.arena, hello.n_tasks, hello.tasks, task_of(i));
    worker_send(worker, RM_MESSAGE__BODY_HELLO, &hello);
    worker->session = 0;
    worker->must_greet = false;
    worker->hello_at = site.now;
    arena_reset(site.arena);
}

static void show_guest(RmInventory *inventory, size_t guest)
{
    RmDomain *domain = arena_alloc(site.arena, sizeof(*domain));
    rm_domain__init(domain);
    domain->name = guest_name(guest);
    domain->uuid = arena_printf(site.arena, "%08zx-0000-4000-8000-%012zx", guest, guest);
    domain->state = RM_GUEST_STATE__GUEST_RUNNING;
    domain->memory = GUEST_MEMORY;
    domain->vcpus = 1;
    domain->persistent = true;
    ARENA_PUSH(site.arena, inventory->n_domains, inventory->domains, domain);
}

static void show_host(struct worker *worker, unsigned host)
{
    RmInventory inventory = RM_INVENTORY__INIT;
    size_t list = site.options.list;
    bool full = host >= site.options.hosts;

    inventory.host = host_name(host);
    inventory.reachable = true;
    inventory.memory = full ? GUEST_MEMORY : HOST_MEMORY;
    inventory.memory_free = full ? 0 : HOST_MEMORY;
    inventory.vcpus = 1u << 20;
    inventory.sequence = ++worker->sequence;
    inventory.taken_at = site.now;
    for (size_t g = 0; g < site.n_groups; g++)
        if (site.groups[g].home == host || site.groups[g].host == host || site.groups[g].to == host)
            for (size_t i = g * list; i < (g + 1) * list; i++)
                if (site.guests[i].host == host)
                    show_guest(&inventory, i);
    worker_send(worker, RM_MESSAGE__BODY_INVENTORY, &inventory);
    arena_reset(site.arena);
}

static void say_pull(struct worker *worker)
{
    RmPull pull = RM_PULL__INIT;

    pull.session = worker->session;
    pull.sent = worker->pull_sent = site.now;
    for (unsigned i = 0; i < worker->n_hosts; i++) {
        RmCredit *credit = arena_alloc(site.arena, sizeof(*credit));
        rm_credit__init(credit);
        credit->host = host_name(host_of(worker, i));
        credit->free = site.options.slots;
        credit->seen = worker->seen[i];
        ARENA_PUSH(site.arena, pull.n_credits, pull.credits, credit);
    }
    worker_send(worker, RM_MESSAGE__BODY_PULL, &pull);
    worker->pulled_at = site.now;
    worker->wants_pull = false;
    arena_reset(site.arena);
}

static RmReport *report_of(size_t at, RmReportKind kind)
{
    const struct guest *guest = &site.guests[at];
    RmReport *report = arena_alloc(site.arena, sizeof(*report));

    rm_report__init(report);
    report->job = guest->job;
    report->attempt = guest->attempt;
    report->turn = guest->turn;
    report->kind = kind;
    report->fence = (char *)"paused";
    report->host = host_name(site.groups[at / site.options.list].host);
    if (kind != RM_REPORT_KIND__REPORT_FINISHED)
        return report;
    report->verdict = guest->moved ? RM_VERDICT__VERDICT_DESTINATION : RM_VERDICT__VERDICT_SOURCE;
    if (!guest->moved)
        report->class_ = RM_CLASS__CLASS_RETRY;
    report->stats = arena_alloc(site.arena, sizeof(*report->stats));
    rm_stats__init(report->stats);
    report->stats->elapsed_for = 1000;
    report->stats->total = report->stats->processed = GUEST_MEMORY;
    report->stats->downtime_for = 100;
    report->stats->measured_downtime = true;
    return report;
}

static void say_reports(struct worker *worker)
{
    RmReports reports = RM_REPORTS__INIT;

    reports.session = worker->session;
    for (size_t i = 0; i < worker->n_reports; i++) {
        struct guest *guest = &site.guests[worker->reports[i]];
        RmReport *report;
        if (!site.options.one_report && guest->reported_at == 0) {
            report = report_of(worker->reports[i], RM_REPORT_KIND__REPORT_ACCEPTED);
            ARENA_PUSH(site.arena, reports.n_reports, reports.reports, report);
        }
        report = report_of(worker->reports[i], RM_REPORT_KIND__REPORT_FINISHED);
        ARENA_PUSH(site.arena, reports.n_reports, reports.reports, report);
        guest->reported_at = site.now;
    }
    worker->n_reports = 0;
    worker_send(worker, RM_MESSAGE__BODY_REPORTS, &reports);
    arena_reset(site.arena);
}

static void say_what_waits(struct worker *worker)
{
    if (!worker->end.conn.ready)
        return;
    if (worker->must_greet)
        say_hello(worker);
    if (worker->session == 0)
        return;
    if (worker->n_reports > 0)
        say_reports(worker);
    if (worker->wants_pull)
        say_pull(worker);
}

static void will_report(struct worker *worker, size_t guest)
{
    if (worker->n_reports == worker->reports_size) {
        worker->reports_size = worker->reports_size == 0 ? 64 : 2 * worker->reports_size;
        worker->reports =
            must_grow(worker->reports, worker->reports_size * sizeof(*worker->reports));
    }
    worker->reports[worker->n_reports++] = (uint32_t)guest;
}

/* ---- workers: what they hear */

static void on_welcome(struct worker *worker, const RmWelcome *welcome)
{
    unsigned self = (unsigned)(worker - site.workers);

    worker->session = welcome->session;
    site.heartbeat_for = welcome->heartbeat_for;
    memset(worker->seen, 0, worker->n_hosts * sizeof(*worker->seen));
    for (unsigned i = 0; i < worker->n_hosts; i++)
        show_host(worker, host_of(worker, i));
    worker->n_reports = 0;
    for (size_t i = 0; i < site.n_groups * site.options.list && site.options.dies; i++)
        if (site.guests[i].state == REPORTED && site.guests[i].by == self)
            will_report(worker, i);
    worker->wants_pull = true;
}

static void on_assignment(struct worker *worker, const RmAssignment *order)
{
    size_t at = guest_of(order->guest);
    struct guest *guest = &site.guests[at];
    unsigned host = (unsigned)strtoul(order->host + 1, NULL, 10);

    worker->wants_pull = true;
    if (order->settle) {
        if (guest->state == REPORTED && !guest->settling && guest->turn > order->turn)
            return;
        guest->moved = guest->moved && guest->job == order->job;
    } else {
        worker->seen[host / site.options.workers] = order->number;
        if (guest->state == FREE ||
            (guest->job == order->job && (guest->moved || !site.options.dies)))
            site.counts.again++; /* it is reported again under this try and turn */
        else
            site.counts.moved++;
        guest->moved = true;
    }
    guest->settling = order->settle;
    guest->by = (unsigned)(worker - site.workers);
    guest->job = order->job;
    guest->attempt = order->attempt;
    guest->turn = order->turn;
    guest->state = REPORTED;
    guest->reported_at = 0;
    if (guest->moved)
        guest->host = site.groups[at / site.options.list].to;
    will_report(worker, at);
}

/* Which guest has that job: the broker names jobs alone. The ids that it gives are consecutive. */
static uint32_t *guest_with(uint64_t job)
{
    static uint32_t *guests;
    static size_t size;

    if (job >= size) {
        size_t more = 2 * (size_t)job + 1024;
        guests = must_grow(guests, more * sizeof(*guests));
        memset(guests + size, 0xff, (more - size) * sizeof(*guests));
        size = more;
    }
    return &guests[job];
}

static void client_frees(size_t group);

static void on_acknowledged(const RmOrder *order)
{
    size_t at = *guest_with(order->job);
    struct guest *guest = at != UINT32_MAX ? &site.guests[at] : NULL;
    struct group *group;

    if (!guest || guest->state != REPORTED || guest->job != order->job)
        return; /* an answer to a repetition */
    group = &site.groups[at / site.options.list];
    if (!guest->moved) { /* it has stayed, and is tried again */
        guest->state = ASKED;
        return;
    }
    guest->state = FREE;
    site.counts.done++;
    series_add(&site.counts.whole, site.now - guest->asked_at);
    if (--group->unfinished == 0) {
        group->host = group->to;
        client_frees(at / site.options.list);
    }
}

/* What it has of that job is over, and was over before: nothing here takes time. */
static void on_stop(struct worker *worker, const RmOrder *order)
{
    size_t at = *guest_with(order->job);
    struct guest *guest = at != UINT32_MAX ? &site.guests[at] : NULL;
    RmReport off = RM_REPORT__INIT, *list[] = {&off};
    RmReports reports = RM_REPORTS__INIT;

    if (!site.options.dies)
        site.counts.again++; /* of none in a good run: nothing here is slow */
    if (guest && guest->job == order->job && guest->state == REPORTED &&
        guest->turn <= order->turn && guest->by == (unsigned)(worker - site.workers))
        guest->state = ASKED;
    off.job = order->job;
    off.attempt = order->attempt;
    off.turn = order->turn;
    off.kind = RM_REPORT_KIND__REPORT_OFF;
    reports.session = worker->session;
    reports.n_reports = 1;
    reports.reports = list;
    worker_send(worker, RM_MESSAGE__BODY_REPORTS, &reports);
}

static void on_go_on(struct worker *worker, const RmOrder *order)
{
    size_t at = *guest_with(order->job);
    struct guest *guest = at != UINT32_MAX ? &site.guests[at] : NULL;

    if (!guest || guest->job != order->job || guest->state != REPORTED ||
        guest->attempt != order->attempt || guest->by != (unsigned)(worker - site.workers)) {
        on_stop(worker, order);
        return;
    }
    guest->turn = order->turn;
    guest->reported_at = 0;
    will_report(worker, at);
}

static void on_orders(struct worker *worker, const RmOrders *orders)
{
    if (worker->session != 0 && orders->heard != 0 && orders->heard == worker->pull_sent &&
        !worker->is_up) {
        worker->is_up = true;
        site.counts.up++;
    }
    for (size_t i = 0; i < orders->n_orders; i++) {
        const RmOrder *order = orders->orders[i];
        if (order->kind == RM_ORDER_KIND__ORDER_ACKNOWLEDGED)
            on_acknowledged(order);
        else if (order->kind == RM_ORDER_KIND__ORDER_HELLO && site.now > worker->hello_at + 100000)
            worker->must_greet = true;
        else if (order->kind == RM_ORDER_KIND__ORDER_STOP)
            on_stop(worker, order);
        else if (order->kind == RM_ORDER_KIND__ORDER_GO_ON)
            on_go_on(worker, order);
    }
}

static void on_worker(struct worker *worker, const RmMessage *message)
{
    switch (message->body_case) {
    case RM_MESSAGE__BODY_WELCOME:
        on_welcome(worker, message->welcome);
        break;
    case RM_MESSAGE__BODY_ASSIGN:
        for (size_t i = 0; i < message->assign->n_jobs; i++) {
            const RmAssignment *order = message->assign->jobs[i];
            on_assignment(worker, order);
            *guest_with(order->job) = (uint32_t)guest_of(order->guest);
        }
        break;
    case RM_MESSAGE__BODY_ORDERS:
        on_orders(worker, message->orders);
        break;
    default:
        break;
    }
}

/* ---- clients */

static void send_request(struct zmtp *conn, uint64_t tag, RmRequest *request, const void *token)
{
    RmMessage message = RM_MESSAGE__INIT;

    request->version = (char *)"bench";
    if (!request->command)
        request->command = (char *)"bench";
    if (token) {
        request->token.data = (uint8_t *)token;
        request->token.len = 16;
    }
    message.tag = tag;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = request;
    zmtp_send(conn, &message);
}

/* The same round of a group has the same token, however often it is asked. */
static void send_group(struct client *client, size_t at)
{
    const struct group *group = &site.groups[at];
    struct {
        uint64_t salt;
        uint32_t group, round;
    } token = {site.salt, (uint32_t)at, group->round};
    RmSubmit submit = RM_SUBMIT__INIT;
    RmRequest request = RM_REQUEST__INIT;

    submit.guests = range_of(at);
    submit.to = host_name(group->to);
    request.command = arena_printf(site.arena, "rmigrate %s %s", submit.guests, submit.to);
    request.ask_case = RM_REQUEST__ASK_SUBMIT;
    request.submit = &submit;
    send_request(&client->end.conn, at + 1, &request, &token);
}

static void client_frees(size_t group)
{
    struct client *client = &site.clients[group % site.options.clients];
    client->free[(client->first + client->n++) % client->size] = (uint32_t)group;
}

static void client_submit(struct client *client, size_t at)
{
    struct group *group = &site.groups[at];
    unsigned hosts = site.options.hosts;
    unsigned away = (group->home + 1 + (unsigned)(at / hosts) % (hosts - 1)) % hosts;

    group->to = group->host == group->home ? away : group->home;
    group->round++;
    group->unfinished = site.options.list;
    group->asked = true;
    group->asked_at = site.now;
    for (size_t i = at * site.options.list; i < (at + 1) * site.options.list; i++) {
        site.guests[i].state = ASKED;
        site.guests[i].asked_at = site.now;
        site.guests[i].job = 0;
        site.guests[i].moved = false;
    }
    client->waiting++;
    send_group(client, at);
}

static void clients_go_on(void)
{
    for (unsigned i = 0; i < site.options.clients && site.to_submit > 0; i++) {
        struct client *client = &site.clients[i];
        while (site.to_submit > 0 && client->end.conn.ready && client->n > 0 &&
               client->waiting < site.options.window) {
            size_t group = client->free[client->first];
            client->first = (client->first + 1) % client->size;
            client->n--;
            site.to_submit--;
            client_submit(client, group);
        }
        arena_reset(site.arena);
    }
}

static void on_client(struct client *client, const RmMessage *message)
{
    const RmReply *reply = message->reply;
    struct group *group;

    if (message->body_case != RM_MESSAGE__BODY_REPLY || message->tag == 0 ||
        message->tag > site.n_groups)
        return;
    group = &site.groups[message->tag - 1];
    if (!group->asked)
        return;
    if (reply->code != RM_CODE__CODE_OK || reply->count != site.options.list)
        die("a submit was refused: %s",
            reply->n_outcomes > 0 ? reply->outcomes[0]->text : reply->text);
    group->asked = false;
    client->waiting--;
    site.counts.submitted += site.options.list;
    series_add(&site.counts.submit, site.now - group->asked_at);
}

/* ---- those who look */

static void ask_look(struct asker *asker)
{
    RmRequest request = RM_REQUEST__INIT;
    RmPing ping = RM_PING__INIT;
    RmListJobs jobs = RM_LIST_JOBS__INIT;
    RmList list = RM_LIST__INIT;

    if (strcmp(asker->look->name, "jobs") == 0) {
        request.ask_case = RM_REQUEST__ASK_LIST_JOBS;
        request.list_jobs = &jobs;
    } else if (strcmp(asker->look->name, "queue") == 0) {
        request.ask_case = RM_REQUEST__ASK_QUEUE;
        request.queue = &list;
    } else {
        request.ask_case = RM_REQUEST__ASK_PING;
        request.ping = &ping;
    }
    asker->sent_at = site.now;
    send_request(&asker->end.conn, ++asker->tag, &request, NULL);
}

static void ask_once(struct asker *asker)
{
    if (asker->request)
        send_request(&asker->end.conn, ++asker->tag, asker->request,
                     msg_changes(asker->request->ask_case) ? asker->token : NULL);
}

static void on_asker(struct asker *asker, const RmMessage *message, const uint8_t *bytes,
                     size_t length)
{
    RmMessage *copy;
    struct rm_err err;

    if (message->body_case != RM_MESSAGE__BODY_REPLY || message->tag != asker->tag)
        return;
    if (asker->look) {
        series_add(&asker->look->replies, site.now - asker->sent_at);
        asker->sent_at = 0;
        asker->due_at += asker->every_for;
        if (asker->due_at < site.now)
            asker->due_at = site.now;
    } else if (msg_unpack(site.kept, bytes, length, &copy, &err) >= 0) {
        asker->reply = copy->reply;
        asker->request = NULL;
    }
}

/* ---- connections */

static void *owner_of(struct end *end)
{
    return end; /* the first member */
}

static void take(struct zmtp *conn, const uint8_t *frame, size_t length)
{
    struct end *end = conn->owner;
    RmMessage *message = length < MSG_HEADER
                             ? NULL
                             : rm_message__unpack(arena_allocator(site.arena), length - MSG_HEADER,
                                                  frame + MSG_HEADER);
    if (!message)
        die("%s", "a frame of the broker cannot be read");
    if (end->kind == WORKER)
        on_worker(owner_of(end), message);
    else if (end->kind == CLIENT)
        on_client(owner_of(end), message);
    else
        on_asker(owner_of(end), message, frame, length);
}

static void began(struct end *end)
{
    if (end->kind == WORKER)
        say_hello(owner_of(end));
    if (end->kind == CLIENT) {
        struct client *client = owner_of(end);
        for (size_t g = (size_t)(client - site.clients); g < site.n_groups;
             g += site.options.clients)
            if (site.groups[g].asked)
                send_group(client, g);
        arena_reset(site.arena);
    }
    if (end->kind == ASKER)
        ask_once(owner_of(end));
}

static void lost(struct end *end)
{
    zmtp_close(&end->conn);
    end->retry_at = site.now + (1 + env_random(site.env) % 10) * RECONNECT_MSEC * USEC_PER_MSEC;
    if (end->kind == WORKER) {
        struct worker *worker = owner_of(end);
        worker->session = 0;
        worker->n_reports = 0;
        if (worker->is_up)
            site.counts.up--;
        worker->is_up = false;
    } else if (end->kind == ASKER) {
        struct asker *asker = owner_of(end);
        asker->sent_at = 0;
        end->retry_at = site.now;
    }
}

static void dial(struct end *end)
{
    int r = zmtp_connect(&end->conn, site.epoll, site.options.endpoint, end);
    if (r == -EINVAL || r == -ENAMETOOLONG || r == -EMFILE)
        die("cannot connect: %s", strerror(-r));
    if (r < 0)
        end->retry_at = site.now + (end->kind == ASKER ? 1 : TICK_MSEC) * USEC_PER_MSEC;
}

static void is_due(struct end *end)
{
    if (end->conn.fd < 0 && end->retry_at <= site.now)
        dial(end);
}

/* ---- by the clock */

static void worker_tick(struct worker *worker)
{
    usec_t pull_for = site.pull_for != 0 ? site.pull_for : site.heartbeat_for;

    is_due(&worker->end);
    if (!worker->end.conn.ready)
        return;
    if (worker->session == 0 && site.now >= worker->hello_at + AGAIN_MSEC * USEC_PER_MSEC)
        say_hello(worker);
    if (worker->session != 0 && site.now >= worker->pulled_at + pull_for)
        worker->wants_pull = true;
}

static void repeat_reports(void)
{
    size_t list = site.options.list;

    for (size_t i = 0; i < site.n_groups * list; i++) {
        struct guest *guest = &site.guests[i];
        if (guest->state != REPORTED || guest->reported_at == 0 ||
            site.now < guest->reported_at + AGAIN_MSEC * USEC_PER_MSEC)
            continue;
        site.counts.repeated++;
        will_report(&site.workers[guest->by], i);
    }
}

static void tick(void)
{
    static usec_t repeated_at;

    site.ticked_at = site.now;
    for (unsigned i = 0; i < site.options.workers; i++)
        worker_tick(&site.workers[i]);
    for (unsigned i = 0; i < site.options.clients; i++)
        is_due(&site.clients[i].end);
    if (site.now >= repeated_at + USEC_PER_SEC) {
        repeated_at = site.now;
        repeat_reports();
    }
}

static void asker_tick(struct asker *asker)
{
    is_due(&asker->end);
    if (asker->look && asker->end.conn.ready && asker->sent_at == 0 && asker->due_at <= site.now) {
        if (asker->every_for > 0)
            ask_look(asker);
        else
            asker->look = NULL;
    }
}

static void write_out(struct end *end)
{
    if (end->conn.fd >= 0 && end->conn.out_from < end->conn.out_length && !end->conn.waits &&
        zmtp_flush(&end->conn) < 0)
        lost(end);
}

static void turn(void)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(site.epoll, events, EVENTS, 1);

    site.now = env_now(site.env);
    for (int i = 0; i < n; i++) {
        struct zmtp *conn = events[i].data.ptr;
        struct end *end = conn->owner;
        bool ready = conn->ready;
        int r = zmtp_read(conn, take);
        arena_reset(site.arena);
        if (r >= 0 && !ready && conn->ready)
            began(end);
        if (r >= 0 && end->kind == WORKER)
            say_what_waits(owner_of(end));
        if (r >= 0)
            r = zmtp_flush(conn);
        if (r < 0)
            lost(end);
    }
    clients_go_on();
    for (unsigned i = 0; i < site.options.clients; i++)
        write_out(&site.clients[i].end);
    for (unsigned i = 0; i < SITE_LOOKS; i++) {
        asker_tick(&site.looks[i]);
        write_out(&site.looks[i].end);
    }
    asker_tick(&site.asker);
    write_out(&site.asker.end);
    if (site.now >= site.ticked_at + TICK_MSEC * USEC_PER_MSEC) {
        tick();
        for (unsigned i = 0; i < site.options.workers; i++) {
            say_what_waits(&site.workers[i]);
            write_out(&site.workers[i].end);
        }
    }
}

/* ---- what the header promises */

static void begin_end(struct end *end, enum kind kind)
{
    end->kind = kind;
    end->conn.fd = -1;
}

void site_begin(const struct site_options *options)
{
    unsigned list = options->list, workers = options->workers;

    site.options = *options;
    site.env = env_system();
    site.now = env_now(site.env);
    site.salt = env_random(site.env);
    site.epoll = epoll_create1(EPOLL_CLOEXEC);
    site.arena = arena_new(0);
    site.kept = arena_new(0);
    site.heartbeat_for = USEC_PER_SEC;
    site.n_hosts = options->hosts + options->full;
    site.n_groups = (options->guests + list - 1) / list;
    site.guests = fresh(site.n_groups * list, sizeof(*site.guests));
    site.groups = fresh(site.n_groups, sizeof(*site.groups));
    site.workers = fresh(workers, sizeof(*site.workers));
    site.clients = fresh(options->clients, sizeof(*site.clients));
    for (unsigned i = 0; i < workers; i++) {
        struct worker *worker = &site.workers[i];
        begin_end(&worker->end, WORKER);
        worker->instance = env_random(site.env);
        worker->n_hosts = (site.n_hosts - i + workers - 1) / workers;
        worker->seen = fresh(worker->n_hosts, sizeof(*worker->seen));
    }
    for (unsigned i = 0; i < options->clients; i++) {
        struct client *client = &site.clients[i];
        begin_end(&client->end, CLIENT);
        client->size = site.n_groups / options->clients + 1;
        client->free = fresh(client->size, sizeof(*client->free));
    }
    for (size_t g = 0; g < site.n_groups; g++) {
        unsigned home = (unsigned)(g % options->hosts);
        site.groups[g] = (struct group){.home = home, .host = home, .to = home};
        for (size_t i = g * list; i < (g + 1) * list; i++)
            site.guests[i].host = home;
        client_frees(g);
    }
    begin_end(&site.asker.end, ASKER);
    for (unsigned i = 0; i < SITE_LOOKS; i++)
        begin_end(&site.looks[i].end, ASKER);
}

bool site_run(bool (*until)(void), double seconds)
{
    usec_t end = env_now(site.env) + (usec_t)(seconds * (double)USEC_PER_SEC);

    while (!until || !until()) {
        if (env_now(site.env) >= end)
            return false;
        turn();
    }
    return true;
}

void site_run_for(double seconds)
{
    site_run(NULL, seconds);
}

void site_slots(unsigned slots)
{
    site.options.slots = slots;
    for (unsigned i = 0; i < site.options.workers; i++)
        site.workers[i].wants_pull = true;
}

void site_pulls(double seconds)
{
    site.pull_for = (usec_t)(seconds * (double)USEC_PER_SEC);
}

void site_submit(uint64_t jobs)
{
    site.to_submit += (jobs + site.options.list - 1) / site.options.list;
}

void site_look(struct site_look *look, double seconds)
{
    for (unsigned i = 0; i < SITE_LOOKS; i++) {
        struct asker *asker = &site.looks[i];
        if (asker->look != look && (asker->look || seconds <= 0))
            continue;
        asker->look = look;
        asker->every_for = (usec_t)(seconds * (double)USEC_PER_SEC);
        asker->due_at = env_now(site.env) + i * asker->every_for / SITE_LOOKS; /* not all at once */
        return;
    }
}

static bool is_answered(void)
{
    return site.asker.reply;
}

const RmReply *site_ask(RmRequest *request, double seconds)
{
    struct asker *asker = &site.asker;

    arena_reset(site.kept);
    asker->reply = NULL;
    asker->request = request;
    asker->token[0] = env_random(site.env);
    asker->token[1] = env_random(site.env);
    if (asker->end.conn.ready)
        ask_once(asker);
    bool answered = site_run(is_answered, seconds);
    asker->request = NULL;
    return answered ? asker->reply : NULL;
}

/* Of all guests that the broker knows of, page by page: are they where the books say, and not held? *ret_known: how many. */
static bool is_true_of_known(double seconds, size_t *ret_known)
{
    RmListGuests what = RM_LIST_GUESTS__INIT;
    RmRequest request = RM_REQUEST__INIT;
    char page[128] = "";

    request.ask_case = RM_REQUEST__ASK_GUESTS;
    request.guests = &what;
    request.pages = true;
    *ret_known = 0;
    do {
        request.page = page;
        const RmReply *reply = site_ask(&request, seconds);
        if (!reply)
            return false;
        for (size_t i = 0; i < reply->n_guests; i++, ++*ret_known) {
            const RmGuest *guest = reply->guests[i];
            unsigned host = (unsigned)strtoul(guest->host + 1, NULL, 10);
            if (host != site.guests[guest_of(guest->name)].host || guest->locked)
                return false;
        }
        snprintf(page, sizeof(page), "%s", reply->page);
    } while (*page != '\0');
    return true;
}

/* After a start the broker lists the guests of those hosts alone whose workers are back. */
bool site_is_true(double seconds)
{
    usec_t end = env_now(site.env) + (usec_t)(seconds * (double)USEC_PER_SEC);
    size_t known, all = site.n_groups * site.options.list;

    while (is_true_of_known(seconds, &known)) {
        if (known == all)
            return true;
        if (env_now(site.env) >= end)
            return false;
        site_run_for(0.1);
    }
    return false;
}

double site_first_answer(usec_t started_at, double most)
{
    RmPing ping = RM_PING__INIT;
    RmRequest request = RM_REQUEST__INIT;

    request.ask_case = RM_REQUEST__ASK_PING;
    request.ping = &ping;
    if (!site_ask(&request, most))
        return -1;
    return (double)(env_now(site.env) - started_at) / (double)USEC_PER_SEC;
}
