/* request.h - what the handlers of client requests share
 *
 * A handler gets the request and fills the reply; everything in it lives in core->arena. Handlers
 * that change something are called once for each token; a repeated request gets the stored reply
 * (dispatch.h). */
#ifndef BROKER_REQUEST_H
#define BROKER_REQUEST_H

#include "broker/host.h"
#include "broker/model.h"
#include "broker/page.h"
#include "store/tables/noderange.h"

struct host_ask_draft;

/* Written by request.c only. */
struct request {
    const struct net_peer *peer;
    const RmRequest *message;
    uint64_t tag;
    RmReply *reply;
    struct page page;               /* of the reply; written by page.c too */
    struct host_ask_draft **drafts; /* hypervisors that are asked before it is answered */
    size_t n_drafts;
    usec_t wait_for; /* for so long at most */
    bool held;       /* nothing was done: it is carried out when that hypervisor has shown itself */
    struct noderange exclude; /* exclude_nodes, as of the last request_exclude() */
    RmOutcome spare;          /* what goes nowhere: an outcome for which the answer is too long */
    size_t n_claimed; /* outcomes for which there is room in the store; written by submit.c */
};

/* All borrowed. reply: initialised. */
void request_init(struct core *core, struct request *request, const struct net_peer *peer,
                  uint64_t tag, const RmRequest *message, RmReply *reply);
void request_done(struct request *request);
/* The stored reply to the same token takes the place of the handler's. */
void request_answer(struct request *request, RmReply *reply);

/* The whole request is refused with this code and text. */
void request_refuse(struct core *core, struct request *request, RmCode code, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

/* Claims room in the store for all that it will write (store_claim). False: there is none, and the
 * request is refused: nothing of it may have been done yet. */
bool request_room(struct core *core, struct request *request, uint64_t bytes);

/* It depends on what a worker shows that is on its way (place_may_come): nothing is done, and it is carried
 * out a little later. May be called only before anything is done. */
void request_hold(struct request *request);

/* What became of one guest; a failed one makes the reply's code CODE_SOME_FAILED. Never NULL:
 * where the answer has become too long, the request is refused. */
RmOutcome *request_outcome(struct core *core, struct request *request, const char *name, bool ok,
                           const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The same of a hypervisor. */
RmOutcome *request_host_outcome(struct core *core, struct request *request, const char *host,
                                bool ok, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The request was refused, but only as far as this guest is concerned: others were done. */
void request_only_this(struct core *core, struct request *request, const char *name);

/* The newest outcome waits for an answer of that host's worker, for so long at most: yes leaves it as
 * it is, no makes it `lead Failed: text`, or without a lead the text alone. */
void request_ask(struct core *core, struct request *request, struct host *host, RmAskKind kind,
                 const RmAssignment *about, const char *lead, usec_t wait_for);

/* Is it one of the jobs that are meant, apart from their ids? guests: what->guests, expanded. */
bool request_selects(const RmSelect *what, const struct noderange *guests, const RmJob *job,
                     const char *source, const char *destination);

/* Noderanges against what is known; on failure the request is refused and false returned. Free with
 * noderange_done(). */
bool request_guests(struct core *core, struct request *request, const char *expression,
                    struct noderange *ret_range);
/* All that there are, also the excluded ones; there may be none. */
bool request_all_guests(struct core *core, struct request *request, struct noderange *ret_range);
bool request_hosts(struct core *core, struct request *request, const char *expression,
                   struct noderange *ret_range);
/* Calls f with each guest of the noderange, unless that is refused. */
typedef void request_each_f(struct core *core, struct request *request, const char *name);
void request_each_guest(struct core *core, struct request *request, const char *expression,
                        request_each_f *f);
/* Brings request->exclude up to date; on failure the request is refused and false returned. */
bool request_exclude(struct core *core, struct request *request);
/* Where the names of hypervisors are looked for. */
struct noderange_site request_host_site(struct core *core);

#endif
