/* main.c - sim: many histories of a site, each from a seed; the rules are held against every step
 * of each
 *
 *     sim                      the scenarios, then 200 seeds
 *     sim --seed 17 --verbose  one of them, told
 *     sim --break fence        with one rule broken on purpose: succeeds when that is noticed, and
 * ends there sim --twice              each seed two times: the traces must be equal
 *
 * Seeds are spread over as many processes as there are processors; what each does depends on its
 * seed alone. */
#include "conf/log.h"
#include "tests/sim/world.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES_MAX = 64 };

struct sums {
    uint64_t seeds, failed, jobs, done, ended_otherwise, locked, migrations, crashes, anew, steps;
};

struct arguments {
    uint64_t first, last, steps;
    bool verbose, twice, seeds_given;
    unsigned processes;
    const char *scenario;
    enum break_rule broken;
};

static void add(struct sums *sums, const struct world *world)
{
    sums->jobs += world->ledger.n;
    sums->done += world->ledger.n_done;
    sums->ended_otherwise += world->ledger.n_failed + world->ledger.n_cancelled;
    sums->locked += world->ledger.n_locked;
    sums->migrations += world->sim->n_moves;
    sums->steps += world->n_steps;
    sums->crashes += world->office.n_crashes;
    sums->anew += world->office.n_anew;
    for (unsigned i = 0; i < world->n_yards; i++)
        sums->crashes += world->yards[i].life > 0 ? world->yards[i].life - 1 : 0;
}

static const char *program;

static void say_failure(const struct arguments *arguments, const struct world *world, uint64_t seed)
{
    printf("%s --seed %" PRIu64 "%s%s --verbose  # %s\n", program, seed,
           arguments->broken != BREAK_NOTHING ? " --break " : "",
           arguments->broken != BREAK_NOTHING ? break_names[arguments->broken] : "",
           world->failure);
    fflush(stdout);
}

/* One history. False: a rule was broken. */
static bool run_seed(const struct arguments *arguments, uint64_t seed, struct sums *sums,
                     uint64_t *ret_trace)
{
    struct world_options options = {.seed = seed,
                                    .verbose = arguments->verbose,
                                    .broken = arguments->broken,
                                    .out = stdout,
                                    .steps = arguments->steps};
    struct world *world = world_new(&options);
    bool well = world != NULL && world_live(world);

    if (world == NULL) {
        printf("seed %" PRIu64 ": cannot be set up\n", seed);
        return false;
    }
    if (!well && arguments->broken == BREAK_NOTHING)
        say_failure(arguments, world, seed);
    *ret_trace = world->trace;
    if (arguments->verbose)
        printf("trace %016" PRIx64 ", %" PRIu64 " steps%s%s\n", world->trace, world->n_steps,
               well ? "" : ": ", world->failure);
    if (sums != NULL) {
        add(sums, world);
        sums->seeds++;
        sums->failed += well ? 0 : 1;
    }
    world_free(world);
    return well;
}

static void run_seeds(const struct arguments *arguments, unsigned mine, struct sums *sums)
{
    for (uint64_t seed = arguments->first + mine; seed <= arguments->last;
         seed += arguments->processes) {
        uint64_t trace, again;
        if (!run_seed(arguments, seed, sums, &trace) && arguments->broken != BREAK_NOTHING)
            return; /* noticed */
        if (!arguments->twice)
            continue;
        run_seed(arguments, seed, NULL, &again);
        if (trace != again) {
            sums->failed++;
            printf("seed %" PRIu64 ": two histories of one seed: %016" PRIx64 " and %016" PRIx64
                   "\n",
                   seed, trace, again);
        }
    }
}

/* Each process counts in its own part of shared memory. */
static bool run_all(const struct arguments *arguments, struct sums *ret_sums)
{
    size_t size = arguments->processes * sizeof(struct sums);
    struct sums *sums = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[PROCESSES_MAX];
    bool well = true;

    if (sums == MAP_FAILED)
        return false;
    fflush(stdout);
    for (unsigned i = 0; i < arguments->processes; i++) {
        pids[i] = arguments->processes > 1 ? fork() : 0;
        if (pids[i] == 0) {
            run_seeds(arguments, i, &sums[i]);
            fflush(stdout);
            if (arguments->processes > 1)
                _exit(0);
        }
    }
    for (unsigned i = 0; i < arguments->processes; i++) {
        int status = 0;
        if (arguments->processes > 1 && (waitpid(pids[i], &status, 0) < 0 || status != 0)) {
            printf("a process of the simulation died (status %d)\n", status);
            well = false;
        }
        for (size_t k = 0; k < sizeof(struct sums) / sizeof(uint64_t); k++)
            ((uint64_t *)ret_sums)[k] += ((uint64_t *)&sums[i])[k];
    }
    munmap(sums, size);
    return well && ret_sums->failed == 0;
}

