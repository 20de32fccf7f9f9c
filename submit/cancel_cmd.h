/* cancel_cmd.h - action=CANCEL: what moves these guests is stopped, whoever began it */
#ifndef SUBMIT_CANCEL_CMD_H
#define SUBMIT_CANCEL_CMD_H

#include "submit/args.h"
#include "submit/client.h"

/* Waits until jobs and relocations have ended, and prints a line for each guest. The exit code. */
int cancel_guests(struct client *client, const struct args *args);

#endif
