/* test_noderange.c - noderanges: every form, the order of evaluation, every refusal, and the bounds
 *
 * First with names alone, then over the site in tests/site, whose tables and results come from
 * running xCAT. */
#include "store/tables/noderange.h"
#include "tests/unit/scratch.h"

#include <errno.h>

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

static int each_in_site(void *ctx, int (*f)(void *to, const char *name), void *to)
{
    int r = 0;
    (void)ctx;
    for (size_t i = 0; i < sizeof(site_names) / sizeof(site_names[0]) && r == 0; i++)
        r = f(to, site_names[i]);
    return r;
}

static const struct noderange_site site = {.is_node = in_site, .each_node = each_in_site};
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
        {"n10+2", "n10,n11,n12"},
        {"n1+0", "n1"},
        {"node08+2", "node08,node09,node10"},
        {"f1n1+2", "f1n1,f1n2,f1n3"},
        {"n1.cluster+2", "n1.cluster,n2.cluster,n3.cluster"},
        {"n[1,2]+1", "n1,n2,n3"},
        {"08-10", "node08,node09,node10"},
        {"08+2,98", "node08,node09,node10,node98"},
        {"[08-09]", "node08,node09"},
        {"007", "007"},
        {"/n1", "n1"},
        {"/n[12]/", "n1,n2"},
        {"/f\\d+n[13]", "f1n1,f1n3,f2n1,f2n3"},
        {"/web|n9", "n9,web"},
        {"/n\\d,-/nothing", "n1,n2,n3,n4,n5,n6,n7,n8,n9"},
        {"/n\\d+,-/n\\d", "n10,n11,n12"},
        {"n1-n4@n3-n6", "n3,n4"},
        {"n1-n6@n2-n9@n4-n8", "n4,n5,n6"},
        {"n1,n2-n4@n3", "n1,n3"},
        {"n1-n4,@n3,n9", "n3,n9"},
        {"n1,-n1@n2", "n1"}, /* taken away is what both have */
        {"(n1,n2),-(n2)", "n1"},
        {"n1-n4,-(n2,n3)", "n1,n4"},
        {"-(n1),n1,n2", "n1,n2"}, /* the first parentheses take away from what stands before */
        {"(n3),-(n1),n1,n2", "n2,n3"},
        {"n1-n4,@(n2,n9),n5", "n2,n5"},
        {"n1,n2@(n2,n3)", "n2"}, /* they cut all that stands before */
        {"(n1,n2)@(n2,n3),n5", "n2,n5"},
        {"((n1-n4)@(n2-n9)),-n3", "n2,n4"},
        {"(n1)(n2)", "n1,n2"},
        {"n1,((n2),(n3,(n4)))", "n1,n2,n3,n4"},
        {"(),n1", "n1"},
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
        {"n[1,2", "n[1,node2"}, /* no bracket, so the comma divides; and digits are nodeN */
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
    char text[256];
    static const struct {
        const char *expression;
        int code;
        const char *text;
    } rows[] = {
        {"n3-n1", -EINVAL, "the range 'n3-n1' runs backwards"},
        {"n[3-1]", -EINVAL, "the range '3-1' runs backwards"},
        {"", -ENOENT, "no nodes match ''"},
        {",,", -ENOENT, "no nodes match ',,'"},
        {",,-", -EINVAL, "a '-' with no nodes behind it in the noderange"},
        {"n1,-,n2", -EINVAL, "a '-' with no nodes behind it in the noderange"},
        {"n1,@", -EINVAL, "a '@' with no nodes behind it in the noderange"},
        {"n1@", -EINVAL, "a '@' with no nodes behind it in the noderange"},
        {"n1@-n2", -EINVAL, "'@-n2': @ and - exclude each other; write a,-b"},
        {"^/tmp/list", -EINVAL,
         "'^/tmp/list': files of nodes are read by the command, not by the broker"},
        {"n1,-^x", -EINVAL, "'^x': files of nodes are read by the command, not by the broker"},
        {"(n1,n2", -EINVAL, "Unbalanced parentheses in noderange"},
        {"n1,(n2", -EINVAL, "Unbalanced parentheses in noderange"},
        {"(n1),(n2", -EINVAL, "Unbalanced parentheses in noderange"},
        {"((n1)", -EINVAL, "Unbalanced parentheses in noderange"},
        {"()", -ENOENT, "no nodes match '()'"},
        {"/nothing.*", -ENOENT, "no nodes match '/nothing.*'"},
        {"n1,/nothing.*", -ENOENT, "no nodes match '/nothing.*'"},
        {"/n[", -EINVAL,
         "'/n[': wrong regular expression 'n[', at character 3: missing terminating ] for "
         "character class"},
        {"n1+1000000", -E2BIG, "the range 'n1+1000000' makes more than 400000 names"},
        {"-n1", -ENOENT, "no nodes match '-n1'"},
        {"n1-n3,-n[1-3]", -ENOENT, "no nodes match 'n1-n3,-n[1-3]'"},
        {"x1-x1000001", -E2BIG, "the range 'x1-x1000001' makes more than 400000 names"},
        {"x[1-999999999]", -E2BIG, "the range '1-999999999' makes more than 400000 names"},
        {"[1-1001]x[1-1000]", -E2BIG, "'[1-1001]x[1-1000]' makes more than 400000 names"},
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
    for (int i = 0; i < 20; i++) /* most of a bound each */
        at += sprintf(at, "x%d[1-1000][1-%d],", i, 300);
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
    memset(text, '(', NODERANGE_TEXT_MAX);
    assert_non_null(strstr(expand(text, &site), "Unbalanced"));
    for (int i = 0; i < 100; i++)
        text[i + 102] = ')';
    memcpy(text + 100, "n1", 2);
    text[202] = '\0';
    assert_non_null(strstr(expand(text, &site), "parentheses inside more than 64 others"));
    strcpy(text + 202 - 40, "");
    assert_string_equal(expand(text + 40, &site), "n1");   /* 60 of them */
    for (at = text; at < text + NODERANGE_TEXT_MAX - 100;) /* each looks at every node */
        at += sprintf(at, "/.*.*.*.*.*.*.*[^]a-z0-9.[-]|n1,");
    assert_non_null(strstr(expand(text, &site), "takes too many steps"));
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

/* ---- over tables */

static struct attr_site *site_open(struct scratch *scratch)
{
    static const char *const tables[] = {"nodelist", "vm", "hypervisor", "nodegroup", "nodehm"};
    struct attr_site *attr;
    struct rm_err err = {""};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        char path[256], text[8192];
        snprintf(path, sizeof(path), SOURCE_DIR "/tests/site/%s.csv", tables[i]);
        FILE *file = fopen(path, "r");
        assert_non_null(file);
        size_t length = fread(text, 1, sizeof(text), file);
        fclose(file);
        assert_true(length > 0 && length < sizeof(text));
        int r = table_restore(scratch->store, table_find(tables[i]), text, length, false, &err);
        assert_string_equal(err.text, "");
        assert_true(r > 0);
    }
    assert_int_equal(attr_new(scratch->store, NULL, &attr, &err), 0);
    return attr;
}

