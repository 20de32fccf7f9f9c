/* figures.c - what is measured, and how it is printed */
#include "tests/bench/figures.h"

#include <stdio.h>
#include <stdlib.h>

void *must_grow(void *memory, size_t size)
{
    memory = realloc(memory, size);
    if (!memory) {
        fprintf(stderr, "bench: no memory\n");
        exit(1);
    }
    return memory;
}

void series_add(struct series *series, usec_t span)
{
    if (series->n == series->size) {
        series->size = series->size == 0 ? 1024 : 2 * series->size;
        series->values = must_grow(series->values, series->size * sizeof(*series->values));
    }
    series->values[series->n++] = span < UINT32_MAX ? (uint32_t)span : UINT32_MAX;
}

static int compare(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

uint32_t series_at(struct series *series, double part)
{
    if (series->n == 0)
        return 0;
    qsort(series->values, series->n, sizeof(*series->values), compare);
    return series->values[(size_t)(part * (double)(series->n - 1))];
}

void show(const char *what, double value, const char *unit)
{
    printf("%-44s %12.*f %s\n", what, value >= 1000 || value == (double)(long)value ? 0 : 3, value,
           unit);
    fflush(stdout);
}

void show_series(const char *what, struct series *series)
{
    static const struct {
        const char *name;
        double part;
    } parts[] = {{"median", 0.5}, {"99th percentile", 0.99}, {"longest", 1}};

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && series->n > 0; i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s, %s", what, parts[i].name);
        show(text, series_at(series, parts[i].part) / 1000.0, "ms");
    }
}
