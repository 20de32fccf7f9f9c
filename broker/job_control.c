/* job_control.c - requests that change live jobs: cancel, pause, resume, retry, modify, release */
#include "broker/job_control.h"

#include "broker/again.h"
#include "broker/assignment.h"
#include "broker/batch.h"
#include "broker/doubt.h"
#include "broker/evacuation.h"
#include "broker/hold.h"
#include "broker/hold_control.h"
#include "broker/inventory.h"
#include "broker/job.h"
#include "broker/names.h"
#include "broker/platforms.h"
#include "broker/submit.h"
#include "conf/unit.h"
#include "store/record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* ---- a set of jobs */

typedef void select_f(struct core *core, struct request *request, struct job *job);

/* What became of a job, under its number. */
static void job_outcome(struct core *core, struct request *request, uint64_t id, bool ok,
                        const char *format, ...) __attribute__((format(printf, 5, 6)));
static void job_outcome(struct core *core, struct request *request, uint64_t id, bool ok,
                        const char *format, ...)
{
    const struct job *job = job_find(core, id);
    char name[32], text[RM_ERR_MAX];
    va_list args;

    snprintf(name, sizeof(name), "job %" PRIu64, id);
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    RmOutcome *outcome = request_outcome(core, request, name, ok, "%s", text);
    outcome->job = id;
    outcome->guest = job ? core_strdup(core, job->ask->guest) : (char *)"";
}

/* A job that is not live: what it is instead. */
static void not_live(struct core *core, struct request *request, uint64_t id)
{
    RmResult *result;

    if (record_result_get(core->store, id, core->arena, &result) == 0)
        job_outcome(core, request, id, false, "is already %s", job_state_name(result->state));
    else
        job_outcome(core, request, id, false, "no such job");
}

struct selected {
    RmSelect what; /* but for its batch */
    struct noderange guests;
    uint64_t *batches; /* that one, and those that try its jobs again; owned; NULL: any */
    size_t n_batches;
};

static bool is_selected(const struct selected *set, const struct job *job)
{
    bool is_of = !set->batches;

    for (size_t i = 0; i < set->n_batches && !is_of; i++)
        is_of = set->batches[i] == job->ask->batch;
    return is_of && request_selects(&set->what, &set->guests, job->ask, job->live.source,
                                    job->live.destination);
}

/* Calls f for each live job that was asked for. */
static void for_selected(struct core *core, struct request *request, const RmSelect *what,
                         select_f *f)
{
    struct selected set = {.what = *what};
    struct job *job, *next;
    size_t n = 0;

    if (what->n_jobs == 0 && what->batch == 0 && *what->guests == '\0' && *what->host == '\0' &&
        *what->to == '\0' && !what->all) {
        request_refuse(core, request, RM_CODE__CODE_USAGE,
                       "say which: a job, a batch, a noderange, a host, or all");
        return;
    }
    if (*what->guests != '\0' && !request_guests(core, request, what->guests, &set.guests))
        return;
    set.what.batch = 0;
    if (what->batch != 0)
        set.batches = batch_all(core, what->batch, &set.n_batches);
    for (size_t i = 0; i < what->n_jobs; i++, n++) {
        job = job_find(core, what->jobs[i]);
        if (!job)
            not_live(core, request, what->jobs[i]);
        else if (is_selected(&set, job))
            f(core, request, job);
    }
    if (what->n_jobs == 0) {
        HASH_ITER (hh, core->jobs.by_id, job, next) {
            if (is_selected(&set, job)) {
                f(core, request, job);
                n++;
            }
        }
    }
    noderange_done(&set.guests);
    free(set.batches);
    if (n == 0 && request->reply->n_outcomes == 0)
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no unfinished job matches");
}

