/* main.c - rmigrate-worker: pulls jobs for its hypervisors, carries them out, tells the truth;
 * keeps nothing on disk */
#include "conf/conf.h"
#include "conf/env.h"
#include "conf/log.h"
#include "conf/service.h"
#include "wire/msg.h"
#include "wire/net.h"
#include "worker/agent.h"
#include "worker/hv.h"
#include "worker/task.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FD_SIGNALS, FD_TASKS, FDS };

struct worker {
    const struct conf_worker *conf;
    const struct env *env;
    struct net *net;
    struct tasks *tasks;
    struct agent *agent;
    struct arena *arena;
    struct agent_host *hosts;
    struct log_limit bad;
    enum net_state told; /* last state of the connection that stood in the log */
    usec_t watchdog, alive_at;
    int fds[FDS];
    bool leaving;
};

static void on_frames(struct worker *worker, usec_t now)
{
    struct net_frame frame;

    while (net_recv(worker->net, NULL, &frame) >= 0) {
        struct rm_err err = {0};
        RmMessage *message;
        int r = msg_unpack(worker->arena, frame.data, frame.length, &message, &err);
        if (r >= 0)
            agent_message(worker->agent, now, message);
        else if (log_allowed(&worker->bad, now, USEC_PER_SEC, 5))
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

static void on_news(struct worker *worker, usec_t now)
{
    struct task_news news;

    while (tasks_next(worker->tasks, worker->arena, &news)) {
        if (news.inventory != NULL)
            agent_inventory(worker->agent, now, news.inventory);
        if (news.answer != NULL)
            agent_answer(worker->agent, now, news.answer);
        if (news.report != NULL) {
            log_report(news.report);
            agent_report(worker->agent, now, news.report);
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
        if (action.what == AGENT_ASK) {
            tasks_ask(worker->tasks, action.ask);
            continue;
        }
        if (action.what == AGENT_ABORT) {
            tasks_abort(worker->tasks, action.job);
            continue;
        }
        r = tasks_start(worker->tasks, action.assignment, action.what == AGENT_SETTLE,
                        action.begin_by);
        if (r < 0) {
            log_error("job=%" PRIu64 " attempt=%u: cannot begin: %s", action.job,
                      (unsigned)action.attempt, strerror(-r));
            refuse(worker, now, &action, r);
        }
    }
}

static void send_all(struct worker *worker)
{
    RmMessage *message;

    while ((message = agent_next_message(worker->agent, worker->arena)) != NULL) {
        size_t length;
        uint8_t *frame = msg_pack(message, &length);
        if (frame != NULL)
            net_send(worker->net, NULL, frame, length); /* what is lost is repeated */
        free(frame);
        arena_reset(worker->arena);
    }
}

static void tell_connection(struct worker *worker)
{
    enum net_state state = net_state(worker->net);

    if (state == worker->told)
        return;
    worker->told = state;
    if (state == NET_CONNECTED)
        log_info("connected with the broker at %s", worker->conf->broker);
    else
        log_warn("broker=%s: %s, will retry", worker->conf->broker, net_state_text(state));
}

/* True when the worker may end. */
static bool on_signal(struct worker *worker, usec_t now)
{
    int signal = service_signal_read(worker->fds[FD_SIGNALS]);

    if (signal != SIGTERM && signal != SIGINT)
        return false;
    if (worker->leaving) {
        log_warn("signal=%d: ends now; migrations in hand go on by themselves", signal);
        return true;
    }
    worker->leaving = true;
    service_stopping();
    log_info("signal=%d: takes no more jobs, ends when the %zu in hand have ended", signal,
             agent_tasks(worker->agent));
    (void)now;
    return false;
}

static int serve(struct worker *worker, struct rm_err *err)
{
    for (;;) {
        bool ready[FDS] = {false};
        usec_t now = env_now(worker->env);
        usec_t deadline = agent_deadline(worker->agent);
        int r;
        if (worker->watchdog != 0 && worker->alive_at < deadline)
            deadline = worker->alive_at;
        r = net_wait(worker->net, worker->fds, FDS, ready,
                     deadline == USEC_NEVER ? 3600 * USEC_PER_SEC
                     : deadline > now       ? deadline - now
                                            : 0);
        if (r < 0 && r != -EINTR)
            return rm_fail(err, r, "cannot wait for messages: %s", strerror(-r));
        now = env_now(worker->env);
        if (ready[FD_SIGNALS] && on_signal(worker, now))
            return 0;
        on_frames(worker, now);
        on_news(worker, now);
        agent_tick(worker->agent, now);
        tell_connection(worker);
        if (agent_wants_reconnect(worker->agent)) {
            r = net_reconnect(worker->net, err);
            if (r < 0)
                return r;
        }
        act(worker, now);
        if (worker->leaving && agent_leave(worker->agent, now)) {
            send_all(worker);
            return 0;
        }
        send_all(worker);
        if (worker->watchdog != 0 && worker->alive_at <= now) {
            service_alive();
            worker->alive_at = now + worker->watchdog;
        }
    }
}

static const struct hv_ops *choose(const struct conf_hypervisor *hypervisor)
{
    return hypervisor->smapi != NULL ? &hv_zvm : &hv_libvirt;
}

/* Where others ask for guests that may be there. */
static const char *peer_of(const struct conf_hypervisor *hypervisor)
{
    const char *smapi = hypervisor->smapi;

    if (hypervisor->peer != NULL)
        return hypervisor->peer;
    return smapi != NULL && strncmp(smapi, "iucv:", 5) != 0 ? smapi : "";
}

static int worker_open(struct worker *worker, const char *machine, struct rm_err *err)
{
    const struct conf_worker *conf = worker->conf;
    int r;

    worker->arena = arena_new(0);
    worker->hosts = calloc(conf->n_hypervisors, sizeof(*worker->hosts));
    if (worker->arena == NULL || worker->hosts == NULL)
        return rm_fail(err, -ENOMEM, "no memory");
    for (size_t i = 0; i < conf->n_hypervisors; i++) {
        const struct conf_hypervisor *hv = &conf->hypervisors[i];
        worker->hosts[i] =
            (struct agent_host){.name = hv->name,
                                .peer = peer_of(hv),
                                .migration = hv->migration != NULL ? hv->migration : "",
                                .slots = conf->slots,
                                .kind = choose(hv)->kind};
        log_info("host=%s %s=%s peer=%s", hv->name, hv->smapi != NULL ? "smapi" : "connect",
                 hv->smapi != NULL ? hv->smapi : hv->connect, worker->hosts[i].peer);
    }
    worker->agent = agent_new(worker->hosts, conf->n_hypervisors, machine, (uint32_t)getpid(),
                              service_version(), env_random(worker->env));
    if (worker->agent == NULL)
        return rm_fail(err, -ENOMEM, "no memory");
    r = net_connect(conf->broker, conf->key_file, conf->server_key, &worker->net, err);
    if (r >= 0)
        r = tasks_new(conf, choose, worker->env, &worker->tasks, err);
    return r;
}

static int run(const struct conf_worker *conf, int signals, struct rm_err *err)
{
    struct worker worker = {.conf = conf, .env = env_system(), .told = NET_CONNECTING};
    char machine[256] = "";
    int r;

    gethostname(machine, sizeof(machine) - 1);
    r = worker_open(&worker, machine, err);
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
    free(worker.hosts);
    return r;
}

int main(int argc, char **argv)
{
    static const char doc[] =
        "Migrates guests away from the hypervisors that it serves, as the broker's jobs say."
        "\v"
        "Settings: section `worker` of FILE, else of $RMIGRATE_CONF, else of " RM_CONF_DEFAULT ".\n"
        "SIGTERM: takes no more jobs and ends when those in hand have ended; a second one ends it "
        "at "
        "once, and the migrations go on by themselves.";
    struct conf_worker conf = {0};
    struct rm_err err = {0};
    const char *file = service_begin("rmigrate-worker", doc, argc, argv);
    int signals, r;

    r = conf_worker_load(file, &conf, &err);
    if (r < 0) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    signals = service_signals();
    r = signals < 0 ? rm_fail(&err, signals, "cannot take signals") : 0;
    if (r >= 0) {
        log_info("version=%s broker=%s", service_version(), conf.broker);
        r = run(&conf, signals, &err);
        close(signals);
    }
    conf_worker_done(&conf);
    if (r < 0) {
        log_error("%s", err.text);
        return EXIT_SOME_FAILED;
    }
    return EXIT_OK;
}
