/* progress.h - a block of lines on the terminal that shows what runs, redrawn in place
 *
 * Only when stderr is a terminal; otherwise there is no block, and all functions bear NULL. Who
 * prints something else calls progress_clear() before. */
#ifndef SUBMIT_PROGRESS_H
#define SUBMIT_PROGRESS_H

#include "conf/env.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    PROGRESS_STATES = 10,    /* RmState values */
    PROGRESS_NAME_MAX = 24,  /* columns of a name; longer ones are cut */
    PROGRESS_GROUPS_MAX = 4, /* lines for queued jobs, one for each reason */
    PROGRESS_LINES_MAX = 200,
};

struct progress_job {
    uint64_t id;
    const char *guest, *source, *destination, *phase, *text; /* borrowed, never NULL */
    RmState state;
    int percent;    /* -1: not known */
    usec_t elapsed; /* shown where percent is not known; 0 = not known either */
    RmStats stats;  /* zeros: not known */
};

struct progress_style {
    unsigned columns, rows;
    bool utf8, colour;
};

struct progress_sum {
    uint64_t counts[PROGRESS_STATES]; /* jobs by state */
    uint64_t batch;                   /* 0: none, or several */
    usec_t elapsed;
    const char *note; /* at the end, in colour; NULL or "": none */
};

struct progress;
struct progress *progress_new(void); /* NULL: no terminal, or no memory */
void progress_free(struct progress *progress);

void progress_draw(struct progress *progress, const struct progress_job *jobs, size_t n,
                   const struct progress_sum *sum);
void progress_clear(struct progress *progress);
/* Takes the block away and leaves its last line. */
void progress_end(struct progress *progress, const struct progress_sum *sum);

/* Pure, for draw and tests: writes the lines of the block, each at most columns - 1 wide and ended
 * by a newline; returns how many. Puts jobs into the order of the block. widths (NULL is fine) gets
 * the columns that each line takes. */
size_t progress_block(const struct progress_style *style, const struct progress_job *jobs, size_t n,
                      const struct progress_sum *sum, unsigned widths[PROGRESS_LINES_MAX],
                      FILE *file);

#endif
