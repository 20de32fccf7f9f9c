/* key.h - key files: written once, read only when nobody else can
 *
 * A key file is libconfig text with `public` and `secret`, mode 0600. It belongs to the user that
 * the program which uses it runs as, or to root.
 *
 * A group that may read it is refused, root:GROUP 0640 included, even where GROUP is the program's
 * own. The group of the broker's user is the group of the local socket too, unless the settings name
 * another, and its members may be mere viewers: with the broker's key a viewer could pass for the
 * broker and send commands to every worker. A rule that counts the members of the group would stop
 * a broker at its next start because somebody was added to the group in between. So there is one
 * rule, and what is refused comes with the command that puts it right. */
#ifndef WIRE_KEY_H
#define WIRE_KEY_H

#include "conf/conf.h"
#include "conf/err.h"

#include <pwd.h>

/* Writes a new file (-EEXIST otherwise), which is on disk when it returns. owner NULL: it belongs to
 * whoever writes it; else it is the owner's before the secret is in it, which needs root (-EPERM). */
int net_key_write(const char *path, const char *public_key, const char *secret_key,
                  const struct passwd *owner, struct rm_err *err);

/* -EPERM: it belongs to another user, or others may read it; -EACCES: this user may not read it;
 * -EINVAL: no pair of keys. */
int net_key_read(const char *path, char public_key[static CONF_Z85_LEN + 1],
                 char secret_key[static CONF_Z85_LEN + 1], struct rm_err *err);

/* The same without the keys. */
int net_key_check(const char *path, struct rm_err *err);

#endif
