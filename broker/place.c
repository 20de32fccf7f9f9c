/* place.c - where a guest can go, and why not
 *
 * Memory is a hard limit: what guests have, and what is promised to those on their way, may not
 * exceed what the host gives to guests. vCPUs may be given out several times (`vcpus_per_cpu`).
 * Among the hosts that fit, the one with the largest share of both left is taken. */
#include "broker/state.h"

#include "conf/unit.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT_MOST = 1000 }; /* guests by which hosts without figures are told apart */

static void say(char *why, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void say(char *why, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(why, size, format, args);
    va_end(args);
}

uint64_t place_free(const struct host *host)
{
    uint64_t taken = host->used + host->promised;
    return host->rec->memory > taken ? host->rec->memory - taken : 0;
}

bool place_may_come(const struct core *core, const struct host *host)
{
    usec_t timeout = core->conf->session_timeout;

    if (host->session == NULL)
        return core->now < core->started_at + timeout && host->rec->seen_at != 0;
    return !host->seen && core->wall < host->session->connected_wall + timeout;
}

bool place_usable(struct core *core, const struct host *host, char *why, size_t size)
{
    const char *name = host->rec->name;

    if (host->rec->state == RM_HOST_STATE__HOST_CLOSED) {
        say(why, size, "%s is closed%s%s", name, *host->rec->why != '\0' ? ": " : "",
            host->rec->why);
        return false;
    }
    if ((host->session == NULL || !host->reachable) && place_may_come(core, host))
        return true;
    if (host->session == NULL) {
        say(why, size, "%s has no worker", name);
        return false;
    }
    if (!host->reachable && host->seen) {
        say(why, size, "%s does not answer its worker%s%s", name, host->text != NULL ? ": " : "",
            host->text != NULL ? host->text : "");
        return false;
    }
    if (!host->reachable) {
        say(why, size, "%s: its hypervisor has not answered its worker%s%s", name,
            host->text != NULL ? ": " : "", host->text != NULL ? host->text : "");
        return false;
    }
    if (*host->rec->peer == '\0') {
        say(why, size, "%s has no `peer` in its worker's settings, so no one can %s there", name,
            host->rec->kind == RM_KIND__KIND_ZVM ? "see whether a guest has arrived"
                                                 : "send guests");
        return false;
    }
    return true;
}

/* What this guest could have there. Its own promise does not stand in its way. */
struct room {
    uint64_t memory, vcpus;
};

static struct room room_for(const struct core *core, const struct guest *guest,
                            const struct host *host, bool now)
{
    uint64_t all_vcpus = (uint64_t)host->rec->vcpus * core->conf->vcpus_per_cpu;
    uint64_t memory = host->used + (now ? host->arriving : host->promised);
    uint64_t vcpus =
        (uint64_t)host->used_vcpus + (now ? host->arriving_vcpus : host->promised_vcpus);
    const struct job *job = guest->job;

    if (job != NULL && job->destination == host && (!now || job_is_active(job->live.state))) {
        memory -= guest->rec->memory;
        vcpus -= guest->rec->vcpus;
    }
    return (struct room){.memory = host->rec->memory > memory ? host->rec->memory - memory : 0,
                         .vcpus = all_vcpus > vcpus ? all_vcpus - vcpus : 0};
}

static bool fits(const struct core *core, const struct guest *guest, const struct host *host,
                 bool now, char *why, size_t size)
{
    struct room room = room_for(core, guest, host, now);

    if (room.memory < guest->rec->memory) {
        char has[UNIT_TEXT_MAX], needs[UNIT_TEXT_MAX];
        say(why, size, "%s has no room: %s of memory free, %s needed", host->rec->name,
            unit_size_text(room.memory, has), unit_size_text(guest->rec->memory, needs));
        return false;
    }
    if (room.vcpus < guest->rec->vcpus) {
        say(why, size, "%s has no room: %llu vCPUs free (%u CPUs, %u vCPUs for each), %u needed",
            host->rec->name, (unsigned long long)room.vcpus, (unsigned)host->rec->vcpus,
            core->conf->vcpus_per_cpu, (unsigned)guest->rec->vcpus);
        return false;
    }
    return true;
}

bool place_fits(struct core *core, const struct guest *guest, const struct host *host, char *why,
                size_t size)
{
    return fits(core, guest, host, /* now = */ false, why, size);
}

bool place_fits_now(struct core *core, const struct guest *guest, const struct host *host,
                    char *why, size_t size)
{
    return fits(core, guest, host, /* now = */ true, why, size);
}

/* What would be left, in thousandths of what the host has, of the scarcer of memory and vCPUs. */
static uint64_t left(const struct core *core, const struct guest *guest, const struct host *host)
{
    struct room room = room_for(core, guest, host, /* now = */ false);
    uint64_t all_vcpus = (uint64_t)host->rec->vcpus * core->conf->vcpus_per_cpu;
    uint64_t memory, vcpus;

    /* What cannot be measured is spread by number. */
    if (host->rec->memory == 0 || all_vcpus == 0) {
        uint64_t n = (uint64_t)host->active + host->promised_guests;
        return n < COUNT_MOST ? COUNT_MOST - n : 0;
    }
    memory = (room.memory - guest->rec->memory) / (host->rec->memory / 1000 + 1);
    vcpus = (room.vcpus - guest->rec->vcpus) * 1000 / all_vcpus;
    return memory < vcpus ? memory : vcpus;
}

static bool listed(struct host *const *list, size_t n, const struct host *host)
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

/* Why not, of all hosts that were asked for: that an open one has no room tells more than that
 * another one is closed. */
static bool suits(struct core *core, struct place_ask *ask, struct host *host, bool *no_room)
{
    char why[sizeof(ask->why)];

    if (host == ask->source || listed(ask->never, ask->n_never, host) ||
        (ask->n_to > 0 && !listed(ask->to, ask->n_to, host)))
        return false;
    /* Among all hosts those of another kind are not worth a word. */
    if (ask->source != NULL && !zvm_may_go(ask->source, host, why, sizeof(why))) {
        if (ask->n_to > 0 && !*no_room)
            say(ask->why, sizeof(ask->why), "%s", why);
        return false;
    }
    if (named(ask->unfit, ask->n_unfit, host))
        say(why, sizeof(why), "%s could not take it", host->rec->name);
    else if (host->rec->kind == RM_KIND__KIND_ZVM && zvm_needs_hcp(core, ask->guest->rec->name) &&
             zvm_hcp(core, host) == NULL)
        say(why, sizeof(why),
            "Failed to find zHCP of %s: set zvm.hcp of the node %s, which the guest's row needs "
            "after the move",
            host->rec->name, host->rec->name);
    else if (place_usable(core, host, why, sizeof(why))) {
        if (place_fits(core, ask->guest, host, ask->why, sizeof(ask->why)))
            return true;
        *no_room = true;
        return false;
    }
    if (!*no_room)
        say(ask->why, sizeof(ask->why), "%s", why);
    return false;
}

/* tight: the host with the least left, so that big gaps stay for big guests. */
static struct host *choose(struct core *core, struct place_ask *ask, bool tight)
{
    struct host *best = NULL;
    uint64_t best_left = 0;
    bool no_room = false;

    for (struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        uint64_t rest;
        if (!suits(core, ask, host, &no_room))
            continue;
        rest = left(core, ask->guest, host);
        /* Of equals the one whose name comes first, so that the same question has the same answer.
         */
        if (best == NULL || (tight ? rest < best_left : rest > best_left) ||
            (rest == best_left && strcmp(host->rec->name, best->rec->name) < 0)) {
            best = host;
            best_left = rest;
        }
    }
    if (best != NULL)
        ask->why[0] = '\0';
    else if (ask->why[0] == '\0')
        say(ask->why, sizeof(ask->why), "there is no other open host");
    return best;
}

struct host *place_choose(struct core *core, struct place_ask *ask)
{
    ask->why[0] = '\0';
    ask->chosen = choose(core, ask, /* tight = */ false);
    return ask->chosen;
}

static int by_size(const void *a, const void *b)
{
    const struct place_ask *x = *(struct place_ask *const *)a, *y = *(struct place_ask *const *)b;

    if (x->guest->rec->memory != y->guest->rec->memory)
        return x->guest->rec->memory < y->guest->rec->memory ? 1 : -1;
    if (x->guest->rec->vcpus != y->guest->rec->vcpus)
        return x->guest->rec->vcpus < y->guest->rec->vcpus ? 1 : -1;
    return strcmp(x->guest->rec->name, y->guest->rec->name);
}

/* One pass over all; what is chosen is promised for the time of the pass. */
static size_t pass(struct core *core, struct place_ask **order, size_t n, bool tight)
{
    size_t without = 0;

    for (size_t i = 0; i < n; i++) {
        struct place_ask *ask = order[i];
        ask->why[0] = '\0';
        ask->chosen = choose(core, ask, tight);
        if (ask->chosen == NULL) {
            without++;
            continue;
        }
        ask->chosen->promised += ask->guest->rec->memory;
        ask->chosen->promised_vcpus += ask->guest->rec->vcpus;
        ask->chosen->promised_guests++;
    }
    for (size_t i = 0; i < n; i++) {
        struct place_ask *ask = order[i];
        if (ask->chosen != NULL) {
            ask->chosen->promised -= ask->guest->rec->memory;
            ask->chosen->promised_vcpus -= ask->guest->rec->vcpus;
            ask->chosen->promised_guests--;
        }
    }
    return without;
}

size_t place_joint(struct core *core, struct place_ask *asks, size_t n)
{
    struct place_ask **order = calloc(n + 1, sizeof(struct place_ask *));
    size_t even, tight;

    if (order == NULL) {
        core_fail(core, -ENOMEM, "plan");
        return n;
    }
    for (size_t i = 0; i < n; i++)
        order[i] = &asks[i];
    qsort(order, n, sizeof(struct place_ask *), by_size);
    /* Spread evenly if all find a place; packed tightly if that places more. */
    even = pass(core, order, n, false);
    if (even > 0) {
        tight = pass(core, order, n, true);
        if (tight >= even)
            even = pass(core, order, n, false);
        else
            even = tight;
    }
    free(order);
    return even;
}

struct host *place_again(struct core *core, struct job *job, char *why, size_t size)
{
    struct host **to = NULL;
    struct place_ask ask = {
        .guest = job->guest,
        .source = job->source,
        .unfit = job->live.unfit,
        .n_unfit = job->live.n_unfit,
    };

    /* A job that names its hosts keeps to them, unless it was said that any other will do. */
    if (job->ask->n_to > 0 && !(job->ask->options != NULL && job->ask->options->anywhere)) {
        to = calloc(job->ask->n_to, sizeof(struct host *));
        for (size_t i = 0; to != NULL && i < job->ask->n_to; i++)
            to[ask.n_to++] = host_find(core, job->ask->to[i]);
        ask.to = to;
    }
    place_choose(core, &ask);
    snprintf(why, size, "%s", ask.why);
    free(to);
    return ask.chosen;
}
