/* rules.c - what must be true, whatever goes wrong: held against the truth after every step
 *
 *  1. No guest runs on two hosts, none has two migrations, no old copy runs, no last copy is
 * destroyed.
 *  2. A job that is on disk is there until it has ended, and its result for ever.
 *  3. A job that has ended does not change.
 *  4. DONE: the guest is at its destination, and only there. Otherwise, unless it is locked: at its
 * source.
 *  5. Limits hold, in what the broker believes and in what runs: each migration that runs is one of
 * an active job, so that it is counted, also when its worker is gone. No host has more memory taken
 * than it has.
 *  6. Indices equal records (core_check, store_check).
 *  7. When faults stop, all jobs end; guests are as they were, once (world_live, rules_end).
 *  8. A follower is told each end once (client.c).
 *  9. The vm table says where guests are.
 * 10. The same token twice gives the same batch (client.c).
 * 11. At most one worker may act on a guest, and nobody may when its job has ended.
 *
 * 12. When all is over no copy is left on another host, apart from those of a guest that somebody paused.
 * 13. No guest comes to a host where another one is from which a rule keeps it apart.
 *
 * A guest is locked without need only where it got lost how its try was made (its worker died
 * before that was told): then nobody can say whose a paused copy is.
 *
 * What somebody else does to a guest (kills it, moves it by hand) excuses what is said of its
 * place, not the rest. */
#include "broker/guest.h"
#include "broker/host.h"
#include "broker/job.h"
#include "broker/vm_host.h"
#include "store/record.h"
#include "store/tool/check.h"
#include "tests/sim/check.h"
#include "tests/sim/world.h"

#include <inttypes.h>
#include <stdlib.h>

#define STALE_FOR (120 * USEC_PER_SEC) /* how old what the broker believes of a guest may be */

enum { FINALS_EVERY = 64 }; /* turns between two looks at all that has ended */

/* ---- the ledger: what was ever on disk */

static void grow(void **list, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return;
    *room = *room == 0 ? 64 : *room * 2;
    *list = realloc(*list, *room * size);
    if (*list == NULL)
        abort();
}

const struct ledger_job *ledger_find(const struct world *world, uint64_t id)
{
    for (size_t i = 0; i < world->ledger.n; i++)
        if (world->ledger.jobs[i].id == id)
            return &world->ledger.jobs[i];
    return NULL;
}

/* How a job ended never changes; that another one tries it again is noted with it later. */
static uint64_t hash_result(const RmResult *result)
{
    RmResult record = *result;
    record.again = record.again_batch = 0;
    record.settled = false; /* what was said of it later */
    size_t size = protobuf_c_message_get_packed_size(&record.base);
    uint8_t *bytes = malloc(size + 1);
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    if (bytes == NULL)
        abort();
    protobuf_c_message_pack(&record.base, bytes);
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(0x100000001b3);
    free(bytes);
    return hash;
}

static void enter_id(struct world *world, uint64_t id)
{
    struct ledger *ledger = &world->ledger;
    struct store *store = world->office.store;
    RmJob *job;
    RmBatch *batch;

    if (record_job_get(store, id, world->arena, &job) == 0) {
        grow((void **)&ledger->jobs, ledger->n, &ledger->room, sizeof(*ledger->jobs));
        grow((void **)&ledger->live, ledger->n_live, &ledger->live_room, sizeof(*ledger->live));
        ledger->jobs[ledger->n] =
            (struct ledger_job){.id = id,
                                .batch = job->batch,
                                .guest = sim_find_guest(world->sim, job->guest),
                                .submitted_at = world_now(world)};
        ledger->live[ledger->n_live++] = ledger->n++;
    } else if (record_batch_get(store, id, world->arena, &batch) == 0) {
        grow((void **)&ledger->batches, ledger->n_batches, &ledger->batches_room,
             sizeof(*ledger->batches));
        ledger->batches[ledger->n_batches++] = id;
    } else {
        world_fail(world, "id %" PRIu64 " was given, but nothing has it", id);
    }
}

/* ---- where the guest is when its job ends */

static bool runs_as_before(const struct sim_guest *guest, unsigned host)
{
    const struct sim_copy *copy = &guest->copies[host];

    if (guest->touched_at != 0)
        return copy->active && copy->whole && !copy->incoming && !copy->outgoing;
    return copy->active && copy->whole && !copy->incoming && !copy->outgoing &&
           copy->state == (guest->starts_paused ? RM_GUEST_STATE__GUEST_PAUSED
                                                : RM_GUEST_STATE__GUEST_RUNNING);
}

