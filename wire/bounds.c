/* bounds.c - how much of anything one message may bring */
#include "wire/bounds.h"

#include "conf/text.h"

#include <errno.h>
#include <string.h>

static const struct bound {
    const ProtobufCMessageDescriptor *message;
    const char *field;
    size_t most; /* bytes of a text, items of a list */
    bool cut;
} bounds[] = {
    {&rm_hello__descriptor, "version", BOUND_NAME, false},
    {&rm_hello__descriptor, "machine", BOUND_NAME, false},
    {&rm_hello__descriptor, "hosts", BOUND_HOSTS, false},
    {&rm_hello__descriptor, "tasks", BOUND_TASKS, false},
    {&rm_hyp__descriptor, "name", BOUND_NAME, false},
    {&rm_hyp__descriptor, "peer", BOUND_NAME, false},
    {&rm_hyp__descriptor, "migration", BOUND_NAME, false},
    {&rm_task__descriptor, "host", BOUND_NAME, false},
    {&rm_inventory__descriptor, "host", BOUND_NAME, false},
    {&rm_inventory__descriptor, "text", BOUND_TEXT, true},
    {&rm_inventory__descriptor, "domains", BOUND_DOMAINS, false},
    {&rm_inventory__descriptor, "cluster", BOUND_NAME, false},
    {&rm_domain__descriptor, "name", BOUND_NAME, true},
    {&rm_domain__descriptor, "uuid", BOUND_NAME, false},
    {&rm_pull__descriptor, "credits", BOUND_HOSTS, false},
    {&rm_credit__descriptor, "host", BOUND_NAME, false},
    {&rm_reports__descriptor, "reports", BOUND_TASKS, false},
    {&rm_report__descriptor, "text", BOUND_TEXT, true},
    {&rm_report__descriptor, "fence", BOUND_NAME, false},
    {&rm_report__descriptor, "host", BOUND_NAME, false},
    {&rm_report__descriptor, "notes", BOUND_TEXT, true},
    {&rm_report__descriptor, "phase", BOUND_NAME, false},
    {&rm_report__descriptor, "unanswered", BOUND_FEW, false},
    {&rm_answer__descriptor, "text", BOUND_TEXT, true},
    {&rm_request__descriptor, "token", BOUND_FEW, false},
    {&rm_request__descriptor, "version", BOUND_NAME, false},
    {&rm_request__descriptor, "command", BOUND_TEXT, true},
    {&rm_request__descriptor, "page", BOUND_NAME, false},
    {&rm_digits__descriptor, "prefix", BOUND_NAME, false},
    {&rm_digits__descriptor, "suffix", BOUND_NAME, false},
    {&rm_submit__descriptor, "guests", BOUND_RANGE, false},
    {&rm_submit__descriptor, "to", BOUND_RANGE, false},
    {&rm_submit__descriptor, "reason", BOUND_REASON, false},
    {&rm_relocation__descriptor, "force", BOUND_NAME, false},
    {&rm_relocation__descriptor, "immediate", BOUND_NAME, false},
    {&rm_relocation__descriptor, "max_total", BOUND_NAME, false},
    {&rm_relocation__descriptor, "max_quiesce", BOUND_NAME, false},
    {&rm_relocation__descriptor, "action", BOUND_NAME, false},
    {&rm_evacuate__descriptor, "hosts", BOUND_RANGE, false},
    {&rm_evacuate__descriptor, "to", BOUND_RANGE, false},
    {&rm_evacuate__descriptor, "reason", BOUND_REASON, false},
    {&rm_restore__descriptor, "hosts", BOUND_RANGE, false},
    {&rm_restore__descriptor, "reason", BOUND_REASON, false},
    {&rm_select__descriptor, "jobs", BOUND_JOBS, false},
    {&rm_select__descriptor, "guests", BOUND_RANGE, false},
    {&rm_select__descriptor, "host", BOUND_NAME, false},
    {&rm_select__descriptor, "reason", BOUND_REASON, false},
    {&rm_select__descriptor, "to", BOUND_NAME, false},
    {&rm_modify__descriptor, "max_total", BOUND_NAME, false},
    {&rm_modify__descriptor, "max_quiesce", BOUND_NAME, false},
    {&rm_list_jobs__descriptor, "states", BOUND_FEW, false},
    {&rm_history__descriptor, "guest", BOUND_NAME, false},
    {&rm_list__descriptor, "host", BOUND_RANGE, false},
    {&rm_list_guests__descriptor, "guests", BOUND_RANGE, false},
    {&rm_list_guests__descriptor, "host", BOUND_RANGE, false},
    {&rm_host_change__descriptor, "hosts", BOUND_RANGE, false},
    {&rm_host_change__descriptor, "reason", BOUND_REASON, false},
    {&rm_reconcile__descriptor, "guests", BOUND_RANGE, false},
    {&rm_table_dump__descriptor, "table", BOUND_NAME, false},
    {&rm_table_dump__descriptor, "where", BOUND_TERMS, false},
    {&rm_table_restore__descriptor, "table", BOUND_NAME, false},
    {&rm_table_restore__descriptor, "csv", BOUND_CSV, false},
    {&rm_tables_restore__descriptor, "tables", BOUND_TERMS, false},
    {&rm_term__descriptor, "attr", BOUND_NAME, false},
    {&rm_term__descriptor, "value", BOUND_VALUE, false},
    {&rm_nodes__descriptor, "nodes", BOUND_RANGE, false},
    {&rm_nodes__descriptor, "attrs", BOUND_TERMS, false},
    {&rm_nodes__descriptor, "where", BOUND_TERMS, false},
    {&rm_nodes__descriptor, "after", BOUND_NAME, false},
    {&rm_table_get__descriptor, "keys", BOUND_TERMS, false},
    {&rm_table_get__descriptor, "attrs", BOUND_TERMS, false},
    {&rm_table_change__descriptor, "keys", BOUND_TERMS, false},
    {&rm_table_change__descriptor, "sets", BOUND_TERMS, false},
    {&rm_table_change__descriptor, "remove", BOUND_TERMS, false},
    {&rm_node_change__descriptor, "nodes", BOUND_RANGE, false},
    {&rm_node_change__descriptor, "where", BOUND_TERMS, false},
    {&rm_node_change__descriptor, "sets", BOUND_TERMS, false},
    {&rm_node_change__descriptor, "remove", BOUND_TERMS, false},
};

