/* sight.c - what workers see on their hypervisors: inventories, and where a guest is
 *
 * An inventory replaces all that was known of its host. While a job moves a guest, and for a moment
 * after, the job's own result counts for more: an inventory may have been taken before it. */
#include "broker/state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TIDY_SECONDS = 10, /* between two requests to remove a copy that was left */
    SETTLE_SECONDS =
        3, /* the destination's inventory may be older than the end of a job by this much */
};

static void count_sighting(struct host *host, struct sighting *s)
{
    struct job *job = s->guest->job;

    host->active += guest_is_active(s->state) ? 1 : 0;
    s->counted = (guest_is_active(s->state) || s->state == RM_GUEST_STATE__GUEST_INCOMING) &&
                 (job == NULL || job->destination != host);
    if (s->counted) {
        host->used += s->memory;
        host->used_vcpus += s->vcpus;
    }
}

static void drop_sighting(struct sighting *s)
{
    if (guest_is_active(s->state))
        s->host->active--;
    if (s->counted) {
        s->host->used -= s->memory;
        s->host->used_vcpus -= s->vcpus;
    }
    DL_DELETE2(s->guest->sightings, s, g_prev, g_next);
    DL_DELETE2(s->host->sightings, s, h_prev, h_next);
    free(s);
}

static struct sighting *add_sighting(struct core *core, struct host *host, struct guest *guest,
                                     const char *uuid, RmGuestState state, uint64_t memory,
                                     unsigned vcpus)
{
    struct sighting *s = calloc(1, sizeof(*s));

    if (s == NULL) {
        core_fail(core, -ENOMEM, "sighting");
        return NULL;
    }
    s->guest = guest;
    s->host = host;
    snprintf(s->uuid, sizeof(s->uuid), "%s", uuid);
    s->state = state;
    s->memory = memory;
    s->vcpus = vcpus;
    DL_APPEND2(guest->sightings, s, g_prev, g_next);
    DL_APPEND2(host->sightings, s, h_prev, h_next);
    count_sighting(host, s);
    return s;
}

void sight_clear(struct core *core, struct host *host)
{
    (void)core;
    while (host->sightings != NULL)
        drop_sighting(host->sightings);
}

const struct sighting *sight_at(const struct guest *guest, const struct host *host)
{
    struct sighting *s;

    DL_FOREACH2 (guest->sightings, s, g_next)
        if (s->host == host)
            return s;
    return NULL;
}

static bool is_settling(const struct core *core, const struct guest *guest)
{
    return guest->job != NULL ||
           (guest->settled_at != 0 &&
            core->now < guest->settled_at + (usec_t)SETTLE_SECONDS * USEC_PER_SEC);
}

bool sight_is_left(struct core *core, const struct guest *guest, const struct sighting *s)
{
    const struct sighting *other;
    bool runs = false;
    RmResult *last;

    if (s->state != RM_GUEST_STATE__GUEST_PAUSED || guest->rec->last_job == 0)
        return false;
    DL_FOREACH2 (guest->sightings, other, g_next) {
        if (other == s || !guest_is_active(other->state))
            continue;
        if (runs || other->state != RM_GUEST_STATE__GUEST_RUNNING ||
            strcmp(other->uuid, s->uuid) != 0)
            return false;
        runs = true;
    }
    return runs && record_result_get(core->store, guest->rec->last_job, core->arena, &last) == 0 &&
           !last->locked && strcmp(last->left, s->host->rec->name) == 0;
}

/* Lets the worker of the source remove it. Nobody waits for the answer: as long as it is seen, it
 * is asked for again. */
static void tidy(struct core *core, struct guest *guest, const struct sighting *left,
                 const struct host *source)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmAsk ask = RM_ASK__INIT;
    RmAssignment about = RM_ASSIGNMENT__INIT;

    /* What is seen of a host that does not answer is old. */
    if (source->session == NULL || left->host->session == NULL || !left->host->reachable ||
        core->now < guest->tidy_at)
        return;
    guest->tidy_at = core->now + (usec_t)TIDY_SECONDS * USEC_PER_SEC;
    about.guest = guest->rec->name;
    about.uuid = guest->rec->uuid;
    about.domain = guest->rec->domain;
    about.host = source->rec->name;
    about.destination = left->host->rec->name;
    about.peer = left->host->rec->peer;
    about.may_be_left = true;
    ask.session = source->session->id;
    ask.kind = RM_ASK_KIND__ASK_TIDY;
    ask.about = &about;
    message.body_case = RM_MESSAGE__BODY_ASK;
    message.ask = &ask;
    core_send(core, &source->session->peer, 0, &message);
    core_note(core, LOG_LEVEL_INFO,
              "guest=%s host=%s: has a paused copy that a failed try left, to be removed",
              guest->rec->name, left->host->rec->name);
}

