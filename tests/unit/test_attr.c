/* test_attr.c - attributes: own rows, groups in their order, patterns, lists, and where they came
 * from; the index in memory against the tables themselves */
#include "store/tables/attr.h"
#include "store/tables/attr_parts.h"
#include "tests/unit/scratch.h"

#include <errno.h>

static struct rm_err err;

static void restore(struct scratch *scratch, const char *table, const char *csv)
{
    err.text[0] = '\0';
    int r = table_restore(scratch->store, table_find(table), csv, strlen(csv), false, &err);
    assert_string_equal(err.text, "");
    assert_true(r >= 0);
}

static struct attr_site *site_new(struct scratch *scratch, const char *hierarchical)
{
    struct attr_site *site;
    err.text[0] = '\0';
    assert_int_equal(attr_new(scratch->store, hierarchical, &site, &err), 0);
    return site;
}

/* "value", "value < groups" for one that was inherited, "-" when it is not set, or the error. */
static const char *get(struct attr_site *site, const char *node, const char *attr)
{
    static char out[2 * ATTR_JOINED_MAX];
    struct attr_value value;
    err.text[0] = '\0';
    if (attr_get(site, node, attr, &value, &err) < 0)
        return err.text;
    assert_string_equal(err.text, "");
    snprintf(out, sizeof(out), "%s%s%s", value.text ? value.text : "-", value.from ? " < " : "",
             value.from ? value.from : "");
    return out;
}

