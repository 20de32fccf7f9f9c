/* host.c - hypervisors: the record of each */
#include "broker/host.h"

#include "conf/text.h"
#include "store/record.h"

enum { SEEN_SECONDS = 60 }; /* so old may seen_at be on disk */

struct host *host_find(struct core *core, const char *name)
{
    struct host *host;

    HASH_FIND_STR(core->hosts, name, host);
    return host;
}

static struct host *add(struct core *core, RmHost *rec)
{
    struct host *host = must(calloc(1, sizeof(*host)));

    host->rec = rec;
    host_link_init(&host->link, core->now);
    HASH_ADD_KEYPTR(hh, core->hosts, rec->name, strlen(rec->name), host);
    return host;
}

struct host *host_make(struct core *core, const char *name)
{
    struct host *host = host_find(core, name);

    if (host)
        return host;
    RmHost *rec = must(calloc(1, sizeof(*rec)));
    rm_host__init(rec);
    text_set(&rec->name, name);
    return add(core, rec);
}

/* As a broker wrote it that knew no `firsts`: each batch is one of its own. */
static void complete(RmEmptying *e)
{
    if (e->n_firsts == e->n_batches && e->of != 0)
        return;
    e->firsts = must(reallocarray(e->firsts, e->n_batches + 1, sizeof(*e->firsts)));
    e->n_firsts = e->n_batches;
    for (size_t i = 0; i < e->n_batches; i++) {
        e->firsts[i] = e->batches[i];
        e->of = e->batches[i] > e->of ? e->batches[i] : e->of;
        e->since = e->since == 0 || e->batches[i] < e->since ? e->batches[i] : e->since;
    }
}

void host_restore(struct core *core, RmHost *rec)
{
    if (rec->emptying)
        complete(rec->emptying);
    add(core, rec);
}

static void forget_trouble(struct host *host)
{
    text_set(&host->trouble.text, NULL);
    host->trouble = (struct host_trouble){0};
}

void host_free_all(struct core *core)
{
    struct host *host, *next;

    HASH_ITER (hh, core->hosts, host, next) {
        HASH_DEL(core->hosts, host);
        rm_host__free_unpacked(host->rec, NULL);
        host_link_done(&host->link);
        forget_trouble(host);
        free(host);
    }
}

static int by_name(struct host *a, struct host *b)
{
    return strcmp(a->rec->name, b->rec->name);
}

void host_sort(struct core *core)
{
    HASH_SORT(core->hosts, by_name);
}

void host_write_all(struct core *core)
{
    for (struct host *host = core->hosts; host; host = host->hh.next) {
        if (!host->dirty)
            continue;
        core_check_write(core, record_host_put(core->store, host->rec), "host");
        host->dirty = false;
    }
}

bool host_event(struct core *core, struct host *host, RmEventKind kind, const char *who,
                const char *guest, const char *format, ...)
{
    char text[RM_ERR_MAX];
    va_list args;

    if (!log_allowed(&host->events, core->now, HOST_EVENTS_SPAN, HOST_EVENTS))
        return false;
    va_start(args, format);
    text_vformat(text, sizeof(text), format, args);
    va_end(args);
    core_event(core, kind, who, host->rec->name, guest, "%s", text);
    if (host->events.count == HOST_EVENTS)
        core_event(
            core, RM_EVENT_KIND__NOTE, "broker", host->rec->name, NULL,
            "%d events of this hypervisor within an hour: no more of them are recorded in it",
            HOST_EVENTS);
    return true;
}

bool host_rival(struct core *core, struct host *host, const struct session *session,
                const char *text)
{
    host->rival = session->id;
    if (!log_allowed(&host->rivals, core->now, HOST_EVENTS_SPAN, HOST_RIVALS))
        return false;
    const char *last =
        host->rivals.count == HOST_RIVALS ? "; no more of them are recorded in this hour" : "";
    host_event(core, host, RM_EVENT_KIND__HOST_CHANGED, session->peer.user, NULL, "%s%s", text,
               last);
    core_notice(core, NOTICE_SECOND_WORKER, LOG_LEVEL_WARN, "host=%s: %s%s", host->rec->name, text,
                last);
    return true;
}

void host_set_worker(struct core *core, struct host *host, const RmHyp *hyp)
{
    RmHost *rec = host->rec;

    rec->kind = hyp->kind;
    text_set(&rec->peer, hyp->peer);
    text_set(&rec->migration, hyp->migration);
    if (rec->reserve)
        rm_reserve__free_unpacked(rec->reserve, NULL);
    rec->reserve = hyp->reserve ? must(msg_copy(NULL, &hyp->reserve->base)) : NULL;
    if (rec->seen_at == 0)
        rec->seen_at = core->wall;
    host->dirty = true;
}

void host_set_seen(struct core *core, struct host *host)
{
    host->seen_at = core->wall;
    if (core->wall - host->rec->seen_at < SEEN_SECONDS * USEC_PER_SEC)
        return;
    host->rec->seen_at = core->wall;
    host->dirty = true;
}

usec_t host_seen_at(const struct host *host)
{
    return host->seen_at > host->rec->seen_at ? host->seen_at : host->rec->seen_at;
}

