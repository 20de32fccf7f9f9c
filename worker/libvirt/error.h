/* error.h - what a failure of libvirt means for the next try: one table of its codes, domains
 * and texts
 *
 * The texts are what libvirt 7..10 and QEMU say, in English: a daemon in another language says
 * something else (QEMU's own words, which libvirt quotes, are the same everywhere). So a text only makes a class more exact where libvirt has one code for several
 * things; where the guest is, is never decided by it. A row that finds no text falls back to the
 * row of its code, and a code without a row is ambiguous: both sides are looked at in any case, and
 * a failure that is known to have changed nothing may be tried again. */
#ifndef WORKER_LIBVIRT_ERROR_H
#define WORKER_LIBVIRT_ERROR_H

#include "conf/err.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>

/* An error as libvirt gives it; code 0: none. */
struct lv_error {
    int code;   /* virErrorNumber */
    int domain; /* virErrorDomain: the part of libvirt that it comes from */
    char message[RM_ERR_MAX];
};

RmClass lv_error_class(const struct lv_error *error);

/* "libvirt error 9 (domain 20): operation failed: ...", and what helps where libvirt does not say it;
 * returns buffer. */
const char *lv_error_text(const struct lv_error *error, char buffer[static RM_ERR_MAX]);

/* The connection broke or is broken: nothing more will come over it. */
bool lv_error_is_connection(const struct lv_error *error);

/* The source's QEMU gave this paused guest away once and got it back: it does not send it again
 * before it has run. */
bool lv_error_is_given_away(const struct lv_error *error);

/* The guest is not known there (any more). */
bool lv_error_is_no_guest(const struct lv_error *error);

/* To the question for a job's figures: a migration comes in. libvirt gives them at the source only,
 * and has this code for nothing else there. */
bool lv_error_is_incoming(const struct lv_error *error);

#endif
