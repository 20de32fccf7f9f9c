/* msg.h - frames to messages and back
 *
 * A message is one frame: the four bytes "RMG" and MSG_VERSION, then a packed RmMessage. Memory of
 * what was unpacked comes from an arena, so that freeing is one reset. */
#ifndef WIRE_MSG_H
#define WIRE_MSG_H

#include "conf/err.h"
#include "wire/rmigrate.pb-c.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MSG_VERSION = 1,
    MSG_HEADER = 4,                   /* bytes before the packed message */
    MSG_MAX = 64 * 1024 * 1024,       /* bytes of one frame */
    MSG_ARENA_MAX = 512 * 1024 * 1024 /* bytes that unpacking one frame may take */
};

/* ---- arena: memory that is given back all at once. Not for threads. */
struct arena;
struct arena *arena_new(size_t limit); /* limit: bytes in use, MSG_ARENA_MAX at most; 0 = that */
void arena_free(struct arena *arena);  /* NULL is fine */
void arena_reset(struct arena *arena);
void *arena_alloc(struct arena *arena,
                  size_t size); /* zeroed, aligned to 16; NULL: limit or no memory */
char *arena_strdup(struct arena *arena, const char *text); /* NULL as above */
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
char *arena_vprintf(struct arena *arena, const char *format, va_list list)
    __attribute__((format(printf, 2, 0)));
ProtobufCAllocator *arena_allocator(struct arena *arena); /* for x__unpack(); borrowed */

/* An array of pointers that grows: protobuf-c's repeated fields. ARENA_PUSH(arena, reply->n_jobs,
 * reply->jobs, view) is 0 or -ENOMEM. Only for a list that it began itself, with n = 0: one that
 * came out of a message has no room. */
int arena_push(struct arena *arena, size_t *n, void ***list, void *item);
#define ARENA_PUSH(arena, n, list, item)                                                           \
    arena_push((arena), &(n), (void ***)(void *)&(list), (item))

/* ---- frames */

/* Returns a frame to be freed by free(), or NULL for no memory or when it would be longer than
 * MSG_MAX. What msg_unpack() would refuse in a text goes out as '?', so a result is never stuck
 * because of a text of libvirt. */
uint8_t *msg_pack(const RmMessage *message, size_t *ret_length);

/* The message lives in the arena. -EPROTO: not ours, or damaged, or a text in it is not UTF-8 or
 * holds a control character other than newline and tab (text_is_clean); -EPROTONOSUPPORT: another
 * MSG_VERSION; -EMSGSIZE: too long; -ENOMEM. Numbers of enums are not checked: a newer program may know more of
 * them. */
int msg_unpack(struct arena *arena, const uint8_t *frame, size_t length, RmMessage **ret_message,
               struct rm_err *err);

/* A message or a record with all that belongs to it, through its packed form: in the arena, or with
 * arena NULL from malloc, to be freed with its x__free_unpacked(). NULL: no memory. */
ProtobufCMessage *msg_copy(struct arena *arena, const ProtobufCMessage *message);

/* Puts what the lists of one message hold behind that of another of its kind, in whose arena both live;
 * nothing else of it is taken. 0 or -ENOMEM. */
int msg_append(struct arena *arena, ProtobufCMessage *to, const ProtobufCMessage *from);

/* Bytes that one value of such a field takes in a message, also in the list of a repeated one: of the
 * types that rmigrate.proto has. */
size_t msg_field_size(ProtobufCType type);

/* Does such a request change something? Then it carries a token and is carried out once. Any other only
 * looks, and may be repeated as it is. */
bool msg_changes(RmRequest__AskCase ask);

/* What a message is, for logs: "hello", "request/submit". Borrowed, until this
 * thread asks again. */
const char *msg_name(const RmMessage *message);

#endif
