/* wish.c - submit and evacuate: from what was asked to jobs
 *
 * Every guest is looked at on its own: one that cannot become a job gets its reason, the others go
 * on. Destinations are chosen for all of a request together. */
#include "broker/request.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WISH_PRIORITY = 100, /* of a job that asks for none */
    WISH_COMMAND = 4096, /* bytes of a batch's command that are kept: a list of names may be long */
};

/* One request on its way to jobs. */
struct wish {
    const RmOptions *options;
    const char *reason;
    uint32_t priority;
    struct host **to; /* owned */
    size_t n_to;
    char **to_names;     /* borrowed from a noderange, for the job's record */
    struct host **never; /* being emptied */
    size_t n_never;
    bool evacuation;
    bool look_only;         /* dry run or plan: answer, submit nothing */
    usec_t wait_for;        /* dry run: for what hypervisors say; 0: they are not asked */
    struct place_ask *asks; /* guests that may become jobs */
    size_t n_asks;
};

static bool find_hosts(struct core *core, const struct noderange *range, struct host ***ret_hosts)
{
    *ret_hosts = calloc(range->n + 1, sizeof(struct host *));
    if (*ret_hosts == NULL) {
        core_fail(core, -ENOMEM, "hosts");
        return false;
    }
    for (size_t i = 0; i < range->n; i++)
        (*ret_hosts)[i] = host_called(core, range->names[i]);
    return true;
}

static bool in_list(struct host *const *list, size_t n, const struct host *host)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == host)
            return true;
    return false;
}

/* False: it is not to be moved, and the reply says why (or that it is there already). */
static bool may_move(struct core *core, struct request *request, const struct wish *wish,
                     const char *name, struct place_ask *ask)
{
    struct guest *guest = guest_find(core, name);
    char why[600] = "";
    struct host *place;

    if (guest == NULL) {
        request_outcome(core, request, name, false,
                        "Can't find %s: no hypervisor that a worker serves has it%s", name,
                        names_remark(core, name));
        return false;
    }
    if (guest->rec->locked) {
        request_outcome(
            core, request, name, false,
            "is locked since an earlier job; look where it runs, then `rmigrate release "
            "%s`: %s",
            name, guest->rec->lock_text);
        return false;
    }
    if (guest->job != NULL) {
        request_outcome(core, request, name, false, "job %llu already moves it%s%s (%s)",
                        (unsigned long long)guest->job->id,
                        guest->job->destination != NULL ? " to " : "",
                        guest->job->destination != NULL ? guest->job->destination->rec->name : "",
                        job_state_name(guest->job->live.state));
        return false;
    }
    place = sight_place(core, guest, why, sizeof(why));
    if (place == NULL) {
        request_outcome(core, request, name, false, "%s", why);
        return false;
    }
    if (!wish->look_only && sight_mend_table(core, guest, place, request->peer->user) > 0)
        core_note(core, LOG_LEVEL_WARN, "guest=%s host=%s: vm.host was wrong, mended", name,
                  place->rec->name);
    if (in_list(wish->to, wish->n_to, place) && !wish->evacuation) {
        request_outcome(core, request, name, true, "Guest is already on host %s", place->rec->name);
        return false;
    }
    if ((place->session == NULL || !place->reachable) && !place_may_come(core, place)) {
        request_outcome(core, request, name, false, "Cannot communicate via %s to %s: %s",
                        zvm_speech(place), place->rec->name,
                        place->session == NULL ? "it has no worker"
                        : place->text != NULL  ? place->text
                                               : "it does not answer its worker");
        return false;
    }
    ask->guest = guest;
    ask->source = place;
    ask->to = wish->to;
    ask->n_to = wish->n_to;
    ask->never = wish->never;
    ask->n_never = wish->n_never;
    return true;
}

/* Of vm.migrationdest, where no destination was named. False: it cannot be told where the guest may
 * go, and the reply says why. */
