/* net.h - sockets: a ROUTER for the broker, a DEALER for everyone else, CURVE, and ZAP in the same loop
 *
 * The only file that knows ZeroMQ. A peer of the broker is known by a routing id that ZeroMQ makes for
 * its connection; who it is comes from its key (CURVE) or from the kernel (the uid of a local socket),
 * never from what it says. No logging. Nothing here blocks but net_wait(). */
#ifndef WIRE_NET_H
#define WIRE_NET_H

#include "conf/conf.h"
#include "conf/env.h"
#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NET_ROUTE_MAX = 16,   /* bytes of a routing id that ZeroMQ makes: 5 */
    NET_FDS_MAX = 8,      /* other descriptors in one wait */
    NET_QUEUE_MAX = 10000 /* frames that wait for one slow peer; the next ones are lost, which is harmless */
};

struct net_peer {
    uint8_t route[NET_ROUTE_MAX];
    size_t route_length;
    char user[CONF_NAME_MAX + 1];  /* key name; local user's name on ipc; "local" on loopback tcp without keys */
    enum role role;
    char address[64];              /* of tcp peers; "pid N uid N" of local ones */
};

struct net;

/* The broker's: binds all endpoints of the settings. ipc sockets: the directory is made (0755) if it is not there,
 * a stale socket is replaced, a live one is an error (-EADDRINUSE); mode and group as set. */
int net_listen(const struct conf_broker *conf, struct net **ret_net, struct rm_err *err);

/* A peer's: connects in the background, again and again, waits spread. key_file and server_key may be NULL (no CURVE). */
int net_connect(const char *endpoint, const char *key_file, const char *server_key,
                struct net **ret_net, struct rm_err *err);
void net_free(struct net *net); /* sends what is queued for up to 200 ms; NULL is fine */

/* The hosts that this peer's key may speak for: NULL-terminated, borrowed. NULL: not a worker, or any host
 * (local peers without keys). */
char *const *net_peer_hosts(const struct net *net, const struct net_peer *peer);

/* Waits until a frame is there, one of fds is readable, or the span is over. ZAP is served inside.
 * ready[i] tells of fds[i]. Returns 1 when a frame may be there, 0 otherwise, -EINTR for a signal. */
int net_wait(struct net *net, const int *fds, size_t n_fds, bool *ready, usec_t wait_for);

/* Takes one frame; *ret_frame is to be freed with net_frame_free(). -EAGAIN: there is none.
 * peer may be NULL on a connecting side. Frames of more than one part and too long ones are dropped inside. */
struct net_frame {
    const uint8_t *data;
    size_t length;
    void *owner;
};
int net_recv(struct net *net, struct net_peer *peer, struct net_frame *ret_frame);
void net_frame_free(struct net_frame *frame);

/* Copies the frame into the socket. -EHOSTUNREACH: that peer is gone; -EAGAIN: its queue is full. */
int net_send(struct net *net, const struct net_peer *peer, const uint8_t *frame, size_t length);

/* Connecting side: drops the connection and begins a new one, so that nothing sent before is heard. */
int net_reconnect(struct net *net, struct rm_err *err);

/* A new CURVE pair as Z85 text. */
int net_keypair(char public_key[static CONF_Z85_LEN + 1], char secret_key[static CONF_Z85_LEN + 1]);

/* A key file: libconfig text with `public` and `secret`, mode 0600. Written new (-EEXIST otherwise); reading refuses one
 * that others may read (-EPERM). */
int net_key_write(const char *path, const char *public_key, const char *secret_key, struct rm_err *err);
int net_key_read(const char *path, char public_key[static CONF_Z85_LEN + 1],
                 char secret_key[static CONF_Z85_LEN + 1], struct rm_err *err);

#endif
