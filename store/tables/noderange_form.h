/* noderange_form.h - the forms of a noderange that make names: n[1-3], n1-n3, n10+3 */
#ifndef STORE_TABLES_NODERANGE_FORM_H
#define STORE_TABLES_NODERANGE_FORM_H

#include "store/tables/noderange_set.h"

/* Each returns 1 and the names that the text makes (in the arena), whether
 * they exist or not; 0 when it is not of that form; or an error. */
int form_brackets(struct expand *x, struct span s, struct node_set *names);
int form_plus(struct expand *x, struct span s, struct node_set *names);
int form_range(struct expand *x, struct span s, struct node_set *names);

#endif
