/* hv_sim.c - the seam over a scripted fake: the hypervisors of a whole site in virtual time */
#include "worker/hv_sim.h"

#include "wire/job.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWITCHOVER_LEAST (50 * USEC_PER_MSEC)
#define SWITCHOVER_MOST  (600 * USEC_PER_MSEC)
#define STEP_LEAST       (5 * USEC_PER_MSEC) /* any other step between two daemons */
#define STEP_MOST        (250 * USEC_PER_MSEC)
#define CLEAN_MOST       (2 * USEC_PER_SEC) /* until a daemon has noticed that its peer is gone */
#define EPOCH_WALL       UINT64_C(1700000000000000)

struct hv {
    struct sim *sim;
    unsigned host;
};

/* ---- chance, time, texts */

/* splitmix64 */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

uint64_t sim_random(struct sim *sim, uint64_t below)
{
    return below == 0 ? 0 : next_random(&sim->random) % below;
}

static usec_t between(struct sim *sim, usec_t least, usec_t most)
{
    return least + sim_random(sim, most - least + 1);
}

static usec_t env_sim_now(void *ctx)
{
    return ((struct sim *)ctx)->now;
}

static usec_t env_sim_wall(void *ctx)
{
    const struct sim *sim = ctx;
    return (usec_t)((int64_t)(EPOCH_WALL + sim->now) + sim->wall_offset);
}

static uint64_t env_sim_random(void *ctx)
{
    return next_random(&((struct sim *)ctx)->random);
}

