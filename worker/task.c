/* task.c - the threads of a worker: one for each running migration, one for each hypervisor's
 * inventory */
#include "worker/task.h"

#include "conf/log.h"
#include "worker/attempt.h"
#include "worker/question.h"
#include "worker/thread.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INVENTORY_EVERY   (5 * USEC_PER_SEC)
#define UNREACHABLE_EVERY USEC_PER_SEC
#define LOOK_SLICE        (100 * USEC_PER_MSEC)
#define COALESCE_FOR      (200 * USEC_PER_MSEC)
#define ABORT_EVERY       (500 * USEC_PER_MSEC)

enum {
    ARENA_LIMIT = 64 * 1024 * 1024, /* bytes of one inventory */
    ASKERS_MAX = 64,                /* questions at once */
};

static void tasks_unref(struct tasks *tasks)
{
    if (atomic_fetch_sub(&tasks->refs, 1) != 1)
        return;
    for (size_t i = 0; i < tasks->n_served; i++) {
        tasks->served[i].driver->close(tasks->served[i].hv);
        free(tasks->served[i].name);
    }
    free(tasks->served);
    mailbox_close(&tasks->mailbox);
    pthread_mutex_destroy(&tasks->lock);
    free(tasks);
}

static void task_unref(struct task *task)
{
    if (atomic_fetch_sub(&task->refs, 1) != 1)
        return;
    tasks_unref(task->tasks);
    rm_assignment__free_unpacked(task->assignment, NULL);
    free(task);
}

/* ---- threads of tasks */

static void *task_thread(void *arg)
{
    struct task *task = arg;
    struct tasks *tasks = task->tasks;
    attempt_run(task);
    atomic_store(&task->ended, true);
    pthread_mutex_lock(&tasks->lock);
    struct task **at = &tasks->list;
    while (*at != task)
        at = &(*at)->next;
    *at = task->next;
    pthread_mutex_unlock(&tasks->lock);
    task_unref(task); /* of the list */
    task_unref(task); /* of this thread */
    return NULL;
}

/* Repeats it until the task has ended: a migration that is just being begun does not hear the first
 * time. */
static void *abort_thread(void *arg)
{
    struct task *task = arg;
    while (!atomic_load(&task->ended)) {
        if (atomic_load(&task->moving) && task->at_source && attempt_may(task) == HV_MAY)
            task->served->driver->abort(task->served->hv, task->assignment->uuid, NULL);
        env_sleep(task->tasks->env, ABORT_EVERY);
    }
    task_unref(task);
    return NULL;
}

/* ---- questions */

static struct served *find_served(struct tasks *tasks, const char *name)
{
    for (size_t i = 0; i < tasks->n_served; i++)
        if (strcmp(tasks->served[i].name, name) == 0)
            return &tasks->served[i];
    return NULL;
}

struct asker {
    struct tasks *tasks;
    struct served *served;
    RmAsk *ask; /* owned */
};

static enum hv_may asker_may(void *ctx)
{
    const struct asker *asker = ctx;
    struct tasks *tasks = asker->tasks;
    pthread_mutex_lock(&tasks->lock);
    usec_t until_at = lease_of(tasks, asker->ask->session);
    pthread_mutex_unlock(&tasks->lock);
    return env_now(tasks->env) < until_at ? HV_MAY : HV_MAY_NEVER; /* nobody waits for it so long */
}

static void answer(struct tasks *tasks, const RmAsk *ask, bool ok, bool unanswered,
                   const char *text)
{
    RmAnswer message = RM_ANSWER__INIT;
    message.session = ask->session;
    message.id = ask->id;
    message.ok = ok;
    message.unanswered = unanswered;
    message.text = (char *)text;
    mailbox_post(&tasks->mailbox, MAIL_ANSWER, &message.base);
}

