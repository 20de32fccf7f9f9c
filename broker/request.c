/* request.c - what the handlers of client requests share: outcomes, refusals, noderanges */
#include "broker/request.h"

#include "broker/guest.h"
#include "broker/host_query.h"
#include "broker/platforms.h"
#include "conf/unit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define NO_ROOM_SPAN (60 * USEC_PER_SEC)
enum { NO_ROOM_LINES = 1 /* of requests that the store has no room for, in that span */ };

void request_init(struct core *core, struct request *request, const struct net_peer *peer,
                  uint64_t tag, const RmRequest *message, RmReply *reply)
{
    *request = (struct request){.peer = peer, .tag = tag, .message = message, .reply = reply};
    page_begin(&request->page, core, message, reply);
}

void request_done(struct request *request)
{
    noderange_done(&request->exclude);
}

void request_answer(struct request *request, RmReply *reply)
{
    request->reply = reply;
}

void request_refuse(struct core *core, struct request *request, RmCode code, const char *format,
                    ...)
{
    va_list args;

    va_start(args, format);
    char *text = arena_vprintf(core->arena, format, args);
    va_end(args);
    request->reply->code = code;
    request->reply->text = text ? text : (char *)"the answer is too long";
}

/* Whoever asked is told; who can help is whoever reads the log. */
static void note_no_room(struct core *core, const struct request *request)
{
    if (log_allowed(&core->no_room, core->now, NO_ROOM_SPAN, NO_ROOM_LINES))
        core_notice(core, NOTICE_STORE_FULL, LOG_LEVEL_WARN, "user=%s: was refused: %s",
                    request->peer->user, request->reply->text);
}

bool request_room(struct core *core, struct request *request, uint64_t bytes)
{
    struct store_usage usage = {0};
    char needs[UNIT_TEXT_MAX], has[UNIT_TEXT_MAX], kept[UNIT_TEXT_MAX];
    uint64_t left;
    int r = store_claim(core->store, bytes, &left);

    if (r == 0)
        return true;
    if (r == -ENOSPC)
        r = store_usage(core->store, &usage);
    if (r < 0) {
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "cannot read the store: %s",
                       strerror(-r));
        return false;
    }
    unit_size_text(bytes, needs);
    unit_size_text(left, has);
    if (usage.reader != 0)
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN,
                       "this may take %s in the store, which has room for %s; process %d, which "
                       "reads an old state of it, keeps %s of it: end that, and try again",
                       needs, has, usage.reader, unit_size_text(usage.kept, kept));
    else
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN,
                       "this may take %s in the store, which has room for %s; ask for less at "
                       "once, or raise store_size and restart the broker",
                       needs, has);
    note_no_room(core, request);
    return false;
}

static RmOutcome *push_outcome(struct core *core, RmReply *reply, const char *name, char *text)
{
    RmOutcome *outcome = arena_alloc(core->arena, sizeof(*outcome));

    if (!outcome)
        return NULL;
    rm_outcome__init(outcome);
    outcome->name = arena_strdup(core->arena, name);
    outcome->text = text;
    if (!outcome->name || !outcome->text ||
        ARENA_PUSH(core->arena, reply->n_outcomes, reply->outcomes, outcome) < 0)
        return NULL;
    return outcome;
}

__attribute__((format(printf, 5, 0))) static RmOutcome *
add_outcome(struct core *core, struct request *request, const char *name, bool ok,
            const char *format, va_list args)
{
    RmReply *reply = request->reply;
    RmOutcome *outcome = push_outcome(core, reply, name, arena_vprintf(core->arena, format, args));
    if (!outcome) {
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN,
                       "the answer is too long: ask for fewer at once");
        return &request->spare;
    }
    outcome->ok = ok;
    if (!ok && reply->code == RM_CODE__CODE_OK)
        reply->code = RM_CODE__CODE_SOME_FAILED;
    return outcome;
}

RmOutcome *request_outcome(struct core *core, struct request *request, const char *name, bool ok,
                           const char *format, ...)
{
    va_list args;

    va_start(args, format);
    RmOutcome *outcome = add_outcome(core, request, name, ok, format, args);
    va_end(args);
    outcome->guest = outcome->name;
    return outcome;
}

RmOutcome *request_host_outcome(struct core *core, struct request *request, const char *host,
                                bool ok, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    RmOutcome *outcome = add_outcome(core, request, host, ok, format, args);
    va_end(args);
    outcome->host = outcome->name;
    return outcome;
}

void request_hold(struct request *request)
{
    request->held = true;
}

void request_only_this(struct core *core, struct request *request, const char *name)
{
    RmReply *reply = request->reply;
    const char *text = reply->text;

    reply->text = (char *)"";
    reply->code = RM_CODE__CODE_SOME_FAILED;
    request_outcome(core, request, name, false, "%s", text);
}

