/* planned.c - plans of evacuations that are kept under a number: made, shown, and compared with how things are */
#include "broker/planned.h"

#include "broker/instance.h"
#include "broker/inventory.h"
#include "broker/job.h"
#include "broker/joint.h"
#include "store/record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { RECORD_ROOM = 4 * STORE_PAGE }; /* what a plan takes in the store besides its own bytes */

/* ---- kept */

/* Of the plans that there are: numbers, the oldest first, and bytes. */
struct kept {
    uint64_t ids[PLANS_MAX];
    uint64_t bytes[PLANS_MAX];
    size_t n;
    uint64_t all;
};

static int add_kept(void *ctx, const ProtobufCMessage *record)
{
    struct kept *kept = ctx;

    if (kept->n == PLANS_MAX)
        return 1;
    kept->ids[kept->n] = ((const RmPlan *)record)->id;
    kept->bytes[kept->n] = protobuf_c_message_get_packed_size(record);
    kept->all += kept->bytes[kept->n++];
    return 0;
}

/* The oldest go until there is room for one more of so many bytes. */
static void make_room(struct core *core, uint64_t bytes)
{
    struct kept *kept = must(calloc(1, sizeof(*kept)));

    core_check_write(
        core,
        record_walk_ids(core->store, STORE_PLAN, 0, UINT64_MAX, /* down = */ false, add_kept, kept),
        "plan");
    for (size_t i = 0;
         i < kept->n && (kept->n - i >= PLANS_MAX || kept->all + bytes > PLANS_BYTES_MAX); i++) {
        core_check_write(core, record_plan_delete(core->store, kept->ids[i]), "plan");
        kept->all -= kept->bytes[i];
    }
    free(kept);
}

static void count_steps(RmPlan *plan)
{
    for (size_t i = 0; i < plan->n_outcomes; i++) {
        const RmOutcome *outcome = plan->outcomes[i];
        plan->moves += outcome->step != 0 || outcome->waits;
        plan->room += *outcome->room_for != '\0';
        plan->left += !outcome->ok && *outcome->guest != '\0';
    }
}

void planned_keep(struct core *core, struct request *request, const struct submission *sub)
{
    RmReply *reply = request->reply;
    RmPlan plan = RM_PLAN__INIT;

    plan.made_at = core->wall;
    plan.made_by = (char *)request->peer->user;
    plan.command = request->message->command;
    plan.asked = request->message->evacuate;
    for (size_t i = 0; i < sub->n_never; i++)
        CORE_PUSH(core, plan.n_hosts, plan.hosts, sub->never[i]->rec->name);
    plan.to = sub->to_names;
    plan.n_to = sub->n_to;
    plan.outcomes = reply->outcomes;
    plan.n_outcomes = reply->n_outcomes;
    count_steps(&plan);
    if (plan.moves == 0)
        return;
    uint64_t bytes = rm_plan__get_packed_size(&plan);
    if (bytes > PLANS_BYTES_MAX || store_claim(core->store, 2 * bytes + RECORD_ROOM, NULL) < 0) {
        CORE_PUSH(core, reply->n_warnings, reply->warnings,
                  core_strdup(core, "the plan is not kept: the store has no room for it"));
        return;
    }
    make_room(core, bytes);
    int r = record_next_id(core->store, 1, &plan.id);
    core_check_write(core, r < 0 ? r : record_plan_put(core->store, &plan), "plan");
    reply->plan = plan.id;
}

RmPlan *planned_find(struct core *core, struct request *request, uint64_t id)
{
    RmPlan *plan;
    int r = record_plan_get(core->store, id, core->arena, &plan);

    if (r >= 0 && plan->asked)
        return plan;
    if (r == -ENOENT)
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED,
                       "there is no plan %llu: rmigrate plans lists those that are kept",
                       (unsigned long long)id);
    else
        request_refuse(core, request, RM_CODE__CODE_SOME_FAILED, "plan %llu cannot be read: %s",
                       (unsigned long long)id, r < 0 ? strerror(-r) : "it is damaged");
    return NULL;
}

void planned_applied(struct core *core, RmPlan *plan, const char *who, uint64_t batch)
{
    plan->batch = batch;
    plan->applied_at = core->wall;
    plan->applied_by = core_strdup(core, who);
    core_check_write(core, record_plan_put(core->store, plan), "plan");
}

/* ---- what became of them */

/* A host, and the newest batch that carries out a plan for it. */
struct applied {
    char *host; /* owned */
    uint64_t batch, plan;
    UT_hash_handle hh;
};

