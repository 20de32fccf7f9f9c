/* vm_host.c - the column vm.host: where the tables have a guest, compared with where it is */
#include "broker/vm_host.h"

#include "broker/names.h"
#include "broker/platforms.h"
#include "store/tables/attr.h"
#include "store/tables/table.h"

const char *vm_host_said(struct core *core, const char *name, struct rm_err *err)
{
    struct attr_value value;

    if (attr_get(core->attr, name, "vm.host", &value, err) < 0 || !value.text)
        return NULL;
    return arena_strdup(core->arena, value.text); /* of many guests, when all are compared */
}

bool vm_host_repair(struct core *core, const struct guest *guest, const struct host *host,
                    const char *who)
{
    const struct table *vm = table_find("vm");
    const char *name = guest->rec->name, *is = host->rec->name;
    const char *old = vm_host_said(core, name, NULL);
    const struct platform *platform = platform_of(host->rec->kind);
    const char *wrong =
        platform->table_wrong ? platform->table_wrong(core, name, host, "said") : NULL;
    /* A row that never was is not wrong, but a job's own result makes it. */
    bool sets = !old ? !who : strcmp(old, is) != 0;

    if (!sets && !wrong && (!platform->table_repair || who))
        return false;
    if (*guest->rec->domain != '\0' && (names_is_nobodys(name) || *guest->rec->shares != '\0'))
        return false; /* no node's guest: the tables know nothing of it */
    if (who && sets)
        core_event(core, RM_EVENT_KIND__TABLE_MENDED, who, is, name,
                   "vm.host said %s, the guest runs on %s", old, is);
    if (who && wrong)
        core_event(core, RM_EVENT_KIND__TABLE_MENDED, who, is, name, "%s, the guest runs on %s",
                   wrong, is);
    if (sets)
        core_check_write(core, table_row_set(core->store, vm, name, table_column(vm, "host"), is),
                         "vm table");
    if (platform->table_repair)
        platform->table_repair(core, name, host);
    names_repaired(core, name, host);
    return true;
}
