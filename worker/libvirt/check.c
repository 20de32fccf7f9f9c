/* check.c - what can be known before a guest is moved */
#include "worker/libvirt/check.h"

#include "worker/libvirt/look.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what the source knows of a guest that shall move */

static void prepare_drop(struct lv_op *op)
{
    struct lv_prepare_op *ask = (struct lv_prepare_op *)op;
    lv_run_unref(ask->run);
    domxml_done(&ask->facts);
    free(ask);
}

static int prepare_guest(struct lv_prepare_op *ask, virDomainPtr domain)
{
    const char *name = virDomainGetName(domain);
    char *xml = virDomainGetXMLDesc(domain, VIR_DOMAIN_XML_MIGRATABLE);
    if (!name || !xml) {
        free(xml);
        return lv_note(&ask->op);
    }
    ask->name = strdup(name);
    int r = ask->name ? domxml_read(xml, &ask->facts, &ask->op.err) : -ENOMEM;
    free(xml);
    if (r < 0)
        return r;
    if (ask->look.defined && virDomainGetAutostart(domain, &ask->autostart) < 0)
        return lv_note(&ask->op);
    ask->memory = (uint64_t)virDomainGetMaxMemory(domain) * 1024;
    if (ask->run)
        lv_run_listen(ask->run, ask->op.conn, domain);
    return 0;
}

static int prepare_body(struct lv_op *op)
{
    struct lv_prepare_op *ask = (struct lv_prepare_op *)op;
    int r = lv_look(op, &ask->look);
    if (r < 0 || !ask->look.active)
        return r;
    virDomainPtr domain = lv_guest(op);
    if (!domain)
        return -EIO;
    r = prepare_guest(ask, domain);
    virDomainFree(domain);
    return r;
}

/* ---- outcomes */

int lv_give(struct hv_outcome *outcome, int r, RmClass class_, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(outcome->text, sizeof(outcome->text), format, ap);
    va_end(ap);
    outcome->class_ = class_;
    return r;
}

/* A question before the start that was not answered: nothing has happened yet. */
static int give_unanswered(struct hv_outcome *outcome, int r, const struct lv_error *error,
                           const struct rm_err *err)
{
    RmClass class_ = lv_error_class(error);
    outcome->code = error->code;
    if (class_ != RM_CLASS__CLASS_UNFIT && class_ != RM_CLASS__CLASS_FATAL)
        class_ = RM_CLASS__CLASS_RETRY;
    return lv_give(outcome, r, class_, "%s", err->text);
}

void lv_outcome_init(struct hv_outcome *outcome)
{
    *outcome = (struct hv_outcome){.stats = RM_STATS__INIT};
}

/* Which fence this guest gets. Returns true for the paused one. */
bool lv_choose_fence(const struct hv_migration *migration, struct hv_outcome *outcome)
{
    bool paused = migration->fence != FENCE_NEVER;
    snprintf(outcome->fence, sizeof(outcome->fence), "%s", paused ? "paused" : "none");
    return paused;
}

/* A pause that ends by itself is not kept; nor is the guest moved in the middle of it, since nobody
 * would end it at the destination. */
static bool is_moment(const struct hv_look *look)
{
    return look->reason == HV_REASON_MOMENT || look->reason == HV_REASON_STARTING;
}

