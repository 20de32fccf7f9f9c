/* stall.c - does a migration still make progress? */
#include "worker/stall.h"

#include "conf/unit.h"

#include <stdio.h>
#include <string.h>

/* QEMU sends in bursts where the bandwidth is capped, and is asked for figures twice a second. */
#define FLOWS_FOR (10 * USEC_PER_SEC)

void stall_begin(struct stall *stall, const struct hv_migration *migration, usec_t now)
{
    *stall = (struct stall){.migration = migration,
                            .began_at = now,
                            .minimum_at = now,
                            .flowed_at = now,
                            .minimum = UINT64_MAX,
                            .last = RM_STATS__INIT};
}

void stall_figures(struct stall *stall, const RmStats *stats, usec_t now)
{
    uint32_t throttle = stall->last.throttle;
    if (stats->processed > stall->last.processed)
        stall->flowed_at = now;
    stall->last = *stats;
    if (stall->last.throttle < throttle)
        stall->last.throttle = throttle;
    if (stats->total == 0)
        return; /* the hypervisor prepares, there is nothing to count yet */
    if (stats->remaining < stall->minimum) {
        stall->minimum = stats->remaining;
        stall->minimum_at = now;
    }
}

static enum stall_end why_over(const struct stall *stall, usec_t now)
{
    bool copied = stall->minimum != UINT64_MAX;
    return copied && now - stall->flowed_at < FLOWS_FOR ? STALL_OUTRUN : STALL_BROKEN;
}

/* What this migration does not have yet of that which lets a busy guest across. */
static void add_remedies(const struct stall *stall, bool late, char *text, size_t size)
{
    size_t n = strlen(text);
    snprintf(text + n, size - n, "; what may help:%s%s%s a longer --downtime",
             late ? " a longer --timeout," : "",
             stall->migration->auto_converge ? "" : " --auto-converge,",
             stall->migration->bandwidth > 0 ? " a higher --bandwidth," : "");
}

enum stall_end stall_is_over(const struct stall *stall, usec_t now, char *ret_text, size_t size)
{
    char span[UNIT_TEXT_MAX], remaining[UNIT_TEXT_MAX], rate[UNIT_TEXT_MAX], dirty[UNIT_TEXT_MAX];
    const RmStats *last = &stall->last;
    usec_t timeout = stall->migration->timeout, longest = stall->migration->stall;
    bool late = timeout && now - stall->began_at >= timeout;
    if (!late && (!longest || now - stall->minimum_at < longest))
        return STALL_GOES_ON;
    enum stall_end end = why_over(stall, now);
    if (late) {
        snprintf(ret_text, size, "not finished after %s (setting timeout), stopped",
                 unit_duration_text(timeout, span));
        if (end == STALL_OUTRUN)
            add_remedies(stall, late, ret_text, size);
        return end;
    }
    unit_duration_text(longest, span);
    if (stall->minimum == UINT64_MAX)
        snprintf(ret_text, size, "no progress for %s: no memory was copied yet, stopped", span);
    else
        snprintf(ret_text, size,
                 "no progress for %s: %s remain after %u rounds, %s are sent while the guest "
                 "writes %s, stopped",
                 span, unit_size_text(stall->minimum, remaining), last->iterations,
                 unit_rate_text(last->rate, rate), unit_rate_text(last->dirty_rate, dirty));
    if (end == STALL_OUTRUN)
        add_remedies(stall, late, ret_text, size);
    return end;
}

RmClass stall_class(enum stall_end end)
{
    return end == STALL_OUTRUN ? RM_CLASS__CLASS_UNFIT : RM_CLASS__CLASS_RETRY;
}
