/* followed.c - what is known of jobs that are followed */
#include "submit/followed.h"

#include "submit/job_view.h"
#include "wire/job.h"

#include <errno.h>
#include <stdlib.h>

/* uthash says by this that there was no memory for its table. */
#undef uthash_nonfatal_oom
#define uthash_nonfatal_oom(element) ((element)->id = 0)

int followed_ask(struct followed_jobs *followed, struct client *client, const RmSelect *what,
                 usec_t wait_for, struct arena *arena, RmReply **ret_reply, struct rm_err *err)
{
    RmFollow follow = RM_FOLLOW__INIT;
    follow.what = (RmSelect *)what;
    follow.epoch = followed->epoch;
    follow.version = followed->version;
    follow.wait_for = wait_for;
    RmRequest request = client_request(RM_REQUEST__ASK_FOLLOW, &follow);
    RmReply *reply;
    int r = client_ask(client, &request, wait_for, arena, &reply, err);
    if (r < 0)
        return r;
    if (reply->code == RM_CODE__CODE_TRY_AGAIN)
        return rm_fail(err, -ETIMEDOUT, "%s", reply->text);
    if (reply->code != RM_CODE__CODE_OK && reply->code != RM_CODE__CODE_SOME_FAILED)
        return rm_fail(err, reply->code == RM_CODE__CODE_NOT_PERMITTED ? -EPERM : -EINVAL, "%s",
                       reply->text);
    if (reply->text[0] && followed->version == 0 && reply->n_jobs == 0 && reply->n_tallies == 0)
        return rm_fail(err, -ENOENT, "%s", reply->text);
    bool whole = followed->version == 0 || reply->epoch != followed->epoch;
    followed->round += whole;
    followed->epoch = reply->epoch;
    followed->version = reply->version;
    *ret_reply = reply;
    return whole;
}

struct followed *followed_find(const struct followed_jobs *followed, uint64_t id)
{
    struct followed *job;
    HASH_FIND(hh, followed->jobs, &id, sizeof(id), job);
    return job;
}

static struct followed *add(struct followed_jobs *followed, uint64_t id)
{
    struct followed *job = calloc(1, sizeof(*job));
    if (!job)
        return NULL;
    job->id = id;
    job->percent = -1;
    HASH_ADD(hh, followed->jobs, id, sizeof(job->id), job);
    if (job->id == 0) {
        free(job);
        return NULL;
    }
    return job;
}

/* Percent never runs backwards within one attempt: a guest that writes makes work, but does not
 * unmake what is done. old: NULL at first. */
static void set_progress(struct followed *job, const RmJobView *old, const RmJobView *view)
{
    usec_t now = env_now(env_system()), took = view->stats ? view->stats->elapsed_for : 0;
    usec_t took_before = old && old->stats ? old->stats->elapsed_for : 0;
    bool runs = view->state == RM_STATE__RUNNING || view->state == RM_STATE__CANCELLING;
    bool is_new = !old || old->attempt != view->attempt;
    int percent = view_percent(view->stats);
    job->percent = is_new || percent > job->percent ? percent : job->percent;
    if (!runs)
        job->ran_at = 0;
    else if (job->ran_at == 0 || is_new || took != took_before)
        job->ran_at = took < now ? now - took : now;
}

struct followed *followed_learn(struct followed_jobs *followed, const RmJobView *view)
{
    RmJob ask = *view->job;
    RmJobView brief = *view;
    if (ask.n_to > 1 &&
        view->destination[0]) { /* a list of hosts may be long, and nobody reads it here */
        ask.n_to = 0;
        brief.job = &ask;
    }
    RmJobView *copy = (RmJobView *)msg_copy(NULL, &brief.base);
    struct followed *job = copy ? followed_find(followed, view->job->id) : NULL;
    if (copy && !job)
        job = add(followed, view->job->id);
    if (!job) {
        if (copy)
            rm_job_view__free_unpacked(copy, NULL);
        return NULL;
    }
    set_progress(job, job->view, copy);
    if (job->ended_at == 0 && job_is_final(view->state))
        job->ended_at = env_now(env_system());
    if (job->view)
        rm_job_view__free_unpacked(job->view, NULL);
    job->view = copy;
    job->round = followed->round;
    return job;
}

void followed_forget(struct followed_jobs *followed, struct followed *job)
{
    HASH_DEL(followed->jobs, job);
    rm_job_view__free_unpacked(job->view, NULL);
    free(job);
}

void followed_done(struct followed_jobs *followed)
{
    struct followed *job, *next;
    HASH_ITER (hh, followed->jobs, job, next) {
        followed_forget(followed, job);
    }
}
