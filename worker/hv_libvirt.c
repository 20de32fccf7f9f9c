/* hv_libvirt.c - the seam over libvirt: a hypervisor, one look at a guest, small changes */
#include "worker/hv_libvirt.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- the hypervisor */

struct hv *lv_hv_ref(struct hv *hv)
{
    atomic_fetch_add(&hv->refs, 1);
    return hv;
}

void lv_hv_unref(struct hv *hv)
{
    if (!hv || atomic_fetch_sub(&hv->refs, 1) != 1)
        return;
    pthread_cond_destroy(&hv->changed);
    pthread_mutex_destroy(&hv->lock);
    free(hv->name);
    free(hv);
}

void lv_changed(struct hv *hv)
{
    pthread_mutex_lock(&hv->lock);
    hv->changes++;
    pthread_cond_broadcast(&hv->changed);
    pthread_mutex_unlock(&hv->lock);
}

/* The daemon's own files tell about this hypervisor only where the connection goes to this machine
 * by the socket that libvirt chooses: a socket named by hand may be a way to another one. */
static bool uri_is_local(const char *uri)
{
    return strcmp(uri, "qemu:///system") == 0 || strcmp(uri, "qemu+unix:///system") == 0;
}

static struct hv *hv_open(const struct conf_hypervisor *conf, const struct conf_worker *worker,
                          const struct env *env, struct rm_err *err)
{
    if (lv_library_init() < 0) {
        rm_fail(err, -EIO, "libvirt's library cannot be used");
        return NULL;
    }
    struct hv *hv = calloc(1, sizeof(*hv));
    if (!hv) {
        rm_fail(err, -ENOMEM, "no memory");
        return NULL;
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    atomic_init(&hv->refs, 1);
    pthread_mutex_init(&hv->lock, NULL);
    pthread_cond_init(&hv->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    hv->name = strdup(conf->name);
    hv->memory = conf->memory;
    hv->vcpus = conf->vcpus;
    hv->connect_timeout = worker->connect_timeout;
    hv->call_timeout = worker->call_timeout;
    hv->env = env;
    hv->local = uri_is_local(conf->connect);
    if (lv_slot_init(&hv->control, conf->connect, hv) < 0 || !hv->name) {
        rm_fail(err, -ENOMEM, "no memory");
        lv_slot_done(&hv->control);
        lv_hv_unref(hv);
        return NULL;
    }
    return hv;
}

/* Callbacks and calls that hang hold references: the memory goes when the last of them lets go. */
static void hv_close(struct hv *hv)
{
    if (!hv)
        return;
    lv_slot_done(&hv->control);
    while (hv->peers) {
        struct lv_slot *slot = hv->peers;
        hv->peers = slot->next;
        lv_slot_done(slot);
        free(slot);
    }
    lv_hv_unref(hv);
}

/* ---- figures of a job */

int lv_operation(virTypedParameterPtr params, int n_params)
{
    int operation = -1;
    virTypedParamsGetInt(params, n_params, VIR_DOMAIN_JOB_OPERATION, &operation);
    return operation;
}

static uint64_t job_value(virTypedParameterPtr params, int n_params, const char *name)
{
    unsigned long long value = 0;
    virTypedParamsGetULLong(params, n_params, name, &value);
    return value;
}

void lv_stats(virTypedParameterPtr params, int n_params, RmStats *ret_stats)
{
    RmStats stats = RM_STATS__INIT;
    stats.elapsed_for = job_value(params, n_params, VIR_DOMAIN_JOB_TIME_ELAPSED) * USEC_PER_MSEC;
    stats.downtime_for = job_value(params, n_params, VIR_DOMAIN_JOB_DOWNTIME) * USEC_PER_MSEC;
    stats.total = job_value(params, n_params, VIR_DOMAIN_JOB_DATA_TOTAL);
    stats.processed = job_value(params, n_params, VIR_DOMAIN_JOB_DATA_PROCESSED);
    stats.remaining = job_value(params, n_params, VIR_DOMAIN_JOB_DATA_REMAINING);
    stats.rate = job_value(params, n_params, VIR_DOMAIN_JOB_MEMORY_BPS) +
                 job_value(params, n_params, VIR_DOMAIN_JOB_DISK_BPS);
    stats.dirty_rate = job_value(params, n_params, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE) *
                       job_value(params, n_params, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE);
    stats.iterations = (uint32_t)job_value(params, n_params, VIR_DOMAIN_JOB_MEMORY_ITERATION);
    *ret_stats = stats;
}

/* ---- one look */

static enum hv_reason running_reason(int reason)
{
    switch (reason) {
    case VIR_DOMAIN_RUNNING_MIGRATED:
        return HV_REASON_MIGRATED;
    case VIR_DOMAIN_RUNNING_MIGRATION_CANCELED:
        return HV_REASON_MIGRATION_CANCELED;
    case VIR_DOMAIN_RUNNING_POSTCOPY:
        return HV_REASON_POSTCOPY;
    case VIR_DOMAIN_RUNNING_POSTCOPY_FAILED:
        return HV_REASON_POSTCOPY_FAILED;
    default:
        return HV_REASON_OTHER;
    }
}

static enum hv_reason paused_reason(int reason)
{
    switch (reason) {
    case VIR_DOMAIN_PAUSED_USER:
        return HV_REASON_USER;
    case VIR_DOMAIN_PAUSED_MIGRATION:
        return HV_REASON_MIGRATING;
    case VIR_DOMAIN_PAUSED_POSTCOPY:
        return HV_REASON_POSTCOPY;
    case VIR_DOMAIN_PAUSED_POSTCOPY_FAILED:
        return HV_REASON_POSTCOPY_FAILED;
    default:
        return HV_REASON_OTHER;
    }
}

static enum hv_reason shutoff_reason(int reason)
{
    switch (reason) {
    case VIR_DOMAIN_SHUTOFF_MIGRATED:
        return HV_REASON_MIGRATED;
    case VIR_DOMAIN_SHUTOFF_SHUTDOWN:
        return HV_REASON_SHUTDOWN;
    case VIR_DOMAIN_SHUTOFF_FAILED:
        return HV_REASON_FAILED;
    default:
        return HV_REASON_OTHER;
    }
}

void lv_set_state(struct hv_look *look, int state, int reason)
{
    look->reason = HV_REASON_OTHER;
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_SHUTDOWN: /* on its way to shut off; its processors may still run */
        look->state = RM_GUEST_STATE__GUEST_RUNNING;
        if (state == VIR_DOMAIN_RUNNING)
            look->reason = running_reason(reason);
        break;
    case VIR_DOMAIN_PAUSED:
        look->state = RM_GUEST_STATE__GUEST_PAUSED;
        look->reason = paused_reason(reason);
        break;
    case VIR_DOMAIN_PMSUSPENDED:
        look->state = RM_GUEST_STATE__GUEST_SUSPENDED;
        break;
    case VIR_DOMAIN_CRASHED:
        look->state = RM_GUEST_STATE__GUEST_CRASHED;
        break;
    case VIR_DOMAIN_SHUTOFF:
        look->state = RM_GUEST_STATE__GUEST_SHUTOFF;
        look->reason = shutoff_reason(reason);
        break;
    default:
        look->state = RM_GUEST_STATE__GUEST_UNKNOWN;
    }
    if (look->reason == HV_REASON_POSTCOPY || look->reason == HV_REASON_POSTCOPY_FAILED)
        look->state = RM_GUEST_STATE__GUEST_POSTCOPY;
}

/* Which way a migration of that active guest goes, if one does. */
static int look_at_job(struct lv_op *op, virDomainPtr domain, struct hv_look *look)
{
    int type = VIR_DOMAIN_JOB_NONE, n_params = 0;
    virTypedParameterPtr params = NULL;
    if (virDomainGetJobStats(domain, &type, &params, &n_params, 0) < 0) {
        lv_note(op);
        if (!hv_error_is_incoming(&op->error))
            return -EIO;
        op->error.code = 0;
        look->incoming = true;
        return 0;
    }
    int operation = lv_operation(params, n_params);
    if (type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED) {
        look->outgoing = operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
        look->incoming = operation == VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN;
    }
    virTypedParamsFree(params, n_params);
    return 0;
}

int lv_look(struct lv_op *op, struct hv_look *ret_look)
{
    struct hv_look look = {.state = RM_GUEST_STATE__GUEST_UNKNOWN};
    virDomainPtr domain = lv_guest(op);
    if (!domain) {
        if (!hv_error_is_no_guest(&op->error))
            return -EIO;
        op->error.code = 0;
        *ret_look = look;
        return 0;
    }
    int state, reason, r = -EIO;
    int active = virDomainIsActive(domain);
    int persistent = active < 0 ? -1 : virDomainIsPersistent(domain);
    if (persistent < 0 || virDomainGetState(domain, &state, &reason, 0) < 0) {
        lv_note(op);
        goto out;
    }
    look.active = active > 0;
    look.defined = persistent > 0;
    lv_set_state(&look, state, reason);
    r = look.active ? look_at_job(op, domain, &look) : 0;
    if (r == 0 && look.incoming)
        look.state = RM_GUEST_STATE__GUEST_INCOMING;
out:
    virDomainFree(domain);
    if (r == 0)
        *ret_look = look;
    return r;
}

struct look_op {
    struct lv_op op;
    struct hv_look look;
};

static int look_body(struct lv_op *op)
{
    /* A guest that ends or leaves between two questions answers the second with an error: ask
     * again. */
    int r = -EIO;
    for (int i = 0; i < 3 && r < 0; i++) {
        r = lv_look(op, &((struct look_op *)op)->look);
        if (r < 0 && hv_error_class(&op->error) != RM_CLASS__CLASS_AMBIGUOUS)
            break;
        if (r < 0 && hv_error_is_connection(&op->error))
            break;
    }
    if (r == 0)
        op->error.code = 0;
    return r;
}

int lv_hv_look(struct hv *hv, struct lv_conn *conn, const char *uuid, struct hv_look *ret_look,
               struct hv_error *error, struct rm_err *err)
{
    *ret_look = (struct hv_look){.answered = false};
    struct look_op *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return rm_fail(err, -ENOMEM, "no memory");
    lv_op_init(&ask->op, conn, uuid, look_body);
    int r = lv_op_run(hv, &ask->op, err);
    if (r == 0) {
        *ret_look = ask->look;
        ret_look->answered = true;
    } else if (r != -ETIMEDOUT && r != -EAGAIN && error) {
        *error = ask->op.error;
    }
    lv_op_unref(&ask->op);
    return r;
}

static int hv_look(struct hv *hv, const char *peer, const char *uuid, struct hv_look *ret_look,
                   struct rm_err *err)
{
    *ret_look = (struct hv_look){.answered = false};
    struct lv_conn *conn;
    if (lv_conn_get(hv, peer, &conn, NULL, err) < 0)
        return 0;
    lv_hv_look(hv, conn, uuid, ret_look, NULL, err);
    lv_conn_unref(conn);
    return 0;
}

/* ---- mending */

struct mend_op {
    struct lv_op op;
    enum hv_mend what;
};

static int mend_guest(struct lv_op *op, virDomainPtr domain, enum hv_mend what)
{
    int state, reason;
    int active = virDomainIsActive(domain);
    if (active < 0 || virDomainGetState(domain, &state, &reason, 0) < 0)
        return lv_note(op);
    switch (what) {
    case HV_RESUME:
        if (active && (state == VIR_DOMAIN_RUNNING || state == VIR_DOMAIN_BLOCKED))
            return 0;
        if (!active || state != VIR_DOMAIN_PAUSED)
            return rm_fail(&op->err, -EBUSY, "the guest is not paused");
        return virDomainResume(domain) < 0 ? lv_note(op) : 0;
    case HV_DESTROY:
        if (!active)
            return 0;
        if (state != VIR_DOMAIN_PAUSED && state != VIR_DOMAIN_CRASHED)
            return rm_fail(&op->err, -EBUSY, "the guest runs");
        return virDomainDestroy(domain) < 0 ? lv_note(op) : 0;
    case HV_UNDEFINE:
        if (active)
            return rm_fail(&op->err, -EBUSY, "the guest is active");
        /* Its files (NVRAM, TPM state) may be those that it uses on the other side. */
        if (virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_KEEP_NVRAM |
                                               VIR_DOMAIN_UNDEFINE_KEEP_TPM) < 0 &&
            virDomainUndefineFlags(domain, VIR_DOMAIN_UNDEFINE_KEEP_NVRAM) < 0)
            return lv_note(op);
        return 0;
    }
    return rm_fail(&op->err, -EINVAL, "not known what to do");
}

