/* host_cmd.c - commands about hypervisors, workers, guests and the broker itself */
#include "submit/host_cmd.h"

#include "conf/env.h"
#include "conf/service.h"
#include "conf/unit.h"
#include "submit/command.h"
#include "submit/json.h"
#include "submit/out.h"
#include "submit/view.h"
#include "wire/job.h"

#include <inttypes.h>
#include <string.h>

/* A list that is asked for by a noderange of hosts, or by nothing. */
struct listing {
    struct client *client;
    const struct args *args;
    struct arena *arena;
    RmReply *reply; /* NULL: there is nothing to print */
};

static int ask(struct listing *l, struct client *client, const struct args *args,
               RmRequest__AskCase ask_case)
{
    RmList list = RM_LIST__INIT;
    list.host = (char *)(args->n_operands > 0 ? args->operands[0] : "");
    list.limit = args->limit;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = ask_case;
    request.queue = &list; /* one union: all these asks are a list */
    *l = (struct listing){.client = client, .args = args, .arena = arena_new(0)};
    if (!l->arena)
        return out_no_memory();
    int code = client_question(client, &request, 0, l->arena, &l->reply);
    if (code != EXIT_OK)
        l->reply = NULL;
    return code;
}

static int done(struct listing *l, struct out_table *table, size_t rows, const char *none)
{
    int code = out_table_print(table);
    if (rows == 0 && !l->args->json)
        out_note("%s", none);
    arena_free(l->arena);
    return code;
}

/* ---- open and close */

int host_change(struct client *client, const struct args *args)
{
    RmHostChange change = RM_HOST_CHANGE__INIT;
    change.hosts = args->operands[0];
    change.state = strcmp(args->command->name, "open") == 0 ? RM_HOST_STATE__HOST_OPEN
                                                            : RM_HOST_STATE__HOST_CLOSED;
    change.reason = (char *)args->reason;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_HOST_CHANGE;
    request.host_change = &change;
    return view_question(client, &request, 0, args->json, NULL);
}

/* ---- hosts and their queues */

/* The one word that matters most: what cannot be reached before what is closed. */
static const char *host_word(const RmHostView *view, enum out_tone *ret_tone)
{
    *ret_tone = TONE_BAD;
    if (!view->connected)
        return "no worker";
    if (!view->reachable)
        return "unreachable";
    *ret_tone = TONE_ODD;
    if (view->evacuating)
        return "emptying";
    if (view->host->state == RM_HOST_STATE__HOST_CLOSED)
        return "closed";
    *ret_tone = TONE_GOOD;
    return "open";
}

static const char *host_state(const RmHostView *view)
{
    return view->host->state == RM_HOST_STATE__HOST_CLOSED ? "closed" : "open";
}

/* What a person asks next: why does its job wait, why is it not reached, why is it closed. */
static const char *host_why(struct arena *arena, const RmHostView *view)
{
    if (view->why[0])
        return view->why;
    if (view->text[0] && (!view->connected || !view->reachable))
        return view->text;
    if (view->host->state != RM_HOST_STATE__HOST_CLOSED)
        return "";
    const char *text =
        view->host->why[0]
            ? arena_printf(arena, "closed by %s: %s", view->host->changed_by, view->host->why)
            : arena_printf(arena, "closed by %s", view->host->changed_by);
    return text ? text : "";
}

static const struct out_column queue_columns[] = {
    {"HOST", "host", OUT_TEXT, OUT_LEFT},
    {"STATE", NULL, OUT_TEXT, OUT_LEFT},
    {NULL, "state", OUT_TEXT, OUT_LEFT},
    {NULL, "connected", OUT_BOOL, OUT_LEFT},
    {NULL, "reachable", OUT_BOOL, OUT_LEFT},
    {NULL, "evacuating", OUT_BOOL, OUT_LEFT},
    {"GUESTS", "guests", OUT_NUMBER, OUT_RIGHT},
    {"QUEUED", "queued", OUT_NUMBER, OUT_RIGHT},
    {"RUNNING", "running", OUT_NUMBER, OUT_RIGHT},
    {"INCOMING", "incoming", OUT_NUMBER, OUT_RIGHT},
    {"WAITING", "waiting", OUT_NUMBER, OUT_RIGHT},
    {"DOUBT", "doubt", OUT_NUMBER, OUT_RIGHT},
    {"DONE", "done", OUT_NUMBER, OUT_RIGHT},
    {"FAILED", "failed", OUT_NUMBER, OUT_RIGHT},
    {"SLOTS", "slots", OUT_NUMBER, OUT_RIGHT | OUT_SPARE},
    {"CREDIT", "credit", OUT_NUMBER, OUT_RIGHT | OUT_SPARE},
    {"WHY", "why", OUT_TEXT, OUT_WRAP},
    {NULL, NULL, OUT_TEXT, OUT_LEFT},
};

