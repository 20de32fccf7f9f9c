/* tape.c - what programs of another version say to a broker: recorded, and said again
 *
 * usage: tape record FILE LISTEN BROKER     stands between: everybody who connects to the endpoint LISTEN talks to BROKER
 *                                           through it; until it is killed
 *        tape replay FILE BROKER            says to a broker what was said to that one, each in its order, and waits for
 *                                           what was answered then: an answer of the same kind, a reply of the same code
 *                                           that holds what that one held of plans, metrics and a snapshot
 *        tape unroll FILE                   prints all of it as one message of tape.proto, for protoc
 *
 * A tape is a list of frames: '>' (to the broker) or '<', the number of the peer, the length in four bytes (the lowest
 * first), the frame as it was. Numbers that a broker chooses at random, those of sessions, are put in the place of the old
 * ones when it is replayed; all else is what the old program said, byte for byte, or with the fields that this version
 * does not know where a session's number had to be changed. */
#include "conf/conf.h"
#include "conf/env.h"
#include "wire/msg.h"
#include "wire/net.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PEERS_MAX = 64,
    HEAD = 6,            /* bytes before a frame on a tape */
    LOOK_MSEC = 2,       /* while it records */
    ANSWER_MSEC = 10000, /* until an answer must have come */
    FRAMES_MAX = 100000,
};

static const struct env *env;
static struct arena *arena;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "tape: %s: %s\n", what, why);
    exit(1);
}

/* ---- record */

struct through { /* one who talks to the broker through here */
    struct net_peer peer;
    struct net *broker;
};

static void write_frame(FILE *tape, char direction, unsigned peer, const struct net_frame *frame)
{
    const uint8_t head[HEAD] = {(uint8_t)direction,
                                (uint8_t)peer,
                                (uint8_t)frame->length,
                                (uint8_t)(frame->length >> 8),
                                (uint8_t)(frame->length >> 16),
                                (uint8_t)(frame->length >> 24)};
    if (fwrite(head, 1, HEAD, tape) != HEAD ||
        fwrite(frame->data, 1, frame->length, tape) != frame->length || fflush(tape) != 0)
        die("record", "the tape cannot be written");
}

static unsigned find_peer(struct through *all, unsigned *n, const struct net_peer *peer,
                          const char *broker)
{
    struct rm_err err = {0};
    for (unsigned i = 0; i < *n; i++)
        if (memcmp(all[i].peer.route, peer->route, sizeof(peer->route)) == 0)
            return i;
    if (*n == PEERS_MAX)
        die("record", "too many connections");
    all[*n].peer = *peer;
    if (net_connect(broker, NULL, NULL, &all[*n].broker, &err) < 0)
        die("record", err.text);
    return (*n)++;
}

static void record(const char *file, char *listen, const char *broker)
{
    static struct through all[PEERS_MAX];
    struct conf_broker conf = {.listen = &listen, .n_listen = 1, .socket_mode = 0600};
    FILE *tape = fopen(file, "we");
    struct net *net;
    struct rm_err err = {0};
    unsigned n = 0;

    if (!tape)
        die(file, "cannot be written");
    if (net_listen(&conf, &net, &err) < 0)
        die("record", err.text);
    for (;;) {
        struct net_frame frame;
        struct net_peer peer;
        net_wait(net, NULL, 0, NULL, LOOK_MSEC * USEC_PER_MSEC);
        while (net_recv(net, &peer, &frame) >= 0) {
            unsigned i = find_peer(all, &n, &peer, broker);
            write_frame(tape, '>', i, &frame);
            net_send(all[i].broker, NULL, frame.data, frame.length);
            net_frame_free(&frame);
        }
        for (unsigned i = 0; i < n; i++)
            while (net_recv(all[i].broker, NULL, &frame) >= 0) {
                write_frame(tape, '<', i, &frame);
                net_send(net, &all[i].peer, frame.data, frame.length);
                net_frame_free(&frame);
            }
    }
}

/* ---- a tape that is read */

struct entry {
    char direction;
    unsigned peer;
    uint8_t *frame; /* owned */
    size_t length;
};

static struct entry *read_tape(const char *file, size_t *ret_n)
{
    struct entry *list = calloc(FRAMES_MAX, sizeof(*list));
    FILE *tape = fopen(file, "re");
    uint8_t head[HEAD];
    size_t n = 0;

