/* host_cmd.h - commands about hypervisors, workers, guests and the broker itself */
#ifndef SUBMIT_HOST_CMD_H
#define SUBMIT_HOST_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* Each returns the exit code. */
int host_change(struct client *client, const struct args *args); /* open and close */
int host_queue(struct client *client, const struct args *args);
int host_list(struct client *client, const struct args *args);
int host_workers(struct client *client, const struct args *args);
int host_guests(struct client *client, const struct args *args);
int host_events(struct client *client, const struct args *args);
int host_ping(struct client *client, const struct args *args);

#endif
