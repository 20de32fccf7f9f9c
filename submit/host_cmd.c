/* host_cmd.c - commands about hypervisors, workers, guests and the broker itself */
#include "submit/host_cmd.h"

#include "conf/env.h"
#include "conf/service.h"
#include "conf/unit.h"
#include "submit/guest_view.h"
#include "submit/host_view.h"
#include "submit/job_view.h"
#include "submit/listing.h"
#include "submit/out.h"
#include "submit/outcome.h"

#include <string.h>

/* ---- open and close */

int host_change(struct client *client, const struct args *args)
{
    RmHostChange change = RM_HOST_CHANGE__INIT;
    change.hosts = args->operands[0];
    change.state =
        strcmp(args->command, "open") == 0 ? RM_HOST_STATE__HOST_OPEN : RM_HOST_STATE__HOST_CLOSED;
    change.reason = (char *)args->reason;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_HOST_CHANGE;
    request.host_change = &change;
    return outcome_ask(client, args, &request, 0, NULL);
}

/* ---- hosts and their queues */

/* A listing that is asked for by a noderange of hosts, or by nothing. NULL: no answer, *ret_code. */
static const RmReply *ask_list(struct client *client, const struct args *args,
                               RmRequest__AskCase ask, int *ret_code)
{
    RmList list = RM_LIST__INIT;
    list.host = (char *)(args->n_operands > 0 ? args->operands[0] : "");
    list.limit = args->limit;
    RmRequest request = RM_REQUEST__INIT;
    RmReply *reply;
    request.ask_case = ask;
    request.queue = &list; /* one union: all these asks are a list */
    *ret_code = client_question(client, &request, 0, NULL, &reply);
    return *ret_code == EXIT_OK ? reply : NULL;
}

static int list_hosts(struct client *client, const struct args *args, RmRequest__AskCase ask,
                      const char *name, const struct column *columns)
{
    int code;
    const RmReply *reply = ask_list(client, args, ask, &code);
    return !reply ? code
                  : listing_print(args, name, columns, (void **)reply->hosts, reply->n_hosts,
                                  "no hypervisor is known: no worker has connected yet");
}

int host_queue(struct client *client, const struct args *args)
{
    return list_hosts(client, args, RM_REQUEST__ASK_QUEUE, "queue", host_view_queue_columns);
}

int host_list(struct client *client, const struct args *args)
{
    return list_hosts(client, args, RM_REQUEST__ASK_HOSTS, "hosts", host_view_columns);
}

/* ---- workers */

static void put_hosts(struct cell *cell, const void *record)
{
    const RmWorkerView *view = record;
    cell_texts(cell, view->hosts, view->n_hosts);
}

static void put_hosts_text(struct cell *cell, const void *record)
{
    const RmWorkerView *view = record;
    const char *hosts = listing_join(cell_arena(cell), view->hosts, view->n_hosts);
    if (view->refused[0])
        hosts = arena_printf(cell_arena(cell), "%s%srefused (events): %s", hosts,
                             hosts[0] ? "; " : "", view->refused);
    if (hosts && view->held[0])
        hosts = arena_printf(cell_arena(cell), "%s; %s", hosts, view->held);
    cell_text(cell, hosts ? hosts : "");
}

#define WORKER(field) FIELD(RmWorkerView, field)

static const struct column worker_columns[] = {
    {"WORKER", "worker", WORKER(name)},
    {"MACHINE", "machine", WORKER(machine)},
    {"PID", "pid", WORKER(pid)},
    {"VERSION", "version", WORKER(version), .look = LOOK_SPARE},
    {"TASKS", "tasks", WORKER(tasks), SHOW_COUNT},
    {"CONNECTED", "connected_at", WORKER(connected_at), SHOW_AGE},
    {"HEARD", "heard_at", WORKER(heard_at), SHOW_AGE},
    {"ADDRESS", "address", WORKER(address), .look = LOOK_SPARE},
    {NULL, "hosts", PUT(put_hosts)},
    {NULL, "refused", WORKER(refused)},
    {NULL, "held", WORKER(held)},
    {"HOSTS", NULL, PUT(put_hosts_text), .look = LOOK_WRAP},
    {0},
};

