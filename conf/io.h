/* io.h - whole texts from and to a descriptor, whatever signals come */
#ifndef CONF_IO_H
#define CONF_IO_H

#include <stddef.h>

/* All of it. 0, or a negative errno. */
int io_write(int fd, const char *text, size_t length);

/* All that is there, with a NUL behind it, to be freed. -EFBIG: more than `most` bytes; -ENOMEM, or
 * what read(2) says. */
int io_read(int fd, size_t most, char **ret_text, size_t *ret_length);

/* A file, or the names in a directory, are on disk when it returns. 0, or a negative errno. */
int io_sync(const char *path);

#endif
