/* noderange.c - a noderange to a list of names
 *
 * An expression is cut into elements at its commas; element() gives each one to the first form that
 * fits; the names that it makes are added to what is wanted or to what is taken away. Nothing
 * recurses. */
#include "store/noderange.h"

#include <errno.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A part of a text. */
struct span {
    const char *text;
    size_t length;
};

struct names {
    char **list;
    size_t n, room;
};

struct parse {
    const struct noderange_site *site;
    struct rm_err *err;
    struct names wanted, unwanted, missing;
    size_t made; /* names so far, to hold NODERANGE_NODES_MAX */
};

/* ---- lists of names */

static int names_add(struct names *names, const char *text, size_t length)
{
    if (names->n == names->room) {
        size_t room = names->room ? names->room * 2 : 16;
        char **list = reallocarray(names->list, room, sizeof(*list));
        if (!list)
            return -ENOMEM;
        names->list = list;
        names->room = room;
    }
    char *name = strndup(text, length);
    if (!name)
        return -ENOMEM;
    names->list[names->n++] = name;
    return 0;
}

static void names_done(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        free(names->list[i]);
    free(names->list);
    *names = (struct names){0};
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool names_have(const struct names *sorted, const char *name)
{
    return sorted->n > 0 &&
           bsearch(&name, sorted->list, sorted->n, sizeof(*sorted->list), compare) != NULL;
}

static void names_sort(struct names *names)
{
    if (names->n > 0)
        qsort(names->list, names->n, sizeof(*names->list), compare);
}

/* Keeps the first of equal ones, and none that `without` has; both are sorted. */
static void names_reduce(struct names *names, const struct names *without)
{
    size_t n = 0;
    for (size_t i = 0; i < names->n; i++) {
        char *name = names->list[i];
        if ((n > 0 && strcmp(names->list[n - 1], name) == 0) || names_have(without, name))
            free(name);
        else
            names->list[n++] = name;
    }
    names->n = n;
}

/* ---- ranges: n08-n10 */

struct count {
    struct span before, after; /* the same on both sides */
    uint64_t first, last;
    int width; /* zeros in front up to here */
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Length of the piece that begins a text: all digits or all others. */
static size_t piece(struct span s)
{
    size_t n = 1;
    while (n < s.length && is_digit(s.text[n]) == is_digit(s.text[0]))
        n++;
    return n;
}

static struct span skip(struct span s, size_t n)
{
    return (struct span){s.text + n, s.length - n};
}

static bool is_same(struct span a, size_t n, struct span b, size_t m)
{
    return n == m && memcmp(a.text, b.text, n) == 0;
}

static uint64_t number(const char *text, size_t length)
{
    uint64_t n = 0;
    for (size_t i = 0; i < length; i++)
        n = n * 10 + (uint64_t)(text[i] - '0');
    return n;
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
            count.after = skip(a, n);
            count.first = number(a.text, n);
            count.last = number(b.text, m);
            count.width = (int)n;
        }
        a = skip(a, n);
        b = skip(b, m);
    }
    if (a.length > 0 || b.length > 0)
        return 0;
    *ret_count = count;
    return found ? 1 : 2;
}

static int range_names(struct parse *parse, struct span whole, const struct count *count,
                       struct names *names)
{
    if (count->first > count->last)
        return rm_fail(parse->err, -EINVAL, "the range '%.*s' runs backwards", (int)whole.length,
                       whole.text);
    if (count->last - count->first >= NODERANGE_NODES_MAX - names->n)
        return rm_fail(parse->err, -E2BIG, "the range '%.*s' makes more than %d names",
                       (int)whole.length, whole.text, NODERANGE_NODES_MAX);
    if (count->before.length + count->after.length + NODERANGE_DIGITS_MAX > NODERANGE_NAME_MAX)
        return rm_fail(parse->err, -EINVAL, "the names of the range '%.*s' are too long",
                       (int)whole.length, whole.text);
    for (uint64_t i = count->first; i <= count->last; i++) {
        char name[NODERANGE_NAME_MAX + 1];
        int n = snprintf(name, sizeof(name), "%.*s%0*" PRIu64 "%.*s", (int)count->before.length,
                         count->before.text, count->width, i, (int)count->after.length,
                         count->after.text);
        int r = names_add(names, name, (size_t)n);
        if (r < 0)
            return r;
    }
    return 0;
}

