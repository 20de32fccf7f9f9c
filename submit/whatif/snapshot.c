/* snapshot.c - a snapshot of a site as JSON, written and read */
#include "submit/whatif/snapshot.h"

#include "conf/conf.h"
#include "conf/json.h"
#include "conf/text.h"
#include "submit/listing.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { FORMAT = 1 }; /* raised only when an old field changes its meaning */

#define HOST(field)  FIELD(RmSnapshotHost, field)
#define GUEST(field) FIELD(RmSnapshotGuest, field)
#define RULE(field)  FIELD(RmSnapshotRule, field)

/* ---- written */

static const struct column host_columns[] = {
    {NULL, "host", HOST(name)},
    {NULL, "memory", HOST(memory)},
    {NULL, "vcpus", HOST(vcpus)},
    {NULL, "memory_used", HOST(memory_used)},
    {NULL, "vcpus_used", HOST(vcpus_used)},
    {NULL, "guests_used", HOST(guests_used)},
    {NULL, "group", HOST(group)},
    {NULL, "takes", HOST(takes)},
    {NULL, "last", HOST(last)},
    {NULL, "why", HOST(why)},
    {0},
};

#define LIST(kind, field)                                                                          \
    static void put_##field(struct cell *cell, const void *record)                                 \
    {                                                                                              \
        const kind *of = record;                                                                   \
        cell_texts(cell, of->field, of->n_##field);                                                \
    }
LIST(RmSnapshotGuest, to)
LIST(RmSnapshotGuest, never)
LIST(RmSnapshotGuest, prefer)
LIST(RmSnapshotGuest, rules)
LIST(RmSnapshotRule, hosts)

static const struct column guest_columns[] = {
    {NULL, "guest", GUEST(name)},    {NULL, "host", GUEST(host)},
    {NULL, "memory", GUEST(memory)}, {NULL, "vcpus", GUEST(vcpus)},
    {NULL, "leaves", GUEST(leaves)}, {NULL, "moves", GUEST(moves)},
    {NULL, "why", GUEST(why)},       {NULL, "to", PUT(put_to)},
    {NULL, "never", PUT(put_never)}, {NULL, "prefer", PUT(put_prefer)},
    {NULL, "rules", PUT(put_rules)}, {0},
};

static const struct column rule_columns[] = {
    {NULL, "rule", RULE(text)},
    {NULL, "together", RULE(together)},
    {NULL, "hosts", PUT(put_hosts)},
    {0},
};

static void put_rows(struct json *json, struct arena *arena, const char *name,
                     const struct column *columns, void *const *rows, size_t n)
{
    json_open(json, name, '[');
    for (size_t i = 0; i < n; i++) {
        json_line(json);
        json_open(json, NULL, '{');
        listing_fields(json, columns, arena, rows[i]);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void snapshot_print(struct arena *arena, const RmSnapshot *snapshot)
{
    struct json json = {.file = stdout};
    json_open(&json, NULL, '{');
    json_number(&json, "snapshot", FORMAT);
    put_rows(&json, arena, "hosts", host_columns, (void **)snapshot->hosts, snapshot->n_hosts);
    put_rows(&json, arena, "guests", guest_columns, (void **)snapshot->guests, snapshot->n_guests);
    put_rows(&json, arena, "rules", rule_columns, (void **)snapshot->rules, snapshot->n_rules);
    json_close(&json, '}');
    putchar('\n');
}

/* ---- read */

/* One object on its way to a message; the first thing that is wrong stays. */
struct reading {
    struct arena *arena;
    struct rm_err *err;
    const char *list; /* "hosts" */
    size_t row;       /* counted from 0 */
    const json_t *object;
    int r;
};

static void wrong(struct reading *reading, const char *key, const char *what)
{
    if (reading->r == 0)
        reading->r = rm_fail(reading->err, -EINVAL, "%s[%zu].%s: %s", reading->list, reading->row,
                             key, what);
}

static char *copy(struct reading *reading, const char *key, const json_t *value, size_t most)
{
    const char *text = json_string_value(value);
    if (!text || strlen(text) > most || !text_is_clean(text)) {
        wrong(reading, key, "is no text, or one that is too long or has control characters");
        return (char *)"";
    }
    char *kept = arena_strdup(reading->arena, text);
    if (!kept && reading->r == 0)
        reading->r = rm_fail(reading->err, -ENOMEM, "no memory");
    return kept ? kept : (char *)"";
}

static char *get_text(struct reading *reading, const char *key, size_t most)
{
    const json_t *value = json_object_get(reading->object, key);
    return !value || json_is_null(value) ? (char *)"" : copy(reading, key, value, most);
}

static char *get_name(struct reading *reading, const char *key)
{
    char *name = get_text(reading, key, CONF_NAME_MAX);
    if (*name == '\0')
        wrong(reading, key, "is missing");
    return name;
}

/* Sums of them stay far below what 64 bits hold. */
static uint64_t get_number(struct reading *reading, const char *key, uint64_t most)
{
    const json_t *value = json_object_get(reading->object, key);
    json_int_t n = json_integer_value(value);
    if (!value || json_is_null(value))
        return 0;
    if (!json_is_integer(value) || n < 0 || (uint64_t)n > most) {
        wrong(reading, key, "is no number from 0 on, or too great");
        return 0;
    }
    return (uint64_t)n;
}

static uint64_t get_bytes(struct reading *reading, const char *key)
{
    return get_number(reading, key, UINT64_C(1) << 50);
}

static uint32_t get_count(struct reading *reading, const char *key)
{
    return (uint32_t)get_number(reading, key, SNAPSHOT_ROWS_MAX);
}

static bool get_bool(struct reading *reading, const char *key)
{
    const json_t *value = json_object_get(reading->object, key);
    if (value && !json_is_boolean(value))
        wrong(reading, key, "is neither true nor false");
    return json_is_true(value);
}

static char **get_names(struct reading *reading, const char *key, size_t *ret_n)
{
    const json_t *list = json_object_get(reading->object, key);
    size_t n = json_array_size(list);
    *ret_n = 0;
    if (!list || json_is_null(list))
        return NULL;
    if (!json_is_array(list))
        wrong(reading, key, "is no list");
    char **names = arena_alloc(reading->arena, (n + 1) * sizeof(*names));
    for (size_t i = 0; i < n && names; i++)
        names[(*ret_n)++] = copy(reading, key, json_array_get(list, i), CONF_NAME_MAX);
    return names;
}

static void read_host(struct reading *reading, ProtobufCMessage *message)
{
    RmSnapshotHost *host = (RmSnapshotHost *)message;
    host->name = get_name(reading, "host");
    host->memory = get_bytes(reading, "memory");
    host->vcpus = get_count(reading, "vcpus");
    host->memory_used = get_bytes(reading, "memory_used");
    host->vcpus_used = get_count(reading, "vcpus_used");
    host->guests_used = get_count(reading, "guests_used");
    host->group = get_name(reading, "group");
    host->takes = get_bool(reading, "takes");
    host->last = get_bool(reading, "last");
    host->why = get_text(reading, "why", 4096);
}

static void read_guest(struct reading *reading, ProtobufCMessage *message)
{
    RmSnapshotGuest *guest = (RmSnapshotGuest *)message;
    guest->name = get_name(reading, "guest");
    guest->host = get_name(reading, "host");
    guest->memory = get_bytes(reading, "memory");
    guest->vcpus = get_count(reading, "vcpus");
    guest->leaves = get_bool(reading, "leaves");
    guest->moves = get_bool(reading, "moves");
    guest->why = get_text(reading, "why", 4096);
    guest->to = get_names(reading, "to", &guest->n_to);
    guest->never = get_names(reading, "never", &guest->n_never);
    guest->prefer = get_names(reading, "prefer", &guest->n_prefer);
    guest->rules = get_names(reading, "rules", &guest->n_rules);
}

static void read_rule(struct reading *reading, ProtobufCMessage *message)
{
    RmSnapshotRule *rule = (RmSnapshotRule *)message;
    rule->text = get_name(reading, "rule");
    rule->together = get_bool(reading, "together");
    rule->hosts = get_names(reading, "hosts", &rule->n_hosts);
}

static void read_rows(struct reading *reading, const json_t *root, const char *list,
                      const ProtobufCMessageDescriptor *kind,
                      void (*read)(struct reading *reading, ProtobufCMessage *message),
                      size_t *ret_n, void ***ret_rows)
{
    const json_t *rows = json_object_get(root, list);
    size_t n = json_array_size(rows);
    if (reading->r != 0)
        return;
    if (!json_is_array(rows) || n > SNAPSHOT_ROWS_MAX) {
        reading->r =
            rm_fail(reading->err, -EINVAL, "%s is no list of %d at most", list, SNAPSHOT_ROWS_MAX);
        return;
    }
    *ret_rows = arena_alloc(reading->arena, (n + 1) * sizeof(void *));
    for (size_t i = 0; i < n && reading->r == 0; i++) {
        ProtobufCMessage *message = arena_alloc(reading->arena, kind->sizeof_message);
        if (!message || !*ret_rows) {
            reading->r = rm_fail(reading->err, -ENOMEM, "no memory");
            return;
        }
        kind->message_init(message);
        reading->list = list;
        reading->row = i;
        reading->object = json_array_get(rows, i);
        if (json_is_object(reading->object))
            read(reading, message);
        else
            wrong(reading, "", "is no object");
        (*ret_rows)[(*ret_n)++] = message;
    }
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(RmSnapshotHost *const *)a)->name, (*(RmSnapshotHost *const *)b)->name);
}

static int by_text(const void *a, const void *b)
{
    return strcmp((*(RmSnapshotRule *const *)a)->text, (*(RmSnapshotRule *const *)b)->text);
}

static bool has_host(const RmSnapshot *s, const char *name)
{
    RmSnapshotHost key = RM_SNAPSHOT_HOST__INIT, *wanted = &key;
    key.name = (char *)name;
    return s->n_hosts > 0 && bsearch(&wanted, s->hosts, s->n_hosts, sizeof(*s->hosts), by_name);
}

static void check_hosts(struct reading *reading, const RmSnapshot *s, char *const *names, size_t n)
{
    for (size_t i = 0; i < n && reading->r == 0; i++)
        if (!has_host(s, names[i]))
            reading->r = rm_fail(reading->err, -EINVAL, "%s[%zu] names %s, which is no host of it",
                                 reading->list, reading->row, names[i]);
}

static void check_rules(struct reading *reading, const RmSnapshot *s, const RmSnapshotGuest *guest)
{
    for (size_t i = 0; i < guest->n_rules && reading->r == 0; i++) {
        RmSnapshotRule key = RM_SNAPSHOT_RULE__INIT, *wanted = &key;
        key.text = guest->rules[i];
        if (s->n_rules == 0 || !bsearch(&wanted, s->rules, s->n_rules, sizeof(*s->rules), by_text))
            reading->r = rm_fail(reading->err, -EINVAL, "%s[%zu] names %s, which is no rule of it",
                                 reading->list, reading->row, guest->rules[i]);
        for (size_t k = 0; k < i; k++)
            if (strcmp(guest->rules[i], guest->rules[k]) == 0)
                wrong(reading, "rules", "names one twice");
    }
}

/* Names that the snapshot itself has to know, each once. */
static void check(struct reading *reading, RmSnapshot *s)
{
    if (s->n_hosts > 0)
        qsort(s->hosts, s->n_hosts, sizeof(*s->hosts), by_name);
    if (s->n_rules > 0)
        qsort(s->rules, s->n_rules, sizeof(*s->rules), by_text);
    for (size_t i = 1; i < s->n_hosts && reading->r == 0; i++)
        if (by_name(&s->hosts[i - 1], &s->hosts[i]) == 0)
            reading->r =
                rm_fail(reading->err, -EINVAL, "host %s is there twice", s->hosts[i]->name);
    for (size_t i = 1; i < s->n_rules && reading->r == 0; i++)
        if (by_text(&s->rules[i - 1], &s->rules[i]) == 0)
            reading->r =
                rm_fail(reading->err, -EINVAL, "rule %s is there twice", s->rules[i]->text);
    reading->list = "hosts";
    for (reading->row = 0; reading->row < s->n_hosts; reading->row++)
        check_hosts(reading, s, &s->hosts[reading->row]->group, 1);
    reading->list = "rules";
    for (reading->row = 0; reading->row < s->n_rules; reading->row++)
        check_hosts(reading, s, s->rules[reading->row]->hosts, s->rules[reading->row]->n_hosts);
    reading->list = "guests";
    for (reading->row = 0; reading->row < s->n_guests; reading->row++) {
        const RmSnapshotGuest *guest = s->guests[reading->row];
        check_hosts(reading, s, &guest->host, 1);
        check_hosts(reading, s, guest->to, guest->n_to);
        check_hosts(reading, s, guest->never, guest->n_never);
        check_hosts(reading, s, guest->prefer, guest->n_prefer);
        check_rules(reading, s, guest);
    }
}

/* The whole file, bounded; owned by the caller. */
static char *load(const char *name, size_t *ret_length, struct rm_err *err)
{
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    size_t size = 64 * 1024, n = 0;
    char *text = file ? malloc(size) : NULL;
    int r = file && !text ? -ENOMEM : file ? 0 : -errno;
    while (r == 0 && !feof(file)) {
        n += fread(text + n, 1, size - n, file);
        if (ferror(file)) {
            r = errno ? -errno : -EIO;
        } else if (n == SNAPSHOT_BYTES_MAX) {
            r = -EFBIG;
        } else if (n == size) {
            size *= 2;
            char *more = realloc(text, size);
            text = more ? more : text;
            r = more ? 0 : -ENOMEM;
        }
    }
    if (file && file != stdin)
        fclose(file);
    if (r < 0) {
        free(text);
        rm_fail(err, r, "%s", strerror(-r));
        return NULL;
    }
    *ret_length = n;
    return text;
}

int snapshot_read(const char *file, struct arena *arena, RmSnapshot **ret_snapshot,
                  struct rm_err *err)
{
    struct reading reading = {.arena = arena, .err = err};
    RmSnapshot *s = arena_alloc(arena, sizeof(*s));
    json_error_t where;
    size_t length = 0;
    char *text = load(file, &length, err);
    if (!text)
        return -EINVAL;
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
    free(text);
    if (!root)
        return rm_fail(err, -EINVAL, "line %d: %s", where.line, where.text);
    if (!s)
        reading.r = rm_fail(err, -ENOMEM, "no memory");
    else if (json_integer_value(json_object_get(root, "snapshot")) != FORMAT)
        reading.r =
            rm_fail(err, -EINVAL, "is not what rmigrate snapshot writes (snapshot: %d)", FORMAT);
    if (reading.r == 0) {
        rm_snapshot__init(s);
        read_rows(&reading, root, "hosts", &rm_snapshot_host__descriptor, read_host, &s->n_hosts,
                  (void ***)(void *)&s->hosts);
        read_rows(&reading, root, "guests", &rm_snapshot_guest__descriptor, read_guest,
                  &s->n_guests, (void ***)(void *)&s->guests);
        read_rows(&reading, root, "rules", &rm_snapshot_rule__descriptor, read_rule, &s->n_rules,
                  (void ***)(void *)&s->rules);
    }
    json_decref(root);
    if (reading.r == 0)
        check(&reading, s);
    *ret_snapshot = s;
    return reading.r;
}
