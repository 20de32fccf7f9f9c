/* test_text.c - characters, control characters, one line, columns; arrays that grow; JSON */
#include "conf/array.h"
#include "conf/json.h"
#include "conf/text.h"

#include <errno.h>
#include <locale.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- characters */

static void a_character_is_utf8_in_its_shortest_form(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t utf8, control, character;
    } rows[] = {
        {"", 0, 0, 0},
        {"a", 1, 0, 1},
        {" ", 1, 0, 1},
        {"~", 1, 0, 1},
        {"\n", 1, 1, 1},
        {"\t", 1, 1, 1},
        {"\r", 1, 1, 0},
        {"\x1b[0m", 1, 1, 0},
        {"\x7f", 1, 1, 0},
        {"\x80", 0, 0, 0},
        {"\xc0\x80", 0, 0, 0}, /* longer than need be */
        {"\xc1\xbf", 0, 0, 0},
        {"\xc2", 0, 0, 0},
        {"\xc2\x7f", 0, 0, 0},
        {"\xc2\x80", 2, 2, 0}, /* the first and the last control character of two bytes */
        {"\xc2\x9f", 2, 2, 0},
        {"\xc2\xa0", 2, 0, 2},
        {"\xc3\xa4x", 2, 0, 2},
        {"\xdf\xbf", 2, 0, 2},
        {"\xe0\x9f\xbf", 0, 0, 0},
        {"\xe0\xa0\x80", 3, 0, 3},
        {"\xe2\x82", 0, 0, 0},
        {"\xe2\x82\xac", 3, 0, 3},
        {"\xed\x9f\xbf", 3, 0, 3},
        {"\xed\xa0\x80", 0, 0, 0}, /* a surrogate */
        {"\xef\xbf\xbd", 3, 0, 3},
        {"\xf0\x8f\xbf\xbf", 0, 0, 0},
        {"\xf0\x90\x80\x80", 4, 0, 4},
        {"\xf4\x8f\xbf\xbf", 4, 0, 4},
        {"\xf4\x90\x80\x80", 0, 0, 0}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 0, 0, 0},
        {"\xf8\x88\x80\x80\x80", 0, 0, 0},
        {"\xff", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = strdup(rows[i].text); /* so that a sanitizer sees a byte read behind its end */
        assert_int_equal(text_utf8(text), rows[i].utf8);
        assert_int_equal(text_control(text), rows[i].control);
        assert_int_equal(text_character(text), rows[i].character);
        assert_int_equal(text_is_clean(text),
                         rows[i].character == strlen(text) || strcmp(text, "\xc3\xa4x") == 0);
        free(text);
    }
}

static void a_clean_text_stays_and_another_is_made_clean(void **state)
{
    (void)state;
    static const char clean[] = "a\tb\n\xc2\xa0\xef\xbf\xbd\xf4\x8f\xbf\xbf";
    char text[sizeof(clean)], wrong[] = "a\r\xff\xc3\xa4\xc2\x9bz\xe2\x82";
    memcpy(text, clean, sizeof(clean));
    assert_true(text_is_clean(text));
    text_clean(text);
    assert_string_equal(text, clean);
    assert_false(text_is_clean(wrong));
    text_clean(wrong);
    assert_string_equal(wrong, "a??\xc3\xa4??z??");
    assert_true(text_is_clean(wrong));
}

static void one_line_has_no_control_characters_and_no_end(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"", ""},
        {"plain", "plain"},
        {" a b ", " a b"},
        {"\n\r \x7f", ""},
        {"a\nb\tc\x1b[31m\r\n", "a b c [31m"},
        {"a\xc2\x9b"
         "1m\xc2\x85",
         "a  1m"},
        {"Stra\xc3\x9f"
         "e \xc2\xa7",
         "Stra\xc3\x9f"
         "e \xc2\xa7"},
        {"\xff\xc2", "\xff\xc2"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = strdup(rows[i].text);
        assert_ptr_equal(text_one_line(text), text);
        assert_string_equal(text, rows[i].line);
        free(text);
    }
}

static void a_text_that_does_not_fit_is_cut_at_a_whole_character(void **state)
{
    (void)state;
    char text[10];
    assert_ptr_equal(text_format(text, sizeof(text), "%s", "123456789"), text);
    assert_string_equal(text, "123456789");
    assert_string_equal(text_format(text, sizeof(text), "%s", "1234567890"), "123456...");
    assert_string_equal(
        text_format(text, sizeof(text), "%d%s", 1, "\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac"),
        "1\xe2\x82\xac...");
    assert_string_equal(text_format(text, 4, "%s", "\xe2\x82\xac\xe2\x82\xac"), "...");
}

