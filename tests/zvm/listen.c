/* listen.c - the ports of the members */
#include "sim.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LISTENERS_MAX = 2 * MEMBERS_MAX, HOST_MAX = 64 };

struct listener {
    struct member *member;
    char host[HOST_MAX];
    struct sockaddr_storage address;
    socklen_t address_size;
    unsigned port;
    bool tls;
    bool open; /* listens; else only holds its port */
    int fd;
};

static struct listener listeners[LISTENERS_MAX];
static size_t n_used;

/* A socket that holds the port, and listens on it or refuses. */
static int open_listener(struct listener *listener)
{
    const int on = 1;
    int fd = socket(listener->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&listener->address, listener->address_size) < 0 ||
        (listener->open && listen(fd, SOMAXCONN) < 0)) {
        int r = -errno;
        close(fd);
        return r;
    }
    listener->fd = fd;
    return 0;
}

static bool read_address(struct listener *listener, const char *text)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&listener->address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&listener->address;
    const char *colon = strrchr(text, ':');
    unsigned long port;
    char *end;

    if (colon == NULL || (size_t)(colon - text) >= sizeof(listener->host))
        return false;
    snprintf(listener->host, sizeof(listener->host), "%.*s", (int)(colon - text), text);
    if (strcmp(listener->host, "localhost") == 0)
        snprintf(listener->host, sizeof(listener->host), "127.0.0.1");
    port = strtoul(colon + 1, &end, 10);
    if (end == colon + 1 || *end != '\0' || port > 65535)
        return false;
    listener->port = (unsigned)port;
    if (strcmp(listener->host, "[::1]") == 0) {
        v6->sin6_family = AF_INET6;
        v6->sin6_addr = in6addr_loopback;
        v6->sin6_port = htons((uint16_t)port);
        listener->address_size = sizeof(*v6);
        return true;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    listener->address_size = sizeof(*v4);
    return inet_pton(AF_INET, listener->host, &v4->sin_addr) == 1 &&
           ntohl(v4->sin_addr.s_addr) >> 24 == 127;
}

const char *listener_add(struct member *member, const char *address, bool with_tls)
{
    struct listener *listener = &listeners[n_used];
    int r;

    if (n_used == LISTENERS_MAX)
        return "too many listeners";
    memset(listener, 0, sizeof(*listener));
    if (!read_address(listener, address))
        return "not a HOST:PORT of the loopback";
    listener->member = member;
    listener->tls = with_tls;
    listener->open = true;
    r = open_listener(listener);
    if (r < 0)
        return strerror(-r);
    getsockname(listener->fd, (struct sockaddr *)&listener->address, &listener->address_size);
    listener->port = ntohs(listener->address.ss_family == AF_INET6
                               ? ((struct sockaddr_in6 *)&listener->address)->sin6_port
                               : ((struct sockaddr_in *)&listener->address)->sin_port);
    n_used++;
    return NULL;
}

void listeners_print(void)
{
    for (size_t i = 0; i < n_used; i++)
        printf("%s %s %s:%u\n", listeners[i].tls ? "tls" : "member", listeners[i].member->name,
               listeners[i].host, listeners[i].port);
}

void listener_mode(const struct member *member)
{
    for (size_t i = 0; i < n_used; i++) {
        struct listener *listener = &listeners[i];
        bool open = member->mode != MODE_DOWN && member->mode != MODE_REFUSE;
        if (listener->member != member || listener->open == open)
            continue;
        listener->open = open;
        close(listener->fd);
        if (open_listener(listener) < 0) {
            bytes_printf(&sim.broken, "%s: cannot bind port %u again\n", member->name,
                         listener->port);
            listener->fd = -1;
        }
    }
}

size_t n_listeners(void)
{
    return n_used;
}

int listener_fd(size_t i)
{
    return listeners[i].open ? listeners[i].fd : -1;
}

void listener_accept(size_t i)
{
    const int on = 1;
    int fd;

    while ((fd = accept4(listeners[i].fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        conn_new(fd, listeners[i].member, listeners[i].tls);
    }
}

void listeners_done(void)
{
    for (size_t i = 0; i < n_used; i++)
        if (listeners[i].fd >= 0)
            close(listeners[i].fd);
}
