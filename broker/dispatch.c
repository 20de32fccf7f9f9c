/* dispatch.c - client requests: who may ask what, and each thing once */
#include "broker/dispatch.h"

#include "broker/evacuation.h"
#include "broker/hold_control.h"
#include "broker/host_control.h"
#include "broker/host_query.h"
#include "broker/job_control.h"
#include "broker/planned.h"
#include "broker/query.h"
#include "broker/reconcile.h"
#include "broker/request.h"
#include "broker/restore.h"
#include "broker/snapshot.h"
#include "broker/submit.h"
#include "broker/subscribe.h"
#include "broker/tables/requests.h"
#include "conf/array.h"
#include "conf/service.h"
#include "store/record.h"

#include <errno.h>
#include <stdlib.h>

enum {
    REQUEST_ROOM = 4 * STORE_PAGE, /* what each one takes besides: its token, its event */
    HELD_MAX = 256,                /* requests that wait after a start */
    HELD_MSEC = 100,               /* between two looks at them */
    CHANGE_PERCENT = 95,           /* of the store: more, and only what runs is written */
};

static void ping(struct core *core, struct request *request)
{
    request->reply->broker = (char *)service_version();
    request->reply->started_at = core->started_wall;
    request->reply->user = (char *)request->peer->user;
    request->reply->role = (char *)role_name(request->peer->role);
    hold_control_warn(core, request);
}

/* One row for each request: the least role that may ask, whether the store grows by it (then it
 * claims room, and is refused where there is none: the rest is for results), and who carries it out. One that changes
 * something (msg_changes()) needs a token and is carried out once. */
static const struct handler {
    RmRequest__AskCase ask;
    enum role role;
    bool grows;
    void (*f)(struct core *core, struct request *request);
} handlers[] = {
    {RM_REQUEST__ASK_PING, ROLE_VIEWER, false, ping},
    {RM_REQUEST__ASK_LIST_JOBS, ROLE_VIEWER, false, query_jobs},
    {RM_REQUEST__ASK_SHOW, ROLE_VIEWER, false, query_show},
    {RM_REQUEST__ASK_HISTORY, ROLE_VIEWER, false, query_history},
    {RM_REQUEST__ASK_QUEUE, ROLE_VIEWER, false, query_hosts},
    {RM_REQUEST__ASK_HOSTS, ROLE_VIEWER, false, query_hosts},
    {RM_REQUEST__ASK_WORKERS, ROLE_VIEWER, false, query_workers},
    {RM_REQUEST__ASK_GUESTS, ROLE_VIEWER, false, query_guests},
    {RM_REQUEST__ASK_EVENTS, ROLE_VIEWER, false, query_events},
    {RM_REQUEST__ASK_SNAPSHOT, ROLE_VIEWER, false, snapshot_request},
    {RM_REQUEST__ASK_PLANS, ROLE_VIEWER, false, planned_request},
    {RM_REQUEST__ASK_METRICS, ROLE_VIEWER, false, query_metrics},
    {RM_REQUEST__ASK_TABLE_DUMP, ROLE_VIEWER, false, site_dump},
    {RM_REQUEST__ASK_TABLE_GET, ROLE_VIEWER, false, site_get},
    {RM_REQUEST__ASK_NODES, ROLE_VIEWER, false, site_nodes},
    {RM_REQUEST__ASK_SUBMIT, ROLE_OPERATOR, true, submit_guests},
    {RM_REQUEST__ASK_EVACUATE, ROLE_OPERATOR, true, evacuation_request},
    {RM_REQUEST__ASK_APPLY, ROLE_OPERATOR, true, evacuation_apply},
    {RM_REQUEST__ASK_RESTORE, ROLE_OPERATOR, true, restore_request},
    {RM_REQUEST__ASK_CANCEL, ROLE_OPERATOR, false, job_control_cancel},
    {RM_REQUEST__ASK_PAUSE, ROLE_OPERATOR, false, job_control_pause},
    {RM_REQUEST__ASK_RESUME, ROLE_OPERATOR, false, job_control_resume},
    {RM_REQUEST__ASK_RETRY, ROLE_OPERATOR, true, job_control_retry},
    {RM_REQUEST__ASK_HOST_CHANGE, ROLE_OPERATOR, false, host_control_change},
    {RM_REQUEST__ASK_RELEASE, ROLE_ADMIN, false, job_control_release},
    {RM_REQUEST__ASK_RECONCILE, ROLE_OPERATOR, false, reconcile_request},
    {RM_REQUEST__ASK_MODIFY, ROLE_OPERATOR, false, job_control_modify},
    {RM_REQUEST__ASK_TABLE_RESTORE, ROLE_ADMIN, true, site_restore},
    {RM_REQUEST__ASK_TABLES_RESTORE, ROLE_ADMIN, true, site_restore_several},
    {RM_REQUEST__ASK_TABLE_CHANGE, ROLE_ADMIN, true, site_table_change},
    {RM_REQUEST__ASK_NODE_CHANGE, ROLE_ADMIN, true, site_node_change},
};

