/* test_store.c - the engine: transactions, walks, who may open it, what a crash leaves */
#include "store/key.h"
#include "tests/unit/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static int put(struct store *store, const char *key, const char *value)
{
    return store_put(store, STORE_META, key, strlen(key), value, strlen(value), false);
}

static bool has(struct store *store, const char *key, const char *value)
{
    struct store_bytes bytes;
    int r = store_get(store, STORE_META, key, strlen(key), &bytes);
    return r == 0 && bytes.length == strlen(value) && memcmp(bytes.data, value, bytes.length) == 0;
}

static bool lacks(struct store *store, const char *key)
{
    struct store_bytes bytes;
    return store_get(store, STORE_META, key, strlen(key), &bytes) == -ENOENT;
}

/* ---- transactions */

static void a_change_is_seen_at_once_and_lasts_only_when_committed(void **state)
{
    struct scratch *scratch = *state;
    assert_false(store_is_dirty(scratch->store));
    assert_int_equal(put(scratch->store, "a", "1"), 0);
    assert_true(store_is_dirty(scratch->store));
    assert_true(has(scratch->store, "a", "1"));
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    assert_false(store_is_dirty(scratch->store));
    assert_int_equal(put(scratch->store, "b", "2"), 0);
    scratch_reopen(scratch);
    assert_true(has(scratch->store, "a", "1"));
    assert_true(lacks(scratch->store, "b"));
}

static void abort_drops_all_changes(void **state)
{
    struct scratch *scratch = *state;
    assert_int_equal(put(scratch->store, "a", "1"), 0);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    assert_int_equal(put(scratch->store, "a", "2"), 0);
    assert_int_equal(store_delete(scratch->store, STORE_META, "a", 1), 0);
    store_abort(scratch->store);
    assert_true(has(scratch->store, "a", "1"));
    assert_int_equal(store_commit(scratch->store, NULL), 0); /* nothing to do */
}

static void a_commit_that_fails_leaves_nothing(void **state)
{
    struct scratch *scratch = *state;
    struct rm_err err = {""};
    store_fail_commit(scratch->store, 2, -EIO);
    assert_int_equal(put(scratch->store, "a", "1"), 0);
    assert_int_equal(store_commit(scratch->store, &err), 0);
    assert_int_equal(put(scratch->store, "b", "2"), 0);
    assert_int_equal(store_commit(scratch->store, &err), -EIO);
    assert_non_null(strstr(err.text, scratch->path));
    assert_true(has(scratch->store, "a", "1"));
    assert_true(lacks(scratch->store, "b"));
    assert_int_equal(put(scratch->store, "b", "3"), 0);
    assert_int_equal(store_commit(scratch->store, &err), 0);
    assert_true(has(scratch->store, "b", "3"));
}

static void keys_have_bounds(void **state)
{
    struct scratch *scratch = *state;
    char key[STORE_KEY_MAX + 1];
    struct store_bytes bytes;
    memset(key, 'k', sizeof(key));
    assert_int_equal(store_put(scratch->store, STORE_META, key, 0, "", 0, false), -EINVAL);
    assert_int_equal(store_put(scratch->store, STORE_META, key, sizeof(key), "", 0, false),
                     -EINVAL);
    assert_int_equal(store_put(scratch->store, STORE_META, key, STORE_KEY_MAX, "", 0, false), 0);
    assert_int_equal(store_get(scratch->store, STORE_META, key, sizeof(key), &bytes), -EINVAL);
    assert_int_equal(store_get(scratch->store, STORE_META, key, STORE_KEY_MAX, &bytes), 0);
    assert_int_equal(bytes.length, 0);
    assert_int_equal(store_delete(scratch->store, STORE_META, "none", 4), -ENOENT);
    assert_int_equal(store_commit(scratch->store, NULL), 0); /* none of this spoils it */
}

