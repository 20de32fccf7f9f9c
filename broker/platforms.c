/* platforms.c - which kinds of hypervisors this broker knows: a row for each */
#include "broker/platforms.h"

#include "broker/host.h"
#include "broker/libvirt.h"
#ifdef RMIGRATE_ZVM
#include "broker/zvm.h"
#endif

#include <stdio.h>

static const struct platform *const platforms[] = {
    &platform_libvirt,
#ifdef RMIGRATE_ZVM
    &platform_zvm,
#endif
};

static const char *guest_of_none(struct core *core, const struct alias_map *map,
                                 const struct host *host, const char *name)
{
    (void)core, (void)map, (void)host, (void)name;
    return NULL;
}

static bool may_go_nowhere(const struct host *from, const struct host *to, char *why, size_t size)
{
    (void)from;
    snprintf(why, size, "%s is of a kind that this broker was built without", to->rec->name);
    return false;
}

static const struct platform unknown = {
    .kind = (RmKind)-1,
    .what = "hypervisor of a kind that this broker was built without",
    .protocol = "its worker",
    .peer_use = "send guests",
    .guest_of = guest_of_none,
    .may_go = may_go_nowhere,
};

const struct platform *platform_at(size_t i)
{
    return i < sizeof(platforms) / sizeof(platforms[0]) ? platforms[i] : NULL;
}

const struct platform *platform_of(RmKind kind)
{
    for (size_t i = 0; platform_at(i); i++)
        if (platforms[i]->kind == kind)
            return platforms[i];
    return &unknown;
}

const char *platform_missing(RmKind kind)
{
    if (platform_of(kind) != &unknown)
        return NULL;
    return kind == RM_KIND__KIND_ZVM ? "this broker was built without z/VM (RMIGRATE_ZVM)"
                                     : "this broker does not know hypervisors of its kind";
}

struct host *platform_host(struct core *core, const char *name)
{
    struct host *host = host_find(core, name);

    for (size_t i = 0; !host && platform_at(i); i++)
        host = platforms[i]->find_host ? platforms[i]->find_host(core, name) : NULL;
    return host;
}

bool platform_may_go(const struct host *from, const struct host *to, char *why, size_t size)
{
    const struct platform *mine = platform_of(from->rec->kind), *its = platform_of(to->rec->kind);

    if (mine == its)
        return !mine->may_go || mine->may_go(from, to, why, size);
    snprintf(why, size, "%s is %s %s", to->rec->name, its->what ? "a" : "no",
             its->what ? its->what : mine->what);
    return false;
}
