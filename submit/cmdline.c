/* cmdline.c - the command line: which command, its operands and its options */
#include "submit/cmdline.h"

#include "conf/service.h"
#include "submit/nodefile.h"
#include "submit/option.h"
#include "submit/out.h"

#include <argp.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* What argp hands to its functions. */
struct parse {
    const struct command *command;
    struct args *args;
};

/* ---- which word is the command */

/* How many arguments the option takes up: itself, and its value when that is a word of its own. */
static int option_length(const char *option)
{
    if (option[1] == '-') {
        const char *name = option + 2;
        return !strchr(name, '=') && option_takes_value(name, strlen(name), 0) ? 2 : 1;
    }
    for (const char *p = option + 1; *p; p++)
        if (option_takes_value(NULL, 0, *p))
            return p[1] == '\0' ? 2 : 1;
    return 1;
}

/* Which command, and the index of the word that says so, or 0: behind "--" nothing is a command,
 * and a word that is none is the noderange of `submit`. */
static const struct command *which_command(int argc, char **argv, int *ret_word)
{
    int i = 1;
    while (i < argc && argv[i][0] == '-' && argv[i][1] != '\0' && strcmp(argv[i], "--") != 0)
        i += option_length(argv[i]);
    *ret_word = 0;
    if (i >= argc)
        return command_general();
    const struct command *command = command_find(argv[i]);
    if (command)
        *ret_word = i;
    return command ? command : command_find("submit");
}

/* ---- operands */

/* Prints the error, with which argp ends the program. */
#define fail(state, ...) (argp_error((state), __VA_ARGS__), EINVAL)

/* What is typed behind the noderange of a move: the destination. */
static error_t parse_target(const char *target, struct argp_state *state, struct args *args)
{
    if (args->to[0] != '\0' && strcmp(args->to, target) != 0)
        return fail(state, "two destinations: '%s' and '%s'", args->to, target);
    if (target[0] == '\0')
        return fail(state, "the destination is empty");
    args->to = target;
    return 0;
}

/* Among the operands: KEY=VALUE. ARGP_ERR_UNKNOWN: it is none. */
static error_t parse_pair(const struct parse *parse, const char *word, struct argp_state *state)
{
    struct args *args = parse->args;
    struct rm_err err = {0};
    bool had = args->zvm.destination[0] != '\0';
    int r = option_operand(parse->command->options & OPTIONS_MODIFY, word, args, &err);
    if (r == 0)
        r = operands_take(&args->zvm, parse->command->takes, word, &err);
    if (r < 0)
        return fail(state, "%s", err.text);
    if (r > 0 && !had && args->zvm.destination[0] != '\0')
        return parse_target(args->zvm.destination, state, args);
    return r > 0 ? 0 : ARGP_ERR_UNKNOWN;
}

static error_t parse_operand(const struct parse *parse, char *word, struct argp_state *state)
{
    const struct command *command = parse->command;
    struct args *args = parse->args;
    if (command->takes && (args->n_operands > 0 || command->least == 0)) {
        error_t r = parse_pair(parse, word, state);
        if (r != ARGP_ERR_UNKNOWN)
            return r;
    }
    if (command->has_target && args->n_operands == 1)
        return parse_target(word, state, args);
    if (args->n_operands == command->most)
        return fail(state, "'%s' is one operand too many (join names with commas: a,b)", word);
    args->operands[args->n_operands++] = word;
    return 0;
}

/* ---- is it all there, and does it go together */

/* action=TEST is a dry run; CANCEL is no move at all. */
static error_t check_action(struct argp_state *state, struct args *args)
{
    const char *other = args->detach ? "--detach" : args->dry_run ? "--dry-run" : NULL;
    if (args->zvm.action == ACTION_MOVE)
        return 0;
    if (args->zvm.action == ACTION_TEST)
        other = args->detach ? "--detach" : NULL;
    if (other)
        return fail(state, "%s and action=%s exclude each other", other, args->zvm.action_text);
    args->dry_run = args->zvm.action == ACTION_TEST;
    return 0;
}

