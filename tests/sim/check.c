/* check.c - every list, counter, promise and index of the broker against a recomputation and the store
 *
 * To be called between two turns. What is computed here is computed the slow and plain way, from
 * the jobs and the instances alone, so that it shares no mistake with the code that keeps the
 * figures up to date. */
#include "tests/sim/check.h"

#include "broker/batch.h"
#include "broker/host_query.h"
#include "broker/instance.h"
#include "broker/job.h"
#include "broker/subscribe.h"
#include "store/record.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

struct check {
    struct core *core;
    FILE *file;
    int n;
};

static void complain(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void complain(struct check *check, const char *format, ...)
{
    va_list args;

    check->n++;
    if (check->file == NULL)
        return;
    va_start(args, format);
    vfprintf(check->file, format, args);
    va_end(args);
    putc('\n', check->file);
}

static void same_number(struct check *check, const char *what, const char *name, uint64_t is,
                        uint64_t should)
{
    if (is != should)
        complain(check, "%s of %s is %" PRIu64 ", should be %" PRIu64, what, name, is, should);
}

/* Two records are the same when their packed forms are. */
static bool same_record(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    size_t size = protobuf_c_message_get_packed_size(a);
    uint8_t *x = malloc(size + 1), *y = malloc(size + 1);
    bool same = size == protobuf_c_message_get_packed_size(b) && x != NULL && y != NULL;

    if (same) {
        protobuf_c_message_pack(a, x);
        protobuf_c_message_pack(b, y);
        same = memcmp(x, y, size) == 0;
    }
    free(x);
    free(y);
    return same;
}

/* ---- jobs */

static unsigned times_queued(const struct host *host, const struct job *job)
{
    unsigned n = 0;

    for (const struct queue_item *item = host->queue.first; item; item = item->next)
        n += item->job == job && item == &job->queued ? 1 : 0;
    return n;
}

static unsigned times_leaving(const struct host *host, const struct job *job)
{
    const struct job *one;
    unsigned n = 0;

    DL_FOREACH2 (host->jobs.leaving, one, s_next)
        n += one == job ? 1 : 0;
    return n;
}

static unsigned times_coming(const struct host *host, const struct job *job)
{
    const struct job *one;
    unsigned n = 0;

    if (host)
        DL_FOREACH2 (host->jobs.coming, one, d_next)
            n += one == job ? 1 : 0;
    return n;
}

static void check_job_record(struct check *check, struct job *job)
{
    struct core *core = check->core;
    RmLive *live, mine = job->live;

    if (record_live_get(core->store, job->id, core->arena, &live) < 0) {
        complain(check, "job %" PRIu64 " (%s) is not in the table of live jobs", job->id,
                 job_state_name(job->live.state));
        return;
    }
    /* A job that waits may choose another destination; that is written when it starts. */
    if (!job_is_active(mine.state))
        mine.destination = live->destination;
    if (!same_record(&mine.base, &live->base))
        complain(check, "job %" PRIu64 " (%s) is not in the store as it is in memory (%s)", job->id,
                 job_state_name(job->live.state), job_state_name(live->state));
}

static void check_job(struct check *check, struct job *job)
{
    struct core *core = check->core;
    struct job *one;
    struct guest *guest = guest_find(core, job->ask->guest);
    RmState state = job->live.state;
    const char *destination = job->destination != NULL ? job->destination->rec->name : "";
    unsigned waiting = 0, doubt = 0;

    if (job->id != job->live.id || job->id != job->ask->id)
        complain(check, "job %" PRIu64 " has the ids %" PRIu64 " and %" PRIu64, job->id,
                 job->live.id, job->ask->id);
    if (state == RM_STATE__NO_STATE || job_is_final(state))
        complain(check, "job %" PRIu64 " is held as live, but is %s", job->id,
                 job_state_name(state));
    if (guest != job->guest || guest->job != job)
        complain(check, "job %" PRIu64 " is not the one of its guest %s", job->id, job->ask->guest);
    if (job->source != host_find(core, job->live.source))
        complain(check, "job %" PRIu64 " has another source than its record", job->id);
    if (strcmp(destination, job->live.destination) != 0)
        complain(check, "job %" PRIu64 " goes to '%s', its record says '%s'", job->id, destination,
                 job->live.destination);
    if (job->destination == job->source)
        complain(check, "job %" PRIu64 " goes to where it comes from", job->id);
    if (job_is_active(state) && job->destination == NULL)
        complain(check, "job %" PRIu64 " is %s and has no destination", job->id,
                 job_state_name(state));
    same_number(check, "times in the queue", job->ask->guest, times_queued(job->source, job),
                state == RM_STATE__QUEUED);
    same_number(check, "times in `leaving`", job->ask->guest, times_leaving(job->source, job), 1);
    same_number(check, "times in `coming`", job->ask->guest, times_coming(job->destination, job),
                job->destination != NULL);
    DL_FOREACH2 (core->jobs.waiting, one, l_next)
        waiting += one == job ? 1 : 0;
    DL_FOREACH2 (core->jobs.doubt, one, l_next)
        doubt += one == job ? 1 : 0;
    same_number(check, "times in `waiting`", job->ask->guest, waiting, state == RM_STATE__WAITING);
    same_number(check, "times in `doubt`", job->ask->guest, doubt, state == RM_STATE__DOUBT);
    if (job->batch != batch_find(core, job->ask->batch))
        complain(check, "job %" PRIu64 " is in another batch than it was asked in", job->id);
    if (state == RM_STATE__DOUBT && job->settle_at == USEC_NEVER)
        complain(check, "job %" PRIu64 " is in doubt, and nobody will ever look", job->id);
    if ((state == RM_STATE__ASSIGNED || state == RM_STATE__CANCELLING) &&
        (job->order_at == USEC_NEVER || job->order_at < core->jobs.order_at))
        complain(check, "job %" PRIu64 " is %s, and nobody will think of it", job->id,
                 job_state_name(state));
    check_job_record(check, job);
}

/* ---- the lists as such */

static void check_orders(struct check *check)
{
    struct core *core = check->core;
    const struct job *job;
    unsigned listed = 0, live = HASH_COUNT(core->jobs.by_id);

    DL_FOREACH2 (core->jobs.waiting, job, l_next) {
        listed++;
        if (job->l_next != NULL && job->l_next->ready_at < job->ready_at)
            complain(check, "job %" PRIu64 " waits behind one that is ready later",
                     job->l_next->id);
    }
    DL_FOREACH2 (core->jobs.doubt, job, l_next)
        listed++;
    for (const struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        unsigned n = 0;
        for (const struct queue_item *item = host->queue.first; item; item = item->next) {
            const struct job *mine = item->job, *next = item->next ? item->next->job : NULL;
            n++;
            if (next && (next->ask->priority < mine->ask->priority ||
                         (next->ask->priority == mine->ask->priority && next->id < mine->id)))
                complain(check, "job %" PRIu64 " is queued behind one that comes later", next->id);
        }
        same_number(check, "length of the queue", host->rec->name, host->queue.n, n);
        n = 0;
        for (const struct queue_item *item = host->queue.oldest; item; item = item->a_next) {
            n++;
            if (item->a_next && item->a_next->id <= item->id)
                complain(check, "job %" PRIu64 " is queued as one that is newer", item->a_next->id);
        }
        same_number(check, "length of the queue by age", host->rec->name, n, host->queue.n);
        listed += n;
    }
    if (listed > live)
        complain(check, "%u jobs are listed, %u are live", listed, live);
    same_number(check, "length", "the table of live jobs", store_count(core->store, STORE_LIVE),
                live);
}

/* ---- hosts */

struct count {
    unsigned queued, waiting, doubt, out, in, sent, active;
    struct figures used, promised, arriving;
    unsigned n_promised;
};

static void add(struct figures *to, uint64_t memory, uint64_t vcpus)
{
    to->memory += memory;
    to->vcpus += vcpus;
}

static struct count count_host(const struct core *core, const struct host *host)
{
    struct count f = {0};
    const struct instance *s;

    for (const struct job *job = core->jobs.by_id; job != NULL; job = job->hh.next) {
        RmState state = job->live.state;
        if (job->source == host) {
            f.queued += state == RM_STATE__QUEUED ? 1 : 0;
            f.waiting += state == RM_STATE__WAITING ? 1 : 0;
            f.doubt += state == RM_STATE__DOUBT ? 1 : 0;
            f.out += job_is_active(state) ? 1 : 0;
            f.sent += state == RM_STATE__ASSIGNED || state == RM_STATE__CANCELLING ? 1 : 0;
        }
        if (job->destination == host) {
            f.in += job_is_active(state) ? 1 : 0;
            add(&f.promised, job->guest->rec->memory, job->guest->rec->vcpus);
            f.n_promised++;
            if (job_is_active(state))
                add(&f.arriving, job->guest->rec->memory, job->guest->rec->vcpus);
        }
    }
    DL_FOREACH2 (host->instances, s, h_next) {
        const struct job *job = s->guest->job;
        f.active += guest_is_active(s->state) ? 1 : 0;
        if ((!guest_is_active(s->state) && s->state != RM_GUEST_STATE__GUEST_INCOMING) ||
            (job != NULL && job->destination == host))
            continue; /* a guest on its way here is counted by the promise */
        add(&f.used, s->has.memory, s->has.vcpus);
    }
    return f;
}

static void check_host_record(struct check *check, struct host *host)
{
    struct core *core = check->core;
    RmHost *rec, blank = RM_HOST__INIT;

    if (host->dirty)
        complain(check, "host %s has changes that were not written", host->rec->name);
    blank.name = host->rec->name;
    if (record_host_get(core->store, host->rec->name, core->arena, &rec) < 0)
        rec = &blank; /* known by a job's record only */
    if (!same_record(&host->rec->base, &rec->base))
        complain(check, "host %s is not in the store as it is in memory", host->rec->name);
}

static void same_figures(struct check *check, const char *what, const char *name,
                         const struct figures *is, const struct figures *should)
{
    same_number(check, what, name, is->memory, should->memory);
    same_number(check, what, name, is->vcpus, should->vcpus);
}

static void check_host(struct check *check, struct host *host)
{
    struct core *core = check->core;
    const char *name = host->rec->name;
    const struct load *load = &host->load;
    const struct host_link *link = &host->link;
    struct count f = count_host(core, host);
    const struct session *session;
    const struct instance *s, *mine;
    bool found = link->session == NULL;

    same_number(check, "n_queued", name, host->queue.n, f.queued);
    same_number(check, "n_waiting", name, host->jobs.n_waiting, f.waiting);
    same_number(check, "n_doubt", name, host->jobs.n_doubt, f.doubt);
    same_number(check, "n_sent", name, host->jobs.n_sent, f.sent);
    same_number(check, "n_out", name, load->n_out, f.out);
    same_number(check, "n_in", name, load->n_in, f.in);
    same_number(check, "active", name, load->active, f.active);
    same_figures(check, "used", name, &load->used, &f.used);
    same_figures(check, "promised", name, &load->promised, &f.promised);
    same_number(check, "n_promised", name, load->n_promised, f.n_promised);
    same_figures(check, "arriving", name, &load->arriving, &f.arriving);
    same_figures(check, "supposed", name, &load->supposed, &(struct figures){0});
    same_number(check, "n_supposed", name, load->n_supposed, 0);
    DL_FOREACH (core->sessions.first, session)
        found = found || link->session == session;
    if (!found)
        complain(check, "host %s is served by a session that has ended", name);
    if (link->session == NULL && (link->credit > 0 || link->reachable))
        complain(check, "host %s has no worker, but credit or an answer of it", name);
    DL_FOREACH2 (host->instances, s, h_next) {
        bool listed = false;
        DL_FOREACH2 (s->guest->instances, mine, g_next)
            listed = listed || mine == s;
        if (s->host != host || !listed)
            complain(check, "host %s shows guest %s, which does not know of it", name,
                     s->guest->rec->name);
    }
    check_host_record(check, host);
}

/* ---- guests, batches */

static void check_guest(struct check *check, struct guest *guest)
{
    struct core *core = check->core;
    const struct instance *s;
    RmGuest *rec;

    same_number(check, "active_job", guest->rec->name, guest->rec->active_job,
                guest->job != NULL ? guest->job->id : 0);
    if (guest->promised_to != (guest->job != NULL ? guest->job->destination : NULL))
        complain(check, "guest %s is promised elsewhere than its job goes", guest->rec->name);
    if (guest->job != NULL && guest->job != job_find(core, guest->job->id))
        complain(check, "guest %s has a job that is not live", guest->rec->name);
    DL_FOREACH2 (guest->instances, s, g_next) {
        if (s->guest != guest || instance_at(guest, s->host) != s)
            complain(check, "guest %s is shown twice by %s", guest->rec->name, s->host->rec->name);
    }
    if (!guest->listed && (guest->rec->n_marks > 0 || guest->tidy.id != 0))
        complain(check, "guest %s has marks, and is not listed", guest->rec->name);
    if (!guest->stored)
        return;
    if (record_guest_get(core->store, guest->rec->name, core->arena, &rec) < 0)
        complain(check, "guest %s is not in the store", guest->rec->name);
    else if (!same_record(&guest->rec->base, &rec->base))
        complain(check, "guest %s is not in the store as it is in memory", guest->rec->name);
}

/* Those that another job has tried again count there. */
static uint64_t tried_again(struct core *core, const RmRange *range)
{
    uint64_t n = 0;
    RmResult *result;

    for (uint64_t i = 0; i < range->count; i++)
        n += record_result_get(core->store, range->first + i, core->arena, &result) == 0 &&
                     (result->again != 0 || result->settled)
                 ? 1
                 : 0;
    return n;
}

static void check_batch(struct check *check, const struct batch *batch)
{
    struct core *core = check->core;
    uint64_t counts[STATE_COUNT] = {0}, all = 0, counted = 0, live = 0;
    const struct subscriber *f;
    unsigned n_subscribers = 0;
    RmBatch *rec;

    if (record_batch_get(core->store, batch->id, core->arena, &rec) < 0) {
        complain(check, "batch %" PRIu64 " is not in the store", batch->id);
        return;
    }
    for (const struct job *job = core->jobs.by_id; job != NULL; job = job->hh.next)
        if (job->batch == batch) {
            counts[job->live.state]++;
            live++;
        }
    for (size_t i = 0; i < rec->n_jobs; i++)
        all += rec->jobs[i]->count - tried_again(core, rec->jobs[i]);
    for (size_t i = 0; i < STATE_COUNT; i++) {
        counted += batch->counts[i];
        if (!job_is_final((RmState)i) && batch->counts[i] != counts[i])
            complain(check, "batch %" PRIu64 " counts %" PRIu64 " jobs as %s, there are %" PRIu64,
                     batch->id, batch->counts[i], job_state_name((RmState)i), counts[i]);
    }
    if (counted != all)
        complain(check, "batch %" PRIu64 " counts %" PRIu64 " jobs, it has %" PRIu64, batch->id,
                 counted, all);
    if (batch->live != live)
        complain(check, "batch %" PRIu64 " counts %" PRIu64 " live jobs, there are %" PRIu64,
                 batch->id, batch->live, live);
    DL_FOREACH (core->subscribers.first, f)
        for (size_t i = 0; i < f->n_batches; i++)
            n_subscribers += f->batches[i] == batch->id ? 1 : 0;
    if (batch->n_subscribers != n_subscribers)
        complain(check, "batch %" PRIu64 " has %u subscribers, should have %u", batch->id,
                 batch->n_subscribers, n_subscribers);
    if (live == 0 && n_subscribers == 0 &&
        (!batch->is_idle ||
         batch->idle_since + (usec_t)BATCH_IDLE_SECONDS * USEC_PER_SEC <= core->now))
        complain(check, "batch %" PRIu64 " is held for nobody", batch->id);
}

static void check_followers(struct check *check)
{
    const struct subscriber *f;
    unsigned n = 0;

    DL_FOREACH (check->core->subscribers.first, f)
        n++;
    same_number(check, "number", "subscribers", check->core->subscribers.n, n);
}

static void check_questions(struct check *check)
{
    const struct host_query *query;

    for (const struct host *host = check->core->hosts; host != NULL; host = host->hh.next) {
        unsigned n = 0;
        for (const struct host_ask *ask = check->core->host_queries.asks; ask != NULL;
             ask = ask->hh.next)
            n += ask->host == host && ask->session != 0 ? 1 : 0;
        same_number(check, "n_asked", host->rec->name, host->asks.n_asked, n);
    }
    DL_FOREACH (check->core->host_queries.first, query) {
        unsigned n = 0;
        for (const struct host_ask *ask = check->core->host_queries.asks; ask != NULL;
             ask = ask->hh.next)
            n += ask->query == query ? 1 : 0;
        same_number(check, "open", "a question", query->open, n);
    }
}

int core_check(struct core *core, FILE *complaints)
{
    struct check check = {.core = core, .file = complaints};
    unsigned active = 0, doubt = 0, locked = 0;

    for (struct job *job = core->jobs.by_id; job != NULL; job = job->hh.next) {
        arena_reset(core->arena);
        check_job(&check, job);
        active += job_is_active(job->live.state) ? 1 : 0;
        doubt += job->live.state == RM_STATE__DOUBT ? 1 : 0;
    }
    same_number(&check, "n_active", "the site", core->jobs.n_active, active);
    same_number(&check, "n_doubt", "the site", core->jobs.n_doubt, doubt);
    check_orders(&check);
    for (struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        arena_reset(core->arena);
        check_host(&check, host);
    }
    uint64_t listed = 0, marked = 0;
    for (struct guest *guest = core->guests; guest != NULL; guest = guest->hh.next) {
        arena_reset(core->arena);
        check_guest(&check, guest);
        listed += guest->listed ? 1 : 0;
        locked += guest->rec->locked ? 1 : 0;
    }
    same_number(&check, "n_locked", "the site", core->n_locked, locked);
    for (const struct guest *guest = core->marked; guest != NULL; guest = guest->m_next)
        marked++;
    same_number(&check, "marked", "the site", marked, listed);
    for (const struct batch *batch = core->batches; batch != NULL; batch = batch->hh.next) {
        arena_reset(core->arena);
        check_batch(&check, batch);
    }
    check_followers(&check);
    check_questions(&check);
    arena_reset(core->arena);
    store_rest(core->store);
    return check.n;
}