static const struct handler *find_handler(RmRequest__AskCase ask)
{
    for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
        if (handlers[i].ask == ask)
            return &handlers[i];
    return NULL;
}

/* Answers with what was answered before. Where that cannot be read nothing is done: it may have been
 * carried out. */
static bool is_repeated(struct core *core, struct request *request)
{
    RmReply *reply;
    int r = page_kept(core, &request->message->token, &reply);

    if (r == 0) {
        request_answer(request, reply);
        if (request->message->pages)
            page_cut(core, request->message->page, reply);
    } else if (r != -ENOENT) {
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN,
                       "it cannot be read whether this was carried out before (%s); see rmigrate "
                       "jobs and rmigrate events",
                       strerror(-r));
    } else if (*request->message->page != '\0') {
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                       "the rest of the answer is not kept any more");
    } else {
        return false;
    }
    return true;
}

/* A dry run, or a plan: those who may look may ask for it. */
static bool only_looks(const RmRequest *message)
{
    return (message->ask_case == RM_REQUEST__ASK_SUBMIT && message->submit->dry_run) ||
           (message->ask_case == RM_REQUEST__ASK_EVACUATE && message->evacuate->plan_only) ||
           (message->ask_case == RM_REQUEST__ASK_RESTORE && message->restore->plan_only);
}

/* What does not make the store grow may use what new jobs leave to those that run, but not all. */
static bool has_room(struct core *core, struct request *request, const struct handler *handler)
{
    struct store_usage usage;

    if (!msg_changes(request->message->ask_case))
        return true;
    if (handler->grows)
        return request_room(core, request, REQUEST_ROOM);
    if (store_usage(core->store, &usage) < 0 || usage.used <= usage.size / 100 * CHANGE_PERCENT)
        return true;
    request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN,
                   "the store is more than %d %% full, and the rest is for what runs: raise "
                   "store_size and restart the broker",
                   CHANGE_PERCENT);
    return false;
}

/* May it be carried out? False: it is refused, or answered already. */
static bool may_run(struct core *core, struct request *request, const struct handler *handler)
{
    const struct net_peer *peer = request->peer;
    const RmRequest *message = request->message;
    enum role least = only_looks(message) ? ROLE_VIEWER : handler->role;

    if (peer->role == ROLE_WORKER || peer->role < least) {
        request_refuse(core, request, RM_CODE__CODE_NOT_PERMITTED,
                       "Permission denied for request: %s has the role %s, this needs %s",
                       peer->user, role_name(peer->role), role_name(least));
        core_denied(core, peer->user, NULL, "denied: %s", message->command);
        return false;
    }
    if (msg_changes(message->ask_case) && message->token.len != RECORD_TOKEN) {
        request_refuse(core, request, RM_CODE__CODE_USAGE,
                       "a request that changes something needs a token of %d bytes", RECORD_TOKEN);
        return false;
    }
    if (msg_changes(message->ask_case) && is_repeated(core, request))
        return false;
    return has_room(core, request, handler);
}

