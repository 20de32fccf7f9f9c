/* hv_sim.h - a driver over a scripted fake: the hypervisors of a whole site in virtual time
 *
 * struct sim is the truth: where each guest has a copy, what that copy does, which migrations run.
 * Workers see it through sim_driver, a struct driver, as they would see libvirt; tests see it as it
 * is. A migration is peer-to-peer: it goes on when the worker that began it has died. It passes
 * through phases, and faults strike it there as daemons, links and guests do (docs/design.md tells
 * what was measured).
 *
 * The rules of the truth are kept here: when a copy runs that must not, or the last good copy is
 * destroyed, `wrong` says so, and keeps the first such text.
 *
 * One thread. Time passes only in sim_advance(), and in those operations that block on a real
 * hypervisor (migrate, wait_change). Hosts and guests are known by their index. */
#ifndef TESTS_SIM_HV_SIM_H
#define TESTS_SIM_HV_SIM_H

#include "worker/driver.h"

enum {
    SIM_HOSTS_MAX = 16,
    SIM_GUESTS_MAX = 64,
    SIM_NAME_MAX = 32,
    SIM_UUID_MAX = 40,
    SIM_PEER_MAX = 64,
};

/* What the daemon of a host has still to do with a copy. */
enum sim_pending {
    SIM_NOTHING,
    SIM_CLEAN,   /* end the copy of a migration that did not come to its end */
    SIM_ARRIVE,  /* carry out the hand-over although the source does not wait for it any more */
    SIM_RECOVER, /* after its own restart: let the guest go on */
};

/* A guest on one host, as the hypervisor there has it. */
struct sim_copy {
    bool defined, active;
    RmGuestState state;
    enum hv_reason reason;
    bool outgoing, incoming;
    bool whole; /* holds the guest's newest state: no copy has run since it was made */
    enum sim_pending pending;
    usec_t pending_at;
    unsigned from;       /* incoming: the source */
    bool arrives_paused; /* incoming: by the fence, or since it was paused before */
};

enum sim_phase {
    SIM_WAIT,       /* the source's daemon stands still, or waits until the guest is not busy */
    SIM_PREPARE,    /* nothing but the call has happened */
    SIM_COPY,       /* the destination takes memory in, the guest runs */
    SIM_SWITCHOVER, /* the source stands still, the last pages go over */
    SIM_FINISH,     /* the destination has it, the source has not heard it yet */
    SIM_CONFIRM,    /* the source has ended its copy, the call has not returned yet */
};

/* The call has returned. */
typedef void sim_done_f(void *ctx, const struct hv_outcome *outcome);

struct sim_move {
    bool on;
    unsigned guest, source, destination;
    enum sim_phase phase;
    usec_t at; /* next phase */
    usec_t began_at, copy_for;
    bool paused;       /* the fence: the destination does not start by itself */
    bool guest_paused; /* it was paused before */
    bool dropped;      /* the destination gave up waiting for the source's daemon */
    usec_t
        behind; /* the daemon stood still when it was asked, and comes to it then; 0: it did not */
    struct hv_outcome outcome;
    sim_done_f *done; /* NULL: whoever called is gone */
    void *ctx;
};

/* A request that its daemon has not come to, and whose answer nobody waits for. */
struct sim_late {
    usec_t at; /* 0 = there is none; counts from when its daemon goes on */
    usec_t asked_at;
    enum hv_repair what;
};

struct sim_guest {
    char name[SIM_NAME_MAX], uuid[SIM_UUID_MAX];
    uint64_t memory; /* bytes */
    unsigned vcpus;
    bool guarded;       /* an image lock guards every disk that it writes */
    bool starts_paused; /* somebody paused it before anything else happened */
    uint32_t unfit;     /* hosts (bits) that cannot take it: they have another guest of its name */
    usec_t touched_at; /* somebody else than rmigrate did something to it, or it ended; 0 = never */
    struct sim_move move;
    struct sim_copy copies[SIM_HOSTS_MAX];
    struct sim_late late[SIM_HOSTS_MAX];
};

