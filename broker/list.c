/* list.c - requests that only look: jobs, history, hosts, workers, guests, events */
#include "broker/request.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    LIST_DEFAULT = 1000, /* rows of a page that asks for no number */
    LIST_MAX = 10000,
    HISTORY_DEFAULT = 100,
};

static uint32_t page(uint32_t limit, uint32_t usual)
{
    return limit == 0 ? usual : limit > LIST_MAX ? LIST_MAX : limit;
}

/* ---- jobs: the live ones from memory, the others from the store, by id downwards */

struct job_list {
    struct core *core;
    struct request *request;
    const RmListJobs *ask;
    struct noderange guests;
    uint64_t *live; /* ids, the highest first */
    size_t n_live, next_live;
    uint32_t limit;
};

static bool wanted(const struct job_list *list, const RmJobView *view)
{
    const RmSelect *what = list->ask->what;
    bool state = list->ask->n_states == 0;

    for (size_t i = 0; i < list->ask->n_states; i++)
        state = state || list->ask->states[i] == view->state;
    if (!state)
        return false;
    if (what == NULL)
        return true;
    if (what->batch != 0 && view->job->batch != what->batch)
        return false;
    if (*what->host != '\0' && strcmp(view->source, what->host) != 0 &&
        strcmp(view->destination, what->host) != 0)
        return false;
    return *what->guests == '\0' || noderange_has(&list->guests, view->job->guest);
}

/* 1 when the page is full. */
static int push_job(struct job_list *list, RmJobView *view)
{
    RmReply *reply = list->request->reply;

    if (view == NULL || !wanted(list, view))
        return 0;
    if (reply->n_jobs >= list->limit) {
        reply->next = reply->jobs[reply->n_jobs - 1]->job->id;
        return 1;
    }
    ARENA_PUSH(list->core->arena, reply->n_jobs, reply->jobs, view);
    return 0;
}

static int push_live_above(struct job_list *list, uint64_t id)
{
    while (list->next_live < list->n_live && list->live[list->next_live] > id) {
        struct job *job = job_find(list->core, list->live[list->next_live++]);
        if (push_job(list, status_job(list->core, job)) > 0)
            return 1;
    }
    return 0;
}

static int push_result(void *ctx, const ProtobufCMessage *record)
{
    struct job_list *list = ctx;
    uint64_t id = ((const RmResult *)record)->id;

    if (push_live_above(list, id) > 0)
        return 1;
    return push_job(list, status_finished(list->core, id));
}

static int downwards(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x > y ? -1 : x < y;
}

static bool asks_finished(const RmListJobs *ask)
{
    bool finished = ask->finished || (ask->what != NULL && ask->what->batch != 0);

    for (size_t i = 0; i < ask->n_states; i++)
        finished = finished || job_is_final(ask->states[i]);
    return finished;
}

void list_jobs(struct core *core, struct request *request)
{
    const RmListJobs *ask = request->message->list_jobs;
    const RmSelect *what = ask->what;
    uint64_t before = ask->before != 0 ? ask->before : UINT64_MAX, lowest = 0;
    struct job_list list = {
        .core = core, .request = request, .ask = ask, .limit = page(ask->limit, LIST_DEFAULT)};
    RmBatch *batch;

    if (what != NULL && what->n_jobs > 0) {
        for (size_t i = 0; i < what->n_jobs; i++) {
            struct job *job = job_find(core, what->jobs[i]);
            RmJobView *view =
                job != NULL ? status_job(core, job) : status_finished(core, what->jobs[i]);
            if (view != NULL)
                ARENA_PUSH(core->arena, request->reply->n_jobs, request->reply->jobs, view);
            else
                request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no such job: %" PRIu64,
                               what->jobs[i]);
        }
        return;
    }
    if (what != NULL && *what->guests != '\0' &&
        !request_guests(core, request, what->guests, &list.guests))
        return;
    if (what != NULL && what->batch != 0) {
        if (record_batch_get(core->store, what->batch, core->arena, &batch) < 0) {
            request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no such batch: %" PRIu64,
                           what->batch);
            noderange_done(&list.guests);
            return;
        }
        if (batch->n_jobs > 0) {
            const RmRange *last = batch->jobs[batch->n_jobs - 1];
            lowest = batch->jobs[0]->first;
            if (before > last->first + last->count)
                before = last->first + last->count;
        }
    }
    list.live = calloc(HASH_COUNT(core->jobs) + 1, sizeof(*list.live));
    for (struct job *job = core->jobs; list.live != NULL && job != NULL; job = job->hh.next)
        if (job->id < before)
            list.live[list.n_live++] = job->id;
    if (list.live != NULL)
        qsort(list.live, list.n_live, sizeof(*list.live), downwards);
    if (!asks_finished(ask) || record_walk_ids(core->store, STORE_RESULT, lowest, before - 1,
                                               /* down = */ true, push_result, &list) == 0)
        push_live_above(&list, lowest > 0 ? lowest - 1 : 0);
    free(list.live);
    noderange_done(&list.guests);
}

