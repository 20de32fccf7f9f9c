/* emptied.c - the end of an evacuation: the hypervisor is looked at, and the account given */
#include "broker/emptied.h"

#include "broker/instance.h"
#include "broker/job.h"
#include "broker/leave.h"
#include "broker/tidy.h"
#include "conf/text.h"
#include "store/record.h"

#include <stdio.h>
#include <string.h>

enum {
    ROUNDS_MAX = 20,        /* how often guests that were found later are moved on */
    LOOK_AGAIN_SECONDS = 2, /* a look of which nothing came is asked for again */
    LOOK_MOST_SECONDS = 60, /* and after so long it is said that nobody knows */
    LEFT_MAX = 10,          /* guests that an account names */
    LEFT_TEXT_MAX = 200,    /* bytes of why one of them is left */
    LEFT_ALL_MAX = 1700,    /* bytes of all that an account says of them */
};

const char *emptied_nobody_sees(struct core *core, const struct host *host, uint64_t moved)
{
    return core_printf(core, "may not be empty: %llu moved, but what is left nobody can see: %s",
                       (unsigned long long)moved,
                       host_link_is_up(&host->link) ? "its worker does not answer in time"
                                                    : host_link_trouble(&host->link));
}

/* How an account begins that is a good one. */
#define EMPTY "is empty: "

/* left: as in batch_account(). */
static void end(struct core *core, struct host *host, bool ok, uint64_t left, const char *text)
{
    const RmEmptying *emptying = host->rec->emptying;

    for (size_t i = 0; i < emptying->n_batches; i++)
        batch_account(core, emptying->batches[i], host, ok, left, text);
    core_event_emptied(core, host->rec->name, emptying->of, ok, text);
    core_notice(core, ok ? NOTICE_NONE : NOTICE_EVACUATION_LEFT,
                ok ? LOG_LEVEL_INFO : LOG_LEVEL_WARN, "host=%s: %s", host->rec->name, text);
    bool ours =
        host->rec->state == RM_HOST_STATE__HOST_CLOSED && strcmp(host->rec->why, WHY_BEGUN) == 0;
    host_end_emptying(host, !ours ? NULL : ok ? WHY_EMPTY : WHY_LEFT);
    host->emptying = (struct host_emptying){0};
}

static uint64_t n_moved(const struct host *host)
{
    return host->rec->done - host->rec->emptying->done_before;
}

/* Guests of other hosts that have made room, ", 2 others moved to make room". */
static const char *room_text(struct core *core, const RmEmptying *emptying)
{
    unsigned n = 0;

    for (size_t i = 0; i < emptying->n_room; i++) {
        RmResult *result;
        if (record_result_get(core->store, emptying->room[i], core->arena, &result) == 0 &&
            result->state == RM_STATE__DONE)
            n++;
    }
    return n == 0 ? ""
                  : core_printf(core, ", %u guest%s of other hosts moved to make room", n,
                                n == 1 ? "" : "s");
}

/* What is left and why, from the reply of the last round; a name each time, one line. */
static const char *left_text(struct core *core, const RmReply *reply, uint64_t *ret_n)
{
    const char *text = "";
    uint64_t n = 0, named = 0;

    for (size_t i = 0; i < reply->n_outcomes; i++) {
        const RmOutcome *o = reply->outcomes[i];
        char why[LEFT_TEXT_MAX + 1];
        if (o->ok)
            continue;
        n++;
        if (named < n - 1 || named == LEFT_MAX)
            continue; /* one before it had no room */
        text_one_line(text_format(why, sizeof(why), "%s", o->text));
        const char *longer =
            core_printf(core, "%s%s%s (%s)", text, named > 0 ? "; " : "", o->name, why);
        if (named > 0 && strlen(longer) > LEFT_ALL_MAX)
            continue;
        text = longer;
        named++;
    }
    *ret_n = n;
    return n > named ? core_printf(core, "%s; and %llu more", text, (unsigned long long)(n - named))
                     : text;
}

static void account(struct core *core, struct host *host, const RmReply *reply)
{
    uint64_t n;
    const char *left = left_text(core, reply, &n);
    const char *room = room_text(core, host->rec->emptying);
    unsigned long long moved = n_moved(host);

    end(core, host, n == 0, n,
        n == 0 ? core_printf(core, EMPTY "%llu moved%s", moved, room)
               : core_printf(core, "is not empty: %llu moved%s, %llu left, because: %s", moved,
                             room, (unsigned long long)n, left));
}

