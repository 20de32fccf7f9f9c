/* api.c - the site as JSON for programs */
#include "submit/watch/api.h"

#include "conf/service.h"
#include "submit/args.h"
#include "submit/guest_view.h"
#include "submit/host_view.h"
#include "submit/job_view.h"
#include "submit/listing.h"
#include "submit/watch/history.h"
#include "wire/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_FOR (5 * USEC_PER_SEC) /* with the first sight */

enum {
    API_ROWS_MAX = 1000, /* of one answer that is asked for on demand */
    EVENTS_DEFAULT = 100,
    STATES_MAX = RM_STATE__CANCELLED,
    STATES_TEXT_MAX = 128, /* bytes of ?state= */
};

enum { OK = 200, BAD_REQUEST = 400, FORBIDDEN = 403, NOT_FOUND = 404, UNAVAILABLE = 503 };

/* An answer that is one object. */
struct object {
    struct http_answer *answer;
    struct json json;
    struct arena *arena;
    const struct sight *sight; /* NULL: it needs none */
};

/* ---- begin and end */

/* False: it was answered that there is no memory. */
static bool begin(struct object *object, struct http_answer *answer)
{
    *object = (struct object){.answer = answer, .json = {.file = answer->body}};
    object->arena = arena_new(0);
    if (!object->arena)
        http_fail(answer, UNAVAILABLE, "no memory");
    return object->arena;
}

static void end(struct object *object)
{
    board_give_back(object->answer->board, object->sight);
    arena_free(object->arena);
}

/* The same with a sight; what it says of its age is in the object that is open then. */
static bool begin_sight(struct object *object, struct http_answer *answer)
{
    if (!begin(object, answer))
        return false;
    object->sight = board_look(answer->board, 0, PATIENCE_FOR);
    if (!object->sight || !object->sight->hosts) {
        http_fail(answer, UNAVAILABLE, "the broker has not answered yet%s%s",
                  object->sight && object->sight->trouble[0] ? ": " : "",
                  object->sight ? object->sight->trouble : "");
        end(object);
        return false;
    }
    json_open(&object->json, NULL, '{');
    json_time(&object->json, "at", object->sight->at);
    json_text(&object->json, "trouble", object->sight->trouble);
    return true;
}

static void end_sight(struct object *object)
{
    json_close(&object->json, '}');
    fputc('\n', object->answer->body);
    end(object);
}

static void put_row(struct object *object, const struct column *columns, const void *record)
{
    json_line(&object->json);
    json_open(&object->json, NULL, '{');
    listing_fields(&object->json, columns, object->arena, record);
    json_close(&object->json, '}');
}

/* ---- questions */

/* False: what is wrong was answered. */
static bool ask(struct object *object, RmRequest__AskCase what, void *message, RmReply **ret_reply)
{
    struct rm_err err = {0};
    RmRequest request = client_request(what, message);
    int r = board_ask(object->answer->board, &request, object->arena, ret_reply, &err);
    if (r < 0) {
        http_fail(object->answer, UNAVAILABLE, "%s", err.text);
        return false;
    }
    unsigned status = OK;
    switch ((*ret_reply)->code) {
    case RM_CODE__CODE_OK:
    case RM_CODE__CODE_SOME_FAILED:
        break;
    case RM_CODE__CODE_NOT_PERMITTED:
        status = FORBIDDEN;
        break;
    case RM_CODE__CODE_TRY_AGAIN:
        status = UNAVAILABLE;
        break;
    default:
        status = BAD_REQUEST;
    }
    if (status != OK)
        http_fail(object->answer, status, "%s", (*ret_reply)->text);
    return status == OK;
}

static bool get_limit(struct object *object, uint64_t preset, uint32_t *ret_limit)
{
    const char *text = object->answer->query(object->answer, "limit");
    uint64_t limit = preset;
    if (text[0] && (args_number(text, API_ROWS_MAX, &limit) < 0 || limit == 0)) {
        http_fail(object->answer, BAD_REQUEST, "limit is a number from 1 to %d", API_ROWS_MAX);
        return false;
    }
    *ret_limit = (uint32_t)limit;
    return true;
}

/* ---- out of a sight */

void api_put_site(struct json *json, const struct sight *sight)
{
    const struct history_sample sums = history_sums(sight);
    uint64_t guests = 0, hosts = 0;
    json_text(json, "broker", sight->pong ? sight->pong->broker : "");
    json_time(json, "started_at", sight->pong ? sight->pong->started_at : 0);
    json_text(json, "user", sight->pong ? sight->pong->user : "");
    json_text(json, "role", sight->pong ? sight->pong->role : "");
    json_text(json, "watch", service_version());
    json_time(json, "now", env_wall(env_system()));
    for (size_t i = 0; sight->hosts && i < sight->hosts->n_hosts; i++) {
        guests += sight->hosts->hosts[i]->guests;
        hosts++;
    }
    json_number(json, "hosts", hosts);
    json_number(json, "guests", guests);
    json_number(json, "queued", sums.queued);
    json_number(json, "waiting", sums.waiting);
    json_number(json, "running", sums.running);
    json_number(json, "doubt", sums.doubt);
    json_number(json, "done", sums.done);
    json_number(json, "failed", sums.failed);
    json_number(json, "rate", sums.rate);
}

