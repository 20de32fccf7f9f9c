/* job_story.c - all that is known of one job, in lines for people */
#include "submit/job_story.h"

#include "conf/env.h"
#include "conf/unit.h"
#include "submit/job_view.h"
#include "submit/out.h"
#include "wire/job.h"

#include <inttypes.h>

/* NULL or "": it has none. */
static void field(FILE *file, const char *name, const char *text)
{
    if (text && text[0])
        out_field(file, name, text);
}

static void field_time(FILE *file, const char *name, usec_t at)
{
    char text[ENV_TIME_MAX];
    if (at)
        field(file, name, env_time_text(at, text));
}

static void put_stats(FILE *file, struct arena *arena, const RmJobView *view)
{
    const RmStats *s = view->stats;
    char a[UNIT_TEXT_MAX], b[UNIT_TEXT_MAX];
    if (!s || s->elapsed_for == 0)
        return;
    field(file, "Took", unit_duration_text(s->elapsed_for, a));
    if (s->downtime_for && (s->measured_downtime || !job_is_final(view->state)))
        field(file, "Downtime",
              arena_printf(arena, "%s (%s)", unit_duration_text(s->downtime_for, a),
                           s->measured_downtime ? "measured" : "expected"));
    if (s->throttle)
        field(file, "Slowed down",
              arena_printf(arena, "by up to %" PRIu32 " %% (auto-converge)", s->throttle));
    if (s->total)
        field(file, "Memory", unit_size_text(s->total, a));
    if (s->processed)
        field(file, "Sent",
              arena_printf(arena, "%s, %" PRIu32 " iterations", unit_size_text(s->processed, a),
                           s->iterations));
    if (!job_is_final(view->state) && s->total)
        field(file, "Rate",
              arena_printf(arena, "%s, the guest writes %s, %d %% copied",
                           unit_rate_text(s->rate, a), unit_rate_text(s->dirty_rate, b),
                           view_percent(s)));
}

/* The operands of z/VM that were given. */
static const char *operands_text(struct arena *arena, const RmRelocation *relocation)
{
    const char *text = "";
    const struct {
        const char *name, *value;
    } operands[] = {
        {"force", relocation->force},
        {"immediate", relocation->immediate},
        {"max_total", relocation->max_total},
        {"max_quiesce", relocation->max_quiesce},
    };
    for (size_t i = 0; text && i < sizeof(operands) / sizeof(operands[0]); i++)
        if (operands[i].value[0])
            text = arena_printf(arena, "%s%s%s=%s", text, text[0] ? ", " : "", operands[i].name,
                                operands[i].value);
    return text;
}

/* Adds ", WORD VALUE" to a text. */
static const char *with(struct arena *arena, const char *text, const char *word, const char *value)
{
    return text ? arena_printf(arena, "%s%s%s%s%s", text, text[0] ? ", " : "", word,
                               value[0] ? " " : "", value)
                : NULL;
}

/* What it runs with, as on the command line; "": nothing was asked for. */
static const char *options_text(struct arena *arena, const RmOptions *o)
{
    const char *text = "", *fence = view_fence_mode(o);
    char value[UNIT_TEXT_MAX];
    if (!o)
        return "";
    if (o->bandwidth)
        text = with(arena, text, "bandwidth", unit_rate_text(o->bandwidth, value));
    if (o->downtime_for)
        text = with(arena, text, "downtime", unit_duration_text(o->downtime_for, value));
    if (o->timeout_for)
        text = with(arena, text, "timeout", unit_duration_text(o->timeout_for, value));
    if (o->stall_for)
        text = with(arena, text, "stall", unit_duration_text(o->stall_for, value));
    if (o->attempts) {
        snprintf(value, sizeof(value), "%" PRIu32, o->attempts);
        text = with(arena, text, "attempts", value);
    }
    if (fence[0])
        text = with(arena, text, "fence", fence);
    if (o->auto_converge)
        text = with(arena, text, "auto-converge", "");
    if (o->unsafe)
        text = with(arena, text, "unsafe", "");
    if (o->anywhere)
        text = with(arena, text, "anywhere", "");
    if (o->ignore_rules)
        text = with(arena, text, "ignore-rules", "");
    return text;
}

void job_story(FILE *file, struct arena *arena, const RmJobView *view)
{
    const RmJob *job = view->job;
    char at[ENV_TIME_MAX], span[UNIT_TEXT_MAX];
    const char *state = job_state_name(view->state);
    field(file, "Job",
          arena_printf(arena, "%" PRIu64 " of batch %" PRIu64 "%s", job->id, job->batch,
                       job->evacuation ? ", an evacuation" : ""));
    field(file, "Guest", arena_printf(arena, "%s, %s", job->guest, view_identity(arena, job)));
    if (view->phase[0])
        state = arena_printf(arena, "%s, %s", state, view->phase);
    if (view->already)
        state = arena_printf(arena, "%s, already there", state);
    if (view->locked)
        state = arena_printf(arena, "%s, locked: it is not certain where the guest runs", state);
    field(file, "State", state);
    field(file, "Why", view->text);
    field(file, "From", view->source);
    field(file, "To", view_destination(arena, view, true));
    field(file, "Submitted",
          arena_printf(arena, "%s by %s", env_time_text(job->submitted_at, at), job->submitter));
    field(file, "Reason", job->reason);
    field(file, "Options", options_text(arena, view->options));
    if (job->options && job->options->relocation)
        field(file, "Operands", operands_text(arena, job->options->relocation));
    field(file, "Priority", arena_printf(arena, "%" PRIu32, job->priority));
    if (view->attempt)
        field(file, "Attempts",
              arena_printf(arena, view->tried_for ? "%" PRIu32 ", %s in all" : "%" PRIu32,
                           view->attempt, unit_duration_text(view->tried_for, span)));
    field_time(file, "Started", view->started_at);
    field_time(file, "Finished", view->finished_at);
    put_stats(file, arena, view);
    field(file, "Fence", view->fence);
    if (*job->room_for != '\0')
        field(file, "Room for", job->room_for);
    if (job->again_of)
        field(file, "Tries again", arena_printf(arena, "job %" PRIu64, job->again_of));
    if (job->previous)
        field(file, "Previous", arena_printf(arena, "job %" PRIu64, job->previous));
}
