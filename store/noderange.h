/* noderange.h - a noderange to a list of names
 *
 * The whole grammar of xCAT; noderange(7) tells it for people, with every difference. An element
 * between commas is, in this order: the name of a node; a noderange in parentheses; a@b, what both
 * have; a group, dynamic or static; a selection by attribute (vm.host==hyp01, !=, =~, !~); digits
 * only, which a prefix and a suffix are put around; /regex; brackets n[1-3,7]; n10+3; n1-n3 or
 * n1:n3. -ELEMENT takes away from the whole, @ELEMENT leaves what it has of all before it. ^FILE is
 * the client's to read (wire/nodefile.h).
 *
 * A result is sorted as strings and unique. Every name must exist, also those that are taken away:
 * all that do not are reported together, "Invalid nodes and/or groups in noderange: a,b". What xCAT
 * silently takes for nothing is an error: a range that runs backwards, a selection by what is no
 * attribute, a regex that matches no node, and an expression that matches nothing as a whole
 * (-ENOENT): "no nodes match 'EXPR'".
 *
 * What an expression may cost is bounded, in names and in nodes looked at, so that nobody holds up
 * the broker with one. */
#ifndef STORE_NODERANGE_H
#define STORE_NODERANGE_H

#include "conf/err.h"
#include "store/attr.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    NODERANGE_TEXT_MAX = 1024 * 1024, /* bytes of an expression */
    NODERANGE_NODES_MAX = 1000000,    /* names that one expression may make, double ones counted */
    NODERANGE_SETS_MAX = 64,          /* pairs of brackets in one element */
    NODERANGE_NAME_MAX = 255,         /* bytes of a name that is made */
    NODERANGE_DIGITS_MAX = 18,        /* of a number that is counted */
    NODERANGE_DEPTH_MAX = 64,         /* parentheses inside one another */
    NODERANGE_LOOKS_MAX = 5000000,    /* nodes that all selections together may look at */
    NODERANGE_STEPS_MAX = 30000000,   /* of all regular expressions together */
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

struct noderange {
    char **names;
    size_t n;
};

/* -EINVAL: wrong expression or unknown names; -ENOENT: nothing matches; -E2BIG: it asks too much;
 * -ENOMEM, and what attr_refresh() says. */
int noderange_expand(const char *expression, const struct noderange_site *site,
                     struct noderange *ret_range, struct rm_err *err);
void noderange_done(struct noderange *range); /* also of a zeroed one */
bool noderange_has(const struct noderange *range, const char *name);

#endif
