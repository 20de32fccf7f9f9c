/* journal.h - what has changed, in order: one list that is only appended to, and read by position
 *
 * Whoever changes what the broker holds appends a line here, once. Whoever follows changes (clients
 * that wait, the search for the next job, the names of guests) keeps the position up to which it has
 * read, and nobody has to know who reads. Only the newest lines are kept: a reader that is further
 * behind looks at everything instead (journal_holds). In memory only; core->epoch tells positions of
 * one run of the broker from those of another.
 *
 * Pure: no clock, no I/O. */
#ifndef BROKER_JOURNAL_H
#define BROKER_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct host;

enum change_kind {
    CHANGE_JOB_MOVED,    /* it has begun, or has another state or place in its queue */
    CHANGE_JOB_ENDED,    /* its result is in the store */
    CHANGE_JOB_SHOWN,    /* what people see of it: progress, why it waits */
    CHANGE_JOB_PLACED,   /* its destination is another one */
    CHANGE_HOST_SHOWN,   /* what it has and what runs there: an inventory */
    CHANGE_HOST_SERVED,  /* its worker has come, or has a slot free */
    CHANGE_HOST_ALLOWED, /* opened or closed */
    CHANGE_HOST_EMPTIED, /* its evacuation, of that batch, is over */
    CHANGE_KINDS         /* how many there are */
};

/* Sets of kinds. */
#define CHANGE_BIT(kind) (1u << (kind))
enum {
    CHANGES_OF_JOBS = CHANGE_BIT(CHANGE_JOB_MOVED) | CHANGE_BIT(CHANGE_JOB_ENDED) |
                      CHANGE_BIT(CHANGE_JOB_SHOWN) | CHANGE_BIT(CHANGE_HOST_EMPTIED),
    CHANGES_THAT_MAY_START = CHANGE_BIT(CHANGE_JOB_MOVED) | CHANGE_BIT(CHANGE_JOB_ENDED) |
                             CHANGE_BIT(CHANGE_JOB_PLACED) | CHANGE_BIT(CHANGE_HOST_SHOWN) |
                             CHANGE_BIT(CHANGE_HOST_SERVED) | CHANGE_BIT(CHANGE_HOST_ALLOWED)
};

/* One line. */
struct journal_line {
    enum change_kind kind;
    uint64_t job, batch;     /* 0: of no job, of no batch */
    const struct host *host; /* of a job: its source */
};

struct journal;

/* kept: lines that are held at least. Never NULL. */
struct journal *journal_new(size_t kept);
void journal_free(struct journal *journal); /* NULL is fine */

/* Returns its position: one more than that of the line before. */
uint64_t journal_append(struct journal *journal, const struct journal_line *line);

/* The position of the newest line, never 0: 0 is a reader that has read nothing. */
uint64_t journal_end(const struct journal *journal);
/* The position of the newest line of these kinds (a set of CHANGE_BIT); 0: there was none. */
uint64_t journal_newest(const struct journal *journal, unsigned kinds);

/* Is every line after that position still held? */
bool journal_holds(const struct journal *journal, uint64_t after);
/* The line at a position that is held. Borrowed until the next journal_append(). */
const struct journal_line *journal_at(const struct journal *journal, uint64_t position);

#endif
