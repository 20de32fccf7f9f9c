/* job_cmd.c - commands about jobs */
#include "submit/job_cmd.h"

#include "conf/env.h"
#include "conf/service.h"
#include "conf/unit.h"
#include "submit/command.h"
#include "submit/follow.h"
#include "submit/json.h"
#include "submit/out.h"
#include "submit/view.h"
#include "wire/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int no_memory(void)
{
    out_error("no memory");
    return EXIT_SOME_FAILED;
}

/* ---- submit and evacuate */

/* Guests that did not become jobs, in the form of those that did. */
static int print_refused(const RmReply *reply, bool json_lines)
{
    int code = EXIT_OK;
    if (!json_lines)
        return view_outcomes(reply, false);
    for (size_t i = 0; i < reply->n_outcomes; i++) {
        const RmOutcome *o = reply->outcomes[i];
        struct json json = {.file = stdout};
        json_open(&json, NULL, '{');
        json_bool(&json, "ok", o->ok);
        json_text(&json, "result", o->text);
        json_text(&json, "guest", o->name);
        json_text(&json, "source", o->source);
        json_text(&json, "destination", o->destination);
        json_close(&json, '}');
        fputc('\n', stdout);
        code = o->ok ? code : EXIT_SOME_FAILED;
    }
    return code;
}

static void print_batch(const struct args *args, const RmReply *reply)
{
    struct json json = {.file = stdout};
    if (!args->json) {
        printf("batch %" PRIu64 ": %" PRIu32 " job%s\n", reply->batch, reply->count,
               reply->count == 1 ? "" : "s");
        return;
    }
    json_open(&json, NULL, '{');
    json_number(&json, "batch", reply->batch);
    json_number(&json, "jobs", reply->count);
    json_close(&json, '}');
    fputc('\n', stdout);
}

/* The jobs are made: prints what is known, and stays with them unless told otherwise. code: so far.
 */
static int go_on(struct client *client, const struct args *args, const RmReply *reply, int code)
{
    int refused = print_refused(reply, args->json);
    code = code == EXIT_OK ? refused : code;
    if (reply->batch == 0)
        return code;
    if (args->detach) {
        print_batch(args, reply);
        return code;
    }
    if (args->verbose)
        out_note("batch %" PRIu64 ", %" PRIu32 " jobs, broker at %s", reply->batch, reply->count,
                 client_endpoint(client));
    RmSelect what = RM_SELECT__INIT;
    what.batch = reply->batch;
    int followed = follow_jobs(client, args, &what, reply->batch);
    return followed == EXIT_OK ? code : followed;
}

int job_submit(struct client *client, const struct args *args)
{
    RmSubmit submit = RM_SUBMIT__INIT;
    submit.guests = args->operands[0];
    submit.to = (char *)args->to;
    submit.options = (RmOptions *)&args->options;
    submit.priority = args->priority;
    submit.reason = (char *)args->reason;
    submit.dry_run = args->dry_run;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_SUBMIT;
    request.submit = &submit;
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return no_memory();
    int code = client_question(client, &request, arena, &reply);
    if (reply && args->dry_run) {
        int refused = args->json || reply->n_outcomes ? view_outcomes(reply, args->json) : EXIT_OK;
        code = code == EXIT_OK ? refused : code;
    } else if (reply)
        code = go_on(client, args, reply, code);
    arena_free(arena);
    return code;
}

static const struct out_column plan_columns[] = {
    {"GUEST", "guest", OUT_TEXT, OUT_LEFT},    {"FROM", "source", OUT_TEXT, OUT_LEFT},
    {"TO", "destination", OUT_TEXT, OUT_LEFT}, {NULL, "ok", OUT_BOOL, OUT_LEFT},
    {"NOTE", "text", OUT_TEXT, OUT_WRAP},      {NULL, NULL, OUT_TEXT, OUT_LEFT},
};

/* Who goes where; on stderr who has no place. */
static int print_plan(const struct args *args, const RmReply *reply)
{
    struct out_table *table = out_table_new("plan", plan_columns, args->json, args->noheadings);
    size_t homeless = 0;
    for (size_t i = 0; i < reply->n_outcomes; i++) {
        const RmOutcome *o = reply->outcomes[i];
        homeless += !o->ok;
        if (!o->ok && !args->json)
            continue;
        out_row(table);
        out_text(table, o->name);
        out_text(table, o->source);
        out_text(table, o->destination);
        out_bool(table, o->ok);
        out_text(table, o->text);
    }
    int code = out_table_print(table);
    fflush(stdout);
    for (size_t i = 0; i < reply->n_outcomes && !args->json; i++)
        if (!reply->outcomes[i]->ok)
            out_failure(reply->outcomes[i]->name, reply->outcomes[i]->text);
    return homeless > 0 ? EXIT_SOME_FAILED : code;
}

