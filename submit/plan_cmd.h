/* plan_cmd.h - plans of evacuations: what is going to be moved, in which order and why */
#ifndef SUBMIT_PLAN_CMD_H
#define SUBMIT_PLAN_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* The plan that was answered, by step; on stderr guests that have no place, and the number under which it is
 * kept. EXIT_SOME_FAILED where there are such guests. */
int plan_print(const struct args *args, const RmReply *reply);
/* A plan was not applied: what has changed, on stderr, and the plan that was made instead, if there is one. */
void plan_print_changes(const struct args *args, const RmReply *reply);

/* The command plans. Returns the exit code. */
int plan_list(struct client *client, const struct args *args);

#endif
