/* yard.c - the shell around an agent: as worker/main.c, with a process that dies, comes back, or
 * stands still */
#include "tests/sim/world.h"
#include "worker/question.h"

#include <stdlib.h>
#include <string.h>

#define INVENTORY_EVERY   (5 * USEC_PER_SEC)
#define UNREACHABLE_EVERY USEC_PER_SEC
#define COALESCE_FOR      (200 * USEC_PER_MSEC)
#define INVENTORY_MOST    (300 * USEC_PER_MSEC) /* how long asking takes */

static usec_t local_now(const struct yard *yard)
{
    return world_now(yard->world) + yard->clock_offset;
}

static void wake_ring(void *ctx);

static void arrived(void *owner)
{
    struct yard *yard = owner;
    alarm_sooner(yard->world, &yard->wake, world_now(yard->world));
}

int yard_find_host(const struct yard *yard, const char *name)
{
    for (unsigned i = 0; i < yard->n_hosts; i++)
        if (strcmp(yard->hosts[i].name, name) == 0)
            return (int)i;
    return -1;
}

/* ---- what comes from the threads */

void yard_report(struct yard *yard, const RmReport *report)
{
    size_t length = rm_report__get_packed_size(report);
    uint8_t *bytes = malloc(length + 1);
    if (!bytes)
        abort();
    rm_report__pack(report, bytes);
    frames_push(&yard->reports, frame_new(bytes, length));
    free(bytes);
    alarm_sooner(yard->world, &yard->wake, world_now(yard->world));
}

/* An inventory thread has asked its hypervisor; telling takes a moment more. */
static void take_inventory(struct yard *yard, unsigned i)
{
    struct world *world = yard->world;
    RmInventory *inventory;
    struct frame *frame;
    bool reachable = false;
    if (!yard->agent)
        return;
    if (yard->hung_until > world_now(world)) {
        alarm_set(world, &yard->inventory[i], yard->hung_until);
        return;
    }
    yard->seen_changes[i] = world->sim->hosts[sim_host_of(yard->hv[i])].changes;
    if (sim_driver.inventory(yard->hv[i], world->arena, &inventory) == 0) {
        inventory->look = yard->eyes[i].look;
        size_t length = rm_inventory__get_packed_size(inventory);
        uint8_t *bytes = malloc(length + 1);
        if (!bytes)
            abort();
        rm_inventory__pack(inventory, bytes);
        reachable = inventory->reachable;
        frame = frame_new(bytes, length);
        frame->at = world_now(world) + world_random(world, INVENTORY_MOST);
        frames_push(&yard->views, frame);
        alarm_sooner(world, &yard->wake, frame->at);
        free(bytes);
    }
    arena_reset(world->arena);
    alarm_set(world, &yard->inventory[i],
              world_now(world) + (reachable ? INVENTORY_EVERY : UNREACHABLE_EVERY));
}

static void inventory_ring(void *ctx)
{
    struct eye *eye = ctx;
    take_inventory(eye->yard, eye->i);
}

void yard_changes(struct yard *yard)
{
    struct world *world = yard->world;
    if (!yard->agent)
        return;
    for (unsigned i = 0; i < yard->n_hosts; i++)
        if (world->sim->hosts[sim_host_of(yard->hv[i])].changes != yard->seen_changes[i] &&
            sim_answers(world->sim, sim_host_of(yard->hv[i])))
            alarm_sooner(world, &yard->inventory[i], world_now(world) + COALESCE_FOR);
}

/* ---- one round of the main thread */

static void on_frames(struct yard *yard)
{
    struct world *world = yard->world;
    struct frame *frame;
    while ((frame = frames_pop(&yard->link.inbox))) {
        RmMessage *message;
        if (msg_unpack(world->arena, frame->data, frame->length, &message, NULL) >= 0)
            agent_message(yard->agent, local_now(yard), message);
        else
            world_fail(world, "a frame cannot be unpacked");
        free(frame);
        arena_reset(world->arena);
    }
}

static void on_mail(struct yard *yard)
{
    struct world *world = yard->world;
    struct frame *frame;
    while (yard->views.head && yard->views.head->at <= world_now(world)) {
        RmInventory *inventory;
        frame = frames_pop(&yard->views);
        inventory = rm_inventory__unpack(arena_allocator(world->arena), frame->length, frame->data);
        if (inventory)
            agent_inventory(yard->agent, local_now(yard), inventory);
        free(frame);
        arena_reset(world->arena);
    }
    while ((frame = frames_pop(&yard->reports))) {
        RmReport *report =
            rm_report__unpack(arena_allocator(world->arena), frame->length, frame->data);
        if (report)
            agent_report(yard->agent, local_now(yard), report);
        free(frame);
        arena_reset(world->arena);
    }
}

/* ---- questions: a copy that a try left is removed, in a thread that may sleep; others are answered at
 * once */

struct sim_ask {
    struct yard *yard;
    RmAsk *ask; /* owned */
    struct alarm alarm;
    usec_t slept; /* by the thread, in one go */
    struct sim_ask *next;
};

