/* record.c - typed access to the broker's records, through one pair of helpers over the descriptors
 */
#include "store/record.h"

#include "conf/conf.h"
#include "store/key.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Names of single values in STORE_META: numbers, of 8 bytes, big-endian, */
static const char meta_schema[] = "schema";
static const char meta_next_id[] = "next_id";
/* and one message. */
static const char meta_holds[] = "holds";

enum {
    PACK_STACK = 2048, /* most records are smaller than this and need no malloc */
    U64 = 8,           /* bytes of a number in a key */
    TRIM_CHUNK = 64,   /* tokens forgotten between two walks */
};

const ProtobufCMessageDescriptor *record_descriptor(enum store_table table)
{
    static const ProtobufCMessageDescriptor *const descriptors[STORE_TABLES] = {
        [STORE_JOB] = &rm_job__descriptor,       [STORE_LIVE] = &rm_live__descriptor,
        [STORE_RESULT] = &rm_result__descriptor, [STORE_EVENT] = &rm_event__descriptor,
        [STORE_BATCH] = &rm_batch__descriptor,   [STORE_GUEST] = &rm_guest__descriptor,
        [STORE_HOST] = &rm_host__descriptor,     [STORE_TOKEN] = &rm_token__descriptor,
        [STORE_ROW] = &rm_row__descriptor,       [STORE_PLAN] = &rm_plan__descriptor,
    };
    return descriptors[table];
}

/* ---- the pair of helpers */

int record_put(struct store *store, enum store_table table, const void *key, size_t key_length,
               const ProtobufCMessage *record, bool append)
{
    assert(record->descriptor == record_descriptor(table));
    uint8_t stack[PACK_STACK];
    size_t length = protobuf_c_message_get_packed_size(record);
    uint8_t *value = length <= sizeof(stack) ? stack : malloc(length);
    if (!value)
        return -ENOMEM;
    protobuf_c_message_pack(record, value);
    int r = store_put(store, table, key, key_length, value, length, append);
    if (value != stack)
        free(value);
    return r;
}

int record_unpack(enum store_table table, const void *value, size_t length, struct arena *arena,
                  ProtobufCMessage **ret_record)
{
    const ProtobufCMessageDescriptor *descriptor = record_descriptor(table);
    if (!descriptor)
        return -EINVAL;
    ProtobufCMessage *record =
        protobuf_c_message_unpack(descriptor, arena_allocator(arena), length, value);
    if (!record) /* no memory looks the same from outside: ask the arena */
        return arena_alloc(arena, descriptor->sizeof_message) ? -EBADMSG : -ENOMEM;
    *ret_record = record;
    return 0;
}

/* ret_record: of a pointer to the type of this table's records. */
static int get(struct store *store, enum store_table table, const void *key, size_t key_length,
               struct arena *arena, void *ret_record)
{
    struct store_bytes bytes;
    ProtobufCMessage *record;
    int r = store_get(store, table, key, key_length, &bytes);
    if (r == 0)
        r = record_unpack(table, bytes.data, bytes.length, arena, &record);
    if (r == 0)
        memcpy(ret_record, &record, sizeof(record));
    return r;
}

static int put_id(struct store *store, enum store_table table, uint64_t id,
                  const ProtobufCMessage *record, bool append)
{
    uint8_t key[U64];
    key_u64(key, id);
    return record_put(store, table, key, sizeof(key), record, append);
}

static int get_id(struct store *store, enum store_table table, uint64_t id, struct arena *arena,
                  void *ret_record)
{
    uint8_t key[U64];
    key_u64(key, id);
    return get(store, table, key, sizeof(key), arena, ret_record);
}

static_assert((int)CONF_NAME_MAX <= (int)STORE_KEY_MAX, "names are keys");

static int put_name(struct store *store, enum store_table table, const char *name,
                    const ProtobufCMessage *record)
{
    size_t length = strlen(name);
    if (length > CONF_NAME_MAX)
        return -EINVAL;
    return record_put(store, table, name, length, record, false);
}

