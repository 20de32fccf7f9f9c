/* functions.c - what each SMAPI function does in the simulated cluster */
#include "sim.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RS_TEST_OR_MOVE = 3000,
    RS_NO_RELOCATION = 3001,
    RS_OPERAND = 3003,
    RS_MISSING = 3004,
    RS_UNSTABLE = 3006,
    RS_NO_SSI = 3008,
    RS_REPAIR = 3009,
    RS_MODIFY = 3010,
    RS_NOT_ACTIVE = 12,
    RS_NOT_LOGGED_ON = 12,
    RS_NO_DOMAIN = 1821,
    FORCE_MAX = 27,               /* bytes */
    SLOTS = 4,                    /* that a cluster shows, with or without a system */
    MAX_DIGITS = 8,               /* of max_total and max_quiesce */
    DEFAULT_QUIESCE_MSEC = 10000, /* when not immediate */
};

const char *request_key(const struct request *request, const char *key)
{
    for (size_t i = 0; i < request->n_keys; i++)
        if (strcmp(request->keys[i].key, key) == 0)
            return request->keys[i].value;
    return NULL;
}

/* A value that is empty stands for the default. */
static const char *key_or(const struct request *request, const char *key, const char *otherwise)
{
    const char *value = request_key(request, key);

    return value != NULL && value[0] != '\0' ? value : otherwise;
}

static bool is_one_of(const char *value, const char *one, const char *other)
{
    return strcmp(value, one) == 0 || strcmp(value, other) == 0;
}

const char *request_action(const struct request *request)
{
    return strcmp(request->name, "VMRELOCATE") == 0 ? key_or(request, "action", "TEST") : NULL;
}

/* Is the system of this request one of an SSI cluster that works? Else it is answered. */
static bool is_in_ssi(struct op *op, const struct member *member)
{
    if (member->mode == MODE_NOSSI || member->mode == MODE_REPAIR)
        op_finish(op, 8, RS_NO_SSI, NULL, 0);
    return member->mode != MODE_NOSSI && member->mode != MODE_REPAIR;
}

/* ---- VMRELOCATE */

static const char *const relocate_keys[] = {"destination", "action",      "force", "immediate",
                                            "max_total",   "max_quiesce", NULL};

static bool is_force(const char *words)
{
    static const char *const known[] = {"ARCHITECTURE", "DOMAIN", "STORAGE"};

    if (strlen(words) > FORCE_MAX)
        return false;
    while (*words != '\0') {
        size_t n = strcspn(words, " ");
        bool found = n == 0;
        for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
            found = found || (strlen(known[i]) == n && memcmp(known[i], words, n) == 0);
        if (!found)
            return false;
        words += n + (words[n] == ' ');
    }
    return true;
}

/* NOLIMIT, or 1 to 99999999 seconds. */
static bool read_limit(const char *text, int64_t *ret_msec)
{
    size_t n = strspn(text, "0123456789");

    if (strcmp(text, "NOLIMIT") == 0) {
        *ret_msec = NO_LIMIT;
        return true;
    }
    if (n == 0 || n > MAX_DIGITS || text[n] != '\0' || atoll(text) == 0)
        return false;
    *ret_msec = atoll(text) * 1000;
    return true;
}

struct relocation {
    const char *destination, *action, *force;
    int64_t max_total, max_quiesce;
};

/* The operands, with their defaults. False: it was answered. */
static bool read_relocation(struct op *op, const struct request *request,
                            struct relocation *relocation)
{
    const char *immediate = key_or(request, "immediate", "NO");
    bool yes = strcmp(immediate, "YES") == 0;
    const char *action = key_or(request, "action", "TEST");
    char name[NAME_MAX_8 + 1];
    bool good = is_one_of(immediate, "YES", "NO");

    relocation->action = action;
    relocation->destination = key_or(request, "destination", NULL);
    relocation->force = key_or(request, "force", "");
    relocation->max_total = NO_LIMIT;
    relocation->max_quiesce = yes ? NO_LIMIT : DEFAULT_QUIESCE_MSEC;
    if (strcmp(action, "CANCEL") == 0)
        return true; /* whatever else is given */
    good = good && is_force(relocation->force);
    good = good && read_limit(key_or(request, "max_total", "NOLIMIT"), &relocation->max_total);
    if (key_or(request, "max_quiesce", NULL) != NULL)
        good = good && read_limit(request_key(request, "max_quiesce"), &relocation->max_quiesce);
    good = good && is_one_of(action, "MOVE", "TEST");
    if (relocation->destination != NULL)
        good = good && read_name(name, relocation->destination);
    if (!good)
        op_finish(op, 8, RS_OPERAND, NULL, 0);
    else if (relocation->destination == NULL)
        op_finish(op, 8, RS_MISSING, NULL, 0);
    else
        return true;
    return false;
}

