/* local.c - the place of a local socket in the file system */
#include "wire/local.h"

#include <errno.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static int make_parent(const char *path, struct rm_err *err)
{
    char directory[CONF_ENDPOINT_MAX];
    snprintf(directory, sizeof(directory), "%s", path);
    char *slash = strrchr(directory, '/');
    if (!slash || slash == directory)
        return 0;
    *slash = '\0';
    /* The unit's umask is 0077, and clients have to pass through. */
    int r = mkdir(directory, 0755) < 0 ? -errno : chmod(directory, 0755) < 0 ? -errno : 0;
    if (r < 0 && r != -EEXIST)
        return rm_fail(err, r, "cannot make the directory %s: %s", directory, strerror(-r));
    return 0;
}

/* 0 or -EAGAIN: somebody listens there, or is busy; another negative errno. */
static int knock(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(path);
    if (length >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    memcpy(address.sun_path, path, length + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int r = connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    close(fd);
    return r;
}

bool local_is_deserted(const char *path)
{
    int r = knock(path);
    return r == -ENOENT || r == -ECONNREFUSED;
}

/* *ret_there: a socket is there. Anything else in its place is an error. */
static int look_at(const char *path, bool *ret_there, struct rm_err *err)
{
    size_t room = sizeof(((struct sockaddr_un *)0)->sun_path);
    struct stat st;
    *ret_there = false;
    if (strlen(path) >= room)
        return rm_fail(err, -ENAMETOOLONG, "%s: longer than the %zu bytes of a local socket", path,
                       room - 1);
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : rm_fail(err, -errno, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return rm_fail(err, -EEXIST, "%s: is there and is not a socket", path);
    *ret_there = true;
    return 0;
}

/* Makes the place free for a socket: ZeroMQ itself would take it from a broker that runs. */
static int clear_path(const char *path, struct rm_err *err)
{
    bool there;
    int r = look_at(path, &there, err);
    if (r < 0 || !there)
        return r;
    r = knock(path);
    if (r == 0 || r == -EAGAIN)
        return rm_fail(err, -EADDRINUSE, "%s: another program listens there", path);
    if (r != -ECONNREFUSED)
        return rm_fail(err, r, "%s: %s", path, strerror(-r));
    if (unlink(path) < 0 && errno != ENOENT)
        return rm_fail(err, -errno, "%s: %s", path, strerror(errno));
    return 0;
}

int local_prepare(const char *path, struct rm_err *err)
{
    int r = make_parent(path, err);
    return r < 0 ? r : clear_path(path, err);
}

static int find_group(const char *name, gid_t *ret_gid, struct rm_err *err)
{
    char buffer[16 * 1024];
    struct group group, *found;
    int r = getgrnam_r(name, &group, buffer, sizeof(buffer), &found);
    if (r != 0 || !found)
        return rm_fail(err, r != 0 ? -r : -EINVAL, "socket_group: no group '%s' on this machine",
                       name);
    *ret_gid = group.gr_gid;
    return 0;
}

int local_try(const char *path, const struct conf_broker *conf, struct rm_err *err)
{
    bool there;
    gid_t gid;
    int r = look_at(path, &there, err);
    return r < 0 || !conf->socket_group ? r : find_group(conf->socket_group, &gid, err);
}

int local_guard(const char *path, const struct conf_broker *conf, struct rm_err *err)
{
    /* The group first: until the mode is set nobody but the owner may connect. */
    gid_t gid = (gid_t)-1;
    if (conf->socket_group) {
        int r = find_group(conf->socket_group, &gid, err);
        if (r < 0)
            return r;
        if (lchown(path, (uid_t)-1, gid) < 0)
            return rm_fail(err, -errno, "%s: cannot give it to the group '%s': %s", path,
                           conf->socket_group, strerror(errno));
    }
    if (chmod(path, (mode_t)conf->socket_mode & 0777) < 0)
        return rm_fail(err, -errno, "%s: cannot set its mode: %s", path, strerror(errno));
    return 0;
}
