/* noderange_set.c - sets of names, and what an expression on its way has used up */
#include "store/tables/noderange_set.h"

#include "conf/array.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MISSING_KEPT = 4096, /* names that do not exist; the others are counted */
};

/* ---- lists of names */

int set_add(struct node_set *names, const char *name)
{
    const char **added = ARRAY_ADD(names->list, names->n, names->room);
    if (!added)
        return -ENOMEM;
    *added = name;
    return 0;
}

void set_done(struct node_set *names)
{
    free(names->list);
    *names = (struct node_set){0};
}

int set_compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void set_sort(struct node_set *names)
{
    size_t n = 0;
    if (names->n > 1)
        qsort(names->list, names->n, sizeof(*names->list), set_compare);
    for (size_t i = 0; i < names->n; i++)
        if (n == 0 || strcmp(names->list[n - 1], names->list[i]) != 0)
            names->list[n++] = names->list[i];
    names->n = n;
}

int expand_reduce(struct expand *x, struct node_set *names, struct node_set *other, bool keep)
{
    if (names->n == 0 || (other->n == 0 && !keep))
        return 0;
    int r = expand_look(x, names->n + other->n);
    if (r < 0)
        return r;
    set_sort(names);
    set_sort(other);
    size_t n = 0, j = 0;
    for (size_t i = 0; i < names->n; i++) {
        int order = 1;
        while (j < other->n && (order = strcmp(other->list[j], names->list[i])) < 0)
            j++;
        if ((j < other->n && order == 0) == keep)
            names->list[n++] = names->list[i];
    }
    names->n = n;
    return 0;
}

int expand_unite(struct expand *x, struct node_set *names, const struct node_set *other)
{
    int r = 0;
    for (size_t i = 0; i < other->n && r == 0; i++)
        r = set_add(names, other->list[i]);
    return r < 0 ? rm_fail(x->err, r, "out of memory") : 0;
}

/* ---- an expression on its way */

int expand_look(struct expand *x, size_t nodes)
{
    if (nodes > NODERANGE_LOOKS_MAX - x->looks)
        return rm_fail(x->err, -E2BIG, "the noderange asks too much: more than %d nodes to look at",
                       NODERANGE_LOOKS_MAX);
    x->looks += nodes;
    return 0;
}

int expand_make(struct expand *x, size_t names)
{
    if (names > NODERANGE_NODES_MAX - x->made)
        return rm_fail(x->err, -E2BIG, "more than %d names", NODERANGE_NODES_MAX);
    x->made += names;
    return 0;
}

int expand_node(struct expand *x, const char *name, struct node_set *to)
{
    const struct noderange_site *site = x->site;
    const struct attr_node *known = site->attr ? attr_node(site->attr, name) : NULL;
    bool is_node = known && !site->only_is_node && attr_is_node(known);
    if (!is_node && !(site->is_node && site->is_node(site->ctx, name)))
        return 0;
    const char *kept = known ? attr_node_name(known) : arena_strdup(x->arena, name);
    if (!kept || set_add(to, kept) < 0)
        return rm_fail(x->err, -ENOMEM, "out of memory");
    return 1;
}

int expand_missing(struct expand *x, struct span name)
{
    char *kept;
    if (x->lenient || x->n_missing++ >= MISSING_KEPT)
        return 0;
    if (name.length > NODERANGE_NAME_MAX)
        kept = arena_printf(x->arena, "%.*s...", NODERANGE_NAME_MAX, name.text);
    else
        kept = arena_printf(x->arena, "%.*s", (int)name.length, name.text);
    if (!kept || set_add(&x->missing, kept) < 0)
        return rm_fail(x->err, -ENOMEM, "out of memory");
    return 0;
}
