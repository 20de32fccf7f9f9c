/* zmtp.c - raw connections for programs that load a broker */
#include "tests/bench/zmtp.h"

#include "tests/bench/figures.h"
#include "wire/msg.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    FLAG_MORE = 1,
    FLAG_LONG = 2,
    FLAG_COMMAND = 4,
    GREETING = 64,
    READ_LEAST = 2048,
    READ_MOST = 256 * 1024,
    SHORT_MAX = 255,
};

uint8_t *zmtp_bytes(struct zmtp *conn, size_t length)
{
    if (conn->out_from == conn->out_length)
        conn->out_from = conn->out_length = 0;
    if (conn->out_length + length > conn->out_size) {
        conn->out_size = 2 * (conn->out_length + length);
        conn->out = must_grow(conn->out, conn->out_size);
    }
    conn->out_length += length;
    return conn->out + conn->out_length - length;
}

static uint8_t *frame_of(struct zmtp *conn, uint8_t flags, size_t length)
{
    uint8_t *at;

    if (length <= SHORT_MAX) {
        at = zmtp_bytes(conn, 2 + length);
        at[0] = flags;
        at[1] = (uint8_t)length;
        return at + 2;
    }
    at = zmtp_bytes(conn, 9 + length);
    at[0] = flags | FLAG_LONG;
    for (size_t i = 0; i < 8; i++)
        at[1 + i] = (uint8_t)(length >> (56 - 8 * i));
    return at + 9;
}

uint8_t *zmtp_frame(struct zmtp *conn, size_t length)
{
    return frame_of(conn, 0, length);
}

void zmtp_send(struct zmtp *conn, const RmMessage *message)
{
    size_t length = rm_message__get_packed_size(message);
    uint8_t *at = zmtp_frame(conn, MSG_HEADER + length);

    memcpy(at, "RMG", 3);
    at[3] = MSG_VERSION;
    rm_message__pack(message, at + MSG_HEADER);
}

static int socket_to(const char *endpoint)
{
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    struct sockaddr_in remote = {.sin_family = AF_INET};
    const struct sockaddr *address = (struct sockaddr *)&local;
    socklen_t size = sizeof(local);
    char host[64];
    int port, one = 1, fd;

    if (strncmp(endpoint, "ipc://", 6) == 0) {
        if (strlen(endpoint + 6) >= sizeof(local.sun_path))
            return -ENAMETOOLONG;
        snprintf(local.sun_path, sizeof(local.sun_path), "%s", endpoint + 6);
    } else if (sscanf(endpoint, "tcp://%63[^:]:%d", host, &port) == 2 &&
               inet_pton(AF_INET, host, &remote.sin_addr) == 1) {
        remote.sin_port = htons((uint16_t)port);
        address = (struct sockaddr *)&remote;
        size = sizeof(remote);
    } else {
        return -EINVAL;
    }
    fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (connect(fd, address, size) < 0 && errno != EINPROGRESS) {
        int r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

static int begin(struct zmtp *conn, int epoll, const char *endpoint, void *owner)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = conn};
    int fd = socket_to(endpoint);

    if (fd < 0)
        return fd;
    conn->fd = fd;
    conn->epoll = epoll;
    conn->owner = owner;
    conn->waits = true;
    conn->in_length = conn->out_from = conn->out_length = 0;
    epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
    return 0;
}

int zmtp_connect(struct zmtp *conn, int epoll, const char *endpoint, void *owner)
{
    static const uint8_t greeting[GREETING] = {0xff, [9] = 0x7f, [10] = 3, [12] = 'N',
                                               'U',  'L',        'L'};
    static const char ready[] = "\5READY\13Socket-Type\0\0\0\6DEALER";
    int r = begin(conn, epoll, endpoint, owner);

    if (r < 0)
        return r;
    conn->ready = false;
    memcpy(zmtp_bytes(conn, GREETING), greeting, GREETING);
    memcpy(frame_of(conn, FLAG_COMMAND, sizeof(ready) - 1), ready, sizeof(ready) - 1);
    return 0;
}

