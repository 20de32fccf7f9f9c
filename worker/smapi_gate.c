/* smapi_gate.c - which login may be sent: a refused one never again, a new one by one alone */
#include "worker/smapi_gate.h"

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

struct smapi_gate *smapi_gate_new(const char *login_file)
{
    struct smapi_gate *gate = calloc(1, sizeof(*gate));
    if (!gate)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
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
    struct timespec until = {.tv_sec = (time_t)(until_at / USEC_PER_SEC),
                             .tv_nsec = (long)(until_at % USEC_PER_SEC) * 1000};
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
        if (gate->state == GOOD)
            return 0;
        return rm_fail(err, -EPERM,
                       "%s; nothing is sent with the login of %s until that file has changed",
                       gate->text, gate->file);
    }
    /* The trial that was waited for found no server: this one would not either. */
    if (waited && gate->state == UNTRIED && gate->trials != trials)
        return rm_fail(err, -EAGAIN, "%s", gate->text);
    gate->state = TRYING;
    gate->stamp = *ret_stamp;
    return 1;
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
    if (r < 0)
        explicit_bzero(ret_login, sizeof(*ret_login));
    return r;
}

void smapi_gate_tried(struct smapi_gate *gate, enum smapi_trial trial, const char *text)
{
    static const enum state states[] = {
        [SMAPI_TRIAL_GOOD] = GOOD, [SMAPI_TRIAL_REFUSED] = REFUSED, [SMAPI_TRIAL_OPEN] = UNTRIED};
    pthread_mutex_lock(&gate->lock);
    gate->state = states[trial];
    gate->trials++;
    if (trial != SMAPI_TRIAL_GOOD)
        snprintf(gate->text, sizeof(gate->text), "%s", text);
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

void smapi_gate_refused(struct smapi_gate *gate, const struct smapi_stamp *stamp, const char *text)
{
    pthread_mutex_lock(&gate->lock);
    if (gate->file && gate->state == GOOD && smapi_stamp_is_same(stamp, &gate->stamp)) {
        gate->state = REFUSED;
        snprintf(gate->text, sizeof(gate->text), "%s", text);
    }
    pthread_mutex_unlock(&gate->lock);
}
