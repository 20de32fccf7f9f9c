/* items.h - which items a list a,b,c has: each is found once, in time that is linear in the list */
#ifndef STORE_ITEMS_H
#define STORE_ITEMS_H

#include <stddef.h>

struct item;

/* Begins zeroed. */
struct items {
    struct item *all; /* owned */
};

/* 1; 0: it was added before; -ENOMEM. The text is borrowed. */
int items_add(struct items *items, const char *text, size_t length);
void items_done(struct items *items);

#endif
