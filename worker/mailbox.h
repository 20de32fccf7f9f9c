/* mailbox.h - from the threads of a worker to its main thread: packed messages in a list */
#ifndef WORKER_MAILBOX_H
#define WORKER_MAILBOX_H

#include "conf/err.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

#include <pthread.h>
#include <stdbool.h>

struct parcel;
struct mailbox {
    pthread_mutex_t lock; /* of the list */
    struct parcel *first; /* the oldest */
    struct parcel **last; /* where the next one goes */
    int event;            /* eventfd: something is in the list; -1: not open */
};

enum mail_kind { MAIL_REPORT, MAIL_INVENTORY, MAIL_ANSWER };

int mailbox_open(struct mailbox *mailbox,
                 struct rm_err *err);        /* after a failure mailbox_close() is fine */
void mailbox_close(struct mailbox *mailbox); /* drops what nobody has read */

/* Hands over a packed copy. From any thread. */
void mailbox_post(struct mailbox *mailbox, enum mail_kind kind, const ProtobufCMessage *message);

int mailbox_fd(const struct mailbox *mailbox); /* readable when mailbox_next() has something */

/* One message: an inventory, a report, or an answer; the other two are NULL. */
struct mail {
    RmInventory *inventory;
    RmReport *report;
    RmAnswer *answer;
};

/* False: none now. In the arena. */
bool mailbox_next(struct mailbox *mailbox, struct arena *arena, struct mail *ret_mail);

#endif
