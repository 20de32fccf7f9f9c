/* planned.h - plans of evacuations that are kept under a number: made, shown, and compared with how things are
 *
 * A plan is what was answered to whoever asked for it. It is carried out as it is, or not at all: what it touches
 * may not have changed since. Whatever else has changed does not matter. */
#ifndef BROKER_PLANNED_H
#define BROKER_PLANNED_H

#include "broker/submit.h"

enum {
    PLANS_MAX = 100,                    /* that are kept: the oldest goes */
    PLANS_BYTES_MAX = 16 * 1024 * 1024, /* of all of them: the same */
    PLAN_HOURS = 24,                    /* one that is older is not applied */
    PLAN_KEPT_DAYS = 30,                /* and then it is forgotten */
};

/* Keeps what was answered as a plan, and the reply says its number; a warning where there is no room for it. */
void planned_keep(struct core *core, struct request *request, const struct submission *sub);

/* The plan, in the arena; NULL: there is none, and the request is refused. */
RmPlan *planned_find(struct core *core, struct request *request, uint64_t id);
/* Why it cannot be applied whatever else has changed, in the arena; NULL: it may be. */
const char *planned_over(struct core *core, const RmPlan *plan);
/* The guests that leave now become those of the plan, with its places. False: that cannot be, and the reply
 * says what has changed. */
bool planned_fill(struct core *core, struct request *request, const RmPlan *plan,
                  struct submission *sub);
/* That has changed, of the plan itself. */
void planned_changed(struct core *core, struct request *request, const RmPlan *plan,
                     const char *text);
/* It is carried out by that batch. */
void planned_applied(struct core *core, RmPlan *plan, const char *who, uint64_t batch);

void planned_request(struct core *core, struct request *request);

#endif
