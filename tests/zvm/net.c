/* net.c - connections of the simulator: listeners of the members, bytes in and out, TLS, the loop
 */
#include "sim.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 16 << 10 };

enum phase {
    PHASE_REQUEST, /* its request is not complete */
    PHASE_WAIT,    /* there is no answer yet */
    PHASE_EVENTS,  /* subscribed */
    PHASE_FLUSH,   /* is closed when all is sent */
    PHASE_DRAIN,   /* all is sent; the client has to close */
};

struct conn {
    unsigned long number;
    int fd;
    SSL *ssl; /* NULL: plain */
    struct member *member;
    enum phase phase;
    struct bytes in, out;
    bool eof;         /* the client sends no more */
    bool damaged;     /* what comes now is not worth another complaint */
    bool bytewise;    /* the fault */
    bool dead;        /* is freed at the end of this round */
    int64_t write_at; /* the next byte, when bytewise */
    int64_t since_at; /* of the phase */
    struct op *op;
    struct conn *next;
};

/* A client of the control socket. */
struct ctl {
    int fd;
    struct bytes in, out;
    bool over;
    struct ctl *next;
};

static struct conn *conns;
static struct ctl *ctls;
static SSL_CTX *tls;

/* ---- connections */

const char *tls_setup(const char *cert, const char *key)
{
    tls = SSL_CTX_new(TLS_server_method());
    if (tls == NULL)
        return "no TLS";
    SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION);
    SSL_CTX_set_options(tls, SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    if (SSL_CTX_use_certificate_chain_file(tls, cert) != 1)
        return "cannot read the certificate";
    if (SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1)
        return "cannot read the key";
    return NULL;
}

static void phase_set(struct conn *conn, enum phase phase)
{
    conn->phase = phase;
    conn->since_at = sim.now;
}

void conn_new(int fd, struct member *member, bool with_tls)
{
    static unsigned long number;
    struct conn *conn = must_alloc(sizeof(*conn));

    conn->number = ++number;
    conn->fd = fd;
    conn->member = member;
    phase_set(conn, PHASE_REQUEST);
    if (with_tls && (conn->ssl = SSL_new(tls)) != NULL) {
        SSL_set_fd(conn->ssl, fd);
        SSL_set_accept_state(conn->ssl);
    }
    conn->next = conns;
    conns = conn;
}

struct member *conn_member(const struct conn *conn)
{
    return conn->member;
}

unsigned long conn_number(const struct conn *conn)
{
    return conn->number;
}

void conn_op(struct conn *conn, struct op *op)
{
    conn->op = op;
}

struct op *conn_get_op(const struct conn *conn)
{
    return conn->op;
}

void conn_send(struct conn *conn, const void *data, size_t n)
{
    if (!conn->dead)
        bytes_add(&conn->out, data, n);
}

void conn_bytewise(struct conn *conn)
{
    conn->bytewise = true;
}

void conn_finish(struct conn *conn)
{
    if (!conn->dead)
        phase_set(conn, PHASE_FLUSH);
}

void conn_subscribe(struct conn *conn)
{
    phase_set(conn, PHASE_EVENTS);
}

void conn_damaged(struct conn *conn)
{
    conn->damaged = true;
}

void conn_drop(struct conn *conn)
{
    if (conn->dead)
        return;
    conn->dead = true;
    op_forget_conn(conn);
}

static void conn_free(struct conn *conn)
{
    SSL_free(conn->ssl);
    close(conn->fd);
    bytes_done(&conn->in);
    bytes_done(&conn->out);
    free(conn);
}

void members_conns_drop(const struct member *member)
{
    for (struct conn *conn = conns; conn != NULL; conn = conn->next)
        if (conn->member == member)
            conn_drop(conn);
}

void events_send(const struct member *member, const void *data, size_t n)
{
    for (struct conn *conn = conns; conn != NULL; conn = conn->next) {
        if (conn->dead || conn->phase != PHASE_EVENTS || conn->member != member)
            continue;
        conn_send(conn, data, n);
        if (conn->out.n > EVENTS_MAX) {
            say("#%lu does not read its events, dropped", conn->number);
            conn_drop(conn);
        }
    }
}

