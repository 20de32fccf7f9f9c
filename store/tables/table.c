/* table.c - the site tables: rows by number, numbers by key, import and export */
#include "store/tables/table.h"

#include "conf/array.h"
#include "conf/text.h"
#include "conf/unit.h"
#include "store/key.h"
#include "store/record.h"
#include "store/tables/csv.h"
#include "store/tables/pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char *const vm_columns[] = {
    "node", "mgr", "host", "migrationdest", "storage", "storagemodel", "storagecache",
    "storageformat", "cfgstore", "memory", "cpus", "nics", "nicmodel", "bootorder",
    "clockoffset", "virtflags", "master", "vncport", "textconsole", "powerstate", "beacon",
    "datacenter", "cluster", "guestostype", "othersettings", "physlots", "vidmodel", "vidproto",
    "vidpassword", "comments", "disable", NULL,
};
static const char *const nodelist_columns[] = {
    "node", "groups", "status", "statustime", "appstatus", "appstatustime", "primarysn",
    "hidden", "updatestatus", "updatestatustime", "zonename", "comments", "disable", NULL,
};
static const char *const hypervisor_columns[] = {
    "node", "type", "mgr", "interface", "netmap", "defaultnet", "cluster", "datacenter",
    "preferdirect", "comments", "disable", NULL,
};
static const char *const nodegroup_columns[] = {
    "groupname", "grouptype", "members", "membergroups", "wherevals", "comments", "disable",
    NULL,
};
static const char *const nodehm_columns[] = {
    "node", "power", "mgt", "cons", "termserver", "termport", "conserver", "serialport",
    "serialspeed", "serialflow", "getmac", "cmdmapping", "consoleondemand", "consoleenabled",
    "comments", "disable", NULL,
};
static const char *const zvm_columns[] = {
    "node", "hcp", "userid", "nodetype", "parent", "comments", "disable", "discovered",
    "status", NULL,
};
/* clang-format on */

#define TABLE(name_)                                                                               \
    {                                                                                              \
        .name = #name_, .columns = name_##_columns,                                                \
        .n_columns = sizeof(name_##_columns) / sizeof(name_##_columns[0]) - 1                      \
    }
static const struct table tables[] = {
    TABLE(hypervisor), TABLE(nodegroup), TABLE(nodehm), TABLE(nodelist), TABLE(vm), TABLE(zvm),
};
enum { N_TABLES = sizeof(tables) / sizeof(tables[0]) };
static_assert((int)N_TABLES == (int)TABLE_COUNT, "table.h says how many");

const struct table *table_at(size_t i)
{
    return i < N_TABLES ? &tables[i] : NULL;
}

const struct table *table_find(const char *name)
{
    for (size_t i = 0; i < N_TABLES; i++)
        if (strcmp(tables[i].name, name) == 0)
            return &tables[i];
    return NULL;
}

int table_column(const struct table *table, const char *name)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (strcmp(table->columns[i], name) == 0)
            return (int)i;
    return -ENOENT;
}

size_t table_index(const struct table *table)
{
    return (size_t)(table - tables);
}

bool table_is_of_nodes(const struct table *table)
{
    return strcmp(table->columns[0], "node") == 0;
}

bool table_may_be_pattern(const struct table *table, int column)
{
    return column > 0 && table_is_of_nodes(table) &&
           strcmp(table->columns[column], "comments") != 0 &&
           strcmp(table->columns[column], "disable") != 0;
}

bool table_is_secret(const struct table *table, int column)
{
    return strcmp(table->columns[column], "vidpassword") == 0;
}

bool table_goes_on(const char *value, size_t *ret_length)
{
    static const char end[] = "+=NEXTRECORD";
    size_t length = strlen(value), n = sizeof(end) - 1;
    bool does = length >= n && memcmp(value + length - n, end, n) == 0;
    *ret_length = does ? length - n : length;
    return does;
}

int table_check_value(const struct table *table, int column, const char *value, struct rm_err *err)
{
    size_t length;
    if (!table_may_be_pattern(table, column))
        return 0;
    char *first = table_goes_on(value, &length) ? strndup(value, length) : NULL;
    if (!first && value[length] != '\0')
        return rm_fail(err, -ENOMEM, "out of memory");
    int r = pattern_check(first ? first : value, err);
    free(first);
    if (r == -EINVAL && table_is_secret(table, column))
        rm_fail(err, r, "its shape makes it a pattern, and that cannot be evaluated");
    return r;
}

