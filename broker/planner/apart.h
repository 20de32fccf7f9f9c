/* apart.h - who is where of those that PLAN_APART keeps apart
 *
 * NULL: nobody is kept apart, and nothing is counted. */
#ifndef BROKER_PLANNER_APART_H
#define BROKER_PLANNER_APART_H

#include "broker/planner/site.h"

struct apart;

/* As the site has them. */
struct apart *apart_new(const struct plan_site *site);
void apart_free(struct apart *apart);

void apart_come(struct apart *apart, uint32_t guest, uint32_t host);
void apart_go(struct apart *apart, uint32_t guest, uint32_t host);

/* Is one there from whom a rule keeps the guest apart? */
bool apart_bars(const struct apart *apart, uint32_t guest, uint32_t host);
/* How many there are; who is kept from it by two rules counts twice. */
size_t apart_count(const struct apart *apart, uint32_t guest, uint32_t host);
/* The first rule that keeps these two apart; PLAN_NONE: there is none. */
uint32_t apart_rule(const struct plan_site *site, const struct plan_guest *one,
                    const struct plan_guest *other);

#endif
