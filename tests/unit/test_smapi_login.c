/* test_smapi_login.c - the login file, and the guard that never sends a refused login again */
#include "worker/zvm/smapi_login.h"
#include "worker/zvm/smapi_login_guard.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64];
static char file[96];

static void write_file(const char *path, const char *text, size_t length)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, length, f), length);
    assert_int_equal(fchmod(fileno(f), 0600), 0);
    assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/rmigrate-test-XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof(file), "%s/login", directory);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove(file);
    remove(directory);
    return 0;
}

static void expect_login(const char *text, const char *userid, const char *password)
{
    struct smapi_login login;
    struct smapi_stamp stamp;
    struct rm_err err = {""};
    write_file(file, text, strlen(text));
    int r = smapi_login_read(file, &login, &stamp, &err);
    if (r < 0)
        print_error("%s\n", err.text);
    assert_int_equal(r, 0);
    assert_string_equal(login.userid, userid);
    assert_string_equal(login.password, password);
    assert_int_equal(stamp.size, strlen(text));
}

static void expect_bad(int code, const char *part)
{
    struct smapi_login login = {.userid = "before"};
    struct smapi_stamp stamp;
    struct rm_err err = {""};
    assert_int_equal(smapi_login_read(file, &login, &stamp, &err), code);
    if (!strstr(err.text, part))
        fail_msg("'%s' does not say '%s'", err.text, part);
    assert_non_null(strstr(err.text, file));
    assert_null(strstr(err.text, "s3cret"));
    assert_string_equal(login.userid, "before");
}

static void two_lines_are_a_login(void **state)
{
    (void)state;
    expect_login("MIGRATE\ns3cret\n", "MIGRATE", "s3cret");
    expect_login("MIGRATE\ns3cret", "MIGRATE", "s3cret");
    expect_login(" MIGRATE \t\r\n  my long pass phrase \r\n\r\n  \n", "MIGRATE",
                 "my long pass phrase");
    char text[300];
    char password[SMAPI_PASSWORD_MAX + 1];
    memset(password, 'p', SMAPI_PASSWORD_MAX);
    password[SMAPI_PASSWORD_MAX] = '\0';
    snprintf(text, sizeof(text), "ABCDEFGH\n%s\n", password);
    expect_login(text, "ABCDEFGH", password);
}

static void other_contents_are_no_login(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t length;
        const char *says;
    } bad[] = {
        {"", 0, "must hold two lines"},
        {"MIGRATE\n", 8, "must hold two lines"},
        {"MIGRATE\n \t\n", 11, "must hold two lines"},
        {"\ns3cret\n", 8, "must hold two lines"},
        {"MIGRATE\ns3cret\ns3cret\n", 22, "holds more than two lines"},
        {"MIGRATE12\ns3cret\n", 17, "userid in line 1 is longer than 8"},
        {"MIGRATE\ns3cret\0\n", 16, "is not a text"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_file(file, bad[i].text, bad[i].length);
        expect_bad(-EINVAL, bad[i].says);
    }
    char text[1100];
    memset(text, 'p', sizeof(text));
    memcpy(text, "MIGRATE\n", 8);
    write_file(file, text, 8 + SMAPI_PASSWORD_MAX + 1);
    expect_bad(-EINVAL, "password in line 2 is longer than 200");
    write_file(file, text, sizeof(text));
    expect_bad(-EINVAL, "is longer than 1024 bytes");
}

static void a_file_that_others_may_read_is_refused(void **state)
{
    (void)state;
    static const mode_t bad[] = {0640, 0604, 0620, 0602, 0610, 0601};
    write_file(file, "MIGRATE\ns3cret\n", 15);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char says[160];
        assert_int_equal(chmod(file, bad[i]), 0);
        snprintf(says, sizeof(says), "chmod 600 %s", file);
        expect_bad(-EACCES, says);
    }
    assert_int_equal(chmod(file, 0400), 0);
    struct smapi_login login;
    struct smapi_stamp stamp;
    assert_int_equal(smapi_login_read(file, &login, &stamp, NULL), 0);
}

static void a_file_of_somebody_else_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    write_file(file, "MIGRATE\ns3cret\n", 15);
    assert_int_equal(chown(file, 65534, 65534), 0);
    expect_bad(-EACCES, "belongs to user 65534, it must be 0: chown it");
}

static void only_a_regular_file_is_read(void **state)
{
    (void)state;
    expect_bad(-ENOENT, "No such file");
    assert_int_equal(symlink("/dev/null", file), 0);
    expect_bad(-ELOOP, "is a symbolic link");
    remove(file);
    assert_int_equal(mkfifo(file, 0600), 0);
    expect_bad(-EINVAL, "is not a regular file");
    remove(file);
    assert_int_equal(mkdir(file, 0700), 0);
    expect_bad(-EINVAL, "is not a regular file");
}

static usec_t soon(void)
{
    return env_now(env_system()) + 5 * USEC_PER_SEC;
}

static int enter(struct smapi_guard *guard, struct rm_err *err)
{
    struct smapi_login login;
    struct smapi_stamp stamp;
    return smapi_guard_enter(guard, soon(), &login, &stamp, err);
}

