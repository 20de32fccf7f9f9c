/* site.c - what top knows of the site */
#include "submit/top/site.h"

#include "conf/text.h"
#include "wire/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long the broker may take for an answer before it counts as away, and is asked again: longer each time, as one
 * that has much to do would else do it again and again, and never be heard. */
#define PATIENCE      (3 * USEC_PER_SEC)
#define PATIENCE_MOST (60 * USEC_PER_SEC)

static void set_patience(struct site *site, usec_t patience)
{
    site->patience = patience < PATIENCE_MOST ? patience : PATIENCE_MOST;
    client_be_brief(site->client, site->patience);
}

/* After so many answers that cannot be, all jobs are asked for anew; at most so often. */
enum { DIFFER_MOST = 20 };
#define WHOLE_EVERY (30 * USEC_PER_SEC)

int site_new(struct client *client, struct site **ret_site)
{
    struct site *site = calloc(1, sizeof(*site));
    if (!site)
        return -ENOMEM;
    site->client = client;
    site->about = arena_new(0);
    site->next = arena_new(0);
    site->pong_memory = arena_new(0);
    if (!site->about || !site->next || !site->pong_memory) {
        site_free(site);
        return -ENOMEM;
    }
    site->heard_at = env_now(env_system());
    set_patience(site, PATIENCE);
    *ret_site = site;
    return 0;
}

void site_free(struct site *site)
{
    if (!site)
        return;
    followed_done(&site->jobs);
    arena_free(site->about);
    arena_free(site->next);
    arena_free(site->pong_memory);
    free(site);
}

/* Errors of a reply that carries no rows. */
static int reply_error(const RmReply *reply, struct rm_err *err)
{
    switch (reply->code) {
    case RM_CODE__CODE_TRY_AGAIN:
        return rm_fail(err, -ETIMEDOUT, "%s", reply->text);
    case RM_CODE__CODE_NOT_PERMITTED:
        return rm_fail(err, -EPERM, "%s", reply->text);
    case RM_CODE__CODE_USAGE:
    case RM_CODE__CODE_TABLE:
        return rm_fail(err, -EINVAL, "%s", reply->text);
    default:
        return 0;
    }
}

/* Who it is that answers, and who I am to it: anew when it was away, as it may be another one. */
static int ask_pong(struct site *site, struct rm_err *err)
{
    RmPing ping = RM_PING__INIT;
    RmRequest request = client_request(RM_REQUEST__ASK_PING, &ping);
    RmReply *reply;
    if (site->pong)
        return 0;
    arena_reset(site->pong_memory);
    int r = client_ask(site->client, &request, 0, site->pong_memory, &reply, err);
    if (r >= 0)
        r = reply_error(reply, err);
    if (r >= 0)
        site->pong = reply;
    return r;
}

static int ask_hosts(struct site *site, struct rm_err *err)
{
    RmList list = RM_LIST__INIT;
    RmRequest request = client_request(RM_REQUEST__ASK_QUEUE, &list);
    RmReply *reply;
    usec_t now = env_now(env_system());
    if (now < site->hosts_at)
        return 0;
    arena_reset(site->next);
    int r = client_ask(site->client, &request, 0, site->next, &reply, err);
    if (r >= 0)
        r = reply_error(reply, err);
    if (r < 0)
        return r;
    struct arena *before = site->about;
    site->about = site->next;
    site->next = before;
    site->hosts = reply->hosts;
    site->n_hosts = reply->n_hosts;
    site->knows_hosts = true;
    usec_t after = env_now(env_system()), pause = 10 * (after - now);
    site->hosts_at = after + (pause > SITE_HOSTS_EVERY ? pause : SITE_HOSTS_EVERY);
    return 0;
}

static void count_ended(struct site *site, RmState state)
{
    if (state >= RM_STATE__DONE && state <= RM_STATE__CANCELLED)
        site->ended[state - RM_STATE__DONE]++;
}

/* Those that ended a while ago go, and those that a broker which was restarted does not name. */
static void drop_old(struct site *site)
{
    struct followed *job, *next;
    usec_t now = env_now(env_system());
    HASH_ITER (hh, site->jobs.jobs, job, next) {
        bool ended = job->ended_at != 0;
        if (ended ? now >= job->ended_at + SITE_ENDED_FOR : job->round != site->jobs.round)
            followed_forget(&site->jobs, job);
    }
}

/* Who is behind what the broker remembers of changes, as after a long Ctrl-Z, is told what there is, but not what has
 * ended meanwhile; the broker does not say so, but it says how many there are. Of an answer in several parts the
 * numbers differ for a while, of one that names no job they do not. */
static void check_numbers(struct site *site, const RmReply *reply)
{
    uint64_t known = 0, told = 0;
    usec_t now = env_now(env_system());
    for (const struct followed *job = site->jobs.jobs; job; job = job->hh.next)
        known += job->ended_at == 0;
    for (size_t i = 0; i < reply->n_tallies; i++)
        told += reply->tallies[i]->count;
    site->n_differ = known == told ? 0 : site->n_differ + 1;
    if (site->n_differ < (reply->n_jobs ? DIFFER_MOST : 1) || now < site->whole_at + WHOLE_EVERY)
        return;
    site->jobs.version = 0; /* all of it anew: who is not named then has ended */
    site->whole_at = now;
}

static int ask_jobs(struct site *site, struct rm_err *err)
{
    RmSelect what = RM_SELECT__INIT;
    what.all = true;
    RmReply *reply;
    arena_reset(site->next);
    int r =
        followed_ask(&site->jobs, site->client, &what, SITE_JOBS_EVERY, site->next, &reply, err);
    if (r < 0)
        return r;
    if (r > 0 && site->knows_jobs)
        site->pong = NULL; /* it may have been restarted so fast that nobody noticed */
    site->knows_jobs = true;
    for (size_t i = 0; i < reply->n_jobs; i++) {
        const RmJobView *view = reply->jobs[i];
        if (!view->job || view->job->id == 0)
            continue;
        const struct followed *known = followed_find(&site->jobs, view->job->id);
        bool is_news = known ? !known->ended_at : r == 0; /* a full answer may name what is old */
        if (job_is_final(view->state) && is_news)
            count_ended(site, view->state);
        if (!followed_learn(&site->jobs, view))
            return rm_fail(err, -ENOMEM, "no memory");
    }
    drop_old(site);
    check_numbers(site, reply);
    return 0;
}

/* Which broker it is stands on the screen already. */
static const char *behind_endpoint(const struct site *site, const char *text)
{
    const char *endpoint = client_endpoint(site->client), *found = strstr(text, endpoint);
    const char *colon = found ? strstr(found + strlen(endpoint), ": ") : NULL;
    return colon ? colon + 2 : text;
}

int site_look(struct site *site, struct rm_err *err)
{
    usec_t began_at = env_now(env_system());
    int r = ask_pong(site, err);
    if (r >= 0)
        r = ask_hosts(site, err);
    if (r >= 0)
        r = ask_jobs(site, err);
    usec_t now = env_now(env_system());
    if (r >= 0) {
        site->heard_at = now;
        site->trouble[0] = '\0';
        if (now < began_at + PATIENCE)
            set_patience(site, PATIENCE);
    } else if (r == -ETIMEDOUT) {
        text_format(site->trouble, sizeof(site->trouble), "%s", behind_endpoint(site, err->text));
        site->pong = NULL;
        set_patience(site, 2 * site->patience);
    }
    return r;
}
