/* timeline.c - when each step of a plan is expected to begin and to end */
#include "broker/planner/timeline.h"

#include "conf/array.h"

#include <stdlib.h>
#include <string.h>

enum {
    ASKED = 64,    /* of those that wait at a resource that has become free */
    LEFT_OVER = 2, /* resources of which not all were asked that are asked again when a step ends */
    ROUNDS = 24,   /* from end to beginning and back, as long as that shortens the timeline */
    SHAKES = 8,
};

/* A heap of steps that wait, the first of the list on top: a skew heap, whose links are two numbers of each step. */
struct heaps {
    uint32_t *left, *right;
    const uint32_t *rank;
};

/* A problem in one of the two directions of time: then `from` and `to`, and who comes after whom, are swapped. */
struct way {
    uint32_t *next, *next_first; /* of each step those that come after it, and the end */
    uint32_t *n_before;
    uint64_t *free;
    bool back;
};

struct search {
    const struct timeline_site *site;
    struct way ways[2]; /* forwards, back */
    struct heaps heaps;
    uint32_t *rank;    /* of each step in the list that is tried */
    uint32_t *wait;    /* top of the heap of each resource, then of each host's memory */
    uint64_t *left;    /* of each resource, then of each host's memory */
    uint32_t *before;  /* of each step: how many have to be over yet */
    uint32_t *running; /* a binary heap by `ends` */
    uint32_t *line;    /* a ring: resources that may have room for who waits there */
    bool *in_line;     /* of each resource */
    size_t n_running, line_first, n_line, n_parked;
    uint64_t *starts, *ends;
    uint64_t *best;
    uint64_t best_end, bound;
    uint64_t *load; /* of each resource: how long it is busy if it is always full */
    struct key *keys;
    uint64_t work;
};

struct key {
    uint64_t first, then; /* rising */
    uint32_t step;
};

static uint32_t heap_join(const struct heaps *heaps, uint32_t a, uint32_t b)
{
    uint32_t top = PLAN_NONE, *at = &top;

    while (a != PLAN_NONE && b != PLAN_NONE) {
        uint32_t less = heaps->rank[a] < heaps->rank[b] ? a : b;
        uint32_t other = less == a ? b : a;
        *at = less;
        a = heaps->right[less];
        heaps->right[less] = heaps->left[less];
        at = &heaps->left[less];
        b = other;
    }
    *at = a != PLAN_NONE ? a : b;
    return top;
}

static void heap_put(const struct heaps *heaps, uint32_t *top, uint32_t step)
{
    heaps->left[step] = heaps->right[step] = PLAN_NONE;
    *top = heap_join(heaps, *top, step);
}

static uint32_t heap_take(const struct heaps *heaps, uint32_t *top)
{
    uint32_t step = *top;

    *top = heap_join(heaps, heaps->left[step], heaps->right[step]);
    return step;
}

/* Of what has begun: the earliest end on top, and of equal ones the first step. */
static bool ends_before(const struct search *search, uint32_t a, uint32_t b)
{
    return search->ends[a] != search->ends[b] ? search->ends[a] < search->ends[b] : a < b;
}

