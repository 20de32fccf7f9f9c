/* migrate.h - moving a guest, with a fence and an end */
#ifndef WORKER_LIBVIRT_MIGRATE_H
#define WORKER_LIBVIRT_MIGRATE_H

#include "worker/driver.h"

void lv_hv_migrate(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome);

#endif
