/* attr.c - what the site tables say of a node: its own row, its groups, patterns, lists */
#include "store/tables/attr.h"

#include "store/items.h"
#include "store/tables/attr_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- values */

static void forget_patterns(struct attr_site *site)
{
    struct ready *ready, *next;
    HASH_ITER (hh, site->patterns, ready, next) {
        HASH_DEL(site->patterns, ready); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
        pattern_free(ready->pattern);
        free(ready);
    }
}

/* What a row's value is on a node; *ret_text is the value itself or in site->text. */
static int expand(struct attr_site *site, const struct attr_node *node, const char *value,
                  const char **ret_text, struct rm_err *err)
{
    struct ready *ready;
    if (!pattern_is(value)) {
        *ret_text = value;
        return 0;
    }
    HASH_FIND_STR(site->patterns, value, ready);
    if (!ready) {
        if (HASH_COUNT(site->patterns) >= ATTR_PATTERNS_MAX)
            forget_patterns(site);
        size_t length = strlen(value);
        ready = calloc(1, sizeof(*ready) + length + 1);
        if (!ready)
            return rm_fail(err, -ENOMEM, "out of memory");
        memcpy(ready->value, value, length + 1);
        int r = pattern_new(value, &ready->pattern, err);
        if (r == 0) {
            /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): uthash */
            HASH_ADD_STR(site->patterns, value, ready);
            if (!ready->hh.tbl)
                r = rm_fail(err, -ENOMEM, "out of memory");
        }
        if (r < 0) {
            pattern_free(ready->pattern);
            free(ready);
            return r;
        }
    }
    int r = pattern_apply(ready->pattern, node->name, site->text, err);
    site->steps += pattern_steps(ready->pattern);
    *ret_text = site->text;
    return r < 0 ? r : 0;
}

/* A value that is put together from several rows. */
struct join {
    struct attr_site *site;
    const char *delimiter; /* of a list; NULL: joined as they are */
    size_t length;         /* of site->joined */
    size_t from;           /* of site->from */
    bool groups;           /* a group gave something */
    struct items items;    /* of a list; they stand in site->joined */
};

static int join_text(struct join *join, const char *text, size_t length, struct rm_err *err)
{
    if (length > ATTR_JOINED_MAX - join->length)
        return rm_fail(err, -E2BIG,
                       "the values of node and groups together are longer than %d "
                       "bytes",
                       ATTR_JOINED_MAX);
    memcpy(join->site->joined + join->length, text, length);
    join->length += length;
    return 0;
}

/* Puts one item behind the list, unless it is there already. */
static int join_item(struct join *join, const char *text, size_t length, struct rm_err *err)
{
    size_t before = join->length;
    int r = before > 0 ? join_text(join, join->delimiter, strlen(join->delimiter), err) : 0;
    size_t start = join->length;
    if (r == 0)
        r = join_text(join, text, length, err);
    if (r < 0)
        return r;
    r = items_add(&join->items, join->site->joined + start, length);
    if (r == 0)
        join->length = before;
    return r < 0 ? rm_fail(err, r, "out of memory") : 0;
}

static int join_items(struct join *join, const char *text, struct rm_err *err)
{
    size_t gap = strlen(join->delimiter);
    int r = 0;
    while (r == 0 && *text) {
        const char *next = strstr(text, join->delimiter);
        size_t length = next ? (size_t)(next - text) : strlen(text);
        if (length > 0)
            r = join_item(join, text, length, err);
        text += length + (next ? gap : 0);
    }
    return r;
}

/* Remembers whose value it was; what does not fit is left out with "...". */
static void join_from(struct join *join, const char *name)
{
    size_t length = strlen(name), room = ATTR_FROM_MAX - join->from;
    if (room < length + 5) {
        if (room >= 4)
            join->from += (size_t)snprintf(join->site->from + join->from, room, ",...");
        join->from = ATTR_FROM_MAX; /* no more */
        return;
    }
    join->from += (size_t)snprintf(join->site->from + join->from, room + 1, "%s%s",
                                   join->from > 0 ? "," : "", name);
}

/* Adds the value of one row: 1 when the next row counts too, 0 when this was the last. */
static int join_row(struct join *join, const struct attr_node *node, const struct attr_node *from,
                    const char *value, bool is_pattern, struct rm_err *err)
{
    struct attr_site *site = join->site;
    const char *text;
    char *own = NULL;
    size_t length;
    bool more = table_goes_on(value, &length);
    if (more) {
        own = strndup(value, length);
        if (!own)
            return rm_fail(err, -ENOMEM, "out of memory");
        value = own;
    }
    int r = 0;
    text = value;
    if (is_pattern)
        r = expand(site, node, value, &text, err);
    if (r == 0)
        r = join->delimiter ? join_items(join, text, err)
                            : join_text(join, text, strlen(text), err);
    free(own);
    if (r < 0)
        return r;
    join_from(join, from->name);
    join->groups |= from != node;
    return more || join->delimiter;
}

static const char *delimiter_of(const struct attr_site *site, const struct attr *attr)
{
    for (size_t i = 0; i < site->n_lists; i++) {
        const struct hierarchical *list = &site->lists[i];
        if (strcmp(list->column, attr->table->columns[attr->column]) == 0 &&
            (!list->table || strcmp(list->table, attr->table->name) == 0))
            return list->delimiter;
    }
    return NULL;
}

/* The i-th place where a value may stand: the node's own row, then those of its groups. */
static const struct attr_node *source(const struct attr_node *node, size_t i)
{
    return i == 0 ? node : node->groups[i - 1];
}