/* What modify changes: a move that goes on has either limits of libvirt or limits of z/VM. */
static error_t check_change(struct argp_state *state, const struct args *args)
{
    const RmOptions *o = &args->options;
    bool some = o->bandwidth || o->downtime_for || o->timeout_for || o->stall_for || args->priority;
    if (some && args->zvm.given)
        return fail(state, "max_total= and max_quiesce= are for guests on z/VM: give them alone");
    if (!some && !args->zvm.given)
        return fail(state, "specify bandwidth=, downtime=, timeout=, stall=, priority=, or, for "
                           "guests on z/VM, max_total= and max_quiesce=");
    return 0;
}

static bool is_selected(const struct args *args)
{
    return args->n_operands > 0 || args->batch || args->guests[0] || args->host[0] || args->all ||
           args->site;
}

/* After the last argument. */
static error_t check(const struct parse *parse, struct argp_state *state)
{
    const struct command *command = parse->command;
    struct args *args = parse->args;
    if (command == command_general()) {
        if (state->flags & ARGP_NO_EXIT)
            return EINVAL;
        command_help(stderr);
        exit(EXIT_USAGE);
    }
    bool is_empty = false;
    for (size_t i = 0; i < args->n_operands; i++)
        is_empty = is_empty || args->operands[i][0] == '\0';
    if (command->needs_select && !is_selected(args))
        argp_error(state, "specify job numbers, --batch, --guests, --host%s or --all",
                   command->options & OPTIONS_HOLD ? ", --site" : "");
    else if (args->site &&
             (args->n_operands > 0 || args->batch || args->guests[0] || args->host[0] || args->all))
        argp_error(state, "--site is everything: nothing else can be given");
    else if (args->apply && args->n_operands > 0)
        argp_error(state, "--apply is a plan with its hypervisors: nothing else can be named");
    else if (args->snapshot && (!args->plan || args->local || args->apply))
        argp_error(state, "--snapshot is for --plan alone");
    else if (args->replan && !args->apply)
        argp_error(state, "--replan needs --apply");
    else if (args->n_operands < command->least && !args->apply)
        argp_error(state, "%s is missing", command->operands);
    else if (args->detach && (args->dry_run || args->plan))
        argp_error(state, "--detach and %s exclude each other",
                   args->plan ? "--plan" : "--dry-run");
    else if (is_empty)
        argp_error(state, "an operand is empty");
    else if (command->takes == OPERANDS_OF_LIMITS)
        return check_change(state, args);
    else
        return check_action(state, args);
    return EINVAL;
}

/* ---- argp */

static void help(struct argp_state *state, const struct command *command)
{
    if (command != command_general()) {
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
        return;
    }
    command_help(stdout);
    if (!(state->flags & ARGP_NO_EXIT))
        exit(EXIT_OK);
}

static error_t parse_any(int key, char *text, struct argp_state *state)
{
    const struct parse *parse = state->input;
    struct rm_err err = {0};
    int r;
    switch (key) {
    case OPTION_HELP:
        help(state, parse->command);
        return 0;
    case OPTION_USAGE:
        argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
        return 0;
    case OPTION_VERSION:
        printf("%s\n", service_version_line());
        if (!(state->flags & ARGP_NO_EXIT))
            exit(EXIT_OK);
        return 0;
    case ARGP_KEY_ARG:
        return parse_operand(parse, text, state);
    case ARGP_KEY_END:
        return check(parse, state);
    default:
        r = option_take(parse->command->options, key, text, parse->args, &err);
        if (r == -EINVAL)
            argp_error(state, "%s", err.text);
        return r < 0 ? -r : r;
    }
}

/* Leaves out argp's remark that short options take what long ones take. */
static char *filter_help(int key, const char *text, void *input)
{
    (void)input;
    return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)text;
}

