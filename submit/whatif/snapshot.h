/* snapshot.h - a snapshot of a site as JSON, written and read */
#ifndef SUBMIT_WHATIF_SNAPSHOT_H
#define SUBMIT_WHATIF_SNAPSHOT_H

#include "conf/err.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

enum {
    SNAPSHOT_BYTES_MAX = 64 * 1024 * 1024, /* of a file */
    SNAPSHOT_ROWS_MAX = 200000,            /* hosts, guests, rules, each */
};

void snapshot_print(struct arena *arena, const RmSnapshot *snapshot);
/* file: "-": standard input. It lives in the arena. What is returned is whole: every name of a host is that of
 * one of its hosts, every rule one of its rules, and the hosts are by name. -EINVAL and others: err says what is wrong
 * and where. */
int snapshot_read(const char *file, struct arena *arena, RmSnapshot **ret_snapshot,
                  struct rm_err *err);

#endif
