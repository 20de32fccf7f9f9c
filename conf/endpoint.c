/* endpoint.c - what an endpoint says: ipc://PATH, tcp://HOST:PORT */
#include "conf/endpoint.h"

#include "conf/text.h"

#include <arpa/inet.h>
#include <string.h>

bool endpoint_is_ipc(const char *endpoint)
{
    return text_behind(endpoint, "ipc://");
}

bool endpoint_is_tcp(const char *endpoint)
{
    return text_behind(endpoint, "tcp://");
}

const char *endpoint_path(const char *endpoint)
{
    const char *path = endpoint ? text_behind(endpoint, "ipc://") : NULL;
    return path && path[0] != '@' ? path : NULL;
}

bool endpoint_host(const char *endpoint, char *host, size_t size)
{
    const char *from = text_behind(endpoint, "tcp://"), *colon = from ? strrchr(from, ':') : NULL;
    if (!colon)
        return false;
    size_t length = (size_t)(colon - from);
    if (length >= 2 && from[0] == '[' && from[length - 1] == ']') {
        from++;
        length -= 2;
    }
    if (length == 0 || length >= size)
        return false;
    memcpy(host, from, length);
    host[length] = '\0';
    return true;
}

bool endpoint_is_ipv4(const char *host)
{
    struct in_addr address;
    return inet_pton(AF_INET, host, &address) == 1;
}

bool endpoint_is_local(const char *endpoint)
{
    char host[INET6_ADDRSTRLEN];
    struct in_addr v4;
    struct in6_addr v6;
    if (endpoint_is_ipc(endpoint))
        return true;
    if (!endpoint_host(endpoint, host, sizeof(host)))
        return false;
    if (inet_pton(AF_INET, host, &v4) == 1) /* 127.0.0.1.example.org is somebody else's */
        return ntohl(v4.s_addr) >> 24 == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(host, "localhost") == 0;
}
