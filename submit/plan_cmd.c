/* plan_cmd.c - plans of evacuations: what is going to be moved, in which order and why */
#include "submit/plan_cmd.h"

#include "conf/json.h"
#include "conf/service.h"
#include "conf/unit.h"
#include "submit/listing.h"
#include "submit/out.h"
#include "submit/outcome.h"

#include <inttypes.h>
#include <stdlib.h>

#define OUTCOME(field)  FIELD(RmOutcome, field)
#define EXPECTED(field) FIELD_INSIDE(RmOutcome, expected, RmExpected, field)
#define WHOLE(field)    FIELD_INSIDE(RmReply, expected, RmExpected, field)
#define PLAN(field)     FIELD(RmPlan, field)

/* ---- the steps */

static void put_after(struct cell *cell, const void *record)
{
    const RmOutcome *o = record;
    const char *text = "";
    for (size_t i = 0; i < o->n_after && text; i++)
        text = arena_printf(cell_arena(cell), i == 0 ? "%s%" PRIu32 : "%s,%" PRIu32, text,
                            o->after[i]);
    cell_text(cell, text ? text : "?");
}

static const struct column step_columns[] = {
    {"STEP", "step", OUTCOME(step), SHOW_ANY},
    {"AFTER", NULL, PUT(put_after), .look = LOOK_SPARE},
    {"GUEST", NULL, OUTCOME(name)},
    {"FROM", NULL, OUTCOME(source)},
    {"TO", NULL, OUTCOME(destination)},
    {"STARTS", "starts_in", EXPECTED(starts_for), SHOW_SPAN},
    {"TAKES", "takes", EXPECTED(takes_for), SHOW_SPAN},
    {"PAUSE", "pause", EXPECTED(pause_for), SHOW_SPAN, .look = LOOK_SPARE},
    {"NOTE", NULL, OUTCOME(text), .look = LOOK_WRAP},
    {NULL, "takes_low", EXPECTED(low_for), SHOW_SPAN},
    {NULL, "takes_high", EXPECTED(high_for), SHOW_SPAN},
    {NULL, "rule", OUTCOME(rule)},
    {0},
};

static int by_step(const void *a, const void *b)
{
    const RmOutcome *x = *(RmOutcome *const *)a, *y = *(RmOutcome *const *)b;
    return x->step < y->step ? -1 : x->step > y->step;
}

/* The steps in their order, then what is none, as it was said; owned by the caller. NULL: no memory. */
static RmOutcome **in_order(const RmReply *reply)
{
    RmOutcome **order = calloc(reply->n_outcomes + 1, sizeof(RmOutcome *));
    size_t n = 0;
    if (!order)
        return NULL;
    for (size_t i = 0; i < reply->n_outcomes; i++)
        if (reply->outcomes[i]->step > 0)
            order[n++] = reply->outcomes[i];
    qsort(order, n, sizeof(*order), by_step);
    for (size_t i = 0; i < reply->n_outcomes; i++)
        if (reply->outcomes[i]->step == 0)
            order[n++] = reply->outcomes[i];
    return order;
}

