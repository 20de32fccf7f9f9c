/* office.c - the shell around the broker's core: as broker/loop.c, with a commit that takes time
 * and a broker that dies
 *
 * A turn takes what has arrived, decides, commits, sends. The broker may die at each of the seams
 * between these; what it had not committed is lost with it, and so is what it had not sent. */
#include "broker/job.h"
#include "broker/session.h"
#include "store/record.h"
#include "store/tables/table.h"
#include "store/tool/check.h"
#include "tests/sim/world.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMMIT_LEAST (200)
#define COMMIT_MOST  (8 * USEC_PER_MSEC)
#define BACK_LEAST   (100 * USEC_PER_MSEC)
#define BACK_MOST    (12 * USEC_PER_SEC)

enum { TURN_MOST = 64 }; /* frames in one turn */

/* ---- start and end */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* Before the first start: the tables say who is kept apart. */
static int write_rules(struct world *world)
{
    const struct table *table = table_find("vm");
    int column = table_column(table, "othersettings"), r = 0;

    for (unsigned g = 0; g < world->sim->n_guests && r >= 0; g++) {
        char word[32];
        snprintf(word, sizeof(word), "separate:s%u", world->apart[g]);
        if (world->apart[g] > 0 && world->options.broken != BREAK_APART)
            r = table_row_set(world->office.store, table, world->sim->guests[g].name, column, word);
    }
    return r;
}

static int start(struct world *world)
{
    struct office *office = &world->office;
    struct rm_err err = {""};
    int r = store_open(office->path, world->conf.store_size, STORE_CREATE | STORE_NO_SYNC,
                       &office->store, &err);

    if (r >= 0)
        r = record_open(office->store, &err);
    if (r >= 0 && world->n_steps == 0)
        r = write_rules(world);
    if (r >= 0)
        r = core_new(&world->conf, office->store, world_random(world, UINT64_MAX), world_now(world),
                     env_wall(&world->sim->env), &office->core, &err);
    memset(office->stopped, 0, sizeof(office->stopped));
    if (r < 0) {
        store_close(office->store);
        office->store = NULL;
        world_fail(world, "the broker cannot start: %s", err.text);
        return r;
    }
    if (world->options.broken == BREAK_QUIET)
        for (struct job *job = office->core->jobs.by_id; job != NULL; job = job->hh.next)
            job->free_at = job->settle_at = 0;
    office->busy_until = 0;
    office_wake(world);
    return 0;
}

static void start_ring(void *ctx)
{
    struct world *world = ctx;

    world_tell(world, "broker: starts");
    start(world);
}

static void turn_ring(void *ctx);

int office_open(struct world *world)
{
    struct office *office = &world->office;
    const char *where = getenv("TMPDIR");
    struct stat st;

    if (where == NULL || strlen(where) > sizeof(office->path) - 64)
        where = stat("/dev/shm", &st) == 0 && S_ISDIR(st.st_mode) ? "/dev/shm" : "/tmp";
    snprintf(office->path, sizeof(office->path), "%s/rmigrate-sim-XXXXXX", where);
    if (mkdtemp(office->path) == NULL)
        return -errno;
    frames_init(&office->inbox);
    alarm_init(&office->turn, turn_ring, world);
    alarm_init(&office->start, start_ring, world);
    return start(world);
}

