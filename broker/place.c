/* place.c - where a guest can go, and why not */
#include "broker/place.h"

#include "broker/instance.h"
#include "broker/job.h"
#include "broker/platforms.h"
#include "conf/array.h"
#include "conf/unit.h"

#include <stdio.h>

enum {
    COUNT_MOST = 1000, /* guests by which hosts without figures are told apart */
    REASONS_MAX = 8,   /* hosts of one kind of reason that a refusal names */
};

uint64_t place_reserve(const struct core *core, const struct host *host)
{
    const RmReserve *own = host->rec->reserve;
    uint64_t memory = host->rec->memory, share = own ? own->per_cent : core->conf->reserve.per_cent;
    uint64_t bytes = own ? own->bytes : core->conf->reserve.bytes;

    if (share > 0)
        bytes = memory / 100 * share + memory % 100 * share / 100;
    return bytes < memory && share <= 100 ? bytes : memory;
}

struct figures place_figures(const struct core *core, const struct host *host)
{
    return (struct figures){.memory = host->rec->memory - place_reserve(core, host),
                            .vcpus = (uint64_t)host->rec->vcpus * core->conf->vcpus_per_cpu};
}

uint64_t place_free_memory(const struct core *core, const struct host *host)
{
    struct figures all = place_figures(core, host);

    return capacity_left(&host->load, &all, NULL, CAPACITY_LATER).memory;
}

bool place_may_come(const struct core *core, const struct host *host)
{
    usec_t timeout = core->conf->session_timeout;

    if (!host->link.session)
        return core->now < core->started_at + timeout && host->rec->seen_at != 0;
    return !host->link.seen && core->now < host->link.session->connected_at + timeout;
}

bool place_usable(const struct core *core, const struct host *host, char *why, size_t size)
{
    const struct host_link *link = &host->link;
    const char *name = host->rec->name;

    if (host->rec->state == RM_HOST_STATE__HOST_CLOSED) {
        snprintf(why, size, "%s is closed%s%s", name, *host->rec->why != '\0' ? ": " : "",
                 host->rec->why);
        return false;
    }
    if (!host_link_is_up(link) && place_may_come(core, host))
        return true;
    if (!link->session)
        snprintf(why, size, "%s has no worker", name);
    else if (!link->reachable)
        snprintf(why, size, "%s%s%s%s", name,
                 link->seen ? " does not answer its worker"
                            : ": its hypervisor has not answered its worker",
                 link->text ? ": " : "", link->text ? link->text : "");
    else if (*host->rec->peer == '\0')
        snprintf(why, size, "%s has no `peer` in its worker's settings, so no one can %s there",
                 name, platform_of(host->rec->kind)->peer_use);
    else
        return true;
    return false;
}

/* What this guest could have there. Its own promise does not stand in its way. */
static struct figures left_for(const struct core *core, const struct guest *guest,
                               const struct host *host, enum capacity_when when)
{
    struct figures all = place_figures(core, host);
    const struct job *job = guest->job;
    bool own = job && job->destination == host && when != CAPACITY_EVER &&
               (when == CAPACITY_LATER || job_is_active(job->live.state));

    return capacity_left(&host->load, &all, own ? &job->promised : NULL, when);
}

/* Somebody has brought it there by hand while its job waited: it needs no more room than it has. */
static bool is_there(const struct guest *guest, const struct host *host)
{
    const struct instance *s = guest->instances;

    return s && !s->g_next && s->host == host && guest_is_active(s->state);
}

