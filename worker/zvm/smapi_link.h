/* smapi_link.h - one connection to a SMAPI server: TCP, TLS or AF_IUCV, all of it with deadlines
 *
 * An address may be used by several threads at once, a link by one. No function blocks beyond its
 * deadline (a point as env_now() counts), none raises SIGPIPE. */
#ifndef WORKER_ZVM_SMAPI_LINK_H
#define WORKER_ZVM_SMAPI_LINK_H

#include "conf/env.h"
#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SMAPI_PORT = 44444 }; /* where a URL names none */

struct smapi_address;
struct smapi_link;

/* Reads a URL of smapi.h and, for TLS, who is trusted. 0 or a negative errno. */
int smapi_address_new(const char *url, const char *ca_file, struct smapi_address **ret_address,
                      struct rm_err *err);
void smapi_address_free(struct smapi_address *address); /* when its links are closed */
bool smapi_address_is_iucv(const struct smapi_address *address);

/* Connects; a server that refuses, is full or out of reach is asked again with growing waits. 0, or
 * a negative errno: -EPERM and -EINVAL stay as they are however often one tries (certificate, name,
 * no AF_IUCV here), all others may pass. */
int smapi_link_open(const struct smapi_address *address, const struct env *env, usec_t until_at,
                    struct smapi_link **ret_link, struct rm_err *err);
void smapi_link_close(struct smapi_link *link); /* NULL is fine */

/* Sends all of it. 0: all has left; otherwise not all of it has: -ETIMEDOUT and others. */
int smapi_link_send(struct smapi_link *link, const uint8_t *bytes, size_t length, usec_t until_at,
                    struct rm_err *err);

/* Receives what is there, 1 byte at least. Returns how many; 0: time is over; -ECONNRESET: the
 * other side has closed, or other errors: the connection is of no use any more. */
int smapi_link_receive(struct smapi_link *link, uint8_t *bytes, size_t size, usec_t until_at,
                       struct rm_err *err);

#endif
