/* net.c - both sides of a socket: made, waited for, read, written, freed */
#include "wire/net.h"

#include "conf/endpoint.h"
#include "wire/key.h"
#include "wire/msg.h"
#include "wire/net_key.h"
#include "wire/net_parts.h"
#include "wire/who.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A net without sockets; NULL for no memory. */
static struct net *net_new(size_t n_endpoints)
{
    struct net *net = calloc(1, sizeof(*net));
    if (!net)
        return NULL;
    net->endpoints = calloc(n_endpoints, sizeof(*net->endpoints));
    net->n_endpoints = net->endpoints ? n_endpoints : 0;
    env_seed();
    net->context = zmq_ctx_new();
    if (net->endpoints && net->context)
        return net;
    net_free(net);
    return NULL;
}

void net_free(struct net *net)
{
    if (!net)
        return;
    if (net->is_dealer)
        dealer_close(net);
    else
        listen_close(net);
    if (net->context)
        (void)TEMP_FAILURE_RETRY(zmq_ctx_term(net->context));
    who_free(net->who);
    for (size_t i = 0; i < net->n_endpoints; i++)
        free(net->endpoints[i]);
    free(net->endpoints);
    explicit_bzero(net->secret_key, sizeof(net->secret_key));
    free(net);
}

/* ---- a listening side */

int net_listen(const struct conf_broker *conf, struct net **ret_net, struct rm_err *err)
{
    struct net *net = net_new(conf->n_listen);
    if (!net)
        return rm_fail(err, -ENOMEM, "cannot listen: %s", strerror(ENOMEM));
    int r = listen_open(net, conf, err);
    if (r < 0)
        net_free(net);
    else
        *ret_net = net;
    return r;
}

const char *net_endpoint(const struct net *net, size_t i)
{
    return i < net->n_endpoints ? net->endpoints[i] : NULL;
}

const struct net_refusal *net_refusal(const struct net *net)
{
    return &net->refusal;
}

size_t net_connections_max(const struct net *net)
{
    return net->files;
}

struct net_crowd net_crowd(void)
{
    return accept_crowd();
}

char *const *net_peer_hosts(const struct net *net, const struct net_peer *peer)
{
    static char *const none[] = {NULL};
    const struct conf_key *key = who_key(net->who, peer->key);
    if (key)
        return key->role == ROLE_WORKER && key->hosts ? key->hosts : none;
    return peer->role == ROLE_ADMIN ? NULL : none;
}

static void identify(struct net *net, const struct net_speaker *speaker, struct net_peer *peer)
{
    *peer = (struct net_peer){.route_length = speaker->route_length};
    memcpy(peer->route, speaker->route, sizeof(peer->route));
    listen_identify(net, speaker->which, speaker->address,
                    *speaker->key != '\0' ? speaker->key : NULL, peer);
}

static bool same_hosts(char *const *a, char *const *b)
{
    if (!a || !b)
        return a == b;
    for (; *a && *b; a++, b++)
        if (strcmp(*a, *b) != 0)
            return false;
    return *a == *b;
}

/* Is a peer, and may do, what he was and might do by other settings? */
static bool is_same(struct net *net, struct who *before, const struct net_speaker *speaker,
                    struct net_peer *ret_now)
{
    struct net then = *net; /* who he was: nothing else of it is looked at */
    struct net_peer was;
    then.who = before;
    identify(&then, speaker, &was);
    identify(net, speaker, ret_now);
    return was.role == ret_now->role && strcmp(was.user, ret_now->user) == 0 &&
           same_hosts(net_peer_hosts(&then, &was), net_peer_hosts(net, ret_now));
}

int net_settings(struct net *net, const struct conf_broker *conf, net_changed_f *changed, void *ctx,
                 struct rm_err *err)
{
    struct net_speaker *speakers;
    struct who *who, *before = net->who;
    size_t n;
    int r = who_new(conf, &who, err);
    if (r < 0)
        return r;
    r = pump_speakers(net, &speakers, &n);
    if (r < 0) {
        who_free(who);
        return rm_fail(err, r, "the list of keys: %s", strerror(-r));
    }
    who_replace(who, before);
    net->who = who;
    for (size_t i = 0; i < n; i++) {
        struct net_peer now;
        if (is_same(net, before, &speakers[i], &now))
            continue;
        accept_end(speakers[i].fd);
        changed(ctx, &now);
    }
    who_free(before);
    free(speakers);
    return 0;
}

bool net_dropped(struct net *net, struct net_peer *ret_peer)
{
    struct net_drop drop;
    if (!pump_dropped(net, &drop))
        return false;
    listen_identify(net, drop.which, drop.address, *drop.key != '\0' ? drop.key : NULL, ret_peer);
    return true;
}

/* ---- a connecting side */

