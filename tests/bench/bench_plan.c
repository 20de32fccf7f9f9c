/* bench_plan.c - the planner over public instances, and over sites of growing size
 *
 * usage: bench_plan [DIR [MILLIONS]]    MILLIONS: looks that each plan may take (default: 10)
 *
 * DIR/balcon/NNN.json[.gz] (of andreigudkov/BalCon): the fullest 5 % of the hosts are emptied.
 * DIR/mvm and DIR/scale: how long migrations take, and in which order (tests/bench/times.h).
 * DIR/tdsc/NAME.json[.gz] (of btrplace/scheduler): the guests that wait are placed; its constraints but `offline` are left aside.
 * Without DIR only the growth is printed, without rules and with. Figures are printed, nothing is asserted. */
#include "broker/planner/plan.h"
#include "conf/array.h"
#include "tests/bench/instance.h"
#include "tests/bench/times.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME = 4096, EMPTIED_PER_CENT = 5 };

struct site {
    struct plan_host *hosts;
    struct plan_guest *guests;
    size_t n_hosts, n_guests, hosts_room, guests_room;
    enum plan_rule *rules;
    uint32_t *numbers; /* of all rules */
    size_t n_rules;
};

struct sum {
    size_t sites, emptied, leave, without, room;
    uint64_t leave_memory, room_memory;
    double seconds;
};

static void add_guest(struct site *site, uint32_t host, struct plan_size has, bool leaves)
{
    *ARRAY_MUST_ADD(site->guests, site->n_guests, site->guests_room) =
        (struct plan_guest){.has = has, .host = host, .wish = leaves ? PLAN_LEAVES : PLAN_MAY_MOVE};
    if (!leaves)
        return;
    site->hosts[host].used.memory += has.memory;
    site->hosts[host].used.vcpus += has.vcpus;
    site->hosts[host].n_used++;
}

static void add_host(struct site *site, struct plan_size all, bool takes)
{
    *ARRAY_MUST_ADD(site->hosts, site->n_hosts, site->hosts_room) =
        (struct plan_host){.all = all, .takes = takes};
}

struct fill {
    size_t host;
    struct plan_size taken;
    double share; /* of both, added */
};

static int fullest_first(const void *a, const void *b)
{
    const struct fill *x = a, *y = b;

    if (x->share != y->share)
        return x->share > y->share ? -1 : 1;
    return x->host < y->host ? -1 : 1;
}

static bool read_balcon(const json_t *json, struct site *site)
{
    const json_t *hosts = json_object_get(json, "hosts"), *vms = json_object_get(json, "vms");
    const json_t *mapping = json_object_get(json, "mapping");
    size_t n = json_array_size(hosts);
    struct fill *fill = must(calloc(n + 1, sizeof(*fill)));

    for (size_t i = 0; i < n; i++) {
        const json_t *host = json_array_get(hosts, i);
        add_host(site,
                 (struct plan_size){instance_number(host, "mem"), instance_number(host, "cpu")},
                 true);
        fill[i].host = i;
    }
    for (size_t i = 0; i < json_array_size(vms); i++) {
        const json_t *vm = json_array_get(vms, i);
        size_t at = (size_t)json_integer_value(json_array_get(mapping, i));
        if (at >= n) {
            free(fill);
            return false;
        }
        fill[at].taken.memory += instance_number(vm, "mem");
        fill[at].taken.vcpus += instance_number(vm, "cpu");
    }
    for (size_t i = 0; i < n; i++)
        fill[i].share = (double)fill[i].taken.memory / (double)site->hosts[i].all.memory +
                        (double)fill[i].taken.vcpus / (double)site->hosts[i].all.vcpus;
    qsort(fill, n, sizeof(*fill), fullest_first);
    for (size_t i = 0; i < (n * EMPTIED_PER_CENT + 99) / 100; i++)
        site->hosts[fill[i].host].takes = false;
    for (size_t i = 0; i < json_array_size(vms); i++) {
        const json_t *vm = json_array_get(vms, i);
        uint32_t at = (uint32_t)json_integer_value(json_array_get(mapping, i));
        add_guest(site, at,
                  (struct plan_size){instance_number(vm, "mem"), instance_number(vm, "cpu")},
                  !site->hosts[at].takes);
    }
    free(fill);
    return n > 0;
}