static void say_wrong(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say_wrong(struct sim *sim, const char *format, ...)
{
    va_list args;

    if (sim->wrong[0] != '\0')
        return;
    va_start(args, format);
    vsnprintf(sim->wrong, sizeof(sim->wrong), format, args);
    va_end(args);
}

/* ---- the site */

struct sim *sim_new(uint64_t seed)
{
    struct sim *sim = calloc(1, sizeof(*sim));

    if (sim == NULL)
        return NULL;
    sim->now = 1000 * USEC_PER_SEC;
    sim->random = seed;
    sim->keepalive = 4 * USEC_PER_SEC;
    sim->copy_least = USEC_PER_SEC / 2;
    sim->copy_most = 10 * USEC_PER_SEC;
    sim->env = (struct env){
        .now = env_sim_now, .wall = env_sim_wall, .random = env_sim_random, .ctx = sim};
    return sim;
}

void sim_free(struct sim *sim)
{
    free(sim);
}

unsigned sim_add_host(struct sim *sim, const char *name, uint64_t memory, unsigned vcpus)
{
    struct sim_host *host = &sim->hosts[sim->n_hosts];

    snprintf(host->name, sizeof(host->name), "%s", name);
    snprintf(host->peer, sizeof(host->peer), "sim://%s/system", name);
    host->memory = memory;
    host->vcpus = vcpus;
    return sim->n_hosts++;
}

unsigned sim_add_guest(struct sim *sim, const char *name, unsigned host, uint64_t memory,
                       unsigned vcpus)
{
    struct sim_guest *guest = &sim->guests[sim->n_guests];

    snprintf(guest->name, sizeof(guest->name), "%s", name);
    snprintf(guest->uuid, sizeof(guest->uuid), "00000000-0000-4000-8000-%012u", sim->n_guests);
    guest->memory = memory;
    guest->vcpus = vcpus;
    guest->move.guest = sim->n_guests;
    guest->copies[host] = (struct sim_copy){
        .defined = true, .active = true, .state = RM_GUEST_STATE__GUEST_RUNNING, .whole = true};
    return sim->n_guests++;
}

void sim_pause_guest(struct sim *sim, unsigned guest)
{
    int place = sim_place(sim, guest);

    if (place < 0)
        return;
    sim->guests[guest].starts_paused = true;
    sim->guests[guest].copies[place].state = RM_GUEST_STATE__GUEST_PAUSED;
    sim->guests[guest].copies[place].reason = HV_REASON_USER;
}

int sim_find_host(const struct sim *sim, const char *name)
{
    for (unsigned i = 0; i < sim->n_hosts; i++)
        if (strcmp(sim->hosts[i].name, name) == 0)
            return (int)i;
    return -1;
}

int sim_find_guest(const struct sim *sim, const char *name)
{
    for (unsigned i = 0; i < sim->n_guests; i++)
        if (strcmp(sim->guests[i].name, name) == 0)
            return (int)i;
    return -1;
}

static int find_uuid(const struct sim *sim, const char *uuid)
{
    for (unsigned i = 0; i < sim->n_guests; i++)
        if (strcmp(sim->guests[i].uuid, uuid) == 0)
            return (int)i;
    return -1;
}

/* "sim://NAME/system"; NULL is the own one. -1: no such. */
static int find_peer(const struct hv *hv, const char *peer)
{
    if (peer == NULL)
        return (int)hv->host;
    for (unsigned i = 0; i < hv->sim->n_hosts; i++)
        if (strcmp(hv->sim->hosts[i].peer, peer) == 0)
            return (int)i;
    return -1;
}

int sim_place(const struct sim *sim, unsigned guest)
{
    int place = -1;

    for (unsigned i = 0; i < sim->n_hosts; i++) {
        if (!sim->guests[guest].copies[i].active)
            continue;
        if (place >= 0)
            return -1;
        place = (int)i;
    }
    return place;
}

uint64_t sim_used(const struct sim *sim, unsigned host)
{
    uint64_t used = 0;

    for (unsigned i = 0; i < sim->n_guests; i++)
        if (sim->guests[i].copies[host].active)
            used += sim->guests[i].memory;
    return used;
}

bool sim_answers(const struct sim *sim, unsigned host)
{
    return sim->hosts[host].hung_until <= sim->now && sim->hosts[host].down_until <= sim->now;
}

static bool is_cut(const struct sim *sim, unsigned a, unsigned b)
{
    return a != b && (sim->hosts[a].cut_until > sim->now || sim->hosts[b].cut_until > sim->now);
}

/* ---- what copies may do */

static void changed(struct sim *sim, unsigned host)
{
    sim->hosts[host].changes++;
}

static bool runs(const struct sim_copy *copy)
{
    return copy->active && !copy->incoming && copy->state == RM_GUEST_STATE__GUEST_RUNNING;
}

/* The processors of this copy start (again). */
static void let_run(struct sim *sim, struct sim_guest *guest, unsigned host, enum hv_reason reason)
{
    struct sim_copy *copy = &guest->copies[host];

    for (unsigned i = 0; i < sim->n_hosts; i++) {
        if (i == host)
            continue;
        if (runs(&guest->copies[i]))
            say_wrong(sim, "%s runs on %s and on %s", guest->name, sim->hosts[i].name,
                      sim->hosts[host].name);
        guest->copies[i].whole = false;
    }
    /* An image lock is gone with the copy that held it: after that has crashed, or was ended by
     * hand, an old one that wakes late does start. A fence of that kind cannot keep it from doing
     * so. */
    if (!copy->whole && !(guest->guarded && guest->touched_at != 0))
        say_wrong(sim, "an old copy of %s is let run on %s", guest->name, sim->hosts[host].name);
    copy->whole = true;
    copy->state = RM_GUEST_STATE__GUEST_RUNNING;
    copy->reason = reason;
    copy->incoming = false;
    changed(sim, host);
}

static void stop(struct sim *sim, struct sim_guest *guest, unsigned host, RmGuestState state,
                 enum hv_reason reason)
{
    struct sim_copy *copy = &guest->copies[host];
    bool defined = copy->defined;

    *copy = (struct sim_copy){.defined = defined};
    if (defined) {
        copy->state = state;
        copy->reason = reason;
    }
    changed(sim, host);
}

static void end_copy(struct sim *sim, struct sim_guest *guest, unsigned host)
{
    stop(sim, guest, host, RM_GUEST_STATE__GUEST_SHUTOFF, HV_REASON_FAILED);
}

static void later(struct sim_copy *copy, enum sim_pending what, usec_t at)
{
    copy->pending = what;
    copy->pending_at = at;
}

static bool runs_elsewhere(const struct sim *sim, const struct sim_guest *guest, unsigned host)
{
    for (unsigned i = 0; i < sim->n_hosts; i++)
        if (i != host && runs(&guest->copies[i]))
            return true;
    return false;
}

/* The destination's daemon carries out the hand-over. */
static void arrive(struct sim *sim, struct sim_guest *guest, unsigned host)
{
    struct sim_copy *copy = &guest->copies[host];

    copy->pending = SIM_NOTHING;
    copy->incoming = false;
    if (guest->copies[copy->from].defined)
        copy->defined = true;
    if (copy->arrives_paused) {
        copy->state = RM_GUEST_STATE__GUEST_PAUSED;
        copy->reason = HV_REASON_USER;
        changed(sim, host);
    } else if (guest->guarded && runs_elsewhere(sim, guest, host)) {
        end_copy(sim, guest, host); /* the image lock refuses it */
    } else {
        let_run(sim, guest, host, HV_REASON_MIGRATED);
    }
}

/* ---- the end of a call */

static void give(struct hv_outcome *outcome, RmClass class_, int code, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void give(struct hv_outcome *outcome, RmClass class_, int code, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(outcome->text, sizeof(outcome->text), format, args);
    va_end(args);
    outcome->class_ = class_;
    outcome->code = code;
}

static void call_returns(struct sim *sim, struct sim_move *move)
{
    sim_done_f *done = move->done;

    move->on = false;
    move->done = NULL;
    if (move->outcome.ok)
        sim->n_arrived++;
    else
        sim->n_broken++;
    if (done != NULL)
        done(move->ctx, &move->outcome);
}

static void call_fails(struct sim *sim, struct sim_move *move, RmClass class_, int code,
                       const char *text)
{
    move->outcome.ok = false;
    give(&move->outcome, class_, code, "%s", text);
    call_returns(sim, move);
}

/* The source's daemon takes the migration for failed: its copy goes on. */
static void source_goes_on(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];
    struct sim_copy *source = &guest->copies[move->source];
    struct sim_copy *destination = &guest->copies[move->destination];

    source->outgoing = false;
    changed(sim, move->source);
    if (!source->active)
        return;
    if (move->guest_paused) {
        source->state = RM_GUEST_STATE__GUEST_PAUSED;
        source->reason = HV_REASON_USER;
    } else if (guest->guarded && runs(destination)) {
        source->reason =
            HV_REASON_MIGRATING; /* the image lock is over there: it stays as it stands */
    } else if (runs(source)) {
        source->reason = HV_REASON_MIGRATION_CANCELED;
    } else {
        let_run(sim, guest, move->source, HV_REASON_MIGRATION_CANCELED);
    }
}

static void clean_destination(struct sim *sim, struct sim_move *move)
{
    struct sim_copy *copy = &sim->guests[move->guest].copies[move->destination];

    if (copy->active && copy->incoming)
        later(copy, SIM_CLEAN, sim->now + between(sim, STEP_LEAST, CLEAN_MOST));
}

/* The two daemons have lost each other; the source has noticed. */
static void lose_connection(struct sim *sim, struct sim_move *move, const char *text)
{
    struct sim_copy *copy = &sim->guests[move->guest].copies[move->destination];
    bool asleep = sim->hosts[move->destination].hung_until > sim->now;

    if (move->phase == SIM_SWITCHOVER && copy->incoming && !move->dropped &&
        (asleep || sim_random(sim, 2) == 0))
        /* The wish to finish was on its way: it is carried out whenever that daemon gets to it. */
        later(copy, SIM_ARRIVE,
              (asleep ? sim->hosts[move->destination].hung_until : sim->now) +
                  between(sim, STEP_LEAST, CLEAN_MOST));
    else
        clean_destination(sim, move);
    source_goes_on(sim, move);
    call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 1, text);
}

