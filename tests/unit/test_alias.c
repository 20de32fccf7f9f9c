/* test_alias.c - aliases: what the tables list, what live jobs keep, names that are shared and names
 * that clash */
#include "broker/alias.h"
#include "tests/unit/scratch.h"

static void restore(struct scratch *scratch, const char *table, const char *csv)
{
    struct rm_err err = {0};
    int r = table_restore(scratch->store, table_find(table), csv, strlen(csv), false, &err);
    assert_string_equal(err.text, "");
    assert_true(r >= 0);
}

/* The part of a value before a blank; a value that begins with - has no name. */
static char *first_word(struct arena *arena, const char *value)
{
    return *value == '-' ? NULL : arena_printf(arena, "%.*s", (int)strcspn(value, " "), value);
}

static const struct alias_rule unique = {.attr = "vm.othersettings", .name_of = first_word};
static const struct alias_rule shared = {
    .attr = "zvm.userid",
    .host_attr = "zvm.parent",
    .name_of = first_word,
    .is_shared = true,
    .lists_guests = true,
};

static void read_tables(struct scratch *scratch, struct alias_map *map)
{
    struct attr_site *site;
    struct arena *arena = arena_new(0);
    assert_int_equal(attr_new(scratch->store, NULL, &site, NULL), 0);
    assert_int_equal(alias_read(map, site, arena), 0);
    /* the map must not need either */
    attr_free(site);
    arena_free(arena);
}

static const char *name_of(const struct alias_map *map, const char *node)
{
    const struct alias *alias = alias_by_node(map, node);
    return alias ? alias->name : "-";
}

static const char *node_of(const struct alias_map *map, const char *name)
{
    const struct alias *alias = alias_by_name(map, name);
    return alias ? alias->node : "-";
}

static void the_first_node_by_name_gets_what_two_are_given(void **state)
{
    struct scratch *scratch = *state;
    restore(scratch, "nodelist", "#node,groups\nn3,\nn1,\nn2,\nn4,g\n");
    restore(scratch, "vm", "#node,othersettings\nn3,b\nn2,a x\nn1,a\ng,-\n");
    struct alias_map *map = alias_new(&unique);
    read_tables(scratch, map);
    assert_string_equal(name_of(map, "n1"), "a");
    assert_string_equal(node_of(map, "a"), "n1");
    assert_string_equal(name_of(map, "n2"), "-");
    assert_string_equal(node_of(map, "b"), "n3");
    assert_string_equal(name_of(map, "n4"), "-");
    size_t n;
    const struct alias_clash *clashes = alias_clashes(map, &n);
    assert_int_equal(n, 1);
    assert_string_equal(clashes[0].node, "n2");
    assert_string_equal(clashes[0].name, "a");
    assert_string_equal(clashes[0].other, "n1");
    assert_false(alias_keeps(map));
    alias_free(map);
}

static void a_live_job_keeps_its_name_against_the_tables(void **state)
{
    struct scratch *scratch = *state;
    restore(scratch, "nodelist", "#node,groups\nn1,\nn2,\nn3,\n");
    restore(scratch, "vm", "#node,othersettings\nn1,new\nn2,old\nn3,c\n");
    struct alias_map *map = alias_new(&unique);
    alias_keep(map, &(struct alias){"n1", "old", "", "", NULL});
    alias_keep(map, &(struct alias){"n1", "second", "", "", NULL});
    alias_keep(map, &(struct alias){"n9", "old", "", "", NULL});
    read_tables(scratch, map);
    assert_string_equal(name_of(map, "n1"), "old");
    assert_string_equal(node_of(map, "new"), "-");
    assert_string_equal(node_of(map, "second"), "-");
    assert_string_equal(name_of(map, "n2"), "-"); /* until the job has ended */
    assert_string_equal(name_of(map, "n9"), "-");
    assert_string_equal(name_of(map, "n3"), "c");
    size_t n;
    alias_clashes(map, &n);
    assert_int_equal(n, 0);
    assert_true(alias_keeps(map));
    alias_free(map);
}