void office_close(struct world *world)
{
    struct office *office = &world->office;

    core_free(office->core);
    store_close(office->store);
    if (office->inbox.tail != NULL)
        frames_clear(&office->inbox);
    if (office->path[0] != '\0')
        nftw(office->path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

void office_crash(struct world *world)
{
    struct office *office = &world->office;

    if (office->store == NULL)
        return;
    world_tell(world, "broker: dies");
    office->n_crashes++;
    office->crash = CRASH_NEVER;
    core_free(office->core);
    office->core = NULL;
    store_close(office->store); /* drops what was not committed */
    office->store = NULL;
    frames_clear(&office->inbox);
    alarm_stop(world, &office->turn);
    for (unsigned i = 0; i < world->n_yards; i++)
        link_break(&world->yards[i].link);
    for (unsigned i = 0; i < world->n_clients; i++)
        link_break(&world->clients[i].link);
    alarm_set(world, &office->start,
              world_now(world) + world_between(world, BACK_LEAST, BACK_MOST));
}

/* ---- one turn */

void office_wake(struct world *world)
{
    struct office *office = &world->office;
    usec_t now = world_now(world);

    if (office->core != NULL)
        alarm_sooner(world, &office->turn, office->busy_until > now ? office->busy_until : now);
}

static void forge_attempt(struct world *world, uint64_t job, uint32_t *attempt, uint64_t *turn)
{
    RmLive *live;

    if (record_live_get(world->office.store, job, world->arena, &live) == 0) {
        *attempt = live->attempt;
        *turn = live->turn;
    }
}

/* Whatever is reported of a job that is not in doubt comes from its holder. */
static void forge_holder(struct world *world, const struct net_peer *peer, RmReport *report)
{
    struct core *core = world->office.core;
    const struct job *job = job_find(core, report->job);
    const struct session *holder = job != NULL ? session_by_id(core, job->holder) : NULL;
    RmReports reports = RM_REPORTS__INIT;
    RmMessage message = RM_MESSAGE__INIT;

    if (holder == NULL || peer_is(&holder->peer, peer) || job->live.attempt != report->attempt ||
        job->live.state == RM_STATE__DOUBT)
        return;
    report->turn = job->live.turn;
    reports.session = holder->id;
    reports.n_reports = 1;
    reports.reports = &report;
    message.body_case = RM_MESSAGE__BODY_REPORTS;
    message.reports = &reports;
    core_input(core, &holder->peer, NULL, &message);
}

/* What the network does to a message when a rule shall be broken. */
static void forge(struct world *world, RmMessage *message)
{
    if (world->options.broken == BREAK_ATTEMPT && message->body_case == RM_MESSAGE__BODY_REPORTS)
        for (size_t i = 0; i < message->reports->n_reports; i++)
            forge_attempt(world, message->reports->reports[i]->job,
                          &message->reports->reports[i]->attempt,
                          &message->reports->reports[i]->turn);
    if (world->options.broken == BREAK_ATTEMPT && message->body_case == RM_MESSAGE__BODY_HELLO)
        for (size_t i = 0; i < message->hello->n_tasks; i++)
            forge_attempt(world, message->hello->tasks[i]->job, &message->hello->tasks[i]->attempt,
                          &message->hello->tasks[i]->turn);
    if (world->options.broken == BREAK_MEMORY && message->body_case == RM_MESSAGE__BODY_INVENTORY)
        message->inventory->memory *= 2;
}

static void drain(struct world *world)
{
    struct office *office = &world->office;
    uint64_t most = 1 + world_random(world, TURN_MOST);

    while (most-- > 0 && office->inbox.head != NULL) {
        struct frame *frame = frames_pop(&office->inbox);
        RmMessage *message;
        int r = msg_unpack(world->arena, frame->data, frame->length, &message, NULL);
        if (r < 0) {
            world_fail(world, "a frame cannot be unpacked");
        } else {
            world_tell(world, "broker < %s: %s", frame->peer.user, msg_name(message));
            forge(world, message);
            if (world->options.broken == BREAK_REPORT &&
                message->body_case == RM_MESSAGE__BODY_REPORTS)
                for (size_t i = 0; i < message->reports->n_reports; i++)
                    forge_holder(world, &frame->peer, message->reports->reports[i]);
            core_input(office->core, &frame->peer, NULL, message);
        }
        free(frame);
        arena_reset(world->arena);
    }
}

static void tell_notes(struct world *world)
{
    struct core_line line;

    while (core_next_note(world->office.core, &line))
        world_tell(world, "broker: %s", line.text);
}

static uint8_t *forge_welcome(const struct world *world, const struct core_out *out,
                              size_t *ret_length)
{
    RmMessage *message;
    uint8_t *frame = NULL;

    if (world->options.broken == BREAK_LEASE &&
        msg_unpack(world->arena, out->frame, out->length, &message, NULL) >= 0) {
        if (message->body_case == RM_MESSAGE__BODY_WELCOME) {
            message->welcome->lease_for *= 1000;
            frame = msg_pack(message, ret_length);
        }
        arena_reset(world->arena);
    }
    return frame;
}

static RmMessage__BodyCase body_of(const struct world *world, const struct core_out *out)
{
    RmMessage *message;
    RmMessage__BodyCase body =
        msg_unpack(world->arena, out->frame, out->length, &message, NULL) >= 0
            ? message->body_case
            : RM_MESSAGE__BODY__NOT_SET;

    arena_reset(world->arena);
    return body;
}

/* Whoever lets a turn go forgets it, and would begin anew what it is asked for then. */
static void check_stopped(struct world *world, const struct core_out *out)
{
    struct office *office = &world->office;
    const size_t n = sizeof(office->stopped) / sizeof(office->stopped[0]);
    RmMessage *message;

    if (msg_unpack(world->arena, out->frame, out->length, &message, NULL) < 0)
        return;
    if (message->body_case == RM_MESSAGE__BODY_ORDERS)
        for (size_t i = 0; i < message->orders->n_orders; i++) {
            const RmOrder *order = message->orders->orders[i];
            if (order->kind != RM_ORDER_KIND__ORDER_STOP)
                continue;
            office->stopped[order->job % n].job = order->job;
            office->stopped[order->job % n].turn = order->turn;
        }
    if (message->body_case == RM_MESSAGE__BODY_ASSIGN)
        for (size_t i = 0; i < message->assign->n_jobs; i++) {
            const RmAssignment *one = message->assign->jobs[i];
            if (office->stopped[one->job % n].job == one->job &&
                office->stopped[one->job % n].turn == one->turn && one->turn != 0)
                world_fail(world, "job %" PRIu64 " is asked for in a turn that was called off",
                           one->job);
        }
    arena_reset(world->arena);
}

static void tell_out(struct world *world, const struct core_out *out)
{
    RmMessage *message;

    if (world->options.verbose &&
        msg_unpack(world->arena, out->frame, out->length, &message, NULL) >= 0)
        fprintf(world->options.out, "%10.3f broker > %s: %s\n",
                (double)(world_now(world) - 1000 * USEC_PER_SEC) / 1e6, out->peer->user,
                msg_name(message));
    arena_reset(world->arena);
}

/* Sends the first `most` frames. */
static void send_all(struct world *world, uint64_t most)
{
    struct office *office = &world->office;
    struct core_out out;

    while (core_next_out(office->core, &out) && most-- > 0) {
        size_t length = 0;
        if (office->lose != RM_MESSAGE__BODY__NOT_SET && office->lose == body_of(world, &out)) {
            office->lose = RM_MESSAGE__BODY__NOT_SET;
            continue;
        }
        uint8_t *forged = forge_welcome(world, &out, &length);
        check_stopped(world, &out);
        int r = link_answer(world, out.peer, forged != NULL ? forged : out.frame,
                            forged != NULL ? length : out.length, office->busy_until);
        tell_out(world, &out);
        free(forged);
        if (r == -EHOSTUNREACH)
            core_gone(office->core, out.peer);
    }
}

/* Shall the broker die in this turn? Only where there is something to lose. */
static enum crash_point crash_now(struct world *world)
{
    struct office *office = &world->office;
    struct core_out out;
    bool any = false, assigns = false;

    if (office->crash == CRASH_NEVER)
        return CRASH_NEVER;
    while (core_next_out(office->core, &out)) {
        any = true;
        assigns = assigns || body_of(world, &out) == RM_MESSAGE__BODY_ASSIGN;
    }
    if (!any || (office->crash_on_assign && !assigns) ||
        (office->crash_on_ask && office->core->turn.asked == NULL))
        return CRASH_NEVER;
    return office->crash;
}

static void forget_marks(struct core *core)
{
    for (struct guest *guest = core->guests; guest != NULL; guest = guest->hh.next)
        while (guest->job == NULL && guest->rec->n_marks > 0)
            guest_mark_clear(core, guest, guest->rec->marks[0]->host, /* copy = */ true,
                             /* request = */ true);
}

static void forget_requests(struct core *core)
{
    for (struct guest *guest = core->guests; guest != NULL; guest = guest->hh.next)
        for (size_t i = guest->rec->n_marks; i > 0; i--)
            guest_mark_clear(core, guest, guest->rec->marks[i - 1]->host, /* copy = */ false,
                             /* request = */ true);
}

/* The commit of the turn, and what a full store makes of it. False: the broker has ended. */
static bool commit(struct world *world, enum crash_point crash)
{
    struct office *office = &world->office;
    struct rm_err err = {""};
    int r;

    if (crash == CRASH_IN_COMMIT || crash == CRASH_STORE_FULL)
        store_fail_commit(office->store, 1, crash == CRASH_IN_COMMIT ? -EIO : -ENOSPC);
    r = core_commit(office->core, &err);
    store_fail_commit(office->store, 0, 0); /* there may have been nothing to commit */
    tell_notes(world);
    if (r == -ENOSPC && crash == CRASH_STORE_FULL) {
        world_tell(world, "broker: the store is full");
        office->crash = CRASH_NEVER;
        office->n_anew++;
        memset(office->stopped, 0, sizeof(office->stopped));
        r = 0;
        if (world->options.broken != BREAK_ANEW)
            r = core_begin_anew(&office->core, world_random(world, UINT64_MAX), &err);
        if (r >= 0)
            tell_notes(world);
    }
    if (r >= 0)
        return true;
    if (crash != CRASH_IN_COMMIT && crash != CRASH_STORE_FULL)
        world_fail(world, "a commit failed: %s", err.text);
    office_crash(world);
    return false;
}

static void turn_ring(void *ctx)
{
    struct world *world = ctx;
    struct office *office = &world->office;
    enum crash_point crash;
    usec_t now = world_now(world), next;

    office->n_turns++;
    core_begin(office->core, now, env_wall(&world->sim->env));
    if (world->options.broken == BREAK_INHERIT)
        forget_marks(office->core);
    if (world->options.broken == BREAK_REQUEST)
        forget_requests(office->core);
    drain(world);
    core_tick(office->core);
    crash = crash_now(world);
    office->busy_until = now + world_between(world, COMMIT_LEAST, COMMIT_MOST);
    if (crash == CRASH_BEFORE_COMMIT) {
        if (world->options.broken == BREAK_COMMIT)
            send_all(world, UINT64_MAX);
        office_crash(world);
        return;
    }
    if (!commit(world, crash))
        return;
    rules_commit(world);
    if (crash == CRASH_BEFORE_SEND || crash == CRASH_WHILE_SENDING) {
        send_all(world, crash == CRASH_BEFORE_SEND ? 0 : world_random(world, 4));
        office_crash(world);
        return;
    }
    send_all(world, UINT64_MAX);
    next = core_deadline(office->core);
    if (office->inbox.head != NULL || next < office->busy_until)
        next = office->busy_until;
    alarm_set(world, &office->turn, next);
}
