/* migrate.c - moving a guest, with a fence and an end
 *
 * A migration is peer-to-peer: the daemons do it between themselves, and it survives the worker.
 * It starts the call in a thread of its own and then waits at one poll(2) for whatever comes
 * first: the call's end, the end of the source's QEMU, the answer of a side question (figures,
 * abort, resume), the next tick. So nothing that hangs in libvirt keeps it from looking at the
 * rest.
 *
 * A guest that is transient at the source stays transient: nobody gave it a definition, so neither
 * side gets one.
 *
 * The fence. libvirt alone lets a guest run twice: when the destination's daemon stalls at the
 * hand-over for longer than the keepalive, the source takes the migration for failed and lets its
 * copy go on, and the destination starts the other one when it wakes. With VIR_MIGRATE_PAUSED the
 * destination never starts by itself; this worker resumes it as soon as the source's copy provably
 * cannot run any more. There are two proofs.
 *
 * 1. The call returned success. libvirt's protocol is perform, finish (destination), confirm
 *    (source): success means that finish succeeded and that confirm ended the source's QEMU, or at
 *    worst left it paused.
 *
 * 2. The source's QEMU process is gone: a pidfd that was opened before the start becomes readable.
 *    This comes some 0.2 s sooner: libvirt polls for the end of a process. What is gone cannot be
 *    resumed. But the end alone is no hand-over: the guest may have powered off, crashed, been
 *    destroyed. So the destination is asked, and only a guest that is paused there without a
 *    migration job is resumed. Why that is enough, case by case:
 *
 *    a. QEMU ended in the middle of the copy: the destination is still coming in (job "migration
 *       in") until its daemon ends it. Not resumed. libvirt would refuse it in that state as well:
 *       the job holds the guest.
 *
 *    b. QEMU ended after the last byte, before the source's daemon took notice: the daemon finds
 *       the guest gone, calls finish with "cancelled", the destination's copy is ended. It was
 *       coming in up to then. Not resumed.
 *
 *    c. QEMU ended after finish succeeded: confirm ended it, or it crashed, or somebody destroyed
 *       it between. Its processors had been stopped since before finish, so the copy at the
 *       destination is the newest there is, and the only one. Resumed.
 *
 *    d. Finish succeeded but the source's daemon did not hear it, and lets the guest go on: its
 *       QEMU lives, no proof. The call returns an error, and nothing is resumed here; settling destroys
 *       the paused copy. Should that QEMU end just before the call returns its error, the paused
 *       copy would be older than what ran; but then the source ran again first, which was seen
 *       (event "resumed"): from then on the end of its process is no proof.
 *
 *    e. The destination had an active copy of its own before: the migration is not begun at all.
 *
 *    f. The destination's daemon restarted meanwhile: it ends a guest whose migration had not come
 *       to its end.
 *
 *    This proof is asked for once; what it does not allow is left to the first one, or to settling
 *    (settle.c). */
#include "worker/libvirt/migrate.h"

#include "conf/unit.h"
#include "worker/libvirt/check.h"
#include "worker/stall.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MIB = 1024 * 1024,
    GIB = 1024 * MIB,
    RESUME_TRIES = 3,
};

#define TICK_FIRST_FOR  (100 * USEC_PER_MSEC) /* the first figures after the start */
#define TICK_FOR        (250 * USEC_PER_MSEC) /* while young; then half a second */
#define YOUNG_FOR       (5 * USEC_PER_SEC)
#define ABORT_AGAIN_FOR USEC_PER_SEC
#define AFTER_HANG_FOR  (30 * USEC_PER_SEC)
#define EVENT_WAIT_FOR  (500 * USEC_PER_MSEC) /* for the final figures after the call's end */
/* A connect of libvirt's to an address that swallows everything cannot be aborted; the kernel ends
 * it after 127 s. No data flows meanwhile, so waiting harms nothing and ends in a clear answer. */
