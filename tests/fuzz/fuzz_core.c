/* fuzz_core.c - messages of all roles, in any order, to the broker's core over a real store
 *
 * The input is a list of steps: a message of one of five peers, filled by its descriptor from words that mean
 * something here; time that passes; a peer that is gone; a broker that starts again. Messages may hold fields
 * that this broker does not know. Each message is freed as soon as core_input() has returned, so what the core
 * keeps of it without a copy is seen by AddressSanitizer. After each turn every index must agree with the
 * records (tests/sim/check.h), and every frame that leaves must be one that can be read. */
#include "broker/core.h"
#include "store/record.h"
#include "tests/sim/check.h"
#include "wire/msg.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WORKERS = 2,
    PEERS = 5,
    STEPS_MAX = 60,
    LIST_MAX = 3,   /* items of a repeated field */
    DEPTH_MAX = 5,  /* of messages in messages */
    UNKNOWN = 1999, /* number of a field that no message has */
    STORE_SIZE = 64 * 1024 * 1024
};

static const char *const users[PEERS] = {"w1", "w2", "root", "oper", "view"};
static const enum role roles[PEERS] = {ROLE_WORKER, ROLE_WORKER, ROLE_ADMIN, ROLE_OPERATOR,
                                       ROLE_VIEWER};

/* Words that name something, or nearly. The first half are hosts and guests that the prelude makes. */
static const char *const words[] = {
    "h1",
    "h2",
    "h3",
    "g1",
    "g2",
    "g3",
    "g4",
    "",
    "g[1-4]",
    "all",
    "h1,h2",
    "g5",
    "h4",
    "vm.host==h1",
    "vm",
    "site",
    "nodelist",
    "nodelist.groups",
    "groups",
    "vm.othersettings",
    "domain:g1",
    "abort",
    "running",
    "paused",
    "g1,-g2",
    "^/dev/null",
    "@",
    "/g.*",
    "uuid-1",
    "uuid-2",
    "qemu+tcp://h2/system",
    "0",
    "1",
    "99999999999",
    "always",
};

struct input {
    const uint8_t *data;
    size_t n;
};

static uint8_t take(struct input *input)
{
    if (input->n == 0)
        return 0;
    input->n--;
    return *input->data++;
}

struct site {
    char path[64];
    struct conf_broker conf;
    struct store *store;
    struct core *core;
    struct net_peer peers[PEERS];
    uint64_t sessions[PEERS]; /* as the last Welcome said */
    usec_t now, wall;
    uint64_t epoch;
    uint64_t sequence;
};

static void must(bool is_so, const char *what)
{
    if (is_so)
        return;
    fprintf(stderr, "fuzz_core: %s\n", what);
    abort();
}

/* ---- a message out of bytes */

struct maker {
    struct input *input;
    struct site *site;
    struct arena *arena;
    unsigned peer;
};

static uint64_t number(struct maker *maker, const char *name)
{
    uint8_t b = take(maker->input);
    if (strcmp(name, "session") == 0 && b < 230)
        return maker->site->sessions[maker->peer];
    if (strcmp(name, "wait_for") == 0 || strcmp(name, "not_before") == 0)
        return (uint64_t)(b % 8) * USEC_PER_SEC;
    if (strcmp(name, "memory") == 0)
        return (uint64_t)b << 28;
    if (strcmp(name, "sequence") == 0)
        return ++maker->site->sequence;
    if (b == 255)
        return UINT64_MAX;
    if (b == 254)
        return (uint64_t)1 << 40;
    return b % 12;
}

static char *word(struct maker *maker)
{
    size_t i = take(maker->input);
    return arena_strdup(maker->arena, words[i % (sizeof(words) / sizeof(words[0]))]);
}

static ProtobufCMessage *make(struct maker *maker, const ProtobufCMessageDescriptor *descriptor,
                              unsigned depth);

