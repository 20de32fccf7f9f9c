/* scenario.c - histories with a name, written out: one fault each, and how it must end
 *
 * All of them happen in a quiet world: guest vm1 runs on hyp1, vm2 on hyp2 and so on, worker1
 * serves hyp1 with one slot, and a copy takes four seconds. */
#include "broker/guest.h"
#include "broker/host.h"
#include "store/record.h"
#include "tests/sim/world.h"
#include "wire/job.h"

#include <inttypes.h>
#include <string.h>

#define PATIENCE (300 * USEC_PER_SEC) /* for whatever a scenario waits for */

/* ---- words that scenarios are written in */

static void expect(struct world *world, bool so, const char *what)
{
    if (!so)
        world_fail(world, "expected: %s", what);
}

static void go_on(struct world *world, unsigned seconds)
{
    world_run(world, world_now(world) + seconds * USEC_PER_SEC);
}

static struct client *operator_of(struct world *world)
{
    return &world->clients[0];
}

static struct yard *worker_of(struct world *world, unsigned host)
{
    return &world->yards[host];
}

static void begin(struct world *world)
{
    world->sim->copy_least = world->sim->copy_most = 4 * USEC_PER_SEC;
    go_on(world, 5); /* workers connect and tell what they have */
}

static void wait_for_answer(struct world *world)
{
    usec_t until = world_now(world) + PATIENCE;

    while (!client_is_idle(operator_of(world)) && world_now(world) < until && world_step(world))
        ;
    expect(world, client_is_idle(operator_of(world)), "the operator is answered");
}

/* The result of the newest job of that guest, in the world's arena; NULL: it has not ended. */
static const RmResult *result_of(struct world *world, unsigned guest)
{
    RmResult *result;

    for (size_t i = world->ledger.n; i > 0 && world->office.store != NULL; i--) {
        const struct ledger_job *job = &world->ledger.jobs[i - 1];
        if (job->guest == (int)guest)
            return job->final && record_result_get(world->office.store, job->id, world->arena,
                                                   &result) == 0
                       ? result
                       : NULL;
    }
    return NULL;
}

static void wait_for_end(struct world *world)
{
    usec_t until = world_now(world) + PATIENCE;

    while ((world->ledger.n == 0 || !rules_all_final(world)) && world_now(world) < until &&
           world_step(world))
        ;
    expect(world, rules_all_final(world), "the jobs end");
}

/* How the newest job of vm1 ended, and where vm1 is now. */
static void expect_end(struct world *world, RmState state, unsigned attempt, unsigned place)
{
    const RmResult *result = result_of(world, 0);

    if (result == NULL) {
        world_fail(world, "expected: a result");
        return;
    }
    if (result->state != state || result->attempt != attempt || result->locked)
        world_fail(world, "expected: %s at try %u; it is %s at try %u%s: %s", job_state_name(state),
                   attempt, job_state_name(result->state), result->attempt,
                   result->locked ? ", locked" : "", result->text);
    arena_reset(world->arena);
    expect(world, sim_place(world->sim, 0) == (int)place,
           "vm1 is where it should be, and only there");
}

static void finish(struct world *world)
{
    go_on(world, 20);
    client_reconcile(operator_of(world));
    wait_for_answer(world);
    if (world->failure[0] == '\0')
        rules_end(world);
}

/* Something that happens when a migration enters a phase, once. */
struct strike {
    struct world *world;
    enum sim_phase phase;
    void (*f)(struct world *world, struct sim_move *move);
};
static struct strike strike;

static void on_phase(void *ctx, struct sim *sim, struct sim_move *move)
{
    struct strike *s = ctx;

    (void)sim;
    if (s->f != NULL && move->phase == s->phase) {
        void (*f)(struct world *, struct sim_move *) = s->f;
        s->f = NULL;
        f(s->world, move);
    }
}

static void strike_at(struct world *world, enum sim_phase phase,
                      void (*f)(struct world *world, struct sim_move *move))
{
    strike = (struct strike){.world = world, .phase = phase, .f = f};
    world->sim->on_phase = on_phase;
    world->sim->ctx = &strike;
}

/* ---- the worker of the source dies while its guest stands still: the migration goes on, the
 * destination waits behind the fence, and the worker that comes back lets it run */

static void kill_worker(struct world *world, struct sim_move *move)
{
    yard_kill(worker_of(world, move->source), 5 * USEC_PER_SEC);
}

