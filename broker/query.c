/* query.c - requests that only look: jobs, history, hosts, workers, guests, events, metrics */
#include "broker/query.h"

#include "broker/guest.h"
#include "broker/instance.h"
#include "broker/job.h"
#include "broker/status.h"
#include "conf/array.h"
#include "store/record.h"

#include <inttypes.h>

enum {
    LIST_DEFAULT = 1000, /* rows of a page that asks for no number */
    QUERY_ROWS_MAX = 10000,
    HISTORY_DEFAULT = 100,
};

static uint32_t page(uint32_t limit, uint32_t usual)
{
    return limit == 0 ? usual : limit > QUERY_ROWS_MAX ? QUERY_ROWS_MAX : limit;
}

/* ---- jobs: the live ones from memory, the others from the store, by id downwards */

struct job_list {
    struct core *core;
    struct request *request;
    const RmListJobs *ask;
    struct noderange guests;
    uint64_t *live; /* ids, rising: taken from the end */
    size_t n_live;
    uint32_t limit;
    uint32_t looked_at; /* results: SCAN_MAX at most for one page */
};

static bool wanted(const struct job_list *list, const RmJobView *view)
{
    const RmSelect *what = list->ask->what;
    bool state = (list->ask->n_states == 0 && !list->ask->paused) ||
                 (list->ask->paused && (view->paused || view->held));

    for (size_t i = 0; i < list->ask->n_states; i++)
        state = state || list->ask->states[i] == view->state;
    if (!state)
        return false;
    return !what ||
           request_selects(what, &list->guests, view->job, view->source, view->destination);
}

/* 1 when the page is full. */
static int push_job(struct job_list *list, RmJobView *view)
{
    RmReply *reply = list->request->reply;

    if (!view || !wanted(list, view))
        return 0;
    if (reply->n_jobs >= list->limit || page_is_full(&list->request->page)) {
        reply->next = reply->jobs[reply->n_jobs - 1]->job->id;
        return 1;
    }
    page_push_job(&list->request->page, view);
    return 0;
}

static int push_live_above(struct job_list *list, uint64_t id)
{
    while (list->n_live > 0 && list->live[list->n_live - 1] > id) {
        struct job *job = job_find(list->core, list->live[--list->n_live]);
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
    if (list->looked_at++ == SCAN_MAX) {
        list->request->reply->next = id + 1; /* the page begins with it that is asked for next */
        return 1;
    }
    return push_job(list, status_finished(list->core, id));
}

static bool asks_finished(const RmListJobs *ask)
{
    bool finished = ask->finished || (ask->what && ask->what->batch != 0);

    for (size_t i = 0; i < ask->n_states; i++)
        finished = finished || job_is_final(ask->states[i]);
    return finished;
}

/* Those that were asked for by number. */
static void push_named(struct core *core, struct request *request, const RmSelect *what)
{
    for (size_t i = page_number(request->message);
         i < what->n_jobs && !page_ends(&request->page, "%zu", i); i++) {
        RmJobView *view = status_of(core, what->jobs[i]);
        if (view)
            page_push_job(&request->page, view);
        else
            request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no such job: %" PRIu64,
                           what->jobs[i]);
    }
}

/* Ids from *lowest to below *before are enough for the jobs of that batch. False: there is no such
 * batch, and the request is refused. */
static bool narrow_to_batch(struct core *core, struct request *request, uint64_t id,
                            uint64_t *lowest, uint64_t *before)
{
    RmBatch *batch;

    if (record_batch_get(core->store, id, core->arena, &batch) < 0) {
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no such batch: %" PRIu64, id);
        return false;
    }
    if (batch->n_jobs == 0)
        return true;
    const RmRange *last = batch->jobs[batch->n_jobs - 1];
    *lowest = batch->jobs[0]->first;
    if (*before > last->first + last->count)
        *before = last->first + last->count;
    return true;
}

/* The ids of live jobs before that one. */
static void list_live(struct core *core, struct job_list *list, uint64_t before)
{
    list->live = must(calloc(HASH_COUNT(core->jobs.by_id) + 1, sizeof(*list->live)));
    for (const struct job *job = core->jobs.by_id; job; job = job->hh.next)
        if (job->id < before)
            list->live[list->n_live++] = job->id;
    qsort(list->live, list->n_live, sizeof(*list->live), array_compare_u64);
}

