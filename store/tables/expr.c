/* expr.c - the sums in a pattern
 *
 * A reader by descent writes steps for a stack: operands first, then what is done with them. The
 * height of the stack is known when the sum is read, so carrying it out checks nothing. */
#include "store/tables/expr.h"

#include "conf/array.h"
#include "store/tables/expr_func.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct sum {
    struct sum_step *steps;
    size_t n, room;
};

/* ---- reading */

struct reader {
    struct sum *sum;
    const char *at, *end;
    unsigned groups;
    unsigned depth;   /* of parentheses */
    unsigned height;  /* of the stack here */
    size_t first_end; /* of the list that was read last: steps up to its second value */
    struct rm_err *err;
};

static int list(struct reader *in, unsigned *ret_n, bool is_call);

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static char peek(struct reader *in)
{
    while (in->at < in->end && (*in->at == ' ' || *in->at == '\t'))
        in->at++;
    return in->at < in->end ? *in->at : '\0';
}

static int add(struct reader *in, struct sum_step step, int height)
{
    struct sum *sum = in->sum;
    struct sum_step *added = ARRAY_ADD(sum->steps, sum->n, sum->room);
    if (!added)
        return rm_fail(in->err, -ENOMEM, "out of memory");
    *added = step;
    in->height = (unsigned)((int)in->height + height);
    if (in->height > SUM_VALUES_MAX)
        return rm_fail(in->err, -EINVAL, "more than %d values at once in a sum", SUM_VALUES_MAX);
    return 0;
}

/* A whole number: 0x before hexadecimal, 0 before octal. */
static int read_number(struct reader *in)
{
    const char *start = in->at;
    unsigned base = 10;
    uint64_t n = 0;
    if (*in->at == '0' && in->end - in->at > 1) {
        base = in->at[1] == 'x' || in->at[1] == 'X' ? 16 : 8;
        in->at += base == 16 ? 2 : 1;
        if (base == 8 && !sum_is_digit(*in->at) && !is_letter(*in->at)) /* a plain 0 */
            return add(in, (struct sum_step){.kind = SUM_NUMBER, .n = 0}, 1);
    }
    const char *digits = in->at;
    for (; in->at < in->end && (sum_is_digit(*in->at) || is_letter(*in->at)); in->at++) {
        char c = *in->at;
        unsigned digit = sum_is_digit(c)                      ? (unsigned)(c - '0')
                         : (c | 32) >= 'a' && (c | 32) <= 'f' ? (unsigned)((c | 32) - 'a' + 10)
                                                              : 99;
        if (digit >= base || n > ((uint64_t)INT64_MAX - digit) / base)
            break;
        n = n * base + digit;
    }
    if (in->at == digits || (in->at < in->end && (sum_is_digit(*in->at) || is_letter(*in->at))))
        return rm_fail(in->err, -EINVAL, "'%.*s' is no whole number%s",
                       (int)(in->end - start > 20 ? 20 : in->end - start), start,
                       base == 8 ? "; with a 0 in front it is an octal one" : "");
    return add(in, (struct sum_step){.kind = SUM_NUMBER, .n = (int64_t)n}, 1);
}

static int read_group(struct reader *in)
{
    unsigned n = 0;
    const char *start = in->at++;
    while (in->at < in->end && sum_is_digit(*in->at) && n <= SUM_GROUPS_MAX)
        n = n * 10 + (unsigned)(*in->at++ - '0');
    if (n == 0 || n > SUM_GROUPS_MAX)
        return rm_fail(in->err, -EINVAL, "'%.*s' is none of $1 ... $%d",
                       (int)(in->at - start > 8 ? 8 : in->at - start), start, SUM_GROUPS_MAX);
    if (n > in->groups)
        return rm_fail(in->err, -EINVAL, "$%u, but the expression has %u pair%s of parentheses", n,
                       in->groups, in->groups == 1 ? "" : "s");
    return add(in, (struct sum_step){.kind = SUM_GROUP, .n = n}, 1);
}

