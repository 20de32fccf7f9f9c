/* evacuation.c - hypervisors are emptied: the request, and its end */
#include "broker/evacuation.h"

#include "broker/instance.h"
#include "broker/inventory.h"
#include "broker/job.h"
#include "broker/joint.h"
#include "broker/place.h"
#include "broker/platforms.h"
#include "broker/submit.h"
#include "broker/tidy.h"
#include "conf/text.h"
#include "store/record.h"

#include <stdio.h>
#include <string.h>

enum {
    ROUNDS_MAX = 20,        /* how often guests that were found later are moved on */
    BATCHES_MAX = 16,       /* that wait for the end of one host's evacuation */
    LOOK_AGAIN_SECONDS = 2, /* a look of which nothing came is asked for again */
    LOOK_MOST_SECONDS = 60, /* and after so long it is said that nobody knows */
    WAIT_SECONDS = 60,      /* for guests in shutdown, and for those that are shown twice */
    LEFT_MAX = 10,          /* guests that an account names */
    LEFT_TEXT_MAX = 200,    /* bytes of why one of them is left */
    LEFT_ALL_MAX = 1700,    /* bytes of all that an account says of them */
};

/* Why a host is closed of which nobody said it. */
static const char why_begun[] = "being evacuated", why_empty[] = "evacuated",
                  why_left[] = "guests are left from its evacuation",
                  why_mute[] = "to be evacuated, but its hypervisor does not answer";

/* ---- what is there */

