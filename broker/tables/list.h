/* list.h - values that are lists a,b,c: items are added and taken out */
#ifndef BROKER_TABLES_LIST_H
#define BROKER_TABLES_LIST_H

#include "broker/request.h"

enum {
    SITE_LIST_MAX = 16 * 1024, /* bytes of the list, and of the items */
};

/* The list a,b,c with items put behind it (APPEND), in front (PREPEND) or taken out (REMOVE); each
 * item stands in it once. In core->arena. NULL: the request is refused. */
const char *site_change_list(struct core *core, struct request *request, const char *list,
                             RmOperator op, const char *items);

#endif
