/* queue.c - which job is next, and when the next one may start
 *
 * Each source has its own queue, by priority and age. A job starts when its source's worker has a
 * slot free, and the limits of source, destination and site allow one more; a job whose destination
 * is busy does not hold up those behind it that go elsewhere. Hosts take turns. */
#include "broker/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    QUEUE_LOOK = 64,         /* jobs of one host that are looked at for one that may start */
    QUEUE_TAKE_SECONDS = 60, /* an assignment that nobody speaks of for so long is in doubt */
    QUEUE_CHECK_SECONDS = 5, /* how often hosts that stay away are thought of */
};

static int queue_order(struct job *a, struct job *b)
{
    if (a->ask->priority != b->ask->priority)
        return a->ask->priority < b->ask->priority ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

void queue_insert(struct host *host, struct job *job)
{
    /* Mostly the new one comes last: the end is looked at first. */
    if (host->queue == NULL || queue_order(host->queue->q_prev, job) <= 0)
        DL_APPEND2(host->queue, job, q_prev, q_next);
    else
        DL_INSERT_INORDER2(host->queue, job, queue_order, q_prev, q_next);
}

void queue_remove(struct host *host, struct job *job)
{
    DL_DELETE2(host->queue, job, q_prev, q_next);
}

/* What keeps every job of this source from starting; false: nothing does. */
static bool source_waits(const struct core *core, const struct host *host, char *why, size_t size)
{
    unsigned limit = core->conf->limit_source;

    if (host->session == NULL)
        snprintf(why, size, "%s has no worker", host->rec->name);
    else if (!host->reachable)
        snprintf(why, size, "%s does not answer its worker%s%s", host->rec->name,
                 host->text != NULL ? ": " : "", host->text != NULL ? host->text : "");
    else if (core->conf->limit_cluster > 0 && core->n_active >= core->conf->limit_cluster)
        snprintf(why, size, "%u of %u migrations of the whole site are running", core->n_active,
                 core->conf->limit_cluster);
    else if (limit > 0 && host->n_out >= limit)
        snprintf(why, size, "%u of %u migrations from %s are running", host->n_out, limit,
                 host->rec->name);
    else if (host->credit == 0)
        snprintf(why, size, "all %u slots of the worker of %s are taken", host->slots,
                 host->rec->name);
    else
        return false;
    return true;
}

/* What keeps this job from starting although its source could. May choose another destination. */
static bool job_waits(struct core *core, struct job *job, char *why, size_t size)
{
    unsigned limit = core->conf->limit_destination;
    struct host *to = job->destination, *other;
    bool chooses = job->ask->n_to != 1;

    /* A job that may choose does not insist on a place that cannot have it any more. */
    if (to == NULL || (chooses && (!place_usable(core, to, why, size) ||
                                   !place_fits(core, job->guest, to, why, size)))) {
        other = place_again(core, job, why, size);
        if (to == NULL && other == NULL)
            return true;
        if (other != NULL)
            job_set_destination(core, job, other);
        to = job->destination;
    }
    if (!place_usable(core, to, why, size))
        return true;
    if (to->session == NULL || !to->reachable) {
        snprintf(why, size, "%s has no worker yet", to->rec->name);
        return true;
    }
    if (limit > 0 && to->n_in >= limit) {
        snprintf(why, size, "%u of %u migrations to %s are running", to->n_in, limit,
                 to->rec->name);
        return true;
    }
    return !place_fits_now(core, job->guest, to, why, size);
}

/* What the job asks for, and the settings where it asks for nothing: here 0 means none. */
static RmOptions *options(struct core *core, const struct job *job)
{
    const struct conf_migration *usual = &core->conf->migration;
    RmOptions *all = arena_alloc(core->arena, sizeof(*all));

    if (all == NULL)
        return NULL;
    rm_options__init(all);
    if (job->ask->options != NULL)
        *all = *job->ask->options;
    if (all->bandwidth == 0)
        all->bandwidth = usual->bandwidth;
    if (all->downtime_for == 0)
        all->downtime_for = usual->downtime;
    if (all->timeout_for == 0)
        all->timeout_for = usual->timeout;
    if (all->stall_for == 0)
        all->stall_for = usual->stall;
    if (all->fence == 0)
        all->fence = 1 + (uint32_t)usual->fence;
    all->auto_converge = all->auto_converge || usual->auto_converge;
    return all;
}

RmAssignment *queue_assignment(struct core *core, struct job *job)
{
    RmAssignment *one = arena_alloc(core->arena, sizeof(*one));
    RmOptions *all = options(core, job);

    if (one == NULL || all == NULL)
        return NULL;
    rm_assignment__init(one);
    one->job = job->id;
    one->attempt = job->live.attempt;
    one->guest = job->ask->guest;
    one->uuid = job->ask->uuid;
    one->domain = job->ask->domain;
    one->host = job->source->rec->name;
    one->options = all;
    if (job->destination != NULL) {
        one->destination = job->destination->rec->name;
        one->peer = job->destination->rec->peer;
        one->migration = job->destination->rec->migration;
    }
    return one;
}

struct start {
    struct session *session;
    RmAssignment *assignment;
};
struct starts {
    struct start *list;
    size_t n, room;
};

static int start(struct core *core, struct job *job, struct starts *starts)
{
    struct host *host = job->source;
    const struct sighting *seen = sight_at(job->guest, host);
    RmAssignment *one;

    if (starts->n == starts->room) {
        size_t room = starts->room == 0 ? 64 : starts->room * 2;
        struct start *list = arena_alloc(core->arena, room * sizeof(*list));
        if (list == NULL)
            return -ENOMEM;
        if (starts->n > 0)
            memcpy(list, starts->list, starts->n * sizeof(*list));
        starts->list = list;
        starts->room = room;
    }
    one = queue_assignment(core, job);
    if (one == NULL)
        return -ENOMEM;
    one->number = ++host->number;
    one->may_be_left =
        *job->live.left != '\0' && strcmp(job->live.left, job->live.destination) == 0;
    one->attempt = ++job->live.attempt;
    job_set(&job->live.fence, "");
    /* Until its worker says better: a guest that somebody paused is not to be let run by settling.
     */
    job->live.guest_paused =
        seen != NULL && seen->state == RM_GUEST_STATE__GUEST_PAUSED && !seen->migrating;
    job->live.had_definition = false;
    job->live.started_at = core->wall;
    job->order_at = core->now + (usec_t)QUEUE_TAKE_SECONDS * USEC_PER_SEC;
    if (job->order_at < core->order_at)
        core->order_at = job->order_at;
    job->holder = host->session->id;
    host->credit--;
    job_move(core, job, RM_EVENT_KIND__ASSIGN, "broker", job->live.destination);
    starts->list[starts->n++] = (struct start){.session = host->session, .assignment = one};
    return 0;
}

/* Starts one job of this host if one may start; says why each that was looked at waits. */
static bool start_one(struct core *core, struct host *host, struct starts *starts)
{
    char why[600] = "";
    struct job *job, *next;
    unsigned looked = 0;

    if (source_waits(core, host, why, sizeof(why))) {
        DL_FOREACH2 (host->queue, job, q_next) {
            if (looked++ == QUEUE_LOOK)
                break;
            job_why(core, job, why);
        }
        return false;
    }
    DL_FOREACH_SAFE2 (host->queue, job, next, q_next) {
        if (looked++ == QUEUE_LOOK)
            return false;
        if (job_waits(core, job, why, sizeof(why)))
            job_why(core, job, why);
        else
            return start(core, job, starts) == 0;
    }
    return false;
}

/* One message for each worker with all that it shall begin. */
static void send_starts(struct core *core, const struct starts *starts)
{
    struct session *session;

    DL_FOREACH (core->sessions, session) {
        RmMessage message = RM_MESSAGE__INIT;
        RmAssign body = RM_ASSIGN__INIT;
        for (size_t i = 0; i < starts->n; i++)
            if (starts->list[i].session == session)
                ARENA_PUSH(core->arena, body.n_jobs, body.jobs, starts->list[i].assignment);
        if (body.n_jobs == 0)
            continue;
        body.session = session->id;
        message.body_case = RM_MESSAGE__BODY_ASSIGN;
        message.assign = &body;
        core_send(core, &session->peer, 0, &message);
    }
}

static bool away_too_long(const struct core *core, const struct host *host)
{
    return core->conf->unreachable > 0 && (host->session == NULL || !host->reachable) &&
           host->lost_at + core->conf->unreachable <= core->now;
}

static void give_up(struct core *core, struct job *job, const struct host *host)
{
    struct ending ending = {0};
    char text[600];

    if (host == job->source)
        snprintf(text, sizeof(text), "Cannot communicate via libvirt to %s: %s", host->rec->name,
                 host->session == NULL ? "it has no worker"
                 : host->text != NULL  ? host->text
                                       : "it does not answer its worker");
    else
        snprintf(text, sizeof(text),
                 "Unable to reach %s to perform operation of %s, destination unusable: %s",
                 host->rec->name, job->ask->guest,
                 host->session == NULL ? "it has no worker" : "it does not answer its worker");
    ending.text = text;
    job_finish(core, job, RM_EVENT_KIND__FAILED_FOR_GOOD, "broker", &ending);
}

static void check_hosts(struct core *core)
{
    for (struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        struct job *job, *next;
        if (!away_too_long(core, host))
            continue;
        DL_FOREACH_SAFE2 (host->queue, job, next, q_next)
            give_up(core, job, host);
        DL_FOREACH_SAFE2 (host->coming, job, next, d_next)
            if (job->live.state == RM_STATE__QUEUED && job->ask->n_to == 1)
                give_up(core, job, host);
    }
}

void queue_tick(struct core *core)
{
    struct starts starts = {0};
    struct host *host;
    bool again = true;

    while (core->waiting != NULL && core->waiting->ready_at <= core->now)
        job_move(core, core->waiting, RM_EVENT_KIND__READY, "broker", NULL);
    if (core->check_at <= core->now) {
        check_hosts(core);
        core->check_at = core->now + (usec_t)QUEUE_CHECK_SECONDS * USEC_PER_SEC;
    }
    if (!core->assign)
        return;
    core->assign = false;
    while (again) {
        struct host *first = core->turn != NULL ? core->turn : core->hosts;
        again = false;
        host = first;
        while (host != NULL) {
            struct host *next = host->hh.next != NULL ? host->hh.next : core->hosts;
            if (host->queue != NULL && start_one(core, host, &starts)) {
                again = true;
                core->turn = next; /* whoever comes after it is first the next time */
            }
            host = next != first ? next : NULL;
        }
    }
    core->assign = false;
    send_starts(core, &starts);
}

usec_t queue_deadline(const struct core *core)
{
    usec_t first = core->check_at;

    if (core->waiting != NULL && core->waiting->ready_at < first)
        first = core->waiting->ready_at;
    return core->assign ? core->now : first;
}

const char *queue_why(struct core *core, struct host *host)
{
    char why[600];

    if (host->queue == NULL) {
        struct job *job;
        DL_FOREACH2 (host->leaving, job, s_next)
            if (job->live.state == RM_STATE__WAITING || job->live.state == RM_STATE__DOUBT)
                return arena_printf(core->arena, "%s %s: %s", job_state_name(job->live.state),
                                    job->ask->guest, job->why != NULL ? job->why : job->live.text);
        return "";
    }
    if (source_waits(core, host, why, sizeof(why)))
        return arena_strdup(core->arena, why);
    return arena_printf(core->arena, "%s: %s", host->queue->ask->guest,
                        host->queue->why != NULL ? host->queue->why : "starts next");
}
