/* job.c - a job's life: how it begins, every move, how it ends */
#include "broker/job.h"

#include "broker/instance.h"
#include "broker/learned.h"
#include "broker/session.h"
#include "store/record.h"

#include <assert.h>

enum { CLOCK_BACK_SECONDS = 300 }; /* a restored job waits no longer, whatever the clock says */

struct job *job_find(struct core *core, uint64_t id)
{
    struct job *job;

    HASH_FIND(hh, core->jobs.by_id, &id, sizeof(id), job);
    return job;
}

/* ---- the journal: what others may want to know of it */

static uint64_t append(struct core *core, const struct job *job, enum change_kind kind)
{
    return journal_append(core->journal, &(struct journal_line){.kind = kind,
                                                                .job = job->id,
                                                                .batch = job->ask->batch,
                                                                .host = job->source});
}

static void show(struct core *core, struct job *job, enum change_kind kind)
{
    job->changed = append(core, job, kind);
}

void job_why(struct core *core, struct job *job, const char *text)
{
    if (strcmp(job->why ? job->why : "", text) == 0)
        return;
    free(job->why);
    job->why = *text != '\0' ? must(strdup(text)) : NULL;
    show(core, job, CHANGE_JOB_SHOWN);
}

void job_set_way(const struct core *core, struct job *job, bool has_way)
{
    if (has_way)
        job->no_way_since = 0;
    else if (job->no_way_since == 0)
        job->no_way_since = core->now;
}

/* ---- what hangs on the state of a job, and on its destination */

static int waiting_order(const struct job *a, const struct job *b)
{
    return a->ready_at < b->ready_at ? -1 : a->ready_at > b->ready_at;
}

static bool is_sent(RmState state)
{
    return state == RM_STATE__ASSIGNED || state == RM_STATE__CANCELLING;
}

static void enter(struct core *core, struct job *job)
{
    RmState state = job->live.state;
    struct host_jobs *jobs = &job->source->jobs;

    if (state == RM_STATE__QUEUED) {
        queue_insert(&job->source->queue, &job->queued);
    } else if (state == RM_STATE__WAITING) {
        /* Mostly the new one comes last: the end is looked at first. */
        if (!core->jobs.waiting || waiting_order(core->jobs.waiting->l_prev, job) <= 0)
            DL_APPEND2(core->jobs.waiting, job, l_prev, l_next);
        else
            DL_INSERT_INORDER2(core->jobs.waiting, job, waiting_order, l_prev, l_next);
        jobs->n_waiting++;
    } else if (state == RM_STATE__DOUBT) {
        DL_APPEND2(core->jobs.doubt, job, l_prev, l_next);
        core->jobs.n_doubt++;
        jobs->n_doubt++;
    }
    if (job_is_active(state)) {
        core->jobs.n_active++;
        jobs->n_sent += is_sent(state) ? 1 : 0;
        capacity_leave(&job->source->load);
        if (job->destination)
            capacity_arrive(&job->destination->load, &job->promised);
    }
}

static void leave(struct core *core, struct job *job)
{
    RmState state = job->live.state;
    struct host_jobs *jobs = &job->source->jobs;

    if (state == RM_STATE__QUEUED) {
        queue_remove(&job->source->queue, &job->queued);
    } else if (state == RM_STATE__WAITING) {
        DL_DELETE2(core->jobs.waiting, job, l_prev, l_next);
        jobs->n_waiting--;
    } else if (state == RM_STATE__DOUBT) {
        DL_DELETE2(core->jobs.doubt, job, l_prev, l_next);
        core->jobs.n_doubt--;
        jobs->n_doubt--;
    }
    if (job_is_active(state)) {
        core->jobs.n_active--;
        jobs->n_sent -= is_sent(state) ? 1 : 0;
        capacity_leave_end(&job->source->load);
        if (job->destination)
            capacity_arrive_end(&job->destination->load, &job->promised);
    }
}

static void set_state(struct core *core, struct job *job, RmState to)
{
    leave(core, job);
    batch_move(job->batch, job->live.state, to);
    job->live.state = to;
    enter(core, job);
}

static void take_promise(struct job *job)
{
    struct host *old = job->destination;

    if (!old)
        return;
    DL_DELETE2(old->jobs.coming, job, d_prev, d_next);
    if (job_is_active(job->live.state))
        capacity_arrive_end(&old->load, &job->promised);
    capacity_release(&old->load, &job->promised);
}