void sim_fail_move(struct sim *sim, struct sim_move *move, RmClass class_, const char *text)
{
    if (!move->on || move->phase >= SIM_SWITCHOVER)
        return;
    clean_destination(sim, move);
    source_goes_on(sim, move);
    call_fails(sim, move, class_, 9, text);
}

/* ---- phases */

static void enter(struct sim *sim, struct sim_move *move, enum sim_phase phase, usec_t span)
{
    move->phase = phase;
    move->at = sim->now + span;
    if (sim->on_phase != NULL)
        sim->on_phase(sim->ctx, sim, move);
}

static void prepare(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];
    struct sim_copy *copy = &guest->copies[move->destination];

    if (sim->hosts[move->destination].down_until > sim->now) {
        source_goes_on(sim, move);
        call_fails(sim, move, RM_CLASS__CLASS_RETRY, 38, "unable to connect to server");
        return;
    }
    if (copy->active) {
        source_goes_on(sim, move);
        call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 55, "domain is already active");
        return;
    }
    copy->active = copy->incoming = true;
    copy->state = RM_GUEST_STATE__GUEST_INCOMING;
    copy->reason = HV_REASON_MIGRATING;
    copy->whole = false;
    copy->pending = SIM_NOTHING;
    copy->from = move->source;
    copy->arrives_paused = move->guest_paused || (move->paused && !sim->ignore_fence);
    changed(sim, move->destination);
    enter(sim, move, SIM_COPY, move->copy_for);
}

static void copied(struct sim *sim, struct sim_move *move)
{
    struct sim_copy *source = &sim->guests[move->guest].copies[move->source];

    source->state = RM_GUEST_STATE__GUEST_PAUSED;
    source->reason = HV_REASON_MIGRATING;
    enter(sim, move, SIM_SWITCHOVER, between(sim, SWITCHOVER_LEAST, SWITCHOVER_MOST));
}

static void handed_over(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];

    guest->copies[move->destination].whole = true;
    arrive(sim, guest, move->destination);
    enter(sim, move, SIM_FINISH, between(sim, STEP_LEAST, STEP_MOST));
}

static void confirmed(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];

    guest->copies[move->source].defined = false;
    stop(sim, guest, move->source, RM_GUEST_STATE__GUEST_UNKNOWN, HV_REASON_OTHER);
    enter(sim, move, SIM_CONFIRM, between(sim, STEP_LEAST, STEP_MOST));
}