/* Bytes that no request needs. */
static void too_much(struct conn *conn, const char *at, size_t n)
{
    uint32_t total = n >= 4 ? read_u32(at) : 0;

    if (conn->damaged || n == 0)
        return;
    conn->damaged = true;
    if (conn->phase == PHASE_EVENTS)
        violation(conn, "%zu bytes on a connection that is subscribed to events", n);
    else if (total >= TOTAL_MIN && total <= TOTAL_MAX)
        violation(conn, "a second request on one connection");
    else
        violation(conn, "%zu bytes of garbage after the request", n);
}

/* Is the request there? */
static void look_at_input(struct conn *conn)
{
    struct bytes *in = &conn->in;
    uint32_t total;

    if (conn->phase != PHASE_REQUEST) {
        too_much(conn, in->at, in->n);
        bytes_cut(in, in->n);
        return;
    }
    if (in->n < 4)
        return;
    total = read_u32(in->at);
    if (total < TOTAL_MIN || total > TOTAL_MAX) {
        conn->damaged = true;
        phase_set(conn, PHASE_WAIT);
        request_refuse(conn, 900, total < TOTAL_MIN ? 20 : 36, "total length", in->at, in->n);
    } else if (in->n >= 4 + (size_t)total) {
        phase_set(conn, PHASE_WAIT);
        request_arrived(conn, in->at, 4 + (size_t)total);
        too_much(conn, in->at + 4 + total, in->n - 4 - total);
    } else {
        return;
    }
    bytes_cut(in, in->n);
}

static void at_eof(struct conn *conn)
{
    conn->eof = true;
    switch (conn->phase) {
    case PHASE_REQUEST:
        if (conn->in.n > 0)
            violation(conn, "the request is cut off after %zu bytes", conn->in.n);
        conn_drop(conn);
        break;
    case PHASE_WAIT:
    case PHASE_FLUSH: /* it may have closed one half only */
        say("#%lu sends no more", conn->number);
        break;
    case PHASE_EVENTS:
    case PHASE_DRAIN:
        conn_drop(conn);
        break;
    }
}

/* Bytes read, 0: none now, -1: the end. */
static ssize_t receive(struct conn *conn, char *at, size_t size)
{
    int r;

    if (conn->ssl == NULL) {
        ssize_t n = recv(conn->fd, at, size, 0);
        if (n > 0)
            return n;
        return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
    }
    ERR_clear_error();
    r = SSL_read(conn->ssl, at, (int)size);
    if (r > 0)
        return r;
    switch (SSL_get_error(conn->ssl, r)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return 0;
    case SSL_ERROR_SSL:
        if (conn->phase == PHASE_REQUEST && !conn->damaged) {
            conn->damaged = true;
            violation(conn, "TLS: %s", ERR_reason_error_string(ERR_peek_error()));
        }
        SSL_set_quiet_shutdown(conn->ssl, 1);
        return -1;
    default:
        return -1;
    }
}

static void conn_readable(struct conn *conn)
{
    static char buffer[READ_SIZE];
    ssize_t n = 0;

    while (!conn->dead && !conn->eof && (n = receive(conn, buffer, sizeof(buffer))) > 0) {
        bytes_add(&conn->in, buffer, (size_t)n);
        look_at_input(conn);
    }
    if (n < 0 && !conn->dead && !conn->eof)
        at_eof(conn);
}