static size_t count_guests(struct host *const *hosts, size_t n)
{
    size_t guests = 0;
    const struct instance *s;

    for (size_t i = 0; i < n; i++)
        DL_FOREACH2 (hosts[i]->instances, s, h_next)
            guests++;
    return guests;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Why it is neither moved nor left yet, NULL: it may be. A guest in shutdown ends, or goes on after a reboot; of one
 * that somebody has just moved by hand the other host still shows what was. */
static const char *why_wait(const struct core *core, const struct host *host,
                            const struct instance *s)
{
    if (host->emptying.wait_by != 0 && core->now >= host->emptying.wait_by)
        return NULL;
    if (s->state == RM_GUEST_STATE__GUEST_IN_SHUTDOWN)
        return "is in shutdown: its end is waited for";
    return guest_is_active(s->state) && inventory_is_unclear(s->guest, host)
               ? "is shown on another hypervisor as well: both are looked at again"
               : NULL;
}

static bool has_to_wait(const struct core *core, const struct host *host)
{
    const struct instance *s;

    DL_FOREACH2 (host->instances, s, h_next)
        if (why_wait(core, host, s))
            return true;
    return false;
}

/* Domains on the host that no job can take away, in a line each; the names of the others, in the
 * arena. */
static char **names_to_move(struct core *core, struct request *request, struct host *host,
                            size_t *ret_n)
{
    const struct platform *platform = platform_of(host->rec->kind);
    char **names = core_alloc(core, (count_guests(&host, 1) + 1) * sizeof(char *));
    const struct instance *s;
    unsigned off = 0;
    size_t n = 0;

    DL_FOREACH2 (host->instances, s, h_next) {
        char *name = s->guest->rec->name;
        if (tidy_is_leftover(s->guest, s))
            request_outcome(core, request, name, true,
                            "a paused copy that a failed try left on %s is being removed",
                            host->rec->name);
        else if (why_wait(core, host, s))
            request_outcome(core, request, name, true, "%s", why_wait(core, host, s));
        else if (s->state == RM_GUEST_STATE__GUEST_IN_SHUTDOWN)
            request_outcome(core, request, name, false,
                            "is in shutdown on %s, and has not ended for %d s", host->rec->name,
                            WAIT_SECONDS);
        else if (guest_is_active(s->state) && !noderange_has(&request->exclude, name))
            names[n++] = name;
        else if (guest_is_active(s->state))
            request_outcome(core, request, name, false,
                            "stays on %s: it is excluded (exclude_nodes)", host->rec->name);
        else if (s->state == RM_GUEST_STATE__GUEST_CRASHED)
            request_outcome(
                core, request, name, false,
                "has crashed on %s, where its memory is kept for whoever looks into it: virsh "
                "destroy ends it",
                host->rec->name);
        else if (s->state == RM_GUEST_STATE__GUEST_SHUTOFF)
            off++;
    }
    if (host->shown.others > 0 && platform->others_text)
        request_host_outcome(core, request, host->rec->name, true, "%s",
                             platform->others_text(core, host->shown.others));
    if (off > 0)
        request_host_outcome(core, request, host->rec->name, true,
                             "%u guest%s shut off and stay%s defined there", off,
                             off == 1 ? " is" : "s are", off == 1 ? "s" : "");
    qsort(names, n, sizeof(char *), by_name);
    *ret_n = n;
    return names;
}

/* A guest that an evacuation has tried in vain, or somebody stopped that: why. NULL: it may be tried. since:
 * jobs above this number belong to it. */
static const char *tried(struct core *core, const struct guest *guest, const struct host *host,
                         uint64_t since)
{
    uint64_t id = guest->rec->last_job;
    RmResult *result;
    RmJob *job;

    if (since == 0 || id <= since || record_result_get(core->store, id, core->arena, &result) < 0 ||
        record_job_get(core->store, id, core->arena, &job) < 0)
        return NULL;
    bool in_vain = job->evacuation && result->state != RM_STATE__DONE &&
                   strcmp(job->source, host->rec->name) == 0;
    return in_vain ? result->text : NULL;
}

/* Its guests become asks for a place, or the reply says why not. since: see tried(); 0: try all. */
static void empty_host(struct core *core, struct request *request, struct submission *sub,
                       struct host *host, uint64_t since)
{
    size_t n;

    if (!host_link_is_up(&host->link)) {
        request_host_outcome(core, request, host->rec->name, false,
                             "Cannot communicate via %s to %s: %s",
                             platform_of(host->rec->kind)->protocol, host->rec->name,
                             host_link_trouble(&host->link));
        return;
    }
    char **names = names_to_move(core, request, host, &n);
    for (size_t i = 0; i < n; i++) {
        const struct guest *guest = guest_find(core, names[i]);
        const struct job *job = guest->job;
        const char *why = tried(core, guest, host, since);
        struct place_ask *ask = &sub->asks[sub->n_asks];
        /* A job that takes it away anyway is as good as ours. */
        if (job && job->source == host)
            request_outcome(core, request, names[i], true, "job %llu takes it to %s",
                            (unsigned long long)job->id,
                            job->destination ? job->destination->rec->name : "another host")
                ->job = job->id;
        else if (why)
            request_outcome(core, request, names[i], false, "%s", why);
        else if (submission_may_move(core, request, sub, names[i], ask) &&
                 (sub->n_to > 0 || submission_destinations(core, request, ask)))
            sub->n_asks++;
    }
}

/* ---- where they go */

static int by_address(const void *a, const void *b)
{
    const struct guest *x = *(struct guest *const *)a, *y = *(struct guest *const *)b;

    return x < y ? -1 : x > y;
}

/* The guests of all asks, in the arena, sorted. */
static struct guest **asked_guests(struct core *core, const struct submission *sub)
{
    struct guest **guests = core_alloc(core, (sub->n_asks + 1) * sizeof(*guests));

    for (size_t i = 0; i < sub->n_asks; i++)
        guests[i] = sub->asks[i].guest;
    qsort(guests, sub->n_asks, sizeof(*guests), by_address);
    return guests;
}

/* Guests of hosts that stay, each of which may make room. */
static void add_others(struct core *core, const struct request *request, struct submission *sub,
                       uint64_t since)
{
    size_t n = sub->n_asks, n_asked = n;
    struct guest **asked = asked_guests(core, sub);
    char why[600];

    for (struct host *host = core->hosts; host; host = host->hh.next)
        n += count_guests(&host, 1);
    sub->asks = must(reallocarray(sub->asks, n + 1, sizeof(*sub->asks)));
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        const struct instance *s;
        if (!place_usable(core, host, why, sizeof(why)) || !host_link_is_up(&host->link) ||
            place_listed(sub->never, sub->n_never, host))
            continue;
        DL_FOREACH2 (host->instances, s, h_next)
            if (!noderange_has(&request->exclude, s->guest->rec->name) &&
                !bsearch(&s->guest, asked, n_asked, sizeof(*asked), by_address) &&
                !tried(core, s->guest, host, since) &&
                submission_may_make_room(core, sub, s->guest, host, &sub->asks[sub->n_asks]))
                sub->n_asks++;
    }
}