bool table_is_off(const char *disable)
{
    return disable && *disable && strcmp(disable, "0") != 0 && strcasecmp(disable, "no") != 0;
}

const char *table_cell(const RmRow *row, int column)
{
    if (column < 0 || (size_t)column >= row->n_cells)
        return NULL;
    const RmCell *cell = row->cells[column];
    return cell->set && cell->value[0] != '\0' ? cell->value : NULL;
}

/* ---- keys: the table's name, 0, then a number or a key */

enum { U64 = 8, NAME_MAX_BYTES = 16 }; /* of a table's name with its 0 */

struct key {
    uint8_t bytes[NAME_MAX_BYTES + TABLE_KEY_MAX];
    size_t length;
};
static_assert(sizeof(((struct key *)0)->bytes) <= STORE_KEY_MAX, "keys of rows fit");

static struct key key_prefix(const struct table *table)
{
    struct key key = {.length = strlen(table->name) + 1};
    memcpy(key.bytes, table->name, key.length);
    return key;
}

static struct key key_number(const struct table *table, uint64_t number)
{
    struct key key = key_prefix(table);
    key_u64(key.bytes + key.length, number);
    key.length += U64;
    return key;
}

static struct key key_name(const struct table *table, const char *name, size_t length)
{
    struct key key = key_prefix(table);
    memcpy(key.bytes + key.length, name, length);
    key.length += length;
    return key;
}

bool table_row_of_key(const void *key, size_t length, const struct table **ret_table,
                      uint64_t *ret_number)
{
    size_t name = strnlen(key, length);
    if (length != name + 1 + U64)
        return false;
    const struct table *table = table_find(key);
    if (table) {
        *ret_table = table;
        *ret_number = key_read_u64((const uint8_t *)key + name + 1);
    }
    return table;
}

/* The length of a row's key, or 0 when it cannot be one. */
static size_t key_length(const char *name)
{
    size_t length = strnlen(name, TABLE_KEY_MAX + 1);
    return length <= TABLE_KEY_MAX ? length : 0;
}

int table_row_number(struct store *store, const struct table *table, const char *name,
                     uint64_t *ret_number)
{
    struct store_bytes bytes;
    size_t length = key_length(name);
    if (length == 0)
        return -ENOENT;
    struct key key = key_name(table, name, length);
    int r = store_get(store, STORE_ROW_KEY, key.bytes, key.length, &bytes);
    if (r < 0)
        return r;
    if (bytes.length != U64)
        return -EBADMSG;
    *ret_number = key_read_u64(bytes.data);
    return 0;
}

/* Is that the key of a row of this table? Then *ret_number. */
static bool is_number_key(const struct key *prefix, const void *key, size_t length,
                          uint64_t *ret_number)
{
    if (length != prefix->length + U64 || memcmp(key, prefix->bytes, prefix->length) != 0)
        return false;
    *ret_number = key_read_u64((const uint8_t *)key + prefix->length);
    return true;
}

struct last {
    struct key prefix;
    uint64_t number;
};

static int last_row(void *ctx, const void *key, size_t length, const void *value, size_t size)
{
    struct last *last = ctx;
    (void)value;
    (void)size;
    is_number_key(&last->prefix, key, length, &last->number);
    return 1;
}

/* The number of the last row; 0 when there is none. */
static int last_number(struct store *store, const struct table *table, uint64_t *ret_number)
{
    struct last last = {.prefix = key_prefix(table)};
    struct key from = key_number(table, UINT64_MAX);
    int r = store_walk(store, STORE_ROW, from.bytes, from.length, true, last_row, &last);
    if (r >= 0)
        *ret_number = last.number;
    return r < 0 ? r : 0;
}

/* ---- one row */

static int get_number(struct store *store, const struct table *table, uint64_t number,
                      struct arena *arena, RmRow **ret_row)
{
    struct store_bytes bytes;
    ProtobufCMessage *record;
    struct key key = key_number(table, number);
    int r = store_get(store, STORE_ROW, key.bytes, key.length, &bytes);
    if (r == 0)
        r = record_unpack(STORE_ROW, bytes.data, bytes.length, arena, &record);
    if (r == 0)
        *ret_row = (RmRow *)record;
    return r;
}