static const struct bound *find(const ProtobufCMessageDescriptor *message, const char *field)
{
    for (size_t i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++)
        if (bounds[i].message == message && strcmp(bounds[i].field, field) == 0)
            return &bounds[i];
    return NULL;
}

size_t bounds_of(const ProtobufCMessageDescriptor *message, const char *field)
{
    const struct bound *bound = find(message, field);

    return bound ? bound->most : 0;
}

/* Ends a text before `most`, not inside a character. */
static void cut(char *text, size_t most)
{
    if (strnlen(text, most + 1) <= most)
        return;
    while (most > 0 && ((unsigned char)text[most] & 0xc0) == 0x80)
        most--;
    text[most] = '\0';
}

static void forget_unknown(ProtobufCMessage *message)
{
    size_t bytes = 0;

    for (unsigned i = 0; i < message->n_unknown_fields; i++)
        bytes += message->unknown_fields[i].len + sizeof(message->unknown_fields[i]);
    if (bytes > BOUND_UNKNOWN)
        message->n_unknown_fields = 0;
}

static int too_much(const char *field, size_t most, const char *what, struct rm_err *err)
{
    return rm_fail(err, -EMSGSIZE, "%s: more than %zu %s", field, most, what);
}

/* A pointer out of a generated struct, whatever it points to. */
static void *pointer_at(const char *place)
{
    void *pointer;
    memcpy(&pointer, place, sizeof(pointer));
    return pointer;
}

static int check(ProtobufCMessage *message, struct rm_err *err);

/* One value: of a list one after the other. */
static int check_value(const ProtobufCMessageDescriptor *message,
                       const ProtobufCFieldDescriptor *field, void *value, struct rm_err *err)
{
    const struct bound *bound;
    ProtobufCBinaryData bytes;

    if (field->type == PROTOBUF_C_TYPE_BYTES) {
        memcpy(&bytes, value, sizeof(bytes));
        bound = find(message, field->name);
        return bound && bytes.len > bound->most ? too_much(field->name, bound->most, "bytes", err)
                                                : 0;
    }
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE)
        return 0;
    void *pointer = pointer_at(value);
    if (!pointer)
        return 0;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return check(pointer, err);
    /* Texts in a list are names; what bounds the list is checked there. */
    bound = field->label == PROTOBUF_C_LABEL_REPEATED ? NULL : find(message, field->name);
    size_t most = bound ? bound->most : BOUND_NAME;
    if (bound && bound->cut)
        cut(pointer, most);
    else if (strnlen(pointer, most + 1) > most)
        return too_much(field->name, most, "bytes", err);
    return 0;
}

static int check_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                       struct rm_err *err)
{
    char *values = (char *)message + field->offset;
    const char *quantifier = (const char *)message + field->quantifier_offset;
    size_t n = 1, size = sizeof(void *);

    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        const struct bound *bound = find(message->descriptor, field->name);
        memcpy(&n, quantifier, sizeof(n));
        if (bound && n > bound->most)
            return too_much(field->name, bound->most, "items", err);
        values = pointer_at(values);
    } else if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
        uint32_t which;
        memcpy(&which, quantifier, sizeof(which));
        n = which == field->id ? 1 : 0;
    }
    if (field->type != PROTOBUF_C_TYPE_STRING && field->type != PROTOBUF_C_TYPE_MESSAGE &&
        field->type != PROTOBUF_C_TYPE_BYTES)
        return 0;
    int r = 0;
    for (size_t i = 0; i < n && r >= 0; i++)
        r = check_value(message->descriptor, field, values + i * size, err);
    return r;
}

/* No message of the .proto holds its own kind, so the depth is bounded by the .proto. */
static int check(ProtobufCMessage *message, struct rm_err *err)
{
    int r = 0;

    forget_unknown(message);
    for (unsigned i = 0; i < message->descriptor->n_fields && r >= 0; i++)
        r = check_field(message, &message->descriptor->fields[i], err);
    return r;
}

int bounds_check(RmMessage *message, struct rm_err *err)
{
    return check(&message->base, err);
}
