/* inbox.h - frames that have arrived at the broker and are not taken yet: from each owner in its
 * turn, of an owner from each peer in its turn, and from none more than its share
 *
 * An owner is a user or an address, however many connections it has.
 * Pure: it knows of a frame who sent it and how long it is. Not safe between threads. */
#ifndef WIRE_INBOX_H
#define WIRE_INBOX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    INBOX_PEER_FRAMES = 4096,           /* that wait of one peer */
    INBOX_PEER_BYTES = 4 * 1024 * 1024, /* that each peer may have waiting, whatever others have */
    INBOX_OWNER_BYTES =
        64 * 1024 * 1024,            /* the same of an owner: the lines above and below within it */
    INBOX_BYTES = 256 * 1024 * 1024, /* of all: beyond, only who is within the lines above adds */
    INBOX_FRAME_BYTES = 128,         /* counted for each frame besides its own length */
};

/* Part of what is kept; made by the caller. */
struct inbox_item {
    uint64_t peer;  /* not 0 */
    uint64_t owner; /* of a peer always the same */
    size_t length;
    struct inbox_item *prev, *next;
};

struct inbox;

struct inbox *inbox_new(void);        /* NULL: no memory */
void inbox_free(struct inbox *inbox); /* is to be empty; NULL is fine */

/* False: this peer has too much waiting, or there is no memory; the item stays the caller's. */
bool inbox_put(struct inbox *inbox, struct inbox_item *item);

/* The next one, each owner in its turn, its peers in theirs and their frames in their order; NULL: nothing waits. */
struct inbox_item *inbox_take(struct inbox *inbox);

/* One of this peer, for who drops it: until NULL. */
struct inbox_item *inbox_take_of(struct inbox *inbox, uint64_t peer);

#endif
