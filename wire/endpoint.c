/* endpoint.c - what an endpoint says: ipc://PATH, tcp://HOST:PORT */
#include "wire/endpoint.h"

#include <arpa/inet.h>
#include <string.h>

#include "conf/conf.h"

bool endpoint_is_ipc(const char *endpoint)
{
    return strncmp(endpoint, "ipc://", 6) == 0;
}

const char *endpoint_path(const char *endpoint)
{
    const char *path =
        endpoint != NULL && endpoint_is_ipc(endpoint) ? endpoint + strlen("ipc://") : NULL;
    return path != NULL && path[0] != '@' ? path : NULL;
}

bool endpoint_is_tcp(const char *endpoint)
{
    return strncmp(endpoint, "tcp://", 6) == 0;
}

bool endpoint_host(const char *endpoint, char *host, size_t size)
{
    const char *from = endpoint + strlen("tcp://"), *colon = strrchr(from, ':');
    if (colon == NULL)
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

bool endpoint_is_loopback(const char *endpoint)
{
    char host[CONF_ENDPOINT_MAX];
    struct in_addr v4;
    struct in6_addr v6;
    if (!endpoint_host(endpoint, host, sizeof(host)))
        return false;
    if (inet_pton(AF_INET, host, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    if (inet_pton(AF_INET6, host, &v6) == 1)
        return IN6_IS_ADDR_LOOPBACK(&v6);
    return strcmp(host, "localhost") == 0;
}
