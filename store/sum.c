/* sum.c - the sums in a pattern
 *
 * A reader by descent writes steps for a stack: operands first, then what is done with them. The
 * height of the stack is known when the sum is read, so carrying it out checks nothing. */
#include "store/sum.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/pattern.h"

enum kind { NUMBER, TEXT, GROUP, NEGATE, ADD, SUBTRACT, MULTIPLY, DIVIDE, REMAINDER, DROP, CALL };

struct step {
    enum kind kind;
    unsigned args; /* of a CALL */
    int64_t n;     /* NUMBER; which GROUP; which function of a CALL */
    struct regex_span text;
};

struct sum {
    struct step *steps;
    size_t n, room;
};

struct value {
    bool is_text;
    int64_t number;
    struct regex_span text;
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

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

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

static int add(struct reader *in, struct step step, int height)
{
    struct sum *sum = in->sum;
    if (sum->n == sum->room) {
        size_t room = sum->room ? sum->room * 2 : 8;
        struct step *steps = reallocarray(sum->steps, room, sizeof(*steps));
        if (!steps)
            return rm_fail(in->err, -ENOMEM, "out of memory");
        sum->steps = steps;
        sum->room = room;
    }
    sum->steps[sum->n++] = step;
    in->height = (unsigned)((int)in->height + height);
    if (in->height > SUM_VALUES_MAX)
        return rm_fail(in->err, -EINVAL, "more than %d values at once in a sum", SUM_VALUES_MAX);
    return 0;
}

/* Functions: how many arguments, and what can be said of them when they are read. */
static int check_sprintf(struct reader *in, const struct step *format, unsigned args);
static int check_skip(struct reader *in, const struct step *steps, unsigned args);
static int call(const struct step *step, struct value *args, char **scratch, const char *end,
                struct rm_err *err);

enum function { SPRINTF, A2IDX, A2ZIDX, MKNUM, DIM2IDX, SKIP, IPADD };
static const struct function_row {
    const char *name;
    unsigned least, most;
} functions[] = {
    [SPRINTF] = {"sprintf", 1, 64}, [A2IDX] = {"a2idx", 1, 1},      [A2ZIDX] = {"a2zidx", 1, 1},
    [MKNUM] = {"mknum", 1, 1},      [DIM2IDX] = {"dim2idx", 1, 63}, [SKIP] = {"skip", 2, 2},
    [IPADD] = {"ipadd", 7, 7},
};
enum { N_FUNCTIONS = sizeof(functions) / sizeof(functions[0]) };

static int read_number(struct reader *in)
{
    const char *start = in->at;
    unsigned base = 10;
    uint64_t n = 0;
    if (*in->at == '0' && in->end - in->at > 1) {
        base = in->at[1] == 'x' || in->at[1] == 'X' ? 16 : 8;
        in->at += base == 16 ? 2 : 1;
        if (base == 8 && !is_digit(*in->at) && !is_letter(*in->at)) /* a plain 0 */
            return add(in, (struct step){.kind = NUMBER, .n = 0}, 1);
    }
    const char *digits = in->at;
    for (; in->at < in->end && (is_digit(*in->at) || is_letter(*in->at)); in->at++) {
        char c = *in->at;
        unsigned digit = is_digit(c)                          ? (unsigned)(c - '0')
                         : (c | 32) >= 'a' && (c | 32) <= 'f' ? (unsigned)((c | 32) - 'a' + 10)
                                                              : 99;
        if (digit >= base || n > ((uint64_t)INT64_MAX - digit) / base)
            break;
        n = n * base + digit;
    }
    if (in->at == digits || (in->at < in->end && (is_digit(*in->at) || is_letter(*in->at))))
        return rm_fail(in->err, -EINVAL, "'%.*s' is no whole number%s",
                       (int)(in->end - start > 20 ? 20 : in->end - start), start,
                       base == 8 ? "; with a 0 in front it is an octal one" : "");
    return add(in, (struct step){.kind = NUMBER, .n = (int64_t)n}, 1);
}

static int read_group(struct reader *in)
{
    unsigned n = 0;
    const char *start = in->at++;
    while (in->at < in->end && is_digit(*in->at) && n <= SUM_GROUPS_MAX)
        n = n * 10 + (unsigned)(*in->at++ - '0');
    if (n == 0 || n > SUM_GROUPS_MAX)
        return rm_fail(in->err, -EINVAL, "'%.*s' is none of $1 ... $%d",
                       (int)(in->at - start > 8 ? 8 : in->at - start), start, SUM_GROUPS_MAX);
    if (n > in->groups)
        return rm_fail(in->err, -EINVAL, "$%u, but the expression has %u pair%s of parentheses", n,
                       in->groups, in->groups == 1 ? "" : "s");
    return add(in, (struct step){.kind = GROUP, .n = n}, 1);
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
    return add(in, (struct step){.kind = TEXT, .text = {start, length}}, 1);
}

static int read_call(struct reader *in)
{
    const char *start = in->at;
    unsigned args;
    while (in->at < in->end && (is_letter(*in->at) || is_digit(*in->at)))
        in->at++;
    int length = (int)(in->at - start);
    unsigned f = 0;
    while (f < N_FUNCTIONS && (strlen(functions[f].name) != (size_t)length ||
                               memcmp(functions[f].name, start, (size_t)length) != 0))
        f++;
    if (f == N_FUNCTIONS)
        return rm_fail(in->err, -EINVAL, "'%.*s' is no function that may stand in a sum",
                       length > 100 ? 100 : length, start);
    if (peek(in) != '(')
        return rm_fail(in->err, -EINVAL, "%s without its (", functions[f].name);
    size_t first = in->sum->n;
    int r = list(in, &args, /* is_call = */ true);
    if (r < 0)
        return r;
    if (args < functions[f].least || args > functions[f].most || (f == DIM2IDX && args % 2 == 0))
        return rm_fail(in->err, -EINVAL, "%s cannot have %u argument%s", functions[f].name, args,
                       args == 1 ? "" : "s");
    r = f == SPRINTF ? check_sprintf(in, &in->sum->steps[first], args)
        : f == SKIP  ? check_skip(in, &in->sum->steps[in->sum->n - 1], args)
                     : 0;
    if (r < 0)
        return r;
    return add(in, (struct step){.kind = CALL, .n = f, .args = args}, 1 - (int)args);
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
            : is_digit(c)           ? read_number(in)
            : is_letter(c)          ? read_call(in)
            : c == '\0' ? rm_fail(in->err, -EINVAL, "a value is missing at the end of a sum")
                        : rm_fail(in->err, -EINVAL, "a value is missing before '%.*s'",
                                  (int)(in->end - in->at > 20 ? 20 : in->end - in->at), in->at);
    for (; r == 0 && minus > 0; minus--)
        r = add(in, (struct step){.kind = NEGATE}, 0);
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
                    (struct step){.kind = c == '*'   ? MULTIPLY
                                          : c == '/' ? DIVIDE
                                                     : REMAINDER},
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
            r = add(in, (struct step){.kind = c == '+' ? ADD : SUBTRACT}, -1);
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
            r = add(in, (struct step){.kind = DROP}, -1);
    } while (r == 0 && peek(in) == ',');
    *ret_n = n;
    in->first_end = first_end;
    return r;
}

