/* desk.c - the ledger, for several threads */
#include "submit/watch/desk.h"

#include "conf/log.h"
#include "submit/watch/ledger_file.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TELL_EVERY  (60 * USEC_PER_SEC) /* that the ledger cannot be written */
#define AGAIN_AFTER USEC_PER_SEC        /* that failed */

struct desk {
    struct ledger *ledger;
    struct ledger_file *file;
    pthread_mutex_t lock;
    pthread_cond_t news;
    atomic_bool stopped;
    int stop; /* eventfd */
    usec_t
        again_at; /* it could not be written, and is tried then; 0: what is on disk is the last */
    struct log_limit unwritten;
};

int desk_new(const struct conf_watch *conf, struct desk **ret_desk, struct rm_err *err)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    pthread_condattr_t attributes;
    if (!desk)
        return rm_fail(err, -ENOMEM, "no memory");
    pthread_mutex_init(&desk->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&desk->news, &attributes);
    pthread_condattr_destroy(&attributes);
    atomic_init(&desk->stopped, false);
    desk->stop = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    desk->ledger = ledger_new(conf);
    int r = desk->stop < 0  ? rm_fail(err, -errno, "eventfd: %s", strerror(errno))
            : !desk->ledger ? rm_fail(err, -ENOMEM, "no memory")
                            : ledger_file_open(conf->state, desk->ledger, &desk->file, err);
    if (r < 0) {
        desk_free(desk);
        return r;
    }
    *ret_desk = desk;
    return 0;
}

void desk_free(struct desk *desk)
{
    if (!desk)
        return;
    if (desk->file)
        desk_write(desk);
    ledger_file_close(desk->file);
    ledger_free(desk->ledger);
    if (desk->stop >= 0)
        close(desk->stop);
    pthread_cond_destroy(&desk->news);
    pthread_mutex_destroy(&desk->lock);
    free(desk);
}

struct ledger *desk_take(struct desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    ledger_at(desk->ledger, env_now(env_system()), env_wall(env_system()));
    return desk->ledger;
}

/* A new ledger knows only a part of what was before. */
void desk_write(struct desk *desk)
{
    struct rm_err err = {0};
    usec_t now = env_now(env_system());
    if (ledger_is_new(desk->ledger))
        return;
    desk->again_at = 0;
    if (ledger_file_write(desk->file, desk->ledger, &err) >= 0)
        return;
    desk->again_at = now + AGAIN_AFTER;
    if (log_allowed(&desk->unwritten, now, TELL_EVERY, 1))
        log_error("%s; what is told may be told again after a restart", err.text);
}

/* What could not be written is no news when it is tried again: whoever is woken by it would try at once. */
static void keep(struct desk *desk)
{
    if (ledger_is_new(desk->ledger))
        return;
    bool changed = ledger_has_changed(desk->ledger);
    bool again = desk->again_at != 0 && env_now(env_system()) >= desk->again_at;
    if (changed || again)
        desk_write(desk);
    if (changed)
        pthread_cond_broadcast(&desk->news);
}

void desk_give_back(struct desk *desk)
{
    keep(desk);
    pthread_mutex_unlock(&desk->lock);
}

void desk_wait(struct desk *desk, usec_t until)
{
    const struct timespec at = {.tv_sec = (time_t)(until / USEC_PER_SEC),
                                .tv_nsec = (long)(until % USEC_PER_SEC) * 1000};
    keep(desk);
    if (desk_is_stopped(desk))
        return;
    if (until == USEC_NEVER)
        pthread_cond_wait(&desk->news, &desk->lock);
    else
        pthread_cond_timedwait(&desk->news, &desk->lock, &at);
    ledger_at(desk->ledger, env_now(env_system()), env_wall(env_system()));
}

void desk_stop(struct desk *desk)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&desk->lock);
    atomic_store(&desk->stopped, true);
    (void)!write(desk->stop, &one, sizeof(one));
    pthread_cond_broadcast(&desk->news);
    pthread_mutex_unlock(&desk->lock);
}

bool desk_is_stopped(struct desk *desk)
{
    return atomic_load(&desk->stopped);
}

int desk_stop_fd(const struct desk *desk)
{
    return desk->stop;
}
