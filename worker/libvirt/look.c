/* look.c - what one side knows of one guest, and libvirt's figures in our words */
#include "worker/libvirt/look.h"

#include <errno.h>
#include <stdlib.h>

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

static uint32_t throttle_of(virTypedParameterPtr params, int n_params)
{
    int percent = 0;
    virTypedParamsGetInt(params, n_params, VIR_DOMAIN_JOB_AUTO_CONVERGE_THROTTLE, &percent);
    return percent > 0 ? (uint32_t)percent : 0;
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
    stats.throttle = throttle_of(params, n_params);
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
    case VIR_DOMAIN_PAUSED_UNKNOWN: /* QEMU did it for itself, as for each dump of its memory */
    case VIR_DOMAIN_PAUSED_SAVE:
    case VIR_DOMAIN_PAUSED_DUMP:
    case VIR_DOMAIN_PAUSED_SNAPSHOT:
        return HV_REASON_MOMENT;
    case VIR_DOMAIN_PAUSED_STARTING_UP:
        return HV_REASON_STARTING;
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
        look->state = RM_GUEST_STATE__GUEST_RUNNING;
        if (state == VIR_DOMAIN_RUNNING)
            look->reason = running_reason(reason);
        break;
    case VIR_DOMAIN_PAUSED:
        look->state = reason == VIR_DOMAIN_PAUSED_SHUTTING_DOWN ? RM_GUEST_STATE__GUEST_IN_SHUTDOWN
                                                                : RM_GUEST_STATE__GUEST_PAUSED;
        look->reason = paused_reason(reason);
        break;
    case VIR_DOMAIN_SHUTDOWN: /* the guest has ended, its process is about to */
        look->state = RM_GUEST_STATE__GUEST_IN_SHUTDOWN;
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
        if (!lv_error_is_incoming(&op->error))
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
        if (!lv_error_is_no_guest(&op->error))
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
        if (r < 0 && lv_error_class(&op->error) != RM_CLASS__CLASS_AMBIGUOUS)
            break;
        if (r < 0 && lv_error_is_connection(&op->error))
            break;
    }
    if (r == 0)
        op->error.code = 0;
    return r;
}

int lv_look_at(struct hv *hv, struct lv_conn *conn, const char *uuid, struct hv_look *ret_look,
               struct lv_error *error, struct rm_err *err)
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