static void append_falls_back_when_the_key_is_not_the_last(void **state)
{
    struct scratch *scratch = *state;
    static const uint64_t order[] = {5, 9, 7, 9, 1, 10};
    uint8_t key[8];
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
        key_u64(key, order[i]);
        assert_int_equal(store_put(scratch->store, STORE_JOB, key, 8, &i, sizeof(i), true), 0);
    }
    assert_int_equal(store_count(scratch->store, STORE_JOB), 5);
    struct store_bytes bytes;
    size_t last;
    key_u64(key, 9);
    assert_int_equal(store_get(scratch->store, STORE_JOB, key, 8, &bytes), 0);
    assert_int_equal(bytes.length, sizeof(last));
    memcpy(&last, bytes.data, sizeof(last));
    assert_int_equal(last, 3);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
}

/* ---- walks */

struct collected {
    char keys[64];
    size_t stop_after; /* 0 = never */
    int with;
};

static int collect(void *ctx, const void *key, size_t key_length, const void *value, size_t length)
{
    struct collected *collected = ctx;
    (void)value;
    (void)length;
    strncat(collected->keys, key, key_length);
    if (collected->stop_after > 0 && --collected->stop_after == 0)
        return collected->with;
    return 0;
}

static void walks_begin_where_they_are_told_in_both_directions(void **state)
{
    struct scratch *scratch = *state;
    static const struct {
        const char *from;
        bool down;
        const char *seen;
    } rows[] = {
        {"", false, "bdf"},  {"", true, "fdb"},  {"a", false, "bdf"}, {"a", true, ""},
        {"b", false, "bdf"}, {"b", true, "b"},   {"c", false, "df"},  {"c", true, "b"},
        {"d", true, "db"},   {"f", false, "f"},  {"f", true, "fdb"},  {"g", false, ""},
        {"g", true, "fdb"},  {"dd", false, "f"}, {"dd", true, "db"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct collected collected = {0};
        if (i == 0) {
            assert_int_equal(
                store_walk(scratch->store, STORE_META, NULL, 0, false, collect, &collected), 0);
            assert_string_equal(collected.keys, "");
            put(scratch->store, "d", "");
            put(scratch->store, "b", "");
            put(scratch->store, "f", "");
        }
        if (i == 8)
            assert_int_equal(store_commit(scratch->store, NULL), 0); /* the same when committed */
        assert_int_equal(store_walk(scratch->store, STORE_META, rows[i].from, strlen(rows[i].from),
                                    rows[i].down, collect, &collected),
                         0);
        assert_string_equal(collected.keys, rows[i].seen);
    }
}

static void a_walk_ends_when_the_function_says_so(void **state)
{
    struct scratch *scratch = *state;
    put(scratch->store, "a", "");
    put(scratch->store, "b", "");
    put(scratch->store, "c", "");
    struct collected one = {.stop_after = 2, .with = 1};
    assert_int_equal(store_walk(scratch->store, STORE_META, NULL, 0, false, collect, &one), 1);
    assert_string_equal(one.keys, "ab");
    struct collected bad = {.stop_after = 1, .with = -EPROTO};
    assert_int_equal(store_walk(scratch->store, STORE_META, NULL, 0, true, collect, &bad), -EPROTO);
    assert_string_equal(bad.keys, "c");
}

static void a_prefix_is_deleted_and_nothing_else(void **state)
{
    struct scratch *scratch = *state;
    char key[16];
    put(scratch->store, "a", "");
    put(scratch->store, "c", "");
    for (int i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "b%04d", i);
        assert_int_equal(put(scratch->store, key, "some value that fills pages"), 0);
    }
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    assert_int_equal(store_delete_prefix(scratch->store, STORE_META, "b", 1), 0);
    assert_int_equal(store_count(scratch->store, STORE_META), 2);
    assert_true(has(scratch->store, "a", ""));
    assert_true(has(scratch->store, "c", ""));
    assert_int_equal(store_delete_prefix(scratch->store, STORE_META, "x", 1), 0);
    assert_int_equal(store_delete_prefix(scratch->store, STORE_META, "c", 1), 0);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    assert_int_equal(store_count(scratch->store, STORE_META), 1);
}