static void running_put(struct search *search, uint32_t step)
{
    size_t at = search->n_running++;

    while (at > 0 && ends_before(search, step, search->running[(at - 1) / 2])) {
        search->running[at] = search->running[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    search->running[at] = step;
}

static uint32_t running_take(struct search *search)
{
    uint32_t first = search->running[0], last = search->running[--search->n_running];
    size_t at = 0;

    for (size_t child = 1; child < search->n_running; child = 2 * at + 1) {
        if (child + 1 < search->n_running &&
            ends_before(search, search->running[child + 1], search->running[child]))
            child++;
        if (ends_before(search, last, search->running[child]))
            break;
        search->running[at] = search->running[child];
        at = child;
    }
    search->running[at] = last;
    return first;
}

static uint64_t much(const struct search *search, const struct timeline_use *use)
{
    uint64_t all = search->site->resources[use->resource];

    return use->much < all ? use->much : all;
}

static uint32_t comes(const struct timeline_step *step, bool back)
{
    return back ? step->from : step->to;
}

static uint32_t goes(const struct timeline_step *step, bool back)
{
    return back ? step->to : step->from;
}

/* The first resource that the step lacks now; PLAN_NONE: it may begin. */
static uint32_t lacks(struct search *search, const struct timeline_step *step, bool back)
{
    const struct timeline_site *site = search->site;

    search->work++;
    for (size_t i = 0; i < step->n_uses; i++)
        if (search->left[step->uses[i].resource] < much(search, &step->uses[i]))
            return step->uses[i].resource;
    if (site->free) {
        uint32_t memory = (uint32_t)site->n_resources + comes(step, back);
        if (search->left[memory] < step->memory)
            return memory;
    }
    return PLAN_NONE;
}

static uint64_t less(uint64_t all, uint64_t part)
{
    return all > part ? all - part : 0;
}

static void begin(struct search *search, uint32_t i, bool back, uint64_t now)
{
    const struct timeline_site *site = search->site;
    const struct timeline_step *step = &site->steps[i];

    for (size_t use = 0; use < step->n_uses; use++) {
        uint64_t *left = &search->left[step->uses[use].resource];
        *left = less(*left, much(search, &step->uses[use]));
    }
    if (site->free) {
        uint64_t *left = &search->left[site->n_resources + comes(step, back)];
        *left = less(*left, step->memory);
    }
    search->starts[i] = now;
    search->ends[i] = now + step->took;
    running_put(search, i);
}

/* Of a resource that is in the line already nothing changes. */
static void line_up(struct search *search, uint32_t resource)
{
    size_t n_all = search->site->n_resources + search->site->n_hosts;

    if (search->wait[resource] == PLAN_NONE || search->in_line[resource])
        return;
    search->in_line[resource] = true;
    search->line[(search->line_first + search->n_line++) % n_all] = resource;
}

static void set_free(struct search *search, uint32_t resource, uint64_t amount)
{
    search->left[resource] += amount;
    line_up(search, resource);
}

/* It is over: what it had is free, and those that come after it may begin: they join `open`. */
static void end(struct search *search, const struct way *way, uint32_t i, uint32_t *open)
{
    const struct timeline_site *site = search->site;
    const struct timeline_step *step = &site->steps[i];

    for (size_t use = 0; use < step->n_uses; use++)
        set_free(search, step->uses[use].resource, much(search, &step->uses[use]));
    if (site->free)
        set_free(search, (uint32_t)site->n_resources + goes(step, way->back), step->memory);
    for (uint32_t next = way->next_first[i]; next < way->next_first[i + 1]; next++)
        if (--search->before[way->next[next]] == 0)
            heap_put(&search->heaps, open, way->next[next]);
}

/* Those that wait at what has become free get another look. Who was not asked, as there are too many, is asked
 * when the next step ends. n: resources of the line. */
static void ask_waiting(struct search *search, size_t n, uint32_t *open)
{
    size_t n_all = search->site->n_resources + search->site->n_hosts;

    for (; n > 0 && search->n_line > 0; n--) {
        uint32_t resource = search->line[search->line_first];
        uint32_t *wait = &search->wait[resource];
        search->line_first = (search->line_first + 1) % n_all;
        search->n_line--;
        search->in_line[resource] = false;
        if (search->left[resource] == 0)
            continue;
        for (int asked = 0; asked < ASKED && *wait != PLAN_NONE; asked++) {
            heap_put(&search->heaps, open, heap_take(&search->heaps, wait));
            search->n_parked--;
        }
        line_up(search, resource);
    }
}

static void begin_open(struct search *search, bool back, uint64_t now, uint32_t *open)
{
    while (*open != PLAN_NONE) {
        uint32_t i = heap_take(&search->heaps, open);
        uint32_t lack = lacks(search, &search->site->steps[i], back);
        if (lack == PLAN_NONE) {
            begin(search, i, back, now);
        } else {
            heap_put(&search->heaps, &search->wait[lack], i);
            search->n_parked++;
        }
    }
}

/* Nothing runs, and who waits has no memory: the first of the list begins without. */
static void begin_any(struct search *search, bool back, uint64_t now)
{
    size_t n = search->site->n_resources + search->site->n_hosts, first = 0;

    for (size_t i = 0; i < n; i++)
        if (search->wait[i] != PLAN_NONE &&
            (search->wait[first] == PLAN_NONE ||
             search->rank[search->wait[i]] < search->rank[search->wait[first]]))
            first = i;
    uint32_t step = heap_take(&search->heaps, &search->wait[first]);
    search->n_parked--;
    begin(search, step, back, now);
}

/* The list that `rank` says, in one direction of time: starts and ends. Returns the end of all. */
static uint64_t run(struct search *search, const struct way *way)
{
    const struct timeline_site *site = search->site;
    size_t n_all = site->n_resources + site->n_hosts;
    uint32_t open = PLAN_NONE;
    uint64_t now = 0;

    for (size_t i = 0; i < n_all; i++) {
        search->wait[i] = PLAN_NONE;
        search->left[i] = i < site->n_resources ? site->resources[i]
                          : way->free           ? way->free[i - site->n_resources]
                                                : 0;
        search->in_line[i] = false;
    }
    search->n_line = search->line_first = search->n_parked = search->n_running = 0;
    memcpy(search->before, way->n_before, site->n_steps * sizeof(*search->before));
    for (uint32_t i = 0; i < site->n_steps; i++) {
        if (site->steps[i].runs && !way->back)
            begin(search, i, way->back, 0);
        else if (search->before[i] == 0)
            heap_put(&search->heaps, &open, i);
    }
    for (;;) {
        begin_open(search, way->back, now, &open);
        if (search->n_running == 0 && search->n_line > 0) {
            ask_waiting(search, search->n_line, &open);
            continue;
        }
        if (search->n_running == 0 && search->n_parked == 0)
            return now;
        if (search->n_running == 0)
            begin_any(search, way->back, now);
        size_t n_line = search->n_line;
        now = search->ends[search->running[0]];
        while (search->n_running > 0 && search->ends[search->running[0]] == now)
            end(search, way, running_take(search), &open);
        ask_waiting(search, search->n_line - n_line + LEFT_OVER, &open);
    }
}

static int key_compare(const void *a, const void *b)
{
    const struct key *x = a, *y = b;

    if (x->first != y->first)
        return x->first < y->first ? -1 : 1;
    if (x->then != y->then)
        return x->then < y->then ? -1 : 1;
    return x->step < y->step ? -1 : 1;
}

/* The list in the order of the keys. */
static void rank(struct search *search)
{
    qsort(search->keys, search->site->n_steps, sizeof(*search->keys), key_compare);
    for (uint32_t i = 0; i < search->site->n_steps; i++)
        search->rank[search->keys[i].step] = i;
}

/* The list forwards; if its end is the earliest so far, it is kept. True: it is. */
static bool try_list(struct search *search)
{
    uint64_t last = run(search, &search->ways[0]);

    if (last > search->best_end)
        return false;
    search->best_end = last;
    memcpy(search->best, search->starts, search->site->n_steps * sizeof(*search->best));
    return true;
}

/* How busy what the step needs is: the busiest of it, or all together. */
static uint64_t busy(const struct search *search, const struct timeline_step *step, bool together)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < step->n_uses; i++) {
        uint64_t load = search->load[step->uses[i].resource];
        sum = together ? sum + load : load > sum ? load : sum;
    }
    return sum;
}

