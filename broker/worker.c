/* worker.c - messages of workers, and what follows for the jobs that they have */
#include "broker/worker.h"

#include "broker/host_query.h"
#include "broker/inventory.h"
#include "broker/job.h"
#include "broker/platforms.h"
#include "broker/report.h"
#include "broker/session.h"
#include "broker/tidy.h"

#include <stdio.h>

/* That serve nothing, and wait for a hypervisor of another one. */
enum { SESSIONS_WAITING_MAX = 1000 };

/* ---- the turns of a worker that is gone, or says that it has none */

static bool is_held(const struct job *job)
{
    return job_is_active(job->live.state) && job->live.state != RM_STATE__DOUBT;
}

/* What a turn that nobody has ended may have asked of daemons may still be done there. */
static void mark_requests(struct core *core, struct job *job)
{
    if (!platform_of(job->ask->kind)->leaves_copies)
        return;
    guest_mark_set(core, job->guest, job->live.source, /* copy = */ false, /* request = */ true);
    if (job->destination)
        guest_mark_set(core, job->guest, job->live.destination, /* copy = */ false,
                       /* request = */ true);
}

/* Its worker is gone, or does not have it any more. Who was only finding out about a job in doubt is no loss. */
static void lose(struct core *core, struct job *job, const char *why, usec_t free_at)
{
    if (job->live.state != RM_STATE__DOUBT)
        meter_count(&core->meter, METER_LOST);
    job_doubt(core, job, "broker", why, 0, free_at);
}

/* That session has no turn any more; free_at: when its lease is over, 0: it says so itself. */
static void lose_turns(struct core *core, uint64_t session, const char *why, usec_t free_at)
{
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        struct job *job, *next;
        if (host->load.n_out == 0)
            continue;
        DL_FOREACH_SAFE2 (host->jobs.leaving, job, next, s_next) {
            if (job->returning == session)
                job_return(job, NULL);
            if (job->holder != session)
                continue;
            if (free_at != 0)
                mark_requests(core, job);
            lose(core, job, why, free_at);
        }
    }
    tidy_lost(core, session, free_at);
}

/* Active jobs away from here of which no session says that it has them. */
static void lose_unheld(struct core *core, struct host *host, const char *why)
{
    struct job *job, *next;

    DL_FOREACH_SAFE2 (host->jobs.leaving, job, next, s_next)
        if (is_held(job) && job->holder == 0)
            lose(core, job, why, job->free_at);
}

/* notice: NOTICE_NONE where nobody has to look after it. */
static void end(struct core *core, struct session *session, enum notice notice, const char *why)
{
    uint64_t id = session->id;

    lose_turns(core, id, why, session_over_at(core, session));
    core_notice(core, notice, LOG_LEVEL_WARN, "worker=%s machine=%s: session ended: %s",
                session->peer.user, session->machine, why);
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        if (host->link.session != session)
            continue;
        host_link_close(core, &host->link);
        host_event(core, host, RM_EVENT_KIND__HOST_CHANGED, session->peer.user, NULL,
                   "worker lost: %s", why);
    }
    session_close(core, session);
    host_query_lost(core, id);
}

/* ---- hello */

static bool may_speak_for(const struct net_peer *peer, char *const *hosts, const char *name)
{
    if (peer->role == ROLE_ADMIN && !hosts)
        return true; /* somebody who may do everything on this machine anyway */
    for (; hosts && *hosts; hosts++)
        if (strcmp(*hosts, name) == 0)
            return true;
    return false;
}

/* It has the newest turn: it goes on. */
static void keep(struct core *core, struct session *session, struct job *job, const RmTask *task,
                 RmWelcome *welcome)
{
    job_hold(core, job, session);
    if (job->returning != 0)
        job_call_off(core, job); /* another one waits for it */
    if (job->live.state == RM_STATE__DOUBT && !task->settling)
        job_go_on(core, job, session, "its worker is back and goes on with it");
    CORE_PUSH(core, welcome->n_kept, welcome->kept, (RmTask *)task);
}

/* A task that this worker has. Of an older turn of a migration that it began itself it gets the newest
 * as soon as nobody has one; anything else ends. */
static void hello_task(struct core *core, struct session *session, const RmTask *task,
                       RmWelcome *welcome)
{
    struct job *job = job_find(core, task->job);
    bool ours = job && job->live.attempt == task->attempt && job_is_active(job->live.state);

    if (ours && job->live.turn == task->turn) {
        keep(core, session, job, task, welcome);
    } else if (ours && !session->turns) {
        return; /* it goes on whatever it is told, and nobody listens */
    } else if (ours && !task->settling && !task->ended) {
        job_return(job, session);
        if (job->holder != 0)
            job_call_off(core, job);
        else
            lose(core, job, NULL, job->free_at);
    } else if (!task->ended) {
        report_stop(core, session, task->job, task->attempt, task->turn);
    }
}

