/* condition.c - what is typed as ATTRIBUTE, an operator and a value */
#include "submit/tables/condition.h"

#include "conf/text.h"
#include "submit/out.h"

#include <errno.h>
#include <string.h>

static RmTerm *make(struct arena *arena, const char *text, size_t attr, RmOperator op,
                    const char *value)
{
    if (!text_is_clean(text)) {
        out_error("'%s' is not UTF-8 or contains a control character", text);
        return NULL;
    }
    RmTerm *term = arena_alloc(arena, sizeof(*term));
    if (term) {
        rm_term__init(term);
        term->attr = arena_printf(arena, "%.*s", (int)attr, text);
        term->op = op;
        term->value = (char *)value;
    }
    if (!term || !term->attr) {
        out_no_memory();
        return NULL;
    }
    return term;
}

static RmTerm *malformed(const char *text, const char *should)
{
    out_error("Malformed argument '%s': it must be %s", text, should);
    return NULL;
}

/* The first of == != =~ !~ when only a name precedes it. */
static RmOperator selects(const char *text, size_t *ret_attr, const char **ret_value)
{
    const char *at = strpbrk(text, "=!");
    if (!at || (at[0] == '!' && at[1] != '=' && at[1] != '~') ||
        (at[0] == '=' && at[1] != '=' && at[1] != '~'))
        return RM_OPERATOR__NO_OPERATOR;
    *ret_attr = (size_t)(at - text);
    *ret_value = at + 2;
    if (at[0] == '=')
        return at[1] == '=' ? RM_OPERATOR__IS : RM_OPERATOR__LIKE;
    return at[1] == '=' ? RM_OPERATOR__IS_NOT : RM_OPERATOR__NOT_LIKE;
}

RmTerm *term_of_list(struct arena *arena, const char *text)
{
    const char *value;
    size_t attr;
    RmOperator op = selects(text, &attr, &value);
    if (op == RM_OPERATOR__NO_OPERATOR && (value = strchr(text, '='))) {
        op = RM_OPERATOR__IS;
        attr = (size_t)(value++ - text);
    }
    if (op == RM_OPERATOR__NO_OPERATOR || attr == 0)
        return malformed(text, "TABLE.COLUMN==VALUE, or !=, =~ or !~ instead of ==");
    return make(arena, text, attr, op, value);
}

RmTerm *term_of_node(struct arena *arena, const char *text)
{
    const char *value, *equals = strchr(text, '=');
    size_t attr;
    RmOperator op = selects(text, &attr, &value);
    if (op == RM_OPERATOR__NO_OPERATOR && equals) {
        char before = equals > text ? equals[-1] : '\0';
        op = before == ','   ? RM_OPERATOR__PREPEND
             : before == '+' ? RM_OPERATOR__APPEND
             : before == '^' ? RM_OPERATOR__REMOVE
                             : RM_OPERATOR__SET;
        attr = (size_t)(equals - text) - (op == RM_OPERATOR__SET ? 0 : 1);
        value = equals + 1 + (equals[1] == '@' ? 1 : 0);
    }
    if (op == RM_OPERATOR__NO_OPERATOR || attr == 0)
        return malformed(text, "TABLE.COLUMN=VALUE, or ,= += ^= =@ == != =~ !~ instead of =");
    return make(arena, text, attr, op, value);
}

RmTerm *term_of_row(struct arena *arena, const char *text)
{
    const char *equals = strchr(text, '=');
    bool append = equals && equals > text && equals[-1] == '+';
    size_t attr = equals ? (size_t)(equals - text) - (append ? 1 : 0) : 0;
    if (attr == 0)
        return malformed(text, "TABLE.COLUMN=VALUE or TABLE.COLUMN+=VALUE");
    return make(arena, text, attr, append ? RM_OPERATOR__APPEND : RM_OPERATOR__SET, equals + 1);
}

RmTerm *term_of_dump(struct arena *arena, const char *text)
{
    const char *value, *at = strpbrk(text, "<>=!");
    size_t attr;
    RmOperator op = RM_OPERATOR__NO_OPERATOR;
    if (at && (*at == '<' || *at == '>')) {
        bool equal = at[1] == '=';
        attr = (size_t)(at - text);
        value = at + 1 + (equal ? 1 : 0);
        op = *at == '>' ? equal ? RM_OPERATOR__AT_LEAST : RM_OPERATOR__ABOVE
             : equal    ? RM_OPERATOR__AT_MOST
                        : RM_OPERATOR__BELOW;
    } else {
        op = selects(text, &attr, &value);
    }
    if (op == RM_OPERATOR__NO_OPERATOR || attr == 0)
        return malformed(text, "COLUMN==VALUE, or != =~ !~ > < >= <= instead of ==");
    return make(arena, text, attr, op, value);
}

bool term_selects(const RmTerm *term)
{
    return term->op >= RM_OPERATOR__IS;
}

int term_keys(struct arena *arena, const char *text, size_t *ret_n, RmTerm ***ret_terms)
{
    *ret_n = 0;
    for (const char *at = text; at;) {
        size_t length = strcspn(at, ",");
        const char *equals = memchr(at, '=', length);
        char *value = equals
                          ? arena_printf(arena, "%.*s", (int)(at + length - equals - 1), equals + 1)
                          : NULL;
        if (!equals || equals == at) {
            malformed(text, "COLUMN=VALUE[,COLUMN=VALUE...], which says which row");
            return -EINVAL;
        }
        RmTerm *term =
            value ? make(arena, at, (size_t)(equals - at), RM_OPERATOR__IS, value) : NULL;
        if (!term || arena_push(arena, ret_n, (void ***)(void *)ret_terms, term) < 0)
            return -EINVAL;
        at = at[length] == ',' ? at + length + 1 : NULL;
    }
    return 0;
}
