/* hv_sim_ops.c - the operations of the driver over the played hypervisors */
#include "tests/sim/hv_sim_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct hv {
    struct sim *sim;
    unsigned host;
};

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
    if (!peer)
        return (int)hv->host;
    for (unsigned i = 0; i < hv->sim->n_hosts; i++)
        if (strcmp(hv->sim->hosts[i].peer, peer) == 0)
            return (int)i;
    return -1;
}

static struct hv *open_host(const struct conf_hypervisor *conf, const struct conf_worker *worker,
                            const struct env *env, struct rm_err *err)
{
    (void)err;
    struct hv *hv = calloc(1, sizeof(*hv));
    int host = sim_find_host(env->ctx, conf->name);
    (void)worker;
    if (!hv || host < 0) {
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
    if (!inventory)
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
        if (!domain)
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
    *ret_look = (struct hv_look){.answered = false};
    if (host < 0 || !sim_answers(sim, (unsigned)host) ||
        sim_is_cut(sim, hv->host, (unsigned)host)) {
        rm_fail(err, -ETIMEDOUT, "no answer");
        return 0;
    }
    ret_look->answered = true;
    if (guest < 0)
        return 0;
    const struct sim_copy *copy = &sim->guests[guest].copies[host];
    ret_look->defined = copy->defined;
    ret_look->active = copy->active;
    ret_look->state = copy->state;
    ret_look->reason = copy->reason;
    ret_look->outgoing = copy->outgoing;
    ret_look->incoming = copy->incoming;
    return 0;
}

static void choose_fence(const struct hv_migration *migration, struct hv_outcome *outcome)
{
    snprintf(outcome->fence, sizeof(outcome->fence), "%s",
             migration->fence == FENCE_NEVER ? "none" : "paused");
}

static int check(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome)
{
    struct sim *sim = hv->sim;
    int guest = find_uuid(sim, migration->uuid), to = find_peer(hv, migration->peer);
    *outcome = (struct hv_outcome){.stats = RM_STATS__INIT};
    if (guest < 0 || to < 0) {
        sim_give(outcome, RM_CLASS__CLASS_UNFIT, 0, "no such guest, or no such hypervisor");
        return -EINVAL;
    }
    if (!sim_answers(sim, hv->host) || !sim_answers(sim, (unsigned)to) ||
        sim_is_cut(sim, hv->host, (unsigned)to)) {
        sim_give(outcome, RM_CLASS__CLASS_RETRY, 0, "no answer");
        return -ETIMEDOUT;
    }
    const struct sim_copy *source = &sim->guests[guest].copies[hv->host];
    const struct sim_copy *destination = &sim->guests[guest].copies[to];
    outcome->guest_paused =
        source->state == RM_GUEST_STATE__GUEST_PAUSED && source->reason != HV_REASON_MIGRATING;
    outcome->had_definition = destination->defined;
    choose_fence(migration, outcome);
    if (!source->active && !source->defined) {
        sim_give(outcome, RM_CLASS__CLASS_AMBIGUOUS, 42, "the guest is not on %s",
                 sim->hosts[hv->host].name);
        return -ENOENT;
    }
    if (!source->active) {
        sim_give(outcome, RM_CLASS__CLASS_FATAL, 0, "guest is shut off");
        return -ENOENT;
    }
    if (source->incoming || source->outgoing || source->reason == HV_REASON_MIGRATING) {
        sim_give(outcome, RM_CLASS__CLASS_AMBIGUOUS, 0,
                 "the guest is in the middle of another migration");
        return -EBUSY;
    }
    if (destination->active) {
        sim_give(outcome, destination->incoming ? RM_CLASS__CLASS_RETRY : RM_CLASS__CLASS_AMBIGUOUS,
                 0, "the guest is already active on %s", migration->destination);
        return -EEXIST;
    }
    if (sim->guests[guest].unfit >> to & 1) {
        sim_give(outcome, RM_CLASS__CLASS_UNFIT, 9, "%s has another guest of that name",
                 migration->destination);
        return -EEXIST;
    }
    return 0;
}

bool sim_begin(struct hv *hv, const struct hv_migration *migration, sim_done_f *done, void *ctx,
               struct hv_outcome *outcome)
{
    struct sim *sim = hv->sim;
    if (check(hv, migration, outcome) < 0)
        return false;
    struct sim_guest *guest = &sim->guests[find_uuid(sim, migration->uuid)];
    struct sim_move *move = &guest->move;
    struct sim_copy *source = &guest->copies[hv->host];
    if (migration->begin_by != 0 && sim->now >= migration->begin_by) {
        sim_give(outcome, RM_CLASS__CLASS_RETRY, 0, "the lease of this worker was over");
        return false;
    }
    if (source->pending != SIM_NOTHING || move->on) {
        sim_give(outcome, RM_CLASS__CLASS_RETRY, 55, "another migration job is already running");
        return false;
    }
    if (sim->on_begin)
        sim->on_begin(sim->ctx, sim, hv->host);
    bool waits = sim->busy_percent != 0 && sim_random(sim, 100) < sim->busy_percent;
    *move = (struct sim_move){
        .on = true,
        .guest = (unsigned)(guest - sim->guests),
        .source = hv->host,
        .destination = (unsigned)find_peer(hv, migration->peer),
        .began_at = sim->now,
        .copy_for = sim_between(sim, sim->copy_least, sim->copy_most),
        .paused = strcmp(outcome->fence, "paused") == 0,
        .guest_paused = outcome->guest_paused,
        .behind = sim->hosts[hv->host].hung_until > sim->now ? sim->hosts[hv->host].hung_until : 0,
        .outcome = *outcome,
        .done = done,
        .ctx = ctx};
    if (move->behind != 0) /* there the guest may be busy as well */
        sim_enter(sim, move, SIM_WAIT,
                  move->behind - sim->now + sim_between(sim, STEP_LEAST, LATE_MOST));
    else if (waits)
        sim_enter(sim, move, SIM_WAIT, sim_between(sim, sim->busy_least, sim->busy_most));
    else
        sim_set_out(sim, move);
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
        sim_driver.repair(hv, migration->peer, migration->uuid, HV_RESUME, NULL) == 0) {
        outcome->resumed = true;
        snprintf(outcome->resumed_by, sizeof(outcome->resumed_by), "call returned");
    }
}

