/* times.c - what many migrations are expected to take together, and in which order they begin */
#include "broker/times.h"

#include "broker/job.h"
#include "broker/learned.h"
#include "broker/planner/timeline.h"

enum {
    USES = 3, /* of each step: the site, its source, its destination */
    UNLIMITED = CONF_LIMIT_MAX,
};

/* How long each step takes. */
enum pace { EXPECTED, FAST, SLOW };

/* The asks that have a place, and behind them what runs, as the timeline takes them. */
struct times {
    struct core *core;
    const struct host **hosts; /* by address; owned, as the others */
    size_t n_hosts;
    const struct place_ask **asks;
    struct estimate *estimates;
    struct timeline_step *steps;
    struct timeline_use *uses;
    size_t *after;
    uint64_t *resources;
    size_t n, n_asks; /* of steps; of asks */
};

static int by_address(const void *a, const void *b)
{
    const struct host *x = *(const struct host *const *)a, *y = *(const struct host *const *)b;

    return x < y ? -1 : x > y;
}

static uint32_t number_of(const struct times *times, const struct host *host)
{
    const struct host **at =
        bsearch(&host, times->hosts, times->n_hosts, sizeof(*times->hosts), by_address);

    return (uint32_t)(at - times->hosts);
}

static uint64_t least(unsigned limit, unsigned slots)
{
    uint64_t most = limit > 0 ? limit : UNLIMITED;

    return slots > 0 && slots < most ? slots : most;
}

/* Resource 0 is the site; of each host there are two, away and to it. */
static void add_hosts(struct times *times)
{
    const struct conf_broker *conf = times->core->conf;
    size_t n = HASH_COUNT(times->core->hosts);

    times->hosts = must(calloc(n + 1, sizeof(struct host *)));
    times->resources = must(calloc(1 + 2 * n, sizeof(*times->resources)));
    for (const struct host *host = times->core->hosts; host; host = host->hh.next)
        times->hosts[times->n_hosts++] = host;
    qsort(times->hosts, n, sizeof(*times->hosts), by_address);
    times->resources[0] = least(conf->limit_cluster, 0);
    for (size_t i = 0; i < n; i++) {
        times->resources[1 + 2 * i] = least(conf->limit_source, times->hosts[i]->link.slots);
        times->resources[2 + 2 * i] = least(conf->limit_destination, 0);
    }
}

static void add_step(struct times *times, const struct guest *guest, const struct host *from,
                     const struct host *to, uint64_t bandwidth)
{
    struct timeline_use *uses = times->uses + USES * times->n;

    times->estimates[times->n] =
        learned_of(times->core, guest, from->rec->name, to->rec->name, bandwidth);
    uses[0] = (struct timeline_use){0, 1};
    uses[1] = (struct timeline_use){1 + 2 * number_of(times, from), 1};
    uses[2] = (struct timeline_use){2 + 2 * number_of(times, to), 1};
    times->steps[times->n] = (struct timeline_step){
        .took = times->estimates[times->n].took, .uses = uses, .n_uses = USES};
    times->n++;
}

struct seat {
    const struct guest *guest;
    size_t step;
};

static int by_guest(const void *a, const void *b)
{
    const struct seat *x = a, *y = b;

    return x->guest < y->guest ? -1 : x->guest > y->guest;
}

/* Each ask names the guests that it waits for. */
static void add_after(struct times *times)
{
    struct seat *seats = must(calloc(times->n_asks + 1, sizeof(*seats)));
    size_t n = 0;

    for (size_t i = 0; i < times->n_asks; i++) {
        seats[i] = (struct seat){times->asks[i]->guest, i};
        n += times->asks[i]->n_after;
    }
    if (times->n_asks > 0)
        qsort(seats, times->n_asks, sizeof(*seats), by_guest);
    times->after = must(calloc(n + 1, sizeof(*times->after)));
    n = 0;
    for (size_t i = 0; i < times->n_asks; i++) {
        times->steps[i].after = times->after + n;
        for (size_t k = 0; k < times->asks[i]->n_after; k++) {
            const struct seat key = {.guest = times->asks[i]->after[k]};
            const struct seat *seat = bsearch(&key, seats, times->n_asks, sizeof(*seats), by_guest);
            if (seat)
                times->after[n + times->steps[i].n_after++] = seat->step;
        }
        n += times->steps[i].n_after;
    }
    free(seats);
}

