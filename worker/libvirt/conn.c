/* conn.c - a hypervisor and the connections to libvirt's daemons, its own and those of others */
#include "worker/libvirt/conn.h"

#include "conf/unit.h"
#include "worker/async_call.h"
#include "worker/thread.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEEPALIVE_INTERVAL = 5, /* seconds between two questions "are you there" */
    KEEPALIVE_COUNT = 3,    /* unanswered ones until the connection is given up */
};

#define IDLE_FOR (30 * USEC_PER_SEC) /* until an unused connection is closed */

static_assert(LV_UUID_MAX == VIR_UUID_STRING_BUFLEN, "the length of libvirt's uuids");

/* ---- the library */

static void be_quiet(void *opaque, virErrorPtr error)
{
    (void)opaque;
    (void)error; /* whoever called reads the error; libvirt would write it to stderr as well */
}

static void *event_thread(void *arg)
{
    (void)arg;
    thread_stays();
    for (;;)
        if (virEventRunDefaultImpl() < 0)
            env_sleep(env_system(), 100 * USEC_PER_MSEC);
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
    library_result = thread_start(event_thread, NULL);
}

/* The library and the thread of its event loop; once for the process. */
static int use_library(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, library_init);
    return library_result;
}

/* ---- links and connections */

/* What callbacks of a connection need; it outlives the connection while they hold it. */
struct lv_link {
    atomic_uint refs;
    atomic_bool dead;       /* closed by the other side, or given up */
    struct lv_watch *watch; /* a reference; NULL: no events are wanted */
};

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
    lv_watch_unref(link->watch);
    free(link);
}

