/* noderange.h - a noderange to a list of names
 *
 * Pure but for the questions that it asks through struct noderange_site. What is understood:
 *
 *   name                     a name that exists is taken as it stands, before anything else is
 * tried a,b                      union; empty elements and ' and " do not count, blanks do n[1-3]
 * n[01:10] n[1,3,5-6] f[1-2]n[1-3] n[1-2].dom     brackets; several of them: every combination
 *   n1-n3  n1:n3             a range: both sides alike but for one number, which is counted; the
 * width of the left one is kept (n08-n10). With - the middle dash divides. -n3 taken away from the
 * whole, wherever it stands
 *
 * A result is sorted as strings and unique. Every name must exist, also those that are taken away:
 * all that do not are reported together, "Invalid nodes and/or groups in noderange: a,b". A range
 * that runs backwards is an error, and so is an expression that is right and matches nothing
 * (-ENOENT): "no nodes match 'EXPR'". */
#ifndef STORE_NODERANGE_H
#define STORE_NODERANGE_H

#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    NODERANGE_TEXT_MAX = 1024 * 1024, /* bytes of an expression */
    NODERANGE_NODES_MAX = 1000000,    /* names that one expression may make, double ones counted */
    NODERANGE_SETS_MAX = 64,          /* pairs of brackets in one element */
    NODERANGE_NAME_MAX = 255,         /* bytes of a name that is made */
    NODERANGE_DIGITS_MAX = 18,        /* of a number that is counted */
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
void noderange_done(struct noderange *range); /* also of a zeroed one */
bool noderange_has(const struct noderange *range, const char *name);

#endif
