/* job_view.c - one job in words and as JSON */
#include "submit/job_view.h"

#include "conf/unit.h"
#include "conf/word.h"
#include "submit/zvm_view.h"
#include "wire/job.h"

#include <inttypes.h>
#include <string.h>

/* ---- what differs between kinds of guests */

struct kind {
    const char *name; /* as the tables call it */
    const char *(*done)(struct arena *arena, const RmJobView *view);
    /* text: why */
    const char *(*failed)(struct arena *arena, const RmJobView *view, const char *text);
    const char *(*stopped)(struct arena *arena, const RmJobView *view);
    const char *(*not_stopped)(struct arena *arena, const RmJobView *view, const char *text);
    const char *(*identity)(struct arena *arena, const RmJob *job);
};

static const char *kvm_done(struct arena *arena, const RmJobView *view)
{
    return arena_printf(arena, "migrated to %s", view->destination);
}

static const char *kvm_failed(struct arena *arena, const RmJobView *view, const char *text)
{
    if (strncmp(text, "Failed migration of ", 20) == 0)
        return text;
    return arena_printf(arena, "Failed migration of %s from %s to %s: %s", view->job->guest,
                        view->source, view->destination, text);
}

static const char *cancelled(struct arena *arena, const RmJobView *view)
{
    const char *text = view->text[0] ? view->text : "cancelled";
    const char *mark = strncmp(text, "cancelled", 9) == 0 ? "" : "cancelled: ";
    return arena_printf(arena, "%s%s, the guest stays on %s", mark, text, view->source);
}

static const char *kvm_not_stopped(struct arena *arena, const RmJobView *view, const char *text)
{
    (void)arena;
    (void)view;
    return text;
}

static const char *kvm_identity(struct arena *arena, const RmJob *job)
{
    return arena_printf(arena, "uuid %s", job->uuid);
}

static const struct kind kinds[] = {
    [RM_KIND__KIND_LIBVIRT] = {"kvm", kvm_done, kvm_failed, cancelled, kvm_not_stopped,
                               kvm_identity},
    [RM_KIND__KIND_ZVM] = {"zvm", zvm_done, zvm_failed, zvm_stopped, zvm_not_stopped, zvm_identity},
};

static const struct kind *kind_of(RmKind kind)
{
    return &kinds[(size_t)kind < sizeof(kinds) / sizeof(kinds[0]) ? kind : RM_KIND__KIND_LIBVIRT];
}

const char *view_kind(RmKind kind)
{
    return kind_of(kind)->name;
}

const char *view_identity(struct arena *arena, const RmJob *job)
{
    const char *text = kind_of(job->kind)->identity(arena, job);
    return text ? text : "?";
}

/* ---- how a job ended */

bool view_is_good(const RmJobView *view)
{
    return view->state == RM_STATE__DONE;
}

static const char *failure(struct arena *arena, const RmJobView *view)
{
    const char *line = view->text[0] ? view->text : "no reason was given";
    if (view->destination[0])
        line = kind_of(view->job->kind)->failed(arena, view, line);
    if (!line || !view->locked)
        return line;
    return arena_printf(arena,
                        "%s\nit is not certain where it runs, and it is locked: check, then run "
                        "rmigrate release %s",
                        line, view->job->guest);
}

/* " (4.2 s, downtime 38 ms, 118 MiB sent)", or only how long it took where no size is known. A guest that was slowed
 * down has noticed more than its downtime. */
static const char *with_figures(struct arena *arena, const RmJobView *view, const char *text)
{
    const RmStats *s = view->stats;
    char span[UNIT_TEXT_MAX], pause[UNIT_TEXT_MAX], size[UNIT_TEXT_MAX];
    if (!text || !s || s->elapsed_for == 0)
        return text;
    unit_duration_text(s->elapsed_for, span);
    if (s->total == 0)
        return arena_printf(arena, "%s (%s)", text, span);
    const char *slow =
        s->throttle ? arena_printf(arena, ", slowed down by up to %" PRIu32 " %%", s->throttle)
                    : "";
    return arena_printf(arena, "%s (%s, downtime %s%s, %s sent)", text, span,
                        s->downtime_for && s->measured_downtime
                            ? unit_duration_text(s->downtime_for, pause)
                            : "unknown",
                        slow, unit_size_text(s->processed, size));
}

const char *view_result(struct arena *arena, const RmJobView *view, bool figures)
{
    if (view->state == RM_STATE__FAILED)
        return failure(arena, view);
    if (view->state == RM_STATE__CANCELLED)
        return cancelled(arena, view);
    if (view->already)
        return arena_printf(arena, "Guest is already on host %s", view->destination);
    const char *text = kind_of(view->job->kind)->done(arena, view);
    return figures ? with_figures(arena, view, text) : text;
}