static bool own_destinations(struct core *core, struct request *request, struct place_ask *ask)
{
    struct noderange_site site = request_host_site(core);
    const char *name = ask->guest->rec->name, *expression;
    struct noderange range = {0};
    struct attr_value value;
    struct rm_err err = {0};
    struct host **to;

    if (attr_get(core->attr, name, "vm.migrationdest", &value, &err) < 0) {
        request_outcome(core, request, name, false, "%s", err.text);
        return false;
    }
    if (value.text == NULL)
        return true;
    expression = arena_strdup(core->arena, value.text);
    if (expression == NULL) {
        core_fail(core, -ENOMEM, "destinations");
        return false;
    }
    site.lenient = true; /* hypervisors that are not known yet */
    if (noderange_expand(expression, &site, &range, &err) < 0 || range.n == 0) {
        request_outcome(core, request, name, false,
                        "Unable to identify a suitable target host for guest %s: vm.migrationdest "
                        "is '%s'%s%s",
                        name, expression,
                        err.text[0] != '\0' ? ": " : ", and no such hypervisor is known", err.text);
        noderange_done(&range);
        return false;
    }
    to = arena_alloc(core->arena, range.n * sizeof(struct host *));
    for (size_t i = 0; to != NULL && i < range.n; i++)
        to[i] = host_called(core, range.names[i]);
    ask->to = to;
    ask->n_to = range.n;
    noderange_done(&range);
    if (to == NULL)
        core_fail(core, -ENOMEM, "destinations");
    return to != NULL;
}

static struct batch *make_batch(struct core *core, const RmBatch *rec)
{
    struct batch *batch = calloc(1, sizeof(*batch));
    int r;

    if (batch != NULL)
        batch->rec = (RmBatch *)msg_copy(NULL, &rec->base);
    if (batch == NULL || batch->rec == NULL) {
        free(batch);
        core_fail(core, -ENOMEM, "batch");
        return NULL;
    }
    r = record_batch_put(core->store, rec);
    if (r < 0)
        core_fail(core, r, "batch");
    HASH_ADD(hh, core->batches, rec->id, sizeof(batch->rec->id), batch);
    return batch;
}

static void no_place(struct core *core, struct request *request, const struct wish *wish,
                     const struct place_ask *ask)
{
    const char *name = ask->guest->rec->name;
    char why[600];

    /* A target that was named and is not there: xCAT's words, which scripts look for. */
    if (wish->n_to == 1 && !place_usable(core, wish->to[0], why, sizeof(why)))
        request_outcome(core, request, name, false,
                        "Unable to reach %s to perform operation of %s, destination unusable: %s",
                        wish->to[0]->rec->name, name, why);
    else
        request_outcome(core, request, name, false,
                        "Unable to identify a suitable target host for guest %s: %s", name,
                        ask->why);
}

static void make_jobs(struct core *core, struct request *request, const struct wish *wish)
{
    RmBatch rec = RM_BATCH__INIT;
    RmRange range = RM_RANGE__INIT;
    RmRange *ranges[] = {&range};
    struct batch *batch;
    size_t n = 0, made = 0;
    uint64_t first;
    int r;

    for (size_t i = 0; i < wish->n_asks; i++)
        n += wish->asks[i].chosen != NULL ? 1 : 0;
    if (n == 0)
        return;
    r = record_next_id(core->store, n + 1, &first);
    if (r < 0) {
        core_fail(core, r, "id");
        return;
    }
    range.first = first + 1;
    range.count = n;
    rec.id = first;
    rec.n_jobs = 1;
    rec.jobs = ranges;
    rec.submitter = (char *)request->peer->user;
    rec.submitted_at = core->wall;
    rec.command = arena_printf(core->arena, "%.*s", WISH_COMMAND, request->message->command);
    if (rec.command == NULL) {
        core_fail(core, -ENOMEM, "batch");
        return;
    }
    rec.refused = (uint32_t)request->reply->n_outcomes;
    for (size_t i = 0; wish->evacuation && i < wish->n_never; i++)
        ARENA_PUSH(core->arena, rec.n_evacuate, rec.evacuate, wish->never[i]->rec->name);
    batch = make_batch(core, &rec);
    if (batch == NULL)
        return;
    for (size_t i = 0; i < wish->n_asks; i++) {
        const struct place_ask *ask = &wish->asks[i];
        RmJob job = RM_JOB__INIT;
        RmJob *own;
        if (ask->chosen == NULL)
            continue;
        job.id = first + 1 + made;
        job.batch = first;
        job.guest = ask->guest->rec->name;
        job.uuid = ask->guest->rec->uuid;
        job.domain = ask->guest->rec->domain;
        job.kind = ask->guest->rec->kind;
        job.source = ask->source->rec->name;
        job.n_to = wish->n_to;
        job.to = wish->to_names;
        if (wish->n_to == 0)
            for (size_t k = 0; k < ask->n_to; k++)
                ARENA_PUSH(core->arena, job.n_to, job.to, ask->to[k]->rec->name);
        job.options = (RmOptions *)wish->options;
        job.submitter = (char *)request->peer->user;
        job.reason = (char *)wish->reason;
        job.submitted_at = core->wall;
        job.priority = wish->priority != 0 ? wish->priority : WISH_PRIORITY;
        job.evacuation = wish->evacuation;
        job.previous = ask->guest->rec->last_job;
        own = (RmJob *)msg_copy(NULL, &job.base);
        if (own == NULL) {
            core_fail(core, -ENOMEM, "job");
            return;
        }
        job_submit(core, own, ask->guest, ask->source, ask->chosen, batch);
        made++;
        if (wish->evacuation)
            ask->source->evacuating = true;
    }
    request->reply->batch = first;
    request->reply->count = (uint32_t)n;
}

