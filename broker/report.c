/* report.c - what workers report of jobs, and what follows: done, another try, failed, in doubt */
#include "broker/report.h"

#include "broker/doubt.h"
#include "broker/instance.h"
#include "broker/job.h"
#include "broker/place.h"
#include "broker/vm_host.h"
#include "store/record.h"

#include <stdio.h>

enum {
    RETRY_MOST_SECONDS = 300, /* the longest wait before another try */
    ASK_AGAIN_SECONDS = 5,    /* a job in doubt whose hosts could not be asked */
};

/* Ends it; the tables follow its guest. */
static void finish(struct core *core, struct job *job, RmEventKind event, const char *who,
                   const struct job_end *end)
{
    const struct guest *guest = job->guest;
    const struct host *place = end->place;

    if (job_next(job->live.state, event) == RM_STATE__DONE && !place)
        place = job->destination;
    job_finish(core, job, event, who, end);
    if (place)
        vm_host_repair(core, guest, place, NULL);
}

/* Failed, or stopped: the guest is at its source. */
static void give_up(struct core *core, struct job *job, RmEventKind event, const char *who,
                    const RmReport *report, const char *text)
{
    finish(core, job, event, who, &(struct job_end){.text = text, .report = report});
}

static usec_t wait_before(const struct core *core, const struct job *job)
{
    usec_t wait = core->conf->retry_wait, most = (usec_t)RETRY_MOST_SECONDS * USEC_PER_SEC;

    for (unsigned i = 1; i < job->live.attempt && wait < most; i++)
        wait *= 2;
    return wait < most ? wait : most;
}

/* The guest is at its source and unharmed: what now? event: the move for another try from the
 * present state. */
static void try_again(struct core *core, struct job *job, RmEventKind event, const char *who,
                      const RmReport *report)
{
    unsigned most = job->ask->options && job->ask->options->attempts > 0
                        ? job->ask->options->attempts
                        : core->conf->attempts;
    usec_t wait = wait_before(core, job);
    char text[512];

    if (job->live.cancel_wanted) {
        snprintf(text, sizeof(text), "cancelled by %s", job->live.cancelled_by);
        give_up(core, job, RM_EVENT_KIND__STOPPED, who, report, text);
        return;
    }
    if (report->class_ == RM_CLASS__CLASS_FATAL || report->class_ == RM_CLASS__CLASS_ABORTED) {
        give_up(core, job, RM_EVENT_KIND__FAILED_FOR_GOOD, who, report, report->text);
        return;
    }
    /* What was refused without an error says nothing of the destination. */
    if (job->destination && (report->code != 0 || event != RM_EVENT_KIND__REFUSED))
        host_refuses(core, job->destination, job->id, report->text);
    if (report->class_ == RM_CLASS__CLASS_UNFIT) {
        job_unfit(job);
        struct place_answer answer;
        struct host *other = place_again(core, job, &answer);
        if (!other) {
            give_up(core, job, RM_EVENT_KIND__FAILED_FOR_GOOD, who, report, report->text);
            return;
        }
        job_set_destination(core, job, other);
        wait = 0;
    } else if (job->live.attempt >= most) {
        give_up(core, job, RM_EVENT_KIND__FAILED_FOR_GOOD, who, report, report->text);
        return;
    } else if (place_may_choose(job)) {
        job_tried(job);
        /* Those that wait for room come first: what was promised to it is theirs meanwhile. */
        bool gives_way = job->ask->evacuation && place_is_wanted(core, job);
        struct place_answer answer;
        struct host *other = gives_way ? NULL : place_again(core, job, &answer);
        if (other || gives_way)
            job_set_destination(core, job, other);
    }
    job_wait(core, job, event, core->now + wait, who, report->text);
}

/* The destination was seen to have nothing but what belongs there. */
static void clear_copy(struct core *core, struct job *job, const char *who)
{
    const RmMark *mark = guest_mark(job->guest, job->live.destination);

    if (!mark || !mark->copy)
        return;
    guest_mark_clear(core, job->guest, job->live.destination, /* copy = */ true,
                     /* request = */ false);
    job_note(core, job, who, "nothing is left at the destination any more");
}

/* What may be left at the destination is not known only while that does not answer. */
static void note_left(struct core *core, struct job *job, const char *who, const RmReport *report)
{
    if (report->may_have_left) {
        guest_mark_set(core, job->guest, job->live.destination, /* copy = */ true,
                       /* request = */ false);
        job_note(core, job, who, *report->notes != '\0' ? report->notes : "a copy may be left");
    } else if (report->verdict == RM_VERDICT__VERDICT_SOURCE ||
               report->verdict == RM_VERDICT__VERDICT_DESTINATION) {
        clear_copy(core, job, who);
    }
}

