/* test_table.c - the site tables: columns, import and export, single rows, many rows */
#include "store/key.h"
#include "store/record.h"
#include "store/tables/table.h"
#include "store/tool/check.h"
#include "tests/unit/scratch.h"

#include <errno.h>

static int setup(void **state)
{
    struct rm_err err = {""};
    scratch_setup(state);
    struct scratch *scratch = *state;
    return record_open(scratch->store, &err);
}
#define TABLE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

static char *dump(struct store *store, const char *name)
{
    static char *out; /* static: gcc 12 takes the text for dangling otherwise */
    size_t length;
    FILE *file = open_memstream(&out, &length);
    uint64_t after = 0;
    int r;
    while ((r = table_export(store, table_find(name), &after, file)) == 1) {
    }
    assert_int_equal(r, 0);
    fclose(file);
    return out;
}

static void assert_dump(struct store *store, const char *name, const char *rows)
{
    char *out = dump(store, name);
    assert_string_equal(strchr(out, '\n') + 1, rows);
    free(out);
}

static int restore(struct store *store, const char *name, const char *csv, bool add,
                   struct rm_err *err)
{
    return table_restore(store, table_find(name), csv, strlen(csv), add, err);
}

/* ---- columns */

static void every_table_has_xcats_columns_in_its_order(void **state)
{
    struct scratch *scratch = *state;
    static const struct {
        const char *name, *header;
        size_t n;
    } tables[] = {
        {"hypervisor",
         "#node,type,mgr,interface,netmap,defaultnet,cluster,datacenter,preferdirect,comments,"
         "disable\n",
         11},
        {"nodegroup", "#groupname,grouptype,members,membergroups,wherevals,comments,disable\n", 7},
        {"nodehm",
         "#node,power,mgt,cons,termserver,termport,conserver,serialport,serialspeed,serialflow,"
         "getmac,cmdmapping,consoleondemand,consoleenabled,comments,disable\n",
         16},
        {"nodelist",
         "#node,groups,status,statustime,appstatus,appstatustime,primarysn,hidden,updatestatus,"
         "updatestatustime,zonename,comments,disable\n",
         13},
        {"vm",
         "#node,mgr,host,migrationdest,storage,storagemodel,storagecache,storageformat,cfgstore,"
         "memory,cpus,nics,nicmodel,bootorder,clockoffset,virtflags,master,vncport,textconsole,"
         "powerstate,beacon,datacenter,cluster,guestostype,othersettings,physlots,vidmodel,"
         "vidproto,vidpassword,comments,disable\n",
         31},
        {"zvm", "#node,hcp,userid,nodetype,parent,comments,disable,discovered,status\n", 9},
    };
    size_t n = sizeof(tables) / sizeof(tables[0]);
    for (size_t i = 0; i < n; i++) {
        const struct table *table = table_find(tables[i].name);
        assert_non_null(table);
        assert_ptr_equal(table, table_at(i));
        assert_int_equal(table->n_columns, tables[i].n);
        char *out = dump(scratch->store, tables[i].name);
        assert_string_equal(out, tables[i].header);
        free(out);
    }
    assert_null(table_at(n));
    assert_null(table_find("site"));
    assert_int_equal(table_column(table_find("vm"), "host"), 2);
    assert_int_equal(table_column(table_find("vm"), "hosts"), -ENOENT);
}

/* ---- import and export */

