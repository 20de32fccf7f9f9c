/* top_cmd.h - rmigrate top: the whole screen, until q */
#ifndef SUBMIT_TOP_TOP_CMD_H
#define SUBMIT_TOP_TOP_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* Returns the exit code. */
int top_run(struct client *client, const struct args *args);

#endif
