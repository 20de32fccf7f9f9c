/* rows.h - which hypervisors and jobs top shows, and in which order */
#ifndef SUBMIT_TOP_ROWS_H
#define SUBMIT_TOP_ROWS_H

#include "submit/top/ui.h"

/* The names of the orders of a pane, in the order in which they are gone through; NULL behind the last one. */
const char *rows_order_name(enum ui_pane pane, unsigned order);

/* Those that the filters let through, sorted; the arrays are in the arena, the records borrowed of the site. NULL: no
 * memory, and *ret_n is 0. */
RmHostView **rows_hosts(const struct ui *ui, struct arena *arena, size_t *ret_n);
struct followed **rows_jobs(const struct ui *ui, struct arena *arena, size_t *ret_n);

/* Memory of a hypervisor that guests have or are promised, in percent of what they may take; -1: not known. */
int rows_memory(const RmHostView *view);

#endif
