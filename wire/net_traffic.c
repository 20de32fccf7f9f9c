/* net_traffic.c - what a peer sends, looked at frame by frame before libzmq has it
 *
 * libzmq 4.3.4 believes what comes over a connection (RFC 23/ZMTP 3.0, 37/ZMTP 3.1), and has no option for any of this:
 *
 * - It counts routing ids on for peers that name none, a zero byte and the number, and takes the id of a peer that names
 *   one (the property Identity) as it comes, also one of that form. When the count reaches an id that
 *   is held, an assertion in router.cpp ends the program.
 * - Of a message in parts it keeps all until the last has come, without a bound.
 * - It makes room for a frame as soon as its length is there, also of peers that have no key.
 * - A PING shorter than its own fields is answered with what stands behind it in memory.
 *
 * So recv() of this program reads along, as accept4() of net_accept.c stands before the system's. No peer of ours
 * names an id, sends parts, speaks an older protocol, or sends a long command; a connection whose peer does is
 * ended. What stands inside a box of CURVE (RFC 26) is seen where libzmq opens it with libsodium: crypto_box_open() opens the
 * properties of INITIATE, crypto_box_open_easy_afternm() each message. A library that is built otherwise never calls
 * them: tests/unit/test_net.c would notice. */
#include "wire/net_parts.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { GREETING = 64, SIGNATURE = 10 }; /* bytes; the first of them, the last of which is odd */
enum {
    MECHANISM = 12,
    MECHANISM_BYTES = 20
}; /* where it stands in the greeting, padded with zeros */
enum { MORE = 0x01, LONG = 0x02, COMMAND = 0x04 }; /* flags of a frame */
enum { BOXED_COMMAND = 0x02 };                     /* of a message in a box, beside MORE */
enum {
    HEAD_LONG = 9, /* bytes of flags and length */
    HEAD_SHORT = 2,
    BODY_KEPT = 255,        /* of a command: as long as a short one may be */
    PING_SHORTEST = 7,      /* its name and its time to live */
    HANDSHAKE_BYTES = 1024, /* of one command of CURVE's handshake, which are 200 and about 300 */
    FRAME_FREE = 8192       /* a longer one counts among what its owner has not finished */
};

struct stream {
    enum { IN_GREETING, IN_HANDSHAKE, IN_TRAFFIC } stage;
    bool has_curve;
    unsigned commands;  /* of the handshake, so far */
    size_t n_head;      /* bytes of the head of this frame, or of the greeting */
    uint64_t length, n; /* of its body; of that, so far */
    uint64_t claimed;   /* bytes that count with its owner */
    uint8_t head[GREETING], body[BODY_KEPT];
};

/* By the number of the file; NULL: not one of ours. One thread of libzmq has the file. */
static struct stream *_Atomic stream_of[NET_FILES_MAX];
static atomic_uint_fast64_t foul;

/* Does one of these properties name a routing id? What cannot be understood of them libzmq refuses. */
static bool names_id(const uint8_t *properties, size_t length)
{
    static const char name[] = "\x08Identity"; /* its length before it, the value's after it */
    static const uint8_t empty[4] = {0};
    const uint8_t *end = properties + length, *at = properties;

    while ((at = memmem(at, (size_t)(end - at), name, sizeof(name) - 1))) {
        at += sizeof(name) - 1;
        if (end - at >= (ptrdiff_t)sizeof(empty) && memcmp(at, empty, sizeof(empty)) != 0)
            return true;
    }
    return false;
}

static bool is_short_ping(const uint8_t *command, uint64_t length)
{
    static const char name[] = "\4PING";

    return length >= sizeof(name) - 1 && length < PING_SHORTEST &&
           memcmp(command, name, sizeof(name) - 1) == 0;
}

/* ---- one frame after the other; false: it is foul */

static bool greeting_is_sound(struct stream *stream)
{
    static const char null[MECHANISM_BYTES] = "NULL";
    const uint8_t *head = stream->head;

    if (head[0] != 0xff || (stream->n_head >= SIGNATURE && !(head[SIGNATURE - 1] & 1)) ||
        (stream->n_head > SIGNATURE && head[SIGNATURE] < 3))
        return false;
    if (stream->n_head < GREETING)
        return true;
    stream->has_curve = memcmp(head + MECHANISM, null, sizeof(null)) != 0; /* no third is spoken */
    stream->stage = IN_HANDSHAKE;
    stream->n_head = 0;
    return true;
}

static bool head_is_sound(const struct stream *stream)
{
    uint8_t flags = stream->head[0];

    if (flags & ~(LONG | COMMAND)) /* MORE, and what means nothing */
        return false;
    if (stream->stage == IN_TRAFFIC)
        return !(flags & COMMAND) || stream->length <= BODY_KEPT;
    return (flags & COMMAND) && stream->length <= (stream->has_curve ? HANDSHAKE_BYTES : BODY_KEPT);
}

static bool body_is_sound(struct stream *stream)
{
    if (!(stream->head[0] & COMMAND))
        return true;
    if (stream->stage == IN_TRAFFIC)
        return !is_short_ping(stream->body, stream->length);
    stream->commands++;
    if (stream->commands == (stream->has_curve ? 2 : 1)) /* HELLO and INITIATE; READY */
        stream->stage = IN_TRAFFIC;
    return stream->has_curve || !names_id(stream->body, stream->length);
}

static uint64_t length_of(const struct stream *stream)
{
    uint64_t length = 0;

    for (size_t i = 1; i < stream->n_head; i++)
        length = length << 8 | stream->head[i];
    return length;
}

