/* inventory.c - what a hypervisor has and which guests are there
 *
 * Asks only what libvirt answers without a guest's lock (virConnectGetAllDomainStats with NOWAIT):
 * a call that wants the lock hangs for 30 s on a guest that just comes in. Which guests are on
 * their way out does need it, so that is asked apart, with a short deadline, and only of those for
 * whom there is a reason. */
#include "worker/libvirt/inventory.h"

#include "conf/array.h"
#include "worker/libvirt/domjob.h"
#include "worker/libvirt/look.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SCAN_FOR     (2 * USEC_PER_SEC) /* for the question who is on the way out */
#define SCAN_ALL_FOR (5 * USEC_PER_SEC) /* of everybody */

enum {
    KIB = 1024,
    GUESTS_MAX = 16384, /* of one hypervisor */
};

struct found {
    char *name;
    char uuid[LV_UUID_MAX];
    struct hv_look look;
    uint64_t memory;
    unsigned vcpus;
};

struct inventory_op {
    struct lv_op op;
    struct found *found;
    size_t n_found, room;
    uint64_t memory; /* of the host, bytes */
    unsigned vcpus;
};

static void inventory_drop(struct lv_op *op)
{
    struct inventory_op *ask = (struct inventory_op *)op;
    for (size_t i = 0; i < ask->n_found; i++)
        free(ask->found[i].name);
    free(ask->found);
    free(ask);
}

/* What the host has. virNodeGetInfo's memory is too small where memory came online late: asked
 * last. */
static int read_host(struct inventory_op *ask, virConnectPtr connect)
{
    virNodeInfo info;
    if (virNodeGetInfo(connect, &info) < 0)
        return lv_note(&ask->op);
    ask->vcpus = info.cpus;
    ask->memory = (uint64_t)info.memory * KIB;
    int n = 0;
    if (virNodeGetMemoryStats(connect, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &n, 0) < 0 || n <= 0)
        return 0;
    virNodeMemoryStatsPtr stats = calloc((size_t)n, sizeof(*stats));
    if (stats && virNodeGetMemoryStats(connect, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &n, 0) == 0)
        for (int i = 0; i < n; i++)
            if (strcmp(stats[i].field, VIR_NODE_MEMORY_STATS_TOTAL) == 0)
                ask->memory = stats[i].value * KIB;
    free(stats);
    return 0;
}

static int add_guest(struct inventory_op *ask, virDomainStatsRecordPtr record, bool persistent)
{
    if (ask->n_found == GUESTS_MAX)
        return rm_fail(&ask->op.err, -E2BIG, "more than %d guests", GUESTS_MAX);
    struct found one = {.look = {.defined = persistent}};
    int state = VIR_DOMAIN_NOSTATE, reason = 0;
    unsigned long long memory = 0;
    virTypedParamsGetInt(record->params, record->nparams, "state.state", &state);
    virTypedParamsGetInt(record->params, record->nparams, "state.reason", &reason);
    virTypedParamsGetULLong(record->params, record->nparams, "balloon.maximum", &memory);
    virTypedParamsGetUInt(record->params, record->nparams, "vcpu.current", &one.vcpus);
    lv_set_state(&one.look, state, reason);
    one.look.active = state != VIR_DOMAIN_SHUTOFF;
    one.memory = memory * KIB;
    const char *name = virDomainGetName(record->dom);
    if (!name || virDomainGetUUIDString(record->dom, one.uuid) < 0)
        return lv_note(&ask->op);
    one.name = strdup(name);
    struct found *place = one.name ? ARRAY_ADD(ask->found, ask->n_found, ask->room) : NULL;
    if (!place) {
        free(one.name);
        return rm_fail(&ask->op.err, -ENOMEM, "no memory");
    }
    *place = one;
    return 0;
}

