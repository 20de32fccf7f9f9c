/* settle.h - where is the guest, and what must be repaired: the table of decisions after every end
 * that is not a clean success
 *
 * An error of the migrate call proves nothing. Both sides are asked for the uuid; settle_decide()
 * holds the table. It is pure. settle_step() asks, decides and repairs once, and returns whether to
 * come again. */
#ifndef WORKER_SETTLE_H
#define WORKER_SETTLE_H

#include "worker/driver.h"

struct settle_facts {
    struct hv_look source, destination;
    bool
        fenced; /* the try was made so that the destination never runs by itself (fence "paused") */
    bool fence_unknown;  /* it is not known how the try was made; fenced is false */
    bool handed_over;    /* the migrate call succeeded: the source gave the guest away */
    bool guest_paused;   /* the guest was paused before and shall stay so */
    bool had_definition; /* the destination had a definition before: not a leftover of ours */
    bool may_be_left;    /* a paused copy at the destination may be an older try's, and old */
};

enum settle_repair {
    SETTLE_RESUME_SOURCE = 1,
    SETTLE_RESUME_DESTINATION = 2,
    SETTLE_DESTROY_SOURCE = 4,
    SETTLE_UNDEFINE_SOURCE = 8,
    SETTLE_DESTROY_DESTINATION = 16,
    SETTLE_UNDEFINE_DESTINATION = 32,
};

struct settle_decision {
    RmVerdict verdict; /* NO_VERDICT: look again, things are still moving */
    unsigned repairs;  /* enum settle_repair; after them look again */
    const char *text;  /* static: what the looks mean */
};
void settle_decide(const struct settle_facts *facts, struct settle_decision *ret_decision);

struct settle_case { /* strings borrowed */
    const char *uuid;
    const char *source_peer;      /* NULL: the source is the hypervisor behind hv */
    const char *destination_peer; /* NULL: the destination is; exactly one of the two may be NULL */
    const char *source,
        *destination; /* names for the notes; NULL: "the source", "the destination" */
    bool fenced, fence_unknown, handed_over, guest_paused, had_definition,
        may_be_left; /* as in settle_facts */
    /* Asked right before each repair; what may not be done now is not done. NULL: HV_MAY. */
    enum hv_may (*may)(void *ctx);
    void *ctx;
};

/* What one round found. */
struct settle_round {
    struct settle_facts facts;
    struct settle_decision decision;
    bool refused; /* a repair did not work, though who had to do it answered */
    bool held;    /* a repair was not allowed */
    bool source_unanswered, destination_unanswered; /* a repair there may still be done */
};

/* One round. notes (size bytes) collects what was repaired, for the history. err: why a side could
 * not be asked, or a repair did not work; "" otherwise. Returns the verdict; NO_VERDICT: call again
 * in about half a second; VERDICT_UNKNOWN is final for this round as well: whoever calls decides
 * how long to go on asking. ret_round may be NULL. */
RmVerdict settle_step(const struct driver *driver, struct hv *hv, const struct settle_case *one,
                      char *notes, size_t size, struct rm_err *err, struct settle_round *ret_round);

#endif
