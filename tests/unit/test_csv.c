/* test_csv.c - CSV: what xCAT's reader does with each input, where an error is, and that writing
 * and reading undo each other */
#include "store/tables/csv.h"
#include "wire/msg.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEADER "#node,host,comments\n"

/* What a text reads as: fields in [], undefined ones as -, records with their line in front, or the
 * error. */
static const char *read_all(const char *text, size_t length)
{
    static char out[8192];
    const struct csv_field *fields;
    struct rm_err err = {""};
    size_t n;
    unsigned line;
    out[0] = '\0';
    struct csv *csv = csv_new(text, length);
    FILE *file = fmemopen(out, sizeof(out), "w");
    assert_non_null(csv);
    assert_non_null(file);
    int r = csv_header(csv, &fields, &n, &err);
    bool has_header = r == 0;
    while (r == 0 && (r = csv_next(csv, &fields, &n, &line, &err)) == 1) {
        fprintf(file, "%u:", line);
        for (size_t i = 0; i < n; i++)
            fprintf(file, fields[i].set ? "[%s]" : "-%s", fields[i].text);
        fputc(' ', file);
        r = 0;
    }
    if (r < 0) {
        assert_int_equal(r, -EINVAL);
        fputs(err.text, file);
        if (has_header) /* an error stays */
            assert_int_equal(csv_next(csv, &fields, &n, &line, NULL), r);
    }
    fclose(file);
    csv_free(csv);
    size_t end = strlen(out);
    if (end > 0 && out[end - 1] == ' ')
        out[end - 1] = '\0';
    return out;
}

