/* platform.h - what differs between kinds of hypervisors
 *
 * One struct platform for each kind, in a file of its own (libvirt.c, zvm.c), and a row for it in
 * platforms.c: that is all that a further kind needs in the broker. The rest of the broker asks platform_of()
 * (platforms.h) and never tests a kind. Whatever is not said to be needed may be NULL: nothing
 * special. Texts that are returned live in core->arena or for ever; NULL is also no memory. */
#ifndef BROKER_PLATFORM_H
#define BROKER_PLATFORM_H

#include "broker/alias.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

struct core;
struct guest;
struct host;
struct job;

struct platform {
    RmKind kind;
    const char *what;     /* "member of z/VM"; NULL: the ordinary kind */
    const char *protocol; /* that its worker uses; needed */
    const char *peer_use; /* what nobody can do where a host has no `peer`; needed */
    bool has_limits;      /* its migrations have limits of their own: max_total, max_quiesce */
    bool cancels_foreign; /* it can stop a migration that is no job's */
    bool
        leaves_copies; /* tries may leave something behind, or requests that wait: marks are kept */

    /* ---- names of guests (names.h) */
    const struct alias_rule *aliases; /* needed, with keep and guest_of */
    /* Puts the guest of a live job into the map. */
    void (*keep)(struct alias_map *map, const struct job *job);
    /* The node whose guest that is which the host shows under this name; NULL: it is no guest.
     * host: NULL, when it is not known. */
    const char *(*guest_of)(struct core *core, const struct alias_map *map, const struct host *host,
                            const char *name);
    /* Why the node may have no guest, " (its domain is vm7)"; NULL: it says nothing of this node.
     */
    const char *(*remark)(struct core *core, const struct alias_map *map, const char *node);
    /* What there is to say of n of those that a host shows and that are no guests. */
    const char *(*others_text)(struct core *core, unsigned n);

    /* ---- where a guest may go */
    /* The host that is meant by a name that no host has exactly so. */
    struct host *(*find_host)(struct core *core, const char *name);
    /* Between two hosts of this kind. False: why not. */
    bool (*may_go)(const struct host *from, const struct host *to, char *why, size_t size);
    /* Whatever else the guest needs there. False: why not. */
    bool (*may_take)(struct core *core, const struct guest *guest, const struct host *host,
                     char *why, size_t size);

    /* ---- texts */
    /* What an answer of the hypervisor to that question begins with, as xCAT has it. */
    const char *(*announce)(struct core *core, RmAskKind kind, const RmGuest *guest);

    /* ---- the tables, apart from vm.host */
    /* What they say wrongly of a guest that runs on the host. says: the word for it. */
    const char *(*table_wrong)(struct core *core, const char *node, const struct host *host,
                               const char *says);
    void (*table_repair)(struct core *core, const char *node, const struct host *host);
};

#endif
