/* fakeclient.c - says to the broker what no program of ours would: for tests of the command line
 *
 * usage: fakeclient [-k KEYFILE -s SERVERKEY] [-t MSEC] ENDPOINT WHAT [ARGUMENT...]
 *
 *     raw HEX...                 these frames, byte for byte
 *     noise N                    N frames with the right beginning and random bytes behind it
 *     cut N                      a whole request, and each frame that is its beginning, N times
 *     ping                       a request that is fine
 *     nothing                    a request that asks for nothing
 *     token TOKEN GUESTS HOST    submit with this token, which may be of any length
 *     reply                      a message that only a broker sends
 *     hello HOST[=KIND]...       begins a worker's session for these hypervisors
 *     pull                       a worker that goes on without having begun
 *     stray HOST JOB             begins a session, then reports that this job is finished
 *     crowd HOST N ROUNDS        begins a session, then shows N guests with new names in each round
 *     flood N TABLE              asks N times (fewer than 1000) for a whole table, and stops (SIGSTOP) before it reads
 *     idle N                     N connections that say nothing, as many as there may be, until it is killed; over tcp, to
 *                                an IPv4 address, they come from 127.0.0.2
 *     broker KIND [HOSTS JOBS]   is a broker itself, until it is killed: it answers as none of ours would, in one of the
 *                                ways that broker_kinds says, with so many hypervisors and jobs besides
 *
 * Prints a line for each message that comes back within MSEC (500), and ends when the first reply,
 * welcome or orders came; "silence" when nothing did. Exit code 0, or 1 when it could not even
 * connect. */
#include "conf/endpoint.h"
#include "conf/env.h"
#include "wire/msg.h"
#include "wire/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { NOISE_MAX = 200 /* bytes of a frame of noise */ };

static struct net *net;
static struct arena *arena;
static const struct env *env;

static void die(const char *text)
{
    fprintf(stderr, "fakeclient: %s\n", text);
    exit(1);
}

/* ---- out */

static void send_frame(const uint8_t *frame, size_t length)
{
    if (net_send(net, NULL, frame, length) < 0)
        die("the frame was not taken");
}

static void send_message(const RmMessage *message)
{
    size_t length;
    uint8_t *frame = msg_pack(message, &length);

    if (frame == NULL)
        die("the message could not be packed");
    send_frame(frame, length);
    free(frame);
}

static void send_request(RmRequest *request)
{
    RmMessage message = RM_MESSAGE__INIT;

    request->version = (char *)"fake";
    request->command = (char *)"fakeclient";
    message.tag = 1;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = request;
    send_message(&message);
}

static void send_flood(unsigned long n, char *table)
{
    RmTableDump dump = RM_TABLE_DUMP__INIT;
    RmRequest request = RM_REQUEST__INIT;

    dump.table = table;
    request.ask_case = RM_REQUEST__ASK_TABLE_DUMP;
    request.table_dump = &dump;
    while (n-- > 0)
        send_request(&request);
}

static void send_raw(const char *hex)
{
    size_t length = strlen(hex) / 2;
    uint8_t *frame = malloc(length + 1);

    if (frame == NULL)
        die("no memory");
    for (size_t i = 0; i < length; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        frame[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    send_frame(frame, length);
    free(frame);
}

static void send_noise(unsigned long n)
{
    for (unsigned long i = 0; i < n; i++) {
        uint8_t frame[MSG_HEADER + NOISE_MAX] = {'R', 'M', 'G', MSG_VERSION};
        size_t length = MSG_HEADER + env_random(env) % NOISE_MAX;
        for (size_t k = MSG_HEADER; k < length; k++)
            frame[k] = (uint8_t)env_random(env);
        send_frame(frame, length);
    }
}

static void send_cut(unsigned long n)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmRequest request = RM_REQUEST__INIT;
    RmSubmit submit = RM_SUBMIT__INIT;
    uint8_t *frame;
    size_t length;

    submit.guests = (char *)"kvm[1-9]";
    submit.to = (char *)"hyp02";
    request.ask_case = RM_REQUEST__ASK_SUBMIT;
    request.submit = &submit;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = &request;
    frame = msg_pack(&message, &length);
    if (frame == NULL)
        die("no memory");
    for (unsigned long i = 0; i < n; i++)
        for (size_t k = 0; k < length; k++)
            send_frame(frame, k);
    free(frame);
}

static void send_ping(void)
{
    RmRequest request = RM_REQUEST__INIT;
    RmPing ping = RM_PING__INIT;

    request.ask_case = RM_REQUEST__ASK_PING;
    request.ping = &ping;
    send_request(&request);
}

static void send_submit(char *token, char *guests, char *to)
{
    RmRequest request = RM_REQUEST__INIT;
    RmSubmit submit = RM_SUBMIT__INIT;

    submit.guests = guests;
    submit.to = to;
    request.token.data = (uint8_t *)token;
    request.token.len = strlen(token);
    request.ask_case = RM_REQUEST__ASK_SUBMIT;
    request.submit = &submit;
    send_request(&request);
}

static void send_reply(void)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmReply reply = RM_REPLY__INIT;

    message.body_case = RM_MESSAGE__BODY_REPLY;
    message.reply = &reply;
    send_message(&message);
}

