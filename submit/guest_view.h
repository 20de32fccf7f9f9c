/* guest_view.h - one guest in words and as JSON */
#ifndef SUBMIT_GUEST_VIEW_H
#define SUBMIT_GUEST_VIEW_H

#include "submit/listing.h"
#include "wire/rmigrate.pb-c.h"

/* A guest (RmGuest) as `rmigrate guests` shows it: table and JSON. */
extern const struct column guest_view_columns[];

#endif
