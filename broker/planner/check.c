/* check.c - can a plan that was made of an earlier snapshot still be carried out? */
#include "broker/planner/check.h"

#include "broker/planner/bundle.h"
#include "broker/planner/state.h"
#include "conf/array.h"

#include <stdlib.h>

/* The plan on its way through the snapshot. */
struct walk {
    const struct plan_site *site;
    const struct plan_step *steps;
    struct bundles *bundles; /* NULL: nobody is held */
    struct state *bundled;   /* nobody of it moves: who may go where */
    struct apart *apart;
    struct plan_size
        *taken;      /* of each host: with all that came, without those that are counted on */
    uint32_t *units; /* of each guest, in `bundled` */
    uint32_t *come;  /* of each unit, how many of it */
    uint32_t *goes;  /* of each guest where the plan takes it, or PLAN_NONE */
    bool *gone;      /* of each step: it is counted on */
};

static void walk_begin(struct walk *walk, size_t n)
{
    const struct plan_site *site = walk->site;

    walk->bundles = bundle_all(site);
    walk->bundled = state_new(walk->bundles ? &walk->bundles->site : site);
    walk->apart = apart_new(site);
    walk->taken = must(calloc(site->n_hosts + 1, sizeof(*walk->taken)));
    walk->units = must(calloc(site->n_guests + 1, sizeof(*walk->units)));
    walk->come = must(calloc(site->n_guests + 1, sizeof(*walk->come)));
    walk->goes = must(calloc(site->n_guests + 1, sizeof(*walk->goes)));
    walk->gone = must(calloc(n + 1, sizeof(*walk->gone)));
    for (size_t i = 0; i < site->n_hosts; i++)
        walk->taken[i] = site->hosts[i].used;
    for (uint32_t i = 0; i < site->n_guests; i++) {
        const struct plan_guest *guest = &site->guests[i];
        walk->units[i] = i;
        walk->goes[i] = PLAN_NONE;
        if (guest->wish != PLAN_MAY_MOVE)
            continue;
        walk->taken[guest->host].memory += guest->has.memory;
        walk->taken[guest->host].vcpus += guest->has.vcpus;
    }
    for (uint32_t i = 0; walk->bundles && i < walk->bundles->site.n_guests; i++)
        for (uint32_t k = walk->bundles->first[i]; k < walk->bundles->first[i + 1]; k++)
            walk->units[walk->bundles->members[k]] = i;
    for (size_t i = 0; i < n; i++)
        walk->goes[walk->steps[i].guest] = walk->steps[i].to;
}

static void walk_end(struct walk *walk)
{
    free(walk->gone);
    free(walk->goes);
    free(walk->come);
    free(walk->units);
    free(walk->taken);
    apart_free(walk->apart);
    state_free(walk->bundled);
    bundle_free(walk->bundles);
}

/* Those that the step waits for have left. */
static void let_go(struct walk *walk, const struct plan_step *step)
{
    for (size_t i = 0; i < step->n_after; i++) {
        const struct plan_step *before = &walk->steps[step->after[i]];
        const struct plan_guest *guest = &walk->site->guests[before->guest];
        if (walk->gone[step->after[i]] || guest->wish != PLAN_MAY_MOVE)
            continue;
        walk->gone[step->after[i]] = true;
        walk->taken[guest->host].memory -= guest->has.memory;
        walk->taken[guest->host].vcpus -= guest->has.vcpus;
        apart_go(walk->apart, before->guest, guest->host);
    }
}

/* The guests that go with one, and itself. */
static const uint32_t *mates(const struct walk *walk, const uint32_t *guest, size_t *ret_n)
{
    const struct bundles *bundles = walk->bundles;
    uint32_t unit = walk->units[*guest];

    *ret_n = bundles ? bundles->first[unit + 1] - bundles->first[unit] : 1;
    return bundles ? bundles->members + bundles->first[unit] : guest;
}

static bool is_split(const struct walk *walk, const struct plan_step *step)
{
    size_t n;
    const uint32_t *with = mates(walk, &step->guest, &n);

    for (size_t i = 0; i < n; i++)
        if (walk->goes[with[i]] != step->to)
            return true;
    return false;
}

/* Those that go together do not keep one another apart: they count when all are there. */
static void come(struct walk *walk, const struct plan_step *step)
{
    const struct plan_guest *guest = &walk->site->guests[step->guest];
    size_t n;
    const uint32_t *with = mates(walk, &step->guest, &n);

    walk->taken[step->to].memory += guest->has.memory;
    walk->taken[step->to].vcpus += guest->has.vcpus;
    if (++walk->come[walk->units[step->guest]] == n)
        for (size_t i = 0; i < n; i++)
            apart_come(walk->apart, with[i], step->to);
}

static bool has_room(const struct walk *walk, const struct plan_step *step)
{
    const struct plan_size *all = &walk->site->hosts[step->to].all, *taken = &walk->taken[step->to];
    const struct plan_size *needs = &walk->site->guests[step->guest].has;

    return taken->memory <= all->memory && needs->memory <= all->memory - taken->memory &&
           taken->vcpus <= all->vcpus && needs->vcpus <= all->vcpus - taken->vcpus;
}

static enum plan_fault look(const struct walk *walk, const struct plan_step *step)
{
    if (!walk->site->hosts[step->to].takes)
        return PLAN_CLOSED;
    if (is_split(walk, step))
        return PLAN_SPLIT;
    if (!state_may_go(walk->bundled, walk->units[step->guest], step->to))
        return PLAN_BARRED;
    if (apart_bars(walk->apart, step->guest, step->to))
        return PLAN_MEETS;
    return has_room(walk, step) ? PLAN_SOUND : PLAN_CROWDED;
}

size_t plan_check(const struct plan_site *site, const struct plan_step *steps, size_t n,
                  enum plan_fault *ret_faults)
{
    struct walk walk = {.site = site, .steps = steps};
    size_t faults = 0;

    walk_begin(&walk, n);
    for (size_t i = 0; i < n; i++) {
        let_go(&walk, &steps[i]);
        ret_faults[i] = look(&walk, &steps[i]);
        faults += ret_faults[i] != PLAN_SOUND;
        come(&walk, &steps[i]);
    }
    walk_end(&walk);
    return faults;
}
