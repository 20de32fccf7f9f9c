/* times.c - how long migrations take and in which order they are begun, over public instances */
#include "tests/bench/times.h"

#include "broker/planner/estimate.h"
#include "broker/planner/timeline.h"
#include "conf/array.h"
#include "tests/bench/instance.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAME = 4096,
    LINE = 512,
    RUNS_MOST = 16,
    HOSTS_MOST = 4096,  /* of an instance, and switches */
    PATH_MOST = 32,     /* links of one path */
    MBIT = 1000000 / 8, /* bytes a second */
    MEGA = 1000000,
};

static const double SECOND = 1e6; /* microseconds */

/* A problem that is filled step by step. */
struct problem {
    struct timeline_step *steps;
    uint64_t *resources, *free;
    size_t n_steps, steps_room, n_resources, resources_room, n_hosts;
};

static void add_step(struct problem *problem, struct timeline_step step,
                     const struct timeline_use *uses, size_t n)
{
    struct timeline_use *own = must(calloc(n + 1, sizeof(*own)));

    if (n > 0)
        memcpy(own, uses, n * sizeof(*own));
    step.uses = own;
    step.n_uses = n;
    *ARRAY_MUST_ADD(problem->steps, problem->n_steps, problem->steps_room) = step;
}

static uint32_t add_resource(struct problem *problem, uint64_t much)
{
    *ARRAY_MUST_ADD(problem->resources, problem->n_resources, problem->resources_room) = much;
    return (uint32_t)(problem->n_resources - 1);
}

static struct timeline_site shown(const struct problem *problem, bool fixed)
{
    return (struct timeline_site){
        .steps = problem->steps,
        .n_steps = problem->n_steps,
        .resources = problem->resources,
        .n_resources = problem->n_resources,
        .free = problem->free,
        .n_hosts = problem->n_hosts,
        .fixed = fixed,
    };
}

static void drop(struct problem *problem)
{
    for (size_t i = 0; i < problem->n_steps; i++)
        free((void *)problem->steps[i].uses);
    free(problem->steps);
    free(problem->resources);
    free(problem->free);
    *problem = (struct problem){0};
}

static int longest_first(const void *a, const void *b)
{
    const struct timeline_step *x = a, *y = b;

    return x->took != y->took ? x->took > y->took ? -1 : 1 : 0;
}

/* Ratios to the bound, added up. */
struct ratios {
    double longest, ours, done, worst, seconds;
    size_t n;
};

static void measure(struct problem *problem, uint64_t looks, struct ratios *sum)
{
    qsort(problem->steps, problem->n_steps, sizeof(*problem->steps), longest_first);
    struct timeline_site list = shown(problem, /* fixed = */ true);
    struct timeline longest = timeline_make(&list, 0);
    list.fixed = false;
    double begin = instance_now();
    struct timeline ours = timeline_make(&list, looks);
    sum->seconds += instance_now() - begin;
    double ratio = (double)ours.end / (double)ours.bound;
    sum->longest += (double)longest.end / (double)ours.bound;
    sum->ours += ratio;
    sum->worst = ratio > sum->worst ? ratio : sum->worst;
    sum->n++;
    timeline_done(&longest);
    timeline_done(&ours);
}

/* ---- mvm: four hosts, ten guests ---- */

struct move {
    unsigned scenario, guest, from, to, speed; /* Mbit/s */
    unsigned memory;                           /* MB that it uses */
    unsigned size;                             /* of the view, as hosts have it */
    unsigned start, end;                       /* of the plan */
    long began[RUNS_MOST], over[RUNS_MOST];    /* seconds; 0: not in that run */
};

struct scenario {
    uint64_t free[HOSTS_MOST];
    struct move *moves;
    size_t n, room;
};

struct measured {
    struct scenario *scenarios;
    size_t n, room;
    unsigned speeds[HOSTS_MOST]; /* of each host: the fastest move that it has */
    size_t n_hosts, n_runs;
};

static const json_t *memory_view(const json_t *model)
{
    const json_t *view;
    size_t i;

    json_array_foreach(json_object_get(model, "views"), i, view)
    {
        const char *name = json_string_value(json_object_get(view, "rcId"));
        if (name && strcmp(name, "mem") == 0)
            return view;
    }
    return NULL;
}

