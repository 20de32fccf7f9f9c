/* session.c - workers connected now: who serves which hypervisor, heartbeats, credit */
#include "broker/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    LEASE_PERCENT = 80, /* of the session time-out: the worker's clock may run slower than ours */
};

struct session *session_of_peer(struct core *core, const struct net_peer *peer)
{
    struct session *session;

    DL_FOREACH (core->sessions, session)
        if (peer_is(&session->peer, peer))
            return session;
    return NULL;
}

static usec_t lease(const struct core *core)
{
    return core->conf->session_timeout * LEASE_PERCENT / 100;
}

static void send_orders(struct core *core, const struct net_peer *peer, uint64_t heard,
                        RmOrder **orders, size_t n)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmOrders body = RM_ORDERS__INIT;

    body.heard = heard;
    body.n_orders = n;
    body.orders = orders;
    message.body_case = RM_MESSAGE__BODY_ORDERS;
    message.orders = &body;
    core_send(core, peer, 0, &message);
}

static void send_order(struct core *core, const struct session *session,
                       const struct net_peer *peer, RmOrderKind kind, uint64_t job,
                       uint32_t attempt)
{
    RmOrder order = RM_ORDER__INIT;
    RmOrder *list[] = {&order};

    order.kind = kind;
    order.job = job;
    order.attempt = attempt;
    send_orders(core, peer, session != NULL ? session->heard : 0, list, 1);
}

void session_lose_job(struct core *core, struct job *job, const char *why, usec_t settle_in,
                      usec_t quiet_at)
{
    if (quiet_at > job->quiet_at)
        job->quiet_at = quiet_at;
    job->settle_at = core->now + settle_in;
    if (job->live.state == RM_STATE__DOUBT)
        job->settler = 0;
    else
        job_move(core, job, RM_EVENT_KIND__LOST, "broker", why);
}

struct session *session_by_id(struct core *core, uint64_t id)
{
    struct session *session;

    if (id != 0)
        DL_FOREACH (core->sessions, session)
            if (session->id == id)
                return session;
    return NULL;
}

void session_goes_on(struct core *core, struct session *session, struct job *job, const char *text)
{
    job->holder = session->id;
    job_move(core, job, RM_EVENT_KIND__STILL_MIGRATING, session->peer.user, text);
    if (job->live.cancel_wanted) {
        job->order_at = core->order_at = core->now;
        job_move(core, job, RM_EVENT_KIND__CANCEL, job->live.cancelled_by, NULL);
    }
}

static bool is_in_hand(const struct job *job)
{
    return job_is_active(job->live.state) && job->live.state != RM_STATE__DOUBT;
}

/* What this session had in hand, or was to settle, is in nobody's hands any more. */
static void lose_held(struct core *core, uint64_t id, const char *why, usec_t quiet_at)
{
    for (struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        struct job *job, *next;
        if (host->n_out == 0)
            continue;
        DL_FOREACH_SAFE2 (host->leaving, job, next, s_next)
            if (is_in_hand(job) ? job->holder == id
                                : job->live.state == RM_STATE__DOUBT && job->settler == id)
                session_lose_job(core, job, why, 0, quiet_at);
    }
}

/* Active jobs away from here that no session has in hand. The worker of a destination may have
 * some: it finds out where the worker of the source is gone, and follows a migration that runs. */
static void lose_unheld(struct core *core, struct host *host, const char *why)
{
    struct job *job, *next;

    DL_FOREACH_SAFE2 (host->leaving, job, next, s_next)
        if (is_in_hand(job) && session_by_id(core, job->holder) == NULL)
            session_lose_job(core, job, why, 0, 0);
}

/* The host has no worker any more. Queued jobs wait. */
static void detach(struct core *core, struct host *host)
{
    host->session = NULL;
    host->lost_at = core->now;
    host->credit = 0;
    host->reachable = false;
    host->seen = false;
}

void session_end(struct core *core, struct session *session, const char *why)
{
    /* A worker that was replaced lives on: what it was given may begin for as long as its lease
     * lasts. */
    lose_held(core, session->id, why, session->heard_at + lease(core));
    core_note(core, LOG_LEVEL_WARN, "worker=%s machine=%s: session ended: %s", session->peer.user,
              session->machine, why);
    DL_DELETE(core->sessions, session);
    for (struct host *host = core->hosts; host != NULL; host = host->hh.next)
        if (host->session == session) {
            detach(core, host);
            lose_unheld(core, host, why);
            site_event(core, RM_EVENT_KIND__HOST_CHANGED, session->peer.user, host->rec->name, NULL,
                       "worker lost: %s", why);
        }
    question_lost(core, session->id);
    free(session->machine);
    free(session->version);
    free(session);
}

