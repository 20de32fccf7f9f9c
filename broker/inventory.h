/* inventory.h - what workers see on their hypervisors, and where a guest is
 *
 * An inventory replaces all that was known of its host. While a job moves a guest, and for a moment
 * after, the job's own result counts for more: an inventory may have been taken before it. */
#ifndef BROKER_INVENTORY_H
#define BROKER_INVENTORY_H

#include "broker/guest.h"
#include "broker/host.h"

struct instance;

/* Names that a worker makes up must not fill memory and store: idle guests of hypervisors that answer
 * and do not show them are forgotten when so many more guests are known than after the last time. */
enum { GUESTS_IDLE = 20000 };

/* An inventory of a hypervisor that answers. Of one that does not nothing is taken: what was seen
 * last stays, the guests have not gone because nobody answers. */
void inventory_input(struct core *core, struct host *host, const RmInventory *inventory);
/* The names of guests may be other ones now: reads those again that depend on them. */
void inventory_again(struct core *core);
void inventory_free_all(struct core *core); /* with all instances */

/* Where the guest is: the host that shows it active, or NULL with why there is none or not one. */
struct host *inventory_where(struct core *core, const struct guest *guest, char *why, size_t size);
/* Is a guest that this host shows active shown so by another one too, and nobody knows yet whether it is there twice?
 * Both are looked at again. */
bool inventory_is_unclear(const struct guest *guest, const struct host *host);

#endif
