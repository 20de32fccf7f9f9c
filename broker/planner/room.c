/* room.c - others are moved so that guests find a place that have none */
#include "broker/planner/room.h"

#include "broker/planner/apart.h"
#include "conf/array.h"

#include <stdlib.h>
#include <string.h>

enum {
    HOSTS_TRIED = 24,  /* that are made free for a guest, to compare; of links fewer */
    GUESTS_TRIED = 8,  /* of a host that alone make enough room */
    LINKS_TRIED = 3,   /* and for which room is made in turn */
    TAKEN_MOST = 8,    /* guests of one host that give way to one guest */
    DEPTH_MOST = 3,    /* hosts in a chain */
    TARGETS_MOST = 64, /* hosts with the most room that others are moved to one by one */
    GOOD_MOVES = 6,    /* of which one is chosen by chance */
};

#define SHARE_STEP 0.05 /* of what is wanted, between two looks whether all have a place */
#define SHARE_MOST 3.0  /* no more room than that helps */

static bool is_over(const struct state *state, const struct room_try *how)
{
    return state->work >= how->most;
}

static const struct plan_guest *guest_of(const struct state *state, uint32_t guest)
{
    return &state->site->guests[guest];
}

static bool has_moved(const struct state *state, uint32_t guest)
{
    return state->at[guest] != guest_of(state, guest)->host;
}

/* Places all that are still where they were. Returns how many stay there. */
static size_t place(struct state *state, const struct room_try *how)
{
    size_t without = 0;

    for (size_t i = 0; i < how->n; i++) {
        uint32_t guest = how->order[i];
        if (has_moved(state, guest))
            continue;
        uint32_t to = state_find(state, guest, how->tight, NULL, 0);
        if (to == PLAN_NONE)
            without++;
        else
            state_move(state, guest, to);
    }
    return without;
}

/* ---- one by one: a host's room is worth as much as the scarcer of memory and vCPUs lets come of what is
 * wanted */

struct scale {
    const struct state *state;
    uint32_t group;
    struct plan_size wanted;
};

static double worth(const struct scale *scale, uint32_t host, struct plan_size less,
                    struct plan_size more)
{
    const struct plan_size *all = &scale->state->site->hosts[host].all;
    const struct plan_size *taken = &scale->state->taken[host];
    double memory =
        (double)all->memory - (double)taken->memory + (double)more.memory - (double)less.memory;
    double vcpus =
        (double)all->vcpus - (double)taken->vcpus + (double)more.vcpus - (double)less.vcpus;

    memory = scale->wanted.memory > 0 ? memory / (double)scale->wanted.memory : 1;
    vcpus = scale->wanted.vcpus > 0 ? vcpus / (double)scale->wanted.vcpus : 1;
    double least = memory < vcpus ? memory : vcpus;
    return least < 0 ? 0 : least > 1 ? 1 : least;
}

static const struct plan_size nothing = {0, 0};

struct target {
    uint32_t host;
    double worth;
};

/* The hosts with the most room. Returns what all of them together are worth. */
static double targets(const struct scale *scale, struct target *list, size_t *ret_n)
{
    const struct plan_site *site = scale->state->site;
    double sum = 0;
    size_t n = 0;

    for (uint32_t host = 0; host < site->n_hosts; host++) {
        if (!site->hosts[host].takes || site->hosts[host].group != scale->group)
            continue;
        struct target one = {host, worth(scale, host, nothing, nothing)};
        sum += one.worth;
        if (one.worth <= 0 || (n == TARGETS_MOST && list[n - 1].worth >= one.worth))
            continue;
        size_t at = n < TARGETS_MOST ? n++ : n - 1;
        for (; at > 0 && list[at - 1].worth < one.worth; at--)
            list[at] = list[at - 1];
        list[at] = one;
    }
    *ret_n = n;
    return sum;
}

struct good_move {
    struct state_move move;
    double gain;
};

static void keep_good(struct good_move *good, size_t *n, size_t most, struct good_move one)
{
    if (*n == most && good[*n - 1].gain >= one.gain)
        return;
    size_t at = *n < most ? (*n)++ : *n - 1;
    for (; at > 0 && good[at - 1].gain < one.gain; at--)
        good[at] = good[at - 1];
    good[at] = one;
}

