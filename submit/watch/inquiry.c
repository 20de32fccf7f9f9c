/* inquiry.c - asks the broker what has happened, and enters it into the ledger */
#include "submit/watch/inquiry.h"

#include "conf/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define ASK_EVERY    USEC_PER_SEC
#define HOSTS_EVERY  (5 * USEC_PER_SEC)
#define GUESTS_EVERY (300 * USEC_PER_SEC)
#define WRITE_EVERY  (60 * USEC_PER_SEC) /* so that a start after a crash has little to ask for */

enum {
    EVENTS_USUAL =
        16, /* asked for at first; more where they do not reach back to those that are known */
    NEWS_EVENTS_MAX = 10000, /* the broker gives no more */
    JOBS_AT_ONCE = 1000,     /* in one question by number, and on one page */
    FAR =
        10000, /* changes since the last answer: the broker may not have told each of them any more */
};

struct inquiry {
    struct desk *desk;
    struct board *board;
    const struct conf_watch *conf;
    struct arena *arena;     /* of one look */
    uint64_t epoch, version; /* of the last answer to RmFollow */
    usec_t hosts_at, guests_at, write_at;
};

static int ask(struct inquiry *q, RmRequest__AskCase which, void *message, RmReply **ret_reply,
               struct rm_err *err)
{
    RmRequest request = client_request(which, message);
    RmReply *reply = NULL;
    int r = board_ask(q->board, &request, q->arena, &reply, err);
    if (r < 0 || !reply)
        return r < 0 ? r : -ENOMEM;
    if (reply->code != RM_CODE__CODE_OK && reply->code != RM_CODE__CODE_SOME_FAILED) {
        rm_err_set(err, "%s", reply->text);
        return -EPROTO;
    }
    *ret_reply = reply;
    return 0;
}

/* Each entry is one step of a look: what it found is on disk before the next question. */
static int enter(struct inquiry *q, int (*entry)(struct ledger *ledger, const RmReply *reply),
                 const RmReply *reply, struct rm_err *err)
{
    int r = entry(desk_take(q->desk), reply);
    desk_give_back(q->desk);
    return r < 0 ? rm_fail(err, r, "no memory") : 0;
}

/* ---- jobs */

static int enter_jobs(struct ledger *ledger, const RmReply *reply)
{
    int r = 0;
    for (size_t i = 0; i < reply->n_jobs && r >= 0; i++)
        if (reply->jobs[i]->job && reply->jobs[i]->job->id != 0)
            r = ledger_job(ledger, reply->jobs[i]);
    return r;
}

static bool names(const RmReply *reply, uint64_t id)
{
    for (size_t i = 0; i < reply->n_jobs; i++)
        if (reply->jobs[i]->job && reply->jobs[i]->job->id == id)
            return true;
    return false;
}

/* Those that were unfinished, and are not in the whole answer. */
static int ask_for_missed(struct inquiry *q, struct rm_err *err)
{
    uint64_t ids[JOBS_AT_ONCE];
    for (;;) {
        RmListJobs list = RM_LIST_JOBS__INIT;
        RmSelect what = RM_SELECT__INIT;
        RmReply *reply;
        what.jobs = ids;
        what.n_jobs = ledger_missed(desk_take(q->desk), ids, JOBS_AT_ONCE);
        desk_give_back(q->desk);
        if (what.n_jobs == 0)
            return 0;
        list.what = &what;
        int r = ask(q, RM_REQUEST__ASK_LIST_JOBS, &list, &reply, err);
        if (r >= 0)
            r = enter(q, enter_jobs, reply, err);
        if (r < 0)
            return r;
        struct ledger *ledger = desk_take(q->desk);
        for (size_t i = 0; i < what.n_jobs; i++)
            if (!names(reply, ids[i]))
                ledger_forget(ledger, ids[i]);
        desk_give_back(q->desk);
    }
}

/* Those that nobody has heard of, the newest first. */
static int ask_for_failed(struct inquiry *q, struct rm_err *err)
{
    RmState failed = RM_STATE__FAILED;
    RmListJobs list = RM_LIST_JOBS__INIT;
    uint64_t last = ledger_last_job(desk_take(q->desk));
    desk_give_back(q->desk);
    list.states = &failed;
    list.n_states = 1;
    list.limit = JOBS_AT_ONCE;
    do {
        RmReply *reply;
        int r = ask(q, RM_REQUEST__ASK_LIST_JOBS, &list, &reply, err);
        if (r >= 0)
            r = enter(q, enter_jobs, reply, err);
        if (r < 0)
            return r;
        list.before = reply->next;
    } while (list.before > last + 1);
    return 0;
}

