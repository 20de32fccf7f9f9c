/* error.c - what a failure of libvirt means for the next try: one table of its codes, domains
 * and texts */
#include "worker/libvirt/error.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

enum { /* virErrorNumber, virErrorDomain: part of libvirt's stable interface */
       CODE_INTERNAL = 1,
       CODE_NO_SUPPORT = 3,
       CODE_UNKNOWN_HOST = 4,
       CODE_NO_CONNECT = 5,
       CODE_INVALID_CONN = 6,
       CODE_INVALID_ARG = 8,
       CODE_OPERATION_FAILED = 9,
       CODE_OPERATION_DENIED = 29,
       CODE_SYSTEM = 38,
       CODE_RPC = 39,
       CODE_GNUTLS = 40,
       CODE_NO_DOMAIN = 42,
       CODE_AUTH_FAILED = 45,
       CODE_OPERATION_INVALID = 55,
       CODE_CONFIG_UNSUPPORTED = 67,
       CODE_OPERATION_TIMEOUT = 68,
       CODE_PERSIST_FAILED = 69,
       CODE_ARGUMENT_UNSUPPORTED = 74,
       CODE_OPERATION_ABORTED = 78,
       CODE_AUTH_CANCELLED = 79,
       CODE_MIGRATE_UNSAFE = 81,
       CODE_OPERATION_UNSUPPORTED = 84,
       CODE_RESOURCE_BUSY = 87,
       CODE_ACCESS_DENIED = 88,
       CODE_CPU_INCOMPATIBLE = 91,
       CODE_FINISH_OK = 93,
       CODE_AUTH_UNAVAILABLE = 94,
       ANY = -1,
       DOMAIN_RPC = 7,
       DOMAIN_QEMU = 10,
       DOMAIN_REMOTE = 13,
       DOMAIN_STORAGE = 18,
};

struct row {
    int code, domain; /* ANY fits all domains */
    const char *text; /* that must stand in the message; NULL: any */
    RmClass class_;
};

#define GIVEN_AWAY "paused due to previous migration" /* QEMU's own words */

#define RETRY     RM_CLASS__CLASS_RETRY
#define UNFIT     RM_CLASS__CLASS_UNFIT
#define FATAL     RM_CLASS__CLASS_FATAL
#define AMBIGUOUS RM_CLASS__CLASS_AMBIGUOUS
#define ABORTED   RM_CLASS__CLASS_ABORTED

