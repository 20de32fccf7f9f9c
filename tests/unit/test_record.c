/* test_record.c - records: each kind goes in and comes out, ids, tokens, walks, damage, and the
 * check */
#include "store/key.h"
#include "store/record.h"
#include "store/tables/table.h"
#include "store/tool/check.h"
#include "store/tool/dump.h"
#include "tests/unit/scratch.h"

#include <errno.h>

/* A store with the schema written. */
static int setup(void **state)
{
    struct rm_err err = {""};
    scratch_setup(state);
    struct scratch *scratch = *state;
    assert_int_equal(record_open(scratch->store, &err), 0);
    assert_false(store_is_dirty(scratch->store));
    return 0;
}
#define RECORD_TEST(f) cmocka_unit_test_setup_teardown(f, setup, scratch_teardown)

static char *text(const char *value)
{
    return (char *)(uintptr_t)value;
}

/* ---- opening */

static void a_newer_schema_is_refused_with_both_numbers(void **state)
{
    struct scratch *scratch = *state;
    struct rm_err err = {""};
    uint8_t newer[8];
    scratch_reopen(scratch);
    assert_int_equal(record_open(scratch->store, &err), 0); /* its own */
    key_u64(newer, RECORD_SCHEMA + 1);
    assert_int_equal(store_put(scratch->store, STORE_META, "schema", 6, newer, 8, false), 0);
    assert_int_equal(store_commit(scratch->store, &err), 0);
    assert_int_equal(record_open(scratch->store, &err), -EINVAL);
    assert_non_null(strstr(err.text, "schema 2"));
    assert_non_null(strstr(err.text, "knows 1"));
    assert_non_null(strstr(err.text, scratch->path));
}

static void records_without_a_schema_are_not_taken_over(void **state)
{
    struct scratch *scratch = *state;
    struct rm_err err = {""};
    assert_int_equal(store_put(scratch->store, STORE_HOST, "h", 1, "", 0, false), 0);
    assert_int_equal(store_delete(scratch->store, STORE_META, "schema", 6), 0);
    assert_int_equal(record_open(scratch->store, &err), -EINVAL);
    assert_non_null(strstr(err.text, scratch->path));
}

/* ---- ids */

static void ids_are_neither_lost_nor_repeated(void **state)
{
    struct scratch *scratch = *state;
    uint64_t id, next;
    assert_int_equal(record_next_id(scratch->store, 1, &id), 0);
    assert_int_equal(id, 1);
    assert_int_equal(record_next_id(scratch->store, 10, &id), 0);
    assert_int_equal(id, 2);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    assert_int_equal(record_next_id(scratch->store, 5, &id), 0);
    assert_int_equal(id, 12);
    store_abort(scratch->store); /* nobody has heard of 12..16 */
    assert_int_equal(record_next_id(scratch->store, 1, &id), 0);
    assert_int_equal(id, 12);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    scratch_reopen(scratch);
    assert_int_equal(record_peek_id(scratch->store, &next), 0);
    assert_int_equal(next, 13);
    assert_int_equal(record_next_id(scratch->store, 1, &id), 0);
    assert_int_equal(id, 13);
    assert_int_equal(record_next_id(scratch->store, UINT64_MAX, &id), -EOVERFLOW);
}

/* ---- each kind */

