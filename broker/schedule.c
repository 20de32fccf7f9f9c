/* schedule.c - which job starts next, and when */
#include "broker/schedule.h"

#include "broker/assignment.h"
#include "broker/hold.h"
#include "broker/instance.h"
#include "broker/job.h"
#include "broker/place.h"
#include "broker/platforms.h"
#include "broker/session.h"
#include "broker/tidy.h"

#include <stdio.h>

enum {
    SAY_MOST = 64,     /* jobs of one host that say why while the host itself keeps all waiting */
    FOUND_MOST = 16,   /* guests without a place that others are compared with, of one look */
    TAKE_SECONDS = 60, /* an assignment of which nothing is heard for so long is in doubt */
    CHECK_SECONDS = 5, /* between two looks at hosts that stay away */
};

/* What keeps every job of this source from starting; false: nothing does. */
static bool source_waits(const struct core *core, const struct host *host, char *why, size_t size)
{
    const struct conf_broker *conf = core->conf;
    const struct host_link *link = &host->link;
    const char *name = host->rec->name;

    if (hold_keeps(core, host, why, size))
        return true;
    if (!link->session)
        snprintf(why, size, "%s has no worker", name);
    else if (!link->session->turns)
        snprintf(why, size,
                 "the worker of %s (%s) is of a version that cannot work for this broker: update "
                 "it",
                 name, link->session->version);
    else if (!link->reachable)
        snprintf(why, size, "%s does not answer its worker%s%s", name, link->text ? ": " : "",
                 link->text ? link->text : "");
    else if (conf->limit_cluster > 0 && core->jobs.n_active >= conf->limit_cluster)
        snprintf(why, size, "%u of %u migrations of the whole site are running",
                 core->jobs.n_active, conf->limit_cluster);
    else if (conf->limit_source > 0 && host->load.n_out >= conf->limit_source)
        snprintf(why, size, "%u of %u migrations from %s are running", host->load.n_out,
                 conf->limit_source, name);
    else if (link->credit == 0)
        snprintf(why, size, "all %u slots of the worker of %s are taken", link->slots, name);
    else
        return false;
    return true;
}

/* What keeps every job to this destination from starting. */
static bool destination_waits(const struct core *core, const struct host *to, char *why,
                              size_t size)
{
    unsigned limit = core->conf->limit_destination;

    if (!place_usable(core, to, why, size))
        return true;
    if (!host_link_is_up(&to->link))
        snprintf(why, size, "%s has no worker yet", to->rec->name);
    else if (limit > 0 && to->load.n_in >= limit)
        snprintf(why, size, "%u of %u migrations to %s are running", to->load.n_in, limit,
                 to->rec->name);
    else
        return false;
    return true;
}

/* Jobs of one source for which no destination was found in one look at its queue. */
struct looked {
    const struct job *without[FOUND_MOST];
    struct place_answer answers[FOUND_MOST];
    unsigned n;
};

/* As place_again(); what can be known from a job that was looked at before is not looked for again,
 * so that thousands of guests that wait for room cost little. */
static struct host *find_place(struct core *core, struct job *job, struct looked *looked,
                               const struct place_answer **ret)
{
    bool exact = job->ask->evacuation && !job->destination;
    struct place_answer *answer;

    for (unsigned i = 0; i < looked->n && i < FOUND_MOST && !rules_of(core, job->guest); i++)
        if (looked->without[i] && place_as_before(looked->without[i], job) &&
            (!exact || place_as_before(job, looked->without[i]))) {
            *ret = &looked->answers[i];
            return NULL;
        }
    answer = &looked->answers[looked->n % FOUND_MOST];
    *ret = answer;
    if (place_again(core, job, answer))
        return answer->chosen;
    looked->without[looked->n++ % FOUND_MOST] = answer->own ? NULL : job;
    return NULL;
}

static void forget(struct looked *looked, const struct job *job)
{
    for (unsigned i = 0; i < looked->n && i < FOUND_MOST; i++)
        if (looked->without[i] == job)
            looked->without[i] = NULL;
}

/* Somebody is to leave the room that it needs where it goes, and has not yet. */
static const struct job *room_leaver(struct core *core, const struct job *job)
{
    for (size_t i = 0; i < job->ask->n_after; i++) {
        const struct job *other = job_find(core, job->ask->after[i]);
        if (other && other->source == job->destination)
            return other;
    }
    return NULL;
}

/* What was promised to it there is not to be had now, and others have been promised the rest. */
static bool has_lost_room(struct core *core, const struct job *job, char *why, size_t size)
{
    const struct host *to = job->destination;

    return !place_fits(core, job->guest, to, CAPACITY_LATER, why, size) &&
           !place_fits(core, job->guest, to, CAPACITY_NOW, why, size);
}

enum verdict {
    STARTS,
    WAITS,
    HAS_NO_PLACE, /* and none will become free */
};

