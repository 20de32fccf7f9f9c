/* job_list.c - commands that show jobs */
#include "submit/job_list.h"

#include "conf/env.h"
#include "conf/service.h"
#include "conf/unit.h"
#include "submit/json.h"
#include "submit/out.h"
#include "submit/view.h"
#include "wire/job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int job_pages_ask(struct client *client, RmListJobs *list, uint64_t want, struct arena *arena,
                  struct job_pages *ret_pages)
{
    struct job_pages pages = {0};
    int code;
    do {
        RmRequest request = RM_REQUEST__INIT;
        request.ask_case = RM_REQUEST__ASK_LIST_JOBS;
        request.list_jobs = list;
        list->limit = ARGS_LIMIT_DEFAULT;
        if (want && want - pages.n < list->limit)
            list->limit = (uint32_t)(want - pages.n);
        RmReply *reply;
        code = client_question(client, &request, 0, arena, &reply);
        if (!reply || (code != EXIT_OK && reply->n_jobs == 0))
            return code == EXIT_OK ? EXIT_SOME_FAILED : code;
        for (size_t i = 0; i < reply->n_jobs; i++)
            if (reply->jobs[i]->job && ARENA_PUSH(arena, pages.n, pages.jobs, reply->jobs[i]) < 0)
                return out_no_memory();
        list->before = reply->n_jobs > 0 ? reply->next : 0;
        pages.more = list->before != 0;
    } while (list->before != 0 && (want == 0 || pages.n < want));
    *ret_pages = pages;
    return code;
}

/* ---- lists */

enum { FINISHED_DEFAULT = 1000 };

static const struct out_column job_columns[] = {
    {"JOB", "job", OUT_NUMBER, OUT_RIGHT},
    {"BATCH", "batch", OUT_NUMBER, OUT_RIGHT | OUT_SPARE},
    {"GUEST", "guest", OUT_TEXT, OUT_LEFT},
    {NULL, "kind", OUT_TEXT, OUT_LEFT},
    {"STATE", "state", OUT_TEXT, OUT_LEFT},
    {NULL, "phase", OUT_TEXT, OUT_LEFT},
    {"FROM", "source", OUT_TEXT, OUT_LEFT},
    {"TO", NULL, OUT_TEXT, OUT_LEFT},
    {NULL, "destination", OUT_TEXT, OUT_LEFT},
    {"TRY", "attempt", OUT_NUMBER, OUT_RIGHT | OUT_SPARE},
    {"AGE", "submitted_at", OUT_NUMBER, OUT_RIGHT | OUT_SPARE},
    {NULL, "started_at", OUT_NUMBER, OUT_LEFT},
    {NULL, "finished_at", OUT_NUMBER, OUT_LEFT},
    {"TOOK", "elapsed", OUT_NUMBER, OUT_RIGHT},
    {"COPIED", NULL, OUT_TEXT, OUT_RIGHT},
    {NULL, "downtime", OUT_NUMBER, OUT_LEFT},
    {NULL, "total", OUT_NUMBER, OUT_LEFT},
    {NULL, "processed", OUT_NUMBER, OUT_LEFT},
    {NULL, "remaining", OUT_NUMBER, OUT_LEFT},
    {NULL, "rate", OUT_NUMBER, OUT_LEFT},
    {NULL, "dirty_rate", OUT_NUMBER, OUT_LEFT},
    {NULL, "iterations", OUT_NUMBER, OUT_LEFT},
    {NULL, "priority", OUT_NUMBER, OUT_LEFT},
    {NULL, "submitter", OUT_TEXT, OUT_LEFT},
    {NULL, "reason", OUT_TEXT, OUT_LEFT},
    {NULL, "already", OUT_BOOL, OUT_LEFT},
    {NULL, "locked", OUT_BOOL, OUT_LEFT},
    {NULL, "fence", OUT_TEXT, OUT_LEFT},
    {"WHY", "text", OUT_TEXT, OUT_WRAP},
    {NULL, NULL, OUT_TEXT, OUT_LEFT},
};

static enum out_tone tone_of(RmState state)
{
    return state == RM_STATE__DONE                                     ? TONE_GOOD
           : state == RM_STATE__FAILED || state == RM_STATE__CANCELLED ? TONE_BAD
           : state == RM_STATE__DOUBT                                  ? TONE_ODD
                                                                       : TONE_PLAIN;
}

