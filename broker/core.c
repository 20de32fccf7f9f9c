/* core.c - one turn of the broker, start from the store, and the small things that every part needs
 */
#include "broker/state.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    TOKEN_KEEP_HOURS = 24, /* a client that repeats a request later than this is told twice */
    TOKEN_TRIM_MOST = 256, /* tokens forgotten in one turn */
};

void core_fail(struct core *core, int r, const char *what)
{
    if (core->failed == 0)
        core->failed = rm_fail(&core->failure, r, "cannot write %s: %s", what, strerror(-r));
}

void core_note(struct core *core, enum log_level level, const char *format, ...)
{
    struct note *note = calloc(1, sizeof(*note));
    va_list args;

    if (note == NULL)
        return; /* a line of the log is not worth the turn */
    va_start(args, format);
    if (vasprintf(&note->text, format, args) < 0)
        note->text = NULL;
    va_end(args);
    note->level = (int)level + 1;
    *core->notes_end = note;
    core->notes_end = &note->next;
}

int core_next_note(struct core *core, const char **ret_text)
{
    if (core->told == NULL)
        core->told = core->notes;
    else
        core->told = core->told->next;
    if (core->told == NULL)
        return 0;
    *ret_text = core->told->text != NULL ? core->told->text : "";
    return core->told->level;
}

static void notes_drop(struct core *core)
{
    while (core->notes != NULL) {
        struct note *next = core->notes->next;
        free(core->notes->text);
        free(core->notes);
        core->notes = next;
    }
    core->notes_end = &core->notes;
    core->told = NULL;
}

static void outs_drop(struct core *core)
{
    while (core->outs != NULL) {
        struct out *next = core->outs->next;
        free(core->outs->frame);
        free(core->outs);
        core->outs = next;
    }
    core->outs_end = &core->outs;
    core->sent = NULL;
    core->out_bytes = 0;
}

void core_send(struct core *core, const struct net_peer *peer, uint64_t tag, RmMessage *message)
{
    struct out *out;

    /* Losing a message is harmless by design: clients ask again, workers repeat. */
    if (core->out_bytes > STATE_OUT_MAX)
        return;
    out = calloc(1, sizeof(*out));
    message->tag = tag;
    if (out == NULL || (out->frame = msg_pack(message, &out->length)) == NULL) {
        free(out);
        core_note(core, LOG_LEVEL_WARN, "message=%s: cannot be packed, dropped, ignoring",
                  msg_name(message));
        return;
    }
    out->peer = *peer;
    core->out_bytes += out->length;
    *core->outs_end = out;
    core->outs_end = &out->next;
}

bool core_next_out(struct core *core, struct core_out *ret_out)
{
    core->sent = core->sent == NULL ? core->outs : core->sent->next;
    if (core->sent == NULL)
        return false;
    *ret_out = (struct core_out){
        .peer = &core->sent->peer, .frame = core->sent->frame, .length = core->sent->length};
    return true;
}

/* ---- hosts, guests, jobs, batches by name */

struct host *host_called(struct core *core, const char *name)
{
    struct host *found = host_find(core, name);

    for (struct host *host = core->hosts; host != NULL && found == NULL; host = host->hh.next)
        if (host->rec->kind == RM_KIND__KIND_ZVM && strcasecmp(host->rec->name, name) == 0)
            found = host;
    return found;
}

struct host *host_find(struct core *core, const char *name)
{
    struct host *host;
    HASH_FIND_STR(core->hosts, name, host);
    return host;
}

static struct host *host_add(struct core *core, RmHost *rec)
{
    struct host *host = calloc(1, sizeof(*host));
    if (host == NULL)
        return NULL;
    host->rec = rec;
    host->lost_at = core->now;
    HASH_ADD_KEYPTR(hh, core->hosts, rec->name, strlen(rec->name), host);
    return host;
}

/* Records that live on are copied through their packed form: one allocator for all, freed by
 * x__free_unpacked(). */
static RmHost *host_record(const char *name)
{
    RmHost *rec = calloc(1, sizeof(*rec));
    if (rec == NULL)
        return NULL;
    rm_host__init(rec);
    job_set(&rec->name, name);
    return rec;
}