static bool may_speak_for(const struct net_peer *peer, char *const *hosts, const char *name)
{
    if (peer->role == ROLE_ADMIN && hosts == NULL)
        return true; /* somebody who may do everything on this machine anyway */
    for (; hosts != NULL && *hosts != NULL; hosts++)
        if (strcmp(*hosts, name) == 0)
            return true;
    return false;
}

static const RmTask *find_task(const RmHello *hello, const struct job *job)
{
    for (size_t i = 0; i < hello->n_tasks; i++)
        if (hello->tasks[i]->job == job->id && hello->tasks[i]->attempt == job->live.attempt)
            return hello->tasks[i];
    return NULL;
}

/* A job away from a host that this worker serves, and which it has in hand or finds out about. */
static void claim(struct core *core, struct session *session, struct job *job, const RmTask *task)
{
    if (task->settling) {
        if (job->live.state == RM_STATE__DOUBT)
            job->settler = session->id;
        return;
    }
    job->holder = session->id;
    if (job->live.state == RM_STATE__DOUBT)
        session_goes_on(core, session, job, "its worker is back and goes on with it");
}

/* A job that it does not know of. same_process: it never did, or it has told how that ended. */
static void disclaim(struct core *core, struct job *job, bool same_process)
{
    if (job->live.state == RM_STATE__ASSIGNED) {
        /* The assignment may still be on its way to an older process, which keeps to its lease. */
        session_lose_job(core, job, "the worker began anew before it took the job",
                         same_process ? 0 : lease(core), 0);
    } else if (job->live.state != RM_STATE__DOUBT) {
        /* An older process may have taken it and be just about to begin: its lease must be over
         * before it counts that the guest is still at its source. */
        session_lose_job(core, job, "the worker began anew and does not know of the job", 0,
                         same_process ? 0 : core->now + lease(core));
    } else if (session_by_id(core, job->settler) == NULL) {
        job->settler = 0;
        if (job->settle_at > core->now + lease(core))
            job->settle_at = core->now;
    }
}

/* What the worker has in hand against what we believe that it has. */
static void take_over(struct core *core, struct session *session, struct host *host,
                      const RmHello *hello, bool same_process)
{
    struct job *job, *next;

    DL_FOREACH_SAFE2 (host->leaving, job, next, s_next) {
        const RmTask *task = find_task(hello, job);
        if (!job_is_active(job->live.state))
            continue;
        if (task != NULL)
            claim(core, session, job, task);
        else
            disclaim(core, job, same_process);
    }
}

/* What it has in hand of hosts that it does not serve: it was asked as the worker of the
 * destination. */
static void take_over_foreign(struct core *core, struct session *session, const RmTask *task)
{
    struct job *job = job_find(core, task->job);
    const struct session *holder;

    if (job == NULL || job->live.attempt != task->attempt || !job_is_active(job->live.state) ||
        job->source->session == session || job->destination == NULL ||
        job->destination->session != session)
        return;
    holder = session_by_id(core, job->holder);
    if (job->live.state == RM_STATE__DOUBT || (holder == NULL && job->source->session == NULL) ||
        (holder != NULL && holder->instance == session->instance))
        claim(core, session, job, task);
}

static void hello_host(struct core *core, struct session *session, const RmHyp *hyp,
                       const RmHello *hello)
{
    struct host *host = host_make(core, hyp->name);
    bool same;

    if (host == NULL)
        return;
    same = host->session != NULL && host->session->instance == session->instance;
    if (host->session != session && !same)
        site_event(core, RM_EVENT_KIND__HOST_CHANGED, session->peer.user, hyp->name, NULL,
                   host->session != NULL ? "a newer worker serves it" : "worker connected");
    host->session = session;
    host->slots = hyp->slots;
    host->rec->kind = hyp->kind;
    host->credit = 0;
    host->number = 0;
    host->inventory = 0;
    host->seen = false;
    if (strcmp(host->rec->peer, hyp->peer) != 0 ||
        strcmp(host->rec->migration, hyp->migration) != 0) {
        job_set(&host->rec->peer, hyp->peer);
        job_set(&host->rec->migration, hyp->migration);
    }
    host->rec->seen_at = core->wall;
    host_changed(core, host);
    take_over(core, session, host, hello, same);
    core->assign = true;
}

