/* smapi.c - a client of z/VM's SMAPI server: one request, its reply, and what to do without one */
#include "worker/zvm/smapi.h"

#include "worker/zvm/smapi_code.h"
#include "worker/zvm/smapi_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define REPEAT_FIRST  (200 * USEC_PER_MSEC)
#define REPEAT_MAX    (2 * USEC_PER_SEC)
#define RECOVER_FIRST (250 * USEC_PER_MSEC)
#define RECOVER_MAX   (15 * USEC_PER_SEC)
#define RECOVER_FOR   (120 * USEC_PER_SEC) /* then the reply is given up */
#define FOLLOW_FIRST  (500 * USEC_PER_MSEC)
#define FOLLOW_MAX    (5 * USEC_PER_SEC)

int smapi_new(const struct smapi_conf *conf, const struct env *env, struct smapi **ret,
              struct rm_err *err)
{
    struct smapi *smapi = calloc(1, sizeof(*smapi));
    if (!smapi)
        return rm_fail(err, -ENOMEM, "no memory");
    smapi->env = env;
    smapi->connect_timeout = conf->connect_timeout;
    smapi->call_timeout = conf->call_timeout;
    int r = smapi_address_new(conf->url, conf->ca_file, &smapi->address, err);
    if (r == 0 && !conf->login_file && !smapi_address_is_iucv(smapi->address))
        r = rm_fail(err, -EINVAL, "%s: needs a login file; only iucv:// goes without", conf->url);
    if (r == 0) {
        smapi->guard = smapi_guard_new(conf->login_file);
        if (!smapi->guard)
            r = rm_fail(err, -ENOMEM, "no memory");
    }
    if (r < 0) {
        smapi_free(smapi);
        return r;
    }
    *ret = smapi;
    return 0;
}

void smapi_free(struct smapi *smapi)
{
    if (!smapi)
        return;
    smapi_guard_free(smapi->guard);
    smapi_address_free(smapi->address);
    free(smapi);
}

/* The login with which the request went: refused, from now on. */
static enum smapi_end note_refusal(struct smapi_exchange *exchange,
                                   const struct smapi_request *request,
                                   const struct smapi_stamp *stamp, struct smapi_answer *answer,
                                   struct rm_err *err)
{
    char text[SMAPI_CODE_TEXT_MAX];
    smapi_code_text(request->function, answer, text, sizeof(text));
    smapi_guard_refused(exchange->smapi->guard, stamp, text);
    smapi_answer_done(answer);
    exchange->hopeless = true;
    rm_fail(err, -EPERM, "%s", text);
    return SMAPI_REFUSED_LOGIN;
}

/* A request about another request, on a connection of its own. As smapi_exchange_run(), and
 * _REFUSED_LOGIN. */
static enum smapi_end ask_about(const struct smapi_exchange *exchange, enum smapi_function function,
                                const char *target, uint32_t number, usec_t until_at,
                                struct smapi_answer *ret, struct rm_err *err)
{
    struct smapi_exchange aside = {
        .smapi = exchange->smapi,
        .wait = exchange->wait,
        .ctx = exchange->ctx,
        .tick_at = exchange->tick_at,
        .until_at = smapi_earlier(until_at, smapi_limit(exchange->smapi)),
    };
    struct smapi_login login;
    struct smapi_stamp stamp;
    int r = smapi_exchange_login(&aside, &login, &stamp, err);
    if (r < 0)
        return r == -EPERM ? SMAPI_REFUSED_LOGIN : SMAPI_NOT_SENT;
    bool guest = target && strcmp(target, "*") != 0;
    const struct smapi_request request = {
        .function = function,
        .target = guest ? target : smapi_own_target(&login),
        .number = number,
    };
    enum smapi_end end = smapi_exchange_run(&aside, &request, &login, ret, err);
    explicit_bzero(&login, sizeof(login));
    if (end == SMAPI_UNCERTAIN && aside.hopeless)
        return SMAPI_STOPPED;
    if (end == SMAPI_ANSWERED && smapi_refuses_login(ret))
        return note_refusal(&aside, &request, &stamp, ret, err);
    return end;
}