const char *view_stopped(struct arena *arena, const RmJobView *view)
{
    const struct kind *kind = kind_of(view->job->kind);
    if (view->state == RM_STATE__CANCELLED)
        return kind->stopped(arena, view);
    const char *text = view->text;
    if (view->state == RM_STATE__DONE)
        text = arena_printf(arena, "the guest had already arrived at %s", view->destination);
    return kind->not_stopped(arena, view, text ? text : "");
}

/* ---- parts of it */

const char *view_destination(struct arena *arena, const RmJobView *view, bool whole)
{
    if (view->destination[0])
        return view->destination;
    if (view->job->n_to == 0)
        return "any";
    if (view->job->n_to > VIEW_TO_MAX && !whole) {
        const char *text = arena_printf(arena, "any of %zu", view->job->n_to);
        return text ? text : "?";
    }
    return listing_join(arena, view->job->to, view->job->n_to);
}

int view_percent(const RmStats *stats)
{
    if (!stats || stats->total == 0 || stats->remaining > stats->total)
        return -1;
    int percent = (int)((double)(stats->total - stats->remaining) * 100 / (double)stats->total);
    return percent > 99 ? 99 : percent; /* the last one is the hand-over */
}

usec_t view_left_for(const RmStats *stats)
{
    if (!stats || stats->remaining == 0 || stats->rate <= stats->dirty_rate)
        return 0;
    double seconds = (double)stats->remaining / (double)(stats->rate - stats->dirty_rate);
    return seconds < 1e6 ? (usec_t)(seconds * (double)USEC_PER_SEC) : 0;
}

void view_put_state(struct cell *cell, const void *record)
{
    RmState state = ((const RmJobView *)record)->state;
    cell_tone(cell, job_state_name(state),
              state == RM_STATE__DONE                                     ? TONE_GOOD
              : state == RM_STATE__FAILED || state == RM_STATE__CANCELLED ? TONE_BAD
              : state == RM_STATE__DOUBT                                  ? TONE_ODD
                                                                          : TONE_PLAIN);
}

void view_put_kind(struct cell *cell, const void *record)
{
    cell_text(cell, view_kind(((const RmJobView *)record)->job->kind));
}

void view_put_event(struct cell *cell, const void *record)
{
    cell_text(cell, job_event_name(((const RmEvent *)record)->kind));
}

void view_put_event_state(struct cell *cell, const void *record)
{
    const RmEvent *event = record;
    cell_text(cell, event->state ? job_state_name(event->state) : "");
}

/* While a migration runs, its downtime is only expected. */
static usec_t downtime(const RmJobView *view, bool measured)
{
    bool may = measured || !job_is_final(view->state);
    return view->stats && may && view->stats->measured_downtime == measured
               ? view->stats->downtime_for
               : 0;
}

void view_put_downtime(struct cell *cell, const void *record)
{
    cell_span(cell, downtime(record, true));
}

static void put_expected(struct cell *cell, const void *record)
{
    cell_span(cell, downtime(record, false));
}

const char *view_fence_mode(const RmOptions *options)
{
    if (!options || options->fence == 0)
        return "";
    return options->fence == 1 + FENCE_NEVER ? "never" : "always"; /* auto is an old word for it */
}

static void put_fence_mode(struct cell *cell, const void *record)
{
    cell_text(cell, view_fence_mode(((const RmJobView *)record)->options));
}

/* Operands of z/VM. */
#define PUT_OPERAND(field)                                                                         \
    static void put_##field(struct cell *cell, const void *record)                                 \
    {                                                                                              \
        const RmOptions *options = ((const RmJobView *)record)->options;                           \
        cell_text(cell, options && options->relocation ? options->relocation->field : "");         \
    }
PUT_OPERAND(force)
PUT_OPERAND(immediate)
PUT_OPERAND(max_total)
PUT_OPERAND(max_quiesce)

/* Where it may go, as it was asked for. */
static void put_to(struct cell *cell, const void *record)
{
    const RmJob *job = ((const RmJobView *)record)->job;
    if (job->n_to > VIEW_TO_MAX)
        cell_text(cell, "");
    else
        cell_texts(cell, job->to, job->n_to);
}

static void put_to_count(struct cell *cell, const void *record)
{
    cell_count(cell, ((const RmJobView *)record)->job->n_to);
}

