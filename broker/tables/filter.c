/* filter.c - conditions on nodes, of nodels and nodech */
#include "broker/tables/filter.h"

#include "broker/tables/common.h"

#include <errno.h>
#include <string.h>

enum {
    STEPS_MAX = 20 * 1000 * 1000, /* of the regular expressions of one request */
};

static bool read_term(struct core *core, struct request *request, const RmTerm *term, bool secrets,
                      struct site_term *ret)
{
    const char *value = term->value;
    size_t length = strlen(value);
    struct rm_err err = {0};

    ret->term = term;
    if (!site_find_attr(core, request, term->attr, &ret->attr))
        return false;
    if (!site_may_select(core, request, &ret->attr, term->attr, secrets, "nodes"))
        return false;
    switch (term->op) {
    case RM_OPERATOR__IS:
    case RM_OPERATOR__IS_NOT:
        return true;
    case RM_OPERATOR__LIKE:
    case RM_OPERATOR__NOT_LIKE:
        break;
    default:
        request_refuse(core, request, RM_CODE__CODE_USAGE,
                       "%s: nodes are selected by ==, !=, =~ and !~", term->attr);
        return false;
    }
    if (length > 0 && value[0] == '/') { /* /re/ is re */
        value++;
        length--;
    }
    if (length > 0 && value[length - 1] == '/')
        length--;
    if (regex_new(value, length, 0, &ret->regex, &err) >= 0)
        return true;
    request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "%s=~%s: %s", term->attr, term->value,
                   err.text);
    return false;
}

bool site_filter_read(struct core *core, struct request *request, RmTerm *const *terms, size_t n,
                      bool secrets, struct site_filter *ret_filter)
{
    *ret_filter = (struct site_filter){.steps = STEPS_MAX};
    if (!site_is_bounded(core, request, n, SITE_COLUMNS_MAX, "conditions"))
        return false;
    ret_filter->terms = core_alloc(core, (n + 1) * sizeof(*ret_filter->terms));
    for (; ret_filter->n < n; ret_filter->n++)
        if (!read_term(core, request, terms[ret_filter->n], secrets,
                       &ret_filter->terms[ret_filter->n]))
            return false;
    return true;
}

void site_filter_done(struct site_filter *filter)
{
    for (size_t i = 0; i < filter->n; i++)
        regex_free(filter->terms[i].regex);
    filter->n = 0;
}

int site_filter_meets(struct core *core, struct site_filter *filter, const char *node,
                      struct rm_err *err)
{
    const struct attr_node *known = attr_node(core->attr, node);

    for (size_t i = 0; i < filter->n; i++) {
        const struct site_term *one = &filter->terms[i];
        struct attr_value value = {0};
        const char *text;
        bool yes;
        uint64_t steps = attr_steps(core->attr);
        int r = known ? attr_value(core->attr, known, &one->attr, &value, err) : 0;
        if (r < 0)
            return r;
        steps = attr_steps(core->attr) - steps;
        if (steps > filter->steps)
            return rm_fail(err, -E2BIG, "%s: the patterns of its values take too many steps",
                           one->term->attr);
        filter->steps -= steps;
        text = value.text ? value.text : "";
        if (one->regex) {
            r = regex_match(one->regex, text, strlen(text), &filter->steps, err);
            if (r < 0)
                return rm_prefix(err, r, "%s of %s", one->term->attr, node);
            yes = (r == 1) == (one->term->op == RM_OPERATOR__LIKE);
        } else {
            yes = (strcmp(text, one->term->value) == 0) == (one->term->op == RM_OPERATOR__IS);
        }
        if (!yes)
            return 0;
    }
    return 1;
}
