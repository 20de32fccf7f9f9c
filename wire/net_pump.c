/* net_pump.c - what arrives at the broker's sockets is read at once, by a thread, and waits in an
 * inbox
 *
 * While the broker writes to its disk, this thread goes on reading, so that no peer can fill the
 * memory of ZeroMQ, whose own limit cannot be used (net_parts.h). A peer that has more waiting
 * than inbox.h lets it is disconnected. */
#include "wire/inbox.h"
#include "wire/net_parts.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uthash.h>

enum {
    ROUTE_LENGTH = 5, /* of an id that ZeroMQ makes: a zero byte and a number */
    BURST = 64,       /* messages that are read before the broker may have the sockets */
    GONE = 64,        /* peers that were disconnected, of whom more may still come */
};

struct received {
    struct inbox_item item;
    unsigned which;
    uint8_t route[ROUTE_LENGTH];
    zmq_msg_t *frame;
};

struct speaker {
    struct net_speaker is;
    UT_hash_handle hh;
};

struct pump {
    void *const *routers; /* the net's */
    /* lock guards all that follows and the routers. Who wants it takes turn first, so that the
     * thread, which takes it again and again, never keeps the broker from it. */
    pthread_mutex_t turn, lock;
    struct inbox *inbox;
    uint64_t gone[GONE];
    uint64_t n_gone;
    struct speaker *speakers; /* uthash by file: no more than there are files */
    struct net_drop dropped;
    bool has_dropped, told; /* told: `arrived` is readable */
    int arrived, wake;
    atomic_bool stop;
    pthread_t thread;
    bool runs;
};

static void lock(struct pump *pump)
{
    pthread_mutex_lock(&pump->turn);
    pthread_mutex_lock(&pump->lock);
    pthread_mutex_unlock(&pump->turn);
}

static void unlock(struct pump *pump)
{
    pthread_mutex_unlock(&pump->lock);
}

/* ---- reading; the lock is held */

static uint64_t peer_id(unsigned which, const uint8_t route[ROUTE_LENGTH])
{
    uint64_t id = which + 1;

    for (size_t i = 0; i < ROUTE_LENGTH; i++)
        id = id << 8 | route[i];
    return id;
}

static bool is_gone(const struct pump *pump, uint64_t peer)
{
    for (size_t i = 0; i < GONE && i < pump->n_gone; i++)
        if (pump->gone[i] == peer)
            return true;
    return false;
}

static void received_free(struct received *received)
{
    zmq_msg_close(received->frame);
    free(received->frame);
    free(received);
}

/* The connection ends; what waits of it, and what is still to come, is dropped. */
static void disconnect(struct pump *pump, struct received *last)
{
    const char *address = zmq_msg_gets(last->frame, "Peer-Address");
    const char *key = zmq_msg_gets(last->frame, "User-Id");
    struct inbox_item *item;

    pump->gone[pump->n_gone++ % GONE] = last->item.peer;
    pump->dropped.which = last->which;
    snprintf(pump->dropped.address, sizeof(pump->dropped.address), "%s", address ? address : "");
    snprintf(pump->dropped.key, sizeof(pump->dropped.key), "%s", key ? key : "");
    pump->has_dropped = true;
    accept_end(zmq_msg_get(last->frame, ZMQ_SRCFD));
    while ((item = inbox_take_of(pump->inbox, last->item.peer)))
        received_free((struct received *)item);
    received_free(last);
}

/* Notes whose connection a file is; a file whose connection is gone is the next one's. */
static void note_speaker(struct pump *pump, unsigned which, const uint8_t route[ROUTE_LENGTH],
                         zmq_msg_t *frame)
{
    int fd = zmq_msg_get(frame, ZMQ_SRCFD);
    struct speaker *speaker;

    HASH_FIND_INT(pump->speakers, &fd, speaker);
    if (speaker && speaker->is.which == which &&
        memcmp(speaker->is.route, route, ROUTE_LENGTH) == 0)
        return;
    if (!speaker) {
        speaker = calloc(1, sizeof(*speaker));
        if (!speaker)
            return; /* its next frame may find memory */
        speaker->is.fd = fd;
        HASH_ADD_INT(pump->speakers, is.fd, speaker);
    }
    const char *address = zmq_msg_gets(frame, "Peer-Address");
    const char *key = zmq_msg_gets(frame, "User-Id");
    speaker->is.which = which;
    memcpy(speaker->is.route, route, ROUTE_LENGTH);
    speaker->is.route_length = ROUTE_LENGTH;
    snprintf(speaker->is.address, sizeof(speaker->is.address), "%s", address ? address : "");
    snprintf(speaker->is.key, sizeof(speaker->is.key), "%s", key ? key : "");
}

