/* hold_control.h - requests that pause and resume the whole site, or all that leaves a hypervisor */
#ifndef BROKER_HOLD_CONTROL_H
#define BROKER_HOLD_CONTROL_H

#include "broker/request.h"

/* Is a standing hold meant, and no set of jobs? */
bool hold_control_is_meant(const RmSelect *what);

void hold_control_pause(struct core *core, struct request *request, const RmSelect *what);
/* False: none of these hypervisors was held, and jobs of theirs that are paused one by one are meant. */
bool hold_control_resume(struct core *core, struct request *request, const RmSelect *what);

/* Whoever has made jobs hears what keeps them; who only looks, whether the site is held. */
void hold_control_warn(struct core *core, struct request *request);

#endif
