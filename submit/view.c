/* view.c - one job in words and as JSON */
#include "submit/view.h"

#include "conf/service.h"
#include "conf/unit.h"
#include "submit/out.h"
#include "wire/job.h"

#include <string.h>

bool view_is_good(const RmJobView *view)
{
    return view->state == RM_STATE__DONE;
}

const char *view_kind(RmKind kind)
{
    return kind == RM_KIND__KIND_ZVM ? "zvm" : "kvm";
}

static const char *action_of(const RmJob *job)
{
    const RmRelocation *asked = job->options ? job->options->relocation : NULL;
    return asked && asked->action[0] ? asked->action : "MOVE";
}

/* "Running VMRELOCATE action=MOVE against LNX3...", as xCAT's scripts know it. */
static const char *relocation(struct arena *arena, const RmJob *job, const char *action)
{
    char *user = arena_strdup(arena, job->domain[0] ? job->domain : job->guest);
    for (char *p = user; p && *p; p++)
        if (!job->domain[0] && *p >= 'a' && *p <= 'z')
            *p = (char)(*p - 'a' + 'A');
    return arena_printf(arena, "Running VMRELOCATE action=%s against %s...", action,
                        user ? user : "?");
}

static const char *failure(struct arena *arena, const RmJobView *view)
{
    const char *text = view->text[0] ? view->text : "no reason was given";
    const char *guest = view->job->guest;
    char *line;
    if (view->job->kind == RM_KIND__KIND_ZVM && view->destination[0])
        line = arena_printf(arena, "%s Failed: %s",
                            relocation(arena, view->job, action_of(view->job)), text);
    else if (view->destination[0] && strncmp(text, "Failed migration of ", 20) != 0)
        line = arena_printf(arena, "Failed migration of %s from %s to %s: %s", guest, view->source,
                            view->destination, text);
    else
        line = arena_printf(arena, "%s", text);
    if (!line || !view->locked)
        return line;
    return arena_printf(arena,
                        "%s\nwhere it runs is not certain and it is locked: look, then "
                        "rmigrate release %s",
                        line, guest);
}

static const char *cancelled(struct arena *arena, const RmJobView *view)
{
    const char *text = view->text[0] ? view->text : "cancelled";
    const char *mark = strncmp(text, "cancelled", 9) == 0 ? "" : "cancelled: ";
    return arena_printf(arena, "%s%s, the guest stays on %s", mark, text, view->source);
}

/* " (4.2 s, downtime 38 ms, 118 MiB sent)"; z/VM tells only how long it took. */
static const char *with_figures(struct arena *arena, const RmJobView *view, const char *text)
{
    const RmStats *s = view->stats;
    char span[UNIT_TEXT_MAX], pause[UNIT_TEXT_MAX], size[UNIT_TEXT_MAX];
    if (!text || !s || s->elapsed_for == 0)
        return text;
    unit_duration_text(s->elapsed_for, span);
    if (view->job->kind == RM_KIND__KIND_ZVM && s->total == 0)
        return arena_printf(arena, "%s (%s)", text, span);
    return arena_printf(arena, "%s (%s, downtime %s, %s sent)", text, span,
                        s->downtime_for ? unit_duration_text(s->downtime_for, pause) : "unknown",
                        unit_size_text(s->processed, size));
}

const char *view_result(struct arena *arena, const RmJobView *view, bool figures)
{
    if (view->state == RM_STATE__FAILED)
        return failure(arena, view);
    if (view->state == RM_STATE__CANCELLED)
        return cancelled(arena, view);
    if (view->already)
        return arena_printf(arena, "Guest is already on host %s", view->destination);
    const char *text =
        view->job->kind == RM_KIND__KIND_ZVM
            ? arena_printf(arena, "%s Done", relocation(arena, view->job, action_of(view->job)))
            : arena_printf(arena, "migrated to %s", view->destination);
    return figures ? with_figures(arena, view, text) : text;
}

const char *view_stopped(struct arena *arena, const RmJobView *view)
{
    bool zvm = view->job->kind == RM_KIND__KIND_ZVM;
    const char *lead = zvm ? relocation(arena, view->job, "CANCEL") : "";
    if (view->state == RM_STATE__CANCELLED)
        return zvm ? arena_printf(arena, "%s Done", lead) : cancelled(arena, view);
    const char *text = view->state == RM_STATE__DONE
                           ? arena_printf(arena, "the guest was at %s before", view->destination)
                           : view->text;
    return arena_printf(arena, "%s%s%s", lead ? lead : "", zvm ? " Failed: " : "",
                        text ? text : "");
}