static bool is_only_there(const struct world *world, const struct sim_guest *guest, unsigned host)
{
    /* Of a guest that somebody paused a second copy may be left, where nobody could reach it: it
     * stands still too. */
    for (unsigned i = 0; i < world->sim->n_hosts; i++)
        if (i != host && guest->copies[i].active && guest->copies[i].whole &&
            !(guest->starts_paused && guest->copies[i].state == RM_GUEST_STATE__GUEST_PAUSED))
            return false;
    return runs_as_before(guest, host);
}

/* Where copies of it are, for the text of a failure. */
static const char *describe(const struct world *world, const struct sim_guest *guest,
                            char text[static WORLD_TEXT_MAX])
{
    size_t length = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < world->sim->n_hosts; i++) {
        const struct sim_copy *copy = &guest->copies[i];
        if (copy->active && length < WORLD_TEXT_MAX)
            length +=
                (size_t)snprintf(text + length, WORLD_TEXT_MAX - length, " [%s: %s%s%s]",
                                 world->sim->hosts[i].name, guest_state_name(copy->state),
                                 copy->whole ? "" : ", old", copy->incoming ? ", coming" : "");
    }
    return text;
}

static void check_place(struct world *world, const struct ledger_job *job, const RmResult *result)
{
    const struct sim_guest *guest = &world->sim->guests[job->guest];
    bool done = result->state == RM_STATE__DONE;
    int place = sim_find_host(world->sim, done ? result->destination : result->source);
    char copies[WORLD_TEXT_MAX];

    if (guest->touched_at != 0 && guest->touched_at + STALE_FOR >= job->submitted_at)
        return;
    if (place < 0)
        world_fail(world, "job %" PRIu64 " ended, and its result names no host", job->id);
    else if (result->locked && *result->fence != '\0' &&
             is_only_there(world, guest, (unsigned)place))
        world_fail(world, "job %" PRIu64 " locks %s, which runs on %s as it always did: %s",
                   job->id, guest->name, result->source, result->text);
    else if (!result->locked && !is_only_there(world, guest, (unsigned)place))
        world_fail(world, "job %" PRIu64 " is %s, but %s is not on %s%s:%s: %s", job->id,
                   job_state_name(result->state), guest->name, world->sim->hosts[place].name,
                   done ? ", or not only there" : "", describe(world, guest, copies), result->text);
    if (!result->locked && guest->move.on && guest->move.phase < SIM_CONFIRM)
        world_fail(world, "job %" PRIu64 " is %s, but %s migrates", job->id,
                   job_state_name(result->state), guest->name);
}

/* How many may change something of that guest now. */
static unsigned acting(const struct world *world, const char *guest)
{
    unsigned n = 0;

    for (unsigned i = 0; i < world->n_yards; i++)
        n += tasks_acting(&world->yards[i], guest) + yard_acting(&world->yards[i], guest);
    return n;
}

static void check_ended(struct world *world, struct ledger_job *job)
{
    RmResult *result;

    if (record_result_get(world->office.store, job->id, world->arena, &result) < 0) {
        world_fail(world, "job %" PRIu64 " is neither live nor has it a result", job->id);
        return;
    }
    if (!job_is_final(result->state)) {
        world_fail(world, "job %" PRIu64 " ended as %s", job->id, job_state_name(result->state));
        return;
    }
    job->final = true;
    job->state = result->state;
    job->locked = result->locked;
    job->result_hash = hash_result(result);
    world->ledger.n_done += job->state == RM_STATE__DONE ? 1 : 0;
    world->ledger.n_failed += job->state == RM_STATE__FAILED ? 1 : 0;
    world->ledger.n_cancelled += job->state == RM_STATE__CANCELLED ? 1 : 0;
    world->ledger.n_locked += job->locked ? 1 : 0;
    if (job->guest < 0) {
        world_fail(world, "job %" PRIu64 " is for a guest that does not exist", job->id);
        return;
    }
    check_place(world, job, result);
    if (acting(world, world->sim->guests[job->guest].name) > 0)
        world_fail(world, "job %" PRIu64 " is %s, but somebody may still act for it", job->id,
                   job_state_name(result->state));
}

static void check_final(struct world *world, const struct ledger_job *job)
{
    RmResult *result;

    if (job_find(world->office.core, job->id) != NULL)
        world_fail(world, "job %" PRIu64 " has ended, and is live again", job->id);
    else if (record_result_get(world->office.store, job->id, world->arena, &result) < 0)
        world_fail(world, "the result of job %" PRIu64 " is gone", job->id);
    else if (hash_result(result) != job->result_hash)
        world_fail(world, "the result of job %" PRIu64 " has changed", job->id);
}

