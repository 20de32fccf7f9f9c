/* net_listen.c - the broker's sockets, one for local peers and one for tcp, and who a peer is */
#include "conf/endpoint.h"
#include "wire/key.h"
#include "wire/local.h"
#include "wire/net_parts.h"
#include "wire/who.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    HANDSHAKE_MS = 15000, /* a connection that says nothing takes a file as long as this */
    BACKLOG = 1024,       /* connections that wait to be accepted: every worker at once */
};

static int open_router(struct net *net, unsigned which)
{
    const struct net_option options[] = {
        {ZMQ_ROUTER_MANDATORY, 1},
        {ZMQ_SNDHWM, NET_PEER_MAX},
        {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
    };
    void *router = zmq_socket(net->context, ZMQ_ROUTER);
    if (!router)
        return -errno;
    net->routers[which] = router;
    int r = net_set_common(router);
    if (r >= 0)
        r = net_set_options(router, options, sizeof(options) / sizeof(options[0]));
    if (r < 0 || which != SOCKET_TCP || !net->has_keys)
        return r;
    r = net_set_int(router, ZMQ_CURVE_SERVER, 1);
    if (r >= 0)
        r = net_set_text(router, ZMQ_CURVE_SECRETKEY, net->secret_key);
    if (r >= 0)
        r = net_set_text(router, ZMQ_ZAP_DOMAIN, NET_ZAP_DOMAIN);
    return r;
}

static int bind_ipc(struct net *net, const char *endpoint, const struct conf_broker *conf,
                    struct rm_err *err)
{
    const char *path = endpoint_path(endpoint);
    void *router = net->routers[SOCKET_LOCAL];
    if (!path) {
        who_open_to_all(net->who);
        return zmq_bind(router, endpoint) < 0 ? net_fail(err, "cannot listen on", endpoint) : 0;
    }
    int r = local_prepare(path, err);
    if (r < 0)
        return r;
    mode_t before = umask(0177);
    r = zmq_bind(router, endpoint) < 0 ? net_fail(err, "cannot listen on", endpoint) : 0;
    umask(before);
    if (r < 0)
        return r;
    r = local_guard(path, conf, err);
    if (r < 0)
        unlink(path);
    return r;
}

static int bind_tcp(struct net *net, const char *endpoint, struct rm_err *err)
{
    void *router = net->routers[SOCKET_TCP];
    char numeric[CONF_ENDPOINT_MAX], host[CONF_ENDPOINT_MAX];
    const char *place = endpoint;
    /* ZeroMQ binds to addresses, not to names. */
    if (endpoint_host(endpoint, host, sizeof(host)) && strcmp(host, "localhost") == 0) {
        snprintf(numeric, sizeof(numeric), "tcp://127.0.0.1%s", strrchr(endpoint, ':'));
        place = numeric;
    }
    if (net_set_family(router, place) < 0 || zmq_bind(router, place) < 0)
        return net_fail(err, "cannot listen on", endpoint);
    return 0;
}

static int listen_on(struct net *net, size_t i, const struct conf_broker *conf, struct rm_err *err)
{
    const char *endpoint = conf->listen[i];
    unsigned which = endpoint_is_ipc(endpoint) ? SOCKET_LOCAL : SOCKET_TCP;
    char bound[CONF_ENDPOINT_MAX];
    size_t size = sizeof(bound);
    int r;
    if (!endpoint_is_ipc(endpoint) && !endpoint_is_tcp(endpoint))
        return rm_fail(err, -EINVAL, "%s: an endpoint begins with ipc:// or tcp://", endpoint);
    if (strlen(endpoint) >= CONF_ENDPOINT_MAX)
        return rm_fail(err, -EINVAL, "%.64s...: too long for an endpoint", endpoint);
    if (which == SOCKET_TCP && !net->has_keys && !endpoint_is_local(endpoint))
        return rm_fail(err, -EPERM, "%s: beyond loopback needs key_file and keys", endpoint);
    if (!net->routers[which] && (r = open_router(net, which)) < 0)
        return rm_fail(err, r, "%s: %s", endpoint, zmq_strerror(-r));
    r = which == SOCKET_LOCAL ? bind_ipc(net, endpoint, conf, err) : bind_tcp(net, endpoint, err);
    if (r < 0)
        return r;
    if (zmq_getsockopt(net->routers[which], ZMQ_LAST_ENDPOINT, bound, &size) < 0)
        return net_fail(err, "cannot listen on", endpoint);
    net->endpoints[i] = strdup(bound);
    return net->endpoints[i] ? 0 : rm_fail(err, -ENOMEM, "%s: no memory", endpoint);
}

int listen_open(struct net *net, const struct conf_broker *conf, struct rm_err *err)
{
    net->files = accept_prepare();
    int r = who_new(conf, &net->who, err);
    if (r >= 0 && conf->key_file) {
        net->has_keys = true;
        r = net_key_read(conf->key_file, net->public_key, net->secret_key, err);
    }
    if (r >= 0 && net->has_keys)
        r = zap_open(net, err);
    for (size_t i = 0; r >= 0 && i < conf->n_listen; i++)
        r = listen_on(net, i, conf, err);
    if (r < 0)
        return r;
    r = pump_start(net);
    return r < 0 ? rm_fail(err, r, "cannot listen: %s", strerror(-r)) : 0;
}

void listen_close(struct net *net)
{
    /* ZeroMQ leaves the file behind. It goes while it is still ours, before another may listen
     * there. */
    for (size_t i = 0; i < net->n_endpoints; i++) {
        const char *path = endpoint_path(net->endpoints[i]);
        if (path)
            unlink(path);
    }
    pump_stop(net);
    for (unsigned i = 0; i < SOCKETS; i++)
        if (net->routers[i])
            zmq_close(net->routers[i]);
    if (net->zap)
        zmq_close(net->zap);
}

/* ---- who a peer is */

void listen_identify(struct net *net, unsigned which, const char *address, const char *key,
                     struct net_peer *peer)
{
    peer->socket = which;
    peer->owner = owner_number(which, address);
    peer->key = 0;
    peer->address[0] = '\0';
    if (which == SOCKET_LOCAL) {
        who_local(net->who, address, peer);
        return;
    }
    if (address) {
        bool is_mapped = strncmp(address, "::ffff:", 7) == 0 && endpoint_is_ipv4(address + 7);
        snprintf(peer->address, sizeof(peer->address), "%s", is_mapped ? address + 7 : address);
    }
    if (!net->has_keys) {
        peer->role = ROLE_ADMIN;
        strcpy(peer->user, "local");
        return;
    }
    peer->key = key ? who_find(net->who, key) : 0;
    const struct conf_key *row = who_key(net->who, peer->key);
    peer->role = row ? row->role : ROLE_NONE;
    snprintf(peer->user, sizeof(peer->user), "%s", row ? row->name : "unknown");
}
