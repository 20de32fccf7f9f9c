/* job_cmd.c - commands about jobs */
#include "submit/job_cmd.h"

#include "conf/service.h"
#include "submit/command.h"
#include "submit/follow.h"
#include "submit/job_list.h"
#include "submit/json.h"
#include "submit/out.h"
#include "submit/stop_cmd.h"
#include "submit/view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How long the broker may hold an answer back until hypervisors have answered it: for a dry run of
 * many guests, and for relocations that are given other limits. */
#define DRY_RUN_MOST (10 * 60 * USEC_PER_SEC)
#define MODIFY_MOST  (60 * USEC_PER_SEC)

/* ---- submit and evacuate */

/* What the jobs are asked for; relocation: room for the operands of z/VM. */
static RmOptions options_of(const struct args *args, RmRelocation *relocation)
{
    RmOptions options = args->options;
    bool some = operands_relocation(&args->zvm, relocation);
    /* --dry-run is a test whatever the action that is not carried out */
    if (args->dry_run && args->zvm.action == ACTION_MOVE)
        relocation->action = (char *)"";
    options.relocation = some ? relocation : NULL;
    return options;
}

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
    fflush(stdout); /* before anything is drawn */
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
    if (args->zvm.action == ACTION_CANCEL)
        return stop_guests(client, args);
    RmRelocation relocation;
    RmOptions options = options_of(args, &relocation);
    RmSubmit submit = RM_SUBMIT__INIT;
    submit.guests = args->operands[0];
    submit.to = (char *)args->to;
    submit.options = &options;
    submit.priority = args->priority;
    submit.reason = (char *)args->reason;
    submit.dry_run = args->dry_run;
    submit.wait_for = args->dry_run ? DRY_RUN_MOST : 0;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_SUBMIT;
    request.submit = &submit;
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return out_no_memory();
    int code = client_question(client, &request, submit.wait_for, arena, &reply);
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
    RmRelocation relocation;
    RmOptions options = options_of(args, &relocation);
    RmEvacuate evacuate = RM_EVACUATE__INIT;
    evacuate.hosts = args->operands[0];
    evacuate.to = (char *)args->to;
    evacuate.options = &options;
    evacuate.priority = args->priority;
    evacuate.reason = (char *)args->reason;
    evacuate.plan_only = args->plan;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_EVACUATE;
    request.evacuate = &evacuate;
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return out_no_memory();
    int code = client_question(client, &request, 0, arena, &reply);
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
            return out_no_memory();
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

static int add_batch(struct client *client, struct numbers *numbers, uint64_t batch)
{
    RmSelect what = RM_SELECT__INIT;
    what.batch = batch;
    RmListJobs list = RM_LIST_JOBS__INIT;
    list.what = &what;
    list.finished = true;
    struct job_pages pages = {0};
    struct arena *arena = arena_new(0);
    int code = arena ? job_pages_ask(client, &list, 0, arena, &pages) : out_no_memory();
    if (code == EXIT_OK && pages.n == 0) {
        out_error("there is no job and no batch %" PRIu64, batch);
        code = EXIT_SOME_FAILED;
    }
    for (size_t i = 0; code == EXIT_OK && i < pages.n; i++)
        code = add_job(numbers, pages.jobs[i]->job->id);
    arena_free(arena);
    return code;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* A job may have been named by its own number and by its batch's. */
static void drop_doubles(struct numbers *numbers)
{
    size_t n = 0;
    qsort(numbers->jobs, numbers->n, sizeof(uint64_t), compare_ids);
    for (size_t i = 0; i < numbers->n; i++)
        if (n == 0 || numbers->jobs[n - 1] != numbers->jobs[i])
            numbers->jobs[n++] = numbers->jobs[i];
    numbers->n = n;
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
    if (numbers->n > 0)
        drop_doubles(numbers);
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

/* Which jobs; numbers: owned by who called, for as long as `what` is used. */
static int selection(const struct args *args, struct numbers *numbers, RmSelect *what)
{
    int code = select_jobs(args, numbers);
    rm_select__init(what);
    what->reason = (char *)args->reason;
    what->guests = (char *)args->guests;
    what->host = (char *)args->host;
    what->batch = args->batch;
    what->all = args->all;
    what->jobs = numbers->jobs;
    what->n_jobs = numbers->n;
    return code;
}

static int change(struct client *client, const struct args *args, RmRequest__AskCase ask,
                  RmSelect *what)
{
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = ask;
    request.cancel = what; /* one union: all these asks are a selection */
    char nothing[64];
    snprintf(nothing, sizeof(nothing), "nothing to %s", args->command->name);
    return view_question(client, &request, 0, args->json, nothing);
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
    if (asks[i].ask == RM_REQUEST__ASK_RELEASE) {
        what.guests = args->operands[0];
        what.reason = (char *)args->reason;
    } else
        code = selection(args, &numbers, &what);
    if (code == EXIT_OK)
        code = change(client, args, asks[i].ask, &what);
    free(numbers.jobs);
    return code;
}

int job_modify(struct client *client, const struct args *args)
{
    RmSelect what;
    struct numbers numbers = {0};
    int code = selection(args, &numbers, &what);
    RmModify modify = RM_MODIFY__INIT;
    modify.what = &what;
    modify.max_total = (char *)args->zvm.max_total;
    modify.max_quiesce = (char *)args->zvm.max_quiesce;
    modify.wait_for = MODIFY_MOST;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_MODIFY;
    request.modify = &modify;
    if (code == EXIT_OK)
        code = view_question(client, &request, modify.wait_for, args->json, "nothing to modify");
    free(numbers.jobs);
    return code;
}
