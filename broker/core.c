/* core.c - one turn of the broker, and its start from the store */
#include "broker/core.h"

#include "broker/batch.h"
#include "broker/dispatch.h"
#include "broker/doubt.h"
#include "broker/emptied.h"
#include "broker/guest.h"
#include "broker/hold.h"
#include "broker/host.h"
#include "broker/host_query.h"
#include "broker/inventory.h"
#include "broker/job.h"
#include "broker/learned.h"
#include "broker/model.h"
#include "broker/names.h"
#include "broker/retention.h"
#include "broker/rules.h"
#include "broker/schedule.h"
#include "broker/session.h"
#include "broker/subscribe.h"
#include "broker/worker.h"
#include "store/record.h"
#include "store/tables/attr.h"
#include "store/tables/noderange.h"
#include "wire/bounds.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    TELL_ROOM = 4 * STORE_PAGE, /* what an event may take */
    JOURNAL_KEPT = 65536,       /* changes that subscribers can catch up with */
    TOKEN_KEEP_HOURS = 24, /* a request that is repeated later than this is carried out again */
    TOKEN_TRIM_MOST = 256, /* tokens forgotten in one turn */
};

/* ---- start */

static int start_host(void *ctx, const ProtobufCMessage *record)
{
    host_restore(ctx, must(msg_copy(NULL, record)));
    return 0;
}

static int start_guest(void *ctx, const ProtobufCMessage *record)
{
    guest_restore(ctx, must(msg_copy(NULL, record)));
    return 0;
}

/* What is live is collected first: a walk must not read other tables through its own view. */
struct live_list {
    RmLive **list;
    size_t n, room;
};

static int start_live(void *ctx, const ProtobufCMessage *record)
{
    struct live_list *live = ctx;

    *ARRAY_MUST_ADD(live->list, live->n, live->room) = must(msg_copy(NULL, record));
    return 0;
}

static void start_damaged(void *ctx, enum store_table table, const void *key, size_t length)
{
    (void)key;
    core_note(ctx, LOG_LEVEL_ERROR,
              "table=%s: a record of %zu key bytes is damaged (rmigrate-store check), ignoring",
              store_table_name(table), length);
}

static void start_job(struct core *core, RmLive *live)
{
    RmJob *ask;

    if (record_job_get(core->store, live->id, core->arena, &ask) >= 0) {
        job_restore(core, must(msg_copy(NULL, &ask->base)), live);
    } else {
        core_note(core, LOG_LEVEL_ERROR,
                  "job=%" PRIu64 ": what was asked cannot be read (rmigrate-store check), ignoring",
                  live->id);
        rm_live__free_unpacked(live, NULL);
    }
    arena_reset(core->arena);
}

static int start_jobs(struct core *core)
{
    struct live_list live = {0};
    int r = record_walk(core->store, STORE_LIVE, start_live, start_damaged, &live);

    for (size_t i = 0; i < live.n; i++)
        start_job(core, live.list[i]);
    free(live.list);
    return r;
}

/* An older broker kept what a job had left with the job. */
static void start_marks(struct core *core)
{
    for (struct guest *guest = core->guests; guest; guest = guest->hh.next) {
        RmResult *last;
        const char *left = guest->job ? guest->job->live.left : "";
        if (guest->rec->last_job != 0 && *left == '\0' &&
            record_result_get(core->store, guest->rec->last_job, core->arena, &last) == 0)
            left = last->left;
        if (*left != '\0')
            guest_mark_restore(core, guest, left);
        arena_reset(core->arena);
    }
}

/* Brings the names of guests up to date, and what inventories show with them. */
static void read_names(struct core *core)
{
    uint64_t ended = journal_newest(core->journal, CHANGE_BIT(CHANGE_JOB_ENDED));

    if (ended > core->names_read)
        names_job_ended(core);
    core->names_read = ended;
    if (names_tick(core))
        inventory_again(core);
}

/* Without tables: only whether it can be understood. Each request reads the tables itself. */
static int check_exclude(const struct conf_broker *conf, struct rm_err *err)
{
    struct noderange_site nobody = {.lenient = true};
    struct noderange range = {0};

    if (!conf->exclude_nodes)
        return 0;
    int r = noderange_expand(conf->exclude_nodes, &nobody, &range, err);
    noderange_done(&range);
    return r < 0 ? rm_prefix(err, r, "exclude_nodes") : 0;
}

static int new_attr(const struct conf_broker *conf, struct store *store,
                    struct attr_site **ret_attr, struct rm_err *err)
{
    int r = attr_new(store, conf->hierarchical_attrs, ret_attr, err);

    return r == -EINVAL ? rm_prefix(err, r, "hierarchical_attrs") : r;
}

