/* stall.h - does a migration still make progress? The rules of time-out and stall; pure
 *
 * A hypervisor never gives up by itself: a guest that writes faster than the link carries is copied
 * for ever. A copy makes progress when what remains reaches a new minimum; bytes that are merely
 * sent again count for nothing. */
#ifndef WORKER_STALL_H
#define WORKER_STALL_H

#include "conf/env.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

struct stall {
    usec_t timeout; /* of the whole migration; 0 = no end */
    usec_t longest; /* without a new minimum (setting stall); 0 = never over */
    usec_t began_at;
    usec_t minimum_at; /* of the last new minimum */
    uint64_t minimum;  /* bytes that remained at best; UINT64_MAX: no figures yet */
    RmStats last;      /* the last figures, for the text */
};

void stall_begin(struct stall *stall, usec_t timeout, usec_t longest, usec_t now);
void stall_figures(struct stall *stall, const RmStats *stats, usec_t now);

/* True when the migration must be stopped; the text has the reason and names the setting. */
bool stall_is_over(const struct stall *stall, usec_t now, char *ret_text, size_t size);

#endif
