/* change.c - requests that change what is there: cancel, pause, resume, retry, release, open and
 * close, reconcile */
#include "broker/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- a set of jobs */

typedef void select_f(struct core *core, struct request *request, struct job *job);

static bool selected(const struct job *job, const RmSelect *what, const struct noderange *guests)
{
    return (what->batch == 0 || job->ask->batch == what->batch) &&
           (*what->host == '\0' || strcmp(job->live.source, what->host) == 0) &&
           (*what->guests == '\0' || noderange_has(guests, job->ask->guest));
}

static const char *job_name(struct core *core, uint64_t id)
{
    const char *name = arena_printf(core->arena, "job %" PRIu64, id);
    return name != NULL ? name : "job";
}

/* A job that is not live: what it is instead. */
static void not_live(struct core *core, struct request *request, uint64_t id)
{
    RmResult *result;

    if (record_result_get(core->store, id, core->arena, &result) == 0)
        request_outcome(core, request, job_name(core, id), false, "is already %s",
                        job_state_name(result->state));
    else
        request_outcome(core, request, job_name(core, id), false, "no such job");
}

/* Calls f for each live job that was asked for. */
static void for_selected(struct core *core, struct request *request, const RmSelect *what,
                         select_f *f)
{
    struct noderange guests = {0};
    struct job *job, *next;
    size_t n = 0;

    if (what->n_jobs == 0 && what->batch == 0 && *what->guests == '\0' && *what->host == '\0' &&
        !what->all) {
        request_refuse(core, request, RM_CODE__CODE_USAGE,
                       "say which: a job, a batch, a noderange, a host, or all");
        return;
    }
    if (*what->guests != '\0' && !request_guests(core, request, what->guests, &guests))
        return;
    for (size_t i = 0; i < what->n_jobs; i++, n++) {
        job = job_find(core, what->jobs[i]);
        if (job == NULL)
            not_live(core, request, what->jobs[i]);
        else if (selected(job, what, &guests))
            f(core, request, job);
    }
    if (what->n_jobs == 0) {
        HASH_ITER (hh, core->jobs, job, next) {
            if (selected(job, what, &guests)) {
                f(core, request, job);
                n++;
            }
        }
    }
    noderange_done(&guests);
    if (n == 0)
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no unfinished job matches");
}

static void cancel(struct core *core, struct request *request, struct job *job)
{
    const char *who = request->peer->user;
    char text[300];
    struct ending ending = {.text = text};
    RmOutcome *outcome;

    snprintf(text, sizeof(text), "cancelled by %s", who);
    switch (job->live.state) {
    case RM_STATE__QUEUED:
    case RM_STATE__WAITING:
        outcome = request_outcome(core, request, job_name(core, job->id), true,
                                  "cancelled; %s stays on %s", job->ask->guest, job->live.source);
        if (outcome != NULL)
            outcome->job = job->id;
        job_finish(core, job, RM_EVENT_KIND__CANCEL, who, &ending);
        return;
    case RM_STATE__ASSIGNED:
    case RM_STATE__RUNNING:
        job->live.cancel_wanted = true;
        job_set(&job->live.cancelled_by, who);
        job->order_at = core->order_at = core->now;
        job_move(core, job, RM_EVENT_KIND__CANCEL, who, NULL);
        break;
    case RM_STATE__DOUBT:
        job->live.cancel_wanted = true;
        job_set(&job->live.cancelled_by, who);
        job_note(core, job, who, "to be stopped as soon as it is known where the guest is");
        break;
    default:
        break;
    }
    outcome = request_outcome(core, request, job_name(core, job->id), true, "is being stopped (%s)",
                              job->ask->guest);
    if (outcome != NULL)
        outcome->job = job->id;
}

/* A relocation that is none of ours. */
static void cancel_foreign(struct core *core, struct request *request, struct guest *guest)
{
    const char *lead = arena_printf(core->arena, "Running VMRELOCATE action=CANCEL against %s...",
                                    zvm_name(guest->rec));
    RmAssignment *about = arena_alloc(core->arena, sizeof(*about));
    char why[600] = "";
    struct host *place = sight_place(core, guest, why, sizeof(why));

    if (place == NULL || place->session == NULL) {
        request_outcome(core, request, guest->rec->name, false, "%s",
                        place != NULL ? "its host has no worker" : why);
        return;
    }
    if (lead == NULL || about == NULL)
        return;
    rm_assignment__init(about);
    about->guest = guest->rec->name;
    about->uuid = guest->rec->uuid;
    about->domain = guest->rec->domain;
    about->host = place->rec->name;
    request_outcome(core, request, guest->rec->name, true, "%s Done", lead);
    request_ask(core, request, place, RM_ASK_KIND__ASK_CANCEL, about, lead);
}