void api_site(struct http_answer *answer)
{
    struct object object;
    if (!begin_sight(&object, answer))
        return;
    api_put_site(&object.json, object.sight);
    end_sight(&object);
}

static void hosts(struct http_answer *answer, const char *key, const struct column *columns)
{
    struct object object;
    const char *host = answer->query(answer, "host");
    bool found = host[0] == '\0';
    if (!begin_sight(&object, answer))
        return;
    json_open(&object.json, key, '[');
    for (size_t i = 0; i < object.sight->hosts->n_hosts; i++) {
        const RmHostView *view = object.sight->hosts->hosts[i];
        if (!view->host || (host[0] && strcmp(view->host->name, host) != 0))
            continue;
        found = true;
        put_row(&object, columns, view);
    }
    json_close(&object.json, ']');
    if (found) {
        end_sight(&object);
        return;
    }
    http_fail(answer, NOT_FOUND, "no hypervisor '%s' is known", host);
    end(&object);
}

void api_hosts(struct http_answer *answer)
{
    hosts(answer, "hosts", host_view_columns);
}

void api_queue(struct http_answer *answer)
{
    hosts(answer, "queue", host_view_queue_columns);
}

/* Guests that are left alone are nobody's progress: it is what has left of what has left and is there. */
static void put_evacuation(struct json *json, struct arena *arena, const RmHostView *view)
{
    const RmEmptying *emptying = view->host->emptying;
    json_open(json, NULL, '{');
    json_text(json, "host", view->host->name);
    json_open(json, "batches", '[');
    for (size_t i = 0; i < emptying->n_batches; i++)
        json_number(json, NULL, emptying->batches[i]);
    json_close(json, ']');
    json_number(json, "moved", history_moved(view));
    json_number(json, "left", view->guests);
    json_number(json, "queued", view->queued);
    json_number(json, "running", view->running);
    json_number(json, "waiting", view->waiting);
    json_number(json, "doubt", view->doubt);
    json_text(json, "cancelled_by", emptying->cancelled_by);
    json_time(json, "expected_at", history_expected_at(view, env_wall(env_system())));
    json_text(json, "why", host_view_queue_why(arena, view));
    json_close(json, '}');
}

void api_put_evacuations(struct json *json, struct arena *arena, const struct sight *sight)
{
    json_open(json, "evacuations", '[');
    for (size_t i = 0; sight->hosts && i < sight->hosts->n_hosts; i++)
        if (sight->hosts->hosts[i]->host && sight->hosts->hosts[i]->host->emptying)
            put_evacuation(json, arena, sight->hosts->hosts[i]);
    json_close(json, ']');
}

void api_evacuations(struct http_answer *answer)
{
    struct object object;
    if (!begin_sight(&object, answer))
        return;
    api_put_evacuations(&object.json, object.arena, object.sight);
    end_sight(&object);
}

