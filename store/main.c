/* main.c - rmigrate-store: the store looked at by hand, also while the broker runs */
#include "conf/conf.h"
#include "conf/service.h"
#include "conf/unit.h"
#include "store/record.h"
#include "store/store.h"
#include "store/tables/table.h"
#include "store/tool/check.h"
#include "store/tool/dump.h"

#include <argp.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 2 };

struct options {
    const char *file;             /* of the settings; NULL = the default */
    const char *store;            /* directory; NULL = what the settings say */
    const char *words[WORDS_MAX]; /* command and its operand */
    unsigned n_words;
};

static const struct argp_option option_list[] = {
    {.name = "config", .key = 'c', .arg = "FILE", .doc = "read the settings from FILE"},
    {.name = "store",
     .key = 's',
     .arg = "DIR",
     .doc = "look at the store in DIR; no settings are read"},
    {0},
};

static const char usage[] = "dump [TABLE]\ncheck\nbackup DIR";
static const char description[] =
    "Look at the store of rmigrate-broker. The store is only read; the broker may run meanwhile."
    "\v"
    "dump      print every record as text, or those of one table; a site table (vm, nodelist and "
    "so "
    "on) is printed as CSV, console passwords included\n"
    "check     read every record and compare them with one another\n"
    "backup    copy the store into DIR, which must be empty or new; the copy is a store\n"
    "\n"
    "Exit codes: 0 all well, 1 something is wrong with the store or the command failed, 2 usage or "
    "settings, 4 no such table.";

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *options = state->input;
    switch (key) {
    case 'c':
        options->file = arg;
        return 0;
    case 's':
        options->store = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (options->n_words == WORDS_MAX)
            argp_error(state, "too many arguments");
        else
            options->words[options->n_words++] = arg;
        return 0;
    case ARGP_KEY_NO_ARGS:
        argp_error(state, "a command is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int fail(int code, const char *text)
{
    fflush(stdout);
    fprintf(stderr, "Error: %s\n", text);
    return code;
}

/* ---- the commands: each gets the open store and its operand, and returns an exit code */

static int command_dump(struct store *store, const char *name)
{
    const struct table *site = name ? table_find(name) : NULL;
    bool found = site;
    int r = site ? dump_site_table(store, site, stdout) : 0;
    for (int i = 0; i < STORE_TABLES && !site && r == 0; i++)
        if (!name || strcmp(name, store_table_name((enum store_table)i)) == 0) {
            found = true;
            r = dump_table(store, (enum store_table)i, stdout);
        }
    if (!found) {
        fprintf(stderr, "Error: No such table: %s\n", name);
        return EXIT_TABLE;
    }
    return r < 0 ? fail(EXIT_SOME_FAILED, strerror(-r)) : EXIT_OK;
}

static int command_check(struct store *store, const char *operand)
{
    (void)operand;
    struct store_usage full;
    char used_text[UNIT_TEXT_MAX], size_text[UNIT_TEXT_MAX];
    int n = store_check(store, stdout);
    for (int i = 0; i < STORE_TABLES; i++)
        printf("%s%s %" PRIu64, i ? ", " : "", store_table_name((enum store_table)i),
               store_count(store, (enum store_table)i));
    int r = store_usage(store, &full);
    if (r < 0)
        return fail(EXIT_SOME_FAILED, strerror(-r));
    printf("\n%s used of %s\n", unit_size_text(full.used, used_text),
           unit_size_text(full.size, size_text));
    if (full.reader != 0)
        printf("process %d reads an old state, which keeps %s of it\n", full.reader,
               unit_size_text(full.kept, used_text));
    if (n == 0)
        printf("nothing wrong\n");
    else
        printf("%d wrong\n", n);
    return n == 0 ? EXIT_OK : EXIT_SOME_FAILED;
}

static int command_backup(struct store *store, const char *path)
{
    struct rm_err err;
    if (store_backup(store, path, &err) < 0)
        return fail(EXIT_SOME_FAILED, err.text);
    printf("%s: backed up to %s\n", store_path(store), path);
    return EXIT_OK;
}

static const struct command {
    const char *name;
    unsigned least, most; /* words, the name counted */
    int (*run)(struct store *store, const char *operand);
} commands[] = {
    {"dump", 1, 2, command_dump},
    {"check", 1, 1, command_check},
    {"backup", 2, 2, command_backup},
};

static const struct command *command_find(const struct options *options)
{
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strcmp(commands[i].name, options->words[0]) == 0 &&
            options->n_words >= commands[i].least && options->n_words <= commands[i].most)
            return &commands[i];
    return NULL;
}

static int run(const struct command *command, const char *path, const char *operand)
{
    struct store *store;
    struct rm_err err = {""};
    if (store_open(path, 0, STORE_READ_ONLY, &store, &err) < 0)
        return fail(EXIT_SOME_FAILED, err.text);
    int code = record_open(store, &err) < 0 ? fail(EXIT_SOME_FAILED, err.text)
                                            : command->run(store, operand);
    store_close(store);
    if (fflush(stdout) != 0 && code == EXIT_OK)
        code = fail(EXIT_SOME_FAILED, "cannot write the output");
    return code;
}

int main(int argc, char **argv)
{
    static const struct argp_child children[] = {{&service_argp, 0, NULL, 0}, {0}};
    static const struct argp argp = {option_list, parse_option, usage, description, children, 0, 0};
    struct options options = {0};
    struct conf_broker conf = {0};
    struct rm_err err = {""};
    argp_err_exit_status = EXIT_USAGE;
    service_check_output();
    argp_parse(&argp, argc, argv, ARGP_NO_HELP, NULL, &options);

    const struct command *command = command_find(&options);
    if (!command) {
        fprintf(stderr,
                "Error: no such command, or a wrong number of arguments: %s\n"
                "Try 'rmigrate-store --help'.\n",
                options.words[0]);
        return EXIT_USAGE;
    }
    if (!options.store && conf_broker_load(options.file, &conf, &err) < 0)
        return fail(EXIT_USAGE, err.text);
    int code = run(command, options.store ? options.store : conf.store, options.words[1]);
    conf_broker_done(&conf);
    return code;
}