/* Lets the hypervisor say whether the guest can go there. lead: z/VM. */
static void ask_hypervisor(struct core *core, struct request *request, const struct wish *wish,
                           const struct place_ask *ask, const char *lead)
{
    RmAssignment *about = arena_alloc(core->arena, sizeof(*about));
    const RmHost *to = ask->chosen->rec;

    if (about == NULL)
        return;
    rm_assignment__init(about);
    about->guest = ask->guest->rec->name;
    about->uuid = ask->guest->rec->uuid;
    about->domain = ask->guest->rec->domain;
    about->host = ask->source->rec->name;
    about->destination = to->name;
    about->peer = to->peer;
    about->migration = to->migration;
    about->options = (RmOptions *)wish->options;
    request->wait_for = wish->wait_for;
    request_ask(core, request, ask->source, RM_ASK_KIND__ASK_TEST, about, lead);
}

/* What a dry run or a plan answers for a guest that has a place. */
static void tell(struct core *core, struct request *request, const struct wish *wish,
                 const struct place_ask *ask)
{
    const RmGuest *guest = ask->guest->rec;
    const char *lead = NULL;
    RmOutcome *outcome;

    if (guest->kind == RM_KIND__KIND_ZVM && wish->wait_for > 0)
        lead = arena_printf(core->arena, "Running VMRELOCATE action=TEST against %s...",
                            zvm_name(guest));
    outcome = lead != NULL
                  ? request_outcome(core, request, guest->name, true, "%s Done", lead)
                  : request_outcome(core, request, guest->name, true, "can move from %s to %s",
                                    ask->source->rec->name, ask->chosen->rec->name);
    if (outcome == NULL)
        return;
    outcome->source = ask->source->rec->name;
    outcome->destination = ask->chosen->rec->name;
    if (wish->wait_for > 0 && ask->source->session != NULL)
        ask_hypervisor(core, request, wish, ask, lead);
}

static void carry_out(struct core *core, struct request *request, struct wish *wish)
{
    place_joint(core, wish->asks, wish->n_asks);
    for (size_t i = 0; i < wish->n_asks; i++) {
        const struct place_ask *ask = &wish->asks[i];
        if (ask->chosen == NULL)
            no_place(core, request, wish, ask);
        else if (wish->look_only)
            tell(core, request, wish, ask);
    }
    if (!wish->look_only)
        make_jobs(core, request, wish);
}

