/* regex.c - PCRE2 with every limit set
 *
 * PCRE2's match limit begins again at each start in the subject and what was used is not reported,
 * so it cannot bound what many matches cost together. Automatic callouts can: one comes before each
 * item of the expression, and each is a step. */
#include "store/tables/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <errno.h>
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

enum {
    REGEX_DEPTH_MAX = 20000,    /* of backtracking */
    REGEX_HEAP_MAX = 16 * 1024, /* KiB for it */
    REGEX_NESTING_MAX = 100,    /* of parentheses in an expression */
    OUT_OF_STEPS = -1000,       /* the callout's own code: PCRE2 passes it on */
};

struct regex {
    pcre2_code *code;
    pcre2_match_data *match;
    pcre2_match_context *context;
    const char *subject; /* of the last match */
    uint64_t left;       /* steps of the match that runs */
    unsigned groups;
};

static int count_step(pcre2_callout_block *block, void *data)
{
    struct regex *regex = data;
    (void)block;
    if (regex->left == 0)
        return OUT_OF_STEPS;
    regex->left--;
    return 0;
}

/* What is wrong with an expression, in PCRE2's words. */
static int fail_compile(const char *text, size_t length, int code, size_t offset,
                        struct rm_err *err)
{
    PCRE2_UCHAR why[256];
    if (pcre2_get_error_message(code, why, sizeof(why)) < 0)
        why[0] = '\0';
    return rm_fail(err, -EINVAL, "wrong regular expression '%.*s', at character %zu: %s",
                   (int)(length < 200 ? length : 200), text, offset + 1, (const char *)why);
}

static int compile(struct regex *regex, const char *text, size_t length, int flags,
                   struct rm_err *err)
{
    uint32_t options =
        PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT;
    if (flags & REGEX_WHOLE)
        options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        return rm_fail(err, -ENOMEM, "out of memory");
    pcre2_set_parens_nest_limit(context, REGEX_NESTING_MAX);
    int code;
    size_t offset;
    regex->code = pcre2_compile((PCRE2_SPTR)text, length, options, &code, &offset, context);
    pcre2_compile_context_free(context);
    return regex->code ? 0 : fail_compile(text, length, code, offset, err);
}

int regex_new(const char *text, size_t length, int flags, struct regex **ret_regex,
              struct rm_err *err)
{
    if (length > REGEX_TEXT_MAX)
        return rm_fail(err, -EINVAL, "a regular expression of more than %d bytes", REGEX_TEXT_MAX);
    struct regex *regex = calloc(1, sizeof(*regex));
    if (!regex)
        return rm_fail(err, -ENOMEM, "out of memory");
    int r = compile(regex, text, length, flags, err);
    if (r < 0) {
        regex_free(regex);
        return r;
    }
    uint32_t groups = 0;
    pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    regex->groups = groups;
    regex->match = pcre2_match_data_create_from_pattern(regex->code, NULL);
    regex->context = pcre2_match_context_create(NULL);
    if (!regex->match || !regex->context) {
        regex_free(regex);
        return rm_fail(err, -ENOMEM, "out of memory");
    }
    pcre2_set_depth_limit(regex->context, REGEX_DEPTH_MAX);
    pcre2_set_heap_limit(regex->context, REGEX_HEAP_MAX);
    pcre2_set_callout(regex->context, count_step, regex);
    *ret_regex = regex;
    return 0;
}

void regex_free(struct regex *regex)
{
    if (!regex)
        return;
    pcre2_match_context_free(regex->context);
    pcre2_match_data_free(regex->match);
    pcre2_code_free(regex->code);
    free(regex);
}

unsigned regex_groups(const struct regex *regex)
{
    return regex->groups;
}

int regex_match(struct regex *regex, const char *text, size_t length, uint64_t *steps,
                struct rm_err *err)
{
    uint64_t own = REGEX_STEPS_MAX;
    uint64_t *budget = steps ? steps : &own;
    if (length > REGEX_SUBJECT_MAX)
        return rm_fail(err, -E2BIG,
                       "a text of %zu bytes is too long for a regular expression, which may see %d",
                       length, REGEX_SUBJECT_MAX);
    regex->subject = text;
    regex->left = *budget;
    int r = pcre2_match(regex->code, (PCRE2_SPTR)text, length, 0, 0, regex->match, regex->context);
    *budget = regex->left;
    if (r == PCRE2_ERROR_NOMATCH)
        return 0;
    if (r >= 0)
        return 1;
    if (r == PCRE2_ERROR_NOMEMORY)
        return rm_fail(err, -ENOMEM, "out of memory");
    return rm_fail(err, -E2BIG, "the regular expression takes too many steps");
}

struct regex_span regex_group(const struct regex *regex, unsigned i)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(regex->match);
    if (i > regex->groups || ends[2 * i] == PCRE2_UNSET)
        return (struct regex_span){NULL, 0};
    /* \K inside a lookahead can put the start behind the end. */
    if (ends[2 * i] > ends[2 * i + 1])
        return (struct regex_span){regex->subject + ends[2 * i + 1], 0};
    return (struct regex_span){regex->subject + ends[2 * i], ends[2 * i + 1] - ends[2 * i]};
}