#define SILENT_FOR (150 * USEC_PER_SEC)

/* ---- the migrate call */

struct migrate_op {
    struct lv_op op;
    char *peer, *address; /* address NULL = the destination's own choice */
    unsigned flags;
    uint64_t bandwidth; /* bytes/s */
    bool cut_off;       /* the daemon itself did not answer: it may still begin */
};

static void migrate_drop(struct lv_op *op)
{
    struct migrate_op *ask = (struct migrate_op *)op;
    free(ask->peer);
    free(ask->address);
    free(ask);
}

static int migrate_body(struct lv_op *op)
{
    struct migrate_op *ask = (struct migrate_op *)op;
    virTypedParameterPtr params = NULL;
    int n_params = 0, room = 0, r = -EIO;
    virDomainPtr domain = lv_guest(op);
    if (!domain)
        return r;
    if ((ask->address && virTypedParamsAddString(&params, &n_params, &room, VIR_MIGRATE_PARAM_URI,
                                                 ask->address) < 0) ||
        (ask->bandwidth &&
         virTypedParamsAddULLong(&params, &n_params, &room, VIR_MIGRATE_PARAM_BANDWIDTH,
                                 lv_mib(ask->bandwidth)) < 0) ||
        virDomainMigrateToURI3(domain, ask->peer, params, (unsigned)n_params, ask->flags) < 0) {
        lv_note(op);
        ask->cut_off = virConnectIsAlive(op->conn->connect) != 1;
    } else {
        r = 0;
    }
    virTypedParamsFree(params, n_params);
    virDomainFree(domain);
    return r;
}

/* ---- a try: the call, and all that goes on beside it */

enum side_kind { SIDE_FIGURES, SIDE_ABORT, SIDE_RESUME, SIDES };

/* A question beside the migrate call. Each ends by itself in the deadlines of connect and call. */
struct side {
    struct call call;
    enum side_kind kind;
    struct hv *hv;
    struct lv_run *run;
    struct lv_conn *destination; /* resume */
    unsigned long long downtime; /* figures: ms to be set; 0 = nothing */
    int result;
    RmStats stats;
    bool downtime_set;
    usec_t ended_at;
    struct rm_err err;
};

static void side_run(struct call *call)
{
    struct side *side = (struct side *)call;
    const char *uuid = side->run->uuid;
    if (side->kind == SIDE_FIGURES)
        side->result =
            lv_ask_progress(side->hv, uuid, side->downtime, &side->stats, &side->downtime_set);
    else if (side->kind == SIDE_ABORT)
        side->result = lv_abort_now(side->hv, uuid, &side->err);
    else
        side->result = lv_resume_now(side->hv, side->destination, uuid, &side->err);
    side->ended_at = env_now(side->hv->env);
}

static void side_release(struct call *call)
{
    struct side *side = (struct side *)call;
    lv_conn_unref(side->destination);
    lv_run_unref(side->run);
    lv_hv_unref(side->hv);
    free(side);
}

struct transfer {
    struct hv *hv;
    const struct hv_migration *migration;
    struct hv_outcome *outcome;
    struct lv_run *run;
    struct lv_conn *source, *destination;
    struct migrate_op *call;
    struct side *sides[SIDES]; /* under way; NULL = none */
    int process;               /* pidfd of the source's QEMU; -1 = not watched */
    bool fenced;               /* the destination waits to be resumed by us */
    bool downtime_set;
    usec_t begin_limit; /* the copy must have begun after that span */
    struct stall stall;
    usec_t began_at, figures_at, abort_at; /* abort_at: when it is asked (again) */
    usec_t stopped_at, resumed_at;         /* 0 = not */
    bool cancelled;                        /* stopped because somebody asked */
    enum stall_end stall_end;
    char stop_text[RM_ERR_MAX];
};

