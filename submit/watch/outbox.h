/* outbox.h - what one who is told has not been told yet, and when it is time
 *
 * Pure: no clock, no thread. What comes within `wait` of the first is one message, and two messages are that far
 * apart at least. A message that did not arrive is tried again, twice as late each time, together with what has come
 * meanwhile; what was in `tries` of them is given up. */
#ifndef SUBMIT_WATCH_OUTBOX_H
#define SUBMIT_WATCH_OUTBOX_H

#include "conf/conf.h"
#include "wire/rmigrate.pb-c.h"

enum { OUTBOX_MAX = 200 /* news that one message tells; more are only counted */ };

#define OUTBOX_RETRY      USEC_PER_SEC /* before the second try; doubled before each further one */
#define OUTBOX_RETRY_MOST (300 * USEC_PER_SEC) /* but no longer */

struct outbox {
    RmNews *news[OUTBOX_MAX]; /* owned; the oldest first */
    size_t n;
    uint64_t more;     /* that had no room */
    usec_t first_at;   /* when the oldest came */
    usec_t not_before; /* the next message */
    /* Of the message that is being tried. */
    unsigned tries;      /* that did not work */
    size_t n_tried;      /* news in its first try */
    uint64_t more_tried; /* the same of `more` */
};

void outbox_done(struct outbox *box); /* zeroed again */

/* Takes a copy. False: no memory; it is counted then. */
bool outbox_add(struct outbox *box, const RmNews *news, usec_t now);

/* When the next message is due; USEC_NEVER: there is nothing to tell. */
usec_t outbox_due(const struct outbox *box, const struct conf_notify *conf);

/* A message with all that is there is tried. */
void outbox_begin(struct outbox *box);
/* That many, and of `more` so many, were told by it. */
void outbox_told(struct outbox *box, const struct conf_notify *conf, size_t n, uint64_t more,
                 usec_t now);
/* It did not arrive. True: that was the last try, and n_tried of the news are to be given up by outbox_told(). */
bool outbox_failed(struct outbox *box, const struct conf_notify *conf, usec_t now);

#endif
