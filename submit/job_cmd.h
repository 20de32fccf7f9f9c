/* job_cmd.h - commands about jobs: submit, evacuate, watch, change */
#ifndef SUBMIT_JOB_CMD_H
#define SUBMIT_JOB_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* Each returns the exit code. */
int job_submit(struct client *client, const struct args *args);
int job_evacuate(struct client *client, const struct args *args);
int job_restore(struct client *client, const struct args *args);
int job_watch(struct client *client, const struct args *args);  /* watch and wait */
int job_change(struct client *client, const struct args *args); /* cancel, retry, pause, resume */
int job_release(struct client *client, const struct args *args);
int job_modify(struct client *client, const struct args *args);

#endif
