/* net_accept.c - connections beyond the number of files are refused before libzmq sees them
 *
 * libzmq 4.3.4 takes EMFILE from accept4() on a local socket for a mistake of its own, and ends the
 * program: anybody who may connect could do that. So accept4() of this program is the one below, also
 * for libzmq. The numbers of files are given from below, so a high one says that few are left: such a
 * connection is closed at once, which libzmq takes for one that its peer gave up. */
#include "wire/net_parts.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    FILES_MAX = 512 * 1024, /* more are not asked for */
    FILES_KEPT = 64,        /* for the broker itself: its disk, its log */
    KEPT_PART = 4,          /* but of a small number no more than its fourth part */
};

static atomic_int most = INT_MAX; /* no connection has this number or a higher one */
static atomic_ullong refused;

int accept4(int fd, struct sockaddr *restrict address, socklen_t *restrict length, int flags)
{
    int accepted = (int)syscall(SYS_accept4, fd, address, length, flags);

    if (accepted >= 0 && accepted < atomic_load(&most))
        return accepted;
    if (accepted >= 0)
        close(accepted);
    else if (errno != EMFILE)
        return -1;
    atomic_fetch_add(&refused, 1);
    errno = ECONNABORTED;
    return -1;
}

size_t accept_prepare(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return FILES_MAX;
    if (limit.rlim_cur < FILES_MAX) {
        limit.rlim_cur = limit.rlim_max < FILES_MAX ? limit.rlim_max : FILES_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* what is there must do then */
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    size_t files = limit.rlim_cur < INT_MAX ? limit.rlim_cur : INT_MAX;
    size_t kept = files / KEPT_PART < FILES_KEPT ? files / KEPT_PART : FILES_KEPT;
    atomic_store(&most, (int)(files - kept));
    return files - kept;
}

uint64_t accept_refused(void)
{
    return atomic_load(&refused);
}
