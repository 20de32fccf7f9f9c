/* act.c - orders of top */
#include "submit/top/act.h"

#include "conf/text.h"
#include "conf/unit.h"
#include "submit/host_view.h"
#include "submit/job_story.h"
#include "submit/job_view.h"
#include "submit/out.h"
#include "submit/top/rows.h"
#include "wire/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define DETAIL_EVERY USEC_PER_SEC

/* With an order, which is carried out once however often it is sent: longer than with what only looks. */
#define PATIENCE (10 * USEC_PER_SEC)

/* ---- orders */

/* What the answer says: how many there were, the first that went wrong or else the first, and what is besides. */
static void tell(struct ui *ui, const RmReply *reply)
{
    const RmOutcome *first = reply->n_outcomes ? reply->outcomes[0] : NULL;
    const char *but = reply->n_warnings ? reply->warnings[0] : "", *mark = but[0] ? "; " : "";
    size_t n = reply->n_outcomes, n_wrong = 0;
    for (size_t i = 0; i < n; i++) {
        if (!reply->outcomes[i]->ok && n_wrong++ == 0)
            first = reply->outcomes[i];
    }
    bool bad = n_wrong > 0 || reply->code != RM_CODE__CODE_OK;
    if (!first)
        ui_say(ui, bad, "%s%s%s", reply->text[0] ? reply->text : "there was nothing to change",
               mark, but);
    else if (n == 1)
        ui_say(ui, bad, "%s: %s%s%s", first->name, first->text, mark, but);
    else if (n_wrong > 0)
        ui_say(ui, bad, "%zu of %zu were refused; %s: %s%s%s", n_wrong, n, first->name, first->text,
               mark, but);
    else
        ui_say(ui, bad, "%zu were changed; %s: %s%s%s", n, first->name, first->text, mark, but);
}

static int carry_out(struct ui *ui, RmRequest__AskCase ask, void *message, struct rm_err *err)
{
    RmRequest request = client_request(ask, message);
    struct arena *arena = arena_new(0);
    RmReply *reply;
    if (!arena)
        return rm_fail(err, -ENOMEM, "no memory");
    ui_say(ui, false, "asking the broker ...");
    client_be_brief(ui->site->client, PATIENCE);
    int r = client_ask(ui->site->client, &request, 0, arena, &reply, err);
    client_be_brief(ui->site->client, ui->site->patience);
    if (r >= 0)
        tell(ui, reply);
    else if (r == -ETIMEDOUT)
        ui_say(ui, true, "%s; it is not known whether this was carried out", err->text);
    arena_free(arena);
    ui->site->hosts_at = 0; /* what it did is to be seen at once */
    return r == -ETIMEDOUT || r > 0 ? 0 : r;
}

int act_carry_out(struct ui *ui, struct rm_err *err)
{
    static const RmRequest__AskCase asks[] = {[UI_CANCEL] = RM_REQUEST__ASK_CANCEL,
                                              [UI_PAUSE] = RM_REQUEST__ASK_PAUSE,
                                              [UI_RESUME] = RM_REQUEST__ASK_RESUME,
                                              [UI_RETRY] = RM_REQUEST__ASK_RETRY};
    struct ui_order order = ui->wanted;
    ui->wanted = (struct ui_order){0};
    RmSelect what = RM_SELECT__INIT;
    what.jobs = &order.job;
    what.n_jobs = order.job != 0;
    what.batch = order.batch;
    what.host = order.host;
    RmModify modify = RM_MODIFY__INIT;
    modify.what = &what;
    modify.priority = order.priority;
    RmHostChange change = RM_HOST_CHANGE__INIT;
    change.hosts = order.host;
    change.state = order.act == UI_OPEN ? RM_HOST_STATE__HOST_OPEN : RM_HOST_STATE__HOST_CLOSED;
    switch (order.act) {
    case UI_NOTHING:
        return 0;
    case UI_PRIORITY:
        return carry_out(ui, RM_REQUEST__ASK_MODIFY, &modify, err);
    case UI_OPEN:
    case UI_CLOSE:
        return carry_out(ui, RM_REQUEST__ASK_HOST_CHANGE, &change, err);
    default:
        return carry_out(ui, asks[order.act], &what, err);
    }
}

/* ---- all of a row */

/* "": it has none. */
static void put_field(FILE *file, const char *name, const char *text)
{
    if (text[0])
        out_field(file, name, text);
}

