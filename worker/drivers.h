/* drivers.h - which kinds of hypervisors a worker can serve: a row for each
 *
 * The table belongs to a program (drivers.c to rmigrate-worker, tests/cli/fakeworker.c has its
 * own). A new kind is a folder with a driver, a row here, and the setting that names its
 * hypervisors. */
#ifndef WORKER_DRIVERS_H
#define WORKER_DRIVERS_H

#include "worker/driver.h"

#include <stddef.h>

struct driver_row {
    const char *setting; /* a hypervisor that has this setting, its address, is of the kind */
    size_t address;      /* where that is in struct conf_hypervisor: a char *, NULL: it has not */
    RmKind kind;         /* the same for the broker */
    const struct driver *driver;
};

/* The first row that fits counts; one without a driver ends them. */
extern const struct driver_row drivers[];

#endif
