/* restore.h - hypervisors are opened again, and get back what evacuations have taken from them
 *
 * Who is away is kept with each guest: its home (RmGuest.home), and where evacuations have put it
 * (RmGuest.put). They are placed at home together, and whoever has come there meanwhile may leave to make
 * room, as in an evacuation. A guest that somebody has moved since stays, unless all are asked for. */
#ifndef BROKER_RESTORE_H
#define BROKER_RESTORE_H

#include "broker/request.h"

void restore_request(struct core *core, struct request *request);

#endif
