/* life.c - a job's life: the one function that moves it, and how it begins and ends */
#include "broker/state.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static char *const empty = (char *)protobuf_c_empty_string;

void job_set(char **field, const char *text)
{
    char *old = *field;

    *field = empty;
    if (text != NULL && *text != '\0') {
        *field = strdup(text);
        if (*field == NULL)
            *field = empty;
    }
    if (old != NULL && old != empty)
        free(old);
}

void job_touch(struct core *core, struct job *job)
{
    job->changed = ++core->version;
    DL_DELETE2(core->recent, job, r_prev, r_next);
    DL_PREPEND2(core->recent, job, r_prev, r_next);
}

void job_why(struct core *core, struct job *job, const char *text)
{
    if (strcmp(job->why != NULL ? job->why : "", text) == 0)
        return;
    free(job->why);
    job->why = *text != '\0' ? strdup(text) : NULL;
    job_touch(core, job);
}

/* ---- what hangs on the state of a job, and on its destination */

static int waiting_order(struct job *a, struct job *b)
{
    return a->ready_at < b->ready_at ? -1 : a->ready_at > b->ready_at;
}

/* An active job has (sign +1) or has no longer (-1) its destination. */
static void count_arrival(const struct job *job, int sign)
{
    struct host *host = job->destination;

    if (host == NULL)
        return;
    host->n_in += (unsigned)sign;
    host->arriving += sign > 0 ? job->guest->rec->memory : -job->guest->rec->memory;
    host->arriving_vcpus += sign > 0 ? job->guest->rec->vcpus : -job->guest->rec->vcpus;
}

static bool is_sent(RmState state)
{
    return state == RM_STATE__ASSIGNED || state == RM_STATE__CANCELLING;
}

static void enter(struct core *core, struct job *job)
{
    RmState state = job->live.state;

    if (job->batch != NULL)
        job->batch->counts[state]++;
    if (state == RM_STATE__QUEUED) {
        queue_insert(job->source, job);
        job->source->n_queued++;
    } else if (state == RM_STATE__WAITING) {
        /* Mostly the new one comes last: the end is looked at first. */
        if (core->waiting == NULL || waiting_order(core->waiting->q_prev, job) <= 0)
            DL_APPEND2(core->waiting, job, q_prev, q_next);
        else
            DL_INSERT_INORDER2(core->waiting, job, waiting_order, q_prev, q_next);
        job->source->n_waiting++;
    } else if (state == RM_STATE__DOUBT) {
        DL_APPEND2(core->doubt, job, q_prev, q_next);
        job->source->n_doubt++;
    }
    if (job_is_active(state)) {
        job->source->n_out++;
        core->n_active++;
        job->source->n_sent += is_sent(state) ? 1 : 0;
        count_arrival(job, +1);
    }
}

static void leave(struct core *core, struct job *job)
{
    RmState state = job->live.state;

    if (job->batch != NULL)
        job->batch->counts[state]--;
    if (state == RM_STATE__QUEUED) {
        queue_remove(job->source, job);
        job->source->n_queued--;
    } else if (state == RM_STATE__WAITING) {
        DL_DELETE2(core->waiting, job, q_prev, q_next);
        job->source->n_waiting--;
    } else if (state == RM_STATE__DOUBT) {
        DL_DELETE2(core->doubt, job, q_prev, q_next);
        job->source->n_doubt--;
    }
    if (job_is_active(state)) {
        job->source->n_out--;
        core->n_active--;
        job->source->n_sent -= is_sent(state) ? 1 : 0;
        count_arrival(job, -1);
    }
    core->assign = true;
}

static void recount(struct host *host)
{
    struct sighting *s;

    host->used = 0;
    host->used_vcpus = 0;
    DL_FOREACH2 (host->sightings, s, h_next) {
        struct job *job = s->guest->job;
        /* A guest on its way here is counted once, by the promise. */
        s->counted = (guest_is_active(s->state) || s->state == RM_GUEST_STATE__GUEST_INCOMING) &&
                     (job == NULL || job->destination != host);
        if (s->counted) {
            host->used += s->memory;
            host->used_vcpus += s->vcpus;
        }
    }
}