static int find_value(struct attr_site *site, const struct attr_node *node, const struct attr *attr,
                      struct attr_value *ret_value, struct rm_err *err)
{
    size_t table = table_index(attr->table);
    bool is_pattern = table_may_be_pattern(attr->table, attr->column);
    struct join join = {.site = site, .delimiter = delimiter_of(site, attr)};
    size_t length;
    bool joining = false;
    int r = 1;
    for (size_t i = 0; i <= node->n_groups && r == 1; i++) {
        const struct attr_node *from = source(node, i);
        const struct attr_row *row = attr_row(from, table);
        const char *value = row ? attr_cell(row, attr->column) : NULL;
        if (!value || (i > 0 && from == node))
            continue;
        if (attr->column == 0) { /* the key of a group's row is the group's name */
            *ret_value = (struct attr_value){node->name, i > 0 ? from->name : NULL};
            return 0;
        }
        if (!joining && !join.delimiter && !table_goes_on(value, &length)) {
            r = 0;
            if (is_pattern)
                r = expand(site, node, value, &value, err);
            if (r == 0 && *value)
                *ret_value = (struct attr_value){value, i > 0 ? from->name : NULL};
            return r;
        }
        joining = true;
        r = join_row(&join, node, from, value, is_pattern, err);
    }
    items_done(&join.items);
    if (r < 0 || join.length == 0)
        return r < 0 ? r : 0;
    site->joined[join.length] = '\0';
    *ret_value = (struct attr_value){site->joined, join.groups ? site->from : NULL};
    return 0;
}

int attr_value(struct attr_site *site, const struct attr_node *node, const struct attr *attr,
               struct attr_value *ret_value, struct rm_err *err)
{
    *ret_value = (struct attr_value){0};
    int r = find_value(site, node, attr, ret_value, err);
    if (r < 0 && table_is_secret(attr->table, attr->column))
        rm_fail(err, r, "it cannot be evaluated");
    return r < 0 ? rm_prefix(err, r, "%s.%s of %s", attr->table->name,
                             attr->table->columns[attr->column], node->name)
                 : 0;
}

uint64_t attr_steps(const struct attr_site *site)
{
    return site->steps;
}

int attr_get(struct attr_site *site, const char *node, const char *attr,
             struct attr_value *ret_value, struct rm_err *err)
{
    struct attr what;
    int r = attr_find(attr, strlen(attr), &what, err);
    if (r == 0)
        r = attr_refresh(site, err);
    if (r < 0)
        return r;
    *ret_value = (struct attr_value){0};
    const struct attr_node *known = attr_node(site, node);
    return known ? attr_value(site, known, &what, ret_value, err) : 0;
}

/* ---- making */

/* Is there such a column, in that table or in any? */
static bool is_column(const char *table, const char *column)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if ((!table || strcmp(table_at(i)->name, table) == 0) &&
            table_may_be_pattern(table_at(i), table_column(table_at(i), column)))
            return true;
    return false;
}

static int add_list(struct attr_site *site, char *text, struct rm_err *err)
{
    char *colon = strchr(text, ':'), *dot;
    struct hierarchical *list = &site->lists[site->n_lists];
    if (colon)
        *colon = '\0';
    dot = strchr(text, '.');
    if (dot)
        *dot = '\0';
    if (!is_column(dot ? text : NULL, dot ? dot + 1 : text))
        return rm_fail(err, -EINVAL, "'%s%s%s' is no attribute", text, dot ? "." : "",
                       dot ? dot + 1 : "");
    list->table = dot ? strdup(text) : NULL;
    list->column = strdup(dot ? dot + 1 : text);
    list->delimiter = strdup(colon && colon[1] ? colon + 1 : ",");
    site->n_lists++;
    if ((dot && !list->table) || !list->column || !list->delimiter)
        return rm_fail(err, -ENOMEM, "out of memory");
    return 0;
}

static int read_lists(struct attr_site *site, const char *hierarchical, struct rm_err *err)
{
    char *text = strdup(hierarchical), *rest = text, *item;
    int r = 0;
    site->lists = calloc(ATTR_LISTS_MAX, sizeof(*site->lists));
    if (!text || !site->lists)
        r = rm_fail(err, -ENOMEM, "out of memory");
    while (r == 0 && (item = strsep(&rest, ","))) {
        item += strspn(item, " ");
        if (*item == '\0')
            continue;
        r = site->n_lists < ATTR_LISTS_MAX
                ? add_list(site, item, err)
                : rm_fail(err, -EINVAL, "more than %d attributes", ATTR_LISTS_MAX);
    }
    free(text);
    return r;
}

int attr_new(struct store *store, const char *hierarchical, struct attr_site **ret_site,
             struct rm_err *err)
{
    struct attr_site *site = calloc(1, sizeof(*site));
    if (!site)
        return rm_fail(err, -ENOMEM, "out of memory");
    site->store = store;
    site->nodelist = table_index(table_find("nodelist"));
    int r = hierarchical ? read_lists(site, hierarchical, err) : 0;
    if (r == 0 && store && (r = store_watch(store, STORE_ROW)) < 0)
        rm_fail(err, r, "out of memory");
    if (r < 0) {
        attr_free(site);
        return r;
    }
    *ret_site = site;
    return 0;
}

void attr_free(struct attr_site *site)
{
    if (!site)
        return;
    attr_clear(site);
    forget_patterns(site);
    for (size_t i = 0; i < site->n_lists; i++) {
        free(site->lists[i].table);
        free(site->lists[i].column);
        free(site->lists[i].delimiter);
    }
    free(site->lists);
    free(site);
}
