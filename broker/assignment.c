/* assignment.c - what a worker gets to know of a job */
#include "broker/assignment.h"

void assignment_options(const struct core *core, const struct job *job, RmOptions *ret)
{
    const struct conf_migration *usual = &core->conf->migration;

    rm_options__init(ret);
    if (job->ask->options)
        *ret = *job->ask->options;
    if (ret->bandwidth == 0)
        ret->bandwidth = usual->bandwidth;
    if (ret->downtime_for == 0)
        ret->downtime_for = usual->downtime;
    if (ret->timeout_for == 0)
        ret->timeout_for = usual->timeout;
    if (ret->stall_for == 0)
        ret->stall_for = usual->stall;
    if (ret->attempts == 0)
        ret->attempts = core->conf->attempts;
    if (ret->fence == 0)
        ret->fence = 1 + (uint32_t)usual->fence;
    ret->auto_converge = ret->auto_converge || usual->auto_converge;
}

RmAssignment *assignment_of(struct core *core, const struct job *job)
{
    RmAssignment *one = core_alloc(core, sizeof(*one));

    rm_assignment__init(one);
    one->job = job->id;
    one->attempt = job->live.attempt;
    one->turn = job->live.turn;
    one->guest = job->ask->guest;
    one->uuid = job->ask->uuid;
    one->domain = job->ask->domain;
    one->host = job->source->rec->name;
    one->options = core_alloc(core, sizeof(*one->options));
    assignment_options(core, job, one->options);
    if (job->destination) {
        one->destination = job->destination->rec->name;
        one->peer = job->destination->rec->peer;
        one->migration = job->destination->rec->migration;
        const RmMark *mark = guest_mark(job->guest, one->destination);
        one->may_be_left = mark && mark->copy;
    }
    return one;
}
