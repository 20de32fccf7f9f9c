/* noderange_form.c - the forms of a noderange that make names: n[1-3], n1-n3, n10+3
 *
 * Text in, names out: whether they exist is not asked here. */
#include "store/tables/noderange_form.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int add_copy(struct expand *x, struct node_set *names, const char *text, size_t length)
{
    char *name = arena_alloc(x->arena, length + 1);
    if (!name)
        return rm_fail(x->err, -ENOMEM, "out of memory");
    memcpy(name, text, length);
    int r = set_add(names, name);
    return r < 0 ? rm_fail(x->err, r, "out of memory") : 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static uint64_t number(struct span s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < s.length; i++)
        n = n * 10 + (uint64_t)(s.text[i] - '0');
    return n;
}

/* ---- counting */

struct count {
    struct span before, after; /* the same in every name */
    uint64_t first, last;
    int width; /* zeros in front up to here */
};

static int count_names(struct expand *x, struct span whole, const struct count *count,
                       struct node_set *names)
{
    if (count->first > count->last)
        return rm_fail(x->err, -EINVAL, "the range '%.*s' runs backwards", (int)whole.length,
                       whole.text);
    if (count->last - count->first >= NODERANGE_NODES_MAX - names->n)
        return rm_fail(x->err, -E2BIG, "the range '%.*s' makes more than %d names",
                       (int)whole.length, whole.text, NODERANGE_NODES_MAX);
    if (count->before.length + count->after.length + NODERANGE_DIGITS_MAX > NODERANGE_NAME_MAX)
        return rm_fail(x->err, -EINVAL, "the names of the range '%.*s' are too long",
                       (int)whole.length, whole.text);
    int r = expand_make(x, count->last - count->first + 1);
    for (uint64_t i = count->first; i <= count->last && r == 0; i++) {
        char name[NODERANGE_NAME_MAX + 1];
        int n = snprintf(name, sizeof(name), "%.*s%0*" PRIu64 "%.*s", (int)count->before.length,
                         count->before.text, count->width, i, (int)count->after.length,
                         count->after.text);
        r = add_copy(x, names, name, (size_t)n);
    }
    return r;
}

/* ---- ranges: n08-n10 */

/* Length of the piece that begins a text: all digits or all others. */
static size_t piece(struct span s)
{
    size_t n = 1;
    while (n < s.length && is_digit(s.text[n]) == is_digit(s.text[0]))
        n++;
    return n;
}

static bool is_same(struct span a, size_t n, struct span b, size_t m)
{
    return n == m && memcmp(a.text, b.text, n) == 0;
}

/* Are both sides alike but for one number? 1 and *ret_count; 2 when they are equal; 0 when it is
 * not a range. */
static int range_count(struct span left, struct span right, struct count *ret_count)
{
    struct span a = left, b = right;
    struct count count = {.before = left, .after = {left.text + left.length, 0}};
    bool found = false;
    while (a.length > 0 && b.length > 0) {
        size_t n = piece(a), m = piece(b);
        if (!is_same(a, n, b, m)) {
            if (found || !is_digit(a.text[0]) || !is_digit(b.text[0]) || n > NODERANGE_DIGITS_MAX ||
                m > NODERANGE_DIGITS_MAX)
                return 0;
            found = true;
            count.before.length = (size_t)(a.text - left.text);
            count.after = span_skip(a, n);
            count.first = number((struct span){a.text, n});
            count.last = number((struct span){b.text, m});
            count.width = (int)n;
        }
        a = span_skip(a, n);
        b = span_skip(b, m);
    }
    if (a.length > 0 || b.length > 0)
        return 0;
    *ret_count = count;
    return found ? 1 : 2;
}

int form_range(struct expand *x, struct span s, struct node_set *names)
{
    size_t dashes = 0, at = 0;
    const char *colon = span_find(s, ':');
    struct count count;
    if (colon) {
        at = (size_t)(colon - s.text);
    } else {
        for (size_t i = 0; i < s.length; i++)
            dashes += s.text[i] == '-';
        if (dashes % 2 == 0)
            return 0;
        for (size_t left = dashes / 2 + 1; left > 0; at++)
            left -= s.text[at] == '-';
        at--; /* the loop went one behind it */
    }
    struct span left = {s.text, at}, right = span_skip(s, at + 1);
    int r = at > 0 ? range_count(left, right, &count) : 0;
    if (r == 0)
        return 0;
    r = r == 2 ? add_copy(x, names, left.text, left.length) /* n1-n1 */
               : count_names(x, s, &count, names);
    return r < 0 ? r : 1;
}

/* ---- n10+3 */

/* The number that is counted: at the end of the name, or before what looks like a domain. */
static bool plus_number(struct span s, struct count *ret_count)
{
    for (size_t i = 0; i < s.length;) {
        if (!is_digit(s.text[i])) {
            i++;
            continue;
        }
        size_t n = piece(span_skip(s, i));
        struct span after = span_skip(s, i + n);
        if (after.length == 0 || (after.text[0] == '.' && after.length > 1)) {
            if (n > NODERANGE_DIGITS_MAX)
                return false;
            *ret_count = (struct count){.before = {s.text, i},
                                        .after = after,
                                        .first = number((struct span){s.text + i, n}),
                                        .width = (int)n};
            return true;
        }
        i += n;
    }
    return false;
}

