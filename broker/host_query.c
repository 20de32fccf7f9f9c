/* host_query.c - answers that wait for hypervisors: could this guest be moved, other limits, stop */
#include "broker/host_query.h"

#include "broker/job.h"
#include "broker/page.h"
#include "broker/session.h"

#include <stdio.h>

enum {
    WAIT_MINUTES = 10, /* the longest that a client may wait */
    ASKED_AT_ONCE = 4, /* questions that one hypervisor's worker has at a time */
};

static void ask_free(struct core *core, struct host_ask *ask)
{
    if (ask->session != 0)
        ask->host->asks.n_asked--;
    else
        DL_DELETE2(ask->host->asks.waiting, ask, h_prev, h_next);
    HASH_DELETE(hh, core->host_queries.asks, ask);
    rm_ask__free_unpacked(ask->message, NULL);
    free(ask->lead);
    free(ask);
}

static void query_free(struct core *core, struct host_query *query)
{
    DL_DELETE(core->host_queries.first, query);
    rm_reply__free_unpacked(query->reply, NULL);
    free(query);
}

static void reply_to(struct core *core, struct host_query *query)
{
    const ProtobufCBinaryData token = {sizeof(query->token), query->token};
    RmReply page = *query->reply;

    if (query->pages && page_is_longer(&page))
        page_keep(core, /* pages = */ true, &token, &page);
    core_reply(core, &query->peer, query->tag, &page);
}

/* The history has what was asked for: that it does not hold for the try that ran belongs there too. */
static void note_unmodified(struct core *core, const struct host_ask *ask, const char *text)
{
    const RmAssignment *about = ask->message->about;
    struct job *job = job_find(core, about->job);

    if (job && job->live.attempt == about->attempt)
        job_note(core, job, "broker",
                 core_printf(core, "the new limits are not confirmed for this try: %s", text));
}

/* Its last answer answers the question. */
static void settle(struct core *core, struct host_ask *ask, bool ok, const char *text)
{
    struct host_query *query = ask->query;
    RmOutcome *outcome = query->reply->outcomes[ask->outcome];
    char whole[RM_ERR_MAX];

    if (!ok) {
        snprintf(whole, sizeof(whole), "%s%s%.1900s", ask->lead ? ask->lead : "",
                 ask->lead ? " Failed: " : "", text);
        outcome->ok = false;
        text_set(&outcome->text, whole);
        if (query->reply->code == RM_CODE__CODE_OK)
            query->reply->code = RM_CODE__CODE_SOME_FAILED;
        if (ask->message->kind == RM_ASK_KIND__ASK_MODIFY)
            note_unmodified(core, ask, text);
    }
    ask_free(core, ask);
    if (--query->open == 0) {
        reply_to(core, query);
        query_free(core, query);
    }
}

static void add_ask(struct core *core, struct host_query *query, const struct host_ask_draft *draft)
{
    struct host_ask *ask = must(calloc(1, sizeof(*ask)));

    ask->message = must(msg_copy(NULL, &draft->message->base));
    ask->lead = draft->lead ? must(strdup(draft->lead)) : NULL;
    ask->id = ask->message->id = ++core->host_queries.last_id;
    ask->query = query;
    ask->outcome = draft->outcome;
    ask->host = draft->host;
    query->open++;
    HASH_ADD(hh, core->host_queries.asks, id, sizeof(ask->id), ask);
    DL_APPEND2(ask->host->asks.waiting, ask, h_prev, h_next);
}

static void put(struct core *core, struct host_ask *ask)
{
    struct session *session = ask->host->link.session;

    DL_DELETE2(ask->host->asks.waiting, ask, h_prev, h_next);
    ask->session = session->id;
    ask->host->asks.n_asked++;
    session_ask(core, session, ask->message);
}

static void put_next(struct core *core, struct host *host)
{
    while (host->link.session && host->asks.n_asked < ASKED_AT_ONCE && host->asks.waiting)
        put(core, host->asks.waiting);
}

void host_query_begin(struct core *core, const struct net_peer *peer, uint64_t tag,
                      const RmRequest *message, const RmReply *reply,
                      struct host_ask_draft *const *drafts, size_t n, usec_t wait_for)
{
    struct host_query *query = must(calloc(1, sizeof(*query)));
    usec_t most = (usec_t)WAIT_MINUTES * 60 * USEC_PER_SEC;

    query->reply = must(msg_copy(NULL, &reply->base));
    query->peer = *peer;
    query->tag = tag;
    query->pages = message->pages && message->token.len == sizeof(query->token);
    if (query->pages)
        memcpy(query->token, message->token.data, sizeof(query->token));
    query->until = core->now + (wait_for < most ? wait_for : most);
    DL_APPEND(core->host_queries.first, query);
    for (size_t i = 0; i < n; i++)
        add_ask(core, query, drafts[i]);
    for (size_t i = 0; i < n; i++)
        put_next(core, drafts[i]->host);
}

void host_query_answer(struct core *core, const struct session *session, const RmAnswer *answer)
{
    struct host_ask *ask;

    HASH_FIND(hh, core->host_queries.asks, &answer->id, sizeof(answer->id), ask);
    if (!ask || ask->session != session->id)
        return;
    struct host *host = ask->host;
    settle(core, ask, answer->ok,
           *answer->text != '\0' ? answer->text : "its worker does not say why");
    put_next(core, host);
}

void host_query_lost(struct core *core, uint64_t session)
{
    struct host_ask *ask, *next;

    HASH_ITER (hh, core->host_queries.asks, ask, next)
        if (ask->session != 0 ? ask->session == session : !ask->host->link.session)
            settle(core, ask, false, "its worker has gone");
}

void host_query_tick(struct core *core)
{
    struct host_ask *ask, *next;

    if (host_query_deadline(core) > core->now)
        return;
    HASH_ITER (hh, core->host_queries.asks, ask, next)
        if (ask->query->until <= core->now)
            settle(core, ask, false,
                   ask->session != 0 ? "its worker has not answered in time"
                                     : "its worker has not come to it in time");
}

usec_t host_query_deadline(const struct core *core)
{
    usec_t first = USEC_NEVER;
    const struct host_query *query;

    DL_FOREACH (core->host_queries.first, query)
        if (query->until < first)
            first = query->until;
    return first;
}

void host_query_gone(struct core *core, const struct net_peer *peer)
{
    struct host_query *query, *next_query;
    struct host_ask *ask, *next;

    HASH_ITER (hh, core->host_queries.asks, ask, next)
        if (!peer || peer_is(&ask->query->peer, peer))
            ask_free(core, ask);
    DL_FOREACH_SAFE (core->host_queries.first, query, next_query)
        if (!peer || peer_is(&query->peer, peer))
            query_free(core, query);
}
