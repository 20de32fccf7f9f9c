/* smapi_server.h - for tests: a server that answers one connection after the other as it was told
 */
#ifndef TESTS_UNIT_SMAPI_SERVER_H
#define TESTS_UNIT_SMAPI_SERVER_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    SERVER_STEPS = 32,
    SERVER_ID = 100,         /* request id of the first connection; then one more each */
    SERVER_FIRST = 32,       /* bytes of a request that are kept */
    SERVER_GIVES_UP = 20000, /* ms */
};

enum server_act {
    ANSWER,           /* request id and reply */
    GONE,             /* as soon as it is connected, and TLS is there */
    CLOSE_AT_ONCE,    /* when the request has come */
    CLOSE_AFTER_ID,   /* then too */
    SILENT_BEFORE_ID, /* until the client goes */
    SILENT_AFTER_ID,  /* until the client goes */
    SILENT_IN_REPLY,  /* half of the reply, then nothing */
    CLOSE_IN_REPLY,   /* half of the reply */
    BYTE_BY_BYTE,     /* as ANSWER */
    LENGTH_TOO_SMALL, /* a reply that says 11 bytes */
    LENGTH_TOO_BIG,   /* a reply that says 4 GiB */
    NO_TLS,           /* text instead of a handshake */
    STREAM,           /* request id, then data as they are; stays open until the client goes */
    STREAM_AND_CLOSE, /* the same, then closes */
};

struct server_step {
    enum server_act act;
    uint32_t rc, rs;
    const char *data; /* behind the codes; of STREAM all that follows the request id */
    size_t length;
    unsigned delay; /* ms between request id and reply */
};

struct server_seen { /* of one connection */
    char function[48];
    char target[16];
    uint32_t number; /* the last four bytes */
    size_t length;   /* of the request */
};

struct server {
    int listener;
    int stop[2];
    uint16_t port;
    char url[64];
    SSL_CTX *tls; /* NULL: none */
    pthread_t thread;
    struct server_step steps[SERVER_STEPS];
    unsigned n_steps;
    struct server_seen seen[SERVER_STEPS];
    atomic_uint n_seen;   /* connections that brought a request */
    atomic_uint n_opened; /* connections */
};

struct server_peer {
    int fd;
    SSL *ssl;
};

static inline bool server_wait(const struct server_peer *peer)
{
    struct pollfd poll_fd = {.fd = peer->fd, .events = POLLIN};
    return (peer->ssl && SSL_pending(peer->ssl)) || poll(&poll_fd, 1, SERVER_GIVES_UP) == 1;
}

static inline bool server_read(const struct server_peer *peer, uint8_t *bytes, size_t length)
{
    for (size_t got = 0; got < length;) {
        if (!server_wait(peer))
            return false;
        ssize_t n = peer->ssl ? SSL_read(peer->ssl, bytes + got, (int)(length - got))
                              : recv(peer->fd, bytes + got, length - got, 0);
        if (n <= 0)
            return false;
        got += (size_t)n;
    }
    return true;
}

static inline void server_write(const struct server_peer *peer, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    ssize_t n = peer->ssl ? SSL_write(peer->ssl, bytes, (int)length)
                          : send(peer->fd, bytes, length, MSG_NOSIGNAL);
    (void)n; /* a client that has gone is what some tests are about */
}