    if (!tape || !list)
        die(file, "cannot be read");
    while (fread(head, 1, HEAD, tape) == HEAD) {
        struct entry *entry = &list[n++];
        entry->direction = (char)head[0];
        entry->peer = head[1];
        entry->length =
            head[2] | (size_t)head[3] << 8 | (size_t)head[4] << 16 | (size_t)head[5] << 24;
        entry->frame = entry->length <= MSG_MAX ? malloc(entry->length + 1) : NULL;
        if (n == FRAMES_MAX || entry->peer >= PEERS_MAX || !entry->frame ||
            fread(entry->frame, 1, entry->length, tape) != entry->length)
            die(file, "is no tape");
    }
    fclose(tape);
    if (n == 0)
        die(file, "is empty");
    *ret_n = n;
    return list;
}

static RmMessage *unpack(const uint8_t *frame, size_t length)
{
    struct rm_err err = {0};
    RmMessage *message;
    if (msg_unpack(arena, frame, length, &message, &err) < 0)
        die("a message cannot be read any more", err.text);
    return message;
}

static void put_number(uint64_t number)
{
    for (; number >= 0x80; number >>= 7)
        putchar((int)(number & 0x7f) | 0x80);
    putchar((int)number);
}

static size_t number_size(uint64_t number)
{
    size_t n = 1;
    while (number >>= 7)
        n++;
    return n;
}

/* A field with a length, as protobuf packs it. */
static void put_head(unsigned field, size_t length)
{
    put_number(field << 3 | 2);
    put_number(length);
}

static void unroll(const char *file)
{
    size_t n;
    struct entry *list = read_tape(file, &n);
    for (size_t i = 0; i < n; i++) {
        char way[16];
        if (list[i].length < MSG_HEADER)
            die(file, "holds what is no message");
        size_t length = list[i].length - MSG_HEADER;
        size_t way_length =
            (size_t)snprintf(way, sizeof(way), "%u%c", list[i].peer, list[i].direction);
        put_head(1, 1 + number_size(way_length) + way_length + 1 + number_size(length) + length);
        put_head(1, way_length);
        fwrite(way, 1, way_length, stdout);
        put_head(2, length);
        fwrite(list[i].frame + MSG_HEADER, 1, length, stdout);
        free(list[i].frame);
    }
    free(list);
    if (fflush(stdout) != 0)
        die("standard output", "cannot be written");
}

/* ---- replay */

struct player { /* one who said something */
    struct net *net;
    uint64_t session_then, session; /* of its worker, then and now */
};

/* What has come and was not waited for yet. */
struct heard {
    unsigned peer;
    RmMessage__BodyCase kind;
    uint64_t tag;
    RmCode code;
    uint64_t batch, plan, session;
    bool plans, metrics, snapshot; /* the reply has them */
    struct heard *next;
};
static struct heard *heard;

static void hear_reply(struct heard *one, const RmReply *reply)
{
    one->code = reply->code;
    one->batch = reply->batch;
    one->plan = reply->plan;
    one->plans = reply->n_plans > 0;
    one->metrics = reply->metrics != NULL;
    one->snapshot = reply->snapshot != NULL;
}

static void hear(struct player *players)
{
    for (unsigned i = 0; i < PEERS_MAX; i++) {
        struct net_frame frame;
        while (players[i].net && net_recv(players[i].net, NULL, &frame) >= 0) {
            const RmMessage *message = unpack(frame.data, frame.length);
            struct heard *one = calloc(1, sizeof(*one));
            if (!one)
                die("replay", "no memory");
            *one = (struct heard){.peer = i, .kind = message->body_case, .tag = message->tag};
            if (one->kind == RM_MESSAGE__BODY_REPLY) {
                hear_reply(one, message->reply);
            } else if (one->kind == RM_MESSAGE__BODY_WELCOME) {
                one->session = message->welcome->session;
            }
            one->next = heard;
            heard = one;
            net_frame_free(&frame);
            arena_reset(arena);
        }
    }
}

static struct heard *find_heard(unsigned peer, const RmMessage *wanted)
{
    for (struct heard **at = &heard; *at; at = &(*at)->next) {
        struct heard *one = *at;
        if (one->peer != peer || one->kind != wanted->body_case || one->tag != wanted->tag)
            continue;
        *at = one->next;
        return one;
    }
    return NULL;
}

static bool is_same(const struct heard *now, const RmReply *reply)
{
    struct heard then = {0};
    hear_reply(&then, reply);
    return now->code == then.code && now->batch == then.batch && now->plan == then.plan &&
           now->plans == then.plans && now->metrics == then.metrics &&
           now->snapshot == then.snapshot;
}

