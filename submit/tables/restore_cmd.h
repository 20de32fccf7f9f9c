/* restore_cmd.h - tabrestore: tables from CSV files or a directory of them; tabedit: a table in an
 * editor */
#ifndef SUBMIT_TABLES_RESTORE_CMD_H
#define SUBMIT_TABLES_RESTORE_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* Each returns the exit code. */
int table_restore_files(struct client *client, const struct args *args);
int table_edit(struct client *client, const struct args *args);

#endif
