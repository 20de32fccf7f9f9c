/* alias.h - guests that hypervisors know by another name than that of their node
 *
 * An alias_map holds what one attribute of the tables says: of each node the name of its guest on
 * hypervisors (libvirt's domain, z/VM's user id). It is made once and never follows the tables: when
 * they change, a new one takes its place. A guest that has a live job keeps its alias until the job
 * has ended, since the job's record, its lock and its result stay those of one name: alias_keep()
 * comes before alias_read().
 *
 * The map owns all its texts. Without memory the program ends. No logging. */
#ifndef BROKER_ALIAS_H
#define BROKER_ALIAS_H

#include "store/tables/attr.h"
#include "wire/msg.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    ALIAS_NAME_MAX = 255, /* bytes of a name or host that the tables may give */
};

struct alias {
    const char *node, *name;
    const char *host;         /* where the tables, or the job, have the guest; "" = nowhere */
    const char *cluster;      /* of a kept one: where its guest is; "" = anywhere */
    const struct alias *more; /* the next one with the same name */
};

/* A node that does not get what the tables give it. */
struct alias_clash {
    const char *node, *name;
    const char *other; /* the node that has the name */
};

struct alias_rule {
    const char *attr;      /* TABLE.COLUMN that says the name */
    const char *host_attr; /* that says where the guest is; NULL: none */
    /* The name in a value of attr, from the arena; NULL: there is none. One of more than
     * ALIAS_NAME_MAX is none. */
    char *(*name_of)(struct arena *arena, const char *value);
    bool is_shared;    /* nodes may have one name, on different hosts; else the first one has it */
    bool lists_guests; /* what the tables do not list is no guest; else it is called as its node */
};

struct alias_map;

struct alias_map *alias_new(const struct alias_rule *rule); /* the rule must outlive it */
void alias_free(struct alias_map *map);                     /* NULL is fine */

/* A live job's guest; the texts are copied. A node or, where names are not shared, a name that is there already is left
 * as it is. */
void alias_keep(struct alias_map *map, const struct alias *alias);

/* Reads the tables, node by node in the order of their names. arena: for what is in between. An
 * error is that of the tables. */
int alias_read(struct alias_map *map, struct attr_site *site, struct arena *arena);

/* Does a live job keep what the tables do not say? Then its end is a reason to read them again. */
bool alias_keeps(const struct alias_map *map);

/* NULL: there is none. Those of one name are linked by `more`. */
const struct alias *alias_by_name(const struct alias_map *map, const char *name);
const struct alias *alias_by_node(const struct alias_map *map, const char *node);
const struct alias_clash *alias_clashes(const struct alias_map *map, size_t *ret_n);

/* The tables have another host for the node now. The text is borrowed for as long as the map is
 * there. */
void alias_set_host(struct alias_map *map, const char *node, const char *host);

#endif
