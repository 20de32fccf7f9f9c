/* world.c - time, chance and the order of things */
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define PEACE_MOST (3600 * USEC_PER_SEC) /* within which all jobs end once faults have stopped */
#define ROOM_FOR   (900 * USEC_PER_SEC)
#define TIDY_EVERY (60 * USEC_PER_SEC)
#define MARKS_MOST (120 * USEC_PER_SEC)
#define GIB        (UINT64_C(1) << 30)

const char *const break_names[BREAK_RULES] = {"nothing", "fence",   "look",    "commit", "limit",
                                              "lease",   "attempt", "token",   "memory", "count",
                                              "report",  "quiet",   "inherit", "off",    "settler",
                                              "request", "calm",    "apart",   "anew"};

/* ---- chance, and the trace */

static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t world_random(struct world *world, uint64_t below)
{
    return below == 0 ? 0 : next_random(&world->random) % below;
}

usec_t world_between(struct world *world, usec_t least, usec_t most)
{
    return least + world_random(world, most - least + 1);
}

bool world_chance(struct world *world, unsigned permille)
{
    return world_random(world, 1000) < permille;
}

/* FNV-1a */
void world_hash(struct world *world, const void *data, size_t length)
{
    const uint8_t *byte = data;

    for (size_t i = 0; i < length; i++)
        world->trace = (world->trace ^ byte[i]) * UINT64_C(0x100000001b3);
}

