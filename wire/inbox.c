/* inbox.c - frames that have arrived at the broker and are not taken yet */
#include "wire/inbox.h"

#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

struct inbox_peer {
    uint64_t peer;
    unsigned n;
    size_t bytes;
    struct inbox_item *first;
    struct inbox_peer *prev, *next; /* in the order of their turns */
    UT_hash_handle hh;
};

struct inbox {
    struct inbox_peer *turns, *by_peer; /* of those of whom something waits */
    size_t bytes;
};

struct inbox *inbox_new(void)
{
    return calloc(1, sizeof(struct inbox));
}

void inbox_free(struct inbox *inbox)
{
    free(inbox);
}

static size_t weight(const struct inbox_item *item)
{
    return item->length + INBOX_FRAME_BYTES;
}

static struct inbox_peer *find(const struct inbox *inbox, uint64_t id)
{
    struct inbox_peer *peer;

    HASH_FIND(hh, inbox->by_peer, &id, sizeof(id), peer);
    return peer;
}

static bool may_add(const struct inbox *inbox, const struct inbox_peer *peer, size_t bytes)
{
    /* One frame of any length is taken of whoever has none waiting, if all others together leave
     * room for it. */
    return peer->n < INBOX_PEER_FRAMES &&
           (peer->bytes + bytes <= INBOX_PEER_BYTES || inbox->bytes + bytes <= INBOX_BYTES);
}

static void remove_peer(struct inbox *inbox, struct inbox_peer *peer)
{
    DL_DELETE(inbox->turns, peer);
    HASH_DEL(inbox->by_peer, peer);
    free(peer);
}

bool inbox_put(struct inbox *inbox, struct inbox_item *item)
{
    struct inbox_peer *peer = find(inbox, item->peer);

    if (!peer) {
        peer = calloc(1, sizeof(*peer));
        if (!peer)
            return false;
        peer->peer = item->peer;
        HASH_ADD(hh, inbox->by_peer, peer, sizeof(peer->peer), peer);
        DL_APPEND(inbox->turns, peer);
    }
    if (!may_add(inbox, peer, weight(item))) {
        if (!peer->first)
            remove_peer(inbox, peer);
        return false;
    }
    DL_APPEND(peer->first, item);
    peer->n++;
    peer->bytes += weight(item);
    inbox->bytes += weight(item);
    return true;
}

static struct inbox_item *take(struct inbox *inbox, struct inbox_peer *peer)
{
    struct inbox_item *item = peer->first;

    DL_DELETE(peer->first, item);
    peer->n--;
    peer->bytes -= weight(item);
    inbox->bytes -= weight(item);
    if (!peer->first)
        remove_peer(inbox, peer);
    else {
        DL_DELETE(inbox->turns, peer);
        DL_APPEND(inbox->turns, peer);
    }
    return item;
}

struct inbox_item *inbox_take(struct inbox *inbox)
{
    return inbox->turns ? take(inbox, inbox->turns) : NULL;
}

struct inbox_item *inbox_take_of(struct inbox *inbox, uint64_t id)
{
    struct inbox_peer *peer = find(inbox, id);

    return peer ? take(inbox, peer) : NULL;
}
