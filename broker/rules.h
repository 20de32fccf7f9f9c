/* rules.h - which guests are kept apart or together, and which hosts a guest avoids or prefers
 *
 * From vm.othersettings of their nodes, through groups, as often as wanted:
 *
 *     separate:NAME   on a host where no other guest of that NAME is
 *     together:NAME   those of that NAME that are on one host go to one other host, all of them or none
 *     avoid:HOST      not there
 *     prefer:HOST     there, if that leaves nobody without a place
 *
 * NAMEs are told apart by case, those of separate from those of together. A rule that is broken already keeps
 * nobody where he is; nothing breaks it further.
 *
 * core->rules is owned here: read when somebody asks, and again when the tables have changed. What is returned
 * is valid until then. NULL in core: there are no rules. */
#ifndef BROKER_RULES_H
#define BROKER_RULES_H

#include "broker/capacity.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct core;
struct guest;
struct host;
struct job;
struct rules;

enum {
    RULES_MAX = 64, /* words of one guest that are read */
};

struct rule {
    const char *text; /* "separate:web" */
    bool together;
    uint32_t number;    /* from 0 on, by text */
    const char **nodes; /* that are under it, by name */
    size_t n_nodes, nodes_room;
};

/* What the tables say of one guest. */
struct rules_of {
    const struct rule **rules;
    size_t n_rules;
    const char **avoid, **prefer; /* names of hosts */
    size_t n_avoid, n_prefer;
    const char *wrong; /* a word that says nothing: why; NULL: there is none */
};

struct rules *rules_new(void);
void rules_free(struct rules *rules); /* NULL is fine */
/* The tables may say something else now. */
void rules_changed(struct core *core);

/* NULL: the tables say nothing of it. */
const struct rules_of *rules_of(struct core *core, const struct guest *guest);
/* How many rules there are, and each of them. */
size_t rules_count(struct core *core);
const struct rule *rules_at(struct core *core, size_t number);
/* The hosts that these names mean, in an array from malloc, or NULL. */
struct host **rules_hosts(struct core *core, const char *const *names, size_t n, size_t *ret_n);

/* Where a guest is, as far as rules care: hosts where it is active or where it comes in, in an array from
 * malloc, or NULL. With a job: separate: its destination as well; together: its destination instead, and none
 * while it is in shutdown. */
struct host **rules_places(const struct guest *guest, bool together, size_t *ret_n);

/* What stands in the way of one guest. */
struct rules_look {
    const struct rules_of *of; /* NULL: nothing does */
    struct rules_bar *bars;    /* owned; by host */
    size_t n_bars;
    const struct rule *held; /* one of those that it belongs together with stays where it is */
    const struct guest *by;
    struct host **mates; /* owned; where others are that it belongs together with */
    size_t n_mates, mates_room;
    struct host **avoid, **prefer; /* owned */
    size_t n_avoid, n_prefer;
};

/* A guest that is placed with others. */
struct rules_plan {
    const struct guest *guest;
    struct host *source, *chosen; /* NULL: it has no place */
};

/* source: where it is. plan: all that are placed with it, by guest (rules_by_guest); n_plan may be 0. Free with
 * rules_look_done(). */
struct rules_look rules_look(struct core *core, const struct guest *guest,
                             const struct host *source, const struct rules_plan *plan,
                             size_t n_plan);
void rules_look_done(struct rules_look *look);
int rules_by_guest(const void *a, const void *b); /* of struct rules_plan, for qsort(3) */

/* True: a rule keeps it from there. why: which, and who. may_wait: whoever is there is on his way to somewhere
 * else. */
bool rules_bar(const struct rules_look *look, const struct host *host, char *why, size_t size,
               bool *ret_may_wait);
/* The same for a guest whose way to the host begins now: what is promised does not count. */
bool rules_bar_now(struct core *core, const struct guest *guest, const struct host *host, char *why,
                   size_t size);
/* May it not be there until somebody does something: moves or ends a guest that no job takes away, or changes the tables? */
bool rules_bar_for_good(struct core *core, const struct guest *guest, const struct host *host,
                        char *why, size_t size);
/* It prefers that host, or others are there that it belongs together with. */
bool rules_prefer(const struct rules_look *look, const struct host *host);

/* Each rule that is broken where the guest is, one text each in core->arena. Returns how many. */
size_t rules_broken(struct core *core, const struct guest *guest, char ***ret_texts);
/* Words of its that mean nothing; texts as above. */
size_t rules_wrong(struct core *core, const struct guest *guest, char ***ret_texts);

#endif
