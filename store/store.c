/* store.c - the engine: LMDB
 *
 * Rules that the measurements and the known faults of LMDB 0.9.24 gave: full sync; no WRITEMAP, no
 * DUPSORT, no nested transactions; values are copied or unpacked, never cast, because LMDB aligns
 * to two bytes only. */
#include "store/store.h"

#include "conf/io.h"
#include "store/dir.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const table_names[STORE_TABLES] = {
    [STORE_META] = "meta",           [STORE_JOB] = "job",     [STORE_LIVE] = "live",
    [STORE_RESULT] = "result",       [STORE_EVENT] = "event", [STORE_BATCH] = "batch",
    [STORE_GUEST] = "guest",         [STORE_HOST] = "host",   [STORE_TOKEN] = "token",
    [STORE_TOKEN_AGE] = "token_age", [STORE_ROW] = "row",     [STORE_ROW_KEY] = "row_key",
    [STORE_PLAN] = "plan",
};

enum { CHANGE_KEY_MAX = 30 }; /* a longer key is not remembered: everything may have changed */

/* What has changed in the table that is watched. */
struct watch {
    enum store_table table;
    bool lost; /* not all changes are here */
    size_t n;
    struct change {
        uint8_t length;
        uint8_t key[CHANGE_KEY_MAX];
    } changes[STORE_CHANGES_MAX];
};

struct store {
    char *path;
    MDB_env *env;
    MDB_dbi tables[STORE_TABLES];
    bool has[STORE_TABLES]; /* false: a read-only store of an older program lacks this table */
    MDB_txn *write;         /* NULL = none is open */
    MDB_txn *read;          /* kept between uses: renewing it is cheap */
    bool reading;           /* read holds a view */
    bool read_only;
    int failed;               /* why the open write transaction cannot be committed; 0 = it can */
    unsigned fail_commit;     /* test hook: countdown; 0 = never */
    int fail_error;           /* with which it fails then */
    int writer_lock;          /* descriptor; -1 = none */
    struct watch *watch;      /* NULL = none */
    uint64_t commits;         /* since the store was opened */
    struct store_usage usage; /* as of used_at */
    uint64_t claimed;         /* since the last commit */
    uint64_t kept_back;
    uint64_t used_at; /* the count of commits plus 1; 0 = not known */
    pid_t pid;        /* who opened it */
    dev_t device;     /* of the data file, with inode: to know it again */
    ino_t inode;
    struct store *next; /* in open_stores */
};

/* Opening one LMDB environment twice in a process and closing one of them drops the locks of both,
 * so the open ones are remembered. One thread uses stores: no lock. */
static struct store *open_stores;

const char *store_table_name(enum store_table table)
{
    return table_names[table];
}

const char *store_path(const struct store *store)
{
    return store->path;
}

bool store_is_read_only(const struct store *store)
{
    return store->read_only;
}

static int code_of(int rc)
{
    static const struct {
        int rc, code;
    } codes[] = {
        {MDB_SUCCESS, 0},
        {MDB_NOTFOUND, -ENOENT},
        {MDB_KEYEXIST, -EEXIST},
        {MDB_MAP_FULL, -ENOSPC},
        {MDB_TXN_FULL, -E2BIG},
        {MDB_READERS_FULL, -EUSERS},
        {MDB_MAP_RESIZED, -ESTALE},
        {MDB_CORRUPTED, -EBADMSG},
        {MDB_PAGE_NOTFOUND, -EBADMSG},
        {MDB_BAD_VALSIZE, -EINVAL},
        {MDB_INVALID, -EINVAL},
        {MDB_VERSION_MISMATCH, -EINVAL},
        {MDB_INCOMPATIBLE, -EINVAL},
    };
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (codes[i].rc == rc)
            return codes[i].code;
    return rc > 0 ? -rc : -EIO;
}

/* ---- opening */

