/* link.c - the network, as ZeroMQ over TCP behaves
 *
 * Within one connection nothing is lost, repeated or overtaken, but for what does not fit in a full
 * queue. A connection that breaks delivers a prefix of what was on its way; a new one has a new
 * routing id. The peer's socket connects again by itself and keeps what was sent meanwhile; only a
 * socket that its owner makes anew forgets it. What came over the old connection may be read after
 * what came over the new one: the broker's socket reads from them in turn. */
#include "tests/sim/world.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_LEAST (20 * USEC_PER_MSEC)
#define CONNECT_MOST  (1000 * USEC_PER_MSEC)
#define DOOM_LEAST    (6 * USEC_PER_SEC) /* how long a connection lives on that carries nothing */
#define DOOM_MOST     (15 * USEC_PER_SEC)

void frames_init(struct frames *frames)
{
    frames->head = NULL;
    frames->tail = &frames->head;
    frames->n = 0;
}

void frames_push(struct frames *frames, struct frame *frame)
{
    frame->next = NULL;
    *frames->tail = frame;
    frames->tail = &frame->next;
    frames->n++;
}

struct frame *frames_pop(struct frames *frames)
{
    struct frame *frame = frames->head;

    if (frame == NULL)
        return NULL;
    frames->head = frame->next;
    if (frames->head == NULL)
        frames->tail = &frames->head;
    frames->n--;
    return frame;
}

void frames_clear(struct frames *frames)
{
    struct frame *frame;

    while ((frame = frames_pop(frames)) != NULL)
        free(frame);
}

struct frame *frame_new(const void *data, size_t length)
{
    struct frame *frame = calloc(1, sizeof(*frame) + length);

    if (frame == NULL)
        abort();
    memcpy(frame->data, data, length);
    frame->length = length;
    return frame;
}

/* ---- on the way */

static usec_t arrival(const struct link *link, const struct frames *frames, usec_t from)
{
    struct world *world = link->world;
    usec_t at = from + world_between(world, world->delay_least, world->delay_most);

    /* The last one is found by its link in the list: nothing overtakes. */
    if (frames->head != NULL) {
        const struct frame *last =
            (const struct frame *)((const char *)frames->tail - offsetof(struct frame, next));
        if (last->at > at)
            at = last->at;
    }
    return at;
}

static bool passes(const struct link *link, const struct frames *frames)
{
    return frames->head != NULL && frames->head->at <= world_now(link->world) &&
           link->cut_until <= world_now(link->world);
}

/* The alarm rings when the next frame gets through. */
static void wait_for_next(struct link *link, const struct frames *frames, struct alarm *alarm)
{
    if (frames->head == NULL)
        alarm_stop(link->world, alarm);
    else
        alarm_set(link->world, alarm,
                  frames->head->at > link->cut_until ? frames->head->at : link->cut_until);
}

static void send_on(struct link *link, struct frames *frames, struct alarm *alarm,
                    struct frame *frame, usec_t from)
{
    frame->at = arrival(link, frames, from);
    frames_push(frames, frame);
    wait_for_next(link, frames, alarm);
}

static void deliver_up(struct link *link, struct frames *frames, struct alarm *alarm)
{
    struct world *world = link->world;

    while (passes(link, frames)) {
        struct frame *frame = frames_pop(frames);
        world_hash(world, frame->data, frame->length);
        if (world->office.core == NULL) {
            free(frame);
        } else {
            frames_push(&world->office.inbox, frame);
            office_wake(world);
        }
    }
    wait_for_next(link, frames, alarm);
}

static void up_ring(void *ctx)
{
    struct link *link = ctx;
    deliver_up(link, &link->up, &link->up_alarm);
}

static void stale_ring(void *ctx)
{
    struct link *link = ctx;
    deliver_up(link, &link->stale, &link->stale_alarm);
}

static void down_ring(void *ctx)
{
    struct link *link = ctx;
    bool any = false;

    while (passes(link, &link->down)) {
        struct frame *frame = frames_pop(&link->down);
        world_hash(link->world, frame->data, frame->length);
        frames_push(&link->inbox, frame);
        any = true;
    }
    wait_for_next(link, &link->down, &link->down_alarm);
    if (any)
        link->arrived(link->owner);
}

/* ---- connections */

static void connect_soon(struct link *link)
{
    alarm_set(link->world, &link->connect_alarm,
              world_now(link->world) + world_between(link->world, CONNECT_LEAST, CONNECT_MOST));
}

static void connect_ring(void *ctx)
{
    struct link *link = ctx;
    struct world *world = link->world;
    struct frame *frame;

    if (world->office.core == NULL || link->cut_until > world_now(world)) {
        connect_soon(link);
        return;
    }
    link->connected = true;
    link->peer.route_length = 5;
    world->last_route++;
    memcpy(link->peer.route, &world->last_route, link->peer.route_length);
    while ((frame = frames_pop(&link->offline)) != NULL) {
        frame->peer = link->peer;
        send_on(link, &link->up, &link->up_alarm, frame, world_now(world));
    }
}