/* The cells behind the last one that is set are not stored. */
static int fill(const struct table *table, struct arena *arena, RmRow *row)
{
    if (row->n_cells >= table->n_columns)
        return 0;
    RmCell **cells = arena_alloc(arena, table->n_columns * sizeof(RmCell *));
    if (!cells)
        return -ENOMEM;
    for (size_t i = 0; i < table->n_columns; i++) {
        cells[i] = i < row->n_cells ? row->cells[i] : arena_alloc(arena, sizeof(RmCell));
        if (!cells[i])
            return -ENOMEM;
        if (i >= row->n_cells)
            rm_cell__init(cells[i]);
    }
    row->cells = cells;
    row->n_cells = table->n_columns;
    return 0;
}

int table_row_at(struct store *store, const struct table *table, uint64_t number,
                 struct arena *arena, RmRow **ret_row)
{
    RmRow *row;
    int r = get_number(store, table, number, arena, &row);
    if (r == 0)
        r = fill(table, arena, row);
    if (r == 0)
        *ret_row = row;
    return r;
}

int table_row_get(struct store *store, const struct table *table, const char *key,
                  struct arena *arena, RmRow **ret_row)
{
    uint64_t number;
    int r = table_row_number(store, table, key, &number);
    return r < 0 ? r : table_row_at(store, table, number, arena, ret_row);
}

/* Most of xCAT's columns are empty: the last ones are left out, and fill() puts them back. */
static int put(struct store *store, const struct table *table, uint64_t number, const RmRow *row)
{
    struct key key = key_number(table, number);
    RmRow trimmed = *row;
    while (trimmed.n_cells > 1 && !trimmed.cells[trimmed.n_cells - 1]->set)
        trimmed.n_cells--;
    return record_put(store, STORE_ROW, key.bytes, key.length, &trimmed.base, /* append = */ false);
}

/* A row that is new: with its entry in the index. */
static int put_new(struct store *store, const struct table *table, uint64_t number,
                   const RmRow *row, const char *name)
{
    uint8_t value[U64];
    key_u64(value, number);
    struct key key = key_name(table, name, key_length(name));
    int r = store_put(store, STORE_ROW_KEY, key.bytes, key.length, value, sizeof(value), false);
    return r < 0 ? r : put(store, table, number, row);
}

/* The empty text of protobuf-c is not const; nothing writes to it. */
static char *text(const char *value)
{
    return (char *)(uintptr_t)value;
}

static int set_cell(struct store *store, const struct table *table, struct arena *arena,
                    const char *key, int column, const char *value)
{
    uint64_t number = 0;
    RmRow *row;
    int r = table_row_number(store, table, key, &number);
    bool is_new = r == -ENOENT;
    if (is_new) {
        row = arena_alloc(arena, sizeof(*row));
        if (!row)
            return -ENOMEM;
        rm_row__init(row);
        row->table = text(table->name);
        r = last_number(store, table, &number);
        number++;
    } else if (r == 0) {
        r = get_number(store, table, number, arena, &row);
    }
    if (r == 0)
        r = fill(table, arena, row);
    if (r != 0)
        return r;
    *row->cells[column] = (RmCell)RM_CELL__INIT;
    row->cells[column]->set = value != NULL;
    row->cells[column]->value = text(value ? value : "");
    row->cells[0]->set = true;
    row->cells[0]->value = text(key);
    return is_new ? put_new(store, table, number, row, key) : put(store, table, number, row);
}

int table_row_set(struct store *store, const struct table *table, const char *key, int column,
                  const char *value)
{
    if (key_length(key) == 0 || column < 0 || (size_t)column >= table->n_columns)
        return -EINVAL;
    if (!text_is_clean(key) || (value && !text_is_clean(value)))
        return -EINVAL;
    if (column == 0 && (!value || strcmp(value, key) != 0))
        return -EINVAL;
    struct arena *arena = arena_new(0);
    if (!arena)
        return -ENOMEM;
    int r = set_cell(store, table, arena, key, column, value);
    arena_free(arena);
    return r;
}

int table_row_delete(struct store *store, const struct table *table, const char *key)
{
    uint64_t number;
    int r = table_row_number(store, table, key, &number);
    if (r < 0)
        return r;
    struct key by_name = key_name(table, key, key_length(key));
    struct key by_number = key_number(table, number);
    r = store_delete(store, STORE_ROW_KEY, by_name.bytes, by_name.length);
    return r < 0 ? r : store_delete(store, STORE_ROW, by_number.bytes, by_number.length);
}