static void give_promise(struct job *job, struct host *host)
{
    job->destination = host;
    text_set(&job->live.destination, host ? host->rec->name : "");
    if (!host)
        return;
    job->promised = guest_figures(job->guest);
    DL_APPEND2(host->jobs.coming, job, d_prev, d_next);
    capacity_promise(&host->load, &job->promised);
    if (job_is_active(job->live.state))
        capacity_arrive(&host->load, &job->promised);
}

void job_set_destination(struct core *core, struct job *job, struct host *host)
{
    struct host *old = job->destination;

    if (old == host)
        return;
    take_promise(job);
    give_promise(job, host);
    guest_promise(job->guest, host);
    instance_recount(job->guest);
    append(core, job, CHANGE_JOB_PLACED);
}

void job_unfit(struct job *job)
{
    RmLive *live = &job->live;

    if (!job->destination)
        return;
    live->unfit = must(reallocarray(live->unfit, live->n_unfit + 1, sizeof(*live->unfit)));
    live->unfit[live->n_unfit] = NULL;
    text_set(&live->unfit[live->n_unfit++], job->destination->rec->name);
}

void job_tried(struct job *job)
{
    RmLive *live = &job->live;
    size_t i = 0;

    if (!job->destination)
        return;
    while (i < live->n_tried && strcmp(live->tried[i], job->destination->rec->name) != 0)
        i++;
    if (i == live->n_tried) {
        live->tried = must(reallocarray(live->tried, live->n_tried + 1, sizeof(*live->tried)));
        live->tried[live->n_tried] = NULL;
        text_set(&live->tried[live->n_tried++], job->destination->rec->name);
        return;
    }
    char *name = live->tried[i];
    for (; i + 1 < live->n_tried; i++)
        live->tried[i] = live->tried[i + 1];
    live->tried[i] = name;
}

/* ---- memory of a job */

static void live_done(RmLive *live)
{
    text_set(&live->source, "");
    text_set(&live->destination, "");
    text_set(&live->text, "");
    text_set(&live->cancelled_by, "");
    text_set(&live->fence, "");
    text_set(&live->left, "");
    for (size_t i = 0; i < live->n_unfit; i++)
        text_set(&live->unfit[i], "");
    free(live->unfit);
    live->unfit = NULL;
    live->n_unfit = 0;
    for (size_t i = 0; i < live->n_tried; i++)
        text_set(&live->tried[i], "");
    free(live->tried);
    live->tried = NULL;
    live->n_tried = 0;
}

/* It has no state yet. */
static struct job *job_new(struct core *core, RmJob *ask, struct guest *guest, struct host *source,
                           struct batch *batch)
{
    struct job *job = must(calloc(1, sizeof(*job)));

    job->id = ask->id;
    job->ask = ask;
    rm_live__init(&job->live);
    job->live.id = ask->id;
    job->guest = guest;
    job->source = source;
    job->batch = batch;
    job->phase = "";
    job->ready_at = job->order_at = job->settle_at = USEC_NEVER;
    queue_item_init(&job->queued, job, ask->priority, ask->id);
    guest_take(guest, job);
    text_set(&job->live.source, source->rec->name);
    HASH_ADD(hh, core->jobs.by_id, id, sizeof(job->id), job);
    DL_APPEND2(source->jobs.leaving, job, s_prev, s_next);
    batch_begin(batch);
    return job;
}

static void written(struct core *core, struct job *job)
{
    if (job->is_dirty)
        DL_DELETE2(core->jobs.dirty, job, w_prev, w_next);
    job->is_dirty = false;
}

static void job_free(struct core *core, struct job *job)
{
    written(core, job);
    job_set_destination(core, job, NULL);
    leave(core, job);
    HASH_DELETE(hh, core->jobs.by_id, job);
    DL_DELETE2(job->source->jobs.leaving, job, s_prev, s_next);
    guest_drop(job->guest, job);
    live_done(&job->live);
    rm_job__free_unpacked(job->ask, NULL);
    free(job->why);
    free(job->release_by);
    free(job);
}

void job_free_all(struct core *core)
{
    struct job *job, *next;

    HASH_ITER (hh, core->jobs.by_id, job, next)
        job_free(core, job);
}

/* ---- what a move writes */

static void write_event(struct core *core, struct job *job, RmEventKind kind, const char *who,
                        const char *text)
{
    RmEvent event = RM_EVENT__INIT;

    event.job = job->id;
    event.sequence = ++job->live.events;
    event.at = core->wall;
    event.kind = kind;
    event.state = job->live.state;
    event.who = (char *)who;
    event.text = (char *)(text ? text : "");
    core_check_write(core, record_event_put(core->store, &event), "event");
}

