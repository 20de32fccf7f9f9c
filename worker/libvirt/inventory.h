/* inventory.h - what a hypervisor has and which guests are there; by one thread */
#ifndef WORKER_LIBVIRT_INVENTORY_H
#define WORKER_LIBVIRT_INVENTORY_H

#include "worker/driver.h"

int lv_hv_inventory(struct hv *hv, struct arena *arena, RmInventory **ret_inventory);

#endif
