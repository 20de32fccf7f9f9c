/* bundle.c - those that PLAN_TOGETHER holds on one host become one guest */
#include "broker/planner/bundle.h"

#include "conf/array.h"

#include <stdlib.h>
#include <string.h>

enum {
    MATES_MOST = 16,   /* hosts of others of a rule that are preferred */
    NUMBERS_FIRST = 64 /* numbers that have room at first */
};

/* Somebody of a rule is on a host. */
struct tie {
    uint32_t rule, host;
    uint32_t guest; /* PLAN_NONE: one that is not to be moved */
};

static int by_rule(const void *a, const void *b)
{
    const struct tie *x = a, *y = b;

    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    return x->guest < y->guest ? -1 : x->guest > y->guest;
}

static struct tie *all_ties(const struct plan_site *site, size_t *ret_n)
{
    struct tie *ties = NULL;
    size_t n = 0, room = 0;

    for (uint32_t i = 0; i < site->n_guests; i++)
        for (size_t k = 0; k < site->guests[i].n_rules; k++)
            if (site->rules[site->guests[i].rules[k]] == PLAN_TOGETHER)
                *ARRAY_MUST_ADD(ties, n, room) =
                    (struct tie){site->guests[i].rules[k], site->guests[i].host, i};
    if (n > 0)
        for (size_t i = 0; i < site->n_places; i++)
            if (site->rules[site->places[i].rule] == PLAN_TOGETHER)
                *ARRAY_MUST_ADD(ties, n, room) =
                    (struct tie){site->places[i].rule, site->places[i].host, PLAN_NONE};
    if (n > 0)
        qsort(ties, n, sizeof(*ties), by_rule);
    *ret_n = n;
    return ties;
}

/* ---- who belongs together: the least number of each bundle stands for it */

static uint32_t head_of(uint32_t *heads, uint32_t guest)
{
    while (heads[guest] != guest)
        guest = heads[guest] = heads[heads[guest]];
    return guest;
}

static void join(uint32_t *heads, uint32_t one, uint32_t other)
{
    uint32_t a = head_of(heads, one), b = head_of(heads, other);

    heads[a < b ? b : a] = a < b ? a : b;
}

static void find_heads(const struct plan_site *site, const struct tie *ties, size_t n,
                       uint32_t *heads)
{
    for (uint32_t i = 0; i < site->n_guests; i++)
        heads[i] = i;
    for (size_t i = 1; i < n; i++)
        if (ties[i].rule == ties[i - 1].rule && ties[i].host == ties[i - 1].host &&
            ties[i].guest != PLAN_NONE && ties[i].host != PLAN_NONE)
            join(heads, ties[i - 1].guest, ties[i].guest);
    for (uint32_t i = 0; i < site->n_guests; i++)
        heads[i] = head_of(heads, i);
}

/* ---- the guests that stand for them */

struct making {
    const struct plan_site *site;
    struct bundles *bundles;
    size_t n_numbers, numbers_room;
    uint32_t *units; /* of each guest: the one that stands for it */
    bool *stuck;     /* of each unit */
    const struct tie *ties;
    size_t n_ties;
};

/* Lists are kept as offsets until all are made: the array moves as it grows. */
struct list {
    size_t at, n;
};
struct lists {
    struct list to, never, prefer, rules;
};

static bool has(const uint32_t *list, size_t n, uint32_t number)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == number)
            return true;
    return false;
}

static struct list new_list(const struct making *making)
{
    return (struct list){making->n_numbers, 0};
}

