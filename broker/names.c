/* names.c - nodes whose guests have another name: `domain:NAME` in vm.othersettings
 *
 * The map is made from the tables, node by node in the order of their names; when two nodes name
 * one domain, the first has it. A guest that has a live job keeps its name until the job has ended:
 * the job's record, its lock and its result stay those of one name. */
#include "broker/state.h"

#include <errno.h>
#include <stdlib.h>

/* A domain and its node. Those that are called the same are not listed, unless a job needs it. */
struct naming {
    char *domain, *node; /* owned */
    bool of_job;         /* a live job keeps it */
    bool told;           /* the tables say so */
    UT_hash_handle hh;   /* by domain */
    UT_hash_handle hh_node;
};

/* A node that does not get what the tables give it. */
struct clash {
    char *node, *domain, *other; /* owned */
};

struct names {
    struct naming *by_domain, *by_node;
    struct clash *clashes;
    size_t n_clashes;
    bool kept; /* a live job keeps a name that the tables do not say */
};

/* ---- the map */

static struct naming *find_domain(const struct names *names, const char *domain)
{
    struct naming *naming;
    HASH_FIND_STR(names->by_domain, domain, naming);
    return naming;
}

static struct naming *find_node(const struct names *names, const char *node)
{
    struct naming *naming;
    HASH_FIND(hh_node, names->by_node, node, strlen(node), naming);
    return naming;
}

static struct naming *add_naming(struct core *core, struct names *names, const char *domain,
                                 const char *node)
{
    struct naming *naming = calloc(1, sizeof(*naming));

    if (naming != NULL) {
        naming->domain = strdup(domain);
        naming->node = strdup(node);
    }
    if (naming == NULL || naming->domain == NULL || naming->node == NULL) {
        if (naming != NULL) {
            free(naming->domain);
            free(naming->node);
        }
        free(naming);
        core_fail(core, -ENOMEM, "names");
        return NULL;
    }
    HASH_ADD_KEYPTR(hh, names->by_domain, naming->domain, strlen(naming->domain), naming);
    HASH_ADD_KEYPTR(hh_node, names->by_node, naming->node, strlen(naming->node), naming);
    return naming;
}

int names_new(struct core *core)
{
    core->names = calloc(1, sizeof(*core->names));
    core->names_stale = true;
    return core->names != NULL ? 0 : -ENOMEM;
}

void names_free(struct names *names)
{
    struct naming *naming, *next;

    if (names == NULL)
        return;
    HASH_CLEAR(hh_node, names->by_node);
    HASH_ITER (hh, names->by_domain, naming, next) {
        HASH_DEL(names->by_domain, naming);
        free(naming->domain);
        free(naming->node);
        free(naming);
    }
    for (size_t i = 0; i < names->n_clashes; i++) {
        free(names->clashes[i].node);
        free(names->clashes[i].domain);
        free(names->clashes[i].other);
    }
    free(names->clashes);
    free(names);
}

/* ---- what the tables say */

/* The value of `domain` in key:value;key:value, in the arena; NULL: there is none. */
static char *domain_of(struct core *core, const char *settings)
{
    static const char key[] = "domain";

    while (*settings != '\0') {
        size_t n = strcspn(settings, ";");
        const char *at = settings + strspn(settings, " \t"), *end = settings + n;
        const char *colon = memchr(settings, ':', n);
        settings = end + (*end == ';' ? 1 : 0);
        if (colon == NULL || (size_t)(colon - at) != strlen(key) ||
            memcmp(at, key, strlen(key)) != 0)
            continue;
        at = colon + 1 + strspn(colon + 1, " \t");
        while (end > at && (end[-1] == ' ' || end[-1] == '\t'))
            end--;
        if (end > at)
            return arena_printf(core->arena, "%.*s", (int)(end - at), at);
    }
    return NULL;
}

struct wishes {
    struct core *core;
    struct attr attr;
    struct wish_name {
        const char *node;
        char *domain;
    } * list;
    size_t n, room;
};

static int collect(void *ctx, const struct attr_node *node)
{
    struct wishes *wishes = ctx;
    struct core *core = wishes->core;
    struct attr_value value;
    char *domain;

    /* What cannot be evaluated is told by whoever asks for the attribute. */
    if (attr_value(core->attr, node, &wishes->attr, &value, NULL) < 0 || value.text == NULL)
        return 0;
    domain = domain_of(core, value.text);
    if (domain == NULL)
        return 0;
    if (wishes->n == wishes->room) {
        size_t room = wishes->room == 0 ? 64 : wishes->room * 2;
        struct wish_name *list = reallocarray(wishes->list, room, sizeof(*list));
        if (list == NULL)
            return -ENOMEM;
        wishes->list = list;
        wishes->room = room;
    }
    wishes->list[wishes->n++] = (struct wish_name){attr_node_name(node), domain};
    return 0;
}

static int by_node(const void *a, const void *b)
{
    return strcmp(((const struct wish_name *)a)->node, ((const struct wish_name *)b)->node);
}

