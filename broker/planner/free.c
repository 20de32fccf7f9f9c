/* free.c - an index of free room: hosts of one group in the order of the share that is left there */
#include "broker/planner/free.h"

/* Which of two nodes stands above the other: as good as random, and the same every time. */
static uint32_t height(uint32_t host)
{
    uint32_t x = host * 0x9e3779b9u + 0x7f4a7c15u;

    x = (x ^ (x >> 15)) * 0x85ebca6bu;
    x = (x ^ (x >> 13)) * 0xc2b2ae35u;
    return x ^ (x >> 16);
}

static bool above(uint32_t a, uint32_t b)
{
    uint32_t x = height(a), y = height(b);

    return x != y ? x > y : a < b;
}

/* By share; of equal ones the host that comes first is the greater one. */
static bool before(const struct free_node *nodes, uint32_t a, uint32_t b)
{
    return nodes[a].share != nodes[b].share ? nodes[a].share < nodes[b].share : a > b;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static void sum_up(struct free_node *nodes, uint32_t at)
{
    struct free_node *node = &nodes[at];

    node->most = node->room;
    for (int i = 0; i < 2; i++) {
        uint32_t child = i == 0 ? node->left : node->right;
        if (child == PLAN_NONE)
            continue;
        node->most.memory = larger(node->most.memory, nodes[child].most.memory);
        node->most.vcpus = larger(node->most.vcpus, nodes[child].most.vcpus);
    }
}

/* All below `at` that come before the host, and the rest. */
static void split(struct free_node *nodes, uint32_t at, uint32_t host, uint32_t *ret_less,
                  uint32_t *ret_more)
{
    if (at == PLAN_NONE) {
        *ret_less = *ret_more = PLAN_NONE;
        return;
    }
    if (before(nodes, at, host)) {
        split(nodes, nodes[at].right, host, &nodes[at].right, ret_more);
        *ret_less = at;
    } else {
        split(nodes, nodes[at].left, host, ret_less, &nodes[at].left);
        *ret_more = at;
    }
    sum_up(nodes, at);
}

/* All of `less` come before all of `more`. */
static uint32_t join(struct free_node *nodes, uint32_t less, uint32_t more)
{
    if (less == PLAN_NONE || more == PLAN_NONE)
        return less == PLAN_NONE ? more : less;
    if (above(less, more)) {
        nodes[less].right = join(nodes, nodes[less].right, more);
        sum_up(nodes, less);
        return less;
    }
    nodes[more].left = join(nodes, less, nodes[more].left);
    sum_up(nodes, more);
    return more;
}

void free_put(struct free_node *nodes, uint32_t *root, uint32_t host, uint64_t share,
              struct plan_size room)
{
    uint32_t less, more;

    nodes[host] = (struct free_node){
        .share = share, .room = room, .most = room, .left = PLAN_NONE, .right = PLAN_NONE};
    split(nodes, *root, host, &less, &more);
    *root = join(nodes, join(nodes, less, host), more);
}

void free_take(struct free_node *nodes, uint32_t *root, uint32_t host)
{
    uint32_t at = *root;

    if (at == host) {
        *root = join(nodes, nodes[at].left, nodes[at].right);
        return;
    }
    free_take(nodes, before(nodes, host, at) ? &nodes[at].left : &nodes[at].right, host);
    sum_up(nodes, at);
}

bool free_walk(const struct free_node *nodes, uint32_t root, struct plan_size needs, bool tight,
               free_visit *visit, void *context, uint64_t *work)
{
    if (root == PLAN_NONE)
        return true;
    const struct free_node *node = &nodes[root];
    ++*work;
    if (node->most.memory < needs.memory || node->most.vcpus < needs.vcpus)
        return true;
    if (!free_walk(nodes, tight ? node->left : node->right, needs, tight, visit, context, work))
        return false;
    if (node->room.memory >= needs.memory && node->room.vcpus >= needs.vcpus &&
        !visit(context, root, node->share))
        return false;
    return free_walk(nodes, tight ? node->right : node->left, needs, tight, visit, context, work);
}
