/* noderange.c - a noderange to a list of names: the expression
 *
 * evaluate() follows xCAT's order of evaluation step by step: the first parentheses, then commas,
 * then @; element() tries the forms of an element. Each level of parentheses is a level of
 * recursion, and they are counted. */
#include "store/tables/noderange.h"

#include "store/tables/noderange_form.h"
#include "store/tables/noderange_pick.h"
#include "store/tables/noderange_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int evaluate(struct expand *x, struct span s, struct node_set *ret_nodes);

/* ---- elements */

static bool is_digits(struct span s)
{
    for (size_t i = 0; i < s.length; i++)
        if (s.text[i] < '0' || s.text[i] > '9')
            return false;
    return s.length > 0;
}

static bool has_any(struct span s, const char *chars)
{
    for (; *chars; chars++)
        if (span_find(s, *chars))
            return true;
    return false;
}

/* 1: a node or a group of that name was added. */
static int node_or_group(struct expand *x, const char *name, struct node_set *to)
{
    int r = expand_node(x, name, to);
    return r != 0 ? r : pick_group(x, name, to);
}

static int digits(struct expand *x, struct span s, struct node_set *to)
{
    const struct noderange_site *site = x->site;
    char *name = arena_printf(x->arena, "%s%.*s%s", site->prefix ? site->prefix : "node",
                              (int)s.length, s.text, site->suffix ? site->suffix : "");
    if (!name)
        return rm_fail(x->err, -ENOMEM, "out of memory");
    int r = strlen(name) > NODERANGE_NAME_MAX ? 0 : node_or_group(x, name, to);
    return r == 0 ? expand_missing(x, (struct span){name, strlen(name)}) : r;
}

/* What a text stands for that is neither in parentheses, nor a selection or a regex; also the
 * names that brackets and ranges make. */
static int form(struct expand *x, struct span s, struct node_set *to)
{
    struct node_set made = {0};
    int r;
    if (s.length <= NODERANGE_NAME_MAX) {
        char name[NODERANGE_NAME_MAX + 1];
        memcpy(name, s.text, s.length);
        name[s.length] = '\0';
        r = node_or_group(x, name, to);
        if (r != 0)
            return r;
    }
    if (is_digits(s))
        return digits(x, s, to);
    if (x->depth >= NODERANGE_DEPTH_MAX)
        return rm_fail(x->err, -E2BIG, "ranges inside more than %d others", NODERANGE_DEPTH_MAX);
    r = has_any(s, "[]")   ? form_brackets(x, s, &made)
        : has_any(s, "+")  ? form_plus(x, s, &made)
        : has_any(s, "-:") ? form_range(x, s, &made)
                           : 0;
    if (r == 0)
        r = expand_missing(x, s);
    x->depth++;
    for (size_t i = 0; i < made.n && r >= 0; i++)
        r = form(x, (struct span){made.list[i], strlen(made.list[i])}, to);
    x->depth--;
    set_done(&made);
    return r;
}

/* The parenthesis that closes the one at `open`; NULL: none. */
static const char *closing(struct span s, const char *open)
{
    size_t depth = 0;
    for (const char *at = open; at < s.text + s.length; at++) {
        depth += *at == '(';
        if (*at == ')' && --depth == 0)
            return at;
    }
    return NULL;
}

/* One element, without the - or @ in front of it. The forms stand in the order in which they are
 * tried. */
static int element(struct expand *x, struct span s, struct node_set *to)
{
    int r = expand_make(x, 1);
    if (r < 0)
        return r;
    if (s.length <= NODERANGE_NAME_MAX) {
        char name[NODERANGE_NAME_MAX + 1];
        memcpy(name, s.text, s.length);
        name[s.length] = '\0';
        r = expand_node(x, name, to);
        if (r != 0)
            return r;
        if (s.text[0] != '(' && !span_find(s, '@')) {
            r = pick_group(x, name, to);
            if (r != 0)
                return r;
        }
    }
    if (s.text[0] == '(' && closing(s, s.text) == s.text + s.length - 1)
        return evaluate(x, (struct span){s.text + 1, s.length - 2}, to);
    if (span_find(s, '@'))
        return evaluate(x, s, to);
    if (has_any(s, "=~"))
        return pick_selection(x, s, to);
    if (s.text[0] == '/')
        return pick_regex(x, s, to);
    return form(x, s, to);
}

