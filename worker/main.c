/* main.c - rmigrate-worker: pulls jobs for its hypervisors and carries them out; keeps nothing on
 * disk */
#include "conf/conf.h"
#include "conf/endpoint.h"
#include "conf/env.h"
#include "conf/log.h"
#include "conf/service.h"
#include "wire/key.h"
#include "wire/msg.h"
#include "wire/net.h"
#include "worker/agent.h"
#include "worker/drivers.h"
#include "worker/task.h"
#include "worker/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long the end waits for threads in a library's call; a hypervisor that hangs answers none. */
#define LAST_CALLS USEC_PER_SEC

/* When a broker that has never answered is worth a line: one that starts beside the worker has. */
#define SILENT_FOR (10 * USEC_PER_SEC)

enum { FD_SIGNALS, FD_TASKS, FDS };

struct worker {
    const struct conf_worker *conf;
    const struct env *env;
    struct net *net;
    struct tasks *tasks;
    struct agent *agent;
    struct arena *arena;
    struct agent_host *hosts;
    const struct driver **drivers; /* of the hypervisors of conf, in their order */
    struct log_limit bad;
    enum net_state logged; /* last state of the connection that stood in the log */
    usec_t silent_at;      /* when to say that nothing has answered yet; USEC_NEVER: no more */
    struct watchdog watchdog;
    int fds[FDS];
    bool leaving;
};

/* Else a worker that serves nothing looks as if all were well, and so does one of two. */
static void log_refused(const RmMessage *message)
{
    if (message->body_case == RM_MESSAGE__BODY_WELCOME) {
        const RmWelcome *welcome = message->welcome;
        for (size_t i = 0; i < welcome->n_refused; i++)
            log_notice(NOTICE_WORKER_REFUSED, LOG_LEVEL_WARN,
                       "host=%s: the broker does not let this worker serve it: %s",
                       welcome->refused[i],
                       i < welcome->n_why ? welcome->why[i]
                                          : "its key may not, or the kind is not known there");
    } else if (message->body_case == RM_MESSAGE__BODY_ORDERS) {
        for (size_t i = 0; i < message->orders->n_orders; i++)
            if (message->orders->orders[i]->kind == RM_ORDER_KIND__ORDER_RIVAL)
                log_notice(NOTICE_SECOND_WORKER, LOG_LEVEL_WARN, "%s",
                           message->orders->orders[i]->text);
    }
}

static void on_frames(struct worker *worker, usec_t now)
{
    struct net_frame frame;
    while (net_recv(worker->net, NULL, &frame) >= 0) {
        struct rm_err err = {0};
        RmMessage *message;
        int r = msg_unpack(worker->arena, frame.data, frame.length, &message, &err);
        if (r >= 0) {
            log_refused(message);
            agent_message(worker->agent, now, message);
        } else if (log_allowed(&worker->bad, now, USEC_PER_SEC, 5))
            log_warn("damaged message from the broker: %s, ignoring", err.text);
        net_frame_free(&frame);
        arena_reset(worker->arena);
    }
}

static void log_report(const RmReport *report)
{
    if (report->kind == RM_REPORT_KIND__REPORT_PROGRESS)
        return;
    log_info("job=%" PRIu64 " attempt=%u host=%s: %s%s%s%s%s", report->job,
             (unsigned)report->attempt, report->host,
             report->kind == RM_REPORT_KIND__REPORT_ACCEPTED  ? "begun"
             : report->kind == RM_REPORT_KIND__REPORT_REFUSED ? "not begun"
             : report->verdict == RM_VERDICT__VERDICT_DESTINATION
                 ? "the guest is at its destination"
             : report->verdict == RM_VERDICT__VERDICT_SOURCE ? "the guest is at its source"
                                                             : "ended, see the text",
             *report->text != '\0' ? ": " : "", report->text, *report->notes != '\0' ? "; " : "",
             report->notes);
}

