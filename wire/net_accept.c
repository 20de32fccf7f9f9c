/* net_accept.c - which connections are let in, before libzmq sees them
 *
 * libzmq 4.3.4 takes EMFILE and ENOMEM from accept4() on a local socket for mistakes of its own, and ends the
 * program: anybody who may connect could do that. And it lets in whoever comes, so that one user who
 * holds all connections open keeps everybody else out. So accept4() of this program is the one below,
 * also for libzmq. A connection that is not let in is closed at once, which libzmq takes for one that its
 * peer gave up. What a connection takes (net_owner.c, net_traffic.c) it gives back when its file is closed:
 * close() of this program is the one below, too. */
#include "wire/net_parts.h"

#include <errno.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FILES_KEPT = 64, /* for the broker itself: its disk, its log */
    KEPT_PART = 4,   /* but of a small number no more than its fourth part */
};

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

static bool let_in(int fd)
{
    if (!owner_take(fd))
        return false;
    if (!owner_is_there(fd) || traffic_begin(fd) >= 0) /* not there: nothing is listened to */
        return true;
    owner_give_back(fd, 0);
    return false;
}

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags)
{
    int accepted = (int)syscall(SYS_accept4, fd, address, length, flags);

    if (accepted < 0 && (is_mistake(errno) || is_for_later(errno)))
        return -1;
    if (accepted < 0 && (errno == EMFILE || errno == ENFILE))
        owner_refused();
    if (accepted >= 0 && let_in(accepted))
        return accepted;
    if (accepted >= 0)
        close(accepted);
    errno = ECONNABORTED;
    return -1;
}

int close(int fd)
{
    if (owner_is_there(fd))
        owner_give_back(fd, traffic_end(fd));
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
    owner_prepare(files - kept);
    return files - kept;
}

void accept_end(int fd)
{
    if (owner_is_there(fd))
        shutdown(fd, SHUT_RDWR);
}

struct net_crowd accept_crowd(void)
{
    struct net_crowd crowd = owner_crowd();

    crowd.foul = traffic_foul();
    return crowd;
}