static void restore(struct scratch *scratch, const char *table, bool add, const char *csv)
{
    struct rm_err err = {""};
    int r = table_restore(scratch->store, table_find(table), csv, strlen(csv), add, &err);
    assert_string_equal(err.text, "");
    assert_true(r >= 0);
}

static void every_line_of_the_site_expands_as_in_xcat(void **state)
{
    struct attr_site *attr = site_open(*state);
    struct noderange_site tables = {.attr = attr};
    FILE *file = fopen(SOURCE_DIR "/tests/site/noderange.tsv", "r");
    char line[1024], want[1200];
    unsigned n = 0;
    assert_non_null(file);
    while (fgets(line, sizeof(line), file)) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#')
            continue;
        char *names = strchr(line, '\t');
        assert_non_null(names);
        *names++ = '\0';
        if (strncmp(names, "OK ", 3) == 0)
            snprintf(want, sizeof(want), "%s", names + 3);
        else if (strncmp(names, "MISS ", 5) == 0)
            snprintf(want, sizeof(want), "%d Invalid nodes and/or groups in noderange: %s", -EINVAL,
                     names + 5);
        else if (strncmp(names, "FATAL ", 6) == 0)
            snprintf(want, sizeof(want), "%d %s", -EINVAL, names + 6);
        else if (strcmp(names, "EMPTY") == 0)
            snprintf(want, sizeof(want), "%d no nodes match '%s'", -ENOENT, line);
        else
            fail_msg("%s", names);
        assert_string_equal(expand(line, &tables), want);
        n++;
    }
    fclose(file);
    assert_true(n >= 65);
    attr_free(attr);
}

