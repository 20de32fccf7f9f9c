/* client.c - the people: they submit, evacuate, cancel, follow; and they ask again when no answer
 * comes
 *
 * As submit/client.c and submit/follow.c do: one question at a time, repeated over a new connection
 * with the same token; a follower asks with the epoch and the version of the last answer until all
 * of its jobs have ended. */
#include "store/record.h"
#include "tests/sim/world.h"
#include "wire/job.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RESEND_IN  (2 * USEC_PER_SEC)
#define HOLD       (2 * USEC_PER_SEC)
#define PAUSE      (100 * USEC_PER_MSEC)
#define IDEA_LEAST (USEC_PER_SEC)
#define IDEA_MOST  (20 * USEC_PER_SEC)

enum { NAMES_MAX = 512 };

/* ---- asking */

static void send_frame(struct client *client)
{
    struct world *world = client->world;

    link_send(&client->link, client->frame->data, client->frame->length);
    alarm_set(world, &client->again,
              world_now(world) + client->patience +
                  (client->ask == RM_REQUEST__ASK_FOLLOW ? HOLD : client->hold));
}

static void again_ring(void *ctx)
{
    struct client *client = ctx;

    if (!client->asking)
        return;
    link_anew(&client->link);
    client->patience =
        client->patience > 16 * USEC_PER_SEC ? client->patience : 2 * client->patience;
    send_frame(client);
}

static void pack_request(struct client *client, RmRequest *request, const uint8_t *token)
{
    RmMessage message = RM_MESSAGE__INIT;
    uint8_t *bytes;
    size_t length;

    request->command = (char *)"simulated";
    if (token != NULL)
        request->token = (ProtobufCBinaryData){.data = (uint8_t *)token, .len = RECORD_TOKEN};
    message.tag = ++client->tag;
    message.body_case = RM_MESSAGE__BODY_REQUEST;
    message.request = request;
    bytes = msg_pack(&message, &length);
    if (bytes == NULL)
        abort();
    free(client->frame);
    client->frame = frame_new(bytes, length);
    free(bytes);
    client->ask = request->ask_case;
    client->patience = RESEND_IN;
    client->asking = true;
    send_frame(client);
}

static void ask(struct client *client, RmRequest *request)
{
    struct world *world = client->world;
    uint8_t token[RECORD_TOKEN];

    for (size_t i = 0; i < sizeof(token); i++)
        token[i] = (uint8_t)world_random(world, 256);
    client->hold = request->ask_case == RM_REQUEST__ASK_SUBMIT   ? request->submit->wait_for
                   : request->ask_case == RM_REQUEST__ASK_MODIFY ? request->modify->wait_for
                                                                 : 0;
    client->only_looks =
        (request->ask_case == RM_REQUEST__ASK_SUBMIT && request->submit->dry_run) ||
        request->ask_case == RM_REQUEST__ASK_MODIFY;
    client->answered = false;
    client->doubts = client->has_ideas && world_chance(world, 150);
    pack_request(client, request, token);
}

void client_repeat(struct client *client)
{
    struct world *world = client->world;
    RmMessage *message;
    uint8_t token[RECORD_TOKEN];

    if (msg_unpack(world->arena, client->frame->data, client->frame->length, &message, NULL) < 0)
        abort();
    memcpy(token, message->request->token.data, sizeof(token));
    if (world->options.broken == BREAK_TOKEN)
        token[0] ^= 1;
    pack_request(client, message->request, token);
    arena_reset(world->arena);
}

void client_submit(struct client *client, const char *guests, const char *to, bool follow)
{
    RmRequest request = RM_REQUEST__INIT;
    RmSubmit submit = RM_SUBMIT__INIT;
    RmOptions options = RM_OPTIONS__INIT;

    submit.guests = (char *)guests;
    submit.to = (char *)to;
    submit.options = &options;
    if (client->has_ideas) {
        options.anywhere = world_chance(client->world, 300);
        options.fence = world_chance(client->world, 300) ? 1 + FENCE_ALWAYS : 0;
        submit.priority = 50 + (uint32_t)world_random(client->world, 100);
    }
    request.ask_case = RM_REQUEST__ASK_SUBMIT;
    request.submit = &submit;
    client->wants_to_follow = follow;
    world_tell(client->world, "%s: submit %s to '%s'", client->link.peer.user, guests, to);
    ask(client, &request);
}

/* Only asks whether they could: the hypervisors are asked too, by their workers. */
static void dry_run(struct client *client, const char *guests)
{
    RmRequest request = RM_REQUEST__INIT;
    RmSubmit submit = RM_SUBMIT__INIT;

    submit.guests = (char *)guests;
    submit.dry_run = true;
    submit.wait_for = world_between(client->world, USEC_PER_SEC, 8 * USEC_PER_SEC);
    request.ask_case = RM_REQUEST__ASK_SUBMIT;
    request.submit = &submit;
    client->wants_to_follow = false;
    world_tell(client->world, "%s: could %s move?", client->link.peer.user, guests);
    ask(client, &request);
}

