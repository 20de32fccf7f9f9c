/* fault.c - bad luck: what goes wrong, how often, and where in a migration
 *
 * Each seed draws which kinds of bad luck it has and how often each strikes, so that some histories
 * are full of one thing and others have a little of everything. */
#include "tests/sim/world.h"

#define SECOND USEC_PER_SEC

static struct yard *some_yard(struct world *world)
{
    return &world->yards[world_random(world, world->n_yards - 1)];
}

static struct link *some_link(struct world *world)
{
    uint64_t n = world_random(world, world->n_yards + world->n_clients - 1);

    return n < world->n_yards ? &world->yards[n].link : &world->clients[n - world->n_yards].link;
}

static unsigned some_host(struct world *world)
{
    return (unsigned)world_random(world, world->sim->n_hosts);
}

static unsigned some_guest(struct world *world)
{
    return (unsigned)world_random(world, world->sim->n_guests);
}

/* Mostly short, now and then longer than every patience. */
static usec_t some_span(struct world *world)
{
    return world_chance(world, 700) ? world_between(world, SECOND / 5, 4 * SECOND)
                                    : world_between(world, 4 * SECOND, 40 * SECOND);
}

/* ---- kinds of bad luck */

static void broker_crash(struct world *world)
{
    static const enum crash_point points[] = {CRASH_BEFORE_COMMIT, CRASH_IN_COMMIT,
                                              CRASH_BEFORE_SEND, CRASH_WHILE_SENDING};
    uint64_t n = world_random(world, 5);

    if (n == 4) {
        office_crash(world);
        return;
    }
    world->office.crash = points[n];
    world->office.crash_on_assign = world_chance(world, 500);
    world->office.crash_on_ask = false;
}

/* There is room again at once: what was refused may be asked again. */
static void store_full(struct world *world)
{
    world->office.crash = CRASH_STORE_FULL;
    world->office.crash_on_assign = world_chance(world, 200);
    world->office.crash_on_ask = world_chance(world, 800);
}

static void agent_crash(struct world *world)
{
    struct yard *yard = some_yard(world);
    yard_kill(yard, some_span(world));
}

static void agent_hang(struct world *world)
{
    yard_hang(some_yard(world), some_span(world));
}

static void agent_goes(struct world *world)
{
    yard_leave(some_yard(world), some_span(world));
}

static void cut(struct world *world)
{
    link_cut(some_link(world), some_span(world));
}

static void lost_connection(struct world *world)
{
    link_break(some_link(world));
}

static void daemon_kill(struct world *world)
{
    unsigned host = some_host(world);

    world_tell(world, "%s: its daemon is killed", world->sim->hosts[host].name);
    sim_kill_daemon(world->sim, host, some_span(world));
}

static void daemon_hang(struct world *world)
{
    unsigned host = some_host(world);

    world_tell(world, "%s: its daemon stands still", world->sim->hosts[host].name);
    sim_hang_daemon(world->sim, host, some_span(world));
}

static void link_cut_between(struct world *world)
{
    unsigned host = some_host(world);

    world_tell(world, "%s: cut off from the other hypervisors", world->sim->hosts[host].name);
    sim_cut(world->sim, host, some_span(world));
}

static void qemu_kill(struct world *world)
{
    unsigned guest = some_guest(world), host = some_host(world);

    if (!world->sim->guests[guest].copies[host].active)
        return;
    world_tell(world, "%s: its process on %s is killed", world->sim->guests[guest].name,
               world->sim->hosts[host].name);
    sim_kill_qemu(world->sim, guest, host);
}

static void power(struct world *world)
{
    unsigned guest = some_guest(world);

    world_tell(world, "%s: powered on or off", world->sim->guests[guest].name);
    if (sim_place(world->sim, guest) >= 0)
        sim_power_off(world->sim, guest);
    else
        sim_power_on(world->sim, guest);
}

static void by_hand(struct world *world)
{
    unsigned guest = some_guest(world), to = some_host(world);

    if (sim_move_by_hand(world->sim, guest, to))
        world_tell(world, "%s: moved to %s by somebody else", world->sim->guests[guest].name,
                   world->sim->hosts[to].name);
}

static void clock_step(struct world *world)
{
    int64_t span = (int64_t)world_between(world, 0, 7200 * SECOND) - (int64_t)(3600 * SECOND);

    world_tell(world, "the clock of the wall is set");
    world->sim->wall_offset += span;
}

/* A second worker for one hypervisor. */
static void stranger(struct world *world)
{
    struct yard *yard = &world->yards[world->n_yards - 1];

    if (yard->agent == NULL)
        yard_start(yard);
    else
        yard_kill(yard, USEC_NEVER);
}

static const struct kind {
    size_t mean; /* offset in struct luck */
    void (*strike)(struct world *world);
} kinds[] = {
#define KIND(name, f)                                                                              \
    {                                                                                              \
        offsetof(struct luck, name), f                                                             \
    }
    KIND(broker_crash, broker_crash),
    KIND(agent_crash, agent_crash),
    KIND(agent_hang, agent_hang),
    KIND(agent_leave, agent_goes),
    KIND(cut, cut),
    KIND(lost_connection, lost_connection),
    KIND(daemon_kill, daemon_kill),
    KIND(daemon_hang, daemon_hang),
    KIND(link_cut, link_cut_between),
    KIND(qemu_kill, qemu_kill),
    KIND(power, power),
    KIND(by_hand, by_hand),
    KIND(clock, clock_step),
    KIND(stranger, stranger),
    KIND(store_full, store_full),
#undef KIND
};
enum {
    KINDS = sizeof(kinds) / sizeof(kinds[0]),
    DRAWN =
        KINDS - 1, /* how often they strike is drawn; the last one comes from the seed's number */
};

