/* plan.c - where the guests of hosts that are emptied go, and which others make room for them */
#include "broker/planner/plan.h"

#include "broker/planner/apart.h"
#include "broker/planner/bundle.h"
#include "broker/planner/room.h"
#include "broker/planner/state.h"
#include "conf/array.h"

#include <stdlib.h>
#include <string.h>

enum {
    TRIES_MOST = 40, /* of making room, of which the best is taken */
    SHUFFLED_MOST = 4,
    TRIES_PLAIN = 3, /* the first of them: always the best move */
};

#define SHARE_FIRST 0.9 /* of what is wanted, before all are placed the first time */

static int largest_first(const void *a, const void *b, void *context)
{
    const struct plan_guest *guests = context;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const struct plan_size *x = &guests[i].has, *y = &guests[k].has;

    if (x->memory != y->memory)
        return x->memory < y->memory ? 1 : -1;
    if (x->vcpus != y->vcpus)
        return x->vcpus < y->vcpus ? 1 : -1;
    return i < k ? -1 : i > k;
}

static uint32_t *leaving(const struct plan_site *site, size_t *ret_n)
{
    uint32_t *order = must(calloc(site->n_guests + 1, sizeof(*order)));
    size_t n = 0;

    for (uint32_t i = 0; i < site->n_guests; i++)
        if (site->guests[i].wish == PLAN_LEAVES)
            order[n++] = i;
    qsort_r(order, n, sizeof(*order), largest_first, (void *)site->guests);
    *ret_n = n;
    return order;
}

/* One pass over all; returns how many have no place. */
static size_t pass(struct state *state, const uint32_t *order, size_t n, bool tight)
{
    size_t without = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t to = state_find(state, order[i], tight, NULL, 0);
        if (to != PLAN_NONE)
            state_move(state, order[i], to);
        else
            without++;
    }
    return without;
}

/* ---- the best that was found */

struct found {
    const struct bundles *bundles; /* or NULL */
    struct state_move *moves;      /* owned */
    size_t n_moves, n_room, without;
    size_t guests;  /* that making room moves, each of a bundle */
    uint64_t bytes; /* theirs */
};

/* The guests of a bundle; one that is in none. */
static const uint32_t *members_of(const struct bundles *bundles, const uint32_t *guest,
                                  size_t *ret_n)
{
    *ret_n = bundles ? bundles->first[*guest + 1] - bundles->first[*guest] : 1;
    return bundles ? bundles->members + bundles->first[*guest] : guest;
}

/* Takes what the state has if it is better: then true. */
static bool keep_better(struct found *best, const struct state *state, size_t n_room,
                        size_t without)
{
    uint64_t bytes = 0;
    size_t guests = 0, n;

    for (size_t i = 0; i < n_room; i++) {
        (void)members_of(best->bundles, &state->moves[i].guest, &n);
        bytes += state->site->guests[state->moves[i].guest].has.memory;
        guests += n;
    }
    if (best->moves && (without != best->without ? without > best->without
                        : guests != best->guests ? guests > best->guests
                                                 : bytes >= best->bytes))
        return false;
    if (!best->moves)
        best->moves = must(calloc(state->site->n_guests + 1, sizeof(*best->moves)));
    memcpy(best->moves, state->moves, state->n_moves * sizeof(*best->moves));
    best->n_moves = state->n_moves;
    best->n_room = n_room;
    best->without = without;
    best->guests = guests;
    best->bytes = bytes;
    return true;
}

/* Another order, in which the large ones still come early. */
static void shuffle(uint32_t *order, size_t n, uint32_t seed)
{
    for (size_t i = 0; i + 1 < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        size_t k = i + (seed >> 16) % (n - i < SHUFFLED_MOST ? n - i : SHUFFLED_MOST);
        uint32_t one = order[i];
        order[i] = order[k];
        order[k] = one;
    }
}

/* Ways to make room until one is good enough or the budget is spent: chains alone, moves one by one, and then
 * what has done better so far, with a little chance. */
static void make_room(struct state *state, uint32_t *order, size_t n, uint64_t budget,
                      struct found *best)
{
    uint64_t end = state->work + budget;
    bool chains = true; /* the best was found by them alone */

