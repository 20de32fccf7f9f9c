/* notify.c - somebody is told when something has to be known */
#include "submit/watch/notify.h"

#include "conf/log.h"
#include "conf/service.h"
#include "submit/watch/desk.h"
#include "submit/watch/hook.h"
#include "submit/watch/inquiry.h"
#include "submit/watch/teller.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct notify {
    const struct conf_watch *conf;
    struct board *board;
    struct desk *desk;
    struct told {
        struct notify *notify;
        size_t row;
        pthread_t thread;
    } told[CONF_NOTIFY_MAX];
    size_t n_told; /* threads that were begun */
    pthread_t inquiry;
    bool inquires;
};

static void *tell(void *with)
{
    const struct told *told = with;
    const struct notify *notify = told->notify;
    teller_run(notify->desk, &notify->conf->notify[told->row], told->row,
               board_site(notify->board));
    return NULL;
}

static void *inquire(void *with)
{
    const struct notify *notify = with;
    inquiry_run(notify->desk, notify->board, notify->conf);
    return NULL;
}

static int begin(struct notify *notify, struct rm_err *err)
{
    int r = 0;
    for (size_t i = 0; i < notify->conf->n_notify && r == 0; i++) {
        struct told *told = &notify->told[i];
        told->notify = notify;
        told->row = i;
        r = pthread_create(&told->thread, NULL, tell, told);
        notify->n_told += r == 0;
    }
    if (r == 0)
        r = pthread_create(&notify->inquiry, NULL, inquire, notify);
    notify->inquires = r == 0;
    return r ? rm_fail(err, -r, "a thread: %s", strerror(r)) : 0;
}

int notify_start(const struct conf_watch *conf, struct board *board, struct notify **ret_notify,
                 struct rm_err *err)
{
    if (conf->n_notify == 0) {
        *ret_notify = NULL;
        return 0;
    }
    struct notify *notify = calloc(1, sizeof(*notify));
    if (!notify)
        return rm_fail(err, -ENOMEM, "no memory");
    notify->conf = conf;
    notify->board = board;
    hook_begin();
    notify_check(conf); /* what is wrong may be mended while it runs */
    int r = desk_new(conf, &notify->desk, err);
    if (r >= 0)
        r = begin(notify, err);
    if (r < 0) {
        notify_stop(notify);
        return r;
    }
    *ret_notify = notify;
    return 0;
}

void notify_stop(struct notify *notify)
{
    if (!notify)
        return;
    if (notify->desk)
        desk_stop(notify->desk);
    for (size_t i = 0; i < notify->n_told; i++)
        pthread_join(notify->told[i].thread, NULL);
    if (notify->inquires)
        pthread_join(notify->inquiry, NULL);
    desk_free(notify->desk);
    free(notify);
}

unsigned notify_check(const struct conf_watch *conf)
{
    struct rm_err err = {0};
    unsigned wrong = 0;
    for (size_t i = 0; i < conf->n_notify; i++)
        wrong += service_wrong(teller_check(&conf->notify[i], &err), &err);
    if (conf->n_notify > 0 && access(conf->state, W_OK) < 0 &&
        !(errno == ENOENT && strcmp(conf->state, RM_WATCH_STATE) == 0))
        wrong += service_wrong(
            rm_fail(&err, -errno, "watch.state: %s: %s", conf->state, strerror(errno)), &err);
    return wrong;
}
