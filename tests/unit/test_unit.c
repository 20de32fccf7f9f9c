/* test_unit.c - sizes, rates and durations: what is read, what is refused, what is written */
#include "conf/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

typedef int (*read_unit_fn)(const char *text, uint64_t *ret_value, struct rm_err *err);

struct accepted {
    const char *text;
    uint64_t value;
};

static void assert_accepted(read_unit_fn read, const struct accepted *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rm_err err = {0};
        uint64_t value = 0;
        int r = read(rows[i].text, &value, &err);
        if (r != 0 || value != rows[i].value)
            fail_msg("'%s': %d, %" PRIu64 ", want %" PRIu64 " (%s)", rows[i].text, r, value,
                     rows[i].value, err.text);
    }
}

struct refused {
    const char *text;
    int code;
    const char *why; /* stands in the error text */
};

static void assert_refused(read_unit_fn read, const struct refused *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct rm_err err = {0};
        uint64_t value = 4711;
        int r = read(rows[i].text, &value, &err);
        if (r != rows[i].code || value != 4711 || !strstr(err.text, rows[i].why))
            fail_msg("'%s': %d, %" PRIu64 ", '%s'", rows[i].text, r, value, err.text);
        assert_int_equal(read(rows[i].text, &value, NULL), rows[i].code);
    }
}

#define ACCEPTED(read, ...)                                                                        \
    assert_accepted(read, (const struct accepted[])__VA_ARGS__,                                    \
                    sizeof((const struct accepted[])__VA_ARGS__) / sizeof(struct accepted))
#define REFUSED(read, ...)                                                                         \
    assert_refused(read, (const struct refused[])__VA_ARGS__,                                      \
                   sizeof((const struct refused[])__VA_ARGS__) / sizeof(struct refused))

static void size_knows_decimal_and_binary_units(void **state)
{
    (void)state;
    ACCEPTED(unit_size, {{"1 B", 1},
                         {"2 kB", 2000},
                         {"3 MB", 3000000},
                         {"4 GB", 4000000000},
                         {"5 TB", 5000000000000},
                         {"2 KiB", 2048},
                         {"3 MiB", 3145728},
                         {"4 GiB", 4294967296},
                         {"5 TiB", 5497558138880}});
}

static void size_reads_whole_numbers_exactly_up_to_the_last_byte(void **state)
{
    (void)state;
    /* 2^53 + 1 and above are what a double would round */
    ACCEPTED(unit_size, {{"9007199254740993 B", 9007199254740993},
                         {"18446744073709551615 B", UINT64_MAX},
                         {"16777215 TiB", 18446742974197923840u},
                         {"18446744073709551.615 kB", UINT64_MAX}});
}

static void size_reads_fractions_by_their_digits(void **state)
{
    (void)state;
    ACCEPTED(unit_size, {{"1.5 GiB", 1610612736},
                         {"0.1 KiB", 102},
                         {"0.6 B", 1},
                         {"1.25 kB", 1250},
                         {"1.000000000000000001 kB", 1000}});
}

static void blanks_are_free(void **state)
{
    (void)state;
    ACCEPTED(unit_size,
             {{"64MiB", 67108864}, {"  64  MiB  ", 67108864}, {"\t64\tMiB\t", 67108864}});
    ACCEPTED(unit_duration, {{"1h30min", 5400000000}, {" 1 h  30 min ", 5400000000}});
}

static void zero_needs_no_unit(void **state)
{
    (void)state;
    ACCEPTED(unit_size, {{"0", 0}, {"0 MiB", 0}, {"0.0", 0}, {" 0 ", 0}});
    ACCEPTED(unit_rate, {{"0", 0}, {"0 Mbit/s", 0}});
    ACCEPTED(unit_duration, {{"0", 0}, {"0 s", 0}});
}

static void a_number_alone_is_refused_with_the_units_that_may_follow(void **state)
{
    (void)state;
    REFUSED(unit_size, {{"30", -EINVAL, "'30' has no unit: use B, kB, MB, GB, TB, KiB"}});
    REFUSED(unit_rate, {{"30", -EINVAL, "'30' has no unit: use B/s, kB/s"}});
    REFUSED(unit_duration, {{"30", -EINVAL, "'30' has no unit: use us, ms, s, min, h or d"},
                            {"1 h 30", -EINVAL, "has no unit"}});
}

