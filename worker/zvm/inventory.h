/* inventory.h - what is on a member of an SSI cluster, and when that changes; by one thread */
#ifndef WORKER_ZVM_INVENTORY_H
#define WORKER_ZVM_INVENTORY_H

#include "worker/driver.h"

int zvm_inventory(struct hv *hv, struct arena *arena, RmInventory **ret_inventory);
int zvm_wait_change(struct hv *hv, usec_t wait_for);

#endif
