/* main.c - rmigrate-watch: shows the site to programs and people that are no clients of the broker */
#include "conf/conf.h"
#include "conf/endpoint.h"
#include "conf/log.h"
#include "conf/service.h"
#include "submit/watch/api.h"
#include "submit/watch/board.h"
#include "submit/watch/history.h"
#include "submit/watch/http.h"
#include "submit/watch/metrics.h"
#include "submit/watch/notify.h"
#include "submit/watch/page.h"
#include "submit/watch/stream.h"
#include "wire/key.h"

#define JSON "application/json"

static const struct http_route routes[] = {
    {.path = "/metrics",
     .type = "application/openmetrics-text; version=1.0.0; charset=utf-8",
     .answer = metrics_answer},
    {.path = "/", .type = PAGE_TYPE, .answer = page_answer},
    {.path = "/page/", .type = PAGE_TYPE, .answer = page_answer},
    {.path = "/events",
     .type = "text/event-stream",
     .step = stream_step,
     .state_size = sizeof(struct stream_told),
     .end = stream_end},
    {.path = "/api/v1/site", .type = JSON, .answer = api_site},
    {.path = "/api/v1/hosts", .type = JSON, .answer = api_hosts},
    {.path = "/api/v1/queue", .type = JSON, .answer = api_queue},
    {.path = "/api/v1/evacuations", .type = JSON, .answer = api_evacuations},
    {.path = "/api/v1/jobs", .type = JSON, .answer = api_jobs},
    {.path = "/api/v1/jobs/", .type = JSON, .answer = api_job},
    {.path = "/api/v1/guests", .type = JSON, .answer = api_guests},
    {.path = "/api/v1/events", .type = JSON, .answer = api_events},
    {.path = "/api/v1/history", .type = JSON, .answer = api_history},
    {.path = NULL},
};

static int run(const struct conf_watch *conf, struct rm_err *err)
{
    struct board *board = NULL;
    struct http *http = NULL;
    struct notify *notify = NULL;
    int r = board_new(&conf->client, &board, err);
    if (r >= 0)
        board_witness(board, history_see, HISTORY_EVERY);
    if (r >= 0 && conf->listen)
        r = http_start(conf, board, routes, &http, err);
    if (r >= 0)
        r = notify_start(conf, board, &notify, err);
    if (r >= 0) {
        service_ready(NULL);
        r = board_run(board, err);
        service_stopping();
    }
    if (board)
        board_stop(board);
    http_stop(http);
    notify_stop(notify);
    board_free(board);
    return r;
}

/* What run() would fail at, as far as it can be seen without the broker. Logs all of it. */
static unsigned check(const struct conf_watch *conf)
{
    struct rm_err err = {0};
    unsigned wrong = 0;
    if (conf->client.key_file && endpoint_is_tcp(conf->client.broker))
        wrong += service_wrong(net_key_check(conf->client.key_file, &err), &err);
    wrong += service_wrong(http_check(conf, &err), &err);
    return wrong + notify_check(conf);
}

int main(int argc, char **argv)
{
    static const char doc[] =
        "Shows the site over HTTP: a page at /, JSON below /api/v1/, metrics at /metrics. Tells "
        "somebody what has to be known."
        "\v"
        "Settings: section `watch` of FILE, else of $RMIGRATE_CONF, else of " RM_CONF_DEFAULT ".";
    struct conf_watch conf = {0};
    struct rm_err err = {0};
    bool only_check;
    const char *file = service_begin("rmigrate-watch", doc, argc, argv, &only_check);
    int r = conf_watch_load(file, &conf, &err);
    if (r < 0) {
        log_error("%s", err.text);
        return only_check ? EXIT_SOME_FAILED : EXIT_USAGE;
    }
    if (only_check) {
        unsigned wrong = check(&conf);
        conf_watch_done(&conf);
        return service_checked(file, wrong);
    }
    log_info("version=%s broker=%s", service_version(), conf.client.broker);
    r = run(&conf, &err);
    conf_watch_done(&conf);
    if (r < 0)
        log_error("%s", err.text);
    return r < 0 ? EXIT_SOME_FAILED : EXIT_OK;
}
