/* pattern.h - a stored value that stands for a different text on each node
 *
 * The value of a table may be a pattern, so that one row of a group serves all its nodes. As in
 * xCAT, the shape of the whole value says what it is:
 *
 *   /P/R/   begins and ends with / and has three of them: what the regular expression P matches in
 *           the node's name is replaced by R, as it stands
 *   |P|R|   the same, but each outermost (...) in R is a sum, which is evaluated first; the rest of
 *           R stays as it is
 *   |R|     the same with P made from the name: $1, $2 and so on are its numbers without leading
 *           zeros, and all of the name is replaced
 *
 * A name that P does not match is itself the value. Anything else is no pattern and stands for
 * itself, and so does a value with | that holds a newline.
 *
 * A sum is whole numbers (leading 0: octal, 0x: hexadecimal), $1...$99, + - * / % (/ and % towards
 * zero), parentheses, 'texts', a comma (the last value counts), and
 *
 *   sprintf('%02d', e, ...)    d, x, X, o and s, with a width and the flags 0 and -
 *   a2idx('c') a2zidx('c')     the letter's place in the alphabet from 1, from 0
 *   mknum('text')              the sum of its bytes
 *   dim2idx(v, n, v, n, v)     a place in a grid to one number; all values count from 1, n is the
 *                              size of the dimension to its right
 *   skip(i, 's[:c],...')       i without the c (1) numbers from s on; -1 when it is one of those
 *   ipadd(a, b, c, d, n, s, e) the address n after a.b.c.d, leaving out the first s and the last e
 *                              of each 256
 *
 * A text in a sum counts as the number that it begins with, 0 when it begins with none. Nothing
 * else is evaluated: what is no such sum is refused when it is imported (pattern_check). What
 * depends on the name - a division by zero, a number beyond 64 bits - is an error when it is read;
 * xCAT gives an empty value there. Linear time and memory; the regular expression is bounded as
 * regex.h says, a sum as expr.h says. */
#ifndef STORE_TABLES_PATTERN_H
#define STORE_TABLES_PATTERN_H

#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    PATTERN_TEXT_MAX = 16 * 1024,   /* bytes of a value that is a pattern */
    PATTERN_NODE_MAX = 255,         /* of a node's name */
    PATTERN_RESULT_MAX = 16 * 1024, /* of what it stands for */
    PATTERN_STEPS_MAX = 20000,      /* of the regular expression, on one name */
};

struct pattern;

bool pattern_is(const char *value); /* false: it stands for itself */

/* value: pattern_is(). -EINVAL with why it cannot be evaluated; -ENOMEM. */
int pattern_new(const char *value, struct pattern **ret_pattern, struct rm_err *err);
void pattern_free(struct pattern *pattern); /* NULL is fine */

/* What it stands for on that node, into PATTERN_RESULT_MAX + 1 bytes. Returns its length, or
 * -EINVAL (cannot be evaluated on this name), -E2BIG (too long, too many steps), -ENOMEM. */
int pattern_apply(struct pattern *pattern, const char *node, char *ret_text, struct rm_err *err);

/* Steps that the regular expression took the last time. */
uint64_t pattern_steps(const struct pattern *pattern);

/* Can it be stored? 0 for what is no pattern. */
int pattern_check(const char *value, struct rm_err *err);

/* Any value on any node, for those who do it once; the same as pattern_apply(). */
int pattern_expand(const char *value, const char *node, char *ret_text, struct rm_err *err);

#endif