/* Each guest on its own: what moves it, whoever began that, is stopped. */
static void cancel_guests(struct core *core, struct request *request, const RmSelect *what)
{
    struct noderange guests = {0};

    if (!request_guests(core, request, what->guests, &guests))
        return;
    request->wait_for = what->wait_for;
    for (size_t i = 0; i < guests.n; i++) {
        struct guest *guest = guest_find(core, guests.names[i]);
        if (guest != NULL && guest->job != NULL)
            cancel(core, request, guest->job);
        else if (guest != NULL && guest->rec->kind == RM_KIND__KIND_ZVM)
            cancel_foreign(core, request, guest);
        else
            request_outcome(core, request, guests.names[i], false, "no job moves it%s",
                            guest == NULL ? names_remark(core, guests.names[i]) : "");
    }
    noderange_done(&guests);
}

void change_cancel(struct core *core, struct request *request)
{
    const RmSelect *what = request->message->cancel;

    if (what->wait_for > 0 && *what->guests != '\0' && what->n_jobs == 0 && what->batch == 0 &&
        *what->host == '\0')
        cancel_guests(core, request, what);
    else
        for_selected(core, request, what, cancel);
}

static void modify_one(struct core *core, struct request *request, struct job *job)
{
    const RmModify *modify = request->message->modify;
    RmRelocation *limits = arena_alloc(core->arena, sizeof(*limits));
    RmOptions *options = arena_alloc(core->arena, sizeof(*options));
    RmAssignment *about = queue_assignment(core, job);
    struct host *source = job->source;
    const char *lead;

    if (job->ask->kind != RM_KIND__KIND_ZVM) {
        request_outcome(core, request, job_name(core, job->id), false,
                        "moves %s, which is no guest of z/VM: only a relocation there has "
                        "max_total and max_quiesce",
                        job->ask->guest);
        return;
    }
    if (job->live.state != RM_STATE__RUNNING || source->session == NULL) {
        request_outcome(core, request, job_name(core, job->id), false,
                        "is %s: only the limits of a relocation that runs can be changed",
                        job_state_name(job->live.state));
        return;
    }
    lead = arena_printf(core->arena, "Running VMRELOCATE_Modify against %s...",
                        zvm_name(job->guest->rec));
    if (limits == NULL || options == NULL || about == NULL || lead == NULL)
        return;
    rm_relocation__init(limits);
    limits->max_total = modify->max_total;
    limits->max_quiesce = modify->max_quiesce;
    rm_options__init(options);
    options->relocation = limits;
    about->options = options;
    request->wait_for = modify->wait_for;
    request_outcome(core, request, job->ask->guest, true, "%s Done", lead);
    request_ask(core, request, source, RM_ASK_KIND__ASK_MODIFY, about, lead);
    job_note(core, job, request->peer->user,
             arena_printf(core->arena, "to be limited anew:%s%s%s%s",
                          *modify->max_total != '\0' ? " max_total=" : "", modify->max_total,
                          *modify->max_quiesce != '\0' ? " max_quiesce=" : "",
                          modify->max_quiesce));
}

void change_modify(struct core *core, struct request *request)
{
    const RmModify *modify = request->message->modify;
    static const RmSelect none = RM_SELECT__INIT;

    if (*modify->max_total == '\0' && *modify->max_quiesce == '\0')
        request_refuse(core, request, RM_CODE__CODE_USAGE,
                       "say what is to be changed: max_total or max_quiesce");
    else
        for_selected(core, request, modify->what != NULL ? modify->what : &none, modify_one);
}

static void pause_one(struct core *core, struct request *request, struct job *job)
{
    if (job->live.state != RM_STATE__QUEUED && job->live.state != RM_STATE__WAITING) {
        request_outcome(core, request, job_name(core, job->id), false,
                        "is %s: only a job that waits can be paused",
                        job_state_name(job->live.state));
        return;
    }
    job->ready_at = USEC_NEVER;
    job_move(core, job, RM_EVENT_KIND__PAUSE, request->peer->user,
             arena_printf(core->arena, "paused by %s", request->peer->user));
    request_outcome(core, request, job_name(core, job->id), true, "paused (%s)", job->ask->guest);
}

void change_pause(struct core *core, struct request *request)
{
    for_selected(core, request, request->message->pause, pause_one);
}

static void resume_one(struct core *core, struct request *request, struct job *job)
{
    if (job->live.state != RM_STATE__WAITING) {
        request_outcome(core, request, job_name(core, job->id), false, "is not paused but %s",
                        job_state_name(job->live.state));
        return;
    }
    job_move(core, job, RM_EVENT_KIND__RESUME, request->peer->user, NULL);
    request_outcome(core, request, job_name(core, job->id), true, "queued again (%s)",
                    job->ask->guest);
}

