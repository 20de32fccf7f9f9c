/* dump.h - records as text for people */
#ifndef STORE_TOOL_DUMP_H
#define STORE_TOOL_DUMP_H

#include "store/store.h"

#include <stdio.h>

/* Every record of a table: "table key", then a line for each field that is set, "  field: value",
 * then an empty line. Control characters are escaped, times are shown as local time too, console
 * passwords are not shown. A damaged record is shown as its bytes. 0 or a negative errno. */
int dump_table(struct store *store, enum store_table table, FILE *file);

/* A site table as CSV. Both read in pieces, and hold no view of the store while a piece is written: who reads
 * what comes out may sleep, and the broker's store does not grow meanwhile. So what is changed meanwhile is in
 * it or not; for one moment's state dump a backup. */
struct table;
int dump_site_table(struct store *store, const struct table *table, FILE *file);

/* A key as text: "1042", "1042 3" for an event, a name, "vm 17" for a row. The buffer is returned.
 */
enum { DUMP_KEY_MAX = 2 * STORE_KEY_MAX + 64 };
const char *dump_key(enum store_table table, const void *key, size_t length,
                     char buffer[static DUMP_KEY_MAX]);

#endif
