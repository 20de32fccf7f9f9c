/* smapi_login.h - the file that holds the userid and the password for a SMAPI server
 *
 * Two lines: userid, password. Blanks and tabs at the beginning and the end of a line go, so does a
 * carriage return; blanks inside the password stay. Nothing but empty lines may follow. The file is
 * a regular one (no symbolic link), belongs to root or to the user of this program, and nobody else
 * may read or write it. Texts about it name what to do and never quote its content. */
#ifndef WORKER_ZVM_SMAPI_LOGIN_H
#define WORKER_ZVM_SMAPI_LOGIN_H

#include "conf/err.h"
#include "worker/zvm/smapi_codec.h"

#include <sys/types.h>
#include <time.h>

/* Which file, in which version. */
struct smapi_stamp {
    dev_t device;
    ino_t inode;
    struct timespec changed;
    off_t size;
};

bool smapi_stamp_is_same(const struct smapi_stamp *a, const struct smapi_stamp *b);

/* Wipe *ret_login with explicit_bzero() after use. 0 or a negative errno. */
int smapi_login_read(const char *file, struct smapi_login *ret_login, struct smapi_stamp *ret_stamp,
                     struct rm_err *err);

/* The two lines of such a file, which is changed in place. 0 or -EINVAL. */
int smapi_login_parse(const char *file, char *text, size_t length, struct smapi_login *ret_login,
                      struct rm_err *err);

#endif