static void an_import_keeps_order_and_bytes(void **state)
{
    struct scratch *scratch = *state;
    struct rm_err err = {""};
    /* A subset of the columns in another order, values of all kinds. */
    int r = restore(scratch->store, "zvm",
                    "#comments,node,hcp\n"
                    "\"a \"\"b\"\", c\",zeta,\n"
                    "\n"
                    ",\"alpha\",\"two\nlines\"\n"
                    "\"\",mid \r\n",
                    false, &err);
    assert_string_equal(err.text, "");
    assert_int_equal(r, 3);
    static const char rows[] = "\"zeta\",,,,,\"a \"\"b\"\", c\",,,\n"
                               "\"alpha\",\"two\nlines\",,,,,,,\n"
                               "\"mid\",,,,,\"\",,,\n";
    assert_dump(scratch->store, "zvm", rows);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    scratch_reopen(scratch);
    assert_dump(scratch->store, "zvm", rows);

    struct arena *arena = arena_new(0);
    RmRow *row;
    assert_int_equal(table_row_get(scratch->store, table_find("zvm"), "mid", arena, &row), 0);
    assert_int_equal(row->n_cells, 9);
    assert_string_equal(row->table, "zvm");
    assert_true(row->cells[5]->set); /* "" is set, but is no value */
    assert_null(table_cell(row, 5));
    assert_false(row->cells[1]->set);
    assert_string_equal(table_cell(row, 0), "mid");
    assert_null(table_cell(row, -1));
    assert_null(table_cell(row, 9));
    arena_free(arena);
    assert_int_equal(store_check(scratch->store, stderr), 0);
}

static void an_import_replaces_or_adds(void **state)
{
    struct scratch *scratch = *state;
    struct rm_err err = {""};
    assert_int_equal(restore(scratch->store, "vm", "#node\na\nb\n", false, &err), 2);
    assert_int_equal(restore(scratch->store, "nodelist", "#node,groups\na,all\n", false, &err), 1);
    assert_int_equal(restore(scratch->store, "vm", "#node,host\nc,h\n", true, &err), 1);
    char *out = dump(scratch->store, "vm");
    assert_non_null(strstr(out, "\n\"a\",,,"));
    assert_non_null(strstr(out, "\n\"c\",,\"h\",,"));
    free(out);
    assert_int_equal(restore(scratch->store, "vm", "#node\nd\n", false, &err), 1);
    assert_int_equal(store_count(scratch->store, STORE_ROW), 2);
    assert_int_equal(restore(scratch->store, "vm", "#node\n", false, &err), 0);
    assert_int_equal(store_count(scratch->store, STORE_ROW), 1); /* the other table's */
    assert_int_equal(store_count(scratch->store, STORE_ROW_KEY), 1);
}

static void a_wrong_import_says_where_and_changes_nothing(void **state)
{
    struct scratch *scratch = *state;
    struct rm_err err = {""};
    char longest[400];
    snprintf(longest, sizeof(longest), "#node\nok\n%0256d\n", 0);
    const struct {
        const char *csv;
        bool add;
        int code;
        const char *text;
    } rows[] = {
        {"node\nx\n", false, -EINVAL,
         "Data missing header line starting with # on line 1, character 1: node"},
        {"\n#node,hots,x\na\n", false, -EINVAL,
         "The header line indicates that column 'hots' should exist, which is not defined in the "
         "schema for 'vm', line 2, character 7"},
        {"#node,host,node\n", false, -EINVAL,
         "The header line names column 'node' twice, line 1, character 12"},
        {"#host,comments\nh,c\n", false, -EINVAL,
         "The header line lacks column 'node', which is the key of 'vm'"},
        {"#node,host\nx,y\nz,h\"1\n", false, -EINVAL,
         "CSV missing opening \" for record with \" characters on line 3, character 4: z,h\"1"},
        {"#node,host\nx,y\n\"z\",\"h1\n", false, -EINVAL,
         "CSV unmatched \" in record on line 3, character 5: \"z\",\"h1"},
        {"#node,host\nx,y,z\n", false, -EINVAL, "Too many fields on line 2, character 5: x,y,z"},
        {"#host,node\nh1,x\nh2\n", false, -EINVAL, "the key column 'node' has no value, line 3"},
        {"#node,host\nx,y\n\"\",y\n", false, -EINVAL,
         "the key column 'node' has no value, line 3, character 1"},
        {longest, false, -EINVAL,
         "the key column 'node' has a value of more than 255 bytes, line 3, character 1"},
        {"#node\nx\ny\n\nx\n", false, -EEXIST,
         "the row 'x' stands on line 2 and again on line 5, character 1"},
        {"#node\nx\nold\n", true, -EEXIST,
         "table 'vm' has a row 'old' already, line 3, character 1"},
    };
    assert_int_equal(restore(scratch->store, "vm", "#node,host\nold,h\n", false, &err), 1);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    char *before = dump(scratch->store, "vm");
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(restore(scratch->store, "vm", rows[i].csv, rows[i].add, &err),
                         rows[i].code);
        assert_string_equal(err.text, rows[i].text);
        assert_false(store_is_dirty(scratch->store));
        char *after = dump(scratch->store, "vm");
        assert_string_equal(after, before);
        free(after);
    }
    free(before);
}

