/* smapi_login_guard.c - which login may be sent: a refused one never, a new one by one thread */
#include "worker/zvm/smapi_login_guard.h"

#include "worker/thread.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum state { UNTRIED, TRYING, GOOD, REFUSED };

struct smapi_guard {
    char *file; /* NULL: no logins */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum state state;
    struct smapi_stamp stamp; /* of what state speaks; state UNTRIED: of nothing */
    unsigned trials;          /* that have ended */
    char text[RM_ERR_MAX];    /* of the last one that was not good */
};

/* ---- what all guards know */

enum { VERSIONS_MAX = 64 }; /* of login files; the oldest is forgotten */

struct version {
    struct smapi_stamp stamp;
    unsigned trying; /* guards that have a trial under way; 0 and not refused: nothing is known */
    bool refused;
    char text[RM_ERR_MAX]; /* refused: why */
};

static struct {
    pthread_once_t once;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct version list[VERSIONS_MAX];
    size_t used;
} all = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

static void all_init(void)
{
    thread_cond_init(&all.changed);
}

/* With its lock held; make: never NULL. */
static struct version *version_of(const struct smapi_stamp *stamp, bool make)
{
    size_t known = all.used < VERSIONS_MAX ? all.used : VERSIONS_MAX, i = 0;
    while (i < known && !smapi_stamp_is_same(&all.list[i].stamp, stamp))
        i++;
    if (i < known)
        return &all.list[i];
    if (!make)
        return NULL;
    i = all.used++ % VERSIONS_MAX;
    all.list[i] = (struct version){.stamp = *stamp};
    return &all.list[i];
}

static int refusal(const char *why, const char *file, struct rm_err *err)
{
    return rm_fail(err, -EPERM,
                   "%s; nothing is sent with the login of %s until that file has changed", why,
                   file);
}

/* May a login that is good here still be sent? */
static int all_check(const struct smapi_stamp *stamp, const char *file, struct rm_err *err)
{
    pthread_mutex_lock(&all.lock);
    const struct version *version = version_of(stamp, false);
    int r = version && version->refused ? refusal(version->text, file, err) : 0;
    pthread_mutex_unlock(&all.lock);
    return r;
}

/* Begins a trial, after those of other guards. A server that does not answer for half of the time
 * holds the others up no longer. -EPERM: the version was refused. */
static int all_begin(const struct smapi_stamp *stamp, usec_t until_at, char ret_why[RM_ERR_MAX])
{
    pthread_once(&all.once, all_init);
    usec_t now = env_now(env_system());
    usec_t give_up_at = until_at > now ? now + (until_at - now) / 2 : now;
    pthread_mutex_lock(&all.lock);
    struct version *version = version_of(stamp, true);
    int r = 0;
    while (version->trying > 0 && !version->refused && r == 0) {
        r = thread_cond_wait(&all.changed, &all.lock, give_up_at);
        version = version_of(stamp, true);
    }
    r = version->refused ? -EPERM : 0;
    if (r == 0)
        version->trying++;
    snprintf(ret_why, RM_ERR_MAX, "%s", version->text);
    pthread_mutex_unlock(&all.lock);
    return r;
}

static void all_end(const struct smapi_stamp *stamp, bool tried, bool refused, const char *text)
{
    pthread_once(&all.once, all_init);
    pthread_mutex_lock(&all.lock);
    struct version *version = version_of(stamp, true);
    if (tried && version->trying > 0)
        version->trying--;
    if (refused) {
        version->refused = true;
        snprintf(version->text, sizeof(version->text), "%s", text);
    }
    pthread_cond_broadcast(&all.changed);
    pthread_mutex_unlock(&all.lock);
}

/* ---- the guard of one server */

struct smapi_guard *smapi_guard_new(const char *login_file)
{
    struct smapi_guard *guard = calloc(1, sizeof(*guard));
    if (!guard)
        return NULL;
    pthread_mutex_init(&guard->lock, NULL);
    thread_cond_init(&guard->changed);
    guard->file = login_file ? strdup(login_file) : NULL;
    if (login_file && !guard->file) {
        smapi_guard_free(guard);
        return NULL;
    }
    return guard;
}

