/* view.h - one job in words and as JSON */
#ifndef SUBMIT_VIEW_H
#define SUBMIT_VIEW_H

#include "submit/client.h"
#include "submit/json.h"
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

/* Where a job goes, as far as it is known: the destination, or "hyp02,hyp03" as wished, or "any".
 * In the arena or static. */
const char *view_destination(struct arena *arena, const RmJobView *view);

/* How far the memory is copied, in percent: 0..99, or -1 when it is not known. */
int view_percent(const RmStats *stats);

/* What became of each guest or host of a request, as lines or as JSON. EXIT_SOME_FAILED when one is
 * not well. */
int view_outcomes(const RmReply *reply, bool json);

/* Asks for a change and prints what became of each guest, job or host; the broker may hold its
 * answer back for hold_for. nothing: what to note when there was none; NULL: nothing. Returns the
 * exit code. */
int view_question(struct client *client, RmRequest *request, uint64_t hold_for, bool json,
                  const char *nothing);

/* "kvm" or "zvm", as the tables call them. */
const char *view_kind(RmKind kind);

/* The fields of a job, into an object that is open. */
void view_json(struct json *json, const RmJobView *view);

#endif
