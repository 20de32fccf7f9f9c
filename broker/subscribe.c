/* subscribe.c - clients that wait for jobs: an answer is held until something of theirs has changed */
#include "broker/subscribe.h"

#include "broker/again.h"
#include "broker/batch.h"
#include "broker/emptied.h"
#include "broker/evacuation.h"
#include "broker/job.h"
#include "broker/page.h"
#include "broker/place.h"
#include "broker/status.h"
#include "conf/array.h"
#include "store/record.h"

#include <inttypes.h>

enum {
    SUBSCRIBERS_MAX = 10000, /* more of them are answered at once, and have to ask again */
    HOLD_MOST_SECONDS = 30,  /* an answer is held no longer, whatever was asked */
    GAP_MSEC = 100,          /* between two answers to one client: more is not seen by people */
    VIEWS_MAX = 100000,      /* jobs in one answer without pages, and looked at for it */
};

/* In looks, see TURN_LOOKS. */
enum { RECORD_LOOKS = 10, ROW_LOOKS = 100 };

static bool selects(const struct subscriber *f, const struct journal_line *line)
{
    if ((CHANGE_BIT(line->kind) & CHANGES_OF_JOBS) == 0)
        return false;
    if (f->ids && bsearch(&line->job, f->ids, f->n_ids, sizeof(line->job), array_compare_u64))
        return true;
    bool ours = f->batch == 0 ? !f->ids
                              : bsearch(&line->batch, f->batches, f->n_batches, sizeof(*f->batches),
                                        array_compare_u64) != NULL;
    return ours && (!f->host || f->host == line->host);
}

/* Has anything that it looks at changed since it was looked for last? */
static bool has_news(struct core *core, struct subscriber *f)
{
    const struct journal *journal = core->journal;
    uint64_t end = journal_end(journal), from = f->read;

    if (!journal_holds(journal, f->read))
        return true; /* nobody can say */
    while (f->read < end && !selects(f, journal_at(journal, f->read + 1)))
        f->read++;
    core->subscribers.looks += f->read - from;
    return f->read < end;
}

static void push_view(struct page *page, RmJobView *view)
{
    if (view && page->reply->n_jobs < VIEWS_MAX)
        page_push_job(page, view);
}

/* Each job once, as it is now, the first changed first. Where the page is full, the client is told of
 * the rest when it asks again, with the version up to which it knows now. */
static void changed_since(struct core *core, const struct subscriber *f, struct page *page)
{
    uint64_t end = journal_end(core->journal);

    core->subscribers.looks += end - f->read;
    for (uint64_t at = f->read + 1; at <= end; at++) {
        const struct journal_line *line = journal_at(core->journal, at);
        if (!selects(f, line))
            continue;
        if (page_is_full(page)) {
            page->reply->version = at - 1;
            return;
        }
        const struct job *job = job_find(core, line->job);
        if (line->kind == CHANGE_JOB_ENDED)
            push_view(page, status_finished(core, line->job));
        else if (job && job->changed == at)
            push_view(page, status_job(core, job));
    }
}

/* Of a batch the job that tries it again says how it ended; named: by its number. */
static RmState state_of(struct core *core, uint64_t id, bool named)
{
    const struct job *job = job_find(core, id);
    RmResult *result;

    if (job)
        return job->live.state;
    if (record_result_get(core->store, id, core->arena, &result) < 0 ||
        ((result->again != 0 || result->settled) && !named))
        return RM_STATE__NO_STATE;
    return result->state;
}

/* False: the page is full. A job that is not to be told of is looked at as well. */
static bool push_one(struct core *core, struct page *page, uint64_t at, uint64_t id, bool named)
{
    if (page_ends(page, "%" PRIu64, at) || page->looks >= VIEWS_MAX)
        return false;
    page_look(page);
    if (state_of(core, id, named) != RM_STATE__NO_STATE)
        push_view(page, status_of(core, id));
    return true;
}

/* The jobs by number, then those of the batches: batches only grow, and only at their end, so that the
 * place in this row is where a page begins. */
static void push_named(struct core *core, const struct subscriber *f, uint64_t from,
                       struct page *page)
{
    RmBatch *batch;
    uint64_t at = 0;

    core->subscribers.looks += f->n_batches * RECORD_LOOKS;
    for (size_t i = 0; i < f->n_ids; i++, at++)
        if (at >= from && !push_one(core, page, at, f->ids[i], true))
            return;
    for (size_t b = 0; b < f->n_batches; b++) {
        if (record_batch_get(core->store, f->batches[b], core->arena, &batch) < 0)
            continue;
        for (size_t i = 0; i < batch->n_jobs; i++) {
            uint64_t n = batch->jobs[i]->count, j = from > at ? from - at : 0;
            at += j < n ? j : n;
            for (; j < n; j++, at++)
                if (!push_one(core, page, at, batch->jobs[i]->first + j, false))
                    return;
        }
    }
}

