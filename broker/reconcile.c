/* reconcile.c - the request that compares the tables with what hypervisors show, and repairs them */
#include "broker/reconcile.h"

#include "broker/alias.h"
#include "broker/instance.h"
#include "broker/inventory.h"
#include "broker/names.h"
#include "broker/platforms.h"
#include "broker/rules.h"
#include "broker/vm_host.h"
#include "store/tables/attr.h"

/* What the table says where the guest is; NULL: nothing, or (the reply has it) something that cannot
 * be evaluated. */
static const char *table_host(struct core *core, struct request *request, const char *name)
{
    struct rm_err err = {0};
    const char *host = vm_host_said(core, name, &err);

    if (err.text[0] != '\0')
        request_outcome(core, request, name, false, "%s", err.text);
    return host;
}

/* Rules that are broken where it is, and those that say nothing. */
static void reconcile_rules(struct core *core, struct request *request, const struct guest *guest)
{
    char **texts;
    size_t n = rules_broken(core, guest, &texts);

    for (size_t i = 0; i < n; i++)
        request_outcome(core, request, guest->rec->name, false, "%s", texts[i]);
    n = rules_wrong(core, guest, &texts);
    for (size_t i = 0; i < n; i++)
        request_outcome(core, request, guest->rec->name, false, "%s", texts[i]);
}

static void reconcile_guest(struct core *core, struct request *request, struct guest *guest,
                            bool repair)
{
    const char *name = guest->rec->name;
    reconcile_rules(core, request, guest);
    const char *table = table_host(core, request, name);
    const char *wrong = NULL, *says = repair ? "said" : "says";
    char why[600] = "";

    if (guest->rec->locked)
        request_outcome(core, request, name, false, "is locked: %s", guest->rec->lock_text);
    if (guest->job)
        return; /* on its way: the job's end writes the table */
    struct host *place = inventory_where(core, guest, why, sizeof(why));
    if (!place) {
        struct host *host = table ? platform_host(core, table) : NULL;
        /* A table that does not say where it is says nothing wrong, and a guest that is shut off
         * where the table says is in order. */
        if (table && (!host || !instance_at(guest, host)))
            request_outcome(core, request, name, false, "vm.host says %s, but %s%s", table,
                            guest->instances ? "it " : "", why);
        return;
    }
    const struct platform *platform = platform_of(guest->rec->kind);
    if (platform->table_wrong)
        wrong = platform->table_wrong(core, name, place, says);
    if (table && strcmp(table, place->rec->name) != 0) {
        const char *host = core_printf(core, "vm.host %s %s", says, table);
        wrong = !wrong ? host : core_printf(core, "%s, %s", host, wrong);
    }
    if (!wrong)
        return;
    if (repair)
        vm_host_repair(core, guest, place, request->peer->user);
    request_outcome(core, request, name, repair, "%s, it runs on %s%s", wrong, place->rec->name,
                    repair ? ": repaired" : "");
}

/* A name that no hypervisor has reported. asked: somebody wants to know of it in particular. */
static void reconcile_absent(struct core *core, struct request *request, const char *name,
                             bool asked)
{
    const char *table = table_host(core, request, name);

    if (table)
        request_outcome(core, request, name, false,
                        "vm.host says %s, but no hypervisor that a worker serves has it%s", table,
                        names_remark(core, name));
    else if (asked && !host_find(core, name))
        request_outcome(core, request, name, false, "no hypervisor that a worker serves has it%s",
                        names_remark(core, name));
}

/* Nodes of the tables that no hypervisor knows anything of. */
struct absent {
    struct core *core;
    char **names; /* in the arena */
    size_t n;
};

static int collect_absent(void *ctx, const struct attr_node *node)
{
    struct absent *absent = ctx;
    const char *name = attr_node_name(node);

    return guest_find(absent->core, name)
               ? 0
               : ARENA_PUSH(absent->core->arena, absent->n, absent->names, (char *)name);
}

struct clash_report {
    struct core *core;
    struct request *request;
};

static void report_clash(void *ctx, const struct alias_clash *clash)
{
    struct clash_report *report = ctx;

    request_outcome(report->core, report->request, clash->node, false,
                    "vm.othersettings says domain:%s, which is the guest of %s", clash->name,
                    clash->other);
}

static void reconcile_all(struct core *core, struct request *request, bool repair)
{
    struct absent absent = {.core = core};
    struct clash_report report = {core, request};
    struct rm_err err = {0};
    int r = attr_refresh(core->attr, &err);

    if (r >= 0)
        r = attr_walk_nodes(core->attr, collect_absent, &absent);
    if (r < 0) {
        request_refuse(core, request, RM_CODE__CODE_TRY_AGAIN, "%s",
                       err.text[0] != '\0' ? err.text : "no memory");
        return;
    }
    for (size_t i = 0; i < absent.n; i++)
        reconcile_absent(core, request, absent.names[i], false);
    for (struct guest *guest = core->guests; guest; guest = guest->hh.next)
        reconcile_guest(core, request, guest, repair);
    names_each_clash(core, report_clash, &report);
}

static void reconcile_named(struct core *core, struct request *request, const char *name)
{
    struct guest *guest = guest_find(core, name);

    if (guest)
        reconcile_guest(core, request, guest, request->message->reconcile->mend);
    else
        reconcile_absent(core, request, name, true);
}

void reconcile_request(struct core *core, struct request *request)
{
    const RmReconcile *ask = request->message->reconcile;

    if (*ask->guests == '\0')
        reconcile_all(core, request, ask->mend);
    else
        request_each_guest(core, request, ask->guests, reconcile_named);
}
