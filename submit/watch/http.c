/* http.c - HTTP, read only: who may ask, and who answers what */
#include "submit/watch/http.h"

#include "conf/endpoint.h"
#include "conf/io.h"
#include "conf/json.h"
#include "conf/log.h"
#include "conf/text.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    TOKEN_MIN = 16, /* characters */
    TOKEN_MAX = 512,
    BACKLOG = 64,
    PIECE = 64 * 1024, /* bytes that a stream is read in at most */
};

struct http {
    struct MHD_Daemon *daemon;
    struct board *board;
    const struct http_route *routes;
    char *token;  /* NULL: none is asked for */
    char *socket; /* the path of a UNIX socket, to be removed; NULL: none */
    bool
        any_name; /* who bears the token, or comes by the socket, may use any name for this machine */
    atomic_bool stops;
};

/* ---- who may ask */

/* Equal, in a time that does not tell where they differ. */
static bool is_token(const struct http *http, const char *text)
{
    size_t n = strlen(http->token);
    unsigned differ = 0;
    if (strlen(text) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned)(text[i] ^ http->token[i]);
    return differ == 0;
}

static bool bears_token(const struct http *http, struct MHD_Connection *connection)
{
    const char *header =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_AUTHORIZATION);
    const char *bearer = header ? text_behind(header, "Bearer ") : NULL;
    if (bearer)
        return is_token(http, bearer);
    char *password = NULL, *user = MHD_basic_auth_get_username_password(connection, &password);
    bool right = password && is_token(http, password);
    MHD_free(password);
    MHD_free(user);
    return right;
}

/* "127.0.0.1:9750", "[::1]", "localhost:9750": an address in numbers, or localhost. */
static bool is_own_name(const char *host)
{
    char name[INET6_ADDRSTRLEN];
    struct in6_addr v6;
    size_t n = strcspn(host, host[0] == '[' ? "]" : ":");
    const char *from = host[0] == '[' ? host + 1 : host;
    if (host[0] == '[' && (host[n] != ']' || (host[n + 1] != '\0' && host[n + 1] != ':')))
        return false;
    if (host[0] == '[')
        n--;
    if (n == 0 || n >= sizeof(name))
        return false;
    memcpy(name, from, n);
    name[n] = '\0';
    return endpoint_is_ipv4(name) || strcasecmp(name, "localhost") == 0 ||
           (host[0] == '[' && inet_pton(AF_INET6, name, &v6) == 1);
}

/* ---- answers */

static enum MHD_Result reply(struct MHD_Connection *connection, unsigned status, const char *type,
                             struct MHD_Response *response)
{
    if (!response)
        return MHD_NO;
    MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "X-Frame-Options", "DENY");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(
        response, "Content-Security-Policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src "
        "'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'");
    if (status == MHD_HTTP_UNAUTHORIZED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_WWW_AUTHENTICATE,
                                "Basic realm=\"rmigrate\", charset=\"UTF-8\"");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result refuse(struct MHD_Connection *connection, unsigned status, const char *text)
{
    char line[256];
    int n = snprintf(line, sizeof(line), "%s\n", text);
    return reply(connection, status, "text/plain; charset=utf-8",
                 MHD_create_response_from_buffer((size_t)n, line, MHD_RESPMEM_MUST_COPY));
}

static const char *query(const struct http_answer *answer, const char *name)
{
    const char *value =
        MHD_lookup_connection_value(answer->connection, MHD_GET_ARGUMENT_KIND, name);
    return value ? value : "";
}

static const char *header(const struct http_answer *answer, const char *name)
{
    const char *value = MHD_lookup_connection_value(answer->connection, MHD_HEADER_KIND, name);
    return value ? value : "";
}

void http_fail(struct http_answer *answer, unsigned status, const char *format, ...)
{
    char text[RM_ERR_MAX];
    va_list list;
    va_start(list, format);
    text_vformat(text, sizeof(text), format, list);
    va_end(list);
    answer->status = status;
    rewind(answer->body);
    if (strncmp(answer->type, "application/json", 16) == 0) {
        struct json json = {.file = answer->body};
        json_open(&json, NULL, '{');
        json_text(&json, "error", text);
        json_close(&json, '}');
    } else {
        answer->type = "text/plain; charset=utf-8";
        fprintf(answer->body, "%s\n", text);
    }
}

static struct http_answer answer_of(const struct http *http, struct MHD_Connection *connection,
                                    const struct http_route *route, const char *url)
{
    return (struct http_answer){.board = http->board,
                                .path = url + strlen(route->path),
                                .query = query,
                                .header = header,
                                .connection = connection,
                                .type = route->type,
                                .status = MHD_HTTP_OK};
}