static void start_side(struct transfer *t, enum side_kind kind)
{
    if (t->sides[kind])
        return;
    struct side *side = calloc(1, sizeof(*side));
    if (!side)
        return;
    call_init(&side->call, side_run, side_release);
    side->kind = kind;
    side->hv = lv_hv_ref(t->hv);
    side->run = lv_run_ref(t->run);
    side->destination = kind == SIDE_RESUME ? lv_conn_ref(t->destination) : NULL;
    if (kind == SIDE_FIGURES && !t->downtime_set && t->migration->downtime)
        side->downtime = lv_msec(t->migration->downtime);
    side->stats = (RmStats)RM_STATS__INIT;
    if (call_start(&side->call, t->run->bell) < 0)
        call_unref(&side->call); /* the next tick tries again */
    else
        t->sides[kind] = side;
}

static void take_resume(struct transfer *t, const struct side *side, const char *proof)
{
    if (side->result < 0)
        return;
    t->resumed_at = side->ended_at;
    t->outcome->resumed = true;
    snprintf(t->outcome->resumed_by, sizeof(t->outcome->resumed_by), "%s", proof);
}

/* What has come back from the sides. */
static void take_sides(struct transfer *t, usec_t now)
{
    for (int kind = 0; kind < SIDES; kind++) {
        struct side *side = t->sides[kind];
        if (!side || !call_ended(&side->call))
            continue;
        t->sides[kind] = NULL;
        /* A question that hangs keeps one of the daemon's few workers: not one more each second. */
        if (side->result == -ETIMEDOUT)
            *(kind == SIDE_ABORT ? &t->abort_at : &t->figures_at) = now + AFTER_HANG_FOR;
        if (kind == SIDE_FIGURES && side->result == 0) {
            t->downtime_set = t->downtime_set || side->downtime_set;
            atomic_store(&t->run->begun, true);
            stall_figures(&t->stall, &side->stats, now);
            if (t->migration->progress)
                t->migration->progress(t->migration->ctx, &t->stall.last);
        } else if (kind == SIDE_RESUME) {
            take_resume(t, side, "source process gone");
        }
        call_unref(&side->call);
    }
}

static void ask_figures(struct transfer *t, usec_t now)
{
    if (now < t->figures_at || t->resumed_at)
        return;
    start_side(t, SIDE_FIGURES);
    t->figures_at = now + (now - t->began_at < YOUNG_FOR ? TICK_FOR : 2 * TICK_FOR);
}

/* Is it time to stop, and why. Once the guest runs at the destination there is nothing left to
 * stop. */
static void decide_stop(struct transfer *t, usec_t now)
{
    if (t->stopped_at || t->resumed_at)
        return;
    char span[UNIT_TEXT_MAX];
    if (atomic_load(&t->run->stop)) {
        t->cancelled = true;
        snprintf(t->stop_text, sizeof(t->stop_text), "stopped on request");
    } else if (t->stall.minimum == UINT64_MAX && now - t->began_at >= t->begin_limit) {
        snprintf(t->stop_text, sizeof(t->stop_text),
                 "the copy did not begin within %s: the data may not reach %s at %s, stopped",
                 unit_duration_text(t->begin_limit, span), t->migration->destination,
                 t->call->address ? t->call->address : "the address that it gave");
    } else {
        t->stall_end = stall_is_over(&t->stall, now, t->stop_text, sizeof(t->stop_text));
        if (t->stall_end == STALL_GOES_ON)
            return;
    }
    t->stopped_at = now;
    t->abort_at = now;
}

static bool ran_again(struct transfer *t)
{
    pthread_mutex_lock(&t->run->lock);
    bool again = t->run->ran_again;
    pthread_mutex_unlock(&t->run->lock);
    return again;
}

static enum hv_may ask_may(const struct transfer *t)
{
    return t->migration->may ? t->migration->may(t->migration->ctx) : HV_MAY;
}

/* The source's QEMU has ended: the second proof, unless the guest had gone on there. */
static void process_ended(struct transfer *t)
{
    close(t->process);
    t->process = -1;
    if (!ran_again(t) && ask_may(t) != HV_MAY_NEVER)
        start_side(t, SIDE_RESUME);
}