/* Since when the source's daemon has heard nothing of the destination; USEC_NEVER: it does. */
static usec_t silent_since(const struct sim *sim, const struct sim_move *move)
{
    const struct sim_host *source = &sim->hosts[move->source];
    const struct sim_host *destination = &sim->hosts[move->destination];
    usec_t since = USEC_NEVER;

    if (destination->hung_until > sim->now)
        since = destination->hung_at;
    if (destination->cut_until > sim->now && destination->cut_at < since)
        since = destination->cut_at;
    if (source->cut_until > sim->now && source->cut_at < since)
        since = source->cut_at;
    return since != USEC_NEVER && since < move->began_at ? move->began_at : since;
}

static bool needs_destination(const struct sim *sim, const struct sim_move *move)
{
    if (move->phase == SIM_CONFIRM)
        return false;
    /* Memory flows between the two QEMUs: a daemon that sleeps does not stop it. */
    return move->phase != SIM_COPY || is_cut(sim, move->source, move->destination);
}

static usec_t move_deadline(const struct sim *sim, const struct sim_move *move)
{
    const struct sim_host *source = &sim->hosts[move->source];
    usec_t silent = silent_since(sim, move), at = move->at;

    if (source->hung_until > sim->now) {
        usec_t drop = source->hung_at + sim->keepalive;
        if (!move->dropped && drop < source->hung_until)
            return drop;
        return source->hung_until;
    }
    if (silent != USEC_NEVER && move->phase != SIM_CONFIRM) {
        usec_t lost = silent + sim->keepalive;
        if (needs_destination(sim, move) || lost < at)
            return lost;
    }
    return at;
}

/* The destination closes the connection of a source that says nothing any more. */
static void drop_move(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];

    move->dropped = true;
    if (move->phase <= SIM_SWITCHOVER && guest->copies[move->destination].incoming &&
        sim_answers(sim, move->destination))
        end_copy(sim, guest, move->destination);
}

static void step_move(struct sim *sim, struct sim_move *move)
{
    const struct sim_host *source = &sim->hosts[move->source];
    usec_t silent = silent_since(sim, move);

    if (source->hung_until > sim->now) {
        drop_move(sim, move);
        return;
    }
    if (move->dropped && move->phase <= SIM_SWITCHOVER) {
        lose_connection(sim, move, "internal error: client socket is closed");
        return;
    }
    if (silent != USEC_NEVER && move->phase != SIM_CONFIRM && silent + sim->keepalive <= sim->now) {
        lose_connection(sim, move, "internal error: client socket is closed");
        return;
    }
    if (move->at > sim->now)
        return;
    switch (move->phase) {
    case SIM_PREPARE:
        prepare(sim, move);
        break;
    case SIM_COPY:
        copied(sim, move);
        break;
    case SIM_SWITCHOVER:
        handed_over(sim, move);
        break;
    case SIM_FINISH:
        confirmed(sim, move);
        break;
    case SIM_CONFIRM:
        move->outcome.ok = true;
        call_returns(sim, move);
        break;
    }
}

static void step_pending(struct sim *sim, struct sim_guest *guest, unsigned host)
{
    struct sim_copy *copy = &guest->copies[host];
    enum sim_pending what = copy->pending;

    if (!sim_answers(sim, host)) {
        usec_t back = sim->hosts[host].hung_until;
        if (sim->hosts[host].down_until > back)
            back = sim->hosts[host].down_until;
        copy->pending_at = back + between(sim, STEP_LEAST, STEP_MOST);
        return;
    }
    copy->pending = SIM_NOTHING;
    if (what == SIM_CLEAN && copy->incoming)
        end_copy(sim, guest, host);
    else if (what == SIM_ARRIVE && copy->incoming)
        arrive(sim, guest, host);
    else if (what == SIM_RECOVER && copy->active && !runs(copy) && copy->whole)
        let_run(sim, guest, host, HV_REASON_MIGRATION_CANCELED);
}

usec_t sim_deadline(const struct sim *sim)
{
    usec_t first = USEC_NEVER;

    for (unsigned g = 0; g < sim->n_guests; g++) {
        const struct sim_guest *guest = &sim->guests[g];
        if (guest->move.on) {
            usec_t at = move_deadline(sim, &guest->move);
            first = at < first ? at : first;
        }
        for (unsigned h = 0; h < sim->n_hosts; h++)
            if (guest->copies[h].pending != SIM_NOTHING && guest->copies[h].pending_at < first)
                first = guest->copies[h].pending_at;
    }
    return first;
}

static void step(struct sim *sim)
{
    for (unsigned g = 0; g < sim->n_guests; g++) {
        struct sim_guest *guest = &sim->guests[g];
        if (guest->move.on && move_deadline(sim, &guest->move) <= sim->now)
            step_move(sim, &guest->move);
        for (unsigned h = 0; h < sim->n_hosts; h++)
            if (guest->copies[h].pending != SIM_NOTHING && guest->copies[h].pending_at <= sim->now)
                step_pending(sim, guest, h);
    }
}

void sim_advance(struct sim *sim, usec_t now)
{
    usec_t next;

    while ((next = sim_deadline(sim)) <= now) {
        if (next > sim->now)
            sim->now = next;
        step(sim);
    }
    if (now > sim->now)
        sim->now = now;
}