static void a_new_login_is_tried_once(void **state)
{
    (void)state;
    write_file(file, "MIGRATE\ns3cret\n", 15);
    struct smapi_guard *guard = smapi_guard_new(file);
    assert_int_equal(enter(guard, NULL), 1);
    smapi_guard_tried(guard, SMAPI_TRIAL_GOOD, "");
    assert_int_equal(enter(guard, NULL), 0);
    assert_int_equal(enter(guard, NULL), 0);
    smapi_guard_free(guard);
}

static void a_trial_without_an_answer_is_repeated(void **state)
{
    (void)state;
    write_file(file, "MIGRATE\ns3cret\n", 15);
    struct smapi_guard *guard = smapi_guard_new(file);
    assert_int_equal(enter(guard, NULL), 1);
    smapi_guard_tried(guard, SMAPI_TRIAL_OPEN, "no connection");
    assert_int_equal(enter(guard, NULL), 1);
    smapi_guard_tried(guard, SMAPI_TRIAL_GOOD, "");
    smapi_guard_free(guard);
}

static void a_refused_login_waits_for_another_file(void **state)
{
    (void)state;
    struct rm_err err = {""};
    write_file(file, "MIGRATE\ns3cret\n", 15);
    struct smapi_guard *guard = smapi_guard_new(file);
    assert_int_equal(enter(guard, NULL), 1);
    smapi_guard_tried(guard, SMAPI_TRIAL_REFUSED, "wrong password");
    for (int i = 0; i < 3; i++)
        assert_int_equal(enter(guard, &err), -EPERM);
    assert_non_null(strstr(err.text, "wrong password; nothing is sent with the login of"));
    assert_non_null(strstr(err.text, "until that file has changed"));
    write_file(file, "MIGRATE\nanother\n", 16);
    assert_int_equal(enter(guard, NULL), 1);
    smapi_guard_tried(guard, SMAPI_TRIAL_GOOD, "");
    assert_int_equal(enter(guard, NULL), 0);
    smapi_guard_free(guard);
}

static void a_good_login_may_be_refused_later(void **state)
{
    (void)state;
    struct smapi_login login;
    struct smapi_stamp before, after;
    write_file(file, "MIGRATE\ns3cret\n", 15);
    struct smapi_guard *guard = smapi_guard_new(file);
    assert_int_equal(smapi_guard_enter(guard, soon(), &login, &before, NULL), 1);
    smapi_guard_tried(guard, SMAPI_TRIAL_GOOD, "");
    write_file(file, "MIGRATE\nanother\n", 16);
    assert_int_equal(smapi_guard_enter(guard, soon(), &login, &after, NULL), 1);
    smapi_guard_tried(guard, SMAPI_TRIAL_GOOD, "");
    smapi_guard_refused(guard, &before, "expired"); /* of the file that is no more */
    assert_int_equal(enter(guard, NULL), 0);
    smapi_guard_refused(guard, &after, "expired");
    assert_int_equal(enter(guard, NULL), -EPERM);
    smapi_guard_free(guard);
}

static void what_one_server_refused_is_sent_to_no_other(void **state)
{
    (void)state;
    struct smapi_login login;
    struct smapi_stamp stamp;
    struct rm_err err = {""};
    write_file(file, "MIGRATE\ns3cret\n", 15);
    struct smapi_guard *one = smapi_guard_new(file), *other = smapi_guard_new(file);
    struct smapi_guard *third = smapi_guard_new(file);
    assert_int_equal(enter(third, NULL), 1);
    smapi_guard_tried(third, SMAPI_TRIAL_GOOD, "");
    assert_int_equal(enter(one, NULL), 1);
    smapi_guard_tried(one, SMAPI_TRIAL_REFUSED, "wrong password");
    assert_int_equal(enter(other, &err), -EPERM);
    assert_non_null(strstr(err.text, "wrong password; nothing is sent with the login of"));
    assert_int_equal(enter(third, &err), -EPERM); /* good before, and the same password */
    write_file(file, "MIGRATE\nanother\n", 16);
    assert_int_equal(enter(other, NULL), 1);
    smapi_guard_tried(other, SMAPI_TRIAL_GOOD, "");
    assert_int_equal(smapi_guard_enter(one, soon(), &login, &stamp, NULL), 1);
    smapi_guard_tried(one, SMAPI_TRIAL_GOOD, "");
    smapi_guard_refused(one, &stamp, "expired");
    assert_int_equal(enter(other, &err), -EPERM);
    assert_non_null(strstr(err.text, "expired; nothing is sent"));
    smapi_guard_free(one);
    smapi_guard_free(other);
    smapi_guard_free(third);
}

static void a_silent_server_holds_another_up_for_a_while_only(void **state)
{
    (void)state;
    struct smapi_login login;
    struct smapi_stamp stamp;
    write_file(file, "MIGRATE\ns3cret\n", 15);
    struct smapi_guard *silent = smapi_guard_new(file), *other = smapi_guard_new(file);
    assert_int_equal(enter(silent, NULL), 1);
    usec_t now = env_now(env_system());
    usec_t until_at = now + 200 * USEC_PER_MSEC;
    assert_int_equal(smapi_guard_enter(other, until_at, &login, &stamp, NULL), 1);
    assert_true(env_now(env_system()) - now >= 100 * USEC_PER_MSEC);
    smapi_guard_tried(other, SMAPI_TRIAL_GOOD, "");
    smapi_guard_tried(silent, SMAPI_TRIAL_OPEN, "no answer");
    smapi_guard_free(silent);
    smapi_guard_free(other);
}