void client_evacuate(struct client *client, const char *hosts, bool follow)
{
    RmRequest request = RM_REQUEST__INIT;
    RmEvacuate evacuate = RM_EVACUATE__INIT;

    evacuate.hosts = (char *)hosts;
    request.ask_case = RM_REQUEST__ASK_EVACUATE;
    request.evacuate = &evacuate;
    client->wants_to_follow = follow;
    world_tell(client->world, "%s: evacuate %s", client->link.peer.user, hosts);
    ask(client, &request);
}

void client_cancel(struct client *client, uint64_t batch)
{
    RmRequest request = RM_REQUEST__INIT;
    RmSelect what = RM_SELECT__INIT;

    what.batch = batch;
    request.ask_case = RM_REQUEST__ASK_CANCEL;
    request.cancel = &what;
    world_tell(client->world, "%s: cancel batch %" PRIu64, client->link.peer.user, batch);
    ask(client, &request);
}

void client_cancel_job(struct client *client, uint64_t id)
{
    RmRequest request = RM_REQUEST__INIT;
    RmSelect what = RM_SELECT__INIT;

    what.jobs = &id;
    what.n_jobs = 1;
    request.ask_case = RM_REQUEST__ASK_CANCEL;
    request.cancel = &what;
    world_tell(client->world, "%s: cancel job %" PRIu64, client->link.peer.user, id);
    ask(client, &request);
}

static void ask_select(struct client *client, RmRequest__AskCase what, RmSelect *select)
{
    RmRequest request = RM_REQUEST__INIT;

    request.ask_case = what;
    request.cancel = select; /* one field of the union for all that select */
    ask(client, &request);
}

void client_resume_all(struct client *client)
{
    RmSelect what = RM_SELECT__INIT;

    what.all = true;
    ask_select(client, RM_REQUEST__ASK_RESUME, &what);
}

void client_lift_all(struct client *client)
{
    RmSelect what = RM_SELECT__INIT;

    what.host = (char *)"/.*";
    ask_select(client, RM_REQUEST__ASK_RESUME, &what);
}

static void change_host(struct client *client, const char *hosts, RmHostState state)
{
    RmRequest request = RM_REQUEST__INIT;
    RmHostChange change = RM_HOST_CHANGE__INIT;

    change.hosts = (char *)hosts;
    change.state = state;
    request.ask_case = RM_REQUEST__ASK_HOST_CHANGE;
    request.host_change = &change;
    world_tell(client->world, "%s: %s %s", client->link.peer.user,
               state == RM_HOST_STATE__HOST_OPEN ? "open" : "close", hosts);
    ask(client, &request);
}

void client_open_all(struct client *client)
{
    char names[NAMES_MAX] = "";

    for (unsigned i = 0; i < client->world->sim->n_hosts; i++) {
        size_t length = strlen(names);
        snprintf(names + length, sizeof(names) - length, "%s%s", length > 0 ? "," : "",
                 client->world->sim->hosts[i].name);
    }
    change_host(client, names, RM_HOST_STATE__HOST_OPEN);
}

void client_reconcile(struct client *client)
{
    RmRequest request = RM_REQUEST__INIT;
    RmReconcile reconcile = RM_RECONCILE__INIT;

    reconcile.mend = true;
    request.ask_case = RM_REQUEST__ASK_RECONCILE;
    request.reconcile = &reconcile;
    ask(client, &request);
}

static void ask_follow(struct client *client)
{
    RmRequest request = RM_REQUEST__INIT;
    RmSelect what = RM_SELECT__INIT;
    RmFollow follow = RM_FOLLOW__INIT;

    what.batch = client->batch;
    follow.what = &what;
    follow.epoch = client->epoch;
    follow.version = client->version;
    follow.wait_for = HOLD;
    request.ask_case = RM_REQUEST__ASK_FOLLOW;
    request.follow = &follow;
    pack_request(client, &request, NULL);
}

void client_follow(struct client *client, uint64_t batch)
{
    client->follows = true;
    client->batch = batch;
    client->epoch = client->version = 0;
    client->n_heard = 0;
    ask_follow(client);
}

/* ---- answers */

static struct heard *find_heard(struct client *client, uint64_t id)
{
    for (size_t i = 0; i < client->n_heard; i++)
        if (client->heard[i].id == id)
            return &client->heard[i];
    return NULL;
}