/* Many random changes, held against a plain array. */
static void a_random_history_equals_a_plain_array(void **state)
{
    struct scratch *scratch = *state;
    enum { KEYS = 200 };
    unsigned committed[KEYS] = {0}, now[KEYS] = {0}; /* 0 = there is none */
    unsigned seed = 7;
    for (unsigned step = 1; step < 20000; step++) {
        uint8_t key[8];
        unsigned i = (unsigned)rand_r(&seed) % KEYS;
        key_u64(key, i);
        switch (rand_r(&seed) % 40) {
        case 0:
            store_abort(scratch->store);
            memcpy(now, committed, sizeof(now));
            break;
        case 1:
            assert_int_equal(store_commit(scratch->store, NULL), 0);
            memcpy(committed, now, sizeof(now));
            break;
        case 2:
            scratch_reopen(scratch);
            memcpy(now, committed, sizeof(now));
            break;
        case 3:
            store_rest(scratch->store);
            break;
        default:
            if (rand_r(&seed) % 3 == 0) {
                int r = store_delete(scratch->store, STORE_LIVE, key, 8);
                assert_int_equal(r, now[i] ? 0 : -ENOENT);
                now[i] = 0;
            } else {
                char value[2000] = {0};
                memcpy(value, &step, sizeof(step));
                size_t length = sizeof(step) + (size_t)rand_r(&seed) % 1900;
                assert_int_equal(
                    store_put(scratch->store, STORE_LIVE, key, 8, value, length, step % 2), 0);
                now[i] = step;
            }
        }
        unsigned k = (unsigned)rand_r(&seed) % KEYS, found = 0;
        struct store_bytes bytes;
        key_u64(key, k);
        int r = store_get(scratch->store, STORE_LIVE, key, 8, &bytes);
        assert_int_equal(r, now[k] ? 0 : -ENOENT);
        if (r == 0)
            memcpy(&found, bytes.data, sizeof(found));
        assert_int_equal(found, now[k]);
    }
}

/* ---- how full */

static void a_full_store_says_so_and_works_again_after_abort(void **state)
{
    struct scratch *scratch = *state;
    enum { SMALL = 1024 * 1024 };
    char path[128], value[4096] = {0};
    struct rm_err err = {""};
    struct store *store;
    struct store_usage usage;
    int r = 0;
    snprintf(path, sizeof(path), "%s/small", scratch->base);
    assert_int_equal(store_open(path, SMALL, STORE_CREATE | STORE_NO_SYNC, &store, &err), 0);
    assert_int_equal(put(store, "a", "1"), 0);
    assert_int_equal(store_commit(store, &err), 0);
    assert_int_equal(store_usage(store, &usage), 0);
    assert_int_equal(usage.size, SMALL);
    assert_true(usage.used < SMALL / 10);
    for (uint64_t i = 0; r == 0 && i < 1000; i++) {
        uint8_t key[8];
        key_u64(key, i);
        r = store_put(store, STORE_JOB, key, 8, value, sizeof(value), true);
    }
    assert_int_equal(r, -ENOSPC);
    assert_int_equal(put(store, "b", "2"), -ENOSPC); /* this transaction is spoilt */
    assert_int_equal(store_commit(store, &err), -ENOSPC);
    assert_non_null(strstr(err.text, path));
    assert_true(has(store, "a", "1"));
    assert_int_equal(put(store, "b", "2"), 0);
    assert_int_equal(store_commit(store, &err), 0);
    assert_true(has(store, "b", "2"));
    store_close(store);
}

