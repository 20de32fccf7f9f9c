/* err.h - why something failed, for a person
 *
 * A function that a person must understand takes a `struct rm_err *` and fills it when it fails;
 * the return value stays a negative errno for the program. NULL is allowed: then only the code is
 * kept.
 *
 * A text is one line: control characters in what is written become blanks, a text that does not fit
 * ends with "...". Arguments may point into the text that is replaced. */
#ifndef CONF_ERR_H
#define CONF_ERR_H

enum { RM_ERR_MAX = 2048 }; /* libvirt's own texts run to several hundred bytes and are never cut */

struct rm_err {
    char text[RM_ERR_MAX]; /* one line without its end, NUL-terminated; empty: nothing failed */
};

/* Writes the text and returns code, so that `return rm_fail(err, -EINVAL, "...")` is one line. */
int rm_fail(struct rm_err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "prefix: " before the text that is there; returns code. */
int rm_prefix(struct rm_err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Makes one line of a text in place: the line's end goes, control characters inside (those of UTF-8
 * as well, a terminal obeys them) become blanks. The text is returned. */
char *rm_one_line(char *text);

#endif
