/* batch.c - the jobs of one request: how many are in which state */
#include "broker/batch.h"

#include "broker/host.h"
#include "conf/array.h"
#include "store/record.h"
#include "wire/job.h"

#include <errno.h>

enum { AGAIN_MAX = 1000 }; /* batches that follow one another */

struct batch *batch_find(struct core *core, uint64_t id)
{
    struct batch *batch;

    HASH_FIND(hh, core->batches, &id, sizeof(id), batch);
    return batch;
}

static struct batch *add(struct core *core, uint64_t id)
{
    struct batch *batch = must(calloc(1, sizeof(*batch)));

    batch->id = id;
    HASH_ADD(hh, core->batches, id, sizeof(batch->id), batch);
    return batch;
}

struct batch *batch_make(struct core *core, const RmBatch *rec)
{
    core_check_write(core, record_batch_put(core->store, rec), "batch");
    return rec->n_jobs > 0 ? add(core, rec->id) : NULL;
}

/* A record's list with one more: what was unpacked has no room to grow in. */
static void **list_with(struct core *core, void *const *list, size_t n, void *item)
{
    void **longer = core_alloc(core, (n + 1) * sizeof(*longer));

    if (n > 0)
        memcpy(longer, list, n * sizeof(*longer));
    longer[n] = item;
    return longer;
}

struct batch *batch_extend(struct core *core, uint64_t id, uint64_t first, uint64_t n)
{
    struct batch *batch = batch_restore(core, id);
    RmRange range = RM_RANGE__INIT;
    RmBatch *rec;

    if (!batch || record_batch_get(core->store, id, core->arena, &rec) < 0)
        return batch;
    range.first = first;
    range.count = n;
    RmRange *last = rec->n_jobs > 0 ? rec->jobs[rec->n_jobs - 1] : NULL;
    if (last && last->first + last->count == first)
        last->count += n;
    else
        rec->jobs = (RmRange **)list_with(core, (void **)rec->jobs, rec->n_jobs++, &range);
    core_check_write(core, record_batch_put(core->store, rec), "batch");
    return batch;
}

/* ---- the lists of hosts */

static bool is_list(const RmHostList *list, char *const *hosts, size_t n)
{
    bool same = list->n_hosts == n;

    for (size_t i = 0; i < n && same; i++)
        same = strcmp(list->hosts[i], hosts[i]) == 0;
    return same;
}

static void keep_list(struct batch *batch, const RmHostList *list)
{
    *ARRAY_MUST_ADD(batch->lists, batch->n_lists, batch->lists_room) =
        (RmHostList *)must(msg_copy(NULL, &list->base));
}

uint32_t batch_list(struct core *core, struct batch *batch, char *const *hosts, size_t n)
{
    RmHostList list = RM_HOST_LIST__INIT;
    RmBatch *rec;

    for (size_t i = 0; batch && i < batch->n_lists; i++)
        if (is_list(batch->lists[i], hosts, n))
            return (uint32_t)i + 1;
    if (!batch || n < 2 || batch->n_lists == BATCH_LISTS_MAX ||
        record_batch_get(core->store, batch->id, core->arena, &rec) < 0)
        return 0;
    list.hosts = (char **)hosts;
    list.n_hosts = n;
    keep_list(batch, &list);
    rec->lists = batch->lists;
    rec->n_lists = batch->n_lists;
    core_check_write(core, record_batch_put(core->store, rec), "batch");
    return (uint32_t)batch->n_lists;
}

static struct batch_hosts hosts_in(RmHostList *const *lists, size_t n, const RmJob *ask)
{
    const RmHostList *list = ask->to_list > 0 && ask->to_list <= n ? lists[ask->to_list - 1] : NULL;

    return list ? (struct batch_hosts){list->hosts, list->n_hosts}
                : (struct batch_hosts){ask->to, ask->n_to};
}

struct batch_hosts batch_hosts(const struct batch *batch, const RmJob *ask)
{
    return hosts_in(batch ? batch->lists : NULL, batch ? batch->n_lists : 0, ask);
}

size_t batch_lists(struct core *core, uint64_t id, RmHostList ***ret_lists)
{
    const struct batch *batch = batch_find(core, id);
    RmBatch *rec;

    *ret_lists = batch ? batch->lists : NULL;
    if (batch || record_batch_get(core->store, id, core->arena, &rec) < 0)
        return batch ? batch->n_lists : 0;
    *ret_lists = rec->lists;
    return rec->n_lists;
}

