/* net_owner.c - whose a connection is, and what each may have of them
 *
 * Each local user has a share of the connections, and so has each address (of IPv6 the network of 64
 * bits, of which one machine may have every address), and the same of what may be unfinished of messages that
 * have begun to come. The numbers of files are given from below, so a high one says that few are left. */
#include "wire/net_parts.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uthash.h>

enum { NETWORK = 8 }; /* bytes of the network of an IPv6 address */

/* Whose a connection is. */
struct owner {
    struct owner_key {
        int family; /* AF_UNIX, AF_INET, AF_INET6; AF_UNSPEC: who it is could not be found out */
        uid_t uid;
        struct in6_addr address;
    } key;
    size_t open;
    uint64_t unfinished; /* bytes of messages that have begun to come */
    UT_hash_handle hh;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static struct owner *owners;
static struct net_crowd crowd;
static uint64_t unfinished_all;
static size_t most; /* connections, and no file of one has this number or a higher one; 0: any */
/* By the number of the file; NULL: no connection. Set under the lock; read without it by close(),
 * whose own file nobody else has. */
static struct owner *_Atomic owner_of[NET_FILES_MAX];

/* ---- who it is */

static struct owner_key key_of(int fd)
{
    struct owner_key key;
    struct sockaddr_storage name = {0};
    socklen_t length = sizeof(name);

    memset(&key, 0, sizeof(key)); /* its gaps are compared, too */
    if (getpeername(fd, (struct sockaddr *)&name, &length) < 0)
        return key;
    if (name.ss_family == AF_UNIX) {
        struct ucred peer;
        length = sizeof(peer);
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0) {
            key.family = AF_UNIX;
            key.uid = peer.uid;
        }
    } else if (name.ss_family == AF_INET) {
        key.family = AF_INET;
        memcpy(&key.address, &((struct sockaddr_in *)&name)->sin_addr, sizeof(struct in_addr));
    } else if (name.ss_family == AF_INET6) {
        const struct in6_addr *address = &((struct sockaddr_in6 *)&name)->sin6_addr;
        bool is_mapped = IN6_IS_ADDR_V4MAPPED(address);
        key.family = AF_INET6;
        memcpy(&key.address, address, is_mapped ? sizeof(*address) : NETWORK);
    }
    return key;
}

static bool is_master(const struct owner_key *key)
{
    return key->family == AF_UNIX && (key->uid == 0 || key->uid == geteuid());
}

static void key_text(const struct owner_key *key, char text[static sizeof(crowd.who)])
{
    char address[INET6_ADDRSTRLEN];

    if (key->family == AF_UNIX)
        snprintf(text, sizeof(crowd.who), "uid %u", (unsigned)key->uid);
    else if (key->family != AF_UNSPEC &&
             inet_ntop(key->family, &key->address, address, sizeof(address)))
        snprintf(text, sizeof(crowd.who), "address %s", address);
    else
        snprintf(text, sizeof(crowd.who), "unknown");
}

/* Kinds of owners in a number: of a user, of an IPv4 address, of an IPv6 network. */
#define OWNER_USER (UINT64_C(1) << 32)
#define OWNER_IPV4 (UINT64_C(2) << 32)
#define OWNER_IPV6 (UINT64_C(1) << 63)

uint64_t owner_number(unsigned which, const char *address)
{
    struct in_addr ipv4;
    struct in6_addr ipv6;
    uint64_t network;

    if (!address)
        return 0;
    if (which == SOCKET_LOCAL) { /* "...:UID:GID:PID" */
        const char *end = address + strlen(address);
        for (int fields = 0; end > address && fields < 3;)
            fields += *--end == ':';
        return OWNER_USER | (uint32_t)strtoul(*end == ':' ? end + 1 : end, NULL, 10);
    }
    if (strncmp(address, "::ffff:", 7) == 0)
        address += 7;
    if (inet_pton(AF_INET, address, &ipv4) == 1)
        return OWNER_IPV4 | ipv4.s_addr;
    if (inet_pton(AF_INET6, address, &ipv6) != 1)
        return 0;
    memcpy(&network, &ipv6, sizeof(network));
    return OWNER_IPV6 | network;
}

