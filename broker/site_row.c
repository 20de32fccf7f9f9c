/* site_row.c - gettab and chtab: rows of the tables as they are stored, found by their values
 *
 * A change is checked whole before the first row is touched: it is carried out altogether or not at
 * all. */
#include "broker/site.h"

#include "store/csv.h"

#include <errno.h>
#include <string.h>

/* ---- gettab: rows by their values */

const char *site_keys_text(struct core *core, RmTerm *const *keys, size_t n_keys)
{
    const char *text = "";

    for (size_t i = 0; i < n_keys && text != NULL; i++)
        text = arena_printf(core->arena, "%s%s%s=%s", text, i > 0 ? "," : "", keys[i]->attr,
                            strcmp(keys[i]->attr, "vidpassword") == 0 ? SITE_MASK : keys[i]->value);
    return text != NULL ? text : "?";
}

struct row_search {
    struct core *core;
    const struct table *table;
    const int *columns;
    RmTerm *const *keys;
    size_t n_keys;
    struct site_rows *rows;
};

static bool row_has(const struct row_search *search, const RmRow *row)
{
    for (size_t i = 0; i < search->n_keys; i++) {
        const char *text = table_cell(row, search->columns[i]);
        if (strcmp(text != NULL ? text : "", search->keys[i]->value) != 0)
            return false;
    }
    return true;
}

static int search_row(void *ctx, uint64_t number, const RmRow *row)
{
    const struct row_search *search = ctx;
    char *key = row_has(search, row) ? arena_strdup(search->core->arena, table_cell(row, 0)) : NULL;

    (void)number;
    if (key == NULL)
        return 0;
    return ARENA_PUSH(search->core->arena, search->rows->n, search->rows->keys, key);
}

bool site_find_rows(struct core *core, struct request *request, const struct table *table,
                    RmTerm *const *keys, size_t n_keys, struct site_rows *ret_rows)
{
    int columns[SITE_COLUMNS_MAX], r;
    struct row_search search = {.core = core,
                                .table = table,
                                .columns = columns,
                                .keys = keys,
                                .n_keys = n_keys,
                                .rows = ret_rows};
    RmRow *row;

    *ret_rows = (struct site_rows){0};
    if (n_keys == 0 || n_keys > SITE_COLUMNS_MAX) {
        request_refuse(core, request, RM_CODE__CODE_USAGE, "say which row: %s=VALUE",
                       table->columns[0]);
        return false;
    }
    for (size_t i = 0; i < n_keys; i++) {
        columns[i] = table_column(table, keys[i]->attr);
        if (columns[i] < 0) {
            char *name = arena_printf(core->arena, "%s.%s", table->name, keys[i]->attr);
            return site_bad_column(core, request, name != NULL ? name : "?",
                                   "the table has no such column");
        }
        if (columns[i] == 0)
            ret_rows->key = keys[i]->value;
    }
    if (ret_rows->key == NULL) {
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

static bool get_value(struct core *core, struct request *request, RmNodeView *view, size_t column,
                      const struct attr *attr)
{
    const RmTableGet *ask = request->message->table_get;
    struct site_rows rows;
    RmNodeValue *one = arena_alloc(core->arena, sizeof(*one));
    const char *text;
    RmRow *row;

    for (size_t i = 0; i < ask->n_keys; i++) {
        int key = table_column(attr->table, ask->keys[i]->attr);
        if (key >= 0 && site_is_secret(attr->table, key) && !ask->secrets) {
            request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                           "%s: a password cannot select rows", ask->keys[i]->attr);
            return false;
        }
    }
    if (one == NULL || !site_find_rows(core, request, attr->table, ask->keys, ask->n_keys, &rows))
        return false;
    if (rows.n == 0 ||
        table_row_get(core->store, attr->table, rows.keys[0], core->arena, &row) < 0) {
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no row of the table %s has %s",
                       attr->table->name, site_keys_text(core, ask->keys, ask->n_keys));
        return true; /* the other tables may have one */
    }
    text = table_cell(row, attr->column);
    if (text != NULL && site_is_secret(attr->table, attr->column) && !ask->secrets)
        text = SITE_MASK;
    rm_node_value__init(one);
    one->column = (uint32_t)column;
    one->value = (char *)(text != NULL ? text : "");
    return ARENA_PUSH(core->arena, view->n_values, view->values, one) == 0;
}

void site_get(struct core *core, struct request *request)
{
    const RmTableGet *ask = request->message->table_get;
    RmNodeView *view = arena_alloc(core->arena, sizeof(*view));

    if (view == NULL || !site_may_see(core, request, ask->secrets))
        return;
    rm_node_view__init(view);
    for (size_t i = 0; i < ask->n_attrs; i++) {
        struct attr attr;
        if (!site_find_column(core, request, ask->attrs[i], &attr) ||
            !get_value(core, request, view, i, &attr))
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
    struct site_rows rows;
    struct site_effect effect = {0};

    if (table == NULL || !site_find_rows(core, request, table, ask->keys, ask->n_keys, &rows))
        return false;
    if (rows.n == 0) {
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no row of the table %s has %s",
                       table->name, site_keys_text(core, ask->keys, ask->n_keys));
        return true; /* the other tables may have one */
    }
    for (size_t i = 0; i < rows.n; i++) {
        int r = table_row_delete(core->store, table, rows.keys[i]);
        if (r < 0)
            core_fail(core, r, "table");
    }
    request->reply->count += (uint32_t)rows.n;
    site_event(core, RM_EVENT_KIND__TABLE_CHANGED, request->peer->user, NULL, NULL,
               "table %s: %zu row%s deleted: %s", table->name, rows.n, rows.n == 1 ? "" : "s",
               site_keys_text(core, ask->keys, ask->n_keys));
    site_effect_note(&effect, table, -1);
    site_changed(core, request, &effect);
    return true;
}