/* Tries `left OPERATOR right`: the names of a range and 1, or 0 when it is none. */
static int range(struct parse *parse, struct span s, struct names *names)
{
    size_t dashes = 0, at = 0;
    const char *colon = memchr(s.text, ':', s.length);
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
    struct span left = {s.text, at}, right = skip(s, at + 1);
    int r = at > 0 ? range_count(left, right, &count) : 0;
    if (r == 0)
        return 0;
    r = r == 2 ? names_add(names, left.text, left.length) /* n1-n1 */
               : range_names(parse, s, &count, names);
    return r < 0 ? r : 1;
}

/* ---- brackets: f[1-2]n[1,3-5] */

struct bracket {
    struct span before; /* plain text in front of it */
    struct names items;
    size_t at; /* the item whose turn it is */
};

/* Splits what stands between brackets into items. */
static int bracket_items(struct parse *parse, struct span s, struct names *items)
{
    for (;;) {
        const char *comma = memchr(s.text, ',', s.length);
        struct span item = {s.text, comma ? (size_t)(comma - s.text) : s.length};
        int r = range(parse, item, items);
        if (r == 0)
            r = names_add(items, item.text, item.length);
        if (r < 0)
            return r;
        if (items->n > NODERANGE_NODES_MAX)
            return rm_fail(parse->err, -E2BIG, "more than %d items in '[%.*s]'",
                           NODERANGE_NODES_MAX, (int)s.length, s.text);
        if (!comma)
            return 0;
        s = skip(s, item.length + 1);
    }
}