enum first_list { AS_THEY_COME, LONGEST, BUSIEST, BUSIEST_TOGETHER, FIRST_LISTS };

static void list_first(struct search *search, enum first_list list)
{
    for (uint32_t i = 0; i < search->site->n_steps; i++) {
        const struct timeline_step *step = &search->site->steps[i];
        search->keys[i] = (struct key){.step = i};
        if (list != AS_THEY_COME)
            search->keys[i].then = UINT64_MAX - step->took;
        if (list > LONGEST)
            search->keys[i].first = UINT64_MAX - busy(search, step, list == BUSIEST_TOGETHER);
    }
    rank(search);
}

/* From the last timeline's end to its beginning, and forwards again, as long as that makes it shorter. */
static void shorten(struct search *search, uint64_t last, uint64_t budget)
{
    for (int i = 0; i < ROUNDS && search->best_end > search->bound && search->work < budget; i++) {
        for (uint32_t step = 0; step < search->site->n_steps; step++)
            search->keys[step] = (struct key){UINT64_MAX - search->ends[step], 0, step};
        rank(search);
        run(search, &search->ways[1]);
        for (uint32_t step = 0; step < search->site->n_steps; step++)
            search->keys[step] = (struct key){UINT64_MAX - search->ends[step], 0, step};
        rank(search);
        try_list(search);
        uint64_t now = 0;
        for (uint32_t step = 0; step < search->site->n_steps; step++)
            now = search->ends[step] > now ? search->ends[step] : now;
        if (now >= last)
            return;
        last = now;
    }
}

