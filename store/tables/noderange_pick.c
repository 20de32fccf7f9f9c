/* noderange_pick.c - nodes by group, by attribute and by regex */
#include "store/tables/noderange_pick.h"

#include "store/tables/regex.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    CRITERIA_MAX = 32, /* of a dynamic group */
};

/* ---- all nodes */

/* A question that each node is asked. */
struct pick {
    struct expand *x;
    struct node_set *to;
    /* 1: take it. node: what the tables know of it, NULL: nothing. */
    int (*fits)(struct pick *pick, const char *name, const struct attr_node *node);
    struct criterion *criteria;
    size_t n_criteria;
    struct regex *regex;
};

static int ask(struct pick *pick, const char *name, const struct attr_node *node)
{
    int r = expand_look(pick->x, 1);
    if (r == 0)
        r = pick->fits(pick, name, node);
    if (r <= 0)
        return r;
    r = expand_make(pick->x, 1);
    if (r == 0 && (r = set_add(pick->to, name)) < 0)
        rm_fail(pick->x->err, r, "out of memory");
    return r;
}

static int ask_table(void *ctx, const struct attr_node *node)
{
    return ask(ctx, attr_node_name(node), node);
}

/* A node that is known from elsewhere; when the tables have it too, it was asked already. */
static int ask_other(void *ctx, const char *name)
{
    struct pick *pick = ctx;
    const struct noderange_site *site = pick->x->site;
    const struct attr_node *node = site->attr ? attr_node(site->attr, name) : NULL;
    if (node && !site->only_is_node && attr_is_node(node))
        return 0;
    return ask(pick, name, node);
}

static int ask_all(struct pick *pick)
{
    const struct noderange_site *site = pick->x->site;
    int r = 0;
    if (site->attr && !site->only_is_node)
        r = attr_walk_nodes(site->attr, ask_table, pick);
    if (r == 0 && site->each_node)
        r = site->each_node(site->ctx, ask_other, pick);
    return r;
}

/* ---- by attribute */

enum relation { IS, IS_NOT, LIKE, NOT_LIKE };

struct criterion {
    struct attr attr;
    enum relation relation;
    struct span value;
    struct regex *regex; /* of LIKE and NOT_LIKE */
};

/* Finds the relation in NAME==VALUE: the first that there is. */
static bool find_relation(struct span s, struct span *ret_name, enum relation *ret_relation,
                          struct span *ret_value)
{
    for (size_t i = 0; i < s.length; i++) {
        char c = s.text[i], next = i + 1 < s.length ? s.text[i + 1] : '\0';
        bool is_double = next == '~' || (next == '=' && (c == '=' || c == '!'));
        if (c != '=' && (c != '!' || !is_double))
            continue;
        *ret_name = (struct span){s.text, i};
        *ret_relation = c == '=' ? (next == '~' ? LIKE : IS) : (next == '~' ? NOT_LIKE : IS_NOT);
        *ret_value = span_skip(s, i + (is_double ? 2 : 1));
        return true;
    }
    return false;
}

static int read_criterion(struct expand *x, struct span s, bool is_object, struct criterion *c)
{
    struct span name;
    int shown = (int)(s.length < 200 ? s.length : 200);
    if (!find_relation(s, &name, &c->relation, &c->value))
        return rm_fail(x->err, -EINVAL,
                       "'%.*s' is no selection: write TABLE.COLUMN and ==, !=, =~ or !~ and a "
                       "value",
                       shown, s.text);
    int r = is_object ? attr_find_object(name.text, name.length, &c->attr, x->err)
                      : attr_find(name.text, name.length, &c->attr, x->err);
    if (r < 0)
        return rm_prefix(x->err, r, "'%.*s'", shown, s.text);
    if (table_is_secret(c->attr.table, c->attr.column))
        return rm_fail(x->err, -EINVAL, "'%.*s': a password cannot select nodes", shown, s.text);
    if (c->relation == IS || c->relation == IS_NOT)
        return 0;
    if (c->value.length > 0 && c->value.text[0] == '/') /* /re/ is re */
        c->value = span_skip(c->value, 1);
    if (c->value.length > 0 && c->value.text[c->value.length - 1] == '/')
        c->value.length--;
    return regex_new(c->value.text, c->value.length, 0, &c->regex, x->err);
}

