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

/* The next newer one in a list whose last one is newer. A job that comes back is mostly near one end, so that
 * both ends go towards one another. */
static struct queue_item *next_newer(const struct queue *queue, uint64_t id)
{
    struct queue_item *up = queue->oldest, *down = up->a_prev;

    while (up->id < id && down->id > id) {
        up = up->a_next;
        down = down->a_prev;
    }
    return up->id > id ? up : down->a_next;
}

static void insert_by_age(struct queue *queue, struct queue_item *item)
{
    if (!queue->oldest || queue->oldest->a_prev->id < item->id)
        DL_APPEND2(queue->oldest, item, a_prev, a_next);
    else
        DL_PREPEND_ELEM2(queue->oldest, next_newer(queue, item->id), item, a_prev, a_next);
}

void queue_insert(struct queue *queue, struct queue_item *item)
{
    insert_by_age(queue, item);
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
    DL_DELETE2(queue->oldest, item, a_prev, a_next);
    queue->n--;
}
