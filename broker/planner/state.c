/* state.c - a snapshot on the way to its plan: who is where by now, and what is free */
#include "broker/planner/state.h"

#include "conf/array.h"

#include <stdlib.h>

enum {
    SHARE_ALL = 1 << 20, /* share of an empty host */
    COUNT_MOST = 1000,   /* guests by which hosts without figures are told apart */
    COMPARED_MOST = 32,  /* hosts with room that are compared for one guest */
};

static uint64_t left(uint64_t all, uint64_t taken)
{
    return all > taken ? all - taken : 0;
}

struct plan_size state_room(const struct state *state, uint32_t host)
{
    const struct plan_size *all = &state->site->hosts[host].all, *taken = &state->taken[host];

    return (struct plan_size){left(all->memory, taken->memory), left(all->vcpus, taken->vcpus)};
}

/* What would be left, of the scarcer of memory and vCPUs, when so much more is taken. */
static uint64_t share_left(const struct state *state, uint32_t host, struct plan_size more)
{
    const struct plan_size *all = &state->site->hosts[host].all;
    struct plan_size room = state_room(state, host);

    /* What cannot be measured is spread by number. */
    if (all->memory == 0 || all->vcpus == 0)
        return left(COUNT_MOST, state->count[host]) * (SHARE_ALL / COUNT_MOST);
    uint64_t memory = left(room.memory, more.memory) / (all->memory / SHARE_ALL + 1);
    uint64_t vcpus = left(room.vcpus, more.vcpus) * SHARE_ALL / all->vcpus;
    return memory < vcpus ? memory : vcpus;
}

static uint32_t *root_of(const struct state *state, uint32_t host)
{
    const struct plan_host *is = &state->site->hosts[host];

    return &state->roots[2 * (size_t)is->group + (is->last ? 1 : 0)];
}

static void put(struct state *state, uint32_t host)
{
    free_put(state->nodes, root_of(state, host), host,
             share_left(state, host, (struct plan_size){0, 0}), state_room(state, host));
}

/* A guest comes to the host, or goes. */
static void change(struct state *state, uint32_t host, const struct plan_size *has, bool comes)
{
    struct plan_size *taken = &state->taken[host];

    if (state->site->hosts[host].takes)
        free_take(state->nodes, root_of(state, host), host);
    taken->memory = comes ? taken->memory + has->memory : taken->memory - has->memory;
    taken->vcpus = comes ? taken->vcpus + has->vcpus : taken->vcpus - has->vcpus;
    state->count[host] += comes ? 1u : -1u;
    if (state->site->hosts[host].takes)
        put(state, host);
}

static bool may_move(const struct state *state, uint32_t guest)
{
    return state->site->guests[guest].wish == PLAN_MAY_MOVE;
}

/* By host, the largest first. */
static int by_host_and_size(const void *a, const void *b, void *context)
{
    const struct plan_guest *guests = context;
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const struct plan_guest *x = &guests[i], *y = &guests[k];

    if (x->host != y->host)
        return x->host < y->host ? -1 : 1;
    if (x->has.memory != y->has.memory)
        return x->has.memory > y->has.memory ? -1 : 1;
    if (x->has.vcpus != y->has.vcpus)
        return x->has.vcpus > y->has.vcpus ? -1 : 1;
    return i < k ? -1 : i > k;
}

struct state *state_new(const struct plan_site *site)
{
    struct state *state = must(calloc(1, sizeof(*state)));
    size_t n_hosts = site->n_hosts, n_guests = site->n_guests, n = 0;

    state->site = site;
    state->taken = must(calloc(n_hosts + 1, sizeof(*state->taken)));
    state->count = must(calloc(n_hosts + 1, sizeof(*state->count)));
    state->nodes = must(calloc(n_hosts + 1, sizeof(*state->nodes)));
    state->roots = must(calloc(2 * n_hosts + 1, sizeof(*state->roots)));
    state->first = must(calloc(n_hosts + 1, sizeof(*state->first)));
    state->at = must(calloc(n_guests + 1, sizeof(*state->at)));
    state->by_host = must(calloc(n_guests + 1, sizeof(*state->by_host)));
    state->moves = must(calloc(n_guests + 1, sizeof(*state->moves)));
    for (uint32_t i = 0; i < n_hosts; i++) {
        state->taken[i] = site->hosts[i].used;
        state->count[i] = site->hosts[i].n_used;
        state->roots[2 * (size_t)i] = state->roots[2 * (size_t)i + 1] = PLAN_NONE;
    }
    for (uint32_t i = 0; i < n_guests; i++) {
        const struct plan_guest *guest = &site->guests[i];
        state->at[i] = guest->host;
        if (!may_move(state, i))
            continue;
        state->taken[guest->host].memory += guest->has.memory;
        state->taken[guest->host].vcpus += guest->has.vcpus;
        state->count[guest->host]++;
        state->first[guest->host + 1]++;
        state->by_host[n++] = i;
    }
    for (size_t i = 1; i <= n_hosts; i++)
        state->first[i] += state->first[i - 1];
    qsort_r(state->by_host, n, sizeof(*state->by_host), by_host_and_size, (void *)site->guests);
    for (uint32_t i = 0; i < n_hosts; i++)
        if (site->hosts[i].takes)
            put(state, i);
    state->apart = apart_new(site);
    return state;
}

