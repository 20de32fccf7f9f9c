/* msg.c - frames to messages and back; the arena that holds what was unpacked */
#include "wire/msg.h"

#include <errno.h>
#include <pthread.h>
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
    if (chunk == NULL || chunk->size - chunk->used < rounded) {
        size_t room = rounded > arena->next_size ? rounded : arena->next_size;
        if (ARENA_IS_CHECKED)
            room = size;
        chunk = malloc(sizeof(*chunk) + room);
        if (chunk == NULL) {
            arena->is_full = true;
            return NULL;
        }
        chunk->size = room;
        chunk->used = 0;
        if (arena->chunks != NULL && room > CHUNK_MAX) {
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
    if (arena == NULL)
        return NULL;
    arena->limit = limit != 0 && limit < MSG_ARENA_MAX ? limit : MSG_ARENA_MAX;
    arena->next_size = CHUNK_FIRST;
    arena->allocator = (ProtobufCAllocator){
        .alloc = allocator_alloc, .free = allocator_free, .allocator_data = arena};
    return arena;
}

static void free_chunks(struct chunk *chunk)
{
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    free_chunks(arena->chunks);
    free(arena);
}

void arena_reset(struct arena *arena)
{
    struct chunk *keep = arena->chunks;
    if (keep != NULL && (ARENA_IS_CHECKED || keep->size > CHUNK_MAX)) {
        free_chunks(keep);
        keep = NULL;
    }
    if (keep != NULL) {
        free_chunks(keep->next);
        keep->next = NULL;
        keep->used = 0;
    }
    arena->chunks = keep;
    arena->next_size = CHUNK_FIRST;
    while (keep != NULL && arena->next_size < keep->size)
        arena->next_size *= 2;
    arena->used = 0;
    arena->is_full = false;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    void *piece = take(arena, size);
    return piece != NULL ? memset(piece, 0, size) : NULL;
}

char *arena_strdup(struct arena *arena, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = take(arena, size);
    return copy != NULL ? memcpy(copy, text, size) : NULL;
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int length = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    if (length < 0)
        return NULL;
    char *text = take(arena, (size_t)length + 1);
    if (text == NULL)
        return NULL;
    va_start(ap, format);
    vsnprintf(text, (size_t)length + 1, format, ap);
    va_end(ap);
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
        if (larger == NULL)
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

/* Bytes of the character that begins here: UTF-8 in its shortest form, no surrogate, no control
 * character but newline and tab. 0: not one of these. The text ends with a NUL, so that looking one
 * byte ahead is safe after each byte that was right. */
size_t msg_character(const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return (s[0] >= 0x20 && s[0] != 0x7f) || s[0] == '\n' || s[0] == '\t' ? 1 : 0;
    size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    bool is_wrong = (s[0] == 0xc2 && s[1] < 0xa0)    /* U+0080..U+009F: 0x9b begins commands */
                    || (s[0] == 0xe0 && s[1] < 0xa0) /* longer than need be */
                    || (s[0] == 0xed && s[1] > 0x9f) /* surrogates */
                    || (s[0] == 0xf0 && s[1] < 0x90) /* longer than need be */
                    || (s[0] == 0xf4 && s[1] > 0x8f) /* above U+10FFFF */;
    return is_wrong ? 0 : length;
}

bool msg_text_is_clean(const char *text)
{
    while (*text != '\0') {
        size_t length = msg_character(text);
        if (length == 0)
            return false;
        text += length;
    }
    return true;
}

static void text_clean(char *text)
{
    while (*text != '\0') {
        size_t length = msg_character(text);
        if (length == 0)
            *text = '?';
        text += length != 0 ? length : 1;
    }
}

/* A pointer out of a generated struct, whatever it points to. */
static void *pointer_at(const void *base, size_t offset)
{
    void *pointer;
    memcpy(&pointer, (const char *)base + offset, sizeof(pointer));
    return pointer;
}

/* The name of a field that is not fit to be sent or stored, or NULL. With `mend` bad texts are
 * written over instead: the message must be ours. No message of the .proto holds its own kind, so
 * the depth is bounded by the .proto. */
static const char *find_fault(const ProtobufCMessage *message, bool mend)
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
            if (item == NULL)
                continue;
            if (!is_text)
                fault = find_fault(item, mend);
            else if (!msg_text_is_clean(item)) {
                if (mend)
                    text_clean(item);
                else
                    fault = field->name;
            }
            if (fault != NULL)
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
    if (frame == NULL)
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
    size_t length;
    if (find_fault(&message->base, /* mend = */ false) == NULL) {
        uint8_t *frame = pack(message, &length);
        if (frame != NULL)
            *ret_length = length;
        return frame;
    }
    /* Some text is not fit to send: what libvirt and QEMU say may hold anything. The message is the
     * caller's, so a copy is cleaned. */
    uint8_t *cleaned = NULL, *frame = pack(message, &length);
    struct arena *arena = arena_new(/* limit = */ 0);
    RmMessage *copy = frame != NULL && arena != NULL ? unpack(arena, frame, length) : NULL;
    if (copy != NULL && find_fault(&copy->base, /* mend = */ true) == NULL)
        cleaned = pack(copy, &length);
    if (cleaned != NULL)
        *ret_length = length;
    arena_free(arena);
    free(frame);
    return cleaned;
}

ProtobufCMessage *msg_copy(struct arena *arena, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = malloc(length + 1);
    ProtobufCMessage *copy;

    if (packed == NULL)
        return NULL;
    protobuf_c_message_pack(message, packed);
    copy = protobuf_c_message_unpack(message->descriptor,
                                     arena != NULL ? arena_allocator(arena) : NULL, length, packed);
    free(packed);
    return copy;
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
    if (message == NULL && arena->is_full)
        return rm_fail(err, -ENOMEM, "a message of %zu bytes takes too much memory", length);
    if (message == NULL)
        return rm_fail(err, -EPROTO, "a damaged message of %zu bytes", length);
    const char *field = find_fault(&message->base, /* mend = */ false);
    if (field != NULL)
        return rm_fail(err, -EPROTO, "a message whose field '%s' is not plain UTF-8 text", field);
    *ret_message = message;
    return 0;
}

/* ---- names */

enum { REQUESTS_MAX = 128, NAME_MAX_BYTES = 48 };
static char request_names[REQUESTS_MAX][NAME_MAX_BYTES]; /* by field number: "request/submit" */
static pthread_once_t names_once = PTHREAD_ONCE_INIT;

static void make_names(void)
{
    for (unsigned i = 0; i < rm_request__descriptor.n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &rm_request__descriptor.fields[i];
        if ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && field->id < REQUESTS_MAX)
            snprintf(request_names[field->id], NAME_MAX_BYTES, "request/%s", field->name);
    }
}

const char *msg_name(const RmMessage *message)
{
    if (message->body_case == RM_MESSAGE__BODY_REQUEST && message->request != NULL) {
        unsigned ask = (unsigned)message->request->ask_case;
        pthread_once(&names_once, make_names);
        return ask < REQUESTS_MAX && request_names[ask][0] != '\0' ? request_names[ask] : "request";
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(&rm_message__descriptor, message->body_case);
    return field != NULL && message->body_case != RM_MESSAGE__BODY__NOT_SET ? field->name : "empty";
}