static void usage_grows_with_records_and_shrinks_when_they_go(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = scratch->store;
    uint64_t before, full;
    struct store_usage usage;
    uint8_t key[8];
    char value[1000] = {0};
    assert_int_equal(store_usage(store, &usage), 0);
    assert_int_equal(usage.size, SCRATCH_SIZE);
    before = usage.used;
    for (uint64_t i = 0; i < 5000; i++) {
        key_u64(key, i);
        assert_int_equal(store_put(store, STORE_JOB, key, 8, value, sizeof(value), true), 0);
    }
    assert_int_equal(store_usage(store, &usage), 0);
    assert_int_equal(usage.used, before); /* not committed */
    assert_int_equal(store_commit(store, NULL), 0);
    assert_int_equal(store_usage(store, &usage), 0);
    full = usage.used;
    assert_true(full > before + 5000 * sizeof(value));
    assert_true(full < before + 2 * 5000 * sizeof(value));
    for (uint64_t i = 0; i < 5000; i++) {
        key_u64(key, i);
        assert_int_equal(store_delete(store, STORE_JOB, key, 8), 0);
    }
    assert_int_equal(store_commit(store, NULL), 0);
    assert_int_equal(store_usage(store, &usage), 0);
    assert_true(usage.used > full / 2); /* the next transaction cannot use them yet */
    assert_int_equal(put(store, "a", "1"), 0);
    assert_int_equal(store_commit(store, NULL), 0);
    assert_int_equal(store_usage(store, &usage), 0);
    assert_true(usage.used < full / 10);
    /* The file does not grow for ever: freed pages are used again. */
    for (int turn = 0; turn < 20; turn++) {
        for (uint64_t i = 0; i < 2000; i++) {
            key_u64(key, i);
            assert_int_equal(store_put(store, STORE_JOB, key, 8, value, sizeof(value), false), 0);
        }
        assert_int_equal(store_commit(store, NULL), 0);
    }
    char file[128];
    struct stat st;
    snprintf(file, sizeof(file), "%s/data.mdb", scratch->path);
    assert_int_equal(stat(file, &st), 0);
    assert_true((uint64_t)st.st_size < 3 * full);
}

/* ---- readers */