static void lost_worker_at_switchover(struct world *world)
{
    begin(world);
    strike_at(world, SIM_SWITCHOVER, kill_worker);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ true);
    wait_for_answer(world);
    expect_end(world, RM_STATE__DONE, 1, 1);
    finish(world);
}

/* ---- the broker has written that it assigns, and dies before anybody hears: the operator asks
 * again and gets the same batch, the job is settled and tried again */

static void broker_dies_between_commit_and_send(struct world *world)
{
    begin(world);
    world->office.crash = CRASH_BEFORE_SEND;
    world->office.crash_on_assign = true;
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ true);
    wait_for_answer(world);
    expect(world, world->office.n_crashes == 1, "the broker died");
    expect(world, world->ledger.n == 1, "there is one job");
    expect_end(world, RM_STATE__DONE, 2, 1);
    finish(world);
}

/* ---- the destination's daemon sleeps through the hand-over, longer than the keepalive: the guest
 * goes on at its source, the copy that wakes up later stays paused and is removed */

static void stall_destination(struct world *world, struct sim_move *move)
{
    sim_hang_daemon(world->sim, move->destination, world->sim->keepalive + 5 * USEC_PER_SEC);
}

static void destination_stalls_at_handover(struct world *world)
{
    begin(world);
    strike_at(world, SIM_SWITCHOVER, stall_destination);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ true);
    wait_for_answer(world);
    expect_end(world, RM_STATE__DONE, 2, 1);
    finish(world);
}

/* ---- the same, but it sleeps until the job has been cancelled: the copy that it keeps is removed
 * when it wakes, and the guest can go there */

static void knock_out_destination(struct world *world, struct sim_move *move)
{
    sim_hang_daemon(world->sim, move->destination, 400 * USEC_PER_SEC);
}

static void destination_sleeps_until_the_job_is_cancelled(struct world *world)
{
    const RmResult *result;

    begin(world);
    strike_at(world, SIM_SWITCHOVER, knock_out_destination);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    go_on(world, 120);
    expect(world, world->ledger.n == 1, "there is one job");
    client_cancel_job(operator_of(world), world->ledger.jobs[0].id);
    wait_for_answer(world);
    wait_for_end(world);
    result = result_of(world, 0);
    expect(world, result != NULL && !result->locked, "the job ends");
    expect(world, guest_mark(guest_find(world->office.core, "vm1"), "hyp2") != NULL,
           "it is known what may be left on hyp2");
    arena_reset(world->arena);
    go_on(world, 400);
    expect(world, world->n_tidied == 1, "the copy was removed, once");
    expect(world, sim_place(world->sim, 0) == 0, "vm1 is on hyp1, and only there");
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ true);
    wait_for_answer(world);
    expect_end(world, RM_STATE__DONE, 1, 1);
    finish(world);
}

/* ---- the wish to cancel comes when the guest has been handed over: it arrives all the same, and
 * that is said */

static void cancel_now(struct world *world, struct sim_move *move)
{
    (void)move;
    client_cancel(operator_of(world), operator_of(world)->last_batch);
}

static void cancel_races_with_finish(struct world *world)
{
    begin(world);
    strike_at(world, SIM_FINISH, cancel_now);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    wait_for_end(world);
    expect_end(world, RM_STATE__DONE, 1, 1);
    finish(world);
}

/* ---- a worker stands still with an assignment in its hands until the job has been settled: it
 * does not begin then */

static void worker_sleeps_past_its_lease(struct world *world)
{
    begin(world);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    while (worker_of(world, 0)->tasks == NULL && world_step(world))
        ;
    yard_hang(worker_of(world, 0), 40 * USEC_PER_SEC);
    go_on(world, 39);
    expect(world, world->sim->n_moves == 0, "nobody has begun");
    wait_for_answer(world);
    wait_for_end(world);
    expect_end(world, RM_STATE__DONE, 2, 1);
    expect(world, world->sim->n_moves == 1, "it was begun once");
    finish(world);
}

/* ---- the same request again, also after the broker was started anew: one batch, one job */

static void submit_repeated_with_same_token(struct world *world)
{
    uint64_t batch;

    begin(world);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    batch = operator_of(world)->last_batch;
    client_repeat(operator_of(world));
    wait_for_answer(world);
    office_crash(world);
    go_on(world, 20);
    client_repeat(operator_of(world));
    wait_for_answer(world);
    wait_for_end(world);
    expect(world, batch != 0 && operator_of(world)->last_batch == batch, "one batch");
    expect(world, world->ledger.n == 1, "one job");
    expect_end(world, RM_STATE__DONE, 1, 1);
    finish(world);
}

