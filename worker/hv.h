/* hv.h - the seam to a hypervisor: what a worker can ask of one and have it do
 *
 * hv_libvirt.c and hv_zvm.c stand behind it for real; hv_sim.c for the simulation. Every function
 * blocks, and every one but migrate() returns within the deadlines of the settings
 * (connect_timeout, call_timeout), also when the hypervisor's daemon hangs: -ETIMEDOUT then.
 * migrate() returns when the migration has ended or was aborted. Functions of one struct hv may be
 * called from several threads at once. No logging.
 *
 * `uuid` is what the hypervisor knows a guest by, whatever it is called: libvirt's uuid, and of
 * z/VM USERID/CLUSTER. `peer` names the other side: NULL is the hypervisor that this struct hv
 * stands for, otherwise the connection URI of another one (z/VM: the URL of its SMAPI server),
 * reached from here. */
#ifndef WORKER_HV_H
#define WORKER_HV_H

#include "conf/conf.h"
#include "conf/env.h"
#include "conf/err.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

/* Why a guest is in its state, as far as migrations care (libvirt: virDomainRunningReason and so
 * on). */
enum hv_reason {
    HV_REASON_OTHER,
    HV_REASON_MIGRATED,           /* running: came by a migration; shut off: left by one */
    HV_REASON_MIGRATION_CANCELED, /* running again after one that did not work */
    HV_REASON_MIGRATING,          /* paused: in the middle of one */
    HV_REASON_USER,               /* paused by somebody */
    HV_REASON_POSTCOPY,           /* its memory is on both sides */
    HV_REASON_POSTCOPY_FAILED,
    HV_REASON_SHUTDOWN, /* shut off: the guest did it itself, so it ran here to its end */
    HV_REASON_FAILED,   /* shut off: it could not be started, or its migration did not arrive */
};

/* What one side says of one guest, by its uuid. */
struct hv_look {
    bool answered;      /* false: could not be asked; nothing below is known, err said why */
    bool defined;       /* a persistent definition is there */
    bool active;        /* it has a process: running, paused, or coming in */
    RmGuestState state; /* GUEST_UNKNOWN when the hypervisor does not know the uuid at all */
    enum hv_reason reason;
    bool outgoing; /* an outgoing migration job runs */
    bool incoming; /* an incoming one */
};

struct hv_migration { /* all strings borrowed until migrate() returns */
    const char *uuid;
    const char *destination; /* name, for texts */
    const char *peer;        /* the destination's connection URI */
    const char *address;     /* tcp://... for the data; NULL or "": the destination's own choice */
    uint64_t bandwidth;      /* bytes/s, 0 = no cap */
    usec_t downtime;         /* 0 = the hypervisor's own */
    usec_t timeout;          /* whole migration, 0 = no end */
    usec_t stall;            /* no progress, 0 = never */
    bool auto_converge;
    bool unsafe;
    enum fence_mode fence;
    const RmRelocation *relocation; /* z/VM: operands of VMRELOCATE; NULL: none were given */
    bool test; /* check(): the hypervisor itself is asked too, where that begins nothing */
    usec_t
        begin_by; /* by env_now(): a call that has not begun by then does not begin; 0 = whenever */
    void (*progress)(void *ctx,
                     const RmStats *stats); /* about twice a second, before migrate() returns */
    void *ctx;
};

struct hv_outcome {
    bool ok;               /* the call said: migrated. Look at both sides all the same. */
    RmClass class_;        /* of the failure */
    int code;              /* libvirt's error code, 0 = none */
    char text[RM_ERR_MAX]; /* libvirt's whole text, or ours ("no progress for 3 min, stopped") */
    RmStats stats;         /* final when ok */
    char fence[64];        /* "paused", "image lock", "none" */
    bool guest_paused;     /* before the migration */
    bool resumed;          /* the destination was already resumed by the fence */
    bool had_definition;   /* the destination had a definition of this uuid before */
    char resumed_by[64];   /* which proof came first: "source process gone", "call returned" */
};

enum hv_mend { HV_RESUME, HV_DESTROY, HV_UNDEFINE };

struct hv;
struct hv_ops {
    RmKind kind;
    /* The platform itself sees to it that a guest runs once, as an SSI cluster does: the fence is
     * "SSI" then, and there is nothing to be mended. */
    bool single;
    /* After the death of whoever asked for it a migration may still begin for so long. */
    usec_t late;

    /* Makes a hypervisor from its settings; does not connect yet. NULL with err. */
    struct hv *(*open)(const struct conf_hypervisor *conf, const struct conf_worker *worker,
                       const struct env *env, struct rm_err *err);
    void (*close)(struct hv *hv);

    /* All guests and figures; filled in the arena. Returns 0 with reachable false and the text when
     * it does not answer. */
    int (*inventory)(struct hv *hv, struct arena *arena, RmInventory **ret_inventory);

    /* Returns when something about guests may have changed, or after the span. 1: changed, 0: time
     * is over. */
    int (*wait_change)(struct hv *hv, usec_t wait_for);

    /* By uuid. Returns 0 also when the side could not be asked: look->answered says so, err why. */
    int (*look)(struct hv *hv, const char *peer, const char *uuid, struct hv_look *ret_look,
                struct rm_err *err);

    /* Everything that can be known beforehand; 0, or -errno with class, code and text in outcome.
     * Fills fence, guest_paused and had_definition as well, as far as it came. */
    int (*check)(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome);

    /* Moves the guest. Always fills outcome. Decides the fence again: pass FENCE_ALWAYS when
     * check() said "paused", so that what was announced is what is done. */
    void (*migrate)(struct hv *hv, const struct hv_migration *migration,
                    struct hv_outcome *outcome);

    /* Stops the migration of that guest that runs from here. 0 also when there is none. */
    int (*abort)(struct hv *hv, const char *uuid, struct rm_err *err);

    /* Other limits for the migration of that guest that runs from here; NULL: it knows none. */
    int (*modify)(struct hv *hv, const char *uuid, const RmRelocation *relocation,
                  struct rm_err *err);

    /* Figures of the migration that runs; -ENOENT: none runs. */
    int (*progress)(struct hv *hv, const char *uuid, RmStats *ret_stats);

    /* 0 also when it is already so. -EBUSY: HV_DESTROY never ends a guest that runs, HV_UNDEFINE
     * never touches one that is active, whatever the caller believes. */
    int (*mend)(struct hv *hv, const char *peer, const char *uuid, enum hv_mend what,
                struct rm_err *err);
};

extern const struct hv_ops hv_libvirt;
extern const struct hv_ops hv_zvm;

#endif
