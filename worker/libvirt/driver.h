/* driver.h - the driver of libvirt: QEMU guests, through the daemons of both sides */
#ifndef WORKER_LIBVIRT_DRIVER_H
#define WORKER_LIBVIRT_DRIVER_H

#include "worker/driver.h"

extern const struct driver libvirt_driver;

#endif
