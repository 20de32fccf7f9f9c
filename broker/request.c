/* request.c - client requests: who may ask what, and each thing once */
#include "broker/request.h"

#include "conf/service.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOKEN_REPLY_MAX = 1024 * 1024, /* bytes of a reply that is kept whole for a repeated request */
    REASON_MAX = 4096,             /* bytes: it is stored with each job */
};

static void ping(struct core *core, struct request *request);

/* What a request does to the store. */
enum effect {
    LOOKS,
    CHANGES, /* carried out once, by its token */
    ADDS,    /* the same, and needs room that a store which is nearly full keeps for results */
};

/* One row for each request: the least role that may ask, whether it changes something (then it
 * needs a token and is carried out once), and who carries it out. */
static const struct handler {
    RmRequest__AskCase ask;
    enum role role;
    enum effect effect;
    void (*f)(struct core *core, struct request *request);
} handlers[] = {
    {RM_REQUEST__ASK_PING, ROLE_VIEWER, LOOKS, ping},
    {RM_REQUEST__ASK_LIST_JOBS, ROLE_VIEWER, LOOKS, list_jobs},
    {RM_REQUEST__ASK_SHOW, ROLE_VIEWER, LOOKS, list_show},
    {RM_REQUEST__ASK_HISTORY, ROLE_VIEWER, LOOKS, list_history},
    {RM_REQUEST__ASK_QUEUE, ROLE_VIEWER, LOOKS, list_hosts},
    {RM_REQUEST__ASK_HOSTS, ROLE_VIEWER, LOOKS, list_hosts},
    {RM_REQUEST__ASK_WORKERS, ROLE_VIEWER, LOOKS, list_workers},
    {RM_REQUEST__ASK_GUESTS, ROLE_VIEWER, LOOKS, list_guests},
    {RM_REQUEST__ASK_EVENTS, ROLE_VIEWER, LOOKS, list_events},
    {RM_REQUEST__ASK_TABLE_DUMP, ROLE_VIEWER, LOOKS, site_dump},
    {RM_REQUEST__ASK_TABLE_GET, ROLE_VIEWER, LOOKS, site_get},
    {RM_REQUEST__ASK_NODES, ROLE_VIEWER, LOOKS, site_nodes},
    {RM_REQUEST__ASK_SUBMIT, ROLE_OPERATOR, ADDS, wish_submit},
    {RM_REQUEST__ASK_EVACUATE, ROLE_OPERATOR, ADDS, wish_evacuate},
    {RM_REQUEST__ASK_CANCEL, ROLE_OPERATOR, CHANGES, change_cancel},
    {RM_REQUEST__ASK_PAUSE, ROLE_OPERATOR, CHANGES, change_pause},
    {RM_REQUEST__ASK_RESUME, ROLE_OPERATOR, CHANGES, change_resume},
    {RM_REQUEST__ASK_RETRY, ROLE_OPERATOR, ADDS, change_retry},
    {RM_REQUEST__ASK_HOST_CHANGE, ROLE_OPERATOR, CHANGES, change_host},
    {RM_REQUEST__ASK_RELEASE, ROLE_ADMIN, CHANGES, change_release},
    {RM_REQUEST__ASK_RECONCILE, ROLE_OPERATOR, CHANGES, change_reconcile},
    {RM_REQUEST__ASK_MODIFY, ROLE_OPERATOR, CHANGES, change_modify},
    {RM_REQUEST__ASK_TABLE_RESTORE, ROLE_ADMIN, ADDS, site_restore},
    {RM_REQUEST__ASK_TABLES_RESTORE, ROLE_ADMIN, ADDS, site_restore_several},
    {RM_REQUEST__ASK_TABLE_CHANGE, ROLE_ADMIN, ADDS, site_table_change},
    {RM_REQUEST__ASK_NODE_CHANGE, ROLE_ADMIN, ADDS, site_node_change},
};

