/* stream.h - what changes, as it does: server-sent events for the page and others
 *
 * Each message is an event `sight` whose data is one JSON object: site, as /api/v1/site has it; hosts and jobs (those
 * under way), the rows that differ from what this connection was told before; hosts_gone and jobs_gone, the names and numbers
 * that are no more; evacuations, all of them. The first message of a connection has `whole` true, and everything in
 * it: who connects anew forgets what he had. Where nothing comes for STREAM_SILENT_FOR, a comment does. */
#ifndef SUBMIT_WATCH_STREAM_H
#define SUBMIT_WATCH_STREAM_H

#include "submit/watch/http.h"

#define STREAM_SILENT_FOR (10 * USEC_PER_SEC) /* well below HTTP_TIMEOUT */

/* What one connection was told. */
struct stream_told {
    uint64_t number;               /* of the last sight */
    bool begun;                    /* it was told everything once */
    struct told_row *hosts, *jobs; /* uthash by name and number */
};

bool stream_step(struct http_answer *answer, void *state); /* struct stream_told */
void stream_end(void *state);

#endif
