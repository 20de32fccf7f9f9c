/* stall.h - does a migration still make progress? The rules of time-out and stall; pure
 *
 * A hypervisor never gives up by itself: a guest that writes faster than the link carries is copied
 * for ever. A copy makes progress when what remains reaches a new minimum; bytes that are merely
 * sent again count for nothing.
 *
 * A copy that was stopped while its data still flowed would end so again, with this guest, over this path
 * and with these options: STALL_OUTRUN, whose text names the options that change it. One whose data had
 * ceased to flow, or never begun to, says nothing of that: STALL_BROKEN. */
#ifndef WORKER_STALL_H
#define WORKER_STALL_H

#include "worker/driver.h"

#include <stdbool.h>
#include <stddef.h>

enum stall_end { STALL_GOES_ON, STALL_BROKEN, STALL_OUTRUN };

struct stall {
    const struct hv_migration *migration; /* its limits, which may change on the way */
    usec_t began_at;
    usec_t minimum_at; /* of the last new minimum */
    usec_t flowed_at;  /* when more had been sent than at the look before */
    uint64_t minimum;  /* bytes that remained at best; UINT64_MAX: no figures yet */
    RmStats last;      /* the last figures, for the text; its throttle is the highest of all */
};

/* migration: borrowed. */
void stall_begin(struct stall *stall, const struct hv_migration *migration, usec_t now);
void stall_figures(struct stall *stall, const RmStats *stats, usec_t now);

/* Must the migration be stopped? The text has the reason, and names the setting. */
enum stall_end stall_is_over(const struct stall *stall, usec_t now, char *ret_text, size_t size);
/* Whether the same again is worth a try: CLASS_RETRY, or CLASS_UNFIT, since another destination may have a better
 * path. */
RmClass stall_class(enum stall_end end);

#endif
