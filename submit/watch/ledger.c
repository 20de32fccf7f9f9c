/* ledger.c - what is known of the site, so that each thing is told once, and what is to be told to whom */
#include "submit/watch/ledger.h"

#include "conf/array.h"
#include "conf/text.h"
#include "submit/watch/news.h"
#include "wire/job.h"
#include "wire/msg.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

/* uthash says by this that there was no memory for its table. */
#undef uthash_nonfatal_oom
#define uthash_nonfatal_oom(element) ((element)->lost = true)

enum { LEDGER_JOBS_MAX = 1000000 }; /* unfinished ones of a stored record */

struct known_job {
    uint64_t id;
    uint64_t round; /* of the last whole answer that named it */
    bool doubt;     /* told */
    bool ended;     /* and told, if that was news */
    bool listed;    /* that was found out beside the answer of this round */
    bool lost;
    UT_hash_handle hh;
};

struct known_host {
    char *name;
    bool away;          /* told that its worker is lost */
    bool never;         /* it has had none as long as it is known */
    bool stuck;         /* told that its evacuation is */
    usec_t away_since;  /* 0: it has a worker */
    usec_t still_since; /* it is being emptied, and nothing moves; 0: no */
    uint64_t ended;     /* migrations away that have ended */
    bool met;           /* that is known */
    bool lost;
    UT_hash_handle hh;
};

struct known_lock {
    char *guest;
    bool seen; /* in the list that is being read */
    bool lost;
    UT_hash_handle hh;
};

struct ledger {
    const struct conf_watch *conf;
    struct outbox boxes[CONF_NOTIFY_MAX]; /* of each row of the settings */
    struct known_job *jobs;               /* by number */
    uint64_t round;                       /* of whole answers */
    uint64_t last_job;                    /* as RmLedger */
    bool lists;                           /* what comes is beside the round's own answer */
    struct known_lock *locks;
    struct known_host *hosts;
    uint64_t last_event;
    usec_t broker_since; /* it is away; 0: it is not */
    bool broker_away;    /* told */
    bool is_new, changed, wants_guests;
    usec_t now, wall;
};

struct ledger *ledger_new(const struct conf_watch *conf)
{
    struct ledger *ledger = calloc(1, sizeof(*ledger));
    if (!ledger)
        return NULL;
    ledger->conf = conf;
    ledger->is_new = ledger->wants_guests = true;
    return ledger;
}

static void forget_job(struct ledger *ledger, struct known_job *job)
{
    HASH_DEL(ledger->jobs, job);
    free(job);
}

static void forget_lock(struct ledger *ledger, struct known_lock *lock)
{
    HASH_DEL(ledger->locks, lock);
    free(lock->guest);
    free(lock);
}

void ledger_free(struct ledger *ledger)
{
    struct known_job *job, *next_job;
    struct known_lock *lock, *next_lock;
    struct known_host *host, *next_host;
    if (!ledger)
        return;
    HASH_ITER (hh, ledger->jobs, job, next_job) {
        forget_job(ledger, job);
    }
    HASH_ITER (hh, ledger->locks, lock, next_lock) {
        forget_lock(ledger, lock);
    }
    HASH_ITER (hh, ledger->hosts, host, next_host) {
        HASH_DEL(ledger->hosts, host);
        free(host->name);
        free(host);
    }
    for (size_t i = 0; i < CONF_NOTIFY_MAX; i++)
        outbox_done(&ledger->boxes[i]);
    free(ledger);
}

/* ---- what is known: found, or made; NULL: no memory */

static struct known_job *find_job(struct ledger *ledger, uint64_t id)
{
    struct known_job *job;
    HASH_FIND(hh, ledger->jobs, &id, sizeof(id), job);
    return job;
}

static struct known_job *make_job(struct ledger *ledger, uint64_t id)
{
    struct known_job *job = find_job(ledger, id);
    if (job || !(job = calloc(1, sizeof(*job))))
        return job;
    job->id = id;
    HASH_ADD(hh, ledger->jobs, id, sizeof(job->id), job);
    if (!job->lost)
        return job;
    free(job);
    return NULL;
}

static struct known_host *make_host(struct ledger *ledger, const char *name)
{
    struct known_host *host;
    HASH_FIND_STR(ledger->hosts, name, host);
    if (host || !(host = calloc(1, sizeof(*host))))
        return host;
    host->name = strdup(name);
    if (host->name)
        HASH_ADD_KEYPTR(hh, ledger->hosts, host->name, strlen(host->name), host);
    if (host->name && !host->lost)
        return host;
    free(host->name);
    free(host);
    return NULL;
}

