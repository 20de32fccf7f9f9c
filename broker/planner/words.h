/* words.h - what people read of a step: one sentence, the same from the broker and without one */
#ifndef BROKER_PLANNER_WORDS_H
#define BROKER_PLANNER_WORDS_H

#include <stddef.h>

enum { PLAN_WORDS_SIZE = 4500 }; /* four names, and what stands between them */

struct plan_names {
    const char *from, *to;
    const char *room_for; /* the guest that gets its room; NULL: it leaves a host that is emptied */
    const char *rule;     /* that one keeps the two apart; NULL: none does */
    const char *after;    /* the last guest that has to leave before; NULL: it need not wait */
    size_t n_after;       /* how many have to */
};

/* Returns text. */
const char *plan_words(char text[static PLAN_WORDS_SIZE], const struct plan_names *names);

#endif