static const json_t *by_id(const json_t *object, uint64_t id)
{
    char name[32];

    snprintf(name, sizeof(name), "%llu", (unsigned long long)id);
    return json_object_get(object, name);
}

/* The memory that is free on each host; of host numbers that are too high nothing is read. */
static size_t read_free(const json_t *model, uint64_t *free, uint32_t *where, size_t n_where)
{
    const json_t *view = memory_view(model), *vm;
    json_t *nodes = json_object_get(json_object_get(model, "mapping"), "onlineNodes"), *node;
    const char *id;
    json_t *size;
    size_t i, n = 0;

    json_object_foreach(json_object_get(view, "nodes"), id, size)
    {
        size_t host = strtoul(id, NULL, 10);
        if (host >= HOSTS_MOST)
            continue;
        free[host] = (uint64_t)json_integer_value(size);
        n = host + 1 > n ? host + 1 : n;
    }
    json_object_foreach(nodes, id, node)
    {
        size_t host = strtoul(id, NULL, 10);
        json_array_foreach(json_object_get(node, "runningVMs"), i, vm)
        {
            uint64_t number = (uint64_t)json_integer_value(vm);
            uint64_t has =
                (uint64_t)json_integer_value(by_id(json_object_get(view, "vms"), number));
            if (host < HOSTS_MOST)
                free[host] -= has < free[host] ? has : free[host];
            if (number < n_where)
                where[number] = (uint32_t)host;
        }
    }
    return n;
}

static bool read_plan(const json_t *json, unsigned number, struct measured *all)
{
    const json_t *model = json_object_get(json, "origin"), *action;
    const json_t *attributes = json_object_get(json_object_get(model, "attributes"), "vms");
    const json_t *sizes = json_object_get(memory_view(model), "vms");
    struct scenario scenario = {0};
    size_t i;

    size_t n = read_free(model, scenario.free, NULL, 0);
    all->n_hosts = n > all->n_hosts ? n : all->n_hosts;
    json_array_foreach(json_object_get(json, "actions"), i, action)
    {
        uint64_t guest = instance_number(action, "vm");
        struct move move = {
            .scenario = number,
            .guest = (unsigned)guest,
            .from = (unsigned)instance_number(action, "from"),
            .to = (unsigned)instance_number(action, "to"),
            .speed = (unsigned)instance_number(action, "bw"),
            .memory = (unsigned)instance_number(by_id(attributes, guest), "memUsed"),
            .size = (unsigned)json_integer_value(by_id(sizes, guest)),
            .start = (unsigned)instance_number(action, "start"),
            .end = (unsigned)instance_number(action, "end"),
        };
        if (move.from >= n || move.to >= n)
            continue;
        if (move.speed > all->speeds[move.from])
            all->speeds[move.from] = move.speed;
        if (move.speed > all->speeds[move.to])
            all->speeds[move.to] = move.speed;
        *ARRAY_MUST_ADD(scenario.moves, scenario.n, scenario.room) = move;
    }
    *ARRAY_MUST_ADD(all->scenarios, all->n, all->room) = scenario;
    return scenario.n > 0;
}

static void read_run(const char *dir, size_t run, unsigned number, struct scenario *scenario)
{
    char path[NAME], line[LINE];

    snprintf(path, sizeof(path), "%s/mvm/runs/%zu/random.%u.csv", dir, run + 1, number);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file)) {
        unsigned guest;
        long begin, end;
        const char *times = strstr(line, "};");
        const char *vm = strstr(line, "vm=vm#");
        if (!times || !vm || sscanf(vm, "vm=vm#%u", &guest) != 1 ||
            sscanf(times, "};%ld;%ld", &begin, &end) != 2)
            continue;
        for (size_t i = 0; i < scenario->n; i++)
            if (scenario->moves[i].guest == guest) {
                scenario->moves[i].began[run] = begin;
                scenario->moves[i].over[run] = end;
            }
    }
    if (file)
        fclose(file);
}

static struct measured read_measured(const char *dir)
{
    struct measured all = {0};
    struct dirent **names;
    char path[NAME];