#define VIEW(field)   FIELD(RmJobView, field)
#define JOB(field)    FIELD_INSIDE(RmJobView, job, RmJob, field)
#define STATS(field)  FIELD_INSIDE(RmJobView, stats, RmStats, field)
#define OPTION(field) FIELD_INSIDE(RmJobView, options, RmOptions, field)

const struct column view_columns[] = {
    {NULL, "job", JOB(id), SHOW_ANY},
    {NULL, "batch", JOB(batch), SHOW_ANY},
    {NULL, "guest", JOB(guest)},
    {NULL, "kind", PUT(view_put_kind)},
    {NULL, "uuid", JOB(uuid)},
    {NULL, "state", PUT(view_put_state)},
    {NULL, "phase", VIEW(phase)},
    {NULL, "paused", VIEW(paused)},
    {NULL, "held", VIEW(held)},
    {NULL, "source", VIEW(source)},
    {NULL, "destination", VIEW(destination)},
    {NULL, "to", PUT(put_to)},
    {NULL, "to_count", PUT(put_to_count)},
    {NULL, "why", VIEW(text)},
    {NULL, "already", VIEW(already)},
    {NULL, "locked", VIEW(locked)},
    {NULL, "evacuation", JOB(evacuation)},
    {NULL, "room_for", JOB(room_for)},
    {NULL, "again_of", JOB(again_of), SHOW_ANY},
    {NULL, "again", VIEW(again), SHOW_ANY},
    {NULL, "again_batch", VIEW(again_batch), SHOW_ANY},
    {NULL, "attempt", VIEW(attempt)},
    {NULL, "priority", JOB(priority)},
    {NULL, "fence", VIEW(fence)},
    {NULL, "by", JOB(submitter)},
    {NULL, "reason", JOB(reason)},
    {NULL, "submitted_at", JOB(submitted_at), SHOW_TIME},
    {NULL, "started_at", VIEW(started_at), SHOW_TIME},
    {NULL, "finished_at", VIEW(finished_at), SHOW_TIME},
    {NULL, "elapsed", STATS(elapsed_for), SHOW_SPAN},
    {NULL, "elapsed_all", VIEW(tried_for), SHOW_SPAN},
    {NULL, "downtime", PUT(view_put_downtime)},
    {NULL, "downtime_expected", PUT(put_expected)},
    {NULL, "total", STATS(total)},
    {NULL, "processed", STATS(processed)},
    {NULL, "remaining", STATS(remaining)},
    {NULL, "rate", STATS(rate)},
    {NULL, "dirty_rate", STATS(dirty_rate)},
    {NULL, "iterations", STATS(iterations)},
    {NULL, "throttle", STATS(throttle)},
    {NULL, "bandwidth_limit", OPTION(bandwidth), SHOW_ANY},
    {NULL, "downtime_limit", OPTION(downtime_for), SHOW_SPAN},
    {NULL, "timeout", OPTION(timeout_for), SHOW_SPAN},
    {NULL, "stall", OPTION(stall_for), SHOW_SPAN},
    {NULL, "attempts", OPTION(attempts), SHOW_ANY},
    {NULL, "auto_converge", OPTION(auto_converge)},
    {NULL, "unsafe", OPTION(unsafe)},
    {NULL, "anywhere", OPTION(anywhere)},
    {NULL, "ignore_rules", OPTION(ignore_rules)},
    {NULL, "fence_mode", PUT(put_fence_mode)},
    {NULL, "force", PUT(put_force)},
    {NULL, "immediate", PUT(put_immediate)},
    {NULL, "max_total", PUT(put_max_total)},
    {NULL, "max_quiesce", PUT(put_max_quiesce)},
    {0},
};

#define EVENT(field) FIELD(RmEvent, field)

const struct column view_event_columns[] = {
    {NULL, "at", EVENT(at), SHOW_TIME},
    {NULL, "event", PUT(view_put_event)},
    {NULL, "state", PUT(view_put_event_state)},
    {NULL, "by", EVENT(who)},
    {NULL, "host", EVENT(host)},
    {NULL, "guest", EVENT(guest)},
    {NULL, "text", EVENT(text)},
    {0},
};

void view_whole(struct json *json, const RmReply *reply)
{
    const RmJobView *view = reply->jobs[0];
    listing_fields(json, view_columns, NULL, view);
    json_open(json, "to_all", '[');
    for (size_t i = 0; i < view->job->n_to; i++)
        json_text(json, NULL, view->job->to[i]);
    json_close(json, ']');
    json_open(json, "events", '[');
    for (size_t i = 0; i < reply->n_events; i++) {
        json_open(json, NULL, '{');
        listing_fields(json, view_event_columns, NULL, reply->events[i]);
        json_close(json, '}');
    }
    json_close(json, ']');
}
