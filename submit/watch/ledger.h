/* ledger.h - what is known of the site, so that each thing is told once, and what is to be told to whom
 *
 * Pure: no clock, no thread, no file. It is given what the broker answers, finds out what of that is news, and
 * puts it into the boxes of those who want to be told. What it knows and what is in the boxes is one record (RmLedger):
 * whoever begins with a stored one tells what has happened meanwhile, and nothing twice.
 *
 * Jobs. Each answer to RmFollow is a round: ledger_round(), its jobs, and where it told all unfinished ones, what is to be asked
 * besides: those that were unfinished and are not named any more (ledger_missed()), and those with numbers above
 * ledger_last_job() that have failed since (after ledger_beside()). Then ledger_rounded(). A job that has ended is told when it was known to be
 * unfinished, or was not known and has a higher number than all that were.
 *
 * A ledger that has no stored record is new: what is unfinished, locked or in doubt is told, what was before is not. */
#ifndef SUBMIT_WATCH_LEDGER_H
#define SUBMIT_WATCH_LEDGER_H

#include "conf/conf.h"
#include "submit/watch/outbox.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ledger;

struct ledger *ledger_new(const struct conf_watch *conf); /* borrowed; NULL: no memory */
void ledger_free(struct ledger *ledger);                  /* NULL is fine */

/* The stored record. It is to be freed. */
int ledger_pack(const struct ledger *ledger, uint8_t **ret_record, size_t *ret_length);
/* Of a new one only. -EPROTO: it is none. */
int ledger_unpack(struct ledger *ledger, const uint8_t *record, size_t length, usec_t now);

bool ledger_is_new(const struct ledger *ledger);
void ledger_begun(struct ledger *ledger); /* it is new no more: the site was looked at once */

/* Something changed that must not be lost, or told again, since this was asked last. */
bool ledger_has_changed(struct ledger *ledger);
void ledger_touch(struct ledger *ledger); /* that is so */

/* The box of row i of the settings. */
struct outbox *ledger_box(struct ledger *ledger, size_t i);

/* The time of what follows. */
void ledger_at(struct ledger *ledger, usec_t now, usec_t wall);

/* ---- jobs; -ENOMEM is their only error */

void ledger_round(struct ledger *ledger, bool whole);
int ledger_job(struct ledger *ledger, const RmJobView *view);
/* The next of the unfinished ones that this whole round has not named: n at most; they count as named then. */
size_t ledger_missed(struct ledger *ledger, uint64_t *ret_ids, size_t n);
void ledger_beside(struct ledger *ledger); /* what follows is not from the round's own answer */
uint64_t ledger_last_job(const struct ledger *ledger);
/* The broker's highest number, before the first round. A lower one than was known is that of another store. */
void ledger_start_jobs(struct ledger *ledger, uint64_t highest);
void ledger_rounded(struct ledger *ledger);
void ledger_forget(struct ledger *ledger, uint64_t id); /* the broker does not know it any more */

/* ---- guests: ledger_locks(), all guests, ledger_locked() */

bool ledger_wants_guests(
    const struct ledger *ledger); /* something may have been locked or released */
void ledger_locks(struct ledger *ledger);
int ledger_guest(struct ledger *ledger, const RmGuest *guest);
void ledger_locked(struct ledger *ledger);

/* ---- events without a job, the oldest first, and hosts */

uint64_t ledger_last_event(const struct ledger *ledger);
void ledger_start_events(struct ledger *ledger, uint64_t last); /* those up to there are known */
void ledger_event(struct ledger *ledger, const RmEvent *event);
int ledger_host(struct ledger *ledger, const RmHostView *view);

/* ---- the broker */

void ledger_away(struct ledger *ledger, const char *broker, const char *why);
void ledger_back(struct ledger *ledger, const char *broker);

#endif