static int list_guests(struct inventory_op *ask, virConnectPtr connect, bool persistent)
{
    virDomainStatsRecordPtr *records = NULL;
    unsigned flags = VIR_CONNECT_GET_ALL_DOMAINS_STATS_NOWAIT |
                     (persistent ? VIR_CONNECT_GET_ALL_DOMAINS_STATS_PERSISTENT
                                 : VIR_CONNECT_GET_ALL_DOMAINS_STATS_TRANSIENT);
    int n = virConnectGetAllDomainStats(
        connect, VIR_DOMAIN_STATS_STATE | VIR_DOMAIN_STATS_BALLOON | VIR_DOMAIN_STATS_VCPU,
        &records, flags);
    if (n < 0)
        return lv_note(&ask->op);
    int r = 0;
    for (int i = 0; i < n && r == 0; i++)
        r = add_guest(ask, records[i], persistent);
    virDomainStatsRecordListFree(records);
    return r;
}

static int inventory_body(struct lv_op *op)
{
    struct inventory_op *ask = (struct inventory_op *)op;
    int r = read_host(ask, op->conn->connect);
    if (r == 0)
        r = list_guests(ask, op->conn->connect, /* persistent = */ true);
    if (r == 0)
        r = list_guests(ask, op->conn->connect, /* persistent = */ false);
    return r;
}

/* Which of some active guests are on their way out. Asked over another connection: this call may
 * hang where a guest's lock is held, and the inventory must not lose its events then. */
struct scan_op {
    struct lv_op op;
    size_t n;
    struct scanned {
        char uuid[LV_UUID_MAX];
        bool outgoing, incoming;
    } guests[];
};

static int scan_body(struct lv_op *op)
{
    struct scan_op *scan = (struct scan_op *)op;
    for (size_t i = 0; i < scan->n; i++) {
        struct hv_look look;
        memcpy(op->uuid, scan->guests[i].uuid, sizeof(op->uuid));
        if (lv_look(op, &look) == 0) {
            scan->guests[i].outgoing = look.outgoing;
            scan->guests[i].incoming = look.incoming;
        } else if (lv_error_is_connection(&op->error)) {
            return -EIO;
        }
        op->error.code = 0;
    }
    return 0;
}

/* Of the guests that events named only those stay of whom it was true just now. */
static void set_list(struct hv *hv, const struct scan_op *scan)
{
    char uuids[LV_MIGRATING_MAX][LV_UUID_MAX];
    size_t n = 0;
    for (size_t i = 0; scan && i < scan->n && n < LV_MIGRATING_MAX; i++)
        if (scan->guests[i].outgoing)
            memcpy(uuids[n++], scan->guests[i].uuid, LV_UUID_MAX);
    lv_watch_set_migrating(hv->watch, uuids, n);
}

/* A guest that comes in is paused, as is one that somebody paused: only its job shows which. */
static bool may_come_in(const struct hv_look *look)
{
    return look->state == RM_GUEST_STATE__GUEST_PAUSED && look->reason == HV_REASON_MIGRATING;
}

/* Whom to ask: everybody once after a new connection, later those for whom there is a reason. */
static struct scan_op *choose(struct hv *hv, struct inventory_op *found, bool all)
{
    struct scan_op *scan = calloc(1, sizeof(*scan) + found->n_found * sizeof(scan->guests[0]));
    if (!scan)
        return NULL;
    for (size_t i = 0; i < found->n_found; i++) {
        struct found *one = &found->found[i];
        if (!one->look.active)
            continue;
        one->look.outgoing = lv_run_is_begun(hv, one->uuid);
        if (!one->look.outgoing &&
            (all || lv_watch_is_migrating(hv->watch, one->uuid) || may_come_in(&one->look)))
            memcpy(scan->guests[scan->n++].uuid, one->uuid, LV_UUID_MAX);
    }
    return scan;
}

/* The same order in both lists. */
static void take_scan(struct inventory_op *found, const struct scan_op *scan)
{
    for (size_t i = 0, k = 0; i < found->n_found && k < scan->n; i++)
        if (strcmp(found->found[i].uuid, scan->guests[k].uuid) == 0) {
            found->found[i].look.outgoing = scan->guests[k].outgoing;
            found->found[i].look.incoming = scan->guests[k].incoming;
            k++;
        }
}

