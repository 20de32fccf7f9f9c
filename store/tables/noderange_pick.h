/* noderange_pick.h - nodes by group, by attribute and by regex */
#ifndef STORE_TABLES_NODERANGE_PICK_H
#define STORE_TABLES_NODERANGE_PICK_H

#include "store/tables/noderange_set.h"

/* Each adds names; 0 and 1 are success. */
int pick_group(struct expand *x, const char *name, struct node_set *to); /* 1; 0: no such group */
int pick_selection(struct expand *x, struct span s, struct node_set *to);
int pick_regex(struct expand *x, struct span s, struct node_set *to);

#endif
