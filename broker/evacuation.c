/* evacuation.c - hypervisors are to be emptied: the request, and what is tried again of it */
#include "broker/evacuation.h"

#include "broker/again.h"
#include "broker/emptied.h"
#include "broker/job.h"
#include "broker/leave.h"
#include "broker/place.h"
#include "broker/planned.h"
#include "broker/times.h"
#include "store/record.h"

#include <string.h>

enum { BATCHES_MAX = 16 }; /* that wait for the end of one host's evacuation */

/* ---- the request */

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
    return *rec->why == '\0' || strcmp(rec->why, WHY_BEGUN) == 0 ||
           strcmp(rec->why, WHY_EMPTY) == 0 || strcmp(rec->why, WHY_LEFT) == 0 ||
           strcmp(rec->why, WHY_MUTE) == 0;
}

static void close_host(struct core *core, const struct request *request, struct host *host,
                       const char *reason)
{
    const char *why = host_link_is_up(&host->link) ? WHY_BEGUN : WHY_MUTE;

    if (host->rec->state != RM_HOST_STATE__HOST_CLOSED || *reason != '\0' || why_is_ours(host->rec))
        host_set_state(core, host, RM_HOST_STATE__HOST_CLOSED, request->peer->user,
                       *reason != '\0' ? reason : why);
}

static void begin_emptying(struct host *host, uint64_t batch)
{
    host_begin_emptying(host, batch);
    host_empty_for(host, batch, batch);
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
            begin_emptying(sub->never[i], request->reply->batch);
        else
            batch_account(core, request->reply->batch, sub->never[i], false, 0,
                          emptied_nobody_sees(core, sub->never[i], 0));
    leave_note_room(sub);
}

/* Who leaves the hosts now? False: one of them may show itself in a moment, and the request waits for that. */
static bool look_at_hosts(struct core *core, struct request *request, struct submission *sub)
{
    for (size_t i = 0; i < sub->n_never; i++)
        if (!host_link_is_up(&sub->never[i]->link) && place_may_come(core, sub->never[i]))
            request_hold(request);
    for (size_t i = 0; i < sub->n_never && !request->held; i++)
        leave_host(core, request, sub, sub->never[i], 0);
    return !request->held;
}

static void go(struct core *core, struct request *request, struct submission *sub)
{
    if (is_refused(core, request, sub))
        submission_refuse(core, request, sub);
    else if (submission_has_room(core, request, sub))
        carry_out(core, request, sub);
}

void evacuation_request(struct core *core, struct request *request)
{
    const RmEvacuate *evacuate = request->message->evacuate;
    struct submission sub;

    if (leave_begin(core, request, &sub) && look_at_hosts(core, request, &sub)) {
        leave_find_places(core, request, &sub, 0);
        times_order(core, &sub);
        if (sub.look_only) {
            submission_carry_out(core, request, &sub);
            times_tell(core, request->reply, &sub);
        } else {
            go(core, request, &sub);
        }
        if (evacuate->plan_only && evacuate->keep && request->peer->role >= ROLE_OPERATOR)
            planned_keep(core, request, &sub);
    }
    leave_done(&sub);
}

/* ---- a plan that was kept */

/* Nothing is done, and a new plan made where that is wished. */
static void refuse_plan(struct core *core, struct request *request, const RmPlan *plan, bool replan)
{
    RmReply *reply = request->reply;

    reply->n_outcomes = 0;
    reply->outcomes = NULL;
    if (replan) {
        evacuation_request(core, request);
        if (request->held)
            return;
    }
    if (replan && reply->plan != 0)
        request_refuse(core, request, RM_CODE__CODE_CHANGED,
                       "plan %llu is not applied, things have changed; plan %llu is made instead",
                       (unsigned long long)plan->id, (unsigned long long)reply->plan);
    else
        request_refuse(core, request, RM_CODE__CODE_CHANGED,
                       "plan %llu is not applied, and nothing is moved: things have changed",
                       (unsigned long long)plan->id);
}

