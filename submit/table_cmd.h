/* table_cmd.h - commands about the site tables, keygen, version */
#ifndef SUBMIT_TABLE_CMD_H
#define SUBMIT_TABLE_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* Each returns the exit code. */
int table_reconcile(struct client *client, const struct args *args);
int table_keygen(struct client *client, const struct args *args);
int table_version(struct client *client, const struct args *args);

/* ---- dump_cmd.c */
int table_dump(struct client *client, const struct args *args);

/* A whole table as CSV with its passwords, as tabedit needs it. */
int table_fetch(struct client *client, const char *table, char **ret_csv, size_t *ret_length);

/* The names of all tables, in the arena. */
int table_names(struct client *client, struct arena *arena, char ***ret_names, size_t *ret_n);

/* ---- restore_cmd.c */
int table_restore_files(struct client *client, const struct args *args);
int table_edit(struct client *client, const struct args *args);

/* ---- node_cmd.c */
int table_nodels(struct client *client, const struct args *args);
int table_gettab(struct client *client, const struct args *args);
int table_chtab(struct client *client, const struct args *args);
int table_nodech(struct client *client, const struct args *args);

#endif