static void ask_free(struct sim_ask *one)
{
    struct sim_ask **at = &one->yard->asks;
    while (*at != one)
        at = &(*at)->next;
    *at = one->next;
    alarm_stop(one->yard->world, &one->alarm);
    rm_ask__free_unpacked(one->ask, NULL);
    free(one);
}

static enum hv_may ask_may(void *ctx)
{
    const struct sim_ask *one = ctx;
    const struct yard *yard = one->yard;
    return one->ask->session == yard->lease_session && local_now(yard) < yard->lease_until
               ? HV_MAY
               : HV_MAY_NEVER;
}

unsigned yard_acting(const struct yard *yard, const char *guest)
{
    unsigned n = 0;
    for (struct sim_ask *one = yard->asks; one; one = one->next)
        if (strcmp(one->ask->about->guest, guest) == 0 && ask_may(one) == HV_MAY)
            n++;
    return n;
}

static usec_t ask_now(void *ctx)
{
    const struct sim_ask *one = ctx;
    return world_now(one->yard->world) + one->slept;
}

static void ask_sleep(void *ctx, usec_t span)
{
    ((struct sim_ask *)ctx)->slept += span;
}

static void ask_ring(void *ctx)
{
    struct sim_ask *one = ctx;
    struct yard *yard = one->yard;
    const struct env env = {.now = ask_now, .sleep = ask_sleep, .ctx = one};
    int at = yard_find_host(yard, one->ask->about->host);
    char notes[RM_ERR_MAX] = "";
    struct rm_err err = {""};
    RmAnswer message = RM_ANSWER__INIT;
    bool unanswered = false;
    if (yard->hung_until > world_now(yard->world)) {
        alarm_set(yard->world, &one->alarm, yard->hung_until);
        return;
    }
    message.session = one->ask->session;
    message.id = one->ask->id;
    message.ok = at >= 0 && question_put(&sim_driver, yard->hv[at], &env, one->ask, ask_may, one,
                                         notes, &unanswered, &err) >= 0;
    message.unanswered = unanswered;
    message.text = err.text;
    if (at >= 0 && notes[0] != '\0')
        yard->world->n_tidied++;
    agent_answer(yard->agent, local_now(yard), &message);
    alarm_sooner(yard->world, &yard->wake, world_now(yard->world));
    ask_free(one);
}

static void tidy(struct yard *yard, const RmAsk *ask)
{
    struct sim_ask *one = calloc(1, sizeof(*one));
    if (!one)
        abort();
    one->yard = yard;
    one->ask = (RmAsk *)msg_copy(NULL, &ask->base);
    one->next = yard->asks;
    yard->asks = one;
    alarm_init(&one->alarm, ask_ring, one);
    alarm_set(yard->world, &one->alarm,
              world_now(yard->world) + world_random(yard->world, USEC_PER_SEC));
}

static void look(struct yard *yard, const RmAsk *ask)
{
    int at = yard_find_host(yard, ask->about->host);
    if (at < 0)
        return;
    yard->eyes[at].look = ask->id;
    alarm_sooner(yard->world, &yard->inventory[at], world_now(yard->world));
}

/* The hypervisor says yes or no; now and then it says nothing. */
static void answer(struct yard *yard, const RmAsk *ask)
{
    RmAnswer message = RM_ANSWER__INIT;
    if (ask->kind == RM_ASK_KIND__ASK_TIDY) {
        tidy(yard, ask);
        return;
    }
    if (ask->kind == RM_ASK_KIND__ASK_LOOK && !yard->cannot_look) {
        look(yard, ask);
        return;
    }
    if (world_chance(yard->world, 100))
        return;
    message.session = ask->session;
    message.id = ask->id;
    message.ok = ask->kind != RM_ASK_KIND__ASK_LOOK && world_chance(yard->world, 700);
    message.text = (char *)(message.ok ? "" : "it does not fit");
    agent_answer(yard->agent, local_now(yard), &message);
}

static void act(struct yard *yard)
{
    struct agent_action action;
    while (agent_next_action(yard->agent, &action)) {
        if (action.what == AGENT_ASK)
            answer(yard, action.ask);
        else if (action.what == AGENT_ABORT)
            task_stop(yard, action.job);
        else if (action.what == AGENT_OFF)
            task_off(yard, action.job, action.abort);
        else if (action.what == AGENT_GO_ON)
            task_go_on(yard, action.job, action.session);
        else
            task_start(yard, action.assignment, action.what == AGENT_SETTLE, action.session);
    }
}

static void send_all(struct yard *yard)
{
    struct world *world = yard->world;
    RmMessage *message;
    while ((message = agent_next_message(yard->agent, world->arena))) {
        size_t length;
        uint8_t *frame = msg_pack(message, &length);
        if (frame)
            link_send(&yard->link, frame, length);
        free(frame);
        arena_reset(world->arena);
    }
}

