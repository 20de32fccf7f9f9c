/* zvm_view.h - a job of a guest on z/VM in the words of xCAT: "Running VMRELOCATE action=MOVE against
 * LNX3... Done"
 *
 * All texts are in the arena; NULL: no memory. */
#ifndef SUBMIT_ZVM_VIEW_H
#define SUBMIT_ZVM_VIEW_H

#include "wire/msg.h"
#include "wire/rmigrate.pb-c.h"

const char *zvm_done(struct arena *arena, const RmJobView *view);
const char *zvm_failed(struct arena *arena, const RmJobView *view, const char *text);

/* Of a CANCEL: the relocation was stopped, or it was not. */
const char *zvm_stopped(struct arena *arena, const RmJobView *view);
const char *zvm_not_stopped(struct arena *arena, const RmJobView *view, const char *text);

/* "z/VM user LNX3 in SSI cluster C". */
const char *zvm_identity(struct arena *arena, const RmJob *job);

#endif
