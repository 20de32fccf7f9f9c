/* array.c - an array that grows: doubled when it is full */
#include "conf/array.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST = 16 }; /* items that an array begins with */

int array_grow(void *list, size_t n, size_t *room, size_t size)
{
    if (n < *room)
        return 0;
    size_t more = *room > 0 ? 2 * *room : FIRST;
    if (n >= more)
        more = n < SIZE_MAX ? n + 1 : n;
    if (more > PTRDIFF_MAX / size) /* more than any array can have */
        return -ENOMEM;
    void *items; /* the owner's pointer is to some type: copied as bytes, which any type allows */
    memcpy(&items, list, sizeof(items));
    items = realloc(items, more * size); /* cppcheck-suppress memleakOnRealloc; the list has it */
    if (!items)
        return -ENOMEM;
    memcpy(list, &items, sizeof(items));
    *room = more;
    return 0;
}

void array_must_grow(void *list, size_t n, size_t *room, size_t size)
{
    if (array_grow(list, n, room, size) < 0)
        must(NULL);
}

int array_compare_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void *must(void *memory)
{
    if (!memory) {
        fputs("no memory\n", stderr);
        abort();
    }
    return memory;
}
