/* job_list.h - commands that show jobs: jobs, history, show */
#ifndef SUBMIT_JOB_LIST_H
#define SUBMIT_JOB_LIST_H

#include "submit/args.h"
#include "submit/client.h"

/* Each returns the exit code. */
int job_list(struct client *client, const struct args *args);
int job_show(struct client *client, const struct args *args);
int job_history(struct client *client, const struct args *args);

#endif
