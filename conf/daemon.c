/* daemon.c - the command line that the daemons share */
#include "conf/service.h"

#include "conf/log.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct arguments {
    const char *file;
    const char *level;
    bool version;
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
    case 'v':
        arguments->version = true;
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "takes no arguments: '%s'", arg);
        return EINVAL;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

const char *service_begin(const char *name, const char *doc, int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"config", 'c', "FILE", 0, "read the settings from FILE", 0},
        {"log-level", 'l', "LEVEL", 0, "error, warning, info (the default) or debug", 0},
        {"version", 'v', NULL, 0, "print the version", 0},
        {0},
    };
    const struct argp argp = {.options = options, .parser = parse, .doc = doc};
    struct arguments arguments = {.level = "info"};
    enum log_level level;

    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (arguments.version) {
        puts(service_version_line());
        exit(EXIT_OK);
    }
    if (log_level_parse(arguments.level, &level) < 0) {
        fprintf(stderr, "%s: unknown log level '%s'\n", name, arguments.level);
        exit(EXIT_USAGE);
    }
    log_open(name, level);
    return arguments.file;
}
