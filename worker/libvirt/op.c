/* op.c - one call of libvirt, or a few that belong together, with a deadline */
#include "worker/libvirt/op.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void op_run(struct call *call)
{
    struct lv_op *op = (struct lv_op *)call;
    op->result = op->body(op);
    if (op->result < 0 && lv_error_is_connection(&op->error))
        lv_conn_give_up(op->conn);
}

static void op_release(struct call *call)
{
    struct lv_op *op = (struct lv_op *)call;
    lv_conn_unref(op->conn);
    if (op->drop)
        op->drop(op);
    else
        free(op);
}

void lv_op_init(struct lv_op *op, struct lv_conn *conn, const char *uuid,
                int (*body)(struct lv_op *op))
{
    call_init(&op->call, op_run, op_release);
    op->conn = lv_conn_ref(conn);
    op->body = body;
    snprintf(op->uuid, sizeof(op->uuid), "%s", uuid ? uuid : "");
}

void lv_op_unref(struct lv_op *op)
{
    if (op)
        call_unref(&op->call);
}

int lv_op_start(struct lv_op *op, struct bell *bell)
{
    return call_start(&op->call, bell);
}

int lv_op_run(struct hv *hv, struct lv_op *op, struct rm_err *err)
{
    return lv_op_run_for(hv, op, hv->call_timeout, err);
}

int lv_op_run_for(struct hv *hv, struct lv_op *op, usec_t span, struct rm_err *err)
{
    int r = lv_op_start(op, NULL);
    if (r < 0)
        return lv_cannot_start(err);
    if (call_wait(&op->call, env_now(hv->env) + span) < 0) {
        lv_conn_orphan(op->conn);
        return lv_no_answer(err, "libvirt", span);
    }
    if (op->result < 0 && op->error.code != 0) {
        char text[RM_ERR_MAX];
        return rm_fail(err, op->result, "%s", lv_error_text(&op->error, text));
    }
    if (op->result < 0)
        return rm_fail(err, op->result, "%s", op->err.text);
    return op->result;
}

int lv_note(struct lv_op *op)
{
    lv_keep_error(&op->error);
    return -EIO;
}

int lv_still_wanted(struct lv_op *op)
{
    if (!atomic_load(&op->conn->orphaned))
        return 0;
    return rm_fail(&op->err, -ETIMEDOUT, "nobody waits for it any more");
}

virDomainPtr lv_guest(struct lv_op *op)
{
    virDomainPtr domain = virDomainLookupByUUIDString(op->conn->connect, op->uuid);
    if (!domain)
        lv_note(op);
    return domain;
}