static struct lv_link *link_new(struct lv_watch *watch)
{
    struct lv_link *link = malloc(sizeof(*link));
    if (!link)
        return NULL;
    atomic_init(&link->refs, 1);
    atomic_init(&link->dead, false);
    link->watch = watch ? lv_watch_ref(watch) : NULL;
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

void lv_conn_orphan(struct lv_conn *conn)
{
    lv_conn_give_up(conn);
    if (!atomic_exchange(&conn->orphaned, true))
        atomic_fetch_add(&conn->pool->orphans, 1);
}

static void on_close(virConnectPtr connect, int reason, void *opaque)
{
    (void)connect;
    (void)reason;
    struct lv_link *link = opaque;
    atomic_store(&link->dead, true);
    if (link->watch)
        lv_watch_changed(link->watch);
}

/* Closing asks the daemon and so may hang like every call. */
struct closing {
    struct call call;
    struct lv_conn *conn;
};

static void closing_run(struct call *call)
{
    struct lv_conn *conn = ((struct closing *)call)->conn;
    struct hv *hv = conn->hv;
    /* Callbacks hold the connection: without this it would never be closed. */
    for (size_t i = 0; i < conn->n_events; i++)
        virConnectDomainEventDeregisterAny(conn->connect, conn->events[i]);
    virConnectUnregisterCloseCallback(conn->connect, on_close);
    virConnectClose(conn->connect);
    link_unref(conn->link);
    free(conn);
    lv_hv_unref(hv);
}

static void closing_release(struct call *call)
{
    free(call);
}

static void conn_close(struct lv_conn *conn)
{
    lv_conn_give_up(conn);
    struct closing *closing = calloc(1, sizeof(*closing));
    if (!closing)
        return; /* a connection that leaks is better than a thread that hangs */
    closing->conn = conn;
    call_init(&closing->call, closing_run, closing_release);
    call_start(&closing->call, NULL);
    call_unref(&closing->call);
}

static void conns_close(struct lv_conn *list)
{
    while (list) {
        struct lv_conn *conn = list;
        list = conn->next;
        conn_close(conn);
    }
}

/* Nobody has it any more. False: it does not go back. */
static bool give_back(struct lv_conn *conn)
{
    struct hv *hv = conn->hv;
    pthread_mutex_lock(&hv->lock);
    bool good = !hv->closing && !lv_conn_is_dead(conn);
    if (good) {
        atomic_store(&conn->refs, 1); /* of the pool */
        conn->idle_at = env_now(hv->env);
        conn->next = conn->pool->idle;
        conn->pool->idle = conn;
    }
    pthread_mutex_unlock(&hv->lock);
    return good;
}

void lv_conn_unref(struct lv_conn *conn)
{
    if (!conn || atomic_fetch_sub(&conn->refs, 1) != 1)
        return;
    if (atomic_load(&conn->orphaned))
        atomic_fetch_sub(&conn->pool->orphans, 1); /* the call has come back */
    if (!give_back(conn))
        conn_close(conn);
}

static void on_lifecycle(virConnectPtr connect, virDomainPtr domain, int event, int detail,
                         void *opaque)
{
    (void)connect;
    (void)domain;
    (void)event;
    (void)detail;
    lv_watch_changed(((struct lv_link *)opaque)->watch);
}

/* Somebody moves a guest away: rmigrate, or another tool. */
static void on_iteration(virConnectPtr connect, virDomainPtr domain, int iteration, void *opaque)
{
    (void)connect;
    (void)iteration;
    char uuid[LV_UUID_MAX];
    if (virDomainGetUUIDString(domain, uuid) == 0)
        lv_watch_add_migrating(((struct lv_link *)opaque)->watch, uuid);
}

static void on_job_completed(virConnectPtr connect, virDomainPtr domain,
                             virTypedParameterPtr params, int n_params, void *opaque)
{
    (void)connect;
    (void)domain;
    (void)params;
    (void)n_params;
    lv_watch_changed(((struct lv_link *)opaque)->watch);
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
    struct hv *hv;        /* a reference */
    struct lv_pool *pool; /* of hv */
    struct lv_link *link;
    struct lv_conn *conn; /* what came of it */
    struct lv_error error;
    struct lv_opening *next; /* in the pool */
};

void lv_keep_error(struct lv_error *error)
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
        opening->error = (struct lv_error){.code = VIR_ERR_NO_MEMORY, .message = "no memory"};
        return;
    }
    conn->connect = virConnectOpen(opening->pool->uri);
    if (!conn->connect) {
        lv_keep_error(&opening->error);
        free(conn);
        return;
    }
    static atomic_uint_fast64_t serials;
    conn->serial = atomic_fetch_add(&serials, 1) + 1;
    atomic_init(&conn->refs, 1);
    conn->hv = lv_hv_ref(opening->hv);
    conn->pool = opening->pool;
    atomic_init(&conn->orphaned, false);
    conn->link = link_ref(opening->link);
    /* A daemon that knows no keepalive refuses it; then deadlines alone must do. */
    virConnectSetKeepAlive(conn->connect, KEEPALIVE_INTERVAL, KEEPALIVE_COUNT);
    if (virConnectRegisterCloseCallback(conn->connect, on_close, link_ref(conn->link), link_unref) <
        0)
        link_unref(conn->link);
    if (conn->link->watch) {
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
    lv_hv_unref(opening->hv);
    free(opening);
}

static struct lv_opening *opening_start(struct hv *hv, struct lv_pool *pool)
{
    struct lv_opening *opening = calloc(1, sizeof(*opening));
    if (!opening)
        return NULL;
    call_init(&opening->call, opening_run, opening_release);
    opening->hv = lv_hv_ref(hv);
    opening->pool = pool;
    opening->link = link_new(pool->watch);
    if (!opening->link || call_start(&opening->call, NULL) < 0) {
        call_unref(&opening->call);
        return NULL;
    }
    return opening;
}

int lv_no_answer(struct rm_err *err, const char *uri, usec_t timeout)
{
    char span[UNIT_TEXT_MAX];
    return rm_fail(err, -ETIMEDOUT, "%s did not answer within %s", uri,
                   unit_duration_text(timeout, span));
}

static int opening_failed(const struct lv_opening *opening, struct lv_error *error,
                          struct rm_err *err)
{
    char text[RM_ERR_MAX];
    if (error)
        *error = opening->error;
    return rm_fail(err, -EIO, "cannot connect to %s: %s", opening->pool->uri,
                   lv_error_text(&opening->error, text));
}

int lv_cannot_start(struct rm_err *err)
{
    return rm_fail(err, -EAGAIN, "no memory or no thread (%u calls of libvirt are under way)",
                   calls_active());
}

/* ---- pools */

static int pool_init(struct lv_pool *pool, const char *uri, struct lv_watch *watch)
{
    *pool = (struct lv_pool){.uri = strdup(uri), .watch = watch};
    atomic_init(&pool->orphans, 0);
    return pool->uri ? 0 : -ENOMEM;
}

