/* drivers.c - the kinds of hypervisors that rmigrate-worker can serve */
#include "worker/drivers.h"

#include "worker/libvirt/driver.h"
#ifdef RMIGRATE_ZVM
#include "worker/zvm/driver.h"
#endif

const struct driver_row drivers[] = {
    {"connect", offsetof(struct conf_hypervisor, connect), RM_KIND__KIND_LIBVIRT, &libvirt_driver},
#ifdef RMIGRATE_ZVM
    {"smapi", offsetof(struct conf_hypervisor, smapi), RM_KIND__KIND_ZVM, &zvm_driver},
#endif
    {.driver = NULL},
};