/* At the end of the turn, however often it changes in it. */
static void write_live(struct core *core, struct job *job)
{
    if (!job->is_dirty)
        DL_APPEND2(core->jobs.dirty, job, w_prev, w_next);
    job->is_dirty = true;
}

void job_write_all(struct core *core)
{
    while (core->jobs.dirty) {
        struct job *job = core->jobs.dirty;
        core_check_write(core, record_live_put(core->store, &job->live), "live job");
        job->is_stored = true;
        written(core, job);
    }
}

/* What goes as it should is told when it has ended, and each step only to who looks for a fault. */
static enum log_level level_of(RmState state, const char *text)
{
    if (state == RM_STATE__FAILED || state == RM_STATE__DOUBT)
        return LOG_LEVEL_WARN;
    return job_is_final(state) || (text && *text != '\0') ? LOG_LEVEL_INFO : LOG_LEVEL_DEBUG;
}

static void note_move(struct core *core, const struct job *job, RmEventKind event, const char *who,
                      const char *text, bool locked)
{
    enum notice notice = locked                                ? NOTICE_GUEST_LOCKED
                         : job->live.state == RM_STATE__DOUBT  ? NOTICE_GUEST_IN_DOUBT
                         : job->live.state == RM_STATE__FAILED ? NOTICE_JOB_FAILED
                                                               : NOTICE_NONE;

    core_notice(core, notice, level_of(job->live.state, text),
                "job=%llu guest=%s state=%s attempt=%u host=%s: %s by %s%s%s",
                (unsigned long long)job->id, job->ask->guest, job_state_name(job->live.state),
                (unsigned)job->live.attempt, job->live.source, job_event_name(event), who,
                text && *text != '\0' ? ": " : "", text ? text : "");
}

/* ---- the turn */

/* The number is on disk before it is sent: whoever calls writes the record in this turn of the broker. */
static void give_turn(struct core *core, struct job *job, const struct session *session)
{
    assert(job->holder == 0 && job->free_at <= core->now);
    job->live.turn++;
    job->live.turn_by = session->instance;
    job->holder = session->id;
    job->free_at = 0;
}

/* Nobody has it any more; free_at: when whoever had it has lost his lease. */
static void end_turn(struct job *job, usec_t free_at)
{
    job->holder = 0;
    job->free_at = free_at;
    if (free_at == 0)
        job->live.turn_by = 0;
    job->letting_go = job->unheard = false;
}

void job_hold(struct core *core, struct job *job, const struct session *session)
{
    job->holder = session->id;
    job->free_at = 0;
    if (job->returning == session->id)
        job->returning = 0;
    if (job->live.state == RM_STATE__CANCELLING)
        job_remind(core, job, core->now);
}

void job_settle(struct core *core, struct job *job, const struct session *session)
{
    give_turn(core, job, session);
    write_live(core, job);
}

void job_settle_later(struct core *core, struct job *job, usec_t settle_in)
{
    job->settle_at = core->now + settle_in;
}

void job_give_back(struct core *core, struct job *job, const struct session *session)
{
    give_turn(core, job, session);
    job->returning = 0;
    job->unheard = true;
    job_remind(core, job, core->now);
    if (job->live.state == RM_STATE__DOUBT)
        job_go_on(core, job, session, "its worker is back and goes on with it");
    else
        job_note(core, job, session->peer.user, "its worker is back and goes on with it");
}

void job_heard(struct job *job)
{
    job->unheard = false;
}

void job_call_off(struct core *core, struct job *job)
{
    job->letting_go = true;
    job_remind(core, job, core->now);
}

void job_release(struct job *job, const char *who)
{
    text_set(&job->release_by, who);
}

void job_return(struct job *job, const struct session *session)
{
    job->returning = session ? session->id : 0;
}

/* ---- moves: what goes with one is set before it */

/* Wall time that has passed since then. */
static usec_t since(const struct core *core, uint64_t then)
{
    return core->wall > then ? core->wall - then : 0; /* clocks are set */
}

usec_t job_tried_for(const struct core *core, const struct job *job)
{
    const RmLive *live = &job->live;

    return live->tried_for + (job_is_active(live->state) ? since(core, live->started_at) : 0);
}

