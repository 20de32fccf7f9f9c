/* client.c - ask the broker: one request, one answer, with time-out and retry */
#include "submit/client.h"

#include "conf/endpoint.h"
#include "conf/env.h"
#include "conf/service.h"
#include "conf/unit.h"
#include "submit/out.h"
#include "wire/local.h"
#include "wire/net.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TOKEN = 16 }; /* bytes */

/* The first time that nothing is heard for this long, the request is sent again; then twice as
 * long. */
#define RESEND_IN (2 * USEC_PER_SEC)

/* A broker on this machine that is not running is not waited for any longer, unless it was there before:
 * then it is being restarted. */
#define DESERTED_FOR (800 * USEC_PER_MSEC)

/* A frame that the socket did not take is offered again. */
#define OFFER_IN (100 * USEC_PER_MSEC)

struct client {
    struct net *net;
    struct arena *arena;
    char *endpoint;
    char *server;         /* its short name */
    const char *command;  /* as typed; goes into the history */
    usec_t usual;         /* timeout, as set */
    usec_t timeout;       /* as it holds now */
    uint64_t tag;         /* of the last request */
    bool brief;           /* whoever asks says himself that nothing answers */
    bool connected;       /* during the last ask the broker was there */
    bool here;            /* it is there, as of the last look */
    bool met;             /* it was there once */
    enum net_state state; /* the last one that says more than "connecting" */
    int signals;          /* signalfd */
    int signal;           /* the last one that came */
    struct client_watch watch;
    bool is_told; /* the last wait ended with what it says */
};

/* The machine of an endpoint, up to its first dot. */
static char *server_name(const char *endpoint)
{
    char host[CONF_ENDPOINT_MAX];
    if (endpoint_is_local(endpoint)) {
        if (gethostname(host, sizeof(host)) < 0)
            strcpy(host, "localhost");
        host[sizeof(host) - 1] = '\0';
    } else if (!endpoint_host(endpoint, host, sizeof(host))) {
        return strdup(endpoint);
    }
    if (!endpoint_is_ipv4(host) && !strchr(host, ':'))
        host[strcspn(host, ".")] = '\0';
    return strdup(host);
}

int client_new(const struct conf_client *conf, const char *command, struct client **ret_client,
               struct rm_err *err)
{
    struct client *client = calloc(1, sizeof(*client));
    if (!client)
        return rm_fail(err, -ENOMEM, "no memory");
    client->signals = -1;
    client->timeout = client->usual = conf->timeout;
    client->endpoint = strdup(conf->broker);
    client->server = server_name(conf->broker);
    client->command = command;
    client->arena = arena_new(0);
    int r = -ENOMEM;
    if (!client->arena || !client->endpoint || !client->server) {
        rm_fail(err, r, "no memory");
        goto fail;
    }
    client->signals = r = service_signals();
    if (r < 0) {
        rm_fail(err, r, "signals: %s", strerror(-r));
        goto fail;
    }
    r = net_connect(conf->broker, conf->key_file, conf->server_key, &client->net, err);
    if (r < 0)
        goto fail;
    *ret_client = client;
    return 0;
fail:
    client_free(client);
    return r;
}

void client_free(struct client *client)
{
    if (!client)
        return;
    net_free(client->net);
    arena_free(client->arena);
    if (client->signals >= 0)
        close(client->signals);
    free(client->endpoint);
    free(client->server);
    free(client);
}

void client_be_brief(struct client *client, usec_t timeout)
{
    client->timeout = timeout < client->usual ? timeout : client->usual;
    client->brief = true;
}

int client_signal(const struct client *client)
{
    return client->signal;
}

struct arena *client_arena(struct client *client)
{
    return client->arena;
}

const char *client_endpoint(const struct client *client)
{
    return client->endpoint;
}

RmRequest client_request(RmRequest__AskCase ask, void *message)
{
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = ask;
    request.ping = message; /* one union of pointers */
    return request;
}

/* What is put around a noderange of digits only; NULL: what the broker puts there. */
static RmDigits *node_digits(RmDigits *digits)
{
    const char *prefix = getenv("RMIGRATE_NODE_PREFIX"), *suffix = getenv("RMIGRATE_NODE_SUFFIX");
    if (!prefix)
        prefix = getenv("XCAT_NODE_PREFIX");
    if (!suffix)
        suffix = getenv("XCAT_NODE_SUFFIX");
    if (!prefix && !suffix)
        return NULL;
    rm_digits__init(digits);
    digits->prefix = (char *)(prefix ? prefix : "node");
    digits->suffix = (char *)(suffix ? suffix : "");
    return digits;
}