/* What becomes of this job if its source lets one start. May choose another destination. */
static enum verdict look(struct core *core, struct job *job, struct looked *looked, char *why,
                         size_t size)
{
    struct host *to = job->destination;

    if (to && place_usable(core, to, why, size)) {
        const struct job *other = room_leaver(core, job);
        if (other) {
            snprintf(why, size, "waits for room on %s, which %s leaves", to->rec->name,
                     other->ask->guest);
            return WAITS;
        }
    }
    /* A job that may choose does not insist on a place that cannot have it any more. */
    if (!to || (place_may_choose(job) &&
                (!place_usable(core, to, why, size) || has_lost_room(core, job, why, size) ||
                 host_is_suspect(core, to) || place_breaks_rule(core, job, why, size)))) {
        const struct place_answer *answer;
        struct host *other = find_place(core, job, looked, &answer);
        if (!other && to && (job->ask->n_after > 0 || place_breaks_rule(core, job, why, size))) {
            job_set_destination(core, job, NULL); /* whoever was to leave it has not */
            to = NULL;
        }
        if (!to && !other) {
            snprintf(why, size, "%s", answer->why);
            return job->ask->evacuation && !answer->may_wait ? HAS_NO_PLACE : WAITS;
        }
        if (other) {
            place_take_along(core, job, other);
            job_set_destination(core, job, other);
        }
        to = job->destination;
    }
    return destination_waits(core, to, why, size) || tidy_holds(core, job->guest, to, why, size) ||
                   !place_fits(core, job->guest, to, CAPACITY_NOW, why, size) ||
                   place_breaks_rule(core, job, why, size)
               ? WAITS
               : STARTS;
}

struct start {
    struct session *session;
    size_t position; /* in the order in which they start */
    RmAssignment *assignment;
};
struct starts {
    struct start **list; /* in core->arena */
    size_t n;
};

static void start(struct core *core, struct job *job, struct starts *starts)
{
    struct host *host = job->source;
    const struct instance *seen = instance_at(job->guest, host);
    /* Until its worker reports better: settling must not resume a guest that somebody paused. */
    bool paused = seen && seen->state == RM_GUEST_STATE__GUEST_PAUSED && !seen->migrating;
    struct start *one = core_alloc(core, sizeof(*one));

    job_assign(core, job, host->link.session, paused,
               core->now + (usec_t)TAKE_SECONDS * USEC_PER_SEC);
    one->session = host->link.session;
    one->position = starts->n;
    one->assignment = assignment_of(core, job);
    one->assignment->number = host_link_take(&host->link);
    CORE_PUSH(core, starts->n, starts->list, one);
}

/* An evacuation ends: a guest that no room will be free for is left. */
static void no_place(struct core *core, struct job *job, const char *why)
{
    char text[900];

    snprintf(text, sizeof(text), "Unable to identify a suitable target host for guest %s: %s%s%s",
             job->ask->guest, why, *job->live.text != '\0' ? "; the last try: " : "",
             job->live.text);
    job_finish(core, job, RM_EVENT_KIND__FAILED_FOR_GOOD, "broker",
               &(struct job_end){.text = text});
}

/* Starts one job of this host if one may start; says why those before it wait. */
static bool start_one(struct core *core, struct host *host, struct starts *starts)
{
    struct looked looked; /* without initializer: it is large, and this runs once for each start */
    unsigned said = 0;
    char why[1100];

    looked.n = 0;
    why[0] = '\0';

    if (source_waits(core, host, why, sizeof(why))) {
        for (struct queue_item *item = host->queue.first; item && said < SAY_MOST; said++) {
            job_why(core, item->job, why);
            item = item->next;
        }
        return false;
    }
    for (struct queue_item *item = host->queue.first; item;) {
        struct job *job = item->job;
        enum verdict verdict = look(core, job, &looked, why, sizeof(why));
        item = item->next;
        if (verdict == STARTS) {
            start(core, job, starts);
            return true;
        }
        if (verdict == HAS_NO_PLACE) {
            forget(&looked, job);
            no_place(core, job, why);
        } else
            job_why(core, job, why);
    }
    return false;
}

static int by_session(const void *a, const void *b)
{
    const struct start *x = *(struct start *const *)a, *y = *(struct start *const *)b;

    if (x->session != y->session)
        return x->session->id < y->session->id ? -1 : 1;
    return x->position < y->position ? -1 : 1;
}

/* One message for each worker with all that it shall begin. */
static void send_starts(struct core *core, const struct starts *starts)
{
    RmAssignment **jobs = NULL;
    size_t n = 0;

    if (starts->n == 0)
        return;
    qsort(starts->list, starts->n, sizeof(starts->list[0]), by_session);
    for (size_t i = 0; i < starts->n; i++) {
        struct session *session = starts->list[i]->session;
        CORE_PUSH(core, n, jobs, starts->list[i]->assignment);
        if (i + 1 < starts->n && starts->list[i + 1]->session == session)
            continue;
        session_assign(core, session, jobs, n);
        jobs = NULL;
        n = 0;
    }
}

