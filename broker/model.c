/* model.c - the memory of the broker: notes, messages and failures of a turn, events, small memory */
#include "broker/model.h"

#include "broker/hash.h"
#include "conf/array.h"
#include "conf/text.h"
#include "store/record.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    OUT_MAX = 256 * 1024 * 1024, /* bytes that wait at the end of a turn: no more replies */
};

void core_turn_drop(struct core *core)
{
    struct turn *turn = &core->turn;
    struct note *note, *next_note;
    struct out *out, *next_out;
    struct asked *asked, *next_asked;

    DL_FOREACH_SAFE (turn->notes, note, next_note) {
        free(note->text);
        free(note);
    }
    DL_FOREACH_SAFE (turn->outs, out, next_out) {
        free(out->frame);
        free(out);
    }
    DL_FOREACH_SAFE (turn->asked, asked, next_asked)
        free(asked);
    turn->asked = NULL;
    turn->notes = turn->noted = NULL;
    turn->outs = turn->sent = NULL;
    turn->out_bytes = 0;
}

void core_fail(struct core *core, int r, const char *what)
{
    if (core->turn.failed == 0)
        core->turn.failed =
            rm_fail(&core->turn.failure, r, "cannot write %s: %s", what, strerror(-r));
}

void core_check_write(struct core *core, int r, const char *what)
{
    if (r < 0)
        core_fail(core, r, what);
}

void core_asked(struct core *core, const struct net_peer *peer, uint64_t tag)
{
    struct asked *asked = must(calloc(1, sizeof(*asked)));

    asked->peer = *peer;
    asked->tag = tag;
    DL_APPEND(core->turn.asked, asked);
}

struct asked *core_take_asked(struct core *core)
{
    struct asked *asked = core->turn.asked;

    core->turn.asked = NULL;
    return asked;
}

static char *print(const char *format, va_list args)
{
    char *text = NULL;

    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    return must(text);
}

void core_notice(struct core *core, enum notice notice, enum log_level level, const char *format,
                 ...)
{
    va_list args;

    if (!log_tells(level))
        return;
    struct note *note = must(calloc(1, sizeof(*note)));
    va_start(args, format);
    note->text = print(format, args);
    va_end(args);
    note->notice = notice;
    note->level = level;
    DL_APPEND(core->turn.notes, note);
}

const struct note *core_turn_note(struct core *core)
{
    struct turn *turn = &core->turn;

    turn->noted = !turn->noted ? turn->notes : turn->noted->next;
    return turn->noted;
}

static bool send_packed(struct core *core, const struct net_peer *peer, uint64_t tag,
                        RmMessage *message)
{
    struct turn *turn = &core->turn;
    size_t length;

    message->tag = tag;
    uint8_t *frame = msg_pack(message, &length);
    if (!frame)
        return false;
    struct out *out = must(calloc(1, sizeof(*out)));
    *out = (struct out){.peer = *peer, .frame = frame, .length = length};
    turn->out_bytes += length;
    DL_APPEND(turn->outs, out);
    return true;
}

void core_send(struct core *core, const struct net_peer *peer, uint64_t tag, RmMessage *message)
{
    if (!send_packed(core, peer, tag, message))
        core_note(core, LOG_LEVEL_WARN, "message=%s: cannot be packed, dropped, ignoring",
                  msg_name(message));
}

void core_reply(struct core *core, const struct net_peer *peer, uint64_t tag, RmReply *reply)
{
    RmMessage message = RM_MESSAGE__INIT;

    /* Losing a reply is harmless by design: clients ask again. What workers get is small. */
    if (core->turn.out_bytes > OUT_MAX)
        return;
    message.body_case = RM_MESSAGE__BODY_REPLY;
    message.reply = reply;
    if (send_packed(core, peer, tag, &message))
        return;
    RmReply too_long = RM_REPLY__INIT;
    too_long.code = RM_CODE__CODE_SOME_FAILED;
    too_long.text = (char *)"the answer is longer than a message: ask for less at once, or with a "
                            "newer client, which gets it in pages";
    too_long.batch = reply->batch;
    too_long.count = reply->count;
    message.reply = &too_long;
    core_send(core, peer, tag, &message);
}

const struct out *core_turn_out(struct core *core)
{
    struct turn *turn = &core->turn;

    turn->sent = !turn->sent ? turn->outs : turn->sent->next;
    return turn->sent;
}

