/* row.c - gettab and chtab: rows of the tables as they are stored, found by their values
 *
 * A change is checked whole before the first row is touched: it is carried out altogether or not at
 * all. */
#include "broker/tables/common.h"
#include "broker/tables/list.h"
#include "broker/tables/requests.h"
#include "conf/text.h"

#include <errno.h>
#include <string.h>

/* ---- gettab: rows by their values */

static bool is_secret_name(const char *column)
{
    for (size_t i = 0; table_at(i); i++) {
        int found = table_column(table_at(i), column);
        if (found >= 0 && table_is_secret(table_at(i), found))
            return true;
    }
    return false;
}

/* "node=kvm1,host=hyp01" for messages; in core->arena. */
static const char *keys_text(struct core *core, RmTerm *const *keys, size_t n_keys)
{
    const char *text = "";

    for (size_t i = 0; i < n_keys && text; i++)
        text = arena_printf(core->arena, "%s%s%s=%s", text, i > 0 ? "," : "", keys[i]->attr,
                            is_secret_name(keys[i]->attr) ? TABLE_MASK : keys[i]->value);
    return text ? text : "?"; /* the values may be long */
}

/* The rows of a table that have certain values as they are stored. */
struct rows {
    char **keys; /* in core->arena */
    size_t n;
    const char *key; /* the value of the key column, so it is one row at most; NULL: not given */
    bool clash;      /* that row is there, but has other values */
};

struct row_search {
    struct core *core;
    const struct table *table;
    const int *columns;
    RmTerm *const *keys;
    size_t n_keys;
    struct rows *rows;
};

static bool row_has(const struct row_search *search, const RmRow *row)
{
    for (size_t i = 0; i < search->n_keys; i++) {
        const char *text = table_cell(row, search->columns[i]);
        if (strcmp(text ? text : "", search->keys[i]->value) != 0)
            return false;
    }
    return true;
}

static int search_row(void *ctx, uint64_t number, const RmRow *row)
{
    const struct row_search *search = ctx;
    char *key = row_has(search, row) ? arena_strdup(search->core->arena, table_cell(row, 0)) : NULL;

    (void)number;
    if (!key)
        return 0;
    return ARENA_PUSH(search->core->arena, search->rows->n, search->rows->keys, key);
}

/* False: the request is refused. */
static bool find_rows(struct core *core, struct request *request, const struct table *table,
                      RmTerm *const *keys, size_t n_keys, struct rows *ret_rows)
{
    int columns[SITE_COLUMNS_MAX], r;
    struct row_search search = {.core = core,
                                .table = table,
                                .columns = columns,
                                .keys = keys,
                                .n_keys = n_keys,
                                .rows = ret_rows};
    RmRow *row;

    *ret_rows = (struct rows){0};
    if (n_keys == 0 || n_keys > SITE_COLUMNS_MAX) {
        request_refuse(core, request, RM_CODE__CODE_USAGE, "say which row: %s=VALUE",
                       table->columns[0]);
        return false;
    }
    for (size_t i = 0; i < n_keys; i++) {
        columns[i] = table_column(table, keys[i]->attr);
        if (columns[i] < 0) {
            const char *name = core_printf(core, "%s.%s", table->name, keys[i]->attr);
            return site_bad_column(core, request, name, "the table has no such column");
        }
        if (columns[i] == 0)
            ret_rows->key = keys[i]->value;
    }
    if (!ret_rows->key) {
        r = table_walk(core->store, table, 0, search_row, &search);
    } else {
        r = table_row_get(core->store, table, ret_rows->key, core->arena, &row);
        if (r == 0) {
            r = search_row(&search, 0, row);
            ret_rows->clash = ret_rows->n == 0;
        }
    }
    if (r < 0 && r != -ENOENT) {
        core_fail(core, r, "table");
        return false;
    }
    return true;
}

/* May the user ask for rows with these values? */
static bool may_select(struct core *core, struct request *request, const struct table *table)
{
    const RmTableGet *ask = request->message->table_get;

    for (size_t i = 0; i < ask->n_keys; i++) {
        struct attr key = {table, table_column(table, ask->keys[i]->attr)};
        if (key.column >= 0 &&
            !site_may_select(core, request, &key, ask->keys[i]->attr, ask->secrets, "rows"))
            return false;
    }
    return true;
}

/* The rows of each table that is asked for. */
struct found {
    bool is_known[TABLE_COUNT];
    RmRow *row[TABLE_COUNT]; /* the first of them; NULL: there is none */
};

static bool find_row(struct core *core, struct request *request, const struct table *table,
                     struct found *found)
{
    const RmTableGet *ask = request->message->table_get;
    size_t index = table_index(table);
    struct rows rows;

