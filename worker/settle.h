/* settle.h - where is the guest, and what must be mended: the table of decisions after every end that is
 * not a clean success
 *
 * An error of the migrate call proves nothing. Both sides are asked for the uuid; settle_decide() holds the table. It
 * is pure. settle_step() asks, decides and mends once, and says whether to come again. */
#ifndef WORKER_SETTLE_H
#define WORKER_SETTLE_H

#include "worker/hv.h"

struct settle_facts {
    struct hv_look source, destination;
    bool fenced;         /* the try was made so that the destination never runs by itself (fence "paused") */
    bool guest_paused;   /* the guest was paused before and shall stay so */
    bool had_definition; /* the destination had a definition before: not a leftover of ours */
};

enum settle_mend {
    SETTLE_RESUME_SOURCE = 1,
    SETTLE_RESUME_DESTINATION = 2,
    SETTLE_DESTROY_SOURCE = 4,
    SETTLE_UNDEFINE_SOURCE = 8,
    SETTLE_DESTROY_DESTINATION = 16,
    SETTLE_UNDEFINE_DESTINATION = 32,
};

struct settle_decision {
    RmVerdict verdict;   /* NO_VERDICT: look again, things are still moving */
    unsigned mends;      /* enum settle_mend; after them look again */
    const char *text;    /* static: what the looks mean */
};
void settle_decide(const struct settle_facts *facts, struct settle_decision *ret_decision);

struct settle_case {             /* strings borrowed */
    const char *uuid;
    const char *source_peer;     /* NULL: the source is the hypervisor behind hv */
    const char *destination_peer; /* NULL: the destination is; exactly one of the two may be NULL */
    bool fenced, guest_paused, had_definition;
};

/* One round. notes (size bytes) collects what was mended, for the history. err: why a side could not be asked. Returns the
 * verdict; NO_VERDICT: call again in about half a second; VERDICT_UNKNOWN is final for this round as well: whoever
 * calls decides how long to go on asking. */
RmVerdict settle_step(const struct hv_ops *ops, struct hv *hv, const struct settle_case *one,
                      char *notes, size_t size, struct rm_err *err);

#endif