const char *view_destination(struct arena *arena, const RmJobView *view)
{
    if (view->destination[0])
        return view->destination;
    if (view->job->n_to == 0)
        return "any";
    const char *list = view->job->to[0];
    for (size_t i = 1; i < view->job->n_to && list; i++)
        list = arena_printf(arena, "%s,%s", list, view->job->to[i]);
    return list ? list : "?";
}

int view_percent(const RmStats *stats)
{
    if (!stats || stats->total == 0 || stats->remaining > stats->total)
        return -1;
    int percent = (int)((double)(stats->total - stats->remaining) * 100 / (double)stats->total);
    return percent > 99 ? 99 : percent; /* the last one is the hand-over */
}

void view_json(struct json *json, const RmJobView *view)
{
    const RmJob *job = view->job;
    json_number(json, "job", job->id);
    json_number(json, "batch", job->batch);
    json_text(json, "guest", job->guest);
    json_text(json, "kind", view_kind(job->kind));
    json_text(json, "uuid", job->uuid);
    json_text(json, "state", job_state_name(view->state));
    json_text(json, "phase", view->phase);
    json_text(json, "source", view->source);
    json_text(json, "destination", view->destination);
    json_open(json, "to", '[');
    for (size_t i = 0; i < job->n_to; i++)
        json_text(json, NULL, job->to[i]);
    json_close(json, ']');
    json_text(json, "text", view->text);
    json_bool(json, "already", view->already);
    json_bool(json, "locked", view->locked);
    json_bool(json, "evacuation", job->evacuation);
    json_number(json, "attempt", view->attempt);
    json_number(json, "priority", job->priority);
    json_text(json, "fence", view->fence);
    json_text(json, "submitter", job->submitter);
    json_text(json, "reason", job->reason);
    json_time(json, "submitted_at", job->submitted_at);
    json_time(json, "started_at", view->started_at);
    json_time(json, "finished_at", view->finished_at);
    RmStats none = RM_STATS__INIT;
    const RmStats *s = view->stats ? view->stats : &none;
    json_seconds(json, "elapsed", s->elapsed_for);
    json_seconds(json, "downtime", s->downtime_for);
    json_bool(json, "downtime_measured", s->measured_downtime);
    json_number(json, "total", s->total);
    json_number(json, "processed", s->processed);
    json_number(json, "remaining", s->remaining);
    json_number(json, "rate", s->rate);
    json_number(json, "dirty_rate", s->dirty_rate);
    json_number(json, "iterations", s->iterations);
}

static const struct out_column outcome_columns[] = {
    {NULL, "name", OUT_TEXT, OUT_LEFT},   {NULL, "ok", OUT_BOOL, OUT_LEFT},
    {NULL, "text", OUT_TEXT, OUT_LEFT},   {NULL, "job", OUT_NUMBER, OUT_LEFT},
    {NULL, "source", OUT_TEXT, OUT_LEFT}, {NULL, "destination", OUT_TEXT, OUT_LEFT},
    {NULL, NULL, OUT_TEXT, OUT_LEFT},
};

static int outcomes_json(const RmReply *reply)
{
    struct out_table *table = out_table_new("results", outcome_columns, true, false);
    for (size_t i = 0; i < reply->n_outcomes; i++) {
        const RmOutcome *o = reply->outcomes[i];
        out_row(table);
        out_text(table, o->name);
        out_bool(table, o->ok);
        out_text(table, o->text);
        out_number(table, o->job);
        out_text(table, o->source);
        out_text(table, o->destination);
    }
    return out_table_print(table);
}

int view_outcomes(const RmReply *reply, bool json)
{
    int code = json ? outcomes_json(reply) : EXIT_OK;
    for (size_t i = 0; i < reply->n_outcomes; i++) {
        const RmOutcome *o = reply->outcomes[i];
        if (!o->ok)
            code = EXIT_SOME_FAILED;
        if (!json && o->ok)
            out_result(o->name, o->text);
        else if (!json)
            out_failure(o->name, o->text);
    }
    return code;
}

int view_question(struct client *client, RmRequest *request, uint64_t hold_for, bool json,
                  const char *nothing)
{
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return out_no_memory();
    int code = client_question(client, request, hold_for, arena, &reply);
    if (reply && (code == EXIT_OK || reply->n_outcomes > 0)) {
        int some = view_outcomes(reply, json);
        code = code == EXIT_OK ? some : code;
        if (reply->n_outcomes == 0 && !json && nothing)
            out_note("%s", nothing);
    }
    arena_free(arena);
    return code;
}
