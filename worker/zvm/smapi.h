/* smapi.h - a client of z/VM's SMAPI server: one request on a connection of its own, and events
 *
 * Addresses: tcp://HOST[:PORT] and tls://HOST[:PORT] (port 44444 when none is given, HOST may be an
 * IPv6 address in brackets), iucv://[SERVER] (VSMREQIU when none is given; only in a guest of
 * z/VM). TLS is 1.2 at least; the certificate and the name, or address, in it are always verified.
 *
 * Several threads may call with one struct smapi at the same time. Nothing is logged.
 *
 * The login file is read for each request. A login that the server has refused is not sent
 * again until the file has changed: SMAPI_REFUSED_LOGIN at once, so that no user is ever locked by
 * repetition. For the same reason a login that was not used before is tried by one thread alone,
 * with Check_Authentication, before any other request is sent with it. */
#ifndef WORKER_ZVM_SMAPI_H
#define WORKER_ZVM_SMAPI_H

#include "conf/env.h"
#include "conf/err.h"
#include "worker/zvm/smapi_codec.h"
#include "worker/zvm/smapi_end.h"

#include <stdbool.h>

struct smapi_conf {
    const char *url;
    const char *login_file; /* NULL: none, only with iucv:// */
    const char *ca_file;    /* PEM: who may sign the server's certificate, or that one itself; NULL:
                               those that the system trusts. Read by smapi_new(). */
    usec_t connect_timeout; /* resolving, connecting and TLS together */
    usec_t call_timeout;    /* sending and the request id; all of a request without wait() */
};

struct smapi;

/* Does not connect yet; everything is copied. 0 or -EINVAL, -ENOENT and the like with a text. */
int smapi_new(const struct smapi_conf *conf, const struct env *env, struct smapi **ret_smapi,
              struct rm_err *err);
void smapi_free(struct smapi *smapi);

/* Sends a request and waits for its reply. `wait` is called about twice a second as soon as the
 * request has left; false stops waiting (SMAPI_UNCERTAIN before the request id, SMAPI_STOPPED after
 * it). Without wait (NULL) call_timeout is the limit of the whole.
 *
 * may_repeat is for requests that change nothing: SMAPI_NOT_SENT, SMAPI_UNCERTAIN, a lost reply and
 * the return code 900/99 (the system changed meanwhile) are tried again within call_timeout. Any
 * other request leaves at most once; only the connecting is repeated, within connect_timeout.
 *
 * A reply that is lost after the request id is fetched with Response_Recovery, which needs to be
 * allowed for this user and target. An operation that goes on asynchronously (return code 592) is
 * followed to its end: the answer is 0/0 then, or 592/108 when it failed.
 *
 * err is filled for every end but SMAPI_ANSWERED; the answer only for that one. */
enum smapi_end smapi_call(struct smapi *smapi, const struct smapi_request *request, bool may_repeat,
                          bool (*wait)(void *ctx), void *ctx, struct smapi_answer *ret_answer,
                          struct rm_err *err);

/* Events of the system that the server runs on. One thread waits at a time. */
struct smapi_events;

/* 0, -EPERM: refused for good (login or authority), or another negative errno: try again later. It
 * takes a second or two: a server that grants it is silent. */
int smapi_events_open(struct smapi *smapi, struct smapi_events **ret_events, struct rm_err *err);

/* 1: an event (stream UINT32_MAX: one that cannot be read); 0: time is over; negative: the
 * connection is gone, close and open again. */
int smapi_events_wait(struct smapi_events *events, usec_t wait_for, struct smapi_event *ret_event);

void smapi_events_close(struct smapi_events *events); /* NULL is fine */

#endif
