/* client.c - ask the broker: one request, one answer, with time-out and retry */
#include "submit/client.h"

#include "conf/env.h"
#include "conf/service.h"
#include "conf/unit.h"
#include "submit/out.h"
#include "wire/endpoint.h"
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

/* A frame that the socket did not take is offered again. */
#define OFFER_IN (100 * USEC_PER_MSEC)

struct client {
    struct net *net;
    char *endpoint;
    char *server;         /* its short name */
    char *command;        /* as typed; goes into the history */
    usec_t usual;         /* timeout, as set */
    usec_t timeout;       /* as it holds now */
    uint64_t tag;         /* of the last request */
    bool brief;           /* whoever asks says himself that nothing answers */
    bool connected;       /* during the last ask the broker was there */
    bool here;            /* it is there, as of the last look */
    enum net_state state; /* the last one that says more than "connecting" */
    int signals;          /* signalfd */
    int signal;           /* the last one that came */
};

/* The machine of an endpoint, up to its first dot. */
static char *server_name(const char *endpoint)
{
    char host[CONF_ENDPOINT_MAX];
    if (endpoint_is_loopback(endpoint) || !endpoint_is_tcp(endpoint)) {
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
    client->command = strdup(command);
    int r = -ENOMEM;
    if (!client->endpoint || !client->server || !client->command) {
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
    if (client->signals >= 0)
        close(client->signals);
    free(client->endpoint);
    free(client->server);
    free(client->command);
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

const char *client_endpoint(const struct client *client)
{
    return client->endpoint;
}

static bool changes_something(RmRequest__AskCase ask)
{
    switch (ask) {
    case RM_REQUEST__ASK_SUBMIT:
    case RM_REQUEST__ASK_EVACUATE:
    case RM_REQUEST__ASK_CANCEL:
    case RM_REQUEST__ASK_RETRY:
    case RM_REQUEST__ASK_RELEASE:
    case RM_REQUEST__ASK_PAUSE:
    case RM_REQUEST__ASK_RESUME:
    case RM_REQUEST__ASK_HOST_CHANGE:
    case RM_REQUEST__ASK_RECONCILE:
    case RM_REQUEST__ASK_TABLE_RESTORE:
    case RM_REQUEST__ASK_TABLES_RESTORE:
    case RM_REQUEST__ASK_TABLE_CHANGE:
    case RM_REQUEST__ASK_NODE_CHANGE:
    case RM_REQUEST__ASK_MODIFY:
        return true;
    default:
        return false;
    }
}

/* What stands around a noderange of digits only; NULL: what the broker takes for it. */
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

static int pack_request(struct client *client, RmRequest *request, uint8_t token[static TOKEN],
                        uint8_t **ret_frame, size_t *ret_length)
{
    RmDigits digits;
    request->version = (char *)service_version();
    request->command = client->command;
    request->digits = node_digits(&digits);
    if (changes_something(request->ask_case)) {
        for (size_t i = 0; i < TOKEN; i += sizeof(uint64_t)) {
            uint64_t n = env_random(env_system());
            memcpy(token + i, &n, sizeof(n));
        }
        request->token = (ProtobufCBinaryData){.data = token, .len = TOKEN};
    }
    RmMessage message = RM_MESSAGE__INIT;
    message.tag = ++client->tag;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = request;
    *ret_frame = msg_pack(&message, ret_length);
    request->token = (ProtobufCBinaryData){0};
    request->digits = NULL;
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

/* 1: a frame may be there; 0: the time is over; -EINTR. */
static int wait_for_answer(struct client *client, usec_t until)
{
    bool ready = false;
    usec_t now = env_now(env_system());
    int r = net_wait(client->net, &client->signals, 1, &ready, until > now ? until - now : 0);
    if (ready) {
        int signal = service_signal_read(client->signals);
        if (signal > 0) {
            client->signal = signal;
            return -EINTR;
        }
    }
    return r == -EINTR ? 0 : r;
}

static const char *trouble(const struct client *client)
{
    return client->connected                 ? "no answer"
           : client->state == NET_CONNECTING ? "nothing answers there"
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
    if (state != NET_CONNECTING)
        client->state = state;
    if (state != NET_REFUSED_KEY && state != NET_DENIED)
        return 0;
    return rm_fail(err, -EACCES, "Unable to reach the broker at %s: %s", client->endpoint,
                   net_state_text(state));
}

/* A request on its way: when it is sent, and for how long. */
struct talk {
    const uint8_t *frame;
    size_t length;
    usec_t hold_for;
    usec_t away_at;  /* since when the broker is not there; of no meaning while it is */
    usec_t send_at;  /* (again) */
    usec_t patience; /* until it is sent again */
    bool sent;
};

/* Sends the frame; again over a new connection, so that only one of them is answered. */
static int talk_send(struct client *client, struct talk *talk, usec_t now, struct rm_err *err)
{
    int r = talk->sent ? net_reconnect(client->net, err) : 0;
    if (r < 0)
        return r;
    if (talk->sent && talk->patience == 2 * RESEND_IN && !client->brief && isatty(STDERR_FILENO))
        out_note("the broker at %s: %s, waiting", client->endpoint, trouble(client));
    if (client->here)
        talk->away_at = now;
    client->here = client->here && !talk->sent;
    talk->sent = net_send(client->net, NULL, talk->frame, talk->length) >= 0;
    talk->send_at = now + (talk->sent ? talk->hold_for + talk->patience : OFFER_IN);
    talk->patience *= talk->sent ? 2 : 1;
    return 0;
}

/* When to give up: a broker that holds its answer back must be there. */
static usec_t talk_end(const struct client *client, const struct talk *talk, usec_t began_at)
{
    usec_t end = began_at + talk->hold_for + client->timeout;
    usec_t missed = talk->away_at + client->timeout;
    return !client->here && missed < end ? missed : end;
}

/* What was held back is lost with its connection, and is asked for again. */
static void talk_notice(const struct client *client, struct talk *talk, bool was_here, usec_t now)
{
    if (!was_here || client->here)
        return;
    talk->away_at = now;
    if (talk->send_at > now + RESEND_IN)
        talk->send_at = now + RESEND_IN;
}

/* Sends the frame until an answer comes. */
static int converse(struct client *client, struct talk *talk, struct arena *arena,
                    RmReply **ret_reply, struct rm_err *err)
{
    usec_t now = env_now(env_system()), began_at = now;
    int r = 0;
    talk->send_at = talk->away_at = now;
    while (r == 0) {
        now = env_now(env_system());
        usec_t give_up_at = talk_end(client, talk, began_at);
        if (now >= give_up_at)
            return unreachable(client, err);
        if (now >= talk->send_at && (r = talk_send(client, talk, now, err)) < 0)
            return r;
        bool was_here = client->here;
        r = wait_for_answer(client, talk->send_at < give_up_at ? talk->send_at : give_up_at);
        if (r > 0)
            r = take_answer(client, arena, ret_reply, err);
        if (r == 0)
            r = look_at_state(client, err);
        talk_notice(client, talk, was_here, now);
    }
    return r < 0 ? r : 0;
}

int client_ask(struct client *client, RmRequest *request, uint64_t hold_for, struct arena *arena,
               RmReply **ret_reply, struct rm_err *err)
{
    uint8_t token[TOKEN];
    uint8_t *frame;
    size_t length;
    int r = pack_request(client, request, token, &frame, &length);
    if (r < 0)
        return rm_fail(err, r, "the request is longer than %d MiB", MSG_MAX / 1024 / 1024);
    struct talk talk = {
        .frame = frame, .length = length, .hold_for = hold_for, .patience = RESEND_IN};
    client->connected = false;
    r = converse(client, &talk, arena, ret_reply, err);
    if (r == -EINTR)
        rm_fail(err, r, "interrupted");
    if (r < 0 && !client->connected) /* what was never sent shall not be carried out later */
        net_reconnect(client->net, NULL);
    free(frame);
    return r;
}

static int reply_code(const RmReply *reply)
{
    switch (reply->code) {
    case RM_CODE__CODE_OK:
        return EXIT_OK;
    case RM_CODE__CODE_USAGE:
        return EXIT_USAGE;
    case RM_CODE__CODE_TRY_AGAIN:
        return EXIT_NO_BROKER;
    case RM_CODE__CODE_TABLE:
        return EXIT_TABLE;
    case RM_CODE__CODE_NOT_PERMITTED:
        return EXIT_NOT_PERMITTED;
    default:
        return EXIT_SOME_FAILED;
    }
}

int client_question(struct client *client, RmRequest *request, uint64_t hold_for,
                    struct arena *arena, RmReply **ret_reply)
{
    struct rm_err err = {0};
    int r = client_ask(client, request, hold_for, arena, ret_reply, &err);
    if (r >= 0) {
        int code = reply_code(*ret_reply);
        if (code != EXIT_OK && (*ret_reply)->text[0])
            out_error("%s", (*ret_reply)->text);
        for (size_t i = 0; i < (*ret_reply)->n_warnings; i++)
            out_warning("%s", (*ret_reply)->warnings[i]);
        if (code > EXIT_SOME_FAILED)
            *ret_reply = NULL;
        return code;
    }
    *ret_reply = NULL;
    if (r != -EINTR)
        out_error("%s", err.text);
    if (client->connected && changes_something(request->ask_case))
        out_note(
            "whether this was carried out is not known: rmigrate jobs and rmigrate events tell");
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
    while (service_signal_read(client->signals) > 0)
        ;
    client->signal = 0;
}

const char *client_server(const struct client *client)
{
    return client->server;
}

int client_sleep(struct client *client, usec_t wait_for)
{
    struct pollfd fd = {.fd = client->signals, .events = POLLIN};
    if (poll(&fd, 1, (int)(wait_for / USEC_PER_MSEC)) <= 0)
        return 0;
    int signal = service_signal_read(client->signals);
    if (signal <= 0)
        return 0;
    client->signal = signal;
    return -EINTR;
}