/* The highest number that the broker has given to a job that it knows. */
static int ask_for_highest(struct inquiry *q, uint64_t *ret_highest, struct rm_err *err)
{
    RmListJobs list = RM_LIST_JOBS__INIT;
    RmState any[] = {RM_STATE__QUEUED,  RM_STATE__ASSIGNED,   RM_STATE__RUNNING,
                     RM_STATE__WAITING, RM_STATE__CANCELLING, RM_STATE__DOUBT,
                     RM_STATE__DONE,    RM_STATE__FAILED,     RM_STATE__CANCELLED};
    RmReply *reply;
    list.states = any;
    list.n_states = sizeof(any) / sizeof(any[0]);
    list.limit = 1;
    int r = ask(q, RM_REQUEST__ASK_LIST_JOBS, &list, &reply, err);
    if (r >= 0)
        *ret_highest = reply->n_jobs > 0 && reply->jobs[0]->job ? reply->jobs[0]->job->id : 0;
    return r;
}

static int enter_round(struct inquiry *q, const RmReply *reply, bool whole, uint64_t highest,
                       struct rm_err *err)
{
    struct ledger *ledger = desk_take(q->desk);
    if (whole && highest < ledger_last_job(ledger))
        log_warn("the broker's newest job is %" PRIu64 ", and %" PRIu64
                 " was known: was its store restored? What failed since then may not be told",
                 highest, ledger_last_job(ledger));
    if (whole)
        ledger_start_jobs(ledger, highest);
    ledger_round(ledger, whole);
    int r = enter_jobs(ledger, reply);
    ledger_beside(ledger);
    desk_give_back(q->desk);
    return r < 0 ? rm_fail(err, r, "no memory") : 0;
}

static int ask_for_jobs(struct inquiry *q, struct rm_err *err)
{
    RmFollow follow = RM_FOLLOW__INIT;
    RmReply *reply;
    uint64_t highest = 0;
    follow.epoch = q->epoch;
    follow.version = q->version;
    int r = ask(q, RM_REQUEST__ASK_FOLLOW, &follow, &reply, err);
    if (r < 0)
        return r;
    bool whole = q->version == 0 || reply->epoch != q->epoch;
    if (!whole && reply->version > q->version + FAR) {
        q->version = 0;
        return ask_for_jobs(q, err);
    }
    q->version = 0; /* until all of it is entered */
    if (whole)
        r = ask_for_highest(q, &highest, err);
    if (r >= 0)
        r = enter_round(q, reply, whole, highest, err);
    if (whole && r >= 0)
        r = ask_for_missed(q, err);
    if (whole && r >= 0)
        r = ask_for_failed(q, err);
    if (r < 0)
        return r;
    ledger_rounded(desk_take(q->desk));
    desk_give_back(q->desk);
    q->epoch = reply->epoch;
    q->version = reply->version;
    return 0;
}

/* ---- events, hosts, guests */

/* The newest first. */
static int enter_events(struct ledger *ledger, const RmReply *reply)
{
    uint64_t newest = reply->n_events > 0 ? reply->events[0]->sequence : 0;
    if (ledger_is_new(ledger) || (newest != 0 && newest < ledger_last_event(ledger)))
        ledger_start_events(ledger, newest); /* nothing before is told; or it is another store */
    for (size_t i = reply->n_events; i > 0; i--)
        ledger_event(ledger, reply->events[i - 1]);
    return 0;
}

static int ask_for_events(struct inquiry *q, struct rm_err *err)
{
    const struct ledger *ledger = desk_take(q->desk);
    uint64_t last = ledger_last_event(ledger);
    bool is_new = ledger_is_new(ledger);
    desk_give_back(q->desk);
    for (uint32_t limit = EVENTS_USUAL;; limit *= 5) {
        RmList list = RM_LIST__INIT;
        RmReply *reply;
        list.limit = limit < NEWS_EVENTS_MAX ? limit : NEWS_EVENTS_MAX;
        int r = ask(q, RM_REQUEST__ASK_EVENTS, &list, &reply, err);
        if (r < 0)
            return r;
        size_t n = reply->n_events;
        bool reaches = is_new || n < list.limit || reply->events[n - 1]->sequence <= last + 1;
        if (!reaches && list.limit < NEWS_EVENTS_MAX)
            continue;
        if (!reaches)
            log_warn("events %" PRIu64 " to %" PRIu64 " are not looked at: there are more than %d "
                     "new ones",
                     last + 1, reply->events[n - 1]->sequence - 1, NEWS_EVENTS_MAX);
        return enter(q, enter_events, reply, err);
    }
}

