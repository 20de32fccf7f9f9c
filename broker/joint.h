/* joint.h - many guests are placed together: what the broker knows becomes the planner's snapshot
 *
 * planner/plan.h says how. */
#ifndef BROKER_JOINT_H
#define BROKER_JOINT_H

#include "broker/place.h"
#include "broker/planner/site.h"

/* All asks are of one submission: `never` is the same for all. Returns how many have no place; their asks say
 * why. Asks of guests that may stay have no place unless they make room, and need say nothing; those that do
 * are put first, in the order of the plan, and then the others in their own; *ret_n_room says how many. */
size_t place_joint(struct core *core, struct place_ask *asks, size_t n, size_t *ret_n_room);

/* The asks have their places, those of a plan that was made before. Returns how many cannot go there any more: their
 * asks say why. */
size_t place_joint_again(struct core *core, struct place_ask *asks, size_t n);

/* Shows the planner's snapshot of these asks, and its hosts; `asks` has room for one. */
typedef void joint_show_f(void *context, const struct plan_site *site, struct host *const *hosts);
void joint_show(struct core *core, struct place_ask *asks, size_t n, joint_show_f *f,
                void *context);

#endif
