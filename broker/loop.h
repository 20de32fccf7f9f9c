/* loop.h - the broker's shell around its decisions: sockets, clock, one commit for each turn */
#ifndef BROKER_LOOP_H
#define BROKER_LOOP_H

#include "conf/conf.h"
#include "conf/env.h"
#include "conf/err.h"

/* Serves until SIGTERM or SIGINT; at SIGHUP the settings are read again from file (as the -c option gave
 * it, or NULL), all of them or, where something is wrong in it, none. signals: from service_signals().
 * Returns 0, or the error that ended it: a commit that failed, a store or socket that cannot be opened.
 * Logs. */
int loop_run(const struct conf_broker *conf, const char *file, const struct env *env, int signals,
             struct rm_err *err);

/* What loop_run() would fail at, as far as it can be seen without changing anything and while
 * another broker may run with the same settings. Logs all of it; returns how much it is. */
unsigned loop_check(const struct conf_broker *conf);

#endif