static bool has_word(const char *words, const char *word)
{
    size_t n = strlen(word);

    for (const char *at = words; (at = strstr(at, word)) != NULL; at += n)
        if ((at == words || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\0'))
            return true;
    return false;
}

/* The numbers of all that stands against the move, separated by blanks; empty: nothing. */
static void find_unfit(const struct guest *guest, const struct relocation *relocation,
                       struct bytes *numbers)
{
    bytes_printf(numbers, "%s", "");
    for (const struct unfit *unfit = guest->unfit; unfit != NULL; unfit = unfit->next) {
        if (strcmp(unfit->destination, "*") != 0 &&
            strcmp(unfit->destination, relocation->destination) != 0)
            continue;
        if (unfit->force[0] != '\0' && has_word(relocation->force, unfit->force))
            continue;
        bytes_printf(numbers, "%s%s", numbers->n > 0 ? " " : "", unfit->numbers);
    }
}

/* What stands against any move there, before the guest itself is looked at; NULL: nothing. */
static const char *find_obstacle(const char *target, const struct relocation *relocation,
                                 const struct member *member)
{
    const struct guest *guest = guest_find(target);
    const struct member *to = member_find(relocation->destination);

    if (is_service(target))
        return HCP_SERVICE_USER;
    if (guest == NULL || guest->member != member)
        return HCP_NOT_LOGGED_ON;
    if (move_of(guest) != NULL)
        return HCP_MOVING_ALREADY;
    if (to == NULL || to->mode == MODE_NOSSI || to->mode == MODE_REPAIR)
        return HCP_UNKNOWN_MEMBER;
    if (to == member)
        return HCP_SAME_MEMBER;
    if (guest->relocation_off)
        return HCP_RELOCATION_OFF;
    return is_up(to) ? NULL : HCP_MEMBER_DOWN;
}

static void run_cancel(struct op *op, const struct request *request, const struct member *member)
{
    const struct guest *guest = guest_find(request->target);
    struct move *move = guest != NULL ? move_of(guest) : NULL;

    if (move == NULL || move->from != member) {
        op_finish_text(op, 8, RS_TEST_OR_MOVE, HCP_NO_RELOCATION);
        return;
    }
    move_cancel(move, HCP_CANCELLED);
    op_finish(op, 0, 0, NULL, 0);
}

static void run_relocate(struct op *op, const struct request *request, struct member *member)
{
    struct relocation relocation = {0};
    struct bytes numbers = {0};
    const char *obstacle;
    bool moves;

    if (!is_in_ssi(op, member) || !read_relocation(op, request, &relocation))
        return;
    if (strcmp(relocation.action, "CANCEL") == 0) {
        run_cancel(op, request, member);
        return;
    }
    if (member->mode == MODE_UNSTABLE) {
        op_finish(op, 8, RS_UNSTABLE, NULL, 0);
        return;
    }
    moves = strcmp(relocation.action, "MOVE") == 0;
    obstacle = find_obstacle(request->target, &relocation, member);
    if (obstacle != NULL)
        bytes_printf(&numbers, "%s", obstacle);
    else
        find_unfit(guest_find(request->target), &relocation, &numbers);
    if (numbers.n > 0)
        op_finish_text(op, moves ? 8 : 4, RS_TEST_OR_MOVE, numbers.at);
    else if (moves)
        move_begin(guest_find(request->target), member_find(relocation.destination), op->userid,
                   relocation.max_total, relocation.max_quiesce, op);
    else
        op_finish(op, 0, 0, NULL, 0);
    bytes_done(&numbers);
}

/* ---- VMRELOCATE_Modify */

static const char *const modify_keys[] = {"max_total", "max_quiesce", NULL};

static void run_modify(struct op *op, const struct request *request, struct member *member)
{
    const char *total = key_or(request, "max_total", NULL);
    const char *quiesce = key_or(request, "max_quiesce", NULL);
    const struct guest *guest = guest_find(request->target);
    struct move *move = guest != NULL ? move_of(guest) : NULL;
    int64_t new_total = 0, new_quiesce = 0;

    if (!is_in_ssi(op, member))
        return;
    if ((total != NULL && !read_limit(total, &new_total)) ||
        (quiesce != NULL && !read_limit(quiesce, &new_quiesce))) {
        op_finish(op, 8, RS_OPERAND, NULL, 0);
    } else if (total == NULL && quiesce == NULL) {
        op_finish(op, 8, RS_MISSING, NULL, 0);
    } else if (move == NULL || move->from != member) {
        op_finish_text(op, 8, RS_MODIFY, HCP_NO_RELOCATION);
    } else {
        if (total != NULL)
            move->max_total = new_total;
        if (quiesce != NULL)
            move->max_quiesce = new_quiesce;
        op_finish(op, 0, 0, NULL, 0);
    }
}

/* ---- VMRELOCATE_Image_Attributes */

static const char *const attribute_keys[] = {"relocation_setting", "domain_name", "archforce",
                                             NULL};

/* Every member is a domain of its own, and SSI is the one of all. */
static bool is_domain(const char *name)
{
    return strcmp(name, "SSI") == 0 || strcmp(name, sim.ssi) == 0 || member_find(name) != NULL;
}

static void run_attributes(struct op *op, const struct request *request, struct member *member)
{
    const char *setting = key_or(request, "relocation_setting", "ON");
    const char *domain = key_or(request, "domain_name", "SSI");
    struct guest *guest = guest_find(request->target);

    if (!is_in_ssi(op, member))
        return;
    if (!is_one_of(setting, "ON", "OFF") ||
        !is_one_of(key_or(request, "archforce", "NO"), "YES", "NO")) {
        op_finish(op, 8, RS_OPERAND, NULL, 0);
    } else if (request->n_keys == 0) {
        op_finish(op, 8, RS_MISSING, NULL, 0);
    } else if (guest == NULL || guest->member != member) {
        op_finish(op, 8, RS_NOT_LOGGED_ON, NULL, 0);
    } else if (!is_domain(domain)) {
        op_finish(op, 8, RS_NO_DOMAIN, NULL, 0);
    } else {
        if (request_key(request, "relocation_setting") != NULL)
            guest->relocation_off = strcmp(setting, "OFF") == 0;
        op_finish(op, 0, 0, NULL, 0);
    }
}

/* ---- VMRELOCATE_Status */

static const char *const status_keys[] = {"status_target", NULL};

static void put_status(struct bytes *out, const struct move *move)
{
    int64_t elapsed = (sim.now - move->began_at) / 1000;
    bool has_word = sim.status_word[0] != '\0';

    bytes_printf(out, "%s %s %s %s %02d:%02d:%02d%s%s", move->guest->name, move->from->name,
                 move->to->name, move->by, (int)(elapsed / 3600 % 100), (int)(elapsed / 60 % 60),
                 (int)(elapsed % 60), has_word ? " " : "", sim.status_word);
    bytes_add(out, "", 1);
}

static void run_status(struct op *op, const struct request *request, struct member *member)
{
    const char *target = key_or(request, "status_target", "ALL");
    bool in = strcmp(target, "INCOMING") == 0, out = strcmp(target, "OUTGOING") == 0;
    bool all = strcmp(target, "ALL") == 0;
    char name[NAME_MAX_8 + 1] = "";
    struct bytes list = {0};

    if (!is_in_ssi(op, member))
        return;
    if (!in && !out && !all && (strncmp(target, "USER ", 5) != 0 || !read_name(name, target + 5))) {
        op_finish(op, 8, RS_OPERAND, NULL, 0);
        return;
    }
    for (const struct move *move = sim.moves; move != NULL; move = move->next)
        if ((move->from == member && !in) || (move->to == member && !out))
            if (name[0] == '\0' || strcmp(name, move->guest->name) == 0)
                put_status(&list, move);
    if (list.n > 0)
        op_finish(op, 0, 0, list.at, list.n);
    else
        op_finish(op, 4, RS_NO_RELOCATION, NULL, 0);
    bytes_done(&list);
}

/* ---- Image_Status_Query */

static void put_name(struct bytes *array, const char *name)
{
    bytes_u32(array, (uint32_t)strlen(name));
    bytes_add(array, name, strlen(name));
}

static void run_image_status(struct op *op, const struct request *request, struct member *member)
{
    bool every = strcmp(request->target, "*") == 0;
    struct bytes array = {0}, data = {0};

    if (!every && !is_active(request->target, member)) {
        op_finish(op, 0, RS_NOT_ACTIVE, NULL, 0);
        return;
    }
    if (every) {
        for (size_t i = 0; service_name(i) != NULL; i++)
            put_name(&array, service_name(i));
        for (const struct guest *guest = sim.guests; guest != NULL; guest = guest->next)
            if (is_active(guest->name, member))
                put_name(&array, guest->name);
    } else {
        put_name(&array, request->target);
    }
    bytes_u32(&data, (uint32_t)array.n);
    bytes_add(&data, array.at, array.n);
    op_finish(op, 0, 0, data.at, data.n);
    bytes_done(&array);
    bytes_done(&data);
}

/* ---- SSI_Query */

static void put_string(struct bytes *out, const char *text)
{
    bytes_add(out, text, strlen(text) + 1);
}

static void run_ssi_query(struct op *op, const struct request *request, struct member *member)
{
    struct bytes list = {0};
    char heartbeat[32];
    time_t now = time(NULL);

    (void)request;
    if (member->mode == MODE_NOSSI || member->mode == MODE_REPAIR) {
        op_finish(op, 4, member->mode == MODE_REPAIR ? RS_REPAIR : RS_NO_SSI, NULL, 0);
        return;
    }
    put_string(&list, sim.ssi);
    put_string(&list, member->mode == MODE_UNSTABLE ? "Influx" : "Stable");
    put_string(&list, "Enabled");
    put_string(&list, "VMCOM1 on 01F0");
    strftime(heartbeat, sizeof(heartbeat), "%m/%d/%Y_%H:%M:%S", gmtime(&now));
    for (size_t i = 0; i < sim.n_members || i < SLOTS; i++) {
        const struct member *other = &sim.members[i];
        if (i >= sim.n_members)
            bytes_printf(&list, "%zu -------- Available", i + 1);
        else if (is_up(other))
            bytes_printf(&list, "%zu %s Joined %s %s", i + 1, other->name, heartbeat, heartbeat);
        else
            bytes_printf(&list, "%zu %s Down", i + 1, other->name);
        bytes_add(&list, "", 1);
    }
    op_finish(op, 0, 0, list.at, list.n);
    bytes_done(&list);
}

/* ---- the rest */

static void run_check_authentication(struct op *op, const struct request *request,
                                     struct member *member)
{
    (void)request;
    (void)member;
    op_finish(op, 0, 0, NULL, 0);
}

/* The one parameter that is a number of 4 bytes. False: it was answered. */
static bool read_number(struct op *op, const struct request *request, uint32_t *ret_number)
{
    if (request->n_rest != 4) {
        if (op->conn != NULL)
            violation(op->conn, "24: %zu bytes where a number of 4 is expected", request->n_rest);
        op_finish(op, 24, (uint32_t)request->position * 100 + (request->n_rest < 4 ? 88 : 25), NULL,
                  0);
        return false;
    }
    *ret_number = read_u32(request->rest);
    return true;
}

/* The whole reply of an earlier request, from its request id on, is the data of this one's. */
static void run_recovery(struct op *op, const struct request *request, struct member *member)
{
    const struct op *old;
    uint32_t id;

    if (!read_number(op, request, &id))
        return;
    old = op_find(id);
    if (old == NULL || old == op || old->forgotten || old->member != member ||
        strcmp(old->userid, op->userid) != 0)
        op_finish(op, 4, 4, NULL, 0); /* there is no such request */
    else if (!old->done)
        op_finish(op, 4, 28, NULL, 0); /* there is nothing yet */
    else
        op_finish(op, 0, 0, old->reply.at, old->reply.n);
}

static void run_query_async(struct op *op, const struct request *request, struct member *member)
{
    const struct op *other;
    uint32_t id;

    if (!read_number(op, request, &id))
        return;
    other = op_find_async(id);
    if (other == NULL || other->member != member)
        op_finish(op, 4, 4, NULL, 0);
    else
        op_finish(op, 0, !other->finished ? 104 : other->async_rc == 0 ? 100 : 108, NULL, 0);
}

static void run_subscribe(struct op *op, const struct request *request, struct member *member)
{
    (void)request;
    (void)member;
    op->finished = true;
    if (op->conn != NULL)
        conn_subscribe(op->conn);
}

const struct function functions[] = {
    {"VMRELOCATE", true, relocate_keys, false, run_relocate},
    {"VMRELOCATE_Modify", true, modify_keys, false, run_modify},
    {"VMRELOCATE_Status", true, status_keys, false, run_status},
    {"VMRELOCATE_Image_Attributes", true, attribute_keys, false, run_attributes},
    {"Image_Status_Query", true, NULL, false, run_image_status},
    {"SSI_Query", true, NULL, false, run_ssi_query},
    {"Check_Authentication", false, NULL, false, run_check_authentication},
    {"Response_Recovery", true, NULL, true, run_recovery},
    {"Query_Asynchronous_Operation_DM", true, NULL, true, run_query_async},
    {"Event_Subscribe", true, NULL, false, run_subscribe},
};
const size_t n_functions = sizeof(functions) / sizeof(functions[0]);

const struct function *function_find(const char *name)
{
    for (size_t i = 0; i < n_functions; i++)
        if (strcmp(functions[i].name, name) == 0)
            return &functions[i];
    return NULL;
}
