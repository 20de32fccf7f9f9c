/* host_view.h - one hypervisor in words and as JSON */
#ifndef SUBMIT_HOST_VIEW_H
#define SUBMIT_HOST_VIEW_H

#include "submit/listing.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

/* The one word that matters most: what cannot be reached before what is closed. Static. */
const char *host_view_word(const RmHostView *view, enum tone *ret_tone);

/* Why it is not reached, why it is closed, and what keeps guests from leaving it; "": nothing. In the arena or
 * borrowed; what had no memory is left out. */
const char *host_view_why(struct arena *arena, const RmHostView *view);

/* What a person asks first: why its next job waits; where none does, the same. */
const char *host_view_queue_why(struct arena *arena, const RmHostView *view);

/* A hypervisor (RmHostView) as `rmigrate hosts` shows it, and as `rmigrate queue` does: tables and JSON. */
extern const struct column host_view_columns[];
extern const struct column host_view_queue_columns[];

#endif
