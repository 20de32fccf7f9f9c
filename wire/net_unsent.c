/* net_unsent.c - what was sent to peers and they have not read, by their owners
 *
 * libzmq has a limit of messages for each connection (ZMQ_SNDHWM) and none of bytes, and many connections have as
 * much as all of them together. So each frame counts with the owner of its connection, from the moment that
 * libzmq has it until it says that it needs it no more, which may be after the connection, and in another thread. */
#include "wire/net_parts.h"

#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct debt {
    uint64_t owner;
    size_t bytes;
    UT_hash_handle hh;
};

struct frame {
    struct debt *debt;
    size_t length;
    uint8_t bytes[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of both */
static struct debt *debts;                               /* of whom something is not sent */
static size_t all;

/* One frame of any length goes to whoever has read what came before. */
static bool may_add(const struct debt *debt, size_t bytes)
{
    size_t share = NET_UNSENT_BYTES;

    if (!owner_is_master(debt->owner))
        share = share * NET_SHARE_PERCENT / 100;
    return debt->bytes == 0 || (debt->bytes + bytes <= share && all + bytes <= NET_UNSENT_BYTES);
}

static void release(struct debt *debt)
{
    if (debt->bytes > 0)
        return;
    HASH_DEL(debts, debt);
    free(debt);
}

/* libzmq needs it no more. */
static void sent(void *bytes, void *hint)
{
    struct frame *frame = hint;

    (void)bytes;
    pthread_mutex_lock(&lock);
    frame->debt->bytes -= frame->length;
    all -= frame->length;
    release(frame->debt);
    pthread_mutex_unlock(&lock);
    free(frame);
}

static int count(uint64_t owner, struct frame *frame)
{
    struct debt *debt;

    HASH_FIND(hh, debts, &owner, sizeof(owner), debt);
    if (!debt) {
        debt = calloc(1, sizeof(*debt));
        if (!debt)
            return -ENOMEM;
        debt->owner = owner;
        HASH_ADD(hh, debts, owner, sizeof(debt->owner), debt);
    }
    if (!may_add(debt, frame->length)) {
        release(debt);
        return -EAGAIN;
    }
    frame->debt = debt;
    debt->bytes += frame->length;
    all += frame->length;
    return 0;
}

int unsent_frame(uint64_t owner, const uint8_t *bytes, size_t length, zmq_msg_t *ret_frame)
{
    struct frame *frame = malloc(sizeof(*frame) + length + 1);

    if (!frame)
        return -ENOMEM;
    frame->length = length + 1; /* of nothing, too, that it is not nothing */
    if (length > 0)
        memcpy(frame->bytes, bytes, length);
    pthread_mutex_lock(&lock);
    int r = count(owner, frame);
    pthread_mutex_unlock(&lock);
    if (r < 0) {
        free(frame);
        return r;
    }
    if (zmq_msg_init_data(ret_frame, frame->bytes, length, sent, frame) == 0)
        return 0;
    sent(NULL, frame);
    return -ENOMEM;
}
