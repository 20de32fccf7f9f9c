/* test_log.c - lines on stderr and in the journal, levels, limits
 *
 * stderr is a temporary file while a line is written; the journal is sd_journal_sendv() below,
 * which stands before libsystemd's. */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "conf/err.h"
#include "conf/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include <cmocka.h>

enum { TEXT_BYTES = 1 << 20, FIELDS_MAX = 16 };

static char journal[FIELDS_MAX][8192]; /* the fields of the last entry */
static int n_journal;
static int journal_result;

int sd_journal_sendv(const struct iovec *iov, int n)
{
    n_journal = 0;
    for (int i = 0; i < n && i < FIELDS_MAX; i++)
        snprintf(journal[n_journal++], sizeof(journal[0]), "%.*s", (int)iov[i].iov_len,
                 (const char *)iov[i].iov_base);
    return journal_result;
}

static bool in_journal(const char *field)
{
    for (int i = 0; i < n_journal; i++)
        if (strcmp(journal[i], field) == 0)
            return true;
    return false;
}

static int kept = -1; /* the real stderr while a file stands in its place */
static FILE *file;
static char text[TEXT_BYTES];

static void catch_stderr(void)
{
    file = tmpfile();
    assert_non_null(file);
    fflush(stderr);
    kept = dup(STDERR_FILENO);
    assert_true(kept >= 0);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
}

/* Gives stderr back; what was written is in text. */
static void release_stderr(void)
{
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
    rewind(file);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
}

static int open_plain(void **state)
{
    (void)state;
    unsetenv("JOURNAL_STREAM");
    log_open("test", LOG_LEVEL_INFO);
    return 0;
}

