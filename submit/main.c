/* main.c - rmigrate: asks the broker to move guests, follows how it goes, and shows what is where
 */
#include "conf/service.h"
#include "submit/client.h"
#include "submit/cmdline.h"
#include "submit/local.h"
#include "submit/out.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <unistd.h>

/* Reads the settings and connects. */
static int connect_to_broker(const struct args *args, struct client **ret_client)
{
    struct conf_client conf = {0};
    struct rm_err err = {0};
    int r = conf_client_load(args->conf_file, &conf, &err);
    if (r >= 0)
        r = client_new(&conf, args->line, ret_client, &err);
    conf_client_done(&conf);
    if (r >= 0)
        return EXIT_OK;
    out_error("%s", err.text);
    return r == -EACCES || r == -EPERM ? EXIT_NOT_PERMITTED : EXIT_USAGE;
}

/* Streams that were closed on purpose or by mistake must not become somebody's socket: what is
 * printed then fails. */
static void fill_closed_streams(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", O_RDONLY);
}

int main(int argc, char **argv)
{
    const struct command *command;
    struct args args;
    struct client *client = NULL;
    struct local *local = NULL;
    fill_closed_streams();
    service_check_output();  /* of --help, which ends the process */
    setlocale(LC_CTYPE, ""); /* only characters: numbers keep their point */
    if (cmdline_parse(argc, argv, 0, &command, &args) < 0) {
        out_error("no memory");
        return EXIT_SOME_FAILED;
    }
    int code = cmdline_read_files(command, &args) < 0 ? EXIT_SOME_FAILED : EXIT_OK;
    if (code == EXIT_OK && args.local)
        code = local_begin(&args, &local, &client);
    else if (code == EXIT_OK && !command->local && !args.snapshot)
        code = connect_to_broker(&args, &client);
    if (client && args.verbose)
        out_tag(client_server(client));
    if (code == EXIT_OK)
        code = command->run(client, &args);
    out_tag(NULL);
    client_free(client);
    local_end(local);
    args_done(&args);
    return out_finish(code);
}
