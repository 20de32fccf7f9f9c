/* submit.c - submit and evacuate: from what was asked to jobs */
#include "broker/submit.h"

#include "broker/again.h"
#include "broker/batch.h"
#include "broker/hold_control.h"
#include "broker/instance.h"
#include "broker/inventory.h"
#include "broker/job.h"
#include "broker/joint.h"
#include "broker/names.h"
#include "broker/place.h"
#include "broker/planner/words.h"
#include "broker/platforms.h"
#include "broker/vm_host.h"
#include "store/record.h"
#include "store/tables/attr.h"
#include "wire/bounds.h"

#include <stdio.h>

enum {
    WARNINGS_MAX = 10,         /* of rules that are broken, in a plan */
    USUAL_PRIORITY = 100,      /* of a job that asks for none */
    ID_MOST = 10,              /* bytes of an id in a record */
    JOB_NAME = 4,              /* bytes of a name in a record, besides its own */
    JOB_ROOM = 4 * STORE_PAGE, /* a new job with names of its own, live, event, and its guest */
};

struct host **submission_hosts(struct core *core, const struct noderange *range)
{
    struct host **hosts = must(calloc(range->n + 1, sizeof(struct host *)));

    for (size_t i = 0; i < range->n; i++)
        hosts[i] = platform_host(core, range->names[i]);
    return hosts;
}

static const char *hypervisor_text(struct core *core, const char *name)
{
    return core_printf(core, "%s is a hypervisor: rmigrate evacuate %s", name, name);
}

/* A hypervisor that is named where a guest is meant says more than that no node is called so. */
static void refuse_hypervisors(struct core *core, struct request *request, const char *guests)
{
    char *list = core_strdup(core, guests), *save = NULL;

    for (const char *name = strtok_r(list, ",", &save); name; name = strtok_r(NULL, ",", &save))
        if (!guest_find(core, name) && platform_host(core, name)) {
            request_refuse(core, request, request->reply->code, "%s", hypervisor_text(core, name));
            return;
        }
}

bool submission_must_wait(struct core *core, const char *name)
{
    const struct guest *guest = guest_find(core, name);
    const struct host *last = guest ? host_find(core, guest->rec->host) : NULL;

    return last && !guest->instances && !guest->job && !host_link_is_up(&last->link) &&
           place_may_come(core, last);
}

