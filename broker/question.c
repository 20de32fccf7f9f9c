/* question.c - answers that wait for hypervisors: could this guest be moved, other limits, stop
 *
 * The client's reply is held until the workers have answered, or its time is over. Nothing is
 * stored: after a restart of the broker the client asks again, and so are they. */
#include "broker/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    QUESTION_WAIT_MINUTES = 10, /* the longest that a client may wait */
    ASKED_AT_ONCE = 4,          /* questions that one hypervisor has in hand */
};

static void ask_free(struct core *core, struct ask *ask)
{
    if (ask->session != 0)
        ask->host->n_asked--;
    else
        DL_DELETE2(ask->host->asks, ask, h_prev, h_next);
    HASH_DEL(core->asks, ask);
    rm_ask__free_unpacked(ask->message, NULL);
    free(ask->lead);
    free(ask);
}

static void question_free(struct core *core, struct question *question)
{
    DL_DELETE(core->questions, question);
    rm_reply__free_unpacked(question->reply, NULL);
    free(question);
}

static void send_reply(struct core *core, struct question *question)
{
    RmMessage message = RM_MESSAGE__INIT;

    message.body_case = RM_MESSAGE__BODY_REPLY;
    message.reply = question->reply;
    core_send(core, &question->peer, question->tag, &message);
    question_free(core, question);
}

/* Its last answer answers the question. */
static void settle(struct core *core, struct ask *ask, bool ok, const char *text)
{
    struct question *question = ask->question;
    RmOutcome *outcome = question->reply->outcomes[ask->outcome];
    char whole[RM_ERR_MAX];

    if (!ok) {
        snprintf(whole, sizeof(whole), "%s%s%.1900s", ask->lead != NULL ? ask->lead : "",
                 ask->lead != NULL ? " Failed: " : "", text);
        outcome->ok = false;
        job_set(&outcome->text, whole);
        if (question->reply->code == RM_CODE__CODE_OK)
            question->reply->code = RM_CODE__CODE_SOME_FAILED;
    }
    ask_free(core, ask);
    if (--question->open == 0)
        send_reply(core, question);
}

static int add_ask(struct core *core, struct question *question, const struct asking *asking)
{
    struct ask *ask = calloc(1, sizeof(*ask));

    if (ask == NULL)
        return -ENOMEM;
    ask->message = (RmAsk *)msg_copy(NULL, &asking->message->base);
    ask->lead = asking->lead != NULL ? strdup(asking->lead) : NULL;
    if (ask->message == NULL || (asking->lead != NULL && ask->lead == NULL)) {
        if (ask->message != NULL)
            rm_ask__free_unpacked(ask->message, NULL);
        free(ask);
        return -ENOMEM;
    }
    ask->id = ask->message->id = ++core->last_ask;
    ask->question = question;
    ask->outcome = asking->outcome;
    ask->host = asking->host;
    question->open++;
    HASH_ADD(hh, core->asks, id, sizeof(ask->id), ask);
    DL_APPEND2(ask->host->asks, ask, h_prev, h_next);
    return 0;
}

static void put(struct core *core, struct ask *ask)
{
    struct session *session = ask->host->session;
    RmMessage message = RM_MESSAGE__INIT;

    DL_DELETE2(ask->host->asks, ask, h_prev, h_next);
    ask->session = session->id;
    ask->host->n_asked++;
    ask->message->session = session->id;
    message.body_case = RM_MESSAGE__BODY_ASK;
    message.ask = ask->message;
    core_send(core, &session->peer, 0, &message);
}

static void put_next(struct core *core, struct host *host)
{
    while (host->session != NULL && host->n_asked < ASKED_AT_ONCE && host->asks != NULL)
        put(core, host->asks);
}

void question_begin(struct core *core, const struct net_peer *peer, uint64_t tag,
                    const RmReply *reply, struct asking *const *askings, size_t n, usec_t wait_for)
{
    struct question *question = calloc(1, sizeof(*question));
    usec_t most = (usec_t)QUESTION_WAIT_MINUTES * 60 * USEC_PER_SEC;

    if (question != NULL)
        question->reply = (RmReply *)msg_copy(NULL, &reply->base);
    if (question == NULL || question->reply == NULL) {
        free(question);
        core_fail(core, -ENOMEM, "question");
        return;
    }
    question->peer = *peer;
    question->tag = tag;
    question->until = core->now + (wait_for < most ? wait_for : most);
    DL_APPEND(core->questions, question);
    for (size_t i = 0; i < n; i++)
        if (add_ask(core, question, askings[i]) < 0) {
            core_fail(core, -ENOMEM, "question");
            return;
        }
    for (size_t i = 0; i < n; i++)
        put_next(core, askings[i]->host);
}

void question_answer(struct core *core, struct session *session, const RmAnswer *answer)
{
    struct ask *ask;
    struct host *host;

    HASH_FIND(hh, core->asks, &answer->id, sizeof(answer->id), ask);
    if (ask == NULL || ask->session != session->id)
        return;
    host = ask->host;
    settle(core, ask, answer->ok,
           *answer->text != '\0' ? answer->text : "its worker does not say why");
    put_next(core, host);
}

void question_lost(struct core *core, uint64_t session)
{
    struct ask *ask, *next;

    HASH_ITER (hh, core->asks, ask, next)
        if (ask->session != 0 ? ask->session == session : ask->host->session == NULL)
            settle(core, ask, false, "its worker has gone");
}

void question_tick(struct core *core)
{
    struct ask *ask, *next;

    if (question_deadline(core) > core->now)
        return;
    HASH_ITER (hh, core->asks, ask, next)
        if (ask->question->until <= core->now)
            settle(core, ask, false,
                   ask->session != 0 ? "its worker has not answered in time"
                                     : "its worker has not come to it in time");
}

usec_t question_deadline(const struct core *core)
{
    usec_t first = USEC_NEVER;
    const struct question *question;

    DL_FOREACH (core->questions, question)
        if (question->until < first)
            first = question->until;
    return first;
}

void question_gone(struct core *core, const struct net_peer *peer)
{
    struct question *question, *next_question;
    struct ask *ask, *next;

    HASH_ITER (hh, core->asks, ask, next)
        if (peer == NULL || peer_is(&ask->question->peer, peer))
            ask_free(core, ask);
    DL_FOREACH_SAFE (core->questions, question, next_question)
        if (peer == NULL || peer_is(&question->peer, peer))
            question_free(core, question);
}