/* Of a request that changes something; all its pages have it. */
static void make_token(uint8_t token[static TOKEN])
{
    for (size_t i = 0; i < TOKEN; i += sizeof(uint64_t)) {
        uint64_t n = env_random(env_system());
        memcpy(token + i, &n, sizeof(n));
    }
}

static int pack_request(struct client *client, RmRequest *request, uint8_t token[static TOKEN],
                        const char *page, uint8_t **ret_frame, size_t *ret_length)
{
    RmDigits digits;
    request->pages = true;
    request->page = (char *)page;
    request->version = (char *)service_version();
    request->command = (char *)client->command;
    request->digits = node_digits(&digits);
    if (msg_changes(request->ask_case))
        request->token = (ProtobufCBinaryData){.data = token, .len = TOKEN};
    RmMessage message = RM_MESSAGE__INIT;
    message.tag = ++client->tag;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = request;
    *ret_frame = msg_pack(&message, ret_length);
    request->token = (ProtobufCBinaryData){0};
    request->digits = NULL;
    request->page = (char *)protobuf_c_empty_string;
    return *ret_frame ? 0 : -EMSGSIZE;
}

/* Looks through what has arrived. 1: the answer is there; 0: not yet. */
static int take_answer(struct client *client, struct arena *arena, RmReply **ret_reply,
                       struct rm_err *err)
{
    for (;;) {
        struct net_frame frame;
        int r = net_recv(client->net, NULL, &frame);
        if (r == -EAGAIN || r == -EINTR)
            return 0;
        if (r < 0)
            return rm_fail(err, r, "reading from the broker at %s: %s", client->endpoint,
                           strerror(-r));
        RmMessage *message;
        r = msg_unpack(arena, frame.data, frame.length, &message, err);
        net_frame_free(&frame);
        if (r < 0)
            return rm_prefix(err, r, "the answer of the broker at %s", client->endpoint);
        if (message->body_case != RM_MESSAGE__BODY_REPLY || message->tag != client->tag)
            continue; /* an answer that came too late for an earlier question */
        *ret_reply = message->reply;
        return 1;
    }
}

/* 1: a frame may be there; 0: it may be looked again whether the time is over; -EINTR: a signal came; what
 * the watch says. net NULL: only that. */
static int wait_once(struct client *client, struct net *net, usec_t until)
{
    const struct client_watch *watch = &client->watch;
    usec_t now = env_now(env_system()), wait_for = until > now ? until - now : 0;
    int fds[] = {client->signals, watch->fd}, r = 0;
    nfds_t n = watch->turn ? 2 : 1;
    bool ready[] = {false, false};
    if (watch->turn && watch->every < wait_for)
        wait_for = watch->every;
    if (net) {
        r = net_wait(net, fds, n, ready, wait_for);
    } else {
        struct pollfd polled[] = {{.fd = fds[0], .events = POLLIN},
                                  {.fd = fds[1], .events = POLLIN}};
        ready[0] = poll(polled, n, (int)(wait_for / USEC_PER_MSEC)) > 0 && polled[0].revents;
    }
    int signal = ready[0] ? service_signal_read(client->signals, NULL) : 0;
    if (signal > 0) {
        client->signal = signal;
        return -EINTR;
    }
    int told = watch->turn ? watch->turn(watch->with) : 0;
    client->is_told = told < 0;
    return told < 0 ? told : r == -EINTR ? 0 : r;
}

static const char *trouble(const struct client *client)
{
    return client->connected                 ? "no answer"
           : client->state == NET_CONNECTING ? "nothing answers there"
           : client->state == NET_CONNECTED  ? "the connection was lost"
                                             : net_state_text(client->state);
}

static int unreachable(const struct client *client, struct rm_err *err)
{
    char span[UNIT_TEXT_MAX];
    return rm_fail(err, -ETIMEDOUT, "Unable to reach the broker at %s within %s: %s",
                   client->endpoint, unit_duration_text(client->timeout, span), trouble(client));
}

/* What the socket knows by now. -EACCES: there is no use in waiting. */
static int look_at_state(struct client *client, struct rm_err *err)
{
    enum net_state state = net_state(client->net);
    client->here = state == NET_CONNECTED;
    client->connected = client->connected || client->here;
    client->met = client->met || client->here;
    if (state != NET_CONNECTING)
        client->state = state;
    if (state != NET_REFUSED_KEY && state != NET_DENIED)
        return 0;
    return rm_fail(err, -EACCES, "Unable to reach the broker at %s: %s%s", client->endpoint,
                   net_state_text(state),
                   state == NET_DENIED ? "; run it as root or as a member of its group, or set "
                                         "RMIGRATE_CONF to the settings with your key"
                                       : "");
}