static void on_mail(struct worker *worker, usec_t now)
{
    struct mail mail;
    while (tasks_next(worker->tasks, worker->arena, &mail)) {
        if (mail.inventory)
            agent_inventory(worker->agent, now, mail.inventory);
        if (mail.answer)
            agent_answer(worker->agent, now, mail.answer);
        if (mail.report) {
            log_report(mail.report);
            agent_report(worker->agent, now, mail.report);
        }
        arena_reset(worker->arena);
    }
}

/* A task that cannot even be begun is refused, so that the broker need not wait to find out. */
static void refuse(struct worker *worker, usec_t now, const struct agent_action *action, int r)
{
    RmReport report = RM_REPORT__INIT;
    report.job = action->job;
    report.attempt = action->attempt;
    report.kind = action->what == AGENT_SETTLE ? RM_REPORT_KIND__REPORT_FINISHED
                                               : RM_REPORT_KIND__REPORT_REFUSED;
    report.verdict =
        action->what == AGENT_SETTLE ? RM_VERDICT__VERDICT_UNKNOWN : RM_VERDICT__NO_VERDICT;
    report.class_ = RM_CLASS__CLASS_RETRY;
    report.text = strerror(-r);
    agent_report(worker->agent, now, &report);
}

static void act(struct worker *worker, usec_t now)
{
    struct agent_action action;
    while (agent_next_action(worker->agent, &action)) {
        int r = 0;
        if (action.what == AGENT_ASK)
            tasks_ask(worker->tasks, action.ask);
        else if (action.what == AGENT_ABORT)
            tasks_abort(worker->tasks, action.job);
        else if (action.what == AGENT_OFF)
            tasks_off(worker->tasks, action.job, action.abort);
        else if (action.what == AGENT_GO_ON)
            tasks_go_on(worker->tasks, action.job, action.session);
        else
            r = tasks_start(worker->tasks, action.assignment, action.what == AGENT_SETTLE,
                            action.session);
        if (r < 0) {
            log_error("job=%" PRIu64 " attempt=%u: cannot begin: %s", action.job,
                      (unsigned)action.attempt, strerror(-r));
            refuse(worker, now, &action, r);
        }
    }
}

/* What was called off or not kept does not act any more, before anything may. */
static void renew_lease(struct worker *worker)
{
    uint64_t session;
    usec_t until_at = agent_lease_until(worker->agent, &session);
    tasks_lease(worker->tasks, session, until_at);
}

static void send_all(struct worker *worker)
{
    RmMessage *message;
    while ((message = agent_next_message(worker->agent, worker->arena))) {
        size_t length;
        uint8_t *frame = msg_pack(message, &length);
        if (frame)
            net_send(worker->net, NULL, frame, length); /* what is lost is repeated */
        free(frame);
        arena_reset(worker->arena);
    }
}

static void log_connection(struct worker *worker, usec_t now)
{
    enum net_state state = net_state(worker->net);
    if (state == worker->logged) {
        if (now < worker->silent_at)
            return;
        worker->silent_at = USEC_NEVER;
        log_warn("broker=%s: nothing answers there, or its name is not known here, will retry",
                 worker->conf->broker);
        return;
    }
    worker->silent_at = USEC_NEVER;
    worker->logged = state;
    if (state == NET_CONNECTED)
        log_info("connected with the broker at %s", worker->conf->broker);
    else
        log_warn("broker=%s: %s, will retry", worker->conf->broker, net_state_text(state));
}

/* True when the worker may end. */
static bool on_signal(struct worker *worker)
{
    int signal = service_signal_read(worker->fds[FD_SIGNALS], NULL);
    if (signal != SIGTERM && signal != SIGINT)
        return false;
    if (worker->leaving) {
        log_warn("signal=%d: ends now; migrations in progress go on by themselves", signal);
        return true;
    }
    worker->leaving = true;
    service_stopping();
    log_info("signal=%d: takes no more jobs, ends when the %zu in progress have ended", signal,
             agent_tasks(worker->agent));
    return false;
}

