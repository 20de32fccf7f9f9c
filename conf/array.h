/* array.h - an array that grows: doubled when it is full
 *
 * An array is three things of its owner: list (a pointer, from malloc; NULL at first), n (items
 * that it holds) and room (items that have a place). It is freed with free(). No size can
 * overflow. */
#ifndef CONF_ARRAY_H
#define CONF_ARRAY_H

#include <stddef.h>

/* One item more: a pointer to it, not initialised, and n counts it. NULL: no memory, and nothing
 * has changed. For what comes from outside: its owner refuses it. */
#define ARRAY_ADD(list, n, room)                                                                   \
    (array_grow(&(list), (n), &(room), sizeof(*(list))) < 0 ? NULL : (list) + (n)++)

/* The same for what a program keeps of its own and cannot go on without: never NULL, see must(). */
#define ARRAY_MUST_ADD(list, n, room)                                                              \
    (array_must_grow(&(list), (n), &(room), sizeof(*(list))), (list) + (n)++)

/* Makes room for list[n] of `size` bytes: 0 or -ENOMEM. list: the address of the owner's pointer,
 * whatever it points to. With size 1: a text of n bytes and its NUL. */
int array_grow(void *list, size_t n, size_t *room, size_t size);
void array_must_grow(void *list, size_t n, size_t *room, size_t size);

/* For qsort(3) and bsearch(3): numbers of 64 bits, rising. */
int array_compare_u64(const void *a, const void *b);

/* The same pointer, which is never NULL: without memory the program ends ("no memory", SIGABRT).
 * For the bookkeeping of programs that lose nothing when they end: must(strdup(name)). */
void *must(void *memory) __attribute__((returns_nonnull));

#endif