    snprintf(path, sizeof(path), "%s/mvm/plans", dir);
    int n = scandir(path, &names, instance_file, alphasort);
    for (int i = 0; i < n; i++) {
        unsigned number;
        snprintf(path, sizeof(path), "%s/mvm/plans/%s", dir, names[i]->d_name);
        json_t *json = instance_read(path);
        if (sscanf(names[i]->d_name, "random.%u", &number) != 1 || !json ||
            !read_plan(json, number, &all))
            fprintf(stderr, "%s: not of this format\n", path);
        else
            for (size_t run = 0; run < RUNS_MOST; run++)
                read_run(dir, run, number, &all.scenarios[all.n - 1]);
        json_decref(json);
        free(names[i]);
    }
    if (n >= 0)
        free(names);
    for (size_t i = 0; i < all.n; i++)
        for (size_t k = 0; k < all.scenarios[i].n; k++)
            for (size_t run = 0; run < RUNS_MOST; run++)
                if (all.scenarios[i].moves[k].over[run] > 0 && run + 1 > all.n_runs)
                    all.n_runs = run + 1;
    return all;
}

static struct estimate_ask ask_of(const struct move *move, bool by_scenario)
{
    return (struct estimate_ask){
        .guest = move->guest + (by_scenario ? 1000ULL * move->scenario : 0),
        .from = move->from,
        .to = move->to,
        .memory = (uint64_t)move->memory * MEGA,
        .speed = (uint64_t)move->speed * MBIT,
    };
}

static long took(const struct move *move, size_t run)
{
    return move->over[run] - move->began[run];
}

/* Every part-th of the scenarios is left out for learning, and it alone is tested; part 0: all are in both. */
static struct estimator *learn(const struct measured *all, size_t run, size_t part, size_t left_out)
{
    struct estimate_past *past = NULL;
    size_t n = 0, room = 0;

    for (size_t i = 0; i < all->n; i++)
        for (size_t k = 0; k < all->scenarios[i].n && (part == 0 || i % part != left_out); k++) {
            const struct move *move = &all->scenarios[i].moves[k];
            if (took(move, run) > 0)
                *ARRAY_MUST_ADD(past, n, room) = (struct estimate_past){
                    .as = ask_of(move, part == 0),
                    .took = (uint64_t)((double)took(move, run) * SECOND),
                };
        }
    struct estimator *estimator = estimator_new(past, n);
    free(past);
    return estimator;
}

struct errors {
    double error, model, batch;
    size_t n, inside, n_batches;
};

/* What the moves would take together as they were planned: each begins when those of its hosts are over that the
 * plan has before it. */
static double replay(const struct scenario *scenario, const struct estimator *estimator,
                     bool by_scenario)
{
    size_t *after = must(calloc(scenario->n * scenario->n + 1, sizeof(*after)));
    struct problem problem = {0};

    for (size_t k = 0; k < scenario->n; k++) {
        const struct move *move = &scenario->moves[k];
        struct estimate_ask ask = ask_of(move, by_scenario);
        struct timeline_step step = {.took = estimator_ask(estimator, &ask).took,
                                     .after = after + k * scenario->n};
        for (size_t i = 0; i < scenario->n; i++) {
            const struct move *one = &scenario->moves[i];
            if (one->end <= move->start && (one->from == move->from || one->to == move->to ||
                                            one->from == move->to || one->to == move->from))
                after[k * scenario->n + step.n_after++] = i;
        }
        add_step(&problem, step, NULL, 0);
    }
    struct timeline_site list = shown(&problem, /* fixed = */ true);
    struct timeline timeline = timeline_make(&list, 0);
    double end = (double)timeline.end / SECOND;
    timeline_done(&timeline);
    drop(&problem);
    free(after);
    return end;
}

static void test(const struct measured *all, const struct estimator *estimator, size_t run,
                 size_t part, size_t left_out, struct errors *errors)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct scenario *scenario = &all->scenarios[i];
        long first = 0, last = 0;
        if (part > 0 && i % part != left_out)
            continue;
        for (size_t k = 0; k < scenario->n; k++) {
            const struct move *move = &scenario->moves[k];
            struct estimate_ask ask = ask_of(move, part == 0);
            struct estimate estimate = estimator_ask(estimator, &ask);
            double real = (double)took(move, run) * SECOND;
            if (real <= 0)
                continue;
            double plain = SECOND * (double)ask.memory / (double)ask.speed;
            errors->error += fabs((double)estimate.took - real) / real;
            errors->model += fabs(plain - real) / real;
            errors->inside += (double)estimate.low <= real && real <= (double)estimate.high;
            errors->n++;
            if (first == 0 || move->began[run] < first)
                first = move->began[run];
            if (move->over[run] > last)
                last = move->over[run];
        }
        if (last <= first)
            continue;
        double real = (double)(last - first);
        errors->batch += fabs(replay(scenario, estimator, part == 0) - real) / real;
        errors->n_batches++;
    }
}

