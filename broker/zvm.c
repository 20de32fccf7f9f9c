/* zvm.c - what the broker knows of z/VM: which user ids are nodes, and the table zvm
 *
 * On a member of an SSI cluster every service machine is logged on, many of them on all members at
 * once; guests are those user ids that the table zvm names (columns userid and parent, through
 * groups and patterns). Two nodes may have one user id where they are on different members or
 * clusters: the member that zvm.parent names decides. A guest that has a live job keeps its node
 * until the job has ended. */
#include "broker/state.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <strings.h>

enum { USERID_MAX = 8 };

/* A node and its user id. */
struct zvm_node {
    char *node, *userid;   /* owned; userid in upper case */
    char *parent;          /* owned: the member that the table names; "" = none */
    char *cluster;         /* owned, of a live job's guest; "" otherwise */
    struct zvm_node *more; /* with the same user id */
    UT_hash_handle hh;     /* by userid, the first of them */
    UT_hash_handle hh_node;
};

struct zvm {
    struct zvm_node *by_user, *by_node;
    bool kept; /* a live job keeps what the table does not say */
};

static struct zvm_node *find_node(const struct zvm *zvm, const char *node)
{
    struct zvm_node *one;
    HASH_FIND(hh_node, zvm->by_node, node, strlen(node), one);
    return one;
}

static struct zvm_node *find_user(const struct zvm *zvm, const char *userid)
{
    struct zvm_node *one;
    HASH_FIND(hh, zvm->by_user, userid, strlen(userid), one);
    return one;
}

static void node_free(struct zvm_node *one)
{
    free(one->node);
    free(one->userid);
    free(one->parent);
    free(one->cluster);
    free(one);
}

void zvm_free(struct zvm *zvm)
{
    struct zvm_node *one, *next;

    if (zvm == NULL)
        return;
    HASH_CLEAR(hh, zvm->by_user);
    HASH_ITER (hh_node, zvm->by_node, one, next) {
        HASH_DELETE(hh_node, zvm->by_node, one);
        node_free(one);
    }
    free(zvm);
}

static int add(struct zvm *zvm, const char *node, const char *userid, const char *parent,
               const char *cluster)
{
    struct zvm_node *one = calloc(1, sizeof(*one)), *first;

    if (one == NULL)
        return -ENOMEM;
    one->node = strdup(node);
    one->userid = strdup(userid);
    one->parent = strdup(parent);
    one->cluster = strdup(cluster);
    if (one->node == NULL || one->userid == NULL || one->parent == NULL || one->cluster == NULL) {
        node_free(one);
        return -ENOMEM;
    }
    for (char *p = one->userid; *p != '\0'; p++)
        *p = (char)toupper((unsigned char)*p);
    first = find_user(zvm, one->userid);
    if (first == NULL) {
        HASH_ADD_KEYPTR(hh, zvm->by_user, one->userid, strlen(one->userid), one);
    } else {
        while (first->more != NULL)
            first = first->more;
        first->more = one;
    }
    HASH_ADD_KEYPTR(hh_node, zvm->by_node, one->node, strlen(one->node), one);
    return 0;
}

/* ---- what the table says */

struct row {
    const char *node;
    char *userid, *parent; /* in the arena */
};

struct reading {
    struct core *core;
    struct attr userid, parent;
    struct row *list; /* owned */
    size_t n, room;
};

static int collect(void *ctx, const struct attr_node *node)
{
    struct reading *reading = ctx;
    struct core *core = reading->core;
    struct attr_value value;
    struct row row = {.node = attr_node_name(node)};

    /* What cannot be evaluated is told by whoever asks for the attribute. */
    if (attr_value(core->attr, node, &reading->userid, &value, NULL) < 0 || value.text == NULL ||
        strlen(value.text) > USERID_MAX)
        return 0;
    row.userid = arena_strdup(core->arena, value.text);
    if (attr_value(core->attr, node, &reading->parent, &value, NULL) < 0 || value.text == NULL)
        row.parent = (char *)"";
    else
        row.parent = arena_strdup(core->arena, value.text);
    if (row.userid == NULL || row.parent == NULL)
        return -ENOMEM;
    if (reading->n == reading->room) {
        size_t room = reading->room == 0 ? 64 : reading->room * 2;
        struct row *list = reallocarray(reading->list, room, sizeof(*list));
        if (list == NULL)
            return -ENOMEM;
        reading->list = list;
        reading->room = room;
    }
    reading->list[reading->n++] = row;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct row *)a)->node, ((const struct row *)b)->node);
}