/* As systemd starts a service: JOURNAL_STREAM names what stderr is. */
static void open_journal(void)
{
    struct stat st;
    char stream[64];
    assert_int_equal(fstat(STDERR_FILENO, &st), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_open("rmigrate-test", LOG_LEVEL_INFO);
    n_journal = 0;
    journal_result = 0;
}

static void line_on_stderr_has_time_level_and_text(void **state)
{
    (void)state;
    catch_stderr();
    log_info("job=%d: done", 1042);
    log_warn("w");
    log_error("e");
    release_stderr();
    /* "2026-03-01 14:05:09 info    job=1042: done" */
    int year, month, day, hour, minute, second, end = 0;
    assert_int_equal(sscanf(text, "%4d-%2d-%2d %2d:%2d:%2d%n", &year, &month, &day, &hour, &minute,
                            &second, &end),
                     6);
    assert_int_equal(end, 19);
    assert_true(year >= 2024);
    assert_memory_equal(text + end, " info    job=1042: done\n", 24);
    assert_non_null(strstr(text, " warning w\n"));
    assert_non_null(strstr(text, " error   e\n"));
}

static void lines_above_the_level_are_not_written(void **state)
{
    (void)state;
    catch_stderr();
    log_debug("not this one");
    log_open("test", LOG_LEVEL_ERROR);
    log_warn("nor this one");
    release_stderr();
    assert_string_equal(text, "");

    log_open("test", LOG_LEVEL_DEBUG);
    catch_stderr();
    log_debug("but this one");
    release_stderr();
    assert_non_null(strstr(text, " debug   but this one\n"));
}

static void a_line_stays_one_line_whatever_is_in_it(void **state)
{
    (void)state;
    catch_stderr();
    log_info("guest=kvm1: %s", "one\n2026-01-01 00:00:00 error   forged\r\x1b[2J\x7f\xc2\x9b\n");
    release_stderr();
    assert_non_null(strstr(text, "guest=kvm1: one 2026-01-01 00:00:00 error   forged  [2J"));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    for (const char *p = text; p[1]; p++)
        assert_true((unsigned char)*p >= 0x20 && *p != 0x7f);
    assert_null(strstr(text, "\xc2\x9b"));
}

static void a_line_that_is_too_long_is_marked(void **state)
{
    (void)state;
    static char longer[20000];
    memset(longer, 'x', sizeof(longer) - 1);
    catch_stderr();
    log_info("%s", longer);
    release_stderr();
    assert_true(strlen(text) > RM_ERR_MAX);
    assert_true(strlen(text) < 5000);
    assert_string_equal(text + strlen(text) - 5, "x...\n");
}

static void errno_survives_a_line(void **state)
{
    (void)state;
    catch_stderr();
    errno = ENOSPC;
    log_info("x");
    int after = errno;
    release_stderr();
    assert_int_equal(after, ENOSPC);
}

static void journal_gets_priority_message_and_fields_of_their_own(void **state)
{
    (void)state;
    catch_stderr();
    open_journal();
    log_warn("job=%d guest=%s host=%s: refused, will retry", 1042, "kvm1", "hyp01");
    release_stderr();
    assert_string_equal(text, "");
    assert_int_equal(n_journal, 6);
    assert_true(in_journal("PRIORITY=4"));
    assert_true(in_journal("MESSAGE=job=1042 guest=kvm1 host=hyp01: refused, will retry"));
    assert_true(in_journal("SYSLOG_IDENTIFIER=rmigrate-test"));
    assert_true(in_journal("RMIGRATE_JOB=1042"));
    assert_true(in_journal("RMIGRATE_GUEST=kvm1"));
    assert_true(in_journal("RMIGRATE_HOST=hyp01"));
}

static void journal_has_a_field_for_each_word_that_names_something(void **state)
{
    (void)state;
    catch_stderr();
    open_journal();
    log_info("job=7 guest=kvm1 host=h batch=3 worker=w user=u state=doubt attempt=2: x");
    release_stderr();
    assert_int_equal(n_journal, 3 + 8);
    static const char *const fields[] = {"JOB=7",    "GUEST=kvm1", "HOST=h",      "BATCH=3",
                                         "WORKER=w", "USER=u",     "STATE=doubt", "ATTEMPT=2"};
    for (int i = 0; i < 8; i++) {
        char field[64];
        snprintf(field, sizeof(field), "RMIGRATE_%s", fields[i]);
        assert_true(in_journal(field));
    }
}

static void what_a_person_has_to_act_on_has_a_number_and_a_name(void **state)
{
    (void)state;
    char field[64];
    catch_stderr();
    open_journal();
    bool all = true;
    for (int i = NOTICE_NONE + 1; i < NOTICE_COUNT; i++) {
        log_notice((enum notice)i, LOG_LEVEL_WARN, "guest=kvm1: x");
        snprintf(field, sizeof(field), "MESSAGE_ID=%s", notice_id((enum notice)i));
        all = all && n_journal == 6 && in_journal(field);
        snprintf(field, sizeof(field), "RMIGRATE_NOTICE=%s", notice_name((enum notice)i));
        all = all && in_journal(field) && in_journal("MESSAGE=guest=kvm1: x");
    }
    release_stderr();
    assert_true(all);
}

static void journal_priorities_are_those_of_syslog(void **state)
{
    (void)state;
    catch_stderr();
    open_journal();
    log_open("rmigrate-test", LOG_LEVEL_DEBUG);
    static const struct {
        enum log_level level;
        const char *field;
    } rows[] = {{LOG_LEVEL_ERROR, "PRIORITY=3"},
                {LOG_LEVEL_WARN, "PRIORITY=4"},
                {LOG_LEVEL_INFO, "PRIORITY=6"},
                {LOG_LEVEL_DEBUG, "PRIORITY=7"}};
    bool all = true;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        log_write(rows[i].level, "x");
        all = all && in_journal(rows[i].field) && n_journal == 3;
    }
    release_stderr();
    assert_true(all);
}

static void only_whole_words_become_fields(void **state)
{
    (void)state;
    catch_stderr();
    open_journal();
    log_info("myjob=1 job2=2 jobs job= guest='kvm 1' ghost=x host=a host=b");
    release_stderr();
    assert_true(in_journal("RMIGRATE_HOST=a"));
    assert_int_equal(n_journal, 4);
}

static void what_a_peer_says_behind_the_head_names_nothing(void **state)
{
    (void)state;
    catch_stderr();
    open_journal();
    log_warn("host=%s worker=%s: does not answer: %s", "hyp01", "rack",
             "x guest=kvm9 job=7 state=done user=root host=hyp02");
    release_stderr();
    assert_true(in_journal("RMIGRATE_HOST=hyp01"));
    assert_true(in_journal("RMIGRATE_WORKER=rack"));
    assert_int_equal(n_journal, 3 + 2);
}

static void a_line_that_the_journal_does_not_take_goes_to_stderr(void **state)
{
    (void)state;
    catch_stderr();
    open_journal();
    journal_result = -ENOENT;
    log_info("job=7: still here");
    release_stderr();
    assert_non_null(strstr(text, " info    job=7: still here\n"));
}