/* Sessions that serve nothing any more have been replaced. */
static void drop_idle(struct core *core, const struct session *but)
{
    struct session *session, *next;

    DL_FOREACH_SAFE (core->sessions, session, next) {
        bool serves = false;
        for (struct host *host = core->hosts; host != NULL && !serves; host = host->hh.next)
            serves = host->session == session;
        if (session != but && !serves)
            session_end(core, session, "replaced by a newer session of its hypervisors");
    }
}

static void on_hello(struct core *core, const struct net_peer *peer, char *const *hosts,
                     const RmHello *hello)
{
    struct session *session = session_of_peer(core, peer);
    uint64_t before = session != NULL ? session->id : 0;
    RmMessage message = RM_MESSAGE__INIT;
    RmWelcome welcome = RM_WELCOME__INIT;

    if (session == NULL) {
        session = calloc(1, sizeof(*session));
        if (session == NULL) {
            core_fail(core, -ENOMEM, "session");
            return;
        }
        session->peer = *peer;
        DL_APPEND(core->sessions, session);
    }
    session->id = ++core->last_session;
    session->instance = hello->instance;
    session->pid = hello->pid;
    free(session->machine);
    free(session->version);
    session->machine = strdup(hello->machine);
    session->version = strdup(hello->version);
    session->connected_wall = session->heard_wall = core->wall;
    session->heard_at = core->now;
    session->heard = 0;
    for (size_t i = 0; i < hello->n_hosts; i++) {
        const RmHyp *hyp = hello->hosts[i];
        if (!conf_name_is_valid(hyp->name) || !may_speak_for(peer, hosts, hyp->name)) {
            ARENA_PUSH(core->arena, welcome.n_refused, welcome.refused, hyp->name);
            site_event(core, RM_EVENT_KIND__DENIED, peer->user, hyp->name, NULL,
                       "the key '%s' may not speak for this hypervisor", peer->user);
            continue;
        }
        hello_host(core, session, hyp, hello);
    }
    for (size_t i = 0; i < hello->n_tasks; i++) {
        const struct job *job = job_find(core, hello->tasks[i]->job);
        if (job == NULL || job->live.attempt != hello->tasks[i]->attempt)
            send_order(core, session, peer, RM_ORDER_KIND__ORDER_STOP, hello->tasks[i]->job,
                       hello->tasks[i]->attempt);
        take_over_foreign(core, session, hello->tasks[i]);
    }
    if (before != 0) {
        lose_held(core, before, "its worker does not know of it any more", 0);
        question_lost(core, before);
    }
    drop_idle(core, session);
    welcome.session = session->id;
    welcome.heartbeat_for = core->conf->heartbeat;
    welcome.lease_for = lease(core);
    message.body_case = RM_MESSAGE__BODY_WELCOME;
    message.welcome = &welcome;
    core_send(core, peer, 0, &message);
    core_note(core, LOG_LEVEL_INFO, "worker=%s machine=%s pid=%u: session of %zu hypervisors",
              peer->user, hello->machine, (unsigned)hello->pid, hello->n_hosts);
}

static void on_inventory(struct core *core, struct session *session, const RmInventory *inventory)
{
    struct host *host = host_find(core, inventory->host);

    if (host == NULL || host->session != session || inventory->sequence <= host->inventory)
        return;
    host->inventory = inventory->sequence;
    sight_inventory(core, host, inventory);
}

