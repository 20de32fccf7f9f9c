/* host_view.c - one hypervisor in words */
#include "submit/host_view.h"

#include "submit/job_view.h"

static bool is_closed(const RmHostView *view)
{
    return view->host->state == RM_HOST_STATE__HOST_CLOSED;
}

const char *host_view_word(const RmHostView *view, enum tone *ret_tone)
{
    static const struct {
        const char *word;
        enum tone tone;
    } words[] = {{"no worker", TONE_BAD}, {"unreachable", TONE_BAD}, {"held", TONE_ODD},
                 {"emptying", TONE_ODD},  {"closed", TONE_ODD},      {"open", TONE_GOOD}};
    size_t i = !view->connected   ? 0
               : !view->reachable ? 1
               : view->held[0]    ? 2
               : view->evacuating ? 3
               : is_closed(view)  ? 4
                                  : 5;
    *ret_tone = words[i].tone;
    return words[i].word;
}

/* text may be NULL, and so is what comes out where there was no memory. */
static const char *joined(struct arena *arena, const char *text, const char *more)
{
    if (!text || !more || !more[0])
        return more ? text : NULL;
    return text[0] ? arena_printf(arena, "%s; %s", text, more) : more;
}

const char *host_view_why(struct arena *arena, const RmHostView *view)
{
    const RmHost *host = view->host;
    const char *text = "";
    if (!is_closed(view) || !view->connected || !view->reachable)
        text = view->text;
    if (is_closed(view))
        text = joined(arena, text,
                      arena_printf(arena, "closed by %s%s%s", host->changed_by,
                                   host->why[0] ? ": " : "", host->why));
    text = joined(arena, text, view->held);
    return text ? text : "";
}

const char *host_view_queue_why(struct arena *arena, const RmHostView *view)
{
    return view->why[0] ? view->why : host_view_why(arena, view);
}

/* ---- columns */

static void put_word(struct cell *cell, const void *record)
{
    enum tone tone;
    const char *word = host_view_word(record, &tone);
    cell_tone(cell, word, tone);
}

static void put_state(struct cell *cell, const void *record)
{
    cell_text(cell, is_closed(record) ? "closed" : "open");
}

static void put_host_why(struct cell *cell, const void *record)
{
    cell_text(cell, host_view_why(cell_arena(cell), record));
}

/* In JSON alone: by whom and why stands in "why". */
static void put_held(struct cell *cell, const void *record)
{
    cell_bool(cell, ((const RmHostView *)record)->held[0] != '\0');
}

static void put_queue_why(struct cell *cell, const void *record)
{
    cell_text(cell, host_view_queue_why(cell_arena(cell), record));
}

static void put_host_kind(struct cell *cell, const void *record)
{
    cell_text(cell, view_kind(((const RmHostView *)record)->host->kind));
}

static void put_seen(struct cell *cell, const void *record)
{
    const RmHostView *view = record;
    if (view->connected && view->reachable)
        cell_text(cell, "now");
    else
        cell_age(cell, view->host->seen_at);
}

#define VIEW(field) FIELD(RmHostView, field)
#define HOST(field) FIELD_INSIDE(RmHostView, host, RmHost, field)

/* clang-format off */
#define HOW_IT_STANDS                                                                              \
    {"HOST", "host", HOST(name)},                                                                  \
    {"STATE", NULL, PUT(put_word)},                                                                \
    {NULL, "state", PUT(put_state)},                                                               \
    {NULL, "connected", VIEW(connected)},                                                          \
    {NULL, "reachable", VIEW(reachable)},                                                          \
    {NULL, "evacuating", VIEW(evacuating)},                                                        \
    {NULL, "held", PUT(put_held)}
/* clang-format on */

const struct column host_view_queue_columns[] = {
    HOW_IT_STANDS,
    {"GUESTS", "guests", VIEW(guests), SHOW_COUNT},
    {"QUEUED", "queued", VIEW(queued), SHOW_COUNT},
    {"RUNNING", "running", VIEW(running), SHOW_COUNT},
    {"INCOMING", "incoming", VIEW(incoming), SHOW_COUNT},
    {"WAITING", "waiting", VIEW(waiting), SHOW_COUNT},
    {"DOUBT", "doubt", VIEW(doubt), SHOW_COUNT},
    {"DONE", "done", VIEW(done), SHOW_COUNT},
    {"FAILED", "failed", VIEW(failed), SHOW_COUNT},
    {"SLOTS", "slots", VIEW(slots), SHOW_COUNT, LOOK_SPARE},
    {"CREDIT", "credit", VIEW(credit), SHOW_COUNT, LOOK_SPARE},
    {"WHY", "why", PUT(put_queue_why), .look = LOOK_WRAP},
    {0},
};

const struct column host_view_columns[] = {
    HOW_IT_STANDS,
    {NULL, "kind", PUT(put_host_kind)},
    {NULL, "cluster", HOST(cluster)},
    {"GUESTS", "guests", VIEW(guests), SHOW_COUNT},
    {"MEMORY", "memory", HOST(memory), SHOW_SIZE},
    {"FREE", "memory_free", VIEW(memory_free), SHOW_SIZE},
    {"CPUS", "vcpus", HOST(vcpus), SHOW_COUNT},
    {"VCPUS", "vcpus_used", VIEW(vcpus_used), SHOW_COUNT},
    {"RESERVE", "reserve", VIEW(reserve), SHOW_SIZE, LOOK_SPARE},
    {"SLOTS", "slots", VIEW(slots), SHOW_COUNT, LOOK_SPARE},
    {NULL, "peer", HOST(peer)},
    {"MIGRATION", "migration", HOST(migration), .look = LOOK_SPARE},
    {"SEEN", NULL, PUT(put_seen), .look = LOOK_RIGHT},
    {NULL, "seen_at", HOST(seen_at), SHOW_TIME},
    {NULL, "by", HOST(changed_by)},
    {NULL, "changed_at", HOST(changed_at), SHOW_TIME},
    {NULL, "reason", HOST(why)},
    {"WHY", "why", PUT(put_host_why), .look = LOOK_WRAP},
    {0},
};

#undef VIEW
#undef HOST