/* ---- expressions */

enum operation { UNITE, INTERSECT, SUBTRACT };

static int combine(struct expand *x, struct node_set *nodes, enum operation operation,
                   struct node_set *other)
{
    if (operation == UNITE)
        return expand_unite(x, nodes, other);
    return expand_reduce(x, nodes, other, operation == INTERSECT);
}

static int fail_alone(struct expand *x, char sign)
{
    return rm_fail(x->err, -EINVAL, "a '%c' with no nodes behind it in the noderange", sign);
}

/* Finds the next separator outside parentheses and, before the last ] of all, outside brackets: its
 * place, or the end. -EINVAL: unbalanced parentheses. */
static int find_end(struct expand *x, struct span s, char separator, const char *last,
                    size_t *ret_length)
{
    bool inside = false;
    size_t depth = 0, i = 0;
    for (; i < s.length; i++) {
        char c = s.text[i];
        if (c == separator && depth == 0 && !inside)
            break;
        if (c == '[' && last && s.text + i < last)
            inside = true;
        else if (c == ']')
            inside = false;
        depth += c == '(';
        if (c == ')' && depth > 0)
            depth--;
    }
    if (depth > 0)
        return rm_fail(x->err, -EINVAL, "Unbalanced parentheses in noderange");
    *ret_length = i;
    return 0;
}

/* Is it a node whose name begins with a sign, and nothing else? Adds it. Where the sign stands in
 * front of a node or a group it stays a sign. */
static int signed_name(struct expand *x, struct span s, struct node_set *to)
{
    char name[NODERANGE_NAME_MAX + 1];
    struct node_set behind = {0};
    if (s.length > NODERANGE_NAME_MAX)
        return 0;
    memcpy(name, s.text, s.length);
    name[s.length] = '\0';
    const struct attr_node *known = x->site->attr ? attr_node(x->site->attr, name + 1) : NULL;
    int r = known && attr_is_group(known) ? 1 : expand_node(x, name + 1, &behind);
    set_done(&behind);
    return r < 0 ? r : r > 0 ? 0 : expand_node(x, name, to);
}

/* One element with the sign in front of it, into what is wanted or what is taken away. */
static int signed_element(struct expand *x, struct span s, bool behind_at, struct node_set *nodes,
                          struct node_set *minus)
{
    enum operation operation = behind_at ? INTERSECT : UNITE;
    struct span whole = s;
    struct node_set found = {0};
    if (s.length == 0 && !behind_at)
        return 0;
    if (s.length > 0 && (s.text[0] == '-' || s.text[0] == '@') && !behind_at) {
        int named = s.text[0] == '-' ? signed_name(x, s, nodes) : 0;
        if (named != 0)
            return named < 0 ? named : 0;
        operation = s.text[0] == '-' ? SUBTRACT : INTERSECT;
        s = span_skip(s, 1);
    }
    if (s.length == 0)
        return fail_alone(x, behind_at ? '@' : whole.text[0]);
    if (s.text[0] == '^')
        return rm_fail(x->err, -EINVAL,
                       "'%.*s': files of nodes are read by the command, not by the broker",
                       (int)(s.length < 200 ? s.length : 200), s.text);
    if (behind_at && s.text[0] == '-')
        return rm_fail(x->err, -EINVAL, "'@%.*s': @ and - exclude each other; write a,-b",
                       (int)(s.length < 200 ? s.length : 200), s.text);
    if (operation == UNITE)
        return element(x, s, nodes);
    x->removing += operation == SUBTRACT;
    int r = element(x, s, operation == SUBTRACT ? minus : &found);
    x->removing -= operation == SUBTRACT;
    if (r >= 0 && operation == INTERSECT)
        r = combine(x, nodes, INTERSECT, &found);
    set_done(&found);
    return r;
}

/* Is all of it the name of a node, with an @ in it? Adds it. */
static int whole_name(struct expand *x, struct span s, struct node_set *to)
{
    char name[NODERANGE_NAME_MAX + 1];
    if (s.length > NODERANGE_NAME_MAX || !span_find(s, '@'))
        return 0;
    memcpy(name, s.text, s.length);
    name[s.length] = '\0';
    return expand_node(x, name, to);
}