void smapi_guard_free(struct smapi_guard *guard)
{
    if (!guard)
        return;
    pthread_cond_destroy(&guard->changed);
    pthread_mutex_destroy(&guard->lock);
    free(guard->file);
    free(guard);
}

/* With the lock held: waits until the trial of another thread has ended. */
static int await_trial(struct smapi_guard *guard, usec_t until_at)
{
    int r = 0;
    while (guard->state == TRYING && r == 0)
        r = thread_cond_wait(&guard->changed, &guard->lock, until_at);
    return guard->state == TRYING ? -ETIMEDOUT : 0;
}

/* With the lock held. The file is read after the waiting: another version may have come. */
static int enter(struct smapi_guard *guard, usec_t until_at, struct smapi_login *ret_login,
                 struct smapi_stamp *ret_stamp, struct rm_err *err)
{
    unsigned trials = guard->trials;
    bool waited = guard->state == TRYING;
    if (await_trial(guard, until_at) < 0)
        return rm_fail(err, -ETIMEDOUT, "the login of %s is being tried and no answer has come",
                       guard->file);
    int r = smapi_login_read(guard->file, ret_login, ret_stamp, err);
    if (r < 0)
        return r == -EPERM ? -EACCES : r;
    if (guard->state != UNTRIED && smapi_stamp_is_same(ret_stamp, &guard->stamp)) {
        return guard->state == GOOD ? all_check(ret_stamp, guard->file, err)
                                    : refusal(guard->text, guard->file, err);
    }
    /* The trial that was waited for found no server: this one would not either. */
    if (waited && guard->state == UNTRIED && guard->trials != trials)
        return rm_fail(err, -EAGAIN, "%s", guard->text);
    guard->state = TRYING;
    guard->stamp = *ret_stamp;
    return 1;
}

static void guard_tried(struct smapi_guard *guard, enum state state, const char *text)
{
    pthread_mutex_lock(&guard->lock);
    guard->state = state;
    guard->trials++;
    if (state != GOOD)
        snprintf(guard->text, sizeof(guard->text), "%s", text);
    pthread_cond_broadcast(&guard->changed);
    pthread_mutex_unlock(&guard->lock);
}

int smapi_guard_enter(struct smapi_guard *guard, usec_t until_at, struct smapi_login *ret_login,
                      struct smapi_stamp *ret_stamp, struct rm_err *err)
{
    memset(ret_login, 0, sizeof(*ret_login));
    memset(ret_stamp, 0, sizeof(*ret_stamp));
    if (!guard->file)
        return 0;
    pthread_mutex_lock(&guard->lock);
    int r = enter(guard, until_at, ret_login, ret_stamp, err);
    pthread_mutex_unlock(&guard->lock);
    if (r == 1) {
        char why[RM_ERR_MAX];
        if (all_begin(ret_stamp, until_at, why) < 0) {
            guard_tried(guard, REFUSED, why);
            r = refusal(why, guard->file, err);
        }
    }
    if (r < 0)
        explicit_bzero(ret_login, sizeof(*ret_login));
    return r;
}

void smapi_guard_tried(struct smapi_guard *guard, enum smapi_trial trial, const char *text)
{
    static const enum state states[] = {
        [SMAPI_TRIAL_GOOD] = GOOD, [SMAPI_TRIAL_REFUSED] = REFUSED, [SMAPI_TRIAL_OPEN] = UNTRIED};
    all_end(&guard->stamp, true, trial == SMAPI_TRIAL_REFUSED, text);
    guard_tried(guard, states[trial], text);
}

void smapi_guard_refused(struct smapi_guard *guard, const struct smapi_stamp *stamp,
                         const char *text)
{
    pthread_mutex_lock(&guard->lock);
    if (guard->file && guard->state == GOOD && smapi_stamp_is_same(stamp, &guard->stamp)) {
        guard->state = REFUSED;
        snprintf(guard->text, sizeof(guard->text), "%s", text);
        all_end(stamp, false, true, text);
    }
    pthread_mutex_unlock(&guard->lock);
}