/* Gives the migration of that job that runs these limits (NULL: none), where they are not 0. -ESRCH: none runs. */
static int limit(struct tasks *tasks, const RmAssignment *about, const RmOptions *limits,
                 struct rm_err *err)
{
    bool found = false;
    pthread_mutex_lock(&tasks->lock);
    for (struct task *task = tasks->list; task; task = task->next) {
        if (task->assignment->job != about->job || task->assignment->attempt != about->attempt ||
            !task->migration)
            continue;
        found = true;
        if (limits && limits->bandwidth)
            task->migration->bandwidth = limits->bandwidth;
        if (limits && limits->downtime_for)
            task->migration->downtime = limits->downtime_for;
        if (limits && limits->timeout_for)
            task->migration->timeout = limits->timeout_for;
        if (limits && limits->stall_for)
            task->migration->stall = limits->stall_for;
    }
    pthread_mutex_unlock(&tasks->lock);
    return found ? 0 : rm_fail(err, -ESRCH, "its copy has not begun, or is over");
}

static int put(struct asker *asker, char notes[static RM_ERR_MAX], bool *ret_unanswered,
               struct rm_err *err)
{
    const RmAsk *ask = asker->ask;
    const RmOptions *options = ask->about->options;
    /* Those of z/VM are its own, all of them. */
    bool limits = ask->kind == RM_ASK_KIND__ASK_MODIFY && options && !options->relocation;
    int r = limits ? limit(asker->tasks, ask->about, NULL, err) : 0;
    if (r >= 0)
        r = question_put(asker->served->driver, asker->served->hv, asker->tasks->env, ask,
                         asker_may, asker, notes, ret_unanswered, err);
    return r >= 0 && limits ? limit(asker->tasks, ask->about, options, err) : r;
}

static void *ask_thread(void *arg)
{
    struct asker *asker = arg;
    struct tasks *tasks = asker->tasks;
    const RmAsk *ask = asker->ask;
    struct rm_err err = {""};
    char notes[RM_ERR_MAX] = "";
    bool unanswered = false;
    int r = put(asker, notes, &unanswered, &err);
    if (notes[0])
        log_info("guest=%s host=%s destination=%s: %s", ask->about->guest, ask->about->host,
                 ask->about->destination, notes);
    answer(tasks, ask, r >= 0, unanswered, err.text);
    atomic_fetch_sub(&tasks->askers, 1);
    rm_ask__free_unpacked(asker->ask, NULL);
    free(asker);
    tasks_unref(tasks);
    return NULL;
}

void tasks_ask(struct tasks *tasks, const RmAsk *ask)
{
    struct served *served = find_served(tasks, ask->about->host);
    struct asker *asker;
    if (served && ask->kind == RM_ASK_KIND__ASK_LOOK) {
        atomic_store(&served->look, ask->id);
        return;
    }
    if (!served || atomic_load(&tasks->askers) >= ASKERS_MAX) {
        answer(tasks, ask, /* ok = */ false, /* unanswered = */ false,
               served ? "its worker is busy with other questions, ask again later"
                      : "its worker does not serve that hypervisor");
        return;
    }
    asker = calloc(1, sizeof(*asker));
    if (asker)
        *asker = (struct asker){
            .tasks = tasks, .served = served, .ask = (RmAsk *)msg_copy(NULL, &ask->base)};
    atomic_fetch_add(&tasks->refs, 1);
    atomic_fetch_add(&tasks->askers, 1);
    if (asker && asker->ask && thread_start(ask_thread, asker) == 0)
        return;
    answer(tasks, ask, /* ok = */ false, /* unanswered = */ false,
           "its worker has no memory for questions");
    if (asker && asker->ask)
        rm_ask__free_unpacked(asker->ask, NULL);
    free(asker);
    atomic_fetch_sub(&tasks->askers, 1);
    atomic_fetch_sub(&tasks->refs, 1); /* the owner holds one: not the last */
}

/* ---- beginning and stopping */

/* From which side the task is done. Settling can be done from either; the source is the better one,
 * since a migration that runs is followed there. */