/* Waits at most until `until_at` for anything. */
static void wait_for_anything(struct transfer *t, usec_t now, usec_t until_at)
{
    struct pollfd fds[] = {{.fd = bell_fd(t->run->bell), .events = POLLIN},
                           {.fd = t->process, .events = POLLIN}};
    usec_t wait_for = until_at > now ? until_at - now : 0;
    struct timespec ts = {.tv_sec = (time_t)(wait_for / USEC_PER_SEC),
                          .tv_nsec = (long)(wait_for % USEC_PER_SEC) * 1000};
    if (ppoll(fds, 2, &ts, NULL) <= 0)
        return;
    if (fds[0].revents)
        bell_clear(t->run->bell);
    if (fds[1].revents)
        process_ended(t);
}

/* How long the call may take to end when it has to. */
static usec_t patience(const struct transfer *t)
{
    usec_t span = t->hv->connect_timeout + t->hv->call_timeout;
    bool silent = !t->resumed_at && t->stall.minimum == UINT64_MAX;
    return silent && span < SILENT_FOR ? SILENT_FOR : span;
}

/* Until the call has ended: 0; or it is given up: -ETIMEDOUT; or called off: -ECANCELED. */
static int drive(struct transfer *t)
{
    struct hv *hv = t->hv;
    for (;;) {
        usec_t now = env_now(hv->env);
        take_sides(t, now);
        if (call_ended(&t->call->op.call))
            return 0;
        enum hv_may may = ask_may(t);
        if (may == HV_MAY_NEVER)
            return -ECANCELED;
        decide_stop(t, now);
        ask_figures(t, now);
        if (t->stopped_at && !t->resumed_at && now >= t->abort_at && may == HV_MAY) {
            start_side(t, SIDE_ABORT); /* again and again: the job may not have begun yet */
            t->abort_at = now + ABORT_AGAIN_FOR;
        }
        usec_t since_at = t->resumed_at ? t->resumed_at : t->stopped_at;
        if (since_at && now >= since_at + patience(t))
            return -ETIMEDOUT;
        usec_t next_at = t->sides[SIDE_FIGURES] ? now + TICK_FOR : t->figures_at;
        wait_for_anything(t, now, next_at < now + TICK_FOR ? next_at : now + TICK_FOR);
    }
}

/* Waits for a request that is under way: nothing of ours is open afterwards, or that is known. */
static void await_side(struct transfer *t, enum side_kind kind)
{
    struct side *side = t->sides[kind];
    usec_t span = t->hv->connect_timeout + t->hv->call_timeout;
    if (!side)
        return;
    bool ended = call_wait(&side->call, env_now(t->hv->env) + span) == 0;
    if (kind == SIDE_RESUME && ended)
        take_resume(t, side, "source process gone");
    if (kind == SIDE_RESUME && !t->outcome->resumed && lv_conn_is_dead(t->destination))
        t->outcome->unanswered = true;
    call_unref(&side->call);
    t->sides[kind] = NULL;
}

/* The first proof: the call succeeded. */
static void resume_after_success(struct transfer *t)
{
    await_side(t, SIDE_RESUME); /* the second proof may have come first and be at it */
    struct rm_err err = {""};
    for (int i = 0; i < RESUME_TRIES && !t->outcome->resumed && ask_may(t) != HV_MAY_NEVER; i++) {
        if (lv_conn_is_dead(t->destination)) {
            struct lv_conn *again;
            if (lv_conn_get(t->hv, t->migration->peer, &again, NULL, &err) < 0)
                continue;
            lv_conn_unref(t->destination);
            t->destination = again;
        }
        if (lv_resume_now(t->hv, t->destination, t->run->uuid, &err) < 0) {
            t->outcome->unanswered = t->outcome->unanswered || lv_conn_is_dead(t->destination);
            continue;
        }
        t->resumed_at = env_now(t->hv->env);
        t->outcome->resumed = true;
        snprintf(t->outcome->resumed_by, sizeof(t->outcome->resumed_by), "call returned");
    }
}

