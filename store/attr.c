/* attr.c - what the site tables say of a node
 *
 * site_load() and site_change() keep the rows; relate() keeps who is in which group; attr_value()
 * asks them. A row holds only the cells that are set: most of xCAT's columns are empty. */
#include "store/attr.h"

#define HASH_NONFATAL_OOM 1
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "store/pattern.h"

enum {
    PATTERNS_MAX = 8192,    /* that are kept ready; more, and all are read anew */
    HIERARCHICAL_MAX = 256, /* attributes */
    FROM_MAX = 1024,        /* bytes of the groups that a value came from */
};

struct cell {
    int column;
    const char *text; /* behind the cells of its row */
};

struct row {
    uint64_t number; /* its place in the table */
    struct attr_node *node;
    bool off; /* disabled */
    size_t n;
    struct cell cells[];
};

struct attr_node {
    char *name;
    struct row *rows[TABLE_COUNT]; /* its rows by table_index(); NULL: none */
    struct attr_node **groups;     /* in their order; in site->links */
    size_t n_groups;
    const struct attr_node **members; /* in site->links too */
    size_t n_members;
    UT_hash_handle hh;
};

/* The rows of a table by number. */
struct rows {
    struct row **list;
    size_t n, room;
};

/* A pattern that is ready. */
struct ready {
    struct pattern *pattern;
    UT_hash_handle hh;
    char value[];
};

struct hierarchical {
    char *table; /* NULL: of any */
    char *column;
    char *delimiter;
};

struct attr_site {
    struct store *store;
    struct attr_node *nodes; /* by name */
    struct rows rows[TABLE_COUNT];
    struct attr_node **links; /* groups of all nodes and members of all groups */
    bool related;             /* links is right */
    struct ready *patterns;   /* by value */
    struct hierarchical *lists;
    size_t n_lists;
    size_t nodelist; /* table_index() */
    char text[PATTERN_RESULT_MAX + 1];
    char joined[ATTR_JOINED_MAX + 1];
    char from[FROM_MAX + 1];
};

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

static const char *row_cell(const struct row *row, int column)
{
    for (size_t i = 0; i < row->n; i++)
        if (row->cells[i].column == column)
            return row->cells[i].text;
    return NULL;
}

/* The row of a node in a table, if it counts. */
static const struct row *row_of(const struct attr_node *node, size_t table)
{
    const struct row *row = node->rows[table];
    return row && !row->off ? row : NULL;
}

static struct row *make_row(const struct table *table, uint64_t number, const RmRow *record)
{
    size_t n = 0, size = 0;
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *text = table_cell(record, (int)i);
        n += text != NULL;
        size += text ? strlen(text) + 1 : 0;
    }
    struct row *row = malloc(sizeof(*row) + n * sizeof(row->cells[0]) + size);
    if (!row)
        return NULL;
    *row = (struct row){.number = number, .n = n};
    row->off = table_is_off(table_cell(record, table_column(table, "disable")));
    char *to = (char *)&row->cells[n];
    struct cell *cell = row->cells;
    for (size_t i = 0; i < table->n_columns; i++) {
        const char *text = table_cell(record, (int)i);
        if (!text)
            continue;
        size_t length = strlen(text) + 1;
        *cell++ = (struct cell){(int)i, memcpy(to, text, length)};
        to += length;
    }
    return row;
}

/* Where the row of that number stands, or would stand. */
static size_t place_of(const struct rows *rows, uint64_t number)
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