bool owner_is_master(uint64_t number)
{
    return number == (OWNER_USER | 0) || number == (OWNER_USER | geteuid());
}

/* ---- counted; the lock is held */

/* Forgets an owner who has no connection. */
static void release(struct owner *owner)
{
    if (owner->open > 0)
        return;
    HASH_DEL(owners, owner);
    free(owner);
}

static bool take(int fd, const struct owner_key *key)
{
    size_t share = is_master(key) ? most : most * NET_SHARE_PERCENT / 100;
    size_t highest = is_master(key) ? most : most * (100 - NET_ROOT_PERCENT) / 100;
    struct owner *owner;

    if (most == 0)
        return true;
    HASH_FIND(hh, owners, key, sizeof(*key), owner);
    if (owner && owner->open >= share) {
        crowd.over_share++;
        key_text(key, crowd.who);
        return false;
    }
    if ((size_t)fd >= highest) {
        crowd.refused++;
        return false;
    }
    if (!owner) {
        owner = calloc(1, sizeof(*owner));
        if (!owner)
            return false;
        owner->key = *key;
        HASH_ADD(hh, owners, key, sizeof(owner->key), owner);
    }
    owner->open++;
    atomic_store(&owner_of[fd], owner);
    return true;
}

/* ---- for net_accept.c and net_traffic.c */

void owner_prepare(size_t files)
{
    pthread_mutex_lock(&lock);
    most = files;
    pthread_mutex_unlock(&lock);
}

bool owner_take(int fd)
{
    struct owner_key key = key_of(fd);

    pthread_mutex_lock(&lock);
    bool is_in = take(fd, &key);
    pthread_mutex_unlock(&lock);
    return is_in;
}

void owner_refused(void)
{
    pthread_mutex_lock(&lock);
    crowd.refused++;
    pthread_mutex_unlock(&lock);
}

bool owner_is_there(int fd)
{
    return fd >= 0 && fd < NET_FILES_MAX && atomic_load(&owner_of[fd]);
}

void owner_give_back(int fd, uint64_t claimed)
{
    pthread_mutex_lock(&lock);
    struct owner *owner = atomic_exchange(&owner_of[fd], NULL);
    if (owner) {
        owner->unfinished -= claimed;
        unfinished_all -= claimed;
        owner->open--;
        release(owner);
    }
    pthread_mutex_unlock(&lock);
}

bool owner_claim(int fd, uint64_t bytes)
{
    pthread_mutex_lock(&lock);
    struct owner *owner = atomic_load(&owner_of[fd]);
    uint64_t share = NET_UNFINISHED_BYTES;
    if (owner && !is_master(&owner->key))
        share = share * NET_SHARE_PERCENT / 100;
    bool is_in = owner && bytes <= share && owner->unfinished <= share - bytes &&
                 unfinished_all <= NET_UNFINISHED_BYTES - bytes;
    if (is_in) {
        owner->unfinished += bytes;
        unfinished_all += bytes;
    } else if (owner) {
        crowd.heavy++;
        key_text(&owner->key, crowd.who);
    }
    pthread_mutex_unlock(&lock);
    return is_in;
}

void owner_unclaim(int fd, uint64_t bytes)
{
    pthread_mutex_lock(&lock);
    struct owner *owner = atomic_load(&owner_of[fd]);
    if (owner) {
        owner->unfinished -= bytes;
        unfinished_all -= bytes;
    }
    pthread_mutex_unlock(&lock);
}

struct net_crowd owner_crowd(void)
{
    pthread_mutex_lock(&lock);
    struct net_crowd copy = crowd;
    pthread_mutex_unlock(&lock);
    return copy;
}