void job_set_destination(struct core *core, struct job *job, struct host *host)
{
    struct host *old = job->destination;
    bool active = job_is_active(job->live.state);

    if (old == host)
        return;
    if (old != NULL) {
        DL_DELETE2(old->coming, job, d_prev, d_next);
        old->promised -= job->guest->rec->memory;
        old->promised_vcpus -= job->guest->rec->vcpus;
        old->promised_guests--;
        if (active)
            count_arrival(job, -1);
    }
    job->destination = host;
    job_set(&job->live.destination, host != NULL ? host->rec->name : "");
    if (host != NULL) {
        DL_APPEND2(host->coming, job, d_prev, d_next);
        host->promised += job->guest->rec->memory;
        host->promised_vcpus += job->guest->rec->vcpus;
        host->promised_guests++;
        if (active)
            count_arrival(job, +1);
        recount(host);
    }
    if (old != NULL)
        recount(old);
    core->assign = true;
}

/* ---- memory of a job */

static void live_done(RmLive *live)
{
    job_set(&live->source, "");
    job_set(&live->destination, "");
    job_set(&live->text, "");
    job_set(&live->cancelled_by, "");
    job_set(&live->fence, "");
    job_set(&live->left, "");
    for (size_t i = 0; i < live->n_unfit; i++)
        job_set(&live->unfit[i], "");
    free(live->unfit);
    live->unfit = NULL;
    live->n_unfit = 0;
}

static struct job *job_new(struct core *core, RmJob *ask, struct guest *guest, struct host *source,
                           struct batch *batch)
{
    struct job *job = calloc(1, sizeof(*job));

    if (job == NULL)
        return NULL;
    job->id = ask->id;
    job->ask = ask;
    rm_live__init(&job->live);
    job->live.id = ask->id;
    job->guest = guest;
    job->source = source;
    job->batch = batch;
    job->phase = "";
    job->ready_at = job->order_at = job->settle_at = USEC_NEVER;
    guest->job = job;
    job_set(&job->live.source, source->rec->name);
    HASH_ADD(hh, core->jobs, id, sizeof(job->id), job);
    DL_APPEND2(source->leaving, job, s_prev, s_next);
    DL_PREPEND2(core->recent, job, r_prev, r_next);
    job->changed = ++core->version;
    return job;
}

void job_free(struct core *core, struct job *job)
{
    job_set_destination(core, job, NULL);
    leave(core, job);
    HASH_DEL(core->jobs, job);
    DL_DELETE2(job->source->leaving, job, s_prev, s_next);
    DL_DELETE2(core->recent, job, r_prev, r_next);
    if (job->guest->job == job)
        job->guest->job = NULL;
    live_done(&job->live);
    rm_job__free_unpacked(job->ask, NULL);
    free(job->why);
    free(job);
}

/* ---- moves */

static void write_event(struct core *core, struct job *job, RmEventKind kind, const char *who,
                        const char *text)
{
    RmEvent event = RM_EVENT__INIT;
    int r;

    event.job = job->id;
    event.sequence = ++job->live.events;
    event.at = core->wall;
    event.kind = kind;
    event.state = job->live.state;
    event.who = (char *)who;
    event.text = (char *)(text != NULL ? text : "");
    r = record_event_put(core->store, &event);
    if (r < 0)
        core_fail(core, r, "event");
}

static void write_live(struct core *core, struct job *job)
{
    int r = record_live_put(core->store, &job->live);
    if (r < 0)
        core_fail(core, r, "live job");
}

void job_move(struct core *core, struct job *job, RmEventKind event, const char *who,
              const char *text)
{
    RmState to = job_next(job->live.state, event);

    assert(to != RM_STATE__NO_STATE && !job_is_final(to));
    leave(core, job);
    job->live.state = to;
    if (to == RM_STATE__WAITING) {
        job->live.not_before = job->ready_at == USEC_NEVER ? 0
                               : job->ready_at <= core->now
                                   ? core->wall
                                   : core->wall + (job->ready_at - core->now);
        job->live.paused = job->ready_at == USEC_NEVER;
    }
    if (to == RM_STATE__DOUBT)
        job->settler = 0;
    else
        job->quiet_at = 0;
    if (to != RM_STATE__RUNNING && to != RM_STATE__CANCELLING)
        job->phase = "";
    if (to == RM_STATE__QUEUED || to == RM_STATE__ASSIGNED)
        rm_stats__init(&job->stats);
    enter(core, job);
    if (text != NULL && (to == RM_STATE__WAITING || to == RM_STATE__DOUBT))
        job_set(&job->live.text, text);
    free(job->why);
    job->why = NULL;
    write_event(core, job, event, who, text);
    write_live(core, job);
    job_touch(core, job);
    core_note(core, LOG_LEVEL_INFO, "job=%llu guest=%s state=%s attempt=%u host=%s: %s by %s%s%s",
              (unsigned long long)job->id, job->ask->guest, job_state_name(to),
              (unsigned)job->live.attempt, job->live.source, job_event_name(event), who,
              text != NULL && *text != '\0' ? ": " : "", text != NULL ? text : "");
}

