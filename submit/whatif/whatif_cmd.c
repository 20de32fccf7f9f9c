/* whatif_cmd.c - commands that plan without a broker, from a snapshot of its site */
#include "submit/whatif/whatif_cmd.h"

#include "broker/planner/plan.h"
#include "broker/planner/words.h"
#include "conf/array.h"
#include "conf/service.h"
#include "submit/job_cmd.h"
#include "submit/out.h"
#include "submit/plan_cmd.h"
#include "submit/whatif/snapshot.h"

#include <stdlib.h>
#include <string.h>

int whatif_snapshot(struct client *client, const struct args *args)
{
    RmAskSnapshot ask = RM_ASK_SNAPSHOT__INIT;
    RmRequest request = client_request(RM_REQUEST__ASK_SNAPSHOT, &ask);
    RmReply *reply;
    (void)args;
    int code = client_question(client, &request, 0, NULL, &reply);
    if (reply && reply->snapshot)
        snapshot_print(client_arena(client), reply->snapshot);
    return code;
}

/* ---- from the snapshot to the planner's */

struct whatif {
    const RmSnapshot *shot;
    struct arena *arena;
    uint32_t *empty; /* hosts that are emptied; in the arena, as all that follows */
    size_t n_empty;
    uint32_t *to; /* --to */
    size_t n_to;
    bool ignore_rules;
    uint32_t *leave; /* guests of the snapshot that leave, as the broker counts them */
    size_t n_leave;
};

static void *keep(const struct whatif *whatif, size_t n, size_t size)
{
    return must(arena_alloc(whatif->arena, (n + 1) * size));
}

static uint32_t host_number(const RmSnapshot *shot, const char *name)
{
    size_t low = 0, high = shot->n_hosts;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(shot->hosts[middle]->name, name);
        if (order == 0)
            return (uint32_t)middle;
        low = order < 0 ? middle + 1 : low;
        high = order < 0 ? high : middle;
    }
    return PLAN_NONE;
}

static uint32_t rule_number(const RmSnapshot *shot, const char *text)
{
    size_t low = 0, high = shot->n_rules;
    while (low + 1 < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(shot->rules[middle]->text, text) <= 0)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

static const uint32_t *host_numbers(const struct whatif *whatif, char *const *names, size_t n)
{
    uint32_t *numbers = keep(whatif, n, sizeof(*numbers));
    for (size_t i = 0; i < n; i++)
        numbers[i] = host_number(whatif->shot, names[i]);
    return numbers;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Names with commas between: there are no groups without a broker. By name, each once, as a noderange. */
static int read_hosts(const struct whatif *whatif, const char *text, uint32_t **ret, size_t *ret_n)
{
    char *list = must(arena_strdup(whatif->arena, text)), *save = NULL;
    *ret = keep(whatif, strlen(text), sizeof(**ret));
    size_t n = 0;
    *ret_n = 0;
    for (char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        uint32_t number = host_number(whatif->shot, name);
        if (number == PLAN_NONE) {
            out_error("the snapshot has no host %s (without a broker, hosts are names with commas "
                      "between)",
                      name);
            return EXIT_SOME_FAILED;
        }
        (*ret)[n++] = number;
    }
    if (n > 0)
        qsort(*ret, n, sizeof(**ret), by_number);
    for (size_t i = 0; i < n; i++)
        if (*ret_n == 0 || (*ret)[i] != (*ret)[*ret_n - 1])
            (*ret)[(*ret_n)++] = (*ret)[i];
    return EXIT_OK;
}

static bool is_listed(const uint32_t *list, size_t n, uint32_t number)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == number)
            return true;
    return false;
}

static int by_name(const void *a, const void *b, void *shot)
{
    RmSnapshotGuest *const *guests = ((const RmSnapshot *)shot)->guests;
    return strcmp(guests[*(const uint32_t *)a]->name, guests[*(const uint32_t *)b]->name);
}

/* Host by host, and there by name, as the broker does. */
static void find_leaving(struct whatif *whatif)
{
    const RmSnapshot *shot = whatif->shot;
    whatif->leave = keep(whatif, shot->n_guests, sizeof(*whatif->leave));
    for (size_t i = 0; i < whatif->n_empty; i++) {
        size_t first = whatif->n_leave;
        for (uint32_t k = 0; k < shot->n_guests; k++)
            if (shot->guests[k]->leaves &&
                strcmp(shot->guests[k]->host, shot->hosts[whatif->empty[i]]->name) == 0)
                whatif->leave[whatif->n_leave++] = k;
        qsort_r(whatif->leave + first, whatif->n_leave - first, sizeof(*whatif->leave), by_name,
                (void *)shot);
    }
}

/* The snapshot's guests of one question to the planner. */
struct question {
    struct plan_site site;
    struct plan_host *hosts;
    struct plan_guest *guests;
    uint32_t *numbers; /* of each guest, in the snapshot */
    struct plan_place *places;
};