/* Nothing else is left to do than to wait for those. */
static void wait_for_them(struct core *core, struct host *host)
{
    if (host->emptying.wait_by == 0)
        host->emptying.wait_by = core->now + (usec_t)LEAVE_WAIT_SECONDS * USEC_PER_SEC;
    host->emptying.ask_at = core->now + (usec_t)LOOK_AGAIN_SECONDS * USEC_PER_SEC;
}

/* The newest batch of the request that is carried out: it gets what is found. */
static uint64_t newest_batch(const RmEmptying *emptying)
{
    for (size_t i = 0; i < emptying->n_batches; i++)
        if (emptying->firsts[i] == emptying->of)
            return emptying->batches[i];
    return emptying->of;
}

/* Why what is there is left; NULL: it is moved. */
static const char *why_over(struct core *core, const RmEmptying *emptying)
{
    if (*emptying->cancelled_by != '\0')
        return core_printf(core, "is not moved: %s has cancelled the evacuation",
                           emptying->cancelled_by);
    return emptying->rounds < ROUNDS_MAX /* somebody brings guests as fast as they leave */
               ? NULL
               : core_printf(core, "came after the host had been looked at %d times", ROUNDS_MAX);
}

static void move_more(struct core *core, struct request *request, struct submission *sub,
                      struct host *host)
{
    leave_find_places(core, request, sub, host->rec->emptying->since);
    if (submission_has_room(core, request, sub))
        submission_carry_out(core, request, sub);
    else
        request_host_outcome(core, request, host->rec->name, false, "%s", request->reply->text);
    if (request->reply->count > 0)
        leave_note_room(sub);
}

/* The hypervisor has been looked at, and no job takes a guest away: those that are there are tried, or
 * left. */
static void look_again(struct core *core, struct host *host)
{
    const RmEmptying *emptying = host->rec->emptying;
    uint64_t of = emptying->of, newest = newest_batch(emptying);
    RmReply reply = RM_REPLY__INIT;
    RmRequest message = RM_REQUEST__INIT;
    struct net_peer peer = {.role = ROLE_OPERATOR};
    struct request request;
    struct submission sub;
    RmBatch *batch;

    if (record_batch_get(core->store, of, core->arena, &batch) < 0 || !batch->evacuation) {
        end(core, host, false, 0, "cannot be emptied further: what was asked cannot be read");
        return;
    }
    snprintf(peer.user, sizeof(peer.user), "%s", batch->submitter);
    message.ask_case = RM_REQUEST__ASK_EVACUATE;
    message.evacuate = batch->evacuation;
    request_init(core, &request, &peer, 0, &message, &reply);
    if (leave_go_on(core, &request, batch, &sub)) {
        sub.batch = newest;
        sub.first_batch = newest != of ? of : 0;
        leave_host(core, &request, &sub, host, emptying->since);
        const char *over = why_over(core, emptying);
        for (size_t i = 0; i < sub.n_asks && over; i++)
            request_outcome(core, &request, sub.asks[i].guest->rec->name, false, "%s", over);
        if (!over)
            move_more(core, &request, &sub, host);
    } else {
        request_host_outcome(core, &request, host->rec->name, false, "%s", reply.text);
    }
    if (reply.count > 0)
        host_empty_more(host);
    else if (leave_must_wait(core, host))
        wait_for_them(core, host);
    else
        account(core, host, &reply);
    leave_done(&sub);
    request_done(&request);
}

static void ask_to_look(struct core *core, struct host *host)
{
    RmAsk ask = RM_ASK__INIT;
    RmAssignment about = RM_ASSIGNMENT__INIT;

    if (host->emptying.look == 0)
        host->emptying.look = core->now;
    host->emptying.ask_at = core->now + (usec_t)LOOK_AGAIN_SECONDS * USEC_PER_SEC;
    about.host = host->rec->name;
    ask.kind = RM_ASK_KIND__ASK_LOOK;
    ask.id = host->emptying.look;
    ask.about = &about;
    session_ask(core, host->link.session, &ask);
}

