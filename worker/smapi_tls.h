/* smapi_tls.h - TLS over a socket that is connected already and does not block
 *
 * TLS 1.2 at least. The certificate must be signed by who is trusted and be made out to the name or
 * address that was dialled; there is no way around that. One struct smapi_tls serves all threads, a
 * session one. Nothing global of OpenSSL is changed. */
#ifndef WORKER_SMAPI_TLS_H
#define WORKER_SMAPI_TLS_H

#include "conf/err.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct smapi_tls;
struct smapi_tls_session;

/* What a step waits for. */
enum { SMAPI_TLS_READ = 1, SMAPI_TLS_WRITE = 2 };

/* ca_file: PEM with authorities, or the server's own certificate; NULL: the system's authorities.
 * 0 or a negative errno. */
int smapi_tls_new(const char *ca_file, struct smapi_tls **ret_tls, struct rm_err *err);
void smapi_tls_free(struct smapi_tls *tls); /* when its sessions are freed; NULL is fine */

/* host: a name, or an IP address. The socket stays the caller's. */
int smapi_tls_session_new(struct smapi_tls *tls, int fd, const char *host,
                          struct smapi_tls_session **ret_session, struct rm_err *err);
void smapi_tls_session_free(struct smapi_tls_session *session); /* NULL is fine */

/* 0: done; SMAPI_TLS_READ or _WRITE: wait for that and call again; -EPERM: the other side is not
 * trusted; other negative errno: it failed. */
int smapi_tls_handshake(struct smapi_tls_session *session, struct rm_err *err);

/* Returns how many bytes; 0: none now, *ret_step says what to wait for (send the same bytes again);
 * negative errno, -ECONNRESET: closed. */
ssize_t smapi_tls_send(struct smapi_tls_session *session, const uint8_t *bytes, size_t length,
                       int *ret_step, struct rm_err *err);
ssize_t smapi_tls_receive(struct smapi_tls_session *session, uint8_t *bytes, size_t size,
                          int *ret_step, struct rm_err *err);

#endif