static int abort_move(struct hv *hv, const char *uuid, struct rm_err *err)
{
    struct sim *sim = hv->sim;
    int guest = find_uuid(sim, uuid);
    if (guest < 0)
        return 0;
    if (!sim_answers(sim, hv->host))
        return rm_fail(err, -ETIMEDOUT, "no answer");
    struct sim_move *move = &sim->guests[guest].move;
    if (move->on && move->source == hv->host)
        sim_fail_move(sim, move, RM_CLASS__CLASS_ABORTED,
                      "operation aborted: job 'migration out' canceled by client");
    return 0;
}

static int progress(struct hv *hv, const char *uuid, RmStats *ret_stats)
{
    const struct sim *sim = hv->sim;
    int guest = find_uuid(sim, uuid);
    if (!sim_answers(sim, hv->host))
        return -ETIMEDOUT;
    if (guest < 0)
        return -ENOENT;
    const struct sim_move *move = &sim->guests[guest].move;
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
    if (!sim_runs(copy))
        sim_let_run(sim, guest, host, copy->reason);
    return 0;
}

static int destroy_copy(struct sim *sim, struct sim_guest *guest, unsigned host, struct rm_err *err)
{
    struct sim_copy *copy = &guest->copies[host];
    bool other = false;
    if (!copy->active)
        return 0;
    if (sim_runs(copy) || copy->incoming || copy->outgoing)
        return rm_fail(err, -EBUSY, "it runs");
    for (unsigned i = 0; i < sim->n_hosts; i++)
        other = other || (i != host && guest->copies[i].active && guest->copies[i].whole);
    if (copy->whole && !other)
        sim_say_wrong(sim, "the last good copy of %s is destroyed on %s", guest->name,
                      sim->hosts[host].name);
    sim_stop(sim, guest, host, RM_GUEST_STATE__GUEST_SHUTOFF, HV_REASON_OTHER);
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
        sim_say_wrong(sim, "the last definition of %s is removed from %s", guest->name,
                      sim->hosts[host].name);
    *copy = (struct sim_copy){.defined = false};
    sim_changed(sim, host);
    return 0;
}

/* What was asked long ago: the daemon does not look again before it destroys. */
void sim_obey_late(struct sim *sim, struct sim_guest *guest, unsigned host)
{
    struct sim_copy *copy = &guest->copies[host];
    struct sim_late late = guest->late[host];
    guest->late[host] = (struct sim_late){.at = 0};
    if (!copy->active || copy->incoming || copy->outgoing)
        return;
    if (late.what == HV_RESUME) {
        if (!sim_runs(copy))
            sim_let_run(sim, guest, host, copy->reason);
        return;
    }
    /* Whoever moves it by hand cannot know what waits there. */
    if (sim_runs(copy) && guest->touched_at > late.asked_at)
        return;
    if (sim_runs(copy))
        sim_say_wrong(sim, "%s runs on %s, and is destroyed there by a late request", guest->name,
                      sim->hosts[host].name);
    else if (guest->starts_paused && guest->touched_at > late.asked_at)
        /* Of a paused guest both copies are as good, and the source had the other one when this was
         * asked for: whoever ended that since cannot know of the request either. */
        sim_stop(sim, guest, host, RM_GUEST_STATE__GUEST_SHUTOFF, HV_REASON_OTHER);
    else
        destroy_copy(sim, guest, host, NULL);
}

static int repair(struct hv *hv, const char *peer, const char *uuid, enum hv_repair what,
                  struct rm_err *err)
{
    struct sim *sim = hv->sim;
    int host = find_peer(hv, peer), guest = find_uuid(sim, uuid);
    if (host < 0 || guest < 0)
        return rm_fail(err, -ENOENT, "no such hypervisor, or no such guest");
    if (!sim_answers(sim, (unsigned)host) || sim_is_cut(sim, hv->host, (unsigned)host))
        return rm_fail(err, -ETIMEDOUT, "no answer");
    if (sim->on_repair && (what == HV_RESUME || what == HV_DESTROY))
        sim->on_repair(sim->ctx, sim, (unsigned)host);
    if (sim->hosts[host].hung_until > sim->now) {
        sim->guests[guest].late[host] = (struct sim_late){
            .at = sim->hosts[host].hung_until + sim_between(sim, STEP_LEAST, LATE_MOST),
            .asked_at = sim->now,
            .what = what};
        return rm_fail(err, -ETIMEDOUT, "no answer");
    }
    switch (what) {
    case HV_RESUME:
        return resume_copy(sim, &sim->guests[guest], (unsigned)host, err);
    case HV_DESTROY:
        return destroy_copy(sim, &sim->guests[guest], (unsigned)host, err);
    case HV_UNDEFINE:
        return undefine_copy(sim, &sim->guests[guest], (unsigned)host, err);
    case HV_AUTOSTART: /* no guest of the simulation has it */
        break;
    }
    return -EINVAL;
}

const struct driver sim_driver = {
    .late = LATE_FOR,
    .open = open_host,
    .close = close_host,
    .inventory = inventory,
    .wait_change = wait_change,
    .look = look,
    .check = check,
    .migrate = migrate,
    .abort = abort_move,
    .progress = progress,
    .repair = repair,
};
