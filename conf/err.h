/* err.h - why something failed, for a person
 *
 * A function that a person must understand takes a `struct rm_err *` and fills it when it fails;
 * the return value stays a negative errno for the program. NULL is allowed: then only the code is
 * kept.
 *
 * A text is one line: control characters in what is written become blanks, a text that does not fit
 * ends with "...". Arguments may point into the text that is replaced. errno stays as it is. */
#ifndef CONF_ERR_H
#define CONF_ERR_H

#include <errno.h>

enum { RM_ERR_MAX = 2048 }; /* libvirt's own texts run to several hundred bytes and are never cut */

struct rm_err {
    char text[RM_ERR_MAX]; /* one line without its end, NUL-terminated; empty: nothing failed */
};

/* Writes the text and is the code, so that `return rm_fail(err, -EINVAL, "...")` is one line. The
 * code is evaluated last. */
#define rm_fail(err, code, ...) (rm_err_set((err), __VA_ARGS__), rm_err_code(code))

/* Puts "prefix: " before the text that is there, and is the code. */
#define rm_prefix(err, code, ...) (rm_err_prefix((err), __VA_ARGS__), rm_err_code(code))

/* The text alone. */
void rm_err_set(struct rm_err *err, const char *format, ...) __attribute__((format(printf, 2, 3)));
void rm_err_prefix(struct rm_err *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The code of a failure is negative, and where it is inlined the compiler and analyzers know it.
 * One that is not would be taken for success: it counts as -EIO. */
static inline int rm_err_code(int code)
{
    return code < 0 ? code : -EIO;
}

#endif
