/* loop.c - one turn of the broker: wait, drain, decide, one commit, send */
#include "broker/loop.h"

#include "broker/core.h"
#include "conf/array.h"
#include "conf/endpoint.h"
#include "conf/log.h"
#include "conf/service.h"
#include "conf/text.h"
#include "conf/unit.h"
#include "store/dir.h"
#include "store/record.h"
#include "store/store.h"
#include "wire/key.h"
#include "wire/local.h"
#include "wire/msg.h"
#include "wire/net.h"
#include "wire/who.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

/* What one turn takes at most; the rest waits in the sockets, where each peer is served in its turn. A
 * message that takes longer than TURN_MSEC is the last of its turn. */
enum {
    TURN_MESSAGES = 4096,
    TURN_BYTES = 64 * 1024 * 1024,
    TURN_MSEC = 50,
    CONNECTIONS_SPARE = 64, /* that there should be for people, whatever the number of workers */
    CHANGES_TOLD = 200,     /* settings that have changed, of one reading */
};

struct loop {
    const struct conf_broker *conf;
    struct conf_broker *read_again; /* conf, when it has been read again; owned */
    const char *file;               /* where that is from */
    const struct env *env;
    struct store *store;
    struct net *net;
    struct core *core;
    struct arena *arena;
    struct log_limit bad;    /* damaged messages */
    struct log_limit unread; /* peers that do not read */
    struct log_limit dropped;
    uint64_t refused; /* keys, as far as the log knows */
    struct log_limit refusals;
    struct net_crowd turned_away; /* as far as the log knows */
    struct log_limit crowds, shares, fouls, heavies;
    struct watchdog watchdog;
    int signals;
    bool hangup; /* the settings are to be read again */
    uid_t hangup_by;
};

