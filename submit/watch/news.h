/* news.h - what somebody is told: one line for people, JSON for programs
 *
 *     {"version": 1, "site": "mgmt", "at": 1767225600.000000, "text": "2 guests could not be moved: kvm1, kvm2",
 *      "items": [{"kind": "failed", "over": false, "good": false, "at": ..., "guest": "kvm1", "host": "hyp01", "job": 7,
 *                 "batch": 6, "why": "..."}, ...], "more": 0}
 *
 * kind: a word of the setting `on`. over: what the kind says has ended; of an evacuation: it has. good: nobody has to
 * do anything. guest, host, job, batch, why: null where there is none. more: news that are only counted. A newer
 * program may add fields; `version` changes when one of these changes its meaning. */
#ifndef SUBMIT_WATCH_NEWS_H
#define SUBMIT_WATCH_NEWS_H

#include "conf/env.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    NEWS_WHY_MAX = 2048,  /* bytes of `why`; an account of an evacuation is not longer */
    NEWS_TEXT_MAX = 1024, /* bytes of the line for people */
    NEWS_NAMED_MAX = 5,   /* guests or hosts that the line names of each kind */
};

const char *news_kind_name(RmNewsKind kind); /* "failed" */

struct news {
    const char *site;
    usec_t at; /* by the wall clock */
    RmNews *const *items;
    size_t n;
    uint64_t more;
};

/* The buffer is returned. */
const char *news_text(const struct news *news, char buffer[static NEWS_TEXT_MAX]);
/* One line with its end, to be freed. NULL: no memory. */
char *news_json(const struct news *news, const char *text, size_t *ret_length);

#endif
