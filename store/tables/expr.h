/* expr.h - the sums in a pattern: ($1+0), (sprintf('%02d', ($1-1)/8+1))
 *
 * A sum is read once into a list of steps and carried out for each name; pattern.h says what it may
 * hold. Nothing recurses but the reading, whose depth is bounded. */
#ifndef STORE_TABLES_EXPR_H
#define STORE_TABLES_EXPR_H

#include "conf/err.h"
#include "store/tables/regex.h"

#include <stddef.h>

enum {
    SUM_GROUPS_MAX = 99,  /* $99 */
    SUM_DEPTH_MAX = 32,   /* parentheses inside one another */
    SUM_VALUES_MAX = 128, /* values at once, arguments counted */
};

struct sum;

/* text: what stands between the outermost parentheses; borrowed as long as the sum lives. groups:
 * how many $n there are. -EINVAL with what is wrong; -ENOMEM. */
int sum_new(const char *text, size_t length, unsigned groups, struct sum **ret_sum,
            struct rm_err *err);
void sum_free(struct sum *sum); /* NULL is fine */

/* groups[0] is $1; one that is absent or behind n counts as the empty text. Writes the value into
 * `to`, which has room for `room` bytes, and returns its length; -EINVAL: cannot be evaluated with
 * these; -E2BIG: no room. */
int sum_apply(const struct sum *sum, const struct regex_span *groups, unsigned n, char *to,
              size_t room, struct rm_err *err);

#endif
