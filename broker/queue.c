/* queue.c - the queued jobs of one host, in the order in which they may start */
#include "broker/queue.h"

#include <stddef.h>
#include <utlist.h>

static int order(const struct queue_item *a, const struct queue_item *b)
{
    if (a->priority != b->priority)
        return a->priority < b->priority ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

void queue_item_init(struct queue_item *item, struct job *job, uint32_t priority, uint64_t id)
{
    *item = (struct queue_item){.job = job, .priority = priority, .id = id};
}

void queue_insert(struct queue *queue, struct queue_item *item)
{
    /* Mostly the new one comes last: the end is looked at first. */
    if (!queue->first || order(queue->first->prev, item) <= 0)
        DL_APPEND(queue->first, item);
    else
        DL_INSERT_INORDER(queue->first, item, order);
    queue->n++;
}

void queue_remove(struct queue *queue, struct queue_item *item)
{
    DL_DELETE(queue->first, item);
    queue->n--;
}