/* The target that loses the least by it. */
static uint32_t best_target(const struct scale *scale, const struct target *list, size_t n,
                            uint32_t guest, double *ret_loss)
{
    const struct state *state = scale->state;
    struct plan_size has = guest_of(state, guest)->has;
    uint32_t best = PLAN_NONE;

    for (size_t i = 0; i < n; i++) {
        if (!state_fits(state, guest, list[i].host) || !state_may_go(state, guest, list[i].host))
            continue;
        double loss = list[i].worth - worth(scale, list[i].host, has, nothing);
        if (best != PLAN_NONE && loss >= *ret_loss)
            continue;
        best = list[i].host;
        *ret_loss = loss;
    }
    return best;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* The good moves of others, the best first. */
static size_t look_for_moves(struct state *state, const struct scale *scale,
                             const struct target *list, size_t n_list, struct good_move *good,
                             size_t most)
{
    const struct plan_site *site = state->site;
    size_t n = 0;

    for (uint32_t host = 0; host < site->n_hosts; host++) {
        if (!site->hosts[host].takes || site->hosts[host].group != scale->group)
            continue;
        double now = worth(scale, host, nothing, nothing);
        struct plan_size last = {0, 0};
        for (uint32_t i = state->first[host]; i < state->first[host + 1]; i++) {
            uint32_t guest = state->by_host[i];
            const struct plan_guest *is = guest_of(state, guest);
            double loss = 0;
            bool plain = is->n_to == 0 && is->n_never == 0 && is->n_rules == 0;
            /* Those of a host are in the order of their size: equal ones are looked at once. */
            if (has_moved(state, guest) ||
                (is->has.memory == last.memory && is->has.vcpus == last.vcpus && plain))
                continue;
            last = plain ? is->has : nothing;
            double won = worth(scale, host, nothing, is->has) - now;
            if (n == most && won <= good[n - 1].gain)
                continue;
            if (won <= 0)
                continue;
            uint32_t to = best_target(scale, list, n_list, guest, &loss);
            state_count(state, n_list);
            if (to != PLAN_NONE && won - loss > 1e-9)
                keep_good(good, &n, most, (struct good_move){{guest, to}, won - loss});
        }
        state_count(state, 1 + state->first[host + 1] - state->first[host]);
    }
    return n;
}

static uint32_t chance(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/* Until all rooms together are worth that much. False: no move helps any more. */
static bool one_by_one(struct state *state, const struct room_try *how, uint32_t group,
                       double share, uint32_t *seed)
{
    struct scale scale = {.state = state, .group = group};
    struct target list[TARGETS_MOST];
    struct good_move good[GOOD_MOVES];
    size_t n_list, n;

    for (size_t i = 0; i < how->n; i++) {
        const struct plan_guest *guest = guest_of(state, how->order[i]);
        if (state->site->hosts[guest->host].group != group)
            continue;
        scale.wanted.memory += guest->has.memory;
        scale.wanted.vcpus += guest->has.vcpus;
    }
    while (!is_over(state, how) && targets(&scale, list, &n_list) < share) {
        state_count(state, state->site->n_hosts);
        n = look_for_moves(state, &scale, list, n_list, good, *seed ? GOOD_MOVES : 1);
        if (n == 0)
            return false;
        size_t at = 0;
        while (*seed && at + 1 < n && chance(seed) % 3 == 0)
            at++;
        state_move(state, good[at].move.guest, good[at].move.to);
    }
    return !is_over(state, how);
}

/* ---- chains: one guest comes, others give way to it */

struct chain {
    uint32_t hosts[DEPTH_MOST]; /* that are made free: nothing comes to them in between */
    size_t n;
};

static uint64_t above(uint64_t taken, uint64_t all)
{
    return taken > all ? taken - all : 0;
}

/* What is missing on the host for the guest; also what the host has too much already. */
static struct plan_size missing(const struct state *state, uint32_t guest, uint32_t host)
{
    const struct plan_size *needs = &guest_of(state, guest)->has, *taken = &state->taken[host];
    const struct plan_size *all = &state->site->hosts[host].all;

    return (struct plan_size){above(taken->memory + needs->memory, all->memory),
                              above(taken->vcpus + needs->vcpus, all->vcpus)};
}

static double share_of(struct plan_size size, struct plan_size all)
{
    return (all.memory > 0 ? (double)size.memory / (double)all.memory : 0) +
           (all.vcpus > 0 ? (double)size.vcpus / (double)all.vcpus : 0);
}

static uint64_t bytes_since(const struct state *state, size_t mark)
{
    uint64_t bytes = 0;

    for (size_t i = mark; i < state->n_moves; i++)
        bytes += guest_of(state, state->moves[i].guest)->has.memory;
    return bytes;
}

static uint32_t make_way(struct state *state, const struct room_try *how, uint32_t guest,
                         size_t depth, struct chain *chain);

/* Guests of the host that alone give way to it, the smallest first. */
static size_t enough_alone(struct state *state, uint32_t host, struct plan_size wanted,
                           uint32_t *list)
{
    size_t n = 0;

    for (uint32_t i = state->first[host]; i < state->first[host + 1]; i++) {
        uint32_t guest = state->by_host[i];
        const struct plan_size *has = &guest_of(state, guest)->has;
        if (has_moved(state, guest) || has->memory < wanted.memory || has->vcpus < wanted.vcpus)
            continue;
        if (n == GUESTS_TRIED && guest_of(state, list[n - 1])->has.memory <= has->memory)
            continue;
        size_t at = n < GUESTS_TRIED ? n++ : n - 1;
        for (; at > 0 && guest_of(state, list[at - 1])->has.memory > has->memory; at--)
            list[at] = list[at - 1];
        list[at] = guest;
    }
    state_count(state, state->first[host + 1] - state->first[host]);
    return n;
}

/* The one that makes the most of the missing room and has a place; where that is. */
static uint32_t most_useful(struct state *state, uint32_t host, struct plan_size wanted,
                            const struct chain *chain, const uint32_t *tried, size_t n_tried,
                            uint32_t *ret_to)
{
    uint32_t best = PLAN_NONE;
    double best_gain = 0;

    for (uint32_t i = state->first[host]; i < state->first[host + 1]; i++) {
        uint32_t guest = state->by_host[i];
        struct plan_size has = guest_of(state, guest)->has;
        bool known = has_moved(state, guest);
        for (size_t k = 0; k < n_tried; k++)
            known = known || tried[k] == guest;
        if (known)
            continue;
        has.memory = has.memory < wanted.memory ? has.memory : wanted.memory;
        has.vcpus = has.vcpus < wanted.vcpus ? has.vcpus : wanted.vcpus;
        double gain = share_of(has, wanted);
        if (gain > best_gain) {
            best = guest;
            best_gain = gain;
        }
    }
    state_count(state, state->first[host + 1] - state->first[host]);
    *ret_to = best == PLAN_NONE ? PLAN_NONE : state_find(state, best, true, chain->hosts, chain->n);
    return best;
}

/* Several give way; none of them needs room that is not there. */
static bool several_give_way(struct state *state, uint32_t host, uint32_t guest,
                             const struct chain *chain)
{
    uint32_t tried[2 * TAKEN_MOST];
    size_t n_tried = 0, mark = state->n_moves;

    while (!state_fits(state, guest, host) && state->n_moves - mark < TAKEN_MOST &&
           n_tried < 2 * TAKEN_MOST) {
        uint32_t to,
            one = most_useful(state, host, missing(state, guest, host), chain, tried, n_tried, &to);
        if (one == PLAN_NONE)
            break;
        tried[n_tried++] = one;
        if (to != PLAN_NONE)
            state_move(state, one, to);
    }
    if (state_fits(state, guest, host))
        return true;
    state_back(state, mark);
    return false;
}

/* Those from whom a rule keeps the guest apart; NULL: counts them. Returns how many of them may give way. */
static size_t others_of_rule(struct state *state, uint32_t host, uint32_t guest, uint32_t *list)
{
    size_t n = 0;

    for (uint32_t i = state->first[host]; i < state->first[host + 1]; i++) {
        uint32_t other = state->by_host[i];
        if (has_moved(state, other) ||
            apart_rule(state->site, guest_of(state, guest), guest_of(state, other)) == PLAN_NONE)
            continue;
        if (n < TAKEN_MOST && list)
            list[n] = other;
        n++;
    }
    state_count(state, state->first[host + 1] - state->first[host]);
    return n;
}

/* They all give way. False: one of them cannot. */
static bool rule_gives_way(struct state *state, const struct room_try *how, uint32_t host,
                           uint32_t guest, size_t depth, struct chain *chain)
{
    uint32_t list[TAKEN_MOST];
    size_t n = others_of_rule(state, host, guest, list);

    if (n > TAKEN_MOST)
        return false;
    for (size_t i = 0; i < n; i++) {
        uint32_t to = state_find(state, list[i], true, chain->hosts, chain->n);
        if (to == PLAN_NONE && depth > 1 && !is_over(state, how))
            to = make_way(state, how, list[i], depth - 1, chain);
        if (to == PLAN_NONE)
            return false;
        state_move(state, list[i], to);
    }
    return !state_bars(state, guest, host);
}

static bool give_way(struct state *state, const struct room_try *how, uint32_t host, uint32_t guest,
                     size_t depth, struct chain *chain)
{
    uint32_t list[GUESTS_TRIED];

    if (state_bars(state, guest, host)) {
        if (!rule_gives_way(state, how, host, guest, depth, chain))
            return false;
        if (state_fits(state, guest, host))
            return true;
    }
    size_t n = enough_alone(state, host, missing(state, guest, host), list);

    for (size_t i = 0; i < n; i++) {
        uint32_t to = state_find(state, list[i], true, chain->hosts, chain->n);
        if (to != PLAN_NONE) {
            state_move(state, list[i], to);
            return true;
        }
    }
    if (several_give_way(state, host, guest, chain))
        return true;
    for (size_t i = 0; i < n && i < LINKS_TRIED && depth > 1 && !is_over(state, how); i++) {
        uint32_t to = make_way(state, how, list[i], depth - 1, chain);
        if (to != PLAN_NONE) {
            state_move(state, list[i], to);
            return true;
        }
    }
    return false;
}

struct way {
    uint32_t host;
    double missing;
};

/* Hosts that the guest may go to, those where the least is missing first. */
static size_t ways(struct state *state, uint32_t guest, const struct chain *chain, struct way *list)
{
    const struct plan_site *site = state->site;
    size_t n = 0;

    for (uint32_t host = 0; host < site->n_hosts; host++) {
        const struct plan_size *all = &site->hosts[host].all, *has = &guest_of(state, guest)->has;
        bool known = false;
        for (size_t i = 0; i < chain->n; i++)
            known = known || chain->hosts[i] == host;
        if (known || all->memory < has->memory || all->vcpus < has->vcpus ||
            state->first[host] == state->first[host + 1] || !state_may_go(state, guest, host) ||
            (state_bars(state, guest, host) &&
             others_of_rule(state, host, guest, NULL) < apart_count(state->apart, guest, host)))
            continue;
        struct way one = {host, share_of(missing(state, guest, host), *all)};
        if (n == HOSTS_TRIED && list[n - 1].missing <= one.missing)
            continue;
        size_t at = n < HOSTS_TRIED ? n++ : n - 1;
        for (; at > 0 && list[at - 1].missing > one.missing; at--)
            list[at] = list[at - 1];
        list[at] = one;
    }
    state_count(state, site->n_hosts);
    return n;
}

/* Makes room for the guest on some host, with the fewest moves, and of as many with the fewest bytes.
 * Returns the host; PLAN_NONE: no moves are made. */
static uint32_t make_way(struct state *state, const struct room_try *how, uint32_t guest,
                         size_t depth, struct chain *chain)
{
    struct state_move *best = NULL;
    struct way list[HOSTS_TRIED];
    size_t n = ways(state, guest, chain, list), mark = state->n_moves, n_best = 0;
    uint64_t best_bytes = 0;
    size_t most = (size_t)HOSTS_TRIED >> (2 * chain->n);
    uint32_t host = PLAN_NONE;

    for (size_t i = 0; i < n && i < most && !is_over(state, how); i++) {
        chain->hosts[chain->n++] = list[i].host;
        bool ok = give_way(state, how, list[i].host, guest, depth, chain);
        chain->n--;
        size_t n_moves = state->n_moves - mark;
        uint64_t bytes = ok ? bytes_since(state, mark) : 0;
        if (ok &&
            (host == PLAN_NONE || n_moves < n_best || (n_moves == n_best && bytes < best_bytes))) {
            free(best);
            best = must(calloc(n_moves + 1, sizeof(*best)));
            memcpy(best, state->moves + mark, n_moves * sizeof(*best));
            n_best = n_moves;
            best_bytes = bytes;
            host = list[i].host;
        }
        state_back(state, mark);
    }
    for (size_t i = 0; host != PLAN_NONE && i < n_best; i++)
        state_move(state, best[i].guest, best[i].to);
    free(best);
    return host;
}

static void chains(struct state *state, const struct room_try *how)
{
    for (size_t i = 0; i < how->n && !is_over(state, how); i++) {
        uint32_t guest = how->order[i], to = PLAN_NONE;
        struct chain chain = {.n = 0};
        if (has_moved(state, guest))
            continue;
        to = state_find(state, guest, how->tight, NULL, 0);
        for (size_t depth = 1; depth <= DEPTH_MOST && to == PLAN_NONE; depth++)
            to = make_way(state, how, guest, depth, &chain);
        if (to != PLAN_NONE)
            state_move(state, guest, to);
    }
}

/* ---- both, and what was too much */

/* As it is, but the moves of others first; they had room without those that leave, too. Returns how many. */
static size_t others_first(struct state *state)
{
    size_t n = state->n_moves, n_room = 0;
    struct state_move *moves = must(calloc(n + 1, sizeof(*moves)));

    memcpy(moves, state->moves, n * sizeof(*moves));
    state_back(state, 0);
    for (int leaves = 0; leaves < 2; leaves++)
        for (size_t i = 0; i < n; i++) {
            bool is = guest_of(state, moves[i].guest)->wish == PLAN_LEAVES;
            if (is != (leaves == 1))
                continue;
            state_move(state, moves[i].guest, moves[i].to);
            n_room += is ? 0 : 1;
        }
    free(moves);
    return n_room;
}

static size_t n_without(const struct state *state, const struct room_try *how)
{
    size_t n = 0;

    for (size_t i = 0; i < how->n; i++)
        n += has_moved(state, how->order[i]) ? 0 : 1;
    return n;
}

/* The groups of those that leave, each once. */
static uint32_t *groups_of(const struct state *state, const struct room_try *how, size_t *ret_n)
{
    uint32_t *groups = must(calloc(how->n + 1, sizeof(*groups)));
    size_t n = 0;

    for (size_t i = 0; i < how->n; i++)
        groups[i] = state->site->hosts[guest_of(state, how->order[i])->host].group;
    qsort(groups, how->n, sizeof(*groups), by_number);
    for (size_t i = 0; i < how->n; i++)
        if (i == 0 || groups[i] != groups[n - 1])
            groups[n++] = groups[i];
    *ret_n = n;
    return groups;
}

/* Moves others, a little more each time, until all have a place. */
static size_t spread_room(struct state *state, const struct room_try *how)
{
    uint32_t seed = how->seed;
    size_t n, without;
    uint32_t *groups = groups_of(state, how, &n);
    bool helps = true;

    for (double share = how->share;; share += SHARE_STEP) {
        helps = false;
        for (size_t i = 0; i < n; i++)
            helps = one_by_one(state, how, groups[i], share, &seed) || helps;
        size_t mark = state->n_moves;
        without = place(state, how);
        if (without == 0 || !helps || share > SHARE_MOST)
            break;
        state_back(state, mark);
    }
    free(groups);
    return without;
}

size_t room_make(struct state *state, const struct room_try *how, size_t *ret_n_room)
{
    if (how->share <= 0 || spread_room(state, how) > 0)
        chains(state, how);
    *ret_n_room = others_first(state);
    return n_without(state, how);
}

/* The moves but one, and those that leave somewhere else where that needs it. False: they do not fit. */
static bool does_without(struct state *state, const struct state_move *moves, size_t n,
                         size_t n_room, size_t but)
{
    state_back(state, 0);
    for (size_t i = 0; i < n; i++) {
        if (i == but)
            continue;
        if (state_fits(state, moves[i].guest, moves[i].to))
            state_move(state, moves[i].guest, moves[i].to);
        else if (i < n_room)
            return false;
    }
    for (size_t i = n_room; i < n; i++) {
        if (has_moved(state, moves[i].guest))
            continue;
        uint32_t to = state_find(state, moves[i].guest, true, NULL, 0);
        if (to == PLAN_NONE)
            return false;
        state_move(state, moves[i].guest, to);
    }
    return true;
}

size_t room_spare(struct state *state, const struct room_try *how, size_t n_room)
{
    size_t n = state->n_moves;
    struct state_move *moves = must(calloc(n + 1, sizeof(*moves)));
    bool again = true;

    memcpy(moves, state->moves, n * sizeof(*moves));
    while (again && !is_over(state, how)) {
        again = false;
        for (size_t i = n_room; i-- > 0 && !is_over(state, how);) {
            state_count(state, 4 * n);
            if (!does_without(state, moves, n, n_room, i))
                continue;
            n--;
            n_room--;
            memcpy(moves, state->moves, n * sizeof(*moves));
            again = true;
        }
    }
    state_back(state, 0);
    for (size_t i = 0; i < n; i++)
        state_move(state, moves[i].guest, moves[i].to);
    free(moves);
    return n_room;
}
