/* follow.c - stay with jobs until all of them have ended
 *
 * What a broker that was restarted tells again has been printed once: `printed` keeps each result to one line. */
#include "submit/follow.h"

#include "conf/array.h"
#include "conf/env.h"
#include "conf/service.h"
#include "submit/account.h"
#include "submit/followed.h"
#include "submit/job_view.h"
#include "submit/listing.h"
#include "submit/out.h"
#include "submit/outcome.h"
#include "submit/progress.h"
#include "wire/job.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long the broker may hold an answer back: with a terminal, whose clock goes on, and without.
 */
#define HOLD_DRAWING (USEC_PER_SEC / 2)
#define HOLD_SILENT  (2 * USEC_PER_SEC)

/* Without a terminal it is said what keeps all jobs when none has run for so long: longer than two
 * tries are apart (retry_wait), or a broker that has started waits for its workers. */
#define STILL_FOR (10 * USEC_PER_SEC)

/* Between two questions, so that a thousand changes a second do not become a thousand questions. */
#define PAUSE (100 * USEC_PER_MSEC)

/* A broker that is away is missed after this long; from then on its return is looked for this
 * often. */
#define PATIENCE (5 * USEC_PER_SEC)
#define LOOK     USEC_PER_SEC

enum { SETTLE_MAX = 1000 }; /* jobs in one question for what was missed */

struct follow {
    struct client *client;
    const struct args *args;
    const RmSelect *what;
    const RmReply *asked; /* see follow_jobs() */
    uint64_t batch;
    struct followed_jobs followed;
    uint64_t counts[PROGRESS_STATES];
    struct progress *progress; /* NULL: not drawn */
    usec_t began_at;
    bool away;            /* the broker does not answer, and this was printed */
    usec_t still_since;   /* no job runs, by this clock; 0: one does */
    bool told_still;      /* that none runs, and why */
    bool cancelling;      /* after Ctrl-C with --cancel-on-interrupt */
    uint64_t n_lost;      /* jobs that the broker does not know any more */
    RmOutcome **accounts; /* of hosts of an evacuation, the newest of each host; owned */
    size_t n_accounts;
    struct account account;
};

/* ---- results */

static const char *result_of(const struct follow *f, struct arena *arena, const RmJobView *view)
{
    const char *text = view_result(arena, view, f->args->verbose);
    return text ? text : job_state_name(view->state);
}

static void print_result(struct follow *f, struct arena *arena, const RmJobView *view)
{
    bool good = view_is_good(view);
    const char *text = result_of(f, arena, view);
    if (f->args->json) {
        struct json json = {.file = stdout};
        json_open(&json, NULL, '{');
        json_bool(&json, "ok", good);
        json_text(&json, "result", text);
        listing_fields(&json, view_columns, arena, view);
        json_close(&json, '}');
        fputc('\n', stdout);
    } else if (good)
        out_result(view->job->guest, text);
    else
        out_failure(view->job->guest, text);
}

static int compare_finished(const void *a, const void *b)
{
    const RmJobView *x = *(RmJobView *const *)a, *y = *(RmJobView *const *)b;
    if (x->finished_at != y->finished_at)
        return x->finished_at < y->finished_at ? -1 : 1;
    return x->job->id < y->job->id ? -1 : x->job->id > y->job->id;
}

/* Takes over what an answer says of jobs, and prints those that ended. */
static int take_jobs(struct follow *f, struct arena *arena, const RmReply *reply)
{
    RmJobView **ended = arena_alloc(arena, (reply->n_jobs + 1) * sizeof(RmJobView *));
    size_t n = 0;
    if (!ended)
        return -ENOMEM;
    for (size_t i = 0; i < reply->n_jobs; i++) {
        RmJobView *view = reply->jobs[i];
        if (!view->job || view->job->id == 0)
            continue;
        struct followed *job = followed_learn(&f->followed, view);
        if (!job)
            return -ENOMEM;
        if (job_is_final(view->state) && !job->printed) {
            ended[n++] = view;
            job->printed = true;
        }
    }
    if (n == 0)
        return 0;
    qsort(ended, n, sizeof(RmJobView *), compare_finished);
    progress_clear(f->progress);
    for (size_t i = 0; i < n; i++)
        print_result(f, arena, ended[i]);
    return out_is_sound() ? 0 : -EPIPE;
}

