/* hv_sim_fault.c - what goes wrong with hypervisors, and what that does to a migration in each of
 * its phases */
#include "tests/sim/hv_sim_parts.h"

/* It stands still now, and goes on then. What waits there waits as long after that as it was to. */
static void goes_on_at(struct sim *sim, unsigned host, usec_t until)
{
    struct sim_host *h = &sim->hosts[host];
    for (unsigned g = 0; g < sim->n_guests; g++) {
        struct sim_late *late = &sim->guests[g].late[host];
        if (late->at != 0 && late->at >= h->hung_until)
            late->at = until + (late->at - h->hung_until);
        struct sim_move *move = &sim->guests[g].move;
        if (move->on && move->phase == SIM_WAIT && move->source == host &&
            move->behind == h->hung_until) {
            move->at = until + (move->at - h->hung_until);
            move->behind = until;
        }
    }
    h->hung_until = until;
}

void sim_hang_daemon(struct sim *sim, unsigned host, usec_t span)
{
    struct sim_host *h = &sim->hosts[host];
    if (h->hung_until <= sim->now) {
        h->hung_at = sim->now;
        h->hung_until = sim->now + span;
    } else if (sim->now + span > h->hung_until) {
        goes_on_at(sim, host, sim->now + span);
    }
    sim_changed(sim, host);
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
    sim_clean_destination(sim, move);
    if (move->phase <= SIM_COPY || (move->phase == SIM_SWITCHOVER && move->guest_paused))
        sim_source_goes_on(sim, move);
    else if (move->phase == SIM_SWITCHOVER && back)
        sim_later(source, SIM_RECOVER, sim->hosts[move->source].down_until);
    sim_call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 38,
                   "End of file while reading data: Input/output error");
}

static void kill_destination(struct sim *sim, struct sim_move *move)
{
    struct sim_guest *guest = &sim->guests[move->guest];
    if (move->phase == SIM_WAIT || move->phase == SIM_CONFIRM)
        return;
    if (guest->copies[move->destination].incoming)
        sim_end_copy(sim, guest, move->destination);
    sim_source_goes_on(sim, move);
    sim_call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 1,
                   "internal error: client socket is closed");
}

void sim_kill_daemon(struct sim *sim, unsigned host, usec_t down_for)
{
    sim->hosts[host].down_until = sim->now + down_for;
    sim->hosts[host].hung_until = 0;
    sim_changed(sim, host);
    for (unsigned g = 0; g < sim->n_guests; g++) {
        struct sim_guest *guest = &sim->guests[g];
        guest->late[host] = (struct sim_late){.at = 0};
        if (guest->move.on && guest->move.source == host)
            kill_source(sim, &guest->move);
        else if (guest->move.on && guest->move.destination == host)
            kill_destination(sim, &guest->move);
        else if (guest->copies[host].incoming)
            sim_end_copy(sim, guest, host);
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
        sim_end_copy(sim, g, host);
        sim_source_goes_on(sim, move);
        sim_call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 9,
                       "job 'migration out' failed: Unable to write to socket: Connection reset");
        return;
    }
    touch(sim, g);
    sim_stop(sim, g, host, RM_GUEST_STATE__GUEST_SHUTOFF, HV_REASON_OTHER);
    if (move->on && host == move->source && move->phase < SIM_FINISH) {
        sim_clean_destination(sim, move);
        sim_call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 9,
                       "operation failed: domain is not running");
    }
}

void sim_power_off(struct sim *sim, unsigned guest)
{
    struct sim_guest *g = &sim->guests[guest];
    struct sim_move *move = &g->move;
    for (unsigned h = 0; h < sim->n_hosts; h++) {
        if (!sim_runs(&g->copies[h]))
            continue;
        touch(sim, g);
        sim_stop(sim, g, h, RM_GUEST_STATE__GUEST_SHUTOFF, HV_REASON_SHUTDOWN);
        if (move->on && h == move->source) {
            sim_clean_destination(sim, move);
            sim_call_fails(sim, move, RM_CLASS__CLASS_AMBIGUOUS, 38,
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
        sim_let_run(sim, g, h, HV_REASON_OTHER);
        return;
    }
}

void sim_resume_by_hand(struct sim *sim, unsigned guest)
{
    struct sim_guest *g = &sim->guests[guest];
    int place = sim_place(sim, guest);
    if (place < 0 || g->move.on || sim_runs(&g->copies[place]))
        return;
    touch(sim, g);
    g->copies[place].whole = true;
    sim_let_run(sim, g, (unsigned)place, HV_REASON_OTHER);
}

bool sim_move_by_hand(struct sim *sim, unsigned guest, unsigned to)
{
    struct sim_guest *g = &sim->guests[guest];
    int from = sim_place(sim, guest);
    if (from < 0 || from == (int)to || g->move.on || !sim_runs(&g->copies[from]) ||
        !sim_answers(sim, (unsigned)from) || !sim_answers(sim, to))
        return false;
    touch(sim, g);
    sim->hosts[to].foreign += g->memory;
    g->copies[from].defined = false;
    sim_stop(sim, g, (unsigned)from, RM_GUEST_STATE__GUEST_UNKNOWN, HV_REASON_OTHER);
    g->copies[to] = (struct sim_copy){.defined = true, .active = true, .whole = true};
    sim_let_run(sim, g, to, HV_REASON_MIGRATED);
    return true;
}

void sim_heal(struct sim *sim)
{
    for (unsigned h = 0; h < sim->n_hosts; h++) {
        struct sim_host *host = &sim->hosts[h];
        if (host->hung_until > sim->now)
            goes_on_at(sim, h, sim->now);
        if (host->down_until > sim->now)
            host->down_until = sim->now;
        if (host->cut_until > sim->now)
            host->cut_until = sim->now;
        sim_changed(sim, h);
    }
}
