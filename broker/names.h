/* names.h - what guests are called
 *
 * Everywhere a guest is called like its node; only hypervisors may know it by another name, and how
 * a node is found by that is its platform's (platform.h). core->names is owned here: for each
 * platform a map that is read again when the tables have changed. */
#ifndef BROKER_NAMES_H
#define BROKER_NAMES_H

#include <stdbool.h>

struct alias_clash;
struct core;
struct guest;
struct host;
struct names;
struct table;

struct names *names_new(void);
void names_free(struct names *names); /* NULL is fine */
/* Brings everything up to date when the tables have changed; guests get their new names then. True
 * when they were read again: what the inventories show may be called otherwise, so the caller lets
 * them be looked at again. */
bool names_tick(struct core *core);

/* Do names of guests come from that column? column -1: any. */
bool names_depend_on(const struct table *table, int column);
/* The tables may give other names now. */
void names_changed(struct core *core);
/* A job has ended, which may have kept an old name alive. */
void names_job_ended(struct core *core);
/* The tables were repaired: they have the node's guest on that host. */
void names_repaired(struct core *core, const char *node, const struct host *host);

/* The node whose guest that is which a host shows under this name; NULL: it is no guest. A name that
 * no node can have gets a % in front, as one that no node has. In core->arena or borrowed. */
const char *names_guest_of(struct core *core, const struct host *host, const char *name);
/* It is a guest that hypervisors show, and no node's. */
bool names_is_nobodys(const char *name);
/* Why no job can be made for a guest whose name no node can have, and what to do; NULL: it is not one
 * of those. In core->arena. */
const char *names_remedy(struct core *core, const struct guest *guest);
/* What there is to say of a name that has no guest: "", " (its domain is vm7)" and so on. In
 * core->arena. */
const char *names_remark(struct core *core, const char *node);
/* Calls f for each node that the tables give a name which another node has already. */
void names_each_clash(struct core *core, void (*f)(void *ctx, const struct alias_clash *clash),
                      void *ctx);

#endif