/* The capacity of hosts ("nodes") or the need of guests ("vms") by the view of that resource. */
static uint64_t of_view(const json_t *model, const char *resource, const char *what,
                        const char *fallback, const char *id)
{
    const json_t *view;
    size_t i;

    json_array_foreach(json_object_get(model, "views"), i, view)
    {
        const char *name = json_string_value(json_object_get(view, "rcId"));
        const json_t *value = json_object_get(json_object_get(view, what), id);
        if (name && strcmp(name, resource) == 0)
            return value ? (uint64_t)json_integer_value(value) : instance_number(view, fallback);
    }
    return 0;
}

static struct plan_size vm_size(const json_t *model, const json_t *vm)
{
    char id[32];

    snprintf(id, sizeof(id), "%lld", (long long)json_integer_value(vm));
    return (struct plan_size){of_view(model, "mem", "vms", "defConsumption", id),
                              of_view(model, "cpu", "vms", "defConsumption", id)};
}

static bool read_tdsc(const json_t *json, struct site *site)
{
    const json_t *model = json_object_get(json, "model"), *constraint, *vm;
    json_t *mapping = json_object_get(model, "mapping"), *offline = json_object(), *node;
    const char *id;
    size_t i;

    json_array_foreach(json_object_get(json, "constraints"), i, constraint)
    {
        const char *kind = json_string_value(json_object_get(constraint, "id"));
        char name[32];
        snprintf(name, sizeof(name), "%llu",
                 (unsigned long long)instance_number(constraint, "node"));
        if (kind && strcmp(kind, "offline") == 0)
            json_object_set_new(offline, name, json_true());
    }
    json_object_foreach(json_object_get(mapping, "onlineNodes"), id, node)
    {
        uint32_t host = (uint32_t)site->n_hosts;
        bool leaves = json_object_get(offline, id);
        add_host(site,
                 (struct plan_size){of_view(model, "mem", "nodes", "defCapacity", id),
                                    of_view(model, "cpu", "nodes", "defCapacity", id)},
                 !leaves);
        json_array_foreach(json_object_get(node, "runningVMs"), i, vm)
            add_guest(site, host, vm_size(model, vm), leaves);
    }
    uint32_t nowhere = (uint32_t)site->n_hosts;
    add_host(site, (struct plan_size){0, 0},
             false); /* those that wait are on a host that is emptied */
    json_array_foreach(json_object_get(mapping, "readyVMs"), i, vm)
        add_guest(site, nowhere, vm_size(model, vm), true);
    json_decref(offline);
    return site->n_hosts > 1;
}

static void run(const char *name, const struct site *site, uint64_t looks, struct sum *sum)
{
    struct plan_site shown = {
        .hosts = site->hosts,
        .n_hosts = site->n_hosts,
        .guests = site->guests,
        .n_guests = site->n_guests,
        .rules = site->rules,
        .n_rules = site->n_rules,
    };
    double begin = instance_now();
    struct plan plan = plan_make(&shown, looks);
    double seconds = instance_now() - begin;
    uint64_t room = 0, leave = 0;
    size_t n = 0;

    for (size_t i = 0; i < plan.n_room; i++)
        room += site->guests[plan.steps[i].guest].has.memory;
    for (size_t i = 0; i < site->n_guests; i++) {
        if (site->guests[i].wish != PLAN_LEAVES)
            continue;
        leave += site->guests[i].has.memory;
        n++;
    }
    printf("%-24s %6zu hosts %7zu guests %6zu leave %5zu without %5zu extra moves %5.0f %% extra "
           "memory %8.3f s %6.1f M looks\n",
           name, site->n_hosts, site->n_guests, n, plan.n_without, plan.n_room,
           leave > 0 ? 100 * (double)room / (double)leave : 0, seconds, (double)plan.work / 1e6);
    sum->sites++;
    sum->emptied += plan.n_without == 0;
    sum->leave += n;
    sum->without += plan.n_without;
    sum->room += plan.n_room;
    sum->leave_memory += leave;
    sum->room_memory += room;
    sum->seconds += seconds;
    plan_done(&plan);
}

