/* learned.c - how long migrations took, and so how long they are expected to take */
#include "broker/learned.h"

#include "store/record.h"

struct one {
    struct estimate_past past;
    uint64_t at, job; /* when it ended */
};

/* Written by learned.c only. */
struct learned {
    struct one ring[LEARNED_MAX];
    size_t n, next;
    struct estimator *estimator; /* NULL: something was learned since it was made */
};

struct learned *learned_new(void)
{
    return must(calloc(1, sizeof(struct learned)));
}

void learned_free(struct learned *learned)
{
    if (!learned)
        return;
    estimator_free(learned->estimator);
    free(learned);
}

/* Names as numbers: FNV-1a. Two names with one number would only share their figures. */
static uint64_t number_of(const char *name)
{
    uint64_t sum = 0xcbf29ce484222325u;

    for (; *name != '\0'; name++)
        sum = (sum ^ (unsigned char)*name) * 0x100000001b3u;
    return sum;
}

static struct estimate_ask ask_of(const struct core *core, const char *guest, uint64_t memory,
                                  const char *from, const char *to, uint64_t bandwidth)
{
    return (struct estimate_ask){
        .guest = number_of(guest),
        .from = number_of(from),
        .to = number_of(to),
        .memory = memory,
        .speed = bandwidth > 0 ? bandwidth : core->conf->migration.bandwidth,
    };
}

/* What the job's end teaches. False: nothing. */
static bool read_past(struct core *core, const RmJob *job, const RmResult *result,
                      struct estimate_past *ret)
{
    const RmStats *stats = result->stats;
    const struct guest *guest = guest_find(core, job->guest);
    uint64_t memory = stats ? stats->total : 0;

    if (result->state != RM_STATE__DONE || result->already || result->started_at == 0 ||
        result->finished_at <= result->started_at)
        return false;
    if (memory == 0 && guest)
        memory = guest->rec->memory;
    *ret = (struct estimate_past){
        .as = ask_of(core, job->guest, memory, result->source, result->destination,
                     job->options ? job->options->bandwidth : 0),
        .took = result->finished_at - result->started_at,
    };
    if (stats) {
        bool last = stats->remaining == 0; /* or what was heard of it before its worker was lost */
        ret->took = last && stats->elapsed_for > 0 ? stats->elapsed_for : ret->took;
        ret->sent = stats->processed + stats->remaining;
        ret->as.dirty = stats->dirty_rate;
        ret->pause = stats->measured_downtime ? stats->downtime_for : 0;
    }
    return true;
}

static void add(struct learned *learned, const struct one *one)
{
    learned->ring[learned->next] = *one;
    learned->next = (learned->next + 1) % LEARNED_MAX;
    learned->n += learned->n < LEARNED_MAX;
    estimator_free(learned->estimator);
    learned->estimator = NULL;
}

void learned_add(struct core *core, const RmJob *job, const RmResult *result)
{
    struct one one = {.at = result->finished_at, .job = result->id};

    if (read_past(core, job, result, &one.past))
        add(core->learned, &one);
}

/* ---- from the store */

struct reading {
    RmResult **results; /* owned, with copies of the records */
    size_t n, looks;
};

static int add_old(void *ctx, const ProtobufCMessage *record)
{
    struct reading *reading = ctx;
    const RmResult *result = (const RmResult *)record;

    if (result->state == RM_STATE__DONE && !result->already)
        reading->results[reading->n++] = must(msg_copy(NULL, record));
    return reading->n == LEARNED_MAX || ++reading->looks == LEARNED_LOOKS;
}

void learned_restore(struct core *core)
{
    struct reading reading = {.results = must(calloc(LEARNED_MAX, sizeof(RmResult *)))};

    /* Without them expectations are wider, and nothing else is lost. */
    int r = record_walk_ids(core->store, STORE_RESULT, 0, UINT64_MAX, /* down = */ true, add_old,
                            &reading);
    if (r < 0)
        core_note(core, LOG_LEVEL_WARN, "cannot read how long migrations took: %s", strerror(-r));
    for (size_t i = reading.n; i-- > 0;) { /* the oldest first */
        RmJob *job;
        if (record_job_get(core->store, reading.results[i]->id, core->arena, &job) >= 0)
            learned_add(core, job, reading.results[i]);
        rm_result__free_unpacked(reading.results[i], NULL);
        arena_reset(core->arena);
    }
    free(reading.results);
}

/* ---- what is expected */

/* Of those that ended in one turn, too, always the same order. */
static int by_end(const void *a, const void *b)
{
    const struct one *x = a, *y = b;

    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->job < y->job ? -1 : x->job > y->job;
}

static struct estimator *make(const struct learned *learned)
{
    struct one *order = must(calloc(learned->n + 1, sizeof(*order)));
    struct estimate_past *past = must(calloc(learned->n + 1, sizeof(*past)));

    memcpy(order, learned->ring, learned->n * sizeof(*order));
    qsort(order, learned->n, sizeof(*order), by_end);
    for (size_t i = 0; i < learned->n; i++)
        past[i] = order[i].past;
    struct estimator *estimator = estimator_new(past, learned->n);
    free(past);
    free(order);
    return estimator;
}

struct estimate learned_of(struct core *core, const struct guest *guest, const char *from,
                           const char *to, uint64_t bandwidth)
{
    struct learned *learned = core->learned;
    struct estimate_ask ask =
        ask_of(core, guest->rec->name, guest->rec->memory, from, to, bandwidth);

    if (!learned->estimator)
        learned->estimator = make(learned);
    return estimator_ask(learned->estimator, &ask);
}
