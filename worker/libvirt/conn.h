/* conn.h - a hypervisor and the connections to libvirt's daemons, its own and those of others
 *
 * Every call of libvirt may hang for ever (a daemon that is stopped answers nothing), so none is
 * made by a thread that anybody waits for: connections open and close in threads of their own
 * (async_call.h), and what is asked over them is a struct lv_op (op.h). When a deadline passes, the
 * connection that was used is given up: marked dead, never used again, closed by the last thread
 * that still hangs in it, if that thread ever returns. Keepalive on every connection sees to it
 * that it does when the other side is gone.
 *
 * One call at a time on a connection. libvirt's library takes calls of several threads on one, but
 * when that connection ends under them one thread's stack is written to by the event source of
 * another (CVE-2024-4418, not mended in Debian 12), and the worker dies. So a connection is lent:
 * lv_conn_get() gives one that nobody else has, and the last lv_conn_unref() takes it back. Who
 * needs one while all are lent gets a new one, so nobody waits for the call of somebody else.
 *
 * Only worker/libvirt/ includes libvirt's headers. No call of libvirt is made under the lock. */
#ifndef WORKER_LIBVIRT_CONN_H
#define WORKER_LIBVIRT_CONN_H

#include "worker/driver.h"
#include "worker/libvirt/error.h"
#include "worker/libvirt/watch.h"

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <pthread.h>
#include <stdatomic.h>

enum {
    LV_EVENTS_MAX = 4,  /* callbacks of one connection */
    LV_ORPHANS_MAX = 8, /* calls to one daemon that nobody waits for any more: each keeps one of the
                         * daemon's few workers */
};

struct lv_link;
struct lv_opening;
struct lv_run;

struct lv_conn {
    atomic_uint refs;
    virConnectPtr connect;
    struct hv *hv;             /* a reference; lv_hv_close() takes it out of the pools */
    struct lv_pool *pool;      /* of hv; where it goes back to */
    uint64_t serial;           /* counts connections of this process */
    struct lv_link *link;      /* what its callbacks need */
    atomic_bool orphaned;      /* a call hangs in it that nobody waits for */
    int events[LV_EVENTS_MAX]; /* to be deregistered before the close; written by the op that owns
                                * the connection */
    size_t n_events;
    char host_uuid[LV_UUID_MAX]; /* of the other side; "" = not asked yet */
    usec_t idle_at;              /* since when nobody has it */
    struct lv_conn *next;        /* in the pool */
};

/* Connections to one daemon. Under the lock of hv, apart from what does not change. */
struct lv_pool {
    char *uri;
    struct lv_watch *watch;     /* whom their events concern; borrowed; NULL: none wanted */
    struct lv_conn *idle;       /* nobody has them */
    struct lv_opening *opening; /* those under way for which nobody waits any more */
    atomic_uint orphans;        /* calls that hang in connections given up */
    struct lv_pool *next;
};

struct hv { /* made and freed by conn.c; the settings in it do not change */
    atomic_uint refs;
    char *name;
    char *uri;       /* of its own daemon */
    uint64_t memory; /* 0 = what the host has */
    unsigned vcpus;  /* 0 = what the host has */
    usec_t connect_timeout, call_timeout;
    const struct env *env;
    bool local;             /* libvirt's daemon is on this machine: its files may be read */
    struct lv_pool watched; /* its own daemon, with events; for the inventory alone */
    struct lv_watch *watch;
    pthread_mutex_t lock;  /* of the pools and the list of runs */
    struct lv_pool *pools; /* by uri */
    bool closing;          /* nothing goes back to the pools */
    struct lv_run *runs;   /* domjob.c */
    uint64_t scanned;      /* inventory.c: of which connection all guests were looked at */
};

/* ---- the hypervisor */

/* Its daemon is on this machine. */
bool lv_uri_is_local(const char *uri);

/* Not connected yet. NULL with err. */
struct hv *lv_hv_open(const struct conf_hypervisor *conf, const struct conf_worker *worker,
                      const struct env *env, struct rm_err *err);
/* The owner lets go. Calls that hang hold references: the memory goes with the last of them. */
void lv_hv_close(struct hv *hv);
struct hv *lv_hv_ref(struct hv *hv);
void lv_hv_unref(struct hv *hv); /* NULL is fine */

/* ---- connections. error may be NULL; error->code 0: the failure is not libvirt's */

/* One to the hypervisor behind hv (peer NULL) or to another one, for the caller alone. -ETIMEDOUT,
 * -EIO, -EAGAIN, -EINVAL. */
int lv_conn_get(struct hv *hv, const char *peer, struct lv_conn **ret_conn, struct lv_error *error,
                struct rm_err *err);
/* One to the hypervisor behind hv whose events go to hv->watch; by one thread. */
int lv_conn_get_watched(struct hv *hv, struct lv_conn **ret_conn, struct rm_err *err);
struct lv_conn *lv_conn_ref(struct lv_conn *conn);
/* The last one gives it back, or closes it in a thread of its own if it is dead; NULL is fine. */
void lv_conn_unref(struct lv_conn *conn);
/* It is not used again. */
void lv_conn_give_up(struct lv_conn *conn);
/* The same, for one in which a call hangs that nobody waits for any more. */
void lv_conn_orphan(struct lv_conn *conn);
bool lv_conn_is_dead(const struct lv_conn *conn);
void lv_reap_idle(struct hv *hv); /* closes those that nobody used for a while */

/* ---- for op.c: this thread's last error of libvirt, and failures without one */

void lv_keep_error(struct lv_error *error);
int lv_no_answer(struct rm_err *err, const char *whose, usec_t timeout); /* returns -ETIMEDOUT */
int lv_cannot_start(struct rm_err *err);                                 /* returns -EAGAIN */

#endif