/* Marks who is on the way out and who comes in. */
static void mark_migrating(struct hv *hv, struct inventory_op *found, uint64_t serial)
{
    bool all = hv->scanned != serial, answered = false;
    struct scan_op *scan = choose(hv, found, all);
    if (!scan)
        return;
    struct lv_conn *conn = NULL;
    usec_t span = all ? SCAN_ALL_FOR : SCAN_FOR;
    if (scan->n == 0 || lv_conn_get(hv, /* peer = */ NULL, &conn, NULL, NULL) < 0) {
        if (scan->n == 0) {
            hv->scanned = serial;
            set_list(hv, scan);
        }
        free(scan);
        return;
    }
    lv_op_init(&scan->op, conn, NULL, scan_body);
    answered =
        lv_op_run_for(hv, &scan->op, span < hv->call_timeout ? span : hv->call_timeout, NULL) == 0;
    hv->scanned = serial;
    if (answered)
        take_scan(found, scan);
    set_list(hv, answered ? scan : NULL); /* without an answer its thread may still write to it */
    lv_op_unref(&scan->op);
    lv_conn_unref(conn);
}

/* As others see it: a guest that is paused for a moment runs. */
static RmGuestState shown_state(const struct hv_look *look)
{
    if (look->incoming)
        return RM_GUEST_STATE__GUEST_INCOMING;
    return look->state == RM_GUEST_STATE__GUEST_PAUSED && look->reason == HV_REASON_MOMENT
               ? RM_GUEST_STATE__GUEST_RUNNING
               : look->state;
}

static int fill(struct hv *hv, struct arena *arena, const struct inventory_op *ask,
                RmInventory *inventory)
{
    uint64_t taken = 0;
    for (size_t i = 0; i < ask->n_found; i++) {
        const struct found *one = &ask->found[i];
        RmDomain *domain = arena_alloc(arena, sizeof(*domain));
        if (!domain)
            return -ENOMEM;
        rm_domain__init(domain);
        domain->name = arena_strdup(arena, one->name);
        domain->uuid = arena_strdup(arena, one->uuid);
        domain->state = shown_state(&one->look);
        domain->memory = one->memory;
        domain->vcpus = one->vcpus;
        domain->persistent = one->look.defined;
        domain->migrating = one->look.outgoing;
        if (!domain->name || !domain->uuid ||
            ARENA_PUSH(arena, inventory->n_domains, inventory->domains, domain) < 0)
            return -ENOMEM;
        if (one->look.active)
            taken += one->memory;
    }
    inventory->reachable = true;
    inventory->memory = hv->memory ? hv->memory : ask->memory;
    inventory->vcpus = hv->vcpus ? hv->vcpus : ask->vcpus;
    inventory->memory_free = inventory->memory > taken ? inventory->memory - taken : 0;
    return 0;
}

int lv_hv_inventory(struct hv *hv, struct arena *arena, RmInventory **ret_inventory)
{
    lv_reap_idle(hv);
    RmInventory *inventory = arena_alloc(arena, sizeof(*inventory));
    struct inventory_op *ask = calloc(1, sizeof(*ask));
    struct lv_conn *conn = NULL;
    struct rm_err err = {""};
    int r = -ENOMEM;
    if (!inventory || !ask) {
        free(ask);
        return r;
    }
    rm_inventory__init(inventory);
    inventory->host = arena_strdup(arena, hv->name);
    if (lv_conn_get_watched(hv, &conn, &err) < 0) {
        free(ask);
    } else {
        lv_op_init(&ask->op, conn, NULL, inventory_body);
        ask->op.drop = inventory_drop;
        if (lv_op_run(hv, &ask->op, &err) == 0) {
            mark_migrating(hv, ask, conn->serial);
            r = fill(hv, arena, ask, inventory);
        }
        lv_op_unref(&ask->op);
        lv_conn_unref(conn);
    }
    if (r < 0 && err.text[0])
        r = 0; /* not reachable is an answer too */
    inventory->text = arena_strdup(arena, err.text);
    if (r < 0 || !inventory->host || !inventory->text)
        return -ENOMEM;
    *ret_inventory = inventory;
    return 0;
}
