/* check.c - for tests: every list, counter, promise and index of the core against a recomputation
 * and the store
 *
 * To be called between two turns. What is computed here is computed the slow and plain way, from
 * the jobs and the sightings alone, so that it shares no mistake with the code that keeps the
 * figures up to date. */
#include "broker/state.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum list { LIST_QUEUE, LIST_LEAVING, LIST_COMING };

static unsigned times_in(const struct host *host, const struct job *job, enum list which)
{
    const struct job *one;
    unsigned n = 0;

    if (host == NULL)
        return 0;
    if (which == LIST_QUEUE)
        DL_FOREACH2 (host->queue, one, q_next)
            n += one == job ? 1 : 0;
    else if (which == LIST_LEAVING)
        DL_FOREACH2 (host->leaving, one, s_next)
            n += one == job ? 1 : 0;
    else
        DL_FOREACH2 (host->coming, one, d_next)
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
    unsigned waiting = 0, doubt = 0, recent = 0;

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
    same_number(check, "times in the queue", job->ask->guest,
                times_in(job->source, job, LIST_QUEUE), state == RM_STATE__QUEUED);
    same_number(check, "times in `leaving`", job->ask->guest,
                times_in(job->source, job, LIST_LEAVING), 1);
    same_number(check, "times in `coming`", job->ask->guest,
                times_in(job->destination, job, LIST_COMING), job->destination != NULL);
    DL_FOREACH2 (core->waiting, one, q_next)
        waiting += one == job ? 1 : 0;
    DL_FOREACH2 (core->doubt, one, q_next)
        doubt += one == job ? 1 : 0;
    DL_FOREACH2 (core->recent, one, r_next)
        recent += one == job ? 1 : 0;
    same_number(check, "times in `waiting`", job->ask->guest, waiting, state == RM_STATE__WAITING);
    same_number(check, "times in `doubt`", job->ask->guest, doubt, state == RM_STATE__DOUBT);
    same_number(check, "times in `recent`", job->ask->guest, recent, 1);
    if (job->batch != batch_find(core, job->ask->batch))
        complain(check, "job %" PRIu64 " is in another batch than it was asked in", job->id);
    if (state == RM_STATE__DOUBT && job->settle_at == USEC_NEVER)
        complain(check, "job %" PRIu64 " is in doubt, and nobody will ever look", job->id);
    if ((state == RM_STATE__ASSIGNED || state == RM_STATE__CANCELLING) &&
        (job->order_at == USEC_NEVER || job->order_at < core->order_at))
        complain(check, "job %" PRIu64 " is %s, and nobody will think of it", job->id,
                 job_state_name(state));
    check_job_record(check, job);
}

/* ---- the lists as such */

static void check_orders(struct check *check)
{
    struct core *core = check->core;
    const struct job *job;
    unsigned listed = 0, live = HASH_COUNT(core->jobs);

    DL_FOREACH2 (core->waiting, job, q_next) {
        listed++;
        if (job->q_next != NULL && job->q_next->ready_at < job->ready_at)
            complain(check, "job %" PRIu64 " waits behind one that is ready later",
                     job->q_next->id);
    }
    DL_FOREACH2 (core->doubt, job, q_next)
        listed++;
    for (const struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        DL_FOREACH2 (host->queue, job, q_next) {
            const struct job *next = job->q_next;
            listed++;
            if (next != NULL && (next->ask->priority < job->ask->priority ||
                                 (next->ask->priority == job->ask->priority && next->id < job->id)))
                complain(check, "job %" PRIu64 " is queued behind one that comes later", next->id);
        }
    }
    if (listed > live)
        complain(check, "%u jobs are listed, %u are live", listed, live);
    listed = 0;
    DL_FOREACH2 (core->recent, job, r_next) {
        listed++;
        if (job->r_next != NULL && job->r_next->changed > job->changed)
            complain(check, "job %" PRIu64 " was changed later than the one before it",
                     job->r_next->id);
    }
    same_number(check, "length", "`recent`", listed, live);
    same_number(check, "length", "the table of live jobs", store_count(core->store, STORE_LIVE),
                live);
}

/* ---- hosts */

struct figures {
    unsigned queued, waiting, doubt, out, in, sent, active;
    uint64_t used, promised, arriving;
    unsigned used_vcpus, promised_vcpus, arriving_vcpus, promised_guests;
};

static struct figures count_host(const struct core *core, const struct host *host)
{
    struct figures f = {0};
    const struct sighting *s;