static int add_applied(void *ctx, const ProtobufCMessage *record)
{
    struct applied **all = ctx, *one;
    const RmPlan *plan = (const RmPlan *)record;

    for (size_t i = 0; i < plan->n_hosts && plan->batch != 0; i++) {
        HASH_FIND_STR(*all, plan->hosts[i], one);
        if (!one) {
            one = must(calloc(1, sizeof(*one)));
            one->host = must(strdup(plan->hosts[i]));
            HASH_ADD_KEYPTR(hh, *all, one->host, strlen(one->host), one);
        }
        if (plan->batch > one->batch) {
            one->batch = plan->batch;
            one->plan = plan->id;
        }
    }
    return 0;
}

static struct applied *find_applied(struct core *core)
{
    struct applied *all = NULL;

    core_check_write(core,
                     record_walk_ids(core->store, STORE_PLAN, 0, UINT64_MAX, /* down = */ false,
                                     add_applied, &all),
                     "plan");
    return all;
}

static void free_applied(struct applied *all)
{
    struct applied *one, *next;

    HASH_ITER (hh, all, one, next) {
        HASH_DEL(all, one);
        free(one->host);
        free(one);
    }
}

/* Numbers come from one counter: a batch with a greater one was made after the plan. */
static void tell_state(struct core *core, const struct applied *all, RmPlan *plan)
{
    const usec_t most = (usec_t)PLAN_HOURS * 3600 * USEC_PER_SEC;

    plan->overtaken_by = 0;
    for (size_t i = 0; i < plan->n_hosts && plan->batch == 0; i++) {
        struct applied *one;
        HASH_FIND_STR(all, plan->hosts[i], one);
        if (one && one->batch > plan->id && one->plan > plan->overtaken_by)
            plan->overtaken_by = one->plan;
    }
    plan->old = plan->batch == 0 && core->wall > plan->made_at && core->wall - plan->made_at > most;
}

const char *planned_over(struct core *core, const RmPlan *plan)
{
    struct applied *all = find_applied(core);
    RmPlan told = *plan;

    tell_state(core, all, &told);
    free_applied(all);
    if (told.batch != 0)
        return core_printf(core, "was applied already, by %s: rmigrate watch %llu", told.applied_by,
                           (unsigned long long)told.batch);
    if (told.overtaken_by != 0)
        return core_printf(core, "is overtaken: plan %llu was applied to the same hosts since",
                           (unsigned long long)told.overtaken_by);
    return told.old ? core_printf(core, "is older than %d hours", PLAN_HOURS) : NULL;
}

/* ---- shown */

struct plan_list {
    struct core *core;
    struct request *request;
    const struct applied *applied;
};

static void push_plan(struct plan_list *list, const RmPlan *plan)
{
    RmPlan brief = *plan;
    RmReply *reply = list->request->reply;

    brief.n_outcomes = 0;
    brief.outcomes = NULL;
    tell_state(list->core, list->applied, &brief);
    ProtobufCMessage *copy = msg_copy(list->core->arena, &brief.base);
    if (!copy || ARENA_PUSH(list->core->arena, reply->n_plans, reply->plans, copy) < 0)
        request_refuse(list->core, list->request, RM_CODE__CODE_TRY_AGAIN,
                       "the answer is too long");
}

static int list_plan(void *ctx, const ProtobufCMessage *record)
{
    push_plan(ctx, (const RmPlan *)record);
    return 0;
}

void planned_request(struct core *core, struct request *request)
{
    const RmListPlans *ask = request->message->plans;
    struct applied *applied = find_applied(core);
    struct plan_list list = {core, request, applied};
    RmPlan *plan;

    if (ask->plan == 0) {
        core_check_write(core,
                         record_walk_ids(core->store, STORE_PLAN, 0, UINT64_MAX, /* down = */ true,
                                         list_plan, &list),
                         "plan");
    } else if ((plan = planned_find(core, request, ask->plan))) {
        if (*request->message->page == '\0')
            push_plan(&list, plan);
        request->reply->outcomes = plan->outcomes;
        request->reply->n_outcomes = plan->n_outcomes;
        request->reply->plan = plan->id;
        if (request->message->pages)
            page_cut(core, request->message->page, request->reply);
    }
    free_applied(applied);
}

/* ---- compared */

/* A plan on its way to a submission. */
struct filling {
    struct core *core;
    struct request *request;
    const RmPlan *plan;
    struct submission *sub;
    struct place_ask *leave; /* those that leave now, by guest; owned */
    size_t n_leave;
    bool *met;               /* of each of them: the plan has it; owned */
    const RmOutcome **steps; /* by number; owned */
    const RmOutcome **said;  /* of the reply, by name: why some cannot leave; owned */
    size_t n_said;
};