/* ---- all rows */

struct walk {
    const struct table *table;
    struct key prefix;
    struct arena *scratch;
    table_walk_f *f;
    void *ctx;
};

static int walk_one(void *ctx, const void *key, size_t length, const void *value, size_t size)
{
    struct walk *walk = ctx;
    uint64_t number;
    ProtobufCMessage *record;
    if (!is_number_key(&walk->prefix, key, length, &number))
        return 2; /* the next table begins */
    int r = record_unpack(STORE_ROW, value, size, walk->scratch, &record);
    if (r == 0)
        r = fill(walk->table, walk->scratch, (RmRow *)record);
    if (r == 0)
        r = walk->f(walk->ctx, number, (const RmRow *)record);
    arena_reset(walk->scratch);
    return r;
}

int table_walk(struct store *store, const struct table *table, uint64_t after, table_walk_f *f,
               void *ctx)
{
    struct walk walk = {.table = table, .prefix = key_prefix(table), .f = f, .ctx = ctx};
    if (after == UINT64_MAX)
        return 0;
    walk.scratch = arena_new(0);
    if (!walk.scratch)
        return -ENOMEM;
    struct key from = key_number(table, after + 1);
    int r = store_walk(store, STORE_ROW, from.bytes, from.length, false, walk_one, &walk);
    arena_free(walk.scratch);
    return r == 2 ? 0 : r;
}

struct export
{
    FILE *file;
    uint64_t last; /* row */
    uint64_t left; /* rows of this piece */
};

static int export_row(void *ctx, uint64_t number, const RmRow *row)
{
    struct export *export = ctx;
    for (size_t i = 0; i < row->n_cells; i++)
        csv_write(export->file, row->cells[i]->set ? row->cells[i]->value : NULL, i == 0);
    putc('\n', export->file);
    export->last = number;
    if (ferror(export->file))
        return -EIO;
    return --export->left == 0 ? 1 : 0;
}

int table_export(struct store *store, const struct table *table, uint64_t *after, FILE *file)
{
    struct export export = {.file = file, .last = *after, .left = TABLE_EXPORT_ROWS};
    for (size_t i = 0; *after == 0 && i < table->n_columns; i++)
        fprintf(file, "%c%s%s", i == 0 ? '#' : ',', table->columns[i],
                i + 1 == table->n_columns ? "\n" : "");
    int r = table_walk(store, table, *after, export_row, &export);
    *after = export.last;
    return r;
}

/* ---- import */

struct seen {
    const char *key; /* in the reader's buffer */
    unsigned line, column;
};

struct table_import {
    const struct table *table;
    const char *text; /* borrowed */
    size_t length;
    bool add;
    struct csv *csv;
    int columns[CSV_FIELDS_MAX]; /* the table's column of each field */
    size_t n_columns;
    size_t key_field;
    struct seen *seen; /* the keys of all records */
    size_t n_seen, seen_room;
    uint64_t bytes; /* that the rows may take in the store */
};

static int read_header(struct table_import *import, struct rm_err *err)
{
    const struct table *table = import->table;
    const struct csv_field *fields;
    bool named[CSV_FIELDS_MAX] = {false};
    int r = csv_header(import->csv, &fields, &import->n_columns, err);
    if (r < 0)
        return r;
    import->key_field = import->n_columns;
    for (size_t i = 0; i < import->n_columns; i++) {
        int column = table_column(table, fields[i].text);
        if (column < 0)
            return rm_fail(err, -EINVAL,
                           "The header line indicates that column '%s' should exist, which is not "
                           "defined in the schema for '%s', line %u, character %u",
                           fields[i].text, table->name, fields[i].line, fields[i].column);
        if (named[column])
            return rm_fail(err, -EINVAL,
                           "The header line names column '%s' twice, line %u, character %u",
                           fields[i].text, fields[i].line, fields[i].column);
        named[column] = true;
        import->columns[i] = column;
        if (column == 0)
            import->key_field = i;
    }
    if (import->key_field == import->n_columns)
        return rm_fail(err, -EINVAL, "The header line lacks column '%s', which is the key of '%s'",
                       table->columns[0], table->name);
    return 0;
}

