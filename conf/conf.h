/* conf.h - the settings of each program, read from one libconfig file into a validated struct
 *
 * One file serves all programs; each reads its own section and checks that the others' top-level
 * names are known. Unknown keys, wrong types and values out of range are errors that name file and
 * line. Every size, rate and duration is a string with a unit (unit.h); plain integers are counts.
 * The tables of settings stand in conf.c; conf/rmigrate.conf documents every setting with its default; a test parses it and compares.
 *
 * Where the file comes from: the -c option, else RMIGRATE_CONF, else RM_CONF_DEFAULT. A client may
 * have none (only when neither -c nor RMIGRATE_CONF names one) and then uses the defaults. */
#ifndef CONF_CONF_H
#define CONF_CONF_H

#include "conf/change.h"
#include "conf/env.h"
#include "conf/err.h"
#include "conf/word.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RM_CONF_DEFAULT   "/etc/rmigrate/rmigrate.conf"
#define RM_BROKER_DEFAULT "ipc:///run/rmigrate/broker"
#define RM_WATCH_USER     "rmigrate-watch"          /* that of its unit */
#define RM_WATCH_STATE    "/var/lib/rmigrate-watch" /* which the unit makes */

enum {
    CONF_LISTEN_MAX = 16,
    CONF_KEYS_MAX = 16384,      /* named keys */
    CONF_HYPERVISORS_MAX = 256, /* of one worker */
    CONF_SLOTS_MAX = 64,        /* migrations at once from one hypervisor */
    CONF_LIMIT_MAX = 10000,     /* migrations at once, of any limit of the broker */
    CONF_KEEP_MAX = 1000000000, /* jobs that are kept */
    CONF_USERS_MAX = 1024,      /* viewers, operators */
    CONF_NOTIFY_MAX = 16,       /* whom rmigrate-watch tells */
};

struct conf_key { /* one row of the allow-list */
    char *name;   /* who it is: stands in every event */
    enum role role;
    char public_key[CONF_Z85_LEN + 1];
    char **hosts; /* worker: the hypervisors it may speak for, and NULL; default: its name */
    size_t n_hosts;
};

struct conf_migration { /* how a guest is moved unless the job says otherwise */
    uint64_t bandwidth; /* bytes/s for one migration; 0 = no cap */
    usec_t downtime;    /* longest pause that pre-copy may end with; 0 = the hypervisor's own */
    usec_t timeout;     /* whole migration; 0 = no end */
    usec_t stall;       /* no progress for this long: aborted; 0 = never */
    bool auto_converge; /* slow a guest down that writes faster than the link carries */
    enum fence_mode fence;
};

struct conf_broker {
    char **listen; /* endpoints, ipc:// or tcp:// */
    size_t n_listen;
    char *store;           /* directory of the store */
    uint64_t store_size;   /* bytes of address space: the most that the store can grow to */
    char *key_file;        /* CURVE key of the broker; NULL = none */
    struct conf_key *keys; /* the allow-list */
    size_t n_keys;
    unsigned socket_mode; /* of ipc sockets, for example 0660 */
    char *socket_group;   /* of ipc sockets; NULL = unchanged */
    /* local users with a lesser role on ipc; everyone else who may open the socket is admin */
    char **viewers, **operators;
    size_t n_viewers, n_operators;
    unsigned limit_source, limit_destination, limit_cluster; /* migrations at once; 0 = no limit */
    usec_t heartbeat;       /* a worker says something at least this often */
    usec_t session_timeout; /* a worker that is silent this long is lost; at least 3 heartbeats */
    unsigned attempts;      /* tries of one job, the first one counted */
    usec_t retry_wait;      /* before the second try; doubles each time, at most 5 min */
    usec_t
        unreachable; /* a queued job fails whose source or destinations cannot be used; 0 = never */
    usec_t keep;     /* how long what has ended is kept; 0 = for ever */
    unsigned keep_jobs;          /* how many jobs that have ended are kept; 0 = all */
    unsigned vcpus_per_cpu;      /* that a CPU may carry when a destination is chosen */
    struct conf_reserve reserve; /* of each hypervisor that has none of its own */
    char *exclude_nodes;         /* a noderange taken out of every noderange; NULL = none */
    char *hierarchical_attrs;    /* attributes that are joined over all groups; NULL = none */
    struct conf_migration migration;
};