void request_refuse(struct core *core, struct request *request, RmCode code, const char *format,
                    ...)
{
    char text[RM_ERR_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    request->reply->code = code;
    request->reply->text = arena_strdup(core->arena, text);
    if (request->reply->text == NULL)
        request->reply->text = (char *)"no memory";
}

RmOutcome *request_outcome(struct core *core, struct request *request, const char *name, bool ok,
                           const char *format, ...)
{
    RmOutcome *outcome = arena_alloc(core->arena, sizeof(*outcome));
    char text[RM_ERR_MAX];
    va_list args;

    if (outcome == NULL)
        return NULL;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    rm_outcome__init(outcome);
    outcome->name = arena_strdup(core->arena, name);
    outcome->text = arena_strdup(core->arena, text);
    outcome->ok = ok;
    if (outcome->name == NULL || outcome->text == NULL ||
        ARENA_PUSH(core->arena, request->reply->n_outcomes, request->reply->outcomes, outcome) < 0)
        return NULL;
    if (!ok && request->reply->code == RM_CODE__CODE_OK)
        request->reply->code = RM_CODE__CODE_SOME_FAILED;
    return outcome;
}

void request_ask(struct core *core, struct request *request, struct host *host, RmAskKind kind,
                 const RmAssignment *about, const char *lead)
{
    struct asking *asking = arena_alloc(core->arena, sizeof(*asking));
    RmAsk *message = arena_alloc(core->arena, sizeof(*message));

    if (asking == NULL || message == NULL || request->reply->n_outcomes == 0)
        return;
    rm_ask__init(message);
    message->kind = kind;
    message->about = (RmAssignment *)about;
    *asking = (struct asking){
        .outcome = request->reply->n_outcomes - 1, .lead = lead, .host = host, .message = message};
    ARENA_PUSH(core->arena, request->n_askings, request->askings, asking);
}

/* ---- noderanges */

static bool is_guest(void *ctx, const char *name)
{
    struct core *core = ctx;
    struct guest *guest = guest_find(core, name);

    return guest != NULL && (guest->stored || guest->sightings != NULL);
}

static int each_guest(void *ctx, int (*f)(void *to, const char *name), void *to)
{
    struct core *core = ctx;
    int r = 0;

    for (struct guest *guest = core->guests; guest != NULL && r == 0; guest = guest->hh.next)
        if (guest->stored || guest->sightings != NULL)
            r = f(to, guest->rec->name);
    return r;
}

static bool is_host(void *ctx, const char *name)
{
    return host_called(ctx, name) != NULL;
}

static int each_host(void *ctx, int (*f)(void *to, const char *name), void *to)
{
    struct core *core = ctx;
    int r = 0;

    for (struct host *host = core->hosts; host != NULL && r == 0; host = host->hh.next)
        r = f(to, host->rec->name);
    return r;
}

static struct noderange_site guest_site(struct core *core)
{
    return (struct noderange_site){
        .attr = core->attr, .is_node = is_guest, .each_node = each_guest, .ctx = core};
}

struct noderange_site request_host_site(struct core *core)
{
    return (struct noderange_site){.attr = core->attr,
                                   .is_node = is_host,
                                   .each_node = each_host,
                                   .ctx = core,
                                   .only_is_node = true};
}

static bool expand(struct core *core, struct request *request, const char *expression,
                   const struct noderange_site *site, struct noderange *ret_range)
{
    struct rm_err err = {0};
    int r = noderange_expand(expression, site, ret_range, &err);

    if (r < 0)
        request_refuse(core, request,
                       r == -EINVAL || r == -ENOENT || r == -E2BIG ? RM_CODE__CODE_SOME_FAILED
                                                                   : RM_CODE__CODE_TRY_AGAIN,
                       "%s", err.text);
    return r >= 0;
}

bool request_exclude(struct core *core, struct request *request)
{
    struct noderange_site site = guest_site(core);
    struct noderange range = {0};

    if (core->conf->exclude_nodes == NULL)
        return true;
    site.lenient = true;
    if (!expand(core, request, core->conf->exclude_nodes, &site, &range)) {
        request_refuse(core, request, request->reply->code, "exclude_nodes: %s",
                       request->reply->text);
        return false;
    }
    noderange_done(&core->exclude);
    core->exclude = range;
    return true;
}

/* What the client puts around digits. */
static void set_digits(const struct request *request, struct noderange_site *site)
{
    const RmDigits *digits = request->message->digits;

    site->prefix = digits != NULL ? digits->prefix : NULL;
    site->suffix = digits != NULL ? digits->suffix : NULL;
}

bool request_guests(struct core *core, struct request *request, const char *expression,
                    struct noderange *ret_range)
{
    struct noderange_site site = guest_site(core);
    size_t kept = 0;

    set_digits(request, &site);
    if (request->message->digits == NULL)
        site.exclude = core->conf->exclude_nodes;
    if (!expand(core, request, expression, &site, ret_range))
        return false;
    if (request->message->digits == NULL || core->conf->exclude_nodes == NULL)
        return true;
    /* The settings' digits are not the client's: they are expanded on their own. */
    if (!request_exclude(core, request)) {
        noderange_done(ret_range);
        return false;
    }
    for (size_t i = 0; i < ret_range->n; i++) {
        if (noderange_has(&core->exclude, ret_range->names[i]))
            free(ret_range->names[i]);
        else
            ret_range->names[kept++] = ret_range->names[i];
    }
    ret_range->n = kept;
    if (kept > 0)
        return true;
    noderange_done(ret_range);
    request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                   "no nodes match '%s' but excluded ones (exclude_nodes)", expression);
    return false;
}