/* ---- limits */

static void check_limit(struct world *world, const char *what, const char *where, unsigned is,
                        unsigned limit)
{
    if (limit > 0 && is > limit)
        world_fail(world, "%u %s %s, %u are allowed", is, what, where, limit);
}

static void check_limits(struct world *world)
{
    const struct core *core = world->office.core;

    check_limit(world, "active jobs of", "the site", core->jobs.n_active, world->limit_cluster);
    for (const struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        check_limit(world, "active jobs from", host->rec->name, host->load.n_out,
                    world->limit_source);
        check_limit(world, "active jobs to", host->rec->name, host->load.n_in,
                    world->limit_destination);
    }
}

static void check_moves(struct world *world)
{
    const struct sim *sim = world->sim;
    unsigned all = 0, from[SIM_HOSTS_MAX] = {0}, to[SIM_HOSTS_MAX] = {0};

    for (unsigned g = 0; g < sim->n_guests; g++) {
        const struct sim_move *move = &sim->guests[g].move;
        if (!move->on || move->phase == SIM_CONFIRM)
            continue;
        all++;
        from[move->source]++;
        to[move->destination]++;
    }
    check_limit(world, "migrations run in", "the site", all, world->limit_cluster);
    for (unsigned h = 0; h < sim->n_hosts; h++) {
        check_limit(world, "migrations run from", sim->hosts[h].name, from[h], world->limit_source);
        check_limit(world, "migrations run to", sim->hosts[h].name, to[h],
                    world->limit_destination);
    }
    for (unsigned i = 0; i < world->n_yards; i++)
        for (unsigned k = 0; k < world->yards[i].n_hosts; k++)
            check_limit(world, "migrations were begun by one worker on",
                        world->yards[i].hosts[k].name,
                        tasks_moving(&world->yards[i], sim_host_of(world->yards[i].hv[k])),
                        world->conf_worker.slots);
}

/* Every migration that runs is one of an active job: so it is counted, and so it ends in a result.
 */
static void check_owners(struct world *world)
{
    const struct sim *sim = world->sim;

    if (world->office.core == NULL)
        return;
    for (unsigned g = 0; g < sim->n_guests; g++) {
        const struct sim_guest *guest = &sim->guests[g];
        const struct sim_move *move = &guest->move;
        const struct guest *known;
        const struct job *job;
        if (!move->on || move->phase == SIM_CONFIRM)
            continue;
        known = guest_find(world->office.core, guest->name);
        job = known != NULL ? known->job : NULL;
        if (job == NULL || !job_is_active(job->live.state))
            world_fail(world, "%s migrates to %s, but no active job wants it (%s)", guest->name,
                       sim->hosts[move->destination].name,
                       job == NULL ? "it has no job" : job_state_name(job->live.state));
        else if (strcmp(job->live.destination, sim->hosts[move->destination].name) != 0 ||
                 strcmp(job->live.source, sim->hosts[move->source].name) != 0)
            world_fail(world, "%s migrates from %s to %s, but its job from %s to %s", guest->name,
                       sim->hosts[move->source].name, sim->hosts[move->destination].name,
                       job->live.source, job->live.destination);
    }
}

static void check_memory(struct world *world)
{
    const struct sim *sim = world->sim;

    for (unsigned h = 0; h < sim->n_hosts; h++) {
        uint64_t used = sim_used(sim, h), room = sim->hosts[h].memory + sim->hosts[h].foreign;
        if (used <= room)
            continue;
        /* Copies that nobody could remove, since nobody could reach the host: the history says so.
         */
        for (unsigned g = 0; g < sim->n_guests; g++) {
            const struct sim_copy *copy = &sim->guests[g].copies[h];
            if (copy->active && !copy->whole && !copy->incoming)
                used -= sim->guests[g].memory;
        }
        if (used > room)
            world_fail(world, "guests on %s have %" PRIu64 " MiB, it has %" PRIu64,
                       sim->hosts[h].name, used >> 20, room >> 20);
    }
}

static bool is_apart(const struct world *world, unsigned one, unsigned other)
{
    return one != other && world->apart[one] != 0 && world->apart[one] == world->apart[other];
}

/* Copies that may be left count for nothing. */
static bool is_there(const struct sim *sim, unsigned guest, unsigned host)
{
    const struct sim_copy *copy = &sim->guests[guest].copies[host];

    return copy->active && (copy->whole || copy->incoming);
}