static bool fits(const struct core *core, const struct guest *guest, const struct figures *more,
                 const struct host *host, enum capacity_when when, char *why, size_t size)
{
    struct figures left = left_for(core, guest, host, when), needs = guest_figures(guest);
    char has[UNIT_TEXT_MAX], wants[UNIT_TEXT_MAX], kept[UNIT_TEXT_MAX];
    uint64_t reserve = place_reserve(core, host);

    if (is_there(guest, host))
        needs = (struct figures){0};
    needs.memory += more->memory;
    needs.vcpus += more->vcpus;
    if (left.memory < needs.memory)
        snprintf(why, size, "%s has too little memory: %s free%s%s, %s needed", host->rec->name,
                 unit_size_text(left.memory, has), reserve > 0 ? " besides a reserve of " : "",
                 reserve > 0 ? unit_size_text(reserve, kept) : "",
                 unit_size_text(needs.memory, wants));
    else if (left.vcpus < needs.vcpus)
        snprintf(why, size,
                 "%s has too few vCPUs: %llu free (%u CPUs, %u vCPUs for each), %u needed",
                 host->rec->name, (unsigned long long)left.vcpus, (unsigned)host->rec->vcpus,
                 core->conf->vcpus_per_cpu, (unsigned)needs.vcpus);
    else
        return true;
    return false;
}

bool place_fits(const struct core *core, const struct guest *guest, const struct host *host,
                enum capacity_when when, char *why, size_t size)
{
    static const struct figures none = {0};

    return fits(core, guest, &none, host, when, why, size);
}

/* What would be left, in thousandths of what the host has, of the scarcer of memory and vCPUs. */
static uint64_t share_left(const struct core *core, const struct guest *guest,
                           const struct host *host)
{
    struct figures left = left_for(core, guest, host, CAPACITY_LATER);
    struct figures all = place_figures(core, host), needs = guest_figures(guest);

    if (is_there(guest, host))
        needs = (struct figures){0};
    /* What cannot be measured is spread by number. */
    if (all.memory == 0 || all.vcpus == 0) {
        unsigned n = capacity_guests(&host->load);
        return n < COUNT_MOST ? COUNT_MOST - n : 0;
    }
    uint64_t memory = (left.memory - needs.memory) / (all.memory / 1000 + 1);
    uint64_t vcpus = (left.vcpus - needs.vcpus) * 1000 / all.vcpus;
    return memory < vcpus ? memory : vcpus;
}

bool place_listed(struct host *const *list, size_t n, const struct host *host)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == host)
            return true;
    return false;
}

static bool named(char *const *names, size_t n, const struct host *host)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], host->rec->name) == 0)
            return true;
    return false;
}

/* A domain of that name is there that is another guest: one of two that share it (guest.h), or a
 * definition. */
static bool name_is_taken(struct core *core, const struct guest *guest, const struct host *host)
{
    const RmGuest *rec = guest->rec;
    const char *name = *rec->shares != '\0' ? rec->shares : rec->name;
    const struct guest *other =
        core->n_twins > 0 ? guest_find(core, core_printf(core, "%s@%s", name, host->rec->name))
                          : NULL;
    const struct instance *there = instance_at(guest, host);

    return (there && strcmp(there->uuid, rec->uuid) != 0) ||
           (other && other != guest && instance_at(other, host));
}

bool place_suits(struct core *core, const struct place_ask *ask, const struct host *host, char *why,
                 size_t size)
{
    const struct platform *platform = platform_of(host->rec->kind);

    if (ask->n_to != 1 && name_is_taken(core, ask->guest, host))
        snprintf(why, size, "%s has another guest of its name", host->rec->name);
    else if (named(ask->unfit, ask->n_unfit, host))
        snprintf(why, size, "%s could not take it", host->rec->name);
    else
        return !platform->may_take || platform->may_take(core, ask->guest, host, why, size);
    return false;
}

/* Why not, of each host: that an open one is too small helps more than that another one is closed. */
struct reasons {
    char small[400], other[400];
    unsigned n_small, n_other, n_room;
};

static void add_reason(char *text, size_t size, unsigned *n, const char *why)
{
    size_t used = strlen(text);

    if ((*n)++ < REASONS_MAX)
        snprintf(text + used, size - used, "%s%s", used > 0 ? "; " : "", why);
}

