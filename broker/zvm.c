/* zvm.c - members of an SSI cluster of z/VM: which user ids are guests, and the table zvm */
#include "broker/zvm.h"

#include "broker/guest.h"
#include "broker/host.h"
#include "broker/job.h"
#include "conf/array.h"
#include "store/tables/attr.h"
#include "store/tables/table.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { USERID_MAX = 8 };

/* ---- which user ids are nodes */

static char *change_case(struct arena *arena, const char *text, int (*change)(int c))
{
    char *copy = arena_strdup(arena, text);

    for (char *p = copy; p && *p != '\0'; p++)
        *p = (char)change((unsigned char)*p);
    return copy;
}

static char *userid_of(struct arena *arena, const char *value)
{
    return strlen(value) <= USERID_MAX ? change_case(arena, value, toupper) : NULL;
}

static const struct alias_rule rule = {
    .attr = "zvm.userid",
    .host_attr = "zvm.parent",
    .name_of = userid_of,
    .is_shared = true,
    .lists_guests = true,
};

static const char *userid(const RmGuest *guest)
{
    return *guest->domain != '\0' ? guest->domain : guest->name;
}

static void keep(struct alias_map *map, const struct job *job)
{
    const char *slash = strchr(job->ask->uuid, '/'); /* USERID/CLUSTER */
    const char *name = *job->ask->domain != '\0' ? job->ask->domain : job->ask->guest;

    if (job->ask->kind == RM_KIND__KIND_ZVM && slash)
        alias_keep(map, &(struct alias){job->ask->guest, name, job->live.source, slash + 1, NULL});
}

/* Members may be written in any case. */
static struct host *find_host(struct core *core, const char *name)
{
    for (struct host *host = core->hosts; host; host = host->hh.next)
        if (host->rec->kind == RM_KIND__KIND_ZVM && strcasecmp(host->rec->name, name) == 0)
            return host;
    return NULL;
}

static struct host *find_member(struct core *core, const char *name)
{
    struct host *host = host_find(core, name);
    return host ? host : find_host(core, name);
}

/* Can the node be on that member? 2: it is the one that the table names. */
static int suits(struct core *core, const struct alias *alias, const struct host *host)
{
    if (*alias->cluster != '\0')
        return strcmp(alias->cluster, host->rec->cluster) == 0 ? 1 : 0;
    if (strcasecmp(alias->host, host->rec->name) == 0)
        return 2;
    const struct host *parent = *alias->host != '\0' ? find_member(core, alias->host) : NULL;
    if (!parent || *parent->rec->cluster == '\0' || *host->rec->cluster == '\0')
        return 1;
    return strcmp(parent->rec->cluster, host->rec->cluster) == 0 ? 1 : 0;
}

static const char *guest_of(struct core *core, const struct alias_map *map, const struct host *host,
                            const char *name)
{
    const char *best = NULL;
    int best_suits = 0;

    for (const struct alias *one = alias_by_name(map, name); host && one; one = one->more) {
        int fit = suits(core, one, host);
        if (fit > best_suits) {
            best = one->node;
            best_suits = fit;
        }
    }
    return best;
}

static const char *others_text(struct core *core, unsigned n)
{
    return core_printf(core, "%u user id%s that the table zvm does not name stay%s logged on there",
                       n, n == 1 ? "" : "s", n == 1 ? "s" : "");
}

/* ---- what the table zvm says */

static const char *get(struct core *core, const char *node, const char *attr)
{
    struct attr_value value;

    if (attr_get(core->attr, node, attr, &value, NULL) < 0 || !value.text)
        return NULL;
    return arena_strdup(core->arena, value.text); /* of many guests, when all are compared */
}

/* Nobody can say that it is not logged on where nobody answers. */
static const char *remark(struct core *core, const struct alias_map *map, const char *node)
{
    const struct alias *alias = alias_by_node(map, node);
    const char *parent = alias ? get(core, node, "zvm.parent") : NULL;
    const struct host *host = parent ? find_member(core, parent) : NULL;

    if (!alias)
        return NULL;
    if (host && !host_link_is_up(&host->link))
        return arena_printf(
            core->arena, " (Cannot communicate via SMAPI to %s, its zvm.parent%s%s)",
            host->rec->name, host->link.text ? ": " : "", host->link.text ? host->link.text : "");
    return core_printf(core, " (its z/VM user %s is not logged on)", alias->name);
}

