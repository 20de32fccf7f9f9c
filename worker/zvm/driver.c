/* driver.c - the driver of z/VM: a member of an SSI cluster, through SMAPI
 *
 * What VMRELOCATE, VMRELOCATE_Status, VMRELOCATE_Modify, Image_Status_Query and SSI_Query do is
 * described in z/VM's Systems Management Application Programming. A cluster logs a user id on at
 * one member only, so nothing here has to see to that; what has to be seen to is that a MOVE leaves
 * once: when nobody knows whether SMAPI took one, it is watched for, not sent again. */
#include "worker/zvm/driver.h"

#include "conf/unit.h"
#include "worker/zvm/inventory.h"
#include "worker/zvm/member.h"
#include "worker/zvm/smapi_login.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LATE_FOR     (10 * USEC_PER_SEC) /* a MOVE that was taken has begun by then */
#define CANCEL_EVERY (5 * USEC_PER_SEC)  /* one that goes on is asked to stop again */
#define STATUS_EVERY (10 * USEC_PER_SEC) /* is there still one, while its reply is awaited */

enum { STATUS_TWICE = 2 }; /* looks without one, before its reply is given up */

/* ---- a move */

struct move {
    struct hv *hv;
    const struct hv_migration *migration;
    smapi_name user;
    usec_t began_at;
    usec_t status_at; /* when it is asked for next */
    unsigned without; /* answers in a row that there is none */
    usec_t cancel_at; /* after its time-out; 0 = not yet */
    char text[128];   /* why we stopped it */
};

static void tell_progress(const struct move *move)
{
    const struct hv_migration *migration = move->migration;
    RmStats stats = RM_STATS__INIT;
    stats.elapsed_for = env_now(move->hv->env) - move->began_at;
    if (migration->progress)
        migration->progress(migration->ctx, &stats);
}

/* While the reply is awaited: SMAPI answers a MOVE when the relocation is over. */
static bool go_on(void *ctx)
{
    struct move *move = ctx;
    const struct hv_migration *migration = move->migration;
    usec_t now = env_now(move->hv->env);
    tell_progress(move);
    if (migration->timeout && now >= move->began_at + migration->timeout &&
        now >= move->cancel_at) {
        char span[UNIT_TEXT_MAX];
        snprintf(move->text, sizeof(move->text), "not done within the timeout of %s, stopped",
                 unit_duration_text(migration->timeout, span));
        zvm_cancel(move->hv, move->user, NULL);
        move->cancel_at = env_now(move->hv->env) + CANCEL_EVERY;
    }
    if (now < move->status_at)
        return true;
    int r = zvm_relocation(move->hv->smapi, move->user, NULL, NULL);
    move->without = r == 0 ? move->without + 1 : 0;
    move->status_at = env_now(move->hv->env) + STATUS_EVERY;
    return move->without < STATUS_TWICE;
}

/* Nobody knows whether it was taken, or how it ended: true as soon as something has come of it,
 * false when nothing has for so long that nothing will. */
static bool has_begun(const struct move *move)
{
    const struct env *env = move->hv->env;
    usec_t until_at = env_now(env) + LATE_FOR;
    do {
        if (zvm_relocation(move->hv->smapi, move->user, NULL, NULL) != 0 ||
            zvm_active(move->hv->smapi, move->user, NULL) != 1)
            return true;
        env_sleep(env, USEC_PER_SEC);
    } while (env_now(env) < until_at);
    return false;
}

static bool has_expired(const char *limit, usec_t elapsed, uint64_t *ret_seconds)
{
    char *end;
    if (!limit[0] || !isdigit((unsigned char)limit[0]))
        return false;
    *ret_seconds = strtoull(limit, &end, 10);
    return *end == '\0' && elapsed >= *ret_seconds * USEC_PER_SEC;
}

/* z/VM's number for it is not known here, but the clock is. */
static void add_limit(const struct move *move, usec_t elapsed, struct hv_outcome *outcome)
{
    const RmRelocation *r = move->migration->relocation;
    size_t length = strlen(outcome->text);
    uint64_t seconds;
    char span[UNIT_TEXT_MAX];
    if (!r || !has_expired(r->max_total, elapsed, &seconds))
        return;
    snprintf(outcome->text + length, sizeof(outcome->text) - length,
             "; it had gone on for %s, and max_total is %llu s", unit_duration_text(elapsed, span),
             (unsigned long long)seconds);
}