static int get_name(struct store *store, enum store_table table, const char *name,
                    struct arena *arena, void *ret_record)
{
    size_t length = strlen(name);
    if (length == 0 || length > CONF_NAME_MAX)
        return -ENOENT;
    return get(store, table, name, length, arena, ret_record);
}

/* ---- meta */

static int meta_get(struct store *store, const char *name, uint64_t *ret_number)
{
    struct store_bytes bytes;
    int r = store_get(store, STORE_META, name, strlen(name), &bytes);
    if (r < 0)
        return r;
    if (bytes.length != U64)
        return -EBADMSG;
    *ret_number = key_read_u64(bytes.data);
    return 0;
}

static int meta_put(struct store *store, const char *name, uint64_t number)
{
    uint8_t value[U64];
    key_u64(value, number);
    return store_put(store, STORE_META, name, strlen(name), value, sizeof(value), false);
}

int record_open(struct store *store, struct rm_err *err)
{
    uint64_t schema = 0;
    int r = meta_get(store, meta_schema, &schema);
    store_rest(store);
    if (r == -ENOENT && store_is_read_only(store))
        return rm_fail(err, -EINVAL, "the store %s was never used: start the broker once",
                       store_path(store));
    if (r == -ENOENT) {
        for (int table = 0; table < STORE_TABLES; table++)
            if (store_count(store, (enum store_table)table) > 0)
                return rm_fail(err, -EINVAL,
                               "the store %s has records but no schema number: "
                               "it is damaged, restore a backup",
                               store_path(store));
        r = meta_put(store, meta_schema, RECORD_SCHEMA);
        if (r == 0)
            r = meta_put(store, meta_next_id, 1);
        if (r == 0)
            return store_commit(store, err);
        store_abort(store);
        return rm_fail(err, r, "cannot write the store %s: %s", store_path(store), strerror(-r));
    }
    if (r < 0)
        return rm_fail(err, r, "cannot read the schema number of the store %s: %s",
                       store_path(store), strerror(-r));
    if (schema != RECORD_SCHEMA)
        return rm_fail(err, -EINVAL,
                       "the store %s has schema %" PRIu64 ", this program knows %d: "
                       "use the version of rmigrate that wrote it",
                       store_path(store), schema, RECORD_SCHEMA);
    return 0;
}

int record_peek_id(struct store *store, uint64_t *ret_next)
{
    return meta_get(store, meta_next_id, ret_next);
}

/* Read from the transaction each time, about a microsecond, so that there is nothing to put right
 * after an abort. */
int record_next_id(struct store *store, uint64_t count, uint64_t *ret_first)
{
    uint64_t next;
    int r = meta_get(store, meta_next_id, &next);
    if (r < 0)
        return r;
    if (count > UINT64_MAX - next)
        return -EOVERFLOW;
    r = meta_put(store, meta_next_id, next + count);
    if (r == 0)
        *ret_first = next;
    return r;
}

/* ---- holds */

int record_holds_put(struct store *store, const RmHolds *holds)
{
    size_t length = rm_holds__get_packed_size(holds);
    uint8_t *value = malloc(length + 1);
    if (!value)
        return -ENOMEM;
    rm_holds__pack(holds, value);
    int r = store_put(store, STORE_META, meta_holds, strlen(meta_holds), value, length, false);
    free(value);
    return r;
}

int record_holds_get(struct store *store, struct arena *arena, RmHolds **ret_holds)
{
    struct store_bytes bytes;
    int r = store_get(store, STORE_META, meta_holds, strlen(meta_holds), &bytes);
    if (r < 0)
        return r;
    RmHolds *holds = rm_holds__unpack(arena_allocator(arena), bytes.length, bytes.data);
    if (!holds)
        return -EBADMSG;
    *ret_holds = holds;
    return 0;
}

/* ---- jobs */

int record_job_put(struct store *store, const RmJob *job)
{
    return put_id(store, STORE_JOB, job->id, &job->base, /* append = */ true);
}

