/* noderange_set.h - sets of names, and what an expression on its way has used up
 *
 * For the files of a noderange: noderange.c reads the expression, noderange_form.c makes names out
 * of ranges and brackets, noderange_pick.c picks nodes by group, attribute and regex. Everything
 * lives as long as one expression: names are borrowed from the tables or in the arena. */
#ifndef STORE_TABLES_NODERANGE_SET_H
#define STORE_TABLES_NODERANGE_SET_H

#include "conf/err.h"
#include "store/tables/noderange_site.h"
#include "wire/msg.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A part of a text. */
struct span {
    const char *text;
    size_t length;
};

static inline struct span span_skip(struct span s, size_t n)
{
    return (struct span){s.text + n, s.length - n};
}

static inline const char *span_find(struct span s, char c)
{
    return s.length > 0 ? memchr(s.text, c, s.length) : NULL;
}

struct node_set {
    const char **list; /* owned; what it points to is not */
    size_t n, room;
};

int set_compare(const void *a, const void *b);         /* for qsort(): two names */
int set_add(struct node_set *names, const char *name); /* 0, -ENOMEM */
void set_sort(struct node_set *names);                 /* and each once */
void set_done(struct node_set *names);

/* One expression on its way. */
struct expand {
    const struct noderange_site *site;
    struct rm_err *err;
    struct arena *arena;
    size_t made;             /* names so far: NODERANGE_NODES_MAX */
    size_t looks;            /* nodes looked at: NODERANGE_LOOKS_MAX */
    uint64_t steps;          /* of regular expressions, left */
    unsigned depth;          /* of parentheses: NODERANGE_DEPTH_MAX */
    unsigned removing;       /* inside what is taken away: finding nothing is fine there */
    bool lenient;            /* names that do not exist are left out */
    struct node_set missing; /* names that do not exist, the first ones of them */
    size_t n_missing;        /* all of them */
};

/* -E2BIG when that is too much. */
int expand_look(struct expand *x, size_t nodes);
int expand_make(struct expand *x, size_t names);

/* A node: adds its name and returns 1, otherwise 0. */
int expand_node(struct expand *x, const char *name, struct node_set *to);
int expand_missing(struct expand *x, struct span name);

/* Adds those of another set. */
int expand_unite(struct expand *x, struct node_set *names, const struct node_set *other);
/* Keeps those that `other` has, or those that it has not. Both get sorted. */
int expand_reduce(struct expand *x, struct node_set *names, struct node_set *other, bool keep);

#endif
