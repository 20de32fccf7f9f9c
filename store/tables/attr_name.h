/* attr_name.h - what an attribute is called */
#ifndef STORE_TABLES_ATTR_NAME_H
#define STORE_TABLES_ATTR_NAME_H

#include "conf/err.h"
#include "store/tables/table.h"

#include <stddef.h>

struct attr {
    const struct table *table;
    int column;
};

/* TABLE.COLUMN, or the short names groups, tags (nodelist.groups) and mgt (nodehm.mgt). -EINVAL: no
 * such table or column, or a table that is not about nodes. */
int attr_find(const char *name, size_t length, struct attr *ret_attr, struct rm_err *err);

/* The same and, where a dynamic group is defined, xCAT's object attributes: vmhost, vmstorage. */
int attr_find_object(const char *name, size_t length, struct attr *ret_attr, struct rm_err *err);

#endif
