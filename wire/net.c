/* net.c - both sides of a socket: made, waited for, read, written, freed */
#include "wire/net_parts.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "wire/endpoint.h"
#include "wire/msg.h"
#include "wire/who.h"

enum {
    ROUTE_LENGTH = 5, /* of an id that ZeroMQ makes: a zero byte and a number */
    DROPS_MAX = 1000, /* bad frames that one net_recv() passes over */
};

int net_fail(struct rm_err *err, const char *what, const char *endpoint)
{
    int r = errno;
    return rm_fail(err, -r, "%s %s: %s", what, endpoint, zmq_strerror(r));
}

struct net *net_new(size_t n_endpoints)
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
    dealer_close(net);
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
    dealer_revive(net);
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
    dealer_serve(net);
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
        net_identify(net, which, frame, peer);
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
    if (++net->received >= NET_ZAP_TURN)
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
        dealer_serve(net);
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
