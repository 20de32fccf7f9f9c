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
 *  1. The call returned success. libvirt's protocol is perform, finish (destination), confirm
 * (source): success means that finish said yes and that confirm ended the source's QEMU, or at
 * worst left it paused.
 *  2. The source's QEMU process is gone, told by a pidfd that was opened before the start, which
 * comes some 0.2 s sooner: libvirt polls for the end of a process. A process that is gone cannot be
 * resumed. But its end alone is no hand-over: the guest may have powered off, crashed, been
 * destroyed. So the destination is asked: only a guest that is paused there, with no migration job,
 * is resumed. Why that is enough, case by case:
 *      - QEMU ended in the middle of the copy: the destination is still coming in (job "migration
 * in") until its daemon ends it. Not resumed. libvirt would refuse a resume in that state as well:
 * the job holds the guest.
 *      - QEMU ended after the last byte, before the source's daemon took notice: the daemon finds
 * the guest gone, calls finish with "cancelled", the destination's copy is ended. It was coming in
 * up to then. Not resumed.
 *      - QEMU ended after finish said yes: confirm ended it, or it crashed, or somebody destroyed
 * it between. Its processors had been stopped since before finish, so the copy at the destination
 * is the newest there is, and the only one. Resumed.
 *      - finish said yes but the source's daemon did not hear it, and lets the guest go on: its
 * QEMU lives, no proof. The call returns an error, and nothing is resumed here; settling destroys
 * the paused copy. Should that QEMU end just before the call returns its error, the paused copy
 * would be older than what ran; the source had to run again first, and it says so (event
 * "resumed"): from then on the end of its process is no proof.
 *      - The destination had a copy of its own before: the migration is not begun at all.
 *      - The destination's daemon restarted meanwhile: it ends a guest whose migration had not come
 * to its end. A proof is asked for once; what it does not allow is left to the first proof, or to
 * settling (settle.c). */
#include "worker/hv_libvirt.h"
#include "worker/pace.h"

#include "conf/unit.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define MIB              UINT64_C(1048576)
#define GIB              (UINT64_C(1024) * MIB)
#define TICK_FIRST_FOR   (100 * USEC_PER_MSEC) /* the first figures after the start */
#define TICK_FOR         (250 * USEC_PER_MSEC) /* while young; then half a second */
#define YOUNG_FOR        (5 * USEC_PER_SEC)
#define ABORT_AGAIN_FOR  USEC_PER_SEC
#define EVENT_WAIT_FOR   (500 * USEC_PER_MSEC) /* for the final figures after the call's end */
#define RESUME_TRIES     3
#define PID_DIRECTORY    "/run/libvirt/qemu"
#define COMMAND_LINE_MAX (256 * 1024)

/* ---- runs: the migrations that are under way from here */

static struct lv_run *run_ref(struct lv_run *run)
{
    atomic_fetch_add(&run->refs, 1);
    return run;
}

static void run_unref(void *arg)
{
    struct lv_run *run = arg;
    if (!run || atomic_fetch_sub(&run->refs, 1) != 1)
        return;
    bell_unref(run->bell);
    pthread_mutex_destroy(&run->lock);
    free(run);
}

static struct lv_run *run_new(struct hv *hv, const char *uuid)
{
    struct lv_run *run = calloc(1, sizeof(*run));
    if (!run)
        return NULL;
    atomic_init(&run->refs, 1);
    atomic_init(&run->stop, false);
    pthread_mutex_init(&run->lock, NULL);
    snprintf(run->uuid, sizeof(run->uuid), "%s", uuid);
    run->env = hv->env;
    run->stats = (RmStats)RM_STATS__INIT;
    run->bell = bell_new();
    if (!run->bell) {
        run_unref(run);
        return NULL;
    }
    pthread_mutex_lock(&hv->lock);
    run->next = hv->runs;
    hv->runs = run_ref(run);
    pthread_mutex_unlock(&hv->lock);
    return run;
}

static void run_remove(struct hv *hv, struct lv_run *run)
{
    pthread_mutex_lock(&hv->lock);
    struct lv_run **at = &hv->runs;
    while (*at && *at != run)
        at = &(*at)->next;
    bool found = *at == run;
    if (found)
        *at = run->next;
    pthread_mutex_unlock(&hv->lock);
    if (found)
        run_unref(run);
}

static struct lv_run *run_find(struct hv *hv, const char *uuid)
{
    pthread_mutex_lock(&hv->lock);
    struct lv_run *run = hv->runs;
    while (run && strcmp(run->uuid, uuid) != 0)
        run = run->next;
    if (run)
        run_ref(run);
    pthread_mutex_unlock(&hv->lock);
    return run;
}

static void on_completed(virConnectPtr connect, virDomainPtr domain, virTypedParameterPtr params,
                         int n_params, void *opaque)
{
    (void)connect;
    (void)domain;
    struct lv_run *run = opaque;
    if (lv_operation(params, n_params) != VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)
        return;
    pthread_mutex_lock(&run->lock);
    lv_stats(params, n_params, &run->stats);
    run->stats.measured_downtime = true;
    run->completed = true;
    pthread_mutex_unlock(&run->lock);
    bell_ring(run->bell);
}

static void on_lifecycle(virConnectPtr connect, virDomainPtr domain, int event, int detail,
                         void *opaque)
{
    (void)connect;
    (void)domain;
    (void)detail;
    struct lv_run *run = opaque;
    pthread_mutex_lock(&run->lock);
    if (event == VIR_DOMAIN_EVENT_SUSPENDED && run->suspended_at == 0)
        run->suspended_at = env_now(run->env);
    if (event == VIR_DOMAIN_EVENT_RESUMED) {
        run->suspended_at = 0;
        run->ran_again = true;
    }
    pthread_mutex_unlock(&run->lock);
}

/* ---- what the source says of a guest that shall move */

struct prepare_op {
    struct lv_op op;
    struct lv_run *run; /* events are wanted for it; NULL: none */
    struct hv_look look;
    char *name;
    uint64_t memory; /* bytes */
    struct domxml facts;
};

static void prepare_drop(struct lv_op *op)
{
    struct prepare_op *ask = (struct prepare_op *)op;
    run_unref(ask->run);
    free(ask->name);
    domxml_done(&ask->facts);
    free(ask);
}

static void listen(struct prepare_op *ask, virDomainPtr domain, int event,
                   virConnectDomainEventGenericCallback on)
{
    struct lv_conn *conn = ask->op.conn;
    int id = virConnectDomainEventRegisterAny(conn->connect, domain, event, on, run_ref(ask->run),
                                              run_unref);
    if (id >= 0)
        conn->events[conn->n_events++] = id;
    else
        run_unref(ask->run); /* then figures come from the last poll */
}

static int prepare_guest(struct prepare_op *ask, virDomainPtr domain)
{
    const char *name = virDomainGetName(domain);
    char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_MIGRATABLE);
    if (!name || !xml) {
        free(xml);
        return lv_note(&ask->op);
    }
    ask->name = strdup(name);
    int r = ask->name ? domxml_read(xml, &ask->facts, &ask->op.err) : -ENOMEM;
    free(xml);
    if (r < 0)
        return r;
    ask->memory = (uint64_t)virDomainGetMaxMemory(domain) * 1024;
    if (ask->run) {
        listen(ask, domain, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
               VIR_DOMAIN_EVENT_CALLBACK(on_completed));
        listen(ask, domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE, VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
    }
    return 0;
}

static int prepare_body(struct lv_op *op)
{
    struct prepare_op *ask = (struct prepare_op *)op;
    int r = lv_look(op, &ask->look);
    if (r < 0 || !ask->look.active)
        return r;
    virDomainPtr domain = lv_guest(op);
    if (!domain)
        return -EIO;
    r = prepare_guest(ask, domain);
    virDomainFree(domain);
    return r;
}

/* ---- outcomes */

static int give(struct hv_outcome *outcome, int r, RmClass class_, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static int give(struct hv_outcome *outcome, int r, RmClass class_, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(outcome->text, sizeof(outcome->text), format, ap);
    va_end(ap);
    outcome->class_ = class_;
    return r;
}

/* A question before the start that was not answered: nothing has happened yet. */
static int give_unanswered(struct hv_outcome *outcome, int r, const struct hv_error *error,
                           const struct rm_err *err)
{
    RmClass class_ = hv_error_class(error);
    outcome->code = error->code;
    if (class_ != RM_CLASS__CLASS_UNFIT && class_ != RM_CLASS__CLASS_FATAL)
        class_ = RM_CLASS__CLASS_RETRY;
    return give(outcome, r, class_, "%s", err->text);
}

static void outcome_init(struct hv_outcome *outcome)
{
    *outcome = (struct hv_outcome){.stats = RM_STATS__INIT};
}

/* Which fence this guest gets. Returns true for the paused one. */
static bool choose_fence(const struct hv_migration *migration, const struct domxml *facts,
                         struct hv_outcome *outcome)
{
    /* With "unsafe" libvirt does not see shared storage, and locks may not reach from host to host.
     */
    bool guarded = facts->guarded && !migration->unsafe;
    bool paused = migration->fence == FENCE_ALWAYS || (migration->fence == FENCE_AUTO && !guarded);
    snprintf(outcome->fence, sizeof(outcome->fence), "%s",
             paused    ? "paused"
             : guarded ? "image lock"
                       : "none");
    return paused;
}

/* Asks the source about the guest. The op is the caller's, also when this fails. */
static int prepare(struct hv *hv, const struct hv_migration *migration, struct lv_conn *source,
                   struct lv_run *run, struct prepare_op **ret_ask, struct hv_outcome *outcome)
{
    struct rm_err err = {""};
    struct prepare_op *ask = calloc(1, sizeof(*ask));
    *ret_ask = ask;
    if (!ask)
        return give(outcome, -ENOMEM, RM_CLASS__CLASS_RETRY, "no memory");
    lv_op_init(&ask->op, source, migration->uuid, prepare_body);
    ask->op.drop = prepare_drop;
    ask->run = run ? run_ref(run) : NULL;
    int r = lv_op_run(hv, &ask->op, &err);
    if (r == -ETIMEDOUT || r == -EAGAIN)
        return give(outcome, r, RM_CLASS__CLASS_RETRY, "%s", err.text);
    if (r < 0)
        return give_unanswered(outcome, r, &ask->op.error, &err);
    const struct hv_look *look = &ask->look;
    outcome->guest_paused =
        look->state == RM_GUEST_STATE__GUEST_PAUSED && look->reason != HV_REASON_MIGRATING;
    if (look->state == RM_GUEST_STATE__GUEST_UNKNOWN && !look->active)
        return give(outcome, -ENOENT, RM_CLASS__CLASS_AMBIGUOUS, "the guest is not on %s",
                    hv->name);
    if (!look->active)
        return give(outcome, -ENOENT, RM_CLASS__CLASS_FATAL, "guest is shut off");
    if (look->state == RM_GUEST_STATE__GUEST_CRASHED)
        return give(outcome, -EINVAL, RM_CLASS__CLASS_FATAL, "guest has crashed");
    if (look->incoming)
        return give(outcome, -EBUSY, RM_CLASS__CLASS_RETRY, "the guest is just coming in");
    if (look->outgoing || look->reason == HV_REASON_MIGRATING ||
        look->state == RM_GUEST_STATE__GUEST_POSTCOPY)
        return give(outcome, -EBUSY, RM_CLASS__CLASS_AMBIGUOUS,
                    "the guest is in the middle of another migration");
    return 0;
}

/* What the destination knows of the guest. A copy that is active there forbids to begin. */
static int look_ahead(struct hv *hv, const struct hv_migration *migration,
                      struct lv_conn *destination, struct hv_outcome *outcome)
{
    struct hv_look look;
    struct hv_error error = {.code = 0};
    struct rm_err err = {""};
    int r = lv_hv_look(hv, destination, migration->uuid, &look, &error, &err);
    if (r < 0) {
        give_unanswered(outcome, r, &error, &err);
        char text[RM_ERR_MAX];
        memcpy(text, outcome->text, sizeof(text));
        snprintf(outcome->text, sizeof(outcome->text), "%s: %.1900s", migration->destination, text);
        return r;
    }
    outcome->had_definition = look.defined;
    if (look.incoming)
        return give(outcome, -EBUSY, RM_CLASS__CLASS_RETRY,
                    "a migration already brings the guest to %s", migration->destination);
    if (look.active)
        return give(outcome, -EEXIST, RM_CLASS__CLASS_AMBIGUOUS,
                    "the guest is already active on %s", migration->destination);
    return 0;
}

static int connect_ahead(struct hv *hv, const char *uri, struct lv_conn **ret_conn,
                         struct hv_outcome *outcome)
{
    struct hv_error error = {.code = 0};
    struct rm_err err = {""};
    int r = lv_connect(hv, uri, ret_conn, &error, &err);
    return r < 0 ? give_unanswered(outcome, r, &error, &err) : 0;
}

/* ---- check */

struct check_op {
    struct lv_op op;
    char *name;                            /* of the guest */
    char *arch, *machine, *virttype, *cpu; /* NULL: nothing to compare */
    char other_uuid[LV_UUID_MAX];          /* of the guest that has the name; "" = none */
    char *other_name;                      /* under which the uuid is known; NULL = none */
    struct hv_error cpu_error;             /* code 0: it fits */
};

static void check_drop(struct lv_op *op)
{
    struct check_op *ask = (struct check_op *)op;
    free(ask->name);
    free(ask->arch);
    free(ask->machine);
    free(ask->virttype);
    free(ask->cpu);
    free(ask->other_name);
    free(ask);
}

static int find_clashes(struct check_op *ask)
{
    virDomainPtr domain = lv_guest(&ask->op);
    if (domain) {
        const char *name = virDomainGetName(domain);
        ask->other_name = name && strcmp(name, ask->name) != 0 ? strdup(name) : NULL;
        virDomainFree(domain);
    } else if (!hv_error_is_no_guest(&ask->op.error)) {
        return -EIO;
    }
    ask->op.error.code = 0;
    domain = virDomainLookupByName(ask->op.conn->connect, ask->name);
    if (domain) {
        virDomainGetUUIDString(domain, ask->other_uuid);
        if (strcmp(ask->other_uuid, ask->op.uuid) == 0)
            ask->other_uuid[0] = '\0';
        virDomainFree(domain);
        return 0;
    }
    lv_note(&ask->op);
    if (!hv_error_is_no_guest(&ask->op.error))
        return -EIO;
    ask->op.error.code = 0;
    return 0;
}

static int check_body(struct lv_op *op)
{
    struct check_op *ask = (struct check_op *)op;
    int r = find_clashes(ask);
    if (r < 0 || !ask->cpu)
        return r;
    if (virConnectCompareHypervisorCPU(op->conn->connect, /* emulator = */ NULL, ask->arch,
                                       ask->machine, ask->virttype, ask->cpu,
                                       VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE) < 0) {
        lv_note(op);
        if (hv_error_is_connection(&op->error))
            return -EIO;
        /* Only a plain "does not fit" counts: a daemon or a CPU model that cannot be compared is no
         * reason. */
        if (op->error.code == VIR_ERR_CPU_INCOMPATIBLE ||
            op->error.code == VIR_ERR_CONFIG_UNSUPPORTED)
            ask->cpu_error = op->error;
        op->error.code = 0;
    }
    return 0;
}

/* The host's own uuid, asked once for each connection: the document is long. */
struct host_op {
    struct lv_op op;
    char uuid[LV_UUID_MAX];
    unsigned long version; /* of libvirt there */
};

static int host_body(struct lv_op *op)
{
    struct host_op *ask = (struct host_op *)op;
    pthread_mutex_lock(&op->conn->lock);
    memcpy(ask->uuid, op->conn->host_uuid, sizeof(ask->uuid));
    pthread_mutex_unlock(&op->conn->lock);
    if (virConnectGetLibVersion(op->conn->connect, &ask->version) < 0)
        return lv_note(op);
    if (ask->uuid[0])
        return 0;
    char *xml = virConnectGetCapabilities(op->conn->connect);
    if (!xml)
        return lv_note(op);
    int r = domxml_host_uuid(xml, ask->uuid, sizeof(ask->uuid));
    free(xml);
    if (r < 0)
        return rm_fail(&op->err, r, "the capabilities of the hypervisor cannot be read");
    pthread_mutex_lock(&op->conn->lock);
    memcpy(op->conn->host_uuid, ask->uuid, sizeof(ask->uuid));
    pthread_mutex_unlock(&op->conn->lock);
    return 0;
}

static int ask_host(struct hv *hv, struct lv_conn *conn, char *ret_uuid, unsigned long *ret_version,
                    struct hv_outcome *outcome)
{
    struct rm_err err = {""};
    struct host_op *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return give(outcome, -ENOMEM, RM_CLASS__CLASS_RETRY, "no memory");
    lv_op_init(&ask->op, conn, NULL, host_body);
    int r = lv_op_run(hv, &ask->op, &err);
    if (r == 0) {
        memcpy(ret_uuid, ask->uuid, sizeof(ask->uuid));
        *ret_version = ask->version;
    } else {
        give(outcome, r, RM_CLASS__CLASS_RETRY, "%s", err.text);
    }
    lv_op_unref(&ask->op);
    return r;
}

/* Words of the document as owned strings; "" becomes NULL. */
static bool copy_words(struct check_op *ask, const struct prepare_op *guest)
{
    const struct domxml *facts = &guest->facts;
    ask->name = strdup(guest->name);
    if (!ask->name)
        return false;
    if (!facts->cpu)
        return true;
    ask->cpu = strdup(facts->cpu);
    ask->arch = facts->arch[0] ? strdup(facts->arch) : NULL;
    ask->machine = facts->machine[0] ? strdup(facts->machine) : NULL;
    ask->virttype = facts->virttype[0] ? strdup(facts->virttype) : NULL;
    return ask->cpu != NULL;
}

static int check_destination(struct hv *hv, const struct hv_migration *migration,
                             struct lv_conn *destination, const struct prepare_op *guest,
                             struct hv_outcome *outcome)
{
    struct rm_err err = {""};
    struct check_op *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return give(outcome, -ENOMEM, RM_CLASS__CLASS_RETRY, "no memory");
    lv_op_init(&ask->op, destination, migration->uuid, check_body);
    ask->op.drop = check_drop;
    int r = copy_words(ask, guest) ? lv_op_run(hv, &ask->op, &err) : -ENOMEM;
    if (r < 0) {
        give(outcome, r, RM_CLASS__CLASS_RETRY, "%s: %s", migration->destination, err.text);
    } else if (ask->other_uuid[0]) {
        r = give(outcome, -EEXIST, RM_CLASS__CLASS_UNFIT,
                 "%s has another guest of that name, with uuid %s", migration->destination,
                 ask->other_uuid);
    } else if (ask->other_name) {
        r = give(outcome, -EEXIST, RM_CLASS__CLASS_UNFIT, "%s knows that uuid as guest '%s'",
                 migration->destination, ask->other_name);
    } else if (ask->cpu_error.code != 0) {
        char text[RM_ERR_MAX];
        outcome->code = ask->cpu_error.code;
        r = give(outcome, -EOPNOTSUPP, RM_CLASS__CLASS_UNFIT, "%s",
                 hv_error_text(&ask->cpu_error, text));
    }
    lv_op_unref(&ask->op);
    return r;
}

static int check_devices(const struct domxml *facts, unsigned long version,
                         struct hv_outcome *outcome)
{
    /* libvirt 9.0 refuses each assigned host device; later ones let some of them migrate and know
     * it better. */
    enum { HOST_DEVICES_REFUSED_BELOW = 9001000 };
    if (facts->blocker[0])
        return give(outcome, -EINVAL, RM_CLASS__CLASS_FATAL, "%s", facts->blocker);
    if (facts->host_device[0] && version < HOST_DEVICES_REFUSED_BELOW)
        return give(outcome, -EINVAL, RM_CLASS__CLASS_FATAL,
                    "it has a device of the host (%s) that cannot be taken along",
                    facts->host_device);
    return 0;
}

int lv_hv_check(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome)
{
    outcome_init(outcome);
    if (!migration->peer || !migration->peer[0])
        return give(outcome, -EINVAL, RM_CLASS__CLASS_UNFIT,
                    "%s has no address for other hypervisors (setting peer)",
                    migration->destination);
    struct lv_conn *source = NULL, *destination = NULL;
    struct prepare_op *guest = NULL;
    struct hv_error error = {.code = 0};
    struct rm_err err = {""};
    char uuids[2][LV_UUID_MAX];
    unsigned long version = 0, ignored;
    int r = lv_conn_get(hv, /* peer = */ NULL, &source, &error, &err);
    if (r >= 0)
        r = lv_conn_get(hv, migration->peer, &destination, &error, &err);
    if (r < 0)
        give_unanswered(outcome, r, &error, &err);
    if (r >= 0)
        r = prepare(hv, migration, source, /* run = */ NULL, &guest, outcome);
    if (r >= 0) {
        choose_fence(migration, &guest->facts, outcome);
        r = ask_host(hv, source, uuids[0], &version, outcome);
    }
    if (r >= 0)
        r = ask_host(hv, destination, uuids[1], &ignored, outcome);
    if (r >= 0 && uuids[0][0] && strcmp(uuids[0], uuids[1]) == 0)
        r = give(outcome, -EINVAL, RM_CLASS__CLASS_UNFIT, "%s is the same host as %s",
                 migration->destination, hv->name);
    if (r >= 0)
        r = check_devices(&guest->facts, version, outcome);
    if (r >= 0)
        r = look_ahead(hv, migration, destination, outcome);
    if (r >= 0)
        r = check_destination(hv, migration, destination, guest, outcome);
    if (guest)
        lv_op_unref(&guest->op);
    lv_conn_unref(destination);
    lv_conn_unref(source);
    return r;
}

/* ---- progress and abort, for a run of ours as for one that was found */

struct job_op {
    struct lv_op op;
    bool stop;                   /* abort it */
    unsigned long long downtime; /* ms to be set; 0 = leave it */
    bool outgoing, downtime_set;
    RmStats stats;
};

static int job_body(struct lv_op *op)
{
    struct job_op *ask = (struct job_op *)op;
    virDomainPtr domain = lv_guest(op);
    if (!domain)
        return -EIO;
    int type = VIR_DOMAIN_JOB_NONE, n_params = 0, r = 0;
    virTypedParameterPtr params = NULL;
    if (virDomainGetJobStats(domain, &type, &params, &n_params, 0) < 0) {
        r = lv_note(op);
    } else {
        ask->outgoing = (type == VIR_DOMAIN_JOB_UNBOUNDED || type == VIR_DOMAIN_JOB_BOUNDED) &&
                        lv_operation(params, n_params) == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
        lv_stats(params, n_params, &ask->stats);
        virTypedParamsFree(params, n_params);
        if (ask->outgoing && ask->downtime)
            ask->downtime_set = virDomainMigrateSetMaxDowntime(domain, ask->downtime, 0) == 0;
        /* Only a migration is stopped: virDomainAbortJob() would end a backup just as well. */
        if (ask->outgoing && ask->stop && virDomainAbortJob(domain) < 0)
            r = lv_note(op);
    }
    virDomainFree(domain);
    return r;
}

/* -ENOENT: no migration goes out. */
static int job_result(struct hv *hv, struct job_op *ask, struct rm_err *err)
{
    int r = lv_op_run(hv, &ask->op, err);
    if (r == -ETIMEDOUT || r == -EAGAIN)
        return r;
    if (r < 0) /* "not found" and "not running" are how a migration looks that has just ended */
        return hv_error_class(&ask->op.error) == RM_CLASS__CLASS_AMBIGUOUS &&
                       !hv_error_is_connection(&ask->op.error)
                   ? -ENOENT
                   : r;
    return ask->outgoing ? 0 : -ENOENT;
}

/* Figures; downtime (ms) is set on the way where it is not 0. */
static int ask_progress(struct hv *hv, const char *uuid, unsigned long long downtime,
                        RmStats *ret_stats, bool *ret_downtime_set)
{
    struct lv_conn *conn;
    int r = lv_conn_get(hv, /* peer = */ NULL, &conn, NULL, NULL);
    if (r < 0)
        return r;
    struct job_op *ask = calloc(1, sizeof(*ask));
    r = -ENOMEM;
    if (ask) {
        lv_op_init(&ask->op, conn, uuid, job_body);
        ask->downtime = downtime;
        r = job_result(hv, ask, NULL);
        if (r == 0) {
            *ret_stats = ask->stats;
            *ret_downtime_set = ask->downtime_set;
        }
        lv_op_unref(&ask->op);
    }
    lv_conn_unref(conn);
    return r;
}

int lv_hv_progress(struct hv *hv, const char *uuid, RmStats *ret_stats)
{
    bool ignored;
    return ask_progress(hv, uuid, /* downtime = */ 0, ret_stats, &ignored);
}

/* Over a connection of its own: the shared one may be full of questions that hang. */
static int abort_now(struct hv *hv, const char *uuid, struct rm_err *err)
{
    struct lv_conn *conn;
    int r = lv_connect(hv, hv->control.uri, &conn, NULL, err);
    if (r < 0)
        return r;
    struct job_op *ask = calloc(1, sizeof(*ask));
    r = -ENOMEM;
    if (ask) {
        lv_op_init(&ask->op, conn, uuid, job_body);
        ask->stop = true;
        r = job_result(hv, ask, err);
        lv_op_unref(&ask->op);
    }
    lv_conn_unref(conn);
    return r == -ENOENT ? 0 : r;
}

int lv_hv_abort(struct hv *hv, const char *uuid, struct rm_err *err)
{
    struct lv_run *run = run_find(hv, uuid);
    if (!run)
        return abort_now(hv, uuid, err);
    /* Its own thread does it, and knows then who stopped it. */
    atomic_store(&run->stop, true);
    bell_ring(run->bell);
    run_unref(run);
    return 0;
}

/* ---- the resume behind the fence */

struct resume_op {
    struct lv_op op;
};

/* 0: it runs there now. -EAGAIN: it is not handed over, or not yet. */
static int resume_body(struct lv_op *op)
{
    struct hv_look look;
    int r = lv_look(op, &look);
    if (r < 0)
        return r;
    if (look.active && look.state == RM_GUEST_STATE__GUEST_RUNNING)
        return 0;
    if (!look.active || look.incoming || look.outgoing ||
        look.state != RM_GUEST_STATE__GUEST_PAUSED ||
        (look.reason != HV_REASON_USER && look.reason != HV_REASON_MIGRATING))
        return rm_fail(&op->err, -EAGAIN, "the destination has no paused guest to be resumed");
    virDomainPtr domain = lv_guest(op);
    if (!domain)
        return -EIO;
    r = virDomainResume(domain) < 0 ? lv_note(op) : 0;
    virDomainFree(domain);
    return r;
}

static int resume_now(struct hv *hv, struct lv_conn *destination, const char *uuid,
                      struct rm_err *err)
{
    struct resume_op *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return rm_fail(err, -ENOMEM, "no memory");
    lv_op_init(&ask->op, destination, uuid, resume_body);
    int r = lv_op_run(hv, &ask->op, err);
    lv_op_unref(&ask->op);
    return r;
}

/* The source's QEMU as a descriptor that becomes readable at its end; -1: it cannot be watched from
 * here. The process is held before it is looked at, so that a pid which was given anew cannot
 * deceive. */
static int open_process(const struct hv *hv, const char *name, const char *uuid)
{
    char path[sizeof(PID_DIRECTORY) + CONF_NAME_MAX + 8], text[32] = "";
    if (!hv->local || strchr(name, '/') || strlen(name) > CONF_NAME_MAX)
        return -1;
    snprintf(path, sizeof(path), PID_DIRECTORY "/%s.pid", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    ssize_t n = read(file, text, sizeof(text) - 1);
    close(file);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    int fd = pid > 1 && pid <= INT32_MAX ? pidfd_open((pid_t)pid, 0) : -1;
    if (fd < 0)
        return -1;
    bool ours = false;
    snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
    char *line = malloc(COMMAND_LINE_MAX);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (line && file >= 0) {
        size_t length = 0;
        while (length < COMMAND_LINE_MAX &&
               (n = read(file, line + length, COMMAND_LINE_MAX - length)) > 0)
            length += (size_t)n;
        static const char word[] = "-uuid";
        size_t uuid_size = strlen(uuid) + 1;
        for (size_t i = 0; !ours && i + sizeof(word) + uuid_size <= length; i++)
            ours = (i == 0 || line[i - 1] == '\0') && memcmp(line + i, word, sizeof(word)) == 0 &&
                   memcmp(line + i + sizeof(word), uuid, uuid_size) == 0;
    }
    if (file >= 0)
        close(file);
    free(line);
    struct pollfd end = {.fd = fd, .events = POLLIN};
    if (!ours || poll(&end, 1, 0) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

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
            ask_progress(side->hv, uuid, side->downtime, &side->stats, &side->downtime_set);
    else if (side->kind == SIDE_ABORT)
        side->result = abort_now(side->hv, uuid, &side->err);
    else
        side->result = resume_now(side->hv, side->destination, uuid, &side->err);
    side->ended_at = env_now(side->hv->env);
}

static void side_release(struct call *call)
{
    struct side *side = (struct side *)call;
    lv_conn_unref(side->destination);
    run_unref(side->run);
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
    side->run = run_ref(a->run);
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
        if (kind == SIDE_FIGURES && side->result == 0) {
            a->downtime_set = a->downtime_set || side->downtime_set;
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

/* Until the call has ended: 0; or it is given up: -ETIMEDOUT. */
static int drive(struct attempt *a)
{
    struct hv *hv = a->hv;
    usec_t patience = hv->connect_timeout + hv->call_timeout;
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
        usec_t limit_at = a->resumed_at   ? a->resumed_at + patience
                          : a->stopped_at ? a->stopped_at + patience
                                          : USEC_NEVER;
        if (now >= limit_at)
            return -ETIMEDOUT;
        usec_t next_at = a->sides[SIDE_FIGURES] ? now + TICK_FOR : a->figures_at;
        wait_for_anything(a, now, next_at < now + TICK_FOR ? next_at : now + TICK_FOR);
    }
}

/* The first proof: the call said yes. */
static void resume_after_success(struct attempt *a)
{
    struct side *side = a->sides[SIDE_RESUME];
    usec_t patience = a->hv->connect_timeout + a->hv->call_timeout;
    if (side) { /* the second proof came first and is at it */
        if (call_wait(&side->call, env_now(a->hv->env) + patience) == 0)
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
        if (resume_now(a->hv, a->destination, a->run->uuid, &err) < 0)
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
        give(outcome, 0, hv_error_class(error), "%s", text);
        return;
    }
    /* After an abort of ours the error is whatever broke first: it says nothing about the reason.
     */
    give(outcome, 0, a->cancelled ? RM_CLASS__CLASS_ABORTED : RM_CLASS__CLASS_RETRY, "%s (%.1500s)",
         a->stop_text, text);
}

static void finish_given_up(struct attempt *a)
{
    char span[UNIT_TEXT_MAX];
    usec_t patience = a->hv->connect_timeout + a->hv->call_timeout;
    lv_conn_give_up(a->source);
    a->outcome->stats = a->pace.last;
    give(a->outcome, 0, RM_CLASS__CLASS_AMBIGUOUS,
         "%.1900s: libvirt did not end the call within %s",
         a->resumed_at ? "the guest was handed over" : a->stop_text,
         unit_duration_text(patience, span));
}

/* Everything before the call: nothing has happened when this fails. */
static int begin(struct attempt *a)
{
    const struct hv_migration *m = a->migration;
    struct hv_outcome *outcome = a->outcome;
    struct prepare_op *guest = NULL;
    int r = connect_ahead(a->hv, a->hv->control.uri, &a->source, outcome);
    if (r >= 0)
        r = connect_ahead(a->hv, m->peer, &a->destination, outcome);
    if (r >= 0)
        r = prepare(a->hv, m, a->source, a->run, &guest, outcome);
    if (r >= 0)
        r = look_ahead(a->hv, m, a->destination, outcome);
    if (r >= 0) {
        unsigned flags = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER;
        if (guest->look.defined)
            flags |= VIR_MIGRATE_PERSIST_DEST | VIR_MIGRATE_UNDEFINE_SOURCE;
        if (m->auto_converge)
            flags |= VIR_MIGRATE_AUTO_CONVERGE;
        if (m->unsafe)
            flags |= VIR_MIGRATE_UNSAFE;
        a->fenced = choose_fence(m, &guest->facts, outcome);
        if (a->fenced) {
            flags |= VIR_MIGRATE_PAUSED;
            if (!outcome->guest_paused)
                a->process = open_process(a->hv, guest->name, m->uuid);
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
    run_remove(a->hv, a->run);
    run_unref(a->run);
}

void lv_hv_migrate(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome)
{
    outcome_init(outcome);
    struct attempt a = {.hv = hv, .migration = migration, .outcome = outcome, .process = -1};
    a.run = run_new(hv, migration->uuid);
    a.call = a.run ? migrate_new(migration) : NULL;
    if (!a.call) {
        give(outcome, 0, RM_CLASS__CLASS_RETRY, "no memory");
        if (a.run)
            attempt_done(&a);
        return;
    }
    int r = begin(&a);
    if (r >= 0 && atomic_load(&a.run->stop))
        r = give(outcome, -ECANCELED, RM_CLASS__CLASS_ABORTED,
                 "stopped on request before it began");
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
        give(outcome, 0, RM_CLASS__CLASS_RETRY, "no thread for the migration");
    else if (drive(&a) < 0)
        finish_given_up(&a);
    else if (a.call->op.result == 0)
        finish_success(&a);
    else
        finish_failure(&a, &a.call->op.error);
    lv_op_unref(&a.call->op);
    attempt_done(&a);
}
