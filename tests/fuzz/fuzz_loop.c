/* fuzz_loop.c - what peers do to the broker's socket, in any order, against the real loop
 *
 * The broker's loop runs in a thread, on a real store and a local socket. The input is a list of steps of a few
 * peers that speak ZeroMQ's protocol by hand: greet in whole or in part, send frames that are ours, nearly ours or
 * not at all, in several parts, cut off, or as commands; read or do not; close at any moment; and the broker may be
 * started again meanwhile. In the end a client of ours must be answered, and the loop must end when it is told to. */
#include "broker/loop.h"
#include "conf/log.h"
#include "conf/service.h"
#include "wire/msg.h"
#include "wire/net.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    PEERS = 5,
    STEPS_MAX = 80,
    PIPELINED_MAX = 64, /* requests in one step, times the byte that says how many */
    ANSWER_SECONDS =
        20, /* in which a broker that works answers under a sanitizer, on a busy machine */
    GREETING = 64,
    FLAG_MORE = 1, /* of a frame of ZMTP */
    FLAG_LONG = 2,
    FLAG_COMMAND = 4,
};

struct input {
    const uint8_t *data;
    size_t n;
};

struct site {
    char dir[64], endpoint[96], socket[80];
    struct conf_broker conf;
    int signals[2]; /* the end that the loop reads, and ours */
    pthread_t thread;
    int result;
    struct rm_err err;
    int peers[PEERS]; /* -1: not connected */
};

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "fuzz_loop: %s\n", what);
    abort();
}

static uint8_t take(struct input *input)
{
    if (input->n == 0)
        return 0;
    input->n--;
    return *input->data++;
}

/* ---- the broker */

static void *run(void *ctx)
{
    struct site *site = ctx;

    site->result = loop_run(&site->conf, NULL, env_system(), site->signals[0], &site->err);
    return NULL;
}

static void start(struct site *site)
{
    must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, site->signals) == 0,
         "no pair of sockets");
    must(pthread_create(&site->thread, NULL, run, site) == 0, "no thread");
    for (unsigned i = 0; access(site->socket, F_OK) < 0; i++) {
        must(i < ANSWER_SECONDS * 1000, "the broker does not begin");
        usleep(1000);
    }
}

static void stop(struct site *site)
{
    const struct signalfd_siginfo info = {.ssi_signo = SIGTERM};
    struct timespec until;

    must(write(site->signals[1], &info, sizeof(info)) == (ssize_t)sizeof(info), "no signal");
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ANSWER_SECONDS;
    must(pthread_timedjoin_np(site->thread, NULL, &until) == 0, "the loop does not end");
    must(site->result == 0, site->err.text);
    close(site->signals[0]);
    close(site->signals[1]);
    unlink(site->socket);
}

/* ---- peers */

static void leave(struct site *site, unsigned peer)
{
    if (site->peers[peer] >= 0)
        close(site->peers[peer]);
    site->peers[peer] = -1;
}

/* What the socket does not take is lost: the frame is cut off there. */
static void put(struct site *site, unsigned peer, const void *bytes, size_t n)
{
    if (site->peers[peer] >= 0 && n > 0)
        (void)!send(site->peers[peer], bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void come(struct site *site, unsigned peer)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const int few = 2048;

    leave(site, peer);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    must(fd >= 0, "no socket");
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", site->socket);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &few, sizeof(few));
    if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0)
        close(fd);
    else
        site->peers[peer] = fd;
}

static void put_greeting(struct site *site, unsigned peer, size_t n)
{
    uint8_t greeting[GREETING] = {0xff, [9] = 0x7f, [10] = 3, [12] = 'N', 'U', 'L', 'L'};

    put(site, peer, greeting, n < GREETING ? n : GREETING);
}

/* flags: FLAG_*; claimed: the length that it says it has. */
static void put_frame(struct site *site, unsigned peer, uint8_t flags, const uint8_t *bytes,
                      size_t n, size_t claimed)
{
    uint8_t head[9] = {(uint8_t)(flags | (claimed > 255 ? FLAG_LONG : 0))};
    size_t length = head[0] & FLAG_LONG ? 9 : 2;

    for (size_t i = 1; i < length; i++)
        head[i] = (uint8_t)(claimed >> (8 * (length - 1 - i)));
    put(site, peer, head, length);
    put(site, peer, bytes, n);
}

/* identity: the routing id that it chooses. */
static void put_ready(struct site *site, unsigned peer, const uint8_t *identity, size_t n)
{
    uint8_t ready[96] = "\5READY\13Socket-Type\0\0\0\6DEALER\10Identity\0\0\0";
    size_t length = 6 + 12 + 4 + 6 + 9 + 3;

    n = n > 32 ? 32 : n;
    ready[length++] = (uint8_t)n;
    if (n > 0)
        memcpy(ready + length, identity, n);
    put_frame(site, peer, FLAG_COMMAND, ready, length + n, length + n);
}

