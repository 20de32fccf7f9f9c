/* alias.c - guests that hypervisors know by another name: the map, made from jobs and tables */
#include "broker/alias.h"

#include "conf/array.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct entry {
    struct alias alias; /* first: its `more` is an entry as well */
    bool is_kept;       /* a live job has it */
    bool is_listed;     /* the tables say so */
    struct entry *last; /* of the first of a name: the last one */
    UT_hash_handle hh;  /* by name, the first of them */
    UT_hash_handle hh_node;
};

struct alias_map {
    const struct alias_rule *rule;
    struct arena *arena;             /* of all that the map holds */
    struct entry *by_name, *by_node; /* uthash */
    struct alias_clash *clashes;     /* owned; their texts are in the arena */
    size_t n_clashes, clash_room;
    bool keeps;
};

struct alias_map *alias_new(const struct alias_rule *rule)
{
    struct alias_map *map = must(calloc(1, sizeof(*map)));

    map->rule = rule;
    map->arena = must(arena_new(0));
    return map;
}

void alias_free(struct alias_map *map)
{
    if (!map)
        return;
    HASH_CLEAR(hh, map->by_name);
    HASH_CLEAR(hh_node, map->by_node);
    free(map->clashes);
    arena_free(map->arena);
    free(map);
}

static struct entry *find_name(const struct alias_map *map, const char *name)
{
    struct entry *one;
    HASH_FIND_STR(map->by_name, name, one);
    return one;
}

static struct entry *find_node(const struct alias_map *map, const char *node)
{
    struct entry *one;
    HASH_FIND(hh_node, map->by_node, node, strlen(node), one);
    return one;
}

static struct entry *add(struct alias_map *map, const struct alias *alias)
{
    struct entry *one = must(arena_alloc(map->arena, sizeof(*one)));

    one->alias.node = must(arena_strdup(map->arena, alias->node));
    one->alias.name = must(arena_strdup(map->arena, alias->name));
    one->alias.host = must(arena_strdup(map->arena, alias->host));
    one->alias.cluster = must(arena_strdup(map->arena, alias->cluster));
    struct entry *first = find_name(map, alias->name);
    if (first)
        first->last->alias.more = &one->alias;
    else
        HASH_ADD_KEYPTR(hh, map->by_name, one->alias.name, strlen(one->alias.name), one);
    (first ? first : one)->last = one;
    HASH_ADD_KEYPTR(hh_node, map->by_node, one->alias.node, strlen(one->alias.node), one);
    return one;
}

void alias_keep(struct alias_map *map, const struct alias *alias)
{
    if (!find_node(map, alias->node) && (map->rule->is_shared || !find_name(map, alias->name)))
        add(map, alias)->is_kept = true;
}

/* ---- what the tables say */

struct reading {
    struct alias_map *map;
    struct attr_site *site;
    struct arena *arena;
    struct attr attr, host_attr;
    struct alias **list; /* as the tables have them, in the arena */
    size_t n;
};

static int collect(void *ctx, const struct attr_node *node)
{
    struct reading *reading = ctx;
    const struct alias_rule *rule = reading->map->rule;
    struct alias alias = {.node = attr_node_name(node), .host = "", .cluster = ""};
    struct attr_value value;

    /* What cannot be evaluated is reported by whoever asks for the attribute. */
    if (attr_value(reading->site, node, &reading->attr, &value, NULL) < 0 || !value.text)
        return 0;
    alias.name = rule->name_of(reading->arena, value.text);
    if (!alias.name || strlen(alias.name) > ALIAS_NAME_MAX)
        return 0;
    if (rule->host_attr &&
        attr_value(reading->site, node, &reading->host_attr, &value, NULL) >= 0 && value.text &&
        strlen(value.text) <= ALIAS_NAME_MAX)
        alias.host = must(arena_strdup(reading->arena, value.text));
    struct alias *one = must(arena_alloc(reading->arena, sizeof(*one)));
    *one = alias;
    return ARENA_PUSH(reading->arena, reading->n, reading->list, one);
}

static int by_node(const void *a, const void *b)
{
    return strcmp((*(struct alias *const *)a)->node, (*(struct alias *const *)b)->node);
}

static void add_clash(struct alias_map *map, const struct alias *one, const struct alias *other)
{
    struct alias_clash *clash = ARRAY_MUST_ADD(map->clashes, map->n_clashes, map->clash_room);

    *clash = (struct alias_clash){must(arena_strdup(map->arena, one->node)),
                                  must(arena_strdup(map->arena, one->name)), other->node};
}

static void take(struct alias_map *map, const struct alias *alias)
{
    struct entry *known = find_node(map, alias->node);
    const struct entry *other = map->rule->is_shared ? NULL : find_name(map, alias->name);

    if (known) { /* a live job's */
        known->is_listed = strcmp(known->alias.name, alias->name) == 0;
        map->keeps = map->keeps || !known->is_listed;
    } else if (!other) {
        add(map, alias)->is_listed = true;
    } else if (other->is_kept) {
        map->keeps = true;
    } else {
        add_clash(map, alias, &other->alias);
    }
}

static int find_attr(const char *name, struct attr *ret_attr, struct rm_err *err)
{
    return name ? attr_find(name, strlen(name), ret_attr, err) : 0;
}

int alias_read(struct alias_map *map, struct attr_site *site, struct arena *arena)
{
    struct reading reading = {.map = map, .site = site, .arena = arena};
    struct rm_err err = {0};
    int r = find_attr(map->rule->attr, &reading.attr, &err);

    if (r >= 0)
        r = find_attr(map->rule->host_attr, &reading.host_attr, &err);
    if (r >= 0)
        r = attr_refresh(site, &err);
    if (r >= 0)
        r = attr_walk_nodes(site, collect, &reading);
    if (reading.n > 0)
        qsort(reading.list, reading.n, sizeof(struct alias *), by_node);
    for (size_t i = 0; r >= 0 && i < reading.n; i++)
        take(map, reading.list[i]);
    for (const struct entry *one = map->by_node; one; one = one->hh_node.next)
        if (!one->is_listed &&
            (map->rule->lists_guests || strcmp(one->alias.name, one->alias.node) != 0))
            map->keeps = true;
    return r;
}

/* ---- questions */

bool alias_keeps(const struct alias_map *map)
{
    return map->keeps;
}

const struct alias *alias_by_name(const struct alias_map *map, const char *name)
{
    const struct entry *one = find_name(map, name);
    return one ? &one->alias : NULL;
}

const struct alias *alias_by_node(const struct alias_map *map, const char *node)
{
    const struct entry *one = find_node(map, node);
    return one ? &one->alias : NULL;
}

const struct alias_clash *alias_clashes(const struct alias_map *map, size_t *ret_n)
{
    *ret_n = map->n_clashes;
    return map->clashes;
}

void alias_set_host(struct alias_map *map, const char *node, const char *host)
{
    struct entry *one = find_node(map, node);

    if (one)
        one->alias.host = host;
}