/* ---- faults */

void sim_hang_daemon(struct sim *sim, unsigned host, usec_t span)
{
    struct sim_host *h = &sim->hosts[host];

    if (h->hung_until <= sim->now)
        h->hung_at = sim->now;
    if (sim->now + span > h->hung_until)
        h->hung_until = sim->now + span;
    changed(sim, host);
}

void sim_cut(struct sim *sim, unsigned host, usec_t span)
{
    struct sim_host *h = &sim->hosts[host];

    if (h->cut_until <= sim->now)
        h->cut_at = sim->now;
    if (sim->now + span > h->cut_until)
        h->cut_until = sim->now + span;
}

static void kill_source(struct sim *sim, struct sim_move *move)
{
    struct sim_copy *source = &sim->guests[move->guest].copies[move->source];
    bool back = sim_random(sim, 2) == 0;

    source->outgoing = false;
    clean_destination(sim, move);
    if (move->phase <= SIM_COPY || (move->phase == SIM_SWITCHOVER && move->guest_paused))
        source_goes_on(sim, move);
    else if (move->phase == SIM_SWITCHOVER && back)
        later(source, SIM_RECOVER, sim->hosts[move->source].down_until);
    call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 38,
               "End of file while reading data: Input/output error");
}

static void kill_destination(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];

    if (move->phase == SIM_CONFIRM)
        return;
    if (guest->copies[move->destination].incoming)
        end_copy(sim, guest, move->destination);
    source_goes_on(sim, move);
    call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 1, "internal error: client socket is closed");
}

void sim_kill_daemon(struct sim *sim, unsigned host, usec_t down_for)
{
    sim->hosts[host].down_until = sim->now + down_for;
    sim->hosts[host].hung_until = 0;
    changed(sim, host);
    for (unsigned g = 0; g < sim->n_guests; g++) {
        struct sim_guest *guest = &sim->guests[g];
        if (guest->move.on && guest->move.source == host)
            kill_source(sim, &guest->move);
        else if (guest->move.on && guest->move.destination == host)
            kill_destination(sim, &guest->move);
        else if (guest->copies[host].incoming)
            end_copy(sim, guest, host);
    }
}

static void touch(struct sim *sim, struct sim_guest *guest)
{
    guest->touched_at = sim->now;
}

void sim_kill_qemu(struct sim *sim, unsigned guest, unsigned host)
{
    struct sim_guest *g = &sim->guests[guest];
    struct sim_move *move = &g->move;
    struct sim_copy *copy = &g->copies[host];

    if (!copy->active)
        return;
    if (move->on && host == move->source && move->phase == SIM_FINISH)
        return; /* it is about to be ended anyway */
    if (move->on && host == move->destination && copy->incoming) {
        end_copy(sim, g, host);
        source_goes_on(sim, move);
        call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 9,
                   "job 'migration out' failed: Unable to write to socket: Connection reset");
        return;
    }
    touch(sim, g);
    stop(sim, g, host, RM_GUEST_STATE__GUEST_SHUTOFF, HV_REASON_OTHER);
    if (move->on && host == move->source && move->phase < SIM_FINISH) {
        clean_destination(sim, move);
        call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 9,
                   "operation failed: domain is not running");
    }
}

void sim_power_off(struct sim *sim, unsigned guest)
{
    struct sim_guest *g = &sim->guests[guest];
    struct sim_move *move = &g->move;

    for (unsigned h = 0; h < sim->n_hosts; h++) {
        if (!runs(&g->copies[h]))
            continue;
        touch(sim, g);
        stop(sim, g, h, RM_GUEST_STATE__GUEST_SHUTOFF, HV_REASON_SHUTDOWN);
        if (move->on && h == move->source) {
            clean_destination(sim, move);
            call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 38,
                       "Unable to read from monitor: Connection reset by peer");
        }
        return;
    }
}

void sim_power_on(struct sim *sim, unsigned guest)
{
    struct sim_guest *g = &sim->guests[guest];

    for (unsigned h = 0; h < sim->n_hosts; h++)
        if (g->copies[h].active)
            return;
    for (unsigned h = 0; h < sim->n_hosts; h++) {
        if (!g->copies[h].defined)
            continue;
        touch(sim, g);
        sim->hosts[h].foreign += g->memory;
        g->copies[h].active = g->copies[h].whole = true;
        let_run(sim, g, h, HV_REASON_OTHER);
        return;
    }
}

