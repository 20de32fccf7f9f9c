/* tidy.c - what earlier tries of a guest may have left on hosts, and how that goes away */
#include "broker/tidy.h"

#include "broker/instance.h"
#include "broker/session.h"
#include "wire/job.h"

#include <stdio.h>

enum {
    AGAIN_SECONDS = 10, /* between two turns for one guest */
    LOST_SECONDS = 120, /* question or answer is lost: the worker has long given up by then */
};

#define TIDY_ID                                                                                    \
    (UINT64_C(1) << 63) /* ids of these questions; those that clients wait for are lower */

/* ---- what it holds up */

/* After a start it is not known who has been asked. */
static usec_t turn_over_at(const struct core *core, const struct guest *guest)
{
    usec_t started = core->started_at + core->conf->session_timeout;
    bool may_be = guest->rec->n_marks > 0 && core->now < started;

    return may_be && started > guest->tidy.free_at ? started : guest->tidy.free_at;
}

/* When no request can wait there any more; USEC_NEVER: its daemon does not answer. */
static usec_t requests_over_at(const struct guest *guest, const struct host *host)
{
    usec_t since = host->link.answers_at;

    if (since == 0)
        return USEC_NEVER;
    if (since < guest->marked_at)
        since = guest->marked_at;
    return since + (usec_t)REQUEST_WAIT_SECONDS * USEC_PER_SEC;
}

bool tidy_holds(const struct core *core, const struct guest *guest, const struct host *to,
                char *why, size_t size)
{
    const RmMark *mark = guest_mark(guest, to->rec->name);

    if (guest->tidy.id != 0 || turn_over_at(core, guest) > core->now) {
        snprintf(why, size, "what an earlier try left of it is being removed first");
        return true;
    }
    if (mark && mark->request && requests_over_at(guest, to) > core->now) {
        snprintf(why, size,
                 "a request of a worker that was lost may still wait on %s, until it has answered "
                 "for %d s",
                 to->rec->name, REQUEST_WAIT_SECONDS);
        return true;
    }
    return false;
}

/* ---- the turn */

/* The only host where it is active, apart from that one and from copies that may be left; and it runs
 * there. NULL: none, or not so. */
static struct host *runs_elsewhere(const struct guest *guest, const struct host *host)
{
    const struct instance *s;
    struct host *place = NULL;

    DL_FOREACH2 (guest->instances, s, g_next) {
        if (s->host == host || !guest_is_active(s->state) || instance_may_be_left(s))
            continue;
        if (place || s->state != RM_GUEST_STATE__GUEST_RUNNING || s->migrating ||
            strcmp(s->uuid, guest->rec->uuid) != 0)
            return NULL;
        place = s->host;
    }
    return place;
}

bool tidy_is_leftover(const struct guest *guest, const struct instance *s)
{
    return instance_may_be_left(s) && !guest->rec->locked && runs_elsewhere(guest, s->host);
}

static void ask(struct core *core, struct guest *guest, struct host *host, const struct host *place)
{
    struct session *session = place->link.session;
    RmAsk ask = RM_ASK__INIT;
    RmAssignment about = RM_ASSIGNMENT__INIT;

    guest->tidy.id = ask.id = TIDY_ID | ++core->tidies.last_id;
    guest->tidy.session = session->id;
    guest->tidy.host = host;
    guest->tidy.at = core->now + (usec_t)AGAIN_SECONDS * USEC_PER_SEC;
    about.guest = guest->rec->name;
    about.uuid = guest->rec->uuid;
    about.domain = guest->rec->domain;
    about.host = place->rec->name;
    about.destination = host->rec->name;
    about.peer = host->rec->peer;
    about.may_be_left = true;
    ask.kind = RM_ASK_KIND__ASK_TIDY;
    ask.about = &about;
    session_ask(core, session, &ask);
    core_note(core, LOG_LEVEL_INFO,
              "guest=%s host=%s: may have a paused copy that a failed try left, to be removed",
              guest->rec->name, host->rec->name);
}

static void tidy(struct core *core, struct guest *guest, struct host *host)
{
    const struct instance *here = instance_at(guest, host);
    const struct host *place = runs_elsewhere(guest, host);

    if (guest->tidy.id != 0 || turn_over_at(core, guest) > core->now ||
        guest->tidy.at > core->now || guest->job || guest->rec->locked || !place ||
        !host_link_is_up(&place->link) || !place->link.session->turns ||
        (here && guest_is_active(here->state) && here->state != RM_GUEST_STATE__GUEST_PAUSED))
        return;
    ask(core, guest, host, place);
}

/* Nobody has answered for so long. The host may be silent, too: any other one's inventory brings this. */
static void give_up(struct core *core, struct guest *guest)
{
    if (guest->tidy.id == 0 || core->now < guest->tidy.at + (usec_t)LOST_SECONDS * USEC_PER_SEC)
        return;
    guest->tidy.id = 0;
    guest_mark_set(core, guest, guest->tidy.host->rec->name, /* copy = */ false,
                   /* request = */ true);
}

void tidy_host(struct core *core, struct host *host)
{
    const char *name = host->rec->name;
    struct guest *guest, *next;

    DL_FOREACH_SAFE2 (core->marked, guest, next, m_next) {
        give_up(core, guest);
        const RmMark *mark = guest_mark(guest, name);
        if (mark && mark->request && requests_over_at(guest, host) <= core->now) {
            guest_mark_clear(core, guest, name, /* copy = */ false, /* request = */ true);
            mark = guest_mark(guest, name);
        }
        if (mark && mark->copy)
            tidy(core, guest, host);
        guest_mark_rest(core, guest);
    }
}

static struct guest *find(struct core *core, const struct session *session, uint64_t id)
{
    struct guest *guest;

    if (id & TIDY_ID)
        DL_FOREACH2 (core->marked, guest, m_next)
            if (guest->tidy.id == id && guest->tidy.session == session->id)
                return guest;
    return NULL;
}

void tidy_answer(struct core *core, const struct session *session, const RmAnswer *answer)
{
    struct guest *guest = find(core, session, answer->id);

    if (!guest)
        return;
    const char *host = guest->tidy.host->rec->name;
    guest->tidy.id = 0;
    guest->tidy.free_at = 0;
    guest_mark_set(core, guest, host, /* copy = */ false, answer->unanswered);
    if (answer->ok)
        guest_mark_clear(core, guest, host, /* copy = */ true, /* request = */ false);
    core_note(core, LOG_LEVEL_INFO, "guest=%s host=%s: %s%s", guest->rec->name, host,
              answer->ok ? "nothing is left here" : "what is left here could not be removed: ",
              answer->ok ? "" : answer->text);
    core_changed(core, CHANGE_HOST_SHOWN, guest->tidy.host);
}

void tidy_lost(struct core *core, uint64_t session, usec_t free_at)
{
    struct guest *guest;

    DL_FOREACH2 (core->marked, guest, m_next) {
        struct guest_tidy *tidy = &guest->tidy;
        if (tidy->id == 0 || tidy->session != session)
            continue;
        tidy->id = 0;
        tidy->free_at = free_at;
        guest_mark_set(core, guest, tidy->host->rec->name, /* copy = */ false,
                       /* request = */ true);
    }
}