static void records_read_as_xcat_reads_them(void **state)
{
    (void)state;
    static const struct {
        const char *text, *read;
    } rows[] = {
        {"\"kvm1\",\"hyp01\",\n", "2:[kvm1][hyp01]-"},
        {"kvm1,hyp01\n", "2:[kvm1][hyp01]"},
        {"\"kvm1\",hyp 01,\"a \"\"b\"\", c\"\n", "2:[kvm1][hyp 01][a \"b\", c]"},
        {"\"kvm1\",\"hyp01\",\"two\nlines\"\n", "2:[kvm1][hyp01][two\nlines]"},
        {"kvm1 , hyp01 ,x \n", "2:[kvm1 ][ hyp01 ][x]"},
        {"\"kvm1\",\"\",\n", "2:[kvm1][]-"},
        {"#c\n", "2:[#c]"},
        {"\"kvms\",\"|\\D+(\\d+)|hyp($1)|\",\n", "2:[kvms][|\\D+(\\d+)|hyp($1)|]-"},
        {"", ""},
        {"a", "2:[a]"},
        {"a,", "2:[a]-"},
        {",b", "2:-[b]"},
        {",,", "2:---"},
        {"a,b,c\nd,e,f", "2:[a][b][c] 3:[d][e][f]"},
        {"a\n\n  \n\t\r\nb\n\n", "2:[a] 6:[b]"},
        {"a,b \r\nc\t,\"d\" \r\n", "2:[a][b] 3:[c\t][d]"},
        {"a,   \n", "2:[a]-"},
        {"a, ,b\n", "2:[a][ ][b]"},
        {"\"a\",\" b \"\n", "2:[a][ b ]"},
        {"\"a\r\nb \n\nc\"\nd\n", "2:[a\nb \n\nc] 6:[d]"},
        {"\"\r\n\",\"\r\n\r\n\"\r\n", "2:[\n][\n\n]"},
        {"\"\"\"\",\"\"\"\"\"\"\n", "2:[\"][\"\"]"},
        {"a,b,c,\n", "2:[a][b][c]"},
        {"a,b,c,  \n", "2:[a][b][c]"},
        {"\xc3\xa4,\"\xe2\x82\xac\t\xf0\x9f\x98\x80\"\n",
         "2:[\xc3\xa4][\xe2\x82\xac\t\xf0\x9f\x98\x80]"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s%s", HEADER, rows[i].text);
        assert_string_equal(read_all(text, strlen(text)), rows[i].read);
    }
}

static void errors_say_what_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } rows[] = {
        {HEADER "kvm1,hyp\"01,\n", "CSV missing opening \" for record with \" characters on line "
                                   "2, character 9: kvm1,hyp\"01,"},
        {HEADER "a\n\n\"kvm1\"x,hyp01,\n",
         "2:[a] CSV unescaped \" in record on line 4, character 7: \"kvm1\"x,hyp01,"},
        {HEADER "kvm1,hyp01,c,d\n", "Too many fields on line 2, character 14: kvm1,hyp01,c,d"},
        {HEADER "a,b,c,,\n", "Too many fields on line 2, character 7: a,b,c,,"},
        {HEADER "a,b,c,\"\"\n", "Too many fields on line 2, character 7: a,b,c,\"\""},
        {HEADER "ok,ok,ok\nx,\"open, and\nnever closed\nz,z,z\n",
         "2:[ok][ok][ok] CSV unmatched \" in record on line 3, character 3: x,\"open, and"},
        {HEADER "a,\"two\nlines\"x\n",
         "CSV unescaped \" in record on line 3, character 7: lines\"x"},
        {HEADER "\xc3\xa4\xc3\xb6,\"\xe2\x82\xac\"x\n", /* characters, not bytes */
         "CSV unescaped \" in record on line 2, character 7: \xc3\xa4\xc3\xb6,\"\xe2\x82\xac\"x"},
        {HEADER "\"", "CSV unmatched \" in record on line 2, character 1: \""},
        {HEADER "\"\"\"", "CSV unmatched \" in record on line 2, character 1: \"\"\""},
        {"node,host\nx,y\n",
         "Data missing header line starting with # on line 1, character 1: node,host"},
        {"\"#node\",\"host\"\n",
         "Data missing header line starting with # on line 1, character 1: \"#node\",\"host\""},
        {"", "Data missing header line starting with # on line 1, character 1:"},
        {"\n\n", "Data missing header line starting with # on line 3, character 1:"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_string_equal(read_all(rows[i].text, strlen(rows[i].text)), rows[i].error);
    assert_string_equal(read_all(HEADER "a,b\0c\n", strlen(HEADER) + 6),
                        "CSV value with a control character on line 2, character 4: a,b");
    assert_string_equal(read_all("#a\0\n", 4),
                        "CSV header with a NUL byte on line 1, character 1: #a");
}

static void a_value_that_no_message_carries_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool is_ascii;
    } rows[] = {
        {"a\rb", true},
        {"\x1b[0m", true},
        {"\x7f", true},
        {"\xff", false},
        {"\x80", false},
        {"\xc3", false},
        {"\xc3x", false},
        {"\xc0\x80", false},
        {"\xc1\xbf", false},
        {"\xc2\x9b", false},
        {"\xe0\x80\xaf", false},
        {"\xe2\x82", false},
        {"\xed\xa0\x80", false},
        {"\xf0\x80\x80\x80", false},
        {"\xf4\x90\x80\x80", false},
        {"\xf5\x80\x80\x80", false},
        {"\xf8\x88\x80\x80\x80", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), HEADER "x,y,\"ok%s\"\n", rows[i].value);
        const char *error = read_all(text, strlen(text));
        assert_non_null(strstr(error, rows[i].is_ascii
                                          ? "CSV value with a control character on line 2"
                                          : "CSV value that is not UTF-8 on line 2"));
    }
}

static void a_header_names_columns_and_their_places(void **state)
{
    (void)state;
    static const char text[] = "\xef\xbb\xbf\n#\"node\",  host,,\"com\"ments \t\r\nx\n";
    const struct csv_field *fields;
    size_t n;
    unsigned line;
    struct rm_err err;
    struct csv *csv = csv_new(text, strlen(text));
    assert_int_equal(csv_header(csv, &fields, &n, &err), 0);
    assert_int_equal(n, 4);
    assert_string_equal(fields[0].text, "node");
    assert_string_equal(fields[1].text, "  host");
    assert_string_equal(fields[2].text, "");
    assert_false(fields[2].set);
    assert_string_equal(fields[3].text, "comments");
    assert_int_equal(fields[0].column, 2);
    assert_int_equal(fields[1].column, 9);
    assert_int_equal(fields[3].column, 17);
    assert_int_equal(fields[3].line, 2);
    assert_int_equal(csv_next(csv, &fields, &n, &line, &err), 1);
    assert_int_equal(line, 3);
    assert_string_equal(fields[0].text, "x");
    assert_int_equal(csv_next(csv, &fields, &n, &line, &err), 0);
    csv_free(csv);
}

