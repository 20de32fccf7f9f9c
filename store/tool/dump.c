/* dump.c - records as text for people, by their descriptors */
#include "store/tool/dump.h"

#include "conf/env.h"
#include "store/key.h"
#include "store/record.h"
#include "store/tables/table.h"
#include "wire/msg.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { U64 = 8, DEPTH_MAX = 16, PIECE = 256 * 1024 /* bytes of text that are read in one go */ };

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c != 0x7f && c != '\\';
}

static void put_text(FILE *file, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (is_plain(c))
            putc(c, file);
        else if (c == '\n')
            fputs("\\n", file);
        else
            fprintf(file, "\\x%02x", c);
    }
}

static void put_hex(FILE *file, const void *data, size_t length)
{
    for (size_t i = 0; i < length; i++)
        fprintf(file, "%02x", ((const uint8_t *)data)[i]);
}

/* ---- keys */

static void key_text(enum store_table table, const uint8_t *key, size_t length, FILE *file)
{
    size_t name = strnlen((const char *)key, length);
    switch (table) {
    case STORE_JOB:
    case STORE_LIVE:
    case STORE_RESULT:
    case STORE_BATCH:
    case STORE_PLAN:
        if (length != U64)
            break;
        fprintf(file, "%" PRIu64, key_read_u64(key));
        return;
    case STORE_EVENT:
        if (length != 2 * U64)
            break;
        fprintf(file, "%" PRIu64 " %" PRIu64, key_read_u64(key), key_read_u64(key + U64));
        return;
    case STORE_META:
    case STORE_GUEST:
    case STORE_HOST:
        if (name != length)
            break;
        fwrite(key, 1, length, file);
        return;
    case STORE_ROW:
        if (length != name + 1 + U64)
            break;
        fprintf(file, "%s %" PRIu64, (const char *)key, key_read_u64(key + name + 1));
        return;
    case STORE_ROW_KEY:
        if (length <= name + 1)
            break;
        fprintf(file, "%s %.*s", (const char *)key, (int)(length - name - 1),
                (const char *)key + name + 1);
        return;
    case STORE_TOKEN_AGE:
        if (length <= U64)
            break;
        fprintf(file, "%" PRIu64 " ", key_read_u64(key));
        put_hex(file, key + U64, length - U64);
        return;
    case STORE_TOKEN:
    case STORE_TABLES:
        break;
    }
    put_hex(file, key, length);
}

const char *dump_key(enum store_table table, const void *key, size_t length,
                     char buffer[static DUMP_KEY_MAX])
{
    buffer[0] = '\0';
    FILE *file = fmemopen(buffer, DUMP_KEY_MAX, "w");
    if (!file)
        return buffer;
    key_text(table, key, length, file);
    fclose(file);
    for (char *c = buffer; *c; c++)
        if (!is_plain((unsigned char)*c))
            *c = '?';
    return buffer;
}

/* ---- messages */

static void put_message(FILE *file, const ProtobufCMessage *message, int depth);

static void indent(FILE *file, int depth)
{
    fprintf(file, "%*s", 2 * depth, "");
}

static bool is_time(const char *name)
{
    size_t length = strlen(name);
    return strcmp(name, "at") == 0 || strcmp(name, "not_before") == 0 ||
           (length > 3 && strcmp(name + length - 3, "_at") == 0);
}

static void put_u64(FILE *file, const ProtobufCFieldDescriptor *field, uint64_t value)
{
    char text[ENV_TIME_MAX];
    fprintf(file, "%" PRIu64, value);
    if (is_time(field->name))
        fprintf(file, " (%s)", env_time_text(value, text));
}

static void put_enum(FILE *file, const ProtobufCFieldDescriptor *field, int value)
{
    const ProtobufCEnumValue *named =
        protobuf_c_enum_descriptor_get_value(field->descriptor, value);
    if (named)
        fputs(named->name, file);
    else
        fprintf(file, "%d", value);
}

/* One value, without its line's end. Only types that wire/rmigrate.proto uses. */
static void put_value(FILE *file, const ProtobufCFieldDescriptor *field, const void *value)
{
    const ProtobufCBinaryData *bytes = value;
    switch (field->type) {
    case PROTOBUF_C_TYPE_INT32:
        fprintf(file, "%" PRId32, *(const int32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT32:
        fprintf(file, "%" PRIu32, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
        put_u64(file, field, *(const uint64_t *)value);
        break;
    case PROTOBUF_C_TYPE_BOOL:
        fputs(*(const protobuf_c_boolean *)value ? "yes" : "no", file);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(file, field, *(const int *)value);
        break;
    case PROTOBUF_C_TYPE_STRING:
        put_text(file, *(char *const *)value);
        break;
    case PROTOBUF_C_TYPE_BYTES:
        put_hex(file, bytes->data, bytes->len);
        break;
    case PROTOBUF_C_TYPE_MESSAGE:
        break; /* put_field() opens a block for it */
    default:
        fputc('?', file);
    }
}

/* 0, "" and no message are what the wire leaves out too. */
static bool is_unset(const ProtobufCFieldDescriptor *field, const void *value)
{
    static const uint8_t zero[sizeof(uint64_t)];
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        return !*(char *const *)value || **(char *const *)value == '\0';
    case PROTOBUF_C_TYPE_BYTES:
        return ((const ProtobufCBinaryData *)value)->len == 0;
    case PROTOBUF_C_TYPE_MESSAGE:
        return !*(ProtobufCMessage *const *)value;
    default:
        return memcmp(value, zero, msg_field_size(field->type)) == 0;
    }
}

static void put_field(FILE *file, const ProtobufCFieldDescriptor *field, const void *value,
                      int depth)
{
    indent(file, depth);
    fprintf(file, "%s: ", field->name);
    put_value(file, field, value);
    putc('\n', file);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE && depth < DEPTH_MAX)
        put_message(file, *(ProtobufCMessage *const *)value, depth + 1);
}

static void put_message(FILE *file, const ProtobufCMessage *message, int depth)
{
    const ProtobufCMessageDescriptor *descriptor = message->descriptor;
    const char *base = (const char *)message;
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const void *value = base + field->offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t n = *(const size_t *)(const void *)(base + field->quantifier_offset);
            const char *list = *(char *const *)value;
            for (size_t k = 0; k < n; k++)
                put_field(file, field, list + k * msg_field_size(field->type), depth);
        } else if (!is_unset(field, value)) {
            put_field(file, field, value, depth);
        }
    }
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        indent(file, depth);
        fprintf(file, "unknown field %" PRIu32 ": ", message->unknown_fields[i].tag);
        put_hex(file, message->unknown_fields[i].data, message->unknown_fields[i].len);
        putc('\n', file);
    }
}

