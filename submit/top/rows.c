/* rows.c - which hypervisors and jobs top shows, and in which order */
#include "submit/top/rows.h"

#include "submit/host_view.h"
#include "submit/job_view.h"
#include "wire/job.h"

#include <stdlib.h>
#include <string.h>

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* ---- hypervisors */

int rows_memory(const RmHostView *view)
{
    uint64_t all = view->host->memory, free_now = view->memory_free + view->reserve;
    if (all == 0)
        return -1;
    return free_now >= all ? 0 : (int)((double)(all - free_now) * 100 / (double)all);
}

static int host_by_name(const RmHostView *a, const RmHostView *b)
{
    return strverscmp(a->host->name, b->host->name);
}

/* What needs somebody comes first. */
static int host_by_state(const RmHostView *a, const RmHostView *b)
{
    static const int ranks[] = {[TONE_BAD] = 0, [TONE_ODD] = 1, [TONE_PLAIN] = 2, [TONE_GOOD] = 3};
    enum tone x, y;
    host_view_word(a, &x);
    host_view_word(b, &y);
    return ranks[x] - ranks[y];
}

static int host_by_memory(const RmHostView *a, const RmHostView *b)
{
    return rows_memory(b) - rows_memory(a);
}

static uint64_t work_of(const RmHostView *view)
{
    return (uint64_t)view->queued + view->running + view->waiting + view->doubt;
}

static int host_by_work(const RmHostView *a, const RmHostView *b)
{
    return compare_numbers(work_of(b), work_of(a));
}

static const struct {
    const char *name;
    int (*compare)(const RmHostView *, const RmHostView *);
} host_orders[] = {
    {"name", host_by_name},
    {"state", host_by_state},
    {"memory", host_by_memory},
    {"jobs", host_by_work},
};

/* ---- jobs */

static int job_by_number(const struct followed *a, const struct followed *b)
{
    return compare_numbers(a->id, b->id);
}

/* What needs somebody, what runs, what has just ended, what waits, in the order in which it starts. */
static int job_by_state(const struct followed *a, const struct followed *b)
{
    static const int ranks[] = {
        [RM_STATE__DOUBT] = 0,    [RM_STATE__RUNNING] = 1, [RM_STATE__CANCELLING] = 1,
        [RM_STATE__ASSIGNED] = 2, [RM_STATE__FAILED] = 3,  [RM_STATE__CANCELLED] = 3,
        [RM_STATE__DONE] = 4,     [RM_STATE__WAITING] = 5, [RM_STATE__QUEUED] = 6,
        [RM_STATE__NO_STATE] = 7};
    enum { STATES = sizeof(ranks) / sizeof(ranks[0]) };
    int x = (unsigned)a->view->state < STATES ? ranks[a->view->state] : STATES;
    int y = (unsigned)b->view->state < STATES ? ranks[b->view->state] : STATES;
    return x != y ? x - y : compare_numbers(a->view->job->priority, b->view->job->priority);
}

static int job_by_guest(const struct followed *a, const struct followed *b)
{
    return strverscmp(a->view->job->guest, b->view->job->guest);
}

static int job_by_source(const struct followed *a, const struct followed *b)
{
    return strverscmp(a->view->source, b->view->source);
}

/* What takes longest comes first; what is not known comes last. */
static int job_by_end(const struct followed *a, const struct followed *b)
{
    return compare_numbers(view_left_for(b->view->stats), view_left_for(a->view->stats));
}

static const struct {
    const char *name;
    int (*compare)(const struct followed *, const struct followed *);
} job_orders[] = {
    {"state", job_by_state}, {"guest", job_by_guest}, {"from", job_by_source},
    {"left", job_by_end},    {"job", job_by_number},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const char *rows_order_name(enum ui_pane pane, unsigned order)
{
    if (pane == UI_HOSTS)
        return order < COUNT(host_orders) ? host_orders[order].name : NULL;
    return order < COUNT(job_orders) ? job_orders[order].name : NULL;
}

/* ---- both */

static int compare_hosts(const void *a, const void *b, void *with)
{
    const RmHostView *x = *(RmHostView *const *)a, *y = *(RmHostView *const *)b;
    const struct ui *ui = with;
    int r = host_orders[ui->order[UI_HOSTS]].compare(x, y);
    r = r ? r : host_by_name(x, y);
    return ui->reverse[UI_HOSTS] ? -r : r;
}

RmHostView **rows_hosts(const struct ui *ui, struct arena *arena, size_t *ret_n)
{
    const struct site *site = ui->site;
    RmHostView **rows = arena_alloc(arena, (site->n_hosts + 1) * sizeof(*rows));
    *ret_n = 0;
    for (size_t i = 0; rows && i < site->n_hosts; i++)
        if (site->hosts[i]->host && strstr(site->hosts[i]->host->name, ui->filter))
            rows[(*ret_n)++] = site->hosts[i];
    if (rows)
        qsort_r(rows, *ret_n, sizeof(*rows), compare_hosts, (void *)ui);
    return rows;
}

static int compare_jobs(const void *a, const void *b, void *with)
{
    const struct followed *x = *(struct followed *const *)a, *y = *(struct followed *const *)b;
    const struct ui *ui = with;
    int r = job_orders[ui->order[UI_JOBS]].compare(x, y);
    r = r ? r : job_by_number(x, y);
    return ui->reverse[UI_JOBS] ? -r : r;
}

static bool is_wanted(const struct ui *ui, const RmJobView *view)
{
    const RmJob *job = view->job;
    if (ui->only_batch && job->batch != ui->only_batch && job->first_batch != ui->only_batch)
        return false;
    if (ui->only_host[0] && strcmp(view->source, ui->only_host) != 0 &&
        strcmp(view->destination, ui->only_host) != 0)
        return false;
    return strstr(job->guest, ui->filter) || strstr(view->source, ui->filter) ||
           strstr(view->destination, ui->filter);
}

struct followed **rows_jobs(const struct ui *ui, struct arena *arena, size_t *ret_n)
{
    struct followed *first = ui->site->jobs.jobs;
    struct followed **rows = arena_alloc(arena, (HASH_COUNT(first) + 1) * sizeof(*rows));
    *ret_n = 0;
    for (struct followed *job = first; rows && job; job = job->hh.next)
        if (is_wanted(ui, job->view))
            rows[(*ret_n)++] = job;
    if (rows)
        qsort_r(rows, *ret_n, sizeof(*rows), compare_jobs, (void *)ui);
    return rows;
}