    if (found->is_known[index])
        return true;
    found->is_known[index] = true;
    if (!may_select(core, request, table) ||
        !find_rows(core, request, table, ask->keys, ask->n_keys, &rows))
        return false;
    if (rows.n == 0 ||
        table_row_get(core->store, table, rows.keys[0], core->arena, &found->row[index]) < 0)
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no row of the table %s has %s",
                       table->name, keys_text(core, ask->keys, ask->n_keys));
    return true; /* the other tables may have one */
}

void site_get(struct core *core, struct request *request)
{
    const RmTableGet *ask = request->message->table_get;
    RmNodeView *view = core_alloc(core, sizeof(*view));
    struct found found = {0};

    if (!site_may_see(core, request, ask->secrets) ||
        !site_is_bounded(core, request, ask->n_attrs, SITE_COLUMNS_MAX, "columns"))
        return;
    rm_node_view__init(view);
    for (size_t i = 0; i < ask->n_attrs; i++) {
        struct attr attr;
        const RmRow *row;
        if (!site_find_column(core, request, ask->attrs[i], &attr) ||
            !find_row(core, request, attr.table, &found))
            return;
        row = found.row[table_index(attr.table)];
        if (row &&
            !site_push_value(core, view, i, &attr, table_cell(row, attr.column), ask->secrets))
            return;
        ARENA_PUSH(core->arena, request->reply->n_columns, request->reply->columns, ask->attrs[i]);
    }
    ARENA_PUSH(core->arena, request->reply->n_nodes, request->reply->nodes, view);
}

/* ---- chtab */

/* Deletes the rows that the keys name. */
static bool delete_rows(struct core *core, struct request *request, const char *name)
{
    const RmTableChange *ask = request->message->table_change;
    const struct table *table = site_find_table(core, request, name, RM_CODE__CODE_SOME_FAILED);
    struct rows rows;
    struct site_effect effect = {0};

    if (!table || !find_rows(core, request, table, ask->keys, ask->n_keys, &rows))
        return false;
    if (rows.n == 0) { /* it is as it should be, but perhaps not what was meant */
        site_warn(core, request, "no row of the table %s has %s", table->name,
                  keys_text(core, ask->keys, ask->n_keys));
        return true;
    }
    for (size_t i = 0; i < rows.n; i++)
        site_delete_row(core, table, rows.keys[i]);
    site_report_deleted(core, request, &effect, table, rows.n,
                        keys_text(core, ask->keys, ask->n_keys));
    site_changed(core, request, &effect);
    return true;
}

/* A change of chtab that was understood: a column of some rows of its table. */
struct change {
    struct attr attr;
    const RmTerm *term;
    struct rows rows;
    const char **values; /* for each row; NULL: undefined */
};

/* The value that a row has now, with what earlier changes of this request make of it: those of one
 * table have the same rows in the same order. */
static const char *current(struct core *core, const struct change *all, size_t before,
                           const struct attr *attr, size_t row_index, const char *key)
{
    RmRow *row;

    for (size_t i = before; i-- > 0;)
        if (all[i].attr.table == attr->table && all[i].attr.column == attr->column)
            return all[i].values[row_index] ? all[i].values[row_index] : "";
    if (table_row_get(core->store, attr->table, key, core->arena, &row) < 0)
        return "";
    const char *text = table_cell(row, attr->column);
    return text ? text : "";
}

/* The rows that a change is about: as an earlier one of the same table found them, or now. */
static bool find_change_rows(struct core *core, struct request *request, const struct change *all,
                             size_t before, const struct table *table, struct rows *ret_rows)
{
    const RmTableChange *ask = request->message->table_change;

    for (size_t i = 0; i < before; i++)
        if (all[i].attr.table == table) {
            *ret_rows = all[i].rows;
            return true;
        }
    if (!find_rows(core, request, table, ask->keys, ask->n_keys, ret_rows))
        return false;
    if (ret_rows->n > 0)
        return true;
    if (!ret_rows->key || ret_rows->clash) {
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                       ret_rows->clash ? "the table %s has a row '%s', but not with %s"
                                       : "no row of the table %s has %s%s",
                       table->name, ret_rows->clash ? ret_rows->key : "",
                       keys_text(core, ask->keys, ask->n_keys));
        return false;
    }
    char *key = arena_strdup(core->arena, ret_rows->key);
    return key && ARENA_PUSH(core->arena, ret_rows->n, ret_rows->keys, key) == 0;
}

