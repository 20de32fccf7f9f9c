/* check.h - what can be known before a guest is moved: of the guest, of both sides, which fence
 *
 * Nothing has happened yet when one of these fails; text and class of the failure stand in outcome
 * then. */
#ifndef WORKER_LIBVIRT_CHECK_H
#define WORKER_LIBVIRT_CHECK_H

#include "worker/libvirt/domjob.h"
#include "worker/libvirt/domxml.h"

/* What the source knows of the guest. */
struct lv_prepare_op {
    struct lv_op op;
    struct lv_run *run; /* events are wanted for it; NULL: none */
    struct hv_look look;
    char *name;
    uint64_t memory; /* bytes */
    int autostart;
    struct domxml facts;
};

void lv_outcome_init(struct hv_outcome *outcome);
/* Text and class of a failure; returns r. */
int lv_give(struct hv_outcome *outcome, int r, RmClass class_, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Which fence this guest gets. Returns true for the paused one. */
bool lv_choose_fence(const struct hv_migration *migration, struct hv_outcome *outcome);
/* A connection, as lv_conn_get() gives it. */
int lv_connect_ahead(struct hv *hv, const char *peer, struct lv_conn **ret_conn,
                     struct hv_outcome *outcome);
/* Asks the source about the guest. The op is the caller's, also after a failure; NULL: no memory.
 * */
int lv_prepare(struct hv *hv, const struct hv_migration *migration, struct lv_conn *source,
               struct lv_run *run, struct lv_prepare_op **ret_ask, struct hv_outcome *outcome);
/* May a guest that its source shows so be migrated? 0, or why not. Pure. */
int lv_may_leave(const char *host, const struct hv_look *look, struct hv_outcome *outcome);
/* What the destination knows of the guest. A copy that is active there forbids to begin. */
int lv_look_ahead(struct hv *hv, const struct hv_migration *migration, struct lv_conn *destination,
                  struct hv_outcome *outcome);

/* ---- operation of the driver */
int lv_hv_check(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome);

#endif