/* A process that reads the state of now, and goes on doing so until it is ended. */
static pid_t sleeping_reader(const struct scratch *scratch)
{
    int reads[2];
    char byte;
    assert_int_equal(pipe(reads), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct store *store;
        struct store_bytes bytes;
        if (store_open(scratch->path, 0, STORE_READ_ONLY, &store, NULL) < 0 ||
            store_get(store, STORE_META, "a", 1, &bytes) < 0 || write(reads[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(reads[1]);
    assert_int_equal(read(reads[0], &byte, 1), 1);
    close(reads[0]);
    return pid;
}

/* What one process keeps is as good as used, and is free when it is gone, also by kill -9. */
static void pages_that_a_reader_keeps_are_used_and_it_is_named(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = scratch->store;
    struct store_usage before, kept, after;
    char value[3000] = {0};
    assert_int_equal(put(store, "a", "1"), 0);
    assert_int_equal(store_commit(store, NULL), 0);
    assert_int_equal(store_usage(store, &before), 0);
    assert_int_equal(before.reader, 0);
    pid_t pid = sleeping_reader(scratch);
    for (int i = 0; i < 200; i++) {
        value[0] = (char)i;
        assert_int_equal(store_put(store, STORE_META, "v", 1, value, sizeof(value), false), 0);
        assert_int_equal(store_commit(store, NULL), 0);
    }
    assert_int_equal(store_usage(store, &kept), 0);
    assert_int_equal(kept.reader, pid);
    assert_true(kept.kept > 200 * sizeof(value));
    assert_true(kept.used > before.used + 200 * sizeof(value));
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(store_usage(store, &after), 0); /* nothing was committed since */
    assert_int_equal(after.reader, 0);
    assert_true(after.used < before.used + 20 * sizeof(value));
}

/* Readers that were killed leave nothing behind, without anybody asking how full the store is. */
static void a_killed_reader_does_not_make_the_store_grow(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = scratch->store;
    struct stat st;
    char file[128], value[3000] = {0};
    assert_int_equal(put(store, "a", "1"), 0);
    assert_int_equal(store_commit(store, NULL), 0);
    pid_t pid = sleeping_reader(scratch);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    for (int i = 0; i < 500; i++) {
        value[0] = (char)i;
        assert_int_equal(store_put(store, STORE_META, "v", 1, value, sizeof(value), false), 0);
        assert_int_equal(store_commit(store, NULL), 0);
    }
    snprintf(file, sizeof(file), "%s/data.mdb", scratch->path);
    assert_int_equal(stat(file, &st), 0);
    assert_true(st.st_size < 500 * (off_t)sizeof(value) / 4);
}

/* ---- a file that is not whole */

static void refuses(const struct scratch *scratch, int flags, const char *why)
{
    struct rm_err err = {""};
    struct store *store;
    assert_int_equal(store_open(scratch->path, SCRATCH_SIZE, flags, &store, &err), -EBADMSG);
    if (!strstr(err.text, why) || !strstr(err.text, "rmigrate-store(8)"))
        fail_msg("'%s' is not in: %s", why, err.text);
}

static void a_file_that_is_cut_off_or_empty_is_refused_and_left_alone(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = scratch->store;
    struct stat st;
    char file[128], value[1000] = {0};
    for (uint64_t i = 0; i < 500; i++) {
        uint8_t key[8];
        key_u64(key, i);
        assert_int_equal(store_put(store, STORE_JOB, key, 8, value, sizeof(value), true), 0);
    }
    assert_int_equal(store_commit(store, NULL), 0);
    store_close(store);
    scratch->store = NULL;
    snprintf(file, sizeof(file), "%s/data.mdb", scratch->path);
    assert_int_equal(stat(file, &st), 0);
    /* Everything that is missing is noticed, from the last page on. */
    for (off_t length = st.st_size - 8192; length > 3 * 4096; length = length * 2 / 3) {
        assert_int_equal(truncate(file, length), 0);
        refuses(scratch, STORE_CREATE | STORE_NO_SYNC, "is cut off");
        refuses(scratch, STORE_READ_ONLY, "is cut off");
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_size, length);
    }
    assert_int_equal(truncate(file, 0), 0);
    refuses(scratch, STORE_CREATE | STORE_NO_SYNC, "is empty");
    refuses(scratch, STORE_READ_ONLY, "is empty");
}

/* The pages that a transaction took and gave back are never written: a file may be shorter than its last
 * page's number, and is whole. */
static void a_file_whose_last_pages_were_never_written_is_whole(void **state)
{
    struct scratch *scratch = *state;
    uint8_t key[8];
    char value[1000] = {0};
    for (unsigned round = 0; round < 20; round++) {
        for (uint64_t i = 0; i < 300; i++) {
            key_u64(key, i);
            assert_int_equal(
                store_put(scratch->store, STORE_JOB, key, 8, value, sizeof(value), true), 0);
        }
        for (uint64_t i = 299; i > 20 * round % 280; i--) {
            key_u64(key, i);
            assert_int_equal(store_delete(scratch->store, STORE_JOB, key, 8), 0);
        }
        assert_int_equal(store_commit(scratch->store, NULL), 0);
        store_close(scratch->store);
        scratch_open(scratch);
    }
}

/* ---- who may open it */

static int in_child(int (*f)(void *), void *ctx)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(f(ctx));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int open_for_writing(void *ctx)
{
    struct scratch *scratch = ctx;
    struct rm_err err = {""};
    struct store *store;
    char parent[32];
    snprintf(parent, sizeof(parent), "pid %d", getppid());
    int r = store_open(scratch->path, SCRATCH_SIZE, STORE_CREATE | STORE_NO_SYNC, &store, &err);
    if (r == 0)
        return 1;
    return r == -EBUSY && strstr(err.text, scratch->path) && strstr(err.text, parent) ? 42 : 2;
}

static int read_it(void *ctx)
{
    struct scratch *scratch = ctx;
    struct rm_err err = {""};
    struct store *store;
    if (store_open(scratch->path, 0, STORE_READ_ONLY, &store, &err) < 0)
        return 1;
    bool good = has(store, "a", "1") && lacks(store, "b") && store_is_read_only(store) &&
                put(store, "x", "y") == -EROFS && strcmp(store_path(store), scratch->path) == 0;
    store_close(store);
    return good ? 42 : 2;
}

static void a_second_writer_is_refused_and_told_why(void **state)
{
    struct scratch *scratch = *state;
    assert_int_equal(in_child(open_for_writing, scratch), 42);
    store_close(scratch->store);
    scratch->store = NULL;
    assert_int_equal(in_child(open_for_writing, scratch), 1); /* free again */
}

static void another_process_reads_what_is_committed_while_one_writes(void **state)
{
    struct scratch *scratch = *state;
    assert_int_equal(put(scratch->store, "a", "1"), 0);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    assert_int_equal(put(scratch->store, "b", "2"), 0);
    assert_int_equal(in_child(read_it, scratch), 42);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    assert_true(has(scratch->store, "b", "2"));
}

static void one_process_cannot_open_a_store_twice(void **state)
{
    struct scratch *scratch = *state;
    struct rm_err err = {""};
    struct store *store;
    assert_int_equal(store_open(scratch->path, 0, STORE_READ_ONLY, &store, &err), -EBUSY);
    assert_non_null(strstr(err.text, scratch->path));
    assert_int_equal(put(scratch->store, "a", "1"), 0);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
}

static void what_is_not_a_store_is_refused(void **state)
{
    struct scratch *scratch = *state;
    struct rm_err err = {""};
    struct store *store;
    char path[128];
    snprintf(path, sizeof(path), "%s/none", scratch->base);
    assert_int_equal(store_open(path, SCRATCH_SIZE, 0, &store, &err), -ENOENT);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(store_open(path, 0, STORE_READ_ONLY | STORE_CREATE, &store, &err), -ENOENT);
    assert_int_equal(access(path, F_OK), -1);
    /* The directory of the test holds "store" and so is not empty. */
    assert_int_equal(store_open(scratch->base, SCRATCH_SIZE, STORE_CREATE, &store, &err), -EINVAL);
    assert_non_null(strstr(err.text, "other files"));

    assert_int_equal(mkdir(path, 0700), 0);
    char file[160];
    snprintf(file, sizeof(file), "%s/data.mdb", path);
    FILE *stream = fopen(file, "w");
    for (int i = 0; i < 10000; i++)
        fputs("nonsense", stream);
    fclose(stream);
    assert_int_equal(store_open(path, SCRATCH_SIZE, STORE_CREATE, &store, &err), -EINVAL);
    assert_non_null(strstr(err.text, path));
    snprintf(path, sizeof(path), "%s/data.mdb", scratch->path);
    assert_int_equal(store_open(path, SCRATCH_SIZE, STORE_CREATE, &store, &err), -ENOTDIR);
}

/* ---- crash */

enum { CRASH_KILL_AFTER = 300 };

/* Commits 1, 2, 3... and says each number only when its commit has returned. */
static void write_for_ever(const char *path, int pipe_fd)
{
    struct store *store;
    struct rm_err err;
    if (store_open(path, SCRATCH_SIZE, STORE_CREATE, &store, &err) < 0)
        _exit(1);
    for (uint64_t i = store_count(store, STORE_JOB) + 1;; i++) {
        uint8_t key[8];
        key_u64(key, i);
        if (store_put(store, STORE_JOB, key, 8, &i, sizeof(i), true) < 0 ||
            store_put(store, STORE_META, "last", 4, &i, sizeof(i), false) < 0 ||
            store_commit(store, &err) < 0 || write(pipe_fd, &i, sizeof(i)) != sizeof(i))
            _exit(1);
    }
}

static void what_was_acknowledged_survives_kill_9(void **state)
{
    struct scratch *scratch = *state;
    uint64_t acknowledged = 0;
    store_close(scratch->store);
    scratch->store = NULL;
    for (int round = 1; round <= 4; round++) {
        int fds[2];
        assert_int_equal(pipe(fds), 0);
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
            close(fds[0]);
            write_for_ever(scratch->path, fds[1]);
        }
        close(fds[1]);
        uint64_t number;
        for (int i = 0; i < CRASH_KILL_AFTER / round; i++) {
            assert_int_equal(read(fds[0], &number, sizeof(number)), sizeof(number));
            assert_int_equal(number, ++acknowledged);
        }
        kill(pid, SIGKILL);
        while (read(fds[0], &number, sizeof(number)) == sizeof(number)) /* said before it died */
            assert_int_equal(number, ++acknowledged);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        close(fds[0]);

        scratch_open(scratch);
        for (uint64_t i = 1; i <= acknowledged; i++) {
            uint8_t key[8];
            struct store_bytes bytes;
            key_u64(key, i);
            assert_int_equal(store_get(scratch->store, STORE_JOB, key, 8, &bytes), 0);
            assert_memory_equal(bytes.data, &i, sizeof(i));
        }
        /* One commit at most was on disk and not yet said; it is whole: both of its records. */
        uint64_t count = store_count(scratch->store, STORE_JOB), last;
        struct store_bytes bytes;
        assert_in_range(count, acknowledged, acknowledged + 1);
        assert_int_equal(store_get(scratch->store, STORE_META, "last", 4, &bytes), 0);
        memcpy(&last, bytes.data, sizeof(last));
        assert_int_equal(last, count);
        acknowledged = count;
        store_close(scratch->store);
        scratch->store = NULL;
    }
}

/* A kill proves nothing about a power cut: this counts the flushes that LMDB asks for. */
static unsigned flushes;

int fdatasync(int fd)
{
    flushes++;
    return (int)syscall(SYS_fdatasync, fd);
}

static void each_commit_is_flushed_to_the_disk(void **state)
{
    struct scratch *scratch = *state;
    struct rm_err err;
    store_close(scratch->store);
    assert_int_equal(store_open(scratch->path, SCRATCH_SIZE, 0, &scratch->store, &err), 0);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(put(scratch->store, "a", "1"), 0);
        flushes = 0;
        assert_int_equal(store_commit(scratch->store, &err), 0);
        assert_int_equal(flushes, 1); /* the data; the meta page goes through O_DSYNC */
    }
}

/* ---- backup */

static void a_backup_is_a_store_with_what_was_committed(void **state)
{
    struct scratch *scratch = *state;
    struct rm_err err = {""};
    struct store *copy;
    char path[128];
    snprintf(path, sizeof(path), "%s/copy", scratch->base);
    assert_int_equal(put(scratch->store, "a", "1"), 0);
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    assert_int_equal(put(scratch->store, "b", "2"), 0);
    assert_int_equal(store_backup(scratch->store, path, &err), 0);
    assert_int_equal(store_backup(scratch->store, path, &err), -EEXIST);
    assert_non_null(strstr(err.text, path));
    assert_int_equal(store_commit(scratch->store, NULL), 0);
    assert_int_equal(store_open(path, SCRATCH_SIZE, STORE_NO_SYNC, &copy, &err), 0);
    assert_true(has(copy, "a", "1"));
    assert_true(lacks(copy, "b"));
    assert_int_equal(put(copy, "c", "3"), 0);
    assert_int_equal(store_commit(copy, &err), 0);
    store_close(copy);
}

/* ---- changes */

static int note_change(void *ctx, const void *key, size_t length)
{
    char *seen = ctx;
    strncat(seen, key, length);
    strcat(seen, " ");
    return memchr(key, '!', length) ? -EDOM : 0;
}

static void changes_of_a_watched_table_are_told(void **state)
{
    struct scratch *scratch = *state;
    struct store *store = scratch->store;
    char seen[64] = "";
    assert_int_equal(store_changes(store, note_change, seen), -EINVAL); /* none is watched */
    assert_int_equal(store_watch(store, STORE_META), 0);
    assert_int_equal(store_changes(store, note_change, seen), -ESTALE); /* what was before? */
    assert_int_equal(store_changes(store, note_change, seen), 0);
    assert_int_equal(put(store, "a", "1"), 0);
    assert_int_equal(put(store, "b", "1"), 0);
    assert_int_equal(store_put(store, STORE_HOST, "c", 1, "1", 1, false), 0); /* another table */
    assert_int_equal(store_delete(store, STORE_META, "a", 1), 0);
    assert_int_equal(store_delete(store, STORE_META, "z", 1), -ENOENT);
    assert_int_equal(store_commit(store, NULL), 0);
    assert_int_equal(store_changes(store, note_change, seen), 0);
    assert_string_equal(seen, "a b a ");
    assert_int_equal(store_changes(store, note_change, seen), 0);
    assert_string_equal(seen, "a b a "); /* told once */
    assert_int_equal(put(store, "a", "2"), 0);
    store_abort(store);
    assert_int_equal(store_changes(store, note_change, seen), -ESTALE);
    assert_int_equal(put(store, "a", "2"), 0);
    store_fail_commit(store, 1, -EIO);
    assert_int_equal(store_commit(store, NULL), -EIO);
    assert_int_equal(store_changes(store, note_change, seen), -ESTALE);
    assert_int_equal(store_delete_prefix(store, STORE_META, "b", 1), 0);
    assert_int_equal(store_changes(store, note_change, seen), -ESTALE);
    assert_int_equal(put(store, "!", "1"), 0);
    assert_int_equal(store_changes(store, note_change, seen), -EDOM);
    assert_int_equal(store_changes(store, note_change, seen), -ESTALE); /* it was not taken in */
    char longest[STORE_KEY_MAX + 1];
    memset(longest, 'k', sizeof(longest));
    longest[STORE_KEY_MAX] = '\0';
    assert_int_equal(put(store, longest, "1"), 0);
    assert_int_equal(store_changes(store, note_change, seen), -ESTALE);
    for (int i = 0; i <= STORE_CHANGES_MAX; i++)
        assert_int_equal(put(store, "a", "3"), 0);
    assert_int_equal(store_changes(store, note_change, seen), -ESTALE);
    assert_int_equal(store_changes(store, note_change, seen), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCRATCH_TEST(a_change_is_seen_at_once_and_lasts_only_when_committed),
        SCRATCH_TEST(abort_drops_all_changes),
        SCRATCH_TEST(a_commit_that_fails_leaves_nothing),
        SCRATCH_TEST(keys_have_bounds),
        SCRATCH_TEST(append_falls_back_when_the_key_is_not_the_last),
        SCRATCH_TEST(walks_begin_where_they_are_told_in_both_directions),
        SCRATCH_TEST(a_walk_ends_when_the_function_says_so),
        SCRATCH_TEST(a_prefix_is_deleted_and_nothing_else),
        SCRATCH_TEST(a_random_history_equals_a_plain_array),
        SCRATCH_TEST(a_full_store_says_so_and_works_again_after_abort),
        SCRATCH_TEST(usage_grows_with_records_and_shrinks_when_they_go),
        SCRATCH_TEST(pages_that_a_reader_keeps_are_used_and_it_is_named),
        SCRATCH_TEST(a_killed_reader_does_not_make_the_store_grow),
        SCRATCH_TEST(a_file_that_is_cut_off_or_empty_is_refused_and_left_alone),
        SCRATCH_TEST(a_file_whose_last_pages_were_never_written_is_whole),
        SCRATCH_TEST(a_second_writer_is_refused_and_told_why),
        SCRATCH_TEST(another_process_reads_what_is_committed_while_one_writes),
        SCRATCH_TEST(one_process_cannot_open_a_store_twice),
        SCRATCH_TEST(what_is_not_a_store_is_refused),
        SCRATCH_TEST(what_was_acknowledged_survives_kill_9),
        SCRATCH_TEST(each_commit_is_flushed_to_the_disk),
        SCRATCH_TEST(a_backup_is_a_store_with_what_was_committed),
        SCRATCH_TEST(changes_of_a_watched_table_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
