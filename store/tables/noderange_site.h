/* noderange_site.h - what a noderange is asked of: which names exist, and what it may cost */
#ifndef STORE_TABLES_NODERANGE_SITE_H
#define STORE_TABLES_NODERANGE_SITE_H

#include "store/tables/attr.h"

#include <stdbool.h>

enum {
    NODERANGE_TEXT_MAX = 1024 * 1024, /* bytes of an expression */
    /* Names that one expression may make, double ones and items of brackets counted: all of a site of 100,000 nodes and
     * all without some fit, and it takes no more than a seventh of a second. */
    NODERANGE_NODES_MAX = 400000,
    NODERANGE_SETS_MAX = 64,        /* pairs of brackets in one element */
    NODERANGE_NAME_MAX = 255,       /* bytes of a name that is made */
    NODERANGE_DIGITS_MAX = 18,      /* of a number that is counted */
    NODERANGE_DEPTH_MAX = 64,       /* parentheses inside one another */
    NODERANGE_LOOKS_MAX = 5000000,  /* nodes that all selections together may look at */
    NODERANGE_STEPS_MAX = 30000000, /* of all regular expressions together */
};

/* Which names exist. The tables (attr) give nodes, groups and attributes; is_node and each_node add
 * nodes that are known from elsewhere: these names must stay where they are during a call. */
struct noderange_site {
    struct attr_site *attr;                       /* NULL: no tables */
    bool (*is_node)(void *ctx, const char *name); /* NULL: none besides those of the tables */
    /* Calls f for each of them until it returns other than 0, which is returned. NULL: none. */
    int (*each_node)(void *ctx, int (*f)(void *to, const char *name), void *to);
    void *ctx;
    const char *prefix, *suffix; /* around digits only; NULL: "node" and nothing */
    const char *exclude; /* a noderange that is taken out of every result; NULL: none. A name in it
                            that does not exist is none of its nodes, and no error */
    bool
        only_is_node; /* the tables' nodes count only where is_node() knows them: for hypervisors */
    bool lenient;     /* names that do not exist are left out, and no node at all is no error */
};

#endif
