/* hv_error.h - what a failure of libvirt means for the next try: one table of its codes, domains
 * and texts
 *
 * The texts are what libvirt 7..10 and QEMU say; a row that finds no text falls back to the row of
 * its code, and a code without a row is ambiguous: both sides are looked at in any case, and a
 * failure that is known to have changed nothing may be tried again. */
#ifndef WORKER_HV_ERROR_H
#define WORKER_HV_ERROR_H

#include "conf/err.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>

/* An error as libvirt gives it; code 0: none. */
struct hv_error {
    int code;   /* virErrorNumber */
    int domain; /* virErrorDomain: which part of libvirt says so */
    char message[RM_ERR_MAX];
};

RmClass hv_error_class(const struct hv_error *error);

/* "libvirt error 9 (domain 20): operation failed: ..."; returns buffer. */
const char *hv_error_text(const struct hv_error *error, char buffer[static RM_ERR_MAX]);

/* The connection broke or is broken: nothing more will come over it. */
bool hv_error_is_connection(const struct hv_error *error);

/* The guest is not known there (any more). */
bool hv_error_is_no_guest(const struct hv_error *error);

/* The side answered that a migration comes in: it gives no figures to such a question. */
bool hv_error_is_incoming(const struct hv_error *error);

#endif