static void put_steps(struct json *json, struct arena *arena, RmOutcome *const *order, size_t n)
{
    json_open(json, "plan", '[');
    for (size_t i = 0; i < n; i++) {
        json_line(json);
        json_open(json, NULL, '{');
        listing_fields(json, outcome_columns, arena, order[i]);
        listing_fields(json, step_columns, arena, order[i]);
        json_open(json, "after", '[');
        for (size_t k = 0; k < order[i]->n_after; k++)
            json_number(json, NULL, order[i]->after[k]);
        json_close(json, ']');
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* What has changed since the plan was made that was to be applied. */
static void put_changes(struct json *json, struct arena *arena, const RmReply *reply)
{
    json_open(json, "changes", '[');
    for (size_t i = 0; i < reply->n_changes; i++) {
        json_line(json);
        json_open(json, NULL, '{');
        listing_fields(json, outcome_columns, arena, reply->changes[i]);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static int print_json(const struct column *columns, const void *record, const RmReply *reply,
                      RmOutcome *const *order)
{
    struct json json = {.file = stdout};
    struct arena *arena = arena_new(0);
    if (!arena)
        return out_no_memory();
    json_open(&json, NULL, '{');
    listing_fields(&json, columns, arena, record);
    put_steps(&json, arena, order, reply->n_outcomes);
    put_changes(&json, arena, reply);
    json_close(&json, '}');
    putchar('\n');
    arena_free(arena);
    return EXIT_OK;
}

/* Without a broker nobody knows times, and an older one says none: their columns would be empty. */
static const struct column *columns_of(const RmReply *reply, struct column *room)
{
    size_t n = 0;
    for (size_t i = 0; i < reply->n_outcomes; i++)
        if (reply->outcomes[i]->expected)
            return step_columns;
    for (const struct column *column = step_columns; column->heading || column->key; column++)
        if (!column->value.inside)
            room[n++] = *column;
    room[n] = (struct column){0};
    return room;
}

static int print_table(const struct args *args, const RmReply *reply, RmOutcome *const *order)
{
    struct column room[sizeof(step_columns) / sizeof(*step_columns)];
    struct listing *listing = listing_new(args, "plan", columns_of(reply, room));
    for (size_t i = 0; i < reply->n_outcomes; i++)
        if (order[i]->ok)
            listing_row(listing, order[i]);
    int code = listing_end(listing);
    fflush(stdout);
    for (size_t i = 0; i < reply->n_outcomes; i++)
        if (!order[i]->ok)
            out_failure(order[i]->name, order[i]->text);
    return code;
}

static const struct column number_columns[] = {
    {NULL, "number", FIELD(RmReply, plan), SHOW_ANY},
    {NULL, "takes", WHOLE(takes_for), SHOW_SPAN},
    {NULL, "takes_low", WHOLE(low_for), SHOW_SPAN},
    {NULL, "takes_high", WHOLE(high_for), SHOW_SPAN},
    {0},
};

/* When all of it is expected to be over. */
static void print_expected(const RmExpected *expected)
{
    char takes[UNIT_TEXT_MAX], low[UNIT_TEXT_MAX], high[UNIT_TEXT_MAX];
    if (expected)
        out_note("it is expected to take %s (%s to %s)%s",
                 unit_duration_text(expected->takes_for, takes),
                 unit_duration_text(expected->low_for, low),
                 unit_duration_text(expected->high_for, high),
                 expected->guess ? ", a guess: nothing is known yet of some guests or hypervisors"
                                 : "");
}

int plan_print(const struct args *args, const RmReply *reply)
{
    RmOutcome **order = in_order(reply);
    if (!order)
        return out_no_memory();
    int code = args->json ? print_json(number_columns, reply, reply, order)
                          : print_table(args, reply, order);
    for (size_t i = 0; i < reply->n_outcomes; i++)
        code = reply->outcomes[i]->ok ? code : EXIT_SOME_FAILED;
    if (!args->json)
        print_expected(reply->expected);
    if (reply->plan != 0 && !args->json)
        out_note("this is plan %" PRIu64 ": rmigrate evacuate --apply %" PRIu64, reply->plan,
                 reply->plan);
    free(order);
    return code;
}

void plan_print_changes(const struct args *args, const RmReply *reply)
{
    for (size_t i = 0; i < reply->n_changes && !args->json; i++)
        out_failure(reply->changes[i]->name, reply->changes[i]->text);
    if (reply->n_outcomes > 0 || args->json)
        (void)plan_print(args, reply);
}

/* ---- those that are kept */

static const char *state_of(const RmPlan *plan)
{
    return plan->batch ? "applied" : plan->overtaken_by ? "overtaken" : plan->old ? "old" : "made";
}

static void put_state(struct cell *cell, const void *record)
{
    cell_text(cell, state_of(record));
}

static void put_state_text(struct cell *cell, const void *record)
{
    const RmPlan *plan = record;
    const char *text = state_of(plan);
    if (plan->batch)
        text = arena_printf(cell_arena(cell), "applied as batch %" PRIu64, plan->batch);
    else if (plan->overtaken_by)
        text = arena_printf(cell_arena(cell), "overtaken by plan %" PRIu64, plan->overtaken_by);
    cell_text(cell, text ? text : "?");
}

static void put_hosts(struct cell *cell, const void *record)
{
    cell_texts(cell, ((const RmPlan *)record)->hosts, ((const RmPlan *)record)->n_hosts);
}

static void put_to(struct cell *cell, const void *record)
{
    cell_texts(cell, ((const RmPlan *)record)->to, ((const RmPlan *)record)->n_to);
}

static const struct column plan_columns[] = {
    {"PLAN", "number", PLAN(id)},
    {"MADE", "made_at", PLAN(made_at), SHOW_TIME},
    {"BY", "made_by", PLAN(made_by)},
    {"MOVES", "moves", PLAN(moves)},
    {"ROOM", "room", PLAN(room), SHOW_COUNT},
    {"LEFT", "left", PLAN(left), SHOW_COUNT},
    {"STATE", NULL, PUT(put_state_text)},
    {"HOSTS", "hosts", PUT(put_hosts), .look = LOOK_WRAP},
    {NULL, "to", PUT(put_to)},
    {NULL, "command", PLAN(command)},
    {NULL, "state", PUT(put_state)},
    {NULL, "batch", PLAN(batch), SHOW_ANY},
    {NULL, "applied_at", PLAN(applied_at), SHOW_TIME},
    {NULL, "applied_by", PLAN(applied_by)},
    {NULL, "overtaken_by", PLAN(overtaken_by), SHOW_ANY},
    {0},
};

static int show_one(const struct args *args, const RmReply *reply)
{
    RmOutcome **order = in_order(reply);
    if (!order)
        return out_no_memory();
    int code = EXIT_OK;
    if (args->json) {
        code = print_json(plan_columns, reply->plans[0], reply, order);
    } else {
        code = listing_print(args, "plans", plan_columns, (void **)reply->plans, 1, NULL);
        putchar('\n');
        int printed = print_table(args, reply, order);
        code = code == EXIT_OK ? printed : code;
    }
    free(order);
    return code;
}

int plan_list(struct client *client, const struct args *args)
{
    RmListPlans ask = RM_LIST_PLANS__INIT;
    if (args->n_operands > 0 && args_number(args->operands[0], UINT64_MAX, &ask.plan) < 0) {
        out_error("'%s' is not the number of a plan", args->operands[0]);
        return EXIT_USAGE;
    }
    RmRequest request = client_request(RM_REQUEST__ASK_PLANS, &ask);
    RmReply *reply;
    int code = client_question(client, &request, 0, NULL, &reply);
    if (code != EXIT_OK)
        return code;
    if (ask.plan != 0 && reply->n_plans == 1)
        return show_one(args, reply);
    return listing_print(args, "plans", plan_columns, (void **)reply->plans, reply->n_plans,
                         "no plan is kept: rmigrate evacuate HOSTS --plan makes one");
}