/* False: it is what was said already. */
static bool keep_account(struct follow *f, const RmOutcome *told)
{
    size_t i = 0;
    while (i < f->n_accounts && strcmp(f->accounts[i]->name, told->name) != 0)
        i++;
    if (i == f->n_accounts) {
        f->accounts = must(reallocarray(f->accounts, i + 1, sizeof(*f->accounts)));
        f->n_accounts++;
    } else if (strcmp(f->accounts[i]->text, told->text) == 0) {
        return false;
    } else {
        rm_outcome__free_unpacked(f->accounts[i], NULL);
    }
    f->accounts[i] = must(msg_copy(NULL, &told->base));
    return true;
}

/* Its guests were tried again, and a newer account tells what is left now. */
static bool is_overtaken(const RmReply *reply, size_t i)
{
    for (size_t k = i + 1; k < reply->n_outcomes; k++)
        if (strcmp(reply->outcomes[k]->name, reply->outcomes[i]->name) == 0)
            return true;
    return false;
}

/* Of each host of an evacuation that is over: is it empty, or what is left and why? */
static int print_accounts(struct follow *f, const RmReply *reply)
{
    bool any = false;
    for (size_t i = 0; i < reply->n_outcomes; i++) {
        RmOutcome *o = reply->outcomes[i];
        if (is_overtaken(reply, i) || !keep_account(f, o))
            continue;
        any = true;
        o->host = o->name;
        progress_clear(f->progress);
        if (f->args->json)
            listing_line(outcome_columns, o);
        else if (o->ok)
            out_result(o->name, o->text);
        else
            out_failure(o->name, o->text);
    }
    return !any || out_is_sound() ? 0 : -EPIPE;
}

/* Without a terminal nobody sees why jobs wait: it is said once each time that all of them do, at once
 * where a person alone can end that. */
static void say_still(struct follow *f)
{
    const struct followed *first = NULL;
    usec_t now = env_now(env_system());
    size_t n = 0, n_paused = 0;
    for (const struct followed *job = f->followed.jobs; job; job = job->hh.next) {
        if (job_is_final(job->view->state))
            continue;
        if (job_is_active(job->view->state) && job->view->state != RM_STATE__DOUBT) {
            f->still_since = 0;
            f->told_still = false;
            return;
        }
        first = first && first->view->text[0] ? first : job;
        n_paused += job->view->paused || job->view->held;
        n++;
    }
    f->still_since = f->still_since == 0 ? now : f->still_since;
    if (f->progress || f->told_still || n == 0)
        return;
    bool paused = n_paused == n;
    if (!paused && now < f->still_since + STILL_FOR)
        return;
    f->told_still = true;
    if (paused)
        out_note("waiting for %zu paused job%s, until somebody resumes %s: %s: %s", n,
                 n == 1 ? "" : "s", n == 1 ? "it" : "them", first->view->job->guest,
                 first->view->text);
    else
        out_note("waiting for %zu job%s, none of which runs: %s: %s", n, n == 1 ? "" : "s",
                 first->view->job->guest, first->view->text);
}

/* ---- drawing */

static struct progress_sum sum_of(const struct follow *f)
{
    struct progress_sum sum = {.batch = f->batch};
    memcpy(sum.counts, f->counts, sizeof(sum.counts));
    sum.elapsed = env_now(env_system()) - f->began_at;
    sum.note = f->away ? "the broker is away" : "";
    return sum;
}

static struct progress_job drawn(struct arena *arena, const struct followed *job, usec_t now)
{
    static const RmStats none = RM_STATS__INIT;
    const RmJobView *view = job->view;
    return (struct progress_job){.id = job->id,
                                 .guest = view->job->guest,
                                 .source = view->source,
                                 .destination = view_destination(arena, view, false),
                                 .phase = view->phase,
                                 .text = view->text,
                                 .state = view->state,
                                 .percent = job->percent,
                                 .elapsed = job->ran_at ? now - job->ran_at : 0,
                                 .stats = view->stats ? *view->stats : none};
}

