/* smapi_link.c - one connection to a SMAPI server: TCP, TLS or AF_IUCV, all of it with deadlines
 *
 * libcurl resolves, connects and speaks TLS (CURLOPT_CONNECT_ONLY); OpenSSL behind it is told who is
 * trusted. AF_IUCV is a socket of our own: libcurl 7.88 connects once more what it is given as
 * connected. */
#include "worker/zvm/smapi_link.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HOST_MAX = 255,
    IUCV_NAME_LENGTH = 8, /* padded with blanks */
};

#define RETRY_FIRST (100 * USEC_PER_MSEC)
#define RETRY_MAX   (2 * USEC_PER_SEC)

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
    char *url;           /* for libcurl; NULL: iucv */
    X509_STORE *trusted; /* NULL: no TLS */
};

struct smapi_link {
    const struct env *env;
    int fd;
    CURL *curl;                 /* NULL: iucv */
    char text[CURL_ERROR_SIZE]; /* libcurl's last error */
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

/* The address as libcurl's URL; what can be no name and no address is refused. */
static int make_url(struct smapi_address *address, const char *url, struct rm_err *err)
{
    const char *scheme = address->scheme == SCHEME_TLS ? "https" : "http";
    char host[HOST_MAX + 3];
    snprintf(host, sizeof(host), strchr(address->host, ':') ? "[%s]" : "%s", address->host);
    CURLU *parts = curl_url();
    if (!parts)
        return rm_fail(err, -ENOMEM, "no memory");
    CURLUcode bad = curl_url_set(parts, CURLUPART_SCHEME, scheme, 0);
    if (!bad)
        bad = curl_url_set(parts, CURLUPART_HOST, host, 0);
    if (!bad)
        bad = curl_url_set(parts, CURLUPART_PORT, address->port, 0);
    if (!bad)
        bad = curl_url_get(parts, CURLUPART_URL, &address->url, 0);
    curl_url_cleanup(parts);
    return bad ? rm_fail(err, -EINVAL, "%s: %s", url, curl_url_strerror(bad)) : 0;
}

static int read_trusted(struct smapi_address *address, const char *ca_file, struct rm_err *err)
{
    ERR_clear_error();
    address->trusted = X509_STORE_new();
    if (!address->trusted)
        return rm_fail(err, -ENOMEM, "no memory");
    /* What is named there is trusted as it is, be it an authority or the server's own. */
    if (ca_file ? X509_STORE_load_file(address->trusted, ca_file) &&
                      X509_STORE_set_flags(address->trusted, X509_V_FLAG_PARTIAL_CHAIN)
                : X509_STORE_set_default_paths(address->trusted))
        return 0;
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    rm_fail(err, -EINVAL, "%s: no certificates could be read: %s",
            ca_file ? ca_file : "the system's authorities", reason ? reason : "unknown error");
    ERR_clear_error();
    return -EINVAL;
}

int smapi_address_new(const char *url, const char *ca_file, struct smapi_address **ret,
                      struct rm_err *err)
{
    struct smapi_address *address = calloc(1, sizeof(*address));
    if (!address)
        return rm_fail(err, -ENOMEM, "no memory");
    int r = read_url(address, url, err);
    if (r == 0 && address->scheme != SCHEME_IUCV)
        r = make_url(address, url, err);
    if (r == 0 && address->scheme == SCHEME_TLS)
        r = read_trusted(address, ca_file, err);
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
    curl_free(address->url);
    X509_STORE_free(address->trusted);
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

/* 1: the socket is ready (or broken, which the next call finds), 0: time is over. */
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

/* Before a handshake: who is trusted, and the name or address that the certificate must have. */
static CURLcode set_trust(CURL *curl, void *ssl_context, void *ctx)
{
    (void)curl;
    const struct smapi_address *address = ctx;
    SSL_CTX_set1_cert_store(ssl_context, address->trusted);
    X509_VERIFY_PARAM *param = SSL_CTX_get0_param(ssl_context);
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return X509_VERIFY_PARAM_set1_ip_asc(param, address->host) ||
                   X509_VERIFY_PARAM_set1_host(param, address->host, 0)
               ? CURLE_OK
               : CURLE_OUT_OF_MEMORY;
}

static curl_socket_t open_socket(void *ctx, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)ctx;
    (void)purpose;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

/* A handle that knows where to and who is trusted, and takes nothing from the environment. */
static CURLcode make_handle(struct smapi_link *link, const struct smapi_address *address)
{
    static const struct {
        CURLoption option;
        long value;
    } settings[] = {
        {CURLOPT_CONNECT_ONLY, 1},
        {CURLOPT_NOSIGNAL, 1},
        {CURLOPT_QUICK_EXIT, 1}, /* a resolver that is late is left behind, in its thread */
        {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
        {CURLOPT_SSL_ENABLE_ALPN, 0},
        {CURLOPT_SSL_SESSIONID_CACHE, 0},
        /* A MOVE is silent for as long as it takes: a host that died meanwhile must be noticed. */
        {CURLOPT_TCP_KEEPALIVE, 1},
        {CURLOPT_TCP_KEEPIDLE, 30},
        {CURLOPT_TCP_KEEPINTVL, 7},
    };
    const struct {
        CURLoption option;
        const void *value;
    } pointers[] = {
        {CURLOPT_URL, address->url}, {CURLOPT_PROXY, ""},    {CURLOPT_ERRORBUFFER, link->text},
        {CURLOPT_CAINFO, NULL},      {CURLOPT_CAPATH, NULL}, {CURLOPT_SSL_CTX_DATA, address},
    };
    link->curl = curl_easy_init();
    CURLcode bad = link->curl ? CURLE_OK : CURLE_OUT_OF_MEMORY;
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]) && !bad; i++)
        bad = curl_easy_setopt(link->curl, settings[i].option, settings[i].value);
    for (size_t i = 0; i < sizeof(pointers) / sizeof(pointers[0]) && !bad; i++)
        bad = curl_easy_setopt(link->curl, pointers[i].option, pointers[i].value);
    if (!bad)
        bad = curl_easy_setopt(link->curl, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    if (!bad && address->trusted)
        bad = curl_easy_setopt(link->curl, CURLOPT_SSL_CTX_FUNCTION, set_trust);
    return bad;
}

/* Why libcurl could not connect: a negative errno. */
static int judge(struct smapi_link *link, const struct smapi_address *address, CURLcode code,
                 struct rm_err *err)
{
    long error = 0, verified = 0, port = 0;
    curl_off_t looked_up = 0;
    curl_easy_getinfo(link->curl, CURLINFO_OS_ERRNO, &error);
    curl_easy_getinfo(link->curl, CURLINFO_SSL_VERIFYRESULT, &verified);
    curl_easy_getinfo(link->curl, CURLINFO_LOCAL_PORT, &port);
    curl_easy_getinfo(link->curl, CURLINFO_NAMELOOKUP_TIME_T, &looked_up);
    bool late = code == CURLE_OPERATION_TIMEDOUT;
    const char *text = link->text[0] ? link->text : curl_easy_strerror(code);
    if (looked_up == 0)
        return rm_fail(err, late ? -ETIMEDOUT : -EHOSTUNREACH, "%s: %s", address->host,
                       late ? "the name was not resolved in time" : text);
    if (port == 0) /* never connected; of several addresses the last one tells why */
        return rm_fail(err, late ? -ETIMEDOUT : -EAGAIN, "cannot connect to %s port %s: %s",
                       address->host, address->port,
                       late    ? strerror(ETIMEDOUT)
                       : error ? strerror((int)error)
                               : text);
    if (code == CURLE_PEER_FAILED_VERIFICATION)
        return rm_fail(err, -EPERM,
                       "TLS with %s port %s: the server's certificate is not trusted: %s",
                       address->host, address->port, X509_verify_cert_error_string(verified));
    return rm_fail(err, late ? -ETIMEDOUT : -EPROTO, "TLS with %s port %s: %s", address->host,
                   address->port, late ? "no answer in time; does it speak TLS?" : text);
}

static int connect_once(struct smapi_link *link, const struct smapi_address *address,
                        usec_t until_at, struct rm_err *err)
{
    if (!link->curl)
        return link->fd = connect_iucv(address, link->env, until_at, err);
    int span = poll_span(link->env, until_at);
    curl_easy_setopt(link->curl, CURLOPT_CONNECTTIMEOUT_MS, span ? (long)span : 1L);
    CURLcode code = curl_easy_perform(link->curl);
    if (code)
        return judge(link, address, code, err);
    curl_easy_getinfo(link->curl, CURLINFO_ACTIVESOCKET, &link->fd);
    return 0;
}

int smapi_link_open(const struct smapi_address *address, const struct env *env, usec_t until_at,
                    struct smapi_link **ret, struct rm_err *err)
{
    struct smapi_link *link = calloc(1, sizeof(*link));
    if (!link)
        return rm_fail(err, -ENOMEM, "no memory");
    link->env = env;
    link->fd = -1;
    CURLcode bad = address->url ? make_handle(link, address) : CURLE_OK;
    int r = bad ? rm_fail(err, -ENOMEM, "libcurl: %s", curl_easy_strerror(bad))
                : connect_once(link, address, until_at, err);
    /* A server that starts up refuses, or is full for a while. */
    for (usec_t pause = RETRY_FIRST;
         (r == -ECONNREFUSED || r == -EAGAIN) && env_now(env) + pause < until_at;
         pause = pause * 2 < RETRY_MAX ? pause * 2 : RETRY_MAX) {
        env_sleep(env, pause);
        r = connect_once(link, address, until_at, err);
    }
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
    if (link->curl)
        curl_easy_cleanup(link->curl);
    else if (link->fd >= 0)
        close(link->fd);
    free(link);
}

/* Of a socket of our own: as the functions of libcurl. */
static CURLcode iucv_end(struct smapi_link *link, ssize_t n, size_t *ret_n)
{
    *ret_n = n > 0 ? (size_t)n : 0;
    if (n >= 0)
        return CURLE_OK;
    snprintf(link->text, sizeof(link->text), "%s", strerror(errno));
    return errno == EAGAIN || errno == EINTR ? CURLE_AGAIN : CURLE_RECV_ERROR;
}

int smapi_link_send(struct smapi_link *link, const uint8_t *bytes, size_t length, usec_t until_at,
                    struct rm_err *err)
{
    for (size_t sent = 0, n; sent < length; sent += n) {
        CURLcode code =
            link->curl
                ? curl_easy_send(link->curl, bytes + sent, length - sent, &n)
                : iucv_end(link, send(link->fd, bytes + sent, length - sent, MSG_NOSIGNAL), &n);
        if (code == CURLE_OK)
            continue;
        n = 0;
        if (code != CURLE_AGAIN)
            return rm_fail(err, -EPIPE, "sending the request: %s", link->text);
        int ready = wait_for(link->fd, POLLOUT, link->env, until_at);
        if (ready < 0)
            return rm_fail(err, ready, "poll: %s", strerror(-ready));
        if (ready == 0)
            return rm_fail(err, -ETIMEDOUT, "the server did not take the request in time");
    }
    return 0;
}

int smapi_link_receive(struct smapi_link *link, uint8_t *bytes, size_t size, usec_t until_at,
                       struct rm_err *err)
{
    for (;;) {
        size_t n = 0;
        CURLcode code = link->curl ? curl_easy_recv(link->curl, bytes, size, &n)
                                   : iucv_end(link, recv(link->fd, bytes, size, MSG_DONTWAIT), &n);
        if (code == CURLE_OK)
            return n > 0 ? (int)n : rm_fail(err, -ECONNRESET, "the server closed the connection");
        if (code != CURLE_AGAIN)
            return rm_fail(err, -ECONNRESET, "receiving the reply: %s", link->text);
        int ready = wait_for(link->fd, POLLIN, link->env, until_at);
        if (ready < 0)
            return rm_fail(err, ready, "poll: %s", strerror(-ready));
        if (ready == 0)
            return 0;
    }
}