static void drop_row(struct rows *rows, size_t table, size_t place)
{
    struct row *row = rows->list[place];
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
    struct rows *rows = &site->rows[index];
    const char *name = table_cell(record, 0);
    if (!name)
        return 0; /* no row of ours has no key */
    if (rows->n == rows->room) {
        size_t room = rows->room ? rows->room * 2 : 64;
        struct row **list = reallocarray(rows->list, room, sizeof(*list));
        if (!list)
            return -ENOMEM;
        rows->list = list;
        rows->room = room;
    }
    struct attr_node *node = make_node(site, name, strlen(name));
    struct row *row = node ? make_row(table, number, record) : NULL;
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

static void site_clear(struct attr_site *site)
{
    struct attr_node *node, *next;
    for (size_t i = 0; i < TABLE_COUNT; i++) {
        for (size_t j = 0; j < site->rows[i].n; j++)
            free(site->rows[i].list[j]);
        free(site->rows[i].list);
        site->rows[i] = (struct rows){0};
    }
    HASH_ITER (hh, site->nodes, node, next) {
        HASH_DEL(site->nodes, node);
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

static int site_load(struct attr_site *site)
{
    int r = 0;
    site_clear(site);
    for (size_t i = 0; i < TABLE_COUNT && r == 0; i++) {
        struct load load = {site, table_at(i)};
        r = table_walk(site->store, load.table, 0, load_row, &load);
    }
    return r;
}

static int site_change(void *ctx, const void *key, size_t length)
{
    struct attr_site *site = ctx;
    const struct table *table;
    uint64_t number;
    RmRow *record;
    if (!table_row_of_key(key, length, &table, &number))
        return 0;
    size_t index = table_index(table);
    struct rows *rows = &site->rows[index];
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

static const char *groups_of(const struct row *row)
{
    const char *groups = row->off ? NULL : row_cell(row, 1);
    return groups ? groups : "";
}

/* How many groups all nodes name, and the groups themselves. */
static int count_groups(struct attr_site *site, size_t *ret_n)
{
    const struct rows *rows = &site->rows[site->nodelist];
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

static bool is_in(const struct attr_node *node, const struct attr_node *group)
{
    for (size_t i = 0; i < node->n_groups; i++)
        if (node->groups[i] == group)
            return true;
    return false;
}

/* Makes the links between nodes and groups from nodelist.groups: one block of memory, first the
 * groups of each node, then the members of each group. */
static int relate(struct attr_site *site)
{
    const struct rows *rows = &site->rows[site->nodelist];
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
            if (is_in(node, group))
                continue;
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
    int r = store_changes(site->store, site_change, site);
    if (r == -ESTALE)
        r = site_load(site);
    if (r == 0 && !site->related)
        r = relate(site);
    if (r < 0) {
        site_clear(site);
        store_watch(site->store, STORE_ROW); /* from the beginning next time */
        return rm_fail(err, r, "cannot read the site tables: %s", strerror(-r));
    }
    return 0;
}

/* ---- nodes and groups */

bool attr_is_group(const struct attr_node *node)
{
    return node->n_members > 0 || row_of(node, table_index(table_find("nodegroup"))) != NULL;
}

bool attr_is_node(const struct attr_node *node)
{
    return row_of(node, table_index(table_find("nodelist"))) ||
           (row_of(node, table_index(table_find("vm"))) && !attr_is_group(node));
}

const struct attr_node *const *attr_members(const struct attr_node *group, size_t *ret_n)
{
    *ret_n = group->n_members;
    return (const struct attr_node *const *)group->members;
}

const char *attr_dynamic(const struct attr_node *group)
{
    const struct table *table = table_find("nodegroup");
    const struct row *row = row_of(group, table_index(table));
    const char *type = row ? row_cell(row, table_column(table, "grouptype")) : NULL;
    if (!type || strcmp(type, "dynamic") != 0)
        return NULL;
    const char *where = row_cell(row, table_column(table, "wherevals"));
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
        if (!attr_is_group(node) || !row_of(node, site->nodelist))
            continue;
        if (n++ < SHOWN && strlen(node->name) < sizeof(list) - length - 3)
            length += (size_t)snprintf(list + length, sizeof(list) - length, "%s%s",
                                       length > 0 ? ", " : "", node->name);
    }
    if (n == 1)
        rm_fail(ret_note, 0, "%s is a node and a group; a noderange takes it for the node", list);
    else if (n > 1)
        rm_fail(ret_note, 0,
                "%d names are both a node's and a group's; a noderange takes them for "
                "the node: %s%s",
                n, list, n > SHOWN ? ", ..." : "");
    return n;
}

/* ---- values */

/* What a row's value is on a node; *ret_text is the value itself or in site->text. */
static int expand(struct attr_site *site, const struct attr_node *node, const char *value,
                  const char **ret_text, struct rm_err *err)
{
    struct ready *ready, *next;
    if (!pattern_is(value)) {
        *ret_text = value;
        return 0;
    }
    HASH_FIND_STR(site->patterns, value, ready);
    if (!ready) {
        if (HASH_COUNT(site->patterns) >= PATTERNS_MAX)
            HASH_ITER (hh, site->patterns, ready, next) {
                HASH_DEL(site->patterns, ready);
                pattern_free(ready->pattern);
                free(ready);
            }
        size_t length = strlen(value);
        ready = calloc(1, sizeof(*ready) + length + 1);
        if (!ready)
            return rm_fail(err, -ENOMEM, "out of memory");
        memcpy(ready->value, value, length + 1);
        int r = pattern_new(value, &ready->pattern, err);
        if (r == 0) {
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

/* Is that item in the list already? */
static bool has_item(const struct join *join, const char *item, size_t length)
{
    size_t gap = strlen(join->delimiter);
    const char *at = join->site->joined, *end = at + join->length;
    while (at < end) {
        const char *next = memmem(at, (size_t)(end - at), join->delimiter, gap);
        size_t n = (size_t)((next ? next : end) - at);
        if (n == length && memcmp(at, item, n) == 0)
            return true;
        at = next ? next + gap : end;
    }
    return false;
}

static int join_items(struct join *join, const char *text, struct rm_err *err)
{
    size_t gap = strlen(join->delimiter);
    int r = 0;
    while (r == 0 && *text) {
        const char *next = strstr(text, join->delimiter);
        size_t length = next ? (size_t)(next - text) : strlen(text);
        if (length > 0 && !has_item(join, text, length)) {
            if (join->length > 0)
                r = join_text(join, join->delimiter, gap, err);
            if (r == 0)
                r = join_text(join, text, length, err);
        }
        text += length + (next ? gap : 0);
    }
    return r;
}

/* Remembers whose value it was; what does not fit is left out with "...". */
static void join_from(struct join *join, const char *name)
{
    size_t length = strlen(name), room = FROM_MAX - join->from;
    if (room < length + 5) {
        if (room >= 4)
            join->from += (size_t)snprintf(join->site->from + join->from, room, ",...");
        join->from = FROM_MAX; /* no more */
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
        const struct row *row = row_of(from, table);
        const char *value = row ? row_cell(row, attr->column) : NULL;
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
    return r < 0 ? rm_prefix(err, r, "%s.%s of %s", attr->table->name,
                             attr->table->columns[attr->column], node->name)
                 : 0;
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
    site->lists = calloc(HIERARCHICAL_MAX, sizeof(*site->lists));
    if (!text || !site->lists)
        r = rm_fail(err, -ENOMEM, "out of memory");
    while (r == 0 && (item = strsep(&rest, ",")) != NULL) {
        item += strspn(item, " ");
        if (*item == '\0')
            continue;
        r = site->n_lists < HIERARCHICAL_MAX
                ? add_list(site, item, err)
                : rm_fail(err, -EINVAL, "more than %d attributes", HIERARCHICAL_MAX);
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
    if (r == 0 && (r = store_watch(store, STORE_ROW)) < 0)
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
    struct ready *ready, *next;
    if (!site)
        return;
    site_clear(site);
    HASH_ITER (hh, site->patterns, ready, next) {
        HASH_DEL(site->patterns, ready);
        pattern_free(ready->pattern);
        free(ready);
    }
    for (size_t i = 0; i < site->n_lists; i++) {
        free(site->lists[i].table);
        free(site->lists[i].column);
        free(site->lists[i].delimiter);
    }
    free(site->lists);
    free(site);
}