/* The final figures come by an event, a moment before or after the call's end. */
static void wait_for_figures(struct transfer *t)
{
    usec_t until_at = env_now(t->hv->env) + EVENT_WAIT_FOR;
    for (;;) {
        pthread_mutex_lock(&t->run->lock);
        bool completed = t->run->completed;
        pthread_mutex_unlock(&t->run->lock);
        usec_t now = env_now(t->hv->env);
        if (completed || now >= until_at)
            return;
        wait_for_anything(t, now, until_at);
    }
}

static void finish_success(struct transfer *t)
{
    struct hv_outcome *outcome = t->outcome;
    outcome->ok = true;
    if (t->fenced && !outcome->guest_paused)
        resume_after_success(t);
    wait_for_figures(t);
    pthread_mutex_lock(&t->run->lock);
    outcome->stats = t->run->completed ? t->run->stats : t->stall.last;
    outcome->stats.throttle = t->stall.last.throttle; /* at the end it is none any more */
    outcome->suspended_at = t->run->suspended_at;
    /* libvirt's figure ends when the destination is ready; behind the fence the guest waits a
     * little longer. */
    if (t->resumed_at && t->run->suspended_at && t->resumed_at > t->run->suspended_at) {
        outcome->stats.downtime_for = t->resumed_at - t->run->suspended_at;
        outcome->stats.measured_downtime = true;
    }
    pthread_mutex_unlock(&t->run->lock);
}

static void finish_failure(struct transfer *t, const struct lv_error *error)
{
    struct hv_outcome *outcome = t->outcome;
    char text[RM_ERR_MAX];
    outcome->stats = t->stall.last;
    outcome->code = error->code;
    outcome->given_up = t->call->cut_off;
    lv_error_text(error, text);
    if (!t->stopped_at) {
        lv_give(outcome, 0, lv_error_class(error), "%.1800s%s", text,
                lv_error_is_given_away(error)
                    ? ": its process was given away by an earlier try while the guest was paused, "
                      "and moves again only after the guest has run: virsh resume, virsh suspend"
                    : "");
        return;
    }
    /* After an abort of ours the error is whatever broke first: it is not the reason. */
    lv_give(outcome, 0, t->cancelled ? RM_CLASS__CLASS_ABORTED : stall_class(t->stall_end),
            "%s (%.1500s)", t->stop_text, text);
}

static void finish_given_up(struct transfer *t)
{
    char span[UNIT_TEXT_MAX];
    lv_conn_orphan(t->source);
    t->outcome->given_up = true;
    t->outcome->stats = t->stall.last;
    lv_give(t->outcome, 0, RM_CLASS__CLASS_AMBIGUOUS,
            "%.1900s: libvirt did not end the call within %s",
            t->resumed_at ? "the guest was handed over" : t->stop_text,
            unit_duration_text(patience(t), span));
}

/* The migration goes on by itself, and whoever has it now sees to it. */
static void finish_called_off(struct transfer *t)
{
    await_side(t, SIDE_RESUME);
    await_side(t, SIDE_ABORT);
    t->outcome->given_up = true;
    t->outcome->stats = t->stall.last;
    lv_give(t->outcome, 0, RM_CLASS__CLASS_AMBIGUOUS, "called off");
}

