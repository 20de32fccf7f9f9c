/* table_cmd.h - commands about the site tables, and keygen */
#ifndef SUBMIT_TABLE_CMD_H
#define SUBMIT_TABLE_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* Each returns the exit code. */
int table_dump(struct client *client, const struct args *args);
int table_restore_file(struct client *client, const struct args *args);
int table_reconcile(struct client *client, const struct args *args);
int table_keygen(struct client *client, const struct args *args);
int table_version(struct client *client, const struct args *args);

#endif
