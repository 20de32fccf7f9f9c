/* local.h - --local: a broker and a worker of one's own, for the length of one command
 *
 * Where nothing is installed but the programs: hypervisors are named by libvirt's URIs, the guests are moved, and
 * nothing stays but the store of what was done. Both programs end with the command; when that is killed, they end
 * as soon as the migrations in progress have ended, and no other command with --local begins before. */
#ifndef SUBMIT_LOCAL_H
#define SUBMIT_LOCAL_H

#include "submit/args.h"
#include "submit/client.h"

struct local;

/* Starts both, waits until all hypervisors that the command names have been seen, and puts their names into args
 * in place of the URIs. Says what is wrong. Returns the exit code; where it is EXIT_OK, *ret_client is connected.
 * *ret_local is to be ended in any case. */
int local_begin(struct args *args, struct local **ret_local, struct client **ret_client);

/* Ends both, or leaves them to their end; NULL is fine. The client must be gone. */
void local_end(struct local *local);

#endif
