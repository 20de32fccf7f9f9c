/* inquiry.h - asks the broker what has happened, once a second, and enters it into the ledger
 *
 * It asks for what has changed of the jobs, and for the newest events; for hosts less often, and for all guests only when one may
 * have been locked or released. */
#ifndef SUBMIT_WATCH_INQUIRY_H
#define SUBMIT_WATCH_INQUIRY_H

#include "submit/watch/board.h"
#include "submit/watch/desk.h"

/* Until desk_stop(). */
void inquiry_run(struct desk *desk, struct board *board, const struct conf_watch *conf);

#endif
