/* meter.h - what the broker counts for who watches it: how often something has happened, and how long it took
 *
 * Each kind is counted in one place, where the thing happens: by the verb of the job, in the turn, where
 * somebody is refused. Counts and histograms begin at 0 with struct core, are in memory alone, and decide
 * nothing. What there is now (live jobs, guests, sessions) is not counted here: its owners know.
 *
 * Pure: no clock, no I/O. */
#ifndef BROKER_METER_H
#define BROKER_METER_H

#include "wire/msg.h"

#include <stdint.h>

enum meter_count {
    METER_SUBMITTED, /* jobs */
    METER_DONE,
    METER_FAILED,
    METER_CANCELLED,
    METER_RETRIED, /* tries that did not work, when the next one begins */
    METER_LOST,    /* tries whose worker was lost */
    METER_REQUESTS,
    METER_DENIED,
    METER_COUNTS /* how many there are */
};

enum {
    METER_MEASURES = 7, /* RmMeasure values */
    METER_BUCKETS = 16, /* of one histogram at most */
};

/* Written by meter.c only. */
struct meter_histogram {
    uint64_t counts[METER_BUCKETS]; /* the last in use: beyond all bounds */
    uint64_t sum;                   /* UINT64_MAX: at least that */
};

/* Written by meter.c only. */
struct meter {
    uint64_t counts[METER_COUNTS];
    struct meter_histogram histograms[METER_MEASURES]; /* by RmMeasure */
};

void meter_count(struct meter *meter, enum meter_count what);
/* A value belongs to the first bucket whose bound it does not exceed. */
void meter_observe(struct meter *meter, RmMeasure measure, uint64_t value);

/* Fills in what is counted here. What it points to is the arena's, or borrowed until the meter counts on. */
void meter_show(const struct meter *meter, struct arena *arena, RmMetrics *metrics);

#endif
