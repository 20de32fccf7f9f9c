/* test_condition.c - what is typed as an attribute, an operator and a value */
#include "submit/tables/condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef RmTerm *parse_f(struct arena *arena, const char *text);

static struct arena *arena;

static int begin(void **state)
{
    (void)state;
    arena = arena_new(0);
    return arena ? freopen("/dev/null", "w", stderr) == NULL : -1;
}

static int end(void **state)
{
    (void)state;
    arena_free(arena);
    return 0;
}

static void is(parse_f *parse, const char *text, const char *attr, RmOperator op, const char *value)
{
    const RmTerm *term = parse(arena, text);
    if (!term)
        fail_msg("'%s' is refused", text);
    assert_string_equal(term->attr, attr);
    assert_int_equal(term->op, op);
    assert_string_equal(term->value, value);
}

static void is_none(parse_f *parse, const char *text)
{
    if (parse(arena, text))
        fail_msg("'%s' is taken", text);
}

static void node_sets_and_selects(void **state)
{
    (void)state;
    is(term_of_node, "vm.host=hyp02", "vm.host", RM_OPERATOR__SET, "hyp02");
    is(term_of_node, "vm.host=", "vm.host", RM_OPERATOR__SET, "");
    is(term_of_node, "groups,=web", "groups", RM_OPERATOR__PREPEND, "web");
    is(term_of_node, "groups^=web", "groups", RM_OPERATOR__REMOVE, "web");
    is(term_of_node, "a.b=@=x", "a.b", RM_OPERATOR__SET, "=x");
    is(term_of_node, "a.b=@@x", "a.b", RM_OPERATOR__SET, "@x");
    is(term_of_node, "a.b=x=@y", "a.b", RM_OPERATOR__SET, "x=@y");
    is(term_of_node, "vm.host==hyp02", "vm.host", RM_OPERATOR__IS, "hyp02");
    is(term_of_node, "vm.host==", "vm.host", RM_OPERATOR__IS, "");
    is(term_of_node, "vm.host!=hyp02", "vm.host", RM_OPERATOR__IS_NOT, "hyp02");
    is(term_of_node, "vm.host=~/^h/", "vm.host", RM_OPERATOR__LIKE, "/^h/");
    is(term_of_node, "vm.host!~a=b", "vm.host", RM_OPERATOR__NOT_LIKE, "a=b");
    is_none(term_of_node, "vm.host");
    is_none(term_of_node, "=x");
    is_none(term_of_node, ",=x");
    is_none(term_of_node, "==x");
    is_none(term_of_node, "vm.host!x");
    is_none(term_of_node, "vm.host=a\001b");
    is_none(term_of_node, "vm.host=a\xff");
}

static void row_sets_and_adds(void **state)
{
    (void)state;
    is(term_of_row, "vm.host=hyp02", "vm.host", RM_OPERATOR__SET, "hyp02");
    is(term_of_row, "vm.x+=a,b", "vm.x", RM_OPERATOR__APPEND, "a,b");
    is(term_of_row, "nodegroup.wherevals=mgt==kvm", "nodegroup.wherevals", RM_OPERATOR__SET,
       "mgt==kvm");
    is_none(term_of_row, "vm.host");
    is_none(term_of_row, "=x");
    is_none(term_of_row, "+=x");
}

static void dump_compares(void **state)
{
    (void)state;
    is(term_of_dump, "host==hyp01", "host", RM_OPERATOR__IS, "hyp01");
    is(term_of_dump, "host!=", "host", RM_OPERATOR__IS_NOT, "");
    is(term_of_dump, "host=~hyp%", "host", RM_OPERATOR__LIKE, "hyp%");
    is(term_of_dump, "host!~hyp_", "host", RM_OPERATOR__NOT_LIKE, "hyp_");
    is(term_of_dump, "n>5", "n", RM_OPERATOR__ABOVE, "5");
    is(term_of_dump, "n>=5", "n", RM_OPERATOR__AT_LEAST, "5");
    is(term_of_dump, "n<5", "n", RM_OPERATOR__BELOW, "5");
    is(term_of_dump, "n<=5", "n", RM_OPERATOR__AT_MOST, "5");
    is(term_of_dump, "n==a>b", "n", RM_OPERATOR__IS, "a>b");
    is_none(term_of_dump, "host");
    is_none(term_of_dump, "host=x");
    is_none(term_of_dump, ">5");
}

static void list_selects(void **state)
{
    (void)state;
    is(term_of_list, "vm.host=hyp01", "vm.host", RM_OPERATOR__IS, "hyp01");
    is(term_of_list, "vm.host==hyp01", "vm.host", RM_OPERATOR__IS, "hyp01");
    is(term_of_list, "mgt!~kvm", "mgt", RM_OPERATOR__NOT_LIKE, "kvm");
    is_none(term_of_list, "vm.host~x");
}

static void keys_are_pairs(void **state)
{
    (void)state;
    RmTerm **keys = NULL;
    size_t n;
    assert_int_equal(term_keys(arena, "node=kvm1,host=,mgr=a=b", &n, &keys), 0);
    assert_int_equal(n, 3);
    assert_string_equal(keys[0]->attr, "node");
    assert_string_equal(keys[0]->value, "kvm1");
    assert_string_equal(keys[1]->value, "");
    assert_string_equal(keys[2]->value, "a=b");
    assert_true(term_keys(arena, "kvm1", &n, &keys) < 0);
    assert_true(term_keys(arena, "node=kvm1,x", &n, &keys) < 0);
    assert_true(term_keys(arena, "=x", &n, &keys) < 0);
    assert_true(term_keys(arena, "", &n, &keys) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(node_sets_and_selects), cmocka_unit_test(row_sets_and_adds),
        cmocka_unit_test(dump_compares),         cmocka_unit_test(list_selects),
        cmocka_unit_test(keys_are_pairs),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
