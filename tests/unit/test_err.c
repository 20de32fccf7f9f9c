/* test_err.c - error texts: one line, never cut in silence, arguments from the text itself */
#include "conf/err.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void rm_fail_writes_the_text_and_returns_the_code(void **state)
{
    (void)state;
    struct rm_err err = {0};
    assert_int_equal(rm_fail(&err, -EINVAL, "%s:%u: no", "a.conf", 7u), -EINVAL);
    assert_string_equal(err.text, "a.conf:7: no");
    assert_int_equal(rm_fail(NULL, -ENOENT, "nobody reads %s", "this"), -ENOENT);
}

static void a_code_that_is_not_negative_is_a_failure_all_the_same(void **state)
{
    (void)state;
    struct rm_err err = {0};
    assert_int_equal(rm_fail(&err, 0, "no"), -EIO);
    assert_int_equal(rm_fail(&err, EINVAL, "no"), -EIO);
    assert_int_equal(rm_prefix(&err, 0, "x"), -EIO);
    assert_string_equal(err.text, "x: no");
}

/* So `return rm_fail(err, -errno, "...")` is right, whatever writing the text does. */
static void errno_stays_as_it_is(void **state)
{
    (void)state;
    struct rm_err err = {0};
    errno = ENOSPC;
    assert_int_equal(rm_fail(&err, -errno, "%ls", L"\x7fffffff"), -ENOSPC); /* sets EILSEQ */
    assert_string_equal(err.text, "");
    assert_int_equal(rm_prefix(&err, -errno, "%ls", L"\x7fffffff"), -ENOSPC);
    assert_int_equal(errno, ENOSPC);
}

static void rm_prefix_puts_a_text_before_the_one_that_is_there(void **state)
{
    (void)state;
    struct rm_err err = {0};
    rm_fail(&err, -EINVAL, "no");
    assert_int_equal(rm_prefix(&err, -EPERM, "key %d", 3), -EPERM);
    assert_string_equal(err.text, "key 3: no");
    assert_int_equal(rm_prefix(NULL, -EPERM, "x"), -EPERM);
}

static void arguments_may_point_into_the_text_that_is_replaced(void **state)
{
    (void)state;
    struct rm_err err = {0};
    rm_fail(&err, -EINVAL, "first");
    rm_fail(&err, -EINVAL, "%s, then %s", err.text, err.text + 1);
    assert_string_equal(err.text, "first, then irst");
    rm_prefix(&err, -EINVAL, "%s", err.text);
    assert_string_equal(err.text, "first, then irst: first, then irst");
}

static void a_text_is_one_line(void **state)
{
    (void)state;
    struct rm_err err = {0};
    rm_fail(&err, -EIO,
            "internal error:\nqemu said\t\x1b[31mno\xc2\x9b"
            "1m\x7f\r\n \n");
    assert_string_equal(err.text, "internal error: qemu said  [31mno  1m");
    rm_fail(&err, -EIO,
            "Stra\xc3\x9f"
            "e \xc2\xa7 5");
    assert_string_equal(err.text, "Stra\xc3\x9f"
                                  "e \xc2\xa7 5");
}

static void a_text_that_does_not_fit_says_so_and_keeps_whole_characters(void **state)
{
    (void)state;
    struct rm_err err = {0};
    char longer[3 * RM_ERR_MAX];
    memset(longer, 'a', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    rm_fail(&err, -EIO, "%s", longer);
    assert_int_equal(strlen(err.text), RM_ERR_MAX - 1);
    assert_string_equal(err.text + RM_ERR_MAX - 5, "a...");

    for (size_t shift = 0; shift < 3; shift++) {
        memset(longer, 'a', shift);
        for (size_t i = shift; i + 3 < sizeof(longer); i += 3)
            memcpy(longer + i, "\xe2\x82\xac", 4); /* a euro sign */
        rm_fail(&err, -EIO, "%s", longer);
        size_t length = strlen(err.text);
        assert_true(length < RM_ERR_MAX && length > RM_ERR_MAX - 5);
        assert_string_equal(err.text + length - 6, "\xe2\x82\xac...");
    }
    rm_prefix(&err, -EIO, "%s", longer);
    assert_true(strlen(err.text) < RM_ERR_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rm_fail_writes_the_text_and_returns_the_code),
        cmocka_unit_test(a_code_that_is_not_negative_is_a_failure_all_the_same),
        cmocka_unit_test(errno_stays_as_it_is),
        cmocka_unit_test(rm_prefix_puts_a_text_before_the_one_that_is_there),
        cmocka_unit_test(arguments_may_point_into_the_text_that_is_replaced),
        cmocka_unit_test(a_text_is_one_line),
        cmocka_unit_test(a_text_that_does_not_fit_says_so_and_keeps_whole_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
