/* look.h - what one side knows of one guest, and libvirt's figures in our words */
#ifndef WORKER_LIBVIRT_LOOK_H
#define WORKER_LIBVIRT_LOOK_H

#include "worker/libvirt/op.h"

/* Figures from job parameters. */
void lv_stats(virTypedParameterPtr params, int n_params, RmStats *ret_stats);
/* The operation of a job, -1: none is named. */
int lv_operation(virTypedParameterPtr params, int n_params);

/* libvirt's state and reason in our words. */
void lv_set_state(struct hv_look *look, int state, int reason);

/* In a body: fills all but look->answered. 0, or -EIO with the error kept. */
int lv_look(struct lv_op *op, struct hv_look *ret_look);

/* The same as a call of its own, asked again where the guest changes meanwhile. 0, or negative
 * errno with ret_look->answered false; error (may be NULL) is libvirt's. */
int lv_look_at(struct hv *hv, struct lv_conn *conn, const char *uuid, struct hv_look *ret_look,
               struct lv_error *error, struct rm_err *err);

#endif
