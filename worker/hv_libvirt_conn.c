/* hv_libvirt_conn.c - connections to libvirt's daemons, and calls over them that end in time */
#include "worker/hv_libvirt.h"

#include "conf/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PEER_IDLE_FOR = 30 * 1000 * 1000 }; /* microseconds until an unused connection is closed */

/* ---- the library */

static void be_quiet(void *opaque, virErrorPtr error)
{
    (void)opaque;
    (void)error; /* whoever called reads the error; libvirt would write it to stderr as well */
}

static void *event_thread(void *arg)
{
    (void)arg;
    for (;;)
        if (virEventRunDefaultImpl() < 0) {
            struct timespec pause = {.tv_nsec = 100 * 1000 * 1000};
            clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
        }
    return NULL;
}

/* A timer that does nothing: without any handle or timer the event loop would end at once. */
static void tick(int timer, void *opaque)
{
    (void)timer;
    (void)opaque;
}

static int library_result;

static void library_init(void)
{
    /* First of all: virTypedParamsAdd*() crashes before it (it frees a thread-local that nobody
     * made). */
    if (virInitialize() < 0 || virEventRegisterDefaultImpl() < 0 ||
        virEventAddTimeout(60 * 1000, tick, NULL, NULL) < 0) {
        library_result = -EIO;
        return;
    }
    virSetErrorFunc(NULL, be_quiet);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    library_result = -pthread_create(&thread, &attributes, event_thread, NULL);
    pthread_attr_destroy(&attributes);
}

int lv_library_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_init);
    return library_result;
}

/* ---- links and connections */

static struct lv_link *link_ref(struct lv_link *link)
{
    atomic_fetch_add(&link->refs, 1);
    return link;
}

static void link_unref(void *arg)
{
    struct lv_link *link = arg;
    if (!link || atomic_fetch_sub(&link->refs, 1) != 1)
        return;
    lv_hv_unref(link->hv);
    free(link);
}

static struct lv_link *link_new(struct hv *hv)
{
    struct lv_link *link = malloc(sizeof(*link));
    if (!link)
        return NULL;
    atomic_init(&link->refs, 1);
    atomic_init(&link->dead, false);
    link->hv = hv ? lv_hv_ref(hv) : NULL;
    return link;
}

struct lv_conn *lv_conn_ref(struct lv_conn *conn)
{
    atomic_fetch_add(&conn->refs, 1);
    return conn;
}

bool lv_conn_is_dead(const struct lv_conn *conn)
{
    return atomic_load(&conn->link->dead);
}

void lv_conn_give_up(struct lv_conn *conn)
{
    atomic_store(&conn->link->dead, true);
}

static void on_close(virConnectPtr connect, int reason, void *opaque)
{
    (void)connect;
    (void)reason;
    struct lv_link *link = opaque;
    atomic_store(&link->dead, true);
    if (link->hv)
        lv_changed(link->hv);
}

/* Closing asks the daemon and so may hang like every call. */
struct closing {
    struct call call;
    struct lv_conn *conn;
};

static void closing_run(struct call *call)
{
    struct lv_conn *conn = ((struct closing *)call)->conn;
    /* Callbacks hold the connection: without this it would never be closed. */
    for (size_t i = 0; i < conn->n_events; i++)
        virConnectDomainEventDeregisterAny(conn->connect, conn->events[i]);
    virConnectUnregisterCloseCallback(conn->connect, on_close);
    virConnectClose(conn->connect);
    link_unref(conn->link);
    pthread_mutex_destroy(&conn->lock);
    free(conn);
}

static void closing_release(struct call *call)
{
    free(call);
}

void lv_conn_unref(struct lv_conn *conn)
{
    if (!conn || atomic_fetch_sub(&conn->refs, 1) != 1)
        return;
    lv_conn_give_up(conn);
    struct closing *closing = calloc(1, sizeof(*closing));
    if (!closing)
        return; /* a connection that leaks is better than a thread that hangs */
    closing->conn = conn;
    call_init(&closing->call, closing_run, closing_release);
    call_start(&closing->call, NULL);
    call_unref(&closing->call);
}