/* Makes every combination, the last bracket counting fastest. */
static int combine(struct parse *parse, struct span whole, struct bracket *sets, size_t n_sets,
                   struct span tail, uint64_t combinations, struct names *names)
{
    for (; combinations > 0; combinations--) {
        char name[NODERANGE_NAME_MAX + 1];
        size_t length = 0;
        for (size_t i = 0; i <= n_sets; i++) {
            struct span plain = i < n_sets ? sets[i].before : tail;
            const char *item = i < n_sets ? sets[i].items.list[sets[i].at] : "";
            size_t size = strlen(item);
            if (plain.length + size > NODERANGE_NAME_MAX - length)
                return rm_fail(parse->err, -EINVAL, "a name of '%.*s' is longer than %d bytes",
                               (int)whole.length, whole.text, NODERANGE_NAME_MAX);
            memcpy(name + length, plain.text, plain.length);
            memcpy(name + length + plain.length, item, size);
            length += plain.length + size;
        }
        int r = names_add(names, name, length);
        if (r < 0)
            return r;
        for (size_t i = n_sets; i-- > 0;) {
            if (++sets[i].at < sets[i].items.n)
                break;
            sets[i].at = 0;
        }
    }
    return 0;
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

/* Tries brackets: the names of all combinations and 1, or 0 when they do not pair. */
static int brackets(struct parse *parse, struct span s, struct names *names)
{
    struct bracket sets[NODERANGE_SETS_MAX];
    struct span rest = s;
    size_t n = 0;
    uint64_t combinations = 1;
    int r = 0;
    if (!is_paired(s))
        return 0;
    for (const char *open; r == 0 && (open = memchr(rest.text, '[', rest.length)) != NULL;) {
        struct span before = {rest.text, (size_t)(open - rest.text)};
        rest = skip(rest, before.length + 1);
        const char *close = memchr(rest.text, ']', rest.length);
        struct span inside = {rest.text, (size_t)(close - rest.text)};
        rest = skip(rest, inside.length + 1);
        if (n == NODERANGE_SETS_MAX) {
            r = rm_fail(parse->err, -E2BIG, "more than %d brackets in '%.*s'", NODERANGE_SETS_MAX,
                        (int)s.length, s.text);
            break;
        }
        sets[n] = (struct bracket){.before = before};
        r = bracket_items(parse, inside, &sets[n].items);
        combinations *= sets[n++].items.n;
        if (r == 0 && combinations > NODERANGE_NODES_MAX)
            r = rm_fail(parse->err, -E2BIG, "'%.*s' makes more than %d names", (int)s.length,
                        s.text, NODERANGE_NODES_MAX);
    }
    if (r == 0)
        r = combine(parse, s, sets, n, rest, combinations, names);
    for (size_t i = 0; i < n; i++)
        names_done(&sets[i].items);
    return r < 0 ? r : 1;
}

/* ---- elements */

/* Sorts names that an element made into known and missing ones. */
static int take(struct parse *parse, struct names *made, struct names *to)
{
    int r = 0;
    for (size_t i = 0; i < made->n && r == 0; i++) {
        const char *name = made->list[i];
        bool is_node = parse->site->is_node(parse->site->ctx, name);
        r = names_add(is_node ? to : &parse->missing, name, strlen(name));
    }
    return r;
}

/* One element between commas. The forms stand in the order in which they are tried. */
static int element(struct parse *parse, const char *text)
{
    struct names *to = &parse->wanted;
    if (text[0] == '-') {
        to = &parse->unwanted;
        text++;
    }
    struct span s = {text, strlen(text)};
    if (s.length == 0)
        return 0;
    if (++parse->made > NODERANGE_NODES_MAX)
        return rm_fail(parse->err, -E2BIG, "more than %d names", NODERANGE_NODES_MAX);
    if (parse->site->is_node(parse->site->ctx, text))
        return names_add(to, text, s.length);

    struct names made = {0};
    int r = 0;
    if (strpbrk(text, "[]"))
        r = brackets(parse, s, &made);
    else if (strpbrk(text, "-:"))
        r = range(parse, s, &made);
    if (r == 0) {
        r = names_add(&parse->missing, text, s.length);
    } else if (r > 0) {
        parse->made += made.n;
        r = parse->made > NODERANGE_NODES_MAX
                ? rm_fail(parse->err, -E2BIG, "more than %d names", NODERANGE_NODES_MAX)
                : take(parse, &made, to);
    }
    names_done(&made);
    return r;
}

/* Walks over the elements: text between commas that stand outside brackets. Changes the text. */
static int elements(struct parse *parse, char *text)
{
    int r = 0;
    while (text && r == 0) {
        bool inside = false;
        char *end = text;
        for (; *end && (inside || *end != ','); end++)
            inside = *end == '[' || (inside && *end != ']');
        char *next = *end ? end + 1 : NULL;
        *end = '\0';
        r = element(parse, text);
        text = next;
    }
    return r;
}

/* "Invalid nodes...: a,b"; as many names as the text holds, and how many there are. */
static int fail_missing(struct parse *parse)
{
    enum { LIST_MAX = RM_ERR_MAX - 128 }; /* room for the words around it */
    char list[LIST_MAX];
    size_t length = 0, shown = 0;
    for (size_t i = 0; i < parse->missing.n; i++) {
        const char *name = parse->missing.list[i];
        int n = snprintf(list + length, sizeof(list) - length, "%s%s", i ? "," : "", name);
        if (n < 0 || (size_t)n >= sizeof(list) - length) {
            list[length] = '\0';
            break;
        }
        length += (size_t)n;
        shown++;
    }
    if (shown == parse->missing.n)
        return rm_fail(parse->err, -EINVAL, "Invalid nodes and/or groups in noderange: %s", list);
    return rm_fail(parse->err, -EINVAL, "Invalid nodes and/or groups in noderange: %s and %zu more",
                   list, parse->missing.n - shown);
}

/* A copy without quotes, which an expression may have been typed in. */
static char *without_quotes(const char *expression)
{
    char *text = malloc(strlen(expression) + 1), *to = text;
    if (!text)
        return NULL;
    for (; *expression; expression++)
        if (*expression != '\'' && *expression != '"')
            *to++ = *expression;
    *to = '\0';
    return text;
}

int noderange_expand(const char *expression, const struct noderange_site *site,
                     struct noderange *ret_range, struct rm_err *err)
{
    struct parse parse = {.site = site, .err = err};
    if (strnlen(expression, NODERANGE_TEXT_MAX + 1) > NODERANGE_TEXT_MAX)
        return rm_fail(err, -E2BIG, "a noderange of more than %d bytes", NODERANGE_TEXT_MAX);
    char *text = without_quotes(expression);
    int r = text ? elements(&parse, text) : -ENOMEM;
    if (r == 0 && parse.missing.n > 0)
        r = fail_missing(&parse);
    if (r == 0) {
        names_sort(&parse.wanted);
        names_sort(&parse.unwanted);
        names_reduce(&parse.wanted, &parse.unwanted);
        if (parse.wanted.n == 0)
            r = rm_fail(err, -ENOENT, "no nodes match '%s'", expression);
    }
    if (r == -ENOMEM)
        rm_fail(err, r, "out of memory");
    if (r == 0)
        *ret_range = (struct noderange){parse.wanted.list, parse.wanted.n};
    else
        names_done(&parse.wanted);
    names_done(&parse.unwanted);
    names_done(&parse.missing);
    free(text);
    return r;
}

void noderange_done(struct noderange *range)
{
    for (size_t i = 0; i < range->n; i++)
        free(range->names[i]);
    free(range->names);
    *range = (struct noderange){0};
}

bool noderange_has(const struct noderange *range, const char *name)
{
    return range->n > 0 &&
           bsearch(&name, range->names, range->n, sizeof(*range->names), compare) != NULL;
}