/* Orders and asks come when the broker finds it right; what a worker then does is on the tape anyway. */
static void expect(struct player *players, const struct entry *entry, size_t number)
{
    struct player *player = &players[entry->peer];
    RmMessage *wanted = (RmMessage *)msg_copy(NULL, &unpack(entry->frame, entry->length)->base);
    usec_t until = env_now(env) + ANSWER_MSEC * USEC_PER_MSEC;
    struct heard *one = NULL;

    arena_reset(arena);
    if (wanted->body_case == RM_MESSAGE__BODY_ORDERS || wanted->body_case == RM_MESSAGE__BODY_ASK) {
        rm_message__free_unpacked(wanted, NULL);
        return;
    }
    while (!(one = find_heard(entry->peer, wanted))) {
        if (env_now(env) > until) {
            fprintf(stderr, "tape: entry %zu: no %s came to peer %u\n", number, msg_name(wanted),
                    entry->peer);
            exit(1);
        }
        net_wait(player->net, NULL, 0, NULL, LOOK_MSEC * USEC_PER_MSEC);
        hear(players);
    }
    if (wanted->body_case == RM_MESSAGE__BODY_WELCOME) {
        player->session_then = wanted->welcome->session;
        player->session = one->session;
    } else if (wanted->body_case == RM_MESSAGE__BODY_REPLY && !is_same(one, wanted->reply)) {
        fprintf(stderr,
                "tape: entry %zu: the reply has code %d, batch %" PRIu64 " and plan %" PRIu64
                ", then it had %d, %" PRIu64 " and %" PRIu64
                ", or it has other parts: plans, metrics, snapshot\n",
                number, one->code, one->batch, one->plan, wanted->reply->code, wanted->reply->batch,
                wanted->reply->plan);
        exit(1);
    }
    free(one);
    rm_message__free_unpacked(wanted, NULL);
}

/* The place of a worker's session in what it says; NULL: there is none. */
static uint64_t *session_in(RmMessage *message)
{
    switch (message->body_case) {
    case RM_MESSAGE__BODY_PULL:
        return &message->pull->session;
    case RM_MESSAGE__BODY_REPORTS:
        return &message->reports->session;
    case RM_MESSAGE__BODY_ANSWER:
        return &message->answer->session;
    case RM_MESSAGE__BODY_BYE:
        return &message->bye->session;
    default:
        return NULL;
    }
}

static void say(struct player *player, const struct entry *entry, const char *broker, size_t number)
{
    struct rm_err err = {0};
    RmMessage *message = unpack(entry->frame, entry->length);
    uint64_t *session = session_in(message);
    uint8_t *frame = entry->frame, *changed = NULL;
    size_t length = entry->length;

    if (!player->net && net_connect(broker, NULL, NULL, &player->net, &err) < 0)
        die("replay", err.text);
    if (session) {
        if (*session != player->session_then) {
            fprintf(stderr, "tape: entry %zu: a %s without its session\n", number,
                    msg_name(message));
            exit(1);
        }
        *session = player->session;
        frame = changed = msg_pack(message, &length);
    }
    if (!frame || net_send(player->net, NULL, frame, length) < 0)
        die("replay", "a message cannot be sent");
    free(changed);
    arena_reset(arena);
}

static void replay(const char *file, const char *broker)
{
    static struct player players[PEERS_MAX];
    size_t n, said = 0;
    struct entry *list = read_tape(file, &n);

    for (size_t i = 0; i < n; i++) {
        if (list[i].direction == '>') {
            say(&players[list[i].peer], &list[i], broker, i);
            said++;
        } else {
            expect(players, &list[i], i);
        }
    }
    for (unsigned i = 0; i < PEERS_MAX; i++)
        net_free(players[i].net);
    for (size_t i = 0; i < n; i++)
        free(list[i].frame);
    free(list);
    while (heard) {
        struct heard *next = heard->next;
        free(heard);
        heard = next;
    }
    printf("replayed %zu messages\n", said);
}

int main(int argc, char **argv)
{
    env = env_system();
    arena = arena_new(0);
    if (argc == 5 && strcmp(argv[1], "record") == 0)
        record(argv[2], argv[3], argv[4]);
    else if (argc == 4 && strcmp(argv[1], "replay") == 0)
        replay(argv[2], argv[3]);
    else if (argc == 3 && strcmp(argv[1], "unroll") == 0)
        unroll(argv[2]);
    else
        die("usage", "see the head of tape.c");
    arena_free(arena);
    return 0;
}
