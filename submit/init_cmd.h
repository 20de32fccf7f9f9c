/* init_cmd.h - rmigrate init: the settings and keys of a site, in one go */
#ifndef SUBMIT_INIT_CMD_H
#define SUBMIT_INIT_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* client is not used. Returns the exit code. */
int init_run(struct client *client, const struct args *args);

#endif
