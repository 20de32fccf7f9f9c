/* table_text.h - what the site tables and their columns mean, for tabdump -d */
#ifndef SUBMIT_TABLES_TABLE_TEXT_H
#define SUBMIT_TABLES_TABLE_TEXT_H

#include <stddef.h>

struct column_text {
    const char *name; /* NULL ends a list */
    const char *text;
};

struct table_text {
    const char *name;
    const char *text;
    const struct column_text *columns; /* in the order of the CSV */
};

const struct table_text *table_text_at(size_t i);                 /* NULL behind the last one */
const struct table_text *table_text_find(const char *table_name); /* NULL: no such table */

#endif