/* A change of chtab that was understood: a column of some rows of its table. */
struct change {
    struct attr attr;
    const RmTerm *term;
    struct site_rows rows;
    const char **values; /* for each row; NULL: undefined */
};

/* The value that the row has now, with what earlier changes of this request make of it. */
static const char *current(struct core *core, const struct change *all, size_t before,
                           const struct attr *attr, const char *key)
{
    const char *text;
    RmRow *row;

    for (size_t i = before; i-- > 0;)
        if (all[i].attr.table == attr->table && all[i].attr.column == attr->column)
            for (size_t k = 0; k < all[i].rows.n; k++)
                if (strcmp(all[i].rows.keys[k], key) == 0)
                    return all[i].values[k] != NULL ? all[i].values[k] : "";
    if (table_row_get(core->store, attr->table, key, core->arena, &row) < 0)
        return "";
    text = table_cell(row, attr->column);
    return text != NULL ? text : "";
}

static bool plan_change(struct core *core, struct request *request, struct change *all, size_t i)
{
    const RmTableChange *ask = request->message->table_change;
    struct change *one = &all[i];
    const struct table *table;

    one->term = ask->sets[i];
    if (!site_find_column(core, request, one->term->attr, &one->attr))
        return false;
    table = one->attr.table;
    if (one->attr.column == 0) {
        request_refuse(core, request, RM_CODE__CODE_TABLE,
                       "%s is the key of its row: it cannot be changed", one->term->attr);
        return false;
    }
    if (!site_find_rows(core, request, table, ask->keys, ask->n_keys, &one->rows))
        return false;
    if (one->rows.n == 0 && (one->rows.key == NULL || one->rows.clash)) {
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                       one->rows.clash ? "the table %s has a row '%s', but not with %s"
                                       : "no row of the table %s has %s%s",
                       table->name, one->rows.clash ? one->rows.key : "",
                       site_keys_text(core, ask->keys, ask->n_keys));
        return false;
    }
    if (one->rows.n == 0) {
        char *key = arena_strdup(core->arena, one->rows.key);
        if (key == NULL || ARENA_PUSH(core->arena, one->rows.n, one->rows.keys, key) < 0)
            return false;
    }
    one->values = arena_alloc(core->arena, one->rows.n * sizeof(*one->values));
    for (size_t k = 0; one->values != NULL && k < one->rows.n; k++) {
        const char *key = one->rows.keys[k], *value = one->term->value;
        if (one->term->op == RM_OPERATOR__APPEND)
            value = site_change_list(core, request, current(core, all, i, &one->attr, key),
                                     RM_OPERATOR__APPEND, value);
        if (value == NULL || !site_check_value(core, request, &one->attr, key, value))
            return false;
        one->values[k] = *value != '\0' ? value : NULL;
    }
    return one->values != NULL;
}

/* The other columns that name a row that is new are its values as well. */
static bool check_new_row(struct core *core, struct request *request, const struct table *table,
                          const char *key)
{
    const RmTableChange *ask = request->message->table_change;

    if (*key == '\0' || strlen(key) > TABLE_KEY_MAX || !csv_is_text(key)) {
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

    return one->rows.key != NULL &&
           table_row_number(core->store, one->attr.table, one->rows.key, &number) == -ENOENT;
}

static bool plan_all(struct core *core, struct request *request, struct change *all)
{
    const RmTableChange *ask = request->message->table_change;

    for (size_t i = 0; all != NULL && i < ask->n_sets; i++)
        if (!plan_change(core, request, all, i) ||
            (is_new(core, &all[i]) &&
             !check_new_row(core, request, all[i].attr.table, all[i].rows.key)))
            return false;
    return all != NULL;
}

static void change_rows(struct core *core, struct request *request)
{
    const RmTableChange *ask = request->message->table_change;
    struct change *all = arena_alloc(core->arena, (ask->n_sets + 1) * sizeof(*all));
    struct site_effect effect = {0};

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
        site_effect_note(&effect, table, makes ? -1 : one->attr.column);
        site_event(core, RM_EVENT_KIND__TABLE_CHANGED, request->peer->user, NULL, NULL,
                   "%s.%s of %zu row%s changed: %s", table->name, table->columns[one->attr.column],
                   one->rows.n, one->rows.n == 1 ? "" : "s",
                   site_keys_text(core, ask->keys, ask->n_keys));
    }
    site_changed(core, request, &effect);
}

void site_table_change(struct core *core, struct request *request)
{
    const RmTableChange *ask = request->message->table_change;

    for (size_t i = 0; i < ask->n_remove; i++) {
        const struct table *table =
            site_find_table(core, request, ask->remove[i], RM_CODE__CODE_SOME_FAILED);
        struct site_rows rows;
        if (table == NULL || !site_find_rows(core, request, table, ask->keys, ask->n_keys, &rows))
            return;
    }
    for (size_t i = 0; i < ask->n_remove; i++)
        if (!delete_rows(core, request, ask->remove[i]))
            return;
    if (ask->n_remove == 0)
        change_rows(core, request);
}