__attribute__((format(printf, 4, 5))) static void changed(struct filling *filling, const char *name,
                                                          bool is_host, const char *format, ...)
{
    struct core *core = filling->core;
    RmReply *reply = filling->request->reply;
    RmOutcome *change = core_alloc(core, sizeof(*change));
    va_list args;

    rm_outcome__init(change);
    va_start(args, format);
    change->text = arena_vprintf(core->arena, format, args);
    va_end(args);
    change->name = core_strdup(core, name);
    if (is_host)
        change->host = change->name;
    else
        change->guest = change->name;
    if (!change->text || ARENA_PUSH(core->arena, reply->n_changes, reply->changes, change) < 0)
        request_refuse(core, filling->request, RM_CODE__CODE_TRY_AGAIN, "the answer is too long");
}

void planned_changed(struct core *core, struct request *request, const RmPlan *plan,
                     const char *text)
{
    struct filling filling = {.core = core, .request = request};

    changed(&filling, core_printf(core, "plan %llu", (unsigned long long)plan->id), true, "%s",
            text);
}

static int by_guest(const void *a, const void *b)
{
    const struct place_ask *x = a, *y = b;

    return x->guest < y->guest ? -1 : x->guest > y->guest;
}

static int by_name(const void *a, const void *b)
{
    const RmOutcome *x = *(const RmOutcome *const *)a, *y = *(const RmOutcome *const *)b;

    return strcmp(x->name, y->name);
}

/* What the broker says of a guest that cannot leave; NULL: nothing. */
static const RmOutcome *said_of(const struct filling *filling, const char *name)
{
    RmOutcome key = RM_OUTCOME__INIT;
    const RmOutcome *wanted = &key;

    key.name = (char *)name;
    const RmOutcome **at =
        bsearch(&wanted, filling->said, filling->n_said, sizeof(*filling->said), by_name);
    return at ? *at : NULL;
}

static struct place_ask *leaving(const struct filling *filling, const struct guest *guest)
{
    const struct place_ask key = {.guest = (struct guest *)guest};

    return guest ? bsearch(&key, filling->leave, filling->n_leave, sizeof(key), by_guest) : NULL;
}

/* A guest of the plan is not there as it was. */
static void say_missing(struct filling *filling, const RmOutcome *step)
{
    const struct guest *guest = guest_find(filling->core, step->name);
    const RmOutcome *said = said_of(filling, step->name);
    char why[600] = "";
    const struct host *at = guest ? inventory_where(filling->core, guest, why, sizeof(why)) : NULL;

    if (said)
        changed(filling, step->name, false, "%s", said->text);
    else if (guest && guest->job)
        changed(filling, step->name, false, "job %llu moves it",
                (unsigned long long)guest->job->id);
    else if (at && strcmp(at->rec->name, step->source) != 0)
        changed(filling, step->name, false, "is on %s, not on %s", at->rec->name, step->source);
    else if (at && *step->room_for != '\0')
        changed(filling, step->name, false, "cannot be moved from %s to make room any more",
                step->source);
    else
        changed(filling, step->name, false, "does not run on %s any more%s%s", step->source,
                *why != '\0' ? ": " : "", why);
}

/* Which steps come before it. False: the record is damaged. */
static bool set_after(struct filling *filling, const RmOutcome *step, struct place_ask *ask)
{
    struct core *core = filling->core;

    ask->after = core_alloc(core, (step->n_after + 1) * sizeof(struct guest *));
    ask->after_steps = core_alloc(core, (step->n_after + 1) * sizeof(uint32_t));
    for (size_t i = 0; i < step->n_after; i++) {
        uint32_t number = step->after[i];
        const RmOutcome *before = number > 0 && number < step->step ? filling->steps[number] : NULL;
        if (!before || *before->room_for == '\0')
            return false;
        struct guest *guest = guest_find(core, before->name);
        if (!guest)
            continue; /* which is named as changed */
        ask->after[ask->n_after] = guest;
        ask->after_steps[ask->n_after++] = number;
    }
    return true;
}

/* An ask for the step, with the place that the plan has for it. False: the record is damaged. */
static bool add_step(struct filling *filling, const RmOutcome *step)
{
    struct core *core = filling->core;
    struct submission *sub = filling->sub;
    struct place_ask *ask = &sub->asks[sub->n_asks];
    struct guest *guest = guest_find(core, step->name);
    struct host *source = host_find(core, step->source);
    bool is_room = *step->room_for != '\0';
    const struct place_ask *leaves = is_room ? NULL : leaving(filling, guest);

    if (leaves) {
        filling->met[leaves - filling->leave] = true;
        *ask = *leaves;
    }
    if (leaves ? leaves->source != source
               : !is_room || !guest || !source || !host_link_is_up(&source->link) ||
                     !submission_may_make_room(core, sub, guest, source, ask)) {
        say_missing(filling, step);
        return true;
    }
    ask->may_wait = step->waits;
    if (!step->waits && !(ask->chosen = host_find(core, step->destination))) {
        changed(filling, step->destination, true, "is no hypervisor any more");
        return true;
    }
    ask->usable = true;
    ask->step = step->step;
    if (is_room && !(ask->room_for = guest_find(core, step->room_for))) {
        changed(filling, step->room_for, false, "is not there any more");
        return true;
    }
    if (*step->rule != '\0')
        ask->rule = step->rule;
    sub->n_asks++;
    return set_after(filling, step, ask);
}