/* As the history has it: who is asked for, and why. */
static void note_reason(struct core *core, struct request *request, struct job *job,
                        const char *what)
{
    const char *reason = request->message->cancel->reason; /* one union: all are a selection */

    if (*reason != '\0')
        job_note(core, job, request->peer->user, core_printf(core, "%s: %s", what, reason));
}

static void cancel(struct core *core, struct request *request, struct job *job)
{
    const char *who = request->peer->user;
    RmState state = job->live.state;
    char text[300];

    note_reason(core, request, job, "to be cancelled");
    if (state == RM_STATE__QUEUED || state == RM_STATE__WAITING) {
        job_outcome(core, request, job->id, true, "cancelled; %s stays on %s", job->ask->guest,
                    job->live.source);
        snprintf(text, sizeof(text), "cancelled by %s", who);
        job_finish(core, job, RM_EVENT_KIND__CANCEL, who, &(struct job_end){.text = text});
        return;
    }
    if (state != RM_STATE__CANCELLING)
        job_cancel(core, job, who);
    job_outcome(core, request, job->id, true, "is being stopped (%s)", job->ask->guest);
}

/* A relocation that is none of ours. */
static void cancel_foreign(struct core *core, struct request *request, struct guest *guest,
                           usec_t wait_for)
{
    const char *lead =
        platform_of(guest->rec->kind)->announce(core, RM_ASK_KIND__ASK_CANCEL, guest->rec);
    RmAssignment *about = core_alloc(core, sizeof(*about));
    const char *reason = request->message->cancel->reason;
    char why[600] = "";
    struct host *place = inventory_where(core, guest, why, sizeof(why));

    if (!place || !place->link.session) {
        request_outcome(core, request, guest->rec->name, false, "%s",
                        place ? "its host has no worker" : why);
        return;
    }
    rm_assignment__init(about);
    about->guest = guest->rec->name;
    about->uuid = guest->rec->uuid;
    about->domain = guest->rec->domain;
    about->host = place->rec->name;
    request_outcome(core, request, guest->rec->name, true, "%s Done", lead);
    core_event(core, RM_EVENT_KIND__CANCEL, request->peer->user, place->rec->name, guest->rec->name,
               "a relocation that no job began is to be stopped%s%s", *reason != '\0' ? ": " : "",
               reason);
    request_ask(core, request, place, RM_ASK_KIND__ASK_CANCEL, about, lead, wait_for);
}

/* A guest on its own: what moves it, whoever began that, is stopped. */
static void cancel_guest(struct core *core, struct request *request, const char *name)
{
    struct guest *guest = guest_find(core, name);

    if (guest && guest->job)
        cancel(core, request, guest->job);
    else if (guest && platform_of(guest->rec->kind)->cancels_foreign)
        cancel_foreign(core, request, guest, request->message->cancel->wait_for);
    else
        request_outcome(core, request, name, false, "no job moves it%s",
                        !guest ? names_remark(core, name) : "");
}

void job_control_cancel(struct core *core, struct request *request)
{
    const RmSelect *what = request->message->cancel;

    if (what->wait_for > 0 && *what->guests != '\0' && what->n_jobs == 0 && what->batch == 0 &&
        *what->host == '\0')
        request_each_guest(core, request, what->guests, cancel_guest);
    else
        for_selected(core, request, what, cancel);
    if ((what->batch != 0 || what->all) && what->n_jobs == 0 && *what->guests == '\0' &&
        *what->host == '\0' && *what->to == '\0')
        evacuation_cancel(core, request, what->batch);
}

/* ---- modify */