static void job_row(struct out_table *table, struct arena *arena, const RmJobView *view,
                    usec_t wall)
{
    static const RmStats none = RM_STATS__INIT;
    const RmStats *s = view->stats ? view->stats : &none;
    /* How far, while it runs; how much it was, when it is done. */
    char copied[UNIT_TEXT_MAX] = "";
    int p = view->state == RM_STATE__RUNNING ? view_percent(s) : -1;
    if (p >= 0)
        snprintf(copied, sizeof(copied), "%d %%", p);
    else if (view->state == RM_STATE__DONE && s->processed > 0)
        unit_size_text(s->processed, copied);
    out_row(table);
    out_number(table, view->job->id);
    out_number(table, view->job->batch);
    out_text(table, view->job->guest);
    out_text(table, view_kind(view->job->kind));
    out_tone(table, job_state_name(view->state), tone_of(view->state));
    out_text(table, view->phase);
    out_text(table, view->source);
    out_text(table, view_destination(arena, view));
    out_text(table, view->destination);
    out_count(table, view->attempt);
    out_age(table, view->job->submitted_at, wall);
    out_time(table, view->started_at);
    out_time(table, view->finished_at);
    out_span(table, s->elapsed_for);
    out_text(table, copied);
    out_span(table, s->downtime_for);
    out_size(table, s->total);
    out_size(table, s->processed);
    out_size(table, s->remaining);
    out_rate(table, s->rate);
    out_rate(table, s->dirty_rate);
    out_number(table, s->iterations);
    out_number(table, view->job->priority);
    out_text(table, view->job->submitter);
    out_text(table, view->job->reason);
    out_bool(table, view->already);
    out_bool(table, view->locked);
    out_text(table, view->fence);
    out_text(table, view->text);
}

/* The newest stands at the bottom, next to the prompt. */
static int print_jobs(const struct args *args, struct arena *arena, const struct job_pages *pages)
{
    usec_t wall = env_wall(env_system());
    struct out_table *table = out_table_new("jobs", job_columns, args->json, args->noheadings);
    for (size_t i = pages->n; i-- > 0;)
        job_row(table, arena, pages->jobs[i], wall);
    int code = out_table_print(table);
    if (pages->n == 0 && !args->json)
        out_note("%s", args->finished ? "no jobs" : "no unfinished jobs");
    if (pages->more && !args->json)
        out_note("older jobs are left out, --limit shows more");
    return code;
}

int job_list(struct client *client, const struct args *args)
{
    RmSelect what = RM_SELECT__INIT;
    what.batch = args->batch;
    what.host = (char *)args->host;
    what.guests = (char *)(args->n_operands > 0 ? args->operands[0] : "");
    RmListJobs list = RM_LIST_JOBS__INIT;
    list.what = &what;
    list.finished = args->finished;
    list.states = (RmState *)args->states;
    list.n_states = args->n_states;
    bool history = args->finished;
    for (size_t i = 0; i < args->n_states; i++)
        history = history || job_is_final(args->states[i]);
    uint64_t want = args->limit ? args->limit : history && !args->batch ? FINISHED_DEFAULT : 0;
    struct job_pages pages = {0};
    struct arena *arena = arena_new(0);
    if (!arena)
        return out_no_memory();
    int code = job_pages_ask(client, &list, want, arena, &pages);
    if (code == EXIT_OK)
        code = print_jobs(args, arena, &pages);
    arena_free(arena);
    return code;
}

static const struct out_column history_columns[] = {
    {"JOB", "job", OUT_NUMBER, OUT_RIGHT},
    {"GUEST", "guest", OUT_TEXT, OUT_LEFT},
    {"STATE", "state", OUT_TEXT, OUT_LEFT},
    {"FROM", "source", OUT_TEXT, OUT_LEFT},
    {"TO", "destination", OUT_TEXT, OUT_LEFT},
    {"SUBMITTED", "submitted_at", OUT_NUMBER, OUT_LEFT},
    {NULL, "started_at", OUT_NUMBER, OUT_LEFT},
    {NULL, "finished_at", OUT_NUMBER, OUT_LEFT},
    {"TOOK", "elapsed", OUT_NUMBER, OUT_RIGHT},
    {"DOWNTIME", "downtime", OUT_NUMBER, OUT_RIGHT},
    {"SENT", "processed", OUT_NUMBER, OUT_RIGHT | OUT_SPARE},
    {"TRIES", "attempt", OUT_NUMBER, OUT_RIGHT | OUT_SPARE},
    {"BY", "submitter", OUT_TEXT, OUT_LEFT},
    {"REASON", "reason", OUT_TEXT, OUT_SPARE},
    {NULL, "fence", OUT_TEXT, OUT_LEFT},
    {NULL, "already", OUT_BOOL, OUT_LEFT},
    {"WHY", "text", OUT_TEXT, OUT_WRAP},
    {NULL, NULL, OUT_TEXT, OUT_LEFT},
};

