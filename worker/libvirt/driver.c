/* driver.c - the driver of libvirt: the table of its operations, and the small ones of them */
#include "worker/libvirt/driver.h"

#include "worker/libvirt/check.h"
#include "worker/libvirt/inventory.h"
#include "worker/libvirt/look.h"
#include "worker/libvirt/migrate.h"
#include "worker/libvirt/workers.h"

#include <errno.h>
#include <stdlib.h>

static int hv_look(struct hv *hv, const char *peer, const char *uuid, struct hv_look *ret_look,
                   struct rm_err *err)
{
    *ret_look = (struct hv_look){.answered = false};
    struct lv_conn *conn;
    if (lv_conn_get(hv, peer, &conn, NULL, err) < 0)
        return 0;
    lv_look_at(hv, conn, uuid, ret_look, NULL, err);
    lv_conn_unref(conn);
    return 0;
}

/* ---- repairs */

struct repair_op {
    struct lv_op op;
    enum hv_repair what;
};

static int repair_guest(struct lv_op *op, virDomainPtr domain, enum hv_repair what)
{
    int state, reason;
    int active = virDomainIsActive(domain);
    if (active < 0 || virDomainGetState(domain, &state, &reason, 0) < 0)
        return lv_note(op);
    int r = lv_still_wanted(op);
    if (r < 0)
        return r;
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
    case HV_AUTOSTART:
        return virDomainSetAutostart(domain, 1) < 0 ? lv_note(op) : 0;
    }
    return rm_fail(&op->err, -EINVAL, "not known what to do");
}

static int repair_body(struct lv_op *op)
{
    enum hv_repair what = ((struct repair_op *)op)->what;
    virDomainPtr domain = lv_guest(op);
    int r = -EIO;
    if (domain) {
        r = repair_guest(op, domain, what);
        virDomainFree(domain);
    }
    /* Gone meanwhile is what these two want. */
    if (r < 0 && (what == HV_DESTROY || what == HV_UNDEFINE) && lv_error_is_no_guest(&op->error)) {
        op->error.code = 0;
        r = 0;
    }
    return r;
}

static int hv_repair(struct hv *hv, const char *peer, const char *uuid, enum hv_repair what,
                     struct rm_err *err)
{
    struct lv_conn *conn;
    int r = lv_conn_get(hv, peer, &conn, NULL, err);
    if (r < 0)
        return r;
    struct repair_op *ask = calloc(1, sizeof(*ask));
    if (!ask) {
        lv_conn_unref(conn);
        return rm_fail(err, -ENOMEM, "no memory");
    }
    lv_op_init(&ask->op, conn, uuid, repair_body);
    ask->what = what;
    r = lv_op_run(hv, &ask->op, err);
    /* Its daemon may stand still with the request in its queue. */
    if (r < 0 && r != -ETIMEDOUT && lv_error_is_connection(&ask->op.error))
        r = -ETIMEDOUT;
    lv_op_unref(&ask->op);
    lv_conn_unref(conn);
    return r;
}

static int hv_wait_change(struct hv *hv, usec_t wait_for)
{
    return lv_watch_wait(hv->watch, env_now(hv->env) + wait_for);
}

/* How long libvirt lets a call wait for a guest that is busy (dump, snapshot, backup):
 * QEMU_JOB_WAIT_TIME in its src/qemu/qemu_domainjob.c. */
#define JOB_WAIT_FOR (30 * USEC_PER_SEC)

const struct driver libvirt_driver = {
    .slots_max = lv_slots_max,
    .late = JOB_WAIT_FOR,
    .open = lv_hv_open,
    .close = lv_hv_close,
    .inventory = lv_hv_inventory,
    .wait_change = hv_wait_change,
    .look = hv_look,
    .check = lv_hv_check,
    .migrate = lv_hv_migrate,
    .abort = lv_hv_abort,
    .modify = lv_hv_modify,
    .progress = lv_hv_progress,
    .repair = hv_repair,
};
