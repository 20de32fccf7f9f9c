/* expr_func.h - the steps, the values and the functions of sums */
#ifndef STORE_TABLES_EXPR_FUNC_H
#define STORE_TABLES_EXPR_FUNC_H

#include "conf/err.h"
#include "store/tables/regex.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SUM_WIDTH_MAX = 64,     /* of a sprintf */
    SUM_SCRATCH_MAX = 4096, /* bytes of texts that one sum makes */
};

enum sum_kind {
    SUM_NUMBER,
    SUM_TEXT,
    SUM_GROUP,
    SUM_NEGATE,
    SUM_ADD,
    SUM_SUBTRACT,
    SUM_MULTIPLY,
    SUM_DIVIDE,
    SUM_REMAINDER,
    SUM_DROP,
    SUM_CALL,
};

struct sum_step {
    enum sum_kind kind;
    unsigned args; /* of a SUM_CALL */
    int64_t n;     /* SUM_NUMBER; which SUM_GROUP; which function of a SUM_CALL */
    struct regex_span text;
};

struct sum_value {
    bool is_text;
    int64_t number;
    struct regex_span text;
};

static inline struct sum_value sum_number(int64_t n)
{
    return (struct sum_value){.number = n};
}

static inline struct sum_value sum_text(struct regex_span text)
{
    return (struct sum_value){.is_text = true, .text = text};
}

static inline bool sum_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* As Perl counts with a text: the number that it begins with. -EINVAL: beyond 64 bits. */
int sum_to_number(const struct sum_value *value, int64_t *ret_n, struct rm_err *err);
/* A value as text, in `room` where it is a number. */
struct regex_span sum_to_text(const struct sum_value *value, char room[static 32]);

/* The number of a function, or -ENOENT. */
int sum_function(const char *name, size_t length);
/* Is a call right, as far as the text alone shows it? steps are those of its arguments, the first
 * argument has n_first of them, all have n. */
int sum_check_call(int function, const struct sum_step *steps, size_t n_first, size_t n,
                   unsigned args, struct rm_err *err);
/* The result takes the place of the first argument; texts are made at *scratch. */
int sum_call(const struct sum_step *step, struct sum_value *args, char **scratch, const char *end,
             struct rm_err *err);

#endif