/* What is left of them, as far as one can know. */
static void add_running(struct times *times)
{
    struct core *core = times->core;
    const struct job *job;

    for (const struct host *host = core->hosts; host; host = host->hh.next)
        DL_FOREACH2 (host->jobs.leaving, job, s_next) {
            if (!job_is_active(job->live.state) || !job->destination)
                continue;
            add_step(times, job->guest, host, job->destination,
                     job->ask->options ? job->ask->options->bandwidth : 0);
            struct timeline_step *step = &times->steps[times->n - 1];
            uint64_t passed = core->wall > job->live.started_at && job->live.started_at != 0
                                  ? core->wall - job->live.started_at
                                  : 0;
            step->runs = true;
            step->took = step->took > passed ? step->took - passed : 1;
        }
}

static size_t count_running(const struct core *core)
{
    size_t n = 0;
    const struct job *job;

    for (const struct host *host = core->hosts; host; host = host->hh.next)
        DL_FOREACH2 (host->jobs.leaving, job, s_next)
            n += job_is_active(job->live.state) && job->destination;
    return n;
}

static struct times times_new(struct core *core, const struct submission *sub)
{
    struct times times = {.core = core};
    size_t n = sub->n_asks + count_running(core) + 1;

    times.asks = must(calloc(n, sizeof(struct place_ask *)));
    times.estimates = must(calloc(n, sizeof(*times.estimates)));
    times.steps = must(calloc(n, sizeof(*times.steps)));
    times.uses = must(calloc(n, USES * sizeof(*times.uses)));
    add_hosts(&times);
    for (size_t i = 0; i < sub->n_asks; i++) {
        const struct place_ask *ask = &sub->asks[i];
        if (!ask->chosen || !ask->source)
            continue;
        times.asks[times.n_asks++] = ask;
        add_step(&times, ask->guest, ask->source, ask->chosen,
                 sub->options ? sub->options->bandwidth : 0);
    }
    add_after(&times);
    add_running(&times);
    return times;
}

static void times_done(struct times *times)
{
    free(times->hosts);
    free(times->asks);
    free(times->estimates);
    free(times->steps);
    free(times->uses);
    free(times->after);
    free(times->resources);
}

static struct timeline timeline_of(const struct times *times, bool fixed)
{
    const struct timeline_site site = {
        .steps = times->steps,
        .n_steps = times->n,
        .resources = times->resources,
        .n_resources = 1 + 2 * times->n_hosts,
        .fixed = fixed,
    };

    return timeline_make(&site, TIMES_BUDGET);
}

/* ---- the order */

struct turn_of {
    struct place_ask ask;
    uint64_t start;
    size_t place;
};