/* Bytes written, 0: none now, -1: nobody there. */
static ssize_t transmit(struct conn *conn, const char *at, size_t size)
{
    int r;

    if (conn->ssl == NULL) {
        ssize_t n = send(conn->fd, at, size, MSG_NOSIGNAL);
        if (n >= 0)
            return n;
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    ERR_clear_error();
    r = SSL_write(conn->ssl, at, (int)size);
    if (r > 0)
        return r;
    r = SSL_get_error(conn->ssl, r);
    return r == SSL_ERROR_WANT_READ || r == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

static void conn_flush(struct conn *conn)
{
    while (!conn->dead && conn->out.n > 0) {
        ssize_t n;
        if (conn->bytewise && sim.now < conn->write_at)
            return;
        n = transmit(conn, conn->out.at, conn->bytewise ? 1 : conn->out.n);
        if (n < 0)
            conn_drop(conn);
        if (n <= 0)
            return;
        bytes_cut(&conn->out, (size_t)n);
        conn->write_at = sim.now + BYTE_MSEC;
    }
    if (conn->dead || conn->phase != PHASE_FLUSH)
        return;
    if (conn->ssl != NULL)
        SSL_shutdown(conn->ssl);
    shutdown(conn->fd, SHUT_WR);
    phase_set(conn, PHASE_DRAIN);
    if (conn->eof)
        conn_drop(conn);
}

static bool is_hushed(const struct conn *conn)
{
    return conn->member->mode == MODE_SILENT;
}

/* What time alone brings about; when there is more of it, -1: never. */
static int64_t conn_tick(struct conn *conn)
{
    int64_t at = -1;

    if (conn->dead || is_hushed(conn))
        return -1;
    if (conn->out.n > 0 || conn->phase == PHASE_FLUSH)
        conn_flush(conn);
    if (conn->dead)
        return -1;
    if (conn->bytewise && conn->out.n > 0)
        return conn->write_at;
    if (conn->phase == PHASE_REQUEST && conn->in.n > 0)
        at = conn->since_at + REQUEST_MSEC;
    else if (conn->phase == PHASE_DRAIN)
        at = conn->since_at + DRAIN_MSEC;
    if (at < 0 || at > sim.now)
        return at;
    if (conn->phase == PHASE_DRAIN) {
        conn_drop(conn);
        return -1;
    }
    conn->damaged = true;
    phase_set(conn, PHASE_WAIT);
    request_refuse(conn, 900, 20, "not complete in time", conn->in.at, conn->in.n);
    bytes_cut(&conn->in, conn->in.n);
    conn_flush(conn);
    return -1;
}

static short conn_events(const struct conn *conn)
{
    bool wants_in = !conn->eof;
    bool wants_out = conn->out.n > 0 && !conn->bytewise;

    return is_hushed(conn) ? 0 : (short)((wants_in ? POLLIN : 0) | (wants_out ? POLLOUT : 0));
}

/* ---- control connections */

static void ctl_readable(struct ctl *ctl)
{
    char buffer[BUFSIZ], *end;
    ssize_t n = read(ctl->fd, buffer, sizeof(buffer));

    if (n <= 0) {
        ctl->over = n == 0 || errno != EAGAIN;
        return;
    }
    bytes_add(&ctl->in, buffer, (size_t)n);
    while ((end = memchr(ctl->in.at, '\n', ctl->in.n)) != NULL) {
        *end = '\0';
        control_command(ctl->in.at, &ctl->out);
        bytes_cut(&ctl->in, (size_t)(end + 1 - ctl->in.at));
    }
}

static void ctl_writable(struct ctl *ctl)
{
    ssize_t n = send(ctl->fd, ctl->out.at, ctl->out.n, MSG_NOSIGNAL);

    if (n >= 0)
        bytes_cut(&ctl->out, (size_t)n);
    else if (errno != EAGAIN)
        bytes_cut(&ctl->out, ctl->out.n);
}

static void ctl_accept(int control_fd)
{
    int fd;

    while ((fd = accept4(control_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        struct ctl *ctl = must_alloc(sizeof(*ctl));
        ctl->fd = fd;
        ctl->next = ctls;
        ctls = ctl;
    }
}

/* ---- the loop */

static void bury(bool all)
{
    for (struct conn **at = &conns, *conn; (conn = *at) != NULL;) {
        if (!all && !conn->dead) {
            at = &conn->next;
            continue;
        }
        *at = conn->next;
        conn_free(conn);
    }
    for (struct ctl **at = &ctls, *ctl; (ctl = *at) != NULL;) {
        if (!all && (!ctl->over || ctl->out.n > 0)) {
            at = &ctl->next;
            continue;
        }
        *at = ctl->next;
        close(ctl->fd);
        bytes_done(&ctl->in);
        bytes_done(&ctl->out);
        free(ctl);
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

static void read_clock(void)
{
    static struct timespec start;
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    if (start.tv_sec == 0)
        start = ts;
    sim.now = (int64_t)(ts.tv_sec - start.tv_sec) * 1000 + (ts.tv_nsec - start.tv_nsec) / 1000000;
}

struct polled {
    struct pollfd *fds;
    size_t n, size;
};

static void watch(struct polled *p, int fd, short events)
{
    if (p->n == p->size) {
        p->size = p->size * 2 + 64;
        p->fds = realloc(p->fds, p->size * sizeof(*p->fds));
        if (p->fds == NULL)
            abort();
    }
    p->fds[p->n++] = (struct pollfd){.fd = fd, .events = events};
}

/* Everything that is watched, in the order in which serve() looks at it. */
static void watch_all(struct polled *p, int control_fd, bool with_stdin)
{
    p->n = 0;
    watch(p, with_stdin ? STDIN_FILENO : -1, POLLIN);
    watch(p, control_fd, POLLIN);
    for (size_t i = 0; i < n_listeners(); i++)
        watch(p, listener_fd(i), POLLIN);
    for (const struct conn *conn = conns; conn != NULL; conn = conn->next)
        watch(p, is_hushed(conn) ? -1 : conn->fd, conn_events(conn));
    for (const struct ctl *ctl = ctls; ctl != NULL; ctl = ctl->next)
        watch(p, ctl->fd, (short)((ctl->over ? 0 : POLLIN) | (ctl->out.n > 0 ? POLLOUT : 0)));
}

static void serve(const struct polled *p, int control_fd)
{
    struct conn *first_conn = conns;
    struct ctl *first_ctl = ctls;
    char unused[256];
    size_t i = 0;

    if (p->fds[i++].revents != 0 && read(STDIN_FILENO, unused, sizeof(unused)) <= 0)
        sim.stop = true;
    if (p->fds[i++].revents != 0)
        ctl_accept(control_fd);
    for (size_t k = 0; k < n_listeners(); k++)
        if (p->fds[i++].revents != 0)
            listener_accept(k);
    for (struct conn *conn = first_conn; conn != NULL; conn = conn->next) {
        short seen = p->fds[i++].revents;
        if ((seen & POLLIN) != 0 && !conn->dead)
            conn_readable(conn);
        if ((seen & (POLLERR | POLLHUP)) != 0 && (seen & POLLIN) == 0)
            conn_drop(conn); /* it was reset, nobody reads an answer */
    }
    for (struct ctl *ctl = first_ctl; ctl != NULL; ctl = ctl->next) {
        short seen = p->fds[i++].revents;
        if ((seen & (POLLIN | POLLHUP | POLLERR)) != 0 && !ctl->over)
            ctl_readable(ctl);
        if (ctl->out.n > 0)
            ctl_writable(ctl);
    }
}

int net_loop(int control_fd, bool with_stdin, const sigset_t *unblocked)
{
    struct polled p = {0};
    int r = 0;

    read_clock();
    while (!sim.stop && r >= 0) {
        int64_t next_at = cluster_tick(), wait;
        next_at = earlier(next_at, requests_tick());
        for (struct conn *conn = conns; conn != NULL; conn = conn->next)
            next_at = earlier(next_at, conn_tick(conn));
        bury(/* all = */ false);
        wait = next_at < 0 ? 60000 : next_at > sim.now ? next_at - sim.now : 0;
        watch_all(&p, control_fd, with_stdin);
        r = ppoll(p.fds, p.n, &(struct timespec){wait / 1000, wait % 1000 * 1000000}, unblocked);
        read_clock();
        if (r > 0)
            serve(&p, control_fd);
        else if (r < 0 && errno == EINTR)
            r = 0;
    }
    free(p.fds);
    return r < 0 ? -errno : 0;
}

void net_done(void)
{
    bury(/* all = */ true);
    listeners_done();
    SSL_CTX_free(tls);
}
