/* outbox.c - what one who is told has not been told yet, and when it is time */
#include "submit/watch/outbox.h"

#include "wire/msg.h"

#include <string.h>

void outbox_done(struct outbox *box)
{
    for (size_t i = 0; i < box->n; i++)
        rm_news__free_unpacked(box->news[i], NULL);
    *box = (struct outbox){0};
}

bool outbox_add(struct outbox *box, const RmNews *news, usec_t now)
{
    RmNews *copy = box->n < OUTBOX_MAX ? (RmNews *)msg_copy(NULL, &news->base) : NULL;
    bool had_room = copy || box->n == OUTBOX_MAX;
    if (box->n == 0 && box->more == 0)
        box->first_at = now;
    if (copy)
        box->news[box->n++] = copy;
    else
        box->more++;
    return had_room;
}

usec_t outbox_due(const struct outbox *box, const struct conf_notify *conf)
{
    if (box->n == 0 && box->more == 0)
        return USEC_NEVER;
    usec_t due = box->first_at + conf->wait;
    return due > box->not_before ? due : box->not_before;
}

void outbox_begin(struct outbox *box)
{
    if (box->tries > 0)
        return;
    box->n_tried = box->n;
    box->more_tried = box->more;
}

void outbox_told(struct outbox *box, const struct conf_notify *conf, size_t n, uint64_t more,
                 usec_t now)
{
    for (size_t i = 0; i < n; i++)
        rm_news__free_unpacked(box->news[i], NULL);
    memmove(box->news, box->news + n, (box->n - n) * sizeof(box->news[0]));
    box->n -= n;
    box->more -= more;
    box->tries = 0;
    box->first_at = now; /* what came meanwhile waits for not_before */
    box->not_before = now + conf->wait;
}

bool outbox_failed(struct outbox *box, const struct conf_notify *conf, usec_t now)
{
    usec_t pause = OUTBOX_RETRY;
    for (unsigned i = 0; i < box->tries && pause < OUTBOX_RETRY_MOST; i++)
        pause *= 2;
    box->not_before = now + (pause < OUTBOX_RETRY_MOST ? pause : OUTBOX_RETRY_MOST);
    return ++box->tries >= conf->tries;
}