/* Refuses an LMDB environment that somebody else made, before anything is written into it. */
static int open_tables(struct store *store, struct rm_err *err)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(store->env, NULL, store->read_only ? MDB_RDONLY : 0, &txn);
    if (rc != 0)
        return rm_fail(err, code_of(rc), "cannot read the store %s: %s", store->path,
                       mdb_strerror(rc));
    MDB_dbi main;
    MDB_stat stat = {0};
    rc = mdb_dbi_open(txn, NULL, 0, &main);
    if (rc == 0)
        rc = mdb_stat(txn, main, &stat);
    if (rc != 0)
        goto fail;
    rc = mdb_dbi_open(txn, table_names[STORE_META], 0, &store->tables[STORE_META]);
    if (rc == MDB_INCOMPATIBLE || (rc == MDB_NOTFOUND && stat.ms_entries > 0)) {
        mdb_txn_abort(txn);
        return rm_fail(err, -EINVAL, "%s holds a database that is not an rmigrate store",
                       store->path);
    }
    for (int i = 0; i < STORE_TABLES; i++) {
        rc =
            mdb_dbi_open(txn, table_names[i], store->read_only ? 0 : MDB_CREATE, &store->tables[i]);
        store->has[i] = rc == 0;
        if (rc != 0 && !(rc == MDB_NOTFOUND && store->read_only))
            goto fail;
    }
    rc = mdb_txn_commit(txn);
    if (rc == 0)
        return 0;
    return rm_fail(err, code_of(rc), "cannot write the store %s: %s", store->path,
                   mdb_strerror(rc));
fail:
    mdb_txn_abort(txn);
    return rm_fail(err, code_of(rc), "cannot open the tables of the store %s: %s", store->path,
                   mdb_strerror(rc));
}

/* Remembers which file is open; -EBUSY when this process has it open already. */
static int remember(struct store *store, struct rm_err *err)
{
    char name[PATH_MAX];
    struct stat st;
    int r = place_data_file(store->path, name);
    if (r < 0 || stat(name, &st) < 0)
        return 0; /* a new one */
    store->device = st.st_dev;
    store->inode = st.st_ino;
    for (struct store *s = open_stores; s; s = s->next)
        if (s->inode == store->inode && s->device == store->device && s->pid == getpid())
            return rm_fail(err, -EBUSY, "the store %s is open in this process already",
                           store->path);
    return 0;
}

/* Readers that were killed would keep pages for ever. */
static void forget_dead_readers(const struct store *store)
{
    int dead;
    mdb_reader_check(store->env, &dead);
}

static int read_one(void *ctx, const void *key, size_t key_length, const void *value, size_t length)
{
    (void)ctx;
    (void)key;
    (void)key_length;
    for (size_t i = 0; i < length; i += 512) /* a byte of each page */
        (void)((const volatile uint8_t *)value)[i];
    return 0;
}

static int read_all(const char *path)
{
    struct store store = {.path = (char *)(uintptr_t)path, .read_only = true};
    struct rm_err err;
    int r = code_of(mdb_env_create(&store.env));
    if (r == 0)
        r = code_of(mdb_env_set_maxdbs(store.env, STORE_TABLES));
    if (r == 0)
        r = code_of(mdb_env_open(store.env, path, MDB_NOTLS | MDB_RDONLY, 0600));
    if (r == 0)
        r = open_tables(&store, &err);
    for (int i = 0; r == 0 && i < STORE_TABLES; i++)
        r = store_walk(&store, (enum store_table)i, NULL, 0, false, read_one, NULL);
    return r;
}

/* Another process does it: what lies beyond the end of the file is a SIGBUS. */
static bool is_readable(const char *path)
{
    const struct rlimit no_core = {0};
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGBUS, SIG_DFL);
        setrlimit(RLIMIT_CORE, &no_core);
        _exit(read_all(path) == 0 ? 0 : 1);
    }
    return pid > 0 && TEMP_FAILURE_RETRY(waitpid(pid, &status, 0)) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* Pages at the end may never have been written, if the transaction that took them gave them back.
 * So of a file that is shorter than its pages everything is read. */
static int check_length(const struct store *store, struct rm_err *err)
{
    MDB_envinfo info;
    MDB_stat stat_;
    char name[PATH_MAX];
    struct stat st;
    if (place_data_file(store->path, name) < 0 || stat(name, &st) < 0)
        return rm_fail(err, -EIO, "cannot look at the store %s", store->path);
    mdb_env_info(store->env, &info);
    mdb_env_stat(store->env, &stat_);
    uint64_t whole = ((uint64_t)info.me_last_pgno + 1) * stat_.ms_psize;
    if ((uint64_t)st.st_size >= whole || is_readable(store->path))
        return 0;
    return rm_fail(err, -EBADMSG,
                   "%s is cut off: it has %" PRIu64 " of %" PRIu64
                   " bytes. Put a backup in its place; see rmigrate-store(8)",
                   name, (uint64_t)st.st_size, whole);
}