int net_connect(const char *endpoint, const char *key_file, const char *server_key,
                struct net **ret_net, struct rm_err *err)
{
    if ((!endpoint_is_ipc(endpoint) && !endpoint_is_tcp(endpoint)) ||
        strlen(endpoint) >= CONF_ENDPOINT_MAX)
        return rm_fail(err, -EINVAL, "%.64s: an endpoint is ipc://PATH or tcp://HOST:PORT",
                       endpoint);
    bool needs_keys = endpoint_is_tcp(endpoint) && (key_file || server_key);
    if (needs_keys && (!key_file || !server_key))
        return rm_fail(err, -EINVAL, "%s: key_file and server_key go together", endpoint);
    if (needs_keys && !net_key_is_valid(server_key))
        return rm_fail(err, -EINVAL, "server_key: not %d characters of Z85", CONF_Z85_LEN);
    struct net *net = net_new(/* n_endpoints = */ 1);
    int r = 0;
    if (!net || !(net->endpoints[0] = strdup(endpoint))) {
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
        r = dealer_open(net, err);
    if (r < 0)
        net_free(net);
    else
        *ret_net = net;
    return r;
}

int net_reconnect(struct net *net, struct rm_err *err)
{
    if (!net->is_dealer)
        return rm_fail(err, -EINVAL, "only a connecting side can connect again");
    dealer_drop(net);
    net->state = NET_CONNECTING;
    return dealer_open(net, err);
}

enum net_state net_state(const struct net *net)
{
    return net->is_dealer ? dealer_state(net) : net->state;
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

/* ---- both */

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
    zmq_pollitem_t items[NET_FDS_MAX + 3];
    if (n_fds > NET_FDS_MAX)
        return -EINVAL;
    if (net->is_dealer)
        dealer_revive(net);
    if (net->is_dealer && !net->dealer) {
        usec_t now = env_now(env_system());
        usec_t until = net->revive_at > now ? net->revive_at - now : 0;
        wait_for = until < wait_for ? until : wait_for;
    }
    size_t n = 0;
    if (net->dealer || !net->is_dealer)
        items[n++] = (zmq_pollitem_t){
            .socket = net->dealer, .fd = net->is_dealer ? 0 : pump_fd(net), .events = ZMQ_POLLIN};
    size_t n_frames = n;
    void *own[] = {net->zap, net->monitor};
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (own[i])
            items[n++] = (zmq_pollitem_t){.socket = own[i], .events = ZMQ_POLLIN};
    size_t first_fd = n;
    for (size_t i = 0; i < n_fds; i++) {
        ready[i] = false;
        items[n++] = (zmq_pollitem_t){.fd = fds[i], .events = ZMQ_POLLIN};
    }
    if (zmq_poll(items, (int)n, milliseconds(wait_for)) < 0)
        return -errno;
    for (size_t i = 0; i < n_fds; i++)
        ready[i] = items[first_fd + i].revents != 0;
    zap_serve(net);
    dealer_serve(net);
    return n_frames > 0 && items[0].revents != 0;
}

/* One frame of the connection, NULL when there is none. */
static zmq_msg_t *dealer_take(struct net *net)
{
    zmq_msg_t *frame = net->dealer ? malloc(sizeof(*frame)) : NULL;
    bool is_more = false; /* of a message of several parts, which is passed over */
    if (!frame)
        return NULL;
    zmq_msg_init(frame);
    while (TEMP_FAILURE_RETRY(zmq_msg_recv(frame, net->dealer, ZMQ_DONTWAIT)) >= 0) {
        bool is_whole = !is_more && !zmq_msg_more(frame);
        is_more = zmq_msg_more(frame);
        if (is_whole)
            return frame;
    }
    zmq_msg_close(frame);
    free(frame);
    return NULL;
}

/* One frame of somebody, NULL when there is none. A key that was in the list when its peer connected may be
 * gone from it. */
static zmq_msg_t *listen_take(struct net *net, struct net_peer *from)
{
    zmq_msg_t *frame;
    while ((frame = pump_take(net, from))) {
        listen_identify(net, from->socket, zmq_msg_gets(frame, "Peer-Address"),
                        zmq_msg_gets(frame, "User-Id"), from);
        if (from->socket != SOCKET_TCP || from->role != ROLE_NONE)
            return frame;
        accept_end(zmq_msg_get(frame, ZMQ_SRCFD));
        zmq_msg_close(frame);
        free(frame);
    }
    return NULL;
}

int net_recv(struct net *net, struct net_peer *peer, struct net_frame *ret_frame)
{
    struct net_peer from = {0};
    if (++net->received >= NET_ZAP_TURN)
        zap_serve(net);
    zmq_msg_t *frame = net->is_dealer ? dealer_take(net) : listen_take(net, &from);
    if (!frame) {
        dealer_serve(net);
        return -EAGAIN;
    }
    if (!net->is_dealer && peer)
        *peer = from;
    *ret_frame = (struct net_frame){
        .data = zmq_msg_data(frame), .length = zmq_msg_size(frame), .owner = frame};
    return 0;
}

void net_frame_free(struct net_frame *frame)
{
    if (frame->owner) {
        zmq_msg_close(frame->owner);
        free(frame->owner);
    }
    *frame = (struct net_frame){0};
}

int net_send(struct net *net, const struct net_peer *peer, const uint8_t *frame, size_t length)
{
    zmq_msg_t part;
    if (!net->is_dealer && (!peer || peer->socket >= SOCKETS || peer->route_length > NET_ROUTE_MAX))
        return -EINVAL;
    if (net->is_dealer && !net->dealer)
        return -EAGAIN;
    if (length > MSG_MAX)
        return -EMSGSIZE;
    int r = 0;
    if (!net->is_dealer) {
        r = unsent_frame(peer->owner, frame, length, &part);
        if (r < 0)
            return r;
        r = pump_send(net, peer, &part);
        zmq_msg_close(&part);
        return r;
    }
    if (zmq_msg_init_size(&part, length) < 0)
        return -ENOMEM;
    if (length > 0)
        memcpy(zmq_msg_data(&part), frame, length);
    if (TEMP_FAILURE_RETRY(zmq_msg_send(&part, net->dealer, ZMQ_DONTWAIT)) < 0)
        r = -errno;
    zmq_msg_close(&part);
    return r;
}