static void put(struct pump *pump, unsigned which, const uint8_t route[ROUTE_LENGTH],
                zmq_msg_t *frame)
{
    uint64_t peer = peer_id(which, route);
    struct received *received = is_gone(pump, peer) ? NULL : malloc(sizeof(*received));
    zmq_msg_t *kept = received ? malloc(sizeof(*kept)) : NULL;

    if (!kept) {
        free(received);
        return;
    }
    note_speaker(pump, which, route, frame);
    *received = (struct received){.which = which, .frame = kept};
    received->item = (struct inbox_item){.peer = peer, .length = zmq_msg_size(frame)};
    received->item.owner = owner_number(which, zmq_msg_gets(frame, "Peer-Address"));
    memcpy(received->route, route, ROUTE_LENGTH);
    zmq_msg_init(kept);
    zmq_msg_move(kept, frame);
    if (!inbox_put(pump->inbox, &received->item))
        disconnect(pump, received);
    if (!pump->told)
        pump->told = eventfd_write(pump->arrived, 1) == 0;
}

/* Reads what is left of a message of several parts. */
static void skip_parts(void *router, zmq_msg_t *part)
{
    while (zmq_msg_more(part))
        if (zmq_msg_recv(part, router, ZMQ_DONTWAIT) < 0 && errno != EINTR)
            return;
}

/* One message: taken, or passed over when it is of more than one part or of a peer that chose its
 * id itself. False: there is none. */
static bool read_one(struct pump *pump, unsigned which)
{
    void *router = pump->routers[which];
    uint8_t route[ROUTE_LENGTH];
    zmq_msg_t part;

    zmq_msg_init(&part);
    bool is_there = TEMP_FAILURE_RETRY(zmq_msg_recv(&part, router, ZMQ_DONTWAIT)) >= 0;
    if (is_there) {
        const uint8_t *id = zmq_msg_data(&part);
        bool is_sound = zmq_msg_size(&part) == ROUTE_LENGTH && id[0] == 0 && zmq_msg_more(&part);
        if (is_sound) {
            memcpy(route, id, ROUTE_LENGTH);
            is_sound = TEMP_FAILURE_RETRY(zmq_msg_recv(&part, router, ZMQ_DONTWAIT)) >= 0 &&
                       !zmq_msg_more(&part);
        }
        if (is_sound)
            put(pump, which, route, &part);
        else
            skip_parts(router, &part);
    }
    zmq_msg_close(&part);
    return is_there;
}

/* Both sockets as far as one burst goes; true: there may be more. */
static bool read_some(struct pump *pump)
{
    bool more = false;

    for (unsigned which = 0; which < SOCKETS; which++) {
        unsigned n = 0;
        while (pump->routers[which] && n < BURST && read_one(pump, which))
            n++;
        more = more || n == BURST;
    }
    return more;
}

/* ---- the thread */

static void *run(void *ctx)
{
    struct pump *pump = ctx;
    struct pollfd fds[SOCKETS + 1] = {{.fd = pump->wake, .events = POLLIN}};
    nfds_t n = 1;

    for (unsigned which = 0; which < SOCKETS; which++) {
        size_t size = sizeof(fds[n].fd);
        if (pump->routers[which] &&
            zmq_getsockopt(pump->routers[which], ZMQ_FD, &fds[n].fd, &size) == 0)
            fds[n++].events = POLLIN;
    }
    while (!atomic_load(&pump->stop)) {
        eventfd_t ignored;
        lock(pump);
        bool more = read_some(pump);
        unlock(pump);
        if (more)
            continue;
        /* A socket's descriptor tells of what comes after the socket was read to its end. */
        (void)poll(fds, n, /* timeout = */ -1);
        (void)eventfd_read(pump->wake, &ignored);
    }
    return NULL;
}

static int start_thread(struct pump *pump)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the broker's */
    int r = -pthread_create(&pump->thread, NULL, run, pump);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pump->runs = r == 0;
    return r;
}

