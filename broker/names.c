/* names.c - what guests are called: by their nodes, whatever hypervisors call them
 *
 * A guest that has a live job keeps its name until the job has ended (alias.h). */
#include "broker/names.h"

#include "broker/guest.h"
#include "broker/host.h"
#include "broker/instance.h"
#include "broker/job.h"
#include "broker/platforms.h"
#include "store/tables/table.h"

enum { PLATFORMS_MAX = 8 };

struct names {
    struct alias_map *maps[PLATFORMS_MAX]; /* of platform_at() */
    bool is_stale;                         /* the tables may say something else now */
};

struct names *names_new(void)
{
    struct names *names = must(calloc(1, sizeof(*names)));

    names->is_stale = true;
    return names;
}

static void drop_maps(struct alias_map **maps)
{
    for (size_t i = 0; i < PLATFORMS_MAX; i++) {
        alias_free(maps[i]);
        maps[i] = NULL;
    }
}

void names_free(struct names *names)
{
    if (names)
        drop_maps(names->maps);
    free(names);
}

static struct alias_map *map_of(const struct core *core, const struct platform *platform)
{
    for (size_t i = 0; platform_at(i); i++)
        if (platform_at(i) == platform)
            return core->names->maps[i];
    return NULL;
}

static const char *guest_of(struct core *core, RmKind kind, const struct host *host,
                            const char *name)
{
    const struct platform *platform = platform_of(kind);
    const char *node = platform->guest_of(core, map_of(core, platform), host, name);

    if (!node || conf_name_is_valid(node) || names_is_nobodys(node))
        return node;
    return core_printf(core, "%%%.*s", CONF_NAME_MAX - 1, name);
}

/* ---- guests get new names */

struct renaming {
    struct guest *guest;
    char *name; /* owned */
};

/* All that get another name are taken out first: two may swap theirs. */
static void rename_guests(struct core *core)
{
    struct renaming *list = NULL;
    size_t n = 0, room = 0;
    struct guest *guest, *next;

    HASH_ITER (hh, core->guests, guest, next) {
        const RmGuest *rec = guest->rec;
        const char *domain = *rec->domain != '\0' ? rec->domain : rec->name;
        const char *name = guest_of(core, rec->kind, host_find(core, rec->host), domain);
        if (*rec->shares != '\0')
            name = NULL; /* the inventory gives it another one when that changes */
        if (guest->job || !name || strcmp(name, rec->name) == 0)
            continue;
        *ARRAY_MUST_ADD(list, n, room) = (struct renaming){guest, must(strdup(name))};
    }
    for (size_t i = 0; i < n; i++) {
        core_note(core, LOG_LEVEL_INFO, "guest=%s: is called %s from now on",
                  list[i].guest->rec->name, list[i].name);
        guest_take_out(core, list[i].guest);
    }
    for (size_t i = 0; i < n; i++) {
        struct guest *there = guest_find(core, list[i].name);
        if (there) {
            instance_pass_on(list[i].guest, there);
            guest_merge(core, list[i].guest, there);
        } else {
            guest_rename(core, list[i].guest, list[i].name);
        }
        free(list[i].name);
    }
    free(list);
}

/* ---- the tables are read */

static int read_map(struct core *core, const struct platform *platform, struct alias_map *map)
{
    const struct alias_clash *clashes;
    size_t n;

    for (const struct job *job = core->jobs.by_id; job; job = job->hh.next)
        platform->keep(map, job);
    int r = alias_read(map, core->attr, core->arena);
    clashes = alias_clashes(map, &n);
    for (size_t i = 0; r >= 0 && i < n; i++)
        core_note(core, LOG_LEVEL_WARN, "guest=%s: its domain %s is that of %s already, ignoring",
                  clashes[i].node, clashes[i].name, clashes[i].other);
    return r;
}

