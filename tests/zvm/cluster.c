/* cluster.c - members, users, guests and their moves: what is true in the simulated cluster */
#include "sim.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sim sim;

const char *const mode_names[] = {
    [MODE_JOINED] = "joined",     [MODE_DOWN] = "down",     [MODE_SILENT] = "silent",
    [MODE_REFUSE] = "refuse",     [MODE_REPAIR] = "repair", [MODE_NOSSI] = "nossi",
    [MODE_UNSTABLE] = "unstable",
};

/* Users of the system itself: one of each on every member. */
static const char *const services[] = {
    "OPERATOR", "MAINT",    "TCPIP",    "VSMREQIN", "VSMREQI6", "VSMREQIU", "VSMPROXY",
    "VSMGUARD", "VSMEVSRV", "VSMWORK1", "VSMWORK2", "VSMWORK3", "DTCVSW1",  "DTCVSW2",
    "PERFSVM",  "OPERSYMP", "EREP",     "DISKACNT", "AUTOLOG1", "DIRMSAT",
};

/* What a subscriber is told of a move (class 0 of *VMEVENT). */
enum { OUT_STARTED = 9, IN_STARTED, OUT_COMPLETED, IN_COMPLETED, OUT_TERMINATED, IN_TERMINATED };
enum { REASON_ENDED = 1 }; /* of a move that was terminated; constructed */

/* ---- members and users */

struct member *member_find(const char *name)
{
    for (size_t i = 0; i < sim.n_members; i++)
        if (same_word(sim.members[i].name, name))
            return &sim.members[i];
    return NULL;
}

struct member *member_add(const char *name)
{
    struct member *member = member_find(name);

    if (member != NULL)
        return member;
    if (sim.n_members == MEMBERS_MAX || !read_name(sim.members[sim.n_members].name, name))
        return NULL;
    return &sim.members[sim.n_members++];
}

/* Does the system run? Its SMAPI server may still be out of order. */
bool is_up(const struct member *member)
{
    return member->mode != MODE_DOWN;
}

void member_set(struct member *member, enum mode mode)
{
    enum mode old = member->mode;

    member->mode = mode;
    if (mode == MODE_DOWN)
        for (struct move *move = sim.moves, *next; move != NULL; move = next) {
            next = move->next;
            if (move->from == member || move->to == member)
                move_cancel(move, HCP_MEMBER_LOST);
        }
    if (mode == MODE_DOWN || (old == MODE_SILENT && mode != MODE_SILENT))
        members_conns_drop(member);
    listener_mode(member);
}

struct user *user_find(const char *name)
{
    struct user *user = sim.users;

    while (user != NULL && !same_word(user->name, name))
        user = user->next;
    return user;
}

struct user *user_add(const char *name, const char *password)
{
    struct user *user;

    if (user_find(name) != NULL || strlen(password) > PASSWORD_MAX)
        return NULL;
    user = must_alloc(sizeof(*user));
    if (!read_name(user->name, name)) {
        free(user);
        return NULL;
    }
    snprintf(user->password, sizeof(user->password), "%s", password);
    user->next = sim.users;
    sim.users = user;
    return user;
}

/* ---- guests */

const char *service_name(size_t i)
{
    return i < sizeof(services) / sizeof(services[0]) ? services[i] : NULL;
}

bool is_service(const char *name)
{
    for (size_t i = 0; service_name(i) != NULL; i++)
        if (same_word(service_name(i), name))
            return true;
    return false;
}

struct guest *guest_find(const char *name)
{
    struct guest *guest = sim.guests;

    while (guest != NULL && !same_word(guest->name, name))
        guest = guest->next;
    return guest;
}

struct guest *guest_add(const char *name, struct member *member)
{
    struct guest *guest, **end = &sim.guests;

    if (guest_find(name) != NULL || is_service(name))
        return NULL;
    guest = must_alloc(sizeof(*guest));
    if (!read_name(guest->name, name)) {
        free(guest);
        return NULL;
    }
    guest->member = member;
    guest->duration = -1;
    while (*end != NULL)
        end = &(*end)->next;
    *end = guest;
    return guest;
}

void guest_log_off(struct guest *guest)
{
    struct move *move = move_of(guest);

    if (move != NULL)
        move_cancel(move, HCP_LOGGED_OFF);
    guest->member = NULL;
}

bool is_active(const char *name, const struct member *member)
{
    const struct guest *guest = guest_find(name);

    if (!is_up(member))
        return false;
    return guest != NULL ? guest->member == member : is_service(name);
}

/* ---- events */

static void put_ebcdic(struct bytes *b, const char *name)
{
    static const char *const rows[] = {"ABCDEFGHI", "JKLMNOPQR", " STUVWXYZ"};
    static const struct {
        char ascii;
        unsigned char ebcdic;
    } others[] = {{'@', 0x7c}, {'#', 0x7b}, {'$', 0x5b}, {'+', 0x4e},
                  {'-', 0x60}, {':', 0x7a}, {'_', 0x6d}};
    unsigned char text[NAME_MAX_8];

    memset(text, 0x40, sizeof(text));
    for (size_t i = 0; name[i] != '\0' && i < sizeof(text); i++) {
        if (isdigit((unsigned char)name[i]))
            text[i] = (unsigned char)(0xf0 + name[i] - '0');
        for (unsigned row = 0; row < 3; row++) {
            const char *at = strchr(rows[row], name[i]);
            if (at != NULL && name[i] != ' ')
                text[i] = (unsigned char)(0xc1 + 0x10 * row + (unsigned)(at - rows[row]));
        }
        for (size_t k = 0; k < sizeof(others) / sizeof(others[0]); k++)
            if (others[k].ascii == name[i])
                text[i] = others[k].ebcdic;
    }
    bytes_add(b, text, sizeof(text));
}

