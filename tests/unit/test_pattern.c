/* test_pattern.c - values that stand for a different text on each node: xCAT's own results, every
 * function, every refusal, and the bounds */
#include "store/tables/expr.h"
#include "store/tables/pattern.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char text[PATTERN_RESULT_MAX + 1];
static struct rm_err err;

/* The value, or the error text. */
static const char *expand(const char *value, const char *node)
{
    err.text[0] = '\0';
    int r = pattern_expand(value, node, text, &err);
    if (r < 0)
        return err.text;
    assert_int_equal((size_t)r, strlen(text));
    return text;
}

static const char *check(const char *value)
{
    err.text[0] = '\0';
    int r = pattern_check(value, &err);
    assert_true(r == 0 || r == -EINVAL);
    assert_int_equal(r < 0, err.text[0] != '\0');
    return err.text;
}

static void every_line_of_the_site_reads_as_in_xcat(void **state)
{
    (void)state;
    FILE *file = fopen(SOURCE_DIR "/tests/site/pattern.tsv", "r");
    char line[1024];
    unsigned n = 0;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        if (line[0] == '#')
            continue;
        char *save, *node = strtok_r(line, "\t", &save), *value = strtok_r(NULL, "\t", &save);
        char *want = strtok_r(NULL, "\n", &save);
        assert_non_null(want);
        if (strcmp(want, "UNSET") == 0) { /* not evaluated there either; here it is told */
            assert_int_equal(pattern_expand(value, node, text, &err), -EINVAL);
            assert_int_equal(pattern_check(value, &err), -EINVAL);
        } else {
            assert_string_equal(expand(value, node), want);
            assert_string_equal(check(value), "");
        }
        n++;
    }
    fclose(file);
    assert_true(n >= 24);
}

