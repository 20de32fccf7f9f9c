/* smapi_link.c - one connection to a SMAPI server: TCP, TLS or AF_IUCV, all of it with deadlines */
#include "worker/smapi_link.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "worker/call.h"
#include "worker/smapi.h"
#include "worker/smapi_tls.h"

enum {
    HOST_MAX = 255,
    IUCV_NAME_LENGTH = 8, /* padded with blanks */
    ADDRESSES_MAX = 16,   /* of one host name that are tried */
};

#define RETRY_FIRST (100 * USEC_PER_MSEC)
#define RETRY_MAX   (2 * USEC_PER_SEC)
#define TRY_MIN     (200 * USEC_PER_MSEC) /* for each of several addresses */

/* The kernel has this family on IBM Z only, and no header that is installed describes it. */
enum { FAMILY_IUCV = 32 };
struct sockaddr_iucv {
    sa_family_t family;
    unsigned short port;           /* 0 */
    unsigned int address;          /* 0 */
    char node[IUCV_NAME_LENGTH];   /* blanks: this system */
    char userid[IUCV_NAME_LENGTH]; /* of the server */
    char name[IUCV_NAME_LENGTH];   /* of the service */
};

static const char IUCV_SERVER[] = "VSMREQIU";
static const char IUCV_SERVICE[] = "DMSRSRQU";

enum scheme { SCHEME_TCP, SCHEME_TLS, SCHEME_IUCV };

struct smapi_address {
    enum scheme scheme;
    char host[HOST_MAX + 1]; /* of iucv the server's user id */
    char port[8];
    struct smapi_tls *tls; /* NULL: none */
};

struct smapi_link {
    int fd;
    const struct env *env;
    struct smapi_tls_session *session; /* NULL: none */
};

/* HOST, HOST:PORT, [V6] or [V6]:PORT. */
static int read_host(struct smapi_address *address, const char *url, const char *text,
                     struct rm_err *err)
{
    bool bracket = text[0] == '[';
    const char *host = text + bracket;
    size_t length = strcspn(host, bracket ? "]" : ":");
    const char *rest = host + length;
    if (bracket && *rest != ']')
        return rm_fail(err, -EINVAL, "%s: has no ']'", url);
    rest += bracket;
    if (length == 0 || length > HOST_MAX)
        return rm_fail(err, -EINVAL, "%s: has no host name, or too long a one", url);
    memcpy(address->host, host, length);
    long port = SMAPI_PORT;
    if (*rest) {
        char *end;
        port = strtol(rest + 1, &end, 10);
        if (*rest != ':' || rest[1] < '0' || rest[1] > '9' || *end || port < 1 || port > 65535)
            return rm_fail(err, -EINVAL,
                           "%s: '%s' is no port (an IPv6 address belongs in brackets)", url, rest);
    }
    snprintf(address->port, sizeof(address->port), "%ld", port);
    return 0;
}

static int read_url(struct smapi_address *address, const char *url, struct rm_err *err)
{
    static const char *const schemes[] = {
        [SCHEME_TCP] = "tcp://", [SCHEME_TLS] = "tls://", [SCHEME_IUCV] = "iucv://"};
    for (unsigned i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t length = strlen(schemes[i]);
        if (strncmp(url, schemes[i], length) != 0)
            continue;
        address->scheme = (enum scheme)i;
        if (i != SCHEME_IUCV)
            return read_host(address, url, url + length, err);
        const char *server = url[length] ? url + length : IUCV_SERVER;
        if (strlen(server) > IUCV_NAME_LENGTH)
            return rm_fail(err, -EINVAL, "%s: a user id has %d characters at most", url,
                           IUCV_NAME_LENGTH);
        for (size_t k = 0; server[k]; k++) /* user ids are upper case */
            address->host[k] =
                server[k] >= 'a' && server[k] <= 'z' ? (char)(server[k] - 'a' + 'A') : server[k];
        return 0;
    }
    return rm_fail(err, -EINVAL, "%s: begins with none of tcp:// tls:// iucv://", url);
}

int smapi_address_new(const char *url, const char *ca_file, struct smapi_address **ret,
                      struct rm_err *err)
{
    struct smapi_address *address = calloc(1, sizeof(*address));
    if (!address)
        return rm_fail(err, -ENOMEM, "no memory");
    int r = read_url(address, url, err);
    if (r == 0 && address->scheme == SCHEME_TLS)
        r = smapi_tls_new(ca_file, &address->tls, err);
    if (r < 0) {
        smapi_address_free(address);
        return r;
    }
    *ret = address;
    return 0;
}