int record_job_get(struct store *store, uint64_t id, struct arena *arena, RmJob **ret_job)
{
    return get_id(store, STORE_JOB, id, arena, ret_job);
}

static int delete_id(struct store *store, enum store_table table, uint64_t id)
{
    uint8_t key[U64];
    key_u64(key, id);
    return store_delete(store, table, key, sizeof(key));
}

int record_job_delete(struct store *store, uint64_t id)
{
    uint8_t key[U64];
    key_u64(key, id);
    int r = store_delete_prefix(store, STORE_EVENT, key, sizeof(key));
    if (r == 0)
        r = delete_id(store, STORE_JOB, id);
    if (r == 0 || r == -ENOENT)
        r = delete_id(store, STORE_RESULT, id);
    return r == -ENOENT ? 0 : r;
}

int record_live_put(struct store *store, const RmLive *live)
{
    return put_id(store, STORE_LIVE, live->id, &live->base, /* append = */ false);
}

int record_live_delete(struct store *store, uint64_t id)
{
    return delete_id(store, STORE_LIVE, id);
}

int record_live_get(struct store *store, uint64_t id, struct arena *arena, RmLive **ret_live)
{
    return get_id(store, STORE_LIVE, id, arena, ret_live);
}

int record_result_put(struct store *store, const RmResult *result)
{
    return put_id(store, STORE_RESULT, result->id, &result->base, /* append = */ false);
}

int record_result_get(struct store *store, uint64_t id, struct arena *arena, RmResult **ret_result)
{
    return get_id(store, STORE_RESULT, id, arena, ret_result);
}

int record_batch_put(struct store *store, const RmBatch *batch)
{
    return put_id(store, STORE_BATCH, batch->id, &batch->base, /* append = */ false);
}

int record_batch_get(struct store *store, uint64_t id, struct arena *arena, RmBatch **ret_batch)
{
    return get_id(store, STORE_BATCH, id, arena, ret_batch);
}

int record_batch_delete(struct store *store, uint64_t id)
{
    return delete_id(store, STORE_BATCH, id);
}

int record_plan_put(struct store *store, const RmPlan *plan)
{
    return put_id(store, STORE_PLAN, plan->id, &plan->base, /* append = */ false);
}

int record_plan_get(struct store *store, uint64_t id, struct arena *arena, RmPlan **ret_plan)
{
    return get_id(store, STORE_PLAN, id, arena, ret_plan);
}

int record_plan_delete(struct store *store, uint64_t id)
{
    return delete_id(store, STORE_PLAN, id);
}

/* ---- events: job, sequence */

static void event_key(uint8_t key[static 2 * U64], uint64_t job, uint64_t sequence)
{
    key_u64(key, job);
    key_u64(key + U64, sequence);
}

int record_event_put(struct store *store, const RmEvent *event)
{
    uint8_t key[2 * U64];
    event_key(key, event->job, event->sequence);
    return record_put(store, STORE_EVENT, key, sizeof(key), &event->base, false);
}

/* The first key of a walk that is an event without a job tells the last sequence. */
static int last_site_event(void *ctx, const void *key, size_t key_length, const void *value,
                           size_t length)
{
    (void)value;
    (void)length;
    if (key_length == 2 * U64 && key_read_u64(key) == 0)
        *(uint64_t *)ctx = key_read_u64((const uint8_t *)key + U64);
    return 1;
}

int record_site_event_put(struct store *store, RmEvent *event)
{
    uint8_t key[2 * U64];
    uint64_t last = 0;
    event_key(key, 0, UINT64_MAX);
    int r = store_walk(store, STORE_EVENT, key, sizeof(key), true, last_site_event, &last);
    if (r < 0)
        return r;
    event->job = 0;
    event->sequence = last + 1;
    return record_event_put(store, event);
}

struct old_events {
    uint64_t before, to; /* from before that, or with a sequence up to that one */
    uint64_t newest;
    uint64_t first; /* a run of sequences: how many of them go */
    unsigned n, most;
};