static void add(struct making *making, struct list *list, uint32_t number)
{
    *ARRAY_MUST_ADD(making->bundles->numbers, making->n_numbers, making->numbers_room) = number;
    list->n++;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Each number of the newest list stays once. */
static void drop_doubles(struct making *making, struct list *list)
{
    uint32_t *numbers = making->bundles->numbers + list->at;
    size_t n = 0;

    qsort(numbers, list->n, sizeof(*numbers), by_number);
    for (size_t i = 0; i < list->n; i++)
        if (i == 0 || numbers[i] != numbers[n - 1])
            numbers[n++] = numbers[i];
    list->n = n;
    making->n_numbers = list->at + n;
}

/* Those of one unit, by what each of them has. */
static void gather(struct making *making, uint32_t unit, struct lists *lists)
{
    const struct plan_guest *guests = making->site->guests;
    const struct bundles *bundles = making->bundles;
    const uint32_t *members = bundles->members + bundles->first[unit];
    size_t n = bundles->first[unit + 1] - bundles->first[unit];
    const struct plan_guest *named = NULL;

    lists->never = new_list(making);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < guests[members[i]].n_never; k++)
            add(making, &lists->never, guests[members[i]].never[k]);
    drop_doubles(making, &lists->never);
    lists->rules = new_list(making);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < guests[members[i]].n_rules; k++)
            add(making, &lists->rules, guests[members[i]].rules[k]);
    drop_doubles(making, &lists->rules);
    lists->to = new_list(making);
    for (size_t i = 0; i < n; i++)
        named = guests[members[i]].n_to > 0 ? &guests[members[i]] : named;
    for (size_t k = 0; named && k < named->n_to; k++) {
        bool all = true;
        for (size_t i = 0; i < n; i++) {
            const struct plan_guest *one = &guests[members[i]];
            all = all && (one->n_to == 0 || has(one->to, one->n_to, named->to[k]));
        }
        if (all)
            add(making, &lists->to, named->to[k]);
    }
    making->stuck[unit] = making->stuck[unit] || (named && lists->to.n == 0);
    for (size_t i = 1; i < n; i++)
        if (guests[members[i]].wish != guests[members[0]].wish)
            making->stuck[unit] = true;
}

static size_t first_tie(const struct making *making, const struct tie *tie)
{
    size_t at = 0, end = making->n_ties;

    while (at < end) {
        size_t middle = (at + end) / 2;
        if (by_rule(&making->ties[middle], tie) < 0)
            at = middle + 1;
        else
            end = middle;
    }
    return at;
}

/* What its members prefer; then hosts of others, wherever its rules have them. */
static void gather_wishes(struct making *making, uint32_t unit, uint32_t host, struct lists *lists)
{
    const struct plan_site *site = making->site;
    const struct bundles *bundles = making->bundles;

    lists->prefer = new_list(making);
    for (uint32_t i = bundles->first[unit]; i < bundles->first[unit + 1]; i++) {
        const struct plan_guest *one = &site->guests[bundles->members[i]];
        for (size_t k = 0; k < one->n_prefer; k++)
            add(making, &lists->prefer, one->prefer[k]);
    }
    for (size_t i = 0; i < lists->rules.n; i++) {
        struct tie first = {.rule = bundles->numbers[lists->rules.at + i]};
        size_t n = 0;
        for (size_t at = first_tie(making, &first);
             at < making->n_ties && making->ties[at].rule == first.rule && n < MATES_MOST; at++) {
            uint32_t there = making->ties[at].host;
            if (there == PLAN_NONE || there == host || !site->hosts[there].takes)
                continue;
            add(making, &lists->prefer, there);
            n++;
        }
    }
    drop_doubles(making, &lists->prefer);
}

static void sum_up(const struct making *making, uint32_t unit, struct plan_guest *guest)
{
    const struct bundles *bundles = making->bundles;
    uint32_t first = bundles->first[unit];

    *guest = making->site->guests[bundles->members[first]];
    for (uint32_t i = first + 1; i < bundles->first[unit + 1]; i++) {
        const struct plan_size *more = &making->site->guests[bundles->members[i]].has;
        guest->has.memory += more->memory;
        guest->has.vcpus += more->vcpus;
    }
}

/* Those of a rule that are on one host with one that is not to be moved. */
static void find_stuck(struct making *making)
{
    for (size_t i = making->n_ties; i-- > 1;) {
        const struct tie *one = &making->ties[i], *before = &making->ties[i - 1];
        bool stays = one->guest == PLAN_NONE || making->stuck[making->units[one->guest]];
        if (stays && one->rule == before->rule && one->host == before->host &&
            before->guest != PLAN_NONE)
            making->stuck[making->units[before->guest]] = true;
    }
}