int host_workers(struct client *client, const struct args *args)
{
    int code;
    const RmReply *reply = ask_list(client, args, RM_REQUEST__ASK_WORKERS, &code);
    return !reply ? code
                  : listing_print(args, "workers", worker_columns, (void **)reply->workers,
                                  reply->n_workers, "no worker is connected");
}

/* ---- guests */

int host_guests(struct client *client, const struct args *args)
{
    RmListGuests list = RM_LIST_GUESTS__INIT;
    list.guests = (char *)(args->n_operands > 0 ? args->operands[0] : "");
    list.host = (char *)args->host;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_GUESTS;
    request.guests = &list;
    RmReply *reply;
    int code = client_question(client, &request, 0, NULL, &reply);
    return code != EXIT_OK ? code
                           : listing_print(args, "guests", guest_view_columns,
                                           (void **)reply->guests, reply->n_guests, "no guests");
}

/* ---- events */

#define EVENT(field) FIELD(RmEvent, field)

static const struct column event_columns[] = {
    {"TIME", NULL, EVENT(at), SHOW_TIME},
    {"EVENT", NULL, PUT(view_put_event)},
    {"BY", NULL, EVENT(who)},
    {"HOST", NULL, EVENT(host)},
    {"GUEST", NULL, EVENT(guest)},
    {"TEXT", NULL, EVENT(text), .look = LOOK_WRAP},
    {0},
};

int host_events(struct client *client, const struct args *args)
{
    int code;
    const RmReply *reply = ask_list(client, args, RM_REQUEST__ASK_EVENTS, &code);
    if (!reply)
        return code;
    struct listing *listing =
        listing_new(args, "events", args->json ? view_event_columns : event_columns);
    for (size_t i = reply->n_events; i-- > 0;) /* like a log: the newest is the last */
        listing_row(listing, reply->events[i]);
    if (reply->n_events == 0 && !args->json)
        out_note("no events");
    return listing_end(listing);
}

/* ---- ping */

struct pong {
    const RmReply *reply;
    const char *endpoint;
    usec_t took;
};

#define REPLY(field) FIELD_INSIDE(struct pong, reply, RmReply, field)

static const struct column pong_columns[] = {
    {NULL, "broker", REPLY(broker)},
    {NULL, "endpoint", FIELD(struct pong, endpoint)},
    {NULL, "started_at", REPLY(started_at), SHOW_TIME},
    {NULL, "answered_in", FIELD(struct pong, took), SHOW_SPAN},
    {NULL, "user", REPLY(user)},
    {NULL, "role", REPLY(role)},
    {0},
};

static void print_pong(const struct pong *pong)
{
    char up[UNIT_TEXT_MAX], span[UNIT_TEXT_MAX], at[ENV_TIME_MAX];
    const RmReply *reply = pong->reply;
    usec_t wall = env_wall(env_system());
    usec_t since = reply->started_at && wall > reply->started_at ? wall - reply->started_at : 0;
    printf("broker %s at %s, up %s (since %s), answered in %s\n",
           reply->broker[0] ? reply->broker : "of unknown version", pong->endpoint,
           unit_duration_text(since - since % USEC_PER_SEC, up),
           env_time_text(reply->started_at, at), unit_duration_text(pong->took, span));
    printf("you are %s, %s\n", reply->user, reply->role);
}

int host_ping(struct client *client, const struct args *args)
{
    RmPing ping = RM_PING__INIT;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_PING;
    request.ping = &ping;
    RmReply *reply;
    usec_t began_at = env_now(env_system());
    int code = client_question(client, &request, 0, NULL, &reply);
    if (code != EXIT_OK)
        return code;
    struct pong pong = {reply, client_endpoint(client), env_now(env_system()) - began_at};
    if (args->json)
        listing_line(pong_columns, &pong);
    else
        print_pong(&pong);
    return EXIT_OK;
}