static void send_hello(char **hosts, int n)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmHello hello = RM_HELLO__INIT;

    hello.instance = env_random(env);
    hello.version = (char *)"fake";
    hello.machine = (char *)"fakeclient";
    for (int i = 0; i < n; i++) {
        RmHyp *hyp = arena_alloc(arena, sizeof(*hyp));
        if (hyp == NULL)
            die("no memory");
        rm_hyp__init(hyp);
        hyp->name = strsep(&hosts[i], "=");
        hyp->kind = hosts[i] ? (RmKind)strtoul(hosts[i], NULL, 10) : RM_KIND__KIND_LIBVIRT;
        hyp->slots = 1;
        if (ARENA_PUSH(arena, hello.n_hosts, hello.hosts, hyp) < 0)
            die("no memory");
    }
    message.body_case = RM_MESSAGE__BODY_HELLO;
    message.hello = &hello;
    send_message(&message);
}

static void send_pull(void)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmPull pull = RM_PULL__INIT;

    pull.session = 1;
    message.body_case = RM_MESSAGE__BODY_PULL;
    message.pull = &pull;
    send_message(&message);
}

static void send_finished(const char *job)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmReports reports = RM_REPORTS__INIT;
    RmReport report = RM_REPORT__INIT;
    RmReport *list[] = {&report};

    report.job = strtoul(job, NULL, 10);
    report.attempt = 1;
    report.kind = RM_REPORT_KIND__REPORT_FINISHED;
    report.verdict = RM_VERDICT__VERDICT_DESTINATION;
    reports.n_reports = 1;
    reports.reports = list;
    message.body_case = RM_MESSAGE__BODY_REPORTS;
    message.reports = &reports;
    send_message(&message);
}

/* All names and uuids are new ones. */
static void send_crowd(char *host, size_t n, uint64_t round)
{
    RmMessage message = RM_MESSAGE__INIT;
    RmInventory inventory = RM_INVENTORY__INIT;

    inventory.host = host;
    inventory.reachable = true;
    inventory.sequence = round;
    for (size_t i = 0; i < n; i++) {
        RmDomain *domain = arena_alloc(arena, sizeof(*domain));
        rm_domain__init(domain);
        domain->name = arena_printf(arena, "crowd%" PRIu64 "x%zu", round, i);
        domain->uuid = arena_printf(arena, "00000000-0000-0000-%04" PRIx64 "-%012zx", round, i);
        domain->state = RM_GUEST_STATE__GUEST_RUNNING;
        domain->memory = 1;
        domain->vcpus = 1;
        if (ARENA_PUSH(arena, inventory.n_domains, inventory.domains, domain) < 0)
            die("no memory");
    }
    message.body_case = RM_MESSAGE__BODY_INVENTORY;
    message.inventory = &inventory;
    send_message(&message);
    arena_reset(arena);
}

/* ---- in */

static void print_message(const RmMessage *message)
{
    printf("%s", msg_name(message));
    switch (message->body_case) {
    case RM_MESSAGE__BODY_REPLY:
        printf(" code %d", (int)message->reply->code);
        if (message->reply->batch != 0)
            printf(" batch %" PRIu64, message->reply->batch);
        if (*message->reply->text != '\0')
            printf(": %s", message->reply->text);
        break;
    case RM_MESSAGE__BODY_WELCOME:
        for (size_t i = 0; i < message->welcome->n_refused; i++)
            printf("%s %s", i == 0 ? " refused" : "", message->welcome->refused[i]);
        break;
    case RM_MESSAGE__BODY_ORDERS:
        for (size_t i = 0; i < message->orders->n_orders; i++)
            printf(" %d", (int)message->orders->orders[i]->kind);
        break;
    default:
        break;
    }
    putchar('\n');
}