/* Random rows of the worst bytes: a dump restores to the same rows and dumps to the same bytes. */
static void a_dump_restores_to_itself(void **state)
{
    struct scratch *scratch = *state;
    static const char bytes[] = "\"\",\n,#|x \t \n'";
    struct rm_err err = {""};
    unsigned seed = 3;
    for (int round = 0; round < 60; round++) {
        const struct table *table = table_at((size_t)round % 6);
        int n = rand_r(&seed) % 20;
        assert_int_equal(restore(scratch->store, table->name,
                                 round % 6 == 1 ? "#groupname\n" : "#node\n", false, &err),
                         0);
        for (int i = 0; i < n; i++) {
            char key[32];
            snprintf(key, sizeof(key), "%c%d\" ,\n", bytes[(size_t)rand_r(&seed) % 8], i);
            int cells = rand_r(&seed) % 6;
            for (int k = 0; k <= cells; k++) {
                char value[16] = "";
                int length = rand_r(&seed) % 15;
                for (int b = 0; b < length; b++)
                    value[b] = bytes[(size_t)rand_r(&seed) % (sizeof(bytes) - 1)];
                int column = 1 + rand_r(&seed) % ((int)table->n_columns - 1);
                assert_int_equal(table_row_set(scratch->store, table, key, column,
                                               rand_r(&seed) % 4 ? value : NULL),
                                 0);
            }
        }
        char *first = dump(scratch->store, table->name);
        assert_int_equal(restore(scratch->store, table->name, first, false, &err), n);
        char *second = dump(scratch->store, table->name);
        assert_string_equal(second, first);
        free(first);
        free(second);
    }
    assert_int_equal(store_check(scratch->store, stderr), 0);
}

/* ---- single rows */

static void a_row_is_made_changed_and_deleted(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = scratch->store;
    const struct table *vm = table_find("vm");
    struct rm_err err;
    int host = table_column(vm, "host");
    assert_int_equal(restore(store, "vm", "#node,host,memory\nb,h1,1\na,h2,2\n", false, &err), 2);
    assert_int_equal(table_row_set(store, vm, "b", host, "h3"), 0);
    assert_int_equal(table_row_set(store, vm, "c", host, "h4"), 0);
    assert_int_equal(table_row_set(store, vm, "a", host, NULL), 0);
    assert_int_equal(table_row_set(store, vm, "d", host, NULL), 0); /* a row with its key only */
    char *out = dump(store, "vm");
    static const char *const starts[] = {"\"b\",,\"h3\",,,,,,,\"1\",", "\"a\",,,,,,,,,\"2\",",
                                         "\"c\",,\"h4\",,,", "\"d\",,,,,"};
    char *line = strchr(out, '\n') + 1;
    for (size_t i = 0; i < 4; i++) {
        assert_memory_equal(line, starts[i], strlen(starts[i]));
        line = strchr(line, '\n') + 1;
    }
    assert_string_equal(line, "");
    free(out);

    assert_int_equal(table_row_delete(store, vm, "a"), 0);
    assert_int_equal(table_row_delete(store, vm, "a"), -ENOENT);
    struct arena *arena = arena_new(0);
    RmRow *row;
    uint64_t number;
    assert_int_equal(table_row_get(store, vm, "a", arena, &row), -ENOENT);
    assert_int_equal(table_row_get(store, table_find("zvm"), "b", arena, &row), -ENOENT);
    assert_int_equal(table_row_get(store, vm, "", arena, &row), -ENOENT);
    assert_int_equal(table_row_set(store, vm, "a", host, "h5"), 0); /* behind the others now */
    assert_int_equal(table_row_number(store, vm, "a", &number), 0);
    assert_int_equal(number, 5);
    arena_free(arena);

    char longest[300];
    memset(longest, 'k', sizeof(longest));
    longest[256] = '\0';
    assert_int_equal(table_row_set(store, vm, longest, host, "h"), -EINVAL);
    assert_int_equal(table_row_set(store, vm, "", host, "h"), -EINVAL);
    assert_int_equal(table_row_set(store, vm, "a", 31, "h"), -EINVAL);
    assert_int_equal(table_row_set(store, vm, "a", -1, "h"), -EINVAL);
    assert_int_equal(table_row_set(store, vm, "a", 0, "other"), -EINVAL);
    assert_int_equal(table_row_set(store, vm, "a", host, "\x1b"), -EINVAL);
    assert_int_equal(table_row_set(store, vm, "\xff", host, "h"), -EINVAL);
    assert_int_equal(table_row_set(store, vm, "e", 0, "e"), 0);
    longest[255] = '\0';
    assert_int_equal(table_row_set(store, vm, longest, host, "h"), 0);
    assert_int_equal(store_check(store, stderr), 0);
}

