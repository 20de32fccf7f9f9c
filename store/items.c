/* items.c - which items a list has */
#define HASH_NONFATAL_OOM 1
#include "store/items.h"

#include <errno.h>
#include <stdlib.h>
#include <uthash.h>

struct item {
    UT_hash_handle hh;
};

int items_add(struct items *items, const char *text, size_t length)
{
    struct item *item;
    HASH_FIND(hh, items->all, text, length, item);
    if (item)
        return 0;
    item = calloc(1, sizeof(*item));
    if (!item)
        return -ENOMEM;
    HASH_ADD_KEYPTR(hh, items->all, text, length, item);
    if (!item->hh.tbl) {
        free(item);
        return -ENOMEM;
    }
    return 1;
}

void items_done(struct items *items)
{
    struct item *item, *next;
    HASH_ITER (hh, items->all, item, next) {
        HASH_DEL(items->all, item); /* NOLINT(clang-analyzer-unix.Malloc): uthash */
        free(item);
    }
}