static bool is_any(const struct subscriber *f, const struct job *job)
{
    return !f->host || job->source == f->host;
}

/* Live jobs, which are in the order of their numbers. */
static void push_live(struct core *core, const struct subscriber *f, uint64_t from,
                      struct page *page)
{
    core->subscribers.looks += HASH_COUNT(core->jobs.by_id);
    for (const struct job *job = core->jobs.by_id; job; job = job->hh.next) {
        if (job->id < from || !is_any(f, job))
            continue;
        if (page_ends(page, "%" PRIu64, job->id))
            return;
        push_view(page, status_job(core, job));
    }
}

/* How many of the selected jobs are in which state; NO_STATE: forgotten, or never there. */
static void count(struct core *core, const struct subscriber *f, uint64_t *counts)
{
    core->subscribers.looks += (f->n_batches + f->n_ids) * RECORD_LOOKS;
    if (f->batch == 0 && !f->ids)
        core->subscribers.looks += HASH_COUNT(core->jobs.by_id);
    for (size_t i = 0; i < f->n_batches; i++) {
        uint64_t one_batch[STATE_COUNT];
        if (batch_count(core, f->batches[i], one_batch) < 0)
            continue;
        for (size_t k = 0; k < STATE_COUNT; k++)
            counts[k] += one_batch[k];
    }
    for (size_t i = 0; f->ids && i < f->n_ids; i++)
        counts[state_of(core, f->ids[i], true)]++;
    for (const struct job *job = core->jobs.by_id; f->batch == 0 && !f->ids && job;
         job = job->hh.next)
        if (is_any(f, job))
            counts[job->live.state]++;
}

static int by_time(const void *a, const void *b)
{
    const RmOutcome *x = *(RmOutcome *const *)a, *y = *(RmOutcome *const *)b;

    return x->at != y->at ? (x->at < y->at ? -1 : 1) : 0;
}

/* The newest account of each of the batch's hosts that is not being emptied, out of those of all batches that try the same
 * jobs, also others than it does. */
static void push_accounts(struct core *core, const RmBatch *batch, RmReply *reply)
{
    size_t n;
    uint64_t *all = batch_all(core, batch->first != 0 ? batch->first : batch->id, &n);
    RmBatch *other;

    for (size_t b = 0; b < n; b++) {
        if (record_batch_get(core->store, all[b], core->arena, &other) < 0)
            continue;
        for (size_t i = 0; i < other->n_account; i++)
            if ((other->id == batch->id || batch_is_of_host(batch, other->account[i]->name)) &&
                !evacuation_is_of(core, batch, other->account[i]->name))
                CORE_PUSH(core, reply->n_outcomes, reply->outcomes,
                          emptied_since(core, other->account[i]));
    }
    free(all);
    if (reply->n_outcomes > 0)
        qsort(reply->outcomes, reply->n_outcomes, sizeof(RmOutcome *), by_time);
}

/* Of a host without an account nobody may think that it is empty. */
static void push_unknown(struct core *core, const char *host, RmReply *reply)
{
    RmOutcome *unknown = core_alloc(core, sizeof(*unknown));

    for (size_t i = 0; i < reply->n_outcomes; i++)
        if (strcmp(reply->outcomes[i]->name, host) == 0)
            return;
    rm_outcome__init(unknown);
    unknown->name = (char *)host;
    unknown->text = core_printf(
        core, "may not be empty: what became of its evacuation is forgotten: rmigrate evacuate %s",
        host);
    CORE_PUSH(core, reply->n_outcomes, reply->outcomes, unknown);
}

/* An evacuation: may it get more jobs, and what is to be said of the hosts that are done? That waits for workers that
 * are still on their way. */
static void evacuated(struct core *core, const struct subscriber *f, RmReply *reply)
{
    RmBatch *batch;

    if (f->batch == 0 || record_batch_get(core->store, f->batch, core->arena, &batch) < 0 ||
        batch->n_evacuate == 0)
        return;
    reply->may_grow = evacuation_is_open(core, batch);
    for (size_t i = 0; i < batch->n_evacuate && !reply->may_grow; i++) {
        const struct host *host = host_find(core, batch->evacuate[i]);
        reply->may_grow = host && !host_link_is_up(&host->link) && place_may_come(core, host);
        if (reply->may_grow)
            return;
    }
    push_accounts(core, batch, reply);
    for (size_t i = 0; i < batch->n_evacuate; i++)
        if (!evacuation_is_of(core, batch, batch->evacuate[i]))
            push_unknown(core, batch->evacuate[i], reply);
}