struct batch_hosts batch_hosts_of(struct core *core, const RmJob *ask)
{
    RmHostList **lists = NULL;
    size_t n = ask->to_list > 0 ? batch_lists(core, ask->batch, &lists) : 0;

    return hosts_in(lists, n, ask);
}

/* ---- its life */

void batch_account(struct core *core, uint64_t id, const struct host *host, bool ok, uint64_t left,
                   const char *text)
{
    RmOutcome outcome = RM_OUTCOME__INIT;
    RmBatch *rec;

    if (record_batch_get(core->store, id, core->arena, &rec) < 0)
        return;
    outcome.name = host->rec->name;
    outcome.ok = ok;
    outcome.left = left;
    outcome.at = core->wall;
    outcome.text = (char *)text;
    rec->account = (RmOutcome **)list_with(core, (void **)rec->account, rec->n_account++, &outcome);
    core_check_write(core, record_batch_put(core->store, rec), "batch");
    journal_append(core->journal,
                   &(struct journal_line){.kind = CHANGE_HOST_EMPTIED, .batch = id, .host = host});
}

/* Jobs that have ended have a result, and those alone; of those that are forgotten there is nothing. */
static void count_one(struct core *core, uint64_t id, uint64_t *counts)
{
    RmResult *result;
    RmJob *job;

    if (record_result_get(core->store, id, core->arena, &result) == 0)
        counts[result->state] +=
            job_is_final(result->state) && result->again == 0 && !result->settled;
    else if (record_job_get(core->store, id, core->arena, &job) == -ENOENT)
        counts[RM_STATE__NO_STATE]++;
}

static void count_results(struct core *core, const RmBatch *rec, uint64_t *counts)
{
    for (size_t i = 0; i < rec->n_jobs; i++)
        for (uint64_t j = 0; j < rec->jobs[i]->count; j++)
            count_one(core, rec->jobs[i]->first + j, counts);
}

struct batch *batch_restore(struct core *core, uint64_t id)
{
    struct batch *batch = batch_find(core, id);
    RmBatch *rec;

    if (batch || record_batch_get(core->store, id, core->arena, &rec) < 0)
        return batch;
    batch = add(core, id);
    for (size_t i = 0; i < rec->n_lists; i++)
        keep_list(batch, rec->lists[i]);
    count_results(core, rec, batch->counts);
    return batch;
}

static void leave_idle(struct core *core, struct batch *batch)
{
    if (!batch->is_idle)
        return;
    DL_DELETE2(core->idle_batches.first, batch, i_prev, i_next);
    core->idle_batches.n--;
    batch->is_idle = false;
}

static void batch_free(struct core *core, struct batch *batch)
{
    leave_idle(core, batch);
    HASH_DEL(core->batches, batch);
    for (size_t i = 0; i < batch->n_lists; i++)
        rm_host_list__free_unpacked(batch->lists[i], NULL);
    free(batch->lists);
    free(batch);
}

void batch_free_all(struct core *core)
{
    struct batch *batch, *next;

    HASH_ITER (hh, core->batches, batch, next)
        batch_free(core, batch);
}

static bool is_busy(const struct batch *batch)
{
    return batch->live > 0 || batch->n_subscribers > 0;
}

static void may_be_idle(struct core *core, struct batch *batch)
{
    leave_idle(core, batch);
    if (is_busy(batch))
        return;
    batch->is_idle = true;
    batch->idle_since = core->now;
    DL_APPEND2(core->idle_batches.first, batch, i_prev, i_next);
    core->idle_batches.n++;
}

void batch_tick(struct core *core)
{
    const usec_t kept = (usec_t)BATCH_IDLE_SECONDS * USEC_PER_SEC;
    struct batch *batch;

    while ((batch = core->idle_batches.first) &&
           (batch->idle_since + kept <= core->now || core->idle_batches.n > BATCH_IDLE_MAX)) {
        leave_idle(core, batch);
        if (!is_busy(batch))
            batch_free(core, batch);
    }
}

void batch_begin(struct batch *batch)
{
    if (batch)
        batch->live++;
}

