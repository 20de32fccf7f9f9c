/* domjob.c - what belongs to a migration of libvirt's that runs
 *
 * The list of those that run from here; figures and abort, of these as of one that was found
 * running; the resume behind the fence, and the proof by the end of the source's process (the
 * reasons stand in migrate.c). */
#include "worker/libvirt/domjob.h"

#include "worker/libvirt/look.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <unistd.h>

#define PID_DIRECTORY "/run/libvirt/qemu"

enum { COMMAND_LINE_MAX = 256 * 1024 };

/* ---- runs: the migrations that are under way from here */

struct lv_run *lv_run_ref(struct lv_run *run)
{
    atomic_fetch_add(&run->refs, 1);
    return run;
}

void lv_run_unref(void *arg)
{
    struct lv_run *run = arg;
    if (!run || atomic_fetch_sub(&run->refs, 1) != 1)
        return;
    bell_unref(run->bell);
    pthread_mutex_destroy(&run->lock);
    free(run);
}

struct lv_run *lv_run_new(struct hv *hv, const char *uuid)
{
    struct lv_run *run = calloc(1, sizeof(*run));
    if (!run)
        return NULL;
    atomic_init(&run->refs, 1);
    atomic_init(&run->stop, false);
    pthread_mutex_init(&run->lock, NULL);
    snprintf(run->uuid, sizeof(run->uuid), "%s", uuid);
    run->env = hv->env;
    run->stats = (RmStats)RM_STATS__INIT;
    run->bell = bell_new();
    if (!run->bell) {
        lv_run_unref(run);
        return NULL;
    }
    pthread_mutex_lock(&hv->lock);
    run->next = hv->runs;
    hv->runs = lv_run_ref(run);
    pthread_mutex_unlock(&hv->lock);
    return run;
}

void lv_run_remove(struct hv *hv, struct lv_run *run)
{
    pthread_mutex_lock(&hv->lock);
    struct lv_run **at = &hv->runs;
    while (*at && *at != run)
        at = &(*at)->next;
    bool found = *at;
    if (found)
        *at = run->next;
    pthread_mutex_unlock(&hv->lock);
    if (found)
        lv_run_unref(run);
}

static struct lv_run *run_find(struct hv *hv, const char *uuid)
{
    pthread_mutex_lock(&hv->lock);
    struct lv_run *run = hv->runs;
    while (run && strcmp(run->uuid, uuid) != 0)
        run = run->next;
    if (run)
        lv_run_ref(run);
    pthread_mutex_unlock(&hv->lock);
    return run;
}

bool lv_run_is_begun(struct hv *hv, const char *uuid)
{
    struct lv_run *run = run_find(hv, uuid);
    bool begun = run && atomic_load(&run->begun);
    lv_run_unref(run);
    return begun;
}

static void on_completed(virConnectPtr connect, virDomainPtr domain, virTypedParameterPtr params,
                         int n_params, void *opaque)
{
    (void)connect;
    (void)domain;
    struct lv_run *run = opaque;
    if (lv_operation(params, n_params) != VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT)
        return;
    pthread_mutex_lock(&run->lock);
    lv_stats(params, n_params, &run->stats);
    run->stats.measured_downtime = true;
    run->completed = true;
    pthread_mutex_unlock(&run->lock);
    bell_ring(run->bell);
}

static void on_lifecycle(virConnectPtr connect, virDomainPtr domain, int event, int detail,
                         void *opaque)
{
    (void)connect;
    (void)domain;
    (void)detail;
    struct lv_run *run = opaque;
    pthread_mutex_lock(&run->lock);
    if (event == VIR_DOMAIN_EVENT_SUSPENDED && run->suspended_at == 0)
        run->suspended_at = env_now(run->env);
    if (event == VIR_DOMAIN_EVENT_RESUMED) {
        run->suspended_at = 0;
        run->ran_again = true;
    }
    pthread_mutex_unlock(&run->lock);
}

static void listen(struct lv_run *run, struct lv_conn *conn, virDomainPtr domain, int event,
                   virConnectDomainEventGenericCallback on)
{
    int id = virConnectDomainEventRegisterAny(conn->connect, domain, event, on, lv_run_ref(run),
                                              lv_run_unref);
    if (id >= 0)
        conn->events[conn->n_events++] = id;
    else
        lv_run_unref(run); /* then figures come from the last poll */
}

void lv_run_listen(struct lv_run *run, struct lv_conn *conn, virDomainPtr domain)
{
    listen(run, conn, domain, VIR_DOMAIN_EVENT_ID_JOB_COMPLETED,
           VIR_DOMAIN_EVENT_CALLBACK(on_completed));
    listen(run, conn, domain, VIR_DOMAIN_EVENT_ID_LIFECYCLE,
           VIR_DOMAIN_EVENT_CALLBACK(on_lifecycle));
}

/* ---- progress and abort, for a run of ours as for one that was found */