/* Prints what comes until a message is there or the time is over. */
static bool listen_for(usec_t span)
{
    usec_t until_at = env_now(env) + span;
    bool heard = false;

    while (!heard && env_now(env) < until_at) {
        struct net_frame frame;
        net_wait(net, NULL, 0, NULL, until_at - env_now(env));
        while (net_recv(net, NULL, &frame) >= 0) {
            RmMessage *message;
            struct rm_err err = {0};
            if (msg_unpack(arena, frame.data, frame.length, &message, &err) < 0)
                printf("damaged: %s\n", err.text);
            else
                print_message(message);
            net_frame_free(&frame);
            heard = true;
        }
    }
    return heard;
}

/* Waits until the broker has let it in, or has said why not. */
static void connect_to(const char *endpoint, const char *key, const char *server, usec_t span)
{
    usec_t until_at = env_now(env) + span;
    struct rm_err err = {0};

    if (net_connect(endpoint, key, server, &net, &err) < 0)
        die(err.text);
    while (net_state(net) != NET_CONNECTED) {
        usec_t now = env_now(env);
        if (now >= until_at)
            die(net_state_text(net_state(net)));
        net_wait(net, NULL, 0, NULL, until_at - now);
    }
}

static int local_connection(const char *endpoint)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    const char *path = endpoint_path(endpoint);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (!path || strlen(path) >= sizeof(name.sun_path))
        die("not a local socket");
    snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
    return fd < 0 ? fd : connect(fd, (const struct sockaddr *)&name, sizeof(name));
}

/* From an address that is nobody else's. */
static int tcp_connection(const char *endpoint)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    const char *port = strrchr(endpoint, ':');
    char host[INET_ADDRSTRLEN];
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    snprintf(host, sizeof(host), "%.*s", (int)(port - strlen("tcp://") - endpoint),
             endpoint + strlen("tcp://"));
    to.sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
    if (inet_pton(AF_INET, "127.0.0.2", &from.sin_addr) != 1 ||
        inet_pton(AF_INET, host, &to.sin_addr) != 1)
        die("not an address");
    if (fd < 0 || bind(fd, (const struct sockaddr *)&from, sizeof(from)) < 0)
        return -1;
    return connect(fd, (const struct sockaddr *)&to, sizeof(to));
}

/* Without ZeroMQ: each connection is a descriptor and nothing else. */
static void idle(const char *endpoint, unsigned long n)
{
    bool is_tcp = strncmp(endpoint, "tcp://", strlen("tcp://")) == 0;

    while (n-- > 0 && (is_tcp ? tcp_connection(endpoint) : local_connection(endpoint)) == 0)
        ;
    for (;;)
        pause();
}

/* ---- the other side: a broker */

enum broker_kind {
    BROKER_PLAIN, /* a usual one */
    BROKER_ODD, /* parts are missing, numbers at their limits, names without end or of odd characters */
    BROKER_SAME,    /* the same page again and again */
    BROKER_ENDLESS, /* always one page more */
    BROKER_BEHIND   /* it does not remember how its first job ended, which it told of before */
};
static const char *const broker_kinds[] = {"plain", "odd", "same", "endless", "behind"};

static void *made(size_t size, void (*init)(void *))
{
    void *message = arena_alloc(arena, size);

    if (message == NULL)
        die("no memory");
    init(message);
    return message;
}
#define MADE(type, init) ((type *)made(sizeof(type), (void (*)(void *))(init)))

static char *long_name(const char *part, size_t times)
{
    size_t length = strlen(part);
    char *text = arena_alloc(arena, length * times + 1);

    if (text == NULL)
        die("no memory");
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * length, part, length);
    return text;
}

static void add_host(RmReply *reply, char *name, bool odd)
{
    RmHostView *view = MADE(RmHostView, rm_host_view__init);

    if (name) {
        view->host = MADE(RmHost, rm_host__init);
        view->host->name = name;
        view->host->memory = odd ? UINT64_MAX : 1024;
        view->host->vcpus = odd ? UINT32_MAX : 4;
        view->host->state = odd ? (RmHostState)77 : RM_HOST_STATE__HOST_OPEN;
    }
    view->connected = view->reachable = true;
    view->memory_free = odd ? UINT64_MAX : 512;
    view->reserve = odd ? UINT64_MAX : 0;
    view->guests = view->queued = view->running = view->waiting = view->doubt = view->incoming =
        odd ? UINT32_MAX : 0;
    view->done = view->failed = odd ? UINT64_MAX : 0;
    ARENA_PUSH(arena, reply->n_hosts, reply->hosts, view);
}

