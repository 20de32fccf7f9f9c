/* smapi_internal.h - the client behind smapi.h, and one request on its way; for its files only */
#ifndef WORKER_ZVM_SMAPI_INTERNAL_H
#define WORKER_ZVM_SMAPI_INTERNAL_H

#include "worker/zvm/smapi_codec.h"
#include "worker/zvm/smapi_end.h"
#include "worker/zvm/smapi_link.h"
#include "worker/zvm/smapi_login_guard.h"

struct smapi {
    const struct env *env;
    struct smapi_address *address;
    struct smapi_guard *guard;
    usec_t connect_timeout, call_timeout;
};

/* One request on its way, and who waits for it. */
struct smapi_exchange {
    struct smapi *smapi;
    bool (*wait)(void *ctx); /* may be NULL */
    void *ctx;
    usec_t until_at; /* when the waiting ends; USEC_NEVER: when wait() ends it */
    usec_t leave_by; /* of the request; 0 = whenever */
    usec_t tick_at;  /* when wait() is asked next */
    struct smapi_link *link;
    uint32_t request_id; /* known as soon as it was taken */
    bool hopeless;       /* the same again would end the same */
    bool late;           /* until_at has come */
};

/* Points in time: their sum, USEC_NEVER when that is too much; the earlier one; when a request that
 * begins now must have come to its end. */
usec_t smapi_after(usec_t at, usec_t span);
usec_t smapi_earlier(usec_t a, usec_t b);
usec_t smapi_limit(const struct smapi *smapi);

/* A target that this login may use, where the request itself has none. */
const char *smapi_own_target(const struct smapi_login *login);

bool smapi_refuses_login(const struct smapi_answer *answer);

/* A login that may be used, tried if it is new; wipe it. 0, -EPERM: it was refused, or another
 * negative errno. */
int smapi_exchange_login(struct smapi_exchange *exchange, struct smapi_login *ret_login,
                         struct smapi_stamp *ret_stamp, struct rm_err *err);

/* Connects, sends the request and receives its id. SMAPI_ANSWERED: exchange->link and
 * exchange->request_id are there; otherwise SMAPI_NOT_SENT or SMAPI_UNCERTAIN and the link is
 * closed.
 */
enum smapi_end smapi_exchange_begin(struct smapi_exchange *exchange,
                                    const struct smapi_request *request,
                                    const struct smapi_login *login, struct rm_err *err);

/* The same and the reply: SMAPI_ANSWERED, _NOT_SENT, _UNCERTAIN, _LOST or _STOPPED. */
enum smapi_end smapi_exchange_run(struct smapi_exchange *exchange,
                                  const struct smapi_request *request,
                                  const struct smapi_login *login, struct smapi_answer *ret_answer,
                                  struct rm_err *err);

/* Waits, and asks wait() meanwhile. 0, -ECANCELED: by wait(), or -ETIMEDOUT at once: until_at
 * comes before that. */
int smapi_exchange_pause(struct smapi_exchange *exchange, usec_t span, usec_t until_at);

#endif
