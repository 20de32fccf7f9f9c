/* dir.h - the directory of a store: is it ours, and is this process its only writer? */
#ifndef STORE_DIR_H
#define STORE_DIR_H

#include "conf/err.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Makes it (0700) when it is not there. */
int place_make(const char *path, struct rm_err *err);

/* May a store be opened there? *ret_new: there is none yet (only with create). -ENOENT: there is
 * none. -EINVAL: other files are there, or it is on a network file system. -EBADMSG: its file is
 * empty. */
int place_look(const char *path, bool create, bool *ret_new, struct rm_err *err);

/* Would a broker's place_make(), place_look() and what it writes then succeed for this user? Changes
 * nothing and takes no lock. *ret_new: there is no store yet. Errors: theirs, -EACCES and the like. */
int place_try(const char *path, bool *ret_new, struct rm_err *err);

/* Becomes the only writer for as long as *ret_lock is open. It is set also on failure: close it
 * when it is not -1. -EBUSY: there is one. */
int place_lock(const char *path, int *ret_lock, struct rm_err *err);

/* Bytes that the disk lacks for the data to become `size`, with what it has already; 0 also where that is not known.
 * ret_room (may be NULL): bytes that may still be written there. */
uint64_t place_missing(const char *path, uint64_t size, uint64_t *ret_room);

/* True when only what an interrupted first start may have left behind is there. */
bool place_is_empty(const char *path);

/* The file with the data. -ENAMETOOLONG. */
int place_data_file(const char *path, char name[static PATH_MAX]);

#endif