static void wake_ring(void *ctx)
{
    struct yard *yard = ctx;
    struct world *world = yard->world;
    if (!yard->agent)
        return;
    if (yard->hung_until > world_now(world)) {
        alarm_set(world, &yard->wake, yard->hung_until);
        return;
    }
    on_frames(yard);
    on_mail(yard);
    agent_tick(yard->agent, local_now(yard));
    if (agent_wants_reconnect(yard->agent))
        link_anew(&yard->link);
    act(yard);
    yard->lease_until = agent_lease_until(yard->agent, &yard->lease_session);
    if (yard->leaving && agent_leave(yard->agent, local_now(yard))) {
        send_all(yard);
        yard_kill(yard, yard->back_in);
        return;
    }
    send_all(yard);
    usec_t deadline = agent_deadline(yard->agent);
    if (deadline != USEC_NEVER)
        deadline -= deadline > yard->clock_offset ? yard->clock_offset : deadline;
    if (yard->views.head && yard->views.head->at < deadline)
        deadline = yard->views.head->at;
    /* Alarms set while this ran may be sooner. */
    alarm_sooner(world, &yard->wake, deadline);
}

/* ---- life and death */

static void start_ring(void *ctx)
{
    yard_start(ctx);
}

void yard_init(struct yard *yard, struct world *world, unsigned index, const unsigned *hosts,
               unsigned n_hosts)
{
    yard->world = world;
    yard->index = index;
    snprintf(yard->machine, sizeof(yard->machine), "worker%u", index + 1);
    yard->clock_offset = world_random(world, 1000000 * USEC_PER_SEC);
    frames_init(&yard->reports);
    frames_init(&yard->views);
    alarm_init(&yard->wake, wake_ring, yard);
    alarm_init(&yard->start, start_ring, yard);
    link_init(&yard->link, world, yard->machine, ROLE_ADMIN, arrived, yard);
    for (unsigned i = 0; i < n_hosts; i++) {
        const struct conf_hypervisor *conf = &world->conf_hypervisors[hosts[i]];
        yard->hosts[i] = (struct agent_host){.name = conf->name,
                                             .peer = conf->peer,
                                             .migration = "",
                                             .slots = world->conf_worker.slots};
        yard->hv[i] = sim_driver.open(conf, &world->conf_worker, &world->sim->env, NULL);
        yard->eyes[i] = (struct eye){.yard = yard, .i = i};
        alarm_init(&yard->inventory[i], inventory_ring, &yard->eyes[i]);
    }
    yard->n_hosts = n_hosts;
}

void yard_start(struct yard *yard)
{
    struct world *world = yard->world;
    if (yard->agent)
        return;
    world_tell(world, "%s: starts", yard->machine);
    yard->life++;
    yard->hung_until = 0;
    yard->leaving = false;
    yard->lease_until = 0;
    yard->agent = agent_new(yard->hosts, yard->n_hosts, yard->machine, 100 + (uint32_t)yard->life,
                            "sim", 1 + world_random(world, UINT64_MAX - 1));
    if (!yard->agent)
        abort();
    link_anew(&yard->link);
    for (unsigned i = 0; i < yard->n_hosts; i++)
        alarm_set(world, &yard->inventory[i],
                  world_now(world) + world_random(world, INVENTORY_MOST));
    alarm_set(world, &yard->wake, world_now(world));
}

void yard_kill(struct yard *yard, usec_t back_in)
{
    struct world *world = yard->world;
    if (!yard->agent)
        return;
    world_tell(world, "%s: dies", yard->machine);
    tasks_drop(yard);
    while (yard->asks)
        ask_free(yard->asks);
    agent_free(yard->agent);
    yard->agent = NULL;
    frames_clear(&yard->reports);
    frames_clear(&yard->views);
    link_anew(&yard->link); /* what it had sent may still arrive */
    alarm_stop(world, &yard->wake);
    for (unsigned i = 0; i < yard->n_hosts; i++)
        alarm_stop(world, &yard->inventory[i]);
    if (back_in != USEC_NEVER)
        alarm_set(world, &yard->start, world_now(world) + back_in);
}

void yard_hang(struct yard *yard, usec_t span)
{
    struct world *world = yard->world;
    if (!yard->agent)
        return;
    world_tell(world, "%s: stands still for %.1f s", yard->machine, (double)span / 1e6);
    yard->hung_until = world_now(world) + span;
    alarm_set(world, &yard->wake, yard->hung_until);
}

void yard_leave(struct yard *yard, usec_t back_in)
{
    if (!yard->agent)
        return;
    world_tell(yard->world, "%s: leaves", yard->machine);
    yard->leaving = true;
    yard->back_in = back_in;
    alarm_sooner(yard->world, &yard->wake, world_now(yard->world));
}

void yard_done(struct yard *yard)
{
    tasks_drop(yard);
    while (yard->asks)
        ask_free(yard->asks);
    agent_free(yard->agent);
    yard->agent = NULL;
    for (unsigned i = 0; i < yard->n_hosts; i++)
        sim_driver.close(yard->hv[i]);
    frames_clear(&yard->reports);
    frames_clear(&yard->views);
    link_done(&yard->link);
}