/* The best list so far, shaken: each step's start by up to `part` of the whole. */
static void list_shaken(struct search *search, uint64_t part, uint64_t *seed)
{
    for (uint32_t i = 0; i < search->site->n_steps; i++) {
        *seed = *seed * 6364136223846793005u + 1442695040888963407u;
        search->keys[i] = (struct key){search->best[i] + (*seed >> 33) % part, 0, i};
    }
    rank(search);
}

/* By how much the best list is shaken, in turn: an eighth of its length, ... all of it. */
static const unsigned shakes[SHAKES] = {3, 5, 2, 6, 4, 1, 7, 0};

static void improve(struct search *search, uint64_t budget)
{
    uint64_t seed = 1;

    for (enum first_list list = LONGEST; list < FIRST_LISTS && search->work < budget; list++) {
        list_first(search, list);
        try_list(search);
        shorten(search, UINT64_MAX, budget);
    }
    for (unsigned i = 0; search->best_end > search->bound && search->work < budget; i++) {
        list_shaken(search, (search->best_end >> shakes[i % SHAKES]) + 1, &seed);
        try_list(search);
        shorten(search, UINT64_MAX, budget);
    }
}

/* Without gain the steps stay as they come. */
static void improve_from(struct search *search, uint64_t budget)
{
    size_t bytes = search->site->n_steps * sizeof(*search->best);
    uint64_t *first = must(malloc(bytes + 1)), first_end = search->best_end;

    memcpy(first, search->best, bytes);
    if (first_end > search->bound)
        improve(search, budget);
    if (search->best_end == first_end)
        memcpy(search->best, first, bytes);
    free(first);
}

/* Who comes after whom, forwards and back. */
static void order(const struct timeline_site *site, struct way *way, bool back)
{
    size_t n = 0;

    way->back = back;
    way->next_first = must(calloc(site->n_steps + 2, sizeof(*way->next_first)));
    way->n_before = must(calloc(site->n_steps + 1, sizeof(*way->n_before)));
    for (size_t i = 0; i < site->n_steps; i++)
        n += site->steps[i].n_after;
    way->next = must(calloc(n + 1, sizeof(*way->next)));
    for (size_t i = 0; i < site->n_steps; i++)
        for (size_t k = 0; k < site->steps[i].n_after; k++) {
            size_t one = site->steps[i].after[k];
            way->next_first[(back ? i : one) + 2]++;
            way->n_before[back ? one : i]++;
        }
    for (size_t i = 2; i < site->n_steps + 2; i++)
        way->next_first[i] += way->next_first[i - 1];
    for (size_t i = 0; i < site->n_steps; i++)
        for (size_t k = 0; k < site->steps[i].n_after; k++) {
            size_t one = site->steps[i].after[k];
            way->next[way->next_first[(back ? i : one) + 1]++] = (uint32_t)(back ? one : i);
        }
}