static int take_row(struct zvm *zvm, const struct row *row)
{
    const struct zvm_node *known = find_node(zvm, row->node);

    if (known == NULL)
        return add(zvm, row->node, row->userid, row->parent, "");
    /* Of a live job: as the job has it. */
    zvm->kept = zvm->kept || strcasecmp(known->userid, row->userid) != 0;
    return 0;
}

static int read_table(struct core *core, struct zvm *zvm)
{
    struct reading reading = {.core = core};
    struct rm_err err = {0};
    int r = attr_find("zvm.userid", strlen("zvm.userid"), &reading.userid, &err);

    if (r >= 0)
        r = attr_find("zvm.parent", strlen("zvm.parent"), &reading.parent, &err);
    if (r >= 0)
        r = attr_refresh(core->attr, &err);
    if (r >= 0)
        r = attr_walk_nodes(core->attr, collect, &reading);
    if (r >= 0 && reading.n > 0)
        qsort(reading.list, reading.n, sizeof(*reading.list), by_name);
    for (size_t i = 0; r >= 0 && i < reading.n; i++)
        r = take_row(zvm, &reading.list[i]);
    free(reading.list);
    return r;
}

static int add_jobs(struct core *core, struct zvm *zvm)
{
    int r = 0;

    for (struct job *job = core->jobs; r == 0 && job != NULL; job = job->hh.next) {
        const char *slash = strchr(job->ask->uuid, '/');
        const char *userid = *job->ask->domain != '\0' ? job->ask->domain : job->ask->guest;
        if (job->ask->kind == RM_KIND__KIND_ZVM && slash != NULL)
            r = add(zvm, job->ask->guest, userid, job->live.source, slash + 1);
    }
    return r;
}

int zvm_refresh(struct core *core)
{
    struct zvm *zvm = calloc(1, sizeof(*zvm));
    int r = zvm != NULL ? add_jobs(core, zvm) : -ENOMEM;

    if (r == 0)
        r = read_table(core, zvm);
    if (r < 0) {
        zvm_free(zvm);
        core_fail(core, r, "names of z/VM");
        return r;
    }
    zvm_free(core->zvm);
    core->zvm = zvm;
    return 0;
}

bool zvm_keeps(const struct core *core)
{
    return core->zvm != NULL && core->zvm->kept;
}

/* ---- questions */

/* Can the node be on that member? 2: it is the one that the table names. */
static int suits(struct core *core, const struct zvm_node *one, const struct host *host)
{
    const struct host *parent;

    if (*one->cluster != '\0')
        return strcmp(one->cluster, host->rec->cluster) == 0 ? 1 : 0;
    if (strcasecmp(one->parent, host->rec->name) == 0)
        return 2;
    parent = *one->parent != '\0' ? host_called(core, one->parent) : NULL;
    if (parent == NULL || *parent->rec->cluster == '\0' || *host->rec->cluster == '\0')
        return 1;
    return strcmp(parent->rec->cluster, host->rec->cluster) == 0 ? 1 : 0;
}

const char *zvm_node(struct core *core, const char *userid, const struct host *host)
{
    const char *best = NULL;
    int best_suits = 0;

    if (core->zvm == NULL)
        return NULL;
    for (struct zvm_node *one = find_user(core->zvm, userid); one != NULL; one = one->more) {
        int fit = suits(core, one, host);
        if (fit > best_suits) {
            best = one->node;
            best_suits = fit;
        }
    }
    return best;
}

