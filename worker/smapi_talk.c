/* smapi_talk.c - one request on one connection: sent, taken, answered; and the login for it */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "conf/unit.h"
#include "worker/smapi_code.h"
#include "worker/smapi_parts.h"

#define TICK (500 * USEC_PER_MSEC) /* between two calls of wait() */

/* Where the server wants a target that the request does not have: the user that every z/VM has. */
static const char ANY_TARGET[] = "MAINT";

usec_t smapi_after(usec_t at, usec_t span)
{
    return span < USEC_NEVER - at ? at + span : USEC_NEVER;
}

usec_t smapi_earlier(usec_t a, usec_t b)
{
    return a < b ? a : b;
}

usec_t smapi_limit(const struct smapi *smapi)
{
    return smapi_after(smapi_after(env_now(smapi->env), smapi->connect_timeout),
                       smapi->call_timeout);
}

const char *smapi_own_target(const struct smapi_login *login)
{
    return login->userid[0] ? login->userid : ANY_TARGET;
}

/* Asks wait() when its time has come. */
static bool goes_on(struct smapi_talk *talk)
{
    usec_t now = env_now(talk->smapi->env);
    if (!talk->wait || now < talk->tick_at)
        return true;
    talk->tick_at = now + TICK;
    return talk->wait(talk->ctx);
}

/* Receives all of it: 0, -ETIMEDOUT, -ECANCELED: wait() said so, or what broke the connection. */
static int receive(struct smapi_talk *talk, uint8_t *bytes, size_t length, usec_t until_at,
                   struct rm_err *err)
{
    const struct env *env = talk->smapi->env;
    usec_t began = env_now(env);
    for (size_t got = 0; got < length;) {
        usec_t by = talk->wait ? smapi_earlier(until_at, talk->tick_at) : until_at;
        int r = smapi_link_receive(talk->link, bytes + got, length - got, by, err);
        if (r < 0)
            return r;
        got += (size_t)r;
        if (!goes_on(talk))
            return rm_fail(err, -ECANCELED, "no longer waited for");
        if (got < length && env_now(env) >= until_at) {
            char span[UNIT_TEXT_MAX];
            return rm_fail(err, -ETIMEDOUT, "no answer for %s",
                           unit_duration_text(env_now(env) - began, span));
        }
    }
    return 0;
}

/* Waits, and asks wait() meanwhile. 0, -ECANCELED, or -ETIMEDOUT: until_at comes before that. */
int smapi_talk_pause(struct smapi_talk *talk, usec_t span, usec_t until_at)
{
    const struct env *env = talk->smapi->env;
    usec_t end_at = smapi_after(env_now(env), span);
    if (end_at >= until_at)
        return -ETIMEDOUT;
    for (usec_t now; (now = env_now(env)) < end_at;) {
        usec_t by = talk->wait ? smapi_earlier(end_at, talk->tick_at) : end_at;
        if (by > now)
            poll(NULL, 0, (int)((by - now) / USEC_PER_MSEC + 1));
        if (!goes_on(talk))
            return -ECANCELED;
    }
    return 0;
}

static enum smapi_end begin(struct smapi_talk *talk, const uint8_t *bytes, size_t length,
                            struct rm_err *err)
{
    struct smapi *smapi = talk->smapi;
    usec_t now = env_now(smapi->env);
    usec_t open_by = smapi_earlier(talk->until_at, smapi_after(now, smapi->connect_timeout));
    if (talk->leave_by)
        open_by = smapi_earlier(open_by, talk->leave_by);
    int r = smapi_link_open(smapi->address, smapi->env, open_by, &talk->link, err);
    if (r < 0) {
        talk->hopeless = r == -EPERM || r == -EINVAL;
        return SMAPI_NOT_SENT;
    }
    now = env_now(smapi->env);
    if (talk->leave_by && now >= talk->leave_by) {
        talk->hopeless = true;
        rm_fail(err, -ETIMEDOUT, "connecting took longer than the time in which it may begin");
        return SMAPI_NOT_SENT;
    }
    usec_t until_at = smapi_earlier(talk->until_at, smapi_after(now, smapi->call_timeout));
    r = smapi_link_send(talk->link, bytes, length, until_at, err);
    if (r < 0)
        return SMAPI_NOT_SENT;
    talk->tick_at = now + TICK;
    uint8_t id[4];
    r = receive(talk, id, sizeof(id), until_at, err);
    if (r < 0) {
        talk->hopeless = r == -ECANCELED;
        return SMAPI_UNCERTAIN;
    }
    talk->request_id = smapi_form_number(id);
    return SMAPI_ANSWERED;
}

enum smapi_end smapi_talk_begin(struct smapi_talk *talk, const struct smapi_request *request,
                                const struct smapi_login *login, struct rm_err *err)
{
    const char *name = smapi_function_name(request->function);
    uint8_t bytes[SMAPI_REQUEST_MAX];
    enum smapi_end end = SMAPI_NOT_SENT;
    talk->leave_by = request->leave_by;
    int length = smapi_form_request(request, login, bytes, err);
    if (length < 0)
        talk->hopeless = true;
    else
        end = begin(talk, bytes, (size_t)length, err);
    explicit_bzero(bytes, sizeof(bytes));
    if (end == SMAPI_ANSWERED)
        return end;
    smapi_link_close(talk->link);
    talk->link = NULL;
    if (end == SMAPI_NOT_SENT)
        rm_prefix(err, 0, "%s was not sent", name);
    else
        rm_prefix(err, 0, "%s was sent, but nobody said that it was taken", name);
    return end;
}