/* Does a rule keep it from there? */
static bool is_barred(const struct core *core, struct place_ask *ask, const struct rules_look *look,
                      const struct host *host, struct reasons *reasons)
{
    char why[300], ever[300];
    bool may_wait;

    if (!rules_bar(look, host, why, sizeof(why), &may_wait))
        return look->held != NULL;
    ask->ruled = true;
    add_reason(reasons->other, sizeof(reasons->other), &reasons->n_other, why);
    if (may_wait && !look->held &&
        place_fits(core, ask->guest, host, CAPACITY_EVER, ever, sizeof(ever)))
        add_reason(ask->room, sizeof(ask->room), &reasons->n_room, host->rec->name);
    return true;
}

static bool suits(struct core *core, struct place_ask *ask, const struct rules_look *look,
                  struct host *host, struct reasons *reasons)
{
    const struct platform *platform = platform_of(host->rec->kind);
    char why[300] = "";

    if (host == ask->source || place_listed(ask->never, ask->n_never, host) ||
        (ask->n_to > 0 && !place_listed(ask->to, ask->n_to, host)))
        return false;
    ask->own = ask->own || ask->n_unfit > 0 || platform->may_take;
    if (ask->source && !platform_may_go(ask->source, host, why, sizeof(why))) {
        /* Among all hosts those of another kind are not worth a word. */
        if (ask->n_to > 0)
            add_reason(reasons->other, sizeof(reasons->other), &reasons->n_other, why);
        return false;
    }
    ask->own = ask->own || look->of || (ask->n_to != 1 && name_is_taken(core, ask->guest, host));
    if (place_suits(core, ask, host, why, sizeof(why)) &&
        place_usable(core, host, why, sizeof(why))) {
        char ever[300];
        bool barred = is_barred(core, ask, look, host, reasons);
        ask->usable = ask->usable || !barred;
        if (fits(core, ask->guest, &ask->more, host, CAPACITY_LATER, why, sizeof(why)))
            return !barred;
        add_reason(reasons->small, sizeof(reasons->small), &reasons->n_small, why);
        if (!barred && fits(core, ask->guest, &ask->more, host, CAPACITY_EVER, ever, sizeof(ever)))
            add_reason(ask->room, sizeof(ask->room), &reasons->n_room, host->rec->name);
        return false;
    }
    add_reason(reasons->other, sizeof(reasons->other), &reasons->n_other, why);
    return false;
}

static void explain(struct place_ask *ask, const struct reasons *reasons)
{
    unsigned n = reasons->n_small + reasons->n_other;
    unsigned said = (reasons->n_small < REASONS_MAX ? reasons->n_small : REASONS_MAX) +
                    (reasons->n_other < REASONS_MAX ? reasons->n_other : REASONS_MAX);

    ask->may_wait = reasons->n_room > 0;
    if (n == 0)
        snprintf(ask->why, sizeof(ask->why), "there is no other open host");
    else
        snprintf(ask->why, sizeof(ask->why), "%s%s%s", reasons->small,
                 reasons->n_small > 0 && reasons->n_other > 0 ? "; " : "", reasons->other);
    size_t used = strlen(ask->why);
    if (n > said)
        snprintf(ask->why + used, sizeof(ask->why) - used, "; and %u more", n - said);
}

/* What comes first: hosts that are preferred, then those that are neither suspect nor tried, then suspect
 * ones, then those where it failed, the last one last. */
static size_t rank(const struct core *core, const struct place_ask *ask,
                   const struct rules_look *look, const struct host *host)
{
    for (size_t i = 0; i < ask->n_tried; i++)
        if (strcmp(ask->tried[i], host->rec->name) == 0)
            return i + 3;
    return host_is_suspect(core, host) ? 2 : rules_prefer(look, host) ? 0 : 1;
}