int lv_may_leave(const char *host, const struct hv_look *look, struct hv_outcome *outcome)
{
    if (look->state == RM_GUEST_STATE__GUEST_UNKNOWN && !look->active)
        return lv_give(outcome, -ENOENT, RM_CLASS__CLASS_AMBIGUOUS, "the guest is not on %s", host);
    if (!look->active)
        return lv_give(outcome, -ENOENT, RM_CLASS__CLASS_FATAL, "guest is shut off");
    if (look->state == RM_GUEST_STATE__GUEST_CRASHED)
        return lv_give(outcome, -EINVAL, RM_CLASS__CLASS_FATAL, "guest has crashed");
    if (look->incoming)
        return lv_give(outcome, -EBUSY, RM_CLASS__CLASS_RETRY, "the guest is just coming in");
    /* QEMU before 9.0 wakes it at the destination, or leaves it there in a state of its own. */
    if (look->state == RM_GUEST_STATE__GUEST_SUSPENDED)
        return lv_give(outcome, -EINVAL, RM_CLASS__CLASS_FATAL,
                       "guest is suspended to its memory (pmsuspended), and QEMU cannot be trusted "
                       "to take it along asleep: wake it first, with virsh dompmwakeup");
    if (look->state == RM_GUEST_STATE__GUEST_IN_SHUTDOWN)
        return lv_give(outcome, -EBUSY, RM_CLASS__CLASS_RETRY,
                       "the guest is in shutdown, and has not ended yet");
    if (is_moment(look))
        return lv_give(outcome, -EBUSY, RM_CLASS__CLASS_RETRY,
                       "the guest is paused for a moment: a start, save, dump or snapshot of it is "
                       "under way");
    if (look->outgoing || look->reason == HV_REASON_MIGRATING ||
        look->state == RM_GUEST_STATE__GUEST_POSTCOPY)
        return lv_give(outcome, -EBUSY, RM_CLASS__CLASS_AMBIGUOUS,
                       "the guest is in the middle of another migration");
    return 0;
}

/* Asks the source about the guest. The op is the caller's, also when this fails. */
int lv_prepare(struct hv *hv, const struct hv_migration *migration, struct lv_conn *source,
               struct lv_run *run, struct lv_prepare_op **ret_ask, struct hv_outcome *outcome)
{
    struct rm_err err = {""};
    struct lv_prepare_op *ask = calloc(1, sizeof(*ask));
    *ret_ask = ask;
    if (!ask)
        return lv_give(outcome, -ENOMEM, RM_CLASS__CLASS_RETRY, "no memory");
    lv_op_init(&ask->op, source, migration->uuid, prepare_body);
    ask->op.drop = prepare_drop;
    ask->run = run ? lv_run_ref(run) : NULL;
    int r = lv_op_run(hv, &ask->op, &err);
    if (r == -ETIMEDOUT || r == -EAGAIN)
        return lv_give(outcome, r, RM_CLASS__CLASS_RETRY, "%s", err.text);
    if (r < 0)
        return give_unanswered(outcome, r, &ask->op.error, &err);
    const struct hv_look *look = &ask->look;
    outcome->autostart = ask->autostart != 0;
    outcome->guest_paused = look->state == RM_GUEST_STATE__GUEST_PAUSED &&
                            look->reason != HV_REASON_MIGRATING && !is_moment(look);
    return lv_may_leave(hv->name, look, outcome);
}

/* What the destination knows of the guest. A copy that is active there forbids to begin. */
int lv_look_ahead(struct hv *hv, const struct hv_migration *migration, struct lv_conn *destination,
                  struct hv_outcome *outcome)
{
    struct hv_look look;
    struct lv_error error = {.code = 0};
    struct rm_err err = {""};
    int r = lv_look_at(hv, destination, migration->uuid, &look, &error, &err);
    if (r < 0) {
        give_unanswered(outcome, r, &error, &err);
        char text[RM_ERR_MAX];
        memcpy(text, outcome->text, sizeof(text));
        snprintf(outcome->text, sizeof(outcome->text), "%s: %.1900s", migration->destination, text);
        return r;
    }
    outcome->had_definition = look.defined;
    if (look.incoming)
        return lv_give(outcome, -EBUSY, RM_CLASS__CLASS_RETRY,
                       "a migration already brings the guest to %s", migration->destination);
    if (look.active)
        return lv_give(outcome, -EEXIST, RM_CLASS__CLASS_AMBIGUOUS,
                       "the guest is already active on %s", migration->destination);
    return 0;
}