/* All elements between commas or, where there is no comma, between @. */
static int elements(struct expand *x, struct span s, struct node_set *nodes, struct node_set *minus)
{
    int named = whole_name(x, s, nodes);
    if (named != 0)
        return named < 0 ? named : 0;
    const char *last = s.length > 0 ? memrchr(s.text, ']', s.length) : NULL;
    bool behind_at = false;
    char separator = ',';
    size_t length = 0;
    int r = find_end(x, s, separator, last, &length);
    if (r == 0 && length == s.length) {
        separator = '@';
        last = NULL; /* an @ counts also in brackets */
    }
    while (r >= 0) {
        r = find_end(x, s, separator, last, &length);
        if (r == 0)
            r = signed_element(x, (struct span){s.text, length}, behind_at, nodes, minus);
        if (r < 0 || length == s.length)
            break;
        s = span_skip(s, length + 1);
        behind_at = separator == '@';
    }
    return r < 0 ? r : 0;
}

/* Is it a regular expression or a selection that the first parentheses cut in two? */
static bool is_cut(struct span start)
{
    size_t n = start.length;
    while (n > 0 && start.text[n - 1] != ',' && start.text[n - 1] != '@')
        n--;
    struct span element = span_skip(start, n);
    if (element.length > 0 && element.text[0] == '-')
        element = span_skip(element, 1);
    return element.length > 0 && (element.text[0] == '/' || has_any(element, "=~"));
}

/* The first parentheses and what stands before them; *s moves behind them. */
static int first_parentheses(struct expand *x, struct span *s, struct node_set *nodes)
{
    const char *open = span_find(*s, '('), *close = closing(*s, open);
    if (!close)
        return rm_fail(x->err, -EINVAL, "Unbalanced parentheses in noderange");
    struct span start = {s->text, (size_t)(open - s->text)};
    struct span inner = {open + 1, (size_t)(close - open - 1)};
    enum operation operation = UNITE;
    if (is_cut(start))
        return rm_fail(x->err, -EINVAL,
                       "'%.*s': parentheses part a noderange, also here; put (), in front of it "
                       "all, and they belong to the expression",
                       (int)(s->length < 200 ? s->length : 200), s->text);
    char sign = start.length > 0 ? open[-1] : '\0';
    if (sign == '@' || (sign == '-' && (start.length == 1 || open[-2] == ','))) {
        operation = sign == '@' ? INTERSECT : SUBTRACT;
        start.length--;
    }
    struct node_set found = {0};
    int r = evaluate(x, start, nodes);
    x->removing += operation == SUBTRACT;
    if (r >= 0)
        r = evaluate(x, inner, &found);
    x->removing -= operation == SUBTRACT;
    if (r >= 0)
        r = combine(x, nodes, operation, &found);
    set_done(&found);
    *s = span_skip(*s, (size_t)(close + 1 - s->text));
    return r;
}

/* Adds the nodes of an expression. */
static int evaluate(struct expand *x, struct span s, struct node_set *ret_nodes)
{
    struct node_set nodes = {0}, minus = {0};
    int r = 0;
    if (x->depth >= NODERANGE_DEPTH_MAX)
        return rm_fail(x->err, -E2BIG, "parentheses inside more than %d others",
                       NODERANGE_DEPTH_MAX);
    x->depth++;
    if (span_find(s, '('))
        r = first_parentheses(x, &s, &nodes);
    if (r >= 0)
        r = elements(x, s, &nodes, &minus);
    if (r >= 0)
        r = expand_reduce(x, &nodes, &minus, /* keep = */ false);
    if (r >= 0)
        r = expand_unite(x, ret_nodes, &nodes);
    x->depth--;
    set_done(&nodes);
    set_done(&minus);
    return r;
}

/* ---- the whole */