static void move_answered(const struct move *move, const struct smapi_answer *answer,
                          struct hv_outcome *outcome)
{
    enum smapi_says says = smapi_code_says(SMAPI_VMRELOCATE, answer);
    char text[SMAPI_CODE_TEXT_MAX];
    outcome->ok = says == SMAPI_SAYS_OK;
    if (outcome->ok)
        return;
    outcome->class_ = zvm_class(says);
    outcome->code = (int)answer->rc;
    snprintf(outcome->text, sizeof(outcome->text), "%s%s%s", move->text, move->text[0] ? ": " : "",
             smapi_code_text(SMAPI_VMRELOCATE, answer, text, sizeof(text)));
    if (move->text[0])
        outcome->class_ = RM_CLASS__CLASS_RETRY;
    add_limit(move, outcome->stats.elapsed_for, outcome);
}

static void move_unknown(const struct move *move, enum smapi_end end, const char *why,
                         struct hv_outcome *outcome)
{
    bool begun = has_begun(move);
    outcome->class_ = begun                    ? RM_CLASS__CLASS_AMBIGUOUS
                      : end == SMAPI_UNCERTAIN ? RM_CLASS__CLASS_FATAL
                                               : RM_CLASS__CLASS_RETRY;
    snprintf(outcome->text, sizeof(outcome->text), "%s%s%s", move->text[0] ? move->text : "",
             move->text[0] ? ": " : "", why);
    if (!begun && end == SMAPI_UNCERTAIN) {
        size_t length = strlen(outcome->text);
        snprintf(outcome->text + length, sizeof(outcome->text) - length,
                 "; nothing has begun since, but it is not sent a second time");
    }
}

static struct smapi_request relocate(const struct hv_migration *migration, const char *user,
                                     const char *action)
{
    const RmRelocation *r = migration->relocation;
    struct smapi_request request = {.function = SMAPI_VMRELOCATE, .target = user};
    request.operand[SMAPI_DESTINATION] = migration->destination;
    request.operand[SMAPI_ACTION] = action;
    if (r && r->force[0])
        request.operand[SMAPI_FORCE] = r->force;
    return request;
}

static void zvm_migrate(struct hv *hv, const struct hv_migration *migration,
                        struct hv_outcome *outcome)
{
    const RmRelocation *r = migration->relocation;
    struct move move = {.hv = hv, .migration = migration};
    struct smapi_answer answer = {.bytes = NULL};
    struct rm_err err = {""};
    *outcome = (struct hv_outcome){.stats = RM_STATS__INIT, .fence = ZVM_FENCE};
    zvm_user(migration->uuid, move.user);
    struct smapi_request request =
        relocate(migration, move.user, r && r->action[0] ? r->action : "MOVE");
    if (r) {
        request.operand[SMAPI_IMMEDIATE] = r->immediate[0] ? r->immediate : NULL;
        request.operand[SMAPI_MAX_TOTAL] = r->max_total[0] ? r->max_total : NULL;
        request.operand[SMAPI_MAX_QUIESCE] = r->max_quiesce[0] ? r->max_quiesce : NULL;
    }
    request.leave_by = migration->begin_by;
    move.began_at = env_now(hv->env);
    move.status_at = move.began_at + STATUS_EVERY;
    enum smapi_end end = smapi_call(hv->smapi, &request, false, go_on, &move, &answer, &err);
    outcome->stats.elapsed_for = env_now(hv->env) - move.began_at;
    switch (end) {
    case SMAPI_ANSWERED:
        move_answered(&move, &answer, outcome);
        break;
    case SMAPI_NOT_SENT:
    case SMAPI_REFUSED_LOGIN:
        outcome->class_ = end == SMAPI_NOT_SENT ? RM_CLASS__CLASS_RETRY : RM_CLASS__CLASS_FATAL;
        snprintf(outcome->text, sizeof(outcome->text), "%s", err.text);
        break;
    default:
        move_unknown(&move, end, err.text, outcome);
    }
    smapi_answer_done(&answer);
}

/* ---- beforehand */

static int refuse(struct hv_outcome *outcome, RmClass class_, int r, const char *text)
{
    outcome->class_ = class_;
    snprintf(outcome->text, sizeof(outcome->text), "%s", text);
    return r;
}

