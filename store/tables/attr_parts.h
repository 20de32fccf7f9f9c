/* attr_parts.h - what attr_site.c keeps in memory and attr.c asks: for these two alone */
#ifndef STORE_TABLES_ATTR_PARTS_H
#define STORE_TABLES_ATTR_PARTS_H

#define HASH_NONFATAL_OOM 1
#include "store/store.h"
#include "store/tables/pattern.h"
#include "store/tables/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uthash.h>

enum {
    ATTR_PATTERNS_MAX = 8192,    /* that are kept ready; more, and all are read again */
    ATTR_JOINED_MAX = 16 * 1024, /* bytes of a value that is put together */
    ATTR_LISTS_MAX = 256,        /* hierarchical attributes */
    ATTR_FROM_MAX = 1024,        /* bytes of the groups that a value came from */
};

struct attr_cell {
    int column;
    const char *text; /* behind the cells of its row */
};

struct attr_row {
    uint64_t number; /* its place in the table */
    struct attr_node *node;
    bool off; /* disabled */
    size_t n;
    struct attr_cell cells[];
};

struct attr_node {
    char *name;
    struct attr_row *rows[TABLE_COUNT]; /* its rows by table_index(); NULL: none */
    struct attr_node **groups;          /* in their order; in site->links */
    size_t n_groups;
    const struct attr_node **members; /* in site->links too */
    size_t n_members;
    const struct attr_node *last_member; /* while members are counted and collected */
    UT_hash_handle hh;
};

/* The rows of a table by number. */
struct attr_rows {
    struct attr_row **list;
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
    struct attr_rows rows[TABLE_COUNT];
    struct attr_node **links; /* groups of all nodes and members of all groups */
    bool related;             /* links is right */
    struct ready *patterns;   /* by value */
    struct hierarchical *lists;
    size_t n_lists;
    size_t nodelist; /* table_index() */
    uint64_t steps;  /* of the patterns, so far */
    char text[PATTERN_RESULT_MAX + 1];
    char joined[ATTR_JOINED_MAX + 1];
    char from[ATTR_FROM_MAX + 1];
};

/* The cell of a column; NULL: it is not set. */
static inline const char *attr_cell(const struct attr_row *row, int column)
{
    for (size_t i = 0; i < row->n; i++)
        if (row->cells[i].column == column)
            return row->cells[i].text;
    return NULL;
}

/* The row of a node in a table (table_index()), if it counts. */
static inline const struct attr_row *attr_row(const struct attr_node *node, size_t table)
{
    const struct attr_row *row = node->rows[table];
    return row && !row->off ? row : NULL;
}

#endif
