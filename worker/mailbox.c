/* mailbox.c - from the threads of a worker to its main thread: packed messages in a list */
#include "worker/mailbox.h"

#include "conf/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct parcel {
    struct parcel *next;
    enum mail_kind kind;
    size_t length;
    uint8_t data[]; /* packed */
};

int mailbox_open(struct mailbox *mailbox, struct rm_err *err)
{
    pthread_mutex_init(&mailbox->lock, NULL);
    mailbox->first = NULL;
    mailbox->last = &mailbox->first;
    mailbox->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return mailbox->event >= 0 ? 0 : rm_fail(err, -errno, "no eventfd: %s", strerror(errno));
}

static void drop_first(struct mailbox *mailbox)
{
    struct parcel *parcel = mailbox->first;
    mailbox->first = parcel->next;
    if (!mailbox->first)
        mailbox->last = &mailbox->first;
    free(parcel);
}

void mailbox_close(struct mailbox *mailbox)
{
    while (mailbox->first)
        drop_first(mailbox);
    if (mailbox->event >= 0)
        close(mailbox->event);
    pthread_mutex_destroy(&mailbox->lock);
}

void mailbox_post(struct mailbox *mailbox, enum mail_kind kind, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    struct parcel *parcel = malloc(sizeof(*parcel) + length);
    if (!parcel) {
        log_error("no memory for a message of %zu bytes, ignoring", length);
        return;
    }
    parcel->next = NULL;
    parcel->kind = kind;
    parcel->length = length;
    protobuf_c_message_pack(message, parcel->data);
    pthread_mutex_lock(&mailbox->lock);
    *mailbox->last = parcel;
    mailbox->last = &parcel->next;
    eventfd_write(mailbox->event, 1);
    pthread_mutex_unlock(&mailbox->lock);
}

int mailbox_fd(const struct mailbox *mailbox)
{
    return mailbox->event;
}

static void unpack(const struct parcel *parcel, struct arena *arena, struct mail *ret_mail)
{
    ProtobufCAllocator *allocator = arena_allocator(arena);
    switch (parcel->kind) {
    case MAIL_REPORT:
        ret_mail->report = rm_report__unpack(allocator, parcel->length, parcel->data);
        break;
    case MAIL_INVENTORY:
        ret_mail->inventory = rm_inventory__unpack(allocator, parcel->length, parcel->data);
        break;
    case MAIL_ANSWER:
        ret_mail->answer = rm_answer__unpack(allocator, parcel->length, parcel->data);
        break;
    }
}

bool mailbox_next(struct mailbox *mailbox, struct arena *arena, struct mail *ret_mail)
{
    eventfd_t n;
    bool has = false;
    *ret_mail = (struct mail){.inventory = NULL};
    pthread_mutex_lock(&mailbox->lock);
    if (mailbox->first) {
        unpack(mailbox->first, arena, ret_mail);
        has = ret_mail->inventory || ret_mail->report || ret_mail->answer;
        if (has) /* else the arena is full: again after its reset */
            drop_first(mailbox);
    } else {
        eventfd_read(mailbox->event, &n);
    }
    pthread_mutex_unlock(&mailbox->lock);
    return has;
}
