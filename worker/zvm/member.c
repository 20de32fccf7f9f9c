/* member.c - a member of an SSI cluster: its SMAPI server, those of others, and what is
 * asked of them in a word */
#include "worker/zvm/member.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define WATCH_EVERY (2 * USEC_PER_SEC)

struct zvm_peer { /* the server of a member that this process does not serve */
    char *url;
    struct smapi *smapi;
    struct zvm_peer *next;
};

static pthread_mutex_t served_lock = PTHREAD_MUTEX_INITIALIZER;
static struct hv *served; /* under its lock: all of this process */

/* ---- begin and end */

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static int make_server(const struct hv *hv, const char *url, struct smapi **ret_smapi,
                       struct rm_err *err)
{
    struct smapi_conf conf = {.url = url,
                              .login_file = hv->login_file,
                              .ca_file = hv->ca_file,
                              .connect_timeout = hv->connect_timeout,
                              .call_timeout = hv->call_timeout};
    return smapi_new(&conf, hv->env, ret_smapi, err);
}

struct hv *zvm_open(const struct conf_hypervisor *conf, const struct conf_worker *worker,
                    const struct env *env, struct rm_err *err)
{
    struct hv *hv = calloc(1, sizeof(*hv));
    if (!hv) {
        rm_fail(err, -ENOMEM, "no memory");
        return NULL;
    }
    pthread_mutex_init(&hv->lock, NULL);
    hv->env = env;
    hv->name = copy(conf->name);
    hv->url = copy(conf->smapi);
    hv->peer_url = copy(conf->peer);
    hv->login_file = copy(conf->login);
    hv->ca_file = copy(conf->ca);
    hv->connect_timeout = worker->connect_timeout;
    hv->call_timeout = worker->call_timeout;
    hv->memory = conf->memory;
    hv->vcpus = conf->vcpus;
    if (!hv->name || !hv->url || make_server(hv, hv->url, &hv->smapi, err) < 0) {
        zvm_close(hv);
        return NULL;
    }
    pthread_mutex_lock(&served_lock);
    hv->next = served;
    served = hv;
    pthread_mutex_unlock(&served_lock);
    return hv;
}

void zvm_close(struct hv *hv)
{
    pthread_mutex_lock(&served_lock);
    for (struct hv **at = &served; *at; at = &(*at)->next)
        if (*at == hv) {
            *at = hv->next;
            break;
        }
    pthread_mutex_unlock(&served_lock);
    smapi_events_close(hv->events);
    while (hv->peers) {
        struct zvm_peer *peer = hv->peers;
        hv->peers = peer->next;
        smapi_free(peer->smapi);
        free(peer->url);
        free(peer);
    }
    if (hv->smapi)
        smapi_free(hv->smapi);
    pthread_mutex_destroy(&hv->lock);
    free(hv->name);
    free(hv->url);
    free(hv->peer_url);
    free(hv->login_file);
    free(hv->ca_file);
    free(hv);
}

/* ---- servers */

static struct hv *find_served(const char *peer)
{
    struct hv *found = NULL;
    pthread_mutex_lock(&served_lock);
    for (struct hv *hv = served; hv && !found; hv = hv->next)
        if (strcmp(hv->peer_url ? hv->peer_url : hv->url, peer) == 0)
            found = hv;
    pthread_mutex_unlock(&served_lock);
    return found;
}

static struct smapi *add_peer(struct hv *hv, const char *url, struct rm_err *err)
{
    struct zvm_peer *peer = hv->peers;
    size_t n = 0;
    for (; peer; peer = peer->next, n++)
        if (strcmp(peer->url, url) == 0)
            return peer->smapi;
    peer = n < ZVM_PEERS_MAX ? calloc(1, sizeof(*peer)) : NULL;
    if (peer)
        peer->url = copy(url);
    if (!peer || !peer->url)
        rm_fail(err, -ENOMEM, n < ZVM_PEERS_MAX ? "no memory" : "too many other members");
    else if (make_server(hv, url, &peer->smapi, err) >= 0) {
        peer->next = hv->peers;
        hv->peers = peer;
        return peer->smapi;
    }
    if (peer)
        free(peer->url);
    free(peer);
    return NULL;
}

