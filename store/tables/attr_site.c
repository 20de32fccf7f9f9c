/* attr_site.c - the site tables in memory: rows, and who is in which group
 *
 * load() and change() keep the rows; relate() the groups. A row holds only the cells that are set:
 * most of xCAT's columns are empty. */
#include "store/tables/attr_site.h"

#include "conf/array.h"
#include "store/tables/attr_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- names */

const struct attr_node *attr_node(const struct attr_site *site, const char *name)
{
    struct attr_node *node;
    HASH_FIND_STR(site->nodes, name, node);
    return node;
}

static struct attr_node *make_node(struct attr_site *site, const char *name, size_t length)
{
    struct attr_node *node;
    HASH_FIND(hh, site->nodes, name, length, node);
    if (node)
        return node;
    node = calloc(1, sizeof(*node));
    if (node)
        node->name = strndup(name, length);
    if (node && node->name) {
        HASH_ADD_KEYPTR(hh, site->nodes, node->name, length, node);
        if (node->hh.tbl)
            return node;
    }
    if (node)
        free(node->name);
    free(node);
    return NULL;
}

const char *attr_node_name(const struct attr_node *node)
{
    return node->name;
}

size_t attr_count(const struct attr_site *site)
{
    return HASH_COUNT(site->nodes);
}

/* ---- rows */

static struct attr_row *make_row(const struct table *table, uint64_t number, const RmRow *record)
{
    size_t n = 0, size = 0;
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *text = table_cell(record, (int)i);
        n += text != NULL;
        size += text ? strlen(text) + 1 : 0;
    }
    struct attr_row *row = malloc(sizeof(*row) + n * sizeof(row->cells[0]) + size);
    if (!row)
        return NULL;
    *row = (struct attr_row){.number = number, .n = n};
    row->off = table_is_off(table_cell(record, table_column(table, "disable")));
    char *to = (char *)&row->cells[n];
    struct attr_cell *cell = row->cells;
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *text = table_cell(record, (int)i);
        if (!text)
            continue;
        size_t length = strlen(text) + 1;
        *cell++ = (struct attr_cell){(int)i, memcpy(to, text, length)};
        to += length;
    }
    return row;
}

/* Where the row of that number stands, or would stand. */
static size_t place_of(const struct attr_rows *rows, uint64_t number)
{
    size_t low = 0, high = rows->n;
    if (rows->n > 0 && rows->list[rows->n - 1]->number < number)
        return rows->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows->list[middle]->number < number)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void drop_row(struct attr_rows *rows, size_t table, size_t place)
{
    struct attr_row *row = rows->list[place];
    if (row->node->rows[table] == row)
        row->node->rows[table] = NULL;
    free(row);
    rows->n--;
    memmove(&rows->list[place], &rows->list[place + 1], (rows->n - place) * sizeof(rows->list[0]));
}

static int add_row(struct attr_site *site, const struct table *table, uint64_t number,
                   const RmRow *record)
{
    size_t index = table_index(table);
    struct attr_rows *rows = &site->rows[index];
    const char *name = table_cell(record, 0);
    if (!name)
        return 0; /* no row of ours has no key */
    if (array_grow(&rows->list, rows->n, &rows->room, sizeof(*rows->list)) < 0)
        return -ENOMEM;
    struct attr_node *node = make_node(site, name, strlen(name));
    struct attr_row *row = node ? make_row(table, number, record) : NULL;
    if (!row)
        return -ENOMEM;
    size_t place = place_of(rows, number);
    memmove(&rows->list[place + 1], &rows->list[place], (rows->n - place) * sizeof(rows->list[0]));
    rows->list[place] = row;
    rows->n++;
    row->node = node;
    node->rows[index] = row;
    return 0;
}

/* ---- keeping up with the store */

void attr_clear(struct attr_site *site)
{
    struct attr_node *node, *next;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        for (size_t j = 0; j < site->rows[i].n; j++)
            free(site->rows[i].list[j]);
        free(site->rows[i].list);
        site->rows[i] = (struct attr_rows){0};
    }
    HASH_ITER (hh, site->nodes, node, next) {
        HASH_DEL(site->nodes, node); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
        free(node->name);
        free(node);
    }
    free(site->links);
    site->links = NULL;
    site->related = false;
}

struct load {
    struct attr_site *site;
    const struct table *table;
};

static int load_row(void *ctx, uint64_t number, const RmRow *record)
{
    struct load *load = ctx;
    return add_row(load->site, load->table, number, record);
}

static int load(struct attr_site *site)
{
    int r = 0;
    attr_clear(site);
    for (size_t i = 0; i < TABLE_COUNT && r == 0; i++) {
        struct load one = {site, table_at(i)};
        r = table_walk(site->store, one.table, 0, load_row, &one);
    }
    return r;
}

static int change(void *ctx, const void *key, size_t length)
{
    struct attr_site *site = ctx;
    const struct table *table;
    uint64_t number;
    RmRow *record;
    if (!table_row_of_key(key, length, &table, &number))
        return 0;
    size_t index = table_index(table);
    struct attr_rows *rows = &site->rows[index];
    size_t place = place_of(rows, number);
    if (place < rows->n && rows->list[place]->number == number)
        drop_row(rows, index, place);
    if (index == site->nodelist)
        site->related = false;
    struct arena *arena = arena_new(0);
    if (!arena)
        return -ENOMEM;
    int r = table_row_at(site->store, table, number, arena, &record);
    if (r == 0)
        r = add_row(site, table, number, record);
    arena_free(arena);
    return r == -ENOENT ? 0 : r;
}