/* ---- messages that are ours */

static void put_message(struct site *site, unsigned peer, const RmMessage *message, size_t cut)
{
    size_t length;
    uint8_t *frame = msg_pack(message, &length);

    must(frame != NULL, "a message cannot be packed");
    put_frame(site, peer, 0, frame, cut < length ? length - cut : 0, length);
    free(frame);
}

static void put_ours(struct site *site, unsigned peer, uint8_t what, uint8_t n)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmRequest request = RM_REQUEST__INIT;
    RmPing ping = RM_PING__INIT;
    RmSubmit submit = RM_SUBMIT__INIT;
    RmFollow follow = RM_FOLLOW__INIT;
    RmListGuests guests = RM_LIST_GUESTS__INIT;
    RmTableDump dump = RM_TABLE_DUMP__INIT;
    RmHello hello = RM_HELLO__INIT;
    RmHyp hyp = RM_HYP__INIT, *hyps = &hyp;
    RmInventory inventory = RM_INVENTORY__INIT;
    RmDomain domain = RM_DOMAIN__INIT, *domains = &domain;
    RmPull pull = RM_PULL__INIT;

    message.tag = n;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = &request;
    request.pages = n & 1;
    request.token = (ProtobufCBinaryData){16, (uint8_t *)"0123456789abcdef"};
    switch (what % 8) {
    case 0:
        request.ask_case = RM_REQUEST__ASK_PING;
        request.ping = &ping;
        break;
    case 1:
        submit.guests = (char *)"g1";
        request.ask_case = RM_REQUEST__ASK_SUBMIT;
        request.submit = &submit;
        break;
    case 2:
        follow.wait_for = (uint64_t)n * USEC_PER_MSEC;
        follow.epoch = n;
        request.ask_case = RM_REQUEST__ASK_FOLLOW;
        request.follow = &follow;
        break;
    case 3:
        request.ask_case = RM_REQUEST__ASK_GUESTS;
        request.guests = &guests;
        break;
    case 4:
        dump.table = (char *)"site";
        request.ask_case = RM_REQUEST__ASK_TABLE_DUMP;
        request.table_dump = &dump;
        break;
    case 5:
        hello.instance = n + 1U;
        hello.turns = true;
        hyp.name = (char *)"h1";
        hyp.slots = 2;
        hello.hosts = &hyps;
        hello.n_hosts = 1;
        message.body_case = RM_MESSAGE__BODY_HELLO;
        message.hello = &hello;
        break;
    case 6:
        inventory.host = (char *)"h1";
        inventory.reachable = true;
        domain.name = (char *)"g1";
        domain.uuid = (char *)"uuid-1";
        domain.state = RM_GUEST_STATE__GUEST_RUNNING;
        inventory.domains = &domains;
        inventory.n_domains = 1;
        message.body_case = RM_MESSAGE__BODY_INVENTORY;
        message.inventory = &inventory;
        break;
    default:
        pull.session = n;
        message.body_case = RM_MESSAGE__BODY_PULL;
        message.pull = &pull;
        break;
    }
    put_message(site, peer, &message, what >= 240 ? n : 0);
}

static void step(struct site *site, struct input *input)
{
    static const char *const commands[] = {"\4PING\0\12abc", "\5ERROR\3odd", "\11SUBSCRIBE",
                                           "\4PONG",         "\6CANCEL",     "\5READY"};
    static uint8_t bytes[MSG_HEADER + 256] = {'R', 'M', 'G', MSG_VERSION};
    uint8_t what = take(input), n = take(input);
    unsigned peer = n % PEERS;
    size_t length = 0;

    n /= PEERS;
    switch (what % 16) {
    case 0: /* a peer as it should be */
    case 1:
        come(site, peer);
        put_greeting(site, peer, GREETING);
        put_ready(site, peer, NULL, 0);
        break;
    case 2:
        come(site, peer);
        put_greeting(site, peer, n * 2U);
        break;
    case 3:
        put_ready(site, peer, input->data, n % 8U < input->n ? n % 8U : input->n);
        break;
    case 4: /* frames of bytes: ours at the beginning or not, one part or several, whole or cut off */
    case 5:
        while (length < n && input->n > 0)
            bytes[MSG_HEADER + length++] = take(input);
        if (what & 16)
            put_frame(site, peer, what & 32 ? FLAG_MORE : 0, bytes, MSG_HEADER + length,
                      MSG_HEADER + length + (what & 64 ? 7U : 0));
        else
            put_frame(site, peer, what & 32 ? FLAG_MORE : 0, bytes + MSG_HEADER, length,
                      what & 64 ? SIZE_MAX >> (n % 48) : length);
        break;
    case 6:
        while (length < n && input->n > 0)
            bytes[MSG_HEADER + length++] = take(input);
        put(site, peer, bytes + MSG_HEADER, length);
        break;
    case 7: /* it reads a little */
        if (site->peers[peer] >= 0)
            (void)!recv(site->peers[peer], (uint8_t[256]){0}, n, MSG_DONTWAIT);
        break;
    case 8:
        leave(site, peer);
        break;
    case 9:
        if (site->peers[peer] >= 0)
            shutdown(site->peers[peer], n & 1 ? SHUT_WR : SHUT_RD);
        break;
    case 10: {
        const char *command = commands[n % (sizeof(commands) / sizeof(commands[0]))];
        put_frame(site, peer, FLAG_COMMAND | (what & FLAG_MORE), (const uint8_t *)command,
                  strlen(command), strlen(command));
        break;
    }
    case 11: /* and asks without reading */
        for (unsigned i = 0; i < n * (unsigned)PIPELINED_MAX; i++)
            put_ours(site, peer, what & 16 ? 3 : 0, n);
        break;
    case 12:
        if (what >= 128) {
            usleep(n * 100U);
        } else {
            stop(site);
            start(site);
        }
        break;
    default:
        put_ours(site, peer, take(input), n);
        break;
    }
}