static void add_guest(const struct whatif *whatif, struct question *question, uint32_t number,
                      enum plan_wish wish)
{
    const RmSnapshotGuest *is = whatif->shot->guests[number];
    struct plan_guest *guest = &question->guests[question->site.n_guests];
    bool free = whatif->ignore_rules && wish == PLAN_LEAVES;
    uint32_t *rules = keep(whatif, is->n_rules, sizeof(*rules));
    for (size_t i = 0; i < is->n_rules; i++)
        rules[i] = rule_number(whatif->shot, is->rules[i]);
    *guest = (struct plan_guest){
        .has = {is->memory, is->vcpus},
        .host = host_number(whatif->shot, is->host),
        .wish = wish,
        .to = host_numbers(whatif, is->to, is->n_to),
        .n_to = is->n_to,
        .never = host_numbers(whatif, is->never, is->n_never),
        .n_never = is->n_never,
        .prefer = host_numbers(whatif, is->prefer, is->n_prefer),
        .n_prefer = free ? 0 : is->n_prefer,
        .rules = rules,
        .n_rules = free ? 0 : is->n_rules,
    };
    if (wish == PLAN_LEAVES && whatif->n_to > 0) {
        guest->to = whatif->to;
        guest->n_to = whatif->n_to;
    }
    question->numbers[question->site.n_guests++] = number;
}

static void show_hosts(const struct whatif *whatif, struct question *question)
{
    const RmSnapshot *shot = whatif->shot;
    question->hosts = keep(whatif, shot->n_hosts, sizeof(*question->hosts));
    for (uint32_t i = 0; i < shot->n_hosts; i++) {
        const RmSnapshotHost *is = shot->hosts[i];
        question->hosts[i] = (struct plan_host){
            .all = {is->memory, is->vcpus},
            .used = {is->memory_used, is->vcpus_used},
            .n_used = is->guests_used,
            .group = host_number(shot, is->group),
            .takes = is->takes && !is_listed(whatif->empty, whatif->n_empty, i),
            .last = is->last,
        };
    }
    question->site.hosts = question->hosts;
    question->site.n_hosts = shot->n_hosts;
}

static void show_rules(const struct whatif *whatif, struct question *question, const bool *asked)
{
    const RmSnapshot *shot = whatif->shot;
    enum plan_rule *rules = keep(whatif, shot->n_rules, sizeof(*rules));
    size_t most = 0;
    for (size_t i = 0; i < shot->n_rules; i++)
        most += shot->rules[i]->n_hosts;
    for (size_t i = 0; i < shot->n_guests; i++)
        most += shot->guests[i]->n_rules;
    question->places = keep(whatif, most, sizeof(*question->places));
    for (uint32_t i = 0; i < shot->n_rules; i++) {
        rules[i] = shot->rules[i]->together ? PLAN_TOGETHER : PLAN_APART;
        for (size_t k = 0; k < shot->rules[i]->n_hosts; k++)
            question->places[question->site.n_places++] =
                (struct plan_place){i, host_number(shot, shot->rules[i]->hosts[k])};
    }
    for (size_t i = 0; i < shot->n_guests; i++) {
        const RmSnapshotGuest *guest = shot->guests[i];
        bool counts = !asked[i] && (guest->leaves || guest->moves);
        for (size_t k = 0; k < guest->n_rules && counts; k++)
            question->places[question->site.n_places++] = (struct plan_place){
                rule_number(shot, guest->rules[k]), host_number(shot, guest->host)};
    }
    question->site.rules = rules;
    question->site.n_rules = shot->n_rules;
    question->site.places = question->places;
}

/* room: others may be moved. Whoever is not, and would count as such for the snapshot, takes what it has. */
static void ask(const struct whatif *whatif, bool room, struct question *question)
{
    const RmSnapshot *shot = whatif->shot;
    bool *asked = keep(whatif, shot->n_guests, sizeof(*asked));
    *question = (struct question){
        .guests = keep(whatif, shot->n_guests, sizeof(*question->guests)),
        .numbers = keep(whatif, shot->n_guests, sizeof(*question->numbers)),
    };
    show_hosts(whatif, question);
    for (size_t i = 0; i < whatif->n_leave; i++) {
        add_guest(whatif, question, whatif->leave[i], PLAN_LEAVES);
        asked[whatif->leave[i]] = true;
    }
    for (uint32_t i = 0; i < shot->n_guests; i++) {
        const RmSnapshotGuest *guest = shot->guests[i];
        uint32_t host = host_number(shot, guest->host);
        bool moves = room && guest->moves && !asked[i] && question->hosts[host].takes;
        if (moves) {
            add_guest(whatif, question, i, PLAN_MAY_MOVE);
            asked[i] = true;
        } else if (guest->moves) {
            question->hosts[host].used.memory += guest->memory;
            question->hosts[host].used.vcpus += guest->vcpus;
            question->hosts[host].n_used++;
        }
    }
    show_rules(whatif, question, asked);
    question->site.guests = question->guests;
}

