/* learned.h - how long migrations took, and so how long they are expected to take
 *
 * The newest LEARNED_MAX migrations that worked, whoever asked for them, in memory. When the broker starts they are
 * read from the results in the store, those of the newest jobs, so a restart changes an expectation only where
 * results have been forgotten since (`keep`, `keep_jobs`), or where there are more than that and the oldest ones
 * did not end in the order of their jobs. planner/estimate.h says what is made of them.
 */
#ifndef BROKER_LEARNED_H
#define BROKER_LEARNED_H

#include "broker/guest.h"
#include "broker/planner/estimate.h"

enum {
    LEARNED_MAX = 4096,    /* migrations */
    LEARNED_LOOKS = 16384, /* results that are looked at for them at the start */
};

struct learned *learned_new(void);
void learned_free(struct learned *learned); /* NULL is fine */
void learned_restore(struct core *core);

/* The job has ended so; nothing is learned of one that did not move its guest itself. */
void learned_add(struct core *core, const RmJob *job, const RmResult *result);

/* bandwidth: bytes a second that it may take, 0: as the settings say. */
struct estimate learned_of(struct core *core, const struct guest *guest, const char *from,
                           const char *to, uint64_t bandwidth);

#endif
