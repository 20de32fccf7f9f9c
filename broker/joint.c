/* joint.c - many guests are placed together: what the broker knows becomes the planner's snapshot */
#include "broker/joint.h"

#include "broker/instance.h"
#include "broker/planner/check.h"
#include "broker/platforms.h"

struct joint {
    struct core *core;
    struct place_ask *asks;
    size_t n_asks;
    struct host **hosts; /* by name, as the planner counts them; owned */
    struct plan_host *plan_hosts;
    struct plan_guest *plan_guests;
    const char **shared; /* names that several guests have, which are rare; owned, in order */
    size_t n_shared, shared_room;
    struct rules_plan *plan; /* the asks, by guest; owned */
    bool *touched;           /* of each rule: it holds one of them; owned */
    enum plan_rule *rules;   /* owned */
    struct plan_place *places;
    size_t n_places, places_room;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* NAME@HOST is another guest of that name (guest.h). */
static void find_shared(struct joint *joint)
{
    for (struct guest *guest = joint->core->n_twins > 0 ? joint->core->guests : NULL; guest;
         guest = guest->hh.next) {
        const char *name = guest->rec->name, *at = strrchr(name, '@');
        if (at)
            *ARRAY_MUST_ADD(joint->shared, joint->n_shared, joint->shared_room) =
                core_printf(joint->core, "%.*s", (int)(at - name), name);
    }
    if (joint->n_shared > 0)
        qsort(joint->shared, joint->n_shared, sizeof(*joint->shared), by_text);
}

static bool is_shared(const struct joint *joint, const struct guest *guest)
{
    const char *name = *guest->rec->shares != '\0' ? guest->rec->shares : guest->rec->name;

    return joint->n_shared > 0 &&
           bsearch(&name, joint->shared, joint->n_shared, sizeof(*joint->shared), by_text);
}

static int by_name(const void *a, const void *b)
{
    const struct host *x = *(struct host *const *)a, *y = *(struct host *const *)b;

    return strcmp(x->rec->name, y->rec->name);
}

static uint32_t number_of(const struct joint *joint, size_t n_hosts, const struct host *host)
{
    struct host **at = bsearch(&host, joint->hosts, n_hosts, sizeof(*joint->hosts), by_name);

    return (uint32_t)(at - joint->hosts);
}

/* The first host that guests may come from and go to. */
static uint32_t group_of(const struct joint *joint, uint32_t host, uint32_t *groups, size_t *n)
{
    char why[300];

    for (size_t i = 0; i < *n; i++)
        if (platform_may_go(joint->hosts[groups[i]], joint->hosts[host], why, sizeof(why)))
            return groups[i];
    groups[(*n)++] = host;
    return host;
}

static void show_hosts(struct joint *joint, struct plan_site *site)
{
    struct core *core = joint->core;
    size_t n = HASH_COUNT(core->hosts), n_groups = 0;
    uint32_t *groups = must(calloc(n + 1, sizeof(*groups)));
    const struct place_ask *ask = &joint->asks[0];

    joint->hosts = must(calloc(n + 1, sizeof(*joint->hosts)));
    joint->plan_hosts = must(calloc(n + 1, sizeof(*joint->plan_hosts)));
    for (struct host *host = core->hosts; host; host = host->hh.next)
        joint->hosts[site->n_hosts++] = host;
    qsort(joint->hosts, n, sizeof(*joint->hosts), by_name);
    for (uint32_t i = 0; i < n; i++) {
        const struct host *host = joint->hosts[i];
        struct plan_host *shown = &joint->plan_hosts[i];
        struct figures all = place_figures(core, host), taken = capacity_taken(&host->load);
        char why[600];
        *shown = (struct plan_host){
            .all = {all.memory, all.vcpus},
            .used = {taken.memory, taken.vcpus},
            .n_used = capacity_guests(&host->load),
            .group = group_of(joint, i, groups, &n_groups),
            .takes = place_usable(core, host, why, sizeof(why)) &&
                     !place_listed(ask->never, ask->n_never, host),
            .last = host_is_suspect(core, host),
        };
    }
    free(groups);
    site->hosts = joint->plan_hosts;
}

static const struct rules_of *rules_of_ask(struct joint *joint, const struct place_ask *ask)
{
    return ask->free ? NULL : rules_of(joint->core, ask->guest);
}

/* Hosts where it may not go for a reason of its own. */
static void add_never(struct joint *joint, const struct place_ask *ask, size_t n_hosts,
                      struct plan_guest *shown)
{
    const struct rules_of *of = rules_of_ask(joint, ask);
    uint32_t *never = NULL;
    size_t n = 0;
    char why[300];
    bool all = is_shared(joint, ask->guest) || ask->n_unfit > 0 ||
               platform_of(ask->guest->rec->kind)->may_take;
    bool some = ask->guest->instances && ask->guest->instances->g_next;
    size_t n_avoid = of ? of->n_avoid : 0;

