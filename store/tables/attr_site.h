/* attr_site.h - the site tables in memory: which nodes and groups there are, and who is in which
 *
 * attr_new() makes one. Nodes are borrowed until the next call that refreshes. */
#ifndef STORE_TABLES_ATTR_SITE_H
#define STORE_TABLES_ATTR_SITE_H

#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>

struct attr_site;
struct attr_node; /* a name that the tables know: of a node, a group, or both */

/* Takes in what has changed in the tables, also what is not committed yet. Cheap when nothing has.
 * After an error nothing is known of any node until it works again. */
int attr_refresh(struct attr_site *site, struct rm_err *err);

void attr_clear(struct attr_site *site); /* forgets all rows */

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
