/* source.h - a configuration file, with all that it includes, as one text that libconfig reads
 *
 * libconfig 1.5 alone would not do: it ends the program when an included file cannot be read, cuts
 * an integer above 2^31 without a word, and looks for included files in the working directory. So
 * files are put together here, relative names counting from the file that includes; a number that
 * libconfig would misread is refused; and each line of the whole remembers its own file and line.
 */
#ifndef CONF_SOURCE_H
#define CONF_SOURCE_H

#include "conf/err.h"

#include <stddef.h>

enum {
    SOURCE_BYTES_MAX = 16 << 20, /* of all files together */
    SOURCE_FILES_MAX = 256,      /* included files, the first one counted */
    SOURCE_DEPTH_MAX = 10,       /* a file in a file in a file */
};

struct source;

/* -ENOENT and the like when the file itself cannot be opened, -EINVAL for all that is wrong in it.
 */
int source_read(const char *path, struct source **ret_source, struct rm_err *err);
void source_free(struct source *source);

/* NUL-terminated; no NUL inside. */
const char *source_text(const struct source *source);

/* Where a line (from 1) of the text comes from. The file's name lives as long as the source. */
const char *source_file(const struct source *source, unsigned line, unsigned *ret_line);

#endif
