/* follow.c - clients that wait for jobs: an answer is held until something of theirs has changed
 *
 * A follower is forgotten when it is answered; it asks again with the version that it got. So
 * nothing is lost when the broker restarts: the epoch differs, and the client gets everything anew.
 */
#include "broker/state.h"

#include <stdlib.h>

enum {
    FOLLOW_HOLD_MOST_SECONDS = 30, /* an answer is held no longer, whatever was asked */
    FOLLOW_GAP_MSEC = 100,     /* between two answers to one client: more is not seen by people */
    FOLLOW_VIEWS_MAX = 100000, /* jobs in one answer */
};

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool selects(const struct follower *f, uint64_t id, uint64_t batch,
                    const struct host *source)
{
    if (f->ids != NULL && bsearch(&id, f->ids, f->n_ids, sizeof(id), by_id) == NULL)
        return false;
    return (f->batch == 0 || f->batch == batch) && (f->host == NULL || f->host == source);
}

void follow_finished(struct core *core, const struct job *job)
{
    core->finished[core->n_finished++ % STATE_FINISHED_MAX] = (struct finished){
        .version = core->version,
        .id = job->id,
        .batch = job->ask->batch,
        .source = job->source,
    };
}

/* Has anything that f looks at changed since its version? */
static bool news(const struct core *core, const struct follower *f)
{
    const struct job *job;

    if (f->version >= core->version)
        return false;
    for (uint64_t i = core->n_finished; i > 0 && core->n_finished - i < STATE_FINISHED_MAX; i--) {
        const struct finished *done = &core->finished[(i - 1) % STATE_FINISHED_MAX];
        if (done->version <= f->version)
            break;
        if (selects(f, done->id, done->batch, done->source))
            return true;
    }
    DL_FOREACH2 (core->recent, job, r_next) {
        if (job->changed <= f->version)
            break;
        if (selects(f, job->id, job->ask->batch, job->source))
            return true;
    }
    return false;
}

static void push_view(struct core *core, RmReply *reply, RmJobView *view)
{
    if (view != NULL && reply->n_jobs < FOLLOW_VIEWS_MAX)
        ARENA_PUSH(core->arena, reply->n_jobs, reply->jobs, view);
}

static void changed_since(struct core *core, const struct follower *f, RmReply *reply)
{
    const struct job *job;

    for (uint64_t i = core->n_finished; i > 0 && core->n_finished - i < STATE_FINISHED_MAX; i--) {
        const struct finished *done = &core->finished[(i - 1) % STATE_FINISHED_MAX];
        if (done->version <= f->version)
            break;
        if (selects(f, done->id, done->batch, done->source))
            push_view(core, reply, status_finished(core, done->id));
    }
    DL_FOREACH2 (core->recent, job, r_next) {
        if (job->changed <= f->version)
            break;
        if (selects(f, job->id, job->ask->batch, job->source))
            push_view(core, reply, status_job(core, job));
    }
}

static void one(struct core *core, RmReply *reply, uint64_t id, uint64_t *counts)
{
    const struct job *job = job_find(core, id);
    RmJobView *view = job != NULL ? status_job(core, job) : status_finished(core, id);

    if (view == NULL)
        return;
    counts[view->state]++;
    push_view(core, reply, view);
}

static void everything(struct core *core, const struct follower *f, RmReply *reply,
                       uint64_t *counts)
{
    RmBatch *batch;

    if (f->ids != NULL) {
        for (size_t i = 0; i < f->n_ids; i++)
            one(core, reply, f->ids[i], counts);
    } else if (f->batch != 0) {
        if (record_batch_get(core->store, f->batch, core->arena, &batch) < 0)
            return;
        for (size_t i = 0; i < batch->n_jobs; i++)
            for (uint64_t j = 0; j < batch->jobs[i]->count; j++)
                one(core, reply, batch->jobs[i]->first + j, counts);
    } else {
        for (const struct job *job = core->jobs; job != NULL; job = job->hh.next)
            if (f->host == NULL || job->source == f->host) {
                counts[job->live.state]++;
                push_view(core, reply, status_job(core, job));
            }
    }
}

/* How many of the selected jobs are in which state: from memory where it is known, else by looking
 * at each. */
static void count(struct core *core, const struct follower *f, uint64_t *counts)
{
    const struct batch *batch = f->batch != 0 && f->ids == NULL ? batch_find(core, f->batch) : NULL;

    if (batch != NULL) {
        for (size_t i = 0; i < STATE_STATES; i++)
            counts[i] = batch->counts[i];
    } else {
        RmReply scratch = RM_REPLY__INIT;
        everything(core, f, &scratch, counts);
    }
}

