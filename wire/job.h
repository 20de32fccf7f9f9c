/* job.h - the life of a job: its states, what can happen to it, and which moves are legal
 *
 * Pure: no memory, no clock, no I/O. The states and events themselves stand in wire/rmigrate.proto,
 * the picture in docs/protocol.md; job.c holds the one table. A job is moved by the
 * verbs of broker/job.h, which ask job_next() and write the event.
 *
 * The rule that the table keeps: nothing moves a job that was RUNNING back to QUEUED but the
 * knowledge of where its guest is. LOST leads to DOUBT, and only what was seen on the hypervisors
 * leads out of it. */
#ifndef WIRE_JOB_H
#define WIRE_JOB_H

#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>

/* The state that follows, or RM_STATE__NO_STATE when the move is not legal. */
RmState job_next(RmState state, RmEventKind event);

/* DONE, FAILED, CANCELLED: nothing moves it any more. */
bool job_is_final(RmState state);

/* ASSIGNED, RUNNING, CANCELLING, DOUBT: it takes a slot of its source and of its destination, and
 * its guest's memory is counted on both. */
bool job_is_active(RmState state);

/* Lower-case names, "queued", "still migrating"; "?" for a number that has none. */
const char *job_state_name(RmState state);
const char *job_event_name(RmEventKind event);

/* The state of that name, or RM_STATE__NO_STATE. */
RmState job_state_parse(const char *name);

const char *guest_state_name(RmGuestState state);

/* True when the guest's processors may run there: running, paused, suspended, in post-copy, or in
 * shutdown, which a reboot is for a moment as well. */
bool guest_is_active(RmGuestState state);

#endif
