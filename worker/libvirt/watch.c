/* watch.c - what events report of one hypervisor: changes, and guests on their way out */
#include "worker/libvirt/watch.h"

#include "worker/thread.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct lv_watch {
    atomic_uint refs;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t changed;
    uint64_t changes, seen; /* so far, and when lv_watch_wait() last returned true */
    char migrating[LV_MIGRATING_MAX][LV_UUID_MAX];
    size_t n_migrating;
};

struct lv_watch *lv_watch_new(void)
{
    struct lv_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    atomic_init(&watch->refs, 1);
    pthread_mutex_init(&watch->lock, NULL);
    thread_cond_init(&watch->changed);
    return watch;
}

struct lv_watch *lv_watch_ref(struct lv_watch *watch)
{
    atomic_fetch_add(&watch->refs, 1);
    return watch;
}

void lv_watch_unref(struct lv_watch *watch)
{
    if (!watch || atomic_fetch_sub(&watch->refs, 1) != 1)
        return;
    pthread_cond_destroy(&watch->changed);
    pthread_mutex_destroy(&watch->lock);
    free(watch);
}

static void changed(struct lv_watch *watch)
{
    watch->changes++;
    pthread_cond_broadcast(&watch->changed);
}

void lv_watch_changed(struct lv_watch *watch)
{
    pthread_mutex_lock(&watch->lock);
    changed(watch);
    pthread_mutex_unlock(&watch->lock);
}

bool lv_watch_wait(struct lv_watch *watch, usec_t until_at)
{
    pthread_mutex_lock(&watch->lock);
    int r = 0;
    while (watch->seen == watch->changes && r == 0)
        r = thread_cond_wait(&watch->changed, &watch->lock, until_at);
    bool has_changed = watch->seen != watch->changes;
    watch->seen = watch->changes;
    pthread_mutex_unlock(&watch->lock);
    return has_changed;
}

/* With the lock held. */
static bool is_listed(const struct lv_watch *watch, const char *uuid)
{
    for (size_t i = 0; i < watch->n_migrating; i++)
        if (strcmp(watch->migrating[i], uuid) == 0)
            return true;
    return false;
}

/* With the lock held. A list that is full takes no more. */
static bool add(struct lv_watch *watch, const char *uuid)
{
    if (watch->n_migrating == LV_MIGRATING_MAX)
        return false;
    snprintf(watch->migrating[watch->n_migrating++], LV_UUID_MAX, "%s", uuid);
    return true;
}

void lv_watch_add_migrating(struct lv_watch *watch, const char *uuid)
{
    pthread_mutex_lock(&watch->lock);
    if (!is_listed(watch, uuid) && add(watch, uuid))
        changed(watch);
    pthread_mutex_unlock(&watch->lock);
}

bool lv_watch_is_migrating(struct lv_watch *watch, const char *uuid)
{
    pthread_mutex_lock(&watch->lock);
    bool listed = is_listed(watch, uuid);
    pthread_mutex_unlock(&watch->lock);
    return listed;
}

void lv_watch_set_migrating(struct lv_watch *watch, char uuids[][LV_UUID_MAX], size_t n)
{
    pthread_mutex_lock(&watch->lock);
    watch->n_migrating = 0;
    for (size_t i = 0; i < n; i++)
        add(watch, uuids[i]);
    pthread_mutex_unlock(&watch->lock);
}
