/* member.h - a member of an SSI cluster: its SMAPI server, those of others, and short questions
 *
 * Everything blocks within the deadlines of worker/zvm/smapi.h and may be called from several
 * threads at once. */
#ifndef WORKER_ZVM_MEMBER_H
#define WORKER_ZVM_MEMBER_H

#include "worker/driver.h"
#include "worker/zvm/smapi.h"
#include "worker/zvm/smapi_code.h"

#include <pthread.h>

#define ZVM_FENCE "SSI" /* the cluster logs a user id on once */

enum {
    ZVM_MEMBERS_MAX = 32, /* slots of a cluster that are looked at; there are 4 or 8 */
    ZVM_PEERS_MAX = 64,   /* members of others that one member asks */
    ZVM_WATCHED_MAX = 32, /* relocations whose last figures are kept */
};

struct zvm_ssi {
    struct smapi_ssi ssi;
    struct smapi_member members[ZVM_MEMBERS_MAX];
    size_t n;
};

struct zvm_watched { /* the last answer for a user whose relocation runs */
    struct smapi_relocation relocation;
    usec_t at; /* 0: free */
};

struct zvm_peer;

struct hv {
    const struct env *env;
    char *name; /* the member, as the settings write it */
    char *url, *peer_url, *login_file, *ca_file;
    usec_t connect_timeout, call_timeout;
    uint64_t memory; /* of the settings; 0: not given */
    unsigned vcpus;
    struct smapi *smapi;
    struct hv *next; /* of all that this process serves */

    pthread_mutex_t lock;
    struct zvm_peer *peers;                      /* under the lock */
    struct zvm_watched watched[ZVM_WATCHED_MAX]; /* the same */

    /* Of inventory.c, in its thread: */
    struct smapi_events *events; /* NULL: not open */
    usec_t events_at;            /* when opening it is tried again; USEC_NEVER: refused for good */
    usec_t looked_at;            /* the last inventory */
    bool status_denied;          /* who may not ask which relocations run, does not ask again */
};

/* ---- begin and end: operations of the driver */

struct hv *zvm_open(const struct conf_hypervisor *conf, const struct conf_worker *worker,
                    const struct env *env, struct rm_err *err);
void zvm_close(struct hv *hv);

/* ---- servers and questions */

/* Of USERID/CLUSTER the user id. */
void zvm_user(const char *uuid, smapi_name ret_user);

/* The server of a member: the own one (NULL), that of another one which this process serves, with
 * its login, or any other with the own login. ret_name: the member, NULL: not known. NULL with err.
 */
struct smapi *zvm_server(struct hv *hv, const char *peer, const char **ret_name,
                         struct rm_err *err);

/* A request that may be repeated. err is filled, and nothing else, when there is no answer: what is
 * returned is the kind of the reason then (RETRY, LOGIN). The answer is to be done with. */
enum smapi_says zvm_ask(struct smapi *smapi, const struct smapi_request *request,
                        struct smapi_answer *ret_answer, struct rm_err *err);

/* Is the user logged on there? 1, 0, or -errno with err, which may be NULL. */
int zvm_active(struct smapi *smapi, const char *user, struct rm_err *err);

/* Is a relocation of it in progress? 1 (filled, may be NULL), 0, or -errno. */
int zvm_relocation(struct smapi *smapi, const char *user, struct smapi_relocation *ret_relocation,
                   struct rm_err *err);

/* The same of the own server, not asked more often than makes sense. */
int zvm_watch(struct hv *hv, const char *user, struct smapi_relocation *ret_relocation);
void zvm_watch_again(struct hv *hv, const char *user); /* it has changed */

int zvm_ssi(struct smapi *smapi, struct zvm_ssi *ret_ssi, struct rm_err *err);
const struct smapi_member *zvm_member(const struct zvm_ssi *ssi, const char *name); /* or NULL */

/* VMRELOCATE CANCEL. 0 also when nothing is in progress. */
int zvm_cancel(struct hv *hv, const char *user, struct rm_err *err);

/* What it means for the next try. */
RmClass zvm_class(enum smapi_says says);

usec_t zvm_elapsed(const char *text); /* "00:01:05"; 0 when it is not that */

#endif