/* A request on its way: when it is sent, and for how long. */
struct exchange {
    const uint8_t *frame;
    size_t length;
    usec_t hold_for;
    usec_t away_at;  /* since when the broker is not there; of no meaning while it is */
    usec_t send_at;  /* (again) */
    usec_t patience; /* until it is sent again */
    bool sent;
};

/* Sends the frame; again over a new connection, so that only one of them is answered. */
static int exchange_send(struct client *client, struct exchange *x, usec_t now, struct rm_err *err)
{
    int r = x->sent ? net_reconnect(client->net, err) : 0;
    if (r < 0)
        return r;
    if (x->sent && x->patience == 2 * RESEND_IN && !client->brief && isatty(STDERR_FILENO))
        out_note("the broker at %s: %s, waiting", client->endpoint, trouble(client));
    if (client->here)
        x->away_at = now;
    client->here = client->here && !x->sent;
    x->sent = net_send(client->net, NULL, x->frame, x->length) >= 0;
    x->send_at = now + (x->sent ? x->hold_for + x->patience : OFFER_IN);
    x->patience *= x->sent ? 2 : 1;
    return 0;
}

/* When to give up: a broker that holds its answer back must be there. */
static usec_t exchange_end(const struct client *client, const struct exchange *x, usec_t began_at)
{
    usec_t end = began_at + x->hold_for + client->timeout;
    usec_t missed = x->away_at + client->timeout;
    return !client->here && missed < end ? missed : end;
}

/* What was held back is lost with its connection, and is asked for again. */
static void exchange_notice(const struct client *client, struct exchange *x, bool was_here,
                            usec_t now)
{
    if (!was_here || client->here)
        return;
    x->away_at = now;
    if (x->send_at > now + RESEND_IN)
        x->send_at = now + RESEND_IN;
}

static bool is_deserted(const struct client *client, usec_t waited)
{
    const char *path = endpoint_path(client->endpoint);
    return path && !client->met && waited >= DESERTED_FOR && local_is_deserted(path);
}

/* Sends the frame until an answer comes. */
static int exchange_run(struct client *client, struct exchange *x, struct arena *arena,
                        RmReply **ret_reply, struct rm_err *err)
{
    usec_t now = env_now(env_system()), began_at = now;
    int r = 0;
    x->send_at = x->away_at = now;
    while (r == 0) {
        now = env_now(env_system());
        usec_t give_up_at = exchange_end(client, x, began_at);
        if (now >= give_up_at)
            return unreachable(client, err);
        if (is_deserted(client, now - began_at))
            return rm_fail(err, -ETIMEDOUT,
                           "Unable to reach the broker at %s: nobody listens there; is "
                           "rmigrate-broker running?",
                           client->endpoint);
        if (now >= x->send_at && (r = exchange_send(client, x, now, err)) < 0)
            return r;
        bool was_here = client->here;
        usec_t until = x->send_at < give_up_at ? x->send_at : give_up_at;
        if (!client->met && began_at + DESERTED_FOR > now && began_at + DESERTED_FOR < until)
            until = began_at + DESERTED_FOR;
        r = wait_once(client, client->net, until);
        if (r > 0)
            r = take_answer(client, arena, ret_reply, err);
        if (r == 0)
            r = look_at_state(client, err);
        exchange_notice(client, x, was_here, now);
    }
    return r < 0 ? r : 0;
}

/* One page of the answer. */
static int ask_page(struct client *client, RmRequest *request, uint8_t token[static TOKEN],
                    const char *page, uint64_t hold_for, struct arena *arena, RmReply **ret_reply,
                    struct rm_err *err)
{
    uint8_t *frame;
    size_t length;
    int r = pack_request(client, request, token, page, &frame, &length);
    if (r < 0)
        return rm_fail(err, r, "the request is longer than %d MiB", MSG_MAX / 1024 / 1024);
    struct exchange x = {
        .frame = frame, .length = length, .hold_for = hold_for, .patience = RESEND_IN};
    client->connected = false;
    r = exchange_run(client, &x, arena, ret_reply, err);
    if (r == -EINTR)
        rm_fail(err, r, "interrupted");
    else if (r < 0 && client->is_told && client->watch.why)
        rm_fail(err, r, "%s", client->watch.why);
    if (r < 0 && !client->connected) /* what was never sent shall not be carried out later */
        net_reconnect(client->net, NULL);
    free(frame);
    return r;
}

/* Puts a page behind those before it. What is no row is said by the first one; the worst code counts. */
static int add_page(struct arena *arena, RmReply *whole, RmReply *page, struct rm_err *err)
{
    if (whole->page[0] && strcmp(page->page, whole->page) == 0)
        return rm_fail(err, -EPROTO, "the broker answers the same page again");
    whole->page = page->page;
    if (page->code > whole->code) {
        whole->code = page->code;
        whole->text = page->text;
    }
    if (msg_append(arena, &whole->base, &page->base) < 0)
        return rm_fail(err, -ENOMEM, "the answer takes too much memory");
    return 0;
}

