/* nodefile.h - the files in a noderange: ^FILE
 *
 * The broker reads no files for others, so whoever asks replaces them first: here, with the rights
 * and in the directory of the one who typed the name. An element ^FILE becomes the nodes of the
 * file, -^FILE takes them away, @^FILE leaves what the file has too. A file's name ends at a comma,
 * an @ or a parenthesis.
 *
 * Lines that begin with # and empty lines do not count. Of each other line the text up to the first
 * colon, blank or tab is a noderange; the lines are united, and one that takes away (-n3) does so
 * from the whole file, wherever it is. A line may name another file; its name is taken from the
 * same directory, the caller's.
 *
 * A file that cannot be read is an error, and so is one that names no nodes, unless it is taken
 * away. Pure but for reading files. No logging. */
#ifndef SUBMIT_NODEFILE_H
#define SUBMIT_NODEFILE_H

#include "conf/err.h"

enum {
    NODEFILE_TEXT_MAX =
        1024 * 1024,           /* bytes of a file, and of what comes out: what a broker takes */
    NODEFILE_FILES_MAX = 1000, /* that one expression may read */
    NODEFILE_DEPTH_MAX = 8,    /* files inside one another */
    NODEFILE_LEVELS_MAX = 64,  /* parentheses inside one another */
};

/* *ret_expression: the same without files, to be freed; quotes (' and ") are gone as well. The code
 * of the file that could not be read (-ENOENT, -EACCES, -EISDIR); -EINVAL: a file that is no text,
 * or a line whose parentheses do not pair; -ENODATA: a file without nodes; -E2BIG: too large, too
 * many, or too deep, as of a file that includes itself; -ENOMEM. */
int nodefile_expand(const char *expression, char **ret_expression, struct rm_err *err);

#endif