static struct rules_look look_at_rules(struct core *core, const struct place_ask *ask,
                                       struct reasons *reasons)
{
    struct rules_look look = {0};
    char why[300];

    if (!ask->free)
        look = rules_look(core, ask->guest, ask->source, ask->plan, ask->n_plan);
    if (look.held) {
        snprintf(why, sizeof(why), "%s keeps it with %s, which stays on %s", look.held->text,
                 look.by->rec->name, ask->source ? ask->source->rec->name : "its hypervisor");
        add_reason(reasons->other, sizeof(reasons->other), &reasons->n_other, why);
    }
    return look;
}

struct host *place_choose(struct core *core, struct place_ask *ask)
{
    struct host *best = NULL;
    uint64_t best_left = 0;
    size_t best_rank = 0;
    struct reasons reasons = {0};

    struct rules_look look = look_at_rules(core, ask, &reasons);
    ask->usable = ask->may_wait = false;
    ask->ruled = ask->own = look.held != NULL;
    ask->room[0] = '\0';
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        uint64_t rest;
        if (!suits(core, ask, &look, host, &reasons))
            continue;
        rest = share_left(core, ask->guest, host);
        size_t at = rank(core, ask, &look, host);
        if (best && at > best_rank)
            continue;
        /* Of equals the one whose name comes first, so that the same question has the same answer.
         */
        if (!best || at < best_rank || rest > best_left ||
            (rest == best_left && strcmp(host->rec->name, best->rec->name) < 0)) {
            best = host;
            best_left = rest;
            best_rank = at;
        }
    }
    rules_look_done(&look);
    if (best)
        ask->why[0] = '\0';
    else
        explain(ask, &reasons);
    return best;
}

static struct batch_hosts wanted_hosts(const struct job *job)
{
    return batch_hosts(job->batch, job->ask);
}

static bool takes_any(const RmJob *ask)
{
    return ask->n_to == 0 || (ask->options && ask->options->anywhere);
}

bool place_may_choose(const struct job *job)
{
    return wanted_hosts(job).n != 1 || (job->ask->options && job->ask->options->anywhere);
}

static bool is_free(const struct job *job)
{
    return job->ask->options && job->ask->options->ignore_rules;
}

bool place_breaks_rule(struct core *core, const struct job *job, char *why, size_t size)
{
    return !is_free(job) && rules_bar_now(core, job->guest, job->destination, why, size);
}

/* What the job asks for now. to: to be freed. */
static struct place_ask ask_of(struct core *core, const struct job *job, struct host ***ret_to)
{
    const struct batch_hosts wanted = wanted_hosts(job);
    struct host **to = NULL;
    struct place_ask ask = {
        .guest = job->guest,
        .source = job->source,
        .unfit = job->live.unfit,
        .n_unfit = job->live.n_unfit,
        .tried = job->live.tried,
        .n_tried = job->live.n_tried,
        .free = is_free(job),
    };

    /* A job that names its hosts keeps to them, unless any other will do. */
    if (!takes_any(job->ask)) {
        to = must(calloc(wanted.n, sizeof(struct host *)));
        for (size_t i = 0; i < wanted.n; i++)
            to[ask.n_to++] = host_find(core, wanted.names[i]);
        ask.to = to;
    }
    *ret_to = to;
    return ask;
}

/* Jobs of guests that a rule holds together with that one, and that wait where it does; what they need. In an
 * array from malloc, or NULL. */
static struct job **waiting_mates(struct core *core, const struct job *job, size_t *ret_n,
                                  struct figures *ret_needs)
{
    const struct rules_of *of = is_free(job) ? NULL : rules_of(core, job->guest);
    struct job **mates = NULL;
    size_t n = 0, room = 0;