struct host *host_make(struct core *core, const char *name)
{
    struct host *host = host_find(core, name);
    RmHost *rec;

    if (host != NULL)
        return host;
    rec = host_record(name);
    host = rec != NULL ? host_add(core, rec) : NULL;
    if (host == NULL)
        core_fail(core, -ENOMEM, "host");
    return host;
}

void host_changed(struct core *core, struct host *host)
{
    (void)core;
    host->dirty = true;
}

struct guest *guest_find(struct core *core, const char *name)
{
    struct guest *guest;
    HASH_FIND_STR(core->guests, name, guest);
    return guest;
}

static struct guest *guest_add(struct core *core, RmGuest *rec)
{
    struct guest *guest = calloc(1, sizeof(*guest));
    if (guest == NULL)
        return NULL;
    guest->rec = rec;
    HASH_ADD_KEYPTR(hh, core->guests, rec->name, strlen(rec->name), guest);
    return guest;
}

struct guest *guest_make(struct core *core, const char *name)
{
    struct guest *guest = guest_find(core, name);
    RmGuest *rec;

    if (guest != NULL)
        return guest;
    rec = calloc(1, sizeof(*rec));
    if (rec != NULL) {
        rm_guest__init(rec);
        job_set(&rec->name, name);
        guest = guest_add(core, rec);
    }
    if (guest == NULL)
        core_fail(core, -ENOMEM, "guest");
    return guest;
}

void guest_write(struct core *core, struct guest *guest)
{
    int r = record_guest_put(core->store, guest->rec);
    if (r < 0)
        core_fail(core, r, "guest");
    guest->stored = true;
}

struct job *job_find(struct core *core, uint64_t id)
{
    struct job *job;
    HASH_FIND(hh, core->jobs, &id, sizeof(id), job);
    return job;
}

struct batch *batch_find(struct core *core, uint64_t id)
{
    struct batch *batch;
    HASH_FIND(hh, core->batches, &id, sizeof(id), batch);
    return batch;
}

void site_event(struct core *core, RmEventKind kind, const char *who, const char *host,
                const char *guest, const char *format, ...)
{
    RmEvent event = RM_EVENT__INIT;
    va_list args;
    char *text = NULL;
    int r;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = NULL;
    va_end(args);
    event.at = core->wall;
    event.kind = kind;
    event.who = (char *)who;
    event.host = (char *)(host != NULL ? host : "");
    event.guest = (char *)(guest != NULL ? guest : "");
    event.text = text != NULL ? text : (char *)"";
    r = record_site_event_put(core->store, &event);
    if (r < 0)
        core_fail(core, r, "event");
    free(text);
}

/* ---- start */

static int start_host(void *ctx, const ProtobufCMessage *record)
{
    struct core *core = ctx;
    RmHost *rec = (RmHost *)msg_copy(NULL, record);

    return rec != NULL && host_add(core, rec) != NULL ? 0 : -ENOMEM;
}

static int start_guest(void *ctx, const ProtobufCMessage *record)
{
    struct core *core = ctx;
    RmGuest *rec = (RmGuest *)msg_copy(NULL, record);
    struct guest *guest = rec != NULL ? guest_add(core, rec) : NULL;
    if (guest == NULL)
        return -ENOMEM;
    guest->stored = true;
    return 0;
}

/* The ids of what is live are collected first: a walk must not read other tables through its own
 * view. */
struct live_list {
    RmLive **live;
    size_t n, room;
};

static int start_live(void *ctx, const ProtobufCMessage *record)
{
    struct live_list *list = ctx;

    if (list->n == list->room) {
        size_t room = list->room == 0 ? 256 : list->room * 2;
        RmLive **live = realloc(list->live, room * sizeof(*live));
        if (live == NULL)
            return -ENOMEM;
        list->live = live;
        list->room = room;
    }
    list->live[list->n] = (RmLive *)msg_copy(NULL, record);
    if (list->live[list->n] == NULL)
        return -ENOMEM;
    list->n++;
    return 0;
}

