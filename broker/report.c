/* report.c - what workers say of jobs, and what follows: done, another try, failed, in doubt
 *
 * The verdict of a report says where the guest is; it was found by looking at both hypervisors. The
 * class says what the failure means for another try. Reports of an older attempt change nothing. */
#include "broker/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MOST_SECONDS = 300, /* the longest wait before another try */
    ASK_AGAIN_SECONDS = 5,    /* a job in doubt whose hosts could not be asked */
};

static void order(struct core *core, const struct session *session, const RmReport *report,
                  RmOrderKind kind)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmOrders body = RM_ORDERS__INIT;
    RmOrder one = RM_ORDER__INIT;
    RmOrder *list[] = {&one};

    one.kind = kind;
    one.job = report->job;
    one.attempt = report->attempt;
    body.heard = session->heard;
    body.n_orders = 1;
    body.orders = list;
    message.body_case = RM_MESSAGE__BODY_ORDERS;
    message.orders = &body;
    core_send(core, &session->peer, 0, &message);
}

static void finish(struct core *core, struct job *job, RmEventKind event, const char *who,
                   const RmReport *report, const char *text)
{
    struct ending ending = {.text = text, .report = report};

    ending.already = report != NULL && report->already && event == RM_EVENT_KIND__FINISHED;
    job_finish(core, job, event, who, &ending);
}

static void add_unfit(struct job *job)
{
    char **unfit;

    if (job->destination == NULL)
        return;
    unfit = realloc(job->live.unfit, (job->live.n_unfit + 1) * sizeof(*unfit));
    if (unfit == NULL)
        return;
    job->live.unfit = unfit;
    unfit[job->live.n_unfit] = (char *)protobuf_c_empty_string;
    job_set(&unfit[job->live.n_unfit++], job->destination->rec->name);
}

/* The guest is at its source and unharmed: what now? event: the move for another try from the
 * present state. */
static void try_again(struct core *core, struct job *job, RmEventKind event, const char *who,
                      const RmReport *report)
{
    unsigned most = job->ask->options != NULL && job->ask->options->attempts > 0
                        ? job->ask->options->attempts
                        : core->conf->attempts;
    usec_t wait = core->conf->retry_wait;
    char why[512];

    if (job->live.cancel_wanted) {
        char text[300];
        snprintf(text, sizeof(text), "cancelled by %s", job->live.cancelled_by);
        finish(core, job, RM_EVENT_KIND__STOPPED, who, report, text);
        return;
    }
    if (report->class_ == RM_CLASS__CLASS_FATAL || report->class_ == RM_CLASS__CLASS_ABORTED) {
        finish(core, job, RM_EVENT_KIND__FAILED_FOR_GOOD, who, report, report->text);
        return;
    }
    if (report->class_ == RM_CLASS__CLASS_UNFIT) {
        struct host *other;
        add_unfit(job);
        other = place_again(core, job, why, sizeof(why));
        if (other == NULL) {
            finish(core, job, RM_EVENT_KIND__FAILED_FOR_GOOD, who, report, report->text);
            return;
        }
        job_set_destination(core, job, other);
        wait = 0;
    } else if (job->live.attempt >= most) {
        finish(core, job, RM_EVENT_KIND__FAILED_FOR_GOOD, who, report, report->text);
        return;
    }
    for (unsigned i = 1; i < job->live.attempt && wait < RETRY_MOST_SECONDS * USEC_PER_SEC; i++)
        wait *= 2;
    if (wait > RETRY_MOST_SECONDS * USEC_PER_SEC)
        wait = RETRY_MOST_SECONDS * USEC_PER_SEC;
    job->ready_at = core->now + wait;
    job_move(core, job, event, who, report->text);
}

/* What may be left at the destination is not known only while that does not answer. */
static void note_left(struct core *core, struct job *job, const char *who, const RmReport *report)
{
    bool was = *job->live.left != '\0' && strcmp(job->live.left, job->live.destination) == 0;

    if (report->may_have_left)
        job_set(&job->live.left, job->live.destination);
    else if (was && (report->verdict == RM_VERDICT__VERDICT_SOURCE ||
                     report->verdict == RM_VERDICT__VERDICT_DESTINATION))
        job_set(&job->live.left, "");
    else
        return;
    job_note(core, job, who,
             report->may_have_left ? *report->notes != '\0' ? report->notes : "a copy may be left"
                                   : "nothing is left at the destination any more");
}

/* How the try is made, as settling must know it. False: that was known. Who follows a try of which
 * that is not known teaches nothing. */
