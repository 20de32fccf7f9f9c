/* unit.c - sizes, rates and durations as people write them
 *
 * All arithmetic is on integers of 128 bits: a whole number is never rounded, a fraction only where
 * less than one byte or microsecond is left (to the nearest). What would be rounded to 0 is
 * refused, since 0 stands for "no limit" in many places. */
#include "conf/unit.h"

#include "conf/text.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

typedef unsigned __int128 wide_t;

enum {
    FRACTION_MAX = 18, /* digits behind the point: 10^18 fits into 64 bits */
};

struct unit {
    const char *name;
    uint64_t factor;  /* how many of the smallest it is; durations: largest first */
    uint64_t divisor; /* 8 where the unit counts bits */
};

#define KILO UINT64_C(1000)
#define KIBI UINT64_C(1024)
/* clang-format off */
#define BYTES(end)                                                                                 \
    {"B" end, 1, 1},                                                                               \
    {"kB" end, KILO, 1}, {"MB" end, KILO * KILO, 1}, {"GB" end, KILO * KILO * KILO, 1},            \
    {"TB" end, KILO * KILO * KILO * KILO, 1},                                                      \
    {"KiB" end, KIBI, 1}, {"MiB" end, KIBI * KIBI, 1}, {"GiB" end, KIBI * KIBI * KIBI, 1},         \
    {"TiB" end, KIBI * KIBI * KIBI * KIBI, 1}

static const struct unit sizes[] = {BYTES(""), {NULL, 0, 0}};
static const struct unit rates[] = {
    BYTES("/s"),
    {"bit/s", 1, 8},
    {"kbit/s", KILO, 8},
    {"Mbit/s", KILO * KILO, 8},
    {"Gbit/s", KILO * KILO * KILO, 8},
    {NULL, 0, 0},
};
static const struct unit durations[] = {
    {"d", 86400 * USEC_PER_SEC, 1},
    {"h", 3600 * USEC_PER_SEC, 1},
    {"min", 60 * USEC_PER_SEC, 1},
    {"s", USEC_PER_SEC, 1},
    {"ms", USEC_PER_MSEC, 1},
    {"us", 1, 1},
    {NULL, 0, 0},
};
/* clang-format on */

/* What is being read: the words for a person and the units that may stand there. */
struct kind {
    const char *what, *choice;
    const struct unit *units;
};

static const struct kind kind_size = {"size", "B, kB, MB, GB, TB, KiB, MiB, GiB or TiB", sizes};
static const struct kind kind_rate = {
    "rate",
    "B/s, kB/s, MB/s, GB/s, TB/s, KiB/s, MiB/s, GiB/s, TiB/s, bit/s, kbit/s, Mbit/s or Gbit/s",
    rates};
static const struct kind kind_duration = {"duration", "us, ms, s, min, h or d", durations};