void change_resume(struct core *core, struct request *request)
{
    for_selected(core, request, request->message->resume, resume_one);
}

/* ---- retry: a waiting job now, an ended one again */

static void retry_ended(struct core *core, struct request *request, uint64_t id)
{
    RmResult *result;
    RmJob *job;

    if (record_result_get(core->store, id, core->arena, &result) < 0 ||
        record_job_get(core->store, id, core->arena, &job) < 0)
        request_outcome(core, request, job_name(core, id), false, "no such job");
    else if (result->state == RM_STATE__DONE)
        request_outcome(core, request, job_name(core, id), false, "is done");
    else
        wish_again(core, request, job);
}

void change_retry(struct core *core, struct request *request)
{
    const RmSelect *what = request->message->retry;
    RmBatch *batch;

    for (size_t i = 0; i < what->n_jobs; i++) {
        struct job *job = job_find(core, what->jobs[i]);
        if (job != NULL)
            resume_one(core, request, job);
        else
            retry_ended(core, request, what->jobs[i]);
    }
    if (what->n_jobs > 0)
        return;
    if (what->batch == 0) {
        for_selected(core, request, what, resume_one);
        return;
    }
    if (record_batch_get(core->store, what->batch, core->arena, &batch) < 0) {
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "no such batch: %" PRIu64,
                       what->batch);
        return;
    }
    for (size_t i = 0; i < batch->n_jobs; i++)
        for (uint64_t j = 0; j < batch->jobs[i]->count; j++) {
            uint64_t id = batch->jobs[i]->first + j;
            struct job *job = job_find(core, id);
            RmResult *result;
            if (job != NULL && job->live.state == RM_STATE__WAITING)
                resume_one(core, request, job);
            else if (job == NULL && record_result_get(core->store, id, core->arena, &result) == 0 &&
                     result->state != RM_STATE__DONE)
                retry_ended(core, request, id);
        }
}

/* ---- release */

void change_release(struct core *core, struct request *request)
{
    const RmSelect *what = request->message->release;
    const char *who = request->peer->user;
    struct noderange guests = {0};

    if (!request_guests(core, request, what->guests, &guests))
        return;
    for (size_t i = 0; i < guests.n; i++) {
        struct guest *guest = guest_find(core, guests.names[i]);
        bool was = false;
        if (guest != NULL && guest->job != NULL && guest->job->live.state == RM_STATE__DOUBT) {
            struct ending ending = {.text = "released by hand while it was in doubt"};
            job_finish(core, guest->job, RM_EVENT_KIND__RELEASED, who, &ending);
            was = true;
        }
        if (guest != NULL && guest->rec->locked) {
            guest->rec->locked = false;
            job_set(&guest->rec->lock_text, "");
            guest_write(core, guest);
            was = true;
        }
        if (was)
            site_event(core, RM_EVENT_KIND__RELEASED, who, NULL, guests.names[i], "released%s%s",
                       *what->reason != '\0' ? ": " : "", what->reason);
        request_outcome(core, request, guests.names[i], was || guest != NULL, "%s",
                        was             ? "released"
                        : guest != NULL ? "is not locked"
                                        : "no hypervisor has told of it");
    }
    noderange_done(&guests);
}

/* ---- hosts */

void change_host(struct core *core, struct request *request)
{
    const RmHostChange *change = request->message->host_change;
    const char *word = change->state == RM_HOST_STATE__HOST_CLOSED ? "closed" : "open";
    struct noderange hosts = {0};

    if (!request_hosts(core, request, change->hosts, &hosts))
        return;
    for (size_t i = 0; i < hosts.n; i++) {
        struct host *host = host_find(core, hosts.names[i]);
        if (host->rec->state == change->state) {
            request_outcome(core, request, hosts.names[i], true, "is already %s", word);
            continue;
        }
        host->rec->state = change->state;
        job_set(&host->rec->why, change->reason);
        job_set(&host->rec->changed_by, request->peer->user);
        host->rec->changed_at = core->wall;
        host_changed(core, host);
        site_event(core, RM_EVENT_KIND__HOST_CHANGED, request->peer->user, hosts.names[i], NULL,
                   "%s%s%s", word, *change->reason != '\0' ? ": " : "", change->reason);
        request_outcome(core, request, hosts.names[i], true, "%s", word);
        core->assign = true;
    }
    noderange_done(&hosts);
}

/* ---- reconcile: the vm table against the hypervisors */

/* What the table says where the guest is; NULL: nothing, or (the reply says it) something that
 * cannot be evaluated. */
