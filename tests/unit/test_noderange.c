/* test_noderange.c - noderanges: names, lists, brackets, ranges, exclusions, and every refusal */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/noderange.h"

static const char *const site_names[] = {
    "n1",         "n2",         "n3",         "n4",       "n5",       "n6",       "n7",
    "n8",         "n9",         "n10",        "n11",      "n12",      "node01",   "node02",
    "node08",     "node09",     "node10",     "node98",   "node99",   "node100",  "node101",
    "f1n1",       "f1n2",       "f1n3",       "f2n1",     "f2n2",     "f2n3",     "rack1-n1",
    "rack1-n2",   "rack1-n3",   "a-b-c",      "web",      "foo1bar2", "foo1bar3", "foo2bar2",
    "n1.cluster", "n2.cluster", "n3.cluster", "odd[1-2]", "kvm1-8",   "kvm1",     "007",
};

static bool in_site(void *ctx, const char *name)
{
    (void)ctx;
    for (size_t i = 0; i < sizeof(site_names) / sizeof(site_names[0]); i++)
        if (strcmp(site_names[i], name) == 0)
            return true;
    return false;
}

static bool in_any_site(void *ctx, const char *name)
{
    (void)ctx;
    (void)name;
    return true;
}

/* Everything exists that has no comma, bracket or range sign in it. */
static bool is_plain(void *ctx, const char *name)
{
    (void)ctx;
    return name[0] != '\0' && strpbrk(name, "[],-:") == NULL;
}

static const struct noderange_site site = {.is_node = in_site};
static const struct noderange_site plain = {.is_node = is_plain};

/* The names of an expression with commas between them, or the error text. */
static const char *expand(const char *expression, const struct noderange_site *where)
{
    static char out[4096];
    struct noderange range = {0};
    struct rm_err err = {""};
    int r = noderange_expand(expression, where, &range, &err);
    out[0] = '\0';
    if (r < 0) {
        assert_null(range.names); /* written only on success */
        snprintf(out, sizeof(out), "%d %s", r, err.text);
    }
    for (size_t i = 0; i < range.n; i++) {
        strcat(out, i ? "," : "");
        strcat(out, range.names[i]);
        assert_true(noderange_has(&range, range.names[i]));
    }
    assert_false(noderange_has(&range, "nobody"));
    noderange_done(&range);
    noderange_done(&range);
    return out;
}