/* Either libvirt's (connect) or a member of a z/VM cluster (smapi and login). */
struct conf_hypervisor {
    char *name;      /* what the tables call it; z/VM: the member's system id, in any case */
    char *connect;   /* how this worker reaches its libvirt; NULL on z/VM */
    char *peer;      /* how other hypervisors' daemons reach it; NULL: none can send guests here.
                      * z/VM: how workers of other members ask it; NULL: smapi, unless that is iucv */
    char *migration; /* its address for the data, tcp://...; NULL: the hypervisor's own choice */
    uint64_t memory; /* bytes that guests may take; 0: what the host has */
    unsigned vcpus;  /* CPUs that count; 0: what the host has */
    struct conf_reserve reserve; /* of that memory; not set: the broker's setting counts */
    char *smapi; /* z/VM: tcp://, tls:// or iucv:// of the SMAPI server; NULL otherwise */
    char *login; /* z/VM: file with userid and password on two lines; NULL: iucv needs none */
    char *ca;    /* z/VM: file of certificates that tls:// trusts; NULL: the system's */
};

struct conf_worker {
    char *broker;           /* endpoint */
    char *key_file;         /* own CURVE key; NULL = none */
    char *server_key;       /* Z85 public key of the broker; NULL = none */
    unsigned slots;         /* migrations at once from each hypervisor */
    usec_t connect_timeout; /* until a hypervisor's daemon must have answered */
    usec_t call_timeout;    /* for every other libvirt call but the migration itself */
    struct conf_hypervisor *hypervisors;
    size_t n_hypervisors;
};

struct conf_client {
    char *broker;
    char *key_file;
    char *server_key;
    usec_t timeout; /* until the broker must have answered one request */
};

struct conf_notify { /* one who is told, by a command or at a URL */
    char *name;
    char **on; /* kinds of news, as word_check_news() knows them; none: all */
    size_t n_on;
    char *command;      /* an absolute path and arguments, with blanks between; or NULL */
    char *url;          /* or NULL */
    char *headers_file; /* more lines of the request's head; NULL = none */
    usec_t wait;        /* from the first news to the message */
    usec_t timeout;     /* of one try */
    unsigned tries;     /* then it is given up */
};

struct conf_watch { /* rmigrate-watch: a client that shows the site to others */
    struct conf_client client;
    char *listen;     /* ADDRESS:PORT, or the path of a UNIX socket; "" = nowhere */
    char *token_file; /* with the token that every request must bear; NULL = none */
    struct conf_notify *notify;
    size_t n_notify;
    char *state;  /* directory: what was told, and what is still to be told */
    usec_t away;  /* the broker or a worker, before it is told */
    usec_t stuck; /* an evacuation of which nothing moves, before it is told */
};

/* file: as the -c option gave it, or NULL. Errors: -ENOENT (no file), -EINVAL; -EACCES and the like
 * when the file cannot be opened. *ret_conf is written only on success; free it with the twin,
 * which is fine on a zeroed struct too. RMIGRATE_BROKER is applied to the client. Beyond each value
 * by itself: a session lasts 3 heartbeats at least; keys, hosts and users are named once; an
 * endpoint of tcp that other machines reach needs CURVE keys on both sides. */
int conf_broker_load(const char *file, struct conf_broker *ret_conf, struct rm_err *err);
int conf_worker_load(const char *file, struct conf_worker *ret_conf, struct rm_err *err);
int conf_client_load(const char *file, struct conf_client *ret_conf, struct rm_err *err);
int conf_watch_load(const char *file, struct conf_watch *ret_conf, struct rm_err *err);
void conf_broker_done(struct conf_broker *conf);
void conf_worker_done(struct conf_worker *conf);
void conf_client_done(struct conf_client *conf);
void conf_watch_done(struct conf_watch *conf);

/* The settings of a broker that runs, read again. What a broker keeps as long as it runs (listen, store,
 * store_size, key, socket_mode, socket_group, heartbeat, session_timeout) is in *ret_next as it is
 * now; visit is called for each setting that the file has otherwise, those included. Errors as of
 * conf_broker_load(). */
int conf_broker_again(const char *file, const struct conf_broker *now, struct conf_broker *ret_next,
                      conf_change_f *visit, void *ctx, struct rm_err *err);

/* The file that they read, of which a client's may be missing: file, else the environment's, else the
 * default. Borrowed. */
const char *conf_file(const char *file);

/* Calls visit for each setting that a file may hold. name is whole ("broker.limits.source",
 * "worker.hypervisors.peer"); standard is the default as the file would write it, NULL: none. */
void conf_visit(void (*visit)(void *ctx, const char *name, const char *standard), void *ctx);

#endif