int core_try(const struct conf_broker *conf, struct rm_err *err)
{
    struct attr_site *attr = NULL;
    int r = new_attr(conf, NULL, &attr, err);

    attr_free(attr);
    return r < 0 ? r : check_exclude(conf, err);
}

static int read_store(struct core *core)
{
    int r = record_walk(core->store, STORE_HOST, start_host, start_damaged, core);

    if (r >= 0)
        r = record_walk(core->store, STORE_GUEST, start_guest, start_damaged, core);
    if (r >= 0)
        r = hold_restore(core);
    if (r >= 0)
        r = start_jobs(core);
    if (r >= 0)
        start_marks(core);
    if (r >= 0)
        learned_restore(core);
    core->names = names_new();
    core->rules = rules_new();
    if (r >= 0)
        read_names(core);
    store_rest(core->store);
    return r >= 0 && core->turn.failed != 0 ? core->turn.failed : r;
}

int core_new(const struct conf_broker *conf, struct store *store, uint64_t epoch, usec_t now,
             usec_t wall, struct core **ret_core, struct rm_err *err)
{
    struct core *core = must(calloc(1, sizeof(*core)));

    core->conf = conf;
    core->store = store;
    core->epoch = epoch;
    core->now = core->started_at = now;
    core->wall = core->started_wall = wall;
    core->arena = must(arena_new(0));
    core->journal = journal_new(JOURNAL_KEPT);
    core->learned = learned_new();
    core_turn_drop(core);
    retention_begin(core);
    int r = new_attr(conf, store, &core->attr, err);
    if (r >= 0)
        r = check_exclude(conf, err);
    if (r >= 0) {
        r = read_store(core);
        if (r < 0)
            rm_fail(err, r, "cannot read the unfinished jobs from the store: %s", strerror(-r));
    }
    if (r < 0)
        core_free(core);
    else
        *ret_core = core;
    return r;
}

void core_free(struct core *core)
{
    if (!core)
        return;
    host_query_gone(core, NULL);
    subscribe_gone(core, NULL);
    dispatch_gone(core, NULL);
    inventory_free_all(core);
    job_free_all(core);
    batch_free_all(core);
    guest_free_all(core);
    host_free_all(core);
    hold_free(core);
    session_free_all(core);
    core_turn_drop(core);
    core_denials_drop(core);
    rules_free(core->rules);
    names_free(core->names);
    learned_free(core->learned);
    attr_free(core->attr);
    journal_free(core->journal);
    arena_free(core->arena);
    free(core);
}

/* ---- one turn */

void core_begin(struct core *core, usec_t now, usec_t wall)
{
    core_turn_drop(core);
    arena_reset(core->arena);
    core->now = now;
    core->wall = wall;
    store_keep_back(core->store, (uint64_t)HASH_COUNT(core->jobs.by_id) * JOB_END_ROOM);
}

/* Whoever waits for an answer hears what is too much; of a worker the log tells. */
static void refuse_unbounded(struct core *core, const struct net_peer *peer,
                             const RmMessage *message, const char *why)
{
    RmReply reply = RM_REPLY__INIT;

    if (message->body_case == RM_MESSAGE__BODY_REQUEST) {
        reply.code = RM_CODE__CODE_USAGE;
        reply.text = (char *)why;
        core_reply(core, peer, message->tag, &reply);
    } else {
        core_denied(core, peer->user, NULL, "%s: %s", msg_name(message), why);
    }
}

void core_input(struct core *core, const struct net_peer *peer, char *const *hosts,
                RmMessage *message)
{
    struct rm_err err = {0};

    arena_reset(core->arena);
    if (message->body_case == RM_MESSAGE__BODY_REQUEST)
        meter_count(&core->meter, METER_REQUESTS);
    if (bounds_check(message, &err) < 0)
        refuse_unbounded(core, peer, message, err.text);
    else if (message->body_case == RM_MESSAGE__BODY_REQUEST)
        dispatch_input(core, peer, message->tag, message->request);
    else
        worker_input(core, peer, hosts, message);
}

static void trim_tokens(struct core *core)
{
    usec_t keep = (usec_t)TOKEN_KEEP_HOURS * 3600 * USEC_PER_SEC;
    int r = 0;

    if (core->trim_at > core->now)
        return;
    if (core->wall > keep)
        r = record_token_trim(core->store, core->wall - keep, TOKEN_TRIM_MOST);
    if (r != -ENOENT)
        core_check_write(core, r, "token");
    /* A full round means that more are waiting. */
    core->trim_at = core->now + (r >= TOKEN_TRIM_MOST ? USEC_PER_SEC : 600 * USEC_PER_SEC);
}

