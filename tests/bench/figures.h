/* figures.h - what is measured, and how it is printed: one figure a line */
#ifndef TESTS_BENCH_FIGURES_H
#define TESTS_BENCH_FIGURES_H

#include "conf/env.h"

#include <stddef.h>
#include <stdint.h>

/* Microseconds. */
struct series {
    uint32_t *values;
    size_t n, size;
};

void series_add(struct series *series, usec_t span);
uint32_t series_at(struct series *series,
                   double part); /* 0.5: the median; 0 where it is empty; sorts it */

void show(const char *what, double value, const char *unit);
void show_series(
    const char *what,
    struct series *series); /* median, 99th percentile, longest; nothing where it is empty */

/* Ends the program where there is no memory. */
void *must_grow(void *memory, size_t size);

#endif
