/* metrics.c - the site as OpenMetrics text */
#include "submit/watch/metrics.h"

#include "submit/watch/history.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Longer than the board's patience with one answer, shorter than a scraper's with this one (Prometheus: 10 s). */
#define LOOK_FOR (8 * USEC_PER_SEC)

#define TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* What of a host no field says by itself. */
struct figures {
    uint64_t is_up, is_open, is_held, is_evacuated;
    usec_t oldest;      /* how long the oldest of its queued jobs waits; 0: none is queued */
    usec_t expected_at; /* when it will be empty; 0: nobody can say */
};

/* Where a value stands. */
enum from { PONG, COUNTS, VIEW, RECORD, FIGURES, FROMS };

/* What a line is about: of the whole site only the first two are there. */
struct seen {
    const void *from[FROMS]; /* RmReply, RmMetrics, RmHostView, RmHost, struct figures */
    const char *host;
    struct figures figures;
};

#define FIELD(from, type, field) from, offsetof(type, field), sizeof(((type *)0)->field)
#define OF_PONG(field)           FIELD(PONG, RmReply, field)
#define OF_COUNTS(field)         FIELD(COUNTS, RmMetrics, field)
#define OF_VIEW(field)           FIELD(VIEW, RmHostView, field)
#define OF_RECORD(field)         FIELD(RECORD, RmHost, field)
#define OF_FIGURES(field)        FIELD(FIGURES, struct figures, field)

#define GAUGE(name, unit, of, help)                                                                \
    {                                                                                              \
        name, "gauge", unit, help, of, NULL, false                                                 \
    }
#define COUNTER(name, of, result, help)                                                            \
    {                                                                                              \
        name, "counter", "", help, of, result, false                                               \
    }