/* One guest runs under one uuid on two hypervisors: nothing is done to it but telling. */
static void look_for_doubles(struct core *core, struct guest *guest)
{
    const struct sighting *first = NULL, *second = NULL;
    struct sighting *s;

    DL_FOREACH2 (guest->sightings, s, g_next) {
        if (!guest_is_active(s->state))
            continue;
        if (first == NULL)
            first = s;
        else if (strcmp(first->uuid, s->uuid) == 0)
            second = s;
    }
    if (second == NULL || is_settling(core, guest)) {
        guest->double_at = 0;
        guest->double_told = false;
        return;
    }
    if (guest->double_at == 0)
        guest->double_at = core->now;
    if (sight_is_left(core, guest, first)) {
        tidy(core, guest, first, second->host);
        return;
    }
    if (sight_is_left(core, guest, second)) {
        tidy(core, guest, second, first->host);
        return;
    }
    if (guest->double_told || core->now < guest->double_at + 2 * USEC_PER_SEC)
        return;
    guest->double_told = true;
    site_event(core, RM_EVENT_KIND__ON_BOTH, "broker", second->host->rec->name, guest->rec->name,
               "%s is %s on %s and %s on %s: a guest must be in one place", guest->rec->name,
               guest_state_name(first->state), first->host->rec->name,
               guest_state_name(second->state), second->host->rec->name);
    core_note(core, LOG_LEVEL_ERROR, "guest=%s host=%s: is also active on %s, ignoring",
              guest->rec->name, second->host->rec->name, first->host->rec->name);
}

/* A copy that stands still may be what a migration left behind. While the host that had the guest
 * last says nothing, nobody knows. */
static bool may_be_left_behind(struct core *core, const struct guest *guest,
                               const struct sighting *s)
{
    const struct host *last = *guest->rec->host != '\0' ? host_find(core, guest->rec->host) : NULL;

    return last != NULL && last != s->host &&
           (last->session == NULL || !last->reachable || !last->seen) &&
           (s->state == RM_GUEST_STATE__GUEST_PAUSED || s->state == RM_GUEST_STATE__GUEST_CRASHED);
}

/* The record follows what is seen, unless a job has the last word. */
static void believe(struct core *core, struct guest *guest, const struct sighting *s)
{
    RmGuest *rec = guest->rec;
    bool changed = false;
    bool elsewhere = false;
    struct sighting *other;

    if (is_settling(core, guest)) {
        /* Figures are needed all the same for a guest that is seen for the first time. */
        if (rec->memory != 0)
            return;
    }
    DL_FOREACH2 (guest->sightings, other, g_next)
        if (other != s && guest_is_active(other->state))
            elsewhere = true;
    if (elsewhere && sight_is_left(core, guest, s))
        return;
    if (!guest_is_active(s->state) && elsewhere)
        return; /* a definition that is left behind says nothing of where the guest runs */
    if (may_be_left_behind(core, guest, s))
        return;
    if (strcmp(rec->uuid, s->uuid) != 0) {
        job_set(&rec->uuid, s->uuid);
        changed = true;
    }
    if (strcmp(rec->host, s->host->rec->name) != 0 && !elsewhere) {
        if (*rec->host != '\0')
            site_event(core, RM_EVENT_KIND__MOVED, "worker", s->host->rec->name, rec->name,
                       "seen on %s, was on %s", s->host->rec->name, rec->host);
        job_set(&rec->host, s->host->rec->name);
        changed = true;
    }
    if (rec->state != s->state || rec->memory != s->memory || rec->vcpus != s->vcpus) {
        rec->state = s->state;
        rec->memory = s->memory;
        rec->vcpus = s->vcpus;
        changed = true;
    }
    if (changed || !guest->stored) {
        rec->seen_at = core->wall;
        guest_write(core, guest);
    }
}