/* Free memory at the beginning, and at the end of all. */
static void set_memory(const struct timeline_site *site, struct way ways[2])
{
    if (!site->free)
        return;
    for (int i = 0; i < 2; i++) {
        ways[i].free = must(calloc(site->n_hosts + 1, sizeof(*ways[i].free)));
        memcpy(ways[i].free, site->free, site->n_hosts * sizeof(*site->free));
    }
    for (size_t i = 0; i < site->n_steps; i++)
        ways[1].free[site->steps[i].from] += site->steps[i].memory;
    for (size_t i = 0; i < site->n_steps; i++) {
        uint64_t *left = &ways[1].free[site->steps[i].to];
        *left = less(*left, site->steps[i].memory);
    }
}

/* The least time that all can take: the longest step, or the work of the busiest resource. */
static void set_bound(struct search *search)
{
    const struct timeline_site *site = search->site;

    for (size_t i = 0; i < site->n_steps; i++)
        for (size_t k = 0; k < site->steps[i].n_uses; k++) {
            const struct timeline_use *use = &site->steps[i].uses[k];
            uint64_t all = site->resources[use->resource];
            if (all > 0)
                search->load[use->resource] += (uint64_t)((double)site->steps[i].took *
                                                          (double)much(search, use) / (double)all);
        }
    for (size_t i = 0; i < site->n_resources; i++)
        search->bound = search->load[i] > search->bound ? search->load[i] : search->bound;
    for (size_t i = 0; i < site->n_steps; i++)
        search->bound = site->steps[i].took > search->bound ? site->steps[i].took : search->bound;
}

struct timeline timeline_make(const struct timeline_site *site, uint64_t budget)
{
    size_t n = site->n_steps + 1, n_all = site->n_resources + site->n_hosts + 1;
    struct search search = {
        .site = site,
        .rank = must(calloc(n, sizeof(*search.rank))),
        .wait = must(calloc(n_all, sizeof(*search.wait))),
        .left = must(calloc(n_all, sizeof(*search.left))),
        .before = must(calloc(n, sizeof(*search.before))),
        .running = must(calloc(n, sizeof(*search.running))),
        .line = must(calloc(n_all, sizeof(*search.line))),
        .in_line = must(calloc(n_all, sizeof(*search.in_line))),
        .starts = must(calloc(n, sizeof(*search.starts))),
        .ends = must(calloc(n, sizeof(*search.ends))),
        .best = must(calloc(n, sizeof(*search.best))),
        .load = must(calloc(n_all, sizeof(*search.load))),
        .keys = must(calloc(n, sizeof(*search.keys))),
        .heaps = {.left = must(calloc(n, sizeof(uint32_t))),
                  .right = must(calloc(n, sizeof(uint32_t)))},
        .best_end = UINT64_MAX,
    };

    search.heaps.rank = search.rank;
    order(site, &search.ways[0], /* back = */ false);
    order(site, &search.ways[1], /* back = */ true);
    set_memory(site, search.ways);
    set_bound(&search);
    list_first(&search, AS_THEY_COME);
    try_list(&search);
    if (!site->fixed)
        improve_from(&search, budget);
    for (int i = 0; i < 2; i++) {
        free(search.ways[i].next);
        free(search.ways[i].next_first);
        free(search.ways[i].n_before);
        free(search.ways[i].free);
    }
    free(search.rank);
    free(search.wait);
    free(search.left);
    free(search.before);
    free(search.running);
    free(search.line);
    free(search.in_line);
    free(search.starts);
    free(search.ends);
    free(search.load);
    free(search.keys);
    free(search.heaps.left);
    free(search.heaps.right);
    return (struct timeline){
        .starts = search.best, .end = search.best_end, .bound = search.bound, .work = search.work};
}

void timeline_done(struct timeline *timeline)
{
    free(timeline->starts);
    *timeline = (struct timeline){0};
}