static bool learn(struct job *job, const RmReport *report)
{
    RmLive *live = &job->live;
    bool news = live->guest_paused != report->guest_paused ||
                live->had_definition != report->had_definition ||
                strcmp(live->fence, report->fence) != 0;

    if (*report->fence == '\0')
        return false;
    live->guest_paused = report->guest_paused;
    live->had_definition = report->had_definition;
    job_set(&live->fence, report->fence);
    return news;
}

static void on_accepted(struct core *core, struct session *session, struct job *job,
                        const RmReport *report)
{
    const char *who = session->peer.user;
    RmState state = job->live.state;
    bool news;

    if (!job_is_active(state))
        return;
    news = learn(job, report);
    job->holder = session->id;
    if (state == RM_STATE__ASSIGNED) {
        job->live.started_at = core->wall;
        job_move(core, job, RM_EVENT_KIND__ACCEPTED, who,
                 *report->text != '\0' ? report->text : NULL);
    } else if (state == RM_STATE__DOUBT) {
        session_goes_on(core, session, job, *report->text != '\0' ? report->text : NULL);
    } else if (news) { /* otherwise it was said before */
        job_note(core, job, who,
                 state == RM_STATE__CANCELLING ? "begun before the wish to stop it arrived"
                                               : "begun");
    }
}

static void on_refused(struct core *core, struct session *session, struct job *job,
                       const RmReport *report)
{
    RmState state = job->live.state;

    if (state == RM_STATE__ASSIGNED || state == RM_STATE__CANCELLING) {
        try_again(core, job, RM_EVENT_KIND__REFUSED, session->peer.user, report);
    } else if (state == RM_STATE__RUNNING) { /* its worker came back with it before it had begun */
        try_again(core, job, RM_EVENT_KIND__RETRY, session->peer.user, report);
    } else if (state == RM_STATE__DOUBT) { /* it cannot find out now */
        job->settler = 0;
        job->settle_at = core->now + (usec_t)ASK_AGAIN_SECONDS * USEC_PER_SEC;
    }
}

static void on_progress(struct core *core, struct job *job, const RmReport *report)
{
    if (report->stats != NULL)
        job->stats = *report->stats;
    if (strcmp(report->phase, "copying") == 0)
        job->phase = "copying";
    else if (strcmp(report->phase, "settling") == 0)
        job->phase = "settling";
    else
        job->phase = "checking";
    job_touch(core, job);
}

/* A third hypervisor that shows the guest active: it was moved by somebody else. */
static struct host *third(struct core *core, const struct job *job)
{
    struct sighting *s;

    (void)core;
    DL_FOREACH2 (job->guest->sightings, s, g_next)
        if (guest_is_active(s->state) && s->host != job->source && s->host != job->destination &&
            s->host->session != NULL && strcmp(s->uuid, job->ask->uuid) == 0)
            return s->host;
    return NULL;
}

static void doubt(struct core *core, struct job *job, const char *who, const char *text)
{
    if (job->live.state != RM_STATE__DOUBT)
        job_move(core, job, RM_EVENT_KIND__LOST, who, text);
}

static void lost_guest(struct core *core, struct job *job, const char *who, RmEventKind event,
                       const RmReport *report)
{
    struct host *place = event == RM_EVENT_KIND__NOWHERE ? third(core, job) : NULL;
    struct ending ending = {.report = report, .place = place};
    char text[RM_ERR_MAX];

    doubt(core, job, who, report->text);
    if (place != NULL) {
        event = RM_EVENT_KIND__MOVED;
        snprintf(text, sizeof(text), "the guest has been moved to %s by somebody else",
                 place->rec->name);
    } else if (event == RM_EVENT_KIND__NOWHERE) {
        ending.locked = true;
        snprintf(text, sizeof(text), "the guest runs neither on %s nor on %s: %s", job->live.source,
                 job->live.destination, report->text);
    } else if (event == RM_EVENT_KIND__ON_BOTH) {
        ending.locked = true;
        snprintf(text, sizeof(text),
                 "THE GUEST RUNS ON BOTH %s AND %s, stop the copy on one of them by hand: %s",
                 job->live.source, job->live.destination, report->text);
    } else {
        snprintf(text, sizeof(text), "%s", report->text);
    }
    ending.text = text;
    job_finish(core, job, event, who, &ending);
}