/* Daemons that have not answered a request of that worker may still carry it out. */
static void note_unanswered(struct core *core, struct job *job, const RmReport *report)
{
    for (size_t i = 0; i < report->n_unanswered; i++)
        if (strcmp(report->unanswered[i], job->live.source) == 0 ||
            strcmp(report->unanswered[i], job->live.destination) == 0)
            guest_mark_set(core, job->guest, report->unanswered[i], /* copy = */ false,
                           /* request = */ true);
}

static void on_accepted(struct core *core, const struct session *session, struct job *job,
                        const RmReport *report)
{
    const char *text = *report->text != '\0' ? report->text : NULL;
    RmState state = job->live.state;

    if (!job_is_active(state))
        return;
    bool news = job_learn(job, report);
    clear_copy(core, job, session->peer.user); /* it would not have begun */
    if (state == RM_STATE__ASSIGNED) {
        job_accept(core, job, session, core->wall, text);
    } else if (state == RM_STATE__DOUBT) {
        job_go_on(core, job, session, text);
    } else {
        if (news) /* otherwise it was reported before */
            job_note(core, job, session->peer.user,
                     state == RM_STATE__CANCELLING ? "begun before the request to stop it arrived"
                                                   : "begun");
    }
}

static void on_refused(struct core *core, const struct session *session, struct job *job,
                       const RmReport *report)
{
    const char *who = session->peer.user;
    RmState state = job->live.state;

    note_unanswered(core, job, report); /* of a copy that was to be removed before it began */
    if (state == RM_STATE__ASSIGNED || state == RM_STATE__CANCELLING)
        try_again(core, job, RM_EVENT_KIND__REFUSED, who, report);
    else if (state == RM_STATE__RUNNING) /* its worker came back with it before it had begun */
        try_again(core, job, RM_EVENT_KIND__RETRY, who, report);
    else if (state == RM_STATE__DOUBT) /* it cannot find out now */
        job_doubt(core, job, who, NULL, (usec_t)ASK_AGAIN_SECONDS * USEC_PER_SEC, 0);
}

static void on_progress(struct core *core, struct job *job, const RmReport *report)
{
    const char *phase = "checking";

    if (strcmp(report->phase, "copying") == 0)
        phase = "copying";
    else if (strcmp(report->phase, "settling") == 0)
        phase = "settling";
    job_progress(core, job, report->stats, phase);
}

/* A third hypervisor that shows the guest active: it was moved by somebody else. */
static struct host *third(const struct job *job)
{
    const struct instance *s;

    DL_FOREACH2 (job->guest->instances, s, g_next)
        if (guest_is_active(s->state) && s->host != job->source && s->host != job->destination &&
            s->host->link.session && strcmp(s->uuid, job->ask->uuid) == 0 &&
            !instance_may_be_left(s))
            return s->host;
    return NULL;
}

static void lost_guest(struct core *core, struct job *job, const char *who, RmEventKind event,
                       const RmReport *report)
{
    struct host *place = event == RM_EVENT_KIND__NOWHERE ? third(job) : NULL;
    struct job_end end = {.report = report, .place = place};
    char text[RM_ERR_MAX];

    job_doubt(core, job, who, report->text, 0, 0);
    if (place) {
        event = RM_EVENT_KIND__MOVED;
        snprintf(text, sizeof(text), "the guest has been moved to %s by somebody else",
                 place->rec->name);
    } else if (event == RM_EVENT_KIND__NOWHERE) {
        end.locked = true;
        snprintf(text, sizeof(text), "the guest runs neither on %s nor on %s: %s", job->live.source,
                 job->live.destination, report->text);
    } else if (event == RM_EVENT_KIND__ON_BOTH) {
        end.locked = true;
        snprintf(text, sizeof(text),
                 "THE GUEST RUNS ON BOTH %s AND %s, stop the copy on one of them by hand: %s",
                 job->live.source, job->live.destination, report->text);
    } else {
        snprintf(text, sizeof(text), "%s", report->text);
    }
    end.text = text;
    finish(core, job, event, who, &end);
}

