/* net_parts.h - what the parts of net.h share: the struct, and what one part asks of another
 *
 * For wire/net*.c alone; everybody else includes net.h. The parts:
 *
 * net.c         both sides: made, waited for, read, written, freed
 * net_listen.c  the broker's sockets, and who a peer of theirs is
 * net_zap.c     whose key may connect
 * net_dealer.c  the connection of everyone else, and how it stands
 * net_option.c  options that sockets have in common
 * net_key.c     CURVE keys as texts; their files are key.c's, which needs no ZeroMQ
 *
 * What libzmq 4.3.4 does (tests/unit/test_net.c shows it), and what follows from it:
 *
 * - Of an ipc peer the property Peer-Address ends with ":uid:gid:pid" as the kernel tells; of a tcp
 *   peer it is the address. The peer cannot put its own in its place.
 * - User-Id comes from ZAP, that is from us, on a CURVE socket only. Without CURVE a peer may send
 *   any User-Id: it is never read there. That is why ipc and tcp have a socket each.
 * - A peer may choose its routing id. Frames are taken from ids of the form that ZeroMQ makes, and
 *   who a peer is never depends on its id.
 * - A DEALER whose handshake fails for its mechanism or its key never tries again by itself; one
 *   with a wrong server key tries ten times a second for ever. Both are closed here and opened
 *   again later. */
#ifndef WIRE_NET_PARTS_H
#define WIRE_NET_PARTS_H

#include "wire/net.h"

#include <zmq.h>

#define NET_ZAP_DOMAIN "rmigrate"

enum {
    NET_ZAP_TURN = 64,  /* frames between two looks at ZAP; requests in one look */
    NET_KEY_BYTES = 32, /* of a key that is not written as text */
};

enum { SOCKET_LOCAL, SOCKET_TCP, SOCKETS };

struct net {
    void *context;
    char **endpoints; /* of a connecting side the one that was asked for */
    size_t n_endpoints;

    /* listening */
    void *routers[SOCKETS]; /* NULL: no such endpoint */
    unsigned turn;          /* the socket that is read first */
    void *zap;              /* NULL: no keys */
    unsigned received;      /* since ZAP was looked at */
    struct who *who;        /* NULL on a connecting side */
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

/* ---- net.c */

/* A net without sockets; NULL for no memory. */
struct net *net_new(size_t n_endpoints);

/* Fails with what libzmq says of errno: it has numbers of its own besides the system's. */
int net_fail(struct rm_err *err, const char *what, const char *endpoint);

/* ---- net_option.c: 0, or -errno */

struct net_option {
    int option, value;
};

int net_set_int(void *socket, int option, int value);
int net_set_text(void *socket, int option, const char *text);
int net_set_options(void *socket, const struct net_option *options, size_t n);
int net_set_common(void *socket); /* what every socket to another program has */
int net_set_family(void *socket, const char *endpoint); /* IPv6, or IPv4 alone */

/* ---- net_listen.c */

/* Fills all of peer but its route: who sent a frame that was read from the socket `which`. */
void net_identify(struct net *net, unsigned which, zmq_msg_t *frame, struct net_peer *peer);

/* ---- net_zap.c */

int zap_open(struct net *net, struct rm_err *err); /* before any socket that would ask there */
void zap_serve(struct net *net);                   /* answers what has been asked */

/* ---- net_dealer.c: each does nothing on a listening side */

void dealer_revive(struct net *net); /* opens again what has rested long enough */
void dealer_serve(struct net *net);  /* takes notice of what became of the connection */
void dealer_close(struct net *net);

#endif