static void push_tallies(struct core *core, const struct subscriber *f, RmReply *reply)
{
    uint64_t counts[STATE_COUNT] = {0};

    count(core, f, counts);
    for (size_t i = 0; i < STATE_COUNT; i++) {
        RmTally *tally;
        if (counts[i] == 0 || !(tally = arena_alloc(core->arena, sizeof(*tally))))
            continue;
        rm_tally__init(tally);
        tally->state = (RmState)i;
        tally->count = counts[i];
        ARENA_PUSH(core->arena, reply->n_tallies, reply->tallies, tally);
    }
}

/* message: of a client that asks now, for everything; NULL: of one that waited, for what has changed, or for
 * everything where the journal does not say that, as if it asked now: for the first page. */
static void answer(struct core *core, const struct subscriber *f, const RmRequest *message)
{
    RmRequest first_page = RM_REQUEST__INIT;
    RmReply reply = RM_REPLY__INIT;
    struct page page;

    first_page.pages = f->pages;
    bool all = message || !journal_holds(core->journal, f->read);
    message = message ? message : &first_page;
    page_begin(&page, core, message, &reply);
    reply.epoch = core->epoch;
    reply.version = journal_end(core->journal);
    reply.batch = f->batch;
    if (!all)
        changed_since(core, f, &page);
    else if (f->batch != 0 || f->ids)
        push_named(core, f, page_number(message), &page);
    else
        push_live(core, f, page_number(message), &page);
    if (*message->page == '\0') {
        evacuated(core, f, &reply);
        push_tallies(core, f, &reply);
    }
    core->subscribers.looks += page.looks * RECORD_LOOKS + page.rows * ROW_LOOKS;
    core_reply(core, &f->peer, f->tag, &reply);
    arena_reset(core->arena);
}

static void refuse(struct core *core, const struct subscriber *f, RmCode code, const char *text)
{
    RmReply reply = RM_REPLY__INIT;

    reply.code = code;
    reply.text = (char *)text;
    core_reply(core, &f->peer, f->tag, &reply);
}

/* Jobs that are named beside a batch belong to it: what stands for them now is meant. */
static void select_batches(struct core *core, struct subscriber *f)
{
    f->batches = batch_all(core, f->batch, &f->n_batches);
    qsort(f->batches, f->n_batches, sizeof(*f->batches), array_compare_u64);
    f->n_again = core->n_again;
    for (size_t i = 0; i < f->n_ids; i++)
        f->ids[i] = again_newest(core, f->ids[i]);
    if (f->n_ids > 0)
        qsort(f->ids, f->n_ids, sizeof(*f->ids), array_compare_u64);
    for (size_t i = 0; i < f->n_batches; i++)
        batch_watch(batch_restore(core, f->batches[i]));
}

/* Its batches are not waited for any more. */
static void unselect_batches(struct core *core, struct subscriber *f)
{
    for (size_t i = 0; i < f->n_batches; i++)
        batch_unwatch(core, batch_find(core, f->batches[i]));
    free(f->batches);
}

static void select_done(struct core *core, struct subscriber *f)
{
    unselect_batches(core, f);
    free(f->ids);
}

/* Jobs of its batch may have been tried again since it asked: those are waited for as well. */
static void follow_retries(struct core *core, struct subscriber *f)
{
    if (f->batch == 0 || f->n_again == core->n_again)
        return;
    unselect_batches(core, f);
    select_batches(core, f);
    f->read = f->version;
    core->subscribers.looks += (f->n_batches + f->n_ids) * RECORD_LOOKS;
    arena_reset(core->arena);
}

static void drop(struct core *core, struct subscriber *f)
{
    DL_DELETE(core->subscribers.first, f);
    core->subscribers.n--;
    core->subscribers.n_ids -= f->n_ids;
    select_done(core, f);
    free(f);
}

/* What is selected, into f, for select_done(). False: the client is refused. */
static bool read_select(struct core *core, struct subscriber *f, const RmSelect *what)
{
    RmBatch *batch;

    if (*what->host != '\0') {
        f->host = host_find(core, what->host);
        if (!f->host) {
            refuse(core, f, RM_CODE__CODE_SOME_FAILED, "no such host");
            return false;
        }
    }
    f->batch = what->batch;
    if (f->batch != 0 && record_batch_get(core->store, f->batch, core->arena, &batch) < 0) {
        refuse(core, f, RM_CODE__CODE_SOME_FAILED,
               core_printf(core, "no such batch: %llu", (unsigned long long)f->batch));
        return false;
    }
    if (what->n_jobs > 0) {
        f->ids = must(calloc(what->n_jobs, sizeof(*f->ids)));
        for (size_t i = 0; i < what->n_jobs; i++)
            f->ids[f->n_ids++] = what->jobs[i];
        qsort(f->ids, f->n_ids, sizeof(*f->ids), array_compare_u64);
    }
    if (f->batch != 0)
        select_batches(core, f);
    return true;
}