/* Guests that are there as far as is known, but for those that are shut off: "kvm1, kvm2, ...". */
static const char *who_is_there(struct core *core, const struct host *host, uint64_t *ret_n)
{
    const char *text = "";
    const struct instance *s;

    *ret_n = 0;
    DL_FOREACH2 (host->instances, s, h_next) {
        if (s->state == RM_GUEST_STATE__GUEST_SHUTOFF || tidy_is_leftover(s->guest, s))
            continue;
        if (*ret_n < LEFT_MAX)
            text = core_printf(core, "%s%s%s", text, *ret_n > 0 ? ", " : "", s->guest->rec->name);
        else if (*ret_n == LEFT_MAX)
            text = core_printf(core, "%s, ...", text);
        ++*ret_n;
    }
    return text;
}

/* Of an account that said that it is empty. */
static const char *since_empty(struct core *core, const struct host *host, const char *text,
                               uint64_t *ret_n)
{
    const char *names = who_is_there(core, host, ret_n);
    const char *opened = host->rec->state == RM_HOST_STATE__HOST_OPEN
                             ? core_printf(core, "; %s has opened it since", host->rec->changed_by)
                             : "";

    if (*ret_n == 0)
        return core_printf(core, "%s%s%s", text, opened,
                           host_link_is_up(&host->link) ? "" : "; it does not answer now");
    return core_printf(core, "is not empty any more: %s %s there now; it was, with %s%s", names,
                       *ret_n == 1 ? "is" : "are", text + strlen(EMPTY), opened);
}

/* Of one that said what is left, where nothing is known to be there now. */
static const char *since_left(struct core *core, const struct host *host)
{
    return core_printf(
        core,
        "may be empty now: nothing is known to run there, but nobody has looked since its "
        "evacuation left guests: rmigrate evacuate %s",
        host->rec->name);
}

static bool seems_left(struct core *core, const struct host *host)
{
    uint64_t n;

    who_is_there(core, host, &n);
    return n == 0 && host->rec->state == RM_HOST_STATE__HOST_CLOSED && host_link_is_up(&host->link);
}

RmOutcome *emptied_since(struct core *core, RmOutcome *account)
{
    const struct host *host = host_find(core, account->name);
    RmOutcome *now = core_alloc(core, sizeof(*now));

    *now = *account;
    if (host && account->ok) {
        now->text = (char *)since_empty(core, host, account->text, &now->left);
        now->ok = now->left == 0;
    } else if (host && account->left > 0 && seems_left(core, host)) {
        now->text = (char *)since_left(core, host);
        now->left = 0;
    }
    return now;
}

/* Is a guest on its way from here, or to here? */
static bool is_busy(const struct host *host)
{
    const struct job *job;

    DL_FOREACH2 (host->jobs.coming, job, d_next)
        if (job_is_active(job->live.state))
            return true;
    return host->jobs.leaving;
}

static void tick(struct core *core, struct host *host)
{
    struct host_emptying *emptying = &host->emptying;

    if (is_busy(host)) {
        *emptying = (struct host_emptying){0};
    } else if (emptying->look != 0 && host->shown.look == emptying->look) {
        *emptying = (struct host_emptying){.wait_by = emptying->wait_by};
        look_again(core, host);
    } else if (emptying->look != 0 &&
               core->now >= emptying->look + (usec_t)LOOK_MOST_SECONDS * USEC_PER_SEC) {
        end(core, host, false, 0, emptied_nobody_sees(core, host, n_moved(host)));
    } else if (core->now >= emptying->ask_at) {
        if (host_link_is_up(&host->link))
            ask_to_look(core, host);
        else if (emptying->look == 0)
            emptying->look = core->now;
    }
}

void emptied_opened(struct core *core, struct host *host)
{
    if (host->rec->emptying)
        end(core, host, false, 0,
            core_printf(core, "was opened by %s while it was being emptied: %llu moved",
                        host->rec->changed_by, (unsigned long long)n_moved(host)));
}

void emptied_tick(struct core *core)
{
    for (struct host *host = core->hosts; host; host = host->hh.next)
        if (host->rec->emptying)
            tick(core, host);
}

usec_t emptied_deadline(const struct core *core)
{
    usec_t first = USEC_NEVER;

    for (const struct host *host = core->hosts; host; host = host->hh.next)
        if (host->rec->emptying && !is_busy(host)) {
            usec_t most = host->emptying.look + (usec_t)LOOK_MOST_SECONDS * USEC_PER_SEC;
            bool asks = host_link_is_up(&host->link) || host->emptying.look == 0;
            usec_t at = asks ? host->emptying.ask_at : most;
            first = at < first ? at : first;
        }
    return first;
}