    for (unsigned i = 0; i < TRIES_MOST && state->work < end; i++) {
        bool plain = i < TRIES_PLAIN, alone = i == 0 || (!plain && chains && i % 3 != 0);
        struct room_try how = {
            .order = order,
            .n = n,
            .share = alone ? 0 : SHARE_FIRST,
            .seed = plain ? 0 : i,
            .tight = i % 2 == 0,
            .most = state->work + (end - state->work) / 4,
        };
        size_t n_room;
        if (!plain && alone)
            shuffle(order, n, i);
        state_back(state, 0);
        size_t without = room_make(state, &how, &n_room);
        how.most = end;
        if (without <= best->without)
            n_room = room_spare(state, &how, n_room);
        if (keep_better(best, state, n_room, without))
            chains = how.share <= 0;
        if (best->without == 0 && best->n_room <= 1)
            return;
    }
}

/* ---- steps */

/* Of each host: what is there and what will come, and how many of those that leave are counted on. */
struct turn {
    struct plan_size taken;
    size_t *leave; /* steps that leave it, in order; owned */
    size_t n, room, n_counted;
    struct plan_size gone; /* of those that are counted on */
};

static bool has_room(const struct plan_host *host, const struct turn *turn,
                     const struct plan_size *needs)
{
    return turn->taken.memory - turn->gone.memory + needs->memory <= host->all.memory &&
           turn->taken.vcpus - turn->gone.vcpus + needs->vcpus <= host->all.vcpus;
}

/* The last of those that leave before it and that a rule keeps it apart from, counted from 1. */
static size_t last_of_rule(const struct plan_site *site, const struct plan *plan,
                           const struct plan_step *step, const struct turn *to)
{
    const struct plan_guest *guest = &site->guests[step->guest];
    size_t n = guest->n_rules > 0 ? to->n : 0;

    while (n > 0 &&
           apart_rule(site, guest, &site->guests[plan->steps[to->leave[n - 1]].guest]) == PLAN_NONE)
        n--;
    return n;
}

/* A step comes after those that leave its destination as far as it needs their room, with all that come
 * before it in the plan there, whenever they do come; and after those that a rule keeps it apart from. So no
 * order of what may begin leads nowhere. */
static void put_in_order(const struct plan_site *site, struct plan *plan)
{
    struct turn *turns = must(calloc(site->n_hosts + 1, sizeof(*turns)));

    for (size_t i = 0; i < site->n_hosts; i++)
        turns[i].taken = site->hosts[i].used;
    for (size_t i = 0; i < site->n_guests; i++) {
        const struct plan_guest *guest = &site->guests[i];
        if (guest->wish != PLAN_MAY_MOVE)
            continue;
        turns[guest->host].taken.memory += guest->has.memory;
        turns[guest->host].taken.vcpus += guest->has.vcpus;
    }
    for (size_t i = 0; i < plan->n_steps; i++) {
        struct plan_step *step = &plan->steps[i];
        const struct plan_size *has = &site->guests[step->guest].has;
        struct turn *to = &turns[step->to];
        size_t least = last_of_rule(site, plan, step, to);
        while (to->n_counted < least ||
               (!has_room(&site->hosts[step->to], to, has) && to->n_counted < to->n)) {
            const struct plan_size *goes =
                &site->guests[plan->steps[to->leave[to->n_counted++]].guest].has;
            to->gone.memory += goes->memory;
            to->gone.vcpus += goes->vcpus;
        }
        if (to->n_counted > 0) {
            step->after = must(calloc(to->n_counted, sizeof(*step->after)));
            memcpy(step->after, to->leave, to->n_counted * sizeof(*step->after));
            step->n_after = to->n_counted;
        }
        to->taken.memory += has->memory;
        to->taken.vcpus += has->vcpus;
        if (i >= plan->n_room)
            continue;
        struct turn *from = &turns[step->from];
        *ARRAY_MUST_ADD(from->leave, from->n, from->room) = i;
    }
    for (size_t i = 0; i < site->n_hosts; i++)
        free(turns[i].leave);
    free(turns);
}

/* Whoever comes first after a step that makes room gets its room, or the place that a rule keeps from it
 * while that guest is there. */
static void add_reasons(const struct plan_site *site, struct plan *plan)
{
    for (size_t i = plan->n_steps; i-- > 0;)
        for (size_t k = 0; k < plan->steps[i].n_after; k++) {
            struct plan_step *before = &plan->steps[plan->steps[i].after[k]];
            uint32_t rule =
                apart_rule(site, &site->guests[plan->steps[i].guest], &site->guests[before->guest]);
            if (rule == PLAN_NONE && before->rule != PLAN_NONE)
                continue;
            before->room_for = plan->steps[i].guest;
            before->rule = rule;
        }
}

