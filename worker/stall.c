/* stall.c - does a migration still make progress? */
#include "worker/stall.h"

#include "conf/unit.h"

#include <stdio.h>

void stall_begin(struct stall *stall, usec_t timeout, usec_t longest, usec_t now)
{
    *stall = (struct stall){.timeout = timeout,
                            .longest = longest,
                            .began_at = now,
                            .minimum_at = now,
                            .minimum = UINT64_MAX,
                            .last = RM_STATS__INIT};
}

void stall_figures(struct stall *stall, const RmStats *stats, usec_t now)
{
    stall->last = *stats;
    if (stats->total == 0)
        return; /* the hypervisor prepares, there is nothing to count yet */
    if (stats->remaining < stall->minimum) {
        stall->minimum = stats->remaining;
        stall->minimum_at = now;
    }
}

bool stall_is_over(const struct stall *stall, usec_t now, char *ret_text, size_t size)
{
    char span[UNIT_TEXT_MAX], remaining[UNIT_TEXT_MAX], rate[UNIT_TEXT_MAX], dirty[UNIT_TEXT_MAX];
    const RmStats *last = &stall->last;
    if (stall->timeout && now - stall->began_at >= stall->timeout) {
        snprintf(ret_text, size, "not finished after %s (setting timeout), stopped",
                 unit_duration_text(stall->timeout, span));
        return true;
    }
    if (!stall->longest || now - stall->minimum_at < stall->longest)
        return false;
    unit_duration_text(stall->longest, span);
    if (stall->minimum == UINT64_MAX)
        snprintf(ret_text, size, "no progress for %s: no memory was copied yet, stopped", span);
    else
        snprintf(ret_text, size,
                 "no progress for %s: %s remain after %u rounds, %s are sent while the guest "
                 "writes %s, stopped",
                 span, unit_size_text(stall->minimum, remaining), last->iterations,
                 unit_rate_text(last->rate, rate), unit_rate_text(last->dirty_rate, dirty));
    return true;
}
