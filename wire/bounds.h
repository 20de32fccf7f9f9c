/* bounds.h - how much of anything one message may bring: the one place where that is checked
 *
 * Every text, list and piece of bytes of every message that the broker takes has a row in the table
 * of bounds.c; a test finds those that have none. docs/limits.md lists what else is bounded. */
#ifndef WIRE_BOUNDS_H
#define WIRE_BOUNDS_H

#include "conf/conf.h"
#include "conf/err.h"
#include "wire/rmigrate.pb-c.h"

enum {
    BOUND_NAME = 1024, /* bytes of a name, a uuid, a version, an address of a hypervisor */
    BOUND_TEXT = 4096, /* bytes of what a hypervisor said, and of a command: the rest is cut off */
    BOUND_REASON = 4096,          /* bytes: it is stored with each job */
    BOUND_RANGE = 1024 * 1024,    /* bytes of a noderange */
    BOUND_VALUE = 1024 * 1024,    /* bytes of a cell of a table */
    BOUND_CSV = 64 * 1024 * 1024, /* bytes of a table */
    BOUND_HOSTS = CONF_HYPERVISORS_MAX,
    BOUND_TASKS =
        2 * CONF_HYPERVISORS_MAX * CONF_SLOTS_MAX, /* of one worker, those that settle too */
    BOUND_DOMAINS = 10000,                         /* of one hypervisor */
    BOUND_JOBS = 100000,                           /* ids of jobs in one request */
    BOUND_TERMS =
        4096,       /* conditions, changes, columns, tables of one request: what they are for says
                         * more clearly, and earlier, that there are too many */
    BOUND_FEW = 64, /* states of jobs, hosts of one job, bytes of a token */
    BOUND_UNKNOWN =
        4096, /* bytes of fields that only a newer program knows, of one message in a message */
};

/* Cuts texts of hypervisors where they are too long, and forgets what is unknown and too much; the message
 * lives in an arena. -EMSGSIZE: something else is too much, and err says what and how much may be. */
int bounds_check(RmMessage *message, struct rm_err *err);

/* The bound of that field; 0: it has none. */
size_t bounds_of(const ProtobufCMessageDescriptor *message, const char *field);

#endif
