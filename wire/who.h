/* who.h - who a peer is: the list of keys, and the users of this machine
 *
 * A key is asked for by its public half, which names one row whatever the rows are called. A local
 * user is what the kernel says of the socket's other end. */
#ifndef WIRE_WHO_H
#define WIRE_WHO_H

#include "conf/err.h"
#include "wire/peer.h"

#include <sys/types.h>

struct who;

/* The settings are borrowed. -EINVAL: a key that is none, or twice the same one. */
int who_new(const struct conf_broker *conf, struct who **ret_who, struct rm_err *err);
void who_free(struct who *who); /* NULL is fine */

/* The number of the row with this key, from 1; 0 = there is none. */
unsigned who_find(const struct who *who, const char *public_key);

/* Row `number`; NULL when there is none. */
const struct conf_key *who_key(const struct who *who, unsigned number);

/* A local endpoint has no file that guards it: only root and the broker's own user may do anything.
 */
void who_open_to_all(struct who *who);

/* As that one was opened to all, or not: who takes its place. */
void who_replace(struct who *who, const struct who *before);

/* The name of a local user, "uid-N" for one without. -EAGAIN: it cannot be looked up now. */
int who_user(uid_t uid, char name[static CONF_NAME_MAX + 1]);

/* Fills user, role and address of a local peer from what ZeroMQ says of it, "...:UID:GID:PID". What
 * cannot be read, and a user that cannot be looked up now, has ROLE_NONE. */
void who_local(struct who *who, const char *credentials, struct net_peer *peer);

#endif
