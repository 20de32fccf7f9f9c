/* history.c - how the site has fared in the last hour */
#include "submit/watch/history.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define STALLED_LEAST (60 * USEC_PER_SEC) /* without a guest that leaves: nobody knows the end */

enum { STALLED_TIMES = 4 }; /* or so many times as long as one has taken on average */

/* A hypervisor that is being emptied, as it was seen. */
struct leaving {
    char *name;
    uint64_t done_before; /* RmEmptying.done_before: another one is another evacuation */
    uint64_t first;       /* how many had left when it was first seen, and */
    usec_t first_at;      /* when that was */
    uint64_t last;        /* how many have left, and */
    usec_t last_at;       /* when the last of them was seen to have */
    uint64_t seen;        /* number of the sight that had it last */
    UT_hash_handle hh;
};

/* One for the program, as there is one board. */
static struct {
    pthread_mutex_t lock;
    struct history_sample samples[HISTORY_SAMPLES_MAX]; /* a ring */
    size_t n, next;
    struct leaving *leaving; /* uthash by name */
} history = {.lock = PTHREAD_MUTEX_INITIALIZER};

uint64_t history_moved(const RmHostView *view)
{
    const RmEmptying *emptying = view->host->emptying;
    return emptying && view->done > emptying->done_before ? view->done - emptying->done_before : 0;
}

struct history_sample history_sums(const struct sight *sight)
{
    struct history_sample sums = {.at = sight->at};
    for (size_t i = 0; sight->hosts && i < sight->hosts->n_hosts; i++) {
        const RmHostView *view = sight->hosts->hosts[i];
        sums.queued += view->queued;
        sums.waiting += view->waiting;
        sums.running += view->running;
        sums.doubt += view->doubt;
        sums.done += view->done;
        sums.failed += view->failed;
    }
    for (size_t i = 0; sight->jobs && i < sight->jobs->n_jobs; i++)
        if (sight->jobs->jobs[i]->stats && sight->jobs->jobs[i]->state == RM_STATE__RUNNING)
            sums.rate += sight->jobs->jobs[i]->stats->rate;
    return sums;
}

/* ---- hypervisors that are being emptied; under the lock */

static void forget(struct leaving *one)
{
    HASH_DEL(history.leaving, one);
    free(one->name);
    free(one);
}

/* NULL: no memory, and no end will be expected. */
static struct leaving *leaving_of(const RmHostView *view)
{
    struct leaving *one;
    HASH_FIND_STR(history.leaving, view->host->name, one);
    if (one && one->done_before != view->host->emptying->done_before) {
        forget(one);
        one = NULL;
    }
    if (one)
        return one;
    one = calloc(1, sizeof(*one));
    if (!one || !(one->name = strdup(view->host->name))) {
        free(one);
        return NULL;
    }
    one->done_before = view->host->emptying->done_before;
    HASH_ADD_KEYPTR(hh, history.leaving, one->name, strlen(one->name), one);
    if (!one->hh.tbl) {
        free(one->name);
        free(one);
        return NULL;
    }
    return one;
}

static void see_host(const RmHostView *view, const struct sight *sight)
{
    uint64_t moved = history_moved(view);
    struct leaving *one = leaving_of(view);
    if (!one)
        return;
    if (one->first_at == 0) {
        one->first = one->last = moved;
        one->first_at = one->last_at = sight->at;
    }
    if (moved != one->last) {
        one->last = moved;
        one->last_at = sight->at;
    }
    one->seen = sight->number;
}

static void see_hosts(const struct sight *sight)
{
    struct leaving *one, *next;
    for (size_t i = 0; i < sight->hosts->n_hosts; i++)
        if (sight->hosts->hosts[i]->host && sight->hosts->hosts[i]->host->emptying)
            see_host(sight->hosts->hosts[i], sight);
    HASH_ITER (hh, history.leaving, one, next)
        if (one->seen != sight->number)
            forget(one);
}

usec_t history_expected_at(const RmHostView *view, usec_t wall)
{
    const struct leaving *one;
    usec_t at = 0;
    pthread_mutex_lock(&history.lock);
    HASH_FIND_STR(history.leaving, view->host->name, one);
    if (one && one->last >= one->first + HISTORY_MOVES_LEAST && one->last_at > one->first_at) {
        usec_t each = (one->last_at - one->first_at) / (one->last - one->first);
        usec_t stalled =
            STALLED_TIMES * each > STALLED_LEAST ? STALLED_TIMES * each : STALLED_LEAST;
        if (wall < one->last_at + stalled)
            at = one->last_at + each * view->guests;
    }
    pthread_mutex_unlock(&history.lock);
    return at == 0 ? 0 : at > wall ? at : wall;
}

/* ---- samples */

static void add_sample(const struct sight *sight)
{
    const struct history_sample *last =
        &history.samples[(history.next + HISTORY_SAMPLES_MAX - 1) % HISTORY_SAMPLES_MAX];
    /* A clock that was set back begins anew. */
    if (history.n > 0 && sight->at >= last->at && sight->at < last->at + HISTORY_EVERY)
        return;
    history.samples[history.next] = history_sums(sight);
    history.next = (history.next + 1) % HISTORY_SAMPLES_MAX;
    history.n += history.n < HISTORY_SAMPLES_MAX ? 1 : 0;
}

void history_see(const struct sight *sight)
{
    if (sight->trouble[0] || !sight->hosts)
        return;
    pthread_mutex_lock(&history.lock);
    see_hosts(sight);
    add_sample(sight);
    pthread_mutex_unlock(&history.lock);
}

size_t history_samples(struct history_sample ret_samples[static HISTORY_SAMPLES_MAX])
{
    pthread_mutex_lock(&history.lock);
    size_t n = history.n;
    for (size_t i = 0; i < n; i++)
        ret_samples[i] =
            history.samples[(history.next + HISTORY_SAMPLES_MAX - n + i) % HISTORY_SAMPLES_MAX];
    pthread_mutex_unlock(&history.lock);
    return n;
}
