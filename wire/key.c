/* key.c - key files: written once, read only when nobody else can */
#include "wire/key.h"

#include "conf/io.h"
#include "wire/net_key.h"

#include <errno.h>
#include <fcntl.h>
#include <libconfig.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_FILE_MAX = 64 * 1024 };

/* The name of a new file is on disk when its directory is. */
static int sync_directory(const char *path)
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof(copy), "%s", path) >= (int)sizeof(copy))
        return -ENAMETOOLONG;
    return io_sync(dirname(copy));
}

int net_key_write(const char *path, const char *public_key, const char *secret_key,
                  const struct passwd *owner, struct rm_err *err)
{
    if (!net_key_is_valid(public_key) || !net_key_is_valid(secret_key))
        return rm_fail(err, -EINVAL, "%s: not a pair of keys", path);
    char text[512];
    int length = snprintf(text, sizeof(text),
                          "# A key of rmigrate. Only `public` may be shown to others.\n"
                          "public = \"%s\";\nsecret = \"%s\";\n",
                          public_key, secret_key);
    int r, fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        r = -errno;
        goto out;
    }
    if (owner && fchown(fd, owner->pw_uid, owner->pw_gid) < 0)
        r = -errno;
    else
        r = io_write(fd, text, (size_t)length);
    if (r >= 0 && fsync(fd) < 0)
        r = -errno;
    if (close(fd) < 0 && r >= 0)
        r = -errno;
    if (r >= 0)
        r = sync_directory(path);
    if (r < 0)
        unlink(path); /* half a key would stand in the way of the next try */
out:
    explicit_bzero(text, sizeof(text));
    return r < 0 ? rm_fail(err, r, "%s: cannot write the key: %s", path, strerror(-r)) : 0;
}

/* The name of the user that this program runs as, or the number. */
static const char *own_user(char name[static CONF_NAME_MAX + 1])
{
    char buffer[16 * 1024];
    struct passwd entry, *found = NULL;
    if (getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &found) == 0 && found)
        snprintf(name, CONF_NAME_MAX + 1, "%s", found->pw_name);
    else
        snprintf(name, CONF_NAME_MAX + 1, "%u", (unsigned)geteuid());
    return name;
}

/* A file that is there and may not be read is most often root's, and this program is not root. */
static int cannot_open(const char *path, int code, struct rm_err *err)
{
    char user[CONF_NAME_MAX + 1];
    struct stat st;
    if (code == -EACCES && stat(path, &st) == 0)
        return rm_fail(err, code,
                       "%s: %s: it belongs to uid %u, and this program runs as %s; chown %s %s",
                       path, strerror(-code), (unsigned)st.st_uid, own_user(user), user, path);
    return rm_fail(err, code, "%s: %s", path, strerror(-code));
}

/* The file's text, NUL-terminated, to be wiped and freed; checks whose it is. */
static int read_secret(const char *path, char **ret_text, struct rm_err *err)
{
    char user[CONF_NAME_MAX + 1];
    struct stat st;
    int r = 0, fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return cannot_open(path, -errno, err);
    char *text = NULL;
    if (fstat(fd, &st) < 0)
        r = rm_fail(err, -errno, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        r = rm_fail(err, -EINVAL, "%s: a key file is an ordinary file", path);
    else if (st.st_uid != geteuid() && st.st_uid != 0)
        r = rm_fail(err, -EPERM, "%s: belongs to another user (uid %u); chown %s %s", path,
                    (unsigned)st.st_uid, own_user(user), path);
    else if (st.st_mode & (S_IRWXG | S_IRWXO))
        r = rm_fail(err, -EPERM,
                    "%s: others may read or change it (mode %04o); chown %s %s && chmod 600 %s",
                    path, (unsigned)(st.st_mode & 07777), own_user(user), path, path);
    else if (st.st_size > KEY_FILE_MAX)
        r = rm_fail(err, -EINVAL, "%s: too long for a key file", path);
    else if (!(text = calloc(1, (size_t)st.st_size + 1)))
        r = rm_fail(err, -ENOMEM, "%s: %s", path, strerror(ENOMEM));
    else if (read(fd, text, (size_t)st.st_size) != st.st_size)
        r = rm_fail(err, -EIO, "%s: cannot be read", path);
    close(fd);
    if (r < 0)
        free(text);
    else
        *ret_text = text;
    return r;
}

int net_key_read(const char *path, char public_key[static CONF_Z85_LEN + 1],
                 char secret_key[static CONF_Z85_LEN + 1], struct rm_err *err)
{
    char *text = NULL, derived[CONF_Z85_LEN + 1];
    const char *public_text, *secret_text;
    config_t config;
    int r = read_secret(path, &text, err);
    if (r < 0)
        return r;
    config_init(&config);
    if (config_read_string(&config, text) != CONFIG_TRUE)
        r = rm_fail(err, -EINVAL, "%s:%d: %s", path, config_error_line(&config),
                    config_error_text(&config));
    else if (config_lookup_string(&config, "public", &public_text) != CONFIG_TRUE ||
             config_lookup_string(&config, "secret", &secret_text) != CONFIG_TRUE)
        r = rm_fail(err, -EINVAL, "%s: needs `public` and `secret`, both texts", path);
    else if (!net_key_is_valid(public_text) || !net_key_is_valid(secret_text))
        r = rm_fail(err, -EINVAL, "%s: a key has %d characters of Z85", path, CONF_Z85_LEN);
    else if (net_key_public(secret_text, derived) < 0 || strcmp(derived, public_text) != 0)
        r = rm_fail(err, -EINVAL, "%s: `public` does not belong to `secret`", path);
    if (r >= 0) {
        memcpy(public_key, public_text, CONF_Z85_LEN + 1);
        memcpy(secret_key, secret_text, CONF_Z85_LEN + 1);
    }
    config_destroy(&config);
    explicit_bzero(text, strlen(text));
    free(text);
    return r;
}

int net_key_check(const char *path, struct rm_err *err)
{
    char public_key[CONF_Z85_LEN + 1], secret_key[CONF_Z85_LEN + 1];
    int r = net_key_read(path, public_key, secret_key, err);
    explicit_bzero(secret_key, sizeof(secret_key));
    return r;
}
