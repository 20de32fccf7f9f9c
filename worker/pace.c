/* pace.c - does a migration still get on? */
#include "worker/pace.h"

#include "conf/unit.h"

#include <stdio.h>

void pace_begin(struct pace *pace, usec_t timeout, usec_t stall, usec_t now)
{
    *pace = (struct pace){.timeout = timeout,
                          .stall = stall,
                          .began_at = now,
                          .minimum_at = now,
                          .minimum = UINT64_MAX,
                          .last = RM_STATS__INIT};
}

void pace_figures(struct pace *pace, const RmStats *stats, usec_t now)
{
    pace->last = *stats;
    if (stats->total == 0)
        return; /* the hypervisor prepares, there is nothing to count yet */
    if (stats->remaining < pace->minimum) {
        pace->minimum = stats->remaining;
        pace->minimum_at = now;
    }
}

bool pace_is_over(const struct pace *pace, usec_t now, char *ret_text, size_t size)
{
    char span[UNIT_TEXT_MAX], remaining[UNIT_TEXT_MAX], rate[UNIT_TEXT_MAX], dirty[UNIT_TEXT_MAX];
    const RmStats *last = &pace->last;
    if (pace->timeout && now - pace->began_at >= pace->timeout) {
        snprintf(ret_text, size, "not finished after %s (setting timeout), stopped",
                 unit_duration_text(pace->timeout, span));
        return true;
    }
    if (!pace->stall || now - pace->minimum_at < pace->stall)
        return false;
    unit_duration_text(pace->stall, span);
    if (pace->minimum == UINT64_MAX)
        snprintf(ret_text, size, "no progress for %s: no memory was copied yet, stopped", span);
    else
        snprintf(ret_text, size,
                 "no progress for %s: %s remain after %u rounds, %s are sent while the guest "
                 "writes %s, stopped",
                 span, unit_size_text(pace->minimum, remaining), last->iterations,
                 unit_rate_text(last->rate, rate), unit_rate_text(last->dirty_rate, dirty));
    return true;
}