static void start_damaged(void *ctx, enum store_table table, const void *key, size_t length)
{
    struct core *core = ctx;
    (void)key;
    core_note(core, LOG_LEVEL_ERROR,
              "table=%s: a record of %zu key bytes is damaged (rmigrate-store check), ignoring",
              store_table_name(table), length);
}

static int start_jobs(struct core *core)
{
    struct live_list list = {0};
    int r = record_walk(core->store, STORE_LIVE, start_live, start_damaged, &list);

    for (size_t i = 0; i < list.n; i++) {
        RmJob *ask, *own = NULL;
        int got = r < 0 ? r : record_job_get(core->store, list.live[i]->id, core->arena, &ask);
        if (got >= 0) {
            own = (RmJob *)msg_copy(NULL, &ask->base);
            if (own == NULL)
                r = -ENOMEM;
        }
        if (own == NULL) {
            if (r >= 0)
                core_note(core, LOG_LEVEL_ERROR,
                          "job=%" PRIu64
                          ": what was asked cannot be read (rmigrate-store check), ignoring",
                          list.live[i]->id);
            rm_live__free_unpacked(list.live[i], NULL);
        } else {
            r = job_restore(core, own, list.live[i]);
        }
        arena_reset(core->arena);
    }
    free(list.live);
    return r;
}

int core_new(const struct conf_broker *conf, struct store *store, uint64_t epoch, usec_t now,
             usec_t wall, struct core **ret_core, struct rm_err *err)
{
    struct core *core = calloc(1, sizeof(*core));
    int r = -ENOMEM;

    if (core == NULL)
        return rm_fail(err, -ENOMEM, "no memory");
    core->conf = conf;
    core->store = store;
    core->epoch = epoch;
    core->version = 1; /* 0 is a follower that knows nothing yet */
    core->now = core->started_at = now;
    core->wall = core->started_wall = wall;
    core->outs_end = &core->outs;
    core->notes_end = &core->notes;
    core->assign = true;
    core->order_at = now;
    core->arena = arena_new(0);
    core->finished = calloc(STATE_FINISHED_MAX, sizeof(*core->finished));
    if (core->arena == NULL || core->finished == NULL)
        goto fail;
    r = attr_new(store, conf->hierarchical_attrs, &core->attr, err);
    if (r == -EINVAL)
        rm_prefix(err, r, "hierarchical_attrs");
    if (r >= 0 && conf->exclude_nodes != NULL) {
        /* Without tables: only whether it can be understood. Who it is, each request asks anew. */
        struct noderange_site nobody = {.lenient = true};
        r = noderange_expand(conf->exclude_nodes, &nobody, &core->exclude, err);
        if (r < 0)
            rm_prefix(err, r, "exclude_nodes");
    }
    if (r < 0) {
        core_free(core);
        return r;
    }
    r = record_walk(store, STORE_HOST, start_host, start_damaged, core);
    if (r >= 0)
        r = record_walk(store, STORE_GUEST, start_guest, start_damaged, core);
    if (r >= 0)
        r = start_jobs(core);
    if (r >= 0)
        r = names_new(core);
    if (r >= 0)
        names_tick(core);
    store_rest(store);
    if (r >= 0 && core->failed != 0)
        r = core->failed;
    if (r < 0)
        goto fail;
    *ret_core = core;
    return 0;
fail:
    core_free(core);
    return rm_fail(err, r, "cannot read the unfinished jobs from the store: %s", strerror(-r));
}