static int count_old_event(void *ctx, const ProtobufCMessage *record)
{
    struct old_events *old = ctx;
    const RmEvent *event = (const RmEvent *)record;
    if (old->n == old->most || event->sequence == old->newest ||
        (event->at >= old->before && event->sequence > old->to))
        return 1;
    if (old->n++ == 0)
        old->first = event->sequence;
    return 0;
}

int record_site_event_trim(struct store *store, uint64_t before, uint64_t kept, unsigned most)
{
    struct old_events old = {.before = before, .most = most};
    uint8_t key[2 * U64];
    event_key(key, 0, UINT64_MAX);
    int r = store_walk(store, STORE_EVENT, key, sizeof(key), true, last_site_event, &old.newest);
    old.to = old.newest > kept ? old.newest - kept : 0;
    if (r >= 0)
        r = record_walk_ids(store, STORE_EVENT, 0, 0, /* down = */ false, count_old_event, &old);
    for (unsigned i = 0; i < old.n && r >= 0; i++) {
        event_key(key, 0, old.first + i);
        r = store_delete(store, STORE_EVENT, key, sizeof(key));
        r = r == -ENOENT ? 0 : r; /* a gap: some record was damaged */
    }
    return r < 0 ? r : (int)old.n;
}

/* ---- guests and hosts */

int record_guest_put(struct store *store, const RmGuest *guest)
{
    return put_name(store, STORE_GUEST, guest->name, &guest->base);
}

int record_guest_delete(struct store *store, const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length > CONF_NAME_MAX)
        return -ENOENT;
    return store_delete(store, STORE_GUEST, name, length);
}

int record_guest_get(struct store *store, const char *name, struct arena *arena,
                     RmGuest **ret_guest)
{
    return get_name(store, STORE_GUEST, name, arena, ret_guest);
}

int record_host_put(struct store *store, const RmHost *host)
{
    return put_name(store, STORE_HOST, host->name, &host->base);
}

int record_host_get(struct store *store, const char *name, struct arena *arena, RmHost **ret_host)
{
    return get_name(store, STORE_HOST, name, arena, ret_host);
}

/* ---- tokens: a second table holds their ages */

static void age_key(uint8_t key[static U64 + RECORD_TOKEN], uint64_t at, const void *token)
{
    key_u64(key, at);
    memcpy(key + U64, token, RECORD_TOKEN);
}

int record_token_put(struct store *store, const RmToken *token)
{
    uint8_t age[U64 + RECORD_TOKEN];
    if (token->token.len != RECORD_TOKEN)
        return -EINVAL;
    struct arena *arena = arena_new(0);
    if (!arena)
        return -ENOMEM;
    RmToken *old;
    int r = record_token_get(store, token->token.data, arena, &old);
    if (r == 0 && old->at != token->at) {
        age_key(age, old->at, token->token.data);
        r = store_delete(store, STORE_TOKEN_AGE, age, sizeof(age));
    }
    arena_free(arena);
    if (r < 0 && r != -ENOENT)
        return r;
    age_key(age, token->at, token->token.data);
    r = store_put(store, STORE_TOKEN_AGE, age, sizeof(age), "", 0, /* append = */ true);
    if (r < 0)
        return r;
    return record_put(store, STORE_TOKEN, token->token.data, RECORD_TOKEN, &token->base, false);
}

int record_token_get(struct store *store, const void *token, struct arena *arena,
                     RmToken **ret_token)
{
    return get(store, STORE_TOKEN, token, RECORD_TOKEN, arena, ret_token);
}

struct trim {
    uint64_t before;
    unsigned most; /* keys wanted, at most TRIM_CHUNK */
    unsigned n;
    uint8_t keys[TRIM_CHUNK][U64 + RECORD_TOKEN];
};

static int collect_old(void *ctx, const void *key, size_t key_length, const void *value,
                       size_t length)
{
    struct trim *trim = ctx;
    (void)value;
    (void)length;
    if (key_length != sizeof(trim->keys[0]))
        return -EBADMSG;
    if (trim->n == trim->most || key_read_u64(key) >= trim->before)
        return 1;
    memcpy(trim->keys[trim->n++], key, key_length);
    return 0;
}

