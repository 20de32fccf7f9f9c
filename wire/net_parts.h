/* net_parts.h - what the parts of net.h share: the struct, and what net.c asks of them
 *
 * For wire/net*.c alone; everybody else includes net.h. net.c calls the parts, none calls net.c:
 *
 * net.c         both sides: made, waited for, read, written, freed
 * net_listen.c  the broker's sockets, and who a peer of theirs is
 * net_owner.c   whose a connection is, and nobody has more than his share
 * net_accept.c  no more connections than there are files for
 * net_traffic.c nothing that libzmq cannot take
 * net_pump.c    what arrives there, read by a thread; all that is done with them when they are open
 * net_unsent.c  what peers have not read of what was sent to them
 * net_zap.c     whose key may connect
 * net_dealer.c  the connection of everyone else, and how it stands
 * net_socket.c  what sockets have in common: their options, errors
 * net_key.c     CURVE keys as texts; their files are key.c's, which needs no ZeroMQ
 *
 * What libzmq 4.3.4 does (tests/unit/test_net.c shows it), and what follows from it:
 *
 * - Of an ipc peer the property Peer-Address ends with ":uid:gid:pid", from the kernel; of a tcp
 *   peer it is the address. The peer cannot put its own in its place.
 * - User-Id comes from ZAP, that is from us, on a CURVE socket only. Without CURVE a peer may send
 *   any User-Id: it is never read there. That is why ipc and tcp have a socket each.
 * - A peer may choose its routing id, also one that ZeroMQ gives to another one later, which ends
 *   the whole program then: net_traffic.c. Frames are taken from ids of the form that ZeroMQ makes,
 *   and who a peer is never depends on its id.
 * - A DEALER whose handshake fails for its mechanism or its key never tries again by itself; one
 *   with a wrong server key tries ten times a second for ever. Both are closed here and opened
 *   again later.
 * - EMFILE from accept4() on a local socket ends the program, too: net_accept.c.
 * - A connection whose input was stopped at ZMQ_RCVHWM, whose peer then closes it, and on which a
 *   heartbeat is due or the peer's own is found unread, ends the whole program (an assertion in
 *   stream_engine_base.cpp). Any peer could do that with 800 bytes: so there is no such limit on
 *   any socket here, and what may wait is bounded by inbox.h. */
#ifndef WIRE_NET_PARTS_H
#define WIRE_NET_PARTS_H

#include "conf/env.h"
#include "conf/err.h"
#include "wire/peer.h"

#include <stdbool.h>
#include <zmq.h>

#define NET_ZAP_DOMAIN "rmigrate"

enum { NET_ZAP_TURN = 64 }; /* frames between two looks at ZAP; requests in one look */

enum { SOCKET_LOCAL, SOCKET_TCP, SOCKETS };

enum { NET_FILES_MAX = 512 * 1024 }; /* files that may be open; more are not asked for */

struct net {
    void *context;
    char **endpoints; /* of a connecting side the one that was asked for */
    size_t n_endpoints;

    /* listening */
    void *routers[SOCKETS]; /* NULL: no such endpoint */
    struct pump *pump;
    void *zap;         /* NULL: no keys */
    size_t files;      /* connections that there may be */
    unsigned received; /* since ZAP was looked at */
    struct who *who;   /* NULL on a connecting side */
    struct net_refusal refusal;

    /* connecting */
    bool is_dealer;
    void *dealer, *monitor; /* NULL: closed until revive_at */
    unsigned opened;        /* times, for the monitor's name */
    enum net_state state;
    unsigned failures; /* handshakes in a row that ended without a reason */
    usec_t revive_at;

    bool has_keys;
    char public_key[CONF_Z85_LEN + 1], secret_key[CONF_Z85_LEN + 1], server_key[CONF_Z85_LEN + 1];
};

/* ---- net_owner.c: fd is below NET_FILES_MAX but for owner_is_there() */

void owner_prepare(size_t files); /* how many connections there may be; before: any, and nobody's */
bool owner_take(int fd);          /* may this connection be let in? It counts then */
void owner_refused(void);         /* there was no file for one */
bool owner_is_there(int fd);      /* is the file a connection that counts? */
void owner_give_back(int fd, uint64_t claimed); /* it is closed, with so much unfinished */
struct net_crowd owner_crowd(void);

/* Whose a peer is, by the socket and what ZeroMQ says of its frames (Peer-Address): a local user, an address, an IPv6
 * network. 0: unknown. */