static void on_lifecycle(virConnectPtr connect, virDomainPtr domain, int event, int detail,
                         void *opaque)
{
    (void)connect;
    (void)domain;
    (void)event;
    (void)detail;
    lv_changed(((struct lv_link *)opaque)->hv);
}

/* Somebody moves a guest away: rmigrate, or another tool. */
static void on_iteration(virConnectPtr connect, virDomainPtr domain, int iteration, void *opaque)
{
    (void)connect;
    (void)iteration;
    struct hv *hv = ((struct lv_link *)opaque)->hv;
    char uuid[LV_UUID_MAX];
    if (virDomainGetUUIDString(domain, uuid) < 0)
        return;
    pthread_mutex_lock(&hv->lock);
    size_t i = 0;
    while (i < hv->n_migrating && strcmp(hv->migrating[i], uuid) != 0)
        i++;
    bool added = i == hv->n_migrating && i < LV_MIGRATING_MAX;
    if (added)
        memcpy(hv->migrating[hv->n_migrating++], uuid, sizeof(uuid));
    pthread_mutex_unlock(&hv->lock);
    if (added)
        lv_changed(hv);
}

static void on_job_completed(virConnectPtr connect, virDomainPtr domain,
                             virTypedParameterPtr params, int n_params, void *opaque)
{
    (void)connect;
    (void)domain;
    (void)params;
    (void)n_params;
    lv_changed(((struct lv_link *)opaque)->hv);
}

static void register_event(struct lv_conn *conn, int event, virConnectDomainEventGenericCallback on)
{
    int id = virConnectDomainEventRegisterAny(conn->connect, NULL, event, on, link_ref(conn->link),
                                              link_unref);
    if (id >= 0)
        conn->events[conn->n_events++] = id;
    else
        link_unref(
            conn->link); /* without events the inventory comes every few seconds all the same */
}

/* ---- opening */

struct lv_opening {
    struct call call;
    char *uri;
    struct lv_link *link;
    struct lv_conn *conn; /* what came of it */
    struct hv_error error;
};

static void keep_error(struct hv_error *error)
{
    const virError *last = virGetLastError();
    error->code = last && last->code ? last->code : VIR_ERR_INTERNAL_ERROR;
    error->domain = last ? last->domain : 0;
    snprintf(error->message, sizeof(error->message), "%s",
             last && last->message ? last->message : "an error without a text");
}

