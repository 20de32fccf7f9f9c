/* args.h - the command line: which command, its operands and its options
 *
 * The first word that is no option and no option's value is a command, or else the noderange of
 * `submit`; options may stand before and after. What is wrong is said on stderr in argp's manner,
 * and the program ends with EXIT_USAGE; --help and --version end it as well. */
#ifndef SUBMIT_ARGS_H
#define SUBMIT_ARGS_H

#include "conf/conf.h"
#include "submit/operand.h"
#include "wire/rmigrate.pb-c.h"

#include <argp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ARGS_STATES_MAX = 16,
    ARGS_LIMIT_DEFAULT = 1000, /* rows of what is finished */
    ARGS_LIMIT_MAX = 1000000,
    ARGS_ATTEMPTS_MAX = 1000,
    ARGS_PRIORITY_MAX = 1000000,
};

/* Keys of the options; those below 128 are letters. */
enum args_key {
    KEY_CONF = 'c',
    KEY_HELP = 'h',
    KEY_VERSION = 'v',
    KEY_VERBOSE = 'V',
    KEY_ADD = 'a', /* tabrestore; of jobs: --finished */
    KEY_BLAME = 'b',
    KEY_DELETE = 'd', /* chtab, nodech; of tabdump: --describe */
    KEY_FILE = 'f',
    KEY_FIELDS = 'H', /* --with-fieldname */
    KEY_HIDDEN = 'S',
    KEY_WHERE = 'w',
    KEY_USAGE = 256,
    KEY_JSON,
    KEY_NOHEADINGS,
    KEY_TO,
    KEY_DETACH,
    KEY_DRY_RUN,
    KEY_PLAN,
    KEY_REASON,
    KEY_PRIORITY,
    KEY_BANDWIDTH,
    KEY_DOWNTIME,
    KEY_TIMEOUT,
    KEY_STALL,
    KEY_AUTO_CONVERGE,
    KEY_UNSAFE,
    KEY_FENCE,
    KEY_ATTEMPTS,
    KEY_ANYWHERE,
    KEY_CANCEL_ON_INTERRUPT,
    KEY_BATCH,
    KEY_GUESTS,
    KEY_HOST,
    KEY_ALL,
    KEY_STATE,
    KEY_FINISHED,
    KEY_LIMIT,
    KEY_MEND,
    KEY_DIR,
    KEY_ROLE,
    KEY_SECRETS,
};

struct command;

struct args {
    const struct command *command;
    char **operands; /* borrowed from argv; the array is owned */
    size_t n_operands;
    const char *conf_file; /* NULL: not given */
    char *line;            /* all of it, as typed but for passwords; owned */
    bool json, noheadings, verbose;
    /* moves */
    RmOptions options;
    const char *to; /* TARGET, --to or destination=; "" = none */
    struct operands zvm;
    const char *reason;
    uint32_t priority; /* 0: not given */
    bool detach, dry_run, plan, cancel_on_interrupt;
    /* which jobs or guests */
    uint64_t batch;     /* 0: not given */
    const char *guests; /* "": not given */
    const char *host;   /* "": not given */
    bool all;
    char *nodes[3]; /* noderanges whose files were read, args_read_files(); owned */
    /* listings */
    RmState states[ARGS_STATES_MAX];
    size_t n_states;
    bool finished;
    uint32_t limit; /* 0: not given */
    /* the rest */
    bool mend, add;
    const char *dir;
    enum role role;
    /* tables */
    bool blame, fields, hidden, delete, secrets;
    const char *file;   /* NULL: not given */
    const char **where; /* borrowed from argv; the array is owned */
    size_t n_where;
};

/* flags: of argp_parse; 0, or ARGP_NO_EXIT | ARGP_NO_ERRS in tests. 0, -EINVAL (only where argp may
 * not exit) or -ENOMEM.
 */
int args_parse(int argc, char **argv, unsigned flags, struct args *ret_args);
void args_done(struct args *args);

/* Replaces ^FILE in every noderange by what the files hold; what is wrong is said. 0 or -EINVAL. */
int args_read_files(struct args *args);

/* A job's or batch's number: decimal, not 0. -EINVAL. */
int args_number(const char *text, uint64_t most, uint64_t *ret_number);

#endif
