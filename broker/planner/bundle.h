/* bundle.h - those that PLAN_TOGETHER holds on one host become one guest, for whoever looks for places
 *
 * A bundle has the size of all of them, may go where each of them may, and prefers hosts where others of its
 * rules are. One of which a member is not to be moved has no host to go to. */
#ifndef BROKER_PLANNER_BUNDLE_H
#define BROKER_PLANNER_BUNDLE_H

#include "broker/planner/site.h"

/* Written by bundle.c only. */
struct bundles {
    struct plan_site site; /* its guests are the bundles, and whoever is in none */
    uint32_t *first;       /* of each of them in members, and the end */
    uint32_t *members;     /* guests of the site that it was made of */
    struct plan_guest *guests;
    uint32_t *numbers; /* what the lists of guests are cut from */
};

/* NULL: there is no bundle, and the site does as it is; it has to outlive the bundles. */
struct bundles *bundle_all(const struct plan_site *site);
void bundle_free(struct bundles *bundles); /* NULL is fine */

#endif
