/* net_socket.c - what sockets have in common: their options, and what libzmq says of an error */
#include "conf/endpoint.h"
#include "wire/msg.h"
#include "wire/net_parts.h"

#include <errno.h>
#include <string.h>

enum {
    LINGER_MS = 200,
    HEARTBEAT_MS = 5000,
    HEARTBEAT_TIMEOUT_MS = 15000,
    KEEPALIVE_IDLE_S = 60,
};

int net_fail(struct rm_err *err, const char *what, const char *endpoint)
{
    int r = errno;
    return rm_fail(err, -r, "%s %s: %s", what, endpoint, zmq_strerror(r));
}

int net_set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

int net_set_text(void *socket, int option, const char *text)
{
    return zmq_setsockopt(socket, option, text, strlen(text)) < 0 ? -errno : 0;
}

int net_set_options(void *socket, const struct net_option *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = net_set_int(socket, options[i].option, options[i].value);
        if (r < 0)
            return r;
    }
    return 0;
}

int net_set_common(void *socket)
{
    const struct net_option options[] = {
        {ZMQ_LINGER, LINGER_MS},
        {ZMQ_RCVHWM, 0}, /* net_parts.h says why */
        {ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS},
        {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS},
        {ZMQ_HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S},
    };
    int64_t max = MSG_MAX;
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof(max)) < 0)
        return -errno;
    return net_set_options(socket, options, sizeof(options) / sizeof(options[0]));
}

/* IPv6 is on unless the host is plainly IPv4: ZeroMQ takes one address of a name, and of
 * "localhost" it would take ::1, where a broker that listens on 127.0.0.1 is not. */
int net_set_family(void *socket, const char *endpoint)
{
    char host[CONF_ENDPOINT_MAX];
    bool is_v4 = endpoint_is_tcp(endpoint) && endpoint_host(endpoint, host, sizeof(host)) &&
                 (endpoint_is_ipv4(host) || strcmp(host, "localhost") == 0);
    return net_set_int(socket, ZMQ_IPV6, !is_v4);
}