/* zvm.hcp of a member. xCAT looks for its node as it is written, then in lower and in upper case.
 */
static const char *hcp_of(struct core *core, const struct host *host)
{
    int (*const cases[])(int c) = {tolower, toupper};
    const char *hcp = get(core, host->rec->name, "zvm.hcp");

    for (size_t i = 0; i < 2 && !hcp; i++) {
        const char *name = must(change_case(core->arena, host->rec->name, cases[i]));
        hcp = get(core, name, "zvm.hcp");
    }
    return hcp;
}

static bool may_go(const struct host *from, const struct host *to, char *why, size_t size)
{
    if (strcmp(from->rec->cluster, to->rec->cluster) == 0)
        return true;
    snprintf(why, size, "%s is in the SSI cluster %s, %s in %s", to->rec->name, to->rec->cluster,
             from->rec->name, from->rec->cluster);
    return false;
}

static bool may_take(struct core *core, const struct guest *guest, const struct host *host,
                     char *why, size_t size)
{
    if (!get(core, guest->rec->name, "zvm.hcp") || hcp_of(core, host))
        return true;
    snprintf(why, size,
             "Failed to find zHCP of %s: set zvm.hcp of the node %s, which the guest's row needs "
             "after the move",
             host->rec->name, host->rec->name);
    return false;
}

/* As xCAT's plugin for z/VM begins its lines. */
static const char *announce(struct core *core, RmAskKind kind, const RmGuest *guest)
{
    const char *what = kind == RM_ASK_KIND__ASK_MODIFY   ? "_Modify"
                       : kind == RM_ASK_KIND__ASK_CANCEL ? " action=CANCEL"
                                                         : " action=TEST";

    return core_printf(core, "Running VMRELOCATE%s against %s...", what, userid(guest));
}

static void set(struct core *core, const char *node, const char *column, const char *value)
{
    const struct table *table = table_find("zvm");
    int r = table_row_set(core->store, table, node, table_column(table, column), value);

    if (r < 0)
        core_fail(core, r, "table zvm");
}

static const char *table_wrong(struct core *core, const char *node, const struct host *host,
                               const char *says)
{
    const char *parent = get(core, node, "zvm.parent"), *hcp = get(core, node, "zvm.hcp");
    const char *right = hcp ? hcp_of(core, host) : NULL;

    if (parent && strcasecmp(parent, host->rec->name) != 0)
        return arena_printf(core->arena, "zvm.parent %s %s", says, parent);
    if (right && strcmp(hcp, right) != 0)
        return arena_printf(core->arena, "zvm.hcp %s %s, and that of %s is %s", says, hcp,
                            host->rec->name, right);
    return NULL;
}

static void table_repair(struct core *core, const char *node, const struct host *host)
{
    const char *parent = get(core, node, "zvm.parent"), *hcp = get(core, node, "zvm.hcp");
    const char *right = hcp_of(core, host);

    if (!parent || strcasecmp(parent, host->rec->name) != 0)
        set(core, node, "parent", host->rec->name);
    if (right && (!hcp || strcmp(hcp, right) != 0))
        set(core, node, "hcp", right);
}

const struct platform platform_zvm = {
    .kind = RM_KIND__KIND_ZVM,
    .what = "member of z/VM",
    .protocol = "SMAPI",
    .peer_use = "see whether a guest has arrived",
    .has_limits = true,
    .cancels_foreign = true,
    .aliases = &rule,
    .keep = keep,
    .guest_of = guest_of,
    .remark = remark,
    .others_text = others_text,
    .find_host = find_host,
    .may_go = may_go,
    .may_take = may_take,
    .announce = announce,
    .table_wrong = table_wrong,
    .table_repair = table_repair,
};