void wish_submit(struct core *core, struct request *request)
{
    const RmSubmit *submit = request->message->submit;
    struct noderange guests = {0}, to = {0};
    struct wish wish = {
        .options = submit->options,
        .reason = submit->reason,
        .priority = submit->priority,
        .look_only = submit->dry_run,
        .wait_for = submit->wait_for,
    };

    if (!request_guests(core, request, submit->guests, &guests))
        return;
    if (*submit->to != '\0') {
        if (!request_hosts(core, request, submit->to, &to) || !find_hosts(core, &to, &wish.to))
            goto out;
        wish.n_to = to.n;
        wish.to_names = to.names;
    }
    wish.asks = calloc(guests.n + 1, sizeof(*wish.asks));
    if (wish.asks == NULL) {
        core_fail(core, -ENOMEM, "submit");
        goto out;
    }
    for (size_t i = 0; i < guests.n; i++) {
        struct place_ask *ask = &wish.asks[wish.n_asks];
        if (!may_move(core, request, &wish, guests.names[i], ask))
            continue;
        if (wish.n_to == 0 && !own_destinations(core, request, ask))
            continue;
        wish.n_asks++;
    }
    carry_out(core, request, &wish);
out:
    free(wish.asks);
    free(wish.to);
    noderange_done(&to);
    noderange_done(&guests);
}

/* ---- evacuate */

static void close_host(struct core *core, struct request *request, struct host *host,
                       const char *reason)
{
    if (host->rec->state == RM_HOST_STATE__HOST_CLOSED)
        return;
    host->rec->state = RM_HOST_STATE__HOST_CLOSED;
    job_set(&host->rec->why, *reason != '\0' ? reason : "evacuated");
    job_set(&host->rec->changed_by, request->peer->user);
    host->rec->changed_at = core->wall;
    host_changed(core, host);
    site_event(core, RM_EVENT_KIND__HOST_CHANGED, request->peer->user, host->rec->name, NULL,
               "closed: %s", host->rec->why);
}

/* Jobs that bring guests to a host that is being emptied look for another place; those that run
 * already arrive. */
static void turn_away(struct core *core, struct request *request, struct host *host)
{
    struct job *job, *next;

    DL_FOREACH_SAFE2 (host->coming, job, next, d_next) {
        if (!job_is_active(job->live.state) && job->ask->n_to != 1) {
            job_set_destination(core, job, NULL);
            job_note(core, job, request->peer->user, "its destination is being emptied");
        } else {
            request_outcome(
                core, request, job->ask->guest, false,
                "job %llu brings it to %s (%s): cancel it, or evacuate again afterwards",
                (unsigned long long)job->id, host->rec->name, job_state_name(job->live.state));
        }
    }
}

