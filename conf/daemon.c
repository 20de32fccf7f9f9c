/* daemon.c - the command line that the programs share: help, version; and that of the daemons */
#include "conf/conf.h"
#include "conf/log.h"
#include "conf/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- what is printed must arrive */

static void check_output(int code, void *unused)
{
    (void)unused;
    int r = fflush(stdout) != 0 ? errno : ferror(stdout) ? EIO : 0;
    if (r == 0 || code != EXIT_OK)
        return;
    if (r != EPIPE)
        fprintf(stderr, "Error: cannot write to standard output: %s\n", strerror(r));
    _exit(EXIT_SOME_FAILED);
}

void service_check_output(void)
{
    static char buffer[64 * 1024]; /* what is longer fails on its way, and why is forgotten then */

    if (!isatty(STDOUT_FILENO))
        setvbuf(stdout, buffer, _IOFBF, sizeof(buffer));
    on_exit(check_output, NULL);
}

/* ---- help and version */

enum { KEY_USAGE = 256 };

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    switch (key) {
    case 'h':
        argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
        return 0;
    case KEY_USAGE:
        argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
        return 0;
    case 'v':
        puts(service_version_line());
        exit(EXIT_OK);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_option common_options[] = {
    {"help", 'h', NULL, 0, "print this help", -1},
    {"usage", KEY_USAGE, NULL, OPTION_HIDDEN, NULL, 0},
    {"version", 'v', NULL, 0, "print the version", 0},
    {0},
};
const struct argp service_argp = {.options = common_options, .parser = parse_common};

/* ---- the daemons */

enum { KEY_CHECK = KEY_USAGE + 1 };

struct arguments {
    const char *file;
    const char *level;
    bool check;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *arguments = state->input;

    switch (key) {
    case 'c':
        arguments->file = arg;
        return 0;
    case 'l':
        arguments->level = arg;
        return 0;
    case KEY_CHECK:
        arguments->check = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "takes no arguments: '%s'", arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const char *service_begin(const char *name, const char *doc, int argc, char **argv, bool *ret_check)
{
    static const struct argp_option options[] = {
        {"config", 'c', "FILE", 0, "read the settings from FILE", 0},
        {"check", KEY_CHECK, NULL, 0, "say whether settings and files are right, and end", 0},
        {"log-level", 'l', "LEVEL", 0, "error, warning, info (the default) or debug", 0},
        {0},
    };
    static const struct argp_child children[] = {{&service_argp, 0, NULL, 0}, {0}};
    const struct argp argp = {
        .options = options, .parser = parse, .doc = doc, .children = children};
    struct arguments arguments = {.level = "info"};
    enum log_level level;

    service_check_output();
    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, &arguments);
    if (log_level_parse(arguments.level, &level) < 0) {
        fprintf(stderr, "%s: unknown log level '%s'\n", name, arguments.level);
        exit(EXIT_USAGE);
    }
    log_open(name, level);
    *ret_check = arguments.check;
    return arguments.file;
}

unsigned service_wrong(int r, const struct rm_err *err)
{
    if (r < 0)
        log_error("%s", err->text);
    return r < 0;
}

int service_checked(const char *file, unsigned wrong)
{
    if (wrong)
        return EXIT_SOME_FAILED;
    printf("%s: %s: nothing is wrong\n", program_invocation_short_name, conf_file(file));
    return EXIT_OK;
}