static void size_refuses_what_is_not_a_size(void **state)
{
    (void)state;
    REFUSED(unit_size, {{"", -EINVAL, "is not a size"},
                        {" ", -EINVAL, "is not a size"},
                        {"GiB", -EINVAL, "is not a size"},
                        {"+1 GiB", -EINVAL, "is not a size"},
                        {"-1 GiB", -EINVAL, "not negative"},
                        {"1 Gib", -EINVAL, "'Gib' is not a unit"},
                        {"1 K", -EINVAL, "'K' is not a unit"},
                        {"1 gib", -EINVAL, "is not a unit"},
                        {"1 GiB/s", -EINVAL, "is not a unit"},
                        {"1 GiB x", -EINVAL, "'x' is left over"},
                        {"1 GiB 1 MiB", -EINVAL, "is left over"},
                        {"1,5 GiB", -EINVAL, "is not a unit"},
                        {"1. GiB", -EINVAL, "digit must follow"},
                        {".5 GiB", -EINVAL, "is not a size"},
                        {"1.5.5 GiB", -EINVAL, "is not a unit"},
                        {"0x10 B", -EINVAL, "is not a unit"},
                        {"1e3 B", -EINVAL, "is not a unit"},
                        {"1.0000000000000000001 GiB", -EINVAL, "more than 18 digits"}});
}

static void size_refuses_what_does_not_fit_into_64_bits(void **state)
{
    (void)state;
    REFUSED(unit_size, {{"18446744073709551616 B", -ERANGE, "too large"},
                        {"99999999999999999999999999 B", -ERANGE, "too large"},
                        {"16777216 TiB", -ERANGE, "too large"},
                        {"18446744073709551615 TiB", -ERANGE, "too large"},
                        {"18446744073709551615.5 B", -ERANGE, "too large"},
                        {"18446744073709551615.999999999999999999 TiB", -ERANGE, "too large"}});
}

static void what_would_be_rounded_to_zero_is_refused_since_zero_means_no_limit(void **state)
{
    (void)state;
    REFUSED(unit_size,
            {{"0.4 B", -ERANGE, "too small"}, {"0.0000000000001 TiB", -ERANGE, "too small"}});
    REFUSED(unit_rate, {{"3 bit/s", -ERANGE, "too small"}, {"0.1 B/s", -ERANGE, "too small"}});
    REFUSED(unit_duration, {{"0.1 us", -ERANGE, "too small"}});
}

static void rate_counts_bytes_or_bits(void **state)
{
    (void)state;
    ACCEPTED(unit_rate, {{"1250 MB/s", 1250000000},
                         {"10 Gbit/s", 1250000000},
                         {"1 Gbit/s", 125000000},
                         {"100 Mbit/s", 12500000},
                         {"8 kbit/s", 1000},
                         {"8 bit/s", 1},
                         {"12 bit/s", 2},
                         {"1 TiB/s", 1099511627776},
                         {"64 MiB/s", 67108864},
                         {"2.5 Gbit/s", 312500000},
                         {"147573952589.676412920 Gbit/s", UINT64_MAX}});
}

static void rate_refuses_sizes_and_unknown_units(void **state)
{
    (void)state;
    REFUSED(unit_rate, {{"64 MiB", -EINVAL, "is not a unit of a rate"},
                        {"64 mbit/s", -EINVAL, "is not a unit"},
                        {"64 Mb/s", -EINVAL, "is not a unit"},
                        {"64 MiB /s", -EINVAL, "is not a unit"},
                        {"64 MB/min", -EINVAL, "is not a unit"},
                        {"147573952589.676412929 Gbit/s", -ERANGE, "too large"}});
}

static void duration_knows_its_units_and_joins_them(void **state)
{
    (void)state;
    ACCEPTED(unit_duration, {{"1 us", 1},
                             {"1 ms", 1000},
                             {"2 s", 2000000},
                             {"10 min", 600000000},
                             {"1 h", 3600000000},
                             {"1 d", 86400000000},
                             {"1 h 30 min", 5400000000},
                             {"2 h 05 min", 7500000000},
                             {"1 d 2 h 3 min 4 s 5 ms 6 us", 93784005006},
                             {"0.5 s", 500000},
                             {"1.5 h", 5400000000},
                             {"0 h 30 min", 1800000000},
                             {"18446744073709551614 us", UINT64_MAX - 1}});
}

static void duration_refuses_units_in_a_wrong_order_or_twice(void **state)
{
    (void)state;
    REFUSED(unit_duration, {{"30 min 1 h", -EINVAL, "larger units stand before smaller ones"},
                            {"1 s 1 s", -EINVAL, "each once"},
                            {"1 h 0", -EINVAL, "larger units"},
                            {"0 1 h", -EINVAL, "is not a unit"},
                            {"1 h, 30 min", -EINVAL, "is not a unit"},
                            {"1 h -30 min", -EINVAL, "not negative"},
                            {"1 hour", -EINVAL, "'hour' is not a unit"},
                            {"1 m", -EINVAL, "'m' is not a unit of a duration: use us, ms, s, min"},
                            {"5 sec", -EINVAL, "is not a unit"}});
}