const char *zvm_userid(struct core *core, const char *node)
{
    const struct zvm_node *one = core->zvm != NULL ? find_node(core->zvm, node) : NULL;

    return one != NULL ? one->userid : NULL;
}

const char *zvm_name(const RmGuest *guest)
{
    return *guest->domain != '\0' ? guest->domain : guest->name;
}

const char *zvm_speech(const struct host *host)
{
    return host->rec->kind == RM_KIND__KIND_ZVM ? "SMAPI" : "libvirt";
}

bool zvm_may_go(const struct host *from, const struct host *to, char *why, size_t size)
{
    if (from->rec->kind != to->rec->kind) {
        snprintf(why, size, "%s is %s", to->rec->name,
                 to->rec->kind == RM_KIND__KIND_ZVM ? "a member of z/VM" : "no member of z/VM");
        return false;
    }
    if (strcmp(from->rec->cluster, to->rec->cluster) != 0) {
        snprintf(why, size, "%s is in the SSI cluster %s, %s in %s", to->rec->name,
                 to->rec->cluster, from->rec->name, from->rec->cluster);
        return false;
    }
    return true;
}

/* ---- the table */

static const char *get(struct core *core, const char *node, const char *attr)
{
    struct attr_value value;

    if (attr_get(core->attr, node, attr, &value, NULL) < 0 || value.text == NULL)
        return NULL;
    return arena_strdup(core->arena, value.text);
}

/* xCAT looks for the node of a member as it is written, then in lower and in upper case. */
const char *zvm_hcp(struct core *core, const struct host *host)
{
    const char *hcp = get(core, host->rec->name, "zvm.hcp");

    for (int upper = 0; upper < 2 && hcp == NULL; upper++) {
        char *name = arena_strdup(core->arena, host->rec->name);
        for (char *p = name; p != NULL && *p != '\0'; p++)
            *p = (char)(upper ? toupper((unsigned char)*p) : tolower((unsigned char)*p));
        hcp = name != NULL ? get(core, name, "zvm.hcp") : NULL;
    }
    return hcp;
}

bool zvm_needs_hcp(struct core *core, const char *node)
{
    return get(core, node, "zvm.hcp") != NULL;
}

static void set(struct core *core, const char *node, const char *column, const char *value)
{
    const struct table *table = table_find("zvm");
    int r = table_row_set(core->store, table, node, table_column(table, column), value);

    if (r < 0)
        core_fail(core, r, "table zvm");
}

const char *zvm_wrong(struct core *core, const char *node, const struct host *host,
                      const char *says)
{
    const char *parent = get(core, node, "zvm.parent"), *hcp = get(core, node, "zvm.hcp");
    const char *right = hcp != NULL ? zvm_hcp(core, host) : NULL;

    if (parent != NULL && strcasecmp(parent, host->rec->name) != 0)
        return arena_printf(core->arena, "zvm.parent %s %s", says, parent);
    if (right != NULL && strcmp(hcp, right) != 0)
        return arena_printf(core->arena, "zvm.hcp %s %s, and that of %s is %s", says, hcp,
                            host->rec->name, right);
    return NULL;
}

void zvm_mend(struct core *core, const char *node, const struct host *host)
{
    const char *parent = get(core, node, "zvm.parent"), *hcp = get(core, node, "zvm.hcp");
    const char *right = zvm_hcp(core, host);
    struct zvm_node *known = core->zvm != NULL ? find_node(core->zvm, node) : NULL;

    if (parent == NULL || strcasecmp(parent, host->rec->name) != 0)
        set(core, node, "parent", host->rec->name);
    if (right != NULL && (hcp == NULL || strcmp(hcp, right) != 0))
        set(core, node, "hcp", right);
    if (known != NULL) {
        char *now = strdup(host->rec->name);
        if (now == NULL) {
            core_fail(core, -ENOMEM, "table zvm");
            return;
        }
        free(known->parent);
        known->parent = now;
    }
}
