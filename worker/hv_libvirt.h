/* hv_libvirt.h - what the files of the libvirt seam share: connections, calls with a deadline, the
 * hypervisor itself
 *
 * Internal to worker/hv_libvirt*.c, the only files that include libvirt's headers.
 *
 * Every call of libvirt may hang for ever (a daemon that is stopped answers nothing), so none is
 * made by a thread that anybody waits for: it runs as a struct lv_op in a thread of its own
 * (call.h). When its deadline passes, the connection it used is given up: marked dead, never used
 * again, closed by the last thread that still hangs in it, if that thread ever returns. Keepalive
 * on every connection sees to it that it does when the other side is gone.
 *
 * Order of locks: slot, then hv. No libvirt call is made under either. */
#ifndef WORKER_HV_LIBVIRT_H
#define WORKER_HV_LIBVIRT_H

#include "worker/call.h"
#include "worker/domxml.h"
#include "worker/hv.h"
#include "worker/hv_error.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

enum {
    LV_KEEPALIVE_INTERVAL = 5, /* seconds between two questions "are you there" */
    LV_KEEPALIVE_COUNT = 3,    /* unanswered ones until the connection is given up */
    LV_EVENTS_MAX = 4,         /* callbacks of one connection */
    LV_UUID_MAX = VIR_UUID_STRING_BUFLEN,
    LV_MIGRATING_MAX = 256, /* guests that somebody moves away at once */
    LV_GUESTS_MAX = 16384,  /* of one hypervisor */
};

/* What callbacks of a connection need; it outlives the connection while they hold it. */
struct lv_link {
    atomic_uint refs;
    atomic_bool dead; /* closed by the other side, or given up */
    struct hv *hv;    /* whom changes concern; a reference; NULL for connections to others */
};

struct lv_conn {
    atomic_uint refs;
    virConnectPtr connect;
    uint64_t serial; /* counts connections of this process */
    struct lv_link *link;
    int events[LV_EVENTS_MAX]; /* to be deregistered before the close; written by the op that owns
                                  the connection */
    size_t n_events;
    pthread_mutex_t lock;
    char host_uuid[LV_UUID_MAX]; /* of the other side; "" = not asked yet; under the lock */
};

/* A connection that several share and that is made anew when it broke. */
struct lv_slot {
    pthread_mutex_t lock;
    char *uri;
    struct hv *events;          /* whom its events concern; borrowed; NULL: none wanted */
    struct lv_conn *conn;       /* NULL: none now */
    struct lv_opening *opening; /* under way; all who want the connection wait for the same one */
    unsigned users;             /* of a peer's slot: under the lock of hv */
    usec_t used_at;             /* likewise */
    struct lv_slot *next;
};

/* A migration that runs from here. */
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
    struct lv_run *next;
};

struct hv {
    atomic_uint refs;
    char *name;
    uint64_t memory; /* 0 = what the host has */
    unsigned vcpus;  /* 0 = what the host has */
    usec_t connect_timeout, call_timeout;
    const struct env *env;
    bool local; /* libvirt's daemon is on this machine: its files may be read */
    struct lv_slot control;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    uint64_t changes, seen; /* events so far, and when wait_change() last said so */
    struct lv_slot *peers;
    struct lv_run *runs;
    char migrating[LV_MIGRATING_MAX][LV_UUID_MAX]; /* guests seen on their way out, by whomever */
    size_t n_migrating;
    uint64_t scanned; /* serial of the control connection for which that was looked up */
};

struct hv *lv_hv_ref(struct hv *hv);
void lv_hv_unref(struct hv *hv);
void lv_changed(struct hv *hv);

/* ---- connections (hv_libvirt_conn.c) */

/* The library and the thread of its event loop; once for the process. */
int lv_library_init(void);

struct lv_conn *lv_conn_ref(struct lv_conn *conn);
void lv_conn_unref(
    struct lv_conn *conn); /* the last one closes, in a thread of its own; NULL is fine */
void lv_conn_give_up(struct lv_conn *conn);
bool lv_conn_is_dead(const struct lv_conn *conn);

/* A connection of one's own. -ETIMEDOUT, -EIO; error->code is libvirt's. */
int lv_connect(struct hv *hv, const char *uri, struct lv_conn **ret_conn, struct hv_error *error,
               struct rm_err *err);

int lv_slot_init(struct lv_slot *slot, const char *uri, struct hv *events);
void lv_slot_done(struct lv_slot *slot);
int lv_slot_get(struct hv *hv, struct lv_slot *slot, struct lv_conn **ret_conn,
                struct hv_error *error, struct rm_err *err);

/* The shared connection to the hypervisor behind hv (peer NULL) or to another one. */
int lv_conn_get(struct hv *hv, const char *peer, struct lv_conn **ret_conn, struct hv_error *error,
                struct rm_err *err);