void smapi_address_free(struct smapi_address *address)
{
    if (!address)
        return;
    smapi_tls_free(address->tls);
    free(address);
}

bool smapi_address_is_iucv(const struct smapi_address *address)
{
    return address->scheme == SCHEME_IUCV;
}

/* What is left of a deadline, for poll(2): rounded up, so that it never spins. */
static int poll_span(const struct env *env, usec_t until_at)
{
    usec_t now = env_now(env);
    if (now >= until_at)
        return 0;
    usec_t left = (until_at - now + USEC_PER_MSEC - 1) / USEC_PER_MSEC;
    return left > INT32_MAX ? INT32_MAX : (int)left;
}

/* 1: the socket is ready (or broken, which the next call says), 0: time is over. */
static int wait_for(int fd, short events, const struct env *env, usec_t until_at)
{
    for (;;) {
        struct pollfd poll_fd = {.fd = fd, .events = events};
        int r = poll(&poll_fd, 1, poll_span(env, until_at));
        if (r > 0)
            return 1;
        if (r < 0 && errno != EINTR)
            return -errno;
        if (r == 0 && env_now(env) >= until_at)
            return 0;
    }
}

static void sleep_for(const struct env *env, usec_t span)
{
    usec_t until_at = env_now(env) + span;
    while (env_now(env) < until_at)
        poll(NULL, 0, poll_span(env, until_at));
}

/* Names are resolved in a thread of their own: getaddrinfo(3) knows no deadline. */
struct lookup {
    struct call call; /* first member */
    char host[HOST_MAX + 1];
    char port[8];
    int result;
    int error; /* errno, with EAI_SYSTEM */
    struct addrinfo *list;
};

static void lookup_run(struct call *call)
{
    struct lookup *lookup = (struct lookup *)call;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    lookup->result = getaddrinfo(lookup->host, lookup->port, &hints, &lookup->list);
    lookup->error = errno;
}

static void lookup_release(struct call *call)
{
    struct lookup *lookup = (struct lookup *)call;
    if (lookup->list)
        freeaddrinfo(lookup->list);
    free(lookup);
}

static int look_up(const struct smapi_address *address, usec_t until_at, struct lookup **ret,
                   struct rm_err *err)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    if (!lookup)
        return rm_fail(err, -ENOMEM, "no memory");
    call_init(&lookup->call, lookup_run, lookup_release);
    memcpy(lookup->host, address->host, sizeof(lookup->host));
    memcpy(lookup->port, address->port, sizeof(lookup->port));
    int r = call_start(&lookup->call, /* bell = */ NULL);
    if (r < 0) {
        rm_fail(err, r, "cannot look up %s: too many threads", address->host);
    } else {
        r = call_wait(&lookup->call, until_at);
        if (r < 0)
            rm_fail(err, r, "%s: the name was not resolved in time", address->host);
        else if (lookup->result != 0)
            r = rm_fail(err, -EHOSTUNREACH, "%s: %s", address->host,
                        lookup->result == EAI_SYSTEM ? strerror(lookup->error)
                                                     : gai_strerror(lookup->result));
    }
    if (r < 0) {
        call_unref(&lookup->call);
        return r;
    }
    *ret = lookup;
    return 0;
}

/* One address: the connected socket, or a negative errno. */
static int connect_one(const struct addrinfo *info, const struct env *env, usec_t until_at)
{
    int fd = socket(info->ai_family, info->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC,
                    info->ai_protocol);
    if (fd < 0)
        return -errno;
    int r = connect(fd, info->ai_addr, info->ai_addrlen) < 0 ? -errno : 0;
    if (r == -EINPROGRESS || r == -EINTR) {
        r = wait_for(fd, POLLOUT, env, until_at);
        int error = ETIMEDOUT;
        socklen_t size = sizeof(error);
        if (r > 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
            error = errno;
        r = r < 0 ? r : -error;
    }
    if (r < 0) {
        close(fd);
        return r;
    }
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    /* A MOVE is silent for as long as it takes: a host that died meanwhile must be noticed. */
    const int idle = 30, interval = 10, probes = 6;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof(interval));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
    return fd;
}

