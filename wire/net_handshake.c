/* net_handshake.c - what a peer says of itself, read before libzmq believes it
 *
 * A ROUTER of libzmq 4.3.4 counts routing ids on for peers that name none, a zero byte and the number, and takes
 * the id of a peer that names one (RFC 37/ZMTP, property Identity) as it comes, also one of that form. When the
 * count reaches an id that is held, an assertion in router.cpp ends the program: whoever may connect could do that with enough
 * connections. No peer of ours names one, so a connection whose peer does is refused. It is the same in
 * libzmq's newest source, and has no option.
 *
 * Without CURVE the property stands in the peer's first command, READY, which recv() of this program reads as well,
 * as accept4() of net_accept.c stands before the system's: no more of a connection than 64 bytes of greeting and one short
 * command. Protocols before ZMTP 3.0, where an id is a message, are refused by it. With CURVE it stands in INITIATE, encrypted;
 * libzmq opens that with crypto_box_open() of libsodium, so this program's is asked first.
 * A library that is built otherwise never calls it: tests/unit/test_net.c would notice. */
#include "wire/net_parts.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    GREETING = 64,        /* bytes, of ZMTP 3.0 */
    SIGNATURE = 10,       /* of them: 0xff, eight bytes, a number that is odd */
    HEAD = 2,             /* of a short command: its flags, its length */
    COMMAND = 0x04,       /* the flags */
    COMMAND_LONGEST = 255 /* bytes after them */
};
enum {
    MECHANISM = 12,
    MECHANISM_LENGTH = 20
}; /* where it stands in the greeting, padded with zeros */

/* What has been read of a connection. */
struct handshake {
    size_t length;
    uint8_t bytes[GREETING + HEAD + COMMAND_LONGEST];
};

/* By the number of the file; NULL: nothing is awaited of it. One thread of libzmq has the file. */
static struct handshake *_Atomic handshake_of[NET_FILES_MAX];
static atomic_uint_fast64_t refused;

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

/* ---- without CURVE */

enum verdict { GOES_ON, SOUND, FORBIDDEN };

static enum verdict look(const struct handshake *handshake)
{
    static const char null[MECHANISM_LENGTH] = "NULL";
    const uint8_t *bytes = handshake->bytes, *command = bytes + GREETING;

    if (bytes[0] != 0xff)
        return FORBIDDEN;
    if (handshake->length >= SIGNATURE && !(bytes[SIGNATURE - 1] & 1))
        return FORBIDDEN;
    if (handshake->length > SIGNATURE && bytes[SIGNATURE] < 3)
        return FORBIDDEN;
    if (handshake->length < GREETING)
        return GOES_ON;
    if (memcmp(bytes + MECHANISM, null, sizeof(null)) != 0)
        return SOUND; /* another than the socket's is refused by libzmq */
    if (handshake->length > GREETING && command[0] != COMMAND)
        return FORBIDDEN;
    if (handshake->length < GREETING + HEAD ||
        handshake->length < GREETING + HEAD + (size_t)command[1])
        return GOES_ON;
    return names_id(command + HEAD, command[1]) ? FORBIDDEN : SOUND;
}

static enum verdict handshake_read(struct handshake *handshake, const uint8_t *bytes, size_t n)
{
    size_t room = sizeof(handshake->bytes) - handshake->length;

    memcpy(handshake->bytes + handshake->length, bytes, n < room ? n : room);
    handshake->length += n < room ? n : room;
    return look(handshake);
}

ssize_t recv(int fd, void *buffer, size_t length, int flags)
{
    ssize_t n = syscall(SYS_recvfrom, fd, buffer, length, flags, NULL, NULL);
    struct handshake *handshake =
        fd >= 0 && fd < NET_FILES_MAX ? atomic_load(&handshake_of[fd]) : NULL;

    if (!handshake || n <= 0)
        return n;
    enum verdict verdict = handshake_read(handshake, buffer, (size_t)n);
    if (verdict == GOES_ON)
        return n;
    handshake_end(fd);
    if (verdict == SOUND)
        return n;
    refused++;
    errno = ECONNRESET;
    return -1;
}

/* ---- with CURVE */

enum {
    BOX_ZERO = 32,            /* bytes before a text that was boxed (NaCl) */
    INITIATE = BOX_ZERO + 128 /* the peer's key and its voucher; the properties follow (RFC 26) */
};

typedef int box_open_f(unsigned char *, const unsigned char *, unsigned long long,
                       const unsigned char *, const unsigned char *, const unsigned char *);

int crypto_box_open(unsigned char *text, const unsigned char *box, unsigned long long length,
                    const unsigned char *nonce, const unsigned char *public_key,
                    const unsigned char *secret_key);

int crypto_box_open(unsigned char *text, const unsigned char *box, unsigned long long length,
                    const unsigned char *nonce, const unsigned char *public_key,
                    const unsigned char *secret_key)
{
    static void *_Atomic sodium;
    void *found = atomic_load(&sodium);
    box_open_f *open_box;

    if (!found)
        atomic_store(&sodium, found = dlsym(RTLD_NEXT, "crypto_box_open"));
    memcpy(&open_box, &found, sizeof(open_box));
    int r = open_box ? open_box(text, box, length, nonce, public_key, secret_key) : -1;
    if (r != 0 || length <= INITIATE || !names_id(text + INITIATE, (size_t)length - INITIATE))
        return r;
    refused++;
    return -1;
}

/* ---- for net_accept.c */

int handshake_begin(int fd)
{
    struct handshake *handshake = calloc(1, sizeof(*handshake));

    if (!handshake)
        return -ENOMEM;
    free(atomic_exchange(&handshake_of[fd], handshake));
    return 0;
}

void handshake_end(int fd)
{
    free(atomic_exchange(&handshake_of[fd], NULL));
}

uint64_t handshake_refused(void)
{
    return atomic_load(&refused);
}
