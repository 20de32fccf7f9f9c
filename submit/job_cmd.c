/* job_cmd.c - commands about jobs */
#include "submit/job_cmd.h"

#include "conf/array.h"
#include "conf/service.h"
#include "submit/cancel_cmd.h"
#include "submit/follow.h"
#include "submit/job_pages.h"
#include "submit/listing.h"
#include "submit/out.h"
#include "submit/outcome.h"
#include "submit/plan_cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* How long the broker may hold an answer back until hypervisors have answered it: for a dry run of
 * many guests, and for migrations that are given other limits. */
#define DRY_RUN_MOST (10 * 60 * USEC_PER_SEC)
#define MODIFY_MOST  (60 * USEC_PER_SEC)

/* ---- submit and evacuate */

/* What the jobs are asked for; relocation: where the operands of z/VM are put. */
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
static int print_refused(const struct args *args, const RmReply *reply)
{
    int code = EXIT_OK;
    if (!args->json)
        return outcome_print(args, reply);
    for (size_t i = 0; i < reply->n_outcomes; i++) {
        listing_line(outcome_columns, reply->outcomes[i]);
        code = reply->outcomes[i]->ok ? code : EXIT_SOME_FAILED;
    }
    return code;
}

static const struct column batch_columns[] = {
    {NULL, "batch", FIELD(RmReply, batch), SHOW_ANY}, {NULL, "jobs", FIELD(RmReply, count)}, {0}};

static void print_batch(const struct args *args, const RmReply *reply)
{
    if (args->json)
        listing_line(batch_columns, reply);
    else
        printf("batch %" PRIu64 ": %" PRIu32 " job%s\n", reply->batch, reply->count,
               reply->count == 1 ? "" : "s");
}

/* The jobs are made: prints what is known, and follows them unless --detach was given. code:
 * so far. */
static int go_on(struct client *client, const struct args *args, const RmReply *reply, int code)
{
    int refused = print_refused(args, reply);
    code = code == EXIT_OK ? refused : code;
    fflush(stdout); /* before anything is drawn */
    if (args->detach) {
        if (reply->batch != 0)
            print_batch(args, reply);
        return code;
    }
    if (reply->batch == 0) {
        if (out_is_sound() &&
            (code == EXIT_OK || reply->n_outcomes > 0)) /* else one error says it all */
            follow_nothing(args, reply);
        return code;
    }
    if (args->verbose)
        out_note("batch %" PRIu64 ", %" PRIu32 " jobs, broker at %s", reply->batch, reply->count,
                 client_endpoint(client));
    RmSelect what = RM_SELECT__INIT;
    what.batch = reply->batch;
    if (!(what.jobs = calloc(reply->n_outcomes + 1, sizeof(*what.jobs))))
        return out_no_memory();
    for (size_t i = 0; i < reply->n_outcomes; i++) /* that take guests away as well */
        if (reply->outcomes[i]->job)
            what.jobs[what.n_jobs++] = reply->outcomes[i]->job;
    int followed = follow_jobs(client, args, &what, reply->batch, reply);
    free(what.jobs);
    /* it counts those who were refused */
    return followed == EXIT_OK && refused == EXIT_OK ? code : followed;
}

int job_submit(struct client *client, const struct args *args)
{
    if (args->zvm.action == ACTION_CANCEL)
        return cancel_guests(client, args);
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
    RmRequest request = client_request(RM_REQUEST__ASK_SUBMIT, &submit);
    RmReply *reply;
    int code = client_question(client, &request, submit.wait_for, NULL, &reply);
    if (reply && args->dry_run) {
        int refused = args->json || reply->n_outcomes ? outcome_print(args, reply) : EXIT_OK;
        return code == EXIT_OK ? refused : code;
    }
    return reply ? go_on(client, args, reply, code) : code;
}