static void queue_row(struct out_table *table, struct arena *arena, const RmHostView *view)
{
    enum out_tone tone;
    const char *word = host_word(view, &tone);
    out_row(table);
    out_text(table, view->host->name);
    out_tone(table, word, tone);
    out_text(table, host_state(view));
    out_bool(table, view->connected);
    out_bool(table, view->reachable);
    out_bool(table, view->evacuating);
    out_count(table, view->guests);
    out_count(table, view->queued);
    out_count(table, view->running);
    out_count(table, view->incoming);
    out_count(table, view->waiting);
    out_count(table, view->doubt);
    out_count(table, view->done);
    out_count(table, view->failed);
    out_count(table, view->slots);
    out_count(table, view->credit);
    out_text(table, host_why(arena, view));
}

int host_queue(struct client *client, const struct args *args)
{
    struct listing l;
    int code = ask(&l, client, args, RM_REQUEST__ASK_QUEUE);
    if (!l.reply) {
        arena_free(l.arena);
        return code;
    }
    struct out_table *table = out_table_new("queue", queue_columns, args->json, args->noheadings);
    for (size_t i = 0; i < l.reply->n_hosts; i++)
        if (l.reply->hosts[i]->host)
            queue_row(table, l.arena, l.reply->hosts[i]);
    return done(&l, table, l.reply->n_hosts, "no hypervisor is known: no worker has connected yet");
}

static const struct out_column host_columns[] = {
    {"HOST", "host", OUT_TEXT, OUT_LEFT},
    {"STATE", NULL, OUT_TEXT, OUT_LEFT},
    {NULL, "state", OUT_TEXT, OUT_LEFT},
    {NULL, "connected", OUT_BOOL, OUT_LEFT},
    {NULL, "reachable", OUT_BOOL, OUT_LEFT},
    {NULL, "evacuating", OUT_BOOL, OUT_LEFT},
    {NULL, "kind", OUT_TEXT, OUT_LEFT},
    {NULL, "cluster", OUT_TEXT, OUT_LEFT},
    {"GUESTS", "guests", OUT_NUMBER, OUT_RIGHT},
    {"MEMORY", "memory", OUT_NUMBER, OUT_RIGHT},
    {"FREE", "memory_free", OUT_NUMBER, OUT_RIGHT},
    {"CPUS", "vcpus", OUT_NUMBER, OUT_RIGHT},
    {"VCPUS", "vcpus_used", OUT_NUMBER, OUT_RIGHT},
    {"SLOTS", "slots", OUT_NUMBER, OUT_RIGHT | OUT_SPARE},
    {NULL, "peer", OUT_TEXT, OUT_LEFT},
    {"MIGRATION", "migration", OUT_TEXT, OUT_SPARE},
    {"SEEN", NULL, OUT_TEXT, OUT_RIGHT},
    {NULL, "seen_at", OUT_NUMBER, OUT_LEFT},
    {NULL, "changed_by", OUT_TEXT, OUT_LEFT},
    {NULL, "changed_at", OUT_NUMBER, OUT_LEFT},
    {NULL, "reason", OUT_TEXT, OUT_LEFT},
    {"WHY", "text", OUT_TEXT, OUT_WRAP},
    {NULL, NULL, OUT_TEXT, OUT_LEFT},
};

static void host_row(struct out_table *table, struct arena *arena, const RmHostView *view,
                     usec_t wall)
{
    const RmHost *host = view->host;
    enum out_tone tone;
    const char *word = host_word(view, &tone);
    RmHostView quiet = *view;
    quiet.why = (char *)""; /* queues are shown by `queue` */
    out_row(table);
    out_text(table, host->name);
    out_tone(table, word, tone);
    out_text(table, host_state(view));
    out_bool(table, view->connected);
    out_bool(table, view->reachable);
    out_bool(table, view->evacuating);
    out_text(table, view_kind(host->kind));
    out_text(table, host->cluster);
    out_count(table, view->guests);
    out_size(table, host->memory);
    out_size(table, view->memory_free);
    out_count(table, host->vcpus);
    out_count(table, view->vcpus_used);
    out_count(table, view->slots);
    out_text(table, host->peer);
    out_text(table, host->migration);
    if (view->connected && view->reachable)
        out_text(table, "now");
    else
        out_age(table, host->seen_at, wall);
    out_time(table, host->seen_at);
    out_text(table, host->changed_by);
    out_time(table, host->changed_at);
    out_text(table, host->why);
    out_text(table, host_why(arena, &quiet));
}

