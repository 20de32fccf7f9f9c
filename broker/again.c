/* again.c - jobs that are tried again: which batch they are of, and which job stands for them now */
#include "broker/again.h"

#include "broker/guest.h"
#include "broker/job.h"
#include "store/record.h"

uint64_t again_first(const RmJob *job)
{
    return job->first_batch != 0 ? job->first_batch : job->batch;
}

/* In most cases the newest job of the guest is of that row: a long one need not be walked. 0: it is not. */
static uint64_t look_at_guest(struct core *core, uint64_t id)
{
    const struct guest *guest;
    RmJob *old, *newest;

    if (record_job_get(core->store, id, core->arena, &old) < 0 ||
        !(guest = guest_find(core, old->guest)) || guest->rec->last_job <= id ||
        record_job_get(core->store, guest->rec->last_job, core->arena, &newest) < 0)
        return 0;
    uint64_t first = old->first_job != 0 ? old->first_job : id;
    return newest->first_job == first ? newest->id : 0;
}

uint64_t again_newest(struct core *core, uint64_t id)
{
    RmResult *result;
    uint64_t newest;

    while (!job_find(core, id) && record_result_get(core->store, id, core->arena, &result) == 0 &&
           result->again > id) {
        if ((newest = look_at_guest(core, id)) != 0)
            return newest;
        id = result->again;
    }
    return id;
}