static void unclaim(struct stream *stream, int fd)
{
    if (stream->claimed > 0)
        owner_unclaim(fd, stream->claimed);
    stream->claimed = 0;
}

static bool claim(struct stream *stream, int fd)
{
    if (stream->length <= FRAME_FREE)
        return true;
    if (!owner_claim(fd, stream->length))
        return false;
    stream->claimed = stream->length;
    return true;
}

/* Where a frame has come to its end; the next one begins. */
static bool end_frame(struct stream *stream, int fd)
{
    bool is_sound = body_is_sound(stream);

    unclaim(stream, fd);
    stream->n_head = 0;
    stream->n = 0;
    return is_sound;
}

/* Takes some bytes, at least one; returns how many, 0: foul. */
static size_t take(struct stream *stream, int fd, const uint8_t *bytes, size_t n)
{
    if (stream->stage == IN_GREETING) {
        stream->head[stream->n_head++] = bytes[0];
        return greeting_is_sound(stream) ? 1 : 0;
    }
    size_t whole = stream->n_head > 0 && (stream->head[0] & LONG) ? HEAD_LONG : HEAD_SHORT;
    if (stream->n_head < whole) {
        stream->head[stream->n_head++] = bytes[0];
        whole = stream->head[0] & LONG ? HEAD_LONG : HEAD_SHORT;
        if (stream->n_head < whole)
            return 1;
        stream->length = length_of(stream);
        if (!head_is_sound(stream) || !claim(stream, fd))
            return 0;
        return stream->length > 0 || end_frame(stream, fd) ? 1 : 0;
    }
    uint64_t left = stream->length - stream->n;
    size_t taken = n < left ? n : (size_t)left;
    if (stream->n < BODY_KEPT) {
        size_t room = BODY_KEPT - (size_t)stream->n;
        memcpy(stream->body + stream->n, bytes, taken < room ? taken : room);
    }
    stream->n += taken;
    return stream->n < stream->length || end_frame(stream, fd) ? taken : 0;
}

ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    ssize_t n = syscall(SYS_recvfrom, fd, buffer, length, flags, NULL, NULL);
    struct stream *stream = fd >= 0 && fd < NET_FILES_MAX ? atomic_load(&stream_of[fd]) : NULL;
    size_t taken = 1;

    for (size_t i = 0; stream && n > 0 && i < (size_t)n && taken > 0; i += taken)
        taken = take(stream, fd, (const uint8_t *)buffer + i, (size_t)n - i);
    if (taken > 0)
        return n;
    foul++;
    errno = ECONNRESET;
    return -1;
}

/* ---- what is in boxes */

enum {
    BOX_ZERO = 32,            /* bytes before a text that was boxed (NaCl) */
    BOX_MAC = 16,             /* a box is so much longer than its text */
    INITIATE = BOX_ZERO + 128 /* the peer's key and its voucher; the properties follow */
};

typedef int box_open_f(unsigned char *, const unsigned char *, unsigned long long,
                       const unsigned char *, const unsigned char *, const unsigned char *);
typedef int message_open_f(unsigned char *, const unsigned char *, unsigned long long,
                           const unsigned char *, const unsigned char *);

box_open_f crypto_box_open;
message_open_f crypto_box_open_easy_afternm;

/* The library's own; NULL: it has none. */
static void *sodium(void *_Atomic *kept, const char *name)
{
    void *found = atomic_load(kept);

    if (!found)
        atomic_store(kept, found = dlsym(RTLD_NEXT, name));
    return found;
}

int crypto_box_open(unsigned char *text, const unsigned char *box, unsigned long long length,
                    const unsigned char *nonce, const unsigned char *public_key,
                    const unsigned char *secret_key)
{
    static void *_Atomic kept;
    void *found = sodium(&kept, "crypto_box_open");
    box_open_f *open_box;

    memcpy(&open_box, &found, sizeof(open_box));
    int r = open_box ? open_box(text, box, length, nonce, public_key, secret_key) : -1;
    if (r != 0 || length <= INITIATE || !names_id(text + INITIATE, (size_t)length - INITIATE))
        return r;
    foul++;
    return -1;
}

int crypto_box_open_easy_afternm(unsigned char *text, const unsigned char *box,
                                 unsigned long long length, const unsigned char *nonce,
                                 const unsigned char *key)
{
    static void *_Atomic kept;
    void *found = sodium(&kept, "crypto_box_open_easy_afternm");
    message_open_f *open_message;

    memcpy(&open_message, &found, sizeof(open_message));
    int r = open_message ? open_message(text, box, length, nonce, key) : -1;
    if (r != 0 || length <= BOX_MAC)
        return r;
    bool is_foul = (text[0] & MORE) ||
                   ((text[0] & BOXED_COMMAND) && is_short_ping(text + 1, length - BOX_MAC - 1));
    if (!is_foul)
        return r;
    foul++;
    return -1;
}

/* ---- for net_accept.c */

int traffic_begin(int fd)
{
    struct stream *stream = calloc(1, sizeof(*stream));

    if (!stream)
        return -ENOMEM;
    free(atomic_exchange(&stream_of[fd], stream));
    return 0;
}

uint64_t traffic_end(int fd)
{
    struct stream *stream = atomic_exchange(&stream_of[fd], NULL);
    uint64_t claimed = stream ? stream->claimed : 0;

    free(stream);
    return claimed;
}

uint64_t traffic_foul(void)
{
    return atomic_load(&foul);
}
