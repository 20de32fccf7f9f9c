/* option.h - the options of all commands
 *
 * An option is one row: its names, its help, the sets of options that it belongs to, and where in
 * struct args its value goes. A command names its sets (command.h). Two rows may have one name, with
 * help of their own for the commands that take them; both take a value or neither does. */
#ifndef SUBMIT_OPTION_H
#define SUBMIT_OPTION_H

#include "conf/err.h"
#include "submit/args.h"

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>

enum option_set {
    OPTIONS_COMMON = 1 << 0,
    OPTIONS_MOVE = 1 << 1,
    OPTIONS_DRY_RUN = 1 << 2,
    OPTIONS_PLAN = 1 << 3,
    OPTIONS_WAIT = 1 << 4,   /* of commands that wait for jobs */
    OPTIONS_SELECT = 1 << 5, /* which jobs a command is for */
    OPTIONS_REASON = 1 << 6,
    OPTIONS_JSON = 1 << 7,
    OPTIONS_LISTING = 1 << 8,
    OPTIONS_LIMIT = 1 << 9,
    OPTIONS_JOBS = 1 << 10, /* which jobs are listed */
    OPTIONS_GUESTS = 1 << 11,
    OPTIONS_REPAIR = 1 << 12,
    OPTIONS_RESTORE = 1 << 13,
    OPTIONS_DUMP = 1 << 14,
    OPTIONS_SECRETS = 1 << 15,
    OPTIONS_FIELDS = 1 << 16,
    OPTIONS_NODES = 1 << 17,
    OPTIONS_DELETE = 1 << 18,
    OPTIONS_KEYGEN = 1 << 19,
    OPTIONS_HOST = 1 << 20,  /* jobs away from a host */
    OPTIONS_HOME = 1 << 22,  /* of guests that come home */
    OPTIONS_HOLD = 1 << 21,  /* the same and the site, also for jobs to come */
    OPTIONS_LOCAL = 1 << 26, /* a broker of one's own */
    OPTIONS_FROM = 1 << 27,
    OPTIONS_INIT = 1 << 25, /* of a new site */
    OPTIONS_TOP = 1 << 24,  /* which jobs are shown at first */
    OPTIONS_MAINTAIN = 1 << 30,
    OPTIONS_KEPT = 1 << 28,   /* of plans that are kept */
    OPTIONS_MODIFY = 1 << 23, /* that a job may be given anew; without "--" too */
};

/* Keys of the options that are no values: who parses the line acts on them. */
enum option_key { OPTION_HELP = 'h', OPTION_VERSION = 'v', OPTION_USAGE = 256 };

enum { OPTIONS_MAX = 100 };

/* The options of these sets, ended by a row of zeros, as argp takes them. */
void option_list(unsigned sets, struct argp_option ret_list[static OPTIONS_MAX]);

/* Does an option of any command take a value? name: a long name or its beginning, as getopt takes
 * it; NULL: the letter counts. */
bool option_takes_value(const char *name, size_t length, int letter);

/* Keeps the value (NULL: the option takes none) of the option of these sets that has this key. 0;
 * ARGP_ERR_UNKNOWN: no option has it; -EINVAL: the value is wrong; -ENOMEM. */
int option_take(unsigned sets, int key, const char *value, struct args *args, struct rm_err *err);

/* Keeps the value of a word NAME=VALUE, NAME in any case, if that is an option of these sets. 1: taken; 0: it is none;
 * -EINVAL: the value is wrong. */
int option_operand(unsigned sets, const char *word, struct args *args, struct rm_err *err);

#endif
