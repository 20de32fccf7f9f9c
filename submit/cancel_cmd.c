/* cancel_cmd.c - action=CANCEL
 *
 * A relocation that no job began is stopped by its hypervisor, and the broker answers only when that
 * has reported. Of a job the broker only requests the end, which is waited for here. */
#include "submit/cancel_cmd.h"

#include "conf/service.h"
#include "conf/unit.h"
#include "submit/job_pages.h"
#include "submit/job_view.h"
#include "submit/out.h"
#include "submit/outcome.h"
#include "wire/job.h"

#include <inttypes.h>
#include <stdlib.h>

/* How long an end is waited for, and how often a job is looked at meanwhile. */
#define STOP_MOST  (60 * USEC_PER_SEC)
#define LOOK_EVERY (200 * USEC_PER_MSEC)

/* What became of the job of an outcome that is: being stopped. */
static void judge(struct arena *arena, RmOutcome *outcome, const RmJobView *view)
{
    char span[UNIT_TEXT_MAX];
    bool over = job_is_final(view->state);
    const char *text = view_stopped(arena, view);
    if (!over)
        text = arena_printf(arena, "job %" PRIu64 " has not ended within %s, it is still %s",
                            view->job->id, unit_duration_text(STOP_MOST, span),
                            job_state_name(view->state));
    char *name = arena_strdup(arena, view->job->guest);
    outcome->ok = view->state == RM_STATE__CANCELLED;
    outcome->name = name ? name : outcome->name;
    outcome->text = text ? (char *)text : outcome->text;
}

static void judge_all(struct arena *arena, const RmReply *reply, const struct job_pages *pages)
{
    for (size_t i = 0; i < reply->n_outcomes; i++)
        for (size_t j = 0; reply->outcomes[i]->job && j < pages->n; j++)
            if (pages->jobs[j]->job->id == reply->outcomes[i]->job)
                judge(arena, reply->outcomes[i], pages->jobs[j]);
}

/* Looks until all are over, or the time is; the last look is put into the outcomes. */
static int await(struct client *client, const RmReply *reply, RmSelect *what)
{
    usec_t end = env_now(env_system()) + STOP_MOST;
    for (;;) {
        RmListJobs list = RM_LIST_JOBS__INIT;
        struct job_pages pages = {0};
        struct arena *page = arena_new(0);
        list.what = what;
        list.finished = true;
        int code = page ? job_pages_ask(client, &list, 0, page, &pages) : out_no_memory();
        bool over = true;
        for (size_t i = 0; i < pages.n; i++)
            over = over && job_is_final(pages.jobs[i]->state);
        bool last = over || code != EXIT_OK || env_now(env_system()) >= end;
        if (last && code == EXIT_OK)
            judge_all(client_arena(client), reply, &pages);
        arena_free(page);
        if (last)
            return code;
        int r = client_sleep(client, LOOK_EVERY);
        if (r < 0)
            return client_code(client, r);
    }
}

static int await_jobs(struct client *client, const RmReply *reply)
{
    uint64_t *ids = arena_alloc(client_arena(client), (reply->n_outcomes + 1) * sizeof(*ids));
    RmSelect what = RM_SELECT__INIT;
    if (!ids)
        return out_no_memory();
    for (size_t i = 0; i < reply->n_outcomes; i++)
        if (reply->outcomes[i]->ok && reply->outcomes[i]->job)
            ids[what.n_jobs++] = reply->outcomes[i]->job;
    what.jobs = ids;
    return what.n_jobs > 0 ? await(client, reply, &what) : EXIT_OK;
}

int cancel_guests(struct client *client, const struct args *args)
{
    RmSelect what = RM_SELECT__INIT;
    what.guests = args->operands[0];
    what.reason = (char *)args->reason;
    what.wait_for = STOP_MOST;
    RmRequest request = client_request(RM_REQUEST__ASK_CANCEL, &what);
    RmReply *reply;
    if (args->verbose && args->to[0])
        out_note("action=%s needs no destination, '%s' is ignored", args->zvm.action_text,
                 args->to);
    int code = client_question(client, &request, what.wait_for, NULL, &reply);
    if (reply && (code == EXIT_OK || reply->n_outcomes > 0)) {
        int waited = await_jobs(client, reply);
        int some = outcome_print(args, reply);
        code = code != EXIT_OK ? code : waited != EXIT_OK ? waited : some;
    }
    return code;
}