void host_set_figures(struct host *host, uint64_t memory, uint32_t vcpus)
{
    if (host->rec->memory == memory && host->rec->vcpus == vcpus)
        return;
    host->rec->memory = memory;
    host->rec->vcpus = vcpus;
    host->dirty = true;
}

void host_set_cluster(struct host *host, const char *cluster)
{
    if (strcmp(host->rec->cluster, cluster) == 0)
        return;
    text_set(&host->rec->cluster, cluster);
    host->dirty = true;
}

RmHostState host_suppose(struct host *host, RmHostState state)
{
    RmHostState is = host->rec->state;

    host->rec->state = state;
    return is;
}

void host_set_state(struct core *core, struct host *host, RmHostState state, const char *who,
                    const char *why)
{
    RmHost *rec = host->rec;

    rec->state = state;
    rec->evacuation = 0;
    text_set(&rec->why, why);
    text_set(&rec->changed_by, who);
    rec->changed_at = core->wall;
    host->dirty = true;
    core_event(core, RM_EVENT_KIND__HOST_CHANGED, who, rec->name, NULL, "%s%s%s",
               state == RM_HOST_STATE__HOST_CLOSED ? "closed" : "open", *why != '\0' ? ": " : "",
               why);
    core_changed(core, CHANGE_HOST_ALLOWED, host);
}

void host_begin_emptying(struct host *host, uint64_t of)
{
    RmEmptying *emptying = host->rec->emptying;

    if (!emptying) {
        emptying = host->rec->emptying = must(calloc(1, sizeof(*emptying)));
        rm_emptying__init(emptying);
        emptying->done_before = host->rec->done;
        emptying->since = of;
    }
    emptying->of = of;
    text_set(&emptying->cancelled_by, "");
    host->rec->evacuation = of;
    host->dirty = true;
}

void host_empty_for(struct host *host, uint64_t batch, uint64_t first)
{
    RmEmptying *e = host->rec->emptying;
    size_t i = 0;

    host->dirty = true;
    while (i < e->n_batches && e->firsts[i] != first)
        i++;
    if (i == e->n_batches) {
        e->batches = must(reallocarray(e->batches, i + 1, sizeof(*e->batches)));
        e->firsts = must(reallocarray(e->firsts, i + 1, sizeof(*e->firsts)));
        e->n_batches = e->n_firsts = i + 1;
        e->firsts[i] = first;
    }
    e->batches[i] = batch;
}

void host_cancel_emptying(struct host *host, const char *who)
{
    text_set(&host->rec->emptying->cancelled_by, who);
    host->dirty = true;
}

void host_empty_more(struct host *host)
{
    host->rec->emptying->rounds++;
    host->dirty = true;
}

void host_empty_by(struct host *host, uint64_t job)
{
    RmEmptying *emptying = host->rec->emptying;

    emptying->room =
        must(reallocarray(emptying->room, emptying->n_room + 1, sizeof(*emptying->room)));
    emptying->room[emptying->n_room++] = job;
    host->dirty = true;
}

void host_end_emptying(struct host *host, const char *why)
{
    rm_emptying__free_unpacked(host->rec->emptying, NULL);
    host->rec->emptying = NULL;
    if (why)
        text_set(&host->rec->why, why);
    host->dirty = true;
}

RmHolds *host_holds(struct host *host)
{
    RmHost *rec = host->rec;

    if (!rec->holds) {
        rec->holds = must(calloc(1, sizeof(*rec->holds)));
        rm_holds__init(rec->holds);
    }
    host->dirty = true;
    return rec->holds;
}

bool host_is_suspect(const struct core *core, const struct host *host)
{
    return host->trouble.until > core->now;
}

void host_refuses(struct core *core, struct host *host, uint64_t job, const char *text)
{
    struct host_trouble *trouble = &host->trouble;
    bool was = host_is_suspect(core, host);

    if (trouble->until != 0 && !was)
        forget_trouble(host);
    for (unsigned i = 0; i < trouble->n; i++)
        if (trouble->jobs[i] == job)
            return;
    if (trouble->n < SUSPECT_GUESTS)
        trouble->jobs[trouble->n++] = job;
    text_set(&trouble->text, text);
    if (trouble->n < SUSPECT_GUESTS)
        return;
    trouble->until = core->now + SUSPECT_MINUTES * 60 * USEC_PER_SEC;
    if (was)
        return;
    core_event(core, RM_EVENT_KIND__HOST_CHANGED, "broker", host->rec->name, NULL,
               "suspect for %d minutes: %d guests in turn could not come: %s", SUSPECT_MINUTES,
               SUSPECT_GUESTS, text);
    core_note(core, LOG_LEVEL_WARN, "host=%s: suspect, %d guests in turn could not come: %s",
              host->rec->name, SUSPECT_GUESTS, text);
    core_changed(core, CHANGE_HOST_ALLOWED, host);
}

void host_takes(struct core *core, struct host *host)
{
    bool was = host_is_suspect(core, host);

    forget_trouble(host);
    if (was)
        core_changed(core, CHANGE_HOST_ALLOWED, host);
}

void host_count_end(struct host *host, RmState state)
{
    if (state == RM_STATE__DONE)
        host->rec->done++;
    else if (state == RM_STATE__FAILED)
        host->rec->failed++;
    else
        return;
    host->dirty = true;
}