void job_note(struct core *core, struct job *job, const char *who, const char *text)
{
    write_event(core, job, RM_EVENT_KIND__NOTE, who, text);
    write_live(core, job);
}

static void count_host(struct core *core, struct host *host, RmState state)
{
    if (state == RM_STATE__DONE)
        host->rec->done++;
    else if (state == RM_STATE__FAILED)
        host->rec->failed++;
    else
        return;
    host_changed(core, host);
}

static void write_result(struct core *core, const struct job *job, const struct ending *ending)
{
    RmResult result = RM_RESULT__INIT;
    const RmReport *report = ending->report;
    int r;

    result.id = job->id;
    result.state = job->live.state;
    result.attempt = job->live.attempt;
    result.source = job->live.source;
    result.destination = job->live.destination;
    result.text = (char *)(ending->text != NULL ? ending->text : "");
    result.started_at = job->live.started_at;
    result.finished_at = core->wall;
    if (report != NULL && report->stats != NULL)
        result.stats = report->stats;
    result.fence = report != NULL && *report->fence != '\0' ? report->fence : job->live.fence;
    result.locked = ending->locked;
    result.already = ending->already;
    result.events = job->live.events;
    result.left = job->live.left;
    result.code = report != NULL ? report->code : 0;
    r = record_result_put(core->store, &result);
    if (r >= 0)
        r = record_live_delete(core->store, job->id);
    if (r < 0)
        core_fail(core, r, "result");
}

static void guest_ended_up(struct core *core, struct job *job, const struct ending *ending)
{
    struct guest *guest = job->guest;
    struct host *place = ending->place;

    guest->rec->active_job = 0;
    guest->rec->last_job = job->id;
    if (ending->locked) {
        guest->rec->locked = true;
        job_set(&guest->rec->lock_text, ending->text);
    }
    if (place != NULL) {
        if (place != job->source) {
            guest->settled_at = core->now;
            sight_moved(core, guest, job->source, place, job->live.guest_paused);
        }
        job_set(&guest->rec->host, place->rec->name);
        guest->rec->seen_at = core->wall;
        sight_mend_table(core, guest, place, NULL);
    }
    guest_write(core, guest);
}

void job_finish(struct core *core, struct job *job, RmEventKind event, const char *who,
                const struct ending *ending)
{
    RmState to = job_next(job->live.state, event);
    struct ending end = *ending;

    assert(job_is_final(to));
    if (to == RM_STATE__DONE && end.place == NULL)
        end.place = job->destination;
    leave(core, job);
    job->live.state = to;
    enter(core, job);
    write_event(core, job, event, who, end.text);
    write_result(core, job, &end);
    count_host(core, job->source, to);
    if (job->batch != NULL)
        job->batch->live--;
    core_note(core, to == RM_STATE__FAILED ? LOG_LEVEL_WARN : LOG_LEVEL_INFO,
              "job=%llu guest=%s state=%s attempt=%u host=%s: %s by %s%s%s",
              (unsigned long long)job->id, job->ask->guest, job_state_name(to),
              (unsigned)job->live.attempt, job->live.source, job_event_name(event), who,
              end.text != NULL && *end.text != '\0' ? ": " : "", end.text != NULL ? end.text : "");
    /* The promise ends before the guest is shown at its new place, or it would be counted twice. */
    if (job->guest->job == job)
        job->guest->job = NULL;
    job_set_destination(core, job, NULL);
    guest_ended_up(core, job, &end);
    names_job_ended(core);
    core->version++;
    follow_finished(core, job);
    job->batch = NULL; /* which goes on counting it in its final state */
    job_free(core, job);
}

