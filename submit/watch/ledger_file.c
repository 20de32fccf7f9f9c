/* ledger_file.c - the ledger on disk: one file, replaced as a whole */
#include "submit/watch/ledger_file.h"

#include "conf/env.h"
#include "conf/io.h"
#include "conf/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LEDGER_BYTES_MAX = 256 * 1024 * 1024 }; /* bytes of the file; a longer one is damaged */

/* What stands before the record. */
struct head {
    char magic[8];
    uint64_t length, sum;
};
static const char magic[8] = "RMLEDG1";

struct ledger_file {
    char *path, *new_path, *damaged_path, *directory;
    int lock;
};

/* FNV-1a: a file that was cut or changed is noticed; nobody is kept from forging one who may write it. */
static uint64_t sum_of(const uint8_t *data, size_t length)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < length; i++)
        sum = (sum ^ data[i]) * UINT64_C(0x100000001b3);
    return sum;
}

static int take(struct ledger_file *file, const char *directory, struct rm_err *err)
{
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/lock", directory);
    file->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (file->lock < 0)
        return rm_fail(err, -errno, "watch.state: %s: %s", path, strerror(errno));
    if (flock(file->lock, LOCK_EX | LOCK_NB) < 0)
        return rm_fail(err, -EBUSY, "watch.state: another rmigrate-watch uses %s", directory);
    return 0;
}

static bool is_whole(const char *data, size_t length)
{
    struct head head;
    if (length < sizeof(head))
        return false;
    memcpy(&head, data, sizeof(head));
    return memcmp(head.magic, magic, sizeof(magic)) == 0 && head.length == length - sizeof(head) &&
           head.sum == sum_of((const uint8_t *)data + sizeof(head), head.length);
}

static int set_aside(struct ledger_file *file, struct rm_err *err)
{
    if (rename(file->path, file->damaged_path) < 0)
        return rm_fail(err, -errno, "watch.state: %s: %s", file->path, strerror(errno));
    log_warn("%s is damaged, and is %s now: what happened before this start and was not told will "
             "not be told",
             file->path, file->damaged_path);
    return 0;
}

static int read_record(struct ledger_file *file, struct ledger *ledger, struct rm_err *err)
{
    char *data = NULL;
    size_t length = 0;
    int fd = open(file->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return 0;
    int r = fd < 0 ? -errno : io_read(fd, LEDGER_BYTES_MAX, &data, &length);
    if (fd >= 0)
        close(fd);
    if (r < 0 && r != -EFBIG)
        return rm_fail(err, r, "watch.state: %s: %s", file->path, strerror(-r));
    bool good = r == 0 && is_whole(data, length);
    if (good)
        r = ledger_unpack(ledger, (const uint8_t *)data + sizeof(struct head),
                          length - sizeof(struct head), env_now(env_system()));
    free(data);
    if (good && r == -ENOMEM)
        return rm_fail(err, r, "no memory");
    return good && r == 0 ? 0 : set_aside(file, err);
}

int ledger_file_open(const char *directory, struct ledger *ledger, struct ledger_file **ret_file,
                     struct rm_err *err)
{
    struct ledger_file *file = calloc(1, sizeof(*file));
    if (!file)
        return rm_fail(err, -ENOMEM, "no memory");
    file->lock = -1;
    int r = -ENOMEM;
    if (asprintf(&file->path, "%s/ledger", directory) < 0 ||
        asprintf(&file->new_path, "%s/ledger.new", directory) < 0 ||
        asprintf(&file->damaged_path, "%s/ledger.damaged", directory) < 0 ||
        !(file->directory = strdup(directory)))
        rm_fail(err, r, "no memory");
    else
        r = take(file, directory, err);
    if (r >= 0)
        r = read_record(file, ledger, err);
    if (r < 0) {
        ledger_file_close(file);
        return r;
    }
    *ret_file = file;
    return 0;
}

void ledger_file_close(struct ledger_file *file)
{
    if (!file)
        return;
    if (file->lock >= 0)
        close(file->lock);
    free(file->path);
    free(file->new_path);
    free(file->damaged_path);
    free(file->directory);
    free(file);
}

static int write_new(const struct ledger_file *file, const uint8_t *record, size_t length)
{
    struct head head = {.length = length, .sum = sum_of(record, length)};
    memcpy(head.magic, magic, sizeof(magic));
    int fd = open(file->new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int r = io_write(fd, (const char *)&head, sizeof(head));
    if (r >= 0)
        r = io_write(fd, (const char *)record, length);
    if (close(fd) < 0 && r >= 0)
        r = -errno;
    return r < 0 ? r : io_sync(file->new_path);
}

int ledger_file_write(struct ledger_file *file, const struct ledger *ledger, struct rm_err *err)
{
    uint8_t *record = NULL;
    size_t length = 0;
    int r = ledger_pack(ledger, &record, &length);
    if (r >= 0)
        r = write_new(file, record, length);
    free(record);
    if (r >= 0 && rename(file->new_path, file->path) < 0)
        r = -errno;
    if (r >= 0)
        r = io_sync(file->directory);
    return r < 0 ? rm_fail(err, r, "%s: %s", file->path, strerror(-r)) : 0;
}
