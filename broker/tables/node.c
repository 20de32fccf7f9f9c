/* node.c - nodels and nodech: attributes of nodes
 *
 * A change is checked whole before the first row is touched: it is carried out altogether or not at
 * all. */
#include "broker/tables/common.h"
#include "broker/tables/filter.h"
#include "broker/tables/list.h"
#include "broker/tables/requests.h"

#include <stdlib.h>
#include <string.h>

/* What explicitly means "nothing, whatever the groups say". */
#define NOTHING "|^.*$||"

enum {
    PAGE_VALUES = 100000,          /* names and values in one page of nodes */
    PAGE_STEPS = 10 * 1000 * 1000, /* of the patterns that are evaluated for it */
};

/* ---- nodels */

struct node_list {
    struct core *core;
    struct request *request;
    const RmNodes *ask;
    struct attr columns[SITE_COLUMNS_MAX];
    struct attr hidden;
    struct site_filter filter;
    size_t values, bytes; /* in this page */
    uint64_t steps;       /* attr_steps() when it began */
};

static bool add_column(struct node_list *list, const char *label, struct attr attr)
{
    struct core *core = list->core;
    RmReply *reply = list->request->reply;

    if (!site_is_bounded(core, list->request, reply->n_columns + 1, SITE_COLUMNS_MAX, "columns"))
        return false;
    list->columns[reply->n_columns] = attr;
    return ARENA_PUSH(core->arena, reply->n_columns, reply->columns, (char *)label) == 0;
}

/* TABLE stands for all of its columns. */
static bool read_column(struct node_list *list, const char *name)
{
    struct core *core = list->core;
    const struct table *table = table_find(name);
    struct attr attr;

    if (!table)
        return site_find_attr(core, list->request, name, &attr) && add_column(list, name, attr);
    if (!table_is_of_nodes(table))
        return site_bad_column(core, list->request, name, "that table is not about nodes");
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *label = core_printf(core, "%s.%s", table->name, table->columns[i]);
        if (!add_column(list, label, (struct attr){table, (int)i}))
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
    RmNodeValue *one = site_push_value(core, view, column, &list->columns[column], value->text,
                                       list->ask->secrets);

    if (!one)
        return;
    char *from = value->from ? arena_strdup(core->arena, value->from) : NULL;
    if (from)
        one->from = from;
    list->values++;
    list->bytes += strlen(one->value) + strlen(one->from);
}

/* Errors of nodes count as well: there may be very many. */
static void push_error(struct node_list *list, const char *name, const struct rm_err *err)
{
    request_outcome(list->core, list->request, name, false, "%s", err->text);
    list->values++;
    list->bytes += strlen(name) + strlen(err->text);
}

static bool is_full(const struct node_list *list)
{
    return list->values >= PAGE_VALUES || list->bytes >= PAGE_BYTES ||
           attr_steps(list->core->attr) - list->steps >= PAGE_STEPS;
}

/* A node with its values, or the error of the first that cannot be evaluated. */
static void push_node(struct node_list *list, const char *name)
{
    struct core *core = list->core;
    RmReply *reply = list->request->reply;
    const struct attr_node *node = attr_node(core->attr, name);
    RmNodeView *view = arena_alloc(core->arena, sizeof(*view));

    if (!view)
        return;
    rm_node_view__init(view);
    view->name = arena_strdup(core->arena, name);
    for (size_t i = 0; node && i < reply->n_columns; i++) {
        struct attr_value value;
        struct rm_err err = {0};
        if (attr_value(core->attr, node, &list->columns[i], &value, &err) < 0) {
            push_error(list, name, &err);
            return;
        }
        if (value.text)
            push_value(list, view, i, &value);
    }
    list->values++;
    list->bytes += strlen(name);
    if (view->name)
        ARENA_PUSH(core->arena, reply->n_nodes, reply->nodes, view);
}

static bool is_hidden(const struct node_list *list, const char *name)
{
    const struct attr_node *node = attr_node(list->core->attr, name);
    struct attr_value value = {0};

    return node && attr_value(list->core->attr, node, &list->hidden, &value, NULL) >= 0 &&
           value.text && table_is_off(value.text);
}

