/* doubt.c - jobs in doubt: somebody is asked to look at both hypervisors */
#include "broker/doubt.h"

#include "broker/assignment.h"
#include "broker/job.h"
#include "broker/session.h"

#include <stdio.h>

enum {
    ANSWER_SECONDS = 60, /* a worker that was asked and does not answer is asked again */
    NOBODY_SECONDS = 2,
};

/* Sends its holder what it has to know to find out. */
static void send(struct core *core, struct job *job, struct session *session)
{
    RmAssignment *one = assignment_of(core, job);

    one->settle = true;
    one->source_peer = job->source->rec->peer;
    one->guest_paused = job->live.guest_paused;
    one->had_definition = job->live.had_definition;
    one->autostart = job->live.autostart;
    one->cancel_wanted = job->live.cancel_wanted;
    one->fence = job->live.fence;
    session_assign(core, session, &one, 1);
    job_settle_later(core, job, (usec_t)ANSWER_SECONDS * USEC_PER_SEC);
}

static bool may_ask(const struct host *host)
{
    return host && host->link.session && host->link.session->turns;
}

static void ask_nobody(struct core *core, struct job *job)
{
    char text[600];

    snprintf(text, sizeof(text), "nobody can look: neither %s nor %s has a worker",
             job->source->rec->name,
             job->destination ? job->destination->rec->name : "its destination");
    job_why(core, job, text);
    job_settle_later(core, job, (usec_t)NOBODY_SECONDS * USEC_PER_SEC);
}

bool doubt_is_released(struct core *core, struct job *job)
{
    if (!job->release_by || job->holder != 0 || job->free_at > core->now)
        return false;
    job_finish(core, job, RM_EVENT_KIND__RELEASED, job->release_by,
               &(struct job_end){.text = "released by hand while it was in doubt"});
    return true;
}

bool doubt_release(struct core *core, struct job *job, const char *who)
{
    job_release(job, who);
    if (job->holder != 0)
        job_call_off(core, job);
    return doubt_is_released(core, job);
}

static void find_out(struct core *core, struct job *job)
{
    struct session *holder = session_by_id(core, job->holder);
    const struct session *returning = session_by_id(core, job->returning);

    if (doubt_is_released(core, job))
        return;
    if (holder && job->letting_go) {
        /* It would begin the turn again that it has let go meanwhile. */
        job_settle_later(core, job, (usec_t)ANSWER_SECONDS * USEC_PER_SEC);
    } else if (holder) {
        send(core, job, holder); /* the request may have been lost */
    } else if (returning) {
        job_give_back(core, job, returning);
    } else if (may_ask(job->source) || may_ask(job->destination)) {
        holder = may_ask(job->source) ? job->source->link.session : job->destination->link.session;
        job_settle(core, job, holder);
        send(core, job, holder);
    } else {
        ask_nobody(core, job);
    }
}

void doubt_tick(struct core *core)
{
    struct job *job, *next;

    DL_FOREACH_SAFE2 (core->jobs.doubt, job, next, l_next)
        if (job->settle_at <= core->now)
            find_out(core, job);
}

usec_t doubt_deadline(const struct core *core)
{
    usec_t first = USEC_NEVER;
    const struct job *job;

    DL_FOREACH2 (core->jobs.doubt, job, l_next)
        if (job->settle_at < first)
            first = job->settle_at;
    return first;
}
