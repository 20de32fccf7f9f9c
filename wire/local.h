/* local.h - the place of a local socket in the file system: made free before it is bound, guarded
 * afterwards */
#ifndef WIRE_LOCAL_H
#define WIRE_LOCAL_H

#include "conf/conf.h"
#include "conf/err.h"

#include <stdbool.h>

/* Could a socket of these settings be there? Changes nothing, and does not knock: one may be there.
 * -EEXIST: something else is; -EINVAL: there is no such group; -ENAMETOOLONG and others. */
int local_try(const char *path, const struct conf_broker *conf, struct rm_err *err);

/* Makes the directory (0755) when it is not there, and takes away a socket that nobody listens on
 * any more. -EADDRINUSE: somebody does; -EEXIST: something else is there. */
int local_prepare(const char *path, struct rm_err *err);

/* There is no socket, or nobody listens on it any more. */
bool local_is_deserted(const char *path);

/* Sets group and mode of the settings. The socket is bound under a umask that lets nobody but its
 * owner in. */
int local_guard(const char *path, const struct conf_broker *conf, struct rm_err *err);

#endif