void lv_reap_peers(struct hv *hv); /* closes those that nobody used for a while */

/* ---- one call, or a few that belong together */

struct lv_op { /* the first member of what is asked and what came back */
    struct call call;
    int (*body)(struct lv_op *op);  /* in the thread: 0, or -errno after lv_note() */
    void (*drop)(struct lv_op *op); /* frees what it holds and itself; NULL: free() */
    struct lv_conn *conn;           /* a reference */
    char uuid[LV_UUID_MAX];
    int result;
    struct hv_error error;
    struct rm_err err; /* when no libvirt error says why */
};

/* Takes a reference of conn. Free with lv_op_unref(). */
void lv_op_init(struct lv_op *op, struct lv_conn *conn, const char *uuid,
                int (*body)(struct lv_op *op));
void lv_op_unref(struct lv_op *op); /* NULL is fine */
int lv_op_start(struct lv_op *op, struct bell *bell);

/* Starts it and waits up to the deadline of calls, or for a span: the body's result, or -ETIMEDOUT,
 * -EAGAIN; err says why. */
int lv_op_run(struct hv *hv, struct lv_op *op, struct rm_err *err);
int lv_op_run_for(struct hv *hv, struct lv_op *op, usec_t span, struct rm_err *err);

/* In a body: keeps libvirt's last error; returns -EIO. */
int lv_note(struct lv_op *op);
/* In a body: the guest, or NULL with the error kept. */
virDomainPtr lv_guest(struct lv_op *op);

/* Figures from job parameters. */
void lv_stats(virTypedParameterPtr params, int n_params, RmStats *ret_stats);
/* The operation of a job, -1: none said. */
int lv_operation(virTypedParameterPtr params, int n_params);

/* What one side says of a guest: fills look->... but answered. In a body. */
int lv_look(struct lv_op *op, struct hv_look *ret_look);

/* libvirt's state and reason in our words. */
void lv_set_state(struct hv_look *look, int state, int reason);

/* ---- hv_libvirt.c */
int lv_hv_look(struct hv *hv, struct lv_conn *conn, const char *uuid, struct hv_look *ret_look,
               struct hv_error *error, struct rm_err *err);

/* ---- runs (hv_libvirt_job.c) */

struct lv_run *lv_run_new(struct hv *hv, const char *uuid); /* in the list; NULL: no memory */
struct lv_run *lv_run_ref(struct lv_run *run);
void lv_run_unref(void *run);                          /* NULL is fine */
void lv_run_remove(struct hv *hv, struct lv_run *run); /* from the list */
/* In a body: events of the guest write into run as long as the connection is open. */
void lv_run_listen(struct lv_run *run, struct lv_conn *conn, virDomainPtr domain);

/* Figures of the migration that goes out; -ENOENT: none does. downtime: ms to be set on the way, 0
 * = nothing. */
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

/* ---- before the start (hv_libvirt_check.c) */

struct lv_prepare_op {
    struct lv_op op;
    struct lv_run *run; /* events are wanted for it; NULL: none */
    struct hv_look look;
    char *name;
    uint64_t memory; /* bytes */
    struct domxml facts;
};

void lv_outcome_init(struct hv_outcome *outcome);
/* Text and class of a failure; returns r. */
int lv_give(struct hv_outcome *outcome, int r, RmClass class_, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* A question before the start that was not answered: nothing has happened yet. */
int lv_give_unanswered(struct hv_outcome *outcome, int r, const struct hv_error *error,
                       const struct rm_err *err);
/* Which fence this guest gets. Returns true for the paused one. */
bool lv_choose_fence(const struct hv_migration *migration, const struct domxml *facts,
                     struct hv_outcome *outcome);
int lv_connect_ahead(struct hv *hv, const char *uri, struct lv_conn **ret_conn,
                     struct hv_outcome *outcome);
/* Asks the source about the guest. The op is the caller's, also when this fails; NULL: no memory.
 */
int lv_prepare(struct hv *hv, const struct hv_migration *migration, struct lv_conn *source,
               struct lv_run *run, struct lv_prepare_op **ret_ask, struct hv_outcome *outcome);
/* What the destination knows of the guest. A copy that is active there forbids to begin. */
int lv_look_ahead(struct hv *hv, const struct hv_migration *migration, struct lv_conn *destination,
                  struct hv_outcome *outcome);

/* ---- operations of the seam that stand in a file of their own */
int lv_hv_inventory(struct hv *hv, struct arena *arena, RmInventory **ret_inventory);
int lv_hv_check(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome);
void lv_hv_migrate(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome);
int lv_hv_abort(struct hv *hv, const char *uuid, struct rm_err *err);
int lv_hv_progress(struct hv *hv, const char *uuid, RmStats *ret_stats);

#endif