int record_token_trim(struct store *store, uint64_t before, unsigned most)
{
    struct trim trim = {.before = before};
    unsigned gone = 0;
    do {
        trim.most = most < TRIM_CHUNK ? most : TRIM_CHUNK;
        trim.n = 0;
        int r = store_walk(store, STORE_TOKEN_AGE, NULL, 0, false, collect_old, &trim);
        for (unsigned i = 0; i < trim.n && r >= 0; i++) {
            r = store_delete(store, STORE_TOKEN, trim.keys[i] + U64, RECORD_TOKEN);
            if (r == 0 || r == -ENOENT)
                r = store_delete(store, STORE_TOKEN_AGE, trim.keys[i], sizeof(trim.keys[i]));
        }
        if (r < 0)
            return r;
        most -= trim.n;
        gone += trim.n;
    } while (most > 0 && trim.n == TRIM_CHUNK);
    return (int)gone;
}

/* ---- walks */

struct walk {
    enum store_table table;
    struct arena *scratch;
    record_walk_f *f;
    record_damaged_f *damaged; /* NULL: a damaged record ends the walk */
    void *ctx;
    bool has_limit;
    uint64_t limit; /* the walk ends where the first number of the key is beyond it */
    bool down;
};

static int walk_one(void *ctx, const void *key, size_t key_length, const void *value, size_t length)
{
    struct walk *walk = ctx;
    ProtobufCMessage *record;
    if (walk->has_limit && key_length >= U64) {
        uint64_t id = key_read_u64(key);
        if (walk->down ? id < walk->limit : id > walk->limit)
            return 1;
    }
    int r = record_unpack(walk->table, value, length, walk->scratch, &record);
    if (r == 0) {
        r = walk->f(walk->ctx, record);
    } else if (r == -EBADMSG && walk->damaged) {
        walk->damaged(walk->ctx, walk->table, key, key_length);
        r = 0;
    }
    arena_reset(walk->scratch);
    return r;
}

static int walk_run(struct store *store, struct walk *walk, const void *from, size_t from_length)
{
    if (!record_descriptor(walk->table))
        return -EINVAL;
    walk->scratch = arena_new(0);
    if (!walk->scratch)
        return -ENOMEM;
    int r = store_walk(store, walk->table, from, from_length, walk->down, walk_one, walk);
    arena_free(walk->scratch);
    return r < 0 ? r : 0;
}

int record_walk(struct store *store, enum store_table table, record_walk_f *f,
                record_damaged_f *damaged, void *ctx)
{
    struct walk walk = {.table = table, .f = f, .damaged = damaged, .ctx = ctx};
    return walk_run(store, &walk, NULL, 0);
}

/* rmigrate-store check names it. */
static void pass_over(void *ctx, enum store_table table, const void *key, size_t length)
{
    (void)ctx;
    (void)table;
    (void)key;
    (void)length;
}

int record_walk_ids(struct store *store, enum store_table table, uint64_t first, uint64_t last,
                    bool down, record_walk_f *f, void *ctx)
{
    uint8_t from[U64];
    struct walk walk = {.table = table, .f = f, .damaged = pass_over, .ctx = ctx, .down = down};
    walk.has_limit = true;
    walk.limit = down ? first : last;
    key_u64(from, down ? last : first);
    return walk_run(store, &walk, from, sizeof(from));
}

int record_walk_events(struct store *store, uint64_t job, uint64_t from, record_walk_f *f,
                       void *ctx)
{
    uint8_t key[2 * U64];
    struct walk walk = {.table = STORE_EVENT, .f = f, .ctx = ctx, .has_limit = true, .limit = job};
    walk.down = job == 0;
    event_key(key, job, job == 0 && from == 0 ? UINT64_MAX : from);
    return walk_run(store, &walk, key, sizeof(key));
}
