/* endpoint.c - what an endpoint says: ipc://PATH, tcp://HOST:PORT */
#include "conf/endpoint.h"

#include "conf/text.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
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

bool http_address(const char *listen, struct sockaddr_in6 *ret)
{
    char endpoint[128], host[INET6_ADDRSTRLEN], *end;
    struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
    if (snprintf(endpoint, sizeof(endpoint), "tcp://%s", listen) >= (int)sizeof(endpoint) ||
        !endpoint_host(endpoint, host, sizeof(host)))
        return false;
    const char *digits = strrchr(listen, ':') + 1;
    unsigned long port = strtoul(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || *end != '\0' || port > 65535)
        return false;
    memset(ret, 0, sizeof(*ret));
    if (listen[0] == '[') {
        ret->sin6_family = AF_INET6;
        ret->sin6_port = htons((in_port_t)port);
        return inet_pton(AF_INET6, host, &ret->sin6_addr) == 1;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons((in_port_t)port);
    return inet_pton(AF_INET, host, &v4->sin_addr) == 1;
}

bool http_is_local(const char *listen)
{
    char endpoint[128];
    return listen[0] == '/' ||
           (snprintf(endpoint, sizeof(endpoint), "tcp://%s", listen) < (int)sizeof(endpoint) &&
            endpoint_is_local(endpoint));
}