static void check_apart(struct world *world)
{
    const struct sim *sim = world->sim;

    for (unsigned g = 0; g < sim->n_guests; g++) {
        const struct sim_move *move = &sim->guests[g].move;
        if (!move->on || move->phase == SIM_CONFIRM || world->apart[g] == 0)
            continue;
        for (unsigned other = 0; other < sim->n_guests; other++)
            if (is_apart(world, g, other) && is_there(sim, other, move->destination) &&
                sim->guests[g].touched_at == 0 && sim->guests[other].touched_at == 0)
                world_fail(world, "%s comes to %s, where %s is, which it is kept apart from",
                           sim->guests[g].name, sim->hosts[move->destination].name,
                           sim->guests[other].name);
    }
}

/* ---- after a step, after a commit, at an answer */

/* One at most has the turn. */
static void check_turns(struct world *world)
{
    for (unsigned g = 0; g < world->sim->n_guests; g++)
        if (acting(world, world->sim->guests[g].name) > 1)
            world_fail(world, "two may act on %s", world->sim->guests[g].name);
}

void rules_step(struct world *world)
{
    if (world->sim->wrong[0] != '\0')
        world_fail(world, "%s", world->sim->wrong);
    check_memory(world);
    check_apart(world);
    check_moves(world);
    check_owners(world);
    check_turns(world);
}

static void check_indices(struct world *world)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file;

    if (core_check(world->office.core, NULL) == 0)
        return;
    file = open_memstream(&text, &size);
    if (file == NULL)
        abort();
    core_check(world->office.core, file);
    fclose(file);
    world_fail(world, "indices: %s", text);
    free(text);
}

void rules_commit(struct world *world)
{
    struct ledger *ledger = &world->ledger;
    struct core *core = world->office.core;
    uint64_t next;

    if (world->options.broken == BREAK_COUNT && world->n_steps > 2000 && core->hosts != NULL)
        core->hosts->queue.n++;
    if (record_peek_id(world->office.store, &next) < 0) {
        world_fail(world, "the counter of ids cannot be read");
        return;
    }
    if (ledger->next_id == 0)
        ledger->next_id = 1;
    if (next < ledger->next_id)
        world_fail(world, "id %" PRIu64 " will be given twice", next);
    for (; ledger->next_id < next; ledger->next_id++)
        enter_id(world, ledger->next_id);
    for (size_t i = 0; i < ledger->n_live;) {
        struct ledger_job *job = &ledger->jobs[ledger->live[i]];
        if (job_find(core, job->id) != NULL) {
            i++;
            continue;
        }
        check_ended(world, job);
        ledger->live[i] = ledger->live[--ledger->n_live];
    }
    if (world->office.n_turns % FINALS_EVERY == 0)
        for (size_t i = 0; i < ledger->n; i++)
            if (ledger->jobs[i].final)
                check_final(world, &ledger->jobs[i]);
    check_limits(world);
    check_indices(world);
    arena_reset(world->arena);
    store_rest(world->office.store);
}

static bool is_committed(const struct ledger *ledger, uint64_t batch)
{
    for (size_t i = ledger->n_batches; i > 0; i--)
        if (ledger->batches[i - 1] == batch)
            return true;
    return false;
}

void rules_reply(struct world *world, struct client *client, const RmReply *reply)
{
    if (reply->batch != 0 && !is_committed(&world->ledger, reply->batch))
        world_fail(world, "%s was told of batch %" PRIu64 ", which is not on disk",
                   client->link.peer.user, reply->batch);
    for (size_t i = 0; i < reply->n_jobs; i++) {
        const RmJobView *view = reply->jobs[i];
        const struct ledger_job *job = ledger_find(world, view->job->id);
        if (job == NULL)
            world_fail(world, "%s was told of job %" PRIu64 ", which is not on disk",
                       client->link.peer.user, view->job->id);
        else if (job_is_final(view->state) && (!job->final || job->state != view->state))
            world_fail(world, "%s was told that job %" PRIu64 " is %s, on disk it is %s",
                       client->link.peer.user, view->job->id, job_state_name(view->state),
                       job->final ? job_state_name(job->state) : "not over");
    }
}

/* ---- at the end */

bool rules_all_final(const struct world *world)
{
    return world->ledger.n_live == 0;
}

bool rules_any_mark(const struct world *world)
{
    if (world->office.core != NULL)
        for (const struct guest *g = world->office.core->guests; g != NULL; g = g->hh.next)
            for (size_t i = 0; i < g->rec->n_marks; i++)
                if (g->rec->marks[i]->copy)
                    return true;
    return false;
}

const char *rules_locked_guest(const struct world *world)
{
    if (world->office.core == NULL)
        return NULL;
    for (unsigned g = 0; g < world->sim->n_guests; g++) {
        const struct guest *known = guest_find(world->office.core, world->sim->guests[g].name);
        if (known != NULL && known->rec->locked && known->job == NULL &&
            sim_place(world->sim, g) >= 0 && !world->sim->guests[g].move.on)
            return world->sim->guests[g].name;
    }
    return NULL;
}