/* ---- from the plan to what is printed */

static RmOutcome *add_outcome(const struct whatif *whatif, RmReply *reply,
                              const RmSnapshotGuest *guest, bool ok, const char *text)
{
    RmOutcome *outcome = keep(whatif, 1, sizeof(*outcome));
    rm_outcome__init(outcome);
    outcome->name = outcome->guest = guest->name;
    outcome->source = guest->host;
    outcome->ok = ok;
    outcome->text = must(arena_strdup(whatif->arena, text));
    must(ARENA_PUSH(whatif->arena, reply->n_outcomes, reply->outcomes, outcome) < 0 ? NULL
                                                                                    : outcome);
    return outcome;
}

static void tell_step(const struct whatif *whatif, const struct question *question,
                      const struct plan *plan, size_t i, RmReply *reply)
{
    const RmSnapshot *shot = whatif->shot;
    const struct plan_step *step = &plan->steps[i];
    const RmSnapshotGuest *guest = shot->guests[question->numbers[step->guest]];
    const RmSnapshotGuest *room =
        step->room_for != PLAN_NONE ? shot->guests[question->numbers[step->room_for]] : NULL;
    const struct plan_step *last =
        step->n_after > 0 ? &plan->steps[step->after[step->n_after - 1]] : NULL;
    char text[PLAN_WORDS_SIZE];
    const struct plan_names names = {
        .from = guest->host,
        .to = shot->hosts[step->to]->name,
        .room_for = room ? room->name : NULL,
        .rule = step->rule != PLAN_NONE ? shot->rules[step->rule]->text : NULL,
        .after = last ? shot->guests[question->numbers[last->guest]]->name : NULL,
        .n_after = step->n_after,
    };
    RmOutcome *outcome = add_outcome(whatif, reply, guest, true, plan_words(text, &names));
    outcome->destination = (char *)names.to;
    outcome->step = (uint32_t)i + 1;
    if (names.room_for)
        outcome->room_for = (char *)names.room_for;
    if (names.rule)
        outcome->rule = (char *)names.rule;
    outcome->after = keep(whatif, step->n_after, sizeof(*outcome->after));
    for (size_t k = 0; k < step->n_after; k++)
        outcome->after[outcome->n_after++] = (uint32_t)step->after[k] + 1;
}

/* Guests that cannot leave at all. */
static void tell_left(const struct whatif *whatif, RmReply *reply)
{
    for (size_t i = 0; i < whatif->shot->n_guests; i++) {
        const RmSnapshotGuest *guest = whatif->shot->guests[i];
        if (!guest->leaves &&
            is_listed(whatif->empty, whatif->n_empty, host_number(whatif->shot, guest->host)))
            add_outcome(whatif, reply, guest, false, guest->why);
    }
}

static void plan(struct whatif *whatif, bool may_make_room, RmReply *reply)
{
    struct question question;
    find_leaving(whatif);
    ask(whatif, false, &question);
    struct plan plan = plan_make(&question.site, 0);
    if (plan.n_without > 0 && may_make_room) {
        plan_done(&plan);
        ask(whatif, true, &question);
        plan = plan_make(&question.site, PLAN_BUDGET);
    }
    for (size_t i = 0; i < plan.n_steps; i++)
        tell_step(whatif, &question, &plan, i, reply);
    for (size_t i = 0; i < plan.n_without; i++)
        add_outcome(whatif, reply, whatif->shot->guests[question.numbers[plan.without[i]]], false,
                    "no host of the snapshot that it may go to has a place for it");
    plan_done(&plan);
    tell_left(whatif, reply);
}

static int plan_of(const struct args *args, const RmSnapshot *shot, struct arena *arena)
{
    struct whatif whatif = {
        .shot = shot, .arena = arena, .ignore_rules = args->options.ignore_rules};
    RmReply reply = RM_REPLY__INIT;
    int code = read_hosts(&whatif, args->operands[0], &whatif.empty, &whatif.n_empty);
    if (code == EXIT_OK)
        code = read_hosts(&whatif, args->to, &whatif.to, &whatif.n_to);
    if (code != EXIT_OK)
        return code;
    plan(&whatif, !args->no_room, &reply);
    if (reply.n_outcomes == 0)
        out_note("no guest runs on %s", args->operands[0]);
    return plan_print(args, &reply);
}

int whatif_evacuate(struct client *client, const struct args *args)
{
    if (!args->snapshot)
        return job_evacuate(client, args);
    /* With an arena of its own for what is made of it, a snapshot that could be read can be planned with. */
    struct arena *read = arena_new(0), *made = arena_new(0);
    struct rm_err err = {0};
    RmSnapshot *shot;
    int code = EXIT_USAGE;
    if (!read || !made)
        code = out_no_memory();
    else if (snapshot_read(args->snapshot, read, &shot, &err) < 0)
        out_error("%s: %s", args->snapshot, err.text);
    else
        code = plan_of(args, shot, made);
    arena_free(read);
    arena_free(made);
    return code;
}
