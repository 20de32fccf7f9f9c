/* net.h - sockets: a ROUTER for the broker, a DEALER for everyone else, CURVE, and ZAP in the same
 * loop
 *
 * Only wire/net*.c knows ZeroMQ. A peer of the broker is known by a routing id that ZeroMQ makes
 * for its connection; who it is comes from its key (CURVE) or from the kernel (the uid of a local
 * socket), never from what it says. No logging. Nothing here blocks but net_wait().
 * For one thread; a listening side has another inside, which reads its sockets. */
#ifndef WIRE_NET_H
#define WIRE_NET_H

#include "conf/conf.h"
#include "conf/env.h"
#include "conf/err.h"
#include "wire/peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NET_FDS_MAX = 8 }; /* other descriptors in one wait */

struct net;

/* The broker's: binds all endpoints of the settings, which are borrowed, and raises the number of
 * files that the program may open as far as the system lets it. Errors: -EPERM (tcp beyond loopback
 * without key_file), -EADDRINUSE, -EINVAL and others.
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

/* How a connecting side stands, as of the last net_wait() or net_recv(). */
enum net_state net_state(const struct net *net);

/* The same as words: "connecting", "the broker does not know this key". */
const char *net_state_text(enum net_state state);

/* Listening side: the keys that were refused, for the log; count changes with each. */
const struct net_refusal *net_refusal(const struct net *net);

/* Listening side: how many connections there may be at once, and those that were refused. A local user
 * has NET_SHARE_PERCENT of them at most, and so has an address; root and the broker's own user have as
 * many as there are, and the last NET_ROOT_PERCENT alone. */
size_t net_connections_max(const struct net *net);
struct net_crowd net_crowd(void);

/* Listening side: was a peer disconnected, since this was asked last, because it sent more than may
 * wait (inbox.h)? The latest. */
bool net_dropped(struct net *net, struct net_peer *ret_peer);

/* Listening side: who may what by these settings from now on, in the place of those of net_listen(). The
 * connection of each peer who is somebody else by them, or may do something else, is ended, and
 * changed() is called with what he is now (ROLE_NONE: nobody); he may connect again. On failure
 * nothing has changed. */
typedef void net_changed_f(void *ctx, const struct net_peer *peer);
int net_settings(struct net *net, const struct conf_broker *conf, net_changed_f *changed, void *ctx,
                 struct rm_err *err);

/* The hosts that this peer's key may speak for: NULL-terminated, borrowed. NULL: any host (admins
 * without a key, who are on this machine); a key of another role than worker speaks for none. */
char *const *net_peer_hosts(const struct net *net, const struct net_peer *peer);

/* Waits until a frame is there, one of fds is readable, or the span is over (USEC_NEVER: no end).
 * ZAP is served inside; it may return early, also when net_state() changed. ready[i] is for
 * fds[i]; without fds both may be NULL. Returns 1 when a frame may be there, 0 otherwise, -EINTR
 * for a signal. */
int net_wait(struct net *net, const int *fds, size_t n_fds, bool *ready, usec_t wait_for);

/* Takes one frame; *ret_frame is to be freed with net_frame_free(). -EAGAIN: there is none.
 * peer may be NULL on a connecting side and stays untouched there. Frames of more than one part,
 * too long ones, and those of peers that chose their routing id themselves or whose key is not in the
 * list any more are dropped inside. */
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

#endif