static void doom_ring(void *ctx)
{
    struct link *link = ctx;

    if (link->cut_until > world_now(link->world))
        link_break(link);
}

void link_init(struct link *link, struct world *world, const char *user, enum role role,
               void (*arrived)(void *owner), void *owner)
{
    *link = (struct link){.world = world, .arrived = arrived, .owner = owner};
    snprintf(link->peer.user, sizeof(link->peer.user), "%s", user);
    link->peer.role = role;
    frames_init(&link->offline);
    frames_init(&link->up);
    frames_init(&link->down);
    frames_init(&link->stale);
    frames_init(&link->inbox);
    alarm_init(&link->up_alarm, up_ring, link);
    alarm_init(&link->down_alarm, down_ring, link);
    alarm_init(&link->stale_alarm, stale_ring, link);
    alarm_init(&link->connect_alarm, connect_ring, link);
    alarm_init(&link->doom_alarm, doom_ring, link);
    connect_soon(link);
}

void link_done(struct link *link)
{
    frames_clear(&link->offline);
    frames_clear(&link->up);
    frames_clear(&link->down);
    frames_clear(&link->stale);
    frames_clear(&link->inbox);
}

void link_send(struct link *link, const void *data, size_t length)
{
    struct frame *frame = frame_new(data, length);

    if (link->connected) {
        frame->peer = link->peer;
        send_on(link, &link->up, &link->up_alarm, frame, world_now(link->world));
    } else if (link->offline.n < WORLD_OFFLINE_MAX) {
        frames_push(&link->offline, frame);
    } else {
        free(frame);
    }
}

static struct link *find_link(struct world *world, const struct net_peer *peer)
{
    for (unsigned i = 0; i < world->n_yards + world->n_clients; i++) {
        struct link *link =
            i < world->n_yards ? &world->yards[i].link : &world->clients[i - world->n_yards].link;
        if (link->connected && link->peer.route_length == peer->route_length &&
            memcmp(link->peer.route, peer->route, peer->route_length) == 0)
            return link;
    }
    return NULL;
}

int link_answer(struct world *world, const struct net_peer *peer, const void *data, size_t length,
                usec_t at)
{
    struct link *link = find_link(world, peer);

    if (link == NULL)
        return -EHOSTUNREACH;
    if (!world->peace && world_chance(world, world->luck.drop_permille))
        return -EAGAIN;
    send_on(link, &link->down, &link->down_alarm, frame_new(data, length), at);
    return 0;
}

/* What is on its way up arrives up to some point, each part in its own time. */
static void leave_prefix(struct link *link)
{
    struct world *world = link->world;
    uint64_t keep = world_random(world, link->up.n + 1);
    struct frame *frame;

    while ((frame = frames_pop(&link->up)) != NULL) {
        if (keep > 0 && world->office.core != NULL)
            frames_push(&link->stale, frame);
        else
            free(frame);
        keep -= keep > 0 ? 1 : 0;
    }
    alarm_stop(world, &link->up_alarm);
    wait_for_next(link, &link->stale, &link->stale_alarm);
}

void link_break(struct link *link)
{
    struct world *world = link->world;
    uint64_t keep = world_random(world, link->down.n + 1);
    struct frame *frame;

    if (!link->connected)
        return;
    world_tell(world, "%s: connection lost", link->peer.user);
    link->connected = false;
    leave_prefix(link);
    while ((frame = frames_pop(&link->down)) != NULL) {
        if (keep > 0)
            frames_push(&link->inbox, frame);
        else
            free(frame);
        keep -= keep > 0 ? 1 : 0;
    }
    alarm_stop(world, &link->down_alarm);
    alarm_stop(world, &link->doom_alarm);
    if (link->inbox.head != NULL)
        link->arrived(link->owner);
    connect_soon(link);
}

void link_anew(struct link *link)
{
    struct world *world = link->world;

    link->connected = false;
    leave_prefix(link);
    frames_clear(&link->offline);
    frames_clear(&link->down);
    frames_clear(&link->inbox);
    alarm_stop(world, &link->down_alarm);
    alarm_stop(world, &link->doom_alarm);
    connect_soon(link);
}

void link_cut(struct link *link, usec_t span)
{
    struct world *world = link->world;

    world_tell(world, "%s: cut for %.1f s", link->peer.user, (double)span / 1e6);
    if (world_now(world) + span > link->cut_until)
        link->cut_until = world_now(world) + span;
    alarm_set(world, &link->doom_alarm,
              world_now(world) + world_between(world, DOOM_LEAST, DOOM_MOST));
}
