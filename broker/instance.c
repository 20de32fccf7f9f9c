/* instance.c - domains as hypervisors show them: which guest, where, in which state */
#include "broker/instance.h"

#include "wire/job.h"

static void count(struct instance *instance)
{
    struct host *host = instance->host;

    /* A guest on its way here is counted once, by the promise. */
    instance->counted = capacity_show(&host->load, instance->state,
                                      instance->guest->promised_to == host, &instance->has);
}

static void uncount(struct instance *instance)
{
    capacity_hide(&instance->host->load, instance->state, instance->counted, &instance->has);
}

static struct instance *find(const struct guest *guest, const struct host *host)
{
    struct instance *instance;

    DL_FOREACH2 (guest->instances, instance, g_next)
        if (instance->host == host)
            return instance;
    return NULL;
}

const struct instance *instance_at(const struct guest *guest, const struct host *host)
{
    return find(guest, host);
}

bool instance_may_be_left(const struct instance *instance)
{
    const RmMark *mark = guest_mark(instance->guest, instance->host->rec->name);

    return mark && mark->copy && instance->state == RM_GUEST_STATE__GUEST_PAUSED;
}

void instance_drop(struct instance *instance)
{
    uncount(instance);
    DL_DELETE2(instance->guest->instances, instance, g_prev, g_next);
    DL_DELETE2(instance->host->instances, instance, h_prev, h_next);
    free(instance);
}

void instance_add(struct host *host, struct guest *guest, const struct instance_look *look)
{
    struct instance *there = find(guest, host);
    if (there && (guest_is_active(there->state) || !guest_is_active(look->state)))
        return;
    if (there)
        instance_drop(there);
    struct instance *instance = must(calloc(1, sizeof(*instance)));
    size_t n = strnlen(look->uuid, sizeof(instance->uuid) - 1);

    instance->guest = guest;
    instance->host = host;
    memcpy(instance->uuid, look->uuid, n);
    instance->state = look->state;
    instance->has = look->has;
    instance->migrating = look->migrating;
    DL_APPEND2(guest->instances, instance, g_prev, g_next);
    DL_APPEND2(host->instances, instance, h_prev, h_next);
    count(instance);
}

void instance_drop_all(struct host *host)
{
    while (host->instances)
        instance_drop(host->instances);
}

void instance_moved(struct guest *guest, const struct host *from, struct host *to, bool paused)
{
    struct instance *instance, *next;
    struct instance_look look = {
        .uuid = guest->rec->uuid,
        .state = paused ? RM_GUEST_STATE__GUEST_PAUSED : RM_GUEST_STATE__GUEST_RUNNING,
        .has = guest_figures(guest),
    };

    DL_FOREACH_SAFE2 (guest->instances, instance, next, g_next)
        if (instance->host == from || instance->host == to)
            instance_drop(instance);
    instance_add(to, guest, &look);
}

void instance_recount(struct guest *guest)
{
    struct instance *instance;

    DL_FOREACH2 (guest->instances, instance, g_next) {
        uncount(instance);
        count(instance);
    }
}

void instance_pass_on(struct guest *from, struct guest *to)
{
    struct instance *instance, *next;

    DL_FOREACH_SAFE2 (from->instances, instance, next, g_next) {
        if (find(to, instance->host)) {
            instance_drop(instance);
            continue;
        }
        DL_DELETE2(from->instances, instance, g_prev, g_next);
        instance->guest = to;
        DL_APPEND2(to->instances, instance, g_prev, g_next);
    }
}