static void a_value_expands(void **state)
{
    (void)state;
    static const struct {
        const char *node, *value, *want;
    } rows[] = {
        /* shapes */
        {"kvm1", "", ""},
        {"kvm1", "|", "|"},
        {"kvm1", "/", "/"},
        {"kvm1", "//", "//"},
        {"kvm1", "a|b|c|", "a|b|c|"},
        {"kvm1", "|kvm|hyp", "|kvm|hyp"},
        {"kvm1", "|kvm|h\nyp|", "|kvm|h\nyp|"},
        {"kvm1", "/kvm/hyp/ ", "/kvm/hyp/ "},
        {"kvm1", "/k/v/m/", "/k/v/m/"},
        {"kvm1", "nfs://a/x|nfs://b/y", "nfs://a/x|nfs://b/y"},
        {"kvm1", "||", ""},
        {"kvm1", "|^.*$||", ""},
        {"kvm1", "/kvm//", "1"},
        {"kvm1", "/nothing/hyp/", "kvm1"},
        {"kvm1", "/kvm/($1)/", "($1)1"},
        {"kvm1", "|kvm|a|b|", "a|b1"},
        /* the rest of the name stays */
        {"kvm12.dom", "|kvm(\\d+)|hyp($1)|", "hyp12.dom"},
        {"x-kvm12.dom", "|kvm(\\d+)|hyp($1+1)|", "x-hyp13.dom"},
        {"kvm1kvm2", "|kvm(\\d)|h($1)|", "h1kvm2"},
        {"kvm1", "|\\z|-ib|", "kvm1-ib"},
        {"kvm1", "|^|ib-(1+1)-|", "ib-2-kvm1"},
        /* numbers of the name */
        {"node100", "|h($1)|", "h100"},
        {"node007", "|h($1)|", "h7"},
        {"node0", "|h($1)|", "h0"},
        {"node000", "|h($1)-($2)|", "h0-"},
        {"n0a1", "|h($1)-($2+0)|", "h1-0"},
        {"rack02-n10x", "|r($1)n($2)|", "r2n10"},
        {"rack02-n00x", "|r($1)n($2)|", "r2n0"},
        {"n20.dom3", "|h($1)s($2)|", "h20s3"},
        {"web", "|h($1)|", "h"},
        {"web", "|h($1*2-3)|", "h-3"},
        {"12", "|($1)|", "12"},
        {"n1", "|fixed|", "fixed"},
        /* arithmetic */
        {"n7", "|n(\\d+)|(1+2*3)|", "7"},
        {"n7", "|n(\\d+)|((1+2)*3)|", "9"},
        {"n7", "|n(\\d+)|(10-2-3)|", "5"},
        {"n7", "|n(\\d+)|(100/7/2)|", "7"},
        {"n7", "|n(\\d+)|(7-10)|", "-3"},
        {"n7", "|n(\\d+)|(-7/2)|", "-3"},
        {"n7", "|n(\\d+)|(-7%2)|", "-1"},
        {"n7", "|n(\\d+)|(7%-2)|", "1"},
        {"n7", "|n(\\d+)|(7 / -2)|", "-3"},
        {"n7", "|n(\\d+)|(- -7)|", "7"},
        {"n7", "|n(\\d+)|(+7)|", "7"},
        {"n7", "|n(\\d+)|( $1 + 1 )|", "8"},
        {"n7", "|n(\\d+)|(010)|", "8"},
        {"n7", "|n(\\d+)|(0x1F)|", "31"},
        {"n7", "|n(\\d+)|(0+0)|", "0"},
        {"n7", "|n(\\d+)|(1,2,$1+1)|", "8"},
        {"n7", "|n(\\d+)|('a')b(\"c\")|", "abc"},
        {"n007", "|n(\\d+)|($1)|", "007"},
        {"n007", "|n(\\d+)|(-$1)|", "-7"},
        {"n07x", "|n(\\w+)|($1+1)|", "8"},
        {"nx", "|n(\\w+)|($1+1)|", "1"},
        {"n1", "|n(\\d)(x)?|($2)-($2+0)|", "-0"},
        {"n1", "|n(\\d)|(9223372036854775807)|", "9223372036854775807"},
        {"n1", "|n(\\d)|(-9223372036854775807-1)|", "-9223372036854775808"},
        {"n1", "|n(\\d)|((-9223372036854775807-1)%-1)|", "0"},
        {"n-9223372036854775808", "|n(.*)|($1+0)|", "-9223372036854775808"},
        /* sprintf */
        {"n7", "|n(\\d+)|(sprintf('%03d',$1))|", "007"},
        {"n7", "|n(\\d+)|(sprintf('%3d',$1))|", "  7"},
        {"n7", "|n(\\d+)|(sprintf('%-3dx',$1))|", "7  x"},
        {"n7", "|n(\\d+)|(sprintf('%04d',-$1))|", "-007"},
        {"n7", "|n(\\d+)|(sprintf('%x-%X-%o',$1+250,$1+250,$1+1))|", "101-101-10"},
        {"n7", "|n(\\d+)|(sprintf('%02x:%02x',10,$1))|", "0a:07"},
        {"n7", "|n(\\d+)|(sprintf('%04s|%4s|%-4s|',$1,'ab','c'))|", "0007|  ab|c   |"},
        {"n7", "|n(\\d+)|(sprintf('100%%'))|", "100%"},
        {"n7", "|n(\\d+)|(sprintf('%d',sprintf('%d1',$1))+1)|", "72"},
        {"n7", "|n(\\d+)|(sprintf(\"%d\", ($1+1)*2))|", "16"},
        /* functions */
        {"rackb", "|rack(\\w)|(a2idx($1))|", "2"},
        {"rackB", "|rack(\\w)|(a2zidx($1))|", "1"},
        {"racka", "|rack(\\w)|h(a2zidx($1)*10+3)|", "h3"},
        {"ab", "|(.*)|(mknum($1))|", "195"},
        {"", "|(.*)|(mknum('')+1)|", "1"},
        {"r3c2", "|r(\\d)c(\\d)|(dim2idx($1,5,$2))|", "12"},
        {"r1c1", "|r(\\d)c(\\d)|(dim2idx($1,5,$2))|", "1"},
        {"r2c3n4", "|r(\\d)c(\\d)n(\\d)|(dim2idx($1,5,$2,8,$3))|", "60"},
        {"n9", "|n(\\d)|(dim2idx($1))|", "9"},
        {"n2", "|n(\\d+)|(skip($1,'3:2'))|", "2"},
        {"n3", "|n(\\d+)|(skip($1,'3:2'))|", "-1"},
        {"n4", "|n(\\d+)|(skip($1,'3:2'))|", "-1"},
        {"n5", "|n(\\d+)|(skip($1,'3:2'))|", "3"},
        {"n20", "|n(\\d+)|(skip($1,'3,7:2,15'))|", "16"},
        {"n20", "|n(\\d+)|(skip($1,''))|", "20"},
        {"n5", "|n(\\d+)|(ipadd(10,0,0,1,$1,0,0))|", "10.0.0.6"},
        {"n254", "|n(\\d+)|(ipadd(10,0,0,1,$1,1,1))|", "10.0.1.1"},
        {"n253", "|n(\\d+)|(ipadd(10,0,0,1,$1,1,1))|", "10.0.0.254"},
        {"n256", "|n(\\d+)|(ipadd(10,0,0,0,$1,0,0))|", "10.0.1.0"},
        {"n1", "|n(\\d+)|a(ipadd(10,0,0,0,$1,0,0))b|", "a10.0.0.1b"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(expand(rows[i].value, rows[i].node), rows[i].want);
        assert_string_equal(check(rows[i].value), "");
    }
}

/* What cannot be evaluated on any name is found before it is stored. */
static void what_is_no_sum_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *value, *why;
    } rows[] = {
        {"|kvm(\\d+)|(system('id'))|", "'system' is no function"},
        {"|kvm(\\d+)|(`id`)|", "a value is missing before '`id`'"},
        {"|kvm(\\d+)|($1 . 'x')|", "'. 'x'' cannot be evaluated"},
        {"|kvm(\\d+)|($1 ** 2)|", "a value is missing before '* 2'"},
        {"|kvm(\\d+)|($1 > 5 ? 1 : 2)|", "'> 5 ? 1 : 2' cannot be evaluated"},
        {"|kvm(\\d+)|(1 2)|", "'2' cannot be evaluated"},
        {"|kvm(\\d+)|(1+)|", "a value is missing at the end"},
        {"|kvm(\\d+)|()|", "a value is missing at the end"},
        {"|kvm(\\d+)|(1,)|", "a value is missing at the end"},
        {"|kvm(\\d+)|((1)|", "a ( without its )"},
        {"|kvm(\\d+)|1)|", "a ) without its ("},
        {"|kvm(\\d+)|hyp(rack)|", "'rack' is no function"},
        {"|kvm(\\d+)|($2)|", "$2, but the expression has 1 pair of parentheses"},
        {"|kvm|($1)|", "$1, but the expression has 0 pairs of parentheses"},
        {"|($0)|", "'$0' is none of $1"},
        {"|($x)|", "'$' is none of $1"},
        {"|($100)|", "'$100' is none of $1"},
        {"|(08)|", "'08' is no whole number; with a 0 in front it is an octal one"},
        {"|(1.5)|", "'.5' cannot be evaluated"},
        {"|(12ab)|", "'12ab' is no whole number"},
        {"|(0x)|", "'0x' is no whole number"},
        {"|(9223372036854775808)|", "is no whole number"},
        {"|('a)|", "a text without its closing '"},
        {"|('a\\b')|", "may hold no \\"},
        {"|(\"$1\")|", "no $ or @ between \"\""},
        {"|(sprintf)|", "sprintf without its ("},
        {"|(sprintf($1))|", "sprintf needs its format as a text"},
        {"|(sprintf('%d'+1,5))|", "sprintf needs its format as a text"},
        {"|(sprintf('%d'))|", "needs 1 value, not 0"},
        {"|(sprintf('x',1))|", "needs 0 values, not 1"},
        {"|(sprintf('%f',1))|", "only %d, %x"},
        {"|(sprintf('%*d',1,2))|", "only %d, %x"},
        {"|(sprintf('%n',1))|", "only %d, %x"},
        {"|(sprintf('%65d',1))|", "only %d, %x"},
        {"|(sprintf('%'))|", "only %d, %x"},
        {"|(a2idx())|", "a value is missing"},
        {"|(a2idx(1,2))|", "a2idx cannot have 2 arguments"},
        {"|(dim2idx(1,2))|", "dim2idx cannot have 2 arguments"},
        {"|(skip(1,'x'))|", "is no list of START[:COUNT]"},
        {"|(skip(1,'3:'))|", "is no list of START[:COUNT]"},
        {"|(skip(1,'3,'))|", "is no list of START[:COUNT]"},
        {"|(ipadd(1,2,3,4))|", "ipadd cannot have 4 arguments"},
        {"|kvm(|x|",
         "wrong regular expression 'kvm(', at character 5: missing closing parenthesis"},
        {"/kvm[/x/", "wrong regular expression 'kvm['"},
        {"//x/", "nothing stands between the first two /"},
        {"||x|", "nothing stands between the first two |"},
        {"|\\C|x|", "wrong regular expression"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *said = check(rows[i].value);
        if (!strstr(said, rows[i].why))
            print_error("%s: %s\n", rows[i].value, said);
        assert_non_null(strstr(said, rows[i].why));
        assert_non_null(strstr(said, "the pattern '"));
        assert_non_null(strstr(said, "' cannot be evaluated: "));
        assert_string_equal(expand(rows[i].value, "kvm1"), said);
    }
}