static int enter_hosts(struct ledger *ledger, const RmReply *reply)
{
    int r = 0;
    for (size_t i = 0; i < reply->n_hosts && r >= 0; i++)
        if (reply->hosts[i]->host)
            r = ledger_host(ledger, reply->hosts[i]);
    return r;
}

static int ask_for_hosts(struct inquiry *q, struct rm_err *err)
{
    RmList list = RM_LIST__INIT;
    RmReply *reply;
    int r = ask(q, RM_REQUEST__ASK_HOSTS, &list, &reply, err);
    if (r >= 0)
        r = enter(q, enter_hosts, reply, err);
    if (r >= 0) {
        usec_t pause = q->conf->away / 2 < HOSTS_EVERY ? q->conf->away / 2 : HOSTS_EVERY;
        q->hosts_at = env_now(env_system()) + pause;
    }
    return r;
}

static int enter_guests(struct ledger *ledger, const RmReply *reply)
{
    int r = 0;
    for (size_t i = 0; i < reply->n_guests && r >= 0; i++)
        r = ledger_guest(ledger, reply->guests[i]);
    if (r >= 0)
        ledger_locked(ledger);
    return r;
}

static int ask_for_guests(struct inquiry *q, struct rm_err *err)
{
    RmListGuests list = RM_LIST_GUESTS__INIT;
    RmReply *reply;
    ledger_locks(desk_take(q->desk));
    desk_give_back(q->desk);
    q->guests_at = 0; /* again, where this does not get through */
    int r = ask(q, RM_REQUEST__ASK_GUESTS, &list, &reply, err);
    if (r >= 0)
        r = enter(q, enter_guests, reply, err);
    if (r >= 0)
        q->guests_at = env_now(env_system()) + GUESTS_EVERY;
    return r;
}

static bool wants_guests(struct inquiry *q)
{
    bool wants = ledger_wants_guests(desk_take(q->desk));
    desk_give_back(q->desk);
    return wants || env_now(env_system()) >= q->guests_at;
}

/* ---- a look */

static int look(struct inquiry *q, struct rm_err *err)
{
    int r = ask_for_jobs(q, err);
    if (r >= 0)
        r = ask_for_events(q, err);
    if (r >= 0 && env_now(env_system()) >= q->hosts_at)
        r = ask_for_hosts(q, err);
    if (r >= 0 && wants_guests(q))
        r = ask_for_guests(q, err);
    return r;
}

/* What the look was. */
static void conclude(struct inquiry *q, int r, const struct rm_err *err)
{
    struct ledger *ledger = desk_take(q->desk);
    usec_t now = env_now(env_system());
    if (r == -ENOMEM)
        log_error("what has happened cannot be found out: %s", err->text);
    else if (r < 0 && r != -ECANCELED && r != -EAGAIN)
        ledger_away(ledger, q->conf->client.broker, err->text);
    if (r >= 0) {
        ledger_back(ledger, q->conf->client.broker);
        ledger_begun(ledger);
        if (now >= q->write_at) {
            ledger_touch(ledger);
            q->write_at = now + WRITE_EVERY;
        }
    }
    for (usec_t until = now + ASK_EVERY; !desk_is_stopped(q->desk) && now < until;
         now = env_now(env_system()))
        desk_wait(q->desk, until);
    desk_give_back(q->desk);
}

void inquiry_run(struct desk *desk, struct board *board, const struct conf_watch *conf)
{
    struct inquiry q = {.desk = desk, .board = board, .conf = conf};
    while (!desk_is_stopped(desk)) {
        struct rm_err err = {.text = "no memory"};
        q.arena = arena_new(0);
        int r = q.arena ? look(&q, &err) : -ENOMEM;
        arena_free(q.arena);
        conclude(&q, r, &err);
    }
}