/* ---- for the broker */

int pump_start(struct net *net)
{
    struct pump *pump = net->pump = calloc(1, sizeof(*pump));

    if (!pump)
        return -ENOMEM;
    pump->routers = net->routers;
    pthread_mutex_init(&pump->turn, NULL);
    pthread_mutex_init(&pump->lock, NULL);
    pump->arrived = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pump->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pump->inbox = inbox_new();
    if (pump->arrived < 0 || pump->wake < 0)
        return -errno;
    return pump->inbox ? start_thread(pump) : -ENOMEM;
}

void pump_stop(struct net *net)
{
    struct pump *pump = net->pump;
    struct inbox_item *item;

    if (!pump)
        return;
    if (pump->runs) {
        atomic_store(&pump->stop, true);
        (void)eventfd_write(pump->wake, 1);
        pthread_join(pump->thread, NULL);
    }
    while (pump->inbox && (item = inbox_take(pump->inbox)))
        received_free((struct received *)item);
    inbox_free(pump->inbox);
    struct speaker *speaker, *next;
    HASH_ITER (hh, pump->speakers, speaker, next) {
        HASH_DEL(pump->speakers, speaker);
        free(speaker);
    }
    for (size_t i = 0; i < 2; i++) {
        int fd = i == 0 ? pump->arrived : pump->wake;
        if (fd >= 0)
            close(fd);
    }
    pthread_mutex_destroy(&pump->turn);
    pthread_mutex_destroy(&pump->lock);
    free(pump);
    net->pump = NULL;
}

int pump_fd(const struct net *net)
{
    return net->pump->arrived;
}

zmq_msg_t *pump_take(struct net *net, struct net_peer *peer)
{
    struct pump *pump = net->pump;
    zmq_msg_t *frame = NULL;

    lock(pump);
    struct received *received = (struct received *)inbox_take(pump->inbox);
    if (!received && pump->told) {
        eventfd_t ignored;
        pump->told = eventfd_read(pump->arrived, &ignored) < 0;
    }
    unlock(pump);
    if (received) {
        frame = received->frame;
        peer->socket = received->which;
        memcpy(peer->route, received->route, ROUTE_LENGTH);
        peer->route_length = ROUTE_LENGTH;
        free(received);
    }
    return frame;
}

static int send_part(zmq_msg_t *part, void *socket, int flags)
{
    return TEMP_FAILURE_RETRY(zmq_msg_send(part, socket, ZMQ_DONTWAIT | flags)) < 0 ? -errno : 0;
}

int pump_send(struct net *net, const struct net_peer *peer, zmq_msg_t *frame)
{
    struct pump *pump = net->pump;
    void *router = peer->socket < SOCKETS ? net->routers[peer->socket] : NULL;
    zmq_msg_t route;

    if (!router)
        return -EHOSTUNREACH;
    if (zmq_msg_init_size(&route, peer->route_length) < 0)
        return -ENOMEM;
    memcpy(zmq_msg_data(&route), peer->route, peer->route_length);
    lock(pump);
    int r = send_part(&route, router, ZMQ_SNDMORE);
    if (r >= 0)
        r = send_part(frame, router, /* flags = */ 0);
    /* Sending may have taken the sign that something has arrived. */
    if (read_some(pump))
        (void)eventfd_write(pump->wake, 1);
    unlock(pump);
    zmq_msg_close(&route);
    return r;
}

int pump_speakers(struct net *net, struct net_speaker **ret_speakers, size_t *ret_n)
{
    struct pump *pump = net->pump;
    struct speaker *speaker, *next;
    size_t n = 0;

    lock(pump);
    struct net_speaker *list = calloc(HASH_COUNT(pump->speakers) + 1, sizeof(*list));
    HASH_ITER (hh, pump->speakers, speaker, next)
        if (list)
            list[n++] = speaker->is;
    unlock(pump);
    *ret_speakers = list;
    *ret_n = n;
    return list ? 0 : -ENOMEM;
}

bool pump_dropped(struct net *net, struct net_drop *ret_drop)
{
    struct pump *pump = net->pump;

    lock(pump);
    bool has = pump->has_dropped;
    *ret_drop = pump->dropped;
    pump->has_dropped = false;
    unlock(pump);
    return has;
}