/* Between single or double quotes, as it stands: what Perl would replace in it is refused. */
static int read_text(struct reader *in)
{
    char quote = *in->at++;
    const char *start = in->at;
    while (in->at < in->end && *in->at != quote)
        in->at++;
    size_t length = (size_t)(in->at - start);
    if (in->at == in->end)
        return rm_fail(in->err, -EINVAL, "a text without its closing %c", quote);
    if (memchr(start, '\\', length) ||
        (quote == '"' && (memchr(start, '$', length) || memchr(start, '@', length))))
        return rm_fail(in->err, -EINVAL, "the text '%.*s' may hold no \\%s",
                       (int)(length > 100 ? 100 : length), start,
                       quote == '"' ? ", and no $ or @ between \"\"" : "");
    in->at++;
    return add(in, (struct sum_step){.kind = SUM_TEXT, .text = {start, length}}, 1);
}

static int read_call(struct reader *in)
{
    const char *start = in->at;
    unsigned args;
    while (in->at < in->end && (is_letter(*in->at) || sum_is_digit(*in->at)))
        in->at++;
    int length = (int)(in->at - start), f = sum_function(start, (size_t)length);
    length = length > 100 ? 100 : length;
    if (f < 0)
        return rm_fail(in->err, -EINVAL, "'%.*s' is no function that may stand in a sum", length,
                       start);
    if (peek(in) != '(')
        return rm_fail(in->err, -EINVAL, "%.*s without its (", length, start);
    size_t first = in->sum->n;
    int r = list(in, &args, /* is_call = */ true);
    if (r == 0)
        r = sum_check_call(f, &in->sum->steps[first], in->first_end - first, in->sum->n - first,
                           args, in->err);
    if (r == 0)
        r = add(in, (struct sum_step){.kind = SUM_CALL, .n = f, .args = args}, 1 - (int)args);
    return r;
}

static int operand(struct reader *in)
{
    unsigned minus = 0, n;
    char c;
    for (; (c = peek(in)) == '-' || c == '+'; in->at++)
        minus += c == '-';
    int r = c == '('                ? list(in, &n, /* is_call = */ false)
            : c == '$'              ? read_group(in)
            : c == '\'' || c == '"' ? read_text(in)
            : sum_is_digit(c)       ? read_number(in)
            : is_letter(c)          ? read_call(in)
            : c == '\0' ? rm_fail(in->err, -EINVAL, "a value is missing at the end of a sum")
                        : rm_fail(in->err, -EINVAL, "a value is missing before '%.*s'",
                                  (int)(in->end - in->at > 20 ? 20 : in->end - in->at), in->at);
    for (; r == 0 && minus > 0; minus--)
        r = add(in, (struct sum_step){.kind = SUM_NEGATE}, 0);
    return r;
}

static int product(struct reader *in)
{
    int r = operand(in);
    for (char c; r == 0 && ((c = peek(in)) == '*' || c == '/' || c == '%');) {
        in->at++;
        r = operand(in);
        if (r == 0)
            r = add(in,
                    (struct sum_step){.kind = c == '*'   ? SUM_MULTIPLY
                                              : c == '/' ? SUM_DIVIDE
                                                         : SUM_REMAINDER},
                    -1);
    }
    return r;
}

static int expression(struct reader *in)
{
    int r = product(in);
    for (char c; r == 0 && ((c = peek(in)) == '+' || c == '-');) {
        in->at++;
        r = product(in);
        if (r == 0)
            r = add(in, (struct sum_step){.kind = c == '+' ? SUM_ADD : SUM_SUBTRACT}, -1);
    }
    return r;
}

/* What stands between parentheses: arguments, or values of which the last counts. */
static int values(struct reader *in, unsigned *ret_n, bool is_call)
{
    unsigned n = 0;
    size_t first_end = 0;
    int r;
    do {
        in->at += n > 0;
        r = expression(in);
        if (n++ == 0)
            first_end = in->sum->n;
        if (r == 0 && n > 1 && !is_call)
            r = add(in, (struct sum_step){.kind = SUM_DROP}, -1);
    } while (r == 0 && peek(in) == ',');
    *ret_n = n;
    in->first_end = first_end;
    return r;
}

static int list(struct reader *in, unsigned *ret_n, bool is_call)
{
    if (++in->depth > SUM_DEPTH_MAX)
        return rm_fail(in->err, -EINVAL, "more than %d parentheses inside one another",
                       SUM_DEPTH_MAX);
    in->at++;
    int r = values(in, ret_n, is_call);
    if (r == 0 && peek(in) != ')')
        r = rm_fail(in->err, -EINVAL, "'%.*s' cannot be evaluated",
                    (int)(in->end - in->at > 100 ? 100 : in->end - in->at), in->at);
    in->at++;
    in->depth--;
    return r;
}