void state_free(struct state *state)
{
    if (!state)
        return;
    free(state->taken);
    free(state->count);
    free(state->nodes);
    free(state->roots);
    free(state->first);
    free(state->at);
    free(state->by_host);
    free(state->moves);
    apart_free(state->apart);
    free(state);
}

void state_any(struct state *state)
{
    state->any = true;
}

void state_move(struct state *state, uint32_t guest, uint32_t to)
{
    const struct plan_size *has = &state->site->guests[guest].has;

    if (may_move(state, guest)) {
        change(state, state->at[guest], has, false);
        apart_go(state->apart, guest, state->at[guest]);
    }
    change(state, to, has, true);
    apart_come(state->apart, guest, to);
    state->at[guest] = to;
    state->moves[state->n_moves++] = (struct state_move){guest, to};
}

void state_back(struct state *state, size_t n_moves)
{
    while (state->n_moves > n_moves) {
        uint32_t guest = state->moves[--state->n_moves].guest;
        const struct plan_guest *is = &state->site->guests[guest];
        change(state, state->at[guest], &is->has, false);
        apart_go(state->apart, guest, state->at[guest]);
        if (may_move(state, guest)) {
            change(state, is->host, &is->has, true);
            apart_come(state->apart, guest, is->host);
        }
        state->at[guest] = is->host;
    }
}

void state_count(struct state *state, uint64_t looks)
{
    state->work += looks;
}

bool state_fits(const struct state *state, uint32_t guest, uint32_t host)
{
    const struct plan_size *has = &state->site->guests[guest].has;
    struct plan_size room = state_room(state, host);

    return room.memory >= has->memory && room.vcpus >= has->vcpus &&
           !state_bars(state, guest, host);
}

bool state_bars(const struct state *state, uint32_t guest, uint32_t host)
{
    return apart_bars(state->apart, guest, host);
}

static bool listed(const uint32_t *list, size_t n, uint32_t host)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == host)
            return true;
    return false;
}

bool state_may_go(const struct state *state, uint32_t guest, uint32_t host)
{
    const struct plan_guest *is = &state->site->guests[guest];
    const struct plan_host *hosts = state->site->hosts;

    if (!hosts[host].takes || host == is->host || listed(is->never, is->n_never, host))
        return false;
    return is->n_to > 0 ? listed(is->to, is->n_to, host)
                        : hosts[host].group == hosts[is->host].group;
}

/* The best of those that were looked at. */
struct choice {
    const struct state *state;
    const struct plan_guest *guest;
    uint32_t number; /* the guest's */
    bool tight;
    const uint32_t *but;
    size_t n_but;
    uint32_t best;
    uint64_t best_left;
    unsigned n;
};

static bool compare(void *context, uint32_t host, uint64_t share)
{
    struct choice *choice = context;
    const struct plan_guest *guest = choice->guest;

    /* What is left is less than the share: no host after this one leaves more. */
    if (!choice->tight && choice->best != PLAN_NONE && share <= choice->best_left)
        return false;
    if (host == guest->host || listed(choice->but, choice->n_but, host) ||
        listed(guest->never, guest->n_never, host) ||
        state_bars(choice->state, choice->number, host))
        return true;
    uint64_t rest = share_left(choice->state, host, guest->has);
    if (choice->best == PLAN_NONE ||
        (choice->tight ? rest < choice->best_left : rest > choice->best_left) ||
        (rest == choice->best_left && host < choice->best)) {
        choice->best = host;
        choice->best_left = rest;
    }
    return ++choice->n < COMPARED_MOST;
}

uint32_t state_find(struct state *state, uint32_t guest, bool tight, const uint32_t *but,
                    size_t n_but)
{
    const struct plan_guest *is = &state->site->guests[guest];
    const struct plan_host *hosts = state->site->hosts;
    struct choice choice = {
        .state = state,
        .guest = is,
        .number = guest,
        .tight = tight,
        .but = but,
        .n_but = n_but,
        .best = PLAN_NONE,
    };

    for (size_t i = 0; i < is->n_prefer && !state->any; i++) {
        uint32_t to = is->prefer[i];
        if (!hosts[to].last && state_may_go(state, guest, to) && state_fits(state, guest, to))
            compare(&choice, to, UINT64_MAX);
        state->work++;
    }
    for (int last = 0; last < 2 && choice.best == PLAN_NONE; last++) {
        for (size_t i = 0; i < is->n_to; i++) {
            uint32_t to = is->to[i];
            choice.n = 0; /* all of a list */
            if (hosts[to].takes && hosts[to].last == (last == 1) && state_fits(state, guest, to))
                compare(&choice, to, UINT64_MAX);
        }
        state->work += is->n_to;
        if (is->n_to == 0)
            free_walk(state->nodes, state->roots[2 * (size_t)hosts[is->host].group + (size_t)last],
                      is->has, tight, compare, &choice, &state->work);
    }
    return choice.best;
}
