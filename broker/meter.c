/* meter.c - what the broker counts for who watches it */
#include "broker/meter.h"

#include "conf/array.h"

/* In microseconds. */
#define MSEC UINT64_C(1000)
#define SEC  (1000 * MSEC)
#define MIN  (60 * SEC)
#define HOUR (60 * MIN)
/* In bytes. */
#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)
#define TIB (UINT64_C(1) << 40)

/* The bounds of each histogram, rising; 0 ends them. Whoever compares two brokers, or this one with an older
 * one, needs the same: a new bound may come between two, one that is here stays. */
static const uint64_t bounds[METER_MEASURES][METER_BUCKETS] = {
    [RM_MEASURE__MEASURE_MIGRATION] = {100 * MSEC, 300 * MSEC, SEC, 3 * SEC, 10 * SEC, 30 * SEC,
                                       MIN, 2 * MIN, 5 * MIN, 10 * MIN, 30 * MIN, HOUR, 3 * HOUR},
    [RM_MEASURE__MEASURE_DOWNTIME] = {MSEC, 3 * MSEC, 10 * MSEC, 30 * MSEC, 100 * MSEC, 300 * MSEC,
                                      SEC, 3 * SEC, 10 * SEC, 30 * SEC, MIN},
    [RM_MEASURE__MEASURE_BYTES] = {MIB, 16 * MIB, 64 * MIB, 256 * MIB, GIB, 4 * GIB, 16 * GIB,
                                   64 * GIB, 256 * GIB, TIB, 4 * TIB},
    [RM_MEASURE__MEASURE_WAIT] = {MSEC, 10 * MSEC, 100 * MSEC, SEC, 10 * SEC, MIN, 5 * MIN,
                                  15 * MIN, HOUR, 3 * HOUR, 12 * HOUR, 24 * HOUR},
    [RM_MEASURE__MEASURE_COMMIT] = {MSEC / 10, 3 * MSEC / 10, MSEC, 3 * MSEC, 10 * MSEC, 30 * MSEC,
                                    100 * MSEC, 300 * MSEC, SEC, 3 * SEC, 10 * SEC},
    [RM_MEASURE__MEASURE_TURN] = {MSEC / 10, 3 * MSEC / 10, MSEC, 3 * MSEC, 10 * MSEC, 30 * MSEC,
                                  100 * MSEC, 300 * MSEC, SEC, 3 * SEC, 10 * SEC},
};

void meter_count(struct meter *meter, enum meter_count what)
{
    meter->counts[what]++;
}

void meter_observe(struct meter *meter, RmMeasure measure, uint64_t value)
{
    struct meter_histogram *histogram = &meter->histograms[measure];
    const uint64_t *bound = bounds[measure];

    while (*bound != 0 && *bound < value)
        bound++;
    histogram->counts[bound - bounds[measure]]++;
    /* Workers report some of the values: a sum must not wrap round. */
    histogram->sum = value < UINT64_MAX - histogram->sum ? histogram->sum + value : UINT64_MAX;
}

static RmHistogram *show(const struct meter *meter, struct arena *arena, RmMeasure measure)
{
    const struct meter_histogram *histogram = &meter->histograms[measure];
    RmHistogram *view = must(arena_alloc(arena, sizeof(*view)));

    rm_histogram__init(view);
    view->measure = measure;
    view->bounds = (uint64_t *)bounds[measure];
    while (bounds[measure][view->n_bounds] != 0)
        view->n_bounds++;
    view->counts = (uint64_t *)histogram->counts;
    view->n_counts = view->n_bounds + 1;
    view->sum = histogram->sum;
    return view;
}

void meter_show(const struct meter *meter, struct arena *arena, RmMetrics *metrics)
{
    const uint64_t *counts = meter->counts;

    metrics->jobs_submitted = counts[METER_SUBMITTED];
    metrics->jobs_done = counts[METER_DONE];
    metrics->jobs_failed = counts[METER_FAILED];
    metrics->jobs_cancelled = counts[METER_CANCELLED];
    metrics->jobs_retried = counts[METER_RETRIED];
    metrics->jobs_lost = counts[METER_LOST];
    metrics->requests = counts[METER_REQUESTS];
    metrics->denied = counts[METER_DENIED];
    metrics->bytes_moved = meter->histograms[RM_MEASURE__MEASURE_BYTES].sum;
    metrics->histograms = must(arena_alloc(arena, METER_MEASURES * sizeof(metrics->histograms[0])));
    for (int i = RM_MEASURE__NO_MEASURE + 1; i < METER_MEASURES; i++)
        metrics->histograms[metrics->n_histograms++] = show(meter, arena, (RmMeasure)i);
}
