/* inventory.c - what workers see on their hypervisors, and where a guest is */
#include "broker/inventory.h"

#include "broker/instance.h"
#include "broker/job.h"
#include "broker/names.h"
#include "broker/platforms.h"
#include "broker/session.h"
#include "broker/tidy.h"
#include "broker/vm_host.h"
#include "wire/job.h"

#include <stdio.h>

enum {
    SETTLE_SECONDS = 3, /* an inventory may be older than the end of a job by this much */
    DOUBLE_SECONDS = 2, /* a guest that is active twice for so long is reported */
};

static bool is_settling(const struct core *core, const struct guest *guest)
{
    return guest->job || (guest->settled_at != 0 &&
                          core->now < guest->settled_at + (usec_t)SETTLE_SECONDS * USEC_PER_SEC);
}

/* A request to look has the time at which it was made as its id: what came of it is newer than what
 * had been settled then. */
static bool may_be_old(const struct core *core, const struct guest *guest, const struct host *host)
{
    return is_settling(core, guest) && (guest->job || guest->settled_at >= host->shown.look ||
                                        host->shown.look != host->emptying.look);
}

/* Inventories that come from now on can be told from those that are under way. */
static void look_again(struct core *core, const struct guest *guest, const struct host *host)
{
    RmAsk ask = RM_ASK__INIT;
    RmAssignment about = RM_ASSIGNMENT__INIT;

    if (!host->link.session)
        return;
    about.host = host->rec->name;
    ask.kind = RM_ASK_KIND__ASK_LOOK;
    ask.id = guest->watch.double_at;
    ask.about = &about;
    session_ask(core, host->link.session, &ask);
}

/* It runs on both, as each has shown since that was seen first: nobody moves it before a person has stopped one
 * of them. */
static void lock_double(struct core *core, struct guest *guest, const struct instance *first,
                        const struct instance *second)
{
    const char *one = first->host->rec->name, *two = second->host->rec->name;
    char *text = core_printf(core,
                             "THE GUEST RUNS ON BOTH %s AND %s, stop the copy on one of them by "
                             "hand",
                             one, two);

    host_event(core, second->host, RM_EVENT_KIND__ON_BOTH, "broker", guest->rec->name, "%s: %s",
               guest->rec->name, text);
    core_notice(core, NOTICE_GUEST_LOCKED, LOG_LEVEL_ERROR,
                "guest=%s host=%s: runs on %s as well, locked", guest->rec->name, two, one);
    if (guest->job)
        job_finish(core, guest->job, RM_EVENT_KIND__FAILED_FOR_GOOD, "broker",
                   &(struct job_end){.text = text, .locked = true});
    else
        guest_lock(core, guest, text);
}

/* It is active on both, and does not run on both: nothing is done to it but telling. */
static void tell_double(struct core *core, struct guest *guest, const struct instance *first,
                        const struct instance *second)
{
    struct guest_watch *watch = &guest->watch;

    if (watch->double_reported ||
        core->now < watch->double_at + (usec_t)DOUBLE_SECONDS * USEC_PER_SEC)
        return;
    watch->double_reported = true;
    bool is_told =
        host_event(core, second->host, RM_EVENT_KIND__ON_BOTH, "broker", guest->rec->name,
                   "%s is %s on %s and %s on %s: a guest must be in one place", guest->rec->name,
                   guest_state_name(first->state), first->host->rec->name,
                   guest_state_name(second->state), second->host->rec->name);
    if (is_told)
        core_note(core, LOG_LEVEL_ERROR, "guest=%s host=%s: is also active on %s, ignoring",
                  guest->rec->name, second->host->rec->name, first->host->rec->name);
}

/* A job that migrates it has the last word, and so has one that has just ended. */
static bool may_move(const struct core *core, const struct guest *guest)
{
    return guest->job ? job_is_active(guest->job->live.state) : is_settling(core, guest);
}

/* One guest, under one uuid, on two hypervisors. */
static void look_for_doubles(struct core *core, struct guest *guest)
{
    const struct instance *first = NULL, *second = NULL;
    struct guest_watch *watch = &guest->watch;
    const struct instance *s;

    DL_FOREACH2 (guest->instances, s, g_next) {
        if (!guest_is_active(s->state) || tidy_is_leftover(guest, s)) /* tidy.c sees to it */
            continue;
        if (!first)
            first = s;
        else if (strcmp(first->uuid, s->uuid) == 0)
            second = s;
    }
    if (!second || guest->rec->locked || may_move(core, guest)) {
        watch->double_at = 0;
        watch->double_reported = false;
        return;
    }
    bool run = first->state == RM_GUEST_STATE__GUEST_RUNNING &&
               second->state == RM_GUEST_STATE__GUEST_RUNNING;
    if (watch->double_at == 0) {
        watch->double_at = core->now;
        look_again(core, guest, first->host);
        look_again(core, guest, second->host);
    } else if (run && first->host->shown.look >= watch->double_at &&
               second->host->shown.look >= watch->double_at) {
        lock_double(core, guest, first, second);
    } else {
        tell_double(core, guest, first, second);
    }
}

