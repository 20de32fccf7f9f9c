/* room.h - others are moved so that guests find a place that have none
 *
 * Two ways, and both one after the other. Where a few big guests have no place among those that were
 * placed, the host is looked for that is made free for them with the fewest moves: ejection chains. Where
 * most have none, because hosts are full of memory here and of vCPUs there, others are moved one by
 * one, always the one by whose move the most of what is wanted fits, before anything is placed. */
#ifndef BROKER_PLANNER_ROOM_H
#define BROKER_PLANNER_ROOM_H

#include "broker/planner/state.h"

struct room_try {
    const uint32_t *order; /* guests that are to leave, the largest first */
    size_t n;
    double share;  /* moves one by one until so much of what is wanted would fit; 0: none */
    uint32_t seed; /* 0: the best move each time; else one of the good ones */
    bool tight;    /* how those are placed that fit */
    uint64_t most; /* state->work at which it ends */
};

/* Makes moves: first those of others, *ret_n_room of them, in an order in which each has room; then those
 * of guests that leave. Returns how many of these have no place. The state has no moves. */
size_t room_make(struct state *state, const struct room_try *how, size_t *ret_n_room);

/* The state has moves as room_make() leaves them: drops those of others that are not needed, as long as work
 * allows. */
size_t room_spare(struct state *state, const struct room_try *how, size_t n_room);

#endif
