/* client.h - ask the broker: one request, one answer, with time-out and retry
 *
 * A request that changes something carries a token; when no answer comes it is sent again with the same token,
 * over a new connection, and the broker carries it out once. */
#ifndef SUBMIT_CLIENT_H
#define SUBMIT_CLIENT_H

#include "conf/conf.h"
#include "conf/err.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

struct client;

int client_new(const struct conf_client *conf, const char *command, struct client **ret_client,
               struct rm_err *err);
void client_free(struct client *client);

/* Fills version, command and (when the ask changes something) token, sends, waits for at most the settings' timeout
 * beyond `hold_for` (how long the broker may hold the answer back). The reply lives in the arena. Errors: -ETIMEDOUT (broker not reached; err says the
 * endpoint and what is known of why), -EACCES (key refused), -EINTR (SIGINT came). */
int client_ask(struct client *client, RmRequest *request, uint64_t hold_for, struct arena *arena,
               RmReply **ret_reply, struct rm_err *err);

#endif