/* What an earlier job of the guest left behind is there until somebody has removed it. */
static void inherit_left(struct core *core, struct job *job)
{
    RmResult *last;

    if (job->ask->previous != 0 &&
        record_result_get(core->store, job->ask->previous, core->arena, &last) == 0)
        job_set(&job->live.left, last->left);
}

struct job *job_submit(struct core *core, RmJob *ask, struct guest *guest, struct host *source,
                       struct host *destination, struct batch *batch)
{
    struct job *job;
    int r;

    ask->previous = guest->rec->last_job;
    job = job_new(core, ask, guest, source, batch);
    if (job == NULL) {
        core_fail(core, -ENOMEM, "job");
        rm_job__free_unpacked(ask, NULL);
        return NULL;
    }
    r = record_job_put(core->store, ask);
    if (r < 0)
        core_fail(core, r, "job");
    if (batch != NULL)
        batch->live++;
    job->live.state = RM_STATE__QUEUED;
    inherit_left(core, job);
    enter(core, job);
    job_set_destination(core, job, destination);
    guest->rec->active_job = ask->id;
    guest_write(core, guest);
    write_event(core, job, RM_EVENT_KIND__SUBMITTED, ask->submitter, ask->reason);
    write_live(core, job);
    core_note(core, LOG_LEVEL_INFO, "job=%llu guest=%s host=%s destination=%s: submitted by %s",
              (unsigned long long)job->id, ask->guest, source->rec->name,
              destination != NULL ? destination->rec->name : "", ask->submitter);
    return job;
}

/* A batch that has live jobs is held in memory with the state of all its jobs. */
static struct batch *batch_restore(struct core *core, uint64_t id)
{
    struct batch *batch = batch_find(core, id);
    RmBatch *rec;

    if (batch != NULL || record_batch_get(core->store, id, core->arena, &rec) < 0)
        return batch;
    batch = calloc(1, sizeof(*batch));
    if (batch != NULL)
        batch->rec = (RmBatch *)msg_copy(NULL, &rec->base);
    if (batch == NULL || batch->rec == NULL) {
        free(batch);
        return NULL;
    }
    for (size_t i = 0; i < rec->n_jobs; i++)
        for (uint64_t j = 0; j < rec->jobs[i]->count; j++) {
            RmResult *result;
            if (record_result_get(core->store, rec->jobs[i]->first + j, core->arena, &result) ==
                    0 &&
                job_is_final(result->state))
                batch->counts[result->state]++;
        }
    HASH_ADD(hh, core->batches, rec->id, sizeof(batch->rec->id), batch);
    return batch;
}

int job_restore(struct core *core, RmJob *ask, RmLive *live)
{
    struct guest *guest = guest_make(core, ask->guest);
    struct host *source = host_make(core, live->source);
    struct job *job;

    job = guest != NULL && source != NULL ? job_new(core, ask, guest, source, NULL) : NULL;
    if (job == NULL) {
        rm_job__free_unpacked(ask, NULL);
        rm_live__free_unpacked(live, NULL);
        return -ENOMEM;
    }
    live_done(&job->live);
    job->live = *live; /* its strings with it */
    free(live);
    if (ask->batch != 0)
        job->batch = batch_restore(core, ask->batch);
    if (job->batch != NULL)
        job->batch->live++;
    if (job->live.state == RM_STATE__WAITING) {
        uint64_t left = job->live.not_before > core->wall ? job->live.not_before - core->wall : 0;
        /* A clock that was set back must not stop a job for years. */
        if (left > 300 * USEC_PER_SEC)
            left = 300 * USEC_PER_SEC;
        job->ready_at = job->live.paused ? USEC_NEVER : core->now + left;
    } else if (job->live.state == RM_STATE__DOUBT) {
        job->settle_at = core->now;
        job->quiet_at =
            core->now + core->conf->session_timeout; /* who was lost, and when, is not known */
    } else if (job->live.state == RM_STATE__CANCELLING || job->live.state == RM_STATE__ASSIGNED) {
        job->order_at = core->now + core->conf->session_timeout;
    }
    enter(core, job);
    if (*job->live.destination != '\0') {
        struct host *to = host_make(core, job->live.destination);
        if (to == NULL)
            return -ENOMEM;
        job_set_destination(core, job, to);
    }
    if (ask->evacuation)
        source->evacuating = true;
    return 0;
}