static RmJobView *add_job(RmReply *reply, uint64_t id, char *guest, RmState state)
{
    RmJobView *view = MADE(RmJobView, rm_job_view__init);

    view->job = MADE(RmJob, rm_job__init);
    view->job->id = id;
    view->job->batch = id;
    view->job->guest = guest;
    view->source = (char *)"hyp0";
    view->state = state;
    ARENA_PUSH(arena, reply->n_jobs, reply->jobs, view);
    return view;
}

static void add_odd_jobs(RmReply *reply)
{
    RmJobView *view = add_job(reply, 1, (char *)"", RM_STATE__RUNNING);

    view->stats = MADE(RmStats, rm_stats__init);
    view->stats->total = 1000;
    view->stats->remaining = 400;
    view->attempt = 1;
    view = add_job(reply, 1, (char *)"", RM_STATE__RUNNING); /* the same one, a moment later */
    view->stats = MADE(RmStats, rm_stats__init);
    view->stats->total = 1000;
    view->stats->remaining = 2000;
    view->attempt = 1;
    view = add_job(reply, 2, (char *)"rate", RM_STATE__RUNNING);
    view->stats = MADE(RmStats, rm_stats__init);
    memset(&view->stats->elapsed_for, 0xFF,
           sizeof(*view->stats) - offsetof(RmStats, elapsed_for)); /* all that it has */
    add_job(reply, UINT64_MAX, (char *)"state", (RmState)99)->job->kind = (RmKind)99;
    add_job(reply, 4, long_name("long", 30000), RM_STATE__FAILED)->text = long_name("why ", 30000);
    add_job(reply, 5, long_name("\xe4\xbb\xae\xe6\x83\xb3", 20), RM_STATE__QUEUED);
    add_job(reply, 6, long_name("e\xcc\x81\xcc\x82\xcc\x83\xcc\x84\xcc\x85\xcc\x86\xcc\x87", 9),
            RM_STATE__QUEUED);
    add_job(reply, 7, (char *)"\xcc\x81", RM_STATE__DOUBT)->text = (char *)"one\ntwo\tthree";
    add_job(reply, 0, (char *)"none", RM_STATE__RUNNING);
    view = add_job(reply, 8, (char *)"", RM_STATE__QUEUED);
    view->job = NULL;
}

static void answer(enum broker_kind kind, const RmRequest *ask, RmReply *reply, unsigned long hosts,
                   unsigned long jobs)
{
    static uint64_t page;
    bool first = ask->page[0] == '\0';

    if (ask->ask_case == RM_REQUEST__ASK_PING) {
        reply->user = (char *)"somebody";
        reply->role = (char *)"admin";
        reply->started_at = kind == BROKER_ODD ? UINT64_MAX : 1;
        return;
    }
    if (ask->ask_case != RM_REQUEST__ASK_QUEUE && ask->ask_case != RM_REQUEST__ASK_FOLLOW) {
        reply->code = kind == BROKER_ODD ? (RmCode)99 : RM_CODE__CODE_OK;
        return;
    }
    if (kind == BROKER_SAME || kind == BROKER_ENDLESS)
        reply->page = kind == BROKER_SAME ? (char *)"1" : arena_printf(arena, "%" PRIu64, ++page);
    if (ask->ask_case == RM_REQUEST__ASK_QUEUE) {
        for (unsigned long i = 0; first && i < hosts; i++)
            add_host(reply, arena_printf(arena, "hyp%lu", i), false);
        if (kind == BROKER_ODD) {
            add_host(reply, NULL, true);
            add_host(reply, (char *)"", true);
            add_host(reply, long_name("host", 30000), true);
        }
        return;
    }
    reply->epoch = 1;
    reply->version = 1;
    static bool began;
    bool behind = kind == BROKER_BEHIND && began;
    began = true;
    if (first) {
        RmTally *tally = MADE(RmTally, rm_tally__init);
        tally->state = RM_STATE__QUEUED;
        tally->count = behind ? jobs - 1 : jobs;
        ARENA_PUSH(arena, reply->n_tallies, reply->tallies, tally);
    }
    if (ask->follow->version != 0) {
        env_sleep(env, ask->follow->wait_for);
        return;
    }
    for (unsigned long i = behind; first && i < jobs; i++)
        add_job(reply, 1000 + i, arena_printf(arena, "guest%lu", i), RM_STATE__QUEUED);
    if (kind == BROKER_ODD)
        add_odd_jobs(reply);
}

