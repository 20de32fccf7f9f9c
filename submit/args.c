/* args.c - the command line */
#include "submit/args.h"

#include "conf/service.h"
#include "conf/unit.h"
#include "submit/command.h"
#include "submit/out.h"
#include "wire/job.h"
#include "wire/nodefile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int args_number(const char *text, uint64_t most, uint64_t *ret_number)
{
    uint64_t n = 0;
    if (text[0] == '\0')
        return -EINVAL;
    for (const char *p = text; *p; p++)
        if (*p < '0' || *p > '9' || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(*p - '0'), &n))
            return -EINVAL;
    if (n == 0 || n > most)
        return -EINVAL;
    *ret_number = n;
    return 0;
}

/* ---- which word is the command */

/* Does an option of any command take a value? Options of one name do so in every command. name: a
 * long name or its beginning, as getopt takes it; NULL: the letter counts. */
static bool takes_value(const char *name, size_t length, int letter)
{
    for (size_t i = 0; command_at(i); i++)
        for (const struct argp_option *o = command_at(i)->options; o->name || o->key || o->doc;
             o++) {
            bool same = name ? o->name && strncmp(o->name, name, length) == 0 : o->key == letter;
            if (same && o->arg)
                return true;
        }
    return false;
}

/* How many arguments the option at argv[i] takes up: itself, and its value when that stands apart.
 */