    *ret_needs = (struct figures){0};
    for (size_t i = 0; of && i < of->n_rules; i++)
        for (size_t k = 0; of->rules[i]->together && k < of->rules[i]->n_nodes; k++) {
            const struct guest *other = guest_find(core, of->rules[i]->nodes[k]);
            struct job *its = other ? other->job : NULL;
            bool known = !its || its == job || its->source != job->source ||
                         job_is_active(its->live.state) || !place_may_choose(its) ||
                         (its->destination && its->destination != job->destination);
            for (size_t m = 0; m < n && !known; m++)
                known = mates[m] == its;
            if (known)
                continue;
            struct figures needs = guest_figures(other);
            ret_needs->memory += needs.memory;
            ret_needs->vcpus += needs.vcpus;
            *ARRAY_MUST_ADD(mates, n, room) = its;
        }
    *ret_n = n;
    return mates;
}

void place_take_along(struct core *core, const struct job *job, struct host *host)
{
    struct figures needs;
    size_t n;
    struct job **mates = waiting_mates(core, job, &n, &needs);

    for (size_t i = 0; i < n; i++) {
        struct host **to;
        struct place_ask ask = ask_of(core, mates[i], &to);
        char why[300];
        if ((ask.n_to == 0 || place_listed(ask.to, ask.n_to, host)) &&
            place_suits(core, &ask, host, why, sizeof(why)))
            job_set_destination(core, mates[i], host);
        free(to);
    }
    free(mates);
}

struct host *place_again(struct core *core, const struct job *job, struct place_answer *ret)
{
    struct host **to;
    struct place_ask ask = ask_of(core, job, &to);
    size_t n;

    free(waiting_mates(core, job, &n, &ask.more));
    ret->chosen = place_choose(core, &ask);
    ret->may_wait = ask.may_wait;
    ret->own = ask.own;
    snprintf(ret->why, sizeof(ret->why), "%s%s", ask.may_wait ? "waits for room on " : "",
             ask.may_wait ? ask.room : ask.why);
    free(to);
    return ret->chosen;
}

static bool same_choice(const struct job *one, const struct job *other)
{
    const struct batch_hosts a = wanted_hosts(one), b = wanted_hosts(other);

    if (takes_any(one->ask) || takes_any(other->ask))
        return takes_any(one->ask) && takes_any(other->ask);
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n && a.names != b.names; i++)
        if (strcmp(a.names[i], b.names[i]) != 0)
            return false;
    return true;
}

bool place_as_before(const struct job *other, const struct job *job)
{
    struct figures less = guest_figures(other->guest), needs = guest_figures(job->guest);

    return other->source == job->source && needs.memory >= less.memory &&
           needs.vcpus >= less.vcpus && same_choice(other, job);
}

/* Can it go there some time, without anybody doing something about it? */
static bool is_way(struct core *core, const struct job *job, const struct host *host, char *why,
                   size_t size)
{
    return host && place_usable(core, host, why, size) &&
           (is_free(job) || !rules_bar_for_good(core, job->guest, host, why, size));
}

bool place_has_way(struct core *core, const struct job *job, char *why, size_t size)
{
    const struct batch_hosts to = wanted_hosts(job);

    if (is_way(core, job, job->destination, why, size))
        return true;
    if (takes_any(job->ask)) {
        for (const struct host *host = core->hosts; host; host = host->hh.next)
            if (host != job->source && is_way(core, job, host, why, size))
                return true;
        snprintf(why, size, "there is no other open host");
        return false;
    }
    for (size_t i = 0; i < to.n; i++) {
        const struct host *host = host_find(core, to.names[i]);
        if (host != job->source && is_way(core, job, host, why, size))
            return true;
    }
    if (to.n != 1)
        snprintf(why, size, "none of the %zu hosts that it may go to is open and answers", to.n);
    return false;
}

bool place_is_wanted(const struct core *core, const struct job *but)
{
    for (const struct job *job = core->jobs.by_id; job; job = job->hh.next)
        if (job != but && job->live.state == RM_STATE__QUEUED && !job->destination)
            return true;
    return false;
}
