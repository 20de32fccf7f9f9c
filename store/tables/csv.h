/* csv.h - comma separated rows as xCAT's tabdump writes and tabrestore reads them
 *
 * Writing: every defined value is quoted, " doubled, an undefined one is nothing between the
 * commas; newlines in values are kept. Reading: a header line that begins with #, then records. A
 * field is empty, or unquoted text without ", or quoted text that may hold commas and newlines;
 * what stands between quotes is kept byte for byte but for a CR before a newline, what follows the
 * last field of a line (blanks, CR) is dropped. Lines with nothing but blanks are skipped, and so
 * is a byte order mark. A record may have fewer fields than the header, but not more.
 *
 * A value must be what a message between our programs can carry, or it would come back changed:
 * UTF-8 without control characters but newline and tab. Errors name line and column, both from 1,
 * the column in characters; an unterminated quote names where it was opened. Takes linear time and
 * memory. */
#ifndef STORE_TABLES_CSV_H
#define STORE_TABLES_CSV_H

#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum {
    CSV_FIELDS_MAX = 256,        /* of one record */
    CSV_FIELD_MAX = 1024 * 1024, /* bytes of one value */
};

struct csv_field {
    const char *text; /* NUL-terminated, in the reader's buffer; valid until csv_free() */
    bool set;         /* false: nothing stood between the commas, text is "" */
    unsigned line;    /* where it begins, from 1 */
    unsigned column;  /* character in that line, from 1 */
};

struct csv;

/* Takes a copy of the text. */
struct csv *csv_new(const char *text, size_t length);
void csv_free(struct csv *csv);

/* The header's column names, once, before the first record. The array is valid until csv_next().
 * 0 or -EINVAL. */
int csv_header(struct csv *csv, const struct csv_field **ret_fields, size_t *ret_n,
               struct rm_err *err);

/* The next record: 1 when there is one, 0 at the end, -EINVAL. *ret_line: where it begins. The
 * array is valid until the next call. */
int csv_next(struct csv *csv, const struct csv_field **ret_fields, size_t *ret_n,
             unsigned *ret_line, struct rm_err *err);

/* Writes one value as tabdump does: value NULL = undefined; first: no comma before it. The caller
 * ends the line. */
void csv_write(FILE *file, const char *value, bool first);

#endif