static void answer(struct core *core, const struct follower *f, bool all)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmReply reply = RM_REPLY__INIT;
    uint64_t counts[STATE_STATES] = {0};

    reply.epoch = core->epoch;
    reply.version = core->version;
    reply.batch = f->batch;
    if (all) {
        everything(core, f, &reply, counts);
    } else {
        changed_since(core, f, &reply);
        count(core, f, counts);
    }
    for (size_t i = 1; i < STATE_STATES; i++) {
        RmTally *tally;
        if (counts[i] == 0 || (tally = arena_alloc(core->arena, sizeof(*tally))) == NULL)
            continue;
        rm_tally__init(tally);
        tally->state = (RmState)i;
        tally->count = counts[i];
        ARENA_PUSH(core->arena, reply.n_tallies, reply.tallies, tally);
    }
    message.body_case = RM_MESSAGE__BODY_REPLY;
    message.reply = &reply;
    core_send(core, &f->peer, f->tag, &message);
    arena_reset(core->arena);
}

static void refuse(struct core *core, const struct net_peer *peer, uint64_t tag, RmCode code,
                   const char *text)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmReply reply = RM_REPLY__INIT;

    reply.code = code;
    reply.text = (char *)text;
    message.body_case = RM_MESSAGE__BODY_REPLY;
    message.reply = &reply;
    core_send(core, peer, tag, &message);
}

void follow_request(struct core *core, const struct net_peer *peer, uint64_t tag,
                    const RmFollow *follow)
{
    struct follower f = {.peer = *peer, .tag = tag, .version = follow->version}, *kept;
    const RmSelect *what = follow->what;
    usec_t hold = follow->wait_for;
    RmBatch *batch;
    bool all;

    if (what != NULL && *what->host != '\0') {
        f.host = host_find(core, what->host);
        if (f.host == NULL) {
            refuse(core, peer, tag, RM_CODE__CODE_SOME_FAILED, "no such host");
            return;
        }
    }
    if (what != NULL && what->batch != 0) {
        f.batch = what->batch;
        if (record_batch_get(core->store, f.batch, core->arena, &batch) < 0) {
            refuse(core, peer, tag, RM_CODE__CODE_SOME_FAILED,
                   arena_printf(core->arena, "no such batch: %llu", (unsigned long long)f.batch));
            return;
        }
    }
    if (what != NULL && what->n_jobs > 0) {
        f.ids = calloc(what->n_jobs, sizeof(*f.ids));
        if (f.ids == NULL)
            return;
        for (size_t i = 0; i < what->n_jobs; i++)
            f.ids[f.n_ids++] = what->jobs[i];
        qsort(f.ids, f.n_ids, sizeof(*f.ids), by_id);
    }
    /* What fell out of the ring of finished jobs can only be told by telling everything. */
    all = follow->version == 0 || follow->epoch != core->epoch || follow->version > core->version ||
          (core->n_finished > STATE_FINISHED_MAX &&
           core->finished[core->n_finished % STATE_FINISHED_MAX].version > follow->version);
    if (all || hold == 0 || core->n_followers >= STATE_FOLLOWERS_MAX) {
        answer(core, &f, all);
        free(f.ids);
        return;
    }
    if (hold > (usec_t)FOLLOW_HOLD_MOST_SECONDS * USEC_PER_SEC)
        hold = (usec_t)FOLLOW_HOLD_MOST_SECONDS * USEC_PER_SEC;
    kept = malloc(sizeof(*kept));
    if (kept == NULL) {
        free(f.ids);
        return;
    }
    *kept = f;
    kept->until = core->now + hold;
    kept->not_before = core->now + FOLLOW_GAP_MSEC * USEC_PER_MSEC;
    DL_APPEND(core->followers, kept);
    core->n_followers++;
}

void follow_tick(struct core *core)
{
    struct follower *f, *next;

    DL_FOREACH_SAFE (core->followers, f, next) {
        if (f->until > core->now && (f->not_before > core->now || !news(core, f)))
            continue;
        answer(core, f, false);
        DL_DELETE(core->followers, f);
        core->n_followers--;
        free(f->ids);
        free(f);
    }
}

usec_t follow_deadline(const struct core *core)
{
    usec_t first = USEC_NEVER;
    const struct follower *f;

    DL_FOREACH (core->followers, f) {
        usec_t at =
            f->version < core->version && f->not_before > core->now ? f->not_before : f->until;
        if (at < first)
            first = at;
    }
    return first;
}
