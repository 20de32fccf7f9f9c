/* filter.h - conditions on nodes, of nodels and nodech
 *
 * A filter owns its regular expressions and what they may still cost; the rest of it lives in
 * core->arena. */
#ifndef BROKER_TABLES_FILTER_H
#define BROKER_TABLES_FILTER_H

#include "broker/request.h"
#include "store/tables/regex.h"

/* Conditions that a node must meet, all of them. */
struct site_filter {
    struct site_term {
        struct attr attr;
        const RmTerm *term;
        struct regex *regex; /* of LIKE and NOT_LIKE */
    } * terms;               /* in core->arena */
    size_t n;
    uint64_t steps; /* that its regular expressions may still take */
};
/* False: the request is refused. In either case site_filter_done() follows. */
bool site_filter_read(struct core *core, struct request *request, RmTerm *const *terms, size_t n,
                      bool secrets, struct site_filter *ret_filter);
void site_filter_done(struct site_filter *filter);
/* 1: the node meets them; 0: it does not; negative: that cannot be decided. */
int site_filter_meets(struct core *core, struct site_filter *filter, const char *node,
                      struct rm_err *err);

#endif
