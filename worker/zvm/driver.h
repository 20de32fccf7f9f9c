/* driver.h - the driver of z/VM: members of an SSI cluster, through SMAPI */
#ifndef WORKER_ZVM_DRIVER_H
#define WORKER_ZVM_DRIVER_H

#include "worker/driver.h"

extern const struct driver zvm_driver;

#endif