static void print_errors(const char *what, const struct errors *errors)
{
    if (errors->n > 0 && errors->n_batches > 0)
        printf("mvm: %s: %zu migrations %.1f %% off in the mean (memory / bandwidth: %.1f %%), "
               "%.0f %% within the "
               "band of 80 %%; the whole %.1f %% off\n",
               what, errors->n, 100 * errors->error / (double)errors->n,
               100 * errors->model / (double)errors->n,
               100 * (double)errors->inside / (double)errors->n,
               100 * errors->batch / (double)errors->n_batches);
}

/* The mean of what moves of so much memory took at that speed. */
static double class_took(const struct measured *all, unsigned memory, unsigned speed)
{
    double sum = 0;
    size_t n = 0;

    for (size_t i = 0; i < all->n; i++)
        for (size_t k = 0; k < all->scenarios[i].n; k++) {
            const struct move *move = &all->scenarios[i].moves[k];
            for (size_t run = 0; run < all->n_runs; run++)
                if (move->memory == memory && move->speed == speed && took(move, run) > 0) {
                    sum += (double)took(move, run);
                    n++;
                }
        }
    return n > 0 ? sum / (double)n : 0;
}

static void makespan(const struct measured *all, uint64_t looks)
{
    struct ratios sum = {0};
    double ours = 0, bound = 0, done = 0;
    size_t n_done = 0;

    for (size_t i = 0; i < all->n; i++) {
        const struct scenario *scenario = &all->scenarios[i];
        struct problem problem = {.n_hosts = all->n_hosts};
        for (size_t host = 0; host < 2 * all->n_hosts; host++)
            add_resource(&problem, all->speeds[host / 2]);
        problem.free = must(calloc(all->n_hosts + 1, sizeof(*problem.free)));
        memcpy(problem.free, scenario->free, all->n_hosts * sizeof(*problem.free));
        for (size_t k = 0; k < scenario->n; k++) {
            const struct move *move = &scenario->moves[k];
            unsigned from = all->speeds[move->from], to = all->speeds[move->to];
            unsigned speed = from < to ? from : to;
            struct timeline_use uses[] = {{2 * move->from, speed}, {2 * move->to + 1, speed}};
            add_step(&problem,
                     (struct timeline_step){
                         .took = (uint64_t)(class_took(all, move->memory, speed) * SECOND),
                         .from = move->from,
                         .to = move->to,
                         .memory = move->size},
                     uses, 2);
        }
        double before = sum.ours;
        measure(&problem, looks, &sum);
        struct timeline_site list = shown(&problem, true);
        struct timeline timeline = timeline_make(&list, 0);
        double least = (double)timeline.bound / SECOND;
        bound += least;
        ours += (sum.ours - before) * least;
        for (size_t run = 0; run < all->n_runs; run++) {
            long first = 0, last = 0;
            for (size_t k = 0; k < scenario->n; k++) {
                const struct move *move = &scenario->moves[k];
                if (first == 0 || (move->began[run] > 0 && move->began[run] < first))
                    first = move->began[run];
                last = move->over[run] > last ? move->over[run] : last;
            }
            if (last > first) {
                sum.done += (double)(last - first) / least;
                done += (double)(last - first);
                n_done++;
            }
        }
        timeline_done(&timeline);
        drop(&problem);
    }
    if (sum.n == 0 || n_done == 0)
        return;
    double n = (double)sum.n;
    printf("mvm: %zu scenarios: bound %.1f s, ours %.1f s, really done %.1f s; of the bound: ours "
           "%.4f "
           "(worst %.3f), longest first %.4f, really done %.3f; %.3f s each\n",
           sum.n, bound / n, ours / n, done / (double)n_done, sum.ours / n, sum.worst,
           sum.longest / n, sum.done / (double)n_done, sum.seconds / n);
}