/* All addresses in turn; each of several gets its share of the time that is left. */
static int connect_any(const struct addrinfo *list, const struct env *env, usec_t until_at)
{
    unsigned left = 0;
    for (const struct addrinfo *info = list; info && left < ADDRESSES_MAX; info = info->ai_next)
        left++;
    int r = -EHOSTUNREACH;
    bool refused = false;
    for (const struct addrinfo *info = list; info && left > 0; info = info->ai_next, left--) {
        usec_t now = env_now(env);
        usec_t share = now < until_at ? (until_at - now) / left : 0;
        usec_t by = now + (share > TRY_MIN ? share : TRY_MIN);
        r = connect_one(info, env, by < until_at ? by : until_at);
        if (r >= 0)
            return r;
        refused |= r == -ECONNREFUSED;
    }
    return refused ? -ECONNREFUSED : r;
}

static int connect_tcp(const struct smapi_address *address, const struct env *env, usec_t until_at,
                       struct rm_err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    struct addrinfo *list;
    int fd;
    if (getaddrinfo(address->host, address->port, &hints, &list) == 0) { /* needs no thread */
        fd = connect_any(list, env, until_at);
        freeaddrinfo(list);
    } else {
        struct lookup *lookup = NULL;
        int r = look_up(address, until_at, &lookup, err);
        if (r < 0)
            return r;
        fd = connect_any(lookup->list, env, until_at);
        call_unref(&lookup->call);
    }
    if (fd < 0)
        rm_fail(err, fd, "cannot connect to %s port %s: %s", address->host, address->port,
                strerror(-fd));
    return fd;
}

static void pad(char field[static IUCV_NAME_LENGTH], const char *text)
{
    memset(field, ' ', IUCV_NAME_LENGTH);
    memcpy(field, text, strnlen(text, IUCV_NAME_LENGTH));
}

static int connect_iucv(const struct smapi_address *address, const struct env *env, usec_t until_at,
                        struct rm_err *err)
{
    int fd = socket(FAMILY_IUCV, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 && (errno == EAFNOSUPPORT || errno == ESOCKTNOSUPPORT || errno == EPROTONOSUPPORT))
        return rm_fail(err, -EINVAL,
                       "this kernel has no AF_IUCV: iucv:// works in a guest of z/VM, with the "
                       "module af_iucv loaded (modprobe af_iucv); elsewhere use tls:// or tcp://");
    if (fd < 0)
        return rm_fail(err, -errno, "no socket for AF_IUCV: %s", strerror(errno));

