/* admin_cmd.h - reconcile, keygen, version */
#ifndef SUBMIT_ADMIN_CMD_H
#define SUBMIT_ADMIN_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* Each returns the exit code. */
int admin_reconcile(struct client *client, const struct args *args);
int admin_keygen(struct client *client, const struct args *args);
int admin_version(struct client *client, const struct args *args);

#endif