static void what_only_the_name_can_tell_is_an_error_when_read(void **state)
{
    (void)state;
    static const struct {
        const char *node, *value, *why;
    } rows[] = {
        {"kvm3", "|kvm(\\d+)|(12/($1-3))|", "division by zero"},
        {"kvm3", "|kvm(\\d+)|(12%($1-3))|", "division by zero"},
        {"kvm9", "|kvm(\\d+)|($1*9223372036854775807)|", "the number is too large"},
        {"kvm9", "|kvm(\\d+)|(9223372036854775807+$1)|", "the number is too large"},
        {"kvm9", "|kvm(\\d+)|(-9223372036854775807-$1)|", "the number is too large"},
        {"kvm1", "|kvm(\\d+)|((-9223372036854775807-$1)/-$1)|", "the number is too large"},
        {"kvm1", "|kvm(\\d+)|(-(-9223372036854775807-$1))|", "the number is too large"},
        {"kvm9223372036854775808", "|kvm(\\d+)|($1+0)|", "is too large"},
        {"kvm99999999999999999999", "|($1+0)|", "is too large"},
        {"rack7", "|rack(.)|(a2idx($1))|", "a2idx needs one letter, not '7'"},
        {"rackab", "|rack(.*)|(a2zidx($1))|", "a2zidx needs one letter, not 'ab'"},
        {"n1x", "|n(\\d)(\\w)|(skip($1,$2))|", "'x' is no list of START[:COUNT]"},
        {"n300", "|n(\\d+)|(ipadd(10,0,0,$1,1,0,0))|", "300 is no part of an address"},
        {"n1", "|n(\\d+)|(ipadd(10,0,255,255,$1,0,0))|", "1 leads out of 10.0.0.0/16"},
        {"n1", "|n(\\d+)|(ipadd(10,0,0,0,-$1,0,0))|", "-1 leads out of 10.0.0.0/16"},
        {"n128", "|n(\\d+)|(ipadd(10,0,0,0,1,$1,$1))|", "nothing is left to count"},
        {"n9", "|n(\\d)|(dim2idx($1,9223372036854775807,1))|", "dim2idx: the number is too large"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_string_equal(check(rows[i].value), "");
        const char *said = expand(rows[i].value, rows[i].node);
        if (!strstr(said, rows[i].why))
            print_error("%s on %s: %s\n", rows[i].value, rows[i].node, said);
        assert_non_null(strstr(said, rows[i].why));
        assert_non_null(strstr(said, rows[i].node));
    }
}

static void repeat(char *to, const char *what, unsigned times)
{
    for (to += strlen(to); times > 0; times--, to += strlen(what))
        strcpy(to, what);
}

static void nothing_is_without_bounds(void **state)
{
    (void)state;
    static char value[4 * PATTERN_TEXT_MAX];

    strcpy(value, "|n|"); /* too long itself */
    repeat(value, "x", PATTERN_TEXT_MAX);
    strcat(value, "|");
    assert_non_null(strstr(check(value), "a pattern of more than 16384 bytes"));

    strcpy(value, "|"); /* nesting */
    repeat(value, "(", SUM_DEPTH_MAX + 1);
    strcat(value, "1");
    repeat(value, ")", SUM_DEPTH_MAX + 1);
    strcat(value, "|");
    assert_string_equal(expand(value, "n1"), "1"); /* the outermost is the group itself */
    strcpy(value, "|");
    repeat(value, "(", SUM_DEPTH_MAX + 2);
    strcat(value, "1");
    repeat(value, ")", SUM_DEPTH_MAX + 2);
    strcat(value, "|");
    assert_non_null(strstr(check(value), "more than 32 parentheses inside one another"));

    strcpy(value, "|("); /* many operators are no depth */
    repeat(value, "1+", 5000);
    repeat(value, "-", 3000);
    strcat(value, "1)|");
    assert_string_equal(expand(value, "n1"), "5001");

    strcpy(value, "|(mknum(dim2idx(1"); /* values at once */
    repeat(value, ",1,dim2idx(1", 30);
    repeat(value, ")", 30);
    strcat(value, ")))|");
    assert_string_equal(check(value), "");
    strcpy(value, "|(sprintf('");
    repeat(value, "%d", 64);
    strcat(value, "'");
    repeat(value, ",1", 64);
    strcat(value, "))|");
    assert_non_null(strstr(check(value), "sprintf cannot have 65 arguments"));

    strcpy(value, "|(.*)|"); /* what comes out */
    repeat(value, "($1)", 70);
    strcat(value, "|");
    char node[PATTERN_NODE_MAX + 2] = "";
    repeat(node, "n", PATTERN_NODE_MAX);
    err.text[0] = '\0';
    assert_int_equal(pattern_expand(value, node, text, &err), -E2BIG);
    assert_non_null(strstr(err.text, "too long"));
    strcat(node, "n");
    assert_int_equal(pattern_expand("|x|y|", node, text, &err), -EINVAL);
    assert_non_null(strstr(err.text, "a name of more than 255 bytes"));

    strcpy(value, "|(sprintf('");
    repeat(value, "%64d", 63);
    strcat(value, "'");
    repeat(value, ",1", 63);
    strcat(value, ")-sprintf('%64d',1)-sprintf('%64d',1))|");
    assert_string_equal(check(value), "");
    assert_non_null(strstr(expand(value, "n1"), "texts of more than 4096 bytes"));

    /* an expression that would never end */
    node[0] = '\0';
    repeat(node, "a", 200);
    assert_non_null(strstr(expand("|^(a+)+$|x|", strcat(node, "b")), "takes too many steps"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_line_of_the_site_reads_as_in_xcat),
        cmocka_unit_test(a_value_expands),
        cmocka_unit_test(what_is_no_sum_is_refused),
        cmocka_unit_test(what_only_the_name_can_tell_is_an_error_when_read),
        cmocka_unit_test(nothing_is_without_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