static int mend_body(struct lv_op *op)
{
    enum hv_mend what = ((struct mend_op *)op)->what;
    virDomainPtr domain = lv_guest(op);
    int r = -EIO;
    if (domain) {
        r = mend_guest(op, domain, what);
        virDomainFree(domain);
    }
    /* Gone meanwhile is what these two want. */
    if (r < 0 && what != HV_RESUME && hv_error_is_no_guest(&op->error)) {
        op->error.code = 0;
        r = 0;
    }
    return r;
}

static int hv_mend(struct hv *hv, const char *peer, const char *uuid, enum hv_mend what,
                   struct rm_err *err)
{
    struct lv_conn *conn;
    int r = lv_conn_get(hv, peer, &conn, NULL, err);
    if (r < 0)
        return r;
    struct mend_op *ask = calloc(1, sizeof(*ask));
    if (!ask) {
        lv_conn_unref(conn);
        return rm_fail(err, -ENOMEM, "no memory");
    }
    lv_op_init(&ask->op, conn, uuid, mend_body);
    ask->what = what;
    r = lv_op_run(hv, &ask->op, err);
    lv_op_unref(&ask->op);
    lv_conn_unref(conn);
    return r;
}

static int hv_wait_change(struct hv *hv, usec_t wait_for)
{
    usec_t until_at = env_now(hv->env) + wait_for;
    struct timespec until = {.tv_sec = (time_t)(until_at / USEC_PER_SEC),
                             .tv_nsec = (long)(until_at % USEC_PER_SEC) * 1000};
    pthread_mutex_lock(&hv->lock);
    int r = 0;
    while (hv->seen == hv->changes && r == 0)
        r = pthread_cond_timedwait(&hv->changed, &hv->lock, &until);
    bool changed = hv->seen != hv->changes;
    hv->seen = hv->changes;
    pthread_mutex_unlock(&hv->lock);
    return changed;
}

const struct hv_ops hv_libvirt = {
    .open = hv_open,
    .close = hv_close,
    .inventory = lv_hv_inventory,
    .wait_change = hv_wait_change,
    .look = hv_look,
    .check = lv_hv_check,
    .migrate = lv_hv_migrate,
    .abort = lv_hv_abort,
    .progress = lv_hv_progress,
    .mend = hv_mend,
};