/* The second part of the reply. 0 or as receive() says. */
static int read_reply(struct smapi_talk *talk, struct smapi_answer *ret, struct rm_err *err)
{
    const struct smapi *smapi = talk->smapi;
    uint8_t head[4];
    size_t length;
    int r = receive(talk, head, 1, talk->until_at, err);
    if (r < 0)
        return r;
    /* What has begun to come comes as a whole. */
    usec_t by =
        smapi_earlier(talk->until_at, smapi_after(env_now(smapi->env), smapi->call_timeout));
    r = receive(talk, head + 1, sizeof(head) - 1, by, err);
    if (r == 0)
        r = smapi_form_reply_length(head, &length, err);
    if (r < 0)
        return r;
    uint8_t *bytes = malloc(length);
    if (!bytes)
        return rm_fail(err, -ENOMEM, "no memory");
    r = receive(talk, bytes, length, by, err);
    if (r == 0)
        r = smapi_form_reply(bytes, length, ret, err);
    if (r < 0) {
        free(bytes);
        return r;
    }
    ret->bytes = bytes;
    /* The connection carries this reply alone, so it is ours whatever id stands in it. */
    ret->request_id = talk->request_id;
    return 0;
}

/* One connection, one request. SMAPI_ANSWERED, _NOT_SENT, _UNCERTAIN, _LOST or _STOPPED. */
enum smapi_end smapi_talk_exchange(struct smapi_talk *talk, const struct smapi_request *request,
                                   const struct smapi_login *login, struct smapi_answer *ret,
                                   struct rm_err *err)
{
    enum smapi_end end = smapi_talk_begin(talk, request, login, err);
    if (end != SMAPI_ANSWERED)
        return end;
    int r = read_reply(talk, ret, err);
    smapi_link_close(talk->link);
    talk->link = NULL;
    if (r == 0)
        return SMAPI_ANSWERED;
    talk->late = env_now(talk->smapi->env) >= talk->until_at;
    rm_prefix(err, 0, "%s was taken (request %" PRIu32 "), but its reply did not come",
              smapi_function_name(request->function), talk->request_id);
    return r == -ECANCELED ? SMAPI_STOPPED : SMAPI_LOST;
}

bool smapi_refuses_login(const struct smapi_answer *answer)
{
    return answer->rc == 120 || answer->rc == 128;
}

/* Sends the login for the first time, with a request that does nothing else. */
static int try_login(struct smapi_talk *talk, const struct smapi_login *login, struct rm_err *err)
{
    const struct smapi_request request = {.function = SMAPI_CHECK_AUTHENTICATION};
    struct smapi *smapi = talk->smapi;
    char text[SMAPI_CODE_TEXT_MAX];
    struct smapi_answer answer = {.rc = 0};
    struct smapi_talk trial = {
        .smapi = smapi,
        .until_at = smapi_earlier(talk->until_at, smapi_limit(smapi)),
    };
    if (smapi_talk_exchange(&trial, &request, login, &answer, err) != SMAPI_ANSWERED) {
        talk->hopeless = trial.hopeless;
        smapi_gate_tried(smapi->gate, SMAPI_TRIAL_OPEN, err->text);
        return -EAGAIN;
    }
    smapi_code_text(request.function, &answer, text, sizeof(text));
    enum smapi_trial end = SMAPI_TRIAL_GOOD;
    if (smapi_refuses_login(&answer))
        end = SMAPI_TRIAL_REFUSED;
    else if (smapi_code_says(request.function, &answer) == SMAPI_SAYS_RETRY)
        end = SMAPI_TRIAL_OPEN;
    smapi_answer_done(&answer);
    smapi_gate_tried(smapi->gate, end, text);
    if (end == SMAPI_TRIAL_GOOD)
        return 0;
    return rm_fail(err, end == SMAPI_TRIAL_REFUSED ? -EPERM : -EAGAIN, "%s", text);
}

int smapi_talk_login(struct smapi_talk *talk, struct smapi_login *ret_login,
                     struct smapi_stamp *ret_stamp, struct rm_err *err)
{
    struct smapi *smapi = talk->smapi;
    struct rm_err spare; /* the gate keeps the text of a trial */
    if (!err)
        err = &spare;
    usec_t until_at = smapi_earlier(talk->until_at, smapi_limit(smapi));
    int r = smapi_gate_enter(smapi->gate, until_at, ret_login, ret_stamp, err);
    if (r == 1)
        r = try_login(talk, ret_login, err);
    else if (r < 0 && r != -EAGAIN && r != -ETIMEDOUT)
        talk->hopeless = true;
    if (r < 0)
        explicit_bzero(ret_login, sizeof(*ret_login));
    return r;
}
