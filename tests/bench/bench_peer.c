/* bench_peer.c - other durable queues under the load of bench_queue: submit, given to a worker, finished
 *
 * usage: bench_peer [OPTION...] bare|redis|beanstalkd PROGRAM
 *
 * Starts the server in a directory of its own under TMPDIR with each step on disk before it is answered, and drives it over
 * raw sockets with as many workers as clients. A job is 200 bytes. The figures are called as those of bench_queue. */
#include "conf/env.h"
#include "tests/bench/figures.h"
#include "tests/bench/process.h"
#include "tests/bench/zmtp.h"

#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    PAYLOAD = 200,
    EVENTS = 256,
    PATH_SIZE = 256,
    MOST_SECONDS = 300,
    LOOK_MSEC = 20,
    ID_TEXT = 40
};

enum kind { CLIENT, WORKER, LOOKER };

struct end {
    struct zmtp conn;
    enum kind kind;
    unsigned waiting; /* submits, or jobs that are asked for or in the works */
    usec_t *asked_at; /* of the submits that wait: a ring, answers come in order */
    unsigned first;
    bool begun;
    unsigned n_acks, acks_due; /* beyond the first answers of a worker: what was finished */
    usec_t look_at;
};

struct peer {
    const char *name;
    void (*start)(char *program); /* the server; sets endpoint */
    int (*connect)(struct end *end);
    void (*begin)(struct end *end);
    void (*submit)(struct end *client, unsigned n);
    void (*look)(struct end *looker);
};

static const struct peer *peer;
static const struct env *env;
static int epoll;
static char dir[PATH_SIZE], endpoint[PATH_SIZE + 64];
static pid_t server;
static unsigned clients = 8, window = 16, list = 1, credit = 16;
static uint64_t jobs = 20000, submitted, acknowledged, done;
static usec_t now;
static uint8_t payload[PAYLOAD];
static struct series submits, looks;
static bool look;

static void finish(int code);

static void fail(const char *text)
{
    fprintf(stderr, "bench_peer: %s: %s\n", peer->name, text);
    finish(1);
}

/* ---- what happened */

static void note_submitted(struct end *client, unsigned n)
{
    series_add(&submits, now - client->asked_at[client->first]);
    client->first = (client->first + 1) % window;
    client->waiting--;
    acknowledged += n;
}

static void note_looked(struct end *looker)
{
    series_add(&looks, now - looker->look_at);
    looker->waiting = 0;
}

static void submit_more(struct end *client)
{
    while (client->begun && client->waiting < window && submitted < jobs) {
        client->asked_at[(client->first + client->waiting++) % window] = now;
        submitted += list;
        peer->submit(client, list);
    }
}

static void say(struct end *end, const char *bytes, size_t length)
{
    memcpy(zmtp_bytes(&end->conn, length), bytes, length);
}

/* ---- the bare loop (bare_queue.c) */

static void bare_start(char *program)
{
    snprintf(endpoint, sizeof(endpoint), "ipc://%s/socket", dir);
    server = process_start((char *[]){program, endpoint, dir, NULL}, "/dev/null");
}

static int bare_connect(struct end *end)
{
    return zmtp_connect(&end->conn, epoll, endpoint, end);
}

static void bare_begin(struct end *end)
{
    if (end->kind != WORKER)
        return;
    uint8_t *at = zmtp_frame(&end->conn, 5);
    at[0] = 'R';
    memcpy(at + 1, &credit, 4);
}

static void bare_submit(struct end *client, unsigned n)
{
    uint8_t *at = zmtp_frame(&client->conn, 1 + (size_t)n * PAYLOAD);
    at[0] = 'S';
    for (unsigned i = 0; i < n; i++)
        memcpy(at + 1 + (size_t)i * PAYLOAD, payload, PAYLOAD);
}

static void bare_look(struct end *looker)
{
    *zmtp_frame(&looker->conn, 1) = 'S'; /* of no jobs: answered behind the commit, as all is */
}

static void bare_take(struct zmtp *conn, const uint8_t *frame, size_t length)
{
    struct end *end = conn->owner;
    uint32_t n = 0;

    if (length < 5)
        return;
    memcpy(&n, frame + 1, 4);
    if (frame[0] == 'A' && end->kind == LOOKER) {
        note_looked(end);
    } else if (frame[0] == 'A') {
        note_submitted(end, n);
    } else if (frame[0] == 'K') {
        done += n;
    } else if (frame[0] == 'J') {
        size_t each = 8 + PAYLOAD, given = (length - 1) / each;
        uint8_t *at = zmtp_frame(conn, 1 + 8 * given);
        at[0] = 'D';
        for (size_t i = 0; i < given; i++)
            memcpy(at + 1 + 8 * i, frame + 1 + i * each, 8);
    }
}

