/* noderange.c - a noderange to a list of names: the expression
 *
 * evaluate() follows xCAT's order of evaluation step by step: the first parentheses, then commas,
 * then @; element() tries the forms of an element. Each level of parentheses is a level of
 * recursion, and they are counted. */
#include "store/noderange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/noderange_parts.h"

enum {
    MISSING_KEPT = 4096, /* names that do not exist; the others are counted */
};

static int evaluate(struct expand *x, struct span s, struct names *ret_nodes);

/* ---- lists of names */

int names_add(struct names *names, const char *name)
{
    if (names->n == names->room) {
        size_t room = names->room ? names->room * 2 : 16;
        const char **list = reallocarray(names->list, room, sizeof(*list));
        if (!list)
            return -ENOMEM;
        names->list = list;
        names->room = room;
    }
    names->list[names->n++] = name;
    return 0;
}

void names_done(struct names *names)
{
    free(names->list);
    *names = (struct names){0};
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void names_sort(struct names *names)
{
    size_t n = 0;
    if (names->n > 1)
        qsort(names->list, names->n, sizeof(*names->list), compare);
    for (size_t i = 0; i < names->n; i++)
        if (n == 0 || strcmp(names->list[n - 1], names->list[i]) != 0)
            names->list[n++] = names->list[i];
    names->n = n;
}

/* Keeps those that `other` has, or those that it has not. Both get sorted. */
static int names_reduce(struct expand *x, struct names *names, struct names *other, bool keep)
{
    if (names->n == 0 || (other->n == 0 && !keep))
        return 0;
    int r = expand_look(x, names->n + other->n);
    if (r < 0)
        return r;
    names_sort(names);
    names_sort(other);
    size_t n = 0, j = 0;
    for (size_t i = 0; i < names->n; i++) {
        int order = 1;
        while (j < other->n && (order = strcmp(other->list[j], names->list[i])) < 0)
            j++;
        if ((j < other->n && order == 0) == keep)
            names->list[n++] = names->list[i];
    }
    names->n = n;
    return 0;
}

static int names_unite(struct expand *x, struct names *names, const struct names *other)
{
    int r = 0;
    for (size_t i = 0; i < other->n && r == 0; i++)
        r = names_add(names, other->list[i]);
    return r < 0 ? rm_fail(x->err, r, "out of memory") : 0;
}

/* ---- what everybody needs */

int expand_look(struct expand *x, size_t nodes)
{
    if (nodes > NODERANGE_LOOKS_MAX - x->looks)
        return rm_fail(x->err, -E2BIG, "the noderange asks too much: more than %d nodes to look at",
                       NODERANGE_LOOKS_MAX);
    x->looks += nodes;
    return 0;
}

int expand_make(struct expand *x, size_t names)
{
    if (names > NODERANGE_NODES_MAX - x->made)
        return rm_fail(x->err, -E2BIG, "more than %d names", NODERANGE_NODES_MAX);
    x->made += names;
    return 0;
}

int expand_node(struct expand *x, const char *name, struct names *to)
{
    const struct noderange_site *site = x->site;
    const struct attr_node *known = site->attr ? attr_node(site->attr, name) : NULL;
    bool is_node = known && !site->only_is_node && attr_is_node(known);
    if (!is_node && !(site->is_node && site->is_node(site->ctx, name)))
        return 0;
    const char *kept = known ? attr_node_name(known) : arena_strdup(x->arena, name);
    if (!kept || names_add(to, kept) < 0)
        return rm_fail(x->err, -ENOMEM, "out of memory");
    return 1;
}

int expand_missing(struct expand *x, struct span name)
{
    char *kept;
    if (x->lenient || x->n_missing++ >= MISSING_KEPT)
        return 0;
    if (name.length > NODERANGE_NAME_MAX)
        kept = arena_printf(x->arena, "%.*s...", NODERANGE_NAME_MAX, name.text);
    else
        kept = arena_printf(x->arena, "%.*s", (int)name.length, name.text);
    if (!kept || names_add(&x->missing, kept) < 0)
        return rm_fail(x->err, -ENOMEM, "out of memory");
    return 0;
}

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
static int node_or_group(struct expand *x, const char *name, struct names *to)
{
    int r = expand_node(x, name, to);
    return r != 0 ? r : pick_group(x, name, to);
}

static int digits(struct expand *x, struct span s, struct names *to)
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
static int form(struct expand *x, struct span s, struct names *to)
{
    struct names made = {0};
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
    names_done(&made);
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
static int element(struct expand *x, struct span s, struct names *to)
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

static int combine(struct expand *x, struct names *nodes, enum operation operation,
                   struct names *other)
{
    if (operation == UNITE)
        return names_unite(x, nodes, other);
    return names_reduce(x, nodes, other, operation == INTERSECT);
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

/* One element with the sign in front of it, into what is wanted or what is taken away. */
static int signed_element(struct expand *x, struct span s, bool behind_at, struct names *nodes,
                          struct names *minus)
{
    enum operation operation = behind_at ? INTERSECT : UNITE;
    struct span whole = s;
    struct names found = {0};
    if (s.length == 0 && !behind_at)
        return 0;
    if (s.length > 0 && (s.text[0] == '-' || s.text[0] == '@') && !behind_at) {
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
    names_done(&found);
    return r;
}

/* All elements between commas or, where there is no comma, between @. */
static int elements(struct expand *x, struct span s, struct names *nodes, struct names *minus)
{
    const char *last = s.length > 0 ? memrchr(s.text, ']', s.length) : NULL;
    bool behind_at = false;
    char separator = ',';
    size_t length;
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
static int first_parentheses(struct expand *x, struct span *s, struct names *nodes)
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
    struct names found = {0};
    int r = evaluate(x, start, nodes);
    x->removing += operation == SUBTRACT;
    if (r >= 0)
        r = evaluate(x, inner, &found);
    x->removing -= operation == SUBTRACT;
    if (r >= 0)
        r = combine(x, nodes, operation, &found);
    names_done(&found);
    *s = span_skip(*s, (size_t)(close + 1 - s->text));
    return r;
}

/* Adds the nodes of an expression. */
static int evaluate(struct expand *x, struct span s, struct names *ret_nodes)
{
    struct names nodes = {0}, minus = {0};
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
        r = names_reduce(x, &nodes, &minus, /* keep = */ false);
    if (r >= 0)
        r = names_unite(x, ret_nodes, &nodes);
    x->depth--;
    names_done(&nodes);
    names_done(&minus);
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

static int exclude(struct expand *x, struct names *nodes)
{
    struct names excluded = {0};
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
        r = names_reduce(x, nodes, &excluded, /* keep = */ false);
    names_done(&excluded);
    return r < 0 ? r : before > 0 && nodes->n == 0;
}

static int expand_all(struct expand *x, const char *expression, struct names *nodes)
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
        names_sort(nodes);
    if (r >= 0 && nodes->n == 0 && !x->lenient)
        r = rm_fail(x->err, -ENOENT, "no nodes match '%s'%s", expression,
                    excluded ? " but excluded ones (exclude_nodes)" : "");
    return r;
}

/* What the caller gets lives on its own. */
static int give(const struct names *nodes, struct noderange *ret_range, struct rm_err *err)
{
    struct noderange range = {.names = calloc(nodes->n + 1, sizeof(*range.names))};
    bool ok = range.names != NULL;
    for (; ok && range.n < nodes->n; range.n += ok) {
        range.names[range.n] = strdup(nodes->list[range.n]);
        ok = range.names[range.n] != NULL;
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
    struct names nodes = {0};
    if (strnlen(expression, NODERANGE_TEXT_MAX + 1) > NODERANGE_TEXT_MAX)
        return rm_fail(err, -E2BIG, "a noderange of more than %d bytes", NODERANGE_TEXT_MAX);
    x.arena = arena_new(0);
    int r = x.arena ? expand_all(&x, expression, &nodes) : rm_fail(err, -ENOMEM, "out of memory");
    if (r >= 0)
        r = give(&nodes, ret_range, err);
    names_done(&nodes);
    names_done(&x.missing);
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
           bsearch(&name, range->names, range->n, sizeof(*range->names), compare) != NULL;
}
