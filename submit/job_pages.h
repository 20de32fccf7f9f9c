/* job_pages.h - a list of jobs, page by page, the newest first */
#ifndef SUBMIT_JOB_PAGES_H
#define SUBMIT_JOB_PAGES_H

#include "submit/client.h"

#include <stdbool.h>

struct job_pages {
    RmJobView **jobs; /* in the arena of the question; each has its job */
    size_t n;
    bool more; /* there are more than wanted */
};

/* Every job of a list. want: at most so many, 0 = all. Returns the exit code; errors were printed. */
int job_pages_ask(struct client *client, RmListJobs *list, uint64_t want, struct arena *arena,
                  struct job_pages *ret_pages);

#endif