/* The answer to a Response_Recovery: 0: the reply is there; 1: ask again; negative: it is gone. */
static int read_recovery(const struct smapi_exchange *exchange, struct smapi_answer *recovery,
                         struct smapi_answer *ret, struct rm_err *err)
{
    enum { NO_SUCH_REQUEST = 4 };
    char text[SMAPI_CODE_TEXT_MAX];
    if (recovery->rc == 0) {
        int r = smapi_decode_recovered(recovery, exchange->request_id, ret, err);
        if (r == 0) {
            ret->bytes = recovery->bytes; /* the reply stands in them */
            memset(recovery, 0, sizeof(*recovery));
        }
        return r;
    }
    smapi_code_text(SMAPI_RESPONSE_RECOVERY, recovery, text, sizeof(text));
    if (recovery->rc == 4 && recovery->rs == NO_SUCH_REQUEST)
        return rm_fail(err, -ENOENT, "%s: the server does not know the request any more", text);
    rm_err_set(err, "%s", text);
    enum smapi_says says = smapi_code_says(SMAPI_RESPONSE_RECOVERY, recovery);
    return recovery->rc == 4 || says == SMAPI_SAYS_RETRY ? 1 : -EIO; /* 4: nothing there yet */
}

/* Fetches the reply of a request that was taken. SMAPI_ANSWERED, _LOST or _STOPPED. */
static enum smapi_end recover(struct smapi_exchange *exchange, const struct smapi_request *request,
                              struct smapi_answer *ret, struct rm_err *err)
{
    usec_t until_at =
        smapi_earlier(exchange->until_at, smapi_after(env_now(exchange->smapi->env), RECOVER_FOR));
    struct rm_err why = {""};
    enum smapi_end end = SMAPI_LOST;
    for (usec_t pause = RECOVER_FIRST;; pause = smapi_earlier(pause * 2, RECOVER_MAX)) {
        int r = smapi_exchange_pause(exchange, pause, until_at);
        if (r < 0) {
            end = r == -ECANCELED ? SMAPI_STOPPED : SMAPI_LOST;
            break;
        }
        struct smapi_answer recovery = {.rc = 0};
        end = ask_about(exchange, SMAPI_RESPONSE_RECOVERY, request->target, exchange->request_id,
                        until_at, &recovery, &why);
        if (end == SMAPI_STOPPED)
            break;
        if (end == SMAPI_REFUSED_LOGIN) {
            end = SMAPI_LOST;
            break;
        }
        if (end != SMAPI_ANSWERED)
            continue;
        r = read_recovery(exchange, &recovery, ret, &why);
        smapi_answer_done(&recovery);
        if (r == 0)
            return SMAPI_ANSWERED;
        end = SMAPI_LOST;
        if (r < 0)
            break;
    }
    if (err && why.text[0])
        rm_err_set(err, "%s; %s", err->text, why.text);
    return end;
}

/* Follows an asynchronous operation to its end. SMAPI_ANSWERED, _LOST or _STOPPED. */
static enum smapi_end follow(struct smapi_exchange *exchange, const struct smapi_request *request,
                             struct smapi_answer *answer, struct rm_err *err)
{
    enum { SUCCEEDED = 100, FAILED = 108 }; /* all else: it goes on */
    const char *name = smapi_function_name(request->function);
    uint32_t operation;
    int r = smapi_decode_operation(answer, &operation, err);
    smapi_answer_done(answer);
    if (r < 0) {
        rm_prefix(err, r, "%s goes on asynchronously and cannot be followed", name);
        return SMAPI_LOST;
    }
    char text[SMAPI_CODE_TEXT_MAX];
    struct rm_err why = {"no time was left"};
    enum smapi_end end = SMAPI_LOST;
    usec_t silent_at = smapi_after(env_now(exchange->smapi->env), RECOVER_FOR);
    for (usec_t pause = FOLLOW_FIRST;; pause = smapi_earlier(pause * 2, FOLLOW_MAX)) {
        r = smapi_exchange_pause(exchange, pause, smapi_earlier(exchange->until_at, silent_at));
        if (r < 0) {
            end = r == -ECANCELED ? SMAPI_STOPPED : SMAPI_LOST;
            break;
        }
        struct smapi_answer state = {.rc = 0};
        end = ask_about(exchange, SMAPI_QUERY_ASYNCHRONOUS_OPERATION_DM, request->target, operation,
                        exchange->until_at, &state, &why);
        if (end == SMAPI_STOPPED)
            break;
        if (end == SMAPI_REFUSED_LOGIN) {
            end = SMAPI_LOST;
            break;
        }
        if (end != SMAPI_ANSWERED)
            continue;
        uint32_t rc = state.rc, rs = state.rs;
        smapi_code_text(SMAPI_QUERY_ASYNCHRONOUS_OPERATION_DM, &state, text, sizeof(text));
        bool passes =
            smapi_code_says(SMAPI_QUERY_ASYNCHRONOUS_OPERATION_DM, &state) == SMAPI_SAYS_RETRY;
        smapi_answer_done(&state);
        if (rc == 0 && (rs == SUCCEEDED || rs == FAILED)) {
            answer->request_id = exchange->request_id;
            answer->rc = rs == SUCCEEDED ? 0 : 592;
            answer->rs = rs == SUCCEEDED ? 0 : FAILED;
            return SMAPI_ANSWERED;
        }
        rm_err_set(&why, "%s", text);
        end = SMAPI_LOST;
        if (!passes)
            break;
        if (rc == 0)
            silent_at = smapi_after(env_now(exchange->smapi->env), RECOVER_FOR);
    }
    rm_err_set(err, "%s goes on asynchronously (operation %" PRIu32 "), its end is not known: %s",
               name, operation, why.text);
    return end;
}

