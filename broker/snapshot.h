/* snapshot.h - all that plans are made of, for who plans without a broker */
#ifndef BROKER_SNAPSHOT_H
#define BROKER_SNAPSHOT_H

#include "broker/request.h"

void snapshot_request(struct core *core, struct request *request);

#endif
