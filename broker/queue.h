/* queue.h - the queued jobs of one host, in the order in which they may start: by priority (a low
 * number first), then by age (a low id first)
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
    struct queue_item *prev, *next;
};

/* Written by queue.c only. */
struct queue {
    struct queue_item *first; /* NULL: nothing is queued */
    unsigned n;
};

/* Before it is inserted for the first time. */
void queue_item_init(struct queue_item *item, struct job *job, uint32_t priority, uint64_t id);

void queue_insert(struct queue *queue, struct queue_item *item);
void queue_remove(struct queue *queue, struct queue_item *item);

#endif
