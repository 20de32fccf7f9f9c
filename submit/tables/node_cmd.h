/* node_cmd.h - nodels, gettab, chtab, nodech: attributes of nodes and single rows */
#ifndef SUBMIT_TABLES_NODE_CMD_H
#define SUBMIT_TABLES_NODE_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* Each returns the exit code. */
int table_nodels(struct client *client, const struct args *args);
int table_gettab(struct client *client, const struct args *args);
int table_chtab(struct client *client, const struct args *args);
int table_nodech(struct client *client, const struct args *args);

#endif
