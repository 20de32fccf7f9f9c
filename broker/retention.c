/* retention.c - what has ended is kept for a time and up to a number, then forgotten */
#include "broker/retention.h"

#include "broker/batch.h"
#include "broker/guest.h"
#include "broker/host.h"
#include "broker/model.h"
#include "broker/planned.h"
#include "conf/array.h"
#include "store/record.h"

#include <errno.h>

enum {
    LOOK_MOST = 1024,       /* records that one turn looks at of each kind */
    NEXT_STEP_MSEC = 20,    /* while there is more to forget */
    NEXT_LOOK_SEC = 60,     /* when there is not */
    CLOCK_JUMP_SEC = 60,    /* a clock that differs more from the time that has passed was set */
    CLOCK_TRUST_SEC = 3600, /* it stands so long, or for keep, before anything is old by it */
    FORGET_PAGES = 8,       /* of the store, free for each job of a turn: to delete is to write */
};

/* One turn's look at one kind of records. */
struct pass {
    usec_t before; /* what ended before that is old; 0: nothing is */
    uint64_t over; /* jobs that are too many */
    unsigned step; /* records of each kind that go at most */
    uint64_t ids[LOOK_MOST];
    size_t n;
    uint64_t first_kept; /* batches: id of the oldest job that has ended and is kept */
    uint64_t batch;      /* the last one that was looked at, and whether it is needed */
    bool batch_needed;
};

/* ---- what is still needed */

static bool evacuation_has(const struct core *core, uint64_t batch)
{
    for (const struct host *host = core->hosts; host; host = host->hh.next) {
        const RmEmptying *emptying = host->rec->emptying;
        if (emptying && emptying->of == batch)
            return true;
        for (size_t i = 0; emptying && i < emptying->n_batches; i++)
            if (emptying->batches[i] == batch || emptying->firsts[i] == batch)
                return true;
    }
    return false;
}

/* The batch, or one that tries its jobs again: whoever waits for the first hears of all. */
static bool is_needed(struct core *core, struct pass *pass, uint64_t batch)
{
    if (batch == pass->batch)
        return pass->batch_needed;
    size_t n;
    uint64_t *all = batch_all(core, batch, &n);
    pass->batch = batch;
    pass->batch_needed = false;
    for (size_t i = 0; i < n && !pass->batch_needed; i++)
        pass->batch_needed = batch_find(core, all[i]) || evacuation_has(core, all[i]);
    free(all);
    return pass->batch_needed;
}

/* ---- jobs */

static int old_result(void *ctx, const ProtobufCMessage *record)
{
    struct pass *pass = ctx;
    const RmResult *result = (const RmResult *)record;

    if (pass->n == LOOK_MOST || (result->finished_at >= pass->before && pass->n >= pass->over))
        return 1;
    pass->ids[pass->n++] = result->id;
    return 0;
}

/* Whether it is forgotten. */
static bool forget_job(struct core *core, struct pass *pass, uint64_t id)
{
    struct guest *guest = NULL;
    RmJob *job;

    if (record_job_get(core->store, id, core->arena, &job) >= 0) {
        if (is_needed(core, pass, job->batch))
            return false;
        guest = guest_find(core, job->guest);
    }
    if (guest && guest->rec->last_job == id)
        guest_forget_jobs(core, guest);
    core_check_write(core, record_job_delete(core->store, id), "job");
    return true;
}

/* True: there is more. */
static bool forget_jobs(struct core *core, struct pass *pass)
{
    unsigned gone = 0;
    size_t i = 0;

    pass->n = 0;
    core_check_write(core,
                     record_walk_ids(core->store, STORE_RESULT, core->retention.next_job,
                                     UINT64_MAX, /* down = */ false, old_result, pass),
                     "result");
    for (; i < pass->n && gone < pass->step; i++) {
        bool forgotten = forget_job(core, pass, pass->ids[i]);
        gone += forgotten;
        core->retention.n_kept += !forgotten;
        core->retention.next_job = pass->ids[i] + 1;
        arena_reset(core->arena);
    }
    if (i < pass->n || pass->n == LOOK_MOST)
        return true;
    core->retention.next_job = core->retention.n_kept = 0;
    return false;
}

/* ---- batches */

static int first_id(void *ctx, const ProtobufCMessage *record)
{
    *(uint64_t *)ctx = ((const RmResult *)record)->id;
    return 1;
}

static int first_job_id(void *ctx, const ProtobufCMessage *record)
{
    *(uint64_t *)ctx = ((const RmJob *)record)->id;
    return 1;
}

static int old_batch(void *ctx, const ProtobufCMessage *record)
{
    struct pass *pass = ctx;
    const RmBatch *batch = (const RmBatch *)record;

    if (pass->n == LOOK_MOST ||
        (batch->submitted_at >= pass->before && batch->id > pass->first_kept))
        return 1;
    pass->ids[pass->n++] = batch->id;
    return 0;
}

static bool has_job(struct core *core, const RmBatch *batch)
{
    uint64_t id = 0;

    for (size_t i = 0; i < batch->n_jobs && id == 0; i++) {
        const RmRange *range = batch->jobs[i];
        core_check_write(core,
                         record_walk_ids(core->store, STORE_JOB, range->first,
                                         range->first + range->count - 1, /* down = */ false,
                                         first_job_id, &id),
                         "job");
    }
    return id != 0;
}

static bool forget_batch(struct core *core, struct pass *pass, uint64_t id)
{
    RmBatch *batch;

    if (record_batch_get(core->store, id, core->arena, &batch) < 0 || is_needed(core, pass, id) ||
        has_job(core, batch))
        return false;
    core_check_write(core, record_batch_delete(core->store, id), "batch");
    return true;
}