    if (!all && !some && n_avoid == 0)
        return;
    never = must(calloc(n_hosts + n_avoid + 1, sizeof(*never)));
    for (uint32_t i = 0; i < n_hosts && (all || some); i++)
        if (joint->plan_hosts[i].takes &&
            !place_suits(joint->core, ask, joint->hosts[i], why, sizeof(why)))
            never[n++] = i;
    struct host **avoid =
        n_avoid > 0 ? rules_hosts(joint->core, of->avoid, n_avoid, &n_avoid) : NULL;
    for (size_t i = 0; i < n_avoid; i++)
        never[n++] = number_of(joint, n_hosts, avoid[i]);
    free(avoid);
    shown->never = never;
    shown->n_never = n;
}

/* Hosts that it may go to, where they were named. One that nobody may go to stands for none. */
static void add_to(struct joint *joint, const struct place_ask *ask, size_t n_hosts,
                   struct plan_guest *shown)
{
    size_t n = ask->n_to > 0 ? ask->n_to : n_hosts;
    uint32_t *to = must(calloc(n + 1, sizeof(*to)));
    char why[300];

    for (size_t i = 0; i < n; i++) {
        struct host *host = ask->n_to > 0 ? ask->to[i] : joint->hosts[i];
        if (!ask->source || platform_may_go(ask->source, host, why, sizeof(why)))
            to[shown->n_to++] = number_of(joint, n_hosts, host);
    }
    if (shown->n_to == 0)
        to[shown->n_to++] = shown->host;
    shown->to = to;
}

static void add_preferred(struct joint *joint, const struct rules_of *of, size_t n_hosts,
                          struct plan_guest *shown)
{
    struct host **hosts = rules_hosts(joint->core, of->prefer, of->n_prefer, &shown->n_prefer);
    uint32_t *prefer = must(calloc(of->n_prefer + 1, sizeof(*prefer)));

    for (size_t i = 0; i < shown->n_prefer; i++)
        prefer[i] = number_of(joint, n_hosts, hosts[i]);
    free(hosts);
    shown->prefer = prefer;
}

static void add_rules(struct joint *joint, const struct place_ask *ask, size_t n_hosts,
                      struct plan_guest *shown)
{
    const struct rules_of *of = rules_of_ask(joint, ask);