int sum_new(const char *text, size_t length, unsigned groups, struct sum **ret_sum,
            struct rm_err *err)
{
    struct sum *sum = calloc(1, sizeof(*sum));
    struct reader in = {.sum = sum, .at = text, .end = text + length, .groups = groups, .err = err};
    unsigned n;
    if (!sum)
        return rm_fail(err, -ENOMEM, "out of memory");
    int r = values(&in, &n, /* is_call = */ false);
    if (r == 0 && peek(&in) != '\0')
        r = rm_fail(err, -EINVAL, "'%.*s' cannot be evaluated",
                    (int)(in.end - in.at > 100 ? 100 : in.end - in.at), in.at);
    if (r < 0) {
        sum_free(sum);
        return r;
    }
    *ret_sum = sum;
    return 0;
}

void sum_free(struct sum *sum)
{
    if (!sum)
        return;
    free(sum->steps);
    free(sum);
}

/* ---- carrying out */

static int operate(enum sum_kind kind, struct sum_value *left, const struct sum_value *right,
                   struct rm_err *err)
{
    int64_t a, b, n = 0;
    bool overflow = false;
    int r = sum_to_number(left, &a, err);
    if (r == 0)
        r = sum_to_number(right, &b, err);
    if (r != 0)
        return r;
    if ((kind == SUM_DIVIDE || kind == SUM_REMAINDER) && b == 0)
        return rm_fail(err, -EINVAL, "division by zero");
    if (kind == SUM_ADD)
        overflow = __builtin_add_overflow(a, b, &n);
    else if (kind == SUM_SUBTRACT)
        overflow = __builtin_sub_overflow(a, b, &n);
    else if (kind == SUM_MULTIPLY)
        overflow = __builtin_mul_overflow(a, b, &n);
    else if (b == -1) /* the least number has no counterpart */
        overflow = kind == SUM_DIVIDE && __builtin_sub_overflow((int64_t)0, a, &n);
    else
        n = kind == SUM_DIVIDE ? a / b : a % b;
    *left = sum_number(n);
    return overflow ? rm_fail(err, -EINVAL, "the number is too large") : 0;
}

static int negate(struct sum_value *value, struct rm_err *err)
{
    int64_t n = 0;
    int r = sum_to_number(value, &n, err);
    if (r == 0 && __builtin_sub_overflow((int64_t)0, n, &n))
        r = rm_fail(err, -EINVAL, "the number is too large");
    *value = sum_number(n);
    return r;
}

int sum_apply(const struct sum *sum, const struct regex_span *groups, unsigned n, char *to,
              size_t room, struct rm_err *err)
{
    struct sum_value stack[SUM_VALUES_MAX];
    struct sum_value *top = stack; /* behind the last */
    char scratch[SUM_SCRATCH_MAX], *used = scratch, digits[32];
    int r = 0;
    for (size_t i = 0; i < sum->n && r == 0; i++) {
        const struct sum_step *step = &sum->steps[i];
        switch (step->kind) {
        case SUM_NUMBER:
            *top++ = sum_number(step->n);
            break;
        case SUM_TEXT:
            *top++ = sum_text(step->text);
            break;
        case SUM_GROUP:
            *top++ = sum_text(step->n <= (int64_t)n && groups[step->n - 1].text
                                  ? groups[step->n - 1]
                                  : (struct regex_span){"", 0});
            break;
        case SUM_NEGATE:
            r = negate(top - 1, err);
            break;
        case SUM_DROP:
            top--;
            top[-1] = top[0];
            break;
        case SUM_CALL:
            top -= step->args;
            r = sum_call(step, top, &used, scratch + sizeof(scratch), err);
            top++;
            break;
        default:
            top--;
            r = operate(step->kind, top - 1, top, err);
        }
    }
    if (r < 0)
        return r;
    struct regex_span text = sum_to_text(top - 1, digits);
    if (text.length > room)
        return rm_fail(err, -E2BIG, "the value is too long");
    if (text.length > 0)
        memcpy(to, text.text, text.length);
    return (int)text.length;
}