static void draw(struct follow *f, struct arena *arena)
{
    if (!f->progress)
        return;
    struct progress_job *jobs =
        arena_alloc(arena, (HASH_COUNT(f->followed.jobs) + 1) * sizeof(*jobs));
    usec_t now = env_now(env_system());
    size_t n = 0;
    for (struct followed *job = f->followed.jobs; jobs && job; job = job->hh.next)
        if (!job_is_final(job->view->state))
            jobs[n++] = drawn(arena, job, now);
    struct progress_sum sum = sum_of(f);
    progress_draw(f->progress, jobs, n, &sum);
}

/* ---- the broker */

static void count(struct follow *f, const RmReply *reply)
{
    memset(f->counts, 0, sizeof(f->counts));
    for (size_t i = 0; i < reply->n_tallies; i++) {
        int state = (int)reply->tallies[i]->state;
        if (state >= 0 && state < PROGRESS_STATES)
            f->counts[state] += reply->tallies[i]->count;
    }
    if (!f->what->all)
        return;
    for (struct followed *job = f->followed.jobs; job;
         job = job->hh.next) /* tallies of `all` know only live ones */
        if (job->printed && (int)job->view->state < PROGRESS_STATES)
            f->counts[job->view->state]++;
}

static bool is_over(const struct follow *f)
{
    for (int state = 1; state < PROGRESS_STATES; state++)
        if (f->counts[state] > 0 && !job_is_final((RmState)state))
            return false;
    return true;
}

/* One that the broker knew, and does not know any more: nothing will be heard of it. */
static void lose(struct follow *f, struct followed *job)
{
    f->n_lost++;
    progress_clear(f->progress);
    out_failure(job->view->job->guest, "how its job ended is forgotten (keep, keep_jobs)");
    followed_forget(&f->followed, job);
}

/* Jobs that an answer with everything does not name, or whose end was not reported though all are
 * over: how did they end? */
static int ask_for_missed(struct follow *f, struct arena *arena, bool over)
{
    uint64_t ids[SETTLE_MAX] = {0};
    size_t n = 0;
    for (struct followed *job = f->followed.jobs; job && n < SETTLE_MAX; job = job->hh.next)
        if (!job->printed && (over || job->round != f->followed.round))
            ids[n++] = job->id;
    if (n == 0)
        return 0;
    RmSelect what = RM_SELECT__INIT;
    what.jobs = ids;
    what.n_jobs = n;
    RmListJobs list = RM_LIST_JOBS__INIT;
    list.what = &what;
    list.limit = SETTLE_MAX;
    list.finished = true;
    RmRequest request = client_request(RM_REQUEST__ASK_LIST_JOBS, &list);
    RmReply *reply;
    struct rm_err err = {0};
    int r = client_ask(f->client, &request, 0, arena, &reply, &err);
    if (r < 0)
        return r;
    r = take_jobs(f, arena, reply);
    for (size_t i = 0; r == 0 && i < n; i++) {
        struct followed *job = followed_find(&f->followed, ids[i]);
        if (job && !job->printed && (over || job->round != f->followed.round))
            lose(f, job);
    }
    return r < 0 ? r : 1;
}

/* 1: all are over; 0: go on; -ETIMEDOUT: the broker is away, go on all the same; otherwise the end.
 */
static int turn(struct follow *f, struct arena *arena, struct rm_err *err)
{
    RmReply *reply;
    int r = followed_ask(&f->followed, f->client, f->what, f->progress ? HOLD_DRAWING : HOLD_SILENT,
                         arena, &reply, err);
    if (r < 0)
        return r;
    bool whole = r > 0;
    f->away = false;
    client_be_brief(f->client, PATIENCE);
    r = take_jobs(f, arena, reply);
    if (r < 0)
        return r;
    count(f, reply);
    bool over = is_over(f) && !reply->may_grow;
    while ((whole || over) && (r = ask_for_missed(f, arena, over)) > 0)
        ;
    if (r < 0)
        return r;
    count(f, reply);
    r = print_accounts(f, reply);
    if (r < 0)
        return r;
    say_still(f);
    return over;
}

