/* noderange.h - a noderange to a list of names
 *
 * Pure but for the questions that it asks through struct noderange_site. docs: noderange(7).
 * A result is sorted as strings and unique. All bad names are reported together:
 * "Invalid nodes and/or groups in noderange: a,b". An expression that is right and matches nothing is an error too
 * (-ENOENT): "no nodes match 'EXPR'". */
#ifndef STORE_NODERANGE_H
#define STORE_NODERANGE_H

#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    NODERANGE_TEXT_MAX = 1024 * 1024, /* bytes of an expression */
    NODERANGE_NODES_MAX = 1000000,    /* names that one expression may make */
};

struct noderange_site {
    bool (*is_node)(void *ctx, const char *name); /* does it exist? */
    void *ctx;
};

struct noderange {
    char **names;
    size_t n;
};

/* -EINVAL: wrong expression or unknown names; -ENOENT: nothing matches; -E2BIG; -ENOMEM. */
int noderange_expand(const char *expression, const struct noderange_site *site,
                     struct noderange *ret_range, struct rm_err *err);
void noderange_done(struct noderange *range);
bool noderange_has(const struct noderange *range, const char *name);

#endif
