/* site_change.c - requests that change the site tables: whole tables, rows, the attributes of nodes
 *
 * Each is checked whole before the first row is touched, so that it is carried out altogether or
 * not at all. */
#include "broker/site.h"

#include "store/csv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What explicitly means "nothing, whatever the groups say". */
#define NOTHING "|^.*$||"

/* ---- what several share */

static void warn(struct core *core, struct request *request, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void warn(struct core *core, struct request *request, const char *format, ...)
{
    char text[RM_ERR_MAX], *kept;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    kept = arena_strdup(core->arena, text);
    if (kept != NULL)
        ARENA_PUSH(core->arena, request->reply->n_warnings, request->reply->warnings, kept);
}

/* What a change may mean beyond itself. */
struct effect {
    bool groups; /* nodes and groups may be other ones */
    bool names;  /* so may the names of guests be */
};

/* column: -1: all of them. */
static void note_effect(struct effect *effect, const struct table *table, int column)
{
    bool is_vm = strcmp(table->name, "vm") == 0;

    if (strcmp(table->name, "nodelist") == 0 || strcmp(table->name, "nodegroup") == 0)
        effect->groups = effect->names = true;
    if (is_vm && (column < 0 || strcmp(table->columns[column], "othersettings") == 0 ||
                  strcmp(table->columns[column], "disable") == 0))
        effect->names = true;
}

static void changed(struct core *core, struct request *request, const struct effect *effect)
{
    struct rm_err err = {0};

    core->names_stale = core->names_stale || effect->names;
    if (effect->groups && attr_clashes(core->attr, &err) > 0) {
        core_note(core, LOG_LEVEL_WARN, "%s", err.text);
        warn(core, request, "%s", err.text);
    }
}

/* May that value be stored there? False: the request is refused. */
static bool check_value(struct core *core, struct request *request, const struct attr *attr,
                        const char *key, const char *value)
{
    const char *column = attr->table->columns[attr->column];
    struct rm_err err = {0};

    if (site_is_secret(attr->table, attr->column) && strcmp(value, SITE_MASK) == 0)
        rm_fail(&err, -EINVAL, "%s is what is shown instead of a password", SITE_MASK);
    else if (!csv_is_text(value))
        rm_fail(&err, -EINVAL, "not UTF-8, or a control character");
    else
        table_check_value(attr->table, attr->column, value, &err);
    if (err.text[0] == '\0')
        return true;
    request_refuse(core, request, RM_CODE__CODE_TABLE, "%s.%s of '%s': %s", attr->table->name,
                   column, key, err.text);
    return false;
}

/* Is the item in the list a,b,c? */
static const char *find_item(const char *list, const char *item)
{
    size_t length = strlen(item);

    for (const char *at = list;; at++) {
        size_t n = strcspn(at, ",");
        if (n == length && memcmp(at, item, n) == 0)
            return at;
        at += n;
        if (*at == '\0')
            return NULL;
    }
}

static const char *list_add(struct core *core, const char *list, const char *item, bool in_front)
{
    if (*list == '\0' || *item == '\0')
        return *list == '\0' ? item : list;
    if (find_item(list, item) != NULL)
        return list;
    return in_front ? arena_printf(core->arena, "%s,%s", item, list)
                    : arena_printf(core->arena, "%s,%s", list, item);
}

static const char *list_remove(struct core *core, const char *list, const char *item)
{
    const char *at;

    while (list != NULL && *item != '\0' && (at = find_item(list, item)) != NULL) {
        const char *rest = at + strlen(item);
        size_t before = (size_t)(at - list);
        if (*rest == ',')
            rest++;
        else if (before > 0)
            before--; /* it is the last one: the comma before it goes */
        list = arena_printf(core->arena, "%.*s%s", (int)before, list, rest);
    }
    return list;
}

/* Each item of a list is added on its own. */
static const char *list_add_all(struct core *core, const char *list, const char *items)
{
    while (list != NULL && *items != '\0') {
        size_t n = strcspn(items, ",");
        char *item = arena_printf(core->arena, "%.*s", (int)n, items);
        list = item != NULL ? list_add(core, list, item, false) : NULL;
        items += n + (items[n] == ',' ? 1 : 0);
    }
    return list;
}

static bool store_cell(struct core *core, const struct attr *attr, const char *key,
                       const char *value)
{
    int r = table_row_set(core->store, attr->table, key, attr->column, value);

    if (r < 0)
        core_fail(core, r, "table");
    return r >= 0;
}

/* ---- tables from CSV */

/* Is a password in the text the one that is shown instead? Most texts hold no such thing at all. */
static bool holds_mask(const struct table *table, const char *text, size_t length,
                       struct rm_err *err)
{
    const struct csv_field *fields;
    size_t n, secret;
    unsigned line;
    struct csv *csv;
    bool found = false;

    if (memmem(text, length, SITE_MASK, strlen(SITE_MASK)) == NULL)
        return false;
    csv = csv_new(text, length);
    if (csv == NULL)
        return false;
    if (csv_header(csv, &fields, &n, NULL) >= 0) {
        for (secret = 0; secret < n; secret++) {
            int column = table_column(table, fields[secret].text);
            if (column >= 0 && site_is_secret(table, column))
                break;
        }
        bool has = secret < n;
        while (has && !found && csv_next(csv, &fields, &n, &line, NULL) > 0)
            if (secret < n && strcmp(fields[secret].text, SITE_MASK) == 0) {
                found = true;
                rm_fail(
                    err, -EINVAL,
                    "line %u, character %u: %s is what is shown instead of a password; dump the "
                    "table with --secrets, or leave the field empty",
                    fields[secret].line, fields[secret].column, SITE_MASK);
            }
    }
    csv_free(csv);
    return found;
}

/* A table on its way: how it was, to be put back when a later one is refused. */
struct restore {
    const struct table *table;
    const RmTableRestore *ask;
    char *before; /* CSV; owned; NULL: not kept */
    size_t length;
    int rows;
};

static int keep(struct core *core, struct restore *restore)
{
    FILE *file = open_memstream(&restore->before, &restore->length);
    int r;

    if (file == NULL)
        return -ENOMEM;
    r = table_export(core->store, restore->table, file);
    if (fclose(file) != 0 && r >= 0)
        r = -ENOMEM;
    return r;
}

static int restore_one(struct core *core, struct request *request, struct restore *restore,
                       bool alone)
{
    const RmTableRestore *ask = restore->ask;
    const char *csv = ask->csv.len > 0 ? (const char *)ask->csv.data : "";
    struct rm_err err = {0};
    int r = holds_mask(restore->table, csv, ask->csv.len, &err) ? -EINVAL : 0;

    if (r >= 0 && !alone && (r = keep(core, restore)) < 0)
        rm_fail(&err, r, "cannot read table '%s': %s", restore->table->name, strerror(-r));
    if (r >= 0)
        r = table_restore(core->store, restore->table, csv, ask->csv.len, ask->add, &err);
    if (r >= 0) {
        restore->rows = r;
        return 0;
    }
    if (r == -ENOSPC || r == -EIO)
        core_fail(core, r, "table");
    request_refuse(core, request, RM_CODE__CODE_TABLE, "%s%s%s", alone ? "" : restore->table->name,
                   alone ? "" : ": ", err.text);
    return r;
}

static void put_back(struct core *core, const struct restore *restore)
{
    int r =
        table_restore(core->store, restore->table, restore->before, restore->length, false, NULL);

    if (r < 0)
        core_fail(core, r, "table");
}

static void restored(struct core *core, struct request *request, const struct restore *list,
                     size_t n)
{
    struct effect effect = {0};

    for (size_t i = 0; i < n; i++) {
        const char *word = list[i].ask->add ? "added" : "restored";
        request->reply->count += (uint32_t)list[i].rows;
        note_effect(&effect, list[i].table, -1);
        request_outcome(core, request, list[i].table->name, true, "%d row%s %s", list[i].rows,
                        list[i].rows == 1 ? "" : "s", word);
        site_event(core, RM_EVENT_KIND__TABLE_CHANGED, request->peer->user, NULL, NULL,
                   "table %s: %d row%s %s", list[i].table->name, list[i].rows,
                   list[i].rows == 1 ? "" : "s", word);
    }
    changed(core, request, &effect);
}

static void restore_all(struct core *core, struct request *request, RmTableRestore *const *asks,
                        size_t n)
{
    struct restore list[TABLE_COUNT] = {{0}};
    size_t done = 0;

    if (n == 0 || n > TABLE_COUNT) {
        request_refuse(core, request, RM_CODE__CODE_USAGE, "from one to %d tables", TABLE_COUNT);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        list[i].ask = asks[i];
        list[i].table = site_find_table(core, request, asks[i]->table, RM_CODE__CODE_TABLE);
        if (list[i].table == NULL)
            return;
        for (size_t k = 0; k < i; k++)
            if (list[k].table == list[i].table) {
                request_refuse(core, request, RM_CODE__CODE_USAGE, "the table %s is there twice",
                               list[i].table->name);
                return;
            }
    }
    while (done < n && restore_one(core, request, &list[done], n == 1) >= 0)
        done++;
    if (done == n)
        restored(core, request, list, n);
    for (size_t i = 0; i < done && done < n; i++)
        put_back(core, &list[i]);
    for (size_t i = 0; i < n; i++)
        free(list[i].before);
}

void site_restore(struct core *core, struct request *request)
{
    RmTableRestore *one = request->message->table_restore;

    restore_all(core, request, &one, 1);
}

void site_restore_several(struct core *core, struct request *request)
{
    const RmTablesRestore *ask = request->message->tables_restore;

    restore_all(core, request, ask->tables, ask->n_tables);
}

/* ---- chtab */

/* Deletes the rows that the keys name. */
static bool delete_rows(struct core *core, struct request *request, const char *name)
{
    const RmTableChange *ask = request->message->table_change;
    const struct table *table = site_find_table(core, request, name, RM_CODE__CODE_SOME_FAILED);
    struct site_rows rows;
    struct effect effect = {0};

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
    note_effect(&effect, table, -1);
    changed(core, request, &effect);
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
            value = list_add_all(core, current(core, all, i, &one->attr, key), value);
        if (value == NULL || !check_value(core, request, &one->attr, key, value))
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
        if (attr.column > 0 && !check_value(core, request, &attr, key, ask->keys[i]->value))
            return false;
    }
    return true;
}