/* The limits of a relocation that runs. */
static void modify_relocation(struct core *core, struct request *request, struct job *job)
{
    const RmModify *modify = request->message->modify;
    const char *reason = modify->what->reason;
    const struct platform *platform = platform_of(job->ask->kind);
    struct host *source = job->source;

    if (!platform->has_limits) {
        job_outcome(core, request, job->id, false,
                    "moves %s, which is no guest of z/VM: only a relocation there has "
                    "max_total and max_quiesce",
                    job->ask->guest);
        return;
    }
    if (job->live.state != RM_STATE__RUNNING || !source->link.session) {
        job_outcome(core, request, job->id, false,
                    "is %s: only the limits of a relocation that runs can be changed",
                    job_state_name(job->live.state));
        return;
    }
    const char *lead = platform->announce(core, RM_ASK_KIND__ASK_MODIFY, job->guest->rec);
    RmRelocation *limits = core_alloc(core, sizeof(*limits));
    RmOptions *options = core_alloc(core, sizeof(*options));
    RmAssignment *about = assignment_of(core, job);
    rm_relocation__init(limits);
    limits->max_total = modify->max_total;
    limits->max_quiesce = modify->max_quiesce;
    rm_options__init(options);
    options->relocation = limits;
    about->options = options;
    request_outcome(core, request, job->ask->guest, true, "%s Done", lead)->job = job->id;
    request_ask(core, request, source, RM_ASK_KIND__ASK_MODIFY, about, lead, modify->wait_for);
    job_note(core, job, request->peer->user,
             core_printf(core, "new limits:%s%s%s%s%s%s",
                         *modify->max_total != '\0' ? " max_total=" : "", modify->max_total,
                         *modify->max_quiesce != '\0' ? " max_quiesce=" : "", modify->max_quiesce,
                         *reason != '\0' ? ": " : "", reason));
}

/* What is to be changed. */
struct change {
    RmOptions limits; /* of the migration; 0: as it is */
    bool has_limits;
    uint32_t priority; /* the same */
};

static struct change change_of(const RmModify *modify)
{
    struct change change = {.limits = RM_OPTIONS__INIT, .priority = modify->priority};
    const RmOptions *options = modify->options;

    if (options) {
        change.limits.bandwidth = options->bandwidth;
        change.limits.downtime_for = options->downtime_for;
        change.limits.timeout_for = options->timeout_for;
        change.limits.stall_for = options->stall_for;
        change.has_limits = options->bandwidth != 0 || options->downtime_for != 0 ||
                            options->timeout_for != 0 || options->stall_for != 0;
    }
    return change;
}

static const char *count_text(uint64_t count, char text[static UNIT_TEXT_MAX])
{
    snprintf(text, UNIT_TEXT_MAX, "%" PRIu64, count);
    return text;
}

/* "timeout from 20 min to 1 h, priority from 100 to 5": what will be another one than it is; "": nothing. */
static const char *change_text(struct core *core, const struct job *job,
                               const struct change *change)
{
    RmOptions has;

    assignment_options(core, job, &has);
    const RmOptions *to = &change->limits;
    const struct {
        const char *name;
        uint64_t from, to;
        const char *(*text)(uint64_t value, char text[static UNIT_TEXT_MAX]);
    } values[] = {
        {"bandwidth", has.bandwidth, to->bandwidth, unit_rate_text},
        {"downtime", has.downtime_for, to->downtime_for, unit_duration_text},
        {"timeout", has.timeout_for, to->timeout_for, unit_duration_text},
        {"stall", has.stall_for, to->stall_for, unit_duration_text},
        {"priority", job->ask->priority, change->priority, count_text},
    };
    const char *text = "";

    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char a[UNIT_TEXT_MAX] = "unset", b[UNIT_TEXT_MAX];
        if (values[i].to == 0 || values[i].to == values[i].from)
            continue;
        if (values[i].from != 0)
            values[i].text(values[i].from, a);
        text = core_printf(core, "%s%s%s from %s to %s", text, *text != '\0' ? ", " : "",
                           values[i].name, a, values[i].text(values[i].to, b));
    }
    return text;
}