static bool run_scenarios(const struct arguments *arguments)
{
    bool well = true, found = false;

    for (const struct scenario *scenario = scenarios; scenario->name != NULL; scenario++) {
        struct world_options options = scenario->options;
        struct world *world;
        if (arguments->scenario != NULL && strcmp(arguments->scenario, scenario->name) != 0)
            continue;
        found = true;
        options.verbose = arguments->verbose;
        options.out = stdout;
        options.quiet_world = true;
        options.broken = arguments->broken;
        world = world_new(&options);
        if (world == NULL)
            return false;
        scenario->run(world);
        if (world->failure[0] != '\0') {
            printf("%s --scenario %s --verbose  # %s\n", program, scenario->name, world->failure);
            well = false;
        } else {
            printf("%s: ok\n", scenario->name);
        }
        world_free(world);
    }
    if (!found)
        printf("no such scenario: %s\n", arguments->scenario);
    return well && found;
}

/* ---- command line */

enum { KEY_SEED = 1000, KEY_SEEDS, KEY_STEPS, KEY_SCENARIO, KEY_BREAK, KEY_TWICE };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    char *end = NULL;

    switch (key) {
    case KEY_SEED:
        arguments->first = arguments->last = strtoull(arg, &end, 10);
        arguments->seeds_given = true;
        break;
    case KEY_SEEDS:
        arguments->first = strtoull(arg, &end, 10);
        if (*end == '-')
            arguments->last = strtoull(end + 1, &end, 10);
        arguments->seeds_given = true;
        break;
    case KEY_STEPS:
        arguments->steps = strtoull(arg, &end, 10);
        break;
    case 'j':
        arguments->processes = (unsigned)strtoul(arg, &end, 10);
        break;
    case KEY_SCENARIO:
        arguments->scenario = arg;
        break;
    case KEY_BREAK:
        for (unsigned i = 1; i < BREAK_RULES; i++)
            if (strcmp(arg, break_names[i]) == 0)
                arguments->broken = (enum break_rule)i;
        if (arguments->broken == BREAK_NOTHING)
            argp_error(state, "no such rule: %s", arg);
        break;
    case KEY_TWICE:
        arguments->twice = true;
        break;
    case 'v':
        arguments->verbose = true;
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "takes no arguments: '%s'", arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    if (end != NULL && *end != '\0')
        argp_error(state, "not a number: %s", arg);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"seed", KEY_SEED, "N", 0, "one history", 0},
        {"seeds", KEY_SEEDS, "FIRST-LAST", 0, "these; 1-200 otherwise", 0},
        {"steps", KEY_STEPS, "N", 0, "steps of one history at most", 0},
        {"jobs", 'j', "N", 0, "processes; as many as there are processors otherwise", 0},
        {"scenario", KEY_SCENARIO, "NAME", 0, "this one and nothing else", 0},
        {"break", KEY_BREAK, "RULE", 0,
         "break a rule on purpose (fence, look, commit, limit, lease, attempt, token, memory, "
         "apart, count, report, quiet, inherit, off, settler, request, calm, anew); "
         "succeeds when it is noticed",
         0},
        {"twice", KEY_TWICE, NULL, 0, "each seed two times: the same trace?", 0},
        {"verbose", 'v', NULL, 0, "tell what happens", 0},
        {0},
    };
    static const struct argp argp = {
        options, parse, NULL, "Simulates many histories of a site and looks for a broken rule.",
        NULL,    NULL,  NULL};
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    struct arguments arguments = {.first = 1, .last = 200, .steps = 2000000};
    struct sums sums = {0};
    bool well = true;

    arguments.processes = processors < 1               ? 1
                          : processors > PROCESSES_MAX ? PROCESSES_MAX
                                                       : (unsigned)processors;
    program = argv[0];
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    log_open(program,
             arguments.verbose ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO); /* what the broker notes */
    if (arguments.processes == 0 || arguments.processes > PROCESSES_MAX || arguments.verbose ||
        arguments.first == arguments.last)
        arguments.processes = 1;
    if (arguments.scenario != NULL)
        return run_scenarios(&arguments) ? 0 : 1;
    if (!arguments.seeds_given)
        well = run_scenarios(&arguments);
    if (arguments.broken != BREAK_NOTHING && !well) {
        printf("sim: broken %s, noticed in a scenario\n", break_names[arguments.broken]);
        return 0;
    }
    well = run_all(&arguments, &sums) && well;
    if (arguments.broken != BREAK_NOTHING) {
        printf("sim: broken %s, noticed in %" PRIu64 " of %" PRIu64 " seeds\n",
               break_names[arguments.broken], sums.failed, sums.seeds);
        return sums.failed > 0 ? 0 : 1;
    }
    printf("sim: %" PRIu64 " seeds, %" PRIu64 " failed, %" PRIu64 " jobs (%" PRIu64
           " done, %" PRIu64 " failed or cancelled, %" PRIu64 " locked), %" PRIu64
           " migrations, %" PRIu64 " crashes, %" PRIu64 " full stores, %" PRIu64 " steps\n",
           sums.seeds, sums.failed, sums.jobs, sums.done, sums.ended_otherwise, sums.locked,
           sums.migrations, sums.crashes, sums.anew, sums.steps);
    return well ? 0 : 1;
}