bool submission_may_move(struct core *core, struct request *request, const struct submission *sub,
                         const char *name, struct place_ask *ask)
{
    struct guest *guest = guest_find(core, name);
    const char *remedy = guest ? names_remedy(core, guest) : NULL;
    char why[600] = "";

    if (!guest && platform_host(core, name)) {
        request_host_outcome(core, request, name, false, "%s", hypervisor_text(core, name));
        return false;
    }
    if (!guest) {
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
    if (guest->job) {
        request_outcome(core, request, name, false, "job %llu already moves it%s%s (%s)",
                        (unsigned long long)guest->job->id, guest->job->destination ? " to " : "",
                        guest->job->destination ? guest->job->destination->rec->name : "",
                        job_state_name(guest->job->live.state));
        return false;
    }
    struct host *place = inventory_where(core, guest, why, sizeof(why));
    if (!place) {
        request_outcome(core, request, name, false, "%s", why);
        return false;
    }
    if (!sub->evacuation && strcmp(name, guest->rec->name) == 0 && *guest->rec->shares == '\0' &&
        guest_has_twin(core, guest)) {
        const char *said = vm_host_said(core, name, NULL);
        if (!said || strcmp(said, place->rec->name) != 0) {
            request_outcome(core, request, name, false,
                            "two guests have this name: say %s, or let vm.host say which is meant",
                            guest_twin_names(core, guest));
            return false;
        }
    }
    if (remedy) {
        request_outcome(core, request, name, false, "stays on %s: %s", place->rec->name, remedy);
        return false;
    }
    if (!sub->look_only && vm_host_repair(core, guest, place, request->peer->user))
        core_note(core, LOG_LEVEL_WARN, "guest=%s host=%s: vm.host was wrong, repaired", name,
                  place->rec->name);
    if (place_listed(sub->to, sub->n_to, place) && !sub->evacuation) {
        request_outcome(core, request, name, true, "Guest is already on host %s", place->rec->name);
        return false;
    }
    if (!host_link_is_up(&place->link) && !place_may_come(core, place)) {
        request_outcome(core, request, name, false, "Cannot communicate via %s to %s: %s",
                        platform_of(place->rec->kind)->protocol, place->rec->name,
                        host_link_trouble(&place->link));
        return false;
    }
    ask->guest = guest;
    ask->source = place;
    ask->to = sub->to;
    ask->n_to = sub->n_to;
    ask->never = sub->never;
    ask->n_never = sub->n_never;
    ask->free = sub->options && sub->options->ignore_rules;
    return true;
}

/* why: in the arena; NULL: it is known where the guest may go. */
static const char *find_destinations(struct core *core, struct place_ask *ask)
{
    struct noderange_site site = request_host_site(core);
    const char *name = ask->guest->rec->name, *expression, *why;
    struct noderange range = {0};
    struct attr_value value;
    struct rm_err err = {0};

    if (attr_get(core->attr, name, "vm.migrationdest", &value, &err) < 0) {
        return core_strdup(core, err.text);
    }
    if (!value.text)
        return NULL;
    expression = core_strdup(core, value.text);
    site.lenient = true; /* hypervisors that are not known yet */
    if (noderange_expand(expression, &site, &range, &err) < 0 || range.n == 0) {
        why =
            core_printf(core,
                        "Unable to identify a suitable target host for guest %s: vm.migrationdest "
                        "is '%s'%s%s",
                        name, expression,
                        err.text[0] != '\0' ? ": " : ", and no such hypervisor is known", err.text);
        noderange_done(&range);
        return why;
    }
    struct host **to = core_alloc(core, range.n * sizeof(struct host *));
    for (size_t i = 0; i < range.n; i++)
        to[i] = platform_host(core, range.names[i]);
    ask->to = to;
    ask->n_to = range.n;
    noderange_done(&range);
    return NULL;
}

bool submission_destinations(struct core *core, struct request *request, struct place_ask *ask)
{
    const char *why = find_destinations(core, ask);

    if (why)
        request_outcome(core, request, ask->guest->rec->name, false, "%s", why);
    return !why;
}

bool submission_may_make_room(struct core *core, const struct submission *sub, struct guest *guest,
                              struct host *host, struct place_ask *ask)
{
    const struct instance *there = guest->instances;
    struct figures needs = guest_figures(guest);

    /* Of several things that are seen of it nobody knows what becomes of them. */
    if (guest->job || guest->rec->locked || names_remedy(core, guest) || !there || there->g_next ||
        there->host != host || !there->counted || there->migrating ||
        there->state != RM_GUEST_STATE__GUEST_RUNNING || there->has.memory != needs.memory ||
        there->has.vcpus != needs.vcpus)
        return false;
    *ask = (struct place_ask){
        .guest = guest,
        .source = host,
        .never = sub->never,
        .n_never = sub->n_never,
        .may_stay = true,
    };
    return !find_destinations(core, ask);
}

static void no_place(struct core *core, struct request *request, const struct submission *sub,
                     const struct place_ask *ask)
{
    const char *name = ask->guest->rec->name;
    char why[600];

    /* A target that was named and is not there: xCAT's words, which scripts look for. */
    if (sub->n_to == 1 && !place_usable(core, sub->to[0], why, sizeof(why)))
        request_outcome(core, request, name, false,
                        "Unable to reach %s to perform operation of %s, destination unusable: %s",
                        sub->to[0]->rec->name, name, why);
    else
        request_outcome(core, request, name, false,
                        "Unable to identify a suitable target host for guest %s: %s%s", name,
                        ask->why, ask->ruled ? "; --ignore-rules lets no rule hold it" : "");
}

/* An evacuation ends some time, and whoever asked for a place by name wants to know now. */
bool submission_has_place(const struct submission *sub, const struct place_ask *ask)
{
    return ask->chosen || (sub->evacuation && ask->may_wait);
}

static void make_job(struct core *core, struct request *request, const struct submission *sub,
                     const struct place_ask *ask, struct batch *batch, uint64_t id)
{
    RmJob job = RM_JOB__INIT;
    struct batch_hosts to = {sub->to_names, sub->n_to};

    if ((sub->n_to == 0 || ask->may_stay) && ask->n_to > 0) {
        char **names = core_alloc(core, ask->n_to * sizeof(*names));
        for (size_t i = 0; i < ask->n_to; i++)
            names[i] = ask->to[i]->rec->name;
        to = (struct batch_hosts){names, ask->n_to};
    } else if (ask->may_stay)
        to = (struct batch_hosts){0};
    job.id = id;
    job.batch = batch->id;
    job.guest = ask->guest->rec->name;
    job.uuid = ask->guest->rec->uuid;
    job.domain = ask->guest->rec->domain;
    job.kind = ask->guest->rec->kind;
    job.source = ask->source->rec->name;
    job.to_list = batch_list(core, batch, to.names, to.n);
    job.to = (char **)to.names;
    job.n_to = job.to_list > 0 ? 1 : to.n;
    job.options = (RmOptions *)sub->options;
    job.submitter = (char *)request->peer->user;
    job.reason = (char *)sub->reason;
    job.submitted_at = core->wall;
    job.priority = sub->priority != 0 ? sub->priority : USUAL_PRIORITY;
    job.evacuation = sub->evacuation;
    job.again_of = sub->again_of;
    job.first_job = sub->first_job;
    job.first_batch = sub->first_batch;
    if (ask->room_for)
        job.room_for = ask->room_for->rec->name;
    job.n_after = ask->n_after;
    job.after = core_alloc(core, (ask->n_after + 1) * sizeof(*job.after));
    for (size_t i = 0; i < ask->n_after; i++) /* whoever makes room has its job already */
        job.after[i] = ask->after[i]->job->id;
    job_submit(core, must(msg_copy(NULL, &job.base)), ask->guest, ask->source, ask->chosen, batch);
}

/* A new batch, or the one that gets more jobs; first: the id of the first of n jobs. */
static struct batch *batch_for(struct core *core, struct request *request,
                               const struct submission *sub, uint64_t first, uint64_t n)
{
    RmBatch rec = RM_BATCH__INIT;
    RmRange range = RM_RANGE__INIT;
    RmRange *ranges[] = {&range};

    if (sub->batch != 0)
        return batch_extend(core, sub->batch, first, n);
    range.first = first;
    range.count = n;
    rec.id = first - 1;
    rec.n_jobs = n > 0 ? 1 : 0;
    rec.jobs = ranges;
    rec.submitter = (char *)request->peer->user;
    rec.submitted_at = core->wall;
    rec.command = request->message->command;
    rec.refused = (uint32_t)request->reply->n_outcomes;
    rec.first = sub->first_batch;
    if (sub->asked) {
        rec.to = sub->to_names;
        rec.n_to = sub->n_to;
        rec.evacuation = (RmEvacuate *)sub->asked;
        for (size_t i = 0; i < sub->n_never; i++)
            CORE_PUSH(core, rec.n_evacuate, rec.evacuate, sub->never[i]->rec->name);
    }
    core_note(core, LOG_LEVEL_INFO, "batch=%llu: %llu jobs submitted by %s: %s",
              (unsigned long long)rec.id, (unsigned long long)n, rec.submitter, rec.command);
    return batch_make(core, &rec);
}

/* Why and when it is moved, in the arena. */
static const char *words_of(struct core *core, const struct place_ask *ask)
{
    char text[PLAN_WORDS_SIZE];
    const struct plan_names names = {
        .from = ask->source->rec->name,
        .to = ask->chosen->rec->name,
        .room_for = ask->room_for ? ask->room_for->rec->name : NULL,
        .rule = ask->rule,
        .after = ask->n_after > 0 ? ask->after[ask->n_after - 1]->rec->name : NULL,
        .n_after = ask->n_after,
    };

    return core_strdup(core, plan_words(text, &names));
}

/* Nobody asked for it to be moved: it is said. */
static RmOutcome *makes_room(struct core *core, struct request *request,
                             const struct place_ask *ask)
{
    RmOutcome *outcome =
        request_outcome(core, request, ask->guest->rec->name, true, "%s", words_of(core, ask));

    outcome->room_for = ask->room_for->rec->name;
    outcome->source = ask->source->rec->name;
    outcome->destination = ask->chosen->rec->name;
    outcome->job = ask->guest->job ? ask->guest->job->id : 0;
    if (ask->rule)
        outcome->rule = (char *)ask->rule;
    return outcome;
}

/* Where it stands in the plan. */
static void tell_step(RmOutcome *outcome, const struct place_ask *ask)
{
    outcome->step = ask->step;
    outcome->n_after = ask->n_after;
    outcome->after = ask->after_steps;
}

static void make_jobs(struct core *core, struct request *request, const struct submission *sub)
{
    uint64_t first, n = 0;

    for (size_t i = 0; i < sub->n_asks; i++)
        n += submission_has_place(sub, &sub->asks[i]) ? 1 : 0;
    if (n == 0 && !sub->waits)
        return;
    int r = record_next_id(core->store, n + (sub->batch == 0 ? 1 : 0), &first);
    if (r < 0) {
        core_fail(core, r, "id");
        return;
    }
    first += sub->batch == 0 ? 1 : 0;
    struct batch *batch = batch_for(core, request, sub, first, n);
    for (size_t i = 0, id = first; i < sub->n_asks; i++)
        if (submission_has_place(sub, &sub->asks[i]))
            make_job(core, request, sub, &sub->asks[i], batch, id++);
    for (size_t i = 0; i < sub->n_asks && sub->asks[i].may_stay; i++)
        makes_room(core, request, &sub->asks[i]);
    request->reply->batch = sub->batch != 0 ? sub->batch : first - 1;
    request->reply->count = sub->again_of != 0 ? request->reply->count + (uint32_t)n : (uint32_t)n;
    hold_control_warn(core, request);
}

/* Lets the hypervisor say whether the guest can go there. lead: see platform.h, announce. */
static void ask_hypervisor(struct core *core, struct request *request, const struct submission *sub,
                           const struct place_ask *ask, const char *lead)
{
    RmAssignment *about = core_alloc(core, sizeof(*about));
    const RmHost *to = ask->chosen->rec;

    rm_assignment__init(about);
    about->guest = ask->guest->rec->name;
    about->uuid = ask->guest->rec->uuid;
    about->domain = ask->guest->rec->domain;
    about->host = ask->source->rec->name;
    about->destination = to->name;
    about->peer = to->peer;
    about->migration = to->migration;
    about->options = (RmOptions *)sub->options;
    request_ask(core, request, ask->source, RM_ASK_KIND__ASK_TEST, about, lead, sub->wait_for);
}

/* What a dry run or a plan answers for a guest that has a place. */
static void answer(struct core *core, struct request *request, const struct submission *sub,
                   const struct place_ask *ask)
{
    const RmGuest *guest = ask->guest->rec;
    const struct platform *platform = platform_of(guest->kind);
    const char *lead = NULL;

    if (!ask->chosen) {
        RmOutcome *waits =
            request_outcome(core, request, guest->name, true, "waits for room on %s", ask->room);
        waits->source = ask->source->rec->name;
        waits->waits = true;
        return;
    }
    if (platform->announce && sub->wait_for > 0)
        lead = platform->announce(core, RM_ASK_KIND__ASK_TEST, guest);
    RmOutcome *outcome = lead ? request_outcome(core, request, guest->name, true, "%s Done", lead)
                         : ask->room_for ? makes_room(core, request, ask)
                                         : request_outcome(core, request, guest->name, true, "%s",
                                                           words_of(core, ask));
    outcome->source = ask->source->rec->name;
    outcome->destination = ask->chosen->rec->name;
    tell_step(outcome, ask);
    if (sub->wait_for > 0 && ask->source->link.session)
        ask_hypervisor(core, request, sub, ask, lead);
}

static size_t bytes_of_names(char *const *names, size_t n)
{
    size_t bytes = 0;

    for (size_t i = 0; i < n; i++)
        bytes += strlen(names[i]) + JOB_NAME;
    return bytes;
}

/* Never too small: a page is copied at most once for each record, and half full. */
static uint64_t room_for(const struct submission *sub, const struct place_ask *ask)
{
    uint64_t record = strlen(sub->reason);

    if (sub->batch != 0 || sub->again_of != 0) /* a batch may have no place for one more list */
        record += bytes_of_names(sub->to_names, sub->n_to);
    if (sub->options)
        record += rm_options__get_packed_size(sub->options);
    if (sub->n_to == 0)
        for (size_t i = 0; i < ask->n_to; i++)
            record += strlen(ask->to[i]->rec->name) + JOB_NAME;
    record += ask->n_after * ID_MOST;
    return 2 * record + JOB_ROOM + JOB_END_ROOM;
}

/* The reply, or what has come to it since room was claimed for it last. */
static uint64_t room_for_reply(const struct request *request)
{
    const RmReply *reply = request->reply;
    uint64_t bytes = 0;

    if (request->n_claimed == 0)
        return rm_reply__get_packed_size(reply) + BOUND_TEXT;
    for (size_t i = request->n_claimed; i < reply->n_outcomes; i++)
        bytes += rm_outcome__get_packed_size(reply->outcomes[i]) + ID_MOST;
    return bytes;
}

bool submission_has_room(struct core *core, struct request *request, const struct submission *sub)
{
    uint64_t bytes = room_for_reply(request) +
                     2 * bytes_of_names(sub->to_names, sub->n_to); /* once, in the batch */

    for (size_t i = 0; i < sub->n_asks; i++)
        bytes += submission_has_place(sub, &sub->asks[i]) ? room_for(sub, &sub->asks[i]) : 0;
    bool has = request_room(core, request, bytes);
    request->n_claimed = has ? request->reply->n_outcomes : request->n_claimed;
    return has;
}

/* Rules that are broken already, as far as they hold those that are placed. */
static void warn_of_rules(struct core *core, struct request *request, const struct submission *sub)
{
    RmReply *reply = request->reply;
    size_t all = 0;

    for (size_t i = 0; i < sub->n_asks; i++) {
        const struct guest *guest = sub->asks[i].guest;
        char **texts;
        for (int wrong = 0; wrong < 2; wrong++) {
            size_t n = wrong ? rules_wrong(core, guest, &texts) : rules_broken(core, guest, &texts);
            for (size_t k = 0; k < n; k++)
                if (all++ < WARNINGS_MAX)
                    CORE_PUSH(core, reply->n_warnings, reply->warnings,
                              core_printf(core, "%s: %s", guest->rec->name, texts[k]));
        }
    }
    if (all > WARNINGS_MAX)
        CORE_PUSH(core, reply->n_warnings, reply->warnings,
                  core_printf(core, "and %zu more: rmigrate reconcile", all - WARNINGS_MAX));
}

void submission_carry_out(struct core *core, struct request *request, struct submission *sub)
{
    for (size_t i = 0; i < sub->n_asks; i++) {
        const struct place_ask *ask = &sub->asks[i];
        if (!submission_has_place(sub, ask))
            no_place(core, request, sub, ask);
        else if (sub->look_only)
            answer(core, request, sub, ask);
    }
    if (sub->look_only) {
        hold_control_warn(core, request);
        warn_of_rules(core, request, sub);
    } else
        make_jobs(core, request, sub);
}

void submission_refuse(struct core *core, struct request *request, const struct submission *sub)
{
    for (size_t i = 0; i < sub->n_asks; i++)
        if (!submission_has_place(sub, &sub->asks[i]))
            no_place(core, request, sub, &sub->asks[i]);
}

void submit_guests(struct core *core, struct request *request)
{
    const RmSubmit *submit = request->message->submit;
    struct noderange guests = {0}, to = {0};
    struct submission sub = {
        .options = submit->options,
        .reason = submit->reason,
        .priority = submit->priority,
        .look_only = submit->dry_run,
        .wait_for = submit->wait_for,
    };

    if (!request_guests(core, request, submit->guests, &guests)) {
        refuse_hypervisors(core, request, submit->guests);
        return;
    }
    if (*submit->to != '\0') {
        if (!request_hosts(core, request, submit->to, &to))
            goto out;
        sub.to = submission_hosts(core, &to);
        sub.n_to = to.n;
        sub.to_names = to.names;
    }
    for (size_t i = 0; i < guests.n; i++)
        if (submission_must_wait(core, guests.names[i])) {
            request_hold(request);
            goto out;
        }
    sub.asks = must(calloc(guests.n + 1, sizeof(*sub.asks)));
    for (size_t i = 0; i < guests.n; i++) {
        struct place_ask *ask = &sub.asks[sub.n_asks];
        if (!submission_may_move(core, request, &sub, guests.names[i], ask))
            continue;
        if (sub.n_to == 0 && !submission_destinations(core, request, ask))
            continue;
        sub.n_asks++;
    }
    place_joint(core, sub.asks, sub.n_asks, NULL);
    if (sub.look_only || submission_has_room(core, request, &sub))
        submission_carry_out(core, request, &sub);
out:
    free(sub.asks);
    free(sub.to);
    noderange_done(&to);
    noderange_done(&guests);
}

/* ---- again */

/* A job of an evacuation is a wish about its host, not about its guest: why there is nothing to do for it any more, NULL:
 * there is. */
static const char *nothing_to_do(struct core *core, const RmJob *old, const struct guest *guest,
                                 const struct host *host)
{
    const struct instance *s = guest && host ? instance_at(guest, host) : NULL;
    char why[600];

    if (!old->evacuation || !guest || !host)
        return NULL;
    if (guest->job)
        return guest->job->source == host
                   ? core_printf(core, "job %llu takes it away from %s already",
                                 (unsigned long long)guest->job->id, old->source)
                   : NULL;
    if (s && s->state == RM_GUEST_STATE__GUEST_SHUTOFF)
        return core_printf(core, "is shut off on %s, and stays there: nothing to do", old->source);
    return s || inventory_where(core, guest, why, sizeof(why)) == host
               ? NULL
               : core_printf(core, "is not on %s any more: nothing to do", old->source);
}

void submit_again(struct core *core, struct request *request, const RmJob *old, uint64_t batch)
{
    struct noderange to = {0};
    struct submission sub = {
        .options = old->options,
        .reason = *request->message->retry->reason != '\0' ? request->message->retry->reason
                                                           : old->reason,
        .priority = old->priority,
        .evacuation = old->evacuation,
        .again_of = old->id,
        .first_job = old->first_job != 0 ? old->first_job : old->id,
        .first_batch = again_first(old),
        .batch = batch,
    };
    struct place_ask ask = {0};
    struct host *source = host_find(core, old->source);
    struct guest *guest = guest_find(core, old->guest);

    const char *nothing = nothing_to_do(core, old, guest, source);

    if (nothing) {
        request_outcome(core, request, old->guest, true, "%s", nothing);
        batch_settles(core, old);
        return;
    }

    const struct batch_hosts before = batch_hosts_of(core, old);
    for (size_t i = 0; i < before.n; i++)
        if (host_find(core, before.names[i]))
            CORE_PUSH(core, to.n, to.names, before.names[i]);
    sub.n_to = to.n;
    sub.to_names = to.names;
    sub.to = submission_hosts(core, &to);
    if (old->evacuation && source) {
        sub.never = &source;
        sub.n_never = 1;
    }
    sub.asks = &ask;
    if (!submission_may_move(core, request, &sub, old->guest, &ask)) {
        /* Where it was to go it is: a refusal says why it cannot. */
        size_t n = request->reply->n_outcomes;
        if (n > 0 && request->reply->outcomes[n - 1]->ok)
            batch_settles(core, old);
    } else {
        sub.n_asks = 1;
        place_joint(core, sub.asks, sub.n_asks, NULL);
        if (submission_has_room(core, request, &sub))
            submission_carry_out(core, request, &sub);
        else
            request_only_this(core, request, old->guest);
        if (ask.guest->job) {
            const RmJob *again = ask.guest->job->ask;
            batch_tries_again(core, old, again->id, again->batch);
            request_outcome(core, request, old->guest, true, "job %llu of batch %llu tries again",
                            (unsigned long long)again->id, (unsigned long long)again->batch)
                ->job = again->id;
        }
    }
    free(sub.to);
}