/* A copy that stands still may be what a migration left behind. While the host that had the guest
 * last does not answer, nobody knows. */
static bool may_be_left_behind(struct core *core, const struct guest *guest,
                               const struct instance *s)
{
    const struct host *last = *guest->rec->host != '\0' ? host_find(core, guest->rec->host) : NULL;

    return last && last != s->host && (!host_link_is_up(&last->link) || !last->link.seen) &&
           (s->state == RM_GUEST_STATE__GUEST_PAUSED || s->state == RM_GUEST_STATE__GUEST_CRASHED);
}

/* The record follows what is seen, unless a job has the last word. */
static void believe(struct core *core, struct guest *guest, const struct instance *s)
{
    const RmGuest *rec = guest->rec;
    const char *name = s->host->rec->name;
    struct guest_look look = {.uuid = s->uuid, .state = s->state, .has = s->has};
    const struct instance *other;
    bool elsewhere = false;

    /* Figures are needed all the same for a guest that is seen for the first time. */
    if (is_settling(core, guest) && rec->memory != 0)
        return;
    DL_FOREACH2 (guest->instances, other, g_next)
        if (other != s && guest_is_active(other->state))
            elsewhere = true;
    if (elsewhere && tidy_is_leftover(guest, s))
        return;
    if (!guest_is_active(s->state) && elsewhere)
        return; /* a definition that is left behind says nothing of where the guest runs */
    if (may_be_left_behind(core, guest, s))
        return;
    if (!elsewhere && strcmp(rec->host, name) != 0) {
        look.host = name;
        if (*rec->host != '\0')
            host_event(core, s->host, RM_EVENT_KIND__MOVED, "worker", rec->name,
                       "seen on %s, was on %s", name, rec->host);
    }
    guest_see(core, guest, &look);
}

/* Kept where the names of guests decide which of them count. */
static void keep(struct host *host, const RmInventory *inventory)
{
    const struct alias_rule *aliases = platform_of(host->rec->kind)->aliases;
    struct host_shown *shown = &host->shown;

    if (!aliases || !aliases->lists_guests || inventory == shown->last)
        return;
    rm_inventory__free_unpacked(shown->last, NULL);
    shown->last = must(msg_copy(NULL, &inventory->base));
}

/* Is the guest of that name another one, which runs elsewhere or is being moved? */
static bool is_taken(const struct guest *guest, const struct host *host, const char *uuid)
{
    const struct instance *s;

    if (guest->job)
        return strcmp(guest->job->ask->uuid, uuid) != 0;
    DL_FOREACH2 (guest->instances, s, g_next)
        if (s->host != host && guest_is_active(s->state) && strcmp(s->uuid, uuid) != 0)
            return true;
    return false;
}

/* Equal uuids are one guest, which may be shown twice; different ones are two. One of them has the
 * name, that of vm.host if it says so, and the other one is NAME@HOST. */
static struct guest *guest_of_domain(struct core *core, const struct host *host, const char *name,
                                     const RmDomain *domain)
{
    struct guest *guest = guest_make(core, name), *twin;

    if (!guest_is_active(domain->state) || *guest->rec->uuid == '\0' ||
        (!guest->job && strcmp(guest->rec->uuid, domain->uuid) == 0))
        return guest;
    twin = guest_twin_find(core, name, domain->uuid);
    if (!is_taken(guest, host, domain->uuid)) {
        if (!twin || twin->job || guest->job)
            return twin && twin->job ? twin : guest;
        guest_take_out(core, twin);
        instance_pass_on(twin, guest);
        guest_merge(core, twin, guest);
        return guest;
    }
    if (!twin)
        twin = guest_twin_make(core, name, host);
    if (twin->job || guest->job)
        return twin;
    guest_twin_moved(core, twin, host);
    const char *said = vm_host_said(core, name, NULL);
    if (said && strcmp(said, host->rec->name) == 0 && strcmp(guest->rec->host, said) != 0)
        guest_twin_swap(core, guest, twin, guest->rec->host);
    return twin;
}

static void take_domain(struct core *core, struct host *host, const RmDomain *domain)
{
    const char *name = names_guest_of(core, host, domain->name);
    struct instance_look look = {
        .uuid = domain->uuid,
        .state = domain->state,
        .has = {.memory = domain->memory, .vcpus = domain->vcpus},
        .migrating = domain->migrating,
    };

    host->shown.others += !name ? 1 : 0;
    if (!name)
        return;
    struct guest *guest = guest_of_domain(core, host, name, domain);
    guest_name_domain(core, guest, domain->name, host->rec->kind);
    if (!guest->job && may_be_old(core, guest, host) &&
        (instance_at(guest, host) || strcmp(guest->rec->host, host->rec->name) != 0))
        return; /* as the job's end made it */
    instance_add(host, guest, &look);
}

