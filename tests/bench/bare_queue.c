/* bare_queue.c - the ceiling: as little as a durable queue on ZeroMQ and LMDB can do
 *
 * usage: bare_queue ENDPOINT DIRECTORY
 *
 * One thread: take what has arrived, one transaction, one commit, all answers. A job is durable in three steps:
 * submitted, given to a worker, finished. It checks nothing, knows no guests and no hypervisors, and cannot come back after
 * its end: what a real broker costs more than this is what those cost. A frame is a letter and numbers of this machine:
 *
 *     S, payloads of PAYLOAD bytes    submit         answered by A and their number (u32)
 *     R, n (u32)                      n jobs more    answered by J and (id u64, payload) for each, now or later
 *     D, ids (u64)                    finished       answered by K and their number (u32); as many jobs more are given */
#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>

enum {
    PAYLOAD = 200,
    TURN_MESSAGES = 4096,
    ID = 8,
    ROUTE_MAX = 32,
};
#define MAP_SIZE ((size_t)64 << 30)

struct live {
    uint64_t state, worker, lease, reserved;
};

/* Answers of a turn, sent behind its commit. */
struct answer {
    uint8_t route[ROUTE_MAX];
    size_t n_route, length;
    uint8_t *bytes;
};

/* A worker that wants jobs. */
struct hungry {
    uint8_t route[ROUTE_MAX];
    size_t n_route;
    uint32_t wants;
};

static MDB_env *env;
static MDB_txn *txn;
static MDB_dbi jobs, live, done;
static void *router;
static uint64_t next_id = 1;
static uint64_t *ready; /* ids that wait: a ring */
static size_t ready_first, n_ready, ready_size;
static struct answer answers[3 * TURN_MESSAGES];
static size_t n_answers;
static struct hungry *hungry;
static size_t n_hungry;
static volatile sig_atomic_t ended;

static void must(int r, const char *what)
{
    if (r != 0) {
        fprintf(stderr, "bare_queue: %s: %s\n", what, mdb_strerror(r));
        exit(1);
    }
}

static void put(MDB_dbi table, uint64_t id, const void *bytes, size_t length, unsigned flags)
{
    MDB_val key = {ID, &id}, value = {length, (void *)bytes};
    must(mdb_put(txn, table, &key, &value, flags), "put");
}

static void ready_add(uint64_t id)
{
    if (n_ready == ready_size) {
        size_t size = ready_size == 0 ? 4096 : 2 * ready_size;
        uint64_t *more = calloc(size, sizeof(*more));
        for (size_t i = 0; i < n_ready; i++)
            more[i] = ready[(ready_first + i) % ready_size];
        free(ready);
        ready = more;
        ready_first = 0;
        ready_size = size;
    }
    ready[(ready_first + n_ready++) % ready_size] = id;
}

static uint8_t *answer(const uint8_t *route, size_t n_route, char letter, size_t length)
{
    struct answer *one = &answers[n_answers++];
    memcpy(one->route, route, n_route);
    one->n_route = n_route;
    one->length = 1 + length;
    one->bytes = malloc(one->length);
    one->bytes[0] = (uint8_t)letter;
    return one->bytes + 1;
}

static void take(const uint8_t *route, size_t n_route, const uint8_t *frame, size_t length)
{
    struct live record = {.state = 1};
    uint32_t n;

    if (length < 1)
        return;
    if (frame[0] == 'S') {
        n = (uint32_t)((length - 1) / PAYLOAD);
        for (uint32_t i = 0; i < n; i++) {
            put(jobs, next_id, frame + 1 + (size_t)i * PAYLOAD, PAYLOAD, MDB_APPEND);
            put(live, next_id, &record, sizeof(record), MDB_APPEND);
            ready_add(next_id++);
        }
        memcpy(answer(route, n_route, 'A', sizeof(n)), &n, sizeof(n));
        return;
    }
    if (frame[0] == 'D') {
        n = (uint32_t)((length - 1) / ID);
        for (uint32_t i = 0; i < n; i++) {
            uint64_t id;
            memcpy(&id, frame + 1 + (size_t)i * ID, ID);
            MDB_val key = {ID, &id};
            must(mdb_del(txn, live, &key, NULL), "del");
            put(done, id, &record, sizeof(record), 0);
        }
        memcpy(answer(route, n_route, 'K', sizeof(n)), &n, sizeof(n));
    } else if (frame[0] == 'R' && length >= 1 + sizeof(n)) {
        memcpy(&n, frame + 1, sizeof(n));
    } else {
        return;
    }
    for (size_t i = 0; i < n_hungry; i++)
        if (hungry[i].n_route == n_route && memcmp(hungry[i].route, route, n_route) == 0) {
            hungry[i].wants += n;
            return;
        }
    hungry = realloc(hungry, (n_hungry + 1) * sizeof(*hungry));
    hungry[n_hungry].n_route = n_route;
    memcpy(hungry[n_hungry].route, route, n_route);
    hungry[n_hungry++].wants = n;
}