/* ---- redis: a stream, its log synced before each answer */

static void redis_start(char *program)
{
    char socket[PATH_SIZE + 32];
    snprintf(socket, sizeof(socket), "%s/socket", dir);
    snprintf(endpoint, sizeof(endpoint), "ipc://%s", socket);
    server = process_start(
        (char *[]){program, (char *)"--port", (char *)"0", (char *)"--unixsocket", socket,
                   (char *)"--dir", dir, (char *)"--appendonly", (char *)"yes",
                   (char *)"--appendfsync", (char *)"always", (char *)"--save", (char *)"", NULL},
        "/dev/null");
}

static void redis_read(struct end *worker)
{
    char text[160];
    int n = snprintf(text, sizeof(text), "XREADGROUP GROUP g w COUNT %u BLOCK 0 STREAMS q >\r\n",
                     credit);
    say(worker, text, (size_t)n);
}

static void redis_begin(struct end *end)
{
    static const char group[] = "XGROUP CREATE q g $ MKSTREAM\r\n";

    if (end->kind != WORKER)
        return;
    say(end, group, sizeof(group) - 1); /* an error for all but the first */
    redis_read(end);
}

static void redis_submit(struct end *client, unsigned n)
{
    char text[64];
    for (unsigned i = 0; i < n; i++) {
        int length =
            snprintf(text, sizeof(text),
                     "*5\r\n$4\r\nXADD\r\n$1\r\nq\r\n$1\r\n*\r\n$1\r\nd\r\n$%d\r\n", PAYLOAD);
        say(client, text, (size_t)length);
        memcpy(zmtp_bytes(&client->conn, PAYLOAD), payload, PAYLOAD);
        say(client, "\r\n", 2);
    }
}

static void redis_look(struct end *looker)
{
    say(looker, "XLEN q\r\n", 8);
}

/* The ids of the entries in one answer of XREADGROUP. */
static char (*ids)[ID_TEXT];
static size_t n_ids, ids_size;

static void add_id(const uint8_t *bytes, size_t length)
{
    if (n_ids == ids_size) {
        ids_size = ids_size == 0 ? 256 : 2 * ids_size;
        ids = must_grow(ids, ids_size * sizeof(*ids));
    }
    snprintf(ids[n_ids++], ID_TEXT, "%.*s", (int)length, (const char *)bytes);
}

/* One value of Redis's protocol: its length, 0 where it is not whole. Entries stand at depth 3, first their id. */
static size_t redis_value(const uint8_t *bytes, size_t length, unsigned depth, unsigned place)
{
    const uint8_t *end = memmem(bytes, length, "\r\n", 2);
    size_t at = end ? (size_t)(end - bytes) + 2 : 0;
    long n;

    if (!end)
        return 0;
    n = strtol((const char *)bytes + 1, NULL, 10);
    if (bytes[0] == '$' && n >= 0) {
        if (length - at < (size_t)n + 2)
            return 0;
        if (depth == 4 && place == 0)
            add_id(bytes + at, (size_t)n);
        return at + (size_t)n + 2;
    }
    for (long i = 0; bytes[0] == '*' && i < n; i++) {
        size_t one = redis_value(bytes + at, length - at, depth + 1, (unsigned)i);
        if (one == 0)
            return 0;
        at += one;
    }
    return at;
}

static void redis_finish(struct end *worker)
{
    static const char *const commands[] = {"XACK q g", "XDEL q"};

    for (size_t c = 0; c < 2; c++) {
        say(worker, commands[c], strlen(commands[c]));
        for (size_t i = 0; i < n_ids; i++) {
            say(worker, " ", 1);
            say(worker, ids[i], strlen(ids[i]));
        }
        say(worker, "\r\n", 2);
    }
    redis_read(worker);
}