int job_evacuate(struct client *client, const struct args *args)
{
    RmEvacuate evacuate = RM_EVACUATE__INIT;
    evacuate.hosts = args->operands[0];
    evacuate.to = (char *)args->to;
    evacuate.options = (RmOptions *)&args->options;
    evacuate.priority = args->priority;
    evacuate.reason = (char *)args->reason;
    evacuate.plan_only = args->plan;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_EVACUATE;
    request.evacuate = &evacuate;
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return no_memory();
    int code = client_question(client, &request, arena, &reply);
    if (reply && code == EXIT_OK && reply->n_outcomes == 0 && reply->batch == 0)
        out_note("no guest runs on %s", args->operands[0]);
    if (reply && args->plan && (code == EXIT_OK || reply->n_outcomes > 0)) {
        int plan = print_plan(args, reply);
        code = code == EXIT_OK ? plan : code;
    } else if (reply && !args->plan)
        code = go_on(client, args, reply, code);
    arena_free(arena);
    return code;
}

/* ---- watch and wait */

/* What the operands of watch and wait mean. */
struct numbers {
    uint64_t *jobs; /* owned */
    size_t n;
    uint64_t batch; /* the one batch, when nothing else was given */
};

static int add_job(struct numbers *numbers, uint64_t id)
{
    if ((numbers->n & (numbers->n - 1)) == 0) { /* room for the next power of two */
        size_t room = numbers->n == 0 ? 1 : numbers->n * 2;
        uint64_t *jobs = realloc(numbers->jobs, room * sizeof(*jobs));
        if (!jobs)
            return no_memory();
        numbers->jobs = jobs;
    }
    numbers->jobs[numbers->n++] = id;
    return EXIT_OK;
}

/* Is it the number of a job? Otherwise it is a batch's: both come from one counter. */
static int is_job(struct client *client, uint64_t id, bool *ret_yes)
{
    RmShow show = RM_SHOW__INIT;
    show.job = id;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_SHOW;
    request.show = &show;
    struct arena *arena = arena_new(0);
    RmReply *reply;
    struct rm_err err = {0};
    int r = arena ? client_ask(client, &request, 0, arena, &reply, &err) : -ENOMEM;
    if (r < 0 && r != -EINTR)
        out_error("%s", r == -ENOMEM ? "no memory" : err.text);
    if (r >= 0)
        *ret_yes = reply->code == RM_CODE__CODE_OK && reply->n_jobs > 0;
    arena_free(arena);
    return r < 0 ? client_code(client, r) : EXIT_OK;
}

/* Every job of a list, page by page, newest first. want: at most so many, 0 = all. The views live
 * in the arena. */
struct pages {
    RmJobView **jobs;
    size_t n;
    bool more; /* there were more than wanted */
};

static int ask_pages(struct client *client, RmListJobs *list, uint64_t want, struct arena *arena,
                     struct pages *ret_pages)
{
    struct pages pages = {0};
    int code;
    do {
        RmRequest request = RM_REQUEST__INIT;
        request.ask_case = RM_REQUEST__ASK_LIST_JOBS;
        request.list_jobs = list;
        list->limit = ARGS_LIMIT_DEFAULT;
        if (want && want - pages.n < list->limit)
            list->limit = (uint32_t)(want - pages.n);
        RmReply *reply;
        code = client_question(client, &request, arena, &reply);
        if (!reply || (code != EXIT_OK && reply->n_jobs == 0))
            return code == EXIT_OK ? EXIT_SOME_FAILED : code;
        for (size_t i = 0; i < reply->n_jobs; i++)
            if (reply->jobs[i]->job && ARENA_PUSH(arena, pages.n, pages.jobs, reply->jobs[i]) < 0)
                return no_memory();
        list->before = reply->n_jobs > 0 ? reply->next : 0;
        pages.more = list->before != 0;
    } while (list->before != 0 && (want == 0 || pages.n < want));
    *ret_pages = pages;
    return code;
}

static int add_batch(struct client *client, struct numbers *numbers, uint64_t batch)
{
    RmSelect what = RM_SELECT__INIT;
    what.batch = batch;
    RmListJobs list = RM_LIST_JOBS__INIT;
    list.what = &what;
    list.finished = true;
    struct pages pages = {0};
    struct arena *arena = arena_new(0);
    int code = arena ? ask_pages(client, &list, 0, arena, &pages) : no_memory();
    if (code == EXIT_OK && pages.n == 0) {
        out_error("there is no job and no batch %" PRIu64, batch);
        code = EXIT_SOME_FAILED;
    }
    for (size_t i = 0; code == EXIT_OK && i < pages.n; i++)
        code = add_job(numbers, pages.jobs[i]->job->id);
    arena_free(arena);
    return code;
}