/* Whoever asks again, because nobody has answered, asks for the same. */
static bool is_same(const struct held *held, const struct request *request)
{
    const ProtobufCBinaryData *a = &held->message->token, *b = &request->message->token;

    return peer_is(&held->peer, request->peer) && a->len == b->len &&
           (a->len == 0 ? held->tag == request->tag : memcmp(a->data, b->data, a->len) == 0);
}

static void hold(struct core *core, const struct request *request)
{
    struct held_requests *all = &core->held;
    struct held *held;

    if (!all->first)
        all->again_at = core->now + (usec_t)HELD_MSEC * USEC_PER_MSEC;
    DL_FOREACH (all->first, held)
        if (is_same(held, request)) {
            held->tag = request->tag;
            return;
        }
    if (all->n == HELD_MAX)
        return; /* it is asked again */
    held = must(calloc(1, sizeof(*held)));
    held->peer = *request->peer;
    held->tag = request->tag;
    held->message = must(msg_copy(NULL, &request->message->base));
    DL_APPEND(all->first, held);
    all->n++;
}

static void held_free(struct held *held)
{
    rm_request__free_unpacked(held->message, NULL);
    free(held);
}

/* True: the reply waits for hypervisors. */
static bool run(struct core *core, struct request *request, const struct handler *handler)
{
    if (msg_changes(request->message->ask_case))
        core_asked(core, request->peer, request->tag);
    handler->f(core, request);
    if (request->held) {
        hold(core, request);
        return true;
    }
    if (request->n_drafts > 0) {
        host_query_begin(core, request->peer, request->tag, request->message, request->reply,
                         request->drafts, request->n_drafts, request->wait_for);
        return true; /* asked again, they are asked again: that changes nothing */
    }
    /* What changes nothing is kept only for its further pages. */
    if (msg_changes(request->message->ask_case) &&
        (!only_looks(request->message) || request->reply->plan != 0 ||
         page_is_longer(request->reply)))
        page_keep(core, request->message->pages, &request->message->token, request->reply);
    return false;
}

/* True: the reply waits, for hypervisors or for a change. */
static bool carry_out(struct core *core, struct request *request)
{
    const struct net_peer *peer = request->peer;
    const RmRequest *message = request->message;
    const struct handler *handler = find_handler(message->ask_case);

    if (message->ask_case == RM_REQUEST__ASK_FOLLOW) {
        if (peer->role != ROLE_NONE && peer->role != ROLE_WORKER) {
            subscribe_request(core, peer, request->tag, message);
            return true;
        }
        meter_count(&core->meter, METER_DENIED); /* the others are by core_denied() */
        request_refuse(core, request, RM_CODE__CODE_NOT_PERMITTED,
                       "%s (role %s) may not look at jobs", peer->user, role_name(peer->role));
    } else if (!handler) {
        request_refuse(core, request, RM_CODE__CODE_USAGE,
                       "this broker does not know that request; is it older than the client?");
    } else if (may_run(core, request, handler)) {
        return run(core, request, handler);
    }
    return false;
}

void dispatch_input(struct core *core, const struct net_peer *peer, uint64_t tag,
                    const RmRequest *message)
{
    RmReply reply = RM_REPLY__INIT;
    struct request request;

    request_init(core, &request, peer, tag, message, &reply);
    if (!carry_out(core, &request))
        core_reply(core, peer, tag, request.reply);
    request_done(&request);
}

void dispatch_tick(struct core *core)
{
    struct held *list = core->held.first, *held, *next;

    if (!list || core->now < core->held.again_at)
        return;
    core->held = (struct held_requests){0};
    DL_FOREACH_SAFE (list, held, next) {
        arena_reset(core->arena);
        dispatch_input(core, &held->peer, held->tag, held->message);
        held_free(held);
    }
    arena_reset(core->arena);
}

usec_t dispatch_deadline(const struct core *core)
{
    return core->held.first ? core->held.again_at : USEC_NEVER;
}

void dispatch_gone(struct core *core, const struct net_peer *peer)
{
    struct held *held, *next;

    DL_FOREACH_SAFE (core->held.first, held, next) {
        if (peer && !peer_is(&held->peer, peer))
            continue;
        DL_DELETE(core->held.first, held);
        core->held.n--;
        held_free(held);
    }
}
