/* state.h - a snapshot on the way to its plan: who is where by now, and what is free
 *
 * Moves are done and undone, the last one first. */
#ifndef BROKER_PLANNER_STATE_H
#define BROKER_PLANNER_STATE_H

#include "broker/planner/apart.h"
#include "broker/planner/free.h"

struct state_move {
    uint32_t guest, to;
};

/* Written by state.c only. */
struct state {
    const struct plan_site *site;
    struct plan_size *taken; /* of each host */
    uint32_t *count;         /* how many guests it has */
    uint32_t *at;            /* where each guest is */
    struct free_node *nodes;
    uint32_t *roots;   /* of each group, and of its hosts that come last */
    uint32_t *by_host; /* guests that may be moved, by host, the largest first */
    uint32_t *first;   /* of each host in by_host, and the end */
    struct state_move *moves;
    size_t n_moves;
    struct apart *apart; /* NULL: nobody is kept apart */
    bool any;            /* nobody is asked what he prefers */
    uint64_t work;       /* looks */
};

struct state *state_new(const struct plan_site *site);
void state_free(struct state *state);
/* From now on nobody is asked what he prefers. */
void state_any(struct state *state);

void state_move(struct state *state, uint32_t guest, uint32_t to);
/* As it was when it had so many moves. */
void state_back(struct state *state, size_t n_moves);
/* So many looks more. */
void state_count(struct state *state, uint64_t looks);

struct plan_size state_room(const struct state *state, uint32_t host);
/* Is there room for it, and nobody from whom a rule keeps it apart? */
bool state_fits(const struct state *state, uint32_t guest, uint32_t host);
/* The rule alone. */
bool state_bars(const struct state *state, uint32_t guest, uint32_t host);
/* Leaving aside who is there now, may it go there? */
bool state_may_go(const struct state *state, uint32_t guest, uint32_t host);

/* Where the most is left after it, or the least (`tight`); PLAN_NONE: it fits nowhere. but: hosts that are
 * not meant. */
uint32_t state_find(struct state *state, uint32_t guest, bool tight, const uint32_t *but,
                    size_t n_but);

#endif