static void hear(struct client *client, uint64_t id, uint64_t epoch, bool whole)
{
    struct heard *heard = find_heard(client, id);

    if (heard != NULL) {
        if (heard->epoch == epoch && !whole)
            world_fail(client->world, "%s is told twice that job %" PRIu64 " has ended",
                       client->link.peer.user, id);
        heard->epoch = epoch;
        return;
    }
    if (client->n_heard == client->heard_room) {
        client->heard_room = client->heard_room == 0 ? 16 : client->heard_room * 2;
        client->heard = realloc(client->heard, client->heard_room * sizeof(*client->heard));
        if (client->heard == NULL)
            abort();
    }
    client->heard[client->n_heard++] = (struct heard){.id = id, .epoch = epoch};
}

static void on_followed(struct client *client, const RmReply *reply)
{
    bool whole = client->version == 0 || reply->epoch != client->epoch;
    uint64_t live = 0, ended = 0;

    if (reply->code != RM_CODE__CODE_OK) {
        world_fail(client->world, "%s follows batch %" PRIu64 " and is refused: %s",
                   client->link.peer.user, client->batch, reply->text);
        client->follows = false;
        return;
    }
    for (size_t i = 0; i < reply->n_jobs; i++)
        if (job_is_final(reply->jobs[i]->state))
            hear(client, reply->jobs[i]->job->id, reply->epoch, whole);
    for (size_t i = 0; i < reply->n_tallies; i++)
        *(job_is_final(reply->tallies[i]->state) ? &ended : &live) += reply->tallies[i]->count;
    client->epoch = reply->epoch;
    client->version = reply->version;
    if (live > 0 || reply->may_grow)
        return;
    client->follows = false;
    if (client->n_heard != ended)
        world_fail(client->world,
                   "%s was told the end of %zu jobs of batch %" PRIu64 ", not of %" PRIu64,
                   client->link.peer.user, client->n_heard, client->batch, ended);
}

static void on_changed(struct client *client, const RmReply *reply)
{
    bool repeats = client->doubts;
    /* Else nothing was, and the same request, asked again, may be carried out. */
    bool is_done = reply->code != RM_CODE__CODE_TRY_AGAIN;

    if (client->answered &&
        ((!is_done && !client->only_looks) || client->answer_batch != reply->batch))
        world_fail(client->world,
                   "%s asked twice with one token and got batch %" PRIu64 " and batch %" PRIu64,
                   client->link.peer.user, client->answer_batch, reply->batch);
    if (!is_done && reply->batch != 0)
        world_fail(client->world, "%s: nothing was done, and batch %" PRIu64 " was made of it",
                   client->link.peer.user, reply->batch);
    client->answered = is_done;
    client->answer_batch = reply->batch;
    client->doubts = false;
    if (reply->batch != 0)
        client->last_batch = reply->batch;
    if (repeats) {
        client_repeat(client);
        return;
    }
    if (reply->batch != 0 && client->wants_to_follow)
        client_follow(client, reply->batch);
    client->wants_to_follow = false;
}

static void keep_text(struct client *client, const RmReply *reply)
{
    const char *text = reply->text;

    for (size_t i = 0; i < reply->n_outcomes && *text == '\0'; i++)
        if (!reply->outcomes[i]->ok)
            text = reply->outcomes[i]->text;
    snprintf(client->text, sizeof(client->text), "%s", text);
    client->code = reply->code;
    client->n_answers++;
}

static void on_reply(struct client *client, const RmReply *reply)
{
    struct world *world = client->world;

    client->asking = false;
    alarm_stop(world, &client->again);
    rules_reply(world, client, reply);
    keep_text(client, reply);
    if (client->ask == RM_REQUEST__ASK_FOLLOW)
        on_followed(client, reply);
    else
        on_changed(client, reply);
    if (!client->asking && client->follows)
        alarm_set(world, &client->act, world_now(world) + PAUSE);
    else if (!client->asking && client->has_ideas && !world->peace)
        alarm_set(world, &client->act,
                  world_now(world) + world_between(world, IDEA_LEAST, IDEA_MOST));
}

static void arrived(void *owner)
{
    struct client *client = owner;
    struct world *world = client->world;
    struct frame *frame;

    while ((frame = frames_pop(&client->link.inbox)) != NULL) {
        struct arena *arena = arena_new(0);
        RmMessage *message;
        if (arena == NULL)
            abort();
        if (msg_unpack(arena, frame->data, frame->length, &message, NULL) < 0)
            world_fail(world, "an answer cannot be unpacked");
        else if (message->body_case == RM_MESSAGE__BODY_REPLY && client->asking &&
                 message->tag == client->tag)
            on_reply(client, message->reply);
        arena_free(arena);
        free(frame);
    }
}

/* ---- ideas */

static const char *some_guests(struct world *world, char names[static NAMES_MAX])
{
    uint64_t n = 1 + world_random(world, 6);

    names[0] = '\0';
    for (uint64_t i = 0; i < n; i++) {
        size_t length = strlen(names);
        snprintf(names + length, NAMES_MAX - length, "%s%s", length > 0 ? "," : "",
                 world->sim->guests[world_random(world, world->sim->n_guests)].name);
    }
    return names;
}