/* A number that is named again is the same job. */
static void name_once(struct subscriber *f)
{
    size_t n = 0;

    for (size_t i = 0; i < f->n_ids; i++)
        if (n == 0 || f->ids[n - 1] != f->ids[i])
            f->ids[n++] = f->ids[i];
    if (n > 0 && n < f->n_ids)
        f->ids = must(realloc(f->ids, n * sizeof(*f->ids)));
    f->n_ids = n;
}

/* Is there room to hold one more? */
static bool may_hold(const struct core *core, const struct subscriber *f)
{
    const struct subscribers *all = &core->subscribers;
    const struct subscriber *other;
    size_t n_ids = f->n_ids; /* of that user */

    if (all->n >= SUBSCRIBERS_MAX || all->n_ids + n_ids > HELD_IDS_MAX)
        return false;
    if (n_ids == 0)
        return true;
    DL_FOREACH (all->first, other)
        if (other->n_ids > 0 && strcmp(other->peer.user, f->peer.user) == 0)
            n_ids += other->n_ids;
    return n_ids <= (size_t)HELD_IDS_MAX / 100 * HELD_IDS_PERCENT;
}

static void hold(struct core *core, const struct subscriber *f, usec_t wait_for)
{
    struct subscriber *kept = must(malloc(sizeof(*kept)));
    usec_t most = (usec_t)HOLD_MOST_SECONDS * USEC_PER_SEC;

    *kept = *f;
    kept->until = core->now + (wait_for < most ? wait_for : most);
    kept->not_before = core->now + GAP_MSEC * USEC_PER_MSEC;
    DL_APPEND(core->subscribers.first, kept);
    core->subscribers.n++;
    core->subscribers.n_ids += f->n_ids;
    has_news(core, kept); /* who is far behind is brought near here, where each peer has its turn */
}

void subscribe_request(struct core *core, const struct net_peer *peer, uint64_t tag,
                       const RmRequest *message)
{
    const RmFollow *follow = message->follow;
    struct subscriber f = {.peer = *peer,
                           .tag = tag,
                           .version = follow->version,
                           .read = follow->version,
                           .pages = message->pages};

    if (follow->what && !read_select(core, &f, follow->what)) {
        select_done(core, &f);
        return;
    }
    name_once(&f);
    /* Who is behind what the journal holds gets everything. */
    bool all = *message->page != '\0' || follow->epoch != core->epoch ||
               !journal_holds(core->journal, f.version);
    if (!all && follow->wait_for > 0 && may_hold(core, &f)) {
        hold(core, &f, follow->wait_for);
        return;
    }
    answer(core, &f, all ? message : NULL);
    select_done(core, &f);
}

/* Answers it if it is to be answered now; else it stays, behind all others. */
static void look_after(struct core *core, struct subscriber *f)
{
    bool over = f->until <= core->now;

    if (over || f->not_before <= core->now) {
        follow_retries(core, f);
        if (has_news(core, f) || over) {
            answer(core, f, NULL);
            drop(core, f);
            return;
        }
    }
    DL_DELETE(core->subscribers.first, f);
    DL_APPEND(core->subscribers.first, f);
}

void subscribe_tick(struct core *core)
{
    struct subscribers *all = &core->subscribers;
    unsigned n = all->n;

    all->looks = 0; /* those of requests have a bound of their own: TURN_MSEC of loop.c */
    for (; n > 0 && all->looks < TURN_LOOKS; n--)
        look_after(core, all->first);
    all->more = n > 0;
}

usec_t subscribe_deadline(const struct core *core)
{
    uint64_t newest = journal_newest(core->journal, CHANGES_OF_JOBS);
    usec_t first = USEC_NEVER;
    const struct subscriber *f;

    if (core->subscribers.more)
        return core->now;
    DL_FOREACH (core->subscribers.first, f) {
        usec_t at = f->read < newest && f->not_before > core->now ? f->not_before : f->until;
        if (at < first)
            first = at;
    }
    return first;
}

void subscribe_gone(struct core *core, const struct net_peer *peer)
{
    struct subscriber *f, *next;

    DL_FOREACH_SAFE (core->subscribers.first, f, next)
        if (!peer || peer_is(&f->peer, peer))
            drop(core, f);
}