/* Does it belong to the list? Where that cannot be decided, the node has an error. */
static bool is_wanted(struct node_list *list, const char *name)
{
    struct rm_err err = {0};
    int r = site_filter_meets(list->core, &list->filter, name, &err);

    if (r < 0)
        push_error(list, name, &err);
    return r > 0 && (*list->ask->nodes != '\0' || list->ask->hidden || !is_hidden(list, name));
}

static void refuse_none(struct core *core, struct request *request, const char *nodes)
{
    request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                   "no nodes of '%s' match these conditions", nodes);
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
        if (is_full(list) && i + 1 < nodes->n) {
            reply->after = core_strdup(core, name);
            return;
        }
    }
    if (reply->n_nodes == 0 && reply->n_outcomes == 0 && *list->ask->after == '\0' &&
        list->filter.n > 0)
        refuse_none(core, list->request, list->ask->nodes);
}

void site_nodes(struct core *core, struct request *request)
{
    const RmNodes *ask = request->message->nodes;
    struct node_list *list = core_alloc(core, sizeof(*list));
    struct noderange nodes = {0};
    struct rm_err err = {0};

    if (!site_may_see(core, request, ask->secrets))
        return;
    list->core = core;
    list->request = request;
    list->ask = ask;
    list->steps = attr_steps(core->attr);
    if (read_columns(list) && attr_find("nodelist.hidden", 15, &list->hidden, &err) >= 0 &&
        site_filter_read(core, request, ask->where, ask->n_where, ask->secrets, &list->filter) &&
        (*ask->nodes != '\0' ? request_guests(core, request, ask->nodes, &nodes)
                             : request_all_guests(core, request, &nodes)))
        list_nodes(list, &nodes);
    site_filter_done(&list->filter);
    noderange_done(&nodes);
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
        const char *name = arena_printf(core->arena, "%.*s", (int)n, at); /* there may be many */
        const struct attr_node *group = name ? attr_node(core->attr, name) : NULL;
        if (group && attr_dynamic(group))
            site_warn(
                core, change->request,
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
        if (!site_find_attr(change->core, change->request, term->attr, attr) ||
            !site_may_set(change->core, change->request, attr, term->attr))
            return false;
        if (is_groups(attr))
            warn_of_dynamic(change, term);
        for (change->first[i] = 0; change->first[i] < i; change->first[i]++)
            if (change->attrs[change->first[i]].table == attr->table &&
                change->attrs[change->first[i]].column == attr->column)
                break;
    }
    return true;
}

/* What the attribute is on the node now; NULL: it cannot be evaluated, and the request is refused.
 */
static const char *value_now(struct node_change *change, const char *name, const struct attr *attr)
{
    struct core *core = change->core;
    const struct attr_node *node = attr_node(core->attr, name);
    struct attr_value value = {0};
    struct rm_err err = {0};
    int r = node ? attr_value(core->attr, node, attr, &value, &err) : 0;

    if (r < 0) {
        request_refuse(core, change->request, RM_CODE__CODE_SOME_FAILED, "%s", err.text);
        return NULL;
    }
    return arena_strdup(core->arena, value.text ? value.text : "");
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
        if (!before)
            before = value_now(change, name, attr);
        else if (strcmp(before, NOTHING) == 0)
            before = "";
        if (!before)
            return NULL;
        value = site_change_list(change->core, change->request, before, term->op, value);
    }
    /* An empty value of its own would let the groups speak again. */
    if (value && *value == '\0' && table_may_be_pattern(attr->table, attr->column) &&
        !is_groups(attr))
        value = NOTHING;
    return value && site_check_value(change->core, change->request, attr, name, value) ? value
                                                                                       : NULL;
}

static bool plan_nodes(struct node_change *change, const struct noderange *nodes)
{
    size_t n = change->ask->n_sets;

    for (size_t i = 0; i < nodes->n; i++)
        for (size_t k = 0; k < n; k++) {
            const char **value = &change->values[i * n + change->first[k]];
            *value = apply(change, nodes->names[i], k, *value);
            if (!*value)
                return false;
        }
    return true;
}