static void add_clash(struct core *core, struct names *names, const struct wish_name *wish,
                      const struct naming *other)
{
    struct clash *list =
        reallocarray(names->clashes, names->n_clashes + 1, sizeof(*names->clashes));
    struct clash *clash;

    if (list == NULL)
        return;
    names->clashes = list;
    clash = &list[names->n_clashes];
    *clash = (struct clash){strdup(wish->node), strdup(wish->domain), strdup(other->node)};
    if (clash->node == NULL || clash->domain == NULL || clash->other == NULL) {
        free(clash->node);
        free(clash->domain);
        free(clash->other);
        return;
    }
    names->n_clashes++;
    core_note(core, LOG_LEVEL_WARN, "guest=%s: its domain %s is that of %s already, ignoring",
              wish->node, wish->domain, other->node);
}

static void take_wish(struct core *core, struct names *names, const struct wish_name *wish)
{
    struct naming *domain = find_domain(names, wish->domain), *node = find_node(names, wish->node);
    struct naming *naming;

    if (domain != NULL && domain == node) {
        domain->told = true; /* as the job has it */
    } else if ((domain != NULL && domain->of_job) || (node != NULL && node->of_job)) {
        names->kept = true;
    } else if (domain != NULL) {
        add_clash(core, names, wish, domain);
    } else {
        naming = add_naming(core, names, wish->domain, wish->node);
        if (naming != NULL)
            naming->told = true;
    }
}

static int read_tables(struct core *core, struct names *names)
{
    struct wishes wishes = {.core = core};
    struct rm_err err = {0};
    int r = attr_find("vm.othersettings", strlen("vm.othersettings"), &wishes.attr, &err);

    if (r >= 0)
        r = attr_refresh(core->attr, &err);
    if (r >= 0)
        r = attr_walk_nodes(core->attr, collect, &wishes);
    if (r >= 0 && wishes.n > 0)
        qsort(wishes.list, wishes.n, sizeof(*wishes.list), by_node);
    for (size_t i = 0; r >= 0 && i < wishes.n; i++)
        take_wish(core, names, &wishes.list[i]);
    free(wishes.list);
    return r;
}

static struct names *make_names(struct core *core)
{
    struct names *names = calloc(1, sizeof(*names));
    int r = names != NULL ? 0 : -ENOMEM;

    for (struct job *job = core->jobs; r == 0 && job != NULL; job = job->hh.next) {
        const char *node = job->ask->guest;
        const char *domain = *job->ask->domain != '\0' ? job->ask->domain : node;
        struct naming *naming;
        if (find_domain(names, domain) != NULL || find_node(names, node) != NULL)
            continue;
        naming = add_naming(core, names, domain, node);
        if (naming == NULL)
            r = -ENOMEM;
        else
            naming->of_job = true;
    }
    if (r == 0)
        r = read_tables(core, names);
    if (r < 0) {
        core_fail(core, r, "names");
        names_free(names);
        return NULL;
    }
    for (struct naming *naming = names->by_domain; naming != NULL; naming = naming->hh.next)
        if (!naming->told && strcmp(naming->domain, naming->node) != 0)
            names->kept = true;
    return names;
}

/* ---- guests get new names */

/* The guest is gone as such; what it was is the other one now. Neither has a live job. */
static void merge(struct core *core, struct guest *guest, struct guest *into)
{
    struct sighting *s, *next;

    DL_FOREACH_SAFE2 (guest->sightings, s, next, g_next) {
        DL_DELETE2(guest->sightings, s, g_prev, g_next);
        s->guest = into;
        DL_APPEND2(into->sightings, s, g_prev, g_next);
    }
    if (guest->rec->last_job > into->rec->last_job)
        into->rec->last_job = guest->rec->last_job;
    if (guest->rec->locked) {
        into->rec->locked = true;
        job_set(&into->rec->lock_text, guest->rec->lock_text);
    }
    job_set(&into->rec->domain, guest->rec->domain);
    job_set(&into->rec->host, guest->rec->host);
    job_set(&into->rec->uuid, guest->rec->uuid);
    into->rec->state = guest->rec->state;
    into->rec->memory = guest->rec->memory;
    into->rec->vcpus = guest->rec->vcpus;
    into->rec->seen_at = guest->rec->seen_at;
    into->settled_at = guest->settled_at;
    if (guest->stored || into->stored)
        guest_write(core, into);
    rm_guest__free_unpacked(guest->rec, NULL);
    free(guest);
}

static void rename_guest(struct core *core, struct guest *guest, const char *name)
{
    struct guest *there = guest_find(core, name);
    char *domain = strdup(*guest->rec->domain != '\0' ? guest->rec->domain : guest->rec->name);

    if (domain == NULL) {
        core_fail(core, -ENOMEM, "guest");
        return;
    }
    job_set(&guest->rec->domain, strcmp(domain, name) == 0 ? "" : domain);
    free(domain);
    if (there != NULL) {
        merge(core, guest, there);
        return;
    }
    job_set(&guest->rec->name, name);
    HASH_ADD_KEYPTR(hh, core->guests, guest->rec->name, strlen(guest->rec->name), guest);
    if (guest->stored)
        guest_write(core, guest);
}

