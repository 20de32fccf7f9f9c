/* main.c - rmigrate-broker: decides and remembers; the only program that opens the store for
 * writing */
#include "broker/loop.h"
#include "conf/log.h"
#include "conf/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    static const char doc[] =
        "Takes migration jobs, hands them to the workers on the hypervisors, and remembers every "
        "result."
        "\v"
        "Settings: section `broker` of FILE, else of $RMIGRATE_CONF, else of " RM_CONF_DEFAULT ".";
    struct conf_broker conf = {0};
    struct rm_err err = {0};
    bool only_check;
    const char *file = service_begin("rmigrate-broker", doc, argc, argv, &only_check);
    int signals, r;

    r = conf_broker_load(file, &conf, &err);
    if (r < 0) {
        log_error("%s", err.text);
        return only_check ? EXIT_SOME_FAILED : EXIT_USAGE;
    }
    if (only_check) {
        r = service_checked(file, loop_check(&conf));
        conf_broker_done(&conf);
        return r;
    }
    signals = service_signals();
    r = signals < 0 ? rm_fail(&err, signals, "cannot take signals") : 0;
    if (r >= 0) {
        log_info("version=%s store=%s", service_version(), conf.store);
        r = loop_run(&conf, file, env_system(), signals, &err);
        close(signals);
    }
    conf_broker_done(&conf);
    if (r < 0) {
        log_notice(NOTICE_BROKER_ENDED, LOG_LEVEL_ERROR, "%s", err.text);
        return EXIT_SOME_FAILED;
    }
    return EXIT_OK;
}