/* ---- the end */

static void ask(const struct site *site)
{
    RmMessage message = RM_MESSAGE__INIT, *answer = NULL;
    RmRequest request = RM_REQUEST__INIT;
    RmPing ping = RM_PING__INIT;
    struct arena *arena = arena_new(0);
    struct rm_err err = {""};
    struct net_frame frame;
    struct net *net = NULL;
    size_t length;
    usec_t until = env_now(env_system()) + ANSWER_SECONDS * USEC_PER_SEC;

    message.tag = 4711;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = &request;
    request.ask_case = RM_REQUEST__ASK_PING;
    request.ping = &ping;
    uint8_t *packed = msg_pack(&message, &length);
    must(arena && packed && net_connect(site->endpoint, NULL, NULL, &net, &err) == 0, "no client");
    must(net_send(net, NULL, packed, length) == 0, "a ping is not taken");
    free(packed);
    while (!answer) {
        must(env_now(env_system()) < until, "the broker does not answer any more");
        net_wait(net, NULL, 0, NULL, USEC_PER_SEC);
        if (net_recv(net, NULL, &frame) < 0)
            continue;
        must(msg_unpack(arena, frame.data, frame.length, &answer, &err) == 0, err.text);
        net_frame_free(&frame);
    }
    must(answer->tag == 4711 && answer->reply->code == RM_CODE__CODE_OK, "not the answer");
    net_free(net);
    arena_free(arena);
}

static void remove_files(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    char name[512];

    while (dir && (entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
        if (unlink(name) < 0)
            remove_files(name);
    }
    if (dir)
        closedir(dir);
    rmdir(path);
}

static void read_settings(struct site *site)
{
    char name[sizeof(site->dir) + 16];
    struct rm_err err = {""};

    snprintf(name, sizeof(name), "%s/conf", site->dir);
    FILE *file = fopen(name, "we");
    must(file != NULL, "no file of settings");
    fprintf(file,
            "broker: { listen = [ \"%s\" ]; store = \"%s/store\"; store_size = \"64 MiB\"; };\n",
            site->endpoint, site->dir);
    must(fclose(file) == 0, "no file of settings");
    must(conf_broker_load(name, &site->conf, &err) >= 0, err.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *base;
    struct input input = {data, size};
    struct site site = {.result = 0};
    struct stat st;

    if (!base) {
        base = stat("/dev/shm", &st) == 0 ? "/dev/shm" : "/tmp";
        log_open("fuzz_loop", getenv("FUZZ_LOG") ? LOG_LEVEL_INFO : LOG_LEVEL_ERROR);
        signal(SIGPIPE, SIG_IGN);
    }
    snprintf(site.dir, sizeof(site.dir), "%s/fuzz_loop-XXXXXX", base);
    must(mkdtemp(site.dir) != NULL, "no directory");
    snprintf(site.socket, sizeof(site.socket), "%s/s", site.dir);
    snprintf(site.endpoint, sizeof(site.endpoint), "ipc://%s", site.socket);
    read_settings(&site);
    for (unsigned i = 0; i < PEERS; i++)
        site.peers[i] = -1;
    start(&site);
    for (unsigned n = 0; n < STEPS_MAX && input.n > 0; n++)
        step(&site, &input);
    ask(&site);
    stop(&site);
    for (unsigned i = 0; i < PEERS; i++)
        leave(&site, i);
    conf_broker_done(&site.conf);
    remove_files(site.dir);
    return 0;
}
