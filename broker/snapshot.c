/* snapshot.c - all that plans are made of, for who plans without a broker */
#include "broker/snapshot.h"

#include "broker/instance.h"
#include "broker/joint.h"
#include "broker/leave.h"
#include "wire/job.h"

#include <string.h>

/* Guests that may leave or make room are asks, as for a plan that empties everything; the others only say why
 * they cannot leave. */
struct picture {
    struct core *core;
    struct request *request;
    RmSnapshot *shot;
    struct place_ask *asks; /* owned */
    size_t n_asks;
    RmSnapshotGuest **guests; /* of each ask; owned */
    struct place_ask *leave;  /* borrowed, by guest */
    size_t n_leave;
    RmOutcome **said; /* borrowed, by name */
    size_t n_said;
};

static int by_guest(const void *a, const void *b)
{
    const struct place_ask *x = a, *y = b;

    return x->guest < y->guest ? -1 : x->guest > y->guest;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(RmOutcome *const *)a)->name, (*(RmOutcome *const *)b)->name);
}

static const char *said_of(const struct picture *picture, const char *name)
{
    RmOutcome key = RM_OUTCOME__INIT, *wanted = &key;

    key.name = (char *)name;
    RmOutcome **at = picture->n_said > 0 ? bsearch(&wanted, picture->said, picture->n_said,
                                                   sizeof(*picture->said), by_name)
                                         : NULL;
    return at ? (*at)->text : "cannot be moved";
}

/* A message that goes into the answer. False: that is too long. */
static void *part(struct picture *picture, const ProtobufCMessageDescriptor *kind)
{
    void *message = arena_alloc(picture->core->arena, kind->sizeof_message);

    if (message)
        kind->message_init(message);
    else
        request_refuse(picture->core, picture->request, RM_CODE__CODE_TRY_AGAIN,
                       "the answer is too long");
    return message;
}

static void add_guest(struct picture *picture, const struct submission *sub, struct host *host,
                      const struct instance *s)
{
    struct core *core = picture->core;
    struct place_ask *ask = &picture->asks[picture->n_asks];
    const struct place_ask key = {.guest = s->guest};
    const struct place_ask *leaves =
        picture->n_leave > 0
            ? bsearch(&key, picture->leave, picture->n_leave, sizeof(key), by_guest)
            : NULL;
    RmSnapshotGuest *guest = part(picture, &rm_snapshot_guest__descriptor);
    char why[600];

    if (!guest)
        return;
    bool moves = place_usable(core, host, why, sizeof(why)) && host_link_is_up(&host->link) &&
                 !noderange_has(&picture->request->exclude, s->guest->rec->name) &&
                 submission_may_make_room(core, sub, s->guest, host, ask);
    if (leaves && !moves)
        *ask = *leaves;
    guest->name = s->guest->rec->name;
    guest->host = host->rec->name;
    guest->memory = guest_figures(s->guest).memory;
    guest->vcpus = guest_figures(s->guest).vcpus;
    guest->leaves = leaves && leaves->source == host;
    guest->moves = moves;
    if (!guest->leaves)
        guest->why = (char *)said_of(picture, guest->name);
    CORE_PUSH(core, picture->shot->n_guests, picture->shot->guests, guest);
    if (guest->leaves || moves)
        picture->guests[picture->n_asks++] = guest;
}

static void push_names(struct core *core, struct host *const *hosts, const uint32_t *numbers,
                       size_t n, size_t *ret_n, char ***ret_names)
{
    for (size_t i = 0; i < n; i++)
        core_push(core, ret_n, (void ***)(void *)ret_names, hosts[numbers[i]]->rec->name);
}

