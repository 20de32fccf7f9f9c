/* pattern.c - a stored value that stands for a different text on each node */
#include "store/tables/pattern.h"

#include "conf/array.h"
#include "store/tables/expr.h"
#include "store/tables/regex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What takes the place of the match: plain texts and sums in turn. */
struct part {
    const char *text; /* in the pattern's own copy */
    size_t length;
    struct sum *sum; /* NULL: the text as it stands */
};

struct pattern {
    char *value;         /* own copy; parts point into it */
    struct regex *regex; /* NULL: the numbers of the name are $1, $2 ... and all of it matches */
    struct part *parts;
    size_t n, room;
    uint64_t steps; /* of the last match */
};

/* ---- shapes */

static bool has_slashes(const char *value, size_t length)
{
    const char *middle = value[0] == '/' ? strchr(value + 1, '/') : NULL;
    return middle && strchr(middle + 1, '/') == value + length - 1;
}

static bool has_bars(const char *value, size_t length)
{
    return length > 1 && value[0] == '|' && value[length - 1] == '|' && !strchr(value, '\n');
}

bool pattern_is(const char *value)
{
    if (value[0] != '/' && value[0] != '|')
        return false;
    size_t length = strlen(value);
    return has_slashes(value, length) || has_bars(value, length);
}

/* ---- reading */

static int add_part(struct pattern *pattern, const char *text, size_t length, struct sum *sum,
                    struct rm_err *err)
{
    struct part *part = ARRAY_ADD(pattern->parts, pattern->n, pattern->room);
    if (!part) {
        sum_free(sum);
        return rm_fail(err, -ENOMEM, "out of memory");
    }
    *part = (struct part){text, length, sum};
    return 0;
}

/* Cuts R into plain texts and its outermost parentheses, each a sum. */
static int read_parts(struct pattern *pattern, const char *text, size_t length, unsigned groups,
                      struct rm_err *err)
{
    const char *start = text;
    unsigned depth = 0;
    int r = 0;
    for (const char *at = text; at < text + length && r == 0; at++) {
        if (*at == '(' && depth++ == 0) {
            r = add_part(pattern, start, (size_t)(at - start), NULL, err);
            start = at + 1;
        } else if (*at == ')') {
            struct sum *sum;
            if (depth == 0)
                return rm_fail(err, -EINVAL, "a ) without its (");
            if (--depth > 0)
                continue;
            r = sum_new(start, (size_t)(at - start), groups, &sum, err);
            if (r == 0)
                r = add_part(pattern, at, 0, sum, err);
            start = at + 1;
        }
    }
    if (r == 0 && depth > 0)
        return rm_fail(err, -EINVAL, "a ( without its )");
    if (r == 0)
        r = add_part(pattern, start, (size_t)(text + length - start), NULL, err);
    return r;
}

static int read_slashes(struct pattern *pattern, struct rm_err *err)
{
    const char *p = pattern->value + 1;
    const char *replacement = strchr(p, '/') + 1;
    if (replacement == p + 1)
        return rm_fail(err, -EINVAL, "nothing stands between the first two /");
    int r = regex_new(p, (size_t)(replacement - 1 - p), 0, &pattern->regex, err);
    if (r == 0)
        r = add_part(pattern, replacement, strlen(replacement) - 1, NULL, err);
    return r;
}

static int read_bars(struct pattern *pattern, size_t length, struct rm_err *err)
{
    const char *p = pattern->value + 1, *end = pattern->value + length - 1;
    const char *bar = memchr(p, '|', (size_t)(end - p));
    if (!bar)
        return read_parts(pattern, p, (size_t)(end - p), SUM_GROUPS_MAX, err);
    if (bar == p)
        return rm_fail(err, -EINVAL, "nothing stands between the first two |");
    int r = regex_new(p, (size_t)(bar - p), 0, &pattern->regex, err);
    if (r < 0)
        return r;
    unsigned groups = regex_groups(pattern->regex);
    return read_parts(pattern, bar + 1, (size_t)(end - bar - 1),
                      groups < SUM_GROUPS_MAX ? groups : SUM_GROUPS_MAX, err);
}

int pattern_new(const char *value, struct pattern **ret_pattern, struct rm_err *err)
{
    size_t length = strlen(value);
    if (length > PATTERN_TEXT_MAX)
        return rm_fail(err, -EINVAL, "a pattern of more than %d bytes", PATTERN_TEXT_MAX);
    struct pattern *pattern = calloc(1, sizeof(*pattern));
    if (pattern)
        pattern->value = strdup(value);
    int r = !pattern || !pattern->value  ? rm_fail(err, -ENOMEM, "out of memory")
            : has_slashes(value, length) ? read_slashes(pattern, err)
            : has_bars(value, length)    ? read_bars(pattern, length, err)
                                         : rm_fail(err, -EINVAL, "no pattern");
    if (r < 0) {
        pattern_free(pattern);
        return rm_prefix(err, r, "the pattern '%.*s%s' cannot be evaluated",
                         (int)(length > 200 ? 200 : length), value, length > 200 ? "..." : "");
    }
    *ret_pattern = pattern;
    return 0;
}

