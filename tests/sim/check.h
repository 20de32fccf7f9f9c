/* check.h - does the broker's memory agree with itself and with the store? */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "broker/model.h"

#include <stdio.h>

/* Between two turns. Every index and figure against the records; returns the number of complaints,
 * written to file (NULL: nowhere). */
int core_check(struct core *core, FILE *complaints);

#endif