static void opening_run(struct call *call)
{
    struct lv_opening *opening = (struct lv_opening *)call;
    struct lv_conn *conn = calloc(1, sizeof(*conn));
    if (!conn) {
        opening->error = (struct hv_error){.code = VIR_ERR_NO_MEMORY, .message = "no memory"};
        return;
    }
    conn->connect = virConnectOpen(opening->uri);
    if (!conn->connect) {
        keep_error(&opening->error);
        free(conn);
        return;
    }
    static atomic_uint_fast64_t serials;
    conn->serial = atomic_fetch_add(&serials, 1) + 1;
    atomic_init(&conn->refs, 1);
    pthread_mutex_init(&conn->lock, NULL);
    conn->link = link_ref(opening->link);
    /* A daemon that knows no keepalive says so; then deadlines alone must do. */
    virConnectSetKeepAlive(conn->connect, LV_KEEPALIVE_INTERVAL, LV_KEEPALIVE_COUNT);
    if (virConnectRegisterCloseCallback(conn->connect, on_close, link_ref(conn->link), link_unref) <
        0)
        link_unref(conn->link);
    if (conn->link->hv) {
        register_event(conn, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
                       VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
        register_event(conn, VIR_DOMAIN_EVENT_ID_MIGRATION_ITERATION,
                       VIR_DOMAIN_EVENT_CALLBACK(on_iteration));
        register_event(conn, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
                       VIR_DOMAIN_EVENT_CALLBACK(on_job_completed));
    }
    opening->conn = conn;
}

static void opening_release(struct call *call)
{
    struct lv_opening *opening = (struct lv_opening *)call;
    lv_conn_unref(opening->conn);
    link_unref(opening->link);
    free(opening->uri);
    free(opening);
}

static struct lv_opening *opening_start(const char *uri, struct hv *events)
{
    struct lv_opening *opening = calloc(1, sizeof(*opening));
    if (!opening)
        return NULL;
    call_init(&opening->call, opening_run, opening_release);
    opening->uri = strdup(uri);
    opening->link = link_new(events);
    if (!opening->uri || !opening->link || call_start(&opening->call, NULL) < 0) {
        call_unref(&opening->call);
        return NULL;
    }
    return opening;
}

static int no_answer(struct rm_err *err, const char *uri, usec_t timeout)
{
    char span[UNIT_TEXT_MAX];
    return rm_fail(err, -ETIMEDOUT, "%s did not answer within %s", uri,
                   unit_duration_text(timeout, span));
}

static int opening_failed(const struct lv_opening *opening, struct hv_error *error,
                          struct rm_err *err)
{
    char text[RM_ERR_MAX];
    if (error)
        *error = opening->error;
    return rm_fail(err, -EIO, "cannot connect to %s: %s", opening->uri,
                   hv_error_text(&opening->error, text));
}

static int cannot_start(struct rm_err *err)
{
    return rm_fail(err, -EAGAIN, "no memory or no thread (%u calls of libvirt are under way)",
                   calls_active());
}

int lv_connect(struct hv *hv, const char *uri, struct lv_conn **ret_conn, struct hv_error *error,
               struct rm_err *err)
{
    /* To libvirt an empty name means "whatever is here", which would be a look at the wrong
     * hypervisor. */
    if (!uri[0])
        return rm_fail(err, -EINVAL, "it has no address for other hypervisors (setting peer)");
    struct lv_opening *opening = opening_start(uri, /* events = */ NULL);
    if (!opening)
        return cannot_start(err);
    int r = call_wait(&opening->call, env_now(hv->env) + hv->connect_timeout);
    if (r < 0)
        no_answer(err, uri, hv->connect_timeout);
    else if (!opening->conn)
        r = opening_failed(opening, error, err);
    else
        *ret_conn = lv_conn_ref(opening->conn);
    call_unref(&opening->call);
    return r;
}

/* ---- shared connections */

int lv_slot_init(struct lv_slot *slot, const char *uri, struct hv *events)
{
    *slot = (struct lv_slot){.uri = strdup(uri), .events = events};
    pthread_mutex_init(&slot->lock, NULL);
    return slot->uri ? 0 : -ENOMEM;
}

void lv_slot_done(struct lv_slot *slot)
{
    lv_conn_unref(slot->conn);
    if (slot->opening)
        call_unref(&slot->opening->call);
    free(slot->uri);
    pthread_mutex_destroy(&slot->lock);
}

/* Under the lock: the connection that works, or the opening to wait for; both NULL: cannot start
 * one. */
static void slot_find(struct lv_slot *slot, struct lv_conn **ret_conn,
                      struct lv_opening **ret_opening)
{
    if (slot->conn && lv_conn_is_dead(slot->conn)) {
        lv_conn_unref(slot->conn);
        slot->conn = NULL;
    }
    *ret_conn = slot->conn ? lv_conn_ref(slot->conn) : NULL;
    *ret_opening = NULL;
    if (*ret_conn)
        return;
    /* One that hangs is not repeated: whoever comes later waits for the same one. */
    if (!slot->opening)
        slot->opening = opening_start(slot->uri, slot->events);
    if (slot->opening) {
        call_ref(&slot->opening->call);
        *ret_opening = slot->opening;
    }
}

int lv_slot_get(struct hv *hv, struct lv_slot *slot, struct lv_conn **ret_conn,
                struct hv_error *error, struct rm_err *err)
{
    struct lv_conn *conn;
    struct lv_opening *opening;
    pthread_mutex_lock(&slot->lock);
    slot_find(slot, &conn, &opening);
    pthread_mutex_unlock(&slot->lock);
    if (conn) {
        *ret_conn = conn;
        return 0;
    }
    if (!opening)
        return cannot_start(err);
    int r = call_wait(&opening->call, env_now(hv->env) + hv->connect_timeout);
    if (r < 0) {
        call_unref(&opening->call);
        return no_answer(err, slot->uri, hv->connect_timeout);
    }
    pthread_mutex_lock(&slot->lock);
    if (slot->opening == opening) { /* the first who comes takes it for all */
        slot->opening = NULL;
        if (opening->conn)
            slot->conn = lv_conn_ref(opening->conn);
        call_unref(&opening->call);
    }
    if (opening->conn)
        *ret_conn = lv_conn_ref(opening->conn);
    pthread_mutex_unlock(&slot->lock);
    if (!opening->conn)
        r = opening_failed(opening, error, err);
    call_unref(&opening->call);
    return r;
}

static struct lv_slot *peer_slot(struct hv *hv, const char *uri)
{
    pthread_mutex_lock(&hv->lock);
    struct lv_slot *slot = hv->peers;
    while (slot && strcmp(slot->uri, uri) != 0)
        slot = slot->next;
    if (!slot) {
        slot = calloc(1, sizeof(*slot));
        if (slot && lv_slot_init(slot, uri, /* events = */ NULL) < 0) {
            free(slot);
            slot = NULL;
        }
        if (slot) {
            slot->next = hv->peers;
            hv->peers = slot;
        }
    }
    if (slot)
        slot->users++;
    pthread_mutex_unlock(&hv->lock);
    return slot;
}

int lv_conn_get(struct hv *hv, const char *peer, struct lv_conn **ret_conn, struct hv_error *error,
                struct rm_err *err)
{
    if (!peer)
        return lv_slot_get(hv, &hv->control, ret_conn, error, err);
    if (!peer[0])
        return rm_fail(err, -EINVAL, "it has no address for other hypervisors (setting peer)");
    struct lv_slot *slot = peer_slot(hv, peer);
    if (!slot)
        return cannot_start(err);
    int r = lv_slot_get(hv, slot, ret_conn, error, err);
    pthread_mutex_lock(&hv->lock);
    slot->users--;
    slot->used_at = env_now(hv->env);
    pthread_mutex_unlock(&hv->lock);
    return r;
}

void lv_reap_peers(struct hv *hv)
{
    usec_t now = env_now(hv->env);
    struct lv_slot *idle = NULL;
    pthread_mutex_lock(&hv->lock);
    for (struct lv_slot **at = &hv->peers; *at;) {
        struct lv_slot *slot = *at;
        if (slot->users > 0 || now < slot->used_at + PEER_IDLE_FOR) {
            at = &slot->next;
            continue;
        }
        *at = slot->next;
        slot->next = idle;
        idle = slot;
    }
    pthread_mutex_unlock(&hv->lock);
    while (idle) {
        struct lv_slot *slot = idle;
        idle = slot->next;
        lv_slot_done(slot);
        free(slot);
    }
}

/* ---- calls */

static void op_run(struct call *call)
{
    struct lv_op *op = (struct lv_op *)call;
    op->result = op->body(op);
    if (op->result < 0 && hv_error_is_connection(&op->error))
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
        return cannot_start(err);
    if (call_wait(&op->call, env_now(hv->env) + span) < 0) {
        lv_conn_give_up(op->conn);
        return no_answer(err, "libvirt", span);
    }
    if (op->result < 0 && op->error.code != 0) {
        char text[RM_ERR_MAX];
        return rm_fail(err, op->result, "%s", hv_error_text(&op->error, text));
    }
    if (op->result < 0)
        return rm_fail(err, op->result, "%s", op->err.text);
    return op->result;
}

int lv_note(struct lv_op *op)
{
    keep_error(&op->error);
    return -EIO;
}

virDomainPtr lv_guest(struct lv_op *op)
{
    virDomainPtr domain = virDomainLookupByUUIDString(op->conn->connect, op->uuid);
    if (!domain)
        lv_note(op);
    return domain;
}
