/* free.h - an index of free room: hosts of one group in the order of the share that is left there
 *
 * A search tree (a treap) whose nodes know the most memory and the most vCPUs that are free below them, so
 * that hosts where a guest does not fit are passed over together. */
#ifndef BROKER_PLANNER_FREE_H
#define BROKER_PLANNER_FREE_H

#include "broker/planner/site.h"

/* Written by free.c only. */
struct free_node {
    uint64_t share;              /* as it was put in */
    struct plan_size room, most; /* here; the most of each in the whole subtree */
    uint32_t left, right;        /* hosts; PLAN_NONE: there is none */
};

/* Nodes of all hosts, by their number; owned by whoever has the trees. */
void free_put(struct free_node *nodes, uint32_t *root, uint32_t host, uint64_t share,
              struct plan_size room);
void free_take(struct free_node *nodes, uint32_t *root, uint32_t host);

/* Called with hosts that have that much room. True: go on. */
typedef bool free_visit(void *context, uint32_t host, uint64_t share);
/* In the order of their share, the least first if `tight`, else the most; equal ones in their own order.
 * False: the visitor has stopped it. work: grows by each look. */
bool free_walk(const struct free_node *nodes, uint32_t root, struct plan_size needs, bool tight,
               free_visit *visit, void *context, uint64_t *work);

#endif
