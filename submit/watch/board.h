/* board.h - what is known of the site, for many who look at once
 *
 * One thread, the program's first, asks the broker; every other one looks at what it brought. So however many look, the
 * broker is asked once a second, and while nobody does as often as board_witness() says. What it brought is a sight: it
 * does not change, and whoever holds one keeps it. Every function may be called from any thread but board_run() and board_stop(). */
#ifndef SUBMIT_WATCH_BOARD_H
#define SUBMIT_WATCH_BOARD_H

#include "conf/conf.h"
#include "conf/env.h"
#include "submit/client.h"

#define BOARD_EVERY                                                                                \
    USEC_PER_SEC /* between two looks at the broker; ten times as long as one takes at least */

enum {
    BOARD_JOBS_MAX = 1000, /* of a sight: jobs that a worker has or that are in doubt */
    BOARD_ASKS_MAX = 32,   /* questions of others that wait at once */
    BOARD_TROUBLE_MAX = 512,
};

/* The site as the broker told it at one time. Replies are NULL where it never answered. Read only. */
struct sight {
    const RmReply *pong;    /* RmPing */
    const RmReply *hosts;   /* RmList queue: RmHostView with what waits and why */
    const RmReply *metrics; /* RmAskMetrics */
    const RmReply
        *jobs; /* RmListJobs: assigned, running, cancelling, in doubt; at most BOARD_JOBS_MAX */
    usec_t at; /* when it was asked for, by the wall clock */
    uint64_t number; /* counts sights */
    char trouble
        [BOARD_TROUBLE_MAX]; /* why the broker did not answer, and all is as old as `at`; "": it did */
};

struct board;

/* Call it before any thread starts: signals are the board's from then on. */
int board_new(const struct conf_client *conf, struct board **ret_board, struct rm_err *err);
void board_free(struct board *board); /* NULL is fine; nobody may hold a sight */

/* Calls see() with each sight, from the board's own thread; and looks at the broker each `every` also while nobody
 * wants anything. Call it before board_run(). */
void board_witness(struct board *board, void (*see)(const struct sight *sight), usec_t every);

/* Asks the broker for others, until a signal comes (0) or something cannot be mended. */
int board_run(struct board *board, struct rm_err *err);

/* From now on whoever waits gets what there is. */
void board_stop(struct board *board);

/* A sight whose number is above `after` and that is no older than two looks, or, after `wait_for`, the last one there
 * is. NULL: there has been none. Give it back. */
const struct sight *board_look(struct board *board, uint64_t after, usec_t wait_for);
bool board_is_new(const struct sight *sight); /* no older than two looks; NULL is not */
void board_give_back(struct board *board, const struct sight *sight); /* NULL is fine */

/* The short name of the machine that the broker runs on, as far as settings name it. Borrowed. */
const char *board_site(const struct board *board);

/* One question of its own, that only looks. The reply lives in the arena. -ETIMEDOUT (the broker is away),
 * -EAGAIN (BOARD_ASKS_MAX wait), -ECANCELED (the end). */
int board_ask(struct board *board, RmRequest *request, struct arena *arena, RmReply **ret_reply,
              struct rm_err *err);

#endif
