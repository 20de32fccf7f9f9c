/* env.h - clock, sleep and random numbers as a struct, so that tests can bring their own
 *
 * Only env.c reads a real clock or a random source. Core and agent are given `now` as an argument;
 * the shells around them (loop, main) call env_now(). */
#ifndef CONF_ENV_H
#define CONF_ENV_H

#include <stdint.h>

typedef uint64_t usec_t; /* microseconds: a point (suffix _at) or a span (suffix _in, _for) */

#define USEC_PER_MSEC ((usec_t)1000)
#define USEC_PER_SEC  ((usec_t)1000000)
#define USEC_NEVER    UINT64_MAX

struct env {
    usec_t (*now)(void *ctx);              /* monotonic, for deadlines */
    usec_t (*wall)(void *ctx);             /* since 1970, for what people read and what is stored */
    uint64_t (*random)(void *ctx);         /* unpredictable in the real one, seeded in tests */
    void (*sleep)(void *ctx, usec_t span); /* of this thread; NULL: nobody may sleep by it */
    void *ctx;                             /* theirs */
};

/* The real one: CLOCK_MONOTONIC, CLOCK_REALTIME, getrandom(2), clock_nanosleep(2). */
const struct env *env_system(void);

static inline usec_t env_now(const struct env *env)
{
    return env->now(env->ctx);
}

static inline usec_t env_wall(const struct env *env)
{
    return env->wall(env->ctx);
}

static inline uint64_t env_random(const struct env *env)
{
    return env->random(env->ctx);
}

static inline void env_sleep(const struct env *env, usec_t span)
{
    env->sleep(env->ctx, span);
}

/* Seeds the C library's rand(), from which ZeroMQ makes its routing ids: unseeded, a peer could
 * claim the next one and bring the broker down. Call it before the first socket. */
void env_seed(void);

/* A point in time as people read it, local time: "2026-03-01 14:05:09". The buffer is returned. */
enum { ENV_TIME_MAX = 32 };
const char *env_time_text(usec_t wall, char buffer[static ENV_TIME_MAX]);

#endif
