/* leave.c - guests that leave their hosts: which ones, and where they go */
#include "broker/leave.h"

#include "broker/instance.h"
#include "broker/inventory.h"
#include "broker/job.h"
#include "broker/joint.h"
#include "broker/place.h"
#include "broker/platforms.h"
#include "broker/tidy.h"
#include "store/record.h"

#include <stdio.h>
#include <string.h>

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

bool leave_must_wait(const struct core *core, const struct host *host)
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
                            LEAVE_WAIT_SECONDS);
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

void leave_host(struct core *core, struct request *request, struct submission *sub,
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
    sub->asks = must(reallocarray(sub->asks, sub->n_asks + n + 1, sizeof(*sub->asks)));
    memset(sub->asks + sub->n_asks, 0, (n + 1) * sizeof(*sub->asks));
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
    memset(sub->asks + n_asked, 0, (n + 1 - n_asked) * sizeof(*sub->asks));
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

void leave_find_places(struct core *core, const struct request *request, struct submission *sub,
                       uint64_t since)
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

void leave_note_room(struct submission *sub)
{
    for (size_t i = 0; i < sub->n_asks && sub->asks[i].may_stay; i++) {
        const struct place_ask *ask = who_leaves(sub, &sub->asks[i]);
        if (ask && ask->source->rec->emptying && sub->asks[i].guest->job)
            host_empty_by(ask->source, sub->asks[i].guest->job->id);
    }
}

/* ---- whose guests, and to where at most */

static bool begin(struct core *core, struct request *request, struct submission *sub)
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
    return request_exclude(core, request);
}

/* The hosts that a text means, and their names in the arena. */
static bool read_hosts(struct core *core, struct request *request, const char *text,
                       struct host ***ret_hosts, char ***ret_names, size_t *ret_n)
{
    struct noderange range = {0};
    bool ok = request_hosts(core, request, text, &range);

    *ret_hosts = NULL;
    if (ok) {
        *ret_hosts = submission_hosts(core, &range);
        *ret_n = range.n;
        *ret_names = core_alloc(core, (range.n + 1) * sizeof(**ret_names));
        for (size_t i = 0; i < range.n; i++)
            (*ret_names)[i] = core_strdup(core, range.names[i]);
    }
    noderange_done(&range);
    return ok;
}

bool leave_begin(struct core *core, struct request *request, struct submission *sub)
{
    const RmEvacuate *evacuate = request->message->evacuate;
    char **names;

    return begin(core, request, sub) &&
           read_hosts(core, request, evacuate->hosts, &sub->never, &names, &sub->n_never) &&
           (*evacuate->to == '\0' ||
            read_hosts(core, request, evacuate->to, &sub->to, &sub->to_names, &sub->n_to));
}

/* Of these hosts, which were meant before, those that are there still. */
static bool set_hosts(struct core *core, struct request *request, char *const *hosts,
                      size_t n_hosts, char *const *to, size_t n_to, struct submission *sub)
{
    struct host *host;

    sub->never = must(calloc(n_hosts + 1, sizeof(struct host *)));
    for (size_t i = 0; i < n_hosts; i++)
        if ((host = host_find(core, hosts[i])))
            sub->never[sub->n_never++] = host;
    sub->to = must(calloc(n_to + 1, sizeof(struct host *)));
    for (size_t i = 0; i < n_to; i++)
        if ((host = host_find(core, to[i]))) {
            sub->to[sub->n_to] = host;
            CORE_PUSH(core, sub->n_to, sub->to_names, host->rec->name);
        }
    if (n_to > 0 && sub->n_to == 0)
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                       "no hypervisor of --to is there any more");
    return n_to == 0 || sub->n_to > 0;
}

bool leave_go_on(struct core *core, struct request *request, const RmBatch *batch,
                 struct submission *sub)
{
    size_t n = 0;

    if (!begin(core, request, sub))
        return false;
    bool ok =
        set_hosts(core, request, batch->evacuate, batch->n_evacuate, batch->to, batch->n_to, sub);
    for (size_t i = 0; i < sub->n_never; i++)
        if (sub->never[i]->rec->state == RM_HOST_STATE__HOST_CLOSED)
            sub->never[n++] = sub->never[i];
    sub->n_never = n;
    return ok;
}

bool leave_planned(struct core *core, struct request *request, const RmPlan *plan,
                   struct submission *sub)
{
    return begin(core, request, sub) &&
           set_hosts(core, request, plan->hosts, plan->n_hosts, plan->to, plan->n_to, sub);
}

void leave_done(struct submission *sub)
{
    free(sub->asks);
    free(sub->to);
    free(sub->never);
}