void core_free(struct core *core)
{
    struct job *job, *next_job;
    struct guest *guest, *next_guest;
    struct host *host, *next_host;
    struct batch *batch, *next_batch;

    if (core == NULL)
        return;
    question_gone(core, NULL);
    HASH_ITER (hh, core->hosts, host, next_host)
        sight_clear(core, host);
    HASH_ITER (hh, core->jobs, job, next_job)
        job_free(core, job);
    HASH_ITER (hh, core->guests, guest, next_guest) {
        HASH_DEL(core->guests, guest);
        rm_guest__free_unpacked(guest->rec, NULL);
        free(guest);
    }
    while (core->sessions != NULL) {
        struct session *session = core->sessions;
        DL_DELETE(core->sessions, session);
        free(session->machine);
        free(session->version);
        free(session);
    }
    HASH_ITER (hh, core->hosts, host, next_host) {
        HASH_DEL(core->hosts, host);
        rm_host__free_unpacked(host->rec, NULL);
        if (host->last != NULL)
            rm_inventory__free_unpacked(host->last, NULL);
        free(host->text);
        free(host);
    }
    HASH_ITER (hh, core->batches, batch, next_batch) {
        HASH_DEL(core->batches, batch);
        rm_batch__free_unpacked(batch->rec, NULL);
        free(batch);
    }
    while (core->followers != NULL) {
        struct follower *f = core->followers;
        DL_DELETE(core->followers, f);
        free(f->ids);
        free(f);
    }
    outs_drop(core);
    notes_drop(core);
    noderange_done(&core->exclude);
    names_free(core->names);
    zvm_free(core->zvm);
    attr_free(core->attr);
    free(core->finished);
    arena_free(core->arena);
    free(core);
}

/* ---- one turn */

void core_begin(struct core *core, usec_t now, usec_t wall)
{
    outs_drop(core);
    notes_drop(core);
    arena_reset(core->arena);
    core->now = now;
    core->wall = wall;
}

void core_input(struct core *core, const struct net_peer *peer, char *const *hosts,
                const RmMessage *message)
{
    arena_reset(core->arena);
    if (message->body_case == RM_MESSAGE__BODY_REQUEST)
        request_input(core, peer, message->tag, message->request);
    else
        session_input(core, peer, hosts, message);
}

void core_tick(struct core *core)
{
    arena_reset(core->arena);
    names_tick(core);
    session_tick(core);
    recover_tick(core);
    queue_tick(core);
    arena_reset(core->arena);
    follow_tick(core);
    question_tick(core);
    if (core->trim_at <= core->now) {
        usec_t keep = (usec_t)TOKEN_KEEP_HOURS * 3600 * USEC_PER_SEC;
        int r = core->wall > keep
                    ? record_token_trim(core->store, core->wall - keep, TOKEN_TRIM_MOST)
                    : 0;
        if (r < 0 && r != -ENOENT)
            core_fail(core, r, "token");
        /* A full round means that more are waiting. */
        core->trim_at = core->now + (r >= TOKEN_TRIM_MOST ? USEC_PER_SEC : 600 * USEC_PER_SEC);
    }
    for (struct host *host = core->hosts; host != NULL; host = host->hh.next) {
        if (!host->dirty)
            continue;
        int r = record_host_put(core->store, host->rec);
        if (r < 0)
            core_fail(core, r, "host");
        host->dirty = false;
    }
}

usec_t core_deadline(const struct core *core)
{
    usec_t deadlines[] = {session_deadline(core), recover_deadline(core),  queue_deadline(core),
                          follow_deadline(core),  question_deadline(core), core->trim_at};
    usec_t first = USEC_NEVER;

    for (size_t i = 0; i < sizeof(deadlines) / sizeof(deadlines[0]); i++)
        if (deadlines[i] < first)
            first = deadlines[i];
    return first;
}

int core_commit(struct core *core, struct rm_err *err)
{
    int r;

    if (core->failed < 0) {
        store_abort(core->store);
        return rm_fail(err, core->failed, "%s", core->failure.text);
    }
    r = store_commit(core->store, err);
    if (r >= 0)
        store_rest(core->store);
    return r;
}

void core_gone(struct core *core, const struct net_peer *peer)
{
    struct session *session = session_of_peer(core, peer);
    struct follower *f, *next;

    /* Its credit is dropped at once: an assignment would go nowhere. The session itself ends when
     * the worker comes back or stays away for too long; what it migrates goes on meanwhile. */
    if (session != NULL)
        for (struct host *host = core->hosts; host != NULL; host = host->hh.next)
            if (host->session == session)
                host->credit = 0;
    question_gone(core, peer);
    DL_FOREACH_SAFE (core->followers, f, next) {
        if (peer_is(&f->peer, peer)) {
            DL_DELETE(core->followers, f);
            core->n_followers--;
            free(f->ids);
            free(f);
        }
    }
}