static size_t redis_take(struct zmtp *conn, const uint8_t *bytes, size_t length)
{
    struct end *end = conn->owner;
    size_t at = 0;

    while (at < length) {
        n_ids = 0;
        size_t one = redis_value(bytes + at, length - at, 0, 0);
        if (one == 0)
            break;
        if (bytes[at] == '-' && memcmp(bytes + at, "-BUSYGROUP", 10) != 0)
            fail((const char *)bytes + at);
        if (end->kind == LOOKER)
            note_looked(end);
        else if (end->kind == CLIENT && ++end->n_acks == list) {
            end->n_acks = 0;
            note_submitted(end, list);
        }
        if (end->kind == WORKER && n_ids > 0)
            redis_finish(end);
        if (end->kind == WORKER && bytes[at] == ':' && ++end->n_acks % 2 == 0) /* XACK, then XDEL */
            done += strtoul((const char *)bytes + at + 1, NULL, 10);
        at += one;
    }
    return at;
}

static int redis_connect(struct end *end)
{
    return zmtp_connect_plain(&end->conn, epoll, endpoint, end, redis_take);
}

/* ---- beanstalkd: its log synced at each write; who has a job is not in it. A worker has one job: behind a reserve that
 * waits nothing is read from its connection. */

static void beanstalk_start(char *program)
{
    char socket[PATH_SIZE + 32];
    snprintf(socket, sizeof(socket), "unix:%s/socket", dir);
    snprintf(endpoint, sizeof(endpoint), "ipc://%s/socket", dir);
    server = process_start(
        (char *[]){program, (char *)"-l", socket, (char *)"-b", dir, (char *)"-f0", NULL},
        "/dev/null");
}

static void beanstalk_begin(struct end *end)
{
    if (end->kind == WORKER)
        say(end, "reserve\r\n", 9);
}

static void beanstalk_submit(struct end *client, unsigned n)
{
    char text[64];
    for (unsigned i = 0; i < n; i++) {
        int length = snprintf(text, sizeof(text), "put 100 0 600 %d\r\n", PAYLOAD);
        say(client, text, (size_t)length);
        memcpy(zmtp_bytes(&client->conn, PAYLOAD), payload, PAYLOAD);
        say(client, "\r\n", 2);
    }
}

static void beanstalk_look(struct end *looker)
{
    say(looker, "stats-tube default\r\n", 20);
}

static size_t beanstalk_take(struct zmtp *conn, const uint8_t *bytes, size_t length)
{
    struct end *end = conn->owner;
    size_t at = 0;
    char text[64];

    while (at < length) {
        const uint8_t *line = bytes + at, *eol = memmem(line, length - at, "\r\n", 2);
        uint64_t id = 0;
        size_t body = 0;
        if (!eol)
            break;
        snprintf(text, sizeof(text), "%.*s", (int)(eol - line), (const char *)line);
        size_t all = (size_t)(eol - line) + 2;
        if (sscanf(text, "RESERVED %" SCNu64 " %zu", &id, &body) == 2 ||
            sscanf(text, "OK %zu", &body) == 1)
            all += body + 2;
        if (length - at < all)
            break;
        at += all;
        if (id != 0) {
            int n = snprintf(text, sizeof(text), "delete %" PRIu64 "\r\nreserve\r\n", id);
            say(end, text, (size_t)n);
        } else if (strncmp(text, "INSERTED", 8) == 0) {
            if (++end->n_acks % list == 0)
                note_submitted(end, list);
        } else if (strcmp(text, "DELETED") == 0) {
            done++;
        } else if (strncmp(text, "OK ", 3) == 0) {
            note_looked(end);
        } else {
            fail(text);
        }
    }
    return at;
}

static int beanstalk_connect(struct end *end)
{
    return zmtp_connect_plain(&end->conn, epoll, endpoint, end, beanstalk_take);
}

static const struct peer peers[] = {
    {"bare", bare_start, bare_connect, bare_begin, bare_submit, bare_look},
    {"redis", redis_start, redis_connect, redis_begin, redis_submit, redis_look},
    {"beanstalkd", beanstalk_start, beanstalk_connect, beanstalk_begin, beanstalk_submit,
     beanstalk_look},
};

/* ---- the run */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void finish(int code)
{
    if (server > 0)
        process_end(server, SIGTERM);
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    exit(code);
}

static void connect_end(struct end *end, enum kind kind)
{
    usec_t until = env_now(env) + 10 * USEC_PER_SEC;

    end->kind = kind;
    end->conn.fd = -1;
    end->asked_at = must_grow(NULL, window * sizeof(*end->asked_at));
    while (peer->connect(end) < 0) {
        if (env_now(env) > until)
            fail("it does not listen");
        env_sleep(env, 10 * USEC_PER_MSEC);
    }
}

static void flush(struct end *end)
{
    if (zmtp_flush(&end->conn) < 0)
        fail("the connection is lost");
}

