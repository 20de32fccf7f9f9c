/* hv_libvirt_migrate.c - the seam over libvirt: moving a guest, with a fence, a pace and an end
 *
 * A migration is peer-to-peer: the daemons do it between themselves, and it survives the worker.
 * migrate() starts the call in a thread of its own and then waits at one poll(2) for whatever comes
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
 *    (source): success means that finish said yes and that confirm ended the source's QEMU, or at
 *    worst left it paused.
 *
 * 2. The source's QEMU process is gone, told by a pidfd that was opened before the start. This
 * comes some 0.2 s sooner: libvirt polls for the end of a process. What is gone cannot be resumed.
 * But the end alone is no hand-over: the guest may have powered off, crashed, been destroyed. So
 * the destination is asked, and only a guest that is paused there without a migration job is
 * resumed. Why that is enough, case by case:
 *
 *    a. QEMU ended in the middle of the copy: the destination is still coming in (job "migration
 *       in") until its daemon ends it. Not resumed. libvirt would refuse it in that state as well:
 *       the job holds the guest.
 *
 *    b. QEMU ended after the last byte, before the source's daemon took notice: the daemon finds
 * the guest gone, calls finish with "cancelled", the destination's copy is ended. It was coming in
 *       up to then. Not resumed.
 *
 *    c. QEMU ended after finish said yes: confirm ended it, or it crashed, or somebody destroyed it
 *       between. Its processors had been stopped since before finish, so the copy at the
 * destination is the newest there is, and the only one. Resumed.
 *
 *    d. Finish said yes but the source's daemon did not hear it, and lets the guest go on: its QEMU
 *       lives, no proof. The call returns an error, and nothing is resumed here; settling destroys
 *       the paused copy. Should that QEMU end just before the call returns its error, the paused
 *       copy would be older than what ran; but then the source ran again first, and said so (event
 *       "resumed"): from then on the end of its process is no proof.
 *
 *    e. The destination had an active copy of its own before: the migration is not begun at all.
 *
 *    f. The destination's daemon restarted meanwhile: it ends a guest whose migration had not come
 * to its end.
 *
 *    This proof is asked for once; what it does not allow is left to the first one, or to settling
 *    (settle.c). */
#include "worker/hv_libvirt.h"
#include "worker/pace.h"

#include "conf/unit.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB             UINT64_C(1048576)
#define GIB             (UINT64_C(1024) * MIB)
#define TICK_FIRST_FOR  (100 * USEC_PER_MSEC) /* the first figures after the start */
#define TICK_FOR        (250 * USEC_PER_MSEC) /* while young; then half a second */
#define YOUNG_FOR       (5 * USEC_PER_SEC)
#define ABORT_AGAIN_FOR USEC_PER_SEC
#define AFTER_HANG_FOR  (30 * USEC_PER_SEC)
#define EVENT_WAIT_FOR  (500 * USEC_PER_MSEC) /* for the final figures after the call's end */
/* A connect of libvirt's to an address that swallows everything cannot be aborted; the kernel ends
 * it after 127 s. No data flows meanwhile, so waiting harms nothing and ends in a clear answer. */
#define SILENT_FOR   (150 * USEC_PER_SEC)
#define RESUME_TRIES 3

/* ---- the migrate call */

struct migrate_op {
    struct lv_op op;
    char *peer, *address; /* address NULL = the destination's own choice */
    unsigned flags;
    uint64_t bandwidth; /* bytes/s */
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
                                 (ask->bandwidth + MIB - 1) / MIB) < 0) ||
        virDomainMigrateToURI3(domain, ask->peer, params, (unsigned)n_params, ask->flags) < 0)
        lv_note(op);
    else
        r = 0;
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

struct attempt {
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
    struct pace pace;
    usec_t began_at, figures_at, abort_at; /* abort_at: when to say it (again) */
    usec_t stopped_at, resumed_at;         /* 0 = not */
    bool cancelled;                        /* stopped because somebody asked */
    char stop_text[RM_ERR_MAX];
};

