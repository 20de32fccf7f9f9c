/* regex.h - Perl's regular expressions for people's patterns, with a bound on what they may cost
 *
 * PCRE2, which reads what xCAT's sites have written for Perl. An expression comes from outside, so
 * every match counts its steps against a budget that the caller gives: an expression that would
 * take for ever is an error, not a broker that stands still. */
#ifndef STORE_TABLES_REGEX_H
#define STORE_TABLES_REGEX_H

#include "conf/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    REGEX_TEXT_MAX = 4096,    /* bytes of an expression */
    REGEX_SUBJECT_MAX = 8192, /* bytes of a text that is matched */
    REGEX_STEPS_MAX = 100000, /* of a match without a budget */
};

enum regex_flags {
    REGEX_WHOLE = 1, /* matches a text from its first to its last byte or not at all */
};

struct regex;
struct regex_span {
    const char *text; /* in the subject; NULL: the group took no part */
    size_t length;
};

/* -EINVAL with PCRE2's own words and the place; -ENOMEM. */
int regex_new(const char *text, size_t length, int flags, struct regex **ret_regex,
              struct rm_err *err);
void regex_free(struct regex *regex); /* NULL is fine */

unsigned regex_groups(const struct regex *regex); /* how many parentheses capture */

/* 1: it matches; 0: it does not. steps: what may be spent, counted down (NULL: REGEX_STEPS_MAX).
 * -E2BIG: that was not enough, or the subject is too long. */
int regex_match(struct regex *regex, const char *text, size_t length, uint64_t *steps,
                struct rm_err *err);

/* Group i of the last match (0: all that matched). Points into that subject. */
struct regex_span regex_group(const struct regex *regex, unsigned i);

#endif
