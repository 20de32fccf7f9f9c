/* test_journal.c - tests of the journal: positions, kinds, and what falls out of it */
#include "broker/journal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint64_t append(struct journal *journal, enum change_kind kind, uint64_t job)
{
    return journal_append(journal, &(struct journal_line){.kind = kind, .job = job});
}

static void positions_go_up_by_one_and_are_never_0(void **state)
{
    (void)state;
    struct journal *journal = journal_new(8);
    uint64_t begin = journal_end(journal);
    assert_true(begin > 0);
    assert_int_equal(append(journal, CHANGE_JOB_MOVED, 7), begin + 1);
    assert_int_equal(append(journal, CHANGE_JOB_ENDED, 8), begin + 2);
    assert_int_equal(journal_end(journal), begin + 2);
    assert_int_equal(journal_at(journal, begin + 1)->job, 7);
    assert_int_equal(journal_at(journal, begin + 2)->kind, CHANGE_JOB_ENDED);
    journal_free(journal);
}

static void a_reader_at_the_end_has_nothing_to_catch_up_with(void **state)
{
    (void)state;
    struct journal *journal = journal_new(4);
    assert_true(journal_holds(journal, journal_end(journal)));
    append(journal, CHANGE_JOB_MOVED, 1);
    assert_true(journal_holds(journal, journal_end(journal)));
    journal_free(journal);
}

static void who_has_read_nothing_or_what_was_never_written_is_not_held(void **state)
{
    (void)state;
    struct journal *journal = journal_new(4);
    assert_false(journal_holds(journal, 0));
    assert_false(journal_holds(journal, journal_end(journal) + 1));
    journal_free(journal);
}

static void exactly_the_newest_lines_are_held(void **state)
{
    enum { KEPT = 4 };
    (void)state;
    struct journal *journal = journal_new(KEPT);
    uint64_t begin = journal_end(journal);
    for (uint64_t i = 1; i <= KEPT; i++)
        append(journal, CHANGE_JOB_MOVED, i);
    assert_true(journal_holds(journal, begin));
    append(journal, CHANGE_JOB_MOVED, KEPT + 1);
    assert_false(journal_holds(journal, begin));
    assert_true(journal_holds(journal, begin + 1));
    for (uint64_t i = 2; i <= KEPT + 1; i++)
        assert_int_equal(journal_at(journal, begin + i)->job, i);
    journal_free(journal);
}

static void the_newest_of_some_kinds_is_found_also_when_its_line_is_not_held(void **state)
{
    (void)state;
    struct journal *journal = journal_new(2);
    assert_int_equal(journal_newest(journal, CHANGES_OF_JOBS), 0);
    uint64_t moved = append(journal, CHANGE_JOB_MOVED, 1);
    for (unsigned i = 0; i < 5; i++)
        append(journal, CHANGE_HOST_SHOWN, 0);
    assert_int_equal(journal_newest(journal, CHANGE_BIT(CHANGE_JOB_MOVED)), moved);
    assert_int_equal(journal_newest(journal, CHANGES_OF_JOBS), moved);
    assert_int_equal(journal_newest(journal, CHANGES_THAT_MAY_START), journal_end(journal));
    assert_int_equal(journal_newest(journal, CHANGE_BIT(CHANGE_JOB_ENDED)), 0);
    journal_free(journal);
}

static void progress_is_no_reason_to_start_a_job(void **state)
{
    (void)state;
    struct journal *journal = journal_new(4);
    append(journal, CHANGE_JOB_SHOWN, 1);
    assert_int_equal(journal_newest(journal, CHANGES_THAT_MAY_START), 0);
    assert_true(journal_newest(journal, CHANGES_OF_JOBS) > 0);
    journal_free(journal);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(positions_go_up_by_one_and_are_never_0),
        cmocka_unit_test(a_reader_at_the_end_has_nothing_to_catch_up_with),
        cmocka_unit_test(who_has_read_nothing_or_what_was_never_written_is_not_held),
        cmocka_unit_test(exactly_the_newest_lines_are_held),
        cmocka_unit_test(the_newest_of_some_kinds_is_found_also_when_its_line_is_not_held),
        cmocka_unit_test(progress_is_no_reason_to_start_a_job),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