static enum MHD_Result answer_whole(const struct http *http, struct MHD_Connection *connection,
                                    const struct http_route *route, const char *url)
{
    struct http_answer answer = answer_of(http, connection, route, url);
    char *text = NULL;
    size_t length = 0;
    answer.body = open_memstream(&text, &length);
    if (!answer.body)
        return MHD_NO;
    route->answer(&answer);
    bool is_sound = !ferror(answer.body);
    if (fclose(answer.body) != 0 || !is_sound || length > HTTP_TEXT_MAX) {
        free(text);
        return refuse(connection, MHD_HTTP_SERVICE_UNAVAILABLE, "the answer is too long");
    }
    return reply(connection, answer.status, answer.type,
                 MHD_create_response_from_buffer(length, text, MHD_RESPMEM_MUST_FREE));
}

/* ---- streams */

struct stream {
    const struct http *http;
    struct http_answer answer;
    const struct http_route *route;
    char *text; /* the piece that is sent */
    size_t length, sent;
    bool ended;
    void *state;
};

/* Makes the next piece. */
static void advance(struct stream *stream)
{
    free(stream->text);
    stream->text = NULL;
    stream->length = stream->sent = 0;
    stream->answer.body = open_memstream(&stream->text, &stream->length);
    if (!stream->answer.body) {
        stream->ended = true;
        return;
    }
    stream->ended = !stream->route->step(&stream->answer, stream->state);
    if (fclose(stream->answer.body) != 0)
        stream->ended = true;
}

static ssize_t read_stream(void *with, uint64_t position, char *buffer, size_t most)
{
    struct stream *stream = with;
    (void)position;
    while (stream->sent == stream->length) {
        if (stream->ended || atomic_load(&stream->http->stops))
            return MHD_CONTENT_READER_END_OF_STREAM;
        advance(stream);
    }
    size_t n = stream->length - stream->sent;
    n = n < most ? n : most;
    memcpy(buffer, stream->text + stream->sent, n);
    stream->sent += n;
    return (ssize_t)n;
}

static void free_stream(void *with)
{
    struct stream *stream = with;
    if (stream->route->end)
        stream->route->end(stream->state);
    free(stream->text);
    free(stream->state);
    free(stream);
}

static enum MHD_Result answer_stream(const struct http *http, struct MHD_Connection *connection,
                                     const struct http_route *route, const char *url)
{
    struct stream *stream = calloc(1, sizeof(*stream));
    if (!stream || !(stream->state = calloc(1, route->state_size ? route->state_size : 1))) {
        free(stream);
        return MHD_NO;
    }
    stream->http = http;
    stream->answer = answer_of(http, connection, route, url);
    stream->route = route;
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, PIECE, read_stream, stream, free_stream);
    if (!response)
        free_stream(stream);
    return reply(connection, MHD_HTTP_OK, route->type, response);
}

/* ---- requests */

static const struct http_route *find_route(const struct http *http, const char *url)
{
    const struct http_route *found = NULL;
    size_t longest = 0;
    for (const struct http_route *route = http->routes; route->path; route++) {
        size_t n = strlen(route->path);
        bool below = n > 1 && route->path[n - 1] == '/';
        if ((below ? strncmp(url, route->path, n) : strcmp(url, route->path)) == 0 && n > longest) {
            found = route;
            longest = n;
        }
    }
    return found;
}

static enum MHD_Result serve(void *with, struct MHD_Connection *connection, const char *url,
                             const char *method, const char *version, const char *upload,
                             size_t *upload_size, void **state)
{
    static int seen;
    const struct http *http = with;
    (void)version;
    (void)upload;
    if (!*state) { /* headers only: the request may still come with a body, which nobody wants */
        *state = &seen;
        return MHD_YES;
    }
    if (*upload_size > 0) {
        *upload_size = 0;
        return MHD_YES;
    }
    const char *host =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, MHD_HTTP_HEADER_HOST);
    if (!http->any_name && !(host && is_own_name(host)))
        return refuse(connection, MHD_HTTP_FORBIDDEN,
                      "without a token this is served under this machine's address alone, as "
                      "http://127.0.0.1");
    if (http->token && !bears_token(http, connection))
        return refuse(connection, MHD_HTTP_UNAUTHORIZED, "a token is needed (setting watch.token)");
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return refuse(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "here one may only look: GET");
    const struct http_route *route = find_route(http, url);
    if (!route)
        return refuse(connection, MHD_HTTP_NOT_FOUND, "there is nothing of that name");
    if (route->step && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return answer_stream(http, connection, route, url);
    if (route->step)
        return reply(connection, MHD_HTTP_OK, route->type,
                     MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT));
    return answer_whole(http, connection, route, url);
}

/* ---- begin and end */

static int read_token(const char *file, char **ret_token, struct rm_err *err)
{
    struct stat st;
    size_t length;
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        int r = -errno;
        if (fd >= 0)
            close(fd);
        return rm_fail(err, r, "watch.token: %s: %s", file, strerror(-r));
    }
    char *token = NULL;
    int r = io_read(fd, TOKEN_MAX, &token, &length);
    close(fd);
    if (r < 0)
        return rm_fail(err, r, "watch.token: %s: %s", file, strerror(-r));
    token[strcspn(token, "\r\n")] = '\0';
    if (st.st_uid != geteuid() && st.st_uid != 0)
        r = rm_fail(err, -EPERM, "watch.token: %s belongs to another user (uid %u)", file,
                    (unsigned)st.st_uid);
    else if (st.st_mode & (S_IRWXG | S_IRWXO))
        r = rm_fail(err, -EPERM, "watch.token: %s may be read by others: chmod 600 %s", file, file);
    else if (strlen(token) < TOKEN_MIN || !text_is_clean(token))
        r = rm_fail(err, -EINVAL, "watch.token: %s has no token of %d characters at least", file,
                    TOKEN_MIN);
    if (r < 0)
        free(token);
    else
        *ret_token = token;
    return r;
}