struct number {
    uint64_t whole, fraction; /* 1.25: 1 and 25 */
    uint64_t scale;           /* 1.25: 100 */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *skip_blanks(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

static int read_number(const struct kind *kind, const char *text, const char **p,
                       struct number *ret_number, struct rm_err *err)
{
    struct number number = {.scale = 1};
    if (**p == '-')
        return rm_fail(err, -EINVAL, "'%s': a %s is not negative", text, kind->what);
    if (!is_digit(**p))
        return rm_fail(err, -EINVAL, "'%s' is not a %s: a number and a unit (%s)", text, kind->what,
                       kind->choice);
    if (text_number(p, &number.whole) < 0)
        return rm_fail(err, -ERANGE, "'%s': the number is too large", text);
    if (**p == '.') {
        const char *first = ++*p;
        text_number(p, &number.fraction); /* too large: too many digits as well */
        if (*p == first)
            return rm_fail(err, -EINVAL, "'%s': a digit must follow the point", text);
        if (*p - first > FRACTION_MAX)
            return rm_fail(err, -EINVAL, "'%s': more than %d digits behind the point", text,
                           FRACTION_MAX);
        for (const char *digit = first; digit < *p; digit++)
            number.scale *= 10;
    }
    *ret_number = number;
    return 0;
}

static const struct unit *read_unit(const struct kind *kind, const char **p)
{
    size_t length = strcspn(*p, " \t0123456789");
    for (const struct unit *unit = kind->units; unit->name; unit++)
        if (strlen(unit->name) == length && memcmp(unit->name, *p, length) == 0) {
            *p += length;
            return unit;
        }
    return NULL;
}

/* number * factor / divisor, to the nearest; -ERANGE above 64 bits, -EDOM where it rounds to 0. The
 * whole part is compared with 64 bits first; then whole * factor < 2^67, scale < 2^60 and fraction
 * * factor < 2^100, so that nothing overflows. */
static int multiply(const struct number *number, const struct unit *unit, uint64_t *ret_value)
{
    wide_t whole = (wide_t)number->whole * unit->factor;
    if (whole / unit->divisor > UINT64_MAX)
        return -ERANGE;
    wide_t parts = whole * number->scale + (wide_t)number->fraction * unit->factor;
    wide_t scale = (wide_t)number->scale * unit->divisor;
    wide_t value = (parts + scale / 2) / scale;
    if (value > UINT64_MAX)
        return -ERANGE;
    if (value == 0 && parts > 0)
        return -EDOM;
    *ret_value = (uint64_t)value;
    return 0;
}

/* Reads one number with its unit and moves *p behind both and the blanks that follow. */
static int read_term(const struct kind *kind, const char *text, const char **p,
                     const struct unit **ret_unit, uint64_t *ret_value, struct rm_err *err)
{
    struct number number = {0};
    int r = read_number(kind, text, p, &number, err);
    if (r < 0)
        return r;
    *p = skip_blanks(*p);
    if (**p == '\0' && number.whole == 0 && number.fraction == 0) {
        *ret_unit = NULL;
        *ret_value = 0;
        return 0;
    }
    if (**p == '\0')
        return rm_fail(err, -EINVAL, "'%s' has no unit: use %s", text, kind->choice);
    const struct unit *unit = read_unit(kind, p);
    if (!unit)
        return rm_fail(err, -EINVAL, "'%s': '%s' is not a unit of a %s: use %s", text, *p,
                       kind->what, kind->choice);
    r = multiply(&number, unit, ret_value);
    if (r < 0)
        return rm_fail(err, -ERANGE, "'%s' is too %s", text, r == -EDOM ? "small" : "large");
    *ret_unit = unit;
    *p = skip_blanks(*p);
    return 0;
}

static int read_one(const struct kind *kind, const char *text, uint64_t *ret_value,
                    struct rm_err *err)
{
    const char *p = skip_blanks(text);
    const struct unit *unit;
    uint64_t value;
    int r = read_term(kind, text, &p, &unit, &value, err);
    if (r < 0)
        return r;
    if (*p)
        return rm_fail(err, -EINVAL, "'%s': '%s' is left over behind the %s", text, p, kind->what);
    *ret_value = value;
    return 0;
}

int unit_size(const char *text, uint64_t *ret_bytes, struct rm_err *err)
{
    return read_one(&kind_size, text, ret_bytes, err);
}

int unit_rate(const char *text, uint64_t *ret_bytes_per_second, struct rm_err *err)
{
    return read_one(&kind_rate, text, ret_bytes_per_second, err);
}

int unit_duration(const char *text, usec_t *ret_usec, struct rm_err *err)
{
    const char *p = skip_blanks(text);
    const struct unit *before = NULL;
    usec_t sum = 0;
    do {
        const struct unit *unit;
        usec_t value;
        int r = read_term(&kind_duration, text, &p, &unit, &value, err);
        if (r < 0)
            return r;
        if (before && (!unit || unit <= before))
            return rm_fail(err, -EINVAL, "'%s': larger units stand before smaller ones, each once",
                           text);
        if (__builtin_add_overflow(sum, value, &sum) || sum == USEC_NEVER)
            return rm_fail(err, -ERANGE, "'%s' is too large", text);
        before = unit;
    } while (*p);
    *ret_usec = sum;
    return 0;
}

/* Three digits that matter of a binary size; end is "" or "/s". */
static const char *size_text(uint64_t bytes, const char *end, char *buffer)
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB"};
    if (bytes < KIBI) {
        snprintf(buffer, UNIT_TEXT_MAX, "%" PRIu64 " B%s", bytes, end);
        return buffer;
    }
    for (unsigned i = 0;; i++) {
        wide_t unit = (wide_t)1 << (10 * (i + 1));
        uint64_t hundredths = (uint64_t)(((wide_t)bytes * 100 + unit / 2) / unit);
        uint64_t tenths = (uint64_t)(((wide_t)bytes * 10 + unit / 2) / unit);
        uint64_t whole = (uint64_t)(((wide_t)bytes + unit / 2) / unit);
        if (hundredths < 1000)
            snprintf(buffer, UNIT_TEXT_MAX, "%" PRIu64 ".%02" PRIu64 " %s%s", hundredths / 100,
                     hundredths % 100, names[i], end);
        else if (tenths < 1000)
            snprintf(buffer, UNIT_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " %s%s", tenths / 10,
                     tenths % 10, names[i], end);
        else if (whole < KIBI || i == 3)
            snprintf(buffer, UNIT_TEXT_MAX, "%" PRIu64 " %s%s", whole, names[i], end);
        else
            continue;
        return buffer;
    }
}

const char *unit_size_text(uint64_t bytes, char buffer[static UNIT_TEXT_MAX])
{
    return size_text(bytes, "", buffer);
}

const char *unit_rate_text(uint64_t bytes_per_second, char buffer[static UNIT_TEXT_MAX])
{
    return size_text(bytes_per_second, "/s", buffer);
}

/* usec in units of step, to the nearest; without an overflow near the end. */
static uint64_t in_steps(usec_t usec, usec_t step)
{
    return usec / step + (usec % step >= step - step / 2 ? 1 : 0);
}

/* "4.2 s", and "4 s" where the tenth is 0. */
static void tenths_text(uint64_t tenths, const char *unit, char *buffer)
{
    if (tenths % 10)
        snprintf(buffer, UNIT_TEXT_MAX, "%" PRIu64 ".%" PRIu64 " %s", tenths / 10, tenths % 10,
                 unit);
    else
        snprintf(buffer, UNIT_TEXT_MAX, "%" PRIu64 " %s", tenths / 10, unit);
}

/* "2 h 05 min", and "2 h" where nothing is left; the longest of all has 213503982 days. */
static void pair_text(uint64_t count, uint64_t ratio, const char *large, const char *small,
                      char *buffer)
{
    unsigned whole = (unsigned)(count / ratio), rest = (unsigned)(count % ratio);
    if (rest)
        snprintf(buffer, UNIT_TEXT_MAX, "%u %s %02u %s", whole, large, rest, small);
    else
        snprintf(buffer, UNIT_TEXT_MAX, "%u %s", whole, large);
}

/* Each step is taken when the text, rounded, stays below what the next one begins with. */
const char *unit_duration_text(usec_t usec, char buffer[static UNIT_TEXT_MAX])
{
    const usec_t minute = 60 * USEC_PER_SEC, hour = 60 * minute, day = 24 * hour;
    if (usec == USEC_NEVER)
        snprintf(buffer, UNIT_TEXT_MAX, "never");
    else if (usec == 0)
        snprintf(buffer, UNIT_TEXT_MAX, "0 s");
    else if (usec < USEC_PER_MSEC)
        snprintf(buffer, UNIT_TEXT_MAX, "%" PRIu64 " us", usec);
    else if (in_steps(usec, USEC_PER_MSEC / 10) < 100)
        tenths_text(in_steps(usec, USEC_PER_MSEC / 10), "ms", buffer);
    else if (in_steps(usec, USEC_PER_MSEC) < 1000)
        snprintf(buffer, UNIT_TEXT_MAX, "%" PRIu64 " ms", in_steps(usec, USEC_PER_MSEC));
    else if (in_steps(usec, USEC_PER_SEC / 10) < 600)
        tenths_text(in_steps(usec, USEC_PER_SEC / 10), "s", buffer);
    else if (in_steps(usec, USEC_PER_SEC) < 3600)
        pair_text(in_steps(usec, USEC_PER_SEC), 60, "min", "s", buffer);
    else if (in_steps(usec, minute) < day / minute)
        pair_text(in_steps(usec, minute), 60, "h", "min", buffer);
    else
        pair_text(in_steps(usec, hour), 24, "d", "h", buffer);
    return buffer;
}