static void turn(struct end *ends, unsigned n_ends)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(epoll, events, EVENTS, 1);

    now = env_now(env);
    for (int i = 0; i < n; i++) {
        struct zmtp *conn = events[i].data.ptr;
        if (zmtp_read(conn, bare_take) < 0)
            fail("the connection is lost");
        flush(conn->owner);
    }
    for (unsigned i = 0; i < n_ends; i++) {
        struct end *end = &ends[i];
        if (!end->begun && end->conn.ready) {
            end->begun = true;
            peer->begin(end);
        }
        if (end->kind == CLIENT)
            submit_more(end);
        if (end->kind == LOOKER && end->begun && end->waiting == 0 && submitted > 0 &&
            now >= end->look_at + LOOK_MSEC * USEC_PER_MSEC) {
            end->waiting = 1;
            end->look_at = now;
            peer->look(end);
        }
        if (end->conn.out_from < end->conn.out_length && !end->conn.waits)
            flush(end);
    }
}

static unsigned number(const char *text)
{
    unsigned long n = strtoul(text, NULL, 10);
    if (n == 0 || n > 1000000000) {
        fprintf(stderr, "bench_peer: %s is no number from 1 on\n", text);
        exit(2);
    }
    return (unsigned)n;
}

static void read_options(int argc, char *argv[])
{
    static const struct option options[] = {
        {"jobs", 1, NULL, 'j'}, {"clients", 1, NULL, 'c'}, {"window", 1, NULL, 'w'},
        {"list", 1, NULL, 'l'}, {"slots", 1, NULL, 's'},   {"look", 0, NULL, 'o'},
        {NULL, 0, NULL, 0},
    };

    for (int o; (o = getopt_long(argc, argv, "j:c:w:l:s:", options, NULL)) >= 0;) {
        if (o == 'j')
            jobs = number(optarg);
        else if (o == 'c')
            clients = number(optarg);
        else if (o == 'w')
            window = number(optarg);
        else if (o == 'l')
            list = number(optarg);
        else if (o == 's')
            credit = number(optarg);
        else if (o == 'o')
            look = true;
        else
            optind = argc;
    }
    for (size_t i = 0; optind + 2 == argc && i < sizeof(peers) / sizeof(peers[0]); i++)
        if (strcmp(argv[optind], peers[i].name) == 0)
            peer = &peers[i];
    if (peer)
        return;
    fprintf(stderr,
            "usage: bench_peer [-j JOBS] [-c CLIENTS] [-w WINDOW] [-l LIST] [-s SLOTS] [--look] "
            "bare|redis|beanstalkd PROGRAM\n");
    exit(2);
}

int main(int argc, char *argv[])
{
    const char *temporary = getenv("TMPDIR");

    env = env_system();
    read_options(argc, argv);
    jobs = (jobs + list - 1) / list * list;
    snprintf(dir, sizeof(dir), "%s/bench_peer.XXXXXX", temporary ? temporary : "/tmp");
    if (!mkdtemp(dir)) {
        perror(dir);
        return 1;
    }
    memset(payload, 'x', PAYLOAD);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    peer->start(argv[optind + 1]);
    unsigned n = 2 * clients + (look ? 1 : 0);
    struct end *ends = must_grow(NULL, n * sizeof(*ends));
    memset(ends, 0, n * sizeof(*ends));
    for (unsigned i = 0; i < n; i++)
        connect_end(&ends[i], i < clients ? WORKER : i < 2 * clients ? CLIENT : LOOKER);
    /* Everybody is there before the clock starts. */
    uint64_t wanted = jobs;
    jobs = 0;
    usec_t began_at = env_now(env);
    while (env_now(env) < began_at + USEC_PER_SEC / 2)
        turn(ends, n);
    jobs = wanted;
    struct usage before = process_usage(server);
    began_at = env_now(env);
    while (done < jobs) {
        turn(ends, n);
        if (now > began_at + MOST_SECONDS * USEC_PER_SEC)
            fail("not all jobs were done in time");
    }
    double took = (double)(env_now(env) - began_at) / (double)USEC_PER_SEC;
    struct usage after = process_usage(server);
    show("jobs a second, submit to done", (double)jobs / took, "/s");
    show_series("submit", &submits);
    show("broker's processor a job, user", (after.user - before.user) * 1e6 / (double)jobs, "us");
    show("broker's processor a job, system", (after.system - before.system) * 1e6 / (double)jobs,
         "us");
    show_series("ping under load", &looks);
    finish(done == jobs && acknowledged == jobs ? 0 : 1);
}
