/* net.c - sockets: ROUTER for the broker, DEALER for everyone else, CURVE, and ZAP in the same loop
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
#include "wire/net.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "wire/endpoint.h"
#include "wire/local.h"
#include "wire/msg.h"
#include "wire/who.h"

#define ZAP_ENDPOINT "inproc://zeromq.zap.01"
#define ZAP_DOMAIN   "rmigrate"

enum {
    LINGER_MS = 200,
    HEARTBEAT_MS = 5000,
    HEARTBEAT_TIMEOUT_MS = 15000,
    HANDSHAKE_MS = 15000, /* a connection that says nothing takes a file as long as this */
    FILES_MAX = 512 * 1024,
    BACKLOG = 1024,          /* connections that wait to be accepted: every worker at once */
    RECONNECT_MS = 100,      /* to twice that, and doubling */
    RECONNECT_MAX_MS = 4000, /* to 6000 */
    KEEPALIVE_IDLE_S = 60,
    ROUTE_LENGTH = 5, /* of an id that ZeroMQ makes: a zero byte and a number */
    FAILURES_MAX = 3, /* handshakes in a row that ended without a reason: not a restart any more */
    DROPS_MAX = 1000, /* bad frames that one net_recv() passes over */
    ZAP_TURN = 64,    /* frames between two looks at ZAP; requests in one look */
    KEY_BYTES = 32,
};
#define REVIVE_IN (5 * USEC_PER_SEC) /* to twice that */

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

/* ---- small things */

/* libzmq has error numbers of its own besides the system's. */
static int fail_zmq(struct rm_err *err, const char *what, const char *endpoint)
{
    int r = errno;
    return rm_fail(err, -r, "%s %s: %s", what, endpoint, zmq_strerror(r));
}