static void history_row(struct out_table *table, const RmJobView *view)
{
    static const RmStats none = RM_STATS__INIT;
    const RmStats *s = view->stats ? view->stats : &none;
    out_row(table);
    out_number(table, view->job->id);
    out_text(table, view->job->guest);
    out_tone(table, job_state_name(view->state), tone_of(view->state));
    out_text(table, view->source);
    out_text(table, view->destination);
    out_time(table, view->job->submitted_at);
    out_time(table, view->started_at);
    out_time(table, view->finished_at);
    out_span(table, s->elapsed_for);
    out_span(table, s->downtime_for);
    out_size(table, s->processed);
    out_count(table, view->attempt);
    out_text(table, view->job->submitter);
    out_text(table, view->job->reason);
    out_text(table, view->fence);
    out_bool(table, view->already);
    out_text(table, view->text);
}

int job_history(struct client *client, const struct args *args)
{
    RmHistory history = RM_HISTORY__INIT;
    history.guest = args->operands[0];
    history.limit = args->limit;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_HISTORY;
    request.history = &history;
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return out_no_memory();
    int code = client_question(client, &request, 0, arena, &reply);
    if (reply && code == EXIT_OK) {
        struct out_table *table =
            out_table_new("history", history_columns, args->json, args->noheadings);
        for (size_t i = 0; i < reply->n_jobs; i++)
            if (reply->jobs[i]->job)
                history_row(table, reply->jobs[i]);
        code = out_table_print(table);
        if (reply->n_jobs == 0 && !args->json)
            out_note("%s was never moved", args->operands[0]);
    }
    arena_free(arena);
    return code;
}

/* ---- show */

static const struct out_column event_columns[] = {
    {"TIME", "at", OUT_NUMBER, OUT_LEFT},   {"EVENT", "event", OUT_TEXT, OUT_LEFT},
    {"STATE", "state", OUT_TEXT, OUT_LEFT}, {"BY", "who", OUT_TEXT, OUT_LEFT},
    {"TEXT", "text", OUT_TEXT, OUT_WRAP},   {NULL, NULL, OUT_TEXT, OUT_LEFT},
};

static void field(const char *name, const char *text)
{
    char label[32];
    if (text == NULL || text[0] == '\0')
        return;
    snprintf(label, sizeof(label), "%-12s", name);
    char *line;
    if (asprintf(&line, "%s%s", label, text) < 0)
        return;
    out_result("", line);
    free(line);
}

static void field_time(const char *name, usec_t at)
{
    char text[ENV_TIME_MAX];
    if (at)
        field(name, env_time_text(at, text));
}

static void print_stats(struct arena *arena, const RmJobView *view)
{
    const RmStats *s = view->stats;
    char a[UNIT_TEXT_MAX], b[UNIT_TEXT_MAX];
    if (!s || s->elapsed_for == 0)
        return;
    field("Took", unit_duration_text(s->elapsed_for, a));
    if (s->downtime_for && (s->measured_downtime || !job_is_final(view->state)))
        field("Downtime", arena_printf(arena, "%s (%s)", unit_duration_text(s->downtime_for, a),
                                       s->measured_downtime ? "measured" : "expected"));
    if (s->total)
        field("Memory", unit_size_text(s->total, a));
    if (s->processed)
        field("Sent", arena_printf(arena, "%s, %" PRIu32 " iterations",
                                   unit_size_text(s->processed, a), s->iterations));
    if (!job_is_final(view->state) && s->total)
        field("Rate", arena_printf(arena, "%s, the guest writes %s, %d %% copied",
                                   unit_rate_text(s->rate, a), unit_rate_text(s->dirty_rate, b),
                                   view_percent(s)));
}