static int serve(struct worker *worker, struct rm_err *err)
{
    for (;;) {
        bool ready[FDS] = {false};
        usec_t now = env_now(worker->env);
        usec_t deadline = agent_deadline(worker->agent);
        if (worker->silent_at < deadline)
            deadline = worker->silent_at;
        int r = net_wait(worker->net, worker->fds, FDS, ready,
                         service_wait(&worker->watchdog, now, deadline));
        if (r < 0 && r != -EINTR)
            return rm_fail(err, r, "cannot wait for messages: %s", strerror(-r));
        now = env_now(worker->env);
        if (ready[FD_SIGNALS] && on_signal(worker))
            return 0;
        on_frames(worker, now);
        on_mail(worker, now);
        agent_tick(worker->agent, now);
        log_connection(worker, now);
        if (agent_wants_reconnect(worker->agent)) {
            r = net_reconnect(worker->net, err);
            if (r < 0)
                return r;
        }
        act(worker, now);
        renew_lease(worker);
        bool over = worker->leaving && agent_leave(worker->agent, now);
        send_all(worker);
        if (over)
            return 0;
        service_alive(&worker->watchdog, now);
    }
}

/* NULL with err: none; the settings see to it that there is one. */
static const struct driver_row *row_of(const struct conf_hypervisor *hypervisor,
                                       const char **ret_address, struct rm_err *err)
{
    for (const struct driver_row *row = drivers; row->driver; row++) {
        *ret_address = *(char *const *)((const char *)hypervisor + row->address);
        if (*ret_address)
            return row;
    }
    rm_fail(err, -ENODEV, "hypervisor %s: this program has no driver for it", hypervisor->name);
    return NULL;
}

/* Where others ask for guests that may be there; "" = nowhere. */
static const char *peer_of(const struct conf_hypervisor *hypervisor, const struct driver *driver)
{
    const char *peer = hypervisor->peer;
    if (!peer && driver->peer)
        peer = driver->peer(hypervisor);
    return peer ? peer : "";
}

static int serve_host(struct worker *worker, size_t i, struct rm_err *err)
{
    const struct conf_hypervisor *hv = &worker->conf->hypervisors[i];
    const char *address;
    const struct driver_row *row = row_of(hv, &address, err);
    if (!row)
        return -ENODEV;
    unsigned slots = worker->conf->slots;
    unsigned most = row->driver->slots_max ? row->driver->slots_max(hv) : slots;
    if (slots > most)
        log_warn(
            "host=%s: slots=%u is more than half of the max_workers of its daemon, %u are used",
            hv->name, slots, most);
    worker->drivers[i] = row->driver;
    worker->hosts[i] = (struct agent_host){.name = hv->name,
                                           .peer = peer_of(hv, row->driver),
                                           .migration = hv->migration ? hv->migration : "",
                                           .reserve = hv->reserve,
                                           .slots = slots < most ? slots : most,
                                           .kind = row->kind};
    log_info("host=%s %s=%s peer=%s", hv->name, row->setting, address, worker->hosts[i].peer);
    return 0;
}

static int worker_open(struct worker *worker, const char *machine, struct rm_err *err)
{
    const struct conf_worker *conf = worker->conf;
    worker->arena = arena_new(0);
    worker->hosts = calloc(conf->n_hypervisors, sizeof(*worker->hosts));
    worker->drivers = calloc(conf->n_hypervisors, sizeof(*worker->drivers));
    if (!worker->arena || !worker->hosts || !worker->drivers)
        return rm_fail(err, -ENOMEM, "no memory");
    int r = 0;
    for (size_t i = 0; i < conf->n_hypervisors && r >= 0; i++)
        r = serve_host(worker, i, err);
    if (r < 0)
        return r;
    worker->agent = agent_new(worker->hosts, conf->n_hypervisors, machine, (uint32_t)getpid(),
                              service_version(), env_random(worker->env));
    if (!worker->agent)
        return rm_fail(err, -ENOMEM, "no memory");
    r = net_connect(conf->broker, conf->key_file, conf->server_key, &worker->net, err);
    if (r >= 0)
        r = tasks_new(conf, worker->drivers, worker->env, &worker->tasks, err);
    return r;
}

