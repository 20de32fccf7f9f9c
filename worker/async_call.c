/* async_call.c - a blocking call with a deadline: it runs in a thread of its own */
#include "worker/async_call.h"

#include "worker/thread.h"

#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct bell {
    int fd;
    atomic_uint refs;
};

struct bell *bell_new(void)
{
    struct bell *bell = malloc(sizeof(*bell));
    if (!bell)
        return NULL;
    bell->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (bell->fd < 0) {
        free(bell);
        return NULL;
    }
    atomic_init(&bell->refs, 1);
    return bell;
}

void bell_unref(struct bell *bell)
{
    if (!bell || atomic_fetch_sub(&bell->refs, 1) != 1)
        return;
    close(bell->fd);
    free(bell);
}

void bell_ring(struct bell *bell)
{
    uint64_t one = 1;
    ssize_t n = write(bell->fd, &one, sizeof(one));
    (void)n; /* a counter that is full has rung already */
}

void bell_clear(struct bell *bell)
{
    uint64_t count;
    ssize_t n = read(bell->fd, &count, sizeof(count));
    (void)n; /* it had not rung */
}

int bell_fd(const struct bell *bell)
{
    return bell->fd;
}

static atomic_uint active;

unsigned calls_active(void)
{
    return atomic_load(&active);
}

void call_init(struct call *call, void (*run)(struct call *), void (*release)(struct call *))
{
    call->run = run;
    call->release = release;
    call->bell = NULL;
    call->ended = false;
    atomic_init(&call->refs, 1);
    pthread_mutex_init(&call->lock, NULL);
    thread_cond_init(&call->condition);
}

struct call *call_ref(struct call *call)
{
    atomic_fetch_add(&call->refs, 1);
    return call;
}

void call_unref(struct call *call)
{
    if (!call || atomic_fetch_sub(&call->refs, 1) != 1)
        return;
    bell_unref(call->bell);
    pthread_cond_destroy(&call->condition);
    pthread_mutex_destroy(&call->lock);
    call->release(call);
}

static void *call_thread(void *arg)
{
    struct call *call = arg;
    call->run(call);
    pthread_mutex_lock(&call->lock);
    call->ended = true;
    pthread_cond_broadcast(&call->condition);
    pthread_mutex_unlock(&call->lock);
    if (call->bell)
        bell_ring(call->bell);
    call_unref(call);
    atomic_fetch_sub(&active, 1);
    return NULL;
}

int call_start(struct call *call, struct bell *bell)
{
    if (atomic_fetch_add(&active, 1) >= CALLS_MAX) {
        atomic_fetch_sub(&active, 1);
        return -EAGAIN;
    }
    assert(!call->bell);
    if (bell)
        atomic_fetch_add(&bell->refs, 1);
    call->bell = bell;
    call_ref(call);
    if (thread_start(call_thread, call) < 0) {
        call_unref(call);
        atomic_fetch_sub(&active, 1);
        return -EAGAIN;
    }
    return 0;
}

int call_wait(struct call *call, usec_t until_at)
{
    pthread_mutex_lock(&call->lock);
    int r = 0;
    while (!call->ended && r == 0)
        r = thread_cond_wait(&call->condition, &call->lock, until_at);
    bool ended = call->ended;
    pthread_mutex_unlock(&call->lock);
    return ended ? 0 : -ETIMEDOUT;
}

bool call_ended(struct call *call)
{
    pthread_mutex_lock(&call->lock);
    bool ended = call->ended;
    pthread_mutex_unlock(&call->lock);
    return ended;
}