struct smapi *zvm_server(struct hv *hv, const char *peer, const char **ret_name, struct rm_err *err)
{
    if (!peer) {
        *ret_name = hv->name;
        return hv->smapi;
    }
    const struct hv *other = find_served(peer);
    *ret_name = other ? other->name : NULL;
    if (other)
        return other->smapi;
    pthread_mutex_lock(&hv->lock);
    struct smapi *smapi = add_peer(hv, peer, err);
    pthread_mutex_unlock(&hv->lock);
    return smapi;
}

/* ---- short questions */

void zvm_user(const char *uuid, smapi_name ret_user)
{
    size_t length = strcspn(uuid, "/");
    snprintf(ret_user, sizeof(smapi_name), "%.*s", (int)length, uuid);
}

RmClass zvm_class(enum smapi_says says)
{
    switch (says) {
    case SMAPI_SAYS_OK:
        return RM_CLASS__NO_CLASS;
    case SMAPI_SAYS_UNFIT:
        return RM_CLASS__CLASS_UNFIT;
    case SMAPI_SAYS_RETRY:
        return RM_CLASS__CLASS_RETRY;
    default:
        return RM_CLASS__CLASS_FATAL;
    }
}

enum smapi_says zvm_ask(struct smapi *smapi, const struct smapi_request *request,
                        struct smapi_answer *ret_answer, struct rm_err *err)
{
    enum smapi_end end = smapi_call(smapi, request, true, NULL, NULL, ret_answer, err);
    if (end == SMAPI_ANSWERED)
        return smapi_code_says(request->function, ret_answer);
    *ret_answer = (struct smapi_answer){.bytes = NULL};
    return end == SMAPI_REFUSED_LOGIN ? SMAPI_SAYS_LOGIN : SMAPI_SAYS_RETRY;
}

/* An answer that is not what was hoped for, in words. */
static int fail_answer(const struct smapi_request *request, const struct smapi_answer *answer,
                       struct rm_err *err)
{
    char text[SMAPI_CODE_TEXT_MAX];
    return rm_fail(err, -EIO, "%s", smapi_code_text(request->function, answer, text, sizeof(text)));
}

int zvm_active(struct smapi *smapi, const char *user, struct rm_err *err)
{
    struct smapi_request request = {.function = SMAPI_IMAGE_STATUS_QUERY, .target = user};
    struct smapi_answer answer;
    struct rm_err why = {""};
    enum smapi_says says = zvm_ask(smapi, &request, &answer, &why);
    smapi_name names[1];
    int r;
    if (why.text[0])
        return rm_fail(err, -EIO, "%s", why.text);
    if (says == SMAPI_SAYS_OFF) {
        r = 0;
    } else if (says != SMAPI_SAYS_OK) {
        r = fail_answer(&request, &answer, err);
    } else {
        r = smapi_decode_images(&answer, names, 1, err);
        if (r > 0 && strcasecmp(names[0], user) != 0)
            r = rm_fail(err, -EPROTO, "asked for user %s, SMAPI answered of %s", user, names[0]);
    }
    smapi_answer_done(&answer);
    return r;
}

int zvm_relocation(struct smapi *smapi, const char *user, struct smapi_relocation *ret_relocation,
                   struct rm_err *err)
{
    char target[sizeof("USER ") + SMAPI_NAME_MAX];
    struct smapi_request request = {.function = SMAPI_VMRELOCATE_STATUS, .target = user};
    struct smapi_answer answer;
    struct smapi_relocation list[ZVM_WATCHED_MAX];
    struct rm_err why = {""};
    snprintf(target, sizeof(target), "USER %s", user);
    request.operand[SMAPI_STATUS_TARGET] = target;
    enum smapi_says says = zvm_ask(smapi, &request, &answer, &why);
    int r = 0, n = 0;
    if (why.text[0])
        return rm_fail(err, -EIO, "%s", why.text);
    if (says == SMAPI_SAYS_OK)
        n = smapi_decode_relocations(&answer, list, ZVM_WATCHED_MAX, err);
    else if (says != SMAPI_SAYS_NOTHING && says != SMAPI_SAYS_OFF)
        n = fail_answer(&request, &answer, err);
    for (int i = 0; i < n && i < ZVM_WATCHED_MAX && r == 0; i++)
        if (strcasecmp(list[i].image, user) == 0) {
            if (ret_relocation)
                *ret_relocation = list[i];
            r = 1;
        }
    smapi_answer_done(&answer);
    return n < 0 ? n : r;
}

