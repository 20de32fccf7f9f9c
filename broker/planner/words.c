/* words.c - what people read of a step: one sentence, the same from the broker and without one */
#include "broker/planner/words.h"

#include <stdio.h>

const char *plan_words(char text[static PLAN_WORDS_SIZE], const struct plan_names *names)
{
    if (names->rule && names->room_for)
        snprintf(text, PLAN_WORDS_SIZE, "leaves %s to %s: %s keeps them apart", names->from,
                 names->room_for, names->rule);
    else if (names->room_for)
        snprintf(text, PLAN_WORDS_SIZE, "makes room on %s for %s", names->from, names->room_for);
    else if (names->after)
        snprintf(text, PLAN_WORDS_SIZE, "can move from %s to %s when %s%s left that", names->from,
                 names->to, names->after, names->n_after > 1 ? " and others have" : " has");
    else
        snprintf(text, PLAN_WORDS_SIZE, "can move from %s to %s", names->from, names->to);
    return text;
}