/* Takes what has arrived, but no more than one turn may hold. False: nothing had. */
static bool drain(struct loop *loop, usec_t now)
{
    size_t bytes = 0;
    unsigned n;

    for (n = 0; n < TURN_MESSAGES && bytes < TURN_BYTES &&
                (n == 0 || env_now(loop->env) - now < TURN_MSEC * USEC_PER_MSEC);
         n++) {
        struct net_peer peer;
        struct net_frame frame;
        struct rm_err err = {0};
        RmMessage *message;
        int r = net_recv(loop->net, &peer, &frame);
        if (r < 0)
            break;
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
    return n > 0;
}

static int commit(struct loop *loop, struct rm_err *err)
{
    usec_t began = env_now(loop->env);
    bool writes = store_is_dirty(loop->store);
    int r = core_commit(loop->core, err);

    if (r >= 0 && writes)
        core_took(loop->core, RM_MEASURE__MEASURE_COMMIT, env_now(loop->env) - began);
    return r;
}

/* Only what is on disk may be heard. */
static void send_all(struct loop *loop, usec_t now)
{
    struct core_out out;

    while (core_next_out(loop->core, &out)) {
        int r = net_send(loop->net, out.peer, out.frame, out.length);
        if (r == -EHOSTUNREACH)
            core_gone(loop->core, out.peer);
        else if (r == -EAGAIN && log_allowed(&loop->unread, now, 60 * USEC_PER_SEC, 5))
            log_warn(
                "peer=%s address=%s: does not read what it is sent: more than %d messages wait, "
                "the rest is dropped",
                out.peer->user, out.peer->address, NET_PEER_MAX);
    }
}

/* A peer that asks for more than it waits for. */
static void tell_dropped(struct loop *loop, usec_t now)
{
    struct net_peer peer;

    if (net_dropped(loop->net, &peer) && log_allowed(&loop->dropped, now, 60 * USEC_PER_SEC, 5))
        log_warn("peer=%s address=%s: too much that it sent waits to be read: disconnected",
                 peer.user, peer.address);
}

static void tell_notes(struct loop *loop)
{
    struct core_line line;

    while (core_next_note(loop->core, &line))
        log_notice(line.notice, line.level, "%s", line.text);
}

/* A key that is not in the list is how a wrong set-up shows itself. */
static void tell_refusals(struct loop *loop, usec_t now)
{
    const struct net_refusal *refusal = net_refusal(loop->net);

    if (refusal->count == loop->refused)
        return;
    loop->refused = refusal->count;
    if (log_allowed(&loop->refusals, now, 60 * USEC_PER_SEC, 10))
        log_notice(NOTICE_KEY_REFUSED, LOG_LEVEL_WARN,
                   "address=%s: refused the key %s, which is not in broker.allow", refusal->address,
                   refusal->public_key);
}

static void tell_crowd(struct loop *loop, usec_t now)
{
    struct net_crowd crowd = net_crowd(), *told = &loop->turned_away;

    if (crowd.refused != told->refused && log_allowed(&loop->crowds, now, 60 * USEC_PER_SEC, 1)) {
        log_warn("%zu connections are open, as many as there may be: refused %" PRIu64
                 " more; raise the number of files (LimitNOFILE), or look who connects",
                 net_connections_max(loop->net), crowd.refused - told->refused);
        told->refused = crowd.refused;
    }
    if (crowd.over_share != told->over_share &&
        log_allowed(&loop->shares, now, 60 * USEC_PER_SEC, 1)) {
        log_warn("%s: has %d %% of all connections, which is the most for one user or address: "
                 "refused %" PRIu64 " more",
                 crowd.who, NET_SHARE_PERCENT, crowd.over_share - told->over_share);
        told->over_share = crowd.over_share;
    }
    if (crowd.foul != told->foul && log_allowed(&loop->fouls, now, 60 * USEC_PER_SEC, 1)) {
        log_warn("ended %" PRIu64
                 " connections whose peers named a routing id (ZMQ_ROUTING_ID), sent a "
                 "message in parts, or spoke no ZMTP 3: rmigrate's programs do none of it",
                 crowd.foul - told->foul);
        told->foul = crowd.foul;
    }
    if (crowd.heavy != told->heavy && log_allowed(&loop->heavies, now, 60 * USEC_PER_SEC, 1)) {
        log_warn("%s: ended %" PRIu64 " connections with too many unfinished messages", crowd.who,
                 crowd.heavy - told->heavy);
        told->heavy = crowd.heavy;
    }
}

/* A connection for each worker, and as many people. */
static void tell_files(const struct loop *loop, size_t hosts)
{
    size_t workers = loop->conf->n_keys > hosts ? loop->conf->n_keys : hosts;
    size_t needs = 2 * workers + CONNECTIONS_SPARE;

    if (net_connections_max(loop->net) < needs)
        log_warn(
            "only %zu connections may be open at once, and %zu keys and hypervisors may need %zu: "
            "raise the number of files (LimitNOFILE)",
            net_connections_max(loop->net), workers, needs);
}

/* ---- the settings, read again */

/* What has changed, as lines. */
struct changes {
    char *lines[CHANGES_TOLD];
    bool fixed[CHANGES_TOLD];
    size_t n; /* there may be more than are told */
};

static void note_change(void *ctx, const struct conf_change *change)
{
    struct changes *changes = ctx;
    size_t i = changes->n++;
    char text[RM_ERR_MAX];

    if (i >= CHANGES_TOLD)
        return;
    if (!change->from)
        text_format(text, sizeof(text), "%s: %s is new", change->name, change->to);
    else if (!change->to)
        text_format(text, sizeof(text), "%s: %s is gone", change->name, change->from);
    else
        text_format(text, sizeof(text), "%s: %s -> %s", change->name, change->from, change->to);
    changes->lines[i] = must(strdup(text));
    changes->fixed[i] = change->fixed;
}

static void tell_changes(struct loop *loop, struct changes *changes)
{
    char who[CONF_NAME_MAX + 1], text[RM_ERR_MAX];
    size_t told = changes->n < CHANGES_TOLD ? changes->n : CHANGES_TOLD, used = 0;

    if (who_user(loop->hangup_by, who) < 0)
        snprintf(who, sizeof(who), "uid-%u", (unsigned)loop->hangup_by);
    log_info("user=%s: settings read again from %s, %zu changed", who, conf_file(loop->file),
             changes->n);
    text_format(text, sizeof(text), "settings read again: ");
    for (size_t i = 0; i < told; i++) {
        if (changes->fixed[i])
            log_notice(NOTICE_NEEDS_RESTART, LOG_LEVEL_WARN, "needs a restart: %s",
                       changes->lines[i]);
        else
            log_info("settings: %s", changes->lines[i]);
        used = strlen(text);
        text_format(text + used, sizeof(text) - used, "%s%s%s", i > 0 ? "; " : "",
                    changes->fixed[i] ? "needs a restart: " : "", changes->lines[i]);
        free(changes->lines[i]);
    }
    if (changes->n > told)
        log_info("settings: and %zu more", changes->n - told);
    if (changes->n > 0)
        core_tell(loop->core, who, text);
}

static void peer_changed(void *ctx, const struct net_peer *peer)
{
    struct loop *loop = ctx;

    core_peer_changed(loop->core, peer, net_peer_hosts(loop->net, peer));
}

/* Whatever may be wrong is found before anything is changed. */
static int settings_again(struct loop *loop, struct changes *changes, struct rm_err *err)
{
    struct conf_broker *next = must(calloc(1, sizeof(*next))), *before = loop->read_again;
    int r = conf_broker_again(loop->file, loop->conf, next, note_change, changes, err);

    if (r >= 0)
        r = core_try(next, err);
    if (r >= 0)
        r = net_settings(loop->net, next, peer_changed, loop, err);
    if (r < 0) {
        conf_broker_done(next);
        free(next);
        return r;
    }
    core_settings(loop->core, next);
    loop->conf = loop->read_again = next;
    if (before)
        conf_broker_done(before);
    free(before);
    return 0;
}

static void hangup(struct loop *loop, usec_t now)
{
    struct changes *changes = must(calloc(1, sizeof(*changes)));
    struct rm_err err = {0};

    service_reloading(now);
    if (settings_again(loop, changes, &err) < 0) {
        log_notice(NOTICE_SETTINGS_REFUSED, LOG_LEVEL_ERROR,
                   "settings are not read again, all stay as they were: %s", err.text);
        for (size_t i = 0; i < changes->n && i < CHANGES_TOLD; i++)
            free(changes->lines[i]);
    } else {
        tell_changes(loop, changes);
    }
    free(changes);
    service_ready("serving");
    loop->hangup = false;
}

/* ---- a turn */

static int turn(struct loop *loop, struct rm_err *err)
{
    usec_t now = env_now(loop->env);

    core_begin(loop->core, now, env_wall(loop->env));
    if (loop->hangup)
        hangup(loop, now);
    bool works = drain(loop, now);
    tell_refusals(loop, now);
    tell_dropped(loop, now);
    tell_crowd(loop, now);
    core_tick(loop->core);
    works = works || store_is_dirty(loop->store);
    int r = commit(loop, err);
    if (r < 0)
        tell_notes(loop);
    if (r == -ENOSPC)
        r = core_begin_anew(&loop->core, env_random(loop->env), err);
    if (r < 0)
        return r;
    send_all(loop, now); /* who waits comes before the log */
    tell_notes(loop);
    if (works)
        core_took(loop->core, RM_MEASURE__MEASURE_TURN, env_now(loop->env) - now);
    service_alive(&loop->watchdog, now);
    return 0;
}

static int serve(struct loop *loop, struct rm_err *err)
{
    for (;;) {
        bool ready = false;
        usec_t wait_for =
            service_wait(&loop->watchdog, env_now(loop->env), core_deadline(loop->core));
        int r = net_wait(loop->net, &loop->signals, 1, &ready, wait_for);
        if (r < 0 && r != -EINTR)
            return rm_fail(err, r, "cannot wait for messages: %s", strerror(-r));
        if (ready) {
            int signal = service_signal_read(loop->signals, &loop->hangup_by);
            loop->hangup = loop->hangup || signal == SIGHUP;
            if (signal == SIGTERM || signal == SIGINT) {
                log_info("signal=%d: ends; workers continue what is in progress", signal);
                return 0;
            }
        }
        r = turn(loop, err);
        if (r < 0)
            return r;
    }
}

/* A disk that is full ends the broker before a store that is full refuses anything. */
static void tell_disk(const struct conf_broker *conf)
{
    char text[UNIT_TEXT_MAX];
    uint64_t missing = store_disk_missing(conf->store, conf->store_size);

    if (missing > 0)
        log_warn(
            "store=%s: its disk has %s less than store_size needs: make room there, or a smaller "
            "store_size",
            conf->store, unit_size_text(missing, text));
}

static int loop_open(struct loop *loop, struct rm_err *err)
{
    int r = store_open(loop->conf->store, loop->conf->store_size, STORE_CREATE, &loop->store, err);

    if (r < 0)
        return r;
    tell_disk(loop->conf);
    r = record_open(loop->store, err);
    if (r < 0)
        return r;
    loop->arena = arena_new(0);
    if (!loop->arena)
        return rm_fail(err, -ENOMEM, "no memory");
    r = core_new(loop->conf, loop->store, env_random(loop->env), env_now(loop->env),
                 env_wall(loop->env), &loop->core, err);
    if (r < 0)
        return r;
    tell_notes(loop); /* what the store said: the first turn begins anew */
    /* Only who can answer may be reached: the sockets come last. */
    return net_listen(loop->conf, &loop->net, err);
}

int loop_run(const struct conf_broker *conf, const char *file, const struct env *env, int signals,
             struct rm_err *err)
{
    struct loop loop = {.conf = conf, .file = file, .env = env, .signals = signals};
    int r = loop_open(&loop, err);

    if (r >= 0) {
        for (size_t i = 0; i < conf->n_listen; i++)
            log_info("listens on %s", net_endpoint(loop.net, i));
        tell_files(&loop, store_count(loop.store, STORE_HOST));
        loop.watchdog = service_watchdog();
        service_ready("serving");
        r = serve(&loop, err);
        service_stopping();
    }
    net_free(loop.net);
    core_free(loop.core);
    arena_free(loop.arena);
    store_close(loop.store);
    if (loop.read_again)
        conf_broker_done(loop.read_again);
    free(loop.read_again);
    return r;
}

/* As loop_open() goes along. A store that is not there yet is no fault, but may be a wrong name. */
unsigned loop_check(const struct conf_broker *conf)
{
    struct rm_err err;
    bool is_new = false;
    unsigned wrong = service_wrong(place_try(conf->store, &is_new, &err), &err);

    if (!wrong && is_new)
        log_info("store=%s: there is none, the broker will begin an empty one", conf->store);
    if (!wrong)
        tell_disk(conf);
    wrong += service_wrong(core_try(conf, &err), &err);
    if (conf->key_file)
        wrong += service_wrong(net_key_check(conf->key_file, &err), &err);
    for (size_t i = 0; i < conf->n_listen; i++) {
        const char *path = endpoint_path(conf->listen[i]);
        if (path)
            wrong += service_wrong(local_try(path, conf, &err), &err);
    }
    return wrong;
}
