/* news.h - from the threads of a worker to its main thread: packed messages through a pipe */
#ifndef WORKER_NEWS_H
#define WORKER_NEWS_H

#include "conf/err.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>

struct parcel;
struct news {
    int pipe[2];         /* pointers to struct parcel */
    struct parcel *held; /* read, but there was no room in the arena */
};

enum news_kind { NEWS_REPORT, NEWS_INVENTORY, NEWS_ANSWER };

int news_open(struct news *news, struct rm_err *err); /* after a failure news_close() is fine */
void news_close(struct news *news);                   /* drops what nobody has read */

/* Hands over a packed copy. From any thread. */
void news_post(struct news *news, enum news_kind kind, const ProtobufCMessage *message);

int news_fd(const struct news *news); /* readable when news_next() has something */

/* One message: an inventory, a report, or an answer; the other two are NULL. */
struct task_news {
    RmInventory *inventory;
    RmReport *report;
    RmAnswer *answer;
};

/* False: none now. In the arena. */
bool news_next(struct news *news, struct arena *arena, struct task_news *ret_news);

#endif
