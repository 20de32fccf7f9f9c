/* attr.h - what the site tables say of a node: its attributes, through groups and patterns
 *
 * One resolver for all who ask. As in xCAT, each attribute (table and column) is looked for on its
 * own: first in the node's own row, then in the rows of its groups in the order of nodelist.groups;
 * the first row that sets it wins. An empty value counts as not set, a row that is disabled as not
 * there. What was found is a pattern or not (pattern.h), and stands for something on this node;
 * when that is the empty text, the attribute is not set, and no other group is asked: `|^.*$||`
 * means "nothing, whatever the groups say". The column `node` gives the node's own name.
 *
 * A value that ends with +=NEXTRECORD goes on with that of the next group that has one. Attributes
 * that the site names as hierarchical are lists: those of the node and of all its groups are put
 * together, each item once. In both, each row's value is taken for this node first, and then they
 * are joined (xCAT joins first, which no pattern survives).
 *
 * The rows are kept in memory, decoded, with the members of every group: the broker is the only one
 * who writes the tables, so the store reports what changes, and it is taken in row by row. Nodes
 * and values are borrowed until the next call that refreshes. No logging. */
#ifndef STORE_TABLES_ATTR_H
#define STORE_TABLES_ATTR_H

#include "conf/err.h"
#include "store/store.h"
#include "store/tables/attr_name.h"
#include "store/tables/attr_site.h"

#include <stdint.h>

/* hierarchical: xCAT's list ATTRIBUTE[:DELIMITER],... (the delimiter is a comma where none is
 * given), an attribute being a column's name or TABLE.COLUMN; NULL: none. The store must outlive it
 * and has one attr_site at a time; NULL: only the list is read. -EINVAL: a wrong list; -ENOMEM. */
int attr_new(struct store *store, const char *hierarchical, struct attr_site **ret_site,
             struct rm_err *err);
void attr_free(struct attr_site *site); /* NULL is fine */

struct attr_value {
    const char *text; /* NULL: not set */
    const char *from; /* the groups that it came from, "a,b"; NULL: the node's own row alone */
};

/* What an attribute is on a node. Valid until the next call. -EINVAL and so on: its pattern cannot
 * be evaluated on this node. */
int attr_value(struct attr_site *site, const struct attr_node *node, const struct attr *attr,
               struct attr_value *ret_value, struct rm_err *err);

/* Steps that the regular expressions of all patterns have taken so far, for those who ask for many
 * values and must come to an end. */
uint64_t attr_steps(const struct attr_site *site);

/* The same by names, with a refresh before. A node that is not known has no attributes. */
int attr_get(struct attr_site *site, const char *node, const char *attr,
             struct attr_value *ret_value, struct rm_err *err);

#endif