/* The request once, with all that belongs to its reply. */
static enum smapi_end send_once(struct smapi_exchange *exchange,
                                const struct smapi_request *request, bool may_repeat,
                                struct smapi_answer *ret, struct rm_err *err)
{
    struct smapi_login login;
    struct smapi_stamp stamp;
    int r = smapi_exchange_login(exchange, &login, &stamp, err);
    if (r < 0) {
        rm_prefix(err, r, "%s was not sent", smapi_function_name(request->function));
        return r == -EPERM ? SMAPI_REFUSED_LOGIN : SMAPI_NOT_SENT;
    }
    enum smapi_end end = smapi_exchange_run(exchange, request, &login, ret, err);
    explicit_bzero(&login, sizeof(login));
    if (end == SMAPI_LOST && !may_repeat && !exchange->late)
        end = recover(exchange, request, ret, err);
    if (end == SMAPI_ANSWERED && smapi_refuses_login(ret))
        return note_refusal(exchange, request, &stamp, ret, err);
    if (end == SMAPI_ANSWERED && ret->rc == 592)
        end = follow(exchange, request, ret, err);
    return end;
}

static bool is_worth_repeating(const struct smapi_exchange *exchange, enum smapi_end end,
                               const struct smapi_answer *answer)
{
    if (end == SMAPI_ANSWERED) /* the system changed during the call, which is to be repeated */
        return answer->rc == 900 && answer->rs == 99;
    return !exchange->hopeless &&
           (end == SMAPI_NOT_SENT || end == SMAPI_UNCERTAIN || end == SMAPI_LOST);
}

enum smapi_end smapi_call(struct smapi *smapi, const struct smapi_request *request, bool may_repeat,
                          bool (*wait)(void *ctx), void *ctx, struct smapi_answer *ret_answer,
                          struct rm_err *err)
{
    if (smapi_check_request(request, err) < 0)
        return SMAPI_NOT_SENT;
    usec_t repeat_until_at = smapi_after(env_now(smapi->env), smapi->call_timeout);
    for (usec_t pause = REPEAT_FIRST;; pause = smapi_earlier(pause * 2, REPEAT_MAX)) {
        struct smapi_exchange exchange = {.smapi = smapi,
                                          .wait = wait,
                                          .ctx = ctx,
                                          .until_at = wait ? USEC_NEVER : repeat_until_at};
        struct smapi_answer answer = {.rc = 0};
        enum smapi_end end = send_once(&exchange, request, may_repeat, &answer, err);
        bool again = may_repeat && is_worth_repeating(&exchange, end, &answer);
        if (!again || smapi_after(env_now(smapi->env), pause) >= repeat_until_at) {
            if (end == SMAPI_ANSWERED) {
                *ret_answer = answer;
                if (err) /* what went wrong before is of no meaning now */
                    err->text[0] = '\0';
            }
            return end;
        }
        smapi_answer_done(&answer);
        exchange.wait = NULL; /* nothing is outstanding */
        smapi_exchange_pause(&exchange, pause, USEC_NEVER);
    }
}