void times_measured(const char *dir, uint64_t looks)
{
    struct measured all = read_measured(dir);
    struct errors same = {0}, others = {0};
    enum { PARTS = 5 };

    for (size_t run = 0; run < all.n_runs && all.n_runs > 1; run++) {
        size_t other = (run + 1) % all.n_runs;
        struct estimator *estimator = learn(&all, run, 0, 0);
        test(&all, estimator, other, 0, 0, &same);
        estimator_free(estimator);
        for (size_t part = 0; part < PARTS; part++) {
            estimator = learn(&all, run, PARTS, part);
            test(&all, estimator, other, PARTS, part, &others);
            estimator_free(estimator);
        }
    }
    print_errors("learned on one run, tested on another", &same);
    print_errors("learned on four fifths of the scenarios of one run, tested on the others of "
                 "another run",
                 &others);
    makespan(&all, looks);
    for (size_t i = 0; i < all.n; i++)
        free(all.scenarios[i].moves);
    free(all.scenarios);
    putchar('\n');
}

/* ---- scale: a tree of links ---- */

/* A host or a switch, and the link to the switch above it. */
struct element {
    uint32_t up;      /* the switch above; PLAN_NONE: none */
    uint32_t link[2]; /* resources: up, down */
    uint64_t speed;   /* Mbit/s */
    int depth;
};

struct tree {
    struct element hosts[HOSTS_MOST], switches[HOSTS_MOST];
};

/* A link joins a host or a switch ("physicalElement") to a switch, whichever is above. */
static bool read_links(const json_t *net, struct tree *tree, struct problem *problem)
{
    const json_t *links = json_object_get(net, "links"), *link;
    bool more = true;
    size_t i;

    for (size_t k = 0; k < HOSTS_MOST; k++)
        tree->hosts[k] = tree->switches[k] = (struct element){.up = PLAN_NONE, .depth = -1};
    json_array_foreach(links, i, link)
    {
        const json_t *element = json_object_get(link, "physicalElement");
        if (instance_number(element, "id") >= HOSTS_MOST ||
            instance_number(link, "switch") >= HOSTS_MOST)
            return false;
    }
    tree->switches[instance_number(json_array_get(json_object_get(net, "switches"), 0), "id") %
                   HOSTS_MOST]
        .depth = 0;
    while (more) {
        more = false;
        json_array_foreach(links, i, link)
        {
            const json_t *element = json_object_get(link, "physicalElement");
            const char *type = json_string_value(json_object_get(element, "type"));
            uint64_t id = instance_number(element, "id");
            uint32_t other = (uint32_t)instance_number(link, "switch");
            struct element *below = &tree->switches[other], *above = &tree->switches[id];
            uint32_t up = (uint32_t)id;
            if (!type || type[0] == 'n' || above->depth < 0) {
                below = type && type[0] == 'n' ? &tree->hosts[id] : &tree->switches[id];
                above = &tree->switches[other];
                up = other;
            }
            if (above->depth < 0 || below->depth >= 0)
                continue;
            below->depth = above->depth + 1;
            below->up = up;
            below->speed = instance_number(link, "capacity");
            below->link[0] = add_resource(problem, below->speed);
            below->link[1] = add_resource(problem, below->speed);
            more = true;
        }
    }
    return true;
}

/* The links of the one path. Returns how many there are, and the slowest one's speed. */
static size_t path_of(const struct tree *tree, uint32_t from, uint32_t to,
                      struct timeline_use *ret_uses, uint64_t *ret_speed)
{
    const struct element *a = &tree->hosts[from], *b = &tree->hosts[to];
    size_t n = 0;

    *ret_speed = UINT64_MAX;
    while (a != b && n < PATH_MOST) {
        bool up = a->depth >= b->depth;
        const struct element **lower = up ? &a : &b;
        if ((*lower)->up == PLAN_NONE)
            return 0;
        ret_uses[n++].resource = (*lower)->link[up ? 0 : 1];
        *ret_speed = (*lower)->speed < *ret_speed ? (*lower)->speed : *ret_speed;
        *lower = &tree->switches[(*lower)->up];
    }
    for (size_t i = 0; i < n; i++)
        ret_uses[i].much = *ret_speed;
    return n;
}