/* Remembers what the guest is called on hypervisors, and of which kind they are. */
static void name_domain(struct core *core, struct guest *guest, const char *domain, RmKind kind)
{
    if (strcmp(domain, guest->rec->name) == 0)
        domain = "";
    if (strcmp(guest->rec->domain, domain) == 0 && guest->rec->kind == kind)
        return;
    job_set(&guest->rec->domain, domain);
    guest->rec->kind = kind;
    if (guest->stored)
        guest_write(core, guest);
}

/* The node whose guest that domain is; NULL: none. */
static const char *node_of(struct core *core, struct host *host, const RmDomain *domain)
{
    const char *name;

    if (host->rec->kind != RM_KIND__KIND_ZVM)
        return names_node(core, domain->name);
    name = zvm_node(core, domain->name, host);
    host->others += name == NULL ? 1 : 0;
    return name;
}

void sight_again(struct core *core)
{
    for (struct host *host = core->hosts; host != NULL; host = host->hh.next)
        if (host->last != NULL && host->session != NULL)
            sight_inventory(core, host, host->last);
}

/* Of z/VM: which cluster, and what it was for when the tables change. */
static void keep(struct core *core, struct host *host, const RmInventory *inventory)
{
    if (strcmp(host->rec->cluster, inventory->cluster) != 0) {
        job_set(&host->rec->cluster, inventory->cluster);
        host_changed(core, host);
    }
    if (host->rec->kind != RM_KIND__KIND_ZVM || inventory == host->last)
        return;
    if (host->last != NULL)
        rm_inventory__free_unpacked(host->last, NULL);
    host->last = (RmInventory *)msg_copy(NULL, &inventory->base);
}

void sight_inventory(struct core *core, struct host *host, const RmInventory *inventory)
{
    struct sighting *s;

    if (host->reachable && !inventory->reachable)
        host->lost_at = core->now;
    host->reachable = inventory->reachable;
    free(host->text);
    host->text = *inventory->text != '\0' ? strdup(inventory->text) : NULL;
    if (!inventory->reachable)
        return; /* what was seen last stays: the guests have not gone because nobody answers */
    host->seen = true;
    host->others = 0;
    keep(core, host, inventory);
    if (host->rec->memory != inventory->memory || host->rec->vcpus != inventory->vcpus) {
        host->rec->memory = inventory->memory;
        host->rec->vcpus = inventory->vcpus;
        host_changed(core, host);
    }
    /* A guest that has just been moved here by a job may not be in this inventory yet, and one that
     * has just left may still be: those sightings stay as the job's end made them. */
    for (struct sighting *next = host->sightings; next != NULL;) {
        s = next;
        next = s->h_next;
        if (s->guest->job == NULL && is_settling(core, s->guest))
            continue;
        drop_sighting(s);
    }
    for (size_t i = 0; i < inventory->n_domains; i++) {
        const RmDomain *domain = inventory->domains[i];
        const char *name = node_of(core, host, domain);
        struct guest *guest;
        if (name == NULL || !conf_name_is_valid(name))
            continue; /* a name that no noderange could carry; the worker's inventory still counts
                         its memory */
        guest = guest_make(core, name);
        if (guest == NULL)
            return;
        name_domain(core, guest, domain->name, host->rec->kind);
        if (guest->job == NULL && is_settling(core, guest)) {
            const struct sighting *known = sight_at(guest, host);
            if (known != NULL || strcmp(guest->rec->host, host->rec->name) != 0)
                continue;
        }
        s = add_sighting(core, host, guest, domain->uuid, domain->state, domain->memory,
                         domain->vcpus);
        if (s == NULL)
            return;
        s->migrating = domain->migrating;
    }
    DL_FOREACH2 (host->sightings, s, h_next) {
        believe(core, s->guest, s);
        look_for_doubles(core, s->guest);
    }
    core->assign = true;
}

