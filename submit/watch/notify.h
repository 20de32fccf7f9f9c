/* notify.h - somebody is told when something has to be known (setting watch.notify) */
#ifndef SUBMIT_WATCH_NOTIFY_H
#define SUBMIT_WATCH_NOTIFY_H

#include "conf/conf.h"
#include "conf/err.h"
#include "submit/watch/board.h"

struct notify;

/* Begins with threads of its own. *ret_notify is NULL where settings name nobody. */
int notify_start(const struct conf_watch *conf, struct board *board, struct notify **ret_notify,
                 struct rm_err *err);
/* Call board_stop() before. What could not be told is told after the next start. NULL is fine. */
void notify_stop(struct notify *notify);

/* For --check: logs what is wrong, and how much. */
unsigned notify_check(const struct conf_watch *conf);

#endif