static bool make_row(struct core *core, const RmTableChange *ask, const struct table *table,
                     const char *key)
{
    for (size_t i = 0; i < ask->n_keys; i++) {
        struct attr attr = {table, table_column(table, ask->keys[i]->attr)};
        if (!store_cell(core, &attr, key, ask->keys[i]->value))
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

static void change_rows(struct core *core, struct request *request)
{
    const RmTableChange *ask = request->message->table_change;
    struct change *all = arena_alloc(core->arena, (ask->n_sets + 1) * sizeof(*all));
    struct effect effect = {0};

    if (all == NULL)
        return;
    for (size_t i = 0; i < ask->n_sets; i++)
        if (!plan_change(core, request, all, i) ||
            (is_new(core, &all[i]) &&
             !check_new_row(core, request, all[i].attr.table, all[i].rows.key)))
            return;
    for (size_t i = 0; i < ask->n_sets; i++) {
        const struct change *one = &all[i];
        const struct table *table = one->attr.table;
        bool makes = is_new(core, one);
        if (makes && !make_row(core, ask, table, one->rows.key))
            return;
        for (size_t k = 0; k < one->rows.n; k++)
            if (!store_cell(core, &one->attr, one->rows.keys[k], one->values[k]))
                return;
        request->reply->count += (uint32_t)one->rows.n;
        note_effect(&effect, table, makes ? -1 : one->attr.column);
        site_event(core, RM_EVENT_KIND__TABLE_CHANGED, request->peer->user, NULL, NULL,
                   "%s.%s of %zu row%s changed: %s", table->name, table->columns[one->attr.column],
                   one->rows.n, one->rows.n == 1 ? "" : "s",
                   site_keys_text(core, ask->keys, ask->n_keys));
    }
    changed(core, request, &effect);
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

/* ---- nodech */

/* The columns that are changed, each once; a request may change one several times. */
struct node_change {
    struct core *core;
    struct request *request;
    const RmNodeChange *ask;
    struct attr *attrs;  /* of each of ask->sets */
    size_t *first;       /* of each of ask->sets: the first one of the same column */
    const char **values; /* n_nodes * n_sets; what the column becomes stands at its first set */
    size_t n_nodes;
};

/* Members of a dynamic group are found, not named. */
static void warn_of_dynamic(struct node_change *change, const RmTerm *term)
{
    struct core *core = change->core;
    const char *at = term->value;

    while (term->op != RM_OPERATOR__REMOVE && *at != '\0') {
        size_t n = strcspn(at, ",");
        char *name = arena_printf(core->arena, "%.*s", (int)n, at);
        const struct attr_node *group = name != NULL ? attr_node(core->attr, name) : NULL;
        if (group != NULL && attr_dynamic(group) != NULL)
            warn(core, change->request,
                 "nodegroup %s is a dynamic node group, should not add a node into a dynamic node "
                 "group statically",
                 name);
        at += n + (at[n] == ',' ? 1 : 0);
    }
}

static bool is_groups(const struct attr *attr)
{
    return strcmp(attr->table->name, "nodelist") == 0 &&
           strcmp(attr->table->columns[attr->column], "groups") == 0;
}

static bool read_sets(struct node_change *change)
{
    const RmNodeChange *ask = change->ask;

    for (size_t i = 0; i < ask->n_sets; i++) {
        const RmTerm *term = ask->sets[i];
        struct attr *attr = &change->attrs[i];
        if (!site_find_attr(change->core, change->request, term->attr, attr))
            return false;
        if (attr->column == 0) {
            request_refuse(change->core, change->request, RM_CODE__CODE_TABLE,
                           "%s is the key of its row: it cannot be changed", term->attr);
            return false;
        }
        if (is_groups(attr))
            warn_of_dynamic(change, term);
        for (change->first[i] = 0; change->first[i] < i; change->first[i]++)
            if (change->attrs[change->first[i]].table == attr->table &&
                change->attrs[change->first[i]].column == attr->column)
                break;
    }
    return true;
}

/* What the attribute is on the node now; NULL: it cannot be told, and the request is refused. */
static const char *value_now(struct node_change *change, const char *name, const struct attr *attr)
{
    struct core *core = change->core;
    const struct attr_node *node = attr_node(core->attr, name);
    struct attr_value value = {0};
    struct rm_err err = {0};
    int r = node != NULL ? attr_value(core->attr, node, attr, &value, &err) : 0;

    if (r < 0) {
        request_refuse(core, change->request, RM_CODE__CODE_SOME_FAILED, "%s", err.text);
        return NULL;
    }
    return arena_strdup(core->arena, value.text != NULL ? value.text : "");
}

/* What a set makes of the column on one node. NULL: refused, or no memory. */
static const char *apply(struct node_change *change, const char *name, size_t set,
                         const char *before)
{
    const RmTerm *term = change->ask->sets[set];
    const struct attr *attr = &change->attrs[set];
    const char *value = term->value;

    if (term->op == RM_OPERATOR__PREPEND || term->op == RM_OPERATOR__REMOVE ||
        term->op == RM_OPERATOR__APPEND) {
        if (before == NULL)
            before = value_now(change, name, attr);
        else if (strcmp(before, NOTHING) == 0)
            before = "";
        if (before == NULL)
            return NULL;
        value = term->op == RM_OPERATOR__REMOVE
                    ? list_remove(change->core, before, value)
                    : list_add(change->core, before, value, term->op == RM_OPERATOR__PREPEND);
    }
    /* An empty value of its own would let the groups speak again. */
    if (value != NULL && *value == '\0' && table_may_be_pattern(attr->table, attr->column) &&
        !is_groups(attr))
        value = NOTHING;
    return value != NULL && check_value(change->core, change->request, attr, name, value) ? value
                                                                                          : NULL;
}

static bool plan_nodes(struct node_change *change, const struct noderange *nodes)
{
    size_t n = change->ask->n_sets;

    for (size_t i = 0; i < nodes->n; i++)
        for (size_t k = 0; k < n; k++) {
            const char **value = &change->values[i * n + change->first[k]];
            *value = apply(change, nodes->names[i], k, *value);
            if (*value == NULL)
                return false;
        }
    return true;
}

static void write_nodes(struct node_change *change, const struct noderange *nodes)
{
    struct core *core = change->core;
    size_t n = change->ask->n_sets;
    struct effect effect = {0};

    for (size_t k = 0; k < n; k++) {
        const struct attr *attr = &change->attrs[k];
        if (change->first[k] != k)
            continue;
        for (size_t i = 0; i < nodes->n; i++) {
            const char *value = change->values[i * n + k];
            if (!store_cell(core, attr, nodes->names[i], *value != '\0' ? value : NULL))
                return;
        }
        note_effect(&effect, attr->table, attr->column);
        site_event(core, RM_EVENT_KIND__TABLE_CHANGED, change->request->peer->user, NULL, NULL,
                   "%s.%s of %zu node%s changed: %s", attr->table->name,
                   attr->table->columns[attr->column], nodes->n, nodes->n == 1 ? "" : "s",
                   change->ask->nodes);
    }
    change->request->reply->count = (uint32_t)nodes->n;
    changed(core, change->request, &effect);
}

static void change_nodes(struct core *core, struct request *request, const struct noderange *nodes)
{
    const RmNodeChange *ask = request->message->node_change;
    struct node_change change = {.core = core, .request = request, .ask = ask};
    struct rm_err err = {0};

    change.attrs = arena_alloc(core->arena, (ask->n_sets + 1) * sizeof(*change.attrs));
    change.first = arena_alloc(core->arena, (ask->n_sets + 1) * sizeof(*change.first));
    change.values = calloc(nodes->n * ask->n_sets + 1, sizeof(*change.values));
    if (change.attrs == NULL || change.first == NULL || change.values == NULL ||
        attr_refresh(core->attr, &err) < 0)
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "no memory");
    else if (read_sets(&change) && plan_nodes(&change, nodes))
        write_nodes(&change, nodes);
    else if (request->reply->code == RM_CODE__CODE_OK)
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "no memory");
    free(change.values);
}

static void delete_nodes(struct core *core, struct request *request, const struct noderange *nodes)
{
    const RmNodeChange *ask = request->message->node_change;
    struct effect effect = {0};

    for (size_t i = 0; i < ask->n_remove; i++) {
        const struct table *table = table_find(ask->remove[i]);
        size_t gone = 0;
        for (size_t k = 0; k < nodes->n; k++) {
            int r = table_row_delete(core->store, table, nodes->names[k]);
            if (r < 0 && r != -ENOENT)
                core_fail(core, r, "table");
            gone += r == 0 ? 1 : 0;
        }
        request->reply->count += (uint32_t)gone;
        note_effect(&effect, table, -1);
        if (gone > 0)
            site_event(core, RM_EVENT_KIND__TABLE_CHANGED, request->peer->user, NULL, NULL,
                       "table %s: %zu row%s deleted: %s", table->name, gone, gone == 1 ? "" : "s",
                       ask->nodes);
    }
    changed(core, request, &effect);
}

static bool check_remove(struct core *core, struct request *request)
{
    const RmNodeChange *ask = request->message->node_change;

    for (size_t i = 0; i < ask->n_remove; i++) {
        const struct table *table =
            site_find_table(core, request, ask->remove[i], RM_CODE__CODE_SOME_FAILED);
        if (table == NULL)
            return false;
        if (!table_is_of_nodes(table)) {
            request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                           "the table '%s' is not about nodes", table->name);
            return false;
        }
    }
    return true;
}

