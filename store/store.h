/* store.h - the engine: ordered tables of bytes, one transaction at a time
 *
 * Knows nothing of jobs. Written so that a second engine can stand behind it: no LMDB type appears
 * here. One thread. The first change opens a transaction, which everything that follows sees;
 * store_commit() makes all of it durable at once (two flushes, full sync: an acknowledged commit
 * survives a power cut), store_abort() drops it. No logging. */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum store_table {
    STORE_META,      /* name -> bytes: schema, counters */
    STORE_JOB,       /* id -> RmJob; appended, rewritten by modify alone */
    STORE_LIVE,      /* id -> RmLive; unfinished jobs only */
    STORE_RESULT,    /* id -> RmResult */
    STORE_EVENT,     /* job, sequence -> RmEvent */
    STORE_BATCH,     /* id -> RmBatch */
    STORE_GUEST,     /* name -> RmGuest */
    STORE_HOST,      /* name -> RmHost */
    STORE_TOKEN,     /* 16 bytes -> RmToken */
    STORE_TOKEN_AGE, /* time, token -> nothing: the oldest first, for forgetting */
    STORE_ROW,       /* site table, 0, number -> RmRow: rows in their order */
    STORE_ROW_KEY,   /* site table, 0, key -> number of its row */
    STORE_PLAN,      /* id -> RmPlan */
    STORE_TABLES
};

/* "job", "live" and so on: what the table is called on disk and by `rmigrate-store dump`. */
const char *store_table_name(enum store_table table);

enum { STORE_KEY_MAX = 500 }; /* bytes; LMDB's own limit is 511 */

struct store;
struct store_bytes {
    const void *data; /* borrowed: valid until the next put, delete, commit or abort */
    size_t length;
};

enum store_open_flags {
    STORE_CREATE = 1,
    STORE_READ_ONLY = 2,
    STORE_NO_SYNC = 4, /* tests only: a crash of the machine may lose everything */
};

/* path: a directory; made (0700) with STORE_CREATE. size: address space, the most that it can grow
 * to; read-only: not looked at. Any number of processes may read beside the one that writes; a
 * second writer is refused (-EBUSY), and so is a second open of one store in one process. -ENOENT:
 * there is none. -EINVAL: the directory holds something else, or is on a network file system.
 * -EBADMSG: its file is empty or has been cut off. */
int store_open(const char *path, uint64_t size, int flags, struct store **ret_store,
               struct rm_err *err);
void store_close(struct store *store); /* drops what is not committed; NULL is fine */

const char *store_path(const struct store *store); /* as it was opened; borrowed */
bool store_is_read_only(const struct store *store);

/* -ENOSPC: the store is full. After an error of a put or a delete other than -ENOENT, -EINVAL and
 * -EROFS the transaction cannot be committed any more: abort it. append: key is greater than all
 * that are there (cheaper; falls back to an ordinary put when it is not). The value must not be
 * borrowed from the store. */
int store_put(struct store *store, enum store_table table, const void *key, size_t key_length,
              const void *value, size_t length, bool append);
int store_delete(struct store *store, enum store_table table, const void *key,
                 size_t key_length); /* -ENOENT */
/* Deletes every key that begins with prefix (at least one byte). 0 also when there was none. */
int store_delete_prefix(struct store *store, enum store_table table, const void *prefix,
                        size_t length);
int store_get(struct store *store, enum store_table table, const void *key, size_t key_length,
              struct store_bytes *ret_value); /* -ENOENT */

/* Walks keys in order from the first that is >= `from` (from_length 0: from the first), or
 * downwards from the last that is <= `from` (from_length 0: from the last). f returns 0 to go on, 1
 * to stop, negative to fail; it may read from the store but must not change it, commit or rest.
 * Returns 0, 1 when stopped, or the error. */
typedef int store_walk_f(void *ctx, const void *key, size_t key_length, const void *value,
                         size_t length);
int store_walk(struct store *store, enum store_table table, const void *from, size_t from_length,
               bool down, store_walk_f *f, void *ctx);

uint64_t store_count(struct store *store, enum store_table table);
uint64_t store_table_bytes(struct store *store, enum store_table table); /* that its pages have */

bool store_is_dirty(const struct store *store);            /* a transaction is open */
int store_commit(struct store *store, struct rm_err *err); /* 0 also when there was nothing to do */
void store_abort(struct store *store);

/* Ends the read view that store_get and store_walk opened outside a transaction, so that its pages
 * may be used again. Called at the end of each turn; commit and abort do it as well. */
void store_rest(struct store *store);

/* For whoever keeps an index of one table in memory: from store_watch() on the store remembers
 * which keys of that table were put or deleted. store_changes() calls f for each key since the last
 * call, oldest first, a key maybe more than once; -ESTALE: too much has changed, or changes were
 * dropped (store_abort, a failed commit), so the index has to be rebuilt. One table for a store.
 */
enum { STORE_CHANGES_MAX = 4096 };
typedef int store_change_f(void *ctx, const void *key, size_t key_length); /* negative: fail */
int store_watch(struct store *store, enum store_table table);
int store_changes(struct store *store, store_change_f *f, void *ctx);

/* How full, in bytes. A process that reads an old state keeps pages that are free by now from being
 * used again: they count as used until it ends or reads anew. One that was killed is forgotten here,
 * and before each transaction. What the last transaction has freed counts as used until the one
 * after the next: LMDB does not use it before. */
struct store_usage {
    uint64_t used; /* without free pages, and without what is not committed */
    uint64_t size; /* the most it can be */
    uint64_t kept; /* part of used: what a reader keeps */
    int reader;    /* its pid; 0: nobody keeps anything */
};
int store_usage(struct store *store, struct store_usage *ret);

/* Bytes that the disk of a store lacks for it to become `size`; 0: none, or it is not known. */
uint64_t store_disk_missing(const char *path, uint64_t size);

/* Whoever begins something that makes the store grow claims room for it first, for all that it may
 * take: what is claimed counts until the commit. -ENOSPC: with all claims, and with what is kept
 * back, the store would be fuller than STORE_FULL_PERCENT, and nothing is claimed. So what has begun
 * already can always be ended. ret_left (may be NULL): bytes that could be claimed. */
enum {
    STORE_FULL_PERCENT = 90,
    STORE_PAGE = 4096, /* bytes: a record costs a copy of the page that it stands in, at most */
};
int store_claim(struct store *store, uint64_t bytes, uint64_t *ret_left);
void store_keep_back(struct store *store, uint64_t bytes); /* from now on */

/* A compacted copy of what is committed, into a new or empty directory, while others write. It is
 * on disk when this returns. -EEXIST: there is something in it. */
int store_backup(struct store *store, const char *path, struct rm_err *err);

/* Test hook: the n-th commit from now fails with that error, a negative errno; 0 = never. */
void store_fail_commit(struct store *store, unsigned countdown, int error);

#endif