/* Prints the plan that was asked for, or waits for the jobs. */
static int plan_or_go_on(struct client *client, const struct args *args, const RmReply *reply,
                         int code, const char *nobody)
{
    if (code == EXIT_OK && reply->n_outcomes == 0 && args->plan)
        out_note("%s %s", nobody, args->operands[0]);
    if (!args->plan)
        return go_on(client, args, reply, code);
    int plan = code == EXIT_OK || reply->n_outcomes > 0 ? plan_print(args, reply) : code;
    return code == EXIT_OK ? plan : code;
}

/* A plan has its options. */
static int apply_plan(struct client *client, const struct args *args)
{
    RmRelocation relocation;
    RmOptions options = options_of(args, &relocation);
    if (args->plan || args->no_room || args->local || args->priority || *args->to != '\0' ||
        *args->reason != '\0' || rm_options__get_packed_size(&options) > 0) {
        out_error("--apply carries out a plan with the options that it was made with: give them "
                  "with --plan");
        return EXIT_USAGE;
    }
    RmApply apply = RM_APPLY__INIT;
    apply.plan = args->apply;
    apply.replan = args->replan;
    RmRequest request = client_request(RM_REQUEST__ASK_APPLY, &apply);
    RmReply *reply;
    int code = client_question(client, &request, 0, NULL, &reply);
    if (reply && code == EXIT_CHANGED)
        plan_print_changes(args, reply);
    else if (reply)
        code = go_on(client, args, reply, code);
    return code;
}

int job_evacuate(struct client *client, const struct args *args)
{
    if (args->apply)
        return apply_plan(client, args);
    RmRelocation relocation;
    RmOptions options = options_of(args, &relocation);
    RmEvacuate evacuate = RM_EVACUATE__INIT;
    evacuate.hosts = args->operands[0];
    evacuate.to = (char *)args->to;
    evacuate.options = &options;
    evacuate.priority = args->priority;
    evacuate.reason = (char *)args->reason;
    evacuate.plan_only = args->plan;
    evacuate.no_room = args->no_room;
    evacuate.keep = args->plan;
    RmRequest request = client_request(RM_REQUEST__ASK_EVACUATE, &evacuate);
    RmReply *reply;
    int code = client_question(client, &request, 0, NULL, &reply);
    return reply ? plan_or_go_on(client, args, reply, code, "no guest runs on") : code;
}

int job_restore(struct client *client, const struct args *args)
{
    if (*args->to != '\0') {
        out_error("restore: --to has no meaning, guests come home; see rmigrate submit");
        return EXIT_USAGE;
    }
    RmRelocation relocation;
    RmOptions options = options_of(args, &relocation);
    RmRestore restore = RM_RESTORE__INIT;
    restore.hosts = args->operands[0];
    restore.options = &options;
    restore.priority = args->priority;
    restore.reason = (char *)args->reason;
    restore.plan_only = args->plan;
    restore.no_room = args->no_room;
    restore.all = args->all;
    RmRequest request = client_request(RM_REQUEST__ASK_RESTORE, &restore);
    RmReply *reply;
    int code = client_question(client, &request, 0, NULL, &reply);
    return reply ? plan_or_go_on(client, args, reply, code, "no guest is away from") : code;
}

/* ---- watch and wait */

/* What the operands of watch and wait mean. */
struct numbers {
    uint64_t *jobs; /* owned */
    size_t n, room;
    uint64_t *batches; /* owned */
    size_t n_batches, batches_room;
};

static int add_job(struct numbers *numbers, uint64_t id)
{
    uint64_t *job = ARRAY_ADD(numbers->jobs, numbers->n, numbers->room);
    if (!job)
        return out_no_memory();
    *job = id;
    return EXIT_OK;
}

/* Is it the number of a job? Otherwise it is a batch's: both come from one counter. */
static int is_job(struct client *client, uint64_t id, bool *ret_yes)
{
    RmShow show = RM_SHOW__INIT;
    show.job = id;
    RmRequest request = client_request(RM_REQUEST__ASK_SHOW, &show);
    RmReply *reply;
    struct rm_err err = {0};
    int r = client_ask(client, &request, 0, client_arena(client), &reply, &err);
    if (r < 0 && r != -EINTR)
        out_error("%s", err.text);
    if (r >= 0)
        *ret_yes = reply->code == RM_CODE__CODE_OK && reply->n_jobs > 0;
    return r < 0 ? client_code(client, r) : EXIT_OK;
}