static int check_destination(struct hv *hv, const char *destination, struct hv_outcome *outcome)
{
    struct zvm_ssi *ssi = malloc(sizeof(*ssi));
    struct rm_err err = {""};
    int r = ssi ? zvm_ssi(hv->smapi, ssi, &err) : rm_fail(&err, -ENOMEM, "no memory");
    const struct smapi_member *member = r < 0 ? NULL : zvm_member(ssi, destination);
    if (r < 0)
        refuse(outcome, RM_CLASS__CLASS_RETRY, r, err.text);
    else if (!member)
        r = rm_fail(&err, -ENODEV, "%s is no member of the SSI cluster %s", destination,
                    ssi->ssi.name);
    else if (strcasecmp(member->state, "Joined") != 0)
        r = rm_fail(&err, -EHOSTDOWN, "%s is %s in the SSI cluster %s", destination,
                    member->state[0] ? member->state : "in an unknown state", ssi->ssi.name);
    if (r == -ENODEV || r == -EHOSTDOWN)
        refuse(outcome, RM_CLASS__CLASS_UNFIT, r, err.text);
    free(ssi);
    return r;
}

/* VMRELOCATE TEST: z/VM's own word. */
static int ask_zvm(struct hv *hv, const struct hv_migration *migration, const char *user,
                   struct hv_outcome *outcome)
{
    const RmRelocation *r = migration->relocation;
    bool lower = r && islower((unsigned char)r->action[0]);
    struct smapi_request request = relocate(migration, user, lower ? "test" : "TEST");
    struct smapi_answer answer = {.bytes = NULL};
    struct rm_err err = {""};
    char text[SMAPI_CODE_TEXT_MAX];
    enum smapi_says says = zvm_ask(hv->smapi, &request, &answer, &err);
    if (err.text[0])
        return refuse(outcome, zvm_class(says), -EIO, err.text);
    if (says != SMAPI_SAYS_OK)
        refuse(outcome, zvm_class(says), -EPERM,
               smapi_code_text(SMAPI_VMRELOCATE, &answer, text, sizeof(text)));
    outcome->code = (int)answer.rc;
    smapi_answer_done(&answer);
    return says == SMAPI_SAYS_OK ? 0 : -EPERM;
}

static int zvm_check(struct hv *hv, const struct hv_migration *migration,
                     struct hv_outcome *outcome)
{
    struct smapi_relocation running;
    struct rm_err err = {""};
    smapi_name user;
    *outcome = (struct hv_outcome){.stats = RM_STATS__INIT, .fence = ZVM_FENCE};
    zvm_user(migration->uuid, user);
    int r = zvm_active(hv->smapi, user, &err);
    if (r < 0)
        return refuse(outcome, RM_CLASS__CLASS_RETRY, r, err.text);
    if (r == 0) {
        rm_fail(&err, -ESRCH, "user %s is not logged on at %s", user, hv->name);
        return refuse(outcome, RM_CLASS__CLASS_FATAL, -ESRCH, err.text);
    }
    r = zvm_relocation(hv->smapi, user, &running, &err);
    if (r > 0) {
        rm_fail(&err, -EBUSY, "it is being relocated from %s to %s already, by somebody else",
                running.source, running.destination);
        r = -EBUSY;
    }
    if (r < 0)
        return refuse(outcome, RM_CLASS__CLASS_RETRY, r, err.text);
    r = check_destination(hv, migration->destination, outcome);
    return r < 0 || !migration->test ? r : ask_zvm(hv, migration, user, outcome);
}

/* ---- what runs */

