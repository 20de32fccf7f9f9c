/* leave.h - guests that leave their hosts: which ones, and where they go
 *
 * What evacuation.c plans when it is asked for, and emptied.c again at the end for what came meanwhile. */
#ifndef BROKER_LEAVE_H
#define BROKER_LEAVE_H

#include "broker/submit.h"

/* A guest in shutdown, and one that is shown twice, is waited for so long (struct host_emptying.wait_by). */
enum { LEAVE_WAIT_SECONDS = 60 };

/* The submission of an RmEvacuate, still without asks: with the hosts that it means now, or, of a batch that carries it
 * out, those that it meant when it was asked for, since groups change. For leave_done(), whatever is returned. False:
 * the request is refused. */
bool leave_begin(struct core *core, struct request *request, struct submission *sub);
bool leave_go_on(struct core *core, struct request *request, const RmBatch *batch,
                 struct submission *sub);
/* The same of a plan that was kept, without those of its hosts that are not there any more. */
bool leave_planned(struct core *core, struct request *request, const RmPlan *plan,
                   struct submission *sub);
void leave_done(struct submission *sub);

/* Guests of the host become asks for a place, or the reply says why not. since: of those that a job above this number
 * has tried in vain the reply says why, and they are not tried again; 0: try all. */
void leave_host(struct core *core, struct request *request, struct submission *sub,
                struct host *host, uint64_t since);
/* Is something there that is neither moved nor left yet? */
bool leave_must_wait(const struct core *core, const struct host *host);
/* Chooses places for all asks of a submission, and who makes room for them: those are put first. since: who was
 * tried in vain by a job above this number makes none; 0: whoever can may. */
void leave_find_places(struct core *core, const struct request *request, struct submission *sub,
                       uint64_t since);
/* The accounts of the hosts that are emptied will name those that have made room. */
void leave_note_room(struct submission *sub);

#endif
