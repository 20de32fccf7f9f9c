/* site.h - the planner's snapshot: hosts, and the guests that leave or may be moved */
#ifndef BROKER_PLANNER_SITE_H
#define BROKER_PLANNER_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLAN_NONE UINT32_MAX

struct plan_size {
    uint64_t memory; /* bytes */
    uint64_t vcpus;
};

struct plan_host {
    struct plan_size all; /* what it gives to guests; no memory or no vCPUs: filled by number */
    struct plan_size
        used;        /* what all have there but those that may be moved, and what is promised */
    uint32_t n_used; /* how many guests that is */
    uint32_t group;  /* a guest stays within the group of its host */
    bool takes;      /* guests may come; not: closed, or being emptied */
    bool last;       /* they go there only where there is no other place */
};

/* What those have to do with one another that are under one rule. */
enum plan_rule {
    PLAN_APART,    /* none of them comes to a host where another one is, at any moment */
    PLAN_TOGETHER, /* those on one host go to one other host, all of them or none */
};

/* One of them that is not to be moved is there, or on its way there. */
struct plan_place {
    uint32_t rule, host;
};

enum plan_wish {
    PLAN_LEAVES,   /* is to leave its host; what it has there is never free for others */
    PLAN_MAY_MOVE, /* may be moved to make room */
};

struct plan_guest {
    struct plan_size has;
    uint32_t host; /* where it is; PLAN_NONE: nowhere, and `to` is named, and no room is made */
    enum plan_wish wish;
    const uint32_t *to; /* one of these, whatever their group; n_to 0: any */
    size_t n_to;
    const uint32_t *never; /* none of these */
    size_t n_never;
    const uint32_t *prefer; /* one of these if that leaves nobody without a place */
    size_t n_prefer;
    const uint32_t *rules; /* that it is under, by number, each once */
    size_t n_rules;
};

struct plan_site {
    const struct plan_host *hosts; /* of equal ones the first is taken */
    size_t n_hosts;
    const struct plan_guest *guests;
    size_t n_guests;
    const enum plan_rule *rules; /* by number */
    size_t n_rules;
    const struct plan_place *places;
    size_t n_places;
};

#endif