void sight_moved(struct core *core, struct guest *guest, struct host *from, struct host *to,
                 bool paused)
{
    struct sighting *s, *next;

    DL_FOREACH_SAFE2 (guest->sightings, s, next, g_next)
        if (s->host == from || s->host == to)
            drop_sighting(s);
    add_sighting(core, to, guest, guest->rec->uuid,
                 paused ? RM_GUEST_STATE__GUEST_PAUSED : RM_GUEST_STATE__GUEST_RUNNING,
                 guest->rec->memory, guest->rec->vcpus);
}

struct host *sight_place(struct core *core, struct guest *guest, char *why, size_t size)
{
    struct sighting *s, *active = NULL;
    unsigned n = 0;

    if (guest->settled_at != 0 && is_settling(core, guest) && guest->job == NULL) {
        struct host *host = host_find(core, guest->rec->host);
        if (host != NULL && guest_is_active(guest->rec->state))
            return host;
    }
    DL_FOREACH2 (guest->sightings, s, g_next) {
        if (guest_is_active(s->state) && !sight_is_left(core, guest, s)) {
            active = s;
            n++;
        }
    }
    if (n == 1 && may_be_left_behind(core, guest, active)) {
        snprintf(why, size,
                 "was last seen on %s, which says nothing now; the copy on %s stands still and may "
                 "be an "
                 "old one",
                 guest->rec->host, active->host->rec->name);
        return NULL;
    }
    if (n == 1)
        return active->host;
    if (n > 1) {
        snprintf(why, size, "runs on %s and on %s: stop one of them by hand first",
                 guest->sightings->host->rec->name, active->host->rec->name);
        return NULL;
    }
    if (guest->sightings != NULL) {
        s = guest->sightings;
        snprintf(why, size, "is %s on %s; only a guest that is active can be moved live",
                 guest_state_name(s->state), s->host->rec->name);
        if (s->state == RM_GUEST_STATE__GUEST_INCOMING)
            snprintf(why, size, "is just being moved to %s by somebody else", s->host->rec->name);
        return NULL;
    }
    struct host *last = *guest->rec->host != '\0' ? host_find(core, guest->rec->host) : NULL;
    if (last != NULL && (last->session == NULL || !last->reachable))
        snprintf(why, size, "Cannot communicate via %s to %s, where it was last seen%s%s",
                 zvm_speech(last), last->rec->name, last->text != NULL ? ": " : "",
                 last->text != NULL ? last->text : "");
    else
        snprintf(why, size, "no hypervisor that a worker serves has it%s",
                 names_remark(core, guest->rec->name));
    return NULL;
}

/* ---- the vm table */

const char *sight_table_host(struct core *core, const char *name)
{
    struct attr_value value;

    if (attr_get(core->attr, name, "vm.host", &value, NULL) < 0 || value.text == NULL)
        return NULL;
    return arena_strdup(core->arena, value.text);
}

int sight_mend_table(struct core *core, struct guest *guest, const struct host *host,
                     const char *who)
{
    const struct table *vm = table_find("vm");
    const char *name = guest->rec->name;
    const char *old = sight_table_host(core, name);
    bool is_zvm = host->rec->kind == RM_KIND__KIND_ZVM;
    const char *wrong = is_zvm ? zvm_wrong(core, name, host, "said") : NULL;
    /* A row that never was is not wrong, but a job's own result makes it. */
    bool sets = old == NULL ? who == NULL : strcmp(old, host->rec->name) != 0;
    int r;

    if (!sets && wrong == NULL && (!is_zvm || who != NULL))
        return 0;
    if (*guest->rec->domain != '\0' && names_is_nobodys(name))
        return 0; /* no node's guest: the table has nothing to say of it */
    /* A job's own result needs no event of its own; a mended table does. */
    if (who != NULL && sets)
        site_event(core, RM_EVENT_KIND__TABLE_MENDED, who, host->rec->name, name,
                   "vm.host said %s, the guest runs on %s", old, host->rec->name);
    if (who != NULL && wrong != NULL)
        site_event(core, RM_EVENT_KIND__TABLE_MENDED, who, host->rec->name, name,
                   "%s, the guest runs on %s", wrong, host->rec->name);
    r = sets ? table_row_set(core->store, vm, name, table_column(vm, "host"), host->rec->name) : 0;
    if (r < 0)
        core_fail(core, r, "vm table");
    if (is_zvm)
        zvm_mend(core, name, host);
    return 1;
}