static int open_environment(struct store *store, uint64_t size, int flags, bool is_new,
                            struct rm_err *err)
{
    unsigned env_flags = MDB_NOTLS;
    if (store->read_only)
        env_flags |= MDB_RDONLY;
    if (flags & STORE_NO_SYNC)
        env_flags |= MDB_NOSYNC;
    int rc = mdb_env_create(&store->env);
    if (rc == 0)
        rc = mdb_env_set_maxdbs(store->env, STORE_TABLES);
    if (rc == 0 && !store->read_only && size > 0) {
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        rc = mdb_env_set_mapsize(store->env, (size + page - 1) / page * page);
    }
    if (rc == 0)
        rc = mdb_env_open(store->env, store->path, env_flags, 0600);
    if (rc != 0)
        return rm_fail(err, code_of(rc), "cannot open the store %s: %s", store->path,
                       mdb_strerror(rc));
    forget_dead_readers(store);
    int r = is_new ? 0 : check_length(store, err);
    if (r == 0)
        r = open_tables(store, err);
    if (r < 0 || !is_new)
        return r;
    r = io_sync(store->path);
    return r < 0 ? rm_fail(err, r, "cannot sync %s: %s", store->path, strerror(-r)) : 0;
}

int store_open(const char *path, uint64_t size, int flags, struct store **ret_store,
               struct rm_err *err)
{
    struct store *store = calloc(1, sizeof(*store));
    if (!store)
        return rm_fail(err, -ENOMEM, "out of memory");
    store->writer_lock = -1;
    store->read_only = flags & STORE_READ_ONLY;
    store->pid = getpid();
    store->path = strdup(path);
    bool is_new = false;
    int r = store->path ? 0 : -ENOMEM;
    if (store->read_only)
        flags &= ~STORE_CREATE;
    if (r == 0 && (flags & STORE_CREATE))
        r = place_make(path, err);
    if (r == 0)
        r = place_look(path, flags & STORE_CREATE, &is_new, err);
    if (r == 0)
        r = remember(store, err);
    if (r == 0 && !store->read_only)
        r = place_lock(path, &store->writer_lock, err);
    if (r == 0)
        r = open_environment(store, size, flags, is_new, err);
    if (r == 0 && is_new)
        r = remember(store, err);
    if (r < 0) {
        store_close(store);
        return r;
    }
    store->next = open_stores;
    open_stores = store;
    *ret_store = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    for (struct store **s = &open_stores; *s; s = &(*s)->next)
        if (*s == store) {
            *s = store->next;
            break;
        }
    if (store->write)
        mdb_txn_abort(store->write);
    if (store->read)
        mdb_txn_abort(store->read);
    if (store->env)
        mdb_env_close(store->env);
    if (store->writer_lock >= 0)
        close(store->writer_lock);
    free(store->watch);
    free(store->path);
    free(store);
}

/* ---- changes */

int store_watch(struct store *store, enum store_table table)
{
    if (!store->watch)
        store->watch = malloc(sizeof(*store->watch));
    if (!store->watch)
        return -ENOMEM;
    store->watch->table = table;
    store->watch->lost = true; /* what was before nobody knows */
    store->watch->n = 0;
    return 0;
}

static void changed(struct store *store, enum store_table table, const void *key, size_t length)
{
    struct watch *watch = store->watch;
    if (!watch || watch->table != table || watch->lost)
        return;
    if (watch->n == STORE_CHANGES_MAX || length > CHANGE_KEY_MAX) {
        watch->lost = true;
        return;
    }
    struct change *change = &watch->changes[watch->n++];
    change->length = (uint8_t)length;
    memcpy(change->key, key, length);
}

/* Anything may be different from what was read. */
static void changed_all(struct store *store)
{
    if (store->watch)
        store->watch->lost = true;
}

int store_changes(struct store *store, store_change_f *f, void *ctx)
{
    struct watch *watch = store->watch;
    int r = 0;
    if (!watch)
        return -EINVAL;
    if (watch->lost)
        r = -ESTALE;
    for (size_t i = 0; r == 0 && i < watch->n; i++)
        r = f(ctx, watch->changes[i].key, watch->changes[i].length);
    watch->lost = r < 0 && r != -ESTALE; /* what failed half-way was not taken note of */
    watch->n = 0;
    return r;
}

/* ---- transactions */

