/* loop.c - one turn of the broker: wait, drain, decide, one commit, send */
#include "broker/loop.h"

#include "broker/core.h"
#include "conf/log.h"
#include "conf/service.h"
#include "store/record.h"
#include "store/store.h"
#include "wire/msg.h"
#include "wire/net.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    TURN_MESSAGES = 4096,          /* messages in one turn at most: the rest waits in the sockets */
    TURN_BYTES = 64 * 1024 * 1024, /* and bytes */
};

struct loop {
    const struct conf_broker *conf;
    const struct env *env;
    struct store *store;
    struct net *net;
    struct core *core;
    struct arena *arena;
    struct log_limit bad; /* damaged messages */
    uint64_t refused;     /* keys, as far as the log knows */
    struct log_limit refusals;
    usec_t watchdog; /* interval; 0 = none */
    usec_t alive_at;
    int signals;
};

/* Takes what has arrived, but no more than one turn may hold. */
static void drain(struct loop *loop, usec_t now)
{
    size_t bytes = 0;

    for (unsigned n = 0; n < TURN_MESSAGES && bytes < TURN_BYTES; n++) {
        struct net_peer peer;
        struct net_frame frame;
        struct rm_err err = {0};
        RmMessage *message;
        int r = net_recv(loop->net, &peer, &frame);
        if (r < 0)
            return;
        bytes += frame.length;
        r = msg_unpack(loop->arena, frame.data, frame.length, &message, &err);
        if (r >= 0)
            core_input(loop->core, &peer, net_peer_hosts(loop->net, &peer), message);
        else if (log_allowed(&loop->bad, now, USEC_PER_SEC, 5))
            log_warn("peer=%s address=%s: damaged message: %s, ignoring", peer.user, peer.address,
                     err.text);
        net_frame_free(&frame);
        arena_reset(loop->arena);
    }
}

/* Only what is on disk may be heard. */
static void send_all(struct loop *loop)
{
    struct core_out out;

    while (core_next_out(loop->core, &out))
        if (net_send(loop->net, out.peer, out.frame, out.length) == -EHOSTUNREACH)
            core_gone(loop->core, out.peer);
}

static void tell_notes(struct loop *loop)
{
    const char *text;
    int level;

    while ((level = core_next_note(loop->core, &text)) != 0)
        log_write((enum log_level)(level - 1), "%s", text);
}

/* A key that is not in the list is how a wrong set-up shows itself. */
static void tell_refusals(struct loop *loop, usec_t now)
{
    const struct net_refusal *refusal = net_refusal(loop->net);

    if (refusal->count == loop->refused)
        return;
    loop->refused = refusal->count;
    if (log_allowed(&loop->refusals, now, 60 * USEC_PER_SEC, 10))
        log_warn("address=%s: refused the key %s, which is not in broker.allow", refusal->address,
                 refusal->public_key);
}

static usec_t wait_for(const struct loop *loop)
{
    usec_t now = env_now(loop->env);
    usec_t deadline = core_deadline(loop->core);

    if (loop->watchdog != 0 && loop->alive_at < deadline)
        deadline = loop->alive_at;
    return deadline == USEC_NEVER ? 3600 * USEC_PER_SEC : deadline > now ? deadline - now : 0;
}

static int turn(struct loop *loop, struct rm_err *err)
{
    usec_t now = env_now(loop->env);
    int r;

    core_begin(loop->core, now, env_wall(loop->env));
    drain(loop, now);
    tell_refusals(loop, now);
    core_tick(loop->core);
    r = core_commit(loop->core, err);
    tell_notes(loop);
    if (r < 0)
        return r;
    send_all(loop);
    if (loop->watchdog != 0 && loop->alive_at <= now) {
        service_alive();
        loop->alive_at = now + loop->watchdog;
    }
    return 0;
}

static int serve(struct loop *loop, struct rm_err *err)
{
    for (;;) {
        bool ready = false;
        int r = net_wait(loop->net, &loop->signals, 1, &ready, wait_for(loop));
        if (r < 0 && r != -EINTR)
            return rm_fail(err, r, "cannot wait for messages: %s", strerror(-r));
        if (ready) {
            int signal = service_signal_read(loop->signals);
            if (signal == SIGTERM || signal == SIGINT) {
                log_info("signal=%d: ends; workers go on with what they have in hand", signal);
                return 0;
            }
        }
        r = turn(loop, err);
        if (r < 0)
            return r;
    }
}

static int loop_open(struct loop *loop, struct rm_err *err)
{
    int r = store_open(loop->conf->store, loop->conf->store_size, STORE_CREATE, &loop->store, err);

    if (r < 0)
        return r;
    r = record_open(loop->store, err);
    if (r < 0)
        return r;
    loop->arena = arena_new(0);
    if (loop->arena == NULL)
        return rm_fail(err, -ENOMEM, "no memory");
    r = core_new(loop->conf, loop->store, env_random(loop->env), env_now(loop->env),
                 env_wall(loop->env), &loop->core, err);
    if (r < 0)
        return r;
    /* Only who can answer may be reached: the sockets come last. */
    return net_listen(loop->conf, &loop->net, err);
}

int loop_run(const struct conf_broker *conf, const struct env *env, int signals, struct rm_err *err)
{
    struct loop loop = {.conf = conf, .env = env, .signals = signals};
    int r = loop_open(&loop, err);

    if (r >= 0) {
        for (size_t i = 0; i < conf->n_listen; i++)
            log_info("listens on %s", net_endpoint(loop.net, i));
        loop.watchdog = service_watchdog();
        service_ready("serving");
        r = serve(&loop, err);
        service_stopping();
    }
    net_free(loop.net);
    core_free(loop.core);
    arena_free(loop.arena);
    store_close(loop.store);
    return r;
}