int form_plus(struct expand *x, struct span s, struct node_set *names)
{
    const char *plus = span_find(s, '+');
    struct count count;
    if (!plus)
        return 0;
    struct span name = {s.text, (size_t)(plus - s.text)}, more = span_skip(s, name.length + 1);
    if (more.length == 0 || more.length > NODERANGE_DIGITS_MAX || !is_digit(more.text[0]) ||
        piece(more) != more.length || !plus_number(name, &count))
        return 0;
    count.last = count.first + number(more);
    int r = count_names(x, s, &count, names);
    return r < 0 ? r : 1;
}

/* ---- brackets: f[1-2]n[1,3-5] */

struct bracket {
    struct span before; /* plain text in front of it */
    struct node_set items;
    size_t at; /* the item whose turn it is */
};

/* Splits what stands between brackets into items. */
static int bracket_items(struct expand *x, struct span s, struct node_set *items)
{
    for (;;) {
        const char *comma = span_find(s, ',');
        struct span item = {s.text, comma ? (size_t)(comma - s.text) : s.length};
        int r = form_range(x, item, items);
        if (r == 0)
            r = add_copy(x, items, item.text, item.length);
        if (r < 0)
            return r;
        if (items->n > NODERANGE_NODES_MAX)
            return rm_fail(x->err, -E2BIG, "more than %d items in '[%.*s]'", NODERANGE_NODES_MAX,
                           (int)s.length, s.text);
        if (!comma)
            return 0;
        s = span_skip(s, item.length + 1);
    }
}

/* Makes every combination, the last bracket counting fastest. */
static int combine(struct expand *x, struct span whole, struct bracket *sets, size_t n_sets,
                   struct span tail, uint64_t combinations, struct node_set *names)
{
    int r = expand_make(x, combinations);
    for (; combinations > 0 && r == 0; combinations--) {
        char name[NODERANGE_NAME_MAX + 1];
        size_t length = 0;
        for (size_t i = 0; i <= n_sets; i++) {
            struct span plain = i < n_sets ? sets[i].before : tail;
            const char *item = i < n_sets ? sets[i].items.list[sets[i].at] : "";
            size_t size = strlen(item);
            if (plain.length + size > NODERANGE_NAME_MAX - length)
                return rm_fail(x->err, -EINVAL, "a name of '%.*s' is longer than %d bytes",
                               (int)whole.length, whole.text, NODERANGE_NAME_MAX);
            memcpy(name + length, plain.text, plain.length);
            memcpy(name + length + plain.length, item, size);
            length += plain.length + size;
        }
        r = add_copy(x, names, name, length);
        for (size_t i = n_sets; i-- > 0;) {
            if (++sets[i].at < sets[i].items.n)
                break;
            sets[i].at = 0;
        }
    }
    return r;
}

/* Does every [ have its ], and is none inside another? */
static bool is_paired(struct span s)
{
    bool inside = false;
    for (size_t i = 0; i < s.length; i++) {
        char c = s.text[i];
        if (c == (inside ? '[' : ']'))
            return false;
        if (c == '[' || c == ']')
            inside = !inside;
    }
    return !inside;
}

int form_brackets(struct expand *x, struct span s, struct node_set *names)
{
    struct bracket sets[NODERANGE_SETS_MAX];
    struct span rest = s;
    size_t n = 0;
    uint64_t combinations = 1;
    int r = 0;
    if (!span_find(s, '[') || !is_paired(s))
        return 0;
    for (const char *open; r == 0 && (open = span_find(rest, '['));) {
        struct span before = {rest.text, (size_t)(open - rest.text)};
        rest = span_skip(rest, before.length + 1);
        const char *close = span_find(rest, ']');
        struct span inside = {rest.text, (size_t)(close - rest.text)};
        rest = span_skip(rest, inside.length + 1);
        if (n == NODERANGE_SETS_MAX) {
            r = rm_fail(x->err, -E2BIG, "more than %d brackets in '%.*s'", NODERANGE_SETS_MAX,
                        (int)s.length, s.text);
            break;
        }
        sets[n] = (struct bracket){.before = before};
        r = bracket_items(x, inside, &sets[n].items);
        combinations *= sets[n++].items.n;
        if (r == 0 && combinations > NODERANGE_NODES_MAX)
            r = rm_fail(x->err, -E2BIG, "'%.*s' makes more than %d names", (int)s.length, s.text,
                        NODERANGE_NODES_MAX);
    }
    if (r == 0)
        r = combine(x, s, sets, n, rest, combinations, names);
    for (size_t i = 0; i < n; i++)
        set_done(&sets[i].items);
    return r < 0 ? r : 1;
}
