/* site.h - what top knows of the site: its hypervisors and its jobs, as the broker told them last
 *
 * One answer after another: the hypervisors each HOSTS_EVERY, the jobs as soon as one has changed. A broker that is
 * away is asked again and again; what was known stays, and `trouble` says so. */
#ifndef SUBMIT_TOP_SITE_H
#define SUBMIT_TOP_SITE_H

#include "conf/env.h"
#include "submit/followed.h"

#include <stdbool.h>

#define SITE_HOSTS_EVERY (2 * USEC_PER_SEC)    /* or ten times as long as the answer takes */
#define SITE_JOBS_EVERY  (300 * USEC_PER_MSEC) /* at most so often */
#define SITE_SILENT_FOR  (4 * USEC_PER_SEC)    /* without an answer: it is worth a word */
#define SITE_ENDED_FOR   (20 * USEC_PER_SEC)   /* a job that has ended is still shown for so long */

enum { SITE_TROUBLE_MAX = 512 };

struct site {
    struct client *client;
    struct arena *about; /* of `pong`, and of `listed` */
    struct arena *next;  /* of what is asked now; they change places */
    const RmReply *pong; /* NULL: not told yet */
    struct arena *pong_memory;
    RmHostView **hosts; /* as the broker sorts them */
    size_t n_hosts;
    bool knows_hosts; /* they were told once */
    usec_t hosts_at;  /* when they are to be asked for again, by this clock */
    struct followed_jobs jobs;
    uint64_t ended[3]; /* since it was begun: done, failed, cancelled */
    unsigned
        n_differ; /* answers, one after another, that speak of another number of jobs than is known */
    usec_t whole_at; /* when all jobs were asked for because of that, by this clock */
    bool knows_jobs; /* they were told once */
    usec_t
        heard_at; /* of the last round that was answered, by this clock; at first: the beginning */
    usec_t patience; /* with one answer */
    char trouble
        [SITE_TROUBLE_MAX]; /* why the broker is away; "": it is there, or it is not known yet */
};

int site_new(struct client *client, struct site **ret_site); /* 0 or -ENOMEM */
void site_free(struct site *site);                           /* NULL is fine */

/* One round of questions, which takes up to half a second. What it says is whole at any time: who draws while it
 * waits sees the answer before. 0; -ETIMEDOUT: the broker is away, and it is to be asked again; what the
 * client's watch said; other errors are the end. */
int site_look(struct site *site, struct rm_err *err);

#endif
