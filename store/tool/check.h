/* check.h - is everything in the store what it should be? */
#ifndef STORE_TOOL_CHECK_H
#define STORE_TOOL_CHECK_H

#include "store/store.h"

#include <stdio.h>

/* Decodes every record and holds them against one another: a job is live or has a result, not both;
 * what is live locks its guest, and only that; the events of a job have no gaps; every token has
 * its age; every row is found by its key; ids are below the counter. Sees an open transaction.
 * Writes a line for each complaint (complaints may be NULL) and returns their number; an engine
 * that cannot be read is one. Takes time in proportion to the store. */
int store_check(struct store *store, FILE *complaints);

#endif