void evacuation_find_places(struct core *core, const struct request *request,
                            struct submission *sub, uint64_t since)
{
    size_t leave = sub->n_asks, n_room = 0;

    if (place_joint(core, sub->asks, sub->n_asks, NULL) == 0 || sub->no_room)
        return;
    add_others(core, request, sub, since);
    if (sub->n_asks > leave)
        place_joint(core, sub->asks, sub->n_asks, &n_room);
    sub->n_asks = n_room + leave;
}

/* Those that leave: after the ones that make room for them. */
static const struct place_ask *who_leaves(const struct submission *sub, const struct place_ask *ask)
{
    const struct guest *guest = ask->room_for;

    for (size_t i = 0; i < sub->n_asks && guest; i++)
        if (sub->asks[i].guest == guest) {
            if (!sub->asks[i].may_stay)
                return &sub->asks[i];
            guest = sub->asks[i].room_for;
        }
    return NULL;
}

/* The accounts of the hosts that are emptied will name them. */
static void note_room(struct submission *sub)
{
    for (size_t i = 0; i < sub->n_asks && sub->asks[i].may_stay; i++) {
        const struct place_ask *ask = who_leaves(sub, &sub->asks[i]);
        if (ask && ask->source->rec->emptying && sub->asks[i].guest->job)
            host_empty_by(ask->source, sub->asks[i].guest->job->id);
    }
}

/* ---- the request */

struct hosts {
    struct noderange never, to;
};

/* Owned by the submission and by hosts, both for submission_end(). False: the request is refused. */
static bool begin(struct core *core, struct request *request, struct submission *sub,
                  struct hosts *hosts)
{
    const RmEvacuate *evacuate = request->message->evacuate;

    *sub = (struct submission){
        .options = evacuate->options,
        .reason = evacuate->reason,
        .priority = evacuate->priority,
        .look_only = evacuate->plan_only,
        .evacuation = true,
        .asked = evacuate,
        .no_room = evacuate->no_room,
    };
    *hosts = (struct hosts){0};
    if (!request_exclude(core, request) ||
        !request_hosts(core, request, evacuate->hosts, &hosts->never))
        return false;
    sub->never = submission_hosts(core, &hosts->never);
    sub->n_never = hosts->never.n;
    sub->asks = must(calloc(count_guests(sub->never, sub->n_never) + 1, sizeof(*sub->asks)));
    if (*evacuate->to == '\0')
        return true;
    if (!request_hosts(core, request, evacuate->to, &hosts->to))
        return false;
    sub->to = submission_hosts(core, &hosts->to);
    sub->n_to = hosts->to.n;
    sub->to_names = hosts->to.names;
    return true;
}

static void done(struct submission *sub, struct hosts *hosts)
{
    free(sub->asks);
    free(sub->to);
    free(sub->never);
    noderange_done(&hosts->to);
    noderange_done(&hosts->never);
}

/* Jobs that bring guests to a host that is being emptied look for another place; those that run
 * already arrive, and their guests are moved on then. */
static void turn_away(struct core *core, struct request *request, struct host *host)
{
    struct job *job, *next;

    DL_FOREACH_SAFE2 (host->jobs.coming, job, next, d_next) {
        if (job_is_active(job->live.state)) {
            request_outcome(core, request, job->ask->guest, true,
                            "job %llu brings it to %s (%s); it is moved on then",
                            (unsigned long long)job->id, host->rec->name,
                            job_state_name(job->live.state));
        } else if (batch_hosts(job->batch, job->ask).n != 1) {
            job_set_destination(core, job, NULL);
            job_note(core, job, request->peer->user, "its destination is being emptied");
        } else {
            request_outcome(core, request, job->ask->guest, false,
                            "job %llu is to bring it to %s (%s), which is being emptied: cancel it",
                            (unsigned long long)job->id, host->rec->name,
                            job_state_name(job->live.state));
        }
    }
}

