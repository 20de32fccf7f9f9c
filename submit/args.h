/* args.h - what a command gets of its line: its operands, and the values of its options
 *
 * Filled by cmdline_parse(). Where nothing was given, a text is "" (a file NULL), a number 0 and a
 * flag false. Texts are borrowed from argv. */
#ifndef SUBMIT_ARGS_H
#define SUBMIT_ARGS_H

#include "conf/env.h"
#include "conf/word.h"
#include "submit/zvm_operand.h"
#include "wire/rmigrate.pb-c.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ARGS_STATES_MAX = 16 };

struct args {
    const char *command; /* its name */
    RmRequest__AskCase ask;
    char **operands; /* the array is owned */
    size_t n_operands;
    char *line; /* all of it, as typed but for passwords; owned */
    const char *conf_file;
    bool json, noheadings, verbose;
    /* moves */
    RmOptions options;
    const char *to; /* TARGET, --to or destination= */
    struct operands zvm;
    const char *reason;
    uint32_t priority;
    bool local;       /* with a broker of its own */
    const char *from; /* with that: URIs of where the guests run */
    bool detach, dry_run, plan, no_room, cancel_on_interrupt;
    const char *run; /* of a maintenance: its command; NULL: none */
    uint32_t at_once;
    bool reboots;
    usec_t back_within;
    uint64_t apply; /* a plan that is kept */
    bool replan;
    const char *snapshot; /* a file, or NULL */
    /* which jobs or guests */
    uint64_t batch;
    const char *guests;
    const char *host;
    bool all;
    bool site;
    char *nodes[3]; /* noderanges whose files were read; owned */
    /* listings */
    RmState states[ARGS_STATES_MAX];
    size_t n_states;
    bool paused; /* besides the states */
    bool finished;
    uint32_t limit; /* rows */
    /* site, keys */
    bool repair, add;
    bool broker; /* the key is the broker's own */
    const char *dir;
    const char *address, *operators; /* of a new site */
    const char *owner;
    enum role role;
    /* tables */
    bool blame, fields, hidden, delete, describe, secrets;
    const char *file;
    const char **where; /* the array is owned */
    size_t n_where;
};

void args_done(struct args *args);

/* The number of a job or a batch: decimal, from 1 to most. 0 or -EINVAL. */
int args_number(const char *text, uint64_t most, uint64_t *ret_number);

#endif
