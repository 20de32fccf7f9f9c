/* expr_func.c - the values and the functions of sums */
#include "store/tables/expr_func.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- values */

/* As Perl counts with a text: the number that it begins with. */
int sum_to_number(const struct sum_value *value, int64_t *ret_n, struct rm_err *err)
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
    for (; at < end && sum_is_digit(*at); at++) {
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
struct regex_span sum_to_text(const struct sum_value *value, char room[static 32])
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
    for (; *at < end && sum_is_digit(**at) && c.width <= SUM_WIDTH_MAX; (*at)++)
        c.width = c.width * 10 + (unsigned)(**at - '0');
    if (*at < end && c.width <= SUM_WIDTH_MAX && memchr("dxXos%", **at, 6))
        c.type = *(*at)++;
    return c;
}

static int check_sprintf(const struct sum_step *format, size_t n_first, unsigned args,
                         struct rm_err *err)
{
    int shown = (int)(format->text.length > 100 ? 100 : format->text.length);
    if (n_first != 1 || format->kind != SUM_TEXT)
        return rm_fail(err, -EINVAL, "sprintf needs its format as a text between quotes");
    const char *at = format->text.text, *end = at + format->text.length;
    unsigned n = 0;
    while (at < end) {
        if (*at++ != '%')
            continue;
        struct conversion c = read_conversion(&at, end);
        if (!c.type)
            return rm_fail(err, -EINVAL,
                           "the format '%.*s': only %%d, %%x, %%X, %%o, %%s, with a width up to %d "
                           "and the flags 0 and -",
                           shown, format->text.text, SUM_WIDTH_MAX);
        n += c.type != '%';
    }
    if (n != args - 1)
        return rm_fail(err, -EINVAL, "the format '%.*s' needs %u value%s, not %u", shown,
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

static int convert(struct conversion c, const struct sum_value *value, char **to, const char *end,
                   struct rm_err *err)
{
    char digits[32];
    struct regex_span text = {"%", 1};
    int64_t n = 0;
    bool minus = false;
    int r = 0;
    if (c.type == 's') {
        text = sum_to_text(value, digits);
    } else if (c.type != '%') {
        r = sum_to_number(value, &n, err);
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

static int do_sprintf(struct sum_value *args, char **scratch, const char *end, struct rm_err *err)
{
    const char *at = args[0].text.text, *stop = at + args[0].text.length, *start = *scratch;
    const struct sum_value *next = args + 1;
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
    args[0] = sum_text((struct regex_span){start, (size_t)(*scratch - start)});
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
        for (n[i] = 0; *at < end && sum_is_digit(**at) && *at - start < DIGITS; (*at)++)
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

static int check_skip(const struct sum_step *last, struct rm_err *err)
{
    if (last->kind != SUM_TEXT)
        return 0; /* it depends on the name */
    const char *at = last->text.text, *end = at + last->text.length;
    int64_t start, count;
    bool ok = true;
    while (ok && at < end)
        ok = read_range(&at, end, &start, &count);
    return ok ? 0
              : rm_fail(err, -EINVAL, "skip: '%.*s' is no list of START[:COUNT]",
                        (int)(last->text.length > 100 ? 100 : last->text.length), last->text.text);
}

static int do_skip(struct sum_value *args, struct rm_err *err)
{
    char room[32];
    struct regex_span ranges = sum_to_text(&args[1], room);
    const char *at = ranges.text, *end = at + ranges.length;
    int64_t i = 0, start, count;
    int r = sum_to_number(&args[0], &i, err);
    int64_t left = i;
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
    args[0] = sum_number(left);
    return r;
}

static int do_dim2idx(struct sum_value *args, unsigned n, struct rm_err *err)
{
    int64_t sum = 0, size, place;
    int r = sum_to_number(&args[0], &sum, err);
    for (unsigned i = 1; r == 0 && i < n; i += 2) {
        r = sum_to_number(&args[i], &size, err);
        if (r == 0)
            r = sum_to_number(&args[i + 1], &place, err);
        if (r == 0 &&
            (__builtin_sub_overflow(sum, 1, &sum) || __builtin_mul_overflow(sum, size, &sum) ||
             __builtin_add_overflow(sum, place, &sum)))
            r = rm_fail(err, -EINVAL, "dim2idx: the number is too large");
    }
    args[0] = sum_number(sum);
    return r;
}

static int do_ipadd(struct sum_value *args, char **scratch, const char *end, struct rm_err *err)
{
    enum { OCTET = 256 };
    int64_t n[7];
    char text[96];
    int r = 0;
    for (int i = 0; i < 7 && r == 0; i++)
        r = sum_to_number(&args[i], &n[i], err);
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
    args[0] = sum_text((struct regex_span){*scratch, (size_t)length});
    return put(scratch, end, text, (size_t)length, err);
}

static int do_letter(struct sum_value *args, int first, struct rm_err *err)
{
    char room[32];
    struct regex_span text = sum_to_text(&args[0], room);
    char c = text.length == 1 ? (char)(*text.text | 32) : '\0';
    if (c < 'a' || c > 'z')
        return rm_fail(err, -EINVAL, "%s needs one letter, not '%.*s'", first ? "a2idx" : "a2zidx",
                       (int)text.length, text.text);
    args[0] = sum_number(c - 'a' + first);
    return 0;
}

static void do_mknum(struct sum_value *args)
{
    char room[32];
    struct regex_span text = sum_to_text(&args[0], room);
    int64_t n = 0;
    for (size_t i = 0; i < text.length; i++)
        n += (unsigned char)text.text[i];
    args[0] = sum_number(n);
}

/* ---- the table of them */

enum function { SPRINTF, A2IDX, A2ZIDX, MKNUM, DIM2IDX, SKIP, IPADD };

static const struct {
    const char *name;
    unsigned least, most; /* arguments */
} functions[] = {
    [SPRINTF] = {"sprintf", 1, 64}, [A2IDX] = {"a2idx", 1, 1},      [A2ZIDX] = {"a2zidx", 1, 1},
    [MKNUM] = {"mknum", 1, 1},      [DIM2IDX] = {"dim2idx", 1, 63}, [SKIP] = {"skip", 2, 2},
    [IPADD] = {"ipadd", 7, 7},
};

int sum_function(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (strlen(functions[i].name) == length && memcmp(functions[i].name, name, length) == 0)
            return (int)i;
    return -ENOENT;
}

int sum_check_call(int function, const struct sum_step *steps, size_t n_first, size_t n,
                   unsigned args, struct rm_err *err)
{
    if (args < functions[function].least || args > functions[function].most ||
        (function == DIM2IDX && args % 2 == 0))
        return rm_fail(err, -EINVAL, "%s cannot have %u argument%s", functions[function].name, args,
                       args == 1 ? "" : "s");
    return function == SPRINTF ? check_sprintf(steps, n_first, args, err)
           : function == SKIP  ? check_skip(&steps[n - 1], err)
                               : 0;
}

int sum_call(const struct sum_step *step, struct sum_value *args, char **scratch, const char *end,
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