/* Is there no host at all that any of them may go to, and nothing else to be done? */
static bool leads_nowhere(const struct submission *sub)
{
    for (size_t i = 0; i < sub->n_asks; i++)
        if (sub->asks[i].usable)
            return false;
    for (size_t i = 0; i < sub->n_never; i++)
        if (sub->never[i]->jobs.leaving || sub->never[i]->rec->emptying)
            return false;
    return sub->n_asks > 0;
}

/* Refused before anything is closed. */
static bool is_refused(struct core *core, struct request *request, const struct submission *sub)
{
    for (size_t i = 0; i < sub->n_never; i++) {
        const struct host *host = sub->never[i];
        const RmEmptying *emptying = host->rec->emptying;
        if (emptying && emptying->n_batches >= BATCHES_MAX) {
            request_refuse(
                core, request, RM_CODE__CODE_TRY_AGAIN,
                "%zu commands wait for the end of the evacuation of %s already: rmigrate "
                "wait %llu",
                emptying->n_batches, host->rec->name, (unsigned long long)emptying->batches[0]);
            return true;
        }
    }
    if (!leads_nowhere(sub))
        return false;
    for (size_t i = 0; i < sub->n_never; i++)
        request_host_outcome(core, request, sub->never[i]->rec->name, false,
                             "is not closed, and nothing is moved: no guest has anywhere to go");
    return true;
}

/* Did an evacuation say why it is closed, or nobody? */
static bool why_is_ours(const RmHost *rec)
{
    return *rec->why == '\0' || strcmp(rec->why, why_begun) == 0 ||
           strcmp(rec->why, why_empty) == 0 || strcmp(rec->why, why_left) == 0 ||
           strcmp(rec->why, why_mute) == 0;
}

static void close_host(struct core *core, const struct request *request, struct host *host,
                       const char *reason)
{
    const char *why = host_link_is_up(&host->link) ? why_begun : why_mute;

    if (host->rec->state != RM_HOST_STATE__HOST_CLOSED || *reason != '\0' || why_is_ours(host->rec))
        host_set_state(core, host, RM_HOST_STATE__HOST_CLOSED, request->peer->user,
                       *reason != '\0' ? reason : why);
}

static const char *nobody_sees(struct core *core, const struct host *host, uint64_t moved)
{
    return core_printf(core, "may not be empty: %llu moved, but what is left nobody can see: %s",
                       (unsigned long long)moved,
                       host_link_is_up(&host->link) ? "its worker does not answer in time"
                                                    : host_link_trouble(&host->link));
}

static void carry_out(struct core *core, struct request *request, struct submission *sub)
{
    for (size_t i = 0; i < sub->n_never; i++) {
        close_host(core, request, sub->never[i], request->message->evacuate->reason);
        turn_away(core, request, sub->never[i]);
    }
    sub->waits = true;
    submission_carry_out(core, request, sub);
    for (size_t i = 0; i < sub->n_never && request->reply->batch != 0; i++)
        if (host_link_is_up(&sub->never[i]->link))
            host_begin_emptying(sub->never[i], request->reply->batch);
        else
            batch_account(core, request->reply->batch, sub->never[i], false, 0,
                          nobody_sees(core, sub->never[i], 0));
    note_room(sub);
}

void evacuation_request(struct core *core, struct request *request)
{
    struct submission sub;
    struct hosts hosts;

    bool begun = begin(core, request, &sub, &hosts);
    for (size_t i = 0; begun && i < sub.n_never; i++)
        if (!host_link_is_up(&sub.never[i]->link) && place_may_come(core, sub.never[i]))
            request_hold(request);
    if (begun && !request->held) {
        for (size_t i = 0; i < sub.n_never; i++)
            empty_host(core, request, &sub, sub.never[i], 0);
        evacuation_find_places(core, request, &sub, 0);
        if (sub.look_only)
            submission_carry_out(core, request, &sub);
        else if (is_refused(core, request, &sub))
            submission_refuse(core, request, &sub);
        else if (submission_has_room(core, request, &sub))
            carry_out(core, request, &sub);
    }
    done(&sub, &hosts);
}