int host_list(struct client *client, const struct args *args)
{
    struct listing l;
    int code = ask(&l, client, args, RM_REQUEST__ASK_HOSTS);
    if (!l.reply) {
        arena_free(l.arena);
        return code;
    }
    usec_t wall = env_wall(env_system());
    struct out_table *table = out_table_new("hosts", host_columns, args->json, args->noheadings);
    for (size_t i = 0; i < l.reply->n_hosts; i++)
        if (l.reply->hosts[i]->host)
            host_row(table, l.arena, l.reply->hosts[i], wall);
    return done(&l, table, l.reply->n_hosts, "no hypervisor is known: no worker has connected yet");
}

/* ---- workers */

static const struct out_column worker_columns[] = {
    {"WORKER", "worker", OUT_TEXT, OUT_LEFT},
    {"MACHINE", "machine", OUT_TEXT, OUT_LEFT},
    {"PID", "pid", OUT_NUMBER, OUT_RIGHT},
    {"VERSION", "version", OUT_TEXT, OUT_SPARE},
    {"TASKS", "tasks", OUT_NUMBER, OUT_RIGHT},
    {"CONNECTED", "connected_at", OUT_NUMBER, OUT_RIGHT},
    {"HEARD", "heard_at", OUT_NUMBER, OUT_RIGHT},
    {"ADDRESS", "address", OUT_TEXT, OUT_SPARE},
    {"HOSTS", "hosts", OUT_TEXT, OUT_WRAP},
    {NULL, NULL, OUT_TEXT, OUT_LEFT},
};

static const char *join(struct arena *arena, char *const *names, size_t n)
{
    char *list = arena_strdup(arena, n > 0 ? names[0] : "");
    for (size_t i = 1; i < n && list; i++)
        list = arena_printf(arena, "%s,%s", list, names[i]);
    return list ? list : "?";
}

int host_workers(struct client *client, const struct args *args)
{
    struct listing l;
    int code = ask(&l, client, args, RM_REQUEST__ASK_WORKERS);
    if (!l.reply) {
        arena_free(l.arena);
        return code;
    }
    usec_t wall = env_wall(env_system());
    struct out_table *table =
        out_table_new("workers", worker_columns, args->json, args->noheadings);
    for (size_t i = 0; i < l.reply->n_workers; i++) {
        const RmWorkerView *view = l.reply->workers[i];
        out_row(table);
        out_text(table, view->name);
        out_text(table, view->machine);
        out_number(table, view->pid);
        out_text(table, view->version);
        out_count(table, view->tasks);
        out_age(table, view->connected_at, wall);
        out_age(table, view->heard_at, wall);
        out_text(table, view->address);
        out_text(table, join(l.arena, view->hosts, view->n_hosts));
    }
    return done(&l, table, l.reply->n_workers, "no worker is connected");
}

/* ---- guests */

static const struct out_column guest_columns[] = {
    {"GUEST", "guest", OUT_TEXT, OUT_LEFT},      {"HOST", "host", OUT_TEXT, OUT_LEFT},
    {"STATE", "state", OUT_TEXT, OUT_LEFT},      {"MEMORY", "memory", OUT_NUMBER, OUT_RIGHT},
    {"VCPUS", "vcpus", OUT_NUMBER, OUT_RIGHT},   {"JOB", "active_job", OUT_NUMBER, OUT_RIGHT},
    {NULL, "last_job", OUT_NUMBER, OUT_RIGHT},   {NULL, "seen_at", OUT_NUMBER, OUT_RIGHT},
    {NULL, "kind", OUT_TEXT, OUT_LEFT},          {NULL, "uuid", OUT_TEXT, OUT_LEFT},
    {NULL, "domain", OUT_TEXT, OUT_LEFT},        {NULL, "locked", OUT_BOOL, OUT_LEFT},
    {"LOCKED", "lock_text", OUT_TEXT, OUT_WRAP}, {NULL, NULL, OUT_TEXT, OUT_LEFT},
};