/* How a job stands that cannot be changed, and what to do; NULL: it can. */
static const char *unchangeable(const struct job *job)
{
    switch (job->live.state) {
    case RM_STATE__ASSIGNED:
        return "is about to be begun by its worker: try again in a moment";
    case RM_STATE__DOUBT:
        return "is in doubt: try again when it is known where the guest is";
    case RM_STATE__CANCELLING:
        return "is being stopped: then retry submits it again, and that job can be changed";
    case RM_STATE__RUNNING:
        return job->source->link.session
                   ? NULL
                   : "runs, but its worker is away: try again when it is back";
    default:
        return NULL;
    }
}

static void modify_job(struct core *core, struct request *request, struct job *job)
{
    const RmModify *modify = request->message->modify;
    struct change change = change_of(modify);
    const char *guest = job->ask->guest, *reason = modify->what->reason;
    const char *why = unchangeable(job);
    bool runs = job->live.state == RM_STATE__RUNNING;

    if (change.has_limits && platform_of(job->ask->kind)->has_limits) {
        job_outcome(core, request, job->id, false,
                    "moves %s, which is a guest of z/VM: it has max_total and max_quiesce instead "
                    "of bandwidth, downtime, timeout and stall",
                    guest);
        return;
    }
    if (why) {
        job_outcome(core, request, job->id, false, "%s", why);
        return;
    }
    const char *what = change_text(core, job, &change);
    if (*what != '\0')
        job_modify(core, job, &change.limits, change.priority, request->peer->user,
                   core_printf(core, "%s%s%s", what, *reason != '\0' ? ": " : "", reason));
    job_outcome(
        core, request, job->id, true, "%s (%s)%s", *what != '\0' ? what : "is so already", guest,
        runs && change.priority != 0 ? "; it runs, and its priority counts for a later try" : "");
    if (!runs || !change.has_limits)
        return;
    RmAssignment *about = assignment_of(core, job);
    about->options = core_alloc(core, sizeof(*about->options));
    *about->options = change.limits;
    request_ask(core, request, job->source, RM_ASK_KIND__ASK_MODIFY, about,
                core_printf(core, "%s for a later try (%s), not confirmed for the one that runs.",
                            *what != '\0' ? what : "is so", guest),
                modify->wait_for);
}

void job_control_modify(struct core *core, struct request *request)
{
    const RmModify *modify = request->message->modify;
    static const RmSelect none = RM_SELECT__INIT;
    struct change change = change_of(modify);
    bool relocation = *modify->max_total != '\0' || *modify->max_quiesce != '\0';
    bool job = change.has_limits || change.priority != 0;

    if (relocation == job)
        request_refuse(core, request, RM_CODE__CODE_USAGE,
                       "say what is to be changed: bandwidth, downtime, timeout, stall and "
                       "priority, or max_total and max_quiesce of z/VM");
    else
        for_selected(core, request, modify->what ? modify->what : &none,
                     relocation ? modify_relocation : modify_job);
}

/* Not named by its number: that it runs is worth a word, and no failure. */
static bool is_of_set(const struct request *request)
{
    return request->message->pause->n_jobs == 0; /* one union: all are a selection */
}

static void pause_one(struct core *core, struct request *request, struct job *job)
{
    const char *reason = request->message->pause->reason;
    const char *text = core_printf(core, "paused by %s%s%s", request->peer->user,
                                   *reason != '\0' ? ": " : "", reason);

    if (job->live.state != RM_STATE__QUEUED && job->live.state != RM_STATE__WAITING) {
        job_outcome(core, request, job->id, is_of_set(request),
                    "is %s: only a job that waits can be paused", job_state_name(job->live.state));
        return;
    }
    job_wait(core, job, RM_EVENT_KIND__PAUSE, USEC_NEVER, request->peer->user, text);
    job_outcome(core, request, job->id, true, "paused (%s)", job->ask->guest);
}

void job_control_pause(struct core *core, struct request *request)
{
    if (hold_control_is_meant(request->message->pause))
        hold_control_pause(core, request, request->message->pause);
    else
        for_selected(core, request, request->message->pause, pause_one);
}