/* The first row that fits decides; so the rows of one code go from the special to the general. */
static const struct row rows[] = {
    /* An internal error is whatever has no code of its own. */
    {CODE_INTERNAL, DOMAIN_RPC, NULL, AMBIGUOUS}, /* the connection broke in the middle */
    {CODE_INTERNAL, ANY, "to the same host", UNFIT},
    {CODE_INTERNAL, ANY, "Unable to find an unused port", RETRY},
    {CODE_INTERNAL, DOMAIN_QEMU, "process exited while connecting to monitor", UNFIT},
    {CODE_INTERNAL, DOMAIN_QEMU, "Unable to access credentials", UNFIT},
    {CODE_INTERNAL, DOMAIN_QEMU, "Postcopy is not supported", UNFIT},
    {CODE_INTERNAL, ANY, GIVEN_AWAY, FATAL},
    {CODE_INTERNAL, ANY, NULL, AMBIGUOUS},
    {CODE_NO_SUPPORT, ANY, NULL, UNFIT},
    {CODE_UNKNOWN_HOST, ANY, NULL, RETRY},
    {CODE_NO_CONNECT, ANY, NULL, UNFIT}, /* no storage driver or no pool there */
    {CODE_INVALID_CONN, ANY, NULL, AMBIGUOUS},
    {CODE_INVALID_ARG, ANY, NULL, FATAL},

    {CODE_OPERATION_FAILED, ANY, "already exists with uuid", UNFIT},
    {CODE_OPERATION_FAILED, ANY, "is already defined with uuid", UNFIT},
    {CODE_OPERATION_FAILED, ANY, "have different sizes", UNFIT},
    {CODE_OPERATION_FAILED, ANY, "guest CPU doesn't match specification", UNFIT},
    {CODE_OPERATION_FAILED, ANY, "canceled by client", ABORTED},
    {CODE_OPERATION_FAILED, ANY, NULL, AMBIGUOUS}, /* the transfer broke, or the guest ended */

    {CODE_OPERATION_DENIED, ANY, NULL, FATAL}, /* a read-only connection */

    {CODE_SYSTEM, DOMAIN_RPC, "unable to connect to server", RETRY},
    {CODE_SYSTEM, DOMAIN_RPC, "Unable to resolve address", RETRY},
    {CODE_SYSTEM, ANY, "Failed to connect socket", RETRY},
    {CODE_SYSTEM, ANY, "Cannot recv data", AMBIGUOUS},
    {CODE_SYSTEM, DOMAIN_STORAGE, NULL, UNFIT}, /* a disk that is not there */
    {CODE_SYSTEM, ANY, "unable to connect to server", RETRY},
    {CODE_SYSTEM, ANY, "Unable to resolve address", RETRY},
    {CODE_SYSTEM, ANY, "cannot limit locked memory", UNFIT},
    {CODE_SYSTEM, ANY, NULL, AMBIGUOUS}, /* a connection or a QEMU was lost */

    {CODE_RPC, ANY, NULL, AMBIGUOUS},
    {CODE_GNUTLS, ANY, NULL, UNFIT},
    {CODE_NO_DOMAIN, ANY, NULL, AMBIGUOUS}, /* not here any more: where? */
    {CODE_AUTH_FAILED, ANY, NULL, UNFIT},

    {CODE_OPERATION_INVALID, ANY, "another migration job is already running", RETRY},
    {CODE_OPERATION_INVALID, ANY, "is being migrated", RETRY},
    {CODE_OPERATION_INVALID, ANY, "block job", RETRY},
    {CODE_OPERATION_INVALID, ANY, "I/O error", RETRY},
    {CODE_OPERATION_INVALID, ANY, "is already active", AMBIGUOUS}, /* it runs there as well */
    {CODE_OPERATION_INVALID, ANY, "cannot migrate domain", FATAL},
    {CODE_OPERATION_INVALID, ANY, "cannot start RDMA migration", FATAL},
    {CODE_OPERATION_INVALID, ANY, "host device", FATAL},
    {CODE_OPERATION_INVALID, ANY, "snapshot", FATAL},
    {CODE_OPERATION_INVALID, ANY, "checkpoint", FATAL},
    {CODE_OPERATION_INVALID, ANY, NULL, AMBIGUOUS}, /* "domain is not running" and others */

    {CODE_CONFIG_UNSUPPORTED, ANY, NULL, UNFIT},
    {CODE_OPERATION_TIMEOUT, ANY, NULL, RETRY},  /* another call holds the guest */
    {CODE_PERSIST_FAILED, ANY, NULL, AMBIGUOUS}, /* it runs there, its definition is missing */
    {CODE_ARGUMENT_UNSUPPORTED, ANY, NULL, FATAL},
    {CODE_OPERATION_ABORTED, ANY, NULL, ABORTED},
    {CODE_AUTH_CANCELLED, ANY, NULL, UNFIT},
    {CODE_MIGRATE_UNSAFE, ANY, NULL, FATAL},
    {CODE_OPERATION_UNSUPPORTED, ANY, NULL, UNFIT},
    {CODE_RESOURCE_BUSY, ANY, NULL, RETRY},
    {CODE_ACCESS_DENIED, ANY, NULL, UNFIT},
    {CODE_CPU_INCOMPATIBLE, ANY, NULL, UNFIT},
    {CODE_FINISH_OK, ANY, NULL, AMBIGUOUS}, /* it runs there although something failed */
    {CODE_AUTH_UNAVAILABLE, ANY, NULL, UNFIT},
};

RmClass lv_error_class(const struct lv_error *error)
{
    if (error->code == 0)
        return RM_CLASS__NO_CLASS;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        if (row->code == error->code && (row->domain == ANY || row->domain == error->domain) &&
            (!row->text || strstr(error->message, row->text)))
            return row->class_;
    }
    return AMBIGUOUS;
}

/* What helps, where libvirt does not say so; "": nothing that is known. */
static const char *advice(const struct lv_error *error)
{
    if (error->code == CODE_MIGRATE_UNSAFE)
        return "; its disks have to be on storage that both hosts share, with cache none or "
               "directsync; if they are, and libvirt cannot see it: --unsafe";
    if (error->code == CODE_SYSTEM && error->domain == DOMAIN_STORAGE)
        return "; is that disk on storage that both hosts share, and is it mounted there?";
    return "";
}

const char *lv_error_text(const struct lv_error *error, char buffer[static RM_ERR_MAX])
{
    struct rm_err err = {""};
    if (error->code != 0)
        rm_err_set(&err, "libvirt error %d (domain %d): %s%s", error->code, error->domain,
                   error->message, advice(error));
    memcpy(buffer, err.text, sizeof(err.text));
    return buffer;
}

bool lv_error_is_connection(const struct lv_error *error)
{
    if (error->domain != DOMAIN_RPC && error->domain != DOMAIN_REMOTE)
        return error->code == CODE_INVALID_CONN;
    return error->code == CODE_INTERNAL || error->code == CODE_SYSTEM || error->code == CODE_RPC ||
           error->code == CODE_GNUTLS;
}

bool lv_error_is_given_away(const struct lv_error *error)
{
    return error->code == CODE_INTERNAL && strstr(error->message, GIVEN_AWAY);
}

bool lv_error_is_no_guest(const struct lv_error *error)
{
    return error->code == CODE_NO_DOMAIN;
}

bool lv_error_is_incoming(const struct lv_error *error)
{
    return error->code == CODE_OPERATION_UNSUPPORTED;
}
