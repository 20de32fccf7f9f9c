/* noderange_parts.h - what the three files of a noderange share
 *
 * noderange.c reads the expression, noderange_form.c makes names out of ranges and brackets,
 * noderange_pick.c picks nodes by group, attribute and regex. Everything lives as long as one
 * expression: names are borrowed from the tables or in the arena. */
#ifndef STORE_NODERANGE_PARTS_H
#define STORE_NODERANGE_PARTS_H

#include "store/noderange.h"
#include "wire/msg.h"

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

struct names {
    const char **list; /* owned; what it points to is not */
    size_t n, room;
};

int names_add(struct names *names, const char *name); /* 0, -ENOMEM */
void names_done(struct names *names);

/* One expression on its way. */
struct expand {
    const struct noderange_site *site;
    struct rm_err *err;
    struct arena *arena;
    size_t made;          /* names so far: NODERANGE_NODES_MAX */
    size_t looks;         /* nodes looked at: NODERANGE_LOOKS_MAX */
    uint64_t steps;       /* of regular expressions, left */
    unsigned depth;       /* of parentheses: NODERANGE_DEPTH_MAX */
    unsigned removing;    /* inside what is taken away: finding nothing is fine there */
    bool lenient;         /* names that do not exist are left out */
    struct names missing; /* names that do not exist, the first ones of them */
    size_t n_missing;     /* all of them */
};

/* ---- noderange.c */

/* -E2BIG when that is too much. */
int expand_look(struct expand *x, size_t nodes);
int expand_make(struct expand *x, size_t names);

/* A node: adds its name and returns 1, otherwise 0. */
int expand_node(struct expand *x, const char *name, struct names *to);
int expand_missing(struct expand *x, struct span name);

/* ---- noderange_form.c: each returns 1 and the names that the text makes (in the arena), whether
 * they exist or not; 0 when it is not of that form; or an error. */
int form_brackets(struct expand *x, struct span s, struct names *names);
int form_plus(struct expand *x, struct span s, struct names *names);
int form_range(struct expand *x, struct span s, struct names *names);

/* ---- noderange_pick.c */
int pick_group(struct expand *x, const char *name, struct names *to); /* 1; 0: no such group */
int pick_selection(struct expand *x, struct span s, struct names *to);
int pick_regex(struct expand *x, struct span s, struct names *to);

#endif