/* Under the lock: takes one that works out of those that nobody has; *dead: others, to be closed.
 */
static struct lv_conn *take_idle(struct lv_pool *pool, struct lv_conn **dead)
{
    while (pool->idle) {
        struct lv_conn *conn = pool->idle;
        pool->idle = conn->next;
        if (!lv_conn_is_dead(conn))
            return conn;
        conn->next = *dead;
        *dead = conn;
    }
    return NULL;
}

/* Under the lock: takes an opening that is under way though its deadline is over. One that hangs is
 * not repeated: whoever comes later waits for that one. *failed: others, that came to nothing. */
static struct lv_opening *take_opening(struct lv_pool *pool, struct lv_opening **failed)
{
    while (pool->opening) {
        struct lv_opening *opening = pool->opening;
        pool->opening = opening->next;
        if (!call_ended(&opening->call) || opening->conn)
            return opening;
        opening->next = *failed;
        *failed = opening;
    }
    return NULL;
}

static void openings_unref(struct lv_opening *list)
{
    while (list) {
        struct lv_opening *opening = list;
        list = opening->next;
        call_unref(&opening->call);
    }
}

/* Left alone at its deadline. */
static void leave_opening(struct hv *hv, struct lv_opening *opening)
{
    pthread_mutex_lock(&hv->lock);
    bool closing = hv->closing;
    if (!closing) {
        opening->next = opening->pool->opening;
        opening->pool->opening = opening;
    }
    pthread_mutex_unlock(&hv->lock);
    if (closing)
        call_unref(&opening->call);
}

static int pool_get(struct hv *hv, struct lv_pool *pool, struct lv_conn **ret_conn,
                    struct lv_error *error, struct rm_err *err)
{
    struct lv_conn *dead = NULL;
    struct lv_opening *failed = NULL, *opening = NULL;
    pthread_mutex_lock(&hv->lock);
    unsigned orphans = atomic_load(&pool->orphans);
    struct lv_conn *conn = orphans < LV_ORPHANS_MAX ? take_idle(pool, &dead) : NULL;
    if (!conn && orphans < LV_ORPHANS_MAX)
        opening = take_opening(pool, &failed);
    pthread_mutex_unlock(&hv->lock);
    conns_close(dead);
    openings_unref(failed);
    if (orphans >= LV_ORPHANS_MAX)
        return rm_fail(err, -EAGAIN, "%u calls to %s have not come back", orphans, pool->uri);
    if (conn) {
        *ret_conn = conn;
        return 0;
    }
    if (!opening)
        opening = opening_start(hv, pool);
    if (!opening)
        return lv_cannot_start(err);
    int r = call_wait(&opening->call, env_now(hv->env) + hv->connect_timeout);
    if (r < 0) {
        leave_opening(hv, opening);
        return lv_no_answer(err, pool->uri, hv->connect_timeout);
    }
    if (!opening->conn) {
        r = opening_failed(opening, error, err);
    } else {
        *ret_conn = opening->conn;
        opening->conn = NULL;
    }
    call_unref(&opening->call);
    return r;
}

/* They stay until the hypervisor is closed: there are no more of them than hypervisors. */
static struct lv_pool *find_pool(struct hv *hv, const char *uri)
{
    pthread_mutex_lock(&hv->lock);
    struct lv_pool *pool = hv->pools;
    while (pool && strcmp(pool->uri, uri) != 0)
        pool = pool->next;
    if (!pool) {
        pool = calloc(1, sizeof(*pool));
        if (pool && pool_init(pool, uri, /* watch = */ NULL) < 0) {
            free(pool);
            pool = NULL;
        }
        if (pool) {
            pool->next = hv->pools;
            hv->pools = pool;
        }
    }
    pthread_mutex_unlock(&hv->lock);
    return pool;
}

int lv_conn_get(struct hv *hv, const char *peer, struct lv_conn **ret_conn, struct lv_error *error,
                struct rm_err *err)
{
    /* To libvirt an empty name means "whatever is here", which would be a look at the wrong
     * hypervisor. */
    if (peer && !peer[0])
        return rm_fail(err, -EINVAL, "it has no address for other hypervisors (setting peer)");
    struct lv_pool *pool = find_pool(hv, peer ? peer : hv->uri);
    return pool ? pool_get(hv, pool, ret_conn, error, err) : lv_cannot_start(err);
}

