/* smapi_login.c - the file that holds the userid and the password for a SMAPI server */
#include "worker/zvm/smapi_login.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOGIN_FILE_MAX = 1024 };

static const char BLANKS[] = " \t\r";

bool smapi_stamp_is_same(const struct smapi_stamp *a, const struct smapi_stamp *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

/* Cuts the next line off, without blanks around it; NULL: there is none. */
static char *next_line(char **rest)
{
    char *line = *rest;
    if (!*line)
        return NULL;
    char *end = line + strcspn(line, "\n");
    *rest = *end ? end + 1 : end;
    *end = '\0';
    line += strspn(line, BLANKS);
    for (end = line + strlen(line); end > line && strchr(BLANKS, end[-1]); end--)
        end[-1] = '\0';
    return line;
}

int smapi_login_parse(const char *file, char *text, size_t length, struct smapi_login *ret,
                      struct rm_err *err)
{
    if (memchr(text, '\0', length))
        return rm_fail(err, -EINVAL, "%s: is not a text", file);
    const char *userid = next_line(&text);
    const char *password = userid ? next_line(&text) : NULL;
    if (!userid || !*userid || !password || !*password)
        return rm_fail(err, -EINVAL, "%s: must hold two lines, userid and password", file);
    for (const char *line; (line = next_line(&text));)
        if (*line)
            return rm_fail(err, -EINVAL,
                           "%s: holds more than two lines; only userid and password belong there",
                           file);
    if (strlen(userid) > SMAPI_NAME_MAX)
        return rm_fail(err, -EINVAL, "%s: the userid in line 1 is longer than %d characters", file,
                       SMAPI_NAME_MAX);
    if (strlen(password) > SMAPI_PASSWORD_MAX)
        return rm_fail(err, -EINVAL, "%s: the password in line 2 is longer than %d characters",
                       file, SMAPI_PASSWORD_MAX);
    memset(ret, 0, sizeof(*ret));
    memcpy(ret->userid, userid, strlen(userid));
    memcpy(ret->password, password, strlen(password));
    return 0;
}

static int check_file(const char *file, const struct stat *st, struct rm_err *err)
{
    if (!S_ISREG(st->st_mode))
        return rm_fail(err, -EINVAL, "%s: is not a regular file", file);
    if (st->st_uid != 0 && st->st_uid != geteuid())
        return rm_fail(err, -EACCES, "%s: belongs to user %u, it must be %s%u: chown it", file,
                       (unsigned)st->st_uid, geteuid() ? "root or " : "", (unsigned)geteuid());
    if (st->st_mode & 077)
        return rm_fail(err, -EACCES,
                       "%s: holds a password and others may read or write it (mode %04o): "
                       "chmod 600 %s",
                       file, (unsigned)(st->st_mode & 07777), file);
    if (st->st_size > LOGIN_FILE_MAX)
        return rm_fail(err, -EINVAL, "%s: is longer than %d bytes", file, LOGIN_FILE_MAX);
    return 0;
}

/* Up to size bytes of a file; the number, or a negative errno. */
static ssize_t read_whole(int fd, char *buffer, size_t size)
{
    size_t length = 0;
    while (length < size) {
        ssize_t n = read(fd, buffer + length, size - length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        length += (size_t)n;
    }
    return (ssize_t)length;
}

int smapi_login_read(const char *file, struct smapi_login *ret, struct smapi_stamp *ret_stamp,
                     struct rm_err *err)
{
    /* Without O_NONBLOCK the opening of a pipe would wait for its writer. */
    int fd = open(file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        int code = errno;
        return rm_fail(err, -code, "%s: %s", file,
                       code == ELOOP ? "is a symbolic link, name the file itself" : strerror(code));
    }
    struct stat st;
    char text[LOGIN_FILE_MAX + 2];
    ssize_t length = 0;
    int r = fstat(fd, &st) < 0 ? rm_fail(err, -errno, "%s: %s", file, strerror(errno))
                               : check_file(file, &st, err);
    if (r < 0)
        goto out;
    length = read_whole(fd, text, sizeof(text) - 1);
    if (length < 0) {
        r = rm_fail(err, (int)length, "%s: %s", file, strerror((int)-length));
        goto out;
    }
    if (length > LOGIN_FILE_MAX) {
        r = rm_fail(err, -EINVAL, "%s: is longer than %d bytes", file, LOGIN_FILE_MAX);
        goto out;
    }
    text[length] = '\0';
    r = smapi_login_parse(file, text, (size_t)length, ret, err);
    if (r == 0)
        *ret_stamp = (struct smapi_stamp){
            .device = st.st_dev, .inode = st.st_ino, .changed = st.st_mtim, .size = st.st_size};
out:
    explicit_bzero(text, sizeof(text));
    close(fd);
    return r;
}