void api_history(struct http_answer *answer)
{
    struct history_sample *samples = calloc(HISTORY_SAMPLES_MAX, sizeof(*samples));
    struct json json = {.file = answer->body};
    if (!samples) {
        http_fail(answer, UNAVAILABLE, "no memory");
        return;
    }
    size_t n = history_samples(samples);
    json_open(&json, NULL, '{');
    json_seconds(&json, "every", HISTORY_EVERY);
    json_open(&json, "samples", '[');
    for (size_t i = 0; i < n; i++) {
        json_line(&json);
        json_open(&json, NULL, '{');
        json_seconds(&json, "at", samples[i].at);
        json_number(&json, "queued", samples[i].queued);
        json_number(&json, "waiting", samples[i].waiting);
        json_number(&json, "running", samples[i].running);
        json_number(&json, "doubt", samples[i].doubt);
        json_number(&json, "done", samples[i].done);
        json_number(&json, "failed", samples[i].failed);
        json_number(&json, "rate", samples[i].rate);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_close(&json, '}');
    fputc('\n', answer->body);
    free(samples);
}

/* ---- jobs */

/* "queued,waiting"; false: what is wrong was answered. */
static bool get_states(struct object *object, RmState states[static STATES_MAX], size_t *ret_n)
{
    char text[STATES_TEXT_MAX], *save = NULL;
    const char *given = object->answer->query(object->answer, "state");
    size_t n = 0;
    snprintf(text, sizeof(text), "%s", given);
    for (char *name = strtok_r(text, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        RmState state = job_state_parse(name);
        if (state == RM_STATE__NO_STATE || n == STATES_MAX || strlen(given) >= sizeof(text)) {
            http_fail(object->answer, BAD_REQUEST, "'%s' is not a list of states of jobs", given);
            return false;
        }
        states[n++] = state;
    }
    *ret_n = n;
    return true;
}

/* Of the whole site or of a host, in these states; those of before a job. */
static void ask_jobs(struct http_answer *answer)
{
    struct object object;
    RmState states[STATES_MAX];
    RmSelect what = RM_SELECT__INIT;
    RmListJobs list = RM_LIST_JOBS__INIT;
    RmReply *reply;
    const char *before = answer->query(answer, "before");
    if (!begin(&object, answer))
        return;
    what.host = (char *)answer->query(answer, "host");
    what.guests = (char *)answer->query(answer, "guest");
    list.what = &what;
    list.states = states;
    if (before[0] && args_number(before, UINT64_MAX, &list.before) < 0)
        http_fail(answer, BAD_REQUEST, "before is the number of a job");
    else if (get_states(&object, states, &list.n_states) &&
             get_limit(&object, API_ROWS_MAX, &list.limit) &&
             ask(&object, RM_REQUEST__ASK_LIST_JOBS, &list, &reply)) {
        json_open(&object.json, NULL, '{');
        json_open(&object.json, "jobs", '[');
        for (size_t i = 0; i < reply->n_jobs; i++)
            if (reply->jobs[i]->job)
                put_row(&object, view_columns, reply->jobs[i]);
        json_close(&object.json, ']');
        if (reply->next)
            json_number(&object.json, "next", reply->next);
        else
            json_text(&object.json, "next", "");
        json_close(&object.json, '}');
        fputc('\n', answer->body);
    }
    end(&object);
}

void api_jobs(struct http_answer *answer)
{
    static const char *const names[] = {"state", "host", "guest", "limit", "before"};
    struct object object;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (answer->query(answer, names[i])[0]) {
            ask_jobs(answer);
            return;
        }
    if (!begin_sight(&object, answer))
        return;
    const RmReply *reply = object.sight->jobs;
    json_open(&object.json, "jobs", '[');
    for (size_t i = 0; reply && i < reply->n_jobs; i++)
        if (reply->jobs[i]->job)
            put_row(&object, view_columns, reply->jobs[i]);
    json_close(&object.json, ']');
    end_sight(&object);
}

void api_job(struct http_answer *answer)
{
    struct object object;
    RmShow show = RM_SHOW__INIT;
    RmReply *reply;
    if (!begin(&object, answer))
        return;
    if (args_number(answer->path, UINT64_MAX, &show.job) < 0)
        http_fail(answer, BAD_REQUEST, "'%s' is not the number of a job", answer->path);
    else if (ask(&object, RM_REQUEST__ASK_SHOW, &show, &reply)) {
        if (reply->n_jobs == 0 || !reply->jobs[0]->job) {
            http_fail(answer, NOT_FOUND, "there is no job %s", answer->path);
        } else {
            json_open(&object.json, NULL, '{');
            view_whole(&object.json, reply);
            json_close(&object.json, '}');
            fputc('\n', answer->body);
        }
    }
    end(&object);
}

/* ---- guests and events */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(RmGuest *const *)a)->name, (*(RmGuest *const *)b)->name);
}

/* The broker tells all of a noderange or of a host; a page of them is cut out here. */
void api_guests(struct http_answer *answer)
{
    struct object object;
    RmListGuests list = RM_LIST_GUESTS__INIT;
    RmReply *reply;
    uint32_t limit, n = 0;
    const char *after = answer->query(answer, "after"), *last = "";
    if (!begin(&object, answer))
        return;
    list.guests = (char *)answer->query(answer, "guest");
    list.host = (char *)answer->query(answer, "host");
    if (get_limit(&object, API_ROWS_MAX, &limit) &&
        ask(&object, RM_REQUEST__ASK_GUESTS, &list, &reply)) {
        if (reply->n_guests > 0)
            qsort(reply->guests, reply->n_guests, sizeof(RmGuest *), by_name);
        json_open(&object.json, NULL, '{');
        json_open(&object.json, "guests", '[');
        size_t i = 0;
        for (; i < reply->n_guests && n < limit; i++) {
            if (strcmp(reply->guests[i]->name, after) <= 0)
                continue;
            put_row(&object, guest_view_columns, reply->guests[i]);
            last = reply->guests[i]->name;
            n++;
        }
        json_close(&object.json, ']');
        json_text(&object.json, "next", i < reply->n_guests ? last : "");
        json_close(&object.json, '}');
        fputc('\n', answer->body);
    }
    end(&object);
}

void api_events(struct http_answer *answer)
{
    struct object object;
    RmList list = RM_LIST__INIT;
    RmReply *reply;
    if (!begin(&object, answer))
        return;
    if (get_limit(&object, EVENTS_DEFAULT, &list.limit) &&
        ask(&object, RM_REQUEST__ASK_EVENTS, &list, &reply)) {
        json_open(&object.json, NULL, '{');
        json_open(&object.json, "events", '[');
        for (size_t i = reply->n_events; i-- > 0;) /* like a log: the newest is the last */
            put_row(&object, view_event_columns, reply->events[i]);
        json_close(&object.json, ']');
        json_close(&object.json, '}');
        fputc('\n', answer->body);
    }
    end(&object);
}