/* The published model, with its hot and cold memory. */
static double model_took(const json_t *attributes, double speed)
{
    double hot = (double)instance_number(attributes, "hotDirtySize");
    double hot_time = (double)instance_number(attributes, "hotDirtyDuration");
    double cold = json_number_value(json_object_get(attributes, "coldDirtyRate"));
    double plain = (double)instance_number(attributes, "memUsed") / speed;
    double rate = hot_time > 0 ? hot / hot_time : 0;

    if (plain <= hot_time)
        return plain + rate * plain / (speed - rate);
    return plain + (hot + (plain - hot_time) * cold) / (speed - cold) +
           hot / speed * rate / (speed - rate);
}

static bool read_linked(const json_t *json, struct problem *problem)
{
    enum { GUESTS_MOST = 1 << 20, BITS = 8 };
    const json_t *model = json_object_get(json, "model"), *net = NULL, *view, *constraint;
    const json_t *attributes = json_object_get(json_object_get(model, "attributes"), "vms");
    struct tree *tree = must(calloc(1, sizeof(*tree)));
    uint32_t *where = must(calloc(GUESTS_MOST, sizeof(*where)));
    size_t i;

    problem->free = must(calloc(HOSTS_MOST, sizeof(*problem->free)));
    problem->n_hosts = read_free(model, problem->free, where, GUESTS_MOST);
    json_array_foreach(json_object_get(model, "views"), i, view)
    {
        const char *id = json_string_value(json_object_get(view, "id"));
        if (id && strcmp(id, "net") == 0)
            net = view;
    }
    bool fine = net && read_links(net, tree, problem);
    json_array_foreach(json_object_get(json, "constraints"), i, constraint)
    {
        const char *id = json_string_value(json_object_get(constraint, "id"));
        uint64_t vm = instance_number(constraint, "vm");
        uint64_t to =
            (uint64_t)json_integer_value(json_array_get(json_object_get(constraint, "nodes"), 0));
        struct timeline_use uses[PATH_MOST];
        uint64_t speed;
        if (!fine || !id || strcmp(id, "fence") != 0 || vm >= GUESTS_MOST ||
            to >= problem->n_hosts || where[vm] == to)
            continue;
        size_t n = path_of(tree, where[vm], (uint32_t)to, uses, &speed);
        if (n == 0)
            continue;
        double seconds = model_took(by_id(attributes, vm), (double)speed / BITS);
        add_step(problem,
                 (struct timeline_step){
                     .took = (uint64_t)(seconds * SECOND),
                     .from = where[vm],
                     .to = (uint32_t)to,
                     .memory = (uint64_t)json_integer_value(
                         by_id(json_object_get(memory_view(model), "vms"), vm)),
                 },
                 uses, n);
    }
    free(tree);
    free(where);
    return problem->n_steps > 0;
}

static int set_name(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

void times_linked(const char *dir, uint64_t looks)
{
    struct dirent **sets, **names;
    char path[NAME];

    snprintf(path, sizeof(path), "%s/scale", dir);
    int n_sets = scandir(path, &sets, set_name, alphasort);
    for (int set = 0; set < n_sets; set++) {
        struct ratios sum = {0};
        size_t n_steps = 0;
        snprintf(path, sizeof(path), "%s/scale/%s", dir, sets[set]->d_name);
        int n = scandir(path, &names, instance_file, alphasort);
        for (int i = 0; i < n; i++) {
            struct problem problem = {0};
            snprintf(path, sizeof(path), "%s/scale/%s/%s", dir, sets[set]->d_name,
                     names[i]->d_name);
            json_t *json = instance_read(path);
            if (json && read_linked(json, &problem))
                measure(&problem, looks, &sum);
            else
                fprintf(stderr, "%s: not of this format\n", path);
            n_steps += problem.n_steps;
            drop(&problem);
            json_decref(json);
            free(names[i]);
        }
        if (n >= 0)
            free(names);
        if (sum.n > 0)
            printf("scale: %-26s %zu instances of %5zu migrations: of the bound: ours %.4f (worst "
                   "%.4f), longest first %.4f; %.3f s each\n",
                   sets[set]->d_name, sum.n, n_steps / sum.n, sum.ours / (double)sum.n, sum.worst,
                   sum.longest / (double)sum.n, sum.seconds / (double)sum.n);
        free(sets[set]);
    }
    if (n_sets >= 0)
        free(sets);
}
