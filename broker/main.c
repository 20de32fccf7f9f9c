/* main.c - rmigrate-broker: decides and remembers; the only program that opens the store for
 * writing */
#include "broker/loop.h"
#include "conf/log.h"
#include "conf/service.h"

#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

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

int main(int argc, char **argv)
{
    static const struct argp_option options[] = {
        {"config", 'c', "FILE", 0, "read the settings from FILE", 0},
        {"log-level", 'l', "LEVEL", 0, "error, warning, info (the default) or debug", 0},
        {"version", 'v', NULL, 0, "print the version", 0},
        {0},
    };
    static const struct argp argp = {
        options,
        parse,
        NULL,
        "Takes migration jobs, hands them to the workers on the hypervisors, and remembers every "
        "result."
        "\v"
        "Settings: section `broker` of FILE, else of $RMIGRATE_CONF, else of " RM_CONF_DEFAULT ".",
        NULL,
        NULL,
        NULL};
    struct arguments arguments = {.level = "info"};
    struct conf_broker conf = {0};
    struct rm_err err = {0};
    enum log_level level;
    int signals, r;

    argp_err_exit_status = EXIT_USAGE;
    argp_parse(&argp, argc, argv, 0, NULL, &arguments);
    if (arguments.version) {
        puts(service_version_line());
        return EXIT_OK;
    }
    if (log_level_parse(arguments.level, &level) < 0) {
        fprintf(stderr, "rmigrate-broker: unknown log level '%s'\n", arguments.level);
        return EXIT_USAGE;
    }
    log_open("rmigrate-broker", level);
    r = conf_broker_load(arguments.file, &conf, &err);
    if (r < 0) {
        log_error("%s", err.text);
        return EXIT_USAGE;
    }
    signals = service_signals();
    r = signals < 0 ? rm_fail(&err, signals, "cannot take signals") : 0;
    if (r >= 0) {
        log_info("version=%s store=%s", service_version(), conf.store);
        r = loop_run(&conf, env_system(), signals, &err);
        close(signals);
    }
    conf_broker_done(&conf);
    if (r < 0) {
        log_error("%s", err.text);
        return EXIT_SOME_FAILED;
    }
    return EXIT_OK;
}