static const char *host_told(struct core *core, struct request *request, const char *name)
{
    struct attr_value value = {0};
    struct rm_err err = {0};

    if (attr_get(core->attr, name, "vm.host", &value, &err) < 0)
        request_outcome(core, request, name, false, "%s", err.text);
    return value.text != NULL ? arena_strdup(core->arena, value.text) : NULL;
}

static void reconcile_guest(struct core *core, struct request *request, struct guest *guest,
                            bool mend)
{
    const char *name = guest->rec->name;
    const char *table = host_told(core, request, name);
    const char *wrong = NULL, *says = mend ? "said" : "says";
    char why[600] = "";
    struct host *place;

    if (guest->rec->locked)
        request_outcome(core, request, name, false, "is locked: %s", guest->rec->lock_text);
    if (guest->job != NULL)
        return; /* on its way: the job's end writes the table */
    place = sight_place(core, guest, why, sizeof(why));
    if (place == NULL) {
        struct host *host = table != NULL ? host_called(core, table) : NULL;
        /* A table that does not say where it is says nothing wrong, and a guest that is shut off
         * where the table says is in order. */
        if (table != NULL && (host == NULL || sight_at(guest, host) == NULL))
            request_outcome(core, request, name, false, "vm.host says %s, but it %s", table, why);
        return;
    }
    if (guest->rec->kind == RM_KIND__KIND_ZVM)
        wrong = zvm_wrong(core, name, place, says);
    if (table != NULL && strcmp(table, place->rec->name) != 0) {
        const char *host = arena_printf(core->arena, "vm.host %s %s", says, table);
        wrong = wrong == NULL ? host : arena_printf(core->arena, "%s, %s", host, wrong);
    }
    if (wrong == NULL)
        return;
    if (mend)
        sight_mend_table(core, guest, place, request->peer->user);
    request_outcome(core, request, name, mend, "%s, it runs on %s%s", wrong, place->rec->name,
                    mend ? ": mended" : "");
}

/* A name that no hypervisor has told of. asked: somebody wants to know of it in particular. */
static void reconcile_absent(struct core *core, struct request *request, const char *name,
                             bool asked)
{
    const char *table = host_told(core, request, name);

    if (table != NULL)
        request_outcome(core, request, name, false,
                        "vm.host says %s, but no hypervisor that a worker serves has it%s", table,
                        names_remark(core, name));
    else if (asked && host_find(core, name) == NULL)
        request_outcome(core, request, name, false, "no hypervisor that a worker serves has it%s",
                        names_remark(core, name));
}

/* Nodes of the tables that no hypervisor knows anything of. */
struct absent {
    struct core *core;
    char **names; /* in the arena */
    size_t n;
};

static int collect_absent(void *ctx, const struct attr_node *node)
{
    struct absent *absent = ctx;
    const char *name = attr_node_name(node);

    return guest_find(absent->core, name) != NULL
               ? 0
               : ARENA_PUSH(absent->core->arena, absent->n, absent->names, (char *)name);
}

struct clash_told {
    struct core *core;
    struct request *request;
};

static void tell_clash(void *ctx, const char *node, const char *domain, const char *other)
{
    struct clash_told *told = ctx;

    request_outcome(told->core, told->request, node, false,
                    "vm.othersettings says domain:%s, which is the guest of %s", domain, other);
}

static void reconcile_all(struct core *core, struct request *request, bool mend)
{
    struct absent absent = {.core = core};
    struct clash_told told = {core, request};
    struct rm_err err = {0};
    int r = attr_refresh(core->attr, &err);

    if (r >= 0)
        r = attr_walk_nodes(core->attr, collect_absent, &absent);
    if (r < 0) {
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "%s",
                       err.text[0] != '\0' ? err.text : "no memory");
        return;
    }
    for (size_t i = 0; i < absent.n; i++)
        reconcile_absent(core, request, absent.names[i], false);
    for (struct guest *guest = core->guests; guest != NULL; guest = guest->hh.next)
        reconcile_guest(core, request, guest, mend);
    names_each_clash(core, tell_clash, &told);
}

void change_reconcile(struct core *core, struct request *request)
{
    const RmReconcile *ask = request->message->reconcile;
    struct noderange guests = {0};

    if (*ask->guests == '\0') {
        reconcile_all(core, request, ask->mend);
        return;
    }
    if (!request_guests(core, request, ask->guests, &guests))
        return;
    for (size_t i = 0; i < guests.n; i++) {
        struct guest *guest = guest_find(core, guests.names[i]);
        if (guest != NULL)
            reconcile_guest(core, request, guest, ask->mend);
        else
            reconcile_absent(core, request, guests.names[i], true);
    }
    noderange_done(&guests);
}