struct sim_host {
    char name[SIM_NAME_MAX], peer[SIM_PEER_MAX];
    uint64_t memory;
    unsigned vcpus;
    usec_t hung_at, hung_until; /* its daemon does not answer, and goes on afterwards */
    usec_t down_until;          /* its daemon was killed; guests go on */
    usec_t cut_at, cut_until;   /* its link to the other hosts */
    uint64_t changes;           /* counts what a worker would hear of by events */
    uint64_t foreign;           /* bytes of guests that somebody else brought here or started */
};

struct sim {
    usec_t now;
    int64_t wall_offset;          /* by which somebody set the clock of the wall */
    uint64_t random;              /* state of its own generator */
    usec_t keepalive;             /* between two daemons */
    usec_t copy_least, copy_most; /* how long a copy takes */
    unsigned busy_percent;        /* of the guests are busy when they are to be migrated */
    usec_t busy_least, busy_most; /* and for how long */
    bool ignore_fence;            /* to show that the tests see it: PAUSED is not obeyed */
    unsigned n_hosts, n_guests;
    struct sim_host hosts[SIM_HOSTS_MAX];
    struct sim_guest guests[SIM_GUESTS_MAX];
    struct env env;                        /* for open(): its ctx is this struct */
    uint64_t n_moves, n_arrived, n_broken; /* migrations begun, ended well, ended otherwise */
    char wrong[512];                       /* "" = nothing that must not be has been */
    /* Asked when a migration enters a phase, before anything else happens: faults strike here. May
     * be NULL. */
    void (*on_phase)(void *ctx, struct sim *sim, struct sim_move *move);
    /* The same, when a repair is asked for there, which was just looked at. */
    void (*on_repair)(void *ctx, struct sim *sim, unsigned host);
    /* The same, when a migration is asked for. */
    void (*on_begin)(void *ctx, struct sim *sim, unsigned source);
    void *ctx;
};

struct sim *sim_new(uint64_t seed);
void sim_free(struct sim *sim);

unsigned sim_add_host(struct sim *sim, const char *name, uint64_t memory, unsigned vcpus);
unsigned sim_add_guest(struct sim *sim, const char *name, unsigned host, uint64_t memory,
                       unsigned vcpus);
void sim_pause_guest(struct sim *sim,
                     unsigned guest); /* as an operator would, before anything runs */

/* Everything that is due until `now` happens. */
void sim_advance(struct sim *sim, usec_t now);
usec_t sim_deadline(const struct sim *sim);

/* ---- what workers do, apart from sim_driver's operations: a migration as an event */

/* False: refused at once, outcome says why. Otherwise done(ctx) is called at the end of the call.
 */
bool sim_begin(struct hv *hv, const struct hv_migration *migration, sim_done_f *done, void *ctx,
               struct hv_outcome *outcome);
void sim_forget(struct sim *sim,
                const void *ctx); /* whoever called is gone; its migrations go on */
unsigned sim_host_of(const struct hv *hv);

extern const struct driver sim_driver;

/* ---- faults */
void sim_hang_daemon(struct sim *sim, unsigned host, usec_t span);
void sim_kill_daemon(struct sim *sim, unsigned host, usec_t down_for);
void sim_cut(struct sim *sim, unsigned host, usec_t span);
void sim_kill_qemu(struct sim *sim, unsigned guest, unsigned host);
void sim_power_off(struct sim *sim, unsigned guest);
void sim_power_on(struct sim *sim, unsigned guest);
/* Somebody lets its only copy run again. */
void sim_resume_by_hand(struct sim *sim, unsigned guest);
/* False: it cannot be moved now. */
bool sim_move_by_hand(struct sim *sim, unsigned guest, unsigned to);
/* The migration fails with this; the guest stays. Only before SIM_SWITCHOVER. */
void sim_fail_move(struct sim *sim, struct sim_move *move, RmClass class_, const char *text);
/* All daemons and links are well from now on. */
void sim_heal(struct sim *sim);

/* ---- looking at the truth */
bool sim_answers(const struct sim *sim, unsigned host); /* its daemon does */
/* The only host with an active copy; -1: none or several. */
int sim_place(const struct sim *sim, unsigned guest);
/* Bytes of all active copies there. */
uint64_t sim_used(const struct sim *sim, unsigned host);
int sim_find_host(const struct sim *sim, const char *name);  /* -1: no such */
int sim_find_guest(const struct sim *sim, const char *name); /* -1: no such */
uint64_t sim_random(struct sim *sim, uint64_t below);

#endif
