/* maintain_cmd.h - one hypervisor after the other: emptied, worked on by a command, opened, its guests home again */
#ifndef SUBMIT_MAINTAIN_CMD_H
#define SUBMIT_MAINTAIN_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* The client does it, with the requests that people have: the broker never runs a command. What was done stays
 * done when the client ends; the next call begins with the hypervisors that it names. */
int maintain_hosts(struct client *client, const struct args *args);

#endif