/* Length, event type 0, class, type, user id, and the other system or a reason. */
static void tell(const struct member *member, unsigned type, const struct move *move)
{
    struct bytes body = {0}, event = {0};
    const unsigned char class_and_type[4] = {0, 0, 0, (unsigned char)type};
    const unsigned char reason = REASON_ENDED;

    bytes_u32(&body, 0);
    bytes_add(&body, class_and_type, sizeof(class_and_type));
    put_ebcdic(&body, move->guest->name);
    if (type >= OUT_TERMINATED)
        bytes_add(&body, &reason, sizeof(reason));
    else
        put_ebcdic(&body, member == move->from ? move->to->name : move->from->name);
    bytes_u32(&event, (uint32_t)body.n);
    bytes_add(&event, body.at, body.n);
    events_send(member, event.at, event.n);
    bytes_done(&body);
    bytes_done(&event);
}

/* ---- moves */

struct move *move_of(const struct guest *guest)
{
    struct move *move = sim.moves;

    while (move != NULL && move->guest != guest)
        move = move->next;
    return move;
}

void move_begin(struct guest *guest, struct member *to, const char *by, int64_t max_total,
                int64_t max_quiesce, struct op *op)
{
    struct move *move = must_alloc(sizeof(*move));

    *move = (struct move){
        .guest = guest,
        .from = guest->member,
        .to = to,
        .began_at = sim.now,
        .ends_at = sim.now + (guest->duration >= 0 ? guest->duration : sim.duration),
        .max_total = max_total,
        .max_quiesce = max_quiesce,
        .op = op,
        .next = sim.moves,
    };
    snprintf(move->by, sizeof(move->by), "%s", by);
    sim.moves = move;
    guest->begun++;
    tell(move->from, OUT_STARTED, move);
    tell(move->to, IN_STARTED, move);
    say("move of %s from %s to %s begins", guest->name, move->from->name, to->name);
    cluster_check(&sim.broken);
}

static void take_out(struct move *move)
{
    struct move **at = &sim.moves;

    while (*at != move)
        at = &(*at)->next;
    *at = move->next;
}

void move_complete(struct move *move)
{
    take_out(move);
    move->guest->member = move->to;
    move->guest->completed++;
    tell(move->from, OUT_COMPLETED, move);
    tell(move->to, IN_COMPLETED, move);
    say("move of %s to %s is complete", move->guest->name, move->to->name);
    cluster_check(&sim.broken);
    op_finish(move->op, 0, 0, NULL, 0);
    free(move);
}

void move_cancel(struct move *move, const char *number)
{
    take_out(move);
    move->guest->cancelled++;
    tell(move->from, OUT_TERMINATED, move);
    tell(move->to, IN_TERMINATED, move);
    say("move of %s to %s is cancelled: %s", move->guest->name, move->to->name, number);
    cluster_check(&sim.broken);
    op_finish_text(move->op, 8, 3000, number);
    free(move);
}

/* When this move comes to its end, one way or the other. */
static int64_t due_at(const struct move *move)
{
    int64_t limit_at = move->began_at + move->max_total;

    return move->max_total != NO_LIMIT && limit_at < move->ends_at ? limit_at : move->ends_at;
}

int64_t cluster_tick(void)
{
    int64_t next_at = -1;

    for (struct move *move = sim.moves, *next; move != NULL; move = next) {
        int64_t at = due_at(move);
        next = move->next;
        if (at > sim.now) {
            next_at = next_at < 0 || at < next_at ? at : next_at;
            continue;
        }
        if (at < move->ends_at)
            move_cancel(move, HCP_MAX_TOTAL);
        else if (move->max_quiesce != NO_LIMIT && move->guest->quiesce > move->max_quiesce)
            move_cancel(move, HCP_MAX_QUIESCE);
        else
            move_complete(move);
    }
    return next_at;
}

/* ---- what must always be true */

void cluster_check(struct bytes *out)
{
    for (const struct guest *guest = sim.guests; guest != NULL; guest = guest->next) {
        unsigned active = 0, moves = 0;
        unsigned wanted = guest->member != NULL && is_up(guest->member) ? 1 : 0;
        for (size_t i = 0; i < sim.n_members; i++)
            active += is_active(guest->name, &sim.members[i]);
        for (const struct move *move = sim.moves; move != NULL; move = move->next)
            moves += move->guest == guest;
        if (active != wanted)
            bytes_printf(out, "%s is active on %u members\n", guest->name, active);
        if (moves > 1)
            bytes_printf(out, "%s is moved %u times at once\n", guest->name, moves);
        if (guest->begun != guest->completed + guest->cancelled + moves)
            bytes_printf(out, "%s: %u moves begun, %u completed, %u cancelled, %u run\n",
                         guest->name, guest->begun, guest->completed, guest->cancelled, moves);
    }
}

void cluster_done(void)
{
    while (sim.guests != NULL) {
        struct guest *guest = sim.guests;
        sim.guests = guest->next;
        while (guest->unfit != NULL) {
            struct unfit *unfit = guest->unfit;
            guest->unfit = unfit->next;
            free(unfit);
        }
        free(guest);
    }
    while (sim.moves != NULL) {
        struct move *move = sim.moves;
        sim.moves = move->next;
        free(move);
    }
    while (sim.users != NULL) {
        struct user *user = sim.users;
        sim.users = user->next;
        free(user);
    }
    bytes_done(&sim.requests);
    bytes_done(&sim.violations);
    bytes_done(&sim.broken);
}