static void bounds_are_kept(void **state)
{
    (void)state;
    size_t length = CSV_FIELD_MAX + 64;
    char *text = malloc(length);
    const struct csv_field *fields;
    size_t n, at;
    unsigned line;
    struct rm_err err = {""};
    for (int over = 0; over <= 1; over++) {
        at = (size_t)sprintf(text, "#a\n\"");
        memset(text + at, 'x', CSV_FIELD_MAX + (size_t)over);
        at += CSV_FIELD_MAX + (size_t)over;
        at += (size_t)sprintf(text + at, "\"\n");
        struct csv *csv = csv_new(text, at);
        assert_int_equal(csv_header(csv, &fields, &n, &err), 0);
        assert_int_equal(csv_next(csv, &fields, &n, &line, &err), over ? -EINVAL : 1);
        csv_free(csv);
    }
    assert_non_null(strstr(err.text, "more than 1 MiB"));
    assert_non_null(strstr(err.text, "..."));
    for (int over = 0; over <= 1; over++) {
        at = 1;
        text[0] = '#';
        memset(text + at, ',', CSV_FIELDS_MAX);
        struct csv *csv = csv_new(text, (size_t)CSV_FIELDS_MAX + (size_t)over);
        assert_int_equal(csv_header(csv, &fields, &n, &err), over ? -EINVAL : 0);
        csv_free(csv);
    }
    free(text);
}

/* Random values of the worst bytes: what is written reads back, and is written the same again. */
static void writing_and_reading_undo_each_other(void **state)
{
    (void)state;
    static const char bytes[] = "\"\",\n,#|x \t \n'";
    enum { COLUMNS = 5, ROUNDS = 3000, LENGTH = 12 };
    unsigned seed = 11;
    for (int round = 0; round < ROUNDS; round++) {
        char values[COLUMNS][LENGTH + 1], *text;
        bool set[COLUMNS];
        size_t length, n;
        FILE *file = open_memstream(&text, &length);
        fputs("#a,b,c,d,e\n", file);
        for (int i = 0; i < COLUMNS; i++) {
            size_t size = (size_t)rand_r(&seed) % (LENGTH + 1);
            for (size_t k = 0; k < size; k++)
                values[i][k] = bytes[(size_t)rand_r(&seed) % (sizeof(bytes) - 1)];
            values[i][size] = '\0';
            set[i] = rand_r(&seed) % 3 != 0;
            csv_write(file, set[i] ? values[i] : NULL, i == 0);
        }
        fputs("\n", file);
        fclose(file);

        const struct csv_field *fields;
        struct rm_err err = {""};
        unsigned line;
        struct csv *csv = csv_new(text, length);
        assert_int_equal(csv_header(csv, &fields, &n, &err), 0);
        int r = csv_next(csv, &fields, &n, &line, &err);
        if (r != 1)
            print_error("%s\n", err.text);
        assert_int_equal(r, 1);
        assert_int_equal(n, COLUMNS);
        for (int i = 0; i < COLUMNS; i++) {
            assert_int_equal(fields[i].set, set[i]);
            assert_string_equal(fields[i].text, set[i] ? values[i] : "");
        }
        assert_int_equal(csv_next(csv, &fields, &n, &line, &err), 0);
        csv_free(csv);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_read_as_xcat_reads_them),
        cmocka_unit_test(errors_say_what_and_where),
        cmocka_unit_test(a_value_that_no_message_carries_is_refused),
        cmocka_unit_test(a_header_names_columns_and_their_places),
        cmocka_unit_test(bounds_are_kept),
        cmocka_unit_test(writing_and_reading_undo_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
