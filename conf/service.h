/* service.h - what a daemon needs of its surroundings: signals, readiness, watchdog, exit codes */
#ifndef CONF_SERVICE_H
#define CONF_SERVICE_H

#include "conf/env.h"
#include "conf/err.h"

#include <argp.h>
#include <stdbool.h>
#include <sys/types.h>

/* Exit codes of all programs; the client's are in the man page and scripts rely on them. */
enum service_exit {
    EXIT_OK = 0,
    EXIT_SOME_FAILED = 1, /* a guest failed; of a daemon: it could not go on */
    EXIT_USAGE = 2,       /* command line or settings */
    EXIT_NO_BROKER = 3,   /* not reached, or time-out */
    EXIT_TABLE = 4,       /* table or CSV */
    EXIT_NOT_PERMITTED = 5,
    EXIT_CHANGED = 6, /* a plan is not carried out: things have changed */
    EXIT_INTERRUPTED = 130,
};

/* --help, --usage and --version, to be a child of a program's argp, which is parsed with
 * ARGP_NO_HELP. */
extern const struct argp service_argp;

/* From now on a process that ends well, but whose output could not be written, ends with
 * EXIT_SOME_FAILED and says so. */
void service_check_output(void);

/* A daemon's command line: -c FILE, --check, --log-level, --version, --help. Opens the log under
 * `name` (kept). doc is argp's: what it does, \v, what else there is to say. Returns the file of -c
 * or NULL. Ends the process where there is nothing more to do (--help, --version) or the line is
 * wrong (EXIT_USAGE). */
const char *service_begin(const char *name, const char *doc, int argc, char **argv,
                          bool *ret_check);

/* --check: each thing that is looked at goes through service_wrong(), which logs the failure and
 * returns 1 for it, else 0. The sum is what service_checked() makes the exit code of: where nothing
 * is wrong it says so on stdout. file: as service_begin() returned it. */
unsigned service_wrong(int r, const struct rm_err *err);
int service_checked(const char *file, unsigned wrong);

/* Blocks SIGINT, SIGTERM and SIGHUP and returns a signalfd for them (close it yourself), or -errno.
 * SIGPIPE is ignored. Call it before any thread starts. */
int service_signals(void);

/* Reads one signal; 0 when there is none. Does not block. ret_uid: whose process sent it; may be
 * NULL. */
int service_signal_read(int fd, uid_t *ret_uid);

/* sd_notify: does nothing where there is no systemd. status may be NULL. */
void service_ready(const char *status);
void service_stopping(void);
void service_reloading(usec_t now); /* until service_ready() */

/* systemd's watchdog, which is fed twice in its interval. */
struct watchdog {
    usec_t interval; /* between two meals; 0: it wants none */
    usec_t due_at;   /* the next one */
};
struct watchdog service_watchdog(void);
/* How long a loop may wait that has something to do at deadline: no longer than the watchdog does,
 * nor than an hour. */
usec_t service_wait(const struct watchdog *watchdog, usec_t now, usec_t deadline);
void service_alive(struct watchdog *watchdog, usec_t now); /* feeds it when that is due */

/* "0.1.0 (git commit abc1234)"; where the version is written is CMakeLists.txt. */
const char *service_version(void);

/* For people and their scripts: "Version 0.1.0 (git commit abc1234, built 2026-11-23)". */
const char *service_version_line(void);

#endif