static void fill(struct maker *maker, const ProtobufCFieldDescriptor *field, void *value,
                 unsigned depth)
{
    const ProtobufCEnumDescriptor *names = field->descriptor;
    uint64_t n;
    uint32_t small;
    void *pointer;
    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT64:
        n = number(maker, field->name);
        memcpy(value, &n, sizeof(n));
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT32:
        small = (uint32_t)number(maker, field->name);
        memcpy(value, &small, sizeof(small));
        return;
    case PROTOBUF_C_TYPE_ENUM:
        small = take(maker->input);
        if (small < 250) /* else one that this broker does not know */
            small = (uint32_t)names->values[small % names->n_values].value;
        memcpy(value, &small, sizeof(small));
        return;
    case PROTOBUF_C_TYPE_BOOL:
        *(protobuf_c_boolean *)value = take(maker->input) & 1;
        return;
    case PROTOBUF_C_TYPE_STRING:
        pointer = word(maker);
        memcpy(value, &pointer, sizeof(pointer));
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
        pointer = make(maker, field->descriptor, depth + 1);
        memcpy(value, &pointer, sizeof(pointer));
        return;
    case PROTOBUF_C_TYPE_BYTES: {
        ProtobufCBinaryData *bytes = value;
        bytes->len = strcmp(field->name, "token") == 0 ? 16 : 8;
        bytes->data = arena_alloc(maker->arena, bytes->len);
        bytes->data[0] = take(maker->input);
        return;
    }
    default:
        must(false, "a type of field that this program does not know");
    }
}

/* One byte says whether a field is there at all. */
static void fill_field(struct maker *maker, ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field, unsigned depth)
{
    char *at = (char *)message + field->offset;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || depth < DEPTH_MAX)
            fill(maker, field, at, depth);
        return;
    }
    size_t n = take(maker->input) % (LIST_MAX + 1), size = msg_field_size(field->type);
    if (n == 0 || (field->type == PROTOBUF_C_TYPE_MESSAGE && depth >= DEPTH_MAX))
        return;
    char *list = arena_alloc(maker->arena, n * size);
    for (size_t i = 0; i < n; i++)
        fill(maker, field, list + i * size, depth);
    memcpy(at, &list, sizeof(list));
    memcpy((char *)message + field->quantifier_offset, &n, sizeof(n));
}

static void add_unknown(struct maker *maker, ProtobufCMessage *message)
{
    ProtobufCMessageUnknownField *unknown = arena_alloc(maker->arena, sizeof(*unknown));
    *unknown = (ProtobufCMessageUnknownField){.tag = UNKNOWN,
                                              .wire_type = PROTOBUF_C_WIRE_TYPE_VARINT,
                                              .len = 1,
                                              .data = arena_alloc(maker->arena, 1)};
    message->unknown_fields = unknown;
    message->n_unknown_fields = 1;
}

static ProtobufCMessage *make(struct maker *maker, const ProtobufCMessageDescriptor *descriptor,
                              unsigned depth)
{
    ProtobufCMessage *message = arena_alloc(maker->arena, descriptor->sizeof_message);
    descriptor->message_init(message);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && take(maker->input) % 4 != 3)
            fill_field(maker, message, field, depth);
    }
    if (descriptor == &rm_request__descriptor) { /* one of its questions */
        const ProtobufCFieldDescriptor *field;
        do
            field = &descriptor->fields[take(maker->input) % descriptor->n_fields];
        while (!(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && maker->input->n > 0);
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            memcpy((char *)message + field->quantifier_offset, &field->id, sizeof(field->id));
            fill(maker, field, (char *)message + field->offset, depth);
        }
    }
    if (take(maker->input) % 4 == 1)
        add_unknown(maker, message);
    return message;
}

/* ---- the broker */

static void start(struct site *site)
{
    struct rm_err err = {""};
    must(store_open(site->path, STORE_SIZE, STORE_CREATE | STORE_NO_SYNC, &site->store, &err) >=
                 0 &&
             record_open(site->store, &err) >= 0 &&
             core_new(&site->conf, site->store, ++site->epoch, site->now, site->wall, &site->core,
                      &err) >= 0,
         err.text);
}

static void stop(struct site *site)
{
    core_free(site->core);
    store_close(site->store);
    memset(site->sessions, 0, sizeof(site->sessions));
}

