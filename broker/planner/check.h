/* check.h - can a plan that was made of an earlier snapshot still be carried out?
 *
 * A plan of the very same snapshot always can; so can one where only what it does not touch has changed. */
#ifndef BROKER_PLANNER_CHECK_H
#define BROKER_PLANNER_CHECK_H

#include "broker/planner/plan.h"

enum plan_fault {
    PLAN_SOUND,
    PLAN_CLOSED,  /* nobody may go to that host */
    PLAN_BARRED,  /* this guest may not */
    PLAN_SPLIT,   /* PLAN_TOGETHER holds it with others that do not go there */
    PLAN_MEETS,   /* PLAN_APART keeps it from others that are there then */
    PLAN_CROWDED, /* there is no room for it then, with all there that come before it in the plan */
};

/* Steps in the order of the plan, of which guest, to and after count; the first that it finds of each one.
 * ret_faults: of each step. Returns how many are not sound. */
size_t plan_check(const struct plan_site *site, const struct plan_step *steps, size_t n,
                  enum plan_fault *ret_faults);

#endif