bool names_tick(struct core *core)
{
    struct names *names = core->names;
    struct alias_map *maps[PLATFORMS_MAX] = {NULL};
    int r = 0;

    if (!names->is_stale)
        return false;
    for (size_t i = 0; r >= 0 && platform_at(i); i++) {
        maps[i] = alias_new(platform_at(i)->aliases);
        r = read_map(core, platform_at(i), maps[i]);
    }
    if (r < 0) {
        core_fail(core, r, "names");
        drop_maps(maps);
        return false;
    }
    drop_maps(names->maps);
    memcpy(names->maps, maps, sizeof(maps));
    names->is_stale = false;
    rename_guests(core);
    return true;
}

static bool is_column(const char *attr, const struct table *table, int column)
{
    size_t n = strlen(table->name);

    return attr && strncmp(attr, table->name, n) == 0 && attr[n] == '.' &&
           (column < 0 || strcmp(table->columns[column], attr + n + 1) == 0 ||
            strcmp(table->columns[column], "disable") == 0);
}

bool names_depend_on(const struct table *table, int column)
{
    for (size_t i = 0; platform_at(i); i++)
        if (is_column(platform_at(i)->aliases->attr, table, column) ||
            is_column(platform_at(i)->aliases->host_attr, table, column))
            return true;
    return false;
}

void names_changed(struct core *core)
{
    core->names->is_stale = true;
}

void names_job_ended(struct core *core)
{
    for (size_t i = 0; platform_at(i); i++)
        if (alias_keeps(core->names->maps[i]))
            core->names->is_stale = true;
}

void names_repaired(struct core *core, const char *node, const struct host *host)
{
    struct alias_map *map = map_of(core, platform_of(host->rec->kind));

    if (map)
        alias_set_host(map, node, host->rec->name);
}

/* ---- questions */

const char *names_guest_of(struct core *core, const struct host *host, const char *name)
{
    return guest_of(core, host->rec->kind, host, name);
}

bool names_is_nobodys(const char *name)
{
    return name[0] == '%';
}

/* As a word of a shell: between single quotes, with '\\'' for each that is in it. */
static const char *shell_word(struct core *core, const char *text)
{
    char *word = core_alloc(core, 4 * strlen(text) + 3), *at = word;

    *at++ = '\'';
    for (; *text != '\0'; text++)
        at = *text == '\'' ? stpcpy(at, "'\\''") : (*at = *text, at + 1);
    *at = '\'';
    return word;
}

const char *names_remedy(struct core *core, const struct guest *guest)
{
    const RmGuest *rec = guest->rec;
    const struct alias_rule *rule = platform_of(rec->kind)->aliases;

    if (conf_name_is_valid(rec->name) || !rule ||
        (*rec->shares != '\0' && conf_name_is_valid(rec->shares)))
        return NULL;
    const char *set = core_printf(core, "domain:%s", rec->domain);
    const char *told = rule->name_of(core->arena, set);
    if (!told || strcmp(told, rec->domain) != 0 || strlen(told) > ALIAS_NAME_MAX)
        return core_printf(core,
                           "no node can be called like its domain '%s', and the tables cannot hold "
                           "that name: move it by hand, or rename it when it is shut off (virsh "
                           "domrename)",
                           rec->domain);
    return core_printf(core,
                       "no node can be called like its domain '%s'; give it a node: rmigrate chtab "
                       "node=NODE %s",
                       rec->domain, shell_word(core, core_printf(core, "%s=%s", rule->attr, set)));
}

const char *names_remark(struct core *core, const char *node)
{
    const char *text = NULL;

    for (size_t i = 0; platform_at(i); i++) {
        const struct platform *platform = platform_at(i);
        const char *remark =
            platform->remark ? platform->remark(core, core->names->maps[i], node) : NULL;
        text = remark ? remark : text; /* that of the ordinary kind counts least */
    }
    return text ? text : "";
}

void names_each_clash(struct core *core, void (*f)(void *ctx, const struct alias_clash *clash),
                      void *ctx)
{
    for (size_t i = 0; platform_at(i); i++) {
        size_t n;
        const struct alias_clash *clashes = alias_clashes(core->names->maps[i], &n);
        for (size_t k = 0; k < n; k++)
            f(ctx, &clashes[k]);
    }
}