static struct served *choose_side(struct tasks *tasks, const RmAssignment *a, bool settling,
                                  bool *ret_at_source)
{
    struct served *source = find_served(tasks, a->host);
    struct served *destination = settling ? find_served(tasks, a->destination) : NULL;
    *ret_at_source = source && (a->peer[0] || !destination || !a->source_peer[0]);
    return *ret_at_source ? source : destination;
}

int tasks_start(struct tasks *tasks, const RmAssignment *assignment, bool settling,
                uint64_t session)
{
    bool at_source;
    struct served *served = choose_side(tasks, assignment, settling, &at_source);
    if (!served)
        return -ENOENT;
    struct task *task = calloc(1, sizeof(*task));
    if (!task)
        return -ENOMEM;
    task->assignment = (RmAssignment *)msg_copy(NULL, &assignment->base);
    if (!task->assignment) {
        free(task);
        return -ENOMEM;
    }
    atomic_fetch_add(&tasks->refs, 1);
    atomic_init(&task->refs, 2);
    task->tasks = tasks;
    task->served = served;
    task->settle = settling;
    task->session = session;
    task->at_source = at_source;
    task->stats = (RmStats)RM_STATS__INIT;
    pthread_mutex_lock(&tasks->lock);
    task->next = tasks->list;
    tasks->list = task;
    int r = thread_start(task_thread, task);
    if (r < 0)
        tasks->list = task->next;
    pthread_mutex_unlock(&tasks->lock);
    if (r < 0) {
        task_unref(task);
        task_unref(task);
    }
    return r;
}

int tasks_abort(struct tasks *tasks, uint64_t job)
{
    int r = -ENOENT;
    pthread_mutex_lock(&tasks->lock);
    for (struct task *task = tasks->list; task; task = task->next) {
        if (task->assignment->job != job)
            continue;
        r = 0;
        atomic_store(&task->stop, true);
        if (task->has_aborter)
            continue;
        atomic_fetch_add(&task->refs, 1);
        task->has_aborter = thread_start(abort_thread, task) == 0;
        if (!task->has_aborter)
            atomic_fetch_sub(&task->refs, 1); /* the list holds one: not the last */
    }
    pthread_mutex_unlock(&tasks->lock);
    return r;
}

/* ---- turns */

void tasks_lease(struct tasks *tasks, uint64_t session, usec_t until_at)
{
    pthread_mutex_lock(&tasks->lock);
    tasks->lease_session = session;
    tasks->lease_until = until_at;
    pthread_mutex_unlock(&tasks->lock);
}

void tasks_go_on(struct tasks *tasks, uint64_t job, uint64_t session)
{
    pthread_mutex_lock(&tasks->lock);
    for (struct task *task = tasks->list; task; task = task->next)
        if (task->assignment->job == job)
            task->session = session;
    pthread_mutex_unlock(&tasks->lock);
}

void tasks_off(struct tasks *tasks, uint64_t job, bool abort)
{
    pthread_mutex_lock(&tasks->lock);
    for (struct task *task = tasks->list; task; task = task->next) {
        if (task->assignment->job != job)
            continue;
        atomic_store(&task->abort, abort);
        task->off = true;
    }
    pthread_mutex_unlock(&tasks->lock);
}

/* ---- inventory */

/* Until something may have changed, somebody wants a look at once, or the span is over. */
static void wait_change(struct served *served, usec_t wait_for, uint64_t look)
{
    struct tasks *tasks = served->tasks;
    usec_t until_at = env_now(tasks->env) + wait_for, now;
    while ((now = env_now(tasks->env)) < until_at && !atomic_load(&tasks->leaving) &&
           atomic_load(&served->look) == look) {
        usec_t slice = until_at - now < LOOK_SLICE ? until_at - now : LOOK_SLICE;
        if (served->driver->wait_change(served->hv, slice) > 0) {
            env_sleep(tasks->env, COALESCE_FOR); /* changes come in groups */
            return;
        }
    }
}