static void a_row_of_an_older_program_gets_the_newer_columns(void **state)
{
    struct scratch *scratch = *state;
    const struct table *vm = table_find("vm");
    struct arena *arena = arena_new(0);
    RmRow old = RM_ROW__INIT, *row;
    RmCell cell = RM_CELL__INIT, *cells[] = {&cell};
    char key[] = "vm\0........";
    uint8_t number[8];
    old.table = (char *)(uintptr_t) "vm";
    old.cells = cells;
    old.n_cells = 1;
    cell.set = true;
    cell.value = (char *)(uintptr_t) "kvm1";
    key_u64(number, 1);
    memcpy(key + 3, number, 8);
    assert_int_equal(record_put(scratch->store, STORE_ROW, key, 11, &old.base, false), 0);
    assert_int_equal(store_put(scratch->store, STORE_ROW_KEY, "vm\0kvm1", 7, number, 8, false), 0);
    assert_int_equal(table_row_get(scratch->store, vm, "kvm1", arena, &row), 0);
    assert_int_equal(row->n_cells, 31);
    assert_null(table_cell(row, 30));
    assert_int_equal(table_row_set(scratch->store, vm, "kvm1", 30, "yes"), 0);
    assert_int_equal(table_row_get(scratch->store, vm, "kvm1", arena, &row), 0);
    assert_string_equal(table_cell(row, 30), "yes");
    arena_free(arena);
}

/* ---- many rows */

enum { MANY = 100000 };

struct counting {
    uint64_t last;
    size_t n;
    size_t stop_at;
};

static int count_row(void *ctx, uint64_t number, const RmRow *row)
{
    struct counting *counting = ctx;
    char name[16];
    assert_int_equal(number, counting->last + 1);
    snprintf(name, sizeof(name), "kvm%zu", (size_t)number);
    assert_string_equal(table_cell(row, 0), name);
    counting->last = number;
    return ++counting->n == counting->stop_at;
}

static void a_large_site_is_restored_paged_and_searched(void **state)
{
    struct scratch *scratch = *state;
    const struct table *vm = table_find("vm");
    struct rm_err err = {""};
    char *csv;
    size_t length;
    FILE *file = open_memstream(&csv, &length);
    fputs("#node,host,memory,comments\n", file);
    for (int i = 1; i <= MANY; i++)
        fprintf(file, "\"kvm%d\",\"hyp%02d\",\"2048\",\n", i, i % 100);
    fclose(file);
    assert_int_equal(table_restore(scratch->store, vm, csv, length, false, &err), MANY);
    assert_int_equal(store_commit(scratch->store, &err), 0);
    assert_int_equal(table_restore(scratch->store, vm, csv, length, true, &err), -EEXIST);
    assert_int_equal(table_restore(scratch->store, vm, csv, length, false, &err), MANY); /* again */
    assert_int_equal(store_commit(scratch->store, &err), 0);
    free(csv);

    struct arena *arena = arena_new(0);
    for (int i = 1; i <= MANY; i++) {
        char name[16];
        RmRow *row;
        snprintf(name, sizeof(name), "kvm%d", i);
        assert_int_equal(table_row_get(scratch->store, vm, name, arena, &row), 0);
        assert_string_equal(table_cell(row, 0), name);
        arena_reset(arena);
    }
    arena_free(arena);
    struct counting all = {0}, page = {.last = 5000, .stop_at = 1000}, end = {.last = MANY};
    assert_int_equal(table_walk(scratch->store, vm, 0, count_row, &all), 0);
    assert_int_equal(all.n, MANY);
    assert_int_equal(table_walk(scratch->store, vm, 5000, count_row, &page), 1);
    assert_int_equal(page.last, 6000);
    assert_int_equal(table_walk(scratch->store, vm, MANY, count_row, &end), 0);
    assert_int_equal(table_walk(scratch->store, vm, UINT64_MAX, count_row, &end), 0);
    assert_int_equal(end.n, 0);
    assert_int_equal(store_check(scratch->store, stderr), 0);
}