static inline uint32_t server_number(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static inline size_t server_put(uint8_t *bytes, uint32_t number)
{
    const uint8_t big[4] = {(uint8_t)(number >> 24), (uint8_t)(number >> 16),
                            (uint8_t)(number >> 8), (uint8_t)number};
    memcpy(bytes, big, sizeof(big));
    return sizeof(big);
}

/* Takes one field of a request, its length in front. */
static inline const uint8_t *server_field(const uint8_t *at, const uint8_t *end, char *text,
                                          size_t size)
{
    if (!at || end - at < 4 || server_number(at) > (size_t)(end - at - 4))
        return NULL;
    uint32_t length = server_number(at);
    if (text) {
        size_t n = length < size - 1 ? length : size - 1;
        memcpy(text, at + 4, n);
        text[n] = '\0';
    }
    return at + 4 + length;
}

static inline bool server_request(const struct server_peer *peer, struct server_seen *seen)
{
    uint8_t bytes[2048];
    if (!server_read(peer, bytes, 4) || server_number(bytes) > sizeof(bytes))
        return false;
    seen->length = server_number(bytes);
    if (!server_read(peer, bytes, seen->length))
        return false;
    const uint8_t *end = bytes + seen->length;
    const uint8_t *at = server_field(bytes, end, seen->function, sizeof(seen->function));
    at = server_field(at, end, NULL, 0);
    at = server_field(at, end, NULL, 0);
    server_field(at, end, seen->target, sizeof(seen->target));
    seen->number = server_number(end - 4);
    return true;
}

static inline void server_answer(const struct server_peer *peer, const struct server_step *step,
                                 uint32_t id)
{
    uint8_t bytes[4096];
    server_put(bytes, id);
    if (step->act == SILENT_BEFORE_ID) {
        server_wait(peer);
        return;
    }
    if (step->act == BYTE_BY_BYTE) {
        for (size_t i = 0; i < 4; i++)
            server_write(peer, bytes + i, 1);
    } else {
        server_write(peer, bytes, 4);
    }
    if (step->act == CLOSE_AFTER_ID)
        return;
    if (step->act == SILENT_AFTER_ID) {
        server_wait(peer);
        return;
    }
    if (step->delay > 0)
        poll(NULL, 0, (int)step->delay);
    if (step->act == STREAM || step->act == STREAM_AND_CLOSE) {
        server_write(peer, step->data, step->length);
        if (step->act == STREAM)
            server_wait(peer);
        return;
    }
    size_t length =
        server_put(bytes, step->act == LENGTH_TOO_SMALL ? 11
                          : step->act == LENGTH_TOO_BIG ? UINT32_MAX
                                                        : (uint32_t)(12 + step->length));
    length += server_put(bytes + length, id);
    length += server_put(bytes + length, step->rc);
    length += server_put(bytes + length, step->rs);
    if (step->length > 0)
        memcpy(bytes + length, step->data, step->length);
    length += step->length;
    if (step->act == BYTE_BY_BYTE) {
        for (size_t i = 0; i < length; i++) {
            server_write(peer, bytes + i, 1);
            poll(NULL, 0, 1);
        }
        return;
    }
    server_write(peer, bytes,
                 step->act == SILENT_IN_REPLY || step->act == CLOSE_IN_REPLY ? length / 2 : length);
    if (step->act == SILENT_IN_REPLY)
        server_wait(peer);
}

static inline void server_serve(struct server *server, int fd, unsigned number)
{
    static const struct server_step good = {.act = ANSWER};
    const struct server_step *step =
        number < server->n_steps ? &server->steps[number] : &good; /* the rest is answered 0/0 */
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof(on));
    struct server_peer peer = {.fd = fd};
    if (step->act == NO_TLS) {
        server_write(&peer, "220 mail ready\r\n", 16);
        server_wait(&peer);
        close(fd);
        return;
    }
    if (server->tls) {
        peer.ssl = SSL_new(server->tls);
        SSL_set_fd(peer.ssl, fd);
        if (SSL_accept(peer.ssl) != 1)
            goto out;
    }
    struct server_seen seen = {.function = ""};
    if (step->act == GONE || !server_request(&peer, &seen))
        goto out;
    unsigned at = server->n_seen;
    if (at < SERVER_STEPS)
        server->seen[at] = seen;
    server->n_seen = at + 1;
    if (step->act != CLOSE_AT_ONCE)
        server_answer(&peer, step, SERVER_ID + number);
out:
    if (peer.ssl) {
        SSL_shutdown(peer.ssl);
        SSL_free(peer.ssl);
    }
    close(fd);
}

static inline void *server_run(void *arg)
{
    struct server *server = arg;
    for (;;) {
        struct pollfd fds[] = {{.fd = server->listener, .events = POLLIN},
                               {.fd = server->stop[0], .events = POLLIN}};
        if (poll(fds, 2, -1) < 0)
            continue;
        if (fds[1].revents)
            return NULL;
        int fd = accept(server->listener, NULL, NULL);
        if (fd >= 0) {
            unsigned number = server->n_opened++;
            server_serve(server, fd, number);
        }
    }
}

/* A port of 127.0.0.1 that refuses connections until server_listen(). */
static inline struct server *server_new(void)
{
    struct server *server = calloc(1, sizeof(*server));
    assert_non_null(server);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    server->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(server->listener >= 0);
    assert_int_equal(bind(server->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(server->listener, (struct sockaddr *)&address, &size), 0);
    server->port = ntohs(address.sin_port);
    snprintf(server->url, sizeof(server->url), "tcp://127.0.0.1:%u", server->port);
    assert_int_equal(pipe(server->stop), 0);
    return server;
}

static inline void server_listen(struct server *server)
{
    assert_int_equal(listen(server->listener, 64), 0);
    assert_int_equal(pthread_create(&server->thread, NULL, server_run, server), 0);
}

static inline void server_add(struct server *server, struct server_step step)
{
    assert_true(server->n_steps < SERVER_STEPS);
    server->steps[server->n_steps++] = step;
}

static inline void server_free(struct server *server)
{
    if (server->thread) {
        assert_int_equal(write(server->stop[1], "", 1), 1);
        pthread_join(server->thread, NULL);
    }
    close(server->listener);
    close(server->stop[0]);
    close(server->stop[1]);
    SSL_CTX_free(server->tls);
    free(server);
}

#endif