static int zvm_modify(struct hv *hv, const char *uuid, const RmOptions *limits, struct rm_err *err)
{
    const RmRelocation *relocation = limits->relocation;
    struct smapi_request request = {.function = SMAPI_VMRELOCATE_MODIFY};
    struct smapi_answer answer = {.bytes = NULL};
    struct rm_err why = {""};
    smapi_name user;
    char text[SMAPI_CODE_TEXT_MAX];
    if (!relocation)
        return rm_fail(err, -EOPNOTSUPP, "z/VM knows only max_total and max_quiesce");
    zvm_user(uuid, user);
    request.target = user;
    request.operand[SMAPI_MAX_TOTAL] = relocation->max_total[0] ? relocation->max_total : NULL;
    request.operand[SMAPI_MAX_QUIESCE] =
        relocation->max_quiesce[0] ? relocation->max_quiesce : NULL;
    enum smapi_says says = zvm_ask(hv->smapi, &request, &answer, &why);
    if (why.text[0])
        return rm_fail(err, -EIO, "%s", why.text);
    smapi_code_text(SMAPI_VMRELOCATE_MODIFY, &answer, text, sizeof(text));
    smapi_answer_done(&answer);
    return says == SMAPI_SAYS_OK ? 0 : rm_fail(err, -EPERM, "%s", text);
}

/* It is given time to stop: whoever wants it stopped asks again and again. */
static int zvm_abort(struct hv *hv, const char *uuid, struct rm_err *err)
{
    usec_t until_at = env_now(hv->env) + CANCEL_EVERY;
    smapi_name user;
    zvm_user(uuid, user);
    int r = zvm_cancel(hv, user, err);
    while (r >= 0 && env_now(hv->env) < until_at && zvm_relocation(hv->smapi, user, NULL, NULL) > 0)
        env_sleep(hv->env, USEC_PER_SEC / 2);
    return r < 0 ? r : 0;
}

static int zvm_progress(struct hv *hv, const char *uuid, RmStats *ret_stats)
{
    struct smapi_relocation relocation;
    smapi_name user;
    rm_stats__init(ret_stats);
    zvm_user(uuid, user);
    int r = zvm_watch(hv, user, &relocation);
    if (r <= 0)
        return r < 0 ? r : -ENOENT;
    ret_stats->elapsed_for = zvm_elapsed(relocation.elapsed);
    return 0;
}

static int zvm_look(struct hv *hv, const char *peer, const char *uuid, struct hv_look *ret_look,
                    struct rm_err *err)
{
    const char *name; /* NULL: the member behind a peer that this worker does not serve */
    struct smapi *smapi = zvm_server(hv, peer, &name, err);
    struct hv_look look = {.state = RM_GUEST_STATE__GUEST_SHUTOFF};
    struct smapi_relocation relocation;
    smapi_name user;
    *ret_look = (struct hv_look){.answered = false};
    zvm_user(uuid, user);
    if (!smapi)
        return 0;
    int active = zvm_active(smapi, user, err);
    int moving = active > 0 ? zvm_relocation(smapi, user, &relocation, err) : 0;
    if (active < 0 || moving < 0)
        return 0;
    look.answered = true;
    look.active = active > 0;
    if (active > 0)
        look.state = RM_GUEST_STATE__GUEST_RUNNING;
    if (moving > 0) {
        look.incoming = name && strcasecmp(relocation.destination, name) == 0;
        look.outgoing = !look.incoming; /* an active guest leaves: it is where it is active */
    }
    *ret_look = look;
    return 0;
}

static int zvm_repair(struct hv *hv, const char *peer, const char *uuid, enum hv_repair what,
                      struct rm_err *err)
{
    (void)hv;
    (void)peer;
    (void)uuid;
    (void)what;
    return rm_fail(err, -EPERM, "an SSI cluster leaves nothing to be repaired");
}

/* Over AF_IUCV a server is reached by guests of its own z/VM only. */
static const char *zvm_peer(const struct conf_hypervisor *conf)
{
    return strncmp(conf->smapi, "iucv:", 5) == 0 ? NULL : conf->smapi;
}

static int zvm_files(const struct conf_hypervisor *conf, struct rm_err *err)
{
    struct smapi_login login;
    struct smapi_stamp stamp;
    int r = conf->login ? smapi_login_read(conf->login, &login, &stamp, err) : 0;
    explicit_bzero(&login, sizeof(login));
    return r;
}

const struct driver zvm_driver = {
    .single = true,
    .late = LATE_FOR,
    .peer = zvm_peer,
    .files = zvm_files,
    .open = zvm_open,
    .close = zvm_close,
    .inventory = zvm_inventory,
    .wait_change = zvm_wait_change,
    .look = zvm_look,
    .check = zvm_check,
    .migrate = zvm_migrate,
    .abort = zvm_abort,
    .modify = zvm_modify,
    .progress = zvm_progress,
    .repair = zvm_repair,
};