static bool away_too_long(const struct core *core, const struct host *host)
{
    return core->conf->unreachable > 0 && !host_link_is_up(&host->link) &&
           host->link.lost_at + core->conf->unreachable <= core->now;
}

static void give_up_source(struct core *core, struct job *job)
{
    const struct host *host = job->source;
    char text[600];

    snprintf(text, sizeof(text), "Cannot communicate via %s to %s: %s",
             platform_of(host->rec->kind)->protocol, host->rec->name,
             host_link_trouble(&host->link));
    job_finish(core, job, RM_EVENT_KIND__FAILED_FOR_GOOD, "broker",
               &(struct job_end){.text = text});
}

static void give_up_destination(struct core *core, struct job *job, const char *why)
{
    char text[900];

    snprintf(text, sizeof(text),
             "Unable to reach %s to perform operation of %s, destination unusable: %s",
             job->destination ? job->destination->rec->name : "a hypervisor", job->ask->guest, why);
    job_finish(core, job, RM_EVENT_KIND__FAILED_FOR_GOOD, "broker",
               &(struct job_end){.text = text});
}

/* Has no destination of this job been usable for so long that it is not waited for? */
static bool waits_in_vain(struct core *core, struct job *job, char *why, size_t size)
{
    bool has_way = place_has_way(core, job, why, size);

    job_set_way(core, job, has_way);
    return !has_way && core->conf->unreachable > 0 &&
           job->no_way_since + core->conf->unreachable <= core->now;
}

static void check_hosts(struct core *core)
{
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        char why[600];
        if (hold_keeps(core, host, why,
                       sizeof(why))) { /* whoever holds them may work on the site */
            for (struct queue_item *item = host->queue.first; item; item = item->next)
                job_set_way(core, item->job, true);
            continue;
        }
        while (host->queue.first && away_too_long(core, host))
            give_up_source(core, host->queue.first->job);
        for (struct queue_item *item = host->queue.first; item;) {
            struct job *job = item->job;
            item = item->next;
            if (waits_in_vain(core, job, why, sizeof(why)))
                give_up_destination(core, job, why);
        }
    }
}

static bool may_start(const struct core *core)
{
    return journal_newest(core->journal, CHANGES_THAT_MAY_START) > core->schedule.read;
}

static void start_all(struct core *core)
{
    struct starts starts = {0};
    bool again = true;

    while (again) {
        struct host *first = core->schedule.turn ? core->schedule.turn : core->hosts;
        struct host *host = first;
        again = false;
        while (host) {
            struct host *next = host->hh.next ? host->hh.next : core->hosts;
            if (host->queue.first && start_one(core, host, &starts)) {
                again = true;
                core->schedule.turn = next; /* whoever comes after it is first the next time */
            }
            host = next != first ? next : NULL;
        }
    }
    send_starts(core, &starts);
}

void schedule_tick(struct core *core)
{
    while (core->jobs.waiting && core->jobs.waiting->ready_at <= core->now)
        job_queue(core, core->jobs.waiting, RM_EVENT_KIND__READY, "broker");
    if (core->schedule.check_at <= core->now) {
        check_hosts(core);
        core->schedule.check_at = core->now + (usec_t)CHECK_SECONDS * USEC_PER_SEC;
    }
    if (!may_start(core))
        return;
    start_all(core);
    core->schedule.read = journal_end(core->journal); /* what was started here is no reason */
}

void schedule_again(struct core *core)
{
    core->schedule.read = 0;
    core->schedule.check_at = core->now;
}

usec_t schedule_deadline(const struct core *core)
{
    usec_t first = core->schedule.check_at;

    if (core->jobs.waiting && core->jobs.waiting->ready_at < first)
        first = core->jobs.waiting->ready_at;
    return may_start(core) ? core->now : first;
}

const char *schedule_job_why(struct core *core, const struct job *job)
{
    char why[600];

    if (job->live.state != RM_STATE__QUEUED)
        return job->why;
    if (source_waits(core, job->source, why, sizeof(why)))
        return core_strdup(core, why);
    if (job->why)
        return job->why;
    return job->destination && destination_waits(core, job->destination, why, sizeof(why))
               ? core_strdup(core, why)
               : "";
}

const char *schedule_why(struct core *core, struct host *host)
{
    char why[600];

    if (!host->queue.first) {
        const struct job *job;
        DL_FOREACH2 (host->jobs.leaving, job, s_next)
            if (job->live.state == RM_STATE__WAITING || job->live.state == RM_STATE__DOUBT)
                return core_printf(core, "%s %s: %s", job_state_name(job->live.state),
                                   job->ask->guest, job->why ? job->why : job->live.text);
        return "";
    }
    if (source_waits(core, host, why, sizeof(why)))
        return core_strdup(core, why);
    const struct job *next = host->queue.first->job;
    return core_printf(core, "%s: %s", next->ask->guest, next->why ? next->why : "starts next");
}