static void on_pull(struct core *core, struct session *session, char *const *hosts,
                    const RmPull *pull)
{
    bool orphan = false;

    if (pull->session != session->id)
        return;
    session->heard = pull->sent;
    session->answer = true;
    for (size_t i = 0; i < pull->n_credits; i++) {
        const RmCredit *credit = pull->credits[i];
        struct host *host = host_find(core, credit->host);
        uint64_t unseen;
        /* Another worker served it, which is gone: whoever serves it as well takes it back. */
        orphan = orphan || (host != NULL && host->session == NULL &&
                            may_speak_for(&session->peer, hosts, host->rec->name));
        if (host == NULL || host->session != session || credit->seen > host->number)
            continue;
        /* An assignment that was lost is never seen: it counts only for as long as its job waits
         * for an answer. */
        unseen = host->number - credit->seen;
        if (unseen > host->n_sent)
            unseen = host->n_sent;
        host->credit = credit->free > unseen ? credit->free - (unsigned)unseen : 0;
        if (host->credit > 0)
            core->assign = true;
    }
    if (orphan)
        send_order(core, session, &session->peer, RM_ORDER_KIND__ORDER_HELLO, 0, 0);
}

void session_input(struct core *core, const struct net_peer *peer, char *const *hosts,
                   const RmMessage *message)
{
    struct session *session = session_of_peer(core, peer);

    if (peer->role != ROLE_WORKER && peer->role != ROLE_ADMIN) {
        if (log_allowed(&core->denied, core->now, USEC_PER_SEC, 5))
            site_event(core, RM_EVENT_KIND__DENIED, peer->user, NULL, NULL,
                       "%s may not act as a worker (%s)", peer->user, msg_name(message));
        return;
    }
    if (message->body_case == RM_MESSAGE__BODY_HELLO) {
        on_hello(core, peer, hosts, message->hello);
        return;
    }
    if (session == NULL) {
        send_order(core, NULL, peer, RM_ORDER_KIND__ORDER_HELLO, 0, 0);
        return;
    }
    session->heard_at = core->now;
    session->heard_wall = core->wall;
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
        question_answer(core, session, message->answer);
        break;
    case RM_MESSAGE__BODY_BYE:
        session_end(core, session, "it said goodbye");
        break;
    default:
        core_note(core, LOG_LEVEL_WARN, "worker=%s message=%s: not for a broker, ignoring",
                  peer->user, msg_name(message));
    }
}

/* Wishes to stop are repeated until the worker has said how it ended; an assignment that nobody
 * speaks of has been lost on its way. */
static void watch_orders(struct core *core)
{
    core->order_at = USEC_NEVER;
    for (struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        struct job *job, *next;
        if (host->n_out == 0)
            continue;
        DL_FOREACH_SAFE2 (host->leaving, job, next, s_next) {
            RmState state = job->live.state;
            if (state != RM_STATE__CANCELLING && state != RM_STATE__ASSIGNED)
                continue;
            if (job->order_at <= core->now && state == RM_STATE__ASSIGNED) {
                session_lose_job(core, job, "its worker says nothing of it", 0, 0);
                continue;
            }
            if (job->order_at <= core->now) {
                struct session *session = session_by_id(core, job->holder);
                if (session == NULL)
                    session = host->session;
                if (session != NULL)
                    send_order(core, session, &session->peer, RM_ORDER_KIND__ORDER_CANCEL, job->id,
                               job->live.attempt);
                job->order_at = core->now + core->conf->heartbeat;
            }
            if (job->order_at < core->order_at)
                core->order_at = job->order_at;
        }
    }
}

void session_tick(struct core *core)
{
    struct session *session, *next;
    usec_t timeout = core->conf->session_timeout;

    DL_FOREACH_SAFE (core->sessions, session, next) {
        if (session->heard_at + timeout <= core->now) {
            session_end(core, session, "it has been silent for too long");
            continue;
        }
        if (session->answer)
            send_orders(core, &session->peer, session->heard, NULL, 0);
        session->answer = false;
    }
    /* After a start: active jobs whose worker does not come back. */
    if (core->now >= core->started_at + timeout)
        for (struct host *host = core->hosts; host != NULL; host = host->hh.next)
            if (host->session == NULL && host->n_out > host->n_doubt)
                lose_unheld(core, host, "its worker has not come back since the broker started");
    if (core->order_at <= core->now)
        watch_orders(core);
}

usec_t session_deadline(const struct core *core)
{
    usec_t first = core->order_at;
    struct session *session;

    DL_FOREACH (core->sessions, session)
        if (session->heard_at + core->conf->session_timeout < first)
            first = session->heard_at + core->conf->session_timeout;
    if (core->now < core->started_at + core->conf->session_timeout &&
        core->started_at + core->conf->session_timeout < first)
        first = core->started_at + core->conf->session_timeout;
    return first;
}