/* What the core sends: its frames are messages, and a Welcome tells a worker its session. */
static void read_outs(struct site *site)
{
    struct core_out out;
    struct core_line line;
    while (core_next_out(site->core, &out)) {
        struct arena *arena = arena_new(0);
        RmMessage *message;
        must(msg_unpack(arena, out.frame, out.length, &message, NULL) >= 0,
             "a frame leaves that nobody can read");
        for (unsigned i = 0; i < PEERS; i++)
            if (message->body_case == RM_MESSAGE__BODY_WELCOME &&
                strcmp(out.peer->user, users[i]) == 0)
                site->sessions[i] = message->welcome->session;
        arena_free(arena);
    }
    while (core_next_note(site->core, &line))
        must(line.text[0] != '\0', "an empty line for the log");
}

static void turn_begin(struct site *site)
{
    site->now += USEC_PER_MSEC;
    site->wall += USEC_PER_MSEC;
    core_begin(site->core, site->now, site->wall);
}

static void turn_end(struct site *site)
{
    struct rm_err err = {""};
    core_tick(site->core);
    must(core_commit(site->core, &err) >= 0, err.text);
    read_outs(site);
    must(core_check(site->core, stderr) == 0, "memory, indices and store do not agree");
}

/* Through its packed form, in memory that is gone afterwards. */
static void input(struct site *site, unsigned peer, const RmMessage *message)
{
    static char *any[] = {"h1", "h2", "h3", NULL}; /* hosts that the workers' keys may speak for */
    size_t length;
    uint8_t *frame = msg_pack(message, &length);
    struct arena *arena = arena_new(0);
    RmMessage *received;
    if (frame && msg_unpack(arena, frame, length, &received, NULL) >= 0)
        core_input(site->core, &site->peers[peer], peer < WORKERS ? any : NULL, received);
    arena_free(arena);
    free(frame);
}

static void send(struct site *site, unsigned peer, RmMessage__BodyCase body, void *content)
{
    RmMessage message = RM_MESSAGE__INIT;
    message.body_case = body;
    message.hello = content; /* every body is a pointer in the same place */
    turn_begin(site);
    input(site, peer, &message);
    turn_end(site);
}

/* ---- steps */

/* Workers that look like real ones: w1 serves h1 and h3, w2 serves h2; h1 has the guests, and one job is asked for. */
static void prelude(struct site *site)
{
    static char *const hosts[] = {"h1", "h3", "h2"}, *const guests[] = {"g1", "g2", "g3", "g4"};
    enum { HOSTS = 3, GUESTS = 4 };
    RmHyp hyps[HOSTS], *list[HOSTS];
    RmDomain domains[GUESTS], *shown[GUESTS];
    for (unsigned i = 0; i < HOSTS; i++) {
        rm_hyp__init(list[i] = &hyps[i]);
        hyps[i].name = hosts[i];
        hyps[i].peer = "qemu+tcp://x/system";
        hyps[i].slots = 2;
    }
    for (unsigned i = 0; i < GUESTS; i++) {
        rm_domain__init(shown[i] = &domains[i]);
        domains[i].name = guests[i];
        domains[i].uuid = i % 2 ? "uuid-1" : "uuid-2";
        domains[i].state = RM_GUEST_STATE__GUEST_RUNNING;
        domains[i].memory = (uint64_t)1 << 28;
        domains[i].vcpus = 1;
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        RmHello hello = RM_HELLO__INIT;
        hello.instance = 7 + i;
        hello.version = "1";
        hello.hosts = i == 0 ? list : list + 2;
        hello.n_hosts = i == 0 ? 2 : 1;
        send(site, i, RM_MESSAGE__BODY_HELLO, &hello);
    }
    for (unsigned i = 0; i < HOSTS; i++) {
        RmInventory inventory = RM_INVENTORY__INIT;
        inventory.host = hosts[i];
        inventory.reachable = true;
        inventory.memory = (uint64_t)1 << 34;
        inventory.vcpus = 8;
        inventory.sequence = ++site->sequence;
        inventory.domains = shown;
        inventory.n_domains = i == 0 ? GUESTS : 0;
        send(site, i == 2 ? 1 : 0, RM_MESSAGE__BODY_INVENTORY, &inventory);
    }
    RmSubmit submit = RM_SUBMIT__INIT;
    RmRequest request = RM_REQUEST__INIT;
    submit.guests = "g1,g2";
    submit.to = "h2";
    request.token = (ProtobufCBinaryData){16, (uint8_t *)"0123456789abcdef"};
    request.ask_case = RM_REQUEST__ASK_SUBMIT;
    request.submit = &submit;
    send(site, 2, RM_MESSAGE__BODY_REQUEST, &request);
    RmCredit credit = RM_CREDIT__INIT, *credits = &credit;
    RmPull pull = RM_PULL__INIT;
    credit.host = "h1";
    credit.free = 2;
    pull.session = site->sessions[0];
    pull.sent = 1;
    pull.credits = &credits;
    pull.n_credits = 1;
    send(site, 0, RM_MESSAGE__BODY_PULL, &pull);
}