static int option_length(const char *option)
{
    if (option[1] == '-') {
        const char *name = option + 2;
        return !strchr(name, '=') && takes_value(name, strlen(name), 0) ? 2 : 1;
    }
    for (const char *p = option + 1; *p; p++)
        if (takes_value(NULL, 0, *p))
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

/* ---- options */

static error_t bad_value(struct argp_state *state, const char *option, const char *text,
                         const char *why)
{
    argp_error(state, "--%s: %s%s%s", option, text ? text : "", text ? ": " : "", why);
    return EINVAL;
}

static error_t parse_states(struct argp_state *state, char *list, struct args *args)
{
    char *copy = strdup(list), *save = NULL;
    if (!copy)
        return ENOMEM;
    error_t r = 0;
    for (char *name = strtok_r(copy, ",", &save); name; name = strtok_r(NULL, ",", &save)) {
        RmState s = job_state_parse(name);
        if (s == RM_STATE__NO_STATE || args->n_states == ARGS_STATES_MAX) {
            r = bad_value(
                state, "state", name,
                "a state is one of queued, assigned, running, cancelling, waiting, doubt, done, "
                "failed, cancelled");
            break;
        }
        args->states[args->n_states++] = s;
    }
    free(copy);
    return r;
}

/* Values of a move that have a unit. */
static error_t parse_unit(int key, const char *text, struct argp_state *state, struct args *args)
{
    static const struct {
        int key;
        const char *name;
        int (*parse)(const char *text, uint64_t *ret, struct rm_err *err);
        size_t field;
    } units[] = {
        {KEY_BANDWIDTH, "bandwidth", unit_rate, offsetof(RmOptions, bandwidth)},
        {KEY_DOWNTIME, "downtime", unit_duration, offsetof(RmOptions, downtime_for)},
        {KEY_TIMEOUT, "timeout", unit_duration, offsetof(RmOptions, timeout_for)},
        {KEY_STALL, "stall", unit_duration, offsetof(RmOptions, stall_for)},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].key != key)
            continue;
        struct rm_err err = {0};
        uint64_t value;
        if (units[i].parse(text, &value, &err) < 0)
            return bad_value(state, units[i].name, NULL, err.text);
        if (value == 0)
            return bad_value(state, units[i].name, text, "must be more than 0");
        memcpy((char *)&args->options + units[i].field, &value, sizeof(value));
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

static error_t parse_count(int key, const char *text, struct argp_state *state, struct args *args)
{
    uint64_t n;
    uint64_t most = key == KEY_BATCH      ? UINT64_MAX
                    : key == KEY_LIMIT    ? ARGS_LIMIT_MAX
                    : key == KEY_ATTEMPTS ? ARGS_ATTEMPTS_MAX
                                          : ARGS_PRIORITY_MAX;
    const char *name = key == KEY_BATCH      ? "batch"
                       : key == KEY_LIMIT    ? "limit"
                       : key == KEY_ATTEMPTS ? "attempts"
                                             : "priority";
    if (args_number(text, most, &n) < 0) {
        argp_error(state, "--%s: '%s' is not a number from 1 to %llu", name, text,
                   (unsigned long long)most);
        return EINVAL;
    }
    if (key == KEY_BATCH)
        args->batch = n;
    else if (key == KEY_LIMIT)
        args->limit = (uint32_t)n;
    else if (key == KEY_ATTEMPTS)
        args->options.attempts = (uint32_t)n;
    else
        args->priority = (uint32_t)n;
    return 0;
}

/* Options that only set something. ARGP_ERR_UNKNOWN for all others. */
static error_t parse_flag(int key, struct args *args)
{
    static const struct {
        int key;
        size_t field;
    } flags[] = {
        {KEY_VERBOSE, offsetof(struct args, verbose)},
        {KEY_JSON, offsetof(struct args, json)},
        {KEY_NOHEADINGS, offsetof(struct args, noheadings)},
        {KEY_DETACH, offsetof(struct args, detach)},
        {KEY_DRY_RUN, offsetof(struct args, dry_run)},
        {KEY_PLAN, offsetof(struct args, plan)},
        {KEY_CANCEL_ON_INTERRUPT, offsetof(struct args, cancel_on_interrupt)},
        {KEY_ALL, offsetof(struct args, all)},
        {KEY_FINISHED, offsetof(struct args, finished)},
        {KEY_MEND, offsetof(struct args, mend)},
        {KEY_ADD, offsetof(struct args, add)},
        {KEY_BLAME, offsetof(struct args, blame)},
        {KEY_DELETE, offsetof(struct args, delete)},
        {KEY_FIELDS, offsetof(struct args, fields)},
        {KEY_HIDDEN, offsetof(struct args, hidden)},
        {KEY_SECRETS, offsetof(struct args, secrets)},
    };
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (flags[i].key == key) {
            bool yes = true;
            memcpy((char *)args + flags[i].field, &yes, sizeof(yes));
            return 0;
        }
    switch (key) {
    case KEY_AUTO_CONVERGE:
        args->options.auto_converge = true;
        return 0;
    case KEY_UNSAFE:
        args->options.unsafe = true;
        return 0;
    case KEY_ANYWHERE:
        args->options.anywhere = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_named(int key, char *text, struct argp_state *state, struct args *args)
{
    enum fence_mode fence;
    switch (key) {
    case KEY_FENCE:
        if (fence_parse(text, &fence) < 0)
            return bad_value(state, "fence", text, "must be auto, always or never");
        args->options.fence = 1 + (uint32_t)fence;
        return 0;
    case KEY_ROLE:
        if (role_parse(text, &args->role) < 0 || args->role == ROLE_NONE)
            return bad_value(state, "role", text, "must be viewer, operator, admin or worker");
        return 0;
    case KEY_STATE:
        return parse_states(state, text, args);
    case KEY_BATCH:
    case KEY_LIMIT:
    case KEY_ATTEMPTS:
    case KEY_PRIORITY:
        return parse_count(key, text, state, args);
    default:
        return parse_unit(key, text, state, args);
    }
}

/* Options whose value is kept as it is. */
static error_t parse_text(int key, const char *text, struct argp_state *state, struct args *args)
{
    const struct {
        int key;
        const char *name;
        const char **field;
    } texts[] = {
        {KEY_CONF, "config", &args->conf_file}, {KEY_TO, "to", &args->to},
        {KEY_REASON, "reason", &args->reason},  {KEY_GUESTS, "guests", &args->guests},
        {KEY_HOST, "host", &args->host},        {KEY_DIR, "dir", &args->dir},
        {KEY_FILE, "file", &args->file},
    };
    if (key == KEY_WHERE) {
        args->where[args->n_where++] = text;
        return 0;
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].key != key)
            continue;
        if (text[0] == '\0')
            return bad_value(state, texts[i].name, NULL, "needs a value");
        *texts[i].field = text;
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

/* What is typed behind the noderange of a move: the destination. */
static error_t parse_target(const char *target, struct argp_state *state, struct args *args)
{
    if (args->to[0] != '\0' && strcmp(args->to, target) != 0) {
        argp_error(state, "two destinations: '%s' and '%s'", args->to, target);
        return EINVAL;
    }
    if (target[0] == '\0') {
        argp_error(state, "the destination is empty");
        return EINVAL;
    }
    args->to = target;
    return 0;
}

/* Among the operands: KEY=VALUE. ARGP_ERR_UNKNOWN: it is none. */
static error_t parse_pair(const char *word, struct argp_state *state, struct args *args)
{
    struct rm_err err = {0};
    bool had = args->zvm.destination[0] != '\0';
    int r = operands_take(&args->zvm, args->command->takes, word, &err);
    if (r < 0) {
        argp_error(state, "%s", err.text);
        return EINVAL;
    }
    if (r > 0 && !had && args->zvm.destination[0] != '\0')
        return parse_target(args->zvm.destination, state, args);
    return r > 0 ? 0 : ARGP_ERR_UNKNOWN;
}

/* action=TEST is a dry run; CANCEL is no move at all. */
static error_t check_action(struct argp_state *state, struct args *args)
{
    const char *other = args->detach ? "--detach" : args->dry_run ? "--dry-run" : NULL;
    if (args->zvm.action == ACTION_MOVE)
        return 0;
    if (args->zvm.action == ACTION_TEST)
        other = args->detach ? "--detach" : NULL;
    if (other) {
        argp_error(state, "%s and action=%s exclude each other", other, args->zvm.action_text);
        return EINVAL;
    }
    args->dry_run = args->zvm.action == ACTION_TEST;
    return 0;
}

/* After the last argument: is it all there, and does it go together? */
static error_t check(struct argp_state *state, struct args *args)
{
    const struct command *command = args->command;
    bool selected =
        args->n_operands > 0 || args->batch || args->guests[0] || args->host[0] || args->all;
    if (command == command_general()) {
        if (state->flags & ARGP_NO_EXIT)
            return EINVAL;
        command_help(stderr);
        exit(EXIT_USAGE);
    }
    if (args->n_operands < command->least || (command->needs_select && !selected)) {
        if (command->needs_select)
            argp_error(state, "say which: numbers of jobs, --batch, --guests, --host or --all");
        else
            argp_error(state, "%s is missing", command->operands);
        return EINVAL;
    }
    if (args->detach && (args->dry_run || args->plan)) {
        argp_error(state, "--detach and %s exclude each other",
                   args->plan ? "--plan" : "--dry-run");
        return EINVAL;
    }
    for (size_t i = 0; i < args->n_operands; i++)
        if (args->operands[i][0] == '\0') {
            argp_error(state, "an operand is empty");
            return EINVAL;
        }
    if (command->takes == OPERANDS_OF_LIMITS && args->zvm.given == 0) {
        argp_error(state, "say max_total=, max_quiesce= or both");
        return EINVAL;
    }
    return check_action(state, args);
}

static error_t parse_operand(char *word, struct argp_state *state, struct args *args)
{
    const struct command *command = args->command;
    if (command->takes && (args->n_operands > 0 || command->least == 0)) {
        error_t r = parse_pair(word, state, args);
        if (r != ARGP_ERR_UNKNOWN)
            return r;
    }
    if (command->has_target && args->n_operands == 1)
        return parse_target(word, state, args);
    if (args->n_operands == command->most) {
        argp_error(state, "'%s' is one operand too many (names are joined by commas: a,b)", word);
        return EINVAL;
    }
    args->operands[args->n_operands++] = word;
    return 0;
}

static void help(struct argp_state *state, const struct args *args)
{
    if (args->command != command_general()) {
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
        return;
    }
    command_help(stdout);
    if (!(state->flags & ARGP_NO_EXIT))
        exit(EXIT_OK);
}

static error_t parse(int key, char *text, struct argp_state *state)
{
    struct args *args = state->input;
    error_t r;
    switch (key) {
    case KEY_HELP:
        help(state, args);
        return 0;
    case KEY_USAGE:
        argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
        return 0;
    case KEY_VERSION:
        printf("%s\n", service_version_line());
        if (!(state->flags & ARGP_NO_EXIT))
            exit(EXIT_OK);
        return 0;
    case ARGP_KEY_ARG:
        return parse_operand(text, state, args);
    case ARGP_KEY_END:
        return check(state, args);
    case KEY_ADD: /* the letter means another thing in `jobs` */
        args->add = args->finished = true;
        return 0;
    default:
        break;
    }
    r = parse_flag(key, args);
    if (r == ARGP_ERR_UNKNOWN && text)
        r = parse_text(key, text, state, args);
    if (r == ARGP_ERR_UNKNOWN && text)
        r = parse_named(key, text, state, args);
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

/* Leaves out argp's remark that short options take what long ones take. */
static char *filter_help(int key, const char *text, void *input)
{
    (void)input;
    return key == ARGP_KEY_HELP_DUP_ARGS_NOTE ? NULL : (char *)text;
}

static int parse_command(int argc, char **argv, unsigned flags, struct args *args)
{
    const struct command *command = args->command;
    char *doc = NULL, *name = NULL;
    int r = -ENOMEM;
    if (asprintf(&name, "rmigrate%s%s", command->name[0] ? " " : "", command->name) < 0) {
        name = NULL;
        goto out;
    }
    if (asprintf(&doc, "%s.\v%s", command->doc, command->more ? command->more : "") < 0) {
        doc = NULL;
        goto out;
    }
    const struct argp argp = {.options = command->options,
                              .parser = parse,
                              .args_doc = command->operands,
                              .doc = doc,
                              .help_filter = filter_help};
    argv[0] = name;
    error_t e = argp_parse(&argp, argc, argv, flags | ARGP_NO_HELP, NULL, args);
    r = e == ENOMEM ? -ENOMEM : e != 0 ? -EINVAL : 0;
out:
    free(doc);
    free(name);
    return r;
}

int args_parse(int argc, char **argv, unsigned flags, struct args *ret_args)
{
    struct args args = {
        .to = "", .reason = "", .guests = "", .host = "", .dir = ".", .role = ROLE_OPERATOR};
    rm_options__init(&args.options);
    operands_init(&args.zvm);
    argp_err_exit_status = EXIT_USAGE;
    int word;
    args.command = which_command(argc, argv, &word);
    args.line = join(argc, argv);
    args.operands = calloc((size_t)argc + 1, sizeof(*args.operands));
    args.where = calloc((size_t)argc + 1, sizeof(*args.where));
    char **rest = calloc((size_t)argc + 1, sizeof(*rest));
    int r = -ENOMEM;
    if (!args.line || !args.operands || !args.where || !rest)
        goto fail;
    int n = 0;
    for (int i = 0; i < argc; i++)
        if (i == 0 || i != word)
            rest[n++] = argv[i];
    r = parse_command(n, rest, flags, &args);
    if (r < 0)
        goto fail;
    free(rest);
    *ret_args = args;
    return 0;
fail:
    free(rest);
    args_done(&args);
    return r;
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

int args_read_files(struct args *args)
{
    bool has = args->command->has_nodes && args->n_operands > 0;
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

void args_done(struct args *args)
{
    for (size_t i = 0; i < sizeof(args->nodes) / sizeof(args->nodes[0]); i++) {
        free(args->nodes[i]);
        args->nodes[i] = NULL;
    }
    free(args->operands);
    free(args->where);
    free(args->line);
    args->where = NULL;
    args->operands = NULL;
    args->line = NULL;
}