static void forget_idle(struct core *core)
{
    struct guest *guest, *next;

    if (HASH_COUNT(core->guests) <= core->forgetting.kept + GUESTS_IDLE)
        return;
    HASH_ITER (hh, core->guests, guest, next) {
        const struct host *host = host_find(core, guest->rec->host);
        bool may_come = host && !(host_link_is_up(&host->link) && host->link.seen);
        if (!may_come && guest_is_idle(guest))
            guest_forget(core, guest);
    }
    core->forgetting.kept = HASH_COUNT(core->guests);
}

void inventory_input(struct core *core, struct host *host, const RmInventory *inventory)
{
    struct instance *s, *next;

    host->shown.others = 0;
    host->shown.look = inventory->look;
    host_set_seen(core, host);
    host_set_cluster(host, inventory->cluster);
    host_set_figures(host, inventory->memory, inventory->vcpus);
    keep(host, inventory);
    /* A guest that has just been moved here by a job may not be in this inventory yet, and one that
     * has just left may still be: those instances stay as the job's end made them. */
    DL_FOREACH_SAFE2 (host->instances, s, next, h_next)
        if (s->guest->job || !may_be_old(core, s->guest, host))
            instance_drop(s);
    for (size_t i = 0; i < inventory->n_domains; i++)
        take_domain(core, host, inventory->domains[i]);
    DL_FOREACH2 (host->instances, s, h_next) {
        believe(core, s->guest, s);
        look_for_doubles(core, s->guest);
    }
    tidy_host(core, host);
    forget_idle(core);
    core_changed(core, CHANGE_HOST_SHOWN, host);
}

void inventory_again(struct core *core)
{
    for (struct host *host = core->hosts; host; host = host->hh.next)
        if (host->shown.last && host->link.session)
            inventory_input(core, host, host->shown.last);
}

void inventory_free_all(struct core *core)
{
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        instance_drop_all(host);
        rm_inventory__free_unpacked(host->shown.last, NULL);
        host->shown.last = NULL;
    }
}

/* Is it active on other hosts than this one? */
static bool is_elsewhere(const struct guest *guest, const struct host *host)
{
    const struct instance *s;

    DL_FOREACH2 (guest->instances, s, g_next)
        if (s->host != host && guest_is_active(s->state) && !tidy_is_leftover(guest, s))
            return true;
    return false;
}

bool inventory_is_unclear(const struct guest *guest, const struct host *host)
{
    return !guest->job && !guest->rec->locked && !guest->watch.double_reported &&
           is_elsewhere(guest, host);
}

struct host *inventory_where(struct core *core, const struct guest *guest, char *why, size_t size)
{
    const struct instance *s, *active = NULL;
    unsigned n = 0;

    if (guest->settled_at != 0 && is_settling(core, guest) && !guest->job) {
        struct host *host = host_find(core, guest->rec->host);
        if (host && guest_is_active(guest->rec->state) && !is_elsewhere(guest, host))
            return host;
    }
    DL_FOREACH2 (guest->instances, s, g_next) {
        if (guest_is_active(s->state) && !tidy_is_leftover(guest, s)) {
            active = s;
            n++;
        }
    }
    if (n == 1 && may_be_left_behind(core, guest, active)) {
        snprintf(why, size,
                 "was last seen on %s, which says nothing now; the copy on %s stands still and may "
                 "be an old one",
                 guest->rec->host, active->host->rec->name);
        return NULL;
    }
    if (n == 1)
        return active->host;
    if (n > 1 && !guest->rec->locked && !guest->watch.double_reported) {
        /* What one hypervisor shows may be older than what the other one does. */
        snprintf(why, size,
                 "is shown on %s and on %s, and both are looked at again: try again in a moment",
                 guest->instances->host->rec->name, active->host->rec->name);
        return NULL;
    }
    if (n > 1) {
        snprintf(why, size, "runs on %s and on %s: stop one of them by hand first",
                 guest->instances->host->rec->name, active->host->rec->name);
        return NULL;
    }
    if (guest->instances) {
        s = guest->instances;
        snprintf(why, size, "is %s on %s; only a guest that is active can be moved live",
                 guest_state_name(s->state), s->host->rec->name);
        if (s->state == RM_GUEST_STATE__GUEST_INCOMING)
            snprintf(why, size, "is just being moved to %s by somebody else", s->host->rec->name);
        return NULL;
    }
    struct host *last = *guest->rec->host != '\0' ? host_find(core, guest->rec->host) : NULL;
    if (last && !host_link_is_up(&last->link))
        snprintf(why, size, "Cannot communicate via %s to %s, where it was last seen%s%s",
                 platform_of(last->rec->kind)->protocol, last->rec->name,
                 last->link.text ? ": " : "", last->link.text ? last->link.text : "");
    else
        snprintf(why, size, "no hypervisor that a worker serves has it%s",
                 names_remark(core, guest->rec->name));
    return NULL;
}
