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

/* What stands in the way of one guest. Before a migration the first of it will do; who only asks wants to hear all
 * at once. Pure. */
struct lv_findings {
    bool all; /* go on after the first */
    int r;    /* of the first; 0: nothing */
    RmClass class_;
    int code;
    char text[RM_ERR_MAX]; /* all of them, between semicolons */
};

/* Takes what a check has found (r < 0) out of outcome. Returns true while the next check is wanted. */
bool lv_findings_add(struct lv_findings *found, struct hv_outcome *outcome, int r);
/* Puts all of it into outcome: 0, or r of the first. */
int lv_findings_give(const struct lv_findings *found, struct hv_outcome *outcome);

/* ---- operation of the driver */
int lv_hv_check(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome);

#endif