static void job_move(struct core *core, struct job *job, RmEventKind event, const char *who,
                     const char *text)
{
    RmState to = job_next(job->live.state, event);

    assert(to != RM_STATE__NO_STATE && !job_is_final(to));
    if (!job_is_active(to))
        job->live.tried_for = job_tried_for(core, job);
    set_state(core, job, to);
    if (!job_is_active(to)) {
        end_turn(job, 0);
        job->returning = 0;
    }
    if (to != RM_STATE__RUNNING && to != RM_STATE__CANCELLING)
        job->phase = "";
    if (to == RM_STATE__QUEUED || to == RM_STATE__ASSIGNED)
        rm_stats__init(&job->stats);
    if (text && (to == RM_STATE__WAITING || to == RM_STATE__DOUBT))
        text_set(&job->live.text, text);
    free(job->why);
    job->why = NULL;
    job->no_way_since = 0;
    write_event(core, job, event, who, text);
    write_live(core, job);
    show(core, job, CHANGE_JOB_MOVED);
    note_move(core, job, event, who, text, /* locked = */ false);
}

void job_assign(struct core *core, struct job *job, const struct session *holder, bool paused,
                usec_t answer_by)
{
    RmLive *live = &job->live;

    if (++live->attempt == 1)
        meter_observe(&core->meter, RM_MEASURE__MEASURE_WAIT, since(core, job->ask->submitted_at));
    else
        meter_count(&core->meter, METER_RETRIED);
    text_set(&live->fence, "");
    live->guest_paused = paused;
    live->had_definition = live->autostart = false;
    live->started_at = core->wall;
    job_remind(core, job, answer_by);
    give_turn(core, job, holder);
    job_move(core, job, RM_EVENT_KIND__ASSIGN, "broker", live->destination);
}

void job_accept(struct core *core, struct job *job, const struct session *by, uint64_t started_at,
                const char *text)
{
    job->live.started_at = started_at;
    job_move(core, job, RM_EVENT_KIND__ACCEPTED, by->peer.user, text);
}

void job_go_on(struct core *core, struct job *job, const struct session *by, const char *text)
{
    job_move(core, job, RM_EVENT_KIND__STILL_MIGRATING, by->peer.user, text);
    if (job->live.cancel_wanted) {
        job_remind(core, job, core->now);
        job_move(core, job, RM_EVENT_KIND__CANCEL, job->live.cancelled_by, NULL);
    }
}

void job_wait(struct core *core, struct job *job, RmEventKind event, usec_t until, const char *who,
              const char *text)
{
    job->ready_at = until;
    job->live.paused = until == USEC_NEVER;
    if (job->live.paused)
        job->live.not_before = 0;
    else
        job->live.not_before = core->wall + (until > core->now ? until - core->now : 0);
    job_move(core, job, event, who, text);
}

void job_queue(struct core *core, struct job *job, RmEventKind event, const char *who)
{
    job_move(core, job, event, who, NULL);
}

void job_doubt(struct core *core, struct job *job, const char *who, const char *text,
               usec_t settle_in, usec_t free_at)
{
    uint64_t had = job->live.turn_by;

    end_turn(job, free_at);
    job->settle_at = core->now + settle_in;
    if (job->settle_at < free_at)
        job->settle_at = free_at;
    if (job->live.state == RM_STATE__DOUBT && job->live.turn_by != had)
        write_live(core, job);
    if (job->live.state != RM_STATE__DOUBT)
        job_move(core, job, RM_EVENT_KIND__LOST, who, text);
}

void job_cancel(struct core *core, struct job *job, const char *who)
{
    job->live.cancel_wanted = true;
    text_set(&job->live.cancelled_by, who);
    if (job->live.state == RM_STATE__DOUBT) {
        job_note(core, job, who, "to be stopped as soon as it is known where the guest is");
        return;
    }
    job_remind(core, job, core->now);
    job_move(core, job, RM_EVENT_KIND__CANCEL, who, NULL);
}

/* ---- end */

/* The figures of its last try; NULL: there are none. */
static const RmStats *stats_of(const struct job *job, const RmReport *report)
{
    if (report && report->stats)
        return report->stats;
    /* The last that was heard of it. */
    return job->stats.base.descriptor && job->stats.elapsed_for ? &job->stats : NULL;
}