/* The guests of each move, in the order of the moves. */
static void add_steps(const struct plan_site *site, const struct found *best, struct plan *plan)
{
    plan->steps = must(calloc(site->n_guests + 1, sizeof(*plan->steps)));
    for (size_t i = 0; i < best->n_moves; i++) {
        size_t n;
        const uint32_t *guests = members_of(best->bundles, &best->moves[i].guest, &n);
        for (size_t k = 0; k < n; k++)
            plan->steps[plan->n_steps++] = (struct plan_step){
                .guest = guests[k],
                .from = site->guests[guests[k]].host,
                .to = best->moves[i].to,
                .room_for = PLAN_NONE,
                .rule = PLAN_NONE,
            };
        plan->n_room += i < best->n_room ? n : 0;
    }
    put_in_order(site, plan);
    add_reasons(site, plan);
}

/* Those of a bundle make room for the same guest. Takes out the last move that makes room for nobody; true:
 * there was one, and the steps are not those of the moves any more. */
static bool drop_idle(struct found *best, struct plan *plan)
{
    size_t end = plan->n_room;

    for (size_t i = best->n_room; i-- > 0;) {
        const struct plan_step *reason = NULL;
        size_t n;
        (void)members_of(best->bundles, &best->moves[i].guest, &n);
        for (size_t k = end - n; k < end; k++)
            if (plan->steps[k].room_for != PLAN_NONE && (!reason || reason->rule == PLAN_NONE))
                reason = &plan->steps[k];
        if (!reason) {
            memmove(best->moves + i, best->moves + i + 1,
                    (best->n_moves - i - 1) * sizeof(*best->moves));
            best->n_moves--;
            best->n_room--;
            return true;
        }
        for (size_t k = end - n; k < end; k++)
            if (plan->steps[k].room_for == PLAN_NONE)
                plan->steps[k].room_for = reason->room_for;
        end -= n;
    }
    return false;
}

static void add_without(const struct plan_site *site, struct plan *plan, const uint32_t *order,
                        size_t n)
{
    bool *placed = must(calloc(site->n_guests + 1, sizeof(*placed)));

    for (size_t i = 0; i < plan->n_steps; i++)
        placed[plan->steps[i].guest] = true;
    plan->without = must(calloc(n + 1, sizeof(*plan->without)));
    for (size_t i = 0; i < n; i++)
        if (!placed[order[i]])
            plan->without[plan->n_without++] = order[i];
    free(placed);
}

static bool somebody_prefers(const struct plan_site *site, const uint32_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (site->guests[order[i]].n_prefer > 0)
            return true;
    return false;
}

static void find_places(struct state *state, uint32_t *order, size_t n, uint64_t budget,
                        struct found *best)
{
    (void)keep_better(best, state, 0, pass(state, order, n, /* tight = */ false));
    if (best->without > 0) {
        state_back(state, 0);
        (void)keep_better(best, state, 0, pass(state, order, n, /* tight = */ true));
    }
    if (best->without > 0 && somebody_prefers(state->site, order, n)) {
        state_back(state, 0);
        state_any(state);
        (void)keep_better(best, state, 0, pass(state, order, n, /* tight = */ true));
    }
    if (best->without > 0 && budget > 0)
        make_room(state, order, n, budget, best);
}

static uint32_t *heads_of(const struct plan_site *site, const struct bundles *bundles)
{
    uint32_t *heads = must(calloc(site->n_guests + 1, sizeof(*heads)));

    for (size_t i = 0; i < bundles->site.n_guests; i++)
        for (uint32_t k = bundles->first[i]; k < bundles->first[i + 1]; k++)
            heads[bundles->members[k]] = bundles->members[bundles->first[i]];
    return heads;
}

struct plan plan_make(const struct plan_site *site, uint64_t budget)
{
    struct bundles *bundles = bundle_all(site);
    const struct plan_site *bundled = bundles ? &bundles->site : site;
    struct state *state = state_new(bundled);
    struct plan plan = {0};
    struct found best = {.bundles = bundles};
    size_t n;
    uint32_t *order = leaving(bundled, &n);

    find_places(state, order, n, budget, &best);
    add_steps(site, &best, &plan);
    while (drop_idle(&best, &plan)) {
        plan_done(&plan);
        add_steps(site, &best, &plan);
    }
    plan.work = state->work;
    free(order);
    order = leaving(site, &n);
    add_without(site, &plan, order, n);
    if (bundles)
        plan.bundle = heads_of(site, bundles);
    free(best.moves);
    free(order);
    state_free(state);
    bundle_free(bundles);
    return plan;
}

void plan_done(struct plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++)
        free(plan->steps[i].after);
    free(plan->steps);
    free(plan->without);
    free(plan->bundle);
    *plan = (struct plan){0};
}