static int run_argp(int argc, char **argv, unsigned flags, struct parse *parse)
{
    const struct command *command = parse->command;
    struct argp_option options[OPTIONS_MAX];
    char *doc = NULL, *name = NULL;
    int r = -ENOMEM;
    if (asprintf(&name, "rmigrate%s%s", command->name[0] ? " " : "", command->name) < 0)
        name = NULL;
    if (asprintf(&doc, "%s.\v%s", command->doc, command->more ? command->more : "") < 0)
        doc = NULL;
    if (!name || !doc)
        goto out;
    option_list(command->options, options);
    const struct argp argp = {.options = options,
                              .parser = parse_any,
                              .args_doc = command->operands,
                              .doc = doc,
                              .help_filter = filter_help};
    argv[0] = name;
    error_t e = argp_parse(&argp, argc, argv, flags | ARGP_NO_HELP, NULL, parse);
    r = e == ENOMEM ? -ENOMEM : e != 0 ? -EINVAL : 0;
out:
    free(doc);
    free(name);
    return r;
}

/* ---- all of it */

/* The line is kept in the history: a password is not for it. */
static char *join(int argc, char **argv)
{
    static const char secret[] = "vidpassword", mask[] = "********";
    size_t length = 1;
    for (int i = 0; i < argc; i++)
        length += strlen(argv[i]) + sizeof(mask);
    char *line = malloc(length), *p = line;
    if (!line)
        return NULL;
    for (int i = 0; i < argc; i++) {
        const char *word = i > 0 ? argv[i] : "rmigrate", *found = strstr(word, secret);
        const char *value = found ? strpbrk(found, "=~") : NULL;
        p = stpcpy(p, i > 0 ? " " : "");
        if (value)
            p = stpcpy(mempcpy(p, word, (size_t)(value + 1 - word)), mask);
        else
            p = stpcpy(p, word);
    }
    return line;
}

int cmdline_parse(int argc, char **argv, unsigned flags, const struct command **ret_command,
                  struct args *ret_args)
{
    int word, r = -ENOMEM;
    const struct command *command = which_command(argc, argv, &word);
    struct args args = {.command = command->name,
                        .ask = command->ask,
                        .to = "",
                        .from = "",
                        .reason = "",
                        .guests = "",
                        .host = "",
                        .dir = "",
                        .address = "",
                        .operators = "",
                        .owner = "",
                        .role = ROLE_OPERATOR};
    rm_options__init(&args.options);
    operands_init(&args.zvm);
    argp_err_exit_status = EXIT_USAGE;
    args.line = join(argc, argv);
    args.operands = calloc((size_t)argc + 1, sizeof(*args.operands));
    args.where = calloc((size_t)argc + 1, sizeof(*args.where));
    char **rest = calloc((size_t)argc + 1, sizeof(*rest));
    if (!args.line || !args.operands || !args.where || !rest)
        goto out;
    int n = 0;
    for (int i = 0; i < argc; i++)
        if (i == 0 || i != word)
            rest[n++] = argv[i];
    struct parse parse = {command, &args};
    r = run_argp(n, rest, flags, &parse);
out:
    free(rest);
    if (r < 0) {
        args_done(&args);
        return r;
    }
    *ret_command = command;
    *ret_args = args;
    return 0;
}

static int read_files(const char *expression, char **ret_nodes)
{
    struct rm_err err = {0};
    int r = strchr(expression, '^') ? nodefile_expand(expression, ret_nodes, &err) : 0;
    if (r >= 0)
        return 0;
    out_error("%s", err.text);
    return -EINVAL;
}

int cmdline_read_files(const struct command *command, struct args *args)
{
    bool has = command->has_nodes && args->n_operands > 0;
    if (has && read_files(args->operands[0], &args->nodes[0]) < 0)
        return -EINVAL;
    if (read_files(args->to, &args->nodes[1]) < 0 || read_files(args->guests, &args->nodes[2]) < 0)
        return -EINVAL;
    if (args->nodes[0])
        args->operands[0] = args->nodes[0];
    args->to = args->nodes[1] ? args->nodes[1] : args->to;
    args->guests = args->nodes[2] ? args->nodes[2] : args->guests;
    return 0;
}
