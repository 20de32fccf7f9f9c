/* whatif_cmd.h - commands that plan without a broker, from a snapshot of its site */
#ifndef SUBMIT_WHATIF_WHATIF_CMD_H
#define SUBMIT_WHATIF_WHATIF_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* Each returns the exit code. client: NULL with --snapshot. */
int whatif_snapshot(struct client *client, const struct args *args);
int whatif_evacuate(struct client *client, const struct args *args); /* with a broker too */

#endif
