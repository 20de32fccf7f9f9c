/* question.c - questions to a hypervisor that a client waits for */
#include "worker/question.h"

#include "worker/settle.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#define LOOK_EVERY (500 * USEC_PER_MSEC)
#define STOP_FOR   (20 * USEC_PER_SEC) /* until what was asked to stop must have ended */

static enum fence_mode fence_of(const RmOptions *options)
{
    /* 0 is what nobody has said anything about. */
    return options && options->fence >= 1 && options->fence <= 1 + FENCE_NEVER
               ? (enum fence_mode)(options->fence - 1)
               : FENCE_AUTO;
}

struct hv_migration question_migration(const RmAssignment *a)
{
    const RmOptions *o = a->options;
    struct hv_migration migration = {.uuid = a->uuid,
                                     .destination = a->destination,
                                     .peer = a->peer,
                                     .address = a->migration,
                                     .fence = fence_of(o)};
    if (o) {
        migration.bandwidth = o->bandwidth;
        migration.downtime = o->downtime_for;
        migration.timeout = o->timeout_for;
        migration.stall = o->stall_for;
        migration.auto_converge = o->auto_converge;
        migration.unsafe = o->unsafe;
        migration.relocation = o->relocation;
    }
    return migration;
}

static int test(const struct hv_ops *ops, struct hv *hv, const RmAssignment *about,
                struct rm_err *err)
{
    struct hv_migration migration = question_migration(about);
    struct hv_outcome outcome;
    migration.test = true;
    int r = ops->check(hv, &migration, &outcome);
    return r < 0 ? rm_fail(err, r, "%s", outcome.text) : 0;
}

/* Stops it and waits for its end, so that the answer is the truth. */
static int cancel(const struct hv_ops *ops, struct hv *hv, const struct env *env, const char *uuid,
                  struct rm_err *err)
{
    usec_t until_at = env_now(env) + STOP_FOR;
    RmStats stats;
    struct hv_look look;
    int r = ops->progress(hv, uuid, &stats);
    if (r == -ENOENT)
        return rm_fail(err, r, "no relocation of it is in progress");
    if (r >= 0)
        r = ops->abort(hv, uuid, err);
    while (r >= 0 && ops->progress(hv, uuid, &stats) != -ENOENT) {
        struct timespec ts = {.tv_nsec = (long)LOOK_EVERY * 1000};
        if (env_now(env) >= until_at)
            return rm_fail(err, -ETIMEDOUT, "it was asked to stop, but goes on");
        clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, NULL);
    }
    if (r < 0)
        return err->text[0] ? r : rm_fail(err, r, "cannot be asked: %s", strerror(-r));
    ops->look(hv, NULL, uuid, &look, err);
    if (!look.answered)
        return rm_prefix(err, -EIO, "stopped, but where it is cannot be asked");
    return look.active ? 0 : rm_fail(err, -ESTALE, "it had gone before it could be stopped");
}

/* What settling would have done then, had the destination answered: it removes nothing that could
 * be the guest. */
static int tidy(const struct hv_ops *ops, struct hv *hv, const RmAssignment *about,
                char notes[static RM_ERR_MAX], struct rm_err *err)
{
    struct settle_case one = {.uuid = about->uuid,
                              .destination_peer = about->peer,
                              .source = about->host,
                              .destination = about->destination,
                              .fenced = true,
                              .had_definition = true};
    settle_step(ops, hv, &one, notes, RM_ERR_MAX, err, NULL);
    return err->text[0] ? -EIO : 0;
}

int question_put(const struct hv_ops *ops, struct hv *hv, const struct env *env, const RmAsk *ask,
                 char notes[static RM_ERR_MAX], struct rm_err *err)
{
    const RmAssignment *about = ask->about;
    notes[0] = '\0';
    switch (ask->kind) {
    case RM_ASK_KIND__ASK_TEST:
        return test(ops, hv, about, err);
    case RM_ASK_KIND__ASK_CANCEL:
        return cancel(ops, hv, env, about->uuid, err);
    case RM_ASK_KIND__ASK_TIDY:
        if (about->may_be_left)
            return tidy(ops, hv, about, notes, err);
        break;
    case RM_ASK_KIND__ASK_MODIFY:
        if (ops->modify && about->options && about->options->relocation)
            return ops->modify(hv, about->uuid, about->options->relocation, err);
        break;
    default:
        break;
    }
    return rm_fail(err, -EOPNOTSUPP, "this hypervisor cannot do that");
}
