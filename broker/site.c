/* site.c - requests that look at the site tables: nodes and their attributes, rows, dumps */
#include "broker/site.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    COLUMNS_MAX = 256,            /* of one request */
    PAGE_VALUES = 100000,         /* names and values in one page of nodes */
    PAGE_ROWS = 5000,             /* rows of a table in one page */
    PAGE_BYTES = 8 * 1024 * 1024, /* of values in either */
    LIKE_MAX = 1024,              /* bytes of a pattern of tabdump */
    STEPS_MAX = 20 * 1000 * 1000, /* of the regular expressions of one request */
};

/* ---- what several share */

bool site_is_secret(const struct table *table, int column)
{
    return strcmp(table->columns[column], "vidpassword") == 0;
}

bool site_may_see(struct core *core, struct request *request, bool secrets)
{
    const struct net_peer *peer = request->peer;

    if (!secrets || peer->role >= ROLE_ADMIN)
        return true;
    request_refuse(core, request, RM_CODE__CODE_NOT_PERMITTED,
                   "Permission denied for request: %s has the role %s, to see passwords needs %s",
                   peer->user, role_name(peer->role), role_name(ROLE_ADMIN));
    if (log_allowed(&core->denied, core->now, USEC_PER_SEC, 5))
        site_event(core, RM_EVENT_KIND__DENIED, peer->user, NULL, NULL, "denied: %s",
                   request->message->command);
    return false;
}

static bool bad_column(struct core *core, struct request *request, const char *name,
                       const char *why)
{
    request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                   "%s not a valid table.column description: %s", name, why);
    return false;
}

bool site_find_attr(struct core *core, struct request *request, const char *name,
                    struct attr *ret_attr)
{
    struct rm_err err = {0};

    return attr_find(name, strlen(name), ret_attr, &err) >= 0 ||
           bad_column(core, request, name, err.text);
}

bool site_find_column(struct core *core, struct request *request, const char *name,
                      struct attr *ret_attr)
{
    const char *dot = strchr(name, '.');
    char *first = dot != NULL ? arena_printf(core->arena, "%.*s", (int)(dot - name), name) : NULL;
    const struct table *table = first != NULL ? table_find(first) : NULL;
    int column = table != NULL ? table_column(table, dot + 1) : -ENOENT;

    if (column < 0) /* a short name, or the reason why it is none */
        return site_find_attr(core, request, name, ret_attr);
    *ret_attr = (struct attr){table, column};
    return true;
}

const struct table *site_find_table(struct core *core, struct request *request, const char *name,
                                    RmCode code)
{
    const struct table *table = table_find(name);

    if (table == NULL)
        request_refuse(core, request, code, "No such table: %s", name);
    return table;
}

/* ---- conditions on nodes */

static bool read_term(struct core *core, struct request *request, const RmTerm *term, bool secrets,
                      struct site_term *ret)
{
    const char *value = term->value;
    size_t length = strlen(value);
    struct rm_err err = {0};

    ret->term = term;
    if (!site_find_attr(core, request, term->attr, &ret->attr))
        return false;
    if (site_is_secret(ret->attr.table, ret->attr.column) && !secrets) {
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                       "%s: a password cannot select nodes", term->attr);
        return false;
    }
    switch (term->op) {
    case RM_OPERATOR__IS:
    case RM_OPERATOR__IS_NOT:
        return true;
    case RM_OPERATOR__LIKE:
    case RM_OPERATOR__NOT_LIKE:
        break;
    default:
        request_refuse(core, request, RM_CODE__CODE_USAGE,
                       "%s: nodes are selected by ==, !=, =~ and !~", term->attr);
        return false;
    }
    if (length > 0 && value[0] == '/') { /* /re/ is re */
        value++;
        length--;
    }
    if (length > 0 && value[length - 1] == '/')
        length--;
    if (regex_new(value, length, 0, &ret->regex, &err) >= 0)
        return true;
    request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "%s=~%s: %s", term->attr, term->value,
                   err.text);
    return false;
}

bool site_filter_read(struct core *core, struct request *request, RmTerm *const *terms, size_t n,
                      bool secrets, struct site_filter *ret_filter)
{
    *ret_filter = (struct site_filter){.steps = STEPS_MAX};
    if (n > COLUMNS_MAX) {
        request_refuse(core, request, RM_CODE__CODE_USAGE, "more than %d conditions", COLUMNS_MAX);
        return false;
    }
    ret_filter->terms = arena_alloc(core->arena, (n + 1) * sizeof(*ret_filter->terms));
    if (ret_filter->terms == NULL) {
        core_fail(core, -ENOMEM, "filter");
        return false;
    }
    for (; ret_filter->n < n; ret_filter->n++)
        if (!read_term(core, request, terms[ret_filter->n], secrets,
                       &ret_filter->terms[ret_filter->n]))
            return false;
    return true;
}

