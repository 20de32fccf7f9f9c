/* test_nodefile.c - files in a noderange: what comes out, and what it means to the broker */
#include "store/tables/noderange.h"
#include "submit/nodefile.h"
#include "tests/unit/scratch.h"

#include <errno.h>

/* Each test has a directory of its own, where the files are and where it works. */
static int setup(void **state)
{
    char *base = strdup("/tmp/rmigrate-test-XXXXXX");
    assert_non_null(mkdtemp(base));
    assert_int_equal(chdir(base), 0);
    *state = base;
    return 0;
}

static int teardown(void **state)
{
    assert_int_equal(chdir("/"), 0);
    nftw(*state, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return 0;
}

static void write_bytes(const char *name, const char *text, size_t length)
{
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, length, file), length);
    fclose(file);
}

static void write_file(const char *name, const char *text)
{
    write_bytes(name, text, strlen(text));
}

/* The expression without files, or the error. */
static const char *expand(const char *expression)
{
    static char out[4096];
    struct rm_err err = {""};
    char *text = NULL;
    int r = nodefile_expand(expression, &text, &err);
    snprintf(out, sizeof(out), "%s", r < 0 ? err.text : text);
    assert_int_equal(r < 0, err.text[0] != '\0');
    assert_int_equal(r < 0, text == NULL);
    free(text);
    return out;
}

/* Everything that is a letter and perhaps a number. */
static bool is_node(void *ctx, const char *name)
{
    (void)ctx;
    return name[0] >= 'a' && name[0] <= 'z' && strspn(name + 1, "0123456789") == strlen(name + 1);
}

/* What the broker makes of it. */
static const char *nodes(const char *expression)
{
    static char out[4096];
    struct noderange_site site = {.is_node = is_node};
    struct noderange range = {0};
    struct rm_err err = {""};
    char *text;
    assert_int_equal(nodefile_expand(expression, &text, &err), 0);
    int r = noderange_expand(text, &site, &range, &err);
    out[0] = '\0';
    if (r < 0)
        snprintf(out, sizeof(out), "%s", err.text);
    for (size_t i = 0; i < range.n; i++) {
        strcat(out, i ? "," : "");
        strcat(out, range.names[i]);
    }
    noderange_done(&range);
    free(text);
    return out;
}

static void what_has_no_file_stays(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "", "a", "a,b@c,-d", "/^n1$", "n[1,3-5],(a,-b)", "vm.host=~^hyp", "a^b", "@-^f", "--^f",
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(expand(rows[i]), rows[i]);
    assert_string_equal(expand("'a',\"b\""), "a,b");
}

static void a_plain_file_becomes_a_list(void **state)
{
    (void)state;
    write_file("list",
               "# a comment\na\n\n  \nb: with words\nc,d and more\nn[1,3]\tx\n\"e\"\r\n:\nf");
    assert_string_equal(expand("^list"), "a,b,c,d,n[1,3],e,f");
    assert_string_equal(expand("^'list'"), "a,b,c,d,n[1,3],e,f");
    assert_string_equal(expand("z,^list"), "z,a,b,c,d,n[1,3],e,f");
    assert_string_equal(nodes("a-^list"), "Invalid nodes and/or groups in noderange: a-^list");
    assert_string_equal(nodes("a,g,-^list,n1-n3"), "g,n2");
    write_file("bom", "\xef\xbb\xbf"
                      "a\n");
    assert_string_equal(expand("^bom"), "a");
    write_file("empty", "# nothing\n\n");
    assert_string_equal(nodes("a,-^empty"), "a");
}