void query_jobs(struct core *core, struct request *request)
{
    const RmListJobs *ask = request->message->list_jobs;
    const RmSelect *what = ask->what;
    uint64_t before = ask->before != 0 ? ask->before : UINT64_MAX, lowest = 0;
    struct job_list list = {
        .core = core, .request = request, .ask = ask, .limit = page(ask->limit, LIST_DEFAULT)};

    if (what && what->n_jobs > 0) {
        push_named(core, request, what);
        return;
    }
    if (what && *what->guests != '\0' && !request_guests(core, request, what->guests, &list.guests))
        return;
    if (what && what->batch != 0 && !narrow_to_batch(core, request, what->batch, &lowest, &before))
        goto out;
    list_live(core, &list, before);
    if (!asks_finished(ask) || record_walk_ids(core->store, STORE_RESULT, lowest, before - 1,
                                               /* down = */ true, push_result, &list) == 0)
        push_live_above(&list, lowest > 0 ? lowest - 1 : 0);
out:
    free(list.live);
    noderange_done(&list.guests);
}

/* ---- one job, one guest */

struct event_list {
    struct request *request;
    uint64_t n, limit; /* on this page and those before it */
};

static int push_event(void *ctx, const ProtobufCMessage *record)
{
    struct event_list *list = ctx;
    struct request *request = list->request;
    struct core *core = request->page.core;

    if (list->n >= list->limit || page_ends(&request->page, "%" PRIu64 ".%" PRIu64,
                                            ((const RmEvent *)record)->sequence, list->n))
        return 1;
    RmEvent *copy = (RmEvent *)msg_copy(core->arena, record);
    if (copy)
        ARENA_PUSH(core->arena, request->reply->n_events, request->reply->events, copy);
    page_count(&request->page, record);
    list->n++;
    return 0;
}

/* job 0: those that concern none. */
static void push_events(struct core *core, struct request *request, uint64_t job, uint64_t limit)
{
    uint64_t from[3];

    page_numbers(request->message, from);
    struct event_list list = {.request = request, .n = from[1], .limit = limit};
    record_walk_events(core->store, job, from[0], push_event, &list);
}

void query_show(struct core *core, struct request *request)
{
    uint64_t id = request->message->show->job;
    RmJobView *view = status_of(core, id);

    if (!view) {
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no such job: %" PRIu64, id);
        return;
    }
    if (*request->message->page == '\0')
        page_push_job(&request->page, view);
    push_events(core, request, id, request->message->pages ? UINT64_MAX : QUERY_ROWS_MAX);
}

/* The chain of the jobs of guest i of those that are asked for, the newest first; at first of job `id` and
 * those before it, when n are on earlier pages. False: the page is full. */
static bool push_history(struct core *core, struct request *request, size_t i, const char *name,
                         uint64_t id, uint64_t n)
{
    uint32_t limit = page(request->message->history->limit, HISTORY_DEFAULT);
    const struct guest *guest = guest_find(core, name);

    if (id == 0 && guest)
        id = guest->job ? guest->job->id : guest->rec->last_job;
    for (; id != 0 && n < limit; n++) {
        RmJobView *view = status_of(core, id);
        if (!view)
            break;
        if (page_ends(&request->page, "%zu.%" PRIu64 ".%" PRIu64, i, id, n))
            return false;
        page_push_job(&request->page, view);
        id = view->job->previous;
    }
    return true;
}

void query_history(struct core *core, struct request *request)
{
    struct noderange guests = {0};
    uint64_t from[3];

    page_numbers(request->message, from);
    if (!request_guests(core, request, request->message->history->guest, &guests))
        return;
    for (size_t i = from[0]; i < guests.n; i++) {
        bool first = i == from[0];
        if (!push_history(core, request, i, guests.names[i], first ? from[1] : 0,
                          first ? from[2] : 0))
            break;
    }
    noderange_done(&guests);
}

/* ---- hosts, workers, guests */

void query_hosts(struct core *core, struct request *request)
{
    const RmList *ask = request->message->ask_case == RM_REQUEST__ASK_QUEUE
                            ? request->message->queue
                            : request->message->hosts;
    struct noderange hosts = {0};

    if (*ask->host != '\0' && !request_hosts(core, request, ask->host, &hosts))
        return;
    host_sort(core);
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        RmHostView *view;
        if (strcmp(host->rec->name, request->message->page) < 0 ||
            (*ask->host != '\0' && !noderange_has(&hosts, host->rec->name)))
            continue;
        if (page_ends(&request->page, "%s", host->rec->name))
            break;
        view = status_host(core, host);
        if (!view)
            continue;
        ARENA_PUSH(core->arena, request->reply->n_hosts, request->reply->hosts, view);
        page_count(&request->page, &view->base);
    }
    noderange_done(&hosts);
}

void query_workers(struct core *core, struct request *request)
{
    const struct session *session;

    DL_FOREACH (core->sessions.first, session) {
        if (session->id < page_number(request->message))
            continue;
        if (page_ends(&request->page, "%" PRIu64, session->id))
            break;
        RmWorkerView *view = status_worker(core, session);
        if (!view)
            continue;
        ARENA_PUSH(core->arena, request->reply->n_workers, request->reply->workers, view);
        page_count(&request->page, &view->base);
    }
}