int zmtp_connect_plain(struct zmtp *conn, int epoll, const char *endpoint, void *owner,
                       size_t (*plain)(struct zmtp *conn, const uint8_t *bytes, size_t length))
{
    conn->ready = true;
    conn->plain = plain;
    return begin(conn, epoll, endpoint, owner);
}

void zmtp_close(struct zmtp *conn)
{
    if (conn->fd >= 0) {
        /* A child that has not called exec yet has it open too. */
        epoll_ctl(conn->epoll, EPOLL_CTL_DEL, conn->fd, NULL);
        close(conn->fd);
    }
    free(conn->in);
    free(conn->out);
    *conn = (struct zmtp){.fd = -1};
}

int zmtp_flush(struct zmtp *conn)
{
    while (conn->out_from < conn->out_length) {
        ssize_t n = send(conn->fd, conn->out + conn->out_from, conn->out_length - conn->out_from,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN)
            return -errno;
        if (n < 0)
            break;
        conn->out_from += (size_t)n;
    }
    bool waits = conn->out_from < conn->out_length;
    if (waits != conn->waits) {
        struct epoll_event event = {.events = EPOLLIN | (waits ? EPOLLOUT : 0u), .data.ptr = conn};
        epoll_ctl(conn->epoll, EPOLL_CTL_MOD, conn->fd, &event);
        conn->waits = waits;
    }
    return 0;
}

static void command(struct zmtp *conn, const uint8_t *body, size_t length)
{
    if (length >= 6 && memcmp(body, "\5READY", 6) == 0)
        conn->ready = true;
    if (length >= 7 &&
        memcmp(body, "\4PING", 5) == 0) { /* its time to live, then what comes back */
        size_t context = length - 7;
        uint8_t *at = frame_of(conn, FLAG_COMMAND, 5 + context);
        memcpy(at, "\4PONG", 5);
        memcpy(at + 5, body + 7, context);
    }
}

/* Returns the bytes that were used up. */
static size_t take_frames(struct zmtp *conn,
                          void (*take)(struct zmtp *conn, const uint8_t *frame, size_t length))
{
    size_t at = 0;

    if (!conn->ready && conn->in_length >= GREETING && conn->in[0] == 0xff)
        at = GREETING; /* what comes first; no frame begins so */
    else if (!conn->ready && conn->in_length < GREETING && conn->in[0] == 0xff)
        return 0;
    for (;;) {
        const uint8_t *head = conn->in + at;
        size_t left = conn->in_length - at, length = 0, before = 2;
        if (left < 2)
            return at;
        if (head[0] & FLAG_LONG) {
            before = 9;
            if (left < before)
                return at;
            for (size_t i = 0; i < 8; i++)
                length = length << 8 | head[1 + i];
        } else {
            length = head[1];
        }
        if (left - before < length)
            return at;
        if (head[0] & FLAG_COMMAND)
            command(conn, head + before, length);
        else
            take(conn, head + before, length);
        at += before + length;
    }
}

int zmtp_read(struct zmtp *conn,
              void (*take)(struct zmtp *conn, const uint8_t *frame, size_t length))
{
    for (bool much = false;; much = true) {
        if (conn->in_size - conn->in_length < READ_LEAST || (much && conn->in_size < READ_MOST)) {
            conn->in_size = conn->in_size == 0 ? 2 * (size_t)READ_LEAST : 2 * conn->in_size;
            conn->in = must_grow(conn->in, conn->in_size);
        }
        size_t asked = conn->in_size - conn->in_length;
        ssize_t n = recv(conn->fd, conn->in + conn->in_length, asked, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return 0;
        if (n <= 0)
            return n == 0 ? -ECONNRESET : -errno;
        conn->in_length += (size_t)n;
        size_t used =
            conn->plain ? conn->plain(conn, conn->in, conn->in_length) : take_frames(conn, take);
        conn->in_length -= used;
        memmove(conn->in, conn->in + used, conn->in_length);
        if ((size_t)n < asked)
            return 0;
    }
}
