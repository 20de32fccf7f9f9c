/* smapi.c - a client of z/VM's SMAPI server: one request, its reply, and what to do without one */
#include "worker/smapi.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "conf/unit.h"
#include "worker/smapi_code.h"
#include "worker/smapi_parts.h"

#define TICK          (500 * USEC_PER_MSEC) /* between two calls of wait() */
#define REPEAT_FIRST  (200 * USEC_PER_MSEC)
#define REPEAT_MAX    (2 * USEC_PER_SEC)
#define RECOVER_FIRST (250 * USEC_PER_MSEC)
#define RECOVER_MAX   (15 * USEC_PER_SEC)
#define RECOVER_FOR   (120 * USEC_PER_SEC) /* then the reply is given up */
#define FOLLOW_FIRST  (500 * USEC_PER_MSEC)
#define FOLLOW_MAX    (5 * USEC_PER_SEC)

/* Where the server wants a target that the request does not have: the user that every z/VM has. */
static const char ANY_TARGET[] = "MAINT";

usec_t smapi_after(usec_t at, usec_t span)
{
    return span < USEC_NEVER - at ? at + span : USEC_NEVER;
}

static usec_t earlier(usec_t a, usec_t b)
{
    return a < b ? a : b;
}

const char *smapi_own_target(const struct smapi_login *login)
{
    return login->userid[0] ? login->userid : ANY_TARGET;
}

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
        smapi->gate = smapi_gate_new(conf->login_file, env);
        if (!smapi->gate)
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
    smapi_gate_free(smapi->gate);
    smapi_address_free(smapi->address);
    free(smapi);
}

void smapi_answer_done(struct smapi_answer *answer)
{
    free(answer->bytes);
    memset(answer, 0, sizeof(*answer));
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
        usec_t by = talk->wait ? earlier(until_at, talk->tick_at) : until_at;
        int r = smapi_link_receive(talk->link, bytes + got, length - got, by, err);
        if (r < 0)
            return r;
        got += (size_t)r;
        if (!goes_on(talk))
            return rm_fail(err, -ECANCELED, "no longer waited for");
        if (r == 0 && env_now(env) >= until_at) {
            char span[UNIT_TEXT_MAX];
            return rm_fail(err, -ETIMEDOUT, "no answer for %s",
                           unit_duration_text(env_now(env) - began, span));
        }
    }
    return 0;
}