static int set_int(void *socket, int option, int value)
{
    return zmq_setsockopt(socket, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int set_text(void *socket, int option, const char *text)
{
    return zmq_setsockopt(socket, option, text, strlen(text)) < 0 ? -errno : 0;
}

struct option {
    int option, value;
};

static int set_options(void *socket, const struct option *options, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = set_int(socket, options[i].option, options[i].value);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What every socket to another program has. */
static int set_common(void *socket)
{
    const struct option options[] = {
        {ZMQ_LINGER, LINGER_MS},
        {ZMQ_RCVHWM, NET_QUEUE_MAX},
        {ZMQ_HEARTBEAT_IVL, HEARTBEAT_MS},
        {ZMQ_HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS},
        {ZMQ_HEARTBEAT_TTL, HEARTBEAT_TIMEOUT_MS},
        {ZMQ_TCP_KEEPALIVE, 1},
        {ZMQ_TCP_KEEPALIVE_IDLE, KEEPALIVE_IDLE_S},
    };
    int64_t max = MSG_MAX;
    if (zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof(max)) < 0)
        return -errno;
    return set_options(socket, options, sizeof(options) / sizeof(options[0]));
}

/* IPv6 is on unless the host is plainly IPv4: ZeroMQ takes one address of a name, and of
 * "localhost" it would take ::1, where nobody listens who was told 127.0.0.1. */
static int set_family(void *socket, const char *endpoint)
{
    char host[CONF_ENDPOINT_MAX];
    bool is_v4 = endpoint_is_tcp(endpoint) && endpoint_host(endpoint, host, sizeof(host)) &&
                 (endpoint_is_ipv4(host) || strcmp(host, "localhost") == 0);
    return set_int(socket, ZMQ_IPV6, !is_v4);
}

/* ---- keys */

int net_keypair(char public_key[static CONF_Z85_LEN + 1], char secret_key[static CONF_Z85_LEN + 1])
{
    return zmq_curve_keypair(public_key, secret_key) < 0 ? -errno : 0;
}

bool net_key_is_valid(const char *text)
{
    uint8_t bytes[KEY_BYTES];
    bool is = strlen(text) == CONF_Z85_LEN && zmq_z85_decode(bytes, text) != NULL;
    explicit_bzero(bytes, sizeof(bytes));
    return is;
}

int net_key_public(const char *secret_key, char public_key[static CONF_Z85_LEN + 1])
{
    return zmq_curve_public(public_key, secret_key) < 0 ? -errno : 0;
}

/* ---- ZAP */

/* The parts of a ZAP request; more may follow for other mechanisms than CURVE. */
enum {
    ZAP_VERSION,
    ZAP_ID,
    ZAP_DOMAIN_PART,
    ZAP_ADDRESS,
    ZAP_IDENTITY,
    ZAP_MECHANISM,
    ZAP_KEY,
    ZAP_PARTS
};

static bool part_is(zmq_msg_t *part, const char *text)
{
    return zmq_msg_size(part) == strlen(text) &&
           memcmp(zmq_msg_data(part), text, strlen(text)) == 0;
}

/* Reads one request; false when there is none. Parts that are not known are passed over. */
static bool zap_read(void *zap, zmq_msg_t parts[ZAP_PARTS], size_t *ret_n)
{
    size_t n = 0;
    bool more = true;
    while (more) {
        zmq_msg_t spare, *part = n < ZAP_PARTS ? &parts[n] : &spare;
        if (part == &spare)
            zmq_msg_init(&spare);
        if (zmq_msg_recv(part, zap, ZMQ_DONTWAIT) < 0) {
            if (part == &spare)
                zmq_msg_close(&spare);
            if (errno == EINTR)
                continue;
            return false;
        }
        more = zmq_msg_more(part);
        if (part == &spare)
            zmq_msg_close(&spare);
        n++;
    }
    *ret_n = n;
    return true;
}

static void zap_answer(struct net *net, zmq_msg_t parts[ZAP_PARTS], size_t n)
{
    char key[CONF_Z85_LEN + 1] = "";
    unsigned row = 0; /* 0 = refused */
    bool is_sound = n == ZAP_PARTS && part_is(&parts[ZAP_VERSION], "1.0") &&
                    part_is(&parts[ZAP_MECHANISM], "CURVE") &&
                    zmq_msg_size(&parts[ZAP_KEY]) == KEY_BYTES;
    if (is_sound) {
        zmq_z85_encode(key, zmq_msg_data(&parts[ZAP_KEY]), KEY_BYTES);
        row = who_find(net->who, key);
    }
    if (row == 0) {
        net->refusal.count++;
        memcpy(net->refusal.public_key, key, sizeof(key));
        snprintf(net->refusal.address, sizeof(net->refusal.address), "%.*s",
                 n > ZAP_ADDRESS ? (int)zmq_msg_size(&parts[ZAP_ADDRESS]) : 0,
                 (const char *)zmq_msg_data(&parts[ZAP_ADDRESS]));
    }
    /* The user id is the key itself. */
    const char *user = row != 0 ? key : "";
    const char *reply[] = {"1.0", NULL, row != 0 ? "200" : "400", row != 0 ? "OK" : "No such key",
                           user,  ""};
    for (size_t i = 0; i < sizeof(reply) / sizeof(reply[0]); i++) {
        const void *data = i == ZAP_ID ? zmq_msg_data(&parts[ZAP_ID]) : reply[i];
        size_t size = i == ZAP_ID ? zmq_msg_size(&parts[ZAP_ID]) : strlen(reply[i]);
        bool is_last = i + 1 == sizeof(reply) / sizeof(reply[0]);
        while (zmq_send(net->zap, data, size, ZMQ_DONTWAIT | (is_last ? 0 : ZMQ_SNDMORE)) < 0)
            if (errno != EINTR)
                return; /* who asked is gone */
    }
}

static void zap_serve(struct net *net)
{
    net->received = 0;
    for (unsigned i = 0; net->zap != NULL && i < ZAP_TURN; i++) {
        zmq_msg_t parts[ZAP_PARTS];
        size_t n;
        for (size_t k = 0; k < ZAP_PARTS; k++)
            zmq_msg_init(&parts[k]);
        bool is_there = zap_read(net->zap, parts, &n);
        if (is_there)
            zap_answer(net, parts, n);
        for (size_t k = 0; k < ZAP_PARTS; k++)
            zmq_msg_close(&parts[k]);
        if (!is_there)
            return;
    }
}

const struct net_refusal *net_refusal(const struct net *net)
{
    return &net->refusal;
}

/* ---- listening */

static int open_router(struct net *net, unsigned which)
{
    const struct option options[] = {
        {ZMQ_ROUTER_MANDATORY, 1},
        {ZMQ_SNDHWM, NET_QUEUE_MAX},
        {ZMQ_BACKLOG, BACKLOG},
        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
    };
    void *router = zmq_socket(net->context, ZMQ_ROUTER);
    if (router == NULL)
        return -errno;
    net->routers[which] = router;
    int r = set_common(router);
    if (r >= 0)
        r = set_options(router, options, sizeof(options) / sizeof(options[0]));
    if (r < 0 || which != SOCKET_TCP || !net->has_keys)
        return r;
    r = set_int(router, ZMQ_CURVE_SERVER, 1);
    if (r >= 0)
        r = set_text(router, ZMQ_CURVE_SECRETKEY, net->secret_key);
    if (r >= 0)
        r = set_text(router, ZMQ_ZAP_DOMAIN, ZAP_DOMAIN);
    return r;
}

static int bind_ipc(struct net *net, const char *endpoint, const struct conf_broker *conf,
                    struct rm_err *err)
{
    const char *path = endpoint_path(endpoint);
    void *router = net->routers[SOCKET_LOCAL];
    if (path == NULL) {
        who_open_to_all(net->who);
        return zmq_bind(router, endpoint) < 0 ? fail_zmq(err, "cannot listen on", endpoint) : 0;
    }
    int r = local_prepare(path, err);
    if (r < 0)
        return r;
    mode_t before = umask(0177);
    r = zmq_bind(router, endpoint) < 0 ? fail_zmq(err, "cannot listen on", endpoint) : 0;
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
    if (set_family(router, place) < 0 || zmq_bind(router, place) < 0)
        return fail_zmq(err, "cannot listen on", endpoint);
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
        return fail_zmq(err, "cannot listen on", endpoint);
    net->endpoints[i] = strdup(bound);
    return net->endpoints[i] != NULL ? 0 : rm_fail(err, -ENOMEM, "%s: no memory", endpoint);
}

static struct net *net_new(size_t n_endpoints)
{
    struct net *net = calloc(1, sizeof(*net));
    if (net == NULL)
        return NULL;
    net->endpoints = calloc(n_endpoints, sizeof(*net->endpoints));
    net->n_endpoints = net->endpoints != NULL ? n_endpoints : 0;
    env_seed();
    net->context = zmq_ctx_new();
    if (net->endpoints != NULL && net->context != NULL)
        return net;
    net_free(net);
    return NULL;
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
    if (r >= 0 && net->has_keys) { /* before any socket that would ask there */
        net->zap = zmq_socket(net->context, ZMQ_REP);
        if (net->zap == NULL || set_int(net->zap, ZMQ_LINGER, 0) < 0 ||
            zmq_bind(net->zap, ZAP_ENDPOINT) < 0)
            r = fail_zmq(err, "cannot listen on", ZAP_ENDPOINT);
    }
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

static void identify(struct net *net, unsigned which, zmq_msg_t *frame, struct net_peer *peer)
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

/* ---- connecting */

static void close_dealer(struct net *net)
{
    if (net->dealer != NULL) {
        zmq_socket_monitor(net->dealer, NULL, 0);
        zmq_close(net->dealer);
    }
    if (net->monitor != NULL)
        zmq_close(net->monitor);
    net->dealer = net->monitor = NULL;
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
    if (net->monitor == NULL || set_int(net->monitor, ZMQ_RCVHWM, 0) < 0 ||
        set_int(net->monitor, ZMQ_LINGER, 0) < 0 || zmq_connect(net->monitor, place) < 0)
        return -errno;
    return 0;
}

static int set_dealer(struct net *net)
{
    const struct env *env = env_system();
    const struct option options[] = {
        {ZMQ_SNDHWM, NET_OFFLINE_MAX},
        {ZMQ_RECONNECT_IVL, RECONNECT_MS + (int)(env_random(env) % RECONNECT_MS)},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS + (int)(env_random(env) % (RECONNECT_MAX_MS / 2))},
    };
    int r = set_common(net->dealer);
    if (r >= 0)
        r = set_options(net->dealer, options, sizeof(options) / sizeof(options[0]));
    if (r >= 0)
        r = set_family(net->dealer, net->endpoints[0]);
    if (r < 0 || !net->has_keys)
        return r;
    r = set_text(net->dealer, ZMQ_CURVE_SERVERKEY, net->server_key);
    if (r >= 0)
        r = set_text(net->dealer, ZMQ_CURVE_PUBLICKEY, net->public_key);
    if (r >= 0)
        r = set_text(net->dealer, ZMQ_CURVE_SECRETKEY, net->secret_key);
    return r;
}

static int open_dealer(struct net *net, struct rm_err *err)
{
    const char *endpoint = net->endpoints[0];
    net->failures = 0;
    net->revive_at = USEC_NEVER;
    net->dealer = zmq_socket(net->context, ZMQ_DEALER);
    int r = net->dealer != NULL ? set_dealer(net) : -errno;
    if (r >= 0)
        r = monitor_dealer(net);
    if (r >= 0 && zmq_connect(net->dealer, endpoint) < 0)
        r = -errno;
    if (r >= 0)
        return 0;
    close_dealer(net);
    return rm_fail(err, r, "cannot connect to %s: %s", endpoint, zmq_strerror(-r));
}

int net_connect(const char *endpoint, const char *key_file, const char *server_key,
                struct net **ret_net, struct rm_err *err)
{
    if ((!endpoint_is_ipc(endpoint) && !endpoint_is_tcp(endpoint)) ||
        strlen(endpoint) >= CONF_ENDPOINT_MAX)
        return rm_fail(err, -EINVAL, "%.64s: an endpoint is ipc://PATH or tcp://HOST:PORT",
                       endpoint);
    bool needs_keys = endpoint_is_tcp(endpoint) && (key_file != NULL || server_key != NULL);
    if (needs_keys && (key_file == NULL || server_key == NULL))
        return rm_fail(err, -EINVAL, "%s: key_file and server_key go together", endpoint);
    if (needs_keys && !net_key_is_valid(server_key))
        return rm_fail(err, -EINVAL, "server_key: not %d characters of Z85", CONF_Z85_LEN);
    struct net *net = net_new(/* n_endpoints = */ 1);
    int r = 0;
    if (net == NULL || (net->endpoints[0] = strdup(endpoint)) == NULL) {
        net_free(net);
        return rm_fail(err, -ENOMEM, "cannot connect: %s", strerror(ENOMEM));
    }
    net->is_dealer = true;
    net->has_keys = needs_keys;
    if (needs_keys) {
        memcpy(net->server_key, server_key, CONF_Z85_LEN + 1);
        r = net_key_read(key_file, net->public_key, net->secret_key, err);
    }
    if (r >= 0)
        r = open_dealer(net, err);
    if (r < 0) {
        net_free(net);
        return r;
    }
    *ret_net = net;
    return 0;
}

int net_reconnect(struct net *net, struct rm_err *err)
{
    if (!net->is_dealer)
        return rm_fail(err, -EINVAL, "only a connecting side can connect again");
    if (net->dealer != NULL)
        set_int(net->dealer, ZMQ_LINGER, 0);
    close_dealer(net);
    net->state = NET_CONNECTING;
    return open_dealer(net, err);
}

/* A handshake that cannot succeed: rests for a while. */
static void give_up(struct net *net, enum net_state state)
{
    const struct env *env = env_system();
    net->state = state;
    set_int(net->dealer, ZMQ_LINGER, 0);
    close_dealer(net);
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
static void monitor_serve(struct net *net)
{
    while (net->monitor != NULL) {
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

static void revive(struct net *net)
{
    if (!net->is_dealer || net->dealer != NULL || env_now(env_system()) < net->revive_at)
        return;
    if (open_dealer(net, NULL) < 0)
        net->revive_at = env_now(env_system()) + REVIVE_IN;
}

enum net_state net_state(const struct net *net)
{
    const char *path = net->is_dealer ? endpoint_path(net->endpoints[0]) : NULL;
    if (net->state == NET_CONNECTING && path != NULL &&
        faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) < 0 && errno == EACCES)
        return NET_DENIED;
    return net->state;
}

const char *net_state_text(enum net_state state)
{
    static const char *const texts[] = {
        [NET_CONNECTING] = "connecting",
        [NET_CONNECTED] = "connected",
        [NET_REFUSED_KEY] = "the broker does not know this key",
        [NET_NO_HANDSHAKE] =
            "no handshake: keys on one side only, or server_key is not the broker's",
        [NET_DENIED] = "this user may not open the broker's socket",
    };
    return (size_t)state < sizeof(texts) / sizeof(texts[0]) ? texts[state] : "?";
}

/* ---- both sides */

void net_free(struct net *net)
{
    if (net == NULL)
        return;
    /* ZeroMQ leaves the file behind. It goes while it is still ours, before another may listen
     * there. */
    for (size_t i = 0; !net->is_dealer && i < net->n_endpoints; i++) {
        const char *path = endpoint_path(net->endpoints[i]);
        if (path != NULL)
            unlink(path);
    }
    close_dealer(net);
    for (unsigned i = 0; i < SOCKETS; i++)
        if (net->routers[i] != NULL)
            zmq_close(net->routers[i]);
    if (net->zap != NULL)
        zmq_close(net->zap);
    while (net->context != NULL && zmq_ctx_term(net->context) < 0 && errno == EINTR)
        ;
    who_free(net->who);
    for (size_t i = 0; i < net->n_endpoints; i++)
        free(net->endpoints[i]);
    free(net->endpoints);
    explicit_bzero(net->secret_key, sizeof(net->secret_key));
    free(net);
}

/* Whole milliseconds, rounded up, so that a deadline has come when the wait is over. */
static long milliseconds(usec_t span)
{
    if (span == USEC_NEVER)
        return -1;
    usec_t ms = span / USEC_PER_MSEC + (span % USEC_PER_MSEC != 0);
    return ms < INT_MAX ? (long)ms : INT_MAX;
}

int net_wait(struct net *net, const int *fds, size_t n_fds, bool *ready, usec_t wait_for)
{
    zmq_pollitem_t items[NET_FDS_MAX + SOCKETS + 2];
    size_t n = 0, first_fd;
    void *own[] = {net->routers[SOCKET_LOCAL], net->routers[SOCKET_TCP], net->dealer,
                   /* from here on: not frames */ net->zap, net->monitor};
    enum { FRAMES = SOCKETS + 1 };
    if (n_fds > NET_FDS_MAX)
        return -EINVAL;
    revive(net);
    own[SOCKETS] = net->dealer;
    own[FRAMES + 1] = net->monitor;
    if (net->is_dealer && net->dealer == NULL) {
        usec_t now = env_now(env_system());
        usec_t until = net->revive_at > now ? net->revive_at - now : 0;
        wait_for = until < wait_for ? until : wait_for;
    }
    size_t n_frames = 0;
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (own[i] != NULL)
            items[n++] = (zmq_pollitem_t){.socket = own[i], .events = ZMQ_POLLIN};
        if (i + 1 == FRAMES)
            n_frames = n;
    }
    first_fd = n;
    for (size_t i = 0; i < n_fds; i++) {
        ready[i] = false;
        items[n++] = (zmq_pollitem_t){.fd = fds[i], .events = ZMQ_POLLIN};
    }
    if (zmq_poll(items, (int)n, milliseconds(wait_for)) < 0)
        return -errno;
    for (size_t i = 0; i < n_fds; i++)
        ready[i] = items[first_fd + i].revents != 0;
    zap_serve(net);
    monitor_serve(net);
    for (size_t i = 0; i < n_frames; i++)
        if (items[i].revents != 0)
            return 1;
    return 0;
}

/* Reads what is left of a message of several parts. */
static void skip_parts(void *socket, zmq_msg_t *part)
{
    while (zmq_msg_more(part))
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) < 0 && errno != EINTR)
            return;
}

static int receive(zmq_msg_t *part, void *socket)
{
    for (;;) {
        if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) >= 0)
            return 0;
        if (errno != EINTR)
            return -errno;
    }
}

