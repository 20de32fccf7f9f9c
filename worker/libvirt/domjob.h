/* domjob.h - what belongs to a migration that runs: its events and figures, stop it, let the guest
 * run at the destination, watch the source's process */
#ifndef WORKER_LIBVIRT_DOMJOB_H
#define WORKER_LIBVIRT_DOMJOB_H

#include "worker/libvirt/op.h"

/* A migration that runs from here, under the call of migrate.c. */
struct lv_run {
    atomic_uint refs;
    char uuid[LV_UUID_MAX];
    struct bell *bell;
    const struct env *env;
    atomic_bool stop;     /* somebody asked to stop it */
    atomic_bool begun;    /* its job was seen */
    pthread_mutex_t lock; /* of what events write: */
    bool completed;       /* the final figures are there */
    RmStats stats;
    usec_t suspended_at; /* the guest stopped at the source; 0 = it runs */
    bool ran_again;      /* it went on there after it had stopped: the migration did not hold */
    struct lv_run *next; /* under the lock of hv */
};

struct lv_run *lv_run_new(struct hv *hv, const char *uuid); /* in the list; NULL: no memory */
struct lv_run *lv_run_ref(struct lv_run *run);
void lv_run_unref(void *run);                          /* NULL is fine */
void lv_run_remove(struct hv *hv, struct lv_run *run); /* from the list */
/* In a body: events of the guest write into run as long as the connection is open. */
void lv_run_listen(struct lv_run *run, struct lv_conn *conn, virDomainPtr domain);
/* Does one of that guest run from here, and has its job been seen? */
bool lv_run_is_begun(struct hv *hv, const char *uuid);

/* As libvirt counts them, rounded up. */
static inline unsigned long lv_mib(uint64_t bytes)
{
    const uint64_t mib = 1024 * 1024;
    return (unsigned long)(bytes / mib + (bytes % mib != 0));
}
static inline unsigned long long lv_msec(usec_t span)
{
    return span / USEC_PER_MSEC + (span % USEC_PER_MSEC != 0);
}

/* Figures of the migration that goes out, from here or not; -ENOENT: none does. downtime: ms to be
 * set on the way, 0 = nothing. */
int lv_ask_progress(struct hv *hv, const char *uuid, unsigned long long downtime,
                    RmStats *ret_stats, bool *ret_downtime_set);
/* 0 also when none goes out. */
int lv_abort_now(struct hv *hv, const char *uuid, struct rm_err *err);

/* Resumes a guest that waits at the destination. 0: it runs there now. -EAGAIN: it is not handed
 * over, or not yet. */
int lv_resume_now(struct hv *hv, struct lv_conn *destination, const char *uuid, struct rm_err *err);

/* The source's QEMU as a descriptor that becomes readable at its end; -1: it cannot be watched from
 * here. */
int lv_open_process(const struct hv *hv, const char *name, const char *uuid);

/* ---- operations of the driver */
int lv_hv_abort(struct hv *hv, const char *uuid, struct rm_err *err);
int lv_hv_modify(struct hv *hv, const char *uuid, const RmOptions *limits, struct rm_err *err);
int lv_hv_progress(struct hv *hv, const char *uuid, RmStats *ret_stats);

#endif