/* A number that is none is told before anything is waited for. */
static int add_batch(struct client *client, struct numbers *numbers, uint64_t batch)
{
    RmSelect what = RM_SELECT__INIT;
    what.batch = batch;
    RmListJobs list = RM_LIST_JOBS__INIT;
    list.what = &what;
    list.finished = true;
    struct job_pages pages = {0};
    int code = job_pages_ask(client, &list, 1, client_arena(client), &pages);
    if (code != EXIT_OK)
        return code;
    for (size_t i = 0; i < numbers->n_batches; i++)
        if (numbers->batches[i] == batch)
            return EXIT_OK;
    uint64_t *added = ARRAY_ADD(numbers->batches, numbers->n_batches, numbers->batches_room);
    if (!added)
        return out_no_memory();
    *added = batch;
    return EXIT_OK;
}

static void drop_doubles(struct numbers *numbers)
{
    size_t n = 0;
    qsort(numbers->jobs, numbers->n, sizeof(uint64_t), array_compare_u64);
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
    }
    if (numbers->n > 0)
        drop_doubles(numbers);
    return code;
}

/* The jobs, or what is not finished, or one batch: each has an account of its own. */
static int follow(struct client *client, const struct args *args, const struct numbers *jobs,
                  uint64_t batch)
{
    RmSelect what = RM_SELECT__INIT;
    what.batch = batch;
    what.all = args->n_operands == 0;
    what.jobs = jobs ? jobs->jobs : NULL;
    what.n_jobs = jobs ? jobs->n : 0;
    return follow_jobs(client, args, &what, batch, NULL);
}

/* Batches come one after the other: only who follows one as such hears what is left on the hosts of
 * an evacuation, and of jobs that are tried again. */
int job_watch(struct client *client, const struct args *args)
{
    struct numbers numbers = {0};
    int code = resolve(client, args, &numbers);
    bool usable = code == EXIT_OK;
    if (usable && (numbers.n > 0 || numbers.n_batches == 0))
        code = follow(client, args, &numbers, 0);
    for (size_t i = 0; usable && i < numbers.n_batches && code <= EXIT_SOME_FAILED; i++) {
        int one = follow(client, args, NULL, numbers.batches[i]);
        code = one == EXIT_OK ? code : one;
    }
    free(numbers.batches);
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
    what->site = args->site;
    what->jobs = numbers->jobs;
    what->n_jobs = numbers->n;
    return code;
}

int job_change(struct client *client, const struct args *args)
{
    RmSelect what;
    struct numbers numbers = {0};
    int code = selection(args, &numbers, &what);
    RmRequest request = client_request(args->ask, &what);
    char nothing[64];
    snprintf(nothing, sizeof(nothing), "nothing to %s", args->command);
    if (code == EXIT_OK)
        code = outcome_ask(client, args, &request, 0, nothing);
    free(numbers.jobs);
    return code;
}

int job_release(struct client *client, const struct args *args)
{
    RmSelect what = RM_SELECT__INIT;
    what.guests = args->operands[0];
    what.reason = (char *)args->reason;
    RmRequest request = client_request(RM_REQUEST__ASK_RELEASE, &what);
    return outcome_ask(client, args, &request, 0, "nothing to release");
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
    modify.options = (RmOptions *)&args->options;
    modify.priority = args->priority;
    modify.wait_for = MODIFY_MOST;
    RmRequest request = client_request(RM_REQUEST__ASK_MODIFY, &modify);
    if (code == EXIT_OK)
        code = outcome_ask(client, args, &request, modify.wait_for, "nothing to modify");
    free(numbers.jobs);
    return code;
}
