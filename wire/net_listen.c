/* net_listen.c - the broker's sockets, one for local peers and one for tcp, and who a peer is */
#include "wire/net_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire/endpoint.h"
#include "wire/local.h"
#include "wire/who.h"

enum {
    HANDSHAKE_MS = 15000, /* a connection that says nothing takes a file as long as this */
    FILES_MAX = 512 * 1024,
    BACKLOG = 1024, /* connections that wait to be accepted: every worker at once */
};

static int open_router(struct net *net, unsigned which)
{
    const struct net_option options[] = {
        {ZMQ_ROUTER_MANDATORY, 1},
        {ZMQ_SNDHWM, NET_QUEUE_MAX},
        {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
    };
    void *router = zmq_socket(net->context, ZMQ_ROUTER);
    if (router == NULL)
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
    if (path == NULL) {
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
    if (which == SOCKET_TCP && !net->has_keys && !endpoint_is_loopback(endpoint))
        return rm_fail(err, -EPERM, "%s: beyond loopback needs key_file and keys", endpoint);
    if (net->routers[which] == NULL && (r = open_router(net, which)) < 0)
        return rm_fail(err, r, "%s: %s", endpoint, zmq_strerror(-r));
    r = which == SOCKET_LOCAL ? bind_ipc(net, endpoint, conf, err) : bind_tcp(net, endpoint, err);
    if (r < 0)
        return r;
    if (zmq_getsockopt(net->routers[which], ZMQ_LAST_ENDPOINT, bound, &size) < 0)
        return net_fail(err, "cannot listen on", endpoint);
    net->endpoints[i] = strdup(bound);
    return net->endpoints[i] != NULL ? 0 : rm_fail(err, -ENOMEM, "%s: no memory", endpoint);
}

/* libzmq 4.3.4 ends the whole program when it has no file left for a local connection. */
static void raise_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FILES_MAX)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
    setrlimit(RLIMIT_NOFILE, &limit); /* what is there must do then */
}

int net_listen(const struct conf_broker *conf, struct net **ret_net, struct rm_err *err)
{
    raise_files();
    struct net *net = net_new(conf->n_listen);
    if (net == NULL)
        return rm_fail(err, -ENOMEM, "cannot listen: %s", strerror(ENOMEM));
    int r = who_new(conf, &net->who, err);
    if (r >= 0 && conf->key_file != NULL) {
        net->has_keys = true;
        r = net_key_read(conf->key_file, net->public_key, net->secret_key, err);
    }
    if (r >= 0 && net->has_keys)
        r = zap_open(net, err);
    for (size_t i = 0; r >= 0 && i < conf->n_listen; i++)
        r = listen_on(net, i, conf, err);
    if (r < 0) {
        net_free(net);
        return r;
    }
    *ret_net = net;
    return 0;
}

const char *net_endpoint(const struct net *net, size_t i)
{
    return i < net->n_endpoints ? net->endpoints[i] : NULL;
}

/* ---- who a peer is */

void net_identify(struct net *net, unsigned which, zmq_msg_t *frame, struct net_peer *peer)
{
    const char *address = zmq_msg_gets(frame, "Peer-Address");
    peer->socket = which;
    peer->key = 0;
    peer->address[0] = '\0';
    if (which == SOCKET_LOCAL) {
        who_local(net->who, address, peer);
        return;
    }
    if (address != NULL) {
        bool is_mapped = strncmp(address, "::ffff:", 7) == 0 && endpoint_is_ipv4(address + 7);
        snprintf(peer->address, sizeof(peer->address), "%s", is_mapped ? address + 7 : address);
    }
    if (!net->has_keys) {
        peer->role = ROLE_ADMIN;
        strcpy(peer->user, "local");
        return;
    }
    const char *key = zmq_msg_gets(frame, "User-Id");
    peer->key = key != NULL ? who_find(net->who, key) : 0;
    const struct who_key *row = who_key(net->who, peer->key);
    peer->role = row != NULL ? row->role : ROLE_NONE;
    snprintf(peer->user, sizeof(peer->user), "%s", row != NULL ? row->name : "unknown");
}

char *const *net_peer_hosts(const struct net *net, const struct net_peer *peer)
{
    static char *const none[] = {NULL};
    const struct who_key *row = who_key(net->who, peer->key);
    if (row != NULL)
        return row->hosts;
    return peer->role == ROLE_ADMIN ? NULL : none;
}
