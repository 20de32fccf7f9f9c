/* attr_site.h - the site tables in memory: what attr_site.c keeps and attr.c asks */
#ifndef STORE_ATTR_SITE_H
#define STORE_ATTR_SITE_H

#define HASH_NONFATAL_OOM 1
#include <stdint.h>
#include <uthash.h>

#include "store/attr.h"
#include "store/pattern.h"

enum {
    ATTR_PATTERNS_MAX = 8192, /* that are kept ready; more, and all are read anew */
    ATTR_LISTS_MAX = 256,     /* hierarchical attributes */
    ATTR_FROM_MAX = 1024,     /* bytes of the groups that a value came from */
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
    const struct attr_node *last_member; /* while members are counted and collected */
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
    uint64_t steps;  /* of the patterns, so far */
    char text[PATTERN_RESULT_MAX + 1];
    char joined[ATTR_JOINED_MAX + 1];
    char from[ATTR_FROM_MAX + 1];
};

/* The cell of a column; NULL: it is not set. */
const char *attr_cell(const struct row *row, int column);
/* The row of a node in a table (table_index()), if it counts. */
const struct row *attr_row(const struct attr_node *node, size_t table);
void attr_clear(struct attr_site *site); /* forgets all rows */

#endif
