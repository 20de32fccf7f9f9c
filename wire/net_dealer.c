/* net_dealer.c - the connection of a worker or client: opened, watched, opened again later */
#include "conf/endpoint.h"
#include "wire/net_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    RECONNECT_MS = 100,      /* to twice that, and doubling */
    RECONNECT_MAX_MS = 4000, /* to 6000 */
    FAILURES_MAX = 3, /* handshakes in a row that ended without a reason: not a restart any more */
};
#define REVIVE_IN (5 * USEC_PER_SEC) /* to twice that */

void dealer_close(struct net *net)
{
    if (net->dealer) {
        zmq_socket_monitor(net->dealer, NULL, 0);
        zmq_close(net->dealer);
    }
    if (net->monitor)
        zmq_close(net->monitor);
    net->dealer = net->monitor = NULL;
}

void dealer_drop(struct net *net)
{
    if (net->dealer)
        net_set_int(net->dealer, ZMQ_LINGER, 0);
    dealer_close(net);
}

static int monitor_dealer(struct net *net)
{
    char place[64];
    snprintf(place, sizeof(place), "inproc://monitor-%u", ++net->opened);
    if (zmq_socket_monitor(net->dealer, place,
                           ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_DISCONNECTED) < 0)
        return -errno;
    net->monitor = zmq_socket(net->context, ZMQ_PAIR);
    /* No limit: ZeroMQ's own thread would stand still in front of a full queue. */
    if (!net->monitor || net_set_int(net->monitor, ZMQ_RCVHWM, 0) < 0 ||
        net_set_int(net->monitor, ZMQ_LINGER, 0) < 0 || zmq_connect(net->monitor, place) < 0)
        return -errno;
    return 0;
}

static int set_dealer(struct net *net)
{
    const struct env *env = env_system();
    const struct net_option options[] = {
        {ZMQ_SNDHWM, NET_OFFLINE_MAX},
        {ZMQ_RECONNECT_IVL, RECONNECT_MS + (int)(env_random(env) % RECONNECT_MS)},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS + (int)(env_random(env) % (RECONNECT_MAX_MS / 2))},
    };
    int r = net_set_common(net->dealer);
    if (r >= 0)
        r = net_set_options(net->dealer, options, sizeof(options) / sizeof(options[0]));
    if (r >= 0)
        r = net_set_family(net->dealer, net->endpoints[0]);
    if (r < 0 || !net->has_keys)
        return r;
    r = net_set_text(net->dealer, ZMQ_CURVE_SERVERKEY, net->server_key);
    if (r >= 0)
        r = net_set_text(net->dealer, ZMQ_CURVE_PUBLICKEY, net->public_key);
    if (r >= 0)
        r = net_set_text(net->dealer, ZMQ_CURVE_SECRETKEY, net->secret_key);
    return r;
}

int dealer_open(struct net *net, struct rm_err *err)
{
    const char *endpoint = net->endpoints[0];
    net->failures = 0;
    net->revive_at = USEC_NEVER;
    net->dealer = zmq_socket(net->context, ZMQ_DEALER);
    int r = net->dealer ? set_dealer(net) : -errno;
    if (r >= 0)
        r = monitor_dealer(net);
    if (r >= 0 && zmq_connect(net->dealer, endpoint) < 0)
        r = -errno;
    if (r >= 0)
        return 0;
    dealer_close(net);
    return rm_fail(err, r, "cannot connect to %s: %s", endpoint, zmq_strerror(-r));
}

/* A handshake that cannot succeed: rests for a while. */
static void give_up(struct net *net, enum net_state state)
{
    const struct env *env = env_system();
    net->state = state;
    dealer_drop(net);
    net->revive_at = env_now(env) + REVIVE_IN + env_random(env) % REVIVE_IN;
}

static void on_event(struct net *net, unsigned event)
{
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        net->state = NET_CONNECTED;
        net->failures = 0;
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        give_up(net, NET_REFUSED_KEY);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        give_up(net, NET_NO_HANDSHAKE);
        break;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL: /* hung up on: a broker that ends does that too */
        if (++net->failures >= FAILURES_MAX)
            give_up(net, NET_NO_HANDSHAKE);
        break;
    case ZMQ_EVENT_DISCONNECTED:
        if (net->state == NET_CONNECTED)
            net->state = NET_CONNECTING;
        break;
    default:
        break;
    }
}

/* An event has two parts: its number and a value, then the endpoint. */
void dealer_serve(struct net *net)
{
    while (net->monitor) {
        zmq_msg_t part;
        uint16_t event = 0;
        zmq_msg_init(&part);
        int r = zmq_msg_recv(&part, net->monitor, ZMQ_DONTWAIT);
        bool is_first = r >= 0 && zmq_msg_more(&part) && (size_t)r >= sizeof(event);
        if (is_first)
            memcpy(&event, zmq_msg_data(&part), sizeof(event));
        zmq_msg_close(&part);
        if (r < 0)
            return;
        if (is_first)
            on_event(net, event);
    }
}

void dealer_revive(struct net *net)
{
    if (net->dealer || env_now(env_system()) < net->revive_at)
        return;
    if (dealer_open(net, NULL) < 0)
        net->revive_at = env_now(env_system()) + REVIVE_IN;
}

enum net_state dealer_state(const struct net *net)
{
    const char *path = endpoint_path(net->endpoints[0]);
    if (net->state == NET_CONNECTING && path &&
        faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0 && errno == EACCES)
        return NET_DENIED;
    return net->state;
}
