/* smapi_login_guard.h - which login may be sent: a refused one never again, a new one by one alone
 *
 * Servers lock users after a few wrong passwords. So the guard remembers which version of the login
 * file was refused, and lets one thread try a version that was never used while the others wait.
 * Each server has a guard of its own; but the members of a cluster have one password and count
 * wrong ones together, so a version that one server refused is refused at all guards of the
 * program, and their trials follow one another as long as answers come soon. Used by several
 * threads at once; no I/O but reading the file. */
#ifndef WORKER_ZVM_SMAPI_LOGIN_GUARD_H
#define WORKER_ZVM_SMAPI_LOGIN_GUARD_H

#include "conf/env.h"
#include "conf/err.h"
#include "worker/zvm/smapi_login.h"

#include <stdbool.h>

struct smapi_guard;

/* login_file NULL: there are no logins, everybody may pass. Returns NULL for no memory. */
struct smapi_guard *smapi_guard_new(const char *login_file);
void smapi_guard_free(struct smapi_guard *guard);

/* Reads the file; until_at as env_system() counts. 0: use the login (wipe it afterwards); 1: the
 * same, but try it first and call smapi_guard_tried(), all others wait for that; -EPERM: it was
 * refused; other negative errno: the file cannot be used, or the trial of another thread did not
 * come to an end. */
int smapi_guard_enter(struct smapi_guard *guard, usec_t until_at, struct smapi_login *ret_login,
                      struct smapi_stamp *ret_stamp, struct rm_err *err);

enum smapi_trial { SMAPI_TRIAL_GOOD, SMAPI_TRIAL_REFUSED, SMAPI_TRIAL_OPEN /* no answer */ };

/* How the trial ended, and the text for those who wait or come later. */
void smapi_guard_tried(struct smapi_guard *guard, enum smapi_trial trial, const char *text);

/* A login that was good is not any more. Of another version of the file: nothing happens. */
void smapi_guard_refused(struct smapi_guard *guard, const struct smapi_stamp *stamp,
                         const char *text);

#endif