struct job_op {
    struct lv_op op;
    bool stop;                   /* abort it */
    unsigned long long downtime; /* ms to be set; 0 = leave it */
    bool outgoing, downtime_set;
    RmStats stats;
};

static int job_body(struct lv_op *op)
{
    struct job_op *ask = (struct job_op *)op;
    virDomainPtr domain = lv_guest(op);
    if (!domain)
        return -EIO;
    int type = VIR_DOMAIN_JOB_NONE, n_params = 0, r = 0;
    virTypedParameterPtr params = NULL;
    if (virDomainGetJobStats(domain, &type, &params, &n_params, 0) < 0) {
        r = lv_note(op);
    } else {
        ask->outgoing = (type == VIR_DOMAIN_JOB_UNBOUNDED || type == VIR_DOMAIN_JOB_BOUNDED) &&
                        lv_operation(params, n_params) == VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT;
        lv_stats(params, n_params, &ask->stats);
        virTypedParamsFree(params, n_params);
        if (ask->outgoing && ask->downtime)
            ask->downtime_set = virDomainMigrateSetMaxDowntime(domain, ask->downtime, 0) == 0;
        /* Only a migration is stopped: virDomainAbortJob() would end a backup just as well. */
        if (ask->outgoing && ask->stop && virDomainAbortJob(domain) < 0)
            r = lv_note(op);
    }
    virDomainFree(domain);
    return r;
}

/* -ENOENT: no migration goes out. */
static int job_result(struct hv *hv, struct job_op *ask, struct rm_err *err)
{
    int r = lv_op_run(hv, &ask->op, err);
    if (r == -ETIMEDOUT || r == -EAGAIN)
        return r;
    if (r < 0) /* "not found" and "not running" are how a migration looks that has just ended */
        return lv_error_class(&ask->op.error) == RM_CLASS__CLASS_AMBIGUOUS &&
                       !lv_error_is_connection(&ask->op.error)
                   ? -ENOENT
                   : r;
    return ask->outgoing ? 0 : -ENOENT;
}

/* Asks, and stops it or sets its downtime (0: leaves it); *ret as far as it came. */
static int ask_job(struct hv *hv, const char *uuid, bool stop, unsigned long long downtime,
                   struct job_op *ret, struct rm_err *err)
{
    struct lv_conn *conn;
    int r = lv_conn_get(hv, /* peer = */ NULL, &conn, NULL, err);
    if (r < 0)
        return r;
    struct job_op *ask = calloc(1, sizeof(*ask));
    r = -ENOMEM;
    if (ask) {
        lv_op_init(&ask->op, conn, uuid, job_body);
        ask->stop = stop;
        ask->downtime = downtime;
        r = job_result(hv, ask, err);
        if (r == 0) /* else a call that hangs may still write there */
            *ret = *ask;
        lv_op_unref(&ask->op);
    }
    lv_conn_unref(conn);
    return r;
}

int lv_ask_progress(struct hv *hv, const char *uuid, unsigned long long downtime,
                    RmStats *ret_stats, bool *ret_downtime_set)
{
    struct job_op job;
    int r = ask_job(hv, uuid, /* stop = */ false, downtime, &job, NULL);
    if (r == 0) {
        *ret_stats = job.stats;
        *ret_downtime_set = job.downtime_set;
    }
    return r;
}

int lv_hv_progress(struct hv *hv, const char *uuid, RmStats *ret_stats)
{
    bool ignored;
    return lv_ask_progress(hv, uuid, /* downtime = */ 0, ret_stats, &ignored);
}

int lv_abort_now(struct hv *hv, const char *uuid, struct rm_err *err)
{
    struct job_op job;
    int r = ask_job(hv, uuid, /* stop = */ true, /* downtime = */ 0, &job, err);
    return r == -ENOENT ? 0 : r;
}

int lv_hv_abort(struct hv *hv, const char *uuid, struct rm_err *err)
{
    struct lv_run *run = run_find(hv, uuid);
    if (!run)
        return lv_abort_now(hv, uuid, err);
    /* Its own thread does it, and knows then who stopped it. */
    atomic_store(&run->stop, true);
    bell_ring(run->bell);
    lv_run_unref(run);
    return 0;
}

/* ---- other limits: for the migration that runs; libvirt forgets them at its end */

struct limits_op {
    struct lv_op op;
    unsigned long speed;         /* MiB/s; 0 = leave it */
    unsigned long long downtime; /* ms, the same */
};

static int limits_body(struct lv_op *op)
{
    struct limits_op *ask = (struct limits_op *)op;
    virDomainPtr domain = lv_guest(op);
    if (!domain)
        return -EIO;
    int r = lv_still_wanted(op);
    if (r == 0 && ((ask->speed && virDomainMigrateSetMaxSpeed(domain, ask->speed, 0) < 0) ||
                   (ask->downtime && virDomainMigrateSetMaxDowntime(domain, ask->downtime, 0) < 0)))
        r = lv_note(op);
    virDomainFree(domain);
    return r;
}