static void say_away(struct follow *f)
{
    if (f->away)
        return;
    f->away = true;
    client_be_brief(f->client, LOOK);
    progress_clear(f->progress);
    out_note("the broker does not answer, waiting for it; the jobs continue");
}

/* ---- Ctrl-C */

static void say_goodbye(const struct follow *f, const char *why)
{
    if (f->args->local)
        out_note("%swhat is being moved is seen to its end, and nothing else moves", why);
    else if (f->batch)
        out_note("%sthe jobs continue: rmigrate wait %" PRIu64, why, f->batch);
    else
        out_note("%sthe jobs continue: rmigrate watch", why);
}

/* True when it goes on, to see how the jobs end. */
static bool cancel_all(struct follow *f)
{
    RmSelect what = *f->what;
    what.reason = (char *)"interrupted";
    if (what.batch) /* the others are somebody else's */
        what.n_jobs = 0;
    RmRequest request = client_request(RM_REQUEST__ASK_CANCEL, &what);
    struct arena *arena = arena_new(0);
    RmReply *reply;
    struct rm_err err = {0};
    out_note("interrupted: cancelling the jobs; interrupt again to exit at once");
    int r = arena ? client_ask(f->client, &request, 0, arena, &reply, &err) : -ENOMEM;
    f->cancelling = r >= 0;
    if (r < 0)
        out_error("could not cancel: %s", r == -ENOMEM ? "no memory" : err.text);
    else if (reply->code != RM_CODE__CODE_OK && reply->text[0])
        out_error("%s", reply->text);
    arena_free(arena);
    return r >= 0;
}

/* ---- the last line */

/* Who was refused at first may be one of those that came later, where a host is emptied. */
static bool is_told(const struct follow *f, const RmOutcome *refused)
{
    if (f->n_accounts == 0 || refused->host[0])
        return f->n_accounts > 0;
    for (const struct followed *job = f->followed.jobs; job; job = job->hh.next)
        if (strcmp(job->view->job->guest, refused->name) == 0)
            return true;
    return false;
}

static int compare_tries(const void *a, const void *b)
{
    const struct followed *x = *(struct followed *const *)a, *y = *(struct followed *const *)b;
    int r = strcmp(x->view->job->guest, y->view->job->guest);
    return r ? r : x->id < y->id ? -1 : x->id > y->id;
}

/* Of those of one guest the last one counts: somebody has tried it again, or a hypervisor is emptied that an earlier
 * job, of whomever, did not take it from. One after which there was nothing to do any more tells nothing. */
static size_t last_tries(const struct follow *f, RmJobView **ret_views)
{
    struct followed **tries = must(calloc(HASH_COUNT(f->followed.jobs) + 1, sizeof(*tries)));
    size_t n_tries = 0, n = 0;
    for (struct followed *job = f->followed.jobs; job; job = job->hh.next)
        if (job->printed)
            tries[n_tries++] = job;
    qsort(tries, n_tries, sizeof(struct followed *), compare_tries);
    for (size_t i = 0; i < n_tries; i++) {
        RmJobView *view = tries[i]->view;
        const RmJobView *next = i + 1 < n_tries ? tries[i + 1]->view : NULL;
        assert(view);
        bool last = !next || strcmp(view->job->guest, next->job->guest) != 0 ||
                    (next->settled && view_is_good(view));
        if (!f->what->batch || (last && !view->settled))
            ret_views[n++] = view;
    }
    free(tries);
    return n;
}

static void add_jobs(struct follow *f)
{
    struct arena *arena = must(arena_new(0));
    RmJobView **ended = must(calloc(HASH_COUNT(f->followed.jobs) + 1, sizeof(*ended)));
    size_t n = last_tries(f, ended);
    qsort(ended, n, sizeof(RmJobView *), compare_finished);
    for (size_t i = 0; i < n; i++) {
        account_job(&f->account, ended[i], result_of(f, arena, ended[i]));
        arena_reset(arena);
    }
    free(ended);
    arena_free(arena);
}