static void drop(struct site *site)
{
    free(site->hosts);
    free(site->guests);
    free(site->rules);
    free(site->numbers);
    *site = (struct site){0};
}

static void folder(const char *dir, const char *set, uint64_t looks,
                   bool (*read)(const json_t *json, struct site *site))
{
    struct sum sum = {0};
    struct dirent **names;
    char path[NAME];

    snprintf(path, sizeof(path), "%s/%s", dir, set);
    int n = scandir(path, &names, instance_file, alphasort);
    for (int i = 0; i < n; i++) {
        struct site site = {0};
        snprintf(path, sizeof(path), "%s/%s/%s", dir, set, names[i]->d_name);
        json_t *json = instance_read(path);
        if (json && read(json, &site))
            run(names[i]->d_name, &site, looks, &sum);
        else
            fprintf(stderr, "%s: not of this format\n", path);
        json_decref(json);
        drop(&site);
        free(names[i]);
    }
    if (n < 0)
        return;
    free(names);
    printf("%s: %zu of %zu emptied; %zu guests leave, %zu without a place, %zu extra moves, extra "
           "memory "
           "%.0f %%, %.3f s a plan\n\n",
           set, sum.emptied, sum.sites, sum.leave, sum.without, sum.room,
           sum.leave_memory > 0 ? 100 * (double)sum.room_memory / (double)sum.leave_memory : 0,
           sum.sites > 0 ? sum.seconds / (double)sum.sites : 0);
}

static uint32_t chance(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 8) % below;
}

/* Of each 1000 hosts the first guests of 800 are kept apart; the next three of each are a bundle. */
static void add_rules(struct site *site)
{
    size_t n_hosts = site->n_hosts;

    site->n_rules = n_hosts + n_hosts / 1000 + 1;
    site->rules = must(calloc(site->n_rules, sizeof(*site->rules)));
    site->numbers = must(calloc(site->n_rules, sizeof(*site->numbers)));
    for (uint32_t i = 0; i < site->n_rules; i++) {
        site->rules[i] = i < n_hosts ? PLAN_TOGETHER : PLAN_APART;
        site->numbers[i] = i;
    }
    for (size_t i = 0; i < site->n_guests && i < 4 * n_hosts; i++) {
        size_t host = i % n_hosts;
        if (i < n_hosts && host % 5 == 4)
            continue;
        site->guests[i].rules = &site->numbers[i < n_hosts ? n_hosts + host / 1000 : host];
        site->guests[i].n_rules = 1;
    }
}

/* Ten guests on a host, a tenth of the hosts emptied: the time for what fits directly. */
static void growth(bool rules)
{
    for (size_t n = 100; n <= 100000; n *= 10) {
        struct site site = {0};
        struct sum sum = {0};
        uint32_t seed = 1;
        char name[32];
        for (size_t i = 0; i < n / 10; i++)
            add_host(&site, (struct plan_size){160, 160}, i % 10 != 0);
        for (size_t i = 0; i < n; i++) {
            uint32_t host = (uint32_t)(i % site.n_hosts);
            struct plan_size has = {.memory = 1u << chance(&seed, 4)};
            has.vcpus = 1 + chance(&seed, 8);
            add_guest(&site, host, has, !site.hosts[host].takes);
        }
        if (rules)
            add_rules(&site);
        snprintf(name, sizeof(name), "growth %zu%s", n, rules ? ", rules" : "");
        run(name, &site, 0, &sum);
        drop(&site);
    }
}

int main(int argc, char **argv)
{
    uint64_t looks = 1000000 * (argc > 2 ? strtoull(argv[2], NULL, 10) : 10);

    if (argc > 1) {
        folder(argv[1], "balcon", looks, read_balcon);
        folder(argv[1], "tdsc", looks, read_tdsc);
        times_measured(argv[1], looks);
        times_linked(argv[1], looks);
    }
    growth(/* rules = */ false);
    growth(/* rules = */ true);
    return EXIT_SUCCESS;
}