static void an_expression_expands_as_in_xcat(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *names;
    } rows[] = {
        {"n3,n1,n1", "n1,n3"},
        {"n1-n3", "n1,n2,n3"},
        {"n1:n3", "n1,n2,n3"},
        {"n[1-3]", "n1,n2,n3"},
        {"n[1:3]", "n1,n2,n3"},
        {"n[1,3,5-6]", "n1,n3,n5,n6"},
        {"n8-n12", "n10,n11,n12,n8,n9"},
        {"node[08-10]", "node08,node09,node10"},
        {"node[08:10]", "node08,node09,node10"},
        {"node08-node10", "node08,node09,node10"},
        {"node98-node101", "node100,node101,node98,node99"},
        {"n1-n1", "n1"},
        {"n1.cluster-n3.cluster", "n1.cluster,n2.cluster,n3.cluster"},
        {"n[1-2].cluster", "n1.cluster,n2.cluster"},
        {"f[1-2]n[1-3]", "f1n1,f1n2,f1n3,f2n1,f2n2,f2n3"},
        {"f[1,2]n[3]", "f1n3,f2n3"},
        {"f1n1-f2n1", "f1n1,f2n1"},
        {"rack1-n1-rack1-n3", "rack1-n1,rack1-n2,rack1-n3"},
        {"rack1-n[1-3]", "rack1-n1,rack1-n2,rack1-n3"},
        {"rack1-n1:rack1-n3", "rack1-n1,rack1-n2,rack1-n3"},
        {"a-b-c", "a-b-c"},
        {"odd[1-2]", "odd[1-2]"}, /* a name that exists comes first */
        {"kvm1-8,kvm1", "kvm1,kvm1-8"},
        {"007", "007"},
        {"n1-n3,-n2", "n1,n3"},
        {"-n2,n1-n3", "n1,n3"},
        {"n1-n10,-n3-n5,n4", "n1,n10,n2,n6,n7,n8,n9"},
        {"n1-n4,-n[2-3]", "n1,n4"},
        {"n1,-n1,n1,n2", "n2"},
        {"'n1','n2'", "n1,n2"},
        {"\"n1,n2\"", "n1,n2"},
        {"n1,,n2", "n1,n2"},
        {",n1,n2,", "n1,n2"},
        {"n[1][0,1,2]", "n10,n11,n12"},
        {"[n1-n3]", "n1,n2,n3"},
        {"[web]", "web"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(expand(rows[i].expression, &site), rows[i].names);
}

static void unknown_names_are_all_told(void **state)
{
    (void)state;
    static const struct {
        const char *expression, *missing;
    } rows[] = {
        {"nosuch", "nosuch"},
        {"n1,nosuch", "nosuch"},
        {"nosuch1-nosuch3", "nosuch1,nosuch2,nosuch3"},
        {"n11-n13,x,-y", "n13,x,y"},
        {"n1,-nosuch", "nosuch"},
        {"f1n1-f2n3", "f1n1-f2n3"},
        {"foo1bar2-foo2bar3", "foo1bar2-foo2bar3"},
        {"n1 n2", "n1 n2"},
        {"n1, n2", " n2"},
        {"n1-", "n1-"},
        {"n1-n3-n5", "n1-n3-n5"},
        {"n1-n3x", "n1-n3x"},
        {"n[1", "n[1"},
        {"n1]", "n1]"},
        {"n[[1]]", "n[[1]]"},
        {"n]1[", "n]1["},
        {"n[1,2", "n[1,2"},
        {"*", "*"},
        {"ALLNODES", "ALLNODES"},
        {"n[1-2]x", "n1x,n2x"},
        {"n[a-c]", "na-c"},
        {"n[1,]", "n"},
        {":", ":"},
        {"--", "-"},
        {"n1-n9999999999999999999", "n1-n9999999999999999999"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%d Invalid nodes and/or groups in noderange: %s", -EINVAL,
                 rows[i].missing);
        assert_string_equal(expand(rows[i].expression, &site), text);
    }
}

static void a_long_list_of_unknown_names_says_how_many_more(void **state)
{
    (void)state;
    const char *text = expand("missing[1-1000]", &site);
    assert_non_null(strstr(text, ": missing1,missing2,"));
    const char *more = strstr(text, " and ");
    assert_non_null(more);
    int n = 0, shown = 1;
    assert_int_equal(sscanf(more, " and %d more", &n), 1);
    for (const char *c = text; c < more; c++)
        shown += *c == ',';
    assert_int_equal(shown + n, 1000);
}

static void what_makes_no_sense_is_refused(void **state)
{
    (void)state;
    char text[128];
    static const struct {
        const char *expression;
        int code;
        const char *text;
    } rows[] = {
        {"n3-n1", -EINVAL, "the range 'n3-n1' runs backwards"},
        {"n[3-1]", -EINVAL, "the range '3-1' runs backwards"},
        {"", -ENOENT, "no nodes match ''"},
        {",,-", -ENOENT, "no nodes match ',,-'"},
        {"-n1", -ENOENT, "no nodes match '-n1'"},
        {"n1-n3,-n[1-3]", -ENOENT, "no nodes match 'n1-n3,-n[1-3]'"},
        {"x1-x1000001", -E2BIG, "the range 'x1-x1000001' makes more than 1000000 names"},
        {"x[1-999999999]", -E2BIG, "the range '1-999999999' makes more than 1000000 names"},
        {"[1-1001]x[1-1000]", -E2BIG, "'[1-1001]x[1-1000]' makes more than 1000000 names"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        snprintf(text, sizeof(text), "%d %s", rows[i].code, rows[i].text);
        assert_string_equal(expand(rows[i].expression, &site), text);
    }
}

static void bounds_hold_for_hostile_expressions(void **state)
{
    (void)state;
    char *text = malloc(NODERANGE_TEXT_MAX + 2), *at = text;
    for (int i = 0; i < 20; i++) /* a million each */
        at += sprintf(at, "x%d[1-1000][1-%d],", i, 900);
    assert_memory_equal(expand(text, &plain), "-7 ", 3);
    at = text;
    for (int i = 0; i < 65; i++) /* one name from very many brackets */
        at += sprintf(at, "[1]");
    assert_non_null(strstr(expand(text, &site), "more than 64 brackets"));
    memset(text, 'x', 600);
    strcpy(text + 300, "[1-2]");
    assert_non_null(strstr(expand(text, &site), "longer than 255 bytes"));
    strcpy(text + 300, "1-"); /* a range whose names are too long */
    memset(text + 302, 'x', 300);
    strcpy(text + 602, "2");
    assert_non_null(strstr(expand(text, &site), "too long"));
    memset(text, '[', NODERANGE_TEXT_MAX);
    text[NODERANGE_TEXT_MAX] = '\0';
    assert_non_null(strstr(expand(text, &site), "Invalid nodes"));
    text[NODERANGE_TEXT_MAX] = 'x';
    text[NODERANGE_TEXT_MAX + 1] = '\0';
    assert_non_null(strstr(expand(text, &site), "more than 1048576 bytes"));
    memset(text, ',', NODERANGE_TEXT_MAX);
    text[NODERANGE_TEXT_MAX] = '\0';
    assert_memory_equal(expand(text, &site), "-2 ", 3);
    free(text);
}

static void many_names_are_expanded_sorted_and_unique(void **state)
{
    (void)state;
    struct noderange range;
    struct rm_err err = {""};
    static const struct noderange_site any = {.is_node = is_plain};
    int r = noderange_expand("kvm[000001-100000],kvm[050000-100000],-kvm[000010-000019]", &any,
                             &range, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(r, 0);
    assert_int_equal(range.n, 99990);
    for (size_t i = 1; i < range.n; i++)
        assert_true(strcmp(range.names[i - 1], range.names[i]) < 0);
    assert_true(noderange_has(&range, "kvm050000"));
    assert_false(noderange_has(&range, "kvm000015"));
    noderange_done(&range);
    static const struct noderange_site all = {.is_node = in_any_site};
    assert_int_equal(noderange_expand("n[1-3]", &all, &range, &err), 0);
    assert_int_equal(range.n, 1); /* it exists, just so */
    noderange_done(&range);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_expression_expands_as_in_xcat),
        cmocka_unit_test(unknown_names_are_all_told),
        cmocka_unit_test(a_long_list_of_unknown_names_says_how_many_more),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(bounds_hold_for_hostile_expressions),
        cmocka_unit_test(many_names_are_expanded_sorted_and_unique),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