/* A unit other than "" is the end of the name. Values of "seconds" are given in microseconds. */
static const struct metric {
    const char *name, *type, *unit, *help;
    enum from from;
    size_t at, size;    /* of an unsigned number there */
    const char *result; /* of rows of one name, which stand together; NULL: there is one */
    bool is_known;      /* 0 is no value: the line is left out */
} metrics[] = {
    GAUGE("rmigrate_broker_start_time_seconds", "seconds", OF_PONG(started_at),
          "When the broker started, since the epoch; what it counts began at 0 then."),
    COUNTER("rmigrate_jobs_submitted", OF_COUNTS(jobs_submitted), NULL,
            "Jobs that were submitted."),
    COUNTER("rmigrate_jobs_finished", OF_COUNTS(jobs_done), "done",
            "Jobs that ended, by their result."),
    COUNTER("rmigrate_jobs_finished", OF_COUNTS(jobs_failed), "failed", ""),
    COUNTER("rmigrate_jobs_finished", OF_COUNTS(jobs_cancelled), "cancelled", ""),
    COUNTER("rmigrate_tries_retried", OF_COUNTS(jobs_retried), NULL,
            "Tries that did not work and had another one behind."),
    COUNTER("rmigrate_tries_lost", OF_COUNTS(jobs_lost), NULL, "Tries whose worker was lost."),
    COUNTER("rmigrate_requests", OF_COUNTS(requests), NULL, "Requests of clients."),
    COUNTER("rmigrate_denied", OF_COUNTS(denied), NULL,
            "Requests of clients and hellos of workers that were refused for want of a right."),
    GAUGE("rmigrate_jobs_unfinished", "", OF_COUNTS(live), "Jobs that have not ended."),
    GAUGE("rmigrate_jobs_in_doubt", "", OF_COUNTS(in_doubt),
          "Unfinished jobs of which nobody can say where their guest is."),
    GAUGE("rmigrate_guests", "", OF_COUNTS(guests), "Guests that are known."),
    GAUGE("rmigrate_guests_locked", "", OF_COUNTS(guests_locked),
          "Guests that nobody moves until a person has looked."),
    GAUGE("rmigrate_workers", "", OF_COUNTS(sessions), "Workers that are connected."),
    GAUGE("rmigrate_store_used_bytes", "bytes", OF_COUNTS(store_used),
          "What is taken of the store."),
    GAUGE("rmigrate_store_size_bytes", "bytes", OF_COUNTS(store_size),
          "What the store may grow to."),

    GAUGE("rmigrate_host_connected", "", OF_VIEW(connected), "A worker serves the hypervisor."),
    GAUGE("rmigrate_host_up", "", OF_FIGURES(is_up),
          "A worker serves the hypervisor, which answers it."),
    GAUGE("rmigrate_host_open", "", OF_FIGURES(is_open), "Guests may be sent there."),
    GAUGE("rmigrate_host_evacuating", "", OF_VIEW(evacuating), "It is being emptied."),
    GAUGE("rmigrate_host_evacuated", "", OF_FIGURES(is_evacuated),
          "An evacuation, under way or over, has closed it."),
    {"rmigrate_host_expected_empty_timestamp_seconds", "gauge", "seconds",
     "When it will be empty, since the epoch, by the guests that were seen leaving; only where "
     "that can be said.",
     OF_FIGURES(expected_at), NULL, true},
    GAUGE("rmigrate_host_held", "", OF_FIGURES(is_held),
          "Somebody wants that no migration away from it begins."),
    GAUGE("rmigrate_host_guests", "", OF_VIEW(guests), "Active guests on it."),
    GAUGE("rmigrate_host_jobs_queued", "", OF_VIEW(queued), "Jobs away from it that may start."),
    GAUGE("rmigrate_host_jobs_running", "", OF_VIEW(running), "Migrations away from it."),
    GAUGE("rmigrate_host_jobs_incoming", "", OF_VIEW(incoming), "Migrations to it."),
    GAUGE("rmigrate_host_jobs_waiting", "", OF_VIEW(waiting),
          "Jobs away from it that wait for their next try."),
    GAUGE("rmigrate_host_jobs_in_doubt", "", OF_VIEW(doubt),
          "Jobs away from it that are in doubt."),
    GAUGE("rmigrate_host_oldest_job_seconds", "seconds", OF_FIGURES(oldest),
          "Since its oldest queued job was submitted; 0: none is queued."),
    GAUGE("rmigrate_host_slots", "", OF_VIEW(slots),
          "Migrations that its worker carries out at once."),
    GAUGE("rmigrate_host_credit", "", OF_VIEW(credit), "More that the worker would take now."),
    GAUGE("rmigrate_host_memory_bytes", "bytes", OF_RECORD(memory), "Memory that guests may take."),
    GAUGE("rmigrate_host_memory_free_bytes", "bytes", OF_VIEW(memory_free),
          "What of it is free, after what is promised to guests on their way."),
    GAUGE("rmigrate_host_memory_reserve_bytes", "bytes", OF_VIEW(reserve),
          "What of it is kept free."),
    GAUGE("rmigrate_host_vcpus", "", OF_RECORD(vcpus), "Virtual processors that guests may have."),
    GAUGE("rmigrate_host_vcpus_used", "", OF_VIEW(vcpus_used),
          "Those that they have, or are promised."),
    COUNTER("rmigrate_host_migrations", OF_VIEW(done), "done",
            "Jobs away from it that ended, by their result, since the store began."),
    COUNTER("rmigrate_host_migrations", OF_VIEW(failed), "failed", ""),
};

static const struct distribution {
    RmMeasure measure;
    const char *name, *unit, *help; /* "seconds" as above */
} distributions[] = {
    {RM_MEASURE__MEASURE_MIGRATION, "rmigrate_migration_duration_seconds", "seconds",
     "How long the last try took of jobs that are done."},
    {RM_MEASURE__MEASURE_DOWNTIME, "rmigrate_migration_downtime_seconds", "seconds",
     "How long their guests stood still, where that was measured."},
    {RM_MEASURE__MEASURE_BYTES, "rmigrate_migration_sent_bytes", "bytes", "What they sent."},
    {RM_MEASURE__MEASURE_WAIT, "rmigrate_job_wait_seconds", "seconds",
     "How long jobs waited for their first try."},
    {RM_MEASURE__MEASURE_COMMIT, "rmigrate_commit_duration_seconds", "seconds",
     "How long the broker's commits to disk took."},
    {RM_MEASURE__MEASURE_TURN, "rmigrate_turn_duration_seconds", "seconds",
     "How long the broker's turns took that had something to do."},
};

enum {
    METRICS = sizeof(metrics) / sizeof(metrics[0]),
    DISTRIBUTIONS = sizeof(distributions) / sizeof(distributions[0]),
};

struct page {
    FILE *body;
    bool open_metrics; /* else the older text format of Prometheus */
};

/* ---- lines */