static int list(struct reader *in, unsigned *ret_n, bool is_call)
{
    if (++in->depth > PATTERN_DEPTH_MAX)
        return rm_fail(in->err, -EINVAL, "more than %d parentheses inside one another",
                       PATTERN_DEPTH_MAX);
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

/* ---- values */

static struct value number(int64_t n)
{
    return (struct value){.number = n};
}

static struct value text_value(struct regex_span text)
{
    return (struct value){.is_text = true, .text = text};
}

/* As Perl counts with a text: the number that it begins with. */
static int to_number(const struct value *value, int64_t *ret_n, struct rm_err *err)
{
    if (!value->is_text) {
        *ret_n = value->number;
        return 0;
    }
    const char *at = value->text.text, *end = at + value->text.length;
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    bool minus = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    int64_t n = 0;
    for (; at < end && is_digit(*at); at++) {
        int64_t digit = *at - '0';
        if (__builtin_mul_overflow(n, 10, &n) || __builtin_sub_overflow(n, digit, &n))
            return rm_fail(err, -EINVAL, "the number '%.*s' is too large", (int)value->text.length,
                           value->text.text);
    } /* counted below zero, where there is one more */
    if (!minus && __builtin_sub_overflow((int64_t)0, n, &n))
        return rm_fail(err, -EINVAL, "the number '%.*s' is too large", (int)value->text.length,
                       value->text.text);
    *ret_n = n;
    return 0;
}

/* A value as text, in `room` bytes of which it may use none. */
static struct regex_span to_text(const struct value *value, char room[static 32])
{
    if (value->is_text)
        return value->text;
    int n = snprintf(room, 32, "%" PRId64, value->number);
    return (struct regex_span){room, (size_t)n};
}

/* ---- sprintf */

struct conversion {
    bool zero, left;
    unsigned width;
    char type; /* d, x, X, o, s or %; 0: the format is wrong */
};

/* Reads what follows a %; *at moves behind it. */
static struct conversion read_conversion(const char **at, const char *end)
{
    struct conversion c = {0};
    for (; *at < end && (**at == '0' || **at == '-'); (*at)++) {
        c.zero |= **at == '0';
        c.left |= **at == '-';
    }
    for (; *at < end && is_digit(**at) && c.width <= PATTERN_WIDTH_MAX; (*at)++)
        c.width = c.width * 10 + (unsigned)(**at - '0');
    if (*at < end && c.width <= PATTERN_WIDTH_MAX && memchr("dxXos%", **at, 6))
        c.type = *(*at)++;
    return c;
}

static int check_sprintf(struct reader *in, const struct step *format, unsigned args)
{
    if (format->kind != TEXT || format + 1 != in->sum->steps + in->first_end)
        return rm_fail(in->err, -EINVAL, "sprintf needs its format as a text between quotes");
    const char *at = format->text.text, *end = at + format->text.length;
    unsigned n = 0;
    while (at < end) {
        if (*at++ != '%')
            continue;
        struct conversion c = read_conversion(&at, end);
        if (!c.type)
            return rm_fail(in->err, -EINVAL,
                           "the format '%.*s': only %%d, %%x, %%X, %%o, %%s, with a width up to %d "
                           "and the flags 0 and -",
                           (int)(format->text.length > 100 ? 100 : format->text.length),
                           format->text.text, PATTERN_WIDTH_MAX);
        n += c.type != '%';
    }
    if (n != args - 1)
        return rm_fail(in->err, -EINVAL, "the format '%.*s' needs %u value%s, not %u",
                       (int)(format->text.length > 100 ? 100 : format->text.length),
                       format->text.text, n, n == 1 ? "" : "s", args - 1);
    return 0;
}

static int put(char **to, const char *end, const char *text, size_t length, struct rm_err *err)
{
    if (length > (size_t)(end - *to))
        return rm_fail(err, -E2BIG, "a sum makes texts of more than %d bytes", SUM_SCRATCH_MAX);
    if (length > 0)
        memcpy(*to, text, length);
    *to += length;
    return 0;
}

static int pad(char **to, const char *end, char c, size_t n, struct rm_err *err)
{
    int r = 0;
    for (; n > 0 && r == 0; n--)
        r = put(to, end, &c, 1, err);
    return r;
}

static int convert(struct conversion c, const struct value *value, char **to, const char *end,
                   struct rm_err *err)
{
    char digits[32];
    struct regex_span text = {"%", 1};
    int64_t n = 0;
    bool minus = false;
    int r = 0;
    if (c.type == 's') {
        text = to_text(value, digits);
    } else if (c.type != '%') {
        r = to_number(value, &n, err);
        minus = c.type == 'd' && n < 0;
        uint64_t u = minus ? 0 - (uint64_t)n : (uint64_t)n;
        text.text = digits;
        text.length = (size_t)(c.type == 'd'   ? snprintf(digits, sizeof(digits), "%" PRIu64, u)
                               : c.type == 'x' ? snprintf(digits, sizeof(digits), "%" PRIx64, u)
                               : c.type == 'X' ? snprintf(digits, sizeof(digits), "%" PRIX64, u)
                                               : snprintf(digits, sizeof(digits), "%" PRIo64, u));
    }
    size_t length = text.length + minus;
    size_t fill = c.width > length ? c.width - length : 0;
    if (r == 0 && !c.left && !c.zero)
        r = pad(to, end, ' ', fill, err);
    if (r == 0 && minus)
        r = put(to, end, "-", 1, err);
    if (r == 0 && !c.left && c.zero)
        r = pad(to, end, '0', fill, err);
    if (r == 0)
        r = put(to, end, text.text, text.length, err);
    if (r == 0 && c.left)
        r = pad(to, end, ' ', fill, err);
    return r;
}

static int do_sprintf(struct value *args, char **scratch, const char *end, struct rm_err *err)
{
    const char *at = args[0].text.text, *stop = at + args[0].text.length, *start = *scratch;
    const struct value *next = args + 1;
    int r = 0;
    while (at < stop && r == 0) {
        if (*at != '%') {
            r = put(scratch, end, at++, 1, err);
            continue;
        }
        at++;
        struct conversion c = read_conversion(&at, stop);
        r = convert(c, next, scratch, end, err);
        next += c.type != '%';
    }
    args[0] = text_value((struct regex_span){start, (size_t)(*scratch - start)});
    return r;
}

/* ---- the other functions */

/* One "s[:c]" of a list; *at moves behind it and its comma. False: it is none. */
static bool read_range(const char **at, const char *end, int64_t *ret_start, int64_t *ret_count)
{
    enum { DIGITS = 18 };
    int64_t n[2] = {0, 1};
    for (int i = 0; i < 2; i++) {
        const char *start = *at;
        for (n[i] = 0; *at < end && is_digit(**at) && *at - start < DIGITS; (*at)++)
            n[i] = n[i] * 10 + (**at - '0');
        if (*at == start)
            return false;
        if (i == 0 && (*at == end || **at != ':')) {
            n[1] = 1;
            break;
        }
        *at += i == 0;
    }
    *ret_start = n[0];
    *ret_count = n[1];
    if (*at == end)
        return true;
    return *(*at)++ == ',' && *at < end;
}

static int check_skip(struct reader *in, const struct step *last, unsigned args)
{
    if (args != 2 || last->kind != TEXT)
        return 0; /* only the name will tell */
    const char *at = last->text.text, *end = at + last->text.length;
    int64_t start, count;
    bool ok = true;
    while (ok && at < end)
        ok = read_range(&at, end, &start, &count);
    return ok ? 0
              : rm_fail(in->err, -EINVAL, "skip: '%.*s' is no list of START[:COUNT]",
                        (int)(last->text.length > 100 ? 100 : last->text.length), last->text.text);
}

static int do_skip(struct value *args, struct rm_err *err)
{
    char room[32];
    struct regex_span ranges = to_text(&args[1], room);
    const char *at = ranges.text, *end = at + ranges.length;
    int64_t i, start, count, left;
    int r = to_number(&args[0], &i, err);
    left = i;
    while (r == 0 && at < end) {
        if (!read_range(&at, end, &start, &count))
            return rm_fail(err, -EINVAL, "skip: '%.*s' is no list of START[:COUNT]",
                           (int)ranges.length, ranges.text);
        if (i >= start && i - start < count) {
            left = -1;
            break;
        }
        if (i >= start && __builtin_sub_overflow(left, count, &left))
            return rm_fail(err, -EINVAL, "skip: a number is too large");
    }
    args[0] = number(left);
    return r;
}

static int do_dim2idx(struct value *args, unsigned n, struct rm_err *err)
{
    int64_t sum, size, place;
    int r = to_number(&args[0], &sum, err);
    for (unsigned i = 1; r == 0 && i < n; i += 2) {
        r = to_number(&args[i], &size, err);
        if (r == 0)
            r = to_number(&args[i + 1], &place, err);
        if (r == 0 &&
            (__builtin_sub_overflow(sum, 1, &sum) || __builtin_mul_overflow(sum, size, &sum) ||
             __builtin_add_overflow(sum, place, &sum)))
            r = rm_fail(err, -EINVAL, "dim2idx: the number is too large");
    }
    args[0] = number(sum);
    return r;
}

static int do_ipadd(struct value *args, char **scratch, const char *end, struct rm_err *err)
{
    enum { OCTET = 256 };
    int64_t n[7];
    char text[96];
    int r = 0;
    for (int i = 0; i < 7 && r == 0; i++)
        r = to_number(&args[i], &n[i], err);
    if (r < 0)
        return r;
    int64_t size = OCTET - n[5] - n[6];
    for (int i = 0; i < 7; i++)
        if (i != 4 && (n[i] < 0 || n[i] >= OCTET))
            return rm_fail(err, -EINVAL, "ipadd: %" PRId64 " is no part of an address", n[i]);
    if (size <= 0)
        return rm_fail(err, -EINVAL, "ipadd: nothing is left to count");
    int64_t place = n[3] - n[5];
    if (__builtin_add_overflow(place, n[4], &place) || place < 0 || place / size > OCTET - 1 - n[2])
        return rm_fail(err, -EINVAL,
                       "ipadd: %" PRId64 " leads out of %" PRId64 ".%" PRId64 ".0.0/16", n[4], n[0],
                       n[1]);
    int length = snprintf(text, sizeof(text), "%" PRId64 ".%" PRId64 ".%" PRId64 ".%" PRId64, n[0],
                          n[1], n[2] + place / size, place % size + n[5]);
    args[0] = text_value((struct regex_span){*scratch, (size_t)length});
    return put(scratch, end, text, (size_t)length, err);
}

static int do_letter(struct value *args, int first, struct rm_err *err)
{
    char room[32];
    struct regex_span text = to_text(&args[0], room);
    char c = text.length == 1 ? (char)(*text.text | 32) : '\0';
    if (c < 'a' || c > 'z')
        return rm_fail(err, -EINVAL, "%s needs one letter, not '%.*s'", first ? "a2idx" : "a2zidx",
                       (int)text.length, text.text);
    args[0] = number(c - 'a' + first);
    return 0;
}

static void do_mknum(struct value *args)
{
    char room[32];
    struct regex_span text = to_text(&args[0], room);
    int64_t n = 0;
    for (size_t i = 0; i < text.length; i++)
        n += (unsigned char)text.text[i];
    args[0] = number(n);
}

/* The result takes the place of the first argument. */
static int call(const struct step *step, struct value *args, char **scratch, const char *end,
                struct rm_err *err)
{
    switch ((enum function)step->n) {
    case SPRINTF:
        return do_sprintf(args, scratch, end, err);
    case A2IDX:
        return do_letter(args, 1, err);
    case A2ZIDX:
        return do_letter(args, 0, err);
    case MKNUM:
        do_mknum(args);
        return 0;
    case DIM2IDX:
        return do_dim2idx(args, step->args, err);
    case SKIP:
        return do_skip(args, err);
    case IPADD:
        return do_ipadd(args, scratch, end, err);
    }
    return -EINVAL;
}

/* ---- carrying out */

static int operate(enum kind kind, struct value *left, const struct value *right,
                   struct rm_err *err)
{
    int64_t a, b, n = 0;
    bool overflow = false;
    int r = to_number(left, &a, err);
    if (r == 0)
        r = to_number(right, &b, err);
    if (r < 0)
        return r;
    if ((kind == DIVIDE || kind == REMAINDER) && b == 0)
        return rm_fail(err, -EINVAL, "division by zero");
    if (kind == ADD)
        overflow = __builtin_add_overflow(a, b, &n);
    else if (kind == SUBTRACT)
        overflow = __builtin_sub_overflow(a, b, &n);
    else if (kind == MULTIPLY)
        overflow = __builtin_mul_overflow(a, b, &n);
    else if (b == -1) /* the least number has no counterpart */
        overflow = kind == DIVIDE && __builtin_sub_overflow((int64_t)0, a, &n);
    else
        n = kind == DIVIDE ? a / b : a % b;
    *left = number(n);
    return overflow ? rm_fail(err, -EINVAL, "the number is too large") : 0;
}

static int negate(struct value *value, struct rm_err *err)
{
    int64_t n;
    int r = to_number(value, &n, err);
    if (r == 0 && __builtin_sub_overflow((int64_t)0, n, &n))
        r = rm_fail(err, -EINVAL, "the number is too large");
    *value = number(n);
    return r;
}

int sum_apply(const struct sum *sum, const struct regex_span *groups, unsigned n, char *to,
              size_t room, struct rm_err *err)
{
    struct value stack[SUM_VALUES_MAX];
    struct value *top = stack; /* behind the last */
    char scratch[SUM_SCRATCH_MAX], *used = scratch, digits[32];
    int r = 0;
    for (size_t i = 0; i < sum->n && r == 0; i++) {
        const struct step *step = &sum->steps[i];
        switch (step->kind) {
        case NUMBER:
            *top++ = number(step->n);
            break;
        case TEXT:
            *top++ = text_value(step->text);
            break;
        case GROUP:
            *top++ = text_value(step->n <= (int64_t)n && groups[step->n - 1].text
                                    ? groups[step->n - 1]
                                    : (struct regex_span){"", 0});
            break;
        case NEGATE:
            r = negate(top - 1, err);
            break;
        case DROP:
            top--;
            top[-1] = top[0];
            break;
        case CALL:
            top -= step->args;
            r = call(step, top, &used, scratch + sizeof(scratch), err);
            top++;
            break;
        default:
            top--;
            r = operate(step->kind, top - 1, top, err);
        }
    }
    if (r < 0)
        return r;
    struct regex_span text = to_text(top - 1, digits);
    if (text.length > room)
        return rm_fail(err, -E2BIG, "the value is too long");
    if (text.length > 0)
        memcpy(to, text.text, text.length);
    return (int)text.length;
}