static int resolve(struct client *client, const struct args *args, struct numbers *numbers)
{
    int code = EXIT_OK;
    for (size_t i = 0; code == EXIT_OK && i < args->n_operands; i++) {
        uint64_t id;
        bool job = false;
        if (args_number(args->operands[i], UINT64_MAX, &id) < 0) {
            out_error("'%s' is not the number of a job or a batch", args->operands[i]);
            return EXIT_USAGE;
        }
        code = is_job(client, id, &job);
        if (code != EXIT_OK)
            return code;
        code = job ? add_job(numbers, id) : add_batch(client, numbers, id);
        if (!job && args->n_operands == 1)
            numbers->batch = id;
    }
    return code;
}

int job_watch(struct client *client, const struct args *args)
{
    struct numbers numbers = {0};
    int code = resolve(client, args, &numbers);
    if (code == EXIT_OK) {
        RmSelect what = RM_SELECT__INIT;
        what.batch = numbers.batch;
        what.all = args->n_operands == 0;
        what.jobs = numbers.jobs;
        what.n_jobs = numbers.batch ? 0 : numbers.n;
        code = follow_jobs(client, args, &what, numbers.batch);
    }
    free(numbers.jobs);
    return code;
}

/* ---- lists */

enum { FINISHED_DEFAULT = 1000 };