/* A counter's name ends in _total; the older format says so at its head already. */
static void print_head(const struct page *page, const char *name, const char *type,
                       const char *unit, const char *help)
{
    const char *end = !page->open_metrics && strcmp(type, "counter") == 0 ? "_total" : "";
    fprintf(page->body, "# HELP %s%s %s\n# TYPE %s%s %s\n", name, end, help, name, end, type);
    if (page->open_metrics && unit[0])
        fprintf(page->body, "# UNIT %s %s\n", name, unit);
}

static void print_label(FILE *file, const char *text)
{
    for (size_t n; text[0]; text += n) {
        n = strcspn(text, "\\\"\n");
        fwrite(text, 1, n, file);
        if (text[n])
            fprintf(file, "\\%c", text[n++] == '\n' ? 'n' : text[n - 1]);
    }
}

static void print_number(FILE *file, const char *unit, uint64_t value)
{
    if (strcmp(unit, "seconds") == 0)
        fprintf(file, "%" PRIu64 ".%06" PRIu64, value / USEC_PER_SEC, value % USEC_PER_SEC);
    else
        fprintf(file, "%" PRIu64, value);
}

/* As programs print floating numbers: 0.1, 1.0 */
static void print_bound(FILE *file, const char *unit, uint64_t bound)
{
    bool is_time = strcmp(unit, "seconds") == 0;
    char digits[8] = "0";
    if (is_time)
        snprintf(digits, sizeof(digits), "%06u", (unsigned)(bound % USEC_PER_SEC));
    for (size_t n = strlen(digits); n > 1 && digits[n - 1] == '0';)
        digits[--n] = '\0';
    fprintf(file, "%" PRIu64 ".%s", is_time ? bound / USEC_PER_SEC : bound, digits);
}

static uint64_t value_of(const struct metric *metric, const struct seen *seen)
{
    const char *at = (const char *)seen->from[metric->from] + metric->at;
    uint64_t wide;
    uint32_t narrow;
    if (metric->size == sizeof(narrow)) {
        memcpy(&narrow, at, sizeof(narrow));
        return narrow;
    }
    memcpy(&wide, at, sizeof(wide));
    return wide;
}

static void print_metric(const struct page *page, const struct metric *metric,
                         const struct seen *seen)
{
    FILE *file = page->body;
    bool is_counter = strcmp(metric->type, "counter") == 0;
    if (metric->is_known && value_of(metric, seen) == 0)
        return;
    fprintf(file, "%s%s", metric->name, is_counter ? "_total" : "");
    if (seen->host) {
        fputs("{host=\"", file);
        print_label(file, seen->host);
        fprintf(file, metric->result ? "\",result=\"%s\"}" : "\"}", metric->result);
    } else if (metric->result) {
        fprintf(file, "{result=\"%s\"}", metric->result);
    }
    putc(' ', file);
    print_number(file, metric->unit, value_of(metric, seen));
    putc('\n', file);
}

static void print_distribution(const struct page *page, const struct distribution *d,
                               const RmHistogram *histogram)
{
    FILE *file = page->body;
    uint64_t count = 0;
    print_head(page, d->name, "histogram", d->unit, d->help);
    for (size_t i = 0; i < histogram->n_counts && i <= histogram->n_bounds; i++) {
        count += histogram->counts[i];
        fprintf(file, "%s_bucket{le=\"", d->name);
        if (i == histogram->n_bounds)
            fputs("+Inf", file);
        else
            print_bound(file, d->unit, histogram->bounds[i]);
        fprintf(file, "\"} %" PRIu64 "\n", count);
    }
    fprintf(file, "%s_sum ", d->name);
    print_number(file, d->unit, histogram->sum);
    fprintf(file, "\n%s_count %" PRIu64 "\n", d->name, count);
}

/* ---- what is known */

static int compare_names(const void *a, const void *b)
{
    return strcmp((*(RmHostMetrics *const *)a)->name, (*(RmHostMetrics *const *)b)->name);
}

/* When the oldest queued job of each host was submitted: the hosts' lines of one sight, 0 for none. */
static usec_t oldest_of(RmHostMetrics *const *sorted, size_t n, char *host, usec_t at)
{
    RmHostMetrics key = {.name = host};
    RmHostMetrics *const wanted = &key;
    RmHostMetrics *const *found =
        n > 0 ? bsearch(&wanted, sorted, n, sizeof(sorted[0]), compare_names) : NULL;
    return found && (*found)->oldest_at != 0 && at > (*found)->oldest_at ? at - (*found)->oldest_at
                                                                         : 0;
}