bool sim_move_by_hand(struct sim *sim, unsigned guest, unsigned to)
{
    struct sim_guest *g = &sim->guests[guest];
    int from = sim_place(sim, guest);

    if (from < 0 || from == (int)to || g->move.on || !runs(&g->copies[from]) ||
        !sim_answers(sim, (unsigned)from) || !sim_answers(sim, to))
        return false;
    touch(sim, g);
    sim->hosts[to].foreign += g->memory;
    g->copies[from].defined = false;
    stop(sim, g, (unsigned)from, RM_GUEST_STATE__GUEST_UNKNOWN, HV_REASON_OTHER);
    g->copies[to] = (struct sim_copy){.defined = true, .active = true, .whole = true};
    let_run(sim, g, to, HV_REASON_MIGRATED);
    return true;
}

void sim_heal(struct sim *sim)
{
    for (unsigned h = 0; h < sim->n_hosts; h++) {
        struct sim_host *host = &sim->hosts[h];
        if (host->hung_until > sim->now)
            host->hung_until = sim->now;
        if (host->down_until > sim->now)
            host->down_until = sim->now;
        if (host->cut_until > sim->now)
            host->cut_until = sim->now;
        changed(sim, h);
    }
}

/* ---- the operations */

static struct hv *open_host(const struct conf_hypervisor *conf, const struct conf_worker *worker,
                            const struct env *env)
{
    struct hv *hv = calloc(1, sizeof(*hv));
    int host = sim_find_host(env->ctx, conf->name);

    (void)worker;
    if (hv == NULL || host < 0) {
        free(hv);
        return NULL;
    }
    hv->sim = env->ctx;
    hv->host = (unsigned)host;
    return hv;
}

static void close_host(struct hv *hv)
{
    free(hv);
}

unsigned sim_host_of(const struct hv *hv)
{
    return hv->host;
}

static int inventory(struct hv *hv, struct arena *arena, RmInventory **ret_inventory)
{
    struct sim *sim = hv->sim;
    struct sim_host *host = &sim->hosts[hv->host];
    RmInventory *inventory = arena_alloc(arena, sizeof(*inventory));

    if (inventory == NULL)
        return -ENOMEM;
    rm_inventory__init(inventory);
    inventory->host = host->name;
    inventory->reachable = sim_answers(sim, hv->host);
    if (!inventory->reachable) {
        inventory->text = (char *)"no answer";
        *ret_inventory = inventory;
        return 0;
    }
    inventory->memory = host->memory;
    inventory->vcpus = host->vcpus;
    for (unsigned g = 0; g < sim->n_guests; g++) {
        struct sim_guest *guest = &sim->guests[g];
        const struct sim_copy *copy = &guest->copies[hv->host];
        RmDomain *domain;
        if (!copy->active && !copy->defined)
            continue;
        domain = arena_alloc(arena, sizeof(*domain));
        if (domain == NULL)
            return -ENOMEM;
        rm_domain__init(domain);
        domain->name = guest->name;
        domain->uuid = guest->uuid;
        domain->state = copy->state;
        domain->memory = guest->memory;
        domain->vcpus = guest->vcpus;
        domain->persistent = copy->defined;
        domain->migrating = copy->outgoing;
        if (ARENA_PUSH(arena, inventory->n_domains, inventory->domains, domain) < 0)
            return -ENOMEM;
    }
    *ret_inventory = inventory;
    return 0;
}

static int wait_change(struct hv *hv, usec_t wait_for)
{
    struct sim *sim = hv->sim;
    uint64_t before = sim->hosts[hv->host].changes;
    usec_t until = sim->now + wait_for;

    while (sim->hosts[hv->host].changes == before && sim->now < until) {
        usec_t next = sim_deadline(sim);
        sim_advance(sim, next < until ? next : until);
    }
    return sim->hosts[hv->host].changes != before;
}

static int look(struct hv *hv, const char *peer, const char *uuid, struct hv_look *ret_look,
                struct rm_err *err)
{
    const struct sim *sim = hv->sim;
    int host = find_peer(hv, peer), guest = find_uuid(sim, uuid);
    const struct sim_copy *copy;

    *ret_look = (struct hv_look){.answered = false};
    if (host < 0 || !sim_answers(sim, (unsigned)host) || is_cut(sim, hv->host, (unsigned)host)) {
        rm_fail(err, -ETIMEDOUT, "no answer");
        return 0;
    }
    ret_look->answered = true;
    if (guest < 0)
        return 0;
    copy = &sim->guests[guest].copies[host];
    ret_look->defined = copy->defined;
    ret_look->active = copy->active;
    ret_look->state = copy->state;
    ret_look->reason = copy->reason;
    ret_look->outgoing = copy->outgoing;
    ret_look->incoming = copy->incoming;
    return 0;
}

static void choose_fence(const struct hv_migration *migration, const struct sim_guest *guest,
                         struct hv_outcome *outcome)
{
    bool paused =
        migration->fence == FENCE_ALWAYS || (migration->fence == FENCE_AUTO && !guest->guarded);

    snprintf(outcome->fence, sizeof(outcome->fence), "%s",
             paused           ? "paused"
             : guest->guarded ? "image lock"
                              : "none");
}