/* One message of a socket into frame: 1, 0 for one that was dropped, or -errno. */
static int receive_one(struct net *net, void *socket, unsigned which, struct net_peer *peer,
                       zmq_msg_t *frame)
{
    int r = receive(frame, socket);
    if (r < 0)
        return r;
    if (!net->is_dealer) {
        size_t length = zmq_msg_size(frame);
        const uint8_t *route = zmq_msg_data(frame);
        bool is_ours = length == ROUTE_LENGTH && route[0] == 0 && zmq_msg_more(frame);
        if (is_ours) {
            memcpy(peer->route, route, length);
            peer->route_length = length;
            r = receive(frame, socket);
            if (r < 0)
                return r;
        }
        if (!is_ours || zmq_msg_more(frame)) {
            skip_parts(socket, frame);
            return 0;
        }
        identify(net, which, frame, peer);
        return 1;
    }
    if (zmq_msg_more(frame)) {
        skip_parts(socket, frame);
        return 0;
    }
    return 1;
}

int net_recv(struct net *net, struct net_peer *peer, struct net_frame *ret_frame)
{
    struct net_peer from;
    zmq_msg_t *frame = malloc(sizeof(*frame));
    if (frame == NULL)
        return -ENOMEM;
    zmq_msg_init(frame);
    if (++net->received >= ZAP_TURN)
        zap_serve(net);
    int r = -EAGAIN;
    unsigned drops = 0, empty = 0;
    while (drops < DROPS_MAX && empty < SOCKETS) {
        unsigned which = net->turn;
        void *socket = net->is_dealer ? net->dealer : net->routers[which];
        net->turn = (which + 1) % SOCKETS; /* neither socket may starve the other */
        r = socket != NULL ? receive_one(net, socket, which, &from, frame) : -EAGAIN;
        if (r > 0 || (r < 0 && r != -EAGAIN))
            break;
        empty = r < 0 ? empty + 1 : 0;
        drops += r == 0;
    }
    if (r <= 0) {
        zmq_msg_close(frame);
        free(frame);
        monitor_serve(net);
        return r < 0 ? r : -EAGAIN;
    }
    if (peer != NULL && !net->is_dealer)
        *peer = from;
    *ret_frame = (struct net_frame){
        .data = zmq_msg_data(frame), .length = zmq_msg_size(frame), .owner = frame};
    return 0;
}

