/* host_control.h - the request that opens and closes hypervisors */
#ifndef BROKER_HOST_CONTROL_H
#define BROKER_HOST_CONTROL_H

#include "broker/request.h"

void host_control_change(struct core *core, struct request *request);

#endif
