/* question.c - questions to a hypervisor that a client waits for */
#include "worker/question.h"

#include "worker/settle.h"

#include <errno.h>
#include <string.h>

#define LOOK_EVERY (500 * USEC_PER_MSEC)
#define STOP_FOR   (20 * USEC_PER_SEC) /* until what was asked to stop must have ended */

struct hv_migration question_migration(const RmAssignment *a)
{
    static const RmOptions none = RM_OPTIONS__INIT;
    const RmOptions *o = a->options ? a->options : &none;
    bool has_fence = o->fence >= 1 && o->fence <= 1 + FENCE_NEVER; /* 0 = not given */
    return (struct hv_migration){.uuid = a->uuid,
                                 .destination = a->destination,
                                 .peer = a->peer,
                                 .address = a->migration,
                                 .fence =
                                     has_fence ? (enum fence_mode)(o->fence - 1) : FENCE_ALWAYS,
                                 .bandwidth = o->bandwidth,
                                 .downtime = o->downtime_for,
                                 .timeout = o->timeout_for,
                                 .stall = o->stall_for,
                                 .auto_converge = o->auto_converge,
                                 .unsafe = o->unsafe,
                                 .relocation = o->relocation};
}

static int test(const struct driver *driver, struct hv *hv, const RmAssignment *about,
                struct rm_err *err)
{
    struct hv_migration migration = question_migration(about);
    struct hv_outcome outcome;
    migration.test = true;
    int r = driver->check(hv, &migration, &outcome);
    return r < 0 ? rm_fail(err, r, "%s", outcome.text) : 0;
}

/* Stops it and waits for its end, so that the answer is the truth. */
static int cancel(const struct driver *driver, struct hv *hv, const struct env *env,
                  const char *uuid, struct rm_err *err)
{
    usec_t until_at = env_now(env) + STOP_FOR;
    RmStats stats;
    struct hv_look look;
    int r = driver->progress(hv, uuid, &stats);
    if (r == -ENOENT)
        return rm_fail(err, r, "no relocation of it is in progress");
    if (r >= 0)
        r = driver->abort(hv, uuid, err);
    while (r >= 0 && driver->progress(hv, uuid, &stats) != -ENOENT) {
        if (env_now(env) >= until_at)
            return rm_fail(err, -ETIMEDOUT, "it was asked to stop, but goes on");
        env_sleep(env, LOOK_EVERY);
    }
    if (r < 0)
        return err->text[0] ? r : rm_fail(err, r, "cannot be asked: %s", strerror(-r));
    driver->look(hv, NULL, uuid, &look, err);
    if (!look.answered)
        return rm_prefix(err, -EIO, "stopped, but where it is cannot be asked");
    return look.active ? 0 : rm_fail(err, -ESTALE, "it had gone before it could be stopped");
}

/* What settling would have done then, had the destination answered: it removes nothing that could
 * be the guest. 0: nothing is there any more. */
static int remove_leftover(const struct driver *driver, struct hv *hv, const struct env *env,
                           struct settle_case *one, char notes[static RM_ERR_MAX],
                           bool *ret_unanswered, struct rm_err *err)
{
    usec_t until_at = env_now(env) + STOP_FOR;
    struct settle_round round;
    for (;;) {
        settle_step(driver, hv, one, notes, RM_ERR_MAX, err, &round);
        *ret_unanswered = *ret_unanswered || round.destination_unanswered;
        if (err->text[0])
            return -EIO;
        if (round.held)
            return rm_fail(err, -EAGAIN, "the lease of this worker is over");
        if (round.decision.verdict == RM_VERDICT__VERDICT_SOURCE)
            return 0;
        if (round.decision.verdict != RM_VERDICT__NO_VERDICT || env_now(env) >= until_at)
            return rm_fail(err, -EBUSY, "%s", round.decision.text);
        if (!round.decision.repairs)
            env_sleep(env, LOOK_EVERY);
    }
}

int question_put(const struct driver *driver, struct hv *hv, const struct env *env,
                 const RmAsk *ask, enum hv_may (*may)(void *ctx), void *ctx,
                 char notes[static RM_ERR_MAX], bool *ret_unanswered, struct rm_err *err)
{
    const RmAssignment *about = ask->about;
    struct settle_case one = {.uuid = about->uuid,
                              .destination_peer = about->peer,
                              .source = about->host,
                              .destination = about->destination,
                              .fenced = true,
                              .had_definition = true,
                              .may = may,
                              .ctx = ctx};
    notes[0] = '\0';
    *ret_unanswered = false;
    switch (ask->kind) {
    case RM_ASK_KIND__ASK_TEST:
        return test(driver, hv, about, err);
    case RM_ASK_KIND__ASK_CANCEL:
        return cancel(driver, hv, env, about->uuid, err);
    case RM_ASK_KIND__ASK_TIDY:
        if (about->may_be_left)
            return remove_leftover(driver, hv, env, &one, notes, ret_unanswered, err);
        break;
    case RM_ASK_KIND__ASK_MODIFY:
        if (driver->modify && about->options)
            return driver->modify(hv, about->uuid, about->options, err);
        break;
    default:
        break;
    }
    return rm_fail(err, -EOPNOTSUPP, "this hypervisor cannot do that");
}
