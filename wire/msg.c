/* msg.c - frames to messages and back; the arena that holds what was unpacked */
#include "wire/msg.h"

#include "conf/text.h"

#include <errno.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arena */

enum {
    ALIGN = 16,
    CHUNK_FIRST = 16 * 1024,
    CHUNK_MAX = 1024 * 1024, /* chunks double up to this; a larger piece has a chunk of its own */
    LIST_FIRST = 4,          /* items that a list of arena_push() begins with */
};

/* Under AddressSanitizer every piece is a chunk of its own size and nothing outlives a reset, so
 * that a read behind a piece, or of one that was given back, is noticed. */
#if defined(__SANITIZE_ADDRESS__)
#define ARENA_IS_CHECKED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_IS_CHECKED true
#endif
#endif
#ifndef ARENA_IS_CHECKED
#define ARENA_IS_CHECKED false
#endif

struct chunk {
    struct chunk *next;
    size_t size, used; /* of data */
    alignas(ALIGN) unsigned char data[];
};

struct arena {
    struct chunk *chunks; /* the first one is filled at present */
    size_t next_size;     /* of the chunk that follows it */
    size_t limit, used;
    bool is_full; /* something did not fit since the last reset */
    ProtobufCAllocator allocator;
};

static void *take(struct arena *arena, size_t size)
{
    if (size == 0)
        size = 1;
    if (size > arena->limit || arena->limit - arena->used < size) {
        arena->is_full = true;
        return NULL;
    }
    size_t rounded = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct chunk *chunk = arena->chunks;
    if (!chunk || chunk->size - chunk->used < rounded) {
        size_t room = rounded > arena->next_size ? rounded : arena->next_size;
        if (ARENA_IS_CHECKED)
            room = size;
        chunk = malloc(sizeof(*chunk) + room);
        if (!chunk) {
            arena->is_full = true;
            return NULL;
        }
        chunk->size = room;
        chunk->used = 0;
        if (arena->chunks && room > CHUNK_MAX) {
            /* Behind the first one, which still has room. */
            chunk->next = arena->chunks->next;
            arena->chunks->next = chunk;
        } else {
            chunk->next = arena->chunks;
            arena->chunks = chunk;
            if (arena->next_size < CHUNK_MAX)
                arena->next_size *= 2;
        }
    }
    void *piece = chunk->data + chunk->used;
    chunk->used += rounded < chunk->size - chunk->used ? rounded : chunk->size - chunk->used;
    arena->used += rounded < arena->limit - arena->used ? rounded : arena->limit - arena->used;
    return piece;
}

static void *allocator_alloc(void *data, size_t size)
{
    return take(data, size);
}

static void allocator_free(void *data, void *piece)
{
    (void)data; /* everything goes at the next reset */
    (void)piece;
}

struct arena *arena_new(size_t limit)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    if (!arena)
        return NULL;
    arena->limit = limit != 0 && limit < MSG_ARENA_MAX ? limit : MSG_ARENA_MAX;
    arena->next_size = CHUNK_FIRST;
    arena->allocator = (ProtobufCAllocator){
        .alloc = allocator_alloc, .free = allocator_free, .allocator_data = arena};
    return arena;
}

