/* follow.h - stay with jobs until all of them have ended
 *
 * Prints a line for each guest as it is finished, draws progress on a terminal, without one says at the end what
 * became of all of them (account.h), and outlives a
 * broker that goes away and comes back: the jobs do not depend on whoever watches. */
#ifndef SUBMIT_FOLLOW_H
#define SUBMIT_FOLLOW_H

#include "submit/args.h"
#include "submit/client.h"

/* what: borrowed. batch: for messages; 0 when there is none, or several. asked: the answer that made the
 * jobs, whose refusals belong to the account; NULL: none. Returns EXIT_OK when the account is good: every job ended
 * well, every host is empty, and who was refused at first was moved later. */
int follow_jobs(struct client *client, const struct args *args, const RmSelect *what,
                uint64_t batch, const RmReply *asked);

/* The account of an answer that made no job. */
void follow_nothing(const struct args *args, const RmReply *asked);

#endif
