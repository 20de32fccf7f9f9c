/* client.h - ask the broker: one request, one answer, with time-out and retry
 *
 * A request that changes something carries a token; when no answer comes it is sent again with the
 * same token, over a new connection, and the broker carries it out once. SIGINT, SIGTERM and SIGHUP
 * end every wait. */
#ifndef SUBMIT_CLIENT_H
#define SUBMIT_CLIENT_H

#include "conf/conf.h"
#include "conf/err.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

struct client;

/* command: as typed, borrowed. */
int client_new(const struct conf_client *conf, const char *command, struct client **ret_client,
               struct rm_err *err);
void client_free(struct client *client);

/* A request for what this message of RmRequest.ask says; it is borrowed. */
RmRequest client_request(RmRequest__AskCase ask, void *message);

/* Fills version, command and (when the ask changes something) token, sends, waits for at most the
 * settings' timeout beyond `hold_for` (how long the broker may hold the answer back; a broker that
 * is not there is not waited for longer than the timeout). An answer of several pages is put together. The
 * reply lives in the arena. Errors:
 * -ETIMEDOUT (broker not reached; err says the endpoint and what is known of why), -EACCES (key
 * refused), -EINTR (a signal came; client_signal() says which). */
int client_ask(struct client *client, RmRequest *request, uint64_t hold_for, struct arena *arena,
               RmReply **ret_reply, struct rm_err *err);

/* The same for who has only one question: what went wrong, here or there, is printed as `Error:
 * TEXT`. arena NULL: the client's. Returns the exit code so far: EXIT_OK, or EXIT_SOME_FAILED with a
 * reply to be looked at; otherwise *ret_reply is NULL. */
int client_question(struct client *client, RmRequest *request, uint64_t hold_for,
                    struct arena *arena, RmReply **ret_reply);

/* Memory that lasts as long as the client: of a command that asks a few questions. */
struct arena *client_arena(struct client *client);

/* From now on one ask gives up after this long, or after the settings' timeout where that is
 * shorter, and says nothing meanwhile. */
void client_be_brief(struct client *client, usec_t timeout);

/* Waits, or -EINTR when a signal came. */
int client_sleep(struct client *client, usec_t wait_for);

/* While the client waits, for an answer or in client_sleep(), it calls turn(with): when fd is readable, when a
 * signal was caught, and each `every` besides. Where that is negative, the wait ends with it. turn NULL: not
 * any more. why: what an ask says then; NULL: nothing. */
struct client_watch {
    int fd;
    usec_t every;
    int (*turn)(void *with);
    void *with;
    const char *why;
};
void client_watch(struct client *client, const struct client_watch *watch);

/* The exit code for an error of this module. */
int client_code(const struct client *client, int r);

/* The last signal; 0 = none came. */
int client_signal(const struct client *client);

/* Forgets signals that came: they were for another program. */
void client_forget_signal(struct client *client);

/* The short name of the machine that the broker runs on, as far as the endpoint names it. */
const char *client_server(const struct client *client);

const char *client_endpoint(const struct client *client);

#endif
