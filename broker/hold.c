/* hold.c - standing holds: no migration begins until each of them is lifted */
#include "broker/hold.h"

#include "broker/job.h"
#include "store/record.h"

#include <errno.h>
#include <stdio.h>

enum { REASON_SHOWN = 200 }; /* bytes of a reason, where several may stand in one line */

static const RmHolds *holds_of(const struct core *core, const struct host *host)
{
    return host ? host->rec->holds : core->holds.site;
}

int hold_restore(struct core *core)
{
    RmHolds *holds;
    int r = record_holds_get(core->store, core->arena, &holds);

    if (r == -ENOENT)
        return 0;
    if (r >= 0)
        core->holds.site = must(msg_copy(NULL, &holds->base));
    const char *by = hold_holders(core, NULL);
    if (by)
        core_note(core, LOG_LEVEL_WARN,
                  "all migrations are paused by %s: none begins before `rmigrate resume --site`",
                  by);
    return r;
}

void hold_free(struct core *core)
{
    if (core->holds.site)
        rm_holds__free_unpacked(core->holds.site, NULL);
    core->holds.site = NULL;
}

/* ---- words */

static void say(const RmHolds *holds, char *text, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < holds->n_holds && used < size; i++) {
        const RmHold *hold = holds->holds[i];
        int n = snprintf(text + used, size - used, "%s%s%s%.*s", i > 0 ? ", and by " : "", hold->by,
                         *hold->reason != '\0' ? ": " : "", REASON_SHOWN, hold->reason);
        used += n > 0 ? (size_t)n : 0;
    }
    for (char *at = text;
         (at = strchr(at, '\n'));) /* a line of its own would be read as another's */
        *at = ' ';
}

const char *hold_holders(struct core *core, const struct host *host)
{
    const RmHolds *holds = holds_of(core, host);
    char text[600] = "";

    if (!holds || holds->n_holds == 0)
        return NULL;
    say(holds, text, sizeof(text));
    return core_strdup(core, text);
}

bool hold_keeps(const struct core *core, const struct host *host, char *why, size_t size)
{
    const RmHolds *site = holds_of(core, NULL), *own = holds_of(core, host);
    bool by_site = site && site->n_holds > 0, by_own = own && own->n_holds > 0;
    int n = 0;

    if (by_site) {
        n = snprintf(why, size, "held: all migrations are paused by ");
        say(site, why + n, size - (size_t)n);
        n = (int)strlen(why);
    }
    if (by_own && (size_t)n + 1 < size) {
        n += snprintf(why + n, size - (size_t)n, "%s all migrations from %s are paused by ",
                      by_site ? ";" : "held:", host->rec->name);
        if ((size_t)n + 1 < size)
            say(own, why + n, size - (size_t)n);
    }
    return by_site || by_own;
}

static const char *add(struct core *core, const char *list, const char *name, const RmHolds *holds)
{
    for (size_t i = 0; holds && i < holds->n_holds; i++)
        list = core_printf(core, "%s%s%s by %s", list ? list : "", list ? ", " : "", name,
                           holds->holds[i]->by);
    return list;
}

const char *hold_list(struct core *core)
{
    const char *list = add(core, NULL, "the site", core->holds.site);

    for (const struct host *host = core->hosts; host; host = host->hh.next)
        list = add(core, list, host->rec->name, host->rec->holds);
    return list;
}

/* ---- changes */

static RmHolds *to_change(struct core *core, struct host *host)
{
    if (host)
        return host_holds(host);
    if (!core->holds.site) {
        core->holds.site = must(calloc(1, sizeof(*core->holds.site)));
        rm_holds__init(core->holds.site);
    }
    return core->holds.site;
}

/* It is on disk, in the history and in the log, and what waits is looked at again. */
static void changed(struct core *core, const struct host *host, RmEventKind kind, const char *who,
                    const char *text)
{
    if (!host)
        core_check_write(core, record_holds_put(core->store, core->holds.site), "holds");
    core_event(core, kind, who, host ? host->rec->name : NULL, NULL, "%s", text);
    core_note(core, LOG_LEVEL_INFO, "%s, by %s", text, who);
    for (struct host *one = core->hosts; one; one = one->hh.next)
        if (!host || one == host)
            core_changed(core, CHANGE_HOST_ALLOWED, one);
}

static const char *what(struct core *core, const struct host *host)
{
    return !host ? "all migrations" : core_printf(core, "all migrations from %s", host->rec->name);
}

static RmHold *find(const RmHolds *holds, const char *who)
{
    for (size_t i = 0; i < holds->n_holds; i++)
        if (strcmp(holds->holds[i]->by, who) == 0)
            return holds->holds[i];
    return NULL;
}

enum hold_news hold_put(struct core *core, struct host *host, const char *who, const char *reason)
{
    RmHolds *holds = to_change(core, host);
    RmHold *hold = find(holds, who);
    enum hold_news news = hold ? HOLD_OTHER_REASON : HOLD_NEW;

    if (hold && (*reason == '\0' || strcmp(hold->reason, reason) == 0))
        return HOLD_SAME;
    if (!hold) {
        hold = must(calloc(1, sizeof(*hold)));
        rm_hold__init(hold);
        text_set(&hold->by, who);
        hold->at = core->wall;
        holds->holds = must(reallocarray(holds->holds, holds->n_holds + 1, sizeof(*holds->holds)));
        holds->holds[holds->n_holds++] = hold;
    }
    text_set(&hold->reason, reason);
    changed(core, host, RM_EVENT_KIND__PAUSE, who,
            core_printf(core, "%s are paused%s%s", what(core, host), *reason != '\0' ? ": " : "",
                        reason));
    return news;
}

/* A job's own history says why it began so late. */
static void note_jobs(struct core *core, const struct host *host, const char *who, const char *text)
{
    for (struct host *one = core->hosts; one; one = one->hh.next)
        for (struct queue_item *item = one->queue.first; item && (!host || one == host);
             item = item->next)
            job_note(core, item->job, who, text);
}

bool hold_lift(struct core *core, struct host *host, const char *who, const char *reason)
{
    const char *by = hold_holders(core, host);

    if (!by)
        return false;
    RmHolds *holds = to_change(core, host);
    const RmHold *own = find(holds, who);
    size_t kept = 0;
    if (own)
        by = core_printf(core, "%s%s%s", own->by, *own->reason != '\0' ? ": " : "", own->reason);
    for (size_t i = 0; i < holds->n_holds; i++) {
        if (own && holds->holds[i] != own)
            holds->holds[kept++] = holds->holds[i];
        else
            rm_hold__free_unpacked(holds->holds[i], NULL);
    }
    holds->n_holds = kept;
    const char *text = core_printf(core, "resumed%s%s; %s were paused by %s",
                                   *reason != '\0' ? ": " : "", reason, what(core, host), by);
    changed(core, host, RM_EVENT_KIND__RESUME, who, text);
    note_jobs(core, host, who, text);
    return true;
}