static void groups_and_selections_expand(void **state)
{
    struct scratch *scratch = *state;
    struct attr_site *attr = site_open(scratch);
    struct noderange_site tables = {.attr = attr};
    restore(scratch, "vm", true,
            "#node,host,memory,comments,disable\n"
            "rack1,\"|n(\\d+)|hyp(sprintf('%02d',($1-1)%2+1))|\",2048,,\n"
            "rack2,,4096,\"a,b\",\n"
            "rack3,,1024,,\n"
            "n4,\"|^.*$||\",,,\n"
            "n5,hyp09,,,yes\n"
            "lonely,hyp01,,,\n"
            "gone,hyp01,,,1\n");
    restore(scratch, "nodegroup", true,
            "#groupname,grouptype,wherevals,disable\n"
            "big,dynamic,vmmemory==4096::groups!~rack3,\n"
            "onhyp1,dynamic,vm.host==hyp01,\n"
            "vague,dynamic,vmhots==hyp01,\n"
            "nothing,dynamic,,\n"
            "static,static,,\n"
            "offgroup,static,,yes\n");
    static const struct {
        const char *expression, *want;
    } rows[] = {
        {"vm.host==hyp01", "kvm1,kvm3,lonely,n1,n3"},
        {"vm.host=hyp01", "kvm1,kvm3,lonely,n1,n3"},
        {"'vm.host=='hyp02", "kvm2,n2"},
        {"rack1@vm.host==", "n4"},
        {"compute@vm.host!=", "n1,n2,n3"},
        {"compute@vm.host=~.", "n1,n2,n3"},
        {"compute@vm.host!~p0", "n10,n11,n12,n4,n5,n6,n7,n8,n9"},
        {"vm.host=~/^hyp0[1]$/", "kvm1,kvm3,lonely,n1,n3"},
        {"rack1@vm.host=~1", "n1,n3"},
        {"vm.memory==4096", "n5,n6,n7,n8"},
        {"vm.memory==2048", "n1,n2,n3,n4"},
        {"compute@vm.memory==1024", "n10,n11,n12,n9"},
        {"vm.node==lonely", "lonely"},
        {"rack1@vm.node=~n[12]", "n1,n2"},
        {"groups==all,compute,rack1", "n1,n2,n3,n4"}, /* the comma divides: three elements */
        {"groups=~rack1", "n1,n2,n3,n4"},
        {"tags=~rack1$,-n1", "n2,n3,n4"},
        {"nodelist.groups=~^all$@/web|a.*", "a-b-c,web"},
        {"hypervisor.type==kvm", "hyp01,hyp02,hyp03"},
        {"mgt==kvm,-vm.host==hyp02", "kvm1,kvm3"},
        {"big", "n5,n6,n7,n8"},
        {"onhyp1,-kvm1-kvm3", "lonely,n1,n3"},
        {"onhyp1@rack1", "n1,n3"},
        {"static,n1", "n1"},
        {"lonely", "lonely"},
        {"rack1-rack3@n3-n9", "n3,n4,n5,n6,n7,n8,n9"},
        {"rack[1,3],-n[1-3]", "n10,n11,n12,n4,n9"},
        {"rack1+1@n4-n5", "n4,n5"},
        {"all@lonely", "-2 no nodes match 'all@lonely'"},
        {"vm.host==nobody", "-2 no nodes match 'vm.host==nobody'"},
        {"static", "-2 no nodes match 'static'"},
        {"gone", "-22 Invalid nodes and/or groups in noderange: gone"},
        {"offgroup", "-22 Invalid nodes and/or groups in noderange: offgroup"},
        {"vague", "-22 the dynamic group vague: 'vmhots==hyp01': 'vmhots' is no attribute: write "
                  "TABLE.COLUMN, groups or mgt"},
        {"nothing", "-22 the dynamic group nothing: nodegroup.wherevals says nothing"},
        {"vm.hots==hyp01", "-22 'vm.hots==hyp01': the table 'vm' has no column 'hots'"},
        {"wm.host==hyp01", "-22 'wm.host==hyp01': No such table: 'wm'"},
        {"host==hyp01",
         "-22 'host==hyp01': 'host' is no attribute: write TABLE.COLUMN, groups or mgt"},
        {"nodegroup.grouptype==static",
         "-22 'nodegroup.grouptype==static': the table 'nodegroup' is not about nodes"},
        {"vm.host~hyp", "-22 'vm.host~hyp' is no selection: write TABLE.COLUMN and ==, !=, =~ or "
                        "!~ and a value"},
        {"==x", "-22 '==x': '' is no attribute: write TABLE.COLUMN, groups or mgt"},
        {"vm.vidpassword=~^a", "-22 'vm.vidpassword=~^a': a password cannot select nodes"},
        {"vm.host=~[", "-22 wrong regular expression '[', at character 2: missing terminating ] "
                       "for character class"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (i == 14) /* its parts are elements of their own */
            assert_non_null(strstr(expand(rows[i].expression, &tables), "a-b-c"));
        else
            assert_string_equal(expand(rows[i].expression, &tables), rows[i].want);
    }
    attr_free(attr);
}

static void a_value_that_cannot_be_evaluated_is_told(void **state)
{
    struct scratch *scratch = *state;
    struct attr_site *attr = site_open(scratch);
    struct noderange_site tables = {.attr = attr};
    restore(scratch, "vm", true, "#node,host\nrack1,|n(\\d+)|hyp(12/($1-3))|\n");
    assert_string_equal(expand("vm.host==hyp12", &tables),
                        "-22 vm.host of n3: the pattern '|n(\\d+)|hyp(12/($1-3))|' cannot be "
                        "evaluated on 'n3': division by zero");
    attr_free(attr);
}

static void a_change_of_the_tables_is_seen(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = scratch->store;
    struct attr_site *attr = site_open(scratch);
    struct noderange_site tables = {.attr = attr};
    const struct table *vm = table_find("vm"), *nodelist = table_find("nodelist");
    struct rm_err err;
    int host = table_column(vm, "host");
    assert_int_equal(store_commit(store, &err), 0);
    assert_string_equal(expand("vm.host==hyp01", &tables), "kvm1,kvm3");
    assert_int_equal(table_row_set(store, vm, "kvm3", host, "hyp03"), 0);
    assert_string_equal(expand("vm.host==hyp01", &tables), "kvm1");
    assert_int_equal(table_row_set(store, vm, "new1", host, "hyp01"), 0);
    assert_string_equal(expand("vm.host==hyp01", &tables), "kvm1,new1");
    assert_int_equal(table_row_delete(store, vm, "kvm1"), 0);
    assert_string_equal(expand("vm.host==hyp01", &tables), "new1");
    assert_int_equal(table_row_set(store, nodelist, "new1", 1, "fresh,all"), 0);
    assert_string_equal(expand("fresh", &tables), "new1");
    assert_int_equal(table_row_set(store, nodelist, "n1", 1, "fresh"), 0);
    assert_string_equal(expand("fresh", &tables), "n1,new1");
    assert_string_equal(expand("rack1", &tables), "n2,n3,n4");
    assert_int_equal(table_row_delete(store, nodelist, "n1"), 0);
    assert_int_equal(table_row_delete(store, nodelist, "new1"), 0);
    assert_string_equal(expand("new1", &tables), "new1"); /* vm has it still */
    assert_string_equal(expand("fresh", &tables),
                        "-22 Invalid nodes and/or groups in noderange: fresh");
    store_abort(store);
    assert_string_equal(expand("fresh,new1", &tables),
                        "-22 Invalid nodes and/or groups in noderange: fresh,new1");
    assert_string_equal(expand("rack1,vm.host==hyp01", &tables), "kvm1,kvm3,n1,n2,n3,n4");
    store_fail_commit(store, 1, -EIO);
    assert_int_equal(table_row_set(store, vm, "kvm3", host, "hyp03"), 0);
    assert_string_equal(expand("vm.host==hyp01", &tables), "kvm1");
    assert_int_equal(store_commit(store, &err), -EIO);
    assert_string_equal(expand("vm.host==hyp01", &tables), "kvm1,kvm3");
    restore(scratch, "vm", false, "#node,host\nonly1,hyp01\n");
    assert_string_equal(expand("vm.host==hyp01", &tables), "only1");
    attr_free(attr);
}

/* Guests that are known without any row. */
static bool is_known(void *ctx, const char *name)
{
    (void)ctx;
    return strcmp(name, "guest1") == 0 || strcmp(name, "guest2") == 0 || strcmp(name, "n1") == 0 ||
           strcmp(name, "rack3") == 0;
}

static int each_known(void *ctx, int (*f)(void *to, const char *name), void *to)
{
    (void)ctx;
    int r = f(to, "guest1");
    r = r == 0 ? f(to, "guest2") : r;
    r = r == 0 ? f(to, "n1") : r;
    return r == 0 ? f(to, "rack3") : r;
}

static void nodes_that_are_known_from_elsewhere_count(void **state)
{
    struct scratch *scratch = *state;
    struct attr_site *attr = site_open(scratch);
    struct noderange_site both = {.attr = attr, .is_node = is_known, .each_node = each_known};
    struct noderange_site only = {
        .attr = attr, .is_node = is_known, .each_node = each_known, .only_is_node = true};
    assert_string_equal(expand("guest1-guest2,n2", &both), "guest1,guest2,n2");
    assert_string_equal(expand("/guest.|n1", &both), "guest1,guest2,n1");
    assert_string_equal(expand("vm.host!=x@/guest1|kvm1", &both), "guest1,kvm1");
    assert_string_equal(expand("rack3", &both), "rack3"); /* the node, not the group */
    assert_string_equal(expand("rack2", &both), "n5,n6,n7,n8");
    assert_string_equal(expand("/.*", &only), "guest1,guest2,n1,rack3");
    assert_string_equal(expand("groups=~rack1", &only), "n1");
    assert_string_equal(expand("n1,n2", &only), "-22 Invalid nodes and/or groups in noderange: n2");
    assert_string_equal(expand("rack1", &only),
                        "-22 Invalid nodes and/or groups in noderange: n2,n3,n4");
    only.lenient = true;
    assert_string_equal(expand("rack1,nosuch,/nothing", &only), "n1");
    assert_string_equal(expand("nosuch", &only), "");
    attr_free(attr);
}

static void what_is_excluded_is_in_no_noderange(void **state)
{
    struct scratch *scratch = *state;
    struct attr_site *attr = site_open(scratch);
    struct noderange_site tables = {.attr = attr, .exclude = "rack1,nosuch,vm.host==hyp02"};
    assert_string_equal(expand("n3-n6,kvm2,kvm1", &tables), "kvm1,n5,n6");
    assert_string_equal(expand("n1,kvm2", &tables),
                        "-2 no nodes match 'n1,kvm2' but excluded ones (exclude_nodes)");
    assert_string_equal(expand("nosuch", &tables),
                        "-22 Invalid nodes and/or groups in noderange: nosuch");
    tables.exclude = "(n1";
    assert_string_equal(expand("n2", &tables),
                        "-22 exclude_nodes: Unbalanced parentheses in noderange");
    tables.exclude = "";
    assert_string_equal(expand("n2", &tables), "n2");
    attr_free(attr);
}

static void a_prefix_and_a_suffix_go_around_digits(void **state)
{
    struct attr_site *attr = site_open(*state);
    struct noderange_site tables = {.attr = attr, .prefix = "n", .suffix = ".cluster"};
    assert_string_equal(expand("1-3", &tables), "n1.cluster,n2.cluster,n3.cluster");
    assert_string_equal(expand("1+1", &tables), "n1.cluster,n2.cluster");
    tables.prefix = "rack";
    tables.suffix = "";
    assert_string_equal(expand("1@n1-n2", &tables), "n1,n2");
    assert_string_equal(expand("7", &tables),
                        "-22 Invalid nodes and/or groups in noderange: rack7");
    attr_free(attr);
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
        SCRATCH_TEST(every_line_of_the_site_expands_as_in_xcat),
        SCRATCH_TEST(groups_and_selections_expand),
        SCRATCH_TEST(a_value_that_cannot_be_evaluated_is_told),
        SCRATCH_TEST(a_change_of_the_tables_is_seen),
        SCRATCH_TEST(nodes_that_are_known_from_elsewhere_count),
        SCRATCH_TEST(what_is_excluded_is_in_no_noderange),
        SCRATCH_TEST(a_prefix_and_a_suffix_go_around_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