static void make_units(struct making *making, const uint32_t *heads)
{
    struct bundles *bundles = making->bundles;
    size_t n_guests = making->site->n_guests, n = 0;

    for (uint32_t i = 0; i < n_guests; i++)
        making->units[i] = heads[i] == i ? (uint32_t)n++ : making->units[heads[i]];
    bundles->first = must(calloc(n + 2, sizeof(*bundles->first)));
    bundles->members = must(calloc(n_guests + 1, sizeof(*bundles->members)));
    bundles->guests = must(calloc(n + 1, sizeof(*bundles->guests)));
    for (uint32_t i = 0; i < n_guests; i++)
        bundles->first[making->units[i] + 2]++;
    for (size_t i = 2; i < n + 2; i++)
        bundles->first[i] += bundles->first[i - 1];
    for (uint32_t i = 0; i < n_guests; i++)
        bundles->members[bundles->first[making->units[i] + 1]++] = i;
    bundles->site = *making->site;
    bundles->site.guests = bundles->guests;
    bundles->site.n_guests = n;
}

static bool is_tied(const struct making *making, uint32_t unit)
{
    const struct plan_guest *guest =
        &making->site->guests[making->bundles->members[making->bundles->first[unit]]];

    for (size_t i = 0; i < guest->n_rules; i++)
        if (making->site->rules[guest->rules[i]] == PLAN_TOGETHER)
            return true;
    return false;
}

static void fill_units(struct making *making)
{
    struct bundles *bundles = making->bundles;
    size_t n = bundles->site.n_guests;
    struct lists *lists = must(calloc(n + 1, sizeof(*lists)));

    for (uint32_t i = 0; i < n; i++) {
        sum_up(making, i, &bundles->guests[i]);
        if (!is_tied(making, i))
            continue;
        gather(making, i, &lists[i]);
        gather_wishes(making, i, bundles->guests[i].host, &lists[i]);
        if (!making->stuck[i])
            continue;
        lists[i].to = new_list(making);
        add(making, &lists[i].to, bundles->guests[i].host);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct plan_guest *guest = &bundles->guests[i];
        if (!is_tied(making, i))
            continue;
        guest->to = bundles->numbers + lists[i].to.at;
        guest->n_to = lists[i].to.n;
        guest->never = bundles->numbers + lists[i].never.at;
        guest->n_never = lists[i].never.n;
        guest->prefer = bundles->numbers + lists[i].prefer.at;
        guest->n_prefer = lists[i].prefer.n;
        guest->rules = bundles->numbers + lists[i].rules.at;
        guest->n_rules = lists[i].rules.n;
    }
    free(lists);
}

struct bundles *bundle_all(const struct plan_site *site)
{
    size_t n;
    struct tie *ties = all_ties(site, &n);

    if (n == 0)
        return NULL;
    struct making making = {.site = site, .ties = ties, .n_ties = n};
    uint32_t *heads = must(calloc(site->n_guests + 1, sizeof(*heads)));
    making.bundles = must(calloc(1, sizeof(*making.bundles)));
    making.bundles->numbers = must(calloc(NUMBERS_FIRST, sizeof(uint32_t)));
    making.numbers_room = NUMBERS_FIRST;
    making.units = must(calloc(site->n_guests + 1, sizeof(*making.units)));
    making.stuck = must(calloc(site->n_guests + 1, sizeof(*making.stuck)));
    find_heads(site, ties, n, heads);
    make_units(&making, heads);
    find_stuck(&making);
    fill_units(&making);
    free(making.stuck);
    free(making.units);
    free(heads);
    free(ties);
    return making.bundles;
}

void bundle_free(struct bundles *bundles)
{
    if (!bundles)
        return;
    free(bundles->first);
    free(bundles->members);
    free(bundles->guests);
    free(bundles->numbers);
    free(bundles);
}