    struct sockaddr_iucv to = {.family = FAMILY_IUCV};
    pad(to.node, "");
    pad(to.userid, "");
    pad(to.name, "");
    /* A name of one's own is what servers expect; a kernel that refuses it finds one itself. */
    (void)!bind(fd, (const struct sockaddr *)&to, sizeof(to));
    pad(to.userid, address->host);
    pad(to.name, IUCV_SERVICE);
    /* This family gives up at once instead of connecting in the background, so it gets a blocking
     * connect with a limit. */
    int span = poll_span(env, until_at);
    if (span == 0)
        span = 1; /* 0 would be no limit */
    struct timeval limit = {.tv_sec = span / 1000, .tv_usec = span % 1000 * 1000};
    int r = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ? -errno : 0;
    if (r == 0 && connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0)
        r = -errno;
    if (r == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        r = -errno;
    if (r == 0)
        return fd;
    close(fd);
    return rm_fail(err, r, "cannot connect to %s over AF_IUCV: %s", address->host, strerror(-r));
}

/* A server that starts up refuses, or has no room for a while. */
static int connect_retrying(const struct smapi_address *address, const struct env *env,
                            usec_t until_at, struct rm_err *err)
{
    for (usec_t pause = RETRY_FIRST;; pause = pause * 2 < RETRY_MAX ? pause * 2 : RETRY_MAX) {
        int fd = address->scheme == SCHEME_IUCV ? connect_iucv(address, env, until_at, err)
                                                : connect_tcp(address, env, until_at, err);
        if (fd >= 0 || (fd != -ECONNREFUSED && fd != -EAGAIN) || env_now(env) + pause >= until_at)
            return fd;
        sleep_for(env, pause);
    }
}

/* For what a step waits: as wait_for(). */
static int wait_step(struct smapi_link *link, int step, usec_t until_at)
{
    return wait_for(link->fd, step == SMAPI_TLS_READ ? POLLIN : POLLOUT, link->env, until_at);
}

static int shake_hands(struct smapi_link *link, const struct smapi_address *address,
                       usec_t until_at, struct rm_err *err)
{
    int r = smapi_tls_session_new(address->tls, link->fd, address->host, &link->session, err);
    while (r == 0) {
        int step = smapi_tls_handshake(link->session, err);
        if (step == 0)
            return 0;
        if (step < 0)
            return rm_prefix(err, step, "TLS with %s port %s", address->host, address->port);
        int ready = wait_step(link, step, until_at);
        if (ready == 0)
            r = rm_fail(err, -ETIMEDOUT,
                        "TLS with %s port %s: no answer in time; does it speak TLS?", address->host,
                        address->port);
        else if (ready < 0)
            r = rm_fail(err, ready, "poll: %s", strerror(-ready));
    }
    return r;
}

int smapi_link_open(const struct smapi_address *address, const struct env *env, usec_t until_at,
                    struct smapi_link **ret, struct rm_err *err)
{
    struct smapi_link *link = calloc(1, sizeof(*link));
    if (!link)
        return rm_fail(err, -ENOMEM, "no memory");
    link->env = env;
    link->fd = connect_retrying(address, env, until_at, err);
    int r = link->fd < 0 ? link->fd : 0;
    if (r == 0 && address->tls)
        r = shake_hands(link, address, until_at, err);
    if (r < 0) {
        smapi_link_close(link);
        return r;
    }
    *ret = link;
    return 0;
}

void smapi_link_close(struct smapi_link *link)
{
    if (!link)
        return;
    smapi_tls_session_free(link->session);
    if (link->fd >= 0)
        close(link->fd);
    free(link);
}

/* Some bytes on their way; 0: not now, *ret_step says what to wait for. */
static ssize_t send_some(struct smapi_link *link, const uint8_t *bytes, size_t length,
                         int *ret_step, struct rm_err *err)
{
    *ret_step = SMAPI_TLS_WRITE;
    if (link->session)
        return smapi_tls_send(link->session, bytes, length, ret_step, err);
    ssize_t n = send(link->fd, bytes, length, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    return n < 0 ? rm_fail(err, -errno, "sending the request: %s", strerror(errno)) : n;
}

int smapi_link_send(struct smapi_link *link, const uint8_t *bytes, size_t length, usec_t until_at,
                    struct rm_err *err)
{
    for (size_t sent = 0; sent < length;) {
        int step;
        ssize_t n = send_some(link, bytes + sent, length - sent, &step, err);
        if (n < 0)
            return (int)n;
        sent += (size_t)n;
        if (n > 0)
            continue;
        int ready = wait_step(link, step, until_at);
        if (ready < 0)
            return rm_fail(err, ready, "poll: %s", strerror(-ready));
        if (ready == 0)
            return rm_fail(err, -ETIMEDOUT, "the server did not take the request in time");
    }
    return 0;
}

/* Some bytes that are there; 0: none, *ret_step says what to wait for. */
static ssize_t receive_some(struct smapi_link *link, uint8_t *bytes, size_t size, int *ret_step,
                            struct rm_err *err)
{
    *ret_step = SMAPI_TLS_READ;
    if (link->session)
        return smapi_tls_receive(link->session, bytes, size, ret_step, err);
    ssize_t n = recv(link->fd, bytes, size, MSG_DONTWAIT);
    if (n == 0)
        return rm_fail(err, -ECONNRESET, "the server closed the connection");
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    return n < 0 ? rm_fail(err, -errno, "receiving the reply: %s", strerror(errno)) : n;
}

int smapi_link_receive(struct smapi_link *link, uint8_t *bytes, size_t size, usec_t until_at,
                       struct rm_err *err)
{
    for (;;) {
        int step;
        ssize_t n = receive_some(link, bytes, size, &step, err);
        if (n != 0)
            return (int)n;
        int ready = wait_step(link, step, until_at);
        if (ready < 0)
            return rm_fail(err, ready, "poll: %s", strerror(-ready));
        if (ready == 0)
            return 0;
    }
}
