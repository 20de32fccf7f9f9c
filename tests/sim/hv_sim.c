/* hv_sim.c - a driver over a scripted fake: the hypervisors of a whole site in virtual time */
#include "tests/sim/hv_sim_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWITCHOVER_LEAST (50 * USEC_PER_MSEC)
#define SWITCHOVER_MOST  (600 * USEC_PER_MSEC)
#define EPOCH_WALL       UINT64_C(1700000000000000)

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

usec_t sim_between(struct sim *sim, usec_t least, usec_t most)
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

void sim_say_wrong(struct sim *sim, const char *format, ...)
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
    if (!sim)
        return NULL;
    sim->now = 1000 * USEC_PER_SEC;
    sim->random = seed;
    sim->keepalive = 4 * USEC_PER_SEC;
    sim->copy_least = USEC_PER_SEC / 2;
    sim->copy_most = 10 * USEC_PER_SEC;
    sim->busy_least = STEP_LEAST;
    sim->busy_most = LATE_MOST;
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

bool sim_is_cut(const struct sim *sim, unsigned a, unsigned b)
{
    return a != b && (sim->hosts[a].cut_until > sim->now || sim->hosts[b].cut_until > sim->now);
}

/* ---- what copies may do */

void sim_changed(struct sim *sim, unsigned host)
{
    sim->hosts[host].changes++;
}

bool sim_runs(const struct sim_copy *copy)
{
    return copy->active && !copy->incoming && copy->state == RM_GUEST_STATE__GUEST_RUNNING;
}

/* The processors of this copy start (again). */
void sim_let_run(struct sim *sim, struct sim_guest *guest, unsigned host, enum hv_reason reason)
{
    struct sim_copy *copy = &guest->copies[host];
    for (unsigned i = 0; i < sim->n_hosts; i++) {
        if (i == host)
            continue;
        if (sim_runs(&guest->copies[i]))
            sim_say_wrong(sim, "%s runs on %s and on %s", guest->name, sim->hosts[i].name,
                          sim->hosts[host].name);
        guest->copies[i].whole = false;
    }
    /* An image lock is gone with the copy that held it: after that has crashed, or was ended by
     * hand, an old one that wakes late does start. A fence of that kind cannot keep it from doing
     * so. */
    if (!copy->whole && !(guest->guarded && guest->touched_at != 0))
        sim_say_wrong(sim, "an old copy of %s is let run on %s", guest->name,
                      sim->hosts[host].name);
    copy->whole = true;
    copy->state = RM_GUEST_STATE__GUEST_RUNNING;
    copy->reason = reason;
    copy->incoming = false;
    sim_changed(sim, host);
}

void sim_stop(struct sim *sim, struct sim_guest *guest, unsigned host, RmGuestState state,
              enum hv_reason reason)
{
    struct sim_copy *copy = &guest->copies[host];
    bool defined = copy->defined;
    *copy = (struct sim_copy){.defined = defined};
    if (defined) {
        copy->state = state;
        copy->reason = reason;
    }
    sim_changed(sim, host);
}

void sim_end_copy(struct sim *sim, struct sim_guest *guest, unsigned host)
{
    sim_stop(sim, guest, host, RM_GUEST_STATE__GUEST_SHUTOFF, HV_REASON_FAILED);
}

void sim_later(struct sim_copy *copy, enum sim_pending what, usec_t at)
{
    copy->pending = what;
    copy->pending_at = at;
}

static bool runs_elsewhere(const struct sim *sim, const struct sim_guest *guest, unsigned host)
{
    for (unsigned i = 0; i < sim->n_hosts; i++)
        if (i != host && sim_runs(&guest->copies[i]))
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
        sim_changed(sim, host);
    } else if (guest->guarded && runs_elsewhere(sim, guest, host)) {
        sim_end_copy(sim, guest, host); /* the image lock refuses it */
    } else {
        sim_let_run(sim, guest, host, HV_REASON_MIGRATED);
    }
}

/* ---- the end of a call */

void sim_give(struct hv_outcome *outcome, RmClass class_, int code, const char *format, ...)
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
    if (done)
        done(move->ctx, &move->outcome);
}