static bool forget_batches(struct core *core, struct pass *pass)
{
    unsigned gone = 0;
    size_t i = 0;

    pass->n = 0;
    pass->first_kept = 0;
    core_check_write(core,
                     record_walk_ids(core->store, STORE_RESULT, 0, UINT64_MAX, /* down = */ false,
                                     first_id, &pass->first_kept),
                     "result");
    core_check_write(core,
                     record_walk_ids(core->store, STORE_BATCH, core->retention.next_batch,
                                     UINT64_MAX, /* down = */ false, old_batch, pass),
                     "batch");
    for (; i < pass->n && gone < pass->step; i++) {
        gone += forget_batch(core, pass, pass->ids[i]);
        core->retention.next_batch = pass->ids[i] + 1;
        arena_reset(core->arena);
    }
    if (i < pass->n || pass->n == LOOK_MOST)
        return true;
    core->retention.next_batch = 0;
    return false;
}

/* ---- events that concern no job */

static bool forget_events(struct core *core, const struct pass *pass)
{
    uint64_t most = core->conf->keep_jobs > 0 ? core->conf->keep_jobs : UINT64_MAX;
    int r = record_site_event_trim(core->store, pass->before, most, pass->step);

    core_check_write(core, r, "event");
    return r == (int)pass->step;
}

/* ---- plans */

static int old_plan(void *ctx, const ProtobufCMessage *record)
{
    struct pass *pass = ctx;
    const RmPlan *plan = (const RmPlan *)record;

    if (pass->n == pass->step || plan->made_at >= pass->before)
        return 1;
    pass->ids[pass->n++] = plan->id;
    return 0;
}

/* Their number has a bound of its own (planned.h), so that a turn may look at all. */
static void forget_plans(struct core *core, struct pass *pass)
{
    pass->n = 0;
    core_check_write(
        core,
        record_walk_ids(core->store, STORE_PLAN, 0, UINT64_MAX, /* down = */ false, old_plan, pass),
        "plan");
    for (size_t i = 0; i < pass->n; i++)
        core_check_write(core, record_plan_delete(core->store, pass->ids[i]), "plan");
}

/* ---- the clock */

static void believe(struct core *core)
{
    core->retention.began_at = core->now;
    core->retention.began_wall = core->wall;
}

/* A clock that is years ahead, as after a start without a battery, must not take the history with it: when
 * it is set right again, nothing was old by it. */
static void distrust(struct core *core)
{
    const usec_t trust = (usec_t)CLOCK_TRUST_SEC * USEC_PER_SEC, keep = core->conf->keep;

    core->retention.by_age_at = core->now + (keep > 0 && keep < trust ? keep : trust);
    believe(core);
}

/* Has it stood long enough? */
static bool is_trusted(struct core *core)
{
    const struct retention *r = &core->retention;
    const usec_t jump = (usec_t)CLOCK_JUMP_SEC * USEC_PER_SEC;
    usec_t expected = r->began_wall + (core->now - r->began_at);

    if (core->wall > expected + jump)
        distrust(core);
    else if (core->wall + jump < expected)
        believe(core);
    return core->now >= r->by_age_at;
}

/* What ended before that is old; 0: nothing is. */
static usec_t old_before(const struct core *core, bool trusted, usec_t keep)
{
    return keep > 0 && trusted && core->wall > keep ? core->wall - keep : 0;
}

/* ---- turns */

/* A job's records, its guest's and the lists of what is free are on pages that are written anew. What that
 * takes is free again in the next turns, so a store that is nearly full is emptied in small steps. */
static unsigned step_of(struct core *core)
{
    struct store_usage usage;

    if (store_usage(core->store, &usage) < 0 || usage.used >= usage.size)
        return 0;
    uint64_t most = (usage.size - usage.used) / (FORGET_PAGES * STORE_PAGE);
    return most < RETENTION_STEP ? (unsigned)most : RETENTION_STEP;
}

void retention_begin(struct core *core)
{
    core->retention.next_at = core->now + core->conf->session_timeout;
    distrust(core);
}

void retention_go_on(struct core *core, const struct retention *before)
{
    core->retention.began_at = before->began_at;
    core->retention.began_wall = before->began_wall;
    core->retention.by_age_at = before->by_age_at;
}

void retention_again(struct core *core)
{
    usec_t keep = core->conf->keep;

    if (keep > 0 && core->retention.by_age_at > core->now + keep)
        core->retention.by_age_at = core->now + keep;
}

void retention_tick(struct core *core)
{
    const struct conf_broker *conf = core->conf;
    bool more = false;

    if (core->retention.next_at > core->now)
        return;
    unsigned step = step_of(core);
    bool trusted = is_trusted(core);
    struct pass *pass = must(calloc(1, sizeof(*pass)));
    pass->step = step;
    pass->before = old_before(core, trusted, (usec_t)PLAN_KEPT_DAYS * 24 * 3600 * USEC_PER_SEC);
    if (step > 0)
        forget_plans(core, pass);
    if (step > 0 && (conf->keep > 0 || conf->keep_jobs > 0)) {
        uint64_t n = store_count(core->store, STORE_RESULT) - core->retention.n_kept;
        pass->before = old_before(core, trusted, conf->keep);
        pass->over = conf->keep_jobs > 0 && n > conf->keep_jobs ? n - conf->keep_jobs : 0;
        more = forget_jobs(core, pass);
        more = forget_batches(core, pass) || more;
        more = forget_events(core, pass) || more;
    }
    free(pass);
    core->retention.next_at =
        core->now + (more ? NEXT_STEP_MSEC * USEC_PER_MSEC : NEXT_LOOK_SEC * USEC_PER_SEC);
}

usec_t retention_deadline(const struct core *core)
{
    return core->retention.next_at;
}