/* Before it moves: one that ends as done without a try, or whose guest was there already, took no time. */
static void count_end(struct core *core, const struct job *job, RmState to,
                      const struct job_end *end)
{
    static const enum meter_count ends[STATE_COUNT] = {[RM_STATE__DONE] = METER_DONE,
                                                       [RM_STATE__FAILED] = METER_FAILED,
                                                       [RM_STATE__CANCELLED] = METER_CANCELLED};
    const RmStats *stats = stats_of(job, end->report);
    struct meter *meter = &core->meter;

    meter_count(meter, ends[to]);
    if (to != RM_STATE__DONE || end->already || !job_is_active(job->live.state))
        return;
    meter_observe(meter, RM_MEASURE__MEASURE_MIGRATION, since(core, job->live.started_at));
    if (stats && stats->processed != 0)
        meter_observe(meter, RM_MEASURE__MEASURE_BYTES, stats->processed);
    if (stats && stats->measured_downtime)
        meter_observe(meter, RM_MEASURE__MEASURE_DOWNTIME, stats->downtime_for);
}

static void write_result(struct core *core, const struct job *job, const struct job_end *end)
{
    RmResult result = RM_RESULT__INIT;
    const RmReport *report = end->report;

    result.id = job->id;
    result.state = job->live.state;
    result.attempt = job->live.attempt;
    result.source = job->live.source;
    result.destination = job->live.destination;
    result.text = (char *)(end->text ? end->text : "");
    result.started_at = job->live.started_at;
    result.finished_at = core->wall;
    result.tried_for = job->live.tried_for;
    result.stats = (RmStats *)stats_of(job, report);
    result.fence = report && *report->fence != '\0' ? report->fence : job->live.fence;
    result.locked = end->locked;
    result.already = end->already;
    result.events = job->live.events;
    result.code = report ? report->code : 0;
    learned_add(core, job->ask, &result);
    int r = record_result_put(core->store, &result);
    if (r >= 0 && job->is_stored)
        r = record_live_delete(core->store, job->id);
    core_check_write(core, r, "result");
}

void job_finish(struct core *core, struct job *job, RmEventKind event, const char *who,
                const struct job_end *end)
{
    RmState to = job_next(job->live.state, event);
    struct host *place = end->place;
    struct guest *guest = job->guest;

    assert(job_is_final(to));
    count_end(core, job, to, end);
    job->live.tried_for = job_tried_for(core, job);
    if (to == RM_STATE__DONE && !place)
        place = job->destination;
    set_state(core, job, to);
    write_event(core, job, event, who, end->text);
    write_result(core, job, end);
    host_count_end(job->source, to);
    note_move(core, job, event, who, end->text, end->locked);
    /* The promise ends before the guest is shown at its new place, or it would be counted twice. */
    guest_drop(guest, job);
    job_set_destination(core, job, NULL);
    bool moved = place && place != job->source;
    if (moved)
        instance_moved(guest, job->source, place, job->live.guest_paused);
    if (moved && job->ask->evacuation)
        guest_goes_away(guest, job->source->rec->name, place->rec->name);
    guest_job_ended(core, guest, job->id, place ? place->rec->name : NULL, moved,
                    end->locked ? end->text : NULL);
    append(core, job, CHANGE_JOB_ENDED);
    batch_end(core, job->batch);
    job->batch = NULL;
    job_free(core, job);
}

/* ---- what moves nothing */

void job_remind(struct core *core, struct job *job, usec_t at)
{
    job->order_at = at;
    if (at < core->jobs.order_at)
        core->jobs.order_at = at;
}

void job_remind_none(struct core *core)
{
    core->jobs.order_at = USEC_NEVER;
}

bool job_learn(struct job *job, const RmReport *report)
{
    RmLive *live = &job->live;
    bool news = live->guest_paused != report->guest_paused ||
                live->had_definition != report->had_definition ||
                live->autostart != report->autostart || strcmp(live->fence, report->fence) != 0;

    if (*report->fence == '\0')
        return false;
    live->guest_paused = report->guest_paused;
    live->had_definition = report->had_definition;
    live->autostart = report->autostart;
    text_set(&live->fence, report->fence);
    return news;
}

void job_progress(struct core *core, struct job *job, const RmStats *stats, const char *phase)
{
    if (stats) { /* numbers alone; what a newer worker says besides belongs to its message */
        job->stats = *stats;
        job->stats.base.n_unknown_fields = 0;
        job->stats.base.unknown_fields = NULL;
    }
    job->phase = phase;
    show(core, job, CHANGE_JOB_SHOWN);
}

