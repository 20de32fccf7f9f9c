/* items.c - which items a list has: a table of them by their hashes, half empty */
#include "store/items.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t hash(const char *text, size_t length)
{
    uint64_t h = 14695981039346656037U; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        h = (h ^ (unsigned char)text[i]) * 1099511628211U;
    return (size_t)(h ^ h >> 32);
}

/* Where the item stands, or where it would. */
static struct item *find(const struct items *items, const char *text, size_t length)
{
    size_t i = hash(text, length) & (items->room - 1);
    while (items->places[i].text &&
           (items->places[i].length != length || memcmp(items->places[i].text, text, length) != 0))
        i = (i + 1) & (items->room - 1);
    return &items->places[i];
}

static int grow(struct items *items)
{
    struct items more = {.n = items->n, .room = items->room ? 2 * items->room : 16};
    more.places = calloc(more.room, sizeof(*more.places));
    if (!more.places)
        return -ENOMEM;
    for (size_t i = 0; i < items->room; i++)
        if (items->places[i].text)
            *find(&more, items->places[i].text, items->places[i].length) = items->places[i];
    free(items->places);
    *items = more;
    return 0;
}

int items_add(struct items *items, const char *text, size_t length)
{
    if (2 * items->n >= items->room && grow(items) < 0)
        return -ENOMEM;
    struct item *place = find(items, text, length);
    if (place->text)
        return 0;
    *place = (struct item){text, length};
    items->n++;
    return 1;
}

void items_done(struct items *items)
{
    free(items->places);
    *items = (struct items){0};
}