/* What the guest is to its hypervisor. */
static const char *identity(struct arena *arena, const RmJob *job)
{
    const char *slash = strchr(job->uuid, '/');
    const char *text = job->kind == RM_KIND__KIND_ZVM && slash
                           ? arena_printf(arena, "z/VM user %.*s in SSI cluster %s",
                                          (int)(slash - job->uuid), job->uuid, slash + 1)
                           : arena_printf(arena, "uuid %s", job->uuid);
    return text ? text : "?";
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

static void print_job(struct arena *arena, const RmJobView *view)
{
    const RmJob *job = view->job;
    char at[ENV_TIME_MAX];
    const char *state = job_state_name(view->state);
    field("Job", arena_printf(arena, "%" PRIu64 " of batch %" PRIu64 "%s", job->id, job->batch,
                              job->evacuation ? ", an evacuation" : ""));
    field("Guest", arena_printf(arena, "%s, %s", job->guest, identity(arena, job)));
    if (view->phase[0])
        state = arena_printf(arena, "%s, %s", state, view->phase);
    if (view->already)
        state = arena_printf(arena, "%s, was there already", state);
    if (view->locked)
        state = arena_printf(arena, "%s, locked: where the guest runs is not certain", state);
    field("State", state);
    field("Why", view->text);
    field("From", view->source);
    field("To", view_destination(arena, view));
    field("Submitted",
          arena_printf(arena, "%s by %s", env_time_text(job->submitted_at, at), job->submitter));
    field("Reason", job->reason);
    if (job->options && job->options->relocation)
        field("Operands", operands_text(arena, job->options->relocation));
    field("Priority", arena_printf(arena, "%" PRIu32, job->priority));
    if (view->attempt)
        field("Tries", arena_printf(arena, "%" PRIu32, view->attempt));
    field_time("Started", view->started_at);
    field_time("Finished", view->finished_at);
    print_stats(arena, view);
    field("Fence", view->fence);
    if (job->previous)
        field("Before it", arena_printf(arena, "job %" PRIu64, job->previous));
}

static int print_job_events(const struct args *args, const RmReply *reply)
{
    struct out_table *table = out_table_new("events", event_columns, false, args->noheadings);
    for (size_t i = 0; i < reply->n_events; i++) {
        const RmEvent *e = reply->events[i];
        out_row(table);
        out_time(table, e->at);
        out_text(table, job_event_name(e->kind));
        out_text(table, e->state ? job_state_name(e->state) : "");
        out_text(table, e->who);
        out_text(table, e->text);
    }
    putchar('\n');
    return out_table_print(table);
}

static void print_job_json(const RmReply *reply)
{
    struct json json = {.file = stdout};
    json_open(&json, NULL, '{');
    view_json(&json, reply->jobs[0]);
    json_open(&json, "events", '[');
    for (size_t i = 0; i < reply->n_events; i++) {
        const RmEvent *e = reply->events[i];
        json_open(&json, NULL, '{');
        json_time(&json, "at", e->at);
        json_text(&json, "event", job_event_name(e->kind));
        json_text(&json, "state", e->state ? job_state_name(e->state) : "");
        json_text(&json, "who", e->who);
        json_text(&json, "text", e->text);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    putchar('\n');
}

int job_show(struct client *client, const struct args *args)
{
    RmShow show = RM_SHOW__INIT;
    if (args_number(args->operands[0], UINT64_MAX, &show.job) < 0) {
        out_error("'%s' is not the number of a job", args->operands[0]);
        return EXIT_USAGE;
    }
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_SHOW;
    request.show = &show;
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return out_no_memory();
    int code = client_question(client, &request, 0, arena, &reply);
    if (reply && code == EXIT_OK && (reply->n_jobs == 0 || !reply->jobs[0]->job)) {
        out_error("there is no job %" PRIu64, show.job);
        code = EXIT_SOME_FAILED;
    } else if (reply && code == EXIT_OK && args->json)
        print_job_json(reply);
    else if (reply && code == EXIT_OK) {
        print_job(arena, reply->jobs[0]);
        if (reply->n_events > 0)
            code = print_job_events(args, reply);
    }
    arena_free(arena);
    return code;
}