static struct known_lock *find_lock(struct ledger *ledger, const char *guest)
{
    struct known_lock *lock;
    HASH_FIND_STR(ledger->locks, guest, lock);
    return lock;
}

static struct known_lock *make_lock(struct ledger *ledger, const char *guest)
{
    struct known_lock *lock = find_lock(ledger, guest);
    if (lock || !(lock = calloc(1, sizeof(*lock))))
        return lock;
    lock->guest = strdup(guest);
    if (lock->guest)
        HASH_ADD_KEYPTR(hh, ledger->locks, lock->guest, strlen(lock->guest), lock);
    if (lock->guest && !lock->lost)
        return lock;
    free(lock->guest);
    free(lock);
    return NULL;
}

/* ---- the record */

static int by_id(struct known_job *a, struct known_job *b)
{
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Jobs in the order of their numbers: a batch is few ranges. */
static int pack_jobs(struct ledger *ledger, RmLedger *record, struct arena *arena)
{
    size_t n = HASH_COUNT(ledger->jobs);
    RmRange *last = NULL;
    record->ended = arena_alloc(arena, (n + 1) * sizeof(uint64_t));
    record->doubt = arena_alloc(arena, (n + 1) * sizeof(uint64_t));
    if (!record->ended || !record->doubt)
        return -ENOMEM;
    HASH_SORT(ledger->jobs, by_id);
    for (const struct known_job *job = ledger->jobs; job; job = job->hh.next) {
        if (job->ended) {
            record->ended[record->n_ended++] = job->id;
            continue;
        }
        if (job->doubt)
            record->doubt[record->n_doubt++] = job->id;
        if (last && last->first + last->count == job->id) {
            last->count++;
            continue;
        }
        if (!(last = arena_alloc(arena, sizeof(*last))))
            return -ENOMEM;
        rm_range__init(last);
        last->first = job->id;
        last->count = 1;
        if (ARENA_PUSH(arena, record->n_live, record->live, last) < 0)
            return -ENOMEM;
    }
    return 0;
}

static int pack_rest(const struct ledger *ledger, RmLedger *record, struct arena *arena)
{
    int r = 0;
    for (const struct known_lock *l = ledger->locks; l && r >= 0; l = l->hh.next)
        r = ARENA_PUSH(arena, record->n_locked, record->locked, l->guest);
    for (const struct known_host *h = ledger->hosts; h && r >= 0; h = h->hh.next) {
        if (!h->away && !h->never && !h->stuck)
            continue;
        RmLedgerHost *host = arena_alloc(arena, sizeof(*host));
        if (!host)
            return -ENOMEM;
        rm_ledger_host__init(host);
        host->name = h->name;
        host->away = h->away;
        host->never = h->never;
        host->stuck = h->stuck;
        r = ARENA_PUSH(arena, record->n_hosts, record->hosts, host);
    }
    for (size_t i = 0; i < ledger->conf->n_notify && r >= 0; i++) {
        RmNewsBox *box = arena_alloc(arena, sizeof(*box));
        if (!box)
            return -ENOMEM;
        rm_news_box__init(box);
        box->name = ledger->conf->notify[i].name;
        box->n_news = ledger->boxes[i].n;
        box->news = (RmNews **)ledger->boxes[i].news;
        box->more = ledger->boxes[i].more;
        r = ARENA_PUSH(arena, record->n_boxes, record->boxes, box);
    }
    return r;
}

int ledger_pack(const struct ledger *ledger, uint8_t **ret_record, size_t *ret_length)
{
    RmLedger record = RM_LEDGER__INIT;
    struct arena *arena = arena_new(0);
    int r = arena ? pack_jobs((struct ledger *)ledger, &record, arena) : -ENOMEM;
    if (r >= 0)
        r = pack_rest(ledger, &record, arena);
    record.last_job = ledger->last_job;
    record.last_event = ledger->last_event;
    record.broker_away = ledger->broker_away;
    if (r >= 0) {
        *ret_length = rm_ledger__get_packed_size(&record);
        *ret_record = malloc(*ret_length + 1);
        r = *ret_record ? 0 : -ENOMEM;
    }
    if (r >= 0)
        rm_ledger__pack(&record, *ret_record);
    arena_free(arena);
    return r;
}

static int unpack_jobs(struct ledger *ledger, const RmLedger *record)
{
    uint64_t n = 0;
    struct known_job *job;
    for (size_t i = 0; i < record->n_live; i++) {
        const RmRange *range = record->live[i];
        if (range->count > LEDGER_JOBS_MAX || (n += range->count) > LEDGER_JOBS_MAX)
            return -EPROTO;
        for (uint64_t k = 0; k < range->count; k++)
            if (!make_job(ledger, range->first + k))
                return -ENOMEM;
    }
    for (size_t i = 0; i < record->n_doubt; i++)
        if ((job = find_job(ledger, record->doubt[i])))
            job->doubt = true;
    for (size_t i = 0; i < record->n_ended; i++) {
        if (!(job = make_job(ledger, record->ended[i])))
            return -ENOMEM;
        job->ended = true;
    }
    ledger->last_job = record->last_job;
    return 0;
}

/* Of those who are still told. */
static void unpack_box(struct ledger *ledger, const RmNewsBox *stored, usec_t now)
{
    for (size_t i = 0; i < ledger->conf->n_notify; i++) {
        if (strcmp(ledger->conf->notify[i].name, stored->name) != 0)
            continue;
        for (size_t k = 0; k < stored->n_news; k++)
            outbox_add(&ledger->boxes[i], stored->news[k], now);
        if (stored->more > 0 && ledger->boxes[i].n == 0)
            ledger->boxes[i].first_at = now;
        ledger->boxes[i].more += stored->more;
    }
}

static int unpack(struct ledger *ledger, const RmLedger *record, usec_t now)
{
    int r = unpack_jobs(ledger, record);
    for (size_t i = 0; i < record->n_locked && r >= 0; i++)
        r = make_lock(ledger, record->locked[i]) ? 0 : -ENOMEM;
    for (size_t i = 0; i < record->n_hosts && r >= 0; i++) {
        struct known_host *host = make_host(ledger, record->hosts[i]->name);
        if (!host)
            return -ENOMEM;
        host->away = record->hosts[i]->away;
        host->never = record->hosts[i]->never;
        host->stuck = record->hosts[i]->stuck;
    }
    for (size_t i = 0; i < record->n_boxes && r >= 0; i++)
        unpack_box(ledger, record->boxes[i], now);
    ledger->last_event = record->last_event;
    ledger->broker_away = record->broker_away;
    ledger->is_new = false;
    return r;
}

int ledger_unpack(struct ledger *ledger, const uint8_t *data, size_t length, usec_t now)
{
    RmLedger *record = rm_ledger__unpack(NULL, length, data);
    if (!record)
        return -EPROTO;
    int r = unpack(ledger, record, now);
    rm_ledger__free_unpacked(record, NULL);
    return r;
}

bool ledger_is_new(const struct ledger *ledger)
{
    return ledger->is_new;
}

void ledger_begun(struct ledger *ledger)
{
    ledger->changed = ledger->changed || ledger->is_new;
    ledger->is_new = false;
}

bool ledger_has_changed(struct ledger *ledger)
{
    bool changed = ledger->changed;
    ledger->changed = false;
    return changed;
}

void ledger_touch(struct ledger *ledger)
{
    ledger->changed = true;
}

struct outbox *ledger_box(struct ledger *ledger, size_t i)
{
    return &ledger->boxes[i];
}

void ledger_at(struct ledger *ledger, usec_t now, usec_t wall)
{
    ledger->now = now;
    ledger->wall = wall;
}

/* ---- telling */

static bool wants(const struct conf_notify *conf, RmNewsKind kind)
{
    for (size_t i = 0; i < conf->n_on; i++)
        if (strcmp(conf->on[i], news_kind_name(kind)) == 0)
            return true;
    return conf->n_on == 0;
}

static RmNews news_of(const struct ledger *ledger, RmNewsKind kind, bool over, bool good)
{
    RmNews news = RM_NEWS__INIT;
    news.kind = kind;
    news.over = over;
    news.good = good;
    news.at = ledger->wall;
    return news;
}

static void tell(struct ledger *ledger, const RmNews *news, const char *why)
{
    char text[NEWS_WHY_MAX];
    RmNews told = *news;
    told.why = text_format(text, sizeof(text), "%s", why);
    text_clean(told.why);
    for (size_t i = 0; i < ledger->conf->n_notify; i++)
        if (wants(&ledger->conf->notify[i], told.kind))
            outbox_add(&ledger->boxes[i], &told, ledger->now);
    ledger->changed = true;
}

/* ---- jobs */

static void tell_job(struct ledger *ledger, const RmJobView *view, RmNewsKind kind, bool over,
                     bool good, const char *why)
{
    RmNews news = news_of(ledger, kind, over, good);
    news.guest = view->job->guest;
    news.host = view->source;
    news.job = view->job->id;
    news.batch = view->job->batch;
    if (job_is_final(view->state) && view->finished_at != 0)
        news.at = view->finished_at;
    tell(ledger, &news, why);
}

static void look_for_doubt(struct ledger *ledger, struct known_job *job, const RmJobView *view)
{
    bool doubt = view->state == RM_STATE__DOUBT;
    char why[NEWS_WHY_MAX];
    if (doubt == job->doubt)
        return;
    job->doubt = doubt;
    if (doubt) {
        tell_job(ledger, view, RM_NEWS_KIND__NEWS_DOUBT, false, false, view->text);
        return;
    }
    text_format(why, sizeof(why), "%s%s%s", job_state_name(view->state), view->text[0] ? ": " : "",
                view->text);
    tell_job(ledger, view, RM_NEWS_KIND__NEWS_DOUBT, true, view->state != RM_STATE__FAILED, why);
}

void ledger_round(struct ledger *ledger, bool whole)
{
    ledger->round += whole;
    ledger->lists = false;
}

int ledger_job(struct ledger *ledger, const RmJobView *view)
{
    uint64_t id = view->job->id;
    struct known_job *job = find_job(ledger, id);
    bool is_final = job_is_final(view->state);
    if ((job && job->ended) || (!job && is_final && id <= ledger->last_job))
        return 0; /* it was told, or was before all of this */
    if (!job && !(job = make_job(ledger, id)))
        return -ENOMEM;
    job->round = ledger->round;
    look_for_doubt(ledger, job, view);
    if (!is_final)
        return 0;
    job->ended = true;
    job->listed = ledger->lists;
    ledger->wants_guests = ledger->wants_guests || view->locked;
    if (view->state == RM_STATE__FAILED)
        tell_job(ledger, view, RM_NEWS_KIND__NEWS_FAILED, false, false, view->text);
    return 0;
}

void ledger_beside(struct ledger *ledger)
{
    ledger->lists = true;
}

size_t ledger_missed(struct ledger *ledger, uint64_t *ret_ids, size_t most)
{
    size_t n = 0;
    for (struct known_job *job = ledger->jobs; job && n < most; job = job->hh.next)
        if (!job->ended && job->round != ledger->round) {
            job->round = ledger->round;
            ret_ids[n++] = job->id;
        }
    return n;
}

uint64_t ledger_last_job(const struct ledger *ledger)
{
    return ledger->last_job;
}

void ledger_start_jobs(struct ledger *ledger, uint64_t highest)
{
    struct known_job *job, *next;
    if (ledger->is_new || highest < ledger->last_job)
        ledger->last_job = highest;
    HASH_ITER (hh, ledger->jobs, job, next) {
        if (job->id > highest)
            forget_job(ledger, job);
    }
}

/* One that was found beside the answer may be younger than the answer, and than others of which the next answer tells:
 * it counts, and is forgotten, with that. */
void ledger_rounded(struct ledger *ledger)
{
    struct known_job *job, *next;
    HASH_ITER (hh, ledger->jobs, job, next) {
        bool waits = job->listed;
        job->listed = false;
        if (waits)
            continue;
        if (job->id > ledger->last_job)
            ledger->last_job = job->id;
        if (job->ended)
            forget_job(ledger, job);
    }
}

void ledger_forget(struct ledger *ledger, uint64_t id)
{
    struct known_job *job = find_job(ledger, id);
    if (job && !job->ended)
        forget_job(ledger, job);
}

/* ---- guests */

bool ledger_wants_guests(const struct ledger *ledger)
{
    return ledger->wants_guests;
}

void ledger_locks(struct ledger *ledger)
{
    ledger->wants_guests = false;
    for (struct known_lock *lock = ledger->locks; lock; lock = lock->hh.next)
        lock->seen = false;
}

int ledger_guest(struct ledger *ledger, const RmGuest *guest)
{
    RmNews news = news_of(ledger, RM_NEWS_KIND__NEWS_LOCKED, false, false);
    struct known_lock *lock = guest->locked ? find_lock(ledger, guest->name) : NULL;
    if (!guest->locked || lock) {
        if (lock)
            lock->seen = true;
        return 0;
    }
    if (!(lock = make_lock(ledger, guest->name)))
        return -ENOMEM;
    lock->seen = true;
    news.guest = guest->name;
    news.host = guest->host;
    news.job = guest->last_job;
    tell(ledger, &news, guest->lock_text);
    return 0;
}

void ledger_locked(struct ledger *ledger)
{
    struct known_lock *lock, *next;
    HASH_ITER (hh, ledger->locks, lock, next) {
        if (lock->seen)
            continue;
        RmNews news = news_of(ledger, RM_NEWS_KIND__NEWS_LOCKED, true, true);
        news.guest = lock->guest;
        tell(ledger, &news, "");
        forget_lock(ledger, lock);
    }
}

/* ---- events and hosts */

uint64_t ledger_last_event(const struct ledger *ledger)
{
    return ledger->last_event;
}

void ledger_start_events(struct ledger *ledger, uint64_t last)
{
    ledger->last_event = last;
}

void ledger_event(struct ledger *ledger, const RmEvent *event)
{
    if (event->sequence <= ledger->last_event)
        return;
    ledger->last_event = event->sequence;
    if (event->kind == RM_EVENT_KIND__ON_BOTH || event->kind == RM_EVENT_KIND__RELEASED)
        ledger->wants_guests = true;
    if (event->evacuation == 0)
        return;
    RmNews news = news_of(ledger, RM_NEWS_KIND__NEWS_EVACUATION, true, event->empty);
    news.at = event->at;
    news.host = event->host;
    news.batch = event->evacuation;
    tell(ledger, &news, event->text);
}

static void look_for_worker(struct ledger *ledger, struct known_host *host, const RmHostView *view)
{
    RmNews news = news_of(ledger, RM_NEWS_KIND__NEWS_WORKER, view->connected, view->connected);
    news.host = host->name;
    if (view->connected) {
        if (host->away)
            tell(ledger, &news, "");
        ledger->changed = ledger->changed || host->never;
        host->away = host->never = false;
        host->away_since = 0;
        return;
    }
    if (host->away_since == 0)
        host->away_since = ledger->now;
    if (ledger->is_new)
        host->never = true;
    if (host->never || host->away || ledger->now < host->away_since + ledger->conf->away)
        return;
    host->away = true;
    tell(ledger, &news, view->text);
}

static void look_for_standstill(struct ledger *ledger, struct known_host *host,
                                const RmHostView *view)
{
    uint64_t ended = view->host->done + view->host->failed;
    /* The first look of a run has nothing to compare with: what was told before it stays told. */
    bool still = view->evacuating && view->running == 0 && (!host->met || ended == host->ended);
    host->met = true;
    host->ended = ended;
    if (!still) {
        ledger->changed = ledger->changed || host->stuck;
        host->stuck = false;
        host->still_since = 0;
        return;
    }
    if (host->still_since == 0)
        host->still_since = ledger->now;
    if (host->stuck || ledger->now < host->still_since + ledger->conf->stuck)
        return;
    host->stuck = true;
    RmNews news = news_of(ledger, RM_NEWS_KIND__NEWS_EVACUATION, false, false);
    news.host = host->name;
    news.batch = view->host->evacuation;
    tell(ledger, &news, view->held[0] ? view->held : view->text[0] ? view->text : view->why);
}

int ledger_host(struct ledger *ledger, const RmHostView *view)
{
    struct known_host *host = make_host(ledger, view->host->name);
    if (!host)
        return -ENOMEM;
    look_for_worker(ledger, host, view);
    look_for_standstill(ledger, host, view);
    return 0;
}

/* ---- the broker */

static void tell_broker(struct ledger *ledger, bool back, const char *broker, const char *why)
{
    RmNews news = news_of(ledger, RM_NEWS_KIND__NEWS_BROKER, back, back);
    news.host = (char *)broker;
    ledger->broker_away = !back;
    tell(ledger, &news, why);
}

void ledger_away(struct ledger *ledger, const char *broker, const char *why)
{
    if (ledger->broker_since == 0)
        ledger->broker_since = ledger->now;
    if (!ledger->broker_away && ledger->now >= ledger->broker_since + ledger->conf->away)
        tell_broker(ledger, false, broker, why);
}

void ledger_back(struct ledger *ledger, const char *broker)
{
    if (ledger->broker_away)
        tell_broker(ledger, true, broker, "");
    if (ledger->broker_since != 0) /* its workers come back to it */
        for (struct known_host *host = ledger->hosts; host; host = host->hh.next)
            host->away_since = host->still_since = 0;
    ledger->broker_since = 0;
}