int lv_conn_get_watched(struct hv *hv, struct lv_conn **ret_conn, struct rm_err *err)
{
    return pool_get(hv, &hv->watched, ret_conn, NULL, err);
}

void lv_reap_idle(struct hv *hv)
{
    usec_t now = env_now(hv->env);
    struct lv_conn *old = NULL;
    pthread_mutex_lock(&hv->lock);
    for (struct lv_pool *pool = hv->pools; pool; pool = pool->next)
        for (struct lv_conn **at = &pool->idle; *at;) {
            struct lv_conn *conn = *at;
            if (!lv_conn_is_dead(conn) && now < conn->idle_at + IDLE_FOR) {
                at = &conn->next;
                continue;
            }
            *at = conn->next;
            conn->next = old;
            old = conn;
        }
    pthread_mutex_unlock(&hv->lock);
    conns_close(old);
}

/* ---- the hypervisor */

struct hv *lv_hv_ref(struct hv *hv)
{
    atomic_fetch_add(&hv->refs, 1);
    return hv;
}

void lv_hv_unref(struct hv *hv)
{
    if (!hv || atomic_fetch_sub(&hv->refs, 1) != 1)
        return;
    while (hv->pools) {
        struct lv_pool *pool = hv->pools;
        hv->pools = pool->next;
        free(pool->uri);
        free(pool);
    }
    free(hv->watched.uri);
    lv_watch_unref(hv->watch);
    pthread_mutex_destroy(&hv->lock);
    free(hv->uri);
    free(hv->name);
    free(hv);
}

/* The daemon's own files are about this hypervisor only where the connection goes to this machine
 * by the socket that libvirt chooses: a socket named by hand may be a way to another one. */
bool lv_uri_is_local(const char *uri)
{
    return strcmp(uri, "qemu:///system") == 0 || strcmp(uri, "qemu+unix:///system") == 0;
}

struct hv *lv_hv_open(const struct conf_hypervisor *conf, const struct conf_worker *worker,
                      const struct env *env, struct rm_err *err)
{
    if (use_library() < 0) {
        rm_fail(err, -EIO, "libvirt's library cannot be used");
        return NULL;
    }
    struct hv *hv = calloc(1, sizeof(*hv));
    if (!hv) {
        rm_fail(err, -ENOMEM, "no memory");
        return NULL;
    }
    atomic_init(&hv->refs, 1);
    pthread_mutex_init(&hv->lock, NULL);
    hv->watch = lv_watch_new();
    hv->name = strdup(conf->name);
    hv->uri = strdup(conf->connect);
    hv->memory = conf->memory;
    hv->vcpus = conf->vcpus;
    hv->connect_timeout = worker->connect_timeout;
    hv->call_timeout = worker->call_timeout;
    hv->env = env;
    hv->local = lv_uri_is_local(conf->connect);
    if (pool_init(&hv->watched, conf->connect, hv->watch) < 0 || !hv->watch || !hv->name ||
        !hv->uri) {
        rm_fail(err, -ENOMEM, "no memory");
        lv_hv_unref(hv);
        return NULL;
    }
    return hv;
}

/* Under the lock: takes out all that nobody has or waits for. */
static void drain(struct lv_pool *pool, struct lv_conn **conns, struct lv_opening **openings)
{
    while (pool->idle) {
        struct lv_conn *conn = pool->idle;
        pool->idle = conn->next;
        conn->next = *conns;
        *conns = conn;
    }
    while (pool->opening) {
        struct lv_opening *opening = pool->opening;
        pool->opening = opening->next;
        opening->next = *openings;
        *openings = opening;
    }
}

void lv_hv_close(struct hv *hv)
{
    if (!hv)
        return;
    struct lv_conn *conns = NULL;
    struct lv_opening *openings = NULL;
    pthread_mutex_lock(&hv->lock);
    hv->closing = true;
    drain(&hv->watched, &conns, &openings);
    for (struct lv_pool *pool = hv->pools; pool; pool = pool->next)
        drain(pool, &conns, &openings);
    pthread_mutex_unlock(&hv->lock);
    conns_close(conns);
    openings_unref(openings);
    lv_hv_unref(hv);
}
