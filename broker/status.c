/* status.c - records and memory as people see them; everything lives in core->arena */
#include "broker/state.h"

static void *view(struct core *core, size_t size)
{
    return arena_alloc(core->arena, size);
}

RmJobView *status_job(struct core *core, const struct job *job)
{
    RmJobView *v = view(core, sizeof(*v));
    RmStats *stats;

    if (v == NULL)
        return NULL;
    rm_job_view__init(v);
    v->job = job->ask;
    v->state = job->live.state;
    v->attempt = job->live.attempt;
    v->source = job->live.source;
    v->destination = job->live.destination;
    v->text = job->live.text;
    if (job->why != NULL)
        v->text = arena_strdup(core->arena, job->why);
    else if (job->live.state == RM_STATE__QUEUED)
        v->text = (char *)"";
    if (v->text == NULL)
        return NULL;
    v->started_at = job->live.started_at;
    v->fence = job->live.fence;
    v->phase = (char *)job->phase;
    if (job->live.state == RM_STATE__RUNNING || job->live.state == RM_STATE__CANCELLING) {
        stats = view(core, sizeof(*stats));
        if (stats != NULL && job->stats.base.descriptor != NULL) {
            *stats = job->stats;
            v->stats = stats;
        }
    }
    return v;
}

RmJobView *status_finished(struct core *core, uint64_t id)
{
    RmJobView *v = view(core, sizeof(*v));
    RmResult *result;

    if (v == NULL || record_result_get(core->store, id, core->arena, &result) < 0)
        return NULL;
    rm_job_view__init(v);
    if (record_job_get(core->store, id, core->arena, &v->job) < 0)
        return NULL;
    v->state = result->state;
    v->attempt = result->attempt;
    v->source = result->source;
    v->destination = result->destination;
    v->text = result->text;
    v->started_at = result->started_at;
    v->finished_at = result->finished_at;
    v->stats = result->stats;
    v->fence = result->fence;
    v->already = result->already;
    v->locked = result->locked;
    return v;
}

RmHostView *status_host(struct core *core, struct host *host)
{
    RmHostView *v = view(core, sizeof(*v));

    if (v == NULL)
        return NULL;
    rm_host_view__init(v);
    v->host = host->rec;
    v->connected = host->session != NULL;
    v->reachable = host->reachable;
    if (host->text != NULL)
        v->text = host->text;
    else if (host->session == NULL)
        v->text = (char *)"no worker serves it";
    v->guests = host->active;
    v->memory_free = place_free(host);
    v->vcpus_used = host->used_vcpus + host->promised_vcpus;
    v->queued = host->n_queued;
    v->running = host->n_out - host->n_doubt;
    v->incoming = host->n_in;
    v->waiting = host->n_waiting;
    v->doubt = host->n_doubt;
    v->slots = host->slots;
    v->credit = host->credit;
    v->why = (char *)queue_why(core, host);
    if (v->why == NULL)
        v->why = (char *)"";
    v->done = host->rec->done;
    v->failed = host->rec->failed;
    v->evacuating = host->evacuating && host->leaving != NULL;
    return v;
}

RmWorkerView *status_worker(struct core *core, const struct session *session)
{
    RmWorkerView *v = view(core, sizeof(*v));

    if (v == NULL)
        return NULL;
    rm_worker_view__init(v);
    v->name = (char *)session->peer.user;
    v->machine = session->machine;
    v->pid = session->pid;
    v->version = session->version;
    v->connected_at = session->connected_wall;
    v->heard_at = session->heard_wall;
    v->address = (char *)session->peer.address;
    for (struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        struct job *job;
        if (host->session != session)
            continue;
        ARENA_PUSH(core->arena, v->n_hosts, v->hosts, host->rec->name);
        DL_FOREACH2 (host->leaving, job, s_next)
            v->tasks += job_is_active(job->live.state) ? 1 : 0;
    }
    return v;
}