void sim_call_fails(struct sim *sim, struct sim_move *move, RmClass class_, int code,
                    const char *text)
{
    move->outcome.ok = false;
    sim_give(&move->outcome, class_, code, "%s", text);
    call_returns(sim, move);
}

/* The source's daemon takes the migration for failed: its copy goes on. */
void sim_source_goes_on(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];
    struct sim_copy *source = &guest->copies[move->source];
    struct sim_copy *destination = &guest->copies[move->destination];
    source->outgoing = false;
    sim_changed(sim, move->source);
    if (!source->active)
        return;
    if (move->guest_paused) {
        source->state = RM_GUEST_STATE__GUEST_PAUSED;
        source->reason = HV_REASON_USER;
    } else if (guest->guarded && sim_runs(destination)) {
        source->reason =
            HV_REASON_MIGRATING; /* the image lock is over there: it stays as it stands */
    } else if (sim_runs(source)) {
        source->reason = HV_REASON_MIGRATION_CANCELED;
    } else {
        sim_let_run(sim, guest, move->source, HV_REASON_MIGRATION_CANCELED);
    }
}

void sim_clean_destination(struct sim *sim, struct sim_move *move)
{
    struct sim_copy *copy = &sim->guests[move->guest].copies[move->destination];
    if (copy->active && copy->incoming)
        sim_later(copy, SIM_CLEAN, sim->now + sim_between(sim, STEP_LEAST, CLEAN_MOST));
}

/* The two daemons have lost each other; the source has noticed. */
static void lose_connection(struct sim *sim, struct sim_move *move, const char *text)
{
    struct sim_copy *copy = &sim->guests[move->guest].copies[move->destination];
    bool asleep = sim->hosts[move->destination].hung_until > sim->now;
    if (move->phase == SIM_SWITCHOVER && copy->incoming && !move->dropped &&
        (asleep || sim_random(sim, 2) == 0))
        /* The request to finish was on its way: that daemon carries it out when it gets to it. */
        sim_later(copy, SIM_ARRIVE,
                  (asleep ? sim->hosts[move->destination].hung_until : sim->now) +
                      sim_between(sim, STEP_LEAST, CLEAN_MOST));
    else
        sim_clean_destination(sim, move);
    sim_source_goes_on(sim, move);
    sim_call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 1, text);
}

void sim_fail_move(struct sim *sim, struct sim_move *move, RmClass class_, const char *text)
{
    if (!move->on || move->phase == SIM_WAIT || move->phase >= SIM_SWITCHOVER)
        return;
    sim_clean_destination(sim, move);
    sim_source_goes_on(sim, move);
    sim_call_fails(sim, move, class_, 9, text);
}

/* ---- phases */

void sim_enter(struct sim *sim, struct sim_move *move, enum sim_phase phase, usec_t span)
{
    move->phase = phase;
    move->at = sim->now + span;
    if (sim->on_phase)
        sim->on_phase(sim->ctx, sim, move);
}

/* The source's daemon begins. */
void sim_set_out(struct sim *sim, struct sim_move *move)
{
    sim->guests[move->guest].copies[move->source].outgoing = true;
    sim_changed(sim, move->source);
    sim->n_moves++;
    sim_enter(sim, move, SIM_PREPARE, sim_between(sim, STEP_LEAST, STEP_MOST));
}

/* The guest is not busy any more, and the request that waited is carried out, whoever is left of those
 * that asked. */
static void waited(struct sim *sim, struct sim_move *move)
{
    if (sim->guests[move->guest].copies[move->source].active)
        sim_set_out(sim, move);
    else
        sim_call_fails(sim, move, RM_CLASS__CLASS_RETRY, 55, "domain is not running");
}

static void prepare(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];
    struct sim_copy *copy = &guest->copies[move->destination];
    if (sim->hosts[move->destination].down_until > sim->now) {
        sim_source_goes_on(sim, move);
        sim_call_fails(sim, move, RM_CLASS__CLASS_RETRY, 38, "unable to connect to server");
        return;
    }
    if (copy->active) {
        sim_source_goes_on(sim, move);
        sim_call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 55, "domain is already active");
        return;
    }
    copy->active = copy->incoming = true;
    copy->state = RM_GUEST_STATE__GUEST_INCOMING;
    copy->reason = HV_REASON_MIGRATING;
    copy->whole = false;
    copy->pending = SIM_NOTHING;
    copy->from = move->source;
    copy->arrives_paused = move->guest_paused || (move->paused && !sim->ignore_fence);
    sim_changed(sim, move->destination);
    sim_enter(sim, move, SIM_COPY, move->copy_for);
}

