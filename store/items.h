/* items.h - which items a list a,b,c has: each is found once, in time that is linear in the list */
#ifndef STORE_ITEMS_H
#define STORE_ITEMS_H

#include <stddef.h>

struct item {
    const char *text; /* NULL: none here */
    size_t length;
};

/* Begins zeroed. */
struct items {
    struct item *places; /* owned */
    size_t n, room;      /* room is a power of two */
};

/* 1; 0: it was added before; -ENOMEM. The text is borrowed. */
int items_add(struct items *items, const char *text, size_t length);
void items_done(struct items *items);

#endif
