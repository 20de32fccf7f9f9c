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

/* Where HTTP is served: ADDRESS:PORT with a numeric address, an IPv6 one in brackets, or "/PATH" of a UNIX socket.
 * http_address: false for the latter and for what is neither. ret: in6 has room for both. */
struct sockaddr_in6;
bool http_address(const char *listen, struct sockaddr_in6 *ret);
bool http_is_local(const char *listen); /* a socket, or an address that no other machine reaches */

#endif