    if (!of)
        return;
    if (of->n_prefer > 0)
        add_preferred(joint, of, n_hosts, shown);
    if (of->n_rules == 0)
        return;
    uint32_t *rules = must(calloc(of->n_rules, sizeof(*rules)));
    for (size_t i = 0; i < of->n_rules; i++) {
        rules[i] = of->rules[i]->number;
        joint->touched[rules[i]] = true;
    }
    shown->rules = rules;
    shown->n_rules = of->n_rules;
}

static bool is_asked(const struct joint *joint, const struct guest *guest)
{
    const struct rules_plan key = {.guest = guest};

    return bsearch(&key, joint->plan, joint->n_asks, sizeof(key), rules_by_guest);
}

/* Those of a rule that are not placed now. */
static void add_places(struct joint *joint, const struct rule *rule, size_t n_hosts)
{
    for (size_t i = 0; i < rule->n_nodes; i++) {
        const struct guest *guest = guest_find(joint->core, rule->nodes[i]);
        size_t n = 0;
        if (!guest || is_asked(joint, guest))
            continue;
        struct host **hosts = rules_places(guest, rule->together, &n);
        for (size_t k = 0; k < n; k++)
            *ARRAY_MUST_ADD(joint->places, joint->n_places, joint->places_room) =
                (struct plan_place){rule->number, number_of(joint, n_hosts, hosts[k])};
        free(hosts);
    }
}

static void show_rules(struct joint *joint, struct plan_site *site)
{
    size_t n = rules_count(joint->core);

    joint->rules = must(calloc(n + 1, sizeof(*joint->rules)));
    for (size_t i = 0; i < n; i++) {
        const struct rule *rule = rules_at(joint->core, i);
        joint->rules[i] = rule->together ? PLAN_TOGETHER : PLAN_APART;
        if (joint->touched[i])
            add_places(joint, rule, site->n_hosts);
    }
    site->rules = joint->rules;
    site->n_rules = n;
    site->places = joint->places;
    site->n_places = joint->n_places;
}

static void show_guests(struct joint *joint, struct plan_site *site)
{
    joint->plan_guests = must(calloc(joint->n_asks + 1, sizeof(*joint->plan_guests)));
    for (size_t i = 0; i < joint->n_asks; i++) {
        const struct place_ask *ask = &joint->asks[i];
        struct plan_guest *shown = &joint->plan_guests[i];
        struct figures needs = guest_figures(ask->guest);
        *shown = (struct plan_guest){
            .has = {needs.memory, needs.vcpus},
            .host = ask->source ? number_of(joint, site->n_hosts, ask->source) : PLAN_NONE,
            .wish = ask->may_stay ? PLAN_MAY_MOVE : PLAN_LEAVES,
        };
        if (!ask->source || ask->n_to > 0)
            add_to(joint, ask, site->n_hosts, shown);
        add_never(joint, ask, site->n_hosts, shown);
        add_rules(joint, ask, site->n_hosts, shown);
        if (!ask->may_stay)
            continue;
        struct plan_host *host = &joint->plan_hosts[shown->host];
        host->used.memory -= needs.memory;
        host->used.vcpus -= needs.vcpus;
        host->n_used--;
    }
    site->guests = joint->plan_guests;
    site->n_guests = joint->n_asks;
}

/* ---- the plan becomes the asks' answers */

static void answer(struct joint *joint, const struct plan *plan)
{
    for (size_t i = 0; i < plan->n_steps; i++) {
        const struct plan_step *step = &plan->steps[i];
        struct place_ask *ask = &joint->asks[step->guest];
        ask->chosen = joint->hosts[step->to];
        ask->usable = true;
        ask->step = (uint32_t)i + 1;
        if (step->room_for != PLAN_NONE)
            ask->room_for = joint->asks[step->room_for].guest;
        if (step->rule != PLAN_NONE)
            ask->rule = core_strdup(joint->core, rules_at(joint->core, step->rule)->text);
        if (step->n_after > 0) {
            ask->after = core_alloc(joint->core, step->n_after * sizeof(struct guest *));
            ask->after_steps = core_alloc(joint->core, step->n_after * sizeof(uint32_t));
        }
        for (size_t k = 0; k < step->n_after; k++) {
            ask->after_steps[k] = (uint32_t)step->after[k] + 1;
            ask->after[ask->n_after++] = joint->asks[plan->steps[step->after[k]].guest].guest;
        }
    }
}

/* ---- why the others have no place */

static void fill_plan(struct joint *joint)
{
    for (size_t i = 0; i < joint->n_asks; i++) {
        const struct place_ask *ask = &joint->asks[i];
        joint->plan[i] = (struct rules_plan){ask->guest, ask->source, ask->chosen};
    }
    if (joint->n_asks > 0)
        qsort(joint->plan, joint->n_asks, sizeof(*joint->plan), rules_by_guest);
}

static bool has_none(const struct place_ask *ask)
{
    return !ask->chosen && !ask->may_stay;
}

/* Each alone would have a place, all of them together have none. */
static void explain_bundle(struct joint *joint, struct place_ask *ask, const struct place_ask *mate)
{
    const struct rules_of *of = rules_of_ask(joint, ask);
    const char *rule = "a rule";

    for (size_t i = 0; of && i < of->n_rules; i++)
        if (of->rules[i]->together)
            rule = of->rules[i]->text;
    ask->ruled = true;
    if (mate)
        snprintf(ask->why, sizeof(ask->why), "%s keeps it with %s, which has no place: %.700s",
                 rule, mate->guest->rec->name, mate->why);
    else
        snprintf(ask->why, sizeof(ask->why), "no hypervisor may take all that %s holds together",
                 rule);
}

/* Of a bundle all need the room of all. */
static void explain_all(struct joint *joint, const uint32_t *bundle)
{
    struct figures *sums = must(calloc(joint->n_asks + 1, sizeof(*sums)));
    const struct place_ask **firsts = must(calloc(joint->n_asks + 1, sizeof(*firsts)));

    for (size_t i = 0; bundle && i < joint->n_asks; i++)
        if (has_none(&joint->asks[i])) {
            struct figures needs = guest_figures(joint->asks[i].guest);
            sums[bundle[i]].memory += needs.memory;
            sums[bundle[i]].vcpus += needs.vcpus;
        }
    for (size_t i = 0; i < joint->n_asks; i++) {
        struct place_ask *ask = &joint->asks[i];
        struct figures needs = guest_figures(ask->guest);
        if (!has_none(ask))
            continue;
        if (bundle)
            ask->more = (struct figures){sums[bundle[i]].memory - needs.memory,
                                         sums[bundle[i]].vcpus - needs.vcpus};
        ask->plan = joint->plan;
        ask->n_plan = joint->n_asks;
        (void)place_choose(joint->core, ask);
        if (bundle && *ask->why != '\0' && !firsts[bundle[i]])
            firsts[bundle[i]] = ask;
    }
    for (size_t i = 0; bundle && i < joint->n_asks; i++)
        if (has_none(&joint->asks[i]) && *joint->asks[i].why == '\0')
            explain_bundle(joint, &joint->asks[i], firsts[bundle[i]]);
    free(firsts);
    free(sums);
}

/* Those without a place say why, and what the others take counts. */
static size_t explain(struct joint *joint, const struct plan *plan)
{
    size_t without = 0;

    for (size_t i = 0; i < joint->n_asks; i++) {
        struct figures needs = guest_figures(joint->asks[i].guest);
        if (joint->asks[i].chosen)
            capacity_suppose(&joint->asks[i].chosen->load, &needs);
        without += has_none(&joint->asks[i]) ? 1 : 0;
    }
    if (without > 0)
        explain_all(joint, plan->bundle);
    for (size_t i = 0; i < joint->n_asks; i++) {
        if (joint->asks[i].chosen)
            capacity_forget(&joint->asks[i].chosen->load);
        joint->asks[i].plan = NULL;
        joint->asks[i].n_plan = 0;
    }
    return without;
}

/* Those that make room first, then those that leave, then those that stay. */
static void put_in_order(struct joint *joint, const struct plan *plan)
{
    struct place_ask *asks = must(calloc(joint->n_asks + 1, sizeof(*asks)));
    size_t n = 0;

    for (size_t i = 0; i < plan->n_room; i++)
        asks[n++] = joint->asks[plan->steps[i].guest];
    for (int stays = 0; stays < 2; stays++)
        for (size_t i = 0; i < joint->n_asks; i++)
            if (joint->asks[i].may_stay == (stays == 1) && !(stays && joint->asks[i].chosen))
                asks[n++] = joint->asks[i];
    memcpy(joint->asks, asks, joint->n_asks * sizeof(*asks));
    free(asks);
}

/* The asks and all that the broker knows about them, as the planner takes it. */
static struct plan_site snapshot(struct joint *joint)
{
    struct plan_site site = {0};

