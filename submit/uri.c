/* uri.c - hypervisors by libvirt's URIs */
#include "submit/uri.h"

#include "conf/endpoint.h"
#include "conf/word.h"

#include <limits.h>
#include <string.h>
#include <unistd.h>

/* Behind "://", without the user; *ret_length: without the port. */
static const char *host_in(const char *uri, size_t *ret_length)
{
    const char *host = strstr(uri, "://");
    host = host ? host + 3 : "";
    size_t n = strcspn(host, "/?#");
    for (const char *at = memchr(host, '@', n); at; at = memchr(host, '@', n)) {
        n -= (size_t)(at + 1 - host);
        host = at + 1;
    }
    size_t end = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":");
    *ret_length = end < n ? end : n;
    return host;
}

/* "hyp02" of qemu+ssh://root@hyp02.example/system, "10.0.0.2" and "2001_db8__2" of addresses; this machine where the
 * URI names none. */
char *uri_name(const char *uri)
{
    char here[HOST_NAME_MAX + 1] = "";
    size_t n;
    const char *host = host_in(uri, &n);
    if (n == 0 && gethostname(here, sizeof(here)) == 0) {
        here[sizeof(here) - 1] = '\0';
        return strndup(here, strcspn(here, "."));
    }
    bool in_brackets = host[0] == '[' && n > 2;
    char *name = in_brackets ? strndup(host + 1, n - 2) : strndup(host, n);
    if (!name)
        return NULL;
    for (char *p = name; in_brackets && *p; p++)
        if (*p == ':' || *p == '%')
            *p = '_';
    if (!in_brackets && !endpoint_is_ipv4(name))
        name[strcspn(name, ".")] = '\0';
    return name;
}

/* It stands in settings and in a noderange, where digits alone are something else. */
bool uri_is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    return conf_name_is_valid(name) && strspn(name, allowed) == strlen(name) && name[0] != '-' &&
           name[0] != '.' && strspn(name, "0123456789") != strlen(name);
}

/* One that others must reach is named by a URI that says where it is. */
bool uri_is_only_here(const char *uri)
{
    size_t n;
    const char *host = host_in(uri, &n), *path = host + n;
    return n == 0 && (strncmp(path, "/system", 7) == 0 || strncmp(path, "/session", 8) == 0);
}

/* Two ways to one hypervisor: its guests would be seen on both. What names mean is not looked up, and behind another
 * port another machine may be. */
bool uri_is_same(const char *uri, const char *other)
{
    size_t n, scheme = strcspn(uri, "+:");
    const char *host = host_in(uri, &n), *host_other = host_in(other, &n);
    n = strcspn(host, "?#");
    return n == strcspn(host_other, "?#") && strncasecmp(host, host_other, n) == 0 &&
           scheme == strcspn(other, "+:") && strncmp(uri, other, scheme) == 0;
}
