/* smapi_events.c - the stream of events that Event_Subscribe opens */
#include "worker/zvm/smapi.h"
#include "worker/zvm/smapi_code.h"
#include "worker/zvm/smapi_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A subscription that is refused is so at once; one that is granted may be silent for long. */
#define REFUSAL_FOR (1500 * USEC_PER_MSEC)

enum { LENGTH_SIZE = 4 };

struct smapi_events {
    struct smapi *smapi;
    struct smapi_link *link;
    uint32_t request_id;
    struct smapi_stamp stamp;                     /* of the login */
    size_t got;                                   /* bytes of the record that comes in */
    uint8_t bytes[LENGTH_SIZE + SMAPI_EVENT_MAX]; /* its length and itself */
};

/* Receives until a record is whole. 1, 0: time is over, or a negative errno. */
static int receive_record(struct smapi_events *events, usec_t until_at, struct rm_err *err)
{
    for (;;) {
        size_t length = LENGTH_SIZE;
        if (events->got >= LENGTH_SIZE)
            length += smapi_decode_number(events->bytes);
        if (length > sizeof(events->bytes))
            return rm_fail(err, -EPROTO, "an event of %zu bytes, %d can be", length - LENGTH_SIZE,
                           SMAPI_EVENT_MAX);
        if (events->got == LENGTH_SIZE && length == LENGTH_SIZE) {
            events->got = 0; /* an empty record: the subscription holds */
            continue;
        }
        if (events->got >= LENGTH_SIZE && events->got == length)
            return 1;
        int r = smapi_link_receive(events->link, events->bytes + events->got, length - events->got,
                                   until_at, err);
        if (r <= 0)
            return r;
        events->got += (size_t)r;
    }
}

/* Is the whole record a reply instead of an event: the subscription was refused? 0, -EPERM or
 * another negative errno. */
static int check_refusal(struct smapi_events *events, struct rm_err *err)
{
    const uint8_t *record = events->bytes + LENGTH_SIZE;
    struct smapi_answer answer;
    if (events->got - LENGTH_SIZE != SMAPI_REPLY_MIN ||
        smapi_decode_number(record) != events->request_id ||
        smapi_decode_reply(record, SMAPI_REPLY_MIN, &answer, err) < 0)
        return 0;
    char text[SMAPI_CODE_TEXT_MAX];
    smapi_code_text(SMAPI_EVENT_SUBSCRIBE, &answer, text, sizeof(text));
    enum smapi_says says = smapi_code_says(SMAPI_EVENT_SUBSCRIBE, &answer);
    if (says == SMAPI_SAYS_LOGIN)
        smapi_guard_refused(events->smapi->guard, &events->stamp, text);
    return rm_fail(err, says == SMAPI_SAYS_RETRY || says == SMAPI_SAYS_OK ? -EAGAIN : -EPERM, "%s",
                   text);
}

int smapi_events_open(struct smapi *smapi, struct smapi_events **ret, struct rm_err *err)
{
    struct smapi_events *events = calloc(1, sizeof(*events));
    if (!events)
        return rm_fail(err, -ENOMEM, "no memory");
    struct smapi_exchange exchange = {.smapi = smapi, .until_at = smapi_limit(smapi)};
    struct smapi_login login;
    events->smapi = smapi;
    int r = smapi_exchange_login(&exchange, &login, &events->stamp, err);
    if (r == 0) {
        const struct smapi_request request = {.function = SMAPI_EVENT_SUBSCRIBE,
                                              .target = smapi_own_target(&login)};
        if (smapi_exchange_begin(&exchange, &request, &login, err) != SMAPI_ANSWERED)
            r = -EAGAIN;
        explicit_bzero(&login, sizeof(login));
    }
    events->link = exchange.link;
    events->request_id = exchange.request_id;
    if (r == 0) {
        r = receive_record(events, env_now(smapi->env) + REFUSAL_FOR, err);
        if (r == 1)
            r = check_refusal(events, err);
    }
    if (r < 0) {
        smapi_events_close(events);
        return r;
    }
    *ret = events;
    return 0;
}

int smapi_events_wait(struct smapi_events *events, usec_t wait_for, struct smapi_event *ret)
{
    int r = receive_record(events, smapi_after(env_now(events->smapi->env), wait_for), NULL);
    if (r == 1) {
        int refused = check_refusal(events, NULL);
        if (refused < 0)
            return refused;
        if (smapi_decode_event(events->bytes + LENGTH_SIZE, events->got - LENGTH_SIZE, ret, NULL) <
            0)
            *ret = (struct smapi_event){.stream = UINT32_MAX};
        events->got = 0;
    }
    return r;
}

void smapi_events_close(struct smapi_events *events)
{
    if (!events)
        return;
    smapi_link_close(events->link);
    free(events);
}
