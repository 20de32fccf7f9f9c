/* env.c - clock, sleep and random numbers: the only file that asks the machine for them */
#include "conf/env.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static usec_t read_clock(clockid_t clock)
{
    struct timespec ts;
    if (clock_gettime(clock, &ts) < 0)
        abort(); /* both clocks exist on every Linux */
    return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

static usec_t system_now(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_MONOTONIC);
}

static usec_t system_wall(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_REALTIME);
}

static uint64_t system_random(void *ctx)
{
    (void)ctx;
    uint64_t value;
    ssize_t n = TEMP_FAILURE_RETRY(getrandom(&value, sizeof(value), /* flags = */ 0));
    if (n != (ssize_t)sizeof(value))
        abort(); /* tokens that can be guessed would be worse than no program */
    return value;
}

static void system_sleep(void *ctx, usec_t span)
{
    (void)ctx;
    struct timespec ts = {.tv_sec = (time_t)(span / USEC_PER_SEC),
                          .tv_nsec = (long)(span % USEC_PER_SEC) * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, 0, &ts, &ts) == EINTR)
        ;
}

const struct env *env_system(void)
{
    static const struct env env = {.now = system_now,
                                   .wall = system_wall,
                                   .random = system_random,
                                   .sleep = system_sleep,
                                   .ctx = NULL};
    return &env;
}

void env_seed(void)
{
    srandom((unsigned)system_random(NULL));
}

const char *env_time_text(usec_t wall, char buffer[static ENV_TIME_MAX])
{
    time_t seconds = (time_t)(wall / USEC_PER_SEC);
    struct tm tm;
    if (!localtime_r(&seconds, &tm) || strftime(buffer, ENV_TIME_MAX, "%F %T", &tm) == 0)
        snprintf(buffer, ENV_TIME_MAX, "?");
    return buffer;
}