void pattern_free(struct pattern *pattern)
{
    if (!pattern)
        return;
    for (size_t i = 0; i < pattern->n; i++)
        sum_free(pattern->parts[i].sum);
    free(pattern->parts);
    regex_free(pattern->regex);
    free(pattern->value);
    free(pattern);
}

/* ---- a name's numbers */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The numbers of a name without leading zeros; a 0 that no other digit follows is one. */
static unsigned numbers(const char *node, size_t length, struct regex_span *ret_groups)
{
    unsigned n = 0;
    for (size_t at = 0; at < length && n < SUM_GROUPS_MAX;) {
        size_t start = at;
        while (start < length && (!is_digit(node[start]) || node[start] == '0'))
            start++;
        if (start == length) { /* no more but zeros: the last of them */
            while (start > at && node[start - 1] != '0')
                start--;
            if (start == at)
                break;
            start--;
        }
        size_t end = start;
        while (end < length && is_digit(node[end]))
            end++;
        ret_groups[n++] = (struct regex_span){node + start, end - start};
        at = end;
    }
    return n;
}

/* ---- one name */

struct result {
    char *text;
    size_t length;
};

static int append(struct result *result, const char *text, size_t length, struct rm_err *err)
{
    if (length > PATTERN_RESULT_MAX - result->length)
        return rm_fail(err, -E2BIG, "its value is longer than %d bytes", PATTERN_RESULT_MAX);
    if (length > 0)
        memcpy(result->text + result->length, text, length);
    result->length += length;
    return 0;
}

/* What takes the place of the match. */
static int append_parts(const struct pattern *pattern, const struct regex_span *groups, unsigned n,
                        struct result *result, struct rm_err *err)
{
    int r = 0;
    for (size_t i = 0; i < pattern->n && r == 0; i++) {
        const struct part *part = &pattern->parts[i];
        if (!part->sum) {
            r = append(result, part->text, part->length, err);
            continue;
        }
        r = sum_apply(part->sum, groups, n, result->text + result->length,
                      PATTERN_RESULT_MAX - result->length, err);
        if (r > 0)
            result->length += (size_t)r;
        r = r < 0 ? r : 0;
    }
    return r;
}

static int apply(struct pattern *pattern, const char *node, size_t length, struct result *result,
                 struct rm_err *err)
{
    struct regex_span groups[SUM_GROUPS_MAX], all = {node, length};
    unsigned n;
    if (!pattern->regex) {
        n = numbers(node, length, groups);
    } else {
        uint64_t left = PATTERN_STEPS_MAX;
        int r = regex_match(pattern->regex, node, length, &left, err);
        pattern->steps = PATTERN_STEPS_MAX - left;
        if (r == 0)
            return append(result, node, length, err);
        if (r < 0)
            return r;
        all = regex_group(pattern->regex, 0);
        n = regex_groups(pattern->regex);
        if (n > SUM_GROUPS_MAX)
            n = SUM_GROUPS_MAX;
        for (unsigned i = 0; i < n; i++)
            groups[i] = regex_group(pattern->regex, i + 1);
    }
    int r = append(result, node, (size_t)(all.text - node), err);
    if (r == 0)
        r = append_parts(pattern, groups, n, result, err);
    const char *rest = all.text + all.length;
    return r < 0 ? r : append(result, rest, length - (size_t)(rest - node), err);
}

uint64_t pattern_steps(const struct pattern *pattern)
{
    return pattern->steps;
}

int pattern_apply(struct pattern *pattern, const char *node, char *ret_text, struct rm_err *err)
{
    struct result result = {.text = ret_text};
    size_t length = strnlen(node, PATTERN_NODE_MAX + 1);
    int r = length > PATTERN_NODE_MAX
                ? rm_fail(err, -EINVAL, "a name of more than %d bytes", PATTERN_NODE_MAX)
                : apply(pattern, node, length, &result, err);
    if (r < 0)
        return rm_prefix(err, r, "the pattern '%.200s' cannot be evaluated on '%.255s'",
                         pattern->value, node);
    ret_text[result.length] = '\0';
    return (int)result.length;
}

int pattern_check(const char *value, struct rm_err *err)
{
    struct pattern *pattern;
    if (!pattern_is(value))
        return 0;
    int r = pattern_new(value, &pattern, err);
    if (r == 0)
        pattern_free(pattern);
    return r;
}

int pattern_expand(const char *value, const char *node, char *ret_text, struct rm_err *err)
{
    struct pattern *pattern;
    if (!pattern_is(value)) {
        size_t length = strlen(value);
        if (length > PATTERN_RESULT_MAX)
            return rm_fail(err, -E2BIG, "a value of more than %d bytes", PATTERN_RESULT_MAX);
        memcpy(ret_text, value, length + 1);
        return (int)length;
    }
    int r = pattern_new(value, &pattern, err);
    if (r < 0)
        return r;
    r = pattern_apply(pattern, node, ret_text, err);
    pattern_free(pattern);
    return r;
}