static unsigned *mean_of(struct world *world, const struct kind *kind)
{
    return (unsigned *)((char *)&world->luck + kind->mean);
}

static usec_t next_strike(struct world *world, unsigned mean)
{
    return mean == 0 ? USEC_NEVER
                     : world_now(world) + world_between(world, SECOND / 10, 2 * mean * SECOND);
}

static void next_luck(struct world *world)
{
    usec_t first = USEC_NEVER;

    for (size_t i = 0; i < KINDS; i++)
        if (world->luck_at[i] < first)
            first = world->luck_at[i];
    alarm_set(world, &world->luck_alarm, first);
}

/* The bad luck in which the rule that is broken on purpose matters most. */
static void aggravate(struct world *world)
{
    struct luck *luck = &world->luck;

    switch (world->options.broken) {
    case BREAK_LEASE:
        luck->agent_hang = 4;
        luck->stranger = 10;
        break;
    case BREAK_ATTEMPT:
        luck->agent_crash = luck->agent_hang = luck->lost_connection = 8;
        luck->move_percent = 60;
        break;
    case BREAK_COMMIT:
        luck->broker_crash = 10;
        break;
    case BREAK_ANEW:
        luck->store_full = 10;
        break;
    case BREAK_CALM:
        luck->agent_crash = luck->agent_hang = 10;
        luck->busy_percent = 60;
        break;
    case BREAK_FENCE:
    case BREAK_LOOK:
        luck->move_percent = 80;
        break;
    default:
        break;
    }
}

void luck_begin(struct world *world)
{
    bool bad = world_chance(world, 900); /* the others show that nothing goes wrong by itself */

    for (size_t i = 0; i < DRAWN; i++)
        *mean_of(world, &kinds[i]) =
            bad && world_chance(world, 400) ? 5 + (unsigned)world_random(world, 60) : 0;
    /* Not drawn, so that other seeds have the histories in which they once showed something. */
    if (bad && world->options.seed % 5 < 2)
        world->luck.store_full = 5 + (unsigned)(world->options.seed / 5 % 60);
    if (bad) {
        world->luck.move_percent = (unsigned)world_random(world, 50);
        world->luck.refuse_percent =
            world_chance(world, 500) ? (unsigned)world_random(world, 20) : 0;
        world->luck.drop_permille =
            world_chance(world, 200) ? (unsigned)world_random(world, 10) : 0;
        world->luck.busy_percent = world_chance(world, 300) ? (unsigned)world_random(world, 60) : 0;
    }
    aggravate(world);
    world->sim->busy_percent = world->luck.busy_percent;
    for (size_t i = 0; i < KINDS; i++)
        world->luck_at[i] = next_strike(world, *mean_of(world, &kinds[i]));
    world->sim->on_phase = luck_phase;
    world->sim->on_repair = luck_request;
    world->sim->on_begin = luck_request;
    world->sim->ctx = world;
    next_luck(world);
}

void luck_ring(void *ctx)
{
    struct world *world = ctx;

    for (size_t i = 0; i < KINDS; i++) {
        if (world->luck_at[i] > world_now(world))
            continue;
        world->luck_at[i] = next_strike(world, *mean_of(world, &kinds[i]));
        kinds[i].strike(world);
    }
    next_luck(world);
}

/* ---- in a migration */

void luck_phase(void *ctx, struct sim *sim, struct sim_move *move)
{
    struct world *world = ctx;
    uint64_t kind;

    if (world->peace || move->phase == SIM_WAIT ||
        world_random(world, 400) >= world->luck.move_percent)
        return;
    kind = world_random(world, move->phase <= SIM_COPY         ? 8
                               : move->phase == SIM_SWITCHOVER ? 12
                                                               : 5);
    world_tell(world, "%s: bad luck %u in phase %u", sim->guests[move->guest].name, (unsigned)kind,
               (unsigned)move->phase);
    switch (kind) {
    case 0:
        sim_kill_daemon(sim, move->source, some_span(world));
        break;
    case 1:
        sim_kill_daemon(sim, move->destination, some_span(world));
        break;
    case 2:
        sim_hang_daemon(sim, move->source, some_span(world));
        break;
    case 3:
        sim_hang_daemon(sim, move->destination, some_span(world));
        break;
    case 4:
        sim_cut(sim, world_chance(world, 500) ? move->source : move->destination, some_span(world));
        break;
    case 5:
        sim_kill_qemu(sim, move->guest, move->destination);
        break;
    case 6:
        sim_fail_move(sim, move, RM_CLASS__CLASS_UNFIT, "cannot set up guest memory 'pc.ram'");
        break;
    case 7:
        sim_fail_move(sim, move, RM_CLASS__CLASS_RETRY, "Unable to find an unused port in range");
        break;
    default: /* row 9: the destination stalls at the hand-over for longer than the keepalive */
        sim_hang_daemon(sim, move->destination, sim->keepalive + some_span(world));
    }
}

/* The daemon stands still between a look and the request that follows from it. */
void luck_request(void *ctx, struct sim *sim, unsigned host)
{
    struct world *world = ctx;

    if (world->peace || world_random(world, 200) >= world->luck.move_percent)
        return;
    world_tell(world, "%s: its daemon stands still with a request in its queue",
               sim->hosts[host].name);
    sim_hang_daemon(sim, host, some_span(world));
}
