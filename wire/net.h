/* net.h - sockets: a ROUTER for the broker, a DEALER for everyone else, CURVE, and ZAP in the same
 * loop
 *
 * Only wire/net*.c knows ZeroMQ. A peer of the broker is known by a routing id that ZeroMQ makes
 * for its connection; who it is comes from its key (CURVE) or from the kernel (the uid of a local
 * socket), never from what it says. No logging. Nothing here blocks but net_wait(). */
#ifndef WIRE_NET_H
#define WIRE_NET_H

#include "conf/conf.h"
#include "conf/env.h"
#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NET_ROUTE_MAX = 16, /* bytes of a routing id that ZeroMQ makes: 5 */
    NET_FDS_MAX = 8,    /* other descriptors in one wait */
    NET_QUEUE_MAX =
        10000, /* frames that wait for one slow peer; more are lost, which is harmless */
    NET_OFFLINE_MAX = 1000 /* frames that a connecting side keeps while it is not connected */
};

struct net_peer {
    uint8_t route[NET_ROUTE_MAX];
    size_t route_length;
    unsigned socket;              /* ipc and tcp have one each; a route is known to one of them */
    unsigned key;                 /* number of its row in the list of keys; 0 = came without one */
    char user[CONF_NAME_MAX + 1]; /* name of the key, or of the local user; "local": no keys */
    enum role role;               /* ROLE_NONE: may do nothing */
    char address[64];             /* of tcp peers; "pid N uid N" of local ones */
};

struct net;

/* The broker's: binds all endpoints of the settings, which are not needed afterwards, and raises
 * the number of files that the program may open as far as the system lets it. Errors: -EPERM (tcp
 * beyond loopback without key_file), -EADDRINUSE, -EINVAL and others.
 *
 * ipc://PATH: the directory is made (0755) if it is not there, a stale socket is replaced, a live
 * one is -EADDRINUSE, anything else in its place -EEXIST; mode and group as set. The peer's user is
 * the one that the kernel names: a viewer or operator where the settings say so, else an admin, who
 * may act as a worker too. A user without a name is "uid-N", and a viewer where the settings have
 * lists. ipc://@NAME has no file that guards it: there only the broker's own user and root may do
 * anything.
 *
 * tcp://: with key_file only peers whose key is in the list are let in, on loopback too. Without,
 * the endpoint must be loopback, and whoever connects is the admin "local". Port * is chosen by the
 * system. */
int net_listen(const struct conf_broker *conf, struct net **ret_net, struct rm_err *err);

/* What endpoint i of the settings became: the port that the system chose. NULL: there is none.
 * Borrowed. */
const char *net_endpoint(const struct net *net, size_t i);

/* A peer's: connects in the background, again and again, waits spread. key_file and server_key:
 * both or none (NULL); they are for tcp, an ipc endpoint needs none and ignores them. */
int net_connect(const char *endpoint, const char *key_file, const char *server_key,
                struct net **ret_net, struct rm_err *err);
void net_free(struct net *net); /* sends what is queued for up to 200 ms; NULL is fine */

/* How a connecting side stands, as of the last net_wait() or net_recv(). What cannot get through is
 * tried again every 5 to 10 s, since the broker may be told of a key at any time; a frame that is
 * sent meanwhile is -EAGAIN. */
enum net_state {
    NET_CONNECTING,   /* nothing answers yet, or the connection was lost */
    NET_CONNECTED,    /* the broker knows this peer */
    NET_REFUSED_KEY,  /* the broker does not know this key */
    NET_NO_HANDSHAKE, /* keys on one side only, or server_key is not the broker's */
    NET_DENIED,       /* this user may not open the local socket */
};
enum net_state net_state(const struct net *net);

/* The same as words: "connecting", "the broker does not know this key". */
const char *net_state_text(enum net_state state);

/* Listening side: the keys that were refused, for the log; a change of count tells of a new one. */
struct net_refusal {
    uint64_t count;                    /* since the start */
    char public_key[CONF_Z85_LEN + 1]; /* of the last one */
    char address[64];                  /* that it came from */
};
const struct net_refusal *net_refusal(const struct net *net);

/* The hosts that this peer's key may speak for: NULL-terminated, borrowed. NULL: any host (peers
 * without keys); a key of another role than worker speaks for none. */
char *const *net_peer_hosts(const struct net *net, const struct net_peer *peer);

/* Waits until a frame is there, one of fds is readable, or the span is over (USEC_NEVER: no end).
 * ZAP is served inside; it may return early, also when net_state() changed. ready[i] tells of
 * fds[i]; without fds both may be NULL. Returns 1 when a frame may be there, 0 otherwise, -EINTR
 * for a signal. */
int net_wait(struct net *net, const int *fds, size_t n_fds, bool *ready, usec_t wait_for);

/* Takes one frame; *ret_frame is to be freed with net_frame_free(). -EAGAIN: there is none.
 * peer may be NULL on a connecting side and stays untouched there. Frames of more than one part,
 * too long ones, and those of peers that chose their routing id themselves are dropped inside. */
struct net_frame {
    const uint8_t *data;
    size_t length;
    void *owner;
};
int net_recv(struct net *net, struct net_peer *peer, struct net_frame *ret_frame);
void net_frame_free(struct net_frame *frame);

/* Copies the frame into the socket; peer is NULL on a connecting side. -EHOSTUNREACH: that peer is
 * gone; -EAGAIN: its queue is full. A connecting side keeps up to NET_OFFLINE_MAX frames until it
 * is connected (again). */
int net_send(struct net *net, const struct net_peer *peer, const uint8_t *frame, size_t length);

/* Connecting side: drops the connection, and what was queued, and begins a new one, so that nothing
 * sent before is answered. */
int net_reconnect(struct net *net, struct rm_err *err);

/* A new CURVE pair as Z85 text. */
int net_keypair(char public_key[static CONF_Z85_LEN + 1], char secret_key[static CONF_Z85_LEN + 1]);

bool net_key_is_valid(const char *text); /* Z85 text of a key's length */
int net_key_public(const char *secret_key, char public_key[static CONF_Z85_LEN + 1]); /* -EINVAL */

/* A key file: libconfig text with `public` and `secret`, mode 0600. Written new (-EEXIST otherwise)
 * and on disk when it returns; reading refuses one that belongs to another user or that others may
 * read (-EPERM), and a pair that is none (-EINVAL). */
int net_key_write(const char *path, const char *public_key, const char *secret_key,
                  struct rm_err *err);
int net_key_read(const char *path, char public_key[static CONF_Z85_LEN + 1],
                 char secret_key[static CONF_Z85_LEN + 1], struct rm_err *err);

#endif