/* One for each host; NULL: none, or no memory. */
static struct seen *see_hosts(const struct sight *sight)
{
    const RmMetrics *counted = sight->metrics ? sight->metrics->metrics : NULL;
    size_t n_hosts = sight->hosts ? sight->hosts->n_hosts : 0, n = counted ? counted->n_hosts : 0;
    RmHostMetrics **sorted = malloc((n + 1) * sizeof(RmHostMetrics *));
    struct seen *seen = n_hosts > 0 ? calloc(n_hosts, sizeof(*seen)) : NULL;
    if (sorted && n > 0) {
        memcpy(sorted, counted->hosts, n * sizeof(sorted[0]));
        qsort(sorted, n, sizeof(sorted[0]), compare_names);
    }
    for (size_t i = 0; seen && sorted && i < n_hosts; i++) {
        const RmHostView *view = sight->hosts->hosts[i];
        const RmHost *record = view->host;
        seen[i] = (struct seen){.host = record->name,
                                .figures = {.is_up = view->connected && view->reachable,
                                            .is_open = record->state == RM_HOST_STATE__HOST_OPEN,
                                            .is_held = view->held[0] != '\0',
                                            .is_evacuated = record->evacuation != 0,
                                            .oldest = oldest_of(sorted, n, record->name, sight->at),
                                            .expected_at = history_expected_at(view, sight->at)}};
        seen[i].from[VIEW] = view;
        seen[i].from[RECORD] = record;
        seen[i].from[FIGURES] = &seen[i].figures;
    }
    free(sorted);
    return seen;
}

static const RmHistogram *find_histogram(const RmMetrics *counted, RmMeasure measure)
{
    for (size_t i = 0; i < counted->n_histograms; i++)
        if (counted->histograms[i]->measure == measure)
            return counted->histograms[i];
    return NULL;
}

static void print_sight(const struct page *page, const struct sight *sight)
{
    const RmMetrics *counted = sight->metrics ? sight->metrics->metrics : NULL;
    const struct seen site = {.from = {[PONG] = sight->pong, [COUNTS] = counted}};
    struct seen *hosts = see_hosts(sight);
    size_t n_hosts = hosts ? sight->hosts->n_hosts : 0;
    const char *last = "";
    print_head(page, page->open_metrics ? "rmigrate_broker" : "rmigrate_broker_info",
               page->open_metrics ? "info" : "gauge", "", "The broker's version.");
    fputs("rmigrate_broker_info{version=\"", page->body);
    print_label(page->body, sight->pong->broker);
    fputs("\"} 1\n", page->body);
    for (const struct metric *m = metrics; m < metrics + METRICS; m++) {
        if ((m->from == COUNTS && !counted) || (m->from >= VIEW && n_hosts == 0))
            continue;
        if (strcmp(m->name, last) != 0)
            print_head(page, m->name, m->type, m->unit, m->help);
        last = m->name;
        if (m->from < VIEW)
            print_metric(page, m, &site);
        for (size_t i = 0; m->from >= VIEW && i < n_hosts; i++)
            print_metric(page, m, &hosts[i]);
    }
    for (const struct distribution *d = distributions; counted && d < distributions + DISTRIBUTIONS;
         d++) {
        const RmHistogram *histogram = find_histogram(counted, d->measure);
        if (histogram)
            print_distribution(page, d, histogram);
    }
    free(hosts);
}

void metrics_answer(struct http_answer *answer)
{
    struct page page = {.body = answer->body};
    page.open_metrics =
        strstr(answer->header(answer, "Accept"), "application/openmetrics-text") != NULL;
    if (!page.open_metrics)
        answer->type = TEXT_TYPE;
    const struct sight *sight = board_look(answer->board, 0, LOOK_FOR);
    bool is_up = board_is_new(sight) && !sight->trouble[0];
    print_head(&page, "rmigrate_up", "gauge", "",
               "The broker answers; all else is told only then.");
    fprintf(page.body, "rmigrate_up %d\n", is_up);
    if (is_up)
        print_sight(&page, sight);
    if (page.open_metrics)
        fputs("# EOF\n", page.body);
    board_give_back(answer->board, sight);
}