int lv_connect_ahead(struct hv *hv, const char *peer, struct lv_conn **ret_conn,
                     struct hv_outcome *outcome)
{
    struct lv_error error = {.code = 0};
    struct rm_err err = {""};
    int r = lv_conn_get(hv, peer, ret_conn, &error, &err);
    return r < 0 ? give_unanswered(outcome, r, &error, &err) : 0;
}

/* ---- what stands in the way */

/* As a whole, not as a part of another one. */
static bool is_named(const struct lv_findings *found, const char *text)
{
    size_t length = strlen(text);
    for (const char *at = found->text; (at = strstr(at, text)); at++) {
        bool begins = at == found->text || (at >= found->text + 2 && memcmp(at - 2, "; ", 2) == 0);
        if (begins && (at[length] == '\0' || at[length] == ';'))
            return true;
        if (!*at)
            break;
    }
    return false;
}

bool lv_findings_add(struct lv_findings *found, struct hv_outcome *outcome, int r)
{
    if (r >= 0)
        return true;
    size_t length = strlen(found->text);
    if (found->r >= 0) {
        found->r = r;
        found->class_ = outcome->class_;
        found->code = outcome->code;
    }
    /* Two checks that fail for one reason are one finding. One that has no room whole is left out: it shows when
     * those before it are remedied. */
    const char *between = length ? "; " : "";
    if (!is_named(found, outcome->text) &&
        length + strlen(between) + strlen(outcome->text) < sizeof(found->text))
        snprintf(found->text + length, sizeof(found->text) - length, "%s%s", between,
                 outcome->text);
    outcome->text[0] = '\0';
    outcome->code = 0;
    return found->all;
}

int lv_findings_give(const struct lv_findings *found, struct hv_outcome *outcome)
{
    if (found->r >= 0)
        return 0;
    outcome->code = found->code;
    return lv_give(outcome, found->r, found->class_, "%s", found->text);
}

/* ---- check */

struct check_op {
    struct lv_op op;
    char *arch, *machine, *virttype, *cpu; /* NULL: nothing to compare */
    struct lv_error cpu_error;             /* code 0: it fits */
    char *name;                            /* NULL: is not asked for */
    char taken[LV_UUID_MAX];               /* who has the name there; "" = nobody else */
};

static void check_drop(struct lv_op *op)
{
    struct check_op *ask = (struct check_op *)op;
    free(ask->arch);
    free(ask->machine);
    free(ask->virttype);
    free(ask->cpu);
    free(ask->name);
    free(ask);
}

static int look_for_name(struct check_op *ask)
{
    struct lv_op *op = &ask->op;
    virDomainPtr other = virDomainLookupByName(op->conn->connect, ask->name);
    if (!other) {
        lv_note(op);
        if (!lv_error_is_no_guest(&op->error))
            return -EIO;
        op->error.code = 0;
        return 0;
    }
    int r = virDomainGetUUIDString(other, ask->taken) < 0 ? lv_note(op) : 0;
    virDomainFree(other);
    if (strcmp(ask->taken, op->uuid) == 0)
        ask->taken[0] = '\0';
    return r;
}

/* A name that is taken at the destination is asked for only where no migration follows: libvirt
 * refuses that within some 20 ms, before anything has happened, and in words that people can look
 * up. */
static int check_body(struct lv_op *op)
{
    struct check_op *ask = (struct check_op *)op;
    if (ask->name && look_for_name(ask) < 0)
        return -EIO;
    if (!ask->cpu)
        return 0;
    if (virConnectCompareHypervisorCPU(op->conn->connect, /* emulator = */ NULL, ask->arch,
                                       ask->machine, ask->virttype, ask->cpu,
                                       VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE) < 0) {
        lv_note(op);
        if (lv_error_is_connection(&op->error))
            return -EIO;
        /* Only a plain "does not fit" counts: a daemon or a CPU model that cannot be compared is no
         * reason. */
        if (op->error.code == VIR_ERR_CPU_INCOMPATIBLE ||
            op->error.code == VIR_ERR_CONFIG_UNSUPPORTED)
            ask->cpu_error = op->error;
        op->error.code = 0;
    }
    return 0;
}

