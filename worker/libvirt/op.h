/* op.h - one call of libvirt, or a few that belong together, with a deadline
 *
 * A body runs in a thread of its own and may hang (conn.h); whoever waits goes on at the deadline.
 * So an op owns all that its body touches. */
#ifndef WORKER_LIBVIRT_OP_H
#define WORKER_LIBVIRT_OP_H

#include "worker/async_call.h"
#include "worker/libvirt/conn.h"

struct lv_op { /* the first member of what is asked and what came back */
    struct call call;
    int (*body)(struct lv_op *op);  /* in the thread: 0, or -errno after lv_note() */
    void (*drop)(struct lv_op *op); /* frees what it holds and itself; NULL: free() */
    struct lv_conn *conn;           /* a reference */
    char uuid[LV_UUID_MAX];
    int result;
    struct lv_error error;
    struct rm_err err; /* when there is no error of libvirt's */
};

/* Takes a reference of conn. uuid may be NULL. Free with lv_op_unref(). */
void lv_op_init(struct lv_op *op, struct lv_conn *conn, const char *uuid,
                int (*body)(struct lv_op *op));
void lv_op_unref(struct lv_op *op); /* NULL is fine */
int lv_op_start(struct lv_op *op, struct bell *bell);

/* Starts it and waits up to the deadline of calls, or for a span: the body's result, or -ETIMEDOUT,
 * -EAGAIN; err has the reason. */
int lv_op_run(struct hv *hv, struct lv_op *op, struct rm_err *err);
int lv_op_run_for(struct hv *hv, struct lv_op *op, usec_t span, struct rm_err *err);

/* In a body: keeps libvirt's last error; returns -EIO. */
int lv_note(struct lv_op *op);
/* In a body, right before a request that changes a domain: 0, or -ETIMEDOUT when nobody waits for it any more.
 * A body that a stalled daemon held up must not do then what somebody else may have undone. */
int lv_still_wanted(struct lv_op *op);
/* In a body: the guest, or NULL with the error kept. */
virDomainPtr lv_guest(struct lv_op *op);

#endif
