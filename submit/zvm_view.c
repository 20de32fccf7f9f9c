/* zvm_view.c - a job of a guest on z/VM in the words of xCAT */
#include "submit/zvm_view.h"

#include <string.h>

/* "Running VMRELOCATE action=MOVE against LNX3...": the user id, in capitals where the guest's name
 * is all that is known of it. */
static const char *running(struct arena *arena, const RmJob *job, const char *action,
                           const char *end, const char *text)
{
    char *user = arena_strdup(arena, job->domain[0] ? job->domain : job->guest);
    for (char *p = user; p && *p; p++)
        if (!job->domain[0] && *p >= 'a' && *p <= 'z')
            *p = (char)(*p - 'a' + 'A');
    return arena_printf(arena, "Running VMRELOCATE action=%s against %s... %s%s", action,
                        user ? user : "?", end, text);
}

static const char *action_of(const RmJob *job)
{
    const RmRelocation *asked = job->options ? job->options->relocation : NULL;
    return asked && asked->action[0] ? asked->action : "MOVE";
}

const char *zvm_done(struct arena *arena, const RmJobView *view)
{
    return running(arena, view->job, action_of(view->job), "Done", "");
}

const char *zvm_failed(struct arena *arena, const RmJobView *view, const char *text)
{
    return running(arena, view->job, action_of(view->job), "Failed: ", text);
}

const char *zvm_stopped(struct arena *arena, const RmJobView *view)
{
    return running(arena, view->job, "CANCEL", "Done", "");
}

const char *zvm_not_stopped(struct arena *arena, const RmJobView *view, const char *text)
{
    return running(arena, view->job, "CANCEL", "Failed: ", text);
}

const char *zvm_identity(struct arena *arena, const RmJob *job)
{
    const char *slash = strchr(job->uuid, '/');
    return slash ? arena_printf(arena, "z/VM user %.*s in SSI cluster %s", (int)(slash - job->uuid),
                                job->uuid, slash + 1)
                 : arena_printf(arena, "uuid %s", job->uuid);
}