/* Somebody is there from whom a rule keeps it apart, or it has no place at all. */
static bool is_barred(const struct world *world, const struct job *job, int host)
{
    const struct sim *sim = world->sim;
    int guest = sim_find_guest(sim, job->ask->guest);

    for (unsigned other = 0; host >= 0 && guest >= 0 && other < sim->n_guests; other++)
        if (is_apart(world, (unsigned)guest, other) && is_there(sim, other, (unsigned)host))
            return true;
    return guest >= 0 && world->apart[guest] != 0 && host < 0;
}

uint64_t rules_without_room(const struct world *world)
{
    const struct sim *sim = world->sim;

    if (world->office.core == NULL)
        return 0;
    for (const struct job *job = world->office.core->jobs.by_id; job != NULL; job = job->hh.next) {
        int host = sim_find_host(sim, job->live.destination);
        if (job->live.state == RM_STATE__QUEUED && is_barred(world, job, host))
            return job->id;
        if (job->live.state == RM_STATE__QUEUED && host >= 0 &&
            sim_used(sim, (unsigned)host) + job->guest->rec->memory > sim->hosts[host].memory)
            return job->id;
    }
    return 0;
}

static void tell_live(struct world *world)
{
    if (world->office.core == NULL) {
        world_fail(world, "the broker is down");
        return;
    }
    for (const struct job *job = world->office.core->jobs.by_id; job != NULL; job = job->hh.next)
        world_fail(world, "job %" PRIu64 " of %s is still %s (attempt %u, %s to %s): %s", job->id,
                   job->ask->guest, job_state_name(job->live.state), job->live.attempt,
                   job->live.source, job->live.destination,
                   job->why != NULL ? job->why : job->live.text);
}

static const struct ledger_job *last_job(const struct world *world, unsigned guest)
{
    for (size_t i = world->ledger.n; i > 0; i--)
        if (world->ledger.jobs[i - 1].guest == (int)guest)
            return &world->ledger.jobs[i - 1];
    return NULL;
}

static void check_guest(struct world *world, unsigned g)
{
    struct sim_guest *guest = &world->sim->guests[g];
    const struct ledger_job *job = last_job(world, g);
    const char *table = vm_host_said(world->office.core, guest->name, NULL);
    char copies[WORLD_TEXT_MAX];
    int place = -1;

    for (unsigned h = 0; h < world->sim->n_hosts; h++)
        if (is_only_there(world, guest, h) &&
            (place < 0 || (table != NULL && strcmp(table, world->sim->hosts[h].name) == 0)))
            place = (int)h;
    if (place < 0 && guest->touched_at == 0 && (job == NULL || !job->locked))
        world_fail(world, "%s is not as it was:%s; nothing but rmigrate has touched it",
                   guest->name, describe(world, guest, copies));
    for (unsigned h = 0; h < world->sim->n_hosts; h++)
        if (place >= 0 && h != (unsigned)place && guest->copies[h].active &&
            guest->touched_at == 0 && !guest->starts_paused && (job == NULL || !job->locked))
            world_fail(world, "a copy of %s, which runs on %s, is left on %s for ever", guest->name,
                       world->sim->hosts[place].name, world->sim->hosts[h].name);
    if (place >= 0 && table != NULL && strcmp(table, world->sim->hosts[place].name) != 0 &&
        (job == NULL || !job->locked))
        world_fail(world, "vm.host of %s is %s, it runs on %s", guest->name, table,
                   world->sim->hosts[place].name);
    if (job != NULL && job->state == RM_STATE__DONE && table == NULL)
        world_fail(world, "%s was moved, but the vm table does not know it", guest->name);
}

void rules_end(struct world *world)
{
    char *text = NULL;
    size_t size = 0;
    FILE *file;

    if (!rules_all_final(world) || world->office.core == NULL) {
        tell_live(world);
        return;
    }
    for (size_t i = 0; i < world->ledger.n; i++)
        check_final(world, &world->ledger.jobs[i]);
    for (unsigned g = 0; g < world->sim->n_guests; g++)
        check_guest(world, g);
    arena_reset(world->office.core->arena);
    arena_reset(world->arena);
    file = open_memstream(&text, &size);
    if (file == NULL)
        abort();
    if (store_check(world->office.store, file) > 0) {
        fflush(file);
        world_fail(world, "store: %s", text);
    }
    fclose(file);
    free(text);
}