/* A job that refers to a list of hosts of its batch gets it. */
static void give_lists(const RmReply *reply)
{
    for (size_t i = 0, k = 0; i < reply->n_jobs && reply->n_lists > 0; i++) {
        RmJob *job = reply->jobs[i]->job;
        for (size_t n = 0; job && n < reply->n_lists && reply->lists[k]->batch != job->batch; n++)
            k = (k + 1) % reply->n_lists;
        const RmBatchLists *of = reply->lists[k];
        if (!job || of->batch != job->batch || job->to_list == 0 || job->to_list > of->n_lists)
            continue;
        job->to = of->lists[job->to_list - 1]->hosts;
        job->n_to = of->lists[job->to_list - 1]->n_hosts;
    }
}

int client_ask(struct client *client, RmRequest *request, uint64_t hold_for, struct arena *arena,
               RmReply **ret_reply, struct rm_err *err)
{
    uint8_t token[TOKEN] = {0};
    RmReply *whole = NULL, *page = NULL;
    if (msg_changes(request->ask_case))
        make_token(token);
    int r = ask_page(client, request, token, "", hold_for, arena, &whole, err);
    while (r >= 0 && whole && whole->page[0]) {
        r = ask_page(client, request, token, whole->page, 0, arena, &page, err);
        if (r >= 0 && page)
            r = add_page(arena, whole, page, err);
    }
    if (r < 0 || !whole)
        return r;
    give_lists(whole);
    *ret_reply = whole;
    return r;
}

static int reply_code(const RmReply *reply)
{
    static const int codes[] = {
        [RM_CODE__CODE_OK] = EXIT_OK,           [RM_CODE__CODE_SOME_FAILED] = EXIT_SOME_FAILED,
        [RM_CODE__CODE_USAGE] = EXIT_USAGE,     [RM_CODE__CODE_TRY_AGAIN] = EXIT_NO_BROKER,
        [RM_CODE__CODE_TABLE] = EXIT_TABLE,     [RM_CODE__CODE_NOT_PERMITTED] = EXIT_NOT_PERMITTED,
        [RM_CODE__CODE_CHANGED] = EXIT_CHANGED,
    };
    bool is_known = (unsigned)reply->code < sizeof(codes) / sizeof(codes[0]);
    return is_known ? codes[reply->code] : EXIT_SOME_FAILED;
}

int client_question(struct client *client, RmRequest *request, uint64_t hold_for,
                    struct arena *arena, RmReply **ret_reply)
{
    struct rm_err err = {0};
    int r = client_ask(client, request, hold_for, arena ? arena : client->arena, ret_reply, &err);
    if (r >= 0) {
        int code = reply_code(*ret_reply);
        if (code != EXIT_OK && (*ret_reply)->text[0])
            out_error("%s", (*ret_reply)->text);
        for (size_t i = 0; i < (*ret_reply)->n_warnings; i++)
            out_warning("%s", (*ret_reply)->warnings[i]);
        if (code > EXIT_SOME_FAILED && code != EXIT_CHANGED) /* which says what has */
            *ret_reply = NULL;
        return code;
    }
    *ret_reply = NULL;
    if (r != -EINTR)
        out_error("%s", err.text);
    if (client->connected && msg_changes(request->ask_case))
        out_note("it is not known whether this was carried out; see rmigrate jobs and rmigrate "
                 "events");
    return client_code(client, r);
}

int client_code(const struct client *client, int r)
{
    switch (r) {
    case -EINTR:
        return 128 + client->signal;
    case -EACCES:
    case -EPERM:
        return EXIT_NOT_PERMITTED;
    case -EINVAL:
    case -EMSGSIZE:
        return EXIT_USAGE;
    case -ENOMEM:
    case -EPIPE:
    case -ENOENT:
        return EXIT_SOME_FAILED;
    default:
        return EXIT_NO_BROKER;
    }
}

void client_forget_signal(struct client *client)
{
    while (service_signal_read(client->signals, NULL) > 0)
        ;
    client->signal = 0;
}

const char *client_server(const struct client *client)
{
    return client->server;
}

int client_sleep(struct client *client, usec_t wait_for)
{
    usec_t until = env_now(env_system()) + wait_for;
    int r;
    do
        r = wait_once(client, NULL, until);
    while (r == 0 && env_now(env_system()) < until);
    return r;
}

void client_watch(struct client *client, const struct client_watch *watch)
{
    client->watch = *watch;
}