static struct zvm_watched *find_watched(struct hv *hv, const char *user)
{
    struct zvm_watched *oldest = &hv->watched[0];
    for (size_t i = 0; i < ZVM_WATCHED_MAX; i++) {
        struct zvm_watched *one = &hv->watched[i];
        if (one->at && strcasecmp(one->relocation.image, user) == 0)
            return one;
        if (one->at < oldest->at)
            oldest = one;
    }
    oldest->at = 0;
    return oldest;
}

int zvm_watch(struct hv *hv, const char *user, struct smapi_relocation *ret_relocation)
{
    pthread_mutex_lock(&hv->lock);
    struct zvm_watched one = *find_watched(hv, user);
    pthread_mutex_unlock(&hv->lock);
    if (one.at && env_now(hv->env) < one.at + WATCH_EVERY) {
        *ret_relocation = one.relocation;
        return 1;
    }
    int r = zvm_relocation(hv->smapi, user, ret_relocation, NULL);
    pthread_mutex_lock(&hv->lock);
    struct zvm_watched *kept = find_watched(hv, user);
    kept->at = r > 0 ? env_now(hv->env) : 0;
    if (r > 0)
        kept->relocation = *ret_relocation;
    pthread_mutex_unlock(&hv->lock);
    return r;
}

void zvm_watch_again(struct hv *hv, const char *user)
{
    pthread_mutex_lock(&hv->lock);
    find_watched(hv, user)->at = 0;
    pthread_mutex_unlock(&hv->lock);
}

int zvm_ssi(struct smapi *smapi, struct zvm_ssi *ret_ssi, struct rm_err *err)
{
    struct smapi_request request = {.function = SMAPI_SSI_QUERY, .target = "ALL"};
    struct smapi_answer answer;
    struct rm_err why = {""};
    enum smapi_says says = zvm_ask(smapi, &request, &answer, &why);
    int n;
    if (why.text[0])
        return rm_fail(err, -EIO, "%s", why.text);
    if (says == SMAPI_SAYS_OK)
        n = smapi_decode_ssi(&answer, &ret_ssi->ssi, ret_ssi->members, ZVM_MEMBERS_MAX, err);
    else
        n = fail_answer(&request, &answer, err);
    smapi_answer_done(&answer);
    if (n < 0)
        return n;
    ret_ssi->n = n < ZVM_MEMBERS_MAX ? (size_t)n : ZVM_MEMBERS_MAX;
    return 0;
}

const struct smapi_member *zvm_member(const struct zvm_ssi *ssi, const char *name)
{
    for (size_t i = 0; i < ssi->n; i++)
        if (strcasecmp(ssi->members[i].system, name) == 0)
            return &ssi->members[i];
    return NULL;
}

int zvm_cancel(struct hv *hv, const char *user, struct rm_err *err)
{
    struct smapi_request request = {.function = SMAPI_VMRELOCATE, .target = user};
    struct smapi_answer answer;
    struct rm_err why = {""};
    request.operand[SMAPI_ACTION] = "CANCEL";
    enum smapi_says says = zvm_ask(hv->smapi, &request, &answer, &why);
    int r = 0;
    if (why.text[0])
        return rm_fail(err, -EIO, "%s", why.text);
    if (says != SMAPI_SAYS_OK && says != SMAPI_SAYS_NOTHING && says != SMAPI_SAYS_OFF)
        r = fail_answer(&request, &answer, err);
    smapi_answer_done(&answer);
    zvm_watch_again(hv, user);
    return r;
}

usec_t zvm_elapsed(const char *text)
{
    unsigned hours, minutes, seconds;
    char end;
    if (sscanf(text, "%2u:%2u:%2u%c", &hours, &minutes, &seconds, &end) != 3)
        return 0;
    return ((hours * 60 + minutes) * (usec_t)60 + seconds) * USEC_PER_SEC;
}