bool request_all_guests(struct core *core, struct request *request, struct noderange *ret_range)
{
    struct noderange_site site = guest_site(core);

    site.lenient = true;
    return expand(core, request, "/.*", &site, ret_range);
}

/* A member of z/VM may be written in any case. Named twice, it counts once. */
static void call_as_known(struct core *core, struct noderange *range)
{
    size_t kept = 0;

    for (size_t i = 0; i < range->n; i++) {
        const struct host *host = host_called(core, range->names[i]);
        char *name = host != NULL ? strdup(host->rec->name) : NULL;
        bool twice = false;
        for (size_t k = 0; k < kept && name != NULL; k++)
            twice = twice || strcmp(range->names[k], name) == 0;
        if (name == NULL)
            core_fail(core, -ENOMEM, "hosts");
        free(range->names[i]);
        if (name == NULL || twice)
            free(name);
        else
            range->names[kept++] = name;
    }
    range->n = kept;
}

bool request_hosts(struct core *core, struct request *request, const char *expression,
                   struct noderange *ret_range)
{
    enum { KNOWN_MAX = 16 }; /* more would not help anybody */
    unsigned n = 0;
    char *known = NULL;
    struct noderange_site site = request_host_site(core);

    set_digits(request, &site);
    if (expand(core, request, expression, &site, ret_range)) {
        call_as_known(core, ret_range);
        return true;
    }
    for (struct host *host = core->hosts; host != NULL && n <= KNOWN_MAX; host = host->hh.next, n++)
        known = known == NULL ? arena_strdup(core->arena, host->rec->name)
                              : arena_printf(core->arena, "%s,%s", known, host->rec->name);
    if (known != NULL && n <= KNOWN_MAX)
        request_refuse(core, request, request->reply->code, "%s; the known hypervisors are: %s",
                       request->reply->text, known);
    else if (n == 0)
        request_refuse(core, request, request->reply->code,
                       "%s; no worker has ever told of a hypervisor", request->reply->text);
    return false;
}

/* ---- dispatch */

static void ping(struct core *core, struct request *request)
{
    request->reply->broker = (char *)service_version();
    request->reply->started_at = core->started_wall;
    request->reply->user = (char *)request->peer->user;
    request->reply->role = (char *)role_name(request->peer->role);
}

static const struct handler *find_handler(RmRequest__AskCase ask)
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
        if (handlers[i].ask == ask)
            return &handlers[i];
    return NULL;
}

static void reply_send(struct core *core, struct request *request)
{
    RmMessage message = RM_MESSAGE__INIT;

    message.body_case = RM_MESSAGE__BODY_REPLY;
    message.reply = request->reply;
    core_send(core, request->peer, request->tag, &message);
}

static bool repeated(struct core *core, struct request *request)
{
    RmToken *token;
    RmReply *reply;

    if (record_token_get(core->store, request->message->token.data, core->arena, &token) < 0)
        return false;
    reply = rm_reply__unpack(arena_allocator(core->arena), token->reply.len, token->reply.data);
    if (reply == NULL)
        return false;
    request->reply = reply;
    return true;
}

