/* inventory.c - what is on a member of an SSI cluster, and when that changes
 *
 * Every user id that is logged on is shown; which of them are guests the broker knows (table zvm).
 * SMAPI gives neither memory nor CPUs of a user in these answers, so both stay 0: not known. */
#include "worker/zvm/inventory.h"

#include "worker/zvm/member.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define EVENTS_AGAIN (60 * USEC_PER_SEC) /* a stream that broke is opened again */
#define LOOK_GAP     USEC_PER_SEC        /* between two inventories, however much happens */

static RmInventory *new_inventory(struct hv *hv, struct arena *arena)
{
    RmInventory *inventory = arena_alloc(arena, sizeof(*inventory));
    if (!inventory)
        return NULL;
    rm_inventory__init(inventory);
    inventory->host = arena_strdup(arena, hv->name);
    inventory->memory = hv->memory;
    inventory->memory_free = hv->memory;
    inventory->vcpus = hv->vcpus;
    return inventory->host ? inventory : NULL;
}

static int add_domain(struct arena *arena, RmInventory *inventory, const char *user)
{
    RmDomain *domain = arena_alloc(arena, sizeof(*domain));
    if (!domain)
        return -ENOMEM;
    rm_domain__init(domain);
    domain->name = arena_strdup(arena, user);
    domain->uuid = arena_printf(arena, "%s/%s", user, inventory->cluster);
    domain->state = RM_GUEST_STATE__GUEST_RUNNING;
    domain->persistent = true;
    if (!domain->name || !domain->uuid)
        return -ENOMEM;
    return ARENA_PUSH(arena, inventory->n_domains, inventory->domains, domain);
}

static int add_users(struct hv *hv, struct arena *arena, RmInventory *inventory, struct rm_err *err)
{
    struct smapi_request request = {.function = SMAPI_IMAGE_STATUS_QUERY, .target = "*"};
    struct smapi_answer answer;
    enum smapi_says says = zvm_ask(hv->smapi, &request, &answer, err);
    char text[SMAPI_CODE_TEXT_MAX];
    if (err->text[0])
        return -EIO;
    int r = says == SMAPI_SAYS_OK ? smapi_decode_images(&answer, NULL, 0, err)
            : says == SMAPI_SAYS_OFF
                ? 0
                : rm_fail(err, -EIO, "%s",
                          smapi_code_text(request.function, &answer, text, sizeof(text)));
    size_t n = r > 0 ? (size_t)r : 0;
    smapi_name *names = calloc(n + 1, sizeof(*names));
    if (!names)
        r = -ENOMEM;
    else if (n > 0)
        r = smapi_decode_images(&answer, names, n, err);
    for (size_t i = 0; r >= 0 && i < n; i++)
        r = add_domain(arena, inventory, names[i]);
    free(names);
    smapi_answer_done(&answer);
    return r;
}

/* Is this the member that the settings mean, and is it one at all? */
static int find_cluster(struct hv *hv, struct arena *arena, RmInventory *inventory,
                        struct rm_err *err)
{
    struct zvm_ssi *ssi = malloc(sizeof(*ssi));
    int r = ssi ? zvm_ssi(hv->smapi, ssi, err) : -ENOMEM;
    if (r >= 0 && !zvm_member(ssi, hv->name))
        r = rm_fail(err, -ENODEV,
                    "the SSI cluster %s has no member %s: the name in the worker's settings must "
                    "be its system id",
                    ssi->ssi.name, hv->name);
    if (r >= 0) {
        inventory->cluster = arena_strdup(arena, ssi->ssi.name);
        r = inventory->cluster ? 0 : -ENOMEM;
    }
    free(ssi);
    return r;
}

/* Which of them are on their way. Asked for any of the users, since the request needs one; who may
 * not be asked for leaves this unknown, which only means that the move of somebody else is not
 * counted. */
static void mark_moving(struct hv *hv, RmInventory *inventory)
{
    struct smapi_request request = {.function = SMAPI_VMRELOCATE_STATUS};
    struct smapi_relocation list[ZVM_WATCHED_MAX];
    struct smapi_answer answer;
    if (inventory->n_domains == 0 || hv->status_denied)
        return;
    request.target = inventory->domains[0]->name;
    request.operand[SMAPI_STATUS_TARGET] = "OUTGOING";
    enum smapi_says says = zvm_ask(hv->smapi, &request, &answer, NULL);
    int n =
        says == SMAPI_SAYS_OK ? smapi_decode_relocations(&answer, list, ZVM_WATCHED_MAX, NULL) : 0;
    hv->status_denied = says == SMAPI_SAYS_DENIED;
    for (int i = 0; i < n && i < ZVM_WATCHED_MAX; i++)
        for (size_t k = 0; k < inventory->n_domains; k++)
            if (strcasecmp(inventory->domains[k]->name, list[i].image) == 0)
                inventory->domains[k]->migrating = true;
    smapi_answer_done(&answer);
}

int zvm_inventory(struct hv *hv, struct arena *arena, RmInventory **ret_inventory)
{
    RmInventory *inventory = new_inventory(hv, arena);
    struct rm_err err = {""};
    if (!inventory)
        return -ENOMEM;
    hv->looked_at = env_now(hv->env);
    int r = find_cluster(hv, arena, inventory, &err);
    if (r >= 0)
        r = add_users(hv, arena, inventory, &err);
    if (r == -ENOMEM)
        return r;
    inventory->reachable = r >= 0;
    if (r < 0) {
        inventory->n_domains = 0;
        inventory->text = arena_strdup(arena, err.text);
        if (!inventory->text)
            return -ENOMEM;
    } else {
        mark_moving(hv, inventory);
    }
    *ret_inventory = inventory;
    return 0;
}

/* ---- changes */

static void open_events(struct hv *hv)
{
    int r = smapi_events_open(hv->smapi, &hv->events, NULL);
    if (r < 0) {
        hv->events = NULL;
        hv->events_at = r == -EPERM ? USEC_NEVER : env_now(hv->env) + EVENTS_AGAIN;
    }
}

static void drop_events(struct hv *hv)
{
    smapi_events_close(hv->events);
    hv->events = NULL;
    hv->events_at = env_now(hv->env) + EVENTS_AGAIN;
}

/* True when something about users has changed before the time is over. */
static bool wait_event(struct hv *hv, usec_t until_at)
{
    struct smapi_event event;
    for (;;) {
        usec_t now = env_now(hv->env);
        int r = smapi_events_wait(hv->events, until_at > now ? until_at - now : 0, &event);
        if (r < 0)
            drop_events(hv);
        if (r <= 0)
            return false;
        if (event.stream != 0)
            continue;
        if (event.user[0])
            zvm_watch_again(hv, event.user);
        return true;
    }
}

int zvm_wait_change(struct hv *hv, usec_t wait_for)
{
    usec_t now = env_now(hv->env), until_at = now + wait_for;
    if (!hv->events && now >= hv->events_at)
        open_events(hv);
    bool changed = hv->events && wait_event(hv, until_at);
    now = env_now(hv->env);
    if (changed && now < hv->looked_at + LOOK_GAP)
        env_sleep(hv->env, hv->looked_at + LOOK_GAP - now);
    else if (!changed && now < until_at)
        env_sleep(hv->env, until_at - now);
    return changed;
}