void job_note(struct core *core, struct job *job, const char *who, const char *text)
{
    write_event(core, job, RM_EVENT_KIND__NOTE, who, text);
    write_live(core, job);
}

void job_modify(struct core *core, struct job *job, const RmOptions *limits, uint32_t priority,
                const char *who, const char *text)
{
    bool queued = job->live.state == RM_STATE__QUEUED;
    RmJob *ask = job->ask;

    if (!ask->options) {
        ask->options = must(malloc(sizeof(*ask->options)));
        rm_options__init(ask->options);
    }
    if (limits->bandwidth != 0)
        ask->options->bandwidth = limits->bandwidth;
    if (limits->downtime_for != 0)
        ask->options->downtime_for = limits->downtime_for;
    if (limits->timeout_for != 0)
        ask->options->timeout_for = limits->timeout_for;
    if (limits->stall_for != 0)
        ask->options->stall_for = limits->stall_for;
    if (priority != 0 && priority != ask->priority) {
        if (queued)
            queue_remove(&job->source->queue, &job->queued);
        ask->priority = priority;
        queue_item_init(&job->queued, job, priority, job->id);
        if (queued)
            queue_insert(&job->source->queue, &job->queued);
    }
    core_check_write(core, record_job_put(core->store, ask), "job");
    job_note(core, job, who, text);
    show(core, job, CHANGE_JOB_MOVED);
}

void job_explain(struct core *core, struct job *job, const char *who, const char *text)
{
    if (strcmp(job->live.text, text) == 0)
        return;
    text_set(&job->live.text, text);
    job_note(core, job, who, text);
    show(core, job, CHANGE_JOB_SHOWN);
}

/* ---- begin */

struct job *job_submit(struct core *core, RmJob *ask, struct guest *guest, struct host *source,
                       struct host *destination, struct batch *batch)
{
    ask->previous = guest->rec->last_job;
    struct job *job = job_new(core, ask, guest, source, batch);
    core_check_write(core, record_job_put(core->store, ask), "job");
    set_state(core, job, RM_STATE__QUEUED);
    meter_count(&core->meter, METER_SUBMITTED);
    job_set_destination(core, job, destination);
    guest_job_begins(core, guest, ask->id);
    write_event(core, job, RM_EVENT_KIND__SUBMITTED, ask->submitter, ask->reason);
    write_live(core, job);
    show(core, job, CHANGE_JOB_MOVED);
    core_note(core, LOG_LEVEL_DEBUG, "job=%llu guest=%s host=%s destination=%s: submitted by %s",
              (unsigned long long)job->id, ask->guest, source->rec->name,
              destination ? destination->rec->name : "", ask->submitter);
    return job;
}

/* The timers are not in the store: what each state waits for starts again. */
static void restore_timers(struct core *core, struct job *job)
{
    const RmLive *live = &job->live;
    usec_t timeout = core->conf->session_timeout, wait = 0;

    switch (live->state) {
    case RM_STATE__WAITING:
        if (live->not_before > core->wall)
            wait = live->not_before - core->wall;
        /* A clock that was set back must not stop a job for years. */
        if (wait > CLOCK_BACK_SECONDS * USEC_PER_SEC)
            wait = CLOCK_BACK_SECONDS * USEC_PER_SEC;
        job->ready_at = live->paused ? USEC_NEVER : core->now + wait;
        break;
    case RM_STATE__DOUBT:
        job->settle_at = core->now + timeout;
        break;
    case RM_STATE__CANCELLING:
    case RM_STATE__ASSIGNED:
        job_remind(core, job, core->now + timeout);
        break;
    default:
        break;
    }
    /* Who has the turn, and since when he is silent, is not known. */
    if (job_is_active(live->state))
        job->free_at = core->now + timeout;
}

void job_restore(struct core *core, RmJob *ask, RmLive *live)
{
    struct guest *guest = guest_make(core, ask->guest);
    struct host *source = host_make(core, live->source);
    struct batch *batch = ask->batch != 0 ? batch_restore(core, ask->batch) : NULL;

    struct job *job = job_new(core, ask, guest, source, batch);
    live_done(&job->live);
    job->live = *live; /* its strings with it */
    job->is_stored = true;
    free(live);
    restore_timers(core, job);
    batch_move(job->batch, RM_STATE__NO_STATE, job->live.state);
    enter(core, job);
    if (*job->live.destination != '\0')
        job_set_destination(core, job, host_make(core, job->live.destination));
    show(core, job, CHANGE_JOB_MOVED);
}