static int by_start(const void *a, const void *b)
{
    const struct turn_of *x = a, *y = b;

    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

void times_order(struct core *core, struct submission *sub)
{
    size_t first = 0, n = 0;

    while (first < sub->n_asks && sub->asks[first].may_stay)
        first++; /* they make room, and their jobs are made first */
    if (sub->n_asks - first < 2)
        return;
    struct times times = times_new(core, sub);
    struct timeline timeline = timeline_of(&times, /* fixed = */ false);
    struct timeline as_it_is = timeline_of(&times, /* fixed = */ true);
    struct turn_of *turns = must(calloc(sub->n_asks, sizeof(*turns)));
    for (size_t i = 0; i < sub->n_asks; i++) {
        bool placed = n < times.n_asks && times.asks[n] == &sub->asks[i];
        turns[i] = (struct turn_of){
            .ask = sub->asks[i], .start = placed ? timeline.starts[n] : UINT64_MAX, .place = i};
        n += placed;
    }
    if (timeline.end < as_it_is.end) {
        qsort(turns + first, sub->n_asks - first, sizeof(*turns), by_start);
        for (size_t i = first; i < sub->n_asks; i++)
            sub->asks[i] = turns[i].ask;
    }
    free(turns);
    timeline_done(&timeline);
    timeline_done(&as_it_is);
    times_done(&times);
}

/* ---- what is said of it */

static uint64_t pace_of(const struct estimate *estimate, enum pace pace)
{
    return pace == FAST ? estimate->low : pace == SLOW ? estimate->high : estimate->took;
}

/* When the last of the asks is over if all go at this pace; what runs goes on as expected. */
static uint64_t end_at(struct times *times, enum pace pace)
{
    uint64_t end = 0;

    for (size_t i = 0; i < times->n_asks; i++)
        times->steps[i].took = pace_of(&times->estimates[i], pace);
    struct timeline timeline = timeline_of(times, /* fixed = */ true);
    for (size_t i = 0; i < times->n_asks; i++)
        if (timeline.starts[i] + times->steps[i].took > end)
            end = timeline.starts[i] + times->steps[i].took;
    timeline_done(&timeline);
    return end;
}

static RmExpected *expected_new(struct core *core)
{
    RmExpected *expected = core_alloc(core, sizeof(*expected));

    rm_expected__init(expected);
    return expected;
}

static RmExpected *of_step(const struct times *times, size_t i, uint64_t start)
{
    const struct estimate *estimate = &times->estimates[i];
    RmExpected *expected = expected_new(times->core);

    expected->starts_for = start;
    expected->takes_for = estimate->took;
    expected->low_for = estimate->low;
    expected->high_for = estimate->high;
    expected->pause_for = estimate->pause;
    expected->guess = estimate->known == ESTIMATE_GUESS;
    return expected;
}

static int by_step(const void *a, const void *b)
{
    const RmOutcome *x = *(RmOutcome *const *)a, *y = *(RmOutcome *const *)b;

    return x->step < y->step ? -1 : x->step > y->step;
}

/* Outcomes that are steps, by their number; owned by the caller. */
static RmOutcome **steps_of(const RmReply *reply, size_t *ret_n)
{
    RmOutcome **steps = must(calloc(reply->n_outcomes + 1, sizeof(RmOutcome *)));

    *ret_n = 0;
    for (size_t i = 0; i < reply->n_outcomes; i++)
        if (reply->outcomes[i]->step > 0)
            steps[(*ret_n)++] = reply->outcomes[i];
    if (*ret_n > 0)
        qsort(steps, *ret_n, sizeof(*steps), by_step);
    return steps;
}

void times_tell(struct core *core, RmReply *reply, const struct submission *sub)
{
    size_t n_steps;
    struct times times = times_new(core, sub);
    RmOutcome **steps = steps_of(reply, &n_steps);
    RmExpected *whole = expected_new(core);

    struct timeline timeline = timeline_of(&times, /* fixed = */ true);
    for (size_t i = 0; i < times.n_asks; i++) {
        RmOutcome key = {.step = times.asks[i]->step}, *wanted = &key;
        RmOutcome **at = bsearch(&wanted, steps, n_steps, sizeof(*steps), by_step);
        const struct estimate *estimate = &times.estimates[i];
        if (at)
            (*at)->expected = of_step(&times, i, timeline.starts[i]);
        if (estimate->pause > whole->pause_for)
            whole->pause_for = estimate->pause;
        whole->guess = whole->guess || estimate->known == ESTIMATE_GUESS;
    }
    timeline_done(&timeline);
    whole->takes_for = end_at(&times, EXPECTED);
    whole->low_for = end_at(&times, FAST);
    whole->high_for = end_at(&times, SLOW);
    if (times.n_asks > 0)
        reply->expected = whole;
    free(steps);
    times_done(&times);
}
