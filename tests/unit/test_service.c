/* test_service.c - signals, readiness and watchdog of a daemon; clock and random of the system */
#include "conf/service.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static void signals_wait_in_the_descriptor_until_they_are_read(void **state)
{
    (void)state;
    int fd = service_signals();
    assert_true(fd >= 0);
    assert_int_equal(service_signal_read(fd, NULL), 0);
    raise(SIGTERM);
    raise(SIGHUP);
    int first = service_signal_read(fd, NULL), second = service_signal_read(fd, NULL);
    assert_true((first == SIGTERM && second == SIGHUP) || (first == SIGHUP && second == SIGTERM));
    raise(SIGINT);
    assert_int_equal(service_signal_read(fd, NULL), SIGINT);
    assert_int_equal(service_signal_read(fd, NULL), 0);
    close(fd);
}

static void a_reader_that_went_away_does_not_end_the_program(void **state)
{
    (void)state;
    int fd = service_signals(), ends[2];
    assert_true(fd >= 0);
    assert_int_equal(pipe(ends), 0);
    close(ends[0]);
    assert_int_equal(write(ends[1], "x", 1), -1); /* EPIPE, and we are still here */
    close(ends[1]);
    close(fd);
}

/* What systemd would have heard. */
static void hear(int fd, char *text, size_t size)
{
    ssize_t n = recv(fd, text, size - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
}

static void systemd_hears_of_readiness_status_watchdog_and_the_end(void **state)
{
    (void)state;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "rmigrate-test-%d", (int)getpid());
    socklen_t length =
        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(address.sun_path + 1));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    char name[sizeof(address.sun_path) + 1], text[256];
    snprintf(name, sizeof(name), "@%s", address.sun_path + 1);
    setenv("NOTIFY_SOCKET", name, 1);

    service_ready("2 jobs");
    hear(fd, text, sizeof(text));
    assert_string_equal(text, "READY=1\nSTATUS=2 jobs");
    service_ready(NULL);
    hear(fd, text, sizeof(text));
    assert_string_equal(text, "READY=1\n");
    service_ready("line\nMAINPID=1\n");
    hear(fd, text, sizeof(text));
    assert_string_equal(text, "READY=1\nSTATUS=line MAINPID=1");
    service_reloading(42);
    hear(fd, text, sizeof(text));
    assert_string_equal(text, "RELOADING=1\nMONOTONIC_USEC=42");
    struct watchdog watchdog = {.interval = 15, .due_at = 100};
    service_alive(&watchdog, 99);
    hear(fd, text, sizeof(text));
    assert_string_equal(text, "");
    service_alive(&watchdog, 101);
    hear(fd, text, sizeof(text));
    assert_string_equal(text, "WATCHDOG=1\n");
    assert_int_equal(watchdog.due_at, 116);
    watchdog.interval = 0;
    service_alive(&watchdog, 1000);
    hear(fd, text, sizeof(text));
    assert_string_equal(text, "");
    service_stopping();
    hear(fd, text, sizeof(text));
    assert_string_equal(text, "STOPPING=1\n");

    unsetenv("NOTIFY_SOCKET");
    service_ready("nobody listens");
    close(fd);
}

static void watchdog_is_fed_twice_in_its_interval(void **state)
{
    (void)state;
    unsetenv("WATCHDOG_USEC");
    assert_int_equal(service_watchdog().interval, 0);
    char pid[32];
    snprintf(pid, sizeof(pid), "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    setenv("WATCHDOG_USEC", "30000000", 1);
    assert_int_equal(service_watchdog().interval, 15 * USEC_PER_SEC);
    setenv("WATCHDOG_PID", "1", 1); /* asked of somebody else */
    assert_int_equal(service_watchdog().interval, 0);
}

static void a_loop_waits_no_longer_than_the_watchdog_does(void **state)
{
    (void)state;
    struct watchdog watchdog = {.interval = 15, .due_at = 100}, none = {0};
    assert_int_equal(service_wait(&watchdog, 80, 90), 10);
    assert_int_equal(service_wait(&watchdog, 80, 200), 20);
    assert_int_equal(service_wait(&watchdog, 120, USEC_NEVER), 0);
    assert_int_equal(service_wait(&none, 120, 110), 0);
    assert_int_equal(service_wait(&none, 120, 200), 80);
    assert_int_equal(service_wait(&none, 120, USEC_NEVER), 3600 * USEC_PER_SEC);
}

static void version_names_release_and_commit(void **state)
{
    (void)state;
    const char *version = service_version();
    unsigned major, minor, patch;
    char commit[64] = "";
    assert_int_equal(
        sscanf(version, "%u.%u.%u (git commit %63[^)])", &major, &minor, &patch, commit), 4);
    assert_true(strlen(commit) > 0);
    assert_int_equal(version[strlen(version) - 1], ')');
}

static void clocks_go_forward_and_know_the_year(void **state)
{
    (void)state;
    const struct env *env = env_system();
    usec_t first = env_now(env), second = env_now(env);
    assert_true(first > 0 && second >= first);
    assert_true(second - first < 10 * USEC_PER_SEC);
    assert_true(env_wall(env) > 1700000000 * USEC_PER_SEC);
}

static void random_numbers_differ(void **state)
{
    (void)state;
    const struct env *env = env_system();
    uint64_t seen_one = 0, seen_zero = 0, before = env_random(env);
    for (int i = 0; i < 64; i++) {
        uint64_t value = env_random(env);
        assert_true(value != before);
        before = value;
        seen_one |= value;
        seen_zero |= ~value;
    }
    assert_true(seen_one == UINT64_MAX && seen_zero == UINT64_MAX);
}

static void env_time_text_is_local_time_for_people(void **state)
{
    (void)state;
    char buffer[ENV_TIME_MAX];
    setenv("TZ", "UTC0", 1);
    tzset();
    assert_string_equal(env_time_text(1772373909 * USEC_PER_SEC + 999999, buffer),
                        "2026-03-01 14:05:09");
    setenv("TZ", "CET-1", 1);
    tzset();
    assert_string_equal(env_time_text(1772373909 * USEC_PER_SEC, buffer), "2026-03-01 15:05:09");
    assert_true(strlen(env_time_text(UINT64_MAX, buffer)) < ENV_TIME_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signals_wait_in_the_descriptor_until_they_are_read),
        cmocka_unit_test(a_reader_that_went_away_does_not_end_the_program),
        cmocka_unit_test(systemd_hears_of_readiness_status_watchdog_and_the_end),
        cmocka_unit_test(watchdog_is_fed_twice_in_its_interval),
        cmocka_unit_test(a_loop_waits_no_longer_than_the_watchdog_does),
        cmocka_unit_test(version_names_release_and_commit),
        cmocka_unit_test(clocks_go_forward_and_know_the_year),
        cmocka_unit_test(random_numbers_differ),
        cmocka_unit_test(env_time_text_is_local_time_for_people),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
