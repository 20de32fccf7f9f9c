/* ledger_file.h - the ledger on disk: one file, replaced as a whole
 *
 * The directory belongs to one rmigrate-watch at a time. What was told and not yet written when the program is killed is
 * told again; nothing is lost. */
#ifndef SUBMIT_WATCH_LEDGER_FILE_H
#define SUBMIT_WATCH_LEDGER_FILE_H

#include "conf/err.h"
#include "submit/watch/ledger.h"

struct ledger_file;

/* Takes the directory and reads the ledger, which is new where there is no file. A damaged one is set aside as
 * `ledger.damaged`, which is logged, and everything begins anew. */
int ledger_file_open(const char *directory, struct ledger *ledger, struct ledger_file **ret_file,
                     struct rm_err *err);
void ledger_file_close(struct ledger_file *file); /* NULL is fine */

/* On disk when it returns. */
int ledger_file_write(struct ledger_file *file, const struct ledger *ledger, struct rm_err *err);

#endif