void world_tell(struct world *world, const char *format, ...)
{
    char text[WORLD_TEXT_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    world_hash(world, text, strlen(text));
    world_hash(world, &world->sim->now, sizeof(world->sim->now));
    if (world->options.verbose)
        fprintf(world->options.out, "%10.3f %s\n",
                (double)(world_now(world) - 1000 * USEC_PER_SEC) / 1e6, text);
}

void world_fail(struct world *world, const char *format, ...)
{
    va_list args;

    if (world->failure[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(world->failure, sizeof(world->failure), format, args);
    va_end(args);
    world_tell(world, "RULE BROKEN: %s", world->failure);
}

/* ---- alarms: a binary heap that knows where each is */

static bool before(const struct alarm *a, const struct alarm *b)
{
    return a->at < b->at || (a->at == b->at && a->order < b->order);
}

static void put(struct world *world, size_t i, struct alarm *alarm)
{
    world->heap[i] = alarm;
    alarm->place = i + 1;
}

static void sift(struct world *world, size_t i)
{
    struct alarm *alarm = world->heap[i];

    while (i > 0 && before(alarm, world->heap[(i - 1) / 2])) {
        put(world, i, world->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < world->n_heap && before(world->heap[child + 1], world->heap[child]))
            child++;
        if (child >= world->n_heap || !before(world->heap[child], alarm))
            break;
        put(world, i, world->heap[child]);
        i = child;
    }
    put(world, i, alarm);
}

void alarm_init(struct alarm *alarm, void (*ring)(void *ctx), void *ctx)
{
    *alarm = (struct alarm){.ring = ring, .ctx = ctx};
}

void alarm_stop(struct world *world, struct alarm *alarm)
{
    size_t i = alarm->place;
    struct alarm *last;

    if (i == 0)
        return;
    alarm->place = 0;
    last = world->heap[--world->n_heap];
    if (last == alarm)
        return;
    put(world, i - 1, last);
    sift(world, i - 1);
}

void alarm_set(struct world *world, struct alarm *alarm, usec_t at)
{
    alarm_stop(world, alarm);
    if (at == USEC_NEVER)
        return;
    if (world->n_heap == world->heap_room) {
        world->heap_room = world->heap_room == 0 ? 64 : world->heap_room * 2;
        world->heap = realloc(world->heap, world->heap_room * sizeof(*world->heap));
        if (world->heap == NULL)
            abort();
    }
    alarm->at = at < world_now(world) ? world_now(world) : at;
    alarm->order = ++world->order;
    put(world, world->n_heap++, alarm);
    sift(world, world->n_heap - 1);
}

void alarm_sooner(struct world *world, struct alarm *alarm, usec_t at)
{
    if (alarm->place == 0 || at < alarm->at)
        alarm_set(world, alarm, at);
}

/* ---- the site */

static void sim_ring(void *ctx)
{
    struct world *world = ctx;

    sim_advance(world->sim, world_now(world));
}

static void peace_ring(void *ctx)
{
    struct world *world = ctx;

    world_tell(world, "peace");
    world->peace = true;
    world->peace_at = world_now(world);
    alarm_stop(world, &world->luck_alarm);
    sim_heal(world->sim);
    world->office.crash = CRASH_NEVER;
    for (unsigned i = 0; i < world->n_yards; i++) {
        struct yard *yard = &world->yards[i];
        if (yard->link.cut_until > world_now(world))
            yard->link.cut_until = world_now(world);
        if (yard->hung_until > world_now(world))
            yard->hung_until = world_now(world);
        alarm_set(world, &yard->wake, world_now(world));
    }
    for (unsigned i = 0; i < world->n_clients; i++)
        if (world->clients[i].link.cut_until > world_now(world))
            world->clients[i].link.cut_until = world_now(world);
}

static void make_hosts(struct world *world, unsigned n)
{
    bool tight = !world->options.quiet_world &&
                 (world_chance(world, 300) || world->options.broken == BREAK_MEMORY);

    for (unsigned i = 0; i < n; i++) {
        struct conf_hypervisor *conf = &world->conf_hypervisors[i];
        char name[SIM_NAME_MAX];
        snprintf(name, sizeof(name), "hyp%u", i + 1);
        sim_add_host(world->sim, name, (tight ? 14 : 40) * GIB, 16);
        conf->name = world->sim->hosts[i].name;
        conf->peer = world->sim->hosts[i].peer;
    }
    world->conf_worker.hypervisors = world->conf_hypervisors;
    world->conf_worker.n_hypervisors = n;
    world->conf_worker.slots =
        world->options.quiet_world ? 1 : 1 + (unsigned)world_random(world, 3);
}

static void make_guests(struct world *world, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        char name[SIM_NAME_MAX];
        unsigned host = i % world->sim->n_hosts, guest;
        uint64_t memory = GIB * (1 + world_random(world, 3));
        snprintf(name, sizeof(name), "vm%u", i + 1);
        if (sim_used(world->sim, host) + memory > world->sim->hosts[host].memory)
            continue;
        guest = sim_add_guest(world->sim, name, host, memory, 1 + (unsigned)world_random(world, 2));
        if (world->options.quiet_world)
            continue;
        world->sim->guests[guest].guarded = world_chance(world, 400);
        if (world_chance(world, 50))
            sim_pause_guest(world->sim, guest);
        if (world_chance(world, 50))
            world->sim->guests[guest].copies[host].defined = false; /* transient */
        if (world_chance(world, 100))
            world->sim->guests[guest].unfit = 1U << world_random(world, world->sim->n_hosts);
    }
}

/* Of one site in three, by a chance of its own: what else happens in a world stays as it was. */
static void make_rules(struct world *world)
{
    uint64_t chance = world->options.seed;
    unsigned n = world->sim->n_guests;

    if (world->options.quiet_world || next_random(&chance) % 3 != 0)
        return;
    for (unsigned i = 0; i < n; i++)
        world->apart[i] = (unsigned)(next_random(&chance) % (n / 3 + 2));
}

static void make_settings(struct world *world)
{
    struct conf_broker *conf = &world->conf;
    bool quiet = world->options.quiet_world;

    *conf = (struct conf_broker){
        .store = world->office.path,
        .store_size = 64 * 1024 * 1024,
        .limit_source = quiet ? 2 : (unsigned)world_random(world, 4),
        .limit_destination = quiet ? 2 : (unsigned)world_random(world, 4),
        .limit_cluster =
            quiet || world_chance(world, 600) ? 0 : 1 + (unsigned)world_random(world, 5),
        .heartbeat = 2 * USEC_PER_SEC,
        .session_timeout = 10 * USEC_PER_SEC,
        .attempts = 3,
        .retry_wait =
            quiet ? 5 * USEC_PER_SEC : world_between(world, USEC_PER_SEC, 10 * USEC_PER_SEC),
        .unreachable = quiet || world_chance(world, 700) ? 600 * USEC_PER_SEC : 30 * USEC_PER_SEC,
        .vcpus_per_cpu = 8,
    };
    if (!quiet && world_chance(world, 300)) {
        conf->heartbeat = world_between(world, USEC_PER_SEC, 4 * USEC_PER_SEC);
        conf->session_timeout =
            conf->heartbeat * 3 + world_between(world, USEC_PER_SEC, 10 * USEC_PER_SEC);
    }
    world->limit_source = conf->limit_source;
    world->limit_destination = conf->limit_destination;
    world->limit_cluster = conf->limit_cluster;
    if (world->options.broken == BREAK_LIMIT) {
        conf->limit_source += conf->limit_source > 0 ? 1 : 0;
        conf->limit_destination += conf->limit_destination > 0 ? 1 : 0;
        conf->limit_cluster += conf->limit_cluster > 0 ? 1 : 0;
    }
    world->delay_least = 100;
    world->begin_most = USEC_PER_SEC; /* connections are made */
    world->delay_most = !quiet && world_chance(world, 200) ? 2 * USEC_PER_SEC : 30 * USEC_PER_MSEC;
}

/* One worker for each hypervisor, or some workers that serve several. */
static void make_yards(struct world *world, unsigned n)
{
    unsigned hosts[SIM_HOSTS_MAX], first = 0, n_hosts = world->sim->n_hosts;

    if (n == 0)
        n = world_chance(world, 700) ? n_hosts : 1 + (unsigned)world_random(world, n_hosts);
    for (unsigned i = 0; i < n; i++) {
        unsigned mine = (n_hosts - first) / (n - i);
        for (unsigned k = 0; k < mine; k++)
            hosts[k] = first + k;
        yard_init(&world->yards[i], world, i, hosts, mine);
        first += mine;
    }
    world->n_yards = n;
    /* A second worker for one hypervisor; it comes and goes as luck wants. */
    hosts[0] = world->options.quiet_world ? 0 : (unsigned)world_random(world, n_hosts);
    yard_init(&world->yards[n], world, n, hosts, 1);
    world->n_yards++;
}

struct world *world_new(const struct world_options *options)
{
    struct world *world = calloc(1, sizeof(*world));
    unsigned hosts, guests, clients;

    if (world == NULL)
        return NULL;
    world->options = *options;
    world->random = options->seed * UINT64_C(0x2545f4914f6cdd1d) + 1;
    world->trace = UINT64_C(0xcbf29ce484222325);
    world->arena = arena_new(0);
    world->sim = sim_new(world_random(world, UINT64_MAX));
    if (world->arena == NULL || world->sim == NULL) {
        world_free(world);
        return NULL;
    }
    world->sim->ignore_fence = options->broken == BREAK_FENCE;
    alarm_init(&world->sim_alarm, sim_ring, world);
    alarm_init(&world->luck_alarm, luck_ring, world);
    alarm_init(&world->peace_alarm, peace_ring, world);
    make_settings(world);
    hosts = options->hosts != 0 ? options->hosts : 2 + (unsigned)world_random(world, 7);
    guests = options->guests != 0 ? options->guests : 2 + (unsigned)world_random(world, 4 * hosts);
    clients = options->clients != 0 ? options->clients : 1 + (unsigned)world_random(world, 4);
    make_hosts(world, hosts);
    make_guests(world, guests);
    make_rules(world);
    make_yards(world, options->agents);
    for (unsigned i = 0; i <= clients; i++)
        client_init(&world->clients[i], world, i, i < clients && !options->quiet_world);
    world->n_clients = clients + 1;
    if (office_open(world) < 0) {
        world_free(world);
        return NULL;
    }
    for (unsigned i = 0; i + 1 < world->n_yards; i++)
        yard_start(&world->yards[i]);
    if (!options->quiet_world) {
        usec_t trouble = options->trouble_for != 0
                             ? options->trouble_for
                             : world_between(world, 60 * USEC_PER_SEC, 200 * USEC_PER_SEC);
        luck_begin(world);
        alarm_set(world, &world->peace_alarm, world_now(world) + trouble);
    }
    return world;
}

void world_free(struct world *world)
{
    if (world == NULL)
        return;
    for (unsigned i = 0; i < world->n_clients; i++)
        client_done(&world->clients[i]);
    for (unsigned i = 0; i < world->n_yards; i++)
        yard_done(&world->yards[i]);
    office_close(world);
    sim_free(world->sim);
    arena_free(world->arena);
    free(world->heap);
    free(world->ledger.jobs);
    free(world->ledger.live);
    free(world->ledger.batches);
    free(world);
}

/* ---- going on */

bool world_step(struct world *world)
{
    struct alarm *alarm;

    if (world->failure[0] != '\0')
        return false;
    if (world->options.steps != 0 && world->n_steps >= world->options.steps) {
        world_fail(world, "not over after %" PRIu64 " steps", world->n_steps);
        return false;
    }
    alarm_set(world, &world->sim_alarm, sim_deadline(world->sim));
    if (world->n_heap == 0)
        return false;
    alarm = world->heap[0];
    alarm_stop(world, alarm);
    if (alarm->at > world->sim->now)
        world->sim->now = alarm->at;
    world->n_steps++;
    alarm->ring(alarm->ctx);
    for (unsigned i = 0; i < world->n_yards; i++)
        yard_changes(&world->yards[i]);
    rules_step(world);
    return world->failure[0] == '\0';
}

void world_run(struct world *world, usec_t until)
{
    while (world->failure[0] == '\0') {
        alarm_set(world, &world->sim_alarm, sim_deadline(world->sim));
        if (world->n_heap == 0 || world->heap[0]->at > until)
            break;
        world_step(world);
    }
    if (until > world->sim->now && until != USEC_NEVER)
        sim_advance(world->sim, until);
}

static bool all_idle(const struct world *world)
{
    for (unsigned i = 0; i < world->n_clients; i++)
        if (!client_is_idle(&world->clients[i]))
            return false;
    return true;
}

static struct client *janitor(struct world *world)
{
    return &world->clients[world->n_clients - 1];
}

static void until_idle(struct world *world, const struct client *client)
{
    while (!client_is_idle(client) && world_step(world))
        ;
}

/* In peace somebody tidies up: what was paused goes on, what was closed is opened. */
static void tidy(struct world *world)
{
    uint64_t id;

    world->tidy_at = world_now(world) + TIDY_EVERY;
    client_open_all(janitor(world));
    until_idle(world, janitor(world));
    client_lift_all(janitor(world));
    until_idle(world, janitor(world));
    client_resume_all(janitor(world));
    until_idle(world, janitor(world));
    /* Somebody else has filled the host that a job insists on: it would wait for ever, as it was
     * told to. */
    id = rules_without_room(world);
    if (id != 0 && world_now(world) >= world->peace_at + ROOM_FOR) {
        client_cancel_job(janitor(world), id);
        until_idle(world, janitor(world));
    }
}

bool world_live(struct world *world)
{
    usec_t until;

    while (!world->peace && world_step(world))
        ;
    tidy(world);
    until = world_now(world) + PEACE_MOST;
    while (world->failure[0] == '\0' && !(rules_all_final(world) && all_idle(world))) {
        if (world_now(world) >= world->tidy_at)
            tidy(world); /* what was asked before may have been heard only now */
        if (world_now(world) >= until) {
            rules_end(world);
            world_fail(world, "faults have stopped long ago, but not all is over");
        }
        world_step(world);
    }
    /* The last workers come back (fault.c: after 40 s at most) and inventories come in, so that what is
     * believed of the guests is what is true. */
    if (world->failure[0] == '\0')
        world_run(world, world_now(world) + 60 * USEC_PER_SEC);
    /* Who has to remove what is left may be away still. */
    until = world_now(world) + MARKS_MOST;
    while (rules_any_mark(world) && world_now(world) < until && world_step(world))
        ;
    if (world->failure[0] == '\0')
        client_reconcile(janitor(world));
    until_idle(world, janitor(world));
    if (world->failure[0] == '\0')
        rules_end(world);
    return world->failure[0] == '\0';
}