static void free_chunks(struct chunk *chunk)
{
    while (chunk) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void arena_free(struct arena *arena)
{
    if (!arena)
        return;
    free_chunks(arena->chunks);
    free(arena);
}

void arena_reset(struct arena *arena)
{
    struct chunk *keep = arena->chunks;
    if (keep && (ARENA_IS_CHECKED || keep->size > CHUNK_MAX)) {
        free_chunks(keep);
        keep = NULL;
    }
    if (keep) {
        free_chunks(keep->next);
        keep->next = NULL;
        keep->used = 0;
    }
    arena->chunks = keep;
    arena->next_size = CHUNK_FIRST;
    while (keep && arena->next_size < keep->size)
        arena->next_size *= 2;
    arena->used = 0;
    arena->is_full = false;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *piece = take(arena, size);
    return piece ? memset(piece, 0, size) : NULL;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = take(arena, size);
    return copy ? memcpy(copy, text, size) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    char *text = arena_vprintf(arena, format, list);
    va_end(list);
    return text;
}

char *arena_vprintf(struct arena *arena, const char *format, va_list list)
{
    va_list again;
    va_copy(again, list);
    int length = vsnprintf(NULL, 0, format, list);
    char *text = length < 0 ? NULL : take(arena, (size_t)length + 1);
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    return text;
}

ProtobufCAllocator *arena_allocator(struct arena *arena)
{
    return &arena->allocator;
}

int arena_push(struct arena *arena, size_t *n, void ***list, void *item)
{
    /* The list of the caller is of pointers to some struct: copied as bytes, which any type allows.
     */
    char *items;
    memcpy(&items, list, sizeof(items));
    bool is_full = *n == 0 || (*n >= LIST_FIRST && (*n & (*n - 1)) == 0);
    if (is_full) {
        if (*n > SIZE_MAX / sizeof(item) / 2)
            return -ENOMEM;
        char *larger = take(arena, (*n == 0 ? LIST_FIRST : *n * 2) * sizeof(item));
        if (!larger)
            return -ENOMEM;
        if (*n > 0)
            memcpy(larger, items, *n * sizeof(item));
        items = larger;
        memcpy(list, &items, sizeof(items));
    }
    memcpy(items + *n * sizeof(item), &item, sizeof(item));
    (*n)++;
    return 0;
}

/* ---- what a text may hold */

/* A pointer out of a generated struct, whatever it points to. */
static void *pointer_at(const void *base, size_t offset)
{
    void *pointer;
    memcpy(&pointer, (const char *)base + offset, sizeof(pointer));
    return pointer;
}

/* The name of a field that is not fit to be sent or stored, or NULL. With `repair` bad texts are
 * written over instead: the message must be ours. No message of the .proto holds its own kind, so
 * the depth is bounded by the .proto. */
static const char *find_fault(const ProtobufCMessage *message, bool repair)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    /* protobuf-c takes a field 0 when its number is written in two bytes, keeps it as unknown,
     * writes it in one byte, and cannot read that: a record that held it could not be read again.
     */
    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        if (message->unknown_fields[i].tag == 0)
            return "0";
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        bool is_text = field->type == PROTOBUF_C_TYPE_STRING;
        if (!is_text && field->type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        const void *items = (const char *)message + field->offset;
        size_t n = 1;
        const char *quantifier = (const char *)message + field->quantifier_offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            memcpy(&n, quantifier, sizeof(n));
            items = pointer_at(message, field->offset);
        } else if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            uint32_t which;
            memcpy(&which, quantifier, sizeof(which));
            n = which == field->id ? 1 : 0;
        }
        for (size_t k = 0; k < n; k++) {
            void *item = pointer_at(items, k * sizeof(void *));
            const char *fault = NULL;
            if (!item)
                continue;
            if (!is_text)
                fault = find_fault(item, repair);
            else if (!text_is_clean(item)) {
                if (repair)
                    text_clean(item);
                else
                    fault = field->name;
            }
            if (fault)
                return fault;
        }
    }
    return NULL;
}

/* ---- frames */

static const uint8_t header[MSG_HEADER] = {'R', 'M', 'G', MSG_VERSION};

static uint8_t *pack(const RmMessage *message, size_t *ret_length)
{
    size_t length = protobuf_c_message_get_packed_size(&message->base);
    if (length > MSG_MAX - MSG_HEADER)
        return NULL;
    uint8_t *frame = malloc(MSG_HEADER + length);
    if (!frame)
        return NULL;
    memcpy(frame, header, MSG_HEADER);
    *ret_length = MSG_HEADER + protobuf_c_message_pack(&message->base, frame + MSG_HEADER);
    return frame;
}

static RmMessage *unpack(struct arena *arena, const uint8_t *frame, size_t length)
{
    return (RmMessage *)(void *)protobuf_c_message_unpack(
        &rm_message__descriptor, arena_allocator(arena), length - MSG_HEADER, frame + MSG_HEADER);
}

uint8_t *msg_pack(const RmMessage *message, size_t *ret_length)
{
    if (!find_fault(&message->base, /* repair = */ false))
        return pack(message, ret_length);
    /* Some text is not fit to send: what libvirt and QEMU say may hold anything. The message is the
     * caller's, so a copy is cleaned. */
    size_t length;
    uint8_t *cleaned = NULL, *frame = pack(message, &length);
    struct arena *arena = arena_new(/* limit = */ 0);
    RmMessage *copy = frame && arena ? unpack(arena, frame, length) : NULL;
    if (copy && !find_fault(&copy->base, /* repair = */ true))
        cleaned = pack(copy, ret_length);
    arena_free(arena);
    free(frame);
    return cleaned;
}

ProtobufCMessage *msg_copy(struct arena *arena, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(length + 1);

    if (!packed)
        return NULL;
    protobuf_c_message_pack(message, packed);
    ProtobufCMessage *copy = protobuf_c_message_unpack(
        message->descriptor, arena ? arena_allocator(arena) : NULL, length, packed);
    free(packed);
    return copy;
}