void store_rest(struct store *store)
{
    if (store->reading)
        mdb_txn_reset(store->read);
    store->reading = false;
}

static int begin_write(struct store *store)
{
    if (store->read_only)
        return -EROFS;
    if (store->failed)
        return store->failed;
    if (store->write)
        return 0;
    store_rest(store);
    forget_dead_readers(store);
    return code_of(mdb_txn_begin(store->env, NULL, 0, &store->write));
}

/* A snapshot of what is committed, which lasts until store_rest(). */
static int begin_view(struct store *store)
{
    int rc = 0;
    if (!store->read)
        rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &store->read);
    else if (!store->reading)
        rc = mdb_txn_renew(store->read);
    if (rc == 0)
        store->reading = true;
    return code_of(rc);
}

/* What reads use: the open write transaction, else a snapshot. */
static int begin_read(struct store *store, MDB_txn **ret_txn)
{
    if (store->write) {
        *ret_txn = store->write;
        return store->failed;
    }
    int r = begin_view(store);
    if (r == 0)
        *ret_txn = store->read;
    return r;
}

bool store_is_dirty(const struct store *store)
{
    return store->write;
}

void store_abort(struct store *store)
{
    store_rest(store);
    store->claimed = 0;
    if (store->write) {
        mdb_txn_abort(store->write);
        changed_all(store);
    }
    store->write = NULL;
    store->failed = 0;
}

uint64_t store_disk_missing(const char *path, uint64_t size)
{
    return place_missing(path, size, NULL);
}

/* LMDB says EIO where the disk took only a part of what it wrote. */
static int commit_failed(const struct store *store, int rc, struct rm_err *err)
{
    enum { NEXT_TO_NOTHING = 1024 * 1024 }; /* bytes */
    uint64_t room;

    (void)place_missing(store->path, 0, &room);
    if ((rc == EIO || rc == ENOSPC) && room < NEXT_TO_NOTHING)
        return rm_fail(
            err, code_of(rc),
            "cannot write the store %s: its disk is full: make room there, for as much as "
            "store_size says, and start again; nothing that was acknowledged is lost",
            store->path);
    return rm_fail(err, code_of(rc), "cannot write the store %s: %s", store->path,
                   mdb_strerror(rc));
}

int store_commit(struct store *store, struct rm_err *err)
{
    store_rest(store);
    store->claimed = 0;
    if (!store->write)
        return 0;
    int r = store->failed;
    if (r < 0) {
        store_abort(store);
        return rm_fail(err, r,
                       "a change of the store %s did not work, so all of it was dropped: %s",
                       store->path, strerror(-r));
    }
    if (store->fail_commit > 0 && --store->fail_commit == 0) {
        store_abort(store);
        return rm_fail(err, store->fail_error, "cannot write the store %s: a test asked for this",
                       store->path);
    }
    int rc = mdb_txn_commit(store->write);
    store->write = NULL; /* gone also when it failed */
    if (rc != 0) {
        changed_all(store);
        return commit_failed(store, rc, err);
    }
    store->commits++;
    return 0;
}

void store_fail_commit(struct store *store, unsigned countdown, int error)
{
    store->fail_commit = countdown;
    store->fail_error = error;
}

/* ---- records */

static MDB_val val(const void *data, size_t length)
{
    return (MDB_val){.mv_data = (void *)(uintptr_t)data, .mv_size = length};
}

static bool is_key(size_t length)
{
    return length > 0 && length <= STORE_KEY_MAX;
}

int store_put(struct store *store, enum store_table table, const void *key, size_t key_length,
              const void *value, size_t length, bool append)
{
    int r = is_key(key_length) ? begin_write(store) : -EINVAL;
    if (r < 0)
        return r;
    MDB_val k = val(key, key_length), v = val(value, length);
    int rc = MDB_KEYEXIST;
    if (append)
        rc = mdb_put(store->write, store->tables[table], &k, &v, MDB_APPEND);
    if (rc == MDB_KEYEXIST)
        rc = mdb_put(store->write, store->tables[table], &k, &v, 0);
    changed(store, table, key, key_length);
    store->failed = code_of(rc);
    return store->failed;
}

int store_delete(struct store *store, enum store_table table, const void *key, size_t key_length)
{
    int r = is_key(key_length) ? begin_write(store) : -EINVAL;
    if (r < 0)
        return r;
    MDB_val k = val(key, key_length);
    int rc = mdb_del(store->write, store->tables[table], &k, NULL);
    if (rc == MDB_NOTFOUND)
        return -ENOENT;
    changed(store, table, key, key_length);
    store->failed = code_of(rc);
    return store->failed;
}