static void be_broker(char *endpoint, enum broker_kind kind, unsigned long hosts,
                      unsigned long jobs)
{
    const struct conf_broker conf = {.listen = &endpoint, .n_listen = 1, .socket_mode = 0600};
    struct net_peer peer;
    struct net_frame frame;
    struct rm_err err = {0};

    if (net_listen(&conf, &net, &err) < 0)
        die(err.text);
    for (;; net_wait(net, NULL, 0, NULL, USEC_NEVER)) {
        while (net_recv(net, &peer, &frame) >= 0) {
            RmMessage *message, said = RM_MESSAGE__INIT;
            RmReply reply = RM_REPLY__INIT;
            size_t length;
            int r = msg_unpack(arena, frame.data, frame.length, &message, &err);
            net_frame_free(&frame);
            if (r < 0 || message->body_case != RM_MESSAGE__BODY_REQUEST)
                continue;
            answer(kind, message->request, &reply, hosts, jobs);
            said.tag = message->tag;
            said.body_case = RM_MESSAGE__BODY_REPLY;
            said.reply = &reply;
            uint8_t *packed = msg_pack(&said, &length);
            if (packed == NULL)
                die("the answer could not be packed");
            net_send(net, &peer, packed, length);
            free(packed);
            arena_reset(arena);
        }
    }
}

static void broker(char **args, int n)
{
    for (size_t i = 0; i < sizeof(broker_kinds) / sizeof(broker_kinds[0]); i++)
        if (n >= 3 && strcmp(args[2], broker_kinds[i]) == 0)
            be_broker(args[0], (enum broker_kind)i, n > 3 ? strtoul(args[3], NULL, 10) : 1,
                      n > 4 ? strtoul(args[4], NULL, 10) : 1);
    die("what broker?");
}

static bool say(const char *what, char **args, int n, usec_t span)
{
    if (strcmp(what, "raw") == 0)
        for (int i = 0; i < n; i++)
            send_raw(args[i]);
    else if (strcmp(what, "noise") == 0 && n == 1)
        send_noise(strtoul(args[0], NULL, 10));
    else if (strcmp(what, "cut") == 0 && n == 1)
        send_cut(strtoul(args[0], NULL, 10));
    else if (strcmp(what, "ping") == 0)
        send_ping();
    else if (strcmp(what, "nothing") == 0)
        send_request(&(RmRequest)RM_REQUEST__INIT);
    else if (strcmp(what, "token") == 0 && n == 3)
        send_submit(args[0], args[1], args[2]);
    else if (strcmp(what, "reply") == 0)
        send_reply();
    else if (strcmp(what, "hello") == 0)
        send_hello(args, n);
    else if (strcmp(what, "pull") == 0)
        send_pull();
    else if (strcmp(what, "stray") == 0 && n == 2) {
        send_hello(args, 1);
        if (!listen_for(span))
            return false;
        send_finished(args[1]);
    } else if (strcmp(what, "crowd") == 0 && n == 3) {
        char *host = args[0];
        send_hello(args, 1);
        if (!listen_for(span))
            return false;
        for (uint64_t round = 1; round <= strtoul(args[2], NULL, 10); round++) {
            send_crowd(host, strtoul(args[1], NULL, 10), round);
            env_sleep(env, span); /* no more than may wait */
        }
        send_pull();
    } else if (strcmp(what, "flood") == 0 && n == 2) {
        send_flood(strtoul(args[0], NULL, 10), args[1]);
        env_sleep(env, span); /* it is on its way */
        raise(SIGSTOP);
    } else
        die("what?");
    return true;
}

int main(int argc, char **argv)
{
    const char *key = NULL, *server = NULL;
    usec_t span = 500 * USEC_PER_MSEC;
    int option;

    while ((option = getopt(argc, argv, "k:s:t:")) != -1) {
        if (option == 'k')
            key = optarg;
        else if (option == 's')
            server = optarg;
        else if (option == 't')
            span = strtoul(optarg, NULL, 10) * USEC_PER_MSEC;
        else
            return 2;
    }
    if (argc - optind < 2)
        die("an endpoint and what to say are missing");
    if (strcmp(argv[optind + 1], "idle") == 0 && argc - optind == 3)
        idle(argv[optind], strtoul(argv[optind + 2], NULL, 10));
    env = env_system();
    arena = arena_new(0);
    if (arena == NULL)
        die("no memory");
    if (strcmp(argv[optind + 1], "broker") == 0)
        broker(argv + optind, argc - optind);
    connect_to(argv[optind], key, server, span);
    if (!say(argv[optind + 1], argv + optind + 2, argc - optind - 2, span) || !listen_for(span))
        puts("silence");
    net_free(net);
    arena_free(arena);
    return 0;
}
