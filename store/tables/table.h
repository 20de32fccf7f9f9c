/* table.h - the site tables as xCAT knows them: raw rows, exactly as imported
 *
 * A row may belong to a node or to a group, a value may be a pattern; here nothing is interpreted.
 * Rows keep the order in which they were imported. A value that was imported as "" is kept as set
 * but empty, so that a dump gives back what was imported; it counts as undefined when it is read as
 * an attribute (table_cell), as in xCAT. Nothing is durable before store_commit(). */
#ifndef STORE_TABLES_TABLE_H
#define STORE_TABLES_TABLE_H

#include "conf/err.h"
#include "store/store.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stdio.h>

enum {
    TABLE_KEY_MAX = 255,      /* bytes of a key, at least one */
    TABLE_ROWS_MAX = 1000000, /* of one import */
};

struct table {
    const char *name;
    const char *const *columns; /* NULL-terminated, in the order of the CSV; the first is the key */
    size_t n_columns;
};

enum { TABLE_COUNT = 6 };

const struct table *table_find(const char *name);              /* NULL: no such table */
const struct table *table_at(size_t i);                        /* NULL behind the last one */
size_t table_index(const struct table *table);                 /* table_at() of it is the table */
int table_column(const struct table *table, const char *name); /* index, or -ENOENT */
bool table_is_of_nodes(const struct table *table); /* its key is a node or a group of nodes */

/* Is a value of that column a pattern where it looks like one (pattern.h)? Not in a table that is
 * not of nodes, a key, a comment, or what switches a row off. */
bool table_may_be_pattern(const struct table *table, int column);

/* Is it for those alone who may see passwords? Errors do not show such a value either; everybody else
 * gets TABLE_MASK, which cannot be imported in its place. */
#define TABLE_MASK "********"
bool table_is_secret(const struct table *table, int column);

/* Does a value end with xCAT's +=NEXTRECORD, which means: and what the next group says? Then true,
 * and *ret_length is what stands before it; otherwise the length of all. */
bool table_goes_on(const char *value, size_t *ret_length);

/* May it be stored? -EINVAL with why: a pattern that cannot be evaluated. */
int table_check_value(const struct table *table, int column, const char *value, struct rm_err *err);

/* One row by its key; a table has one row for a key. -ENOENT. Rows have a cell for each column. */
int table_row_get(struct store *store, const struct table *table, const char *key,
                  struct arena *arena, RmRow **ret_row);
/* The same by where it stands. -ENOENT. */
int table_row_at(struct store *store, const struct table *table, uint64_t number,
                 struct arena *arena, RmRow **ret_row);
/* Where it stands. -ENOENT. */
int table_row_number(struct store *store, const struct table *table, const char *key,
                     uint64_t *ret_number);
/* Which row a key of STORE_ROW is of, for store_changes(). False: of none. */
bool table_row_of_key(const void *key, size_t length, const struct table **ret_table,
                      uint64_t *ret_number);
/* Sets one column of the row of that key; the row is made behind the others when there is none.
 * value NULL: undefined. -EINVAL: an impossible key, another
 * value for the key column, or what is no text (text_is_clean). */
int table_row_set(struct store *store, const struct table *table, const char *key, int column,
                  const char *value);
int table_row_delete(struct store *store, const struct table *table, const char *key); /* -ENOENT */

/* Rows in their order, behind the row number `after` (0: from the first). f gets the row's number
 * too; it returns 0 to go on, 1 to stop, negative to fail. The row lives in a scratch arena.
 * Returns 0, 1 when stopped, or the error. */
typedef int table_walk_f(void *ctx, uint64_t number, const RmRow *row);
int table_walk(struct store *store, const struct table *table, uint64_t after, table_walk_f *f,
               void *ctx);

/* CSV in, of several tables together or of none: each text is read and checked whole, then it is
 * seen whether the store has room for all, and only then the first row is touched. */
struct table_import;

/* add: rows are added to those that are there (a key that is there already is an error); otherwise
 * the table is emptied first. Any subset of the columns in any order. A pattern that cannot be
 * evaluated on any node is refused (table_check_value). The text is borrowed until the import is
 * freed. -EINVAL or -EEXIST with line and column, -E2BIG: too many rows. */
int table_import_new(struct store *store, const struct table *table, const char *csv, size_t length,
                     bool add, struct table_import **ret_import, struct rm_err *err);
void table_import_free(struct table_import *import); /* NULL is fine */
/* -EFBIG: together they do not fit below STORE_FULL_PERCENT. */
int table_import_has_room(struct store *store, struct table_import *const *imports, size_t n,
                          struct rm_err *err);
/* Returns the number of rows. -ENOSPC and so on: abort the transaction. */
int table_import_write(struct store *store, struct table_import *import, struct rm_err *err);

/* One table: the four of them. */
int table_restore(struct store *store, const struct table *table, const char *csv, size_t length,
                  bool add, struct rm_err *err);

/* CSV out: the header (where *after is 0), then TABLE_EXPORT_ROWS rows at most behind *after, which
 * becomes the last one's number. 1: there may be more; 0: these were all. table_restore() of the whole
 * makes the same rows. */
enum { TABLE_EXPORT_ROWS = 2000 };
int table_export(struct store *store, const struct table *table, uint64_t *after, FILE *file);

/* The value of a cell, or NULL when it is undefined or the empty string. */
const char *table_cell(const RmRow *row, int column);

/* Is a row with this value of `disable` (NULL: undefined) to be ignored? */
bool table_is_off(const char *disable);

#endif