int http_check(const struct conf_watch *conf, struct rm_err *err)
{
    char *token = NULL;
    int r = conf->listen && conf->token_file ? read_token(conf->token_file, &token, err) : 0;
    free(token);
    return r;
}

/* What is there of an older run goes; a socket that somebody answers on does not. As on loopback, every user may
 * connect whom the directory lets in. */
static int listen_at_path(struct http *http, const char *path, struct rm_err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat st;
    text_format(address.sun_path, sizeof(address.sun_path), "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return rm_fail(err, -errno, "watch.listen: %s", strerror(errno));
    if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        /* Nobody is there only where that is said: who is busy, or serves something else, is. */
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ||
            (errno != ECONNREFUSED && errno != ENOENT)) {
            close(fd);
            return rm_fail(err, -EADDRINUSE, "watch.listen: somebody serves %s already", path);
        }
        unlink(path);
    }
    if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || chmod(path, 0666) < 0 ||
        listen(fd, BACKLOG) < 0) {
        int r = rm_fail(err, -errno, "watch.listen: %s: %s", path, strerror(errno));
        close(fd);
        return r;
    }
    http->socket = strdup(path);
    return fd;
}

static int listen_at_address(const char *listen_at, struct rm_err *err)
{
    struct sockaddr_in6 address;
    const int one = 1;
    if (!http_address(listen_at, &address))
        return rm_fail(err, -EINVAL, "watch.listen: '%s'", listen_at);
    socklen_t size = address.sin6_family == AF_INET6 ? sizeof(address) : sizeof(struct sockaddr_in);
    int fd = socket(address.sin6_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return rm_fail(err, -errno, "watch.listen: %s", strerror(errno));
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
        bind(fd, (struct sockaddr *)&address, size) < 0 || listen(fd, BACKLOG) < 0) {
        int r = rm_fail(err, -errno, "watch.listen: %s: %s", listen_at, strerror(errno));
        close(fd);
        return r;
    }
    return fd;
}

/* With the port that it was given where settings leave it to the kernel. */
static void tell(int fd, const char *listen_at)
{
    struct sockaddr_in6 address = {0};
    socklen_t size = sizeof(address);
    const char *colon = strrchr(listen_at, ':');
    if (listen_at[0] == '/' || !colon || getsockname(fd, (struct sockaddr *)&address, &size) < 0)
        log_info("listen=%s", listen_at);
    else
        log_info("listen=http://%.*s:%u", (int)(colon - listen_at), listen_at,
                 ntohs(address.sin6_port)); /* at the same place in both */
}

/* Of libmicrohttpd: mostly what clients do wrong. */
__attribute__((format(printf, 2, 0))) static void tell_trouble(void *with, const char *format,
                                                               va_list list)
{
    char text[RM_ERR_MAX];
    (void)with;
    text_vformat(text, sizeof(text), format, list);
    log_debug("http: %s", text);
}

int http_start(const struct conf_watch *conf, struct board *board, const struct http_route *routes,
               struct http **ret_http, struct rm_err *err)
{
    struct http *http = calloc(1, sizeof(*http));
    if (!http)
        return rm_fail(err, -ENOMEM, "no memory");
    http->board = board;
    http->routes = routes;
    http->any_name = conf->token_file || conf->listen[0] == '/';
    atomic_init(&http->stops, false);
    int r = conf->token_file ? read_token(conf->token_file, &http->token, err) : 0;
    if (r >= 0)
        r = conf->listen[0] == '/' ? listen_at_path(http, conf->listen, err)
                                   : listen_at_address(conf->listen, err);
    if (r < 0) {
        http_stop(http);
        return r;
    }
    tell(r, conf->listen);
    http->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
            MHD_USE_ERROR_LOG,
        0, NULL, NULL, serve, http, MHD_OPTION_EXTERNAL_LOGGER, tell_trouble, NULL,
        MHD_OPTION_LISTEN_SOCKET, r, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_CONNECTIONS_MAX,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)HTTP_TIMEOUT, MHD_OPTION_END);
    if (!http->daemon) {
        close(r);
        http_stop(http);
        return rm_fail(err, -EIO, "watch.listen: HTTP cannot be served at %s", conf->listen);
    }
    *ret_http = http;
    return 0;
}

void http_stop(struct http *http)
{
    if (!http)
        return;
    atomic_store(&http->stops, true);
    if (http->socket) /* while it still is this one's: the next one takes the place as soon as it may */
        unlink(http->socket);
    if (http->daemon)
        MHD_stop_daemon(http->daemon);
    free(http->socket);
    free(http->token);
    free(http);
}
