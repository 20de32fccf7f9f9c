/* common.c - what the requests about the site tables share: columns, values, what a change means */
#include "broker/tables/common.h"

#include "broker/names.h"
#include "broker/rules.h"
#include "conf/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* ---- what may be asked */

bool site_may_see(struct core *core, struct request *request, bool secrets)
{
    const struct net_peer *peer = request->peer;

    if (!secrets || peer->role >= ROLE_ADMIN)
        return true;
    request_refuse(core, request, RM_CODE__CODE_NOT_PERMITTED,
                   "Permission denied for request: %s has the role %s, to see passwords needs %s",
                   peer->user, role_name(peer->role), role_name(ROLE_ADMIN));
    core_denied(core, peer->user, NULL, "denied: %s", request->message->command);
    return false;
}

bool site_may_select(struct core *core, struct request *request, const struct attr *attr,
                     const char *name, bool secrets, const char *what)
{
    if (secrets || !table_is_secret(attr->table, attr->column))
        return true;
    request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "%s: a password cannot select %s",
                   name, what);
    return false;
}

bool site_may_set(struct core *core, struct request *request, const struct attr *attr,
                  const char *name)
{
    if (attr->column != 0)
        return true;
    request_refuse(core, request, RM_CODE__CODE_TABLE,
                   "%s is the key of its row: it cannot be changed", name);
    return false;
}

bool site_is_bounded(struct core *core, struct request *request, size_t n, size_t most,
                     const char *what)
{
    if (n > most)
        request_refuse(core, request, RM_CODE__CODE_USAGE, "more than %zu %s at once", most, what);
    return n <= most;
}

bool site_bad_column(struct core *core, struct request *request, const char *name, const char *why)
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
           site_bad_column(core, request, name, err.text);
}

bool site_find_column(struct core *core, struct request *request, const char *name,
                      struct attr *ret_attr)
{
    const char *dot = strchr(name, '.');
    char *first = dot ? core_printf(core, "%.*s", (int)(dot - name), name) : NULL;
    const struct table *table = first ? table_find(first) : NULL;
    int column = table ? table_column(table, dot + 1) : -ENOENT;

    if (column < 0) /* a short name, or the reason why it is none */
        return site_find_attr(core, request, name, ret_attr);
    *ret_attr = (struct attr){table, column};
    return true;
}

const struct table *site_find_table(struct core *core, struct request *request, const char *name,
                                    RmCode code)
{
    const struct table *table = table_find(name);

    if (!table)
        request_refuse(core, request, code, "No such table: %s", name);
    return table;
}

RmNodeValue *site_push_value(struct core *core, RmNodeView *view, size_t column,
                             const struct attr *attr, const char *text, bool secrets)
{
    RmNodeValue *one = arena_alloc(core->arena, sizeof(*one));

    if (!one)
        return NULL;
    if (text && !secrets && table_is_secret(attr->table, attr->column))
        text = TABLE_MASK;
    rm_node_value__init(one);
    one->column = (uint32_t)column;
    one->value = arena_strdup(core->arena, text ? text : "");
    if (!one->value || ARENA_PUSH(core->arena, view->n_values, view->values, one) < 0)
        return NULL;
    return one;
}

/* ---- changes */

void site_warn(struct core *core, struct request *request, const char *format, ...)
{
    char text[RM_ERR_MAX], *kept;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    kept = arena_strdup(core->arena, text);
    if (kept)
        ARENA_PUSH(core->arena, request->reply->n_warnings, request->reply->warnings, kept);
}

bool site_check_value(struct core *core, struct request *request, const struct attr *attr,
                      const char *key, const char *value)
{
    const char *column = attr->table->columns[attr->column];
    struct rm_err err = {0};

    if (table_is_secret(attr->table, attr->column) && strcmp(value, TABLE_MASK) == 0)
        rm_fail(&err, -EINVAL, "%s is what is shown instead of a password", TABLE_MASK);
    else if (!text_is_clean(value))
        rm_fail(&err, -EINVAL, "not UTF-8, or a control character");
    else
        table_check_value(attr->table, attr->column, value, &err);
    if (err.text[0] == '\0')
        return true;
    request_refuse(core, request, RM_CODE__CODE_TABLE, "%s.%s of '%s': %s", attr->table->name,
                   column, key, err.text);
    return false;
}

bool site_store_cell(struct core *core, const struct attr *attr, const char *key, const char *value)
{
    int r = table_row_set(core->store, attr->table, key, attr->column, value);

    if (r < 0)
        core_fail(core, r, "table");
    return r >= 0;
}

bool site_delete_row(struct core *core, const struct table *table, const char *key)
{
    int r = table_row_delete(core->store, table, key);

    if (r < 0 && r != -ENOENT)
        core_fail(core, r, "table");
    return r == 0;
}

void site_effect_note(struct site_effect *effect, const struct table *table, int column)
{
    if (strcmp(table->name, "nodelist") == 0 || strcmp(table->name, "nodegroup") == 0)
        effect->groups = effect->names = true;
    if (names_depend_on(table, column))
        effect->names = true;
}

void site_report_set(struct core *core, struct request *request, struct site_effect *effect,
                     const struct attr *attr, size_t n, const char *what, const char *which)
{
    site_effect_note(effect, attr->table, attr->column);
    core_event(core, RM_EVENT_KIND__TABLE_CHANGED, request->peer->user, NULL, NULL,
               "%s.%s of %zu %s%s changed: %s", attr->table->name,
               attr->table->columns[attr->column], n, what, n == 1 ? "" : "s", which);
}

void site_report_deleted(struct core *core, struct request *request, struct site_effect *effect,
                         const struct table *table, size_t n, const char *which)
{
    request->reply->count += (uint32_t)n;
    site_effect_note(effect, table, -1);
    if (n > 0)
        core_event(core, RM_EVENT_KIND__TABLE_CHANGED, request->peer->user, NULL, NULL,
                   "table %s: %zu row%s deleted: %s", table->name, n, n == 1 ? "" : "s", which);
}

void site_changed(struct core *core, struct request *request, const struct site_effect *effect)
{
    struct rm_err err = {0};

    if (effect->names) { /* they are in a column that names depend on */
        names_changed(core);
        rules_changed(core);
    }
    if (effect->groups && attr_clashes(core->attr, &err) > 0) {
        core_note(core, LOG_LEVEL_WARN, "%s", err.text);
        site_warn(core, request, "%s", err.text);
    }
}