static void a_bad_file_is_no_refusal(void **state)
{
    (void)state;
    struct smapi_login login = {.userid = "left"};
    struct smapi_stamp stamp;
    struct smapi_guard *guard = smapi_guard_new(file);
    assert_int_equal(smapi_guard_enter(guard, soon(), &login, &stamp, NULL), -ENOENT);
    assert_string_equal(login.userid, "");
    write_file(file, "MIGRATE\ns3cret\n", 15);
    assert_int_equal(enter(guard, NULL), 1);
    smapi_guard_tried(guard, SMAPI_TRIAL_GOOD, "");
    smapi_guard_free(guard);
}

static void without_a_file_everybody_may_pass(void **state)
{
    (void)state;
    struct smapi_login login;
    struct smapi_stamp stamp;
    struct smapi_guard *guard = smapi_guard_new(NULL);
    assert_int_equal(smapi_guard_enter(guard, soon(), &login, &stamp, NULL), 0);
    assert_string_equal(login.userid, "");
    smapi_guard_refused(guard, &stamp, "no");
    assert_int_equal(enter(guard, NULL), 0);
    smapi_guard_free(guard);
}

enum { THREADS = 16 };

struct crowd {
    struct smapi_guard *guard;
    enum smapi_trial end;
    pthread_barrier_t all_there;
    atomic_uint tried, passed, refused, others;
};

static void *one_of_many(void *arg)
{
    struct crowd *crowd = arg;
    pthread_barrier_wait(&crowd->all_there);
    switch (enter(crowd->guard, NULL)) {
    case 0:
        crowd->passed++;
        break;
    case 1:
        crowd->tried++;
        smapi_guard_tried(crowd->guard, crowd->end, "said no");
        break;
    case -EPERM:
        crowd->refused++;
        break;
    default:
        crowd->others++;
    }
    return NULL;
}

static void run_crowd(struct crowd *crowd)
{
    pthread_t threads[THREADS];
    pthread_barrier_init(&crowd->all_there, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, one_of_many, crowd), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&crowd->all_there);
}

static void of_many_threads_one_tries(void **state)
{
    (void)state;
    write_file(file, "MIGRATE\ns3cret\n", 15);
    struct crowd refused = {.guard = smapi_guard_new(file), .end = SMAPI_TRIAL_REFUSED};
    run_crowd(&refused);
    assert_int_equal(refused.tried, 1);
    assert_int_equal(refused.refused, THREADS - 1);
    smapi_guard_free(refused.guard);
    write_file(file, "MIGRATE\nanother\n", 16);
    struct crowd good = {.guard = smapi_guard_new(file), .end = SMAPI_TRIAL_GOOD};
    run_crowd(&good);
    assert_int_equal(good.tried, 1);
    assert_int_equal(good.passed, THREADS - 1);
    smapi_guard_free(good.guard);
}

static void a_trial_that_hangs_does_not_hold_others_for_ever(void **state)
{
    (void)state;
    struct smapi_login login;
    struct smapi_stamp stamp;
    struct rm_err err = {""};
    write_file(file, "MIGRATE\ns3cret\n", 15);
    struct smapi_guard *guard = smapi_guard_new(file);
    assert_int_equal(enter(guard, NULL), 1);
    usec_t until_at = env_now(env_system()) + 50 * USEC_PER_MSEC;
    assert_int_equal(smapi_guard_enter(guard, until_at, &login, &stamp, &err), -ETIMEDOUT);
    assert_non_null(strstr(err.text, "is being tried"));
    smapi_guard_tried(guard, SMAPI_TRIAL_GOOD, "");
    smapi_guard_free(guard);
}

#define LOGIN_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOGIN_TEST(two_lines_are_a_login),
        LOGIN_TEST(other_contents_are_no_login),
        LOGIN_TEST(a_file_that_others_may_read_is_refused),
        LOGIN_TEST(a_file_of_somebody_else_is_refused),
        LOGIN_TEST(only_a_regular_file_is_read),
        LOGIN_TEST(a_new_login_is_tried_once),
        LOGIN_TEST(a_trial_without_an_answer_is_repeated),
        LOGIN_TEST(a_refused_login_waits_for_another_file),
        LOGIN_TEST(a_good_login_may_be_refused_later),
        LOGIN_TEST(what_one_server_refused_is_sent_to_no_other),
        LOGIN_TEST(a_silent_server_holds_another_up_for_a_while_only),
        LOGIN_TEST(a_bad_file_is_no_refusal),
        LOGIN_TEST(without_a_file_everybody_may_pass),
        LOGIN_TEST(of_many_threads_one_tries),
        LOGIN_TEST(a_trial_that_hangs_does_not_hold_others_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