/* ---- who is in which group */

/* The next name of a list, without blanks around it. False: there is none. */
static bool next_name(const char **at, const char **ret_name, size_t *ret_length)
{
    while (**at) {
        const char *name = *at + strspn(*at, " \t,");
        size_t length = strcspn(name, ",");
        *at = name + length;
        while (length > 0 && (name[length - 1] == ' ' || name[length - 1] == '\t'))
            length--;
        *ret_name = name;
        *ret_length = length;
        if (length > 0)
            return true;
    }
    return false;
}

static const char *groups_of(const struct attr_row *row)
{
    const char *groups = row->off ? NULL : attr_cell(row, 1);
    return groups ? groups : "";
}

/* How many groups all nodes name, and the groups themselves. */
static int count_groups(struct attr_site *site, size_t *ret_n)
{
    const struct attr_rows *rows = &site->rows[site->nodelist];
    size_t n = 0;
    for (size_t i = 0; i < rows->n; i++) {
        const char *at = groups_of(rows->list[i]), *name;
        size_t length;
        while (next_name(&at, &name, &length)) {
            struct attr_node *group = make_node(site, name, length);
            if (!group)
                return -ENOMEM;
            group->n_members++;
            n++;
        }
    }
    *ret_n = n;
    return 0;
}

/* Makes the links between nodes and groups from nodelist.groups: one block of memory, first the
 * groups of each node, then the members of each group. */
static int relate(struct attr_site *site)
{
    const struct attr_rows *rows = &site->rows[site->nodelist];
    struct attr_node *node, *next;
    size_t n = 0;
    HASH_ITER (hh, site->nodes, node, next)
        node->n_groups = node->n_members = 0;
    int r = count_groups(site, &n);
    if (r < 0)
        return r;
    free(site->links);
    site->links = calloc(2 * n + 1, sizeof(*site->links));
    if (!site->links)
        return -ENOMEM;
    struct attr_node **to = site->links, **members = site->links + n;
    HASH_ITER (hh, site->nodes, node, next) {
        node->groups = NULL;
        node->members = (const struct attr_node **)members;
        members += node->n_members;
        node->n_members = 0;
        node->last_member = NULL;
    }
    for (size_t i = 0; i < rows->n; i++) {
        const char *at = groups_of(rows->list[i]), *name;
        size_t length;
        node = rows->list[i]->node;
        node->groups = to;
        while (next_name(&at, &name, &length)) {
            struct attr_node *group = make_node(site, name, length);
            if (!group)
                return -ENOMEM;
            if (group->last_member == node) /* named twice */
                continue;
            group->last_member = node;
            node->groups[node->n_groups++] = group;
            group->members[group->n_members++] = node;
            to++;
        }
    }
    site->related = true;
    return 0;
}

int attr_refresh(struct attr_site *site, struct rm_err *err)
{
    int r = store_changes(site->store, change, site);
    if (r == -ESTALE)
        r = load(site);
    if (r == 0 && !site->related)
        r = relate(site);
    if (r < 0) {
        attr_clear(site);
        store_watch(site->store, STORE_ROW); /* from the beginning next time */
        return rm_fail(err, r, "cannot read the site tables: %s", strerror(-r));
    }
    return 0;
}

/* ---- nodes and groups */

bool attr_is_group(const struct attr_node *node)
{
    return node->n_members > 0 || attr_row(node, table_index(table_find("nodegroup"))) != NULL;
}

bool attr_is_node(const struct attr_node *node)
{
    return attr_row(node, table_index(table_find("nodelist"))) ||
           (attr_row(node, table_index(table_find("vm"))) && !attr_is_group(node));
}

const struct attr_node *const *attr_members(const struct attr_node *group, size_t *ret_n)
{
    *ret_n = group->n_members;
    return (const struct attr_node *const *)group->members;
}

const char *attr_dynamic(const struct attr_node *group)
{
    const struct table *table = table_find("nodegroup");
    const struct attr_row *row = attr_row(group, table_index(table));
    const char *type = row ? attr_cell(row, table_column(table, "grouptype")) : NULL;
    if (!type || strcmp(type, "dynamic") != 0)
        return NULL;
    const char *where = attr_cell(row, table_column(table, "wherevals"));
    return where ? where : "";
}

int attr_walk_nodes(const struct attr_site *site, attr_walk_f *f, void *ctx)
{
    struct attr_node *node, *next;
    int r = 0;
    HASH_ITER (hh, site->nodes, node, next)
        if (r == 0 && attr_is_node(node))
            r = f(ctx, node);
    return r;
}

int attr_clashes(struct attr_site *site, struct rm_err *ret_note)
{
    enum { SHOWN = 20 };
    struct attr_node *node, *next;
    int n = attr_refresh(site, ret_note);
    char list[SHOWN * 64] = "";
    size_t length = 0;
    if (n < 0)
        return n;
    HASH_ITER (hh, site->nodes, node, next) {
        if (!attr_is_group(node) || !attr_row(node, site->nodelist))
            continue;
        if (n++ < SHOWN && strlen(node->name) < sizeof(list) - length - 3)
            length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s",
                                       length > 0 ? ", " : "", node->name);
    }
    if (n == 1)
        rm_err_set(ret_note, "%s is a node and a group; a noderange takes it for the node", list);
    else if (n > 1)
        rm_err_set(ret_note,
                   "%d names are both a node's and a group's; a noderange takes them for "
                   "the node: %s%s",
                   n, list, n > SHOWN ? ", ..." : "");
    return n;
}
