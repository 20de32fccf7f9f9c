/* inbox.c - frames that have arrived at the broker and are not taken yet */
#include "wire/inbox.h"

#include <stdlib.h>
#include <uthash.h>
#include <utlist.h>

struct inbox_peer {
    uint64_t peer;
    struct inbox_owner *owner;
    unsigned n;
    size_t bytes;
    struct inbox_item *first;
    struct inbox_peer *prev, *next; /* a ring in the order of their turns */
    UT_hash_handle hh;
};

struct inbox_owner {
    uint64_t owner;
    size_t bytes;
    struct inbox_peer *turns;
    struct inbox_owner *prev, *next; /* a ring in the order of their turns */
    UT_hash_handle hh;
};

struct inbox {
    struct inbox_owner *turns, *by_owner; /* of those of whom something waits */
    struct inbox_peer *by_peer;
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
    bool is_little =
        peer->bytes + bytes <= INBOX_PEER_BYTES && peer->owner->bytes + bytes <= INBOX_OWNER_BYTES;

    /* One frame of any length is taken of whoever has none waiting, if all others together leave
     * room for it. */
    return peer->n < INBOX_PEER_FRAMES && (is_little || inbox->bytes + bytes <= INBOX_BYTES);
}

static struct inbox_owner *owner_of(struct inbox *inbox, uint64_t id)
{
    struct inbox_owner *owner;

    HASH_FIND(hh, inbox->by_owner, &id, sizeof(id), owner);
    if (owner)
        return owner;
    owner = calloc(1, sizeof(*owner));
    if (!owner)
        return NULL;
    owner->owner = id;
    HASH_ADD(hh, inbox->by_owner, owner, sizeof(owner->owner), owner);
    CDL_APPEND(inbox->turns, owner);
    return owner;
}

static void release_owner(struct inbox *inbox, struct inbox_owner *owner)
{
    if (owner->turns)
        return;
    CDL_DELETE(inbox->turns, owner);
    HASH_DEL(inbox->by_owner, owner);
    free(owner);
}

static void remove_peer(struct inbox *inbox, struct inbox_peer *peer)
{
    struct inbox_owner *owner = peer->owner;

    CDL_DELETE(owner->turns, peer);
    HASH_DEL(inbox->by_peer, peer);
    free(peer);
    release_owner(inbox, owner);
}

static struct inbox_peer *add_peer(struct inbox *inbox, const struct inbox_item *item)
{
    struct inbox_peer *peer = calloc(1, sizeof(*peer));
    struct inbox_owner *owner = peer ? owner_of(inbox, item->owner) : NULL;

    if (!owner) {
        free(peer);
        return NULL;
    }
    peer->peer = item->peer;
    peer->owner = owner;
    HASH_ADD(hh, inbox->by_peer, peer, sizeof(peer->peer), peer);
    CDL_APPEND(owner->turns, peer);
    return peer;
}

bool inbox_put(struct inbox *inbox, struct inbox_item *item)
{
    struct inbox_peer *peer = find(inbox, item->peer);

    if (!peer && !(peer = add_peer(inbox, item)))
        return false;
    if (!may_add(inbox, peer, weight(item))) {
        if (!peer->first)
            remove_peer(inbox, peer);
        return false;
    }
    DL_APPEND(peer->first, item);
    peer->n++;
    peer->bytes += weight(item);
    peer->owner->bytes += weight(item);
    inbox->bytes += weight(item);
    return true;
}

static struct inbox_item *take(struct inbox *inbox, struct inbox_peer *peer)
{
    struct inbox_owner *owner = peer->owner;
    struct inbox_item *item = peer->first;

    DL_DELETE(peer->first, item);
    peer->n--;
    peer->bytes -= weight(item);
    owner->bytes -= weight(item);
    inbox->bytes -= weight(item);
    inbox->turns = owner->next; /* in a ring: who was first is the last one now */
    owner->turns = peer->next;
    if (!peer->first)
        remove_peer(inbox, peer);
    return item;
}

struct inbox_item *inbox_take(struct inbox *inbox)
{
    return inbox->turns ? take(inbox, inbox->turns->turns) : NULL;
}

struct inbox_item *inbox_take_of(struct inbox *inbox, uint64_t id)
{
    struct inbox_peer *peer = find(inbox, id);

    return peer ? take(inbox, peer) : NULL;
}