struct renaming {
    struct guest *guest;
    char *name;
};

/* What the guest is called by now; NULL: nothing any more. */
static const char *name_now(struct core *core, const struct guest *guest, const char *domain)
{
    const struct host *host;

    if (guest->rec->kind != RM_KIND__KIND_ZVM)
        return names_node(core, domain);
    host = host_find(core, guest->rec->host);
    return host != NULL ? zvm_node(core, domain, host) : NULL;
}

/* All that get another name are taken out first: two may swap theirs. */
static void rename_guests(struct core *core)
{
    struct renaming *list = calloc(HASH_COUNT(core->guests) + 1, sizeof(*list));
    struct guest *guest, *next;
    size_t n = 0;

    if (list == NULL) {
        core_fail(core, -ENOMEM, "names");
        return;
    }
    HASH_ITER (hh, core->guests, guest, next) {
        const char *domain = *guest->rec->domain != '\0' ? guest->rec->domain : guest->rec->name;
        const char *name = name_now(core, guest, domain);
        if (guest->job != NULL || name == NULL)
            continue;
        if (strcmp(name, guest->rec->name) == 0 || !conf_name_is_valid(name))
            continue;
        list[n] = (struct renaming){guest, strdup(name)};
        if (list[n].name == NULL) {
            core_fail(core, -ENOMEM, "names");
            break;
        }
        n++;
    }
    for (size_t i = 0; i < n; i++) {
        guest = list[i].guest;
        core_note(core, LOG_LEVEL_INFO, "guest=%s: is called %s from now on", guest->rec->name,
                  list[i].name);
        HASH_DEL(core->guests, guest);
        if (guest->stored && record_guest_delete(core->store, guest->rec->name) < 0)
            core_fail(core, -EIO, "guest");
    }
    for (size_t i = 0; i < n; i++) {
        rename_guest(core, list[i].guest, list[i].name);
        free(list[i].name);
    }
    free(list);
}

void names_tick(struct core *core)
{
    struct names *names;

    if (!core->names_stale)
        return;
    names = make_names(core);
    if (names == NULL || zvm_refresh(core) < 0) {
        names_free(names);
        return;
    }
    names_free(core->names);
    core->names = names;
    core->names_stale = false;
    rename_guests(core);
    sight_again(core);
}

void names_job_ended(struct core *core)
{
    core->names_stale = core->names_stale || core->names->kept || zvm_keeps(core);
}

/* ---- questions */

const char *names_node(struct core *core, const char *domain)
{
    const struct naming *naming = find_domain(core->names, domain);
    char *name;

    if (naming != NULL)
        return naming->node;
    if (find_node(core->names, domain) == NULL)
        return domain;
    name = arena_printf(core->arena, "%%%s", domain);
    return name != NULL ? name : domain;
}

bool names_is_nobodys(const char *name)
{
    return name[0] == '%';
}

const char *names_domain(struct core *core, const char *node)
{
    const struct naming *naming = find_node(core->names, node);

    return naming != NULL ? naming->domain : node;
}

/* Of z/VM. Nobody can say that it is not logged on where nobody answers. */
static const char *remark_zvm(struct core *core, const char *node, const char *userid)
{
    struct attr_value value;
    const struct host *host = NULL;

    if (attr_get(core->attr, node, "zvm.parent", &value, NULL) >= 0 && value.text != NULL)
        host = host_called(core, value.text);
    if (host != NULL && (host->session == NULL || !host->reachable))
        return arena_printf(core->arena, " (Cannot communicate via %s to %s, its zvm.parent%s%s)",
                            zvm_speech(host), host->rec->name, host->text != NULL ? ": " : "",
                            host->text != NULL ? host->text : "");
    return arena_printf(core->arena, " (its z/VM user %s is not logged on)", userid);
}

const char *names_remark(struct core *core, const char *node)
{
    const char *domain = names_domain(core, node), *other = names_node(core, node), *text = "";
    const char *userid = zvm_userid(core, node);

    if (userid != NULL)
        text = remark_zvm(core, node, userid);
    else if (strcmp(domain, node) != 0)
        text = arena_printf(core->arena, " (its domain is %s)", domain);
    else if (strcmp(other, node) != 0)
        text = arena_printf(core->arena, " (the domain of that name is the guest of %s)", other);
    return text != NULL ? text : "";
}

void names_each_clash(struct core *core,
                      void (*f)(void *ctx, const char *node, const char *domain, const char *other),
                      void *ctx)
{
    const struct names *names = core->names;

    for (size_t i = 0; i < names->n_clashes; i++)
        f(ctx, names->clashes[i].node, names->clashes[i].domain, names->clashes[i].other);
}
