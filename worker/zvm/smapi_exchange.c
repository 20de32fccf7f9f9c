/* smapi_exchange.c - one request on one connection: sent, taken, answered; and the login for it */
#include "conf/unit.h"
#include "worker/zvm/smapi_code.h"
#include "worker/zvm/smapi_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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
static bool goes_on(struct smapi_exchange *exchange)
{
    usec_t now = env_now(exchange->smapi->env);
    if (!exchange->wait || now < exchange->tick_at)
        return true;
    exchange->tick_at = now + TICK;
    return exchange->wait(exchange->ctx);
}

/* Receives all of it: 0, -ETIMEDOUT, -ECANCELED: by wait(), or what broke the connection. */
static int receive(struct smapi_exchange *exchange, uint8_t *bytes, size_t length, usec_t until_at,
                   struct rm_err *err)
{
    const struct env *env = exchange->smapi->env;
    usec_t began = env_now(env);
    for (size_t got = 0; got < length;) {
        usec_t by = exchange->wait ? smapi_earlier(until_at, exchange->tick_at) : until_at;
        int r = smapi_link_receive(exchange->link, bytes + got, length - got, by, err);
        if (r < 0)
            return r;
        got += (size_t)r;
        if (!goes_on(exchange))
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
int smapi_exchange_pause(struct smapi_exchange *exchange, usec_t span, usec_t until_at)
{
    const struct env *env = exchange->smapi->env;
    usec_t end_at = smapi_after(env_now(env), span);
    if (end_at >= until_at)
        return -ETIMEDOUT;
    for (usec_t now; (now = env_now(env)) < end_at;) {
        usec_t by = exchange->wait ? smapi_earlier(end_at, exchange->tick_at) : end_at;
        if (by > now)
            env_sleep(env, by - now);
        if (!goes_on(exchange))
            return -ECANCELED;
    }
    return 0;
}

static enum smapi_end begin(struct smapi_exchange *exchange, const uint8_t *bytes, size_t length,
                            struct rm_err *err)
{
    struct smapi *smapi = exchange->smapi;
    usec_t now = env_now(smapi->env);
    usec_t open_by = smapi_earlier(exchange->until_at, smapi_after(now, smapi->connect_timeout));
    if (exchange->leave_by)
        open_by = smapi_earlier(open_by, exchange->leave_by);
    int r = smapi_link_open(smapi->address, smapi->env, open_by, &exchange->link, err);
    if (r < 0) {
        exchange->hopeless = r == -EPERM || r == -EINVAL;
        return SMAPI_NOT_SENT;
    }
    now = env_now(smapi->env);
    if (exchange->leave_by && now >= exchange->leave_by) {
        exchange->hopeless = true;
        rm_fail(err, -ETIMEDOUT, "connecting took longer than the time in which it may begin");
        return SMAPI_NOT_SENT;
    }
    usec_t until_at = smapi_earlier(exchange->until_at, smapi_after(now, smapi->call_timeout));
    r = smapi_link_send(exchange->link, bytes, length, until_at, err);
    if (r < 0)
        return SMAPI_NOT_SENT;
    exchange->tick_at = now + TICK;
    uint8_t id[4];
    r = receive(exchange, id, sizeof(id), until_at, err);
    if (r < 0) {
        exchange->hopeless = r == -ECANCELED;
        return SMAPI_UNCERTAIN;
    }
    exchange->request_id = smapi_decode_number(id);
    return SMAPI_ANSWERED;
}

enum smapi_end smapi_exchange_begin(struct smapi_exchange *exchange,
                                    const struct smapi_request *request,
                                    const struct smapi_login *login, struct rm_err *err)
{
    const char *name = smapi_function_name(request->function);
    uint8_t bytes[SMAPI_REQUEST_MAX];
    enum smapi_end end = SMAPI_NOT_SENT;
    exchange->leave_by = request->leave_by;
    int length = smapi_encode_request(request, login, bytes, err);
    if (length < 0)
        exchange->hopeless = true;
    else
        end = begin(exchange, bytes, (size_t)length, err);
    explicit_bzero(bytes, sizeof(bytes));
    if (end == SMAPI_ANSWERED)
        return end;
    smapi_link_close(exchange->link);
    exchange->link = NULL;
    if (end == SMAPI_NOT_SENT)
        rm_err_prefix(err, "%s was not sent", name);
    else
        rm_err_prefix(err, "%s was sent, but nobody said that it was taken", name);
    return end;
}

/* The second part of the reply. 0 or as receive(). */
static int read_reply(struct smapi_exchange *exchange, struct smapi_answer *ret, struct rm_err *err)
{
    const struct smapi *smapi = exchange->smapi;
    uint8_t head[4];
    size_t length = 0;
    int r = receive(exchange, head, 1, exchange->until_at, err);
    if (r < 0)
        return r;
    /* What has begun to come comes as a whole. */
    usec_t by =
        smapi_earlier(exchange->until_at, smapi_after(env_now(smapi->env), smapi->call_timeout));
    r = receive(exchange, head + 1, sizeof(head) - 1, by, err);
    if (r < 0 || (r = smapi_decode_reply_length(head, &length, err)) < 0)
        return r;
    uint8_t *bytes = malloc(length);
    if (!bytes)
        return rm_fail(err, -ENOMEM, "no memory");
    r = receive(exchange, bytes, length, by, err);
    if (r == 0)
        r = smapi_decode_reply(bytes, length, ret, err);
    if (r < 0) {
        free(bytes);
        return r;
    }
    ret->bytes = bytes;
    /* The connection carries this reply alone, so it is ours whatever id stands in it. */
    ret->request_id = exchange->request_id;
    return 0;
}

/* One connection, one request. SMAPI_ANSWERED, _NOT_SENT, _UNCERTAIN, _LOST or _STOPPED. */
enum smapi_end smapi_exchange_run(struct smapi_exchange *exchange,
                                  const struct smapi_request *request,
                                  const struct smapi_login *login, struct smapi_answer *ret,
                                  struct rm_err *err)
{
    enum smapi_end end = smapi_exchange_begin(exchange, request, login, err);
    if (end != SMAPI_ANSWERED)
        return end;
    int r = read_reply(exchange, ret, err);
    smapi_link_close(exchange->link);
    exchange->link = NULL;
    if (r == 0)
        return SMAPI_ANSWERED;
    exchange->late = env_now(exchange->smapi->env) >= exchange->until_at;
    rm_err_prefix(err, "%s was taken (request %" PRIu32 "), but its reply did not come",
                  smapi_function_name(request->function), exchange->request_id);
    return r == -ECANCELED ? SMAPI_STOPPED : SMAPI_LOST;
}

bool smapi_refuses_login(const struct smapi_answer *answer)
{
    return answer->rc == 120 || answer->rc == 128;
}

/* Sends the login for the first time, with a request that does nothing else. */
static int try_login(struct smapi_exchange *exchange, const struct smapi_login *login,
                     struct rm_err *err)
{
    const struct smapi_request request = {.function = SMAPI_CHECK_AUTHENTICATION};
    struct smapi *smapi = exchange->smapi;
    char text[SMAPI_CODE_TEXT_MAX];
    struct smapi_answer answer = {.rc = 0};
    struct smapi_exchange trial = {
        .smapi = smapi,
        .until_at = smapi_earlier(exchange->until_at, smapi_limit(smapi)),
    };
    if (smapi_exchange_run(&trial, &request, login, &answer, err) != SMAPI_ANSWERED) {
        exchange->hopeless = trial.hopeless;
        smapi_guard_tried(smapi->guard, SMAPI_TRIAL_OPEN, err->text);
        return -EAGAIN;
    }
    smapi_code_text(request.function, &answer, text, sizeof(text));
    enum smapi_trial end = SMAPI_TRIAL_GOOD;
    if (smapi_refuses_login(&answer))
        end = SMAPI_TRIAL_REFUSED;
    else if (smapi_code_says(request.function, &answer) == SMAPI_SAYS_RETRY)
        end = SMAPI_TRIAL_OPEN;
    smapi_answer_done(&answer);
    smapi_guard_tried(smapi->guard, end, text);
    if (end == SMAPI_TRIAL_GOOD)
        return 0;
    return rm_fail(err, end == SMAPI_TRIAL_REFUSED ? -EPERM : -EAGAIN, "%s", text);
}

int smapi_exchange_login(struct smapi_exchange *exchange, struct smapi_login *ret_login,
                         struct smapi_stamp *ret_stamp, struct rm_err *err)
{
    struct smapi *smapi = exchange->smapi;
    struct rm_err spare; /* the guard keeps the text of a trial */
    if (!err)
        err = &spare;
    usec_t until_at = smapi_earlier(exchange->until_at, smapi_limit(smapi));
    int r = smapi_guard_enter(smapi->guard, until_at, ret_login, ret_stamp, err);
    if (r == 1)
        r = try_login(exchange, ret_login, err);
    else if (r < 0 && r != -EAGAIN && r != -ETIMEDOUT)
        exchange->hopeless = true;
    if (r < 0)
        explicit_bzero(ret_login, sizeof(*ret_login));
    return r;
}