static bool plan_change(struct core *core, struct request *request, struct change *all, size_t i)
{
    const RmTableChange *ask = request->message->table_change;
    struct change *one = &all[i];

    one->term = ask->sets[i];
    if (!site_find_column(core, request, one->term->attr, &one->attr) ||
        !site_may_set(core, request, &one->attr, one->term->attr) ||
        !find_change_rows(core, request, all, i, one->attr.table, &one->rows))
        return false;
    one->values = arena_alloc(core->arena, one->rows.n * sizeof(*one->values));
    for (size_t k = 0; one->values && k < one->rows.n; k++) {
        const char *key = one->rows.keys[k], *value = one->term->value;
        if (one->term->op == RM_OPERATOR__APPEND)
            value = site_change_list(core, request, current(core, all, i, &one->attr, k, key),
                                     RM_OPERATOR__APPEND, value);
        if (!value || !site_check_value(core, request, &one->attr, key, value))
            return false;
        one->values[k] = *value != '\0' ? value : NULL;
    }
    return one->values;
}

/* The other columns that name a row that is new are its values as well. */
static bool check_new_row(struct core *core, struct request *request, const struct table *table,
                          const char *key)
{
    const RmTableChange *ask = request->message->table_change;

    if (*key == '\0' || strlen(key) > TABLE_KEY_MAX || !text_is_clean(key)) {
        request_refuse(core, request, RM_CODE__CODE_TABLE,
                       "'%s' cannot be the key of a row of %s: up to %d bytes of UTF-8", key,
                       table->name, TABLE_KEY_MAX);
        return false;
    }
    for (size_t i = 0; i < ask->n_keys; i++) {
        struct attr attr = {table, table_column(table, ask->keys[i]->attr)};
        if (attr.column > 0 && !site_check_value(core, request, &attr, key, ask->keys[i]->value))
            return false;
    }
    return true;
}

static bool make_row(struct core *core, const RmTableChange *ask, const struct table *table,
                     const char *key)
{
    for (size_t i = 0; i < ask->n_keys; i++) {
        struct attr attr = {table, table_column(table, ask->keys[i]->attr)};
        if (!site_store_cell(core, &attr, key, ask->keys[i]->value))
            return false;
    }
    return true;
}

static bool is_new(struct core *core, const struct change *one)
{
    uint64_t number;

    return one->rows.key &&
           table_row_number(core->store, one->attr.table, one->rows.key, &number) == -ENOENT;
}

static bool plan_all(struct core *core, struct request *request, struct change *all)
{
    const RmTableChange *ask = request->message->table_change;

    for (size_t i = 0; i < ask->n_sets; i++)
        if (!plan_change(core, request, all, i) ||
            (is_new(core, &all[i]) &&
             !check_new_row(core, request, all[i].attr.table, all[i].rows.key)))
            return false;
    return true;
}

static void change_rows(struct core *core, struct request *request)
{
    const RmTableChange *ask = request->message->table_change;
    struct change *all;
    struct site_effect effect = {0};

    if (!site_is_bounded(core, request, ask->n_sets, SITE_COLUMNS_MAX, "changes"))
        return;
    all = core_alloc(core, (ask->n_sets + 1) * sizeof(*all));
    if (!plan_all(core, request, all)) {
        if (request->reply->code == RM_CODE__CODE_OK)
            request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "no memory");
        return;
    }
    for (size_t i = 0; i < ask->n_sets; i++) {
        const struct change *one = &all[i];
        const struct table *table = one->attr.table;
        bool makes = is_new(core, one);
        if (makes && !make_row(core, ask, table, one->rows.key))
            return;
        for (size_t k = 0; k < one->rows.n; k++)
            if (!site_store_cell(core, &one->attr, one->rows.keys[k], one->values[k]))
                return;
        request->reply->count += (uint32_t)one->rows.n;
        if (makes)
            site_effect_note(&effect, table, -1);
        site_report_set(core, request, &effect, &one->attr, one->rows.n, "row",
                        keys_text(core, ask->keys, ask->n_keys));
    }
    site_changed(core, request, &effect);
}

void site_table_change(struct core *core, struct request *request)
{
    const RmTableChange *ask = request->message->table_change;

    if (!site_is_bounded(core, request, ask->n_remove, TABLE_COUNT, "tables"))
        return;
    for (size_t i = 0; i < ask->n_remove; i++) {
        const struct table *table =
            site_find_table(core, request, ask->remove[i], RM_CODE__CODE_SOME_FAILED);
        struct rows rows;
        if (!table || !find_rows(core, request, table, ask->keys, ask->n_keys, &rows))
            return;
    }
    for (size_t i = 0; i < ask->n_remove; i++)
        if (!delete_rows(core, request, ask->remove[i]))
            return;
    if (ask->n_remove == 0)
        change_rows(core, request);
}
