/* smapi_parts.h - what the files of the SMAPI client share; for worker/smapi*.c only */
#ifndef WORKER_SMAPI_PARTS_H
#define WORKER_SMAPI_PARTS_H

#include "worker/smapi.h"
#include "worker/smapi_gate.h"
#include "worker/smapi_link.h"

struct smapi {
    const struct env *env;
    struct smapi_address *address;
    struct smapi_gate *gate;
    usec_t connect_timeout, call_timeout;
};

/* One request on its way, and who waits for it. */
struct smapi_talk {
    struct smapi *smapi;
    bool (*wait)(void *ctx); /* may be NULL */
    void *ctx;
    usec_t until_at; /* when the waiting ends; USEC_NEVER: when wait() says so */
    usec_t tick_at;  /* when wait() is asked next */
    struct smapi_link *link;
    uint32_t request_id; /* known as soon as it was taken */
    bool hopeless;       /* the same again would end the same */
    bool late;           /* until_at has come */
};

/* A target that this login may use, where the request itself has none. */
const char *smapi_own_target(const struct smapi_login *login);

usec_t smapi_after(usec_t at, usec_t span); /* their sum, USEC_NEVER when that is too much */

/* Connects, sends the request and receives its id. SMAPI_ANSWERED: talk->link and
 * talk->request_id are there; otherwise SMAPI_NOT_SENT or SMAPI_UNCERTAIN and the link is closed.
 */
enum smapi_end smapi_talk_begin(struct smapi_talk *talk, const struct smapi_request *request,
                                const struct smapi_login *login, struct rm_err *err);

/* A login that may be used, tried if it is new; wipe it. 0, -EPERM: it was refused, or another
 * negative errno. */
int smapi_talk_login(struct smapi_talk *talk, struct smapi_login *ret_login,
                     struct smapi_stamp *ret_stamp, struct rm_err *err);

#endif
