/* status.c - records and memory as people see them */
#include "broker/status.h"

#include "broker/assignment.h"
#include "broker/hold.h"
#include "broker/job.h"
#include "broker/place.h"
#include "broker/schedule.h"
#include "broker/session.h"
#include "store/record.h"

RmJobView *status_job(struct core *core, const struct job *job)
{
    RmJobView *v = arena_alloc(core->arena, sizeof(*v));
    RmStats *stats;
    char held[600];

    if (!v)
        return NULL;
    rm_job_view__init(v);
    v->job = job->ask;
    v->state = job->live.state;
    v->attempt = job->live.attempt;
    v->source = job->live.source;
    v->destination = job->live.destination;
    v->text = job->live.text;
    v->paused = job->live.state == RM_STATE__WAITING && job->live.paused;
    v->held =
        job->live.state == RM_STATE__QUEUED && hold_keeps(core, job->source, held, sizeof(held));
    const char *why = schedule_job_why(core, job);
    if (why)
        v->text = arena_strdup(core->arena, why);
    if (!v->text)
        return NULL;
    v->started_at = job->live.started_at;
    v->fence = job->live.fence;
    if (!(v->options = arena_alloc(core->arena, sizeof(*v->options))))
        return NULL;
    assignment_options(core, job, v->options);
    v->tried_for = job_tried_for(core, job);
    v->phase = (char *)job->phase;
    if (job->live.state == RM_STATE__RUNNING || job->live.state == RM_STATE__CANCELLING) {
        stats = arena_alloc(core->arena, sizeof(*stats));
        if (stats && job->stats.base.descriptor) {
            *stats = job->stats;
            v->stats = stats;
        }
    }
    return v;
}

RmJobView *status_finished(struct core *core, uint64_t id)
{
    RmJobView *v = arena_alloc(core->arena, sizeof(*v));
    RmResult *result;

    if (!v || record_result_get(core->store, id, core->arena, &result) < 0)
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
    v->options = v->job->options; /* what the settings were then is not known */
    v->tried_for = result->tried_for;
    v->already = result->already;
    v->locked = result->locked;
    v->settled = result->settled;
    v->again = result->again;
    v->again_batch = result->again_batch;
    if (v->again != 0)
        v->text = arena_printf(core->arena, "%s%sjob %llu of batch %llu tries again", v->text,
                               *v->text != '\0' ? "; " : "", (unsigned long long)v->again,
                               (unsigned long long)v->again_batch);
    if (!v->text)
        return NULL;
    return v;
}

RmJobView *status_of(struct core *core, uint64_t id)
{
    const struct job *job = job_find(core, id);

    return job ? status_job(core, job) : status_finished(core, id);
}

RmHostView *status_host(struct core *core, struct host *host)
{
    RmHostView *v = arena_alloc(core->arena, sizeof(*v));
    const struct host_link *link = &host->link;
    char held[600];

    if (!v)
        return NULL;
    rm_host_view__init(v);
    if (!(v->host = arena_alloc(core->arena, sizeof(*v->host))))
        return NULL;
    *v->host = *host->rec;
    v->host->seen_at = host_seen_at(host);
    v->connected = link->session != NULL;
    v->reachable = link->reachable;
    if (link->text)
        v->text = link->text;
    else if (!link->session)
        v->text = (char *)"no worker serves it";
    else if (host_is_suspect(core, host))
        v->text = core_printf(core, "suspect for %d minutes: %d guests in turn could not come: %s",
                              SUSPECT_MINUTES, SUSPECT_GUESTS, host->trouble.text);
    v->guests = host->load.active;
    v->memory_free = place_free_memory(core, host);
    v->reserve = place_reserve(core, host);
    v->vcpus_used = (uint32_t)(host->load.used.vcpus + host->load.promised.vcpus);
    v->queued = host->queue.n;
    v->running = host->load.n_out - host->jobs.n_doubt;
    v->incoming = host->load.n_in;
    v->waiting = host->jobs.n_waiting;
    v->doubt = host->jobs.n_doubt;
    v->slots = link->slots;
    v->credit = link->credit;
    v->why = (char *)schedule_why(core, host);
    v->done = host->rec->done;
    v->failed = host->rec->failed;
    v->evacuating = host->rec->emptying != NULL;
    if (hold_keeps(core, host, held, sizeof(held)) && !(v->held = arena_strdup(core->arena, held)))
        return NULL;
    return v;
}

RmWorkerView *status_worker(struct core *core, const struct session *session)
{
    RmWorkerView *v = arena_alloc(core->arena, sizeof(*v));
    char held[600];

    if (!v)
        return NULL;
    rm_worker_view__init(v);
    v->name = (char *)session->peer.user;
    v->machine = session->machine;
    v->pid = session->pid;
    v->version = session->version;
    v->connected_at = session->connected_wall;
    v->heard_at = session->heard_wall;
    v->address = (char *)session->peer.address;
    v->refused = session->refused;
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        const struct job *job;
        if (host->link.session != session)
            continue;
        ARENA_PUSH(core->arena, v->n_hosts, v->hosts, host->rec->name);
        DL_FOREACH2 (host->jobs.leaving, job, s_next)
            v->tasks += job_is_active(job->live.state) ? 1 : 0;
        if (!hold_keeps(core, host, held, sizeof(held)) || strstr(v->held, held))
            continue;
        v->held =
            *v->held == '\0' ? core_strdup(core, held) : core_printf(core, "%s; %s", v->held, held);
    }
    return v;
}