/* ---- what is tried again */

static bool waits(const struct host *host, uint64_t batch)
{
    const RmEmptying *emptying = host ? host->rec->emptying : NULL;

    for (size_t i = 0; emptying && i < emptying->n_batches; i++)
        if (emptying->batches[i] == batch)
            return true;
    return false;
}

/* False: as many wait as there may be. */
static bool waits_too(struct host *host, uint64_t batch)
{
    const RmEmptying *emptying = host->rec->emptying;

    if (waits(host, batch))
        return true;
    if (emptying && emptying->n_batches >= BATCHES_MAX)
        return false;
    host_begin_emptying(host, batch);
    return true;
}

/* The batch of that job, and those whose jobs it tries again, as far as there is room for one more. */
static void all_wait(struct core *core, struct host *host, const RmJob *job)
{
    RmJob *before;

    for (unsigned n = 0; n < BATCHES_MAX - 1; n++) {
        waits_too(host, job->batch);
        if (job->again_of == 0 ||
            record_job_get(core->store, job->again_of, core->arena, &before) < 0)
            return;
        job = before;
    }
}

/* Is it closed still by that evacuation, or by others of us since? Who closed it for another reason does not want it
 * emptied. */
static bool is_still_ours(const struct host *host, const RmBatch *before)
{
    const char *why = host->rec->why, *asked = before->evacuation->reason;
    bool is_of = false;

    for (size_t i = 0; i < before->n_evacuate; i++)
        is_of = is_of || strcmp(before->evacuate[i], host->rec->name) == 0;
    return is_of && host->rec->state == RM_HOST_STATE__HOST_CLOSED && *why != '\0' &&
           (why_is_ours(host->rec) || strcmp(why, asked) == 0);
}

/* The batch of the new job is one of an evacuation of that host as well. */
static void make_evacuation(struct core *core, struct host *host, uint64_t id,
                            const RmBatch *before)
{
    RmBatch *batch;

    if (record_batch_get(core->store, id, core->arena, &batch) < 0 || !waits_too(host, id))
        return;
    for (size_t i = 0; i < batch->n_evacuate; i++)
        if (strcmp(batch->evacuate[i], host->rec->name) == 0)
            return; /* with another of its guests */
    batch->evacuation = before->evacuation;
    CORE_PUSH(core, batch->n_evacuate, batch->evacuate, host->rec->name);
    core_check_write(core, record_batch_put(core->store, batch), "batch");
}

void evacuation_again(struct core *core, const RmJob *old, uint64_t batch, const char *who)
{
    struct host *host = host_find(core, old->source);
    RmBatch *before;

    if (!old->evacuation || !host || !host_link_is_up(&host->link) ||
        record_batch_get(core->store, old->batch, core->arena, &before) < 0 ||
        !before->evacuation || !is_still_ours(host, before))
        return;
    if (!host->rec->emptying && why_is_ours(host->rec))
        host_set_state(core, host, RM_HOST_STATE__HOST_CLOSED, who, why_begun);
    all_wait(core, host, old);
    if (batch != 0)
        make_evacuation(core, host, batch, before);
}

/* ---- its end */

/* left: as in batch_account(). */
static void end(struct core *core, struct host *host, bool ok, uint64_t left, const char *text)
{
    const RmEmptying *emptying = host->rec->emptying;

    for (size_t i = 0; i < emptying->n_batches; i++)
        batch_account(core, emptying->batches[i], host, ok, left, text);
    core_event(core, RM_EVENT_KIND__HOST_CHANGED, "broker", host->rec->name, NULL, "%s", text);
    core_note(core, ok ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "host=%s: %s", host->rec->name, text);
    bool ours =
        host->rec->state == RM_HOST_STATE__HOST_CLOSED && strcmp(host->rec->why, why_begun) == 0;
    host_end_emptying(host, !ours ? NULL : ok ? why_empty : why_left);
    host->emptying = (struct host_emptying){0};
}

static uint64_t n_moved(const struct host *host)
{
    return host->rec->done - host->rec->emptying->done_before;
}