    for (const struct job *job = core->jobs; job != NULL; job = job->hh.next) {
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
            f.promised += job->guest->rec->memory;
            f.promised_vcpus += job->guest->rec->vcpus;
            f.promised_guests++;
            f.arriving += job_is_active(state) ? job->guest->rec->memory : 0;
            f.arriving_vcpus += job_is_active(state) ? job->guest->rec->vcpus : 0;
        }
    }
    DL_FOREACH2 (host->sightings, s, h_next) {
        const struct job *job = s->guest->job;
        f.active += guest_is_active(s->state) ? 1 : 0;
        if ((!guest_is_active(s->state) && s->state != RM_GUEST_STATE__GUEST_INCOMING) ||
            (job != NULL && job->destination == host))
            continue; /* a guest on its way here is counted by the promise */
        f.used += s->memory;
        f.used_vcpus += s->vcpus;
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

static void check_host(struct check *check, struct host *host)
{
    struct core *core = check->core;
    const char *name = host->rec->name;
    struct figures f = count_host(core, host);
    const struct session *session;
    const struct sighting *s, *mine;
    bool found = host->session == NULL;

    same_number(check, "n_queued", name, host->n_queued, f.queued);
    same_number(check, "n_waiting", name, host->n_waiting, f.waiting);
    same_number(check, "n_doubt", name, host->n_doubt, f.doubt);
    same_number(check, "n_out", name, host->n_out, f.out);
    same_number(check, "n_sent", name, host->n_sent, f.sent);
    same_number(check, "n_in", name, host->n_in, f.in);
    same_number(check, "active", name, host->active, f.active);
    same_number(check, "used", name, host->used, f.used);
    same_number(check, "used_vcpus", name, host->used_vcpus, f.used_vcpus);
    same_number(check, "promised", name, host->promised, f.promised);
    same_number(check, "promised_vcpus", name, host->promised_vcpus, f.promised_vcpus);
    same_number(check, "promised_guests", name, host->promised_guests, f.promised_guests);
    same_number(check, "arriving", name, host->arriving, f.arriving);
    same_number(check, "arriving_vcpus", name, host->arriving_vcpus, f.arriving_vcpus);
    DL_FOREACH (core->sessions, session)
        found = found || host->session == session;
    if (!found)
        complain(check, "host %s is served by a session that has ended", name);
    if (host->session == NULL && (host->credit > 0 || host->reachable))
        complain(check, "host %s has no worker, but credit or an answer of it", name);
    DL_FOREACH2 (host->sightings, s, h_next) {
        bool listed = false;
        DL_FOREACH2 (s->guest->sightings, mine, g_next)
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
    const struct sighting *s;
    RmGuest *rec;

    same_number(check, "active_job", guest->rec->name, guest->rec->active_job,
                guest->job != NULL ? guest->job->id : 0);
    if (guest->job != NULL && guest->job != job_find(core, guest->job->id))
        complain(check, "guest %s has a job that is not live", guest->rec->name);
    DL_FOREACH2 (guest->sightings, s, g_next) {
        if (s->guest != guest || sight_at(guest, s->host) != s)
            complain(check, "guest %s is shown twice by %s", guest->rec->name, s->host->rec->name);
    }
    if (!guest->stored)
        return;
    if (record_guest_get(core->store, guest->rec->name, core->arena, &rec) < 0)
        complain(check, "guest %s is not in the store", guest->rec->name);
    else if (!same_record(&guest->rec->base, &rec->base))
        complain(check, "guest %s is not in the store as it is in memory", guest->rec->name);
}

static void check_batch(struct check *check, const struct batch *batch)
{
    uint64_t counts[STATE_STATES] = {0}, all = 0, counted = 0, live = 0;

    for (const struct job *job = check->core->jobs; job != NULL; job = job->hh.next)
        if (job->batch == batch) {
            counts[job->live.state]++;
            live++;
        }
    for (size_t i = 0; i < batch->rec->n_jobs; i++)
        all += batch->rec->jobs[i]->count;
    for (size_t i = 0; i < STATE_STATES; i++) {
        counted += batch->counts[i];
        if (!job_is_final((RmState)i) && batch->counts[i] != counts[i])
            complain(check, "batch %" PRIu64 " counts %" PRIu64 " jobs as %s, there are %" PRIu64,
                     batch->rec->id, batch->counts[i], job_state_name((RmState)i), counts[i]);
    }
    if (counted != all)
        complain(check, "batch %" PRIu64 " counts %" PRIu64 " jobs, it has %" PRIu64,
                 batch->rec->id, counted, all);
    if (batch->live != live)
        complain(check, "batch %" PRIu64 " counts %" PRIu64 " live jobs, there are %" PRIu64,
                 batch->rec->id, batch->live, live);
}

static void check_followers(struct check *check)
{
    const struct follower *f;
    unsigned n = 0;

    DL_FOREACH (check->core->followers, f)
        n++;
    same_number(check, "number", "followers", check->core->n_followers, n);
}

static void check_questions(struct check *check)
{
    const struct question *question;

    for (const struct host *host = check->core->hosts; host != NULL; host = host->hh.next) {
        unsigned n = 0;
        for (const struct ask *ask = check->core->asks; ask != NULL; ask = ask->hh.next)
            n += ask->host == host && ask->session != 0 ? 1 : 0;
        same_number(check, "n_asked", host->rec->name, host->n_asked, n);
    }
    DL_FOREACH (check->core->questions, question) {
        unsigned n = 0;
        for (const struct ask *ask = check->core->asks; ask != NULL; ask = ask->hh.next)
            n += ask->question == question ? 1 : 0;
        same_number(check, "open", "a question", question->open, n);
    }
}

int core_check(struct core *core, FILE *complaints)
{
    struct check check = {.core = core, .file = complaints};
    unsigned active = 0;

    for (struct job *job = core->jobs; job != NULL; job = job->hh.next) {
        arena_reset(core->arena);
        check_job(&check, job);
        active += job_is_active(job->live.state) ? 1 : 0;
    }
    same_number(&check, "n_active", "the site", core->n_active, active);
    check_orders(&check);
    for (struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        arena_reset(core->arena);
        check_host(&check, host);
    }
    for (struct guest *guest = core->guests; guest != NULL; guest = guest->hh.next) {
        arena_reset(core->arena);
        check_guest(&check, guest);
    }
    for (const struct batch *batch = core->batches; batch != NULL; batch = batch->hh.next)
        check_batch(&check, batch);
    check_followers(&check);
    check_questions(&check);
    arena_reset(core->arena);
    store_rest(core->store);
    return check.n;
}