static void step(struct site *site, struct input *input_)
{
    static const struct {
        RmMessage__BodyCase body;
        const ProtobufCMessageDescriptor *descriptor;
    } kinds[] = {
        {RM_MESSAGE__BODY_HELLO, &rm_hello__descriptor},
        {RM_MESSAGE__BODY_INVENTORY, &rm_inventory__descriptor},
        {RM_MESSAGE__BODY_PULL, &rm_pull__descriptor},
        {RM_MESSAGE__BODY_REPORTS, &rm_reports__descriptor},
        {RM_MESSAGE__BODY_ANSWER, &rm_answer__descriptor},
        {RM_MESSAGE__BODY_BYE, &rm_bye__descriptor},
        {RM_MESSAGE__BODY_REQUEST, &rm_request__descriptor},
    };
    enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
    static const uint8_t spans[] = {0, 1, 3, 10, 30, 120};
    uint8_t what = take(input_);
    unsigned peer = take(input_) % PEERS;
    if (what < 8) {
        stop(site);
        start(site);
        return;
    }
    if (what < 16) {
        turn_begin(site);
        core_gone(site->core, &site->peers[peer]);
        turn_end(site);
        return;
    }
    if (what < 64) {
        usec_t span = spans[what % sizeof(spans)] * USEC_PER_SEC;
        site->now += span;
        site->wall += span;
        turn_begin(site);
        turn_end(site);
        return;
    }
    /* Mostly what the peer's role may say. */
    unsigned kind = what % KINDS;
    if (what >= 80)
        kind = peer < WORKERS ? what % (KINDS - 1) : KINDS - 1;
    struct maker maker = {.input = input_, .site = site, .arena = arena_new(0), .peer = peer};
    send(site, peer, kinds[kind].body, make(&maker, kinds[kind].descriptor, 0));
    arena_free(maker.arena);
}

static void remove_files(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

/* All settings as they are where a site names none. */
static void read_settings(struct site *site)
{
    char name[sizeof(site->path) + 16];
    struct rm_err err = {""};
    snprintf(name, sizeof(name), "%s/conf", site->path);
    FILE *file = fopen(name, "we");
    must(file && fputs("broker: { };\n", file) >= 0 && fclose(file) == 0, "no file of settings");
    must(conf_broker_load(name, &site->conf, &err) >= 0, err.text);
    unlink(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stat st;
    struct input bytes = {data, size};
    struct site site = {.now = 1000 * USEC_PER_SEC, .wall = (usec_t)1700000000 * USEC_PER_SEC};
    snprintf(site.path, sizeof(site.path), "%s/fuzz_core-XXXXXX",
             stat("/dev/shm", &st) == 0 ? "/dev/shm" : "/tmp");
    must(mkdtemp(site.path) != NULL, "no directory for the store");
    read_settings(&site);
    for (unsigned i = 0; i < PEERS; i++) {
        struct net_peer *peer = &site.peers[i];
        peer->route_length = 5;
        peer->route[0] = (uint8_t)(i + 1);
        peer->key = i + 1;
        peer->role = roles[i];
        snprintf(peer->user, sizeof(peer->user), "%s", users[i]);
    }
    start(&site);
    prelude(&site);
    for (unsigned n = 0; n < STEPS_MAX && bytes.n > 0; n++)
        step(&site, &bytes);
    stop(&site);
    conf_broker_done(&site.conf);
    remove_files(site.path);
    return 0;
}