static const struct out_column job_columns[] = {
    {"JOB", "job", OUT_NUMBER, OUT_RIGHT},      {"BATCH", "batch", OUT_NUMBER, OUT_RIGHT},
    {"GUEST", "guest", OUT_TEXT, OUT_LEFT},     {"STATE", "state", OUT_TEXT, OUT_LEFT},
    {NULL, "phase", OUT_TEXT, OUT_LEFT},        {"FROM", "source", OUT_TEXT, OUT_LEFT},
    {"TO", NULL, OUT_TEXT, OUT_LEFT},           {NULL, "destination", OUT_TEXT, OUT_LEFT},
    {"TRY", "attempt", OUT_NUMBER, OUT_RIGHT},  {"AGE", "submitted_at", OUT_NUMBER, OUT_RIGHT},
    {NULL, "started_at", OUT_NUMBER, OUT_LEFT}, {NULL, "finished_at", OUT_NUMBER, OUT_LEFT},
    {"TOOK", "elapsed", OUT_NUMBER, OUT_RIGHT}, {"COPIED", NULL, OUT_TEXT, OUT_RIGHT},
    {NULL, "downtime", OUT_NUMBER, OUT_LEFT},   {NULL, "total", OUT_NUMBER, OUT_LEFT},
    {NULL, "processed", OUT_NUMBER, OUT_LEFT},  {NULL, "remaining", OUT_NUMBER, OUT_LEFT},
    {NULL, "rate", OUT_NUMBER, OUT_LEFT},       {NULL, "dirty_rate", OUT_NUMBER, OUT_LEFT},
    {NULL, "iterations", OUT_NUMBER, OUT_LEFT}, {NULL, "priority", OUT_NUMBER, OUT_LEFT},
    {NULL, "submitter", OUT_TEXT, OUT_LEFT},    {NULL, "reason", OUT_TEXT, OUT_LEFT},
    {NULL, "already", OUT_BOOL, OUT_LEFT},      {NULL, "locked", OUT_BOOL, OUT_LEFT},
    {NULL, "fence", OUT_TEXT, OUT_LEFT},        {"WHY", "text", OUT_TEXT, OUT_WRAP},
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
    char percent[16] = "";
    int p = view->state == RM_STATE__RUNNING ? view_percent(s) : -1;
    if (p >= 0)
        snprintf(percent, sizeof(percent), "%d %%", p);
    out_row(table);
    out_number(table, view->job->id);
    out_number(table, view->job->batch);
    out_text(table, view->job->guest);
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
    out_text(table, percent);
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
static int print_jobs(const struct args *args, struct arena *arena, const struct pages *pages)
{
    usec_t wall = env_wall(env_system());
    struct out_table *table = out_table_new("jobs", job_columns, args->json, args->noheadings);
    for (size_t i = pages->n; i-- > 0;)
        job_row(table, arena, pages->jobs[i], wall);
    int code = out_table_print(table);
    if (pages->n == 0 && !args->json && isatty(STDERR_FILENO))
        out_note("no jobs");
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
    struct pages pages;
    struct arena *arena = arena_new(0);
    if (!arena)
        return no_memory();
    int code = ask_pages(client, &list, want, arena, &pages);
    if (code == EXIT_OK)
        code = print_jobs(args, arena, &pages);
    arena_free(arena);
    return code;
}

static const struct out_column history_columns[] = {
    {"JOB", "job", OUT_NUMBER, OUT_RIGHT},
    {"STATE", "state", OUT_TEXT, OUT_LEFT},
    {"FROM", "source", OUT_TEXT, OUT_LEFT},
    {"TO", "destination", OUT_TEXT, OUT_LEFT},
    {"SUBMITTED", "submitted_at", OUT_NUMBER, OUT_LEFT},
    {NULL, "started_at", OUT_NUMBER, OUT_LEFT},
    {NULL, "finished_at", OUT_NUMBER, OUT_LEFT},
    {"TOOK", "elapsed", OUT_NUMBER, OUT_RIGHT},
    {"DOWNTIME", "downtime", OUT_NUMBER, OUT_RIGHT},
    {"SENT", "processed", OUT_NUMBER, OUT_RIGHT},
    {"TRIES", "attempt", OUT_NUMBER, OUT_RIGHT},
    {"BY", "submitter", OUT_TEXT, OUT_LEFT},
    {"REASON", "reason", OUT_TEXT, OUT_LEFT},
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
        return no_memory();
    int code = client_question(client, &request, arena, &reply);
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
    if (s->downtime_for)
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

static void print_job(struct arena *arena, const RmJobView *view)
{
    const RmJob *job = view->job;
    char at[ENV_TIME_MAX];
    const char *state = job_state_name(view->state);
    field("Job", arena_printf(arena, "%" PRIu64 " of batch %" PRIu64 "%s", job->id, job->batch,
                              job->evacuation ? ", an evacuation" : ""));
    field("Guest", arena_printf(arena, "%s, uuid %s", job->guest, job->uuid));
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
        json_seconds(&json, "at", e->at);
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
        return no_memory();
    int code = client_question(client, &request, arena, &reply);
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

/* ---- change */

static int select_jobs(const struct args *args, struct numbers *numbers)
{
    int code = EXIT_OK;
    for (size_t i = 0; code == EXIT_OK && i < args->n_operands; i++) {
        uint64_t id;
        if (args_number(args->operands[i], UINT64_MAX, &id) < 0) {
            out_error("'%s' is not the number of a job (--guests takes names)", args->operands[i]);
            return EXIT_USAGE;
        }
        code = add_job(numbers, id);
    }
    return code;
}

static int change(struct client *client, const struct args *args, RmRequest__AskCase ask,
                  RmSelect *what)
{
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = ask;
    request.cancel = what; /* one union: all these asks are a selection */
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return no_memory();
    int code = client_question(client, &request, arena, &reply);
    if (reply && (code == EXIT_OK || reply->n_outcomes > 0)) {
        int some = view_outcomes(reply, args->json);
        code = code == EXIT_OK ? some : code;
        if (reply->n_outcomes == 0 && !args->json)
            out_note("nothing to %s", args->command->name);
    }
    arena_free(arena);
    return code;
}

int job_change(struct client *client, const struct args *args)
{
    static const struct {
        const char *name;
        RmRequest__AskCase ask;
    } asks[] = {
        {"cancel", RM_REQUEST__ASK_CANCEL},   {"retry", RM_REQUEST__ASK_RETRY},
        {"pause", RM_REQUEST__ASK_PAUSE},     {"resume", RM_REQUEST__ASK_RESUME},
        {"release", RM_REQUEST__ASK_RELEASE},
    };
    size_t i = 0;
    while (strcmp(asks[i].name, args->command->name) != 0)
        i++;
    RmSelect what = RM_SELECT__INIT;
    struct numbers numbers = {0};
    int code = EXIT_OK;
    what.reason = (char *)args->reason;
    what.guests = (char *)args->guests;
    what.host = (char *)args->host;
    what.batch = args->batch;
    what.all = args->all;
    if (asks[i].ask == RM_REQUEST__ASK_RELEASE)
        what.guests = args->operands[0];
    else
        code = select_jobs(args, &numbers);
    what.jobs = numbers.jobs;
    what.n_jobs = numbers.n;
    if (code == EXIT_OK)
        code = change(client, args, asks[i].ask, &what);
    free(numbers.jobs);
    return code;
}