static void on_finished(struct core *core, struct session *session, struct job *job,
                        const RmReport *report)
{
    const char *who = session->peer.user;
    bool settled = job->live.state == RM_STATE__DOUBT;

    if (job->live.state != RM_STATE__ASSIGNED && job->live.state != RM_STATE__RUNNING &&
        job->live.state != RM_STATE__CANCELLING && !settled)
        return;
    note_left(core, job, who, report);
    if (*report->notes != '\0' && !report->may_have_left)
        job_note(core, job, who, report->notes);
    if (job->live.state == RM_STATE__ASSIGNED && report->verdict != RM_VERDICT__VERDICT_DESTINATION)
        job_move(core, job, RM_EVENT_KIND__ACCEPTED, who, NULL); /* that report was lost */
    if ((report->verdict == RM_VERDICT__VERDICT_BOTH ||
         report->verdict == RM_VERDICT__VERDICT_NOWHERE) &&
        *report->fence == '\0' && *job->live.fence != '\0') {
        /* It did not know how the try was made, which has been told since: that may make it plain.
         */
        doubt(core, job, who, report->text);
        job->settler = 0;
        job->settle_at = core->now;
        return;
    }
    switch (report->verdict) {
    case RM_VERDICT__VERDICT_DESTINATION:
        finish(core, job, settled ? RM_EVENT_KIND__AT_DESTINATION : RM_EVENT_KIND__FINISHED, who,
               report, "");
        break;
    case RM_VERDICT__VERDICT_SOURCE:
        if (settled && core->now < job->quiet_at) {
            job->settler = 0;
            job->settle_at = job->quiet_at;
            break;
        }
        if (job->live.state == RM_STATE__CANCELLING)
            job->live.cancel_wanted = true;
        try_again(core, job, settled ? RM_EVENT_KIND__AT_SOURCE : RM_EVENT_KIND__RETRY, who,
                  report);
        break;
    case RM_VERDICT__VERDICT_NOWHERE:
        lost_guest(core, job, who, RM_EVENT_KIND__NOWHERE, report);
        break;
    case RM_VERDICT__VERDICT_BOTH:
        lost_guest(core, job, who, RM_EVENT_KIND__ON_BOTH, report);
        break;
    case RM_VERDICT__VERDICT_ENDED:
        lost_guest(core, job, who, RM_EVENT_KIND__GUEST_ENDED, report);
        break;
    default: /* not known, or still moving: somebody asks again */
        if (settled && strcmp(job->live.text, report->text) != 0) {
            job_set(&job->live.text, report->text);
            job_note(core, job, who, report->text);
            job_touch(core, job);
        }
        doubt(core, job, who, report->text);
        job->settler = 0;
        job->settle_at = core->now + (usec_t)ASK_AGAIN_SECONDS * USEC_PER_SEC;
    }
}

/* In doubt whoever looks may speak; otherwise only the one that has the job in hand: another one's
 * look may have been made before it was begun, or be followed by that. */
static bool concerns(const struct session *session, const struct job *job)
{
    bool at_source = job->source->session == session;

    if (job->live.state == RM_STATE__DOUBT)
        return at_source || job->settler == session->id;
    return job->holder != 0 ? job->holder == session->id : at_source;
}

void report_input(struct core *core, struct session *session, const RmReport *report)
{
    struct job *job = job_find(core, report->job);
    bool result = report->kind == RM_REPORT_KIND__REPORT_FINISHED ||
                  report->kind == RM_REPORT_KIND__REPORT_REFUSED;

    if (job == NULL || report->attempt != job->live.attempt) {
        order(core, session, report,
              result ? RM_ORDER_KIND__ORDER_ACKNOWLEDGED : RM_ORDER_KIND__ORDER_STOP);
        return;
    }
    if (!concerns(session, job)) {
        /* The try is wanted, but in other hands: nothing is stopped. */
        if (result)
            order(core, session, report, RM_ORDER_KIND__ORDER_ACKNOWLEDGED);
        return;
    }
    switch (report->kind) {
    case RM_REPORT_KIND__REPORT_ACCEPTED:
        on_accepted(core, session, job, report);
        break;
    case RM_REPORT_KIND__REPORT_REFUSED:
        on_refused(core, session, job, report);
        break;
    case RM_REPORT_KIND__REPORT_PROGRESS:
        on_progress(core, job, report);
        break;
    case RM_REPORT_KIND__REPORT_FINISHED:
        on_finished(core, session, job, report);
        break;
    default:
        break;
    }
    if (result)
        order(core, session, report, RM_ORDER_KIND__ORDER_ACKNOWLEDGED);
}
