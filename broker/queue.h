/* queue.h - the queued jobs of one host, in the order in which they may start: by priority (a low
 * number first), then by age (a low id first); and which of them is the oldest
 *
 * Pure: it knows of a job what stands in its queue_item, and nothing else. */
#ifndef BROKER_QUEUE_H
#define BROKER_QUEUE_H

#include <stdint.h>

struct job;

/* A job's place in a queue; part of the job. */
/* Written by queue.c only. */
struct queue_item {
    struct job *job;
    uint32_t priority;
    uint64_t id;
    struct queue_item *prev, *next;     /* in the order of their starts */
    struct queue_item *a_prev, *a_next; /* by age alone */
};

/* Written by queue.c only. */
struct queue {
    struct queue_item *first;  /* NULL: nothing is queued */
    struct queue_item *oldest; /* the lowest id, whatever its priority */
    unsigned n;
};

/* Before it is inserted for the first time. */
void queue_item_init(struct queue_item *item, struct job *job, uint32_t priority, uint64_t id);

void queue_insert(struct queue *queue, struct queue_item *item);
void queue_remove(struct queue *queue, struct queue_item *item);

#endif
