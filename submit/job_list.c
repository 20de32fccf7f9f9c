/* job_list.c - commands that show jobs */
#include "submit/job_list.h"

#include "conf/env.h"
#include "conf/service.h"
#include "conf/unit.h"
#include "submit/job_pages.h"
#include "submit/job_story.h"
#include "submit/job_view.h"
#include "submit/listing.h"
#include "submit/out.h"
#include "wire/job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- lists */

enum { FINISHED_DEFAULT = 1000 }; /* jobs */

#define VIEW(field)  FIELD(RmJobView, field)
#define JOB(field)   FIELD_INSIDE(RmJobView, job, RmJob, field)
#define STATS(field) FIELD_INSIDE(RmJobView, stats, RmStats, field)

static void put_to(struct cell *cell, const void *record)
{
    cell_text(cell, view_destination(cell_arena(cell), record, false));
}

/* How far, while it runs; how much it was, when it is done. */
static void put_copied(struct cell *cell, const void *record)
{
    const RmJobView *view = record;
    char text[UNIT_TEXT_MAX] = "";
    int percent = view->state == RM_STATE__RUNNING ? view_percent(view->stats) : -1;
    if (percent >= 0)
        snprintf(text, sizeof(text), "%d %%", percent);
    else if (view->state == RM_STATE__DONE && view->stats && view->stats->processed > 0)
        unit_size_text(view->stats->processed, text);
    cell_text(cell, text);
}

static const struct column job_columns[] = {
    {"JOB", NULL, JOB(id)},
    {"BATCH", NULL, JOB(batch), .look = LOOK_SPARE},
    {"GUEST", NULL, JOB(guest)},
    {"STATE", NULL, PUT(view_put_state)},
    {"FROM", NULL, VIEW(source)},
    {"TO", NULL, PUT(put_to)},
    {"TRY", NULL, VIEW(attempt), SHOW_COUNT, LOOK_SPARE},
    {"AGE", NULL, JOB(submitted_at), SHOW_AGE, LOOK_SPARE},
    {"TOOK", NULL, STATS(elapsed_for), SHOW_SPAN},
    {"COPIED", NULL, PUT(put_copied), .look = LOOK_RIGHT},
    {"WHY", NULL, VIEW(text), .look = LOOK_WRAP},
    {0},
};

/* The newest is at the bottom, next to the prompt. */
static int print_jobs(const struct args *args, const struct job_pages *pages)
{
    struct listing *listing = listing_new(args, "jobs", args->json ? view_columns : job_columns);
    for (size_t i = pages->n; i-- > 0;)
        listing_row(listing, pages->jobs[i]);
    int code = listing_end(listing);
    if (pages->n == 0 && !args->json)
        out_note("%s", args->finished ? "no jobs" : "no unfinished jobs");
    if (pages->more && !args->json)
        out_note("older jobs are not shown; see --limit");
    return code;
}

int job_list(struct client *client, const struct args *args)
{
    RmSelect what = RM_SELECT__INIT;
    what.batch = args->batch;
    what.host = (char *)args->host;
    what.to = (char *)args->to;
    what.guests = (char *)(args->n_operands > 0 ? args->operands[0] : "");
    RmListJobs list = RM_LIST_JOBS__INIT;
    list.what = &what;
    list.finished = args->finished;
    list.states = (RmState *)args->states;
    list.n_states = args->n_states;
    list.paused = args->paused;
    bool history = args->finished;
    for (size_t i = 0; i < args->n_states; i++)
        history = history || job_is_final(args->states[i]);
    uint64_t want = args->limit ? args->limit : history && !args->batch ? FINISHED_DEFAULT : 0;
    struct job_pages pages = {0};
    int code = job_pages_ask(client, &list, want, client_arena(client), &pages);
    return code == EXIT_OK ? print_jobs(args, &pages) : code;
}

static const struct column history_columns[] = {
    {"JOB", NULL, JOB(id)},
    {"GUEST", NULL, JOB(guest)},
    {"STATE", NULL, PUT(view_put_state)},
    {"FROM", NULL, VIEW(source)},
    {"TO", NULL, VIEW(destination)},
    {"SUBMITTED", NULL, JOB(submitted_at), SHOW_TIME},
    {"TOOK", NULL, STATS(elapsed_for), SHOW_SPAN},
    {"DOWNTIME", NULL, PUT(view_put_downtime), .look = LOOK_RIGHT},
    {"SENT", NULL, STATS(processed), SHOW_SIZE, LOOK_SPARE},
    {"TRIES", NULL, VIEW(attempt), SHOW_COUNT, LOOK_SPARE},
    {"BY", NULL, JOB(submitter)},
    {"REASON", NULL, JOB(reason), .look = LOOK_SPARE},
    {"WHY", NULL, VIEW(text), .look = LOOK_WRAP},
    {0},
};

int job_history(struct client *client, const struct args *args)
{
    RmHistory history = RM_HISTORY__INIT;
    history.guest = args->operands[0];
    history.limit = args->limit;
    RmRequest request = client_request(RM_REQUEST__ASK_HISTORY, &history);
    RmReply *reply;
    int code = client_question(client, &request, 0, NULL, &reply);
    if (code != EXIT_OK)
        return code;
    if (reply->n_jobs == 0 && !args->json)
        out_note("%s was never moved", args->operands[0]);
    return listing_print(args, "history", args->json ? view_columns : history_columns,
                         (void **)reply->jobs, reply->n_jobs, NULL);
}

/* ---- show */

#define EVENT(field) FIELD(RmEvent, field)

static const struct column event_columns[] = {
    {"TIME", NULL, EVENT(at), SHOW_TIME},           {"EVENT", NULL, PUT(view_put_event)},
    {"STATE", NULL, PUT(view_put_event_state)},     {"BY", NULL, EVENT(who)},
    {"TEXT", NULL, EVENT(text), .look = LOOK_WRAP}, {0},
};

static void print_job_json(const RmReply *reply)
{
    struct json json = {.file = stdout};
    json_open(&json, NULL, '{');
    view_whole(&json, reply);
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
    RmRequest request = client_request(RM_REQUEST__ASK_SHOW, &show);
    RmReply *reply;
    int code = client_question(client, &request, 0, NULL, &reply);
    if (code != EXIT_OK)
        return code;
    if (reply->n_jobs == 0 || !reply->jobs[0]->job) {
        out_error("there is no job %" PRIu64, show.job);
        return EXIT_SOME_FAILED;
    }
    if (args->json) {
        print_job_json(reply);
        return EXIT_OK;
    }
    job_story(stdout, client_arena(client), reply->jobs[0]);
    if (reply->n_events == 0)
        return EXIT_OK;
    putchar('\n');
    return listing_print(args, "events", event_columns, (void **)reply->events, reply->n_events,
                         NULL);
}