/* Everything before the call: nothing has happened when this fails. */
static int begin(struct transfer *t)
{
    const struct hv_migration *m = t->migration;
    struct hv_outcome *outcome = t->outcome;
    struct lv_prepare_op *guest = NULL;
    int r = lv_connect_ahead(t->hv, /* peer = */ NULL, &t->source, outcome);
    if (r >= 0)
        r = lv_connect_ahead(t->hv, m->peer, &t->destination, outcome);
    if (r >= 0)
        r = lv_prepare(t->hv, m, t->source, t->run, &guest, outcome);
    if (r >= 0)
        r = lv_look_ahead(t->hv, m, t->destination, outcome);
    if (r >= 0) {
        unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER;
        if (guest->look.defined)
            flags |= VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
        if (m->auto_converge)
            flags |= VIR_MIGRATE_AUTO_CONVERGE;
        if (m->unsafe)
            flags |= VIR_MIGRATE_UNSAFE;
        t->fenced = lv_choose_fence(m, outcome);
        if (t->fenced) {
            flags |= VIR_MIGRATE_PAUSED;
            if (!outcome->guest_paused)
                t->process = lv_open_process(t->hv, guest->name, m->uuid);
        }
        t->begin_limit = 2 * t->hv->connect_timeout + guest->memory / GIB * USEC_PER_SEC;
        t->call->flags = flags;
    }
    if (guest)
        lv_op_unref(&guest->op);
    return r;
}

static struct migrate_op *migrate_new(const struct hv_migration *m)
{
    struct migrate_op *call = calloc(1, sizeof(*call));
    if (!call)
        return NULL;
    bool have_address = m->address && m->address[0];
    call->peer = strdup(m->peer);
    call->address = have_address ? strdup(m->address) : NULL;
    call->bandwidth = m->bandwidth;
    if (!call->peer || (have_address && !call->address)) {
        migrate_drop(&call->op);
        return NULL;
    }
    return call;
}

static void transfer_done(struct transfer *t)
{
    if (t->process >= 0)
        close(t->process);
    for (int kind = 0; kind < SIDES; kind++)
        if (t->sides[kind])
            call_unref(&t->sides[kind]->call);
    lv_conn_unref(t->destination);
    if (t->source)
        lv_conn_give_up(t->source); /* the events of this guest go to this run */
    lv_conn_unref(t->source);
    lv_run_remove(t->hv, t->run);
    lv_run_unref(t->run);
}

void lv_hv_migrate(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome)
{
    lv_outcome_init(outcome);
    struct transfer t = {.hv = hv, .migration = migration, .outcome = outcome, .process = -1};
    t.run = lv_run_new(hv, migration->uuid);
    t.call = t.run ? migrate_new(migration) : NULL;
    if (!t.call) {
        lv_give(outcome, 0, RM_CLASS__CLASS_RETRY, "no memory");
        if (t.run)
            transfer_done(&t);
        return;
    }
    int r = begin(&t);
    if (r >= 0 && atomic_load(&t.run->stop))
        r = lv_give(outcome, -ECANCELED, RM_CLASS__CLASS_ABORTED,
                    "stopped on request before it began");
    if (r >= 0 && migration->begin_by != 0 && env_now(hv->env) >= migration->begin_by)
        r = lv_give(outcome, -ETIMEDOUT, RM_CLASS__CLASS_RETRY,
                    "the preparations took longer than the lease of this worker");
    if (r < 0) {
        migrate_drop(&t.call->op);
        transfer_done(&t);
        return;
    }
    lv_op_init(&t.call->op, t.source, migration->uuid, migrate_body);
    t.call->op.drop = migrate_drop;
    t.began_at = env_now(hv->env);
    t.figures_at = t.began_at + TICK_FIRST_FOR;
    stall_begin(&t.stall, migration, t.began_at);
    if (lv_op_start(&t.call->op, t.run->bell) < 0)
        lv_give(outcome, 0, RM_CLASS__CLASS_RETRY, "no thread for the migration");
    else if ((r = drive(&t)) == -ECANCELED)
        finish_called_off(&t);
    else if (r < 0)
        finish_given_up(&t);
    else if (t.call->op.result == 0)
        finish_success(&t);
    else
        finish_failure(&t, &t.call->op.error);
    lv_op_unref(&t.call->op);
    transfer_done(&t);
}