/* Puts a record, commits, reopens, and compares what comes out byte by byte. */
#define ROUND_TRIP(kind_, Kind_, key_, ...)                                                        \
    do {                                                                                           \
        Kind_ in = __VA_ARGS__, *out = NULL;                                                       \
        assert_int_equal(record_##kind_##_get(scratch->store, in.key_, arena, &out), -ENOENT);     \
        assert_int_equal(record_##kind_##_put(scratch->store, &in), 0);                            \
        assert_int_equal(store_commit(scratch->store, NULL), 0);                                   \
        scratch_reopen(scratch);                                                                   \
        assert_int_equal(record_##kind_##_get(scratch->store, in.key_, arena, &out), 0);           \
        assert_same(&in.base, &out->base);                                                         \
    } while (0)

static void assert_same(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    size_t n = protobuf_c_message_get_packed_size(a);
    assert_int_equal(n, protobuf_c_message_get_packed_size(b));
    uint8_t *x = malloc(n + 1), *y = malloc(n + 1);
    protobuf_c_message_pack(a, x);
    protobuf_c_message_pack(b, y);
    assert_memory_equal(x, y, n);
    free(x);
    free(y);
}

static void every_kind_comes_out_as_it_went_in(void **state)
{
    struct scratch *scratch = *state;
    struct arena *arena = arena_new(0);
    char *to[] = {text("hyp02"), text("hyp03")};
    RmOptions options = RM_OPTIONS__INIT;
    RmStats stats = RM_STATS__INIT;
    RmRange range = RM_RANGE__INIT, *ranges[] = {&range};
    options.bandwidth = 5000000000;
    stats.total = UINT64_MAX;
    range.first = 3;
    range.count = 200;
    char *reason = malloc(10000);
    memset(reason, 'r', 9999);
    reason[9999] = '\0';
    ROUND_TRIP(job, RmJob, id,
               {.base = PROTOBUF_C_MESSAGE_INIT(&rm_job__descriptor),
                .id = 0x0102030405060708,
                .guest = text("kvm1"),
                .uuid = text("u"),
                .source = text("hyp01"),
                .n_to = 2,
                .to = to,
                .options = &options,
                .submitter = text("joe"),
                .reason = reason,
                .domain = text("")});
    free(reason);
    RmLive live = RM_LIVE__INIT;
    live.id = 7;
    live.state = RM_STATE__RUNNING;
    live.source = text("hyp01");
    ROUND_TRIP(live, RmLive, id, live);
    RmResult result = RM_RESULT__INIT;
    result.id = 8;
    result.code = -38;
    result.stats = &stats;
    ROUND_TRIP(result, RmResult, id, result);
    RmBatch batch = RM_BATCH__INIT;
    batch.id = 9;
    batch.n_jobs = 1;
    batch.jobs = ranges;
    ROUND_TRIP(batch, RmBatch, id, batch);
    uint32_t after[] = {1, 2};
    RmOutcome step = RM_OUTCOME__INIT, *steps[] = {&step};
    step.name = "kvm1";
    step.step = 3;
    step.n_after = 2;
    step.after = after;
    RmPlan plan = RM_PLAN__INIT;
    plan.id = 10;
    plan.n_outcomes = 1;
    plan.outcomes = steps;
    ROUND_TRIP(plan, RmPlan, id, plan);
    assert_int_equal(record_plan_delete(scratch->store, 10), 0);
    RmPlan *no_plan;
    assert_int_equal(record_plan_get(scratch->store, 10, arena, &no_plan), -ENOENT);
    RmGuest guest = RM_GUEST__INIT;
    guest.name = text("kvm1");
    guest.host = text("hyp01");
    ROUND_TRIP(guest, RmGuest, name, guest);
    RmHost host = RM_HOST__INIT;
    host.name = text("hyp01");
    host.memory = 1;
    ROUND_TRIP(host, RmHost, name, host);

    RmGuest *gone;
    assert_int_equal(record_guest_delete(scratch->store, "kvm1"), 0);
    assert_int_equal(record_guest_delete(scratch->store, "kvm1"), -ENOENT);
    assert_int_equal(record_guest_get(scratch->store, "kvm1", arena, &gone), -ENOENT);
    assert_int_equal(record_live_delete(scratch->store, 7), 0);
    assert_int_equal(record_live_delete(scratch->store, 7), -ENOENT);
    arena_free(arena);
}

static void names_of_any_length_are_bounded(void **state)
{
    struct scratch *scratch = *state;
    struct arena *arena = arena_new(0);
    char name[300];
    RmGuest guest = RM_GUEST__INIT, *out;
    memset(name, 'g', sizeof(name));
    guest.name = name;
    name[256] = '\0';
    assert_int_equal(record_guest_put(scratch->store, &guest), -EINVAL);
    assert_int_equal(record_guest_get(scratch->store, name, arena, &out), -ENOENT);
    assert_int_equal(record_guest_delete(scratch->store, name), -ENOENT);
    name[255] = '\0';
    assert_int_equal(record_guest_put(scratch->store, &guest), 0);
    assert_int_equal(record_guest_get(scratch->store, name, arena, &out), 0);
    name[0] = '\0';
    assert_int_equal(record_guest_put(scratch->store, &guest), -EINVAL);
    assert_int_equal(record_guest_get(scratch->store, name, arena, &out), -ENOENT);
    arena_free(arena);
}

/* ---- events */

struct seen {
    uint64_t list[64];
    size_t n;
    size_t damaged;
};

static int see_event(void *ctx, const ProtobufCMessage *record)
{
    struct seen *seen = ctx;
    seen->list[seen->n++] = ((const RmEvent *)record)->sequence;
    return seen->n == 64;
}

static void put_event(struct store *store, uint64_t job, uint64_t sequence)
{
    RmEvent event = RM_EVENT__INIT;
    event.job = job;
    event.sequence = sequence;
    event.kind = RM_EVENT_KIND__NOTE;
    assert_int_equal(record_event_put(store, &event), 0);
}

static void events_are_walked_by_job_in_order(void **state)
{
    struct scratch *scratch = *state;
    RmEvent site = RM_EVENT__INIT;
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        for (uint64_t job = 5; job >= 3; job--)
            put_event(scratch->store, job, sequence);
    for (uint64_t i = 1; i <= 3; i++) {
        site.job = 99;
        assert_int_equal(record_site_event_put(scratch->store, &site), 0);
        assert_int_equal(site.job, 0);
        assert_int_equal(site.sequence, i);
    }
    struct seen one = {0}, none = {0}, newest = {0};
    assert_int_equal(record_walk_events(scratch->store, 4, 0, see_event, &one), 0);
    assert_int_equal(one.n, 3);
    assert_int_equal(one.list[0], 1);
    assert_int_equal(one.list[2], 3);
    assert_int_equal(record_walk_events(scratch->store, 6, 0, see_event, &none), 0);
    assert_int_equal(none.n, 0);
    assert_int_equal(record_walk_events(scratch->store, 0, 0, see_event, &newest), 0);
    assert_int_equal(newest.n, 3);
    assert_int_equal(newest.list[0], 3);
    assert_int_equal(newest.list[2], 1);
}

/* ---- walks */

static int see_job(void *ctx, const ProtobufCMessage *record)
{
    struct seen *seen = ctx;
    seen->list[seen->n++] = ((const RmJob *)record)->id;
    return 0;
}

static void put_job(struct store *store, uint64_t id)
{
    RmJob job = RM_JOB__INIT;
    job.id = id;
    job.guest = text("kvm1");
    assert_int_equal(record_job_put(store, &job), 0);
}

static void ids_are_walked_in_bounds_and_both_directions(void **state)
{
    struct scratch *scratch = *state;
    static const struct {
        uint64_t first, last;
        bool down;
        size_t n;
        uint64_t begin, end;
    } rows[] = {
        {1, UINT64_MAX, false, 10, 10, 100},
        {0, UINT64_MAX, true, 10, 100, 10},
        {20, 40, false, 3, 20, 40},
        {15, 45, true, 3, 40, 20},
        {41, 49, false, 0, 0, 0},
        {100, 100, true, 1, 100, 100},
        {101, 200, false, 0, 0, 0},
        {0, 9, true, 0, 0, 0},
    };
    for (uint64_t id = 10; id <= 100; id += 10)
        put_job(scratch->store, id);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct seen seen = {0};
        assert_int_equal(record_walk_ids(scratch->store, STORE_JOB, rows[i].first, rows[i].last,
                                         rows[i].down, see_job, &seen),
                         0);
        assert_int_equal(seen.n, rows[i].n);
        if (seen.n > 0) {
            assert_int_equal(seen.list[0], rows[i].begin);
            assert_int_equal(seen.list[seen.n - 1], rows[i].end);
        }
    }
    struct seen all = {0};
    assert_int_equal(record_walk(scratch->store, STORE_META, see_job, NULL, &all), -EINVAL);
}

static void count_damage(void *ctx, enum store_table table, const void *key, size_t length)
{
    struct seen *seen = ctx;
    assert_int_equal(table, STORE_JOB);
    assert_int_equal(length, 8);
    assert_int_equal(key_read_u64(key), 20);
    seen->damaged++;
}

static void a_damaged_record_is_passed_over_when_somebody_hears_of_it(void **state)
{
    struct scratch *scratch = *state;
    struct arena *arena = arena_new(0);
    RmJob *job;
    uint8_t key[8];
    put_job(scratch->store, 10);
    put_job(scratch->store, 30);
    key_u64(key, 20);
    assert_int_equal(store_put(scratch->store, STORE_JOB, key, 8, "\xff\xff\xff", 3, false), 0);
    assert_int_equal(record_job_get(scratch->store, 20, arena, &job), -EBADMSG);
    struct seen seen = {0}, strict = {0};
    assert_int_equal(record_walk(scratch->store, STORE_JOB, see_job, count_damage, &seen), 0);
    assert_int_equal(seen.n, 2);
    assert_int_equal(seen.damaged, 1);
    assert_int_equal(record_walk(scratch->store, STORE_JOB, see_job, NULL, &strict), -EBADMSG);
    assert_int_equal(strict.n, 1);
    arena_free(arena);
}

/* ---- tokens */

static void put_token(struct store *store, uint8_t first, uint64_t at, const char *reply)
{
    uint8_t bytes[RECORD_TOKEN] = {first};
    RmToken token = RM_TOKEN__INIT;
    token.token = (ProtobufCBinaryData){sizeof(bytes), bytes};
    token.at = at;
    token.reply = (ProtobufCBinaryData){strlen(reply), (uint8_t *)text(reply)};
    assert_int_equal(record_token_put(store, &token), 0);
}

static bool has_token(struct store *store, uint8_t first)
{
    uint8_t bytes[RECORD_TOKEN] = {first};
    struct arena *arena = arena_new(0);
    RmToken *token;
    int r = record_token_get(store, bytes, arena, &token);
    arena_free(arena);
    return r == 0;
}

static void old_tokens_are_forgotten_the_oldest_first(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = scratch->store;
    for (uint8_t i = 0; i < 200; i++)
        put_token(store, i, 1000 + i, "reply");
    put_token(store, 0, 5000, "again"); /* the same token later: one record, one age */
    assert_int_equal(store_count(store, STORE_TOKEN), 200);
    assert_int_equal(store_count(store, STORE_TOKEN_AGE), 200);
    assert_int_equal(record_token_trim(store, 1150, 10), 10);
    assert_int_equal(store_count(store, STORE_TOKEN), 190);
    assert_false(has_token(store, 10));
    assert_true(has_token(store, 11));
    assert_true(has_token(store, 0));
    assert_int_equal(record_token_trim(store, 1150, 100000), 139);
    assert_false(has_token(store, 149));
    assert_true(has_token(store, 150));
    assert_int_equal(store_count(store, STORE_TOKEN), 51);
    assert_int_equal(store_count(store, STORE_TOKEN_AGE), 51);
    assert_int_equal(record_token_trim(store, UINT64_MAX, 0), 0);
    assert_int_equal(store_count(store, STORE_TOKEN), 51);
    uint8_t short_one[4] = {0};
    RmToken bad = RM_TOKEN__INIT;
    bad.token = (ProtobufCBinaryData){sizeof(short_one), short_one};
    assert_int_equal(record_token_put(store, &bad), -EINVAL);
}

/* ---- the check */

/* A site as the broker would have left it: job 1 finished, job 2 live. */
static void make_site(struct store *store)
{
    uint64_t id;
    RmBatch batch = RM_BATCH__INIT;
    RmLive live = RM_LIVE__INIT;
    RmResult result = RM_RESULT__INIT;
    RmGuest guest = RM_GUEST__INIT;
    RmHost host = RM_HOST__INIT;
    assert_int_equal(record_next_id(store, 3, &id), 0);
    batch.id = 3;
    assert_int_equal(record_batch_put(store, &batch), 0);
    for (id = 1; id <= 2; id++) {
        RmJob job = RM_JOB__INIT;
        job.id = id;
        job.batch = 3;
        job.guest = text("kvm1");
        job.submitted_at = 1700000000000000;
        job.reason = text("two\nlines");
        assert_int_equal(record_job_put(store, &job), 0);
        for (uint64_t i = 1; i <= 3; i++)
            put_event(store, id, i);
    }
    result.id = 1;
    result.state = RM_STATE__DONE;
    result.events = 3;
    assert_int_equal(record_result_put(store, &result), 0);
    live.id = 2;
    live.state = RM_STATE__QUEUED;
    live.events = 3;
    assert_int_equal(record_live_put(store, &live), 0);
    guest.name = text("kvm1");
    guest.active_job = 2;
    assert_int_equal(record_guest_put(store, &guest), 0);
    host.name = text("hyp01");
    assert_int_equal(record_host_put(store, &host), 0);
    put_token(store, 1, 1000, "reply");
    assert_int_equal(
        table_row_set(store, table_find("vm"), "kvm1", table_column(table_find("vm"), "host"), "h"),
        0);
    assert_int_equal(table_row_set(store, table_find("vm"), "kvm1",
                                   table_column(table_find("vm"), "vidpassword"), "secret"),
                     0);
    assert_int_equal(store_commit(store, NULL), 0);
}

enum { N_DAMAGES = 17 };

/* Breaks one thing; returns a part of the complaint. */
static const char *break_one(struct store *store, int which)
{
    uint8_t key[16], age[24] = {0};
    RmLive live = RM_LIVE__INIT;
    RmResult result = RM_RESULT__INIT;
    RmGuest guest = RM_GUEST__INIT;
    key_u64(key, 2);
    key_u64(key + 8, 2);
    live.id = 2;
    live.state = RM_STATE__QUEUED;
    live.events = 3;
    result.id = 2;
    result.state = RM_STATE__DONE;
    result.events = 3;
    guest.name = text("kvm1");
    guest.active_job = 2;
    switch (which) {
    case 0:
        store_delete(store, STORE_EVENT, key, 16);
        return "job 2: event 2 is missing";
    case 1:
        live.events = 4;
        record_live_put(store, &live);
        return "job 2: has 3 events, should have 4";
    case 2:
        record_result_put(store, &result);
        return "job 2: is live and finished";
    case 3:
        record_live_delete(store, 2);
        return "job 2: is neither live nor finished";
    case 4:
        record_live_delete(store, 2);
        return "guest kvm1: is locked by job 2, which is not live";
    case 5:
        guest.active_job = 0;
        record_guest_put(store, &guest);
        return "live 2: guest kvm1 is locked by 0";
    case 6:
        record_guest_delete(store, "kvm1");
        return "live 2: there is no guest kvm1";
    case 7:
        store_delete(store, STORE_JOB, key, 8);
        return "live 2: there is no such job";
    case 8:
        live.state = RM_STATE__DONE;
        record_live_put(store, &live);
        return "live 2: its state is 'done'";
    case 9:
        store_put(store, STORE_JOB, key, 8, "\xff", 1, false);
        return "job 2: is damaged";
    case 10:
        key_u64(key, 2);
        store_put(store, STORE_META, "next_id", 7, key, 8, false);
        return "job 2: the next id is 2";
    case 11:
        key_u64(age, 1000);
        age[8] = 1;
        store_delete(store, STORE_TOKEN_AGE, age, 24);
        return "token of 1000: its age is missing";
    case 12:
        store_delete(store, STORE_ROW_KEY, "vm\0kvm1", 7);
        return "row 1 of table vm: is not found by its key kvm1";
    case 13:
        store_put(store, STORE_ROW_KEY, "vm\0kvm2", 7, key, 8, false);
        return "row has 1 entries, row_key has 2";
    case 14:
        key_u64(key, 3);
        store_delete(store, STORE_BATCH, key, 8);
        return "job 1: there is no batch 3";
    case 15:
        put_event(store, 77, 1);
        return "event 1 of job 77: there is no such job";
    default:
        store_delete(store, STORE_META, "next_id", 7);
        return "the next id cannot be read";
    }
}

static void the_check_finds_each_thing_that_is_wrong(void **state)
{
    struct scratch *scratch = *state;
    char *complaints;
    size_t length;
    make_site(scratch->store);
    assert_int_equal(store_check(scratch->store, stderr), 0);
    for (int which = 0; which < N_DAMAGES; which++) {
        const char *expected = break_one(scratch->store, which);
        FILE *file = open_memstream(&complaints, &length);
        int n = store_check(scratch->store, file);
        fclose(file);
        if (!strstr(complaints, expected))
            print_error("%d: wanted '%s', got:\n%s", which, expected, complaints);
        assert_non_null(strstr(complaints, expected));
        int lines = 0;
        for (char *c = complaints; *c; c++)
            lines += *c == '\n';
        assert_int_equal(n, lines);
        assert_int_equal(store_check(scratch->store, NULL), n);
        free(complaints);
        store_abort(scratch->store);
        assert_int_equal(store_check(scratch->store, stderr), 0);
    }
}

static void a_dump_shows_fields_and_times_but_no_passwords(void **state)
{
    struct scratch *scratch = *state;
    char *out;
    size_t length;
    make_site(scratch->store);
    FILE *file = open_memstream(&out, &length);
    for (int i = 0; i < STORE_TABLES; i++)
        assert_int_equal(dump_table(scratch->store, (enum store_table)i, file), 0);
    fclose(file);
    static const char *const parts[] = {
        "meta schema\n  value: 1\n\n",
        "job 2\n  id: 2\n  batch: 3\n  guest: kvm1\n  reason: two\\nlines\n",
        "\n  submitted_at: 1700000000000000 (2023-11-1",
        "live 2\n  id: 2\n  state: QUEUED\n  events: 3\n\n",
        "result 1\n",
        "event 2 3\n  job: 2\n  sequence: 3\n  kind: NOTE\n\n",
        "guest kvm1\n  name: kvm1\n  active_job: 2\n\n",
        "token 01000000000000000000000000000000\n  token: 01000000000000000000000000000000\n",
        "token_age 1000 01000000000000000000000000000000\n\n",
        "row vm 1\n  node: kvm1\n  host: h\n  vidpassword: (not shown)\n\n",
        "row_key vm kvm1\n  value: 1\n\n",
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (!strstr(out, parts[i]))
            print_error("not there: %s\nin:\n%s", parts[i], out);
        assert_non_null(strstr(out, parts[i]));
    }
    assert_null(strstr(out, "secret"));
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RECORD_TEST(a_newer_schema_is_refused_with_both_numbers),
        RECORD_TEST(records_without_a_schema_are_not_taken_over),
        RECORD_TEST(ids_are_neither_lost_nor_repeated),
        RECORD_TEST(every_kind_comes_out_as_it_went_in),
        RECORD_TEST(names_of_any_length_are_bounded),
        RECORD_TEST(events_are_walked_by_job_in_order),
        RECORD_TEST(ids_are_walked_in_bounds_and_both_directions),
        RECORD_TEST(a_damaged_record_is_passed_over_when_somebody_hears_of_it),
        RECORD_TEST(old_tokens_are_forgotten_the_oldest_first),
        RECORD_TEST(the_check_finds_each_thing_that_is_wrong),
        RECORD_TEST(a_dump_shows_fields_and_times_but_no_passwords),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