static size_t count_guests(struct host *const *hosts, size_t n)
{
    size_t guests = 0;
    struct sighting *s;

    for (size_t i = 0; i < n; i++)
        DL_FOREACH2 (hosts[i]->sightings, s, h_next)
            guests++;
    return guests;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void empty_host(struct core *core, struct request *request, struct wish *wish,
                       struct host *host)
{
    unsigned still = 0;
    size_t room = count_guests(&host, 1), n = 0;
    char **names = arena_alloc(core->arena, (room + 1) * sizeof(char *));
    struct sighting *s;

    if (names == NULL)
        return;
    if (host->session == NULL || !host->reachable) {
        request_outcome(core, request, host->rec->name, false,
                        "Cannot communicate via %s to %s: %s", zvm_speech(host), host->rec->name,
                        host->session == NULL ? "it has no worker"
                        : host->text != NULL  ? host->text
                                              : "it does not answer its worker");
        return;
    }
    DL_FOREACH2 (host->sightings, s, h_next) {
        if (sight_is_left(core, s->guest, s))
            request_outcome(core, request, s->guest->rec->name, true,
                            "a paused copy that a failed try left on %s is being removed",
                            host->rec->name);
        else if (guest_is_active(s->state) && !noderange_has(&core->exclude, s->guest->rec->name))
            names[n++] = s->guest->rec->name;
        else if (guest_is_active(s->state))
            request_outcome(core, request, s->guest->rec->name, false,
                            "stays on %s: it is excluded (exclude_nodes)", host->rec->name);
        else if (s->state == RM_GUEST_STATE__GUEST_SHUTOFF)
            still++;
    }
    if (host->others > 0)
        request_outcome(core, request, host->rec->name, true,
                        "%u user id%s that the table zvm does not name stay%s logged on there",
                        host->others, host->others == 1 ? "" : "s", host->others == 1 ? "s" : "");
    if (still > 0)
        request_outcome(core, request, host->rec->name, true,
                        "%u guest%s shut off and stay%s defined there", still,
                        still == 1 ? " is" : "s are", still == 1 ? "s" : "");
    qsort(names, n, sizeof(char *), by_name);
    for (size_t i = 0; i < n; i++) {
        struct guest *guest = guest_find(core, names[i]);
        /* A job that takes it away anyway is as good as ours. */
        if (guest->job != NULL && guest->job->source == host) {
            request_outcome(core, request, names[i], true, "job %llu takes it to %s",
                            (unsigned long long)guest->job->id,
                            guest->job->destination != NULL ? guest->job->destination->rec->name
                                                            : "another host");
            continue;
        }
        struct place_ask *ask = &wish->asks[wish->n_asks];
        if (may_move(core, request, wish, names[i], ask) &&
            (wish->n_to > 0 || own_destinations(core, request, ask)))
            wish->n_asks++;
    }
}

void wish_evacuate(struct core *core, struct request *request)
{
    const RmEvacuate *evacuate = request->message->evacuate;
    struct noderange hosts = {0}, to = {0};
    struct wish wish = {
        .options = evacuate->options,
        .reason = evacuate->reason,
        .priority = evacuate->priority,
        .look_only = evacuate->plan_only,
        .evacuation = true,
    };

    if (!request_exclude(core, request) || !request_hosts(core, request, evacuate->hosts, &hosts) ||
        !find_hosts(core, &hosts, &wish.never))
        goto out;
    wish.n_never = hosts.n;
    if (*evacuate->to != '\0') {
        if (!request_hosts(core, request, evacuate->to, &to) || !find_hosts(core, &to, &wish.to))
            goto out;
        wish.n_to = to.n;
        wish.to_names = to.names;
    }
    wish.asks = calloc(count_guests(wish.never, wish.n_never) + 1, sizeof(*wish.asks));
    if (wish.asks == NULL) {
        core_fail(core, -ENOMEM, "evacuation");
        goto out;
    }
    for (size_t i = 0; i < wish.n_never && !wish.look_only; i++) {
        close_host(core, request, wish.never[i], evacuate->reason);
        turn_away(core, request, wish.never[i]);
    }
    for (size_t i = 0; i < wish.n_never; i++)
        empty_host(core, request, &wish, wish.never[i]);
    carry_out(core, request, &wish);
out:
    free(wish.asks);
    free(wish.to);
    free(wish.never);
    noderange_done(&to);
    noderange_done(&hosts);
}

/* ---- again */

void wish_again(struct core *core, struct request *request, const RmJob *old)
{
    struct noderange to = {0};
    struct wish wish = {
        .options = old->options,
        .reason = old->reason,
        .priority = old->priority,
        .evacuation = old->evacuation,
    };
    struct place_ask ask = {0};
    struct host *source = host_find(core, old->source);

    for (size_t i = 0; i < old->n_to; i++) {
        struct host *host = host_find(core, old->to[i]);
        if (host != NULL)
            wish.n_to += ARENA_PUSH(core->arena, to.n, to.names, old->to[i]) == 0 ? 1 : 0;
    }
    wish.to_names = to.names;
    if (!find_hosts(core, &to, &wish.to))
        return;
    if (old->evacuation && source != NULL) {
        wish.never = &source;
        wish.n_never = 1;
    }
    wish.asks = &ask;
    if (may_move(core, request, &wish, old->guest, &ask)) {
        wish.n_asks = 1;
        request->reply->batch = 0;
        carry_out(core, request, &wish);
        if (request->reply->batch != 0) {
            RmOutcome *outcome =
                request_outcome(core, request, old->guest, true, "job %llu tries again",
                                (unsigned long long)request->reply->batch + 1);
            if (outcome != NULL)
                outcome->job = request->reply->batch + 1;
        }
    }
    free(wish.to);
}