void batch_move(struct batch *batch, RmState from, RmState to)
{
    if (!batch)
        return;
    if (from != RM_STATE__NO_STATE)
        batch->counts[from]--;
    if (to != RM_STATE__NO_STATE)
        batch->counts[to]++;
}

void batch_end(struct core *core, struct batch *batch)
{
    if (!batch)
        return;
    batch->live--;
    may_be_idle(core, batch);
}

void batch_watch(struct batch *batch)
{
    if (batch)
        batch->n_subscribers++;
}

void batch_unwatch(struct core *core, struct batch *batch)
{
    if (!batch)
        return;
    batch->n_subscribers--;
    may_be_idle(core, batch);
}

static bool has_batch(const uint64_t *list, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == id)
            return true;
    return false;
}

void batch_tries_again(struct core *core, const RmJob *old, uint64_t job, uint64_t id)
{
    struct batch *batch = batch_find(core, old->batch);
    RmResult *result;
    RmBatch *rec;

    if (record_result_get(core->store, old->id, core->arena, &result) == 0) {
        if (batch && result->again == 0 && !result->settled)
            batch->counts[result->state]--;
        result->again = job;
        result->again_batch = id;
        core_check_write(core, record_result_put(core->store, result), "result");
    }
    core->n_again++;
    if (batch && batch->again == id)
        return; /* its record says so */
    if (batch)
        batch->again = id;
    if (record_batch_get(core->store, old->batch, core->arena, &rec) < 0)
        return;
    if (rec->n_again >= AGAIN_MAX || has_batch(rec->again, rec->n_again, id))
        return;
    uint64_t *again = core_alloc(core, (rec->n_again + 1) * sizeof(*again));
    if (rec->n_again > 0)
        memcpy(again, rec->again, rec->n_again * sizeof(*again));
    again[rec->n_again++] = id;
    rec->again = again;
    core_check_write(core, record_batch_put(core->store, rec), "batch");
}

void batch_settles(struct core *core, const RmJob *old)
{
    struct batch *batch = batch_find(core, old->batch);
    RmResult *result;

    if (record_result_get(core->store, old->id, core->arena, &result) < 0 || result->again != 0 ||
        result->settled)
        return;
    if (batch)
        batch->counts[result->state]--;
    result->settled = true;
    core_check_write(core, record_result_put(core->store, result), "result");
    journal_append(core->journal, &(struct journal_line){.kind = CHANGE_JOB_ENDED,
                                                         .job = old->id,
                                                         .batch = old->batch,
                                                         .host = host_find(core, old->source)});
}

bool batch_is_of_host(const RmBatch *rec, const char *host)
{
    for (size_t i = 0; i < rec->n_evacuate; i++)
        if (strcmp(rec->evacuate[i], host) == 0)
            return true;
    return false;
}

void batch_evacuates(struct core *core, uint64_t id, const struct host *host)
{
    RmBatch *rec;

    if (record_batch_get(core->store, id, core->arena, &rec) < 0 ||
        batch_is_of_host(rec, host->rec->name)) /* with another of its guests */
        return;
    rec->evacuate =
        (char **)list_with(core, (void **)rec->evacuate, rec->n_evacuate++, host->rec->name);
    core_check_write(core, record_batch_put(core->store, rec), "batch");
}

uint64_t *batch_all(struct core *core, uint64_t id, size_t *ret_n)
{
    uint64_t *list = NULL;
    size_t n = 0, room = 0;
    RmBatch *rec;

    *ARRAY_MUST_ADD(list, n, room) = id;
    for (size_t i = 0; i < n; i++) {
        if (record_batch_get(core->store, list[i], core->arena, &rec) < 0)
            continue;
        for (size_t k = 0; k < rec->n_again && n < AGAIN_MAX; k++)
            if (!has_batch(list, n, rec->again[k]))
                *ARRAY_MUST_ADD(list, n, room) = rec->again[k];
    }
    *ret_n = n;
    return list;
}

int batch_count(struct core *core, uint64_t id, uint64_t counts[static STATE_COUNT])
{
    const struct batch *batch = batch_find(core, id);
    RmBatch *rec;

    memset(counts, 0, STATE_COUNT * sizeof(*counts));
    if (batch) {
        memcpy(counts, batch->counts, sizeof(batch->counts));
        return 0;
    }
    int r = record_batch_get(core->store, id, core->arena, &rec);
    if (r >= 0)
        count_results(core, rec, counts);
    return r;
}