static void columns_are_those_of_a_terminal(void **state)
{
    (void)state;
    int columns;
    assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
    assert_int_equal(text_width("", 4), 0);
    assert_int_equal(text_width("kvm1", 4), 4);
    assert_int_equal(text_width("Stra\xc3\x9f"
                                "e \xe2\x82\xac",
                                4),
                     8);
    assert_int_equal(text_width("\xe6\xbc\xa2\xe5\xad\x97", 4), 4); /* two wide ones */
    assert_int_equal(text_width("a\xcc\x81", 4), 1);                /* an accent takes none */
    assert_int_equal(text_width("a\xff\xc2", 4), 9);
    assert_int_equal(text_width("\x1b", 1), 1);
    assert_int_equal(text_width("\xc2\x9b", 1), 2);
    assert_int_equal(text_next("\xe6\xbc\xa2x", &columns), 3);
    assert_int_equal(columns, 2);
    assert_int_equal(text_next("\xe6\xbc", &columns), 1);
    assert_int_equal(columns, -1);
    assert_int_equal(text_next("", &columns), 0);
    assert_non_null(setlocale(LC_CTYPE, "C")); /* shows no character of several bytes */
    assert_int_equal(text_next("\xc3\xa4", &columns), 1);
    assert_int_equal(columns, -1);
}

/* ---- arrays */

static void an_array_grows_and_keeps_what_it_holds(void **state)
{
    (void)state;
    int *list = NULL;
    size_t n = 0, room = 0;
    for (int i = 0; i < 1000; i++) {
        int *added = i % 2 ? ARRAY_ADD(list, n, room) : ARRAY_MUST_ADD(list, n, room);
        assert_non_null(added);
        assert_ptr_equal(added, &list[i]);
        *added = i;
    }
    assert_int_equal(n, 1000);
    assert_true(room >= n);
    for (int i = 0; i < 1000; i++)
        assert_int_equal(list[i], i);
    free(list);
}

static void an_array_without_memory_stays_as_it_is(void **state)
{
    (void)state;
    char *text = NULL;
    size_t room = 0;
    assert_int_equal(array_grow(&text, 100, &room, 1), 0);
    assert_true(room > 100);
    char *before = text;
    size_t room_before = room;
    assert_int_equal(array_grow(&text, SIZE_MAX, &room, 1), -ENOMEM);
    assert_int_equal(array_grow(&text, SIZE_MAX / 2, &room, 4), -ENOMEM);
    assert_ptr_equal(text, before);
    assert_int_equal(room, room_before);
    free(text);
}

static void a_program_that_must_have_memory_ends_without(void **state)
{
    (void)state;
    char here;
    assert_ptr_equal(must(&here), &here);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        freopen("/dev/null", "w", stderr);
        signal(SIGABRT, SIG_DFL);
        must(NULL);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* ---- JSON */

static void json_is_json_whatever_the_text(void **state)
{
    (void)state;
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    struct json json = {.file = file};
    json_open(&json, NULL, '{');
    json_text(&json, "a", "x\"\\\n\001\xff\xc3\xa4\xed\xa0\x80\x7f\xc2\x9b");
    json_open(&json, "b", '[');
    json_number(&json, NULL, UINT64_MAX);
    json_bool(&json, NULL, true);
    json_text(&json, NULL, "");
    json_close(&json, ']');
    json_seconds(&json, "c", 1500001);
    json_time(&json, "d", 0);
    json_close(&json, '}');
    fclose(file);
    assert_string_equal(
        text, "{\"a\": \"x\\\"\\\\\\n\\u0001\\ufffd\xc3\xa4\\ufffd\\ufffd\\ufffd\\u007f\\u009b\", "
              "\"b\": [18446744073709551615, true, null], \"c\": 1.500001, \"d\": null}");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_character_is_utf8_in_its_shortest_form),
        cmocka_unit_test(a_clean_text_stays_and_another_is_made_clean),
        cmocka_unit_test(one_line_has_no_control_characters_and_no_end),
        cmocka_unit_test(a_text_that_does_not_fit_is_cut_at_a_whole_character),
        cmocka_unit_test(columns_are_those_of_a_terminal),
        cmocka_unit_test(an_array_grows_and_keeps_what_it_holds),
        cmocka_unit_test(an_array_without_memory_stays_as_it_is),
        cmocka_unit_test(a_program_that_must_have_memory_ends_without),
        cmocka_unit_test(json_is_json_whatever_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