int store_delete_prefix(struct store *store, enum store_table table, const void *prefix,
                        size_t length)
{
    int r = is_key(length) ? begin_write(store) : -EINVAL;
    if (r < 0)
        return r;
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(store->write, store->tables[table], &cursor);
    /* The place is sought each time: where a cursor stands after a delete is a thing that
     * versions of LMDB do not agree about. */
    while (rc == 0) {
        MDB_val k = val(prefix, length), v;
        rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
        if (rc != 0 || k.mv_size < length || memcmp(k.mv_data, prefix, length) != 0)
            break;
        rc = mdb_cursor_del(cursor, 0);
    }
    if (cursor)
        mdb_cursor_close(cursor);
    if (store->watch && store->watch->table == table)
        changed_all(store);
    if (rc != MDB_NOTFOUND)
        store->failed = code_of(rc);
    return store->failed;
}

int store_get(struct store *store, enum store_table table, const void *key, size_t key_length,
              struct store_bytes *ret_value)
{
    MDB_txn *txn = NULL;
    if (!is_key(key_length))
        return -EINVAL;
    if (!store->has[table])
        return -ENOENT;
    int r = begin_read(store, &txn);
    if (r < 0)
        return r;
    MDB_val k = val(key, key_length), v;
    int rc = mdb_get(txn, store->tables[table], &k, &v);
    if (rc == 0)
        *ret_value = (struct store_bytes){v.mv_data, v.mv_size};
    return code_of(rc);
}

/* Sets the cursor on the last key that is <= from. */
static int seek_down(MDB_cursor *cursor, MDB_val *k, MDB_val *v)
{
    MDB_val from = *k;
    int rc = mdb_cursor_get(cursor, k, v, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND)
        return mdb_cursor_get(cursor, k, v, MDB_LAST);
    if (rc == 0 &&
        (k->mv_size != from.mv_size || memcmp(k->mv_data, from.mv_data, from.mv_size) != 0))
        return mdb_cursor_get(cursor, k, v, MDB_PREV);
    return rc;
}