static void start_side(struct attempt *a, enum side_kind kind)
{
    if (a->sides[kind])
        return;
    struct side *side = calloc(1, sizeof(*side));
    if (!side)
        return;
    call_init(&side->call, side_run, side_release);
    side->kind = kind;
    side->hv = lv_hv_ref(a->hv);
    side->run = lv_run_ref(a->run);
    side->destination = kind == SIDE_RESUME ? lv_conn_ref(a->destination) : NULL;
    if (kind == SIDE_FIGURES && !a->downtime_set && a->migration->downtime)
        side->downtime = (a->migration->downtime + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
    side->stats = (RmStats)RM_STATS__INIT;
    if (call_start(&side->call, a->run->bell) < 0)
        call_unref(&side->call); /* the next tick tries again */
    else
        a->sides[kind] = side;
}

static void take_resume(struct attempt *a, const struct side *side, const char *proof)
{
    if (side->result < 0)
        return;
    a->resumed_at = side->ended_at;
    a->outcome->resumed = true;
    snprintf(a->outcome->resumed_by, sizeof(a->outcome->resumed_by), "%s", proof);
}

/* What has come back from the sides. */
static void take_sides(struct attempt *a, usec_t now)
{
    for (int kind = 0; kind < SIDES; kind++) {
        struct side *side = a->sides[kind];
        if (!side || !call_ended(&side->call))
            continue;
        a->sides[kind] = NULL;
        /* A question that hangs keeps one of the daemon's few workers: not one more each second. */
        if (side->result == -ETIMEDOUT)
            *(kind == SIDE_ABORT ? &a->abort_at : &a->figures_at) = now + AFTER_HANG_FOR;
        if (kind == SIDE_FIGURES && side->result == 0) {
            a->downtime_set = a->downtime_set || side->downtime_set;
            atomic_store(&a->run->begun, true);
            pace_figures(&a->pace, &side->stats, now);
            if (a->migration->progress)
                a->migration->progress(a->migration->ctx, &side->stats);
        } else if (kind == SIDE_RESUME) {
            take_resume(a, side, "source process gone");
        }
        call_unref(&side->call);
    }
}

static void ask_figures(struct attempt *a, usec_t now)
{
    if (now < a->figures_at || a->resumed_at)
        return;
    start_side(a, SIDE_FIGURES);
    a->figures_at = now + (now - a->began_at < YOUNG_FOR ? TICK_FOR : 2 * TICK_FOR);
}

/* Is it time to stop, and why. Once the guest runs at the destination there is nothing left to
 * stop. */
static void decide_stop(struct attempt *a, usec_t now)
{
    if (a->stopped_at || a->resumed_at)
        return;
    char span[UNIT_TEXT_MAX];
    if (atomic_load(&a->run->stop)) {
        a->cancelled = true;
        snprintf(a->stop_text, sizeof(a->stop_text), "stopped on request");
    } else if (a->pace.minimum == UINT64_MAX && now - a->began_at >= a->begin_limit) {
        snprintf(a->stop_text, sizeof(a->stop_text),
                 "the copy did not begin within %s: the data may not reach %s at %s, stopped",
                 unit_duration_text(a->begin_limit, span), a->migration->destination,
                 a->call->address ? a->call->address : "the address that it gave");
    } else if (!pace_is_over(&a->pace, now, a->stop_text, sizeof(a->stop_text))) {
        return;
    }
    a->stopped_at = now;
    a->abort_at = now;
}

static bool ran_again(struct attempt *a)
{
    pthread_mutex_lock(&a->run->lock);
    bool again = a->run->ran_again;
    pthread_mutex_unlock(&a->run->lock);
    return again;
}

/* The source's QEMU has ended: the second proof, unless the guest had gone on there. */
static void process_ended(struct attempt *a)
{
    close(a->process);
    a->process = -1;
    if (!ran_again(a))
        start_side(a, SIDE_RESUME);
}

/* Waits at most until `until_at` for anything. */
static void wait_for_anything(struct attempt *a, usec_t now, usec_t until_at)
{
    struct pollfd fds[] = {{.fd = bell_fd(a->run->bell), .events = POLLIN},
                           {.fd = a->process, .events = POLLIN}};
    usec_t wait_for = until_at > now ? until_at - now : 0;
    struct timespec ts = {.tv_sec = (time_t)(wait_for / USEC_PER_SEC),
                          .tv_nsec = (long)(wait_for % USEC_PER_SEC) * 1000};
    if (ppoll(fds, 2, &ts, NULL) <= 0)
        return;
    if (fds[0].revents)
        bell_clear(a->run->bell);
    if (fds[1].revents)
        process_ended(a);
}

/* How long the call may take to end when it has to. */
static usec_t patience(const struct attempt *a)
{
    usec_t span = a->hv->connect_timeout + a->hv->call_timeout;
    bool silent = !a->resumed_at && a->pace.minimum == UINT64_MAX;
    return silent && span < SILENT_FOR ? SILENT_FOR : span;
}

/* Until the call has ended: 0; or it is given up: -ETIMEDOUT. */
static int drive(struct attempt *a)
{
    struct hv *hv = a->hv;
    for (;;) {
        usec_t now = env_now(hv->env);
        take_sides(a, now);
        if (call_ended(&a->call->op.call))
            return 0;
        decide_stop(a, now);
        ask_figures(a, now);
        if (a->stopped_at && !a->resumed_at && now >= a->abort_at) {
            start_side(a, SIDE_ABORT); /* again and again: the job may not have begun yet */
            a->abort_at = now + ABORT_AGAIN_FOR;
        }
        usec_t since_at = a->resumed_at ? a->resumed_at : a->stopped_at;
        if (since_at && now >= since_at + patience(a))
            return -ETIMEDOUT;
        usec_t next_at = a->sides[SIDE_FIGURES] ? now + TICK_FOR : a->figures_at;
        wait_for_anything(a, now, next_at < now + TICK_FOR ? next_at : now + TICK_FOR);
    }
}

/* The first proof: the call said yes. */
static void resume_after_success(struct attempt *a)
{
    struct side *side = a->sides[SIDE_RESUME];
    if (side) { /* the second proof came first and is at it */
        usec_t span = a->hv->connect_timeout + a->hv->call_timeout;
        if (call_wait(&side->call, env_now(a->hv->env) + span) == 0)
            take_resume(a, side, "source process gone");
        call_unref(&side->call);
        a->sides[SIDE_RESUME] = NULL;
    }
    struct rm_err err = {""};
    for (int i = 0; i < RESUME_TRIES && !a->outcome->resumed; i++) {
        if (lv_conn_is_dead(a->destination)) {
            struct lv_conn *again;
            if (lv_connect(a->hv, a->migration->peer, &again, NULL, &err) < 0)
                continue;
            lv_conn_unref(a->destination);
            a->destination = again;
        }
        if (lv_resume_now(a->hv, a->destination, a->run->uuid, &err) < 0)
            continue;
        a->resumed_at = env_now(a->hv->env);
        a->outcome->resumed = true;
        snprintf(a->outcome->resumed_by, sizeof(a->outcome->resumed_by), "call returned");
    }
}

/* The final figures come by an event, a moment before or after the call's end. */
static void wait_for_figures(struct attempt *a)
{
    usec_t until_at = env_now(a->hv->env) + EVENT_WAIT_FOR;
    for (;;) {
        pthread_mutex_lock(&a->run->lock);
        bool completed = a->run->completed;
        pthread_mutex_unlock(&a->run->lock);
        usec_t now = env_now(a->hv->env);
        if (completed || now >= until_at)
            return;
        wait_for_anything(a, now, until_at);
    }
}

static void finish_success(struct attempt *a)
{
    struct hv_outcome *outcome = a->outcome;
    outcome->ok = true;
    if (a->fenced && !outcome->guest_paused)
        resume_after_success(a);
    wait_for_figures(a);
    pthread_mutex_lock(&a->run->lock);
    outcome->stats = a->run->completed ? a->run->stats : a->pace.last;
    /* libvirt's figure ends when the destination is ready; behind the fence the guest waits a
     * little longer. */
    if (a->resumed_at && a->run->suspended_at && a->resumed_at > a->run->suspended_at) {
        outcome->stats.downtime_for = a->resumed_at - a->run->suspended_at;
        outcome->stats.measured_downtime = true;
    }
    pthread_mutex_unlock(&a->run->lock);
}

static void finish_failure(struct attempt *a, const struct hv_error *error)
{
    struct hv_outcome *outcome = a->outcome;
    char text[RM_ERR_MAX];
    outcome->stats = a->pace.last;
    outcome->code = error->code;
    hv_error_text(error, text);
    if (!a->stopped_at) {
        lv_give(outcome, 0, hv_error_class(error), "%s", text);
        return;
    }
    /* After an abort of ours the error is whatever broke first: it says nothing about the reason.
     */
    lv_give(outcome, 0, a->cancelled ? RM_CLASS__CLASS_ABORTED : RM_CLASS__CLASS_RETRY,
            "%s (%.1500s)", a->stop_text, text);
}

static void finish_given_up(struct attempt *a)
{
    char span[UNIT_TEXT_MAX];
    lv_conn_give_up(a->source);
    a->outcome->stats = a->pace.last;
    lv_give(a->outcome, 0, RM_CLASS__CLASS_AMBIGUOUS,
            "%.1900s: libvirt did not end the call within %s",
            a->resumed_at ? "the guest was handed over" : a->stop_text,
            unit_duration_text(patience(a), span));
}

/* Everything before the call: nothing has happened when this fails. */
static int begin(struct attempt *a)
{
    const struct hv_migration *m = a->migration;
    struct hv_outcome *outcome = a->outcome;
    struct lv_prepare_op *guest = NULL;
    int r = lv_connect_ahead(a->hv, a->hv->control.uri, &a->source, outcome);
    if (r >= 0)
        r = lv_connect_ahead(a->hv, m->peer, &a->destination, outcome);
    if (r >= 0)
        r = lv_prepare(a->hv, m, a->source, a->run, &guest, outcome);
    if (r >= 0)
        r = lv_look_ahead(a->hv, m, a->destination, outcome);
    if (r >= 0) {
        unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER;
        if (guest->look.defined)
            flags |= VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
        if (m->auto_converge)
            flags |= VIR_MIGRATE_AUTO_CONVERGE;
        if (m->unsafe)
            flags |= VIR_MIGRATE_UNSAFE;
        a->fenced = lv_choose_fence(m, &guest->facts, outcome);
        if (a->fenced) {
            flags |= VIR_MIGRATE_PAUSED;
            if (!outcome->guest_paused)
                a->process = lv_open_process(a->hv, guest->name, m->uuid);
        }
        a->begin_limit = 2 * a->hv->connect_timeout + guest->memory / GIB * USEC_PER_SEC;
        a->call->flags = flags;
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

static void attempt_done(struct attempt *a)
{
    if (a->process >= 0)
        close(a->process);
    for (int kind = 0; kind < SIDES; kind++)
        if (a->sides[kind])
            call_unref(&a->sides[kind]->call);
    lv_conn_unref(a->destination);
    lv_conn_unref(a->source);
    lv_run_remove(a->hv, a->run);
    lv_run_unref(a->run);
}

void lv_hv_migrate(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome)
{
    lv_outcome_init(outcome);
    struct attempt a = {.hv = hv, .migration = migration, .outcome = outcome, .process = -1};
    a.run = lv_run_new(hv, migration->uuid);
    a.call = a.run ? migrate_new(migration) : NULL;
    if (!a.call) {
        lv_give(outcome, 0, RM_CLASS__CLASS_RETRY, "no memory");
        if (a.run)
            attempt_done(&a);
        return;
    }
    int r = begin(&a);
    if (r >= 0 && atomic_load(&a.run->stop))
        r = lv_give(outcome, -ECANCELED, RM_CLASS__CLASS_ABORTED,
                    "stopped on request before it began");
    if (r >= 0 && migration->begin_by != 0 && env_now(hv->env) >= migration->begin_by)
        r = lv_give(outcome, -ETIMEDOUT, RM_CLASS__CLASS_RETRY,
                    "the preparations took longer than the lease of this worker");
    if (r < 0) {
        migrate_drop(&a.call->op);
        attempt_done(&a);
        return;
    }
    lv_op_init(&a.call->op, a.source, migration->uuid, migrate_body);
    a.call->op.drop = migrate_drop;
    a.began_at = env_now(hv->env);
    a.figures_at = a.began_at + TICK_FIRST_FOR;
    pace_begin(&a.pace, migration->timeout, migration->stall, a.began_at);
    if (lv_op_start(&a.call->op, a.run->bell) < 0)
        lv_give(outcome, 0, RM_CLASS__CLASS_RETRY, "no thread for the migration");
    else if (drive(&a) < 0)
        finish_given_up(&a);
    else if (a.call->op.result == 0)
        finish_success(&a);
    else
        finish_failure(&a, &a.call->op.error);
    lv_op_unref(&a.call->op);
    attempt_done(&a);
}