static int check(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome)
{
    struct sim *sim = hv->sim;
    int guest = find_uuid(sim, migration->uuid), to = find_peer(hv, migration->peer);
    const struct sim_copy *source, *destination;

    *outcome = (struct hv_outcome){.stats = RM_STATS__INIT};
    if (guest < 0 || to < 0) {
        give(outcome, RM_CLASS__CLASS_UNFIT, 0, "no such guest, or no such hypervisor");
        return -EINVAL;
    }
    if (!sim_answers(sim, hv->host) || !sim_answers(sim, (unsigned)to) ||
        is_cut(sim, hv->host, (unsigned)to)) {
        give(outcome, RM_CLASS__CLASS_RETRY, 0, "no answer");
        return -ETIMEDOUT;
    }
    source = &sim->guests[guest].copies[hv->host];
    destination = &sim->guests[guest].copies[to];
    outcome->guest_paused =
        source->state == RM_GUEST_STATE__GUEST_PAUSED && source->reason != HV_REASON_MIGRATING;
    outcome->had_definition = destination->defined;
    choose_fence(migration, &sim->guests[guest], outcome);
    if (!source->active && !source->defined) {
        give(outcome, RM_CLASS__CLASS_AMBIGUOUS, 42, "the guest is not on %s",
             sim->hosts[hv->host].name);
        return -ENOENT;
    }
    if (!source->active) {
        give(outcome, RM_CLASS__CLASS_FATAL, 0, "guest is shut off");
        return -ENOENT;
    }
    if (source->incoming || source->outgoing || source->reason == HV_REASON_MIGRATING) {
        give(outcome, RM_CLASS__CLASS_AMBIGUOUS, 0,
             "the guest is in the middle of another migration");
        return -EBUSY;
    }
    if (destination->active) {
        give(outcome, destination->incoming ? RM_CLASS__CLASS_RETRY : RM_CLASS__CLASS_AMBIGUOUS, 0,
             "the guest is already active on %s", migration->destination);
        return -EEXIST;
    }
    if (sim->guests[guest].unfit >> to & 1) {
        give(outcome, RM_CLASS__CLASS_UNFIT, 9, "%s has another guest of that name",
             migration->destination);
        return -EEXIST;
    }
    return 0;
}

bool sim_begin(struct hv *hv, const struct hv_migration *migration, sim_done_f *done, void *ctx,
               struct hv_outcome *outcome)
{
    struct sim *sim = hv->sim;
    struct sim_guest *guest;
    struct sim_move *move;
    struct sim_copy *source;

    if (check(hv, migration, outcome) < 0)
        return false;
    guest = &sim->guests[find_uuid(sim, migration->uuid)];
    move = &guest->move;
    source = &guest->copies[hv->host];
    if (migration->begin_by != 0 && sim->now >= migration->begin_by) {
        give(outcome, RM_CLASS__CLASS_RETRY, 0, "the lease of this worker was over");
        return false;
    }
    if (source->pending != SIM_NOTHING || move->on) {
        give(outcome, RM_CLASS__CLASS_RETRY, 55, "another migration job is already running");
        return false;
    }
    *move = (struct sim_move){.on = true,
                              .guest = (unsigned)(guest - sim->guests),
                              .source = hv->host,
                              .destination = (unsigned)find_peer(hv, migration->peer),
                              .began_at = sim->now,
                              .copy_for = between(sim, sim->copy_least, sim->copy_most),
                              .paused = strcmp(outcome->fence, "paused") == 0,
                              .guest_paused = outcome->guest_paused,
                              .outcome = *outcome,
                              .done = done,
                              .ctx = ctx};
    source->outgoing = true;
    changed(sim, hv->host);
    sim->n_moves++;
    enter(sim, move, SIM_PREPARE, between(sim, STEP_LEAST, STEP_MOST));
    return true;
}

void sim_forget(struct sim *sim, const void *ctx)
{
    for (unsigned g = 0; g < sim->n_guests; g++)
        if (sim->guests[g].move.on && sim->guests[g].move.ctx == ctx)
            sim->guests[g].move.done = NULL;
}

struct waiter {
    bool returned;
    struct hv_outcome *outcome;
};

static void keep_outcome(void *ctx, const struct hv_outcome *outcome)
{
    struct waiter *waiter = ctx;

    *waiter->outcome = *outcome;
    waiter->returned = true;
}

/* Blocks as a real one does: the site goes on meanwhile. Behind the fence the guest is resumed at
 * the call's return. */
static void migrate(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome)
{
    struct sim *sim = hv->sim;
    struct waiter waiter = {.outcome = outcome};

    if (!sim_begin(hv, migration, keep_outcome, &waiter, outcome))
        return;
    while (!waiter.returned) {
        usec_t next = sim_deadline(sim);
        sim_advance(sim, next);
    }
    if (outcome->ok && !outcome->guest_paused && strcmp(outcome->fence, "paused") == 0 &&
        hv_sim.mend(hv, migration->peer, migration->uuid, HV_RESUME, NULL) == 0) {
        outcome->resumed = true;
        snprintf(outcome->resumed_by, sizeof(outcome->resumed_by), "call returned");
    }
}