static void copied(struct sim *sim, struct sim_move *move)
{
    struct sim_copy *source = &sim->guests[move->guest].copies[move->source];
    source->state = RM_GUEST_STATE__GUEST_PAUSED;
    source->reason = HV_REASON_MIGRATING;
    sim_enter(sim, move, SIM_SWITCHOVER, sim_between(sim, SWITCHOVER_LEAST, SWITCHOVER_MOST));
}

static void handed_over(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];
    guest->copies[move->destination].whole = true;
    arrive(sim, guest, move->destination);
    sim_enter(sim, move, SIM_FINISH, sim_between(sim, STEP_LEAST, STEP_MOST));
}

static void confirmed(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];
    guest->copies[move->source].defined = false;
    sim_stop(sim, guest, move->source, RM_GUEST_STATE__GUEST_UNKNOWN, HV_REASON_OTHER);
    sim_enter(sim, move, SIM_CONFIRM, sim_between(sim, STEP_LEAST, STEP_MOST));
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
    return move->phase != SIM_COPY || sim_is_cut(sim, move->source, move->destination);
}

static usec_t move_deadline(const struct sim *sim, const struct sim_move *move)
{
    const struct sim_host *source = &sim->hosts[move->source];
    usec_t silent = silent_since(sim, move), at = move->at;
    if (move->phase == SIM_WAIT) /* the destination has heard nothing yet */
        return at > source->hung_until ? at : source->hung_until;
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
        sim_end_copy(sim, guest, move->destination);
}

static void step_move(struct sim *sim, struct sim_move *move)
{
    const struct sim_host *source = &sim->hosts[move->source];
    usec_t silent = silent_since(sim, move);
    if (move->phase == SIM_WAIT) {
        waited(sim, move);
        return;
    }
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
    case SIM_WAIT:
        break;
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
        copy->pending_at = back + sim_between(sim, STEP_LEAST, STEP_MOST);
        return;
    }
    copy->pending = SIM_NOTHING;
    if (what == SIM_CLEAN && copy->incoming)
        sim_end_copy(sim, guest, host);
    else if (what == SIM_ARRIVE && copy->incoming)
        arrive(sim, guest, host);
    else if (what == SIM_RECOVER && copy->active && !sim_runs(copy) && copy->whole)
        sim_let_run(sim, guest, host, HV_REASON_MIGRATION_CANCELED);
}

/* A daemon that stands still once more does not lengthen the wait for a guest: it has an end in time,
 * and who waits for that counts from the first answer. */
static void step_late(struct sim *sim, struct sim_guest *guest, unsigned host)
{
    if (sim->hosts[host].hung_until > sim->now)
        guest->late[host].at = sim->hosts[host].hung_until;
    else
        sim_obey_late(sim, guest, host);
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
        for (unsigned h = 0; h < sim->n_hosts; h++) {
            if (guest->copies[h].pending != SIM_NOTHING && guest->copies[h].pending_at < first)
                first = guest->copies[h].pending_at;
            if (guest->late[h].at != 0 && guest->late[h].at < first)
                first = guest->late[h].at;
        }
    }
    return first;
}

static void step(struct sim *sim)
{
    for (unsigned g = 0; g < sim->n_guests; g++) {
        struct sim_guest *guest = &sim->guests[g];
        if (guest->move.on && move_deadline(sim, &guest->move) <= sim->now)
            step_move(sim, &guest->move);
        for (unsigned h = 0; h < sim->n_hosts; h++) {
            if (guest->copies[h].pending != SIM_NOTHING && guest->copies[h].pending_at <= sim->now)
                step_pending(sim, guest, h);
            if (guest->late[h].at != 0 && guest->late[h].at <= sim->now)
                step_late(sim, guest, h);
        }
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