static RmEvent event_of(const struct core *core, RmEventKind kind, const char *who,
                        const char *host, const char *text)
{
    RmEvent event = RM_EVENT__INIT;

    event.at = core->wall;
    event.kind = kind;
    event.who = (char *)who;
    event.host = (char *)(host ? host : "");
    event.text = (char *)text;
    return event;
}

static void write_event(struct core *core, RmEventKind kind, const char *who, const char *host,
                        const char *guest, const char *text)
{
    RmEvent event = event_of(core, kind, who, host, text);

    event.guest = (char *)(guest ? guest : "");
    core_check_write(core, record_site_event_put(core->store, &event), "event");
}

void core_event(struct core *core, RmEventKind kind, const char *who, const char *host,
                const char *guest, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *text = print(format, args);
    va_end(args);
    write_event(core, kind, who, host, guest, text);
    free(text);
}

void core_event_emptied(struct core *core, const char *host, uint64_t batch, bool empty,
                        const char *text)
{
    RmEvent event = event_of(core, RM_EVENT_KIND__HOST_CHANGED, "broker", host, text);

    event.evacuation = batch;
    event.empty = empty;
    core_check_write(core, record_site_event_put(core->store, &event), "event");
}

struct denied {
    char user[CONF_NAME_MAX + 1];
    struct log_limit limit;
    UT_hash_handle hh;
};

/* Beyond DENIED_USERS all share one. */
static struct denied *denied_find(struct core *core, const char *user)
{
    struct denied *denied = NULL;
    if (HASH_COUNT(core->denials.by_user) >= DENIED_USERS)
        user = "";
    HASH_FIND_STR(core->denials.by_user, user, denied);
    if (denied)
        return denied;
    denied = must(calloc(1, sizeof(*denied)));
    snprintf(denied->user, sizeof(denied->user), "%s", user);
    HASH_ADD_STR(core->denials.by_user, user, denied);
    return denied;
}

void core_denials_drop(struct core *core)
{
    struct denied *denied, *next;
    HASH_ITER (hh, core->denials.by_user, denied, next) {
        HASH_DEL(core->denials.by_user, denied);
        free(denied);
    }
}

void core_denied(struct core *core, const char *who, const char *host, const char *format, ...)
{
    struct denied *denied = denied_find(core, who);
    char text[DENIED_TEXT + 1];
    va_list args;

    meter_count(&core->meter, METER_DENIED);
    if (!log_allowed(&denied->limit, core->now, DENIED_SPAN, DENIED_BURST))
        return;
    va_start(args, format);
    text_vformat(text, sizeof(text), format, args);
    va_end(args);
    write_event(core, RM_EVENT_KIND__DENIED, who, host, NULL, text);
    core_notice(core, NOTICE_NOT_PERMITTED, LOG_LEVEL_WARN, "user=%s%s%s: %s", who,
                host ? " host=" : "", host ? host : "", text);
    if (denied->limit.count == DENIED_BURST) {
        snprintf(text, sizeof(text),
                 "%d refusals within an hour: no more of them are recorded in it", DENIED_BURST);
        write_event(core, RM_EVENT_KIND__DENIED, who, NULL, NULL, text);
        core_note(core, LOG_LEVEL_WARN, "user=%s: %s", who, text);
    }
}

uint64_t core_changed(struct core *core, enum change_kind kind, const struct host *host)
{
    return journal_append(core->journal, &(struct journal_line){.kind = kind, .host = host});
}

void *core_alloc(struct core *core, size_t size)
{
    return must(arena_alloc(core->arena, size));
}

char *core_strdup(struct core *core, const char *text)
{
    return must(arena_strdup(core->arena, text));
}

char *core_printf(struct core *core, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    char *text = must(arena_vprintf(core->arena, format, args));
    va_end(args);
    return text;
}

void core_push(struct core *core, size_t *n, void ***list, void *item)
{
    if (arena_push(core->arena, n, list, item) < 0)
        must(NULL);
}

void text_set(char **field, const char *text)
{
    char *const empty = (char *)protobuf_c_empty_string;
    char *old = *field;

    *field = text && *text != '\0' ? must(strdup(text)) : empty;
    if (old && old != empty)
        free(old);
}
