/* desk.h - the ledger, for several threads: one at a time has it, and what it changed is on disk when it gives it back
 *
 * One thread finds out what is new (inquiry.h), one for each who is told tells it (teller.h). None of them waits for
 * the broker, a command or a server while it has the ledger. */
#ifndef SUBMIT_WATCH_DESK_H
#define SUBMIT_WATCH_DESK_H

#include "conf/conf.h"
#include "conf/err.h"
#include "submit/watch/ledger.h"

struct desk;

int desk_new(const struct conf_watch *conf, struct desk **ret_desk, struct rm_err *err);
void desk_free(struct desk *desk); /* writes the ledger; NULL is fine */

struct ledger *desk_take(struct desk *desk);
void desk_give_back(struct desk *desk);
/* Gives it back meanwhile: until somebody else has changed something, that time has come, or the end. */
void desk_wait(struct desk *desk, usec_t until);
/* Who has it: the ledger is written also if nothing has changed that must not be lost. */
void desk_write(struct desk *desk);

void desk_stop(struct desk *desk);         /* nobody waits any more */
bool desk_is_stopped(struct desk *desk);   /* of any thread */
int desk_stop_fd(const struct desk *desk); /* is readable from then on */

#endif