/* The host's own uuid, asked once for each connection: the document is long. */
struct host_op {
    struct lv_op op;
    char uuid[LV_UUID_MAX];
    unsigned long version; /* of libvirt there */
};

static int host_body(struct lv_op *op)
{
    struct host_op *ask = (struct host_op *)op;
    memcpy(ask->uuid, op->conn->host_uuid, sizeof(ask->uuid));
    if (virConnectGetLibVersion(op->conn->connect, &ask->version) < 0)
        return lv_note(op);
    if (ask->uuid[0])
        return 0;
    char *xml = virConnectGetCapabilities(op->conn->connect);
    if (!xml)
        return lv_note(op);
    int r = domxml_host_uuid(xml, ask->uuid, sizeof(ask->uuid));
    free(xml);
    if (r < 0)
        return rm_fail(&op->err, r, "the capabilities of the hypervisor cannot be read");
    memcpy(op->conn->host_uuid, ask->uuid, sizeof(ask->uuid));
    return 0;
}

static int ask_host(struct hv *hv, struct lv_conn *conn, char *ret_uuid, unsigned long *ret_version,
                    struct hv_outcome *outcome)
{
    struct rm_err err = {""};
    struct host_op *ask = calloc(1, sizeof(*ask));
    if (!ask)
        return lv_give(outcome, -ENOMEM, RM_CLASS__CLASS_RETRY, "no memory");
    lv_op_init(&ask->op, conn, NULL, host_body);
    int r = lv_op_run(hv, &ask->op, &err);
    if (r == 0) {
        memcpy(ret_uuid, ask->uuid, sizeof(ask->uuid));
        *ret_version = ask->version;
    } else {
        lv_give(outcome, r, RM_CLASS__CLASS_RETRY, "%s", err.text);
    }
    lv_op_unref(&ask->op);
    return r;
}

/* Words of the document as owned strings; "" becomes NULL. */
static bool copy_words(struct check_op *ask, const struct lv_prepare_op *guest)
{
    const struct domxml *facts = &guest->facts;
    if (!facts->cpu)
        return true;
    ask->cpu = strdup(facts->cpu);
    ask->arch = facts->arch[0] ? strdup(facts->arch) : NULL;
    ask->machine = facts->machine[0] ? strdup(facts->machine) : NULL;
    ask->virttype = facts->virttype[0] ? strdup(facts->virttype) : NULL;
    return ask->cpu;
}

static int check_name(const struct check_op *ask, const struct hv_migration *migration,
                      struct hv_outcome *outcome)
{
    return !ask->taken[0] ? 0
                          : lv_give(outcome, -EEXIST, RM_CLASS__CLASS_UNFIT,
                                    "domain '%s' already exists on %s with uuid %s", ask->name,
                                    migration->destination, ask->taken);
}

static int check_cpu(const struct check_op *ask, struct hv_outcome *outcome)
{
    if (ask->cpu_error.code == 0)
        return 0;
    char text[RM_ERR_MAX];
    outcome->code = ask->cpu_error.code;
    return lv_give(outcome, -EOPNOTSUPP, RM_CLASS__CLASS_UNFIT, "%s",
                   lv_error_text(&ask->cpu_error, text));
}

