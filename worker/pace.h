/* pace.h - does a migration still get on? The rules of time-out and stall; pure
 *
 * A hypervisor never gives up by itself: a guest that writes faster than the link carries is copied
 * for ever. A copy gets on when what remains reaches a new minimum; bytes that are merely sent
 * again count for nothing. */
#ifndef WORKER_PACE_H
#define WORKER_PACE_H

#include "conf/env.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

struct pace {
    usec_t timeout, stall; /* 0 = no end, never */
    usec_t began_at;
    usec_t minimum_at; /* of the last new minimum */
    uint64_t minimum;  /* bytes that remained at best; UINT64_MAX: no figures yet */
    RmStats last;      /* the last figures, for the text */
};

void pace_begin(struct pace *pace, usec_t timeout, usec_t stall, usec_t now);
void pace_figures(struct pace *pace, const RmStats *stats, usec_t now);

/* True when the migration must be stopped; the text says why and names the setting. */
bool pace_is_over(const struct pace *pace, usec_t now, char *ret_text, size_t size);

#endif