static void remember(struct core *core, const struct request *request)
{
    RmToken token = RM_TOKEN__INIT;
    RmReply reply = *request->reply;
    uint8_t *bytes;
    int r;

    if (rm_reply__get_packed_size(&reply) > TOKEN_REPLY_MAX) {
        reply.n_outcomes = 0; /* the batch tells what became of the guests */
        reply.outcomes = NULL;
    }
    bytes = arena_alloc(core->arena, rm_reply__get_packed_size(&reply) + 1);
    if (bytes == NULL)
        return;
    token.reply.len = rm_reply__pack(&reply, bytes);
    token.reply.data = bytes;
    token.token = request->message->token;
    token.at = core->wall;
    token.batch = reply.batch;
    r = record_token_put(core->store, &token);
    if (r < 0)
        core_fail(core, r, "token");
}

static const char *reason_of(const RmRequest *message)
{
    switch (message->ask_case) {
    case RM_REQUEST__ASK_SUBMIT:
        return message->submit->reason;
    case RM_REQUEST__ASK_EVACUATE:
        return message->evacuate->reason;
    case RM_REQUEST__ASK_HOST_CHANGE:
        return message->host_change->reason;
    case RM_REQUEST__ASK_RELEASE:
        return message->release->reason;
    default:
        return ""; /* goes nowhere */
    }
}

void request_input(struct core *core, const struct net_peer *peer, uint64_t tag,
                   const RmRequest *message)
{
    RmReply reply = RM_REPLY__INIT;
    struct request request = {.peer = peer, .message = message, .tag = tag, .reply = &reply};
    const struct handler *handler;
    uint64_t used, size;

    if (message->ask_case == RM_REQUEST__ASK_FOLLOW) {
        if (peer->role == ROLE_NONE || peer->role == ROLE_WORKER)
            request_refuse(core, &request, RM_CODE__CODE_NOT_PERMITTED,
                           "%s (role %s) may not look at jobs", peer->user, role_name(peer->role));
        else {
            follow_request(core, peer, tag, message->follow);
            return;
        }
        reply_send(core, &request);
        return;
    }
    handler = find_handler(message->ask_case);
    if (handler == NULL) {
        request_refuse(core, &request, RM_CODE__CODE_USAGE,
                       "this broker does not know that request; is it older than the client?");
    } else if (peer->role == ROLE_WORKER || peer->role < handler->role) {
        request_refuse(core, &request, RM_CODE__CODE_NOT_PERMITTED,
                       "Permission denied for request: %s has the role %s, this needs %s",
                       peer->user, role_name(peer->role), role_name(handler->role));
        if (log_allowed(&core->denied, core->now, USEC_PER_SEC, 5))
            site_event(core, RM_EVENT_KIND__DENIED, peer->user, NULL, NULL, "denied: %s",
                       message->command);
    } else if (handler->effect != LOOKS && message->token.len != RECORD_TOKEN) {
        request_refuse(core, &request, RM_CODE__CODE_USAGE,
                       "a request that changes something needs a token of %d bytes", RECORD_TOKEN);
    } else if (strlen(reason_of(message)) > REASON_MAX) {
        request_refuse(core, &request, RM_CODE__CODE_USAGE, "a reason has %d bytes at most",
                       REASON_MAX);
    } else if (handler->effect != LOOKS && repeated(core, &request)) {
        ; /* the answer is there already */
    } else if (handler->effect == ADDS && store_usage(core->store, &used, &size) == 0 &&
               used > size / 100 * STORE_FULL_PERCENT) {
        request_refuse(
            core, &request, RM_CODE__CODE_TRY_AGAIN,
            "the store is more than %d %% full; raise store_size and start the broker anew",
            STORE_FULL_PERCENT);
    } else {
        handler->f(core, &request);
        if (request.n_askings > 0) {
            question_begin(core, peer, tag, request.reply, request.askings, request.n_askings,
                           request.wait_for);
            return; /* asked again, they are asked again: that changes nothing */
        }
        if (handler->effect != LOOKS)
            remember(core, &request);
    }
    reply_send(core, &request);
}