static int run(const struct conf_worker *conf, int signals, struct rm_err *err)
{
    struct worker worker = {.conf = conf, .env = env_system(), .logged = NET_CONNECTING};
    worker.silent_at = env_now(worker.env) + SILENT_FOR;
    char machine[256] = "";
    gethostname(machine, sizeof(machine) - 1);
    int r = worker_open(&worker, machine, err);
    if (r >= 0) {
        worker.fds[FD_SIGNALS] = signals;
        worker.fds[FD_TASKS] = tasks_fd(worker.tasks);
        worker.watchdog = service_watchdog();
        service_ready("serving");
        r = serve(&worker, err);
    }
    net_free(worker.net);
    tasks_free(worker.tasks);
    agent_free(worker.agent);
    arena_free(worker.arena);
    free(worker.drivers);
    free(worker.hosts);
    return r;
}

static int check_host(const struct conf_worker *conf, const struct conf_hypervisor *host,
                      struct rm_err *err)
{
    const char *address;
    const struct driver_row *row = row_of(host, &address, err);
    if (!row)
        return -ENODEV;
    int r = row->driver->files ? row->driver->files(host, err) : 0;
    struct hv *hv = r >= 0 ? row->driver->open(host, conf, env_system(), err) : NULL;
    if (!hv)
        return rm_prefix(err, -EIO, "hypervisor %s", host->name);
    row->driver->close(hv);
    return 0;
}

/* What run() would fail at, and tasks later, as far as it can be seen without connecting. Logs all
 * of it; returns how much it is. */
static unsigned check(const struct conf_worker *conf)
{
    struct rm_err err;
    unsigned wrong = 0;
    if (conf->key_file && endpoint_is_tcp(conf->broker))
        wrong += service_wrong(net_key_check(conf->key_file, &err), &err);
    for (size_t i = 0; i < conf->n_hypervisors; i++)
        wrong += service_wrong(check_host(conf, &conf->hypervisors[i], &err), &err);
    return wrong;
}

int main(int argc, char **argv)
{
    static const char doc[] =
        "Migrates guests away from the hypervisors that it serves, as the broker's jobs say."
        "\v"
        "Settings: section `worker` of FILE, else of $RMIGRATE_CONF, else of " RM_CONF_DEFAULT ".\n"
        "SIGTERM: takes no more jobs and ends when those in progress have ended; a second one ends "
        "it at once, and the migrations go on by themselves.";
    struct conf_worker conf = {0};
    struct rm_err err = {0};
    bool only_check;
    const char *file = service_begin("rmigrate-worker", doc, argc, argv, &only_check);
    int r = conf_worker_load(file, &conf, &err);
    if (r < 0) {
        log_error("%s", err.text);
        return only_check ? EXIT_SOME_FAILED : EXIT_USAGE;
    }
    if (only_check) {
        r = service_checked(file, check(&conf));
        conf_worker_done(&conf);
        return r;
    }
    int signals = service_signals();
    r = signals < 0 ? rm_fail(&err, signals, "cannot take signals") : 0;
    if (r >= 0) {
        log_info("version=%s broker=%s", service_version(), conf.broker);
        r = run(&conf, signals, &err);
        close(signals);
    }
    if (r < 0)
        log_error("%s", err.text);
    int code = r < 0 ? EXIT_SOME_FAILED : EXIT_OK;
    if (!thread_all_ended(env_now(env_system()) + LAST_CALLS))
        _exit(code);
    conf_worker_done(&conf);
    return code;
}
