/* io.c - whole texts from and to a descriptor */
#include "conf/io.h"

#include "conf/array.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum { READ_BYTES = 8192 }; /* at once, at least */

int io_write(int fd, const char *text, size_t length)
{
    while (length > 0) {
        ssize_t n = TEMP_FAILURE_RETRY(write(fd, text, length));
        if (n < 0)
            return -errno;
        text += n;
        length -= (size_t)n;
    }
    return 0;
}

int io_read(int fd, size_t most, char **ret_text, size_t *ret_length)
{
    char *text = NULL;
    size_t length = 0, room = 0;
    ssize_t n = 0;
    int r;
    do {
        length += (size_t)n;
        r = length > most ? -EFBIG : array_grow(&text, length + READ_BYTES, &room, 1);
        if (r == 0 && (n = TEMP_FAILURE_RETRY(read(fd, text + length, room - 1 - length))) < 0)
            r = -errno;
    } while (r == 0 && n > 0);
    if (r < 0) {
        free(text);
        return r;
    }
    text[length] = '\0';
    *ret_text = text;
    *ret_length = length;
    return 0;
}

int io_sync(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = fsync(fd) < 0 ? -errno : 0;
    close(fd);
    return r;
}