static void an_attribute_comes_from_the_node_or_its_first_group_that_sets_it(void **state)
{
    struct scratch *scratch = *state;
    restore(scratch, "nodelist",
            "#node,groups,disable\n"
            "n1,\"b, a,,c,b\",\n"
            "n2,\"a,b\",\n"
            "n3,,\n"
            "n4,\"a\",1\n"
            "n5,\"c\",0\n"
            "n6,\"c\",nO\n"
            "n7,\"n7,c\",no\n");
    restore(scratch, "vm",
            "#node,host,memory,cpus,storage,comments,disable\n"
            "n1,own,,\"\",,,\n"
            "n2,off,7,,,,yes\n"
            "n9,alone,,,,,\n"
            "a,hostA,,1,,,\n"
            "b,hostB,,2,,\"|a|b|\",\n"
            "c,hostC,3,3,,,\n"
            "off,hostD,4,,,,1\n");
    restore(scratch, "nodehm", "#node,mgt\nc,kvm\n");
    struct attr_site *site = site_new(scratch, NULL);
    static const struct {
        const char *node, *attr, *want;
    } rows[] = {
        {"n1", "vm.host", "own"},
        {"n1", "vm.cpus", "2 < b"}, /* what is empty is not set */
        {"n1", "vm.memory", "3 < c"},
        {"n1", "vm.storage", "-"},
        {"n1", "vm.comments", "|a|b| < b"}, /* a comment is no pattern */
        {"n2", "vm.host", "hostA < a"},     /* its own row is disabled */
        {"n2", "vm.cpus", "1 < a"},
        {"n2", "vm.memory", "-"},
        {"n3", "vm.host", "-"},
        {"n4", "vm.host", "-"}, /* disabled: in no group */
        {"n5", "vm.host", "hostC < c"},
        {"n6", "vm.host", "hostC < c"},
        {"n7", "vm.cpus", "3 < c"},
        {"n9", "vm.host", "alone"},
        {"a", "vm.host", "hostA"},
        {"n1", "groups", "b, a,,c,b"},
        {"n1", "tags", "b, a,,c,b"},
        {"n1", "nodelist.groups", "b, a,,c,b"},
        {"n1", "mgt", "kvm < c"},
        {"n2", "mgt", "-"},
        {"n1", "vm.node", "n1"},
        {"n5", "vm.node", "n5 < c"},
        {"n3", "vm.node", "-"},
        {"nobody", "vm.host", "-"},
        {"n1", "host", "'host' is no attribute: write TABLE.COLUMN, groups or mgt"},
        {"n1", "vm.hots", "the table 'vm' has no column 'hots'"},
        {"n1", "vm.", "the table 'vm' has no column ''"},
        {"n1", "vw.host", "No such table: 'vw'"},
        {"n1", "nodegroup.members", "the table 'nodegroup' is not about nodes"},
        {"n1", "", "'' is no attribute: write TABLE.COLUMN, groups or mgt"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(get(site, rows[i].node, rows[i].attr), rows[i].want);
    attr_free(site);
}

static void a_pattern_is_of_the_node_not_of_the_group(void **state)
{
    struct scratch *scratch = *state;
    restore(scratch, "nodelist",
            "#node,groups\nkvm12,\"kvms,all\"\nkvm13,\"kvms,all\"\nweb,kvms\n");
    restore(scratch, "vm",
            "#node,host,memory,storage\n"
            "kvms,\"|kvm(\\d+)|hyp(sprintf('%02d',($1-1)/8+1))|\",\"|(12/($1-13))|\",\n"
            "all,fallback,1,/z/y/\n"
            "kvm13,\"|^.*$||\",,\n");
    struct attr_site *site = site_new(scratch, NULL);
    assert_string_equal(get(site, "kvm12", "vm.host"), "hyp02 < kvms");
    assert_string_equal(get(site, "web", "vm.host"), "web < kvms");
    assert_string_equal(get(site, "kvm13", "vm.host"), "-"); /* nothing, and nobody else is asked */
    assert_string_equal(get(site, "kvm12", "vm.memory"), "-12 < kvms");
    assert_string_equal(get(site, "kvm13", "vm.memory"),
                        "vm.memory of kvm13: the pattern '|(12/($1-13))|' cannot be evaluated on "
                        "'kvm13': division by zero");
    assert_string_equal(get(site, "kvm12", "vm.storage"), "kvm12 < all");
    attr_free(site);
}

static void values_that_go_on_and_lists_are_put_together(void **state)
{
    struct scratch *scratch = *state;
    restore(scratch, "nodelist", "#node,groups\nn1,\"a,b,c\"\nn2,\"c,a\"\nn3,b\n");
    restore(scratch, "vm",
            "#node,host,storage,nics,virtflags,othersettings,cpus\n"
            "n1,,\"x+=NEXTRECORD\",\"n0,n1\",,\"o;p\",9\n"
            "a,\"|n(\\d)|h($1)-|+=NEXTRECORD\",\"y+=NEXTRECORD\",\"n1,n2,,\",f,\"p;q\",\n"
            "b,end,z,n3,f,\"o\",5\n"
            "c,never,w,\"n0\",\"|n(.)|g($1),f|\",,6\n");
    struct attr_site *site = site_new(scratch, "nics, vm.virtflags:,vm.othersettings:;");
    assert_string_equal(get(site, "n1", "vm.storage"), "xyz < n1,a,b");
    assert_string_equal(get(site, "n1", "vm.host"), "h1-end < a,b");
    assert_string_equal(get(site, "n2", "vm.storage"), "w < c");
    assert_string_equal(get(site, "n1", "vm.nics"), "n0,n1,n2,n3 < n1,a,b,c");
    assert_string_equal(get(site, "n2", "vm.nics"), "n0,n1,n2 < c,a");
    assert_string_equal(get(site, "n3", "vm.nics"), "n3 < b");
    assert_string_equal(get(site, "n1", "vm.virtflags"), "f,g1 < a,b,c");
    assert_string_equal(get(site, "n1", "vm.othersettings"), "o;p;q < n1,a,b");
    assert_string_equal(get(site, "n1", "vm.cpus"), "9");
    /* The last one ends with it and nobody follows. */
    restore(scratch, "vm", "#node,storage\nn3,\"x+=NEXTRECORD\"\nn2,+=NEXTRECORD\n");
    assert_string_equal(get(site, "n3", "vm.storage"), "x");
    assert_string_equal(get(site, "n2", "vm.storage"), "-");
    attr_free(site);

    static const struct {
        const char *lists, *why;
    } wrong[] = {
        {"vm.hots", "'vm.hots' is no attribute"},
        {"hots", "'hots' is no attribute"},
        {"nics,node", "'node' is no attribute"},
        {"vm.comments:x", "'vm.comments' is no attribute"},
        {"wm.nics", "'wm.nics' is no attribute"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(attr_new(scratch->store, wrong[i].lists, &site, &err), -EINVAL);
        assert_string_equal(err.text, wrong[i].why);
    }
}

static void what_is_put_together_has_a_bound(void **state)
{
    struct scratch *scratch = *state;
    char *csv = malloc(40000), *at = csv;
    at += sprintf(at, "#node,storage\nn1,");
    memset(at, 'x', 9000);
    at += sprintf(at + 9000, "+=NEXTRECORD\na,") + 9000;
    memset(at, 'y', 9000);
    at[9000] = '\0';
    restore(scratch, "nodelist", "#node,groups\nn1,a\n");
    restore(scratch, "vm", csv);
    struct attr_site *site = site_new(scratch, NULL);
    assert_string_equal(get(site, "n1", "vm.storage"),
                        "vm.storage of n1: the values of node and groups together are longer than "
                        "16384 bytes");
    assert_int_equal(strlen(get(site, "a", "vm.storage")), 9000);
    attr_free(site);
    free(csv);
}

static int count_node(void *ctx, const struct attr_node *node)
{
    assert_true(attr_is_node(node));
    ++*(int *)ctx;
    return 0;
}

static void nodes_and_groups_are_told_apart(void **state)
{
    struct scratch *scratch = *state;
    restore(scratch, "nodelist", "#node,groups,disable\nn1,\"g,both\",\nn2,g,\nboth,,\noff,g,1\n");
    restore(scratch, "vm", "#node,host,disable\ng,h,\ndyn,h,\nv1,h,\nv2,h,1\nhid,h,\n");
    restore(scratch, "nodegroup",
            "#groupname,grouptype,wherevals,disable\ndyn,dynamic,mgt==kvm,\nhid,static,,1\n");
    struct attr_site *site = site_new(scratch, NULL);
    assert_int_equal(attr_refresh(site, &err), 0);
    static const struct {
        const char *name;
        bool is_node, is_group;
    } rows[] = {
        {"n1", true, false},  {"g", false, true},  {"both", true, true}, {"off", false, false},
        {"dyn", false, true}, {"v1", true, false}, {"v2", false, false}, {"hid", true, false},
    };
    int n = 0;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct attr_node *node = attr_node(site, rows[i].name);
        assert_non_null(node);
        assert_string_equal(attr_node_name(node), rows[i].name);
        assert_int_equal(attr_is_node(node), rows[i].is_node);
        assert_int_equal(attr_is_group(node), rows[i].is_group);
        n -= rows[i].is_node;
    }
    assert_int_equal(attr_walk_nodes(site, count_node, &n), 0);
    assert_int_equal(n, 1); /* n2 */
    assert_null(attr_node(site, "nobody"));
    size_t members;
    const struct attr_node *const *list = attr_members(attr_node(site, "g"), &members);
    assert_int_equal(members, 2);
    assert_string_equal(attr_node_name(list[0]), "n1");
    assert_string_equal(attr_node_name(list[1]), "n2");
    assert_string_equal(attr_dynamic(attr_node(site, "dyn")), "mgt==kvm");
    assert_null(attr_dynamic(attr_node(site, "g")));
    assert_null(attr_dynamic(attr_node(site, "hid")));

    struct rm_err note = {""};
    assert_int_equal(attr_clashes(site, &note), 1);
    assert_string_equal(note.text, "both is a node and a group; a noderange takes it for the node");
    restore(scratch, "nodegroup", "#groupname,grouptype\nn1,static\n");
    assert_int_equal(attr_clashes(site, &note), 2);
    assert_non_null(strstr(note.text, "2 names are both a node's and a group's"));
    restore(scratch, "nodelist", "#node,groups\nn1,g\n");
    restore(scratch, "nodegroup", "#groupname\n");
    note.text[0] = '\0';
    assert_int_equal(attr_clashes(site, &note), 0);
    assert_string_equal(note.text, "");
    attr_free(site);
}

static void an_object_name_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *name, *table, *column;
    } rows[] = {
        {"vmhost", "vm", "host"},
        {"vmothersetting", "vm", "othersettings"},
        {"migrationdest", "vm", "migrationdest"},
        {"mgt", "nodehm", "mgt"},
        {"groups", "nodelist", "groups"},
        {"power", "nodehm", "power"},
        {"hcp", "zvm", "hcp"},
        {"vm.host", "vm", "host"},
        {"status", "nodelist", "status"},
    };
    struct attr attr;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(attr_find_object(rows[i].name, strlen(rows[i].name), &attr, &err), 0);
        assert_string_equal(attr.table->name, rows[i].table);
        assert_string_equal(attr.table->columns[attr.column], rows[i].column);
    }
    assert_int_equal(attr_find_object("vmhots", 6, &attr, &err), -EINVAL);
}