static void duration_is_never_the_value_that_means_never(void **state)
{
    (void)state;
    REFUSED(unit_duration, {{"18446744073709551615 us", -ERANGE, "too large"},
                            {"213503982 d 8 h 1 min 49 s 551 ms 615 us", -ERANGE, "too large"},
                            {"213503982 d 9 h", -ERANGE, "too large"},
                            {"999999999 d", -ERANGE, "too large"}});
}

static void size_text_shows_three_digits_that_matter(void **state)
{
    (void)state;
    static const struct accepted rows[] = {{"0 B", 0},
                                           {"1023 B", 1023},
                                           {"1.00 KiB", 1024},
                                           {"1.50 GiB", 1610612736},
                                           {"16.0 GiB", 17179869184},
                                           {"117 MiB", 122683392},
                                           {"9.99 KiB", 10230},
                                           {"10.0 KiB", 10239},
                                           {"100 KiB", 102399},
                                           {"1023 KiB", 1047552},
                                           {"1.00 MiB", 1048575},
                                           {"1.00 GiB", 1073741823},
                                           {"16777216 TiB", UINT64_MAX}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char buffer[UNIT_TEXT_MAX];
        assert_string_equal(unit_size_text(rows[i].value, buffer), rows[i].text);
    }
}

static void rate_text_is_a_size_a_second(void **state)
{
    (void)state;
    char buffer[UNIT_TEXT_MAX];
    assert_string_equal(unit_rate_text(122683392, buffer), "117 MiB/s");
    assert_string_equal(unit_rate_text(0, buffer), "0 B/s");
    assert_string_equal(unit_rate_text(UINT64_MAX, buffer), "16777216 TiB/s");
}

static void duration_text_shows_what_a_person_wants_to_know(void **state)
{
    (void)state;
    static const struct accepted rows[] = {{"0 s", 0},
                                           {"1 us", 1},
                                           {"999 us", 999},
                                           {"1 ms", 1000},
                                           {"1.5 ms", 1500},
                                           {"9.9 ms", 9949},
                                           {"10 ms", 9950},
                                           {"230 ms", 230400},
                                           {"999 ms", 999499},
                                           {"1 s", 999500},
                                           {"4.2 s", 4200000},
                                           {"10 s", 10000000},
                                           {"59.9 s", 59949999},
                                           {"1 min", 59950000},
                                           {"3 min 05 s", 185000000},
                                           {"59 min 59 s", 3599499999},
                                           {"1 h", 3599500000},
                                           {"2 h 05 min", 7500000000},
                                           {"23 h 59 min", 86369999999},
                                           {"1 d", 86370000000},
                                           {"3 d 04 h", 273600000000},
                                           {"213503982 d 08 h", UINT64_MAX - 1},
                                           {"never", USEC_NEVER}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char buffer[UNIT_TEXT_MAX];
        assert_string_equal(unit_duration_text(rows[i].value, buffer), rows[i].text);
    }
}

static uint64_t apart(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static void what_is_written_can_be_read_again_and_is_near(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252u; /* xorshift: the same values in every run */
    for (int i = 0; i < 20000; i++) {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        uint64_t value = (seed >> (i % 60)) / 2, again = 0;
        char text[UNIT_TEXT_MAX];
        assert_int_equal(unit_size(unit_size_text(value, text), &again, NULL), 0);
        assert_true(apart(value, again) <= value / 190);
        assert_int_equal(unit_rate(unit_rate_text(value, text), &again, NULL), 0);
        assert_true(apart(value, again) <= value / 190);
        assert_int_equal(unit_duration(unit_duration_text(value, text), &again, NULL), 0);
        assert_true(apart(value, again) <= value / 18);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(size_knows_decimal_and_binary_units),
        cmocka_unit_test(size_reads_whole_numbers_exactly_up_to_the_last_byte),
        cmocka_unit_test(size_reads_fractions_by_their_digits),
        cmocka_unit_test(blanks_are_free),
        cmocka_unit_test(zero_needs_no_unit),
        cmocka_unit_test(a_number_alone_is_refused_with_the_units_that_may_follow),
        cmocka_unit_test(size_refuses_what_is_not_a_size),
        cmocka_unit_test(size_refuses_what_does_not_fit_into_64_bits),
        cmocka_unit_test(what_would_be_rounded_to_zero_is_refused_since_zero_means_no_limit),
        cmocka_unit_test(rate_counts_bytes_or_bits),
        cmocka_unit_test(rate_refuses_sizes_and_unknown_units),
        cmocka_unit_test(duration_knows_its_units_and_joins_them),
        cmocka_unit_test(duration_refuses_units_in_a_wrong_order_or_twice),
        cmocka_unit_test(duration_is_never_the_value_that_means_never),
        cmocka_unit_test(size_text_shows_three_digits_that_matter),
        cmocka_unit_test(rate_text_is_a_size_a_second),
        cmocka_unit_test(duration_text_shows_what_a_person_wants_to_know),
        cmocka_unit_test(what_is_written_can_be_read_again_and_is_near),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