int msg_append(struct arena *arena, ProtobufCMessage *to, const ProtobufCMessage *from)
{
    for (unsigned i = 0; i < to->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &to->descriptor->fields[i];
        size_t n, more, size = msg_field_size(field->type);
        char *quantifier = (char *)to + field->quantifier_offset;
        if (field->label != PROTOBUF_C_LABEL_REPEATED)
            continue;
        memcpy(&n, quantifier, sizeof(n));
        memcpy(&more, (const char *)from + field->quantifier_offset, sizeof(more));
        if (more == 0)
            continue;
        char *items = take(arena, (n + more) * size);
        if (!items)
            return -ENOMEM;
        if (n > 0)
            memcpy(items, pointer_at(to, field->offset), n * size);
        memcpy(items + n * size, pointer_at(from, field->offset), more * size);
        n += more;
        memcpy((char *)to + field->offset, &items, sizeof(items));
        memcpy(quantifier, &n, sizeof(n));
    }
    return 0;
}

int msg_unpack(struct arena *arena, const uint8_t *frame, size_t length, RmMessage **ret_message,
               struct rm_err *err)
{
    if (length > MSG_MAX)
        return rm_fail(err, -EMSGSIZE, "a message of %zu bytes is longer than %d", length, MSG_MAX);
    if (length < MSG_HEADER || memcmp(frame, header, MSG_HEADER - 1) != 0)
        return rm_fail(err, -EPROTO, "not a message of rmigrate");
    if (frame[MSG_HEADER - 1] != MSG_VERSION)
        return rm_fail(err, -EPROTONOSUPPORT,
                       "a message of protocol version %u; this program speaks version %d",
                       (unsigned)frame[MSG_HEADER - 1], MSG_VERSION);
    arena->is_full = false;
    RmMessage *message = unpack(arena, frame, length);
    if (!message && arena->is_full)
        return rm_fail(err, -ENOMEM, "a message of %zu bytes takes too much memory", length);
    if (!message)
        return rm_fail(err, -EPROTO, "a damaged message of %zu bytes", length);
    const char *field = find_fault(&message->base, /* repair = */ false);
    if (field)
        return rm_fail(err, -EPROTO, "a message whose field '%s' is not plain UTF-8 text", field);
    *ret_message = message;
    return 0;
}

/* ---- fields and requests */

size_t msg_field_size(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return sizeof(uint32_t);
    }
}

bool msg_changes(RmRequest__AskCase ask)
{
    static const RmRequest__AskCase asks[] = {
        RM_REQUEST__ASK_SUBMIT,        RM_REQUEST__ASK_EVACUATE,       RM_REQUEST__ASK_CANCEL,
        RM_REQUEST__ASK_RETRY,         RM_REQUEST__ASK_RELEASE,        RM_REQUEST__ASK_PAUSE,
        RM_REQUEST__ASK_RESUME,        RM_REQUEST__ASK_HOST_CHANGE,    RM_REQUEST__ASK_RECONCILE,
        RM_REQUEST__ASK_TABLE_RESTORE, RM_REQUEST__ASK_TABLES_RESTORE, RM_REQUEST__ASK_TABLE_CHANGE,
        RM_REQUEST__ASK_NODE_CHANGE,   RM_REQUEST__ASK_MODIFY,         RM_REQUEST__ASK_RESTORE,
        RM_REQUEST__ASK_APPLY,
    };
    for (size_t i = 0; i < sizeof(asks) / sizeof(asks[0]); i++)
        if (asks[i] == ask)
            return true;
    return false;
}

/* ---- names */

const char *msg_name(const RmMessage *message)
{
    static _Thread_local char request[48];
    const ProtobufCFieldDescriptor *body = protobuf_c_message_descriptor_get_field(
        &rm_message__descriptor, (unsigned)message->body_case);
    if (!body || message->body_case == RM_MESSAGE__BODY__NOT_SET)
        return "empty";
    if (message->body_case != RM_MESSAGE__BODY_REQUEST || !message->request)
        return body->name;
    const ProtobufCFieldDescriptor *ask = protobuf_c_message_descriptor_get_field(
        &rm_request__descriptor, (unsigned)message->request->ask_case);
    if (!ask || !(ask->flags & PROTOBUF_C_FIELD_FLAG_ONEOF))
        return body->name;
    snprintf(request, sizeof(request), "%s/%s", body->name, ask->name);
    return request;
}
