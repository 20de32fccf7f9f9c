/* site.c - what the requests about the site tables share: columns, conditions, lists, what a change
 * means */
#include "broker/site.h"

#include "store/items.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    STEPS_MAX = 20 * 1000 * 1000, /* of the regular expressions of one request */
};

/* ---- what several share */

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
    if (table_is_secret(ret->attr.table, ret->attr.column) && !secrets) {
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
    if (n > SITE_COLUMNS_MAX) {
        request_refuse(core, request, RM_CODE__CODE_USAGE, "more than %d conditions",
                       SITE_COLUMNS_MAX);
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
        uint64_t steps = attr_steps(core->attr);
        int r = known != NULL ? attr_value(core->attr, known, &one->attr, &value, err) : 0;
        if (r < 0)
            return r;
        steps = attr_steps(core->attr) - steps;
        if (steps > filter->steps)
            return rm_fail(err, -E2BIG, "%s: the patterns of its values take too many steps",
                           one->term->attr);
        filter->steps -= steps;
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

/* ---- what changes share */

void site_warn(struct core *core, struct request *request, const char *format, ...)
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

void site_effect_note(struct site_effect *effect, const struct table *table, int column)
{
    bool is_vm = strcmp(table->name, "vm") == 0;

    if (strcmp(table->name, "nodelist") == 0 || strcmp(table->name, "nodegroup") == 0)
        effect->groups = effect->names = true;
    if (strcmp(table->name, "zvm") == 0)
        effect->names = true; /* user ids and members of guests */
    if (is_vm && (column < 0 || strcmp(table->columns[column], "othersettings") == 0 ||
                  strcmp(table->columns[column], "disable") == 0))
        effect->names = true;
}

void site_changed(struct core *core, struct request *request, const struct site_effect *effect)
{
    struct rm_err err = {0};

    core->names_stale = core->names_stale || effect->names;
    if (effect->groups && attr_clashes(core->attr, &err) > 0) {
        core_note(core, LOG_LEVEL_WARN, "%s", err.text);
        site_warn(core, request, "%s", err.text);
    }
}

bool site_check_value(struct core *core, struct request *request, const struct attr *attr,
                      const char *key, const char *value)
{
    const char *column = attr->table->columns[attr->column];
    struct rm_err err = {0};

    if (table_is_secret(attr->table, attr->column) && strcmp(value, SITE_MASK) == 0)
        rm_fail(&err, -EINVAL, "%s is what is shown instead of a password", SITE_MASK);
    else if (!msg_text_is_clean(value))
        rm_fail(&err, -EINVAL, "not UTF-8, or a control character");
    else
        table_check_value(attr->table, attr->column, value, &err);
    if (err.text[0] == '\0')
        return true;
    request_refuse(core, request, RM_CODE__CODE_TABLE, "%s.%s of '%s': %s", attr->table->name,
                   column, key, err.text);
    return false;
}

/* ---- lists a,b,c */

/* A list that is made: its items, each once. */
struct list {
    char *text, *end;
    struct items seen; /* also those that must not come into it */
};

static const char *next_item(const char *at, size_t *ret_length)
{
    at += strspn(at, ",");
    *ret_length = strcspn(at, ",");
    return at;
}

/* Takes in the items; add: and puts them behind the list. */
static int take_items(struct list *list, const char *from, bool add)
{
    size_t n;

    for (from = next_item(from, &n); n > 0; from = next_item(from + n, &n)) {
        int r = items_add(&list->seen, from, n);
        if (r < 0)
            return r;
        if (r == 0 || !add)
            continue;
        if (list->end != list->text)
            *list->end++ = ',';
        list->end = mempcpy(list->end, from, n);
    }
    *list->end = '\0';
    return 0;
}

static bool has_item(const char *list, const char *item)
{
    size_t n, length = strlen(item);

    for (list = next_item(list, &n); n > 0; list = next_item(list + n, &n))
        if (n == length && memcmp(list, item, n) == 0)
            return true;
    return false;
}

static int change_list(struct list *to, const char *list, RmOperator op, const char *items)
{
    int r = 0;

    if (op == RM_OPERATOR__REMOVE || (op == RM_OPERATOR__PREPEND && !has_item(list, items)))
        r = take_items(to, items, /* add = */ op == RM_OPERATOR__PREPEND);
    if (r >= 0)
        r = take_items(to, list, true);
    if (r >= 0 && op == RM_OPERATOR__APPEND)
        r = take_items(to, items, true);
    return r;
}

const char *site_change_list(struct core *core, struct request *request, const char *list,
                             RmOperator op, const char *items)
{
    size_t length = strlen(list), more = strlen(items);
    struct list to = {0};
    int r = -ENOMEM;

    if (length > SITE_LIST_MAX || more > SITE_LIST_MAX) {
        request_refuse(core, request, RM_CODE__CODE_TABLE, "a list of more than %d bytes",
                       SITE_LIST_MAX);
        return NULL;
    }
    to.text = to.end = arena_alloc(core->arena, length + more + 2);
    if (to.text != NULL)
        r = change_list(&to, list, op, items);
    items_done(&to.seen);
    if (r >= 0)
        return to.text;
    request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "no memory");
    return NULL;
}

/* ---- cells */

bool site_store_cell(struct core *core, const struct attr *attr, const char *key, const char *value)
{
    int r = table_row_set(core->store, attr->table, key, attr->column, value);

    if (r < 0)
        core_fail(core, r, "table");
    return r >= 0;
}