static void check_destination(struct hv *hv, const struct hv_migration *migration,
                              struct lv_conn *destination, const struct lv_prepare_op *guest,
                              struct lv_findings *found, struct hv_outcome *outcome)
{
    struct rm_err err = {""};
    struct check_op *ask = calloc(1, sizeof(*ask));
    if (!ask) {
        lv_findings_add(found, outcome,
                        lv_give(outcome, -ENOMEM, RM_CLASS__CLASS_RETRY, "no memory"));
        return;
    }
    lv_op_init(&ask->op, destination, migration->uuid, check_body);
    ask->op.drop = check_drop;
    bool copied = copy_words(ask, guest);
    if (migration->test)
        ask->name = strdup(guest->name);
    int r = copied && (!migration->test || ask->name) ? lv_op_run(hv, &ask->op, &err) : -ENOMEM;
    if (r < 0)
        lv_findings_add(
            found, outcome,
            lv_give(outcome, r, RM_CLASS__CLASS_RETRY, "%s: %s", migration->destination, err.text));
    else if (lv_findings_add(found, outcome, check_name(ask, migration, outcome)))
        lv_findings_add(found, outcome, check_cpu(ask, outcome));
    lv_op_unref(&ask->op);
}

static int check_blocker(const struct domxml *facts, struct hv_outcome *outcome)
{
    return facts->blocker[0]
               ? lv_give(outcome, -EINVAL, RM_CLASS__CLASS_FATAL, "%s", facts->blocker)
               : 0;
}

static int check_host_device(const struct domxml *facts, unsigned long version,
                             struct hv_outcome *outcome)
{
    /* libvirt 9.0 refuses each assigned host device; later ones let some of them migrate and know
     * it better. */
    enum { HOST_DEVICES_REFUSED_BELOW = 9001000 };
    if (facts->host_device[0] && version < HOST_DEVICES_REFUSED_BELOW)
        return lv_give(outcome, -EINVAL, RM_CLASS__CLASS_FATAL,
                       "it has a device of the host (%s) that cannot be taken along",
                       facts->host_device);
    return 0;
}

/* Both sides answer, and the guest could leave: what keeps it from arriving? */
static int check_pair(struct hv *hv, const struct hv_migration *migration,
                      struct lv_conn *destination, const struct lv_prepare_op *guest,
                      unsigned long version, struct hv_outcome *outcome)
{
    struct lv_findings found = {.all = migration->test};
    const struct domxml *facts = &guest->facts;
    if (lv_findings_add(&found, outcome, check_blocker(facts, outcome)) &&
        lv_findings_add(&found, outcome, check_host_device(facts, version, outcome)) &&
        lv_findings_add(&found, outcome, lv_look_ahead(hv, migration, destination, outcome)))
        check_destination(hv, migration, destination, guest, &found, outcome);
    return lv_findings_give(&found, outcome);
}

int lv_hv_check(struct hv *hv, const struct hv_migration *migration, struct hv_outcome *outcome)
{
    lv_outcome_init(outcome);
    if (!migration->peer || !migration->peer[0])
        return lv_give(outcome, -EINVAL, RM_CLASS__CLASS_UNFIT,
                       "%s has no address for other hypervisors (setting peer)",
                       migration->destination);
    struct lv_conn *source = NULL, *destination = NULL;
    struct lv_prepare_op *guest = NULL;
    char uuids[2][LV_UUID_MAX] = {"", ""};
    unsigned long version = 0, ignored;
    int r = lv_connect_ahead(hv, /* peer = */ NULL, &source, outcome);
    if (r >= 0)
        r = lv_connect_ahead(hv, migration->peer, &destination, outcome);
    if (r >= 0)
        r = lv_prepare(hv, migration, source, /* run = */ NULL, &guest, outcome);
    if (r >= 0) {
        lv_choose_fence(migration, outcome);
        r = ask_host(hv, source, uuids[0], &version, outcome);
    }
    if (r >= 0)
        r = ask_host(hv, destination, uuids[1], &ignored, outcome);
    if (r >= 0 && uuids[0][0] && strcmp(uuids[0], uuids[1]) == 0)
        r = lv_give(outcome, -EINVAL, RM_CLASS__CLASS_UNFIT, "%s is the same host as %s",
                    migration->destination, hv->name);
    if (r >= 0)
        r = check_pair(hv, migration, destination, guest, version, outcome);
    if (guest)
        lv_op_unref(&guest->op);
    lv_conn_unref(destination);
    lv_conn_unref(source);
    return r;
}