static void add_refused(struct follow *f)
{
    for (size_t i = 0; f->asked && i < f->asked->n_outcomes; i++) {
        const RmOutcome *o = f->asked->outcomes[i];
        if (!o->ok && !is_told(f, o))
            account_refused(&f->account, o);
    }
}

/* The batch of all jobs; 0: there are several. */
static uint64_t batch_of(const struct follow *f)
{
    for (const struct followed *job = f->followed.jobs; job && !f->batch; job = job->hh.next)
        if (job->view->job->batch != f->followed.jobs->view->job->batch)
            return 0;
    return f->batch ? f->batch : f->followed.jobs->view->job->batch;
}

static uint64_t n_forgotten(const struct follow *f)
{
    uint64_t n = f->what->batch ? f->counts[RM_STATE__NO_STATE] : 0;
    return n > f->n_lost ? n : f->n_lost;
}

static void sum_up(struct follow *f)
{
    f->account.batch = batch_of(f);
    if (f->args->json || !f->progress)
        account_print(&f->account, f->args);
}

/* ---- all of it */

/* Returns 1 when all are over, else a negative errno. */
static int follow_on(struct follow *f, struct rm_err *err)
{
    int r = 0;
    while (r == 0) {
        struct arena *arena = arena_new(0);
        r = arena ? turn(f, arena, err) : rm_fail(err, -ENOMEM, "no memory");
        if (r == -ETIMEDOUT && (f->batch || f->followed.version)) {
            say_away(f);
            r = 0;
        }
        if (r == 0) {
            draw(f, arena);
            r = client_sleep(f->client, f->away ? 5 * PAUSE : PAUSE);
            r = r == -ECHILD ? 0 : r; /* the next question says why it is none */
        }
        arena_free(arena);
        if (r == -EINTR && f->args->cancel_on_interrupt && !f->cancelling) {
            progress_clear(f->progress);
            r = cancel_all(f) ? 0 : -EINTR;
        }
    }
    return r;
}

static int exit_code(struct follow *f, int r, const struct rm_err *err)
{
    int signal = client_signal(f->client);
    if (r == -EINTR && !f->cancelling)
        say_goodbye(f, "interrupted; ");
    if (r == -EPIPE)
        say_goodbye(f, ""); /* out_is_sound() has printed why */
    else if (r < 0 && r != -EINTR)
        out_error("%s", err->text);
    if (signal && (r == -EINTR || f->cancelling))
        return client_code(f->client, -EINTR);
    return r < 0                          ? client_code(f->client, r)
           : account_is_good(&f->account) ? EXIT_OK
                                          : EXIT_SOME_FAILED;
}

int follow_jobs(struct client *client, const struct args *args, const RmSelect *what,
                uint64_t batch, const RmReply *asked)
{
    struct follow f = {
        .client = client, .args = args, .what = what, .batch = batch, .asked = asked};
    struct rm_err err = {0};
    if (batch) /* the broker was there a moment ago */
        client_be_brief(client, PATIENCE);
    f.began_at = env_now(env_system());
    f.progress = progress_new();
    int r = follow_on(&f, &err);
    struct progress_sum sum = sum_of(&f);
    if (r >= 0 && !f.followed.jobs && !f.batch)
        out_note("no unfinished jobs");
    else if (r >= 0)
        progress_end(f.progress, &sum);
    else
        progress_clear(f.progress);
    for (size_t i = 0; i < f.n_accounts; i++)
        account_host(&f.account, f.accounts[i]);
    add_jobs(&f);
    add_refused(&f);
    f.account.forgotten = n_forgotten(&f);
    int code = exit_code(&f, r, &err);
    if (r >= 0 && (f.followed.jobs || f.batch))
        sum_up(&f);
    for (size_t i = 0; i < f.n_accounts; i++)
        rm_outcome__free_unpacked(f.accounts[i], NULL);
    free(f.accounts);
    followed_done(&f.followed);
    progress_free(f.progress);
    return code;
}

void follow_nothing(const struct args *args, const RmReply *asked)
{
    struct follow f = {.args = args, .asked = asked};
    struct progress *progress = args->json ? NULL : progress_new();
    add_refused(&f);
    if (!progress)
        account_print(&f.account, args);
    progress_free(progress);
}