static const char *some_host(struct world *world)
{
    return world->sim->hosts[world_random(world, world->sim->n_hosts)].name;
}

static void release(struct client *client, const char *guest)
{
    RmSelect what = RM_SELECT__INIT;

    /* He has looked, and set it right, before he says so. */
    sim_resume_by_hand(client->world->sim, (unsigned)sim_find_guest(client->world->sim, guest));
    what.guests = (char *)guest;
    world_tell(client->world, "%s: release %s", client->link.peer.user, guest);
    ask_select(client, RM_REQUEST__ASK_RELEASE, &what);
}

/* Other limits and another priority, each now and then. */
static void modify(struct client *client, RmSelect *what)
{
    struct world *world = client->world;
    RmRequest request = RM_REQUEST__INIT;
    RmModify modify = RM_MODIFY__INIT;
    RmOptions options = RM_OPTIONS__INIT;

    modify.what = what;
    modify.options = &options;
    if (world_chance(world, 600))
        options.bandwidth = 1 + world_random(world, 100);
    if (options.bandwidth == 0 || world_chance(world, 600))
        modify.priority = 50 + (uint32_t)world_random(world, 100);
    modify.wait_for = world_between(world, USEC_PER_SEC, 8 * USEC_PER_SEC);
    request.ask_case = RM_REQUEST__ASK_MODIFY;
    request.modify = &modify;
    world_tell(world, "%s: modify some", client->link.peer.user);
    ask(client, &request);
}

static void have_idea(struct client *client)
{
    struct world *world = client->world;
    RmSelect what = RM_SELECT__INIT;
    char names[NAMES_MAX], hosts[NAMES_MAX];
    bool follow = world_chance(world, 700);

    what.host = (char *)(world_chance(world, 500) ? some_host(world) : "");
    if (*what.host == '\0')
        what.batch = client->last_batch;
    what.all = *what.host == '\0' && what.batch == 0;
    switch (world_random(world, 22)) {
    case 0 ... 6:
        client_submit(client, some_guests(world, names), some_host(world), follow);
        break;
    case 7 ... 8:
        snprintf(hosts, sizeof(hosts), "%s,%s", some_host(world), some_host(world));
        client_submit(client, some_guests(world, names), hosts, follow);
        break;
    case 9 ... 11:
        client_submit(client, some_guests(world, names), "", follow);
        break;
    case 12:
        client_evacuate(client, some_host(world), follow);
        break;
    case 13 ... 14:
        world_tell(world, "%s: cancel some", client->link.peer.user);
        ask_select(client, RM_REQUEST__ASK_CANCEL, &what);
        break;
    case 15:
        world_tell(world, "%s: pause some", client->link.peer.user);
        ask_select(client, RM_REQUEST__ASK_PAUSE, &what);
        break;
    case 16:
        ask_select(client, RM_REQUEST__ASK_RESUME, &what);
        break;
    case 17:
        world_tell(world, "%s: retry some", client->link.peer.user);
        ask_select(client, RM_REQUEST__ASK_RETRY, &what);
        break;
    case 18:
        change_host(client, some_host(world),
                    world_chance(world, 300) ? RM_HOST_STATE__HOST_CLOSED
                                             : RM_HOST_STATE__HOST_OPEN);
        break;
    case 19:
        modify(client, &what);
        break;
    case 20:
        dry_run(client, some_guests(world, names));
        break;
    default:
        if (rules_locked_guest(world) != NULL)
            release(client, rules_locked_guest(world));
        else
            client_reconcile(client);
    }
}

static void act_ring(void *ctx)
{
    struct client *client = ctx;

    if (client->asking)
        return;
    if (client->follows)
        ask_follow(client);
    else if (client->has_ideas && !client->world->peace)
        have_idea(client);
}

void client_init(struct client *client, struct world *world, unsigned index, bool has_ideas)
{
    char user[SIM_NAME_MAX];

    client->world = world;
    client->index = index;
    client->has_ideas = has_ideas;
    snprintf(user, sizeof(user), "client%u", index + 1);
    link_init(&client->link, world, user, ROLE_ADMIN, arrived, client);
    alarm_init(&client->act, act_ring, client);
    alarm_init(&client->again, again_ring, client);
    if (has_ideas)
        alarm_set(world, &client->act,
                  world_now(world) + world_between(world, 2 * USEC_PER_SEC, IDEA_MOST));
}

void client_done(struct client *client)
{
    link_done(&client->link);
    free(client->frame);
    free(client->heard);
}

bool client_is_idle(const struct client *client)
{
    return !client->asking && !client->follows;
}
