/* dir.c - the directory of a store: is it ours, and is this process its only writer? */
#include "store/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define DATA_FILE "data.mdb" /* LMDB's names */
#define LOCK_FILE "lock.mdb"
/* LMDB's own lock admits several writers, one after another; the broker must be the only one. */
#define WRITER_LOCK "writer.lock"

static int join(char *buffer, const char *path, const char *name)
{
    int n = snprintf(buffer, PATH_MAX, "%s/%s", path, name);
    return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int place_data_file(const char *path, char name[static PATH_MAX])
{
    return join(name, path, DATA_FILE);
}

uint64_t place_missing(const char *path, uint64_t size, uint64_t *ret_room)
{
    char name[PATH_MAX];
    struct stat data;
    struct statvfs fs;
    uint64_t has = 0;

    if (ret_room)
        *ret_room = UINT64_MAX;
    snprintf(name, sizeof(name), "%s", path);
    if (statvfs(path, &fs) < 0 && statvfs(dirname(name), &fs) < 0) /* not made yet */
        return 0;
    if (place_data_file(path, name) == 0 && stat(name, &data) == 0)
        has = (uint64_t)data.st_blocks * 512; /* stat(2): the unit, whatever the disk's is */
    uint64_t room = (uint64_t)fs.f_bavail * fs.f_frsize;
    if (ret_room)
        *ret_room = room;
    return has + room < size ? size - has - room : 0;
}

/* mmap and locks of network file systems do not keep what LMDB needs. */
static bool is_network(const char *path)
{
    static const unsigned types[] = {0x6969 /* NFS */, 0xff534d42 /* CIFS */,
                                     0xfe534d42 /* SMB2 */};
    struct statfs fs;
    if (statfs(path, &fs) < 0)
        return false;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        if ((unsigned)fs.f_type == types[i])
            return true;
    return false;
}

bool place_is_empty(const char *path)
{
    static const char *const ours[] = {".", "..", "lost+found", WRITER_LOCK, LOCK_FILE};
    DIR *dir = opendir(path);
    if (!dir)
        return false;
    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(dir));) {
        empty = false;
        for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
            empty |= strcmp(e->d_name, ours[i]) == 0;
    }
    closedir(dir);
    return empty;
}

static int cannot_make(const char *path, struct rm_err *err)
{
    return rm_fail(err, -errno, "cannot make the directory %s: %s", path, strerror(errno));
}

int place_make(const char *path, struct rm_err *err)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : cannot_make(path, err);
}

static int refuse_network(const char *path, struct rm_err *err)
{
    if (is_network(path))
        return rm_fail(err, -EINVAL, "%s is on a network file system, where a store is not safe",
                       path);
    return 0;
}

int place_look(const char *path, bool create, bool *ret_new, struct rm_err *err)
{
    char name[PATH_MAX];
    if (join(name, path, DATA_FILE) < 0)
        return rm_fail(err, -ENAMETOOLONG, "%s: the path is too long", path);
    struct stat st;
    bool there = stat(name, &st) == 0;
    if (!there && errno != ENOENT)
        return rm_fail(err, -errno, "cannot open the store %s: %s", path, strerror(errno));
    if (!there && !create)
        return rm_fail(err, -ENOENT, "there is no store in %s", path);
    if (!there && !place_is_empty(path))
        return rm_fail(err, -EINVAL,
                       "%s holds no store but other files: name an empty directory or a new one",
                       path);
    if (there && st.st_size == 0)
        return rm_fail(
            err, -EBADMSG,
            "%s is empty: what the store held is gone. Put a backup in its place, or remove "
            "the file to begin with an empty store; see rmigrate-store(8)",
            name);
    *ret_new = !there;
    return refuse_network(path, err);
}

int place_try(const char *path, bool *ret_new, struct rm_err *err)
{
    static const char *const files[] = {WRITER_LOCK, LOCK_FILE, DATA_FILE};
    char name[PATH_MAX];
    struct stat st;
    if (lstat(path, &st) < 0 && errno == ENOENT) {
        if (snprintf(name, sizeof(name), "%s", path) >= PATH_MAX)
            return rm_fail(err, -ENAMETOOLONG, "%s: the path is too long", path);
        const char *parent = dirname(name);
        *ret_new = true;
        return access(parent, W_OK | X_OK) < 0 ? cannot_make(path, err)
                                               : refuse_network(parent, err);
    }
    int r = place_look(path, /* create = */ true, ret_new, err);
    if (r >= 0 && access(path, R_OK | W_OK | X_OK) < 0)
        r = rm_fail(err, -errno, "cannot write to the directory %s: %s", path, strerror(errno));
    for (size_t i = 0; r >= 0 && i < sizeof(files) / sizeof(files[0]); i++)
        if (join(name, path, files[i]) >= 0 && access(name, R_OK | W_OK) < 0 && errno != ENOENT)
            r = rm_fail(err, -errno, "cannot open %s: %s", name, strerror(errno));
    return r;
}

int place_lock(const char *path, int *ret_lock, struct rm_err *err)
{
    char name[PATH_MAX], owner[32] = "";
    *ret_lock = -1;
    if (join(name, path, WRITER_LOCK) < 0)
        return rm_fail(err, -ENAMETOOLONG, "%s: the path is too long", path);
    int fd = *ret_lock = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return rm_fail(err, -errno, "cannot open %s: %s", name, strerror(errno));
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK)
            return rm_fail(err, -errno, "cannot lock %s: %s", name, strerror(errno));
        ssize_t n = pread(fd, owner, sizeof(owner) - 1, 0);
        owner[n > 0 ? strspn(owner, "0123456789") : 0] = '\0';
        return rm_fail(err, -EBUSY, "the store %s is in use by another process%s%s", path,
                       owner[0] ? ", pid " : "", owner);
    }
    /* Only for the text above: the lock itself is the descriptor's, and a full disk is no reason.
     */
    if (ftruncate(fd, 0) == 0)
        dprintf(fd, "%d\n", getpid());
    return 0;
}