/* ---- one job, one guest */

static int push_event(void *ctx, const ProtobufCMessage *record)
{
    struct job_list *list = ctx;
    RmReply *reply = list->request->reply;
    RmEvent *copy;

    if (reply->n_events >= list->limit)
        return 1;
    copy = (RmEvent *)msg_copy(list->core->arena, record);
    if (copy != NULL)
        ARENA_PUSH(list->core->arena, reply->n_events, reply->events, copy);
    return 0;
}

void list_show(struct core *core, struct request *request)
{
    uint64_t id = request->message->show->job;
    struct job_list list = {.core = core, .request = request, .limit = LIST_MAX};
    struct job *job = job_find(core, id);
    RmJobView *view = job != NULL ? status_job(core, job) : status_finished(core, id);

    if (view == NULL) {
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no such job: %" PRIu64, id);
        return;
    }
    ARENA_PUSH(core->arena, request->reply->n_jobs, request->reply->jobs, view);
    record_walk_events(core->store, id, push_event, &list);
}

void list_history(struct core *core, struct request *request)
{
    const RmHistory *ask = request->message->history;
    uint32_t limit = page(ask->limit, HISTORY_DEFAULT);
    struct noderange guests = {0};

    if (!request_guests(core, request, ask->guest, &guests))
        return;
    for (size_t i = 0; i < guests.n; i++) {
        struct guest *guest = guest_find(core, guests.names[i]);
        uint64_t id = guest == NULL        ? 0
                      : guest->job != NULL ? guest->job->id
                                           : guest->rec->last_job;
        for (uint32_t n = 0; id != 0 && n < limit; n++) {
            struct job *job = job_find(core, id);
            RmJobView *view = job != NULL ? status_job(core, job) : status_finished(core, id);
            if (view == NULL)
                break;
            ARENA_PUSH(core->arena, request->reply->n_jobs, request->reply->jobs, view);
            id = view->job->previous;
        }
    }
    noderange_done(&guests);
}

/* ---- hosts, workers, guests */

static int host_order(struct host *a, struct host *b)
{
    return strcmp(a->rec->name, b->rec->name);
}

void list_hosts(struct core *core, struct request *request)
{
    const RmList *ask = request->message->ask_case == RM_REQUEST__ASK_QUEUE
                            ? request->message->queue
                            : request->message->hosts;
    struct noderange hosts = {0};

    if (*ask->host != '\0' && !request_hosts(core, request, ask->host, &hosts))
        return;
    HASH_SORT(core->hosts, host_order);
    for (struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        RmHostView *view;
        if (*ask->host != '\0' && !noderange_has(&hosts, host->rec->name))
            continue;
        view = status_host(core, host);
        if (view != NULL)
            ARENA_PUSH(core->arena, request->reply->n_hosts, request->reply->hosts, view);
    }
    noderange_done(&hosts);
}

void list_workers(struct core *core, struct request *request)
{
    const struct session *session;

    DL_FOREACH (core->sessions, session) {
        RmWorkerView *view = status_worker(core, session);
        if (view != NULL)
            ARENA_PUSH(core->arena, request->reply->n_workers, request->reply->workers, view);
    }
}

static int guest_order(struct guest *a, struct guest *b)
{
    return strcmp(a->rec->name, b->rec->name);
}

static void push_guest(struct core *core, struct request *request, struct guest *guest,
                       const char *host)
{
    RmGuest *copy;
    struct sighting *s;

    if (*host != '\0' && strcmp(guest->rec->host, host) != 0)
        return;
    if (guest->sightings == NULL && guest->job == NULL && !guest->rec->locked)
        return; /* remembered only: nobody shows it now */
    copy = arena_alloc(core->arena, sizeof(*copy));
    if (copy == NULL)
        return;
    *copy = *guest->rec;
    DL_FOREACH2 (guest->sightings, s, g_next)
        if (strcmp(s->host->rec->name, copy->host) == 0)
            copy->state = s->state;
    ARENA_PUSH(core->arena, request->reply->n_guests, request->reply->guests, copy);
}

void list_guests(struct core *core, struct request *request)
{
    const RmListGuests *ask = request->message->guests;
    struct noderange guests = {0};

    if (*ask->guests != '\0') {
        if (!request_guests(core, request, ask->guests, &guests))
            return;
        for (size_t i = 0; i < guests.n; i++) {
            struct guest *guest = guest_find(core, guests.names[i]);
            if (guest != NULL)
                push_guest(core, request, guest, ask->host);
        }
        noderange_done(&guests);
        return;
    }
    HASH_SORT(core->guests, guest_order);
    for (struct guest *guest = core->guests; guest != NULL; guest = guest->hh.next)
        push_guest(core, request, guest, ask->host);
}

void list_events(struct core *core, struct request *request)
{
    struct job_list list = {.core = core,
                            .request = request,
                            .limit = page(request->message->events->limit, HISTORY_DEFAULT)};

    record_walk_events(core->store, 0, push_event, &list);
}
