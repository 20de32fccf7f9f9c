/* command.h - the one table of commands: name, what it says of itself, its options, its function */
#ifndef SUBMIT_COMMAND_H
#define SUBMIT_COMMAND_H

#include "submit/args.h"
#include "submit/client.h"

#include <stdbool.h>
#include <stdio.h>

enum { COMMAND_ANY = 1000000 }; /* operands at most */

struct command {
    const char *name;
    const char *operands; /* for --help: "NODERANGE [TARGET]" */
    const char *doc;      /* one line */
    size_t least, most;   /* operands */
    unsigned options;     /* enum option_set */
    bool has_nodes;       /* the first operand is a noderange */
    bool has_target;      /* a second operand is the destination */
    unsigned takes;       /* KEY=VALUE among its operands: enum operand_key */
    bool needs_select;    /* one of operands, --batch, --guests, --host, --all must be there */
    int (*run)(struct client *client, const struct args *args); /* the exit code */
    bool local;                                                 /* asks no broker: client is NULL */
    RmRequest__AskCase ask; /* what it asks, where run serves several commands */
    const char *topic;      /* heading in the general help; NULL: as above */
    const char *more;       /* the rest of --help, or NULL */
};

const struct command *command_find(const char *name); /* NULL: no such command */
const struct command *command_at(size_t i);           /* NULL behind the last one */
const struct command *command_general(void);          /* for "no command": --help, --version */

/* The general help: usage, all commands, what holds for all of them. */
void command_help(FILE *file);

#endif