static void resume_one(struct core *core, struct request *request, struct job *job)
{
    char why[600];

    if (job->live.state == RM_STATE__QUEUED && hold_keeps(core, job->source, why, sizeof(why))) {
        job_outcome(core, request, job->id, is_of_set(request), "is %s", why);
        return;
    }
    if (job->live.state != RM_STATE__WAITING) {
        job_outcome(core, request, job->id, is_of_set(request), "is not paused but %s",
                    job_state_name(job->live.state));
        return;
    }
    note_reason(core, request, job, "resumed");
    job_queue(core, job, RM_EVENT_KIND__RESUME, request->peer->user);
    job_outcome(core, request, job->id, true, "queued again (%s)", job->ask->guest);
}

void job_control_resume(struct core *core, struct request *request)
{
    const RmSelect *what = request->message->resume;

    if (!hold_control_is_meant(what) || !hold_control_resume(core, request, what))
        for_selected(core, request, what, resume_one);
}

/* ---- retry: a waiting job now, an ended one again */

/* A retry makes one batch for each whose jobs it tries again: they may have little to do with one another. */
struct retried {
    uint64_t first, batch;
    UT_hash_handle hh;
};

/* One request on its way. */
struct retry {
    struct core *core;
    struct request *request;
    struct retried *batches; /* uthash by first; in core->arena */
};

static struct retried *retried_of(struct retry *retry, uint64_t first)
{
    struct retried *one;

    HASH_FIND(hh, retry->batches, &first, sizeof(first), one);
    if (!one) {
        one = core_alloc(retry->core, sizeof(*one));
        *one = (struct retried){.first = first};
        HASH_ADD(hh, retry->batches, first, sizeof(one->first), one);
    }
    return one;
}

static void try_again(struct retry *retry, const RmJob *old)
{
    struct core *core = retry->core;
    struct request *request = retry->request;
    struct retried *batch = retried_of(retry, again_first(old));

    if (!evacuation_has_room(core, old)) {
        job_outcome(core, request, old->id, false,
                    "too many commands wait for the end of the evacuation of %s already: rmigrate "
                    "retry %" PRIu64 " when it is over",
                    old->source, old->id);
        return;
    }
    submit_again(core, request, old, batch->batch);
    const struct guest *guest = guest_find(core, old->guest);
    const struct job *job = guest ? guest->job : NULL;
    bool is_new = job && job->ask->again_of == old->id;
    batch->batch = is_new ? job->ask->batch : batch->batch;
    evacuation_again(core, old, is_new ? batch->batch : 0, request->peer->user);
}

static void retry_ended(struct retry *retry, uint64_t id)
{
    struct core *core = retry->core;
    struct request *request = retry->request;
    RmResult *result;
    RmJob *job;

    if (record_result_get(core->store, id, core->arena, &result) < 0 ||
        record_job_get(core->store, id, core->arena, &job) < 0)
        job_outcome(core, request, id, false, "no such job");
    else if (result->state == RM_STATE__DONE)
        job_outcome(core, request, id, false, "is done");
    else if (result->again != 0)
        job_outcome(core, request, id, false, "job %" PRIu64 " of batch %" PRIu64 " tries again",
                    result->again, result->again_batch);
    else
        try_again(retry, job);
}

/* Of a batch only what can be tried again; the others are not mentioned. Whoever was tried again already is the last one
 * of those that did. */
static void retry_if_ended(struct retry *retry, uint64_t of_batch)
{
    struct core *core = retry->core;
    uint64_t id = again_newest(core, of_batch);
    struct job *job = job_find(core, id);
    RmResult *result;

    if (job && job->live.state == RM_STATE__WAITING)
        resume_one(core, retry->request, job);
    else if (!job && record_result_get(core->store, id, core->arena, &result) == 0 &&
             result->state != RM_STATE__DONE && !result->settled)
        retry_ended(retry, id);
}