/* Waits, and asks wait() meanwhile. 0, -ECANCELED, or -ETIMEDOUT: until_at comes before that. */
static int pause_for(struct smapi_talk *talk, usec_t span, usec_t until_at)
{
    const struct env *env = talk->smapi->env;
    usec_t end_at = smapi_after(env_now(env), span);
    if (end_at >= until_at)
        return -ETIMEDOUT;
    for (usec_t now; (now = env_now(env)) < end_at;) {
        usec_t by = talk->wait ? earlier(end_at, talk->tick_at) : end_at;
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
    int r = smapi_link_open(smapi->address, smapi->env,
                            earlier(talk->until_at, smapi_after(now, smapi->connect_timeout)),
                            &talk->link, err);
    if (r < 0) {
        talk->hopeless = r == -EPERM || r == -EINVAL;
        return SMAPI_NOT_SENT;
    }
    now = env_now(smapi->env);
    usec_t until_at = earlier(talk->until_at, smapi_after(now, smapi->call_timeout));
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
    usec_t by = earlier(talk->until_at, smapi_after(env_now(smapi->env), smapi->call_timeout));
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
    ret->request_id = talk->request_id;
    return 0;
}

/* One connection, one request. SMAPI_ANSWERED, _NOT_SENT, _UNCERTAIN, _LOST or _STOPPED. */
static enum smapi_end exchange(struct smapi_talk *talk, const struct smapi_request *request,
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

static bool refuses_login(const struct smapi_answer *answer)
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
    struct smapi_talk trial = {.smapi = smapi, .until_at = talk->until_at};
    trial.until_at = earlier(
        talk->until_at,
        smapi_after(smapi_after(env_now(smapi->env), smapi->connect_timeout), smapi->call_timeout));
    if (exchange(&trial, &request, login, &answer, err) != SMAPI_ANSWERED) {
        talk->hopeless = trial.hopeless;
        smapi_gate_tried(smapi->gate, SMAPI_TRIAL_OPEN, err->text);
        return -EAGAIN;
    }
    smapi_code_text(request.function, &answer, text, sizeof(text));
    enum smapi_trial end = SMAPI_TRIAL_GOOD;
    if (refuses_login(&answer))
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
    usec_t until_at =
        smapi_after(smapi_after(env_now(smapi->env), smapi->connect_timeout), smapi->call_timeout);
    int r =
        smapi_gate_enter(smapi->gate, earlier(talk->until_at, until_at), ret_login, ret_stamp, err);
    if (r == 1)
        r = try_login(talk, ret_login, err);
    else if (r < 0 && r != -EAGAIN && r != -ETIMEDOUT)
        talk->hopeless = true;
    if (r < 0)
        explicit_bzero(ret_login, sizeof(*ret_login));
    return r;
}

/* The login with which the request went: refused, from now on. */
static enum smapi_end note_refusal(struct smapi_talk *talk, const struct smapi_request *request,
                                   const struct smapi_stamp *stamp, struct smapi_answer *answer,
                                   struct rm_err *err)
{
    char text[SMAPI_CODE_TEXT_MAX];
    smapi_code_text(request->function, answer, text, sizeof(text));
    smapi_gate_refused(talk->smapi->gate, stamp, text);
    smapi_answer_done(answer);
    talk->hopeless = true;
    rm_fail(err, -EPERM, "%s", text);
    return SMAPI_REFUSED_LOGIN;
}

/* A request about another request, on a connection of its own. As exchange(), and _REFUSED_LOGIN.
 */
static enum smapi_end ask_about(const struct smapi_talk *talk, enum smapi_function function,
                                const char *target, uint32_t number, usec_t until_at,
                                struct smapi_answer *ret, struct rm_err *err)
{
    struct smapi_talk aside = {
        .smapi = talk->smapi, .wait = talk->wait, .ctx = talk->ctx, .tick_at = talk->tick_at};
    struct smapi_login login;
    struct smapi_stamp stamp;
    aside.until_at = earlier(
        until_at, smapi_after(smapi_after(env_now(talk->smapi->env), talk->smapi->connect_timeout),
                              talk->smapi->call_timeout));
    int r = smapi_talk_login(&aside, &login, &stamp, err);
    if (r < 0)
        return r == -EPERM ? SMAPI_REFUSED_LOGIN : SMAPI_NOT_SENT;
    bool guest = target && strcmp(target, "*") != 0;
    const struct smapi_request request = {
        .function = function,
        .target = guest ? target : smapi_own_target(&login),
        .number = number,
    };
    enum smapi_end end = exchange(&aside, &request, &login, ret, err);
    explicit_bzero(&login, sizeof(login));
    if (end == SMAPI_UNCERTAIN && aside.hopeless)
        return SMAPI_STOPPED;
    if (end == SMAPI_ANSWERED && refuses_login(ret))
        return note_refusal(&aside, &request, &stamp, ret, err);
    return end;
}

/* What a Response_Recovery said: 0: the reply is there; 1: ask again; negative: it is gone. */
static int read_recovery(const struct smapi_talk *talk, struct smapi_answer *recovery,
                         struct smapi_answer *ret, struct rm_err *err)
{
    enum { NO_SUCH_REQUEST = 4 };
    char text[SMAPI_CODE_TEXT_MAX];
    if (recovery->rc == 0) {
        int r = smapi_form_recovered(recovery, talk->request_id, ret, err);
        if (r == 0) {
            ret->bytes = recovery->bytes; /* the reply stands in them */
            memset(recovery, 0, sizeof(*recovery));
        }
        return r;
    }
    smapi_code_text(SMAPI_RESPONSE_RECOVERY, recovery, text, sizeof(text));
    rm_fail(err, 0, "%s", text);
    if (recovery->rc == 4 && recovery->rs == NO_SUCH_REQUEST)
        return rm_fail(err, -ENOENT, "%s: the server does not know the request any more", text);
    bool passes =
        recovery->rc == 4 || smapi_code_says(SMAPI_RESPONSE_RECOVERY, recovery) == SMAPI_SAYS_RETRY;
    return passes ? 1 : -EIO;
}

/* Fetches the reply of a request that was taken. SMAPI_ANSWERED, _LOST or _STOPPED. */
static enum smapi_end recover(struct smapi_talk *talk, const struct smapi_request *request,
                              struct smapi_answer *ret, struct rm_err *err)
{
    usec_t until_at = earlier(talk->until_at, smapi_after(env_now(talk->smapi->env), RECOVER_FOR));
    struct rm_err why = {""};
    enum smapi_end end = SMAPI_LOST;
    for (usec_t pause = RECOVER_FIRST;; pause = earlier(pause * 2, RECOVER_MAX)) {
        int r = pause_for(talk, pause, until_at);
        if (r < 0) {
            end = r == -ECANCELED ? SMAPI_STOPPED : SMAPI_LOST;
            break;
        }
        struct smapi_answer recovery = {.rc = 0};
        end = ask_about(talk, SMAPI_RESPONSE_RECOVERY, request->target, talk->request_id, until_at,
                        &recovery, &why);
        if (end == SMAPI_STOPPED)
            break;
        if (end == SMAPI_REFUSED_LOGIN) {
            end = SMAPI_LOST;
            break;
        }
        if (end != SMAPI_ANSWERED)
            continue;
        r = read_recovery(talk, &recovery, ret, &why);
        smapi_answer_done(&recovery);
        if (r == 0)
            return SMAPI_ANSWERED;
        end = SMAPI_LOST;
        if (r < 0)
            break;
    }
    if (err && why.text[0])
        rm_fail(err, 0, "%s; %s", err->text, why.text);
    return end;
}

/* Follows an asynchronous operation to its end. SMAPI_ANSWERED, _LOST or _STOPPED. */
static enum smapi_end follow(struct smapi_talk *talk, const struct smapi_request *request,
                             struct smapi_answer *answer, struct rm_err *err)
{
    enum { SUCCEEDED = 100, GOES_ON = 104, FAILED = 108 };
    const char *name = smapi_function_name(request->function);
    uint32_t operation;
    int r = smapi_form_operation(answer, &operation, err);
    smapi_answer_done(answer);
    if (r < 0) {
        rm_prefix(err, r, "%s goes on asynchronously and cannot be followed", name);
        return SMAPI_LOST;
    }
    char text[SMAPI_CODE_TEXT_MAX];
    struct rm_err why = {"no time was left"};
    enum smapi_end end = SMAPI_LOST;
    usec_t silent_at = smapi_after(env_now(talk->smapi->env), RECOVER_FOR);
    for (usec_t pause = FOLLOW_FIRST;; pause = earlier(pause * 2, FOLLOW_MAX)) {
        r = pause_for(talk, pause, earlier(talk->until_at, silent_at));
        if (r < 0) {
            end = r == -ECANCELED ? SMAPI_STOPPED : SMAPI_LOST;
            break;
        }
        struct smapi_answer state = {.rc = 0};
        end = ask_about(talk, SMAPI_QUERY_ASYNCHRONOUS_OPERATION_DM, request->target, operation,
                        talk->until_at, &state, &why);
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
            answer->request_id = talk->request_id;
            answer->rc = rs == SUCCEEDED ? 0 : 592;
            answer->rs = rs == SUCCEEDED ? 0 : FAILED;
            return SMAPI_ANSWERED;
        }
        rm_fail(&why, 0, "%s", text);
        end = SMAPI_LOST;
        if (!passes)
            break;
        if (rc == 0)
            silent_at = smapi_after(env_now(talk->smapi->env), RECOVER_FOR);
    }
    rm_fail(err, 0, "%s goes on asynchronously (operation %" PRIu32 "), its end is not known: %s",
            name, operation, why.text);
    return end;
}