static void *inventory_thread(void *arg)
{
    struct served *served = arg;
    struct tasks *tasks = served->tasks;
    struct arena *arena = arena_new(ARENA_LIMIT);
    bool reachable = true;
    while (arena && !atomic_load(&tasks->leaving)) {
        RmInventory *inventory = NULL;
        arena_reset(arena);
        usec_t taken_at = env_now(tasks->env);
        uint64_t look = atomic_load(&served->look);
        int r = served->driver->inventory(served->hv, arena, &inventory);
        if (r < 0) {
            log_error("host=%s: no inventory: %s, will retry", served->name, strerror(-r));
        } else {
            if (inventory->reachable != reachable)
                log_notice(inventory->reachable ? NOTICE_NONE : NOTICE_HYPERVISOR_LOST,
                           inventory->reachable ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "host=%s: %s%s",
                           served->name,
                           inventory->reachable ? "answers" : "does not answer: ", inventory->text);
            reachable = inventory->reachable;
            inventory->sequence = atomic_fetch_add(&tasks->sequence, 1) + 1;
            inventory->taken_at = taken_at;
            inventory->look = look;
            mailbox_post(&tasks->mailbox, MAIL_INVENTORY, &inventory->base);
        }
        bool well = r >= 0 && reachable;
        wait_change(served, well ? INVENTORY_EVERY : UNREACHABLE_EVERY, look);
    }
    arena_free(arena);
    tasks_unref(tasks);
    return NULL;
}

/* ---- all together */

int tasks_fd(const struct tasks *tasks)
{
    return mailbox_fd(&tasks->mailbox);
}

bool tasks_next(struct tasks *tasks, struct arena *arena, struct mail *ret_mail)
{
    return mailbox_next(&tasks->mailbox, arena, ret_mail);
}

static int open_all(struct tasks *tasks, const struct conf_worker *conf,
                    const struct driver *const *drivers, struct rm_err *err)
{
    tasks->served = calloc(conf->n_hypervisors ? conf->n_hypervisors : 1, sizeof(*tasks->served));
    if (!tasks->served)
        return rm_fail(err, -ENOMEM, "no memory");
    for (size_t i = 0; i < conf->n_hypervisors; i++) {
        struct served *one = &tasks->served[i];
        one->tasks = tasks;
        one->driver = drivers[i];
        one->hv = one->driver->open(&conf->hypervisors[i], conf, tasks->env, err);
        if (!one->hv)
            return rm_prefix(err, -EIO, "hypervisor %s", conf->hypervisors[i].name);
        tasks->n_served++;
        one->name = strdup(conf->hypervisors[i].name);
        if (!one->name)
            return rm_fail(err, -ENOMEM, "no memory");
    }
    return 0;
}

int tasks_new(const struct conf_worker *conf, const struct driver *const *drivers,
              const struct env *env, struct tasks **ret_tasks, struct rm_err *err)
{
    struct tasks *tasks = calloc(1, sizeof(*tasks));
    if (!tasks)
        return rm_fail(err, -ENOMEM, "no memory");
    atomic_init(&tasks->refs, 1);
    tasks->env = env;
    pthread_mutex_init(&tasks->lock, NULL);
    int r = mailbox_open(&tasks->mailbox, err);
    if (r >= 0)
        r = open_all(tasks, conf, drivers, err);
    for (size_t i = 0; i < tasks->n_served && r >= 0; i++) {
        atomic_fetch_add(&tasks->refs, 1);
        r = thread_start(inventory_thread, &tasks->served[i]);
        if (r < 0) {
            atomic_fetch_sub(&tasks->refs, 1);
            rm_fail(err, r, "no thread for %s", tasks->served[i].name);
        }
    }
    if (r < 0) {
        tasks_free(tasks);
        return r;
    }
    *ret_tasks = tasks;
    return 0;
}

void tasks_free(struct tasks *tasks)
{
    if (!tasks)
        return;
    atomic_store(&tasks->leaving, true);
    tasks_unref(tasks);
}
