/* libvirt.c - hypervisors that libvirt manages: nodes whose domains have another name */
#include "broker/libvirt.h"

#include "broker/job.h"
#include "broker/words.h"

#include <string.h>

/* The value of `domain`. */
static char *domain_of(struct arena *arena, const char *settings)
{
    struct word word;

    while (word_next(&settings, &word))
        if (word.value_length > 0 && word_is(&word, "domain"))
            return arena_printf(arena, "%.*s", (int)word.value_length, word.value);
    return NULL;
}

static const struct alias_rule rule = {.attr = "vm.othersettings", .name_of = domain_of};

/* Also of the other kinds: a domain that is called like the node of such a guest is not its own. */
static void keep(struct alias_map *map, const struct job *job)
{
    const char *node = job->ask->guest, *domain = job->ask->domain;

    if (*job->guest->rec->shares != '\0')
        return; /* the name is another guest's as well */
    alias_keep(map, &(struct alias){node, *domain != '\0' ? domain : node, "", "", NULL});
}

static const char *guest_of(struct core *core, const struct alias_map *map, const struct host *host,
                            const char *domain)
{
    const struct alias *alias = alias_by_name(map, domain);

    (void)host;
    if (alias)
        return alias->node;
    if (!alias_by_node(map, domain))
        return domain;
    return core_printf(core, "%%%s", domain);
}

static const char *remark(struct core *core, const struct alias_map *map, const char *node)
{
    const struct alias *own = alias_by_node(map, node), *other = alias_by_name(map, node);

    if (own && strcmp(own->name, node) != 0)
        return core_printf(core, " (its domain is %s)", own->name);
    if (other && strcmp(other->node, node) != 0)
        return core_printf(core, " (the domain of that name is the guest of %s)", other->node);
    return NULL;
}

const struct platform platform_libvirt = {
    .kind = RM_KIND__KIND_LIBVIRT,
    .protocol = "libvirt",
    .peer_use = "send guests",
    .leaves_copies = true,
    .aliases = &rule,
    .keep = keep,
    .guest_of = guest_of,
    .remark = remark,
};