/* Active jobs away from that host, which this worker serves from now on, and that no session has. */
static void look_for_unheld(struct core *core, const struct session *session, struct host *host)
{
    struct job *job, *next;

    DL_FOREACH_SAFE2 (host->jobs.leaving, job, next, s_next) {
        if (!job_is_active(job->live.state) || job->holder != 0)
            continue;
        bool it_had = job->live.turn_by == session->instance;
        if (it_had || is_held(job))
            lose(core, job, "the worker restarted and does not know of the job",
                 it_had ? 0 : job->free_at);
    }
}

static void hello_host(struct core *core, struct session *session, const RmHyp *hyp)
{
    struct host *host = host_make(core, hyp->name);
    const struct session *before = host->link.session;
    bool same = before && before->instance == session->instance;

    if (before != session && !same)
        host_event(core, host, RM_EVENT_KIND__HOST_CHANGED, session->peer.user, NULL, "%s",
                   before ? "a newer worker serves it" : "worker connected");
    host_link_open(&host->link, session, hyp->slots);
    host_set_worker(core, host, hyp);
    core_changed(core, CHANGE_HOST_SERVED, host);
}

/* Sessions that serve nothing any more have been replaced, but for those that wait for what they were refused. One that
 * is dropped says Hello again when it lives. */
static void drop_idle(struct core *core, const struct session *but)
{
    struct session *session, *next;
    size_t waiting = 0;

    DL_FOREACH (core->sessions.first, session)
        waiting += session->n_hosts == 0 && session->waits;
    DL_FOREACH_SAFE (core->sessions.first, session, next) {
        if (session == but || session->n_hosts > 0)
            continue;
        if (!session->waits) {
            end(core, session, NOTICE_NONE, "replaced by a newer session of its hypervisors");
        } else if (waiting > SESSIONS_WAITING_MAX) {
            end(core, session, NOTICE_NONE, "too many wait for hypervisors that others serve");
            waiting--;
        }
    }
}

/* Why its worker may not serve that hypervisor; NULL: it may. */
static const char *why_refused(const struct net_peer *peer, char *const *hosts, const RmHyp *hyp,
                               char *text, size_t size)
{
    if (conf_name_is_valid(hyp->name) && may_speak_for(peer, hosts, hyp->name))
        return platform_missing(hyp->kind);
    snprintf(text, size, "the key '%s' may not speak for this hypervisor", peer->user);
    return text;
}

/* One hypervisor has one worker: the one that serves it, until that is gone. */
static const char *why_taken(struct core *core, struct session *session, const char *name)
{
    const struct host *host = host_find(core, name);
    struct session *other = host ? host->link.session : NULL;

    if (!other || other == session || !session_is_rival(core, other, session->instance))
        return NULL;
    session_probe(other, session);
    return core_printf(core,
                       "worker %s of %s, pid %u, is refused: worker %s of %s, pid %u, serves it",
                       session->peer.user, session->machine, (unsigned)session->pid,
                       other->peer.user, other->machine, (unsigned)other->pid);
}

static void hello_hosts(struct core *core, struct session *session, char *const *hosts,
                        const RmHello *hello, RmWelcome *welcome)
{
    const struct net_peer *peer = &session->peer;
    char text[300];

    for (size_t i = 0; i < hello->n_hosts; i++) {
        const RmHyp *hyp = hello->hosts[i];
        const char *why = why_refused(peer, hosts, hyp, text, sizeof(text));
        const char *taken = why ? NULL : why_taken(core, session, hyp->name);
        if (!why && !taken) {
            hello_host(core, session, hyp);
            continue;
        }
        CORE_PUSH(core, welcome->n_refused, welcome->refused, hyp->name);
        CORE_PUSH(core, welcome->n_why, welcome->why, core_strdup(core, why ? why : taken));
        session_refuse(session, hyp->name);
        if (why)
            core_denied(core, peer->user, conf_name_is_valid(hyp->name) ? hyp->name : NULL, "%s",
                        why);
    }
}

/* The same process, over other connections: it has said all that it has. */
static void lose_older(struct core *core, const struct session *session)
{
    const struct session *other;

    DL_FOREACH (core->sessions.first, other)
        if (other != session && other->instance == session->instance)
            lose_turns(core, other->id, "its worker does not know of it any more", 0);
}