/* Names the row and the column of a value that cannot be stored. */
static int check_values(const struct table_import *import, const struct csv_field *fields, size_t n,
                        const char *key, struct rm_err *err)
{
    const struct table *table = import->table;
    for (size_t i = 0; i < n; i++) {
        int column = import->columns[i];
        if (table_is_secret(table, column) && strcmp(fields[i].text, TABLE_MASK) == 0)
            return rm_fail(err, -EINVAL,
                           "line %u, character %u: " TABLE_MASK
                           " is what is shown instead of a password; dump the table with "
                           "--secrets, or leave the field empty",
                           fields[i].line, fields[i].column);
        int r = table_check_value(table, column, fields[i].text, err);
        if (r < 0)
            return rm_prefix(err, r, "%s.%s of '%s', line %u, character %u", table->name,
                             table->columns[column], key, fields[i].line, fields[i].column);
    }
    return 0;
}

static int see(struct table_import *import, const struct csv_field *key, struct rm_err *err)
{
    if (import->n_seen == TABLE_ROWS_MAX)
        return rm_fail(err, -E2BIG, "more than %d rows, line %u", TABLE_ROWS_MAX, key->line);
    struct seen *seen = ARRAY_ADD(import->seen, import->n_seen, import->seen_room);
    if (!seen)
        return rm_fail(err, -ENOMEM, "out of memory");
    *seen = (struct seen){key->text, key->line, key->column};
    return 0;
}

static int compare_seen(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    int r = strcmp(x->key, y->key);
    return r != 0 ? r : (x->line > y->line) - (x->line < y->line);
}

/* What one row may take in the store: its record, its two keys, and pages that are half full. */
static uint64_t bytes_of(const struct table *table, const struct csv_field *fields, size_t n)
{
    enum { PAGE = 4096, INLINE_MAX = 1500, OF_CELL = 8, OF_KEYS = 128 };
    uint64_t record = OF_KEYS + table->n_columns * OF_CELL;
    for (size_t i = 0; i < n; i++)
        record += strlen(fields[i].text);
    return record > INLINE_MAX ? record + 2 * PAGE : 2 * record;
}

/* The field that is the key of a record's row, and whether there may be such a row. */
static int find_key(const struct table_import *import, struct store *store,
                    const struct csv_field *fields, size_t n, unsigned line,
                    const struct csv_field **ret_key, struct rm_err *err)
{
    const struct table *table = import->table;
    uint64_t number;
    if (import->key_field >= n)
        return rm_fail(err, -EINVAL, "the key column '%s' has no value, line %u", table->columns[0],
                       line);
    const struct csv_field *key = &fields[import->key_field];
    if (key_length(key->text) == 0)
        return rm_fail(err, -EINVAL, "the key column '%s' %s, line %u, character %u",
                       table->columns[0],
                       key->text[0] ? "has a value of more than 255 bytes" : "has no value",
                       key->line, key->column);
    int r = import->add ? table_row_number(store, table, key->text, &number) : -ENOENT;
    if (r == 0)
        return rm_fail(err, -EEXIST, "table '%s' has a row '%s' already, line %u, character %u",
                       table->name, key->text, key->line, key->column);
    if (r != -ENOENT)
        return rm_fail(err, r, "cannot read table '%s': %s", table->name, strerror(-r));
    *ret_key = key;
    return 0;
}

/* Does a key stand there twice? */
static int check_twice(const struct table_import *import, struct rm_err *err)
{
    if (import->n_seen > 1)
        qsort(import->seen, import->n_seen, sizeof(*import->seen), compare_seen);
    for (size_t i = 1; i < import->n_seen; i++) {
        const struct seen *one = &import->seen[i - 1], *again = one + 1;
        if (strcmp(one->key, again->key) == 0)
            return rm_fail(err, -EEXIST,
                           "the row '%s' stands on line %u and again on line %u, character %u",
                           again->key, one->line, again->line, again->column);
    }
    return 0;
}

/* Reads all records and refuses what cannot be stored. */
static int check_all(struct table_import *import, struct store *store, struct rm_err *err)
{
    const struct csv_field *fields;
    size_t n;
    unsigned line;
    int r;
    while ((r = csv_next(import->csv, &fields, &n, &line, err)) > 0) {
        const struct csv_field *key = NULL;
        r = find_key(import, store, fields, n, line, &key, err);
        if (r == 0)
            r = check_values(import, fields, n, key->text, err);
        if (r == 0)
            r = see(import, key, err);
        if (r < 0)
            return r;
        import->bytes += bytes_of(import->table, fields, n);
    }
    return r < 0 ? r : check_twice(import, err);
}

