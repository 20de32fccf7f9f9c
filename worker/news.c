/* news.c - from the threads of a worker to its main thread: packed messages through a pipe */
#include "worker/news.h"

#include "conf/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct parcel {
    enum news_kind kind;
    size_t length;
    uint8_t data[]; /* packed */
};

int news_open(struct news *news, struct rm_err *err)
{
    news->held = NULL;
    news->pipe[0] = news->pipe[1] = -1;
    if (pipe2(news->pipe, O_CLOEXEC) == 0 && fcntl(news->pipe[0], F_SETFL, O_NONBLOCK) == 0)
        return 0;
    int r = -errno;
    for (int i = 0; i < 2; i++) {
        if (news->pipe[i] >= 0)
            close(news->pipe[i]);
        news->pipe[i] = -1;
    }
    return rm_fail(err, r, "no pipe: %s", strerror(-r));
}

static struct parcel *next_parcel(struct news *news)
{
    struct parcel *parcel = news->held;
    news->held = NULL;
    if (parcel)
        return parcel;
    ssize_t n;
    do
        n = read(news->pipe[0], &parcel, sizeof(parcel));
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(parcel) ? parcel : NULL;
}

void news_close(struct news *news)
{
    for (struct parcel *parcel; news->pipe[0] >= 0 && (parcel = next_parcel(news)) != NULL;)
        free(parcel);
    for (int i = 0; i < 2; i++)
        if (news->pipe[i] >= 0)
            close(news->pipe[i]);
}

/* The pipe carries the message's address, so it goes whole or not at all. */
void news_post(struct news *news, enum news_kind kind, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    struct parcel *parcel = malloc(sizeof(*parcel) + length);
    if (!parcel) {
        log_error("no memory for a message of %zu bytes, ignoring", length);
        return;
    }
    parcel->kind = kind;
    parcel->length = length;
    protobuf_c_message_pack(message, parcel->data);
    ssize_t n;
    do
        n = write(news->pipe[1], &parcel, sizeof(parcel));
    while (n < 0 && errno == EINTR);
    if (n != (ssize_t)sizeof(parcel))
        free(parcel); /* the reader is gone, and with it the process soon */
}

int news_fd(const struct news *news)
{
    return news->pipe[0];
}

bool news_next(struct news *news, struct arena *arena, struct task_news *ret_news)
{
    *ret_news = (struct task_news){.inventory = NULL};
    struct parcel *parcel = next_parcel(news);
    if (!parcel)
        return false;
    ProtobufCAllocator *allocator = arena_allocator(arena);
    switch (parcel->kind) {
    case NEWS_REPORT:
        ret_news->report = rm_report__unpack(allocator, parcel->length, parcel->data);
        break;
    case NEWS_INVENTORY:
        ret_news->inventory = rm_inventory__unpack(allocator, parcel->length, parcel->data);
        break;
    case NEWS_ANSWER:
        ret_news->answer = rm_answer__unpack(allocator, parcel->length, parcel->data);
        break;
    }
    if (!ret_news->inventory && !ret_news->report && !ret_news->answer) {
        news->held = parcel; /* the arena is full: again after its reset */
        return false;
    }
    free(parcel);
    return true;
}