/* Leaves the nodes that meet the conditions. */
static bool keep_wanted(struct core *core, struct request *request, struct site_filter *filter,
                        struct noderange *nodes)
{
    size_t kept = 0;
    bool told = true;

    for (size_t i = 0; i < nodes->n; i++) {
        struct rm_err err = {0};
        int r = told ? site_filter_meets(core, filter, nodes->names[i], &err) : 0;
        if (r < 0) {
            request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "%s", err.text);
            told = false;
        }
        if (r > 0)
            nodes->names[kept++] = nodes->names[i];
        else
            free(nodes->names[i]);
    }
    nodes->n = kept;
    if (told && kept == 0)
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                       "no nodes of '%s' match these conditions",
                       request->message->node_change->nodes);
    return told && kept > 0;
}

void site_node_change(struct core *core, struct request *request)
{
    const RmNodeChange *ask = request->message->node_change;
    struct site_filter filter = {0};
    struct noderange nodes = {0};

    if (ask->n_sets == 0 && ask->n_remove == 0)
        request_refuse(core, request, RM_CODE__CODE_USAGE, "nothing to be changed");
    else if (check_remove(core, request) &&
             site_filter_read(core, request, ask->where, ask->n_where, false, &filter) &&
             request_guests(core, request, ask->nodes, &nodes) &&
             keep_wanted(core, request, &filter, &nodes)) {
        if (ask->n_remove > 0)
            delete_nodes(core, request, &nodes);
        else
            change_nodes(core, request, &nodes);
    }
    site_filter_done(&filter);
    noderange_done(&nodes);
}
