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
 * who writes the tables, so what changes is told by the store and taken in row by row. Nodes and
 * values are borrowed until the next call that refreshes. No logging. */
#ifndef STORE_ATTR_H
#define STORE_ATTR_H

#include "conf/err.h"
#include "store/store.h"
#include "store/table.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    ATTR_JOINED_MAX = 16 * 1024, /* bytes of a value that is put together */
};

struct attr_site;
struct attr_node; /* a name that the tables know: of a node, a group, or both */

/* hierarchical: xCAT's list ATTRIBUTE[:DELIMITER],... (the delimiter is a comma where none is
 * given), an attribute being a column's name or TABLE.COLUMN; NULL: none. The store must outlive it
 * and has one attr_site at a time. -EINVAL: a wrong list; -ENOMEM. */
int attr_new(struct store *store, const char *hierarchical, struct attr_site **ret_site,
             struct rm_err *err);
void attr_free(struct attr_site *site); /* NULL is fine */

/* Takes in what has changed in the tables, also what is not committed yet. Cheap when nothing has.
 * After an error nothing is known of any node until it works again. */
int attr_refresh(struct attr_site *site, struct rm_err *err);

/* ---- attributes */

struct attr {
    const struct table *table;
    int column;
};

/* TABLE.COLUMN, or the short names groups, tags (nodelist.groups) and mgt (nodehm.mgt). -EINVAL: no
 * such table or column, or a table that is not about nodes. */
int attr_find(const char *name, size_t length, struct attr *ret_attr, struct rm_err *err);

/* The same and, where a dynamic group is defined, xCAT's object attributes: vmhost, vmstorage. */
int attr_find_object(const char *name, size_t length, struct attr *ret_attr, struct rm_err *err);

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

/* ---- nodes and groups */

const struct attr_node *attr_node(const struct attr_site *site, const char *name); /* or NULL */
const char *attr_node_name(const struct attr_node *node);

/* A node has a row in nodelist; or one in vm, if it is not the name of a group. */
bool attr_is_node(const struct attr_node *node);
/* A group is named in nodelist.groups, or has a row in nodegroup. */
bool attr_is_group(const struct attr_node *node);
/* The nodes whose nodelist.groups names it, in the order of the table. */
const struct attr_node *const *attr_members(const struct attr_node *group, size_t *ret_n);
/* What a dynamic group is defined by (nodegroup.wherevals), "" where nothing is; NULL: it is not
 * one. */
const char *attr_dynamic(const struct attr_node *group);

/* All nodes, in no order. f returns 0 to go on, otherwise that is returned. */
typedef int attr_walk_f(void *ctx, const struct attr_node *node);
int attr_walk_nodes(const struct attr_site *site, attr_walk_f *f, void *ctx);
size_t attr_count(const struct attr_site *site); /* names, of nodes and of groups */

/* How many names are both a node's and a group's; the text says which: a noderange takes such a
 * name for the node. Refreshes. */
int attr_clashes(struct attr_site *site, struct rm_err *ret_note);

#endif
