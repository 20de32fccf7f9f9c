/* teller.c - tells one of the settings what is in its box */
#include "submit/watch/teller.h"

#include "conf/log.h"
#include "conf/text.h"
#include "submit/watch/errand.h"
#include "submit/watch/hook.h"
#include "submit/watch/news.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* A message that leaves the box only when it was told. */
struct message {
    char text[NEWS_TEXT_MAX];
    char *json;
    size_t length;
    size_t n;
    uint64_t more;
};

struct teller {
    struct desk *desk;
    const struct conf_notify *conf;
    const char *site;
    usec_t stopped_at; /* 0: the program goes on */
};

int teller_check(const struct conf_notify *conf, struct rm_err *err)
{
    int r = conf->command ? errand_check(conf->command, err) : hook_check(conf, err);
    return r < 0 ? rm_prefix(err, r, "watch.notify %s", conf->name) : 0;
}

static int run_command(const struct teller *teller, const struct message *message,
                       struct rm_err *err)
{
    char text[NEWS_TEXT_MAX + 32], site[CONF_ENDPOINT_MAX + 32], said[ERRAND_OUTPUT_MAX];
    snprintf(text, sizeof(text), "RMIGRATE_TEXT=%s", message->text);
    snprintf(site, sizeof(site), "RMIGRATE_SITE=%s", teller->site);
    const char *const variables[] = {text, site, NULL};
    int r = errand_run(&(struct errand){.command = teller->conf->command,
                                        .variables = variables,
                                        .text = message->json,
                                        .length = message->length,
                                        .timeout = teller->conf->timeout,
                                        .stop = desk_stop_fd(teller->desk),
                                        .stop_for = TELLER_GRACE},
                       said, err);
    text_clean(text_one_line(said));
    if (said[0])
        log_info("notify=%s: the command says: %s", teller->conf->name, said);
    return r;
}

static bool is_over(void *with)
{
    struct teller *teller = with;
    usec_t now = env_now(env_system());
    if (!desk_is_stopped(teller->desk))
        return false;
    if (teller->stopped_at == 0)
        teller->stopped_at = now;
    return now >= teller->stopped_at + TELLER_GRACE;
}

static int send(struct teller *teller, const struct message *message, struct rm_err *err)
{
    if (teller->conf->command)
        return run_command(teller, message, err);
    return hook_post(teller->conf, message->json, message->length, is_over, teller, err);
}

/* Of all that is in the box. */
static int write_message(const struct teller *teller, struct outbox *box, struct message *message)
{
    struct news news = {.site = teller->site,
                        .at = env_wall(env_system()),
                        .items = box->news,
                        .n = box->n,
                        .more = box->more};
    outbox_begin(box);
    news_text(&news, message->text);
    message->json = news_json(&news, message->text, &message->length);
    message->n = box->n;
    message->more = box->more;
    return message->json ? 0 : -ENOMEM;
}

/* r: how the try ended. */
static void settle(const struct teller *teller, struct ledger *ledger, struct outbox *box,
                   const struct message *message, int r, const struct rm_err *err)
{
    const struct conf_notify *conf = teller->conf;
    usec_t now = env_now(env_system());
    if (r >= 0) {
        log_info("notify=%s: told: %s", conf->name, message->text);
        outbox_told(box, conf, message->n, message->more, now);
        ledger_touch(ledger);
    } else if (desk_is_stopped(teller->desk)) {
        log_info("notify=%s: not told yet, after the next start: %s", conf->name, message->text);
    } else if (outbox_failed(box, conf, now)) {
        log_error("notify=%s: given up after %u tries (%s), not told: %s", conf->name, conf->tries,
                  err->text, message->text);
        outbox_told(box, conf, box->n_tried, box->more_tried, now);
        ledger_touch(ledger);
    } else {
        log_warn("notify=%s: not told, try %u of %u: %s", conf->name, box->tries, conf->tries,
                 err->text);
    }
}

static bool is_due(const struct teller *teller, const struct outbox *box)
{
    return env_now(env_system()) >= outbox_due(box, teller->conf);
}

void teller_run(struct desk *desk, const struct conf_notify *conf, size_t i, const char *site)
{
    struct teller teller = {.desk = desk, .conf = conf, .site = site};
    struct ledger *ledger = desk_take(desk);
    struct outbox *box = ledger_box(ledger, i);
    while (!desk_is_stopped(desk)) {
        /* Nothing of a new ledger is on disk: it would be told again. */
        if (ledger_is_new(ledger) || !is_due(&teller, box)) {
            desk_wait(desk, ledger_is_new(ledger) ? USEC_NEVER : outbox_due(box, conf));
            continue;
        }
        struct message message;
        struct rm_err err = {.text = "no memory"};
        int r = write_message(&teller, box, &message);
        desk_give_back(desk);
        if (r >= 0)
            r = send(&teller, &message, &err);
        desk_take(desk);
        settle(&teller, ledger, box, &message, r, &err);
        free(message.json);
    }
    desk_give_back(desk);
}