/* {file, its text} are written once; each expression is then what the broker makes of it. */
static void files_mean_what_they_say(void **state)
{
    (void)state;
    static const char *const files[][2] = {
        {"ab", "a\nb\n"},
        {"bc", "b\nc\n"},
        {"most", "-c\na-never:is cut\n"},
        {"minus", "-c\na,b,c,d\n-d,-e\n"},
        {"cut", "a,b,@b,c\nd\n"},
        {"nested", "z\n^ab\n-b\n"},
        {"inverse", "a,b,c\n-^bc\n"},
        {"parens", "(a,b),-(b)\n"},
    };
    static const struct {
        const char *expression, *want;
    } rows[] = {
        {"^ab", "a,b"},
        {"c,^ab", "a,b,c"},
        {"^ab,^bc", "a,b,c"},
        {"-^ab,a,b,c", "c"}, /* taken away at the end, wherever it stands */
        {"a,b,c,-^ab", "c"},
        {"a,b,c,-^ab,a", "c"},
        {"^ab@b,c", "b,c"},
        {"b,^ab@c,d", "b,d"},
        {"a,b@^bc", "a,b"}, /* a and what b and the file share */
        {"a,b,@^bc", "b"},
        {"a,b,c@^bc@c", "a,b,c"},
        {"@^ab", "no nodes match '(),@(a,b)'"},
        {"-^ab@a,a,b", "b"},
        {"(c,-^bc),b", "b"},
        {"(c,b,-^bc,d),(^ab)", "a,b,d"},
        {"^minus", "a,b"}, /* of the whole file, before and after */
        {"^minus,c", "a,b,c"},
        {"a,b,c,-^minus", "c"},
        {"-^minus,a,b,c", "c"},
        {"z,-^minus,a,b,c", "c,z"},
        {"^cut", "b,c,d"},
        {"a,^cut", "a,b,c,d"},
        {"-^cut,a,b,c,d", "a"},
        {"^nested", "a,z"},
        {"a,b,-^nested", "b"},
        {"^inverse", "a"},
        {"^parens", "a"},
        {"b,-^parens,a", "b"},
        {"(b,a,-^parens),c,-^cut,d,e", "e"},
        {"(b,-^ab,c),-^bc,e", "e"},
        {"(b,-^parens,a,c),e", "b,c,e"},
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        write_file(files[i][0], files[i][1]);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(nodes(rows[i].expression), rows[i].want);
}

static void what_cannot_be_read_is_told(void **state)
{
    (void)state;
    static char large[NODEFILE_TEXT_MAX + 2];
    write_file("empty", "\n");
    write_file("only-minus", "-a\n");
    write_file("self", "a\n^self\n");
    write_file("open", "a\nb,(c\n");
    write_file("close", "a)\n");
    write_bytes("binary", "a\0b", 3);
    memset(large, 'a', sizeof(large));
    write_bytes("large", large, NODEFILE_TEXT_MAX + 1);
    memset(large, '\n', sizeof(large));
    write_bytes("lines", large, NODEFILE_TEXT_MAX);
    for (size_t i = 0; i < NODEFILE_TEXT_MAX; i += 8)
        memcpy(large + i, "abcdefg\n", 8);
    write_bytes("half", large, NODEFILE_TEXT_MAX);
    large[0] = '\0';
    char *at = large;
    for (int i = 0; i < NODEFILE_FILES_MAX; i++)
        at += sprintf(at, "^empty,-");
    write_file("many", "a,-^empty\n");
    assert_int_equal(mkdir("dir", 0700), 0);
    static const struct {
        const char *expression;
        int code;
        const char *why;
    } rows[] = {
        {"a,^nosuch", -ENOENT,
         "cannot read the file 'nosuch' of the noderange: No such file or directory"},
        {"-^nosuch", -ENOENT,
         "cannot read the file 'nosuch' of the noderange: No such file or directory"},
        {"^dir", -EISDIR, "cannot read the file 'dir' of the noderange: Is a directory"},
        {"^", -EINVAL, "^ without a file name in the noderange"},
        {"a,-^,b", -EINVAL, "^ without a file name in the noderange"},
        {"^empty", -ENODATA, "the file 'empty' of the noderange contains no nodes"},
        {"a@^empty", -ENODATA, "the file 'empty' of the noderange contains no nodes"},
        {"^lines", -ENODATA, "the file 'lines' of the noderange contains no nodes"},
        {"^only-minus", -ENODATA, "the file 'only-minus' of the noderange contains no nodes"},
        {"^self", -E2BIG,
         "the file 'self' of the noderange is inside 8 others: does it include itself?"},
        {"^open", -EINVAL, "open:2: unbalanced parentheses"},
        {"^close", -EINVAL, "close:1: unbalanced parentheses"},
        {"^binary", -EINVAL, "the file 'binary' of the noderange is not a text file"},
        {"^large", -E2BIG, "the file 'large' of the noderange holds more than 1048576 bytes"},
        {"^half,^half", -E2BIG, "the files of the noderange are longer than 1048576 bytes"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rm_err err = {""};
        char *text = NULL;
        assert_int_equal(nodefile_expand(rows[i].expression, &text, &err), rows[i].code);
        assert_string_equal(err.text, rows[i].why);
        assert_null(text);
    }
    at = large;
    for (int i = 0; i <= NODEFILE_FILES_MAX; i++)
        at += sprintf(at, "-^empty,");
    assert_string_equal(expand(large), "the noderange reads more than 1000 files");
    memset(large, '(', NODEFILE_LEVELS_MAX + 1);
    large[NODEFILE_LEVELS_MAX + 1] = '\0';
    assert_string_equal(expand(large), "parentheses inside more than 64 others");
    memset(large, 'a', sizeof(large));
    large[sizeof(large) - 1] = '\0';
    assert_string_equal(expand(large), "the noderange is longer than 1048576 bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_has_no_file_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(a_plain_file_becomes_a_list, setup, teardown),
        cmocka_unit_test_setup_teardown(files_mean_what_they_say, setup, teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_told, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
