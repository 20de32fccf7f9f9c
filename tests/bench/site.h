/* site.h - a simulated site: workers whose migrations take no time, clients that submit, and somebody who looks
 *
 * One per process, one thread. It keeps its own books of every guest, apart from the broker's: site_counts() says whether
 * each job was done exactly once. A connection that is lost is made again, and what was not acknowledged is said again,
 * as the programs do it.
 *
 * Guests go in groups of `list`, which are submitted together, to one destination; a group goes back home with its next
 * jobs. A worker has its reports and its next pull behind it in one write as soon as it has read what is there. */
#ifndef TESTS_BENCH_SITE_H
#define TESTS_BENCH_SITE_H

#include "conf/env.h"
#include "tests/bench/figures.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct site_options {
    const char *endpoint;
    unsigned clients;
    unsigned window; /* submits of a client that are not answered yet */
    unsigned list;   /* guests of one submit */
    unsigned workers;
    unsigned hosts;  /* worker i serves each host h with h % workers == i */
    unsigned slots;  /* of each host */
    unsigned guests; /* rounded up to whole lists, spread over the hosts */
    unsigned full;   /* hosts behind those, without guests and without room */
    bool
        one_report; /* finished alone, which tells all; otherwise accepted before it, as a real worker */
    bool dies; /* the broker is killed: that it asks workers to stop or to find out is no fault */
};

struct site_counts {
    uint64_t submitted; /* jobs that the broker has acknowledged */
    uint64_t moved;     /* guests that a worker has moved, each time */
    uint64_t done;      /* jobs whose result it has acknowledged */
    uint64_t
        again; /* assignments of jobs that were done, or in a further try: of none in a good run */
    uint64_t repeated;    /* reports that were not acknowledged in time, and were said again */
    unsigned up;          /* workers with a session and a confirmed pull in it */
    struct series submit; /* from the submit to its answer */
    struct series whole;  /* from the submit to the acknowledged result */
};

enum { SITE_LOOKS = 3 };

void site_begin(const struct site_options *options); /* connects everybody, and goes on trying */
struct site_counts *site_counts(void);

/* Runs until that is true. False: the time is over. */
bool site_run(bool (*until)(void), double seconds);
void site_run_for(double seconds);

void site_slots(unsigned slots); /* from the next pull on */
void site_pulls(double seconds); /* between two pulls of an idle worker; 0: as the broker says */
void site_submit(uint64_t jobs); /* so many more, rounded up to whole lists */

/* Somebody asks for that every so many seconds, or as soon as the last answer is there; replies[i] gets the spans. */
struct site_look {
    const char *name; /* "ping", "jobs" (a page of the newest), "queue" */
    struct series replies;
};
void site_look(struct site_look *look, double seconds); /* seconds 0: no more */

/* Is every guest where the books say? That is where its newest job has taken it. Asks the broker, which may need that long to know of all guests
 * after a start. */
bool site_is_true(double seconds);

/* Asks over a connection of its own and waits; the reply is borrowed until the next one. NULL: no answer in time. */
const RmReply *site_ask(RmRequest *request, double seconds);

/* Seconds until a broker that was started at that time has answered a ping; negative: not within `most`. */
double site_first_answer(usec_t started_at, double most);

const struct env *site_env(void);

#endif