uint64_t owner_number(unsigned which, const char *address);
bool owner_is_master(uint64_t number); /* root, or the broker's own user */

/* A message of so many bytes begins to come over this connection: may it, beside all others that are not
 * finished, of its owner and in all? owner_unclaim(): it is there. */
bool owner_claim(int fd, uint64_t bytes);
void owner_unclaim(int fd, uint64_t bytes);

/* ---- net_accept.c */

/* Raises the number of files as far as the system lets it; returns how many may be connections. */
size_t accept_prepare(void);
struct net_crowd accept_crowd(void);
/* Ends the connection that this file is; nothing where it is none. At worst it is another one's by now, which
 * then connects again. */
void accept_end(int fd);

/* ---- net_traffic.c: fd is below NET_FILES_MAX */

/* A connection that was let in: what its peer sends is read along until it is closed. -ENOMEM. */
int traffic_begin(int fd);
uint64_t traffic_end(int fd); /* returns what it still claims */
uint64_t traffic_foul(void);  /* connections that were ended, since the start */

/* ---- net_socket.c: 0, or -errno */

/* Fails with what libzmq says of errno: it has numbers of its own besides the system's. */
int net_fail(struct rm_err *err, const char *what, const char *endpoint);

struct net_option {
    int option, value;
};

int net_set_int(void *socket, int option, int value);
int net_set_text(void *socket, int option, const char *text);
int net_set_options(void *socket, const struct net_option *options, size_t n);
int net_set_common(void *socket); /* what every socket to another program has */
int net_set_family(void *socket, const char *endpoint); /* IPv6, or IPv4 alone */

/* ---- net_listen.c */

/* Opens and binds all endpoints of the settings; what is open after a failure net_free() closes. */
int listen_open(struct net *net, const struct conf_broker *conf, struct rm_err *err);
void listen_close(struct net *net);

/* Fills user, key, role and address of a peer of the socket `which` from what ZeroMQ says of its
 * frames: the properties Peer-Address and User-Id, or NULL. */
void listen_identify(struct net *net, unsigned which, const char *address, const char *key,
                     struct net_peer *peer);

/* ---- net_pump.c: between pump_start() and pump_stop() only it touches the routers */

struct net_drop {
    unsigned which; /* its socket */
    char address[64], key[CONF_Z85_LEN + 1];
};

int pump_start(struct net *net); /* after a failure too pump_stop() is due */
void pump_stop(struct net *net);
int pump_fd(const struct net *net); /* readable while a frame may wait */

/* The next frame, to be closed and freed, and its sender's socket and route; NULL: there is none. */
zmq_msg_t *pump_take(struct net *net, struct net_peer *peer);

/* Takes the frame, unless it fails: -EHOSTUNREACH, -EAGAIN, -ENOMEM. */
int pump_send(struct net *net, const struct net_peer *peer, zmq_msg_t *frame);

/* Who has said something over connections that may still be there; owned by the caller. -ENOMEM. */
struct net_speaker {
    int fd;
    uint8_t route[NET_ROUTE_MAX];
    size_t route_length;
    unsigned which;                          /* its socket */
    char address[64], key[CONF_Z85_LEN + 1]; /* Peer-Address and User-Id */
};
int pump_speakers(struct net *net, struct net_speaker **ret_speakers, size_t *ret_n);

/* Was a peer disconnected since this was asked last? The latest. */
bool pump_dropped(struct net *net, struct net_drop *ret_drop);

/* ---- net_unsent.c: between threads, and also when the sockets are gone */

/* Makes the frame as libzmq takes it, and counts it until it is sent or dropped. -EAGAIN: its owner has too much that
 * is not; -ENOMEM. */
int unsent_frame(uint64_t owner, const uint8_t *bytes, size_t length, zmq_msg_t *ret_frame);

/* ---- net_zap.c */

int zap_open(struct net *net, struct rm_err *err); /* before any socket that would ask there */
void zap_serve(struct net *net);                   /* answers what has been asked */

/* ---- net_dealer.c: for a connecting side */

/* Opens the connection; after a failure it is closed. */
int dealer_open(struct net *net, struct rm_err *err);
void dealer_close(struct net *net);  /* what is queued goes out first */
void dealer_drop(struct net *net);   /* what is queued is lost */
void dealer_revive(struct net *net); /* opens again what has rested long enough */
void dealer_serve(struct net *net);  /* takes notice of what became of the connection */
enum net_state dealer_state(const struct net *net);

#endif