static int write_all(struct table_import *import, struct store *store)
{
    const struct table *table = import->table;
    const struct csv_field *fields;
    RmCell cells[CSV_FIELDS_MAX], *list[CSV_FIELDS_MAX];
    RmRow row = RM_ROW__INIT;
    uint64_t number = 0;
    size_t n;
    unsigned line;
    struct key prefix = key_prefix(table);
    int r;
    if (import->add) {
        r = last_number(store, table, &number);
    } else {
        r = store_delete_prefix(store, STORE_ROW, prefix.bytes, prefix.length);
        if (r == 0)
            r = store_delete_prefix(store, STORE_ROW_KEY, prefix.bytes, prefix.length);
    }
    row.table = text(table->name);
    row.cells = list;
    row.n_cells = table->n_columns;
    while (r == 0 && (r = csv_next(import->csv, &fields, &n, &line, NULL)) > 0) {
        for (size_t i = 0; i < table->n_columns; i++) {
            rm_cell__init(&cells[i]);
            list[i] = &cells[i];
        }
        for (size_t i = 0; i < n; i++) {
            cells[import->columns[i]].set = fields[i].set;
            cells[import->columns[i]].value = text(fields[i].text);
        }
        cells[0].set = true;
        r = put_new(store, table, ++number, &row, fields[import->key_field].text);
    }
    return r;
}

/* Begins to read the text (again): what is read is cut up. */
static int start(struct table_import *import, struct rm_err *err)
{
    csv_free(import->csv);
    import->csv = csv_new(import->text, import->length);
    if (!import->csv)
        return rm_fail(err, -ENOMEM, "out of memory");
    return read_header(import, err);
}

/* What only the reading needs. */
static void stop(struct table_import *import)
{
    csv_free(import->csv);
    free(import->seen);
    import->csv = NULL;
    import->seen = NULL;
}

int table_import_new(struct store *store, const struct table *table, const char *csv, size_t length,
                     bool add, struct table_import **ret_import, struct rm_err *err)
{
    struct table_import *import = malloc(sizeof(*import));
    if (!import)
        return rm_fail(err, -ENOMEM, "out of memory");
    *import = (struct table_import){.table = table, .text = csv, .length = length, .add = add};
    int r = start(import, err);
    if (r == 0)
        r = check_all(import, store, err);
    stop(import);
    if (r < 0)
        table_import_free(import);
    else
        *ret_import = import;
    return r;
}

void table_import_free(struct table_import *import)
{
    if (!import)
        return;
    stop(import);
    free(import);
}

int table_import_has_room(struct store *store, struct table_import *const *imports, size_t n,
                          struct rm_err *err)
{
    uint64_t bytes = 0, left;
    char needs[UNIT_TEXT_MAX], has[UNIT_TEXT_MAX];
    for (size_t i = 0; i < n; i++)
        bytes += imports[i]->bytes;
    int r = store_claim(store, bytes, &left);
    if (r == 0)
        return 0;
    if (r != -ENOSPC)
        return rm_fail(err, r, "cannot read the store: %s", strerror(-r));
    unit_size_text(bytes, needs);
    unit_size_text(left, has);
    if (n == 1)
        return rm_fail(err, -EFBIG,
                       "table '%s' may take %s and the store has room for %s; raise store_size and "
                       "restart the broker",
                       imports[0]->table->name, needs, has);
    return rm_fail(
        err, -EFBIG,
        "the tables may take %s together and the store has room for %s; restore them one "
        "by one, or raise store_size and restart the broker",
        needs, has);
}

int table_import_write(struct store *store, struct table_import *import, struct rm_err *err)
{
    int r = start(import, err);
    if (r == 0 && (r = write_all(import, store)) < 0)
        rm_fail(err, r, "cannot write table '%s': %s", import->table->name, strerror(-r));
    stop(import);
    return r < 0 ? r : (int)import->n_seen;
}

int table_restore(struct store *store, const struct table *table, const char *csv, size_t length,
                  bool add, struct rm_err *err)
{
    struct table_import *import;
    int r = table_import_new(store, table, csv, length, add, &import, err);
    if (r < 0)
        return r;
    r = table_import_has_room(store, &import, 1, err);
    if (r == 0)
        r = table_import_write(store, import, err);
    table_import_free(import);
    return r;
}