static void give(struct hungry *worker)
{
    size_t n = worker->wants < n_ready ? worker->wants : n_ready;
    uint8_t *at;

    if (n == 0)
        return;
    at = answer(worker->route, worker->n_route, 'J', n * (ID + PAYLOAD));
    worker->wants -= (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        uint64_t id = ready[ready_first];
        struct live record = {.state = 2, .worker = 1};
        MDB_val key = {ID, &id}, value;
        ready_first = (ready_first + 1) % ready_size;
        n_ready--;
        put(live, id, &record, sizeof(record), 0);
        must(mdb_get(txn, jobs, &key, &value), "get");
        memcpy(at, &id, ID);
        memcpy(at + ID, value.mv_data, PAYLOAD);
        at += ID + PAYLOAD;
    }
}

/* Returns how many messages there were. */
static size_t drain(void)
{
    size_t n = 0;

    for (; n < TURN_MESSAGES; n++) {
        uint8_t route[ROUTE_MAX];
        zmq_msg_t body;
        int n_route = zmq_recv(router, route, sizeof(route), ZMQ_DONTWAIT);
        if (n_route < 0)
            break;
        zmq_msg_init(&body);
        zmq_msg_recv(&body, router, 0);
        if (!txn)
            must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
        take(route, (size_t)n_route, zmq_msg_data(&body), zmq_msg_size(&body));
        zmq_msg_close(&body);
    }
    return n;
}

static void turn(void)
{
    zmq_pollitem_t item = {.socket = router, .events = ZMQ_POLLIN};

    if (zmq_poll(&item, 1, 500) <= 0 || drain() == 0)
        return;
    for (size_t i = 0; i < n_hungry && n_ready > 0; i++)
        give(&hungry[i]);
    must(mdb_txn_commit(txn), "commit");
    txn = NULL;
    for (size_t i = 0; i < n_answers; i++) {
        zmq_send(router, answers[i].route, answers[i].n_route, ZMQ_SNDMORE);
        zmq_send(router, answers[i].bytes, answers[i].length, 0);
        free(answers[i].bytes);
    }
    n_answers = 0;
}

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

int main(int argc, char *argv[])
{
    int none = 0;

    if (argc != 3) {
        fprintf(stderr, "usage: bare_queue ENDPOINT DIRECTORY\n");
        return 2;
    }
    signal(SIGTERM, end);
    must(mdb_env_create(&env), "create");
    must(mdb_env_set_maxdbs(env, 3), "tables");
    must(mdb_env_set_mapsize(env, MAP_SIZE), "size");
    must(mdb_env_open(env, argv[2], 0, 0600), argv[2]);
    must(mdb_txn_begin(env, NULL, 0, &txn), "begin");
    must(mdb_dbi_open(txn, "jobs", MDB_CREATE | MDB_INTEGERKEY, &jobs), "jobs");
    must(mdb_dbi_open(txn, "live", MDB_CREATE | MDB_INTEGERKEY, &live), "live");
    must(mdb_dbi_open(txn, "done", MDB_CREATE | MDB_INTEGERKEY, &done), "done");
    must(mdb_txn_commit(txn), "commit");
    txn = NULL;
    void *context = zmq_ctx_new();
    router = zmq_socket(context, ZMQ_ROUTER);
    zmq_setsockopt(router, ZMQ_SNDHWM, &none, sizeof(none));
    zmq_setsockopt(router, ZMQ_RCVHWM, &none, sizeof(none));
    zmq_setsockopt(router, ZMQ_LINGER, &none, sizeof(none));
    if (zmq_bind(router, argv[1]) < 0) {
        fprintf(stderr, "bare_queue: %s: %s\n", argv[1], strerror(errno));
        return 1;
    }
    while (!ended)
        turn();
    zmq_close(router);
    zmq_ctx_term(context);
    mdb_env_close(env);
    return 0;
}