static int abort_move(struct hv *hv, const char *uuid, struct rm_err *err)
{
    struct sim *sim = hv->sim;
    int guest = find_uuid(sim, uuid);
    struct sim_move *move;

    if (guest < 0)
        return 0;
    if (!sim_answers(sim, hv->host))
        return rm_fail(err, -ETIMEDOUT, "no answer");
    move = &sim->guests[guest].move;
    if (move->on && move->source == hv->host)
        sim_fail_move(sim, move, RM_CLASS__CLASS_ABORTED,
                      "operation aborted: job 'migration out' canceled by client");
    return 0;
}

static int progress(struct hv *hv, const char *uuid, RmStats *ret_stats)
{
    const struct sim *sim = hv->sim;
    int guest = find_uuid(sim, uuid);
    const struct sim_move *move;

    if (!sim_answers(sim, hv->host))
        return -ETIMEDOUT;
    if (guest < 0)
        return -ENOENT;
    move = &sim->guests[guest].move;
    if (!move->on || move->source != hv->host || !sim->guests[guest].copies[hv->host].outgoing)
        return -ENOENT;
    rm_stats__init(ret_stats);
    ret_stats->elapsed_for = sim->now - move->began_at;
    ret_stats->total = sim->guests[guest].memory;
    ret_stats->processed = ret_stats->elapsed_for < move->copy_for
                               ? ret_stats->total / (move->copy_for + 1) * ret_stats->elapsed_for
                               : ret_stats->total;
    ret_stats->remaining = ret_stats->total - ret_stats->processed;
    return 0;
}

static int resume_copy(struct sim *sim, struct sim_guest *guest, unsigned host, struct rm_err *err)
{
    struct sim_copy *copy = &guest->copies[host];

    if (!copy->active || copy->incoming || copy->outgoing)
        return rm_fail(err, -EBUSY, "it cannot be resumed now");
    if (!runs(copy))
        let_run(sim, guest, host, copy->reason);
    return 0;
}

static int destroy_copy(struct sim *sim, struct sim_guest *guest, unsigned host, struct rm_err *err)
{
    struct sim_copy *copy = &guest->copies[host];
    bool other = false;

    if (!copy->active)
        return 0;
    if (runs(copy) || copy->incoming || copy->outgoing)
        return rm_fail(err, -EBUSY, "it runs");
    for (unsigned i = 0; i < sim->n_hosts; i++)
        other = other || (i != host && guest->copies[i].active && guest->copies[i].whole);
    if (copy->whole && !other)
        say_wrong(sim, "the last good copy of %s is destroyed on %s", guest->name,
                  sim->hosts[host].name);
    stop(sim, guest, host, RM_GUEST_STATE__GUEST_SHUTOFF, HV_REASON_OTHER);
    return 0;
}

static int undefine_copy(struct sim *sim, struct sim_guest *guest, unsigned host,
                         struct rm_err *err)
{
    struct sim_copy *copy = &guest->copies[host];
    bool other = false;

    if (copy->active)
        return rm_fail(err, -EBUSY, "it is active");
    for (unsigned i = 0; i < sim->n_hosts; i++)
        other = other || (i != host && (guest->copies[i].defined || guest->copies[i].active));
    if (copy->defined && !other)
        say_wrong(sim, "the last definition of %s is removed from %s", guest->name,
                  sim->hosts[host].name);
    *copy = (struct sim_copy){.defined = false};
    changed(sim, host);
    return 0;
}

static int mend(struct hv *hv, const char *peer, const char *uuid, enum hv_mend what,
                struct rm_err *err)
{
    struct sim *sim = hv->sim;
    int host = find_peer(hv, peer), guest = find_uuid(sim, uuid);

    if (host < 0 || guest < 0)
        return rm_fail(err, -ENOENT, "no such hypervisor, or no such guest");
    if (!sim_answers(sim, (unsigned)host) || is_cut(sim, hv->host, (unsigned)host))
        return rm_fail(err, -ETIMEDOUT, "no answer");
    switch (what) {
    case HV_RESUME:
        return resume_copy(sim, &sim->guests[guest], (unsigned)host, err);
    case HV_DESTROY:
        return destroy_copy(sim, &sim->guests[guest], (unsigned)host, err);
    case HV_UNDEFINE:
        return undefine_copy(sim, &sim->guests[guest], (unsigned)host, err);
    }
    return -EINVAL;
}

const struct hv_ops hv_sim = {
    .open = open_host,
    .close = close_host,
    .inventory = inventory,
    .wait_change = wait_change,
    .look = look,
    .check = check,
    .migrate = migrate,
    .abort = abort_move,
    .progress = progress,
    .mend = mend,
};