void site_filter_done(struct site_filter *filter)
{
    for (size_t i = 0; i < filter->n; i++)
        regex_free(filter->terms[i].regex);
    filter->n = 0;
}

int site_filter_meets(struct core *core, struct site_filter *filter, const char *node,
                      struct rm_err *err)
{
    const struct attr_node *known = attr_node(core->attr, node);

    for (size_t i = 0; i < filter->n; i++) {
        const struct site_term *one = &filter->terms[i];
        struct attr_value value = {0};
        const char *text;
        bool yes;
        int r = known != NULL ? attr_value(core->attr, known, &one->attr, &value, err) : 0;
        if (r < 0)
            return r;
        text = value.text != NULL ? value.text : "";
        if (one->regex != NULL) {
            r = regex_match(one->regex, text, strlen(text), &filter->steps, err);
            if (r < 0)
                return rm_prefix(err, r, "%s of %s", one->term->attr, node);
            yes = (r == 1) == (one->term->op == RM_OPERATOR__LIKE);
        } else {
            yes = (strcmp(text, one->term->value) == 0) == (one->term->op == RM_OPERATOR__IS);
        }
        if (!yes)
            return 0;
    }
    return 1;
}

/* ---- nodels */

struct node_list {
    struct core *core;
    struct request *request;
    const RmNodes *ask;
    struct attr columns[COLUMNS_MAX];
    struct attr hidden;
    struct site_filter filter;
    size_t values, bytes; /* in this page */
};

static bool add_column(struct node_list *list, const char *label, struct attr attr)
{
    struct core *core = list->core;
    RmReply *reply = list->request->reply;

    if (reply->n_columns == COLUMNS_MAX) {
        request_refuse(core, list->request, RM_CODE__CODE_USAGE, "more than %d columns",
                       COLUMNS_MAX);
        return false;
    }
    list->columns[reply->n_columns] = attr;
    return ARENA_PUSH(core->arena, reply->n_columns, reply->columns, (char *)label) == 0;
}

/* TABLE stands for all of its columns. */
static bool read_column(struct node_list *list, const char *name)
{
    struct core *core = list->core;
    const struct table *table = table_find(name);
    struct attr attr;

    if (table == NULL)
        return site_find_attr(core, list->request, name, &attr) && add_column(list, name, attr);
    if (!table_is_of_nodes(table))
        return bad_column(core, list->request, name, "that table is not about nodes");
    for (size_t i = 0; i < table->n_columns; i++) {
        char *label = arena_printf(core->arena, "%s.%s", table->name, table->columns[i]);
        if (label == NULL || !add_column(list, label, (struct attr){table, (int)i}))
            return false;
    }
    return true;
}

static bool read_columns(struct node_list *list)
{
    for (size_t i = 0; i < list->ask->n_attrs; i++)
        if (!read_column(list, list->ask->attrs[i]))
            return false;
    return true;
}

static void push_value(struct node_list *list, RmNodeView *view, size_t column,
                       const struct attr_value *value)
{
    struct core *core = list->core;
    const struct attr *attr = &list->columns[column];
    RmNodeValue *one = arena_alloc(core->arena, sizeof(*one));
    bool hide = site_is_secret(attr->table, attr->column) && !list->ask->secrets;

    if (one == NULL)
        return;
    rm_node_value__init(one);
    one->column = (uint32_t)column;
    one->value = arena_strdup(core->arena, hide ? SITE_MASK : value->text);
    one->from = value->from != NULL ? arena_strdup(core->arena, value->from) : one->from;
    if (one->value == NULL || one->from == NULL)
        return;
    list->values++;
    list->bytes += strlen(one->value) + strlen(one->from);
    ARENA_PUSH(core->arena, view->n_values, view->values, one);
}

/* A node with its values; one that has a value that cannot be evaluated is told of instead. */
static void push_node(struct node_list *list, const char *name)
{
    struct core *core = list->core;
    RmReply *reply = list->request->reply;
    const struct attr_node *node = attr_node(core->attr, name);
    RmNodeView *view = arena_alloc(core->arena, sizeof(*view));

    if (view == NULL)
        return;
    rm_node_view__init(view);
    view->name = arena_strdup(core->arena, name);
    for (size_t i = 0; node != NULL && i < reply->n_columns; i++) {
        struct attr_value value;
        struct rm_err err = {0};
        if (attr_value(core->attr, node, &list->columns[i], &value, &err) < 0) {
            request_outcome(core, list->request, name, false, "%s", err.text);
            return;
        }
        if (value.text != NULL)
            push_value(list, view, i, &value);
    }
    list->values++;
    list->bytes += strlen(name);
    if (view->name != NULL)
        ARENA_PUSH(core->arena, reply->n_nodes, reply->nodes, view);
}