/* Each row that is written anew: its pages are copied, each once at most, and it may be new. */
static bool has_room(struct node_change *change, const struct noderange *nodes)
{
    enum {
        OF_ROW = 2 * (TABLE_KEY_MAX + 256) /* its keys and cells, in pages that are half full */
    };
    struct core *core = change->core;
    size_t n = change->ask->n_sets;
    uint64_t bytes =
        store_table_bytes(core->store, STORE_ROW) + store_table_bytes(core->store, STORE_ROW_KEY);

    for (size_t i = 0; i < nodes->n; i++)
        for (size_t k = 0; k < n; k++) {
            const char *value = change->values[i * n + k];
            bytes += change->first[k] == k ? 2 * strlen(value) + OF_ROW : 0;
        }
    return request_room(core, change->request, bytes);
}

static void write_nodes(struct node_change *change, const struct noderange *nodes)
{
    struct core *core = change->core;
    size_t n = change->ask->n_sets;
    struct site_effect effect = {0};

    for (size_t k = 0; k < n; k++) {
        const struct attr *attr = &change->attrs[k];
        if (change->first[k] != k)
            continue;
        for (size_t i = 0; i < nodes->n; i++) {
            const char *value = change->values[i * n + k];
            if (!site_store_cell(core, attr, nodes->names[i], *value != '\0' ? value : NULL))
                return;
        }
        site_report_set(core, change->request, &effect, attr, nodes->n, "node", change->ask->nodes);
    }
    change->request->reply->count = (uint32_t)nodes->n;
    site_changed(core, change->request, &effect);
}

static void change_nodes(struct core *core, struct request *request, const struct noderange *nodes)
{
    const RmNodeChange *ask = request->message->node_change;
    struct node_change change = {.core = core, .request = request, .ask = ask};
    struct rm_err err = {0};

    change.attrs = core_alloc(core, (ask->n_sets + 1) * sizeof(*change.attrs));
    change.first = core_alloc(core, (ask->n_sets + 1) * sizeof(*change.first));
    change.values = calloc(nodes->n * ask->n_sets + 1, sizeof(*change.values));
    if (change.values && attr_refresh(core->attr, &err) >= 0 && read_sets(&change) &&
        plan_nodes(&change, nodes)) {
        if (has_room(&change, nodes))
            write_nodes(&change, nodes);
    } else if (request->reply->code == RM_CODE__CODE_OK)
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "no memory");
    free(change.values);
}

static void delete_nodes(struct core *core, struct request *request, const struct noderange *nodes)
{
    const RmNodeChange *ask = request->message->node_change;
    struct site_effect effect = {0};

    for (size_t i = 0; i < ask->n_remove; i++) {
        const struct table *table = table_find(ask->remove[i]);
        size_t gone = 0;
        for (size_t k = 0; k < nodes->n; k++)
            gone += site_delete_row(core, table, nodes->names[k]) ? 1 : 0;
        site_report_deleted(core, request, &effect, table, gone, ask->nodes);
    }
    site_changed(core, request, &effect);
}

static bool check_remove(struct core *core, struct request *request)
{
    const RmNodeChange *ask = request->message->node_change;

    for (size_t i = 0; i < ask->n_remove; i++) {
        const struct table *table =
            site_find_table(core, request, ask->remove[i], RM_CODE__CODE_SOME_FAILED);
        if (!table)
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
    bool ok = true;

    for (size_t i = 0; i < nodes->n; i++) {
        struct rm_err err = {0};
        int r = ok ? site_filter_meets(core, filter, nodes->names[i], &err) : 0;
        if (r < 0) {
            request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "%s", err.text);
            ok = false;
        }
        if (r > 0)
            nodes->names[kept++] = nodes->names[i];
        else
            free(nodes->names[i]);
    }
    nodes->n = kept;
    if (ok && kept == 0)
        refuse_none(core, request, request->message->node_change->nodes);
    return ok && kept > 0;
}

void site_node_change(struct core *core, struct request *request)
{
    const RmNodeChange *ask = request->message->node_change;
    struct site_filter filter = {0};
    struct noderange nodes = {0};

    if (ask->n_sets == 0 && ask->n_remove == 0)
        request_refuse(core, request, RM_CODE__CODE_USAGE, "nothing to be changed");
    else if (site_is_bounded(core, request, ask->n_sets, SITE_COLUMNS_MAX, "changes") &&
             site_is_bounded(core, request, ask->n_remove, TABLE_COUNT, "tables") &&
             check_remove(core, request) &&
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