static int set_limits(struct hv *hv, const char *uuid, const RmOptions *limits, struct rm_err *err)
{
    struct lv_conn *conn;
    int r = lv_conn_get(hv, /* peer = */ NULL, &conn, NULL, err);
    if (r < 0)
        return r;
    struct limits_op *ask = calloc(1, sizeof(*ask));
    r = ask ? 0 : rm_fail(err, -ENOMEM, "no memory");
    if (ask) {
        lv_op_init(&ask->op, conn, uuid, limits_body);
        ask->speed = lv_mib(limits->bandwidth);
        ask->downtime = lv_msec(limits->downtime_for);
        r = lv_op_run(hv, &ask->op, err);
        lv_op_unref(&ask->op);
    }
    lv_conn_unref(conn);
    return r;
}

/* Its job must have been seen: the call that begins it sets what was asked for at first, and without a job libvirt
 * would keep the speed for whatever leaves later. */
int lv_hv_modify(struct hv *hv, const char *uuid, const RmOptions *limits, struct rm_err *err)
{
    if (!limits->bandwidth && !limits->downtime_for)
        return 0;
    struct lv_run *run = run_find(hv, uuid);
    bool young = run && !atomic_load(&run->begun);
    struct job_op job;
    int r = young ? -ENOENT : ask_job(hv, uuid, /* stop = */ false, /* downtime = */ 0, &job, err);
    lv_run_unref(run);
    if (r == -ENOENT)
        return rm_fail(err, r, "its copy has not begun, or is over");
    return r < 0 ? r : set_limits(hv, uuid, limits, err);
}

/* ---- the resume behind the fence */

struct resume_op {
    struct lv_op op;
};

/* 0: it runs there now. -EAGAIN: it is not handed over, or not yet. */
static int resume_body(struct lv_op *op)
{
    struct hv_look look;
    int r = lv_look(op, &look);
    if (r < 0)
        return r;
    if (look.active && look.state == RM_GUEST_STATE__GUEST_RUNNING)
        return 0;
    if (!look.active || look.incoming || look.outgoing ||
        look.state != RM_GUEST_STATE__GUEST_PAUSED ||
        (look.reason != HV_REASON_USER && look.reason != HV_REASON_MIGRATING))
        return rm_fail(&op->err, -EAGAIN, "the destination has no paused guest to be resumed");
    virDomainPtr domain = lv_guest(op);
    if (!domain)
        return -EIO;
    r = lv_still_wanted(op);
    if (r == 0 && virDomainResume(domain) < 0)
        r = lv_note(op);
    virDomainFree(domain);
    return r;
}

int lv_resume_now(struct hv *hv, struct lv_conn *destination, const char *uuid, struct rm_err *err)
{
    struct resume_op *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return rm_fail(err, -ENOMEM, "no memory");
    lv_op_init(&ask->op, destination, uuid, resume_body);
    int r = lv_op_run(hv, &ask->op, err);
    lv_op_unref(&ask->op);
    return r;
}

/* The source's QEMU as a descriptor that becomes readable at its end; -1: it cannot be watched from
 * here. The process is held before it is looked at, so that a pid which was used again cannot
 * deceive. */
int lv_open_process(const struct hv *hv, const char *name, const char *uuid)
{
    char path[sizeof(PID_DIRECTORY) + CONF_NAME_MAX + 8], text[32] = "";
    if (!hv->local || strchr(name, '/') || strlen(name) > CONF_NAME_MAX)
        return -1;
    snprintf(path, sizeof(path), PID_DIRECTORY "/%s.pid", name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return -1;
    ssize_t n = read(file, text, sizeof(text) - 1);
    close(file);
    long pid = n > 0 ? strtol(text, NULL, 10) : 0;
    int fd = pid > 1 && pid <= INT32_MAX ? pidfd_open((pid_t)pid, 0) : -1;
    if (fd < 0)
        return -1;
    bool ours = false;
    snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
    char *line = malloc(COMMAND_LINE_MAX);
    file = open(path, O_RDONLY | O_CLOEXEC);
    if (line && file >= 0) {
        size_t length = 0;
        while (length < COMMAND_LINE_MAX &&
               (n = read(file, line + length, COMMAND_LINE_MAX - length)) > 0)
            length += (size_t)n;
        static const char word[] = "-uuid";
        size_t uuid_size = strlen(uuid) + 1;
        for (size_t i = 0; !ours && i + sizeof(word) + uuid_size <= length; i++)
            ours = (i == 0 || line[i - 1] == '\0') && memcmp(line + i, word, sizeof(word)) == 0 &&
                   memcmp(line + i + sizeof(word), uuid, uuid_size) == 0;
    }
    if (file >= 0)
        close(file);
    free(line);
    struct pollfd end = {.fd = fd, .events = POLLIN};
    if (!ours || poll(&end, 1, 0) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}