void request_ask(struct core *core, struct request *request, struct host *host, RmAskKind kind,
                 const RmAssignment *about, const char *lead, usec_t wait_for)
{
    struct host_ask_draft *draft = core_alloc(core, sizeof(*draft));
    RmAsk *message = core_alloc(core, sizeof(*message));

    if (request->reply->n_outcomes == 0)
        return;
    request->wait_for = wait_for;
    rm_ask__init(message);
    message->kind = kind;
    message->about = (RmAssignment *)about;
    *draft = (struct host_ask_draft){
        .outcome = request->reply->n_outcomes - 1, .lead = lead, .host = host, .message = message};
    CORE_PUSH(core, request->n_drafts, request->drafts, draft);
}

bool request_selects(const RmSelect *what, const struct noderange *guests, const RmJob *job,
                     const char *source, const char *destination)
{
    return (what->batch == 0 || job->batch == what->batch) &&
           (*what->host == '\0' || strcmp(source, what->host) == 0) &&
           (*what->to == '\0' || strcmp(destination, what->to) == 0) &&
           (*what->guests == '\0' || noderange_has(guests, job->guest));
}

/* ---- noderanges */

static bool is_guest(void *ctx, const char *name)
{
    struct core *core = ctx;
    struct guest *guest = guest_find(core, name);

    return guest && (guest->stored || guest->instances);
}

static int each_guest(void *ctx, int (*f)(void *to, const char *name), void *to)
{
    struct core *core = ctx;
    int r = 0;

    for (struct guest *guest = core->guests; guest && r == 0; guest = guest->hh.next)
        if (guest->stored || guest->instances)
            r = f(to, guest->rec->name);
    return r;
}

static bool is_host(void *ctx, const char *name)
{
    return platform_host(ctx, name);
}

static int each_host(void *ctx, int (*f)(void *to, const char *name), void *to)
{
    struct core *core = ctx;
    int r = 0;

    for (struct host *host = core->hosts; host && r == 0; host = host->hh.next)
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

    if (!core->conf->exclude_nodes)
        return true;
    site.lenient = true;
    if (!expand(core, request, core->conf->exclude_nodes, &site, &range)) {
        request_refuse(core, request, request->reply->code, "exclude_nodes: %s",
                       request->reply->text);
        return false;
    }
    noderange_done(&request->exclude);
    request->exclude = range;
    return true;
}

/* What the client puts around digits. */
static void set_digits(const struct request *request, struct noderange_site *site)
{
    const RmDigits *digits = request->message->digits;

    site->prefix = digits ? digits->prefix : NULL;
    site->suffix = digits ? digits->suffix : NULL;
}

bool request_guests(struct core *core, struct request *request, const char *expression,
                    struct noderange *ret_range)
{
    struct noderange_site site = guest_site(core);
    size_t kept = 0;

    set_digits(request, &site);
    if (!request->message->digits)
        site.exclude = core->conf->exclude_nodes;
    if (!expand(core, request, expression, &site, ret_range))
        return false;
    if (!request->message->digits || !core->conf->exclude_nodes)
        return true;
    /* The settings' digits are not the client's: they are expanded on their own. */
    if (!request_exclude(core, request)) {
        noderange_done(ret_range);
        return false;
    }
    for (size_t i = 0; i < ret_range->n; i++) {
        if (noderange_has(&request->exclude, ret_range->names[i]))
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

void request_each_guest(struct core *core, struct request *request, const char *expression,
                        request_each_f *f)
{
    struct noderange guests = {0};

    if (!request_guests(core, request, expression, &guests))
        return;
    for (size_t i = 0; i < guests.n; i++)
        f(core, request, guests.names[i]);
    noderange_done(&guests);
}

bool request_all_guests(struct core *core, struct request *request, struct noderange *ret_range)
{
    struct noderange_site site = guest_site(core);

    site.lenient = true;
    return expand(core, request, "/.*", &site, ret_range);
}

/* As it calls itself. Named twice, it counts once. */
static void call_as_known(struct core *core, struct noderange *range)
{
    size_t kept = 0;

    for (size_t i = 0; i < range->n; i++) {
        const struct host *host = platform_host(core, range->names[i]);
        char *name = host ? must(strdup(host->rec->name)) : NULL;
        bool twice = false;
        for (size_t k = 0; k < kept && name; k++)
            twice = twice || strcmp(range->names[k], name) == 0;
        free(range->names[i]);
        if (!name || twice)
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
    for (struct host *host = core->hosts; host && n <= KNOWN_MAX; host = host->hh.next, n++)
        known = !known ? core_strdup(core, host->rec->name)
                       : core_printf(core, "%s,%s", known, host->rec->name);
    if (known && n <= KNOWN_MAX)
        request_refuse(core, request, request->reply->code, "%s; the known hypervisors are: %s",
                       request->reply->text, known);
    else if (n == 0)
        request_refuse(core, request, request->reply->code,
                       "%s; no worker has ever reported a hypervisor", request->reply->text);
    return false;
}
