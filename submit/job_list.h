/* job_list.h - commands that show jobs: jobs, history, show */
#ifndef SUBMIT_JOB_LIST_H
#define SUBMIT_JOB_LIST_H

#include "submit/args.h"
#include "submit/client.h"

/* Every job of a list, page by page, the newest first. want: at most so many, 0 = all. The views
 * live in the arena. Returns the exit code; what is wrong was printed. */
struct job_pages {
    RmJobView **jobs;
    size_t n;
    bool more; /* there were more than wanted */
};
int job_pages_ask(struct client *client, RmListJobs *list, uint64_t want, struct arena *arena,
                  struct job_pages *ret_pages);

/* Each returns the exit code. */
int job_list(struct client *client, const struct args *args);
int job_show(struct client *client, const struct args *args);
int job_history(struct client *client, const struct args *args);

#endif
