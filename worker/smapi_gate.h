/* smapi_gate.h - which login may be sent: a refused one never again, a new one by one alone
 *
 * Servers lock users after a few wrong passwords. So the gate remembers which version of the login
 * file was refused, and lets one thread try a version that was never used while the others wait.
 * Each server has a gate of its own; but the members of a cluster have one password and count wrong
 * ones together, so a version that one server refused is refused at all gates of the program, and
 * their trials follow one another as long as answers come soon.
 * Used by several threads at once; no I/O but reading the file. */
#ifndef WORKER_SMAPI_GATE_H
#define WORKER_SMAPI_GATE_H

#include "conf/env.h"
#include "conf/err.h"
#include "worker/smapi_login.h"

#include <stdbool.h>

struct smapi_gate;

/* login_file NULL: there are no logins, everybody may pass. Returns NULL for no memory. */
struct smapi_gate *smapi_gate_new(const char *login_file);
void smapi_gate_free(struct smapi_gate *gate);

/* Reads the file; until_at as env_system() counts. 0: use the login (wipe it afterwards); 1: the
 * same, but try it first and tell smapi_gate_tried(), all others wait for that; -EPERM: it was
 * refused; other negative errno: the file cannot be used, or the trial of another thread did not
 * come to an end. */
int smapi_gate_enter(struct smapi_gate *gate, usec_t until_at, struct smapi_login *ret_login,
                     struct smapi_stamp *ret_stamp, struct rm_err *err);

enum smapi_trial { SMAPI_TRIAL_GOOD, SMAPI_TRIAL_REFUSED, SMAPI_TRIAL_OPEN /* no answer */ };

/* How the trial ended, and the text for those who wait or come later. */
void smapi_gate_tried(struct smapi_gate *gate, enum smapi_trial trial, const char *text);

/* A login that was good is not any more. Of another version of the file: nothing happens. */
void smapi_gate_refused(struct smapi_gate *gate, const struct smapi_stamp *stamp, const char *text);

#endif