/* Does the node meet it? An attribute that is not set is the empty text. */
static int meets(struct pick *pick, const struct criterion *c, const struct attr_node *node,
                 const char *name)
{
    struct expand *x = pick->x;
    struct attr_value value = {0};
    uint64_t steps = node ? attr_steps(x->site->attr) : 0;
    int r = node ? attr_value(x->site->attr, node, &c->attr, &value, x->err) : 0;
    if (r < 0)
        return r;
    steps = node ? attr_steps(x->site->attr) - steps : 0;
    if (steps > x->steps)
        return rm_fail(x->err, -E2BIG, "%s.%s: the patterns of its values take too many steps",
                       c->attr.table->name, c->attr.table->columns[c->attr.column]);
    x->steps -= steps;
    const char *text = value.text ? value.text : "";
    size_t length = strlen(text);
    if (!c->regex) {
        bool same = length == c->value.length && memcmp(text, c->value.text, length) == 0;
        return same == (c->relation == IS);
    }
    r = regex_match(c->regex, text, length, &x->steps, x->err);
    if (r < 0)
        return rm_prefix(x->err, r, "%s.%s of %s", c->attr.table->name,
                         c->attr.table->columns[c->attr.column], name);
    return r == (c->relation == LIKE);
}

static int fits_criteria(struct pick *pick, const char *name, const struct attr_node *node)
{
    int r = 1;
    for (size_t i = 0; i < pick->n_criteria && r == 1; i++)
        r = meets(pick, &pick->criteria[i], node, name);
    return r;
}

static int pick_criteria(struct expand *x, struct criterion *criteria, size_t n,
                         struct node_set *to)
{
    struct pick pick = {
        .x = x, .to = to, .fits = fits_criteria, .criteria = criteria, .n_criteria = n};
    return ask_all(&pick);
}

int pick_selection(struct expand *x, struct span s, struct node_set *to)
{
    struct criterion criterion = {0};
    int r = read_criterion(x, s, /* is_object = */ false, &criterion);
    if (r == 0)
        r = pick_criteria(x, &criterion, 1, to);
    regex_free(criterion.regex);
    return r;
}

/* ---- by regex */

static int fits_regex(struct pick *pick, const char *name, const struct attr_node *node)
{
    (void)node;
    return regex_match(pick->regex, name, strlen(name), &pick->x->steps, pick->x->err);
}

int pick_regex(struct expand *x, struct span s, struct node_set *to)
{
    struct pick pick = {.x = x, .to = to, .fits = fits_regex};
    struct span text = span_skip(s, 1);
    size_t before = to->n;
    if (text.length > 0 && text.text[text.length - 1] == '/') /* no name could end so */
        text.length--;
    int r = regex_new(text.text, text.length, REGEX_WHOLE, &pick.regex, x->err);
    if (r == 0)
        r = ask_all(&pick);
    regex_free(pick.regex);
    if (r == 0 && to->n == before && !x->removing && !x->lenient)
        r = rm_fail(x->err, -ENOENT, "no nodes match '%.*s'", (int)s.length, s.text);
    return r < 0 && r != -ENOENT
               ? rm_prefix(x->err, r, "'%.*s'", (int)(s.length < 200 ? s.length : 200), s.text)
               : r;
}

/* ---- by group */

static int pick_dynamic(struct expand *x, const char *name, const char *where, struct node_set *to)
{
    struct criterion criteria[CRITERIA_MAX] = {0};
    size_t n = 0;
    int r = 0;
    for (const char *at = where; at && *at && r == 0;) {
        const char *next = strstr(at, "::");
        struct span one = {at, next ? (size_t)(next - at) : strlen(at)};
        at = next ? next + 2 : NULL;
        if (one.length == 0)
            continue;
        r = n == CRITERIA_MAX ? rm_fail(x->err, -E2BIG, "more than %d conditions", CRITERIA_MAX)
                              : read_criterion(x, one, /* is_object = */ true, &criteria[n++]);
    }
    if (r == 0 && n == 0)
        r = rm_fail(x->err, -EINVAL, "nodegroup.wherevals says nothing");
    if (r < 0)
        rm_prefix(x->err, r, "the dynamic group %s", name);
    else
        r = pick_criteria(x, criteria, n, to);
    for (size_t i = 0; i < n; i++)
        regex_free(criteria[i].regex);
    return r;
}

int pick_group(struct expand *x, const char *name, struct node_set *to)
{
    const struct attr_node *group = x->site->attr ? attr_node(x->site->attr, name) : NULL;
    size_t n;
    if (!group || !attr_is_group(group))
        return 0;
    const char *where = attr_dynamic(group);
    int r = where ? pick_dynamic(x, name, where, to) : 0;
    const struct attr_node *const *members = attr_members(group, &n);
    if (where)
        n = 0;
    if (r == 0)
        r = expand_make(x, n);
    for (size_t i = 0; i < n && r >= 0; i++) {
        const char *member = attr_node_name(members[i]);
        r = expand_node(x, member, to);
        if (r == 0)
            r = expand_missing(x, (struct span){member, strlen(member)});
    }
    return r < 0 ? r : 1;
}