static void on_hello(struct core *core, const struct net_peer *peer, char *const *hosts,
                     const RmHello *hello)
{
    struct session *session = session_of_peer(core, peer);
    uint64_t before = session ? session->id : 0;
    usec_t over_at =
        session && session->instance != hello->instance ? session_over_at(core, session) : 0;
    RmMessage message = RM_MESSAGE__INIT;
    RmWelcome welcome = RM_WELCOME__INIT;

    session = session_open(core, peer, hello);
    hello_hosts(core, session, hosts, hello, &welcome);
    for (size_t i = 0; i < hello->n_tasks; i++)
        hello_task(core, session, hello->tasks[i], &welcome);
    if (before != 0) {
        lose_turns(core, before, "its worker does not know of it any more", over_at);
        host_query_lost(core, before);
    }
    lose_older(core, session);
    drop_idle(core, session);
    for (struct host *host = core->hosts; host; host = host->hh.next)
        if (host->link.session == session)
            look_for_unheld(core, session, host);
    welcome.session = session->id;
    welcome.turns = true;
    welcome.heartbeat_for = core->conf->heartbeat;
    welcome.lease_for = session_lease(core);
    message.body_case = RM_MESSAGE__BODY_WELCOME;
    message.welcome = &welcome;
    core_send(core, peer, 0, &message);
    core_note(core, LOG_LEVEL_INFO, "worker=%s machine=%s pid=%u: session of %zu hypervisors",
              peer->user, session->machine, (unsigned)hello->pid, hello->n_hosts);
}

/* ---- the other messages */

/* The log says when it goes and when it comes back; that it answers a worker that has just come is no news. */
static void note_answers(struct core *core, const struct host *host, const RmInventory *inventory)
{
    const struct host_link *link = &host->link;
    bool told = link->answers_at == 0 && link->text;

    if (!inventory->reachable && !told)
        core_notice(core, NOTICE_HYPERVISOR_LOST, LOG_LEVEL_WARN,
                    "host=%s worker=%s: the hypervisor does not answer its worker: %s",
                    host->rec->name, link->session->peer.user, inventory->text);
    else if (inventory->reachable && told)
        core_note(core, LOG_LEVEL_INFO,
                  "host=%s worker=%s: the hypervisor answers its worker again", host->rec->name,
                  link->session->peer.user);
}

static void on_inventory(struct core *core, struct session *session, const RmInventory *inventory)
{
    struct host *host = host_find(core, inventory->host);

    if (!host || host->link.session != session ||
        !host_link_is_newer(&host->link, inventory->sequence))
        return;
    note_answers(core, host, inventory);
    host_link_answers(core, &host->link, inventory->reachable, inventory->text);
    if (inventory->reachable)
        inventory_input(core, host, inventory);
}

/* Said when the other one has been heard since: one that was killed, and started again, is no second worker. Once for
 * each session that waits and each of its hosts, however often it names them. */
static void tell_of_two(struct core *core, struct session *session, struct host *host)
{
    struct session *other = host->link.session;
    const char *name = host->rec->name;

    if (!other || other == session || other->heard_at <= session->connected_at ||
        host->rival == session->id)
        return;
    const char *text = why_taken(core, session, name);
    if (!text)
        return;
    session_set_told(session);
    if (host_rival(core, host, session, text))
        session_tell_rival(core, other, core_printf(core, "host=%s: %s", name, text));
}

static void on_pull(struct core *core, struct session *session, char *const *hosts,
                    const RmPull *pull)
{
    bool tells = session->waits && !session->told;
    bool orphan = false;

    if (pull->session != session->id)
        return;
    session_pulled(session, pull);
    for (size_t i = 0; i < pull->n_credits; i++) {
        const RmCredit *credit = pull->credits[i];
        struct host *host = host_find(core, credit->host);
        /* Another worker served it, which is gone: whoever serves it as well takes it. */
        orphan = orphan || (host && host->link.session != session &&
                            !session_is_rival(core, host->link.session, session->instance) &&
                            may_speak_for(&session->peer, hosts, host->rec->name));
        if (host && tells)
            tell_of_two(core, session, host);
        if (!host || host->link.session != session)
            continue;
        if (host_link_credit(&host->link, credit, host->jobs.n_sent))
            core_changed(core, CHANGE_HOST_SERVED, host);
    }
    if (orphan)
        session_order_hello(core, session, &session->peer);
}