/* ---- patterns */

static void a_pattern_that_cannot_be_evaluated_is_not_imported(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = scratch->store;
    static const struct {
        const char *table, *csv, *why;
    } rows[] = {
        {"vm", "#node,host\nkvm1,hyp01\nkvms,|kvm(\\d+)|(system('id'))|\n",
         "vm.host of 'kvms', line 3, character 6: the pattern '|kvm(\\d+)|(system('id'))|' cannot "
         "be evaluated: 'system' is no function that may stand in a sum"},
        {"vm", "#node,host,memory\nkvms,\"a\nb\",\"/(/x/\"\n",
         "vm.memory of 'kvms', line 3, character 4: the pattern '/(/x/' cannot be evaluated: wrong "
         "regular expression '(', at character 2: missing closing parenthesis"},
        {"nodehm", "#node,mgt,disable\nkvms,|($1|+=NEXTRECORD,yes\n",
         "nodehm.mgt of 'kvms', line 2, character 6: the pattern '|($1|' cannot be evaluated: a ( "
         "without its )"},
        {"nodelist", "#node,groups\nn1,|n|($1)|\n",
         "nodelist.groups of 'n1', line 2, character 4: the pattern '|n|($1)|' cannot be "
         "evaluated: $1, but the expression has 0 pairs of parentheses"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rm_err err = {""};
        assert_int_equal(restore(store, rows[i].table, rows[i].csv, false, &err), -EINVAL);
        assert_string_equal(err.text, rows[i].why);
    }
    assert_false(store_is_dirty(store)); /* nothing was touched */

    struct rm_err err = {""};
    assert_int_equal(restore(store, "vm",
                             "#node,host,storage,comments\n"
                             "kvms,|kvm(\\d+)|hyp($1)|,/srv/x,|a comment (is none|\n"
                             "all,|x+1|+=NEXTRECORD,nfs://a/x|nfs://b/y,/a(/b/\n",
                             false, &err),
                     2);
    assert_string_equal(err.text, "");
    assert_int_equal(restore(store, "nodegroup", "#groupname,wherevals\ng,|(|\n", false, &err), 1);
    assert_string_equal(err.text, "");
}

static void a_disabled_row_says_so_in_xcats_words(void **state)
{
    static const struct {
        const char *value;
        bool off;
    } rows[] = {
        {NULL, false}, {"", false},   {"0", false}, {"no", false}, {"NO", false},   {"nO", false},
        {"1", true},   {"yes", true}, {" ", true},  {"00", true},  {"false", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(table_is_off(rows[i].value), rows[i].off);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLE_TEST(every_table_has_xcats_columns_in_its_order),
        TABLE_TEST(an_import_keeps_order_and_bytes),
        TABLE_TEST(an_import_replaces_or_adds),
        TABLE_TEST(a_wrong_import_says_where_and_changes_nothing),
        TABLE_TEST(a_dump_restores_to_itself),
        TABLE_TEST(a_row_is_made_changed_and_deleted),
        TABLE_TEST(a_row_of_an_older_program_gets_the_newer_columns),
        TABLE_TEST(a_large_site_is_restored_paged_and_searched),
        TABLE_TEST(a_pattern_that_cannot_be_evaluated_is_not_imported),
        TABLE_TEST(a_disabled_row_says_so_in_xcats_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
