/* host_control.c - the request that opens and closes hypervisors */
#include "broker/host_control.h"

#include "broker/emptied.h"

void host_control_change(struct core *core, struct request *request)
{
    const RmHostChange *change = request->message->host_change;
    const char *word = change->state == RM_HOST_STATE__HOST_CLOSED ? "closed" : "open";
    struct noderange hosts = {0};

    if (!request_hosts(core, request, change->hosts, &hosts))
        return;
    for (size_t i = 0; i < hosts.n; i++) {
        struct host *host = host_find(core, hosts.names[i]);
        if (host->rec->state == change->state && *change->reason != '\0' &&
            strcmp(host->rec->why, change->reason) != 0) {
            host_set_state(core, host, change->state, request->peer->user, change->reason);
            request_host_outcome(core, request, hosts.names[i], true,
                                 "is already %s; the reason is another one now", word);
            continue;
        }
        if (host->rec->state == change->state) {
            request_host_outcome(core, request, hosts.names[i], true, "is already %s", word);
            continue;
        }
        host_set_state(core, host, change->state, request->peer->user, change->reason);
        if (change->state == RM_HOST_STATE__HOST_OPEN)
            emptied_opened(core, host);
        request_host_outcome(core, request, hosts.names[i], true, "%s", word);
    }
    noderange_done(&hosts);
}
