/* noderange.h - a noderange to a list of names
 *
 * The whole grammar of xCAT; noderange(7) describes it for people, with every difference. An
 * element between commas is, in this order: the name of a node; a noderange in parentheses; a@b,
 * what both have; a group, dynamic or static; a selection by attribute (vm.host==hyp01, !=, =~,
 * !~); digits only, which a prefix and a suffix are put around; /regex; brackets n[1-3,7]; n10+3;
 * n1-n3 or n1:n3. -ELEMENT takes away from the whole, @ELEMENT leaves what it has of all before it.
 * ^FILE is the client's to read (submit/nodefile.h).
 *
 * A result is sorted as strings and unique. Every name must exist, also those that are taken away:
 * all that do not are reported together, "Invalid nodes and/or groups in noderange: a,b". What xCAT
 * silently takes for nothing is an error: a range that runs backwards, a selection by what is no
 * attribute, a regex that matches no node, and an expression that matches nothing as a whole
 * (-ENOENT): "no nodes match 'EXPR'".
 *
 * What an expression may cost is bounded, in names and in nodes looked at, so that nobody holds up
 * the broker with one. */
#ifndef STORE_TABLES_NODERANGE_H
#define STORE_TABLES_NODERANGE_H

#include "conf/err.h"
#include "store/tables/noderange_site.h"

#include <stdbool.h>
#include <stddef.h>

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
