/* driver.h - a kind of hypervisors: what a worker can ask of one and have it do
 *
 * worker/libvirt/ and worker/zvm/ implement it, and drivers.h lists them; tests/sim/hv_sim.h does
 * so for the simulation. Every function blocks, and every one but migrate() returns within the
 * deadlines of the settings (connect_timeout, call_timeout), also when the hypervisor's daemon
 * hangs: -ETIMEDOUT then. migrate() returns when the migration has ended or was aborted. Functions
 * of one struct hv may be called from several threads at once. No logging.
 *
 * `uuid` is what the hypervisor knows a guest by, whatever it is called: libvirt's uuid, and on
 * z/VM USERID/CLUSTER. `peer` names the other side: NULL is the hypervisor that this struct hv
 * stands for, otherwise the connection URI of another one (z/VM: the URL of its SMAPI server),
 * reached from here. */
#ifndef WORKER_DRIVER_H
#define WORKER_DRIVER_H

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
    HV_REASON_MOMENT,             /* paused by what ends by itself: save, dump, snapshot */
    HV_REASON_STARTING,           /* paused: its start, or its arrival, is not complete */
    HV_REASON_POSTCOPY,           /* its memory is on both sides */
    HV_REASON_POSTCOPY_FAILED,
    HV_REASON_SHUTDOWN, /* shut off: the guest did it itself, so it ran here to its end */
    HV_REASON_FAILED,   /* shut off: it could not be started, or its migration did not arrive */
};

/* What one side knows of one guest, by its uuid. */
struct hv_look {
    bool answered;      /* false: could not be asked; nothing below is known, err has the reason */
    bool defined;       /* a persistent definition is there */
    bool active;        /* it has a process: running, paused, or coming in */
    RmGuestState state; /* GUEST_UNKNOWN when the hypervisor does not know the uuid at all */
    enum hv_reason reason;
    bool outgoing; /* an outgoing migration job runs */
    bool incoming; /* an incoming one */
};

/* May a request that changes a domain be sent now? */
enum hv_may {
    HV_MAY,
    HV_MAY_NOT_NOW, /* the lease is over: it may hold again */
    HV_MAY_NEVER,   /* the task was called off: whoever asks ends as soon as it can */
};

struct hv_migration { /* all strings borrowed until migrate() returns */
    const char *uuid;
    const char *destination; /* name, for texts */
    const char *peer;        /* the destination's connection URI */
    const char *address;     /* tcp://... for the data; NULL or "": the destination's own choice */
    /* Limits; they may change while it runs: */
    _Atomic uint64_t bandwidth; /* bytes/s, 0 = no cap */
    _Atomic usec_t downtime;    /* 0 = the hypervisor's own */
    _Atomic usec_t timeout;     /* whole migration, 0 = no end */
    _Atomic usec_t stall;       /* no progress, 0 = never */
    bool auto_converge;
    bool unsafe;
    enum fence_mode fence;
    const RmRelocation *relocation; /* z/VM: operands of VMRELOCATE; NULL: none were given */
    bool test; /* check(): the hypervisor itself is asked too, where that begins nothing */
    usec_t
        begin_by; /* by env_now(): a call that has not begun by then does not begin; 0 = whenever */
    /* Asked right before every request of migrate() that changes a domain, apart from the migration itself
     * (begin_by), and now and then while it waits; NULL: HV_MAY. When the source has provably given the
     * guest away, HV_MAY_NOT_NOW does not keep it from being resumed at the destination. */
    enum hv_may (*may)(void *ctx);
    void (*progress)(void *ctx,
                     const RmStats *stats); /* about twice a second, before migrate() returns */
    void *ctx;
};

struct hv_outcome {
    bool ok;               /* the call succeeded. Both sides are looked at all the same. */
    RmClass class_;        /* of the failure */
    int code;              /* libvirt's error code, 0 = none */
    char text[RM_ERR_MAX]; /* libvirt's whole text, or ours ("no progress for 3 min, stopped") */
    RmStats stats;         /* final when ok */
    char fence[64];        /* "paused", "none" */
    bool guest_paused;     /* before the migration */
    bool resumed;          /* the destination was already resumed by the fence */
    bool had_definition;   /* the destination had a definition of this uuid before */
    bool autostart;        /* the guest starts with the source: libvirt does not take that along */
    usec_t suspended_at;   /* when it stopped at the source, by env_now(); 0 = not known */
    char resumed_by[64];   /* which proof came first: "source process gone", "call returned" */
    bool given_up;         /* the call has not returned: what it asked for may still begin */
    bool unanswered;       /* the destination may still carry out a request to resume it */
};

enum hv_repair { HV_RESUME, HV_DESTROY, HV_UNDEFINE, HV_AUTOSTART };

struct hv; /* one hypervisor; each driver has its own */
struct driver {
    /* The platform itself sees to it that a guest runs once, as an SSI cluster does: the fence is
     * "SSI" then, and there is nothing to repair. */
    bool single;
    /* For so long after it has answered the source may still begin a migration that was asked for before,
     * by somebody who did not see his call return. */
    usec_t late;

    /* Where others ask for guests that may be there, when the settings name no `peer`: a borrowed
     * address, or NULL. The function may be NULL: nowhere. */
    const char *(*peer)(const struct conf_hypervisor *conf);

    /* How many migrations may run at once from a hypervisor, whatever the setting `slots` says.
     * NULL: as many as are wanted. */
    unsigned (*slots_max)(const struct conf_hypervisor *conf);

    /* What is wrong with files that the settings name and that open() leaves for later. NULL: there
     * are none. */
    int (*files)(const struct conf_hypervisor *conf, struct rm_err *err);

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

    /* By uuid. Returns 0 also when the side could not be asked: look->answered is false then, and
     * err has the reason. */
    int (*look)(struct hv *hv, const char *peer, const char *uuid, struct hv_look *ret_look,
                struct rm_err *err);

    /* Everything that can be known beforehand; 0, or -errno with class, code and text in outcome.
     * Fills fence, guest_paused, had_definition and autostart as well, as far as it came. */
    int (*check)(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome);

    /* Moves the guest. Always fills outcome. Decides the fence again: pass FENCE_ALWAYS when
     * check() chose "paused", so that what was announced is what is done. */
    void (*migrate)(struct hv *hv, const struct hv_migration *migration,
                    struct hv_outcome *outcome);

    /* Stops the migration of that guest that runs from here. 0 also when there is none. */
    int (*abort)(struct hv *hv, const char *uuid, struct rm_err *err);

    /* Other limits for the migration of that guest that runs from here, as far as the hypervisor itself keeps
     * them: bandwidth and downtime, or those of z/VM; what is 0 stays as it is. NULL: it knows none. */
    int (*modify)(struct hv *hv, const char *uuid, const RmOptions *limits, struct rm_err *err);

    /* Figures of the migration that runs; -ENOENT: none runs. */
    int (*progress)(struct hv *hv, const char *uuid, RmStats *ret_stats);

    /* 0 also when it is already so. -ETIMEDOUT: it may still be done. -EBUSY: HV_DESTROY never ends a guest that runs, HV_UNDEFINE
     * never touches one that is active, whatever the caller believes. HV_AUTOSTART: it starts with
     * that hypervisor. */
    int (*repair)(struct hv *hv, const char *peer, const char *uuid, enum hv_repair what,
                  struct rm_err *err);
};

#endif
