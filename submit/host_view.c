/* host_view.c - one hypervisor in words */
#include "submit/host_view.h"

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
