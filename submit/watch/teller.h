/* teller.h - tells one of the settings what is in its box, for as long as the program runs
 *
 * Logs what was told, what could not be told yet and what is given up. */
#ifndef SUBMIT_WATCH_TELLER_H
#define SUBMIT_WATCH_TELLER_H

#include "submit/watch/desk.h"

/* Row i of the settings. Until desk_stop(); a try that is under way then has TELLER_GRACE left. */
#define TELLER_GRACE (2 * USEC_PER_SEC)
void teller_run(struct desk *desk, const struct conf_notify *conf, size_t i, const char *site);

/* Can it be told, as far as this user can see now? */
int teller_check(const struct conf_notify *conf, struct rm_err *err);

#endif