static void put_host(FILE *file, struct arena *arena, const RmHostView *view)
{
    const RmHost *host = view->host;
    char a[UNIT_TEXT_MAX], b[UNIT_TEXT_MAX], c[UNIT_TEXT_MAX], at[ENV_TIME_MAX];
    enum tone tone;
    put_field(file, "Hypervisor", host->name);
    put_field(file, "State", host_view_word(view, &tone));
    put_field(file, "Why", host_view_queue_why(arena, view));
    fprintf(file, "%-12s%s free of %s, %s kept free\n", "Memory",
            unit_size_text(view->memory_free, a), unit_size_text(host->memory, b),
            unit_size_text(view->reserve, c));
    fprintf(file, "%-12s%" PRIu32 " of guests, %" PRIu32 " of the hypervisor\n", "Processors",
            view->vcpus_used, host->vcpus);
    fprintf(file, "%-12s%" PRIu32 "\n", "Guests", view->guests);
    fprintf(file,
            "%-12s%" PRIu32 " running, %" PRIu32 " coming, %" PRIu32 " queued, %" PRIu32
            " waiting, %" PRIu32 " in doubt\n",
            "Jobs", view->running, view->incoming, view->queued, view->waiting, view->doubt);
    fprintf(file, "%-12s%" PRIu64 " done, %" PRIu64 " failed, away from it\n", "Ended", view->done,
            view->failed);
    fprintf(file, "%-12s%" PRIu32 ", of which %" PRIu32 " free\n", "Slots", view->slots,
            view->credit);
    put_field(file, "Peer", host->peer);
    put_field(file, "Migration", host->migration);
    if (!view->connected || !view->reachable)
        put_field(file, "Seen", host->seen_at ? env_time_text(host->seen_at, at) : "never");
}

static void put_event(FILE *file, const RmEvent *event)
{
    char at[ENV_TIME_MAX], *line;
    if (asprintf(&line, "%s  %-10s %-10s %s%s%s", env_time_text(event->at, at),
                 job_event_name(event->kind), event->state ? job_state_name(event->state) : "",
                 event->who, event->text[0] ? ": " : "", event->text) < 0)
        return;
    out_text(file, line);
    free(line);
}

static int put_job(struct ui *ui, FILE *file, struct arena *arena, struct rm_err *err)
{
    RmShow show = RM_SHOW__INIT;
    RmRequest request = client_request(RM_REQUEST__ASK_SHOW, &show);
    RmReply *reply;
    show.job = ui->detail_of.job;
    int r = client_ask(ui->site->client, &request, 0, arena, &reply, err);
    if (r < 0)
        return r;
    if (reply->n_jobs == 0 || !reply->jobs[0]->job) {
        out_text(file, reply->text[0] ? reply->text : "there is no such job");
        return 0;
    }
    job_story(file, arena, reply->jobs[0]);
    fputc('\n', file);
    for (size_t i = 0; i < reply->n_events; i++)
        put_event(file, reply->events[i]);
    return 0;
}

static int make(struct ui *ui, FILE *file, struct arena *arena, struct rm_err *err)
{
    if (ui->detail_of.pane == UI_JOBS)
        return put_job(ui, file, arena, err);
    for (size_t i = 0; i < ui->site->n_hosts; i++) {
        const RmHostView *view = ui->site->hosts[i];
        if (view->host && strcmp(view->host->name, ui->detail_of.host) == 0) {
            put_host(file, arena, view);
            return 0;
        }
    }
    out_text(file, "there is no such hypervisor any more");
    return 0;
}

int act_detail(struct ui *ui, struct rm_err *err)
{
    char *text = NULL;
    size_t length;
    usec_t now = env_now(env_system());
    if (ui->mode != UI_DETAIL || (ui->detail_at && now < ui->detail_at + DETAIL_EVERY))
        return 0;
    unsigned detail = ui->details_asked = ui->details;
    struct arena *arena = arena_new(0);
    FILE *file = arena ? open_memstream(&text, &length) : NULL;
    int r = file ? make(ui, file, arena, err) : -ENOMEM;
    if (file && fclose(file) != 0)
        r = -ENOMEM;
    arena_free(arena);
    if (r < 0 || detail != ui->details) { /* another row was opened meanwhile */
        free(text);
        return r == -ETIMEDOUT ? 0 : r;
    }
    free(ui->detail);
    ui->detail = text;
    ui->detail_at = now;
    ui->is_new = true;
    return 0;
}
