/* attr_name.c - what an attribute is called */
#include "store/tables/attr_name.h"

#include <errno.h>
#include <string.h>

/* A name of its own for a column. */
struct alias {
    const char *name, *table, *column;
};

static const struct alias short_names[] = {
    {"groups", "nodelist", "groups"},
    {"tags", "nodelist", "groups"},
    {"mgt", "nodehm", "mgt"},
};

/* xCAT's names of a node object's attributes where they are not the column's; the columns of
 * nodelist, nodehm and zvm stand for themselves. */
static const struct alias object_names[] = {
    {"vmmanager", "vm", "mgr"},
    {"vmhost", "vm", "host"},
    {"migrationdest", "vm", "migrationdest"},
    {"vmstorage", "vm", "storage"},
    {"vmstoragemodel", "vm", "storagemodel"},
    {"vmstoragecache", "vm", "storagecache"},
    {"vmstorageformat", "vm", "storageformat"},
    {"vmcfgstore", "vm", "cfgstore"},
    {"vmmemory", "vm", "memory"},
    {"vmcpus", "vm", "cpus"},
    {"vmnics", "vm", "nics"},
    {"vmnicnicmodel", "vm", "nicmodel"},
    {"vmbootorder", "vm", "bootorder"},
    {"vmvirtflags", "vm", "virtflags"},
    {"vmmaster", "vm", "master"},
    {"vmvncport", "vm", "vncport"},
    {"vmtextconsole", "vm", "textconsole"},
    {"vmbeacon", "vm", "beacon"},
    {"vmcluster", "vm", "cluster"},
    {"vmothersetting", "vm", "othersettings"},
    {"vmphyslots", "vm", "physlots"},
};

static const char *const object_tables[] = {"nodelist", "nodehm", "zvm"};

static bool is(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

static bool find_alias(const struct alias *aliases, size_t n, const char *name, size_t length,
                       struct attr *ret_attr)
{
    for (size_t i = 0; i < n; i++)
        if (is(aliases[i].name, name, length)) {
            ret_attr->table = table_find(aliases[i].table);
            ret_attr->column = table_column(ret_attr->table, aliases[i].column);
            return true;
        }
    return false;
}

static bool find_column(const struct table *table, const char *name, size_t length,
                        struct attr *ret_attr)
{
    for (size_t i = 0; i < table->n_columns; i++)
        if (is(table->columns[i], name, length)) {
            *ret_attr = (struct attr){table, (int)i};
            return true;
        }
    return false;
}

int attr_find(const char *name, size_t length, struct attr *ret_attr, struct rm_err *err)
{
    int shown = (int)(length < 100 ? length : 100);
    if (find_alias(short_names, sizeof(short_names) / sizeof(short_names[0]), name, length,
                   ret_attr))
        return 0;
    const char *dot = memchr(name, '.', length);
    if (!dot)
        return rm_fail(err, -EINVAL, "'%.*s' is no attribute: write TABLE.COLUMN, groups or mgt",
                       shown, name);
    const struct table *table = NULL;
    for (size_t i = 0; i < TABLE_COUNT && !table; i++)
        if (is(table_at(i)->name, name, (size_t)(dot - name)))
            table = table_at(i);
    if (!table)
        return rm_fail(err, -EINVAL, "No such table: '%.*s'",
                       (int)(dot - name < 100 ? dot - name : 100), name);
    if (!table_is_of_nodes(table))
        return rm_fail(err, -EINVAL, "the table '%s' is not about nodes", table->name);
    if (!find_column(table, dot + 1, length - (size_t)(dot + 1 - name), ret_attr))
        return rm_fail(err, -EINVAL, "the table '%s' has no column '%.*s'", table->name,
                       (int)(length - (size_t)(dot + 1 - name) < 100
                                 ? length - (size_t)(dot + 1 - name)
                                 : 100),
                       dot + 1);
    return 0;
}

int attr_find_object(const char *name, size_t length, struct attr *ret_attr, struct rm_err *err)
{
    if (memchr(name, '.', length))
        return attr_find(name, length, ret_attr, err);
    if (find_alias(object_names, sizeof(object_names) / sizeof(object_names[0]), name, length,
                   ret_attr))
        return 0;
    for (size_t i = 0; i < sizeof(object_tables) / sizeof(object_tables[0]); i++)
        if (find_column(table_find(object_tables[i]), name, length, ret_attr))
            return 0;
    return attr_find(name, length, ret_attr, err);
}
