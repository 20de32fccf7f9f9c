/* peer.h - who is at the other end of a socket, and how the connection to it stands
 *
 * What net.h, its parts and who.h have in common: types and limits alone. */
#ifndef WIRE_PEER_H
#define WIRE_PEER_H

#include "conf/conf.h"

#include <stddef.h>
#include <stdint.h>

enum {
    NET_ROUTE_MAX = 16,     /* bytes of a routing id that ZeroMQ makes: 5 */
    NET_PEER_MAX = 64,      /* frames that wait in the broker for one slow peer */
    NET_OFFLINE_MAX = 1000, /* frames that a connecting side keeps while it is not connected */
    NET_SHARE_PERCENT = 25, /* of all connections, for one local user or one address */
    NET_UNSENT_BYTES =
        256 * 1024 * 1024, /* of answers that peers have not read; an owner has the same share */
    NET_UNFINISHED_BYTES =
        5 * 64 * 1024 * 1024, /* of messages that have begun to come; an owner has the same share */
    NET_ROOT_PERCENT = 10 /* of all connections, that are kept for root and the broker's own user */
};

struct net_peer {
    uint8_t route[NET_ROUTE_MAX];
    size_t route_length;
    unsigned socket; /* ipc and tcp have one each; a route is known to one of them */
    uint64_t owner;  /* whose connection it is, a user or an address; a number for wire/net*.c */
    unsigned key;    /* number of its row in the list of keys; 0 = came without one */
    char user[CONF_NAME_MAX + 1]; /* name of the key, or of the local user; "local": no keys */
    enum role role;               /* ROLE_NONE: may do nothing */
    char address[64];             /* of tcp peers; "pid N uid N" of local ones */
};

/* How a connecting side stands, as of the last net_wait() or net_recv(). What cannot get through is
 * tried again every 5 to 10 s, since the broker may learn a key at any time; a frame that is
 * sent meanwhile is -EAGAIN. */
enum net_state {
    NET_CONNECTING,   /* nothing answers yet, or the connection was lost */
    NET_CONNECTED,    /* the broker knows this peer */
    NET_REFUSED_KEY,  /* the broker does not know this key */
    NET_NO_HANDSHAKE, /* keys on one side only, or server_key is not the broker's */
    NET_DENIED,       /* this user may not open the local socket */
};

/* Listening side: the keys that were refused, for the log; count changes with each. */
struct net_refusal {
    uint64_t count;                    /* since the start */
    char public_key[CONF_Z85_LEN + 1]; /* of the last one */
    char address[64];                  /* that it came from */
};

/* Listening side: connections that were refused, for the log; the counts are since the start. */
struct net_crowd {
    uint64_t refused;    /* as many were open as there may be */
    uint64_t over_share; /* their user or address had its share of them */
    uint64_t
        heavy; /* connections ended for more unfinished messages than NET_UNFINISHED_BYTES lets them */
    uint64_t
        foul; /* connections ended for what libzmq cannot take: a routing id, parts, an older protocol */
    char who[64]; /* the last that was over its share or heavy: "uid 1001", "address 192.0.2.7" */
};

#endif
