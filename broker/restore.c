/* restore.c - hypervisors are opened again, and get back what evacuations have taken from them */
#include "broker/restore.h"

#include "broker/guest.h"
#include "broker/host.h"
#include "broker/inventory.h"
#include "broker/job.h"
#include "broker/leave.h"
#include "broker/platforms.h"
#include "broker/submit.h"
#include "broker/times.h"

/* One hypervisor of the request. */
struct home {
    struct host *host;
    RmHostState was;
    size_t n_away; /* guests that are away from it, wherever they are */
};

struct homes {
    struct home *list; /* those that can be opened; owned */
    size_t n;
};

static struct home *home_of(const struct homes *homes, const struct guest *guest)
{
    for (size_t i = 0; i < homes->n && *guest->rec->home != '\0'; i++)
        if (strcmp(homes->list[i].host->rec->name, guest->rec->home) == 0)
            return &homes->list[i];
    return NULL;
}

/* False: it stays as it is, and the reply says why. */
static bool may_open(struct core *core, struct request *request, struct host *host)
{
    const RmHost *rec = host->rec;

    if (rec->emptying)
        request_host_outcome(core, request, rec->name, false,
                             "is being emptied: rmigrate cancel --host %s, then rmigrate open %s",
                             rec->name, rec->name);
    else if (!host_link_is_up(&host->link))
        request_host_outcome(
            core, request, rec->name, false, "is not opened: Cannot communicate via %s to %s: %s",
            platform_of(rec->kind)->protocol, rec->name, host_link_trouble(&host->link));
    else
        return true;
    return false;
}

/* No hypervisor shows it, and the one that had it last would. */
static bool is_gone(struct core *core, const struct guest *guest)
{
    const struct host *last = host_find(core, guest->rec->host);

    return !guest->instances && !guest->job && last && host_link_is_up(&last->link);
}

/* Becomes an ask for its place at home, or the reply says why not. */
static void bring(struct core *core, struct request *request, struct submission *sub,
                  struct guest *guest, const struct home *home)
{
    const RmGuest *rec = guest->rec;
    const char *at = home->host->rec->name;
    struct place_ask *ask = &sub->asks[sub->n_asks];
    struct host *place;
    char why[600] = "";

    if (is_gone(core, guest)) {
        request_outcome(core, request, rec->name, true,
                        "is on no hypervisor any more, and is not waited for at %s", at);
        if (!sub->look_only)
            guest_is_home(core, guest);
        return;
    }
    if (guest->job && guest->job->destination == home->host) {
        request_outcome(core, request, rec->name, true, "job %llu brings it to %s",
                        (unsigned long long)guest->job->id, at)
            ->job = guest->job->id;
        return;
    }
    place = guest->job ? NULL : inventory_where(core, guest, why, sizeof(why));
    if (place == home->host) {
        request_outcome(core, request, rec->name, true, "Guest is already on host %s", at);
        if (!sub->look_only)
            guest_is_home(core, guest);
    } else if (place && strcmp(place->rec->name, rec->put) != 0 &&
               !request->message->restore->all) {
        request_outcome(core, request, rec->name, true,
                        "was moved from %s to %s since, and stays there (--all brings it back too)",
                        rec->put, place->rec->name);
    } else if (submission_may_move(core, request, sub, rec->name, ask)) {
        struct host **to = core_alloc(core, sizeof(*to));
        to[0] = home->host;
        ask->to = to;
        ask->n_to = 1;
        sub->n_asks++;
    }
}

static void collect(struct core *core, struct request *request, struct submission *sub,
                    struct homes *homes)
{
    guest_sort(core);
    for (struct guest *guest = core->guests; guest; guest = guest->hh.next) {
        struct home *home = home_of(homes, guest);
        if (!home)
            continue;
        home->n_away++;
        if (noderange_has(&request->exclude, guest->rec->name))
            request_outcome(core, request, guest->rec->name, false,
                            "stays on %s: it is excluded (exclude_nodes)", guest->rec->host);
        else
            bring(core, request, sub, guest, home);
    }
}

static void suppose_open(struct homes *homes, bool so)
{
    for (size_t i = 0; i < homes->n; i++) {
        struct home *home = &homes->list[i];
        if (so)
            home->was = host_suppose(home->host, RM_HOST_STATE__HOST_OPEN);
        else
            host_suppose(home->host, home->was);
    }
}

static void open_them(struct core *core, struct request *request, const struct homes *homes)
{
    for (size_t i = 0; i < homes->n; i++) {
        const struct home *home = &homes->list[i];
        bool was_open = home->was == RM_HOST_STATE__HOST_OPEN;
        if (!was_open)
            host_set_state(core, home->host, RM_HOST_STATE__HOST_OPEN, request->peer->user,
                           request->message->restore->reason);
        request_host_outcome(core, request, home->host->rec->name, true, "%s%s",
                             was_open ? "is already open" : "open",
                             home->n_away == 0 ? ", and no guest is away from it" : "");
    }
}

static void bring_home(struct core *core, struct request *request, struct submission *sub,
                       struct homes *homes)
{
    suppose_open(homes, true);
    collect(core, request, sub, homes);
    leave_find_places(core, request, sub, 0);
    times_order(core, sub);
    bool has_room = sub->look_only || submission_has_room(core, request, sub);
    suppose_open(homes, false);
    if (!has_room)
        return;
    if (!sub->look_only)
        open_them(core, request, homes);
    submission_carry_out(core, request, sub);
    if (sub->look_only)
        times_tell(core, request->reply, sub);
}

void restore_request(struct core *core, struct request *request)
{
    const RmRestore *restore = request->message->restore;
    struct noderange names = {0};
    struct homes homes = {0};
    struct submission sub = {
        .options = restore->options,
        .reason = restore->reason,
        .priority = restore->priority,
        .look_only = restore->plan_only,
        .no_room = restore->no_room,
    };

    if (!request_exclude(core, request) || !request_hosts(core, request, restore->hosts, &names))
        return;
    homes.list = must(calloc(names.n + 1, sizeof(*homes.list)));
    for (size_t i = 0; i < names.n; i++) {
        struct host *host = platform_host(core, names.names[i]);
        if (!host_link_is_up(&host->link) && place_may_come(core, host))
            request_hold(request);
    }
    for (size_t i = 0; i < names.n && !request->held; i++) {
        struct host *host = platform_host(core, names.names[i]);
        if (may_open(core, request, host))
            homes.list[homes.n++].host = host;
    }
    if (homes.n > 0) {
        sub.asks = must(calloc(HASH_COUNT(core->guests) + 1, sizeof(*sub.asks)));
        bring_home(core, request, &sub, &homes);
    }
    free(sub.asks);
    free(homes.list);
    noderange_done(&names);
}
