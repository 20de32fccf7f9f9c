/* guest_view.c - one guest in words and as JSON */
#include "submit/guest_view.h"

#include "conf/env.h"
#include "submit/job_view.h"
#include "wire/job.h"

static void put_guest_state(struct cell *cell, const void *record)
{
    const RmGuest *guest = record;
    cell_tone(cell, guest_state_name(guest->state),
              guest->locked     ? TONE_BAD
              : guest->stale[0] ? TONE_ODD
                                : TONE_PLAIN);
}

static void put_guest_kind(struct cell *cell, const void *record)
{
    cell_text(cell, view_kind(((const RmGuest *)record)->kind));
}

static void put_domain(struct cell *cell, const void *record)
{
    const RmGuest *guest = record;
    cell_text(cell, guest->domain[0] ? guest->domain : guest->name);
}

/* Why it is locked, and why nobody knows whether what stands there is still so. */
static void put_guest_why(struct cell *cell, const void *record)
{
    const RmGuest *guest = record;
    char at[ENV_TIME_MAX];
    const char *text =
        guest->locked ? guest->lock_text[0] ? guest->lock_text : "nobody knows why" : "";
    if (guest->locked)
        text = arena_printf(cell_arena(cell), "locked: %s", text);
    if (text && guest->stale[0])
        text = arena_printf(cell_arena(cell), "%s%slast seen %s, %s", text, text[0] ? "; " : "",
                            guest->stale_since ? env_time_text(guest->stale_since, at) : "never",
                            guest->stale);
    cell_text(cell, text ? text : "");
}

static void put_stale(struct cell *cell, const void *record)
{
    cell_bool(cell, ((const RmGuest *)record)->stale[0] != '\0');
}

#define GUEST(field) FIELD(RmGuest, field)

const struct column guest_view_columns[] = {
    {"GUEST", "guest", GUEST(name)},
    {"HOST", "host", GUEST(host)},
    {"STATE", "state", PUT(put_guest_state)},
    {"MEMORY", "memory", GUEST(memory), SHOW_SIZE},
    {"VCPUS", "vcpus", GUEST(vcpus), SHOW_COUNT},
    {"JOB", "job", GUEST(active_job), SHOW_ANY},
    {NULL, "last_job", GUEST(last_job), SHOW_ANY},
    {NULL, "home", GUEST(home)},
    {NULL, "seen_at", GUEST(seen_at), SHOW_TIME},
    {NULL, "kind", PUT(put_guest_kind)},
    {NULL, "uuid", GUEST(uuid)},
    {NULL, "domain", PUT(put_domain)},
    {NULL, "locked", GUEST(locked)},
    {NULL, "stale", PUT(put_stale)},
    {NULL, "stale_since", GUEST(stale_since), SHOW_TIME},
    {"WHY", "why", PUT(put_guest_why), .look = LOOK_WRAP},
    {0},
};