static void what_a_job_keeps_is_a_reason_to_read_again_only_where_the_tables_differ(void **state)
{
    struct scratch *scratch = *state;
    static const struct {
        const struct alias_rule *rule;
        const char *node, *name;
        bool keeps;
    } rows[] = {
        {&unique, "n1", "a", false}, {&unique, "n1", "b", true},   {&unique, "n2", "n2", false},
        {&unique, "n2", "c", true},  {&shared, "n1", "U1", false}, {&shared, "n1", "U2", true},
        {&shared, "n2", "U2", true}, {&shared, "n2", "n2", true},
    };
    restore(scratch, "nodelist", "#node,groups\nn1,\nn2,\n");
    restore(scratch, "vm", "#node,othersettings\nn1,a\n");
    restore(scratch, "zvm", "#node,userid\nn1,U1\n");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct alias_map *map = alias_new(rows[i].rule);
        alias_keep(map, &(struct alias){rows[i].node, rows[i].name, "", "", NULL});
        read_tables(scratch, map);
        if (alias_keeps(map) != rows[i].keeps)
            fail_msg("row %zu: %d", i, alias_keeps(map));
        alias_free(map);
    }
}

static void what_is_too_long_for_a_name_is_none(void **state)
{
    struct scratch *scratch = *state;
    char csv[1024];
    snprintf(csv, sizeof(csv), "#node,userid,parent\nn1,%0*d,m\nn2,U,%0*d\nn3,%0*d,m\n",
             ALIAS_NAME_MAX + 1, 1, ALIAS_NAME_MAX + 1, 2, ALIAS_NAME_MAX, 3);
    restore(scratch, "nodelist", "#node,groups\nn1,\nn2,\nn3,\n");
    restore(scratch, "zvm", csv);
    struct alias_map *map = alias_new(&shared);
    read_tables(scratch, map);
    assert_null(alias_by_node(map, "n1"));
    assert_string_equal(alias_by_node(map, "n2")->host, "");
    assert_int_equal(strlen(name_of(map, "n3")), ALIAS_NAME_MAX);
    alias_free(map);
}

static void shared_names_are_linked_with_their_hosts(void **state)
{
    struct scratch *scratch = *state;
    restore(scratch, "nodelist", "#node,groups\nn1,\nn2,\nn3,\n");
    restore(scratch, "zvm", "#node,userid,parent\nn2,U,m2\nn1,U,m1\nn3,V,\n");
    struct alias_map *map = alias_new(&shared);
    alias_keep(map, &(struct alias){"n0", "U", "m0", "c0", NULL});
    read_tables(scratch, map);
    const struct alias *one = alias_by_name(map, "U");
    static const char *const nodes[] = {"n0", "n1", "n2"}, *const hosts[] = {"m0", "m1", "m2"};
    for (size_t i = 0; i < 3; i++, one = one->more) {
        assert_non_null(one);
        assert_string_equal(one->node, nodes[i]);
        assert_string_equal(one->host, hosts[i]);
        assert_string_equal(one->cluster, i == 0 ? "c0" : "");
    }
    assert_null(one);
    assert_string_equal(alias_by_node(map, "n3")->host, "");
    alias_set_host(map, "n3", "m9");
    alias_set_host(map, "nobody", "m9");
    assert_string_equal(alias_by_name(map, "V")->host, "m9");
    size_t n;
    alias_clashes(map, &n);
    assert_int_equal(n, 0);
    alias_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(the_first_node_by_name_gets_what_two_are_given),
        SCRATCH_TEST(a_live_job_keeps_its_name_against_the_tables),
        SCRATCH_TEST(what_a_job_keeps_is_a_reason_to_read_again_only_where_the_tables_differ),
        SCRATCH_TEST(what_is_too_long_for_a_name_is_none),
        SCRATCH_TEST(shared_names_are_linked_with_their_hosts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