/* Guests of other hosts that have made room, ", 2 others moved to make room". */
static const char *room_text(struct core *core, const RmEmptying *emptying)
{
    unsigned n = 0;

    for (size_t i = 0; i < emptying->n_room; i++) {
        RmResult *result;
        if (record_result_get(core->store, emptying->room[i], core->arena, &result) == 0 &&
            result->state == RM_STATE__DONE)
            n++;
    }
    return n == 0 ? ""
                  : core_printf(core, ", %u guest%s of other hosts moved to make room", n,
                                n == 1 ? "" : "s");
}

/* What is left and why, from the reply of the last round; a name each time, one line. */
static const char *left_text(struct core *core, const RmReply *reply, uint64_t *ret_n)
{
    const char *text = "";
    uint64_t n = 0, named = 0;

    for (size_t i = 0; i < reply->n_outcomes; i++) {
        const RmOutcome *o = reply->outcomes[i];
        char why[LEFT_TEXT_MAX + 1];
        if (o->ok)
            continue;
        n++;
        if (named < n - 1 || named == LEFT_MAX)
            continue; /* one before it had no room */
        text_one_line(text_format(why, sizeof(why), "%s", o->text));
        const char *longer =
            core_printf(core, "%s%s%s (%s)", text, named > 0 ? "; " : "", o->name, why);
        if (named > 0 && strlen(longer) > LEFT_ALL_MAX)
            continue;
        text = longer;
        named++;
    }
    *ret_n = n;
    return n > named ? core_printf(core, "%s; and %llu more", text, (unsigned long long)(n - named))
                     : text;
}

static void account(struct core *core, struct host *host, const RmReply *reply)
{
    uint64_t n;
    const char *left = left_text(core, reply, &n);
    const char *room = room_text(core, host->rec->emptying);
    unsigned long long moved = n_moved(host);

    end(core, host, n == 0, n,
        n == 0 ? core_printf(core, "is empty: %llu moved%s", moved, room)
               : core_printf(core, "is not empty: %llu moved%s, %llu left, because: %s", moved,
                             room, (unsigned long long)n, left));
}

/* Nothing else is left to do than to wait for those. */
static void wait_for_them(struct core *core, struct host *host)
{
    if (host->emptying.wait_by == 0)
        host->emptying.wait_by = core->now + (usec_t)WAIT_SECONDS * USEC_PER_SEC;
    host->emptying.ask_at = core->now + (usec_t)LOOK_AGAIN_SECONDS * USEC_PER_SEC;
}

/* Of the batches that wait: jobs above the first one belong to the evacuation, and the last one gets what is found. */
static uint64_t first_batch(const RmEmptying *emptying)
{
    uint64_t first = emptying->batches[0];

    for (size_t i = 1; i < emptying->n_batches; i++)
        first = emptying->batches[i] < first ? emptying->batches[i] : first;
    return first;
}

static uint64_t last_batch(const RmEmptying *emptying)
{
    uint64_t last = emptying->batches[0];

    for (size_t i = 1; i < emptying->n_batches; i++)
        last = emptying->batches[i] > last ? emptying->batches[i] : last;
    return last;
}

/* The hypervisor has been looked at, and no job takes a guest away: those that are there are tried, or
 * left. */
