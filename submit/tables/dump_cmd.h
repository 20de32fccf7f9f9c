/* dump_cmd.h - tabdump: a table as CSV or JSON, the list of tables, what their columns mean */
#ifndef SUBMIT_TABLES_DUMP_CMD_H
#define SUBMIT_TABLES_DUMP_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* All return the exit code; errors are printed. */
int table_dump(struct client *client, const struct args *args);

/* A whole table as CSV with its passwords, as tabedit needs it. *ret_csv is to be freed. */
int table_fetch(struct client *client, const char *table, char **ret_csv, size_t *ret_length);

/* The names of all tables; they last as long as the client. */
int table_names(struct client *client, char ***ret_names, size_t *ret_n);

#endif