/* It had no place when the plan was made, and is left as the plan said. */
static void leave_there(struct filling *filling, const RmOutcome *left)
{
    const struct place_ask *ask = leaving(filling, guest_find(filling->core, left->name));

    if (!ask || filling->met[ask - filling->leave])
        return;
    filling->met[ask - filling->leave] = true;
    request_outcome(filling->core, filling->request, left->name, false, "%s", left->text);
}

/* False: two steps have one number, or one has none that it could have. */
static bool number_steps(struct filling *filling)
{
    const RmPlan *plan = filling->plan;

    for (size_t i = 0; i < plan->n_outcomes; i++) {
        uint32_t step = plan->outcomes[i]->step;
        if (step > plan->n_outcomes || (step > 0 && filling->steps[step]))
            return false;
        filling->steps[step] = step > 0 ? plan->outcomes[i] : NULL;
    }
    return true;
}

static bool add_steps(struct filling *filling)
{
    const RmPlan *plan = filling->plan;
    bool sound = number_steps(filling);

    for (size_t i = 0; i < plan->n_outcomes && sound; i++) {
        const RmOutcome *outcome = plan->outcomes[i];
        if (outcome->step > 0 || outcome->waits)
            sound = add_step(filling, outcome);
        else if (!outcome->ok && *outcome->guest != '\0')
            leave_there(filling, outcome);
    }
    if (!sound)
        request_refuse(filling->core, filling->request, RM_CODE__CODE_SOME_FAILED,
                       "plan %llu cannot be read: it is damaged", (unsigned long long)plan->id);
    return sound;
}

/* Hosts that are not there explain themselves; who else is there, and has no place in the plan? */
static void look_at_hosts(struct filling *filling)
{
    const RmPlan *plan = filling->plan;

    for (size_t i = 0; i < plan->n_hosts; i++)
        if (!host_find(filling->core, plan->hosts[i]))
            changed(filling, plan->hosts[i], true, "is no hypervisor any more");
    for (size_t i = 0; i < filling->n_leave; i++)
        if (!filling->met[i])
            changed(filling, filling->leave[i].guest->rec->name, false,
                    "is on %s, and the plan does not know it", filling->leave[i].source->rec->name);
}

static void look_at_places(struct filling *filling)
{
    struct core *core = filling->core;
    const struct submission *sub = filling->sub;
    struct host *closed = NULL;
    char why[600];

    if (place_joint_again(core, sub->asks, sub->n_asks) == 0)
        return;
    for (size_t i = 0; i < sub->n_asks; i++) {
        struct place_ask *ask = &sub->asks[i];
        if (*ask->why == '\0')
            continue;
        if (place_usable(core, ask->chosen, why, sizeof(why)))
            changed(filling, ask->guest->rec->name, false, "%s", ask->why);
        else if (ask->chosen != closed) /* once for those that follow one another */
            changed(filling, ask->chosen->rec->name, true, "guests cannot go there: %s", why);
        closed = ask->chosen;
    }
}

bool planned_fill(struct core *core, struct request *request, const RmPlan *plan,
                  struct submission *sub)
{
    RmReply *reply = request->reply;
    struct filling filling = {.core = core,
                              .request = request,
                              .plan = plan,
                              .sub = sub,
                              .leave = sub->asks,
                              .n_leave = sub->n_asks,
                              .n_said = reply->n_outcomes};

    filling.met = must(calloc(sub->n_asks + 1, sizeof(*filling.met)));
    filling.steps = must(calloc(plan->n_outcomes + 1, sizeof(*filling.steps)));
    filling.said = must(calloc(reply->n_outcomes + 1, sizeof(*filling.said)));
    for (size_t i = 0; i < reply->n_outcomes; i++)
        filling.said[i] = reply->outcomes[i];
    qsort(filling.said, filling.n_said, sizeof(*filling.said), by_name);
    if (sub->n_asks > 0)
        qsort(sub->asks, sub->n_asks, sizeof(*sub->asks), by_guest);
    sub->asks = must(calloc(plan->n_outcomes + 1, sizeof(*sub->asks)));
    sub->n_asks = 0;
    bool sound = add_steps(&filling);
    if (sound) {
        look_at_hosts(&filling);
        look_at_places(&filling);
    }
    free(filling.said);
    free(filling.steps);
    free(filling.met);
    free(filling.leave);
    return sound && reply->n_changes == 0;
}