static void stderr_that_was_redirected_is_not_the_journal(void **state)
{
    (void)state;
    setenv("JOURNAL_STREAM", "1:1", 1);
    log_open("test", LOG_LEVEL_INFO);
    n_journal = 0;
    catch_stderr();
    log_info("here");
    release_stderr();
    assert_int_equal(n_journal, 0);
    assert_non_null(strstr(text, " info    here\n"));
}

static void log_level_parse_knows_four_words(void **state)
{
    (void)state;
    static const char *const words[] = {"error", "warning", "info", "debug"};
    for (int i = 0; i < 4; i++) {
        enum log_level level = (enum log_level)99;
        assert_int_equal(log_level_parse(words[i], &level), 0);
        assert_int_equal(level, i);
    }
    enum log_level level = LOG_LEVEL_WARN;
    assert_int_equal(log_level_parse("warn", &level), -EINVAL);
    assert_int_equal(log_level_parse("", &level), -EINVAL);
    assert_int_equal(level, LOG_LEVEL_WARN);
}

static void log_allowed_lets_a_burst_pass_in_each_interval(void **state)
{
    (void)state;
    struct log_limit limit = {0};
    const usec_t second = USEC_PER_SEC, begin = 5 * USEC_PER_SEC;
    for (int i = 0; i < 3; i++)
        assert_true(log_allowed(&limit, begin + (usec_t)i, second, 3));
    assert_false(log_allowed(&limit, begin + 3, second, 3));
    assert_false(log_allowed(&limit, begin + second - 1, second, 3));
    assert_true(log_allowed(&limit, begin + second, second, 3));
    assert_true(log_allowed(&limit, begin + second + 1, second, 3));
    assert_true(log_allowed(&limit, begin + second + 2, second, 3));
    assert_false(log_allowed(&limit, begin + second + 3, second, 3));
}

static void *write_lines(void *name)
{
    for (int i = 0; i < 200; i++)
        log_info("%s %d %s", (const char *)name, i, "a line that is long enough to be torn apart");
    return NULL;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    (void)state;
    catch_stderr();
    /* O_APPEND, as a log file and a pipe behave: each write lands behind the last one */
    fcntl(STDERR_FILENO, F_SETFL, O_APPEND);
    pthread_t threads[4];
    static const char *const names[] = {"t0", "t1", "t2", "t3"};
    int started = 0;
    while (started < 4 && pthread_create(&threads[started], NULL, write_lines,
                                         (void *)(uintptr_t)names[started]) == 0)
        started++;
    for (int i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    release_stderr();
    assert_int_equal(started, 4);
    int lines = 0;
    for (char *p = text, *end; (end = strchr(p, '\n')); p = end + 1, lines++) {
        *end = '\0';
        assert_memory_equal(p + 19, " info    t", 10);
        static const char last[] = " a line that is long enough to be torn apart";
        assert_ptr_equal(strstr(p, last), end - strlen(last));
    }
    assert_int_equal(lines, 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(line_on_stderr_has_time_level_and_text, open_plain),
        cmocka_unit_test_setup(lines_above_the_level_are_not_written, open_plain),
        cmocka_unit_test_setup(a_line_stays_one_line_whatever_is_in_it, open_plain),
        cmocka_unit_test_setup(a_line_that_is_too_long_is_marked, open_plain),
        cmocka_unit_test_setup(errno_survives_a_line, open_plain),
        cmocka_unit_test_setup(journal_gets_priority_message_and_fields_of_their_own, open_plain),
        cmocka_unit_test_setup(journal_has_a_field_for_each_word_that_names_something, open_plain),
        cmocka_unit_test_setup(what_a_person_has_to_act_on_has_a_number_and_a_name, open_plain),
        cmocka_unit_test_setup(journal_priorities_are_those_of_syslog, open_plain),
        cmocka_unit_test_setup(only_whole_words_become_fields, open_plain),
        cmocka_unit_test_setup(what_a_peer_says_behind_the_head_names_nothing, open_plain),
        cmocka_unit_test_setup(a_line_that_the_journal_does_not_take_goes_to_stderr, open_plain),
        cmocka_unit_test_setup(stderr_that_was_redirected_is_not_the_journal, open_plain),
        cmocka_unit_test_setup(log_level_parse_knows_four_words, open_plain),
        cmocka_unit_test_setup(log_allowed_lets_a_burst_pass_in_each_interval, open_plain),
        cmocka_unit_test_setup(lines_of_several_threads_do_not_mix, open_plain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