int store_walk(struct store *store, enum store_table table, const void *from, size_t from_length,
               bool down, store_walk_f *f, void *ctx)
{
    MDB_txn *txn = NULL;
    MDB_cursor *cursor;
    if (from_length > STORE_KEY_MAX)
        return -EINVAL;
    if (!store->has[table])
        return 0;
    int r = begin_read(store, &txn);
    if (r < 0)
        return r;
    int rc = mdb_cursor_open(txn, store->tables[table], &cursor);
    if (rc != 0)
        return code_of(rc);
    MDB_val k = val(from, from_length), v;
    if (from_length == 0)
        rc = mdb_cursor_get(cursor, &k, &v, down ? MDB_LAST : MDB_FIRST);
    else if (down)
        rc = seek_down(cursor, &k, &v);
    else
        rc = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    r = 0;
    while (rc == 0 && r == 0) {
        r = f(ctx, k.mv_data, k.mv_size, v.mv_data, v.mv_size);
        if (r == 0)
            rc = mdb_cursor_get(cursor, &k, &v, down ? MDB_PREV : MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return code_of(rc);
    return r;
}

uint64_t store_count(struct store *store, enum store_table table)
{
    MDB_txn *txn = NULL;
    MDB_stat stat;
    if (!store->has[table] || begin_read(store, &txn) < 0 ||
        mdb_stat(txn, store->tables[table], &stat) != 0)
        return 0;
    return stat.ms_entries;
}

uint64_t store_table_bytes(struct store *store, enum store_table table)
{
    MDB_txn *txn = NULL;
    MDB_stat stat;
    if (!store->has[table] || begin_read(store, &txn) < 0 ||
        mdb_stat(txn, store->tables[table], &stat) != 0)
        return 0;
    return (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages) *
           (uint64_t)stat.ms_psize;
}

/* ---- the whole */

/* Of the table of readers: who reads the oldest state. */
struct oldest {
    int pid; /* 0: nobody reads */
    size_t state;
};

/* A line of LMDB's list: pid, thread and the number of the state, "-" for one that rests. */
static int see_reader(const char *line, void *ctx)
{
    struct oldest *oldest = ctx;
    int pid;
    size_t state;
    if (sscanf(line, "%d %*x %zu", &pid, &state) == 2 && pid != getpid() &&
        (oldest->pid == 0 || state < oldest->state))
        *oldest = (struct oldest){pid, state};
    return 0;
}

/* Counts free pages: LMDB keeps lists of them in its table 0, each led by its length, under the
 * number of the state that did not need them any more. It uses those of states before the last one
 * and before the one that is read. */
static int count_free(struct store *store, size_t last, uint64_t *ret_pages, uint64_t *ret_kept,
                      int *ret_reader)
{
    MDB_cursor *cursor;
    MDB_val k, v;
    struct oldest oldest = {0};
    uint64_t pages = 0, kept = 0;
    mdb_reader_list(store->env, see_reader, &oldest);
    int rc = mdb_cursor_open(store->read, 0, &cursor);
    if (rc != 0)
        return code_of(rc);
    while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
        size_t n = 0, state = 0;
        if (v.mv_size >= sizeof(n))
            memcpy(&n, v.mv_data, sizeof(n));
        if (k.mv_size >= sizeof(state))
            memcpy(&state, k.mv_data, sizeof(state));
        if (state >= last)
            continue;
        if (oldest.pid != 0 && state >= oldest.state)
            kept += n;
        pages += n;
    }
    mdb_cursor_close(cursor);
    *ret_pages = pages;
    *ret_kept = kept;
    *ret_reader = kept > 0 ? oldest.pid : 0;
    return rc == MDB_NOTFOUND ? 0 : code_of(rc);
}

int store_usage(struct store *store, struct store_usage *ret)
{
    MDB_envinfo info;
    MDB_stat stat;
    /* What a reader keeps is free when it ends, without a commit. */
    if (store->read_only || store->used_at != store->commits + 1 || store->usage.kept > 0) {
        uint64_t unused = 0, kept = 0;
        bool was_reading = store->reading;
        forget_dead_readers(store);
        int r = begin_view(store);
        mdb_env_info(store->env, &info);
        if (r == 0)
            r = count_free(store, info.me_last_txnid, &unused, &kept, &store->usage.reader);
        if (!was_reading)
            store_rest(store);
        if (r < 0)
            return r;
        mdb_env_stat(store->env, &stat);
        uint64_t pages = (uint64_t)info.me_last_pgno + 1;
        store->usage.used = (pages > unused ? pages - unused + kept : 0) * stat.ms_psize;
        store->usage.kept = kept * stat.ms_psize;
        store->usage.size = info.me_mapsize;
        store->used_at = store->commits + 1;
    }
    *ret = store->usage;
    return 0;
}

int store_claim(struct store *store, uint64_t bytes, uint64_t *ret_left)
{
    struct store_usage usage;
    int r = store_usage(store, &usage);
    if (r < 0)
        return r;
    uint64_t most = usage.size / 100 * STORE_FULL_PERCENT;
    uint64_t taken = usage.used + store->claimed + store->kept_back;
    uint64_t left = most > taken ? most - taken : 0;
    if (ret_left)
        *ret_left = left;
    if (bytes > left)
        return -ENOSPC;
    store->claimed += bytes;
    return 0;
}

void store_keep_back(struct store *store, uint64_t bytes)
{
    store->kept_back = bytes;
}

int store_backup(struct store *store, const char *path, struct rm_err *err)
{
    char name[PATH_MAX];
    if (place_data_file(path, name) < 0)
        return rm_fail(err, -ENAMETOOLONG, "%s: the path is too long", path);
    bool made = access(path, F_OK) < 0;
    int r = place_make(path, err);
    if (r < 0)
        return r;
    if (!place_is_empty(path))
        return rm_fail(err, -EEXIST, "%s is not an empty directory", path);
    int rc = mdb_env_copy2(store->env, path, MDB_CP_COMPACT);
    if (rc == MDB_INCOMPATIBLE) { /* pages that leaked: a copy as it is takes them along */
        unlink(name);
        rc = mdb_env_copy2(store->env, path, 0);
    }
    r = rc == 0 ? io_sync(name) : code_of(rc);
    if (r == 0)
        r = io_sync(path);
    if (r == 0)
        return 0;
    unlink(name);
    if (made)
        rmdir(path);
    return rm_fail(err, r, "cannot copy the store %s to %s: %s", store->path, path,
                   rc != 0 ? mdb_strerror(rc) : strerror(-r));
}