/* ---- the index against the tables */

/* A step of a generator that is the same everywhere. */
static unsigned roll(unsigned *seed, unsigned n)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % n;
}

static const char *const names[] = {"n1", "n2", "n3", "n4", "g1", "g2", "g3"};
enum { NAMES = sizeof(names) / sizeof(names[0]) };

static void change_something(struct scratch *scratch, unsigned *seed)
{
    static const char *const tables[] = {"nodelist", "vm", "nodegroup"};
    static const char *const values[] = {NULL, "g1", "g2,g1", "g3,n1", "1", "0", "x", "dynamic"};
    const struct table *table = table_find(tables[roll(seed, 3)]);
    const char *key = names[roll(seed, NAMES)];
    unsigned what = roll(seed, 100);
    if (what < 60) {
        int column = roll(seed, 4) == 0 ? table_column(table, "disable") : 1 + (int)roll(seed, 2);
        table_row_set(scratch->store, table, key, column, values[roll(seed, 8)]);
    } else if (what < 80) {
        table_row_delete(scratch->store, table, key);
    } else if (what < 90) {
        assert_int_equal(store_commit(scratch->store, &err), 0);
    } else if (what < 97) {
        store_abort(scratch->store);
    } else {
        restore(scratch, table->name,
                strcmp(table->name, "nodegroup") == 0 ? "#groupname\ng2\n" : "#node\nn3\n");
    }
}