static void push_guest(struct core *core, struct request *request, const struct guest *guest)
{
    const char *host = request->message->guests->host;
    RmGuest *copy;
    const struct instance *s;

    if (*host != '\0' && strcmp(guest->rec->host, host) != 0)
        return;
    if (!guest->instances && !guest->job && !guest->rec->locked)
        return; /* remembered only: nobody shows it now */
    copy = arena_alloc(core->arena, sizeof(*copy));
    if (!copy)
        return;
    *copy = *guest->rec;
    const struct host *place = host_find(core, copy->host);
    if (place && !host_link_is_up(&place->link)) {
        copy->stale =
            arena_printf(core->arena, "%s: %s", copy->host, host_link_trouble(&place->link));
        copy->stale_since = host_seen_at(place);
    }
    if (!copy->stale)
        return;
    DL_FOREACH2 (guest->instances, s, g_next)
        if (strcmp(s->host->rec->name, copy->host) == 0)
            copy->state = s->state;
    ARENA_PUSH(core->arena, request->reply->n_guests, request->reply->guests, copy);
    page_count(&request->page, &copy->base);
}

static void push_named_guests(struct core *core, struct request *request, const char *expression)
{
    struct noderange guests = {0};

    if (!request_guests(core, request, expression, &guests))
        return;
    for (size_t i = page_number(request->message);
         i < guests.n && !page_ends(&request->page, "%zu", i); i++) {
        const struct guest *guest = guest_find(core, guests.names[i]);
        if (guest)
            push_guest(core, request, guest);
    }
    noderange_done(&guests);
}

/* Guests that no worker has reported since the broker's start are in no list. */
static void warn_of_unseen(struct core *core, struct request *request)
{
    const char *only = request->message->guests->host, *names = NULL;
    RmReply *reply = request->reply;

    for (const struct host *host = core->hosts; host; host = host->hh.next)
        if (!host->instances && !host_link_is_up(&host->link) &&
            (*only == '\0' || strcmp(only, host->rec->name) == 0))
            names =
                core_printf(core, "%s%s%s", names ? names : "", names ? ", " : "", host->rec->name);
    if (names)
        CORE_PUSH(core, reply->n_warnings, reply->warnings,
                  core_printf(core,
                              "what runs on %s is not known: no worker has reported it since "
                              "the broker's start",
                              names));
}

void query_guests(struct core *core, struct request *request)
{
    const RmListGuests *ask = request->message->guests;

    if (*ask->guests != '\0') {
        push_named_guests(core, request, ask->guests);
        return;
    }
    guest_sort(core);
    if (*request->message->page == '\0')
        warn_of_unseen(core, request);
    for (const struct guest *guest = core->guests; guest; guest = guest->hh.next) {
        if (strcmp(guest->rec->name, request->message->page) < 0)
            continue;
        if (page_ends(&request->page, "%s", guest->rec->name))
            break;
        push_guest(core, request, guest);
    }
}

void query_events(struct core *core, struct request *request)
{
    push_events(core, request, 0, page(request->message->events->limit, HISTORY_DEFAULT));
}

/* ---- metrics */

/* False: the answer has become too long. */
static bool push_oldest(struct core *core, RmMetrics *metrics)
{
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        RmHostMetrics *view;
        if (!host->queue.oldest)
            continue;
        if (!(view = arena_alloc(core->arena, sizeof(*view))))
            return false;
        rm_host_metrics__init(view);
        view->name = host->rec->name;
        view->oldest_at = host->queue.oldest->job->ask->submitted_at;
        if (ARENA_PUSH(core->arena, metrics->n_hosts, metrics->hosts, view) < 0)
            return false;
    }
    return true;
}

void query_metrics(struct core *core, struct request *request)
{
    RmMetrics *metrics = core_alloc(core, sizeof(*metrics));
    struct store_usage usage = {0};

    rm_metrics__init(metrics);
    meter_show(&core->meter, core->arena, metrics);
    metrics->live = HASH_COUNT(core->jobs.by_id);
    metrics->in_doubt = core->jobs.n_doubt;
    metrics->guests = HASH_COUNT(core->guests);
    metrics->guests_locked = core->n_locked;
    metrics->sessions = HASH_COUNT(core->sessions.by_peer);
    if (store_usage(core->store, &usage) >= 0) {
        metrics->store_used = usage.used;
        metrics->store_size = usage.size;
    }
    metrics->epoch = core->epoch;
    metrics->started_at = core->started_wall;
    if (push_oldest(core, metrics))
        request->reply->metrics = metrics;
    else
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "the answer is too long");
}