/* Of a batch that tries again: what its evacuation has found besides. */
static bool is_found(struct core *core, uint64_t id)
{
    RmJob *job;

    return record_job_get(core->store, id, core->arena, &job) == 0 && job->again_of == 0;
}

static void retry_batch(struct retry *retry, uint64_t id)
{
    struct core *core = retry->core;
    RmBatch *batch;
    size_t n;

    if (record_batch_get(core->store, id, core->arena, &batch) < 0) {
        request_refuse(core, retry->request, RM_CODE__CODE_SOME_FAILED, "no such batch: %" PRIu64,
                       id);
        return;
    }
    uint64_t *all = batch_all(core, id, &n);
    for (size_t b = 0; b < n; b++) {
        if (record_batch_get(core->store, all[b], core->arena, &batch) < 0 ||
            (all[b] != id && batch->n_evacuate == 0))
            continue;
        for (size_t i = 0; i < batch->n_jobs; i++)
            for (uint64_t j = 0; j < batch->jobs[i]->count; j++)
                if (all[b] == id || is_found(core, batch->jobs[i]->first + j))
                    retry_if_ended(retry, batch->jobs[i]->first + j);
    }
    free(all);
}

/* Is the guest of that job still to be shown by a worker that is on its way? */
static void hold_for(struct core *core, struct request *request, uint64_t id)
{
    RmJob *job;

    if (!request->held && !job_find(core, id) &&
        record_job_get(core->store, id, core->arena, &job) == 0 &&
        submission_must_wait(core, job->guest))
        request_hold(request);
}

static bool must_wait(struct core *core, struct request *request, const RmSelect *what)
{
    RmBatch *batch;

    for (size_t i = 0; i < what->n_jobs; i++)
        hold_for(core, request, what->jobs[i]);
    if (what->n_jobs == 0 && what->batch != 0 &&
        record_batch_get(core->store, what->batch, core->arena, &batch) == 0)
        for (size_t i = 0; i < batch->n_jobs; i++)
            for (uint64_t j = 0; j < batch->jobs[i]->count; j++)
                hold_for(core, request, batch->jobs[i]->first + j);
    return request->held;
}

void job_control_retry(struct core *core, struct request *request)
{
    const RmSelect *what = request->message->retry;
    struct retry retry = {core, request, NULL};

    if (must_wait(core, request, what))
        return;
    for (size_t i = 0; i < what->n_jobs; i++) {
        struct job *job = job_find(core, what->jobs[i]);
        if (job)
            resume_one(core, request, job);
        else
            retry_ended(&retry, what->jobs[i]);
    }
    if (what->n_jobs == 0 && what->batch != 0)
        retry_batch(&retry, what->batch);
    else if (what->n_jobs == 0)
        for_selected(core, request, what, resume_one);
    HASH_CLEAR(hh, retry.batches);
}

/* ---- release */

static void release(struct core *core, struct request *request, const char *name)
{
    const RmSelect *what = request->message->release;
    const char *who = request->peer->user;
    struct guest *guest = guest_find(core, name);
    bool doubt = guest && guest->job && guest->job->live.state == RM_STATE__DOUBT;
    bool was = guest && (doubt || guest->rec->locked);
    bool over = !doubt || doubt_release(core, guest->job, who);

    if (guest && guest->rec->locked)
        guest_unlock(core, guest);
    if (was)
        core_event(core, RM_EVENT_KIND__RELEASED, who, NULL, name, "released%s%s",
                   *what->reason != '\0' ? ": " : "", what->reason);
    request_outcome(
        core, request, name, was || guest, "%s",
        was     ? over ? "released"
                       : "is released as soon as the worker that looks for it has let go of it"
        : guest ? "is not locked"
                : "no hypervisor has reported it");
}

void job_control_release(struct core *core, struct request *request)
{
    request_each_guest(core, request, request->message->release->guests, release);
}