/* ---- somebody else moves the guest while its job waits: the job fails and says so, the guest is
 * not locked, and the next job finds it where it is */

static void third_party_moves_guest(struct world *world)
{
    begin(world);
    yard_kill(worker_of(world, 0), 30 * USEC_PER_SEC);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    expect(world, sim_move_by_hand(world->sim, 0, 2), "somebody moves vm1 to hyp3");
    wait_for_end(world);
    expect_end(world, RM_STATE__FAILED, 1, 2);
    go_on(world, 30);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ true);
    wait_for_answer(world);
    expect_end(world, RM_STATE__DONE, 1, 1);
    finish(world);
}

/* ---- an assignment meets a full queue on its way: it is missed, settled, made again; the slot is
 * not lost with it */

static void assignment_lost(struct world *world)
{
    begin(world);
    world->office.lose = RM_MESSAGE__BODY_ASSIGN;
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ true);
    wait_for_answer(world);
    expect_end(world, RM_STATE__DONE, 2, 1);
    client_submit(operator_of(world), "vm4", "hyp2", /* follow = */ true);
    wait_for_answer(world);
    finish(world);
}

/* ---- two workers say that they serve one hypervisor: whatever comes of it, one migration at a
 * time; and when the second one has gone, the first one goes on */

static void two_workers_one_host(struct world *world)
{
    struct yard *stranger = &world->yards[world->n_yards - 1];

    begin(world);
    yard_start(stranger);
    client_submit(operator_of(world), "vm1,vm4", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    go_on(world, 30);
    yard_kill(stranger, USEC_NEVER);
    wait_for_end(world);
    client_submit(operator_of(world), "vm1", "hyp3", /* follow = */ true);
    wait_for_answer(world);
    expect(world, sim_place(world->sim, 0) == 2, "vm1 is on hyp3 in the end");
    finish(world);
}

/* ---- the words of scenarios in which a worker is heard again when others have settled its job */

static void until_running(struct world *world)
{
    usec_t until = world_now(world) + PATIENCE;

    while (world->sim->n_moves == 0 && world_now(world) < until && world_step(world))
        ;
}

static void cut_worker(struct world *world, unsigned host, unsigned seconds)
{
    link_cut(&worker_of(world, host)->link, seconds * USEC_PER_SEC);
}

static void cancel_the_job(struct world *world)
{
    client_cancel_job(operator_of(world), world->ledger.jobs[world->ledger.n - 1].id);
    wait_for_answer(world);
    wait_for_end(world);
}

static void move_on(struct world *world)
{
    const RmResult *result;

    client_submit(operator_of(world), "vm1", "hyp3", /* follow = */ true);
    wait_for_answer(world);
    result = result_of(world, 0);
    expect(world, result != NULL && result->state == RM_STATE__DONE, "vm1 is moved to hyp3");
    arena_reset(world->arena);
}

/* ---- the destination's daemon stands still from the hand-over on, and the source's worker is silent for
 * longer than the session time-out while it finds out. The destination's worker is asked; when the other
 * one comes back it is called off, and does nothing when its daemon wakes, by when a later job has
 * moved the guest on */

static void stall_for_long(struct world *world, struct sim_move *move)
{
    sim_hang_daemon(world->sim, move->destination, 34 * USEC_PER_SEC);
}

static void late_settler_is_called_off(struct world *world)
{
    begin(world);
    strike_at(world, SIM_SWITCHOVER, stall_for_long);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    while (strike.f != NULL && world_step(world))
        ;
    go_on(world, 6);
    cut_worker(world, 0, 13);
    go_on(world, 18);
    cancel_the_job(world);
    move_on(world);
    go_on(world, 60);
    expect(world, sim_place(world->sim, 0) == 2, "the copy on hyp2 was removed, not resumed");
    finish(world);
}

/* ---- the same, but the settler's whole process stands still until a later job has moved the guest on: its
 * lease is over when it wakes, longer than every time-out after it was asked */

static void stall_for_very_long(struct world *world, struct sim_move *move)
{
    sim_hang_daemon(world->sim, move->destination, 90 * USEC_PER_SEC);
}

static void two_settlers_one_sleeps(struct world *world)
{
    begin(world);
    strike_at(world, SIM_SWITCHOVER, stall_for_very_long);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    while (strike.f != NULL && world_step(world))
        ;
    go_on(world, 6);
    cut_worker(world, 0, 24);
    go_on(world, 13);
    expect(world, worker_of(world, 1)->tasks != NULL, "the worker of hyp2 finds out");
    yard_hang(worker_of(world, 1), 80 * USEC_PER_SEC);
    go_on(world, 40);
    cancel_the_job(world);
    move_on(world);
    go_on(world, 90);
    expect(world, sim_place(world->sim, 0) == 2, "the copy on hyp2 was removed, not resumed");
    finish(world);
}

/* ---- what a settler found before the source's worker came back and began counts for nothing when it is
 * heard at last */

static void late_result_of_a_settler(struct world *world)
{
    begin(world);
    world->begin_most = 120 * USEC_PER_SEC; /* the settler has said "at its source" by then */
    world->sim->copy_least = world->sim->copy_most = 30 * USEC_PER_SEC;
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    while (worker_of(world, 0)->tasks == NULL && world_step(world))
        ;
    go_on(world, 1);
    cut_worker(world, 0, 22);
    while (worker_of(world, 1)->tasks == NULL && world_step(world))
        ;
    cut_worker(world, 1, 45);
    until_running(world);
    wait_for_end(world);
    expect(world, world->sim->n_moves == 1, "it was begun once");
    expect_end(world, RM_STATE__DONE, 1, 1);
    finish(world);
}

/* ---- the broker is started anew while a settler that it does not hear has its lease: nobody else is asked
 * before that is over */

static void restart_while_a_settler_is_silent(struct world *world)
{
    begin(world);
    strike_at(world, SIM_SWITCHOVER, stall_for_very_long);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    while (strike.f != NULL && world_step(world))
        ;
    yard_kill(worker_of(world, 0), 13 * USEC_PER_SEC);
    while (worker_of(world, 1)->tasks == NULL && world_step(world))
        ;
    go_on(world, 1);
    cut_worker(world, 1, 20);
    office_crash(world);
    alarm_set(world, &world->office.start, world_now(world) + USEC_PER_SEC);
    go_on(world, 120);
    wait_for_end(world);
    finish(world);
}

/* ---- the source's worker is back after a restart of the broker, and the settler, which stands still, is called
 * off: what it was asked is not asked again, it would begin anew what it has let go meanwhile */

static void called_off_settler_is_not_asked_again(struct world *world)
{
    begin(world);
    world->sim->copy_least = world->sim->copy_most = 120 * USEC_PER_SEC;
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    until_running(world);
    sim_hang_daemon(world->sim, 1, 90 * USEC_PER_SEC);
    cut_worker(world, 0, 18);
    while (worker_of(world, 1)->tasks == NULL && world_step(world))
        ;
    go_on(world, 1);
    office_crash(world);
    alarm_set(world, &world->office.start, world_now(world) + USEC_PER_SEC);
    go_on(world, 3);
    yard_hang(worker_of(world, 1), 9 * USEC_PER_SEC);
    go_on(world, 60);
    wait_for_end(world);
    finish(world);
}

/* ---- a worker sleeps while the broker is started anew and has somebody else find out: its session with the
 * new broker is not the one in which it began, though each is the third of its broker */

static void session_of_an_older_broker(struct world *world)
{
    yard_kill(worker_of(world, 0), 2 * USEC_PER_SEC);
    begin(world);
    world->sim->copy_least = world->sim->copy_most = 60 * USEC_PER_SEC;
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    until_running(world);
    yard_hang(worker_of(world, 0), 30 * USEC_PER_SEC);
    office_crash(world);
    alarm_set(world, &world->office.start, world_now(world) + USEC_PER_SEC);
    go_on(world, 29);
    expect(world, worker_of(world, 1)->tasks != NULL, "the worker of hyp2 finds out");
    cut_worker(world, 1, 5); /* it is called off, and does not hear it */
    wait_for_end(world);
    expect_end(world, RM_STATE__DONE, 1, 1);
    finish(world);
}

/* ---- what an older try left: a copy on hyp2, which the others cannot reach */

static void leave_copy(struct world *world)
{
    begin(world);
    strike_at(world, SIM_SWITCHOVER, stall_for_long);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    while (strike.f != NULL && world_step(world))
        ;
    go_on(world, 30);
    cancel_the_job(world);
    sim_cut(world->sim, 1, PATIENCE);
}

/* ---- the guest gets lost on its way to hyp3: nobody has moved it to hyp2, where the copy is */

static void lose_guest(struct world *world, struct sim_move *move)
{
    world->sim->guests[move->guest].copies[move->source].defined = false;
    sim_kill_qemu(world->sim, move->guest, move->source);
}

static void copy_left_is_not_a_place(struct world *world)
{
    const RmResult *result;

    leave_copy(world);
    go_on(world, 20);
    expect(world, world->sim->guests[0].copies[1].active, "a copy is left on hyp2");
    strike_at(world, SIM_COPY, lose_guest);
    client_submit(operator_of(world), "vm1", "hyp3", /* follow = */ true);
    wait_for_answer(world);
    result = result_of(world, 0);
    expect(world, result != NULL && result->state == RM_STATE__FAILED && result->locked,
           "the guest is lost, and locked");
    arena_reset(world->arena);
    finish(world);
}

/* ---- nobody hears the question about that copy, and the worker of hyp2 goes away: the guest can still be
 * moved elsewhere */

static void question_lost_with_the_worker(struct world *world)
{
    usec_t until;

    leave_copy(world);
    until = world_now(world) + PATIENCE;
    world->office.lose = RM_MESSAGE__BODY_ASK;
    while (world->office.lose != RM_MESSAGE__BODY__NOT_SET && world_now(world) < until &&
           world_step(world))
        ;
    expect(world, world->office.lose == RM_MESSAGE__BODY__NOT_SET, "a question is lost");
    yard_kill(worker_of(world, 1), PATIENCE);
    client_submit(operator_of(world), "vm1", "hyp3", /* follow = */ false);
    wait_for_answer(world);
    go_on(world, 180);
    expect(world, worker_of(world, 1)->agent == NULL, "the worker of hyp2 is still away");
    expect(world, rules_all_final(world), "vm1 is moved meanwhile");
    go_on(world, 300); /* it comes back, and its copy is removed */
    expect_end(world, RM_STATE__DONE, 1, 2);
    finish(world);
}

/* ---- the daemon of hyp2 stands still just when that copy is to be removed, and does so long after it has
 * woken: until then the guest does not go there, and nobody destroys it */

static void daemon_sleeps_on_a_removal(void *ctx, struct sim *sim, unsigned host)
{
    (void)ctx;
    sim->on_repair = NULL;
    sim_hang_daemon(sim, host, 20 * USEC_PER_SEC);
}

static void removal_waits_in_a_daemon_that_sleeps(struct world *world)
{
    struct sim_late *late = &world->sim->guests[0].late[1];
    usec_t until;

    leave_copy(world);
    go_on(world, 20);
    expect(world, world->sim->guests[0].copies[1].active, "a copy is left on hyp2");
    world->sim->on_repair = daemon_sleeps_on_a_removal;
    world->sim->hosts[1].cut_until = world_now(world);
    until = world_now(world) + PATIENCE;
    while (late->at == 0 && world_now(world) < until && world_step(world))
        ;
    expect(world, late->at != 0, "the request to remove it waits");
    late->at = world->sim->hosts[1].hung_until + 20 * USEC_PER_SEC;
    world_run(world, world->sim->hosts[1].hung_until + USEC_PER_SEC);
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ true);
    wait_for_answer(world);
    expect(world, late->at == 0, "the request is over");
    expect_end(world, RM_STATE__DONE, 1, 1);
    finish(world);
}