void core_tick(struct core *core)
{
    arena_reset(core->arena);
    read_names(core);
    worker_tick(core);
    dispatch_tick(core);
    doubt_tick(core);
    emptied_tick(core);
    schedule_tick(core);
    arena_reset(core->arena);
    subscribe_tick(core);
    host_query_tick(core);
    session_send_orders(core);
    trim_tokens(core);
    batch_tick(core);
    retention_tick(core);
    job_write_all(core);
    host_write_all(core);
}

usec_t core_deadline(const struct core *core)
{
    usec_t deadlines[] = {
        worker_deadline(core),   doubt_deadline(core),     emptied_deadline(core),
        schedule_deadline(core), subscribe_deadline(core), host_query_deadline(core),
        dispatch_deadline(core), retention_deadline(core), core->trim_at};
    usec_t first = USEC_NEVER;

    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++)
        if (deadlines[i] < first)
            first = deadlines[i];
    return first;
}

int core_commit(struct core *core, struct rm_err *err)
{
    const struct turn *turn = &core->turn;

    if (turn->failed < 0) {
        store_abort(core->store);
        return rm_fail(err, turn->failed, "%s", turn->failure.text);
    }
    int r = store_commit(core->store, err);
    if (r >= 0)
        store_rest(core->store);
    return r;
}

int core_begin_anew(struct core **core, uint64_t epoch, struct rm_err *err)
{
    struct core *old = *core;
    const struct conf_broker *conf = old->conf;
    struct store *store = old->store;
    struct asked *asked = core_take_asked(old), *one, *next;
    const struct retention retention = old->retention;
    usec_t now = old->now, wall = old->wall;

    core_free(old);
    *core = NULL;
    int r = asked
                ? core_new(conf, store, epoch, now, wall, core, err)
                : rm_fail(err, -ENOSPC,
                          "the store %s is full, and what runs cannot be written: raise store_size "
                          "and start the broker again",
                          store_path(store));
    if (r >= 0) {
        retention_go_on(*core, &retention);
        core_begin(*core, now, wall);
    }
    DL_FOREACH_SAFE (asked, one, next) {
        RmReply reply = RM_REPLY__INIT;
        reply.code = RM_CODE__CODE_TRY_AGAIN;
        reply.text = (char *)"nothing was done: the store had no room for all that was asked at "
                             "once; ask for less, or raise store_size and restart the broker";
        if (r >= 0)
            core_reply(*core, &one->peer, one->tag, &reply);
        free(one);
    }
    if (r >= 0)
        core_notice(*core, NOTICE_STORE_FULL, LOG_LEVEL_ERROR,
                    "the store is full: what was asked is refused, and the "
                    "memory is read again; raise store_size and restart");
    return r;
}

bool core_next_out(struct core *core, struct core_out *ret_out)
{
    const struct out *out = core_turn_out(core);

    if (out)
        *ret_out =
            (struct core_out){.peer = &out->peer, .frame = out->frame, .length = out->length};
    return out;
}

bool core_next_note(struct core *core, struct core_line *ret_line)
{
    const struct note *note = core_turn_note(core);

    if (note)
        *ret_line = (struct core_line){note->notice, note->level, note->text};
    return note;
}

void core_took(struct core *core, RmMeasure measure, usec_t span)
{
    meter_observe(&core->meter, measure, span);
}

void core_settings(struct core *core, const struct conf_broker *conf)
{
    const char *was = core->conf->hierarchical_attrs, *is = conf->hierarchical_attrs;
    bool same = was && is ? strcmp(was, is) == 0 : was == is;

    core->conf = conf;
    retention_again(core);
    schedule_again(core);
    if (same)
        return;
    attr_free(core->attr); /* a store has one at a time */
    core->attr = NULL;
    if (new_attr(conf, core->store, &core->attr, NULL) < 0)
        must(NULL); /* only memory can be missing */
    names_changed(core);
    rules_changed(core);
}

void core_peer_changed(struct core *core, const struct net_peer *peer, char *const *hosts)
{
    worker_changed(core, peer, hosts);
    core_gone(core, peer);
}

void core_tell(struct core *core, const char *who, const char *text)
{
    /* The last room of the store is for results; the log has it anyway. */
    if (store_claim(core->store, TELL_ROOM, NULL) >= 0)
        core_event(core, RM_EVENT_KIND__NOTE, who, NULL, NULL, "%s", text);
}

void core_gone(struct core *core, const struct net_peer *peer)
{
    worker_gone(core, peer);
    host_query_gone(core, peer);
    subscribe_gone(core, peer);
    dispatch_gone(core, peer);
}
