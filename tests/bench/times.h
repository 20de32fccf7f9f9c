/* times.h - how long migrations take and in which order they are begun, over public instances
 *
 * Figures are printed, nothing is asserted. */
#ifndef TESTS_BENCH_TIMES_H
#define TESTS_BENCH_TIMES_H

#include <stdint.h>

/* DIR/mvm (of btrplace/kherbache-thesis, accuracy): plans/random.N.json, and runs/R/random.N.csv, how they
 * really went. Errors of times learned on one run and tested on another, and the makespan of the same moves
 * against the bound and what was done. looks: that each timeline may take. */
void times_measured(const char *dir, uint64_t looks);
/* DIR/scale/SET/N.json.gz (same, scale): many moves in a tree of links. The makespan against the bound. */
void times_linked(const char *dir, uint64_t looks);

#endif
