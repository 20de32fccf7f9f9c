/* job_view.h - one job in words and as JSON */
#ifndef SUBMIT_JOB_VIEW_H
#define SUBMIT_JOB_VIEW_H

#include "submit/listing.h"
#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>

/* How a final job ended, for `NODE: text`: "migrated to hyp02", and on z/VM what xCAT prints there,
 * "Running VMRELOCATE action=MOVE against LNX3... Done". It names no duration, so that xcoll
 * folds equal ones; figures: append them, for --verbose. In the arena; NULL: no memory. */
const char *view_result(struct arena *arena, const RmJobView *view, bool figures);

/* The same for who asked that it be stopped: "Running VMRELOCATE action=CANCEL against LNX3...
 * Done". */
const char *view_stopped(struct arena *arena, const RmJobView *view);

/* True for DONE: the line goes to stdout, all others to stderr. */
bool view_is_good(const RmJobView *view);

/* Hypervisors that a job names wherever many jobs are shown; with more of them it says how many. A
 * batch of 15,000 jobs that may go to 400 hosts each would else be 140 MB of names. */
enum { VIEW_TO_MAX = 16 };

/* Where a job goes, as far as it is known: the destination, or "hyp02,hyp03" as requested, or
 * "any of 400", or "any". whole: every name, however many. In the arena or static. */
const char *view_destination(struct arena *arena, const RmJobView *view, bool whole);

/* How far the memory is copied, in percent: 0..99, or -1 when it is not known. */
int view_percent(const RmStats *stats);

/* How long the rest of the copy takes at the rates of now; 0: not known, or never. */
usec_t view_left_for(const RmStats *stats);

/* "kvm" or "zvm", as the tables call them. */
const char *view_kind(RmKind kind);

/* For columns: state and kind of a job (RmJobView); what an event (RmEvent) is, and the job's state
 * after it. */
void view_put_state(struct cell *cell, const void *record);
void view_put_kind(struct cell *cell, const void *record);
void view_put_downtime(struct cell *cell, const void *record); /* measured; none: nothing */
void view_put_event(struct cell *cell, const void *record);
void view_put_event_state(struct cell *cell, const void *record);

/* "always" or "never"; "": as the settings say. */
const char *view_fence_mode(const RmOptions *options);

/* What the guest is to its hypervisor: "uuid ...", "z/VM user LNX3 in SSI cluster C". In the arena or
 * static. */
const char *view_identity(struct arena *arena, const RmJob *job);

/* A job (RmJobView) in JSON: the same in every answer. The columns have no headings. */
extern const struct column view_columns[];

/* The same for an event (RmEvent) of a job or of the site. */
extern const struct column view_event_columns[];

/* All that is known of a job, with its events, into an object that is open. reply: to RmShow, with the job. */
void view_whole(struct json *json, const RmReply *reply);

#endif