static void show_hosts(struct picture *picture, const struct plan_site *site,
                       struct host *const *hosts)
{
    for (size_t i = 0; i < site->n_hosts; i++) {
        const struct plan_host *is = &site->hosts[i];
        RmSnapshotHost *host = part(picture, &rm_snapshot_host__descriptor);
        char why[600] = "";
        if (!host)
            return;
        host->name = hosts[i]->rec->name;
        host->memory = is->all.memory;
        host->vcpus = is->all.vcpus;
        host->memory_used = is->used.memory;
        host->vcpus_used = is->used.vcpus;
        host->guests_used = is->n_used;
        host->group = hosts[is->group]->rec->name;
        host->takes = is->takes;
        host->last = is->last;
        if (!is->takes && !place_usable(picture->core, hosts[i], why, sizeof(why)))
            host->why = core_strdup(picture->core, why);
        CORE_PUSH(picture->core, picture->shot->n_hosts, picture->shot->hosts, host);
    }
}

static void show(void *context, const struct plan_site *site, struct host *const *hosts)
{
    struct picture *picture = context;
    struct core *core = picture->core;

    show_hosts(picture, site, hosts);
    for (size_t i = 0; i < site->n_guests; i++) {
        const struct plan_guest *is = &site->guests[i];
        RmSnapshotGuest *guest = picture->guests[i];
        push_names(core, hosts, is->to, is->n_to, &guest->n_to, &guest->to);
        push_names(core, hosts, is->never, is->n_never, &guest->n_never, &guest->never);
        push_names(core, hosts, is->prefer, is->n_prefer, &guest->n_prefer, &guest->prefer);
        for (size_t k = 0; k < is->n_rules; k++)
            CORE_PUSH(core, guest->n_rules, guest->rules,
                      core_strdup(core, rules_at(core, is->rules[k])->text));
    }
    for (size_t i = 0; i < site->n_rules; i++) {
        RmSnapshotRule *rule = part(picture, &rm_snapshot_rule__descriptor);
        if (!rule)
            return;
        rule->text = core_strdup(core, rules_at(core, i)->text);
        rule->together = rules_at(core, i)->together;
        for (size_t k = 0; k < site->n_places; k++)
            if (site->places[k].rule == i)
                CORE_PUSH(core, rule->n_hosts, rule->hosts, hosts[site->places[k].host]->rec->name);
        CORE_PUSH(core, picture->shot->n_rules, picture->shot->rules, rule);
    }
}

void snapshot_request(struct core *core, struct request *request)
{
    struct submission sub = {.reason = "", .look_only = true, .evacuation = true};
    RmReply said = RM_REPLY__INIT;
    struct picture picture = {.core = core};
    struct request own;
    size_t n = 0;

    request_init(core, &own, request->peer, request->tag, request->message, &said);
    picture.request = &own;
    picture.shot = part(&picture, &rm_snapshot__descriptor);
    if (picture.shot && request_exclude(core, &own)) {
        for (struct host *host = core->hosts; host; host = host->hh.next) {
            const struct instance *s;
            DL_FOREACH2 (host->instances, s, h_next)
                n++;
            leave_host(core, &own, &sub, host, 0);
        }
        picture.leave = sub.asks;
        picture.n_leave = sub.n_asks;
        picture.said = said.outcomes;
        picture.n_said = said.n_outcomes;
        if (sub.n_asks > 0)
            qsort(sub.asks, sub.n_asks, sizeof(*sub.asks), by_guest);
        if (said.n_outcomes > 0)
            qsort(said.outcomes, said.n_outcomes, sizeof(*said.outcomes), by_name);
        picture.asks = must(calloc(n + 1, sizeof(*picture.asks)));
        picture.guests = must(calloc(n + 1, sizeof(*picture.guests)));
        for (struct host *host = core->hosts; host; host = host->hh.next) {
            const struct instance *s;
            DL_FOREACH2 (host->instances, s, h_next)
                if (guest_is_active(s->state))
                    add_guest(&picture, &sub, host, s);
        }
        memset(&picture.asks[picture.n_asks], 0, sizeof(*picture.asks));
        joint_show(core, picture.asks, picture.n_asks, show, &picture);
        request->reply->snapshot = picture.shot;
    }
    if (said.code > RM_CODE__CODE_SOME_FAILED)
        request_refuse(core, request, said.code, "%s", said.text);
    free(picture.guests);
    free(picture.asks);
    free(sub.asks);
    request_done(&own);
}
