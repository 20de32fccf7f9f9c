/* smapi_gate.c - which login may be sent: a refused one never again, a new one by one alone */
#include "worker/smapi_gate.h"

#include "conf/env.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum state { UNTRIED, TRYING, GOOD, REFUSED };

struct smapi_gate {
    char *file; /* NULL: no logins */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    enum state state;
    struct smapi_stamp stamp; /* of what state speaks; state UNTRIED: of nothing */
    unsigned trials;          /* that have ended */
    char text[RM_ERR_MAX];    /* of the last one that was not good */
};

static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

static struct timespec timespec_of(usec_t at)
{
    return (struct timespec){.tv_sec = (time_t)(at / USEC_PER_SEC),
                             .tv_nsec = (long)(at % USEC_PER_SEC) * 1000};
}

/* ---- what all gates know */

enum { VERSIONS_MAX = 64 }; /* of login files; the oldest is forgotten */

struct version {
    struct smapi_stamp stamp;
    unsigned trying; /* gates that have a trial under way; 0 and not refused: nothing is known */
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
    cond_init(&all.changed);
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

/* Begins a trial, after those of other gates. A server that does not answer for half of the time
 * holds the others up no longer. -EPERM: the version was refused. */
static int all_begin(const struct smapi_stamp *stamp, usec_t until_at, char ret_why[RM_ERR_MAX])
{
    pthread_once(&all.once, all_init);
    usec_t now = env_now(env_system());
    struct timespec until = timespec_of(until_at > now ? now + (until_at - now) / 2 : now);
    pthread_mutex_lock(&all.lock);
    struct version *version = version_of(stamp, true);
    int r = 0;
    while (version->trying > 0 && !version->refused && r == 0) {
        r = pthread_cond_timedwait(&all.changed, &all.lock, &until);
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

/* ---- the gate of one server */

struct smapi_gate *smapi_gate_new(const char *login_file)
{
    struct smapi_gate *gate = calloc(1, sizeof(*gate));
    if (!gate)
        return NULL;
    pthread_mutex_init(&gate->lock, NULL);
    cond_init(&gate->changed);
    gate->file = login_file ? strdup(login_file) : NULL;
    if (login_file && !gate->file) {
        smapi_gate_free(gate);
        return NULL;
    }
    return gate;
}

void smapi_gate_free(struct smapi_gate *gate)
{
    if (!gate)
        return;
    pthread_cond_destroy(&gate->changed);
    pthread_mutex_destroy(&gate->lock);
    free(gate->file);
    free(gate);
}

/* With the lock held: waits until the trial of another thread has ended. */
static int await_trial(struct smapi_gate *gate, usec_t until_at)
{
    struct timespec until = timespec_of(until_at);
    int r = 0;
    while (gate->state == TRYING && r == 0)
        r = pthread_cond_timedwait(&gate->changed, &gate->lock, &until);
    return gate->state == TRYING ? -ETIMEDOUT : 0;
}

/* With the lock held. The file is read after the waiting: another version may have come. */
static int enter(struct smapi_gate *gate, usec_t until_at, struct smapi_login *ret_login,
                 struct smapi_stamp *ret_stamp, struct rm_err *err)
{
    unsigned trials = gate->trials;
    bool waited = gate->state == TRYING;
    if (await_trial(gate, until_at) < 0)
        return rm_fail(err, -ETIMEDOUT, "the login of %s is being tried and no answer has come",
                       gate->file);
    int r = smapi_login_read(gate->file, ret_login, ret_stamp, err);
    if (r < 0)
        return r == -EPERM ? -EACCES : r;
    if (gate->state != UNTRIED && smapi_stamp_is_same(ret_stamp, &gate->stamp)) {
        return gate->state == GOOD ? all_check(ret_stamp, gate->file, err)
                                   : refusal(gate->text, gate->file, err);
    }
    /* The trial that was waited for found no server: this one would not either. */
    if (waited && gate->state == UNTRIED && gate->trials != trials)
        return rm_fail(err, -EAGAIN, "%s", gate->text);
    gate->state = TRYING;
    gate->stamp = *ret_stamp;
    return 1;
}

static void gate_tried(struct smapi_gate *gate, enum state state, const char *text)
{
    pthread_mutex_lock(&gate->lock);
    gate->state = state;
    gate->trials++;
    if (state != GOOD)
        snprintf(gate->text, sizeof(gate->text), "%s", text);
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

int smapi_gate_enter(struct smapi_gate *gate, usec_t until_at, struct smapi_login *ret_login,
                     struct smapi_stamp *ret_stamp, struct rm_err *err)
{
    memset(ret_login, 0, sizeof(*ret_login));
    memset(ret_stamp, 0, sizeof(*ret_stamp));
    if (!gate->file)
        return 0;
    pthread_mutex_lock(&gate->lock);
    int r = enter(gate, until_at, ret_login, ret_stamp, err);
    pthread_mutex_unlock(&gate->lock);
    if (r == 1) {
        char why[RM_ERR_MAX];
        if (all_begin(ret_stamp, until_at, why) < 0) {
            gate_tried(gate, REFUSED, why);
            r = refusal(why, gate->file, err);
        }
    }
    if (r < 0)
        explicit_bzero(ret_login, sizeof(*ret_login));
    return r;
}

void smapi_gate_tried(struct smapi_gate *gate, enum smapi_trial trial, const char *text)
{
    static const enum state states[] = {
        [SMAPI_TRIAL_GOOD] = GOOD, [SMAPI_TRIAL_REFUSED] = REFUSED, [SMAPI_TRIAL_OPEN] = UNTRIED};
    all_end(&gate->stamp, true, trial == SMAPI_TRIAL_REFUSED, text);
    gate_tried(gate, states[trial], text);
}

void smapi_gate_refused(struct smapi_gate *gate, const struct smapi_stamp *stamp, const char *text)
{
    pthread_mutex_lock(&gate->lock);
    if (gate->file && gate->state == GOOD && smapi_stamp_is_same(stamp, &gate->stamp)) {
        gate->state = REFUSED;
        snprintf(gate->text, sizeof(gate->text), "%s", text);
        all_end(stamp, false, true, text);
    }
    pthread_mutex_unlock(&gate->lock);
}