static bool is_hidden(const struct node_list *list, const char *name)
{
    const struct attr_node *node = attr_node(list->core->attr, name);
    struct attr_value value = {0};

    return node != NULL && attr_value(list->core->attr, node, &list->hidden, &value, NULL) >= 0 &&
           value.text != NULL && table_is_off(value.text);
}

/* Does it belong to the list? What cannot be told is said of the node. */
static bool is_wanted(struct node_list *list, const char *name)
{
    struct rm_err err = {0};
    int r = site_filter_meets(list->core, &list->filter, name, &err);

    if (r < 0)
        request_outcome(list->core, list->request, name, false, "%s", err.text);
    return r > 0 && (*list->ask->nodes != '\0' || list->ask->hidden || !is_hidden(list, name));
}

static void list_nodes(struct node_list *list, const struct noderange *nodes)
{
    struct core *core = list->core;
    RmReply *reply = list->request->reply;

    for (size_t i = 0; i < nodes->n; i++) {
        const char *name = nodes->names[i];
        if (*list->ask->after != '\0' && strcmp(name, list->ask->after) <= 0)
            continue;
        if (is_wanted(list, name))
            push_node(list, name);
        if ((list->values >= PAGE_VALUES || list->bytes >= PAGE_BYTES) && i + 1 < nodes->n) {
            reply->after = arena_strdup(core->arena, name);
            if (reply->after == NULL)
                reply->after = (char *)"";
            return;
        }
    }
    if (reply->n_nodes == 0 && reply->n_outcomes == 0 && *list->ask->after == '\0' &&
        list->filter.n > 0)
        request_refuse(core, list->request, RM_CODE__CODE_SOME_FAILED,
                       "no nodes of '%s' match these conditions", list->ask->nodes);
}