/* "Invalid nodes...: a,b"; as many names as the text holds, and how many there are. */
static int fail_missing(struct expand *x)
{
    enum { LIST_MAX = RM_ERR_MAX - 128 }; /* room for the words around it */
    char list[LIST_MAX];
    size_t length = 0, shown = 0;
    for (; shown < x->missing.n; shown++) {
        const char *name = x->missing.list[shown];
        if (strlen(name) + 2 > sizeof(list) - length)
            break;
        length += (size_t)sprintf(list + length, "%s%s", shown > 0 ? "," : "", name);
    }
    list[length] = '\0';
    if (shown == x->n_missing)
        return rm_fail(x->err, -EINVAL, "Invalid nodes and/or groups in noderange: %s", list);
    return rm_fail(x->err, -EINVAL, "Invalid nodes and/or groups in noderange: %s and %zu more",
                   list, x->n_missing - shown);
}

/* A copy without quotes, which an expression may have been typed in. */
static struct span without_quotes(struct arena *arena, const char *expression)
{
    char *text = arena_alloc(arena, strlen(expression) + 1), *to = text;
    if (!text)
        return (struct span){NULL, 0};
    for (; *expression; expression++)
        if (*expression != '\'' && *expression != '"')
            *to++ = *expression;
    return (struct span){text, (size_t)(to - text)};
}

static int exclude(struct expand *x, struct node_set *nodes)
{
    struct node_set excluded = {0};
    bool lenient = x->lenient;
    size_t before = nodes->n;
    struct span text = without_quotes(x->arena, x->site->exclude);
    if (!text.text)
        return rm_fail(x->err, -ENOMEM, "out of memory");
    x->lenient = true;
    int r = evaluate(x, text, &excluded);
    if (r < 0)
        rm_prefix(x->err, r, "exclude_nodes");
    x->lenient = lenient;
    if (r >= 0)
        r = expand_reduce(x, nodes, &excluded, /* keep = */ false);
    set_done(&excluded);
    return r < 0 ? r : before > 0 && nodes->n == 0;
}

static int expand_all(struct expand *x, const char *expression, struct node_set *nodes)
{
    int excluded = 0, r = 0;
    if (x->site->attr)
        r = attr_refresh(x->site->attr, x->err);
    struct span text = without_quotes(x->arena, expression);
    if (!text.text)
        r = rm_fail(x->err, -ENOMEM, "out of memory");
    if (r >= 0)
        r = evaluate(x, text, nodes);
    if (r >= 0 && x->n_missing > 0)
        r = fail_missing(x);
    if (r >= 0 && x->site->exclude)
        r = excluded = exclude(x, nodes);
    if (r >= 0)
        set_sort(nodes);
    if (r >= 0 && nodes->n == 0 && !x->lenient)
        r = rm_fail(x->err, -ENOENT, "no nodes match '%s'%s", expression,
                    excluded ? " but excluded ones (exclude_nodes)" : "");
    return r;
}

/* What the caller gets lives on its own. */
static int give(const struct node_set *nodes, struct noderange *ret_range, struct rm_err *err)
{
    struct noderange range = {.names = calloc(nodes->n + 1, sizeof(*range.names))};
    bool ok = range.names;
    for (; ok && range.n < nodes->n; range.n += ok) {
        range.names[range.n] = strdup(nodes->list[range.n]);
        ok = range.names[range.n];
    }
    if (ok)
        *ret_range = range;
    else
        noderange_done(&range);
    return ok ? 0 : rm_fail(err, -ENOMEM, "out of memory");
}

int noderange_expand(const char *expression, const struct noderange_site *site,
                     struct noderange *ret_range, struct rm_err *err)
{
    struct expand x = {
        .site = site, .err = err, .steps = NODERANGE_STEPS_MAX, .lenient = site->lenient};
    struct node_set nodes = {0};
    if (strnlen(expression, NODERANGE_TEXT_MAX + 1) > NODERANGE_TEXT_MAX)
        return rm_fail(err, -E2BIG, "a noderange of more than %d bytes", NODERANGE_TEXT_MAX);
    x.arena = arena_new(0);
    int r = x.arena ? expand_all(&x, expression, &nodes) : rm_fail(err, -ENOMEM, "out of memory");
    if (r >= 0)
        r = give(&nodes, ret_range, err);
    set_done(&nodes);
    set_done(&x.missing);
    arena_free(x.arena);
    return r < 0 ? r : 0;
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
           bsearch(&name, range->names, range->n, sizeof(*range->names), set_compare);
}