void worker_input(struct core *core, const struct net_peer *peer, char *const *hosts,
                  const RmMessage *message)
{
    struct session *session = session_of_peer(core, peer);

    if (peer->role != ROLE_WORKER && peer->role != ROLE_ADMIN) {
        core_denied(core, peer->user, NULL, "%s may not act as a worker (%s)", peer->user,
                    msg_name(message));
        return;
    }
    if (message->body_case == RM_MESSAGE__BODY_HELLO) {
        on_hello(core, peer, hosts, message->hello);
        return;
    }
    if (!session) {
        session_order_hello(core, NULL, peer);
        return;
    }
    session_heard(core, session);
    switch (message->body_case) {
    case RM_MESSAGE__BODY_INVENTORY:
        on_inventory(core, session, message->inventory);
        break;
    case RM_MESSAGE__BODY_PULL:
        on_pull(core, session, hosts, message->pull);
        break;
    case RM_MESSAGE__BODY_REPORTS:
        for (size_t i = 0; i < message->reports->n_reports; i++)
            report_input(core, session, message->reports->reports[i]);
        break;
    case RM_MESSAGE__BODY_ANSWER:
        host_query_answer(core, session, message->answer);
        tidy_answer(core, session, message->answer);
        break;
    case RM_MESSAGE__BODY_BYE:
        end(core, session, NOTICE_NONE, "it signed off");
        break;
    default:
        core_note(core, LOG_LEVEL_WARN, "worker=%s message=%s: not for a broker, ignoring",
                  peer->user, msg_name(message));
    }
}

void worker_gone(struct core *core, const struct net_peer *peer)
{
    struct session *session = session_of_peer(core, peer);

    if (session)
        session_gone(session);
    for (struct host *host = core->hosts; host && session; host = host->hh.next)
        if (host->link.session == session)
            host_link_hold(&host->link);
}

void worker_changed(struct core *core, const struct net_peer *peer, char *const *hosts)
{
    struct session *session = session_of_peer(core, peer);
    const char *why = NULL;

    if (!session)
        return;
    if (peer->role != ROLE_WORKER && peer->role != ROLE_ADMIN)
        why = "its key is not that of a worker any more";
    for (struct host *host = core->hosts; host && !why; host = host->hh.next)
        if (host->link.session == session && !may_speak_for(peer, hosts, host->rec->name))
            why = core_printf(core, "its key may not speak for %s any more", host->rec->name);
    if (why)
        end(core, session, NOTICE_WORKER_LOST, why);
}

/* ---- time */

/* What its holder is told until that was heard. */
static void tell(struct core *core, struct job *job, RmOrderKind kind)
{
    struct session *session = session_by_id(core, job->holder);

    if (session)
        session_order(session, kind, job->id, job->live.attempt, job->live.turn);
    job_remind(core, job, core->now + core->conf->heartbeat);
}

static void watch_order(struct core *core, struct job *job)
{
    if (job->order_at > core->now) {
        job_remind(core, job, job->order_at);
    } else if (job->letting_go) {
        tell(core, job, RM_ORDER_KIND__ORDER_STOP);
    } else if (job->unheard) {
        tell(core, job, RM_ORDER_KIND__ORDER_GO_ON);
    } else if (job->live.state == RM_STATE__CANCELLING) {
        tell(core, job, RM_ORDER_KIND__ORDER_CANCEL);
    } else if (job->live.state == RM_STATE__ASSIGNED && job->holder != 0) {
        job_note(core, job, "broker", "its worker says nothing of it");
        job_call_off(core, job);
    }
}

/* Orders are repeated until the worker has answered; an assignment of which nothing is heard has been lost
 * on its way. */
static void watch_orders(struct core *core)
{
    job_remind_none(core);
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        struct job *job, *next;
        if (host->load.n_out == 0)
            continue;
        DL_FOREACH_SAFE2 (host->jobs.leaving, job, next, s_next)
            if (job_is_active(job->live.state))
                watch_order(core, job);
    }
}

void worker_tick(struct core *core)
{
    struct session *session, *next;
    usec_t timeout = core->conf->session_timeout;

    DL_FOREACH_SAFE (core->sessions.first, session, next) {
        if (session->heard_at + timeout <= core->now)
            end(core, session, NOTICE_WORKER_LOST, "it has been silent for too long");
    }
    /* After a start: active jobs whose worker does not come back. */
    if (core->now >= core->started_at + timeout)
        for (struct host *host = core->hosts; host; host = host->hh.next)
            if (!host->link.session && host->load.n_out > host->jobs.n_doubt)
                lose_unheld(core, host, "its worker has not come back since the broker started");
    if (core->jobs.order_at <= core->now)
        watch_orders(core);
}

usec_t worker_deadline(const struct core *core)
{
    usec_t first = core->jobs.order_at, timeout = core->conf->session_timeout;
    const struct session *session;

    DL_FOREACH (core->sessions.first, session)
        if (session->heard_at + timeout < first)
            first = session->heard_at + timeout;
    if (core->now < core->started_at + timeout && core->started_at + timeout < first)
        first = core->started_at + timeout;
    return first;
}