static void look_again(struct core *core, struct host *host)
{
    const RmEmptying *emptying = host->rec->emptying;
    uint64_t since = first_batch(emptying), last = last_batch(emptying);
    RmReply reply = RM_REPLY__INIT;
    RmRequest message = RM_REQUEST__INIT;
    struct net_peer peer = {.role = ROLE_OPERATOR};
    struct request request;
    struct submission sub;
    struct hosts hosts;
    RmBatch *batch;

    if (record_batch_get(core->store, last, core->arena, &batch) < 0 || !batch->evacuation) {
        end(core, host, false, 0, "cannot be emptied further: what was asked cannot be read");
        return;
    }
    snprintf(peer.user, sizeof(peer.user), "%s", batch->submitter);
    message.ask_case = RM_REQUEST__ASK_EVACUATE;
    message.evacuate = batch->evacuation;
    request_init(core, &request, &peer, 0, &message, &reply);
    if (begin(core, &request, &sub, &hosts)) {
        sub.batch = last;
        empty_host(core, &request, &sub, host, since);
        if (emptying->rounds >= ROUNDS_MAX)
            sub.look_only = true; /* somebody brings guests as fast as they leave */
        evacuation_find_places(core, &request, &sub, since);
        if (sub.look_only || submission_has_room(core, &request, &sub))
            submission_carry_out(core, &request, &sub);
        else
            request_host_outcome(core, &request, host->rec->name, false, "%s", reply.text);
        if (reply.count > 0)
            note_room(&sub);
        for (size_t i = 0; i < sub.n_asks && sub.look_only; i++)
            request_outcome(core, &request, sub.asks[i].guest->rec->name, false,
                            "came after the host had been looked at %d times", ROUNDS_MAX);
    } else {
        request_host_outcome(core, &request, host->rec->name, false, "%s", reply.text);
    }
    if (reply.count > 0)
        host_empty_more(host);
    else if (has_to_wait(core, host))
        wait_for_them(core, host);
    else
        account(core, host, &reply);
    done(&sub, &hosts);
    request_done(&request);
}

static void ask_to_look(struct core *core, struct host *host)
{
    RmAsk ask = RM_ASK__INIT;
    RmAssignment about = RM_ASSIGNMENT__INIT;

    if (host->emptying.look == 0)
        host->emptying.look = core->now;
    host->emptying.ask_at = core->now + (usec_t)LOOK_AGAIN_SECONDS * USEC_PER_SEC;
    about.host = host->rec->name;
    ask.kind = RM_ASK_KIND__ASK_LOOK;
    ask.id = host->emptying.look;
    ask.about = &about;
    session_ask(core, host->link.session, &ask);
}

/* Is a guest on its way from here, or to here? */
static bool is_busy(const struct host *host)
{
    const struct job *job;

    DL_FOREACH2 (host->jobs.coming, job, d_next)
        if (job_is_active(job->live.state))
            return true;
    return host->jobs.leaving;
}

static void tick(struct core *core, struct host *host)
{
    struct host_emptying *emptying = &host->emptying;

    if (host->rec->state != RM_HOST_STATE__HOST_CLOSED) {
        end(core, host, false, 0,
            core_printf(core, "was opened by %s while it was being emptied: %llu moved",
                        host->rec->changed_by, (unsigned long long)n_moved(host)));
    } else if (is_busy(host)) {
        *emptying = (struct host_emptying){0};
    } else if (emptying->look != 0 && host->shown.look == emptying->look) {
        *emptying = (struct host_emptying){.wait_by = emptying->wait_by};
        look_again(core, host);
    } else if (emptying->look != 0 &&
               core->now >= emptying->look + (usec_t)LOOK_MOST_SECONDS * USEC_PER_SEC) {
        end(core, host, false, 0, nobody_sees(core, host, n_moved(host)));
    } else if (core->now >= emptying->ask_at) {
        if (host_link_is_up(&host->link))
            ask_to_look(core, host);
        else if (emptying->look == 0)
            emptying->look = core->now;
    }
}

void evacuation_tick(struct core *core)
{
    for (struct host *host = core->hosts; host; host = host->hh.next)
        if (host->rec->emptying)
            tick(core, host);
}

usec_t evacuation_deadline(const struct core *core)
{
    usec_t first = USEC_NEVER;

    for (const struct host *host = core->hosts; host; host = host->hh.next)
        if (host->rec->emptying && !is_busy(host)) {
            usec_t most = host->emptying.look + (usec_t)LOOK_MOST_SECONDS * USEC_PER_SEC;
            bool asks = host_link_is_up(&host->link) || host->emptying.look == 0;
            usec_t at = asks ? host->emptying.ask_at : most;
            first = at < first ? at : first;
        }
    return first;
}

bool evacuation_is_of(struct core *core, const RmBatch *batch, const char *name)
{
    return waits(host_find(core, name), batch->id);
}

bool evacuation_is_open(struct core *core, const RmBatch *batch)
{
    for (size_t i = 0; i < batch->n_evacuate; i++)
        if (evacuation_is_of(core, batch, batch->evacuate[i]))
            return true;
    return false;
}