void site_nodes(struct core *core, struct request *request)
{
    const RmNodes *ask = request->message->nodes;
    struct node_list *list = arena_alloc(core->arena, sizeof(*list));
    struct noderange nodes = {0};
    struct rm_err err = {0};

    if (list == NULL || !site_may_see(core, request, ask->secrets))
        return;
    list->core = core;
    list->request = request;
    list->ask = ask;
    if (read_columns(list) && attr_find("nodelist.hidden", 15, &list->hidden, &err) >= 0 &&
        site_filter_read(core, request, ask->where, ask->n_where, ask->secrets, &list->filter) &&
        (*ask->nodes != '\0' ? request_guests(core, request, ask->nodes, &nodes)
                             : request_all_guests(core, request, &nodes)))
        list_nodes(list, &nodes);
    site_filter_done(&list->filter);
    noderange_done(&nodes);
}

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
    int columns[COLUMNS_MAX], r;
    struct row_search search = {.core = core,
                                .table = table,
                                .columns = columns,
                                .keys = keys,
                                .n_keys = n_keys,
                                .rows = ret_rows};
    RmRow *row;

    *ret_rows = (struct site_rows){0};
    if (n_keys == 0 || n_keys > COLUMNS_MAX) {
        request_refuse(core, request, RM_CODE__CODE_USAGE, "say which row: %s=VALUE",
                       table->columns[0]);
        return false;
    }
    for (size_t i = 0; i < n_keys; i++) {
        columns[i] = table_column(table, keys[i]->attr);
        if (columns[i] < 0) {
            char *name = arena_printf(core->arena, "%s.%s", table->name, keys[i]->attr);
            return bad_column(core, request, name != NULL ? name : "?",
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

/* ---- tabdump */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* SQL's LIKE as SQLite has it: % is anything, _ one character, letters in either case. */
static bool is_like(const char *text, const char *pattern)
{
    const char *again = NULL, *from = NULL; /* where the last % goes on */

    while (*text != '\0') {
        if (*pattern == '%') {
            again = ++pattern;
            from = text;
        } else if (*pattern == '_') {
            pattern++;
            do /* a character, not a byte */
                text++;
            while (((unsigned char)*text & 0xc0) == 0x80);
        } else if (lower(*pattern) == lower(*text)) {
            pattern++;
            text++;
        } else if (again != NULL) {
            pattern = again;
            text = ++from;
        } else {
            return false;
        }
    }
    while (*pattern == '%')
        pattern++;
    return *pattern == '\0';
}

struct row_list {
    struct core *core;
    const RmTableDump *ask;
    const struct table *table;
    RmReply *reply;
    int columns[COLUMNS_MAX]; /* of the conditions */
    size_t bytes;
    unsigned looked; /* rows, also those that were left out */
};

static bool row_meets(const struct row_list *list, const RmRow *row)
{
    for (size_t i = 0; i < list->ask->n_where; i++) {
        const RmTerm *term = list->ask->where[i];
        const char *text = table_cell(row, list->columns[i]);
        bool yes = false;
        int order;
        text = text != NULL ? text : "";
        order = strcmp(text, term->value);
        switch (term->op) {
        case RM_OPERATOR__IS:
            yes = order == 0;
            break;
        case RM_OPERATOR__IS_NOT:
            yes = order != 0;
            break;
        case RM_OPERATOR__LIKE:
            yes = is_like(text, term->value);
            break;
        case RM_OPERATOR__NOT_LIKE:
            yes = !is_like(text, term->value);
            break;
        case RM_OPERATOR__ABOVE:
            yes = order > 0;
            break;
        case RM_OPERATOR__BELOW:
            yes = order < 0;
            break;
        case RM_OPERATOR__AT_LEAST:
            yes = order >= 0;
            break;
        case RM_OPERATOR__AT_MOST:
            yes = order <= 0;
            break;
        default:
            break;
        }
        if (!yes)
            return false;
    }
    return true;
}

static int push_row(void *ctx, uint64_t number, const RmRow *row)
{
    struct row_list *list = ctx;
    struct core *core = list->core;
    RmReply *reply = list->reply;
    size_t size = rm_row__get_packed_size(row);
    RmRow *copy = NULL;
    uint8_t *bytes;

    if (row_meets(list, row)) {
        bytes = arena_alloc(core->arena, size + 1);
        if (bytes != NULL) {
            rm_row__pack(row, bytes);
            copy = rm_row__unpack(arena_allocator(core->arena), size, bytes);
        }
        if (copy == NULL)
            return -ENOMEM;
        for (size_t i = 0; i < copy->n_cells && i < list->table->n_columns; i++)
            if (site_is_secret(list->table, (int)i) && !list->ask->secrets &&
                copy->cells[i]->value[0] != '\0')
                copy->cells[i]->value = (char *)SITE_MASK;
        if (ARENA_PUSH(core->arena, reply->n_rows, reply->rows, copy) < 0)
            return -ENOMEM;
        list->bytes += size;
    }
    if (++list->looked < PAGE_ROWS && list->bytes < PAGE_BYTES)
        return 0;
    reply->next = number;
    return 1;
}

static bool read_where(struct row_list *list, struct request *request)
{
    const RmTableDump *ask = list->ask;

    if (ask->n_where > COLUMNS_MAX) {
        request_refuse(list->core, request, RM_CODE__CODE_USAGE, "more than %d conditions",
                       COLUMNS_MAX);
        return false;
    }
    for (size_t i = 0; i < ask->n_where; i++) {
        const RmTerm *term = ask->where[i];
        list->columns[i] = table_column(list->table, term->attr);
        if (list->columns[i] < 0)
            return bad_column(list->core, request, term->attr, "the table has no such column");
        if (site_is_secret(list->table, list->columns[i]) && !ask->secrets) {
            request_refuse(list->core, request, RM_CODE__CODE_SOME_FAILED,
                           "%s: a password cannot select rows", term->attr);
            return false;
        }
        if (strlen(term->value) > LIKE_MAX) {
            request_refuse(list->core, request, RM_CODE__CODE_USAGE,
                           "%s: more than %d bytes to compare with", term->attr, LIKE_MAX);
            return false;
        }
    }
    return true;
}

void site_dump(struct core *core, struct request *request)
{
    const RmTableDump *ask = request->message->table_dump;
    struct row_list *list = arena_alloc(core->arena, sizeof(*list));
    RmReply *reply = request->reply;
    int r;

    if (list == NULL || !site_may_see(core, request, ask->secrets))
        return;
    if (*ask->table == '\0') {
        for (size_t i = 0; table_at(i) != NULL; i++)
            ARENA_PUSH(core->arena, reply->n_columns, reply->columns, (char *)table_at(i)->name);
        return;
    }
    *list = (struct row_list){.core = core, .ask = ask, .reply = reply};
    list->table = site_find_table(core, request, ask->table, RM_CODE__CODE_SOME_FAILED);
    if (list->table == NULL || !read_where(list, request))
        return;
    for (size_t i = 0; i < list->table->n_columns; i++)
        ARENA_PUSH(core->arena, reply->n_columns, reply->columns, (char *)list->table->columns[i]);
    r = table_walk(core->store, list->table, ask->after, push_row, list);
    if (r < 0)
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "cannot read the table %s: %s",
                       list->table->name, strerror(-r));
    reply->count = (uint32_t)reply->n_rows;
}
