/* recover.c - jobs in doubt: somebody is asked to look at both hypervisors
 *
 * The worker of the source is asked, or, when it has none, the one of the destination, which
 * reaches the source's hypervisor by its peer address. Whoever looks may also mend
 * (worker/settle.h). Nothing is decided here: the report says where the guest is. As long as nobody
 * can look, the job stays in doubt and its guest locked. */
#include "broker/state.h"

#include <stdio.h>

enum {
    ANSWER_SECONDS = 60, /* a worker that was asked and says nothing is asked again */
    NOBODY_SECONDS = 2,
};

static void ask(struct core *core, struct job *job, struct host *by)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmAssign body = RM_ASSIGN__INIT;
    RmAssignment *one = queue_assignment(core, job);

    job->settle_at = core->now + (usec_t)ANSWER_SECONDS * USEC_PER_SEC;
    if (one == NULL)
        return;
    one->settle = true;
    one->source_peer = job->source->rec->peer;
    one->guest_paused = job->live.guest_paused;
    one->had_definition = job->live.had_definition;
    one->cancel_wanted = job->live.cancel_wanted;
    one->fence = job->live.fence;
    body.session = by->session->id;
    body.n_jobs = 1;
    body.jobs = &one;
    message.body_case = RM_MESSAGE__BODY_ASSIGN;
    message.assign = &body;
    core_send(core, &by->session->peer, 0, &message);
    job->settler = by->session->id;
}

void recover_tick(struct core *core)
{
    struct job *job;

    DL_FOREACH2 (core->doubt, job, q_next) {
        char text[600];
        if (job->settle_at > core->now)
            continue;
        if (job->source->session != NULL) {
            ask(core, job, job->source);
        } else if (job->destination != NULL && job->destination->session != NULL) {
            ask(core, job, job->destination);
        } else {
            snprintf(text, sizeof(text), "nobody can look: neither %s nor %s has a worker",
                     job->source->rec->name,
                     job->destination != NULL ? job->destination->rec->name : "its destination");
            job_why(core, job, text);
            job->settle_at = core->now + (usec_t)NOBODY_SECONDS * USEC_PER_SEC;
        }
    }
}

usec_t recover_deadline(const struct core *core)
{
    usec_t first = USEC_NEVER;
    struct job *job;

    DL_FOREACH2 (core->doubt, job, q_next)
        if (job->settle_at < first)
            first = job->settle_at;
    return first;
}
