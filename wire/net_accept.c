/* net_accept.c - which connections are let in, before libzmq sees them
 *
 * libzmq 4.3.4 takes EMFILE and ENOMEM from accept4() on a local socket for mistakes of its own, and ends the
 * program: anybody who may connect could do that. And it lets in whoever comes, so that one user who
 * holds all connections open keeps everybody else out. So accept4() of this program is the one below,
 * also for libzmq. The numbers of files are given from below, so a high one says that few are left.
 * A connection that is not let in is closed at once, which libzmq takes for one that its peer gave up.
 *
 * Each local user has a share of the connections, and so has each address (of IPv6 the network of 64
 * bits, of which one machine may have every address). What a connection takes it gives back when its
 * file is closed: close() of this program is the one below, too. */
#include "wire/net_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uthash.h>

enum {
    FILES_KEPT = 64, /* for the broker itself: its disk, its log */
    KEPT_PART = 4,   /* but of a small number no more than its fourth part */
    NETWORK = 8,     /* bytes of the network of an IPv6 address */
};

/* Whose a connection is. */
struct owner {
    struct owner_key {
        int family; /* AF_UNIX, AF_INET, AF_INET6; AF_UNSPEC: who it is could not be found out */
        uid_t uid;
        struct in6_addr address;
    } key;
    size_t open;
    UT_hash_handle hh;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of all that follows */
static struct owner *owners;
static struct net_crowd crowd;
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
    if (handshake_begin(fd) < 0) {
        release(owner);
        return false;
    }
    owner->open++;
    atomic_store(&owner_of[fd], owner);
    return true;
}

static void give_back(int fd)
{
    struct owner *owner = atomic_exchange(&owner_of[fd], NULL);

    if (!owner)
        return;
    handshake_end(fd);
    owner->open--;
    release(owner);
}

/* ---- instead of the system's */

/* libzmq ends the program at an error that it does not know; these are mistakes of the program. Whatever else is
 * said, no memory (ENOMEM of a control group) or a network that is down, concerns one connection. */
static bool is_mistake(int error)
{
    return error == EBADF || error == EFAULT || error == EINVAL || error == ENOTSOCK;
}

static bool is_for_later(int error)
{
    return error == EAGAIN || error == EINTR;
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags)
{
    int accepted = (int)syscall(SYS_accept4, fd, address, length, flags);
    bool is_full = accepted < 0 && (errno == EMFILE || errno == ENFILE);

    if (accepted < 0 && (is_mistake(errno) || is_for_later(errno)))
        return -1;
    struct owner_key key = key_of(accepted); /* of none: nobody's */
    pthread_mutex_lock(&lock);
    if (is_full)
        crowd.refused++;
    bool is_in = accepted >= 0 && take(accepted, &key);
    pthread_mutex_unlock(&lock);
    if (is_in)
        return accepted;
    if (accepted >= 0)
        close(accepted);
    errno = ECONNABORTED;
    return -1;
}

int close(int fd)
{
    if (fd >= 0 && fd < NET_FILES_MAX && atomic_load(&owner_of[fd])) {
        pthread_mutex_lock(&lock);
        give_back(fd);
        pthread_mutex_unlock(&lock);
    }
    return (int)syscall(SYS_close, fd);
}

/* ---- for the listening side */

size_t accept_prepare(void)
{
    struct rlimit limit;
    size_t files = NET_FILES_MAX;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        if (limit.rlim_cur < NET_FILES_MAX) {
            limit.rlim_cur = limit.rlim_max < NET_FILES_MAX ? limit.rlim_max : NET_FILES_MAX;
            (void)setrlimit(RLIMIT_NOFILE, &limit); /* what is there must do then */
            (void)getrlimit(RLIMIT_NOFILE, &limit);
        }
        files = limit.rlim_cur < NET_FILES_MAX ? limit.rlim_cur : NET_FILES_MAX;
    }
    size_t kept = files / KEPT_PART < FILES_KEPT ? files / KEPT_PART : FILES_KEPT;
    pthread_mutex_lock(&lock);
    most = files - kept;
    pthread_mutex_unlock(&lock);
    return files - kept;
}

void accept_end(int fd)
{
    pthread_mutex_lock(&lock);
    if (fd >= 0 && fd < NET_FILES_MAX && atomic_load(&owner_of[fd]))
        shutdown(fd, SHUT_RDWR);
    pthread_mutex_unlock(&lock);
}

struct net_crowd accept_crowd(void)
{
    pthread_mutex_lock(&lock);
    struct net_crowd copy = crowd;
    pthread_mutex_unlock(&lock);
    copy.named = handshake_refused();
    return copy;
}