/* A row with the names of its columns. */
static void put_row(FILE *file, const RmRow *row)
{
    const struct table *table = table_find(row->table);
    if (!table) {
        put_message(file, &row->base, 1);
        return;
    }
    for (size_t i = 0; i < row->n_cells; i++) {
        if (!row->cells[i]->set)
            continue;
        indent(file, 1);
        if (i < table->n_columns)
            fputs(table->columns[i], file);
        else
            fprintf(file, "column %zu", i + 1);
        fputs(": ", file);
        if (i < table->n_columns && table_is_secret(table, (int)i) &&
            row->cells[i]->value[0] != '\0')
            fputs("(not shown)", file);
        else
            put_text(file, row->cells[i]->value);
        putc('\n', file);
    }
}

/* ---- tables */

/* What is read in one go. */
struct piece {
    FILE *file; /* into text */
    char *text;
    size_t length;
};

struct dump {
    enum store_table table;
    struct piece piece;
    uint8_t last[STORE_KEY_MAX]; /* key of the record that was dumped last */
    size_t last_length;
    struct arena *arena;
};

static void put_bytes(FILE *file, const void *value, size_t length)
{
    if (length == U64)
        fprintf(file, "  value: %" PRIu64 "\n", key_read_u64(value));
    else if (length > 0) {
        fputs("  bytes: ", file);
        put_hex(file, value, length);
        putc('\n', file);
    }
}

/* The piece is written out, with no view of the store. */
static int write_out(struct store *store, struct piece *piece, FILE *file)
{
    store_rest(store);
    int r = fclose(piece->file) == 0 ? 0 : -ENOMEM;
    if (r == 0 && fwrite(piece->text, 1, piece->length, file) != piece->length)
        r = -EIO;
    free(piece->text);
    *piece = (struct piece){0};
    return r;
}

static int open_piece(struct piece *piece)
{
    piece->file = open_memstream(&piece->text, &piece->length);
    return piece->file ? 0 : -ENOMEM;
}

static int dump_one(void *ctx, const void *key, size_t key_length, const void *value, size_t length)
{
    struct dump *dump = ctx;
    FILE *file = dump->piece.file;
    char text[DUMP_KEY_MAX];
    ProtobufCMessage *record;
    if (key_length == dump->last_length && memcmp(key, dump->last, key_length) == 0)
        return 0; /* the piece before ended with it */
    fprintf(file, "%s %s\n", store_table_name(dump->table),
            dump_key(dump->table, key, key_length, text));
    int r = record_descriptor(dump->table)
                ? record_unpack(dump->table, value, length, dump->arena, &record)
                : -EINVAL;
    if (r == 0 && dump->table == STORE_ROW) {
        put_row(file, (const RmRow *)record);
    } else if (r == 0) {
        put_message(file, record, 1);
    } else {
        if (r == -EBADMSG)
            fputs("  damaged\n", file);
        put_bytes(file, value, length);
    }
    putc('\n', file);
    arena_reset(dump->arena);
    memcpy(dump->last, key, key_length);
    dump->last_length = key_length;
    if (ferror(file))
        return -ENOMEM;
    return ftell(file) >= PIECE ? 1 : 0;
}

int dump_table(struct store *store, enum store_table table, FILE *file)
{
    struct dump dump = {.table = table, .arena = arena_new(0)};
    int r = dump.arena ? 1 : -ENOMEM;
    while (r == 1) {
        r = open_piece(&dump.piece);
        if (r < 0)
            break;
        r = store_walk(store, table, dump.last, dump.last_length, false, dump_one, &dump);
        int written = write_out(store, &dump.piece, file);
        r = written < 0 ? written : r;
    }
    arena_free(dump.arena);
    return r;
}

int dump_site_table(struct store *store, const struct table *table, FILE *file)
{
    struct piece piece;
    uint64_t after = 0;
    int r = 1;
    while (r == 1) {
        r = open_piece(&piece);
        if (r < 0)
            break;
        r = table_export(store, table, &after, piece.file);
        int written = write_out(store, &piece, file);
        r = written < 0 ? written : r;
    }
    return r;
}