    joint->plan = must(calloc(joint->n_asks + 1, sizeof(*joint->plan)));
    joint->touched = must(calloc(rules_count(joint->core) + 1, sizeof(*joint->touched)));
    find_shared(joint);
    fill_plan(joint);
    show_hosts(joint, &site);
    show_guests(joint, &site);
    show_rules(joint, &site);
    return site;
}

static void snapshot_done(struct joint *joint)
{
    for (size_t i = 0; i < joint->n_asks; i++) {
        free((void *)joint->plan_guests[i].to);
        free((void *)joint->plan_guests[i].never);
        free((void *)joint->plan_guests[i].prefer);
        free((void *)joint->plan_guests[i].rules);
    }
    free(joint->places);
    free(joint->rules);
    free(joint->touched);
    free(joint->plan);
    free(joint->plan_guests);
    free(joint->plan_hosts);
    free(joint->hosts);
    free(joint->shared);
}

size_t place_joint(struct core *core, struct place_ask *asks, size_t n, size_t *ret_n_room)
{
    struct joint joint = {.core = core, .asks = asks, .n_asks = n};
    bool room = false;

    if (ret_n_room)
        *ret_n_room = 0;
    if (n == 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        asks[i].chosen = NULL;
        asks[i].room_for = NULL;
        asks[i].rule = NULL;
        asks[i].n_after = 0;
        asks[i].step = 0;
        asks[i].more = (struct figures){0};
        asks[i].why[0] = '\0';
        room = room || asks[i].may_stay;
    }
    struct plan_site site = snapshot(&joint);
    struct plan plan = plan_make(&site, room ? PLAN_BUDGET : 0);
    answer(&joint, &plan);
    fill_plan(&joint);
    size_t without = explain(&joint, &plan);
    if (ret_n_room) {
        put_in_order(&joint, &plan);
        *ret_n_room = plan.n_room;
    }
    plan_done(&plan);
    snapshot_done(&joint);
    return without;
}

void joint_show(struct core *core, struct place_ask *asks, size_t n, joint_show_f *f, void *context)
{
    struct joint joint = {.core = core, .asks = asks, .n_asks = n};
    struct plan_site site = snapshot(&joint);

    f(context, &site, joint.hosts);
    snapshot_done(&joint);
}

/* ---- a plan that was made before */

static int by_step(const void *a, const void *b)
{
    const struct place_ask *x = *(struct place_ask *const *)a, *y = *(struct place_ask *const *)b;

    return x->step < y->step ? -1 : x->step > y->step;
}

/* Where that step stands among those that are left of the plan; n: nowhere. */
static size_t position(struct place_ask *const *order, size_t n, uint32_t step)
{
    const struct place_ask key = {.step = step}, *wanted = &key;
    struct place_ask *const *at = bsearch(&wanted, order, n, sizeof(*order), by_step);

    return at ? (size_t)(at - order) : n;
}

static struct plan_step *steps_of(const struct joint *joint, struct place_ask *const *order,
                                  size_t n)
{
    struct plan_step *steps = must(calloc(n + 1, sizeof(*steps)));

    for (size_t i = 0; i < n; i++) {
        const struct place_ask *ask = order[i];
        steps[i].guest = (uint32_t)(ask - joint->asks);
        steps[i].from = joint->plan_guests[steps[i].guest].host;
        steps[i].to = number_of(joint, HASH_COUNT(joint->core->hosts), ask->chosen);
        steps[i].after = must(calloc(ask->n_after + 1, sizeof(*steps[i].after)));
        for (size_t k = 0; k < ask->n_after; k++) {
            size_t at = position(order, n, ask->after_steps[k]);
            if (at < n)
                steps[i].after[steps[i].n_after++] = at;
        }
    }
    return steps;
}

/* What stands in the way of a guest at the one host that the plan has for it. */
static void explain_fault(struct joint *joint, struct place_ask *ask, enum plan_fault fault)
{
    struct place_ask alone = *ask;
    struct host *const to = ask->chosen;
    const char *name = to->rec->name;

    alone.to = &to;
    alone.n_to = 1;
    alone.plan = joint->plan;
    alone.n_plan = joint->n_asks;
    alone.why[0] = '\0';
    if (fault == PLAN_SPLIT)
        snprintf(ask->why, sizeof(ask->why),
                 "a rule holds it together with others, and %s does not get all of them", name);
    else if (fault == PLAN_BARRED && ask->n_to > 0 && !place_listed(ask->to, ask->n_to, to))
        snprintf(ask->why, sizeof(ask->why), "may not go to %s (vm.migrationdest)", name);
    else if (place_choose(joint->core, &alone) || alone.why[0] == '\0')
        snprintf(ask->why, sizeof(ask->why), "has no place on %s with the others of the plan",
                 name);
    else
        snprintf(ask->why, sizeof(ask->why), "%s", alone.why);
}

static void explain_faults(struct joint *joint, struct place_ask *const *order, size_t n,
                           const enum plan_fault *faults)
{
    for (size_t i = 0; i < n; i++) {
        struct figures needs = guest_figures(order[i]->guest);
        if (faults[i] == PLAN_SOUND)
            capacity_suppose(&order[i]->chosen->load, &needs);
    }
    for (size_t i = 0; i < n; i++)
        if (faults[i] != PLAN_SOUND)
            explain_fault(joint, order[i], faults[i]);
    for (size_t i = 0; i < n; i++)
        capacity_forget(&order[i]->chosen->load);
}

size_t place_joint_again(struct core *core, struct place_ask *asks, size_t n)
{
    struct joint joint = {.core = core, .asks = asks, .n_asks = n};
    size_t n_steps = 0;

    if (n == 0)
        return 0;
    struct place_ask **order = must(calloc(n, sizeof(struct place_ask *)));
    enum plan_fault *faults = must(calloc(n, sizeof(*faults)));
    for (size_t i = 0; i < n; i++)
        if (asks[i].chosen)
            order[n_steps++] = &asks[i];
    qsort(order, n_steps, sizeof(*order), by_step);
    struct plan_site site = snapshot(&joint);
    struct plan_step *steps = steps_of(&joint, order, n_steps);
    size_t n_faults = plan_check(&site, steps, n_steps, faults);
    if (n_faults > 0)
        explain_faults(&joint, order, n_steps, faults);
    for (size_t i = 0; i < n_steps; i++)
        free(steps[i].after);
    free(steps);
    snapshot_done(&joint);
    free(faults);
    free(order);
    return n_faults;
}
