/* reconcile.h - the request that compares the tables with what hypervisors show, and repairs them */
#ifndef BROKER_RECONCILE_H
#define BROKER_RECONCILE_H

#include "broker/request.h"

void reconcile_request(struct core *core, struct request *request);

#endif
