/* hold_control.c - requests that pause and resume the whole site, or all that leaves a hypervisor */
#include "broker/hold_control.h"

#include "broker/hold.h"
#include "broker/job.h"

#include <stdio.h>

bool hold_control_is_meant(const RmSelect *what)
{
    bool jobs = what->n_jobs > 0 || what->batch != 0 || *what->guests != '\0' ||
                *what->to != '\0' || what->all;

    return what->site || (*what->host != '\0' && !jobs);
}

/* One outcome, about a hypervisor or (NULL) the site. */
static void outcome(struct core *core, struct request *request, const struct host *host, bool ok,
                    const char *text)
{
    if (host)
        request_host_outcome(core, request, host->rec->name, ok, "%s", text);
    else
        request_outcome(core, request, "site", ok, "%s", text)->guest = (char *)"";
}

/* What a person types to lift it. */
static const char *remedy(struct core *core, const struct host *host)
{
    return !host ? "`rmigrate resume --site`"
                 : core_printf(core, "`rmigrate resume --host %s`", host->rec->name);
}

typedef void each_f(struct core *core, struct request *request, struct host *host,
                    const RmSelect *what);

/* Calls f with what is meant. */
static void each(struct core *core, struct request *request, const RmSelect *what, each_f *f)
{
    struct noderange hosts = {0};

    if (what->site && *what->host == '\0') {
        f(core, request, NULL, what);
        return;
    }
    if (what->site) {
        request_refuse(core, request, RM_CODE__CODE_USAGE, "--site and --host exclude each other");
        return;
    }
    if (!request_hosts(core, request, what->host, &hosts))
        return;
    for (size_t i = 0; i < hosts.n; i++)
        f(core, request, host_make(core, hosts.names[i]), what);
    noderange_done(&hosts);
}

static unsigned n_running(const struct core *core, const struct host *host)
{
    return host ? host->load.n_out : core->jobs.n_active;
}

static void pause(struct core *core, struct request *request, struct host *host,
                  const RmSelect *what)
{
    const char *before = hold_holders(core, host), *text;
    unsigned n = n_running(core, host);

    switch (hold_put(core, host, request->peer->user, what->reason)) {
    case HOLD_SAME:
        text = core_printf(core, "is already paused by %s", before);
        break;
    case HOLD_OTHER_REASON:
        text = "is already paused; the reason is another one now";
        break;
    default:
        text = core_printf(core, "paused: no migration%s%s begins before %s%s",
                           host ? " from " : "", host ? host->rec->name : "", remedy(core, host),
                           n == 0   ? ""
                           : n == 1 ? "; 1 that runs goes on"
                                    : core_printf(core, "; %u that run go on", n));
        if (before)
            text = core_printf(core, "%s; it is paused by %s too", text, before);
    }
    outcome(core, request, host, true, text);
}

void hold_control_pause(struct core *core, struct request *request, const RmSelect *what)
{
    each(core, request, what, pause);
}

static void resume(struct core *core, struct request *request, struct host *host,
                   const RmSelect *what)
{
    const char *who = request->peer->user, *by = hold_holders(core, host), *list, *still;
    char why[600];

    if (!hold_lift(core, host, who, what->reason)) {
        list = hold_list(core);
        outcome(core, request, host, true,
                list ? core_printf(core, "is not paused as a whole; paused are: %s", list)
                     : "is not paused as a whole");
        return;
    }
    still = hold_holders(core, host);
    if (still)
        outcome(core, request, host, false,
                core_printf(core,
                            "is still paused by %s; only your own pause is over, %s again "
                            "ends that one too",
                            still, remedy(core, host)));
    else if (host && hold_keeps(core, host, why, sizeof(why)))
        outcome(core, request, host, true,
                core_printf(core, "resumed, it was paused by %s; but %s", by, why));
    else
        outcome(core, request, host, true, core_printf(core, "resumed, it was paused by %s", by));
}

bool hold_control_resume(struct core *core, struct request *request, const RmSelect *what)
{
    bool any = what->site;
    struct noderange hosts = {0};

    if (!any && request_hosts(core, request, what->host, &hosts)) {
        for (size_t i = 0; i < hosts.n; i++)
            any = any || hold_holders(core, host_make(core, hosts.names[i]));
        noderange_done(&hosts);
    } else if (!any) {
        return true; /* refused */
    }
    each(core, request, what, resume);
    return any;
}

/* Does the batch have a job there? */
static bool has_job(const struct host *host, uint64_t batch)
{
    const struct job *job;

    DL_FOREACH2 (host->jobs.leaving, job, s_next)
        if (job->ask->batch == batch)
            return true;
    return false;
}

void hold_control_warn(struct core *core, struct request *request)
{
    RmReply *reply = request->reply;
    const char *site = hold_holders(core, NULL);

    if (reply->n_warnings > 0)
        return;
    if (site)
        CORE_PUSH(core, reply->n_warnings, reply->warnings,
                  core_printf(core, "all migrations are paused by %s: none begins before %s", site,
                              remedy(core, NULL)));
    for (const struct host *host = core->hosts; host; host = host->hh.next) {
        const char *by = hold_holders(core, host);
        if (by && reply->batch != 0 && has_job(host, reply->batch))
            CORE_PUSH(core, reply->n_warnings, reply->warnings,
                      core_printf(core,
                                  "all migrations from %s are paused by %s: none begins before %s",
                                  host->rec->name, by, remedy(core, host)));
    }
}