/* Everything that can be asked, as one text. */
static void ask_everything(struct attr_site *site, char *out)
{
    assert_int_equal(attr_refresh(site, &err), 0);
    for (size_t i = 0; i < NAMES; i++) {
        const struct attr_node *node = attr_node(site, names[i]);
        size_t n = 0;
        out += sprintf(out, "%s %s %s ", names[i], get(site, names[i], "vm.host"),
                       node && attr_is_node(node) ? "node" : "");
        out += sprintf(out, "%s %s ", get(site, names[i], "nodelist.status"),
                       node && attr_is_group(node) ? "group" : "");
        const struct attr_node *const *list = node ? attr_members(node, &n) : NULL;
        for (size_t j = 0; j < n; j++)
            out += sprintf(out, "%s ", attr_node_name(list[j]));
    }
}

static void the_index_is_always_what_the_tables_say(void **state)
{
    struct scratch *scratch = *state;
    static char kept[65536], fresh[65536];
    unsigned seed = 7;
    struct attr_site *site = site_new(scratch, NULL);
    for (int round = 0; round < 400; round++) {
        for (unsigned n = roll(&seed, 6); n > 0; n--)
            change_something(scratch, &seed);
        ask_everything(site, kept);
        if (round % 5 > 0)
            continue;
        attr_free(site); /* one that begins from nothing must say the same */
        site = site_new(scratch, NULL);
        ask_everything(site, fresh);
        assert_string_equal(kept, fresh);
    }
    attr_free(site);
}

static void very_many_changes_are_seen_too(void **state)
{
    struct scratch *scratch = *state;
    const struct table *vm = table_find("vm");
    char name[32];
    struct attr_site *site = site_new(scratch, NULL);
    assert_string_equal(get(site, "n5000", "vm.host"), "-");
    for (int i = 0; i < STORE_CHANGES_MAX + 1000; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        assert_int_equal(table_row_set(scratch->store, vm, name, 2, "h"), 0);
    }
    assert_string_equal(get(site, "n5000", "vm.host"), "h");
    assert_int_equal(attr_count(site), STORE_CHANGES_MAX + 1000);
    attr_free(site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(an_attribute_comes_from_the_node_or_its_first_group_that_sets_it),
        SCRATCH_TEST(a_pattern_is_of_the_node_not_of_the_group),
        SCRATCH_TEST(values_that_go_on_and_lists_are_put_together),
        SCRATCH_TEST(what_is_put_together_has_a_bound),
        SCRATCH_TEST(nodes_and_groups_are_told_apart),
        cmocka_unit_test(an_object_name_is_found),
        SCRATCH_TEST(the_index_is_always_what_the_tables_say),
        SCRATCH_TEST(very_many_changes_are_seen_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
