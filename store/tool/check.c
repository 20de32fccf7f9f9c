/* check.c - is everything in the store what it should be? */
#include "store/tool/check.h"

#include "store/key.h"
#include "store/record.h"
#include "store/tables/table.h"
#include "store/tool/dump.h"
#include "wire/job.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { U64 = 8 };

struct check {
    struct store *store;
    FILE *file;
    struct arena *record; /* the record that is looked at */
    struct arena *other;  /* others that it is compared with; reset with it */
    uint64_t next_id;
    enum store_table table; /* that is walked, and the key of the record */
    const void *key;
    size_t length;
    uint64_t event_job; /* of the last event that was seen; UINT64_MAX = none */
    int n;
};

static void complain(struct check *check, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void complain(struct check *check, const char *format, ...)
{
    check->n++;
    if (!check->file)
        return;
    va_list ap;
    va_start(ap, format);
    vfprintf(check->file, format, ap);
    va_end(ap);
    putc('\n', check->file);
}

/* An error of a look-up that is not "there is none": -ENOENT and 0 pass. True when there is one. */
static bool is_there(struct check *check, int r, const char *what, uint64_t id)
{
    if (r < 0 && r != -ENOENT)
        complain(check, "%s %" PRIu64 ": cannot be read: %s", what, id, strerror(-r));
    return r == 0;
}

static bool has_id(struct check *check, enum store_table table, uint64_t id)
{
    uint8_t key[U64];
    struct store_bytes bytes;
    key_u64(key, id);
    int r = store_get(check->store, table, key, sizeof(key), &bytes);
    return is_there(check, r, store_table_name(table), id);
}

/* The id that the key says and the record must have. False: pass the record over. */
static bool id_is_right(struct check *check, uint64_t id)
{
    const char *what = store_table_name(check->table);
    if (check->length != U64 || key_read_u64(check->key) != id) {
        complain(check, "%s %" PRIu64 ": stands under another key", what, id);
        return false;
    }
    if (id == 0 || id >= check->next_id)
        complain(check, "%s %" PRIu64 ": the next id is %" PRIu64, what, id, check->next_id);
    return true;
}

static void name_is_right(struct check *check, const char *name)
{
    if (strlen(name) != check->length || memcmp(name, check->key, check->length) != 0)
        complain(check, "%s %s: stands under another key", store_table_name(check->table), name);
}

/* ---- events */

struct sequence {
    struct check *check;
    uint64_t job;
    uint64_t n;
};

static int next_event(void *ctx, const ProtobufCMessage *record)
{
    struct sequence *sequence = ctx;
    const RmEvent *event = (const RmEvent *)record;
    if (event->sequence != ++sequence->n) {
        complain(sequence->check, "job %" PRIu64 ": event %" PRIu64 " is missing", sequence->job,
                 sequence->n);
        sequence->n = event->sequence;
    }
    return 0;
}

static void events_are_whole(struct check *check, uint64_t job, uint64_t n)
{
    struct sequence sequence = {.check = check, .job = job};
    int r = record_walk_events(check->store, job, 0, next_event, &sequence);
    if (r == -EBADMSG)
        return; /* the walk over all events complains */
    if (r < 0)
        complain(check, "job %" PRIu64 ": its events cannot be read: %s", job, strerror(-r));
    else if (sequence.n != n)
        complain(check, "job %" PRIu64 ": has %" PRIu64 " events, should have %" PRIu64, job,
                 sequence.n, n);
}

/* ---- one function for the records of each table */

static void check_job(struct check *check, const void *record)
{
    const RmJob *job = record;
    if (!id_is_right(check, job->id))
        return;
    bool is_live = has_id(check, STORE_LIVE, job->id);
    bool has_result = has_id(check, STORE_RESULT, job->id);
    if (is_live && has_result)
        complain(check, "job %" PRIu64 ": is live and finished", job->id);
    if (!is_live && !has_result)
        complain(check, "job %" PRIu64 ": is neither live nor finished", job->id);
    if (job->batch != 0 && !has_id(check, STORE_BATCH, job->batch))
        complain(check, "job %" PRIu64 ": there is no batch %" PRIu64, job->id, job->batch);
}

static void check_live(struct check *check, const void *record)
{
    const RmLive *live = record;
    RmJob *job;
    RmGuest *guest;
    if (!id_is_right(check, live->id))
        return;
    if (job_is_final(live->state) || live->state == RM_STATE__NO_STATE)
        complain(check, "live %" PRIu64 ": its state is '%s'", live->id,
                 job_state_name(live->state));
    events_are_whole(check, live->id, live->events);
    if (!is_there(check, record_job_get(check->store, live->id, check->other, &job), "job",
                  live->id)) {
        complain(check, "live %" PRIu64 ": there is no such job", live->id);
        return;
    }
    int r = record_guest_get(check->store, job->guest, check->other, &guest);
    if (!is_there(check, r, "guest of job", live->id))
        complain(check, "live %" PRIu64 ": there is no guest %s", live->id, job->guest);
    else if (guest->active_job != live->id)
        complain(check, "live %" PRIu64 ": guest %s is locked by %" PRIu64, live->id, job->guest,
                 guest->active_job);
}

static void check_result(struct check *check, const void *record)
{
    const RmResult *result = record;
    if (!id_is_right(check, result->id))
        return;
    if (!job_is_final(result->state))
        complain(check, "result %" PRIu64 ": its state is '%s'", result->id,
                 job_state_name(result->state));
    if (!has_id(check, STORE_JOB, result->id))
        complain(check, "result %" PRIu64 ": there is no such job", result->id);
    events_are_whole(check, result->id, result->events);
}

static void check_event(struct check *check, const void *record)
{
    const RmEvent *event = record;
    const uint8_t *bytes = check->key;
    if (check->length != 2 * U64 || key_read_u64(bytes) != event->job ||
        key_read_u64(bytes + U64) != event->sequence) {
        complain(check, "event %" PRIu64 " of job %" PRIu64 ": stands under another key",
                 event->sequence, event->job);
        return;
    }
    if (event->job != 0 && event->job != check->event_job && !has_id(check, STORE_JOB, event->job))
        complain(check, "event %" PRIu64 " of job %" PRIu64 ": there is no such job",
                 event->sequence, event->job);
    check->event_job = event->job;
}

static void check_batch(struct check *check, const void *record)
{
    const RmBatch *batch = record;
    if (!id_is_right(check, batch->id))
        return;
    for (size_t i = 0; i < batch->n_jobs; i++) {
        const RmRange *range = batch->jobs[i];
        if (range->first == 0 || range->count > check->next_id ||
            range->first > check->next_id - range->count)
            complain(check, "batch %" PRIu64 ": has jobs that were never made", batch->id);
    }
}

static void check_plan(struct check *check, const void *record)
{
    const RmPlan *plan = record;
    if (id_is_right(check, plan->id) && plan->batch >= check->next_id)
        complain(check, "plan %" PRIu64 ": is carried out by a batch that was never made",
                 plan->id);
}

static void check_guest(struct check *check, const void *record)
{
    const RmGuest *guest = record;
    RmJob *job;
    name_is_right(check, guest->name);
    if (guest->active_job == 0)
        return;
    if (!has_id(check, STORE_LIVE, guest->active_job)) {
        complain(check, "guest %s: is locked by job %" PRIu64 ", which is not live", guest->name,
                 guest->active_job);
        return;
    }
    int r = record_job_get(check->store, guest->active_job, check->other, &job);
    if (is_there(check, r, "job", guest->active_job) && strcmp(job->guest, guest->name) != 0)
        complain(check, "guest %s: is locked by job %" PRIu64 ", which moves %s", guest->name,
                 guest->active_job, job->guest);
}

static void check_host(struct check *check, const void *record)
{
    const RmHost *host = record;
    name_is_right(check, host->name);
}

static void check_token(struct check *check, const void *record)
{
    const RmToken *token = record;
    size_t length = check->length;
    uint8_t age[U64 + RECORD_TOKEN];
    struct store_bytes bytes;
    if (length != RECORD_TOKEN || token->token.len != length ||
        memcmp(token->token.data, check->key, length) != 0) {
        complain(check, "token of %" PRIu64 ": stands under another key", token->at);
        return;
    }
    key_u64(age, token->at);
    memcpy(age + U64, check->key, length);
    if (store_get(check->store, STORE_TOKEN_AGE, age, sizeof(age), &bytes) != 0)
        complain(check, "token of %" PRIu64 ": its age is missing", token->at);
}

static void check_row(struct check *check, const void *record)
{
    const RmRow *row = record;
    size_t name_length = strnlen(check->key, check->length);
    bool is_key = check->length == name_length + 1 + U64;
    const struct table *table = is_key ? table_find(check->key) : NULL;
    if (!table) {
        complain(check, "row: stands under an impossible key");
        return;
    }
    uint64_t number = key_read_u64((const uint8_t *)check->key + name_length + 1), found;
    const char *name = table_cell(row, 0);
    if (!name || strcmp(row->table, table->name) != 0)
        complain(check, "row %" PRIu64 " of table %s: has no key, or is of another table", number,
                 table->name);
    else if (table_row_number(check->store, table, name, &found) != 0 || found != number)
        complain(check, "row %" PRIu64 " of table %s: is not found by its key %s", number,
                 table->name, name);
}

/* ---- the walk over all tables */

static void (*const checks[STORE_TABLES])(struct check *check, const void *record) = {
    [STORE_JOB] = check_job,     [STORE_LIVE] = check_live,   [STORE_RESULT] = check_result,
    [STORE_EVENT] = check_event, [STORE_BATCH] = check_batch, [STORE_GUEST] = check_guest,
    [STORE_HOST] = check_host,   [STORE_TOKEN] = check_token, [STORE_ROW] = check_row,
    [STORE_PLAN] = check_plan,
};

static int visit(void *ctx, const void *key, size_t key_length, const void *value, size_t length)
{
    struct check *check = ctx;
    char text[DUMP_KEY_MAX];
    ProtobufCMessage *record;
    int r = record_unpack(check->table, value, length, check->record, &record);
    check->key = key;
    check->length = key_length;
    if (r == 0)
        checks[check->table](check, record);
    else
        complain(check, "%s %s: %s", store_table_name(check->table),
                 dump_key(check->table, key, key_length, text),
                 r == -EBADMSG ? "is damaged" : strerror(-r));
    arena_reset(check->record);
    arena_reset(check->other);
    return 0;
}

static void same_count(struct check *check, enum store_table a, enum store_table b)
{
    uint64_t n = store_count(check->store, a), m = store_count(check->store, b);
    if (n != m)
        complain(check, "%s has %" PRIu64 " entries, %s has %" PRIu64, store_table_name(a), n,
                 store_table_name(b), m);
}

int store_check(struct store *store, FILE *complaints)
{
    struct check check = {.store = store, .file = complaints, .event_job = UINT64_MAX};
    check.record = arena_new(0);
    check.other = arena_new(0);
    int r = check.record && check.other ? record_peek_id(store, &check.next_id) : -ENOMEM;
    if (r < 0)
        complain(&check, "meta: the next id cannot be read: %s", strerror(-r));
    for (int i = 0; i < STORE_TABLES && r >= 0; i++) {
        check.table = (enum store_table)i;
        if (!checks[i])
            continue;
        r = store_walk(store, check.table, NULL, 0, false, visit, &check);
        if (r < 0)
            complain(&check, "%s: cannot be read: %s", store_table_name(check.table), strerror(-r));
    }
    same_count(&check, STORE_TOKEN, STORE_TOKEN_AGE); /* what is too much has no record to say so */
    same_count(&check, STORE_ROW, STORE_ROW_KEY);
    store_rest(store);
    arena_free(check.record);
    arena_free(check.other);
    return check.n;
}