/* ---- the guest is busy (a dump, a snapshot) when it is to be migrated: the request waits in its daemon, and
 * outlives the worker that sent it. Nobody says that the guest stays before that request is over */

static void request_outlives_its_worker(struct world *world)
{
    begin(world);
    world->sim->busy_percent = 100;
    world->sim->busy_least = world->sim->busy_most = 24 * USEC_PER_SEC;
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    while (!world->sim->guests[0].move.on && world_step(world))
        ;
    expect(world, world->sim->guests[0].move.phase == SIM_WAIT, "the request waits");
    yard_kill(worker_of(world, 0), PATIENCE);
    cancel_the_job(world);
    wait_for_end(world);
    expect(world, world->sim->n_moves == 1, "it was begun once");
    expect_end(world, RM_STATE__DONE, 1, 1);
    finish(world);
}

/* ---- the same where the daemon itself stands still with the request in its queue, for longer than anybody waits for
 * its worker */

static void daemon_sleeps(void *ctx, struct sim *sim, unsigned source)
{
    (void)ctx;
    sim->on_begin = NULL;
    sim_hang_daemon(sim, source, 120 * USEC_PER_SEC);
}

static void ask_a_daemon_that_sleeps(struct world *world, usec_t worker_is_back_in)
{
    begin(world);
    world->sim->on_begin = daemon_sleeps;
    client_submit(operator_of(world), "vm1", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    while (!world->sim->guests[0].move.on && world_step(world))
        ;
    expect(world, world->sim->guests[0].move.phase == SIM_WAIT, "the request waits");
    yard_kill(worker_of(world, 0), worker_is_back_in);
    go_on(world, 60);
    expect(world, !rules_all_final(world), "nobody knows yet");
}

static void request_waits_in_a_daemon_that_sleeps(struct world *world)
{
    ask_a_daemon_that_sleeps(world, PATIENCE);
    wait_for_end(world);
    expect(world, world->sim->n_moves == 1, "it was begun once");
    expect_end(world, RM_STATE__DONE, 1, 1);
    finish(world);
}

static void cancel_waits_for_a_daemon_that_sleeps(struct world *world)
{
    ask_a_daemon_that_sleeps(world, 20 * USEC_PER_SEC);
    cancel_the_job(world);
    wait_for_end(world);
    expect(world, world->sim->n_moves == 1, "it was begun, and stopped");
    expect_end(world, RM_STATE__CANCELLED, 1, 0);
    finish(world);
}

static void expect_no_account(struct world *world)
{
    expect(world, host_find(world->office.core, "hyp1")->rec->emptying != NULL,
           "the evacuation goes on");
}

/* What is said of hyp1 at the end of its evacuation. */
static void expect_account(struct world *world, bool ok, const char *text)
{
    RmBatch *batch;

    expect(world, host_find(world->office.core, "hyp1")->rec->emptying == NULL,
           "the evacuation has ended");
    if (record_batch_get(world->office.store, operator_of(world)->last_batch, world->arena,
                         &batch) < 0 ||
        batch->n_account != 1)
        world_fail(world, "expected: an account of the evacuation");
    else if (batch->account[0]->ok != ok || strstr(batch->account[0]->text, text) == NULL)
        world_fail(world, "expected: %s; it is %s", text, batch->account[0]->text);
    arena_reset(world->arena);
}

/* ---- a worker of an older version does not know how to look when it is asked to: its hypervisor is not said
 * to be empty, though it is, and whoever waits hears so within a minute or so */

static void worker_cannot_look(struct world *world)
{
    begin(world);
    worker_of(world, 0)->cannot_look = true;
    client_evacuate(operator_of(world), "hyp1", /* follow = */ false);
    wait_for_answer(world);
    wait_for_end(world);
    expect_no_account(world);
    go_on(world, 75);
    expect_account(world, false, "what is left nobody can see");
    finish(world);
}

/* ---- a guest in shutdown is neither moved nor taken for gone: its end is waited for, and when that does not
 * come it is left */

static void evacuate_in_shutdown(struct world *world)
{
    begin(world);
    world->sim->guests[0].copies[0].state = RM_GUEST_STATE__GUEST_IN_SHUTDOWN;
    go_on(world, 60); /* longer than from one inventory to the next */
    client_evacuate(operator_of(world), "hyp1", /* follow = */ false);
    wait_for_answer(world);
    go_on(world, 30);
    expect_no_account(world);
}

static void guest_in_shutdown_is_waited_for(struct world *world)
{
    evacuate_in_shutdown(world);
    world->sim->guests[0].copies[0].state = RM_GUEST_STATE__GUEST_RUNNING;
    sim_power_off(world->sim, 0);
    go_on(world, 10);
    expect_account(world, true, "is empty: 0 moved");
    finish(world);
}

static void guest_that_stays_in_shutdown_is_left(struct world *world)
{
    evacuate_in_shutdown(world);
    go_on(world, 45);
    expect_account(world, false, "is not empty: 0 moved, 1 left, because: vm1 (is in shutdown");
    world->sim->guests[0].copies[0].state = RM_GUEST_STATE__GUEST_RUNNING; /* it was a reboot */
    finish(world);
}

/* ---- somebody brings a guest to hyp1 as soon as one has left it: the evacuation of hyp1 ends all the same */

static void guests_come_without_end(struct world *world)
{
    unsigned next = 0;
    usec_t until;

    for (unsigned g = 0; g < world->sim->n_guests; g++) /* all of them fit on one host */
        world->sim->guests[g].memory = 64 << 20;
    begin(world);
    world->sim->copy_least = world->sim->copy_most = USEC_PER_SEC / 2;
    client_evacuate(operator_of(world), "hyp1", /* follow = */ false);
    wait_for_answer(world);
    until = world_now(world) + PATIENCE;
    while (host_find(world->office.core, "hyp1")->rec->emptying != NULL &&
           world_now(world) < until && world_step(world)) {
        bool is_empty = sim_used(world->sim, 0) == 0;
        for (; is_empty && next < world->sim->n_guests; next++)
            is_empty = next % world->sim->n_hosts == 0 || !sim_move_by_hand(world->sim, next, 0);
    }
    expect_account(world, false, "(came after the host had been looked at 20 times)");
    finish(world);
}

/* ---- somebody brings a guest by hand to where its job waits for room: it needs none, for it is there */

static void guest_comes_by_hand_before_its_job_begins(struct world *world)
{
    struct sim *sim = world->sim;

    begin(world);
    sim->guests[3].memory = sim->hosts[1].memory / 5 * 3; /* vm4: once, but not twice */
    client_submit(operator_of(world), "vm1", "hyp3", /* follow = */ false);
    wait_for_answer(world); /* the one slot of hyp1 */
    client_submit(operator_of(world), "vm4", "hyp2", /* follow = */ false);
    wait_for_answer(world);
    expect(world, sim_move_by_hand(sim, 3, 1), "somebody moves vm4 to hyp2");
    wait_for_end(world);
    expect(world, sim_place(sim, 3) == 1, "vm4 is where it was brought");
    finish(world);
}

#define SCENARIO(f, ...)                                                                           \
    {                                                                                              \
#f, f,                                                                                     \
        {                                                                                          \
            .seed = 1, .hosts = 3, .agents = 3, .clients = 1, __VA_ARGS__                          \
        }                                                                                          \
    }
const struct scenario scenarios[] = {
    SCENARIO(lost_worker_at_switchover, .guests = 3),
    SCENARIO(broker_dies_between_commit_and_send, .guests = 3),
    SCENARIO(destination_stalls_at_handover, .guests = 3),
    SCENARIO(destination_sleeps_until_the_job_is_cancelled, .guests = 3),
    SCENARIO(cancel_races_with_finish, .guests = 3),
    SCENARIO(worker_sleeps_past_its_lease, .guests = 3),
    SCENARIO(submit_repeated_with_same_token, .guests = 3),
    SCENARIO(third_party_moves_guest, .guests = 3),
    SCENARIO(assignment_lost, .guests = 4),
    SCENARIO(two_workers_one_host, .guests = 4),
    SCENARIO(late_settler_is_called_off, .guests = 3),
    SCENARIO(two_settlers_one_sleeps, .guests = 3),
    SCENARIO(late_result_of_a_settler, .guests = 3),
    SCENARIO(restart_while_a_settler_is_silent, .guests = 3),
    SCENARIO(called_off_settler_is_not_asked_again, .guests = 3),
    SCENARIO(session_of_an_older_broker, .guests = 3),
    SCENARIO(copy_left_is_not_a_place, .guests = 3),
    SCENARIO(question_lost_with_the_worker, .guests = 3),
    SCENARIO(removal_waits_in_a_daemon_that_sleeps, .guests = 3),
    SCENARIO(request_outlives_its_worker, .guests = 3),
    SCENARIO(request_waits_in_a_daemon_that_sleeps, .guests = 3),
    SCENARIO(cancel_waits_for_a_daemon_that_sleeps, .guests = 3),
    SCENARIO(worker_cannot_look, .guests = 3),
    SCENARIO(guest_in_shutdown_is_waited_for, .guests = 3),
    SCENARIO(guest_that_stays_in_shutdown_is_left, .guests = 3),
    SCENARIO(guests_come_without_end, .guests = 40),
    SCENARIO(guest_comes_by_hand_before_its_job_begins, .guests = 4),
    {0},
};