static void apply(struct core *core, struct request *request, RmPlan *plan, bool replan)
{
    const char *over = planned_over(core, plan);
    struct submission sub;

    if (over && (!replan || plan->batch != 0)) {
        request_refuse(core, request, RM_CODE__CODE_CHANGED, "plan %llu %s",
                       (unsigned long long)plan->id, over);
        return;
    }
    if (over) {
        planned_changed(core, request, plan, over);
    } else {
        if (leave_planned(core, request, plan, &sub) && look_at_hosts(core, request, &sub) &&
            planned_fill(core, request, plan, &sub))
            go(core, request, &sub);
        if (request->reply->batch != 0)
            planned_applied(core, plan, request->peer->user, request->reply->batch);
        leave_done(&sub);
    }
    if (request->reply->n_changes > 0) {
        plan->asked->plan_only = plan->asked->keep = true;
        refuse_plan(core, request, plan, replan);
    }
}

void evacuation_apply(struct core *core, struct request *request)
{
    bool replan = request->message->apply->replan;
    RmPlan *plan = planned_find(core, request, request->message->apply->plan);
    RmRequest message = *request->message;
    struct request own;

    if (!plan)
        return;
    plan->asked->plan_only = plan->asked->keep = false;
    message.ask_case = RM_REQUEST__ASK_EVACUATE;
    message.evacuate = plan->asked;
    request_init(core, &own, request->peer, request->tag, &message, request->reply);
    apply(core, &own, plan, replan);
    if (own.held)
        request_hold(request);
    request_done(&own);
}

/* ---- what is tried again */

static uint64_t first_of(const RmBatch *batch)
{
    return batch->first != 0 ? batch->first : batch->id;
}

static bool waits(const struct host *host, uint64_t first)
{
    const RmEmptying *emptying = host ? host->rec->emptying : NULL;

    for (size_t i = 0; emptying && i < emptying->n_batches; i++)
        if (emptying->firsts[i] == first)
            return true;
    return false;
}

bool evacuation_has_room(struct core *core, const RmJob *old)
{
    const struct host *host = host_find(core, old->source);

    return !old->evacuation || !host || !host->rec->emptying ||
           host->rec->emptying->n_batches < BATCHES_MAX || waits(host, again_first(old));
}

/* Is it closed still by an evacuation, and is that batch one of it? Whoever closed it for another reason since does not
 * want it emptied. */
static bool is_still_ours(const struct host *host, const RmBatch *first)
{
    return batch_is_of_host(first, host->rec->name) &&
           host->rec->state == RM_HOST_STATE__HOST_CLOSED &&
           (host->rec->evacuation != 0 || host->rec->emptying);
}

void evacuation_again(struct core *core, const RmJob *old, uint64_t batch, const char *who)
{
    struct host *host = host_find(core, old->source);
    uint64_t first = again_first(old);
    RmBatch *asked;

    if (!old->evacuation || !host || !host_link_is_up(&host->link) ||
        record_batch_get(core->store, first, core->arena, &asked) < 0 || !asked->evacuation ||
        !is_still_ours(host, asked))
        return;
    if (!host->rec->emptying && why_is_ours(host->rec))
        host_set_state(core, host, RM_HOST_STATE__HOST_CLOSED, who, WHY_BEGUN);
    if (!host->rec->emptying || *host->rec->emptying->cancelled_by != '\0')
        host_begin_emptying(host, first);
    host_empty_for(host, batch != 0 ? batch : first, first);
    if (batch != 0)
        batch_evacuates(core, batch, host);
}

void evacuation_cancel(struct core *core, struct request *request, uint64_t id)
{
    RmReply *reply = request->reply;
    RmBatch *batch = NULL;

    if (id != 0 && record_batch_get(core->store, id, core->arena, &batch) < 0)
        return;
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        if (!host->rec->emptying ||
            (batch && (host->rec->emptying->n_batches > 1 || !waits(host, first_of(batch)))))
            continue;
        host_cancel_emptying(host, request->peer->user);
        if (reply->code == RM_CODE__CODE_SOME_FAILED && reply->n_outcomes == 0) {
            reply->code = RM_CODE__CODE_OK; /* that no job is left is no failure then */
            reply->text = (char *)"";
        }
        if (*reply->text == '\0' && (reply->n_outcomes == 0 || !reply->outcomes[0]->job))
            request_host_outcome(core, request, host->rec->name, true,
                                 "is not emptied any further");
    }
}

bool evacuation_is_of(struct core *core, const RmBatch *batch, const char *name)
{
    return waits(host_find(core, name), first_of(batch));
}

bool evacuation_is_open(struct core *core, const RmBatch *batch)
{
    for (size_t i = 0; i < batch->n_evacuate; i++)
        if (evacuation_is_of(core, batch, batch->evacuate[i]))
            return true;
    return false;
}