static void at_source(struct core *core, struct job *job, const char *who, const RmReport *report)
{
    bool settled = job->live.state == RM_STATE__DOUBT;

    try_again(core, job, settled ? RM_EVENT_KIND__AT_SOURCE : RM_EVENT_KIND__RETRY, who, report);
}

static void at_destination(struct core *core, struct job *job, const char *who,
                           const RmReport *report)
{
    bool settled = job->live.state == RM_STATE__DOUBT;

    host_takes(core, job->destination);
    finish(core, job, settled ? RM_EVENT_KIND__AT_DESTINATION : RM_EVENT_KIND__FINISHED, who,
           &(struct job_end){.text = "", .report = report, .already = !settled && report->already});
}

/* Not known, or still moving: somebody asks again. */
static void still_unknown(struct core *core, struct job *job, const char *who,
                          const RmReport *report)
{
    if (job->live.state == RM_STATE__DOUBT)
        job_explain(core, job, who, report->text);
    job_doubt(core, job, who, report->text, (usec_t)ASK_AGAIN_SECONDS * USEC_PER_SEC, 0);
}

static void on_finished(struct core *core, const struct session *session, struct job *job,
                        const RmReport *report)
{
    const char *who = session->peer.user;
    RmVerdict verdict = report->verdict;

    if (!job_is_active(job->live.state))
        return;
    note_left(core, job, who, report);
    note_unanswered(core, job, report);
    if (*report->notes != '\0' && !report->may_have_left)
        job_note(core, job, who, report->notes);
    if (job->live.state == RM_STATE__ASSIGNED && verdict != RM_VERDICT__VERDICT_DESTINATION)
        job_accept(core, job, session, job->live.started_at, NULL); /* that report was lost */
    if ((verdict == RM_VERDICT__VERDICT_BOTH || verdict == RM_VERDICT__VERDICT_NOWHERE) &&
        *report->fence == '\0' && *job->live.fence != '\0') {
        /* It did not know how the try was made, which has been reported since: that may make it
         * plain. */
        job_doubt(core, job, who, report->text, 0, 0);
        return;
    }
    switch (verdict) {
    case RM_VERDICT__VERDICT_DESTINATION:
        at_destination(core, job, who, report);
        break;
    case RM_VERDICT__VERDICT_SOURCE:
        at_source(core, job, who, report);
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
    default:
        still_unknown(core, job, who, report);
    }
}

/* It has let go: it does nothing any more under its turn. */
static void on_off(struct core *core, const struct session *session, struct job *job,
                   const RmReport *report)
{
    const struct session *returning = session_by_id(core, job->returning);
    const char *who = session->peer.user;

    note_unanswered(core, job, report);
    job_doubt(core, job, who, "its worker has let go of it", 0, 0);
    if (!doubt_is_released(core, job) && returning)
        job_give_back(core, job, returning);
}

static void take(struct core *core, struct session *session, struct job *job,
                 const RmReport *report)
{
    job_heard(job);
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
    case RM_REPORT_KIND__REPORT_OFF:
        on_off(core, session, job, report);
        break;
    default:
        break;
    }
}

void report_stop(struct core *core, struct session *session, uint64_t job, uint32_t attempt,
                 uint64_t turn)
{
    const struct guest *guest = NULL;
    RmJob *ask;

    if (!job_find(core, job) && record_job_get(core->store, job, core->arena, &ask) == 0)
        guest = guest_find(core, ask->guest);
    session_stop(session, job, attempt, turn, guest && !guest->job);
}

/* A report counts from the newest turn alone, and only while its worker is taken to have it: another
 * one's look may have been made before that was given, or be followed by what its holder does. */
void report_input(struct core *core, struct session *session, const RmReport *report)
{
    struct job *job = job_find(core, report->job);
    bool result = report->kind == RM_REPORT_KIND__REPORT_FINISHED ||
                  report->kind == RM_REPORT_KIND__REPORT_REFUSED;
    bool ours = job && report->attempt == job->live.attempt;

    if (ours && job->holder == session->id && report->turn == job->live.turn)
        take(core, session, job, report);
    else if (ours && result && job->returning == session->id)
        job_return(job, NULL); /* it will have nothing to go on with */
    else if (!result && report->kind != RM_REPORT_KIND__REPORT_OFF &&
             (!ours ||
              (session->turns && job->holder != session->id && job->returning != session->id)))
        report_stop(core, session, report->job, report->attempt, report->turn);
    if (result)
        session_order(session, RM_ORDER_KIND__ORDER_ACKNOWLEDGED, report->job, report->attempt,
                      report->turn);
}
