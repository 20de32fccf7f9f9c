/* errand.h - a command that is given a text, for a time
 *
 * Its words are separated by blanks, and no shell reads them: nothing of what is told is ever part of a command line. It
 * has a group of processes of its own, which is killed when the time is over, the usual signals, no descriptor but
 * the text as its standard input and one for what it says, and the program's environment with some more variables. */
#ifndef SUBMIT_WATCH_ERRAND_H
#define SUBMIT_WATCH_ERRAND_H

#include "conf/env.h"
#include "conf/err.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    ERRAND_WORDS_MAX = 64, /* of a command */
    ERRAND_OUTPUT_MAX =
        4096, /* bytes that are kept of what it says; the rest is read and dropped */
};

struct errand {
    const char *command;
    const char *const *variables; /* "NAME=VALUE", NULL behind them */
    const char *text;
    size_t length;
    usec_t timeout;
    int stop; /* a descriptor that is readable when the program ends: it has stop_for left then */
    usec_t stop_for;
};

/* 0: it ended with 0. Else err says how it ended: -ETIME (killed), -EIO (another code, or a signal), or why it did not
 * begin. output: what it said on stdout and stderr. */
int errand_run(const struct errand *errand, char output[static ERRAND_OUTPUT_MAX],
               struct rm_err *err);

/* May this user run it? */
int errand_check(const char *command, struct rm_err *err);

#endif
