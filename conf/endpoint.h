/* endpoint.h - what an endpoint says: ipc://PATH, tcp://HOST:PORT
 *
 * Reads texts only: no name is looked up. */
#ifndef CONF_ENDPOINT_H
#define CONF_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>

bool endpoint_is_ipc(const char *endpoint);
bool endpoint_is_tcp(const char *endpoint);

/* No other machine reaches it: ipc, or tcp on 127.x, ::1 or localhost. */
bool endpoint_is_local(const char *endpoint);

/* The file of an ipc endpoint, borrowed; NULL: it has none (ipc://@NAME), or is of another kind.
 * endpoint may be NULL. */
const char *endpoint_path(const char *endpoint);

/* The host part of a tcp endpoint, without brackets. False: not tcp://HOST:PORT, or too long. */
bool endpoint_host(const char *endpoint, char *host, size_t size);

bool endpoint_is_ipv4(const char *host); /* "192.0.2.1" */

#endif