/* The request once, with all that belongs to its reply. */
static enum smapi_end attempt(struct smapi_talk *talk, const struct smapi_request *request,
                              bool may_repeat, struct smapi_answer *ret, struct rm_err *err)
{
    struct smapi_login login;
    struct smapi_stamp stamp;
    int r = smapi_talk_login(talk, &login, &stamp, err);
    if (r < 0) {
        rm_prefix(err, r, "%s was not sent", smapi_function_name(request->function));
        return r == -EPERM ? SMAPI_REFUSED_LOGIN : SMAPI_NOT_SENT;
    }
    enum smapi_end end = exchange(talk, request, &login, ret, err);
    explicit_bzero(&login, sizeof(login));
    if (end == SMAPI_LOST && !may_repeat && !talk->late)
        end = recover(talk, request, ret, err);
    if (end == SMAPI_ANSWERED && refuses_login(ret))
        return note_refusal(talk, request, &stamp, ret, err);
    if (end == SMAPI_ANSWERED && ret->rc == 592)
        end = follow(talk, request, ret, err);
    return end;
}

static bool is_worth_repeating(const struct smapi_talk *talk, enum smapi_end end,
                               const struct smapi_answer *answer)
{
    if (end == SMAPI_ANSWERED) /* the system changed during the call, which is to be made anew */
        return answer->rc == 900 && answer->rs == 99;
    return !talk->hopeless &&
           (end == SMAPI_NOT_SENT || end == SMAPI_UNCERTAIN || end == SMAPI_LOST);
}

enum smapi_end smapi_call(struct smapi *smapi, const struct smapi_request *request, bool may_repeat,
                          bool (*wait)(void *ctx), void *ctx, struct smapi_answer *ret_answer,
                          struct rm_err *err)
{
    if (smapi_form_check(request, err) < 0)
        return SMAPI_NOT_SENT;
    usec_t repeat_until_at = smapi_after(env_now(smapi->env), smapi->call_timeout);
    for (usec_t pause = REPEAT_FIRST;; pause = earlier(pause * 2, REPEAT_MAX)) {
        struct smapi_talk talk = {.smapi = smapi,
                                  .wait = wait,
                                  .ctx = ctx,
                                  .until_at = wait ? USEC_NEVER : repeat_until_at};
        struct smapi_answer answer = {.rc = 0};
        enum smapi_end end = attempt(&talk, request, may_repeat, &answer, err);
        bool again = may_repeat && is_worth_repeating(&talk, end, &answer);
        if (!again || smapi_after(env_now(smapi->env), pause) >= repeat_until_at) {
            if (end == SMAPI_ANSWERED)
                *ret_answer = answer;
            return end;
        }
        smapi_answer_done(&answer);
        talk.wait = NULL; /* nothing is outstanding */
        pause_for(&talk, pause, USEC_NEVER);
    }
}
