/* request.h - what the handlers of client requests share
 *
 * A handler gets the request and fills the reply; everything in it lives in core->arena. Handlers
 * that change something are called once for each token; a repeated request gets the stored reply.
 */
#ifndef BROKER_REQUEST_H
#define BROKER_REQUEST_H

#include "broker/state.h"

struct request {
    const struct net_peer *peer;
    const RmRequest *message;
    uint64_t tag;
    RmReply *reply;
    struct asking **askings; /* hypervisors that are asked before it is answered */
    size_t n_askings;
    usec_t wait_for; /* for so long at most */
};

/* The whole request is refused with this code and text. */
void request_refuse(struct core *core, struct request *request, RmCode code, const char *format,
                    ...) __attribute__((format(printf, 4, 5)));

/* What became of one guest or host; a failed one makes the reply's code CODE_SOME_FAILED. NULL: no
 * memory. */
RmOutcome *request_outcome(struct core *core, struct request *request, const char *name, bool ok,
                           const char *format, ...) __attribute__((format(printf, 5, 6)));

/* The newest outcome waits for an answer of that host's worker: yes leaves it as it is, no makes it
 * `lead Failed: text`, or without a lead the text alone. */
void request_ask(struct core *core, struct request *request, struct host *host, RmAskKind kind,
                 const RmAssignment *about, const char *lead);

/* Noderanges against what is known; on failure the request is refused and false returned. Free with
 * noderange_done(). */
bool request_guests(struct core *core, struct request *request, const char *expression,
                    struct noderange *ret_range);
/* All that there are, also the excluded ones; there may be none. */
bool request_all_guests(struct core *core, struct request *request, struct noderange *ret_range);
bool request_hosts(struct core *core, struct request *request, const char *expression,
                   struct noderange *ret_range);
/* Brings core->exclude up to date; on failure the request is refused and false returned. */
bool request_exclude(struct core *core, struct request *request);
/* Where the names of hypervisors are looked for. */
struct noderange_site request_host_site(struct core *core);

/* ---- wish.c */
void wish_submit(struct core *core, struct request *request);
void wish_evacuate(struct core *core, struct request *request);
/* The same wish again, for a job that failed or was cancelled. */
void wish_again(struct core *core, struct request *request, const RmJob *old);

/* ---- change.c */
void change_cancel(struct core *core, struct request *request);
void change_pause(struct core *core, struct request *request);
void change_resume(struct core *core, struct request *request);
void change_retry(struct core *core, struct request *request);
void change_release(struct core *core, struct request *request);
void change_host(struct core *core, struct request *request);
void change_reconcile(struct core *core, struct request *request);
void change_modify(struct core *core, struct request *request);

/* ---- list.c */
void list_jobs(struct core *core, struct request *request);
void list_show(struct core *core, struct request *request);
void list_history(struct core *core, struct request *request);
void list_hosts(struct core *core, struct request *request);
void list_workers(struct core *core, struct request *request);
void list_guests(struct core *core, struct request *request);
void list_events(struct core *core, struct request *request);

/* ---- site_node.c, site_row.c, site_table.c: the tables */
void site_nodes(struct core *core, struct request *request);
void site_get(struct core *core, struct request *request);
void site_dump(struct core *core, struct request *request);
void site_restore(struct core *core, struct request *request);
void site_restore_several(struct core *core, struct request *request);
void site_table_change(struct core *core, struct request *request);
void site_node_change(struct core *core, struct request *request);

#endif