void net_frame_free(struct net_frame *frame)
{
    if (frame->owner != NULL) {
        zmq_msg_close(frame->owner);
        free(frame->owner);
    }
    *frame = (struct net_frame){0};
}

static int send_part(zmq_msg_t *part, void *socket, int flags)
{
    while (zmq_msg_send(part, socket, ZMQ_DONTWAIT | flags) < 0)
        if (errno != EINTR)
            return -errno;
    return 0;
}

int net_send(struct net *net, const struct net_peer *peer, const uint8_t *frame, size_t length)
{
    void *socket = net->dealer;
    zmq_msg_t route, part;
    if (!net->is_dealer) {
        if (peer == NULL || peer->socket >= SOCKETS || peer->route_length > NET_ROUTE_MAX)
            return -EINVAL;
        socket = net->routers[peer->socket];
    }
    if (socket == NULL)
        return net->is_dealer ? -EAGAIN : -EHOSTUNREACH;
    if (length > MSG_MAX)
        return -EMSGSIZE;
    if (zmq_msg_init_size(&part, length) < 0)
        return -ENOMEM;
    if (length > 0)
        memcpy(zmq_msg_data(&part), frame, length);
    int r = 0;
    if (!net->is_dealer) {
        if (zmq_msg_init_size(&route, peer->route_length) < 0)
            r = -ENOMEM;
        else {
            memcpy(zmq_msg_data(&route), peer->route, peer->route_length);
            r = send_part(&route, socket, ZMQ_SNDMORE);
            zmq_msg_close(&route);
        }
    }
    if (r >= 0)
        r = send_part(&part, socket, /* flags = */ 0);
    zmq_msg_close(&part);
    return r;
}
