/* outcome.h - what became of each guest, host or job that a request named */
#ifndef SUBMIT_OUTCOME_H
#define SUBMIT_OUTCOME_H

#include "submit/args.h"
#include "submit/client.h"
#include "submit/listing.h"

/* One (RmOutcome) in JSON: the same in every answer. */
extern const struct column outcome_columns[];

/* As lines, or as JSON. EXIT_SOME_FAILED when one is not well. */
int outcome_print(const struct args *args, const RmReply *reply);

/* Asks for a change and prints its outcomes; the broker may hold its answer back for hold_for. none:
 * what to note when there was nothing to change; NULL: nothing. Returns the exit code. */
int outcome_ask(struct client *client, const struct args *args, RmRequest *request,
                uint64_t hold_for, const char *none);

#endif