static void guest_row(struct out_table *table, const RmGuest *guest)
{
    out_row(table);
    out_text(table, guest->name);
    out_text(table, guest->host);
    out_tone(table, guest_state_name(guest->state), guest->locked ? TONE_BAD : TONE_PLAIN);
    out_size(table, guest->memory);
    out_count(table, guest->vcpus);
    out_count(table, guest->active_job);
    out_number(table, guest->last_job);
    out_time(table, guest->seen_at);
    out_text(table, view_kind(guest->kind));
    out_text(table, guest->uuid);
    out_text(table, guest->domain[0] ? guest->domain : guest->name);
    out_bool(table, guest->locked);
    out_text(table, guest->locked && !guest->lock_text[0] ? "locked" : guest->lock_text);
}

int host_guests(struct client *client, const struct args *args)
{
    RmListGuests list = RM_LIST_GUESTS__INIT;
    list.guests = (char *)(args->n_operands > 0 ? args->operands[0] : "");
    list.host = (char *)args->host;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_GUESTS;
    request.guests = &list;
    struct listing l = {.client = client, .args = args, .arena = arena_new(0)};
    if (!l.arena)
        return out_no_memory();
    int code = client_question(client, &request, 0, l.arena, &l.reply);
    if (!l.reply || code != EXIT_OK) {
        arena_free(l.arena);
        return code;
    }
    struct out_table *table = out_table_new("guests", guest_columns, args->json, args->noheadings);
    for (size_t i = 0; i < l.reply->n_guests; i++)
        guest_row(table, l.reply->guests[i]);
    return done(&l, table, l.reply->n_guests, "no guests");
}

/* ---- events */

static const struct out_column event_columns[] = {
    {"TIME", "at", OUT_NUMBER, OUT_LEFT},   {"EVENT", "event", OUT_TEXT, OUT_LEFT},
    {"BY", "who", OUT_TEXT, OUT_LEFT},      {"HOST", "host", OUT_TEXT, OUT_LEFT},
    {"GUEST", "guest", OUT_TEXT, OUT_LEFT}, {"TEXT", "text", OUT_TEXT, OUT_WRAP},
    {NULL, NULL, OUT_TEXT, OUT_LEFT},
};

int host_events(struct client *client, const struct args *args)
{
    struct listing l;
    int code = ask(&l, client, args, RM_REQUEST__ASK_EVENTS);
    if (!l.reply) {
        arena_free(l.arena);
        return code;
    }
    struct out_table *table = out_table_new("events", event_columns, args->json, args->noheadings);
    for (size_t i = l.reply->n_events; i-- > 0;) { /* like a log: the newest stands last */
        const RmEvent *event = l.reply->events[i];
        out_row(table);
        out_time(table, event->at);
        out_text(table, job_event_name(event->kind));
        out_text(table, event->who);
        out_text(table, event->host);
        out_text(table, event->guest);
        out_text(table, event->text);
    }
    return done(&l, table, l.reply->n_events, "nothing has happened yet");
}

/* ---- ping */

static void print_ping(const struct client *client, const RmReply *reply, usec_t took, usec_t wall)
{
    char up[UNIT_TEXT_MAX], span[UNIT_TEXT_MAX], at[ENV_TIME_MAX];
    usec_t since = reply->started_at && wall > reply->started_at ? wall - reply->started_at : 0;
    printf("broker %s at %s, up %s (since %s), answered in %s\n",
           reply->broker[0] ? reply->broker : "of unknown version", client_endpoint(client),
           unit_duration_text(since - since % USEC_PER_SEC, up),
           env_time_text(reply->started_at, at), unit_duration_text(took, span));
    printf("you are %s, %s\n", reply->user, reply->role);
}

int host_ping(struct client *client, const struct args *args)
{
    RmPing ping = RM_PING__INIT;
    RmRequest request = RM_REQUEST__INIT;
    request.ask_case = RM_REQUEST__ASK_PING;
    request.ping = &ping;
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return out_no_memory();
    usec_t began_at = env_now(env_system());
    int code = client_question(client, &request, 0, arena, &reply);
    usec_t took = env_now(env_system()) - began_at;
    if (reply && code == EXIT_OK && args->json) {
        struct json json = {.file = stdout};
        json_open(&json, NULL, '{');
        json_text(&json, "broker", reply->broker);
        json_text(&json, "endpoint", client_endpoint(client));
        json_time(&json, "started_at", reply->started_at);
        json_seconds(&json, "answered_in", took);
        json_text(&json, "user", reply->user);
        json_text(&json, "role", reply->role);
        json_close(&json, '}');
        putchar('\n');
    } else if (reply && code == EXIT_OK)
        print_ping(client, reply, took, env_wall(env_system()));
    arena_free(arena);
    return code;
}
